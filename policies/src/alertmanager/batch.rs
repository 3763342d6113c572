//! A batch of alerts to be routed: from when to when each fires, and who is expected to be told.

use firedrill_core::journal::LabelSet;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::yaml::{self, Node, Reader, Value};

use super::alert::PostedAlert;
use super::config::Config;
use super::problem;
use super::rehearsal::Rehearsal;
use super::silence::{Silence, silences, span};
use crate::rules::unit_test::{NotificationTest, read_notification_tests};

/// How long time passes after the last change if the batch does not say.
const DEFAULT_REST: Span = Span::from_minutes(60);

/// The most flushes of groups that a batch may ask for; each leaves a record.
const MOST_FLUSHES: u64 = 1_000_000;

/// Alerts, and what is expected of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The calendar instant of its start.
    pub start: Start,
    /// How long it lasts.
    pub until: Span,
    /// The alerts, in the order of the file.
    pub alerts: Vec<BatchAlert>,
    /// Silences, in the order of the file.
    pub silences: Vec<Silence>,
    /// What receivers are expected to be told.
    pub notifications: Vec<NotificationTest>,
}

/// An alert of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAlert {
    /// What it is about.
    pub labels: LabelSet,
    /// For people.
    pub annotations: LabelSet,
    /// From when on it fires, after the start.
    pub from: Span,
    /// When it is over; `None`: not before the end.
    pub to: Option<Span>,
}

impl Batch {
    /// The batch as something to be rehearsed.
    #[must_use]
    pub fn rehearsal(&self) -> Rehearsal {
        Rehearsal { start: self.start, posts: self.posts(), silences: self.silences.clone(), until: Time::ZERO + self.until }
    }

    /// Why it would take for ever to route: the groups of its alerts would be looked at more often than [`MOST_FLUSHES`]. `path` is the file's.
    #[must_use]
    pub fn excess(&self, path: &str, config: &Config) -> Option<Problem> {
        let interval = config.routes.iter().map(|route| route.options.group_interval).min().filter(|interval| *interval > Span::ZERO)?;
        let flushes = |alert: &BatchAlert| self.until.as_nanos().saturating_sub(alert.from.as_nanos()) / interval.as_nanos();
        let flushes: u64 = self.alerts.iter().map(flushes).fold(0, u64::saturating_add);
        (flushes > MOST_FLUSHES).then(|| problem::too_many_flushes(path, flushes, MOST_FLUSHES))
    }

    /// What would be posted to Alertmanager, and when.
    fn posts(&self) -> Vec<(Time, PostedAlert)> {
        let post = |alert: &BatchAlert, at: Span, ends_at: Time| {
            let (labels, annotations, starts_at) = (alert.labels.clone(), alert.annotations.clone(), Some(Time::ZERO + alert.from));
            (Time::ZERO + at, PostedAlert { labels, annotations, generator_url: String::new(), starts_at, ends_at: Some(ends_at) })
        };
        let posts = self.alerts.iter().flat_map(|alert| {
            let over = alert.to.map(|to| post(alert, to, Time::ZERO + to));
            [Some(post(alert, alert.from, Time::MAX)), over].into_iter().flatten()
        });
        posts.collect()
    }
}

/// Reads a batch: `alerts:` with `from:` and `to:` as spans, or a list as Alertmanager's API takes and gives it, with `startsAt` and `endsAt`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_batch(path: &str, text: &str) -> Result<Batch, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let batch = if matches!(node.value, Value::List(_)) { of_api(&mut reader, &node) } else { document(&mut reader, &node) };
    reader.finish()?;
    Ok(batch.expect("a batch without problems is whole"))
}

fn document(reader: &mut Reader, node: &Node) -> Option<Batch> {
    let mut fields = reader.fields(node, "a batch of alerts")?;
    let start = fields.optional("start").and_then(|node| instant(reader, node)).unwrap_or_default();
    let until = fields.optional("until").and_then(|node| span(reader, node));
    let nodes = fields.required(reader, "alerts").and_then(|node| some(reader, node)).unwrap_or_default();
    let alerts: Vec<BatchAlert> = nodes.iter().filter_map(|node| alert(reader, node)).collect();
    let nodes = fields.optional("silences").and_then(|node| reader.list(node, "`silences`")).unwrap_or_default();
    let silences = silences(reader, nodes, start);
    let notifications = read_notification_tests(reader, &mut fields);
    fields.finish(reader);
    if let Some(until) = until {
        for test in notifications.iter().filter(|test| test.eval_time > until) {
            reader.problem(problem::after_the_end(&test.place, test.eval_time, until));
        }
    }
    let last = notifications.iter().map(|test| test.eval_time).max().unwrap_or(Span::ZERO);
    let until = until.unwrap_or_else(|| rested(&alerts).max(last));
    Some(Batch { start, until, alerts, silences, notifications })
}

fn alert(reader: &mut Reader, node: &Node) -> Option<BatchAlert> {
    let mut fields = reader.fields(node, "an alert")?;
    let labels = fields.required(reader, "labels").and_then(|node| labels(reader, node));
    let annotations = fields.optional("annotations").and_then(|node| texts(reader, node)).unwrap_or_default();
    let from = fields.optional("from").map_or(Some(Span::ZERO), |node| span(reader, node));
    let to = fields.optional("to").map(|node| (span(reader, node), &node.place));
    fields.finish(reader);
    let from = from?;
    let to = to.map(|(to, place)| Some((to?, place)));
    if let Some(Some((to, place))) = to
        && to <= from
    {
        reader.problem(problem::over_before_it_fires(place));
    }
    Some(BatchAlert { labels: labels?, annotations, from, to: to.map_or(Some(None), |to| to.map(|(to, _)| Some(to)))? })
}

/// One alert of the API, its instants not yet counted from the start.
struct Dated {
    labels: LabelSet,
    annotations: LabelSet,
    starts_at: Option<Start>,
    ends_at: Option<Start>,
    place: Place,
}

fn of_api(reader: &mut Reader, node: &Node) -> Option<Batch> {
    let nodes = some(reader, node)?;
    let dated: Vec<Dated> = nodes.iter().filter_map(|node| dated(reader, node)).collect();
    let instants = dated.iter().flat_map(|alert| [alert.starts_at, alert.ends_at]).flatten();
    let start = instants.min_by_key(|instant| instant.unix_millis()).unwrap_or_default();
    let after = |instant: Start| start.time_of(instant.unix_millis()).map_or(Span::ZERO, |at| at - Time::ZERO);
    let mut alerts = Vec::new();
    for Dated { labels, annotations, starts_at, ends_at, place } in dated {
        let (from, to) = (starts_at.map_or(Span::ZERO, after), ends_at.map(after));
        if to.is_some_and(|to| to <= from) {
            reader.problem(problem::over_before_it_fires(&place));
        }
        alerts.push(BatchAlert { labels, annotations, from, to });
    }
    Some(Batch { start, until: rested(&alerts), alerts, silences: Vec::new(), notifications: Vec::new() })
}

fn dated(reader: &mut Reader, node: &Node) -> Option<Dated> {
    let mut fields = reader.fields(node, "an alert")?;
    let labels = fields.required(reader, "labels").and_then(|node| labels(reader, node));
    let annotations = fields.optional("annotations").and_then(|node| texts(reader, node)).unwrap_or_default();
    let [starts_at, ends_at] =
        ["startsAt", "endsAt"].map(|key| fields.optional(key).filter(|node| !is_zero(node)).and_then(|node| instant(reader, node)));
    // What the API adds of its own.
    for key in ["generatorURL", "status", "updatedAt", "fingerprint", "receivers"] {
        fields.optional(key);
    }
    fields.finish(reader);
    Some(Dated { labels: labels?, annotations, starts_at, ends_at, place: node.place.clone() })
}

/// The zero time of the Go language stands for no time.
fn is_zero(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.starts_with("0001-01-01T00:00:00"))
}

fn some<'n>(reader: &mut Reader, node: &'n Node) -> Option<&'n [Node]> {
    let nodes = reader.list(node, "the alerts")?;
    if nodes.is_empty() {
        reader.problem(problem::no_alerts(&node.place));
    }
    Some(nodes)
}

fn labels(reader: &mut Reader, node: &Node) -> Option<LabelSet> {
    let labels = texts(reader, node)?;
    if labels.values().all(|value| value.is_empty()) {
        reader.problem(problem::no_labels(&node.place));
        return None;
    }
    Some(labels)
}

fn texts(reader: &mut Reader, node: &Node) -> Option<LabelSet> {
    let fields = reader.fields(node, "labels")?;
    Some(
        fields
            .entries()
            .iter()
            .filter_map(|(key, value)| Some((key.text.clone(), reader.text(value, "a label's value")?.clone())))
            .collect(),
    )
}

fn instant(reader: &mut Reader, node: &Node) -> Option<Start> {
    let text = reader.text(node, "a time such as `2026-01-05T09:00:00Z`")?;
    Start::parse(text).map_err(|message| reader.problem(problem::not_a_time(&node.place, &message))).ok()
}

/// The default length: until a while after the last change.
fn rested(alerts: &[BatchAlert]) -> Span {
    let last = alerts.iter().map(|alert| alert.to.unwrap_or(alert.from)).max().unwrap_or(Span::ZERO);
    last.saturating_add(DEFAULT_REST)
}
