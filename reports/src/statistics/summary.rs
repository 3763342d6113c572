//! One measure over many runs: quantiles that name a run, a mean with its interval, and how much of it was censored.

use serde::{Deserialize, Serialize};

use super::bootstrap::bca_bounds;
use crate::outcome::Elapsed;

/// Resamples behind the interval of a mean that people read; verdicts use more.
const RESAMPLES: usize = 2_000;

/// One run's value of a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The value, in the measure's unit.
    pub value: f64,
    /// Whether the true value is this or more.
    pub censored: bool,
}

impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self { value, censored: false }
    }
}

impl From<Elapsed> for Sample {
    fn from(elapsed: Elapsed) -> Self {
        Self { value: elapsed.seconds, censored: elapsed.censored }
    }
}

/// A quantile, or what it is at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The value, in the measure's unit.
    pub value: f64,
    /// A censored run lies at or below it, so the true quantile may be larger.
    pub at_least: bool,
}

/// One measure over many runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many runs.
    pub n: u64,
    /// How many of them are censored.
    pub censored: u64,
    /// Nearest-rank quantile, see [`quantile`].
    pub median: Quantile,
    /// Nearest-rank quantile.
    pub p90: Quantile,
    /// Nearest-rank quantile.
    pub p99: Quantile,
    /// The largest value.
    pub max: Quantile,
    /// The mean; with censored runs, restricted to the longest time watched (see [`restricted_mean`]).
    pub mean: f64,
    /// Lower end of the mean's 95 % interval (BCa, 2,000 resamples).
    pub mean_low: f64,
    /// Upper end of the mean's 95 % interval.
    pub mean_high: f64,
}

impl Summary {
    /// Summarises runs; `None` if there are none.
    #[must_use]
    pub fn of(samples: &[Sample], seed: u64) -> Option<Self> {
        let [median, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| quantile(samples, share));
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let bounds = bca_bounds(&values, 0.025, RESAMPLES, seed)?;
        let max = max?;
        let mean = restricted_mean(samples, max.value);
        Some(Self {
            n: samples.len() as u64,
            censored: samples.iter().filter(|sample| sample.censored).count() as u64,
            median: median?,
            p90: p90?,
            p99: p99?,
            max,
            mean,
            mean_low: bounds.lower.min(mean),
            mean_high: bounds.upper.max(mean),
        })
    }
}

/// The quantile by nearest rank: the smallest value that at least `share` of the runs do not exceed, `None` of no runs.
///
/// Nearest rank and no interpolation, so that the figure is one that some run really had, and the run can be shown.
#[must_use]
pub fn quantile(samples: &[Sample], share: f64) -> Option<Quantile> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|one, other| one.value.total_cmp(&other.value).then(one.censored.cmp(&other.censored)));
    // A product within 1e-9 of a whole number is that number, whatever the binary fraction says.
    let rank = libm::ceil(share * sorted.len() as f64 - 1e-9).max(1.0) as usize;
    let value = sorted.get(rank - 1)?.value;
    Some(Quantile { value, at_least: sorted[..rank].iter().any(|sample| sample.censored) })
}

/// One step of a survival curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurvivalStep {
    /// From this time on.
    pub at: f64,
    /// The share of runs that still have not got there, 0 to 1.
    pub share: f64,
}

/// The share of runs that have not got there yet over time, by Kaplan and Meier (1958): at each time t with dᵢ arrivals
/// among nᵢ still watched, the share is multiplied by 1 − dᵢ / nᵢ. Runs censored at t were watched at t.
#[must_use]
pub fn kaplan_meier(samples: &[Sample]) -> Vec<SurvivalStep> {
    let mut times: Vec<f64> = samples.iter().filter(|sample| !sample.censored).map(|sample| sample.value).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut share = 1.0;
    let steps = times.into_iter().map(|at| {
        let watched = samples.iter().filter(|sample| sample.value >= at).count();
        let arrived = samples.iter().filter(|sample| sample.value == at && !sample.censored).count();
        share *= 1.0 - arrived as f64 / watched as f64;
        SurvivalStep { at, share }
    });
    steps.collect()
}

/// The mean of min(time, `horizon`): the area under the survival curve up to `horizon`. Without censoring before the
/// horizon it is the ordinary mean of the values cut off there.
#[must_use]
pub fn restricted_mean(samples: &[Sample], horizon: f64) -> f64 {
    if !samples.iter().any(|sample| sample.censored && sample.value < horizon) {
        let sum: f64 = samples.iter().map(|sample| sample.value.min(horizon)).sum();
        return if samples.is_empty() { 0.0 } else { sum / samples.len() as f64 };
    }
    let (mut area, mut since, mut share) = (0.0, 0.0, 1.0);
    for step in kaplan_meier(samples) {
        let until = step.at.min(horizon);
        area += share * (until - since);
        (since, share) = (until, step.share);
    }
    area + share * (horizon - since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        // A negative value stands for a censored one.
        values.iter().map(|&value| Sample { value: value.abs(), censored: value < 0.0 }).collect()
    }

    #[test]
    fn a_quantile_is_a_value_that_some_run_had() {
        let ten = samples(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
        let value = |share| quantile(&ten, share).unwrap().value;
        assert_eq!((value(0.5), value(0.9), value(0.91), value(0.99), value(0.0)), (5.0, 9.0, 10.0, 10.0, 1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_quantile_above_a_censored_run_is_a_lower_bound() {
        let runs = samples(&[1.0, 2.0, 3.0, -3.0]);
        assert_eq!(quantile(&runs, 0.75), Some(Quantile { value: 3.0, at_least: false }));
        assert_eq!(quantile(&runs, 0.9), Some(Quantile { value: 3.0, at_least: true }));
        assert_eq!(quantile(&samples(&[-1.0, 2.0, 3.0]), 0.5), Some(Quantile { value: 2.0, at_least: true }));
    }

    #[test]
    fn the_survival_curve_is_the_one_of_the_textbook() {
        // Arrivals at 1, 3 and 5, one run lost from sight at 2: 3/4, 3/4 * 1/2, 0.
        let curve = kaplan_meier(&samples(&[1.0, -2.0, 3.0, 5.0]));
        let expected = [(1.0, 0.75), (3.0, 0.375), (5.0, 0.0)].map(|(at, share)| SurvivalStep { at, share });
        assert_eq!(curve, expected);
        // 1 * 1 + 0.75 * 2 + 0.375 * 2.
        assert_eq!(restricted_mean(&samples(&[1.0, -2.0, 3.0, 5.0]), 5.0), 3.25);
    }

    #[test]
    fn the_restricted_mean_counts_a_censored_run_for_the_time_watched() {
        assert_eq!(restricted_mean(&samples(&[10.0, 20.0, -30.0]), 30.0), 20.0);
        assert_eq!(restricted_mean(&samples(&[10.0, 20.0, 90.0]), 30.0), 20.0);
    }

    #[test]
    fn a_summary_says_how_much_was_censored() {
        let summary = Summary::of(&samples(&[10.0, 20.0, -30.0, -30.0]), 1).unwrap();
        assert_eq!((summary.n, summary.censored, summary.mean), (4, 2, 22.5));
        assert_eq!(summary.p90, Quantile { value: 30.0, at_least: true });
        assert!(summary.mean_low < 22.5 && summary.mean_high > 22.5);
        assert_eq!(Summary::of(&[], 1), None);
    }

    proptest! {
        #[test]
        fn a_quantile_leaves_no_more_than_its_share_above(values in prop::collection::vec(0.0_f64..100.0, 1..50), share in 0.0_f64..1.0) {
            let found = quantile(&samples(&values), share).unwrap().value;
            let not_above = values.iter().filter(|&&value| value <= found).count();
            prop_assert!(not_above as f64 >= share * values.len() as f64 - 1e-6);
            prop_assert!(values.contains(&found));
        }
    }
}
