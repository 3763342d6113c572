//! Histograms as services expose them: counts by stated bounds.

use std::sync::{Arc, LazyLock};

use firedrill_core::time::Span;

/// Upper bounds of the default buckets of client libraries, nanoseconds: 5 ms to 10 s.
const DEFAULT_NANOS: [u64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// One for all processes, so that it stays in the cache.
static DEFAULT: LazyLock<Arc<Bounds>> = LazyLock::new(|| Arc::new(DEFAULT_NANOS.into_iter().collect()));

/// Where more bounds than this have equally many bits, they are searched and not compared in turn.
const MOST_IN_TURN: usize = 6;

/// The upper bounds of a histogram's buckets, nanoseconds, ascending.
///
/// Where a duration falls is found by its highest bit and as many comparisons as bounds have that bit at most, one of the default buckets: always as many,
/// so that no branch has to be foreseen. Where they are many, it is searched for.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Infinity last.
    nanos: Vec<u64>,
    /// By the count of bits of a duration: how many bounds are below all durations of so many bits.
    below: [u16; u64::BITS as usize + 1],
    /// Bounds that have equally many bits, at most.
    most: usize,
}

impl Bounds {
    /// The default buckets' bounds.
    pub(crate) fn default_ones() -> Arc<Self> {
        Arc::clone(&DEFAULT)
    }

    /// The bounds, without infinity.
    pub(crate) fn finite(&self) -> &[u64] {
        &self.nanos[..self.nanos.len() - 1]
    }

    /// How many bounds are below a duration: the place of its bucket.
    #[inline]
    fn place(&self, nanos: u64) -> usize {
        let mut place = usize::from(self.below[bits(nanos)]);
        if self.most > MOST_IN_TURN {
            return place + self.nanos[place..].partition_point(|bound| *bound < nanos);
        }
        for _ in 0..self.most {
            place += usize::from(self.nanos[place] < nanos);
        }
        place
    }
}

/// How many bits a number has.
#[inline]
const fn bits(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

impl FromIterator<u64> for Bounds {
    /// Of upper bounds in nanoseconds, ascending, without infinity.
    fn from_iter<I: IntoIterator<Item = u64>>(bounds: I) -> Self {
        let mut nanos: Vec<u64> = bounds.into_iter().collect();
        assert!(nanos.is_sorted() && nanos.len() < usize::from(u16::MAX), "bounds are ascending, and not without end");
        let least = |bits: usize| if bits == 0 { 0 } else { 1 << (bits - 1) };
        let below = std::array::from_fn(|bits| nanos.partition_point(|bound| *bound < least(bits)) as u16);
        let most = nanos.chunk_by(|a, b| bits(*a) == bits(*b)).map(<[u64]>::len).max().unwrap_or(0);
        nanos.push(u64::MAX);
        Self { nanos, below, most }
    }
}

/// A histogram with stated buckets, as services expose it.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    bounds: Arc<Bounds>,
    /// How many fell into each bucket and no lower one; the last is infinity's.
    counts: Vec<u64>,
    /// All of them together.
    pub(crate) sum_nanos: u128,
}

impl Buckets {
    pub(crate) fn new(bounds: &Arc<Bounds>) -> Self {
        Self { bounds: Arc::clone(bounds), counts: vec![0; bounds.nanos.len()], sum_nanos: 0 }
    }

    #[inline]
    pub(crate) fn record(&mut self, took: Span) {
        let nanos = took.as_nanos();
        self.counts[self.bounds.place(nanos)] += 1;
        self.sum_nanos += u128::from(nanos);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many were at most each bound, infinity last.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.sum_nanos += other.sum_nanos;
    }

    pub(crate) fn reset(&mut self) {
        self.counts.fill(0);
        self.sum_nanos = 0;
    }

    /// The sum of several of the same bounds.
    pub(crate) fn sum<'a>(mut all: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut sum = all.next()?.clone();
        all.for_each(|other| sum.add(other));
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_falls_below_the_first_bound_that_is_not_lower(
            bounds in prop::collection::btree_set(prop_oneof![0_u64..64, any::<u64>(), 1_000_000_u64..4_000_000_000], 0..30),
            mut nanos in prop::collection::vec(prop_oneof![0_u64..64, any::<u64>(), 1_000_000_u64..4_000_000_000], 1..50),
        ) {
            let of: Bounds = bounds.iter().copied().collect();
            nanos.extend(bounds.iter().flat_map(|bound| [bound.saturating_sub(1), *bound, bound.saturating_add(1)]));
            for nanos in nanos {
                prop_assert_eq!(of.place(nanos), bounds.iter().filter(|bound| **bound < nanos).count(), "{} ns", nanos);
            }
            prop_assert_eq!(of.finite(), bounds.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_two_default_bounds_have_equally_many_bits() {
        assert_eq!(Bounds::default_ones().most, 1);
    }
}
