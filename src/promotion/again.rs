//! What another version of a policy was told is decided again by this one: decisions that are the same stay evidence.
//!
//! What people and telemetry said stands in the watcher's chain. This version hears the same alerts at the same times, and whatever it asks is
//! answered by what was answered then to the same question. A question that nobody asked then has no answer: the condition is unknown, as it is
//! where there is no data. Rules cannot be decided again by this: alerts are what they said, so a change of theirs drops what rests on them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Event, Evidence as Gathered, Input, LabelSet, Notification, Truth};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::controller::{Controller, Effect, Question};
use firedrill_policies::guard::Guards;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::{ConditionAt, Policy};
use jiff::Timestamp;

use super::evidence::Again;
use super::standing::between;
use crate::ledger::{Chain, Hashes, Recorded, What, question_text};

/// The state that holds what the watcher knew to exist.
pub const INVENTORY: &str = "inventory/1";

/// An answer counts for a question that is asked at most so long before or after it.
const NEAR: Span = Span::from_seconds(30);

/// What is still due after the last observation happens within this time: one day.
const LONGEST: Span = Span::from_seconds(86_400);

/// So many inputs are taken in at most for each observation: a policy that asks without end is dropped as one that decides otherwise.
const MOST_INPUTS: usize = 10_000;

/// An incident that this version takes up.
struct Opened {
    at: Timestamp,
    alert: Name,
    labels: LabelSet,
    /// What the watcher calls it, where it said so when it was told of the alert.
    incident: Option<String>,
    /// What would be done first, to what.
    first: Option<String>,
}

/// Decides again what the chain holds of other versions, and says of each such decision that is not the same why it is dropped.
#[must_use]
pub fn decide_again(chain: &Chain, watched: &Chain, policy: &Arc<Policy>, now: &Hashes) -> Again {
    let stale: Vec<&Recorded> = chain.entries.iter().filter(|own| is_stale(own, now)).collect();
    if stale.is_empty() {
        return Again::new();
    }
    let opened = opened(watched, policy);
    let mut told: BTreeMap<&str, ()> = BTreeMap::new();
    let mut again = Again::new();
    for own in stale {
        let What::Decision { incident, hashes, event, is_backtest, .. } = &own.entry.what else { continue };
        let Some(acted) = act(event) else { continue };
        let is_first = told.insert(incident, ()).is_none();
        let changed = super::evidence::changed(hashes, now).unwrap_or_default();
        let why = if hashes.rules != now.rules {
            Some("which alerts there are cannot be decided again from what was heard".to_owned())
        } else if *is_backtest {
            Some("replay the recorded history again".to_owned())
        } else if !is_first {
            Some("what follows a first step cannot be decided again".to_owned())
        } else {
            match of_incident(&opened, chain, incident).map(|own| &own.first) {
                None if watched.entries.is_empty() => Some("nothing was kept by which it could be decided again".to_owned()),
                None => Some("this version does not take it up".to_owned()),
                Some(None) => Some("this version would do nothing".to_owned()),
                Some(Some(other)) if *other != acted => Some(format!("this version would {other}, and that one {acted}")),
                Some(Some(_)) => None,
            }
        };
        if let Some(why) = why {
            again.insert(own.hash.clone(), format!("{changed}; {why}"));
        }
    }
    again
}

fn is_stale(own: &Recorded, now: &Hashes) -> bool {
    matches!(&own.entry.what, What::Decision { hashes, .. } if hashes != now)
}

/// What a journaled event does to what; `None` if it does nothing.
fn act(event: &serde_json::Value) -> Option<String> {
    match serde_json::from_value(event.clone()).ok()? {
        Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. } => Some(format!("{what} {target}")),
        _ => None,
    }
}

/// What this version makes of an incident: by what the watcher called it, or else by the alert that was taken up at about the same time.
fn of_incident<'a>(opened: &'a [Opened], chain: &Chain, incident: &str) -> Option<&'a Opened> {
    if let Some(found) = opened.iter().find(|own| own.incident.as_deref() == Some(incident)) {
        return Some(found);
    }
    let (at, alert, labels) = chain.entries.iter().find_map(|own| {
        let What::Decision { incident: other, event, .. } = &own.entry.what else { return None };
        match serde_json::from_value(event.clone()).ok()? {
            Event::IncidentOpened { alert, labels, .. } if other == incident => Some((own.entry.at, alert, labels)),
            _ => None,
        }
    })?;
    let apart = |own: &Opened| between(own.at.min(at), own.at.max(at));
    let same = opened.iter().filter(|own| own.alert == alert && own.labels == labels && apart(own) <= NEAR);
    same.min_by_key(|own| apart(own))
}

/// The incidents that this version takes up.
fn opened(watched: &Chain, policy: &Arc<Policy>) -> Vec<Opened> {
    let Some(begin) = watched.entries.first().map(|own| own.entry.at) else { return Vec::new() };
    let mut player = Player::new(watched, policy, begin);
    for own in &watched.entries {
        let What::Observation { incident, input, .. } = &own.entry.what else { continue };
        if let Ok(Input::Notified(notification)) = serde_json::from_value(input.clone()) {
            player.until(since(begin, own.entry.at));
            let starts_at = notification.starts_at.min(player.now);
            player.incident = Some((own.entry.at, incident.clone()));
            player.feed(Input::Notified(Notification { starts_at, ..notification }));
            player.incident = None;
        }
    }
    player.until(player.now + LONGEST);
    player.opened.into_values().collect()
}

fn since(begin: Timestamp, at: Timestamp) -> Time {
    Time::from_nanos(between(begin, at).as_nanos())
}

/// Feeds a controller what was heard then.
struct Player {
    controller: Controller,
    guards: Guards,
    now: Time,
    /// Answers by what was asked, in order of time.
    answers: BTreeMap<String, Vec<(Time, Input)>>,
    /// What is due, by time: questions and timers.
    due: Vec<(Time, Due)>,
    begin: Timestamp,
    /// When the notification came that is being fed, and the watcher's incident that it belongs to.
    incident: Option<(Timestamp, Option<String>)>,
    /// By the controller's number.
    opened: BTreeMap<u64, Opened>,
}

enum Due {
    Ask(u64, Question),
    Wake(u64),
}

impl Player {
    fn new(watched: &Chain, policy: &Arc<Policy>, begin: Timestamp) -> Self {
        let mut answers: BTreeMap<String, Vec<(Time, Input)>> = BTreeMap::new();
        let mut inventory = Inventory::default();
        for own in &watched.entries {
            match &own.entry.what {
                What::Observation { question: Some(question), input, .. } => {
                    if let Ok(input) = serde_json::from_value(input.clone()) {
                        answers.entry(question.clone()).or_default().push((since(begin, own.entry.at), input));
                    }
                }
                What::State { of, value } if of == INVENTORY => {
                    inventory = serde_json::from_value(value.clone()).unwrap_or(inventory);
                }
                _ => {}
            }
        }
        let start = Start::from_unix_millis(begin.as_millisecond());
        let controller = Controller::new(Arc::clone(policy), Arc::new(inventory), Stage::DryRun, None).starting(start);
        let (guards, due, opened) = (Guards::new(), Vec::new(), BTreeMap::new());
        Self { controller, guards, now: Time::ZERO, answers, due, begin, incident: None, opened }
    }

    /// Lets what is due happen until a time.
    fn until(&mut self, until: Time) {
        for _ in 0..MOST_INPUTS {
            let next = (0..self.due.len()).filter(|index| self.due[*index].0 <= until).min_by_key(|index| (self.due[*index].0, *index));
            let Some(index) = next else { break };
            let (at, due) = self.due.remove(index);
            self.now = self.now.max(at);
            let input = match due {
                Due::Wake(timer) => Input::Timer { timer },
                Due::Ask(query, question) => self.answer(query, &question),
            };
            self.feed(input);
        }
        self.now = self.now.max(until);
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        for _ in 0..MOST_INPUTS {
            let Some(input) = inputs.pop_front() else { break };
            for effect in self.controller.step(self.now, input, &mut self.guards) {
                match effect {
                    Effect::Evaluate { query, question, at } if at <= self.now => inputs.push_back(self.answer(query, &question)),
                    Effect::Evaluate { query, question, at } => self.due.push((at, Due::Ask(query, question))),
                    Effect::SetTimer { timer, at } => self.due.push((at.max(self.now), Due::Wake(timer))),
                    Effect::CancelTimer { timer } => self.due.retain(|(_, due)| !matches!(due, Due::Wake(own) if *own == timer)),
                    Effect::Gather { query, wanted } => {
                        let none = |kind| Gathered { kind, lines: Vec::new(), note: "decided again: not gathered".to_owned() };
                        inputs.push_back(Input::Gathered { query, evidence: wanted.kinds.into_iter().map(none).collect() });
                    }
                    Effect::Record(event) => self.note(event),
                    Effect::Start(_) | Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } => {}
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::IncidentOpened { incident, alert, labels, .. } => {
                // One that is opened anew by itself later is no other incident of the watcher's.
                let later = Span::from_nanos(self.now.as_nanos());
                let at = self.begin.checked_add(jiff::SignedDuration::from_nanos_i128(i128::from(later.as_nanos()))).unwrap_or(self.begin);
                let (at, own) = self.incident.clone().unwrap_or((at, None));
                self.opened.insert(incident, Opened { at, alert, labels, incident: own, first: None });
            }
            Event::WouldAct { incident, what, target, .. } => {
                if let Some(own) = self.opened.get_mut(&incident) {
                    own.first.get_or_insert_with(|| format!("{what} {target}"));
                }
            }
            _ => {}
        }
    }

    /// What was answered to the same question at about this time; otherwise that it cannot be told.
    fn answer(&self, query: u64, question: &Question) -> Input {
        let text = question_text(self.controller.policy(), question);
        let apart = |at: Time| Span::from_nanos(at.as_nanos().abs_diff(self.now.as_nanos()));
        let near = self.answers.get(&text).and_then(|all| all.iter().min_by_key(|(at, _)| apart(*at)));
        let near = near.filter(|(at, _)| apart(*at) <= NEAR).map(|(_, input)| input.clone());
        near.and_then(|input| renumbered(input, query)).unwrap_or_else(|| unknown(query, question))
    }
}

/// The same answer to another number.
fn renumbered(input: Input, query: u64) -> Option<Input> {
    Some(match input {
        Input::Evaluated { verdict, figures, .. } => Input::Evaluated { query, verdict, figures },
        Input::Counted { holding, elements, error, .. } => Input::Counted { query, holding, elements, error },
        Input::Measured { value, figures, .. } => Input::Measured { query, value, figures },
        Input::Listed { names, error, .. } => Input::Listed { query, names, error },
        Input::Gathered { .. } | Input::Notified(_) | Input::Finished(_) | Input::Timer { .. } | Input::Answered { .. } => return None,
    })
}

/// That nobody asked this then.
fn unknown(query: u64, question: &Question) -> Input {
    let why = "nobody asked this then".to_owned();
    match question.condition {
        ConditionAt::Each(_) => Input::Listed { query, names: Vec::new(), error: why },
        condition if condition.is_formula() => Input::Measured { query, value: None, figures: why },
        ConditionAt::Guard(fact) if fact.is_count() => Input::Counted { query, holding: 0, elements: 0, error: why },
        _ => Input::Evaluated { query, verdict: Truth::Unknown, figures: why },
    }
}
