//! From a journal to a story: what matters gets a line, what repeats is folded, what is only bookkeeping is left out.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{ActionId, Target};
use firedrill_core::journal::{AlertStatus, CorrelationChange, Event, GuardVerdict, LabelSet, ProposalChange, ReplicaState, Verification};
use firedrill_core::ledger::BIN;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;

use super::render::{clock, clock_span};
use super::{Kind, Line, Timeline};
use crate::outcome::{Incident, OutcomeSettings, UserSeries, fights, incidents, recovered, spells};
use crate::verdict::significant;
use crate::words::{counted, readable};

/// What happens again within this time is told in the same line.
const FOLD: Span = Span::from_seconds(60);

/// Tells the story of a run.
#[must_use]
pub fn tell(run: &Transcript) -> Timeline {
    let mut teller = Teller::default();
    for record in run.journal.records() {
        teller.take_in(record.at, &record.event);
    }
    let mut lines = teller.finish();
    let settings = OutcomeSettings::default();
    let users = UserSeries::of(&run.ledger, &settings);
    let incidents = incidents(&run.ledger, &users, &settings);
    lines.extend(truths(run, &incidents, &users, &settings));
    // Stable: what was true of users follows what happened at the same instant.
    lines.sort_by_key(|line| line.at);
    Timeline {
        scenario: run.header.scenario.clone(),
        arm: run.header.arm.clone(),
        policies: run.header.policies.clone(),
        seed: run.header.seed,
        onsets: incidents.iter().map(|incident| incident.opened).collect(),
        lines,
    }
}

/// What the ledgers say about users, which no journal does.
fn truths(run: &Transcript, incidents: &[Incident], users: &UserSeries, settings: &OutcomeSettings) -> Vec<Line> {
    let ended = run.ledger.ended;
    let mut lines: Vec<Line> = fights(run, settings)
        .into_iter()
        .map(|fight| Line { at: Time::ZERO + Span::from_seconds_f64(fight.until_seconds), kind: Kind::Fight, text: fight.to_string() })
        .collect();
    for incident in incidents {
        lines.extend(spell_lines(run, incident, users, settings));
        let mut say = |at: Time, kind: Kind, text: String| lines.push(Line { at, kind, text });
        let after = |at: Time| clock_span(at.since(incident.opened));
        match recovered(incident, &run.ledger, users, settings) {
            Some(at) => say(at, Kind::Recovery, format!("recovered: everything is as declared, {} after the fault", after(at))),
            None => say(ended, Kind::End, "not recovered when the run ends".to_owned()),
        }
    }
    for service in run.ledger.services.iter().filter(|service| service.totals.stale > 0) {
        let answers = counted(service.totals.stale, "answer");
        lines.push(Line { at: ended, kind: Kind::End, text: format!("{}: {answers} out of date", service.service) });
    }
    // A replay has no ledger: nobody knows what users lost.
    if run.ledger.clients.is_empty() {
        return lines;
    }
    let lost = significant(users.user_minutes_lost());
    lines.push(Line { at: ended, kind: Kind::End, text: format!("{lost} user-minutes lost in {}", clock(ended)) });
    lines
}

/// When users fell ill because of an incident, how badly, and when they were well again; each relapse anew.
fn spell_lines(run: &Transcript, incident: &Incident, users: &UserSeries, settings: &OutcomeSettings) -> Vec<Line> {
    let bin_of = |at: Time| (at.as_nanos() / BIN.as_nanos()) as usize;
    let share = |bin: usize| users.bad_share(bin).unwrap_or(0.0);
    let spells = spells(incident, &run.ledger, users, settings);
    let mut lines = Vec::new();
    for (index, spell) in spells.iter().enumerate() {
        let first = bin_of(spell.felt);
        let until = spell.well.map_or(users.len(), bin_of).max(first + 1);
        let worst = (first..until).map(share).fold(0.0, f64::max);
        let feel = if index == 0 { "users feel it" } else { "users are unwell again" };
        // A bin with few requests is told with its neighbours, which may be bad before one of its own is.
        let bad = (first..until).find(|&bin| users.has_bad(bin)).unwrap_or(first);
        let at = if bad == first { spell.felt } else { Time::ZERO + Span::from_nanos(BIN.as_nanos() * bad as u64) };
        let within = users.span_told(bad).as_nanos() / 1_000_000_000;
        let text = format!("{feel}: {} of requests bad within {within} s, {} at worst", percent(share(bad)), percent(worst));
        lines.push(Line { at, kind: Kind::Users, text });
        let (at, kind, text) = match spell.well {
            None => (run.ledger.ended, Kind::Users, "users are still unwell when the run ends".to_owned()),
            Some(at) if index + 1 < spells.len() => (at, Kind::Users, "users are well, but not to stay".to_owned()),
            Some(at) => (at, Kind::Recovery, format!("users are well again, {} after the fault", clock_span(at.since(incident.opened)))),
        };
        lines.push(Line { at, kind, text });
    }
    lines
}

fn percent(share: f64) -> String {
    format!("{} %", significant(libm::round(share * 1000.0) / 10.0))
}

/// What a repeated thing is recognised by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Alert(&'static str, Name),
    Told(Name, AlertStatus),
    Routed(Name, Name),
    Messaged(String),
    Withheld(Name, Name, String),
    Refusal(Name, u64, Name),
    Rule(Name),
    Replicas(Name),
    /// Who is left out of a choice, or back in it.
    Choice(Name, bool),
    /// Whose replicas turn requests away, or do so no more.
    Door(Name, bool),
}

/// A line that still takes in repetitions.
struct Fold {
    line: usize,
    count: u64,
    last: Time,
    /// Distinct replicas and states, for replica changes.
    replicas: Vec<Name>,
    states: Vec<ReplicaState>,
    /// Distinct labels, for what is said of alerts.
    labels: Vec<LabelSet>,
    text: String,
}

#[derive(Default)]
struct Teller {
    lines: Vec<Line>,
    folds: BTreeMap<Key, Fold>,
    /// Verdicts since the last proposal of a policy's incident: passed, not configured.
    guards: BTreeMap<(Name, u64), (u64, u64)>,
    /// What each action is called, and when it began.
    actions: BTreeMap<ActionId, (String, Time)>,
    /// What each policy has taken up and not closed: the alert and its target, in words.
    open: BTreeMap<(Name, u64), String>,
    /// The last incident that each policy closed of each alert, and when.
    closed: BTreeMap<(Name, LabelSet), (u64, Time)>,
    /// The labels of what has been taken up.
    labels: BTreeMap<(Name, u64), LabelSet>,
    /// When policies were last told that an alert fires.
    told: BTreeMap<LabelSet, Time>,
}

impl Teller {
    fn take_in(&mut self, at: Time, event: &Event) {
        match event {
            Event::FaultStarted { .. }
            | Event::FaultEnded { .. }
            | Event::Noted { .. }
            | Event::Person { .. }
            | Event::ReplicaChanged { .. }
            | Event::RolloutStarted { .. }
            | Event::RolloutFinished { .. }
            | Event::RolloutStalled { .. }
            | Event::Autoscaled { .. }
            | Event::NodeChanged { .. }
            | Event::NotEvicted { .. }
            | Event::Scaled { .. }
            | Event::QueuePurged { .. }
            | Event::SheddingChanged { .. }
            | Event::ConsumersChanged { .. }
            | Event::RetriesLimited { .. }
            | Event::BreakerChanged { .. }
            | Event::FlagChanged { .. }
            | Event::PrimaryChanged { .. }
            | Event::Ejected { .. }
            | Event::Returned { .. }
            | Event::Panicked { .. }
            | Event::BoundReached { .. }
            | Event::RunEnded { .. } => self.world(at, event),
            Event::AlertPending { .. }
            | Event::AlertFiring { .. }
            | Event::AlertResolved { .. }
            | Event::RuleFailed { .. }
            | Event::Notified { .. } => self.detection(at, event),
            Event::Correlated { .. } => self.correlated(at, event),
            Event::Routed { .. } | Event::Messaged { .. } | Event::Withheld { .. } => self.routing(at, event),
            Event::ActionStarted { .. } | Event::ActionFinished { .. } => self.action(at, event),
            Event::Informed { .. }
            | Event::Collected { .. }
            | Event::Unanswered { .. }
            | Event::Chosen { .. }
            | Event::Planned { .. }
            | Event::Proposed { .. } => self.beside(at, event),
            Event::Answered { .. } | Event::ProposalChanged { .. } | Event::Confident { .. } => self.people(at, event),
            // What a controller takes in has been told where it came from.
            Event::Received { .. } => {}
            _ => self.policy(at, event),
        }
    }

    fn finish(mut self) -> Vec<Line> {
        for fold in std::mem::take(&mut self.folds).into_values() {
            self.close(fold);
        }
        self.lines
    }

    fn say(&mut self, at: Time, kind: Kind, text: impl Into<String>) -> usize {
        self.lines.push(Line { at, kind, text: text.into() });
        self.lines.len() - 1
    }

    /// Says it, or counts it if the same was said shortly before.
    fn say_once(&mut self, at: Time, kind: Kind, key: Key, text: String) {
        if let Some(fold) = self.folds.get_mut(&key) {
            if at.since(fold.last) <= FOLD {
                fold.count += 1;
                fold.last = at;
                return;
            }
            let old = self.folds.remove(&key).expect("it was found");
            self.close(old);
        }
        let line = self.say(at, kind, text.clone());
        self.folds.insert(key, Fold { line, count: 1, last: at, replicas: Vec::new(), states: Vec::new(), labels: Vec::new(), text });
    }

    /// The same of alerts, which may be about several things: they are told apart when the line is done.
    fn say_of(&mut self, (at, kind): (Time, Kind), key: Key, labels: &LabelSet, text: String) {
        self.say_once(at, kind, key.clone(), text);
        let fold = self.folds.get_mut(&key).expect("it was said just now");
        if !fold.labels.contains(labels) {
            fold.labels.push(labels.clone());
        }
    }

    fn close(&mut self, fold: Fold) {
        if fold.count == 1 || !fold.replicas.is_empty() {
            return;
        }
        let begun = self.lines[fold.line].at;
        let until = if fold.last > begun { format!(", until {}", clock(fold.last)) } else { String::new() };
        self.lines[fold.line].text = format!("{} ({} times{until}{})", fold.text, fold.count, told_apart(&fold.labels));
    }

    /// What callers make of the replicas that they know. Each caller finds out for itself, so that the same is often said by many.
    fn choice(&mut self, at: Time, event: &Event) {
        let (key, text) = match event {
            Event::Ejected { caller, replica, lasting, reason } => {
                let text = format!("{caller} leaves {replica} out for {}: {reason}", clock_span(*lasting));
                (Key::Choice(replica.clone(), false), text)
            }
            Event::Returned { caller, replica, reason } => {
                (Key::Choice(replica.clone(), true), format!("{caller} asks {replica} again: {reason}"))
            }
            Event::Panicked { caller, service, is_on: true, figures } => {
                (Key::Choice(service.clone(), false), format!("{caller} asks all replicas of {service}, well or not: {figures}"))
            }
            Event::Panicked { caller, service, is_on: false, figures } => {
                (Key::Choice(service.clone(), true), format!("{caller} leaves replicas of {service} out again: {figures}"))
            }
            _ => unreachable!("only what callers make of replicas comes here"),
        };
        self.say_once(at, Kind::World, key, text);
    }

    fn world(&mut self, at: Time, event: &Event) {
        match event {
            Event::FaultStarted { fault, kind, target, detail } => {
                self.folds.retain(|key, _| !matches!(key, Key::Replicas(_)));
                let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
                self.say(at, Kind::Fault, format!("{fault} sets in: {kind} of {target}{detail}"));
            }
            Event::FaultEnded { fault, reason } => {
                self.say(at, Kind::Fault, format!("{fault} is over: {reason}"));
            }
            Event::Noted { what } => _ = self.say(at, Kind::World, what.clone()),
            Event::Person { what } => _ = self.say(at, Kind::Person, what.clone()),
            Event::ReplicaChanged { replica, state, reason } => self.replica(at, replica, *state, reason),
            Event::RolloutStarted { service, version, reason } => {
                self.say(at, Kind::World, format!("{service}: version {version} rolls out ({reason})"));
            }
            Event::RolloutFinished { service, version } => {
                self.say(at, Kind::World, format!("{service}: every replica runs version {version}"));
            }
            Event::RolloutStalled { service, version, figures } => {
                self.say(at, Kind::World, format!("{service}: version {version} does not arrive: {figures}"));
            }
            Event::NodeChanged { node, state, reason } => {
                self.say(at, Kind::World, format!("node {node} is {}: {reason}", state.replace('_', " ")));
            }
            Event::NotEvicted { replica, figures } => {
                self.say(at, Kind::World, format!("{replica} may not be evicted yet: {figures}"));
            }
            Event::Autoscaled { service, from, to, figures } => {
                let wanted = counted(u64::from(*to), "replica");
                self.say(at, Kind::World, format!("{service}: its autoscaler wants {wanted}, {from} before: {figures}"));
            }
            Event::Scaled { service, from, to } => {
                self.say(at, Kind::World, format!("{service}: {} wanted, {from} before", counted(u64::from(*to), "replica")));
            }
            Event::QueuePurged { service, dropped } => {
                self.say(at, Kind::World, format!("{service}: {} waiting requests dropped", significant(*dropped as f64)));
            }
            Event::ConsumersChanged { service, topic, state, reason } => {
                let text = match state.as_str() {
                    "rebalancing" => format!("{service}: its consumers share {topic} anew: {reason}"),
                    "assigned" => format!("{service}: its consumers read {topic} again: {reason}"),
                    "parked" => format!("{service}: messages of {topic} are parked: {reason}"),
                    "skipped" => format!("{service}: messages of {topic} are thrown away: {reason}"),
                    "replayed" => format!("{service}: messages of {topic} wait again: {reason}"),
                    _ => format!("{service}: a message of {topic} is a dead letter: {reason}"),
                };
                self.say(at, Kind::World, text);
            }
            Event::FlagChanged { service, flag, state, reason } => {
                self.say(at, Kind::World, format!("{service}: flag {flag} is turned {state}: {reason}"));
            }
            Event::BreakerChanged { caller, service, state, reason } => {
                self.say(at, Kind::World, format!("{caller}: its breaker to {service} is {}: {reason}", state.replace('_', " ")));
            }
            Event::PrimaryChanged { service, replica, state, figures, .. } => {
                self.say(at, Kind::World, primary_text(service, replica.as_deref(), state, figures));
            }
            Event::SheddingChanged { replica, sheds, figures } => self.shedding(at, replica, *sheds, figures),
            Event::RetriesLimited { caller, retries } => {
                self.say(at, Kind::World, retries_text(caller, *retries));
            }
            Event::Ejected { .. } | Event::Returned { .. } | Event::Panicked { .. } => self.choice(at, event),
            Event::BoundReached { bound, figures } => {
                self.say(at, Kind::End, format!("bound {bound} reached: {figures}"));
            }
            Event::RunEnded { reason } => {
                self.say(at, Kind::End, format!("the run is over: {reason}"));
            }
            _ => unreachable!("only the world's events come here"),
        }
    }

    /// Replicas of one service that turn requests away for the same reason are one line.
    fn shedding(&mut self, at: Time, replica: &Name, sheds: bool, figures: &str) {
        let service = replica.rsplit_once('-').map_or(&**replica, |(service, _)| service);
        let what = if sheds { "turns requests away" } else { "turns nobody away any more" };
        self.say_once(at, Kind::World, Key::Door(Name::new(service), sheds), format!("{replica} {what}: {figures}"));
    }

    /// Changes of one service's replicas are one line until nothing has changed for a minute, or something is done to it.
    fn replica(&mut self, at: Time, replica: &Name, state: ReplicaState, reason: &str) {
        let service = replica.rsplit_once('-').map_or(&**replica, |(service, _)| service);
        let key = Key::Replicas(Name::new(service));
        if self.folds.get(&key).is_none_or(|fold| at.since(fold.last) > FOLD) {
            let line = self.say(at, Kind::World, "");
            let text = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            self.folds
                .insert(key.clone(), Fold { line, count: 0, last: at, replicas: Vec::new(), states: Vec::new(), labels: Vec::new(), text });
        }
        let fold = self.folds.get_mut(&key).expect("it was inserted if it was missing");
        fold.count += 1;
        fold.last = at;
        if !fold.replicas.contains(replica) {
            fold.replicas.push(replica.clone());
        }
        if !fold.states.contains(&state) {
            fold.states.push(state);
        }
        let who = match fold.replicas.as_slice() {
            [only] => only.to_string(),
            several => format!("{service}: {} replicas", several.len()),
        };
        let states: Vec<&str> = fold.states.iter().map(|state| state_word(*state)).collect();
        let expected = fold.replicas.len() * fold.states.len();
        let begun = self.lines[fold.line].at;
        let repeats = match () {
            () if fold.count as usize > expected => format!(", {} changes until {}", fold.count, clock(at)),
            () if clock(at) != clock(begun) => format!(", until {}", clock(at)),
            () => String::new(),
        };
        self.lines[fold.line].text = format!("{who} {}{}{repeats}", states.join(", "), fold.text);
    }

    fn detection(&mut self, at: Time, event: &Event) {
        match event {
            Event::AlertPending { alert, labels, value } => {
                let text = format!("{alert} is pending{}, value {}", among(labels), significant(*value));
                self.say_of((at, Kind::Alert), Key::Alert("pending", alert.clone()), labels, text);
            }
            Event::AlertFiring { alert, labels, value } => {
                let text = format!("{alert} fires{}, value {}", among(labels), significant(*value));
                self.say_of((at, Kind::Alert), Key::Alert("firing", alert.clone()), labels, text);
            }
            Event::AlertResolved { alert, labels } => {
                let text = format!("{alert} is over{}", among(labels));
                self.say_of((at, Kind::Alert), Key::Alert("resolved", alert.clone()), labels, text);
            }
            Event::RuleFailed { rule, message } => {
                self.say_once(at, Kind::Alert, Key::Rule(rule.clone()), format!("rule {rule} cannot be evaluated: {message}"));
            }
            Event::Notified { notification } => {
                if notification.status == AlertStatus::Firing {
                    self.told.insert(notification.labels.clone(), at);
                }
                let word = match notification.status {
                    AlertStatus::Firing => "firing",
                    AlertStatus::Resolved => "resolved",
                };
                let key = Key::Told(notification.alert.clone(), notification.status);
                let by = notification.receiver.as_ref().map_or_else(String::new, |receiver| format!(" through {receiver}"));
                let text = format!("notification{by}: {} {word}{}", notification.alert, among(&notification.labels));
                self.say_of((at, Kind::Told), key, &notification.labels, text);
            }
            _ => unreachable!("only detection's events come here"),
        }
    }

    /// What alerts that came together became.
    fn correlated(&mut self, at: Time, event: &Event) {
        let Event::Correlated { incident, scope, change, firing, subject, reason } = event else { return };
        let word = match change {
            CorrelationChange::Opened => "opens",
            CorrelationChange::Grew => "grows",
            CorrelationChange::Shrank => "shrinks",
            CorrelationChange::Closed => "is over",
        };
        let cause = subject.as_ref().filter(|subject| scope.get("service") != Some(subject));
        let cause = match (change, cause) {
            (CorrelationChange::Closed, _) | (_, None) => String::new(),
            (_, Some(subject)) => format!(", probably because of {subject}"),
        };
        let now = if *change == CorrelationChange::Closed { String::new() } else { format!(" ({firing} fire now{cause})") };
        self.say(at, Kind::Incident, format!("incident {incident}{} {word}: {reason}{now}", among(scope)));
    }

    /// What Alertmanager does with alerts.
    fn routing(&mut self, at: Time, event: &Event) {
        match event {
            Event::Routed { alert, receiver, group, look, is_first, .. } => {
                let wait = if *is_first { "group wait" } else { "group interval" };
                let when = match look {
                    Some(look) if *look <= at => "told at once".to_owned(),
                    Some(look) => format!("told at {} at the earliest, after the {wait}", clock(*look)),
                    None => "told once the message under way has arrived".to_owned(),
                };
                let text = format!("{alert} goes to {receiver}: {when} (group {group})");
                self.say_once(at, Kind::Routing, Key::Routed(alert.clone(), receiver.clone()), text);
            }
            Event::Messaged { receiver, by, reason, firing, resolved, .. } => {
                let ways =
                    if by.is_empty() { "firedrill alone".to_owned() } else { by.iter().map(Name::as_str).collect::<Vec<_>>().join(", ") };
                let text = format!("{receiver} is told ({ways}): {}; {reason}", standing(firing, resolved));
                self.say_once(at, Kind::Message, Key::Messaged(text.clone()), text);
            }
            Event::Withheld { alert, labels, receiver, reason, .. } => {
                let key = Key::Withheld(alert.clone(), receiver.clone(), reason.clone());
                let text = format!("{receiver} is not told of {alert}{}: {reason}", among(labels));
                self.say_of((at, Kind::Withheld), key, labels, text);
            }
            _ => unreachable!("only routing's events come here"),
        }
    }

    fn action(&mut self, at: Time, event: &Event) {
        match event {
            Event::ActionStarted { action, what, target } => {
                self.folds.retain(|key, _| !matches!(key, Key::Replicas(_)));
                let name = format!("{what} on {target}");
                self.say(at, Kind::Action, format!("{name} begins"));
                self.actions.insert(action.clone(), (name, at));
            }
            Event::ActionFinished { action, outcome } => {
                let known = self.actions.get(action);
                let name = known.map_or_else(|| action.to_string(), |(name, _)| name.clone());
                let took = known.map_or_else(String::new, |(_, begun)| format!(" after {}", tenths(at.since(*begun))));
                match outcome.failure() {
                    None => self.say(at, Kind::Action, format!("{name} is done{took}")),
                    Some(why) => self.say(at, Kind::Failure, format!("{name} failed{took}: {why}")),
                };
            }
            _ => unreachable!("only actions come here"),
        }
    }

    fn policy(&mut self, at: Time, event: &Event) {
        match event {
            Event::IncidentOpened { policy, incident, alert, target, labels } => {
                let target = target.as_ref().map_or_else(|| ", which names no target".to_owned(), |target| format!(" for {target}"));
                let what = format!("{alert}{target}");
                let again = self
                    .again(policy, labels)
                    .map_or_else(String::new, |before| format!(" again, since it fires though incident {before} is done"));
                self.say(at, Kind::Policy, format!("{policy} takes up {what}{again} (incident {incident})"));
                self.open.insert((policy.clone(), *incident), what);
                self.labels.insert((policy.clone(), *incident), labels.clone());
            }
            Event::Guarded { policy, incident, verdict, .. } => {
                let (passed, not_configured) = self.guards.entry((policy.clone(), *incident)).or_default();
                match verdict {
                    GuardVerdict::Passed => *passed += 1,
                    GuardVerdict::NotConfigured => *not_configured += 1,
                    // The refusal that follows says it with its figures.
                    GuardVerdict::Refused => {}
                }
            }
            // What a policy does not ask for is no part of a story.
            Event::Unguarded { .. } => {}
            Event::Decided { policy, incident, what, target, reason, .. } => {
                self.say_guards(at, policy, *incident);
                let who = self.who(policy, *incident);
                self.say(at, Kind::Decision, format!("{who}: {what} on {target}, because {}", readable(reason)));
            }
            Event::WouldAct { policy, incident, what, target, reason, .. } => {
                self.say_guards(at, policy, *incident);
                let who = self.who(policy, *incident);
                self.say(at, Kind::Decision, format!("{who} would {what} on {target}, because {}; its stage forbids it", readable(reason)));
            }
            Event::Refused { policy, incident, what, target, guard, figures, .. } => {
                self.guards.remove(&(policy.clone(), *incident));
                let what = what.as_ref().map_or_else(|| "the next step".to_owned(), ToString::to_string);
                let target = target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
                let key = Key::Refusal(policy.clone(), *incident, guard.clone());
                let who = self.who(policy, *incident);
                self.say_once(at, Kind::Refusal, key, format!("{who}: {what}{target}, by guard {guard}: {}", readable(figures)));
            }
            Event::Verified { policy, incident, step, verdict, figures, took } => {
                let word = match verdict {
                    Verification::Held => "holds",
                    Verification::Failed => "fails",
                    Verification::Inconclusive => "is inconclusive",
                };
                let figures = if figures.is_empty() { String::new() } else { format!(": {}", readable(figures)) };
                let who = self.who(policy, *incident);
                self.say(at, Kind::Verify, format!("{who}: step {} {word} after {}{figures}", step + 1, clock_span(*took)));
            }
            Event::Paged { policy, incident, to, reason, with, .. } => {
                let who = self.who(policy, *incident);
                self.say(at, Kind::Page, format!("{who} calls {to}: {}{}", readable(reason), attached(with)));
            }
            Event::IncidentClosed { policy, incident, reason } => {
                let key = (policy.clone(), *incident);
                let what = self.open.remove(&key).map_or_else(String::new, |what| format!(", {what}"));
                if let Some(labels) = self.labels.remove(&key) {
                    self.closed.insert((policy.clone(), labels), (*incident, at));
                }
                let others: Vec<String> = self.open.keys().filter(|(own, _)| own == policy).map(|(_, id)| id.to_string()).collect();
                let rest = match others.as_slice() {
                    [] => String::new(),
                    [one] => format!("; incident {one} goes on"),
                    several => format!("; incidents {} go on", several.join(", ")),
                };
                self.say(at, Kind::Policy, format!("{policy} is done with incident {incident}{what}: {}{rest}", readable(reason)));
            }
            _ => unreachable!("every other event has been told"),
        }
    }

    /// What a policy does beside acting: telling people, gathering evidence, weighing, planning and proposing.
    fn beside(&mut self, at: Time, event: &Event) {
        match event {
            Event::Informed { policy, incident, to, with, .. } => {
                let who = self.who(policy, *incident);
                self.say(at, Kind::Policy, format!("{who} tells {to} what it is about to do{}", attached(with)));
            }
            Event::Collected { policy, incident, evidence, .. } => {
                let lines: usize = evidence.iter().map(|one| one.lines.len()).sum();
                let kinds = evidence.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>().join(", ");
                let who = self.who(policy, *incident);
                self.say(at, Kind::Policy, format!("{who} writes down {kinds}: {}", counted(lines as u64, "line")));
            }
            Event::Unanswered { policy, alert, reason, .. } => {
                self.say(at, Kind::Policy, format!("{policy} does not take up {alert}: {reason}"));
            }
            Event::Planned { policy, incident, waves, .. } => {
                let wave = |wave: &Vec<Target>| wave.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
                let who = self.who(policy, *incident);
                let told = waves.iter().map(wave).collect::<Vec<_>>().join(", then ");
                self.say(at, Kind::Decision, format!("{who}: first {told}, each after those before have helped"));
            }
            Event::Proposed { policy, incident, what, target, reason, approve, consent, .. } => {
                let who = self.who(policy, *incident);
                let whom = consent.as_ref().map_or_else(
                    || "a person".to_owned(),
                    |consent| consent.from.iter().map(Name::as_str).collect::<Vec<_>>().join(" or "),
                );
                self.say(at, Kind::Decision, format!("{who} proposes {what} on {target} to {whom}: {}; `{approve}`", readable(reason)));
            }
            Event::Chosen { policy, incident, candidates, .. } => {
                let told = candidates.iter().map(|one| format!("{} on {}, {}", one.what, one.target, readable(&one.why)));
                let who = self.who(policy, *incident);
                self.say(at, Kind::Decision, format!("{who} weighs {}", told.collect::<Vec<_>>().join("; ")));
            }
            _ => unreachable!("only what a policy does beside acting comes here"),
        }
    }

    /// How sure a policy is, what people say of proposals, and what becomes of those.
    fn people(&mut self, at: Time, event: &Event) {
        match event {
            Event::Answered { policy, proposal, who, role, yes, counts, figures } => {
                let said = if *yes { "yes" } else { "no" };
                let rest = if *counts { figures.clone() } else { format!("which does not count: {figures}") };
                self.say(at, Kind::Decision, format!("{who} ({role}) says {said} to {policy}#{proposal}: {rest}"));
            }
            Event::ProposalChanged { policy, proposal, change, figures, waited, .. } => {
                let word = match change {
                    ProposalChange::Granted => "is allowed",
                    ProposalChange::Denied => "is denied",
                    ProposalChange::Expired => "has expired",
                    ProposalChange::Void => "is void",
                    ProposalChange::Withdrawn => "is withdrawn",
                };
                let after = clock_span(*waited);
                self.say(at, Kind::Decision, format!("{policy}#{proposal} {word} after {after}: {}", readable(figures)));
            }
            Event::Confident { policy, incident, what, target, value, is_measured } => {
                let how = if *is_measured { "as was measured" } else { "as it claims" };
                let who = self.who(policy, *incident);
                self.say(at, Kind::Guard, format!("{who}: {what} on {target} is right with {value}, {how}"));
            }
            _ => unreachable!("only what people say comes here"),
        }
    }

    /// The policy, and which of its incidents is meant if it has several in hand.
    fn who(&self, policy: &Name, incident: u64) -> String {
        let several = self.open.keys().filter(|(own, _)| own == policy).count() > 1;
        if several { format!("{policy}, incident {incident}") } else { policy.to_string() }
    }

    /// The incident that a policy closed of the same alert, if nobody has told it of the alert again since.
    fn again(&self, policy: &Name, labels: &LabelSet) -> Option<u64> {
        let (incident, at) = self.closed.get(&(policy.clone(), labels.clone()))?;
        self.told.get(labels).is_none_or(|told| told < at).then_some(*incident)
    }

    fn say_guards(&mut self, at: Time, policy: &Name, incident: u64) {
        let Some((passed, not_configured)) = self.guards.remove(&(policy.clone(), incident)) else { return };
        let rest = if not_configured > 0 { format!(", {not_configured} not configured") } else { String::new() };
        let who = self.who(policy, incident);
        self.say(at, Kind::Guard, format!("{who}: {passed} passed{rest}"));
    }
}

/// What a page or a message has with it.
fn attached(with: &[Name]) -> String {
    let evidence = with.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    if evidence.is_empty() { String::new() } else { format!(" (with {evidence})") }
}

const fn state_word(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Starting => "starting",
        ReplicaState::Ready => "ready",
        ReplicaState::Waiting => "down",
        ReplicaState::Draining => "draining",
        ReplicaState::Gone => "gone",
        ReplicaState::Pending => "pending",
        ReplicaState::Pulling => "pulling",
        ReplicaState::Unready => "not ready",
    }
}

fn retries_text(caller: &Name, retries: Option<u32>) -> String {
    match retries {
        Some(retries) => format!("{caller}: at most {} a request", counted(u64::from(retries), "retry")),
        None => format!("{caller}: retries are free again"),
    }
}

/// The labels that say where, without the alert's own name.
/// What became of the primary of a database.
fn primary_text(service: &str, replica: Option<&str>, state: &str, figures: &str) -> String {
    let replica = replica.unwrap_or("nobody");
    let what = match state {
        "lost" => format!("its primary {replica} is lost"),
        "back" => format!("its primary {replica} is back"),
        "waiting" => "it has no primary".to_owned(),
        "promoting" => format!("{replica} is to be its primary"),
        "promoted" => format!("{replica} is its primary"),
        _ => format!("its primary {replica} is reached"),
    };
    format!("{service}: {what}: {figures}")
}

fn among(labels: &LabelSet) -> String {
    let shown: Vec<String> =
        labels.iter().filter(|(name, _)| name.as_str() != "alertname").map(|(name, value)| format!("{name}={value}")).collect();
    if shown.is_empty() { String::new() } else { format!(" {{{}}}", shown.join(", ")) }
}

/// The labels in which alerts differ, with all their values: `; pod api-0, api-1`. A few values are enough to know where to look.
fn told_apart(all: &[LabelSet]) -> String {
    const SHOWN: usize = 6;
    let names: BTreeSet<&Name> = all.iter().flat_map(|labels| labels.keys()).collect();
    let mut text = String::new();
    for name in names {
        let values: BTreeSet<&str> = all.iter().map(|labels| labels.get(name).map_or("none", |value| value.as_str())).collect();
        if values.len() < 2 {
            continue;
        }
        let more = if values.len() > SHOWN { format!(" and {} more", values.len() - SHOWN) } else { String::new() };
        text += &format!("; {name} {}{more}", values.into_iter().take(SHOWN).collect::<Vec<_>>().join(", "));
    }
    text
}

/// How the alerts of a message stand: `2 × Down firing, Slow over`.
fn standing(firing: &[LabelSet], resolved: &[LabelSet]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (alerts, word) in [(firing, "firing"), (resolved, "over")] {
        for labels in alerts {
            let name = labels.get("alertname").map_or("an alert", |name| name.as_str());
            *counts.entry((word, name)).or_default() += 1;
        }
    }
    let told = counts.into_iter().map(|((word, name), count)| match count {
        1 => format!("{name} {word}"),
        count => format!("{count} × {name} {word}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn tenths(span: Span) -> String {
    Span::from_millis(span.as_millis() / 100 * 100).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample};
    use firedrill_core::action::Action;

    #[test]
    fn a_run_is_told_from_fault_to_recovery() {
        insta::assert_snapshot!(tell(&sample::story()).plain(100));
    }

    #[test]
    fn a_narrow_terminal_wraps_under_the_text() {
        insta::assert_snapshot!(tell(&sample::story()).plain(60));
    }

    #[test]
    fn forty_changes_of_replicas_are_one_line() {
        let changed = |at, index: u32, state| {
            (at, Event::ReplicaChanged { replica: Name::from(format!("api-{index}")), state, reason: "killed".into() })
        };
        let downs = (0..20).map(|index| changed(100, index, ReplicaState::Waiting));
        let ups = (0..20).map(|index| changed(110, index, ReplicaState::Ready));
        let run = downs.chain(ups).fold(Sample::new(300), |run, (at, event)| run.record(at, event));
        let lines = tell(&run.build()).lines;
        let world: Vec<_> = lines.iter().filter(|line| line.kind == Kind::World).map(|line| line.text.as_str()).collect();
        assert_eq!(world, ["api: 20 replicas down, ready (killed), until 1m50s"]);
    }

    #[test]
    fn refusals_by_one_guard_are_one_line_with_their_number() {
        let lines = tell(&Sample::new(300).fault("api", 60, 200).refuse(100).refuse(130).refuse(160).build()).lines;
        let refused: Vec<_> = lines.iter().filter(|line| line.kind == Kind::Refusal).map(|line| line.text.as_str()).collect();
        assert_eq!(refused, ["sample: purge_queue on service/api, by guard cooldown: 1m left of 10m (3 times, until 2m40s)"]);
    }

    #[test]
    fn alerts_about_several_things_are_told_apart_where_they_are_folded() {
        let fires = |pod: &str| {
            let labels = [("zone", "a"), ("pod", pod)].map(|(name, value)| (Name::new(name), Name::new(value)));
            Event::AlertFiring { alert: Name::new("Down"), labels: LabelSet::from(labels), value: 1.0 }
        };
        let run = ["api-0", "api-1", "api-0"].iter().fold(Sample::new(300), |run, pod| run.record(100, fires(pod)));
        let told: Vec<_> = tell(&run.build()).lines.into_iter().filter(|line| line.kind == Kind::Alert).map(|line| line.text).collect();
        assert_eq!(told, ["Down fires {pod=api-0, zone=a}, value 1 (3 times; pod api-0, api-1)"]);
        let run = ["api-0", "api-0"].iter().fold(Sample::new(300), |run, pod| run.record(100, fires(pod)));
        let told: Vec<_> = tell(&run.build()).lines.into_iter().filter(|line| line.kind == Kind::Alert).map(|line| line.text).collect();
        assert_eq!(told, ["Down fires {pod=api-0, zone=a}, value 1 (2 times)"]);
    }

    #[test]
    fn what_comes_of_a_second_incident_is_told_since_its_own_onset() {
        let run = Sample::new(900).fault("api", 60, 65).fault("web", 600, 700).fire(600 + 116, "Slow").build();
        let story = tell(&run);
        let since: Vec<_> = [30, 90, 599, 716].map(|at| story.since_fault(Time::from_seconds(at))).into();
        assert_eq!(since, ["-30s", "+30s", "+8m59s", "+1m56s"]);
    }

    fn policy_lines(run: Sample) -> Vec<String> {
        let lines = tell(&run.build()).lines.into_iter();
        lines.filter(|line| matches!(line.kind, Kind::Policy | Kind::Refusal | Kind::Verify)).map(|line| line.text).collect()
    }

    fn opened(incident: u64, pod: &str) -> Event {
        let (policy, alert) = (Name::new("sample"), Name::new("Down"));
        let labels = LabelSet::from([(Name::new("pod"), Name::new(pod))]);
        let target = Some(firedrill_core::action::Target::Replica(Name::new(pod)));
        Event::IncidentOpened { policy, incident, alert, target, labels }
    }

    fn closed(incident: u64, reason: &str) -> Event {
        Event::IncidentClosed { policy: Name::new("sample"), incident, reason: reason.into() }
    }

    #[test]
    fn what_a_policy_drops_while_it_works_on_something_else_is_told_apart() {
        let run = Sample::new(300).record(100, opened(0, "api-0")).record(110, opened(1, "api-1"));
        let run =
            run.record(120, closed(1, "the alert is over before anything was done")).record(130, closed(0, "the remediation is verified"));
        let expected = [
            "sample takes up Down for replica/api-0 (incident 0)",
            "sample takes up Down for replica/api-1 (incident 1)",
            "sample is done with incident 1, Down for replica/api-1: the alert is over before anything was done; incident 0 goes on",
            "sample is done with incident 0, Down for replica/api-0: the remediation is verified",
        ];
        assert_eq!(policy_lines(run), expected);
    }

    #[test]
    fn an_alert_that_is_taken_up_again_says_why() {
        let run = Sample::new(600)
            .notify(90, "pod", "api-0")
            .record(90, opened(0, "api-0"))
            .record(130, closed(0, "the remediation is verified"));
        let still = policy_lines(run.record(190, opened(1, "api-0")));
        assert_eq!(still[2], "sample takes up Down for replica/api-0 again, since it fires though incident 0 is done (incident 1)");
        let run = Sample::new(600)
            .notify(90, "pod", "api-0")
            .record(90, opened(0, "api-0"))
            .record(130, closed(0, "the remediation is verified"));
        let anew = policy_lines(run.notify(190, "pod", "api-0").record(190, opened(1, "api-0")));
        assert_eq!(anew[2], "sample takes up Down for replica/api-0 (incident 1)", "it was told of it again");
    }

    #[test]
    fn figures_are_cut_to_what_people_read() {
        let (policy, verdict, took) = (Name::new("sample"), Verification::Held, Span::from_seconds(15));
        let figures = "errors{service=\"api\"} 0.00024055809477988935 < 0.05".into();
        let run = Sample::new(300).record(100, Event::Verified { policy, incident: 0, step: 0, verdict, figures, took });
        assert_eq!(policy_lines(run), ["sample: step 1 holds after 15s: errors{service=\"api\"} 0.0002406 < 0.05"]);
    }

    #[test]
    fn users_who_fall_ill_again_are_told_each_time() {
        let run = Sample::new(900).fault("api", 60, 500).bad(100, 120, 50).bad(300, 320, 100).build();
        let lines = tell(&run).lines;
        let told: Vec<_> =
            lines.iter().filter(|line| matches!(line.kind, Kind::Users | Kind::Recovery)).map(|line| line.text.as_str()).collect();
        let expected = [
            "users feel it: 50 % of requests bad within 10 s, 50 % at worst",
            "users are well, but not to stay",
            "users are unwell again: 100 % of requests bad within 10 s, 100 % at worst",
            "users are well again, 4m20s after the fault",
            "recovered: everything is as declared, 7m20s after the fault",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_kind_is_painted_and_nothing_else() {
        let timeline = tell(&Sample::new(120).act(60, Action::PurgeQueue, "service/api").build());
        let painted = timeline.render(100, |kind, text| if kind == Kind::Action { text.to_uppercase() } else { text.to_owned() });
        assert_eq!(painted.to_lowercase(), timeline.plain(100).to_lowercase());
        assert!(painted.contains("  ACTION    purge_queue on service/api begins"), "{painted}");
    }
}
