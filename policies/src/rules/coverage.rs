//! Which rules can fire here: whether the series that they read exist.

use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::promql::Selector;
use firedrill_telemetry::store::Store;

use super::{Group, Rule, RuleSet};

/// Whether a rule can say anything, judged by the series of a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every selector finds series, or the expression asks for their absence.
    Full,
    /// Some selectors find series and these do not; whether the rule can fire depends on its operators.
    Partial(Vec<String>),
    /// No selector finds any series: the rule can never fire.
    None(Vec<String>),
    /// The expression cannot be evaluated yet, for this reason.
    Unsupported(String),
}

/// Judges every rule by the series that were there over a whole run: the raw ones, and those of the ruler.
pub fn coverage<'a>(rules: &'a RuleSet, raw: &'a Store, derived: &'a Store) -> impl Iterator<Item = (&'a Group, &'a Rule, Coverage)> {
    rules.rules().map(move |(group, rule)| (group, rule, of_rule(rule, raw, derived)))
}

fn of_rule(rule: &Rule, raw: &Store, derived: &Store) -> Coverage {
    let plan = match &rule.plan {
        Ok(plan) => plan,
        Err(error) => return Coverage::Unsupported(error.to_string()),
    };
    let finds = |selector: &Selector| [raw, derived].iter().any(|store| !store.select(selector.matchers()).is_empty());
    let missing: Vec<String> = plan.selectors().iter().filter(|selector| !finds(selector)).map(written).collect();
    // Absence is told of what is missing.
    if missing.is_empty() || rule.expression.contains("absent") {
        Coverage::Full
    } else if missing.len() < plan.selectors().len() {
        Coverage::Partial(missing)
    } else {
        Coverage::None(missing)
    }
}

fn written(selector: &Selector) -> String {
    let is_name = |matcher: &&Matcher| &*matcher.name == "__name__" && selector.metric().is_some();
    let rest: Vec<String> = selector.matchers().iter().filter(|matcher| !is_name(matcher)).map(ToString::to_string).collect();
    let metric = selector.metric().unwrap_or_default();
    if rest.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", rest.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_telemetry::notation::parse_series;

    #[test]
    fn a_rule_is_judged_by_the_series_that_it_reads() {
        let mut raw = Store::new();
        raw.series(&parse_series(r#"up{job="api"}"#).unwrap());
        let check = |expression: &str, expected: Coverage| {
            let text = format!("groups: [{{ name: g, rules: [{{ alert: A, expr: '{expression}' }}] }}]\n");
            let rules = RuleSet::read([("r.yml", &*text)]).unwrap();
            let found: Vec<Coverage> = coverage(&rules, &raw, &Store::new()).map(|(_, _, coverage)| coverage).collect();
            assert_eq!(found, [expected], "{expression}");
        };
        check("up == 0", Coverage::Full);
        check(r#"up{job="web"} == 0"#, Coverage::None(vec![r#"up{job="web"}"#.to_owned()]));
        check("up == 0 and node_load1 > 3", Coverage::Partial(vec!["node_load1".to_owned()]));
        check("absent(node_load1)", Coverage::Full);
        check("vector(1)", Coverage::Full);
    }
}
