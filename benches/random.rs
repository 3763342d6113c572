//! Times what one decision costs: a block, an address, a draw.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use firedrill_core::distribution::Distribution;
use firedrill_core::random::{Purpose, Seed, Sequence, Stream, hop_index};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn blocks(criterion: &mut Criterion) {
    let stream = Stream::new(Seed(1), Purpose::Demand, 2);
    let mut group = criterion.benchmark_group("random");
    let mut counter = 0_u64;
    group.bench_function("block", |bencher| {
        bencher.iter(|| {
            counter += 1;
            stream.block(counter).word64(0)
        });
    });
    let mut sequence = Sequence::new(stream);
    group.bench_function("block in sequence", |bencher| {
        bencher.iter(|| {
            counter += 1;
            sequence.block(counter).word64(0)
        });
    });
    group.bench_function("hop index", |bencher| {
        bencher.iter(|| {
            counter += 1;
            hop_index(counter, 2, 3, 4)
        });
    });
    // What seeking in the plain generator costs, and what not seeking costs: the reasons for a block of our own.
    let mut plain = ChaCha8Rng::seed_from_u64(1);
    group.bench_function("rand_chacha, sought", |bencher| {
        bencher.iter(|| {
            counter += 1;
            plain.set_stream(counter);
            plain.set_word_pos(u128::from(counter) * 16);
            plain.next_u64()
        });
    });
    let mut plain = ChaCha8Rng::seed_from_u64(1);
    group.bench_function("rand_chacha, in sequence", |bencher| bencher.iter(|| plain.next_u64()));
    group.finish();
}

fn draws(criterion: &mut Criterion) {
    let stream = Stream::new(Seed(1), Purpose::Demand, 2);
    let blocks: Vec<_> = (0..1024).map(|counter| stream.block(counter)).collect();
    let quantiles = (0..=20).map(|i| (f64::from(i) / 20.0, f64::from(i * i))).collect();
    let mut group = criterion.benchmark_group("draw");
    for (name, distribution) in [
        ("constant", Distribution::constant(0.1)),
        ("uniform", Distribution::uniform(0.1, 0.2)),
        ("exponential", Distribution::exponential(0.1)),
        ("lognormal", Distribution::lognormal(0.1, 1.0)),
        ("gamma, cv 0.5", Distribution::gamma(0.1, 0.5)),
        ("gamma, cv 2", Distribution::gamma(0.1, 2.0)),
        ("pareto", Distribution::pareto(0.1, 1.5)),
        ("empirical, 21 points", Distribution::empirical(quantiles)),
    ] {
        let distribution = black_box(distribution.expect("the parameters are good"));
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % blocks.len();
                distribution.sample(blocks[next].draw(3))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, blocks, draws);
criterion_main!(benches);
