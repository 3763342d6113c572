//! What a standby does not have yet of its primary's writes: a queue that it works off one by one.

use std::collections::VecDeque;

use firedrill_core::time::{Span, Time};

/// How fast a standby follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From a commit until it can be applied.
    pub(crate) lag: Span,
    /// What applying one takes.
    pub(crate) apply: Span,
}

/// A write on its way.
#[derive(Clone, Copy, Debug)]
struct Write {
    committed: Time,
    /// When it will have been applied; `Time::MAX` while the standby follows nobody.
    applied: Time,
}

/// What one standby has still to apply.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The oldest first.
    pending: VecDeque<Write>,
    pace: Pace,
    /// When all that was ever scheduled will have been applied.
    busy_until: Time,
    /// It follows nobody: its process or its primary's is down.
    stands: bool,
}

impl Follower {
    /// One that has everything.
    pub(crate) const fn new(pace: Pace) -> Self {
        Self { pending: VecDeque::new(), pace, busy_until: Time::ZERO, stands: false }
    }

    /// The primary has committed a write.
    pub(crate) fn committed(&mut self, now: Time) {
        self.catch_up(now);
        let applied = self.schedule(now, now);
        self.pending.push_back(Write { committed: now, applied });
    }

    /// When a write that was committed at `committed` will have been applied if all before it are scheduled.
    fn schedule(&mut self, now: Time, committed: Time) -> Time {
        if self.stands {
            return Time::MAX;
        }
        let begins = committed.saturating_add(self.pace.lag).max(self.busy_until).max(now);
        self.busy_until = begins.saturating_add(self.pace.apply);
        self.busy_until
    }

    /// Takes out what has been applied.
    fn catch_up(&mut self, now: Time) {
        while self.pending.front().is_some_and(|write| write.applied <= now) {
            self.pending.pop_front();
        }
    }

    /// It follows nobody from now on.
    pub(crate) fn stop(&mut self, now: Time) {
        self.catch_up(now);
        self.stands = true;
        self.pending.iter_mut().for_each(|write| write.applied = Time::MAX);
    }

    /// It follows again.
    pub(crate) fn go_on(&mut self, now: Time) {
        self.stands = false;
        self.reschedule(now);
    }

    /// Whether it follows nobody.
    pub(crate) const fn stands(&self) -> bool {
        self.stands
    }

    /// It follows at another pace from now on: what is on its way too.
    pub(crate) fn set_pace(&mut self, now: Time, pace: Pace) {
        if self.pace != pace {
            self.catch_up(now);
            self.pace = pace;
            self.reschedule(now);
        }
    }

    fn reschedule(&mut self, now: Time) {
        self.busy_until = now;
        for place in 0..self.pending.len() {
            let applied = self.schedule(now, self.pending[place].committed);
            self.pending[place].applied = applied;
        }
    }

    /// How many writes it does not have.
    pub(crate) fn missing(&mut self, now: Time) -> u64 {
        self.catch_up(now);
        self.pending.len() as u64
    }

    /// The age of the oldest write that it does not have.
    pub(crate) fn lag(&self, now: Time) -> Span {
        let oldest = self.pending.iter().find(|write| write.applied > now);
        oldest.map_or(Span::ZERO, |write| now.since(write.committed))
    }

    /// It has everything: its primary has waited for it.
    pub(crate) fn has_all(&mut self) {
        self.pending.clear();
    }

    /// The newest writes are no more: they were lost with the primary that alone had them.
    pub(crate) fn forget_newest(&mut self, count: u64) {
        let left = self.pending.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        self.pending.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    const fn pace(lag: u64, apply: u64) -> Pace {
        Pace { lag: Span::from_millis(lag), apply: Span::from_millis(apply) }
    }

    #[test]
    fn a_write_is_missing_for_the_lag_and_not_longer() {
        let mut follower = Follower::new(pace(10, 0));
        follower.committed(at(100));
        assert_eq!((follower.missing(at(109)), follower.lag(at(109))), (1, Span::from_millis(9)));
        assert_eq!((follower.lag(at(110)), follower.missing(at(110))), (Span::ZERO, 0));
    }

    #[test]
    fn writes_are_applied_one_after_the_other() {
        let mut follower = Follower::new(pace(0, 5));
        for _ in 0..10 {
            follower.committed(at(0));
        }
        let missing: Vec<u64> = [0, 4, 5, 24, 25, 50].map(|now| follower.missing(at(now))).to_vec();
        assert_eq!(missing, [10, 10, 9, 6, 5, 0]);
    }

    #[test]
    fn more_lag_holds_back_what_is_on_its_way_and_less_lets_it_go_at_the_speed_of_applying() {
        let mut follower = Follower::new(pace(10, 1));
        follower.committed(at(0));
        follower.committed(at(5));
        follower.set_pace(at(6), pace(1000, 1));
        assert_eq!((follower.missing(at(1000)), follower.missing(at(1001)), follower.missing(at(1006))), (2, 1, 0));
        follower.committed(at(2000));
        follower.committed(at(2001));
        follower.set_pace(at(2500), pace(10, 1));
        assert_eq!((follower.missing(at(2500)), follower.missing(at(2501)), follower.missing(at(2502))), (2, 1, 0));
    }

    #[test]
    fn who_follows_nobody_applies_nothing_until_it_goes_on() {
        let mut follower = Follower::new(pace(10, 0));
        follower.committed(at(0));
        follower.stop(at(5));
        follower.committed(at(6));
        assert_eq!((follower.missing(at(60_000)), follower.lag(at(60_000))), (2, Span::from_seconds(60)));
        follower.forget_newest(1);
        follower.go_on(at(60_000));
        assert_eq!(follower.missing(at(60_000)), 0);
        follower.forget_newest(3);
    }
}
