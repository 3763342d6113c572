//! The engine against the plain loop on M/M/8, and on a chain of three services with timeouts and retries.
//!
//! The engine keeps its ledgers, its histogram and its fingerprint; telemetry is off. Both loops run in this process, in turn.

#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Factor, Rate, Ratio};
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start, Time};
use firedrill_sim::spec::*;
use firedrill_sim::{Idle, Options, Run};

#[path = "reference/mm8.rs"]
mod mm8;

/// `cargo bench` runs the size that counts; `cargo test --benches` the smallest that still shows the right mean.
fn full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn share(share: f64) -> Ratio {
    Ratio::new(share).expect("a share")
}

fn cpu(mean_seconds: f64) -> Phase {
    Phase::Cpu(Distribution::exponential(mean_seconds).expect("a mean"))
}

fn retries(max: u32) -> RetrySpec {
    RetrySpec { max, base: Span::from_millis(10), factor: Factor::ONE, cap: Span::from_seconds(1), jitter: true }
}

fn call(service: &str, timeout_ms: u64) -> Phase {
    Phase::Call(CallSpec {
        service: Name::new(service),
        endpoint: Name::new("/"),
        probability: Ratio::ONE,
        timeout: Some(Span::from_millis(timeout_ms)),
        retries: retries(2),
    })
}

fn service(name: &str, replicas: u32, workers: u32, phases: Vec<Phase>) -> ServiceSpec {
    ServiceSpec {
        name: Name::new(name),
        critical: true,
        replicas,
        zones: vec![Name::new("a")],
        workers: Some(workers),
        cores: None,
        queue: None,
        balance: Balance::RoundRobin,
        cancel: Cancel::None,
        endpoints: vec![EndpointSpec { name: Name::new("/"), phases, error: Ratio::ZERO }],
        start_up: Distribution::constant(10.0).expect("a constant"),
        warm_up: None,
        memory: MemorySpec { base: Bytes::new(1 << 27), per_request: Bytes::new(0), limit: None },
        versions: vec![VersionSpec {
            name: Name::new("v1"),
            healthy: true,
            error: Ratio::ZERO,
            demand: Factor::ONE,
            leak_per_second: Bytes::new(0),
            crash_after: None,
        }],
        rollout: RolloutSpec { max_surge: share(0.25), max_unavailable: share(0.25) },
        liveness: None,
        metrics: Vec::new(),
    }
}

fn client(service: &str, per_second: f64, timeout: Option<Span>, max: u32) -> ClientSpec {
    ClientSpec {
        name: Name::new("users"),
        service: Name::new(service),
        endpoint: Name::new("/"),
        rates: vec![(Time::ZERO, Rate::per_second(per_second).expect("a rate"))],
        timeout,
        retries: retries(max),
        objective: Span::from_seconds(1),
        users: None,
    }
}

fn world(horizon: Span, services: Vec<ServiceSpec>, client: ClientSpec) -> Arc<WorldSpec> {
    Arc::new(WorldSpec {
        name: Name::new("bench"),
        start: Start::default(),
        horizon,
        services,
        clients: vec![client],
        faults: Vec::new(),
        changes: Vec::new(),
        cures: Vec::new(),
        scrape: ScrapeSpec { interval: Span::from_seconds(15) },
        actions: ActionSpec { delay: Distribution::constant(1.0).expect("a constant"), failure: Ratio::ZERO },
        bounds: Bounds { events: u64::MAX, attempts: 1 << 24 },
    })
}

/// M/M/8 as the reference loop has it, for about so many customers.
fn mm8_world(customers: u64) -> Arc<WorldSpec> {
    let mean = mm8::MEAN_SERVICE_NANOS / 1e9;
    let rate = 1e9 / mm8::MEAN_GAP_NANOS;
    let horizon = Span::from_seconds_f64(customers as f64 / rate);
    world(horizon, vec![service("station", 1, mm8::SERVERS, vec![cpu(mean)])], client("station", rate, None, 0))
}

/// Three services in a row, each hop with a timeout and two retries, for about so many requests.
fn chain_world(requests: u64) -> Arc<WorldSpec> {
    let services = vec![
        service("back", 4, 8, vec![cpu(0.004)]),
        service("front", 4, 32, vec![cpu(0.002), call("middle", 200), cpu(0.001)]),
        service("middle", 4, 16, vec![cpu(0.003), call("back", 100), cpu(0.001)]),
    ];
    let rate = 4000.0;
    world(Span::from_seconds_f64(requests as f64 / rate), services, client("front", rate, Some(Span::from_millis(500)), 2))
}

/// Runs to the end, fingerprint included; the events that the world processed.
fn engine(spec: &Arc<WorldSpec>, seed: u64) -> u64 {
    let finished = Run::new(Arc::clone(spec), Seed(seed), Options { telemetry: false }, Idle).finish();
    std::hint::black_box(finished.ledger.digest());
    finished.ledger.events
}

/// The shortest of three times, seconds.
fn seconds(mut work: impl FnMut()) -> f64 {
    let one = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| one(&mut work)).fold(f64::INFINITY, f64::min)
}

fn mm8(criterion: &mut Criterion) {
    let customers = if full() { 10_000_000 } else { 200_000 };
    let spec = mm8_world(customers);
    let finished = Run::new(Arc::clone(&spec), Seed(1), Options { telemetry: false }, Idle).finish();
    let wait = finished.ledger.services[0].totals.mean_wait_seconds * 1e9;
    let expected = mm8::expected_wait_nanos();
    assert!((wait / expected - 1.0).abs() < 0.06, "mean wait {wait} ns, Erlang C says {expected} ns");

    let reference = seconds(|| _ = std::hint::black_box(mm8::run(customers, 1))) / customers as f64;
    let ours = seconds(|| _ = std::hint::black_box(engine(&spec, 1))) / customers as f64;
    println!("mm8: reference {:.1} ns a customer, engine {:.1} ns, ratio {:.3}", reference * 1e9, ours * 1e9, reference / ours);

    let mut group = criterion.benchmark_group("engine_mm8");
    group.sample_size(10).throughput(Throughput::Elements(2 * customers));
    group.bench_function("engine", |bencher| bencher.iter(|| engine(&spec, 1)));
    group.bench_function("reference", |bencher| bencher.iter(|| mm8::run(customers, 1)));
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let spec = chain_world(if full() { 400_000 } else { 20_000 });
    let events = engine(&spec, 1);
    let took = seconds(|| _ = std::hint::black_box(engine(&spec, 1)));
    println!("chain: {:.2} M events a second", events as f64 / took / 1e6);

    let mut group = criterion.benchmark_group("engine_chain");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function("three_tiers", |bencher| bencher.iter(|| engine(&spec, 1)));
    group.finish();
}

criterion_group!(benches, mm8, chain);
criterion_main!(benches);
