//! Everything that has a name, and the questions whether a name means something.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::random::hash64;
use firedrill_core::yaml::Reader;

use crate::defaults;
use crate::document::ScenarioDocument;
use crate::document::nodes::NodePoolDocument;
use crate::document::service::{DEFAULT_ENDPOINT, ServiceDocument};
use crate::document::topic::{TopicDocument, TopicPreset};
use crate::lower::or;
use crate::problem;

/// What a service can be asked about.
pub struct KnownService {
    /// Replicas at the start.
    pub replicas: u32,
    /// Whether it is a database.
    pub is_database: bool,
    /// Its endpoints, in the order of the file.
    pub endpoints: Vec<Name>,
    /// Its versions, the running one first.
    pub versions: Vec<Name>,
}

/// All names of a scenario.
pub struct Names {
    /// Services by name.
    pub services: BTreeMap<Name, KnownService>,
    /// Clients.
    pub clients: Vec<Name>,
    /// Zones.
    pub zones: Vec<Name>,
    /// Machines, each with its zone.
    pub nodes: Vec<(Name, Name)>,
    /// Topics, and what they are like.
    pub topics: BTreeMap<Name, TopicPreset>,
}

impl Names {
    /// Collects the names, and refuses those that are taken or whose hashes collide.
    pub fn collect(reader: &mut Reader, document: &ScenarioDocument) -> Self {
        let services = document.services.iter().map(|service| (service.name.value.clone(), KnownService::of(service))).collect();
        let clients = document.clients.iter().map(|client| client.name.value.clone()).collect();
        let mut zones: Vec<Name> = document.services.iter().flat_map(zones_of).collect();
        zones.sort();
        zones.dedup();
        let preset = |topic: &TopicDocument| topic.preset.as_ref().map_or(TopicPreset::Kafka, |preset| preset.value);
        let topics = document.topics.iter().map(|topic| (topic.name.value.clone(), preset(topic))).collect();
        let nodes = document.nodes.iter().flat_map(NodePoolDocument::nodes).collect();
        let names = Self { services, clients, zones, nodes, topics };
        names.check_taken(reader, document);
        check_hashes(reader, document);
        names
    }

    /// Clients and services are both callers, and replicas are named after services: none may be mistaken for another.
    fn check_taken(&self, reader: &mut Reader, document: &ScenarioDocument) {
        for client in &document.clients {
            if self.services.contains_key(&client.name.value) {
                reader.problem(problem::taken(&client.name.place, "the client", &client.name.value, "a service"));
            }
        }
        for service in &document.services {
            if let Some((owner, _)) = self.replica_of(&service.name.value).filter(|(owner, _)| **owner != service.name.value) {
                let other = format!("a replica of `{owner}`");
                reader.problem(problem::taken(&service.name.place, "the service", &service.name.value, &other));
            }
        }
    }

    /// The service and the index in a replica's name, if there is such a replica.
    fn replica_of(&self, name: &str) -> Option<(&Name, u32)> {
        let (service, index) = name.rsplit_once('-')?;
        let (service, known) = self.services.get_key_value(service)?;
        let parsed: u32 = index.parse().ok()?;
        (parsed < known.replicas && *Inventory::replica_name(service, parsed) == *name).then_some((service, parsed))
    }

    /// Whether there is such a service; records a problem if not.
    pub fn service(&self, reader: &mut Reader, name: &Name, place: &Place) -> Option<&KnownService> {
        let found = self.services.get(name);
        // Where no service could be read, every name would be unknown, and that is reported already.
        if found.is_none() && !self.services.is_empty() {
            reader.problem(problem::unknown(place, "service", name, &self.service_names()));
        }
        found
    }

    /// The endpoint meant: the one named, or the default one; records a problem if the service does not have it.
    pub fn endpoint(&self, reader: &mut Reader, service: &Name, endpoint: Option<&Name>, place: &Place) -> Name {
        let wanted = endpoint.cloned().unwrap_or_else(|| Name::new(DEFAULT_ENDPOINT));
        let Some(known) = self.services.get(service) else { return wanted };
        // A service with one endpoint leaves no doubt.
        if let ([only], None) = (known.endpoints.as_slice(), endpoint) {
            return only.clone();
        }
        if !known.endpoints.is_empty() && !known.endpoints.contains(&wanted) {
            let names: Vec<&str> = known.endpoints.iter().map(Name::as_str).collect();
            reader.problem(problem::unknown_endpoint(place, service, &wanted, &names));
        }
        wanted
    }

    /// Whether there is such a target; records a problem if not.
    pub fn target(&self, reader: &mut Reader, target: &Target, place: &Place) {
        match target {
            Target::Service(name) => {
                self.service(reader, name, place);
            }
            Target::Replica(name) => self.replica(reader, name, place),
            Target::Zone(name) if !self.zones.contains(name) => {
                reader.problem(problem::unknown(place, "zone", name, &strings(&self.zones)));
            }
            Target::Client(name) if !self.clients.contains(name) => {
                reader.problem(problem::unknown(place, "client", name, &strings(&self.clients)));
            }
            Target::Node(name) if !self.nodes.iter().any(|(known, _)| known == name) => {
                let known: Vec<&str> = self.nodes.iter().map(|(known, _)| known.as_str()).collect();
                reader.problem(problem::unknown(place, "node", name, &known));
            }
            Target::Zone(_) | Target::Client(_) | Target::Node(_) => {}
        }
    }

    fn replica(&self, reader: &mut Reader, name: &Name, place: &Place) {
        if self.replica_of(name).is_some() || self.services.is_empty() {
            return;
        }
        let owner = name.rsplit_once('-').filter(|(_, index)| index.parse::<u64>().is_ok()).map(|(service, _)| service);
        match owner.and_then(|owner| self.services.get_key_value(owner)) {
            Some((service, known)) => reader.problem(problem::no_such_replica(place, name, service, known.replicas)),
            None => reader.problem(problem::not_a_replica(place, name, &self.service_names())),
        }
    }

    fn service_names(&self) -> Vec<&str> {
        self.services.keys().map(Name::as_str).collect()
    }
}

impl KnownService {
    fn of(service: &ServiceDocument) -> Self {
        let running = or(service.version.as_ref(), || Name::new(defaults::text("services.*.version")));
        let others = service.versions.iter().map(|version| version.name.value.clone()).filter(|name| *name != running);
        Self {
            replicas: or(service.replicas.as_ref(), || defaults::count("services.*.replicas")),
            is_database: service.database.is_some(),
            endpoints: service.endpoints.iter().map(|endpoint| endpoint.name.value.clone()).collect(),
            versions: std::iter::once(running.clone()).chain(others).collect(),
        }
    }
}

/// The zones of a service, in the order given.
pub fn zones_of(service: &ServiceDocument) -> Vec<Name> {
    match &service.zones {
        Some(zones) => zones.value.iter().map(|zone| zone.value.clone()).collect(),
        None => vec![Name::new("a")],
    }
}

fn strings(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

/// The names of faults and changes that are taken, whatever they are about.
#[derive(Debug, Default)]
pub struct Taken(BTreeSet<Name>);

impl Taken {
    /// These are.
    pub fn by(names: impl Iterator<Item = Name>) -> Self {
        Self(names.collect())
    }

    /// Takes a name that was given; records a problem if another has it.
    pub fn take(&mut self, reader: &mut Reader, name: &Located<Name>) {
        if !self.0.insert(name.value.clone()) {
            reader.problem(problem::taken(&name.place, "the fault", &name.value, "another fault or change"));
        }
    }

    /// Takes the first that is free: `scrape_loss-api`, or `scrape_loss-api-2`.
    pub fn free(&mut self, base: &str) -> Name {
        let numbered = (2..).map(|number| Name::from(format!("{base}-{number}")));
        let name = std::iter::once(Name::new(base)).chain(numbered).find(|name| !self.0.contains(name)).expect("numbers do not end");
        self.0.insert(name.clone());
        name
    }
}

/// Names decide luck by their hashes, so no two may share one (docs/decisions, identity).
fn check_hashes(reader: &mut Reader, document: &ScenarioDocument) {
    let mut seen: BTreeMap<u64, Name> = BTreeMap::new();
    let mut check = |name: &Name, place: &Place| {
        let other = seen.entry(hash64(name)).or_insert_with(|| name.clone());
        if other != name {
            reader.problem(problem::hash_collision(place, name, other));
        }
    };
    for client in &document.clients {
        check(&client.name.value, &client.name.place);
    }
    for service in &document.services {
        check(&service.name.value, &service.name.place);
        for endpoint in &service.endpoints {
            check(&endpoint.name.value, &endpoint.name.place);
        }
        let replicas = or(service.replicas.as_ref(), || 1);
        for index in 0..replicas {
            check(&Inventory::replica_name(&service.name.value, index), &service.name.place);
        }
    }
}
