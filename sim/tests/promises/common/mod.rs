//! Small worlds for tests: the plainest service and client, to be changed field by field.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::sync::Arc;

use firedrill_core::action::{Action, Target};
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::Event;
use firedrill_core::ledger::{RequestOutcome, ServiceTotals};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Factor, Rate, Ratio};
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start, Time};
use firedrill_sim::automation::{Idle, Script};
use firedrill_sim::run::{Finished, Options, Run};
use firedrill_sim::spec::*;

pub fn seconds(seconds: f64) -> Distribution {
    Distribution::constant(seconds).unwrap()
}

pub fn exponential(mean: f64) -> Distribution {
    Distribution::exponential(mean).unwrap()
}

pub fn share(share: f64) -> Ratio {
    Ratio::new(share).unwrap()
}

pub fn factor(factor: f64) -> Factor {
    Factor::new(factor).unwrap()
}

pub fn rate(rate: f64) -> Rate {
    Rate::per_second(rate).unwrap()
}

pub const fn at(seconds: u64) -> Time {
    Time::from_seconds(seconds)
}

pub const fn mib(count: u64) -> Bytes {
    Bytes::new(count << 20)
}

pub fn service_target(name: &str) -> Target {
    Target::Service(Name::new(name))
}

pub fn replica_target(name: &str) -> Target {
    Target::Replica(Name::new(name))
}

/// No retries.
pub fn never() -> RetrySpec {
    retries(0)
}

/// Retries at once.
pub fn retries(max: u32) -> RetrySpec {
    RetrySpec {
        max,
        base: Span::ZERO,
        growth: Growth::Exponential(Factor::ONE),
        cap: Span::ZERO,
        jitter: Jitter::None,
        budget: None,
        on: Causes::ALL,
        elsewhere: 0,
        over_quota: None,
        within: None,
    }
}

/// Retries with pauses that double, with full jitter.
pub fn backed_off(max: u32, base: Span, cap: Span) -> RetrySpec {
    RetrySpec {
        max,
        base,
        growth: Growth::Exponential(factor(2.0)),
        cap,
        jitter: Jitter::Full,
        budget: None,
        on: Causes::ALL,
        elsewhere: 0,
        over_quota: None,
        within: None,
    }
}

pub fn call(service: &str, timeout: Option<Span>, max: u32) -> Phase {
    Phase::Call(CallSpec {
        service: Name::new(service),
        endpoint: Name::new("/"),
        access: Access::Write,
        probability: Ratio::ONE,
        timeout,
        retries: retries(max),
        optional: false,
        asynchronous: false,
        protection: ProtectionSpec::default(),
    })
}

/// A liveness probe on a port of its own.
pub fn liveness(period: u64, failures: u32) -> ProbeSpec {
    ProbeSpec {
        initial_delay: Span::ZERO,
        period: Span::from_seconds(period),
        timeout: Span::from_seconds(1),
        successes: 1,
        failures,
        path: ProbePath::Separate,
    }
}

pub fn version(name: &str) -> VersionSpec {
    VersionSpec {
        name: Name::new(name),
        healthy: true,
        error: Ratio::ZERO,
        demand: Factor::ONE,
        leak_per_second: Bytes::new(0),
        crash_after: None,
        has_no_image: false,
    }
}

/// One replica with one worker, an unbounded queue, a core for each request, and one endpoint.
pub fn service(name: &str, phases: Vec<Phase>) -> ServiceSpec {
    ServiceSpec {
        name: Name::new(name),
        critical: true,
        replicas: 1,
        zones: vec![Name::new("a")],
        workers: Some(1),
        cores: None,
        cpu: None,
        queue: None,
        backlog: None,
        admission: None,
        balance: Balance::RoundRobin,
        balancing: None,
        cancel: Cancel::None,
        endpoints: vec![EndpointSpec { name: Name::new("/"), phases, error: Ratio::ZERO }],
        start_up: seconds(10.0),
        warm_up: None,
        memory: MemorySpec { base: mib(100), per_request: Bytes::new(0), limit: None },
        versions: vec![version("v1")],
        flags: Vec::new(),
        rollout: RolloutSpec {
            max_surge: firedrill_sim::spec::Amount::Share(share(0.25)),
            max_unavailable: firedrill_sim::spec::Amount::Share(share(0.25)),
            min_ready: Span::ZERO,
            progress_deadline: Span::from_minutes(10),
        },
        life: LifeSpec {
            readiness: None,
            startup: None,
            scheduling: None,
            pull: None,
            request_millicores: 0,
            request_memory: Bytes::new(0),
            grace: Span::from_seconds(30),
            pre_stop: Span::ZERO,
            first_backoff: Span::from_seconds(10),
            longest_backoff: Span::from_seconds(300),
            disruption: None,
        },
        autoscaler: None,
        liveness: None,
        database: None,
        caches: Vec::new(),
        disk: None,
        threads: None,
        profiles: Vec::new(),
        consumes: None,
        metrics: Vec::new(),
    }
}

/// Asks the default endpoint at a constant rate, without timeout and without retries.
pub fn client(name: &str, service: &str, per_second: f64) -> ClientSpec {
    ClientSpec {
        name: Name::new(name),
        service: Name::new(service),
        endpoint: Name::new("/"),
        access: Access::Write,
        rates: vec![(Time::ZERO, rate(per_second))],
        variation: Variation::default(),
        population: Population::Open,
        again: None,
        timeout: None,
        retries: never(),
        protection: ProtectionSpec::default(),
        objective: Span::from_seconds(1),
        users: None,
        priority: Priority::Normal,
    }
}

pub fn fault(name: &str, from: u64, lasting: Option<u64>, kind: FaultKind) -> FaultSpec {
    FaultSpec { name: Name::new(name), at: at(from), lasting: lasting.map(Span::from_seconds), kind }
}

pub fn cure(when: u64, action: Action, target: Target) -> CureSpec {
    CureSpec { at: at(when), action, target }
}

pub fn world(horizon: u64, services: Vec<ServiceSpec>, clients: Vec<ClientSpec>) -> WorldSpec {
    WorldSpec {
        topics: Vec::new(),
        name: Name::new("test"),
        start: Start::default(),
        horizon: Span::from_seconds(horizon),
        services,
        nodes: Vec::new(),
        clients,
        faults: Vec::new(),
        changes: Vec::new(),
        monitoring: Vec::new(),
        actuators: Vec::new(),
        cures: Vec::new(),
        profiles: Vec::new(),
        scrape: ScrapeSpec { interval: Span::from_seconds(15) },
        actions: ActionSpec { delay: seconds(1.0), failure: Ratio::ZERO },
        bounds: Bounds { events: 1_000_000_000, attempts: 10_000_000, records: 1_000_000 },
    }
}

/// Runs without telemetry and without anybody watching.
pub fn run(spec: &WorldSpec, seed: u64) -> Finished<Idle> {
    Run::new(Arc::new(spec.clone()), Seed(seed), Options { telemetry: false, ..Options::default() }, Idle).finish()
}

/// Runs with telemetry, the cures applied at their times.
pub fn run_cured(spec: &WorldSpec, seed: u64) -> Finished<Script> {
    let spec = Arc::new(spec.clone());
    Run::new(Arc::clone(&spec), Seed(seed), Options::default(), Script::new(spec)).finish()
}

pub fn totals<A>(finished: &Finished<A>, service: &str) -> ServiceTotals {
    finished.ledger.services.iter().find(|ledger| &*ledger.service == service).unwrap().totals
}

/// Share of a client's requests that arrived in `[from, to)`, whole multiples of 10 s, with this outcome.
pub fn outcome_share<A>(finished: &Finished<A>, (from, to): (usize, usize), outcome: RequestOutcome) -> f64 {
    let client = &finished.ledger.clients[0];
    let first = client.bin_starts[from / 10] as usize;
    let last = client.bin_starts.get(to / 10).map_or(client.outcomes.len(), |last| *last as usize);
    let hits = client.outcomes[first..last].iter().filter(|byte| **byte == outcome as u8).count();
    hits as f64 / (last - first) as f64
}

/// The journal as lines of time in seconds and event, those that `tell` tells.
pub fn told<A>(finished: &Finished<A>, tell: impl Fn(&Event) -> Option<String>) -> Vec<(f64, String)> {
    let records = finished.journal.records().iter();
    records.filter_map(|record| Some((record.at.as_seconds(), tell(&record.event)?))).collect()
}
