//! Conditions that hold at all times or never, for what they compare can have no other value where the policy is played.

use firedrill_core::problem::{Place, Problem};
use firedrill_telemetry::promql::{Cause, Condition, Presence, Prospect};

use crate::policy::Policy;
use crate::problem;
use crate::rules::{Outlook, Reason};

/// Prechecks and verifications whose comparison has one outcome, and prechecks of which one holds where the other does not.
pub(super) fn values(policy: &Policy, outlooks: &[Outlook<'_>]) -> Vec<Problem> {
    let mut found = Vec::new();
    for precheck in &policy.prechecks {
        found.extend(
            decided(&precheck.condition, true, outlooks)
                .map(|reason| problem::precheck_has_no_value(&precheck.place, &policy.name, &reason.what)),
        );
        found.extend(decided(&precheck.condition, false, outlooks).map(|reason| always(&precheck.place, policy, &reason)));
    }
    for verify in policy.steps.iter().filter_map(|step| step.verify.as_ref()) {
        let reason = decided(&verify.condition, true, outlooks).or_else(|| decided(&verify.condition, false, outlooks));
        found.extend(reason.map(|reason| always(&verify.place, policy, &reason)));
    }
    for (index, later) in policy.prechecks.iter().enumerate() {
        let apart = policy.prechecks[..index].iter().find_map(|earlier| opposed(&earlier.condition, &later.condition, outlooks));
        found.extend(apart.map(|reason| problem::prechecks_oppose(&later.place, &policy.name, &reason.what)));
    }
    found
}

fn always(place: &Place, policy: &Policy, reason: &Reason) -> Problem {
    problem::condition_has_one_value(place, &policy.name, &reason.what)
}

/// Why a comparison holds for no element that it can find here, or fails for none; `None` if it may, or finds nothing.
pub(super) fn decided(condition: &Condition, holds: bool, outlooks: &[Outlook<'_>]) -> Option<Reason> {
    let compared = outlooks.iter().filter(|outlook| condition.prospect(outlook.universe()).presence != Presence::Never);
    let mut first = None;
    for outlook in compared {
        let reason = contradicted(outlook, &condition.prospect_of(holds, outlook.universe())?)?;
        first.get_or_insert(reason);
    }
    first
}

/// Why there is never a value, if it is for what values can be.
fn contradicted(outlook: &Outlook<'_>, prospect: &Prospect) -> Option<Reason> {
    let is_of_values = prospect.causes.iter().all(|cause| matches!(cause, Cause::Contradiction(_) | Cause::Certain { .. }));
    let never = prospect.presence == Presence::Never && is_of_values;
    prospect.causes.first().filter(|_| never).map(|cause| outlook.reason(cause))
}

/// Why two comparisons of the same series never hold together.
fn opposed(one: &Condition, other: &Condition, outlooks: &[Outlook<'_>]) -> Option<Reason> {
    let selectors = |condition: &Condition| format!("{:?}", condition.plan().selectors());
    let texts = [one, other].map(|condition| condition.plan().text());
    let may_be_told = one.is_comparison() && other.is_comparison() && texts.iter().all(|text| !text.contains("bool"));
    if !may_be_told || one.plan().selectors().is_empty() || selectors(one) != selectors(other) {
        return None;
    }
    let both = Condition::parse(&format!("({}) and ({})", texts[0], texts[1])).ok()?;
    let each = |outlook: &&Outlook<'_>| {
        // What one of them alone is told of is not told again.
        let may_hold = |own: &Condition| own.prospect_of(true, outlook.universe()).is_some_and(|found| found.presence != Presence::Never);
        may_hold(one) && may_hold(other)
    };
    let mut first = None;
    for outlook in outlooks.iter().filter(each) {
        let reason = contradicted(outlook, &both.plan().prospect(outlook.universe()))?;
        first.get_or_insert(reason);
    }
    first
}
