//! When pairs are looked at, and how sure each look must be: the planned number, twice before it to fail early, once after it to settle.
//!
//! Every look that may pass spends some of the chance of passing wrongly. The planned one has what the documentation states; looks before it
//! can only fail; one that comes after more pairs were added asks for so much more that the sum stays within 5 %.

use super::{Aggregate, CostVerdict, JudgeSettings, Judgement, TailVerdict, Threshold, ThresholdVerdict, Unit, Verdict};
use crate::statistics::{TailGuard, normal_quantile};

/// After so many seeds of each scenario a candidate may already be broken for good, and the rest is spared.
pub const EARLY_LOOKS: [u32; 2] = [50, 100];

/// One-sided level of the planned look (MEASURES, "Many runs").
pub const PLANNED_ALPHA: f64 = 0.025;
/// The same where a look can only fail: so that looking early fails hardly more than looking once (Haybittle 1971; Peto et al. 1976).
const EARLY_ALPHA: f64 = 0.001;
/// The same after pairs were added to what was inconclusive.
const EXTENDED_ALPHA: f64 = 0.005;
/// Confidence of the guard on catastrophes where it is asked a second time.
const STRICT_CONFIDENCE: f64 = 0.999;
/// What is added to an estimate of how many pairs settle it, since it is one.
const RESERVE: f64 = 1.1;

/// Which look it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Before the planned number: only to fail.
    Early,
    /// At the planned number.
    Planned,
    /// After pairs were added.
    Extended,
}

impl JudgeSettings {
    /// The same for a look.
    #[must_use]
    pub fn at(&self, look: Look) -> Self {
        let strict = |guard: TailGuard| TailGuard { confidence: STRICT_CONFIDENCE, ..guard };
        match look {
            Look::Planned => self.clone(),
            Look::Early => Self { alpha: EARLY_ALPHA, tail: self.tail.map(strict), ..self.clone() },
            Look::Extended => Self { alpha: EXTENDED_ALPHA, tail: self.tail.map(strict), ..self.clone() },
        }
    }
}

impl Judgement {
    /// Whether something broke that no more runs can mend. `thresholds` are those that were judged.
    #[must_use]
    pub fn is_broken_for_good(&self, thresholds: &[Threshold]) -> bool {
        let is_final =
            |found: &ThresholdVerdict| thresholds.iter().any(|own| own.to_string() == found.threshold && own.is_final_when_broken());
        let broken = |found: &&ThresholdVerdict| found.verdict == Verdict::Broken;
        let own = self.classes.iter().flat_map(|class| &class.thresholds).chain(&self.thresholds);
        let scenarios = self.classes.iter().flat_map(|class| &class.scenarios).flat_map(|scenario| &scenario.thresholds);
        let costs = self.classes.iter().flat_map(|class| &class.costs).chain(&self.costs);
        let tails = self.classes.iter().filter_map(|class| class.tail.as_ref());
        own.chain(scenarios).filter(broken).any(is_final)
            || costs.map(|found| found.verdict).chain(tails.map(|found| found.verdict)).any(|verdict| verdict == Verdict::Broken)
            || self.incidents.iter().any(|incident| incident.verdict() == Some(Verdict::Broken))
    }

    /// About how many seeds of each scenario would settle an inconclusive verdict at the look after the planned one, where `seeds` were played;
    /// `None` if it is settled, or more of the same would not settle it.
    #[must_use]
    pub fn seeds_to_settle(&self, seeds: u32) -> Option<u32> {
        let open = |verdict| verdict == Verdict::Inconclusive;
        if !open(self.verdict) || self.has_open_threshold() {
            return None;
        }
        let costs = self.classes.iter().flat_map(|class| &class.costs).chain(&self.costs).filter(|found| open(found.verdict));
        let tails = self.classes.iter().filter_map(|class| class.tail.as_ref()).filter(|found| open(found.verdict));
        let needed: Vec<f64> = costs.map(of_cost).chain(tails.map(of_tail)).collect::<Option<_>>()?;
        let most = needed.into_iter().reduce(f64::max)?;
        let seeds = libm::ceil(most * f64::from(seeds));
        (seeds.is_finite() && seeds < f64::from(u32::MAX)).then_some(seeds as u32)
    }

    fn has_open_threshold(&self) -> bool {
        let scenarios = self.classes.iter().flat_map(|class| &class.scenarios).flat_map(|scenario| &scenario.thresholds);
        let all = self.classes.iter().flat_map(|class| &class.thresholds).chain(&self.thresholds).chain(scenarios);
        all.into_iter().any(|found| found.verdict == Verdict::Inconclusive)
    }
}

/// How many times the pairs that there are. An interval's width goes with the quantile of its level and with one over the root of n.
fn of_cost(found: &CostVerdict) -> Option<f64> {
    let stricter = normal_quantile(1.0 - EXTENDED_ALPHA) / normal_quantile(1.0 - PLANNED_ALPHA);
    let needed = found.comparison.pairs_needed?;
    Some(needed as f64 / found.comparison.n as f64 * stricter * stricter * RESERVE)
}

fn of_tail(found: &TailVerdict) -> Option<f64> {
    let guard = TailGuard { confidence: STRICT_CONFIDENCE, ..TailGuard::default() };
    (found.result.pairs > 0).then(|| guard.pairs_needed(found.result.catastrophes, found.result.pairs) as f64 / found.result.pairs as f64)
}

impl Threshold {
    /// Whether no more runs can mend it once it is broken: the largest never becomes less, the smallest never more, and nor does a count.
    fn is_final_when_broken(&self) -> bool {
        match self.aggregate {
            Aggregate::Max => self.limits_from_above(),
            Aggregate::Min => !self.limits_from_above(),
            Aggregate::Total => self.limits_from_above() && self.measure.unit() == Unit::Count,
            Aggregate::Quantile(_) | Aggregate::Mean | Aggregate::Pooled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::name::Name;

    use super::super::{Case, judge};
    use super::*;
    use crate::outcome::Outcome;
    use crate::sample;

    fn cases(n: u64, lost: impl Fn(u64) -> f64) -> Vec<Case> {
        let outcome = |seed: u64| Outcome { seed, user_minutes_lost: lost(seed), ..sample::storm_outcome() };
        (0..n).map(|seed| Case { class: Name::new("storm"), outcome: outcome(seed) }).collect()
    }

    fn settings(threshold: (&str, &str)) -> JudgeSettings {
        JudgeSettings { thresholds: vec![Threshold::parse(threshold.0, threshold.1).unwrap()], ..JudgeSettings::default() }
    }

    #[test]
    fn only_what_more_runs_cannot_mend_is_broken_for_good() {
        let check = |measure: &str, text: &str, expected: bool| {
            let settings = settings((measure, text)).at(Look::Early);
            let judgement = judge(&cases(3, |_| 50.0), None, &[], &settings);
            assert_eq!(judgement.verdict, Verdict::Broken, "{text}");
            assert_eq!(judgement.is_broken_for_good(&settings.thresholds), expected, "{measure} {text}");
        };
        check("user_minutes_lost", "max < 10 user-minutes", true);
        check("user_minutes_lost", "min > 60 user-minutes", true);
        check("user_minutes_lost", "mean < 10 user-minutes", false);
        check("user_minutes_lost", "p90 < 10 user-minutes", false);
        check("user_minutes_lost", "total < 10 user-minutes", false);
    }

    #[test]
    fn an_early_look_fails_only_on_what_is_far_beyond_the_margin() {
        let baseline = cases(50, |_| 100.0);
        let noisy = |seed: u64, centre: f64| centre + f64::from((seed * 7 % 11) as u32) * 4.0 - 20.0;
        let early = settings(("harm", "max < 1000000 user-minutes")).at(Look::Early);
        let found =
            |centre: f64| judge(&cases(50, |seed| noisy(seed, centre)), Some(&baseline), &[], &early).is_broken_for_good(&early.thresholds);
        assert!(!found(108.0), "broken at 2.5 %, and not sure enough for an early end");
        assert!(found(140.0));
    }

    #[test]
    fn what_would_settle_it_grows_with_what_the_second_look_asks_for() {
        let baseline = cases(40, |_| 100.0);
        let near = cases(40, |seed| 102.5 + f64::from((seed * 7 % 11) as u32) * 4.0 - 20.0);
        let settings = JudgeSettings { tail: None, ..settings(("harm", "max < 1000000 user-minutes")) };
        let judgement = judge(&near, Some(&baseline), &[], &settings);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        let planned = judgement.classes[0].costs.iter().find_map(|cost| cost.comparison.pairs_needed).unwrap();
        let needed = judgement.seeds_to_settle(40).unwrap();
        assert!(u64::from(needed) > planned && u64::from(needed) < planned * 3, "{needed} after {planned}");
    }

    #[test]
    fn a_first_catastrophe_asks_for_many_more_pairs_and_an_open_threshold_for_none() {
        let baseline = cases(300, |_| 1.0);
        let mut candidate = cases(300, |_| 1.0);
        candidate[7].outcome.time_to_recover = Some(crate::outcome::Elapsed { seconds: 1.0, censored: true });
        let open = settings(("time_to_recover", "max < 5m"));
        let judgement = judge(&candidate, Some(&baseline), &[], &open);
        assert_eq!((judgement.verdict, judgement.seeds_to_settle(300)), (Verdict::Inconclusive, None), "the time is not known");
        let judgement = judge(&candidate, Some(&baseline), &[], &JudgeSettings::default());
        let needed = judgement.seeds_to_settle(300).unwrap();
        assert!((800..1_100).contains(&needed), "{needed}");
    }
}
