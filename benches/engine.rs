//! The engine against the plain loop on M/M/8, and on a chain of three services with timeouts, retries, breakers and metrics.
//!
//! The engine keeps its ledgers, its histogram and its fingerprint; on M/M/8 telemetry is off. Both loops run in this process, in turn, and the ratio is
//! the median of pairs, by the CPU clock of the thread: neighbours take time from both.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::random::Seed;
use firedrill_core::time::Span;
use firedrill_sim::spec::WorldSpec;
use firedrill_sim::{Idle, Options, Run};
use measure::{is_full, median, seconds};

mod measure;
#[path = "reference/mm8.rs"]
mod mm8;

/// A scenario file's world, for about so many requests.
fn world(path: &str, text: &str, requests: u64) -> Arc<WorldSpec> {
    let spec = measure::world(path, text, None);
    let horizon = Span::from_seconds_f64(requests as f64 / spec.clients[0].rates[0].1.get());
    Arc::new(WorldSpec { horizon, ..spec })
}

/// M/M/8 as the reference loop has it.
fn mm8_world(customers: u64) -> Arc<WorldSpec> {
    let spec = world("benches/scenarios/mm8.yaml", include_str!("scenarios/mm8.yaml"), customers);
    let gap_nanos = 1e9 / spec.clients[0].rates[0].1.get();
    assert!((gap_nanos / mm8::MEAN_GAP_NANOS - 1.0).abs() < 1e-12, "the file and the reference loop are of one load");
    spec
}

/// Three services in a row; bare is without breakers.
fn chain_world(requests: u64, is_bare: bool) -> Arc<WorldSpec> {
    const BREAKER: &str = ", breaker: resilience4j";
    let text = include_str!("scenarios/chain.yaml");
    assert_eq!(text.matches(BREAKER).count(), 2, "both calls have a breaker");
    let text = if is_bare { text.replace(BREAKER, "") } else { text.to_owned() };
    world("benches/scenarios/chain.yaml", &text, requests)
}

/// Runs to the end, fingerprint included; the events that the world processed.
fn engine(spec: &Arc<WorldSpec>, telemetry: bool) -> u64 {
    let (events, _) = engine_and_timeouts(spec, telemetry);
    events
}

/// The same, and the timeouts that were set and cancelled, where every attempt has one: an engine that cannot cancel would process them too.
fn engine_and_timeouts(spec: &Arc<WorldSpec>, telemetry: bool) -> (u64, u64) {
    let ledger = Run::new(Arc::clone(spec), Seed(1), Options { telemetry, ..Options::default() }, Idle).finish().ledger;
    std::hint::black_box(ledger.digest());
    let cancelled = ledger.services.iter().map(|service| service.totals.sent - service.totals.abandoned).sum();
    (ledger.events, cancelled)
}

fn mm8(criterion: &mut Criterion) {
    let customers = if is_full() { 10_000_000 } else { 200_000 };
    let spec = mm8_world(customers);
    let finished = Run::new(Arc::clone(&spec), Seed(1), Options { telemetry: false, ..Options::default() }, Idle).finish();
    let wait = finished.ledger.services[0].totals.mean_wait_seconds * 1e9;
    let expected = mm8::expected_wait_nanos();
    assert!((wait / expected - 1.0).abs() < 0.06, "mean wait {wait} ns, Erlang C says {expected} ns");

    let pair = |_| {
        let reference = seconds(|| _ = std::hint::black_box(mm8::run(customers, 1)));
        (reference, seconds(|| _ = std::hint::black_box(engine(&spec, false))))
    };
    let pairs: Vec<(f64, f64)> = (0..5).map(pair).collect();
    let nanos = |figures: Vec<f64>| median(figures) / customers as f64 * 1e9;
    let (reference, ours) = (nanos(pairs.iter().map(|pair| pair.0).collect()), nanos(pairs.iter().map(|pair| pair.1).collect()));
    let ratio = median(pairs.iter().map(|(reference, ours)| reference / ours).collect());
    println!("mm8: reference {reference:.1} ns a customer, engine {ours:.1} ns, ratio {ratio:.3}");

    let mut group = criterion.benchmark_group("engine_mm8");
    group.sample_size(10).throughput(Throughput::Elements(2 * customers));
    group.bench_function("engine", |bencher| bencher.iter(|| engine(&spec, false)));
    group.bench_function("reference", |bencher| bencher.iter(|| mm8::run(customers, 1)));
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    for (name, is_bare) in [("timeouts, retries, breakers and metrics", false), ("timeouts and retries, not scraped", true)] {
        let spec = chain_world(if is_full() { 400_000 } else { 20_000 }, is_bare);
        let (events, cancelled) = engine_and_timeouts(&spec, !is_bare);
        let took = median((0..5).map(|_| seconds(|| _ = std::hint::black_box(engine(&spec, !is_bare)))).collect());
        let millions = |count: u64| count as f64 / took / 1e6;
        println!(
            "chain, {name}: {:.2} M events a CPU-second, {:.2} M with timeouts that were cancelled",
            millions(events),
            millions(events + cancelled)
        );
    }

    let spec = chain_world(if is_full() { 400_000 } else { 20_000 }, false);
    let events = engine(&spec, true);
    let mut group = criterion.benchmark_group("engine_chain");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function("three_tiers", |bencher| bencher.iter(|| engine(&spec, true)));
    group.finish();
}

criterion_group!(benches, mm8, chain);
criterion_main!(benches);
