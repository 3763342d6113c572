//! Faults of actuators (docs/MODEL.md 2b): what is done, what is reported, and that luck belongs to the action.

use std::sync::Arc;

use crate::common::*;
use firedrill_core::action::{Action, ActionId, ActionOutcome, ActionResult, Actuator, RestartMode, Scale, Target};
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Time};
use firedrill_core::transcript::Desk;
use firedrill_sim::spec::*;
use firedrill_sim::{Automation, Finished, Options, Run};
use firedrill_telemetry::store::Store;

/// Somebody who gives orders at their times and keeps what is reported.
#[derive(Clone, Debug)]
struct Operator {
    orders: Vec<(u64, Action, Target)>,
    given: usize,
    reports: Vec<(u64, ActionOutcome)>,
}

impl Automation for Operator {
    fn due(&self) -> Option<(Time, Class)> {
        self.orders.get(self.given).map(|(second, ..)| (at(*second), Class::Controller))
    }

    fn advance(&mut self, _raw: &Store, desk: &mut Desk) {
        let (_, action, target) = self.orders[self.given].clone();
        let id = ActionId { policy: Name::new("operator"), ordinal: self.given as u64 };
        desk.commands.push(Actuator::simulated().command(id, action, target));
        self.given += 1;
    }

    fn finished(&mut self, result: &ActionResult, _raw: &Store, _desk: &mut Desk) {
        self.reports.push((result.action.ordinal, result.outcome.clone()));
    }
}

fn shop() -> WorldSpec {
    let mut api = service("api", vec![Phase::Cpu(exponential(0.01))]);
    (api.replicas, api.workers, api.start_up) = (4, Some(8), seconds(2.0));
    world(3600, vec![api], vec![client("users", "api", 2.0)])
}

fn wrong(misdeed: Misdeed) -> ActuatorFaultSpec {
    let shares = vec![(misdeed, share(1.0))];
    ActuatorFaultSpec { name: Name::new("wrong"), at: at(0), lasting: None, action: None, shares, late_by: seconds(100.0) }
}

fn play(misdeed: Option<Misdeed>, orders: &[(u64, Action, Target)]) -> Finished<Operator> {
    let mut spec = shop();
    spec.actuators = misdeed.into_iter().map(wrong).collect();
    play_in(spec, orders)
}

fn play_in(spec: WorldSpec, orders: &[(u64, Action, Target)]) -> Finished<Operator> {
    let operator = Operator { orders: orders.to_vec(), given: 0, reports: Vec::new() };
    Run::new(Arc::new(spec), Seed(1), Options { telemetry: false, ..Options::default() }, operator).finish()
}

const RESTART: Action = Action::Restart { mode: RestartMode::AtOnce };

/// When processes began to start anew, in seconds.
fn restarts(finished: &Finished<Operator>) -> Vec<f64> {
    let started = |event: &Event| matches!(event, Event::ReplicaChanged { state: ReplicaState::Starting, reason, .. } if reason.contains("restarted by"));
    finished.journal.records().iter().filter(|record| started(&record.event)).map(|record| record.at.as_seconds()).collect()
}

fn wanted(finished: &Finished<Operator>) -> u32 {
    finished.ledger.services[0].bins.last().unwrap().wanted
}

#[track_caller]
fn check(misdeed: Misdeed, restarted: usize, report: Option<&str>) -> Finished<Operator> {
    let finished = play(Some(misdeed), &[(60, RESTART, service_target("api"))]);
    assert_eq!(restarts(&finished).len(), restarted, "{:?}", finished.journal.records());
    let expected: Vec<ActionOutcome> = report
        .into_iter()
        .map(|why| if why.is_empty() { ActionOutcome::Succeeded } else { ActionOutcome::Failed(why.to_owned()) })
        .collect();
    let reports: Vec<ActionOutcome> = finished.automation.reports.iter().map(|(_, outcome)| outcome.clone()).collect();
    assert_eq!(reports, expected);
    let told = |event: &Event| matches!(event, Event::Noted { what } if what == &format!("operator#0 {}", misdeed.told()));
    assert!(finished.journal.records().iter().any(|record| told(&record.event)), "the journal tells the truth");
    finished
}

#[test]
fn each_misdeed_does_what_it_says_and_reports_what_it_says() {
    assert_eq!(restarts(&play(None, &[(60, RESTART, service_target("api"))])), [61.0; 4]);
    check(Misdeed::Fails, 0, Some("the platform did not carry it out"));
    check(Misdeed::Partly, 2, Some("the platform stopped half way"));
    check(Misdeed::Hangs, 0, None);
    check(Misdeed::NoEffect, 0, Some(""));
    check(Misdeed::FalseFailure, 4, Some("the platform reported an error"));
    assert_eq!(restarts(&check(Misdeed::Late, 4, Some(""))), [161.0; 4]);
    let twice = restarts(&check(Misdeed::Twice, 8, Some("")));
    assert_eq!(twice, [[61.0; 4], [62.0; 4]].concat());
}

#[test]
fn a_number_has_a_half_and_one_replica_has_none() {
    let add = |count: i32| Action::Scale { replicas: Scale::By(count) };
    assert_eq!(wanted(&play(Some(Misdeed::Partly), &[(60, add(4), service_target("api"))])), 6);
    assert_eq!(wanted(&play(Some(Misdeed::Twice), &[(60, add(4), service_target("api"))])), 12);
    assert_eq!(wanted(&play(Some(Misdeed::NoEffect), &[(60, add(4), service_target("api"))])), 4);
    let finished = play(Some(Misdeed::Partly), &[(60, RESTART, replica_target("api-1"))]);
    assert!(restarts(&finished).is_empty());
    let nothing = ActionOutcome::Failed("the platform stopped before it had done anything".to_owned());
    assert_eq!(finished.automation.reports, [(0, nothing)]);
}

#[test]
fn what_the_platform_turns_away_is_no_fault_of_whoever_orders_it() {
    for misdeed in [None, Some(Misdeed::Late), Some(Misdeed::Twice), Some(Misdeed::FalseFailure)] {
        let finished = play(misdeed, &[(60, Action::Rollback, service_target("api"))]);
        let outcomes: Vec<&ActionOutcome> = finished.automation.reports.iter().map(|(_, outcome)| outcome).collect();
        assert!(matches!(outcomes[..], [ActionOutcome::Refused(_)]), "{misdeed:?}: {outcomes:?}");
    }
    let finished = play(Some(Misdeed::Partly), &[(60, Action::Rollback, service_target("api"))]);
    assert!(matches!(finished.automation.reports[..], [(0, ActionOutcome::Failed(_))]));
}

#[test]
fn it_concerns_one_action_and_what_is_ordered_while_it_lasts() {
    let mut spec = shop();
    let one = ActuatorFaultSpec { action: Some(Name::new("scale")), lasting: Some(Span::from_seconds(100)), ..wrong(Misdeed::NoEffect) };
    spec.actuators = vec![one];
    let add = || Action::Scale { replicas: Scale::By(1) };
    let orders = [(50, add(), service_target("api")), (60, RESTART, replica_target("api-0")), (100, add(), service_target("api"))];
    let finished = play_in(spec, &orders);
    assert_eq!((wanted(&finished), restarts(&finished).len()), (5, 1));
    let noted = |event: &Event| matches!(event, Event::Noted { what } if what.starts_with("wrong"));
    let notes = finished.journal.records().iter().filter(|record| noted(&record.event)).map(|record| record.at).collect::<Vec<_>>();
    assert_eq!(notes, [at(0), at(100)]);
}

#[test]
fn luck_belongs_to_the_action_whatever_else_is_done() {
    let mut spec = shop();
    spec.actuators =
        vec![ActuatorFaultSpec { shares: vec![(Misdeed::Fails, share(0.3)), (Misdeed::NoEffect, share(0.3))], ..wrong(Misdeed::Fails) }];
    let order = |ordinal: u64| (10 + 10 * ordinal, RESTART, replica_target("api-0"));
    let many: Vec<_> = (0..300).map(order).collect();
    let all = play_in(spec.clone(), &many);
    let failed = |finished: &Finished<Operator>| -> Vec<u64> {
        let failed = finished.automation.reports.iter().filter(|(_, outcome)| *outcome != ActionOutcome::Succeeded);
        failed.map(|(ordinal, _)| *ordinal).collect()
    };
    let share = failed(&all).len() as f64 / 300.0;
    assert!((share - 0.3).abs() < 0.08, "{share}");
    assert!((restarts(&all).len() as f64 / 300.0 - 0.4).abs() < 0.08);
    // The same actions on another replica, of a service that others scale: the same ones fail.
    let elsewhere: Vec<_> = many.iter().map(|(second, action, _)| (*second, action.clone(), replica_target("api-3"))).collect();
    assert_eq!(failed(&play_in(spec, &elsewhere)), failed(&all));
}
