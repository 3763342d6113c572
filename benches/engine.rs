//! The engine against the plain loop on M/M/8, and on a chain of three services with timeouts and retries.
//!
//! The engine keeps its ledgers, its histogram and its fingerprint; telemetry is off. Both loops run in this process, in turn, and the ratio is
//! the median of pairs, by the CPU clock of the thread: neighbours take time from both.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::random::Seed;
use firedrill_core::time::Span;
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{Bounds, WorldSpec};
use firedrill_sim::{Idle, Options, Run};
use rustix::time::{ClockId, clock_gettime};

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
    let finished = Run::new(Arc::clone(spec), Seed(seed), Options { telemetry: false, ..Options::default() }, Idle).finish();
    std::hint::black_box(finished.ledger.digest());
    finished.ledger.events
}

/// The CPU time of this thread since it began, seconds.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The CPU time of one piece of work, seconds.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = cpu_seconds();
    work();
    cpu_seconds() - start
}

/// The middle of an odd number of figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn mm8(criterion: &mut Criterion) {
    let customers = if full() { 10_000_000 } else { 200_000 };
    let spec = mm8_world(customers);
    let finished = Run::new(Arc::clone(&spec), Seed(1), Options { telemetry: false, ..Options::default() }, Idle).finish();
    let wait = finished.ledger.services[0].totals.mean_wait_seconds * 1e9;
    let expected = mm8::expected_wait_nanos();
    assert!((wait / expected - 1.0).abs() < 0.06, "mean wait {wait} ns, Erlang C says {expected} ns");

    let pair = |_| {
        let reference = seconds(|| _ = std::hint::black_box(mm8::run(customers, 1)));
        (reference, seconds(|| _ = std::hint::black_box(engine(&spec, 1))))
    };
    let pairs: Vec<(f64, f64)> = (0..5).map(pair).collect();
    let nanos = |figures: Vec<f64>| median(figures) / customers as f64 * 1e9;
    let (reference, ours) = (nanos(pairs.iter().map(|pair| pair.0).collect()), nanos(pairs.iter().map(|pair| pair.1).collect()));
    let ratio = median(pairs.iter().map(|(reference, ours)| reference / ours).collect());
    println!("mm8: reference {reference:.1} ns a customer, engine {ours:.1} ns, ratio {ratio:.3}");

    let mut group = criterion.benchmark_group("engine_mm8");
    group.sample_size(10).throughput(Throughput::Elements(2 * customers));
    group.bench_function("engine", |bencher| bencher.iter(|| engine(&spec, 1)));
    group.bench_function("reference", |bencher| bencher.iter(|| mm8::run(customers, 1)));
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let spec = chain_world(if full() { 400_000 } else { 20_000 });
    let events = engine(&spec, 1);
    let took = median((0..5).map(|_| seconds(|| _ = std::hint::black_box(engine(&spec, 1)))).collect());
    println!("chain: {:.2} M events a CPU-second", events as f64 / took / 1e6);

    let mut group = criterion.benchmark_group("engine_chain");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function("three_tiers", |bencher| bencher.iter(|| engine(&spec, 1)));
    group.finish();
}

criterion_group!(benches, mm8, chain);
criterion_main!(benches);
