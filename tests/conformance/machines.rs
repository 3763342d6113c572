//! Machines: what is moved off them on purpose, and what replicas do to each other there (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_sim::{Automation, Finished};

use crate::support::{case, good_share, told};

/// When replicas began to leave.
fn leaving(finished: &Finished<impl Automation>) -> Vec<f64> {
    let left = told(finished, |event| {
        matches!(event, Event::ReplicaChanged { state: ReplicaState::Draining | ReplicaState::Gone, .. }).then_some(())
    });
    left.into_iter().map(|(at, ())| at.round()).collect()
}

/// The fewest ready replicas at the end of any bin.
fn fewest(finished: &Finished<impl Automation>) -> u32 {
    finished.ledger.services[0].bins.iter().map(|bin| bin.ready).min().unwrap()
}

#[test]
fn a_drained_node_lets_its_replicas_go_one_by_one_if_a_budget_wants_that() {
    let finished = case("disruption").play(0);
    // The second asks again every five seconds; the replacement of the first is ready after twelve.
    assert_eq!(leaving(&finished), [100.0, 115.0]);
    let refused = told(&finished, |event| if let Event::NotEvicted { figures, .. } = event { Some(figures.clone()) } else { None });
    assert_eq!(refused, [(100.0, "5 of 6 replicas are ready, and 5 must stay".to_owned())]);
    assert_eq!(good_share(&finished, 0, 600), 1.0);
    let states = told(&finished, |event| if let Event::NodeChanged { state, .. } = event { Some(state.to_string()) } else { None });
    assert_eq!(states, [(100.0, "cordoned".to_owned()), (300.0, "uncordoned".to_owned())]);
}

#[test]
fn shares_of_a_disruption_budget_are_rounded_up_in_both_forms() {
    let with = |budget: &str| leaving(&case("disruption").with("min_available: 5", budget).play(0));
    // 75 % of 6 is 4.5: five must stay. 20 % of 6 is 1.2: two may be missing.
    assert_eq!(with("min_available: 75%"), [100.0, 115.0]);
    assert_eq!(with("max_unavailable: 20%"), [100.0, 100.0]);
    assert_eq!(with("max_unavailable: 0"), [] as [f64; 0]);
}

#[test]
fn a_drain_waits_for_who_is_missing_anyway_and_a_restart_does_not() {
    // Another replica crashes, and is away for 12 s when the drain begins.
    let crash = "changes:\n  - crash: { replica: api-5 }\n    at: 95s";
    let budget = case("disruption").with("changes:", crash);
    assert_eq!(leaving(&budget.play(0))[0], 110.0);
    let restart = "oracle:\n  - restart: { service: api, mode: at_once }\n    at: 200s\nfaults:";
    let restarted = case("disruption").with("changes:", restart).play_cured(0);
    assert_eq!(fewest(&restarted), 0);
}

#[test]
fn a_drain_by_an_action_asks_the_budget_too_and_the_node_stays_empty() {
    let oracle = "faults:\n  - slow: { service: api, factor: x2 }\n    at: 90s\noracle:\n  - drain: { node: blue-0 }\n    at: 100s";
    let drained = "changes:\n  - node_drain: { node: blue-0 }\n    at: 100s\n    lasting: 200s";
    let finished = case("disruption").with(drained, oracle).play_cured(0);
    assert_eq!(leaving(&finished), [100.0, 115.0]);
    let ended =
        told(&finished, |event| if let Event::ActionFinished { outcome, .. } = event { Some(format!("{outcome:?}")) } else { None });
    assert_eq!(ended, [(127.0, "Succeeded".to_owned())]);
}
