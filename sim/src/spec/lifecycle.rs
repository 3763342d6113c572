//! What a replica's life is made of: probes, places to come from, ways to go, and autoscalers (docs/MODEL.md 1.4).

use std::fmt;

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Ratio, Rounding};
use firedrill_core::time::Span;

/// How replicas come and go beside their start-up.
#[derive(Clone, Debug, PartialEq)]
pub struct LifeSpec {
    /// Says when a replica takes requests; `None`: from the end of its start-up on.
    pub readiness: Option<ProbeSpec>,
    /// Says when a process has started; until then the other probes do not ask. `None`: they ask from its start on.
    pub startup: Option<ProbeSpec>,
    /// From a new replica's creation until it has a node, seconds; `None`: no time.
    pub scheduling: Option<Distribution>,
    /// From there until its image is there, seconds; `None`: no time.
    pub pull: Option<Distribution>,
    /// What a replica asks of its node, thousandths of a core.
    pub request_millicores: u64,
    /// What a replica asks of its node.
    pub request_memory: Bytes,
    /// How long a replica that is removed may go on with what it has, `pre_stop` included.
    pub grace: Span,
    /// From its removal until it is told to stop; meanwhile it goes on as before. Zero: at once.
    pub pre_stop: Span,
    /// The pause before a second restart; each further one is twice as long. The first restart has none.
    pub first_backoff: Span,
    /// The longest pause before a restart.
    pub longest_backoff: Span,
    /// How many replicas may be missing because they are moved on purpose; `None`: any number.
    pub disruption: Option<DisruptionSpec>,
}

/// A Kubernetes PodDisruptionBudget: what evictions must leave (docs/MODEL.md 1.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DisruptionSpec {
    /// So many must stay ready.
    MinAvailable(Amount),
    /// So many may be missing.
    MaxUnavailable(Amount),
}

/// Some replicas of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A number.
    Count(u32),
    /// A share of those that it shall have; of a disruption budget rounded up.
    Share(Ratio),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl Amount {
    /// How many that is of so many; a share is rounded so.
    #[must_use]
    pub fn of(self, wanted: u64, rounding: Rounding) -> u64 {
        match self {
            Self::Count(count) => u64::from(count),
            Self::Share(share) => share.of(wanted, rounding),
        }
    }
}

/// A probe of the kubelet (docs/MODEL.md 1.4).
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSpec {
    /// From a process's start until the first probe, at least; compared in whole seconds.
    pub initial_delay: Span,
    /// From one probe to the next.
    pub period: Span,
    /// How long one probe waits.
    pub timeout: Span,
    /// Successes in a row before it counts; 1 for liveness and startup.
    pub successes: u32,
    /// Failures in a row before it counts.
    pub failures: u32,
    /// What it asks.
    pub path: ProbePath,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbePath {
    /// A port of its own, which needs no worker and no CPU. It answers unless the process hangs, and knows whether the process has started up.
    Separate,
    /// The port of requests: a probe is a request of so much CPU time, in seconds, that waits with the others. Refused during start-up.
    Traffic(Distribution),
    /// The same, and the request is one of this endpoint of the service, with all that it calls.
    Endpoint(Name),
}

/// An autoscaler of a service, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoscalerSpec {
    /// The fewest replicas, at least 1.
    pub min: u32,
    /// The most, at least `min`.
    pub max: u32,
    /// What it aims at; never empty. The largest proposal counts.
    pub metrics: Vec<MetricTarget>,
    /// How near to its aim it leaves things as they are.
    pub tolerance: Tolerance,
    /// How fast it may change things; `None`: as Kubernetes without a `behavior`.
    pub behaviour: Option<AutoscalerBehaviour>,
    /// From one decision to the next.
    pub sync: Span,
    /// From one reading of every replica's figures to the next; a decision sees the last two.
    pub resolution: Span,
    /// How long after a replica came to its node its CPU may still be that of its start.
    pub cpu_initialization: Span,
    /// A replica that stopped being ready that soon after it came has never been ready.
    pub initial_readiness: Span,
}

/// One thing that an autoscaler aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricTarget {
    /// CPU, as a share of what each replica asks for.
    Cpu {
        /// What a replica asks for, thousandths of a core; positive.
        request_millicores: u64,
        /// The share aimed at, percent; positive.
        percent: u32,
    },
    /// Memory, as a share of what each replica asks for.
    Memory {
        /// What a replica asks for; positive.
        request: Bytes,
        /// The share aimed at, percent; positive.
        percent: u32,
    },
    /// Requests answered by a replica.
    Requests {
        /// Aimed at, thousandths of a request a second; positive.
        per_replica_milli: u64,
    },
}

/// Which ratios of usage to aim change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// `|1 - ratio| <= 0.1`, in which a ratio of 1.1 is too much by the last bit of a float: Kubernetes before 1.33.
    Classic,
    /// `0.9 <= ratio <= 1.1`.
    Current,
}

/// How fast an autoscaler may change things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerBehaviour {
    /// Towards more.
    pub up: ScalingRules,
    /// Towards fewer.
    pub down: ScalingRules,
}

/// Limits of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingRules {
    /// The most cautious recommendation of so long counts; zero: the last one.
    pub window: Span,
    /// What may change in a time; empty only if `select` is `Disabled`.
    pub policies: Vec<ScalingPolicy>,
    /// Which of the policies counts.
    pub select: PolicySelect,
}

/// What may change in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// How much.
    pub step: ScalingStep,
    /// In how long; positive.
    pub period: Span,
}

/// How much may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingStep {
    /// So many replicas.
    Replicas(u32),
    /// So many percent of what there was at the beginning of the period.
    Percent(u32),
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicySelect {
    /// The one that allows the largest change.
    Largest,
    /// The one that allows the smallest.
    Smallest,
    /// None: this direction is switched off.
    Disabled,
}
