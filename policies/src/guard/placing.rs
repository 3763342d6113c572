//! Which declared replica or node each element of a condition speaks of, by its labels, so that nothing is counted where it does not belong.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::CountedPart;
use firedrill_core::name::Name;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{JudgedElement, Verdict3};

use super::population::{Element, Watch};
use super::{Scope, is_named_of, is_of_another, replica_zone, service_of};

/// The label that names a replica.
const REPLICA: &str = "pod";

/// The label that names a node.
const NODE: &str = "node";

/// The label that names a service.
const SERVICE: &str = "service";

/// The label that names a zone.
const ZONE: &str = "zone";

/// The label that names a client, whose own targets are scraped too.
const CLIENT: &str = "client";

/// How many replicas or nodes are healthy, in each part of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those for which the condition holds.
    pub holding: u64,
    /// Those for which it holds or does not.
    pub elements: u64,
    /// The same by service or zone, whichever the scope is; `None` if everything is counted together, or there is nothing to count.
    pub parts: Option<Vec<CountedPart>>,
}

/// What an element speaks of.
enum Place {
    /// A declared replica or node, with the service or zone in which it is counted; `None`: it stands in none.
    One(Name, Option<Target>),
    /// A pod whose name begins with that of a declared service and is not that of one of its own; nobody says whose it is.
    Alike(Name, Name),
    /// Something declared that is not what is counted, or a replica or node that nobody has declared.
    Another,
}

/// Counts the declared replicas or nodes that elements speak of, each once: one is healthy if all of its elements hold.
///
/// # Errors
/// An element cannot be placed, or there are elements and none of them speaks of what is counted; in words for people.
pub fn count(watch: &Watch, elements: &[JudgedElement], inventory: &Inventory) -> Result<Count, String> {
    let ground = Ground { inventory, zones: inventory.zones().into_iter().collect() };
    let mut found: BTreeMap<Name, (Option<Target>, Vec<Verdict3>)> = BTreeMap::new();
    let (mut placed, mut alike) = (0_usize, None);
    let mut untold: BTreeSet<Name> = BTreeSet::new();
    for JudgedElement { labels, verdict, .. } in elements {
        let place = match place(watch, labels, &ground) {
            // Where it belongs does not matter of what says nothing, as what a comparison has nothing to hold against; that it says nothing does.
            Err(_) if *verdict == Verdict3::Unknown => {
                untold.extend(value(labels, REPLICA));
                continue;
            }
            place => place?,
        };
        placed += 1;
        match place {
            Place::One(name, part) => found.entry(name).or_insert((part, Vec::new())).1.push(*verdict),
            Place::Alike(pod, service) => alike = alike.or(Some((pod, service))),
            Place::Another => {}
        }
    }
    if found.is_empty() && placed > 0 {
        return Err(none_of(placed, watch.of, alike));
    }
    let mut count = Count::default();
    let mut parts: BTreeMap<Target, (u64, u64)> = BTreeMap::new();
    for (name, (part, mut verdicts)) in found {
        verdicts.extend(untold.contains(&name).then_some(Verdict3::Unknown));
        let (holding, elements) = told(&verdicts);
        count.holding += holding;
        count.elements += elements;
        if let Some(part) = part {
            let own = parts.entry(part).or_default();
            *own = (own.0 + holding, own.1 + elements);
        }
    }
    let parts = parts.into_iter().map(|(part, (holding, elements))| CountedPart { part, holding, elements });
    let are_apart = matches!(watch.scope, Scope::Service | Scope::Zone) && !elements.is_empty();
    count.parts = are_apart.then(|| parts.collect());
    Ok(count)
}

/// That nothing is counted of what was seen, and what to do about a pod that may be one of a service.
fn none_of(placed: usize, of: Element, alike: Option<(Name, Name)>) -> String {
    let (what, label) = match of {
        Element::Replicas => ("replica of a declared service", REPLICA),
        Element::Nodes => ("declared node", NODE),
    };
    let why = alike.map_or_else(String::new, |(pod, service)| {
        format!("; `{pod}` is not named as a pod of a workload `{service}`: if it is one, let its label `{SERVICE}` say `{service}`")
    });
    format!("none of {placed} elements names a {what} by its label `{label}`{why}")
}

/// The replicas that are counted as not healthy, each as a part of its own.
pub fn unhealthy(watch: &Watch, elements: &[JudgedElement], inventory: &Inventory) -> Vec<CountedPart> {
    let ground = Ground { inventory, zones: inventory.zones().into_iter().collect() };
    let mut found: BTreeMap<Name, Vec<Verdict3>> = BTreeMap::new();
    for JudgedElement { labels, verdict, .. } in elements {
        if let Ok(Place::One(name, _)) = place(watch, labels, &ground) {
            found.entry(name).or_default().push(*verdict);
        }
    }
    let unhealthy = found.into_iter().filter(|(_, verdicts)| told(verdicts) == (0, 1));
    unhealthy.map(|(name, _)| CountedPart { part: Target::Replica(name), holding: 0, elements: 1 }).collect()
}

/// What one replica or node adds to those that hold, and to those that hold or do not.
fn told(verdicts: &[Verdict3]) -> (u64, u64) {
    if verdicts.contains(&Verdict3::False) {
        (0, 1)
    } else if verdicts.contains(&Verdict3::Unknown) {
        (0, 0)
    } else {
        (1, 1)
    }
}

/// What is declared.
struct Ground<'a> {
    inventory: &'a Inventory,
    zones: BTreeSet<Name>,
}

fn place(watch: &Watch, labels: &Labels, ground: &Ground<'_>) -> Result<Place, String> {
    match watch.of {
        Element::Replicas => replica(watch.scope, labels, ground),
        Element::Nodes => node(watch.scope, labels, ground),
    }
}

fn replica(scope: Scope, labels: &Labels, ground: &Ground<'_>) -> Result<Place, String> {
    let inventory = ground.inventory;
    let Some(name) = value(labels, REPLICA) else { return another(labels, ground) };
    let target = Target::Replica(name.clone());
    let declared = service_of(&target, inventory).filter(|service| inventory.services.contains_key(service));
    let said = labels.get(SERVICE);
    let Some(service) = declared.filter(|service| !is_of_another(&name, service, said, inventory)) else {
        return Ok(Place::Another);
    };
    if said != Some(service.as_str()) && !is_named_of(&name, &service) {
        return Ok(Place::Alike(name, service));
    }
    let part = match scope {
        Scope::Service => Some(Target::Service(service)),
        Scope::Zone => zone(&target, labels, ground)?.map(Target::Zone),
        _ => None,
    };
    Ok(Place::One(name, part))
}

/// The zone of a replica of a declared service: the one that its element names, or else the one in which it stands as declared.
fn zone(replica: &Target, labels: &Labels, Ground { inventory, zones }: &Ground<'_>) -> Result<Option<Name>, String> {
    if let Some(named) = value(labels, ZONE).filter(|named| zones.contains(named)) {
        return Ok(Some(named));
    }
    let of_service = service_of(replica, inventory).and_then(|service| inventory.services.get(&service)).map(|entry| &entry.zones[..]);
    match of_service.unwrap_or_default() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => replica_zone(replica, inventory)
            .map(Some)
            .ok_or_else(|| format!("nobody knows in which zone {} stands: its element names none by the label `{ZONE}`", replica.name())),
    }
}

fn node(scope: Scope, labels: &Labels, ground: &Ground<'_>) -> Result<Place, String> {
    let Some(name) = value(labels, NODE) else { return another(labels, ground) };
    let Some(zone) = ground.inventory.nodes.get(&name) else { return Ok(Place::Another) };
    let part = (scope == Scope::Zone).then(|| Target::Zone(zone.clone()));
    Ok(Place::One(name, part))
}

/// What names no replica and no node is none, if it names something that is declared; otherwise nobody knows what it is.
fn another(labels: &Labels, Ground { inventory, zones }: &Ground<'_>) -> Result<Place, String> {
    let names = |label: &str, is_declared: &dyn Fn(&Name) -> bool| value(labels, label).is_some_and(|name| is_declared(&name));
    let is_known = names(SERVICE, &|name| inventory.services.contains_key(name))
        || names(ZONE, &|name| zones.contains(name))
        || names(NODE, &|name| inventory.nodes.contains_key(name))
        || names(CLIENT, &|name| inventory.clients.contains(name))
        || value(labels, REPLICA).is_some();
    if is_known {
        return Ok(Place::Another);
    }
    Err(format!("{labels} names nothing that is declared by a label `{REPLICA}`, `{NODE}`, `{SERVICE}` or `{ZONE}`"))
}

fn value(labels: &Labels, label: &str) -> Option<Name> {
    labels.get(label).filter(|value| !value.is_empty()).map(Name::new)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::inventory;
    use super::*;
    use firedrill_telemetry::notation::parse_series;
    use firedrill_telemetry::promql::{Condition, Machine};
    use firedrill_telemetry::store::Store;
    use std::sync::Arc;

    /// The count of what series with these values tell, written as `holding/elements` and as `part holding/elements`.
    fn counted(of: Element, scope: Scope, series: &[(&str, f64)]) -> Result<Vec<String>, String> {
        counted_by("up == 1", (of, scope), series)
    }

    fn counted_by(healthy: &str, (of, scope): (Element, Scope), series: &[(&str, f64)]) -> Result<Vec<String>, String> {
        let mut store = Store::new();
        for (series, value) in series {
            let id = store.series(&parse_series(series).unwrap());
            store.append(id, 0, *value).unwrap();
        }
        let healthy = Condition::parse(healthy).unwrap();
        let mut machine = Machine::new(Arc::default());
        let elements = healthy.prepare(&mut machine).elements(&mut machine, 0, &[&store]).unwrap();
        let Count { holding, elements, parts } = count(&Watch { healthy, scope, of }, &elements, &inventory())?;
        let parts = parts.into_iter().flatten().map(|CountedPart { part, holding, elements }| format!("{part} {holding}/{elements}"));
        Ok([format!("{holding}/{elements}")].into_iter().chain(parts).collect())
    }

    #[track_caller]
    fn check(scope: Scope, series: &[(&str, f64)], expected: &[&str]) {
        assert_eq!(counted(Element::Replicas, scope, series).unwrap(), expected);
    }

    #[test]
    fn each_service_and_each_zone_counts_its_own() {
        let series = [
            (r#"up{pod="api-0",service="api"}"#, 1.0),
            (r#"up{pod="api-1",service="api"}"#, 0.0),
            (r#"up{pod="cart-0"}"#, 1.0),
            (r#"up{pod="cart-2"}"#, f64::NAN),
        ];
        check(Scope::Service, &series, &["2/3", "service/api 1/2", "service/cart 1/1"]);
        check(Scope::Zone, &series, &["2/3", "zone/a 2/2", "zone/b 0/1"]);
        check(Scope::All, &series, &["2/3"]);
    }

    #[test]
    fn a_probe_of_the_service_is_no_replica_and_one_replica_counts_once() {
        let series = [
            (r#"up{pod="api-0",container="app"}"#, 1.0),
            (r#"up{pod="api-0",container="proxy"}"#, 0.0),
            (r#"up{pod="api-1",container="app"}"#, 1.0),
            (r#"up{pod="api-1",container="proxy"}"#, 1.0),
            (r#"up{instance="http://api/",job="blackbox",service="api"}"#, 1.0),
            (r#"up{node="blue-0"}"#, 1.0),
            (r#"up{client="users"}"#, 1.0),
            (r#"up{pod="prometheus-0"}"#, 1.0),
        ];
        check(Scope::Service, &series, &["1/2", "service/api 1/2"]);
    }

    #[test]
    fn what_cannot_be_placed_is_told_and_nothing_is_counted() {
        let of = |series| counted(Element::Replicas, Scope::Service, &[(r#"up{pod="api-0"}"#, 1.0), (series, 1.0)]).unwrap_err();
        let told = "names nothing that is declared by a label `pod`, `node`, `service` or `zone`";
        assert_eq!(of(r#"up{job="prometheus"}"#), format!(r#"up{{job="prometheus"}} {told}"#));
        assert_eq!(of(r#"up{pod="",service="apl"}"#), format!(r#"up{{service="apl"}} {told}"#));
        let alone = |series| counted(Element::Replicas, Scope::Service, &[(series, 1.0)]).unwrap_err();
        let none = "none of 1 elements names a replica of a declared service by its label `pod`";
        assert_eq!(alone(r#"up{service="api"}"#), none);
        assert_eq!(alone(r#"up{pod="prometheus-0"}"#), none);
        assert_eq!(counted(Element::Replicas, Scope::Service, &[]), Ok(vec!["0/0".to_owned()]));
    }

    #[test]
    fn what_a_join_has_no_partner_for_need_not_be_placed() {
        let ready = "up == on (pod) kube_pod_status_ready";
        let of = |series: &[(&str, f64)]| counted_by(ready, (Element::Replicas, Scope::Service), series);
        let pod = [(r#"up{pod="api-0"}"#, 1.0), (r#"kube_pod_status_ready{pod="api-0"}"#, 1.0)];
        let prober = (r#"up{job="blackbox",service="api"}"#, 1.0);
        assert_eq!(of(&[pod[0], pod[1], prober]).unwrap(), ["1/1", "service/api 1/1"]);
        assert_eq!(of(&[(r#"up{pod="api-1"}"#, 1.0), pod[0], pod[1], prober]).unwrap(), ["1/1", "service/api 1/1"]);
        assert_eq!(of(&[prober, pod[1]]).unwrap(), ["0/0"], "which is nothing to tell by");
    }

    #[test]
    fn a_pod_that_only_begins_like_a_replica_is_none_of_the_service() {
        let cart = (r#"up{pod="cart-0",service="cart"}"#, 0.0);
        check(Scope::Service, &[cart, (r#"up{pod="cart-exporter-0",service="cart-exporter"}"#, 1.0)], &["0/1", "service/cart 0/1"]);
        check(Scope::Service, &[cart, (r#"up{pod="cart-1",service="api"}"#, 1.0)], &["0/1", "service/cart 0/1"]);
        // One that tells of the pods of others has a service of its own.
        check(Scope::Service, &[cart, (r#"up{pod="cart-1",service="kube-state-metrics"}"#, 1.0)], &["1/2", "service/cart 1/2"]);
        check(Scope::Service, &[cart, (r#"up{pod="cart-5f6c9d-abcde",service="cart"}"#, 1.0)], &["1/2", "service/cart 1/2"]);
        // Where nobody says whose it is its name must be that of a pod of the workload.
        let told = |pod: &str| format!(r#"up{{pod="{pod}",service="kube-state-metrics"}}"#);
        for pod in ["cart-17", "cart-x2v4q", "cart-7d9f8b6c5d-x2v4q"] {
            check(Scope::Service, &[cart, (&told(pod), 1.0)], &["1/2", "service/cart 1/2"]);
        }
        for pod in ["cart-exporter-0", "cart-exporter-x2v4q", "cart-blue-7d9f8b6c5d-x2v4q", "cart-x", "cart-"] {
            check(Scope::Service, &[cart, (&told(pod), 1.0)], &["0/1", "service/cart 0/1"]);
        }
        check(Scope::All, &[cart, (r#"up{pod="cart-1",service="car"}"#, 1.0)], &["1/2"]);
    }

    #[test]
    fn whoever_names_pods_otherwise_is_told_how_they_count() {
        let pod = |service: &str| format!(r#"up{{pod="cart-v1-545db77b95-x2v4q",service="{service}"}}"#);
        let of = |series: &str| counted(Element::Replicas, Scope::Service, &[(series, 1.0)]);
        let told = "none of 1 elements names a replica of a declared service by its label `pod`; `cart-v1-545db77b95-x2v4q` is not named as a pod of a \
                    workload `cart`: if it is one, let its label `service` say `cart`";
        assert_eq!(of(&pod("kube-state-metrics")).unwrap_err(), told);
        assert_eq!(of(&pod("cart")).unwrap(), ["1/1", "service/cart 1/1"]);
        let said = r#"label_replace(up, "service", "cart", "pod", "cart-v[0-9]+-.*") == 1"#;
        let series =
            [(&*pod("kube-state-metrics"), 1.0), (r#"up{pod="cart-exporter-545db77b95-x2v4q",service="kube-state-metrics"}"#, 1.0)];
        assert_eq!(counted_by(said, (Element::Replicas, Scope::Service), &series).unwrap(), ["1/1", "service/cart 1/1"]);
        assert!(!of(&pod("cart-v1")).unwrap_err().contains("if it is one"), "it says whose it is");
    }

    #[test]
    fn a_replica_of_which_a_part_cannot_be_told_is_not_healthy_wherever_that_part_stands() {
        let ready = "up == on (pod, container) group_left (zone) ready";
        let of = |scope| {
            let pod = |container: &str| format!(r#"up{{pod="api-5f6c9d-bcd2f",container="{container}"}}"#);
            let ready_of = r#"ready{pod="api-5f6c9d-bcd2f",container="a",zone="a"}"#;
            counted_by(ready, (Element::Replicas, scope), &[(&pod("a"), 1.0), (&pod("b"), 1.0), (ready_of, 1.0)])
        };
        assert_eq!(of(Scope::Zone).unwrap(), ["0/0", "zone/a 0/0"]);
        assert_eq!(of(Scope::Service).unwrap(), ["0/0", "service/api 0/0"]);
    }

    #[test]
    fn where_nothing_stands_in_a_zone_no_zone_is_counted() {
        let mut inventory = inventory();
        inventory.services.get_mut("cart").unwrap().zones.clear();
        let labels = parse_series(r#"up{pod="cart-0"}"#).unwrap();
        let mut store = Store::new();
        let id = store.series(&labels);
        store.append(id, 0, 1.0).unwrap();
        let healthy = Condition::parse("up == 1").unwrap();
        let mut machine = Machine::new(Arc::default());
        let elements = healthy.prepare(&mut machine).elements(&mut machine, 0, &[&store]).unwrap();
        let of = |scope| count(&Watch { healthy: healthy.clone(), scope, of: Element::Replicas }, &elements, &inventory).unwrap();
        assert_eq!(of(Scope::Zone), Count { holding: 1, elements: 1, parts: Some(Vec::new()) });
        assert_eq!(of(Scope::All), Count { holding: 1, elements: 1, parts: None });
    }

    #[test]
    fn a_replica_without_an_index_needs_a_label_for_its_zone() {
        let zone = |series| counted(Element::Replicas, Scope::Zone, &[(series, 1.0)]);
        assert_eq!(zone(r#"up{pod="api-5f6c9d-bcd2f",zone="c"}"#).unwrap(), ["1/1", "zone/c 1/1"]);
        assert_eq!(zone(r#"up{pod="api-0",zone="c"}"#).unwrap(), ["1/1", "zone/c 1/1"], "what is seen before what is declared");
        assert_eq!(zone(r#"up{pod="api-0",zone="eu-1"}"#).unwrap(), ["1/1", "zone/a 1/1"]);
        let told = "nobody knows in which zone api-5f6c9d-bcd2f stands: its element names none by the label `zone`";
        assert_eq!(zone(r#"up{pod="api-5f6c9d-bcd2f"}"#).unwrap_err(), told);
        check(Scope::Service, &[(r#"up{pod="api-5f6c9d-bcd2f"}"#, 1.0)], &["1/1", "service/api 1/1"]);
    }

    #[test]
    fn nodes_are_placed_by_the_label_node() {
        let series =
            [(r#"up{node="blue-0"}"#, 1.0), (r#"up{node="blue-1"}"#, 0.0), (r#"up{node="green-0"}"#, 1.0), (r#"up{pod="api-0"}"#, 1.0)];
        assert_eq!(counted(Element::Nodes, Scope::Zone, &series).unwrap(), ["1/2", "zone/a 1/2"]);
        assert_eq!(counted(Element::Nodes, Scope::All, &series).unwrap(), ["1/2"]);
        let none = "none of 1 elements names a declared node by its label `node`";
        assert_eq!(counted(Element::Nodes, Scope::All, &series[2..3]).unwrap_err(), none);
    }
}
