//! Those who wait at a replica, in the order of its discipline.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use firedrill_core::time::{Span, Time};

use crate::spec::{Discipline, Priority};

/// One who begins to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Which attempt.
    pub(crate) slot: u32,
    /// How important it is.
    pub(crate) priority: Priority,
    /// When its caller gives up; `Time::MAX`: never.
    pub(crate) deadline: Time,
}

/// A queue. It may hold attempts that have left it; whoever takes them out knows which they are, and how many are left.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    discipline: Discipline,
    /// By order of arrival; by importance first where that counts. The disciplines without classes use the first alone.
    classes: [VecDeque<u32>; Priority::COUNT],
    /// By deadline, then by arrival.
    deadlines: BinaryHeap<Reverse<(Time, u64, u32)>>,
    entries: u64,
    /// When the queue was last empty, of those that have waited since.
    empty_until: Time,
}

impl Line {
    pub(crate) fn new(discipline: Discipline) -> Self {
        Self { discipline, classes: Default::default(), deadlines: BinaryHeap::new(), entries: 0, empty_until: Time::ZERO }
    }

    /// Whether the queue has not been empty for `interval`; `left` are those that wait now.
    fn stands(&self, now: Time, left: u32, interval: Span) -> bool {
        left > 0 && now.since(self.empty_until) > interval
    }

    /// How long one who comes now may wait at most; `None`: for ever. `left` are those that wait already.
    ///
    /// Maurer, "Fail at Scale" (ACM Queue 13(8), 2015): the target while the queue has not been empty for the interval, else the interval.
    pub(crate) fn patience(&self, now: Time, left: u32) -> Option<Span> {
        match self.discipline {
            Discipline::Codel { target, interval } => Some(if self.stands(now, left, interval) { target } else { interval }),
            _ => None,
        }
    }

    /// One begins to wait behind `left` others.
    pub(crate) fn push(&mut self, now: Time, left: u32, waiting: Waiting) {
        if left == 0 {
            self.empty_until = now;
        }
        match self.discipline {
            Discipline::EarliestDeadline => {
                self.deadlines.push(Reverse((waiting.deadline, self.entries, waiting.slot)));
                self.entries += 1;
            }
            Discipline::Priority => self.classes[waiting.priority as usize].push_back(waiting.slot),
            _ => self.classes[0].push_back(waiting.slot),
        }
    }

    /// Takes out the next; `left` are those that wait now.
    pub(crate) fn pop(&mut self, now: Time, left: u32) -> Option<u32> {
        match self.discipline {
            Discipline::Fifo => self.classes[0].pop_front(),
            Discipline::Lifo => self.classes[0].pop_back(),
            Discipline::AdaptiveLifo { interval } | Discipline::Codel { interval, .. } => {
                if self.stands(now, left, interval) {
                    self.classes[0].pop_back()
                } else {
                    self.classes[0].pop_front()
                }
            }
            Discipline::Priority => self.classes.iter_mut().find_map(VecDeque::pop_front),
            Discipline::EarliestDeadline => self.deadlines.pop().map(|Reverse((_, _, slot))| slot),
        }
    }

    /// Those who wait in order of arrival, where that is the order in which they are taken out; else nobody.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = u32> {
        self.classes[0].iter().copied().filter(|_| self.discipline == Discipline::Fifo)
    }

    /// Takes out the youngest of the least important, if there is one less important than `priority`.
    pub(crate) fn displace(&mut self, priority: Priority) -> Option<u32> {
        if self.discipline != Discipline::Priority {
            return None;
        }
        self.classes[priority as usize + 1..].iter_mut().rev().find_map(VecDeque::pop_back)
    }

    /// Takes everybody out: by class, or by deadline, and then by arrival.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.classes.iter_mut().flat_map(std::mem::take).collect();
        while let Some(Reverse((_, _, slot))) = self.deadlines.pop() {
            slots.push(slot);
        }
        slots
    }

    /// How many it holds, those included that have left.
    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum::<usize>() + self.deadlines.len()
    }

    /// Forgets those of whom `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.classes.iter_mut().for_each(|class| class.retain(|slot| keep(*slot)));
        self.deadlines.retain(|Reverse((_, _, slot))| keep(*slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn waiting(slot: u32, priority: Priority, deadline: u64) -> Waiting {
        Waiting { slot, priority, deadline: at(deadline) }
    }

    /// Puts four in, one a millisecond from `from` on, and takes them out at `until`.
    fn order(discipline: Discipline, from: u64, until: u64) -> Vec<u32> {
        let mut line = Line::new(discipline);
        let classes = [Priority::Low, Priority::High, Priority::Normal, Priority::High];
        for (slot, (priority, deadline)) in classes.into_iter().zip([40, 30, 20, 30]).enumerate() {
            line.push(at(from + slot as u64), slot as u32, waiting(slot as u32, priority, 1000 + deadline));
        }
        (0..4).map(|taken| line.pop(at(until), 4 - taken).unwrap()).collect()
    }

    #[test]
    fn each_discipline_has_its_order() {
        let interval = Span::from_millis(100);
        assert_eq!(order(Discipline::Fifo, 0, 500), [0, 1, 2, 3]);
        assert_eq!(order(Discipline::Lifo, 0, 500), [3, 2, 1, 0]);
        assert_eq!(order(Discipline::Priority, 0, 500), [1, 3, 2, 0]);
        assert_eq!(order(Discipline::EarliestDeadline, 0, 500), [2, 1, 3, 0]);
        // The queue has been there for exactly as long as it may, and then for longer.
        assert_eq!(order(Discipline::AdaptiveLifo { interval }, 0, 100), [0, 1, 2, 3]);
        assert_eq!(order(Discipline::AdaptiveLifo { interval }, 0, 101), [3, 2, 1, 0]);
    }

    #[test]
    fn patience_is_short_while_the_queue_stands_and_long_again_once_it_was_empty() {
        let (target, interval) = (Span::from_millis(5), Span::from_millis(100));
        let mut line = Line::new(Discipline::Codel { target, interval });
        assert_eq!(line.patience(at(1000), 0), Some(interval));
        line.push(at(1000), 0, waiting(1, Priority::Normal, 9999));
        assert_eq!(line.patience(at(1100), 1), Some(interval));
        assert_eq!(line.patience(at(1101), 1), Some(target));
        assert_eq!(line.pop(at(1102), 1), Some(1));
        assert_eq!(line.patience(at(1103), 0), Some(interval));
        line.push(at(1103), 0, waiting(2, Priority::Normal, 9999));
        assert_eq!(line.patience(at(1203), 1), Some(interval));
    }

    #[test]
    fn the_youngest_of_the_least_important_makes_room_and_nobody_for_an_equal() {
        let mut line = Line::new(Discipline::Priority);
        for (slot, priority) in [(0, Priority::Low), (1, Priority::Low), (2, Priority::Normal)] {
            line.push(at(0), slot, waiting(slot, priority, 9999));
        }
        assert_eq!(line.displace(Priority::Low), None);
        assert_eq!(line.displace(Priority::High), Some(1));
        assert_eq!(line.displace(Priority::Normal), Some(0));
        assert_eq!(line.displace(Priority::Normal), None);
        assert_eq!(line.displace(Priority::High), Some(2));
        assert_eq!(Line::new(Discipline::Fifo).displace(Priority::High), None);
    }

    #[test]
    fn what_has_left_can_be_forgotten_and_the_rest_taken_out_at_once() {
        for discipline in [Discipline::Fifo, Discipline::EarliestDeadline] {
            let mut line = Line::new(discipline);
            (0..4).for_each(|slot| line.push(at(0), slot, waiting(slot, Priority::Normal, 50)));
            line.retain(|slot| slot % 2 == 1);
            assert_eq!((line.len(), line.drain(), line.len()), (2, vec![1, 3], 0));
        }
    }
}
