//! What is found in an alert besides its expression: how long it waits, its labels, its texts.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Severity};
use firedrill_core::time::Span;

use super::catalogue::{BROKEN_TEMPLATE, LABEL_GONE, LONG_HOLD, NO_OWNER, NO_SEVERITY, ONE_SCRAPE_PAGES, SHORT_HOLD, UNEVEN_HOLD};
use super::{Finding, Group, Known, Rule};
use crate::rules::RuleKind;
use crate::rules::template::{self, Bare};

/// What severities call people at once by most conventions.
const PAGING: [&str; 2] = ["critical", "page"];

/// Everything that is found in an alert.
pub(super) fn lint(group: &Group, rule: &Rule, known: &Known<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = hold(group, rule, known).into_iter().collect();
    found.extend(long_hold(rule, known));
    found.extend(one_scrape(rule, known));
    found.extend(conventions(rule, known));
    found.extend(templates(rule, known));
    found
}

/// How `for` goes with the times at which the group is evaluated.
fn hold(group: &Group, rule: &Rule, known: &Known<'_>) -> Option<Finding> {
    let RuleKind::Alerting { hold, .. } = rule.kind else { return None };
    let interval = known.interval_of_group(group);
    let (hold_ms, interval_ms) = (hold.as_millis(), interval.as_millis().max(1));
    let whole = Span::from_millis(hold_ms.div_ceil(interval_ms) * interval_ms);
    let place = rule.places.hold.as_ref().filter(|_| hold > Span::ZERO)?;
    if hold < interval {
        let message = format!("`for: {hold}` is shorter than the {interval} from one evaluation to the next, and so means {interval}");
        return Some(
            Finding::new(&SHORT_HOLD, rule, place, message).remedy(format!("write `for: {whole}`, or give the group a shorter interval")),
        );
    }
    let message = format!("`for: {hold}` is no multiple of the {interval} from one evaluation to the next, and so means {whole}");
    (whole != hold).then(|| Finding::new(&UNEVEN_HOLD, rule, place, message).remedy(format!("write `for: {whole}`")))
}

/// A `for` that nothing which is rehearsed lasts long enough to wait out.
fn long_hold(rule: &Rule, known: &Known<'_>) -> Option<Finding> {
    let RuleKind::Alerting { hold, .. } = rule.kind else { return None };
    let longest = known.bench.longest.filter(|longest| hold >= *longest)?;
    let place = rule.places.hold.as_ref().unwrap_or(&rule.places.name);
    let message =
        format!("`{}` waits for {hold}, and nothing that is rehearsed here lasts longer than {longest}: it fires in none of it", rule.name);
    Some(Finding::new(&LONG_HOLD, rule, place, message))
}

/// A page that one scrape can set off.
fn one_scrape(rule: &Rule, known: &Known<'_>) -> Option<Finding> {
    let RuleKind::Alerting { hold: Span::ZERO, .. } = rule.kind else { return None };
    let plan = rule.plan.as_ref().ok()?;
    let severity = known.bench.conventions.severity.iter().find_map(|label| value(rule, label))?;
    let is_scraped = |metric: Option<&str>| metric.is_some_and(|metric| !known.recorded.contains_key(metric) && metric != "ALERTS");
    let scraped = plan.selectors().iter().all(|selector| selector.range_ms().is_none() && is_scraped(selector.metric()));
    let pages = PAGING.contains(&severity) && scraped && !plan.selectors().is_empty() && plan.windows().is_empty();
    let message = format!("`{}` is {severity} and waits for nothing: one bad scrape sets it off", rule.name);
    pages.then(|| Finding::new(&ONE_SCRAPE_PAGES, rule, &rule.places.name, message))
}

/// The labels that every alert here should have.
fn conventions(rule: &Rule, known: &Known<'_>) -> Vec<Finding> {
    let conventions = known.bench.conventions;
    let lacks = |labels: &[Name]| !labels.is_empty() && labels.iter().all(|label| value(rule, label).is_none());
    let missing = |lint, labels: &[Name], what: &str| {
        let message = format!("`{}` has no label {}, so nothing can tell {what}", rule.name, named(labels));
        Finding::new(lint, rule, &rule.places.name, message).remedy("add it below `labels:`; firedrill.yaml names it (`lint: { … }`)")
    };
    let mut found = Vec::new();
    if lacks(&conventions.severity) {
        found.push(missing(&NO_SEVERITY, &conventions.severity, "how bad it is"));
    }
    if lacks(&conventions.owner) {
        let mut finding = missing(&NO_OWNER, &conventions.owner, "whose it is");
        if conventions.is_owner_asked_for {
            finding.problem.severity = Severity::Warning;
        }
        found.push(finding);
    }
    found
}

fn value<'r>(rule: &'r Rule, label: &Name) -> Option<&'r str> {
    rule.labels.iter().find(|(name, value)| name == label && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn named(labels: &[Name]) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" or ")
}

/// The texts that are filled in: whether they can be, and whether the labels that they name can be there.
fn templates(rule: &Rule, known: &Known<'_>) -> Vec<Finding> {
    let places = |name: &Name, all: &[(Name, Place)]| {
        all.iter().find(|(key, _)| key == name).map_or_else(|| rule.places.name.clone(), |(_, place)| place.clone())
    };
    let labels = rule.label_templates.iter().map(|(name, template)| (template, places(name, &rule.places.labels)));
    let annotations = rule.annotations.iter().map(|(name, template)| (template, places(name, &rule.places.annotations)));
    let carried = rule.plan.as_ref().ok().and_then(|plan| plan.labels_at_most(&|metric| known.labels_of(metric)));
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for (template, place) in labels.chain(annotations) {
        if let Some(why) = template.problem() {
            found.push(Finding::new(&BROKEN_TEMPLATE, rule, &place, format!("this text of `{}` cannot be filled in: {why}", rule.name)));
        }
        let Some(carried) = &carried else { continue };
        for bare in template.bare_labels().into_iter().filter(|bare| !carried.contains(bare.label.as_str())) {
            if told.insert(bare.label.clone()) {
                found.push(gone(rule, &bare, carried, &place));
            }
        }
    }
    found
}

/// A label that is written and never there.
fn gone(rule: &Rule, bare: &Bare, carried: &BTreeSet<Arc<str>>, place: &Place) -> Finding {
    let Bare { label, word, nth } = bare;
    // What is escaped in the file is not found again.
    let at = template::places(&place.file().text[place.range()], word).into_iter().nth(*nth);
    let at = at.map_or_else(|| place.clone(), |at| place.part(at.start, at.end));
    let all: Vec<&str> = carried.iter().map(|label| &**label).collect();
    let has = if all.is_empty() { "none".to_owned() } else { format!("only {}", all.join(", ")) };
    let found = Finding::new(&LABEL_GONE, rule, &at, format!("`{word}` is always empty: what the expression yields has {has}"));
    if value(rule, &Name::new(label)).is_some() {
        return found
            .remedy(format!("`$labels` holds the expression's labels, not those that the rule sets: write the value of `{label}` out"));
    }
    found.remedy(format!("keep it where the expression adds up, as in `sum by ({label}, …)`, or leave it out of the text"))
}
