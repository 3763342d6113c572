//! Services with every default filled in.

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::{Bytes, Factor, Ratio};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{
    Amount, CallSpec, Cancel, CpuSpec, EndpointSpec, Engine, Feed, GcSpec, MemorySpec, MetricSpec, Phase, RolloutSpec, ServiceSpec,
    VersionSpec, WarmUp,
};

use crate::defaults;
use crate::document::service::{
    CallDocument, EndpointDocument, PhaseDocument, RolloutDocument, ServiceDocument, VersionDocument, WarmUpDocument,
};
use crate::lower::cache;
use crate::lower::names::{Names, zones_of};
use crate::lower::protection::{self, lower_retries};
use crate::lower::{autoscaler, backlog, balancing, database, flag, lifecycle, or, queue, topic};
use crate::problem;

/// Lowers one service.
pub fn lower(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> ServiceSpec {
    let database = service.database.as_ref().map(|database| &database.value);
    let engine = database.map(|database| or(database.engine.as_ref(), || Engine::Postgres));
    let mut endpoints: Vec<EndpointSpec> =
        service.endpoints.iter().map(|endpoint| lower_endpoint(reader, names, endpoint, (service, engine))).collect();
    endpoints.sort_by(|left, right| left.name.cmp(&right.name));
    let is_database = service.database.is_some();
    // Who waits at a database holds a connection, and those are the bound.
    let places = or(service.queue.as_ref(), || (!is_database).then(|| defaults::count("services.*.queue")));
    let cores = lifecycle::cores(service);
    let balance = balancing::lower_balance(service.balance.as_ref());
    let balancing = balancing::lower(reader, &service.balancing, balance);
    calls_are_made(reader, service);
    let own_workers = || if is_database { database::workers(cores) } else { Some(defaults::count("services.*.workers")) };
    ServiceSpec {
        name: service.name.value.clone(),
        critical: or(service.critical.as_ref(), || defaults::text("services.*.tier") == "critical"),
        replicas: or(service.replicas.as_ref(), || defaults::count("services.*.replicas")),
        zones: zones_of(service),
        workers: or(service.workers.as_ref(), own_workers),
        cores,
        cpu: lower_cpu(reader, service, cores),
        queue: places,
        backlog: backlog::lower(reader, service, places),
        admission: queue::lower(reader, &service.admission, places),
        balance,
        database: database::lower(reader, service, balance, balancing.is_some()),
        balancing,
        cancel: or(service.cancel.as_ref(), || Cancel::None),
        endpoints,
        start_up: or(service.start_up.as_ref(), || {
            defaults::distribution(if is_database { "database.start_up" } else { "services.*.start_up" })
        }),
        warm_up: match &service.warm_up {
            None => is_database.then(database::warm_up),
            Some(said) => said.value.as_ref().map(lower_warm_up),
        },
        memory: lower_memory(reader, service),
        disk: service.disk.as_ref().map(|disk| disk.value),
        threads: service.threads.as_ref().map(|threads| threads.value),
        versions: lower_versions(reader, service),
        flags: flag::lower(reader, service),
        rollout: lower_rollout(reader, &service.rollout),
        liveness: lifecycle::lower_liveness(reader, names, service),
        life: lifecycle::lower(reader, names, service),
        autoscaler: autoscaler::lower(reader, service),
        consumes: topic::lower_consumes(reader, names, service),
        caches: cache::lower(reader, service),
        profiles: Vec::new(),
        metrics: lower_metrics(reader, service),
    }
}

fn lower_cpu(reader: &mut Reader, service: &ServiceDocument, cores: Option<f64>) -> Option<Box<CpuSpec>> {
    let period = service.cfs.as_ref().and_then(|cfs| cfs.value);
    let background = or(service.background.as_ref(), || defaults::number("services.*.background"));
    if let (Some(said), Some(_), None) = (&service.cfs, period, cores) {
        reader.problem(problem::impossible(&said.place, "a quota of unbounded cores", "say how many `cores` there are, or remove `cfs`"));
    }
    if let (Some(said), Some(cores)) = (&service.background, cores)
        && said.value >= cores
    {
        let fault = format!("a process that needs {} of its {cores} cores for itself has nothing left for requests", said.value);
        reader.problem(problem::impossible(&said.place, &fault, "let `background` be less than `cores`"));
    }
    let gc = service.gc.as_ref().and_then(|said| said.value.as_ref().map(|gc| (&said.place, gc)));
    if let Some((place, _)) = gc.filter(|_| service.memory.limit.as_ref().is_none_or(|limit| limit.value.is_none())) {
        let remedy = "set `limit` in its `memory:`, such as `1GiB`, or remove `gc`";
        reader.problem(problem::impossible(place, "a heap without a limit is never short of room", remedy));
    }
    let gc = gc.map(|(_, gc)| GcSpec {
        every: or(gc.every.as_ref(), || defaults::span("gc.every")),
        share: or(gc.share.as_ref(), || defaults::ratio("gc.share")),
        major: or(gc.major.as_ref(), || defaults::distribution("gc.major")),
        full: or(gc.full.as_ref(), || defaults::ratio("gc.full")),
    });
    (period.is_some() || background > 0.0 || gc.is_some()).then(|| Box::new(CpuSpec { period, background, gc }))
}

fn lower_endpoint(
    reader: &mut Reader,
    names: &Names,
    endpoint: &EndpointDocument,
    (service, engine): (&ServiceDocument, Option<Engine>),
) -> EndpointSpec {
    let mut phase = |phase: &PhaseDocument| match phase {
        PhaseDocument::Cpu(demand) => Phase::Cpu(demand.clone()),
        PhaseDocument::Sleep(time) => Phase::Sleep(time.clone()),
        PhaseDocument::Publish(topic) => Phase::Publish(topic.value.clone()),
        PhaseDocument::Call(call) => Phase::Call(lower_call(reader, names, call)),
        PhaseDocument::Cache { name, miss } => {
            known_cache(reader, service, name);
            Phase::Cache { cache: name.value.clone(), miss: lower_call(reader, names, miss) }
        }
        PhaseDocument::Update { name, write, invalidate } => {
            known_cache(reader, service, name);
            let invalidate = or(invalidate.as_ref(), || defaults::text("update.invalidate") == "true");
            Phase::Update { cache: name.value.clone(), write: lower_call(reader, names, write), invalidate }
        }
        PhaseDocument::Lock(lock) => database::lower_lock(lock, engine),
        PhaseDocument::Unlock(lock) => Phase::Unlock { lock: lock.clone() },
        PhaseDocument::Parallel(parallel) => {
            let mut calls = Vec::new();
            for call in &parallel.calls {
                let times = call.times.as_ref().map_or(1, |times| times.value);
                calls.extend(std::iter::repeat_n(lower_call(reader, names, call), times as usize));
            }
            let asynchronous = or(parallel.asynchronous.as_ref(), || defaults::text("call.async") == "true");
            Phase::Parallel { calls, need: or(parallel.wait.as_ref(), || None), asynchronous }
        }
    };
    EndpointSpec {
        name: endpoint.name.value.clone(),
        phases: endpoint.work.iter().map(&mut phase).collect(),
        error: or(endpoint.error.as_ref(), || defaults::ratio("endpoints.*.error")),
    }
}

/// A call that no request makes, of a service without flags: those may turn one on.
fn calls_are_made(reader: &mut Reader, service: &ServiceDocument) {
    if !service.flags.is_empty() {
        return;
    }
    for call in service.endpoints.iter().flat_map(|endpoint| &endpoint.work).flat_map(PhaseDocument::calls) {
        if let Some(said) = call.probability.as_ref().filter(|said| said.value == Ratio::ZERO) {
            let why = format!("no request makes this call of `{}`", call.service.value);
            reader.problem(problem::work(&said.place, &why, "write a share above zero, or remove the call"));
        }
    }
}

fn known_cache(reader: &mut Reader, service: &ServiceDocument, name: &Located<Name>) {
    let known: Vec<&str> = service.caches.iter().map(|cache| cache.name.value.as_str()).collect();
    if !known.contains(&name.value.as_str()) {
        reader.problem(problem::unknown_within(&name.place, &service.name.value, ("cache", &name.value), &known));
    }
}

fn lower_call(reader: &mut Reader, names: &Names, call: &CallDocument) -> CallSpec {
    names.service(reader, &call.service.value, &call.service.place);
    protection::check_budget(reader, call.retries.as_ref());
    protection::check_hedge(reader, &call.protection, or(call.timeout.as_ref(), || defaults::span_or_none("call.timeout")));
    let place = call.endpoint.as_ref().map_or(&call.service.place, |endpoint| &endpoint.place);
    CallSpec {
        service: call.service.value.clone(),
        endpoint: names.endpoint(reader, &call.service.value, call.endpoint.as_ref().map(|endpoint| &endpoint.value), place),
        access: database::lower_access(reader, names, &call.service.value, call.access.as_ref()),
        probability: or(call.probability.as_ref(), || defaults::ratio("call.probability")),
        timeout: or(call.timeout.as_ref(), || defaults::span_or_none("call.timeout")),
        retries: lower_retries(call.retries.as_ref()),
        protection: protection::lower(reader, &call.protection),
        optional: or(call.optional.as_ref(), || defaults::text("call.optional") == "true"),
        asynchronous: or(call.asynchronous.as_ref(), || defaults::text("call.async") == "true"),
    }
}

fn lower_warm_up(warm_up: &WarmUpDocument) -> WarmUp {
    WarmUp {
        factor: or(warm_up.factor.as_ref(), || defaults::factor("warm_up.factor")),
        tau: or(warm_up.tau.as_ref(), || defaults::span("warm_up.tau")),
    }
}

/// How a new version replaces the old one. What counts only once it has been ready for longer than a rollout may stand would stop every rollout
/// (`ValidateDeploymentSpec`).
fn lower_rollout(reader: &mut Reader, said: &RolloutDocument) -> RolloutSpec {
    let spec = RolloutSpec {
        max_surge: or(said.max_surge.as_ref(), || Amount::Share(defaults::ratio("rollout.max_surge"))),
        max_unavailable: or(said.max_unavailable.as_ref(), || Amount::Share(defaults::ratio("rollout.max_unavailable"))),
        min_ready: or(said.min_ready.as_ref(), || defaults::span("rollout.min_ready")),
        progress_deadline: or(said.progress_deadline.as_ref(), || defaults::span("rollout.progress_deadline")),
    };
    if let Some(said) = said.min_ready.as_ref().or(said.progress_deadline.as_ref())
        && spec.min_ready >= spec.progress_deadline
    {
        let what = format!("replicas count after {}, and a rollout may stand for {}", spec.min_ready, spec.progress_deadline);
        reader.problem(problem::impossible(&said.place, &what, "let `min_ready` be less than `progress_deadline`"));
    }
    spec
}

fn lower_memory(reader: &mut Reader, service: &ServiceDocument) -> MemorySpec {
    let said = &service.memory;
    let memory = MemorySpec {
        base: or(said.base.as_ref(), || defaults::bytes("memory.base")),
        per_request: or(said.per_request.as_ref(), || defaults::bytes("memory.per_request")),
        limit: or(said.limit.as_ref(), || None),
    };
    if let (Some(limit), Some(said)) = (memory.limit, &said.limit)
        && limit <= memory.base
    {
        reader.problem(problem::memory(&said.place, &memory.base.to_string(), &limit.to_string()));
    }
    memory
}

/// The running version first, then the others by name.
fn lower_versions(reader: &mut Reader, service: &ServiceDocument) -> Vec<VersionSpec> {
    let running = or(service.version.as_ref(), || Name::new(defaults::text("services.*.version")));
    let mut versions: Vec<VersionSpec> = service.versions.iter().map(lower_version).collect();
    if !versions.iter().any(|version| version.name == running) {
        versions.push(sound_version(running.clone()));
    }
    for (version, said) in versions.iter().zip(&service.versions) {
        if version.name == running && !version.healthy {
            let fault = format!("`{}` runs from the start, and is not sound", running);
            reader.problem(problem::version(&said.name.place, fault, "let a sound version run, and deploy this one as a fault"));
        }
    }
    versions.sort_by(|left, right| (left.name != running, &left.name).cmp(&(right.name != running, &right.name)));
    versions
}

fn lower_version(version: &VersionDocument) -> VersionSpec {
    let mut lowered = sound_version(version.name.value.clone());
    lowered.error = or(version.error.as_ref(), || lowered.error);
    lowered.demand = or(version.demand.as_ref(), || lowered.demand);
    lowered.leak_per_second = or(version.leak.as_ref(), || lowered.leak_per_second);
    lowered.crash_after = version.crash_after.as_ref().map(|span| span.value);
    lowered.has_no_image = or(version.image.as_ref(), || lowered.has_no_image);
    let sound = lowered.error == Ratio::ZERO
        && !lowered.has_no_image
        && lowered.demand <= Factor::ONE
        && lowered.leak_per_second == Bytes::default()
        && lowered.crash_after.is_none();
    lowered.healthy = or(version.healthy.as_ref(), || sound);
    lowered
}

fn sound_version(name: Name) -> VersionSpec {
    VersionSpec {
        name,
        healthy: true,
        error: defaults::ratio("versions.*.error"),
        demand: defaults::factor("versions.*.demand"),
        leak_per_second: defaults::bytes("versions.*.leak"),
        crash_after: defaults::span_or_none("versions.*.crash_after"),
        has_no_image: defaults::text("versions.*.image") == "missing",
    }
}

fn lower_metrics(reader: &mut Reader, service: &ServiceDocument) -> Vec<MetricSpec> {
    let endpoints: Vec<&str> = service.endpoints.iter().map(|endpoint| endpoint.name.value.as_str()).collect();
    for metric in &service.metrics {
        if let (Some(place), Some(endpoint)) = (&metric.endpoint, feed_endpoint(&metric.metric.feed)) {
            check_endpoint(reader, &service.name.value, endpoint, place, &endpoints);
        }
    }
    let mut metrics: Vec<MetricSpec> = service.metrics.iter().map(|metric| metric.metric.clone()).collect();
    metrics.sort_by(|left, right| left.name.cmp(&right.name));
    metrics
}

const fn feed_endpoint(feed: &Feed) -> Option<&Name> {
    match feed {
        Feed::Requests { endpoint, .. } | Feed::Latency { endpoint, .. } => endpoint.as_ref(),
        _ => None,
    }
}

fn check_endpoint(reader: &mut Reader, service: &Name, endpoint: &Name, place: &Place, known: &[&str]) {
    if !known.is_empty() && !known.contains(&endpoint.as_str()) {
        reader.problem(problem::unknown_endpoint(place, service, endpoint, known));
    }
}
