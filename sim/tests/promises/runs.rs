//! What a run promises: the same bytes for the same seed, luck that nobody shifts, books that balance, bounds that end it.

use std::sync::Arc;

use crate::common::*;
use crate::worlds::some_world;
use firedrill_core::action::{Action, ActionResult, RestartMode};
use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Time};
use firedrill_core::transcript::Desk;
use firedrill_sim::spec::*;
use firedrill_sim::{Automation, Finished, Idle, Options, Run, Script};
use firedrill_telemetry::store::Store;
use proptest::prelude::*;

/// A front end that calls a back end that calls a store, with timeouts and retries everywhere.
fn three_tiers(horizon: u64) -> WorldSpec {
    let timeout = Some(Span::from_millis(300));
    let mut front = service("front", vec![Phase::Cpu(exponential(0.005)), call("back", timeout, 2), Phase::Cpu(exponential(0.002))]);
    let mut back = service("back", vec![Phase::Cpu(exponential(0.01)), call("store", timeout, 1), Phase::Sleep(exponential(0.005))]);
    let mut store = service("store", vec![Phase::Cpu(exponential(0.01))]);
    for (service, replicas) in [(&mut front, 2), (&mut back, 3), (&mut store, 2)] {
        service.replicas = replicas;
        service.workers = Some(4);
        service.zones = vec![Name::new("a"), Name::new("b")];
    }
    store.balance = Balance::PowerOfTwo;
    back.balance = Balance::Random;
    store.cores = Some(2.0);
    let mut users = client("users", "front", 60.0);
    users.timeout = Some(Span::from_seconds(1));
    users.retries = backed_off(2, Span::from_millis(50), Span::from_seconds(1));
    let mut spec = world(horizon, vec![back, front, store], vec![users]);
    spec.faults = vec![
        fault("crash", 30, None, FaultKind::Crash { target: replica_target("back-1"), every: None }),
        fault("slow", 60, Some(30), FaultKind::Slow { target: service_target("store"), factor: factor(3.0) }),
        fault("zone", 120, Some(20), FaultKind::ZoneLoss { zone: Name::new("a") }),
    ];
    spec.cures = vec![cure(70, Action::Restart { mode: RestartMode::AtOnce }, service_target("store"))];
    spec
}

/// Journal and digest of the ledger, the bytes that must be equal.
fn bytes<A>(finished: &Finished<A>) -> (String, String) {
    (finished.journal.to_json_lines(), finished.ledger.digest().to_hex().to_string())
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let spec = three_tiers(200);
    let (once, again) = (run_cured(&spec, 5), run_cured(&spec, 5));
    assert_eq!(bytes(&once), bytes(&again));
    assert!(once.ledger == again.ledger);
    assert_eq!(once.telemetry.generation(), again.telemetry.generation());
    assert_ne!(bytes(&once).1, bytes(&run_cured(&spec, 6)).1);
}

#[test]
fn telemetry_never_changes_the_world() {
    let spec = Arc::new(three_tiers(200));
    let with = |telemetry| {
        Run::new(Arc::clone(&spec), Seed(5), Options { telemetry, ..Options::default() }, Script::new(Arc::clone(&spec))).finish()
    };
    assert_eq!(bytes(&with(true)), bytes(&with(false)));
}

#[test]
fn a_run_that_stops_and_branches_goes_on_as_if_it_had_not() {
    let spec = Arc::new(three_tiers(200));
    let whole = run_cured(&spec, 5);
    let mut trunk = Run::new(Arc::clone(&spec), Seed(5), Options::default(), Script::new(Arc::clone(&spec)));
    trunk.advance_to(at(65));
    let branch = trunk.clone();
    trunk.advance_to(at(100));
    assert_eq!(bytes(&trunk.finish()), bytes(&whole));
    assert_eq!(bytes(&branch.finish()), bytes(&whole));
}

#[test]
fn an_idle_service_leaves_every_record_of_the_others_unchanged() {
    let spec = three_tiers(200);
    let before = run_cured(&spec, 5);
    let mut with_idle = spec.clone();
    // In a zone of its own: in a lost zone it would have its own losses to report.
    let mut idle = service("aaa", vec![Phase::Cpu(exponential(0.1))]);
    idle.zones = vec![Name::new("idle")];
    with_idle.services.insert(0, idle);
    let after = run_cured(&with_idle, 5);
    assert_eq!(bytes(&before), bytes(&after));
    assert!(before.ledger.clients == after.ledger.clients);
    assert!(before.ledger.services[..] == after.ledger.services[1..]);
}

/// Sets timers, looks, and does nothing.
#[derive(Clone, Debug)]
struct Watcher {
    next: Time,
    looked: u64,
}

impl Automation for Watcher {
    fn due(&self) -> Option<(Time, Class)> {
        Some((self.next, Class::Controller))
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk) {
        self.looked += raw.len() as u64;
        desk.write(self.next, Event::IncidentClosed { policy: Name::new("watcher"), incident: self.looked, reason: "looked".into() });
        self.next += Span::from_millis(777);
    }

    fn finished(&mut self, _: &ActionResult, _: &Store, _: &mut Desk) {
        unreachable!("it never acts")
    }
}

#[test]
fn a_policy_that_only_sets_timers_leaves_every_world_record_unchanged() {
    let spec = Arc::new(three_tiers(200));
    let alone = Run::new(Arc::clone(&spec), Seed(5), Options::default(), Idle).finish();
    let watched = Run::new(Arc::clone(&spec), Seed(5), Options::default(), Watcher { next: Time::ZERO, looked: 0 }).finish();
    let of_world = |event: &Event| (!matches!(event, Event::IncidentClosed { .. })).then(|| format!("{event:?}"));
    assert_eq!(told(&alone, of_world), told(&watched, of_world));
    assert!(alone.ledger == watched.ledger);
    assert!(watched.automation.looked > 0, "it saw telemetry");
}

#[test]
fn a_policy_never_changes_when_requests_arrive() {
    let spec = three_tiers(200);
    let mut without = spec.clone();
    without.cures.clear();
    let (acted, idle) = (run_cured(&spec, 5), run_cured(&without, 5));
    assert!(acted.ledger.clients[0].outcomes != idle.ledger.clients[0].outcomes, "the action mattered");
    assert_eq!(acted.ledger.clients[0].bin_starts, idle.ledger.clients[0].bin_starts);
    assert_eq!(acted.ledger.clients[0].outcomes.len(), idle.ledger.clients[0].outcomes.len());
}

#[test]
fn a_surge_brings_more_arrivals_while_it_lasts_and_leaves_those_before_it_alone() {
    let calm = world(100, vec![service("api", vec![Phase::Cpu(seconds(0.001))])], vec![client("users", "api", 100.0)]);
    let mut surge = calm.clone();
    surge.faults = vec![fault("surge", 30, Some(20), FaultKind::Surge { client: Name::new("users"), factor: factor(3.0) })];
    let arrivals = |spec: &WorldSpec| run(spec, 2).ledger.clients[0].bin_starts.clone();
    let (calm, surge) = (arrivals(&calm), arrivals(&surge));
    assert_eq!(calm[..4], surge[..4]);
    let during = surge[5] - surge[3];
    let after = surge[9] - surge[5];
    assert!((5_700..6_300).contains(&during) && (3_700..4_300).contains(&after), "{during} {after}");
}

#[test]
fn a_bound_ends_the_run_with_its_name() {
    let mut spec = three_tiers(200);
    spec.bounds.events = 10_000;
    let finished = run(&spec, 1);
    let last: Vec<String> = finished.journal.records().iter().rev().take(2).map(|record| format!("{:?}", record.event)).collect();
    assert!(last[1].contains("BoundReached { bound: \"events\"") && last[0].contains("a bound was reached"), "{last:?}");
    assert_eq!(finished.ledger.events, 10_000);
    // Whatever writes without end fills the journal before it fills the memory.
    let mut spec = world(100, vec![service("api", vec![Phase::Cpu(seconds(0.001))])], vec![client("users", "api", 1.0)]);
    spec.bounds.records = 1_000;
    spec.services[0].start_up = seconds(0.0);
    (spec.services[0].life.first_backoff, spec.services[0].life.longest_backoff) = (Span::from_nanos(1), Span::from_nanos(1));
    spec.faults = vec![fault("crash", 1, None, FaultKind::Crash { target: service_target("api"), every: Some(Span::from_nanos(1)) })];
    let journal = run(&spec, 1).journal;
    let told = journal.records().iter().rev().nth(1).map(|record| format!("{:?}", record.event)).unwrap();
    assert!(told.contains("BoundReached { bound: \"records\"") && journal.records().len() < 1_020, "{told}");
    // Nobody is served, so all that arrive are open.
    let mut spec = world(1000, vec![service("api", vec![Phase::Sleep(seconds(1e6))])], vec![client("users", "api", 100.0)]);
    spec.bounds.attempts = 500;
    let finished = run(&spec, 1);
    assert_eq!(finished.ledger.clients[0].outcomes.len(), 501);
}

#[test]
fn no_chain_of_refusals_is_too_long_for_the_stack() {
    // A hundred thousand wait; then every one is answered with an error at once, and retried at once.
    let mut api = service("api", vec![Phase::Sleep(seconds(100.0))]);
    api.start_up = seconds(1.0);
    let mut users = client("users", "api", 5_000.0);
    users.retries = retries(3);
    let mut spec = world(120, vec![api], vec![users]);
    spec.faults = vec![fault("errors", 20, None, FaultKind::ErrorRate { target: service_target("api"), error: share(1.0) })];
    let finished = run(&spec, 1);
    assert!(totals(&finished, "api").completed > 100_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    /// The books are asserted when a run is finished; what is left to say here is that nothing panics, and that it is the same twice.
    #[test]
    fn the_books_of_any_world_balance(spec in some_world(), seed in 0_u64..1000) {
        let finished = run_cured(&spec, seed);
        prop_assert_eq!(finished.ledger.ended, at(75));
        prop_assert_eq!(bytes(&finished), bytes(&run_cured(&spec, seed)));
    }

    #[test]
    fn a_door_without_rules_changes_nothing_and_tells_whom_it_turns_away(mut spec in some_world(), seed in 0_u64..1000) {
        let told = |spec: &WorldSpec| {
            let finished = run_cured(spec, seed);
            let told = told(&finished, |event| (!matches!(event, Event::SheddingChanged { .. })).then(|| format!("{event:?}")));
            (told, finished.ledger.clients)
        };
        spec.services.iter_mut().for_each(|service| service.admission = None);
        let without = told(&spec);
        spec.services.iter_mut().for_each(|service| service.admission = Some(Box::default()));
        prop_assert_eq!(without, told(&spec));
    }
}
