//! So many requests a second of all callers together: a bucket that fills at a rate, kept as the time at which it will be full again (GCRA).

use firedrill_core::quantity::Rate;
use firedrill_core::time::Time;

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
        Quota::new(&QuotaSpec { rate: Rate::per_second(rate).unwrap(), burst })
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
