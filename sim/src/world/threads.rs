//! Threads that a process has for each of its peers, and what becomes of it when it is given too few (docs/MODEL.md 1.4).

use crate::spec::FaultKind;
use crate::world::{Replica, World};

impl Replica {
    /// Threads that its process has, and what it is given at most, with so many peers; `None`: nobody counts them.
    pub(crate) fn thread_figures(&self, world: &World) -> Option<(u32, u32)> {
        let spec = world.spec.services[self.service as usize].threads?;
        let limit = self.thread_limit.unwrap_or(spec.limit);
        let peers = world.services[self.service as usize].placed().saturating_sub(1);
        Some(((spec.base + spec.per_peer * peers).min(limit), limit))
    }

    /// The share of its peers that its process has no thread for.
    fn peers_out_of_reach(&self, world: &World) -> f64 {
        let Some(spec) = world.spec.services[self.service as usize].threads else { return 0.0 };
        let limit = self.thread_limit.unwrap_or(spec.limit);
        let peers = world.services[self.service as usize].placed().saturating_sub(1);
        let reached = limit.saturating_sub(spec.base) / spec.per_peer.max(1);
        if peers == 0 || reached >= peers { 0.0 } else { f64::from(peers - reached) / f64::from(peers) }
    }
}

impl World {
    /// The share of requests that a replica fails because it has no thread for who would work on them with it.
    pub(super) fn error_of_threads(&self, index: u32) -> f64 {
        self.replicas[index as usize].peers_out_of_reach(self)
    }

    /// A service has other replicas than before: its processes need other threads.
    pub(super) fn refresh_threads(&mut self, service: u32) {
        if self.spec.services[service as usize].threads.is_none() {
            return;
        }
        for replica in self.services[service as usize].replicas.clone() {
            self.apply_faults(replica);
        }
        let replicas = &self.services[service as usize].replicas;
        let is_well = replicas.iter().all(|replica| self.error_of_threads(*replica) <= 0.0);
        let state = &self.services[service as usize];
        if is_well && state.placed() == state.wanted {
            let name = self.spec.services[service as usize].name.clone();
            self.end_of_kind(
                "every process has a thread for each of its peers",
                |kind| matches!(kind, FaultKind::ScaleOut { service, .. } if *service == name),
            );
        }
    }

    /// Sets what the processes of a service that start from now on are given; `None`: as declared. The result is `None` if nobody counts them.
    pub(super) fn set_thread_limit(&mut self, service: u32, to: Option<u32>) -> Option<()> {
        self.spec.services[service as usize].threads?;
        self.services[service as usize].thread_limit = to;
        Some(())
    }

    /// A process starts: it is given what was set last.
    pub(super) fn read_thread_limit(&mut self, index: u32) {
        let service = self.replicas[index as usize].service;
        self.replicas[index as usize].thread_limit = self.services[service as usize].thread_limit;
    }
}
