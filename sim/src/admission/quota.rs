//! So many requests a second of all callers together: a bucket that fills at a rate, kept as the time at which it will be full again (GCRA).

use firedrill_core::quantity::Rate;
use firedrill_core::time::{Span, Time};

use crate::spec::QuotaSpec;

/// The bucket of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    burst: u64,
    /// Nanoseconds until one request more is allowed; `None`: none ever is.
    interval: Option<u64>,
    /// When it is full, nanoseconds.
    full_at: u64,
}

/// From one request to the next at a rate; whole nanoseconds.
fn interval(rate: Rate) -> Option<u64> {
    (rate.get() > 0.0).then(|| ((1e9 / rate.get()) as u64).max(1))
}

impl Quota {
    /// A full one.
    pub(crate) fn new(spec: &QuotaSpec) -> Self {
        Self { burst: u64::from(spec.burst), interval: interval(spec.rate), full_at: 0 }
    }

    /// Whether one who comes now is within it; then one less is.
    pub(crate) fn takes(&mut self, now: Time) -> bool {
        let Some(interval) = self.interval else { return false };
        let full_at = self.full_at.max(now.as_nanos()).saturating_add(interval);
        let allowed = full_at - now.as_nanos() <= interval.saturating_mul(self.burst);
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }

    /// How long it is until somebody would be let in, in whole seconds as `Retry-After` has it (RFC 9110, 10.2.3), and at least one; `None`: nobody
    /// knows when.
    pub(crate) fn retry_after(&self, now: Time) -> Option<Span> {
        let interval = self.interval?;
        let full_at = self.full_at.max(now.as_nanos()).saturating_add(interval);
        let wait = full_at.saturating_sub(now.as_nanos()).saturating_sub(interval.saturating_mul(self.burst));
        Some(Span::from_seconds(wait.div_ceil(1_000_000_000).max(1)))
    }

    /// It fills at another rate from now on; what is in it stays.
    pub(crate) fn set_rate(&mut self, now: Time, rate: Rate) {
        let new = interval(rate);
        if let Some(new) = new {
            let missing = match self.interval {
                Some(old) => self.full_at.saturating_sub(now.as_nanos()) / old,
                None => self.burst,
            };
            self.full_at = now.as_nanos().saturating_add(missing.saturating_mul(new));
        }
        self.interval = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(rate: f64, burst: u32) -> Quota {
        Quota::new(&QuotaSpec { rate: Rate::per_second(rate).unwrap(), burst, retry_after: true })
    }

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_full_bucket_lets_its_burst_through_and_then_its_rate() {
        let mut quota = quota(10.0, 5);
        let taken = |quota: &mut Quota, now: Time| (0..20).filter(|_| quota.takes(now)).count();
        assert_eq!((taken(&mut quota, at(0)), taken(&mut quota, at(99)), taken(&mut quota, at(100))), (5, 0, 1));
        assert_eq!((taken(&mut quota, at(1000)), taken(&mut quota, at(1001))), (5, 0), "no more than the burst is saved up");
    }

    #[test]
    fn whoever_is_turned_away_is_told_the_seconds_until_there_is_room_rounded_up() {
        let mut slow = quota(0.4, 2);
        assert!(slow.takes(at(0)) && slow.takes(at(0)) && !slow.takes(at(0)));
        let told: Vec<u64> =
            [0, 499, 500, 1_500, 2_400].iter().map(|millis| slow.retry_after(at(*millis)).unwrap().as_millis() / 1000).collect();
        assert_eq!(told, [3, 3, 2, 1, 1], "it has room again after 2.5 s");
        assert!(slow.takes(at(2_500)));
        assert_eq!(quota(0.0, 2).retry_after(at(0)), None, "it never has room");
    }

    #[test]
    fn another_rate_keeps_what_is_in_the_bucket() {
        let mut quota = quota(10.0, 4);
        assert!(quota.takes(at(0)) && quota.takes(at(0)));
        quota.set_rate(at(0), Rate::per_second(1.0).unwrap());
        assert!(quota.takes(at(0)) && quota.takes(at(0)) && !quota.takes(at(999)) && quota.takes(at(1000)));
        quota.set_rate(at(1000), Rate::per_second(0.0).unwrap());
        assert!(!quota.takes(at(60_000)));
        quota.set_rate(at(60_000), Rate::per_second(1.0).unwrap());
        assert!(!quota.takes(at(60_999)) && quota.takes(at(61_000)), "it fills from nothing");
    }
}
