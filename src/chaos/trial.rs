//! One variant, played with nobody acting and with the policies, and held against what must hold.

use std::sync::Arc;

use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::Outcome;
use firedrill_reports::verdict::Threshold;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::document::chaos::ChaosDocument;
use firedrill_scenarios::variants::{Origin, Plan, Ranges};

use crate::campaign::Shown;
use crate::chaos::demands::{Breach, Demands};
use crate::drill::{Answer, Arm, Drill, Remembered, Rules};
use crate::load::{self, Source};

/// A scenario whose variants are tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What variants are made from.
    pub origin: Origin,
    /// What watches.
    pub rules: Arc<Rules>,
    /// What may differ.
    pub ranges: Ranges,
    /// What must hold.
    pub demands: Demands,
}

/// Who is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Who answers.
    pub answer: Arc<Answer>,
    /// The seed of every run.
    pub seed: u64,
}

/// What a trial showed.
#[derive(Clone, Debug)]
pub struct Shows {
    /// What was not kept.
    pub breaches: Vec<Breach>,
    /// What the run came to.
    pub outcome: Outcome,
}

impl Tried {
    /// A scenario that is judged by some thresholds, with what it and its project say may differ.
    #[must_use]
    pub fn new((scenario, rules): &(Arc<Scenario>, Arc<Rules>), project: Option<&ChaosDocument>, thresholds: &[Threshold]) -> Self {
        let ranges = Ranges::of(&[scenario.chaos.as_deref(), project]);
        let demands = Demands::of(thresholds, ranges.tolerance.get());
        Self { origin: Origin::of(scenario), rules: Arc::clone(rules), ranges, demands }
    }

    /// The variant as a scenario; `None` if it is no sound one.
    #[must_use]
    pub fn read(&self, plan: &Plan) -> Option<Scenario> {
        let source = Source { path: self.origin.path.clone(), text: self.origin.text(plan) };
        load::read_scenario(&source).ok()
    }
}

impl Trial {
    /// Plays a variant that was read. The oracle is played too where a demand asks what it would have kept.
    #[must_use]
    pub fn play(&self, tried: &Tried, scenario: Scenario) -> Shows {
        let has_oracle = tried.demands.need_oracle() && !scenario.spec.cures.is_empty();
        let drill = Drill {
            scenario: Arc::new(scenario),
            rules: Arc::clone(&tried.rules),
            answer: Arc::clone(&self.answer),
            stage: Stage::Full,
            past: Remembered::default(),
        };
        let mut arms = vec![(&drill, Arm::Nothing), (&drill, Arm::Policy)];
        if has_oracle {
            arms.push((&drill, Arm::Oracle));
        }
        let mut played = Drill::play_together(&arms, self.seed).into_iter().map(|played| played.transcript);
        let nothing = played.next().expect("doing nothing was played");
        let policy = played.next().expect("the policy was played");
        let shown = Shown { nothing, policy, oracle: played.next(), human: None };
        let outcome = shown.outcome(&self.answer);
        Shows { breaches: tried.demands.broken(&outcome, &shown.policy), outcome }
    }
}
