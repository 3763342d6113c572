//! The HTTP API of the rehearsal's Prometheus, as a function: a request and a rehearsal give a response.
//!
//! Whoever asks by another clock asks for now: an instant that lies neither in the rehearsal nor in what it remembers counts as the rehearsal's own
//! now. So a watcher whose clock is the real one can watch a rehearsal that runs in another year, and faster.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use firedrill_core::time::{Span, Start};
use firedrill_policies::rules::{RuleKind, RulerSettings};
use firedrill_telemetry::labels::{Labels, METRIC_NAME, Matcher};
use firedrill_telemetry::promql::{Evaluated, Plan, PlanError, Sample, Steps, Value, written};
use firedrill_telemetry::store::{SeriesId, Store, is_stale};
use serde_json::json;

use super::Rehearsal;

/// A request: its path, and the fields of its query and of its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Such as `/api/v1/query`.
    pub path: String,
    /// Names and values; a name may come several times.
    pub fields: Vec<(String, String)>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status of HTTP.
    pub status: u16,
    /// `application/json` or `text/plain`.
    pub content_type: &'static str,
    /// The whole body.
    pub body: String,
}

/// Why a request is refused, in Prometheus' words.
struct Refusal {
    status: u16,
    kind: &'static str,
    reason: String,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Answers a request.
#[must_use]
pub fn answer(rehearsal: &Rehearsal, request: &Request) -> Response {
    let text = |body: String| Response { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body };
    // What the targets show is there whether or not somebody scrapes it.
    if request.path == "/metrics" {
        return text(metrics(rehearsal));
    }
    if !rehearsal.runs() {
        return Response { status: 503, content_type: "text/plain", body: "Service Unavailable\n".to_owned() };
    }
    let data = match request.path.as_str() {
        "/-/healthy" => return text("Prometheus Server is Healthy.\n".to_owned()),
        "/-/ready" => return text("Prometheus Server is Ready.\n".to_owned()),
        "/api/v1/query" => query(rehearsal, request),
        "/api/v1/query_range" => query_range(rehearsal, request),
        "/api/v1/series" => series(rehearsal, request),
        "/api/v1/labels" => labels(rehearsal, request),
        "/api/v1/rules" => Ok((rules(rehearsal), Vec::new())),
        "/api/v1/alerts" => Ok((json!({ "alerts": alerts(rehearsal, None) }).to_string(), Vec::new())),
        "/api/v1/status/buildinfo" => Ok((build(), Vec::new())),
        path => match path.strip_prefix("/api/v1/label/").and_then(|rest| rest.strip_suffix("/values")) {
            Some(label) => values(rehearsal, request, label),
            None => Err(Refusal { status: 404, kind: "not_found", reason: format!("there is no {path} here") }),
        },
    };
    match data {
        Ok((data, warnings)) if warnings.is_empty() => json_response(200, format!("{{\"status\":\"success\",\"data\":{data}}}")),
        Ok((data, warnings)) => json_response(200, format!("{{\"status\":\"success\",\"data\":{data},\"warnings\":{}}}", json!(warnings))),
        Err(Refusal { status, kind, reason }) => {
            json_response(status, json!({ "status": "error", "errorType": kind, "error": reason }).to_string())
        }
    }
}

const fn json_response(status: u16, body: String) -> Response {
    Response { status, content_type: "application/json", body }
}

/// `data` as JSON, and warnings.
type Data = Result<(String, Vec<String>), Refusal>;

fn bad(reason: impl Into<String>) -> Refusal {
    Refusal { status: 400, kind: "bad_data", reason: reason.into() }
}

fn plan(request: &Request) -> Result<Plan, Refusal> {
    let text = request.field("query").ok_or_else(|| bad("invalid parameter \"query\": it is not there"))?;
    Plan::parse(text).map_err(|error| match error {
        PlanError::Parse { message } => bad(format!("invalid parameter \"query\": {message}")),
        PlanError::Unsupported { .. } => Refusal { status: 422, kind: "execution", reason: error.to_string() },
    })
}

/// An instant as it is written, milliseconds since 1970.
fn written_instant(text: &str) -> Option<i64> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1_000.0).round() as i64);
    seconds.or_else(|| Start::parse(text).ok().map(Start::unix_millis))
}

/// An instant as the API takes it, milliseconds since 1970; one of another clock is now.
fn instant(rehearsal: &Rehearsal, request: &Request, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = request.field(name) else { return Ok(None) };
    let at_ms = written_instant(text);
    let at_ms = at_ms.ok_or_else(|| bad(format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp")))?;
    let now_ms = rehearsal.now_ms();
    let oldest = rehearsal.raw().ids().filter_map(|id| rehearsal.raw().times(id).first().copied()).min();
    let first_ms = oldest.unwrap_or(now_ms).min(rehearsal.start().unix_millis());
    Ok(Some(if (first_ms..=now_ms).contains(&at_ms) { at_ms } else { now_ms }))
}

fn query(rehearsal: &Rehearsal, request: &Request) -> Data {
    let plan = plan(request)?;
    let at_ms = instant(rehearsal, request, "time")?.unwrap_or_else(|| rehearsal.now_ms());
    let evaluated = rehearsal.evaluated(&plan, at_ms).map_err(|error| execution(&error.to_string()))?;
    // Whoever asks by another clock is answered by that one.
    let told_ms = request.field("time").and_then(written_instant).unwrap_or(at_ms);
    Ok(result(&evaluated, told_ms))
}

fn query_range(rehearsal: &Rehearsal, request: &Request) -> Data {
    let plan = plan(request)?;
    let needed =
        |name: &str| instant(rehearsal, request, name)?.ok_or_else(|| bad(format!("invalid parameter \"{name}\": it is not there")));
    let (from_ms, to_ms) = (needed("start")?, needed("end")?);
    let step = request.field("step").unwrap_or_default();
    let seconds = step.parse::<f64>().ok().map(|seconds| (seconds * 1_000.0) as i64);
    let step_ms = seconds.or_else(|| Span::parse(step).ok().and_then(|span| i64::try_from(span.as_millis()).ok()));
    let step_ms =
        step_ms.filter(|step_ms| *step_ms > 0).ok_or_else(|| bad("invalid parameter \"step\": it must be a positive duration"))?;
    if to_ms < from_ms {
        return Err(bad("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    if (to_ms - from_ms) / step_ms > 11_000 {
        return Err(bad("exceeded maximum resolution of 11,000 points per timeseries"));
    }
    let evaluated = rehearsal.evaluated_range(&plan, Steps { from_ms, to_ms, step_ms }).map_err(|error| execution(&error.to_string()))?;
    Ok(result(&evaluated, to_ms))
}

fn execution(reason: &str) -> Refusal {
    Refusal { status: 422, kind: "execution", reason: reason.to_owned() }
}

fn result(evaluated: &Evaluated, at_ms: i64) -> (String, Vec<String>) {
    let warnings = evaluated.annotations.iter().map(ToString::to_string).collect();
    let data = match &evaluated.value {
        Value::Scalar(value) => format!("{{\"resultType\":\"scalar\",\"result\":{}}}", sample(at_ms, *value)),
        Value::Text(text) => format!("{{\"resultType\":\"string\",\"result\":[{},{}]}}", seconds(at_ms), json!(text)),
        Value::Vector(elements) => {
            let one = |element: &Sample| format!("{{\"metric\":{},\"value\":{}}}", metric(&element.labels), sample(at_ms, element.value));
            format!("{{\"resultType\":\"vector\",\"result\":[{}]}}", elements.iter().map(one).collect::<Vec<_>>().join(","))
        }
        Value::Matrix(rows) => {
            let rows = rows.iter().map(|row| {
                let samples: Vec<String> =
                    row.samples.iter().filter(|(_, value)| !is_stale(*value)).map(|(at_ms, value)| sample(*at_ms, *value)).collect();
                format!("{{\"metric\":{},\"values\":[{}]}}", metric(&row.labels), samples.join(","))
            });
            format!("{{\"resultType\":\"matrix\",\"result\":[{}]}}", rows.collect::<Vec<_>>().join(","))
        }
    };
    (data, warnings)
}

fn metric(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}:{}", json!(&**name), json!(&**value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn sample(at_ms: i64, value: f64) -> String {
    format!("[{},\"{}\"]", seconds(at_ms), written(value))
}

/// Seconds, with milliseconds only where there are any.
fn seconds(at_ms: i64) -> String {
    let (whole, rest) = (at_ms.div_euclid(1_000), at_ms.rem_euclid(1_000));
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}") }
}

/// The series of both stores that selectors find and that have a sample in the time asked for.
fn found<'a>(rehearsal: &'a Rehearsal, request: &Request) -> Result<BTreeSet<&'a Labels>, Refusal> {
    let selectors: Vec<Plan> = request
        .all("match[]")
        .map(|text| Plan::parse(text).map_err(|error| bad(format!("invalid parameter \"match[]\": {error}"))))
        .collect::<Result<_, _>>()?;
    let from_ms = match request.field("start") {
        Some(_) => instant(rehearsal, request, "start")?.unwrap_or(i64::MIN),
        None => i64::MIN,
    };
    let to_ms = instant(rehearsal, request, "end")?.unwrap_or_else(|| rehearsal.now_ms());
    let matchers: Vec<&[Matcher]> = match &selectors[..] {
        [] => vec![&[]],
        all => all.iter().filter_map(|plan| plan.selectors().first()).map(firedrill_telemetry::promql::Selector::matchers).collect(),
    };
    let is_seen = |store: &Store, id: SeriesId| {
        let samples = store.times(id).iter().zip(store.values(id));
        samples.into_iter().any(|(at_ms, value)| (from_ms..=to_ms).contains(at_ms) && !is_stale(*value))
    };
    let of = |store: &'a Store| {
        let ids: BTreeSet<SeriesId> = matchers.iter().flat_map(|matchers| store.select(matchers)).collect();
        ids.into_iter().filter(|id| is_seen(store, *id)).map(|id| store.labels(id)).collect::<Vec<_>>()
    };
    Ok(of(rehearsal.raw()).into_iter().chain(of(rehearsal.ruler().derived())).collect())
}

fn series(rehearsal: &Rehearsal, request: &Request) -> Data {
    if request.field("match[]").is_none() {
        return Err(bad("no match[] parameter provided"));
    }
    let all: Vec<String> = found(rehearsal, request)?.into_iter().map(metric).collect();
    Ok((format!("[{}]", all.join(",")), Vec::new()))
}

fn labels(rehearsal: &Rehearsal, request: &Request) -> Data {
    let names: BTreeSet<&str> = found(rehearsal, request)?.into_iter().flat_map(Labels::iter).map(|(name, _)| &**name).collect();
    Ok((json!(names).to_string(), Vec::new()))
}

fn values(rehearsal: &Rehearsal, request: &Request, label: &str) -> Data {
    let values: BTreeSet<&str> = found(rehearsal, request)?.into_iter().filter_map(|labels| labels.get(label)).collect();
    Ok((json!(values).to_string(), Vec::new()))
}

/// The alerts that are on, of one rule or of all, as the rules have written them down.
fn alerts(rehearsal: &Rehearsal, name: Option<&str>) -> Vec<serde_json::Value> {
    let ask = |text: &str| match Plan::parse(text).ok().and_then(|plan| rehearsal.evaluated(&plan, rehearsal.now_ms()).ok()) {
        Some(Evaluated { value: Value::Vector(elements), .. }) => elements,
        _ => Vec::new(),
    };
    let since = ask("ALERTS_FOR_STATE");
    let firing: Vec<_> = rehearsal.ruler().firing_values().collect();
    let one = |element: &Sample| {
        let labels = element.labels.without(METRIC_NAME).without("alertstate");
        let active = since.iter().find(|other| other.labels.without(METRIC_NAME) == labels).map(|other| other.value);
        let active = active.map(|seconds| Start::from_unix_millis((seconds * 1_000.0) as i64).to_string());
        let value = firing.iter().find(|(_, own, _)| **own == labels).map(|(_, _, value)| written(*value));
        let named: serde_json::Map<String, serde_json::Value> =
            labels.iter().map(|(name, value)| (name.to_string(), json!(&**value))).collect();
        json!({ "labels": named, "annotations": {}, "state": element.labels.get("alertstate"), "activeAt": active, "value": value })
    };
    let is_asked = |element: &&Sample| name.is_none_or(|name| element.labels.get("alertname") == Some(name));
    ask("ALERTS").iter().filter(is_asked).map(one).collect()
}

fn rules(rehearsal: &Rehearsal) -> String {
    let default = RulerSettings::default().evaluation_interval;
    let groups = rehearsal.rules().set.groups.iter().map(|group| {
        let rules = group.rules.iter().map(|rule| match rule.kind {
            RuleKind::Recording => json!({ "type": "recording", "name": rule.name, "query": rule.expression, "health": "ok" }),
            RuleKind::Alerting { hold, keep_firing } => {
                let alerts = alerts(rehearsal, Some(&rule.name));
                let is = |state: &str| alerts.iter().any(|alert| alert["state"] == state);
                let state = if is("firing") { "firing" } else if is("pending") { "pending" } else { "inactive" };
                json!({
                    "type": "alerting", "name": rule.name, "query": rule.expression, "health": "ok", "state": state, "alerts": alerts,
                    "duration": hold.as_seconds(), "keepFiringFor": keep_firing.as_seconds(),
                })
            }
        });
        let interval = group.interval.unwrap_or(default).as_seconds();
        json!({ "name": group.name, "file": group.file, "interval": interval, "limit": group.limit.unwrap_or(0), "rules": rules.collect::<Vec<_>>() })
    });
    json!({ "groups": groups.collect::<Vec<_>>() }).to_string()
}

fn build() -> String {
    json!({ "version": concat!("firedrill-", env!("CARGO_PKG_VERSION")), "revision": "", "branch": "", "goVersion": "" }).to_string()
}

/// What the targets of the rehearsal show now, on one page, in the classic text format. A Prometheus that scrapes it should honour its labels.
fn metrics(rehearsal: &Rehearsal) -> String {
    let (raw, now_ms) = (rehearsal.raw(), rehearsal.now_ms());
    let mut text = String::new();
    for id in raw.ids() {
        let last = raw.times(id).last().zip(raw.values(id).last());
        let Some((at_ms, value)) = last else { continue };
        let is_there = !is_stale(*value) && now_ms - at_ms < firedrill_telemetry::promql::LOOKBACK_MS;
        // What a scrape adds of itself is of that scrape.
        if is_there && raw.labels(id).metric_name().is_some_and(|name| name != "up" && !name.starts_with("scrape_")) {
            writeln!(text, "{} {}", raw.labels(id), written(*value)).expect("a string takes all");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::{AnswerKind, Exchange, Prometheus, Reply, Trouble};
    use crate::rehearsal::tests::rehearsal;
    use firedrill_core::time::Time;
    use std::sync::Arc;

    /// A rehearsal that can be asked by our own client, without a socket.
    #[derive(Debug)]
    struct Asked(Rehearsal);

    impl Exchange for Asked {
        fn exchange(&self, path: &str, form: &[(&str, String)]) -> Result<Reply, Trouble> {
            let fields = form.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let response = answer(&self.0, &Request { path: path.to_owned(), fields });
            Ok(Reply { status: response.status, body: response.body.into_bytes() })
        }
    }

    /// At 150 s: `api-1` is down and its alert fires.
    fn prometheus() -> (Prometheus, i64) {
        let mut rehearsal = rehearsal();
        while rehearsal.now() < Time::from_seconds(150) {
            rehearsal.advance(Time::from_seconds(150));
        }
        let now_ms = rehearsal.now_ms();
        (Prometheus::over("http://p", Arc::new(Asked(rehearsal))), now_ms)
    }

    fn told(series: &[crate::prometheus::Samples]) -> Vec<String> {
        series.iter().map(|series| format!("{} {}", series.labels, series.samples.last().unwrap().1)).collect()
    }

    #[test]
    fn our_own_client_is_answered_as_by_a_prometheus() {
        let (prometheus, now_ms) = prometheus();
        let up = prometheus.query("up", None).unwrap();
        assert_eq!(
            (up.kind, told(&up.series)),
            (AnswerKind::Vector, vec!["up{pod=\"api-0\"} 1".to_owned(), "up{pod=\"api-1\"} 0".to_owned()])
        );
        assert_eq!(told(&prometheus.query("pods:up", Some(now_ms)).unwrap().series), ["pods:up 1"]);
        let raw = prometheus.query("up{pod=\"api-1\"}[20s]", Some(now_ms)).unwrap();
        assert_eq!((raw.kind, raw.series[0].samples.len()), (AnswerKind::Matrix, 4));
        assert_eq!(prometheus.query("scalar(sum(up))", None).unwrap().kind, AnswerKind::Scalar);
        let steps = prometheus.query_range("sum(up)", (now_ms - 60_000, now_ms), 30_000).unwrap();
        assert_eq!(steps.series[0].samples.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [2.0, 1.0, 1.0]);
        assert_eq!(prometheus.series("up", (now_ms - 60_000, now_ms)).unwrap().len(), 2);
        let alerts = prometheus.alerts().unwrap();
        assert!(alerts.len() == 1 && alerts[0].is_firing && alerts[0].labels.get("pod") == Some("api-1"), "{alerts:?}");
        assert!(alerts[0].since_ms.is_some_and(|since_ms| (now_ms - 50_000..now_ms - 40_000 + 10_000).contains(&since_ms)));
        let rules = prometheus.rules().unwrap();
        assert_eq!((rules[0].interval_ms, rules[0].rules.len(), rules[0].rules[1].hold_ms), (10_000, 2, 20_000));
    }

    #[test]
    fn whoever_asks_by_another_clock_asks_for_now() {
        let (prometheus, now_ms) = prometheus();
        for at_ms in [now_ms + 1, now_ms + 400 * 86_400_000, 0] {
            assert_eq!(told(&prometheus.query("sum(up)", Some(at_ms)).unwrap().series), ["{} 1"]);
        }
        assert_eq!(told(&prometheus.query("sum(up)", Some(now_ms - 100_000)).unwrap().series), ["{} 2"], "what was, was");
    }

    #[test]
    fn what_is_wrong_is_refused_in_prometheus_words() {
        let (prometheus, now_ms) = prometheus();
        let refused = |expression: &str| prometheus.query(expression, None).unwrap_err().to_string();
        assert!(refused("up ==").contains("bad_data: invalid parameter \"query\""), "{}", refused("up =="));
        assert!(refused("up + on () group_left up").contains("execution"), "{}", refused("up + on () group_left up"));
        let many = prometheus.query_range("up", (now_ms - 20_000, now_ms), 1).unwrap_err().to_string();
        assert!(many.contains("11,000 points"), "{many}");
        let response = answer(&rehearsal(), &Request { path: "/api/v1/admin/tsdb/delete_series".to_owned(), fields: Vec::new() });
        assert_eq!(response.status, 404);
    }

    #[test]
    fn the_targets_can_be_scraped() {
        let page = answer(&rehearsal(), &Request { path: "/metrics".to_owned(), fields: Vec::new() });
        assert_eq!((page.status, page.body.as_str()), (200, "load{pod=\"api-1\"} 2.5\n"), "`up` is of whoever scrapes");
    }
}
