//! Recorded incidents, replayed and judged for the gate.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::journal::{Event, Journal};
use firedrill_core::name::Name;
use firedrill_reports::outcome::Judged;
use firedrill_reports::verdict::{IncidentResult, IncidentStatus};
use firedrill_scenarios::incident::expect::{ExpectVerdict, Proposal, Proposed, proposals};
use firedrill_telemetry::recording::Recording;

use crate::command_line::CommandLine;
use crate::drill::{Answer, Rules};
use crate::failure::Failure;
use crate::home::Routings;
use crate::replaying::{self, Replay};
use crate::sources;

/// An incident that is ready to be replayed to the candidate, and to the baseline if there is one.
#[derive(Clone, Debug)]
pub struct Replayed {
    name: String,
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
    names: &[String],
    rules: &Arc<Rules>,
    candidate: &Arc<Answer>,
    baseline: Option<&Arc<Answer>>,
    routings: &Routings,
) -> Result<Vec<Replayed>, Failure> {
    let prepare = |name: &String| {
        let (incident, files) = sources::incident(name, Path::new("."))?;
        let rules = incident.rules.is_empty().then(|| Arc::clone(rules));
        let candidate = replaying::prepare(incident, &files, rules, Some(Arc::clone(candidate)), routings)?;
        let baseline = baseline.map(|answer| Replay { answer: Arc::clone(answer), ..candidate.clone() });
        Ok(Replayed { name: name.clone(), candidate, baseline, alertmanager: routings.named().map(str::to_owned) })
    };
    names.iter().map(prepare).collect()
}

impl Replayed {
    /// What is replayed, and the rules that watch it.
    #[must_use]
    pub fn watched(&self) -> (Arc<Recording>, Arc<Rules>) {
        (Arc::clone(&self.candidate.recording), Arc::clone(&self.candidate.rules))
    }

    /// What the incident is called, and a hash of what was recorded and of what people say was right.
    #[must_use]
    pub fn identity(&self) -> (Name, String) {
        let Replay { incident, recording, .. } = &self.candidate;
        let text = format!("{:?} {:?} {} {}", incident.expect, incident.onset, recording.start, recording.store.version());
        (incident.name.clone(), blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    /// Replays the incident and says of each action that was proposed whether it was right, as far as people have said.
    #[must_use]
    pub fn judged(&self) -> Vec<Judged> {
        let Some(expect) = &self.candidate.incident.expect else { return Vec::new() };
        let journal = self.candidate.play();
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
        let journal = self.candidate.play();
        let incident = &self.candidate.incident;
        let policies: Vec<&String> = self.candidate.answer.sources.iter().map(|(_, argument)| argument).collect();
        let command = CommandLine::new("replay").word(&self.name).options("--policy", &policies);
        let command = command.options("--alertmanager", self.alertmanager.as_slice()).to_string();
        let (status, findings) = if !is_exercised(&journal) {
            (IncidentStatus::NotExercised, vec![silence(&journal, &self.candidate.answer)])
        } else if let Some(expect) = &incident.expect {
            verdict(&expect.judge(&journal, self.candidate.recording.start, incident.onset))
        } else {
            self.compare(&journal)
        };
        IncidentResult { incident: incident.name.clone(), status, findings, command }
    }

    /// Without an `expect` there is no right and wrong, only a difference to the baseline.
    fn compare(&self, journal: &Journal) -> (IncidentStatus, Vec<String>) {
        let told = |journal: &Journal| -> Vec<String> {
            proposals(journal).iter().map(|proposal| format!("{} at {}", proposal.what, proposal.at)).collect()
        };
        let before = self.baseline.as_ref().map(|baseline| told(&baseline.play()));
        let now = told(journal);
        let status = if before.is_some_and(|before| before != now) { IncidentStatus::Changed } else { IncidentStatus::Unchanged };
        (status, now)
    }
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
