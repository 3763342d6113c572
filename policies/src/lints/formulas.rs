//! Numbers that a policy weighs by, targets that it lists, and values that it shows to people: what they can find where it is played.

use firedrill_core::problem::Problem;
use firedrill_telemetry::promql::{Formula, Presence};

use super::Written;
use crate::policy::{Each, NameSource, Policy};
use crate::problem;
use crate::rules::Outlook;

/// What of the policy finds nothing in any scenario, and lists that have no label to name targets by.
pub(super) fn formulas(written: &Written<'_>, policy: &Policy, outlooks: &[Outlook<'_>]) -> Vec<Problem> {
    let steps = 0..policy.steps.len();
    let scores = steps.clone().flat_map(|step| policy.candidates(step)).filter_map(|candidate| candidate.score.formula());
    let mut found: Vec<Problem> = scores.filter_map(|score| finds_nothing(written, (policy, "score"), score, outlooks)).collect();
    for staged in steps.filter_map(|step| policy.staged(step)) {
        let Each::Series(listed) = &staged.from else { continue };
        let nothing = finds_nothing(written, (policy, "list of targets"), listed, outlooks);
        found.extend(nothing.or_else(|| match &staged.each.name {
            NameSource::Label(label) => names_nothing(written, (policy, label), listed, outlooks),
            NameSource::Literal(_) => None,
        }));
    }
    let shown = policy.evidence.iter().filter_map(|shown| finds_nothing(written, (policy, "evidence"), &shown.formula, outlooks));
    found.extend(shown);
    found
}

/// An expression that yields nothing in any of the scenarios.
pub(super) fn finds_nothing(
    written: &Written<'_>,
    (policy, what): (&Policy, &str),
    formula: &Formula,
    outlooks: &[Outlook<'_>],
) -> Option<Problem> {
    let prospects: Vec<_> = outlooks.iter().map(|outlook| (outlook, formula.plan().prospect(outlook.universe()))).collect();
    if prospects.is_empty() || prospects.iter().any(|(_, prospect)| prospect.presence != Presence::Never) {
        return None;
    }
    let reason = prospects.iter().flat_map(|(outlook, prospect)| prospect.causes.iter().map(|cause| outlook.reason(cause))).min()?;
    let told = problem::formula_finds_nothing(written.path, (what, &policy.name), (&reason.what, &reason.remedy));
    Some(written.placed(told, formula.plan().text()))
}

/// An expression that finds something, and nothing with the label that names targets.
fn names_nothing(written: &Written<'_>, (policy, label): (&Policy, &str), formula: &Formula, outlooks: &[Outlook<'_>]) -> Option<Problem> {
    let shapes: Vec<_> = outlooks.iter().flat_map(|outlook| formula.plan().prospect(outlook.universe()).shapes).collect();
    if shapes.is_empty() || shapes.iter().any(|shape| shape.held(label).is_some()) {
        return None;
    }
    let mut carried: Vec<&str> = shapes.iter().flat_map(|shape| shape.names()).map(|name| &**name).collect();
    carried.sort_unstable();
    carried.dedup();
    Some(written.placed(problem::list_names_nothing(written.path, &policy.name, (label, &carried)), formula.plan().text()))
}
