//! What stands between a caller and a service, as written: budgets of retries, breakers, pools, throttles, hedging.

use firedrill_core::problem::Located;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::Window;

use crate::notation::{optional, positive_span};
use crate::problem;

/// `breaker:`, `most_requests:`, `pool:`, `throttle:` and `hedge:` of a client or a call.
#[derive(Clone, Debug, Default)]
pub struct ProtectionDocument {
    /// A circuit breaker.
    pub breaker: Option<BreakerDocument>,
    /// Attempts under way at a time.
    pub most_requests: Option<Located<u32>>,
    /// A pool of connections.
    pub pool: Option<PoolDocument>,
    /// Attempts that the caller refuses itself.
    pub throttle: Option<ThrottleDocument>,
    /// How long the first attempt has until a second is sent.
    pub hedge: Option<Located<Span>>,
}

/// `breaker: { window: 100, failure_rate: 50% }`, or `breaker: resilience4j`.
#[derive(Clone, Debug, Default)]
pub struct BreakerDocument {
    /// What it looks back on.
    pub window: Option<Located<Window>>,
    /// Results before it decides anything.
    pub minimum_calls: Option<Located<u32>>,
    /// It opens at this share of failures.
    pub failure_rate: Option<Located<Ratio>>,
    /// It opens at this share of slow calls.
    pub slow_call_rate: Option<Located<Ratio>>,
    /// A call that takes longer is slow.
    pub slow_call: Option<Located<Span>>,
    /// How long it stays open.
    pub open_for: Option<Located<Span>>,
    /// Calls that it lets through while it finds out.
    pub half_open_calls: Option<Located<u32>>,
}

/// `pool: { size: 10, timeout: 30s }`, or `pool: hikari`.
#[derive(Clone, Debug, Default)]
pub struct PoolDocument {
    /// Connections of one caller.
    pub size: Option<Located<u32>>,
    /// How long an attempt waits for one.
    pub timeout: Option<Located<Span>>,
}

/// `throttle: { k: x2, window: 2m }`, or `throttle: sre`.
#[derive(Clone, Debug, Default)]
pub struct ThrottleDocument {
    /// The multiplier of what was accepted.
    pub k: Option<Located<Factor>>,
    /// How far back requests count.
    pub window: Option<Located<Span>>,
}

/// `budget: grpc`, or `budget: { grpc: { max_tokens: 10 } }`, of retries.
#[derive(Clone, Debug)]
pub enum BudgetDocument {
    /// gRPC's retry throttling.
    Grpc {
        /// The most tokens.
        max_tokens: Option<Located<u32>>,
        /// What a success gives back.
        token_ratio: Option<Located<f64>>,
    },
    /// Finagle's and Linkerd's budget.
    Finagle {
        /// The share of requests that may be retried.
        share: Option<Located<Ratio>>,
        /// Retries a second that are always allowed.
        min_per_second: Option<Located<u32>>,
        /// How long a request counts.
        ttl: Option<Located<Span>>,
    },
    /// The retry quota of AWS SDKs.
    Aws {
        /// What the bucket holds.
        tokens: Option<Located<u32>>,
        /// What a retry costs.
        cost: Option<Located<u32>>,
        /// What a retry after a timeout costs.
        timeout_cost: Option<Located<u32>>,
    },
    /// Envoy's retry budget.
    Envoy {
        /// The share of what is under way.
        share: Option<Located<Ratio>>,
        /// Retries that may always be under way.
        min_concurrency: Option<Located<u32>>,
    },
}

/// The most calls of a window, attempts under way, connections of a pool or tokens of a bucket.
const MOST: i64 = 1_000_000;

/// Reads the keys of a client or a call that protect it.
pub fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> ProtectionDocument {
    ProtectionDocument {
        breaker: fields.optional("breaker").and_then(|node| preset_or(reader, node, "a breaker", "resilience4j", read_breaker)),
        most_requests: optional(reader, fields, "most_requests", |r, n| count(r, n, "the most requests under way", 1)),
        pool: fields.optional("pool").and_then(|node| preset_or(reader, node, "a pool", "hikari", read_pool)),
        throttle: fields.optional("throttle").and_then(|node| preset_or(reader, node, "a throttle", "sre", read_throttle)),
        hedge: fields.optional("hedge").and_then(|node| read_hedge(reader, node)),
    }
}

fn count(reader: &mut Reader, node: &Node, what: &str, least: i64) -> Option<u32> {
    reader.integer(node, what, least..=MOST).map(|count| count as u32)
}

/// The word of the one preset, or a map of what differs from it.
fn preset_or<T: Default>(
    reader: &mut Reader,
    node: &Node,
    what: &'static str,
    preset: &'static str,
    read: fn(&mut Reader, &mut Fields<'_>) -> T,
) -> Option<T> {
    if matches!(node.value, Value::Text(_)) {
        return reader.one_of(node, what, &[(preset, ())]).map(|()| T::default());
    }
    let mut fields = reader.fields(node, what)?;
    let document = read(reader, &mut fields);
    fields.finish(reader);
    Some(document)
}

fn read_breaker(reader: &mut Reader, fields: &mut Fields<'_>) -> BreakerDocument {
    BreakerDocument {
        window: optional(reader, fields, "window", read_window),
        minimum_calls: optional(reader, fields, "minimum_calls", |r, n| count(r, n, "the results before a breaker decides", 1)),
        failure_rate: optional(reader, fields, "failure_rate", |r, n| share(r, n, "the share of failures")),
        slow_call_rate: optional(reader, fields, "slow_call_rate", |r, n| share(r, n, "the share of slow calls")),
        slow_call: optional(reader, fields, "slow_call", |r, n| positive_span(r, n, "the duration of a slow call")),
        open_for: optional(reader, fields, "open_for", |r, n| positive_span(r, n, "how long a breaker stays open")),
        half_open_calls: optional(reader, fields, "half_open_calls", |r, n| count(r, n, "the calls that find out", 1)),
    }
}

/// The most seconds that a breaker looks back on.
const LONGEST_WINDOW: u64 = 86_400;

/// A number of calls, or a duration in whole seconds.
fn read_window(reader: &mut Reader, node: &Node) -> Option<Window> {
    if matches!(node.value, Value::Integer(_)) {
        return count(reader, node, "the calls of a window", 1).map(Window::Count);
    }
    let span = positive_span(reader, node, "the window of a breaker")?;
    let (seconds, rest) = (span.as_nanos() / 1_000_000_000, span.as_nanos() % 1_000_000_000);
    if rest != 0 || seconds > LONGEST_WINDOW {
        let what = format!("a breaker that looks back on {span}");
        reader.problem(problem::impossible(&node.place, &what, "write a number of calls, such as `100`, or whole seconds up to `1d`"));
        return None;
    }
    Some(Window::Seconds(seconds as u32))
}

/// A share above zero.
fn share(reader: &mut Reader, node: &Node, what: &str) -> Option<Ratio> {
    let share = reader.ratio(node, what)?;
    if share == Ratio::ZERO {
        reader.problem(problem::must_be_positive(&node.place, what));
        return None;
    }
    Some(share)
}

fn read_pool(reader: &mut Reader, fields: &mut Fields<'_>) -> PoolDocument {
    PoolDocument {
        size: optional(reader, fields, "size", |r, n| count(r, n, "the connections of a pool", 1)),
        timeout: optional(reader, fields, "timeout", |r, n| positive_span(r, n, "the wait for a connection")),
    }
}

fn read_throttle(reader: &mut Reader, fields: &mut Fields<'_>) -> ThrottleDocument {
    ThrottleDocument {
        k: optional(reader, fields, "k", |reader, node| {
            let k = reader.factor(node, "the multiplier of what was accepted")?;
            if k.get() < 1.0 {
                let what = format!("a throttle that lets through {k} of what was accepted");
                reader.problem(problem::impossible(&node.place, &what, "write x1 or more; below it nothing ever gets through again"));
                return None;
            }
            Some(k)
        }),
        window: optional(reader, fields, "window", |r, n| positive_span(r, n, "the window of a throttle")),
    }
}

/// `{ after: 50ms }`.
fn read_hedge(reader: &mut Reader, node: &Node) -> Option<Located<Span>> {
    let mut fields = reader.fields(node, "hedging")?;
    let after = fields.required(reader, "after").and_then(|node| {
        Some(Located { place: node.place.clone(), value: positive_span(reader, node, "how long the first attempt has")? })
    });
    fields.finish(reader);
    after
}

/// Reads `budget:` of retries.
pub fn read_budget(reader: &mut Reader, node: &Node) -> Option<BudgetDocument> {
    let (word, parameters) = reader.tagged(node, "a budget of retries", &["grpc", "finagle", "linkerd", "aws", "envoy"])?;
    let mut fields = match parameters {
        Some(node) => Some(reader.fields(node, "a budget of retries")?),
        None => None,
    };
    let budget = match &*word.text {
        "grpc" => BudgetDocument::Grpc {
            max_tokens: key(reader, &mut fields, "max_tokens", |r, n| r.integer(n, "the most tokens", 1..=1000).map(|count| count as u32)),
            token_ratio: key(reader, &mut fields, "token_ratio", read_token_ratio),
        },
        "aws" => BudgetDocument::Aws {
            tokens: key(reader, &mut fields, "tokens", |r, n| count(r, n, "the tokens", 1)),
            cost: key(reader, &mut fields, "cost", |r, n| count(r, n, "the cost of a retry", 1)),
            timeout_cost: key(reader, &mut fields, "timeout_cost", |r, n| count(r, n, "the cost of a retry after a timeout", 1)),
        },
        "envoy" => BudgetDocument::Envoy {
            share: key(reader, &mut fields, "share", |r, n| share(r, n, "the share of retries")),
            min_concurrency: key(reader, &mut fields, "min_concurrency", |r, n| count(r, n, "the retries that are always allowed", 0)),
        },
        _ => BudgetDocument::Finagle {
            share: key(reader, &mut fields, "share", |r, n| share(r, n, "the share of retries")),
            min_per_second: key(reader, &mut fields, "min_per_second", |r, n| count(r, n, "the retries a second", 0)),
            ttl: key(reader, &mut fields, "ttl", read_ttl),
        },
    };
    if let Some(fields) = fields {
        fields.finish(reader);
    }
    Some(budget)
}

fn key<T>(
    reader: &mut Reader,
    fields: &mut Option<Fields<'_>>,
    key: &'static str,
    read: impl FnOnce(&mut Reader, &Node) -> Option<T>,
) -> Option<Located<T>> {
    optional(reader, fields.as_mut()?, key, read)
}

/// Above 0, in thousandths, as gRFC A6 has it.
fn read_token_ratio(reader: &mut Reader, node: &Node) -> Option<f64> {
    let ratio = reader.number(node, "the token ratio")?;
    if !(0.001..=1000.0).contains(&ratio) {
        reader.problem(problem::impossible(&node.place, &format!("a token ratio of {ratio}"), "write 0.001 to 1000; three decimals count"));
        return None;
    }
    Some(ratio)
}

/// 1 s to 60 s, as Finagle has it.
fn read_ttl(reader: &mut Reader, node: &Node) -> Option<Span> {
    let ttl = positive_span(reader, node, "how long a request counts")?;
    if ttl < Span::from_seconds(1) || ttl > Span::from_seconds(60) {
        reader.problem(problem::impossible(&node.place, &format!("a budget over {ttl}"), "write 1s to 60s"));
        return None;
    }
    Some(ttl)
}
