//! Quantiles and fractions of classic histograms, which are counters with an upper bound in the label `le`.

use std::cmp::Ordering;

use super::annotation::Raised;
use super::group::{Groups, LabelSubset};
use super::value::Element;
use crate::labels::Labels;

/// The label that holds a bucket's upper bound.
pub(crate) const BOUND: &str = "le";

/// Counts that differ by less than this share differ by rounding only.
const ROUNDING: f64 = 1e-12;

/// One bucket: how many observations are at or below its bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    pub upper: f64,
    pub count: f64,
}

/// A quantile, and the buckets whose counts had to be raised for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    pub value: f64,
    pub raised: Option<Raised>,
}

/// The buckets of one histogram, and the labels of all of them but for the bound.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    pub labels: Labels,
    pub buckets: Vec<Bucket>,
}

/// Joins elements into histograms in the order of their first buckets; elements whose bound is no number are handed to `malformed`.
pub(crate) fn histograms(elements: &[Element], mut malformed: impl FnMut(&Labels)) -> Vec<Histogram> {
    let subset = LabelSubset::all_but([BOUND.into()]);
    let mut groups = Groups::new(&subset);
    let mut histograms: Vec<Histogram> = Vec::new();
    for element in elements {
        let Some(upper) = element.labels.get(BOUND).and_then(bound) else {
            malformed(&element.labels);
            continue;
        };
        let index = groups.find_or_add(&element.labels);
        if index == histograms.len() {
            histograms.push(Histogram { labels: element.labels.without(BOUND), buckets: Vec::new() });
        }
        histograms[index].buckets.push(Bucket { upper, count: element.value });
    }
    histograms
}

/// The number in a bound; `None` for what is no number, and for one that no float can hold.
pub(crate) fn bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    let written_out = text.contains(['i', 'I']);
    (bound.is_finite() || bound.is_nan() || written_out).then_some(bound)
}

/// The quantile, interpolated linearly in its bucket from zero or the bound below; the second-highest bound if it falls into the last bucket.
///
/// NaN without observations, with fewer than two buckets, or without a last bucket of `+Inf`.
pub(crate) fn quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> Estimate {
    let without_fix = |value: f64| Estimate { value, raised: None };
    if quantile.is_nan() {
        return without_fix(f64::NAN);
    }
    if quantile < 0.0 {
        return without_fix(f64::NEG_INFINITY);
    }
    if quantile > 1.0 {
        return without_fix(f64::INFINITY);
    }
    if !tidy(buckets) {
        return without_fix(f64::NAN);
    }
    let raised = make_monotonic(buckets);
    Estimate { value: interpolated(quantile, buckets), raised }
}

/// The quantile between 0 and 1 of buckets that increase in bound and count and end with `+Inf`.
fn interpolated(quantile: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return f64::NAN;
    }
    let rank = quantile * observations;
    // A count that cannot be compared, NaN, does not reach the rank.
    let index = buckets[..last].partition_point(|bucket| bucket.count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    if index == last {
        return buckets[last - 1].upper;
    }
    let bucket = buckets[index];
    if index == 0 {
        return if bucket.upper <= 0.0 { bucket.upper } else { bucket.upper * (rank / bucket.count) };
    }
    let below = buckets[index - 1];
    below.upper + (bucket.upper - below.upper) * ((rank - below.count) / (bucket.count - below.count))
}

/// The share of observations between two bounds, interpolated linearly in the buckets that they cut.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !tidy(buckets) {
        return f64::NAN;
    }
    let observations = buckets[buckets.len() - 1].count;
    if observations == 0.0 || observations.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / observations
}

/// How many observations lie at or below a value.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let total = buckets[buckets.len() - 1].count;
    let mut below = Bucket { upper: if buckets[0].upper > 0.0 { 0.0 } else { f64::NEG_INFINITY }, count: 0.0 };
    for bucket in buckets {
        if value <= below.upper {
            return below.count.min(total);
        }
        if value < bucket.upper {
            // Of a bucket that reaches down to -Inf all lies below any number, as it would in the limit.
            let unbounded = below.upper == f64::NEG_INFINITY;
            let share = if unbounded { 1.0 } else { (value - below.upper) / (bucket.upper - below.upper) };
            return (below.count + (bucket.count - below.count) * share).min(total);
        }
        below = *bucket;
    }
    total
}

/// Sorts by bound and joins equal bounds; false if the last bound is not `+Inf`.
fn tidy(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|left, right| left.upper.total_cmp(&right.upper));
    buckets.dedup_by(|later, kept| {
        let same = later.upper == kept.upper;
        if same {
            kept.count += later.count;
        }
        same
    });
    buckets.last().is_some_and(|bucket| bucket.upper == f64::INFINITY)
}

/// Takes back what rounding or unequal scrapes did: no bucket counts less than the one below it. Tells which had to be raised by more than
/// rounding explains.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Raised> {
    let mut raised: Option<Raised> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        let about_equal = (count - before).abs() / (count.abs() + before.abs()).min(f64::MAX) < ROUNDING;
        if count == before || about_equal {
            bucket.count = before;
        } else if count < before {
            let all = raised.get_or_insert(Raised { lowest: bucket.upper, highest: bucket.upper, most: 0.0 });
            all.lowest = all.lowest.min(bucket.upper);
            all.highest = all.highest.max(bucket.upper);
            all.most = all.most.max(before - count);
            bucket.count = before;
        } else {
            before = count;
        }
    }
    raised
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(written: &[(f64, f64)]) -> Vec<Bucket> {
        written.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[track_caller]
    fn check_quantile(q: f64, written: &[(f64, f64)], expected: f64) {
        let found = quantile(q, &mut buckets(written)).value;
        assert!(found == expected || found.is_nan() && expected.is_nan(), "{found} instead of {expected}");
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_interpolate_in_their_bucket() {
        let histogram = [(0.1, 50.0), (0.2, 90.0), (1.0, 100.0), (INF, 100.0)];
        check_quantile(0.25, &histogram, 0.05);
        check_quantile(0.5, &histogram, 0.1);
        check_quantile(1.0, &histogram, 1.0);
        check_quantile(0.99, &[(0.1, 50.0), (INF, 100.0)], 0.1);
        check_quantile(0.5, &[(-1.0, 60.0), (0.0, 80.0), (INF, 100.0)], -1.0);
    }

    #[test]
    fn what_is_no_histogram_has_no_quantile() {
        check_quantile(0.5, &[(0.1, 50.0), (1.0, 100.0)], f64::NAN);
        check_quantile(0.5, &[(INF, 100.0)], f64::NAN);
        check_quantile(0.5, &[(0.1, 0.0), (INF, 0.0)], f64::NAN);
        check_quantile(f64::NAN, &[(0.1, 1.0), (INF, 2.0)], f64::NAN);
        check_quantile(-0.1, &[], f64::NEG_INFINITY);
        check_quantile(1.1, &[], INF);
    }

    #[test]
    fn buckets_are_sorted_joined_and_made_monotonic() {
        check_quantile(0.5, &[(INF, 100.0), (0.1, 25.0), (0.1, 25.0)], 0.1);
        check_quantile(0.9, &[(0.1, 90.0), (0.2, 80.0), (INF, 100.0)], 0.1);
    }

    #[track_caller]
    fn check_fraction(lower: f64, upper: f64, expected: f64) {
        let found = fraction(lower, upper, &mut buckets(&[(0.1, 50.0), (0.2, 90.0), (INF, 100.0)]));
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn fractions_interpolate_too() {
        check_fraction(0.0, 0.1, 0.5);
        check_fraction(0.05, 0.1, 0.25);
        check_fraction(f64::NEG_INFINITY, INF, 1.0);
        check_fraction(0.2, INF, 0.1);
        check_fraction(1.0, 0.5, 0.0);
    }
}
