//! What rules look at: how far back, also through the series that other rules record for them, and at which metrics.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use firedrill_telemetry::promql::Plan;

use super::{RuleKind, RuleSet};

/// How long before an evaluation samples can matter to the rules and to some conditions beside them, milliseconds; `None` if there is no such
/// time: an `@` looks at a fixed moment, and a series that is recorded from itself remembers for ever.
///
/// A chain of recorded series adds up: an hour's mean of what is recorded over ten minutes looks back an hour and ten minutes.
#[must_use]
pub fn reach_ms<'a>(rules: &'a RuleSet, conditions: impl IntoIterator<Item = &'a Plan>) -> Option<i64> {
    let mut reach = Reach { rules, known: BTreeMap::new() };
    let plans = rules.rules().filter_map(|(_, rule)| rule.plan.as_ref().ok()).chain(conditions);
    let offsets = rules.groups.iter().map(|group| i64::try_from(group.query_offset.as_millis()).unwrap_or(i64::MAX));
    let offset = offsets.max().unwrap_or(0);
    plans.map(|plan| reach.of(plan)).try_fold(0, |longest, own| Some(longest.max(own?))).map(|longest| longest.saturating_add(offset))
}

/// The metrics that rules and some conditions beside them can read; `None` if they may read any: a selector names none, or a template asks.
#[must_use]
pub fn metrics_read<'a>(rules: &'a RuleSet, conditions: impl IntoIterator<Item = &'a Plan>) -> Option<BTreeSet<Name>> {
    // What a template asks for is known only while it is filled in.
    let asks = |text: &str| text.contains("query");
    let annotated = |rule: &super::Rule| rule.annotations.iter().any(|(_, template)| asks(template.text()));
    if rules.rules().any(|(_, rule)| annotated(rule) || rule.labels.iter().any(|(_, value)| asks(value))) {
        return None;
    }
    let plans = rules.rules().filter_map(|(_, rule)| rule.plan.as_ref().ok()).chain(conditions);
    plans.flat_map(Plan::selectors).map(|selector| selector.metric().map(Name::new)).collect()
}

struct Reach<'a> {
    rules: &'a RuleSet,
    /// By recorded series; `None` while it is being worked out, or if there is no end to it.
    known: BTreeMap<&'a str, Option<i64>>,
}

impl Reach<'_> {
    fn of(&mut self, plan: &Plan) -> Option<i64> {
        let mut longest = 0;
        for selector in plan.selectors() {
            let own = Some(selector.lookback_ms()).filter(|own| *own < i64::MAX)?;
            let behind = match selector.metric() {
                Some(metric) => self.recorded(metric)?,
                // It may read any of them.
                None => self.recorded_names().into_iter().try_fold(0, |longest, name| Some(longest.max(self.recorded(name)?)))?,
            };
            longest = longest.max(own.saturating_add(behind));
        }
        Some(longest)
    }

    /// How far back a recorded series looks; 0 for one that nobody records.
    fn recorded(&mut self, metric: &str) -> Option<i64> {
        if let Some(known) = self.known.get(metric) {
            return *known;
        }
        let recorders = |metric: &str| {
            let rules = self.rules.rules().map(|(_, rule)| rule);
            rules.filter(|rule| rule.kind == RuleKind::Recording && rule.name.as_str() == metric).collect::<Vec<_>>()
        };
        let rules = recorders(metric);
        let Some(first) = rules.first() else { return Some(0) };
        let name = first.name.as_str();
        self.known.insert(name, None);
        let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref().ok()).collect();
        let longest = plans.into_iter().map(|plan| self.of(plan)).try_fold(0, |longest, own| Some(longest.max(own?)));
        self.known.insert(name, longest);
        longest
    }
}

impl<'a> Reach<'a> {
    fn recorded_names(&self) -> Vec<&'a str> {
        let recording = self.rules.rules().filter(|(_, rule)| rule.kind == RuleKind::Recording);
        recording.map(|(_, rule)| rule.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_every_metric_that_is_named_or_all_where_one_may_be_any() {
        let read = |rule: &str| {
            let text = format!("groups:\n  - name: g\n    rules:\n      - {rule}\n");
            let rules = RuleSet::read([("r.yml", text.as_str())]).unwrap();
            metrics_read(&rules, []).map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let named = "{ record: a, expr: 'rate(b[1m]) / on (x) c offset 5m unless absent({__name__=\"d\"})' }";
        assert_eq!(read(named).as_deref(), Some("b c d"));
        assert_eq!(read("{ record: a, expr: 'count({job=\"x\"})' }"), None);
        assert_eq!(read("{ record: a, expr: '{__name__=~\"x.*\"}' }"), None);
        let template = "{ alert: a, expr: b > 1, annotations: { summary: '{{ with query \"up\" }}{{ . | first | value }}{{ end }}' } }";
        assert_eq!(read(template), None);
    }

    #[track_caller]
    fn check(rules: &[&str], expected_minutes: Option<i64>) {
        let rules: String = rules.iter().map(|rule| format!("      - {rule}\n")).collect();
        let rules = RuleSet::read([("r.yml", format!("groups:\n  - name: g\n    rules:\n{rules}").as_str())]).unwrap();
        assert_eq!(reach_ms(&rules, []).map(|reach| reach / 60_000), expected_minutes);
    }

    #[test]
    fn lookbacks_add_up_along_a_chain_of_recorded_series() {
        check(&["{ alert: A, expr: x > 1 }"], Some(5));
        check(&["{ alert: A, expr: 'rate(x[10m] offset 1h) > 1' }"], Some(70));
        check(&["{ record: r, expr: 'rate(x[10m])' }", "{ alert: A, expr: 'avg_over_time(r[1h]) > 1' }"], Some(70));
        // The order of the file does not matter, and several rules may record one series.
        check(&["{ alert: A, expr: 'r > 1' }", "{ record: r, expr: 'x' }", "{ record: r, expr: 'y offset 2h' }"], Some(130));
        check(&["{ record: r, expr: 'rate(x[10m])' }", "{ alert: A, expr: '{job=\"a\"} > 1' }"], Some(15));
    }

    #[test]
    fn what_has_no_end_is_told_apart() {
        check(&["{ record: r, expr: 'x @ 100' }"], None);
        check(&["{ record: r, expr: 'x + (r offset 1m)' }"], None);
        check(&["{ record: a, expr: 'b' }", "{ record: b, expr: 'a' }"], None);
        check(&["{ record: r, expr: 'x' }", "{ record: s, expr: '{job=\"a\"}' }"], None);
    }

    #[test]
    fn conditions_beside_the_rules_count_too() {
        let rules = RuleSet::read([("r.yml", "groups: [{ name: g, rules: [{ record: r, expr: 'rate(x[10m])' }] }]\n")]).unwrap();
        let condition = Plan::parse("r offset 1d > 1").unwrap();
        assert_eq!(reach_ms(&rules, [&condition]), Some((24 * 60 + 5 + 10) * 60_000));
    }
}
