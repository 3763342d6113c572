//! Evictions: replicas that are moved on purpose, as far as disruption budgets allow (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::time::Span;
use firedrill_core::words::counted;

use crate::disruption::Standing;
use crate::world::{Due, World};

/// From an eviction that was not allowed until it is tried again (`kubectl drain`, `evictPods`).
const AGAIN: Span = Span::from_seconds(5);

/// Replicas that somebody wants to move.
#[derive(Clone, Debug)]
pub(super) struct Evacuation {
    reason: String,
    /// Whether an action asked for it.
    by_action: bool,
    /// Those that have been told to go.
    evicted: Vec<u32>,
    /// Those that may not go yet.
    waiting: Vec<u32>,
}

impl World {
    /// Evicts replicas: each at once if its budget allows that, and else every five seconds anew, as `kubectl drain` asks for all pods at a time.
    pub(super) fn evacuate(&mut self, meant: Vec<u32>, reason: &str, by_action: bool) -> u32 {
        let index = self.evacuations.len() as u32;
        self.evacuations.push(Evacuation { reason: reason.to_owned(), by_action, evicted: Vec::new(), waiting: meant });
        let refused = self.evict_some(index);
        for (replica, figures) in refused {
            let replica = self.replicas[replica as usize].name.clone();
            self.write(Event::NotEvicted { replica, figures });
        }
        index
    }

    /// Evicts those of an evacuation that may go. The result is who may not, with the figures that were compared.
    pub(super) fn evict_some(&mut self, index: u32) -> Vec<(u32, String)> {
        let evacuation = &mut self.evacuations[index as usize];
        let (waiting, reason, by_action) = (std::mem::take(&mut evacuation.waiting), evacuation.reason.clone(), evacuation.by_action);
        let mut refused = Vec::new();
        for replica in waiting {
            if !self.replicas[replica as usize].is_living() {
                // Somebody else has told it to go.
                self.evacuations[index as usize].evicted.push(replica);
                continue;
            }
            if let Err(figures) = self.may_evict(replica) {
                refused.push((replica, figures));
                continue;
            }
            self.evacuations[index as usize].evicted.push(replica);
            if by_action {
                let service = self.replicas[replica as usize].service;
                self.services[service as usize].replacing += 1;
            }
            self.drain_replica(replica, &reason);
        }
        self.evacuations[index as usize].waiting = refused.iter().map(|(replica, _)| *replica).collect();
        if !refused.is_empty() {
            self.schedule_after(AGAIN, Due::Evict(index));
        }
        self.todo.orders = true;
        refused
    }

    /// Nobody is evicted any more.
    pub(super) fn end_evacuation(&mut self, index: u32) {
        self.evacuations[index as usize].waiting.clear();
    }

    /// Whether all of an evacuation are gone.
    pub(super) fn is_evacuated(&self, index: u32) -> bool {
        let evacuation = &self.evacuations[index as usize];
        evacuation.waiting.is_empty()
            && evacuation.evicted.iter().all(|replica| self.replicas[*replica as usize].state == ReplicaState::Gone)
    }

    /// Who still may not go, in words.
    pub(super) fn not_evicted(&self, index: u32) -> Option<String> {
        let first = *self.evacuations[index as usize].waiting.first()?;
        let figures = self.may_evict(first).err()?;
        Some(format!("{} may not be evicted: {figures}", self.replicas[first as usize].name))
    }

    /// What the disruption budget of a replica's service says; the error tells the figures.
    fn may_evict(&self, replica: u32) -> Result<(), String> {
        let state = &self.replicas[replica as usize];
        let Some(standing) = self.standing(state.service) else { return Ok(()) };
        // One without a process is moved without asking.
        let has_process = !matches!(state.state, ReplicaState::Pending | ReplicaState::Pulling);
        if !has_process || standing.permits(state.state == ReplicaState::Ready) {
            return Ok(());
        }
        Err(format!("{} are ready, and {} must stay", counted(u64::from(standing.healthy), "replica"), standing.needed))
    }

    /// How a service stands to its disruption budget; `None` if it has none.
    pub(crate) fn standing(&self, service: u32) -> Option<Standing> {
        let budget = self.spec.services[service as usize].life.disruption?;
        let service = &self.services[service as usize];
        Some(Standing::of(budget, service.wanted, service.replicas.len() as u32, service.ready.len() as u32))
    }
}
