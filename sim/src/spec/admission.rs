//! What stands between the arrival of a request at a replica and a worker: who is let in, in what order they wait, and who is dropped.

use firedrill_core::action::Priority;
use firedrill_core::quantity::{Rate, Ratio};
use firedrill_core::time::Span;

/// What a service does with requests before a worker takes them up (docs/MODEL.md 1.3). Every replica does it for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionSpec {
    /// Who of those that wait is next.
    pub discipline: Discipline,
    /// Who is dropped when a worker comes to it.
    pub drop: DropRule,
    /// Who has waited for so long leaves the queue and is turned away; `None`: nobody does.
    pub longest_wait: Option<Span>,
    /// Calls of this service end at the deadline of the request that makes them, less this margin; `None`: they know nothing of it.
    pub propagates: Option<Span>,
    /// How many may be in flight.
    pub concurrency: Option<ConcurrencySpec>,
    /// How many may come in a period.
    pub rate_limit: Option<RateLimitSpec>,
    /// Turns requests away at random while too few of them succeed.
    pub control: Option<ControlSpec>,
    /// How many may come to all replicas together.
    pub quota: Option<QuotaSpec>,
}

/// Connections that wait at a replica until its process accepts them, beyond those that wait in its queue (docs/MODEL.md 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogSpec {
    /// How long the kernel lets the line become: it holds one more. Whoever comes then is not answered.
    pub length: u32,
    /// After so long the kernel of a caller that was not answered asks again, after that twice as long each time; above zero.
    pub retry_after: Span,
    /// How often it asks again, at most 30; then the connection has failed.
    pub retries: u32,
}

/// In what order requests are taken from a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// First come, first served.
    #[default]
    Fifo,
    /// Last come, first served.
    Lifo,
    /// Last come, first served, while the queue has not been empty for `interval`; else first come.
    AdaptiveLifo {
        /// How long a queue must stand.
        interval: Span,
    },
    /// As `AdaptiveLifo`; and who comes while the queue stands may wait for `target` only, and everybody else for `interval`.
    Codel {
        /// The longest wait of those that come while the queue stands.
        target: Span,
        /// How long a queue must stand, and the longest wait of those that come before.
        interval: Span,
    },
    /// By importance, then first come. If the queue is full, the youngest of the least important makes room for a more important one.
    Priority,
    /// Whose deadline is nearest; those without come last, in order of arrival.
    EarliestDeadline,
}

/// Who is dropped when a worker comes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropRule {
    /// Nobody.
    #[default]
    None,
    /// Whose deadline has passed.
    Expired,
    /// Whose deadline is nearer than this; `None`: than the mean work of what it asks for, calls included.
    Late(Option<Span>),
}

/// A limit of requests in flight at a replica: queued and in service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConcurrencySpec {
    /// The limit, or how it is found.
    pub limit: LimitSpec,
    /// The share of the limit up to which each class of importance is let in, by [`Priority`].
    pub shares: [Ratio; Priority::COUNT],
}

/// How a limit of concurrency is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitSpec {
    /// It is stated.
    Fixed {
        /// The limit, at least 1.
        limit: u32,
        /// How long those beyond it may wait for a place: then the limit is one of requests in service, as a bulkhead's is. Zero: not at all.
        wait: Span,
    },
    /// Gradient2 of Netflix concurrency-limits.
    Gradient2(LimitRange),
    /// Vegas of Netflix concurrency-limits.
    Vegas(LimitRange),
    /// Additive increase and multiplicative decrease, of Netflix concurrency-limits.
    Aimd {
        /// Where it begins and how far it goes.
        range: LimitRange,
        /// A window whose mean response time is longer counts as overload.
        timeout: Span,
    },
    /// The gradient controller of Envoy's filter `adaptive_concurrency`.
    Envoy {
        /// `initial` is not used: it begins by measuring at `least`.
        range: LimitRange,
        /// From one change of the limit to the next.
        update: Span,
        /// From one measurement of the least response time to the next.
        measure_every: Span,
    },
}

/// Where an adaptive limit begins, and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRange {
    /// At the start of a process.
    pub initial: u32,
    /// Never below, at least 1.
    pub least: u32,
    /// Never above.
    pub most: u32,
}

/// A limit of requests in a period, as resilience4j's `AtomicRateLimiter` keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitSpec {
    /// Requests in a period, at least 1.
    pub limit: u32,
    /// The period; periods follow each other from the start of the run.
    pub period: Span,
    /// How long a request may be held back until a period has room for it.
    pub wait: Span,
}

/// A limit of requests of all callers at all replicas together, as external services have it: a bucket that fills at a rate. More are answered with 429.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuotaSpec {
    /// Requests a second.
    pub rate: Rate,
    /// What is saved up at most, at least 1.
    pub burst: u32,
    /// Whether a 429 says after how many seconds somebody would be let in (`Retry-After`).
    pub retry_after: bool,
}

/// Envoy's filter `admission_control`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlSpec {
    /// How far back requests and successes are counted.
    pub window: Span,
    /// Nothing is turned away while at least this share succeeds; above zero.
    pub success: Ratio,
    /// The root that is taken of the probability; at least 1.
    pub aggression: f64,
    /// No larger share is turned away.
    pub most: Ratio,
    /// Nothing is turned away below this rate.
    pub from: Rate,
}
