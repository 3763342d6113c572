//! What broke, the gravest first: by how far beyond its limit each figure lies.

use super::measure::{Measure, Unit};
use super::{Breach, CostVerdict, IncidentResult, Judgement, RunName, TailVerdict, ThresholdVerdict, Verdict};

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
        let mut graves = self.graves();
        let places: Vec<(String, f64)> = graves.iter().map(|grave| (grave.place.clone(), grave.gravity)).collect();
        let of_place = |place: &str| places.iter().filter(|(own, _)| own == place).map(|(_, gravity)| *gravity).fold(0.0, f64::max);
        let rank = |place: &str| places.iter().position(|(own, _)| own == place);
        graves.sort_by(|one, other| {
            let by_place = of_place(&other.place).total_cmp(&of_place(&one.place)).then(rank(&one.place).cmp(&rank(&other.place)));
            by_place.then(other.gravity.total_cmp(&one.gravity))
        });
        graves
    }
}

impl Grave {
    pub(super) fn of_threshold(place: &str, found: &ThresholdVerdict) -> Self {
        let bound = found.threshold.strip_prefix(found.measure.word()).unwrap_or(&found.threshold).trim();
        let bounded = if found.at_least { "at least " } else { "" };
        let figure = found.figure.map_or_else(|| "unknown".to_owned(), |figure| found.unit.show_beside(figure, found.limit));
        let words = format!("{} is {bounded}{figure} where {bound} must hold (n = {})", found.measure, found.n);
        let breach = breach(place, format!("{}: found {}", found.threshold, found.figures()), found.worst.as_ref());
        Self { place: place.to_owned(), words, measure: Some(found.measure), breach, gravity: found.gravity() }
    }

    pub(super) fn of_cost(place: &str, found: &CostVerdict) -> Self {
        let ([mean, allowed], measure, n) = (found.means(), found.measure, found.comparison.n);
        let baseline = found.unit.show(found.comparison.baseline_mean);
        let words = format!("{measure} is {mean} on average where {allowed} is allowed, as the baseline has {baseline} (n = {n})");
        let what = format!("{measure} against the baseline: mean {mean} where {allowed} is allowed (baseline {baseline}, n = {n})");
        let breach = breach(place, what, found.worst.as_ref());
        Self { place: place.to_owned(), words, measure: Some(measure), breach, gravity: found.gravity() }
    }

    pub(super) fn of_tail(place: &str, found: &TailVerdict) -> Self {
        let what = format!("catastrophic in {} of {} runs where the baseline was not", found.result.catastrophes, found.result.pairs);
        let breach = breach(place, what.clone(), found.worst.as_ref());
        Self { place: place.to_owned(), words: what, measure: None, breach, gravity: CATASTROPHE }
    }

    pub(super) fn of_incident(incident: &IncidentResult) -> Self {
        let (place, what) = (format!("incident {}", incident.incident), incident.findings.join("; "));
        let breach = Breach { place: place.clone(), what: what.clone(), run: None, command: Some(incident.command.clone()) };
        Self { place, words: what, measure: None, breach, gravity: FAILED }
    }
}

fn breach(place: &str, what: String, worst: Option<&RunName>) -> Breach {
    Breach { place: place.to_owned(), what, command: worst.map(|run| run.command.clone()), run: worst.cloned() }
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
