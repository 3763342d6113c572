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

/// A recording with the rules that watch it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The recording.
    pub recording: Arc<Recording>,
    /// The rules.
    pub rules: Arc<Rules>,
    /// Whether they are the incident's own, such as copies of what was at hand when it was captured.
    pub is_by_copies: bool,
}

/// What a rule says: its name, its expression, its labels.
type Said = (String, String, String);

/// Where a rule stands: its file, and its first byte there.
type Stood = (String, usize);

/// The names of rules that can fire in none of the scenarios and recordings that they watch, each once, with how many rules there are. A copy that an incident
/// has of a rule is no rule beside it; one of a rule that is not at hand any more is none at all.
#[must_use]
pub fn unable(watched: &[(Arc<Scenario>, Arc<Rules>)], replayed: &[Recorded]) -> (Vec<String>, usize) {
    let scenarios = watched.par_iter().map(|(scenario, rules)| (rules, false, exposed(scenario)));
    let recordings = replayed.par_iter().map(|own| (&own.rules, own.is_by_copies, seen(&own.recording)));
    let able = scenarios.chain(recordings).map(|(rules, is_by_copies, universe)| {
        let outlook = Outlook::new(&rules.set, universe);
        let told = |(group, rule, coverage): (&Group, &Rule, Coverage)| {
            let labels = format!("{:?}", rule.labels);
            let place = (group.file.clone(), rule.place.range().start);
            ((rule.name.to_string(), rule.expression.trim().to_owned(), labels), place, coverage.is_able())
        };
        (is_by_copies, outlook.coverage().map(told).collect::<Vec<_>>())
    });
    // By what a rule says, and where that stands.
    let mut all: BTreeMap<Said, BTreeMap<Stood, bool>> = BTreeMap::new();
    let (copies, at_hand): (Vec<_>, Vec<_>) = able.collect::<Vec<_>>().into_iter().partition(|(is_by_copies, _)| *is_by_copies);
    for (rule, place, is_able) in at_hand.into_iter().flat_map(|(_, rules)| rules) {
        *all.entry(rule).or_default().entry(place).or_default() |= is_able;
    }
    for (rule, _, is_able) in copies.into_iter().flat_map(|(_, rules)| rules) {
        all.get_mut(&rule).into_iter().flat_map(BTreeMap::values_mut).for_each(|own| *own |= is_able);
    }
    let count = all.values().map(BTreeMap::len).sum();
    let is_unable = |places: &BTreeMap<_, bool>| places.values().any(|is_able| !is_able);
    let mut names: Vec<String> = all.into_iter().filter(|(_, places)| is_unable(places)).map(|((name, ..), _)| name).collect();
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
