//! Running one rule test.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Evaluator, Sample, Value};
use firedrill_telemetry::promqltest::Point;
use firedrill_telemetry::store::{Samples, SeriesId, Store};

use super::super::compiled::RuleMachine;
use super::super::cycle::{AlertState, ChangeKind, Cycle, GroupState, Pace, SentAlert, Surroundings, annotations};
use super::super::{Group, RuleSet};
use super::{AlertTest, ExpectedAlert, ExpectedSample, ExpressionTest, RecordedInput, Test, TestFile};

/// What became of a test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many expectations were compared.
    pub checks: usize,
    /// What was not as expected; empty if the test passed.
    pub failures: Vec<Failure>,
    /// What Prometheus would have sent to Alertmanager, and when, after the start; kept if the test expects notifications.
    pub sent: Vec<(Span, SentAlert)>,
    /// Whether the test ended at a rule or an input that failed.
    pub ended_early: bool,
}

/// Something that is not as expected.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Other alerts than expected.
    Alerts {
        /// The expectation's place.
        place: Place,
        /// The alerts' name.
        name: Name,
        /// The moment after the start.
        eval_time: Span,
        /// Whether those that are pending are meant, rather than those that fire.
        is_pending: bool,
        /// What is expected.
        expected: Vec<ExpectedAlert>,
        /// What is there.
        got: Vec<AlertGot>,
        /// What became of the alerts of this name until then, and after it.
        timeline: Vec<TimelineEntry>,
    },
    /// Other samples than expected.
    Samples {
        /// The expectation's place.
        place: Place,
        /// The expression.
        expression: String,
        /// The moment after the start.
        eval_time: Span,
        /// What is expected.
        expected: Vec<ExpectedSample>,
        /// What is there, sorted by labels.
        got: Vec<(Labels, f64)>,
    },
    /// An expression that could not be evaluated.
    Expression {
        /// The expectation's place.
        place: Place,
        /// The expression.
        expression: String,
        /// The moment after the start.
        eval_time: Span,
        /// Why not.
        message: String,
    },
    /// A rule that failed; the test ends there.
    Rule {
        /// The rule's place.
        place: Place,
        /// Its group.
        group: Name,
        /// Its name.
        rule: Name,
        /// The moment after the start.
        at: Span,
        /// Why.
        message: String,
    },
    /// Input that cannot be used.
    Input {
        /// The input's place.
        place: Place,
        /// Why not.
        message: String,
    },
}

/// An alert that is there, in the words of the expectations.
pub type AlertGot = ExpectedAlert;

/// One thing that happened to one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// After the start.
    pub at: Span,
    /// What happened.
    pub change: Change,
    /// The alert's labels.
    pub labels: Labels,
}

/// What can happen to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It waits out its `for`.
    Pending,
    /// It was pending and is gone.
    Dropped,
    /// It fires.
    Firing,
    /// It fired and is over.
    Over,
}

/// Runs one test of a file on the rules that the file names.
#[must_use]
pub fn run_test(file: &TestFile, test: &Test, rules: &RuleSet) -> Outcome {
    let mut bench = match Bench::new(file, test, rules) {
        Ok(bench) => bench,
        Err(failure) => return Outcome { checks: 0, failures: vec![failure], sent: Vec::new(), ended_early: true },
    };
    let finished = bench.evaluate_all();
    let ended_early = finished.is_err();
    // As promtool: a rule that fails ends the test, because what follows would be judged on half the series.
    if finished.is_ok() {
        for expectation in &test.expressions {
            bench.checks += 1;
            let failure = bench.compare_expression(expectation);
            bench.failures.extend(failure);
        }
    }
    Outcome { ended_early, ..bench.finish() }
}

struct Bench<'a> {
    file: &'a TestFile,
    test: &'a Test,
    rules: &'a RuleSet,
    groups: Vec<Scheduled>,
    surroundings: Surroundings,
    input: Vec<Input<'a>>,
    store: Store,
    machine: RuleMachine,
    evaluator: Evaluator,
    names: BTreeSet<&'a str>,
    timeline: BTreeMap<Name, Vec<TimelineEntry>>,
    checks: usize,
    failures: Vec<Failure>,
    sent: Vec<(Span, SentAlert)>,
}

/// A group in the order of evaluation.
struct Scheduled {
    index: usize,
    interval_ms: i64,
    /// Milliseconds after the start.
    next_ms: i64,
    state: GroupState,
}

struct Input<'a> {
    id: SeriesId,
    samples: InputSamples<'a>,
    /// How many of them were written or skipped.
    taken: usize,
    place: &'a Place,
}

#[derive(Clone, Copy)]
enum InputSamples<'a> {
    /// One an interval, from the start on.
    Points(&'a [Point]),
    /// At times of their own.
    Recorded(Samples<'a>),
}

impl InputSamples<'_> {
    /// The time and value of a sample, Unix milliseconds; `None` behind the last one. A gap has no value.
    fn get(self, index: usize, start_ms: i64, interval_ms: i64) -> Option<(i64, Option<f64>)> {
        match self {
            InputSamples::Points(points) => {
                let value = if let Point::Float(value) = points.get(index)? { Some(*value) } else { None };
                Some((start_ms.saturating_add(interval_ms.saturating_mul(index as i64)), value))
            }
            InputSamples::Recorded(samples) => Some((*samples.times.get(index)?, Some(samples.values[index]))),
        }
    }
}

impl<'a> Bench<'a> {
    fn new(file: &'a TestFile, test: &'a Test, rules: &'a RuleSet) -> Result<Self, Failure> {
        let mut store = Store::new();
        let mut input: Vec<Input<'_>> = Vec::new();
        for series in &test.series {
            if series.points.contains(&Point::Native) {
                let message = "native histograms cannot be evaluated yet".to_owned();
                return Err(Failure::Input { place: series.place.clone(), message });
            }
            let id = store.series(&series.labels);
            // Of a series that stands twice the later line counts, as in promtool.
            input.retain(|other| other.id != id);
            input.push(Input { id, samples: InputSamples::Points(&series.points), taken: 0, place: &series.place });
        }
        if let Some(RecordedInput { samples, place, .. }) = &test.recording {
            for recorded in samples.ids() {
                let id = store.series(samples.labels(recorded));
                input.push(Input { id, samples: InputSamples::Recorded(samples.samples(recorded)), taken: 0, place });
            }
        }
        let base_ms = millis(file.evaluation_interval);
        let mut groups: Vec<Scheduled> = rules
            .groups
            .iter()
            .enumerate()
            .map(|(index, group)| {
                let own_ms = group.interval.filter(|_| test.keeps_group_intervals).map_or(base_ms, millis);
                Scheduled { index, interval_ms: own_ms.max(1), next_ms: 0, state: GroupState::new(group) }
            })
            .collect();
        let rank = |group: &Group| file.group_order.iter().position(|named| named.value == group.name).unwrap_or(0);
        groups.sort_by_key(|scheduled| rank(&rules.groups[scheduled.index]));
        let surroundings = Surroundings { external_labels: test.external_labels.clone(), external_url: test.external_url.clone() };
        let names = test.alerts.iter().map(|alert| alert.name.as_str()).collect();
        Ok(Self {
            file,
            test,
            rules,
            groups,
            surroundings,
            input,
            store,
            names,
            machine: RuleMachine::new(rules),
            evaluator: Evaluator::new(),
            timeline: BTreeMap::new(),
            checks: 0,
            failures: Vec::new(),
            sent: Vec::new(),
        })
    }

    /// Evaluates the groups at each step up to the last moment that is asked about, and compares alerts on the way.
    fn evaluate_all(&mut self) -> Result<(), ()> {
        let mut pending: Vec<&AlertTest> = self.test.alerts.iter().collect();
        pending.sort_by_key(|alert| alert.eval_time);
        let last = self.test.alerts.iter().map(|alert| alert.eval_time).chain(self.test.expressions.iter().map(|test| test.eval_time));
        let last = last.chain(self.test.notifications.iter().map(|test| test.eval_time)).max();
        let last_ms = millis(last.unwrap_or(Span::ZERO));
        let base_ms = millis(self.file.evaluation_interval);
        let mut base_next_ms = 0;
        loop {
            let due_ms = self.groups.iter().map(|group| group.next_ms).chain([base_next_ms]).min().unwrap_or(base_next_ms);
            if due_ms > last_ms {
                return Ok(());
            }
            base_next_ms += if base_next_ms == due_ms { base_ms } else { 0 };
            self.load(due_ms)?;
            self.evaluate(due_ms)?;
            let next_ms = self.groups.iter().map(|group| group.next_ms).chain([base_next_ms]).min().unwrap_or(base_next_ms);
            // What is expected between two evaluations is compared with the earlier one.
            let now = pending.iter().take_while(|alert| millis(alert.eval_time) < next_ms).count();
            for expectation in pending.drain(..now).collect::<Vec<_>>() {
                self.compare_alerts(expectation);
            }
        }
    }

    /// Writes the input up to and including a moment.
    fn load(&mut self, at_ms: i64) -> Result<(), ()> {
        let (start_ms, interval_ms) = (self.test.start_ms, millis(self.test.interval));
        for input in &mut self.input {
            while let Some((sample_ms, value)) = input.samples.get(input.taken, start_ms, interval_ms) {
                if sample_ms > start_ms.saturating_add(at_ms) {
                    break;
                }
                input.taken += 1;
                let Some(value) = value else { continue };
                if self.store.append(input.id, sample_ms, value).is_err() {
                    let message =
                        format!("{} has a sample at this moment already, of a rule or of other input", self.store.labels(input.id));
                    self.failures.push(Failure::Input { place: input.place.clone(), message });
                    return Err(());
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, at_ms: i64) -> Result<(), ()> {
        let nothing = Store::new();
        let before = self.failures.len();
        for scheduled in self.groups.iter_mut().filter(|scheduled| scheduled.next_ms == at_ms) {
            scheduled.next_ms += scheduled.interval_ms;
            let group = &self.rules.groups[scheduled.index];
            let mut cycle = Cycle {
                group,
                number: scheduled.index,
                at_ms: self.test.start_ms + at_ms,
                pace_ms: Pace { interval: scheduled.interval_ms, resend: 60_000 },
                surroundings: &self.surroundings,
                raw: &nothing,
                changes: Vec::new(),
                sent: Vec::new(),
            };
            cycle.run(&mut scheduled.state, &mut self.store, &mut self.machine);
            if !self.test.notifications.is_empty() {
                let at = Span::from_millis(at_ms.unsigned_abs());
                self.sent.extend(cycle.sent.into_iter().map(|alert| (at, alert)));
            }
            for change in cycle.changes {
                let rule = &group.rules[change.rule];
                let at = Span::from_millis(at_ms.unsigned_abs());
                let (change, labels) = match change.kind {
                    ChangeKind::Pending { labels, .. } => (Change::Pending, labels),
                    ChangeKind::Dropped { labels } => (Change::Dropped, labels),
                    ChangeKind::Firing { labels, .. } => (Change::Firing, labels),
                    ChangeKind::Resolved { labels, .. } => (Change::Over, labels),
                    ChangeKind::Failed { message } => {
                        let (place, group, rule) = (rule.place.clone(), group.name.clone(), rule.name.clone());
                        self.failures.push(Failure::Rule { place, group, rule, at, message });
                        continue;
                    }
                };
                if self.names.contains(rule.name.as_str()) {
                    self.timeline.entry(rule.name.clone()).or_default().push(TimelineEntry { at, change, labels });
                }
            }
        }
        if self.failures[before..].iter().any(|failure| matches!(failure, Failure::Rule { .. })) { Err(()) } else { Ok(()) }
    }

    fn compare_alerts(&mut self, expectation: &AlertTest) {
        let states = [(false, AlertState::Firing, Some(&expectation.firing)), (true, AlertState::Pending, expectation.pending.as_ref())];
        for (is_pending, state, expected) in states {
            let Some(expected) = expected else { continue };
            self.checks += 1;
            let mut expected = expected.clone();
            expected.sort();
            let mut got = self.alerts(&expectation.name, state);
            got.sort();
            if expected != got {
                self.failures.push(Failure::Alerts {
                    place: expectation.place.clone(),
                    name: expectation.name.clone(),
                    eval_time: expectation.eval_time,
                    is_pending,
                    expected,
                    got,
                    timeline: Vec::new(),
                });
            }
        }
    }

    /// The alerts of one name, of whichever rules, in one state.
    fn alerts(&self, name: &str, state: AlertState) -> Vec<AlertGot> {
        let mut found = Vec::new();
        for scheduled in &self.groups {
            let rules = self.rules.groups[scheduled.index].rules.iter().zip(&scheduled.state.rules);
            for (rule, rule_state) in rules.filter(|(rule, _)| rule.is_alerting() && rule.name.as_str() == name) {
                for (labels, alert) in rule_state.alerts.iter().filter(|(_, alert)| alert.state == state) {
                    let annotations = annotations(rule, alert, &self.surroundings, &[&self.store]);
                    found.push(AlertGot {
                        labels: labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                        annotations: annotations.into_iter().map(|(name, text)| (name.to_string(), text)).collect(),
                    });
                }
            }
        }
        found
    }

    fn compare_expression(&mut self, expectation: &ExpressionTest) -> Option<Failure> {
        let ExpressionTest { eval_time, expression, plan, samples, place } = expectation;
        let at_ms = self.test.start_ms + millis(*eval_time);
        let result = match plan {
            Ok(plan) => self.evaluator.evaluate(plan, at_ms, &[&self.store]).map_err(|error| error.to_string()),
            Err(message) => Err(message.clone()),
        };
        let failed =
            |message: String| Failure::Expression { place: place.clone(), expression: expression.clone(), eval_time: *eval_time, message };
        let mut got: Vec<(Labels, f64)> = match result {
            Err(message) => return Some(failed(message)),
            Ok(Value::Vector(samples)) => samples.into_iter().map(|Sample { labels, value }| (labels, value)).collect(),
            Ok(Value::Scalar(value)) => vec![(Labels::empty(), value)],
            Ok(Value::Text(_) | Value::Matrix(_)) => return Some(failed("the result is neither a vector nor a scalar".to_owned())),
        };
        got.sort_by(|left, right| left.0.cmp(&right.0));
        if samples.iter().any(|sample| sample.value.is_none()) {
            return Some(failed("native histograms cannot be evaluated yet".to_owned()));
        }
        let same = |(expected, (labels, value)): (&ExpectedSample, &(Labels, f64))| {
            expected.labels == *labels && expected.value.is_some_and(|expected| same_number(expected, *value, self.file.is_fuzzy))
        };
        if samples.len() == got.len() && samples.iter().zip(&got).all(same) {
            return None;
        }
        let (place, expression, expected) = (place.clone(), expression.clone(), samples.clone());
        Some(Failure::Samples { place, expression, eval_time: *eval_time, expected, got })
    }

    fn finish(self) -> Outcome {
        let Self { checks, mut failures, timeline, sent, .. } = self;
        for failure in &mut failures {
            if let Failure::Alerts { name, timeline: own, .. } = failure {
                own.clone_from(timeline.get(name).unwrap_or(&Vec::new()));
            }
        }
        Outcome { checks, failures, sent, ended_early: false }
    }
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn same_number(expected: f64, got: f64, is_fuzzy: bool) -> bool {
    let same = expected == got || (expected.is_nan() && got.is_nan());
    same || (is_fuzzy && (expected.next_down() == got || expected.next_up() == got))
}
