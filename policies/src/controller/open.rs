//! What is open: incidents and alerts that fire, found by what they wait for. A live watcher may have thousands, and answers and timers come for each.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::name::Name;
use serde::{Deserialize, Serialize, Serializer};

use super::state::{Care, Firing, Incident, Phase};
use crate::guard::Known;

/// Open incidents by their numbers. Saved as such. An incident is taken out to be changed, so what it waits for is always what it is found by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<u64, Box<Incident>>")]
pub(super) struct Incidents {
    all: BTreeMap<u64, Box<Incident>>,
    /// By the first of the numbers of the questions that it waits for.
    questions: BTreeMap<u64, u64>,
    timers: BTreeMap<u64, u64>,
    /// Those that wait for another incident of the policy to close.
    held_by_dedup: BTreeSet<u64>,
}

impl Incidents {
    pub(super) fn get(&self, id: u64) -> Option<&Incident> {
        self.all.get(&id).map(|incident| &**incident)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.all.keys().copied()
    }

    /// All, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.all.values().map(|incident| &**incident)
    }

    pub(super) fn insert(&mut self, incident: Box<Incident>) {
        let id = incident.id;
        if let Some((first, _)) = questions(&incident) {
            self.questions.insert(first, id);
        }
        for timer in timers(&incident) {
            self.timers.insert(timer, id);
        }
        if incident.is_held_by_dedup() {
            self.held_by_dedup.insert(id);
        }
        self.all.insert(id, incident);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Box<Incident>> {
        let incident = self.all.remove(&id)?;
        if let Some((first, _)) = questions(&incident) {
            self.questions.remove(&first);
        }
        for timer in timers(&incident) {
            self.timers.remove(&timer);
        }
        self.held_by_dedup.remove(&id);
        Some(incident)
    }

    /// Which one waits for the answer to a question.
    pub(super) fn asking(&self, query: u64) -> Option<&Incident> {
        // Numbers of questions are given out once, so nobody else's lie between the first of an incident's and its last.
        let (_, id) = self.questions.range(..=query).next_back()?;
        self.get(*id).filter(|incident| questions(incident).is_some_and(|(first, count)| query < first + count))
    }

    /// Puts an answer into the incident that waits for it among others; whether it was the last.
    pub(super) fn answer(&mut self, id: u64, query: u64, known: Known) -> bool {
        let Some(Phase::Checking { first, answers, .. }) = self.all.get_mut(&id).map(|incident| &mut incident.phase) else { return false };
        answers[(query - *first) as usize] = Some(known);
        answers.iter().all(Option::is_some)
    }

    /// Which one waits for a timer, be it for its escalation.
    pub(super) fn timed(&self, timer: u64) -> Option<&Incident> {
        self.get(*self.timers.get(&timer)?)
    }

    /// The numbers of those that wait for another incident of the policy to close, the oldest first.
    pub(super) fn held_by_dedup(&self) -> Vec<u64> {
        self.held_by_dedup.iter().copied().collect()
    }
}

impl PartialEq for Incidents {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Serialize for Incidents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl From<BTreeMap<u64, Box<Incident>>> for Incidents {
    fn from(all: BTreeMap<u64, Box<Incident>>) -> Self {
        let mut own = Self::default();
        all.into_values().for_each(|incident| own.insert(incident));
        own
    }
}

/// The first of the questions that an incident waits for, and how many there are.
fn questions(incident: &Incident) -> Option<(u64, u64)> {
    match &incident.phase {
        Phase::Checking { first, answers, .. } if !answers.is_empty() => Some((*first, answers.len() as u64)),
        Phase::Verifying { query, .. } | Phase::Listing { query } => Some((*query, 1)),
        _ => None,
    }
}

fn timers(incident: &Incident) -> impl Iterator<Item = u64> {
    let own = match incident.phase {
        Phase::Held { timer, .. } => timer,
        Phase::Waiting { timer } | Phase::Assumed { timer } => Some(timer),
        _ => None,
    };
    own.into_iter().chain(incident.escalation_timer)
}

/// Alerts that fire, by their labels, written out. Saved as such.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<Name, Firing>")]
pub(super) struct Alerts {
    all: BTreeMap<Name, Firing>,
    /// Those that are taken up again at a timer.
    resting: BTreeMap<u64, Name>,
}

impl Alerts {
    pub(super) fn get(&self, key: &str) -> Option<&Firing> {
        self.all.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Firing)> {
        self.all.iter()
    }

    pub(super) fn insert(&mut self, key: Name, firing: Firing) {
        self.remove(&key);
        if let Care::Resting { timer } = firing.care {
            self.resting.insert(timer, key.clone());
        }
        self.all.insert(key, firing);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Firing> {
        let firing = self.all.remove(key)?;
        if let Care::Resting { timer } = firing.care {
            self.resting.remove(&timer);
        }
        Some(firing)
    }

    /// Somebody else cares for an alert from now on.
    pub(super) fn leave(&mut self, key: &Name, care: Care) {
        if let Some(firing) = self.remove(key) {
            self.insert(key.clone(), Firing { care, ..firing });
        }
    }

    /// The one that is taken up again at a timer.
    pub(super) fn resting(&self, timer: u64) -> Option<(&Name, &Firing)> {
        self.all.get_key_value(self.resting.get(&timer)?)
    }
}

impl PartialEq for Alerts {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Serialize for Alerts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl From<BTreeMap<Name, Firing>> for Alerts {
    fn from(all: BTreeMap<Name, Firing>) -> Self {
        let mut own = Self::default();
        all.into_iter().for_each(|(key, firing)| own.insert(key, firing));
        own
    }
}
