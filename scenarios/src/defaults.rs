//! What is assumed where a scenario says nothing: the one list of defaults, each with its source.
//!
//! Values stand in the notation of scenario files, so that what `explain` shows is what lowering uses.

use firedrill_core::distribution::Distribution;
use firedrill_core::quantity::{Bytes, Factor, Ratio};
use firedrill_core::time::{Span, Start};
use firedrill_core::yaml::{self, Node, Reader};
use firedrill_sim::spec::{Growth, Window};

use crate::document::client::{RetriesDocument, RetryPreset, read_retries};
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
pub const ALL: [Assumed; 86] = [
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
    assumed(
        "retries.preset.aws",
        "{ max: 2, backoff: 100ms, factor: x2, cap: 20s, jitter: true, budget: aws }",
        "AWS SDKs, standard mode: 3 attempts",
    ),
    assumed(
        "retries.preset.envoy",
        "{ max: 1, backoff: 25ms, factor: envoy, cap: 250ms, jitter: true }",
        "Envoy, `RetryPolicy`: `num_retries` 1, pauses of 0 to (2^n - 1) * 25 ms",
    ),
    assumed("retries.preset.finagle", "{ max: 25, budget: finagle }", "Finagle, `RequeueFilter`: at once, as far as the budget goes"),
    assumed(
        "retries.preset.grpc",
        "{ max: 3, backoff: 100ms, factor: x2, cap: 1s, jitter: 20%, budget: grpc }",
        "gRFC A6: 4 attempts as in its example, jitter of 0.8 to 1.2",
    ),
    assumed("retries.preset.istio", "{ max: 2, backoff: 25ms, factor: envoy, cap: 250ms, jitter: true }", "Istio, default `HTTPRetry`"),
    assumed(
        "retries.preset.resilience4j",
        "{ max: 2, backoff: 500ms, factor: x1, jitter: false }",
        "resilience4j, `RetryConfig`: 3 attempts",
    ),
    assumed("budget.grpc.max_tokens", "10", "gRFC A6, its example"),
    assumed("budget.grpc.token_ratio", "0.1", "gRFC A6, its example"),
    assumed("budget.finagle.share", "20%", "Finagle, `RetryBudget`, `percentCanRetry`"),
    assumed("budget.finagle.min_per_second", "10", "Finagle, `RetryBudget`, `minRetriesPerSec`"),
    assumed("budget.finagle.ttl", "10s", "Finagle, `RetryBudget`, `ttl`"),
    assumed("budget.aws.tokens", "500", "AWS SDKs, standard mode"),
    assumed("budget.aws.cost", "5", "AWS SDKs, standard mode"),
    assumed("budget.aws.timeout_cost", "10", "AWS SDKs, standard mode"),
    assumed("budget.envoy.share", "20%", "Envoy, `RetryBudget.budget_percent`"),
    assumed("budget.envoy.min_concurrency", "3", "Envoy, `RetryBudget.min_retry_concurrency`"),
    assumed("breaker.window", "100", "resilience4j, `slidingWindowSize`, by count"),
    assumed("breaker.minimum_calls", "100", "resilience4j, `minimumNumberOfCalls`"),
    assumed("breaker.failure_rate", "50%", "resilience4j, `failureRateThreshold`"),
    assumed("breaker.slow_call_rate", "100%", "resilience4j, `slowCallRateThreshold`"),
    assumed("breaker.slow_call", "60s", "resilience4j, `slowCallDurationThreshold`"),
    assumed("breaker.open_for", "60s", "resilience4j, `waitDurationInOpenState`"),
    assumed("breaker.half_open_calls", "10", "resilience4j, `permittedNumberOfCallsInHalfOpenState`"),
    assumed("pool.size", "10", "HikariCP, `maximumPoolSize`"),
    assumed("pool.timeout", "30s", "HikariCP, `connectionTimeout`"),
    assumed("throttle.k", "x2", "SRE book, \"Handling Overload\""),
    assumed("throttle.window", "2m", "SRE book, \"Handling Overload\""),
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
    assumed("rollout.min_ready", "0s", "Kubernetes Deployment, `minReadySeconds`"),
    assumed("rollout.progress_deadline", "10m", "Kubernetes Deployment, `progressDeadlineSeconds`"),
    assumed("services.*.grace", "30s", "Kubernetes Pod, `terminationGracePeriodSeconds`"),
    assumed("services.*.pre_stop", "none", "Kubernetes: no hook unless declared"),
    assumed("services.*.scheduling", "none", "our choice: `start_up` is taken to hold it unless stated; 50 ms to 1 s"),
    assumed("services.*.pull", "none", "our choice: the image is there unless stated; 5 to 60 s where it is not"),
    assumed("crash_backoff.first", "10s", "kubelet, `initialCrashLoopBackOff`"),
    assumed("crash_backoff.longest", "300s", "kubelet, `MaxContainerBackOff`"),
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

/// A default number.
#[must_use]
pub fn number(key: &str) -> f64 {
    text(key).parse().expect("defaults are numbers where they should be")
}

/// The default window of a breaker, a count of calls.
#[must_use]
pub fn window(key: &str) -> Window {
    Window::Count(count(key))
}

/// How pauses grow by default.
#[must_use]
pub fn growth(key: &str) -> Growth {
    Growth::Exponential(factor(key))
}

/// What a preset of retries says.
#[must_use]
pub fn retries(preset: RetryPreset) -> RetriesDocument {
    let (word, _) = RetryPreset::WORDS.iter().find(|(_, known)| *known == preset).expect("every preset has a word");
    read(&format!("retries.preset.{word}"), |reader, node| Some(read_retries(reader, node)))
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
