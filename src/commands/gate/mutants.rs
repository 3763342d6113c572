//! Which mistakes the scenarios and incidents would notice: each judged policy weakened in every way, and judged like a candidate (docs/mutants.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use firedrill_policies::mutants::{self, Mutant};
use firedrill_policies::parts::parts;
use firedrill_policies::policy::Policy;
use firedrill_reports::outcome::{Exercise, Outcome};
use firedrill_reports::scrutiny::{Fate, MutantResult, MutationScore, Scrutiny, Survival};
use firedrill_reports::verdict::{Case, IncidentResult, JudgeSettings, Verdict, judge};
use firedrill_reports::words::counted;
use rayon::prelude::*;

use super::contest::Contest;
use crate::campaign::Campaign;
use crate::cli::GateArgs;
use crate::failure::Failure;
use crate::home::Home;
use crate::judged::Replayed;
use crate::output::Output;
use crate::rule_tests::Suite;

/// Mutants are played on at most so many seeds of a scenario: what is noticed is mostly noticed on the first.
const SEEDS: usize = 3;

/// What mutants are judged with: all that the candidate was.
pub(super) struct Ground<'a> {
    pub campaign: &'a Campaign,
    pub contest: &'a Contest,
    /// The candidate's runs.
    pub cases: &'a [Case],
    pub replays: &'a [Replayed],
    /// What became of the replays.
    pub results: &'a [IncidentResult],
    pub settings: &'a JudgeSettings,
}

/// How closely the candidate was looked at; its mutants are made only if they are asked for.
pub(super) fn scrutiny(ground: &Ground<'_>, arguments: &GateArgs, output: Output) -> Result<Scrutiny, Failure> {
    let parts: Vec<_> = ground.contest.candidate.policies.iter().map(|policy| (policy.name.clone(), parts(policy))).collect();
    let mut scrutiny = Scrutiny::of(&parts, ground.cases, ground.results);
    if arguments.mutants {
        let suites = Suite::of_project(&Home::at(&arguments.project)?)?;
        scrutiny.mutation = Some(score(ground, &suites, &judged(arguments, ground.contest)?, output));
    }
    Ok(scrutiny)
}

/// The policies that are weakened: those that are judged by name, else all.
fn judged(arguments: &GateArgs, contest: &Contest) -> Result<Vec<Arc<Policy>>, Failure> {
    if arguments.candidate.is_empty() {
        return Ok(contest.candidate.policies.clone());
    }
    let named = Home::at(&arguments.project)?.answer(&arguments.candidate)?;
    let is_named = |policy: &&Arc<Policy>| named.policies.iter().any(|other| other.name == policy.name);
    Ok(contest.candidate.policies.iter().filter(is_named).cloned().collect())
}

/// Plays every mutant of some policies until the first run or replay that is judged worse than the policy as it is.
fn score(ground: &Ground<'_>, suites: &[Suite], policies: &[Arc<Policy>], output: Output) -> MutationScore {
    let inventories: Vec<Inventory> = ground.campaign.scenarios.iter().map(|(scenario, _)| scenario.spec.inventory()).collect();
    let trials: Vec<Trial<'_>> = policies.iter().map(|policy| Trial::new(ground, suites, policy, &inventories)).collect();
    let count = trials.iter().map(|trial| trial.mutants.len()).sum::<usize>();
    output.talk(&format!("{} of {}", counted(count as u64, "mutant"), counted(policies.len() as u64, "policy")));
    let found: Vec<(Vec<MutantResult>, u64)> = trials.into_par_iter().map(Trial::run).collect();
    let runs = found.iter().map(|(_, runs)| runs).sum();
    MutationScore { mutants: found.into_iter().flat_map(|(mutants, _)| mutants).collect(), runs }
}

/// One policy and its mutants.
struct Trial<'a> {
    ground: &'a Ground<'a>,
    /// Decision tests of the project.
    suites: &'a [Suite],
    policy: &'a Arc<Policy>,
    mutants: Vec<Mutant>,
    settings: JudgeSettings,
    /// The candidate's runs of each class on the seeds on which mutants are played, and the verdict on them.
    classes: BTreeMap<Name, (Vec<Case>, Verdict)>,
    /// What is known of each mutant, in their order.
    known: Vec<Known>,
}

/// What is known of a mutant so far.
#[derive(Default)]
struct Known {
    killed: Option<(Verdict, String)>,
    /// The first decision test that it fails, with its file.
    failed_test: Option<(String, String)>,
    /// Its runs.
    cases: Vec<Case>,
    /// Runs and replays that went otherwise than the candidate's.
    different: u64,
}

impl<'a> Trial<'a> {
    fn new(ground: &'a Ground<'a>, suites: &'a [Suite], policy: &'a Arc<Policy>, inventories: &[Inventory]) -> Self {
        let deeds = ground.cases.iter().flat_map(|case| &case.outcome.deeds);
        let touched: BTreeSet<Name> =
            deeds.filter(|deed| deed.action.policy == policy.name).map(|deed| deed.target.name().clone()).collect();
        let mutants = mutants::mutants(policy, inventories, &touched);
        let known = mutants.iter().map(|_| Known::default()).collect();
        let settings = JudgeSettings { tail: None, narrowed: true, judge_changes: Vec::new(), cut_short: None, ..ground.settings.clone() };
        let mut trial = Self { ground, suites, policy, mutants, settings, classes: BTreeMap::new(), known };
        trial.classes = trial.judged_classes();
        trial
    }

    /// The classes in which mutants are played.
    fn judged_classes(&self) -> BTreeMap<Name, (Vec<Case>, Verdict)> {
        let classes: BTreeSet<&Name> = self.cells().into_iter().map(|case| &case.class).collect();
        let judged = classes.into_iter().map(|class| {
            let own: Vec<Case> = self.rehearsed().filter(|case| case.class == *class).cloned().collect();
            let verdict = judge(&own, Some(&own), &[], &self.settings).verdict;
            (class.clone(), (own, verdict))
        });
        judged.collect()
    }

    fn run(mut self) -> (Vec<MutantResult>, u64) {
        self.replay();
        let mut runs = 0;
        for case in self.cells() {
            let alive: Vec<usize> = (0..self.mutants.len()).filter(|index| self.known[*index].killed.is_none()).collect();
            if alive.is_empty() {
                break;
            }
            runs += alive.len() as u64;
            self.play(case, &alive);
        }
        for known in self.known.iter_mut().filter(|known| known.killed.is_none()) {
            known.killed = idle(&self.policy.name, self.ground.cases, &known.cases);
        }
        self.test();
        let told = self.mutants.iter().zip(&self.known).map(|(mutant, known)| self.result(mutant, known));
        (told.collect(), runs)
    }

    /// The runs of the candidate in which the policy took something up, those in which it acted first. In every other a mutant hears what the policy
    /// hears, which is nothing, and so does what the policy does.
    fn cells(&self) -> Vec<&'a Case> {
        let mut cells: Vec<&Case> = self.rehearsed().filter(|case| case.outcome.reached.parts.contains_key(&self.policy.name)).collect();
        let seed_rank = |case: &Case| self.ground.campaign.seeds.iter().position(|seed| *seed == case.outcome.seed);
        cells.sort_by_key(|case| (!acts(&self.policy.name, &case.outcome), seed_rank(case)));
        cells
    }

    /// The candidate's runs on the seeds on which mutants are played.
    fn rehearsed(&self) -> impl Iterator<Item = &'a Case> + use<'a> {
        let seeds: BTreeSet<u64> = self.ground.campaign.seeds.iter().take(SEEDS).copied().collect();
        self.ground.cases.iter().filter(move |case| seeds.contains(&case.outcome.seed))
    }

    /// Replays cost little, so they come first.
    fn replay(&mut self) {
        for (replay, result) in self.ground.replays.iter().zip(self.ground.results) {
            if !result.reached.contains_key(&self.policy.name) {
                continue;
            }
            for (mutant, known) in self.mutants.iter().zip(&mut self.known).filter(|(_, known)| known.killed.is_none()) {
                let found = replay.judge_others(&Arc::new(self.ground.contest.candidate.with_policy(Arc::clone(&mutant.policy))));
                known.different += u64::from(found.decisions != result.decisions);
                if let Some(verdict) = found.verdict().filter(|verdict| is_worse(*verdict, result.verdict())) {
                    known.killed = Some((verdict, format!("incident {}: {}", found.incident, found.findings.join("; "))));
                }
            }
        }
    }

    /// What no run and no replay has shown may show in a decision test, which costs little but is no rehearsal: nothing in it answers.
    fn test(&mut self) {
        for suite in self.suites {
            for test in suite.passed_by(self.policy) {
                let alive = |known: &Known| known.killed.is_none() && known.failed_test.is_none();
                for (mutant, known) in self.mutants.iter().zip(&mut self.known).filter(|(_, known)| alive(known)) {
                    if !suite.is_passed_by(test, &mutant.policy) {
                        known.failed_test = Some((test.name.clone(), suite.path.clone()));
                    }
                }
            }
        }
    }

    /// Plays one cell for all mutants that are alive, on one trunk, and judges its class.
    fn play(&mut self, cell: &Case, alive: &[usize]) {
        let campaign = self.ground.campaign;
        let Some(stage) = campaign.scenarios.iter().find(|(scenario, _)| scenario.name == cell.outcome.scenario) else { return };
        let answers = alive
            .iter()
            .map(|index| Arc::new(self.ground.contest.candidate.with_policy(Arc::clone(&self.mutants[*index].policy))))
            .collect();
        let alone = Campaign { scenarios: vec![stage.clone()], answers, seeds: vec![cell.outcome.seed], ..campaign.clone() };
        for (index, cases) in alive.iter().zip(alone.run(&|| ())) {
            let known = &mut self.known[*index];
            let different = cases.iter().filter(|case| differs(&case.outcome, &cell.outcome)).count() as u64;
            known.different += different;
            known.cases.extend(cases);
            // What came to the same changes no verdict.
            if different > 0 {
                self.known[*index].killed = self.judge_class(&cell.class, &self.known[*index].cases);
            }
        }
    }

    /// The verdict on a class, with the candidate's runs in the place of those that the mutant has not played; `None` if it is no worse than that on
    /// the candidate.
    fn judge_class(&self, class: &Name, cases: &[Case]) -> Option<(Verdict, String)> {
        let (own, before) = self.classes.get(class)?;
        let is_same = |one: &Case, other: &Case| one.outcome.scenario == other.outcome.scenario && one.outcome.seed == other.outcome.seed;
        let changed: Vec<Case> = own.iter().map(|case| cases.iter().find(|other| is_same(case, other)).unwrap_or(case).clone()).collect();
        let after = judge(&changed, Some(own), &[], &self.settings);
        let reason = || match after.verdict {
            Verdict::NotExercised => after.classes.iter().find_map(|class| class.exercise.reason.clone()).unwrap_or_else(|| after.reason()),
            _ => after.reason(),
        };
        is_worse(after.verdict, Some(*before)).then(|| (after.verdict, reason()))
    }

    fn result(&self, mutant: &Mutant, known: &Known) -> MutantResult {
        let fate = match (&known.killed, &known.failed_test) {
            (Some((verdict, reason)), _) => Fate::Killed { verdict: *verdict, reason: reason.clone() },
            (None, Some((test, file))) => Fate::FailsTest { test: test.clone(), file: file.clone() },
            (None, None) => Fate::Survived { why: self.survival(&mutant.part, known.different), wanted: mutant.wanted.clone() },
        };
        let place = &mutant.place;
        MutantResult {
            policy: self.policy.name.clone(),
            what: mutant.what.clone(),
            file: place.file().path.clone(),
            line: place.line() as u64,
            fate,
        }
    }

    fn survival(&self, part: &Part, different: u64) -> Survival {
        let has = |parts: &BTreeMap<Name, BTreeSet<Part>>| parts.get(&self.policy.name).is_some_and(|parts| parts.contains(part));
        let in_runs = self.rehearsed().any(|case| has(&case.outcome.reached.parts));
        let in_replays = self.ground.results.iter().any(|result| has(&result.reached));
        match different {
            0 if !in_runs && !in_replays => Survival::NeverReached { part: part.to_string() },
            0 => Survival::MadeNoDifference,
            runs => Survival::WithinWhatMustHold { runs },
        }
    }
}

/// Only what breaks, or is not exercised, is noticed: that these runs do not tell is no more than that.
fn is_worse(verdict: Verdict, than: Option<Verdict>) -> bool {
    matches!(verdict, Verdict::Broken | Verdict::NotExercised) && than.is_none_or(|than| verdict > than)
}

/// Whether a policy acted in a run.
fn acts(policy: &Name, outcome: &Outcome) -> bool {
    matches!(&outcome.exercise, Exercise::Acted { policies } if policies.contains(policy))
}

/// A policy that acted, and does so nowhere any more, is not exercised: the gate names it.
fn idle(policy: &Name, before: &[Case], after: &[Case]) -> Option<(Verdict, String)> {
    let acted = |cases: &[Case]| cases.iter().any(|case| acts(policy, &case.outcome));
    (acted(before) && !acted(after)).then(|| (Verdict::NotExercised, format!("{policy} never acts")))
}

/// Whether two runs of one scenario and seed came to anything different. What stands only in journals, such as that a guard was asked, is no
/// difference.
fn differs(one: &Outcome, other: &Outcome) -> bool {
    let bare = |outcome: &Outcome| {
        let mut bare = outcome.clone();
        bare.policies_hash.clear();
        bare.policy.fingerprint.clear();
        // What is no part of an outcome's JSON is not there in one that was kept.
        bare.fired.clear();
        bare.judged.clear();
        bare.reached = firedrill_reports::outcome::Reached::default();
        bare
    };
    bare(one) != bare(other)
}
