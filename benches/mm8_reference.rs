//! Times the reference loop for M/M/8 alone; the engine's bench runs the same function in its own process for the ratio.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "reference/mm8.rs"]
mod mm8;

/// The size that counts is run by `cargo bench`; `cargo test --benches` runs the smallest that still shows the right mean.
fn customers() -> u64 {
    if std::env::args().any(|argument| argument == "--bench") { 10_000_000 } else { 200_000 }
}

fn reference(criterion: &mut Criterion) {
    let customers = customers();
    let seen = mm8::run(customers, 1);
    let expected = mm8::expected_wait_nanos();
    assert_eq!((seen.served, seen.events), (customers, 2 * customers));
    assert!((seen.mean_wait_nanos / expected - 1.0).abs() < 0.06, "mean wait {} ns, Erlang C says {expected} ns", seen.mean_wait_nanos);

    let mut group = criterion.benchmark_group("mm8_reference");
    group.sample_size(10).throughput(Throughput::Elements(2 * customers));
    group.bench_function(customers.to_string(), |bencher| bencher.iter(|| mm8::run(customers, 1)));
    group.finish();
}

criterion_group!(benches, reference);
criterion_main!(benches);
