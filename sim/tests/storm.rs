//! The retry storm (docs/MODEL.md 7, R-MS1): a short loss of capacity leaves a queue that retries keep full.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use firedrill_core::action::{Action, RestartMode, Target};
use firedrill_core::ledger::RequestOutcome;
use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_sim::spec::{CureSpec, FaultKind, Phase, WarmUp, WorldSpec};

const SEEDS: u64 = 4;

/// Ten workers that do 100 requests a second; a client with a timeout of 1 s and three retries at once; capacity x0.3 from 60 s to 80 s.
fn storm(per_second: f64, cures: Vec<CureSpec>) -> WorldSpec {
    let mut api = service("api", vec![Phase::Cpu(exponential(0.1))]);
    api.workers = Some(10);
    let mut users = client("users", "api", per_second);
    users.timeout = Some(Span::from_seconds(1));
    users.retries = retries(3);
    let mut spec = world(390, vec![api], vec![users]);
    let target = service_target("api");
    spec.faults = vec![fault("brownout", 60, Some(20), FaultKind::Capacity { target, factor: factor(0.3) })];
    spec.cures = cures;
    spec
}

/// Asserts the share of good requests among those that arrive from 300 s on, in every seed.
#[track_caller]
fn check(spec: &WorldSpec, good: std::ops::RangeInclusive<f64>) {
    for seed in 0..SEEDS {
        let share = outcome_share(&run_cured(spec, seed), (300, 390), RequestOutcome::Good);
        assert!(good.contains(&share), "seed {seed}: {share} of requests are good, not {good:?}");
    }
}

const fn limit() -> Action {
    Action::LimitRetries { retries: 0, lasting: Span::from_seconds(20) }
}

#[test]
fn light_load_recovers_by_itself() {
    check(&storm(20.0, Vec::new()), 0.995..=1.0);
}

#[test]
fn heavy_load_stays_stuck_after_the_trigger_is_gone() {
    check(&storm(70.0, Vec::new()), 0.0..=0.01);
}

#[test]
fn a_restart_does_not_cure_it() {
    let restart = cure(160, Action::Restart { mode: RestartMode::AtOnce }, service_target("api"));
    // Back at once, it meets all whose requests it has just dropped.
    let mut spec = storm(70.0, vec![restart]);
    spec.services[0].start_up = seconds(0.0);
    check(&spec, 0.0..=0.05);
    // Back later, those have been refused and have given up; but it is cold, and slower than the load.
    spec.services[0].start_up = seconds(10.0);
    spec.services[0].warm_up = Some(WarmUp { factor: factor(4.0), tau: Span::from_seconds(30) });
    check(&spec, 0.0..=0.05);
}

#[test]
fn retries_off_alone_do_not_cure_it() {
    let users = Target::Client(Name::new("users"));
    check(&storm(70.0, vec![cure(160, limit(), users)]), 0.0..=0.05);
}

#[test]
fn an_empty_queue_with_retries_off_for_20_s_cures_it() {
    let users = Target::Client(Name::new("users"));
    let cures = vec![cure(160, limit(), users), cure(160, Action::PurgeQueue, service_target("api"))];
    check(&storm(70.0, cures), 0.995..=1.0);
    // Limiting all callers of the service is the same.
    let cures = vec![cure(160, limit(), service_target("api")), cure(160, Action::PurgeQueue, service_target("api"))];
    check(&storm(70.0, cures), 0.995..=1.0);
}

#[test]
fn a_short_queue_turns_the_storm_away() {
    let mut spec = storm(70.0, Vec::new());
    spec.services[0].queue = Some(50);
    check(&spec, 0.99..=1.0);
}
