//! The engine against the plain loop on M/M/8, and on a chain of three services with timeouts and retries.
//!
//! The engine keeps its ledgers, its histogram and its fingerprint; telemetry is off. Both loops run in this process, in turn.

#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::random::Seed;
use firedrill_core::time::Span;
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{Bounds, WorldSpec};
use firedrill_sim::{Idle, Options, Run};

#[path = "reference/mm8.rs"]
mod mm8;

/// `cargo bench` runs the size that counts; `cargo test --benches` the smallest that still shows the right mean.
fn full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A scenario file's world, for about so many requests.
fn world(path: &str, text: &str, requests: u64) -> Arc<WorldSpec> {
    let scenario = read_scenario(path, text).expect("the file is sound");
    let mut spec = WorldSpec::clone(&scenario.spec);
    spec.horizon = Span::from_seconds_f64(requests as f64 / spec.clients[0].rates[0].1.get());
    spec.bounds = Bounds { events: u64::MAX, attempts: 1 << 24 };
    Arc::new(spec)
}

/// M/M/8 as the reference loop has it.
fn mm8_world(customers: u64) -> Arc<WorldSpec> {
    let spec = world("benches/scenarios/mm8.yaml", include_str!("scenarios/mm8.yaml"), customers);
    let gap_nanos = 1e9 / spec.clients[0].rates[0].1.get();
    assert!((gap_nanos / mm8::MEAN_GAP_NANOS - 1.0).abs() < 1e-12, "the file and the reference loop are of one load");
    spec
}

fn chain_world(requests: u64) -> Arc<WorldSpec> {
    world("benches/scenarios/chain.yaml", include_str!("scenarios/chain.yaml"), requests)
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
