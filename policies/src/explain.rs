//! A policy in prose, for reviewers who do not read YAML; and what `check` finds in policies that read well.

use std::fmt::Write as _;
use std::sync::Arc;

use firedrill_core::action::{Action, RestartMode, Scale, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::{Problem, near_miss};
use firedrill_telemetry::labels::Matcher;

use crate::controller::{REOPEN_AFTER, RETRY_AFTER, VERIFY_PERIOD};
use crate::guard::caps::{self, CapOf, Part};
use crate::guard::dedup::Remediations;
use crate::guard::{Proposal, Scope, owner_of};
use crate::policy::{Deed, NameSource, OnFailure, Policy, Step, TargetKind, TargetSource};
use crate::problem;
use crate::rules::RuleSet;

/// The policy as a runbook; ends with a newline.
#[must_use]
pub fn policy(policy: &Policy) -> String {
    let mut text = format!("{} (owner: {})\n", policy.name, policy.owner);
    if !policy.description.is_empty() {
        text.push('\n');
        for line in policy.description.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    push(&mut text, &format!("\nWhen {}{} fires, for {}:\n", listed(&policy.alerts, "or"), matching(policy), aimed(&policy.target)));
    prechecks(&mut text, policy);
    text.push('\n');
    for (index, step) in policy.steps.iter().enumerate() {
        push(&mut text, &format!("{}. {}\n", index + 1, deed(policy, step)));
        outcome(&mut text, policy, index, step);
    }
    let escalation = policy.escalation(0);
    if let Some(after) = policy.escalate_after {
        push(&mut text, &format!("\nIf it is not resolved after {after}, call {}, whatever the steps are doing.\n", escalation.to));
    }
    limits(&mut text, policy);
    text
}

fn push(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes everything");
}

fn listed(names: &[Name], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.to_string(),
        [all @ .., last] => format!("{} {word} {last}", all.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")),
    }
}

fn matching(policy: &Policy) -> String {
    let matchers: Vec<String> = policy.matchers.iter().map(Matcher::to_string).collect();
    if matchers.is_empty() { String::new() } else { format!(" with {}", matchers.join(", ")) }
}

fn aimed(target: &TargetSource) -> String {
    match &target.name {
        NameSource::Literal(name) => format!("the {} {name}", target.kind.word()),
        NameSource::Label(label) => format!("the {} that the alert's label `{label}` names", target.kind.word()),
    }
}

fn prechecks(text: &mut String, policy: &Policy) {
    if policy.prechecks.is_empty() {
        return push(text, "\nNothing is checked before an action but the limits below.\n");
    }
    push(text, "\nBefore each action, check that\n");
    for precheck in &policy.prechecks {
        push(text, &format!("  - {}\n    because {}\n", flat(precheck.condition.plan().text()), precheck.because));
    }
    push(text, "Without data nothing is done.\n");
}

/// An expression on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn deed(policy: &Policy, step: &Step) -> String {
    let action = match &step.deed {
        Deed::Wait(span) => return format!("Wait for {span}."),
        Deed::Escalate(escalation) if escalation.with.is_empty() => return format!("Call {}.", escalation.to),
        Deed::Escalate(escalation) => return format!("Call {}, with {}.", escalation.to, listed(&escalation.with, "and")),
        Deed::Act(action) => action,
    };
    let target = step.target.as_ref().unwrap_or(&policy.target);
    let whom = match (&step.target, &target.name) {
        (None, _) => format!("the {}", target.kind.word()),
        (Some(own), _) => aimed(own),
    };
    match action {
        Action::Restart { mode: RestartMode::Rolling } if target.kind == TargetKind::Replica => format!("Restart {whom}."),
        Action::Restart { mode: RestartMode::Rolling } => format!("Restart {whom}, one replica after the other."),
        Action::Restart { mode: RestartMode::AtOnce } => format!("Restart {whom} at once."),
        Action::Scale { replicas: Scale::To(count) } => format!("Give {whom} {count} replicas."),
        Action::Scale { replicas: Scale::By(count) } if *count < 0 => format!("Take {} replicas from {whom}.", count.unsigned_abs()),
        Action::Scale { replicas: Scale::By(count) } => format!("Give {whom} {count} replicas more."),
        Action::Scale { replicas: Scale::Times(factor) } => format!("Give {whom} {} times its declared replicas.", factor.get()),
        Action::Rollback => format!("Roll {whom} back to the version before the last deploy."),
        Action::Drain => format!("Drain {whom}: it gets no more requests, and others take its place."),
        Action::PurgeQueue => format!("Throw away all requests that wait at {whom}."),
        Action::LimitRetries { retries, lasting } => format!("Allow whoever calls {whom} {retries} retries a request for {lasting}."),
        Action::Wait { span } => format!("Wait for {span}."),
    }
}

/// What follows a step.
fn outcome(text: &mut String, policy: &Policy, index: usize, step: &Step) {
    if matches!(step.deed, Deed::Escalate(_)) {
        return;
    }
    let is_last = index + 1 == policy.steps.len();
    match &step.verify {
        Some(verify) => {
            let hold = if verify.hold.as_nanos() == 0 { "holds once".to_owned() } else { format!("holds for {}", verify.hold) };
            let condition = flat(verify.condition.plan().text());
            push(
                text,
                &format!(
                    "   It has worked if\n     {condition}\n   {hold} within {}, looked at every {VERIFY_PERIOD}. Then the policy is done.\n",
                    verify.within
                ),
            );
        }
        None if is_last => push(text, "   Nobody looks whether it helped. Then the policy is done.\n"),
        None => push(text, "   Then go on.\n"),
    }
    if matches!(step.deed, Deed::Wait(_)) && step.verify.is_none() {
        return;
    }
    let to = policy.escalation(index).to;
    match step.on_failure {
        OnFailure::Next => push(text, "   If it fails: go on.\n"),
        OnFailure::Revert => push(text, &format!("   If it fails: undo it, and call {to}.\n")),
        OnFailure::Escalate => push(text, &format!("   If it fails: call {to}.\n")),
    }
}

fn limits(text: &mut String, policy: &Policy) {
    push(text, "\nLimits\n");
    push(text, "  - one remediation at a time for each service\n");
    let guards = &policy.guards;
    if let Some(cooldown) = guards.cooldown {
        let any = if cooldown.any_policy > cooldown.same_policy || cooldown.any_policy.as_nanos() == 0 {
            String::new()
        } else {
            format!(", and {} after one of another policy", cooldown.any_policy)
        };
        push(text, &format!("  - a target rests for {} after an action of this policy{any}\n", cooldown.same_policy));
    }
    for limit in &guards.rate_limits {
        let over = match limit.scope {
            Scope::All => "altogether".to_owned(),
            scope => format!("for each {}", scope.word()),
        };
        push(text, &format!("  - at most {} actions within {}, {over}\n", limit.max, limit.window));
    }
    for cap in &guards.caps {
        let place = match cap.scope {
            Scope::All | Scope::Target => "everything".to_owned(),
            scope => format!("a {}", scope.word()),
        };
        push(text, &format!("  - touched at a time, by all policies: {}\n", cap.describe(&place)));
    }
    let takes = policy.actions().any(|(action, _)| caps::may_take_replicas(action));
    if takes && guards.caps.iter().all(|cap| cap.of != CapOf::Replicas) {
        push(text, "  - nothing limits how many replicas are touched at a time\n");
    }
    push(text, &format!("  - stage: at most {}\n", policy.stage.word()));
    let reopening = guards.cooldown.map_or(REOPEN_AFTER, |cooldown| REOPEN_AFTER.max(cooldown.same_policy));
    push(text, &format!("\nA refused first action is proposed again after {RETRY_AFTER}, or when its limit allows. "));
    push(text, &format!("If the alert still fires {reopening} after the policy was done, it begins anew.\n"));
}

/// What is likely not meant in a policy that reads well, as warnings. `path` is its file; an empty inventory leaves caps unchecked.
#[must_use]
pub fn lints(path: &str, policy: &Policy, rules: &RuleSet, inventory: &Inventory) -> Vec<Problem> {
    let mut found = Vec::new();
    for alert in &policy.alerts {
        found.extend(alert_lint(path, policy, alert, rules));
    }
    let acts = policy.actions().next().is_some();
    if acts && policy.steps.iter().all(|step| step.verify.is_none()) {
        found.push(problem::nothing_verified(path, &policy.name));
    }
    let never: Vec<_> = inventory.services.keys().filter_map(|service| never_acts(policy, service, inventory)).collect();
    if let Some((_, action, figures)) = never.first() {
        let services: Vec<&str> = never.iter().map(|(service, _, _)| service.as_str()).collect();
        found.push(problem::can_never_act(path, &policy.name, &services, (action, figures)));
    }
    let all: Vec<&str> = inventory.services.keys().filter(|service| takes_all(policy, service, inventory)).map(Name::as_str).collect();
    if !all.is_empty() {
        found.push(problem::can_act_on_all(path, &policy.name, &all));
    }
    found
}

/// Policies that have one name, as errors.
#[must_use]
pub fn twins(policies: &[(String, Arc<Policy>)]) -> Vec<Problem> {
    let is_twin =
        |(index, (_, policy)): &(usize, &(String, Arc<Policy>))| policies[..*index].iter().any(|(_, other)| other.name == policy.name);
    policies.iter().enumerate().filter(is_twin).map(|(_, (path, policy))| problem::policy_twice(path, &policy.name)).collect()
}

fn alert_lint(path: &str, policy: &Policy, alert: &Name, rules: &RuleSet) -> Option<Problem> {
    let defined: Vec<_> = rules.alerting(alert).map(|(_, rule)| rule).collect();
    if defined.is_empty() {
        let known: Vec<&str> = rules.rules().filter(|(_, rule)| rule.is_alerting()).map(|(_, rule)| rule.name.as_str()).collect();
        return Some(problem::no_such_alert(path, &policy.name, alert, near_miss(alert, &known)));
    }
    if let Some(error) = defined.iter().map(|rule| rule.plan.as_ref().err()).collect::<Option<Vec<_>>>() {
        return Some(problem::alert_never_fires(path, &policy.name, alert, &error[0].to_string()));
    }
    // A label that the rule itself sets is the same in every one of its alerts, unless it is a template.
    let excluded = |matcher: &&Matcher| {
        let set = |labels: &[(Name, Name)]| {
            let fixed = |(name, value): &&(Name, Name)| **name == *matcher.name && !value.contains("{{");
            labels.iter().find(fixed).map(|(_, value)| value.clone())
        };
        defined.iter().all(|rule| set(&rule.labels).is_some_and(|value| !matcher.matches(&value)))
    };
    let matcher = policy.matchers.iter().find(excluded)?;
    Some(problem::never_matches(path, &policy.name, alert, &matcher.to_string()))
}

/// Whether the caps refuse an action of the policy everywhere in a service, with nothing else in flight: which, and by what figures.
fn never_acts(policy: &Policy, service: &Name, inventory: &Inventory) -> Option<(Name, &'static str, String)> {
    policy.actions().find_map(|(action, source)| {
        let refusals = example_targets(source, service, inventory).into_iter().map(|target| refusal(policy, action, target, inventory));
        let figures = refusals.collect::<Option<Vec<String>>>()?.into_iter().next()?;
        Some((service.clone(), action.word(), figures))
    })
}

/// Whether one action of the policy takes all replicas of a service from their users, and no cap refuses it. Dedup lets a policy work on one
/// target of a service at a time, so that one action is what it can touch together.
fn takes_all(policy: &Policy, service: &Name, inventory: &Inventory) -> bool {
    let replicas = inventory.services.get(service).map_or(0, |entry| u64::from(entry.replicas));
    policy.actions().any(|(action, source)| {
        example_targets(source, service, inventory).into_iter().any(|target| {
            let taken = caps::replicas_taken(action, &target, &Part::Service(service.clone()), inventory);
            taken > 0 && taken >= replicas && refusal(policy, action, target, inventory).is_none()
        })
    })
}

/// The figures by which the policy's caps refuse an action with nothing else in flight.
fn refusal(policy: &Policy, action: &Action, target: Target, inventory: &Inventory) -> Option<String> {
    let owner = owner_of(&target, inventory);
    let proposal = Proposal { policy: policy.name.clone(), incident: 0, action: action.clone(), target, owner };
    let answer = caps::check(&policy.guards.caps, &proposal, &Remediations::default(), inventory);
    answer.is_refusal().then_some(answer.figures)
}

/// Targets that the policy can have within a service. A service in one zone has no zone to give up.
fn example_targets(source: &TargetSource, service: &Name, inventory: &Inventory) -> Vec<Target> {
    let Some(entry) = inventory.services.get(service) else { return Vec::new() };
    let zones = if entry.zones.len() > 1 { entry.zones.as_slice() } else { &[] };
    let all = match source.kind {
        TargetKind::Service => vec![Target::Service(service.clone())],
        TargetKind::Replica => (0..entry.replicas).map(|index| Target::Replica(Inventory::replica_name(service, index))).collect(),
        TargetKind::Zone => zones.iter().cloned().map(Target::Zone).collect(),
        TargetKind::Client => Vec::new(),
    };
    match &source.name {
        NameSource::Literal(name) => all.into_iter().filter(|target| target.name() == name).collect(),
        NameSource::Label(_) => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;
    use crate::library;
    use firedrill_core::inventory::ServiceEntry;

    fn of_library(name: &str) -> Arc<Policy> {
        let (path, text) = library::policy(name).unwrap();
        read_policy(path, text).unwrap()
    }

    fn rules() -> Arc<RuleSet> {
        RuleSet::read(library::RULE_FILES.iter().map(|entry| (entry.path, entry.text))).unwrap()
    }

    fn inventory(replicas: u32) -> Inventory {
        let entry = ServiceEntry { replicas, zones: vec![Name::new("a"), Name::new("b")], critical: true };
        Inventory { services: [(Name::new("api"), entry)].into(), clients: Vec::new() }
    }

    #[test]
    fn a_policy_reads_as_a_runbook() {
        insta::assert_snapshot!(policy(&of_library("scale-on-saturation")));
        insta::assert_snapshot!(policy(&of_library("restart-crashed-or-hung")));
        insta::assert_snapshot!(policy(&of_library("break-retry-storm")));
    }

    #[track_caller]
    fn check(text: &str, inventory: &Inventory, expected: &[&str]) {
        let policy = read_policy("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let told: Vec<String> =
            lints("p.yaml", &policy, &rules(), inventory).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect();
        assert_eq!(told, expected);
    }

    const RESTART: &str = "
schema: policy/1
policy: p
owner: o
on: { alert: ReplicaHung }
target: { replica: $pod }
steps:
  - restart: { mode: rolling }
    verify: { expr: up == 1, within: 1m }
guard:
  caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]
";

    #[test]
    fn a_sound_policy_has_no_lints() {
        check(RESTART, &inventory(4), &[]);
        check(RESTART, &Inventory::default(), &[]);
    }

    #[test]
    fn an_alert_that_cannot_come_is_named() {
        check(
            &RESTART.replace("ReplicaHung", "ReplicaHang"),
            &inventory(4),
            &["FD0330 `p` waits for `ReplicaHang`, and no rule alerts so"],
        );
        let matched = RESTART.replace("alert: ReplicaHung", "alert: ReplicaHung, match: { severity: warning }");
        check(&matched, &inventory(4), &["FD0332 `p` asks for severity=\"warning\", and `ReplicaHung` never has it"]);
    }

    #[test]
    fn caps_are_computed_for_every_declared_service() {
        let strict = RESTART.replace(", at_least: 1", "");
        let never = "FD0333 `p` can never restart in `api`: 0 in flight + 1 > 0 (25% of the replicas of service/api, rounded down)";
        check(&strict, &inventory(3), &[never]);
        check(&strict, &inventory(4), &[]);
        check(RESTART, &inventory(1), &["FD0334 `p` can take all replicas at a time of `api`"]);
    }

    #[test]
    fn without_a_cap_everything_can_be_touched_and_without_a_verification_nobody_looks() {
        let bare = RESTART.split("guard:").next().unwrap().replace("    verify: { expr: up == 1, within: 1m }\n", "");
        check(&bare, &inventory(3), &["FD0335 no step of `p` verifies that it helped"]);
        let at_once = bare.replace("rolling", "at_once").replace("replica: $pod", "service: $service");
        let all = "FD0334 `p` can take all replicas at a time of `api`";
        check(&at_once, &inventory(3), &["FD0335 no step of `p` verifies that it helped", all]);
    }

    #[test]
    fn two_policies_of_one_name_are_an_error() {
        let policy = read_policy("p.yaml", RESTART).unwrap();
        let found = twins(&[("a.yaml".to_owned(), Arc::clone(&policy)), ("b.yaml".to_owned(), policy)]);
        assert_eq!(found.iter().map(|problem| (problem.code, problem.path.as_str())).collect::<Vec<_>>(), [("FD0336", "b.yaml")]);
    }
}
