//! Guards that never act or always refuse, for what they ask, and limits that another one beside them leaves without a meaning.

use std::collections::BTreeMap;

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_telemetry::promql::{Condition, Formula};

use super::Written;
use super::formulas::finds_nothing;
use super::values::decided;
use crate::guard::confidence::Source;
use crate::guard::{Fact, Guard};
use crate::policy::Policy;
use crate::problem;
use crate::rules::Outlook;

/// What a policy's own guards ask of telemetry that says the same at all times, or of what nothing shows.
pub(super) fn asked(written: &Written<'_>, policy: &Policy, outlooks: &[Outlook<'_>]) -> Vec<Problem> {
    // What the project asks for is told where that stands.
    let facts = policy.guards.facts().filter(|fact| !matches!(fact, Fact::Halted(_)));
    let conditions: Vec<&Condition> = facts.filter_map(|fact| policy.guards.condition(fact)).collect();
    let one_value = conditions.into_iter().filter_map(|condition| {
        let reason = decided(condition, true, outlooks).or_else(|| decided(condition, false, outlooks))?;
        Some(written.placed(problem::guard_has_one_value(written.path, &policy.name, &reason.what), condition.plan().text()))
    });
    let mut found: Vec<Problem> = one_value.collect();
    found.extend(numbers(policy).filter_map(|(what, formula)| finds_nothing(written, (policy, what), formula, outlooks)));
    found
}

/// The numbers that guards go by.
fn numbers(policy: &Policy) -> impl Iterator<Item = (&'static str, &Formula)> {
    let claimed = policy.guards.confidence.as_ref().and_then(|confidence| match &confidence.source {
        Source::Claimed(formula) => Some(&**formula),
        Source::Measured => None,
    });
    let harm = policy.guards.formula(Fact::Objective).map(|formula| ("harm", formula));
    let busy = policy.guards.formula(Fact::Busy).map(|formula| ("headroom", formula));
    claimed.map(|formula| ("confidence", formula)).into_iter().chain(harm).chain(busy)
}

/// Services that must fail together, of which there are not so many.
pub(super) fn too_many_services(policy: &Policy, inventory: &Inventory) -> Option<Problem> {
    let correlated = policy.guards.correlated_failure?;
    let (services, declared) = (correlated.services?, inventory.services.len() as u64);
    let never = declared > 0 && services > declared && correlated.share.is_none();
    never.then(|| {
        problem::keeps_nothing_back(
            policy.places.guard(Guard::CorrelatedFailure),
            &policy.name,
            &format!("`correlated_failure` of {services} services"),
        )
    })
}

/// A quorum that is more people than can answer in any scenario where somebody is asked; `people` says of each how many there are of each role.
pub(super) fn too_few_people(policy: &Policy, people: &[BTreeMap<Name, u64>]) -> Option<Problem> {
    let approval = policy.guards.approval.as_ref()?;
    let who_may = |roles: &BTreeMap<Name, u64>| approval.from.iter().filter_map(|role| roles.get(role)).sum::<u64>();
    let most = people.iter().filter(|roles| !roles.is_empty()).map(who_may).max()?;
    let too_few = most < u64::from(approval.quorum);
    too_few.then(|| problem::quorum_of_nobody(policy.places.guard(Guard::Approval), &policy.name, (approval.quorum, most)))
}

/// Limits that can never be the ones that count, and freezes that leave no time.
pub(super) fn idle(policy: &Policy) -> Vec<Problem> {
    let (guards, place) = (&policy.guards, |guard: Guard| policy.places.guard(guard));
    let mut found = Vec::new();
    for (index, lax) in guards.rate_limits.iter().enumerate() {
        let tighter = guards.rate_limits.iter().enumerate().find(|(other, strict)| {
            let is_tighter = strict.max <= lax.max && strict.window >= lax.window && strict.scope == lax.scope;
            // Of two that are the same the first counts; one that calls people sooner is another limit.
            *other != index && is_tighter && strict.patience == lax.patience && (strict != &lax || *other < index)
        });
        if let Some((_, strict)) = tighter {
            let told = |max: u32, window| format!("{max} starts within {window} by {}", lax.scope.word());
            let (what, by) = (format!("the limit of {}", told(lax.max, lax.window)), told(strict.max, strict.window));
            found.push(problem::limit_without_meaning(
                place(Guard::RateLimit),
                &policy.name,
                (&what, &format!("that of {by} is reached before")),
            ));
        }
    }
    if let Some(cooldown) = guards.cooldown.filter(|cooldown| cooldown.same_policy < cooldown.any_policy) {
        let what = format!("`same_policy: {}`", cooldown.same_policy);
        let why = format!("a target rests for {} after any policy, and this one is one", cooldown.any_policy);
        found.push(problem::limit_without_meaning(place(Guard::Cooldown), &policy.name, (&what, &why)));
    }
    let endless = guards.freezes.iter().find(|freeze| freeze.leaves_no_time());
    found.extend(endless.map(|freeze| problem::freezes_always(place(Guard::Freeze), &policy.name, &freeze.written().from)));
    found
}
