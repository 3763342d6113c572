//! Caches that services look into before they ask (docs/MODEL.md 1.7).

use firedrill_core::name::Name;
use firedrill_core::time::Span;

/// A look-aside cache of a service, shared by its replicas: a store of its own, which is always there and answers at once.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSpec {
    /// Its name, unique within the service.
    pub name: Name,
    /// How many different keys are asked for, at least 1.
    pub keys: u32,
    /// The popularity of key `k`, counted from 1, is proportional to `k^-zipf`; zero makes all alike.
    pub zipf: f64,
    /// How long an entry lives after it was filled; `None`: until it is pushed out.
    pub ttl: Option<Span>,
    /// How many entries it holds; the one that was used longest ago goes first. `None`: all.
    pub capacity: Option<u32>,
    /// Whether an answer that comes after its caller has gone is kept.
    pub late_fill: bool,
    /// Whether requests of one replica for one key that is missing wait for the first of them, instead of asking each.
    pub coalesce: bool,
    /// Whether it begins with the entries that its load before the start would have left there, and not empty.
    pub warm: bool,
    /// Lookups a second before the start, for a cache that begins warm.
    pub warm_rate: f64,
}
