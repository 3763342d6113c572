//! Requests that wait in a proxy while it has nobody to send them to, and fail at once when that lasts, as Linkerd has it (docs/MODEL.md 1.5).
//!
//! After `linkerd-stack`'s `failfast.rs` and the queue of `linkerd-proxy-balance`: who is first to find nobody starts the clock, and whoever comes
//! after it has run down is answered with 504, until somebody is there again.

use std::collections::VecDeque;

use firedrill_core::journal::ReplicaState;

use crate::queue::Handle;
use crate::spec::FailFastSpec;
use crate::world::calls::Failure;
use crate::world::work::State;
use crate::world::{Due, World};

/// Where requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// Beside a caller, for any replica of a service: this view.
    Outbound(u32),
    /// Beside a replica, for its process.
    Inbound(u32),
}

/// The proxies in which somebody has waited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    outbound: Vec<Line>,
    inbound: Vec<Line>,
    /// By the slot of an attempt: where it waits.
    waits: Vec<Option<Proxy>>,
}

/// Those who wait in one proxy.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: VecDeque<u32>,
    /// When it has lasted for too long; `None`: nobody waits.
    timer: Option<Handle>,
    /// Whether it has.
    fails: bool,
}

impl Proxies {
    fn line(&mut self, proxy: Proxy) -> &mut Line {
        let (lines, index) = match proxy {
            Proxy::Outbound(index) => (&mut self.outbound, index as usize),
            Proxy::Inbound(index) => (&mut self.inbound, index as usize),
        };
        lines.resize_with(lines.len().max(index + 1), Line::default);
        &mut lines[index]
    }

    /// The attempt in a proxy whose turn it is.
    fn next(&mut self, proxy: Proxy) -> Option<u32> {
        let slot = self.line(proxy).waiting.pop_front()?;
        self.waits[slot as usize] = None;
        Some(slot)
    }
}

impl World {
    /// An attempt finds nobody who could take it: it waits in a proxy, or is turned away.
    #[cold]
    pub(super) fn not_routed(&mut self, slot: u32, failure: Failure) {
        let Some((proxy, spec)) = self.proxy_of(slot, failure) else { return self.turn_away(slot, failure) };
        let proxies = self.proxies.as_mut().expect("a service has proxies");
        let line = proxies.line(proxy);
        if line.fails {
            return self.turn_away(slot, Failure::FAILS_FAST);
        }
        if line.waiting.len() >= spec.queue as usize {
            return self.turn_away(slot, Failure::NoReplica);
        }
        line.waiting.push_back(slot);
        proxies.waits.resize(proxies.waits.len().max(slot as usize + 1), None);
        proxies.waits[slot as usize] = Some(proxy);
        // As far as its service knows it is still on its way.
        self.services[self.attempts[slot].service as usize].not_yet_arrived();
        assert!(self.attempts[slot].state == State::OnTheWay, "only who has not come in waits in a proxy");
        self.start_clock(proxy, spec);
    }

    /// The proxy in which an attempt waits that was not routed, if its service's callers have such.
    fn proxy_of(&mut self, slot: u32, failure: Failure) -> Option<(Proxy, FailFastSpec)> {
        self.proxies.as_ref()?;
        let service = self.attempts[slot].service;
        let spec = self.spec.services[service as usize].balancing.as_ref()?.fail_fast?;
        if failure == Failure::NoReplica {
            return Some((Proxy::Outbound(self.view_for(slot)?), spec));
        }
        // A proxy outlives the process beside it, and not its machine.
        let index = self.picked(slot)?;
        let replica = &self.replicas[index as usize];
        let is_alone = matches!(replica.state, ReplicaState::Starting | ReplicaState::Waiting) && !replica.lost && !replica.cut_off;
        is_alone.then(|| {
            self.attempts[slot].replica = index;
            (Proxy::Inbound(index), spec)
        })
    }

    fn start_clock(&mut self, proxy: Proxy, spec: FailFastSpec) {
        let line = self.proxies.as_mut().expect("a service has proxies").line(proxy);
        if line.timer.is_some() || line.waiting.is_empty() {
            return;
        }
        let patience = if let Proxy::Outbound(_) = proxy { spec.outbound } else { spec.inbound };
        let timer = self.schedule_after(patience, Due::FailsFast(proxy));
        self.proxies.as_mut().expect("a service has proxies").line(proxy).timer = Some(timer);
    }

    /// A proxy has had nobody for long enough: all who wait there fail.
    pub(super) fn fails_fast(&mut self, proxy: Proxy) {
        let line = self.proxies.as_mut().expect("somebody has waited").line(proxy);
        line.timer = None;
        line.fails = true;
        while let Some(slot) = self.proxies.as_mut().and_then(|proxies| proxies.next(proxy)) {
            let attempt = &mut self.attempts[slot];
            attempt.arrived = self.now;
            self.services[attempt.service as usize].arrived();
            self.turn_away(slot, Failure::FAILS_FAST);
        }
    }

    /// Somebody may be there for a proxy again: who waits there goes on before the next instant.
    pub(super) fn may_resume(&mut self, proxy: Proxy) {
        if self.proxies.is_none() || !self.has_somebody(proxy) {
            return;
        }
        let line = self.proxies.as_mut().expect("looked at above").line(proxy);
        line.fails = false;
        let mut timer = line.timer.take();
        let is_empty = line.waiting.is_empty();
        self.cancel(&mut timer);
        if !is_empty {
            self.schedule_after(firedrill_core::time::Span::ZERO, Due::Resumes(proxy));
        }
    }

    fn has_somebody(&self, proxy: Proxy) -> bool {
        match proxy {
            Proxy::Outbound(view) => self.is_open(view),
            Proxy::Inbound(replica) => self.replicas[replica as usize].accepts(),
        }
    }

    /// Those who wait in a proxy go on, as long as there is somebody: a replica on trial takes one.
    pub(super) fn resumes(&mut self, proxy: Proxy) {
        let mut spec = None;
        while self.has_somebody(proxy)
            && let Some(slot) = self.proxies.as_mut().and_then(|proxies| proxies.next(proxy))
        {
            let service = self.attempts[slot].service as usize;
            spec = self.spec.services[service].balancing.as_ref().and_then(|balancing| balancing.fail_fast);
            match proxy {
                Proxy::Outbound(_) => self.reach(slot),
                Proxy::Inbound(replica) => self.reach_replica(slot, replica),
            }
        }
        if let Some(spec) = spec {
            self.start_clock(proxy, spec);
        }
    }

    /// Whether an attempt waits in a proxy, which ends with its caller.
    #[inline]
    pub(super) fn ceases_to_wait(&mut self, slot: u32) -> bool {
        self.proxies.is_some() && self.leaves_proxy(slot)
    }

    #[cold]
    fn leaves_proxy(&mut self, slot: u32) -> bool {
        let proxies = self.proxies.as_mut().expect("looked at by the caller");
        let Some(proxy) = proxies.waits.get_mut(slot as usize).and_then(Option::take) else { return false };
        let line = proxies.line(proxy);
        line.waiting.retain(|waiting| *waiting != slot);
        let mut timer = if line.waiting.is_empty() { line.timer.take() } else { None };
        self.cancel(&mut timer);
        true
    }
}
