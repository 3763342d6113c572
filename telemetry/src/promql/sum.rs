//! Sums that carry what rounding lost (Neumaier 1974), in the order in which Prometheus adds.

/// A running compensated sum.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub total: f64,
    pub lost: f64,
}

impl Sum {
    pub(crate) fn of(value: f64) -> Sum {
        Sum { total: value, lost: 0.0 }
    }

    #[must_use]
    pub(crate) fn plus(self, value: f64) -> Sum {
        let total = self.total + value;
        let lost = if total.is_infinite() {
            // Infinity minus infinity would turn what was lost into NaN.
            0.0
        } else if self.total.abs() >= value.abs() {
            self.lost + ((self.total - total) + value)
        } else {
            self.lost + ((value - total) + self.total)
        };
        Sum { total, lost }
    }

    pub(crate) fn value(self) -> f64 {
        self.total + self.lost
    }

    fn scaled(self, factor: f64) -> Sum {
        Sum { total: self.total * factor, lost: self.lost * factor }
    }
}

/// The mean of the values so far: the sum over the count while the sum stays finite, from its overflow on an incremental mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn of(value: f64) -> Mean {
        Mean { sum: Sum::of(value), count: 1.0, incremental: false }
    }

    #[must_use]
    pub(crate) fn with(self, value: f64) -> Mean {
        let count = self.count + 1.0;
        let mut mean = self.sum;
        if !self.incremental {
            let sum = self.sum.plus(value);
            if !sum.total.is_infinite() {
                return Mean { sum, count, incremental: false };
            }
            mean = Sum { total: mean.total / self.count, lost: mean.lost / self.count };
        }
        let sum = mean.scaled(self.count / count).plus(value / count);
        Mean { sum, count, incremental: true }
    }

    pub(crate) fn value(self) -> f64 {
        if self.incremental { self.sum.value() } else { self.sum.total / self.count + self.sum.lost / self.count }
    }
}

/// The quantile of some values by linear interpolation between the two nearest ranks; the values are sorted on the way, NaN first.
///
/// NaN for no values or a quantile of NaN, an infinity for one outside 0 to 1.
pub(crate) fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    // What this order holds equal has the same bits, so that an unstable sort, which needs no memory, does as well.
    values.sort_unstable_by(|left, right| right.is_nan().cmp(&left.is_nan()).then(left.total_cmp(right)));
    let last = (values.len() - 1) as f64;
    let rank = quantile * last;
    let lower = rank.floor();
    let weight = rank - lower;
    let upper = (lower + 1.0).min(last);
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_beside_large_ones() {
        let sum = [1e100, 1.0, -1e100].iter().fold(Sum::default(), |sum, value| sum.plus(*value));
        assert_eq!(sum.value(), 1.0);
        let infinite = [f64::INFINITY, 1.0].iter().fold(Sum::default(), |sum, value| sum.plus(*value));
        assert_eq!(infinite.value(), f64::INFINITY);
    }

    #[test]
    fn a_mean_does_not_overflow_with_its_sum() {
        let mean = Mean::of(f64::MAX).with(f64::MAX).with(f64::MAX);
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-15);
        assert_eq!(Mean::of(1.0).with(2.0).with(6.0).value(), 3.0);
    }

    #[track_caller]
    fn check_quantile(q: f64, values: &[f64], expected: f64) {
        let found = quantile(q, &mut values.to_vec());
        assert!(found == expected || found.is_nan() && expected.is_nan(), "{found} instead of {expected}");
    }

    #[test]
    fn quantiles_interpolate_between_ranks() {
        check_quantile(0.5, &[3.0, 1.0, 2.0], 2.0);
        check_quantile(0.25, &[0.0, 1.0], 0.25);
        check_quantile(1.0, &[0.0, 1.0], 1.0);
        check_quantile(-0.1, &[0.0], f64::NEG_INFINITY);
        check_quantile(1.1, &[0.0], f64::INFINITY);
        check_quantile(0.5, &[], f64::NAN);
        check_quantile(f64::NAN, &[1.0], f64::NAN);
    }
}
