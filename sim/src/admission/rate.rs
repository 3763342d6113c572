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

    /// How long one who comes now has to wait for its permission, which is taken. The error is how long one is held that would have to wait longer
    /// than it may: for as long as it may, and then it has none (`waitForPermissionIfNecessary`).
    pub(crate) fn take(&mut self, now: Time) -> Result<Span, Span> {
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
        if wait > self.spec.wait {
            return Err(self.spec.wait);
        }
        self.left -= 1;
        Ok(wait)
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

    /// How long each waits, milliseconds; the error is how long one is held that comes in vain.
    fn waits(wait: u64, times: &[u64]) -> Vec<Result<u64, u64>> {
        let spec = RateLimitSpec { limit: 2, period: Span::from_millis(100), wait: Span::from_millis(wait) };
        let mut limiter = RateLimiter::new(spec);
        times.iter().map(|millis| limiter.take(at(*millis)).map(Span::as_millis).map_err(Span::as_millis)).collect()
    }

    #[test]
    fn beyond_the_limit_of_a_period_nobody_comes_in_and_the_next_begins_anew() {
        assert_eq!(waits(0, &[0, 10, 99, 100, 101, 102]), [Ok(0), Ok(0), Err(0), Ok(0), Ok(0), Err(0)]);
    }

    #[test]
    fn permissions_that_nobody_took_are_not_saved_up() {
        assert_eq!(waits(0, &[950, 951, 952]), [Ok(0), Ok(0), Err(0)]);
    }

    #[test]
    fn who_may_wait_takes_a_place_in_a_later_period() {
        assert_eq!(waits(150, &[10, 10, 10, 10, 10, 60, 60]), [Ok(0), Ok(0), Ok(90), Ok(90), Err(150), Ok(140), Ok(140)]);
        // Two of the second period are taken, and two of the third.
        assert_eq!(
            waits(250, &[10, 10, 10, 10, 10, 10, 110, 220, 300]),
            [Ok(0), Ok(0), Ok(90), Ok(90), Ok(190), Ok(190), Ok(190), Ok(80), Ok(100)]
        );
    }
}
