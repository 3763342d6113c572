//! One evaluation of one group: its rules in order, what they write, and what becomes of their alerts, as `rules/group.go` and `rules/alerting.go` of Prometheus do it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use firedrill_telemetry::promql::{Evaluated, Evaluator, Plan, Sample, Value};
use firedrill_telemetry::store::{STALE, SeriesId, Store};

use super::compiled::RuleMachine;
use super::known::{Element, Known, elements};
use super::template::{Scene, Subject, Template};
use super::{Group, Rule, RuleKind};

/// The label that holds an alert's name.
pub(super) const ALERT_NAME: &str = "alertname";

/// How long an alert that is over is still sent, milliseconds.
const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1_000;

/// How many samples the queries of one template may look at while it is filled in.
const MOST_WORK: usize = 10_000_000;

/// What the whole server adds to its alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Labels that templates call `$externalLabels`; no alert carries them before it is sent.
    pub external_labels: Vec<(Name, Name)>,
    /// The server's own address; may be empty.
    pub external_url: String,
}

/// What a group remembers from one evaluation to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupState {
    pub rules: Vec<RuleState>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct RuleState {
    /// Alerts by their labels: pending, firing, and over for less than the retention.
    pub alerts: BTreeMap<Labels, Alert>,
    /// The series written at the last evaluation that succeeded, sorted.
    pub written: Vec<SeriesId>,
    /// The last error, so that one that persists is told once.
    error: Option<String>,
    known: Arc<Known>,
}

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Its element is there, and not for long enough.
    Pending,
    /// It fires.
    Firing,
    /// It fired, and its element is gone.
    Over,
}

/// One alert of one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// How far it has come.
    pub state: AlertState,
    /// The element's value at the last evaluation that saw it.
    pub value: f64,
    /// The element's own labels, its metric's name among them: templates speak of these.
    pub element: Labels,
    /// When that evaluation was, Unix milliseconds: what its annotations ask is answered as of then.
    pub seen_ms: i64,
    /// Its annotations as that evaluation filled them in, if any of them asks something: the answer is of then, before later rules wrote.
    pub annotations: Option<Vec<(Name, String)>>,
    /// Since when the element is there, Unix milliseconds.
    pub active_ms: i64,
    /// When it began to fire; zero while it is pending.
    pub fired_ms: i64,
    /// When it was over; `None` while it is not.
    resolved_ms: Option<i64>,
    /// Since when it fires without its element.
    kept_since_ms: Option<i64>,
    /// When it was last sent; `None`: never.
    sent_ms: Option<i64>,
    series: AlertSeries,
}

/// The series that tell of an alert; `None` until they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AlertSeries {
    pending: Option<SeriesId>,
    firing: Option<SeriesId>,
    since: Option<SeriesId>,
}

/// Something that one evaluation changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// The rule's number in its group, from 0.
    pub rule: usize,
    pub kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ChangeKind {
    /// An alert waits out its `for`. One that fires in the same evaluation never waits.
    Pending {
        labels: Labels,
        value: f64,
    },
    /// A pending alert is gone.
    Dropped {
        labels: Labels,
    },
    Firing {
        labels: Labels,
        value: f64,
    },
    Resolved {
        labels: Labels,
        fired_ms: i64,
    },
    /// The rule failed as it did not the time before; its alerts stay what they were.
    Failed {
        message: String,
    },
}

/// An alert as Prometheus hands it to Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct SentAlert {
    /// The number of its group in the rule set, from 0.
    pub group: usize,
    /// The number of its rule in the group, from 0.
    pub rule: usize,
    /// All labels, `alertname` among them.
    pub labels: Labels,
    /// When it began to fire, Unix milliseconds.
    pub starts_ms: i64,
    /// When it was over; for one that fires, until when it counts as firing if nothing more is heard. Unix milliseconds.
    pub ends_ms: i64,
    /// Whether it is over.
    pub is_over: bool,
}

/// One evaluation of one group.
pub(super) struct Cycle<'a> {
    pub group: &'a Group,
    /// The group's number in its set, from 0.
    pub number: usize,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// From one evaluation to the next, and how long at least from one sending to the next; milliseconds.
    pub pace_ms: Pace,
    pub surroundings: &'a Surroundings,
    pub raw: &'a Store,
    pub changes: Vec<Change>,
    pub sent: Vec<SentAlert>,
}

#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub interval: i64,
    pub resend: i64,
}

impl GroupState {
    pub(super) fn new(group: &Group) -> Self {
        Self { rules: vec![RuleState::default(); group.rules.len()] }
    }
}

impl Cycle<'_> {
    /// Evaluates all rules; each sees what those before it wrote.
    pub(super) fn run(&mut self, state: &mut GroupState, derived: &mut Store, machine: &mut RuleMachine) {
        let group = self.group;
        for (number, (rule, state)) in group.rules.iter().zip(&mut state.rules).enumerate() {
            self.evaluate((number, rule), state, derived, machine);
        }
    }

    /// Evaluates the recording rules alone, as if it had been done all along; what fails leaves nothing.
    pub(super) fn recall(&mut self, state: &mut GroupState, derived: &mut Store, machine: &mut RuleMachine) {
        let group = self.group;
        for (number, (rule, state)) in group.rules.iter().zip(&mut state.rules).enumerate().filter(|(_, (rule, _))| !rule.is_alerting()) {
            self.evaluate((number, rule), state, derived, machine);
            // Nobody was told, so the first failure of the run is news.
            state.error = None;
        }
    }

    fn evaluate(&mut self, (number, rule): (usize, &Rule), state: &mut RuleState, derived: &mut Store, machine: &mut RuleMachine) {
        let result = self.elements((number, rule), derived, machine).and_then(|elements| match rule.kind {
            RuleKind::Recording => self.record(rule, &elements, state, derived),
            RuleKind::Alerting { hold, keep_firing } => {
                let found = self.found(rule, elements, state, derived)?;
                self.alert(number, (hold, keep_firing), found, state)?;
                self.annotate(rule, state, derived);
                self.send(number, state);
                Ok(alert_series(rule, state, derived))
            }
        });
        match result.and_then(|series| self.write(series, state, derived)) {
            Ok(()) => state.error = None,
            // What the rule had said before stands; and what it keeps failing by is told once.
            Err(message) if state.error.as_ref() == Some(&message) => {}
            Err(message) => {
                state.error = Some(message.clone());
                self.changes.push(Change { rule: number, kind: ChangeKind::Failed { message } });
            }
        }
    }

    /// The moment that is asked about and written at.
    fn sample_ms(&self) -> i64 {
        self.at_ms.saturating_sub(millis(self.group.query_offset))
    }

    fn elements(&self, (number, rule): (usize, &Rule), derived: &Store, machine: &mut RuleMachine) -> Result<Vec<Element>, String> {
        rule.plan.as_ref().map_err(ToString::to_string)?;
        elements(machine.evaluate((self.number, number), self.sample_ms(), &[self.raw, derived])?)
    }

    fn record(&self, rule: &Rule, elements: &[Element], state: &mut RuleState, derived: &mut Store) -> Result<Written, String> {
        let results = Known::results(&mut state.known, elements, |element| {
            let mut builder = element.labels.to_builder().set(METRIC_NAME, rule.name.as_str());
            for (name, value) in &rule.labels {
                // In a recording rule a template is a text like any other.
                builder = builder.set(name.as_str(), value.as_str());
            }
            builder.build()
        });
        let mut sorted = results.clone();
        sorted.sort_unstable();
        if let Some(twin) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(same_labels(state.known.labels(twin[0])));
        }
        match self.group.limit {
            Some(limit) if results.len() > limit => Err(format!("{} series, and the limit is {limit}", results.len())),
            _ => Ok(Known::series(&mut state.known, &results, derived)
                .into_iter()
                .zip(elements.iter().map(|element| element.value))
                .collect()),
        }
    }

    /// The result's elements with the labels that their alerts have, sorted by these.
    fn found(&self, rule: &Rule, elements: Vec<Element>, state: &mut RuleState, derived: &Store) -> Result<Vec<(Labels, Element)>, String> {
        let mut found: Vec<(Labels, Element)> = if rule.label_templates.is_empty() {
            let results = Known::results(&mut state.known, &elements, |element| self.alert_labels(rule, element, derived));
            results.into_iter().map(|result| state.known.labels(result).clone()).zip(elements).collect()
        } else {
            elements.into_iter().map(|element| (self.alert_labels(rule, &element, derived), element)).collect()
        };
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        let twin = found.windows(2).find(|pair| pair[0].0 == pair[1].0);
        twin.map(|pair| same_labels(&pair[0].0)).map_or(Ok(found), Err)
    }

    /// The result's labels without the metric's name, overridden by the rule's, the alert's name last.
    fn alert_labels(&self, rule: &Rule, element: &Element, derived: &Store) -> Labels {
        let mut builder = element.labels.without(METRIC_NAME).to_builder();
        for (name, value) in &rule.labels {
            builder = match rule.label_templates.iter().find(|(own, _)| own == name) {
                Some((_, template)) => builder.set(name.as_str(), self.filled(template, (&element.labels, element.value), derived)),
                None => builder.set(name.as_str(), value.as_str()),
            };
        }
        builder.set(ALERT_NAME, rule.name.as_str()).build()
    }

    fn filled(&self, template: &Template, element: (&Labels, f64), derived: &Store) -> String {
        fill(template, element, (self.surroundings, self.at_ms), &[self.raw, derived])
    }

    /// Moves the rule's alerts on.
    fn alert(
        &mut self,
        number: usize,
        (hold, keep): (Span, Span),
        found: Vec<(Labels, Element)>,
        state: &mut RuleState,
    ) -> Result<(), String> {
        let at_ms = self.at_ms;
        let mut tell = |kind| self.changes.push(Change { rule: number, kind });
        let present: Vec<Labels> = found.iter().map(|(labels, _)| labels.clone()).collect();
        for (labels, element) in found {
            match state.alerts.get_mut(&labels) {
                Some(alert) if alert.state != AlertState::Over => alert.seen(element, at_ms),
                _ => {
                    // One that fires in the same evaluation was never seen pending.
                    if hold > Span::ZERO {
                        tell(ChangeKind::Pending { labels: labels.clone(), value: element.value });
                    }
                    state.alerts.insert(labels, Alert::born(element, at_ms));
                }
            }
        }
        let is_present = |labels: &Labels| present.binary_search(labels).is_ok();
        for (labels, alert) in &mut state.alerts {
            if alert.state == AlertState::Pending && is_present(labels) && elapsed(at_ms, alert.active_ms) >= hold {
                alert.state = AlertState::Firing;
                alert.fired_ms = at_ms;
                tell(ChangeKind::Firing { labels: labels.clone(), value: alert.value });
            }
        }
        state.alerts.retain(|labels, alert| {
            if is_present(labels) || alert.stays_on(keep, at_ms) {
                return true;
            }
            match alert.state {
                AlertState::Pending => {
                    tell(ChangeKind::Dropped { labels: labels.clone() });
                    return false;
                }
                AlertState::Firing => {
                    alert.state = AlertState::Over;
                    alert.resolved_ms = Some(at_ms);
                    tell(ChangeKind::Resolved { labels: labels.clone(), fired_ms: alert.fired_ms });
                }
                AlertState::Over => {}
            }
            alert.resolved_ms.is_none_or(|resolved_ms| at_ms.saturating_sub(resolved_ms) <= RESOLVED_RETENTION_MS)
        });
        let count = state.alerts.values().filter(|alert| alert.state != AlertState::Over).count();
        if let Some(limit) = self.group.limit.filter(|limit| count > *limit) {
            state.alerts.clear();
            return Err(format!("{count} alerts, and the limit is {limit}: all are dropped"));
        }
        Ok(())
    }

    /// Fills in the annotations that ask something, of the alerts that were just seen; the others can be filled in whenever somebody reads them.
    fn annotate(&self, rule: &Rule, state: &mut RuleState, derived: &Store) {
        if !rule.annotations.iter().any(|(_, template)| template.asks()) {
            return;
        }
        for alert in state.alerts.values_mut().filter(|alert| alert.seen_ms == self.at_ms) {
            let element = (&alert.element, alert.value);
            let filled = rule.annotations.iter().map(|(name, template)| (name.clone(), self.filled(template, element, derived)));
            alert.annotations = Some(filled.collect());
        }
    }

    /// Sends what fires or is over: at once when that is news, and again whenever the resend delay has passed.
    fn send(&mut self, number: usize, state: &mut RuleState) {
        for (labels, alert) in &mut state.alerts {
            if !alert.needs_sending(self.at_ms, self.pace_ms.resend) {
                continue;
            }
            alert.sent_ms = Some(self.at_ms);
            let valid_until_ms = self.at_ms.saturating_add(4 * self.pace_ms.interval.max(self.pace_ms.resend));
            self.sent.push(SentAlert {
                group: self.number,
                rule: number,
                labels: labels.clone(),
                starts_ms: alert.fired_ms,
                ends_ms: alert.resolved_ms.unwrap_or(valid_until_ms),
                is_over: alert.state == AlertState::Over,
            });
        }
    }

    /// Writes the evaluation's series, and ends those that the rule wrote last time and not now.
    fn write(&self, series: Written, state: &mut RuleState, derived: &mut Store) -> Result<(), String> {
        let at_ms = self.sample_ms();
        let mut written = Vec::with_capacity(series.len());
        let mut refused = None;
        for (id, value) in series {
            written.push(id);
            if derived.append(id, at_ms, value).is_err() && !stands(derived, id, (at_ms, value)) {
                // Another rule was first in this cycle: its sample stands, as in Prometheus.
                refused = Some(format!("{} was written at this moment already", derived.labels(id)));
            }
        }
        written.sort_unstable();
        if written != state.written {
            for id in state.written.iter().filter(|id| written.binary_search(id).is_err()) {
                // Refused only if another rule has written the series at this moment: then it lives on.
                derived.append(*id, at_ms, STALE).ok();
            }
            state.written = written;
        }
        refused.map_or(Ok(()), Err)
    }
}

/// Series with the values that are to be written.
type Written = Vec<(SeriesId, f64)>;

impl Alert {
    fn born(element: Element, at_ms: i64) -> Self {
        Self {
            state: AlertState::Pending,
            value: element.value,
            element: element.labels,
            seen_ms: at_ms,
            annotations: None,
            active_ms: at_ms,
            fired_ms: 0,
            resolved_ms: None,
            kept_since_ms: None,
            sent_ms: None,
            series: AlertSeries::default(),
        }
    }

    fn seen(&mut self, element: Element, at_ms: i64) {
        self.value = element.value;
        self.element = element.labels;
        self.seen_ms = at_ms;
        self.kept_since_ms = None;
    }

    /// Whether an alert without its element stays on, and from when on it is kept.
    fn stays_on(&mut self, keep: Span, at_ms: i64) -> bool {
        if self.state != AlertState::Firing || keep == Span::ZERO {
            return false;
        }
        let since_ms = *self.kept_since_ms.get_or_insert(at_ms);
        elapsed(at_ms, since_ms) < keep
    }

    fn needs_sending(&self, at_ms: i64, resend_ms: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(sent_ms) = self.sent_ms else { return true };
        self.resolved_ms.is_some_and(|resolved_ms| resolved_ms > sent_ms) || sent_ms.saturating_add(resend_ms) < at_ms
    }
}

/// The annotations of an alert, as of the evaluation that last saw its element.
pub(super) fn annotations(rule: &Rule, alert: &Alert, surroundings: &Surroundings, sources: &[&Store]) -> Vec<(Name, String)> {
    let element = (&alert.element, alert.value);
    let filled = |(name, template): &(Name, _)| (name.clone(), fill(template, element, (surroundings, alert.seen_ms), sources));
    alert.annotations.clone().unwrap_or_else(|| rule.annotations.iter().map(filled).collect())
}

/// A template filled in for one element; queries are answered at the evaluation's moment from the sources.
pub(super) fn fill(template: &Template, element: (&Labels, f64), around: (&Surroundings, i64), sources: &[&Store]) -> String {
    if template.is_plain() {
        return template.text().to_owned();
    }
    let (surroundings, at_ms) = around;
    // The engine wants to own what it asks; only a template that asks is worth the copy, which shares all samples.
    let owned: Vec<Store> = if template.asks() { sources.iter().map(|store| (*store).clone()).collect() } else { Vec::new() };
    let left = Cell::new(MOST_WORK);
    let ask = move |expression: &str| answer(expression, at_ms, &owned, &left);
    let scene = Scene { external_url: surroundings.external_url.clone(), at_ms, ask: Rc::new(ask) };
    template.fill(&Subject { labels: element.0, value: element.1, external_labels: &surroundings.external_labels }, &scene)
}

/// `left` is how many samples the template's queries may still look at.
fn answer(expression: &str, at_ms: i64, sources: &[Store], left: &Cell<usize>) -> Result<Vec<Sample>, String> {
    let plan = Plan::parse(expression).map_err(|error| error.to_string())?;
    let sources: Vec<&Store> = sources.iter().collect();
    let Evaluated { value, work, .. } = Evaluator::new().evaluate_annotated(&plan, at_ms, &sources).map_err(|error| error.to_string())?;
    left.set(left.get().checked_sub(work).ok_or_else(|| format!("its queries look at more than {MOST_WORK} samples"))?);
    match value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar(value) => Ok(vec![Sample { labels: Labels::empty(), value }]),
        Value::Text(_) | Value::Matrix(_) => Err("query result is not a vector or scalar".to_owned()),
    }
}

fn elapsed(at_ms: i64, since_ms: i64) -> Span {
    Span::from_millis(at_ms.saturating_sub(since_ms).max(0).unsigned_abs())
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a series' newest sample is exactly this one: writing it twice is no conflict.
fn stands(store: &Store, id: SeriesId, (at_ms, value): (i64, f64)) -> bool {
    store.times(id).last() == Some(&at_ms) && store.values(id).last().is_some_and(|own| own.to_bits() == value.to_bits())
}

/// ALERTS and ALERTS_FOR_STATE of the alerts that are pending or fire. A label whose template comes to nothing stands here as it is written:
/// Prometheus puts the alert's labels over those of the rule, and an empty one is none.
fn alert_series(rule: &Rule, state: &mut RuleState, derived: &mut Store) -> Written {
    let mut series = Vec::new();
    for (labels, alert) in state.alerts.iter_mut().filter(|(_, alert)| alert.state != AlertState::Over) {
        let (id, told) = match alert.state {
            AlertState::Firing => (&mut alert.series.firing, "firing"),
            _ => (&mut alert.series.pending, "pending"),
        };
        let under = || {
            let unfilled = rule.label_templates.iter().filter(|(name, _)| labels.iter().all(|(own, _)| **own != **name));
            unfilled.fold(labels.to_builder(), |builder, (name, template)| builder.set(name.as_str(), template.text()))
        };
        let alerts = || under().set(METRIC_NAME, "ALERTS").set("alertstate", told).build();
        series.push((*id.get_or_insert_with(|| derived.series(&alerts())), 1.0));
        let since = || under().set(METRIC_NAME, "ALERTS_FOR_STATE").build();
        let id = *alert.series.since.get_or_insert_with(|| derived.series(&since()));
        series.push((id, alert.active_ms.div_euclid(1000) as f64));
    }
    series
}

fn same_labels(labels: &Labels) -> String {
    format!("two elements have the same labels {labels} after the rule's labels were applied")
}
