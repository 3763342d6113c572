//! What is assumed where a scenario says nothing: the one list of defaults, each with its source.
//!
//! Values stand in the notation of scenario files, so that what `explain` shows is what lowering uses.

use firedrill_core::distribution::Distribution;
use firedrill_core::quantity::{Bytes, Factor, Ratio};
use firedrill_core::time::{Span, Start};
use firedrill_core::yaml::{self, Node, Reader};

use crate::notation;

/// What is assumed for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The key, with `*` for people's own names.
    pub key: &'static str,
    /// The value, as a file would say it.
    pub value: &'static str,
    /// Where the value comes from.
    pub source: &'static str,
}

const fn assumed(key: &'static str, value: &'static str, source: &'static str) -> Assumed {
    Assumed { key, value, source }
}

/// All defaults, in the order of the file.
pub const ALL: [Assumed; 51] = [
    assumed("family", "the scenario's name", "our choice: a scenario that says nothing is a class of its own"),
    assumed("start", "2026-01-05T00:00:00Z", "our choice: a Monday"),
    assumed("horizon", "30m", "our choice, after the end of the last fault or change: a person would have acted by then"),
    assumed("history.every", "5m", "our choice: hours and weekdays want no finer grain"),
    assumed("history.noise", "5%", "our choice: the standard deviation of an interval's load over its mean"),
    assumed("history.load.*.hours", "the client's first rate", "our choice: a load that is the same at all hours"),
    assumed("history.load.*.weekdays.*", "x1", "our choice: every day alike"),
    assumed("objective", "1s", "our choice; the client timeout of R-MS1"),
    assumed("reference", "false", "our choice: scenarios are there to judge policies"),
    assumed("clients.*.calls.endpoint", "/", "our choice"),
    assumed("clients.*.timeout", "15s", "Envoy, `RouteAction.timeout`"),
    assumed("clients.*.retries.max", "0", "our choice: nothing retries unless it is told to"),
    assumed("clients.*.users", "arrivals a minute", "our choice: one user an arrival"),
    assumed("retries.backoff", "0s", "our choice: an immediate retry, as a plain loop does it"),
    assumed("retries.factor", "x2", "AWS SDKs, standard mode"),
    assumed("retries.cap", "20s", "AWS SDKs, standard mode"),
    assumed("retries.jitter", "true", "AWS SDKs, standard mode: full jitter"),
    assumed("services.*.tier", "critical", "our choice: what is unknown is critical"),
    assumed("services.*.replicas", "1", "Kubernetes Deployment, spec.replicas"),
    assumed("services.*.zones", "[a]", "our choice: one zone where zones are not modelled"),
    assumed("services.*.workers", "200", "Tomcat, `maxThreads`"),
    assumed("services.*.queue", "100", "Tomcat, `acceptCount`"),
    assumed("services.*.cores", "unbounded", "our choice: workers are the bound unless cores are stated"),
    assumed("services.*.balance", "round_robin", "Envoy, `lb_policy`"),
    assumed("services.*.cancel", "none", "Tomcat and most database drivers: work for a client that has left is still done"),
    assumed(
        "services.*.start_up",
        "{ lognormal: { mean: 10s, cv: 0.5 } }",
        "our choice, between a Go program (0.5-2 s) and a JVM (10-60 s), image cached",
    ),
    assumed("services.*.warm_up", "none", "our choice; x1.2 suits Go, x4 a JVM"),
    assumed("warm_up.factor", "x4", "our choice, for a JVM"),
    assumed("warm_up.tau", "30s", "our choice, for a JVM"),
    assumed("memory.base", "300MiB", "our choice, that of A14"),
    assumed("memory.per_request", "0B", "our choice: memory does not grow with load unless stated"),
    assumed("memory.limit", "none", "Kubernetes: no limit unless declared"),
    assumed("services.*.version", "v1", "our choice"),
    assumed("versions.*.healthy", "as its figures say", "sound if it neither errs, leaks, crashes, nor needs more CPU"),
    assumed("versions.*.error", "0%", "as a sound version"),
    assumed("versions.*.demand", "x1", "as a sound version"),
    assumed("versions.*.leak", "0B/s", "as a sound version"),
    assumed("versions.*.crash_after", "none", "as a sound version"),
    assumed("rollout.max_surge", "25%", "Kubernetes Deployment, `maxSurge`, rounded up"),
    assumed("rollout.max_unavailable", "25%", "Kubernetes Deployment, `maxUnavailable`, rounded down"),
    assumed("services.*.liveness", "none", "Kubernetes: no probe unless declared"),
    assumed("liveness.period", "10s", "Kubernetes probe, `periodSeconds`"),
    assumed("liveness.timeout", "1s", "Kubernetes probe, `timeoutSeconds`"),
    assumed("liveness.failures", "3", "Kubernetes probe, `failureThreshold`"),
    assumed("endpoints.*.error", "0%", "our choice"),
    assumed("call.probability", "100%", "our choice"),
    assumed("call.timeout", "none", "Go, `http.Client.Timeout`, and many database drivers: none"),
    assumed("scrape", "15s", "the first example of Prometheus' documentation"),
    assumed("actions.delay", "{ uniform: [100ms, 5s] }", "our choice: the API of a platform answers in seconds, and not always"),
    assumed("actions.failure", "1%", "our choice: the API of a platform answers in seconds, and not always"),
    assumed("bounds", "{ events: 1000000000, attempts: 2000000 }", "our choice: minutes of computing, and about 200 MB"),
];

/// The text of a default.
///
/// # Panics
/// If the list has no such key: that is our mistake.
#[must_use]
pub fn text(key: &str) -> &'static str {
    ALL.iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("there is no default for `{key}`")).value
}

/// A default duration.
#[must_use]
pub fn span(key: &str) -> Span {
    Span::parse(text(key)).expect("defaults are durations where they should be")
}

/// A default duration that may be `none`.
#[must_use]
pub fn span_or_none(key: &str) -> Option<Span> {
    (text(key) != "none").then(|| span(key))
}

/// A default count.
#[must_use]
pub fn count(key: &str) -> u32 {
    text(key).parse().expect("defaults are counts where they should be")
}

/// A default share.
#[must_use]
pub fn ratio(key: &str) -> Ratio {
    Ratio::parse(text(key)).expect("defaults are shares where they should be")
}

/// A default factor.
#[must_use]
pub fn factor(key: &str) -> Factor {
    Factor::parse(text(key)).expect("defaults are factors where they should be")
}

/// A default size.
#[must_use]
pub fn bytes(key: &str) -> Bytes {
    Bytes::parse(text(key).trim_end_matches("/s")).expect("defaults are sizes where they should be")
}

/// The default start.
#[must_use]
pub fn start() -> Start {
    Start::parse(text("start")).expect("the default start is an instant")
}

/// A default distribution.
#[must_use]
pub fn distribution(key: &str) -> Distribution {
    read(key, |reader, node| notation::distribution(reader, node, key))
}

/// The default bounds: events, and attempts at a time.
#[must_use]
pub fn bounds() -> (u64, u64) {
    read("bounds", |reader, node| {
        let mut fields = reader.fields(node, "bounds")?;
        let events = fields.required(reader, "events").and_then(|node| reader.integer(node, "events", 1..=i64::MAX))?;
        let attempts = fields.required(reader, "attempts").and_then(|node| reader.integer(node, "attempts", 1..=i64::MAX))?;
        Some((events as u64, attempts as u64))
    })
}

fn read<T>(key: &str, read: impl FnOnce(&mut Reader, &Node) -> Option<T>) -> T {
    let node = yaml::parse("defaults", text(key)).expect("defaults are YAML");
    read(&mut Reader::new(), &node).expect("defaults are sound")
}
