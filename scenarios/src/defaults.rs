//! What is assumed where a scenario says nothing: the one list of defaults, each with its source.
//!
//! Values stand in the notation of scenario files, so that what `explain` shows is what lowering uses.

use firedrill_core::distribution::Distribution;
use firedrill_core::quantity::{Bytes, Factor, Ratio};
use firedrill_core::time::{Span, Start};
use firedrill_core::yaml::{self, Node, Reader};
use firedrill_sim::spec::{Growth, Window};

use crate::document::client::{HeedDocument, RetriesDocument, RetryPreset, read_heed, read_retries};
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
pub const ALL: &[Assumed] = &[
    assumed("family", "the scenario's name", "our choice: a scenario that says nothing is a class of its own"),
    assumed("start", "2026-01-05T00:00:00Z", "our choice: a Monday"),
    assumed("horizon", "30m", "our choice, after the end of the last fault or change: a person would have acted by then"),
    assumed("history.every", "5m", "our choice: hours and weekdays want no finer grain"),
    assumed("history.noise", "5%", "our choice: the standard deviation of an interval's load over its mean"),
    assumed("history.load.*.hours", "the client's first rate, of a trace the mean", "our choice: a load that is the same at all hours"),
    assumed("history.load.*.weekdays.*", "x1", "our choice: every day alike"),
    assumed("objective", "1s", "our choice; the client timeout of R-MS1"),
    assumed("reference", "false", "our choice: scenarios are there to judge policies"),
    assumed("chaos.variants", "3", "our choice: a gate stays quick"),
    assumed("chaos.magnitude", "[x0.5, x2]", "our choice: the same fault, half or twice as bad"),
    assumed("chaos.start", "2m", "our choice: other phases of scrapes, rules and timers"),
    assumed("chaos.duration", "[x0.5, x2]", "our choice: over while a policy still acts, or long after it gave up"),
    assumed("chaos.targets", "true", "our choice: a policy that is right for one replica is right for another"),
    assumed("chaos.faults", "every kind that the world has", "our choice: nobody knows what comes together"),
    assumed("chaos.changes", "[deploy, flag, node_drain, surge]", "our choice: what is planned, and hurts nobody"),
    assumed("chaos.monitoring", "every kind", "our choice: monitoring fails as other systems do"),
    assumed("chaos.actuator", "every kind", "our choice: actions fail in each way that they can"),
    assumed("chaos.tolerance", "5%", "our choice: a restart costs what it has in hand, and chance has a share too"),
    assumed("clients.*.calls.endpoint", "/", "our choice"),
    assumed("clients.*.timeout", "15s", "Envoy, `RouteAction.timeout`"),
    assumed("clients.*.retries.max", "0", "our choice: nothing retries unless it is told to"),
    assumed("clients.*.dispersion", "1", "our choice: Poisson"),
    assumed("asks_again.probability", "50%", "our choice, within 30 to 70%"),
    assumed("asks_again.after", "{ uniform: [2s, 10s] }", "our choice"),
    assumed("clients.*.users", "arrivals a minute", "our choice: one user an arrival"),
    assumed("clients.*.priority", "normal", "our choice: all alike"),
    assumed("retries.backoff", "0s", "our choice: an immediate retry, as a plain loop does it"),
    assumed("retries.factor", "x2", "AWS SDKs, standard mode"),
    assumed("retries.cap", "20s", "AWS SDKs, standard mode"),
    assumed("retries.retry_on", "any failure", "our choice: a plain loop retries whatever fails"),
    assumed("retries.elsewhere", "0", "our choice: who balances does not know where a request has been; Envoy's `previous_hosts`"),
    assumed("retries.jitter", "true", "AWS SDKs, standard mode: full jitter"),
    assumed("retries.within", "none", "our choice: each attempt has its own time; Envoy's `RouteAction.timeout` is one for all of them"),
    assumed("retries.throttled_backoff", "as backoff", "our choice: a 429 is a failure as others are"),
    assumed("retries.retry_after", "none", "our choice: who does not look for it goes by its own pauses"),
    assumed("retry_after.instead", "false", "our choice: the longer of the two"),
    assumed("retry_after.most", "none", "our choice: whatever is said"),
    assumed("retry_after.jitter", "0%", "our choice: exactly what is said"),
    assumed(
        "retry_after.aws",
        "{ instead: false }",
        "AWS SDK for Java 2.x, `DefaultRetryStrategy`: the longer of the suggested delay and its own",
    ),
    assumed(
        "retry_after.envoy",
        "{ instead: true, most: 300s, jitter: 50% }",
        "Envoy, `rate_limited_retry_back_off`: `max_interval`, and `JitteredLowerBoundBackOffStrategy`",
    ),
    assumed("retry_after.google", "{ instead: false }", "google.rpc.RetryInfo: at least `retry_delay`, with pauses that grow"),
    assumed("retry_after.grpc", "{ instead: true }", "gRFC A6, pushback: the server says when"),
    assumed(
        "retries.preset.aws",
        "{ max: 2, backoff: 100ms, factor: x2, cap: 20s, jitter: true, budget: aws, throttled_backoff: 1s, retry_after: aws }",
        "AWS SDK for Java 2.x, standard mode: 3 attempts, 1s after a 429; botocore and the reference guide draw the first pause from 0 to 1s",
    ),
    assumed(
        "retries.preset.envoy",
        "{ max: 1, backoff: 25ms, factor: envoy, cap: 250ms, jitter: true }",
        "Envoy, `RetryPolicy`: `num_retries` 1, pauses of 0 to 2^(n-1) * 25 ms (`backoff_strategy.cc`)",
    ),
    assumed("retries.preset.finagle", "{ max: 25, budget: finagle }", "Finagle, `RequeueFilter`: at once, as far as the budget goes"),
    assumed(
        "retries.preset.grpc",
        "{ max: 3, backoff: 100ms, factor: x2, cap: 1s, jitter: 20%, budget: grpc, retry_after: grpc }",
        "gRFC A6: 4 attempts as in its example, jitter of 0.8 to 1.2",
    ),
    assumed(
        "retries.preset.istio",
        "{ max: 2, backoff: 25ms, factor: envoy, cap: 250ms, jitter: true, retry_on: [rejected, unreachable], elsewhere: 5 }",
        "Istio, default `HTTPRetry`: `connect-failure`, `refused-stream`, `unavailable`, `cancelled`, 503, and not who was asked before",
    ),
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
    assumed("nodes", "not modelled", "our choice: there is room for everything unless machines are stated"),
    assumed("nodes.*.count", "1", "our choice"),
    assumed("nodes.*.zone", "a", "our choice: the zone of services that name none"),
    assumed("services.*.tier", "critical", "our choice: what is unknown is critical"),
    assumed("services.*.replicas", "1", "Kubernetes Deployment, spec.replicas"),
    assumed("services.*.zones", "[a]", "our choice: one zone where zones are not modelled"),
    assumed("services.*.workers", "200", "Tomcat, `maxThreads`"),
    assumed("services.*.queue", "100", "Tomcat, `acceptCount`"),
    assumed("queue.discipline", "fifo", "Tomcat and most servers"),
    assumed("queue.target", "5ms", "Maurer, \"Fail at Scale\", ACM Queue 13(8), 2015: M"),
    assumed("queue.interval", "100ms", "the same: N"),
    assumed("queue.drop", "none", "Tomcat and most servers: who waits is served, however late"),
    assumed("queue.need", "the mean work of what is asked for", "our choice, calls included and retries left out"),
    assumed("queue.longest_wait", "none", "Tomcat and most servers"),
    assumed("services.*.backlog", "none", "our choice: connections are there, and whoever finds the queue full is told so"),
    assumed("backlog.somaxconn", "4096", "Linux, `net.core.somaxconn`, since 5.4"),
    assumed("backlog.retry_after", "1s", "Linux, `TCP_TIMEOUT_INIT`; after it 2s, 4s, …"),
    assumed("backlog.retries", "6", "Linux, `net.ipv4.tcp_syn_retries`: given up after 127s"),
    assumed("services.*.deadline", "ignore", "HTTP: a server is not told when its caller gives up; gRPC tells it"),
    assumed("deadline.margin", "0s", "gRPC: calls have the deadline of their request"),
    assumed("services.*.concurrency", "none", "our choice: workers and queue are the bounds"),
    assumed("concurrency.wait", "0s", "resilience4j Bulkhead, `maxWaitDuration`"),
    assumed("concurrency.shares.*", "100%", "our choice: all classes alike"),
    assumed("concurrency.gradient2.initial", "20", "Netflix concurrency-limits, `Gradient2Limit`"),
    assumed("concurrency.gradient2.least", "20", "the same, `minLimit`"),
    assumed("concurrency.gradient2.most", "200", "the same, `maxConcurrency`"),
    assumed("concurrency.vegas.initial", "20", "Netflix concurrency-limits, `VegasLimit`"),
    assumed("concurrency.vegas.least", "1", "the same"),
    assumed("concurrency.vegas.most", "1000", "the same, `maxConcurrency`"),
    assumed("concurrency.aimd.initial", "20", "Netflix concurrency-limits, `AIMDLimit`"),
    assumed("concurrency.aimd.least", "20", "the same, `minLimit`"),
    assumed("concurrency.aimd.most", "200", "the same, `maxLimit`"),
    assumed("concurrency.aimd.timeout", "5s", "the same, `timeout`"),
    assumed("concurrency.envoy.least", "3", "Envoy, `adaptive_concurrency`, `min_concurrency`"),
    assumed("concurrency.envoy.most", "1000", "the same, `max_concurrency_limit`"),
    assumed("concurrency.envoy.update", "100ms", "the example of its documentation, `concurrency_update_interval`"),
    assumed("concurrency.envoy.measure_every", "60s", "the example of its documentation, `min_rtt_calc_params.interval`"),
    assumed("services.*.rate_limit", "none", "our choice: nothing limits the rate unless it is told to"),
    assumed("rate_limit.period", "1s", "our choice; resilience4j's 500 ns are no limit at all"),
    assumed("rate_limit.wait", "5s", "resilience4j RateLimiter, `timeoutDuration`"),
    assumed("services.*.admission_control", "none", "Envoy: off unless configured"),
    assumed("admission_control.window", "30s", "Envoy, `admission_control`, `sampling_window`"),
    assumed("admission_control.success", "95%", "the same, `sr_threshold`"),
    assumed("admission_control.aggression", "1", "the same"),
    assumed("admission_control.most", "80%", "the same, `max_rejection_probability`"),
    assumed("admission_control.from", "0/s", "the same, `rps_threshold`"),
    assumed("services.*.background", "0", "our choice: CPU time is that of requests"),
    assumed(
        "services.*.cfs",
        "none",
        "our choice: cores are shared evenly; where it is asked for, the period is 100 ms (`cpu.cfs_period_us`)",
    ),
    assumed("gc.every", "1s", "our choice, within 1 to 5 s"),
    assumed("gc.share", "1%", "our choice: 10 ms in each second with an empty heap"),
    assumed("gc.major", "{ uniform: [200ms, 2s] }", "our choice"),
    assumed("gc.full", "85%", "our choice"),
    assumed("services.*.gc", "none", "our choice: collections are part of `cpu` unless they are asked for"),
    assumed("services.*.cores", "unbounded", "our choice: workers are the bound unless cores are stated"),
    assumed("services.*.balance", "round_robin", "Envoy, `lb_policy`"),
    assumed("least_request.choices", "2", "Envoy, `LeastRequestLbConfig.choice_count`"),
    assumed("peak_ewma.default_rtt", "30ms", "Linkerd"),
    assumed("peak_ewma.decay", "10s", "Linkerd"),
    assumed("per_connection.multiplexed", "false", "HTTP/1.1: one request at a time on each connection"),
    assumed("per_connection.keep", "2", "Go, `http.DefaultMaxIdleConnsPerHost`"),
    assumed("per_connection.idle", "90s", "Go, `http.DefaultTransport.IdleConnTimeout`"),
    assumed("services.*.prefer_zone", "false", "Kubernetes: `trafficDistribution` is unset; `PreferClose` is `true`"),
    assumed("services.*.outlier_detection", "none", "Envoy: no outlier detection unless configured"),
    assumed("outlier_detection.preset", "envoy", "Envoy, since 1.28"),
    assumed("outlier_detection.interval", "10s", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.base_ejection_time", "30s", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.max_ejection_time", "300s", "Envoy, `OutlierDetection`: this or the base, whichever is longer"),
    assumed("outlier_detection.max_ejection_percent", "10%", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.always_eject_one_host", "false", "Envoy, since 1.28; one always could be ejected before"),
    assumed("outlier_detection.consecutive_5xx", "5", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.enforcing_consecutive_5xx", "100%", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.consecutive_gateway_failure", "5", "Envoy, `OutlierDetection`"),
    assumed(
        "outlier_detection.enforcing_consecutive_gateway_failure",
        "0%",
        "Envoy, `OutlierDetection`; Istio: 100% where the number is said",
    ),
    assumed("outlier_detection.success_rate_minimum_hosts", "5", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.success_rate_request_volume", "100", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.success_rate_stdev_factor", "1.9", "Envoy, `OutlierDetection`: 1900 thousandths"),
    assumed("outlier_detection.enforcing_success_rate", "100%", "Envoy, `OutlierDetection`; Istio: 0%"),
    assumed("outlier_detection.failure_percentage_threshold", "85%", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.failure_percentage_minimum_hosts", "5", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.failure_percentage_request_volume", "50", "Envoy, `OutlierDetection`"),
    assumed("outlier_detection.enforcing_failure_percentage", "0%", "Envoy, `OutlierDetection`"),
    assumed("services.*.failure_accrual", "none", "Linkerd: no breaker unless annotated"),
    assumed("failure_accrual.failures", "7", "Linkerd, `failure-accrual-consecutive-max-failures`"),
    assumed("failure_accrual.min_penalty", "1s", "Linkerd, `failure-accrual-consecutive-min-penalty`"),
    assumed("failure_accrual.max_penalty", "1m", "Linkerd, `failure-accrual-consecutive-max-penalty`"),
    assumed("failure_accrual.jitter", "50%", "Linkerd, `failure-accrual-consecutive-jitter-ratio`"),
    assumed("services.*.fail_fast", "none", "our choice: callers know that nobody is there; `linkerd` with `failure_accrual`"),
    assumed("fail_fast.outbound", "3s", "linkerd2-proxy, `OUTBOUND_HTTP_FAILFAST_TIMEOUT`"),
    assumed("fail_fast.inbound", "1s", "linkerd2-proxy, `INBOUND_HTTP_FAILFAST_TIMEOUT`"),
    assumed("fail_fast.queue", "10000", "linkerd2-proxy, the capacity of its HTTP queues"),
    assumed("services.*.panic_threshold", "50%", "Envoy, `healthy_panic_threshold`; Istio: 0%"),
    assumed("services.*.slow_start", "none", "Envoy: no slow start unless configured"),
    assumed("slow_start.aggression", "1", "Envoy, `SlowStartConfig`"),
    assumed("slow_start.least", "10%", "Envoy, `SlowStartConfig.min_weight_percent`"),
    assumed("services.*.endpoint_propagation", "none", "our choice: callers know at once unless stated; Kubernetes takes 0.1 to 2 s"),
    assumed("services.*.dns_ttl", "none", "our choice: callers are told of changes; CoreDNS gives names 30 s"),
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
    assumed("versions.*.image", "there", "as a sound version"),
    assumed("rollout.max_surge", "25%", "Kubernetes Deployment, `maxSurge`, rounded up"),
    assumed("rollout.max_unavailable", "25%", "Kubernetes Deployment, `maxUnavailable`, rounded down"),
    assumed("rollout.min_ready", "0s", "Kubernetes Deployment, `minReadySeconds`"),
    assumed("rollout.progress_deadline", "10m", "Kubernetes Deployment, `progressDeadlineSeconds`"),
    assumed("services.*.grace", "30s", "Kubernetes Pod, `terminationGracePeriodSeconds`"),
    assumed("services.*.disruption_budget", "none", "Kubernetes: no budget unless declared"),
    assumed("services.*.pre_stop", "none", "Kubernetes: no hook unless declared"),
    assumed("services.*.scheduling", "none", "our choice: `start_up` is taken to hold it unless stated; 50 ms to 1 s"),
    assumed("services.*.pull", "none", "our choice: the image is there unless stated; 5 to 60 s where it is not"),
    assumed("crash_backoff.first", "10s", "kubelet, `initialCrashLoopBackOff`"),
    assumed("crash_backoff.longest", "300s", "kubelet, `MaxContainerBackOff`"),
    assumed("crash_backoff.reduced.first", "1s", "kubelet, with `ReduceDefaultCrashLoopBackOffDecay`"),
    assumed("crash_backoff.reduced.longest", "60s", "kubelet, with `ReduceDefaultCrashLoopBackOffDecay`"),
    assumed("services.*.liveness", "none", "Kubernetes: no probe unless declared"),
    assumed("services.*.readiness", "none", "Kubernetes: no probe unless declared"),
    assumed("services.*.startup", "none", "Kubernetes: no probe unless declared"),
    assumed("probe.initial_delay", "0s", "Kubernetes probe, `initialDelaySeconds`"),
    assumed("probe.period", "10s", "Kubernetes probe, `periodSeconds`"),
    assumed("probe.timeout", "1s", "Kubernetes probe, `timeoutSeconds`"),
    assumed("probe.failures", "3", "Kubernetes probe, `failureThreshold`"),
    assumed("probe.successes", "1", "Kubernetes probe, `successThreshold`"),
    assumed("probe.path", "separate", "our choice: a port of its own, which load does not reach"),
    assumed("probe.cost", "1ms", "our choice, of a probe that waits with the requests"),
    assumed("services.*.cpu_request", "cores", "Kubernetes: a request that is not stated is the limit"),
    assumed("memory.request", "limit", "Kubernetes: a request that is not stated is the limit"),
    assumed("autoscaler.min", "1", "Kubernetes HorizontalPodAutoscaler, `minReplicas`"),
    assumed("autoscaler.cpu", "80%", "Kubernetes HorizontalPodAutoscaler, `metrics`, if none is stated"),
    assumed("autoscaler.tolerance", "current", "kube-controller-manager, 10%, compared as since Kubernetes 1.33"),
    assumed("scale_up.window", "0s", "Kubernetes HorizontalPodAutoscaler, `stabilizationWindowSeconds`"),
    assumed(
        "scale_up.policies",
        "100% or 4 more every 15s",
        "Kubernetes HorizontalPodAutoscaler, if any rule is stated; else the double or 4",
    ),
    assumed("scale_up.select", "largest", "Kubernetes HorizontalPodAutoscaler, `selectPolicy: Max`"),
    assumed("scale_down.window", "300s", "kube-controller-manager, `--horizontal-pod-autoscaler-downscale-stabilization`"),
    assumed("scale_down.policies", "100% fewer every 15s", "Kubernetes HorizontalPodAutoscaler"),
    assumed("scale_down.select", "largest", "Kubernetes HorizontalPodAutoscaler, `selectPolicy: Max`"),
    assumed("autoscaler.sync", "15s", "kube-controller-manager, `--horizontal-pod-autoscaler-sync-period`"),
    assumed("autoscaler.resolution", "15s", "metrics-server, its release manifest; the flag `--metric-resolution` itself defaults to 60s"),
    assumed("autoscaler.cpu_initialization", "5m", "kube-controller-manager, `--horizontal-pod-autoscaler-cpu-initialization-period`"),
    assumed("autoscaler.initial_readiness", "30s", "kube-controller-manager, `--horizontal-pod-autoscaler-initial-readiness-delay`"),
    assumed("endpoints.*.error", "0%", "our choice"),
    assumed("call.probability", "100%", "our choice"),
    assumed("caches.*.zipf", "1", "our choice: what popularity on the web is near to"),
    assumed("caches.*.ttl", "none", "Redis: keys do not expire unless told to"),
    assumed("caches.*.capacity", "unbounded", "Redis, `maxmemory` 0: no limit"),
    assumed("caches.*.late_fill", "false", "our choice: a handler whose caller has gone does not write"),
    assumed("caches.*.coalesce", "false", "our choice: each miss asks for itself"),
    assumed("caches.*.warm", "true", "our choice: the system has run for long"),
    assumed("database.engine", "postgres", "our choice"),
    assumed("database.postgres.max_connections", "100", "PostgreSQL, `max_connections`"),
    assumed("database.mysql.max_connections", "151", "MySQL, `max_connections`"),
    assumed("database.connect", "5ms", "our choice, the low end of 5 to 50 ms; of a pool's connections only"),
    assumed("database.cores", "4", "our choice"),
    assumed("database.workers", "2", "PostgreSQL wiki, number of connections: twice the cores; so many for each core"),
    assumed("database.queue", "unbounded", "PostgreSQL and MySQL: whoever has a connection waits"),
    assumed("database.start_up", "{ lognormal: { mean: 30s, cv: 0.5 } }", "our choice: recovery after a crash replays the log"),
    assumed("database.warm_up.factor", "x3", "our choice, within x2 to x5: nothing is in memory"),
    assumed("database.warm_up.tau", "2m", "our choice: minutes"),
    assumed("database.lag", "10ms", "our choice: streaming within one region"),
    assumed("database.apply", "0s", "our choice: standbys keep up unless stated"),
    assumed("database.commit", "local", "PostgreSQL: asynchronous streaming unless `synchronous_standby_names` is set"),
    assumed("database.reads", "standbys", "our choice: a call that says `read` may be answered by a standby"),
    assumed("database.stale_after", "1s", "our choice: what is further behind is out of date"),
    assumed("database.failover", "none", "PostgreSQL and MySQL: nobody watches a primary unless told to"),
    assumed("failover.patroni.detect", "{ uniform: [20s, 30s] }", "Patroni: `ttl` 30 s, renewed every `loop_wait` of 10 s"),
    assumed("failover.patroni.promote", "{ uniform: [1s, 5s] }", "our choice: a race for the lock, and `pg_ctl promote`"),
    assumed("failover.patroni.reconnect", "{ uniform: [3s, 6s] }", "Patroni's template of HAProxy: `inter 3s`, `rise 2`"),
    assumed("failover.patroni.commit", "local", "Patroni: `synchronous_mode` is off"),
    assumed(
        "failover.rds.detect",
        "{ uniform: [20s, 40s] }",
        "Amazon RDS, Multi-AZ instance: 60 to 120 s in all; the parts are our choice",
    ),
    assumed("failover.rds.promote", "{ uniform: [30s, 50s] }", "the same"),
    assumed("failover.rds.reconnect", "{ uniform: [10s, 30s] }", "the same: a name that is resolved anew"),
    assumed("failover.rds.commit", "replicated", "Amazon RDS, Multi-AZ instance: a synchronous standby"),
    assumed(
        "failover.rds_cluster.detect",
        "{ uniform: [5s, 10s] }",
        "Amazon RDS, Multi-AZ cluster: under 35 s in all; the parts are our choice",
    ),
    assumed("failover.rds_cluster.promote", "{ uniform: [5s, 15s] }", "the same"),
    assumed("failover.rds_cluster.reconnect", "{ uniform: [2s, 8s] }", "the same"),
    assumed("failover.rds_cluster.commit", "replicated", "Amazon RDS, Multi-AZ cluster: semi-synchronous"),
    assumed("failover.aurora.detect", "{ uniform: [10s, 20s] }", "Amazon Aurora: 30 to 60 s in all; the parts are our choice"),
    assumed("failover.aurora.promote", "{ uniform: [15s, 25s] }", "the same"),
    assumed("failover.aurora.reconnect", "{ uniform: [5s, 15s] }", "the same"),
    assumed("failover.aurora.commit", "replicated", "Amazon Aurora: storage that all share"),
    assumed("lock.timeout", "none", "our choice: a mutex is waited for"),
    assumed("lock.deadlock_timeout", "none", "our choice: nobody looks for deadlocks of threads"),
    assumed("lock.postgres.timeout", "none", "PostgreSQL, `lock_timeout` and `statement_timeout` 0"),
    assumed("lock.postgres.deadlock_timeout", "1s", "PostgreSQL, `deadlock_timeout`"),
    assumed("lock.mysql.timeout", "50s", "MySQL, `innodb_lock_wait_timeout`"),
    assumed("lock.mysql.deadlock_timeout", "0s", "MySQL, `innodb_deadlock_detect`: at once"),
    assumed("update.invalidate", "true", "our choice: who changes something deletes its copy"),
    assumed("services.*.quota", "none", "our choice: nothing limits all callers together unless it is told to"),
    assumed("quota.burst", "one second's worth", "our choice"),
    assumed("quota.retry_after", "true", "RFC 6585, 4: a 429 may say it, and APIs with quotas mostly do"),
    assumed("call.access", "write", "our choice: a call that says nothing may change something"),
    assumed("call.optional", "false", "our choice: an answer is needed"),
    assumed("call.async", "false", "Tomcat, gunicorn, most frameworks: a thread waits for the answer"),
    assumed("parallel.wait", "all", "our choice"),
    assumed("topics.*.preset", "kafka", "our choice"),
    assumed("topics.*.retry", "1s", "our choice: a message that failed is not tried again in the same moment"),
    assumed("topics.kafka.partitions", "1", "Kafka, `num.partitions`"),
    assumed("topics.kafka.session_timeout", "45s", "Kafka since 3.0, `session.timeout.ms`"),
    assumed("topics.kafka-2.session_timeout", "10s", "Kafka before 3.0, `session.timeout.ms`"),
    assumed("topics.kafka.heartbeat", "3s", "Kafka, `heartbeat.interval.ms`"),
    assumed("topics.kafka.poll_interval", "300s", "Kafka, `max.poll.interval.ms`"),
    assumed("topics.kafka.first_wait", "3s", "Kafka, `group.initial.rebalance.delay.ms`"),
    assumed("topics.kafka.dead_letters_after", "never", "Kafka's consumer: whoever fails reads the same again"),
    assumed("topics.kafka.batch", "500", "Kafka, `max.poll.records`"),
    assumed("topics.sqs.visibility", "30s", "Amazon SQS, `VisibilityTimeout`"),
    assumed("topics.sqs.dead_letters_after", "never", "Amazon SQS: no dead-letter queue unless a redrive policy names one"),
    assumed("topics.sqs.batch", "10", "Amazon SQS, the largest `MaxNumberOfMessages`"),
    assumed("topics.rabbitmq.visibility", "none", "RabbitMQ: what is not acknowledged comes back when its connection ends"),
    assumed("topics.rabbitmq.dead_letters_after", "20", "RabbitMQ since 4.0, `x-delivery-limit` of quorum queues"),
    assumed("topics.rabbitmq.batch", "250", "Spring AMQP, `prefetchCount`"),
    assumed("consumes.at_once", "1", "Kafka's consumer, and most others: one thread"),
    assumed("flags.*.healthy", "as its figures say", "our choice: more demand or errors are not sound"),
    assumed("flags.*.demand", "x1", "our choice"),
    assumed("flags.*.error", "0%", "our choice"),
    assumed("flags.*.push", "{ uniform: [1s, 10s] }", "our choice: services of flags push a change to all processes within seconds"),
    assumed("call.timeout", "none", "Go, `http.Client.Timeout`, and many database drivers: none"),
    assumed("scrape", "15s", "the first example of Prometheus' documentation"),
    assumed("human", "somebody", "our choice: a team that wants automation has somebody on call today"),
    assumed("human.detect", "{ log_uniform: [5s, 30s] }", "our choice: what pagers and phones take"),
    assumed(
        "human.acknowledge",
        "{ log_uniform: [30s, 5m] }",
        "our choice: within the five minutes that services of the first tier ask for",
    ),
    assumed("human.investigate", "{ log_uniform: [5m, 30m] }", "our choice: dashboards, logs, and who else is affected"),
    assumed("human.diagnose", "{ log_uniform: [5m, 60m] }", "our choice: the widest of all, as postmortems tell it"),
    assumed("human.act", "{ log_uniform: [1m, 30m] }", "our choice: a command, or a change that has to be built and reviewed"),
    assumed("human.verify", "{ log_uniform: [5m, 15m] }", "our choice: dashboards that average over minutes"),
    assumed("human.wrong_action", "10%", "our choice"),
    assumed("human.no_answer", "5%", "our choice"),
    assumed("human.escalate_after", "30m", "PagerDuty, escalation policies: `escalation_delay_in_minutes` of its examples"),
    assumed("human.approvers", "[{ role: oncall }]", "our choice: whoever is on call is asked, and a colleague"),
    assumed("human.approvers.*.count", "2", "our choice: whoever is on call is asked, and a colleague"),
    assumed("human.approvers.*.answer", "{ log_uniform: [1m, 15m] }", "our choice: a page that is seen, and evidence that is read"),
    assumed("human.approvers.*.no_answer", "10%", "our choice: twice the calls that nobody answers, since a question rings less loudly"),
    assumed("human.approvers.*.deny", "5%", "our choice"),
    assumed("actions.delay", "{ uniform: [100ms, 5s] }", "our choice: the API of a platform answers in seconds, and not always"),
    assumed("actions.failure", "1%", "our choice: the API of a platform answers in seconds, and not always"),
    assumed(
        "bounds",
        "{ events: 1000000000, attempts: 2000000, records: 1000000 }",
        "our choice: minutes of computing, and about 200 MB each of attempts and of the journal",
    ),
    assumed("template.go.workers", "unbounded", "Go, `net/http`: a goroutine for each request, and the CPU is the bound"),
    assumed("template.go.cores", "1", "our choice: `GOMAXPROCS` as the limit of a small container"),
    assumed("template.go.cancel", "context", "Go, `net/http`: the context of a request ends with its caller, and handlers heed it"),
    assumed("template.go.start_up", "{ lognormal: { mean: 1s, cv: 0.5 } }", "our choice, within 0.5 to 2 s"),
    assumed("template.go.warm_up.factor", "x1.2", "our choice: nothing is compiled at run time, caches and pools are cold"),
    assumed("template.go.warm_up.tau", "30s", "our choice"),
    assumed("template.go.memory.base", "64MiB", "our choice"),
    assumed("template.go.memory.per_request", "64KiB", "our choice: a few stacks and buffers"),
    assumed("template.go.memory.limit", "256MiB", "our choice"),
    assumed("template.gunicorn.workers", "3", "gunicorn's advice of 2 x cores + 1, with one core"),
    assumed("template.gunicorn.queue", "2048", "gunicorn, `backlog`"),
    assumed("template.gunicorn.cores", "1", "our choice"),
    assumed("template.gunicorn.start_up", "{ lognormal: { mean: 3s, cv: 0.5 } }", "our choice: imports take seconds"),
    assumed("template.gunicorn.memory.base", "200MiB", "our choice"),
    assumed("template.gunicorn.memory.limit", "512MiB", "our choice"),
    assumed("template.jvm.workers", "200", "Tomcat, `maxThreads`"),
    assumed("template.jvm.queue", "100", "Tomcat, `acceptCount`"),
    assumed("template.jvm.cores", "2", "our choice: a common limit of a container"),
    assumed("template.jvm.cancel", "none", "Tomcat: a thread goes on when its caller has gone"),
    assumed("template.jvm.start_up", "{ lognormal: { mean: 25s, cv: 0.5 } }", "our choice, within 10 to 60 s"),
    assumed("template.jvm.warm_up.factor", "x4", "our choice: interpreted before it is compiled"),
    assumed("template.jvm.warm_up.tau", "30s", "our choice"),
    assumed("template.jvm.memory.base", "600MiB", "our choice"),
    assumed("template.jvm.memory.per_request", "512KiB", "our choice: a thread's stack and what it allocates"),
    assumed("template.jvm.memory.limit", "1GiB", "our choice"),
    assumed("template.jvm.metrics", "[micrometer]", "Spring Boot Actuator"),
    assumed("template.kafka.preset", "kafka", "Kafka, since its clients 3.0"),
    assumed("template.kafka.partitions", "6", "Confluent Cloud: a new topic has six; Kafka itself gives it one"),
    assumed("template.node.workers", "unbounded", "Node.js: all requests share one event loop"),
    assumed("template.node.cores", "1", "Node.js: one thread runs JavaScript"),
    assumed("template.node.start_up", "{ lognormal: { mean: 2s, cv: 0.5 } }", "our choice"),
    assumed("template.node.warm_up.factor", "x2", "our choice: V8 compiles what is hot"),
    assumed("template.node.warm_up.tau", "10s", "our choice"),
    assumed("template.node.memory.base", "100MiB", "our choice"),
    assumed("template.node.memory.limit", "512MiB", "our choice"),
    assumed("template.postgres.database.engine", "postgres", "what it is; all that a database has by default holds too"),
    assumed(
        "template.postgres.cancel",
        "none",
        "PostgreSQL, `client_connection_check_interval` 0: a query goes on when its caller has gone",
    ),
    assumed("template.postgres.memory.base", "2GiB", "PostgreSQL's advice for `shared_buffers`, a quarter of all, with 8 GiB"),
    assumed("template.postgres.memory.per_request", "10MiB", "our choice: a process for each connection, `work_mem` of 4 MB and more"),
    assumed("template.postgres.memory.limit", "8GiB", "our choice"),
    assumed("template.redis.workers", "10000", "Redis, `maxclients`"),
    assumed("template.redis.queue", "0", "Redis: a connection beyond `maxclients` is refused"),
    assumed("template.redis.cores", "1", "Redis: one thread runs commands"),
    assumed("template.redis.work", "[cpu: 10us]", "our choice: `redis-benchmark` sees about 100,000 simple commands a second of one core"),
    assumed("template.redis.start_up", "{ lognormal: { mean: 2s, cv: 0.5 } }", "our choice: it reads its snapshot"),
    assumed("template.redis.memory.base", "256MiB", "our choice"),
    assumed("template.redis.memory.limit", "1GiB", "our choice"),
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

/// What a system makes of `Retry-After`.
#[must_use]
pub fn heed(word: &str) -> HeedDocument {
    read(&format!("retry_after.{word}"), read_heed)
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

/// The default bounds: events, attempts at a time, and records of the journal.
#[must_use]
pub fn bounds() -> (u64, u64, u64) {
    read("bounds", |reader, node| {
        let mut fields = reader.fields(node, "bounds")?;
        let mut bound =
            |what| fields.required(reader, what).and_then(|node| reader.integer(node, what, 1..=i64::MAX)).map(|bound| bound as u64);
        Some((bound("events")?, bound("attempts")?, bound("records")?))
    })
}

fn read<T>(key: &str, read: impl FnOnce(&mut Reader, &Node) -> Option<T>) -> T {
    let node = yaml::parse("defaults", text(key)).expect("defaults are YAML");
    read(&mut Reader::new(), &node).expect("defaults are sound")
}
