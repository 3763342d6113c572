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
    }
    pools
}

fn lower_pool(reader: &mut Reader, names: &Names, said: &NodePoolDocument) -> NodePoolSpec {
    let zone = or(said.zone.as_ref(), || firedrill_core::name::Name::new("a"));
    if let Some(place) = said.zone.as_ref().map(|zone| &zone.place).filter(|_| !names.zones.contains(&zone)) {
        let known: Vec<&str> = names.zones.iter().map(firedrill_core::name::Name::as_str).collect();
        reader.problem(problem::unknown(place, "zone", &zone, &known));
    }
    NodePoolSpec {
        name: said.name.value.clone(),
        count: or(said.count.as_ref(), || defaults::count("nodes.*.count")),
        zone,
        millicores: (or(said.cores.as_ref(), || 1.0) * 1e3).round() as u64,
        memory: or(said.memory.as_ref(), Bytes::default),
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
