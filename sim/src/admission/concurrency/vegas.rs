//! `VegasLimit` of Netflix concurrency-limits (78a74b98): how many of those in flight must be queued, by the least response time seen.

use firedrill_core::random::Stream;

use super::Whole;
use crate::spec::LimitRange;

/// The least response time is taken anew after about so many times the limit of windows.
const PROBE: f64 = 30.0;
/// The word of a block that says when the next probe is due.
const PROBE_WORD: usize = 0;

/// The estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vegas {
    range: LimitRange,
    estimate: f64,
    /// The least response time, nanoseconds; zero before the first window.
    least: u64,
    luck: Stream,
    probes: u64,
    /// What the distance to the next probe is multiplied by, in [0.5, 1).
    jitter: f64,
    windows: u64,
}

impl Vegas {
    pub(super) fn new(range: LimitRange, luck: Stream) -> Self {
        let mut vegas = Self { range, estimate: f64::from(range.initial), least: 0, luck, probes: 0, jitter: 1.0, windows: 0 };
        vegas.draw();
        vegas
    }

    pub(super) const fn limit(&self) -> u32 {
        self.estimate as u32
    }

    /// A window is over.
    pub(super) fn update(&mut self, whole: Whole) {
        let response = whole.response.as_nanos();
        self.windows += 1;
        if self.jitter * PROBE * self.estimate <= self.windows as f64 {
            self.draw();
            self.windows = 0;
            self.least = response;
        } else if self.least == 0 || response < self.least {
            self.least = response;
        } else if let Some(new) = self.next(whole) {
            self.estimate = new.min(f64::from(self.range.most)).max(f64::from(self.range.least));
        }
    }

    /// The next estimate; `None`: it stays.
    fn next(&self, whole: Whole) -> Option<f64> {
        let step = step(self.estimate);
        if whole.dropped {
            return Some(self.estimate - step);
        }
        if f64::from(whole.in_flight) * 2.0 < self.estimate {
            return None;
        }
        let queued = libm::ceil(self.estimate * (1.0 - self.least as f64 / whole.response.as_nanos() as f64));
        let (threshold, alpha, beta) = (step, 3.0 * step, 6.0 * step);
        if queued <= threshold {
            Some(self.estimate + beta)
        } else if queued < alpha {
            Some(self.estimate + step)
        } else if queued > beta {
            Some(self.estimate - step)
        } else {
            None
        }
    }

    fn draw(&mut self) {
        self.jitter = 0.5 + 0.5 * self.luck.block(self.probes).unit(PROBE_WORD);
        self.probes += 1;
    }
}

/// The decimal logarithm of a limit, rounded down and at least 1.
fn step(estimate: f64) -> f64 {
    libm::floor(libm::log10(libm::floor(estimate).max(1.0))).max(1.0)
}

#[cfg(test)]
mod tests {
    use firedrill_core::random::{Purpose, Seed};
    use firedrill_core::time::Span;

    use super::*;

    const RANGE: LimitRange = LimitRange { initial: 20, least: 1, most: 1000 };

    /// A limit of `estimate` after a least response of 100 ms.
    fn vegas(estimate: f64) -> Vegas {
        Vegas { estimate, least: 100_000_000, ..Vegas::new(RANGE, Stream::new(Seed(1), Purpose::Phase, 1)) }
    }

    #[track_caller]
    fn check(estimate: f64, response_millis: u64, in_flight: u32, dropped: bool, expected: f64) {
        let mut vegas = vegas(estimate);
        vegas.update(Whole { response: Span::from_millis(response_millis), in_flight, dropped });
        assert!((vegas.estimate - expected).abs() < 1e-9, "{} is not {expected}", vegas.estimate);
    }

    #[test]
    fn the_limit_follows_how_many_are_queued() {
        // Of 20, at 100 ms none is queued, at 105 ms one, at 110 ms two, at 118 ms four, at 143 ms six, at 200 ms ten.
        check(20.0, 100, 20, false, 26.0);
        check(20.0, 105, 20, false, 26.0);
        check(20.0, 110, 20, false, 21.0);
        check(20.0, 118, 20, false, 20.0);
        check(20.0, 142, 20, false, 20.0);
        check(20.0, 200, 20, false, 19.0);
        // Steps grow with the logarithm of the limit: of 100 none, four, six, twelve and fourteen.
        check(100.0, 100, 100, false, 112.0);
        check(100.0, 104, 100, false, 102.0);
        check(100.0, 106, 100, false, 100.0);
        check(100.0, 113, 100, false, 100.0);
        check(100.0, 115, 100, false, 98.0);
    }

    #[test]
    fn a_limit_that_is_not_used_stays_and_a_drop_lowers_it_all_the_same() {
        check(20.0, 100, 9, false, 20.0);
        check(20.0, 100, 10, false, 26.0);
        check(20.0, 100, 1, true, 19.0);
        check(1.0, 100, 1, true, 1.0);
        check(999.0, 100, 999, false, 1000.0);
    }

    #[test]
    fn a_faster_answer_is_the_new_least_and_a_probe_takes_any() {
        let mut vegas = vegas(20.0);
        vegas.update(Whole { response: Span::from_millis(90), in_flight: 20, dropped: false });
        assert_eq!((vegas.least, vegas.limit()), (90_000_000, 20));
        let slow = Whole { response: Span::from_millis(900), in_flight: 1, dropped: false };
        let due = libm::ceil(vegas.jitter * PROBE * 20.0) as u64;
        assert!((300..=600).contains(&due));
        (1..due - 1).for_each(|_| vegas.update(slow));
        assert_eq!(vegas.least, 90_000_000);
        vegas.update(slow);
        assert_eq!(vegas.least, 900_000_000);
    }
}
