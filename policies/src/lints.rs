//! What `check` finds in policies that read well: what is likely not meant, held against rules, scenarios and what can be seen there.

mod catalogue;
mod bounds;
mod formulas;
mod guards;
mod habits;
mod values;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem, near_miss};
use firedrill_core::yaml::{self, Node, Value};
use firedrill_telemetry::promql::{Condition, Presence};
use firedrill_telemetry::universe::{Held, Shape};

use crate::alertmanager::{Config, no_receiver_to_listen_at, no_receivers};
use crate::correlation::Sharing;
use crate::guard::caps::{self, CapOf, Part};
use crate::guard::dedup::Remediations;
use crate::guard::{Guard, Proposal, owner_of};
use crate::policy::{NameSource, Policy, TargetKind, TargetSource};
use crate::problem;
use crate::rules::lint::comments;
use crate::rules::{Coverage, Outlook, Reason, RuleSet};

/// A policy that listens where nothing can be heard: at a receiver that the Alertmanager configuration does not have, or without any.
#[must_use]
pub fn deaf(policy: &Policy, config: Option<&Config>) -> Option<Problem> {
    let (receiver, place) = (policy.receiver.as_ref()?, policy.places.receiver.as_ref()?);
    let Some(config) = config else { return Some(no_receivers(place, receiver)) };
    let names: Vec<&str> = config.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    let is_there = names.contains(&receiver.as_str());
    (!is_there).then(|| no_receiver_to_listen_at(place, receiver, near_miss(receiver, &names)))
}

pub use catalogue::{POLICY_LINTS, PolicyLint};

/// What policies are held against.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The rules that alert.
    pub rules: &'a RuleSet,
    /// What they can say, scenario by scenario; if there is none, it is left unchecked.
    pub outlooks: &'a [Outlook<'a>],
    /// What the scenarios declare, all together; if there is none, caps and names are left unchecked.
    pub inventory: &'a Inventory,
    /// Services of the scenarios whose number of replicas an autoscaler sets.
    pub autoscaled: &'a BTreeSet<Name>,
    /// Alerts that other rules have, which are not among these.
    pub elsewhere: &'a BTreeSet<Name>,
    /// Whether these rules and those elsewhere are the library's alone, for want of others.
    pub is_library: bool,
}

/// Policies that wait for an alert which no rule has where they are played and do not say in a comment why, as warnings.
#[must_use]
pub fn unheard<'a>(policies: &[Arc<Policy>], rules: impl Iterator<Item = &'a RuleSet> + Clone) -> Vec<Problem> {
    let alerting = rules.flat_map(RuleSet::rules).filter(|(_, rule)| rule.is_alerting());
    let known: BTreeSet<&str> = alerting.map(|(_, rule)| rule.name.as_str()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    let mut found = Vec::new();
    for policy in policies {
        let unknown = policy.alerts.iter().zip(&policy.places.alerts).filter(|(alert, _)| !known.contains(&alert.as_str()));
        let told = unknown
            .map(|(alert, place)| (place, problem::no_such_alert(place, &policy.name, alert, near_miss(alert, &known)).as_warning()));
        found.extend(told.filter(|(place, problem)| !allows(place, problem.code)).map(|(_, problem)| problem));
    }
    found
}

/// Whether a comment in the file of a place allows a code, and says why.
fn allows(place: &Place, code: &str) -> bool {
    let file = place.file();
    comments(&file.path, &file.text).iter().any(|allowance| allowance.code == code && allowance.has_reason)
}

/// A policy's file, to find the place of a word in it.
#[derive(Debug)]
pub struct Written<'a> {
    path: &'a str,
    root: Option<Node>,
}

impl<'a> Written<'a> {
    /// The file of this path and text.
    #[must_use]
    pub fn new(path: &'a str, text: &str) -> Self {
        Self { path, root: yaml::parse(path, text).ok() }
    }

    /// The problem at the first scalar that is this text, or else has it in it.
    fn placed(&self, mut problem: Problem, text: &str) -> Problem {
        let root = self.root.as_ref();
        let is = |found: &str| found.trim() == text.trim();
        let has = |found: &str| found.contains(text);
        problem.place = root.and_then(|root| scalar(root, &is).or_else(|| scalar(root, &has)));
        problem
    }
}

/// The place of the first text below a node that is wanted.
fn scalar(node: &Node, wanted: &dyn Fn(&str) -> bool) -> Option<Place> {
    match &node.value {
        Value::Text(text) => wanted(text).then(|| node.place.clone()),
        Value::List(items) => items.iter().find_map(|item| scalar(item, wanted)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| scalar(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => None,
    }
}

/// What is likely not meant in a policy that reads well, as warnings.
#[must_use]
pub fn lints(written: &Written<'_>, policy: &Policy, ground: Ground<'_>) -> Vec<Problem> {
    let inventory = ground.inventory;
    let mut found = Vec::new();
    for (alert, place) in policy.alerts.iter().zip(&policy.places.alerts) {
        found.extend(alert_lints(written, policy, (alert, place), ground));
    }
    found.extend(unknown_targets(written, policy, inventory));
    found.extend(policy.conditions().filter_map(|condition| condition_lint(written, policy, condition, ground.outlooks)));
    found.extend(formulas::formulas(written, policy, ground.outlooks));
    found.extend(guards::asked(written, policy, ground.outlooks));
    let acts = policy.actions().next().is_some();
    if acts && policy.steps.iter().all(|step| step.verify.is_none()) {
        found.push(problem::nothing_verified(&policy.places.steps, &policy.name));
    }
    found.extend(values::values(policy, ground.outlooks));
    let undeclared = bounds::undeclared(policy, inventory);
    let is_undeclared = undeclared.is_some();
    found.extend(undeclared);
    let never: Vec<_> = inventory.services.keys().filter_map(|service| never_acts(policy, service, inventory)).collect();
    if let Some((_, action, figures)) = never.first().filter(|_| !is_undeclared) {
        let services: Vec<&str> = never.iter().map(|(service, _, _)| service.as_str()).collect();
        found.push(problem::can_never_act(policy.places.guard(Guard::Caps), &policy.name, &services, (action, figures)));
    }
    let grave: Vec<(&Name, Taken)> =
        inventory.services.keys().filter_map(|service| Some((service, takes_gravely(policy, service, inventory)?))).collect();
    let all: Vec<&str> = grave.iter().filter(|(_, taken)| taken.is_all()).map(|(service, _)| service.as_str()).collect();
    if !all.is_empty() {
        let has_cap = policy.guards.caps.iter().any(|cap| cap.of != CapOf::Targets);
        found.push(problem::can_act_on_all(policy.places.guard(Guard::Caps), &policy.name, (&all, has_cap)));
    } else {
        found.extend(bounds::beyond(policy, inventory));
    }
    found.extend(bounds::spares_all(policy, inventory));
    found.extend(guards::too_many_services(policy, inventory));
    let fewer: Vec<String> = grave.iter().filter(|(_, taken)| !taken.is_all()).map(|(service, taken)| taken.of(service)).collect();
    if !fewer.is_empty() {
        found.push(problem::can_scale_down(policy.places.guard(Guard::Caps), &policy.name, &fewer));
    }
    found.extend(scales_what_is_scaled(policy, ground));
    found.extend(habits::habits(policy));
    found.extend(guards::idle(policy));
    found
}

/// A scaling of services whose number of replicas an autoscaler sets, by a policy that does not ask what that is at.
fn scales_what_is_scaled(policy: &Policy, ground: Ground<'_>) -> Option<Problem> {
    if policy.plans().any(|plan| plan.text().contains("horizontalpodautoscaler")) {
        return None;
    }
    let shapes: Vec<Shape> =
        policy.alerts.iter().flat_map(|alert| ground.outlooks.iter().flat_map(|outlook| outlook.alerts(alert))).collect();
    let may_be = |target: &TargetSource, service: &Name| match &target.name {
        NameSource::Literal(name) => name == service,
        NameSource::Label(label) => {
            let is_it = |held: &Held| Held::meets(Some(held), Some(&Held::Exactly(service.as_str().into())));
            shapes.iter().filter_map(|shape| shape.held(label)).any(is_it)
        }
    };
    let scalings: Vec<&TargetSource> =
        policy.actions().filter(|(action, _)| matches!(action, Action::Scale { .. })).map(|(_, target)| target).collect();
    let is_scaled = |service: &&Name| scalings.iter().any(|target| may_be(target, service));
    let services: Vec<&str> = ground.autoscaled.iter().filter(is_scaled).map(Name::as_str).collect();
    (!services.is_empty()).then(|| problem::scales_what_is_scaled(&policy.places.steps, &policy.name, &services))
}

/// What is likely not meant in several policies together, as warnings at the later of each two.
#[must_use]
pub fn overlaps<'a>(policies: impl IntoIterator<Item = &'a Arc<Policy>>, ground: Ground<'_>) -> Vec<Problem> {
    habits::overlaps(&policies.into_iter().map(Arc::as_ref).collect::<Vec<_>>(), ground.outlooks)
}

/// A policy that calls a receiver which tells nobody: receivers by name, each with whether it has a way to be told.
#[must_use]
pub fn unreceived(policy: &Policy, receivers: &[(Name, bool)]) -> Option<Problem> {
    habits::unreceived(policy, receivers)
}

/// A policy that asks for more people than there are: how many of each role, scenario by scenario.
#[must_use]
pub fn unanswerable(policy: &Policy, people: &[BTreeMap<Name, u64>]) -> Option<Problem> {
    guards::too_few_people(policy, people)
}

/// What is found in the policy of a file and is not allowed there by a comment, and what is wrong with such comments.
/// A comment anywhere in the file allows one code for the whole policy.
#[must_use]
pub fn allowed(path: &str, text: &str, found: Vec<Problem>) -> Vec<Problem> {
    let mut allowances = comments(path, text);
    let mut left = Vec::new();
    for problem in found {
        let by = allowances.iter_mut().find(|allowance| allowance.code == problem.code && allowance.has_reason);
        match by {
            Some(allowance) => allowance.is_used = true,
            None => left.push(problem),
        }
    }
    let codes: Vec<&str> = POLICY_LINTS.iter().map(|lint| lint.code).collect();
    // What depends on rules, scenarios and others may be there another time.
    let may_wait = |code: &str| POLICY_LINTS.iter().any(|lint| lint.code == code && !lint.is_of_the_policy);
    left.extend(allowances.iter().filter_map(|allowance| allowance.problem(&codes, "policies", may_wait(&allowance.code))));
    left
}

/// Policies that have one name, as errors.
#[must_use]
pub fn twins<'a>(policies: impl IntoIterator<Item = &'a Arc<Policy>>) -> Vec<Problem> {
    let (mut first, mut found) = (BTreeMap::new(), Vec::new());
    for policy in policies {
        let place = &policy.places.name;
        match first.entry(&policy.name) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(entry) => found.push(problem::policy_twice(place, &policy.name, &entry.get().file().path)),
        }
    }
    found
}

/// What is wrong with waiting for an alert: it is unknown, cannot fire, has other labels, or lacks those that the policy needs.
fn alert_lints(written: &Written<'_>, policy: &Policy, (alert, place): (&Name, &Place), ground: Ground<'_>) -> Vec<Problem> {
    let (path, name) = (written.path, &policy.name);
    let defined: Vec<_> = ground.rules.alerting(alert).map(|(_, rule)| rule).collect();
    if defined.is_empty() && ground.elsewhere.contains(alert) {
        return Vec::new();
    }
    if defined.is_empty() {
        let alerting = ground.rules.rules().filter(|(_, rule)| rule.is_alerting()).map(|(_, rule)| rule.name.as_str());
        let known: Vec<&str> = alerting.chain(ground.elsewhere.iter().map(Name::as_str)).collect();
        let near = near_miss(alert, &known);
        return vec![match ground.is_library {
            true => problem::not_held_against_rules(place, name, alert, near),
            false => problem::no_such_alert(place, name, alert, near),
        }];
    }
    if let Some(why) = never_fires(alert, ground.outlooks) {
        return vec![written.placed(problem::alert_never_fires(path, name, alert, &why), alert)];
    }
    let shapes: Vec<Shape> = ground.outlooks.iter().flat_map(|outlook| outlook.alerts(alert)).collect();
    let excluded = |matcher: &&firedrill_telemetry::labels::Matcher| {
        // A label that the rule itself sets is the same in every one of its alerts, wherever it fires.
        let set = |rule: &crate::rules::Rule| rule.fixed_labels().any(|(name, value)| **name == *matcher.name && !matcher.matches(value));
        let never = !shapes.is_empty() && !shapes.iter().any(|shape| shape.satisfies(matcher));
        never || defined.iter().all(|rule| set(rule))
    };
    if let Some(matcher) = policy.matchers.iter().find(excluded) {
        return vec![written.placed(problem::never_matches(path, name, alert, &matcher.to_string()), &matcher.value)];
    }
    if shapes.is_empty() {
        return Vec::new();
    }
    let carried: BTreeSet<&str> = shapes.iter().flat_map(Shape::names).map(|label| &**label).collect();
    let has = |label: &str| shapes.iter().any(|shape| shape.held(label).is_some());
    let absent = labels_of_an_alert(policy, &has).into_iter().filter(|label| !has(label));
    let mut found: Vec<Problem> = absent
        .map(|label| {
            let carried: Vec<&str> = carried.iter().copied().collect();
            let near = near_miss(&label, &carried);
            written.placed(problem::label_never_there(path, name, alert, (&label, near, &carried)), &format!("${label}"))
        })
        .collect();
    // An incident's labels are not its alerts' own.
    let own = targets(policy).filter(|_| policy.correlation.is_none());
    found.extend(own.filter_map(|target| named_by_none(written, target, (alert, &shapes, ground.inventory))));
    found
}

/// The labels without which an alert is of no use to the policy: those that the policy needs, or those by which alerts become an incident.
fn labels_of_an_alert(policy: &Policy, has: &dyn Fn(&str) -> bool) -> BTreeSet<Name> {
    let Some(correlation) = &policy.correlation else { return policy.labels_needed() };
    match &correlation.scope {
        Sharing::Labels(labels) => labels.iter().cloned().collect(),
        Sharing::Service if !has("pod") => BTreeSet::from([Name::new("service")]),
        Sharing::Zone if !has("pod") && !has("service") => BTreeSet::from([Name::new("zone")]),
        Sharing::Service | Sharing::Zone | Sharing::Finest | Sharing::All => BTreeSet::new(),
    }
}

/// Why an alert fires in none of the scenarios.
fn never_fires(alert: &Name, outlooks: &[Outlook<'_>]) -> Option<String> {
    let judged = |outlook: &Outlook<'_>| {
        let rules = outlook.coverage().filter(|(_, rule, _)| rule.is_alerting() && rule.name == *alert);
        rules.map(|(_, _, coverage)| coverage).collect::<Vec<_>>()
    };
    match Coverage::joined(outlooks.iter().flat_map(judged))? {
        Coverage::Unsupported(why) => Some(why),
        Coverage::Never(reasons) => Some(reasons.first().map_or_else(String::new, |reason| reason.what.clone())),
        Coverage::Able(_) | Coverage::Always(_) => None,
    }
}

/// The policy's target and those of its steps and their parts.
fn targets(policy: &Policy) -> impl Iterator<Item = &TargetSource> {
    [&policy.target].into_iter().chain(policy.own_targets())
}

/// The names of a kind that the scenarios declare; replicas by the name that their service's first would have.
fn known(kind: TargetKind, inventory: &Inventory) -> BTreeSet<Name> {
    let services = inventory.services.iter();
    match kind {
        TargetKind::Service => inventory.services.keys().cloned().collect(),
        TargetKind::Replica => {
            services.flat_map(|(service, entry)| (0..entry.replicas).map(|index| Inventory::replica_name(service, index))).collect()
        }
        TargetKind::Zone => services.flat_map(|(_, entry)| entry.zones.iter().cloned()).collect(),
        TargetKind::Client => inventory.clients.iter().cloned().collect(),
        TargetKind::Node => inventory.nodes.keys().cloned().collect(),
    }
}

/// Targets by a name that no scenario declares. A replica may come to be, so its number is left open.
fn unknown_targets(written: &Written<'_>, policy: &Policy, inventory: &Inventory) -> Vec<Problem> {
    let mut found = Vec::new();
    for target in targets(policy).filter(|_| !inventory.services.is_empty()) {
        let NameSource::Literal(name) = &target.name else { continue };
        let known = known(target.kind, inventory);
        let is_replica = || target.kind == TargetKind::Replica && inventory.services.keys().any(|service| is_numbered(name, service));
        if !known.contains(name) && !is_replica() {
            let known: Vec<&str> = known.iter().map(Name::as_str).collect();
            found.push(written.placed(problem::no_such_target(written.path, target.kind.word(), name, &known), name));
        }
    }
    found
}

fn is_numbered(name: &str, service: &str) -> bool {
    let number = name.strip_prefix(service).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A target that a label names, where the label holds no name of that kind.
fn named_by_none(
    written: &Written<'_>,
    target: &TargetSource,
    (alert, shapes, inventory): (&Name, &[Shape], &Inventory),
) -> Option<Problem> {
    let NameSource::Label(label) = &target.name else { return None };
    let held: BTreeSet<&Held> = shapes.iter().filter_map(|shape| shape.held(label)).collect();
    let known = known(target.kind, inventory);
    let names_one = |held: &&Held| known.iter().any(|name| Held::meets(Some(held), Some(&Held::Exactly(name.as_str().into()))));
    if inventory.services.is_empty() || held.is_empty() || held.iter().any(names_one) {
        return None;
    }
    let held: Vec<String> = held.into_iter().map(ToString::to_string).collect();
    let problem = problem::label_names_none(written.path, alert, (target.kind.word(), label, &held));
    Some(written.placed(problem, &format!("${label}")))
}

/// A condition that finds nothing in any scenario, or says the same at all times.
fn condition_lint(written: &Written<'_>, policy: &Policy, condition: &Condition, outlooks: &[Outlook<'_>]) -> Option<Problem> {
    let prospects: Vec<_> = outlooks.iter().map(|outlook| (outlook, condition.prospect(outlook.universe()))).collect();
    let (_, first) = prospects.first()?;
    let presence = first.presence;
    if presence == Presence::Sometimes || prospects.iter().any(|(_, prospect)| prospect.presence != presence) {
        return None;
    }
    let reasons = prospects.iter().flat_map(|(outlook, prospect)| prospect.causes.iter().map(|cause| outlook.reason(cause)));
    // A number compared with a number is what somebody meant.
    let reason: Reason = reasons.min()?;
    let text = condition.plan().text();
    Some(
        written.placed(
            problem::condition_decided(written.path, &policy.name, presence == Presence::Always, (&reason.what, &reason.remedy)),
            text,
        ),
    )
}

/// Whether the caps refuse an action of the policy everywhere in a service, with nothing else in flight: which, and by what figures.
fn never_acts(policy: &Policy, service: &Name, inventory: &Inventory) -> Option<(Name, &'static str, String)> {
    policy.actions().find_map(|(action, source)| {
        let refusals = example_targets(source, service, inventory).into_iter().map(|target| refusal(policy, action, target, inventory));
        let figures = refusals.collect::<Option<Vec<String>>>()?.into_iter().next()?;
        Some((service.clone(), action.word(), figures))
    })
}

/// Replicas of a service that one action takes from their users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    replicas: u64,
    declared: u64,
}

impl Taken {
    const fn is_all(self) -> bool {
        self.replicas >= self.declared
    }

    fn of(self, service: &Name) -> String {
        format!("{} of {} in `{service}`", self.replicas, self.declared)
    }
}

/// The most replicas of a service that one action of the policy takes from their users at a time, if these are all and no cap
/// refuses it, or if it scales the service to fewer than are declared and there is no cap at all. Dedup lets a policy work on one target of a service at a time, so that one action is what
/// it can touch together.
fn takes_gravely(policy: &Policy, service: &Name, inventory: &Inventory) -> Option<Taken> {
    // Of a service with one replica nothing can be left: who acts there takes it, and who must not says so by a cap without `at_least`.
    let entry = inventory.services.get(service).filter(|entry| entry.replicas > 1)?;
    let declared = u64::from(entry.replicas);
    let is_uncapped = policy.guards.caps.is_empty();
    let taken = policy.actions().flat_map(|(action, source)| {
        let mut targets = example_targets(source, service, inventory);
        // A service in one zone gives up all when that zone is drained.
        if source.kind == TargetKind::Zone {
            targets.extend(entry.zones.first().filter(|_| entry.zones.len() == 1).cloned().map(Target::Zone));
        }
        targets.into_iter().filter_map(move |target| {
            let replicas = caps::replicas_taken(action, &target, &Part::Service(service.clone()), inventory);
            let is_grave = replicas >= declared || (is_uncapped && matches!(action, Action::Scale { .. }));
            (replicas > 0 && is_grave && refusal(policy, action, target, inventory).is_none()).then_some(Taken { replicas, declared })
        })
    });
    taken.max()
}

/// The figures by which the policy's caps refuse an action with nothing else in flight.
fn refusal(policy: &Policy, action: &Action, target: Target, inventory: &Inventory) -> Option<String> {
    let owner = owner_of(&target, inventory);
    let proposal = Proposal { policy: policy.name.clone(), incident: 0, action: action.clone(), target, owner };
    let answer = caps::check(
        &policy.guards.caps,
        &proposal,
        std::slice::from_ref(&proposal),
        &Remediations::default(),
        (inventory, &policy.guards.estate),
    );
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
        TargetKind::Node => {
            let is_near = |zone: &Name| entry.zones.contains(zone);
            inventory.nodes.iter().filter(|(_, zone)| is_near(zone)).map(|(node, _)| Target::Node(node.clone())).collect()
        }
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
    use firedrill_core::problem::Severity;

    fn rules() -> Arc<RuleSet> {
        RuleSet::read(library::RULE_FILES.iter().map(|entry| (entry.path, entry.text))).unwrap()
    }

    fn inventory(replicas: u32) -> Inventory {
        let entry = ServiceEntry { replicas, zones: vec![Name::new("a"), Name::new("b")], critical: true, calls: vec![] };
        Inventory { services: [(Name::new("api"), entry)].into(), clients: Vec::new(), ..Inventory::default() }
    }

    /// What is found by what policies are held against; their habits have tests of their own.
    fn grounded(written: &Written<'_>, policy: &Policy, ground: Ground<'_>) -> Vec<Problem> {
        let habits = habits::habits(policy);
        lints(written, policy, ground).into_iter().filter(|lint| !habits.contains(lint)).collect()
    }

    #[track_caller]
    fn check(text: &str, inventory: &Inventory, expected: &[&str]) {
        let policy = read_policy("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let rules = rules();
        let ground = Ground {
            rules: &rules,
            outlooks: &[],
            inventory,
            autoscaled: &BTreeSet::new(),
            elsewhere: &BTreeSet::new(),
            is_library: false,
        };
        let told: Vec<String> =
            grounded(&Written::new("p.yaml", text), &policy, ground).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect();
        assert_eq!(told, expected);
    }

    /// Checks a policy where there are a service `api`, its `up`, and an alert on it.
    #[track_caller]
    fn check_seen(text: &str, expected: &[&str]) {
        let policy = read_policy("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let rules =
            "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0, labels: { severity: page } }, { alert: Gone, expr: gone > 0 }] }]";
        let rules = RuleSet::read([("r.yaml", rules)]).unwrap();
        let mut up = Shape::of(&firedrill_telemetry::notation::parse_series(r#"up{service="api", job="kubelet"}"#).unwrap());
        up.put("pod", Held::Numbered { before: "api-".into(), after: "".into() });
        let mut universe = firedrill_telemetry::universe::Universe::new();
        universe.add("up", up);
        let outlooks = [Outlook::new(&rules, universe)];
        let ground = Ground {
            rules: &rules,
            outlooks: &outlooks,
            inventory: &inventory(4),
            autoscaled: &BTreeSet::from([Name::new("api")]),
            elsewhere: &BTreeSet::new(),
            is_library: false,
        };
        let line = |lint: &Problem| lint.place.as_ref().map_or(0, Place::line);
        let told: Vec<String> = grounded(&Written::new("p.yaml", text), &policy, ground)
            .iter()
            .map(|lint| format!("{}: {} {}; {}", line(lint), lint.code, lint.message, lint.remedy.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_policy_is_held_against_what_can_be_seen() {
        let sound = RESTART.replace("ReplicaHung", "Down");
        check_seen(&sound, &[]);
        check_seen(
            &RESTART.replace("ReplicaHung", "Gone"),
            &[
                "5: FD0331 `p` waits for `Gone`, which never fires here: nothing here exposes `gone`; mend the rule, or wait for an alert that can fire",
            ],
        );
        check_seen(&sound.replace("$pod", "$pid"), &["6: FD0337 `p` needs the label `pid`, and `Down` never has it; did you mean `pod`?"]);
        check_seen(
            &sound.replace("replica: $pod", "service: $job"),
            &["6: FD0338 the label `job` of `Down` never names a service; it is kubelet"],
        );
        check_seen(
            &sound.replace("replica: $pod", "service: apj"),
            &["6: FD0339 no scenario here has a service `apj`; did you mean `api`?"],
        );
        check_seen(&sound.replace("replica: $pod", "replica: api-17"), &[]);
        check_seen(
            &sound.replace("alert: Down", "alert: Down, match: { job: api }"),
            &["5: FD0332 `p` asks for job=\"api\", and `Down` never has it; match the labels that the alert has"],
        );
    }

    #[test]
    fn a_service_that_an_autoscaler_scales_is_not_scaled_against_it_unawares() {
        let scales = RESTART
            .replace("ReplicaHung", "Down")
            .replace("replica: $pod", "service: $service")
            .replace("restart: { mode: rolling }", "scale: { to: 6 }");
        let told = "7: FD0369 `p` scales api, which an autoscaler scales too: it takes away what this adds, or adds what this takes away; \
            ask first what it is at, as by `kube_horizontalpodautoscaler_spec_max_replicas`, or leave the service to it";
        check_seen(&scales, &[told]);
        check_seen(&scales.replace("$service", "api"), &[told]);
        let asks = "target: { service: $service }\nprecheck: [{ expr: 'absent(kube_horizontalpodautoscaler_spec_max_replicas)', because: it scales }]";
        let known = scales.replace("target: { service: $service }", asks);
        assert_ne!(known, scales);
        let policy = read_policy("p.yaml", &known).unwrap();
        let (rules, inventory, autoscaled) = (rules(), inventory(4), BTreeSet::from([Name::new("api")]));
        let ground = Ground {
            rules: &rules,
            outlooks: &[],
            inventory: &inventory,
            autoscaled: &autoscaled,
            elsewhere: &BTreeSet::new(),
            is_library: false,
        };
        assert_eq!(scales_what_is_scaled(&policy, ground), None);
    }

    #[test]
    fn alerts_that_share_nothing_become_no_incident() {
        let incident = |scope: &str| {
            let on = format!("on: {{ incident: {{ alerts: {{ of: [Down] }}, scope: {scope} }} }}");
            RESTART.replace("on: { alert: ReplicaHung }", &on).replace("replica: $pod", "replica: api-0")
        };
        check_seen(&incident("service"), &[]);
        check_seen(&incident("[service, pod]"), &[]);
        check_seen(
            &incident("[service, team]"),
            &["0: FD0337 `p` needs the label `team`, and `Down` never has it; its labels are alertname, job, pod, service, severity"],
        );
    }

    #[test]
    fn a_condition_that_can_only_say_one_thing_is_named() {
        let sound = RESTART.replace("ReplicaHung", "Down");
        check_seen(
            &sound.replace("expr: up == 1", "expr: upp == 1"),
            &["9: FD0340 this condition of `p` never finds anything: nothing here exposes `upp`; did you mean `up`?"],
        );
        check_seen(
            &sound.replace("expr: up == 1", "expr: absent(gone)"),
            &[
                "9: FD0340 this condition of `p` says the same at all times: nothing here exposes `gone`; expose it by a scenario (`metrics:` of a service)",
            ],
        );
    }

    #[test]
    fn scores_lists_and_evidence_are_held_against_what_can_be_seen() {
        let sound = RESTART.replace("ReplicaHung", "Down");
        let step = "  - restart: { mode: rolling }\n    verify: { expr: up == 1, within: 1m }\n";
        let choose = |score: &str| {
            let candidate = format!("      - {{ restart: {{ mode: rolling }}, score: '{score}', risk: low }}\n");
            sound.replace(step, &format!("  - choose:\n{candidate}    verify: {{ expr: up == 1, within: 1m }}\n"))
        };
        check_seen(&choose("1 - min(up)"), &[]);
        check_seen(
            &choose("1 - min(upp)"),
            &["9: FD0367 this score of `p` never finds anything: nothing here exposes `upp`; did you mean `up`?"],
        );
        let staged = |from: &str| {
            let each =
                format!("  - staged: {{ restart: {{ mode: rolling }}, each: {{ replica: pod, from: '{from}' }}, first: 1, then: 1 }}\n");
            sound.replace(step, &format!("{each}    verify: {{ expr: up == 1, within: 1m }}\n"))
        };
        check_seen(&staged("up == 0"), &[]);
        check_seen(
            &staged("gone == 0"),
            &[
                "8: FD0367 this list of targets of `p` never finds anything: nothing here exposes `gone`; expose it by a scenario (`metrics:` of a service)",
            ],
        );
        check_seen(
            &staged("sum by (service) (up) < 4"),
            &["8: FD0368 `p` reads its targets from the label `pod`, and what this finds never has it; its labels are service"],
        );
        let shown = |expression: &str| sound.replace("steps:", &format!("evidence: [{{ expr: '{expression}', because: so }}]\nsteps:"));
        check_seen(&shown("sum(up)"), &[]);
        check_seen(
            &shown("sum(up{service=\"cart\"})"),
            &["7: FD0367 this evidence of `p` never finds anything: no series of `up` has service=\"cart\"; here `service` is api"],
        );
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
        let policy = read_policy("p.yaml", &RESTART.replace("ReplicaHung", "ReplicaHang")).unwrap();
        let told = unheard(&[policy], std::iter::once(&*rules()));
        assert!(told[0].severity == Severity::Warning && told[0].remedy.as_deref() == Some("did you mean `ReplicaHung`?"), "{told:?}");
        let matched = RESTART.replace("alert: ReplicaHung", "alert: ReplicaHung, match: { severity: warning }");
        check(&matched, &inventory(4), &["FD0332 `p` asks for severity=\"warning\", and `ReplicaHung` never has it"]);
    }

    #[test]
    fn an_alert_of_other_rules_is_no_mistake_and_without_any_rules_it_is_not_known() {
        let text = RESTART.replace("ReplicaHung", "Elsewhere");
        let policy = read_policy("p.yaml", &text).unwrap();
        let (rules, inventory) = (rules(), inventory(4));
        let mut elsewhere = BTreeSet::from([Name::new("Elsewhere")]);
        let told = |elsewhere: &BTreeSet<Name>, is_library: bool| {
            let autoscaled = BTreeSet::new();
            let ground = Ground { rules: &rules, outlooks: &[], inventory: &inventory, autoscaled: &autoscaled, elsewhere, is_library };
            let found = grounded(&Written::new("p.yaml", &text), &policy, ground);
            found.into_iter().map(|lint| (lint.severity, lint.message)).collect::<Vec<_>>()
        };
        assert_eq!(told(&elsewhere, false), []);
        elsewhere.clear();
        assert_eq!(told(&elsewhere, false), [(Severity::Error, "`p` waits for `Elsewhere`, and no rule alerts so".to_owned())]);
        let guess = "`p` waits for `Elsewhere`, and no rule of the library alerts so; no other rules are here to look in".to_owned();
        assert_eq!(told(&elsewhere, true), [(Severity::Warning, guess)]);
    }

    #[test]
    fn caps_are_computed_for_every_declared_service() {
        let strict = RESTART.replace(", at_least: 1", "");
        let never = "FD0333 `p` can never restart in `api`: 0 in flight + 1 > 0 (25% of the replicas of service/api, rounded down)";
        check(&strict, &inventory(3), &[never]);
        check(&strict, &inventory(4), &[]);
        check(RESTART, &inventory(1), &[]);
        check(&strict, &inventory(1), &[never]);
        let at_once = RESTART.replace("rolling", "at_once").replace("replica: $pod", "service: $service").replace("max: 25%", "max: 100%");
        check(&at_once, &inventory(4), &["FD0334 `p` can take all replicas at a time of `api`"]);
    }

    #[test]
    fn policies_overlap_only_by_what_can_come_to_both() {
        let policy = |name: &str, on: &str, target: &str, deed: &str| {
            let text = RESTART.replace("policy: p", &format!("policy: {name}")).replace("{ alert: ReplicaHung }", on);
            read_policy("p.yaml", &text.replace("replica: $pod", target).replace("restart: { mode: rolling }", deed)).unwrap()
        };
        let rules = "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0 }, { alert: Slow, expr: slow == 1 }] }]";
        let rules = RuleSet::read([("r.yaml", rules)]).unwrap();
        let mut universe = firedrill_telemetry::universe::Universe::new();
        for series in [r#"up{service="api"}"#, r#"slow{service="web"}"#] {
            let labels = firedrill_telemetry::notation::parse_series(series).unwrap();
            universe.add(series.split('{').next().unwrap(), Shape::of(&labels));
        }
        let (outlooks, inventory) = ([Outlook::new(&rules, universe)], inventory(4));
        let told = |one: &Arc<Policy>, other: &Arc<Policy>| {
            let nobody = BTreeSet::new();
            let ground = Ground {
                rules: &rules,
                outlooks: &outlooks,
                inventory: &inventory,
                autoscaled: &nobody,
                elsewhere: &BTreeSet::new(),
                is_library: false,
            };
            overlaps([one, other], ground).into_iter().map(|lint| lint.code).collect::<Vec<_>>()
        };
        let restart = "restart: { mode: rolling }";
        let down = policy("p", "{ alert: Down }", "service: $service", restart);
        assert_eq!(told(&down, &policy("q", "{ alert: Down }", "service: $service", restart)), ["FD0356"]);
        let of_team = policy("q", "{ alert: Down, match: { team: a } }", "service: $service", restart);
        assert_eq!(told(&down, &of_team), [""; 0], "`Down` never has a team");
        let slow = |target: &str| policy("q", "{ alert: Slow }", target, "rollback: {}");
        assert_eq!(told(&down, &slow("service: $service")), [""; 0], "one is about api, the other about web");
        assert_eq!(told(&down, &slow("service: api")), ["FD0366"]);
        assert_eq!(told(&down, &slow("service: $team")), [""; 0], "no alert names a team");
    }

    #[test]
    fn guards_that_keep_back_everything_or_nothing_are_named() {
        let guard =
            |guard: &str| RESTART.replace("  caps: [{ scope: service, of: replicas, max: 25%, rounding: floor, at_least: 1 }]\n", guard);
        let cap = "the cap of 1000 replicas of service in `p` keeps nothing back: there are no more than that";
        check(&guard("  caps: [{ scope: service, of: replicas, max: 1000 }]\n"), &inventory(4), &[&format!("FD0325 {cap}")]);
        check(&guard("  caps: [{ scope: service, of: replicas, max: 3 }]\n"), &inventory(4), &[]);
        check(&guard("  caps: [{ scope: zone, of: targets, max: 4 }]\n"), &inventory(4), &[]);
        let gate = |max: &str| {
            guard(&format!(
                "  caps: [{{ scope: all, of: targets, max: 1 }}]\n  max_unhealthy: {{ healthy: up == 1, scope: service, max: {max} }}\n"
            ))
        };
        let open = "FD0325 `max_unhealthy` of 100%, rounded down in `p` keeps nothing back: there are no more than that";
        check(&gate("100%, rounding: floor"), &inventory(4), &[open]);
        check(&gate("99%, rounding: floor"), &inventory(4), &[]);
        let budget = |more: &str| guard(&format!("  disruption_budget: {{ healthy: up == 1, scope: service, {more} }}\n"));
        let never = "FD0324 `p` can never restart: of the declared 100%, rounded up must stay healthy, so none may be taken";
        check(&budget("desired: 100%, rounding: ceil"), &inventory(4), &[never]);
        check(&budget("desired: 100%, rounding: ceil, target: unhealthy"), &inventory(4), &[]);
        check(&budget("desired: 75%, rounding: ceil"), &inventory(4), &[]);
        check(&budget("desired: quorum"), &inventory(1), &[]);
        // Of each zone half stays of api and of cart; of cart's two, both in a, none would.
        let mut two = inventory(4);
        two.services.insert(Name::new("cart"), ServiceEntry { replicas: 2, zones: vec![Name::new("a")], critical: true, calls: vec![] });
        let drains = |text: String| text.replace("restart: { mode: rolling }", "drain: {}").replace("replica: $pod", "zone: a");
        let never = "FD0324 `p` can never drain: of the declared 50%, rounded up must stay healthy, so none may be taken";
        let capped = |more: &str| drains(budget(more)) + "  caps: [{ scope: service, of: replicas, max: 1 }]\n";
        let told = |text: &str| {
            let policy = read_policy("p.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
            bounds::spares_all(&policy, &two).map(|lint| format!("{} {}", lint.code, lint.message))
        };
        assert_eq!(told(&capped("desired: 50%, rounding: ceil")).as_deref(), Some(never));
        assert_eq!(told(&capped("desired: 0")), None);
        assert_eq!(told(&capped("desired: 50%, rounding: ceil").replace("zone: a", "zone: b")), None, "no replica of cart stands there");
        let nowhere = "FD0326 the cap by cluster of `p` refuses everything in `a`, `b`, of which no cluster is declared";
        check(&guard("  caps: [{ scope: cluster, of: targets, max: 1 }]\n"), &inventory(4), &[nowhere]);
    }

    #[test]
    fn a_comparison_with_what_no_value_can_be_is_named() {
        let asks = |prechecks: &[&str]| {
            let each = prechecks.iter().map(|expr| format!("{{ expr: '{expr}', because: so }}")).collect::<Vec<_>>().join(", ");
            RESTART.replace("ReplicaHung", "Down").replace("steps:", &format!("precheck: [{each}]\nsteps:"))
        };
        let told = |prechecks: &[&str]| {
            let policy = read_policy("p.yaml", &asks(prechecks)).unwrap_or_else(|problems| panic!("{problems:?}"));
            let rules = RuleSet::read([("r.yaml", "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0 }] }]")]).unwrap();
            let mut universe = firedrill_telemetry::universe::Universe::new();
            universe.add("up", Shape::of(&firedrill_telemetry::notation::parse_series(r#"up{pod="api-0"}"#).unwrap()));
            universe.limit("up", 0.0, 1.0);
            let outlooks = [Outlook::new(&rules, universe)];
            values::values(&policy, &outlooks).iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect::<Vec<_>>()
        };
        let starts = |prechecks: &[&str], expected: &[&str]| {
            let found = told(prechecks);
            assert_eq!(found.len(), expected.len(), "{prechecks:?}: {found:?}");
            found.iter().zip(expected).for_each(|(found, expected)| assert!(found.starts_with(expected), "{found}"));
        };
        starts(&["up{pod=$pod} == 0"], &[]);
        starts(&["up == 2"], &["FD0359 this precheck of `p` never holds: "]);
        starts(&["up > bool 1"], &["FD0359 this precheck of `p` never holds: "]);
        starts(
            &["up >= 0"],
            &["FD0340 this condition of `p` says the same whatever is seen: `up` is always >= 0 and <= 1, and so always >= 0"],
        );
        starts(&["(up == 1) == 1"], &[]);
        starts(&["(up > 0) < 9"], &[]);
        starts(&["(up == 1) == 0"], &["FD0359 this precheck of `p` never holds: `up` is asked to be == 1 and == 0 at once"]);
        let both = "FD0359 this precheck of `p` and one before it never hold together: ";
        starts(&["up{pod=$pod} == 1", "up{pod=$pod} == 0"], &[both]);
        starts(&["up{pod=$pod} == 1", "up == 0"], &[]);
        starts(&["up == 1", "gone == 0"], &[]);
    }

    #[test]
    fn limits_that_another_one_leaves_without_a_meaning_are_named() {
        let guard = |guards: &str| {
            let capped = RESTART.split("guard:").next().unwrap().to_owned();
            format!("{capped}guard:\n  caps: [{{ scope: all, of: targets, max: 1 }}]\n{guards}")
        };
        let limits = |list: &str| guard(&format!("  rate_limit: [{list}]\n"));
        let lax =
            "FD0399 the limit of 3 starts within 1h by all in `p` is of no effect: that of 1 starts within 1h by all is reached before";
        check(&limits("{ max: 1, window: 1h, scope: all }, { max: 3, window: 1h, scope: all }"), &inventory(4), &[lax]);
        check(
            &limits("{ max: 3, window: 1h, scope: all }, { max: 1, window: 2h, scope: all }"),
            &inventory(4),
            &[&lax.replace("1 starts within 1h", "1 starts within 2h")],
        );
        let twice = limits("{ max: 1, window: 1h, scope: all }, { max: 1, window: 1h, scope: all }");
        check(
            &twice,
            &inventory(4),
            &["FD0399 the limit of 1 starts within 1h by all in `p` is of no effect: that of 1 starts within 1h by all is reached before"],
        );
        check(&limits("{ max: 1, window: 10m, scope: all }, { max: 3, window: 1h, scope: all }"), &inventory(4), &[]);
        check(&limits("{ max: 1, window: 1h, scope: target }, { max: 3, window: 1h, scope: all }"), &inventory(4), &[]);
        check(&limits("{ max: 1, window: 1h, scope: all }, { max: 3, window: 1h, scope: all, overflow: refuse }"), &inventory(4), &[]);
        let shorter = "FD0399 `same_policy: 1m` in `p` is of no effect: a target rests for 5m after any policy, and this one is one";
        check(&guard("  cooldown: { same_policy: 1m, any_policy: 5m }\n"), &inventory(4), &[shorter]);
        check(&guard("  cooldown: { same_policy: 5m, any_policy: 5m }\n"), &inventory(4), &[]);
        let many = "FD0325 `correlated_failure` of 2 services in `p` keeps nothing back: there are no more than that";
        let together = |more: &str| guard(&format!("  cooldown: 5m\n  correlated_failure: {{ services: 2, within: 5m{more} }}\n"));
        check(&together(""), &inventory(4), &[many]);
        check(&together(", share: 50%, of: zone"), &inventory(4), &[]);
    }

    #[test]
    fn a_quorum_of_more_people_than_there_are_is_named() {
        let capped = RESTART.split("guard:").next().unwrap();
        let text = format!("{capped}guard:\n  approval: {{ from: [oncall, lead], quorum: 4 }}\n");
        let policy = read_policy("p.yaml", &text).unwrap();
        let people = |list: &[(&str, u64)]| list.iter().map(|(role, count)| (Name::new(role), *count)).collect::<BTreeMap<_, _>>();
        let told = |scenarios: &[BTreeMap<Name, u64>]| {
            unanswerable(&policy, scenarios).map(|problem| format!("{} {}", problem.code, problem.message))
        };
        let few = "FD0357 `p` asks until 4 people have said yes, and of those it asks there are 3 at most";
        assert_eq!(
            told(&[people(&[("oncall", 2), ("lead", 1), ("boss", 9)]), people(&[("oncall", 1)]), people(&[])]).as_deref(),
            Some(few)
        );
        assert_eq!(told(&[people(&[("oncall", 2), ("lead", 1)]), people(&[("oncall", 2), ("lead", 2)])]), None);
        // Where nobody answers nobody is missed.
        assert_eq!(told(&[people(&[])]), None);
    }

    #[test]
    fn freezes_that_leave_no_time_are_named() {
        let freeze = |more: &str| {
            let capped = RESTART.split("guard:").next().unwrap().to_owned();
            format!(
                "{capped}guard:\n  cooldown: 5m\n  caps: [{{ scope: all, of: targets, max: 1 }}]\n  freeze: [{{ from: 2026-01-01T00:00, zone: UTC, {more} }}]\n"
            )
        };
        let always = "FD0340 the freeze of `p` from 2026-01-01T00:00 on leaves no time at which it may act";
        check(&freeze("lasting: 24h, repeats: FREQ=DAILY"), &inventory(4), &[always]);
        check(&freeze("lasting: 90m, repeats: FREQ=HOURLY"), &inventory(4), &[always]);
        check(&freeze("lasting: 7d, repeats: FREQ=WEEKLY;BYDAY=TH"), &inventory(4), &[always]);
        check(&freeze("lasting: 23h, repeats: FREQ=DAILY"), &inventory(4), &[]);
        check(&freeze("lasting: 24h, repeats: FREQ=DAILY;COUNT=3"), &inventory(4), &[]);
        check(&freeze("lasting: 366d"), &inventory(4), &[]);
    }

    #[test]
    fn what_guards_ask_and_what_says_the_same_at_all_times_is_named() {
        let told = |guard: &str| {
            let text = format!("{}guard:\n  {guard}\n", RESTART.replace("ReplicaHung", "Down").split("guard:").next().unwrap());
            let policy = read_policy("p.yaml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
            let rules = RuleSet::read([("r.yaml", "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0 }] }]")]).unwrap();
            let mut universe = firedrill_telemetry::universe::Universe::new();
            universe.add("up", Shape::of(&firedrill_telemetry::notation::parse_series(r#"up{pod="api-0"}"#).unwrap()));
            universe.limit("up", 0.0, 1.0);
            let outlooks = [Outlook::new(&rules, universe)];
            let found = guards::asked(&Written::new("p.yaml", &text), &policy, &outlooks);
            found.iter().map(|lint| format!("{} {}", lint.code, lint.message)).collect::<Vec<_>>()
        };
        let check = |guard: &str, expected: &str| {
            let found = told(guard);
            assert_eq!(found.is_empty(), expected.is_empty(), "{guard}: {found:?}");
            assert!(found.iter().all(|found| found.starts_with(expected)), "{guard}: {found:?}");
        };
        let same = "FD0340 this condition of a guard of `p` says the same whatever is seen: ";
        check("kill_switch: { expr: up >= 0 }", same);
        check("kill_switch: { expr: up == 7 }", same);
        check("kill_switch: { expr: up == 0 }", "");
        check("detector_sanity: { fresh: up < 0 }", same);
        check("disruption_budget: { healthy: up == 5, scope: service, desired: 1 }", same);
        check("max_unhealthy: { healthy: up == 1, scope: service, max: 1 }", "");
        check("breaker: { harm: { expr: no_such, by: 1 }, within: 10m }", "FD0367 this harm of `p` never finds anything: ");
        check("confidence: { expr: no_such, act_at: 90% }", "FD0367 this confidence of `p` never finds anything: ");
        check("confidence: { expr: max(up), act_at: 90% }", "");
        let headroom = |busy: &str| {
            format!("disruption_budget: {{ healthy: up == 1, scope: service, desired: 1, headroom: {{ busy: {busy}, at_most: 75% }} }}")
        };
        check(&headroom("no_such"), "FD0367 this headroom of `p` never finds anything: ");
        check(&headroom("max(up)"), "");
    }

    #[test]
    fn a_scale_below_the_declared_number_and_the_drain_of_the_only_zone_are_named() {
        let down = RESTART.replace("restart: { mode: rolling }", "scale: { to: 1 }").replace("replica: $pod", "service: $service");
        let uncapped = down.split("guard:").next().unwrap();
        check(uncapped, &inventory(4), &["FD0334 `p` can take replicas at a time: 3 of 4 in `api`"]);
        check(&uncapped.replace("to: 1", "by: -2"), &inventory(4), &["FD0334 `p` can take replicas at a time: 2 of 4 in `api`"]);
        check(&uncapped.replace("to: 1", "by: -5"), &inventory(4), &["FD0334 `p` can take all replicas at a time of `api`"]);
        check(uncapped, &inventory(1), &[]);
        check(&uncapped.replace("to: 1", "to: 6"), &inventory(4), &[]);
        check(&down, &inventory(2), &[]);
        let drain = uncapped.replace("scale: { to: 1 }", "drain: {}").replace("service: $service", "zone: $zone");
        check(&drain, &inventory(4), &[]);
        let mut alone = inventory(4);
        alone.services.get_mut("api").unwrap().zones.pop();
        check(&drain, &alone, &["FD0334 `p` can take all replicas at a time of `api`"]);
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
        let [first, second] = ["a.yaml", "b.yaml"].map(|path| read_policy(path, RESTART).unwrap());
        let found = twins([&first, &second]);
        let told: Vec<_> = found.iter().map(|problem| format!("{:?} {} {}", problem.place, problem.code, problem.message)).collect();
        assert_eq!(told, ["Some(b.yaml:3:9) FD0336 two policies are called `p`: the other stands in a.yaml"]);
    }
}
