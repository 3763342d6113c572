//! What a process and the proxy beside it say under the names of OpenTelemetry, Micrometer, Istio, Envoy and Linkerd (docs/MODEL.md 4.3).
//!
//! What a service answers is counted by its own metrics, which a profile adds to; here is what callers made of it, and what processes hold.

use firedrill_core::name::Name;
use firedrill_telemetry::labels::LabelsBuilder;

use super::page::Sheet;
use super::process::memory_bytes;
use super::{NAMESPACE, named, named_with};
use crate::buckets::Buckets;
use crate::caller::{Caller, POOL_BOUNDS_MILLIS};
use crate::spec::{Engine, Profile, ServiceSpec};
use crate::world::{ANSWERS, BROKEN, CODES, Edge, GONE, NO_CONNECTION, NO_HOST, Replica, TIMEOUT, Way, Ways, World};

/// Those that count, though their names do not end as those of counters do.
pub(super) const COUNTERS: [&str; 13] = [
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_cx_none_healthy",
    "envoy_cluster_upstream_rq",
    "envoy_cluster_upstream_rq_cancelled",
    "envoy_cluster_upstream_rq_completed",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_rq_retry",
    "envoy_cluster_upstream_rq_retry_limit_exceeded",
    "envoy_cluster_upstream_rq_retry_overflow",
    "envoy_cluster_upstream_rq_retry_success",
    "envoy_cluster_upstream_rq_timeout",
    "envoy_cluster_upstream_rq_xx",
    "envoy_http_downstream_rq_xx",
];

/// Upper bounds of OpenTelemetry's advice for durations of HTTP, seconds.
const OPENTELEMETRY_LES: [&str; 14] =
    ["0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10"];
/// Upper bounds of Envoy's histograms, milliseconds.
const ENVOY_LES: [&str; 19] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000", "600000",
    "1800000", "3600000",
];

/// Upper bounds of Linkerd's histograms, milliseconds.
const LINKERD_LES: [&str; 25] = [
    "1", "2", "3", "4", "5", "10", "20", "30", "40", "50", "100", "200", "300", "400", "500", "1000", "2000", "3000", "4000", "5000",
    "10000", "20000", "30000", "40000", "50000",
];
/// Upper bounds of OpenTelemetry's advice for durations of operations of databases, seconds.
const OPERATION_LES: [&str; 9] = ["0.001", "0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "10"];

/// The classes of status codes that there are.
const CLASSES: [&str; 3] = ["2", "4", "5"];

/// One process and what all its lines begin with.
struct Source<'a> {
    world: &'a World,
    replica: u32,
    state: &'a Replica,
    spec: &'a ServiceSpec,
    labels: &'a LabelsBuilder,
    ways: &'a Ways,
}

/// Puts the lines of a process's profiles.
pub(super) fn put(sheet: &mut Sheet<'_>, world: &World, replica: u32, labels: &LabelsBuilder) {
    let Some(ways) = world.ways() else { return };
    let state = &world.replicas[replica as usize];
    let spec = &world.spec.services[state.service as usize];
    let source = Source { world, replica, state, spec, labels, ways };
    for profile in &spec.profiles {
        match profile {
            Profile::OpenTelemetry => source.opentelemetry(sheet),
            Profile::Micrometer => source.micrometer(sheet),
            Profile::Istio => source.istio(sheet),
            Profile::Envoy => source.envoy(sheet),
            Profile::Linkerd => source.linkerd(sheet),
            Profile::Prometheus | Profile::Redis | Profile::KubeStateMetrics | Profile::Cadvisor | Profile::NodeExporter => {}
        }
    }
}

/// How a histogram of a profile is written down.
struct Histogram<'a> {
    name: &'a str,
    les: &'a [&'a str],
    /// Units of the metric in a second.
    scale: f64,
}

const fn seconds(name: &str) -> Histogram<'_> {
    Histogram { name, les: &OPENTELEMETRY_LES, scale: 1.0 }
}

const fn milliseconds(name: &str) -> Histogram<'_> {
    Histogram { name, les: &ENVOY_LES, scale: 1e3 }
}

impl Source<'_> {
    /// The services that it calls, each with what it has sent there.
    fn sent(&self) -> Vec<(&Name, &Way)> {
        let sent = self.state.counters.traffic.iter().flat_map(|traffic| &traffic.sent);
        let callees = self.ways.callees(self.state.service).iter().map(|callee| &self.world.spec.services[*callee as usize].name);
        callees.zip(sent).collect()
    }

    /// Those who call it, each with what has come from there; `None` are clients.
    fn received(&self) -> Vec<(Option<&Name>, &Way)> {
        let received = self.state.counters.traffic.iter().flat_map(|traffic| &traffic.received);
        self.ways.callers(self.state.service).iter().map(Option::as_ref).zip(received).collect()
    }

    /// A gauge of the process.
    fn gauge(&self, sheet: &mut Sheet<'_>, metric: &str, more: &[(&str, &str)], value: f64) {
        sheet.put(Some(value), || named(metric, &with(self.labels, more)));
    }

    /// A counter that is not there before it has counted something, unless it is `eager`.
    fn count(&self, sheet: &mut Sheet<'_>, metric: &str, more: &[(&str, &str)], count: u64) {
        sheet.put((count > 0).then_some(count as f64), || named(metric, &with(self.labels, more)));
    }

    fn histogram(&self, sheet: &mut Sheet<'_>, written: &Histogram<'_>, more: &[(&str, &str)], buckets: Option<&Buckets>) {
        let bounds = self.ways.bounds();
        let labels = || with(self.labels, more);
        let cumulative: Option<Vec<u64>> = buckets.map(|buckets| buckets.cumulative().collect());
        for le in written.les {
            let nanos = le.parse::<f64>().expect("bounds are numbers") / written.scale * 1e9;
            let count =
                cumulative.as_ref().map(|counts| counts[bounds.partition_point(|bound| (*bound as f64) < nanos * (1.0 - 1e-9))] as f64);
            sheet.put(count, || named_with(&format!("{}_bucket", written.name), &labels(), ("le", le)));
        }
        let count = buckets.map(|buckets| buckets.count() as f64);
        sheet.put(count, || named_with(&format!("{}_bucket", written.name), &labels(), ("le", "+Inf")));
        sheet.put(buckets.map(|buckets| buckets.sum_nanos as f64 / 1e9 * written.scale), || {
            named(&format!("{}_sum", written.name), &labels())
        });
        sheet.put(count, || named(&format!("{}_count", written.name), &labels()));
    }

    fn opentelemetry(&self, sheet: &mut Sheet<'_>) {
        let method = ("http_request_method", "GET");
        let in_service = self.state.in_service.len() as f64;
        self.gauge(sheet, "http_server_active_requests", &[method, ("url_scheme", "http")], in_service);
        let active = self.world.under_way(self.replica);
        for ((callee, way), active) in self.sent().into_iter().zip(active) {
            let to = [method, ("server_address", callee.as_str()), ("server_port", "80"), ("url_scheme", "http")];
            self.gauge(sheet, "http_client_active_requests", &to, active as f64);
            // Where there was no replica the answer was 503, as any other.
            for (index, answer) in ANSWERS.iter().enumerate().filter(|(index, _)| *index != NO_HOST) {
                let is_answered = index < CODES.len();
                let code = ("http_response_status_code", if is_answered { answer.code } else { "" });
                let error = (
                    "error_type",
                    if !is_answered {
                        answer.error
                    } else if index > 0 {
                        answer.code
                    } else {
                        ""
                    },
                );
                let labels = [&to[..], &[code, error]].concat();
                self.histogram(sheet, &seconds("http_client_request_duration_seconds"), &labels, heard(way, index).as_ref());
            }
            self.put_operations(sheet, callee, way);
        }
        self.pools(|caller, name| {
            let Some(pool) = &caller.pool else { return };
            let name = ("db_client_connection_pool_name", name);
            let (used, idle, size) = (f64::from(pool.taken()), f64::from(pool.idle()), f64::from(pool.spec.size));
            self.gauge(sheet, "db_client_connection_count", &[name, ("db_client_connection_state", "used")], used);
            self.gauge(sheet, "db_client_connection_count", &[name, ("db_client_connection_state", "idle")], idle);
            self.gauge(sheet, "db_client_connection_max", &[name], size);
            self.gauge(sheet, "db_client_connection_pending_requests", &[name], pool.waiting.len() as f64);
            self.gauge(sheet, "db_client_connection_idle_max", &[name], size);
            self.gauge(sheet, "db_client_connection_idle_min", &[name], size);
            sheet.put(Some(pool.timeouts as f64), || named("db_client_connection_timeouts_total", &with(self.labels, &[name])));
            let Some(times) = &pool.times else { return };
            self.durations(sheet, "db_client_connection_wait_time_seconds", name, &times.waits);
            self.durations(sheet, "db_client_connection_use_time_seconds", name, &times.uses);
        });
    }

    /// What OpenTelemetry's instrumentation says of a client of a database, beside what it says of any.
    fn put_operations(&self, sheet: &mut Sheet<'_>, callee: &Name, way: &Way) {
        let is_callee = |spec: &&ServiceSpec| spec.name == *callee;
        let Some(database) = self.world.spec.services.iter().find(is_callee).and_then(|spec| spec.database.as_ref()) else { return };
        let system = match database.engine {
            Engine::Postgres => "postgresql",
            Engine::Mysql => "mysql",
        };
        let of = [("db_system_name", system), ("server_address", callee.as_str())];
        let failed = sum(way, 1..ANSWERS.len());
        for (error, buckets) in [("", way.answered(0)), ("_OTHER", failed.as_ref())] {
            let labels = [&of[..], &[("error_type", error)]].concat();
            let written = Histogram { name: "db_client_operation_duration_seconds", les: &OPERATION_LES, scale: 1.0 };
            self.histogram(sheet, &written, &labels, buckets);
        }
    }

    /// A histogram of a pool's durations.
    fn durations(&self, sheet: &mut Sheet<'_>, metric: &str, label: (&str, &str), durations: &Buckets) {
        let labels = || with(self.labels, &[label]);
        let bounds = POOL_BOUNDS_MILLIS.iter().map(|millis| (*millis as f64 / 1e3).to_string()).chain(["+Inf".to_owned()]);
        for (le, count) in bounds.zip(durations.cumulative()) {
            sheet.put(Some(count as f64), || named_with(&format!("{metric}_bucket"), &labels(), ("le", &le)));
        }
        sheet.put(Some(durations.sum_nanos as f64 / 1e9), || named(&format!("{metric}_sum"), &labels()));
        sheet.put(Some(durations.count() as f64), || named(&format!("{metric}_count"), &labels()));
    }

    fn micrometer(&self, sheet: &mut Sheet<'_>) {
        for (callee, way) in self.sent() {
            for (index, answer) in ANSWERS.iter().enumerate().filter(|(index, _)| *index <= NO_CONNECTION && *index != NO_HOST) {
                let is_answered = index < CODES.len();
                let status = if is_answered { answer.code } else { "CLIENT_ERROR" };
                let outcome = match answer.code.as_bytes() {
                    _ if !is_answered => "UNKNOWN",
                    [b'2', ..] => "SUCCESS",
                    [b'4', ..] => "CLIENT_ERROR",
                    _ => "SERVER_ERROR",
                };
                let labels = [("client_name", callee.as_str()), ("method", "GET"), ("outcome", outcome), ("status", status)];
                // What is no answer is one series, whatever it was.
                let buckets = if is_answered { heard(way, index) } else { sum(way, NO_CONNECTION..ANSWERS.len()) };
                self.histogram(sheet, &seconds("http_client_requests_seconds"), &labels, buckets.as_ref());
            }
        }
        self.tomcat(sheet);
        let heap = [("area", "heap"), ("id", "G1 Old Gen")];
        self.gauge(sheet, "jvm_memory_used_bytes", &heap, memory_bytes(self.world, self.replica) as f64);
        let most = self.spec.memory.limit.map_or(-1.0, |limit| limit.get() as f64);
        self.gauge(sheet, "jvm_memory_max_bytes", &heap, most);
        if let Some((count, seconds)) = self.state.cpu_time.as_ref().and_then(|own| own.collections()) {
            let labels = [("action", "end of minor GC"), ("cause", "G1 Evacuation Pause")];
            self.gauge(sheet, "jvm_gc_pause_seconds_count", &labels, count as f64);
            self.gauge(sheet, "jvm_gc_pause_seconds_sum", &labels, seconds);
        }
        self.gauge(sheet, "process_uptime_seconds", &[], self.world.now.since(self.state.started).as_seconds());
        self.pools(|caller, name| {
            let Some(pool) = &caller.pool else { return };
            let (name, size) = ([("pool", name)], f64::from(pool.spec.size));
            self.gauge(sheet, "hikaricp_connections", &name, size);
            self.gauge(sheet, "hikaricp_connections_min", &name, size);
            let Some(times) = &pool.times else { return };
            for (metric, durations) in [("acquire", &times.waits), ("usage", &times.uses)] {
                self.gauge(sheet, &format!("hikaricp_connections_{metric}_seconds_count"), &name, durations.count() as f64);
                self.gauge(sheet, &format!("hikaricp_connections_{metric}_seconds_sum"), &name, durations.sum_nanos as f64 / 1e9);
            }
        });
    }

    fn tomcat(&self, sheet: &mut Sheet<'_>) {
        let Some(workers) = self.spec.workers else { return };
        let name = [("name", "http-nio-8080")];
        self.gauge(sheet, "tomcat_threads_busy_threads", &name, self.state.in_service.len() as f64);
        self.gauge(sheet, "tomcat_threads_config_max_threads", &name, f64::from(workers));
    }

    /// The callers that are protected, by the name of what they lead to; a second one to the same service has a number.
    fn pools(&self, mut tell: impl FnMut(&Caller, &str)) {
        let mut seen: Vec<&Name> = Vec::new();
        let edges = self.world.edges.iter().filter(|edge| !edge.from_client && edge.caller == self.spec.name);
        for edge in edges {
            let Some(caller) = self.state.callers[edge.local as usize].as_deref() else { continue };
            let callee = &self.world.spec.services[edge.service as usize].name;
            let before = seen.iter().filter(|known| **known == callee).count();
            seen.push(callee);
            let name = if before == 0 { callee.to_string() } else { format!("{callee}-{}", before + 1) };
            tell(caller, &name);
        }
    }

    fn istio(&self, sheet: &mut Sheet<'_>) {
        let version = self.world.spec.services[self.state.service as usize].versions[self.state.version as usize].name.clone();
        let own = (self.spec.name.as_str(), version.as_str());
        for (callee, way) in self.sent() {
            for (index, answer) in ANSWERS.iter().enumerate() {
                let to = if index == NO_HOST { "unknown" } else { callee.as_str() };
                let ends = Ends { reporter: "source", policy: "unknown", source: own, destination: (to, "unknown"), service: callee };
                self.put_istio(sheet, &ends, (answer.code, answer.flag), way.answered(index));
            }
        }
        for (caller, way) in self.received() {
            let source = (caller.map_or("unknown", Name::as_str), "unknown");
            let policy = if caller.is_some() { "mutual_tls" } else { "none" };
            for (index, answer) in
                ANSWERS.iter().enumerate().filter(|(index, _)| !matches!(*index, NO_HOST | NO_CONNECTION | BROKEN | TIMEOUT))
            {
                let ends = Ends { reporter: "destination", policy, source, destination: own, service: &self.spec.name };
                self.put_istio(sheet, &ends, (answer.code, answer.flag), way.answered(index));
            }
        }
    }

    fn put_istio(&self, sheet: &mut Sheet<'_>, ends: &Ends<'_>, (code, flag): (&str, &str), buckets: Option<&Buckets>) {
        let host = format!("{}.{NAMESPACE}.svc.cluster.local", ends.service);
        let place = |workload: &str| if workload == "unknown" { "unknown" } else { NAMESPACE };
        let cluster = |workload: &str| if workload == "unknown" { "unknown" } else { "Kubernetes" };
        // Proxies know each other by their certificates, where both have one.
        let principal = |workload: &str| match workload {
            _ if ends.policy == "none" => "unknown".to_owned(),
            "unknown" => "unknown".to_owned(),
            workload => format!("spiffe://cluster.local/ns/{NAMESPACE}/sa/{workload}"),
        };
        let principals = [principal(ends.source.0), principal(ends.destination.0)];
        let labels = [
            ("reporter", ends.reporter),
            ("source_workload", ends.source.0),
            ("source_workload_namespace", place(ends.source.0)),
            ("source_app", ends.source.0),
            ("source_canonical_service", ends.source.0),
            ("source_canonical_revision", ends.source.1),
            ("source_version", ends.source.1),
            ("source_principal", principals[0].as_str()),
            ("source_cluster", cluster(ends.source.0)),
            ("destination_workload", ends.destination.0),
            ("destination_workload_namespace", place(ends.destination.0)),
            ("destination_app", ends.destination.0),
            ("destination_canonical_service", ends.destination.0),
            ("destination_canonical_revision", ends.destination.1),
            ("destination_version", ends.destination.1),
            ("destination_principal", principals[1].as_str()),
            ("destination_cluster", cluster(ends.destination.0)),
            ("destination_service", host.as_str()),
            ("destination_service_name", ends.service.as_str()),
            ("destination_service_namespace", NAMESPACE),
            ("request_protocol", "http"),
            ("response_code", code),
            ("response_flags", flag),
            ("connection_security_policy", ends.policy),
        ];
        self.count(sheet, "istio_requests_total", &labels, buckets.map_or(0, Buckets::count));
        self.histogram(sheet, &milliseconds("istio_request_duration_milliseconds"), &labels, buckets);
    }

    /// What Linkerd's proxy says of what its process sends, and of what comes to it. A request counts when it is over, while the
    /// proxy's own counter counts it when it comes; one that was given up has no response.
    fn linkerd(&self, sheet: &mut Sheet<'_>) {
        let tls = ("tls", "true");
        for (callee, way) in self.sent() {
            let to = [("direction", "outbound"), ("dst_deployment", callee.as_str()), ("dst_namespace", NAMESPACE), tls];
            self.put_linkerd(sheet, &to, way);
        }
        // Who asks is told of by its own proxy, and not here.
        let received = self.received();
        let all: Vec<Option<Buckets>> =
            (0..ANSWERS.len()).map(|answer| Buckets::sum(received.iter().filter_map(|(_, way)| way.answered(answer)))).collect();
        self.put_linkerd(sheet, &[("direction", "inbound"), tls], &Way::of(all));
    }

    fn put_linkerd(&self, sheet: &mut Sheet<'_>, of: &[(&str, &str)], way: &Way) {
        let deployment = [("deployment", self.spec.name.as_str())];
        let of = [of, &deployment].concat();
        let all = way.count(0..ANSWERS.len());
        sheet.put(Some(all as f64), || named("request_total", &with(self.labels, &of)));
        let codes = [("200", 0..1), ("500", 1..2), ("502", 2..3), ("503", 3..4), ("504", 4..5), ("429", 5..6)];
        for (code, answers) in codes {
            // A proxy that finds nobody, or whose connection breaks, answers itself.
            let own = match code {
                "502" => NO_CONNECTION..BROKEN + 1,
                "503" => NO_HOST..NO_HOST + 1,
                _ => 0..0,
            };
            let buckets = Buckets::sum(answers.chain(own).filter_map(|answer| way.answered(answer)));
            let class = if code.starts_with('5') { "failure" } else { "success" };
            let labels = [&of[..], &[("classification", class), ("status_code", code)]].concat();
            let count = buckets.as_ref().map_or(0, Buckets::count);
            self.count(sheet, "response_total", &labels, count);
            let written = Histogram { name: "response_latency_ms", les: &LINKERD_LES, scale: 1e3 };
            self.histogram(sheet, &written, &[&of[..], &[("status_code", code)]].concat(), buckets.as_ref());
        }
    }

    fn envoy(&self, sheet: &mut Sheet<'_>) {
        self.gauge(sheet, "envoy_server_live", &[], 1.0);
        let active = self.world.under_way(self.replica);
        for ((callee, way), active) in self.sent().into_iter().zip(active) {
            self.put_cluster(sheet, callee, way, active);
        }
        let prefix = ("envoy_http_conn_manager_prefix", "inbound");
        let received = self.received();
        let answered = |class: &str| {
            let codes = (0..CODES.len()).filter(|code| CODES[*code].starts_with(class));
            codes.map(|code| received.iter().map(|(_, way)| way.count([code].into_iter())).sum::<u64>()).sum::<u64>()
        };
        for class in CLASSES {
            let labels = [prefix, ("envoy_response_code_class", class)];
            sheet.put(Some(answered(class) as f64), || named("envoy_http_downstream_rq_xx", &with(self.labels, &labels)));
        }
        let completed = answered("");
        sheet.put(Some(completed as f64), || named("envoy_http_downstream_rq_completed", &with(self.labels, &[prefix])));
        let active = self.state.in_service.len() as f64 + f64::from(self.state.queued);
        // Whoever left before the answer was a request too. One that is under way counts when it is over, while Envoy's own counter counts it when it comes.
        let left: u64 = received.iter().map(|(_, way)| way.count([GONE].into_iter())).sum();
        let total = completed as f64 + left as f64;
        sheet.put(Some(total), || named("envoy_http_downstream_rq_total", &with(self.labels, &[prefix])));
        let all = Buckets::sum(received.iter().flat_map(|(_, way)| (0..CODES.len()).filter_map(|answer| way.answered(answer))));
        self.histogram(sheet, &milliseconds("envoy_http_downstream_rq_time"), &[prefix], all.as_ref());
        self.gauge(sheet, "envoy_http_downstream_rq_active", &[prefix], active);
    }

    /// What Envoy says of a cluster that it sends to. What it answers itself, it counts as answers of the cluster too.
    fn put_cluster(&self, sheet: &mut Sheet<'_>, callee: &Name, way: &Way, active: u64) {
        let cluster = ("envoy_cluster_name", callee.as_str());
        let of = |codes: &[&str]| (0..GONE).filter(|index| codes.contains(&ANSWERS[*index].code)).collect::<Vec<usize>>();
        for code in CODES {
            let count = way.count(of(&[code]).into_iter());
            self.count(sheet, "envoy_cluster_upstream_rq", &[cluster, ("envoy_response_code", code)], count);
        }
        for class in CLASSES {
            let count = way.count((0..GONE).filter(|index| ANSWERS[*index].code.starts_with(class)));
            let labels = [cluster, ("envoy_response_code_class", class)];
            sheet.put(Some(count as f64), || named("envoy_cluster_upstream_rq_xx", &with(self.labels, &labels)));
        }
        let one = |answer: usize| way.count([answer].into_iter());
        // Those that came to no host were never sent.
        let sent = way.count(0..ANSWERS.len()) - one(NO_HOST) - one(NO_CONNECTION) + active;
        let figures = [
            ("envoy_cluster_upstream_rq_total", sent),
            ("envoy_cluster_upstream_rq_completed", way.count(0..GONE)),
            ("envoy_cluster_upstream_rq_timeout", one(TIMEOUT)),
            ("envoy_cluster_upstream_rq_cancelled", one(GONE)),
            ("envoy_cluster_upstream_rq_retry", way.retries),
            ("envoy_cluster_upstream_rq_retry_success", way.retries_succeeded),
            ("envoy_cluster_upstream_rq_retry_limit_exceeded", way.out_of_retries),
            ("envoy_cluster_upstream_cx_none_healthy", one(NO_HOST)),
            ("envoy_cluster_upstream_cx_connect_fail", one(NO_CONNECTION)),
            ("envoy_cluster_upstream_rq_active", active),
        ];
        for (metric, value) in figures {
            sheet.put(Some(value as f64), || named(metric, &with(self.labels, &[cluster])));
        }
        self.put_bounds(sheet, callee);
        let all = sum(way, 0..GONE);
        self.histogram(sheet, &milliseconds("envoy_cluster_upstream_rq_time"), &[cluster], all.as_ref());
    }

    /// What a cluster's bounds kept back: attempts beyond `max_requests`, retries beyond their budget, and who waits for a connection.
    fn put_bounds(&self, sheet: &mut Sheet<'_>, callee: &Name) {
        let is_one = |edge: &&Edge| {
            !edge.from_client && edge.caller == self.spec.name && self.world.spec.services[edge.service as usize].name == *callee
        };
        let callers = || {
            let edges = self.world.edges.iter().filter(is_one);
            edges.filter_map(|edge| self.state.callers[edge.local as usize].as_deref())
        };
        let pools = || callers().filter_map(|caller| caller.pool.as_deref());
        let cluster = ("envoy_cluster_name", callee.as_str());
        let figures = [
            ("envoy_cluster_upstream_rq_pending_overflow", callers().map(|caller| caller.overflow).sum()),
            ("envoy_cluster_upstream_rq_retry_overflow", callers().map(|caller| caller.retry_overflow).sum()),
            ("envoy_cluster_upstream_rq_pending_total", pools().map(|pool| pool.waited).sum()),
            ("envoy_cluster_upstream_rq_pending_active", pools().map(|pool| pool.waiting.len() as u64).sum()),
            ("envoy_cluster_circuit_breakers_default_rq_open", u64::from(callers().any(Caller::is_full))),
            ("envoy_cluster_circuit_breakers_default_rq_retry_open", u64::from(callers().any(Caller::has_all_retries))),
            ("envoy_cluster_circuit_breakers_default_cx_open", u64::from(pools().any(|pool| !pool.has_one()))),
        ];
        for (metric, value) in figures {
            self.gauge(sheet, metric, &[cluster], value as f64);
        }
    }
}

/// Both ends of a way, as Istio names them: workload and version each.
struct Ends<'a> {
    reporter: &'a str,
    policy: &'a str,
    source: (&'a str, &'a str),
    destination: (&'a str, &'a str),
    service: &'a Name,
}

fn with(labels: &LabelsBuilder, more: &[(&str, &str)]) -> LabelsBuilder {
    more.iter().fold(labels.clone(), |labels, (name, value)| labels.set(*name, *value))
}

/// Attempts with this answer, as client libraries count them: with 503 also those for which there was no replica.
fn heard(way: &Way, index: usize) -> Option<Buckets> {
    let is_like = |other: usize| index < CODES.len() && ANSWERS[other].code == ANSWERS[index].code;
    let answers = [Some(index), Some(NO_HOST).filter(|other| is_like(*other))];
    Buckets::sum(answers.into_iter().flatten().filter_map(|answer| way.answered(answer)))
}

/// All of several answers together.
fn sum(way: &Way, answers: std::ops::Range<usize>) -> Option<Buckets> {
    Buckets::sum(answers.filter_map(|answer| way.answered(answer)))
}
