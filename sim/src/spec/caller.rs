//! What callers do beyond waiting and trying again: budgets of retries, breakers, pools, hedging, throttling (docs/MODEL.md 1.6).

use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;

/// Retries of a client or a call. Failures are retried until the number is used up, or the budget.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySpec {
    /// Retries after the first attempt; zero makes one attempt only.
    pub max: u32,
    /// The pause before the first retry; zero retries at once.
    pub base: Span,
    /// How pauses grow from there.
    pub growth: Growth,
    /// The longest pause.
    pub cap: Span,
    /// What luck makes of a pause.
    pub jitter: Jitter,
    /// What keeps retries a small part of all attempts; `None`: nothing does.
    pub budget: Option<BudgetSpec>,
    /// The failures after which another attempt is made.
    pub on: Causes,
    /// How often a retry chooses anew when it would come to a replica that its request has tried; zero: it does not look.
    pub elsewhere: u32,
    /// How long all attempts may take together, pauses included; `None`: as long as they take. Above zero.
    pub within: Option<Span>,
    /// What is different after a 429; `None`: nothing is. Boxed because few look at it.
    pub over_quota: Option<Box<OverQuotaSpec>>,
}

/// How a caller tries again that was answered with a 429.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverQuotaSpec {
    /// The pause before the first retry, instead of that after other failures; `None`: the same.
    pub base: Option<Span>,
    /// What it makes of the time after which the service says that it may ask again; `None`: it does not look.
    pub heed: Option<HeedSpec>,
}

/// What a caller makes of `Retry-After`, or of what goes by another name in its protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeedSpec {
    /// Whether it waits for that long instead of its own pause; else for the longer of the two.
    pub instead: bool,
    /// A longer time is not heeded; `None`: any is.
    pub most: Option<Span>,
    /// The share of it that is added at random, at most.
    pub jitter: Ratio,
}

/// Why an attempt failed, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was answered with an error, but for 503 and 429.
    Error,
    /// It took too long, or the wait for a connection did.
    Timeout,
    /// It was turned away: by a queue or a limit, by the caller itself, because no replica was ready, or with a 503 that the service passed on.
    Rejected,
    /// All callers together had asked too often.
    OverQuota,
    /// The process that had it died.
    Reset,
    /// Nobody listened there.
    Unreachable,
}

impl Cause {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("error", Self::Error),
        ("timeout", Self::Timeout),
        ("rejected", Self::Rejected),
        ("over_quota", Self::OverQuota),
        ("reset", Self::Reset),
        ("unreachable", Self::Unreachable),
    ];
}

/// Some causes of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Causes(u8);

impl Causes {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// These.
    #[must_use]
    pub fn of(causes: impl IntoIterator<Item = Cause>) -> Self {
        Self(causes.into_iter().fold(0, |all, cause| all | 1 << cause as u8))
    }

    /// Whether a cause is one of them.
    #[must_use]
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & (1 << cause as u8) != 0
    }
}

/// How the pause before retry `n`, counted from 1, follows from the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// `base * factor^(n-1)`; a factor of 1 keeps it constant.
    Exponential(Factor),
    /// `base * 2^(n-1)`, as Envoy has it: `JitteredExponentialBackOffStrategy` in `backoff_strategy.cc`, where its documentation says `2^n - 1`.
    Doubled,
}

/// What luck makes of a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Nothing.
    None,
    /// Uniform from zero to the pause (full jitter).
    Full,
    /// Uniform within this share of the pause, to both sides of it.
    Around(Ratio),
}

impl Jitter {
    /// What a pause is multiplied by; `luck` is uniform in [0, 1).
    #[must_use]
    pub fn of(self, luck: f64) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Full => luck,
            Self::Around(share) => 1.0 + share.get() * (2.0 * luck - 1.0),
        }
    }
}

/// What bounds the retries of one caller: one process of a service, or one client, at one service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BudgetSpec {
    /// gRPC's retry throttling (gRFC A6): a failure takes a token and a success gives back `ratio` of one; retries need more than half of `tokens`.
    Grpc {
        /// The most tokens, whole; the bucket begins full.
        tokens: u32,
        /// What a success gives back, in thousandths of a token.
        millis: u32,
    },
    /// Finagle's and Linkerd's budget (`RetryBudget.scala`): a share of the requests of the last `ttl`, and so many a second on top.
    Share {
        /// The share of requests that may be retried, above 0.
        share: Ratio,
        /// Retries a second that are always allowed.
        least_per_second: u32,
        /// How long a request counts, at least a second.
        ttl: Span,
    },
    /// The retry quota of AWS SDKs (standard mode).
    Aws {
        /// What the bucket holds.
        tokens: u32,
        /// What a retry costs.
        cost: u32,
        /// What a retry after a timeout costs.
        timeout_cost: u32,
    },
    /// Envoy's retry budget: retries under way at most this share of all that is under way, or `least`.
    Concurrent {
        /// The share.
        share: Ratio,
        /// Retries that may always be under way.
        least: u32,
    },
}

/// What stands between a caller and the service that it calls, once for each caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProtectionSpec {
    /// A circuit breaker.
    pub breaker: Option<BreakerSpec>,
    /// Attempts that one caller may have under way; more fail at once (Envoy's `max_requests`).
    pub most_requests: Option<u32>,
    /// A pool of connections; an attempt holds one.
    pub pool: Option<PoolSpec>,
    /// Attempts that the caller refuses itself once many fail (the client-side throttling of the SRE book).
    pub throttle: Option<ThrottleSpec>,
    /// A second attempt when the first takes long.
    pub hedge: Option<HedgeSpec>,
}

impl ProtectionSpec {
    /// Whether there is nothing that an attempt could meet.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.breaker.is_none() && self.most_requests.is_none() && self.pool.is_none() && self.throttle.is_none() && self.hedge.is_none()
    }

    /// The same without what nothing is remembered of: calls that are protected alike share what there is to remember.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { hedge: None, ..self.clone() }
    }
}

/// A circuit breaker as resilience4j has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSpec {
    /// What it looks back on.
    pub window: Window,
    /// Results before it decides anything, at least 1.
    pub least_calls: u32,
    /// It opens at this share of failures, in percent; compared with `>=`.
    pub failure_percent: f64,
    /// It opens at this share of slow calls, in percent; compared with `>=`.
    pub slow_percent: f64,
    /// A call that takes longer is slow.
    pub slow_after: Span,
    /// How long it stays open.
    pub open_for: Span,
    /// Calls that it lets through to find out whether it can close again.
    pub half_open_calls: u32,
}

/// What a breaker looks back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many results.
    Count(u32),
    /// The results of the last so many whole seconds.
    Seconds(u32),
}

/// A pool of connections as HikariCP has it: first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Connections of one caller, at least 1.
    pub size: u32,
    /// How long an attempt waits for one.
    pub timeout: Span,
}

/// The client-side throttling of the SRE book: attempts are refused with probability `max(0, (requests - k * accepts) / (requests + 1))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThrottleSpec {
    /// The multiplier of what was accepted.
    pub k: Factor,
    /// How far back requests count.
    pub window: Span,
}

/// Hedging: a second attempt is sent if the first has no answer after a while, and the first answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgeSpec {
    /// How long the first attempt has.
    pub after: Span,
}
