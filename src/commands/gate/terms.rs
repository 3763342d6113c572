//! What a candidate is judged by: the project's own judge, or the one of a revision with what the change adds to it.

use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::words::counted;
use firedrill_reports::verdict::JudgeChange;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::document::chaos::ChaosDocument;
use firedrill_scenarios::variants::Ranges;

use super::changes::of_moved;
use super::judge::{Judge, Rehearsed, leniency};
use super::side::{Reference, Side};
use super::thresholds::Thresholds;
use crate::cli::{GateArgs, OnInconclusive};
use crate::commands::setting::rehearsed;
use crate::failure::Failure;
use crate::judged::Named;
use crate::project::Project;

/// The terms.
pub(super) struct Terms {
    pub thresholds: Thresholds,
    /// The first seed.
    pub first: u64,
    /// Seeds for each scenario.
    pub pairs: u32,
    /// To how many pairs are added at most.
    pub max_pairs: u32,
    pub on_inconclusive: OnInconclusive,
    /// In order of name.
    pub scenarios: Vec<Arc<Scenario>>,
    pub incidents: Vec<Named>,
    /// Within what variants are drawn; `None` if none are played.
    pub chaos: Option<ChaosDocument>,
    /// The scenarios that the change brings along, where another project than the change's judges.
    pub added: Vec<Name>,
    /// What the change does to the judge.
    pub changes: Vec<JudgeChange>,
    /// Who approved that.
    pub approval: Option<String>,
    /// What the command line asks less of, or otherwise, than the project file, as a sentence; empty if nothing.
    pub less: Option<String>,
    /// The revision (`git:REF`) that some scenario is taken from; `None` if all are those of the working tree.
    pub elsewhere: Option<String>,
}

impl Terms {
    /// By what the change says, unless it is compared with a revision and nobody approved what it does to the judge there.
    pub fn of(own: &Side, reference: &Reference, arguments: &GateArgs) -> Result<Self, Failure> {
        let mut terms = Self::by(own, reference, arguments)?;
        let judge = reference.at_revision().filter(|_| terms.approval.is_none()).map_or(own, |(_, judge)| judge);
        terms.less = less(arguments, judge.project());
        Ok(terms)
    }

    fn by(own: &Side, reference: &Reference, arguments: &GateArgs) -> Result<Self, Failure> {
        let project = own.project();
        let chosen = rehearsed(&own.home, &arguments.scenarios)?;
        let mut terms = Self {
            thresholds: Thresholds::of(project, chosen.iter().any(|scenario| scenario.calm))?,
            first: arguments.seed.unwrap_or(project.seed),
            pairs: arguments.pairs.unwrap_or(project.pairs),
            max_pairs: arguments.max_pairs.unwrap_or(project.max_pairs),
            on_inconclusive: arguments.on_inconclusive.unwrap_or(project.on_inconclusive),
            scenarios: chosen,
            incidents: own.incidents.iter().map(|recorded| Named::here(&recorded.argument)).collect(),
            chaos: project.chaos.clone(),
            added: Vec::new(),
            changes: Vec::new(),
            approval: None,
            less: None,
            elsewhere: None,
        };
        if let Reference::Revision(revision, judge) = reference {
            terms.changes = of_moved(revision, &arguments.project, judge.is_some())?;
            terms.approval.clone_from(&arguments.accept_judge_change);
        }
        let Some((revision, judge)) = reference.at_revision() else { return Ok(terms) };
        terms.changes.extend(Judge::of_side(own).less_than(&Judge::of_side(judge)));
        if terms.approval.is_none() {
            let added = own.scenarios.iter().filter(|scenario| judge.scenario(&scenario.name).is_none());
            terms.added = added.map(|scenario| scenario.name.clone()).collect();
        }
        if terms.approval.is_none() && !terms.changes.is_empty() {
            terms.of_judge(own, judge, arguments);
            let name = revision.argument();
            let is_theirs = |scenario: &Arc<Scenario>| judge.scenarios.iter().any(|theirs| Arc::ptr_eq(theirs, scenario));
            terms.elsewhere = terms.scenarios.iter().any(is_theirs).then(|| name.clone());
            let known_as = |path: &str| Some((revision.known_as(path.as_ref())?, name.clone()));
            terms.incidents.iter_mut().for_each(|incident| incident.elsewhere = known_as(&incident.argument));
        }
        Ok(terms)
    }

    /// More of what the change does to the judge, each once.
    pub fn add_changes(&mut self, more: Vec<JudgeChange>) {
        for change in more {
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
    }

    /// What the judge says in the place of what the change says, and what the change adds to it.
    fn of_judge(&mut self, own: &Side, judge: &Side, arguments: &GateArgs) {
        let project = judge.project();
        self.thresholds = judge.thresholds.with(&own.thresholds);
        self.first = arguments.seed.unwrap_or(project.seed);
        self.pairs = arguments.pairs.unwrap_or(project.pairs.max(own.project().pairs));
        self.on_inconclusive = arguments.on_inconclusive.unwrap_or(project.on_inconclusive);
        if project.chaos.is_some() {
            self.chaos.clone_from(&project.chaos);
        }
        // What is the same is taken from here, where commands find it.
        let is_other = |theirs: &Scenario, own: &Scenario| Rehearsed::of(theirs) != Rehearsed::of(own);
        for scenario in &mut self.scenarios {
            if let Some(theirs) = judge.scenario(&scenario.name).filter(|theirs| is_other(theirs, scenario)) {
                *scenario = Arc::clone(theirs);
            }
        }
        if arguments.scenarios.is_empty() {
            self.scenarios.extend(judge.scenarios.iter().filter(|theirs| own.scenario(&theirs.name).is_none()).cloned());
            self.scenarios.sort_by(|left, right| left.name.cmp(&right.name));
        }
        let added = own.incidents.iter().filter(|recorded| judge.incident(&recorded.incident.name).is_none());
        let same = |theirs: &super::side::Recorded| {
            own.incident(&theirs.incident.name).filter(|own| own.hash == theirs.hash).map(|own| &own.argument)
        };
        let theirs = judge.incidents.iter().map(|theirs| Named::here(same(theirs).unwrap_or(&theirs.argument)));
        self.incidents = theirs.chain(added.map(|recorded| Named::here(&recorded.argument))).collect();
    }
}

/// What the command line asks less of, or otherwise, than a project file. Whoever writes that line may; whoever reads the verdict is told.
fn less(arguments: &GateArgs, project: &Project) -> Option<String> {
    let mut told = Vec::new();
    told.extend(
        arguments
            .pairs
            .filter(|pairs| *pairs < project.pairs)
            .map(|pairs| format!("{} a scenario instead of {} (`--pairs`)", counted(u64::from(pairs), "pair"), project.pairs)),
    );
    told.extend(
        arguments
            .seed
            .filter(|seed| *seed != project.seed)
            .map(|seed| format!("seeds from {seed} on instead of {} (`--seed`)", project.seed)),
    );
    let variants = project.chaos.as_ref().map(|asked| Ranges::of(&[Some(asked)]).variants);
    let fewer = variants.zip(arguments.chaos).filter(|(asked, own)| own < asked);
    told.extend(fewer.map(|(asked, own)| format!("{} a scenario instead of {asked} (`--chaos`)", counted(u64::from(own), "variant"))));
    let max_pairs = arguments.max_pairs.filter(|pairs| *pairs < project.max_pairs);
    told.extend(
        max_pairs.map(|pairs| format!("at most {} instead of {} (`--max-pairs`)", counted(u64::from(pairs), "pair"), project.max_pairs)),
    );
    let lenient = arguments.on_inconclusive.filter(|own| leniency(own.word()) > leniency(project.on_inconclusive.word()));
    let of_word = |own: OnInconclusive| format!("`{}` instead of `{}` (`--on-inconclusive`)", own.word(), project.on_inconclusive.word());
    told.extend(lenient.map(of_word));
    (!told.is_empty()).then(|| format!("the command line asks for less than the project file, or for something else: {}", told.join(", ")))
}
