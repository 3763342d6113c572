//! What one caller knows of one service that it calls: what it may still try, what it holds, and what it has seen fail.

mod window;
mod budget;
mod throttle;
mod breaker;

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use firedrill_core::time::{Span, Time};

use crate::buckets::{Bounds, Buckets};
use crate::spec::{PoolSpec, ProtectionSpec, RetrySpec};

pub(crate) use breaker::{Breaker, BreakerState, Change};
pub(crate) use budget::Budget;
pub(crate) use throttle::Throttle;

/// A caller at an edge: one client, or one process of a service.
///
/// What each attempt touches stands first, in memory too, and what most callers do not have is boxed.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Caller {
    /// Attempts under way, those that wait for a connection included.
    pub(crate) active: u32,
    /// Attempts that may be under way; `u32::MAX` is unbounded.
    most_requests: u32,
    /// Retries under way, those that wait out their pause included.
    pub(crate) retries: u32,
    pub(crate) budget: Option<Box<Budget>>,
    pub(crate) throttle: Option<Box<Throttle>>,
    pub(crate) pool: Option<Box<Pool>>,
    pub(crate) breaker: Option<Breaker>,
    /// Attempts that were refused because as many were under way as may be.
    pub(crate) overflow: u64,
    /// Retries that its budget did not allow.
    pub(crate) retry_overflow: u64,
}

/// The connections of one caller.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) spec: PoolSpec,
    pub(crate) held: u32,
    /// Connections that nobody uses and nobody has given back.
    pub(crate) leaked: u32,
    /// The share of connections that is not given back; zero: every one is.
    pub(crate) leak: f64,
    /// How much of a connection has leaked that is not yet a whole one, below 1.
    owed: f64,
    /// The calls that wait for one, first come first.
    pub(crate) waiting: VecDeque<u32>,
    /// How many have waited for too long.
    pub(crate) timeouts: u64,
    /// How many had to wait.
    pub(crate) waited: u64,
    /// How long connections were waited for and used; `None` where no profile tells it.
    pub(crate) times: Option<Box<PoolTimes>>,
}

/// How long the connections of a pool are waited for, and how long they are used.
#[derive(Clone, Debug)]
pub(crate) struct PoolTimes {
    /// From asking for one to having it, of those that got one.
    pub(crate) waits: Buckets,
    /// From having one to giving it back.
    pub(crate) uses: Buckets,
}

/// Upper bounds of OpenTelemetry's advice for connection pools (semantic conventions, `db.client.connection.wait_time`), milliseconds.
pub(crate) const POOL_BOUNDS_MILLIS: [u64; 9] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000];

/// One for all pools.
static POOL_BOUNDS: LazyLock<Arc<Bounds>> =
    LazyLock::new(|| Arc::new(POOL_BOUNDS_MILLIS.iter().map(|millis| millis * 1_000_000).collect()));

impl Default for PoolTimes {
    fn default() -> Self {
        let none = Buckets::new(&POOL_BOUNDS);
        Self { waits: none.clone(), uses: none }
    }
}

impl Pool {
    const fn new(spec: PoolSpec) -> Self {
        Self { spec, held: 0, leaked: 0, leak: 0.0, owed: 0.0, waiting: VecDeque::new(), timeouts: 0, waited: 0, times: None }
    }

    /// Whether a connection is free.
    #[inline]
    pub(crate) const fn has_one(&self) -> bool {
        self.held + self.leaked < self.spec.size
    }

    /// Connections that are not in the pool: those in use, and those that have leaked.
    pub(crate) const fn taken(&self) -> u32 {
        self.held + self.leaked
    }

    /// Connections that wait for a request.
    pub(crate) const fn idle(&self) -> u32 {
        self.spec.size.saturating_sub(self.taken())
    }

    /// One of so many connections is not given back, as even as can be.
    fn lose(&mut self) {
        self.owed += self.leak;
        if self.owed >= 1.0 {
            self.owed -= 1.0;
            self.leaked += 1;
        }
    }
}

/// Why a caller refuses an attempt of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its breaker is open.
    BreakerOpen,
    /// It has as many attempts under way as it may.
    TooMany,
    /// It throttles itself.
    Throttled,
}

impl Caller {
    /// Whether an edge with these has anything to remember.
    pub(crate) const fn is_needed(retries: &RetrySpec, protection: &ProtectionSpec) -> bool {
        retries.budget.is_some() || !protection.is_none()
    }

    pub(crate) fn new(retries: &RetrySpec, protection: &ProtectionSpec) -> Self {
        Self {
            budget: retries.budget.as_ref().map(|budget| Box::new(Budget::new(budget))),
            breaker: protection.breaker.as_ref().map(Breaker::new),
            throttle: protection.throttle.as_ref().map(|throttle| Box::new(Throttle::new(throttle))),
            pool: protection.pool.map(|spec| Box::new(Pool::new(spec))),
            most_requests: protection.most_requests.unwrap_or(u32::MAX),
            active: 0,
            retries: 0,
            overflow: 0,
            retry_overflow: 0,
        }
    }

    /// Whether a bound on retries under way lets no other be made now.
    pub(crate) fn has_all_retries(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.is_full(self.active, self.retries))
    }

    /// Whether no attempt more may be under way.
    pub(crate) const fn is_full(&self) -> bool {
        self.active >= self.most_requests
    }

    /// An attempt that was under way for so long holds nothing any more; whether somebody waits for a connection.
    #[inline]
    pub(crate) fn give_back(&mut self, took: Span) -> bool {
        self.active -= 1;
        self.pool.as_mut().is_some_and(|pool| {
            pool.held -= 1;
            if let Some(times) = &mut pool.times {
                times.uses.record(took);
            }
            if pool.leak > 0.0 {
                pool.lose();
            }
            !pool.waiting.is_empty()
        })
    }

    /// Whether an attempt may be made now; `luck`, uniform in [0, 1), decides where chance does.
    #[inline]
    pub(crate) fn admit(&mut self, now: Time, luck: f64) -> (Result<(), Refusal>, Option<Change>) {
        if self.active >= self.most_requests {
            self.overflow += 1;
            return (Err(Refusal::TooMany), None);
        }
        if let Some(throttle) = &mut self.throttle
            && luck < throttle.refusal(now)
        {
            return (Err(Refusal::Throttled), None);
        }
        match self.breaker.as_mut().map(|breaker| breaker.acquire(now)) {
            Some((false, change)) => (Err(Refusal::BreakerOpen), change),
            Some((true, change)) => (Ok(()), change),
            None => (Ok(()), None),
        }
    }
}
