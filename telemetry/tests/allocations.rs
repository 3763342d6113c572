//! Once every series has been seen and every window is full, an evaluation takes no memory from the system, whatever the expression.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(unsafe_code, reason = "there is no other way to count what is allocated; every call goes to the system's own allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Answer, Machine, Plan, Program};
use firedrill_telemetry::store::{STALE, SeriesId, Store};

/// The system's allocator, which counts what each thread takes.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STEP_MS: i64 = 15_000;

/// One of each kind of node, and what people write most.
const EXPRESSIONS: &[&str] = &[
    "1 + time() * pi()",
    "up",
    "timestamp(up)",
    "timestamp(-up)",
    "-up",
    "abs(level)",
    "hour()",
    "day_of_week(level)",
    "round(level, 0.5)",
    "clamp(level, 1, 5) or clamp_min(level, 2) or clamp_max(level, 3)",
    "vector(time())",
    "scalar(sum(up))",
    "sort_desc(level)",
    "absent(up)",
    "absent(none)",
    "absent_over_time(none[5m])",
    "sum by (job) (rate(requests_total[5m]))",
    "avg without (pod) (increase(requests_total[2m]))",
    "min(level) + max(level) - count(level) * group(level)",
    "stddev by (job) (level) / stdvar by (job) (level)",
    "quantile by (job) (0.9, level)",
    "topk(3, level) or bottomk by (job) (1, level)",
    "count_values by (job) (\"value\", level)",
    "histogram_quantile(0.9, sum by (job, le) (rate(latency_bucket[5m])))",
    "histogram_fraction(0.1, 0.5, rate(latency_bucket[5m]))",
    "label_replace(up, \"pod\", \"$1-x\", \"pod\", \"(.*)\")",
    "label_join(up, \"both\", \"-\", \"job\", \"pod\")",
    "sum(rate(requests_total{job=\"a\"}[5m])) / sum(rate(requests_total[5m])) > 0.01",
    "level / on (job, pod) group_left (zone) info",
    "level * ignoring (zone) up",
    "sum by (job) (level) / on (job) group_right () level > bool 1",
    "level > 3 and up == 1",
    "level > 3 or up == 1 unless on (job) gone",
    "max_over_time(sum by (job) (rate(requests_total[1m]))[5m:30s])",
    "quantile_over_time(0.9, level[10m])",
    "avg_over_time(level[5m]) - avg_over_time(level[5m] offset 5m)",
    "min_over_time(level[5m]) + max_over_time(level[5m]) + sum_over_time(level[5m]) + count_over_time(level[5m])",
    "stddev_over_time(level[5m]) + stdvar_over_time(level[5m]) + last_over_time(level[5m]) + present_over_time(level[5m])",
    "changes(level[10m]) + resets(requests_total[10m]) + irate(requests_total[5m]) + idelta(level[5m]) + delta(level[5m])",
    "predict_linear(level[10m], 3600) + deriv(level[10m])",
    "last_over_time(ending[2m])",
];

struct World {
    store: Store,
    series: Vec<(SeriesId, Kind)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
    /// Ends and begins again all the time.
    Ending,
}

impl World {
    fn new() -> World {
        let mut world = World { store: Store::new(), series: Vec::new() };
        let pods = (0..50).map(|pod| (if pod < 20 { "a" } else { "b" }, format!("{pod}")));
        for (job, pod) in pods {
            let labels = [("job", job), ("pod", pod.as_str())];
            for name in ["up", "level", "gone"] {
                world.add(name, &labels, Kind::Gauge);
            }
            world.add("info", &[&labels[..], &[("zone", "z")]].concat(), Kind::Gauge);
            world.add("requests_total", &labels, Kind::Counter);
            world.add("ending", &labels, Kind::Ending);
            for bound in ["0.1", "0.5", "+Inf"] {
                world.add("latency_bucket", &[&labels[..], &[("le", bound)]].concat(), Kind::Counter);
            }
        }
        world
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind) {
        self.series.push((self.store.series(&Labels::named(name, labels)), kind));
    }

    fn scrape(&mut self, tick: i64) {
        for (index, (id, kind)) in self.series.iter().enumerate() {
            let turn = (tick + index as i64) % 7;
            let value = match kind {
                Kind::Gauge => turn as f64,
                Kind::Counter => (tick * 40 + turn) as f64,
                Kind::Ending if turn < 3 => STALE,
                Kind::Ending => 1.0,
            };
            self.store.append(*id, tick * STEP_MS, value).unwrap();
        }
    }
}

#[test]
fn an_evaluation_in_the_steady_state_allocates_nothing() {
    let mut program = Program::new();
    let queries: Vec<_> = EXPRESSIONS.iter().map(|text| program.add(&Plan::parse(text).unwrap())).collect();
    assert_eq!(program.plain().collect::<Vec<_>>(), [""; 0], "all are compiled");
    let mut machine = Machine::new(Arc::new(program));
    let mut world = World::new();
    let mut greedy = vec![0; queries.len()];
    let mut elements = 0;
    for tick in 1..=160 {
        world.scrape(tick);
        for (query, greedy) in queries.iter().zip(&mut greedy) {
            let before = TAKEN.get();
            let answer = machine.evaluate(*query, tick * STEP_MS, &[&world.store]);
            let taken = TAKEN.get() - before;
            match answer {
                Ok(Answer::Vector(found)) => elements += found.len(),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
            // By then the longest window has been full for a while, and every value has been everywhere.
            if tick > 80 {
                *greedy += taken;
            }
        }
    }
    assert!(elements > 1_000, "they yield something");
    let greedy: Vec<_> = EXPRESSIONS.iter().zip(greedy).filter(|(_, taken)| *taken > 0).collect();
    assert!(greedy.is_empty(), "allocated in 80 evaluations: {greedy:#?}");
}

#[test]
fn the_count_sees_what_is_allocated() {
    let before = TAKEN.get();
    drop(std::hint::black_box(vec![1]));
    assert_eq!(TAKEN.get() - before, 1);
}
