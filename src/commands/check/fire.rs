//! Every scenario and every recording played once to the rules, with nobody acting: which rules fire in them, and which selectors find anything.

use std::sync::Arc;

use firedrill_core::journal::{Event, Journal};
use firedrill_core::random::Seed;
use firedrill_core::time::{Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::rules::{Rule, RuleSet, Ruler, RulerSettings};
use firedrill_reports::words::counted;
use firedrill_scenarios::Scenario;
use firedrill_sim::automation::Idle;
use firedrill_sim::past;
use firedrill_sim::run::{Options, Run};
use firedrill_telemetry::labels::{METRIC_NAME, MatchOp, Matcher};
use firedrill_telemetry::recording::{Playback, Recording};
use firedrill_telemetry::store::{Store, is_stale};
use rayon::prelude::*;

/// The seed of the runs: what a rule needs should not be a matter of luck.
const SEED: u64 = 1;

/// What was seen of the rules.
pub(super) struct Watched {
    /// Each rule, in the order of the rule set.
    pub rules: Vec<Seen>,
    /// What was played, in words.
    pub looked_at: String,
}

/// What was seen of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The alert fired, or a series was recorded.
    pub fired: bool,
    /// The alert was pending.
    pub pending: bool,
    /// Why it could not be evaluated, the first time.
    pub failed: Option<String>,
    /// For each selector of its expression, whether it found samples.
    pub selected: Vec<bool>,
}

/// Plays everything to the rules.
pub(super) fn watch(rules: &Arc<RuleSet>, scenarios: &[Arc<Scenario>], recordings: &[Arc<Recording>]) -> Watched {
    let runs = scenarios.par_iter().map(|scenario| {
        let spec = Arc::clone(&scenario.spec);
        let (start, horizon) = (spec.start, spec.horizon);
        let mut ruler = Ruler::new(Arc::clone(rules), start, RulerSettings::default());
        let mut run = Run::new(Arc::clone(&spec), Seed(SEED), Options::default(), Idle);
        if let Some(history) = &scenario.history {
            let past = past::samples(&spec, history);
            ruler.remember(&ruler.clone().recall(&past));
            run = run.after(past);
        }
        seen(rules, ruler, &run.finish().telemetry, (start, Time::ZERO + horizon))
    });
    let played = recordings.par_iter().map(|recording| {
        let end = recording.start.time_of(recording.end_ms).unwrap_or(Time::ZERO);
        let ruler = Ruler::new(Arc::clone(rules), recording.start, RulerSettings::default());
        seen(rules, ruler, &recording.store, (recording.start, end))
    });
    let all: Vec<Vec<Seen>> = runs.chain(played).collect();
    let none = rules.rules().map(|(_, rule)| Seen { selected: vec![false; selectors(rule).count()], ..Seen::default() }).collect();
    let rules = all.into_iter().fold(none, joined);
    let looked_at = [(scenarios.len(), "run"), (recordings.len(), "recording")];
    let looked_at: Vec<String> =
        looked_at.into_iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(count as u64, noun)).collect();
    Watched { rules, looked_at: looked_at.join(" and ") }
}

/// A selector as people write it.
pub(super) fn written(matchers: &[Matcher]) -> String {
    let is_name = |matcher: &&Matcher| *matcher.name == *METRIC_NAME && matches!(matcher.op, MatchOp::Equal);
    let metric = matchers.iter().find(is_name).map(|matcher| matcher.value.to_string()).unwrap_or_default();
    let others: Vec<String> = matchers.iter().filter(|matcher| !is_name(matcher)).map(ToString::to_string).collect();
    if others.is_empty() && !metric.is_empty() { metric } else { format!("{metric}{{{}}}", others.join(",")) }
}

fn selectors(rule: &Rule) -> impl Iterator<Item = &[Matcher]> {
    rule.plan.iter().flat_map(|plan| plan.selectors().iter().map(|selector| selector.matchers()))
}

fn joined(mut all: Vec<Seen>, more: Vec<Seen>) -> Vec<Seen> {
    for (known, seen) in all.iter_mut().zip(more) {
        known.fired |= seen.fired;
        known.pending |= seen.pending;
        known.failed = known.failed.take().or(seen.failed);
        known.selected.iter_mut().zip(seen.selected).for_each(|(known, selected)| *known |= selected);
    }
    all
}

/// Plays one stretch of telemetry to the rules.
fn seen(rules: &Arc<RuleSet>, mut ruler: Ruler, store: &Store, (start, end): (Start, Time)) -> Vec<Seen> {
    let mut playback = Playback::new(store);
    let (mut journal, mut commands) = (Journal::new(), Vec::new());
    while let Some(now) = ruler.due().filter(|now| *now <= end) {
        let raw = playback.until(start.prometheus_millis(now));
        ruler.advance(raw, &mut Desk { journal: &mut journal, commands: &mut commands });
    }
    let stores = [store, ruler.derived()];
    rules.rules().map(|(_, rule)| of_rule(rule, &journal, stores)).collect()
}

fn of_rule(rule: &Rule, journal: &Journal, stores: [&Store; 2]) -> Seen {
    let selected = selectors(rule).map(|matchers| stores.iter().any(|store| has(store, matchers))).collect();
    if !rule.is_alerting() {
        let mut matchers = vec![Matcher::equal(METRIC_NAME, rule.name.as_str())];
        matchers.extend(rule.fixed_labels().map(|(name, value)| Matcher::equal(name.as_str(), value.as_str())));
        return Seen { fired: has(stores[1], &matchers), pending: false, failed: failure(rule, journal), selected };
    }
    let is_mine = |labels: &firedrill_core::journal::LabelSet| {
        rule.fixed_labels().all(|(name, value)| labels.get(name).is_none_or(|held| held == value))
    };
    let mut seen = Seen { selected, failed: failure(rule, journal), ..Seen::default() };
    for record in journal.records() {
        match &record.event {
            Event::AlertFiring { alert, labels, .. } if *alert == rule.name && is_mine(labels) => seen.fired = true,
            Event::AlertPending { alert, labels, .. } if *alert == rule.name && is_mine(labels) => seen.pending = true,
            _ => {}
        }
    }
    seen
}

/// Why a rule of this name could not be evaluated.
fn failure(rule: &Rule, journal: &Journal) -> Option<String> {
    journal.records().iter().find_map(|record| match &record.event {
        Event::RuleFailed { rule: name, message } if *name == rule.name => Some(message.clone()),
        _ => None,
    })
}

/// Whether a store has a sample of a series that the matchers select.
fn has(store: &Store, matchers: &[Matcher]) -> bool {
    store.select(matchers).into_iter().any(|series| store.values(series).iter().any(|value| !is_stale(*value)))
}
