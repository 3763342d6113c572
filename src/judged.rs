//! Recorded incidents, replayed and judged for the gate.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::journal::{Event, Journal};
use firedrill_core::name::Name;
use firedrill_reports::outcome::{Judged, Reached};
use firedrill_reports::verdict::{IncidentResult, IncidentStatus};
use firedrill_scenarios::incident::expect::{ExpectVerdict, Proposal, Proposed, proposals};
use firedrill_telemetry::recording::Recording;

use crate::command_line::CommandLine;
use crate::drill::{Answer, Rules};
use crate::failure::Failure;
use crate::home::Routings;
use crate::replaying::{self, Replay};
use crate::sources;

/// An incident to be replayed, and what its command calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What finds it: a path or a name.
    pub argument: String,
    /// What finds it for whoever repeats the replay, and the revision (`git:REF`) that it is taken from; `None`: the argument does.
    pub elsewhere: Option<(String, String)>,
}

impl Named {
    /// One that its argument finds.
    #[must_use]
    pub fn here(argument: &str) -> Self {
        Self { argument: argument.to_owned(), elsewhere: None }
    }
}

/// An incident that is ready to be replayed to the candidate, and to the baseline if there is one.
#[derive(Clone, Debug)]
pub struct Replayed {
    name: Named,
    candidate: Replay,
    baseline: Option<Replay>,
    /// The Alertmanager configuration that the command line names.
    alertmanager: Option<String>,
}

/// Reads every incident; the candidate answers, watched by the incident's own rules if it has any.
///
/// # Errors
/// An incident, a recording or a rule file is wrong.
pub fn prepare_all(
    names: &[Named],
    rules: &Arc<Rules>,
    candidate: &Arc<Answer>,
    baseline: Option<&Arc<Answer>>,
    routings: &Routings,
) -> Result<Vec<Replayed>, Failure> {
    let prepare = |name: &Named| {
        let (incident, files) = sources::incident(&name.argument, Path::new("."))?;
        let rules = incident.rules.is_empty().then(|| Arc::clone(rules));
        let candidate = replaying::prepare(incident, &files, rules, Some(Arc::clone(candidate)), routings)?;
        let baseline = baseline.map(|answer| Replay { answer: Arc::clone(answer), ..candidate.clone() });
        Ok(Replayed { name: name.clone(), candidate, baseline, alertmanager: routings.named().map(str::to_owned) })
    };
    names.iter().map(prepare).collect()
}

impl Replayed {
    /// What is replayed, the rules that watch it, and whether these are its own.
    #[must_use]
    pub fn watched(&self) -> (Arc<Recording>, Arc<Rules>, bool) {
        let Replay { incident, recording, rules, .. } = &self.candidate;
        (Arc::clone(recording), Arc::clone(rules), !incident.rules.is_empty())
    }

    /// The incident's name, and the hash of all that decides what its replay says, but for the policies.
    #[must_use]
    pub fn identity(&self) -> (Name, String) {
        let Replay { incident, recording, watched, rules, .. } = &self.candidate;
        let mut hasher = blake3::Hasher::new();
        // What was expected counts from the onset, and guards count what was declared to exist.
        let told = format!("{:?}\n{:?}\n{:?}\n{watched:?}\n{}\n", incident.expect, incident.onset, incident.inventory, rules.hash);
        hasher.update(told.as_bytes());
        fingerprint(recording, &mut hasher);
        (incident.name.clone(), hasher.finalize().to_hex().to_string())
    }

    /// Replays the incident to some policies and says of each action that was proposed whether it was right, as far as people have said.
    #[must_use]
    pub fn judged(&self, answer: &Arc<Answer>) -> Vec<Judged> {
        let Some(expect) = &self.candidate.incident.expect else { return Vec::new() };
        let journal = self.others(answer).play();
        let answered = answered(&journal);
        let judge = |(proposal, (incident, sure)): (Proposal, (u64, Option<f64>))| {
            let Proposed::Act(action, _) = &proposal.what else { return None };
            let wrong = (!expect.is_right(&proposal, self.candidate.recording.start)?).then_some("not what people say was right");
            let alert = answered.get(&(proposal.policy.clone(), incident))?.clone();
            Some(Judged { policy: proposal.policy.clone(), alert, action: action.word().to_owned(), sure, wrong })
        };
        would_act(&journal).into_iter().filter_map(judge).collect()
    }

    /// Replays the incident and judges what was proposed.
    #[must_use]
    pub fn judge(&self) -> IncidentResult {
        self.result(&self.candidate, self.baseline.as_ref().map(|baseline| told(&baseline.play())))
    }

    /// The same with other policies in the candidate's place, compared with nobody.
    #[must_use]
    pub fn judge_others(&self, answer: &Arc<Answer>) -> IncidentResult {
        self.result(&self.others(answer), None)
    }

    fn others(&self, answer: &Arc<Answer>) -> Replay {
        Replay { answer: Arc::clone(answer), ..self.candidate.clone() }
    }

    fn result(&self, replay: &Replay, before: Option<Vec<String>>) -> IncidentResult {
        let journal = replay.play();
        let cannot_tell = replay.cannot_tell();
        let incident = &self.candidate.incident;
        let policies: Vec<&String> = replay.answer.sources.iter().map(|(_, argument)| argument).collect();
        let (place, judge) = match &self.name.elsewhere {
            Some((place, judge)) => (place, Some(judge)),
            None => (&self.name.argument, None),
        };
        let judge: Vec<&String> = judge.into_iter().collect();
        let command = CommandLine::new("replay").word(place).options("--judge", &judge).options("--policy", &policies);
        let command = command.options("--alertmanager", self.alertmanager.as_slice()).to_string();
        let decisions = told(&journal);
        let (status, findings) = if let Some(why) = cannot_tell {
            (IncidentStatus::CannotTell, vec![why])
        } else if !is_exercised(&journal) {
            (IncidentStatus::NotExercised, vec![silence(&journal, &replay.answer)])
        } else if let Some(expect) = &incident.expect {
            verdict(&expect.judge(&journal, self.candidate.recording.start, incident.onset))
        } else {
            compared(&decisions, before.as_ref())
        };
        let reached = Reached::of(&journal).parts;
        IncidentResult { incident: incident.name.clone(), status, findings, command, decisions, before, reached }
    }
}

/// What a recording says, to the bit. It may be large, so it is not written out.
fn fingerprint(recording: &Recording, hasher: &mut blake3::Hasher) {
    let Recording { start, end_ms, source, store } = recording;
    hasher.update(format!("{start} {end_ms} {source}\n").as_bytes());
    for id in store.ids() {
        let samples = store.samples(id);
        hasher.update(format!("{} {}\n", store.labels(id), samples.times.len()).as_bytes());
        for (at_ms, value) in samples.times.iter().zip(samples.values) {
            hasher.update(&at_ms.to_le_bytes());
            hasher.update(&value.to_bits().to_le_bytes());
        }
    }
}

/// What was proposed, in order, each with its time.
fn told(journal: &Journal) -> Vec<String> {
    proposals(journal).iter().map(|proposal| format!("{} at {}", proposal.what, proposal.at)).collect()
}

/// Without an `expect` there is no right and wrong, only a difference to the baseline.
fn compared(now: &[String], before: Option<&Vec<String>>) -> (IncidentStatus, Vec<String>) {
    let status = if before.is_some_and(|before| before != now) { IncidentStatus::Changed } else { IncidentStatus::Unchanged };
    (status, now.to_vec())
}

/// The alert that each incident of a policy answers.
fn answered(journal: &Journal) -> BTreeMap<(Name, u64), Name> {
    let of = |event: &Event| match event {
        Event::IncidentOpened { policy, incident, alert, .. } => Some(((policy.clone(), *incident), alert.clone())),
        _ => None,
    };
    journal.records().iter().filter_map(|record| of(&record.event)).collect()
}

/// What would have been done, each with its incident, and how sure the policy said it was.
fn would_act(journal: &Journal) -> Vec<(Proposal, (u64, Option<f64>))> {
    let mut sure = BTreeMap::new();
    let mut found = Vec::new();
    for record in journal.records() {
        match &record.event {
            Event::Confident { policy, incident, value, .. } => _ = sure.insert((policy.clone(), *incident), *value),
            Event::WouldAct { policy, incident, what, target, .. } => {
                let what = Proposed::Act(what.clone(), target.clone());
                let claimed = sure.get(&(policy.clone(), *incident)).copied();
                found.push((Proposal { at: record.at, policy: policy.clone(), what }, (*incident, claimed)));
            }
            _ => {}
        }
    }
    found
}

fn verdict(verdict: &ExpectVerdict) -> (IncidentStatus, Vec<String>) {
    let status = if verdict.passed { IncidentStatus::Passed } else { IncidentStatus::Failed };
    let shown = verdict.checks.iter().filter(|check| verdict.passed || !check.held);
    (status, shown.map(|check| format!("{}: {}", check.expected, check.found)).collect())
}

/// Whether a policy took up anything: an alert that it answers and whose labels it asks for, or an incident of alerts.
fn is_exercised(journal: &Journal) -> bool {
    journal.records().iter().any(|record| matches!(record.event, Event::IncidentOpened { .. }))
}

/// Why the policies heard nothing.
fn silence(journal: &Journal, answer: &Answer) -> String {
    let kept = journal.records().iter().find_map(|record| match &record.event {
        Event::Withheld { alert, receiver, reason, .. } if answer.policies.iter().any(|policy| policy.answers(alert)) => {
            Some(format!("{alert} fires on this recording, and {receiver} is not told of it: {reason}"))
        }
        _ => None,
    });
    let together = answer.policies.iter().any(|policy| policy.correlation.is_some());
    let none = if together { "no incident of alerts" } else { "no alert" };
    kept.unwrap_or_else(|| format!("{none} that the policies answer reaches them on this recording"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::time::Start;
    use firedrill_telemetry::labels::Labels;
    use firedrill_telemetry::store::Store;

    fn recording(samples: &[(&str, i64, f64)]) -> Recording {
        let mut store = Store::new();
        for (pod, at_ms, value) in samples {
            let id = store.series(&Labels::named("up", &[("pod", pod)]));
            store.append(id, *at_ms, *value).unwrap();
        }
        Recording { start: Start::from_unix_millis(0), end_ms: 60_000, source: "a test".to_owned(), store }
    }

    #[test]
    fn two_recordings_are_told_apart_by_any_sample_and_are_the_same_without_a_difference() {
        let hash = |recording: &Recording| {
            let mut hasher = blake3::Hasher::new();
            fingerprint(recording, &mut hasher);
            hasher.finalize().to_hex().to_string()
        };
        let one = recording(&[("a", 0, 1.0), ("b", 0, 1.0), ("a", 15_000, 0.0)]);
        assert_eq!(hash(&one), hash(&recording(&[("a", 0, 1.0), ("b", 0, 1.0), ("a", 15_000, 0.0)])));
        for other in [
            recording(&[("a", 0, 1.0), ("b", 0, 1.0), ("a", 15_000, -0.0)]),
            recording(&[("a", 0, 1.0), ("b", 0, 1.0), ("a", 15_001, 0.0)]),
            recording(&[("a", 0, 1.0), ("b", 0, 1.0), ("b", 15_000, 0.0)]),
            recording(&[("a", 0, 1.0), ("b", 0, 1.0)]),
            Recording { end_ms: 60_001, ..one.clone() },
        ] {
            assert_ne!(hash(&one), hash(&other));
        }
    }
}
