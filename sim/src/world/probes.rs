//! Probes of the kubelet: when they ask, what answers, and what follows (docs/MODEL.md 1.4).
//!
//! A service whose only probe is of liveness, on a port of its own and without delay, needs none of this: until a process hangs its probes change
//! nothing, and what happens then is worked out at once (`World::hang`). `a_probe_that_is_played_out_says_what_the_shortcut_says` holds the two together.

use firedrill_core::distribution::Distribution;
use firedrill_core::journal::ReplicaState;
use firedrill_core::random::{Purpose, Stream, below, hash64, hop_index, mix64};
use firedrill_core::time::{Span, Time};

use crate::probe::{ProbeKind, Prober};
use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{ProbePath, ProbeSpec, ServiceSpec};
use crate::world::calls::{Call, Origin};
use crate::world::{Due, Termination, World};

/// The probes of one replica that are played out.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    /// By [`ProbeKind`].
    watches: [Option<Watch>; 3],
    /// Whether the startup probe of the present process has succeeded, or there is none.
    started: bool,
}

/// One probe of one replica.
#[derive(Clone, Copy, Debug)]
struct Watch {
    prober: Prober,
    /// Probes made.
    asked: u64,
    /// The call under way, `NONE` without one.
    call: u32,
    /// When a probe that finds its process hanging is given up.
    giving_up: Option<Handle>,
    /// Whether a tick came while a probe was under way: the next follows at once.
    missed: bool,
}

impl Watch {
    const fn new(prober: Prober) -> Self {
        Self { prober, asked: 0, call: NONE, giving_up: None, missed: false }
    }

    const fn is_busy(&self) -> bool {
        self.call != NONE || self.giving_up.is_some()
    }
}

impl ServiceSpec {
    /// The probe of a kind.
    pub(crate) const fn probe(&self, kind: ProbeKind) -> Option<&ProbeSpec> {
        match kind {
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.life.readiness.as_ref(),
            ProbeKind::Startup => self.life.startup.as_ref(),
        }
    }

    /// The CPU time of the probes that are requests of no endpoint, in the order of [`ProbeKind::ALL`].
    pub(crate) fn probe_demands(&self) -> impl Iterator<Item = &Distribution> {
        let demand = |kind: ProbeKind| match &self.probe(kind)?.path {
            ProbePath::Traffic(demand) => Some(demand),
            ProbePath::Separate | ProbePath::Endpoint(_) => None,
        };
        ProbeKind::ALL.into_iter().filter_map(demand)
    }

    /// Programs of its replicas: those of endpoints, then those of probes.
    pub(crate) fn programs(&self) -> usize {
        self.endpoints.len() + self.probe_demands().count()
    }

    /// Whether a replica that has started up waits for a probe before it is ready.
    pub(crate) const fn has_gate(&self) -> bool {
        self.life.readiness.is_some() || self.life.startup.is_some()
    }

    /// Whether probes are played out one by one.
    fn plays_probes(&self) -> bool {
        self.has_gate() || self.liveness.as_ref().is_some_and(|spec| spec.path != ProbePath::Separate || spec.initial_delay > Span::ZERO)
    }
}

impl Probes {
    /// The probes of a new replica; `None` if none are played out.
    pub(super) fn new(spec: &ServiceSpec) -> Option<Box<Self>> {
        let watch = |kind: ProbeKind| spec.probe(kind).map(|probe| Watch::new(Prober::new(kind, probe)));
        spec.plays_probes().then(|| Box::new(Self { watches: ProbeKind::ALL.map(watch), started: spec.life.startup.is_none() }))
    }

    fn watch(&mut self, kind: ProbeKind) -> &mut Watch {
        self.watches[kind as usize].as_mut().expect("only a probe that there is ticks")
    }

    /// A new process runs.
    pub(super) fn process_started(&mut self) {
        self.watches.iter_mut().flatten().for_each(|watch| watch.prober.process_started());
        self.started = self.watches[ProbeKind::Startup as usize].is_none();
    }
}

impl World {
    /// The kubelet takes a replica on: from now on its probes tick. They tick from the replica's arrival on; of those that were there before the run
    /// nobody knows since when, so their phase is luck.
    pub(super) fn begin_probing(&mut self, index: u32, was_there: bool) {
        let now = self.now;
        let replica = &self.replicas[index as usize];
        let service = replica.service as usize;
        let luck = Stream::new(self.seed, Purpose::Phase, hash64(&replica.name)).block(0);
        let phase = |kind: ProbeKind, period: Span| {
            let drawn = below(luck.word64(kind as usize), period.as_nanos().max(1));
            Span::from_nanos(if was_there { drawn } else { now.as_nanos() % period.as_nanos().max(1) })
        };
        if let Some(liveness) = &self.spec.services[service].liveness {
            self.replicas[index as usize].probe_phase = phase(ProbeKind::Liveness, liveness.period);
        }
        if self.replicas[index as usize].probes.is_none() {
            return;
        }
        for kind in ProbeKind::ALL {
            let Some(period) = self.spec.services[service].probe(kind).map(|probe| probe.period) else { continue };
            let first = if was_there { Time::ZERO + phase(kind, period) } else { now };
            if was_there {
                let probes = self.replicas[index as usize].probes.as_mut().expect("it has probes");
                let watch = probes.watch(kind);
                watch.prober = watch.prober.content();
                probes.started = true;
            }
            self.schedule(first, Due::Probe(index, kind));
        }
    }

    /// A probe ticks.
    pub(super) fn probe_ticks(&mut self, index: u32, kind: ProbeKind) {
        // Nobody is sent back to work, and nobody is killed twice.
        if matches!(self.replicas[index as usize].state, ReplicaState::Gone | ReplicaState::Draining) {
            return;
        }
        let period = self.probe_spec(index, kind).period;
        self.schedule_after(period, Due::Probe(index, kind));
        self.probe_now(index, kind);
    }

    /// A probe asks out of turn, or at its tick.
    pub(super) fn probe_now(&mut self, index: u32, kind: ProbeKind) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        // Who would ask is lost with the node.
        if replica.cut_off || !matches!(replica.state, ReplicaState::Starting | ReplicaState::Unready | ReplicaState::Ready) {
            return;
        }
        let age = if replica.was_there { Span::from_minutes(60) } else { now.since(replica.started) };
        let probes = replica.probes.as_mut().expect("only a replica with probes has ticks");
        let started = probes.started;
        let watch = probes.watch(kind);
        if watch.is_busy() {
            watch.missed = true;
        } else if watch.prober.asks(age, started) {
            watch.asked += 1;
            self.ask(index, kind);
        }
    }

    fn ask(&mut self, index: u32, kind: ProbeKind) {
        let replica = &self.replicas[index as usize];
        let has_started = replica.state != ReplicaState::Starting;
        let spec = self.probe_spec(index, kind);
        if spec.path != ProbePath::Separate {
            // A port that nobody listens on refuses at once.
            return if has_started { self.ask_with_the_others(index, kind) } else { self.probe_answered(index, kind, false) };
        }
        if replica.hung {
            let giving_up = self.schedule_after(spec.timeout, Due::ProbeGivenUp(index, kind));
            self.watch(index, kind).giving_up = Some(giving_up);
        } else {
            // Somebody who is up can say that he is not ready.
            self.probe_answered(index, kind, has_started || kind == ProbeKind::Liveness);
        }
    }

    /// A probe that is a request like others, of this replica.
    fn ask_with_the_others(&mut self, index: u32, kind: ProbeKind) {
        let service = self.replicas[index as usize].service;
        let edge = self.probe_edges[service as usize][kind as usize];
        let ordinal = self.watch(index, kind).asked * ProbeKind::ALL.len() as u64 + kind as u64;
        let request = mix64(hash64(&self.replicas[index as usize].name), ordinal);
        let slot = self.calls.insert(Call::new(Origin::Probe(index, kind), request, edge, self.now));
        self.watch(index, kind).call = slot;
        let attempt = self.unforeseen_attempt(slot, hop_index(request, 0, 0, 0));
        let timeout = self.probe_spec(index, kind).timeout;
        let timer = self.schedule_after(timeout, Due::TimedOut(slot));
        let call = &mut self.calls[slot];
        call.attempt = attempt;
        call.timer = Some(timer);
        self.reach_replica(attempt, index);
    }

    /// A process that hung when it was asked has been given its time.
    pub(super) fn probe_given_up(&mut self, index: u32, kind: ProbeKind) {
        self.watch(index, kind).giving_up = None;
        let still_hangs = self.replicas[index as usize].hung;
        self.probe_answered(index, kind, !still_hangs);
    }

    /// A probe has its answer. What follows from it waits until what happens now is done.
    pub(super) fn probe_answered(&mut self, index: u32, kind: ProbeKind, success: bool) {
        let runs = self.replicas[index as usize].is_running();
        let watch = self.watch(index, kind);
        watch.call = NONE;
        let missed = std::mem::take(&mut watch.missed);
        if !runs {
            return;
        }
        if let Some(verdict) = watch.prober.answered(success) {
            self.todo.verdicts.push((index, kind, verdict));
            self.todo.orders = true;
        }
        if missed {
            self.schedule(self.now, Due::ProbeAgain(index, kind));
        }
    }

    /// Does what the verdicts of probes ask for.
    pub(super) fn carry_out_verdicts(&mut self) {
        while let Some((index, kind, healthy)) = self.todo.verdicts.pop() {
            let state = self.replicas[index as usize].state;
            match (kind, healthy) {
                (ProbeKind::Liveness, true) => {}
                (ProbeKind::Liveness | ProbeKind::Startup, false) => {
                    if matches!(state, ReplicaState::Starting | ReplicaState::Unready | ReplicaState::Ready) {
                        self.process_ended(index, Termination::Error, &format!("its {} probe failed", kind.word()));
                    }
                }
                (ProbeKind::Readiness, true) if state == ReplicaState::Unready => self.become_ready(index, "its readiness probe succeeded"),
                (ProbeKind::Readiness, false) if state == ReplicaState::Ready => self.become_unready(index, "its readiness probe failed"),
                (ProbeKind::Readiness, _) => {}
                (ProbeKind::Startup, true) => self.probe_found_it_started(index),
            }
        }
    }

    fn probe_found_it_started(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        let probes = replica.probes.as_mut().expect("a startup probe is one of its probes");
        if !replica.state.eq(&ReplicaState::Unready) || std::mem::replace(&mut probes.started, true) {
            return;
        }
        if probes.watches[ProbeKind::Readiness as usize].is_some() {
            // The kubelet does not wait for the next tick (`prober_manager.go`, `UpdatePodStatus`).
            self.probe_now(index, ProbeKind::Readiness);
        } else {
            self.become_ready(index, "its startup probe succeeded");
        }
    }

    /// Nothing that was asked of a process that is no more will be answered.
    pub(super) fn forget_probes(&mut self, index: u32) {
        let Some(probes) = &mut self.replicas[index as usize].probes else { return };
        let waits: Vec<Handle> = probes.watches.iter_mut().flatten().filter_map(|watch| watch.giving_up.take()).collect();
        probes.watches.iter_mut().flatten().for_each(|watch| watch.missed = false);
        for handle in waits {
            self.queue.cancel(handle);
        }
    }

    fn watch(&mut self, index: u32, kind: ProbeKind) -> &mut Watch {
        self.replicas[index as usize].probes.as_mut().expect("only a replica with probes is asked").watch(kind)
    }

    fn probe_spec(&self, index: u32, kind: ProbeKind) -> &ProbeSpec {
        let service = self.replicas[index as usize].service;
        self.spec.services[service as usize].probe(kind).expect("only a probe that there is ticks")
    }
}
