//! Which of several policies no other one beats: in how soon all is well again, in harm, and in actions on what no incident concerned.

use crate::verdict::{Case, Measure, summarise};

/// What a policy costs in all its runs; less is better in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Mean time to recover, seconds, restricted to the time watched; `None`: no run has a fault.
    pub recover_seconds: Option<f64>,
    /// Mean harm, user-minutes.
    pub harm: f64,
    /// Actions out of scope over all actions, 0 to 1; 0 if there are none.
    pub false_positive_rate: f64,
}

impl Costs {
    /// What some runs cost.
    #[must_use]
    pub fn of(cases: &[Case]) -> Self {
        let [recover, harm] = ["time_to_recover", "harm"].map(Measure::known);
        let pooled = summarise(cases, &[recover, harm], 0).pop();
        let mean = |measure| pooled.as_ref().and_then(|summary| summary.get(measure)).map(|summary| summary.mean);
        let sum = |figure: fn(&Case) -> u64| cases.iter().map(figure).sum::<u64>() as f64;
        let (actions, wrong) = (sum(|case| case.outcome.actions), sum(|case| case.outcome.false_positives));
        Self {
            recover_seconds: mean(recover),
            harm: mean(harm).unwrap_or(0.0),
            false_positive_rate: if actions > 0.0 { wrong / actions } else { 0.0 },
        }
    }

    const fn all(&self) -> [f64; 3] {
        let recover = match self.recover_seconds {
            Some(seconds) => seconds,
            None => 0.0,
        };
        [recover, self.harm, self.false_positive_rate]
    }
}

/// For each of some policies, whether it is on the front: no other is as good in everything and better in something.
#[must_use]
pub fn front(all: &[Costs]) -> Vec<bool> {
    unbeaten(&all.iter().map(Costs::all).collect::<Vec<_>>())
}

/// For each point, whether no other is at most as large in every coordinate and smaller in one.
#[must_use]
pub fn unbeaten<const N: usize>(points: &[[f64; N]]) -> Vec<bool> {
    let beats = |other: &[f64; N], own: &[f64; N]| {
        let pairs = || other.iter().zip(own);
        pairs().all(|(other, own)| other <= own) && pairs().any(|(other, own)| other < own)
    };
    points.iter().map(|own| !points.iter().any(|other| beats(other, own))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn who_is_beaten_in_nothing_is_on_the_front_and_equals_share_it() {
        let points = [[60.0, 0.0, 0.0], [30.0, 5.0, 0.0], [60.0, 1.0, 0.0], [30.0, 5.0, 0.0]];
        assert_eq!(unbeaten(&points), [true, true, false, true]);
        assert_eq!(unbeaten::<2>(&[]), Vec::<bool>::new());
    }

    #[test]
    fn the_costs_of_runs_are_their_means() {
        let cases = sample::cases();
        let harms: f64 = cases.iter().map(|case| case.outcome.harm).sum();
        let costs = Costs::of(&cases);
        assert!((costs.harm - harms / cases.len() as f64).abs() < 1e-9);
        let (actions, wrong) = cases.iter().fold((0, 0), |sum, case| (sum.0 + case.outcome.actions, sum.1 + case.outcome.false_positives));
        assert!((costs.false_positive_rate - wrong as f64 / actions as f64).abs() < 1e-9);
        assert!(costs.recover_seconds.is_some_and(|seconds| seconds > 0.0));
    }
}
