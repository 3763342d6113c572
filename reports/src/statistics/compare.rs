//! Is the candidate no worse than the baseline? Mean non-inferiority on pairs, and a guard on catastrophes.

use serde::{Deserialize, Serialize};

use super::bootstrap::bca_bounds;
use super::distribution::{clopper_pearson_lower, clopper_pearson_upper};

/// What a test concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The candidate is no worse than allowed.
    Held,
    /// These runs do not tell.
    Inconclusive,
    /// It is worse than allowed.
    Broken,
}

/// Fewer pairs do not tell that a candidate is good enough: all of four lie on one side of what is allowed once in sixteen times although as many as not
/// would lie beyond it.
const FEWEST_PAIRS: u64 = 5;

/// How mean non-inferiority is tested. The defaults are those of the documentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonInferiority {
    /// How much worse the mean may be, as a share of the baseline's, 0 to 1.
    pub margin: f64,
    /// The smallest margin, in the measure's unit: near zero a share of nothing is nothing.
    pub least_margin: f64,
    /// One-sided level.
    pub alpha: f64,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl NonInferiority {
    /// The documented test with this least margin.
    #[must_use]
    pub const fn with_least_margin(least_margin: f64) -> Self {
        Self { margin: 0.05, least_margin, alpha: 0.025, resamples: 10_000, seed: 0 }
    }

    /// Compares pairs (baseline, candidate) of a cost within one class; `None` without pairs.
    ///
    /// dᵢ = Bᵢ − Aᵢ − max(margin · Ā, least). Held if the upper bound of the mean of d is below 0, broken if the lower
    /// bound is above 0. If every Bᵢ ≤ Aᵢ, or all dᵢ are equal, no resampling is needed. Fewer than five pairs are held only if every Bᵢ ≤ Aᵢ.
    #[must_use]
    pub fn compare(&self, pairs: &[(f64, f64)]) -> Option<Comparison> {
        self.compare_classes(&[pairs])
    }

    /// As [`Self::compare`], pooled over classes, each with the margin of its own baseline.
    #[must_use]
    pub fn compare_classes(&self, classes: &[&[(f64, f64)]]) -> Option<Comparison> {
        let mut excess = Vec::new();
        let (mut baseline, mut candidate, mut never_worse) = (0.0, 0.0, true);
        for pairs in classes.iter().filter(|pairs| !pairs.is_empty()) {
            let own: f64 = pairs.iter().map(|pair| pair.0).sum();
            let allowed = (self.margin * own / pairs.len() as f64).max(self.least_margin);
            baseline += own;
            candidate += pairs.iter().map(|pair| pair.1).sum::<f64>();
            never_worse &= pairs.iter().all(|(a, b)| b <= a);
            excess.extend(pairs.iter().map(|(a, b)| b - a - allowed));
        }
        let bounds = bca_bounds(&excess, self.alpha, self.resamples, self.seed)?;
        let n = excess.len() as f64;
        let mean = excess.iter().sum::<f64>() / n;
        let decided_directly = never_worse || bounds.lower == bounds.upper;
        let conclusion = match () {
            () if never_worse || bounds.upper < 0.0 && excess.len() as u64 >= FEWEST_PAIRS => Conclusion::Held,
            () if bounds.lower > 0.0 || bounds.lower == bounds.upper && bounds.upper >= 0.0 => Conclusion::Broken,
            () => Conclusion::Inconclusive,
        };
        let pairs_needed = (conclusion == Conclusion::Inconclusive).then(|| pairs_needed(n, mean, bounds.lower, bounds.upper)).flatten();
        Some(Comparison {
            conclusion,
            n: excess.len() as u64,
            baseline_mean: baseline / n,
            candidate_mean: candidate / n,
            allowed_mean: candidate / n - mean,
            excess_low: bounds.lower,
            excess_high: bounds.upper,
            decided_directly,
            pairs_needed,
        })
    }
}

/// A comparison of means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it concludes.
    pub conclusion: Conclusion,
    /// How many pairs.
    pub n: u64,
    /// Mean of the baseline.
    pub baseline_mean: f64,
    /// Mean of the candidate.
    pub candidate_mean: f64,
    /// What the candidate's mean may be: the baseline's plus the margin.
    pub allowed_mean: f64,
    /// Lower bound of the mean by which the candidate exceeds what is allowed.
    pub excess_low: f64,
    /// Upper bound of the same; below 0 the candidate is not inferior.
    pub excess_high: f64,
    /// No resampling was needed.
    pub decided_directly: bool,
    /// About how many pairs would settle it; `None` if it is settled, or the means are as good as at the margin.
    pub pairs_needed: Option<u64>,
}

/// Bounds shrink with the square root of n, so the distance to the mean must shrink to the mean's distance from 0.
fn pairs_needed(n: f64, mean: f64, low: f64, high: f64) -> Option<u64> {
    let reach = if mean < 0.0 { high - mean } else { mean - low };
    let factor = reach / mean.abs();
    let needed = libm::ceil(n * factor * factor);
    (needed.is_finite() && needed < 1e7).then_some((needed as u64).max(n as u64 + 1).max(FEWEST_PAIRS))
}

/// How catastrophes are tested: pairs where the candidate is catastrophic and the baseline is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailGuard {
    /// The largest share that is tolerated, 0 to 1.
    pub limit: f64,
    /// Confidence of the bound, 0 to 1.
    pub confidence: f64,
}

impl Default for TailGuard {
    fn default() -> Self {
        Self { limit: 0.01, confidence: 0.95 }
    }
}

impl TailGuard {
    /// Tests `catastrophes` among `pairs`.
    ///
    /// Held if the Clopper–Pearson upper bound is within the limit, broken if the lower bound is beyond it.
    #[must_use]
    pub fn test(&self, catastrophes: u64, pairs: u64) -> TailResult {
        let upper = clopper_pearson_upper(catastrophes, pairs, self.confidence);
        let conclusion = match () {
            () if upper <= self.limit => Conclusion::Held,
            () if clopper_pearson_lower(catastrophes, pairs, self.confidence) > self.limit => Conclusion::Broken,
            () => Conclusion::Inconclusive,
        };
        let pairs_needed = (conclusion == Conclusion::Inconclusive).then(|| self.pairs_needed(catastrophes, pairs));
        TailResult { conclusion, catastrophes, pairs, upper, pairs_needed }
    }

    /// How many pairs would hold with no further catastrophe.
    #[must_use]
    pub fn pairs_needed(&self, catastrophes: u64, pairs: u64) -> u64 {
        let enough = |pairs: u64| clopper_pearson_upper(catastrophes, pairs, self.confidence) <= self.limit;
        let mut high = pairs.max(1);
        while !enough(high) {
            high *= 2;
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = u64::midpoint(low, high);
            if enough(middle) { high = middle } else { low = middle }
        }
        high
    }
}

/// What the guard on catastrophes found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailResult {
    /// What it concludes.
    pub conclusion: Conclusion,
    /// Pairs in which only the candidate is catastrophic.
    pub catastrophes: u64,
    /// All pairs.
    pub pairs: u64,
    /// The largest share that these do not exclude, 0 to 1.
    pub upper: f64,
    /// How many pairs would hold with no further catastrophe; `None` if it is settled.
    pub pairs_needed: Option<u64>,
}

/// Adjusts p-values of several claims by Holm (1979): sorted ascending, the i-th of m (from 0) is multiplied by m − i,
/// made monotone, and capped at 1. In the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        floor = floor.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::distribution::normal_quantile;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn compare(pairs: &[(f64, f64)]) -> Comparison {
        NonInferiority::with_least_margin(1.0).compare(pairs).unwrap()
    }

    #[test]
    fn a_candidate_that_is_never_worse_holds_without_resampling() {
        let result = compare(&[(10.0, 10.0), (50.0, 2.0), (0.0, 0.0)]);
        assert_eq!((result.conclusion, result.decided_directly), (Conclusion::Held, true));
    }

    #[test]
    fn equal_differences_are_decided_by_their_sign() {
        // Ā = 100, so 5 are allowed.
        assert_eq!(compare(&[(100.0, 104.0); 5]).conclusion, Conclusion::Held);
        assert_eq!(compare(&[(100.0, 106.0); 5]).conclusion, Conclusion::Broken);
        assert_eq!(compare(&[(100.0, 106.0); 5]).allowed_mean, 105.0);
    }

    #[test]
    fn near_zero_the_least_margin_allows_what_a_share_of_nothing_cannot() {
        assert_eq!(compare(&[(0.0, 0.5); 5]).conclusion, Conclusion::Held);
        assert_eq!(compare(&[(0.0, 1.5); 5]).conclusion, Conclusion::Broken);
    }

    #[test]
    fn few_noisy_pairs_are_inconclusive_and_say_how_many_would_settle_it() {
        let pairs: Vec<_> = (0..10).map(|i| (100.0, 100.0 + f64::from(i % 5) * 4.0 - 6.0)).collect();
        let result = compare(&pairs);
        assert_eq!(result.conclusion, Conclusion::Inconclusive);
        assert!(result.pairs_needed.is_some_and(|needed| (11..100).contains(&needed)), "{result:?}");
    }

    #[test]
    fn fewer_than_five_pairs_never_hold_unless_none_is_worse() {
        let within = [(100.0, 101.0), (100.0, 90.0), (100.0, 95.0), (100.0, 92.0)];
        let few = compare(&within);
        assert_eq!((few.conclusion, few.pairs_needed), (Conclusion::Inconclusive, Some(5)), "{few:?}");
        assert_eq!(compare(&[(100.0, 101.0)]).conclusion, Conclusion::Inconclusive);
        assert_eq!(compare(&[(100.0, 200.0)]).conclusion, Conclusion::Broken);
        let enough: Vec<_> = within.into_iter().chain([(100.0, 91.0)]).collect();
        assert_eq!(compare(&enough).conclusion, Conclusion::Held);
    }

    /// Pairs whose mean excess is just what is not allowed any more.
    #[test]
    fn few_pairs_of_a_candidate_that_is_just_too_bad_pass_in_at_most_a_twentieth_of_all_gates() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut normal = || normal_quantile((f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0);
        for n in [2, 3, 5, 8, 12] {
            let test = NonInferiority { resamples: 500, ..NonInferiority::with_least_margin(5.0) };
            let held = (0..400).filter(|_| {
                let pairs: Vec<(f64, f64)> = (0..n).map(|_| (0.0, 5.0 + 20.0 * normal())).collect();
                let found = test.compare(&pairs).unwrap();
                // Few that are never worse hold by that alone.
                found.conclusion == Conclusion::Held
                    && (n >= FEWEST_PAIRS || pairs.iter().any(|(baseline, candidate)| candidate > baseline))
            });
            let held = held.count();
            assert!(held <= if n < FEWEST_PAIRS { 0 } else { 20 }, "{held} of 400 gates of {n} pairs passed");
        }
    }

    #[test]
    fn classes_are_pooled_each_with_its_own_margin() {
        let test = NonInferiority::with_least_margin(0.0);
        // 5 % of 1,000 and 5 % of 10: the small class may not spend the large one's margin.
        let pooled = test.compare_classes(&[&[(1000.0, 1049.0); 3], &[(10.0, 10.4); 3]]).unwrap();
        assert_eq!((pooled.n, pooled.conclusion), (6, Conclusion::Held));
        assert!((pooled.allowed_mean - f64::midpoint(1050.0, 10.5)).abs() < 1e-9);
    }

    #[test]
    fn the_guard_on_catastrophes_needs_299_clean_pairs() {
        let guard = TailGuard::default();
        assert_eq!(guard.test(0, 299).conclusion, Conclusion::Held);
        let few = guard.test(0, 20);
        assert_eq!((few.conclusion, few.pairs_needed), (Conclusion::Inconclusive, Some(299)));
        assert_eq!(guard.test(1, 300).pairs_needed, Some(473));
        assert_eq!(guard.test(12, 300).conclusion, Conclusion::Broken);
    }

    #[test]
    fn holm_is_the_textbook_example() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    /// Paired losses with a long right tail, the candidate's true mean `worse` times the baseline's. Lognormal with σ = 1:
    /// four fifths of its variance is the weather that both arms share.
    fn skewed_pairs(n: usize, worse: f64, random: &mut ChaCha8Rng) -> Vec<(f64, f64)> {
        let mut normal = || normal_quantile((f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0);
        let mut pair = || {
            let (shared, one, other) = (normal() * libm::sqrt(0.8), normal() * libm::sqrt(0.2), normal() * libm::sqrt(0.2));
            (100.0 * libm::exp(shared + one), worse * 100.0 * libm::exp(shared + other))
        };
        (0..n).map(|_| pair()).collect()
    }

    fn pass_rate(worse: f64, trials: u32) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(1987);
        let held = (0..trials).filter(|&trial| {
            let test = NonInferiority { resamples: 500, seed: u64::from(trial), ..NonInferiority::with_least_margin(0.0) };
            test.compare(&skewed_pairs(300, worse, &mut random)).unwrap().conclusion == Conclusion::Held
        });
        held.count() as f64 / f64::from(trials)
    }

    #[test]
    fn a_candidate_truly_five_percent_worse_rarely_passes_although_losses_are_skewed() {
        // Nominal 2.5 %; 4,000 trials on these skewed losses gave 4.5 %; the standard error of 600 trials is 0.8 %.
        let rate = pass_rate(1.05, 600);
        assert!((0.015..=0.06).contains(&rate), "{rate}");
    }

    #[test]
    fn a_candidate_that_is_truly_better_passes() {
        let rate = pass_rate(0.75, 100);
        assert!(rate > 0.9, "{rate}");
    }
}
