//! What is due, in order: by time, then by class, then by the order in which it was scheduled.
//!
//! Two structures do the same behind one interface: a timing wheel, which the engine uses, and a heap, which is simpler and holds the wheel
//! to its word, here in tests and in `benches/queue.rs`. Rows for timeouts
//! are the wheel's alone; the heap does without them and gives the same order.

mod heap;
mod wheel;

use std::num::NonZeroU64;

use firedrill_core::time::{Class, Time};

pub use heap::Heap;
pub use wheel::Wheel;

/// The structure that the engine uses.
pub type EventQueue<P> = Wheel<P>;

/// When an event is due, and its place among those due at once. Keys of one queue are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The instant.
    pub time: Time,
    /// The class: lower classes go first.
    pub class: Class,
    /// Counts the events of the class as they are scheduled, from 0.
    pub sequence: u64,
}

/// Names a scheduled event for as long as it is pending, and nothing afterwards. 8 bytes; an `Option` of it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(NonZeroU64);

/// Names a row of a queue for events that are mostly due in the order in which they are scheduled: timeouts of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fifo(u32);

/// A node is 16 bytes: time, class, sequence, slot, from the highest bits down. Sequences differ, so the slot decides nothing.
/// The lower half is the event's tag, and its handle.
type Node = u128;

const SLOT_BITS: u32 = 25;
const SEQUENCE_BITS: u32 = 36;

/// How many events may be pending at once.
pub const CAPACITY: usize = 1 << SLOT_BITS;

/// The classes by what a tag holds of them, three bits that count from 1; 0 and 7 are never held, and stand here so that nothing need be checked.
const CLASSES: [Class; 8] =
    [Class::World, Class::World, Class::Scrape, Class::Rules, Class::Routing, Class::Controller, Class::Action, Class::Action];

impl Handle {
    #[inline]
    fn new(tag: u64) -> Self {
        Self(NonZeroU64::new(tag).expect("a tag holds its class from 1"))
    }
}

/// The tag of the next event of each class, without its slot.
#[derive(Clone, Debug)]
struct Sequences([u64; Class::COUNT]);

impl Default for Sequences {
    /// Classes count from 1 in tags, so that no tag is ever 0.
    fn default() -> Self {
        Self(std::array::from_fn(|class| first_tag(class as u64)))
    }
}

/// The tag of the first event of a class; that of the first of the next class is one past the last of this one.
const fn first_tag(class: u64) -> u64 {
    (class + 1) << (SEQUENCE_BITS + SLOT_BITS)
}

impl Sequences {
    /// The tag of the next event of a class, without its slot.
    #[inline]
    fn next(&mut self, class: Class) -> u64 {
        let tag = self.0[class as usize];
        assert!(tag < first_tag(class as u64 + 1), "a run has fewer than 2^36 events of a class");
        self.0[class as usize] = tag + (1 << SLOT_BITS);
        tag
    }
}

#[inline]
const fn node(time: u64, tag: u64) -> Node {
    (time as u128) << 64 | tag as u128
}

/// The last node that could be due at this instant in this class or a lower one.
#[inline]
const fn last_node((at, class): (Time, Class)) -> Node {
    node(at.as_nanos(), first_tag(class as u64 + 1) - 1)
}

#[inline]
const fn time_of(node: Node) -> u64 {
    (node >> 64) as u64
}

#[inline]
const fn slot_of(tag: u64) -> usize {
    (tag & ((1 << SLOT_BITS) - 1)) as usize
}

#[inline]
fn key_of(node: Node) -> Key {
    let tag = node as u64;
    Key {
        time: Time::from_nanos(time_of(node)),
        class: CLASSES[(tag >> (SEQUENCE_BITS + SLOT_BITS)) as usize],
        sequence: tag >> SLOT_BITS & ((1 << SEQUENCE_BITS) - 1),
    }
}

#[cfg(test)]
mod tests;
