//! Sums over the recent past, in slices of time.

use std::collections::VecDeque;

use firedrill_core::time::{Span, Time};

/// The sum of what was added within a window, forgotten slice by slice (Finagle, `WindowedAdder.scala`).
///
/// A slice begins when the one before it is older than its length and something is added or asked, so quiet times shift the slices, as they do there.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    slice: Span,
    /// The slices that are complete, oldest first.
    complete: VecDeque<i64>,
    current: i64,
    since: Time,
}

impl Windowed {
    /// Of `slices` slices, at least 2.
    pub(crate) fn new(window: Span, slices: usize) -> Self {
        assert!(slices > 1, "a window of one slice forgets all at once");
        let slice = Span::from_nanos((window.as_nanos() / slices as u64).max(1));
        Self { slice, complete: VecDeque::from(vec![0; slices - 1]), current: 0, since: Time::ZERO }
    }

    pub(crate) fn add(&mut self, now: Time, amount: i64) {
        self.forget(now);
        self.current += amount;
    }

    pub(crate) fn sum(&mut self, now: Time) -> i64 {
        self.forget(now);
        self.current + self.complete.iter().sum::<i64>()
    }

    fn forget(&mut self, now: Time) {
        let passed = now.since(self.since).as_nanos() / self.slice.as_nanos();
        if passed == 0 {
            return;
        }
        let complete = std::mem::take(&mut self.current);
        self.shift(complete);
        for _ in 1..passed.min(self.complete.len() as u64 + 1) {
            self.shift(0);
        }
        self.since = now;
    }

    fn shift(&mut self, complete: i64) {
        self.complete.pop_front();
        self.complete.push_back(complete);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    #[test]
    fn what_was_added_is_forgotten_a_window_later() {
        let mut sum = Windowed::new(Span::from_seconds(3), 3);
        sum.add(at(0), 1);
        sum.add(at(1), 2);
        sum.add(at(2), 4);
        assert_eq!(sum.sum(at(2)), 7);
        assert_eq!(sum.sum(at(3)), 6);
        assert_eq!(sum.sum(at(4)), 4);
        assert_eq!(sum.sum(at(5)), 0);
    }

    #[test]
    fn after_a_long_pause_nothing_is_left() {
        let mut sum = Windowed::new(Span::from_seconds(3), 3);
        sum.add(at(0), 5);
        assert_eq!(sum.sum(at(1000)), 0);
    }
}
