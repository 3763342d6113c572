//! How many of what is declared are healthy, by a condition that is true for each healthy element.
//!
//! What is declared and not seen counts as unhealthy: a replica or a node that shows nothing may be gone.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::CountedPart;
use firedrill_telemetry::promql::Condition;

use super::caps::{Part, declared, parts_touched};
use super::{Answer, Scope};
use crate::figures::figures;

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
    /// The same by service or zone; of those that are not here nothing was seen. Beside them, for a budget that goes by whether its target is healthy, each
    /// replica that is not. `None` if everything is counted together, as it is in what was observed before parts were told apart.
    pub parts: Option<&'a [CountedPart]>,
}

impl Counted<'_> {
    /// Those that hold, and all, of a part of the system.
    fn within(&self, part: &Part) -> (u64, u64) {
        let (Some(parts), false) = (self.parts, *part == Part::All) else { return (self.holding, self.elements) };
        let is_it = |own: &&CountedPart| match (part, &own.part) {
            (Part::Service(service), Target::Service(own)) => service == own,
            (Part::Zone(zone), Target::Zone(own)) => zone == own,
            _ => false,
        };
        parts.iter().find(is_it).map_or((0, 0), |own| (own.holding, own.elements))
    }
}

/// The declared replicas or nodes of one part of the system that a proposal touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Population {
    /// The part itself.
    pub part: Part,
    /// Whether the proposal touches others too, which are counted by themselves.
    pub is_one_of_several: bool,
    /// Declared replicas or nodes; zero only if some are seen.
    pub declared: u64,
    /// Those that are seen to be healthy.
    pub healthy: u64,
    /// The others, and those beyond what is declared that are seen not to be healthy.
    pub unhealthy: u64,
}

impl Population {
    /// The populations that an action on a target touches: one for each service or zone, or one of all, as the scope says. There is one at least. Where
    /// nothing is declared and nothing seen there is none to keep.
    ///
    /// # Errors
    /// The refusal of a guard that lacks its input: nobody has counted, nothing was seen of one of them, or nothing is declared.
    pub fn of(watch: &Watch, target: &Target, inventory: &Inventory, counted: Option<Counted<'_>>) -> Result<Vec<Self>, Answer> {
        let undeclared = || {
            let what = match watch.of {
                Element::Replicas => format!("the {} of {target} is not declared", watch.scope.word()),
                Element::Nodes => format!("no node is declared where {target} is"),
            };
            Answer::refused(what, None)
        };
        let parts = parts_touched(watch.scope, target, inventory).ok_or_else(undeclared)?;
        let declared = |part: Part| {
            let declared = match watch.of {
                Element::Replicas => declared(&part, inventory),
                Element::Nodes => nodes(&part, inventory),
            };
            declared.map(|declared| (part, declared))
        };
        let parts: Vec<(Part, u64)> = parts.into_iter().map(declared).collect::<Option<_>>().ok_or_else(undeclared)?;
        if parts.iter().all(|(_, declared)| *declared == 0) {
            return Err(undeclared());
        }
        let counted = counted.ok_or_else(|| Answer::refused("cannot tell: nobody has counted", None))?;
        if !counted.error.is_empty() {
            return Err(Answer::refused(format!("cannot tell: {}", counted.error), None));
        }
        let is_there = |(part, declared): &(Part, u64)| *declared > 0 || counted.within(part).1 > 0;
        let parts: Vec<(Part, u64)> = parts.into_iter().filter(is_there).collect();
        let is_one_of_several = parts.len() > 1;
        if is_one_of_several && counted.parts.is_none() && counted.elements > 0 {
            let what = format!("cannot tell: nobody has told the {}s apart", watch.scope.word());
            return Err(Answer::refused(what, None));
        }
        parts.into_iter().map(|(part, declared)| Self::of_one(part, declared, is_one_of_several, &counted)).collect()
    }

    fn of_one(part: Part, declared: u64, is_one_of_several: bool, counted: &Counted<'_>) -> Result<Self, Answer> {
        let (healthy, elements) = counted.within(&part);
        let own = Self { part, is_one_of_several, declared, healthy, unhealthy: declared.max(elements).saturating_sub(healthy) };
        if elements == 0 { Err(own.named(Answer::refused("cannot tell: no element", None))) } else { Ok(own) }
    }

    /// The same answer, whose figures say which of several populations they are of.
    #[must_use]
    pub fn named(&self, answer: Answer) -> Answer {
        if !self.is_one_of_several {
            return answer;
        }
        Answer { figures: figures(&[&answer.figures, &" in ", &self.part]), ..answer }
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
        Some(Counted { holding, elements, error: "", parts: None })
    }

    /// Declared, healthy and unhealthy of each population.
    #[track_caller]
    fn check(scope: Scope, target: &str, seen: Option<Counted<'_>>, expected: Result<&[(u64, u64, u64)], &str>) {
        let found = Population::of(&watch(scope), &target.parse().unwrap(), &inventory(), seen);
        let of_one = |found: Population| (found.declared, found.healthy, found.unhealthy);
        let told = found.map(|found| found.into_iter().map(of_one).collect::<Vec<_>>()).map_err(|answer| answer.figures);
        assert_eq!(told, expected.map(<[_]>::to_vec).map_err(str::to_owned));
    }

    #[test]
    fn what_is_declared_and_not_seen_is_unhealthy_and_so_is_what_is_seen_beyond() {
        check(Scope::Service, "replica/api-1", counted(4, 6), Ok(&[(6, 4, 2)]));
        check(Scope::Service, "replica/api-1", counted(4, 4), Ok(&[(6, 4, 2)]));
        check(Scope::Service, "replica/api-1", counted(8, 9), Ok(&[(6, 8, 1)]));
        check(Scope::Zone, "replica/api-0", counted(4, 4), Ok(&[(4, 4, 0)]));
        check(Scope::All, "replica/api-0", counted(9, 9), Ok(&[(9, 9, 0)]));
    }

    fn of_part(part: &str, holding: u64, elements: u64) -> CountedPart {
        CountedPart { part: part.parse().unwrap(), holding, elements }
    }

    #[test]
    fn each_service_and_each_zone_is_a_population_of_its_own() {
        let services = [of_part("service/api", 3, 5), of_part("service/cart", 3, 3)];
        let seen = |parts| Some(Counted { holding: 6, elements: 8, error: "", parts: Some(parts) });
        check(Scope::Service, "replica/api-1", seen(&services), Ok(&[(6, 3, 3)]));
        check(Scope::Service, "service/cart", seen(&services), Ok(&[(3, 3, 0)]));
        check(Scope::Service, "zone/a", seen(&services), Ok(&[(6, 3, 3), (3, 3, 0)]));
        check(Scope::Service, "node/blue-0", seen(&services), Ok(&[(6, 3, 3), (3, 3, 0)]));
        check(Scope::All, "zone/a", seen(&[]), Ok(&[(9, 6, 3)]));
        let zones = [of_part("zone/a", 2, 3), of_part("zone/b", 4, 4), of_part("zone/c", 0, 1)];
        check(Scope::Zone, "replica/api-0", seen(&zones), Ok(&[(4, 2, 2)]));
        check(Scope::Zone, "service/cart", seen(&zones), Ok(&[(4, 2, 2), (3, 4, 0)]));
    }

    #[test]
    fn a_part_of_which_nothing_is_seen_cannot_be_told_whatever_is_seen_elsewhere() {
        let seen = |parts| Some(Counted { holding: 3, elements: 3, error: "", parts: Some(parts) });
        let cart = [of_part("service/cart", 3, 3)];
        check(Scope::Service, "replica/api-1", seen(&cart), Err("cannot tell: no element"));
        check(Scope::Service, "replica/api-1", seen(&[]), Err("cannot tell: no element"));
        check(Scope::Zone, "replica/api-0", seen(&[]), Err("cannot tell: no element"));
        check(Scope::Service, "zone/a", seen(&cart), Err("cannot tell: no element in service/api"));
    }

    #[test]
    fn a_count_that_tells_nothing_apart_is_not_that_of_each_of_several() {
        check(Scope::Service, "zone/a", counted(9, 9), Err("cannot tell: nobody has told the services apart"));
        check(Scope::Zone, "service/api", counted(9, 9), Err("cannot tell: nobody has told the zones apart"));
        check(Scope::Zone, "replica/api-0", counted(4, 4), Ok(&[(4, 4, 0)]));
    }

    #[test]
    fn where_nothing_is_declared_there_is_nothing_to_keep() {
        let mut inventory = inventory();
        inventory.services.get_mut("api").unwrap().replicas = 2;
        inventory.services.get_mut("cart").unwrap().replicas = 1;
        let of = |parts: &[CountedPart]| {
            let seen = Some(Counted { holding: 3, elements: 3, error: "", parts: Some(parts) });
            let found = Population::of(&watch(Scope::Zone), &"service/api".parse().unwrap(), &inventory, seen).unwrap();
            found.into_iter().map(|own| (own.part, own.declared)).collect::<Vec<_>>()
        };
        let zone = |name: &str, declared| (Part::Zone(name.into()), declared);
        let seen = [of_part("zone/a", 2, 2), of_part("zone/b", 1, 1), of_part("zone/c", 0, 1)];
        assert_eq!(of(&seen[..2]), [zone("a", 2), zone("b", 1)], "no replica stands in zone c");
        assert_eq!(of(&seen), [zone("a", 2), zone("b", 1), zone("c", 0)], "one more than is declared is broken there");
    }

    #[test]
    fn nodes_are_counted_where_nodes_are_asked_for() {
        let mut inventory = inventory();
        inventory.nodes = [("n-0", "a"), ("n-1", "a"), ("n-2", "b")].map(|(node, zone)| (node.into(), zone.into())).into();
        let of = |scope, inventory: &Inventory| {
            let watch = Watch { of: Element::Nodes, ..watch(scope) };
            let found = Population::of(&watch, &"node/n-0".parse().unwrap(), inventory, counted(1, 3));
            found.map(|found| found.iter().map(|own| (own.declared, own.unhealthy)).collect::<Vec<_>>())
        };
        assert_eq!(of(Scope::All, &inventory), Ok(vec![(3, 2)]));
        assert_eq!(
            of(Scope::Zone, &inventory),
            Ok(vec![(2, 2)]),
            "what is seen is of all zones, so a condition must ask for the zone's own"
        );
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
        let error = Some(Counted { holding: 0, elements: 0, error: "too many series", parts: None });
        check(Scope::Service, "service/api", error, Err("cannot tell: too many series"));
        check(Scope::Service, "service/unknown", counted(1, 1), Err("the service of service/unknown is not declared"));
        check(Scope::Service, "client/users", counted(1, 1), Err("the service of client/users is not declared"));
    }
}
