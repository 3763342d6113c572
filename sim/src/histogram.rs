//! A histogram of spans with buckets that grow with their value, so that quantiles are right to within 0.8 % at any scale.

use firedrill_core::time::Span;

/// Sub-buckets a doubling, as a power of two; 6 makes a bucket at most 1/64 of its value wide.
const PRECISION_BITS: u32 = 6;
const SUB_BUCKETS: usize = 1 << PRECISION_BITS;
/// Spans of 2^50 ns (13 days) and more share the last bucket.
const MAX_BITS: usize = 50;
const BUCKETS: usize = (MAX_BITS - PRECISION_BITS as usize + 1) * SUB_BUCKETS;

/// Counts of spans. Quantiles are midpoints of buckets: the error is at most half a bucket, 0.8 % of the value.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), count: 0 }
    }

    #[inline]
    pub(crate) fn record(&mut self, span: Span) {
        self.counts[bucket(span.as_nanos())] += 1;
        self.count += 1;
    }

    /// The span below which this share (0 to 1) of the recorded spans lies, in seconds; zero if there are none.
    pub(crate) fn quantile_seconds(&self, share: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let rank = (libm::ceil(share * self.count as f64) as u64).clamp(1, self.count);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index) / 1e9;
            }
        }
        unreachable!("the buckets hold all that was counted")
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.leading_zeros();
    let shift = bits.saturating_sub(PRECISION_BITS + 1);
    let index = (shift as usize) * SUB_BUCKETS + (nanos >> shift) as usize;
    index.min(BUCKETS - 1)
}

/// The middle of a bucket, nanoseconds.
fn middle(index: usize) -> f64 {
    let shift = (index / SUB_BUCKETS).saturating_sub(1);
    let low = ((index - shift * SUB_BUCKETS) as u64) << shift;
    low as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_middle_of_a_bucket_is_near_everything_in_it(nanos in 0_u64..(1 << 50)) {
            let error = (middle(bucket(nanos)) - nanos as f64).abs();
            prop_assert!(error <= nanos as f64 * 0.008, "{nanos}: {error}");
        }

        #[test]
        fn larger_spans_never_fall_into_smaller_buckets(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(bucket(a.min(b)) <= bucket(a.max(b)));
        }
    }

    #[test]
    fn quantiles_of_a_known_sequence() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|millis| histogram.record(Span::from_millis(millis)));
        for (share, seconds) in [(0.5, 0.5), (0.95, 0.95), (0.99, 0.99), (0.0, 0.001), (1.0, 1.0)] {
            let got = histogram.quantile_seconds(share);
            assert!((got - seconds).abs() <= seconds * 0.009, "{share}: {got}");
        }
        assert!(Histogram::new().quantile_seconds(0.5).abs() < 1e-12);
    }
}
