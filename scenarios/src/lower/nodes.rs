//! Nodes with every default filled in, and whether what shall stand on them fits.

use firedrill_core::quantity::Bytes;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{NodePoolSpec, ServiceSpec};

use crate::defaults;
use crate::document::ScenarioDocument;
use crate::document::nodes::NodePoolDocument;
use crate::lower::names::Names;
use crate::lower::or;
use crate::problem;

/// Lowers the nodes of a document, sorted by name.
pub fn lower(reader: &mut Reader, names: &Names, document: &ScenarioDocument, services: &[ServiceSpec]) -> Vec<NodePoolSpec> {
    let mut pools: Vec<NodePoolSpec> = document.nodes.iter().map(|pool| lower_pool(reader, names, pool)).collect();
    pools.sort_by(|left, right| left.name.cmp(&right.name));
    if !pools.is_empty() {
        services.iter().for_each(|service| check_fits(reader, document, service, &pools));
        document.nodes.iter().for_each(|pool| check_room(reader, document, pool, (services, &pools)));
    }
    pools
}

fn lower_pool(reader: &mut Reader, names: &Names, said: &NodePoolDocument) -> NodePoolSpec {
    let zone = or(said.zone.as_ref(), || firedrill_core::name::Name::new("a"));
    if let Some(place) = said.zone.as_ref().map(|zone| &zone.place).filter(|_| !names.zones.contains(&zone)) {
        let known: Vec<&str> = names.zones.iter().map(firedrill_core::name::Name::as_str).collect();
        let remedy = format!("let a service say `zones: [{zone}]`, or put the nodes where services stand: {}", known.join(", "));
        reader.problem(problem::impossible(
            place,
            &format!("no service stands in zone `{zone}`, so nothing can run on its nodes"),
            &remedy,
        ));
    }
    NodePoolSpec {
        name: said.name.value.clone(),
        count: or(said.count.as_ref(), || defaults::count("nodes.*.count")),
        zone,
        millicores: (or(said.cores.as_ref(), || 1.0) * 1e3).round() as u64,
        memory: or(said.memory.as_ref(), Bytes::default),
    }
}

/// What stands there from the start must have room in its zone; told at the zone's first kind of node.
fn check_room(
    reader: &mut Reader,
    document: &ScenarioDocument,
    said: &NodePoolDocument,
    (services, pools): (&[ServiceSpec], &[NodePoolSpec]),
) {
    let zone_of = |pool: &NodePoolDocument| pools.iter().find(|known| known.name == pool.name.value).map(|known| known.zone.clone());
    let Some(zone) = zone_of(said) else { return };
    if document.nodes.iter().find(|pool| zone_of(pool).as_ref() == Some(&zone)).is_none_or(|first| first.name.value != said.name.value) {
        return;
    }
    let (mut asked, mut there) = ((0_u64, 0_u64), (0_u64, 0_u64));
    for service in services {
        let own = (0..service.replicas).filter(|index| service.zones[*index as usize % service.zones.len()] == zone).count() as u64;
        asked = (asked.0 + own * service.life.request_millicores, asked.1 + own * service.life.request_memory.get());
    }
    for pool in pools.iter().filter(|pool| pool.zone == zone) {
        there = (there.0 + u64::from(pool.count) * pool.millicores, there.1 + u64::from(pool.count) * pool.memory.get());
    }
    if asked.0 > there.0 || asked.1 > there.1 {
        let told = |(millicores, memory): (u64, u64)| format!("{} cores and {}", millicores as f64 / 1e3, Bytes::new(memory));
        let fault = format!("the replicas of zone {zone} ask for {} together, and its nodes have {}", told(asked), told(there));
        reader.problem(problem::impossible(
            &said.name.place,
            &fault,
            "add nodes, or let replicas ask for less (`cpu_request`, `memory: { request: … }`)",
        ));
    }
}

/// A replica that no node of its zones has room for would wait for ever.
fn check_fits(reader: &mut Reader, document: &ScenarioDocument, service: &ServiceSpec, pools: &[NodePoolSpec]) {
    let Some(said) = document.services.iter().find(|said| said.name.value == service.name) else { return };
    let (millicores, memory) = (service.life.request_millicores, service.life.request_memory);
    for zone in &service.zones {
        let fits = |pool: &&NodePoolSpec| pool.zone == *zone && pool.millicores >= millicores && pool.memory >= memory;
        if !pools.iter().any(|pool| fits(&pool)) {
            let cores = millicores as f64 / 1e3;
            let fault = format!("a replica of `{}` asks for {cores} cores and {memory}, and no node of zone {zone} has that", service.name);
            reader.problem(problem::impossible(&said.name.place, &fault, "let it ask for less, or add larger nodes to the zone"));
        }
    }
}
