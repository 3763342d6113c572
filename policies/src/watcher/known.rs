//! The alerts that a watcher has been told of, and what of a message is news.
//!
//! Alertmanager repeats what it has told, several of one cluster may tell the same, and what is delivered again after a failure can overtake what came
//! later. An alert has episodes, told apart by when they began; two Prometheus servers can give one episode two beginnings.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Evidence, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::controller::Wanted;
use crate::correlation::service_named;
use crate::guard::service_of;

/// At most so many alerts are remembered, firing or lately over.
pub const MOST_ALERTS: usize = 100_000;

/// For so long after an alert was over what says that the same episode fires is taken for a message that was overtaken; later it is believed.
pub const LATE: Span = Span::from_minutes(5);

/// An alert as a message tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerted {
    /// The alert.
    pub notification: Notification,
    /// When it ended; `None` while it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    /// What tells the group of its message from others; `None`: the message says nothing of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
}

/// What a message holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What is news, in the order of the message.
    pub alerts: Vec<Alerted>,
    /// How many alerts were told before.
    pub repeated: usize,
    /// How many tell of an episode that is over.
    pub late: usize,
}

/// Alerts by receiver and labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    alerts: BTreeMap<Key, Episode>,
    /// Those that are over, by when they can be forgotten.
    over: BTreeSet<(Time, Key)>,
}

type Key = (Option<Name>, LabelSet);

/// What was last told of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    /// The notification that told it.
    notification: Notification,
    /// When it ended, if it is over.
    ends_at: Option<Time>,
    /// When that was told.
    told_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    News,
    Repeated,
    Late,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether an alert is remembered, firing or lately over.
    pub(super) fn holds(&self, alerted: &Alerted) -> bool {
        self.alerts.contains_key(&key(&alerted.notification))
    }

    /// When the next alert can be forgotten; `None`: all that are remembered fire.
    pub(super) fn next_forgotten(&self) -> Option<Time> {
        self.over.first().map(|(at, _)| *at)
    }

    /// What of a message is news. One that lists an alert twice is judged by the first.
    pub(super) fn news(&self, at: Time, alerts: Vec<Alerted>) -> News {
        let mut news = News::default();
        let mut seen = BTreeSet::new();
        for alerted in alerts {
            match self.freshness(at, &alerted) {
                Freshness::News if seen.insert(key(&alerted.notification)) => news.alerts.push(alerted),
                Freshness::News | Freshness::Repeated => news.repeated += 1,
                Freshness::Late => news.late += 1,
            }
        }
        news
    }

    fn freshness(&self, at: Time, Alerted { notification, ends_at, .. }: &Alerted) -> Freshness {
        let Some(before) = self.alerts.get(&key(notification)) else { return Freshness::News };
        let began = notification.starts_at;
        match (before.notification.status, notification.status) {
            (AlertStatus::Firing, AlertStatus::Firing) if began > before.notification.starts_at => Freshness::News,
            (AlertStatus::Firing, AlertStatus::Firing) => Freshness::Repeated,
            // Whatever beginning is told: what ended before this episode began was another one.
            (AlertStatus::Firing, AlertStatus::Resolved) if ends_at.unwrap_or(at) < before.notification.starts_at => Freshness::Late,
            (AlertStatus::Firing, AlertStatus::Resolved) => Freshness::News,
            (AlertStatus::Resolved, AlertStatus::Resolved) if began > before.notification.starts_at => Freshness::News,
            (AlertStatus::Resolved, AlertStatus::Resolved) => Freshness::Repeated,
            (AlertStatus::Resolved, AlertStatus::Firing) if began > before.ends_at.unwrap_or(before.told_at) => Freshness::News,
            (AlertStatus::Resolved, AlertStatus::Firing) if at.since(before.told_at) < LATE => Freshness::Late,
            (AlertStatus::Resolved, AlertStatus::Firing) => Freshness::News,
        }
    }

    /// Takes news in; gives what policies are told. That something is over of which nobody was told that it fires is remembered, and not told.
    pub(super) fn learn(&mut self, now: Time, alerted: &Alerted) -> Option<Notification> {
        if self.freshness(now, alerted) != Freshness::News {
            return None;
        }
        let Alerted { notification, ends_at, .. } = alerted;
        let key = key(notification);
        let (is_over, ends_at) = (notification.status == AlertStatus::Resolved, *ends_at);
        let episode = Episode { notification: notification.clone(), ends_at: ends_at.filter(|_| is_over), told_at: now };
        let before = self.alerts.insert(key.clone(), episode);
        if let Some(before) = before.as_ref().filter(|before| before.notification.status == AlertStatus::Resolved) {
            self.over.remove(&(before.told_at.saturating_add(LATE), key.clone()));
        }
        if is_over {
            self.over.insert((now.saturating_add(LATE), key));
        }
        let fired = before.is_some_and(|before| before.notification.status == AlertStatus::Firing);
        (!is_over || fired).then(|| notification.clone())
    }

    /// Forgets what has been over for long; gives the labels that no receiver is told of any more.
    pub(super) fn forget(&mut self, now: Time) -> Vec<LabelSet> {
        let mut forgotten = Vec::new();
        while let Some((_, key)) = self.over.first().filter(|(at, _)| *at <= now).cloned() {
            self.over.pop_first();
            self.alerts.remove(&key);
            forgotten.push(key.1);
        }
        forgotten
    }

    /// What fires.
    pub(super) fn firing(&self) -> impl Iterator<Item = &Notification> {
        self.alerts.values().map(|episode| &episode.notification).filter(|notification| notification.status == AlertStatus::Firing)
    }

    /// The alerts that fire on what evidence is wanted of, on what calls it and on what it calls; all if that cannot be told.
    pub(super) fn near(&self, wanted: &Wanted, inventory: &Inventory) -> Evidence {
        let of_target = || wanted.target.as_ref().and_then(|target| service_of(target, inventory));
        let service = of_target().or_else(|| service_named(&wanted.labels, inventory));
        let calls = |caller: &Name, service: &Name| inventory.services.get(caller).is_some_and(|entry| entry.calls.contains(service));
        let is_near = |labels: &LabelSet| match (&service, service_named(labels, inventory)) {
            (Some(own), Some(other)) => *own == other || calls(own, &other) || calls(&other, own),
            _ => true,
        };
        let lines: BTreeSet<String> = self.firing().filter(|alert| is_near(&alert.labels)).map(line).collect();
        Evidence { kind: Name::new("alerts"), lines: lines.into_iter().collect(), note: String::new() }
    }

    pub(super) fn saved(&self) -> Vec<Episode> {
        self.alerts.values().cloned().collect()
    }

    pub(super) fn restored(episodes: Vec<Episode>) -> Self {
        let mut known = Self::default();
        for episode in episodes {
            let key = key(&episode.notification);
            if episode.notification.status == AlertStatus::Resolved {
                known.over.insert((episode.told_at.saturating_add(LATE), key.clone()));
            }
            known.alerts.insert(key, episode);
        }
        known
    }
}

fn key(notification: &Notification) -> Key {
    (notification.receiver.clone(), notification.labels.clone())
}

fn line(alert: &Notification) -> String {
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| name.as_str() != "alertname")
        .map(|(name, value)| format!("{name}={:?}", value.as_str()))
        .collect();
    format!("{}{{{}}}", alert.alert, labels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(firing: bool, began: u64, ended: Option<u64>) -> Alerted {
        let labels = LabelSet::from([(Name::new("alertname"), Name::new("Down"))]);
        let status = if firing { AlertStatus::Firing } else { AlertStatus::Resolved };
        let notification = Notification { alert: Name::new("Down"), status, labels, starts_at: Time::from_seconds(began), receiver: None };
        Alerted { notification, ends_at: ended.map(Time::from_seconds), group: None }
    }

    /// Takes messages in at their seconds; what policies are told of each: `+` fires, `-` is over, `.` nothing.
    #[track_caller]
    fn check(messages: &[(u64, Alerted)], expected: &str) {
        let mut known = Known::default();
        let told = messages.iter().map(|(second, alerted)| {
            let now = Time::from_seconds(*second);
            let news = known.news(now, vec![alerted.clone()]);
            match news.alerts.first().and_then(|alerted| known.learn(now, alerted)).map(|told| told.status) {
                Some(AlertStatus::Firing) => '+',
                Some(AlertStatus::Resolved) => '-',
                None => '.',
            }
        });
        assert_eq!(told.collect::<String>(), expected);
    }

    #[test]
    fn what_is_repeated_is_told_once() {
        check(
            &[(10, alert(true, 5, None)), (20, alert(true, 5, None)), (30, alert(false, 5, Some(29))), (40, alert(false, 5, Some(29)))],
            "+.-.",
        );
    }

    #[test]
    fn another_episode_is_news_even_if_nobody_told_of_the_end_of_the_first() {
        check(
            &[(10, alert(true, 5, None)), (90, alert(true, 80, None)), (95, alert(false, 5, Some(60))), (99, alert(false, 80, Some(98)))],
            "++.-",
        );
    }

    #[test]
    fn what_was_overtaken_changes_nothing_until_it_is_told_again_much_later() {
        let late = LATE.as_seconds() as u64;
        check(&[(30, alert(false, 5, Some(29))), (31, alert(true, 5, None)), (31 + late, alert(true, 5, None))], "..+");
        check(
            &[(10, alert(true, 5, None)), (30, alert(false, 5, Some(29))), (31, alert(true, 5, None)), (32, alert(true, 31, None))],
            "+-.+",
        );
    }

    #[test]
    fn two_servers_that_tell_of_one_episode_with_two_beginnings_are_one() {
        check(&[(10, alert(true, 8, None)), (11, alert(true, 5, None)), (30, alert(false, 5, Some(29)))], "+.-");
    }

    #[test]
    fn what_is_over_is_forgotten_and_what_fires_never() {
        let mut known = Known::default();
        known.learn(Time::from_seconds(10), &alert(true, 5, None));
        assert!(known.forget(Time::MAX).is_empty());
        known.learn(Time::from_seconds(20), &alert(false, 5, Some(19)));
        assert!(known.forget(Time::from_seconds(20)).is_empty());
        assert_eq!(known.forget(Time::from_seconds(20) + LATE).len(), 1);
        assert_eq!(known.len(), 0);
    }

    #[test]
    fn an_alert_that_a_message_lists_twice_counts_once() {
        let news = Known::default().news(Time::from_seconds(9), vec![alert(true, 5, None), alert(true, 5, None)]);
        assert_eq!((news.alerts.len(), news.repeated, news.late), (1, 1, 0));
    }

    proptest::proptest! {
        /// Whatever comes in whatever order, and however often: the end follows the beginning, and neither comes twice in a row.
        #[test]
        fn policies_hear_beginnings_and_ends_in_turn(messages in proptest::collection::vec((0_u64..2, 0_u64..4, 0_u64..400), 1..60)) {
            let mut known = Known::default();
            let (mut now, mut fires, mut began) = (1_000, false, None);
            for (firing, episode, gap) in messages {
                now += gap;
                let starts = 1_000 * episode;
                let alerted = alert(firing == 1, starts, (firing == 0).then_some(starts + 500));
                let at = Time::from_seconds(now);
                for alerted in known.news(at, vec![alerted]).alerts {
                    let Some(told) = known.learn(at, &alerted) else { continue };
                    match told.status {
                        AlertStatus::Firing => proptest::prop_assert!(!fires || Some(told.starts_at) > began),
                        AlertStatus::Resolved => proptest::prop_assert!(fires),
                    }
                    (fires, began) = (told.status == AlertStatus::Firing, Some(told.starts_at));
                    proptest::prop_assert!(known.news(at, vec![alerted]).alerts.is_empty(), "what was taken in is no news");
                }
            }
        }
    }
}
