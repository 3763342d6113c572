//! How many of what is declared are healthy, by a condition that is true for each healthy element.
//!
//! What is declared and not seen counts as unhealthy: a replica or a node that shows nothing may be gone.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::CountedPart;
use firedrill_telemetry::promql::Condition;

use super::caps::{Part, declared, parts_touched};
use super::{Answer, Scope};

/// What is counted, and how health is told.
#[derive(Clone, Debug)]
pub struct Watch {
    /// A comparison with one element for each replica or node, true for the healthy ones.
    pub healthy: Condition,
    /// What is counted together.
    pub scope: Scope,
    /// What is counted.
    pub of: Element,
}

/// What a population is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Declared replicas.
    Replicas,
    /// Declared nodes, which stand in zones and belong to no service.
    Nodes,
}

/// What the condition of a [`Watch`] said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Elements that are healthy.
    pub holding: u64,
    /// Elements that are healthy or are not.
    pub elements: u64,
    /// Why it could not be evaluated; otherwise empty.
    pub error: &'a str,
    /// The same by service or zone; empty if everything is counted together, as it is in what was observed before parts were told apart.
    pub parts: &'a [CountedPart],
}

impl Counted<'_> {
    /// Those that hold, and all, of some parts of the system.
    fn within(&self, parts: &[Part]) -> (u64, u64) {
        if self.parts.is_empty() {
            return (self.holding, self.elements);
        }
        let is_within = |own: &&CountedPart| {
            parts.iter().any(|part| match (part, &own.part) {
                (Part::Service(service), Target::Service(own)) => service == own,
                (Part::Zone(zone), Target::Zone(own)) => zone == own,
                _ => false,
            })
        };
        let within = || self.parts.iter().filter(is_within);
        (within().map(|own| own.holding).sum(), within().map(|own| own.elements).sum())
    }
}

/// The declared replicas of the parts of the system that a proposal touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Population {
    /// The parts themselves.
    pub parts: Vec<Part>,
    /// Declared replicas, at least 1.
    pub declared: u64,
    /// Those that are seen to be healthy.
    pub healthy: u64,
    /// The others, and those beyond what is declared that are seen not to be healthy.
    pub unhealthy: u64,
}

impl Population {
    /// The population that an action on a target touches.
    ///
    /// # Errors
    /// The refusal of a guard that lacks its input: nobody has counted, nothing was seen, or nothing is declared.
    pub fn of(watch: &Watch, target: &Target, inventory: &Inventory, counted: Option<Counted<'_>>) -> Result<Self, Answer> {
        let undeclared = || {
            let what = match watch.of {
                Element::Replicas => format!("the {} of {target} is not declared", watch.scope.word()),
                Element::Nodes => format!("no node is declared where {target} is"),
            };
            Answer::refused(what, None)
        };
        let parts = parts_touched(watch.scope, target, inventory).filter(|parts| !parts.is_empty()).ok_or_else(undeclared)?;
        let declared = |part: &Part| match watch.of {
            Element::Replicas => declared(part, inventory),
            Element::Nodes => nodes(part, inventory),
        };
        let declared: u64 = parts.iter().map(declared).sum::<Option<u64>>().filter(|count| *count > 0).ok_or_else(undeclared)?;
        match counted {
            None => Err(Answer::refused("cannot tell: nobody has counted", None)),
            Some(Counted { error, .. }) if !error.is_empty() => Err(Answer::refused(format!("cannot tell: {error}"), None)),
            Some(counted) => match counted.within(&parts) {
                (_, 0) => Err(Answer::refused("cannot tell: no element", None)),
                (healthy, elements) => {
                    let unhealthy = declared.max(elements).saturating_sub(healthy);
                    Ok(Self { parts, declared, healthy, unhealthy })
                }
            },
        }
    }
}

/// Declared nodes of a part of the system; `None` of a service, which has none of its own.
fn nodes(part: &Part, inventory: &Inventory) -> Option<u64> {
    match part {
        Part::Service(_) | Part::Zones(..) | Part::Owned(..) => None,
        Part::Zone(zone) => Some(inventory.nodes.values().filter(|own| *own == zone).count() as u64),
        Part::All => Some(inventory.nodes.len() as u64),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::fixture::inventory;
    use super::*;

    pub(crate) fn watch(scope: Scope) -> Watch {
        Watch { healthy: Condition::parse("up == 1").unwrap(), scope, of: Element::Replicas }
    }

    pub(crate) const fn counted(holding: u64, elements: u64) -> Option<Counted<'static>> {
        Some(Counted { holding, elements, error: "", parts: &[] })
    }

    #[track_caller]
    fn check(scope: Scope, target: &str, seen: Option<Counted<'_>>, expected: Result<(u64, u64, u64), &str>) {
        let found = Population::of(&watch(scope), &target.parse().unwrap(), &inventory(), seen);
        let told = found.map(|found| (found.declared, found.healthy, found.unhealthy)).map_err(|answer| answer.figures);
        assert_eq!(told, expected.map_err(str::to_owned));
    }

    #[test]
    fn what_is_declared_and_not_seen_is_unhealthy_and_so_is_what_is_seen_beyond() {
        check(Scope::Service, "replica/api-1", counted(4, 6), Ok((6, 4, 2)));
        check(Scope::Service, "replica/api-1", counted(4, 4), Ok((6, 4, 2)));
        check(Scope::Service, "replica/api-1", counted(8, 9), Ok((6, 8, 1)));
        check(Scope::Zone, "replica/api-0", counted(4, 4), Ok((4, 4, 0)));
        check(Scope::All, "replica/api-0", counted(9, 9), Ok((9, 9, 0)));
    }

    #[test]
    fn what_stands_elsewhere_is_not_counted() {
        let of = |part: &str, holding, elements| CountedPart { part: part.parse().unwrap(), holding, elements };
        let services = [of("service/api", 3, 5), of("service/cart", 3, 3)];
        let seen = |parts| Some(Counted { holding: 6, elements: 8, error: "", parts });
        check(Scope::Service, "replica/api-1", seen(&services), Ok((6, 3, 3)));
        check(Scope::Service, "service/cart", seen(&services), Ok((3, 3, 0)));
        check(Scope::Service, "zone/a", seen(&services), Ok((9, 6, 3)));
        check(Scope::Service, "replica/cart-1", seen(&services[..1]), Err("cannot tell: no element"));
        check(Scope::Zone, "replica/api-0", seen(&[of("zone/a", 2, 3), of("zone/b", 4, 4)]), Ok((4, 2, 2)));
    }

    #[test]
    fn nodes_are_counted_where_nodes_are_asked_for() {
        let mut inventory = inventory();
        inventory.nodes = [("n-0", "a"), ("n-1", "a"), ("n-2", "b")].map(|(node, zone)| (node.into(), zone.into())).into();
        let of = |scope, inventory: &Inventory| {
            let watch = Watch { of: Element::Nodes, ..watch(scope) };
            Population::of(&watch, &"node/n-0".parse().unwrap(), inventory, counted(1, 3)).map(|found| (found.declared, found.unhealthy))
        };
        assert_eq!(of(Scope::All, &inventory), Ok((3, 2)));
        assert_eq!(of(Scope::Zone, &inventory), Ok((2, 2)), "what is seen is of all zones, so a condition must ask for the zone's own");
        assert_eq!(
            of(Scope::Service, &inventory).map_err(|answer| answer.figures),
            Err("no node is declared where node/n-0 is".to_owned())
        );
        let nowhere = Watch { of: Element::Nodes, ..watch(Scope::All) };
        inventory.nodes.clear();
        let none = Population::of(&nowhere, &"replica/api-0".parse().unwrap(), &inventory, counted(1, 1));
        assert_eq!(none.map_err(|answer| answer.figures), Err("no node is declared where replica/api-0 is".to_owned()));
    }

    #[test]
    fn without_its_input_it_refuses() {
        check(Scope::Service, "service/api", None, Err("cannot tell: nobody has counted"));
        check(Scope::Service, "service/api", counted(0, 0), Err("cannot tell: no element"));
        let error = Some(Counted { holding: 0, elements: 0, error: "too many series", parts: &[] });
        check(Scope::Service, "service/api", error, Err("cannot tell: too many series"));
        check(Scope::Service, "service/unknown", counted(1, 1), Err("the service of service/unknown is not declared"));
        check(Scope::Service, "client/users", counted(1, 1), Err("the service of client/users is not declared"));
    }
}
