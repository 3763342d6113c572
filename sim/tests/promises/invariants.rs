//! What must hold whatever the world is: more capacity never hurts, names are but names, noise shrinks as theory says, nobody is nobody,
//! CPU time is what was asked for, and counters count up (docs/MODEL.md 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::*;
use crate::worlds::some_world;
use firedrill_core::journal::Event;
use firedrill_core::ledger::{RequestOutcome, ServiceTotals};
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start};
use firedrill_sim::spec::*;
use firedrill_sim::{Finished, Idle, Options, Run, Script};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::store::{Store, is_stale};
use firedrill_telemetry::universe::Kind;
use proptest::prelude::*;

/// Runs with telemetry and without anybody watching.
fn run_seen(spec: &WorldSpec, seed: u64) -> Finished<Idle> {
    Run::new(Arc::new(spec.clone()), Seed(seed), Options::default(), Idle).finish()
}

/// A service behind one client that neither gives up nor tries again, and nothing that is shared with others.
fn some_station() -> impl Strategy<Value = WorldSpec> {
    (1_u32..5, prop::option::of(0.5..3.0_f64), 5.0..60.0_f64, any::<bool>()).prop_map(|(workers, cores, load, sleeps)| {
        let work = exponential(0.06);
        let mut api = service("api", vec![Phase::Cpu(work.clone())]);
        if sleeps {
            api.endpoints[0].phases.push(Phase::Sleep(exponential(0.01)));
        }
        // With cores that are shared, whoever came is served at once: taking turns at a worker as well could let one overtake another.
        api.workers = if cores.is_some() { None } else { Some(workers) };
        api.cores = cores;
        let mut spec = world(60, vec![api], vec![client("users", "api", load)]);
        spec.clients[0].objective = Span::from_millis(200);
        spec
    })
}

/// The same with more of what its one replica has.
fn larger(spec: &WorldSpec) -> WorldSpec {
    let mut more = spec.clone();
    let api = &mut more.services[0];
    api.workers = api.workers.map(|workers| workers + 1);
    api.cores = api.cores.map(|cores| cores * 1.3);
    more
}

/// Requests of all clients that were good.
fn good(finished: &Finished<Idle>) -> usize {
    finished.ledger.clients.iter().flat_map(|client| &client.outcomes).filter(|byte| **byte == RequestOutcome::Good as u8).count()
}

/// Three services in a row with constant work, each with a bounded queue, called as they come with a retry after a pause.
fn in_a_row(names: [&str; 3], work: [u64; 3], queue: u32, load: f64) -> WorldSpec {
    let seconds_of = |micros: u64| Phase::Cpu(seconds(micros as f64 / 1e6));
    let retry = backed_off_without_luck();
    let mut services = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        let mut phases = vec![seconds_of(work[place])];
        if let Some(next) = names.get(place + 1) {
            let Phase::Call(mut call) = call(next, Some(Span::from_millis(90)), 1) else { unreachable!("a call") };
            call.retries = retry.clone();
            phases.push(Phase::Call(call));
        }
        let mut service = service(name, phases);
        (service.workers, service.queue, service.replicas) = (Some(2), Some(queue), 2);
        services.push(service);
    }
    services.sort_by(|left, right| left.name.cmp(&right.name));
    let mut users = client("users", names[0], load);
    (users.timeout, users.retries) = (Some(Span::from_millis(200)), retry);
    world(60, services, vec![users])
}

/// One retry after exactly 7 ms.
fn backed_off_without_luck() -> RetrySpec {
    RetrySpec { max: 1, base: Span::from_millis(7), cap: Span::from_millis(7), ..retries(1) }
}

/// What is left of a service's totals when nobody looks at floating-point noise.
fn counts(totals: ServiceTotals) -> [u64; 7] {
    let ServiceTotals { sent, completed, rejected, lost, in_service, queued, abandoned, .. } = totals;
    [sent, completed, rejected, lost, in_service, queued, abandoned]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Request by request: nobody who was served in time with less is served too late with more.
    #[test]
    fn more_capacity_makes_no_request_worse(spec in some_station(), seed in 0_u64..1000) {
        let (less, more) = (run(&spec, seed), run(&larger(&spec), seed));
        let pairs = less.ledger.clients[0].outcomes.iter().zip(&more.ledger.clients[0].outcomes);
        let worse = pairs.filter(|(less, more)| **less == RequestOutcome::Good as u8 && **more != RequestOutcome::Good as u8).count();
        prop_assert_eq!(worse, 0);
        prop_assert!(less.ledger.clients[0].outcomes.len() == more.ledger.clients[0].outcomes.len());
    }

    /// Behind a balancer requests change their places, so not each is better off, but all together are.
    #[test]
    fn more_replicas_never_reduce_what_is_good(replicas in 1_u32..4, more in 1_u32..3, load in 20.0..150.0_f64, seed in 0_u64..1000) {
        let with = |replicas: u32| {
            let mut back = service("back", vec![Phase::Cpu(exponential(0.02))]);
            let mut front = service("front", vec![Phase::Cpu(exponential(0.005)), call("back", None, 0)]);
            back.replicas = replicas;
            (front.workers, front.balance, back.balance) = (None, Balance::Random, Balance::PowerOfTwo);
            let mut spec = world(60, vec![back, front], vec![client("users", "front", load)]);
            spec.clients[0].objective = Span::from_millis(300);
            let finished = run(&spec, seed);
            (good(&finished), finished.ledger.clients[0].outcomes.len())
        };
        let ((less, arrived), (more, _)) = (with(replicas), with(replicas + more));
        // With another choice among replicas other requests are the unlucky ones: as many as four standard errors of their number.
        let unlucky = (4.0 * ((arrived - less + 1) as f64).sqrt()).min(3.0 + less as f64 / 500.0) as usize;
        prop_assert!(more + unlucky >= less, "{more} requests are good with more replicas, and {less} with {replicas}");
    }

    /// Without luck in the work, all that names decide is the order of what happens in the same instant, and nothing does.
    #[test]
    fn names_are_but_names(
        work in [20_000_u64..60_000, 10_000_u64..50_000, 10_000_u64..50_000], queue in 0_u32..6, load in 10.0..70.0_f64, seed in 0_u64..1000,
        order in Just(vec!["a", "m", "z"]).prop_shuffle(),
    ) {
        let (one, other) = (["a", "m", "z"], [order[0], order[1], order[2]]);
        let (left, right) = (run(&in_a_row(one, work, queue, load), seed), run(&in_a_row(other, work, queue, load), seed));
        prop_assert_eq!(&left.ledger.clients[0].outcomes, &right.ledger.clients[0].outcomes);
        for (one, other) in one.into_iter().zip(other) {
            prop_assert_eq!(counts(totals(&left, one)), counts(totals(&right, other)), "{} is now called {}", one, other);
        }
    }

    /// Who has nothing to do is as if nobody were there.
    #[test]
    fn a_policy_that_does_nothing_is_the_plain_scenario(mut spec in some_world(), seed in 0_u64..1000) {
        spec.cures.clear();
        let plain = run_seen(&spec, seed);
        let spec = Arc::new(spec);
        let idle = Run::new(Arc::clone(&spec), Seed(seed), Options::default(), Script::new(Arc::clone(&spec))).finish();
        prop_assert_eq!(plain.journal.to_json_lines(), idle.journal.to_json_lines());
        prop_assert!(plain.ledger == idle.ledger);
        prop_assert_eq!(plain.telemetry.generation(), idle.telemetry.generation());
    }

    /// Counted from outside: attempts are answered, turned away, lost, or still there; so are requests.
    #[test]
    fn attempts_and_requests_add_up(spec in some_world(), seed in 0_u64..1000) {
        let finished = run(&spec, seed);
        for service in &finished.ledger.services {
            let ServiceTotals { sent, completed, rejected, lost, in_service, queued, abandoned, .. } = service.totals;
            prop_assert_eq!(sent, completed + rejected + lost + in_service + queued, "{}", service.service);
            prop_assert!(abandoned <= sent, "{}: {} of {} were given up", service.service, abandoned, sent);
            prop_assert_eq!(service.bins.iter().map(|bin| bin.attempts).sum::<u64>(), sent, "{}", service.service);
        }
        for client in &finished.ledger.clients {
            prop_assert!(client.outcomes.iter().all(|byte| *byte <= 4));
            prop_assert!(client.bin_starts.is_sorted() && client.bin_starts.iter().all(|start| *start <= client.outcomes.len() as u64));
        }
    }

    /// Once all is done, the CPU time of a service is the work of its attempts, however they shared the cores, and whoever had given up on them.
    #[test]
    fn cpu_time_is_the_work_that_was_asked_for(
        work in [5_000_u64..60_000, 5_000_u64..60_000], cores in prop::option::of(0.5..3.0_f64), load in 5.0..60.0_f64, seed in 0_u64..1000,
        timeout in prop::option::of(20_u64..200),
    ) {
        let mut api = service("api", work.iter().map(|micros| Phase::Cpu(seconds(*micros as f64 / 1e6))).collect());
        (api.workers, api.cores, api.replicas) = (None, cores, 2);
        let mut users = client("users", "api", load);
        // Nobody comes after half a minute, and what came is done long before the end.
        users.rates.push((at(30), rate(0.0)));
        users.timeout = timeout.map(Span::from_millis);
        let finished = run(&world(600, vec![api], vec![users]), seed);
        let totals = totals(&finished, "api");
        prop_assert!(totals.sent > 50 && totals.completed == totals.sent);
        let asked = totals.completed as f64 * work.iter().sum::<u64>() as f64 / 1e6;
        prop_assert!((totals.cpu_seconds / asked - 1.0).abs() < 1e-6, "{} CPU-s, and {asked} were asked for", totals.cpu_seconds);
    }

    /// What is declared as a counter falls only where its process began anew.
    #[test]
    fn counters_count_up_or_begin_again(
        mut spec in some_world(), seed in 0_u64..1000, profiles in prop::sample::subsequence(Profile::ALL.to_vec(), 0..=8),
    ) {
        spec.scrape.interval = Span::from_seconds(2);
        spec.profiles = profiles;
        let spec = Arc::new(spec);
        let universe = firedrill_sim::universe(&spec);
        let finished = Run::new(Arc::clone(&spec), Seed(seed), Options::default(), Script::new(Arc::clone(&spec))).finish();
        let changes = changes(&finished, spec.start);
        let mut counters = 0;
        for id in finished.telemetry.ids() {
            let labels = finished.telemetry.labels(id);
            let metric = labels.metric_name().unwrap();
            if universe.kind(metric) != Some(Kind::Counter) {
                continue;
            }
            counters += 1;
            for (from, to) in falls(&finished.telemetry, id) {
                let who = labels.get("pod").or(labels.get("instance")).unwrap();
                let changed = changes.get(who);
                let anew = changed.is_some_and(|changed| changed.iter().any(|at| (from..=to).contains(at)));
                prop_assert!(anew, "{labels} falls from {from} to {to} ms, and {who} changed at {changed:?}");
            }
        }
        prop_assert!(counters > 10, "{counters} counters");
    }
}

/// When each replica changed its state, milliseconds as the store counts them.
fn changes<A>(finished: &Finished<A>, start: Start) -> BTreeMap<String, Vec<i64>> {
    let mut changes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in finished.journal.records() {
        if let Event::ReplicaChanged { replica, .. } = &record.event {
            changes.entry(replica.to_string()).or_default().push(start.prometheus_millis(record.at));
        }
    }
    changes
}

/// The times of two samples of a series, one after the other, of which the second is less.
fn falls(store: &Store, id: firedrill_telemetry::store::SeriesId) -> Vec<(i64, i64)> {
    let samples = store.times(id).iter().zip(store.values(id)).filter(|(_, value)| !is_stale(**value));
    let samples: Vec<(i64, f64)> = samples.map(|(at, value)| (*at, *value)).collect();
    samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| (pair[0].0, pair[1].0)).collect()
}

#[test]
fn noise_shrinks_with_the_root_of_the_size() {
    // Far from its limits a station of c workers at load a holds a Poisson number of requests, whose relative noise is 1 / sqrt(a).
    let noise = |scale: u32| {
        let mut api = service("api", vec![Phase::Sleep(exponential(0.5))]);
        (api.workers, api.queue) = (Some(40 * scale), Some(0));
        let spec = world(20_000, vec![api], vec![client("users", "api", 20.0 * f64::from(scale))]);
        let finished = run(&spec, 1);
        let held: Vec<f64> = finished.ledger.services[0].bins[1..].iter().map(|bin| bin.in_service as f64).collect();
        let mean = held.iter().sum::<f64>() / held.len() as f64;
        let variance = held.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / (held.len() - 1) as f64;
        (held.len() as f64, variance.sqrt() / mean)
    };
    let ((samples, one), (_, two)) = (noise(1), noise(2));
    // Bins of ten seconds are as good as independent at half a second of work; the standard error of each deviation is 1 / sqrt(2 n) of it.
    let error = 2.0_f64.sqrt() * (1.0 / samples).sqrt();
    let ratio = one / two;
    assert!((ratio - 2.0_f64.sqrt()).abs() < 4.0 * error, "noise shrinks by {ratio} +- {error}");
    assert!(error < 0.05, "a standard error of {error} proves little");
}

#[test]
fn a_counter_that_falls_is_found() {
    let mut store = Store::new();
    let id = store.series(&Labels::named("x_total", &[("pod", "api-0")]));
    for (at, value) in [(0, 1.0), (10, 4.0), (20, 2.0), (30, 3.0)] {
        store.append(id, at, value).unwrap();
    }
    assert_eq!(falls(&store, id), [(10, 20)]);
}
