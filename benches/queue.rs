//! Times the event queue by the hold model (take the first event, schedule its successor) at several numbers of pending events.
//!
//! Hold: events only. Timeouts: each event has a timeout beside it, five mean gaps away, which its successor takes back: half of
//! all that is scheduled is cancelled.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::random::{Purpose, Seed, Sequence, Stream};
use firedrill_core::time::{Class, Span, Time};
use firedrill_sim::queue::{EventQueue, Handle};

/// Operations in one measured batch.
const BATCH: u64 = 10_000;

/// The sizes that count are run by `cargo bench`; `cargo test --benches` runs the smallest.
fn sizes() -> &'static [usize] {
    if std::env::args().any(|argument| argument == "--bench") { &[100, 10_000, 1_000_000] } else { &[100] }
}

/// Exponential gaps, worked out beforehand so that only the queue is timed.
#[derive(Clone)]
struct Gaps {
    spans: Vec<Span>,
    next: usize,
    mean: Span,
}

impl Gaps {
    /// Gaps of a mean that leaves about one event a microsecond, however many are pending.
    fn new(pending: usize) -> Self {
        let mean = Span::from_nanos(1000 * pending as u64);
        let mut luck = Sequence::new(Stream::new(Seed(1), Purpose::ServiceTime, 0));
        let span = |i| Span::from_seconds_f64(-libm::log(luck.block(i).unit_open01(0)) * mean.as_seconds());
        Self { spans: (0..1 << 16).map(span).collect(), next: 0, mean }
    }

    fn next(&mut self) -> Span {
        self.next = (self.next + 1) % self.spans.len();
        self.spans[self.next]
    }
}

#[derive(Clone)]
struct Hold {
    queue: EventQueue<u64>,
    gaps: Gaps,
}

impl Hold {
    fn new(pending: usize) -> Self {
        let mut hold = Self { queue: EventQueue::new(), gaps: Gaps::new(pending) };
        for number in 0..pending {
            hold.queue.schedule(Time::ZERO + hold.gaps.next(), Class::World, number as u64);
        }
        hold
    }

    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let (key, payload) = self.queue.pop().expect("a hold model never runs dry");
            self.queue.schedule(key.time + self.gaps.next(), Class::World, payload);
        }
    }
}

#[derive(Clone)]
struct Timeouts {
    queue: EventQueue<(bool, u32)>,
    gaps: Gaps,
    handles: Vec<Handle>,
}

impl Timeouts {
    fn new(pending: usize) -> Self {
        let mut timeouts = Self { queue: EventQueue::new(), gaps: Gaps::new(pending), handles: Vec::new() };
        for number in 0..pending as u32 {
            timeouts.queue.schedule(Time::ZERO + timeouts.gaps.next(), Class::World, (false, number));
            let handle = timeouts.schedule_timeout(Time::ZERO, number);
            timeouts.handles.push(handle);
        }
        timeouts
    }

    fn schedule_timeout(&mut self, now: Time, number: u32) -> Handle {
        self.queue.schedule(now + Span::from_nanos(5 * self.gaps.mean.as_nanos()), Class::World, (true, number))
    }

    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let (key, (is_timeout, number)) = self.queue.pop().expect("a hold model never runs dry");
            if !is_timeout {
                self.queue.cancel(self.handles[number as usize]);
                self.queue.schedule(key.time + self.gaps.next(), Class::World, (false, number));
            }
            self.handles[number as usize] = self.schedule_timeout(key.time, number);
        }
    }
}

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.sample_size(20).throughput(Throughput::Elements(BATCH));
    for &pending in sizes() {
        // Ten operations an event bring the heap to the shape that it keeps.
        let warm = 10 * pending as u64;
        let mut hold = Hold::new(pending);
        hold.run(warm);
        group.bench_function(BenchmarkId::new("hold", pending), |bencher| bencher.iter(|| hold.run(BATCH)));
        assert_eq!(hold.queue.len(), pending);

        let mut timeouts = Timeouts::new(pending);
        timeouts.run(warm);
        group.bench_function(BenchmarkId::new("timeouts", pending), |bencher| bencher.iter(|| timeouts.run(BATCH)));
        assert_eq!(timeouts.queue.len(), 2 * pending);
    }
    group.finish();

    // Branching a run clones its queue.
    let hold = Hold::new(10_000);
    criterion.bench_function("queue/clone/10000", |bencher| bencher.iter_batched(|| (), |()| hold.queue.clone(), BatchSize::SmallInput));
}

criterion_group!(benches, queue);
criterion_main!(benches);
