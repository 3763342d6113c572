//! One variant, played with nobody acting and with the policies, and held against what must hold.

use std::sync::Arc;

use firedrill_core::random::hash64;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::Outcome;
use firedrill_reports::verdict::Threshold;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::document::chaos::ChaosDocument;
use firedrill_scenarios::variants::{Origin, Plan, Ranges};

use crate::campaign::Shown;
use crate::chaos::demands::{Breach, Demands, first_refusals};
use crate::drill::{Answer, Arm, Drill, Remembered, Rules};
use crate::known::{KeptVariant, Known};
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
pub struct Trial<'a> {
    /// Who answers.
    pub answer: Arc<Answer>,
    /// The seed of every run.
    pub seed: u64,
    /// What need not be played again.
    pub known: &'a Known,
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

    /// What the runs of its variants are known under: all that they depend on, but the variant, the seed and the program.
    #[must_use]
    pub fn key(&self, answer: &Answer) -> String {
        let told = format!("variants\n{}\n{}\n{}", self.origin.name, self.rules.hash, answer.hash);
        blake3::hash(told.as_bytes()).to_hex().to_string()
    }

    fn plays_oracle(&self, scenario: &Scenario) -> bool {
        self.demands.need_oracle() && !scenario.spec.cures.is_empty()
    }

    /// The variant as a scenario; `None` if it is no sound one.
    #[must_use]
    pub fn read(&self, plan: &Plan) -> Option<Scenario> {
        let source = Source { path: self.origin.path.clone(), text: self.origin.text(plan) };
        load::read_scenario(&source).ok()
    }
}

impl Trial<'_> {
    /// Plays a variant that was read, if it is not known. The oracle is played too where a demand asks what it would have kept.
    #[must_use]
    pub fn play(&self, tried: &Tried, scenario: Scenario) -> Shows {
        let KeptVariant { outcome, refused } = self.recall(tried, &scenario).unwrap_or_else(|| {
            let (key, which) = (tried.key(&self.answer), self.which(tried, &scenario));
            let played = self.run(tried, scenario);
            self.known.keep_variant(&key, which, &played);
            played
        });
        Shows { breaches: tried.demands.broken(&outcome, &refused), outcome }
    }

    /// Whether a variant that was read need not be played.
    #[must_use]
    pub fn knows(&self, tried: &Tried, scenario: &Scenario) -> bool {
        self.recall(tried, scenario).is_some()
    }

    /// Keeps elsewhere as well what is known of a variant.
    pub fn hand_over(&self, tried: &Tried, scenario: &Scenario, kept: &Known) {
        if let Some(own) = self.recall(tried, scenario) {
            kept.keep_variant(&tried.key(&self.answer), self.which(tried, scenario), &own);
        }
    }

    fn recall(&self, tried: &Tried, scenario: &Scenario) -> Option<KeptVariant> {
        let kept = self.known.variant(&tried.key(&self.answer), self.which(tried, scenario))?;
        let of = (&kept.outcome.scenario, &kept.outcome.scenario_hash, kept.outcome.seed);
        let is_it = of == (&scenario.name, &scenario.hash, self.seed) && kept.outcome.oracle.is_some() == tried.plays_oracle(scenario);
        is_it.then_some(kept)
    }

    /// What tells a run from those of other variants of its scenario. Two that are told alike by chance are told apart by what is kept.
    fn which(&self, tried: &Tried, scenario: &Scenario) -> u64 {
        let told = format!("{}\n{}\n{}\n{}", scenario.name, scenario.hash, self.seed, tried.plays_oracle(scenario));
        hash64(&told)
    }

    fn run(&self, tried: &Tried, scenario: Scenario) -> KeptVariant {
        let has_oracle = tried.plays_oracle(&scenario);
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
        KeptVariant { outcome: shown.outcome(&self.answer), refused: first_refusals(&shown.policy) }
    }
}
