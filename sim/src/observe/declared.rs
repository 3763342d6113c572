//! All series that a world can ever expose, whatever happens in it: told before anything has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use firedrill_telemetry::store::Store;
use firedrill_telemetry::universe::{Held, Kind, Shape, Universe};

use super::clusters::COUNTERS;
use super::{Observer, database, faulty, profiles};
use crate::spec::{Feed, MonitoringFault, WorldSpec};
use crate::world::World;

/// The series that scrapes of this world can find: those of the calm as well as those that only a fault brings about, of all replicas that may
/// come to be, in every version and zone.
#[must_use]
pub fn universe(spec: &Arc<WorldSpec>) -> Universe {
    // What is declared depends on the world's parts alone, so any seed will do.
    let mut world = World::new(with_small_caches(spec), Seed(0), true);
    let mut observer = Observer::new(&world);
    observer.begin(&mut world);
    // All replicas of a service are alike in what they can ever show, but for those of a database.
    let mut shown = BTreeSet::new();
    for replica in std::mem::take(&mut world.born) {
        let service = world.replicas[replica as usize].service;
        if shown.insert(service) || spec.services[service as usize].database.is_some() {
            observer.add_replica(&mut world, replica);
        }
    }
    let mut store = Store::new();
    observer.declare(&world, &mut store);
    let mut free = Free::of(&world);
    let mut universe = Universe::new();
    for series in store.ids() {
        let labels = store.labels(series);
        universe.add(labels.metric_name().expect("a metric has a name"), free.shape(labels));
        if is_copied(spec, labels) {
            let labels = faulty::copied(labels);
            universe.add(labels.metric_name().expect("a metric has a name"), free.shape(&labels));
        }
    }
    declare_kinds(spec, &mut universe);
    universe
}

/// Whether a series may be scraped twice. Its own labels tell at least what those of its target do.
fn is_copied(spec: &WorldSpec, labels: &Labels) -> bool {
    let copied = spec.monitoring.iter().filter(|fault| matches!(fault.kind, MonitoringFault::DuplicateSeries { .. }));
    copied.filter_map(|fault| fault.kind.of()).any(|of| faulty::is_meant(of, labels))
}

/// The same with caches of one key each: what they hold shows in no label, and to fill them takes longer than all the rest.
fn with_small_caches(spec: &Arc<WorldSpec>) -> Arc<WorldSpec> {
    let mut spec = Arc::clone(spec);
    if spec.services.iter().any(|service| !service.caches.is_empty()) {
        Arc::make_mut(&mut spec).services.iter_mut().flat_map(|service| &mut service.caches).for_each(|cache| cache.keys = 1);
    }
    spec
}

/// Gauges whose names end as those of counters do.
const GAUGES: [&str; 5] = [
    "db_client_connection_count",
    "envoy_cluster_membership_total",
    "kafka_consumergroup_lag_sum",
    "pg_locks_count",
    "pg_stat_activity_count",
];

/// Whether a target could be scraped: 1 or 0.
const UP: &str = "up";

/// Says of every metric what kind it is of, and of `up` what it can be. Our own follow the conventions of names; a declared one is what it is fed by.
fn declare_kinds(spec: &WorldSpec, universe: &mut Universe) {
    let is_counter = |name: &str| {
        ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end)) && !GAUGES.contains(&name)
            || COUNTERS.contains(&name)
            || database::COUNTERS.contains(&name)
            || profiles::COUNTERS.contains(&name)
    };
    let metrics: Vec<String> = universe.metrics().map(str::to_owned).collect();
    for metric in metrics {
        universe.declare(&metric, if is_counter(&metric) { Kind::Counter } else { Kind::Gauge });
    }
    for metric in spec.services.iter().flat_map(|service| &service.metrics) {
        let kind = match &metric.feed {
            Feed::Requests { .. } | Feed::CpuSeconds => Kind::Counter,
            Feed::InService | Feed::Queued | Feed::MemoryBytes | Feed::ReadyReplicas | Feed::DeployTimestamp | Feed::Info => Kind::Gauge,
            // Its parts have names of their own.
            Feed::Latency { .. } => continue,
        };
        universe.declare(&metric.name, kind);
    }
    if !spec.services.iter().flat_map(|service| &service.metrics).any(|metric| *metric.name == *UP) {
        universe.limit(UP, 0.0, 1.0);
    }
}

/// What may differ from how the world begins: which replicas there are, where, and of which version.
struct Free {
    /// Replicas, and what all names of their service begin with.
    replicas: Vec<(Name, Arc<str>)>,
    /// Values of which each may stand for each other.
    alike: Vec<BTreeSet<Arc<str>>>,
    /// What has been found of labels with their values; most come again and again.
    found: BTreeMap<(Arc<str>, Arc<str>), Option<Held>>,
}

impl Free {
    fn of(world: &World) -> Self {
        let first = |replica: &crate::world::Replica| {
            let service = &world.spec.services[replica.service as usize].name;
            let name = Inventory::replica_name(service, 0);
            (replica.name.clone(), Arc::from(name.as_str().strip_suffix('0').expect("a replica's name ends in its number")))
        };
        let versions =
            world.spec.services.iter().map(|service| service.versions.iter().map(|version| Arc::from(version.name.as_str())).collect());
        let zones = |written: &dyn Fn(&str) -> String| world.zones.iter().map(|zone| Arc::from(written(&zone.name))).collect();
        let nodes = |written: &dyn Fn(&str) -> String| world.nodes.iter().map(|node| Arc::from(written(&node.name))).collect();
        let machines = [nodes(&str::to_owned), nodes(&|node| format!("{node}:10250"))];
        let places = [zones(&str::to_owned), zones(&|zone| format!("node-{zone}")), zones(&|zone| format!("node-{zone}:10250"))];
        Self {
            replicas: world.replicas.iter().map(first).collect(),
            alike: versions.chain(places).chain(machines).collect(),
            found: BTreeMap::new(),
        }
    }

    fn shape(&mut self, labels: &Labels) -> Shape {
        let mut shape = Shape::of(labels);
        for (name, value) in labels.iter().filter(|(name, _)| **name != *METRIC_NAME) {
            let key = (Arc::clone(name), Arc::clone(value));
            if !self.found.contains_key(&key) {
                let held = self.held(name, value);
                self.found.insert(key.clone(), held);
            }
            if let Some(Some(held)) = self.found.get(&key) {
                shape.put(name.clone(), held.clone());
            }
        }
        shape
    }

    /// What else a label can hold; `None`: nothing.
    fn held(&self, name: &str, value: &str) -> Option<Held> {
        // A port may follow a replica's name, but no more of its number.
        let tail = |replica: &Name| value.strip_prefix(replica.as_str()).filter(|tail| !tail.starts_with(|c: char| c.is_ascii_digit()));
        let numbered = self.replicas.iter().find_map(|(replica, before)| Some((before, tail(replica)?)));
        if let Some((before, after)) = numbered {
            return Some(Held::Numbered { before: Arc::clone(before), after: after.into() });
        }
        let others: BTreeSet<&Arc<str>> = self.alike.iter().filter(|values| values.contains(value)).flatten().collect();
        let is_free = others.len() > 1 && matches!(name, "version" | "zone" | "node" | "instance");
        is_free.then(|| Held::OneOf(others.into_iter().cloned().collect()))
    }
}
