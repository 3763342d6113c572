//! Faults, changes and the oracle's actions: each entry has one word that says what happens, and when.

use firedrill_core::action::{Action, RestartMode, Scale, Target};
use firedrill_core::deed;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::{Bytes, Factor};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Key, Node, Reader, Value};
use firedrill_sim::spec::{ActuatorFaultSpec, FaultKind, MonitoringFault};

use crate::document::actuator::{self, ActuatorDocument};
use crate::document::client::read_rate;
use crate::document::monitoring::{self, MonitoringDocument};
use crate::notation::{bounded_span, distribution, growth, interval, optional, positive_span, required};
use crate::problem;

/// An entry of `faults` or `changes`.
#[derive(Clone, Debug)]
pub struct FaultDocument {
    /// Where the entry stands.
    pub place: Place,
    /// Its name, if it has one.
    pub name: Option<Located<Name>>,
    /// When it sets in.
    pub at: Option<Located<Span>>,
    /// How long it lasts.
    pub lasting: Option<Located<Span>>,
    /// What it does.
    pub kind: FaultKind,
    /// The places of what it does: the word, and the parameters by their keys.
    pub places: Places,
}

/// An entry of `oracle`.
#[derive(Clone, Debug)]
pub struct CureDocument {
    /// When; at the onset of the first fault if it says nothing.
    pub at: Option<Located<Span>>,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// The places of the word and its parameters.
    pub places: Places,
}

/// Where the word of an entry and its parameters stand.
#[derive(Clone, Debug)]
pub struct Places {
    word: Place,
    parameters: Vec<(Name, Place)>,
}

impl Places {
    /// The word's place.
    #[must_use]
    pub const fn word(&self) -> &Place {
        &self.word
    }

    /// The place of a parameter's value, or of the word if it is not there.
    #[must_use]
    pub fn of(&self, key: &str) -> &Place {
        self.parameters.iter().find(|(candidate, _)| &**candidate == key).map_or(&self.word, |(_, place)| place)
    }

    /// The place of the target, whatever it is.
    #[must_use]
    pub fn target(&self, target: &Target) -> &Place {
        self.of(target.kind())
    }

    pub(super) fn new(word: &Key, parameters: Option<&Node>) -> Self {
        let entries = match parameters.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        Self { word: word.place.clone(), parameters: entries.iter().map(|(key, node)| (key.text.clone(), node.place.clone())).collect() }
    }
}

/// The kinds of faults, as they are written.
pub const FAULTS: [&str; 26] = [
    "crash",
    "cache_flush",
    "hang",
    "slow",
    "capacity",
    "steal",
    "error_rate",
    "memory_leak",
    "deploy",
    "flag",
    "latency",
    "zone_loss",
    "node_loss",
    "node_drain",
    "lock_hold",
    "primary_crash",
    "quota",
    "replica_lag",
    "poison",
    "surge",
    "connection_leak",
    "cache_corruption",
    "disk_fill",
    "certificate_expiry",
    "config_drift",
    "scale_out",
];

/// What says when an entry happens, and what it is called.
pub(super) const WHEN: [&str; 3] = ["name", "at", "lasting"];

/// All words of entries of `faults` and `changes`: faults of the world, of monitoring and of actuators.
#[must_use]
pub fn entries() -> Vec<&'static str> {
    FAULTS.into_iter().chain(MonitoringFault::WORDS).chain([ActuatorFaultSpec::WORD]).collect()
}

/// An entry of `faults` or `changes`, by what it is about.
#[derive(Clone, Debug)]
pub enum EntryDocument {
    /// The world.
    World(FaultDocument),
    /// Monitoring.
    Monitoring(MonitoringDocument),
    /// Whoever carries actions out.
    Actuator(ActuatorDocument),
}

/// Reads an entry of `faults` or `changes`; `what` is "a fault" or "a change".
pub fn read_entry(reader: &mut Reader, node: &Node, what: &str) -> Option<EntryDocument> {
    let says = |words: &[&str]| matches!(&node.value, Value::Map(fields) if fields.iter().any(|(key, _)| words.contains(&&*key.text)));
    if says(&MonitoringFault::WORDS) {
        return monitoring::read(reader, node, what).map(EntryDocument::Monitoring);
    }
    if says(&[ActuatorFaultSpec::WORD]) {
        return actuator::read(reader, node, what).map(EntryDocument::Actuator);
    }
    read(reader, node, what).map(EntryDocument::World)
}

fn read(reader: &mut Reader, node: &Node, what: &str) -> Option<FaultDocument> {
    let mut fields = reader.fields(node, what)?;
    let name = optional(reader, &mut fields, "name", |r, n| r.name(n, "the name of a fault"));
    let at = required(reader, &mut fields, "at", |r, n| bounded_span(r, n, "the onset"));
    let lasting = optional(reader, &mut fields, "lasting", |r, n| positive_span(r, n, "the time that it lasts"));
    let (word, parameters) = choice(reader, &fields, node, &Choice { what, others: &WHEN, known: &entries() })?;
    let kind = read_kind(reader, word, parameters)?;
    Some(FaultDocument { place: node.place.clone(), name, at, lasting, kind, places: Places::new(word, Some(parameters)) })
}

/// Reads an entry of `oracle`.
pub fn read_cure(reader: &mut Reader, node: &Node) -> Option<CureDocument> {
    let what = "an action of the oracle";
    let mut fields = reader.fields(node, what)?;
    let at = optional(reader, &mut fields, "at", |r, n| bounded_span(r, n, "the time of an action"));
    // An oracle states its times, and waits for nothing.
    let known: Vec<&'static str> = Action::changing().collect();
    let (word, parameters) = choice(reader, &fields, node, &Choice { what, others: &["at"], known: &known })?;
    let (action, target) = read_action(reader, word, parameters)?;
    Some(CureDocument { at, action, target, places: Places::new(word, Some(parameters)) })
}

/// What an entry may say: what happens (one of `known`), and when (`others`).
pub(super) struct Choice<'a> {
    pub(super) what: &'a str,
    pub(super) others: &'a [&'a str],
    pub(super) known: &'a [&'a str],
}

/// The one entry that says what happens, among those that say when.
pub(super) fn choice<'n>(reader: &mut Reader, fields: &Fields<'n>, node: &Node, choice: &Choice<'_>) -> Option<(&'n Key, &'n Node)> {
    let Choice { what, others, known } = choice;
    let candidates: Vec<&(Key, Node)> = fields.entries().iter().filter(|(key, _)| !others.contains(&&*key.text)).collect();
    let noun = what.trim_start_matches("an ").trim_start_matches("a ");
    let mut strange = false;
    for (key, _) in &candidates {
        if !known.contains(&&*key.text) {
            reader.problem(problem::unknown_kind(&key.place, noun, &key.text, known, others));
            strange = true;
        }
    }
    match candidates.as_slice() {
        [(key, value)] if !strange => Some((key, value)),
        _ if strange => None,
        several => {
            let found: Vec<&str> = several.iter().map(|(key, _)| &*key.text).collect();
            reader.problem(problem::one_kind(&node.place, what, &found, known));
            None
        }
    }
}

fn read_kind(reader: &mut Reader, word: &Key, node: &Node) -> Option<FaultKind> {
    let what = with_article(&word.text);
    let mut fields = reader.fields(node, &what)?;
    let kind = match &*word.text {
        "crash" => {
            let target = service_or_replica(reader, &mut fields, node, &what);
            let every = optional(reader, &mut fields, "every", |r, n| interval(r, n, "the life of a process"));
            target.map(|target| FaultKind::Crash { target, every: every.map(|every| every.value) })
        }
        "hang" => service_or_replica(reader, &mut fields, node, &what).map(|target| FaultKind::Hang { target }),
        "slow" => with_factor(reader, &mut fields, node, &what).map(|(target, factor)| FaultKind::Slow { target, factor }),
        "capacity" => with_factor(reader, &mut fields, node, &what).map(|(target, factor)| FaultKind::Capacity { target, factor }),
        "error_rate" => {
            let target = service_or_replica(reader, &mut fields, node, &what);
            let error = required(reader, &mut fields, "error", |r, n| r.ratio(n, "the share of errors"));
            target.zip(error).map(|(target, error)| FaultKind::ErrorRate { target, error: error.value })
        }
        "memory_leak" => {
            let target = service_or_replica(reader, &mut fields, node, &what);
            let per_second: Option<Located<Bytes>> = required(reader, &mut fields, "leak", |r, n| growth(r, n, "the leak"));
            target.zip(per_second).map(|(target, leak)| FaultKind::MemoryLeak { target, per_second: leak.value })
        }
        "replica_lag" => {
            let target = service_or_replica(reader, &mut fields, node, &what);
            let lag = required(reader, &mut fields, "lag", |r, n| positive_span(r, n, "the lag"));
            target.zip(lag).map(|(target, lag)| FaultKind::ReplicaLag { target, lag: lag.value })
        }
        "primary_crash" => one_name(reader, &mut fields, "service").map(|service| FaultKind::PrimaryCrash { service }),
        "zone_loss" => one_name(reader, &mut fields, "zone").map(|zone| FaultKind::ZoneLoss { zone }),
        "node_loss" => one_name(reader, &mut fields, "node").map(|node| FaultKind::NodeLoss { node }),
        "steal" => {
            let target = one_of_targets(reader, &mut fields, &node.place, &what, &["service", "replica", "node"]);
            let share = required(reader, &mut fields, "share", |r, n| r.ratio(n, "the share of CPU time"));
            target.zip(share).map(|(target, share)| FaultKind::Steal { target, share: share.value })
        }
        "node_drain" => one_name(reader, &mut fields, "node").map(|node| FaultKind::NodeDrain { node }),
        _ => read_kind_by_name(reader, &mut fields, word),
    };
    fields.finish(reader);
    kind
}

/// The kinds that are attached to something that they name themselves.
fn read_kind_by_name(reader: &mut Reader, fields: &mut Fields<'_>, word: &Key) -> Option<FaultKind> {
    match &*word.text {
        "deploy" => {
            let service = one_name(reader, fields, "service");
            let version = one_name(reader, fields, "version");
            service.zip(version).map(|(service, version)| FaultKind::Deploy { service, version })
        }
        "flag" => {
            let service = one_name(reader, fields, "service");
            let flag = one_name(reader, fields, "flag");
            service.zip(flag).map(|(service, flag)| FaultKind::Flag { service, flag })
        }
        "cache_flush" => {
            let service = one_name(reader, fields, "service");
            let cache = one_name(reader, fields, "cache");
            let share = required(reader, fields, "share", |r, n| r.ratio(n, "the share of keys"));
            let share = share.map(|share| share.value);
            service.zip(cache).zip(share).map(|((service, cache), share)| FaultKind::CacheFlush { service, cache, share })
        }
        "lock_hold" => {
            let service = one_name(reader, fields, "service");
            let lock = one_name(reader, fields, "lock");
            service.zip(lock).map(|(service, lock)| FaultKind::LockHold { service, lock })
        }
        "quota" => {
            let service = one_name(reader, fields, "service");
            let rate = required(reader, fields, "rate", read_rate);
            service.zip(rate).map(|(service, rate)| FaultKind::Quota { service, rate: rate.value })
        }
        "poison" => {
            let topic = one_name(reader, fields, "topic");
            let partition = optional(reader, fields, "partition", |r, n| r.integer(n, "a partition", 0..=9_999).map(|index| index as u32));
            let kills = optional(reader, fields, "kills", |r, n| r.boolean(n, "`kills`")).is_none_or(|kills| kills.value);
            let partition = partition.map_or(0, |partition| partition.value);
            // Who takes it is said once the services are known.
            topic.map(|topic| FaultKind::Poison { service: topic.clone(), topic, partition, kills })
        }
        "latency" => {
            let service = one_name(reader, fields, "service");
            let from = optional(reader, fields, "from", |r, n| r.name(n, "the name of a caller"));
            let extra = required(reader, fields, "extra", |r, n| distribution(r, n, "the extra time"));
            let from = from.map(|from| from.value);
            service.zip(extra).map(|(service, extra)| FaultKind::Latency { from, service, extra: extra.value })
        }
        "surge" => {
            let client = one_name(reader, fields, "client");
            let factor = required(reader, fields, "factor", |r, n| r.factor(n, "the factor"));
            client.zip(factor).map(|(client, factor)| FaultKind::Surge { client, factor: factor.value })
        }
        _ => read_kind_of_parts(reader, fields, word),
    }
}

/// The kinds that are attached to parts of services: pools, caches, volumes, certificates, settings.
fn read_kind_of_parts(reader: &mut Reader, fields: &mut Fields<'_>, word: &Key) -> Option<FaultKind> {
    match &*word.text {
        "connection_leak" => {
            let target = one_of_keys(reader, fields, word);
            let to = optional(reader, fields, "to", |r, n| r.name(n, "the name of a service"));
            let share = required(reader, fields, "share", |r, n| r.ratio(n, "the share of connections"));
            let to = to.map(|to| to.value);
            target.zip(share).map(|(target, share)| FaultKind::ConnectionLeak { target, to, share: share.value })
        }
        "cache_corruption" => {
            let service = one_name(reader, fields, "service");
            let cache = one_name(reader, fields, "cache");
            let prefix = one_name(reader, fields, "prefix");
            let share = required(reader, fields, "share", |r, n| r.ratio(n, "the share of keys"));
            let (prefix, share) = (prefix?, share?.value);
            service.zip(cache).map(|(service, cache)| FaultKind::CacheCorruption { service, cache, prefix, share })
        }
        "disk_fill" => {
            let target = one_of_keys(reader, fields, word);
            let fill: Option<Located<Bytes>> = required(reader, fields, "fill", |r, n| growth(r, n, "what is written"));
            target.zip(fill).map(|(target, fill)| FaultKind::DiskFill { target, per_second: fill.value })
        }
        "certificate_expiry" => {
            let service = one_name(reader, fields, "service");
            let sessions = optional(reader, fields, "sessions", |r, n| bounded_span(r, n, "the life of open connections"));
            let sessions = sessions.map_or(Span::ZERO, |sessions| sessions.value);
            service.map(|service| FaultKind::CertificateExpiry { service, sessions })
        }
        "config_drift" => {
            let target = one_of_keys(reader, fields, word);
            let replicas = optional(reader, fields, "replicas", |r, n| r.integer(n, "replicas", 1..=problem::MOST_REPLICAS));
            let demand = optional(reader, fields, "demand", |r, n| r.factor(n, "the demand"));
            let error = optional(reader, fields, "error", |r, n| r.ratio(n, "the share of errors"));
            let replicas = replicas.map(|replicas| replicas.value as u32);
            let (demand, error) =
                (demand.map_or(Factor::ONE, |demand| demand.value), error.map_or_else(Default::default, |error| error.value));
            target.map(|target| FaultKind::ConfigDrift { target, replicas, demand, error })
        }
        "scale_out" => {
            let service = one_name(reader, fields, "service");
            let by = required(reader, fields, "by", |r, n| r.integer(n, "replicas that are added", 1..=problem::MOST_REPLICAS));
            service.zip(by).map(|(service, by)| FaultKind::ScaleOut { service, by: by.value as u32 })
        }
        other => unreachable!("`{other}` is not among the kinds of faults"),
    }
}

/// The service or replica that a kind is attached to.
fn one_of_keys(reader: &mut Reader, fields: &mut Fields<'_>, word: &Key) -> Option<Target> {
    let place = fields.place().clone();
    one_of_targets(reader, fields, &place, &with_article(&word.text), &["service", "replica"])
}

/// `a crash`, `an error rate`.
pub(super) fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {}", word.replace('_', " "))
}

fn with_factor(reader: &mut Reader, fields: &mut Fields<'_>, node: &Node, what: &str) -> Option<(Target, Factor)> {
    let target = service_or_replica(reader, fields, node, what);
    let factor = required(reader, fields, "factor", |r, n| r.factor(n, "the factor"));
    target.zip(factor.map(|factor| factor.value))
}

fn one_name(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Name> {
    required(reader, fields, key, |r, n| r.name(n, &format!("the name of a {key}"))).map(|name| name.value)
}

fn service_or_replica(reader: &mut Reader, fields: &mut Fields<'_>, node: &Node, what: &str) -> Option<Target> {
    one_of_targets(reader, fields, &node.place, what, &["service", "replica"])
}

/// The one target among those that are possible.
fn one_of_targets(reader: &mut Reader, fields: &mut Fields<'_>, place: &Place, what: &str, possible: &[&'static str]) -> Option<Target> {
    let mut found = Vec::new();
    for key in possible {
        let given = fields.has(key);
        let name = optional(reader, fields, key, |r, n| r.name(n, &format!("the name of a {key}")));
        if given {
            found.push(name.map(|name| target(key, name.value)));
        }
    }
    // A misspelt key is reported once, by `finish`.
    let misspelt = fields
        .entries()
        .iter()
        .any(|(key, _)| !possible.contains(&&*key.text) && firedrill_core::problem::near_miss(&key.text, possible).is_some());
    match found.as_slice() {
        [one] => one.clone(),
        [] if misspelt => None,
        _ => {
            reader.problem(problem::one_target(place, what, possible));
            None
        }
    }
}

fn target(key: &str, name: Name) -> Target {
    match key {
        "service" => Target::Service(name),
        "replica" => Target::Replica(name),
        "zone" => Target::Zone(name),
        "client" => Target::Client(name),
        "node" => Target::Node(name),
        other => unreachable!("`{other}` is not a kind of target"),
    }
}

fn read_action(reader: &mut Reader, word: &Key, node: &Node) -> Option<(Action, Target)> {
    let what = with_article(&word.text);
    let mut fields = reader.fields(node, &what)?;
    let possible: &[&'static str] = match &*word.text {
        "restart" | "purge_queue" => &["service", "replica"],
        "drain" => &["replica", "zone", "node"],
        "limit_retries" => &["client", "service"],
        word if deed::WORDS.contains(&word) => deed::targets(word),
        _ => &["service"],
    };
    let target = one_of_targets(reader, &mut fields, &node.place, &what, possible);
    let action = match &*word.text {
        "restart" => Some(read_restart(reader, &mut fields)),
        "scale" => read_scale(reader, &mut fields, node),
        "rollback" => Some(Action::Rollback),
        "drain" => Some(Action::Drain),
        "purge_queue" => Some(Action::PurgeQueue),
        "fail_over" => Some(Action::FailOver),
        "revert_flag" => Some(Action::RevertFlag),
        "park_messages" => Some(Action::ParkMessages),
        "limit_retries" => {
            let retries = required(reader, &mut fields, "retries", |r, n| r.integer(n, "the number of retries", 0..=100));
            let lasting = required(reader, &mut fields, "lasting", |r, n| positive_span(r, n, "the time that it lasts"));
            retries.zip(lasting).map(|(retries, lasting)| Action::LimitRetries { retries: retries.value as u32, lasting: lasting.value })
        }
        word => deed::read(reader, word, &mut fields),
    };
    fields.finish(reader);
    action.zip(target)
}

fn read_restart(reader: &mut Reader, fields: &mut Fields<'_>) -> Action {
    let words = [("rolling", RestartMode::Rolling), ("at_once", RestartMode::AtOnce)];
    let mode = optional(reader, fields, "mode", |r, n| r.one_of(n, "a way to restart", &words));
    Action::Restart { mode: mode.map_or(RestartMode::Rolling, |mode| mode.value) }
}

fn read_scale(reader: &mut Reader, fields: &mut Fields<'_>, node: &Node) -> Option<Action> {
    let to = optional(reader, fields, "to", |r, n| r.integer(n, "the number of replicas", 0..=problem::MOST_REPLICAS));
    let most = problem::MOST_REPLICAS;
    let by = optional(reader, fields, "by", |r, n| r.integer(n, "the number of replicas to add", -most..=most));
    let times = optional(reader, fields, "times", |r, n| r.factor(n, "the multiple of replicas"));
    let given = ["to", "by", "times"].iter().filter(|key| fields.has(key)).count();
    if given != 1 {
        reader.problem(problem::one_target(&node.place, "a scale", &["to", "by", "times"]));
        return None;
    }
    let replicas = match (to, by, times) {
        (Some(to), _, _) => Scale::To(to.value as u32),
        (_, Some(by), _) => Scale::By(by.value as i32),
        (_, _, Some(times)) => Scale::Times(times.value),
        (None, None, None) => return None,
    };
    Some(Action::Scale { replicas })
}
