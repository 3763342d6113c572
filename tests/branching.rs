//! Arms that are played together leave behind, to the byte, what each would have left behind alone (docs/decisions/branching.md).
//!
//! Of telemetry they have only what somebody reads, and alone all of it, so this holds too that nobody misses the rest.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod common;

use std::sync::Arc;

use common::root;
use firedrill::drill::{Arm, Drill, Played, Remembered, Rules};
use firedrill::sources;
use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use firedrill_scenarios::{Scenario, library, read_scenario};
use firedrill_sim::spec::WorldSpec;
use proptest::prelude::*;

const POLICIES: [&str; 10] = [
    "break-retry-storm",
    "drain-lost-zone",
    "drain-sick-replica",
    "fail-over-lost-primary",
    "park-poisoned-messages",
    "restart-all",
    "restart-before-oom",
    "restart-crashed-or-hung",
    "rollback-on-regression",
    "scale-on-saturation",
];

fn scenarios() -> Vec<Scenario> {
    library::ENTRIES.iter().map(|entry| read_scenario(entry.path, entry.text).unwrap()).filter(|scenario| !scenario.reference).collect()
}

/// The scenario with everything in it earlier or later, busier or calmer, and an end.
fn changed(mut scenario: Scenario, load: f64, minutes: u64) -> Arc<Scenario> {
    let spec = &*scenario.spec;
    let mut spec = WorldSpec { horizon: spec.horizon.min(Span::from_minutes(minutes)), ..spec.clone() };
    for client in &mut spec.clients {
        for (_, rate) in &mut client.rates {
            *rate = firedrill_core::quantity::Rate::per_second(rate.get() * load).unwrap();
        }
    }
    scenario.spec = Arc::new(spec);
    Arc::new(scenario)
}

fn drill(scenario: &Arc<Scenario>, rules: &Arc<Rules>, policies: &[&str], stage: Stage) -> Drill {
    let answer = sources::answer(policies, root()).unwrap();
    Drill { scenario: Arc::clone(scenario), rules: Arc::clone(rules), answer, stage, past: Remembered::default() }
}

/// Asserts that what was played together is what was played alone, and tells whether anybody acted.
fn check(together: &Played, alone: &Played, what: &str) -> bool {
    let (left, right) = (together.transcript.to_json_lines(), alone.transcript.to_json_lines());
    if left != right {
        let (line, (left, right)) =
            left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right).unwrap_or_default();
        panic!("{what}: line {line} of the journals differs\n  together: {left}\n  alone:    {right}");
    }
    assert!(together.transcript.ledger == alone.transcript.ledger, "{what}: the ledgers differ");
    assert_eq!(together.transcript.fingerprint(), alone.transcript.fingerprint(), "{what}");
    left.contains("\"action_started\"")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn any_policies_on_any_scenario_are_the_same_together_and_alone(
        scenario in 0..scenarios().len(),
        load in 0.3..1.4_f64,
        minutes in 7..16_u64,
        chosen in proptest::sample::subsequence(POLICIES.to_vec(), 2..=3),
        seed in 0..1000_u64,
        dry in proptest::bool::weighted(0.2),
    ) {
        let scenario = changed(scenarios().swap_remove(scenario), load, minutes);
        let rules = sources::rules(&["slo", "kubernetes", "stateful"], root()).unwrap();
        let stage = if dry { Stage::DryRun } else { Stage::Full };
        let drills: Vec<Drill> = chosen.iter().map(|policy| drill(&scenario, &rules, &[policy], stage)).collect();
        let mut arms = vec![(&drills[0], Arm::Nothing), (&drills[0], Arm::Oracle)];
        arms.extend(drills.iter().map(|drill| (drill, Arm::Policy)));
        for ((drill, arm), together) in arms.iter().zip(Drill::play_together(&arms, seed)) {
            let what = format!("{} with {} in the arm {}, load x{load}, {minutes} min, seed {seed}", scenario.name, drill.answer.label, arm.word());
            check(&together, &drill.play(*arm, seed), &what);
        }
    }
}

#[test]
fn policies_that_act_at_different_times_each_have_their_own_world_from_there_on() {
    let scenario = changed(scenarios().into_iter().find(|scenario| &*scenario.name == "hang-one-replica").unwrap(), 1.0, 20);
    let rules = sources::rules(&["slo", "kubernetes"], root()).unwrap();
    let drills =
        ["restart-crashed-or-hung", "restart-all", "break-retry-storm"].map(|policy| drill(&scenario, &rules, &[policy], Stage::Full));
    let mut arms = vec![(&drills[0], Arm::Nothing)];
    arms.extend(drills.iter().map(|drill| (drill, Arm::Policy)));
    let together = Drill::play_together(&arms, 1);
    let acted: Vec<bool> =
        arms.iter().zip(&together).map(|((drill, arm), played)| check(played, &drill.play(*arm, 1), drill.answer.label.as_str())).collect();
    assert_eq!(acted, [false, true, true, false], "two of them act, and one has nothing to do");
    assert!(together[1].transcript.ledger != together[2].transcript.ledger, "two policies are two worlds");
}
