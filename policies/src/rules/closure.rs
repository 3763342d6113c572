//! The rules that some alerts and conditions rest on, and a hash of what these rules do.

use std::collections::BTreeSet;

use firedrill_core::name::Name;
use firedrill_telemetry::promql::{Plan, Selector};

use super::{Group, Rule, RuleKind, RuleSet};

/// The rules behind some alerts and conditions: those of the alerts, and, as far as it goes, those that record what these read or fire what they
/// ask `ALERTS` for. In the order of the files. No alert in particular (`None`) means all of them.
#[must_use]
pub fn closure<'a>(rules: &'a RuleSet, alerts: Option<&[Name]>, conditions: &[&Plan]) -> Vec<(&'a Group, &'a Rule)> {
    let all: Vec<(&Group, &Rule)> = rules.rules().collect();
    let is_asked = |rule: &Rule| is_alert(rule) && alerts.is_none_or(|alerts| alerts.contains(&rule.name));
    let mut reached: BTreeSet<usize> = (0..all.len()).filter(|index| is_asked(all[*index].1)).collect();
    let read = |plan: &Plan| -> Vec<usize> {
        let is_read = |rule: &Rule| plan.selectors().iter().any(|selector| reads(selector, rule));
        (0..all.len()).filter(|index| is_read(all[*index].1)).collect()
    };
    let mut waiting: Vec<usize> = reached.iter().copied().collect();
    waiting.extend(conditions.iter().flat_map(|plan| read(plan)));
    reached.extend(waiting.iter().copied());
    while let Some(index) = waiting.pop() {
        let Ok(plan) = &all[index].1.plan else { continue };
        waiting.extend(read(plan).into_iter().filter(|other| reached.insert(*other)));
    }
    reached.into_iter().map(|index| all[index]).collect()
}

/// BLAKE3 of what the rules of a closure do, hexadecimal: of names, expressions, times and labels. Files, places, comments, annotations and the rules
/// around them are no part of it.
#[must_use]
pub fn closure_hash(rules: &RuleSet, alerts: Option<&[Name]>, conditions: &[&Plan]) -> String {
    let line = |(group, rule): &(&Group, &Rule)| {
        let Rule { name, kind, expression, labels, .. } = rule;
        let mut labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name:?}={value:?}")).collect();
        labels.sort();
        let of_group = format!("{:?} {:?} {:?}", group.interval, group.query_offset, group.limit);
        format!("{name:?} {kind:?} {:?} {} {of_group}", as_it_counts(expression), labels.join(" "))
    };
    let mut lines: Vec<String> = closure(rules, alerts, conditions).iter().map(line).collect();
    // Rules may move from file to file.
    lines.sort();
    blake3::hash(lines.join("\n").as_bytes()).to_hex().to_string()
}

/// An expression without its comments, and with one space where there are several; what stands in quotes stays as it is.
fn as_it_counts(expression: &str) -> String {
    let mut text = String::new();
    let (mut quote, mut is_escaped, mut is_comment) = (None, false, false);
    for c in expression.chars() {
        if is_comment {
            is_comment = c != '\n';
        } else if let Some(end) = quote {
            text.push(c);
            quote = (is_escaped || c != end).then_some(end);
            is_escaped = c == '\\' && !is_escaped && end != '`';
        } else if c == '#' {
            is_comment = true;
        } else if c.is_whitespace() {
            if !text.ends_with(' ') {
                text.push(' ');
            }
        } else {
            text.push(c);
            quote = matches!(c, '"' | '\'' | '`').then_some(c);
        }
    }
    text.trim().to_owned()
}

fn is_alert(rule: &Rule) -> bool {
    matches!(rule.kind, RuleKind::Alerting { .. })
}

/// Whether a selector can read what a rule yields.
fn reads(selector: &Selector, rule: &Rule) -> bool {
    let fits = |label: &str, value: &str| selector.matchers().iter().filter(|own| &*own.name == label).all(|own| own.matches(value));
    if is_alert(rule) {
        ["ALERTS", "ALERTS_FOR_STATE"].iter().any(|metric| fits("__name__", metric)) && fits("alertname", &rule.name)
    } else {
        fits("__name__", &rule.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
groups:
  - name: g
    interval: 15s
    rules:
      - { record: 'errors:ratio', expr: 'errors:rate / requests:rate' }
      - { record: 'errors:rate', expr: 'rate(errors[1m])' }
      - { record: 'requests:rate', expr: 'rate(requests[1m])' }
      - { record: 'idle', expr: 'rate(cpu[1m])' }
      - { alert: High, expr: 'errors:ratio > 0.1', for: 1m, labels: { severity: page }, annotations: { summary: high } }
      - { alert: Both, expr: 'ALERTS{alertname="High"} and on () idle > 0.5' }
      - { alert: Other, expr: 'up == 0' }
"#;

    fn rules(text: &str) -> std::sync::Arc<RuleSet> {
        RuleSet::read([("r.yml", text)]).unwrap()
    }

    #[track_caller]
    fn check(alerts: &[&str], condition: Option<&str>, expected: &str) {
        let alerts: Vec<Name> = alerts.iter().map(|name| Name::new(name)).collect();
        let plans: Vec<Plan> = condition.iter().map(|text| Plan::parse(text).unwrap()).collect();
        let rules = rules(RULES);
        let found: Vec<String> =
            closure(&rules, Some(&alerts), &plans.iter().collect::<Vec<_>>()).iter().map(|(_, rule)| rule.name.to_string()).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn what_an_alert_rests_on_is_followed_to_its_end() {
        check(&["Other"], None, "Other");
        check(&["High"], None, "errors:ratio errors:rate requests:rate High");
        check(&["Both"], None, "errors:ratio errors:rate requests:rate idle High Both");
        check(&["Other"], Some("idle < 0.1"), "idle Other");
        // A selector that names no metric may read any of them.
        check(&["Other"], Some("count({job=\"x\"}) > 0"), "errors:ratio errors:rate requests:rate idle High Both Other");
        let all = rules(RULES);
        assert_eq!(closure(&all, None, &[]).len(), 7);
    }

    #[test]
    fn the_hash_is_of_what_these_rules_do_and_of_nothing_else() {
        let alerts = [Name::new("High")];
        let hash = |text: &str| closure_hash(&rules(text), Some(&alerts), &[]);
        let now = hash(RULES);
        let same =
            [("summary: high", "summary: other"), ("up == 0", "up == 1"), ("alert: Other", "alert: Another"), ("name: g", "name: h")];
        for (from, to) in same {
            assert_eq!(hash(&RULES.replace(from, to)), now, "{from}");
        }
        assert_eq!(hash(&format!("# a comment\n{}", RULES.replace("errors:rate / requests", "errors:rate   / requests"))), now);
        for (from, to) in
            [("> 0.1", "> 0.2"), ("for: 1m", "for: 2m"), ("rate(errors[1m])", "rate(errors[2m])"), ("page", "ticket"), ("15s", "30s")]
        {
            assert_ne!(hash(&RULES.replace(from, to)), now, "{from}");
        }
    }

    #[test]
    fn comments_and_spaces_of_an_expression_do_not_count_but_what_is_quoted_does() {
        assert_eq!(as_it_counts("a  >\n 1 # much"), "a > 1");
        assert_eq!(as_it_counts(r##"a{b="# x  \" y"}  > 1"##), r##"a{b="# x  \" y"} > 1"##);
    }
}
