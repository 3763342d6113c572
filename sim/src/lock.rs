//! A lock that one has at a time, and for which others wait in the order in which they came.

use std::collections::VecDeque;

use firedrill_core::time::Time;

use crate::slab::NONE;

/// Who holds it and who waits, each by a number that means nothing here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lock {
    holder: Option<u32>,
    /// Who, and since when.
    waiting: VecDeque<(u32, Time)>,
}

impl Lock {
    /// Takes it if nobody has it, and else waits for it. Whether it was free.
    pub(crate) fn acquire(&mut self, now: Time, who: u32) -> bool {
        assert!(who != NONE, "somebody takes a lock");
        if self.holder.is_none() {
            self.holder = Some(who);
            return true;
        }
        self.waiting.push_back((who, now));
        false
    }

    /// Gives it up, or waits for it no longer. Who has it next, if that is news.
    pub(crate) fn leave(&mut self, who: u32) -> Option<u32> {
        if self.holder != Some(who) {
            self.waiting.retain(|(waiting, _)| *waiting != who);
            return None;
        }
        self.holder = self.waiting.pop_front().map(|(next, _)| next);
        self.holder
    }

    /// Who has it.
    pub(crate) const fn holder(&self) -> Option<u32> {
        self.holder
    }

    /// Since when somebody waits for it; `None`: it does not.
    pub(crate) fn waits_since(&self, who: u32) -> Option<Time> {
        self.waiting.iter().find(|(waiting, _)| *waiting == who).map(|(_, since)| *since)
    }

    /// How many wait for it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Whether who waits for one of these locks waits, through others, for itself.
pub(crate) fn is_deadlocked(locks: &[Lock], who: u32) -> bool {
    let mut at = who;
    // Each waits for one lock at most, and each lock has one holder: a chain, which ends or comes back.
    for _ in 0..=locks.len() {
        let Some(holder) = locks.iter().find(|lock| lock.waits_since(at).is_some()).and_then(Lock::holder) else { return false };
        if holder == who {
            return true;
        }
        at = holder;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    #[test]
    fn a_lock_goes_round_in_the_order_in_which_they_came() {
        let mut lock = Lock::default();
        assert!(lock.acquire(NOW, 1) && !lock.acquire(NOW, 2) && !lock.acquire(NOW, 3) && !lock.acquire(NOW, 4));
        assert_eq!((lock.leave(3), lock.waiting(), lock.holder()), (None, 2, Some(1)));
        assert_eq!((lock.leave(1), lock.leave(2), lock.leave(4)), (Some(2), Some(4), None));
        assert!(lock.acquire(NOW, 5));
    }

    #[test]
    fn two_who_wait_for_each_other_are_deadlocked_and_a_chain_that_ends_is_not() {
        let mut locks = vec![Lock::default(), Lock::default(), Lock::default()];
        for (lock, who) in locks.iter_mut().zip(1..) {
            lock.acquire(NOW, who);
        }
        locks[1].acquire(NOW, 1);
        locks[2].acquire(NOW, 2);
        assert!(!is_deadlocked(&locks, 1) && !is_deadlocked(&locks, 2));
        locks[0].acquire(NOW, 3);
        assert!(is_deadlocked(&locks, 1) && is_deadlocked(&locks, 3));
        locks[0].acquire(NOW, 9);
        assert!(!is_deadlocked(&locks, 9), "it waits for a deadlock and is not part of it");
    }
}
