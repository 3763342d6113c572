//! What a run leaves for tools that read logs and traces: JSON Lines in the words of OpenTelemetry, one log record or span a line.
//!
//! One number leads from a user's request to what was done about it: a log record of an alert names the traces of requests that went wrong
//! where the alert points, and carries a correlation that the records of the decision and of the action carry too.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::ActionId;
use firedrill_core::journal::{Event, Input, LabelSet, Record, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::random::{hash64, mix64};
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Transcript;
use firedrill_sim::trace::TraceSpan;
use serde_json::{Value, json};

/// Traces that an alert's record names at most.
const EXAMPLES: usize = 3;
/// How long before an alert a request may have gone wrong to be an example of it.
const RECENT: Span = Span::from_minutes(5);

/// Spans as JSON Lines.
#[must_use]
pub fn traces(start: Start, seed: u64, spans: &[TraceSpan]) -> String {
    let lines = spans.iter().map(|span| {
        let kind = if span.parent.is_none() { "SPAN_KIND_INTERNAL" } else { "SPAN_KIND_CLIENT" };
        let mut attributes = BTreeMap::from([("http.route", json!(span.endpoint)), ("server.address", json!(span.service))]);
        if let Some(code) = span.received() {
            attributes.insert("http.response.status_code", json!(code));
        }
        if let Some(replica) = &span.replica {
            attributes.insert("network.peer.address", json!(replica));
        }
        if span.attempt > 0 {
            attributes.insert("http.request.resend_count", json!(span.attempt));
        }
        if span.is_failed() && !span.error.is_empty() {
            attributes.insert("error.type", json!(span.error));
        }
        let line = json!({
            "traceId": trace_id(seed, span.request),
            "spanId": span_id(span.request, span.id),
            "parentSpanId": span.parent.map(|parent| span_id(span.request, parent)),
            "name": format!("GET {}", span.endpoint),
            "kind": kind,
            "startTimeUnixNano": unix_nanos(start, span.started),
            "endTimeUnixNano": unix_nanos(start, span.ended),
            "status": { "code": status(span) },
            "resource": { "service.name": service_of(&span.caller, span), "service.instance.id": span.caller },
            "attributes": attributes,
        });
        format!("{line}\n")
    });
    lines.collect()
}

/// How a span ended. Of an attempt that another one made needless nobody can say it.
fn status(span: &TraceSpan) -> &'static str {
    match (span.is_failed(), span.is_outrun()) {
        (true, _) => "STATUS_CODE_ERROR",
        (false, true) => "STATUS_CODE_UNSET",
        (false, false) => "STATUS_CODE_OK",
    }
}

/// Who made a span: a client by its name, a replica by its service's.
fn service_of<'a>(caller: &'a Name, span: &TraceSpan) -> &'a str {
    let is_replica = span.parent.is_some_and(|parent| parent != 0);
    caller.rsplit_once('-').filter(|_| is_replica).map_or(caller.as_str(), |(service, _)| service)
}

/// Log records as JSON Lines: what happened in the journal's words, and the requests among `spans` that went wrong.
#[must_use]
pub fn logs(start: Start, transcript: &Transcript, spans: &[TraceSpan]) -> String {
    let seed = transcript.header.seed;
    let mut known = Correlations::default();
    let mut lines: Vec<(Time, String)> = Vec::new();
    for record in transcript.journal.records() {
        if let Some(line) = journal_line(start, seed, record, &mut known, spans) {
            lines.push((record.at, line));
        }
    }
    for span in spans.iter().filter(|span| span.is_failed()) {
        lines.push((span.ended, request_line(start, seed, span)));
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn request_line(start: Start, seed: u64, span: &TraceSpan) -> String {
    let why = if span.error.is_empty() { span.code } else { span.error };
    json!({
        "timeUnixNano": unix_nanos(start, span.ended),
        "severityText": if span.parent.is_none() { "ERROR" } else { "WARN" },
        "body": format!("{} of {} failed: {why}", span.endpoint, span.service),
        "traceId": trace_id(seed, span.request),
        "spanId": span_id(span.request, span.id),
        "resource": { "service.name": service_of(&span.caller, span), "service.instance.id": span.caller },
        "attributes": { "event.name": "request.failed", "server.address": span.service, "duration_ms": span.ended.since(span.started).as_seconds() * 1e3 },
    })
    .to_string()
}

/// What belongs together: alerts by their labels, what a policy has taken up, and its actions.
#[derive(Debug, Default)]
struct Correlations {
    alerts: BTreeMap<(Name, LabelSet), u64>,
    /// Those of them that are over.
    over: BTreeSet<(Name, LabelSet)>,
    incidents: BTreeMap<(Name, u64), u64>,
    actions: BTreeMap<ActionId, u64>,
}

impl Correlations {
    /// The correlation of an event, if it is one of those that have one.
    fn of(&mut self, at: Time, event: &Event) -> Option<u64> {
        match event {
            Event::AlertPending { alert, labels, .. } | Event::AlertFiring { alert, labels, .. } => {
                let key = (alert.clone(), labels.clone());
                // What was over and comes again is another alert; until then its end may still be told to somebody.
                if self.over.remove(&key) {
                    self.alerts.remove(&key);
                }
                let fresh = mix64(hash64(&format!("{alert}{labels:?}")), at.as_nanos());
                Some(*self.alerts.entry(key).or_insert(fresh))
            }
            Event::AlertResolved { alert, labels } => {
                let key = (alert.clone(), labels.clone());
                self.over.insert(key.clone());
                self.alerts.get(&key).copied()
            }
            Event::Notified { notification } => self.alert(&notification.alert, &notification.labels),
            Event::Received { input: Input::Notified(told), .. } => self.alert(&told.alert, &told.labels),
            Event::IncidentOpened { policy, incident, alert, labels, .. } => {
                let found = self.alert(alert, labels).unwrap_or_else(|| mix64(hash64(policy), *incident));
                self.incidents.insert((policy.clone(), *incident), found);
                Some(found)
            }
            Event::Guarded { policy, incident, .. }
            | Event::Refused { policy, incident, .. }
            | Event::Verified { policy, incident, .. }
            | Event::Paged { policy, incident, .. }
            | Event::Informed { policy, incident, .. }
            | Event::Collected { policy, incident, .. }
            | Event::Chosen { policy, incident, .. }
            | Event::Planned { policy, incident, .. }
            | Event::Proposed { policy, incident, .. }
            | Event::ProposalChanged { policy, incident, .. }
            | Event::Confident { policy, incident, .. }
            | Event::IncidentClosed { policy, incident, .. }
            | Event::WouldAct { policy, incident, .. } => self.incidents.get(&(policy.clone(), *incident)).copied(),
            Event::Decided { policy, incident, action, .. } => {
                let found = self.incidents.get(&(policy.clone(), *incident)).copied()?;
                self.actions.insert(action.clone(), found);
                Some(found)
            }
            Event::ActionStarted { action, .. } | Event::ActionFinished { action, .. } => self.actions.get(action).copied(),
            _ => None,
        }
    }

    /// The correlation of an alert, by all labels that it has itself: a notification may say more of it.
    fn alert(&self, alert: &Name, labels: &LabelSet) -> Option<u64> {
        let is_it = |known: &LabelSet| known.iter().all(|(name, value)| labels.get(name) == Some(value));
        self.alerts.iter().find(|((name, known), _)| name == alert && is_it(known)).map(|(_, found)| *found)
    }
}

fn journal_line(start: Start, seed: u64, record: &Record, known: &mut Correlations, spans: &[TraceSpan]) -> Option<String> {
    let correlation = known.of(record.at, &record.event);
    let event = serde_json::to_value(&record.event).expect("an event is plain data");
    let Value::Object(fields) = event else { return None };
    let (kind, mut attributes) = fields.into_iter().next()?;
    let began = match &record.event {
        Event::Notified { .. } => attributes.pointer_mut("/notification/starts_at"),
        Event::Received { .. } => attributes.pointer_mut("/input/notified/starts_at"),
        _ => None,
    };
    if let Some(began) = began {
        // Beside absolute times a time of the run would be taken for one.
        *began = json!(unix_nanos(start, Time::from_nanos(began.as_u64().unwrap_or_default())));
    }
    // A fault is the truth, and no log says it; what follows of it is logged by whom it strikes.
    if matches!(kind.as_str(), "fault_started" | "fault_ended" | "run_ended") {
        return None;
    }
    let severity = match &record.event {
        // To start up and to be ready is what is hoped for.
        Event::ReplicaChanged { state: ReplicaState::Starting | ReplicaState::Ready, .. } => "INFO",
        Event::AlertFiring { .. } | Event::RolloutStalled { .. } | Event::BoundReached { .. } => "ERROR",
        Event::ReplicaChanged { .. } | Event::AlertPending { .. } | Event::Refused { .. } | Event::BreakerChanged { .. } => "WARN",
        _ => "INFO",
    };
    let mut line = json!({
        "timeUnixNano": unix_nanos(start, record.at),
        "severityText": severity,
        "body": kind.replace('_', " "),
        "attributes": { "event.name": event_name(&kind), "event": attributes },
    });
    if let Some(correlation) = correlation {
        line["attributes"]["correlation_id"] = json!(format!("{correlation:016x}"));
    }
    if let Event::AlertFiring { labels, .. } = &record.event {
        let examples = examples(labels, record.at, spans);
        line["attributes"]["exemplar_trace_ids"] = examples.iter().map(|span| trace_id(seed, span.request)).collect();
    }
    Some(line.to_string())
}

/// Changes have names of their own, so that tools can draw them over graphs.
fn event_name(kind: &str) -> String {
    match kind {
        "rollout_started" | "rollout_finished" | "rollout_stalled" => format!("change.deploy.{}", kind.trim_start_matches("rollout_")),
        "flag_changed" => "change.flag".to_owned(),
        "scaled" | "autoscaled" | "retries_limited" => format!("change.configuration.{kind}"),
        other => other.to_owned(),
    }
}

/// The latest requests that went wrong where an alert points; anywhere, if it names no service.
fn examples<'a>(labels: &LabelSet, at: Time, spans: &'a [TraceSpan]) -> Vec<&'a TraceSpan> {
    let service = labels.iter().find(|(name, _)| name.as_str() == "service").map(|(_, service)| service);
    let is_example = |span: &&TraceSpan| {
        span.is_failed() && span.ended <= at && at.since(span.ended) <= RECENT && service.is_none_or(|service| span.service == *service)
    };
    let mut found: Vec<&TraceSpan> = spans.iter().filter(is_example).collect();
    found.sort_by_key(|span| (std::cmp::Reverse(span.ended), span.request));
    let mut told = BTreeSet::new();
    found.retain(|span| told.insert(span.request));
    found.truncate(EXAMPLES);
    found
}

fn trace_id(seed: u64, request: u64) -> String {
    format!("{:016x}{request:016x}", mix64(seed, request))
}

fn span_id(request: u64, id: u64) -> String {
    // The request itself has the number zero, which no span may have.
    format!("{:016x}", if id == 0 { request | 1 } else { id })
}

fn unix_nanos(start: Start, at: Time) -> String {
    (i128::from(start.unix_millis()) * 1_000_000 + i128::from(at.as_nanos())).to_string()
}
