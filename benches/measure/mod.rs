//! What the benches share: the clock, the median, and worlds of scenario files.

#![allow(dead_code, reason = "not every bench uses every helper")]

use firedrill_core::time::Span;
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{Bounds, WorldSpec};
use rustix::time::{ClockId, clock_gettime};

/// `cargo bench` runs the sizes that count; `cargo test --benches` small ones.
pub fn is_full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The CPU time of this thread since it began, seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The CPU time of one piece of work, seconds.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = cpu_seconds();
    work();
    cpu_seconds() - start
}

/// The middle of an odd number of figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A scenario file's world without bounds, perhaps with another end.
pub fn world(path: &str, text: &str, horizon: Option<Span>) -> WorldSpec {
    let scenario = read_scenario(path, text).unwrap_or_else(|problems| panic!("{path}: {problems:?}"));
    let mut spec = WorldSpec::clone(&scenario.spec);
    spec.horizon = horizon.unwrap_or(spec.horizon);
    spec.bounds = Bounds { events: u64::MAX, attempts: 1 << 24, ..spec.bounds };
    spec
}
