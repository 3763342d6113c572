//! Reading rule files: `groups:` as Prometheus has them, and PrometheusRule manifests as its operator has them.
//!
//! Unknown keys are refused, as Prometheus refuses them. A file may hold several manifests; of a file with `groups:` Prometheus reads the first
//! document alone, so a second one is refused.

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::Span;
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};
use firedrill_telemetry::promql::{Mistake, Plan, PlanError};

use super::template::Template;
use super::{Group, Places, Rule, RuleKind};
use crate::problem;

/// Reads the groups of one rule file.
///
/// # Errors
/// Everything that is wrong with the file. An expression that cannot be evaluated yet is no error: see [`Rule::plan`].
pub fn read_rules(path: &str, text: &str) -> Result<Vec<Group>, Vec<Problem>> {
    let nodes = yaml::parse_many(path, text)?;
    let mut reader = Reader::new();
    let mut groups = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if nodes.len() > 1 && index > 0 && matches!(node.value, Value::Map(_)) && !(is_manifest(node) && is_manifest(&nodes[0])) {
            reader.problem(problem::second_document(&node.place));
        }
        document(&mut reader, path, node, &mut groups);
    }
    reader.finish()?;
    Ok(groups)
}

fn is_manifest(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.iter().any(|(key, _)| &*key.text == "kind"))
}

fn document(reader: &mut Reader, path: &str, node: &Node, groups: &mut Vec<Group>) {
    if matches!(node.value, Value::Null) {
        return;
    }
    let Some(mut fields) = reader.fields(node, "a rule file") else { return };
    if !fields.has("kind") {
        if let Some(node) = fields.optional("groups") {
            read_groups(reader, path, node, groups);
        }
        return fields.finish(reader);
    }
    match fields.optional("kind").map(|node| &node.value) {
        Some(Value::Text(kind)) if &**kind == "PrometheusRule" => {
            let Some(spec) = fields.required(reader, "spec").and_then(|node| reader.fields(node, "`spec`")) else { return };
            manifest(reader, path, spec, groups);
        }
        Some(Value::Text(kind)) if &**kind == "PrometheusRuleList" || &**kind == "List" => {
            let items = fields.required(reader, "items").and_then(|node| reader.list(node, "`items`"));
            for item in items.unwrap_or_default() {
                document(reader, path, item, groups);
            }
        }
        Some(Value::Text(kind)) => reader.problem(problem::no_rules(fields.place(), &format!("a manifest of kind `{kind}`"))),
        _ => reader.problem(problem::no_rules(fields.place(), "a manifest without a kind")),
    }
    // The rest of a manifest (`metadata` and so on) belongs to Kubernetes.
}

fn manifest(reader: &mut Reader, path: &str, mut spec: Fields<'_>, groups: &mut Vec<Group>) {
    if let Some(node) = spec.optional("groups") {
        read_groups(reader, path, node, groups);
    }
    spec.finish(reader);
}

fn read_groups(reader: &mut Reader, path: &str, node: &Node, groups: &mut Vec<Group>) {
    let before = groups.len();
    for item in reader.list(node, "`groups`").unwrap_or_default() {
        let Some((group, place)) = read_group(reader, path, item) else { continue };
        if groups[before..].iter().any(|other| other.name == group.name) {
            reader.problem(problem::group_twice(&place, &group.name));
        }
        groups.push(group);
    }
}

fn read_group(reader: &mut Reader, path: &str, node: &Node) -> Option<(Group, Place)> {
    let mut fields = reader.fields(node, "a group")?;
    let name_node = fields.required(reader, "name");
    let name = name_node.and_then(|node| text_of(reader, node, "a group's name"));
    if let (Some(""), Some(node)) = (name.as_deref(), name_node) {
        reader.problem(problem::nameless_group(&node.place));
    }
    // Zero means what the server does by default, as in Prometheus.
    let interval = fields.optional("interval").and_then(|node| duration(reader, node)).filter(|span| *span > Span::ZERO);
    let query_offset = fields.optional("query_offset").and_then(|node| duration(reader, node));
    let limit = fields.optional("limit").and_then(|node| reader.integer(node, "`limit`", i64::MIN..=i64::MAX));
    let labels = fields.optional("labels").map(|node| labels(reader, node)).unwrap_or_default();
    // Thanos' way to say what a failed store means; there is one store here.
    fields.optional("partial_response_strategy");
    let rules_node = fields.optional("rules");
    let rules = rules_node.and_then(|node| reader.list(node, "`rules`")).unwrap_or_default();
    let rules = rules.iter().filter_map(|item| read_rule(reader, item, &labels)).collect();
    fields.finish(reader);
    let place = name_node.map_or_else(|| node.place.clone(), |node| node.place.clone());
    let group = Group {
        file: path.to_owned(),
        place: place.clone(),
        name: Name::from(name?),
        interval,
        query_offset: query_offset.unwrap_or(Span::ZERO),
        // Zero and less mean no limit, as in Prometheus.
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
        rules,
    };
    Some((group, place))
}

fn read_rule(reader: &mut Reader, node: &Node, group_labels: &[(Name, Name)]) -> Option<Rule> {
    let mut fields = reader.fields(node, "a rule")?;
    // Prometheus takes an empty name for none.
    let is_given = |node: &&Node| !matches!(&node.value, Value::Text(text) if text.is_empty());
    let (record, alert) = (fields.optional("record").filter(is_given), fields.optional("alert").filter(is_given));
    if record.is_some() == alert.is_some() {
        reader.problem(problem::not_one_rule(fields.place(), record.is_some()));
    }
    if record.is_some() {
        for key in ["for", "keep_firing_for", "annotations"] {
            if let Some(node) = fields.optional(key) {
                reader.problem(problem::not_for_recording(&node.place, key));
            }
        }
    }
    let name_node = record.or(alert);
    let name = name_node.and_then(|node| text_of(reader, node, "a rule's name").map(|name| (name, &node.place)));
    if let Some((name, place)) = &name
        && record.is_some()
        && name.contains(['{', '}'])
    {
        reader.problem(problem::invalid_name(place, "the name of a series", name));
    }
    let hold_node = fields.optional("for");
    let hold = hold_node.and_then(|node| duration(reader, node));
    let keep_firing = fields.optional("keep_firing_for").and_then(|node| duration(reader, node));
    let (labels_node, annotations_node) = (fields.optional("labels"), fields.optional("annotations"));
    let own_labels = labels_node.map(|node| labels(reader, node)).unwrap_or_default();
    let annotations = annotations_node.map(|node| annotations(reader, node)).unwrap_or_default();
    let expression_node = fields.required(reader, "expr");
    let expression = expression_node.and_then(|node| text_of(reader, node, "an expression"));
    fields.finish(reader);
    let ((name, name_place), expression, expression_node) = (name?, expression?, expression_node?);
    let plan = plan(reader, expression_node, &name, &expression)?;
    let kind = if record.is_some() {
        RuleKind::Recording
    } else {
        RuleKind::Alerting { hold: hold.unwrap_or(Span::ZERO), keep_firing: keep_firing.unwrap_or(Span::ZERO) }
    };
    let inherited = group_labels.iter().filter(|(name, _)| own_labels.iter().all(|(own, _)| own != name)).cloned();
    let labels: Vec<(Name, Name)> = inherited.chain(own_labels.iter().cloned()).collect();
    let label_templates = label_templates(&labels, record.is_some());
    let places = Places {
        whole: whole(node),
        name: name_place.clone(),
        hold: hold_node.map(|node| node.place.clone()),
        labels: labels_node.map(values).unwrap_or_default(),
        annotations: annotations_node.map(values).unwrap_or_default(),
    };
    if record.is_none() {
        refuse_broken(reader, &name, label_templates.iter().chain(&annotations), &places);
    }
    Some(Rule {
        name: Name::from(name),
        kind,
        expression,
        plan,
        labels,
        label_templates,
        annotations,
        place: expression_node.place.clone(),
        places,
    })
}

/// A map from its first key on, with the lines below that are indented as far: a node knows its first line only.
fn whole(node: &Node) -> Place {
    let text = &node.place.file().text;
    let from = node.place.range().start;
    let line_start = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let indent = text[line_start..from].chars().count();
    let mut to = node.place.range().end;
    let mut at = from;
    for (index, line) in text[from..].split_inclusive('\n').enumerate() {
        let depth = line.chars().take_while(|c| *c == ' ').count();
        if index > 0 && depth < indent && !line.trim().is_empty() {
            break;
        }
        if !line.trim().is_empty() {
            to = at + line.trim_end().len();
        }
        at += line.len();
    }
    node.place.until(to)
}

/// The keys of a map with the places of their values.
fn values(node: &Node) -> Vec<(Name, Place)> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    entries.iter().map(|(key, value)| (key.text.clone(), value.place.clone())).collect()
}

/// The expression's plan, or why it has none yet; `None` if it is no PromQL, which is a problem.
fn plan(reader: &mut Reader, node: &Node, name: &str, expression: &str) -> Option<Result<Plan, PlanError>> {
    match Plan::parse(expression) {
        Err(PlanError::Parse { message }) => {
            reader.problem(problem::not_promql(&node.place, name, expression, &Mistake::of(expression, &message)));
            None
        }
        plan => Some(plan),
    }
}

fn labels(reader: &mut Reader, node: &Node) -> Vec<(Name, Name)> {
    let Some(fields) = reader.fields(node, "labels") else { return Vec::new() };
    let mut labels = Vec::new();
    for (key, value) in fields.entries() {
        if key.text.is_empty() || &*key.text == "__name__" {
            reader.problem(problem::invalid_name(&key.place, "a label that a rule can set", &key.text));
        }
        if let Some(text) = text_of(reader, value, "a label's value") {
            labels.push((key.text.clone(), Name::from(text)));
        }
    }
    labels
}

/// The labels of an alert that are templates; a recording rule takes its labels as they are.
fn label_templates(labels: &[(Name, Name)], is_recording: bool) -> Vec<(Name, Template)> {
    let templates = labels.iter().map(|(name, value)| (name.clone(), Template::new(value)));
    templates.filter(|(_, template)| !is_recording && !template.is_plain()).collect()
}

fn annotations(reader: &mut Reader, node: &Node) -> Vec<(Name, Template)> {
    let Some(fields) = reader.fields(node, "annotations") else { return Vec::new() };
    let text = |(key, value): &(yaml::Key, Node)| Some((key.text.clone(), Template::new(&text_of(reader, value, "an annotation")?)));
    fields.entries().iter().filter_map(text).collect()
}

/// Refuses texts that Prometheus could not parse: it would not load the file.
fn refuse_broken<'a>(reader: &mut Reader, alert: &str, texts: impl Iterator<Item = &'a (Name, Template)>, places: &Places) {
    for (name, template) in texts {
        let Some(why) = template.fault() else { continue };
        let place = places
            .labels
            .iter()
            .chain(&places.annotations)
            .find(|(key, place)| key == name && place.file().text[place.range()].contains("{{"));
        reader.problem(problem::not_a_template(place.map_or(&places.name, |(_, place)| place), alert, why));
    }
}

/// Any scalar as its text, because Prometheus reads scalars into strings.
pub(crate) fn text_of(reader: &mut Reader, node: &Node, what: &str) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => Some(node.place.file().text[node.place.range()].trim().to_owned()),
        Value::Null => Some(String::new()),
        Value::List(_) | Value::Map(_) => reader.text(node, what).map(|text| text.to_string()),
    }
}

pub(super) fn duration(reader: &mut Reader, node: &Node) -> Option<Span> {
    let text = text_of(reader, node, "a duration")?;
    let span = prometheus_duration(&text);
    if span.is_none() {
        reader.problem(problem::not_a_prometheus_duration(&node.place, &text));
    }
    span
}

/// Reads a duration as Prometheus writes it: whole numbers with `y w d h m s ms`, each at most once and in this order; or a bare `0`.
#[must_use]
pub(crate) fn prometheus_duration(text: &str) -> Option<Span> {
    const UNITS: [(&str, u64); 7] =
        [("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    if text == "0" {
        return Some(Span::ZERO);
    }
    let (mut rest, mut total_ms, mut allowed) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let index = allowed.iter().position(|(word, _)| *word == unit)?;
        total_ms = digits.parse::<u64>().ok()?.checked_mul(allowed[index].1)?.checked_add(total_ms)?;
        allowed = &allowed[index + 1..];
        rest = tail;
    }
    // Prometheus keeps nanoseconds in 63 bits.
    (!text.is_empty() && total_ms <= 9_223_372_036_854).then(|| Span::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let check = |text: &str, seconds: Option<f64>| assert_eq!(prometheus_duration(text).map(Span::as_seconds), seconds, "{text}");
        check("5m", Some(300.0));
        check("1d", Some(86_400.0));
        check("0", Some(0.0));
        check("0s", Some(0.0));
        check("1h30m", Some(5400.0));
        check("1y", Some(31_536_000.0));
        check("1m250ms", Some(60.25));
        for wrong in ["", "5", "1.5m", "30m1h", "5m5m", "-5m", "5 m", "m", "1000y"] {
            check(wrong, None);
        }
    }

    const FILE: &str = "
groups:
  - name: slo
    interval: 30s
    query_offset: 5s
    limit: 10
    labels: { team: a, tier: 1 }
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: Down
        expr: |
          job:up:sum == 0
        for: 5m
        keep_firing_for: 1m
        labels: { severity: critical, team: b }
        annotations: { summary: '{{ $labels.job }} is down' }
";

    #[test]
    fn a_rule_file_reads_with_everything_that_it_says() {
        let groups = read_rules("slo.yml", FILE).unwrap();
        let [Group { name, interval, query_offset, limit, rules, .. }] = &groups[..] else { panic!("one group") };
        assert_eq!((&**name, *interval, *query_offset, *limit), ("slo", Some(Span::from_seconds(30)), Span::from_seconds(5), Some(10)));
        assert_eq!(rules[0].kind, RuleKind::Recording);
        assert_eq!(rules[1].kind, RuleKind::Alerting { hold: Span::from_minutes(5), keep_firing: Span::from_minutes(1) });
        let labels: Vec<String> = rules[1].labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["tier=1", "severity=critical", "team=b"]);
        assert!(rules.iter().all(|rule| rule.plan.is_ok()));
    }

    #[test]
    fn no_interval_is_that_of_the_server_and_no_limit_is_none() {
        let groups = read_rules("slo.yml", &FILE.replace("interval: 30s", "interval: 0s").replace("limit: 10", "limit: -1")).unwrap();
        assert_eq!((groups[0].interval, groups[0].limit), (None, None));
    }

    #[test]
    fn several_manifests_of_the_operator_read_as_one_file_and_several_rule_files_do_not() {
        let indented = FILE.replace('\n', "\n  ");
        let manifest = format!("kind: PrometheusRule\napiVersion: v1\nmetadata: {{ name: x }}\nspec:{indented}\n");
        let groups = read_rules("all.yaml", &format!("{manifest}---\n{}---\n", manifest.replace("- name: slo", "- name: more"))).unwrap();
        assert_eq!(groups.len(), 2);
        for twice in
            [format!("{FILE}---\n{}", FILE.replace("slo", "b")), format!("{manifest}---\n{FILE}"), format!("{FILE}---\n{manifest}")]
        {
            let problems = read_rules("twice.yaml", &twice).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["FD0410"]);
        }
        assert_eq!(read_rules("once.yaml", &format!("---{FILE}...\n")).unwrap().len(), 1);
        let list = format!("kind: List\nitems:\n  - kind: PrometheusRule\n    spec:{}", FILE.replace('\n', "\n      "));
        assert_eq!(read_rules("list.yaml", &list).unwrap().len(), 1);
        assert_eq!(read_rules("none.yaml", "groups: []\n").unwrap().len(), 0);
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        problem::tests::check(|text| read_rules("slo.yml", text), FILE, (from, to), expected);
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        check("query_offset", "offset", &["5:FD0105 a group has no key `offset`"]);
        check("        for: 5m", "        four: 5m", &["14:FD0105 a rule has no key `four`"]);
        check("for: 5m", "for: 5 minutes", &["14:FD0403 `5 minutes` is not a duration as Prometheus writes it"]);
        check("name: slo", "name: ''", &["3:FD0408 a group's name is empty"]);
        check("alert: Down", "alert: ''", &["11:FD0404 a rule has neither `record` nor `alert`"]);
        check("record: job:up:sum", "record: ''", &["9:FD0404 a rule has neither `record` nor `alert`"]);
        check("- record: job:up:sum", "- record: job:up:sum\n        for: 5m", &["10:FD0405 a recording rule has no `for`"]);
        check("- record: job:up:sum", "- record: job:up:sum\n        alert: A", &["9:FD0404 a rule has both `record` and `alert`"]);
        check("- record: job:up:sum", "- labels: {}", &["9:FD0404 a rule has neither `record` nor `alert`"]);
        check("- record: job:up:sum", "- record: up{}", &["9:FD0406 `up{}` is not the name of a series"]);
        check("        expr: sum by (job) (up)\n", "", &["9:FD0104 a rule has no `expr`"]);
        check("severity: critical", "__name__: x", &["16:FD0406 `__name__` is not a label that a rule can set"]);
    }

    #[test]
    fn a_syntax_error_is_a_problem_with_the_rule_s_name() {
        let problems = read_rules("slo.yml", &FILE.replace("(up)", "(up")).unwrap_err();
        assert_eq!((problems.len(), problems[0].code), (1, "FD0402"));
        assert_eq!(problems[0].message, "`job:up:sum`: this is never closed");
        assert_eq!(problems[0].place.as_ref().map(|place| (place.line(), place.column())), Some((10, 28)));
        let problems = read_rules("slo.yml", &FILE.replace("== 0\n", "== 0\n          and and up\n")).unwrap_err();
        // In a block of several lines the mistake is not found again by its offset; the block stands for it.
        assert_eq!(problems[0].place.as_ref().map(|place| (place.line(), place.column())), Some((13, 11)), "{problems:?}");
    }

    #[test]
    fn an_alert_s_label_may_be_a_template_and_a_recorded_series_takes_it_as_it_is() {
        let groups = read_rules("slo.yml", &FILE.replace("severity: critical", "severity: '{{ $value }}'")).unwrap();
        let templates: Vec<&str> = groups[0].rules[1].label_templates.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(templates, ["severity"]);
        let groups = read_rules("slo.yml", &FILE.replace("tier: 1", "tier: '{{ $value }}'")).unwrap();
        assert_eq!(groups[0].rules.iter().map(|rule| rule.label_templates.len()).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn other_manifests_and_repeated_groups_are_refused() {
        let told = |text: &str| read_rules("x.yaml", text).unwrap_err().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
        assert_eq!(told("kind: Secret\n"), ["a manifest of kind `Secret` holds no rules"]);
        assert_eq!(told("groups: [{ name: a, rules: [] }, { name: a, rules: [] }]\n"), ["the group `a` stands twice in this file"]);
    }
}
