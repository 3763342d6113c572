//! A watcher's memory as it is saved, so that a restart need not hear everything again.

use firedrill_core::journal::{AlertStatus, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use serde::{Deserialize, Serialize};

use super::known::{Episode, Known};
use super::{Asking, Errand, Watcher};
use crate::controller::State;
use crate::correlation::Kept;
use crate::guard::Guards;

/// The version of what is saved.
pub const SAVED_VERSION: u32 = 1;

/// Everything that a watcher remembers, with a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    start_ms: i64,
    now: Time,
    guards: Guards,
    correlated: Kept,
    known: Vec<Episode>,
    next_errand: u64,
    policies: Vec<SavedPolicy>,
}

/// A policy, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedPolicy {
    hash: String,
    runs: bool,
    next_decision: u64,
    state: State,
    name: Name,
    agenda: Vec<(Time, u64, Errand)>,
    asking: Vec<(u64, Asking)>,
    heard: Vec<(LabelSet, AlertStatus, Time)>,
}

impl Watcher {
    /// Its memory. Nothing that it was told of since may be missing in it.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let mut agendas: Vec<Vec<(Time, u64, Errand)>> = vec![Vec::new(); self.watched.len()];
        for ((at, number), (index, errand)) in &self.agenda {
            agendas[*index].push((*at, *number, errand.clone()));
        }
        let mut heard: Vec<Vec<(LabelSet, AlertStatus, Time)>> = vec![Vec::new(); self.watched.len()];
        for (labels, own) in &self.heard {
            for (index, (status, began)) in own {
                heard[*index].push((labels.clone(), *status, *began));
            }
        }
        let policy = |(index, own): (usize, &super::Watched)| SavedPolicy {
            hash: own.hash.to_string(),
            runs: own.runs,
            next_decision: own.next_decision,
            state: own.observer.state().clone(),
            name: own.observer.policy().name.clone(),
            agenda: std::mem::take(&mut agendas[index]),
            asking: self.asking.range((index, 0)..=(index, u64::MAX)).map(|((_, query), asking)| (*query, asking.clone())).collect(),
            heard: std::mem::take(&mut heard[index]),
        };
        Saved {
            version: SAVED_VERSION,
            start_ms: self.start.unix_millis(),
            now: self.now,
            guards: self.guards.clone(),
            correlated: self.correlator.kept(),
            known: self.known.saved(),
            next_errand: self.next_errand,
            policies: self.watched.iter().enumerate().map(policy).collect(),
        }
    }

    /// Takes up what was saved, of the policies that are what they were; the others begin anew with the next session.
    ///
    /// # Errors
    /// It was saved by another version, or counts from another start; nothing is taken up.
    pub fn restore(&mut self, saved: Saved) -> Result<(), String> {
        let Saved { version, start_ms, now, guards, correlated, known, next_errand, policies } = saved;
        if version != SAVED_VERSION {
            return Err(format!("it was saved by another version of the engine ({version}; this one reads {SAVED_VERSION})"));
        }
        if !guards.is_current() {
            return Err("what its guards remember was saved by another version of the engine".to_owned());
        }
        if start_ms != self.start.unix_millis() {
            return Err("its instants count from another start".to_owned());
        }
        (self.now, self.guards, self.known, self.next_errand) = (now, guards, Known::restored(known), next_errand);
        self.correlator.keep(correlated);
        for SavedPolicy { hash, runs, next_decision, state, name, agenda, asking, heard } in policies {
            let same = |own: &super::Watched| own.observer.policy().name == name && *own.hash == *hash;
            let Some(index) = self.watched.iter().position(same).filter(|_| runs) else { continue };
            if self.watched[index].observer.restore(state).is_err() {
                continue;
            }
            self.watched[index].runs = true;
            self.watched[index].next_decision = next_decision;
            for (at, number, errand) in agenda {
                if let Errand::Wake(timer) = &errand {
                    self.timers.insert((index, *timer), (at, number));
                }
                self.agenda.insert((at, number), (index, errand));
            }
            self.asking.extend(asking.into_iter().map(|(query, asking)| ((index, query), asking)));
            // A memory may hold what incidents that are over have asked.
            self.drop_questions_of(index);
            for (labels, status, began) in heard {
                self.heard.entry(labels).or_default().insert(index, (status, began));
            }
        }
        Ok(())
    }
}
