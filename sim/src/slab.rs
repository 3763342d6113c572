//! Things in slots that are used again, so that steady traffic allocates nothing.

/// A slot that holds nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// Things by slot number. Slot numbers are for speed only: they decide neither luck nor order.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Puts `thing` into a free slot. Always inlined, so that it is built there: a copy of what has just been written waits for it.
    #[inline(always)]
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = thing;
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).expect("the bound on attempts is below 2^32");
        self.slots.push(thing);
        slot
    }

    /// Frees a slot; its thing must not be asked for again.
    #[inline]
    pub(crate) fn remove(&mut self, slot: u32) {
        assert!(self.free.last() != Some(&slot), "a slot is freed once");
        self.free.push(slot);
    }

    /// How many slots are taken.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The things in taken slots, in order of their slots.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &T> {
        self.taken_slots().map(|slot| &self.slots[slot as usize])
    }

    /// The taken slots, in order.
    pub(crate) fn taken_slots(&self) -> impl Iterator<Item = u32> {
        let mut free = vec![false; self.slots.len()];
        for slot in &self.free {
            assert!(!std::mem::replace(&mut free[*slot as usize], true), "a slot is freed once");
        }
        (0..).zip(free).filter(|(_, free)| !free).map(|(slot, _)| slot)
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }
}
