//! What a replica's process exposes about itself and its requests, and what a client says of the services that it calls.

use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_telemetry::labels::{Labels, LabelsBuilder};
use firedrill_telemetry::store::Store;

use super::page::{Page, Sheet};
use super::{clusters, named, named_with, profiles};
use crate::buckets::Buckets;
use crate::caller::{BreakerState, Caller};
use crate::spec::{Feed, LabelSource, MetricSpec, Profile};
use crate::world::{CODES, OUTCOMES, Replica, World};

/// The `le` labels of the default buckets.
const DEFAULT_LES: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// A replica's process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) replica: u32,
    pub(super) page: Page,
    /// The services that it calls, each with the edges to it.
    called: Vec<(Name, Vec<u32>)>,
    own: Vec<Own>,
}

/// One of the service's own metrics.
#[derive(Clone, Debug)]
struct Own {
    /// Its place in the service's list.
    index: usize,
    /// Its place among the histograms.
    histogram: usize,
    /// Whether it says nothing until there is something to count, as client libraries do with labelled metrics.
    lazy: bool,
    groups: Vec<Group>,
    /// The `le` labels of a histogram.
    les: Vec<String>,
}

/// The cells, by endpoint and code, that share one set of label values.
#[derive(Clone, Debug)]
struct Group {
    labels: Vec<(Name, String)>,
    cells: Vec<(usize, usize)>,
}

impl Process {
    pub(super) fn new(world: &World, replica: u32) -> Self {
        let service = world.replicas[replica as usize].service as usize;
        let spec = &world.spec.services[service];
        let mut called: Vec<(Name, Vec<u32>)> = Vec::new();
        for edge in world.edges.iter().filter(|edge| !edge.from_client && edge.caller == spec.name) {
            let name = &world.spec.services[edge.service as usize].name;
            match called.iter_mut().find(|(known, _)| known == name) {
                Some((_, edges)) => edges.push(edge.local),
                None => called.push((name.clone(), vec![edge.local])),
            }
        }
        called.sort();
        let endpoints: Vec<Name> = spec.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let mut histograms = 0;
        let own = spec.metrics.iter().enumerate().map(|(index, metric)| {
            let own = Own::new(index, histograms, (metric, spec.codes()), &endpoints);
            histograms += usize::from(matches!(metric.feed, Feed::Latency { .. }));
            own
        });
        Self { replica, page: Page::default(), called, own: own.collect() }
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let replica = &world.replicas[self.replica as usize];
        let spec = &world.spec.services[replica.service as usize];
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        for (endpoint, counts) in spec.endpoints.iter().zip(&replica.counters.requests) {
            let labels = labels.clone().set("handler", endpoint.name.as_str()).set("method", "GET");
            for (code, count) in CODES.iter().zip(counts).take(spec.codes()) {
                sheet.put((*count > 0).then_some(*count as f64), || named_with("http_requests_total", &labels, ("code", code)));
            }
        }
        for (endpoint, latency) in spec.endpoints.iter().zip(&replica.counters.latency) {
            let labels = labels.clone().set("handler", endpoint.name.as_str());
            put_histogram(
                &mut sheet,
                Histogram { name: "http_request_duration_seconds", labels: &labels, les: &DEFAULT_LES, scale: 1.0 },
                latency,
            );
        }
        for (metric, value) in gauges(world, self.replica) {
            sheet.put(Some(value), || named(metric, labels));
        }
        for (callee, edges) in &self.called {
            for (outcome, word) in OUTCOMES.iter().enumerate() {
                let count: u64 = edges.iter().map(|edge| replica.counters.seen[*edge as usize][outcome]).sum();
                sheet.put((count > 0).then_some(count as f64), || client_series(labels, callee, word));
            }
        }
        put_callers(&self.called, replica, &mut sheet, labels);
        for (cache, gets) in spec.caches.iter().zip(&replica.counters.gets) {
            for (result, count) in ["hit", "miss"].iter().zip(gets) {
                let labels = labels.clone().set("cache", cache.name.as_str()).set("result", *result);
                sheet.put(Some(*count as f64), || named("cache_gets_total", &labels));
            }
        }
        for (cache, count) in spec.caches.iter().zip(&replica.counters.spoilt) {
            if let Some(prefix) = world.prefix_counted(&spec.name, &cache.name) {
                let labels = labels.clone().set("cache", cache.name.as_str());
                sheet.put(Some(*count as f64), || named_with("cache_read_errors_total", &labels, ("prefix", prefix.as_str())));
            }
        }
        for own in &self.own {
            own.expose(world, self.replica, &mut sheet, labels);
        }
        profiles::put(&mut sheet, world, self.replica, labels);
        let in_full = spec.profiles.contains(&Profile::Envoy);
        for (callee, _) in &self.called {
            let callee = world.spec.services.binary_search_by(|spec| spec.name.cmp(callee)).expect("services are sorted by name") as u32;
            clusters::put(&mut sheet, world, (callee, world.view_of_replica(self.replica, callee)), labels, in_full);
        }
    }
}

/// Breakers and pools, by the service that they lead to; a second one to the same service has a number.
fn put_callers(called: &[(Name, Vec<u32>)], replica: &Replica, sheet: &mut Sheet<'_>, labels: &LabelsBuilder) {
    for (callee, edges) in called {
        let protected = edges.iter().filter_map(|edge| replica.callers[*edge as usize].as_deref());
        for (index, caller) in protected.enumerate() {
            let name = if index == 0 { callee.to_string() } else { format!("{callee}-{}", index + 1) };
            put_caller(sheet, labels, caller, &name);
        }
    }
}

/// The states of a breaker, as resilience4j calls them.
const BREAKER_STATES: [BreakerState; 3] = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];

/// What a caller's breaker and pool say of themselves, under the names of resilience4j and HikariCP in Micrometer.
fn put_caller(sheet: &mut Sheet<'_>, labels: &LabelsBuilder, caller: &Caller, name: &str) {
    if let Some(breaker) = &caller.breaker {
        for state in BREAKER_STATES {
            let labels = labels.clone().set("name", name).set("state", state.word());
            let is = f64::from(u8::from(breaker.state() == state));
            sheet.put(Some(is), || named("resilience4j_circuitbreaker_state", &labels));
        }
        let labels = labels.clone().set("name", name);
        let (failed, slow) = breaker.rates();
        sheet.put(Some(failed), || named("resilience4j_circuitbreaker_failure_rate", &labels));
        sheet.put(Some(slow), || named("resilience4j_circuitbreaker_slow_call_rate", &labels));
        let refused = breaker.refused() as f64;
        sheet
            .put(Some(refused), || named_with("resilience4j_circuitbreaker_not_permitted_calls_total", &labels, ("kind", "not_permitted")));
        for (kind, (count, took)) in ["successful", "failed"].iter().zip(breaker.ended()) {
            let calls = "resilience4j_circuitbreaker_calls_seconds";
            sheet.put(Some(count as f64), || named_with(&format!("{calls}_count"), &labels, ("kind", kind)));
            sheet.put(Some(took.as_seconds()), || named_with(&format!("{calls}_sum"), &labels, ("kind", kind)));
        }
    }
    if let Some(pool) = &caller.pool {
        let labels = labels.clone().set("pool", name);
        let figures = [
            ("hikaricp_connections_active", f64::from(pool.taken())),
            ("hikaricp_connections_idle", f64::from(pool.idle())),
            ("hikaricp_connections_max", f64::from(pool.spec.size)),
            ("hikaricp_connections_pending", pool.waiting.len() as f64),
            ("hikaricp_connections_timeout_total", pool.timeouts as f64),
        ];
        for (metric, value) in figures {
            sheet.put(Some(value), || named(metric, &labels));
        }
    }
}

fn client_series(labels: &LabelsBuilder, callee: &str, outcome: &str) -> Labels {
    let labels = labels.clone().set("target", callee).set("outcome", outcome);
    named("http_client_requests_total", &labels)
}

/// The process's own figures.
fn gauges(world: &World, index: u32) -> [(&'static str, f64); 5] {
    let replica = &world.replicas[index as usize];
    [
        ("http_requests_in_flight", replica.begun() as f64),
        ("http_requests_queued", f64::from(replica.queued)),
        ("process_cpu_seconds_total", cpu_seconds(world, replica)),
        ("process_resident_memory_bytes", memory_bytes(world, index) as f64),
        ("process_start_time_seconds", unix_seconds(world, replica.started)),
    ]
}

/// CPU seconds of the present process.
pub(super) fn cpu_seconds(world: &World, replica: &Replica) -> f64 {
    replica.cpu.delivered_seconds(world.now) - replica.cpu_seconds_before + replica.background_seconds(world.now)
}

/// Memory of the present process with the requests that it holds.
pub(super) fn memory_bytes(world: &World, index: u32) -> u64 {
    world.replicas[index as usize].memory.bytes_at(world.now) + world.request_memory(index)
}

/// An instant as metrics tell it.
pub(super) fn unix_seconds(world: &World, at: Time) -> f64 {
    world.spec.start.prometheus_millis(at) as f64 / 1e3
}

/// How a histogram is written down.
struct Histogram<'a, S> {
    name: &'a str,
    labels: &'a LabelsBuilder,
    les: &'a [S],
    /// Units of the metric in a second.
    scale: f64,
}

fn put_histogram<S: AsRef<str>>(sheet: &mut Sheet<'_>, written: Histogram<'_, S>, buckets: &Buckets) {
    let shown = |value: f64| (buckets.count() > 0).then_some(value);
    let Histogram { name, labels, les, scale } = written;
    for (le, count) in les.iter().zip(buckets.cumulative()) {
        sheet.put(shown(count as f64), || named_with(&format!("{name}_bucket"), labels, ("le", le.as_ref())));
    }
    sheet.put(shown(buckets.sum_nanos as f64 / 1e9 * scale), || named(&format!("{name}_sum"), labels));
    sheet.put(shown(buckets.count() as f64), || named(&format!("{name}_count"), labels));
}

impl Own {
    fn new(index: usize, histogram: usize, (metric, codes): (&MetricSpec, usize), endpoints: &[Name]) -> Self {
        let (only, success) = match &metric.feed {
            Feed::Requests { endpoint, success } => (endpoint.as_ref(), *success),
            Feed::Latency { endpoint, .. } => (endpoint.as_ref(), None),
            _ => (None, None),
        };
        let mut groups: Vec<Group> = Vec::new();
        for (endpoint, name) in endpoints.iter().enumerate().filter(|(_, name)| only.is_none_or(|only| only == *name)) {
            for code in (0..codes).filter(|code| success.is_none_or(|success| success == (*code == 0))) {
                let labels: Vec<(Name, String)> =
                    metric.labels.iter().map(|(label, source)| (label.clone(), label_value(source, name, code))).collect();
                match groups.iter_mut().find(|group| group.labels == labels) {
                    Some(group) => group.cells.push((endpoint, code)),
                    None => groups.push(Group { labels, cells: vec![(endpoint, code)] }),
                }
            }
        }
        let les = match &metric.feed {
            Feed::Latency { buckets, .. } => buckets.iter().map(f64::to_string).chain(["+Inf".to_owned()]).collect(),
            _ => Vec::new(),
        };
        let lazy = metric.labels.iter().any(|(_, source)| !matches!(source, LabelSource::Fixed(_)));
        Self { index, histogram, lazy, groups, les }
    }

    fn expose(&self, world: &World, index: u32, sheet: &mut Sheet<'_>, labels: &LabelsBuilder) {
        let replica = &world.replicas[index as usize];
        let service = &world.services[replica.service as usize];
        let metric = &world.spec.services[replica.service as usize].metrics[self.index];
        let gauge = match &metric.feed {
            Feed::Requests { .. } => {
                for group in &self.groups {
                    let count: u64 = group.cells.iter().map(|(endpoint, code)| replica.counters.requests[*endpoint][*code]).sum();
                    let shown = (count > 0 || !self.lazy).then_some(count as f64);
                    sheet.put(shown, || named(&metric.name, &group.all(labels)));
                }
                return;
            }
            Feed::Latency { scale, .. } => {
                for group in &self.groups {
                    let cells =
                        group.cells.iter().map(|(endpoint, code)| &replica.counters.own[self.histogram][endpoint * CODES.len() + code]);
                    let buckets = Buckets::sum(cells).expect("a group has a cell");
                    let labels = group.all(labels);
                    put_histogram(sheet, Histogram { name: &metric.name, labels: &labels, les: &self.les, scale: *scale }, &buckets);
                }
                return;
            }
            Feed::InService => replica.begun() as f64,
            Feed::Queued => f64::from(replica.queued),
            Feed::CpuSeconds => cpu_seconds(world, replica),
            Feed::MemoryBytes => memory_bytes(world, index) as f64,
            Feed::ReadyReplicas => service.ready.len() as f64,
            Feed::DeployTimestamp => unix_seconds(world, service.deployed_at),
            Feed::Info => 1.0,
        };
        // The state of a process has no endpoint or code; such labels stay out.
        let fixed = metric.labels.iter().fold(labels.clone(), |labels, (label, source)| match source {
            LabelSource::Fixed(value) => labels.set(label.as_str(), value.as_str()),
            _ => labels,
        });
        sheet.put(Some(gauge), || named(&metric.name, &fixed));
    }
}

impl Group {
    fn all(&self, labels: &LabelsBuilder) -> LabelsBuilder {
        self.labels.iter().fold(labels.clone(), |labels, (label, value)| labels.set(label.as_str(), value.as_str()))
    }
}

fn label_value(source: &LabelSource, endpoint: &Name, code: usize) -> String {
    match source {
        LabelSource::Fixed(value) => value.to_string(),
        LabelSource::Endpoint => endpoint.to_string(),
        LabelSource::Code => CODES[code].to_owned(),
        LabelSource::Outcome => if code == 0 { "success" } else { "error" }.to_owned(),
        LabelSource::ByOutcome { success, error } => if code == 0 { success } else { error }.to_string(),
        LabelSource::ErrorCode if code == 0 => String::new(),
        LabelSource::ErrorCode => CODES[code].to_owned(),
    }
}

/// A client, as its own monitoring sees it.
#[derive(Clone, Debug)]
pub(super) struct ClientPage {
    client: u32,
    pub(super) page: Page,
}

impl ClientPage {
    pub(super) fn new(client: u32) -> Self {
        Self { client, page: Page::default() }
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let client = &world.clients[self.client as usize];
        let callee = &world.spec.services[world.edges[client.edge as usize].service as usize].name;
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        for (word, count) in OUTCOMES.iter().zip(&client.seen) {
            sheet.put((*count > 0).then_some(*count as f64), || client_series(labels, callee, word));
        }
        for (word, latency) in OUTCOMES.iter().zip(&client.latency) {
            let labels = labels.clone().set("target", callee.as_str()).set("outcome", *word);
            let written = Histogram { name: "http_client_request_duration_seconds", labels: &labels, les: &DEFAULT_LES, scale: 1.0 };
            put_histogram(&mut sheet, written, latency);
        }
        let seen = (world.edges[client.edge as usize].service, world.view_of_client(self.client));
        clusters::put(&mut sheet, world, seen, labels, false);
    }
}
