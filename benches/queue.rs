//! Times the event queue by the hold model (take the first event, schedule its successor) at several numbers of pending events.
//!
//! Hold: events only. Timeouts: each event has a timeout beside it, five mean gaps away, which its successor takes back: half of
//! all that is scheduled is cancelled. Both with the wheel that the engine uses and with the heap beside it.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use firedrill_core::random::{Purpose, Seed, Sequence, Stream};
use firedrill_core::time::{Class, Span, Time};
use firedrill_sim::queue::{Handle, Heap, Key, Wheel};

/// Operations in one measured batch.
const BATCH: u64 = 10_000;

/// The sizes that count are run by `cargo bench`; `cargo test --benches` runs the smallest.
fn sizes() -> &'static [usize] {
    if std::env::args().any(|argument| argument == "--bench") { &[100, 10_000, 1_000_000] } else { &[100] }
}

/// What the wheel and the heap have in common.
trait Queue<P>: Default {
    fn schedule(&mut self, at: Time, payload: P) -> Handle;
    fn cancel(&mut self, handle: Handle);
    fn pop(&mut self) -> (Key, P);
    fn len(&self) -> usize;
}

macro_rules! queues {
    ($($kind:ident)*) => {
        $(impl<P: Copy> Queue<P> for $kind<P> {
            fn schedule(&mut self, at: Time, payload: P) -> Handle {
                $kind::schedule(self, at, Class::World, payload)
            }
            fn cancel(&mut self, handle: Handle) {
                $kind::cancel(self, handle);
            }
            fn pop(&mut self) -> (Key, P) {
                $kind::pop(self).expect("a hold model never runs dry")
            }
            fn len(&self) -> usize {
                $kind::len(self)
            }
        })*
    };
}

queues!(Wheel Heap);

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

struct Hold<Q> {
    queue: Q,
    gaps: Gaps,
}

impl<Q: Queue<u64>> Hold<Q> {
    fn new(pending: usize) -> Self {
        let mut hold = Self { queue: Q::default(), gaps: Gaps::new(pending) };
        for number in 0..pending {
            hold.queue.schedule(Time::ZERO + hold.gaps.next(), number as u64);
        }
        hold
    }

    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let (key, payload) = self.queue.pop();
            self.queue.schedule(key.time + self.gaps.next(), payload);
        }
    }
}

struct Timeouts<Q> {
    queue: Q,
    gaps: Gaps,
    handles: Vec<Handle>,
}

impl<Q: Queue<(bool, u32)>> Timeouts<Q> {
    fn new(pending: usize) -> Self {
        let mut timeouts = Self { queue: Q::default(), gaps: Gaps::new(pending), handles: Vec::new() };
        for number in 0..pending as u32 {
            timeouts.queue.schedule(Time::ZERO + timeouts.gaps.next(), (false, number));
            let handle = timeouts.schedule_timeout(Time::ZERO, number);
            timeouts.handles.push(handle);
        }
        timeouts
    }

    fn schedule_timeout(&mut self, now: Time, number: u32) -> Handle {
        self.queue.schedule(now + Span::from_nanos(5 * self.gaps.mean.as_nanos()), (true, number))
    }

    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let (key, (is_timeout, number)) = self.queue.pop();
            if !is_timeout {
                self.queue.cancel(self.handles[number as usize]);
                self.queue.schedule(key.time + self.gaps.next(), (false, number));
            }
            self.handles[number as usize] = self.schedule_timeout(key.time, number);
        }
    }
}

fn queue<A: Queue<u64> + Clone, B: Queue<(bool, u32)>>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).throughput(Throughput::Elements(BATCH));
    for &pending in sizes() {
        // Ten operations an event bring the queue to the shape that it keeps.
        let warm = 10 * pending as u64;
        let mut hold = Hold::<A>::new(pending);
        hold.run(warm);
        group.bench_function(BenchmarkId::new("hold", pending), |bencher| bencher.iter(|| hold.run(BATCH)));
        assert_eq!(hold.queue.len(), pending);

        let mut timeouts = Timeouts::<B>::new(pending);
        timeouts.run(warm);
        group.bench_function(BenchmarkId::new("timeouts", pending), |bencher| bencher.iter(|| timeouts.run(BATCH)));
        assert_eq!(timeouts.queue.len(), 2 * pending);
    }
    // Branching a run clones its queue.
    let hold = Hold::<A>::new(10_000);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("clone/10000", |bencher| bencher.iter_batched(|| (), |()| hold.queue.clone(), BatchSize::SmallInput));
    group.finish();
}

fn wheel(criterion: &mut Criterion) {
    queue::<Wheel<_>, Wheel<_>>(criterion, "wheel");
}

fn heap(criterion: &mut Criterion) {
    queue::<Heap<_>, Heap<_>>(criterion, "heap");
}

criterion_group!(benches, wheel, heap);
criterion_main!(benches);
