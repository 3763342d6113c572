//! How automation hears an Alertmanager: alerts go in, what happens to them is written down, and notifications come out.
//!
//! Without a configuration every alert is handed on at once and by itself, and the journal holds nothing but that. With one, firedrill is one
//! more webhook at every receiver, and the journal tells where each alert goes, who is sent which message, and who is told nothing and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::labels::Labels;

use super::alert::{AlertError, PostedAlert};
use super::config::{Config, EAR};
use super::log::Reason;
use super::machine::{Alertmanager, Member, Message};
use super::note::{Note, NoteKind};
use crate::rules::SentAlert;

/// An Alertmanager with firedrill's ear at its receivers.
#[derive(Clone, Debug)]
pub struct Hearing {
    alertmanager: Alertmanager,
    start: Start,
    is_given: bool,
    /// What each receiver was last told of an alert: on or over, and since when it was active.
    told: BTreeMap<(Name, LabelSet), (AlertStatus, Time)>,
    /// What was last written down of an alert that a receiver was not told of.
    withheld: BTreeMap<(Name, LabelSet), (Time, String)>,
}

/// A notification as it comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What is told.
    pub notification: Notification,
    /// Whether the receiver was told the same before, and the repeat interval has passed.
    pub is_repeat: bool,
}

impl Hearing {
    /// At the start of a run; `None`: [`Config::one_by_one`].
    #[must_use]
    pub fn new(config: Option<&Arc<Config>>, start: Start) -> Self {
        let alertmanager = match config {
            Some(config) => Alertmanager::new(Arc::new(Config::clone(config).with_ears()), start).with_notes(),
            None => Alertmanager::new(Config::one_by_one(), start),
        };
        Self { alertmanager, start, is_given: config.is_some(), told: BTreeMap::new(), withheld: BTreeMap::new() }
    }

    /// Takes in what a ruler's evaluation at `now` changed and what it sent. With a configuration what is sent counts, as Prometheus sends it
    /// again and again; without one nothing is lost between the two, so the changes alone do.
    pub fn take_in(&mut self, now: Time, changes: Vec<Notification>, sent: &[SentAlert], desk: &mut Desk<'_>) {
        if !self.is_given {
            let refused = self.alertmanager.ingest(now, changes.into_iter().map(|change| changed(change, now)));
            debug_assert!(refused.is_empty(), "a rule's alert has a name: {refused:?}");
            return;
        }
        let posted: Vec<PostedAlert> = sent.iter().map(|alert| posted(alert, self.start)).collect();
        let refused = self.post(now, posted, desk);
        debug_assert!(refused.is_empty(), "a rule's alert has a name and ends after it starts: {refused:?}");
    }

    /// Takes in what somebody posts; gives what is refused.
    pub fn post(&mut self, now: Time, posted: Vec<PostedAlert>, desk: &mut Desk<'_>) -> Vec<AlertError> {
        let refused = self.alertmanager.ingest(now, posted);
        self.write_notes(now, desk);
        refused
    }

    /// When it must be advanced next.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        self.alertmanager.due()
    }

    /// Does what is due until `now`; gives what policies can hear.
    pub fn advance(&mut self, now: Time, desk: &mut Desk<'_>) -> Vec<Heard> {
        let messages = self.alertmanager.advance(now);
        self.write_notes(now, desk);
        if self.is_given {
            write_messages(now, &messages, desk);
        }
        let mut heard = Vec::new();
        for message in messages.iter().filter(|message| *message.integration.0 == *EAR) {
            for member in &message.alerts {
                heard.extend(self.hear(message, member));
            }
        }
        for Heard { notification, .. } in &heard {
            desk.write(now, Event::Notified { notification: notification.clone() });
        }
        heard
    }

    /// A message lists every alert of its group; of these only what has changed is news, and all of it when it is a repeat.
    fn hear(&mut self, message: &Message, member: &Member) -> Option<Heard> {
        let status = if member.ended_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
        let key = (message.receiver.clone(), member.labels.clone());
        let before = self.told.get(&key);
        let is_repeat = before == Some(&(status, member.starts_at));
        let is_news = match (status, before) {
            (AlertStatus::Firing, Some((AlertStatus::Firing, since))) => *since < member.starts_at || message.reason == Reason::Repeat,
            (AlertStatus::Firing, _) => true,
            (AlertStatus::Resolved, before) => before.is_some_and(|(status, _)| *status == AlertStatus::Firing),
        };
        if !is_news {
            return None;
        }
        self.withheld.remove(&key);
        self.told.insert(key, (status, member.starts_at));
        let receiver = self.is_given.then(|| message.receiver.clone());
        let alert = alert_name(&member.labels);
        let notification = Notification { alert, status, labels: member.labels.clone(), starts_at: member.starts_at, receiver };
        Some(Heard { notification, is_repeat })
    }

    fn write_notes(&mut self, now: Time, desk: &mut Desk<'_>) {
        for note in self.alertmanager.take_notes() {
            let Note { receiver, group_key, labels, starts_at, kind } = note;
            let (alert, group) = (alert_name(&labels), group_key);
            match kind {
                NoteKind::Routed { look, is_first } => {
                    desk.write(now, Event::Routed { alert, labels, receiver, group, look, is_first });
                }
                NoteKind::Withheld(why) => {
                    let (key, reason) = ((receiver.clone(), labels.clone()), (starts_at, why.to_string()));
                    // What is over and was told so is posted again for a while, and each look at it finds the same reason.
                    let was_told =
                        self.told.get(&key).is_some_and(|(status, since)| *status == AlertStatus::Resolved && starts_at <= *since);
                    if !was_told && self.withheld.get(&key) != Some(&reason) {
                        let text = reason.1.clone();
                        self.withheld.insert(key, reason);
                        desk.write(now, Event::Withheld { alert, labels, receiver, group, reason: text });
                    }
                }
            }
        }
    }
}

/// What Prometheus posts, with its times counted from the start.
#[must_use]
pub fn posted(sent: &SentAlert, start: Start) -> PostedAlert {
    let at = |ms: i64| start.time_of(ms).unwrap_or(Time::ZERO);
    let (starts_at, ends_at) = (Some(at(sent.starts_ms)), Some(at(sent.ends_ms)));
    PostedAlert { labels: label_set(&sent.labels), starts_at, ends_at, ..PostedAlert::default() }
}

fn changed(change: Notification, now: Time) -> PostedAlert {
    let ends_at = match change.status {
        AlertStatus::Firing => Time::MAX,
        AlertStatus::Resolved => now,
    };
    PostedAlert { labels: change.labels, starts_at: Some(change.starts_at), ends_at: Some(ends_at), ..PostedAlert::default() }
}

/// Writes down who is sent what; integrations of one receiver that are sent the same share a record.
fn write_messages(now: Time, messages: &[Message], desk: &mut Desk<'_>) {
    let same = |one: &Message, other: &Message| {
        (&one.receiver, &one.group_key, one.reason) == (&other.receiver, &other.group_key, other.reason) && one.alerts == other.alerts
    };
    for (index, message) in messages.iter().enumerate() {
        if messages[..index].iter().any(|earlier| same(earlier, message)) {
            continue;
        }
        let by = messages.iter().filter(|other| same(message, other) && *other.integration.0 != *EAR).map(integration).collect();
        let set = |over: bool| {
            let members = message.alerts.iter().filter(move |member| member.ended_at.is_some() == over);
            members.map(|member| member.labels.clone()).collect()
        };
        let (receiver, group, reason) = (message.receiver.clone(), message.group_key.clone(), Name::new(message.reason.words()));
        desk.write(now, Event::Messaged { receiver, by, group, reason, firing: set(false), resolved: set(true) });
    }
}

/// The kind of an integration, and which of its kind if it is not the first.
fn integration(message: &Message) -> Name {
    let (kind, index) = &message.integration;
    if *index == 0 { kind.clone() } else { Name::from(format!("{kind}[{index}]")) }
}

fn alert_name(labels: &LabelSet) -> Name {
    labels.get("alertname").cloned().unwrap_or_else(|| Name::new(""))
}

fn label_set(labels: &Labels) -> LabelSet {
    labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}
