//! What must hold of any variant, whatever goes wrong in it: what policies did, and what somebody could have kept.

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, GuardVerdict};
use firedrill_core::name::Name;
use firedrill_core::transcript::Transcript;
use firedrill_reports::outcome::{ArmOutcome, Elapsed, IncidentOutcome, Outcome};
use firedrill_reports::verdict::{Aggregate, Measure, Threshold, Unit};

/// What policies do themselves, so that it counts in every variant.
const DEEDS: [&str; 22] = [
    "harm",
    "data_harm",
    "requests_harmed",
    "actions",
    "false_positives",
    "wrong_target",
    "duplicate",
    "false_positive_rate",
    "noop_false_positives",
    "blast_radius.services",
    "blast_radius.replicas",
    "blast_radius.requests",
    "blast_radius.commanded_service",
    "blast_radius.commanded_zone",
    "blast_radius.commanded_fleet",
    "capacity_removed",
    "capacity_added",
    "flapping",
    "fights",
    "amplification",
    "pages",
    "safety_violations",
];
/// What depends on the fault as well, so that it counts only where the oracle keeps it.
const CURED: [&str; 3] = ["time_to_mitigate", "time_to_recover", "user_minutes_lost"];
/// Counts where the policies took the incident up.
const MISSED: &str = "missed";
/// An incident of which nobody was told must have lasted so long: a shorter one may end by itself before anybody could come.
const LONG_SECONDS: f64 = 1200.0;
/// Held of a project that names no threshold.
const DEFAULTS: [(&str, &str); 3] = [("harm", "max < 1 user-minutes"), ("noop_false_positives", "max == 0"), (MISSED, "max == 0")];
const SAFETY: (&str, &str) = ("safety_violations", "total == 0");

/// The thresholds that count in variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Demands {
    /// The thresholds.
    pub thresholds: Vec<Threshold>,
    /// What policies may cost users beyond the threshold on harm: a share of what users lose if nobody acts, 0 to 1.
    pub tolerance: f64,
}

/// A demand that a run did not keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    /// The measure.
    pub measure: Measure,
    /// The threshold as people read it.
    pub threshold: String,
    /// The limit, in the measure's unit.
    pub limit: f64,
    /// What was found, in the measure's unit.
    pub figure: f64,
    /// The policy that it is put down to; `None` if no policy was on duty.
    pub policy: Option<Name>,
    /// The first guard that refused that policy anything; `None` if none did.
    pub guard: Option<Name>,
}

impl Breach {
    /// What makes two breaches the same failure.
    #[must_use]
    pub fn signature(&self) -> (&'static str, Option<&Name>, Option<&Name>) {
        (self.measure.word(), self.policy.as_ref(), self.guard.as_ref())
    }

    /// The figure as people read it beside the limit.
    #[must_use]
    pub fn shown(&self) -> String {
        self.measure.unit().show_beside(self.figure, self.limit)
    }
}

impl Demands {
    /// Those of some thresholds that speak of every single run and of what a variant can show. No safety violation is always one of them.
    #[must_use]
    pub fn of(thresholds: &[Threshold], tolerance: f64) -> Self {
        let ours = |(measure, bound)| Threshold::parse(measure, bound).expect("a threshold of ours is well formed");
        let given = if thresholds.is_empty() { DEFAULTS.map(ours).to_vec() } else { thresholds.to_vec() };
        let mut thresholds: Vec<Threshold> = given.into_iter().filter(counts).collect();
        if !thresholds.iter().any(|threshold| threshold.measure.word() == SAFETY.0) {
            thresholds.push(ours(SAFETY));
        }
        Self { thresholds, tolerance }
    }

    /// Whether the oracle's arm is needed.
    #[must_use]
    pub fn need_oracle(&self) -> bool {
        self.thresholds.iter().any(|threshold| CURED.contains(&threshold.measure.word()))
    }

    /// What a run did not keep, in the order of the thresholds; `refused` is the first guard that refused each policy anything.
    #[must_use]
    pub fn broken(&self, outcome: &Outcome, refused: &BTreeMap<Name, Name>) -> Vec<Breach> {
        self.thresholds.iter().filter_map(|threshold| self.breach(threshold, outcome, refused)).collect()
    }

    /// The figure of a run; `None` if it does not count there.
    #[must_use]
    pub fn figure(&self, threshold: &Threshold, outcome: &Outcome) -> Option<f64> {
        let word = threshold.measure.word();
        if word == MISSED && !took_up_and_left(outcome) || CURED.contains(&word) && !oracle_keeps(threshold, outcome) {
            return None;
        }
        threshold.measure.figure(outcome).map(|sample| sample.value)
    }

    fn breach(&self, threshold: &Threshold, outcome: &Outcome, refused: &BTreeMap<Name, Name>) -> Option<Breach> {
        let figure = self.figure(threshold, outcome)?;
        let word = threshold.measure.word();
        let tolerated = if word == "harm" { self.tolerance * outcome.nothing.user_minutes_lost } else { 0.0 };
        // Only of harm something is tolerated, and harm that is, is none.
        let counted = if tolerated > 0.0 { (figure - tolerated).max(0.0) } else { figure };
        if threshold.allows(counted) {
            return None;
        }
        let to_blame = to_blame(word, outcome);
        let guard = to_blame.as_ref().and_then(|policy| refused.get(policy)).cloned();
        let (limit, shown) = (threshold.limit, threshold.to_string());
        Some(Breach { measure: threshold.measure, threshold: shown, limit, figure, policy: to_blame, guard })
    }
}

/// The first guard that refused each policy anything in a run.
#[must_use]
pub fn first_refusals(run: &Transcript) -> BTreeMap<Name, Name> {
    let mut first = BTreeMap::new();
    for record in run.journal.records() {
        if let Event::Guarded { policy, guard, verdict: GuardVerdict::Refused, .. } = &record.event {
            first.entry(policy.clone()).or_insert_with(|| guard.clone());
        }
    }
    first
}

/// Whether a threshold speaks of every single run, and of what a variant can show.
fn counts(threshold: &Threshold) -> bool {
    let is_absolute = matches!(threshold.aggregate, Aggregate::Max | Aggregate::Min | Aggregate::Total | Aggregate::Pooled);
    let word = threshold.measure.word();
    is_absolute && (DEEDS.contains(&word) || CURED.contains(&word) || word == MISSED)
}

/// Whether there is an incident that users felt, in which the policies acted, of which they told nobody, and that had not ended by itself long after
/// either. A fault that they left alone is none of theirs: it may be of a kind that nobody wrote a policy for.
fn took_up_and_left(outcome: &Outcome) -> bool {
    let lasts = |elapsed: Elapsed| elapsed.censored && elapsed.seconds >= LONG_SECONDS;
    let left = |incident: &IncidentOutcome| incident.felt && incident.pages == 0 && incident.actions > 0 && lasts(incident.time_to_recover);
    outcome.missed > 0 && outcome.policy.incidents.iter().any(left)
}

/// Whether the right cure at onset would have kept a threshold. What nobody can keep is held against nobody.
fn oracle_keeps(threshold: &Threshold, outcome: &Outcome) -> bool {
    let Some(oracle) = &outcome.oracle else { return false };
    let time = |elapsed: Option<Elapsed>| elapsed.is_none_or(|elapsed| !elapsed.censored && threshold.allows(elapsed.seconds));
    let of = |arm: &ArmOutcome| match threshold.measure.unit() {
        Unit::UserMinutes => threshold.allows(arm.user_minutes_lost),
        _ if threshold.measure.word() == "time_to_mitigate" => time(arm.time_to_mitigate),
        _ => time(arm.time_to_recover),
    };
    of(oracle)
}

/// The policy that a breach is put down to: of mistaken actions the first one's, and else the one that acted most.
fn to_blame(word: &str, outcome: &Outcome) -> Option<Name> {
    let is_mistake = ["false_positives", "wrong_target", "false_positive_rate"].contains(&word);
    let mistaken = outcome.deeds.iter().find(|deed| deed.false_positive).filter(|_| is_mistake);
    if let Some(deed) = mistaken {
        return Some(deed.action.policy.clone());
    }
    let acted = |policy: &&Name| outcome.deeds.iter().filter(|deed| deed.action.policy == **policy).count();
    // Of equals the first.
    outcome.policies.iter().rev().max_by_key(acted).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(measure: &str, bound: &str) -> Threshold {
        Threshold::parse(measure, bound).unwrap()
    }

    #[test]
    fn only_what_speaks_of_every_run_counts() {
        let given = [
            threshold("harm", "max < 5 user-minutes"),
            threshold("harm", "mean < 1 user-minutes"),
            threshold("time_to_recover", "p90 < 5m"),
            threshold("time_to_recover", "max < 15m"),
            threshold("benefit", "min >= 0 user-minutes"),
            threshold("false_positive_rate", "< 2%"),
            threshold("false_alarms", "total == 0"),
        ];
        let demands = Demands::of(&given, 0.05);
        let told: Vec<String> = demands.thresholds.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["harm max < 5 user-min", "time_to_recover max < 15m", "false_positive_rate pooled < 2 %", "safety_violations total == 0"]
        );
        assert!(demands.need_oracle() && !Demands::of(&given[..1], 0.05).need_oracle());
    }

    #[test]
    fn a_project_without_thresholds_gets_ours_and_every_word_of_ours_is_a_measure() {
        let told: Vec<String> = Demands::of(&[], 0.0).thresholds.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["harm max < 1 user-min", "noop_false_positives max == 0", "missed max == 0", "safety_violations total == 0"]);
        for word in DEEDS.iter().chain(&CURED) {
            assert!(Measure::named(word).is_some(), "{word}");
        }
    }
}
