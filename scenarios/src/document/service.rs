//! Services: what they are made of, and what a request of each endpoint does.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::{Bytes, Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{Access, Amount, Cancel, DiskSpec, Profile, ThreadSpec};

use crate::document::backlog::{self, BacklogDocument};
use crate::document::balancing::{self, BalanceDocument, BalancingDocument};
use crate::document::cache::{self, CacheDocument};
use crate::document::client::{RetriesDocument, read_retries};
use crate::document::database::{self, DatabaseDocument};
use crate::document::flag::{self, FlagDocument};
use crate::document::host;
use crate::document::lock::{self, LockDocument};
use crate::document::metric::MetricDocument;
use crate::document::protection::{self, ProtectionDocument};
use crate::document::queue::{self, AdmissionDocument};
use crate::document::{autoscaler, items, lifecycle, named, positive_or_none, profile, topic};
use crate::notation::{bounded_span, distribution, growth, interval, optional, positive_span, required, unless};
use crate::problem;
use autoscaler::AutoscalerDocument;
use lifecycle::{LifecycleDocument, read_amount};
use topic::ConsumesDocument;

/// An entry of `services`.
#[derive(Clone, Debug)]
pub struct ServiceDocument {
    /// Its name.
    pub name: Located<Name>,
    /// Whether it is critical.
    pub critical: Option<Located<bool>>,
    /// Replicas at the start.
    pub replicas: Option<Located<u32>>,
    /// Zones.
    pub zones: Option<Located<Vec<Located<Name>>>>,
    /// Requests served at a time by a replica; the inner `None` is unbounded.
    pub workers: Option<Located<Option<u32>>>,
    /// Cores of a replica; the inner `None` is unbounded.
    pub cores: Option<Located<Option<f64>>>,
    /// The period in which cores are a quota; the inner `None`: they are shared evenly.
    pub cfs: Option<Located<Option<Span>>>,
    /// Cores that a process needs for itself.
    pub background: Option<Located<f64>>,
    /// How it collects garbage; the inner `None`: it does not.
    pub gc: Option<Located<Option<GcDocument>>>,
    /// Requests that may wait at a replica; the inner `None` is unbounded.
    pub queue: Option<Located<Option<u32>>>,
    /// Connections that wait to be accepted; the inner `None`: there is no such line.
    pub backlog: Option<Located<Option<BacklogDocument>>>,
    /// Who is let in, and who is next.
    pub admission: AdmissionDocument,
    /// How callers choose a replica.
    pub balance: Option<Located<BalanceDocument>>,
    /// What callers know of the replicas, and whom they leave out.
    pub balancing: BalancingDocument,
    /// What happens to abandoned work.
    pub cancel: Option<Located<Cancel>>,
    /// What it can be asked for.
    pub endpoints: Vec<EndpointDocument>,
    /// From process start until ready.
    pub start_up: Option<Located<Distribution>>,
    /// Slowness after start; the inner `None` says that there is none.
    pub warm_up: Option<Located<Option<WarmUpDocument>>>,
    /// Memory of a replica.
    pub memory: MemoryDocument,
    /// The volume of a replica.
    pub disk: Option<Located<DiskSpec>>,
    /// The threads of a process.
    pub threads: Option<Located<ThreadSpec>>,
    /// The version that runs at the start.
    pub version: Option<Located<Name>>,
    /// Versions that differ from a sound one.
    pub versions: Vec<VersionDocument>,
    /// Flags that can be turned on.
    pub flags: Vec<FlagDocument>,
    /// How a new version replaces an old one.
    pub rollout: RolloutDocument,
    /// How its replicas come and go.
    pub lifecycle: LifecycleDocument,
    /// CPU that a replica asks for, cores.
    pub cpu_request: Option<Located<f64>>,
    /// What changes the wanted number of replicas.
    pub autoscaler: Option<Located<AutoscalerDocument>>,
    /// The metric profiles that its processes show themselves by.
    pub profiles: Vec<Located<Profile>>,
    /// Metrics of its own.
    pub metrics: Vec<MetricDocument>,
    /// What makes it a database.
    pub database: Option<Located<DatabaseDocument>>,
    /// Caches that it looks into.
    pub caches: Vec<CacheDocument>,
    /// The topic that it takes messages from.
    pub consumes: Option<ConsumesDocument>,
}

/// An entry of `endpoints`, or the `work` of the service itself.
#[derive(Clone, Debug)]
pub struct EndpointDocument {
    /// Its name.
    pub name: Located<Name>,
    /// What a request does, in order.
    pub work: Vec<PhaseDocument>,
    /// The share of requests that fail for reasons of their own.
    pub error: Option<Located<Ratio>>,
}

/// An item of `work`.
#[derive(Clone, Debug)]
pub enum PhaseDocument {
    /// `cpu: …`
    Cpu(Distribution),
    /// `sleep: …`
    Sleep(Distribution),
    /// `call: …`
    Call(Box<CallDocument>),
    /// `parallel: …`
    Parallel(ParallelDocument),
    /// `cache: { name: sessions, miss: db }`
    Cache {
        /// The cache.
        name: Located<Name>,
        /// What is asked if what is wanted is not there.
        miss: Box<CallDocument>,
    },
    /// `update: { name: sessions, write: db }`
    Update {
        /// The cache that holds a copy of what is changed.
        name: Located<Name>,
        /// What changes it.
        write: Box<CallDocument>,
        /// Whether the copy is thrown away.
        invalidate: Option<Located<bool>>,
    },
    /// `lock: { name: accounts, hold: 5ms }`, up to the end of what is done meanwhile.
    Lock(LockDocument),
    /// The end of that.
    Unlock(Name),
    /// `publish: orders`
    Publish(Located<Name>),
}

impl PhaseDocument {
    /// The calls that it makes.
    #[must_use]
    pub fn calls(&self) -> &[CallDocument] {
        match self {
            Self::Call(call) | Self::Cache { miss: call, .. } | Self::Update { write: call, .. } => std::slice::from_ref(call),
            Self::Parallel(parallel) => &parallel.calls,
            Self::Cpu(_) | Self::Sleep(_) | Self::Lock(_) | Self::Unlock(_) | Self::Publish(_) => &[],
        }
    }
}

/// `parallel: [a, b]`, or `parallel: { calls: [a, b], wait: first }`.
#[derive(Clone, Debug)]
pub struct ParallelDocument {
    /// The calls.
    pub calls: Vec<CallDocument>,
    /// How many must succeed; the inner `None` is all of them.
    pub wait: Option<Located<Option<u32>>>,
    /// Whether the worker is free meanwhile.
    pub asynchronous: Option<Located<bool>>,
}

/// `call: db`, or `call: { service: db, timeout: 1s, … }`.
#[derive(Clone, Debug)]
pub struct CallDocument {
    /// The service called.
    pub service: Located<Name>,
    /// Its endpoint.
    pub endpoint: Option<Located<Name>>,
    /// What it does there, if that is a database.
    pub access: Option<Located<Access>>,
    /// The share of requests that make this call.
    pub probability: Option<Located<Ratio>>,
    /// How long one attempt is waited for; the inner `None` is for ever.
    pub timeout: Option<Located<Option<Span>>>,
    /// What the caller does when an attempt fails.
    pub retries: Option<RetriesDocument>,
    /// What stands between it and the service.
    pub protection: ProtectionDocument,
    /// Whether the caller goes on without an answer.
    pub optional: Option<Located<bool>>,
    /// Whether the worker is free meanwhile.
    pub asynchronous: Option<Located<bool>>,
    /// How often it is made at once, of calls that are made in parallel.
    pub times: Option<Located<u32>>,
}

/// `warm_up: { factor: x4, tau: 30s }`.
#[derive(Clone, Debug, Default)]
pub struct WarmUpDocument {
    /// Slowness at the first moment.
    pub factor: Option<Located<Factor>>,
    /// How fast it wears off.
    pub tau: Option<Located<Span>>,
}

/// `memory: { base: 300MiB, per_request: 1MiB, limit: 512MiB }`.
#[derive(Clone, Debug, Default)]
pub struct MemoryDocument {
    /// At the start.
    pub base: Option<Located<Bytes>>,
    /// For each request in the replica.
    pub per_request: Option<Located<Bytes>>,
    /// What a replica asks for.
    pub request: Option<Located<Bytes>>,
    /// The limit; the inner `None` says that there is none.
    pub limit: Option<Located<Option<Bytes>>>,
}

/// An entry of `versions`.
#[derive(Clone, Debug)]
pub struct VersionDocument {
    /// Its name.
    pub name: Located<Name>,
    /// Whether it is sound; as its figures say if it says nothing.
    pub healthy: Option<Located<bool>>,
    /// The share of requests that it fails.
    pub error: Option<Located<Ratio>>,
    /// Multiplies CPU demand.
    pub demand: Option<Located<Factor>>,
    /// Memory lost a second.
    pub leak: Option<Located<Bytes>>,
    /// How long a process lives.
    pub crash_after: Option<Located<Span>>,
    /// Whether its image is missing.
    pub image: Option<Located<bool>>,
}

/// `rollout: { max_surge: 25%, max_unavailable: 25% }`.
#[derive(Clone, Debug, Default)]
pub struct RolloutDocument {
    /// Replicas above the wanted number.
    pub max_surge: Option<Located<Amount>>,
    /// Replicas below the wanted number.
    pub max_unavailable: Option<Located<Amount>>,
    /// How long a replica must have been ready to count as available.
    pub min_ready: Option<Located<Span>>,
    /// How long a rollout may make no progress before that is told.
    pub progress_deadline: Option<Located<Span>>,
}

impl ServiceDocument {
    /// A service of which nothing is said.
    #[must_use]
    pub fn bare(name: Located<Name>) -> Self {
        Self {
            name,
            critical: None,
            replicas: None,
            zones: None,
            workers: None,
            cores: None,
            cfs: None,
            background: None,
            gc: None,
            queue: None,
            backlog: None,
            admission: AdmissionDocument::default(),
            balance: None,
            balancing: BalancingDocument::default(),
            cancel: None,
            endpoints: Vec::new(),
            start_up: None,
            warm_up: None,
            memory: MemoryDocument::default(),
            disk: None,
            threads: None,
            version: None,
            versions: Vec::new(),
            flags: Vec::new(),
            rollout: RolloutDocument::default(),
            lifecycle: LifecycleDocument::default(),
            cpu_request: None,
            autoscaler: None,
            profiles: Vec::new(),
            metrics: Vec::new(),
            database: None,
            caches: Vec::new(),
            consumes: None,
        }
    }
}

/// The endpoint of a service whose `work` stands in the service itself.
pub const DEFAULT_ENDPOINT: &str = "/";

/// Reads an entry of `services`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> ServiceDocument {
    let mut service = ServiceDocument::bare(name);
    let Some(mut fields) = reader.fields(node, "a service") else { return service };
    let _composed = fields.optional("template");
    read_capacity(reader, &mut fields, &mut service);
    service.endpoints = read_endpoints(reader, &mut fields, &service.name, &node.place);
    read_life(reader, &mut fields, &mut service);
    service.database = optional(reader, &mut fields, "database", database::read);
    if let Some(node) = fields.optional("caches") {
        service.caches = named(reader, node, "the caches of a service", "the name of a cache", cache::read);
    }
    service.consumes = fields.optional("consumes").and_then(|node| topic::read_consumes(reader, node));
    if let Some(node) = fields.optional("metrics") {
        (service.profiles, service.metrics) = profile::read_of_service(reader, node);
    }
    fields.finish(reader);
    service
}

fn read_capacity(reader: &mut Reader, fields: &mut Fields<'_>, service: &mut ServiceDocument) {
    let tiers = [("critical", true), ("standard", false)];
    let cancels = [("none", Cancel::None), ("queue_only", Cancel::QueueOnly), ("context", Cancel::Context)];
    service.critical = optional(reader, fields, "tier", |r, n| r.one_of(n, "a tier", &tiers));
    service.replicas =
        optional(reader, fields, "replicas", |r, n| r.integer(n, "replicas", 1..=problem::MOST_REPLICAS).map(|count| count as u32));
    service.zones = optional(reader, fields, "zones", read_zones);
    service.workers = optional(reader, fields, "workers", |r, n| queue::places(r, n, "workers", 1));
    (service.queue, service.admission) = queue::read(reader, fields);
    service.backlog = optional(reader, fields, "backlog", |r, n| unless(r, n, "none", backlog::read));
    service.cores = optional(reader, fields, "cores", read_cores);
    service.cfs = optional(reader, fields, "cfs", |r, n| unless(r, n, "none", |r, n| interval(r, n, "the period of a quota")));
    service.gc = optional(reader, fields, "gc", |r, n| unless(r, n, "none", read_gc));
    service.background = optional(reader, fields, "background", read_background);
    service.balance = optional(reader, fields, "balance", balancing::read_balance);
    service.balancing = balancing::read(reader, fields);
    service.cancel = optional(reader, fields, "cancel", |r, n| r.one_of(n, "a way to cancel abandoned work", &cancels));
}

fn read_life(reader: &mut Reader, fields: &mut Fields<'_>, service: &mut ServiceDocument) {
    service.start_up = optional(reader, fields, "start_up", |r, n| distribution(r, n, "the start-up"));
    service.warm_up = optional(reader, fields, "warm_up", |r, n| unless(r, n, "none", read_warm_up));
    if let Some(mut fields) = fields.optional("memory").and_then(|node| reader.fields(node, "the memory of a replica")) {
        service.memory = MemoryDocument {
            base: optional(reader, &mut fields, "base", |r, n| r.bytes(n, "the memory at the start")),
            per_request: optional(reader, &mut fields, "per_request", |r, n| r.bytes(n, "the memory of a request")),
            request: optional(reader, &mut fields, "request", |r, n| r.bytes(n, "the memory that a replica asks for")),
            limit: optional(reader, &mut fields, "limit", |r, n| unless(r, n, "none", |r, n| r.bytes(n, "the limit of memory"))),
        };
        fields.finish(reader);
    }
    service.disk = optional(reader, fields, "disk", host::read_disk);
    service.threads = optional(reader, fields, "threads", host::read_threads);
    service.version = optional(reader, fields, "version", |r, n| r.name(n, "the name of a version"));
    if let Some(node) = fields.optional("versions") {
        service.versions = named(reader, node, "the versions of a service", "the name of a version", read_version);
    }
    if let Some(node) = fields.optional("flags") {
        service.flags = named(reader, node, "the flags of a service", "the name of a flag", flag::read);
    }
    if let Some(mut fields) = fields.optional("rollout").and_then(|node| reader.fields(node, "a rollout")) {
        service.rollout = RolloutDocument {
            max_surge: optional(reader, &mut fields, "max_surge", read_amount),
            max_unavailable: optional(reader, &mut fields, "max_unavailable", read_amount),
            min_ready: optional(reader, &mut fields, "min_ready", |r, n| {
                bounded_span(r, n, "the time until a replica counts as available")
            }),
            progress_deadline: optional(reader, &mut fields, "progress_deadline", |r, n| positive_span(r, n, "the deadline of progress")),
        };
        fields.finish(reader);
    }
    service.lifecycle = lifecycle::read(reader, fields);
    service.cpu_request = optional(reader, fields, "cpu_request", read_some_cores);
    service.autoscaler = optional(reader, fields, "autoscaler", autoscaler::read);
}

/// `gc: { every: 2s, share: 2% }`; `{}` is all that is assumed.
#[derive(Clone, Debug, Default)]
pub struct GcDocument {
    /// From one collection to the next.
    pub every: Option<Located<Span>>,
    /// The share of time that they take with an empty heap.
    pub share: Option<Located<Ratio>>,
    /// What one takes longer once the heap is nearly full.
    pub major: Option<Located<Distribution>>,
    /// From when on that is.
    pub full: Option<Located<Ratio>>,
}

fn read_gc(reader: &mut Reader, node: &Node) -> Option<GcDocument> {
    let mut fields = reader.fields(node, "the collection of garbage")?;
    let gc = GcDocument {
        every: optional(reader, &mut fields, "every", |r, n| interval(r, n, "the time between collections")),
        share: optional(reader, &mut fields, "share", |r, n| r.ratio(n, "the share of collections")),
        major: optional(reader, &mut fields, "major", |r, n| distribution(r, n, "what a collection of a full heap takes")),
        full: optional(reader, &mut fields, "full", |r, n| r.ratio(n, "when a heap is nearly full")),
    };
    fields.finish(reader);
    Some(gc)
}

/// Cores that a process needs for itself.
fn read_background(reader: &mut Reader, node: &Node) -> Option<f64> {
    let cores = reader.number(node, "cores")?;
    if (0.0..=10_000.0).contains(&cores) {
        return Some(cores);
    }
    reader.problem(problem::too_much(&node.place, "the background", &cores.to_string(), "0 to 10000 cores"));
    None
}

fn read_cores(reader: &mut Reader, node: &Node) -> Option<Option<f64>> {
    unless(reader, node, "unbounded", |reader, node| some_cores(reader, node, "write 0.001 to 10000, or `unbounded`"))
}

/// Some cores; a mistake is told once.
pub(crate) fn read_some_cores(reader: &mut Reader, node: &Node) -> Option<f64> {
    // A file with a problem is refused; something stands in, so that nobody misses it and the mistake is told once.
    some_cores(reader, node, "write 0.001 to 10000").or(Some(1.0))
}

fn some_cores(reader: &mut Reader, node: &Node, remedy: &str) -> Option<f64> {
    let cores = reader.number(node, "cores")?;
    if !(0.001..=10_000.0).contains(&cores) {
        reader.problem(problem::impossible(&node.place, &format!("a replica with {cores} cores"), remedy));
        return None;
    }
    Some(cores)
}

fn read_zones(reader: &mut Reader, node: &Node) -> Option<Vec<Located<Name>>> {
    let zones =
        items(reader, node, "the zones", |r, n| r.name(n, "the name of a zone").map(|value| Located { place: n.place.clone(), value }));
    let Value::List(nodes) = &node.value else { return None };
    if nodes.is_empty() {
        reader.problem(problem::nothing_there(
            &node.place,
            "the list of zones is empty",
            "name a zone, such as `zones: [a, b, c]`, or remove it",
        ));
    }
    for (index, zone) in zones.iter().enumerate() {
        if zones[..index].iter().any(|other| other.value == zone.value) {
            reader.problem(problem::taken(&zone.place, "zone", &zone.value, "a zone before it"));
        }
    }
    (!zones.is_empty()).then_some(zones)
}

fn read_endpoints(reader: &mut Reader, fields: &mut Fields<'_>, service: &Located<Name>, place: &Place) -> Vec<EndpointDocument> {
    let work = fields.optional("work");
    let error = optional(reader, fields, "error", |r, n| r.ratio(n, "the share of errors"));
    let endpoints = fields.optional("endpoints");
    match (work, endpoints) {
        (Some(work), None) => {
            let name = Located { place: service.place.clone(), value: Name::new(DEFAULT_ENDPOINT) };
            vec![EndpointDocument { name, work: read_work(reader, work), error }]
        }
        (None, Some(node)) => {
            if let Some(error) = error {
                let remedy = "write `error:` in the endpoint that is meant; where a file is imported, `error: ~` takes away what it says";
                reader.problem(problem::work(&error.place, "errors belong to endpoints where a service has some", remedy));
            }
            let list = named(reader, node, "the endpoints of a service", "the name of an endpoint", read_endpoint);
            if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
                reader.problem(problem::work(
                    &node.place,
                    "the endpoints are empty",
                    "name one, such as `/checkout: { work: [cpu: 10ms] }`",
                ));
            }
            list
        }
        (Some(work), Some(_)) => {
            let remedy = "keep `endpoints:`, and move the work into the endpoint that is meant";
            reader.problem(problem::work(&work.place, "work is said twice: for the service and for its endpoints", remedy));
            Vec::new()
        }
        (None, None) => {
            nothing_to_do(reader, fields, service, place);
            Vec::new()
        }
    }
}

/// A service of which nothing says what it does: a key that is there without a value, none at all, or one that is misspelt, which is told as that.
fn nothing_to_do(reader: &mut Reader, fields: &Fields<'_>, service: &Located<Name>, place: &Place) {
    const KEYS: [&str; 2] = ["work", "endpoints"];
    if let Some((key, _)) = fields.entries().iter().find(|(key, _)| KEYS.contains(&&*key.text)) {
        let remedy = match &*key.text {
            "work" => "say what a request costs, such as `work: [cpu: 10ms]`",
            _ => "name one, such as `endpoints: { /checkout: { work: [cpu: 10ms] } }`",
        };
        return reader.problem(problem::work(&key.place, &format!("`{}` of `{}` says nothing", key.text, service.value), remedy));
    }
    let misspelt = fields.entries().iter().any(|(key, _)| firedrill_core::problem::near_miss(&key.text, &KEYS).is_some());
    if !misspelt {
        let remedy = "add `work:`, such as `work: [cpu: 10ms]`, or `endpoints:`";
        reader.problem(problem::work(place, &format!("nothing says what `{}` does for a request", service.value), remedy));
    }
}

fn read_endpoint(reader: &mut Reader, name: Located<Name>, node: &Node) -> EndpointDocument {
    let mut endpoint = EndpointDocument { name, work: Vec::new(), error: None };
    let Some(mut fields) = reader.fields(node, "an endpoint") else { return endpoint };
    if let Some(node) = fields.required(reader, "work") {
        endpoint.work = read_work(reader, node);
    }
    endpoint.error = optional(reader, &mut fields, "error", |r, n| r.ratio(n, "the share of errors"));
    fields.finish(reader);
    endpoint
}

/// The most steps of one piece of work.
const MOST_PHASES: usize = 100;

pub(crate) fn read_work(reader: &mut Reader, node: &Node) -> Vec<PhaseDocument> {
    if matches!(node.value, Value::Map(_)) {
        let remedy = "begin each step with a dash, such as `- cpu: 10ms`";
        reader.problem(problem::work(&node.place, "work is a list of steps, and this is a map", remedy));
        return Vec::new();
    }
    if let Value::List(nodes) = &node.value {
        if nodes.is_empty() {
            reader.problem(problem::work(&node.place, "the work is empty", "say what a request costs, such as `[cpu: 10ms]`"));
        }
        if nodes.len() > MOST_PHASES {
            let given = nodes.len().to_string();
            reader.problem(problem::too_much(&node.place, "the number of steps", &given, &MOST_PHASES.to_string()));
            return Vec::new();
        }
    }
    items(reader, node, "work", read_phase).into_iter().flatten().collect()
}

/// One step as it is written, which may be several.
fn read_phase(reader: &mut Reader, node: &Node) -> Option<Vec<PhaseDocument>> {
    let words = ["cpu", "sleep", "call", "parallel", "cache", "update", "lock", "publish"];
    let (word, parameters) = reader.tagged(node, "a step of work", &words)?;
    let Some(parameters) = parameters else {
        let example = match &*word.text {
            "call" => "call: db",
            "parallel" => "parallel: [search, prices]",
            "cache" => "cache: { name: sessions, miss: db }",
            "update" => "update: { name: sessions, write: db }",
            "lock" => "lock: { name: accounts, hold: 5ms }",
            "publish" => "publish: orders",
            _ => "cpu: 10ms",
        };
        reader.problem(problem::work(&word.place, &format!("`{}` of what?", word.text), &format!("write such as `{example}`")));
        return None;
    };
    if &*word.text == "lock" {
        return lock::read(reader, parameters);
    }
    let phase = match &*word.text {
        "cpu" => distribution(reader, parameters, "the CPU time").map(PhaseDocument::Cpu),
        "sleep" => distribution(reader, parameters, "the time asleep").map(PhaseDocument::Sleep),
        "parallel" => read_parallel(reader, parameters).map(PhaseDocument::Parallel),
        "cache" => read_lookup(reader, parameters),
        "update" => read_update(reader, parameters),
        "publish" => {
            let topic = reader.name(parameters, "the name of a topic")?;
            Some(PhaseDocument::Publish(Located { place: parameters.place.clone(), value: topic }))
        }
        _ => {
            let call = read_call(reader, parameters)?;
            if let Some(times) = &call.times {
                let remedy = "write `parallel: [{ service: …, times: … }]`, or remove `times`";
                reader.problem(problem::work(&times.place, "only calls that are made in parallel are made several times", remedy));
            }
            Some(PhaseDocument::Call(Box::new(call)))
        }
    };
    phase.map(|phase| vec![phase])
}

/// `{ name: sessions, miss: db }`.
fn read_lookup(reader: &mut Reader, node: &Node) -> Option<PhaseDocument> {
    let mut fields = reader.fields(node, "a look into a cache")?;
    let name = required(reader, &mut fields, "name", |r, n| r.name(n, "the name of a cache"));
    let miss = fields.required(reader, "miss").and_then(|node| read_call(reader, node));
    fields.finish(reader);
    let miss = miss?;
    let flags = [miss.probability.as_ref().map(|said| &said.place), miss.optional.as_ref().map(|said| &said.place)];
    let times = miss.times.as_ref().map(|said| &said.place);
    for place in flags.into_iter().chain([times]).flatten() {
        let remedy = "remove it: a miss asks once, and needs the answer";
        reader.problem(problem::work(place, "a miss that asks with a probability, several times, or for nothing", remedy));
    }
    Some(PhaseDocument::Cache { name: name?, miss: Box::new(miss) })
}

/// `{ name: sessions, write: db, invalidate: true }`.
fn read_update(reader: &mut Reader, node: &Node) -> Option<PhaseDocument> {
    let mut fields = reader.fields(node, "an update of what a cache has a copy of")?;
    let name = required(reader, &mut fields, "name", |r, n| r.name(n, "the name of a cache"));
    let write = fields.required(reader, "write").and_then(|node| read_call(reader, node));
    let invalidate = optional(reader, &mut fields, "invalidate", |r, n| r.boolean(n, "whether the copy is thrown away"));
    fields.finish(reader);
    let write = write?;
    let flags = [write.probability.as_ref().map(|said| &said.place), write.optional.as_ref().map(|said| &said.place)];
    let times = write.times.as_ref().map(|said| &said.place);
    if let Some(access) = write.access.as_ref().filter(|access| access.value == Access::Read) {
        reader.problem(problem::work(&access.place, "an update that only reads", "remove it: an update writes"));
    }
    for place in flags.into_iter().chain([times]).flatten() {
        let remedy = "remove it: an update is made once, and is needed";
        reader.problem(problem::work(place, "an update that is made with a probability, several times, or for nothing", remedy));
    }
    Some(PhaseDocument::Update { name: name?, write: Box::new(write), invalidate })
}

/// The most calls that are made at once.
const MOST_CALLS: u32 = 1000;

fn read_parallel(reader: &mut Reader, node: &Node) -> Option<ParallelDocument> {
    let (list, wait, asynchronous) = if let Value::Map(_) = &node.value {
        let mut fields = reader.fields(node, "calls in parallel")?;
        let list = fields.required(reader, "calls");
        let wait = optional(reader, &mut fields, "wait", read_wait);
        let asynchronous = optional(reader, &mut fields, "async", |r, n| r.boolean(n, "whether calls are asynchronous"));
        fields.finish(reader);
        (list?, wait, asynchronous)
    } else {
        (node, None, None)
    };
    let calls = items(reader, list, "the calls", read_call);
    for said in calls.iter().filter_map(|call| call.asynchronous.as_ref()) {
        let remedy = "write `parallel: { calls: […], async: true }`";
        reader.problem(problem::work(&said.place, "calls in parallel are waited for together, with a worker or without", remedy));
    }
    if matches!(&list.value, Value::List(nodes) if nodes.is_empty()) {
        reader.problem(problem::work(&list.place, "no call is made in parallel", "name some, such as `parallel: [search, prices]`"));
    }
    let made: u64 = calls.iter().map(|call| u64::from(call.times.as_ref().map_or(1, |times| times.value))).sum();
    if made > u64::from(MOST_CALLS) {
        reader.problem(problem::too_much(&list.place, "the number of calls at once", &made.to_string(), &MOST_CALLS.to_string()));
        return None;
    }
    if let Some(Located { place, value: Some(need) }) = &wait
        && u64::from(*need) > made
        && !calls.is_empty()
    {
        let what = format!("{made} calls, of which {need} must succeed");
        reader.problem(problem::impossible(place, &what, "write `all`, `first`, or at most the number of calls"));
        return None;
    }
    Some(ParallelDocument { calls, wait, asynchronous })
}

/// `all`, `first`, or a number.
fn read_wait(reader: &mut Reader, node: &Node) -> Option<Option<u32>> {
    if matches!(node.value, Value::Text(_)) {
        return reader.one_of(node, "`all`, `first` or a number of calls", &[("all", None), ("first", Some(1))]);
    }
    reader.integer(node, "the calls that must succeed", 1..=i64::from(MOST_CALLS)).map(|count| Some(count as u32))
}

fn read_call(reader: &mut Reader, node: &Node) -> Option<CallDocument> {
    if !matches!(node.value, Value::Map(_)) {
        let service = reader.name(node, "the name of a service")?;
        let service = Located { place: node.place.clone(), value: service };
        let protection = ProtectionDocument::default();
        return Some(CallDocument {
            service,
            endpoint: None,
            access: None,
            probability: None,
            timeout: None,
            retries: None,
            protection,
            optional: None,
            asynchronous: None,
            times: None,
        });
    }
    let mut fields = reader.fields(node, "a call")?;
    let service = required(reader, &mut fields, "service", |r, n| r.name(n, "the name of a service"));
    let endpoint = optional(reader, &mut fields, "endpoint", |r, n| r.name(n, "the name of an endpoint"));
    let access = database::read_access(reader, &mut fields);
    let probability = optional(reader, &mut fields, "probability", |r, n| r.ratio(n, "the probability of a call"));
    let timeout = optional(reader, &mut fields, "timeout", |r, n| positive_or_none(r, n, "the timeout"));
    let retries = fields.optional("retries").map(|node| read_retries(reader, node));
    let protection = protection::read(reader, &mut fields);
    let may_fail = optional(reader, &mut fields, "optional", |r, n| r.boolean(n, "whether a call is optional"));
    let asynchronous = optional(reader, &mut fields, "async", |r, n| r.boolean(n, "whether a call is asynchronous"));
    let times = optional(reader, &mut fields, "times", |r, n| {
        r.integer(n, "how often a call is made", 1..=i64::from(MOST_CALLS)).map(|count| count as u32)
    });
    fields.finish(reader);
    let service = service?;
    Some(CallDocument { service, endpoint, access, probability, timeout, retries, protection, optional: may_fail, asynchronous, times })
}

fn read_warm_up(reader: &mut Reader, node: &Node) -> Option<WarmUpDocument> {
    let mut fields = reader.fields(node, "a warm-up")?;
    let factor = optional(reader, &mut fields, "factor", |reader, node| {
        let factor = reader.factor(node, "the slowness after start")?;
        if factor.get() < 1.0 {
            reader.problem(problem::impossible(&node.place, &format!("a cold process {factor} as slow as a warm one"), "write x1 or more"));
            return None;
        }
        Some(factor)
    });
    let tau = optional(reader, &mut fields, "tau", |r, n| positive_span(r, n, "the time constant of the warm-up"));
    fields.finish(reader);
    Some(WarmUpDocument { factor, tau })
}

fn read_version(reader: &mut Reader, name: Located<Name>, node: &Node) -> VersionDocument {
    let mut version = VersionDocument { name, healthy: None, error: None, demand: None, leak: None, crash_after: None, image: None };
    if matches!(node.value, Value::Null) {
        return version;
    }
    let Some(mut fields) = reader.fields(node, "a version") else { return version };
    version.healthy = optional(reader, &mut fields, "healthy", |r, n| r.boolean(n, "`healthy`"));
    version.error = optional(reader, &mut fields, "error", |r, n| r.ratio(n, "the share of errors"));
    version.demand = optional(reader, &mut fields, "demand", |r, n| r.factor(n, "the factor of CPU demand"));
    version.leak = optional(reader, &mut fields, "leak", |r, n| growth(r, n, "the leak"));
    version.crash_after = optional(reader, &mut fields, "crash_after", |r, n| positive_span(r, n, "the life of a process"));
    version.image =
        optional(reader, &mut fields, "image", |r, n| r.one_of(n, "what is known of an image", &[("there", false), ("missing", true)]));
    fields.finish(reader);
    version
}
