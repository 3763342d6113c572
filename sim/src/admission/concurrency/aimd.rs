//! `AIMDLimit` of Netflix concurrency-limits (78a74b98): one more while nothing is dropped, a tenth less when something is.

use firedrill_core::time::Span;

use super::Whole;
use crate::spec::LimitRange;

/// What the limit is multiplied by.
const BACK_OFF: f64 = 0.9;

/// The limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimd {
    range: LimitRange,
    timeout: Span,
    limit: u32,
}

impl Aimd {
    pub(super) const fn new(range: LimitRange, timeout: Span) -> Self {
        Self { range, timeout, limit: range.initial }
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// A window is over.
    pub(super) fn update(&mut self, whole: Whole) {
        if whole.dropped || whole.response > self.timeout {
            self.limit = (f64::from(self.limit) * BACK_OFF) as u32;
        } else if u64::from(whole.in_flight) * 2 >= u64::from(self.limit) {
            self.limit = self.limit.saturating_add(1);
        }
        self.limit = self.limit.min(self.range.most).max(self.range.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: u32, response_millis: u64, in_flight: u32, dropped: bool, expected: u32) {
        let range = LimitRange { initial: limit, least: 20, most: 200 };
        let mut aimd = Aimd::new(range, Span::from_seconds(5));
        aimd.update(Whole { response: Span::from_millis(response_millis), in_flight, dropped });
        assert_eq!(aimd.limit(), expected);
    }

    #[test]
    fn it_grows_by_one_where_it_is_used_and_falls_by_a_tenth_where_it_hurts() {
        check(50, 100, 25, false, 51);
        check(50, 100, 24, false, 50);
        check(50, 100, 1, true, 45);
        check(50, 5000, 50, false, 51);
        check(50, 5001, 50, false, 45);
        check(21, 100, 1, true, 20);
        check(200, 100, 200, false, 200);
    }
}
