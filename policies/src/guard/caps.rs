//! Blast radius: how much may be touched at a time, by all policies together. In flight + this one ≤ cap.
//!
//! A remediation is in flight from its start until its incident is closed, so until its verification has ended. Shares are of what is
//! declared, not of what happens to be up.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, RestartMode, Scale, Target};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Ratio, Rounding};

use super::dedup::{Deed, Remediation, Remediations};
use super::estate::{Estate, all_with};
use super::{Answer, Proposal, Scope, owner_of, service_of, services_touched, zones_touched};
use crate::figures::{Figure, figures};

/// The name in journals.
pub const NAME: &str = "caps";

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapOf {
    /// Replicas that are taken from their users at one time. A rolling restart or update takes one at a time.
    Replicas,
    /// Different targets.
    Targets,
    /// What the replicas that are taken carry, in the unit of the project.
    Capacity,
}

/// How much a cap allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Most {
    /// So many.
    Count(u64),
    /// A share of the declared replicas in the scope, rounded as declared.
    Share(Ratio, Rounding),
    /// More than half of them; of what must stay healthy alone.
    Majority,
}

impl Most {
    /// The number, of so many that are declared.
    #[must_use]
    pub fn of(&self, declared: u64) -> u64 {
        match self {
            Self::Count(count) => *count,
            Self::Share(share, rounding) => share.of(declared, *rounding),
            Self::Majority => declared / 2 + 1,
        }
    }

    /// In words: `3`, `40%, rounded down`.
    #[must_use]
    pub fn describe(&self) -> String {
        figures(&[self])
    }
}

impl Figure for Most {
    fn room(&self) -> usize {
        24
    }

    fn put(&self, text: &mut String) {
        match self {
            Self::Count(count) => count.put(text),
            Self::Share(share, rounding) => {
                share.put(text);
                text.push_str(rounded(*rounding));
            }
            Self::Majority => text.push_str("quorum"),
        }
    }
}

const fn rounded(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Floor => ", rounded down",
        Rounding::Ceil => ", rounded up",
    }
}

/// A cap on what is touched at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    /// What is counted together: anything but `target`.
    pub scope: Scope,
    /// What is counted.
    pub of: CapOf,
    /// The most that is allowed.
    pub max: Most,
    /// The cap is at least this, so that small services stay actionable.
    pub at_least: u64,
}

/// A part of the system that a cap speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// One service.
    Service(Name),
    /// One zone.
    Zone(Name),
    /// One region or cluster.
    Zones(Scope, Name, Vec<Name>),
    /// The services of one owner.
    Owned(Name, Vec<Name>),
    /// Everything.
    All,
}

impl Cap {
    /// The cap's figure for one part of the system; `None` if the part is not declared and the figure depends on it.
    #[must_use]
    pub fn limit(&self, part: &Part, inventory: &Inventory, estate: &Estate) -> Option<u64> {
        let most = match (self.max, self.of) {
            (Most::Count(count), _) => count,
            (most, CapOf::Capacity) => most.of(capacity_declared(part, inventory, estate)?),
            (most, _) => most.of(declared(part, inventory)?),
        };
        Some(most.max(self.at_least))
    }

    /// The cap in words: `25% of the replicas of service/api, rounded down, at least 1`.
    #[must_use]
    pub fn describe(&self, place: &str) -> String {
        figures(&[&Described { cap: self, place: &place }])
    }
}

/// A cap in words.
struct Described<'a> {
    cap: &'a Cap,
    place: &'a dyn Figure,
}

impl Figure for Described<'_> {
    fn room(&self) -> usize {
        self.place.room() + 48
    }

    fn put(&self, text: &mut String) {
        let Self { cap, place } = self;
        let what = match cap.of {
            CapOf::Replicas => "replicas",
            CapOf::Targets => "targets",
            CapOf::Capacity => "capacity",
        };
        let (most, of): (&dyn Figure, _) = match &cap.max {
            Most::Count(count) => (count, " "),
            Most::Share(share, _) => (share, " of the "),
            Most::Majority => (&"more than half", " of the "),
        };
        let rounding = if let Most::Share(_, rounding) = cap.max { rounded(rounding) } else { "" };
        let parts: [&dyn Figure; 6] = [most, &of, &what, &" of ", *place, &rounding];
        parts.iter().for_each(|part| part.put(text));
        if cap.at_least > 0 {
            text.push_str(", at least ");
            cap.at_least.put(text);
        }
    }
}

impl Figure for Part {
    fn room(&self) -> usize {
        match self {
            Self::Service(name) | Self::Zone(name) | Self::Zones(_, name, _) | Self::Owned(name, _) => name.len() + 8,
            Self::All => 3,
        }
    }

    fn put(&self, text: &mut String) {
        let (kind, name) = match self {
            Self::Service(name) => ("service", name),
            Self::Zone(name) => ("zone", name),
            Self::Zones(scope, name, _) => (scope.word(), name),
            Self::Owned(name, _) => ("owner", name),
            Self::All => return text.push_str("all"),
        };
        text.push_str(kind);
        text.push('/');
        text.push_str(name);
    }
}

/// Asks the guard for a proposal that is one action with others, which count together: `whole` has all of them, itself among them.
#[must_use]
pub fn check(caps: &[Cap], proposal: &Proposal, whole: &[Proposal], remediations: &Remediations, ground: (&Inventory, &Estate)) -> Answer {
    let target = &proposal.target;
    Answer::all(caps.iter().flat_map(|cap| {
        let word = cap.scope.word();
        let (parts, none) = match parts_of(cap.scope, target, ground) {
            Some(parts) if parts.is_empty() => (parts, Some(Answer::passed(figures(&[target, &" lies in no ", &word])))),
            Some(parts) => (parts, None),
            None => (Vec::new(), Some(Answer::refused(format!("the {word} of {target} is not declared"), None))),
        };
        none.into_iter().chain(parts.into_iter().map(move |part| of_one(cap, &part, (proposal, whole), remediations, ground)))
    }))
}

/// A proposal, and all that is one action with it.
type Whole<'a> = (&'a Proposal, &'a [Proposal]);

/// What an action takes that is of several, which follow each other. Of each target what lasts adds up, as one replica less and then another, and beside it
/// counts what the one of them takes that takes the most and gives it back, as restarts do; never more than a target or a service has.
pub(super) fn taken_together<'a>(
    whole: impl IntoIterator<Item = (&'a Action, &'a Target)>,
    inventory: &Inventory,
    taken: impl Fn(&Action, &Target) -> Option<u64>,
) -> Option<u64> {
    let mut whole = whole.into_iter();
    let Some((action, target)) = whole.next() else { return Some(0) };
    let Some(second) = whole.next() else { return taken(action, target) };
    let mut of_each: BTreeMap<&Target, (u64, u64)> = BTreeMap::new();
    for (action, target) in [(action, target), second].into_iter().chain(whole) {
        let (lasts, passes) = of_each.entry(target).or_default();
        let own = taken(action, target)?;
        match action {
            Action::Scale { replicas: Scale::By(_) } => *lasts = lasts.saturating_add(own),
            // To so many is to so many, however often.
            Action::Scale { .. } | Action::Drain | Action::ShiftTraffic { .. } => *lasts = own.max(*lasts),
            _ => *passes = own.max(*passes),
        }
    }
    let all_of = |target: &Target| taken(&Action::Restart { mode: RestartMode::AtOnce }, target);
    let mut of_owners: BTreeMap<Target, u64> = BTreeMap::new();
    for (target, (lasts, passes)) in of_each {
        let of_owner = of_owners.entry(owner_of(target, inventory)).or_default();
        *of_owner = of_owner.saturating_add(lasts.saturating_add(passes).min(all_of(target)?));
    }
    let bounded = of_owners.into_iter().map(|(owner, sum)| match &owner {
        Target::Service(service) if inventory.services.contains_key(service) => Some(sum.min(all_of(&owner)?)),
        _ => Some(sum),
    });
    bounded.sum()
}

fn of_one(
    cap: &Cap,
    part: &Part,
    (proposal, whole): Whole<'_>,
    remediations: &Remediations,
    (inventory, estate): (&Inventory, &Estate),
) -> Answer {
    let Some(limit) = cap.limit(part, inventory, estate) else {
        let what = if cap.of == CapOf::Capacity { "capacities" } else { "replicas" };
        return Answer::refused(figures(&[&"the ", &what, &" of ", part, &" are not declared"]), None);
    };
    let (in_flight, this) = match cap.of {
        CapOf::Replicas => replicas_touched(part, (proposal, whole), remediations, inventory),
        CapOf::Targets => targets_touched(part, (proposal, whole), remediations, inventory),
        CapOf::Capacity => match capacity_touched(part, (proposal, whole), remediations, (inventory, estate)) {
            Some(touched) => touched,
            None => return Answer::refused(format!("the capacity of what {} touches is not declared", proposal.target), None),
        },
    };
    let sign = if in_flight + this > limit { " > " } else { " <= " };
    let figures = figures(&[&in_flight, &" in flight + ", &this, &sign, &limit, &" (", &Described { cap, place: part }, &")"]);
    // What adds nothing passes, also where others have gone beyond the cap.
    if this > 0 && in_flight + this > limit { Answer::refused(figures, None) } else { Answer::passed(figures) }
}

/// What other remediations have touched or will with what was let in, and what this one has running beside the proposal. What is one action stands together.
fn in_flight<'a>(proposal: &Proposal, remediations: &'a Remediations) -> impl Iterator<Item = &'a [Deed]> + use<'a> {
    let Proposal { policy, incident, .. } = proposal;
    let own = remediations.own_running(policy, *incident).map(std::slice::from_ref);
    remediations.others(policy, *incident).flat_map(Remediation::wholes).chain(own)
}

/// As [`in_flight`], without what cannot touch a part of the system, in no particular order.
fn in_flight_in<'a>(part: &Part, proposal: &Proposal, remediations: &'a Remediations) -> Vec<&'a [Deed]> {
    match part {
        Part::Service(service) => remediations.in_flight_near((&proposal.policy, proposal.incident), service),
        _ => in_flight(proposal, remediations).collect(),
    }
}

/// Replicas in flight, and those that the proposal adds.
fn replicas_touched(part: &Part, (proposal, whole): Whole<'_>, remediations: &Remediations, inventory: &Inventory) -> (u64, u64) {
    let taken = |action: &Action, target: &Target| Some(replicas_taken(action, target, part, inventory));
    let deeds = in_flight_in(part, proposal, remediations);
    let in_flight = deeds.into_iter().map(|deeds| taken_together(deeds.iter().map(Deed::what), inventory, taken)).sum::<Option<u64>>();
    (in_flight.unwrap_or_default(), taken_together(whole.iter().map(Proposal::what), inventory, taken).unwrap_or_default())
}

/// Capacity in flight, and what the proposal adds; `None` if a capacity is not declared.
fn capacity_touched(
    part: &Part,
    (proposal, whole): Whole<'_>,
    remediations: &Remediations,
    (inventory, estate): (&Inventory, &Estate),
) -> Option<(u64, u64)> {
    let taken = |action: &Action, target: &Target| {
        let of_one = |service: Name| {
            let entry = inventory.services.get(&service)?.clone();
            let alone = Inventory { services: [(service.clone(), entry)].into(), nodes: inventory.nodes.clone(), ..Inventory::default() };
            let replicas = replicas_taken(action, target, part, &alone);
            if replicas == 0 { Some(0) } else { Some(replicas.saturating_mul(*estate.capacities.get(&service)?)) }
        };
        services_touched(target, inventory).into_iter().map(of_one).sum::<Option<u64>>()
    };
    let in_flight = in_flight(proposal, remediations)
        .map(|deeds| taken_together(deeds.iter().map(Deed::what), inventory, taken))
        .sum::<Option<u64>>()?;
    Some((in_flight, taken_together(whole.iter().map(Proposal::what), inventory, taken)?))
}

/// The declared capacity of a part of the system; `None` if that of any service there is not declared.
fn capacity_declared(part: &Part, inventory: &Inventory, estate: &Estate) -> Option<u64> {
    let of_one = |service: &Name| match replicas_in(service, part, inventory) {
        0 => Some(0),
        replicas => Some(replicas.saturating_mul(*estate.capacities.get(service)?)),
    };
    let whole = inventory.services.keys().map(of_one).sum::<Option<u64>>()?;
    (whole > 0).then_some(whole)
}

/// Different targets in flight, and how many the proposal adds: one that is being acted on is there already, one that another
/// remediation has finished with counts as the proposal's own.
fn targets_touched(part: &Part, (proposal, whole): Whole<'_>, remediations: &Remediations, inventory: &Inventory) -> (u64, u64) {
    let touches = |target: &Target| match part {
        Part::All => true,
        Part::Service(service) => services_touched(target, inventory).contains(service),
        Part::Zone(zone) => zones_touched(target, inventory).contains(zone),
        Part::Zones(_, _, zones) => zones_touched(target, inventory).iter().any(|zone| zones.contains(zone)),
        Part::Owned(_, services) => services_touched(target, inventory).iter().any(|service| services.contains(service)),
    };
    let deeds = in_flight_in(part, proposal, remediations);
    let deeds: Vec<&Deed> = deeds.into_iter().flatten().filter(|deed| touches(&deed.target)).collect();
    let running: BTreeSet<&Target> = deeds.iter().filter(|deed| deed.is_held()).map(|deed| &deed.target).collect();
    let own: BTreeSet<&Target> = whole.iter().map(|own| &own.target).filter(|target| touches(target)).collect();
    let others = deeds.iter().map(|deed| &deed.target).filter(|target| running.contains(*target) || !own.contains(*target));
    let others: BTreeSet<&Target> = others.collect();
    (others.len() as u64, own.difference(&running).count() as u64)
}

/// As [`parts_touched`], with those that the project declares.
fn parts_of(scope: Scope, target: &Target, (inventory, estate): (&Inventory, &Estate)) -> Option<Vec<Part>> {
    let (touched, of_each) = match scope {
        Scope::Region => (zones_touched(target, inventory), &estate.regions),
        Scope::Cluster => (zones_touched(target, inventory), &estate.clusters),
        Scope::Owner => (services_touched(target, inventory), &estate.owners),
        _ => return parts_touched(scope, target, inventory),
    };
    if matches!(target, Target::Client(_)) {
        return Some(Vec::new());
    }
    let names: BTreeSet<&Name> = touched.iter().map(|name| of_each.get(name)).collect::<Option<_>>()?;
    let part = |name: &Name| match scope {
        Scope::Owner => Part::Owned(name.clone(), all_with(of_each, name)),
        _ => Part::Zones(scope, name.clone(), all_with(of_each, name)),
    };
    (!names.is_empty()).then(|| names.into_iter().map(part).collect())
}

/// The parts of the system that an action on a target touches under a cap's scope; `None` if they are not declared.
pub(crate) fn parts_touched(scope: Scope, target: &Target, inventory: &Inventory) -> Option<Vec<Part>> {
    match (scope, target) {
        (Scope::All | Scope::Target, _) => Some(vec![Part::All]),
        (_, Target::Client(_)) => Some(Vec::new()),
        (Scope::Service, _) => {
            let services = services_touched(target, inventory);
            (!services.is_empty()).then(|| services.into_iter().map(Part::Service).collect())
        }
        (Scope::Zone, _) => {
            let zones = zones_touched(target, inventory);
            (!zones.is_empty()).then(|| zones.into_iter().map(Part::Zone).collect())
        }
        (Scope::Region | Scope::Cluster | Scope::Owner, _) => None,
    }
}

/// Declared replicas of a part of the system; `None` if it is not declared.
pub(super) fn declared(part: &Part, inventory: &Inventory) -> Option<u64> {
    let all = || inventory.services.iter().map(|(service, entry)| replicas_of((service, entry), part)).sum();
    match part {
        Part::Service(service) => inventory.services.get(service).map(|entry| u64::from(entry.replicas)),
        Part::Zone(zone) => inventory.services.values().any(|entry| entry.zones.contains(zone)).then(all),
        Part::Zones(_, _, zones) => inventory.services.values().any(|entry| entry.zones.iter().any(|zone| zones.contains(zone))).then(all),
        Part::Owned(_, services) => services.iter().any(|service| inventory.services.contains_key(service)).then(all),
        Part::All => (!inventory.services.is_empty()).then(|| inventory.services.values().map(|entry| u64::from(entry.replicas)).sum()),
    }
}

/// Declared replicas of a service within a part of the system: replica `i` stands in zone `i % zones`.
fn replicas_in(service: &Name, part: &Part, inventory: &Inventory) -> u64 {
    inventory.services.get(service).map_or(0, |entry| replicas_of((service, entry), part))
}

/// As [`replicas_in`], with what is declared of the service.
fn replicas_of((service, entry): (&Name, &ServiceEntry), part: &Part) -> u64 {
    match part {
        Part::All => u64::from(entry.replicas),
        Part::Service(own) => {
            if own == service {
                u64::from(entry.replicas)
            } else {
                0
            }
        }
        Part::Owned(_, services) if services.contains(service) => u64::from(entry.replicas),
        Part::Owned(..) => 0,
        Part::Zones(_, _, zones) => zones.iter().map(|zone| standing_in(zone, entry)).sum(),
        Part::Zone(zone) => standing_in(zone, entry),
    }
}

/// Declared replicas of a service in a zone.
fn standing_in(zone: &Name, entry: &ServiceEntry) -> u64 {
    let zones = entry.zones.len().max(1) as u64;
    let standing = |offset: u64| (u64::from(entry.replicas) + zones - 1 - offset) / zones;
    entry.zones.iter().zip(0..).filter(|(own, _)| *own == zone).map(|(_, offset)| standing(offset)).sum()
}

/// Replicas of a part of the system that an action on a target takes from their users at one time. Where in a service a single replica is
/// taken from cannot be told beforehand, so that each of its zones counts it.
#[must_use]
pub fn replicas_taken(action: &Action, target: &Target, part: &Part, inventory: &Inventory) -> u64 {
    match target {
        Target::Client(_) => 0,
        Target::Zone(_) => {
            let zone_and_part = |service: &Name| match (target, part) {
                (Target::Zone(zone), Part::Service(own)) if own == service => replicas_in(service, &Part::Zone(zone.clone()), inventory),
                (Target::Zone(zone), Part::All) => replicas_in(service, &Part::Zone(zone.clone()), inventory),
                (Target::Zone(zone), Part::Zone(own)) if own == zone => replicas_in(service, part, inventory),
                (Target::Zone(zone), Part::Zones(_, _, zones)) if zones.contains(zone) => {
                    replicas_in(service, &Part::Zone(zone.clone()), inventory)
                }
                (Target::Zone(zone), Part::Owned(_, services)) if services.contains(service) => {
                    replicas_in(service, &Part::Zone(zone.clone()), inventory)
                }
                _ => 0,
            };
            if takes_replicas(action) { inventory.services.keys().map(zone_and_part).sum() } else { 0 }
        }
        Target::Node(node) => {
            let Some(zone) = inventory.nodes.get(node) else { return 0 };
            let nodes = inventory.nodes.values().filter(|stands| *stands == zone).count() as u64;
            // Which replicas stand there cannot be told beforehand; those of a service are spread over the nodes of its zones.
            let on_one = |service: &Name| replicas_in(service, &Part::Zone(zone.clone()), inventory).div_ceil(nodes);
            let services = inventory.services.keys().filter(|service| match part {
                Part::Service(own) => own == *service,
                Part::Zone(own) => own == zone,
                Part::Zones(_, _, zones) => zones.contains(zone),
                Part::Owned(_, services) => services.contains(*service),
                Part::All => true,
            });
            if takes_replicas(action) { services.map(on_one).sum() } else { 0 }
        }
        Target::Replica(_) => {
            let inside = match part {
                Part::All => true,
                Part::Service(service) => service_of(target, inventory).as_ref() == Some(service),
                Part::Zone(zone) => zones_touched(target, inventory).contains(zone),
                Part::Zones(_, _, zones) => zones_touched(target, inventory).iter().any(|zone| zones.contains(zone)),
                Part::Owned(_, services) => service_of(target, inventory).is_some_and(|service| services.contains(&service)),
            };
            u64::from(inside && takes_replicas(action))
        }
        Target::Service(service) => {
            let declared = inventory.services.get(service);
            // A service that is not declared has at least the one replica.
            let (all, standing) = declared.map_or((1, 1), |entry| (u64::from(entry.replicas), replicas_of((service, entry), part)));
            taken_of_service(action, all).min(standing)
        }
    }
}

/// Whether an action ever takes replicas from their users. A change to a number may be one to fewer.
#[must_use]
pub const fn may_take_replicas(action: &Action) -> bool {
    match action {
        Action::Scale { replicas: Scale::By(count) } => *count < 0,
        Action::Scale { replicas: Scale::To(_) } => true,
        Action::Scale { replicas: Scale::Times(factor) } => factor.get() < 1.0,
        other => takes_replicas(other),
    }
}

const fn takes_replicas(action: &Action) -> bool {
    // A zone that gets less of the traffic serves users with fewer of its replicas, or with none.
    matches!(
        action,
        Action::Restart { .. }
            | Action::Drain
            | Action::Rollback
            | Action::FailOver
            | Action::RebootNode
            | Action::ReplaceNode
            | Action::Kill
    ) || matches!(action, Action::ShiftTraffic { share } if share.get() < 1.0)
}

/// Replicas that an action takes from a service with `declared` replicas at one time.
fn taken_of_service(action: &Action, declared: u64) -> u64 {
    match action {
        Action::Restart { mode: RestartMode::AtOnce } | Action::Drain | Action::Kill => declared,
        // A failover takes the primary.
        Action::Restart { mode: RestartMode::Rolling } | Action::Rollback | Action::FailOver => 1,
        Action::Scale { replicas: Scale::To(count) } => declared.saturating_sub(u64::from(*count)),
        Action::Scale { replicas: Scale::By(count) } => u64::from(count.saturating_neg().max(0).unsigned_abs()),
        Action::Scale { replicas: Scale::Times(factor) } => declared.saturating_sub(libm::ceil(factor.get() * declared as f64) as u64),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Guards;
    use super::super::fixture::{inventory, proposal};
    use super::*;
    use firedrill_core::time::Time;
    use proptest::prelude::*;

    fn check(caps: &[Cap], proposal: &Proposal, remediations: &Remediations, ground: (&Inventory, &Estate)) -> Answer {
        super::check(caps, proposal, std::slice::from_ref(proposal), remediations, ground)
    }

    fn share(percent: &str, rounding: Rounding) -> Most {
        Most::Share(Ratio::parse(percent).unwrap(), rounding)
    }

    fn cap(scope: Scope, of: CapOf, max: Most, at_least: u64) -> Cap {
        Cap { scope, of, max, at_least }
    }

    #[track_caller]
    fn check_with(cap: Cap, in_flight: &[&str], target: &str) -> Answer {
        let mut guards = Guards::new();
        for (incident, target) in (10..).zip(in_flight) {
            guards.started(&proposal("other", incident, target), Time::ZERO);
        }
        check(&[cap], &proposal("p", 0, target), &guards.remediations, (&inventory(), &estate()))
    }

    #[test]
    fn a_share_of_six_replicas_allows_what_its_rounding_says() {
        let floor = cap(Scope::Service, CapOf::Replicas, share("40%", Rounding::Floor), 0);
        assert!(!check_with(floor, &["replica/api-0"], "replica/api-1").is_refusal(), "1 + 1 <= 2");
        assert!(check_with(floor, &["replica/api-0", "replica/api-1"], "replica/api-2").is_refusal(), "2 + 1 > 2");
        let ceil = Cap { max: share("40%", Rounding::Ceil), ..floor };
        assert!(!check_with(ceil, &["replica/api-0", "replica/api-1"], "replica/api-2").is_refusal(), "2 + 1 <= 3");
    }

    #[test]
    fn at_least_keeps_small_services_actionable() {
        let quarter = cap(Scope::Service, CapOf::Replicas, share("25%", Rounding::Floor), 0);
        let refused = check_with(quarter, &[], "replica/cart-0");
        assert_eq!(refused.figures, "0 in flight + 1 > 0 (25% of the replicas of service/cart, rounded down)");
        assert!(refused.is_refusal());
        assert!(!check_with(Cap { at_least: 1, ..quarter }, &[], "replica/cart-0").is_refusal());
        assert!(check_with(Cap { at_least: 1, ..quarter }, &["replica/cart-1"], "replica/cart-0").is_refusal());
    }

    #[test]
    fn a_restart_at_once_counts_every_replica_and_a_rolling_one_counts_one() {
        let half = cap(Scope::Service, CapOf::Replicas, share("50%", Rounding::Floor), 0);
        assert!(check_with(half, &[], "service/api").is_refusal());
        let rolling = Proposal { action: Action::Restart { mode: RestartMode::Rolling }, ..proposal("p", 0, "service/api") };
        assert!(!check(&[half], &rolling, &Remediations::default(), (&inventory(), &estate())).is_refusal());
    }

    #[test]
    fn one_target_in_a_zone_lets_another_zone_be() {
        let one = cap(Scope::Zone, CapOf::Targets, Most::Count(1), 0);
        assert!(!check_with(one, &["replica/api-0"], "replica/api-1").is_refusal(), "zones a and b");
        assert!(check_with(one, &["replica/api-0"], "replica/api-3").is_refusal(), "both in zone a");
        assert!(check_with(one, &["replica/api-0"], "replica/cart-0").is_refusal(), "both in zone a, of two services");
        assert!(check_with(one, &["replica/api-2"], "service/api").is_refusal());
    }

    #[test]
    fn everything_counts_together_under_all() {
        let two = cap(Scope::All, CapOf::Targets, Most::Count(2), 0);
        assert!(!check_with(two, &["replica/api-0"], "replica/cart-1").is_refusal());
        assert!(check_with(two, &["replica/api-0", "client/users"], "replica/cart-1").is_refusal());
        assert!(!check_with(two, &["replica/api-0", "replica/cart-1"], "replica/cart-1").is_refusal(), "it is one of the two");
    }

    #[test]
    fn a_target_that_another_has_finished_with_is_a_target_again() {
        let one = cap(Scope::All, CapOf::Targets, Most::Count(1), 0);
        let mut guards = Guards::new();
        let mut asked = |finished: bool| {
            guards.started(&proposal("other", 10, if finished { "replica/api-0" } else { "replica/api-1" }), Time::ZERO);
            if finished {
                guards.ended(&Name::new("other"), 10, Time::ZERO);
            }
            check(&[one], &proposal("p", 0, "replica/api-0"), &guards.remediations, (&inventory(), &estate()))
        };
        assert!(!asked(true).is_refusal(), "the only one, and free again");
        assert!(asked(false).is_refusal(), "there would be two at a time");
    }

    #[test]
    fn what_is_not_declared_is_refused_and_what_lies_outside_passes() {
        let one = cap(Scope::Service, CapOf::Replicas, share("50%", Rounding::Floor), 1);
        assert!(check_with(one, &[], "service/unknown").is_refusal());
        let zone = cap(Scope::Zone, CapOf::Targets, Most::Count(1), 0);
        assert!(check_with(zone, &[], "service/unknown").is_refusal());
        assert!(!check_with(one, &[], "client/users").is_refusal());
    }

    #[test]
    fn a_drained_zone_counts_its_replicas() {
        let drain = Proposal { action: Action::Drain, ..proposal("p", 0, "zone/a") };
        let check_cap = |of_all: &str| {
            let cap = cap(Scope::All, CapOf::Replicas, share(of_all, Rounding::Floor), 0);
            check(&[cap], &drain, &Remediations::default(), (&inventory(), &estate()))
        };
        // Zone a holds api-0, api-3, cart-0 and cart-2: 4 of 9.
        assert!(check_cap("40%").is_refusal());
        assert!(!check_cap("45%").is_refusal());
    }

    /// Zones a and b lie in one region, c in another; each is a cluster of its own but a and c. A team has both services; only api's capacity is known.
    fn estate() -> Estate {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (Name::new(key), Name::new(value))).collect();
        Estate {
            owners: map(&[("api", "shop"), ("cart", "shop")]),
            capacities: [(Name::new("api"), 100)].into(),
            regions: map(&[("a", "eu"), ("b", "eu"), ("c", "us")]),
            clusters: map(&[("a", "blue"), ("b", "green"), ("c", "blue")]),
        }
    }

    #[test]
    fn a_region_a_cluster_and_an_owner_are_counted_over_all_that_lies_there() {
        // api-0 to api-5 stand in a, b, c, a, b, c; cart-0 to cart-2 in a, b, a.
        let one = |scope| cap(scope, CapOf::Replicas, Most::Count(1), 0);
        assert!(check_with(one(Scope::Region), &["replica/api-1"], "replica/cart-0").is_refusal(), "b and a lie in eu");
        assert!(!check_with(one(Scope::Region), &["replica/api-2"], "replica/cart-0").is_refusal(), "c lies in us");
        assert!(check_with(one(Scope::Cluster), &["replica/api-2"], "replica/cart-0").is_refusal(), "c and a are blue");
        assert!(!check_with(one(Scope::Cluster), &["replica/api-1"], "replica/cart-0").is_refusal(), "b is green");
        let refused = check_with(one(Scope::Owner), &["replica/api-1"], "replica/cart-0");
        assert_eq!(refused.figures, "1 in flight + 1 > 1 (1 replicas of owner/shop)");
        // 7 replicas stand in eu: 2 + 2 of api and 3 of cart. 40 % of 7 is 2.8.
        let share = |rounding| cap(Scope::Region, CapOf::Replicas, share("40%", rounding), 0);
        let two = ["replica/api-0", "replica/api-1"];
        assert!(check_with(share(Rounding::Floor), &two, "replica/cart-0").is_refusal());
        assert!(!check_with(share(Rounding::Ceil), &two, "replica/cart-0").is_refusal());
        let targets = cap(Scope::Owner, CapOf::Targets, Most::Count(2), 0);
        assert!(!check_with(targets, &["replica/api-0"], "replica/cart-0").is_refusal());
        assert!(check_with(targets, &["replica/api-0", "replica/api-1"], "replica/cart-0").is_refusal());
    }

    #[test]
    fn capacity_is_what_the_replicas_that_are_taken_carry() {
        let most = |max| cap(Scope::All, CapOf::Capacity, Most::Count(max), 0);
        assert_eq!(check_with(most(200), &["replica/api-0"], "replica/api-1").figures, "100 in flight + 100 <= 200 (200 capacity of all)");
        assert!(check_with(most(199), &["replica/api-0"], "replica/api-1").is_refusal());
        let unknown = check_with(most(1_000_000), &[], "replica/cart-0");
        assert_eq!(unknown.figures, "the capacity of what replica/cart-0 touches is not declared");
        let third = cap(Scope::Service, CapOf::Capacity, share("34%", Rounding::Floor), 0);
        assert!(!check_with(third, &["replica/api-0"], "replica/api-1").is_refusal(), "200 of 600");
        assert!(check_with(third, &["replica/api-0", "replica/api-2"], "replica/api-1").is_refusal());
        let all = cap(Scope::All, CapOf::Capacity, share("34%", Rounding::Floor), 0);
        assert_eq!(check_with(all, &[], "replica/api-1").figures, "the capacities of all are not declared", "cart's is not");
    }

    #[test]
    fn what_is_one_action_counts_as_the_sum_of_its_parts_and_each_target_once() {
        let of_several = |cap: Cap, targets: &[&str]| {
            let whole: Vec<Proposal> = targets.iter().map(|target| proposal("p", 0, target)).collect();
            let remediations = Remediations::default();
            let ask = |own| super::check(&[cap], own, &whole, &remediations, (&inventory(), &estate()));
            Answer::of_several(whole.iter().map(ask))
        };
        let most = |of, max| cap(Scope::All, of, Most::Count(max), 0);
        let two = ["service/cart", "replica/api-0"];
        assert_eq!(of_several(most(CapOf::Replicas, 3), &two).figures, "0 in flight + 4 > 3 (3 replicas of all)");
        assert!(!of_several(most(CapOf::Replicas, 4), &two).is_refusal());
        assert!(of_several(most(CapOf::Targets, 1), &two).is_refusal() && !of_several(most(CapOf::Targets, 2), &two).is_refusal());
        assert!(!of_several(cap(Scope::Service, CapOf::Targets, Most::Count(1), 0), &two).is_refusal(), "each service has one");
        // What is done to one target one after the other is done to one target.
        let twice = ["replica/api-0", "replica/api-0"];
        assert!(!of_several(most(CapOf::Replicas, 1), &twice).is_refusal() && !of_several(most(CapOf::Targets, 1), &twice).is_refusal());
        // A service and one of its replicas are no more than the service has.
        assert!(!of_several(most(CapOf::Replicas, 3), &["replica/cart-0", "service/cart"]).is_refusal());
        let apart = ["replica/api-0", "replica/api-1"];
        assert!(
            of_several(most(CapOf::Capacity, 199), &apart).is_refusal() && !of_several(most(CapOf::Capacity, 200), &apart).is_refusal()
        );
        let region = cap(Scope::Region, CapOf::Replicas, Most::Count(1), 0);
        assert!(of_several(region, &apart).is_refusal(), "zones a and b lie in eu");
        assert!(!of_several(region, &["replica/api-0", "replica/api-2"]).is_refusal(), "c lies in us");
    }

    #[test]
    fn of_what_is_one_action_what_lasts_adds_up_and_what_passes_counts_once() {
        let sum = |parts: &[(&str, &str)]| {
            let of = |(action, target): &(&str, &str)| {
                let action = match action.split_once(' ') {
                    Some(("by", count)) => Action::Scale { replicas: Scale::By(count.parse().unwrap()) },
                    Some(("to", count)) => Action::Scale { replicas: Scale::To(count.parse().unwrap()) },
                    _ if *action == "drain" => Action::Drain,
                    _ => Action::Restart { mode: RestartMode::Rolling },
                };
                Proposal { action, ..proposal("p", 0, target) }
            };
            let whole: Vec<Proposal> = parts.iter().map(of).collect();
            let most = cap(Scope::Service, CapOf::Replicas, Most::Count(0), 0);
            let asked = super::check(&[most], &whole[0], &whole, &Remediations::default(), (&inventory(), &estate()));
            // What is held of it while it is under way, before it has begun and when it has ended, is as much.
            let mut guards = Guards::new();
            guards.started_whole(&whole, Time::ZERO);
            let held = |guards: &Guards| {
                let taken = replicas_touched(&Part::All, (&proposal("q", 9, "client/users"), &[]), &guards.remediations, &inventory());
                format!("0 in flight + {} > 0 (0 replicas of service/api)", taken.0)
            };
            for next in &whole[1..] {
                assert_eq!(held(&guards), asked.figures);
                guards.ended(&whole[0].policy, 0, Time::ZERO);
                guards.remediations.started(next);
            }
            assert_eq!(held(&guards), asked.figures);
            asked.figures.replace("0 in flight + ", "").replace(" > 0 (0 replicas of service/api)", "")
        };
        let api = "service/api";
        assert_eq!(sum(&[("by -1", api), ("by -1", api), ("by -1", api)]), "3");
        assert_eq!(sum(&[("by -2", api), ("restart", api)]), "3");
        assert_eq!(sum(&[("restart", api), ("restart", api)]), "1");
        assert_eq!(sum(&[("to 4", api), ("to 3", api)]), "3");
        assert_eq!(sum(&[("by -4", api), ("by -4", api)]), "6", "never more than it has");
        assert_eq!(sum(&[("drain", "replica/api-0"), ("restart", "replica/api-0")]), "1", "one replica is one");
        assert_eq!(sum(&[("drain", "replica/api-0"), ("drain", "replica/api-0"), ("restart", "replica/api-1")]), "2");
    }

    #[test]
    fn where_the_project_says_nothing_such_a_cap_refuses() {
        for (scope, told) in [(Scope::Region, "region"), (Scope::Cluster, "cluster"), (Scope::Owner, "owner")] {
            let cap = cap(scope, CapOf::Targets, Most::Count(9), 0);
            let ask = |target: &str| check(&[cap], &proposal("p", 0, target), &Remediations::default(), (&inventory(), &Estate::default()));
            assert_eq!(ask("replica/api-0").figures, format!("the {told} of replica/api-0 is not declared"));
            assert!(!ask("client/users").is_refusal(), "a client lies nowhere");
        }
    }

    proptest! {
        /// Whatever is proposed in whatever order, what is in flight never exceeds the cap.
        #[test]
        fn in_flight_never_exceeds_the_cap(replicas in prop::collection::vec(0_u32..6, 1..30), max in 0_u64..5) {
            let cap = cap(Scope::Service, CapOf::Replicas, Most::Count(max), 0);
            let (mut guards, mut accepted) = (Guards::new(), 0);
            for (incident, replica) in replicas.iter().enumerate() {
                let proposal = proposal("p", incident as u64, &format!("replica/api-{replica}"));
                if !check(&[cap], &proposal, &guards.remediations, (&inventory(), &estate())).is_refusal() {
                    guards.started(&proposal, Time::ZERO);
                    accepted += 1;
                }
                prop_assert!(accepted <= max);
            }
            prop_assert_eq!(accepted, max.min(replicas.len() as u64));
        }
    }
}
