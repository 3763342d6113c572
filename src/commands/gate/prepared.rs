//! All that a gate needs before its first run: everything that can be wrong with what it reads is found here.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Problem, Severity};
use firedrill_core::words::counted;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::lints;
use firedrill_policies::policy::Policy;
use firedrill_reports::statistics::TailGuard;
use firedrill_reports::verdict::{Case, CutShort, IncidentResult, JudgeChange, JudgeSettings, Judgement, Look, judge};
use firedrill_scenarios::Scenario;

use super::TAIL_PAIRS;
use super::changes::{OwnActions, own_actions};
use super::chaos::Chaos;
use super::contest::Contest;
use super::plan::Plan;
use super::repeating::repeat;
use super::side::{Reference, Side};
use super::terms::Terms;
use crate::campaign::Campaign;
use crate::cli::{GateArgs, StageArg};
use crate::commands::setting::{RuleNames, seeds, warn};
use crate::drill::{Answer, Rules};
use crate::failure::Failure;
use crate::home::Home;
use crate::judged::{self, Replayed};
use crate::output::Output;
use crate::sources;

/// A gate that is ready to begin.
pub(super) struct Prepared {
    pub terms: Terms,
    pub contest: Contest,
    pub plan: Plan,
    /// The variants besides; `None` if nobody asks for any.
    pub chaos: Option<Chaos>,
    pub replays: Vec<Replayed>,
    /// What the verdict rests on besides its runs: which revision judges.
    pub grounds: Vec<String>,
    /// What the verdict leaves out, a sentence each.
    pub notes: Vec<String>,
    /// The command that repeats a run, with places for scenario and seed.
    pub command: String,
    narrowed: bool,
    /// Its files vanish with it.
    _reference: Reference,
}

impl Prepared {
    /// Reads and checks everything.
    pub fn of(arguments: &GateArgs, output: Output) -> Result<Self, Failure> {
        let own = Side::of(Home::at(&arguments.project)?, arguments)?;
        let reference = Reference::of(arguments, &own.home)?;
        let mut terms = Terms::of(&own, &reference, arguments)?;
        let left_out = if arguments.stage == StageArg::Full { Vec::new() } else { terms.thresholds.keep_those_on_deeds() };
        let contest = Contest::of(arguments, &own.home, &reference, &terms)?;
        terms.add_changes(changed_models(arguments, &contest, &reference));
        let [rules, baseline_rules] = watching(&own, &reference, &terms)?;
        admit(&contest.candidate, &rules)?;
        contest.baseline.iter().try_for_each(|baseline| admit(baseline, &baseline_rules))?;
        let answers = [Some(&contest.candidate), contest.baseline.as_ref()].into_iter().flatten().cloned().collect();
        // Nobody is compared with a person unless a threshold speaks of one.
        let with_human = terms.thresholds.all.iter().any(|threshold| threshold.measure.needs_human());
        let scenarios = terms.scenarios.iter().cloned().zip(rules.iter().cloned()).collect();
        let campaign = Campaign { scenarios, answers, seeds: seeds(terms.first, terms.pairs)?, stage: arguments.stage.stage(), with_human };
        let shared = RuleNames::of(own.project(), &own.home.base).load(&[])?;
        let (candidate, baseline) = (&contest.candidate, contest.baseline.as_ref());
        let replays = judged::prepare_all(&terms.incidents, &shared, candidate, baseline, &own.watch.routings);
        let replays = replays.map_err(|failure| reworded(&reference, failure))?;
        let of_replays: Vec<Arc<Rules>> = replays.iter().map(|replay| replay.watched().1).collect();
        let watching: Vec<&Arc<Rules>> = rules.iter().chain(&of_replays).collect();
        warn(watching.iter().copied(), output);
        let unheard = waiting_in_vain(unheard(&candidate.policies, &watching, (&own, arguments))?, arguments, output)?;
        let command = repeat(arguments, &contest, terms.elsewhere.as_deref());
        let chaos = Chaos::of(arguments, &terms, &contest, &campaign);
        let (plan, narrowed) = (Plan::new(campaign, baseline_rules), !arguments.scenarios.is_empty());
        let (grounds, mut notes) = of_revision(&reference, &terms);
        let grounds = [
            grounds,
            of_library(&own, arguments, plan.campaign.scenarios.len()),
            of_models(&own, &contest, &reference),
            off_duty(arguments, &contest, &reference),
        ]
        .concat();
        notes.splice(0..0, terms.less.iter().cloned());
        notes.extend(unheard);
        notes.extend(of_namesakes(&own.scenarios, &arguments.scenarios));
        notes.extend(at_stage(arguments.stage.stage(), &left_out));
        let is_idle = terms.changes.is_empty() && arguments.accept_judge_change.is_some();
        notes.extend(
            is_idle.then(|| "`--accept-judge-change` accepts nothing here: nothing that judges this candidate was changed".to_owned()),
        );
        Ok(Self { grounds, notes, terms, contest, plan, chaos, replays, command, narrowed, _reference: reference })
    }

    /// All that outcomes may be known under.
    pub fn keys(&self) -> BTreeSet<String> {
        self.plan.keys().into_iter().chain(self.chaos.iter().flat_map(Chaos::keys)).collect()
    }

    /// Judges what was played: cases of the candidate and of the baseline, on so many seeds of each scenario.
    pub fn judge(&self, (candidate, baseline): (&[Case], Option<&[Case]>), replayed: &[IncidentResult], at: At) -> Judgement {
        judge(candidate, baseline, replayed, &self.settings(at))
    }

    /// How is judged.
    pub fn settings(&self, at: At) -> JudgeSettings {
        let only_notify = self.contest.candidate.policies.iter().filter(|policy| policy.only_notifies());
        let only_notify: Vec<Name> = only_notify.map(|policy| policy.name.clone()).collect();
        // Fewer pairs cannot exclude catastrophes, and a gate that always says so is of no use: it is said beside the verdict instead.
        let tail = (u64::from(at.planned) >= TAIL_PAIRS).then(TailGuard::default);
        let settings = JudgeSettings {
            thresholds: self.terms.thresholds.all.clone(),
            tail,
            exercise: self.contest.exercise,
            only_notify,
            narrowed: self.narrowed,
            seed: self.terms.first,
            command: self.command.clone(),
            added: self.terms.added.clone(),
            judge_changes: self.terms.changes.clone(),
            approval: self.terms.approval.clone(),
            cut_short: at.cut_short,
            ..JudgeSettings::default()
        };
        settings.at(at.look)
    }
}

/// Which look at the runs it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub look: Look,
    /// Seeds of each scenario by which the comparisons are chosen.
    pub planned: u32,
    /// See [`CutShort`].
    pub cut_short: Option<CutShort>,
}

/// What watches each scenario, for the candidate and for the baseline: each side's own rules and routing, for rules are a part of what is judged.
/// Which of them watch a scenario is said by the side's own scenario of that name, if it has one.
fn watching(own: &Side, reference: &Reference, terms: &Terms) -> Result<[Vec<Arc<Rules>>; 2], Failure> {
    let of_side = |side: &Side| {
        let over = |scenario: &Arc<Scenario>| side.watch.over(side.scenario(&scenario.name).unwrap_or(scenario));
        terms.scenarios.iter().map(over).collect::<Result<Vec<_>, Failure>>()
    };
    let rules = of_side(own).map_err(|failure| reworded(reference, failure))?;
    let theirs = match reference.at_revision() {
        Some((_, judge)) => of_side(judge).map_err(|failure| reworded(reference, failure))?,
        None => rules.clone(),
    };
    Ok([rules, theirs])
}

fn reworded(reference: &Reference, failure: Failure) -> Failure {
    match reference {
        Reference::Revision(revision, _) => revision.reworded(failure),
        Reference::Usual | Reference::Policies(_) => failure,
    }
}

/// That policies listen only at receivers that are there.
fn admit(answer: &Answer, rules: &[Arc<Rules>]) -> Result<(), Failure> {
    rules.iter().try_for_each(|rules| sources::receivers_exist(answer, rules.routing.as_deref()))
}

/// Policies that wait for an alert which no rule has. A rule that watches nothing but what a narrowed gate leaves out is one, too.
fn unheard(policies: &[Arc<Policy>], watching: &[&Arc<Rules>], (own, arguments): (&Side, &GateArgs)) -> Result<Vec<Problem>, Failure> {
    let here = lints::unheard(policies, watching.iter().map(|rules| &*rules.set));
    if here.is_empty() || arguments.scenarios.is_empty() {
        return Ok(here);
    }
    let all = own.scenarios.iter().map(|scenario| own.watch.over(scenario)).collect::<Result<Vec<_>, _>>()?;
    Ok(lints::unheard(policies, watching.iter().copied().chain(&all).map(|rules| &*rules.set)))
}

/// What is said of policies that wait for an alert which no rule has. A project in which one is on duty is wrong, as `check` says; a candidate that is
/// named is judged all the same.
fn waiting_in_vain(mut unheard: Vec<Problem>, arguments: &GateArgs, output: Output) -> Result<Vec<String>, Failure> {
    if arguments.candidate.is_empty() && !unheard.is_empty() {
        unheard.iter_mut().for_each(|problem| problem.severity = Severity::Error);
        return Err(Failure::Input(unheard));
    }
    output.problems(&unheard);
    Ok(unheard.into_iter().map(|problem| problem.message).collect())
}

/// What is not judged at a stage.
fn at_stage(stage: Stage, left_out: &[String]) -> Option<String> {
    let told = left_out.join(", ");
    (!told.is_empty()).then(|| format!("at the stage {} only what policies do is judged: {told} is for the stage full", stage.word()))
}

/// That the library is rehearsed where the project does not say what is.
fn of_library(own: &Side, arguments: &GateArgs, count: usize) -> Vec<String> {
    let is_library = own.project().scenarios.is_empty() && arguments.scenarios.is_empty();
    let told = format!("the project names no scenarios, so the library's {count} are rehearsed: `scenarios:` says which");
    is_library.then_some(told).into_iter().collect()
}

/// Policies that were on duty at the revision and are not any more: whatever is in their files, nothing of it is judged.
fn off_duty(arguments: &GateArgs, contest: &Contest, reference: &Reference) -> Vec<String> {
    let (Some((revision, _)), Some(baseline)) = (reference.at_revision(), &contest.baseline) else { return Vec::new() };
    let is_gone = |name: &&Name| !contest.candidate.policies.iter().any(|own| own.name == **name);
    let gone: Vec<&str> = baseline.policies.iter().map(|policy| &policy.name).filter(is_gone).map(Name::as_str).collect();
    let told = format!("on duty at {} and not any more, so nothing of it is judged: {}", revision.told(), gone.join(", "));
    (arguments.candidate.is_empty() && !gone.is_empty()).then_some(told).into_iter().collect()
}

/// What the change does to own actions of policies that were known at the revision that judges.
fn changed_models(arguments: &GateArgs, contest: &Contest, reference: &Reference) -> Vec<JudgeChange> {
    let Some((_, judge)) = reference.at_revision() else { return Vec::new() };
    let before = contest.baseline.as_ref().map_or_else(Vec::new, |baseline| baseline.policies.clone());
    let own = OwnActions { old: &before, shared: &judge.project().shared, is_whole: arguments.candidate.is_empty() };
    own.changed_by(&contest.candidate.policies)
}

/// Scenarios of a class whose name was given, which are left out because a scenario has the name as well.
fn of_namesakes(all: &[Arc<Scenario>], asked: &[String]) -> Vec<String> {
    let left_out = |name: &&String| {
        all.iter().any(|own| *own.name == ***name).then(|| {
            let of_class = all.iter().filter(|own| *own.family == ***name && !asked.iter().any(|asked| *own.name == **asked));
            of_class.map(|own| own.name.as_str()).collect::<Vec<_>>()
        })
    };
    let told = |name: &String, others: &[&str]| {
        format!("`{name}` is the scenario, and not the class of that name: {} left out", others.join(", "))
    };
    let all = asked.iter().filter_map(|name| Some((name, left_out(&name)?)));
    all.filter(|(_, others)| !others.is_empty()).map(|(name, others)| told(name, &others)).collect()
}

/// Own actions that a change brings along: what they do to a simulated system is what it claims that they do.
fn of_models(own: &Side, contest: &Contest, reference: &Reference) -> Vec<String> {
    let Some((revision, judge)) = reference.at_revision() else { return Vec::new() };
    let before = contest.baseline.as_ref().map_or_else(BTreeSet::new, |baseline| own_actions(&baseline.policies));
    let is_new = |name: &Name| !judge.project().shared.actions.contains_key(name) && !before.contains(name);
    let mut all = own_actions(&contest.candidate.policies);
    all.extend(own.project().shared.actions.keys().cloned());
    all.retain(is_new);
    let changed: Vec<&str> = all.iter().map(Name::as_str).collect();
    let told = format!(
        "{} of its own that {} does not have: what {} does is what the change claims (`models:`): {}",
        counted(changed.len() as u64, "action"),
        revision.told(),
        if changed.len() == 1 { "it" } else { "each" },
        changed.join(", ")
    );
    (!changed.is_empty()).then_some(told).into_iter().collect()
}

/// What the verdict rests on, and what it leaves out, where a revision judges.
fn of_revision(reference: &Reference, terms: &Terms) -> (Vec<String>, Vec<String>) {
    let Reference::Revision(revision, side) = reference else { return (Vec::new(), Vec::new()) };
    let (mut grounds, mut notes) = (Vec::new(), Vec::new());
    if side.is_none() {
        let told = "there was no project yet, so there is no baseline, and the change brings its own judge";
        notes.push(format!("at {} {told}", revision.told()));
    } else {
        grounds.push(match terms.approval.as_ref().filter(|_| !terms.changes.is_empty()) {
            Some(name) => format!("the baseline is that of {}, and the judge is the change's own, as {name} approved", revision.told()),
            None => format!("the baseline and the judge are those of {}", revision.told()),
        });
    }
    if revision.is_in_history() == Some(false) {
        notes
            .push(format!("{} is not in the history of this working tree: what was added there since looks deleted here", revision.told()));
    }
    (grounds, notes)
}
