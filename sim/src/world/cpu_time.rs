//! CPU time beyond what requests ask for and plain sharing: quotas of the kernel's scheduler, and what a process does for itself (docs/MODEL.md 1.2).

use firedrill_core::time::Time;

use crate::bandwidth::{Bandwidth, Given};
use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{CpuSpec, ServiceSpec};
use crate::world::collections::Collections;
use crate::world::{Due, Replica, World};

/// More cores than anything uses.
const PLENTY: f64 = 1e6;

/// What is known of a replica's CPU time beside its CPU.
#[derive(Clone, Debug)]
pub(crate) struct CpuTime {
    pub(super) spec: CpuSpec,
    /// CPU time of each period, in the CPU's units.
    quota: u128,
    bandwidth: Option<Bandwidth>,
    timer: Option<(Time, Handle)>,
    pub(super) collections: Collections,
    /// CPU seconds that the processes before this one needed for themselves.
    background_before: f64,
}

impl CpuTime {
    /// For a new replica; `None` where its service says nothing of it.
    pub(super) fn of(spec: &ServiceSpec) -> Option<Box<Self>> {
        let own = spec.cpu.as_deref()?;
        let cores = (spec.cores.unwrap_or(PLENTY) - own.background).max(0.0);
        let quota = own.period.map_or(0, |period| (cores * period.as_nanos() as f64 * crate::cpu::FULL_SPEED as f64) as u128);
        let bandwidth = own.period.map(|period| Bandwidth::new(period, quota));
        Some(Box::new(Self {
            spec: own.clone(),
            quota,
            bandwidth,
            timer: None,
            collections: Collections::default(),
            background_before: 0.0,
        }))
    }

    /// Collections of the present process, and how long they have taken; `None` where there are none.
    pub(crate) fn collections(&self) -> Option<(u64, f64)> {
        self.spec.gc.as_ref().map(|_| (self.collections.count, self.collections.paused.as_seconds()))
    }

    /// Its quota; `None` if it has none.
    pub(crate) const fn bandwidth(&self) -> Option<&Bandwidth> {
        self.bandwidth.as_ref()
    }
}

impl ServiceSpec {
    /// Cores for the requests of a replica, with those that are shared evenly: without what the process needs for itself, and with a quota as many as
    /// there are.
    pub(super) fn cores_for_requests(&self) -> Option<f64> {
        match self.cpu.as_deref() {
            Some(CpuSpec { period: Some(_), .. }) => Some(PLENTY),
            Some(CpuSpec { background, .. }) => self.cores.map(|cores| (cores - background).max(0.0)),
            None => self.cores,
        }
    }
}

impl Replica {
    /// CPU seconds that its present process has needed for itself.
    pub(crate) fn background_seconds(&self, now: Time) -> f64 {
        self.cpu_time.as_ref().map_or(0.0, |own| own.spec.background * now.since(self.started).as_seconds())
    }

    /// CPU seconds of all its processes.
    pub(crate) fn all_cpu_seconds(&self, now: Time) -> f64 {
        let Some(own) = &self.cpu_time else { return self.cpu.delivered_seconds(now) };
        let present = if self.is_running() { self.background_seconds(now) } else { 0.0 };
        self.cpu.delivered_seconds(now) + own.background_before + present
    }

    /// Whether nothing runs there for now, though it could.
    pub(super) fn stands_still(&self) -> bool {
        self.cpu_time.as_ref().is_some_and(|own| own.collections.pauses) || self.is_throttled()
    }

    /// Whether it has used up its quota.
    fn is_throttled(&self) -> bool {
        self.cpu_time.as_ref().and_then(|own| own.bandwidth.as_ref()).is_some_and(Bandwidth::is_throttled)
    }
}

impl World {
    /// Whether CPU time is more than what requests ask for, anywhere.
    pub(super) fn has_cpu_time(spec: &crate::spec::WorldSpec) -> bool {
        spec.services.iter().any(|service| service.cpu.is_some())
    }

    /// What runs on a replica may have changed.
    #[cold]
    pub(super) fn refresh_cpu_time(&mut self, index: u32) {
        self.refresh_bandwidth(index);
        if self.contention.is_some() {
            self.wants_anew(index);
        }
    }

    fn refresh_bandwidth(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        let hung = replica.hung;
        // What ends with the quota ends before anybody stands still; this is looked at again right after it.
        if replica.cpu.next_due().is_some_and(|due| due <= now) {
            return;
        }
        let next = loop {
            let (delivered, pace) = replica.cpu.given(now);
            let was = replica.is_throttled();
            let busy = replica.cpu.running() > 0 && !hung;
            let Some(bandwidth) = replica.cpu_time.as_mut().and_then(|own| own.bandwidth.as_mut()) else { return };
            let next = bandwidth.look(now, Given { delivered, pace, busy });
            if bandwidth.is_throttled() == was {
                break next;
            }
            if hung {
                break next;
            }
            replica.cpu.set_speed(now, replica.speed());
        };
        let own = replica.cpu_time.as_mut().expect("it has a quota");
        if next == own.timer.map(|(at, _)| at) {
            return;
        }
        let mut old = own.timer.take().map(|(_, handle)| handle);
        self.cancel(&mut old);
        if let Some(at) = next {
            let handle = self.schedule(at, Due::QuotaLook(index));
            self.replicas[index as usize].cpu_time.as_mut().expect("it has a quota").timer = Some((at, handle));
        }
    }

    /// The quota of a replica is used up, or its period is over.
    pub(super) fn quota_look(&mut self, index: u32) {
        if let Some(own) = &mut self.replicas[index as usize].cpu_time {
            own.timer = None;
        }
        self.todo.cpus.push(index);
    }

    /// A process has ended: the next one has a quota of its own.
    pub(super) fn forget_cpu_time(&mut self, index: u32) {
        self.end_collecting(index);
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        let background = if replica.starts > 0 { replica.background_seconds(now) } else { 0.0 };
        if let Some(own) = &mut replica.cpu_time {
            own.background_before += background;
            own.bandwidth = own.spec.period.map(|period| Bandwidth::new(period, own.quota));
            let mut timer = own.timer.take().map(|(_, handle)| handle);
            replica.cpu.set_speed(now, if replica.hung { 0.0 } else { replica.capacity * replica.share });
            self.cancel(&mut timer);
        }
        if self.contention.is_some() && self.replicas[index as usize].node != NONE {
            self.wants_anew(index);
        }
    }
}
