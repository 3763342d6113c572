//! What a policy does that is likely not meant, wherever it is played; what two policies do together; and whom nobody can call.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, Scale};
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::Span;
use firedrill_telemetry::example::exclude as excludes;
use firedrill_telemetry::labels::{MatchOp, Matcher};
use firedrill_telemetry::promql::{Condition, Evaluator, Verdict3};
use firedrill_telemetry::universe::{Held, Shape};

use crate::guard::rate_limit::RateLimit;
use crate::guard::stage::{Stage, is_reversible};
use crate::guard::{Guard, approval::Covered};
use crate::policy::{Deed, NameSource, OnFailure, Policy, Step, TargetKind, TargetSource, has_inverse};
use crate::problem;
use crate::rules::Outlook;

/// What is likely not meant in a policy by itself.
pub(super) fn habits(policy: &Policy) -> Vec<Problem> {
    if policy.only_notifies() {
        return if guards_anything(policy) { vec![problem::guards_of_nothing(&policy.places.guard, &policy.name)] } else { Vec::new() };
    }
    let mut found = Vec::new();
    found.extend(goes_by_nothing(policy));
    found.extend(policy.steps.iter().filter_map(|step| looks_elsewhere(policy, step)));
    found.extend(never_undone(policy));
    let guards = &policy.guards;
    // More than a start in ten seconds all the time is what nobody means by a limit.
    let limits = |limit: &RateLimit| u64::from(limit.max) <= limit.window.as_nanos() / (10 * Span::from_seconds(1).as_nanos());
    let is_limited = guards.rate_limits.iter().any(limits) || guards.breaker.is_some_and(|breaker| breaker.actions.is_some());
    // A rest for each target is a limit too, if one that grows with the number of targets.
    let is_limited = is_limited || guards.cooldown.is_some() || guards.backoff.is_some();
    if !is_limited {
        found.push(problem::no_rate_limit(policy.places.guard(Guard::RateLimit), &policy.name));
    }
    found.extend(unbounded(policy));
    if guards.max_unhealthy.is_some() && guards.caps.is_empty() {
        found.push(problem::gate_without_cap(policy.places.guard(Guard::MaxUnhealthy), &policy.name));
    }
    found.extend(answers_everything(policy));
    found.extend(irreversible(policy));
    found.extend(never_at_its_stage(policy));
    found.extend(policy.steps.iter().enumerate().filter_map(|(index, step)| reads_what_is_gone(policy, step, index)));
    let dead = policy.prechecks.iter().filter(|precheck| never_holds(&precheck.condition));
    found.extend(dead.map(|precheck| problem::precheck_never_holds(&precheck.place, &policy.name)));
    found
}

/// Whether a policy asks for a guard of its own.
fn guards_anything(policy: &Policy) -> bool {
    let is_always_there = |guard: &Guard| matches!(guard, Guard::Stage | Guard::Dedup | Guard::Precheck);
    Guard::ALL.iter().any(|guard| guard.is_of_the_policy() && !is_always_there(guard) && policy.guards.has(*guard))
}

/// The word of what acts in a step; `None` if nothing does.
fn acting(step: &Step) -> Option<&str> {
    match &step.deed {
        Deed::Act(action) => Some(action.word()),
        Deed::Staged(staged) => Some(staged.action.word()),
        Deed::Choose(_) => Some("choose"),
        Deed::Parallel(_) => Some("parallel"),
        Deed::Own(own) => Some(&own.name),
        Deed::Wait(_) | Deed::Notify(_) | Deed::Collect(_) | Deed::Escalate(_) => None,
    }
}

/// A guard that rests on verifications, and a step that acts and has none.
fn goes_by_nothing(policy: &Policy) -> Option<Problem> {
    let guards = &policy.guards;
    let by_failures = guards.breaker.is_some_and(|breaker| breaker.failures.is_some());
    let rests = [
        (Guard::Canary, guards.canary.is_some()),
        (Guard::IneffectiveChain, guards.ineffective_chain.is_some()),
        (Guard::Breaker, by_failures),
    ];
    let (guard, _) = rests.into_iter().find(|(_, is_asked)| *is_asked)?;
    let unverified = policy.steps.iter().filter(|step| step.verify.is_none()).find_map(acting)?;
    Some(problem::guard_of_verifications(policy.places.guard(guard), &policy.name, (guard.word(), unverified)))
}

/// A staged step whose verification asks for the very label that names its targets: of the alert, which names one of them or none.
fn looks_elsewhere(policy: &Policy, step: &Step) -> Option<Problem> {
    let (Deed::Staged(staged), Some(verify)) = (&step.deed, &step.verify) else { return None };
    let NameSource::Label(label) = &staged.each.name else { return None };
    let asks = verify.condition.parameters().iter().any(|own| **own == **label);
    asks.then(|| problem::verifies_the_alerts_own(&verify.place, &policy.name, label))
}

/// Whether a condition asks neither for a series nor for the time, and says no.
fn never_holds(condition: &Condition) -> bool {
    const CLOCK: [&str; 7] = ["time(", "hour(", "minute(", "day_of_", "days_in_month(", "month(", "year("];
    let plan = condition.plan();
    if !plan.selectors().is_empty() || CLOCK.iter().any(|word| plan.text().contains(word)) || !condition.parameters().is_empty() {
        return false;
    }
    condition.judge(&mut Evaluator::new(), 0, &[]).is_ok_and(|judgement| judgement.verdict == Verdict3::False)
}

/// A step that could be undone, whose failure is not answered by that and that no other step follows.
fn never_undone(policy: &Policy) -> Option<Problem> {
    let word = policy.steps.iter().find_map(|step| match &step.deed {
        Deed::Act(action) if has_inverse(action) && step.verify.is_some() && step.on_failure == OnFailure::Escalate => Some(action.word()),
        _ => None,
    })?;
    Some(problem::never_undone(&policy.places.steps, &policy.name, word))
}

/// A scaling by a number that may come again and again: no number of replicas is asked before it.
fn unbounded(policy: &Policy) -> Option<Problem> {
    let by = |action: &Action| if let Action::Scale { replicas: Scale::By(count) } = action { Some(*count) } else { None };
    let is_asked = policy.prechecks.iter().any(|precheck| precheck.condition.plan().text().contains("replicas"));
    // What a budget leaves is enough, as somebody has said.
    let is_free = |count: &i32| *count > 0 || policy.guards.disruption_budget.is_none();
    let count = policy.actions().filter_map(|(action, _)| by(action)).find(is_free).filter(|_| !is_asked)?;
    Some(problem::unbounded_scaling(&policy.places.steps, &policy.name, count > 0))
}

/// No alert is named and no label asked for, or a label is asked for that every value meets.
fn answers_everything(policy: &Policy) -> Option<Problem> {
    if let (Some(place), true, true) = (&policy.places.receiver, policy.alerts.is_empty(), policy.matchers.is_empty()) {
        return Some(problem::answers_every_alert(place, &policy.name));
    }
    // What matches nothing and two texts that nobody would write matches whatever there is; what only leaves something out has that in mind.
    let meets_all = |matcher: &Matcher| {
        matches!(matcher.op, MatchOp::Matches(_)) && ["", "\u{1}", "\u{2}x"].into_iter().all(|value| matcher.matches(value))
    };
    let (matcher, place) = policy.matchers.iter().zip(&policy.places.matchers).find(|(matcher, _)| meets_all(matcher))?;
    Some(problem::matcher_of_everything(place, &policy.name, &matcher.to_string()))
}

/// An action whose effect is lost for good, at a stage that asks nobody.
fn irreversible(policy: &Policy) -> Option<Problem> {
    let is_final = |action: &Action| {
        let is_lost = matches!(action, Action::PurgeQueue | Action::FailOver | Action::SkipMessage | Action::ClearDisk);
        is_lost
            || matches!(
                action,
                Action::KillQueries { .. } | Action::FlushCache { .. } | Action::ExpandVolume { .. } | Action::ReplayDeadLetters
            )
    };
    let (action, _) = policy.actions().find(|(action, _)| is_final(action))?;
    // A limited policy does it only if people allow it; of what is critical alone they may be asked or not.
    let asks = policy.stage <= Stage::Limited || policy.guards.approval.as_ref().is_some_and(|approval| approval.of != Covered::Critical);
    (!asks).then(|| problem::irreversible_unasked(&policy.places.steps, &policy.name, action.word()))
}

/// An action that nothing undoes, at the stage that does these only if people allow it, and nobody is named who may.
fn never_at_its_stage(policy: &Policy) -> Option<Problem> {
    let is_left_undone = policy.stage == Stage::Limited && policy.guards.approval.is_none();
    let (action, _) = policy.actions().find(|(action, _)| !is_reversible(action)).filter(|_| is_left_undone)?;
    Some(problem::never_at_stage(&policy.places.steps, &policy.name, action.word()))
}

/// A step that drains the replica whose own series its verification reads: it goes away, and comes up under another name.
fn reads_what_is_gone(policy: &Policy, step: &Step, index: usize) -> Option<Problem> {
    let (Deed::Act(Action::Drain), Some(verify)) = (&step.deed, &step.verify) else { return None };
    let target = policy.target_of(index);
    let NameSource::Label(label) = &target.name else { return None };
    let plan = verify.condition.plan();
    // What says otherwise where nothing is found, or reads something else too, may mean it.
    let is_plain = plan.selectors().len() == 1 && ["absent", "count", " or ", "unless"].iter().all(|word| !plan.text().contains(word));
    let reads = target.kind == TargetKind::Replica && is_plain && verify.condition.parameters().iter().any(|own| **own == **label);
    reads.then(|| problem::verifies_what_is_gone(&verify.place, &policy.name, label))
}

/// A policy, and the label sets with which its alerts can come to it here.
struct Listener<'a> {
    policy: &'a Policy,
    /// By alert; `None`: nothing is known of it.
    hears: BTreeMap<&'a Name, Option<BTreeSet<Shape>>>,
}

impl<'a> Listener<'a> {
    fn new(policy: &'a Policy, outlooks: &[Outlook<'_>]) -> Self {
        let hears = |alert: &Name| {
            let all: BTreeSet<Shape> = outlooks.iter().flat_map(|outlook| outlook.alerts(alert)).collect();
            let meets = |shape: &Shape| policy.matchers.iter().all(|matcher| shape.satisfies(matcher));
            (!all.is_empty()).then(|| all.into_iter().filter(meets).collect())
        };
        Self { policy, hears: policy.alerts.iter().map(|alert| (alert, hears(alert))).collect() }
    }

    /// Whether an alert can come to both.
    fn hear_both(&self, other: &Self, alert: &Name) -> bool {
        match (self.hears.get(alert), other.hears.get(alert)) {
            (Some(Some(own)), Some(Some(theirs))) => own.intersection(theirs).next().is_some(),
            // Behind a receiver any alert may come.
            (Some(Some(own)), _) | (_, Some(Some(own))) => !own.is_empty(),
            _ => true,
        }
    }

    /// What a target's name can be; `None`: anything, for nothing is known.
    fn names(&self, target: &TargetSource) -> Option<BTreeSet<Held>> {
        match &target.name {
            NameSource::Literal(name) => Some(BTreeSet::from([Held::Exactly(name.as_str().into())])),
            // A correlated incident has labels of its own.
            NameSource::Label(_) if self.policy.correlation.is_some() || self.hears.is_empty() => None,
            NameSource::Label(label) => {
                let shapes = self.hears.values().cloned().collect::<Option<Vec<_>>>()?;
                Some(shapes.iter().flatten().filter_map(|shape| shape.held(label)).cloned().collect())
            }
        }
    }
}

/// Policies that may act on one target at a time without knowing of each other, each pair at the later of the two.
pub(super) fn overlaps(policies: &[&Policy], outlooks: &[Outlook<'_>]) -> Vec<Problem> {
    let listeners: Vec<Listener<'_>> = policies.iter().map(|policy| Listener::new(policy, outlooks)).collect();
    let mut found = Vec::new();
    for (index, later) in listeners.iter().enumerate() {
        let Listener { policy, .. } = later;
        let place = policy.places.alerts.first().or(policy.places.receiver.as_ref()).unwrap_or(&policy.places.name);
        let other = listeners[..index].iter().find_map(|earlier| Some((earlier.policy, shared(earlier, later)?)));
        if let Some((earlier, alert)) = &other {
            found.push(problem::policies_overlap(place, (&policy.name, &earlier.name), alert));
        }
        // Of two that answer one alert nothing more needs to be said.
        let mut others =
            listeners[..index].iter().filter(|earlier| other.as_ref().is_none_or(|(told, _)| told.name != earlier.policy.name));
        if let Some((earlier, own, theirs)) = others.find_map(|earlier| opposed(earlier, later).map(|(theirs, own)| (earlier, own, theirs)))
        {
            found.push(problem::policies_oppose(place, (&policy.name, own), (&earlier.policy.name, theirs)));
        }
    }
    found
}

/// What one does and the other undoes or disturbs, if they may come to the same target and nothing keeps them apart.
fn opposed(one: &Listener<'_>, other: &Listener<'_>) -> Option<(&'static str, &'static str)> {
    if !may_meet(one.policy, other.policy) {
        return None;
    }
    one.policy.actions().find_map(|(own, target)| {
        let against = |(theirs, their_target): &(&Action, &TargetSource)| {
            are_opposed(own, theirs) && may_overlap((one, target), (other, their_target))
        };
        other.policy.actions().find(against).map(|(theirs, _)| (own.word(), theirs.word()))
    })
}

/// Whether two targets may be one, or parts of one. What callers do is no part of a service.
fn may_overlap((one, own): (&Listener<'_>, &TargetSource), (other, theirs): (&Listener<'_>, &TargetSource)) -> bool {
    let is_client = |source: &TargetSource| source.kind == TargetKind::Client;
    let (names, their_names) = (one.names(own), other.names(theirs));
    // What no alert names is never acted on.
    let is_nothing = |names: &Option<BTreeSet<Held>>| names.as_ref().is_some_and(BTreeSet::is_empty);
    let are_apart = match (&names, &their_names) {
        (Some(names), Some(others)) if own.kind == theirs.kind => {
            !names.iter().any(|name| others.iter().any(|other| Held::meets(Some(name), Some(other))))
        }
        _ => false,
    };
    is_client(own) == is_client(theirs) && !are_apart && !is_nothing(&names) && !is_nothing(&their_names)
}

/// Whether one of two actions on a target undoes what the other does, or disturbs it.
fn are_opposed(one: &Action, other: &Action) -> bool {
    is_against(one, other) || is_against(other, one)
}

fn is_against(one: &Action, other: &Action) -> bool {
    match (one, other) {
        // The one brings back what the other empties, has given up, or is replacing.
        (Action::Restart { .. }, Action::Drain | Action::FailOver | Action::Rollback | Action::RebootNode | Action::ReplaceNode) => true,
        (Action::Drain, Action::FailOver) | (Action::Undrain, Action::Drain | Action::Cordon) => true,
        (Action::Scale { replicas: own }, Action::Scale { replicas: theirs }) => match (own, theirs) {
            (Scale::By(own), Scale::By(theirs)) => (*own > 0) != (*theirs > 0),
            (Scale::To(own), Scale::To(theirs)) => own != theirs,
            (Scale::Times(own), Scale::Times(theirs)) => (own.get() >= 1.0) != (theirs.get() >= 1.0),
            (Scale::By(own), Scale::Times(theirs)) => (*own > 0) != (theirs.get() >= 1.0),
            _ => false,
        },
        (Action::Lift { what }, laid) => laid.restraint() == Some(*what),
        (Action::SetLimit { limit: own, to: least }, Action::SetLimit { limit: theirs, to: most }) => own == theirs && least != most,
        (Action::ShiftTraffic { share: own }, Action::ShiftTraffic { share: theirs }) => own != theirs,
        _ => false,
    }
}

/// Whether two policies may be at work on one thing at a time, both acting and neither keeping the other away.
fn may_meet(one: &Policy, other: &Policy) -> bool {
    let acts = |policy: &Policy| !policy.only_notifies() && policy.stage > Stage::Shadow;
    let have_locks = one.guards.mutual_exclusion.is_some() && other.guards.mutual_exclusion.is_some();
    let rests = |policy: &Policy| policy.guards.cooldown.is_some_and(|cooldown| cooldown.any_policy.as_nanos() > 0);
    // A rest after whatever another policy did keeps two apart as well as a lock.
    let are_apart = have_locks || rests(one) && rests(other);
    let excluded = one.matchers.iter().any(|own| other.matchers.iter().any(|theirs| names_place(own) && exclude(own, theirs)));
    acts(one) && acts(other) && !are_apart && !excluded
}

/// Whether a matcher is on a label that says where something is: of two alerts with different values the targets are different too.
fn names_place(matcher: &Matcher) -> bool {
    matches!(&*matcher.name, "service" | "pod" | "zone" | "node" | "namespace" | "cluster" | "region" | "environment")
}

/// An alert that both answer by actions of which neither keeps the other away.
fn shared(earlier: &Listener<'_>, later: &Listener<'_>) -> Option<Name> {
    let (one, other) = (earlier.policy, later.policy);
    let acts = |policy: &Policy| !policy.only_notifies() && policy.stage > Stage::Shadow;
    let have_locks = one.guards.mutual_exclusion.is_some() && other.guards.mutual_exclusion.is_some();
    let rests = |policy: &Policy| policy.guards.cooldown.is_some_and(|cooldown| cooldown.any_policy.as_nanos() > 0);
    // A rest after whatever another policy did keeps two apart as well as a lock.
    let are_apart = have_locks || rests(one) && rests(other);
    let are_elsewhere = one.receiver.is_some() && other.receiver.is_some() && one.receiver != other.receiver;
    if !acts(one) || !acts(other) || are_apart || are_elsewhere || one.correlation.is_some() != other.correlation.is_some() {
        return None;
    }
    let excluded = one.matchers.iter().any(|own| other.matchers.iter().any(|theirs| exclude(own, theirs)));
    // What callers do and what is done to services are different things.
    let is_of_clients = |policy: &Policy| policy.actions().all(|(_, target)| target.kind == TargetKind::Client);
    let are_strangers = is_of_clients(one) != is_of_clients(other);
    if excluded || are_strangers {
        return None;
    }
    match (&one.alerts[..], &other.alerts[..]) {
        ([], []) => None,
        ([], named) | (named, []) => named.iter().find(|alert| earlier.hear_both(later, alert)).cloned(),
        (own, theirs) => own.iter().find(|alert| theirs.contains(alert) && earlier.hear_both(later, alert)).cloned(),
    }
}

/// Whether no label set meets both: they ask for different values of one label.
fn exclude(one: &Matcher, other: &Matcher) -> bool {
    *one.name == *other.name && excludes(one, other)
}

/// Whom a policy calls and nobody is: no receiver of the routing by this name has a way to be told.
pub(super) fn unreceived(policy: &Policy, receivers: &[(Name, bool)]) -> Option<Problem> {
    let to = policy.steps.iter().find_map(|step| match &step.deed {
        Deed::Escalate(escalation) => Some(&escalation.to),
        _ => None,
    })?;
    match receivers.iter().find(|(name, _)| name == to) {
        Some((_, false)) => Some(problem::receiver_without_a_way(&policy.places.steps, &policy.name, to)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::read_policy;
    use crate::lints::allowed;

    const SOUND: &str = "
schema: policy/1
policy: p
owner: o
on: { alert: Down, match: { severity: page } }
target: { service: $service }
precheck: [{ expr: 'up == 0', because: it is down }]
steps:
  - scale: { times: x2 }
    verify: { expr: up == 1, within: 1m }
    on_failure: revert
guard:
  rate_limit: [{ max: 3, window: 1h, scope: target }]
  caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]
";

    fn read(text: &str) -> Arc<Policy> {
        read_policy("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        assert!(SOUND.contains(from), "{from}");
        let told: Vec<String> = habits(&read(&SOUND.replace(from, to)))
            .iter()
            .map(|lint| format!("{}:{} {}", lint.place.as_ref().map_or(0, firedrill_core::problem::Place::line), lint.code, lint.message))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_sound_policy_has_no_bad_habits() {
        check("p", "p", &[]);
        check(
            "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n",
            "  - escalate: { to: a }\n",
            &["10:FD0347 `p` only calls and tells people, and guards keep back actions, not calls"],
        );
    }

    #[test]
    fn a_guard_that_goes_by_what_helped_wants_to_be_told() {
        let verified = "    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
        let told = |guard: &str, verify: &str| {
            let text = SOUND.replace("guard:\n", &format!("guard:\n  {guard}\n")).replace(verified, verify);
            habits(&read(&text)).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect::<Vec<_>>()
        };
        for guard in [
            "canary: { trust: 1h }",
            "ineffective_chain: { actions: 2, within: 1h }",
            "breaker: { failures: 50%, of_at_least: 2, within: 1h }",
        ] {
            let word = guard.split(':').next().unwrap();
            let blind = format!("FD0346 `{word}` of `p` goes by what helped, and nobody looks whether `scale` does");
            assert_eq!(told(guard, ""), [blind]);
            assert_eq!(told(guard, verified), [""; 0]);
        }
        assert_eq!(told("breaker: { actions: 3, within: 1h }", ""), [""; 0]);
    }

    #[test]
    fn a_staged_step_is_not_verified_by_what_its_alert_names() {
        let staged = |verify: &str| {
            let step = format!(
                "  - staged: {{ restart: {{ mode: rolling }}, each: {{ replica: pod, from: up == 0 }}, then: 1 }}\n    verify: {{ expr: '{verify}', within: 1m }}\n"
            );
            let scale = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
            let text = SOUND.replace(scale, &step);
            habits(&read(&text)).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect::<Vec<_>>()
        };
        let elsewhere = "FD0348 `p` acts on one after another, and looks each time at the `$pod` of its alert";
        assert_eq!(staged("up{pod=$pod} == 1"), [elsewhere]);
        assert_eq!(staged("up{service=$service} == 1"), [""; 0]);
    }

    #[test]
    fn each_bad_habit_is_named_where_it_stands() {
        check("    on_failure: revert\n", "", &["8:FD0351 `p` leaves `scale` as it is when it has not helped"]);
        check("  rate_limit: [{ max: 3, window: 1h, scope: target }]\n", "", &["12:FD0352 nothing limits how often `p` acts"]);
        check("  rate_limit: [{ max: 3, window: 1h, scope: target }]\n", "  breaker: { actions: 3, within: 1h }\n", &[]);
        check("  rate_limit: [{ max: 3, window: 1h, scope: target }]\n", "  cooldown: 10m\n", &[]);
        check("times: x2", "by: 2", &["8:FD0353 `p` gives more replicas each time, and nothing says how many are enough"]);
        check("times: x2", "by: -2", &["8:FD0353 `p` takes replicas away each time, and nothing says how few are enough"]);
        check("max: 3, window: 1h", "max: 1000000, window: 1h", &["13:FD0352 nothing limits how often `p` acts"]);
        check(
            "  caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]\n",
            "  max_unhealthy: { healthy: up == 1, scope: all, max: 2 }\n",
            &["14:FD0354 `p` has a gate and no cap: `max_unhealthy` counts what is broken, not what is being worked on"],
        );
        check("{ severity: page }", "{ severity: '=~ .*' }", &["5:FD0355 every alert meets severity=~\".*\" of `p`"]);
        check("{ severity: page }", "{ severity: '=~ .+' }", &[]);
        check("{ severity: page }", "{ severity: '!= page' }", &[]);
        let receiver = "{ receiver: team }";
        check("{ alert: Down, match: { severity: page } }", receiver, &["5:FD0355 `p` acts on every alert that reaches this receiver"]);
        check("up == 0'", "vector(1) > 2'", &["7:FD0359 this precheck of `p` never holds, whatever is seen, so it never acts"]);
        check("up == 0'", "vector(2) > 1'", &[]);
    }

    #[test]
    fn what_cannot_be_undone_is_asked_for_first() {
        let steps = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
        let told = "8:FD0358 `p` does `fail_over` without asking anybody, and nothing undoes it";
        check(steps, "  - fail_over: {}\n", &[told]);
        check(steps, "  - fail_over: {}\nstage: guarded\n", &[told]);
        check(steps, "  - fail_over: {}\nstage: approval\n", &[]);
        let check_asked = |of: &str, expected: &[&str]| {
            let asks = format!("guard:\n  approval: {{ from: oncall, of: {of} }}\n");
            let text = SOUND.replace(steps, "  - fail_over: {}\n").replace("guard:\n", &asks);
            let found: Vec<String> = habits(&read(&text)).iter().map(|lint| lint.code.to_owned()).collect();
            assert_eq!(found, expected, "{of}");
        };
        check_asked("irreversible", &[]);
        check_asked("all", &[]);
        check_asked("critical", &["FD0358"]);
    }

    #[test]
    fn what_throws_something_away_is_asked_for_as_well() {
        let steps = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
        for deed in ["kill_queries: {}", "clear_disk: {}", "flush_cache: {}", "expand_volume: { by: 2GiB }", "replay_dead_letters: {}"] {
            let word = deed.split(':').next().unwrap();
            let told = format!("8:FD0358 `p` does `{word}` without asking anybody, and nothing undoes it");
            check(steps, &format!("  - {deed}\n"), &[&told]);
        }
    }

    #[test]
    fn a_stage_that_allows_no_action_of_its_kind_is_named() {
        let steps = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
        let restart = "  - restart: { mode: rolling }\n    verify: { expr: up == 1, within: 1m }\n";
        let told = "8:FD0328 at the stage `limited` `p` does `restart`, which nothing undoes, only if people allow it, and it names nobody who may";
        check(steps, &format!("{restart}stage: limited\n"), &[told]);
        check(steps, &format!("{restart}stage: guarded\n"), &[]);
        check("target:", "stage: limited\ntarget:", &[]);
        for of in ["all", "critical", "irreversible"] {
            let asks = format!("stage: limited\nguard:\n  approval: {{ from: oncall, of: {of} }}\n");
            let text = SOUND.replace(steps, restart).replace("guard:\n", &asks);
            assert_eq!(habits(&read(&text)), [], "whoever it names may allow it");
        }
    }

    #[test]
    fn a_drained_replica_is_not_asked_whether_it_is_well() {
        let told = |verify: &str, target: &str| {
            let step = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
            let text = SOUND.replace(step, &format!("  - drain: {{}}\n    verify: {{ expr: '{verify}', within: 1m }}\n"));
            habits(&read(&text.replace("service: $service", target))).iter().map(|lint| lint.code).collect::<Vec<_>>()
        };
        assert_eq!(told("up{pod=$pod} == 1", "replica: $pod"), ["FD0327"]);
        assert_eq!(told("up{service=$service} == 1", "replica: $pod"), [""; 0]);
        assert_eq!(told("absent(up{pod=$pod})", "replica: $pod"), [""; 0]);
        assert_eq!(told("up{zone=$zone} == 1", "zone: $zone"), [""; 0]);
    }

    #[track_caller]
    fn check_pair(one: (&str, &str), other: (&str, &str), expected: &[&str]) {
        let first = read(&SOUND.replace(one.0, one.1));
        let second = read(&SOUND.replace("policy: p", "policy: q").replace(other.0, other.1));
        let told: Vec<String> = overlaps(&[&first, &second], &[]).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn two_policies_on_one_alert_are_kept_apart_by_locks_by_labels_or_by_rests() {
        let both = ["FD0356 `q` and `p` both act on `Down`, and nothing keeps them apart"];
        check_pair(("", ""), ("", ""), &both);
        let (guard, locked) = ("guard:\n", "guard:\n  mutual_exclusion: { lease: 15m }\n");
        check_pair((guard, locked), ("", ""), &both);
        check_pair((guard, locked), (guard, locked), &[]);
        let rested = "guard:\n  cooldown: 5m\n";
        check_pair((guard, rested), (guard, rested), &[]);
        let alone = "guard:\n  cooldown: { same_policy: 5m }\n";
        check_pair((guard, alone), (guard, alone), &both);
        check_pair(("severity: page", "severity: info"), ("", ""), &[]);
        check_pair(("severity: page", "severity: '!= page'"), ("", ""), &[]);
        check_pair(("severity: page", "severity: '=~ pa.*'"), ("severity: page", "severity: '=~ in.*'"), &[]);
        check_pair(("severity: page", "severity: '=~ pa.*'"), ("severity: page", "severity: '=~ p.*'"), &both);
        check_pair(("severity: page", "severity: '=~ pa.*'"), ("severity: page", "severity: '!~ pa.*'"), &[]);
        check_pair(("severity: page", "team: a"), ("", ""), &both);
        check_pair(("alert: Down", "alert: Slow"), ("", ""), &[]);
        check_pair(("target:", "stage: dry-run\ntarget:"), ("", ""), &[]);
    }

    #[test]
    fn two_policies_of_different_alerts_that_oppose_each_other_are_named_unless_something_keeps_them_apart() {
        let steps = "  - scale: { times: x2 }\n    verify: { expr: up == 1, within: 1m }\n    on_failure: revert\n";
        let policy = |name: &str, alert: &str, deed: &str, guard: &str| {
            let text = SOUND.replace("policy: p", &format!("policy: {name}")).replace("alert: Down", &format!("alert: {alert}"));
            read(&text.replace(steps, &format!("  - {deed}\n")).replace("guard:\n", &format!("guard:\n{guard}")))
        };
        let told = |one: (&str, &str), other: (&str, &str)| -> Vec<String> {
            let (first, second) = (policy("p", "Down", one.0, one.1), policy("q", "Slow", other.0, other.1));
            overlaps(&[&first, &second], &[]).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect()
        };
        let lock = "  mutual_exclusion: { lease: 15m }\n";
        let fight = ["FD0366 `q` may restart what `p` wants to fail_over, and nothing keeps them apart"];
        assert_eq!(told(("fail_over: {}", ""), ("restart: { mode: at_once }", "")), fight);
        assert_eq!(told(("fail_over: {}", lock), ("restart: { mode: at_once }", "")), fight, "one lock keeps nobody away");
        assert_eq!(told(("fail_over: {}", lock), ("restart: { mode: at_once }", lock)), [""; 0]);
        let rest = "  cooldown: 10m\n";
        assert_eq!(told(("fail_over: {}", rest), ("restart: { mode: at_once }", rest)), [""; 0]);
        assert_eq!(told(("fail_over: {}", ""), ("kill_queries: {}", "")), [""; 0]);
        let scaled = ["FD0366 `q` may scale what `p` wants to scale, and nothing keeps them apart"];
        assert_eq!(told(("scale: { times: x2 }", ""), ("scale: { by: -1 }", "")), scaled);
        assert_eq!(told(("scale: { times: x2 }", ""), ("scale: { by: 1 }", "")), [""; 0]);
        let lifted = ["FD0366 `q` may lift what `p` wants to degrade, and nothing keeps them apart"];
        assert_eq!(told(("degrade: { lasting: 5m }", ""), ("lift: { what: degrade }", "")), lifted);
        assert_eq!(told(("degrade: { lasting: 5m }", ""), ("lift: { what: shed_load }", "")), [""; 0]);
        let elsewhere = |service: &str| format!("restart: {{ mode: at_once }}\n    target: {{ service: {service} }}");
        assert_eq!(told(("fail_over: {}\n    target: { service: a }", ""), (&elsewhere("b"), "")), [""; 0]);
    }

    #[test]
    fn a_receiver_that_tells_nobody_receives_no_page() {
        let policy =
            read(&SOUND.replace("guard:", "  - escalate: { to: oncall }\nguard:").replace("on_failure: revert", "on_failure: next"));
        let told = |receivers: &[(&str, bool)]| {
            let receivers: Vec<(Name, bool)> = receivers.iter().map(|(name, tells)| (Name::new(name), *tells)).collect();
            unreceived(&policy, &receivers).map(|problem| problem.message)
        };
        assert_eq!(told(&[("oncall", false)]).as_deref(), Some("`p` calls `oncall`, and the receiver of this name tells nobody"));
        assert_eq!(told(&[("oncall", true)]), None);
        assert_eq!(told(&[("team", false)]), None, "people need be no receivers");
    }

    #[test]
    fn a_comment_with_a_reason_allows_a_lint_and_one_that_allows_nothing_is_told() {
        let told = |comment: &str, from: &str| {
            let text = format!("# firedrill: allow {comment}\n{}", SOUND.trim_start().replace(from, ""));
            let found = habits(&read(&text));
            allowed("p.yaml", &text, found).into_iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect::<Vec<_>>()
        };
        let limit = "  rate_limit: [{ max: 3, window: 1h, scope: target }]\n";
        assert_eq!(told("FD0352 the alert comes once a day", limit), [""; 0]);
        assert_eq!(
            told("FD0352", limit),
            ["FD0352 nothing limits how often `p` acts", "FD0485 this allows a finding and does not say why, so it is not followed"]
        );
        assert_eq!(told("FD0352 a reason", "\u{0}"), ["FD0485 this allows FD0352, and there is none to allow"]);
        assert_eq!(told("FD0333 at night", "\u{0}"), [""; 0], "it may be found where there are scenarios");
        assert_eq!(told("FD0999 x", "\u{0}"), ["FD0485 `FD0999` is the code of no lint of policies"]);
    }
}
