//! The wheel against the heap and against a sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Schedule so many events, the first this much later than now and each this much later than the one before, in a class.
    Schedule {
        count: usize,
        after: u64,
        apart: u64,
        class: usize,
    },
    /// Schedule so many events as timeouts of one length in one of three rows, with pops between them.
    Timeouts {
        count: usize,
        length: u64,
        row: usize,
        pops: bool,
    },
    /// Cancel one of the handles given out so far, pending or not.
    Cancel(prop::sample::Index),
    /// Cancel all that is pending but each `n`th.
    Thin(usize),
    Pop(usize),
    /// Take the first event if it is due so much later than now, in a class or a lower one, at the latest.
    PopUntil(u64, usize),
    /// Go on with a clone, and drop the original.
    Clone,
}

/// Few distinct times, so that many are equal; spans of every size; and the end of time.
fn spans() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0_u64..4, 3 => 0_u64..1000, 3 => 0_u64..1 << 24, 2 => 0_u64..1 << 45, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let one = (spans(), 0..Class::COUNT).prop_map(|(after, class)| Step::Schedule { count: 1, after, apart: 0, class });
    let many = (2_usize..300, spans(), spans(), 0..Class::COUNT).prop_map(|(count, after, apart, class)| {
        let apart = apart >> 10;
        Step::Schedule { count, after, apart, class }
    });
    let step = prop_oneof![
        16 => one,
        1 => many,
        6 => (1_usize..40, spans(), 0_usize..3, any::<bool>()).prop_map(|(count, length, row, pops)| Step::Timeouts { count, length, row, pops }),
        8 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => (1_usize..4).prop_map(Step::Thin),
        8 => Just(Step::Pop(1)),
        2 => (2_usize..200).prop_map(Step::Pop),
        4 => (spans(), 0..Class::COUNT).prop_map(|(after, class)| Step::PopUntil(after, class)),
        1 => Just(Step::Clone),
    ];
    prop::collection::vec(step, 0..most)
}

/// Both queues, and beside them a sorted map that does the same slowly.
#[derive(Clone, Default)]
struct Three {
    wheel: Wheel<u32>,
    heap: Heap<u32>,
    /// Rows of the wheel, as they are asked for.
    rows: Vec<Fifo>,
    model: BTreeMap<Key, u32>,
    sequences: [u64; Class::COUNT],
    given: Vec<(Handle, Handle, Key)>,
    now: Time,
    /// The most that was ever pending.
    most: usize,
}

impl Three {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Schedule { count, after, apart, class } => {
                for number in 0..count as u64 {
                    self.schedule(after.saturating_add(apart.saturating_mul(number)), class);
                }
            }
            Step::Timeouts { count, length, row, pops } => {
                while self.rows.len() <= row {
                    self.rows.push(self.wheel.fifo());
                }
                for _ in 0..count {
                    self.schedule_in(length, 0, Some(self.rows[row]));
                    if pops {
                        self.pop();
                    }
                }
            }
            Step::Cancel(_) if self.given.is_empty() => {}
            Step::Cancel(index) => self.cancel(*index.get(&self.given)),
            Step::Thin(each) => {
                let given = self.given.clone();
                given.into_iter().enumerate().filter(|(number, _)| number % each != 0).for_each(|(_, given)| self.cancel(given));
            }
            Step::Pop(count) => (0..count).for_each(|_| self.pop()),
            Step::PopUntil(after, class) => {
                let last = (self.now + firedrill_core::time::Span::from_nanos(after), CLASSES[class + 1]);
                let first = self.model.first_entry().filter(|first| (first.key().time, first.key().class) <= last);
                let first = first.map(|first| first.remove_entry());
                assert_eq!((self.wheel.pop_until(last), self.heap.pop_until(last)), (first, first));
                self.now = first.map_or(self.now, |(key, _)| key.time);
            }
            Step::Clone => *self = self.clone(),
        }
        assert_eq!((self.wheel.len(), self.heap.len()), (self.model.len(), self.model.len()));
        self.most = self.most.max(self.model.len());
        self.wheel.assert_sound(self.most);
        self.heap.assert_bounded(self.most);
    }

    fn schedule(&mut self, after: u64, class: usize) {
        self.schedule_in(after, class, None);
    }

    fn schedule_in(&mut self, after: u64, class: usize, row: Option<Fifo>) {
        let (time, payload) = (self.now + firedrill_core::time::Span::from_nanos(after), self.given.len() as u32);
        let key = Key { time, class: CLASSES[class + 1], sequence: self.sequences[class] };
        self.sequences[class] += 1;
        self.model.insert(key, payload);
        let in_wheel = match row {
            Some(row) => self.wheel.schedule_in(row, time, CLASSES[class + 1], payload),
            None => self.wheel.schedule(time, CLASSES[class + 1], payload),
        };
        let handles = (in_wheel, self.heap.schedule(time, CLASSES[class + 1], payload));
        self.given.push((handles.0, handles.1, key));
        self.most = self.most.max(self.model.len());
    }

    fn cancel(&mut self, (wheel, heap, key): (Handle, Handle, Key)) {
        let was_pending = self.model.remove(&key).is_some();
        assert_eq!((self.wheel.cancel(wheel), self.heap.cancel(heap)), (was_pending, was_pending));
    }

    fn pop(&mut self) {
        let first = self.model.pop_first();
        assert_eq!((self.wheel.pop(), self.heap.pop()), (first, first));
        self.now = first.map_or(self.now, |(key, _)| key.time);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn wheel_and_heap_do_what_a_sorted_map_does(steps in steps(150)) {
        let mut three = Three::default();
        for step in &steps {
            three.apply(step);
        }
        while !three.model.is_empty() {
            three.apply(&Step::Pop(1));
        }
        prop_assert_eq!(three.wheel.pop(), None);
        prop_assert_eq!(three.heap.pop(), None);
    }

    #[test]
    fn a_clone_and_its_original_go_on_alike(before in steps(60), after in steps(30)) {
        let mut one = Three::default();
        before.iter().for_each(|step| one.apply(step));
        let mut other = one.clone();
        after.iter().for_each(|step| one.apply(step));
        after.iter().for_each(|step| other.apply(step));
        prop_assert_eq!(one.model, other.model);
    }
}

/// Calls `check` with a new queue of each kind.
macro_rules! both {
    (|$queue:ident| $check:block) => {{
        {
            let mut $queue = Wheel::new();
            $check
        }
        {
            let mut $queue = Heap::new();
            $check
        }
    }};
}

#[test]
fn equal_times_go_by_class_and_then_in_order_of_scheduling() {
    both!(|queue| {
        let at = Time::from_nanos(7);
        for number in 0..200 {
            for class in [Class::Action, Class::World, Class::Rules] {
                queue.schedule(at, class, number);
            }
        }
        let popped: Vec<(Class, u64, u64)> = std::iter::from_fn(|| queue.pop()).map(|(key, p)| (key.class, key.sequence, p)).collect();
        let expected = [Class::World, Class::Rules, Class::Action].iter().flat_map(|&class| (0..200).map(move |n| (class, n, n)));
        assert_eq!(popped, expected.collect::<Vec<_>>());
    });
}

#[test]
fn what_is_scheduled_before_what_was_seen_goes_before_it() {
    let mut three = Three::default();
    // Enough for lists, all of it far away; the look ahead, and then more than the front holds before that.
    three.apply(&Step::Schedule { count: 500, after: 1 << 40, apart: 1 << 22, class: 0 });
    three.apply(&Step::PopUntil(0, 0));
    three.apply(&Step::Schedule { count: 500, after: 0, apart: 1 << 12, class: 0 });
    three.apply(&Step::Pop(1000));
}

#[test]
fn one_class_never_counts_another() {
    both!(|queue| {
        for _ in 0..5 {
            queue.schedule(Time::ZERO, Class::Controller, 0);
        }
        queue.schedule(Time::ZERO, Class::World, 0);
        assert_eq!(queue.pop().map(|(key, _)| (key.class, key.sequence)), Some((Class::World, 0)));
    });
}

#[test]
fn a_handle_of_the_past_cancels_no_one_who_took_its_slot() {
    both!(|queue| {
        let first = queue.schedule(Time::ZERO, Class::World, 1);
        assert!(queue.cancel(first));
        let second = queue.schedule(Time::ZERO, Class::World, 2);
        assert!(!queue.cancel(first));
        assert_eq!(queue.pop().map(|(_, payload)| payload), Some(2));
        assert!(!queue.cancel(second));
    });
}

#[test]
#[should_panic(expected = "but it is")]
fn nothing_is_scheduled_for_the_past() {
    let mut queue = EventQueue::new();
    queue.schedule(Time::from_nanos(5), Class::World, ());
    queue.pop();
    queue.schedule(Time::from_nanos(4), Class::World, ());
}

#[test]
fn the_end_of_time_can_be_scheduled() {
    both!(|queue| {
        (0..200).for_each(|number| _ = queue.schedule(Time::MAX, Class::Action, number));
        let popped: Vec<(Time, u64)> = std::iter::from_fn(|| queue.pop()).map(|(key, payload)| (key.time, payload)).collect();
        assert_eq!(popped, (0..200).map(|number| (Time::MAX, number)).collect::<Vec<_>>());
    });
}

#[test]
fn handles_are_small() {
    assert_eq!(size_of::<Option<Handle>>(), 8);
}
