//! Whatever the bytes of a rule file, a test file or a template: reading them ends soon, with a result or with problems, and never in a panic.
use std::panic::catch_unwind;
use std::rc::Rc;

use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Value as Yaml, parse};
use firedrill_policies::document::read_policy;
use firedrill_policies::rules::unit_test::{read_test_file, run_test};
use firedrill_policies::rules::{RuleSet, Scene, Subject, Template};
use firedrill_telemetry::labels::Labels;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

const RULES: &str = "groups:
- name: nodes
  interval: 30s
  limit: 10
  query_offset: 5s
  labels: { team: a }
  rules:
  - record: zone:up:ratio
    expr: avg by (zone) (up)
    labels: { kind: recorded }
  - alert: NodeDown
    expr: up{job=~\"a.*\"} == 0 unless on (node) drained
    for: 2m
    keep_firing_for: 1m
    labels: { severity: '{{ if gt $value 1.0 }}critical{{ else }}warning{{ end }}' }
    annotations:
      summary: \"{{ $labels.node }} {{ printf \\\"%.2f\\\" $value | title }} {{ with query \\\"up\\\" }}{{ . | first | value }}{{ end }}\"
";

const TESTS: &str = "rule_files: [rules.yml]
evaluation_interval: 1m
fuzzy_compare: true
group_eval_order: [nodes]
tests:
- name: one
  interval: 1m
  input_series:
  - { series: 'up{node=\"a\",job=\"a\"}', values: '1 0x10 _x2 stale 1+2x3' }
  alert_rule_test:
  - { eval_time: 3m, alertname: NodeDown, exp_alerts: [{ exp_labels: { node: a }, exp_annotations: { summary: a } }], exp_pending: [] }
  promql_expr_test:
  - { eval_time: 5m, expr: 'sum(rate(up[5m]))', exp_samples: [{ labels: '{}', value: 0.5 }] }
  external_labels: { region: x }
  external_url: http://localhost
";

const TEMPLATES: [&str; 6] = [
    "{{ $labels.node }} is at {{ $value | humanizePercentage }} {{ humanize 1234567.0 }} {{ humanizeDuration 3723.5 }} {{ humanize1024 2048.0 }}",
    "{{ range query \"up\" }}{{ .Labels.node }}={{ .Value }} {{ end }}",
    "{{ with $x := query \"up > 0\" }}{{ $x | first | label \"node\" }}{{ else }}none{{ end }}",
    "{{ if and (gt $value 1.0) (eq $labels.node \"a\") }}{{ printf \"%s %d %5.3f %q %v %x\" \"a\" 3 1.5 \"b\" $value 255 }}{{ end }}",
    "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.node | toUpper | title | len }} {{ $externalLabels.region }} {{ $externalURL }}",
    "{{ humanizeTimestamp 1767571200.0 }} {{ parseDuration \"1h30m\" }} {{ stripPort \"a:80\" }} {{ index $labels \"node\" | urlquery }}",
];

/// What these texts are made of, and what is most likely to hurt.
const PIECES: [&str; 56] = [
    "{{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ":",
    ": ",
    "- ",
    ",",
    "'",
    "\"",
    "`",
    "|",
    ">",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "#",
    "\n",
    "\n  ",
    "\t",
    "\0",
    "é",
    "%",
    "\\",
    "0",
    "-1",
    "1e309",
    ".nan",
    "99999999999y",
    "1d",
    "null",
    "true",
    "~",
    "$",
    "$labels",
    "$value",
    ".",
    "range",
    "with",
    "if",
    "end",
    "else",
    "template",
    "define",
    "x10",
    "x99999999999",
    "_",
    "stale",
    "NaN",
    "%s%d%999999d",
    "[1y:1ms]",
];

#[derive(Debug, Clone)]
struct Change {
    at: Index,
    goes: usize,
    comes: &'static str,
    byte: Option<u8>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<Index>(), 0_usize..8, select(PIECES.to_vec()), prop::option::weighted(0.2, any::<u8>()));
    prop::collection::vec(change.prop_map(|(at, goes, comes, byte)| Change { at, goes, comes, byte }), 1..6)
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for Change { at, goes, comes, byte } in changes {
        let at = at.index(bytes.len() + 1);
        let end = (at + goes).min(bytes.len());
        bytes.splice(at..end, byte.map_or_else(|| comes.as_bytes().to_vec(), |byte| vec![byte]));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn fill(text: &str) -> String {
    let labels = Labels::named("up", &[("node", "a:1"), ("job", "b")]);
    let subject = Subject { labels: &labels, value: 1.25, external_labels: &[] };
    let ask = |_: &str| Ok(vec![firedrill_telemetry::promql::Sample { labels: Labels::named("up", &[("node", "x")]), value: 2.0 }]);
    Template::new(text).fill(&subject, &Scene { external_url: "http://h/".to_owned(), at_ms: 1_767_571_200_000, ask: Rc::new(ask) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn changed_rule_files_are_read_or_refused(changes in changes()) {
        if let Err(problems) = RuleSet::read([("rules.yml", changed(RULES, &changes).as_str())]) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn changed_test_files_are_run_or_refused(changes in changes()) {
        let rules = RuleSet::read([("rules.yml", RULES)]).unwrap();
        match read_test_file("tests.yml", &changed(TESTS, &changes)) {
            Err(problems) => prop_assert!(!problems.is_empty()),
            Ok(file) => {
                for test in &file.tests {
                    let times = test.alerts.iter().map(|test| test.eval_time).chain(test.expressions.iter().map(|test| test.eval_time));
                    // A late moment takes as long as it says; how many evaluations that may be is the reader's to refuse.
                    if times.max().is_none_or(|last| last < Span::from_minutes(2_000)) {
                        let _ = run_test(&file, test, &rules);
                    }
                }
            }
        }
    }

    #[test]
    fn changed_templates_are_filled_in_or_left(index in 0..TEMPLATES.len(), changes in changes()) {
        let _ = fill(&changed(TEMPLATES[index], &changes));
    }

    #[test]
    fn any_bytes_at_all_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = RuleSet::read([("rules.yml", &*text)]);
        let _ = read_test_file("tests.yml", &text);
        let _ = fill(&text);
        let _ = fill(&format!("{{{{ {text} }}}}"));
    }
}

#[test]
fn the_texts_that_are_changed_are_sound() {
    let rules = RuleSet::read([("rules.yml", RULES)]).unwrap();
    let file = read_test_file("tests.yml", TESTS).unwrap();
    assert_eq!(run_test(&file, &file.tests[0], &rules).checks, 3);
    for text in TEMPLATES {
        let filled = fill(text);
        assert!(!filled.contains("{{") && !filled.contains("<error"), "{filled}");
    }
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    for (from, to) in [("1 0x10", "1x99999999999"), ("1 0x10", "_x99999999999"), ("eval_time: 3m", "eval_time: 9999y")] {
        let problems = read_test_file("tests.yml", &TESTS.replacen(from, to, 1)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
    assert!(fill("{{ printf \"%999999999d\" 1 }}").len() < 1_000_000);
    let nested = format!("{}x{}", "{{ if true }}".repeat(20_000), "{{ end }}".repeat(20_000));
    let _ = fill(&nested);
    let _ = fill(&format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)));
    let _ = fill("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}");
}

/// A policy in which every key of the documentation stands that the examples lack, and steps of several actions.
const POLICIES: [&str; 3] = [
    include_str!("../../../src/commands/explain/every-key.yaml"),
    include_str!("../../library/restart-crashed-or-hung.yaml"),
    "schema: policy/1
policy: p
owner: o
on: { alert: Down }
target: { service: $service }
steps:
  - staged: { restart: { mode: rolling }, each: { replica: pod, from: up == 0 }, first: 1, then: 50%, rounding: ceil, order: name }
    verify: { expr: up == 1, hold: 1s, within: 1m }
    on_failure: next
  - choose:
      - { shed_load: { share: 50%, spare: high, lasting: 5m }, score: up, risk: low, when: { expr: up == 1, because: it is } }
      - { wait: 1m, score: 0.1 }
  - escalate: { ladder: [{ to: a }, { to: b, after: 1m }], with: [metrics] }
guard:
  cooldown: { same_policy: 5m, any_policy: 5m }
  breaker: { failures: 50%, of_at_least: 2, within: 1h, harm: { expr: sum(errors), by: 1 } }
",
];

fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => (*value).into(),
        Yaml::Integer(value) => (*value).into(),
        Yaml::Float(value) => (*value).into(),
        Yaml::Text(text) => text.as_str().into(),
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Map(entries) => Value::Object(entries.iter().map(|(key, node)| (key.text.to_string(), json(node))).collect()),
    }
}

/// The place of every value, as RFC 6901 has it.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let at = format!("{at}/{key}");
        places(value, &at, found);
        found.push(at);
    }
}

/// What is left of a document without one of its values.
fn without(document: &Value, at: &str) -> Value {
    let mut document = document.clone();
    let (holder, key) = at.rsplit_once('/').unwrap();
    match document.pointer_mut(holder).unwrap() {
        Value::Object(entries) => _ = entries.remove(&key.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) => _ = items.remove(key.parse().unwrap()),
        _ => unreachable!("only these hold values"),
    }
    document
}

#[test]
fn a_policy_of_which_any_one_value_is_missing_or_another_is_read_or_refused() {
    let others = [Value::Null, Value::Array(Vec::new()), Value::Object(serde_json::Map::new()), "5m".into()];
    for text in POLICIES {
        let document = json(&parse("p.yaml", text).unwrap());
        let mut all = Vec::new();
        places(&document, "", &mut all);
        assert!(all.len() > 20);
        for at in &all {
            let with = |other: &Value| {
                let mut document = document.clone();
                *document.pointer_mut(at).unwrap() = other.clone();
                document
            };
            for changed in others.iter().map(with).chain([without(&document, at)]) {
                let text = changed.to_string();
                let told = catch_unwind(|| read_policy("p.yaml", &text).err());
                let problems = told.unwrap_or_else(|_| panic!("reading this panics, by {at}: {text}"));
                assert!(problems.is_none_or(|problems| !problems.is_empty()), "refused without a problem, by {at}: {text}");
            }
        }
    }
}
