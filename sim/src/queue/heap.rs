//! A heap with four children a node: what the wheel is held against.

use firedrill_core::time::{Class, Time};

use super::{CAPACITY, Handle, Key, Node, Sequences, key_of, last_node, node, slot_of};

/// Events that are pending. `P` is what an event says: small and plain, with ids into slabs for the rest.
///
/// Each group of four nodes is in one cache line. Cancelling marks; the heap is rebuilt when more than half of it is marked, so that memory
/// stays within twice the most that was ever pending.
#[derive(Clone, Debug)]
pub struct Heap<P> {
    /// Invariant: no node is smaller than its parent, and lanes past the last node hold [`EMPTY`].
    groups: Vec<Group>,
    /// Nodes in use: pending events and those cancelled but still in the heap.
    nodes: usize,
    slots: Vec<Slot<P>>,
    /// Slots that no pending event uses.
    free: Vec<u32>,
    sequences: Sequences,
    /// The time of the latest event taken; nothing is scheduled before it.
    now: Time,
}

/// Four nodes that share a parent: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Group([Node; LANES]);

#[derive(Clone, Debug)]
struct Slot<P> {
    /// The low half of the node of the event that uses the slot, or 0.
    tag: u64,
    payload: P,
}

const LANES: usize = 4;

const EMPTY: Node = Node::MAX;

/// Below this many nodes a rebuild is not worth its call.
const FEW: usize = 64;

impl<P: Copy> Heap<P> {
    /// An empty queue at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self { groups: Vec::new(), nodes: 0, slots: Vec::new(), free: Vec::new(), sequences: Sequences::default(), now: Time::ZERO }
    }

    /// Adds an event. Of those due at one time in one class, the one scheduled first goes first.
    ///
    /// # Panics
    /// If `at` is before the latest event taken, if [`CAPACITY`] events are pending, or after 2^36 events of a class.
    #[inline]
    pub fn schedule(&mut self, at: Time, class: Class, payload: P) -> Handle {
        assert!(at >= self.now, "an event is scheduled for {at}, but it is {} already", self.now);
        let slot = self.take_slot(payload);
        let tag = self.sequences.next(class) | u64::from(slot);
        self.slots[slot as usize].tag = tag;
        self.push(node(at.as_nanos(), tag));
        Handle::new(tag)
    }

    /// Takes an event back. False if it is not pending any more: taken or cancelled already.
    #[inline]
    pub fn cancel(&mut self, handle: Handle) -> bool {
        let tag = handle.0.get();
        if self.slots.get(slot_of(tag)).is_none_or(|slot| slot.tag != tag) {
            return false;
        }
        self.release(tag);
        if self.nodes > FEW && self.nodes > 2 * self.len() {
            self.rebuild();
        }
        true
    }

    /// Takes the first event.
    #[inline]
    pub fn pop(&mut self) -> Option<(Key, P)> {
        while self.nodes > 0 {
            let node = self.remove_first();
            let tag = node as u64;
            let Slot { tag: current, payload } = self.slots[slot_of(tag)];
            if current == tag {
                self.release(tag);
                let key = key_of(node);
                self.now = key.time;
                return Some((key, payload));
            }
        }
        None
    }

    /// Takes the first event if it goes no later than the last of that instant and class.
    #[inline]
    pub fn pop_until(&mut self, last: (Time, Class)) -> Option<(Key, P)> {
        while self.nodes > 0 {
            let (_, node) = smallest(&self.groups[0]);
            if self.slots[slot_of(node as u64)].tag == node as u64 {
                return if node <= last_node(last) { self.pop() } else { None };
            }
            self.remove_first();
        }
        None
    }

    /// How many events are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn take_slot(&mut self, payload: P) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize].payload = payload;
            return slot;
        }
        let slot = self.slots.len();
        assert!(slot < CAPACITY, "fewer than 2^25 events are pending at once");
        self.slots.push(Slot { tag: 0, payload });
        slot as u32
    }

    #[inline]
    fn release(&mut self, tag: u64) {
        let slot = slot_of(tag);
        self.slots[slot].tag = 0;
        self.free.push(slot as u32);
    }

    #[inline]
    fn push(&mut self, node: Node) {
        if self.nodes == self.groups.len() * LANES {
            self.groups.push(Group([EMPTY; LANES]));
        }
        self.nodes += 1;
        self.rise(self.nodes - 1, node);
    }

    /// Puts `node` at `index` or above it, where it belongs. The lane at `index` is free to be written.
    #[inline]
    fn rise(&mut self, mut index: usize, node: Node) {
        while index >= LANES {
            let parent = index / LANES - 1;
            let above = self.groups[parent / LANES].0[parent % LANES];
            if above < node {
                break;
            }
            self.groups[index / LANES].0[index % LANES] = above;
            index = parent;
        }
        self.groups[index / LANES].0[index % LANES] = node;
    }

    /// Takes the smallest node out. There is one.
    #[inline]
    fn remove_first(&mut self) -> Node {
        let (mut hole, first) = smallest(&self.groups[0]);
        // The hole sinks to a leaf along the smallest children, and the last node rises from there: it came from the bottom,
        // so it rarely rises far, and sinking without looking at it spares a comparison a level.
        while let Some(children) = self.groups.get(hole + 1) {
            let (lane, child) = smallest(children);
            if child == EMPTY {
                break;
            }
            self.groups[hole / LANES].0[hole % LANES] = child;
            hole = (hole + 1) * LANES + lane;
        }
        self.nodes -= 1;
        let last = self.nodes;
        let node = std::mem::replace(&mut self.groups[last / LANES].0[last % LANES], EMPTY);
        if hole != last {
            self.rise(hole, node);
        }
        if last.is_multiple_of(LANES) {
            self.groups.pop();
        }
        first
    }

    /// Drops every cancelled node, in time proportional to all.
    #[cold]
    fn rebuild(&mut self) {
        let mut kept = 0;
        for index in 0..self.nodes {
            let node = self.groups[index / LANES].0[index % LANES];
            if self.slots[slot_of(node as u64)].tag == node as u64 {
                self.groups[kept / LANES].0[kept % LANES] = node;
                kept += 1;
            }
        }
        assert_eq!(kept, self.len(), "every pending event has one node");
        self.nodes = kept;
        self.groups.truncate(kept.div_ceil(LANES));
        if let Some(group) = self.groups.last_mut() {
            group.0[(kept - 1) % LANES + 1..].fill(EMPTY);
        }
        // Every node with children sinks to its place, the lowest first: those below it are in order by then.
        for index in (0..self.groups.len().saturating_sub(1)).rev() {
            self.sink(index);
        }
    }

    /// Moves the node at `index` below the children that are smaller than it.
    fn sink(&mut self, mut index: usize) {
        let node = self.groups[index / LANES].0[index % LANES];
        while let Some(children) = self.groups.get(index + 1) {
            let (lane, child) = smallest(children);
            if node < child {
                break;
            }
            self.groups[index / LANES].0[index % LANES] = child;
            index = (index + 1) * LANES + lane;
        }
        self.groups[index / LANES].0[index % LANES] = node;
    }
}

impl<P: Copy> Default for Heap<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// The lane and value of the smallest of four nodes.
#[inline]
fn smallest(group: &Group) -> (usize, Node) {
    let [a, b, c, d] = group.0;
    let left = if b < a { (1, b) } else { (0, a) };
    let right = if d < c { (3, d) } else { (2, c) };
    if right.1 < left.1 { right } else { left }
}

#[cfg(test)]
impl<P: Copy> Heap<P> {
    /// Asserts that cancelled events do not pile up: taking events can leave more of them behind than are pending, but never more than once were.
    pub(super) fn assert_bounded(&self, most: usize) {
        assert!(self.nodes <= 2 * most.max(FEW), "cancelled events pile up");
    }
}
