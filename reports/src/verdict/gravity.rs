//! What broke, the gravest first: by how far beyond its limit each figure lies.

use super::measure::{Measure, Unit};
use super::{Breach, ClassVerdict, CostVerdict, Judgement, ThresholdVerdict, Verdict};

/// A safety violation is beyond every other breach.
const UNSAFE: f64 = 1e12;
/// A catastrophe that the baseline had not weighs as much as a figure that is so many times its limit.
const CATASTROPHE: f64 = 100.0;
/// A recorded incident that fails is decided wrongly, and has no figure.
const FAILED: f64 = 10.0;

/// Something that broke, in words, and how grave it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Grave {
    /// Where: a class, a scenario, an incident, or `all classes`.
    pub place: String,
    /// What, in words: `harm is 123 user-min where max < 1 user-min must hold (n = 5)`.
    pub words: String,
    /// What its figure measures; `None` of an incident and of catastrophes.
    pub measure: Option<Measure>,
    /// The same with its run and its command.
    pub breach: Breach,
    /// How grave: of a figure how many times its limit it lies beyond it.
    gravity: f64,
}

impl Judgement {
    /// Everything that broke, the place with the gravest first, and in a place the gravest first; equals stay in the order of [`Self::breaches`].
    #[must_use]
    pub fn gravest_first(&self) -> Vec<Grave> {
        let known = self.known();
        let grave = |breach: Breach| {
            let of = |own: &&Known| own.place == breach.place && breach.what.starts_with(&own.begins);
            let (words, measure, gravity) = known.iter().find(of).map_or_else(
                || (breach.what.clone(), None, if breach.run.is_none() { FAILED } else { CATASTROPHE }),
                |own| (own.words.clone(), Some(own.measure), own.gravity),
            );
            Grave { place: breach.place.clone(), words, measure, breach, gravity }
        };
        let mut graves: Vec<Grave> = self.breaches().into_iter().map(grave).collect();
        let places: Vec<(String, f64)> = graves.iter().map(|grave| (grave.place.clone(), grave.gravity)).collect();
        let of_place = |place: &str| places.iter().filter(|(own, _)| own == place).map(|(_, gravity)| *gravity).fold(0.0, f64::max);
        let rank = |place: &str| places.iter().position(|(own, _)| own == place);
        graves.sort_by(|one, other| {
            let by_place = of_place(&other.place).total_cmp(&of_place(&one.place)).then(rank(&one.place).cmp(&rank(&other.place)));
            by_place.then(other.gravity.total_cmp(&one.gravity))
        });
        graves
    }

    fn known(&self) -> Vec<Known> {
        let pooled = self.thresholds.iter().map(|found| Known::of_threshold("all classes", found));
        let costs = self.costs.iter().map(|found| Known::of_cost("all classes", found));
        self.classes.iter().flat_map(of_class).chain(pooled).chain(costs).collect()
    }
}

impl ThresholdVerdict {
    /// How many times its limit the figure lies beyond it; 0 of one that is not broken.
    #[must_use]
    pub fn gravity(&self) -> f64 {
        match self.figure {
            Some(_) if self.verdict == Verdict::Broken && self.measure.word() == "safety_violations" => UNSAFE,
            Some(figure) if self.verdict == Verdict::Broken => beyond(figure, self.limit, self.unit),
            _ => 0.0,
        }
    }
}

impl CostVerdict {
    /// How many times what is allowed the mean lies beyond it; 0 of one that is not broken.
    #[must_use]
    pub fn gravity(&self) -> f64 {
        let test = &self.comparison;
        if self.verdict == Verdict::Broken { beyond(test.candidate_mean, test.allowed_mean, self.unit) } else { 0.0 }
    }
}

/// A broken threshold or comparison: how its breach begins, and what is to be said of it.
struct Known {
    place: String,
    begins: String,
    words: String,
    measure: Measure,
    gravity: f64,
}

impl Known {
    fn of_threshold(place: &str, found: &ThresholdVerdict) -> Self {
        let bound = found.threshold.strip_prefix(found.measure.word()).unwrap_or(&found.threshold).trim();
        let bounded = if found.at_least { "at least " } else { "" };
        let figure = found.figure.map_or_else(|| "unknown".to_owned(), |figure| found.unit.show_beside(figure, found.limit));
        Self {
            place: place.to_owned(),
            begins: format!("{}: found ", found.threshold),
            words: format!("{} is {bounded}{figure} where {bound} must hold (n = {})", found.measure, found.n),
            measure: found.measure,
            gravity: found.gravity(),
        }
    }

    fn of_cost(place: &str, found: &CostVerdict) -> Self {
        let [mean, allowed] = found.means();
        let baseline = found.unit.show(found.comparison.baseline_mean);
        Self {
            place: place.to_owned(),
            begins: format!("{} against the baseline: ", found.measure),
            words: format!(
                "{} is {mean} on average where {allowed} is allowed, as the baseline has {baseline} (n = {})",
                found.measure, found.comparison.n
            ),
            measure: found.measure,
            gravity: found.gravity(),
        }
    }
}

fn of_class(class: &ClassVerdict) -> Vec<Known> {
    let own = class.thresholds.iter().map(|found| Known::of_threshold(&class.class, found));
    let scenarios = class.scenarios.iter().flat_map(|own| own.thresholds.iter().map(|found| Known::of_threshold(&own.scenario, found)));
    own.chain(scenarios).chain(class.costs.iter().map(|found| Known::of_cost(&class.class, found))).collect()
}

/// How many times a limit a figure lies beyond it. A limit of next to nothing is taken for the least that people care about.
fn beyond(figure: f64, limit: f64, unit: Unit) -> f64 {
    let least = match unit {
        Unit::Seconds => 60.0,
        Unit::Ratio => 0.1,
        Unit::UserMinutes | Unit::Count | Unit::ReplicaHours | Unit::Minutes | Unit::Factor => 1.0,
    };
    (figure - limit).abs() / limit.abs().max(least)
}

#[cfg(test)]
mod tests {
    use super::super::{JudgeSettings, Threshold, judge};
    use crate::sample;

    #[test]
    fn the_reason_is_the_gravest_breach_and_not_the_first_by_name() {
        let mut cases = sample::cases();
        // The first class by name is beyond its limit too, by far less.
        cases[0].outcome.harm = 2.0;
        let harm = Threshold::parse("harm", "max < 1 user-minute").unwrap();
        let settings = JudgeSettings { thresholds: vec![harm], tail: None, ..JudgeSettings::default() };
        let judgement = judge(&cases, None, &[], &settings);
        let places: Vec<String> = judgement.gravest_first().into_iter().map(|grave| grave.place).collect();
        assert_eq!(judgement.breaches()[0].place, "calm");
        assert_eq!(places, ["retry-storm-at-night", "calm"]);
        assert!(judgement.reason().starts_with("retry-storm-at-night: harm is "), "{}", judgement.reason());
        assert!(judgement.reason().contains("where max < 1 user-min must hold (n = 1); and 1 more thing broke"), "{}", judgement.reason());
    }

    #[test]
    fn a_safety_violation_is_beyond_everything_else() {
        let mut cases = sample::cases();
        cases[0].outcome.safety_violations = vec![crate::outcome::SafetyViolation { at_seconds: 1.0, what: "acted in dry-run".into() }];
        let judgement = judge(&cases, None, &sample::incident_results(), &sample::judge_settings());
        let graves = judgement.gravest_first();
        assert_eq!((graves[0].place.as_str(), graves[0].measure.unwrap().word()), ("calm", "safety_violations"));
        assert_eq!(graves.len(), judgement.breaches().len());
        assert!(graves.iter().any(|grave| grave.place == "incident cache|flush" && grave.measure.is_none()));
    }
}
