//! Metrics under people's own names, because people's rules use people's names.

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{Feed, LabelSource, MetricSpec};

use crate::notation::{optional, required};
use crate::problem;

/// An entry of `metrics`: `orders_total: { counter: { endpoint: /checkout, success: true }, labels: { code: $code } }`.
#[derive(Clone, Debug)]
pub struct MetricDocument {
    /// Where its name stands.
    pub place: Place,
    /// What it is; labels in the order of their names.
    pub metric: MetricSpec,
    /// Where its endpoint stands, if it names one.
    pub endpoint: Option<Place>,
}

const TYPES: [&str; 3] = ["counter", "histogram", "gauge"];

/// Labels that keep the series of replicas and buckets apart; a metric's own labels may replace others of its target, such as `job`.
const KEPT_LABELS: [&str; 3] = ["instance", "le", "pod"];

/// What every service exposes anyway: a metric of the same name would be counted with it.
const STANDARD: [&str; 12] = [
    "http_client_request_duration_seconds",
    "http_client_requests_total",
    "http_request_duration_seconds",
    "http_requests_in_flight",
    "http_requests_queued",
    "http_requests_total",
    "probe_duration_seconds",
    "probe_success",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "up",
];

/// Reads an entry of `metrics`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> Option<MetricDocument> {
    if !is_metric_name(&name.value) {
        let fault = format!("`{}` is no name of a metric", name.value);
        reader.problem(problem::metric(&name.place, fault, "use letters, digits, _ and :, and begin with no digit"));
    }
    if STANDARD.contains(&&*name.value) {
        let fault = format!("every service exposes `{}` already", name.value);
        reader.problem(problem::metric(&name.place, fault, "remove it, or choose another name"));
    }
    let mut fields = reader.fields(node, "a metric")?;
    let given: Vec<&'static str> = TYPES.into_iter().filter(|kind| fields.has(kind)).collect();
    let mut endpoint = None;
    let mut feed = None;
    for kind in TYPES {
        let Some(node) = fields.optional(kind) else { continue };
        feed = match kind {
            "counter" => read_counter(reader, node, &mut endpoint),
            "histogram" => read_histogram(reader, node, &mut endpoint),
            _ => read_gauge(reader, node),
        };
    }
    if given.len() != 1 {
        reader.problem(problem::one_kind(&name.place, "a metric", &given, &TYPES));
        feed = None;
    }
    let labels = read_labels(reader, &mut fields, feed.as_ref());
    fields.finish(reader);
    Some(MetricDocument { place: name.place, metric: MetricSpec { name: name.value, labels, feed: feed? }, endpoint })
}

fn read_counter(reader: &mut Reader, node: &Node, endpoint: &mut Option<Place>) -> Option<Feed> {
    if let Value::Text(_) = &node.value {
        let all = Feed::Requests { endpoint: None, success: None };
        let words = [("requests", 0), ("cpu_seconds", 1)];
        let word = reader.one_of(node, "what a counter can count", &words)?;
        return Some(if word == 0 { all } else { Feed::CpuSeconds });
    }
    let mut fields = reader.fields(node, "what a counter counts")?;
    let of = read_endpoint(reader, &mut fields, endpoint);
    let success = optional(reader, &mut fields, "success", |r, n| r.boolean(n, "`success`"));
    fields.finish(reader);
    Some(Feed::Requests { endpoint: of, success: success.map(|success| success.value) })
}

fn read_histogram(reader: &mut Reader, node: &Node, endpoint: &mut Option<Place>) -> Option<Feed> {
    let mut fields = reader.fields(node, "a histogram of response times")?;
    let of = read_endpoint(reader, &mut fields, endpoint);
    let buckets = required(reader, &mut fields, "buckets", read_buckets);
    let units = [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)];
    let unit = required(reader, &mut fields, "unit", |r, n| r.one_of(n, "a unit of a histogram", &units));
    fields.finish(reader);
    Some(Feed::Latency { endpoint: of, buckets: buckets?.value, scale: unit?.value })
}

fn read_gauge(reader: &mut Reader, node: &Node) -> Option<Feed> {
    let words = [("in_service", 0), ("queued", 1), ("memory_bytes", 2), ("ready_replicas", 3), ("deploy_timestamp", 4), ("info", 5)];
    let feeds = [Feed::InService, Feed::Queued, Feed::MemoryBytes, Feed::ReadyReplicas, Feed::DeployTimestamp, Feed::Info];
    let index = reader.one_of(node, "what a gauge can show", &words)?;
    feeds.into_iter().nth(index)
}

fn read_endpoint(reader: &mut Reader, fields: &mut Fields<'_>, place: &mut Option<Place>) -> Option<Name> {
    let endpoint = optional(reader, fields, "endpoint", |r, n| r.name(n, "the name of an endpoint"))?;
    *place = Some(endpoint.place);
    Some(endpoint.value)
}

fn read_buckets(reader: &mut Reader, node: &Node) -> Option<Vec<f64>> {
    let nodes = reader.list(node, "the upper bounds of the buckets")?;
    let mut buckets: Vec<f64> = Vec::new();
    for node in nodes {
        let bound = reader.number(node, "the upper bound of a bucket")?;
        if buckets.last().is_some_and(|last| *last >= bound) {
            let fault = format!("the bucket up to {bound} stands after a bucket that is as large or larger");
            reader.problem(problem::metric(&node.place, fault, "put the bounds in ascending order, each once"));
            return None;
        }
        buckets.push(bound);
    }
    if buckets.is_empty() || buckets.len() > 200 {
        let fault = format!("a histogram has {} buckets", buckets.len());
        reader.problem(problem::metric(&node.place, fault, "write 1 to 200 upper bounds; the one to infinity is always there"));
        return None;
    }
    Some(buckets)
}

fn read_labels(reader: &mut Reader, fields: &mut Fields<'_>, feed: Option<&Feed>) -> Vec<(Name, LabelSource)> {
    let Some(given) = fields.optional("labels").and_then(|node| reader.fields(node, "the labels of a metric")) else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    for (key, node) in given.entries() {
        let named = is_label_name(&key.text);
        if !named {
            let fault = format!("`{}` is no name of a label", key.text);
            reader.problem(problem::metric(&key.place, fault, "use letters, digits and _, and begin with no digit and no `__`"));
        }
        if KEPT_LABELS.contains(&&*key.text) {
            let fault = format!("the label `{}` keeps series apart, and cannot be set", key.text);
            reader.problem(problem::metric(&key.place, fault, "remove it, or choose another name"));
        }
        if let Some(source) = read_label(reader, node, feed) {
            labels.push((key.text.clone(), source));
        }
    }
    labels.sort_by(|left, right| left.0.cmp(&right.0));
    labels
}

fn read_label(reader: &mut Reader, node: &Node, feed: Option<&Feed>) -> Option<LabelSource> {
    let text = reader.text(node, "the value of a label")?;
    let Some(source) = text.strip_prefix('$') else { return Some(LabelSource::Fixed(text.clone())) };
    let source = match source {
        "endpoint" => LabelSource::Endpoint,
        "code" => LabelSource::Code,
        "outcome" => LabelSource::Outcome,
        _ => {
            let known = ["$endpoint", "$code", "$outcome"];
            reader.problem(problem::unknown_kind(&node.place, "label value", text, &known, &[]));
            return None;
        }
    };
    let counts_requests = matches!(feed, None | Some(Feed::Requests { .. } | Feed::Latency { .. }));
    if !counts_requests {
        let fault = format!("`{text}` comes from a request, and this metric does not count requests");
        reader.problem(problem::metric(&node.place, fault, "write a fixed value, or remove the label"));
        return None;
    }
    Some(source)
}

fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with("__")
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
