//! A timing wheel: far events lie in lists by the digits of their time, and only the next few are kept in order.

use firedrill_core::time::{Class, Time};

use super::{CAPACITY, Fifo, Handle, Key, Node, Sequences, key_of, last_node, node, slot_of, time_of};

/// Events that are pending. `P` is what an event says: small and plain, with ids into slabs for the rest.
///
/// Those due up to `last` stand sorted in the front, which is where events are taken from. All others lie in lists: level `l` of the wheel
/// has a list for each digit to the base 64 that a time can have there, and an event lies at the highest level at which its time differs
/// from `base` (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987, scheme 7, with digits instead of hands). When the
/// front is empty, the first list becomes it, sorted; a list that is too long is first spread over the level below. So where events
/// are rare the wheel is coarse, and where they are dense it is fine.
///
/// Cancelling takes an event out at once: out of its list in constant time, out of the front by a search among a few. Nothing is left behind,
/// so memory is what the most events that were ever pending at once need.
///
/// Events that are scheduled in the order in which they are due, as timeouts of one length are, lie in a row of their own ([`Fifo`]), of which only
/// the first one is looked at: each row has an alarm, due no later than its first event, and most of what it holds is cancelled before that.
#[derive(Clone, Debug)]
pub struct Wheel<P> {
    /// Invariant: from `first` on in order, and all due at or before `last`.
    front: Vec<Node>,
    /// Where the first event stands in `front`; those before it have been taken.
    first: usize,
    /// What is due at or before it is in the front, everything else in the lists.
    last: u64,
    /// Every event in a list is due later, and lies at the highest digit at which its time differs from this.
    base: u64,
    lists: Box<[List; LEVELS * DIGITS]>,
    /// Bit `d` of `used[l]` is set if list `d` of level `l` holds an event.
    used: [u64; LEVELS],
    /// Bit `l` is set if level `l` holds an event.
    levels: u32,
    slots: Vec<Slot>,
    /// What the events say, by slot.
    payloads: Vec<P>,
    /// A slot that no pending event uses; its `next` is another.
    free: u32,
    len: usize,
    rows: Vec<Row>,
    /// How many events lie in rows.
    in_rows: usize,
    /// The first of all alarms, and whose it is.
    alarm: Node,
    alarmed: u32,
    sequences: Sequences,
    /// The time of the latest event taken; nothing is scheduled before it.
    now: u64,
}

#[derive(Clone, Copy, Debug)]
struct List {
    /// Its first slot, or [`NONE`].
    head: u32,
    len: u32,
}

#[derive(Clone, Debug)]
struct Slot {
    time: u64,
    /// The tag of the event that uses the slot, or 0.
    tag: u64,
    next: u32,
    previous: u32,
    /// The row that it lies in, or [`NONE`].
    row: u32,
}

/// Events that were scheduled in the order in which they are due.
#[derive(Clone, Copy, Debug)]
struct Row {
    first: u32,
    last: u32,
    /// No event of the row is due before it; [`NEVER`] if it holds none.
    alarm: Node,
}

const NEVER: Node = Node::MAX;

const NONE: u32 = u32::MAX;

/// A digit to the base 64, so that one word says which lists of a level hold something.
const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// A list of more events than this is spread over the level below instead of being sorted.
const FEW: u32 = 16;
/// With more events than this the later half of the front goes back into the lists.
const FRONT: usize = 32;

impl<P: Copy> Wheel<P> {
    /// An empty queue at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            front: Vec::new(),
            first: 0,
            last: u64::MAX,
            base: 0,
            lists: Box::new([List::EMPTY; LEVELS * DIGITS]),
            used: [0; LEVELS],
            levels: 0,
            slots: Vec::new(),
            payloads: Vec::new(),
            free: NONE,
            len: 0,
            rows: Vec::new(),
            in_rows: 0,
            alarm: NEVER,
            alarmed: NONE,
            sequences: Sequences::default(),
            now: 0,
        }
    }

    /// Adds an event. Of those due at one time in one class, the one scheduled first goes first.
    ///
    /// # Panics
    /// If `at` is before the latest event taken, if [`CAPACITY`] events are pending, or after 2^36 events of a class.
    #[inline(always)]
    pub fn schedule(&mut self, at: Time, class: Class, payload: P) -> Handle {
        let time = at.as_nanos();
        let tag = self.add(time, class);
        self.say(tag, payload);
        Handle::new(tag)
    }

    /// Adds an event that says nothing yet.
    #[inline(never)]
    fn add(&mut self, time: u64, class: Class) -> u64 {
        let tag = self.fill_slot(time, class, (NONE, NONE));
        self.len += 1;
        if time <= self.last {
            self.insert(node(time, tag));
        } else {
            self.link(slot_of(tag) as u32, time);
        }
        tag
    }

    /// Writes what an event says where it is kept; apart from the rest and in place, because a copy of what has just been written waits for it.
    #[inline(always)]
    fn say(&mut self, tag: u64, payload: P) {
        match self.payloads.get_mut(slot_of(tag)) {
            Some(place) => *place = payload,
            None => self.payloads.push(payload),
        }
    }

    /// A row for events that are mostly due in the order in which they are scheduled.
    pub fn fifo(&mut self) -> Fifo {
        self.rows.push(Row { first: NONE, last: NONE, alarm: NEVER });
        Fifo(self.rows.len() as u32 - 1)
    }

    /// The same as [`Wheel::schedule`], and cheaper. An event that is due before the last one in the row goes where others go.
    ///
    /// # Panics
    /// As [`Wheel::schedule`], or if the row is another queue's.
    #[inline(always)]
    pub fn schedule_in(&mut self, fifo: Fifo, at: Time, class: Class, payload: P) -> Handle {
        let time = at.as_nanos();
        let last = self.rows[fifo.0 as usize].last;
        if last != NONE && self.slots[last as usize].time > time {
            return self.schedule(at, class, payload);
        }
        let tag = self.add_in(fifo, time, class, last);
        self.say(tag, payload);
        Handle::new(tag)
    }

    /// Adds an event that says nothing yet to a row, behind its last one.
    #[inline(never)]
    fn add_in(&mut self, fifo: Fifo, time: u64, class: Class, last: u32) -> u64 {
        let tag = self.fill_slot(time, class, (fifo.0, last));
        let slot = slot_of(tag) as u32;
        self.in_rows += 1;
        let row = &mut self.rows[fifo.0 as usize];
        row.last = slot;
        if last != NONE {
            self.slots[last as usize].next = slot;
        } else {
            row.first = slot;
            row.alarm = row.alarm.min(node(time, tag));
            if row.alarm < self.alarm {
                (self.alarm, self.alarmed) = (row.alarm, fifo.0);
            }
        }
        tag
    }

    /// Fills a free slot; the result is the tag of its event. One in a row is told that row and who is before it.
    #[inline(always)]
    fn fill_slot(&mut self, time: u64, class: Class, (row, previous): (u32, u32)) -> u64 {
        assert!(time >= self.now, "an event is scheduled for {}, but it is {} already", Time::from_nanos(time), Time::from_nanos(self.now));
        let mut tag = self.sequences.next(class);
        let mut filled = Slot { time, tag, next: NONE, previous, row };
        if let Some(slot) = self.slots.get_mut(self.free as usize) {
            tag |= u64::from(self.free);
            filled.tag = tag;
            self.free = slot.next;
            *slot = filled;
        } else {
            // Nothing is free: there is no slot at `NONE`.
            assert!(self.slots.len() < CAPACITY, "fewer than 2^25 events are pending at once");
            tag |= self.slots.len() as u64;
            filled.tag = tag;
            self.slots.push(filled);
        }
        tag
    }

    /// Takes an event back. False if it is not pending any more: taken or cancelled already.
    #[inline]
    pub fn cancel(&mut self, handle: Handle) -> bool {
        let tag = handle.0.get();
        let Some(&Slot { time, tag: current, next, previous, row, .. }) = self.slots.get(slot_of(tag)) else { return false };
        if current != tag {
            return false;
        }
        if row != NONE {
            self.leave_row(row, next, previous);
            self.release(tag);
            return true;
        }
        if time <= self.last {
            let place = self.front[self.first..].binary_search(&node(time, tag)).expect("what is due by then is in the front");
            self.front.remove(self.first + place);
        } else {
            self.unlink(time, next, previous);
        }
        self.release(tag);
        self.len -= 1;
        true
    }

    /// Takes the first event.
    #[inline]
    pub fn pop(&mut self) -> Option<(Key, P)> {
        self.pop_until((Time::MAX, Class::Action))
    }

    /// Takes the first event if it goes no later than the last of that instant and class.
    #[inline]
    pub fn pop_until(&mut self, last: (Time, Class)) -> Option<(Key, P)> {
        let node = self.take_until(last_node(last))?;
        let tag = node as u64;
        let payload = self.payloads[slot_of(tag)];
        self.release(tag);
        self.now = time_of(node);
        Some((key_of(node), payload))
    }

    /// Takes the first node out of the front or its row if it is no later than `last`; its slot is still its own.
    #[inline]
    fn take_until(&mut self, last: Node) -> Option<Node> {
        let node = self.first_node();
        if self.alarm <= node && self.first_alarm() <= node {
            return if self.alarm <= last { Some(self.take_alarmed()) } else { None };
        }
        if node > last {
            return None;
        }
        self.first += 1;
        if self.first == self.front.len() {
            self.front.clear();
            self.first = 0;
        } else if self.first > FRONT && 2 * self.first > self.front.len() {
            self.front.drain(..self.first);
            self.first = 0;
        }
        self.len -= 1;
        Some(node)
    }

    /// How many events are pending.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len + self.in_rows
    }

    /// Whether nothing is pending.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first node that lies in no row; [`NEVER`] if there is none.
    #[inline]
    fn first_node(&mut self) -> Node {
        if self.first == self.front.len() {
            if self.len == 0 {
                return NEVER;
            }
            self.refill();
        }
        self.front[self.first]
    }

    /// The first node of all rows; [`NEVER`] if there is none. Afterwards the first alarm is that of an event.
    #[cold]
    fn first_alarm(&mut self) -> Node {
        while self.alarm != NEVER {
            let row = &mut self.rows[self.alarmed as usize];
            let first = match row.first {
                NONE => NEVER,
                slot => node(self.slots[slot as usize].time, self.slots[slot as usize].tag),
            };
            if first == row.alarm {
                return first;
            }
            // Whom it was set for has been taken or cancelled.
            row.alarm = first;
            self.find_alarm();
        }
        NEVER
    }

    /// Finds the first of all alarms anew.
    fn find_alarm(&mut self) {
        let alarms = self.rows.iter().enumerate().map(|(number, row)| (row.alarm, number as u32));
        (self.alarm, self.alarmed) = alarms.min().unwrap_or((NEVER, NONE));
    }

    /// Takes the node of the first alarm out of its row.
    #[cold]
    fn take_alarmed(&mut self) -> Node {
        let (node, row) = (self.alarm, self.alarmed);
        let Slot { next, previous, .. } = self.slots[slot_of(node as u64)];
        self.leave_row(row, next, previous);
        node
    }

    /// Takes an event out of its row, from between its neighbours.
    #[inline]
    fn leave_row(&mut self, row: u32, next: u32, previous: u32) {
        self.in_rows -= 1;
        let row = &mut self.rows[row as usize];
        match previous {
            NONE => row.first = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NONE => row.last = previous,
            next => self.slots[next as usize].previous = previous,
        }
    }

    #[inline]
    fn release(&mut self, tag: u64) {
        let slot = &mut self.slots[slot_of(tag)];
        slot.tag = 0;
        slot.next = self.free;
        self.free = slot_of(tag) as u32;
    }

    /// Puts a node into the front, from behind: what is scheduled later is mostly due later.
    #[inline]
    fn insert(&mut self, node: Node) {
        self.front.push(node);
        if let Some((mut hole, before)) = self.front[self.first..].split_last_mut() {
            for other in before.iter_mut().rev().take_while(|other| **other > node) {
                *hole = *other;
                hole = other;
            }
            *hole = node;
        }
        if self.front.len() - self.first > FRONT {
            self.shorten();
        }
    }

    /// Puts an event that is due after `last` into its list.
    #[inline]
    fn link(&mut self, slot: u32, time: u64) {
        let (level, digit) = self.place(time);
        self.used[level] |= 1 << digit;
        self.levels |= 1 << level;
        let list = &mut self.lists[level * DIGITS + digit];
        list.len += 1;
        let next = std::mem::replace(&mut list.head, slot);
        if next != NONE {
            self.slots[next as usize].previous = slot;
        }
        let slot = &mut self.slots[slot as usize];
        slot.next = next;
        slot.previous = NONE;
    }

    /// Takes an event out of its list, between its neighbours.
    #[inline]
    fn unlink(&mut self, time: u64, next: u32, previous: u32) {
        let (level, digit) = self.place(time);
        let list = &mut self.lists[level * DIGITS + digit];
        list.len -= 1;
        if next != NONE {
            self.slots[next as usize].previous = previous;
        }
        if previous != NONE {
            self.slots[previous as usize].next = next;
        } else {
            list.head = next;
            if next == NONE {
                self.mark_empty(level, digit);
            }
        }
    }

    /// The level and digit of the list for a time after `last`; the same for as long as the event lies there.
    #[inline]
    fn place(&self, time: u64) -> (usize, usize) {
        let level = ((time ^ self.base) | 1).ilog2() / DIGIT_BITS;
        (level as usize, (time >> (level * DIGIT_BITS)) as usize % DIGITS)
    }

    #[inline]
    fn mark_empty(&mut self, level: usize, digit: usize) {
        self.used[level] &= !(1 << digit);
        if self.used[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Fills the empty front with the next events. There are some.
    fn refill(&mut self) {
        self.front.clear();
        self.first = 0;
        if self.len <= FEW as usize {
            // As long as there are so few, no list is needed at all.
            while self.levels != 0 {
                let (level, digit) = self.first_list();
                self.pour(level, digit);
            }
            self.last = u64::MAX;
        } else {
            self.pour_next();
        }
        sort(&mut self.front);
    }

    /// Pours the list with the next events into the front; where it is long, as little of it as need be.
    fn pour_next(&mut self) {
        loop {
            let (level, digit) = self.first_list();
            let low = level as u32 * DIGIT_BITS;
            // At the highest level no digits stand above this one.
            let above = self.base.checked_shr(low + DIGIT_BITS).map_or(0, |above| above << (low + DIGIT_BITS));
            self.base = above | (digit as u64) << low;
            if level == 0 || self.lists[level * DIGITS + digit].len <= FEW {
                self.last = self.base | ((1 << low) - 1);
                self.pour(level, digit);
                return;
            }
            self.spread(level, digit);
        }
    }

    /// The list with the earliest events. Some list holds one.
    #[inline]
    fn first_list(&self) -> (usize, usize) {
        let level = self.levels.trailing_zeros() as usize;
        (level, self.used[level].trailing_zeros() as usize)
    }

    /// Moves a list into the front, unsorted.
    fn pour(&mut self, level: usize, digit: usize) {
        let mut slot = self.empty(level, digit);
        while slot != NONE {
            let Slot { time, tag, next, .. } = self.slots[slot as usize];
            self.front.push(node(time, tag));
            slot = next;
        }
    }

    /// Moves a list's events to where they belong now that `base` begins with its digit.
    fn spread(&mut self, level: usize, digit: usize) {
        let mut slot = self.empty(level, digit);
        while slot != NONE {
            let Slot { time, next, .. } = self.slots[slot as usize];
            self.link(slot, time);
            slot = next;
        }
    }

    /// Empties a list; the result was its first slot.
    fn empty(&mut self, level: usize, digit: usize) -> u32 {
        self.mark_empty(level, digit);
        std::mem::replace(&mut self.lists[level * DIGITS + digit], List::EMPTY).head
    }

    /// Moves the later half of the front into the lists, events of one time together.
    #[cold]
    fn shorten(&mut self) {
        let front = &self.front[self.first..];
        let (earliest, latest) = (time_of(front[0]), time_of(front[front.len() - 1]));
        if earliest == latest {
            return;
        }
        let cut = time_of(front[front.len() / 2]).max(earliest + 1);
        let kept = self.first + front.partition_point(|node| time_of(*node) < cut);
        self.last = cut - 1;
        if cut < self.base || self.levels == 0 {
            self.rebase();
        }
        for place in kept..self.front.len() {
            let node = self.front[place];
            self.link(slot_of(node as u64) as u32, time_of(node));
        }
        self.front.truncate(kept);
    }

    /// Sets `base` to the present and moves everything in lists to where it belongs then.
    ///
    /// Looking ahead moves `base` beyond the present; this is needed only if many events are then scheduled before what was seen.
    fn rebase(&mut self) {
        let mut pending = Vec::new();
        while self.levels != 0 {
            let (level, digit) = self.first_list();
            let mut slot = self.empty(level, digit);
            while slot != NONE {
                pending.push(slot);
                slot = self.slots[slot as usize].next;
            }
        }
        self.base = self.now;
        for slot in pending {
            self.link(slot, self.slots[slot as usize].time);
        }
    }
}

/// Sorts nodes, which differ. A few are put where so many are below them: no branch has to be foreseen.
#[inline]
fn sort(nodes: &mut [Node]) {
    const MOST: usize = 16;
    if nodes.len() > MOST {
        nodes.sort_unstable();
        return;
    }
    let mut before = [0; MOST];
    let before = &mut before[..nodes.len()];
    before.copy_from_slice(nodes);
    for node in before.iter() {
        let place: usize = before.iter().map(|other| usize::from(other < node)).sum();
        nodes[place] = *node;
    }
}

impl<P: Copy> Default for Wheel<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    const EMPTY: Self = Self { head: NONE, len: 0 };
}

#[cfg(test)]
impl<P: Copy> Wheel<P> {
    /// Asserts that everything is where it belongs, and that nothing is kept for more than `most` events.
    pub(super) fn assert_sound(&self, most: usize) {
        let front = &self.front[self.first..];
        assert!(front.is_sorted(), "the front is in order");
        assert!(front.iter().all(|node| time_of(*node) <= self.last), "the front ends where the lists begin");
        let mut listed = 0;
        for (index, list) in self.lists.iter().enumerate() {
            let (mut slot, mut previous, mut len) = (list.head, NONE, 0);
            while slot != NONE {
                let Slot { time, next, previous: back, .. } = self.slots[slot as usize];
                assert!(time > self.last, "the lists begin where the front ends");
                assert_eq!(self.place(time), (index / DIGITS, index % DIGITS), "an event lies in the list of its time");
                assert_eq!(back, previous, "neighbours know each other");
                (slot, previous, len) = (next, slot, len + 1);
            }
            assert_eq!(list.len, len, "a list knows its length");
            assert_eq!(self.used[index / DIGITS] >> (index % DIGITS) & 1 == 1, len > 0, "what is empty is marked so");
            listed += len as usize;
        }
        assert!((0..LEVELS).all(|level| (self.levels >> level & 1 == 1) == (self.used[level] != 0)), "empty levels are marked so");
        assert_eq!(self.len, listed + front.len(), "what is pending is in the front or in a list");
        let mut in_rows = 0;
        for row in &self.rows {
            let (mut slot, mut before, mut due) = (row.first, NONE, 0);
            while slot != NONE {
                let Slot { time, tag, next, previous, .. } = self.slots[slot as usize];
                let node = node(time, tag);
                assert!(row.alarm <= node && due < node, "a row is in order, and its alarm before it");
                assert_eq!(previous, before, "neighbours in a row know each other");
                (slot, before, due, in_rows) = (next, slot, node, in_rows + 1);
            }
            assert_eq!(row.last, before, "a row knows its last");
            assert!(self.alarm <= row.alarm, "the first alarm is the first");
        }
        assert_eq!(self.in_rows, in_rows, "what lies in rows is counted");
        assert!(self.slots.len() <= most, "slots are used again");
        assert!(self.front.len() <= 2 * most + 2 * FRONT, "what was taken goes from the front");
    }
}
