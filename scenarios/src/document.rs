//! A scenario as people write it: what was said, where it stands, and nothing filled in.
//!
//! What cannot be read is reported and left out; what is named stays in, so that one slip does not make ten problems.

pub mod metric;
pub mod profile;
pub mod cache;
pub mod database;
pub mod protection;
pub mod load;
pub mod balancing;
pub mod client;
pub mod queue;
pub mod backlog;
pub mod probe;
pub mod lifecycle;
pub mod autoscaler;
pub mod lock;
pub mod flag;
pub mod host;
pub mod service;
pub mod fault;
pub mod monitoring;
pub mod actuator;
pub mod history;
pub mod human;
pub mod nodes;
pub mod topic;
pub mod chaos;

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::Ratio;
use firedrill_core::time::{Span, Start};
use firedrill_core::yaml::{Fields, Key, Node, Reader, Value};
use firedrill_sim::spec::Profile;

use crate::notation::{bounded_span, distribution, optional, positive_span, required};
use crate::problem;
use actuator::ActuatorDocument;
use chaos::ChaosDocument;
use client::ClientDocument;
use fault::{CureDocument, EntryDocument, FaultDocument};
use history::HistoryDocument;
use human::HumanDocument;
use monitoring::MonitoringDocument;
use nodes::NodePoolDocument;
use service::ServiceDocument;
use topic::TopicDocument;

/// The name of the format, before the slash of `schema: scenario/1`.
pub const SCHEMA: &str = "scenario";
/// The version of the format that is written today.
pub const VERSION: u32 = 1;

/// A scenario file.
#[derive(Clone, Debug)]
pub struct ScenarioDocument {
    /// The whole file.
    pub place: Place,
    /// Its name.
    pub name: Option<Located<Name>>,
    /// The class that it is judged in; the name if it says nothing.
    pub family: Option<Located<Name>>,
    /// What happens and why, for people.
    pub description: Option<Located<String>>,
    /// Whether it exists to check the simulator against known results, and no policy is judged by it.
    pub reference: Option<Located<bool>>,
    /// Rule files that it wants beside the project's.
    pub rules: Vec<Located<Name>>,
    /// The Alertmanager configuration that it wants instead of the project's.
    pub alertmanager: Option<Located<Name>>,
    /// The silences that it wants instead of the project's.
    pub silences: Option<Located<Name>>,
    /// The calendar instant of its start.
    pub start: Option<Located<Start>>,
    /// How long a run lasts.
    pub horizon: Option<Located<Span>>,
    /// The objective of clients that state none.
    pub objective: Option<Located<Span>>,
    /// What monitoring remembers from before the start.
    pub history: Option<HistoryDocument>,
    /// Services, in the order of the file.
    pub services: Vec<ServiceDocument>,
    /// Where `services` stands, if it is a map.
    pub services_place: Option<Place>,
    /// Kinds of nodes, in the order of the file.
    pub nodes: Vec<NodePoolDocument>,
    /// Topics, in the order of the file.
    pub topics: Vec<TopicDocument>,
    /// Clients, in the order of the file.
    pub clients: Vec<ClientDocument>,
    /// Where `clients` stands, if it is a map.
    pub clients_place: Option<Place>,
    /// Faults, in the order of the file.
    pub faults: Vec<FaultDocument>,
    /// Benign changes, in the order of the file.
    pub changes: Vec<FaultDocument>,
    /// What goes wrong with monitoring, of `faults` and of `changes`.
    pub monitoring: Vec<MonitoringDocument>,
    /// What goes wrong with carrying actions out, of `faults` and of `changes`.
    pub actuators: Vec<ActuatorDocument>,
    /// What the oracle does.
    pub oracle: Vec<CureDocument>,
    /// Where `oracle` stands, if it does.
    pub oracle_place: Option<Place>,
    /// Who is on call.
    pub human: Option<HumanDocument>,
    /// What may differ in a variant of it.
    pub chaos: Option<ChaosDocument>,
    /// The metric profiles that everything shows itself by.
    pub profiles: Vec<Located<Profile>>,
    /// From one scrape of a target to the next.
    pub scrape_interval: Option<Located<Span>>,
    /// From the order of an action to its first effect.
    pub action_delay: Option<Located<Distribution>>,
    /// The share of actions that fail.
    pub action_failure: Option<Located<Ratio>>,
    /// Events that the world may process.
    pub bound_events: Option<Located<u64>>,
    /// Attempts that may be in the system at a time.
    pub bound_attempts: Option<Located<u64>>,
    /// Records that the journal may have.
    pub bound_records: Option<Located<u64>>,
}

/// Reads a scenario from a parsed file. `None` if it is no scenario at all.
pub fn read(reader: &mut Reader, node: &Node) -> Option<ScenarioDocument> {
    if matches!(node.value, Value::Null) {
        reader.problem(problem::nothing_there(&node.place, "the file says nothing", "`firedrill init` writes working examples"));
        return None;
    }
    let mut fields = reader.fields(node, "a scenario")?;
    reader.schema(&mut fields, SCHEMA, VERSION);
    // What is imported has been put in its place; the key is one of those that there are.
    let _composed = fields.optional("import");
    let mut document = ScenarioDocument {
        place: node.place.clone(),
        name: required(reader, &mut fields, "scenario", |r, n| r.name(n, "the name of a scenario")),
        family: optional(reader, &mut fields, "family", |r, n| r.name(n, "the name of a family")),
        description: optional(reader, &mut fields, "description", |r, n| r.text(n, "a description").map(ToString::to_string)),
        reference: optional(reader, &mut fields, "reference", |r, n| r.boolean(n, "`reference`")),
        rules: read_rules(reader, &mut fields),
        alertmanager: optional(reader, &mut fields, "alertmanager", |r, n| r.text(n, "the path of an `alertmanager.yml`").cloned()),
        silences: optional(reader, &mut fields, "silences", |r, n| r.text(n, "the path of a file of silences").cloned()),
        start: optional(reader, &mut fields, "start", read_start),
        horizon: optional(reader, &mut fields, "horizon", |r, n| positive_span(r, n, "the horizon")),
        objective: optional(reader, &mut fields, "objective", |r, n| positive_span(r, n, "the objective")),
        history: fields.optional("history").and_then(|node| history::read(reader, node)),
        services: Vec::new(),
        services_place: None,
        nodes: Vec::new(),
        topics: Vec::new(),
        clients: Vec::new(),
        clients_place: None,
        faults: Vec::new(),
        changes: Vec::new(),
        monitoring: Vec::new(),
        actuators: Vec::new(),
        oracle: Vec::new(),
        oracle_place: None,
        human: fields.optional("human").and_then(|node| human::read(reader, node)),
        chaos: fields.optional("chaos").and_then(|node| chaos::read(reader, node)),
        profiles: Vec::new(),
        scrape_interval: None,
        action_delay: None,
        action_failure: None,
        bound_events: None,
        bound_attempts: None,
        bound_records: None,
    };
    read_system(reader, &mut fields, &mut document);
    read_events(reader, &mut fields, &mut document);
    read_settings(reader, &mut fields, &mut document);
    fields.finish(reader);
    topic::resolve(&mut document);
    Some(document)
}

fn read_system(reader: &mut Reader, fields: &mut Fields<'_>, document: &mut ScenarioDocument) {
    if let Some(node) = fields.required(reader, "services") {
        document.services_place = is_map(node).then(|| node.place.clone());
        document.services = named(reader, node, "the services", "the name of a service", service::read);
    }
    if let Some(node) = fields.optional("nodes") {
        document.nodes = named(reader, node, "the nodes", "the name of a kind of node", nodes::read);
    }
    if let Some(node) = fields.optional("topics") {
        document.topics = named(reader, node, "the topics", "the name of a topic", topic::read);
    }
    if let Some(node) = fields.required(reader, "clients") {
        document.clients_place = is_map(node).then(|| node.place.clone());
        document.clients = named(reader, node, "the clients", "the name of a client", client::read);
    }
}

const fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}

fn read_events(reader: &mut Reader, fields: &mut Fields<'_>, document: &mut ScenarioDocument) {
    if let Some(node) = fields.optional("faults") {
        document.faults = read_entries(reader, node, ("the faults", "a fault"), document);
    }
    if let Some(node) = fields.optional("changes") {
        document.changes = read_entries(reader, node, ("the changes", "a change"), document);
    }
    if let Some(node) = fields.optional("oracle") {
        document.oracle_place = Some(node.place.clone());
        document.oracle = items(reader, node, "the oracle's actions", fault::read_cure);
    }
}

/// Those that are about the world; the others are put where they belong.
fn read_entries(reader: &mut Reader, node: &Node, (list, one): (&str, &str), document: &mut ScenarioDocument) -> Vec<FaultDocument> {
    let mut faults = Vec::new();
    for entry in items(reader, node, list, |r, n| fault::read_entry(r, n, one)) {
        match entry {
            EntryDocument::World(fault) => faults.push(fault),
            EntryDocument::Monitoring(fault) => document.monitoring.push(fault),
            EntryDocument::Actuator(fault) => document.actuators.push(fault),
        }
    }
    faults
}

fn read_settings(reader: &mut Reader, fields: &mut Fields<'_>, document: &mut ScenarioDocument) {
    document.profiles = fields.optional("metrics").map(|node| profile::read(reader, node)).unwrap_or_default();
    document.scrape_interval = optional(reader, fields, "scrape", read_interval);
    if let Some(mut fields) = fields.optional("actions").and_then(|node| reader.fields(node, "the settings of actions")) {
        document.action_delay = optional(reader, &mut fields, "delay", |r, n| distribution(r, n, "the delay of actions"));
        document.action_failure = optional(reader, &mut fields, "failure", |r, n| r.ratio(n, "the share of actions that fail"));
        fields.finish(reader);
    }
    if let Some(mut fields) = fields.optional("bounds").and_then(|node| reader.fields(node, "the bounds")) {
        let count =
            |what: &'static str| move |r: &mut Reader, n: &Node| r.integer(n, what, 1..=1_000_000_000_000).map(|count| count as u64);
        document.bound_events = optional(reader, &mut fields, "events", count("the bound of events"));
        document.bound_attempts = optional(reader, &mut fields, "attempts", count("the bound of attempts"));
        document.bound_records = optional(reader, &mut fields, "records", count("the bound of records"));
        fields.finish(reader);
    }
}

fn read_interval(reader: &mut Reader, node: &Node) -> Option<Span> {
    let interval = reader.span(node, "the scrape interval")?;
    let whole = interval.as_nanos() % 1_000_000 == 0;
    if !whole || interval < Span::from_seconds(1) || interval > Span::from_minutes(60) {
        reader.problem(problem::interval(&node.place, &interval.to_string()));
        return None;
    }
    Some(interval)
}

fn read_rules(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<Located<Name>> {
    let Some(node) = fields.optional("rules") else { return Vec::new() };
    items(reader, node, "the rule files", |r, n| {
        r.text(n, "the path of a rule file").map(|path| Located { place: n.place.clone(), value: path.clone() })
    })
}

fn read_start(reader: &mut Reader, node: &Node) -> Option<Start> {
    let text = reader.text(node, "a start")?;
    match Start::parse(text) {
        Ok(start) => Some(start),
        Err(fault) => {
            reader.problem(problem::start(&node.place, fault));
            None
        }
    }
}

/// The entries of a map whose keys are people's own names. Entries without a value are read as empty maps would be.
pub(crate) fn named<T>(
    reader: &mut Reader,
    node: &Node,
    what: &str,
    what_key: &str,
    mut read: impl FnMut(&mut Reader, Located<Name>, &Node) -> T,
) -> Vec<T> {
    let Some(fields) = reader.fields(node, what) else { return Vec::new() };
    let mut list = Vec::new();
    for (key, value) in fields.entries() {
        if let Some(name) = key_name(reader, key, what_key) {
            list.push(read(reader, name, value));
        }
    }
    list
}

/// A key as a name, under the same rule as any other name.
fn key_name(reader: &mut Reader, key: &Key, what: &str) -> Option<Located<Name>> {
    let node = Node { place: key.place.clone(), value: Value::Text(key.text.clone()) };
    reader.name(&node, what).map(|value| Located { place: key.place.clone(), value })
}

/// The items of a list that could be read.
pub(crate) fn items<T>(reader: &mut Reader, node: &Node, what: &str, mut read: impl FnMut(&mut Reader, &Node) -> Option<T>) -> Vec<T> {
    let Some(nodes) = reader.list(node, what) else { return Vec::new() };
    nodes.iter().filter_map(|node| read(reader, node)).collect()
}

/// As [`span_or_none`], for a duration that must be above zero: who waits for no time at all has no answer ever.
pub(crate) fn positive_or_none(reader: &mut Reader, node: &Node, what: &str) -> Option<Option<Span>> {
    crate::notation::unless(reader, node, "none", |r, n| positive_span(r, n, what))
}

/// As [`bounded_span`], for a duration that may also be the word `none`.
pub(crate) fn span_or_none(reader: &mut Reader, node: &Node, what: &str) -> Option<Option<Span>> {
    crate::notation::unless(reader, node, "none", |r, n| bounded_span(r, n, what))
}
