//! Many runs: scenarios × seeds × arms, in parallel over cells and in one order in the results.

use std::sync::Arc;

use firedrill_core::transcript::Transcript;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::{ArmOutcome, Arms, DeedOutcome, Outcome, OutcomeSettings, measure_beside};
use firedrill_reports::verdict::Case;
use firedrill_reports::worth::DeedWorth;
use firedrill_scenarios::Scenario;
use rayon::prelude::*;

use crate::automation::LeftOut;
use crate::drill::{Answer, Arm, Drill, Remembered, Rules};
use crate::known::Known;

/// What is rehearsed with whom.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The scenarios, each with the rules that watch it.
    pub scenarios: Vec<(Arc<Scenario>, Arc<Rules>)>,
    /// Who answers, each in an arm of its own.
    pub answers: Vec<Arc<Answer>>,
    /// The seeds, sorted, each once.
    pub seeds: Vec<u64>,
    /// What the policies may do.
    pub stage: Stage,
    /// Whether they are compared with a person on call, too.
    pub with_human: bool,
}

/// The transcripts of one scenario and seed, for a page that shows them.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Nobody acts.
    pub nothing: Transcript,
    /// The policies act.
    pub policy: Transcript,
    /// The cure at onset; `None` in a scenario without one.
    pub oracle: Option<Transcript>,
    /// A person on call; `None` if there is nobody, or nothing to be cured.
    pub human: Option<Transcript>,
}

impl Campaign {
    /// How many runs there are, all arms counted.
    #[must_use]
    pub fn run_count(&self) -> usize {
        let common = |scenario: &Scenario| 1 + usize::from(has_oracle(scenario)) + usize::from(self.with_human && has_human(scenario));
        self.scenarios.iter().map(|(scenario, _)| self.seeds.len() * (common(scenario) + self.answers.len())).sum()
    }

    /// Runs everything. The result has one list for each answer, sorted by scenario and seed, whatever the number of threads.
    /// `done` is called after each cell, from any thread.
    #[must_use]
    pub fn run(&self, done: &(dyn Fn() + Sync)) -> Vec<Vec<Case>> {
        let cells: Vec<(usize, u64)> =
            (0..self.scenarios.len()).flat_map(|scenario| self.seeds.iter().map(move |seed| (scenario, *seed))).collect();
        // A scenario's past is the same for every seed and whoever answers, so it is worked out once.
        let pasts: Vec<Remembered> = self.scenarios.iter().map(|_| Remembered::default()).collect();
        let known = Known::default();
        let outcomes: Vec<Vec<Case>> = cells
            .par_iter()
            .map(|(scenario, seed)| {
                let (stage, with_human, past) = (self.stage, self.with_human, &pasts[*scenario]);
                let (scenario, rules) = &self.scenarios[*scenario];
                let cell = Cell { scenario, rules, answers: &self.answers, stage, with_human, past };
                let cases = cell.play(*seed, &known);
                done();
                cases
            })
            .collect();
        let mut answers: Vec<Vec<Case>> = self.answers.iter().map(|_| Vec::with_capacity(cells.len())).collect();
        for cell in outcomes {
            for (answer, case) in answers.iter_mut().zip(cell) {
                answer.push(case);
            }
        }
        answers
    }
}

/// A scenario with who answers in it, to be played on seeds.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// What is rehearsed.
    pub scenario: &'a Arc<Scenario>,
    /// What watches.
    pub rules: &'a Arc<Rules>,
    /// Who answers, each in an arm of its own.
    pub answers: &'a [Arc<Answer>],
    /// What the policies may do.
    pub stage: Stage,
    /// Whether they are compared with a person on call, too.
    pub with_human: bool,
    /// What monitoring remembers; shared by all seeds.
    pub past: &'a Remembered,
}

impl Cell<'_> {
    /// What an answer's outcomes are known under: all that they depend on, but the seed and the program.
    #[must_use]
    pub fn key(&self, answer: &Answer) -> String {
        let human = if self.with_human { "with a person" } else { "" };
        let alike = format!("{}\n{}\n{}\n{:?}\n{human}", self.scenario.name, self.scenario.hash, self.rules.hash, self.stage);
        blake3::hash(format!("case\n{alike}\n{}", answer.hash).as_bytes()).to_hex().to_string()
    }

    /// What the oracle's outcomes are known under. Neither rules nor policies touch it.
    #[must_use]
    pub fn oracle_key(&self) -> String {
        blake3::hash(format!("oracle\n{}\n{}", self.scenario.name, self.scenario.hash).as_bytes()).to_hex().to_string()
    }

    /// How many runs it takes on a seed: of doing nothing, the oracle and the person on call once, and one for each answer that is not known.
    #[must_use]
    pub fn run_count(&self, seed: u64, known: &Known) -> usize {
        let missing = self.answers.iter().filter(|answer| !known.has(&self.key(answer), seed)).count();
        let oracle = has_oracle(self.scenario) && !known.has(&self.oracle_key(), seed);
        let common = 1 + usize::from(oracle) + usize::from(self.with_human && has_human(self.scenario));
        if missing == 0 { 0 } else { common + missing }
    }

    /// Every answer on a seed: what is known as it is known, all else against doing nothing, the oracle and the person on call.
    #[must_use]
    pub fn play(&self, seed: u64, known: &Known) -> Vec<Case> {
        let of_answer = |answer: &Arc<Answer>| known.outcome(&self.key(answer), seed);
        let mut found: Vec<Option<Outcome>> = self.answers.iter().map(of_answer).collect();
        let missing: Vec<usize> = (0..found.len()).filter(|&index| found[index].is_none()).collect();
        for (index, outcome) in missing.iter().zip(self.run(&missing, seed, known)) {
            known.keep(&self.key(&self.answers[*index]), seed, &outcome);
            found[*index] = Some(outcome);
        }
        let case = |outcome| Case { class: self.scenario.family.clone(), outcome };
        found.into_iter().flatten().map(case).collect()
    }

    /// Runs the answers with these indices.
    fn run(&self, answers: &[usize], seed: u64, known: &Known) -> Vec<Outcome> {
        let drill = |index: &usize| Drill {
            scenario: Arc::clone(self.scenario),
            rules: Arc::clone(self.rules),
            answer: Arc::clone(&self.answers[*index]),
            stage: self.stage,
            past: self.past.clone(),
        };
        let drills: Vec<Drill> = answers.iter().map(drill).collect();
        let Some(first) = drills.first() else { return Vec::new() };
        let known_oracle = known.oracle(&self.oracle_key(), seed);
        let mut common = common_arms(self.scenario, self.with_human);
        common.retain(|arm| *arm != Arm::Oracle || known_oracle.is_none());
        let arms: Vec<(&Drill, Arm)> =
            common.iter().map(|arm| (first, *arm)).chain(drills.iter().map(|drill| (drill, Arm::Policy))).collect();
        let mut played = Drill::play_together(&arms, seed).into_iter().map(|played| played.transcript);
        let mut next = |arm| if common.contains(&arm) { played.next() } else { None };
        let nothing = next(Arm::Nothing).expect("doing nothing was played");
        let (oracle, human) = (next(Arm::Oracle), next(Arm::Human));
        let outcomes: Vec<Outcome> = drills
            .iter()
            .zip(played)
            .map(|(drill, policy)| measured(&nothing, &policy, (oracle.as_ref(), human.as_ref()), known_oracle.as_ref(), &drill.answer))
            .collect();
        if let Some(oracle) = outcomes.first().and_then(|outcome| outcome.oracle.as_ref()).filter(|_| known_oracle.is_none()) {
            known.keep_oracle(&self.oracle_key(), seed, oracle);
        }
        outcomes
    }
}

impl Drill {
    /// All arms of one seed, to be shown; the person on call only if asked for.
    #[must_use]
    pub fn show(&self, seed: u64, with_human: bool) -> Shown {
        let mut arms = common_arms(&self.scenario, with_human);
        arms.push(Arm::Policy);
        let cells: Vec<(&Self, Arm)> = arms.iter().map(|arm| (self, *arm)).collect();
        let mut played = Self::play_together(&cells, seed).into_iter().map(|played| played.transcript);
        let mut next = |arm| if arms.contains(&arm) { played.next() } else { None };
        let nothing = next(Arm::Nothing).expect("doing nothing was played");
        let (oracle, human) = (next(Arm::Oracle), next(Arm::Human));
        Shown { nothing, policy: next(Arm::Policy).expect("the policy was played"), oracle, human }
    }
}

/// Of at most so many actions of a run it is asked what they were worth; whoever does more is a hazard for that alone.
pub const MOST_DEEDS: usize = 12;

impl Drill {
    /// What each of the first actions of a run was worth, which `show` has played on this seed and which came to this.
    #[must_use]
    pub fn worth(&self, shown: &Shown, outcome: &Outcome) -> Vec<DeedWorth> {
        let deeds: Vec<_> = outcome.deeds.iter().take(MOST_DEEDS).collect();
        let play = |deed: &&DeedOutcome| {
            let answer = Arc::new(self.answer.without(LeftOut::action(deed.action.clone())));
            let drill = Self { answer, ..self.clone() };
            let played = Self::play_together(&[(&drill, Arm::Policy)], outcome.seed).into_iter().next().expect("one was played");
            let without = measured(&shown.nothing, &played.transcript, (None, None), None, &drill.answer);
            DeedWorth::of(deed, outcome, &without)
        };
        deeds.par_iter().map(play).collect()
    }
}

impl Shown {
    /// What they came to.
    #[must_use]
    pub fn outcome(&self, answer: &Answer) -> Outcome {
        measured(&self.nothing, &self.policy, (self.oracle.as_ref(), self.human.as_ref()), None, answer)
    }

    /// The arms, to be measured or drawn.
    #[must_use]
    pub fn arms(&self) -> Arms<'_> {
        Arms { nothing: &self.nothing, policy: &self.policy, oracle: self.oracle.as_ref(), human: self.human.as_ref() }
    }
}

/// The arms that are the same whoever answers, in order.
fn common_arms(scenario: &Scenario, with_human: bool) -> Vec<Arm> {
    let all = [(Arm::Nothing, true), (Arm::Oracle, has_oracle(scenario)), (Arm::Human, with_human && has_human(scenario))];
    all.into_iter().filter(|(_, is_played)| *is_played).map(|(arm, _)| arm).collect()
}

/// Where there is nothing to be cured, a person on call can do no better than nobody.
fn has_human(scenario: &Scenario) -> bool {
    has_oracle(scenario) && scenario.human.is_some()
}

/// A calm scenario needs no cure: there, doing nothing is the oracle.
fn has_oracle(scenario: &Scenario) -> bool {
    !scenario.spec.cures.is_empty()
}

fn measured(
    nothing: &Transcript,
    policy: &Transcript,
    (oracle, human): (Option<&Transcript>, Option<&Transcript>),
    known_oracle: Option<&ArmOutcome>,
    answer: &Answer,
) -> Outcome {
    // Whoever only calls people is not held against the people that they call.
    let only_notifies = !answer.policies.is_empty() && answer.policies.iter().all(|policy| policy.only_notifies());
    let human = human.filter(|_| !only_notifies);
    // One that answers whatever reaches its receiver waits for no alert by name.
    let names = if answer.policies.iter().any(|policy| policy.alerts.is_empty()) { &[][..] } else { &answer.policies };
    let mut answers: Vec<_> = names.iter().flat_map(|policy| policy.alerts.iter().cloned()).collect();
    answers.sort();
    answers.dedup();
    measure_beside(&Arms { nothing, policy, oracle, human }, known_oracle, &OutcomeSettings { answers, ..OutcomeSettings::default() })
}
