//! Policies rehearsed on telemetry as it is written down: what they decide, when, and why.
//!
//! The loop is open: nothing that is decided changes what is seen. Without results nothing is started, and with them an action ends when and
//! how they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::action::{Action, ActionResult, Actuator, Command};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Event, Journal, Record};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::promqltest::Point;
use firedrill_telemetry::recording::Playback;
use firedrill_telemetry::store::Store;

use crate::alertmanager::{Config, Silence};
use crate::guard::stage::Stage;
use crate::pilot::{Pilot, PilotSetup};
use crate::policy::Policy;
use crate::rules::unit_test::{Decision, DecisionGot, GivenResult, Test};
use crate::rules::{Phase, RuleSet, RulerSettings};

/// What decides, and on what.
#[derive(Clone, Debug)]
pub struct Rehearsing<'a> {
    /// The test: its input, its start, and what becomes of actions.
    pub test: &'a Test,
    /// The rules.
    pub rules: &'a Arc<RuleSet>,
    /// How often groups without an interval of their own are evaluated; positive.
    pub evaluation_interval: Span,
    /// How alerts become notifications; `None`: each at once and by itself.
    pub alertmanager: Option<Arc<Config>>,
    /// What is muted from the start on.
    pub silences: Vec<Silence>,
    /// The policies. Invariant: no two have one name.
    pub policies: &'a [Arc<Policy>],
    /// What is declared to exist.
    pub inventory: &'a Inventory,
    /// How long, after the start.
    pub until: Span,
}

/// Plays a test to the policies; everything that happened.
///
/// # Errors
/// The input cannot be used; why, a clause.
pub fn rehearse_decisions(rehearsing: &Rehearsing<'_>) -> Result<Journal, String> {
    let samples = samples(rehearsing.test)?;
    let start = Start::from_unix_millis(rehearsing.test.start_ms);
    let results = rehearsing.test.results.as_deref();
    let phase = Phase::Fixed(u64::try_from(rehearsing.test.start_ms).unwrap_or(0));
    let pilot = Pilot::new(PilotSetup {
        start,
        rules: Arc::clone(rehearsing.rules),
        ruler: RulerSettings { evaluation_interval: rehearsing.evaluation_interval, phase, ..RulerSettings::default() },
        alertmanager: rehearsing.alertmanager.clone(),
        policies: rehearsing.policies.to_vec(),
        stage: if results.is_some() { Stage::Full } else { Stage::DryRun },
        actuator: results.is_some().then(Actuator::simulated),
        inventory: Arc::new(rehearsing.inventory.clone()),
    });
    let mut bench = Bench {
        pilot: pilot.silenced(&rehearsing.silences),
        journal: Journal::new(),
        commands: Vec::new(),
        running: BTreeMap::new(),
        started: 0,
        results: results.unwrap_or_default().iter().map(Some).collect(),
    };
    let mut playback = Playback::new(&samples);
    let end = Time::ZERO + rehearsing.until;
    while let Some(now) = bench.next().filter(|now| *now <= end) {
        let raw = playback.until(start.prometheus_millis(now));
        bench.advance(now, raw);
    }
    Ok(bench.journal)
}

/// A pilot and the actions that it started.
struct Bench<'a> {
    pilot: Pilot,
    journal: Journal,
    commands: Vec<Command>,
    /// Actions that will end, by time and order of starting.
    running: BTreeMap<(Time, usize), (Command, &'a GivenResult)>,
    /// How many actions have a result.
    started: usize,
    /// What becomes of actions; each is used once.
    results: Vec<Option<&'a GivenResult>>,
}

impl Bench<'_> {
    fn next(&self) -> Option<Time> {
        let due = self.pilot.due().map(|(at, _)| at);
        let ends = self.running.keys().next().map(|(at, _)| *at);
        due.into_iter().chain(ends).min()
    }

    /// Does one thing: what the pilot has due comes before the end of an action at the same instant, as in the simulator.
    fn advance(&mut self, now: Time, raw: &Store) {
        let mut desk = Desk { journal: &mut self.journal, commands: &mut self.commands };
        if self.pilot.due().is_some_and(|(at, _)| at <= now) {
            self.pilot.advance(raw, &mut desk);
        } else if let Some(((at, _), (command, result))) = self.running.pop_first() {
            let ended = ActionResult { action: command.id().clone(), at, outcome: result.outcome.clone() };
            self.pilot.finished(&ended, raw, &mut desk);
        }
        for command in std::mem::take(&mut self.commands) {
            let fits = |given: &&mut Option<&GivenResult>| {
                given.is_some_and(|given| {
                    let action = given.action.as_ref().is_none_or(|word| word.as_str() == command.action().word());
                    action && given.target.as_ref().is_none_or(|target| target == command.target())
                })
            };
            // An action without a result goes on until the end.
            if let Some(result) = self.results.iter_mut().find(fits).and_then(Option::take) {
                self.started += 1;
                self.running.insert((now + result.after, self.started), (command, result));
            }
        }
    }
}

/// The input as samples at their times.
fn samples(test: &Test) -> Result<Store, String> {
    let mut store = Store::new();
    let interval_ms = i64::try_from(test.interval.as_millis()).unwrap_or(i64::MAX);
    for (index, series) in test.series.iter().enumerate() {
        if series.points.contains(&Point::Native) {
            return Err("native histograms cannot be evaluated yet".to_owned());
        }
        // Of a series that stands twice the later line counts, as in promtool.
        if test.series[index + 1..].iter().any(|later| later.labels == series.labels) {
            continue;
        }
        let id = store.series(&series.labels);
        for (number, point) in series.points.iter().enumerate() {
            let at_ms = test.start_ms.saturating_add(interval_ms.saturating_mul(number as i64));
            if let Point::Float(value) = point {
                store.append(id, at_ms, *value).map_err(|error| error.to_string())?;
            }
        }
    }
    let Some(recording) = &test.recording else { return Ok(store) };
    for recorded in recording.samples.ids() {
        let labels = recording.samples.labels(recorded);
        if test.series.iter().any(|series| series.labels == *labels) {
            return Err(format!("the series {labels} stands in the test and in the recording"));
        }
        let id = store.series(labels);
        let samples = recording.samples.samples(recorded);
        for (at_ms, value) in samples.times.iter().zip(samples.values) {
            store.append(id, *at_ms, *value).map_err(|error| error.to_string())?;
        }
    }
    Ok(store)
}

/// What a policy decided. A refusal that is only said again is one decision.
#[must_use]
pub fn decided(journal: &Journal, policy: &Name) -> Vec<DecisionGot> {
    let mut refused: BTreeMap<u64, Decision> = BTreeMap::new();
    let mut got = Vec::new();
    for (index, record) in journal.records().iter().enumerate() {
        let waits = || waits_unlisted(&journal.records()[index..], policy);
        let Some((incident, what)) = decision(&record.event, policy).or_else(waits) else { continue };
        let is_repeat = match (&what, refused.get(&incident)) {
            (Decision::Refused { action, target, guard, .. }, Some(Decision::Refused { action: before, target: at, guard: by, .. })) => {
                action == before && target == at && guard == by
            }
            _ => false,
        };
        if matches!(what, Decision::Refused { .. }) {
            refused.insert(incident, what.clone());
        } else {
            refused.remove(&incident);
        }
        if !is_repeat {
            got.push(DecisionGot { at: Span::from_nanos(record.at.as_nanos()), what });
        }
    }
    got
}

/// To wait was best of what a step chooses from, and the policy does not list it: the journal has the choice, and no pause of its own. Where a guard has
/// refused what is better, that is the decision; and an alert that is over by then leaves nothing to wait for.
fn waits_unlisted(from: &[Record], of: &Name) -> Option<(u64, Decision)> {
    let (first, rest) = from.split_first()?;
    let Event::Chosen { policy, incident, candidates, .. } = &first.event else { return None };
    let best = candidates.iter().find(|one| one.score.is_some()).filter(|_| policy == of)?;
    let Action::Wait { .. } = best.what else { return None };
    let is_told = rest.iter().take_while(|record| record.at == first.at).any(|record| concerns(&record.event, (policy, *incident)));
    let reason = "to wait is best of what may be done".to_owned();
    (!is_told).then(|| (*incident, Decision::Acts { action: best.what.clone(), target: best.target.clone(), reason }))
}

/// Whether an event tells what came of a choice of an incident: a pause of its own, or its end.
fn concerns(event: &Event, of: (&Name, u64)) -> bool {
    match event {
        Event::Decided { policy, incident, .. } | Event::IncidentClosed { policy, incident, .. } => (policy, *incident) == of,
        _ => false,
    }
}

/// A decision of a policy, with its incident.
fn decision(event: &Event, of: &Name) -> Option<(u64, Decision)> {
    match event {
        Event::Decided { policy, incident, what, target, reason, .. } | Event::WouldAct { policy, incident, what, target, reason, .. }
            if policy == of =>
        {
            Some((*incident, Decision::Acts { action: what.clone(), target: target.clone(), reason: reason.clone() }))
        }
        Event::Refused { policy, incident, what, target, guard, figures, .. } if policy == of => {
            let refused =
                Decision::Refused { action: what.clone(), target: target.clone(), guard: guard.clone(), figures: figures.clone() };
            Some((*incident, refused))
        }
        Event::Verified { policy, incident, verdict, figures, .. } if policy == of => {
            Some((*incident, Decision::Verified { verdict: *verdict, figures: figures.clone() }))
        }
        Event::Paged { policy, incident, to, reason, with, .. } if policy == of => {
            Some((*incident, Decision::Pages { to: to.clone(), with: with.clone(), reason: reason.clone() }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::action::{ActionId, RestartMode, Target};
    use firedrill_core::journal::Weighed;

    fn weighed(what: Action, score: Option<f64>) -> Weighed {
        let target = "replica/api-0".parse().unwrap();
        Weighed { candidate: None, what, target, score, risk: 0.0, why: String::new(), is_best: false }
    }

    fn chosen(incident: u64, candidates: Vec<Weighed>) -> Event {
        Event::Chosen { policy: Name::new("p"), incident, step: 0, candidates }
    }

    #[test]
    fn to_wait_is_decided_each_time_that_it_is_best_whether_it_is_listed_or_not() {
        let wait = || Action::Wait { span: Span::from_seconds(60) };
        let restart = || Action::Restart { mode: RestartMode::Rolling };
        let (policy, target): (Name, Target) = (Name::new("p"), "replica/api-0".parse().unwrap());
        let paused = |incident| Event::Decided {
            policy: policy.clone(),
            incident,
            step: 0,
            action: ActionId { policy: policy.clone(), ordinal: 0 },
            what: wait(),
            target: target.clone(),
            reason: "to wait is best of what may be done".to_owned(),
        };
        let closed = |incident| Event::IncidentClosed { policy: policy.clone(), incident, reason: String::new() };
        let best = |first| vec![weighed(first, Some(1.0)), weighed(restart(), Some(0.5)), weighed(restart(), None)];
        let told = |events: Vec<(u64, Event)>| {
            let mut journal = Journal::new();
            events.into_iter().for_each(|(second, event)| journal.write(Time::from_seconds(second), event));
            let got = decided(&journal, &policy);
            got.iter()
                .map(|got| (got.at.as_seconds(), matches!(&got.what, Decision::Acts { action: Action::Wait { .. }, .. })))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(vec![(0, chosen(0, best(wait()))), (60, chosen(0, best(wait())))]), [(0.0, true), (60.0, true)]);
        assert_eq!(told(vec![(0, chosen(0, best(wait()))), (0, paused(0))]), [(0.0, true)], "listed, and told once");
        assert_eq!(told(vec![(0, chosen(0, best(wait()))), (0, chosen(1, best(wait()))), (0, paused(1))]), [(0.0, true), (0.0, true)]);
        assert_eq!(told(vec![(0, chosen(0, best(wait()))), (0, closed(0))]), [], "the alert is over");
        assert_eq!(told(vec![(0, chosen(0, best(restart())))]), [], "something else is best, and told by itself or refused");
        assert_eq!(told(vec![(0, chosen(0, vec![weighed(restart(), None), weighed(wait(), Some(0.0))]))]), [(0.0, true)]);
    }
}
