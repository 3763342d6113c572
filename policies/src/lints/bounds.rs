//! Guards whose figures, of what is declared here, refuse every action or none.

use std::collections::BTreeSet;

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;

use crate::guard::caps::{self, Cap, CapOf, Part};
use crate::guard::population::Element;
use crate::guard::{Guard, Scope};
use crate::policy::{Policy, TargetKind};
use crate::problem;

use super::example_targets;

/// Replicas in a part of what is declared.
fn replicas(part: &Part, inventory: &Inventory) -> u64 {
    match part {
        Part::Service(service) => inventory.services.get(service).map_or(0, |entry| u64::from(entry.replicas)),
        // Whoever drains a zone takes all that stand there.
        Part::Zone(zone) => caps::replicas_taken(&Action::Drain, &Target::Zone(zone.clone()), part, inventory),
        _ => inventory.services.values().map(|entry| u64::from(entry.replicas)).sum(),
    }
}

/// The parts that are counted together under a scope; none if the project says what these are.
fn parts(scope: Scope, inventory: &Inventory) -> Vec<Part> {
    match scope {
        Scope::Service => inventory.services.keys().cloned().map(Part::Service).collect(),
        Scope::Zone => zones(inventory).into_iter().map(Part::Zone).collect(),
        Scope::All => vec![Part::All],
        _ => Vec::new(),
    }
}

fn zones(inventory: &Inventory) -> BTreeSet<Name> {
    inventory.services.values().flat_map(|entry| entry.zones.iter().cloned()).collect()
}

/// A cap or a gate so high that it keeps nothing back anywhere.
pub(super) fn beyond(policy: &Policy, inventory: &Inventory) -> Option<Problem> {
    let guards = &policy.guards;
    let word = guards
        .caps
        .iter()
        .find(|cap| is_beyond(cap, policy, inventory))
        .map(|cap| (Guard::Caps, format!("the cap of {}", cap.describe(cap.scope.word()))));
    let gate = guards.max_unhealthy.as_ref().filter(|gate| {
        let counted: Vec<u64> = match gate.watch.of {
            Element::Nodes => vec![inventory.nodes.len() as u64],
            Element::Replicas => parts(gate.watch.scope, inventory).iter().map(|part| replicas(part, inventory)).collect(),
        };
        never_less(&counted, |declared| gate.max.of(declared))
    });
    let (guard, word) = word.or_else(|| gate.map(|gate| (Guard::MaxUnhealthy, format!("`max_unhealthy` of {}", gate.max.describe()))))?;
    Some(problem::keeps_nothing_back(policy.places.guard(guard), &policy.name, &word))
}

fn is_beyond(cap: &Cap, policy: &Policy, inventory: &Inventory) -> bool {
    let of_one = |part: &Part| {
        let replicas = replicas(part, inventory);
        match cap.of {
            CapOf::Replicas => replicas,
            // Whatever can be a target.
            CapOf::Targets => {
                replicas + (inventory.services.len() + inventory.nodes.len() + inventory.clients.len() + zones(inventory).len()) as u64
            }
            CapOf::Capacity => 0,
        }
    };
    let parts = parts(cap.scope, inventory);
    let limits: Vec<(u64, u64)> = parts
        .iter()
        .filter_map(|part| Some((of_one(part), cap.limit(part, inventory, &policy.guards.estate)?)))
        .filter(|(declared, _)| *declared > 1)
        .collect();
    !limits.is_empty() && limits.iter().all(|(declared, limit)| limit >= declared)
}

/// Whether a limit is never below what is declared, where that is more than one.
fn never_less(declared: &[u64], limit: impl Fn(u64) -> u64) -> bool {
    let several: Vec<u64> = declared.iter().copied().filter(|count| *count > 1).collect();
    !several.is_empty() && several.iter().all(|count| limit(*count) >= *count)
}

/// A disruption budget that wants all to stay that there are, beside an action that takes some, wherever there are several.
pub(super) fn spares_all(policy: &Policy, inventory: &Inventory) -> Option<Problem> {
    let budget = policy.guards.disruption_budget.as_ref()?;
    let (action, source) = policy.actions().find(|(_, source)| source.kind != TargetKind::Client)?;
    // Taking an unhealthy replica costs nothing.
    if budget.target_is_unhealthy && source.kind == TargetKind::Replica {
        return None;
    }
    let several = inventory.services.iter().filter(|(_, entry)| entry.replicas > 1);
    let targets: BTreeSet<Target> = several.flat_map(|(service, _)| example_targets(source, service, inventory)).collect();
    let is_refused = |target: &Target| {
        let is_short = |part: &Part| {
            let (declared, taken) = (replicas(part, inventory), caps::replicas_taken(action, target, part, inventory));
            taken > 0 && declared.saturating_sub(taken) < budget.desired.of(declared)
        };
        // Each service or zone must keep what it must, as the guard has it.
        caps::parts_touched(budget.watch.scope, target, inventory).is_some_and(|parts| parts.iter().any(is_short))
    };
    let is_never_let = !targets.is_empty() && targets.iter().all(is_refused);
    is_never_let.then(|| {
        problem::leaves_nothing(policy.places.guard(Guard::DisruptionBudget), &policy.name, (action.word(), &budget.desired.describe()))
    })
}

/// A cap by region, cluster or owner, and something declared that lies in none: there it refuses everything.
pub(super) fn undeclared(policy: &Policy, inventory: &Inventory) -> Option<Problem> {
    let estate = &policy.guards.estate;
    policy.guards.caps.iter().find_map(|cap| {
        let (kind, known, all) = match cap.scope {
            Scope::Region => ("zone", &estate.regions, zones(inventory)),
            Scope::Cluster => ("zone", &estate.clusters, zones(inventory)),
            Scope::Owner => ("service", &estate.owners, inventory.services.keys().cloned().collect()),
            _ => return None,
        };
        let missing: Vec<&str> = all.iter().filter(|name| !known.contains_key(*name)).map(Name::as_str).collect();
        (!missing.is_empty())
            .then(|| problem::in_no_part(policy.places.guard(Guard::Caps), &policy.name, (cap.scope.word(), kind, &missing)))
    })
}
