//! What a verdict leaves out, told beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_policies::policy::Policy;
use firedrill_reports::verdict::{Case, Judgement};
use firedrill_reports::words::counted;
use firedrill_telemetry::promql::Plan;

use super::TAIL_PAIRS;
use super::thresholds::Thresholds;
use crate::campaign::Campaign;
use crate::cli::GateArgs;

/// What a verdict leaves out, so that nobody reads more into it.
pub(super) fn notes(arguments: &GateArgs, judgement: &Judgement, thresholds: &Thresholds) -> Vec<String> {
    let mut notes = Vec::new();
    if !thresholds.ours.is_empty() {
        let written = thresholds.ours.join(", ");
        notes.push(format!(
            "the project names no thresholds, so these were judged: write `thresholds: {{ {written} }}` to keep or change them"
        ));
    }
    if !arguments.scenarios.is_empty() {
        let judged = |asked: &String| judgement.thresholds.iter().any(|found| found.threshold == *asked);
        let asked = thresholds.all.iter().map(ToString::to_string);
        let untested: Vec<String> = asked.filter(|asked| !judged(asked)).collect();
        let untested = if untested.is_empty() { String::new() } else { format!("; not tested there: {}", untested.join(", ")) };
        let all = "whether each policy acts somewhere is judged over all that the project rehearses";
        notes.push(format!("narrowed to {}: {all}{untested}", arguments.scenarios.join(", ")));
    }
    if judgement.pairs.is_some() && judgement.classes.iter().all(|class| class.tail.is_none()) {
        notes.push(format!("rare catastrophes were not tested against the baseline: that takes `--pairs {TAIL_PAIRS}`"));
    }
    notes
}

/// The judgement with a reason for each policy that never acted, where others were on duty beside it and runs as such say none.
pub(super) fn with_reasons(mut judgement: Judgement, cases: &[Case]) -> Judgement {
    for idle in judgement.idle.iter_mut().filter(|idle| !idle.reason.contains(": ")) {
        let parts: BTreeSet<String> =
            cases.iter().filter_map(|case| case.outcome.reached.parts.get(&idle.policy)).flatten().map(ToString::to_string).collect();
        let parts: Vec<String> = parts.into_iter().collect();
        idle.reason += &match parts.len() {
            0 => ": nothing that it answers came to it in any of them".to_owned(),
            _ => format!(": it came no further than {}", some_of(&parts)),
        };
    }
    judgement
}

/// How many names of rules a note lists.
const SHOWN: usize = 5;

/// The first of many names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// That rules cannot fire in anything that was rehearsed or replayed, so that the verdict says nothing of them.
pub(super) fn untested(unable: &[String], rules: usize) -> Option<String> {
    let named = some_of(unable);
    let told = format!("{} of {rules} rules cannot fire in what is rehearsed here, so nothing was learnt of them: {named}", unable.len());
    (!unable.is_empty()).then(|| format!("{told}; `firedrill check` says why"))
}

/// That what is judged goes by the calendar, and everything rehearsed begins at one moment of it: variants begin there, too.
pub(super) fn calendar(campaign: &Campaign, policies: &[Arc<Policy>]) -> Option<String> {
    let starts: BTreeSet<String> = campaign.scenarios.iter().map(|(scenario, _)| scenario.spec.start.to_string()).collect();
    let [start] = &starts.into_iter().collect::<Vec<_>>()[..] else { return None };
    let is_dated = |policy: &&Arc<Policy>| !policy.guards.freezes.is_empty() || policy.plans().any(Plan::reads_calendar);
    let policies = policies.iter().filter(is_dated).map(|policy| format!("policy {}", policy.name));
    let rules = campaign.scenarios.iter().flat_map(|(_, rules)| rules.set.rules());
    let rules: BTreeSet<&Name> =
        rules.filter(|(_, rule)| rule.plan.as_ref().is_ok_and(Plan::reads_calendar)).map(|(_, rule)| &rule.name).collect();
    let named: Vec<String> = policies.chain(rules.iter().map(|rule| format!("rule {rule}"))).collect();
    let told = format!("other dates and times of day were not tested: all that is rehearsed begins at {start} (`start:`)");
    (!named.is_empty()).then(|| format!("{told}, and these go by the calendar: {}", some_of(&named)))
}

/// That rules failed when they were evaluated, so that the verdict says nothing of them.
pub(super) fn failed(cases: &[Case]) -> Option<String> {
    let failed: BTreeMap<&Name, &String> = cases.iter().flat_map(|case| &case.outcome.failed_rules).collect();
    let named: Vec<String> = failed.iter().map(|(rule, why)| format!("{rule} ({why})")).collect();
    let told =
        format!("{} could not be evaluated in what is rehearsed here, so nothing was learnt of it", counted(failed.len() as u64, "rule"));
    (!failed.is_empty()).then(|| format!("{told}: {}", some_of(&named)))
}

/// That alerts could fire and did in no run, so that the verdict says nothing of them either.
pub(super) fn quiet(campaign: &Campaign, cases: &[Case], unable: &[String]) -> Option<String> {
    let rules = campaign.scenarios.iter().flat_map(|(_, rules)| &rules.set.groups).flat_map(|group| &group.rules);
    let alerts: BTreeSet<&Name> = rules.filter(|rule| rule.is_alerting()).map(|rule| &rule.name).collect();
    let heard = |alert: &Name| cases.iter().any(|case| case.outcome.fired.contains(alert) || case.outcome.failed_rules.contains_key(alert));
    let is_unable = |alert: &Name| unable.iter().any(|name| name == alert.as_str());
    let quiet: Vec<String> = alerts.iter().filter(|alert| !heard(alert) && !is_unable(alert)).map(ToString::to_string).collect();
    let told = format!("{} of {} alerts can fire and did in no simulated run: {}", quiet.len(), alerts.len(), some_of(&quiet));
    (!quiet.is_empty()).then(|| format!("{told}; rehearse what they are for, or `firedrill check --fire` says how near they came"))
}
