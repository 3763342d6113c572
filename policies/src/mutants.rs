//! The ways in which a policy could be wrong: the same policy with one part weakened, as a slip or a hasty change would weaken it.
//!
//! Whoever judges the policy is held against these: a rehearsal that finds nothing wrong with a mutant would not have noticed the mistake
//! (DeMillo, Lipton and Sayward 1978, "Hints on test data selection"). Made from the lowered policy, so that each can be played at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::{Action, RestartMode};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Verification;
use firedrill_core::name::Name;
use firedrill_core::part::Part;
use firedrill_core::problem::Place;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Node, Value};
use firedrill_telemetry::promql::Condition;

use crate::guard::caps::{CapOf, Most};
use crate::guard::rate_limit::RateLimit;
use crate::guard::{Guard, Scope};
use crate::policy::{Deed, NameSource, OnFailure, Policy, TargetKind, TargetSource};

/// A policy with one part weakened.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What was done to it, such as `step 1 is not verified`.
    pub what: String,
    /// Where that stands in the policy's file.
    pub place: Place,
    /// What a run must reach of the policy as it is for the change to matter; `None`: the first step.
    pub part: Part,
    /// What a scenario would have to bring about for the change to be noticed.
    pub wanted: String,
    /// The policy as it is then, under the same name.
    pub policy: Arc<Policy>,
}

/// How many times longer a window becomes.
const WIDER: u64 = 10;

/// Every mutant of a policy, in the order of its parts. `inventories` are those of what it is rehearsed in, and `touched` names what it has acted on
/// there: a wrong target is one that is there and was not acted on, or at least another one.
#[must_use]
pub fn mutants(policy: &Policy, inventories: &[Inventory], touched: &BTreeSet<Name>) -> Vec<Mutant> {
    let mut making = Making { policy, guards: guard_places(policy), all: Vec::new() };
    making.targets(inventories, touched);
    making.prechecks();
    for step in 0..policy.steps.len() {
        making.verification(step);
        making.failure(step);
    }
    making.caps();
    making.limits();
    making.all
}

/// A policy without a guard: without all of its prechecks, caps or rate limits, or without whatever else the guard is. `None` if it does not ask for
/// it, or cannot be without it.
#[must_use]
pub fn without(policy: &Policy, guard: Guard) -> Option<Policy> {
    let mut bare = policy.clone();
    match guard {
        Guard::Precheck => bare.prechecks.clear(),
        Guard::Caps => bare.guards.caps.clear(),
        Guard::RateLimit => bare.guards.rate_limits.clear(),
        other => dropped(other)?.0(&mut bare),
    }
    (bare.hash() != policy.hash()).then_some(bare)
}

struct Making<'a> {
    policy: &'a Policy,
    /// Where guards stand, by their words.
    guards: BTreeMap<String, Place>,
    all: Vec<Mutant>,
}

impl Making<'_> {
    fn add(&mut self, told: (&str, &str), at: (&Place, Part), change: impl FnOnce(&mut Policy)) {
        let mut policy = self.policy.clone();
        change(&mut policy);
        let (what, wanted) = (told.0.to_owned(), told.1.to_owned());
        self.all.push(Mutant { what, wanted, place: at.0.clone(), part: at.1, policy: Arc::new(policy) });
    }

    /// Another target than that of the alert, and all replicas where one is meant.
    fn targets(&mut self, inventories: &[Inventory], touched: &BTreeSet<Name>) {
        let place = &self.policy.places.target;
        let own = &self.policy.target;
        // Where every step says what it acts on, the policy's own target is only what its incidents are about.
        if !self.policy.actions().any(|(_, target)| target == own) {
            return self.at_once();
        }
        if let Some(other) = other_target(own, inventories, touched) {
            let what = format!("it always acts on {}/{other}, whatever the alert names", own.kind.word());
            let wrong = TargetSource { kind: own.kind, name: NameSource::Literal(other.clone()) };
            let wanted = format!("a fault on something else than {}/{other}", own.kind.word());
            self.add((&what, &wanted), (place, Part::Step(first_deed(self.policy))), |policy| {
                aim(policy, own, &wrong);
            });
        }
        let service = Name::new("service");
        if own.kind == TargetKind::Replica && self.policy.labels_needed().contains(&service) && acts_on_services_too(self.policy) {
            let whole = TargetSource { kind: TargetKind::Service, name: NameSource::Label(service) };
            let wanted = "a fault of one replica while the others carry the load";
            let told = "it acts on all replicas of the service instead of one";
            self.add((told, wanted), (place, Part::Step(first_deed(self.policy))), |policy| aim(policy, own, &whole));
        }
        self.at_once();
    }

    /// What goes one after the other goes at once.
    fn at_once(&mut self) {
        for (index, step) in self.policy.steps.iter().enumerate() {
            let part = Part::Step(step_number(index));
            let is_of_service = self.policy.target_of(index).kind == TargetKind::Service;
            let place = &self.policy.places.steps;
            match &step.deed {
                Deed::Act(Action::Restart { mode: RestartMode::Rolling }) if is_of_service => {
                    let what = format!("step {} restarts all replicas at once", index + 1);
                    self.add((&what, "a fault of some replicas while the others carry the load"), (place, part), |policy| {
                        policy.steps[index].deed = Deed::Act(Action::Restart { mode: RestartMode::AtOnce });
                    });
                }
                Deed::Staged(_) => {
                    let what = format!("step {} does all of its targets in one wave", index + 1);
                    self.add((&what, "targets for which the action goes wrong"), (place, part), |policy| {
                        if let Deed::Staged(staged) = &mut policy.steps[index].deed {
                            staged.first = u32::MAX;
                        }
                    });
                }
                _ => {}
            }
        }
    }

    /// What is asked before anything is done.
    fn prechecks(&mut self) {
        for (index, precheck) in self.policy.prechecks.iter().enumerate() {
            let place = &precheck.place;
            let wanted = format!("the alert without what it asks for: {}", precheck.because);
            let refused = Part::Guard(Name::new(Guard::Precheck.word()));
            let what = format!("precheck {} is not asked", index + 1);
            self.add((&what, &wanted), (place, refused), |policy| drop(policy.prechecks.remove(index)));
            for (what, condition, wanted) in changed(&precheck.condition, "what the policy is for") {
                let what = format!("precheck {} {what}", index + 1);
                self.add((&what, &wanted), (place, Part::Step(first_deed(self.policy))), |policy| {
                    policy.prechecks[index].condition = condition;
                });
            }
        }
    }

    /// How a step's success is told.
    fn verification(&mut self, step: usize) {
        let Some(verify) = &self.policy.steps[step].verify else { return };
        let (place, number) = (&verify.place, step_number(step));
        let failed = || Part::Verify(number, Verification::Failed);
        let in_vain = format!("a fault that step {} does not cure", step + 1);
        let what = format!("step {} is not verified", step + 1);
        self.add((&what, &in_vain), (place, failed()), |policy| policy.steps[step].verify = None);
        if verify.hold > Span::ZERO {
            let what = format!("the verification of step {} need not hold for any time", step + 1);
            let wanted = format!("something that looks cured for less than {} after step {}", verify.hold, step + 1);
            self.add((&what, &wanted), (place, Part::Step(number)), |policy| {
                if let Some(own) = &mut policy.steps[step].verify {
                    own.hold = Span::ZERO;
                }
            });
        }
        let wide = times(verify.within);
        let what = format!("the verification of step {} waits {wide} and not {}", step + 1, verify.within);
        self.add((&what, &in_vain), (place, failed()), |policy| {
            if let Some(own) = &mut policy.steps[step].verify {
                own.within = wide;
            }
        });
        for (what, condition, wanted) in changed(&verify.condition, &format!("what step {} cures", step + 1)) {
            let what = format!("the verification of step {} {what}", step + 1);
            self.add((&what, &wanted), (place, Part::Step(number)), |policy| {
                if let Some(own) = &mut policy.steps[step].verify {
                    own.condition = condition;
                }
            });
        }
    }

    /// What follows a failure.
    fn failure(&mut self, step: usize) {
        if self.policy.steps[step].on_failure != OnFailure::Revert {
            return;
        }
        let place = self.policy.steps[step].verify.as_ref().map_or(&self.policy.places.steps, |verify| &verify.place);
        let what = format!("step {} is not undone if it fails", step + 1);
        let wanted = format!("a fault that step {} makes worse", step + 1);
        self.add((&what, &wanted), (place, Part::OnFailure(step_number(step))), |policy| {
            policy.steps[step].on_failure = OnFailure::Escalate
        });
    }

    /// How much may be touched at a time.
    fn caps(&mut self) {
        for (index, cap) in self.policy.guards.caps.iter().enumerate() {
            let place = self.place_of("caps");
            let refused = Part::Guard(Name::new("caps"));
            let what = format!("cap {} allows everything ({})", index + 1, cap.describe(&format!("each {}", cap.scope.word())));
            let wanted = format!("more targets in need at a time than the cap lets through in a {}", cap.scope.word());
            let all = match cap.of {
                // There is no share of targets: what is declared are replicas.
                CapOf::Targets => Most::Count(u64::MAX),
                CapOf::Replicas | CapOf::Capacity => Most::Share(Ratio::new(1.0).expect("all of it is a share"), cap_rounding()),
            };
            self.add((&what, &wanted), (&place, refused), |policy| policy.guards.caps[index].max = all);
        }
    }

    /// Every other guard that the policy asks for, left out.
    fn limits(&mut self) {
        for (index, limit) in self.policy.guards.rate_limits.iter().enumerate() {
            if is_out_of_reach(limit, self.policy) {
                continue;
            }
            let place = self.place_of("rate_limit");
            let (max, window) = (limit.max, limit.window);
            let what = format!("there is no limit of {max} starts within {window} ({})", limit.scope.word());
            let wanted = format!("the alert more than {max} times within {window}");
            self.add((&what, &wanted), (&place, Part::Guard(Name::new("rate_limit"))), |policy| {
                policy.guards.rate_limits.remove(index);
            });
        }
        for guard in Guard::ALL {
            let Some((drop, wanted)) = dropped(guard) else { continue };
            let mut without = self.policy.clone();
            drop(&mut without);
            if without.guards.has(guard) == self.policy.guards.has(guard) {
                continue;
            }
            let place = self.place_of(guard.word());
            let what = format!("the guard {} is left out", guard.word());
            self.add((&what, wanted), (&place, Part::Guard(Name::new(guard.word()))), drop);
        }
    }

    fn place_of(&self, guard: &str) -> Place {
        self.guards.get(guard).unwrap_or(&self.policy.places.steps).clone()
    }
}

/// Whether a limit never refuses, because the rest after each action keeps starts too far apart to come to it: without it the policy is the same in
/// every world. That is so of a remediation that is one action, on what the limit counts by, if as many rests as there may be starts last
/// at least as long as its window: a rest begins when an action ends, so the starts are further apart than that.
fn is_out_of_reach(limit: &RateLimit, policy: &Policy) -> bool {
    let Some(cooldown) = &policy.guards.cooldown else { return false };
    let acts: Vec<usize> = (0..policy.steps.len()).filter(|index| !is_word(&policy.steps[*index].deed)).collect();
    let [only] = acts.as_slice() else { return false };
    let step = &policy.steps[*only];
    let counts_by_it = match limit.scope {
        Scope::Target => true,
        Scope::Service => policy.target_of(*only).kind == TargetKind::Service,
        _ => false,
    };
    let rests = cooldown.same_policy.as_nanos().saturating_mul(u64::from(limit.max));
    let is_one = matches!(step.deed, Deed::Act(_)) && step.on_failure != OnFailure::Revert;
    is_one && counts_by_it && rests >= limit.window.as_nanos()
}

/// All of a count, rounded in either way, is all of it.
const fn cap_rounding() -> firedrill_core::quantity::Rounding {
    firedrill_core::quantity::Rounding::Floor
}

/// A weakening of a policy.
type Weaken = fn(&mut Policy);

/// How a guard is left out, and what would have to happen for anybody to miss it; `None` for those that have mutants of their own or that no
/// policy can be without.
fn dropped(guard: Guard) -> Option<(Weaken, &'static str)> {
    let (drop, wanted): (Weaken, _) = match guard {
        Guard::Stage | Guard::Dedup | Guard::Precheck | Guard::Caps | Guard::RateLimit | Guard::Code => return None,
        Guard::KillSwitch => (|policy| policy.guards.kill_switch = None, "the kill switch thrown while the alert is on"),
        Guard::Freeze => (|policy| policy.guards.freezes.clear(), "the alert during a freeze"),
        Guard::Change => (|policy| policy.guards.change = None, "the alert during a change of its target"),
        Guard::DetectorSanity => (|policy| policy.guards.detector_sanity = None, "a fault of monitoring that looks like the alert"),
        Guard::CorrelatedFailure => (|policy| policy.guards.correlated_failure = None, "a common cause behind many failures"),
        Guard::Confidence => (|policy| policy.guards.confidence = None, "the alert where the policy is not sure"),
        Guard::MaxUnhealthy => (|policy| policy.guards.max_unhealthy = None, "the alert where much is unhealthy"),
        Guard::DisruptionBudget => (|policy| policy.guards.disruption_budget = None, "the alert where little may be taken"),
        Guard::Cooldown => (|policy| policy.guards.cooldown = None, "the alert again soon after an action on the same target"),
        Guard::Backoff => (|policy| policy.guards.backoff = None, "the alert again and again on one target"),
        Guard::IneffectiveChain => (|policy| policy.guards.ineffective_chain = None, "a fault that no action cures"),
        Guard::MutualExclusion => (|policy| policy.guards.mutual_exclusion = None, "another policy at work on the same target"),
        Guard::Breaker => (
            |policy| {
                policy.guards.breaker = None;
                policy.guards.harm = None;
            },
            "a fault that the policy makes worse again and again",
        ),
        Guard::Approval => (|policy| policy.guards.approval = None, "an action that people would not allow"),
        Guard::Canary => (|policy| policy.guards.canary = None, "several targets for which the action goes wrong"),
    };
    Some((drop, wanted))
}

/// The first step that does something to the world.
fn first_deed(policy: &Policy) -> u32 {
    step_number(policy.steps.iter().position(|step| !is_word(&step.deed)).unwrap_or(0))
}

/// Whether a step only tells, looks or waits.
const fn is_word(deed: &Deed) -> bool {
    matches!(deed, Deed::Notify(_) | Deed::Collect(_) | Deed::Wait(_) | Deed::Escalate(_))
}

fn step_number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn times(span: Span) -> Span {
    Span::from_nanos(span.as_nanos().saturating_mul(WIDER))
}

/// Whether every action that is aimed at the policy's own target could be aimed at a service as well.
fn acts_on_services_too(policy: &Policy) -> bool {
    policy.actions().all(|(action, target)| *target != policy.target || TargetKind::fit_for(action).contains(&TargetKind::Service))
}

/// Aims at `to` whatever is aimed at `from`: the policy, its steps, and what they consist of.
fn aim(policy: &mut Policy, from: &TargetSource, to: &TargetSource) {
    let turn = |target: &mut TargetSource| {
        if target == from {
            *target = to.clone();
        }
    };
    turn(&mut policy.target);
    for step in &mut policy.steps {
        step.target.iter_mut().for_each(turn);
        match &mut step.deed {
            Deed::Choose(candidates) => candidates.iter_mut().filter_map(|own| own.target.as_mut()).for_each(turn),
            Deed::Parallel(parts) => parts.iter_mut().filter_map(|own| own.target.as_mut()).for_each(turn),
            Deed::Own(own) => own.models.iter_mut().filter_map(|own| own.target.as_mut()).for_each(turn),
            _ => {}
        }
    }
}

/// Something of the same kind that is there in most of what is rehearsed, before all what was never acted on; of equals the last by name. `None` where
/// the policy names its target itself, for then there is nothing that an alert could tell it, and where there is nothing else.
fn other_target(own: &TargetSource, inventories: &[Inventory], touched: &BTreeSet<Name>) -> Option<Name> {
    if matches!(own.name, NameSource::Literal(_)) {
        return None;
    }
    let mut counts: BTreeMap<Name, usize> = BTreeMap::new();
    for name in inventories.iter().flat_map(|inventory| names(own.kind, inventory)) {
        *counts.entry(name).or_default() += 1;
    }
    if counts.len() < 2 {
        return None;
    }
    counts.into_iter().max_by_key(|(name, count)| (!touched.contains(name), *count, name.clone())).map(|(name, _)| name)
}

fn names(kind: TargetKind, inventory: &Inventory) -> Vec<Name> {
    match kind {
        TargetKind::Service => inventory.services.keys().cloned().collect(),
        TargetKind::Replica => inventory.services.keys().map(|service| Inventory::replica_name(service, 0)).collect(),
        TargetKind::Zone => inventory.zones(),
        TargetKind::Client => inventory.clients.clone(),
        TargetKind::Node => inventory.nodes.keys().cloned().collect(),
    }
}

/// A condition the other way round, and with wider windows, each with what was done and what would show it.
fn changed(condition: &Condition, where_it_is_true: &str) -> Vec<(String, Condition, String)> {
    let text = condition.plan().text();
    let inverted = inverted(text).and_then(|(text, from, to)| {
        Some((format!("asks for {to} where it asked for {from}"), Condition::parse(&text).ok()?, where_it_is_true.to_owned()))
    });
    let widened = widened(text).and_then(|text| {
        let wanted = "something that was so before and is not any more".to_owned();
        Some((format!("looks {WIDER} times as far back"), Condition::parse(&text).ok()?, wanted))
    });
    inverted.into_iter().chain(widened).collect()
}

/// The opposite of each comparison; longer signs first, since the shorter begin them.
const OPPOSITES: [(&str, &str); 6] = [(">=", "<"), ("<=", ">"), ("==", "!="), ("!=", "=="), (">", "<="), ("<", ">=")];

/// The expression with its outermost comparison the other way round, and the two signs; of several the last, which is the root if one is.
fn inverted(text: &str) -> Option<(String, &'static str, &'static str)> {
    let mut found = None;
    let (mut depth, mut quote, mut at) = (0_i32, None::<char>, 0);
    while let Some(character) = text[at..].chars().next() {
        let mut step = character.len_utf8();
        match (quote, character) {
            (Some(_), '\\') => step += text[at + step..].chars().next().map_or(0, char::len_utf8),
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')' | '}' | ']') => depth -= 1,
            (None, _) if depth == 0 => {
                if let Some((sign, opposite)) = OPPOSITES.into_iter().find(|(sign, _)| text[at..].starts_with(sign)) {
                    found = Some((at, sign, opposite));
                    step = sign.len();
                }
            }
            (None, _) => {}
        }
        at += step;
    }
    let (at, sign, opposite) = found?;
    Some((format!("{}{opposite}{}", &text[..at], &text[at + sign.len()..]), sign, opposite))
}

/// The expression with every range ten times as long; `None` without one.
fn widened(text: &str) -> Option<String> {
    let mut wide = String::new();
    let mut pieces = text.split('[');
    wide.push_str(pieces.next()?);
    let mut is_changed = false;
    for piece in pieces {
        wide.push('[');
        let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
        match digits.parse::<u64>().ok().and_then(|count| count.checked_mul(WIDER)) {
            Some(count) => {
                wide.push_str(&count.to_string());
                wide.push_str(&piece[digits.len()..]);
                is_changed = true;
            }
            None => wide.push_str(piece),
        }
    }
    is_changed.then_some(wide)
}

/// Where the guards of a policy stand in its file, by their words.
fn guard_places(policy: &Policy) -> BTreeMap<String, Place> {
    let file = policy.places.steps.file();
    let Ok(node) = yaml::parse(&file.path, &file.text) else { return BTreeMap::new() };
    let entries = |node: &Node| match &node.value {
        Value::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let guards = entries(&node).into_iter().find(|(key, _)| &*key.text == "guard").map(|(_, node)| entries(&node)).unwrap_or_default();
    guards.into_iter().map(|(key, _)| (key.text.to_string(), key.place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{EVERY_GUARD, read_policy};
    use crate::guard::fixture;

    const RESTART: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
precheck:
  - expr: up{service=$service, pod=~\"a>b.*\"} == 0
    because: a replica that answers is not restarted
steps:
  - restart: { mode: rolling }
    verify: { expr: 'rate(served{pod=$pod}[1m]) > 0', hold: 15s, within: 3m }
    on_failure: escalate
  - scale: { by: 1 }
    target: { service: $service }
    verify: { expr: 'up{pod=$pod} == 1', within: 2m }
    on_failure: revert
guard:
  cooldown: 5m
  rate_limit: [{ max: 2, window: 30m, scope: target }]
  caps: [{ scope: service, of: replicas, max: 34%, at_least: 1, rounding: floor }]
";

    fn told(text: &str) -> Vec<String> {
        let policy = read_policy("restart.yaml", text).unwrap();
        mutants(&policy, &[fixture::inventory()], &BTreeSet::new())
            .iter()
            .map(|mutant| format!("{} {} ({})", mutant.place.line(), mutant.what, mutant.part))
            .collect()
    }

    #[test]
    fn each_part_is_weakened_once_and_named_with_its_place() {
        let expected = [
            "6 it always acts on replica/cart-0, whatever the alert names (step 1)",
            "6 it acts on all replicas of the service instead of one (step 1)",
            "8 precheck 1 is not asked (guard precheck refused)",
            "8 precheck 1 asks for != where it asked for == (step 1)",
            "12 step 1 is not verified (verify of step 1 failed)",
            "12 the verification of step 1 need not hold for any time (step 1)",
            "12 the verification of step 1 waits 30m and not 3m (verify of step 1 failed)",
            "12 the verification of step 1 asks for <= where it asked for > (step 1)",
            "12 the verification of step 1 looks 10 times as far back (step 1)",
            "16 step 2 is not verified (verify of step 2 failed)",
            "16 the verification of step 2 waits 20m and not 2m (verify of step 2 failed)",
            "16 the verification of step 2 asks for != where it asked for == (step 2)",
            "16 step 2 is not undone if it fails (on_failure of step 2)",
            "21 cap 1 allows everything (34% of the replicas of each service, rounded down, at least 1) (guard caps refused)",
            "20 there is no limit of 2 starts within 30m (target) (guard rate_limit refused)",
            "19 the guard cooldown is left out (guard cooldown refused)",
        ];
        assert_eq!(told(RESTART), expected);
    }

    #[test]
    fn a_wrong_target_is_one_that_the_policy_has_not_acted_on() {
        let policy = read_policy("restart.yaml", RESTART).unwrap();
        let touched = |names: &[&str]| names.iter().map(|name| Name::new(name)).collect::<BTreeSet<_>>();
        let other = |names: &[&str]| other_target(&policy.target, &[fixture::inventory()], &touched(names));
        assert_eq!(other(&["cart-0"]), Some(Name::new("api-0")));
        assert_eq!(other(&["cart-0", "api-0"]), Some(Name::new("cart-0")));
    }

    #[test]
    fn every_mutant_differs_from_the_policy_and_from_every_other() {
        let policy = read_policy("restart.yaml", RESTART).unwrap();
        let mut hashes: Vec<String> =
            mutants(&policy, &[fixture::inventory()], &BTreeSet::new()).iter().map(|own| own.policy.hash()).collect();
        hashes.push(policy.hash());
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn a_policy_is_left_without_each_guard_that_it_asks_for_and_only_that() {
        let kept = [Guard::Stage, Guard::Dedup, Guard::Code];
        let mut left_out = BTreeSet::new();
        for policy in [RESTART, EVERY_GUARD].map(|text| read_policy("restart.yaml", text).unwrap()) {
            let asks = |policy: &Policy, guard: Guard| match guard {
                Guard::Precheck => !policy.prechecks.is_empty(),
                _ => policy.guards.has(guard),
            };
            for guard in Guard::ALL {
                let word = guard.word();
                let Some(bare) = without(&policy, guard) else {
                    assert!(kept.contains(&guard) || !asks(&policy, guard), "{word}");
                    continue;
                };
                assert!(asks(&policy, guard) && !asks(&bare, guard), "{word}");
                let mut others = Guard::ALL.into_iter().filter(|other| *other != guard);
                assert!(others.all(|other| asks(&bare, other) == asks(&policy, other)), "{word}");
                left_out.insert(guard);
            }
        }
        assert_eq!(left_out.len(), Guard::ALL.len() - kept.len());
    }

    #[test]
    fn a_limit_that_the_rest_keeps_out_of_reach_is_not_left_out() {
        let limited = |from: &str, to: &str| {
            let whole = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $service }
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{service=$service} == 1', within: 2m }
  - escalate: { to: oncall }
guard:
  cooldown: 30m
  rate_limit: [{ max: 2, window: 1h, scope: service }]
";
            assert!(whole.contains(from));
            told(&whole.replace(from, to)).iter().any(|line| line.contains("there is no limit"))
        };
        assert!(!limited("", ""), "the third start in an hour is more than an hour after the first");
        assert!(limited("cooldown: 30m", "cooldown: 29m"));
        assert!(limited("scope: service", "scope: all"), "other services count too");
        assert!(limited("max: 2", "max: 1"));
        assert!(limited("  - escalate", "  - restart: { mode: at_once }\n  - escalate"), "the steps of one remediation do not rest");
        let verify = "    verify: { expr: 'up{service=$service} == 1', within: 2m }";
        let undone = format!("scale: {{ by: 1 }}\n{verify}\n    on_failure: revert");
        assert!(limited(&format!("restart: {{ mode: rolling }}\n{verify}"), &undone), "what is undone does not rest");
        assert!(limited("{ service: $service }", "{ replica: $pod }"), "other replicas count too");
    }

    #[test]
    fn every_guard_that_a_policy_asks_for_is_left_out_once() {
        let told = told(EVERY_GUARD);
        let left_out = told.iter().filter(|line| line.contains("is left out") || line.contains("there is no limit")).count();
        let policy = read_policy("restart.yaml", EVERY_GUARD).unwrap();
        let asked = Guard::ALL.into_iter().filter(|guard| dropped(*guard).is_some() && policy.guards.has(*guard)).count();
        assert_eq!(left_out, asked + policy.guards.rate_limits.len(), "{told:#?}");
        assert!(asked > 12);
    }

    #[test]
    fn the_outermost_comparison_is_turned_and_what_stands_in_texts_and_brackets_is_not() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(inverted(text).map(|found| found.0).as_deref(), expected, "{text}");
        check("up{a!=\"x\"} == 0", Some("up{a!=\"x\"} != 0"));
        check("sum(a > bool 1) >= 3", Some("sum(a > bool 1) < 3"));
        check("a > 1 and b < 2", Some("a > 1 and b >= 2"));
        check("absent(up{a=~'x>=y'})", None);
    }

    #[test]
    fn windows_become_ten_times_as_long() {
        assert_eq!(widened("rate(x[1m]) > avg_over_time(y[30s:5s])").as_deref(), Some("rate(x[10m]) > avg_over_time(y[300s:5s])"));
        assert_eq!(widened("x > 1"), None);
    }
}
