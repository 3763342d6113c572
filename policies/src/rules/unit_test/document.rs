//! Reading a file of rule tests.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem};
use firedrill_core::time::{Span, Start};
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::notation::parse_series;
use firedrill_telemetry::promql::{Mistake, Plan, PlanError};
use firedrill_telemetry::promqltest;
use firedrill_telemetry::store::Store;

use super::super::cycle::ALERT_NAME;
use super::super::document::{duration, text_of};
use super::decisions::{DecisionTest, read_decision_tests, read_declared, read_results};
use super::notifications::{NotificationTest, read_notification_tests};
use super::{AlertTest, ExpectedAlert, ExpectedSample, ExpressionTest, InputSeries, RecordedFormat, RecordedInput, Test, TestFile};
use crate::problem;

/// Prometheus' own default interval, and promtool's.
const DEFAULT_INTERVAL: Span = Span::from_minutes(1);

/// At most so many evaluations of all groups in one test.
const MOST_STEPS: u64 = 5_000_000;

/// Reads a file of rule tests.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_test_file(path: &str, text: &str) -> Result<TestFile, Vec<Problem>> {
    let node = yaml::parse_with_infinities(path, text)?;
    let mut reader = Reader::new();
    let file = test_file(&mut reader, path, &node);
    reader.finish()?;
    Ok(file.expect("a file without problems was read"))
}

fn test_file(reader: &mut Reader, path: &str, node: &Node) -> Option<TestFile> {
    let mut fields = reader.fields(node, "a file of rule tests")?;
    let rule_files = optional_list(reader, &mut fields, "rule_files");
    let rule_files = rule_files.iter().filter_map(|node| Some((text_of(reader, node, "a rule file")?, node.place.clone()))).collect();
    let alertmanager = fields.optional("alertmanager");
    let alertmanager = alertmanager.and_then(|node| Some((text_of(reader, node, "an Alertmanager configuration")?, node.place.clone())));
    let silences = fields.optional("silences");
    let silences = silences.and_then(|node| Some((text_of(reader, node, "a file of silences")?, node.place.clone())));
    let policies = optional_list(reader, &mut fields, "policies");
    let policies = policies.iter().filter_map(|node| Some((text_of(reader, node, "a policy")?, node.place.clone()))).collect::<Vec<_>>();
    let inventory = read_declared(reader, &mut fields);
    let evaluation_interval = interval(reader, &mut fields, "evaluation_interval").unwrap_or(DEFAULT_INTERVAL);
    let group_order = group_order(reader, &mut fields);
    let is_fuzzy = fields.optional("fuzzy_compare").and_then(|node| reader.boolean(node, "`fuzzy_compare`")).unwrap_or(false);
    let keeps = keeps_group_intervals(reader, &mut fields);
    let tests = optional_list(reader, &mut fields, "tests");
    let mut around = Around { evaluation_interval, keeps_group_intervals: keeps, number: 0 };
    let mut read = Vec::new();
    for node in tests {
        around.number += 1;
        read.extend(test(reader, node, &around));
    }
    fields.finish(reader);
    let routed: Option<&NotificationTest> = read.iter().find_map(|test: &Test| test.notifications.first());
    if let (Some(test), None) = (routed, &alertmanager) {
        reader.problem(problem::no_alertmanager(&test.place));
    }
    let deciding: Option<&DecisionTest> = read.iter().find_map(|test: &Test| test.decisions.first());
    if let (Some(test), true) = (deciding, policies.is_empty()) {
        reader.problem(problem::no_policies(&test.place));
    }
    Some(TestFile {
        path: path.to_owned(),
        rule_files,
        alertmanager,
        silences,
        policies,
        inventory,
        evaluation_interval,
        group_order,
        is_fuzzy,
        tests: read,
    })
}

/// What a file says for all of its tests.
struct Around {
    evaluation_interval: Span,
    keeps_group_intervals: bool,
    /// The test's number, from 1.
    number: usize,
}

fn group_order(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<Located<Name>> {
    let mut order: Vec<Located<Name>> = Vec::new();
    for node in optional_list(reader, fields, "group_eval_order") {
        let Some(name) = text_of(reader, node, "a group's name") else { continue };
        let name = Name::from(name);
        if order.iter().any(|other| other.value == name) {
            reader.problem(problem::ordered_twice(&node.place, &name));
        }
        order.push(Located { place: node.place.clone(), value: name });
    }
    order
}

fn keeps_group_intervals(reader: &mut Reader, fields: &mut Fields<'_>) -> bool {
    let node = fields.optional("keep_group_intervals");
    node.and_then(|node| reader.boolean(node, "`keep_group_intervals`")).unwrap_or(false)
}

fn test(reader: &mut Reader, node: &Node, around: &Around) -> Option<Test> {
    let mut fields = reader.fields(node, "a test")?;
    let name = fields.optional("name").and_then(|node| text_of(reader, node, "a test's name")).filter(|name| !name.is_empty());
    let interval = interval(reader, &mut fields, "interval").unwrap_or(around.evaluation_interval);
    let start_ms = fields.optional("start_timestamp").and_then(|node| start(reader, node));
    let recording = fields.optional("recording").and_then(|node| recorded_input(reader, node, start_ms.is_none()));
    let series = optional_list(reader, &mut fields, "input_series");
    let series = series.iter().filter_map(|node| input_series(reader, node)).collect();
    let alerts = optional_list(reader, &mut fields, "alert_rule_test");
    let alerts = alerts.iter().filter_map(|node| alert_test(reader, node, around)).collect();
    let expressions = optional_list(reader, &mut fields, "promql_expr_test");
    let expressions = expressions.iter().filter_map(|node| expression_test(reader, node, around)).collect();
    let notifications = read_notification_tests(reader, &mut fields);
    for test in &notifications {
        refuse_long(reader, &test.place, test.eval_time, around);
    }
    let decisions = read_decision_tests(reader, &mut fields);
    for test in &decisions {
        refuse_long(reader, &test.place, test.eval_time, around);
    }
    let results = read_results(reader, &mut fields);
    let external_labels = fields.optional("external_labels").map(|node| texts(reader, node, "external labels")).unwrap_or_default();
    let external_url = fields.optional("external_url").and_then(|node| text_of(reader, node, "an address")).unwrap_or_default();
    let keeps = keeps_group_intervals(reader, &mut fields) || around.keeps_group_intervals;
    fields.finish(reader);
    Some(Test {
        name: name.unwrap_or_else(|| format!("test {}", around.number)),
        place: node.place.clone(),
        interval,
        start_ms: start_ms.unwrap_or(0),
        series,
        recording,
        alerts,
        expressions,
        notifications,
        decisions,
        results,
        external_labels: external_labels.into_iter().map(|(name, value)| (Name::from(name), Name::from(value))).collect(),
        external_url,
        keeps_group_intervals: keeps,
    })
}

fn recorded_input(reader: &mut Reader, node: &Node, gives_start: bool) -> Option<RecordedInput> {
    const FORMATS: [(&str, RecordedFormat); 3] = [
        ("openmetrics", RecordedFormat::OpenMetrics),
        ("prometheus", RecordedFormat::Prometheus),
        ("firedrill", RecordedFormat::Firedrill),
    ];
    let mut fields = reader.fields(node, "a recording")?;
    let mut named: Vec<(RecordedFormat, &Node)> = Vec::new();
    for (key, format) in FORMATS {
        named.extend(fields.optional(key).map(|node| (format, node)));
    }
    fields.finish(reader);
    let [(format, path)] = named[..] else {
        reader.problem(problem::not_one_recording(&node.place));
        return None;
    };
    let place = path.place.clone();
    Some(RecordedInput { format, path: text_of(reader, path, "a file")?, place, gives_start, samples: Store::new() })
}

fn input_series(reader: &mut Reader, node: &Node) -> Option<InputSeries> {
    let mut fields = reader.fields(node, "an input series")?;
    let labels = fields.required(reader, "series").and_then(|node| {
        let text = text_of(reader, node, "a series")?;
        let labels = parse_series(&text);
        labels.map_err(|error| reader.problem(problem::not_a_series(&node.place, &error.to_string()))).ok()
    });
    let points = fields.optional("values").map(|node| {
        let text = text_of(reader, node, "values")?;
        let points = promqltest::values(&text);
        points.map_err(|mistake| reader.problem(problem::not_values(&node.place, &text, &mistake))).ok()
    });
    fields.finish(reader);
    Some(InputSeries { labels: labels?, points: points.unwrap_or(Some(Vec::new()))?, place: node.place.clone() })
}

fn alert_test(reader: &mut Reader, node: &Node, around: &Around) -> Option<AlertTest> {
    let mut fields = reader.fields(node, "an alert test")?;
    let eval_time = eval_time(reader, &mut fields, around);
    let name = fields.required(reader, "alertname").and_then(|node| {
        let name = text_of(reader, node, "an alert's name")?;
        if name.is_empty() {
            reader.problem(problem::no_alert_name(&node.place));
        }
        Some(Name::from(name))
    });
    let firing = optional_list(reader, &mut fields, "exp_alerts");
    let is_pending_given = fields.has("exp_pending");
    let pending = optional_list(reader, &mut fields, "exp_pending");
    fields.finish(reader);
    let name = name?;
    let mut read = |nodes: &[Node]| nodes.iter().filter_map(|node| expected_alert(reader, node, &name)).collect::<Vec<_>>();
    let (firing, pending) = (read(firing), read(pending));
    Some(AlertTest { eval_time, firing, pending: is_pending_given.then_some(pending), name, place: node.place.clone() })
}

fn expected_alert(reader: &mut Reader, node: &Node, name: &str) -> Option<ExpectedAlert> {
    // An empty item is an alert without labels of its own.
    if matches!(node.value, Value::Null) {
        return Some(ExpectedAlert { labels: [(ALERT_NAME.to_owned(), name.to_owned())].into(), annotations: BTreeMap::new() });
    }
    let mut fields = reader.fields(node, "an expected alert")?;
    let mut labels = fields.optional("exp_labels").map(|node| texts(reader, node, "labels")).unwrap_or_default();
    let annotations = fields.optional("exp_annotations").map(|node| texts(reader, node, "annotations")).unwrap_or_default();
    fields.finish(reader);
    labels.insert(ALERT_NAME.to_owned(), name.to_owned());
    Some(ExpectedAlert { labels, annotations })
}

fn expression_test(reader: &mut Reader, node: &Node, around: &Around) -> Option<ExpressionTest> {
    let mut fields = reader.fields(node, "an expression test")?;
    let eval_time = eval_time(reader, &mut fields, around);
    let expression = fields.required(reader, "expr").and_then(|node| Some((text_of(reader, node, "an expression")?, node)));
    let samples = optional_list(reader, &mut fields, "exp_samples");
    let samples: Vec<Option<ExpectedSample>> = samples.iter().map(|node| expected_sample(reader, node)).collect();
    fields.finish(reader);
    let (expression, expression_node) = expression?;
    let plan = match Plan::parse(&expression) {
        Ok(plan) => Ok(plan.with_subquery_step(i64::try_from(around.evaluation_interval.as_millis()).ok()?)),
        Err(PlanError::Parse { message }) => {
            let mistake = Mistake::of(&expression, &message);
            reader.problem(problem::test_not_promql(&expression_node.place, &expression, &mistake));
            return None;
        }
        Err(error @ PlanError::Unsupported { .. }) => Err(error.to_string()),
    };
    let mut samples = samples.into_iter().collect::<Option<Vec<_>>>()?;
    samples.sort_by(|left, right| left.labels.cmp(&right.labels));
    Some(ExpressionTest { eval_time, expression, plan, samples, place: node.place.clone() })
}

fn expected_sample(reader: &mut Reader, node: &Node) -> Option<ExpectedSample> {
    let mut fields = reader.fields(node, "an expected sample")?;
    // Without labels, the sample that has none is meant.
    let labels = match fields.optional("labels") {
        Some(node) => text_of(reader, node, "labels").and_then(|text| {
            let labels = if matches!(text.trim(), "" | "{}") { Ok(Labels::empty()) } else { parse_series(&text) };
            labels.map_err(|error| reader.problem(problem::not_a_series(&node.place, &error.to_string()))).ok()
        }),
        None => Some(Labels::empty()),
    };
    let value = fields.optional("value").map(|node| number(reader, node));
    let histogram = fields.optional("histogram").and_then(|node| text_of(reader, node, "a histogram"));
    fields.finish(reader);
    // Without a value promtool compares with zero.
    let value = value.unwrap_or(Some(0.0))?;
    Some(ExpectedSample { labels: labels?, value: histogram.is_none_or(|text| text.is_empty()).then_some(value) })
}

/// A number as YAML writes it, infinities and `.nan` among them.
fn number(reader: &mut Reader, node: &Node) -> Option<f64> {
    let Value::Text(text) = &node.value else { return reader.number(node, "a value") };
    match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        _ => reader.number(node, "a value"),
    }
}

fn eval_time(reader: &mut Reader, fields: &mut Fields<'_>, around: &Around) -> Span {
    let Some(node) = fields.optional("eval_time") else { return Span::ZERO };
    let span = duration(reader, node).unwrap_or(Span::ZERO);
    refuse_long(reader, &node.place, span, around);
    span
}

fn refuse_long(reader: &mut Reader, place: &Place, span: Span, around: &Around) {
    if span.as_millis() / around.evaluation_interval.as_millis().max(1) > MOST_STEPS {
        reader.problem(problem::too_many_steps(place, MOST_STEPS));
    }
}

/// A duration that is not zero; zero means the default, as in promtool.
fn interval(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Span> {
    let node = fields.optional(key)?;
    duration(reader, node).filter(|span| *span > Span::ZERO)
}

/// Seconds since 1970, or RFC 3339.
fn start(reader: &mut Reader, node: &Node) -> Option<i64> {
    let text = text_of(reader, node, "a start")?;
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.abs() < 9e9);
    let millis = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
    let read = millis.or_else(|| Start::parse(&text).ok().map(Start::unix_millis));
    if read.is_none() {
        reader.problem(problem::not_a_start(&node.place, &text));
    }
    read
}

pub(super) fn texts(reader: &mut Reader, node: &Node, what: &str) -> BTreeMap<String, String> {
    let Some(fields) = reader.fields(node, what) else { return BTreeMap::new() };
    let text = |(key, value): &(yaml::Key, Node)| Some((key.text.to_string(), text_of(reader, value, what)?));
    fields.entries().iter().filter_map(text).collect()
}

/// The items of a list that may be missing.
pub(super) fn optional_list<'n>(reader: &mut Reader, fields: &mut Fields<'n>, key: &'static str) -> &'n [Node] {
    fields.optional(key).and_then(|node| reader.list(node, &format!("`{key}`"))).unwrap_or_default()
}
