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
use super::silence::Silence;
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

    /// Sets a silence, or replaces the one of its name.
    pub fn silence(&mut self, now: Time, silence: Silence) {
        self.alertmanager.set_silence(now, silence);
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
    let mut alike: BTreeMap<(&Name, &Name, Reason), Vec<&Message>> = BTreeMap::new();
    for message in messages {
        alike.entry((&message.receiver, &message.group_key, message.reason)).or_default().push(message);
    }
    for message in messages {
        let others = &alike[&(&message.receiver, &message.group_key, message.reason)];
        let same = others.iter().filter(|other| other.alerts == message.alerts);
        if !same.clone().next().is_some_and(|first| std::ptr::eq(*first, message)) {
            continue;
        }
        let by = same.filter(|other| *other.integration.0 != *EAR).map(|other| integration(other)).collect();
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

#[cfg(test)]
mod tests {
    use super::super::document::read_config;
    use super::*;
    use firedrill_core::journal::Journal;

    const CONFIG: &str = "
route:
  receiver: people
  group_by: [team]
  group_wait: 10s
  group_interval: 30s
  repeat_interval: 100s
  routes:
  - { receiver: robots, matchers: [name=x], group_wait: 20s, continue: true }
  - { receiver: people }
receivers: [{ name: people, slack_configs: [{ api_url: 'http://s', channel: c }] }, { name: robots }]
inhibit_rules: [{ source_matchers: [name=y], target_matchers: [name=x] }]
";

    struct Bench {
        hearing: Hearing,
        journal: Journal,
    }

    impl Bench {
        fn new() -> Self {
            let config = Arc::new(read_config("a.yml", CONFIG).unwrap());
            Self { hearing: Hearing::new(Some(&config), Start::default()), journal: Journal::new() }
        }

        /// Posts an alert as Prometheus does, over from `ended` on.
        fn post(&mut self, at: u64, name: &str, since: u64, ended: Option<u64>) {
            let (now, mut commands) = (Time::from_seconds(at), Vec::new());
            let labels = [(Name::new("alertname"), Name::new("A")), (Name::new("name"), Name::new(name))].into();
            let ends_at = Some(Time::from_seconds(ended.unwrap_or(at + 240)));
            let post = PostedAlert { labels, starts_at: Some(Time::from_seconds(since)), ends_at, ..PostedAlert::default() };
            assert_eq!(self.hearing.post(now, vec![post], &mut Desk { journal: &mut self.journal, commands: &mut commands }), []);
        }

        /// Lets time pass; what policies heard.
        fn pass(&mut self, until: u64) -> Vec<String> {
            let (mut told, mut commands) = (Vec::new(), Vec::new());
            while let Some(due) = self.hearing.due().filter(|due| *due <= Time::from_seconds(until)) {
                let mut desk = Desk { journal: &mut self.journal, commands: &mut commands };
                for Heard { notification, is_repeat } in self.hearing.advance(due, &mut desk) {
                    let (receiver, name) = (notification.receiver.unwrap(), &notification.labels["name"]);
                    let again = if is_repeat { " again" } else { "" };
                    told.push(format!("{} {receiver} {name} {:?}{again}", due.as_seconds(), notification.status));
                }
            }
            told
        }

        fn withheld(&self) -> Vec<String> {
            let told = |at: Time, event: &Event| match event {
                Event::Withheld { labels, receiver, reason, .. } => {
                    Some(format!("{} {receiver} {}: {reason}", at.as_seconds(), labels["name"]))
                }
                _ => None,
            };
            self.journal.records().iter().filter_map(|record| told(record.at, &record.event)).collect()
        }
    }

    #[test]
    fn of_a_message_only_what_has_changed_is_heard_and_all_of_it_when_it_is_a_repeat() {
        let mut bench = Bench::new();
        bench.post(0, "z", 0, None);
        assert_eq!(bench.pass(39), ["10 people z Firing"]);
        bench.post(39, "w", 39, None);
        assert_eq!(bench.pass(130), ["40 people w Firing"], "the message lists both");
        bench.post(130, "z", 0, None);
        bench.post(130, "w", 39, None);
        assert_eq!(bench.pass(165), ["160 people w Firing again", "160 people z Firing again"]);
        bench.post(165, "z", 0, Some(165));
        assert_eq!(bench.pass(195), ["190 people z Resolved"]);
        bench.post(200, "z", 0, Some(165));
        bench.post(200, "w", 39, None);
        assert_eq!(bench.pass(285), [""; 0], "what Prometheus posts again is no news");
        assert_eq!(bench.withheld(), [""; 0]);
    }

    #[test]
    fn each_receiver_is_told_by_itself_and_the_journal_says_by_what() {
        let mut bench = Bench::new();
        bench.post(0, "x", 0, None);
        assert_eq!(bench.pass(60), ["10 people x Firing", "20 robots x Firing"]);
        let messages = bench.journal.records().iter().filter_map(|record| match &record.event {
            Event::Messaged { receiver, by, group, .. } => Some(format!("{receiver} {by:?} {group}")),
            _ => None,
        });
        let expected = [r#"people ["slack"] {}/{}:{}"#, r#"robots [] {}/{name="x"}:{}"#];
        assert_eq!(messages.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_kept_back_is_written_down_once_with_its_reason() {
        let mut bench = Bench::new();
        bench.post(0, "y", 0, None);
        bench.post(0, "x", 0, None);
        assert_eq!(bench.pass(120), ["10 people y Firing"]);
        let by = r#"inhibited by {alertname="A", name="y"}"#;
        assert_eq!(bench.withheld(), [format!("10 people x: {by}"), format!("20 robots x: {by}")]);
        bench.post(121, "x", 0, Some(121));
        bench.pass(200);
        let over = "over before a message was due";
        assert_eq!(bench.withheld()[2..], [format!("130 people x: {over}, and {by}"), format!("140 robots x: {over}, and {by}")]);
    }
}
