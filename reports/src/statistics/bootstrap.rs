//! Bounds of a mean by the bootstrap, corrected for bias and acceleration (BCa; Efron 1987, "Better bootstrap confidence
//! intervals", equations 1.9 and 6.7), and for few values: resamples of few spread less than samples do (Hesterberg 2015, "What Teachers Should Know
//! About the Bootstrap", section 4.3, expanded percentiles).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::distribution::{normal_cdf, normal_quantile, student_quantile};

/// One-sided bounds of a mean, each at its own level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The mean is below this with probability α.
    pub lower: f64,
    /// The mean is above this with probability α.
    pub upper: f64,
}

/// The BCa bounds of the mean of `values` at one-sided level `alpha`, `None` of no values. All equal: that value.
///
/// α₂ = Φ(z₀ + (z₀ + z) / (1 − a (z₀ + z))), z₀ = Φ⁻¹(share of resampled means below the observed, those equal to it counted half, clamped to
/// [1/(R+1), R/(R+1)]), a = Σc³ / (6 (Σc²)^1.5), c = value − mean, z = ± √(n / (n − 1)) t, t the quantile of Student's distribution with n − 1 degrees of
/// freedom at 1 − α. No bound lies beyond the least or the largest of the values, so fewer than about five tell next to nothing whatever they are.
#[must_use]
pub fn bca_bounds(values: &[f64], alpha: f64, resamples: usize, seed: u64) -> Option<Bounds> {
    let first = *values.first()?;
    if values.iter().all(|&value| value == first) {
        return Some(Bounds { lower: first, upper: first });
    }
    let mean = mean(values);
    let means = resampled_means(values, resamples, seed);
    // Sums in another order differ in their last bits.
    let close = 1e-9 * values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let below = means.partition_point(|&resampled| resampled < mean - close) as f64;
    let equal = means.partition_point(|&resampled| resampled <= mean + close) as f64 - below;
    let below = below + equal / 2.0;
    let all = resamples as f64;
    let bias = normal_quantile((below / all).clamp(1.0 / (all + 1.0), all / (all + 1.0)));
    let acceleration = acceleration(values, mean);
    let level = |z: f64| {
        let (reach, scale) = (bias + z, 1.0 - acceleration * (bias + z));
        // Beyond that the correction turns round: nothing is excluded there.
        if scale > 0.0 { normal_cdf(bias + reach / scale) } else { f64::from(reach > 0.0) }
    };
    let count = values.len() as u64;
    let z = libm::sqrt(count as f64 / (count - 1) as f64) * student_quantile(1.0 - alpha, count - 1);
    // Rank k of R estimates the quantile k / (R + 1); rounded outwards, so that neither bound promises too much.
    let rank = |rank: f64| means[(rank.max(1.0) as usize).min(resamples) - 1];
    Some(Bounds { lower: rank(libm::floor(level(-z) * (all + 1.0))), upper: rank(libm::ceil(level(z) * (all + 1.0))) })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn acceleration(values: &[f64], mean: f64) -> f64 {
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in values {
        let centred = value - mean;
        squares += centred * centred;
        cubes += centred * centred * centred;
    }
    cubes / (6.0 * squares * libm::sqrt(squares))
}

/// The means of resamples of the same size, sorted.
fn resampled_means(values: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = values.len() as u64;
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..values.len() {
                // Multiply and shift: its bias, count / 2^32, is far below the bootstrap's own error.
                sum += values[((u64::from(random.next_u32()) * count) >> 32) as usize];
            }
            sum / values.len() as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_need_no_resampling() {
        assert_eq!(bca_bounds(&[3.0; 7], 0.025, 100, 1), Some(Bounds { lower: 3.0, upper: 3.0 }));
        assert_eq!(bca_bounds(&[], 0.025, 100, 1), None);
    }

    #[test]
    fn the_bounds_of_a_symmetric_sample_are_those_of_the_normal() {
        // 0 to 99: mean 49.5, standard error sqrt((100² − 1) / 12 / 100) = 2.887, so ± 5.66.
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let bounds = bca_bounds(&values, 0.025, 20_000, 1).unwrap();
        assert!((bounds.lower - 43.84).abs() < 0.25 && (bounds.upper - 55.16).abs() < 0.25, "{bounds:?}");
    }

    #[test]
    fn two_values_say_no_more_than_that_the_mean_may_lie_anywhere_between_them() {
        assert_eq!(bca_bounds(&[-16.25, 7.85], 0.025, 2_000, 1), Some(Bounds { lower: -16.25, upper: 7.85 }));
    }

    #[test]
    fn few_values_have_bounds_about_as_wide_as_student_s() {
        // Mean 0, standard deviation 1.58, n = 5: ± 1.96 by Student's distribution, ± 1.39 by the normal one.
        let bounds = bca_bounds(&[-2.0, -1.0, 0.0, 1.0, 2.0], 0.025, 20_000, 1).unwrap();
        assert!((bounds.upper - 1.8).abs() < 0.21 && (bounds.lower + 1.8).abs() < 0.21, "{bounds:?}");
    }

    #[test]
    fn a_long_right_tail_moves_both_bounds_to_the_right() {
        let values: Vec<f64> = (1..=60).map(|rank| 1.0 / (1.0 - f64::from(rank) / 61.0)).collect();
        let bounds = bca_bounds(&values, 0.025, 20_000, 1).unwrap();
        let mean = mean(&values);
        assert!(bounds.upper - mean > 1.3 * (mean - bounds.lower), "{bounds:?} around {mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let values = [1.0, 5.0, 2.5, 9.0, 0.1];
        assert_eq!(bca_bounds(&values, 0.025, 1000, 42), bca_bounds(&values, 0.025, 1000, 42));
        assert_ne!(resampled_means(&values, 50, 1), resampled_means(&values, 50, 2));
    }
}
