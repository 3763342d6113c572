//! What a caller expects of a replica by its slowest recent answers: peak EWMA, as Finagle and Linkerd have it (docs/MODEL.md 1.5).
//!
//! After `peak_ewma.rs` of tower: a slower answer counts at once, faster ones pull the estimate down by how long ago it was touched.

use firedrill_core::time::{Span, Time};

/// The estimate for one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PeakEwma {
    nanos: f64,
    touched: Time,
}

impl PeakEwma {
    pub(crate) const fn new(default_rtt: Span, now: Time) -> Self {
        Self { nanos: default_rtt.as_nanos() as f64, touched: now }
    }

    /// An answer took so long.
    pub(crate) fn hear(&mut self, took: Span, now: Time, decay: Span) -> f64 {
        let took = took.as_nanos() as f64;
        if self.nanos < took {
            self.nanos = took;
        } else {
            let kept = libm::exp(-(now.since(self.touched).as_nanos() as f64) / decay.as_nanos() as f64);
            self.nanos = self.nanos * kept + took * (1.0 - kept);
        }
        self.touched = now;
        self.nanos
    }

    /// What one more request costs there, beside `pending` ones: nanoseconds of work. To ask is to touch.
    pub(crate) fn cost(&mut self, pending: u32, now: Time, decay: Span) -> f64 {
        self.hear(Span::ZERO, now, decay) * (f64::from(pending) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Span = Span::from_seconds(1);

    fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[track_caller]
    fn check(cost: f64, millis: f64) {
        assert!((cost / 1e6 - millis).abs() < 1e-6, "{} ms are not {millis} ms", cost / 1e6);
    }

    #[test]
    fn the_default_fades_so_that_newcomers_are_tried() {
        let mut ewma = PeakEwma::new(Span::from_millis(10), Time::ZERO);
        check(ewma.cost(0, millis(0), DECAY), 10.0);
        check(ewma.cost(0, millis(100), DECAY), 10.0 * libm::exp(-0.1));
        check(ewma.cost(0, millis(200), DECAY), 10.0 * libm::exp(-0.2));
    }

    #[test]
    fn a_peak_counts_at_once_and_whole() {
        let mut ewma = PeakEwma::new(Span::from_millis(10), Time::ZERO);
        check(ewma.hear(Span::from_millis(400), millis(400), DECAY), 400.0);
    }

    #[test]
    fn a_faster_answer_pulls_down_by_the_time_since_the_last_touch() {
        let mut ewma = PeakEwma::new(Span::from_millis(100), Time::ZERO);
        check(ewma.hear(Span::from_millis(20), millis(0), DECAY), 100.0);
        let kept = libm::exp(-0.5);
        check(ewma.hear(Span::from_millis(20), millis(500), DECAY), 100.0 * kept + 20.0 * (1.0 - kept));
    }

    #[test]
    fn each_request_under_way_makes_another_one_dearer() {
        let mut ewma = PeakEwma::new(Span::from_millis(30), Time::ZERO);
        check(ewma.cost(3, Time::ZERO, DECAY), 120.0);
    }
}
