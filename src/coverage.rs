//! Which rules can say anything in what is rehearsed and replayed: scenarios by every series that they can expose, recordings by those they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_policies::rules::{Coverage, Group, Outlook, Rule, RuleSet};
use firedrill_scenarios::Scenario;
use firedrill_telemetry::labels::{METRIC_NAME, Matcher};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::is_stale;
use firedrill_telemetry::universe::{Shape, Universe};
use rayon::prelude::*;

use crate::drill::Rules;

/// What the rules can say in each scenario and over each recording; and the metrics that scrapes of the scenarios bring, whatever rules record.
#[must_use]
pub fn outlooks<'r>(
    rules: &'r RuleSet,
    scenarios: &[Arc<Scenario>],
    recordings: &[Arc<Recording>],
) -> (Vec<Outlook<'r>>, BTreeSet<String>) {
    let of_scenario = |scenario: &Arc<Scenario>| {
        let universe = exposed(scenario);
        let metrics: Vec<String> = universe.metrics().map(str::to_owned).collect();
        (Outlook::new(rules, universe), metrics)
    };
    let (mut outlooks, metrics): (Vec<Outlook<'r>>, Vec<Vec<String>>) = scenarios.par_iter().map(of_scenario).unzip();
    outlooks.extend(recordings.iter().map(|recording| Outlook::new(rules, seen(recording))));
    (outlooks, metrics.into_iter().flatten().collect())
}

/// Each rule's coverage over all outlooks.
#[must_use]
pub fn joined<'r>(outlooks: &[Outlook<'r>]) -> Vec<(&'r Group, &'r Rule, Coverage)> {
    let mut all: Vec<(&Group, &Rule, Vec<Coverage>)> = Vec::new();
    for outlook in outlooks {
        for (index, (group, rule, coverage)) in outlook.coverage().enumerate() {
            match all.get_mut(index) {
                Some((_, _, known)) => known.push(coverage),
                None => all.push((group, rule, vec![coverage])),
            }
        }
    }
    all.into_iter().filter_map(|(group, rule, coverages)| Some((group, rule, Coverage::joined(coverages)?))).collect()
}

/// The names of rules that can fire in none of the scenarios and recordings that they watch, each once, with how many rules there are.
#[must_use]
pub fn unable(watched: &[(Arc<Scenario>, Arc<Rules>)], replayed: &[(Arc<Recording>, Arc<Rules>)]) -> (Vec<String>, usize) {
    let scenarios = watched.par_iter().map(|(scenario, rules)| (rules, exposed(scenario)));
    let recordings = replayed.par_iter().map(|(recording, rules)| (rules, seen(recording)));
    let able = scenarios.chain(recordings).map(|(rules, universe)| {
        let outlook = Outlook::new(&rules.set, universe);
        let told = |(group, rule, coverage): (&Group, &Rule, Coverage)| {
            ((group.file.clone(), rule.place.range().start, rule.name.to_string()), coverage.is_able())
        };
        outlook.coverage().map(told).collect::<Vec<_>>()
    });
    let mut all: BTreeMap<(String, usize, String), bool> = BTreeMap::new();
    for (rule, is_able) in able.collect::<Vec<_>>().into_iter().flatten() {
        *all.entry(rule).or_default() |= is_able;
    }
    let count = all.len();
    let mut names: Vec<String> = all.into_iter().filter(|(_, is_able)| !is_able).map(|((_, _, name), _)| name).collect();
    names.dedup();
    (names, count)
}

/// The series of a scenario. Its past may end close to its first scrape; without one, scrapes are an interval apart.
fn exposed(scenario: &Scenario) -> Universe {
    let mut universe = firedrill_sim::universe(&scenario.spec);
    if scenario.history.is_none() {
        universe.sampled_every(scenario.spec.scrape.interval.as_millis() as i64);
    }
    universe
}

/// Whether a target could be scraped: 1 or 0.
const UP: &str = "up";

/// The series of a recording.
fn seen(recording: &Recording) -> Universe {
    let mut universe = Universe::new();
    let mut of_up =
        recording.store.select(&[Matcher::equal(METRIC_NAME, UP)]).into_iter().flat_map(|series| recording.store.values(series));
    // By its definition; what a recording holds comes from elsewhere.
    if of_up.all(|value| (0.0..=1.0).contains(value) || is_stale(*value)) {
        universe.limit(UP, 0.0, 1.0);
    }
    for labels in recording.store.ids().map(|series| recording.store.labels(series)) {
        universe.add(labels.metric_name().unwrap_or_default(), Shape::of(labels));
    }
    universe
}
