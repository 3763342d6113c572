//! The luck of the first hops of a client's next requests, looked up four at a time. A cache and nothing else: it never changes what is drawn.

use firedrill_core::distribution::Distribution;
use firedrill_core::random::{Stream, hop_index, mix64};

use crate::world::work::{FATE_WORD, PHASE_WORD, ROUTE_WORD};

/// How many requests are looked at together.
const LANES: u64 = 4;

/// The first hops of four requests that follow each other.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    /// The luck of hops of the service that is asked.
    luck: Stream,
    /// What its program begins with.
    first: Distribution,
    /// The client's key.
    key: u64,
    hops: [Hop; LANES as usize],
}

/// What luck says of one hop.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hop {
    pub(super) index: u64,
    pub(super) route: u64,
    pub(super) fate: u64,
    /// The sample of its first phase, seconds.
    pub(super) first: f64,
}

impl Ahead {
    /// `None` if one word does not say how long the first phase takes.
    pub(super) fn new(luck: Stream, first: &Distribution, key: u64) -> Option<Self> {
        first.of_word(0)?;
        Some(Self { luck, first: first.clone(), key, hops: [Hop::default(); LANES as usize] })
    }

    /// Tells that request `ordinal` is about to be made; called for each in turn.
    #[inline]
    pub(super) fn reach(&mut self, ordinal: u64) {
        if ordinal.is_multiple_of(LANES) {
            self.look(ordinal);
        }
    }

    fn look(&mut self, ordinal: u64) {
        let indices = std::array::from_fn(|lane| hop_index(mix64(self.key, ordinal + lane as u64), 0, 0, 0));
        let lanes = self.luck.lanes(indices);
        for (lane, hop) in self.hops.iter_mut().enumerate() {
            *hop = Hop {
                index: indices[lane],
                route: lanes.word64(lane, ROUTE_WORD),
                fate: lanes.word64(lane, FATE_WORD),
                first: self.first.of_word(lanes.word64(lane, PHASE_WORD)).expect("`new` has asked"),
            };
        }
    }

    /// What is known of a hop; `None` if it is not one of these.
    #[inline]
    pub(super) fn find(&self, index: u64) -> Option<Hop> {
        self.hops.iter().find(|hop| hop.index == index).copied()
    }
}
