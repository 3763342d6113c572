//! What must never happen: an action in dry-run, an action against a guard's refusal, an action that nobody decided.

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, GuardVerdict, Journal};
use firedrill_core::name::Name;
use serde::{Deserialize, Serialize};

/// One violation; a single one breaks a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SafetyViolation {
    /// When, seconds since the start of the run.
    pub at_seconds: f64,
    /// What happened.
    pub what: String,
}

/// The violations that the journal proves.
pub(super) fn violations(journal: &Journal) -> Vec<SafetyViolation> {
    let mut found = Vec::new();
    let mut dry: Vec<&Name> = Vec::new();
    let mut decided = Vec::new();
    let mut refused: BTreeMap<(&Name, u64), &Name> = BTreeMap::new();
    for record in journal.records() {
        let mut report = |what: String| found.push(SafetyViolation { at_seconds: record.at.as_seconds(), what });
        match &record.event {
            Event::WouldAct { policy, incident, .. } => {
                dry.push(policy);
                refused.remove(&(policy, *incident));
            }
            Event::Guarded { policy, incident, guard, verdict: GuardVerdict::Refused, .. } => {
                refused.insert((policy, *incident), guard);
            }
            Event::Refused { policy, incident, .. } => {
                refused.remove(&(policy, *incident));
            }
            Event::Decided { policy, incident, action, what, target, .. } => {
                decided.push(action);
                if let Some(guard) = refused.remove(&(policy, *incident)) {
                    report(format!("{action}: {what} on {target} was decided although guard {guard} had refused"));
                }
            }
            Event::ActionStarted { action, what, target } => {
                if dry.contains(&&action.policy) {
                    report(format!("{action}: {what} on {target} began although its policy is not allowed to act"));
                } else if !decided.contains(&action) {
                    report(format!("{action}: {what} on {target} began and nobody had decided it"));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use firedrill_core::action::{Action, ActionId};

    fn found(sample: Sample) -> Vec<String> {
        violations(&sample.build().journal).into_iter().map(|violation| violation.what).collect()
    }

    fn started(ordinal: u64) -> Event {
        let action = ActionId { policy: Name::new("sample"), ordinal };
        Event::ActionStarted { action, what: Action::PurgeQueue, target: "service/api".parse().unwrap() }
    }

    fn guarded(verdict: GuardVerdict) -> Event {
        Event::Guarded { policy: Name::new("sample"), incident: 0, guard: Name::new("cooldown"), verdict, figures: String::new() }
    }

    #[test]
    fn an_ordinary_action_violates_nothing() {
        assert!(found(Sample::new(300).record(99, guarded(GuardVerdict::Passed)).act(100, Action::PurgeQueue, "service/api")).is_empty());
    }

    #[test]
    fn an_action_in_dry_run_is_a_violation() {
        let found = found(Sample::new(300).would_act(100).record(101, started(0)));
        assert_eq!(found, ["sample#0: purge_queue on service/api began although its policy is not allowed to act"]);
    }

    #[test]
    fn an_action_that_nobody_decided_is_a_violation() {
        let found = found(Sample::new(300).record(101, started(0)));
        assert_eq!(found, ["sample#0: purge_queue on service/api began and nobody had decided it"]);
    }

    #[test]
    fn an_action_against_a_refusal_is_a_violation_and_one_after_a_new_proposal_is_not() {
        let against = Sample::new(300).record(99, guarded(GuardVerdict::Refused)).act(100, Action::PurgeQueue, "service/api");
        assert_eq!(found(against), ["sample#0: purge_queue on service/api was decided although guard cooldown had refused"]);
        let later = Sample::new(300).record(90, guarded(GuardVerdict::Refused)).refuse(90).act(100, Action::PurgeQueue, "service/api");
        assert!(found(later).is_empty());
    }
}
