//! The CPU time that the scheduler of Linux gives a container in each period: CFS bandwidth control.
//!
//! What runs spends the quota of a period as fast as it can; once it is spent all stand still to the end of the period. Periods follow each other from
//! the moment at which something begins to run, and end with the first in which nothing is left to run (`kernel/sched/fair.c`).

use firedrill_core::time::{Span, Time};

/// The quota of one container.
#[derive(Clone, Debug)]
pub(crate) struct Bandwidth {
    period: Span,
    /// CPU time of each period, in the CPU's units.
    quota: u128,
    /// What the CPU had given out when the present period began.
    from: u128,
    /// The end of the present period; `None`: nothing runs.
    ends: Option<Time>,
    /// Since when all stand still; `None`: they run.
    throttled: Option<Time>,
    /// Periods in which something ran.
    pub(crate) periods: u64,
    /// Those of them that were too short.
    pub(crate) throttled_periods: u64,
    stood: Span,
}

/// What a CPU gives out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// So far, in the CPU's units.
    pub(crate) delivered: u128,
    /// In each nanosecond from now on.
    pub(crate) pace: u128,
    /// Whether anything wants to run.
    pub(crate) busy: bool,
}

impl Bandwidth {
    /// So many units of the CPU in each period.
    pub(crate) const fn new(period: Span, quota: u128) -> Self {
        Self { period, quota, from: 0, ends: None, throttled: None, periods: 0, throttled_periods: 0, stood: Span::ZERO }
    }

    /// Whether all stand still.
    pub(crate) const fn is_throttled(&self) -> bool {
        self.throttled.is_some()
    }

    /// For how long all have stood still.
    pub(crate) fn stood(&self, now: Time) -> Span {
        self.stood + self.throttled.map_or(Span::ZERO, |since| now.since(since))
    }

    /// Takes in what the CPU gives out; the result is when to look again, if nothing changes. Must be called whenever that is due.
    pub(crate) fn look(&mut self, now: Time, given: Given) -> Option<Time> {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.end_period(now, given);
        }
        if self.ends.is_none() {
            if !given.busy {
                return None;
            }
            self.ends = Some(now + self.period);
            self.from = given.delivered;
        }
        let spent = given.delivered - self.from;
        if self.throttled.is_none() && given.busy && spent >= self.quota {
            self.throttled = Some(now);
        }
        let ends = self.ends.expect("a period is under way");
        if self.throttled.is_some() || !given.busy || given.pace == 0 {
            return Some(ends);
        }
        let left = (self.quota - spent).div_ceil(given.pace);
        Some(u64::try_from(left).map_or(ends, |left| ends.min(now + Span::from_nanos(left))))
    }

    fn end_period(&mut self, now: Time, given: Given) {
        self.periods += 1;
        if let Some(since) = self.throttled.take() {
            self.throttled_periods += 1;
            self.stood = self.stood + now.since(since);
        }
        self.from = given.delivered;
        self.ends = given.busy.then(|| now + self.period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u128 = 1_000_000;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// `threads` run, and milliseconds of CPU time have been given out.
    const fn running(threads: u128, delivered: u128) -> Given {
        Given { delivered: delivered * MILLISECOND, pace: threads, busy: threads > 0 }
    }

    fn bandwidth(quota: u128) -> Bandwidth {
        Bandwidth::new(Span::from_millis(100), quota * MILLISECOND)
    }

    #[test]
    fn four_threads_spend_a_core_s_quota_in_a_quarter_of_the_period() {
        let mut bandwidth = bandwidth(100);
        assert_eq!(bandwidth.look(at(10), running(4, 0)), Some(at(35)));
        assert_eq!(bandwidth.look(at(35), running(4, 100)), Some(at(110)));
        assert!(bandwidth.is_throttled());
        assert_eq!(bandwidth.look(at(110), running(4, 100)), Some(at(135)));
        assert!(!bandwidth.is_throttled());
        assert_eq!((bandwidth.periods, bandwidth.throttled_periods, bandwidth.stood(at(120))), (1, 1, Span::from_millis(75)));
    }

    #[test]
    fn what_is_not_spent_is_lost_and_an_idle_container_begins_a_period_of_its_own() {
        let mut bandwidth = bandwidth(100);
        assert_eq!(bandwidth.look(at(0), running(1, 0)), Some(at(100)));
        assert_eq!(bandwidth.look(at(20), running(0, 20)), Some(at(100)));
        assert_eq!(bandwidth.look(at(100), running(0, 20)), None);
        assert_eq!(bandwidth.look(at(130), running(4, 20)), Some(at(155)));
        assert_eq!((bandwidth.periods, bandwidth.throttled_periods), (1, 0));
    }

    #[test]
    fn who_spends_all_of_it_as_the_period_ends_is_not_throttled() {
        let mut bandwidth = bandwidth(100);
        assert_eq!(bandwidth.look(at(0), running(1, 0)), Some(at(100)));
        assert_eq!(bandwidth.look(at(100), running(1, 100)), Some(at(200)));
        assert_eq!((bandwidth.is_throttled(), bandwidth.throttled_periods), (false, 0));
    }
}
