//! Evaluating rule groups as Prometheus does: when, in which order, and what becomes of alerts (PROMQL.md, "Prometheus ruler").

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::random::hash64;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use firedrill_telemetry::promql::{Evaluator, Sample, Value};
use firedrill_telemetry::store::{STALE, SeriesId, Store};

use super::{Group, Rule, RuleKind, RuleSet};

/// The label that holds an alert's name.
const ALERT_NAME: &str = "alertname";

/// How a ruler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulerSettings {
    /// From one evaluation of a group to the next, where the group does not say; whole milliseconds, positive. Prometheus' own default is
    /// one minute; 30 s is what the rule sets that people publish are written for, and is the default here.
    pub evaluation_interval: Span,
    /// Where in its interval a group is evaluated.
    pub phase: Phase,
}

/// Where in its interval a group is evaluated, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Each group by a hash of its file's name and its own, as Prometheus spreads its load; whole milliseconds.
    #[default]
    Hashed,
    /// All groups at so many milliseconds; the remainder by the interval is taken.
    Fixed(u64),
}

impl Default for RulerSettings {
    fn default() -> Self {
        Self { evaluation_interval: Span::from_seconds(30), phase: Phase::Hashed }
    }
}

/// Evaluates the groups of a rule set over raw series and its own.
#[derive(Clone, Debug)]
pub struct Ruler {
    rules: Arc<RuleSet>,
    start: Start,
    groups: Vec<GroupState>,
    /// The group that is due next, and when.
    next: Option<(Time, usize)>,
    derived: Store,
    evaluator: Evaluator,
}

#[derive(Clone, Debug)]
struct GroupState {
    interval_ms: i64,
    /// Unix milliseconds of the next evaluation.
    next_ms: i64,
    rules: Vec<RuleState>,
}

#[derive(Clone, Debug, Default)]
struct RuleState {
    /// Pending and firing alerts by their labels.
    alerts: BTreeMap<Labels, Alert>,
    /// The series written at the last evaluation that succeeded, sorted.
    written: Vec<SeriesId>,
    /// The last error, so that one that persists is told once.
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Alert {
    active_ms: i64,
    /// `None` while pending.
    fired_ms: Option<i64>,
    /// Since when it fires without its element.
    kept_since_ms: Option<i64>,
    value: f64,
}

/// What one cycle of one rule works with.
struct Cycle<'a, 'd> {
    group: &'a Group,
    start: Start,
    /// Unix milliseconds of the cycle.
    at_ms: i64,
    raw: &'a Store,
    desk: &'a mut Desk<'d>,
    notifications: Vec<Notification>,
}

impl Ruler {
    /// A ruler whose first evaluations lie within one interval of the start.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, start: Start, settings: RulerSettings) -> Self {
        let groups = rules.groups.iter().map(|group| schedule(group, start, settings)).collect();
        let mut ruler = Self { rules, start, groups, next: None, derived: Store::new(), evaluator: Evaluator::new() };
        ruler.next = ruler.earliest();
        ruler
    }

    /// When the next group is evaluated; `None` if there is no group.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        match self.next {
            Some((at, _)) => Some(at),
            None => None,
        }
    }

    /// Recorded series, ALERTS and ALERTS_FOR_STATE.
    #[must_use]
    pub const fn derived(&self) -> &Store {
        &self.derived
    }

    /// Evaluates the one group that is due, and tells which alerts began to fire and which are over.
    pub fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) -> Vec<Notification> {
        let Some((_, index)) = self.next else { return Vec::new() };
        let rules = Arc::clone(&self.rules);
        let (group, state) = (&rules.groups[index], &mut self.groups[index]);
        let mut cycle = Cycle { group, start: self.start, at_ms: state.next_ms, raw, desk, notifications: Vec::new() };
        for (rule, state) in group.rules.iter().zip(&mut state.rules) {
            cycle.evaluate(rule, state, &mut self.derived, &mut self.evaluator);
        }
        state.next_ms += state.interval_ms;
        let notifications = cycle.notifications;
        self.next = self.earliest();
        notifications
    }

    /// The alerts that fire now, with the name first.
    pub fn firing(&self) -> impl Iterator<Item = (&Name, &Labels)> {
        let states = self.rules.groups.iter().zip(&self.groups);
        let rules = states.flat_map(|(group, state)| group.rules.iter().zip(&state.rules));
        rules.flat_map(|(rule, state)| {
            state.alerts.iter().filter(|(_, alert)| alert.fired_ms.is_some()).map(move |(labels, _)| (&rule.name, labels))
        })
    }

    fn earliest(&self) -> Option<(Time, usize)> {
        let (next_ms, index) = self.groups.iter().enumerate().map(|(index, state)| (state.next_ms, index)).min()?;
        let at = self.start.time_of(next_ms).expect("no group is due before the start");
        Some((at, index))
    }
}

fn schedule(group: &Group, start: Start, settings: RulerSettings) -> GroupState {
    let interval = group.interval.unwrap_or(settings.evaluation_interval);
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let file = group.file.rsplit(['/', '\\']).next().unwrap_or(&group.file);
    let phase = match settings.phase {
        // Without the folder, so that one rule set has one schedule wherever it lies.
        Phase::Hashed => hash64(&format!("{file};{}", group.name)),
        Phase::Fixed(millis) => millis,
    };
    let phase_ms = (phase % interval_ms.unsigned_abs()) as i64;
    // The first moment at or after the start that lies at the phase. A start within a millisecond counts from the next one.
    let first_ms = start.unix_millis() + i64::from(start.time_of(start.unix_millis()).is_none());
    let next_ms = first_ms + (phase_ms - first_ms).rem_euclid(interval_ms);
    GroupState { interval_ms, next_ms, rules: vec![RuleState::default(); group.rules.len()] }
}

impl Cycle<'_, '_> {
    fn evaluate(&mut self, rule: &Rule, state: &mut RuleState, derived: &mut Store, evaluator: &mut Evaluator) {
        let result = self.samples(rule, derived, evaluator).and_then(|samples| match rule.kind {
            RuleKind::Recording => self.record(rule, samples),
            RuleKind::Alerting { hold, keep_firing } => self.alert(rule, (hold, keep_firing), samples, state),
        });
        let written = result.and_then(|series| self.write(series, state, derived));
        match written {
            Ok(()) => state.error = None,
            // What the rule had said before stands; and what it keeps failing by is told once.
            Err(message) if state.error.as_ref() == Some(&message) => {}
            Err(message) => {
                state.error = Some(message.clone());
                self.desk.write(self.now(), Event::RuleFailed { rule: rule.name.clone(), message });
            }
        }
    }

    fn now(&self) -> Time {
        self.time(self.at_ms)
    }

    fn time(&self, at_ms: i64) -> Time {
        self.start.time_of(at_ms).expect("no rule is evaluated before the start")
    }

    /// The moment that is asked about and written at.
    fn sample_ms(&self) -> i64 {
        self.at_ms.saturating_sub(i64::try_from(self.group.query_offset.as_millis()).unwrap_or(i64::MAX))
    }

    fn samples(&self, rule: &Rule, derived: &Store, evaluator: &mut Evaluator) -> Result<Vec<Sample>, String> {
        let plan = rule.plan.as_ref().map_err(ToString::to_string)?;
        match evaluator.evaluate(plan, self.sample_ms(), &[self.raw, derived]).map_err(|error| error.to_string())? {
            Value::Vector(samples) => Ok(samples),
            Value::Scalar(value) => Ok(vec![Sample { labels: Labels::empty(), value }]),
            Value::Text(_) | Value::Matrix(_) => Err("the result is neither a vector nor a scalar".to_owned()),
        }
    }

    fn record(&self, rule: &Rule, samples: Vec<Sample>) -> Result<Vec<(Labels, f64)>, String> {
        let mut series = Vec::with_capacity(samples.len());
        for Sample { labels, value } in samples {
            let mut builder = labels.to_builder().set(METRIC_NAME, rule.name.as_str());
            for (name, value) in &rule.labels {
                builder = builder.set(name.as_str(), value.as_str());
            }
            series.push((builder.build(), value));
        }
        refuse_twins(&mut series)?;
        match self.group.limit {
            Some(limit) if series.len() > limit => Err(format!("{} series, and the limit is {limit}", series.len())),
            _ => Ok(series),
        }
    }

    /// Moves the rule's alerts on; gives the series that tell of them.
    fn alert(
        &mut self,
        rule: &Rule,
        (hold, keep): (Span, Span),
        samples: Vec<Sample>,
        state: &mut RuleState,
    ) -> Result<Vec<(Labels, f64)>, String> {
        let mut found: Vec<(Labels, f64)> = samples.into_iter().map(|sample| (alert_labels(rule, &sample.labels), sample.value)).collect();
        refuse_twins(&mut found)?;
        for (labels, value) in &found {
            let born = Alert { active_ms: self.at_ms, fired_ms: None, kept_since_ms: None, value: *value };
            let is_new = !state.alerts.contains_key(labels);
            let alert = state.alerts.entry(labels.clone()).or_insert(born);
            alert.value = *value;
            alert.kept_since_ms = None;
            // One that fires in the same cycle was never seen pending.
            if is_new && hold > Span::ZERO {
                let event = Event::AlertPending { alert: rule.name.clone(), labels: label_set(labels), value: *value };
                self.desk.write(self.now(), event);
            }
        }
        let is_found = |labels: &Labels| found.binary_search_by(|(own, _)| own.cmp(labels)).is_ok();
        let mut over = Vec::new();
        for (labels, alert) in &mut state.alerts {
            if !is_found(labels) && !stays_on(alert, keep, self.at_ms) {
                over.push(labels.clone());
            } else if alert.fired_ms.is_none() && elapsed(self.at_ms, alert.active_ms) >= hold {
                alert.fired_ms = Some(self.at_ms);
                let event = Event::AlertFiring { alert: rule.name.clone(), labels: label_set(labels), value: alert.value };
                self.desk.write(self.now(), event);
                self.notify(rule, labels, AlertStatus::Firing, self.at_ms);
            }
        }
        for labels in over {
            if let Some(Alert { fired_ms: Some(fired_ms), .. }) = state.alerts.remove(&labels) {
                self.desk.write(self.now(), Event::AlertResolved { alert: rule.name.clone(), labels: label_set(&labels) });
                self.notify(rule, &labels, AlertStatus::Resolved, fired_ms);
            }
        }
        if let Some(limit) = self.group.limit.filter(|limit| state.alerts.len() > *limit) {
            let message = format!("{} alerts, and the limit is {limit}: all are dropped", state.alerts.len());
            state.alerts.clear();
            return Err(message);
        }
        Ok(state.alerts.iter().flat_map(|(labels, alert)| alert_series(labels, alert)).collect())
    }

    fn notify(&mut self, rule: &Rule, labels: &Labels, status: AlertStatus, fired_ms: i64) {
        let starts_at = self.time(fired_ms);
        self.notifications.push(Notification { alert: rule.name.clone(), status, labels: label_set(labels), starts_at });
    }

    /// Writes the cycle's series, and ends those that the rule wrote last time and not now.
    fn write(&self, series: Vec<(Labels, f64)>, state: &mut RuleState, derived: &mut Store) -> Result<(), String> {
        let at_ms = self.sample_ms();
        let mut written = Vec::with_capacity(series.len());
        let mut refused = None;
        for (labels, value) in series {
            let id = derived.series(&labels);
            written.push(id);
            if derived.append(id, at_ms, value).is_err() {
                // Another rule was first in this cycle: its sample stands, as in Prometheus.
                refused = Some(format!("{labels} was written at this moment already"));
            }
        }
        written.sort_unstable();
        for id in state.written.iter().filter(|id| written.binary_search(id).is_err()) {
            // Refused only if another rule has written the series at this moment: then it lives on.
            derived.append(*id, at_ms, STALE).ok();
        }
        state.written = written;
        refused.map_or(Ok(()), Err)
    }
}

/// Whether an alert without its element stays on, and from when on it is kept.
fn stays_on(alert: &mut Alert, keep: Span, at_ms: i64) -> bool {
    if alert.fired_ms.is_none() || keep == Span::ZERO {
        return false;
    }
    let since_ms = *alert.kept_since_ms.get_or_insert(at_ms);
    elapsed(at_ms, since_ms) < keep
}

fn elapsed(at_ms: i64, since_ms: i64) -> Span {
    Span::from_millis(at_ms.saturating_sub(since_ms).max(0).unsigned_abs())
}

/// The result's labels without the metric's name, overridden by the rule's, the alert's name last.
fn alert_labels(rule: &Rule, labels: &Labels) -> Labels {
    let mut builder = labels.without(METRIC_NAME).to_builder();
    for (name, value) in &rule.labels {
        builder = builder.set(name.as_str(), value.as_str());
    }
    builder.set(ALERT_NAME, rule.name.as_str()).build()
}

/// ALERTS and ALERTS_FOR_STATE of one alert.
fn alert_series(labels: &Labels, alert: &Alert) -> [(Labels, f64); 2] {
    let state = if alert.fired_ms.is_some() { "firing" } else { "pending" };
    let alerts = labels.to_builder().set(METRIC_NAME, "ALERTS").set("alertstate", state).build();
    let for_state = labels.to_builder().set(METRIC_NAME, "ALERTS_FOR_STATE").build();
    [(alerts, 1.0), (for_state, alert.active_ms.div_euclid(1000) as f64)]
}

/// Sorts by labels, and refuses a label set that stands twice.
fn refuse_twins(series: &mut [(Labels, f64)]) -> Result<(), String> {
    series.sort_by(|(left, _), (right, _)| left.cmp(right));
    let twin = series.windows(2).find(|pair| pair[0].0 == pair[1].0);
    twin.map_or(Ok(()), |pair| Err(format!("two elements have the same labels {} after the rule's labels were applied", pair[0].0)))
}

fn label_set(labels: &Labels) -> LabelSet {
    labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::journal::Journal;
    use firedrill_telemetry::notation::parse_series;

    /// One raw series that is scraped every 5 s with values that change at given seconds; `None` ends it.
    struct Bench {
        ruler: Ruler,
        raw: Store,
        scraped: u64,
        journal: Journal,
        start: Start,
    }

    impl Bench {
        fn new(rules: &str) -> Self {
            let rules = RuleSet::read([("rules.yml", rules)]).unwrap_or_else(|problems| panic!("{problems:?}"));
            let start = Start::default();
            let settings = RulerSettings { evaluation_interval: Span::from_seconds(30), phase: Phase::Fixed(0) };
            Self { ruler: Ruler::new(rules, start, settings), raw: Store::new(), scraped: 0, journal: Journal::new(), start }
        }

        /// Scrapes `series` until a second, with one value.
        fn scrape(&mut self, until: u64, samples: &[(&str, f64)]) {
            while self.scraped <= until {
                for (series, value) in samples {
                    let id = self.raw.series(&parse_series(series).unwrap());
                    self.raw.append(id, self.start.unix_millis() + 1000 * self.scraped as i64, *value).unwrap();
                }
                self.scraped += 5;
            }
        }

        /// Runs the ruler up to and including a second; tells what happened to alerts.
        fn run(&mut self, until: u64) -> Vec<String> {
            let mut told = Vec::new();
            while self.ruler.due().is_some_and(|due| due <= Time::from_seconds(until)) {
                let before = self.journal.records().len();
                let mut commands = Vec::new();
                let mut desk = Desk { journal: &mut self.journal, commands: &mut commands };
                self.ruler.advance(&self.raw, &mut desk);
                for record in &self.journal.records()[before..] {
                    let what = match &record.event {
                        Event::AlertPending { alert, .. } => format!("{alert} pending"),
                        Event::AlertFiring { alert, value, .. } => format!("{alert} fires at {value}"),
                        Event::AlertResolved { alert, .. } => format!("{alert} over"),
                        Event::RuleFailed { rule, message } => format!("{rule} failed: {message}"),
                        other => panic!("{other:?}"),
                    };
                    told.push(format!("{} {what}", record.at.as_seconds()));
                }
            }
            told
        }

        fn derived(&self, series: &str) -> Vec<(i64, f64)> {
            let store = self.ruler.derived();
            let Some(id) = store.find(&parse_series(series).unwrap()) else { return Vec::new() };
            let seconds = store.times(id).iter().map(|at| (at - self.start.unix_millis()) / 1000);
            seconds.zip(store.values(id).iter().copied()).collect()
        }
    }

    fn one_rule(rule: &str) -> String {
        format!("groups: [{{ name: g, rules: [{rule}] }}]\n")
    }

    #[test]
    fn an_alert_waits_out_its_for_fires_and_resolves() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', for: 1m }"));
        bench.scrape(30, &[("x", 0.0)]);
        bench.scrape(130, &[("x", 2.0)]);
        bench.scrape(200, &[("x", 0.0)]);
        assert_eq!(bench.run(200), ["60 A pending", "120 A fires at 2", "150 A over"]);
        assert_eq!(bench.derived(r#"ALERTS{alertname="A",alertstate="firing"}"#)[0], (120, 1.0));
        let pending = bench.derived(r#"ALERTS{alertname="A",alertstate="pending"}"#);
        assert_eq!(pending[..2], [(60, 1.0), (90, 1.0)]);
        assert!(pending[2].0 == 120 && firedrill_telemetry::store::is_stale(pending[2].1));
        let since = 60.0 + Start::default().unix_millis() as f64 / 1000.0;
        assert_eq!(bench.derived(r#"ALERTS_FOR_STATE{alertname="A"}"#)[..3], [(60, since), (90, since), (120, since)]);
    }

    #[test]
    fn one_false_cycle_resets_a_pending_alert() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', for: 1m }"));
        bench.scrape(40, &[("x", 2.0)]);
        bench.scrape(70, &[("x", 0.0)]);
        bench.scrape(160, &[("x", 2.0)]);
        assert_eq!(bench.run(160), ["0 A pending", "90 A pending", "150 A fires at 2"]);
    }

    #[test]
    fn without_a_for_it_fires_in_the_cycle_that_sees_it() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1' }"));
        bench.scrape(10, &[("x", 2.0)]);
        assert_eq!(bench.run(0), ["0 A fires at 2"]);
    }

    #[test]
    fn keep_firing_for_counts_from_the_first_miss_and_starts_anew_when_the_element_is_back() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', keep_firing_for: 1m }"));
        bench.scrape(10, &[("x", 2.0)]);
        bench.scrape(70, &[("x", 0.0)]);
        bench.scrape(100, &[("x", 2.0)]);
        bench.scrape(300, &[("x", 0.0)]);
        // Missing at 30 and 60, back at 90, missing from 120 on: kept until 120 + 60.
        assert_eq!(bench.run(300), ["0 A fires at 2", "180 A over"]);
    }

    #[test]
    fn later_rules_of_a_cycle_see_what_earlier_ones_recorded() {
        let mut bench = Bench::new(&one_rule("{ record: y, expr: 'sum(x) + 1' }, { alert: A, expr: 'y > 2' }"));
        bench.scrape(10, &[("x", 2.0)]);
        assert_eq!(bench.run(0), ["0 A fires at 3"]);
    }

    #[test]
    fn a_recorded_series_that_is_gone_ends_with_a_marker() {
        let mut bench = Bench::new(&one_rule("{ record: y, expr: 'x > 1', labels: { a: b } }"));
        bench.scrape(20, &[(r#"x{a="c",d="e"}"#, 2.0)]);
        bench.scrape(60, &[(r#"x{a="c",d="e"}"#, 0.0)]);
        bench.run(60);
        let samples = bench.derived(r#"y{a="b",d="e"}"#);
        assert_eq!((samples.len(), samples[0], samples[1].0), (2, (0, 2.0), 30));
        assert!(firedrill_telemetry::store::is_stale(samples[1].1));
    }

    #[test]
    fn an_error_leaves_the_state_untouched_and_is_told_once() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', labels: { i: '' } }"));
        bench.scrape(20, &[(r#"x{i="1"}"#, 2.0)]);
        bench.scrape(80, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 2.0)]);
        bench.scrape(100, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 0.0)]);
        let twins = r#"30 A failed: two elements have the same labels {alertname="A"} after the rule's labels were applied"#;
        assert_eq!(bench.run(90), ["0 A fires at 2", twins]);
        assert_eq!(bench.ruler.firing().count(), 1);
    }

    #[test]
    fn beyond_its_limit_a_rule_drops_its_alerts() {
        let rules = "groups: [{ name: g, limit: 1, rules: [{ alert: A, expr: 'x > 1' }] }]\n";
        let mut bench = Bench::new(rules);
        bench.scrape(20, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 2.0)]);
        bench.scrape(60, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 0.0)]);
        let fired = "0 A fires at 2";
        assert_eq!(bench.run(30), [fired, fired, "0 A failed: 2 alerts, and the limit is 1: all are dropped", "30 A fires at 2"]);
    }

    #[test]
    fn an_offset_asks_and_writes_in_the_past() {
        let rules = "groups: [{ name: g, query_offset: 20s, rules: [{ record: y, expr: x }] }]\n";
        let mut bench = Bench::new(rules);
        bench.scrape(10, &[("x", 1.0)]);
        bench.scrape(40, &[("x", 2.0)]);
        bench.run(30);
        assert_eq!(bench.derived("y"), [(10, 1.0)]);
    }

    #[test]
    fn labels_of_the_rule_override_and_the_name_is_dropped() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', labels: { severity: page, job: '' } }"));
        bench.scrape(10, &[(r#"x{job="j",severity="low",pod="p"}"#, 2.0)]);
        bench.run(0);
        let (_, labels) = bench.ruler.firing().next().unwrap();
        assert_eq!(labels.to_string(), r#"{alertname="A", pod="p", severity="page"}"#);
    }

    #[test]
    fn groups_are_spread_over_their_interval_by_their_names_and_stay_on_whole_milliseconds() {
        let names: Vec<String> = (0..20).map(|index| format!("{{ name: g{index}, rules: [] }}")).collect();
        let text = format!("groups: [{}]\n", names.join(", "));
        let at = |path: &str| {
            let rules = RuleSet::read([(path, &*text)]).unwrap();
            let ruler = Ruler::new(rules, Start::default(), RulerSettings::default());
            ruler.groups.iter().map(|group| group.next_ms - Start::default().unix_millis()).collect::<Vec<_>>()
        };
        let phases = at("rules/a.yml");
        assert!(phases.iter().all(|phase| (0..30_000).contains(phase)));
        assert!(phases.iter().max() > Some(&20_000) && phases.iter().min() < Some(&10_000), "{phases:?}");
        assert_eq!(phases, at("/elsewhere/a.yml"));
        assert_ne!(phases, at("b.yml"));
    }

    #[test]
    fn a_start_within_an_interval_keeps_the_schedule_of_the_epoch() {
        let rules = RuleSet::read([("a.yml", "groups: [{ name: g, rules: [] }]\n")]).unwrap();
        let settings = RulerSettings { phase: Phase::Fixed(7_000), ..RulerSettings::default() };
        let due = |start| Ruler::new(Arc::clone(&rules), start, settings).due();
        assert_eq!(due(Start::from_unix_seconds(1_000_000_010)), Some(Time::from_seconds(17)));
        assert_eq!(due(Start::from_unix_seconds(1_000_000_027)), Some(Time::ZERO));
    }
}
