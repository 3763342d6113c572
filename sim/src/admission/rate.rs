//! So many requests a period, as resilience4j's `AtomicRateLimiter` counts them: periods follow each other from time zero, unused ones are not saved up, and
//! who may wait takes a place in a later one.

use firedrill_core::time::{Span, Time};

use crate::spec::RateLimitSpec;

/// The permissions of one replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimiter {
    spec: RateLimitSpec,
    period: u64,
    /// Permissions that are left in this period; below zero, as many of later periods are taken.
    left: i64,
}

impl RateLimiter {
    pub(crate) fn new(spec: RateLimitSpec) -> Self {
        Self { spec, period: 0, left: i64::from(spec.limit) }
    }

    /// How long one who comes now has to wait for its permission, which is taken; `None`: longer than it may, and none is taken.
    pub(crate) fn take(&mut self, now: Time) -> Option<Span> {
        let (nanos, length) = (now.as_nanos(), self.spec.period.as_nanos().max(1));
        let (period, limit) = (nanos / length, i64::from(self.spec.limit));
        if period != self.period {
            let passed = i64::try_from(period - self.period).unwrap_or(i64::MAX);
            self.left = self.left.saturating_add(passed.saturating_mul(limit)).min(limit);
            self.period = period;
        }
        let wait = if self.left >= 1 {
            Span::ZERO
        } else {
            let to_next = (period + 1) * length - nanos;
            let missing = 1 - (self.left + limit);
            let periods = if missing > 0 { missing.unsigned_abs().div_ceil(limit.unsigned_abs()) } else { 0 };
            Span::from_nanos(periods * length + to_next)
        };
        (wait <= self.spec.wait).then(|| {
            self.left -= 1;
            wait
        })
    }

    /// What it compares, for people.
    pub(crate) fn figures(&self) -> String {
        format!("{} requests in {}", self.spec.limit, self.spec.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn waits(wait: u64, times: &[u64]) -> Vec<Option<u64>> {
        let spec = RateLimitSpec { limit: 2, period: Span::from_millis(100), wait: Span::from_millis(wait) };
        let mut limiter = RateLimiter::new(spec);
        times.iter().map(|millis| limiter.take(at(*millis)).map(Span::as_millis)).collect()
    }

    #[test]
    fn beyond_the_limit_of_a_period_nobody_comes_in_and_the_next_begins_anew() {
        assert_eq!(waits(0, &[0, 10, 99, 100, 101, 102]), [Some(0), Some(0), None, Some(0), Some(0), None]);
    }

    #[test]
    fn permissions_that_nobody_took_are_not_saved_up() {
        assert_eq!(waits(0, &[950, 951, 952]), [Some(0), Some(0), None]);
    }

    #[test]
    fn who_may_wait_takes_a_place_in_a_later_period() {
        assert_eq!(waits(150, &[10, 10, 10, 10, 10, 60, 60]), [Some(0), Some(0), Some(90), Some(90), None, Some(140), Some(140)]);
        // Two of the second period are taken, and two of the third.
        assert_eq!(
            waits(250, &[10, 10, 10, 10, 10, 10, 110, 220, 300]),
            [Some(0), Some(0), Some(90), Some(90), Some(190), Some(190), Some(190), Some(80), Some(100)]
        );
    }
}
