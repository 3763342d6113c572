//! What a watcher was told and no policy took up: alerts that nobody answers are heard as well.

use std::collections::BTreeSet;

use firedrill_core::journal::{AlertStatus, Event, LabelSet, Record};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use firedrill_policies::watcher::Observation;

use super::told::{Kind, Told};
use crate::promotion::heard::Heard;

/// The episodes of alerts that a watcher was told of and that stand in none of these sources of the ledger; `None`: there are none.
#[must_use]
pub fn of_watch(heard: &Heard, taken_up: &[Told]) -> Option<Told> {
    let records = taken_up.iter().flat_map(|told| &told.records);
    let known: BTreeSet<(&Name, &LabelSet)> = records
        .filter_map(|record| match &record.event {
            Event::IncidentOpened { alert, labels, .. } => Some((alert, labels)),
            _ => None,
        })
        .collect();
    let mut episodes: BTreeSet<(LabelSet, Time)> = BTreeSet::new();
    let mut events: Vec<(Time, Event)> = Vec::new();
    let mut is_rehearsed = true;
    for observed in &heard.observed {
        let Observation::Told { alerts } = &observed.what else { continue };
        for alerted in alerts {
            let own = &alerted.notification;
            if known.contains(&(&own.alert, &own.labels)) {
                continue;
            }
            let (alert, labels) = (own.alert.clone(), own.labels.clone());
            is_rehearsed &= heard.is_rehearsed_at(observed.at);
            // Each receiver is told of it.
            let is_news = episodes.insert((labels.clone(), own.starts_at));
            match own.status {
                AlertStatus::Firing if is_news => events.push((own.starts_at, Event::AlertFiring { alert, labels, value: 1.0 })),
                AlertStatus::Resolved if !is_news => {
                    events.push((alerted.ends_at.unwrap_or(observed.at), Event::AlertResolved { alert, labels }));
                }
                AlertStatus::Firing | AlertStatus::Resolved => {}
            }
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let records: Vec<Record> =
        events.into_iter().enumerate().map(|(number, (at, event))| Record { number: number as u64, at, event }).collect();
    let told = Told::new("what else the watcher was told".to_owned(), Kind::Live, heard.start, records);
    (!told.records.is_empty()).then_some(Told { is_rehearsed, ..told })
}

#[cfg(test)]
mod tests {
    use firedrill_core::inventory::Inventory;
    use firedrill_core::journal::Notification;
    use firedrill_core::time::Start;
    use firedrill_policies::watcher::{Alerted, Observed};

    use super::super::told::tests::{Script, script};
    use super::*;
    use crate::learning::together;
    use crate::ledger::Chain;

    fn told(second: u64, (name, began, receiver): (&str, u64, &str), ended: Option<u64>) -> Observed {
        let labels: LabelSet = [(Name::new("alertname"), Name::new(name)), (Name::new("pod"), Name::new("api-1"))].into();
        let status = if ended.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
        let (starts_at, receiver) = (Time::from_seconds(began), Some(Name::new(receiver)));
        let notification = Notification { alert: Name::new(name), status, labels, starts_at, receiver };
        let alerted = Alerted { notification, ends_at: ended.map(Time::from_seconds), group: None };
        Observed { at: Time::from_seconds(second), what: Observation::Told { alerts: vec![alerted] } }
    }

    #[test]
    fn alerts_that_no_policy_took_up_are_told_once_an_episode() {
        let observed = vec![
            told(60, ("DiskFull", 60, "one"), None),
            told(61, ("DiskFull", 60, "other"), None),
            told(660, ("DiskFull", 60, "one"), Some(660)),
            told(1_000, ("DiskFull", 1_000, "one"), None),
            told(1_300, ("DiskFull", 1_000, "one"), Some(1_300)),
        ];
        let empty = Chain::of_bytes(&Name::new("watch"), "", b"");
        let heard = Heard::of((Start::from_unix_millis(0), observed, Inventory::default()), &empty);
        let found = of_watch(&heard, &[]).unwrap();
        let all = together(&[found], &[], (&[], &[]));
        let [open] = &all.uncovered_alerts[..] else { panic!("{all:?}") };
        assert_eq!((open.name.as_str(), open.count), ("DiskFull", 2));
        assert_eq!((all.automate[0].frequency, all.automate[0].minutes), (2, 7.5));
        // What a policy took up is told where it did.
        let mut taken = script(&[Script::Open(1, 60)]);
        let Event::IncidentOpened { alert, labels, .. } = &mut taken.records[0].event else { panic!() };
        *alert = Name::new("DiskFull");
        labels.insert(Name::new("alertname"), alert.clone());
        assert!(of_watch(&heard, &[taken]).is_none());
    }
}
