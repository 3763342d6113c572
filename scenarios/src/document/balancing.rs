//! How callers choose among the replicas of a service, and what they know of them, as written.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::Balance;

use crate::notation::{distribution, interval, optional, positive_span, unless};
use crate::problem;

/// `balance: random`, or `balance: { least_request: { choices: 2 } }`.
#[derive(Clone, Debug)]
pub enum BalanceDocument {
    /// A way that has no parameters.
    Plain(Balance),
    /// `least_request`.
    LeastRequest {
        /// How many are looked at; the inner `None` is all.
        choices: Option<Located<Option<u32>>>,
    },
    /// `peak_ewma`.
    PeakEwma {
        /// What a replica is thought to take before it has answered.
        default_rtt: Option<Located<Span>>,
        /// How fast a peak is forgotten.
        decay: Option<Located<Span>>,
    },
    /// `per_connection`.
    PerConnection {
        /// Whether all requests share one connection.
        multiplexed: Option<Located<bool>>,
        /// Connections without a request that are kept.
        keep: Option<Located<u32>>,
        /// How long one is kept without a request.
        idle: Option<Located<Span>>,
    },
}

/// What a service says of its callers' knowledge beside `balance`.
#[derive(Clone, Debug, Default)]
pub struct BalancingDocument {
    /// Envoy's outlier detection.
    pub outlier_detection: Option<Located<OutlierDocument>>,
    /// Linkerd's failure accrual.
    pub failure_accrual: Option<Located<AccrualDocument>>,
    /// Linkerd's fail-fast; the inner `None` is none.
    pub fail_fast: Option<Located<Option<FailFastDocument>>>,
    /// Newcomers get less.
    pub slow_start: Option<Located<SlowStartDocument>>,
    /// Whether callers ask those in their own zone first.
    pub prefer_zone: Option<Located<bool>>,
    /// With fewer left, nobody is left out.
    pub panic_threshold: Option<Located<Ratio>>,
    /// From a change of readiness until callers know it.
    pub endpoint_propagation: Option<Located<Distribution>>,
    /// How long callers believe what they have resolved.
    pub dns_ttl: Option<Located<Span>>,
}

/// Whose outlier detection it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutlierPreset {
    /// Envoy, since 1.28.
    #[default]
    Envoy,
    /// Envoy before 1.28: one replica may always be ejected.
    Envoy127,
    /// What Istio makes of its own defaults.
    Istio,
}

/// `outlier_detection: envoy`, or `outlier_detection: { consecutive_5xx: 3, interval: 5s, … }`, with Envoy's names.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are Envoy's, and `sim::spec::OutlierSpec` says what they mean")]
pub struct OutlierDocument {
    pub preset: Option<Located<OutlierPreset>>,
    pub interval: Option<Located<Span>>,
    pub base_ejection_time: Option<Located<Span>>,
    pub max_ejection_time: Option<Located<Span>>,
    pub max_ejection_percent: Option<Located<Ratio>>,
    pub always_eject_one_host: Option<Located<bool>>,
    pub consecutive_5xx: Option<Located<u32>>,
    pub enforcing_consecutive_5xx: Option<Located<Ratio>>,
    pub consecutive_gateway_failure: Option<Located<u32>>,
    pub enforcing_consecutive_gateway_failure: Option<Located<Ratio>>,
    pub success_rate_minimum_hosts: Option<Located<u32>>,
    pub success_rate_request_volume: Option<Located<u32>>,
    pub success_rate_stdev_factor: Option<Located<f64>>,
    pub enforcing_success_rate: Option<Located<Ratio>>,
    pub failure_percentage_threshold: Option<Located<Ratio>>,
    pub failure_percentage_minimum_hosts: Option<Located<u32>>,
    pub failure_percentage_request_volume: Option<Located<u32>>,
    pub enforcing_failure_percentage: Option<Located<Ratio>>,
}

/// `failure_accrual: linkerd`, or `failure_accrual: { failures: 7, … }`.
#[derive(Clone, Debug, Default)]
pub struct AccrualDocument {
    /// Failures in a row.
    pub failures: Option<Located<u32>>,
    /// The first rest.
    pub min_penalty: Option<Located<Span>>,
    /// The longest rest.
    pub max_penalty: Option<Located<Span>>,
    /// What is added at random.
    pub jitter: Option<Located<Ratio>>,
}

/// `fail_fast: linkerd`, or `fail_fast: { outbound: 3s, inbound: 1s, queue: 10000 }`.
#[derive(Clone, Debug, Default)]
pub struct FailFastDocument {
    /// How long a caller's proxy waits for a replica.
    pub outbound: Option<Located<Span>>,
    /// How long a replica's proxy waits for its process.
    pub inbound: Option<Located<Span>>,
    /// Requests that wait in one proxy.
    pub queue: Option<Located<u32>>,
}

/// `slow_start: { window: 30s, aggression: 1, least: 10% }`.
#[derive(Clone, Debug, Default)]
pub struct SlowStartDocument {
    /// How long it lasts.
    pub window: Option<Located<Span>>,
    /// The shape of the growth.
    pub aggression: Option<Located<f64>>,
    /// The least weight.
    pub least: Option<Located<Ratio>>,
}

/// The most hosts, requests and errors that a detection may ask for.
const MOST: i64 = 1_000_000;

/// Reads `balance:`.
pub fn read_balance(reader: &mut Reader, node: &Node) -> Option<BalanceDocument> {
    let known = ["round_robin", "random", "power_of_two", "least_request", "peak_ewma", "per_connection"];
    let (word, parameters) = reader.tagged(node, "a way to choose a replica", &known)?;
    let plain = match &*word.text {
        "round_robin" => Balance::RoundRobin,
        "random" => Balance::Random,
        "power_of_two" => Balance::PowerOfTwo,
        "least_request" => {
            let mut balance = BalanceDocument::LeastRequest { choices: None };
            let Some(node) = parameters else { return Some(balance) };
            let mut fields = reader.fields(node, "least_request")?;
            let choices = optional(reader, &mut fields, "choices", |r, n| {
                unless(r, n, "all", |r, n| r.integer(n, "the choices", 1..=1000).map(|choices| choices as u32))
            });
            fields.finish(reader);
            if choices.is_some() {
                balance = BalanceDocument::LeastRequest { choices };
            }
            return Some(balance);
        }
        "per_connection" => return read_connections(reader, parameters),
        _ => {
            let Some(node) = parameters else { return Some(BalanceDocument::PeakEwma { default_rtt: None, decay: None }) };
            let mut fields = reader.fields(node, "peak_ewma")?;
            let default_rtt = optional(reader, &mut fields, "default_rtt", |r, n| positive_span(r, n, "the default round trip"));
            let decay = optional(reader, &mut fields, "decay", |r, n| positive_span(r, n, "the decay"));
            fields.finish(reader);
            return Some(BalanceDocument::PeakEwma { default_rtt, decay });
        }
    };
    if let Some(node) = parameters {
        let why = format!("`{}` has no parameters", word.text);
        reader.problem(problem::impossible(&node.place, &why, &format!("write `balance: {}`", word.text)));
        return None;
    }
    Some(BalanceDocument::Plain(plain))
}

fn read_connections(reader: &mut Reader, parameters: Option<&Node>) -> Option<BalanceDocument> {
    let Some(node) = parameters else { return Some(BalanceDocument::PerConnection { multiplexed: None, keep: None, idle: None }) };
    let mut fields = reader.fields(node, "per_connection")?;
    let multiplexed = optional(reader, &mut fields, "multiplexed", |r, n| r.boolean(n, "`multiplexed`"));
    let keep = optional(reader, &mut fields, "keep", |r, n| r.integer(n, "the connections kept", 0..=MOST).map(|keep| keep as u32));
    let idle = optional(reader, &mut fields, "idle", |r, n| positive_span(r, n, "how long a connection is kept"));
    fields.finish(reader);
    Some(BalanceDocument::PerConnection { multiplexed, keep, idle })
}

/// Reads the keys of a service that say what its callers know.
pub fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> BalancingDocument {
    BalancingDocument {
        outlier_detection: optional(reader, fields, "outlier_detection", read_outliers),
        failure_accrual: optional(reader, fields, "failure_accrual", read_accrual),
        fail_fast: optional(reader, fields, "fail_fast", |r, n| unless(r, n, "none", read_fail_fast)),
        slow_start: optional(reader, fields, "slow_start", read_slow_start),
        prefer_zone: optional(reader, fields, "prefer_zone", |r, n| r.boolean(n, "`prefer_zone`")),
        panic_threshold: optional(reader, fields, "panic_threshold", |r, n| r.ratio(n, "the panic threshold")),
        endpoint_propagation: optional(reader, fields, "endpoint_propagation", |r, n| distribution(r, n, "the propagation of endpoints")),
        dns_ttl: optional(reader, fields, "dns_ttl", |r, n| positive_span(r, n, "the time to live")),
    }
}

fn read_preset(reader: &mut Reader, node: &Node) -> Option<OutlierPreset> {
    let presets = [("envoy", OutlierPreset::Envoy), ("envoy-1.27", OutlierPreset::Envoy127), ("istio", OutlierPreset::Istio)];
    reader.one_of(node, "a preset of outlier detection", &presets)
}

fn read_outliers(reader: &mut Reader, node: &Node) -> Option<OutlierDocument> {
    if let Value::Text(_) = &node.value {
        let preset = read_preset(reader, node)?;
        return Some(OutlierDocument { preset: Some(Located { place: node.place.clone(), value: preset }), ..OutlierDocument::default() });
    }
    let mut fields = reader.fields(node, "outlier detection")?;
    let document = OutlierDocument {
        preset: optional(reader, &mut fields, "preset", read_preset),
        interval: optional(reader, &mut fields, "interval", |r, n| interval(r, n, "`interval`")),
        base_ejection_time: span(reader, &mut fields, "base_ejection_time"),
        max_ejection_time: span(reader, &mut fields, "max_ejection_time"),
        max_ejection_percent: share(reader, &mut fields, "max_ejection_percent"),
        always_eject_one_host: optional(reader, &mut fields, "always_eject_one_host", |r, n| r.boolean(n, "`always_eject_one_host`")),
        consecutive_5xx: count(reader, &mut fields, "consecutive_5xx"),
        enforcing_consecutive_5xx: share(reader, &mut fields, "enforcing_consecutive_5xx"),
        consecutive_gateway_failure: count(reader, &mut fields, "consecutive_gateway_failure"),
        enforcing_consecutive_gateway_failure: share(reader, &mut fields, "enforcing_consecutive_gateway_failure"),
        success_rate_minimum_hosts: count(reader, &mut fields, "success_rate_minimum_hosts"),
        success_rate_request_volume: count(reader, &mut fields, "success_rate_request_volume"),
        success_rate_stdev_factor: optional(reader, &mut fields, "success_rate_stdev_factor", |r, n| {
            number(r, n, "the number of standard deviations", 0.0..=1000.0)
        }),
        enforcing_success_rate: share(reader, &mut fields, "enforcing_success_rate"),
        failure_percentage_threshold: share(reader, &mut fields, "failure_percentage_threshold"),
        failure_percentage_minimum_hosts: count(reader, &mut fields, "failure_percentage_minimum_hosts"),
        failure_percentage_request_volume: count(reader, &mut fields, "failure_percentage_request_volume"),
        enforcing_failure_percentage: share(reader, &mut fields, "enforcing_failure_percentage"),
    };
    fields.finish(reader);
    Some(document)
}

fn span(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Located<Span>> {
    optional(reader, fields, key, |r, n| positive_span(r, n, &format!("`{key}`")))
}

fn share(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Located<Ratio>> {
    optional(reader, fields, key, |r, n| r.ratio(n, &format!("`{key}`")))
}

fn count(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Located<u32>> {
    optional(reader, fields, key, |r, n| r.integer(n, &format!("`{key}`"), 1..=MOST).map(|count| count as u32))
}

fn number(reader: &mut Reader, node: &Node, what: &str, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
    let number = reader.number(node, what)?;
    if !range.contains(&number) {
        let remedy = format!("write {} to {}", range.start(), range.end());
        reader.problem(problem::impossible(&node.place, &format!("{what} is {number}"), &remedy));
        return None;
    }
    Some(number)
}

fn read_accrual(reader: &mut Reader, node: &Node) -> Option<AccrualDocument> {
    if let Value::Text(_) = &node.value {
        return reader.one_of(node, "a preset of failure accrual", &[("linkerd", ())]).map(|()| AccrualDocument::default());
    }
    let mut fields = reader.fields(node, "failure accrual")?;
    let document = AccrualDocument {
        failures: count(reader, &mut fields, "failures"),
        min_penalty: span(reader, &mut fields, "min_penalty"),
        max_penalty: span(reader, &mut fields, "max_penalty"),
        jitter: share(reader, &mut fields, "jitter"),
    };
    fields.finish(reader);
    Some(document)
}

fn read_fail_fast(reader: &mut Reader, node: &Node) -> Option<FailFastDocument> {
    if let Value::Text(_) = &node.value {
        return reader.one_of(node, "a preset of fail-fast", &[("linkerd", ())]).map(|()| FailFastDocument::default());
    }
    let mut fields = reader.fields(node, "fail-fast")?;
    let document = FailFastDocument {
        outbound: span(reader, &mut fields, "outbound"),
        inbound: span(reader, &mut fields, "inbound"),
        queue: count(reader, &mut fields, "queue"),
    };
    fields.finish(reader);
    Some(document)
}

fn read_slow_start(reader: &mut Reader, node: &Node) -> Option<SlowStartDocument> {
    if !matches!(node.value, Value::Map(_)) {
        let window = positive_span(reader, node, "the window of the slow start")?;
        return Some(SlowStartDocument {
            window: Some(Located { place: node.place.clone(), value: window }),
            ..SlowStartDocument::default()
        });
    }
    let mut fields = reader.fields(node, "a slow start")?;
    let window = fields.required(reader, "window").and_then(|node| {
        let value = positive_span(reader, node, "the window of the slow start")?;
        Some(Located { place: node.place.clone(), value })
    });
    let aggression = optional(reader, &mut fields, "aggression", |r, n| number(r, n, "the aggression", 0.01..=100.0));
    let least = optional(reader, &mut fields, "least", |r, n| {
        let least = r.ratio(n, "the least weight")?;
        if least == Ratio::ZERO {
            r.problem(problem::impossible(&n.place, "a replica without any weight is never asked", "write a share above 0%"));
            return None;
        }
        Some(least)
    });
    fields.finish(reader);
    Some(SlowStartDocument { window, aggression, least })
}
