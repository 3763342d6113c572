//! `Gradient2Limit` of Netflix concurrency-limits (78a74b98): the response time of now against that of the long run.

use super::Whole;
use crate::spec::LimitRange;

/// How much of a new estimate is taken over.
const SMOOTHING: f64 = 0.2;
/// What the limit may grow by while nothing gets slower.
const QUEUE: f64 = 4.0;
/// How much slower than in the long run counts as not slower.
const TOLERANCE: f64 = 1.5;
/// Windows of the long run.
const LONG: f64 = 600.0;
/// Windows of which the plain mean is taken at first.
const WARM_UP: u32 = 10;

/// The estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient2 {
    range: LimitRange,
    estimate: f64,
    /// The response time of the long run, nanoseconds: an exponential mean.
    long: f64,
    sum: f64,
    windows: u32,
}

impl Gradient2 {
    pub(super) fn new(range: LimitRange) -> Self {
        Self { range, estimate: f64::from(range.initial), long: 0.0, sum: 0.0, windows: 0 }
    }

    pub(super) const fn limit(&self) -> u32 {
        self.estimate as u32
    }

    /// A window is over.
    pub(super) fn update(&mut self, whole: Whole) {
        let short = whole.response.as_nanos() as f64;
        let long = self.lengthen(short);
        // Back from a long overload the long run is forgotten faster than it would be by its mean.
        if long / short > 2.0 {
            self.long *= 0.95;
        }
        // Those who do not use the limit learn nothing of it.
        if f64::from(whole.in_flight) < self.estimate / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * long / short).clamp(0.5, 1.0);
        let new = self.estimate * gradient + QUEUE;
        let smoothed = self.estimate * (1.0 - SMOOTHING) + new * SMOOTHING;
        self.estimate = smoothed.min(f64::from(self.range.most)).max(f64::from(self.range.least));
    }

    fn lengthen(&mut self, short: f64) -> f64 {
        if self.windows < WARM_UP {
            self.windows += 1;
            self.sum += short;
            self.long = self.sum / f64::from(self.windows);
        } else {
            let factor = 2.0 / (LONG + 1.0);
            self.long = self.long * (1.0 - factor) + short * factor;
        }
        self.long
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::time::Span;

    use super::*;

    const RANGE: LimitRange = LimitRange { initial: 20, least: 20, most: 200 };

    const fn whole(millis: u64, in_flight: u32) -> Whole {
        Whole { response: Span::from_millis(millis), in_flight, dropped: false }
    }

    #[track_caller]
    fn check(gradient: &Gradient2, estimate: f64) {
        assert!((gradient.estimate - estimate).abs() < 1e-9, "{} is not {estimate}", gradient.estimate);
    }

    #[test]
    fn a_limit_that_is_used_grows_by_a_fifth_of_the_queue_while_nothing_gets_slower() {
        let mut gradient = Gradient2::new(RANGE);
        gradient.update(whole(100, 10));
        check(&gradient, 20.8);
        gradient.update(whole(100, 10));
        // 10 in flight are less than half of 20.8.
        check(&gradient, 20.8);
        gradient.update(whole(100, 11));
        check(&gradient, 21.6);
        assert_eq!(gradient.limit(), 21);
    }

    #[test]
    fn a_response_beyond_the_tolerance_shrinks_it_by_the_gradient() {
        let mut gradient = Gradient2 { estimate: 100.0, long: 100e6, windows: WARM_UP, ..Gradient2::new(RANGE) };
        gradient.update(whole(200, 100));
        let long = 100e6 * (1.0 - 2.0 / 601.0) + 200e6 * 2.0 / 601.0;
        check(&gradient, 80.0 + 0.2 * (100.0 * (1.5 * long / 200e6) + 4.0));
        // At worst it halves, of which a fifth is taken over, and never falls below the least.
        let mut gradient = Gradient2 { estimate: 100.0, long: 100e6, windows: WARM_UP, ..gradient };
        gradient.update(whole(10_000, 100));
        check(&gradient, 80.0 + 0.2 * 54.0);
        (0..100).for_each(|_| gradient.update(whole(100_000, 100)));
        check(&gradient, 20.0);
    }

    #[test]
    fn the_long_run_is_forgotten_faster_once_it_is_twice_the_short() {
        let mut gradient = Gradient2 { long: 500e6, windows: WARM_UP, ..Gradient2::new(RANGE) };
        gradient.update(whole(100, 1));
        let long = 500e6 * (1.0 - 2.0 / 601.0) + 100e6 * 2.0 / 601.0;
        assert!((gradient.long - 0.95 * long).abs() < 1e-3);
        check(&gradient, 20.0);
    }

    #[test]
    fn it_never_grows_beyond_the_most() {
        let mut gradient = Gradient2::new(RANGE);
        (0..1000).for_each(|_| gradient.update(whole(100, 1000)));
        check(&gradient, 200.0);
    }
}
