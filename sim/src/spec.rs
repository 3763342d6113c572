//! What a world is made of: the lowered scenario, with every default filled in and every name known to exist.
//!
//! Scenario files are lowered into this; nothing here can be wrong at run time (docs/ARCHITECTURE.md, invariant 4).

mod caller;
mod load;
mod cache;
mod database;
mod topic;
mod flag;
mod monitoring;
mod actuator;

use std::fmt;

use firedrill_core::action::{Action, Target};
use firedrill_core::distribution::Distribution;
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Factor, Rate, Ratio};
use firedrill_core::time::{Span, Start, Time};

pub use actuator::{ActuatorFaultSpec, Misdeed};
pub use cache::CacheSpec;
pub use caller::{
    BreakerSpec, BudgetSpec, Cause, Causes, Growth, HedgeSpec, HeedSpec, Jitter, OverQuotaSpec, PoolSpec, ProtectionSpec, RetrySpec,
    ThrottleSpec, Window,
};
pub use database::{Access, Commit, DatabaseSpec, Engine, FailoverSpec};
pub use flag::{FlagCallSpec, FlagSpec, Spread};
pub use load::{AgainSpec, BurstsSpec, DailySpec, Population, SpikesSpec, Variation};
pub use monitoring::{COPY, JUDGES, MonitoringFault, MonitoringFaultSpec, Watched};
pub use topic::{ConsumeSpec, LogSpec, TopicKind, TopicSpec};

mod admission;

mod lifecycle;
mod nodes;
mod host;
mod profile;

pub use host::{DiskSpec, ThreadSpec};
pub use lifecycle::{
    Amount, AutoscalerBehaviour, AutoscalerSpec, DisruptionSpec, LifeSpec, MetricTarget, PolicySelect, ProbePath, ProbeSpec, ScalingPolicy,
    ScalingRules, ScalingStep, Tolerance,
};
pub use nodes::NodePoolSpec;
pub use profile::Profile;

pub use admission::{
    AdmissionSpec, BacklogSpec, ConcurrencySpec, ControlSpec, Discipline, DropRule, LimitRange, LimitSpec, QuotaSpec, RateLimitSpec,
};
pub use firedrill_core::action::Priority;

/// A whole world. Lists are sorted by name unless they say otherwise.
#[derive(Clone, PartialEq)]
pub struct WorldSpec {
    /// The scenario's name.
    pub name: Name,
    /// The calendar instant of the run's start.
    pub start: Start,
    /// How long a run lasts.
    pub horizon: Span,
    /// The services.
    pub services: Vec<ServiceSpec>,
    /// The topics that messages wait in.
    pub topics: Vec<TopicSpec>,
    /// The machines, by pool; empty: machines are not modelled, and there is room for everything.
    pub nodes: Vec<NodePoolSpec>,
    /// The clients.
    pub clients: Vec<ClientSpec>,
    /// The faults, in order of onset.
    pub faults: Vec<FaultSpec>,
    /// Benign changes that look like news and are no faults: planned deploys, expected surges. In order of onset.
    pub changes: Vec<FaultSpec>,
    /// What is wrong with monitoring, in order of onset.
    pub monitoring: Vec<MonitoringFaultSpec>,
    /// What is wrong with whoever carries actions out, in order of onset.
    pub actuators: Vec<ActuatorFaultSpec>,
    /// What the oracle does: the cures of the faults, in order.
    pub cures: Vec<CureSpec>,
    /// How telemetry is gathered.
    pub scrape: ScrapeSpec,
    /// The metric profiles that the cluster shows itself by, in order, beside what it always shows.
    pub profiles: Vec<Profile>,
    /// How actions are carried out.
    pub actions: ActionSpec,
    /// Bounds; reaching one ends the run with a record that names it.
    pub bounds: Bounds,
}

/// Where requests go at a service: the program that a request of this endpoint runs.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSpec {
    /// The endpoint's name, such as `/checkout`; the default endpoint is `/`.
    pub name: Name,
    /// What is done, in order.
    pub phases: Vec<Phase>,
    /// Share of requests answered with an error for reasons of their own, after their work is done.
    pub error: Ratio,
}

/// One step of a phase program. Demands are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Work on the CPU, in CPU seconds. Slowed by `speed`, warm-up and contention for cores.
    Cpu(Distribution),
    /// Wait for something that is not modelled, holding the worker.
    Sleep(Distribution),
    /// Call another service and wait for its answer, holding the worker unless the call is asynchronous.
    Call(CallSpec),
    /// Make several calls at once, and wait until enough of them have succeeded.
    Parallel {
        /// The calls; never empty.
        calls: Vec<CallSpec>,
        /// How many must succeed; `None`: all that are made.
        need: Option<u32>,
        /// Whether the worker is free while they are waited for.
        asynchronous: bool,
    },
    /// Look into a cache of the service, and make a call if what is wanted is not there.
    Cache {
        /// The cache.
        cache: Name,
        /// The call; its answer is kept.
        miss: CallSpec,
    },
    /// Make a call that changes what a cache of the service holds a copy of.
    Update {
        /// The cache.
        cache: Name,
        /// The call.
        write: CallSpec,
        /// Whether the copy is thrown away once that has succeeded.
        invalidate: bool,
    },
    /// Take a lock of the service, which all its replicas share; first come, first served.
    Lock {
        /// The lock.
        lock: Name,
        /// Whoever has waited for so long fails; `None`: waits for ever.
        timeout: Option<Span>,
        /// Whoever has waited for so long fails if it waits, through others, for itself; `None`: nobody looks.
        deadlock_after: Option<Span>,
    },
    /// Give a lock up.
    Unlock {
        /// The lock.
        lock: Name,
    },
    /// Put a message into a topic, which takes no time and does not fail.
    Publish(Name),
}

impl Phase {
    /// The calls that it makes.
    #[must_use]
    pub fn calls(&self) -> &[CallSpec] {
        match self {
            Self::Call(call) | Self::Cache { miss: call, .. } | Self::Update { write: call, .. } => std::slice::from_ref(call),
            Self::Parallel { calls, .. } => calls,
            Self::Cpu(_) | Self::Sleep(_) | Self::Lock { .. } | Self::Unlock { .. } | Self::Publish(_) => &[],
        }
    }
}

/// A call of another service.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSpec {
    /// The service called.
    pub service: Name,
    /// Its endpoint.
    pub endpoint: Name,
    /// What it does there, if that is a database.
    pub access: Access,
    /// The share of requests that make this call.
    pub probability: Ratio,
    /// How long the caller waits for one attempt; `None` waits for ever.
    pub timeout: Option<Span>,
    /// What it does when an attempt fails.
    pub retries: RetrySpec,
    /// What stands between it and the service.
    pub protection: ProtectionSpec,
    /// Whether the caller goes on without an answer.
    pub optional: bool,
    /// Whether the worker is free while it is waited for, so that the request needs one again when the answer comes. Of one call, and of a miss; for
    /// calls in parallel all of them say it together.
    pub asynchronous: bool,
}

/// How a caller chooses a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn; each caller keeps its own turn.
    RoundRobin,
    /// Uniformly at random.
    Random,
    /// The less busy of two chosen at random (attempts queued and in service).
    PowerOfTwo,
    /// The one with the fewest attempts of this caller under way, as Envoy does it.
    LeastRequest {
        /// Of so many drawn at random, one by one and perhaps twice the same; `None`: of all.
        choices: Option<u32>,
    },
    /// Of two drawn at random the one that promises the earlier answer to this caller, as Linkerd does it.
    PeakEwma {
        /// What a replica is thought to take before it has answered.
        default_rtt: Span,
        /// How fast a peak is forgotten.
        decay: Span,
    },
    /// One at random for each connection, as kube-proxy does it; a request takes a connection that is there.
    PerConnection(ConnectionSpec),
}

/// The connections that a caller keeps to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSpec {
    /// Whether all requests share one connection, as those of HTTP/2 do.
    pub multiplexed: bool,
    /// Connections without a request that are kept.
    pub keep: u32,
    /// How long one is kept without a request.
    pub idle: Span,
}

/// What each caller of a service knows of its replicas, and which of them it leaves out of its choice (docs/MODEL.md 1.5).
#[derive(Clone, Debug, PartialEq)]
pub struct BalancingSpec {
    /// Replicas that fail are left out for a while; `None`: never.
    pub ejection: Option<EjectionSpec>,
    /// Replicas that join get less at first; `None`: their share at once. With `RoundRobin` and `LeastRequest` only.
    pub slow_start: Option<SlowStartSpec>,
    /// With a smaller share of replicas left in its choice, a caller chooses from all; zero: never.
    pub panic_threshold: Ratio,
    /// Whether a replica chooses among those in its own zone as long as there are any.
    pub prefer_zone: bool,
    /// From a change of readiness until a caller knows it, seconds; `None`: at once.
    pub propagation: Option<Distribution>,
    /// How long a caller uses what a name was resolved to; `None`: it is told of changes.
    pub dns_ttl: Option<Span>,
    /// Requests wait in proxies for a while if there is nobody to send them to; `None`: they fail at once.
    pub fail_fast: Option<FailFastSpec>,
}

/// Linkerd's queues with fail-fast (docs/MODEL.md 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailFastSpec {
    /// How long a caller's proxy has had no replica when those who wait there fail; above zero.
    pub outbound: Span,
    /// How long the proxy beside a replica has had no process when those who wait there fail; above zero.
    pub inbound: Span,
    /// Requests that wait in one proxy, at least 1; more fail at once.
    pub queue: u32,
}

impl WorldSpec {
    /// Whether any service's callers wait in proxies.
    pub(crate) fn have_proxies(&self) -> bool {
        self.services.iter().any(|service| service.balancing.as_ref().is_some_and(|balancing| balancing.fail_fast.is_some()))
    }
}

/// How a caller tells that a replica fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EjectionSpec {
    /// Envoy's outlier detection.
    Outliers(OutlierSpec),
    /// Linkerd's failure accrual.
    Accrual(AccrualSpec),
}

/// Envoy's outlier detection (docs/MODEL.md 1.5). Shares that are enforced say how often an ejection that is due is carried out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierSpec {
    /// From one sweep to the next.
    pub interval: Span,
    /// The first ejection's length; later ones are multiples of it.
    pub base_ejection: Span,
    /// The longest ejection.
    pub max_ejection: Span,
    /// The share of replicas that may be ejected at a time.
    pub max_ejected: Ratio,
    /// Whether one may be ejected whatever that share is.
    pub always_one: bool,
    /// Whether the share counts those that are ejected already and not the next one, as Envoy did before 1.28.
    pub share_of_earlier: bool,
    /// Errors (5xx) in a row.
    pub consecutive_5xx: u32,
    /// How often that is enforced.
    pub enforcing_consecutive_5xx: Ratio,
    /// Errors of gateways (502, 503, 504) in a row.
    pub consecutive_gateway_failure: u32,
    /// How often that is enforced.
    pub enforcing_consecutive_gateway_failure: Ratio,
    /// Replicas with enough requests that a comparison of success rates needs.
    pub success_rate_minimum_hosts: u32,
    /// Requests of one interval that it needs of a replica.
    pub success_rate_request_volume: u32,
    /// Ejected is what lies so many standard deviations below the mean.
    pub success_rate_stdev_factor: f64,
    /// How often that is enforced.
    pub enforcing_success_rate: Ratio,
    /// Ejected is what fails at least this share of an interval's requests.
    pub failure_percentage_threshold: Ratio,
    /// Replicas with enough requests that this needs.
    pub failure_percentage_minimum_hosts: u32,
    /// Requests of one interval that it needs of a replica.
    pub failure_percentage_request_volume: u32,
    /// How often that is enforced.
    pub enforcing_failure_percentage: Ratio,
}

/// Linkerd's failure accrual: after failures in a row a replica rests, then one request tries it (docs/MODEL.md 1.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccrualSpec {
    /// Failures in a row.
    pub failures: u32,
    /// The first rest; each further one is twice as long.
    pub min_penalty: Span,
    /// The longest rest.
    pub max_penalty: Span,
    /// The largest share of a rest that is added to it at random.
    pub jitter: Ratio,
}

/// Envoy's slow start: a replica's weight is `max(least, (age / window)^(1 / aggression))` until it is `window` old.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStartSpec {
    /// How long it lasts.
    pub window: Span,
    /// The shape of the growth; 1 is a straight line, more is faster at first; above zero.
    pub aggression: f64,
    /// The least weight.
    pub least: Ratio,
}

/// What happens to work whose caller has given up (docs/MODEL.md 0, decision 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It is done all the same.
    None,
    /// It is dropped if it still waits in the queue.
    QueueOnly,
    /// As `QueueOnly`, and work under way stops at its next phase.
    Context,
}

/// A service and its replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSpec {
    /// Its name.
    pub name: Name,
    /// Whether it is critical.
    pub critical: bool,
    /// Replicas at the start, at least 1.
    pub replicas: u32,
    /// Zones; replica `i` stands in `zones[i % len]`; never empty.
    pub zones: Vec<Name>,
    /// Requests served at a time by one replica; `None` is unbounded.
    pub workers: Option<u32>,
    /// Cores of one replica, shared equally by the CPU phases that run; `None`: a core for each.
    pub cores: Option<f64>,
    /// What is said of CPU time beside that; `None`: nothing.
    pub cpu: Option<Box<CpuSpec>>,
    /// Requests that may wait at one replica; `None` is unbounded.
    pub queue: Option<u32>,
    /// New connections that wait beyond those; `None`: whoever finds the queue full is turned away.
    pub backlog: Option<BacklogSpec>,
    /// Who is let in, in what order they wait, and who is dropped; `None`: first come, first served, and nobody is dropped.
    pub admission: Option<Box<AdmissionSpec>>,
    /// How callers choose a replica.
    pub balance: Balance,
    /// What callers know and whom they leave out; `None`: they know everything at once, and leave nobody out.
    pub balancing: Option<Box<BalancingSpec>>,
    /// What happens to abandoned work.
    pub cancel: Cancel,
    /// What it can be asked for, sorted by name; never empty.
    pub endpoints: Vec<EndpointSpec>,
    /// The topic whose messages are requests of it; `None`: it takes none.
    pub consumes: Option<ConsumeSpec>,
    /// From process start until ready, seconds.
    pub start_up: Distribution,
    /// Slowness after start.
    pub warm_up: Option<WarmUp>,
    /// Memory of one replica.
    pub memory: MemorySpec,
    /// The volume that each replica writes to; `None`: one without end.
    pub disk: Option<DiskSpec>,
    /// The threads of each process; `None`: as many as it wants.
    pub threads: Option<ThreadSpec>,
    /// The versions that exist, the running one first.
    pub versions: Vec<VersionSpec>,
    /// Flags that can be turned on, in order of name.
    pub flags: Vec<FlagSpec>,
    /// How a new version replaces an old one.
    pub rollout: RolloutSpec,
    /// Restart of a replica whose process has stopped answering; `None`: nothing watches it.
    pub liveness: Option<ProbeSpec>,
    /// How its replicas come and go.
    pub life: LifeSpec,
    /// What changes the wanted number of replicas; `None`: actions alone.
    pub autoscaler: Option<Box<AutoscalerSpec>>,
    /// What makes it a database; `None`: it is none.
    pub database: Option<Box<DatabaseSpec>>,
    /// Caches that its replicas look into, in order of name.
    pub caches: Vec<CacheSpec>,
    /// The metric profiles that its processes show themselves by, in order, beside the standard ones.
    pub profiles: Vec<Profile>,
    /// The service's own metrics, beside the standard ones, and those of its profiles that count what it answers.
    pub metrics: Vec<MetricSpec>,
}

/// CPU time of a replica beyond the plain sharing of cores (docs/MODEL.md 1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct CpuSpec {
    /// Cores are a quota of CPU time in each period of this length, as the kernel's scheduler has it; `None`: they are shared evenly all the time.
    pub period: Option<Span>,
    /// Cores that a process needs for itself, whatever the load.
    pub background: f64,
    /// How it collects garbage; `None`: it has none. The memory of the service has a limit then, which is the heap.
    pub gc: Option<GcSpec>,
}

/// Collections of garbage: after each stretch of work a process stands still (docs/MODEL.md 1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct GcSpec {
    /// From the end of one collection to the next, if something has run.
    pub every: Span,
    /// The share of time that they take of a process with an empty heap.
    pub share: Ratio,
    /// What a collection takes longer once the heap is nearly full, seconds.
    pub major: Distribution,
    /// From this share of the heap on it is nearly full.
    pub full: Ratio,
}

/// Demand is multiplied by `1 + (factor - 1) * exp(-age / tau)` after start (docs/MODEL.md 1.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// Slowness at the first moment, at least 1.
    pub factor: Factor,
    /// How fast it wears off.
    pub tau: Span,
}

/// Memory of one replica. Beyond `limit` the process is killed (OOMKilled) and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySpec {
    /// At the start.
    pub base: Bytes,
    /// For each request queued or in service.
    pub per_request: Bytes,
    /// The limit; `None`: no limit.
    pub limit: Option<Bytes>,
}

/// A version of a service's code, and how it differs from a sound one.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionSpec {
    /// Its name.
    pub name: Name,
    /// Whether it is sound; recovery asks for sound versions everywhere.
    pub healthy: bool,
    /// Share of requests that it answers with an error.
    pub error: Ratio,
    /// Multiplies CPU demand.
    pub demand: Factor,
    /// Memory lost a second while a process runs.
    pub leak_per_second: Bytes,
    /// How long its process lives before it crashes; `None`: for ever.
    pub crash_after: Option<Span>,
    /// Whether its image cannot be pulled: its replicas never start.
    pub has_no_image: bool,
}

/// A rolling update, as a Kubernetes Deployment does it (docs/MODEL.md 1.4).
#[derive(Clone, Copy, PartialEq)]
pub struct RolloutSpec {
    /// Replicas above the wanted number; a share rounded up.
    pub max_surge: Amount,
    /// Replicas below the wanted number; a share rounded down; one if both come to zero.
    pub max_unavailable: Amount,
    /// How long a replica must have been ready to count as available.
    pub min_ready: Span,
    /// How long a rollout may make no progress before that is told.
    pub progress_deadline: Span,
}

/// Whoever sends requests from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSpec {
    /// Its name.
    pub name: Name,
    /// The service asked.
    pub service: Name,
    /// The endpoint asked.
    pub endpoint: Name,
    /// What it does there, if that is a database.
    pub access: Access,
    /// The rate from each instant on; the first is at zero; sorted by time. None of a closed client.
    pub rates: Vec<(Time, Rate)>,
    /// How the rate varies beside that.
    pub variation: Variation,
    /// Who stands behind the requests.
    pub population: Population,
    /// Who tries again by hand; `None`: nobody.
    pub again: Option<AgainSpec>,
    /// How long one attempt is waited for; `None` waits for ever.
    pub timeout: Option<Span>,
    /// What it does when an attempt fails.
    pub retries: RetrySpec,
    /// What stands between it and the service.
    pub protection: ProtectionSpec,
    /// A request that takes longer, retries included, is bad.
    pub objective: Span,
    /// How many users stand behind the arrivals of a minute; `None`: one user an arrival.
    pub users: Option<u64>,
    /// How important its requests are.
    pub priority: Priority,
}

/// A fault, or a benign change: a change of parameters or state for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// Unique in the scenario.
    pub name: Name,
    /// When it sets in.
    pub at: Time,
    /// How long it lasts; `None`: until cured, or for ever.
    pub lasting: Option<Span>,
    /// What it does.
    pub kind: FaultKind,
}

/// What a fault does (docs/MODEL.md 2a). Targets are services or replicas unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The process dies. With `every`, it dies again that long after each start, until the fault ends.
    Crash {
        /// Service (all replicas) or replica.
        target: Target,
        /// Life of each new process; `None` crashes once.
        every: Option<Span>,
    },
    /// The process stops working and holds what it has; a restart cures it.
    Hang {
        /// Service (all replicas) or replica.
        target: Target,
    },
    /// CPU demand of new requests is multiplied.
    Slow {
        /// Service or replica.
        target: Target,
        /// The multiplier of demand.
        factor: Factor,
    },
    /// The speed of the CPU is multiplied, for work under way too.
    Capacity {
        /// Service or replica.
        target: Target,
        /// The multiplier of speed; zero stands still.
        factor: Factor,
    },
    /// Others on the machine take a share of its CPU time, for work under way too.
    Steal {
        /// Service, replica or node.
        target: Target,
        /// The share.
        share: Ratio,
    },
    /// A share of requests is answered with an error at once.
    ErrorRate {
        /// Service or replica.
        target: Target,
        /// The share.
        error: Ratio,
    },
    /// Memory grows. With `lasting`, so does that of every process started meanwhile; without, the fault is in the processes that run at
    /// its onset, and each is cured when it is killed or restarted.
    MemoryLeak {
        /// Service or replica.
        target: Target,
        /// Growth a second.
        per_second: Bytes,
    },
    /// A version is rolled out; `lasting` is not used. A rollback cures it.
    Deploy {
        /// The service.
        service: Name,
        /// One of its versions.
        version: Name,
    },
    /// A flag of a service is turned on. With `lasting`, it is turned off again; an action can do that too.
    Flag {
        /// The service.
        service: Name,
        /// One of its flags.
        flag: Name,
    },
    /// Calls of a service take longer on the way; its own work does not.
    Latency {
        /// The caller, a service or client; `None`: every caller.
        from: Option<Name>,
        /// The service called.
        service: Name,
        /// Time added to each attempt, seconds.
        extra: Distribution,
    },
    /// All replicas in a zone are lost; they come back when the fault ends, or elsewhere when drained.
    ZoneLoss {
        /// The zone.
        zone: Name,
    },
    /// A machine is lost with all that runs on it. Nobody knows at once; its replicas are given up after 340 s.
    NodeLoss {
        /// The node.
        node: Name,
    },
    /// A machine is emptied, as `kubectl drain` does it, and takes nothing new for as long as that lasts.
    NodeDrain {
        /// The node.
        node: Name,
    },
    /// A cache loses keys, once.
    CacheFlush {
        /// The service.
        service: Name,
        /// Its cache.
        cache: Name,
        /// The share of its keys.
        share: Ratio,
    },
    /// The primary of a database dies, whichever replica that is. With `lasting`, its machine is away for so long.
    PrimaryCrash {
        /// The database.
        service: Name,
    },
    /// Standbys of a database follow only after so long.
    ReplicaLag {
        /// The database, or one of its replicas.
        target: Target,
        /// How far behind they are.
        lag: Span,
    },
    /// Somebody takes a lock of a service and does not give it up.
    LockHold {
        /// The service.
        service: Name,
        /// Its lock.
        lock: Name,
    },
    /// The quota of a service is another one.
    Quota {
        /// The service.
        service: Name,
        /// Requests a second of all callers together.
        rate: Rate,
    },
    /// A message is put into a topic that nobody can work on.
    Poison {
        /// The topic.
        topic: Name,
        /// The service that takes it.
        service: Name,
        /// Which partition, if it has some.
        partition: u32,
        /// Whether it kills the process that works on it; else it is answered with an error.
        kills: bool,
    },
    /// A client's rate is multiplied.
    Surge {
        /// The client.
        client: Name,
        /// The multiplier.
        factor: Factor,
    },
    /// A share of the calls over a pool does not give its connection back. What is lost is lost until the pool is made anew.
    ConnectionLeak {
        /// Whose pools: a service or a replica.
        target: Target,
        /// The service that they lead to; `None`: all.
        to: Option<Name>,
        /// The share.
        share: Ratio,
    },
    /// Entries of a cache are spoilt, once: who finds one fails. Over once none is left.
    CacheCorruption {
        /// The service.
        service: Name,
        /// Its cache.
        cache: Name,
        /// What the names of these keys begin with.
        prefix: Name,
        /// The share of its keys.
        share: Ratio,
    },
    /// Something writes on the disk of a replica without end. A full disk takes no writes.
    DiskFill {
        /// Service or replica.
        target: Target,
        /// Growth a second.
        per_second: Bytes,
    },
    /// The certificate of a service expires: no caller opens a connection to it any more. Over once it is renewed.
    CertificateExpiry {
        /// The service.
        service: Name,
        /// How long connections live that were open before; zero: all break at once.
        sessions: Span,
    },
    /// The configuration of some replicas of a service is not what is declared.
    ConfigDrift {
        /// Service or replica.
        target: Target,
        /// Of a service, how many of its replicas, the first of them; `None`: all.
        replicas: Option<u32>,
        /// Multiplies the CPU demand of new requests.
        demand: Factor,
        /// The share of requests that is answered with an error at once.
        error: Ratio,
    },
    /// Replicas are added to a service whose processes need a thread for each of the others, until one has too few.
    ScaleOut {
        /// The service.
        service: Name,
        /// How many.
        by: u32,
    },
}

impl FaultKind {
    /// The word for it in files and journals.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Hang { .. } => "hang",
            Self::Slow { .. } => "slow",
            Self::Capacity { .. } => "capacity",
            Self::Steal { .. } => "steal",
            Self::ErrorRate { .. } => "error_rate",
            Self::MemoryLeak { .. } => "memory_leak",
            Self::Deploy { .. } => "deploy",
            Self::Flag { .. } => "flag",
            Self::Latency { .. } => "latency",
            Self::ZoneLoss { .. } => "zone_loss",
            Self::NodeLoss { .. } => "node_loss",
            Self::NodeDrain { .. } => "node_drain",
            Self::CacheFlush { .. } => "cache_flush",
            Self::PrimaryCrash { .. } => "primary_crash",
            Self::LockHold { .. } => "lock_hold",
            Self::Quota { .. } => "quota",
            Self::ReplicaLag { .. } => "replica_lag",
            Self::Poison { .. } => "poison",
            Self::Surge { .. } => "surge",
            Self::ConnectionLeak { .. } => "connection_leak",
            Self::CacheCorruption { .. } => "cache_corruption",
            Self::DiskFill { .. } => "disk_fill",
            Self::CertificateExpiry { .. } => "certificate_expiry",
            Self::ConfigDrift { .. } => "config_drift",
            Self::ScaleOut { .. } => "scale_out",
        }
    }

    /// What it is attached to.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Crash { target, .. }
            | Self::Hang { target }
            | Self::Slow { target, .. }
            | Self::Capacity { target, .. }
            | Self::Steal { target, .. }
            | Self::ErrorRate { target, .. }
            | Self::MemoryLeak { target, .. }
            | Self::ReplicaLag { target, .. }
            | Self::ConnectionLeak { target, .. }
            | Self::DiskFill { target, .. }
            | Self::ConfigDrift { target, .. } => target.clone(),
            Self::Deploy { service, .. }
            | Self::Flag { service, .. }
            | Self::Latency { service, .. }
            | Self::CacheFlush { service, .. }
            | Self::LockHold { service, .. }
            | Self::Quota { service, .. }
            | Self::Poison { service, .. }
            | Self::CacheCorruption { service, .. }
            | Self::CertificateExpiry { service, .. }
            | Self::ScaleOut { service, .. }
            | Self::PrimaryCrash { service } => Target::Service(service.clone()),
            Self::ZoneLoss { zone } => Target::Zone(zone.clone()),
            Self::NodeLoss { node } | Self::NodeDrain { node } => Target::Node(node.clone()),
            Self::Surge { client, .. } => Target::Client(client.clone()),
        }
    }
}

/// One thing that the oracle does, some time after the onset of a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct CureSpec {
    /// When, from the start of the run.
    pub at: Time,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
}

/// How telemetry is gathered: every target is scraped at its own phase of the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrapeSpec {
    /// From one scrape of a target to the next; whole milliseconds.
    pub interval: Span,
}

/// How actions are carried out, whatever they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionSpec {
    /// From the order to its first effect, seconds (docs/MODEL.md 2b: 0.1 to 5 s).
    pub delay: Distribution,
    /// The share of actions that fail without effect (docs/MODEL.md 2b: 1 %).
    pub failure: Ratio,
}

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Events that the world may process.
    pub events: u64,
    /// Attempts that may be in the system at a time.
    pub attempts: u64,
    /// Records that the journal may have when something is written in it.
    pub records: u64,
}

/// A metric that the service exposes under its own name, because people's rules use people's names.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// The metric's name; histograms expose `_bucket`, `_sum` and `_count`.
    pub name: Name,
    /// Labels, sorted by name, beside the target's own (job, instance, service, pod, namespace, zone, version).
    pub labels: Vec<(Name, LabelSource)>,
    /// What feeds it.
    pub feed: Feed,
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelSource {
    /// Always the same.
    Fixed(Name),
    /// The endpoint asked.
    Endpoint,
    /// The status code answered: 200, 500, 503, …
    Code,
    /// `success` or `error`.
    Outcome,
    /// One value for successes and one for errors; an empty one is no label.
    ByOutcome {
        /// Of a success.
        success: Name,
        /// Of an error.
        error: Name,
    },
    /// The status code of an error; successes have no such label.
    ErrorCode,
}

/// The state that feeds a metric (docs/MODEL.md 4.3).
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// Counter of answered requests.
    Requests {
        /// Only this endpoint; `None` counts all.
        endpoint: Option<Name>,
        /// Only successes (`Some(true)`) or only errors (`Some(false)`); `None` counts both.
        success: Option<bool>,
    },
    /// Histogram of response times, in seconds times `scale`.
    Latency {
        /// Only this endpoint; `None` takes all.
        endpoint: Option<Name>,
        /// Upper bounds of the buckets in the metric's unit, ascending, without infinity.
        buckets: Vec<f64>,
        /// Multiplies seconds: 1000 for milliseconds.
        scale: f64,
    },
    /// Gauge of requests in service.
    InService,
    /// Gauge of requests that wait.
    Queued,
    /// Counter of CPU seconds used.
    CpuSeconds,
    /// Gauge of memory in bytes.
    MemoryBytes,
    /// Gauge of ready replicas of the service.
    ReadyReplicas,
    /// Gauge of the Unix time of the last rollout's start, seconds.
    DeployTimestamp,
    /// Gauge that is always 1: its labels are what it says.
    Info,
}

/// The weeks before a run, as far as monitoring would remember them: told from the load alone, and not simulated event by event.
#[derive(Clone, Debug, PartialEq)]
pub struct HistorySpec {
    /// How long before the start it begins; a multiple of `every`.
    pub span: Span,
    /// From one sample to the next; whole milliseconds, positive.
    pub every: Span,
    /// By what the load of each interval is multiplied, with a mean of 1; `None`: by nothing.
    pub noise: Option<Distribution>,
    /// The load of each client, in the order of [`WorldSpec::clients`].
    pub loads: Vec<LoadSpec>,
    /// The metrics that it covers, sorted.
    pub metrics: Vec<Name>,
}

/// A client's load over the week.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSpec {
    /// The rate at the beginning of each hour of the day, UTC; between two it changes evenly.
    pub hours: [Rate; 24],
    /// What the day's rates are multiplied by, Monday first.
    pub weekdays: [Factor; 7],
}

impl ServiceSpec {
    /// The locks that its programs take, sorted, each once.
    #[must_use]
    pub fn locks(&self) -> Vec<Name> {
        let phases = self.endpoints.iter().flat_map(|endpoint| &endpoint.phases);
        let taken = phases.filter_map(|phase| match phase {
            Phase::Lock { lock, .. } => Some(lock.clone()),
            _ => None,
        });
        let mut locks: Vec<Name> = taken.collect();
        locks.sort();
        locks.dedup();
        locks
    }

    /// Whether it puts messages into a topic.
    #[must_use]
    pub fn publishes(&self, topic: &Name) -> bool {
        let mut phases = self.endpoints.iter().flat_map(|endpoint| &endpoint.phases);
        phases.any(|phase| matches!(phase, Phase::Publish(published) if published == topic))
    }

    /// Whether something changes what a cache holds copies of.
    #[must_use]
    pub fn updates(&self, cache: &Name) -> bool {
        let mut phases = self.endpoints.iter().flat_map(|endpoint| &endpoint.phases);
        phases.any(|phase| matches!(phase, Phase::Update { cache: updated, .. } if updated == cache))
    }

    /// Its calls in the order in which its programs make them.
    #[must_use]
    pub fn calls_in_order(&self) -> Vec<&CallSpec> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.phases).flat_map(Phase::calls).collect()
    }

    /// The services that it calls, sorted, each once.
    #[must_use]
    pub fn calls(&self) -> Vec<Name> {
        let phases = self.endpoints.iter().flat_map(|endpoint| &endpoint.phases);
        let mut calls: Vec<Name> = phases.flat_map(Phase::calls).map(|call| call.service.clone()).collect();
        calls.sort();
        calls.dedup();
        calls
    }
}

impl fmt::Debug for RolloutSpec {
    /// As it would be derived, with a share as nothing but that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_surge, max_unavailable, min_ready, progress_deadline } = self;
        let plain = |amount: &Amount| -> Box<dyn fmt::Debug> {
            match *amount {
                Amount::Share(share) => Box::new(share),
                Amount::Count(_) => Box::new(*amount),
            }
        };
        let mut text = f.debug_struct("RolloutSpec");
        text.field("max_surge", &plain(max_surge)).field("max_unavailable", &plain(max_unavailable));
        text.field("min_ready", min_ready).field("progress_deadline", progress_deadline).finish()
    }
}

impl fmt::Debug for WorldSpec {
    /// As it would be derived, and without the lists of what is wrong with monitoring and actuators where they are empty: the text is what a
    /// scenario's hash is made of, and a scenario that says nothing of them keeps the hash that it had before there were any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, start, horizon, services, topics, nodes, clients, faults, changes, .. } = self;
        let Self { monitoring, actuators, cures, scrape, profiles, actions, bounds, .. } = self;
        let mut text = f.debug_struct("WorldSpec");
        text.field("name", name).field("start", start).field("horizon", horizon).field("services", services).field("topics", topics);
        text.field("nodes", nodes).field("clients", clients).field("faults", faults).field("changes", changes);
        if !monitoring.is_empty() {
            text.field("monitoring", monitoring);
        }
        if !actuators.is_empty() {
            text.field("actuators", actuators);
        }
        text.field("cures", cures).field("scrape", scrape).field("profiles", profiles).field("actions", actions).field("bounds", bounds);
        text.finish()
    }
}

impl WorldSpec {
    /// Whether Prometheus runs at an instant.
    #[must_use]
    pub fn prometheus_runs(&self, now: Time) -> bool {
        !self.monitoring.iter().any(|fault| fault.kind == MonitoringFault::PrometheusDown && fault.is_on(now))
    }

    /// The declared population, for guards.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let entry = |service: &ServiceSpec| ServiceEntry {
            replicas: service.replicas,
            zones: service.zones.clone(),
            critical: service.critical,
            calls: service.calls(),
        };
        Inventory {
            services: self.services.iter().map(|service| (service.name.clone(), entry(service))).collect(),
            clients: self.clients.iter().map(|client| client.name.clone()).collect(),
            nodes: self.machines().collect(),
        }
    }

    /// All machines by name, each with its zone; none where machines are not modelled.
    pub fn machines(&self) -> impl Iterator<Item = (Name, Name)> {
        self.nodes.iter().flat_map(|pool| (0..pool.count).map(|index| (pool.node(index), pool.zone.clone())))
    }
}
