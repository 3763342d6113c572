//! The life of a replica: start-up, readiness, memory, crashes and back-off, draining, the end (docs/MODEL.md 1.4).

use std::collections::VecDeque;

use firedrill_core::distribution::Distribution;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::ReplicaState;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, hash64};
use firedrill_core::time::{Span, Time};

use crate::backoff::Backoff;
use crate::caller::Caller;
use crate::cpu::Cpu;
use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{ServiceSpec, WarmUp};
use crate::world::accounts::Counters;
use crate::world::away::Away;
use crate::world::caching::Loading;
use crate::world::callers::callers_of;
use crate::world::cpu_time::CpuTime;
use crate::world::disks::Disk;
use crate::world::door::Door;
use crate::world::fail_fast::Proxy;
use crate::world::probes::Probes;
use crate::world::service::Round;
use crate::world::work::Stalled;
use crate::world::{Due, World};

/// Why a container's last process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Termination {
    /// It crashed or was killed.
    Error,
    /// It was killed for its memory.
    OutOfMemory,
}

/// One replica of a service, through all its processes.
///
/// What an attempt touches stands first, in memory too: there are more replicas than fit the first cache.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Replica {
    pub(crate) in_service: Vec<u32>,
    pub(super) queue: VecDeque<u32>,
    /// Those in the queue that have not been dropped.
    pub(crate) queued: u32,
    pub(crate) service: u32,
    pub(crate) state: ReplicaState,
    /// It holds what it has and does nothing.
    pub(crate) hung: bool,
    /// Whether it has been told to stop: it goes once it is idle.
    pub(super) leaving: bool,
    /// Where its service has rules for it: those who wait are there, and not in `queue`.
    pub(super) door: Option<Box<Door>>,
    /// Requests that have given up their workers; `None` where the service makes no asynchronous calls.
    pub(super) away: Option<Box<Away>>,
    /// Share of requests that faults answer with an error at once; 1 also if its volume takes no writes, so that each is looked at.
    pub(super) error_at_once: f64,
    /// Share of requests that faults answer with an error at once.
    pub(super) error_by_fault: f64,
    /// Share of requests that its version answers with an error.
    pub(super) version_error: f64,
    /// Multiplies CPU demand: the version's and the faults' factors.
    pub(super) slowness: f64,
    warm_up: Option<WarmUp>,
    /// Since when it warms up; `None`: it is warm.
    pub(super) cold_since: Option<Time>,
    /// Requests that it has answered, for its autoscaler.
    pub(super) served: u64,
    /// Its turn among the replicas that it calls, by its service's edges.
    pub(super) rounds: Vec<Round>,
    /// What its process keeps in mind of the services that it calls, by its service's edges.
    pub(crate) callers: Vec<Option<Box<Caller>>>,
    pub(crate) cpu: Cpu,
    pub(crate) counters: Counters,
    pub(crate) name: Name,
    /// Its number within the service; numbers are never used again.
    pub(crate) number: u32,
    /// Where it stands; `NONE` as long as no zone and no node has room for it.
    pub(crate) zone: u32,
    pub(crate) version: u32,
    /// Its zone is lost.
    pub(crate) lost: bool,
    /// Its node is lost: it does nothing, and nothing is known of it.
    pub(crate) cut_off: bool,
    /// Where it stands; `NONE` where machines are not modelled.
    pub(crate) node: u32,
    /// It is out of service because of an action, until it is ready.
    pub(super) removed_by_action: bool,
    pub(super) stalled: Vec<Stalled>,
    /// Who waits for somebody else's miss.
    pub(super) loading: Vec<Loading>,
    /// What is said of its CPU time beside that; boxed because most services say nothing.
    pub(crate) cpu_time: Option<Box<CpuTime>>,
    pub(super) cpu_timer: Option<(Time, Handle)>,
    /// Multiplies CPU speed, by faults.
    pub(super) capacity: f64,
    /// What it gets of the cores that it wants of its machine.
    pub(super) share: f64,
    /// The volume that it writes to, if it has an end.
    pub(crate) disk: Option<Box<Disk>>,
    /// What its process is given of threads, where that was changed.
    pub(crate) thread_limit: Option<u32>,
    /// CPU seconds of the processes before this one.
    pub(crate) cpu_seconds_before: f64,
    pub(crate) memory: Memory,
    /// Its processes die this long after they start.
    pub(super) life: Option<Span>,
    /// When its process started; at the start of the run, long ago.
    pub(crate) started: Time,
    /// Whether its process was there before the run, and is warm.
    pub(super) was_there: bool,
    start_up_luck: Stream,
    /// Processes started, the first included.
    pub(crate) starts: u64,
    backoff: Backoff,
    /// Whether it waits out a back-off.
    pub(crate) backing_off: bool,
    pub(crate) last_termination: Option<Termination>,
    /// How often it ran out of memory.
    pub(crate) out_of_memory: u64,
    /// The end of the state that it is in: start-up, back-off or grace.
    pub(super) state_timer: Option<Handle>,
    pub(super) death_timer: Option<Handle>,
    pub(super) memory_timer: Option<Handle>,
    pub(super) probe_timer: Option<Handle>,
    /// When its liveness probe ticks, as an offset into the period.
    pub(super) probe_phase: Span,
    /// Probes that are played out; boxed because most replicas have none.
    pub(super) probes: Option<Box<Probes>>,
    /// When it was made; `None`: before the run.
    pub(crate) created: Option<Time>,
    /// When it came to its node; `None`: before the run.
    pub(super) born: Option<Time>,
    /// When it last became ready or stopped being it; `None`: before the run.
    pub(crate) ready_changed: Option<Time>,
    /// When it is told to stop.
    stop_timer: Option<Handle>,
}

/// The memory of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    base: u64,
    /// Beyond it the process is killed; `None`: it never is.
    pub(crate) limit: Option<u64>,
    /// Growth, bytes a second.
    leak: u64,
    /// Leaked until `since`, in units of 1e-9 bytes.
    leaked: u128,
    since: Time,
}

impl Memory {
    fn leaked_at(&self, now: Time) -> u128 {
        self.leaked + u128::from(now.since(self.since).as_nanos()) * u128::from(self.leak)
    }

    /// Base and leak, bytes; what requests take comes on top.
    pub(crate) fn bytes_at(&self, now: Time) -> u64 {
        self.base + u64::try_from(self.leaked_at(now) / 1_000_000_000).unwrap_or(u64::MAX / 2)
    }

    fn set_leak(&mut self, now: Time, leak: u64) {
        self.leaked = self.leaked_at(now);
        self.since = now;
        self.leak = leak;
    }

    fn reset(&mut self, now: Time) {
        self.leaked = 0;
        self.since = now;
    }

    /// When the process is killed, if requests keep taking `requests` bytes: when it is beyond its limit, or is at it and its memory grows.
    fn out_at(&self, now: Time, requests: u64) -> Option<Time> {
        let Some(room) = self.limit?.checked_sub(self.base.saturating_add(requests)) else { return Some(now) };
        let (room, leaked) = (u128::from(room) * 1_000_000_000, self.leaked_at(now));
        if leaked > room {
            return Some(now);
        }
        if self.leak == 0 {
            return None;
        }
        let nanos = u64::try_from((room - leaked).div_ceil(u128::from(self.leak))).ok()?;
        Some(now + Span::from_nanos(nanos))
    }
}

/// What a process has at least between being told to stop and being killed (`minimumGracePeriodInSeconds` in `kuberuntime_container.go`).
const LEAST_NOTICE: Span = Span::from_seconds(2);

/// How long a process that is to stop has until it is killed: its grace, in which its hook runs first and for no longer, and at least
/// [`LEAST_NOTICE`] after the hook. No grace at all is a kill.
fn patience(grace: Span, pre_stop: Span) -> Span {
    if grace == Span::ZERO || pre_stop == Span::ZERO { grace } else { grace.max(pre_stop.min(grace) + LEAST_NOTICE) }
}

impl Replica {
    /// Whether a worker that becomes free stays so: nobody waits for it, in whatever line, and nothing else waits for the replica to be idle.
    #[inline]
    pub(super) fn is_unclaimed(&self) -> bool {
        self.queue.is_empty() && self.door.is_none() && self.away.is_none() && !self.leaving
    }

    /// Whether it has nothing queued and nothing in service.
    pub(super) fn is_idle(&self) -> bool {
        self.queued == 0 && self.begun() == 0
    }

    /// Whether it has a process.
    pub(crate) const fn is_running(&self) -> bool {
        !self.cut_off && matches!(self.state, ReplicaState::Starting | ReplicaState::Unready | ReplicaState::Ready | ReplicaState::Draining)
    }

    /// Whether its zone or its node is lost.
    pub(crate) const fn is_unreachable(&self) -> bool {
        self.lost || self.cut_off
    }

    /// Whether it would take a request that came to it.
    pub(super) const fn accepts(&self) -> bool {
        matches!(self.state, ReplicaState::Ready | ReplicaState::Unready) || (matches!(self.state, ReplicaState::Draining) && !self.leaving)
    }

    /// Whether a place has been found for it.
    pub(crate) const fn is_placed(&self) -> bool {
        self.zone != NONE
    }

    /// Whether it counts towards the wanted number.
    pub(crate) const fn is_living(&self) -> bool {
        !matches!(self.state, ReplicaState::Draining | ReplicaState::Gone)
    }

    /// Multiplies the CPU demand of a phase that begins now.
    #[inline]
    pub(super) fn demand_factor(&self, now: Time) -> f64 {
        match (self.warm_up, self.cold_since) {
            (Some(_), Some(_)) => self.slowness * self.coldness(now),
            _ => self.slowness,
        }
    }

    /// How many times as long work takes because not everything is warm yet.
    pub(super) fn coldness(&self, now: Time) -> f64 {
        let (Some(warm_up), Some(since)) = (self.warm_up, self.cold_since) else { return 1.0 };
        let age = now.since(since).as_seconds() / warm_up.tau.as_seconds();
        // Beyond 40 tau the exponential is below the last bit of one.
        if age > 40.0 { 1.0 } else { 1.0 + (warm_up.factor.get() - 1.0) * libm::exp(-age) }
    }

    /// Multiplies the progress of what runs there, unless it hangs.
    pub(super) fn speed(&self) -> f64 {
        if self.stands_still() { 0.0 } else { self.capacity * self.share }
    }

    /// When it came to its node; `None`: before the run.
    pub(crate) const fn came(&self) -> Option<Time> {
        self.born
    }

    /// Times that its containers were started again.
    pub(crate) const fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    fn new(spec: &ServiceSpec, service: &crate::world::Service, number: u32, seed: Seed) -> Self {
        let name = Inventory::replica_name(&spec.name, number);
        let key = hash64(&name);
        let edges = spec.endpoints.iter().flat_map(|endpoint| &endpoint.phases).flat_map(crate::spec::Phase::calls).count();
        Self {
            service: service.index,
            number,
            zone: NONE,
            version: service.version,
            state: ReplicaState::Starting,
            hung: false,
            lost: false,
            cut_off: false,
            node: NONE,
            removed_by_action: false,
            queue: VecDeque::new(),
            door: None,
            queued: 0,
            in_service: Vec::new(),
            stalled: Vec::new(),
            away: Away::of(spec),
            loading: Vec::new(),
            cpu: Cpu::new(spec.cores),
            cpu_time: CpuTime::of(spec),
            cpu_timer: None,
            // Callers begin their rounds at different replicas.
            rounds: vec![Round::new(key); edges],
            callers: Vec::new(),
            slowness: 1.0,
            warm_up: spec.warm_up,
            capacity: 1.0,
            share: 1.0,
            error_at_once: 0.0,
            error_by_fault: 0.0,
            disk: spec.disk.map(|disk| Box::new(Disk::new(disk))),
            thread_limit: None,
            version_error: 0.0,
            cpu_seconds_before: 0.0,
            memory: Memory { base: spec.memory.base.get(), limit: service.memory_limit, leak: 0, leaked: 0, since: Time::ZERO },
            life: None,
            started: Time::ZERO,
            was_there: false,
            cold_since: Some(Time::ZERO),
            start_up_luck: Stream::new(seed, Purpose::StartUp, key),
            starts: 0,
            backoff: Backoff::new(spec.life.first_backoff, spec.life.longest_backoff),
            backing_off: false,
            last_termination: None,
            out_of_memory: 0,
            state_timer: None,
            death_timer: None,
            memory_timer: None,
            probe_timer: None,
            probe_phase: Span::ZERO,
            probes: Probes::new(spec),
            created: None,
            born: None,
            ready_changed: None,
            leaving: false,
            stop_timer: None,
            served: 0,
            counters: Counters::new(spec, edges),
            name,
        }
    }
}

impl World {
    /// A new replica of a service, without a process yet: in a zone and on a node, or without a place where none has room for it.
    pub(super) fn new_replica(&mut self, service: u32, place: Option<(u32, u32)>) -> u32 {
        let spec = &self.spec.services[service as usize];
        let state = &mut self.services[service as usize];
        let number = state.next_number;
        state.next_number += 1;
        let mut replica = Replica::new(spec, state, number, self.seed);
        replica.callers = callers_of(spec, &self.edges);
        let index = u32::try_from(self.replicas.len()).expect("a run has fewer than 2^32 replicas");
        replica.created = Some(self.now);
        self.replicas.push(replica);
        self.renew_door(index);
        self.expect_views();
        let state = &mut self.services[service as usize];
        state.replicas.push(index);
        state.unplaced += 1;
        self.forget_traffic(index);
        self.time_pools(index);
        match place {
            Some(place) => self.take_place(index, place),
            None => self.apply_faults(index),
        }
        index
    }

    /// A replica has a place, a zone and a node: from now on it costs what it takes there, and is scraped.
    pub(super) fn take_place(&mut self, index: u32, (zone, node): (u32, u32)) {
        let service = self.replicas[index as usize].service;
        let replica = &mut self.replicas[index as usize];
        (replica.zone, replica.node) = (zone, node);
        if self.shares_time {
            self.replicas[index as usize].cpu = Cpu::new(self.cores_of(service, node));
        }
        self.occupy(index);
        let now = self.now;
        let state = &mut self.services[service as usize];
        state.unplaced -= 1;
        state.existing.change(now, 1);
        self.born.push(index);
        self.apply_faults(index);
    }

    /// The replica is ready without having been started: it was there before the run.
    pub(super) fn was_there(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.starts = 1;
        replica.was_there = true;
        replica.created = None;
        replica.cold_since = None;
        replica.state = ReplicaState::Ready;
        self.begin_probing(index, true);
        self.process_runs(index);
        self.enter_balancing(index);
    }

    /// A new replica waits for a node and for its image, as far as that takes time, and starts.
    pub(super) fn provision(&mut self, index: u32) {
        let (scheduling, _) = self.provision_times(index);
        let has_waited = self.replicas[index as usize].state == ReplicaState::Pending;
        let reason = if has_waited { "there is room for it" } else { "created" };
        match scheduling {
            None => self.arrived_at_node(index),
            Some(time) => self.await_provision(index, (ReplicaState::Pending, time), reason),
        }
    }

    /// A new replica has no place yet: it is there, and waits for one.
    pub(super) fn await_place(&mut self, index: u32) {
        self.replicas[index as usize].state = ReplicaState::Pending;
        self.note_replica(index, if self.nodes.is_empty() { "no zone can hold it" } else { "no node has room for it" });
        self.todo.reconcile.push(self.replicas[index as usize].service);
    }

    /// The node or the image that a new replica waited for is there.
    pub(super) fn provisioned(&mut self, index: u32) {
        self.replicas[index as usize].state_timer = None;
        if self.replicas[index as usize].cut_off {
            return;
        }
        match self.replicas[index as usize].state {
            ReplicaState::Pending => self.arrived_at_node(index),
            _ => self.start_process(index, "its image is there"),
        }
    }

    fn arrived_at_node(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        let is_new = replica.state != ReplicaState::Pending;
        replica.born = Some(self.now);
        self.begin_probing(index, false);
        let (_, pull) = self.provision_times(index);
        let reason = if is_new { "created" } else { "it has a node" };
        match pull {
            None => self.start_process(index, reason),
            Some(time) => self.await_provision(index, (ReplicaState::Pulling, time), reason),
        }
    }

    fn await_provision(&mut self, index: u32, (state, time): (ReplicaState, Span), reason: &str) {
        self.replicas[index as usize].state = state;
        self.note_replica(index, reason);
        let timer = self.schedule_after(time, Due::Provisioned(index));
        self.replicas[index as usize].state_timer = Some(timer);
        self.todo.reconcile.push(self.replicas[index as usize].service);
    }

    /// How long a new replica waits for a node and for its image: the second and the third word of its first start's block.
    fn provision_times(&self, index: u32) -> (Option<Span>, Option<Span>) {
        let replica = &self.replicas[index as usize];
        let life = &self.spec.services[replica.service as usize].life;
        let block = replica.start_up_luck.block(0);
        let time =
            |seconds: &Option<Distribution>, word| seconds.as_ref().map(|seconds| Span::from_seconds_f64(seconds.sample(block.draw(word))));
        (time(&life.scheduling, 1), time(&life.pull, 2))
    }

    /// Starts a process.
    pub(super) fn start_process(&mut self, index: u32, reason: &str) {
        if self.replicas[index as usize].starts == 0 && self.replicas[index as usize].born.is_none() {
            // What kept it from its node is over, such as the loss of its zone.
            self.replicas[index as usize].born = Some(self.now);
            self.begin_probing(index, false);
        }
        if self.replicas[index as usize].starts == 0 && self.has_no_image(index) {
            let replica = &mut self.replicas[index as usize];
            replica.state = ReplicaState::Pulling;
            self.todo.reconcile.push(replica.service);
            return self.note_replica(index, "its image cannot be pulled");
        }
        let now = self.now;
        let seconds = {
            let replica = &self.replicas[index as usize];
            let block = replica.start_up_luck.block(replica.starts);
            self.spec.services[replica.service as usize].start_up.sample(block.draw(0))
        };
        let replica = &mut self.replicas[index as usize];
        replica.state = ReplicaState::Starting;
        replica.hung = false;
        replica.backing_off = false;
        replica.was_there = false;
        replica.cold_since = Some(now);
        replica.started = now;
        replica.starts += 1;
        if let Some(probes) = &mut replica.probes {
            probes.process_started();
        }
        replica.memory.reset(now);
        replica.cpu_seconds_before = replica.cpu.delivered_seconds(now);
        replica.counters.reset();
        self.forget_traffic(index);
        self.forget_called(index);
        self.time_pools(index);
        self.refresh_leaks(index);
        self.read_thread_limit(index);
        self.note_replica(index, reason);
        self.cured_by_start(index);
        self.read_flags(index);
        let timer = self.schedule_after(Span::from_seconds_f64(seconds), Due::StartedUp(index));
        self.replicas[index as usize].state_timer = Some(timer);
        self.process_runs(index);
        self.todo.reconcile.push(self.replicas[index as usize].service);
    }

    /// Whether the image of a replica's version cannot be pulled.
    pub(crate) fn has_no_image(&self, index: u32) -> bool {
        let replica = &self.replicas[index as usize];
        self.spec.services[replica.service as usize].versions[replica.version as usize].has_no_image
    }

    /// Schedules what a process that runs is in for.
    fn process_runs(&mut self, index: u32) {
        self.apply_faults(index);
        self.begin_collecting(index);
        self.refresh_death(index);
        self.refresh_memory(index);
    }

    /// Schedules anew when the process dies of itself.
    pub(super) fn refresh_death(&mut self, index: u32) {
        let mut timer = self.replicas[index as usize].death_timer.take();
        self.cancel(&mut timer);
        let replica = &self.replicas[index as usize];
        if let Some(life) = replica.life.filter(|_| replica.is_running()) {
            let timer = self.schedule((replica.started + life).max(self.now), Due::Death(index));
            self.replicas[index as usize].death_timer = Some(timer);
        }
    }

    /// Schedules anew when the process reaches its memory limit.
    pub(super) fn refresh_memory(&mut self, index: u32) {
        let replica = &self.replicas[index as usize];
        if replica.memory.limit.is_none() {
            return;
        }
        let requests = self.request_memory(index);
        let out = self.replicas[index as usize].memory.out_at(self.now, requests).filter(|_| self.replicas[index as usize].is_running());
        let mut timer = self.replicas[index as usize].memory_timer.take();
        self.cancel(&mut timer);
        if let Some(at) = out {
            let timer = self.schedule(at, Due::OutOfMemory(index));
            self.replicas[index as usize].memory_timer = Some(timer);
        }
    }

    /// The memory of a replica was to reach its limit now; requests that have left since may have put that off.
    pub(super) fn out_of_memory(&mut self, index: u32) {
        self.replicas[index as usize].memory_timer = None;
        let requests = self.request_memory(index);
        if self.replicas[index as usize].memory.out_at(self.now, requests) == Some(self.now) {
            self.process_ended(index, Termination::OutOfMemory, "out of memory");
        } else {
            self.refresh_memory(index);
        }
    }

    /// Sets how fast a replica's memory grows.
    pub(super) fn set_leak(&mut self, index: u32, leak: u64) {
        let now = self.now;
        let memory = &mut self.replicas[index as usize].memory;
        if memory.leak != leak {
            memory.set_leak(now, leak);
            self.refresh_memory(index);
        }
    }

    /// Memory that requests take, bytes.
    pub(crate) fn request_memory(&self, index: u32) -> u64 {
        let replica = &self.replicas[index as usize];
        let requests = u64::from(replica.queued) + replica.begun() as u64;
        requests.saturating_mul(self.services[replica.service as usize].per_request)
    }

    /// A replica's start-up is over: it takes requests from now on, unless it hangs or waits for a probe.
    pub(super) fn started_up(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.state_timer = None;
        if replica.hung {
            return;
        }
        self.consumer_starts(index);
        let replica = &mut self.replicas[index as usize];
        if self.spec.services[replica.service as usize].has_gate() {
            replica.state = ReplicaState::Unready;
            self.note_replica(index, "started up");
        } else {
            self.become_ready(index, "started up");
        }
        self.may_resume(Proxy::Inbound(index));
    }

    /// A replica takes requests from now on.
    pub(super) fn become_ready(&mut self, index: u32, reason: &str) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        replica.state = ReplicaState::Ready;
        replica.ready_changed = Some(now);
        replica.removed_by_action = false;
        self.note_replica(index, reason);
        self.enter_balancing(index);
        self.ready_again(index);
        let service = self.replicas[index as usize].service;
        let min_ready = self.spec.services[service as usize].rollout.min_ready;
        if min_ready > Span::ZERO {
            self.schedule_after(min_ready, Due::Available(service));
        }
    }

    /// A replica takes no new requests for now.
    pub(super) fn become_unready(&mut self, index: u32, reason: &str) {
        self.leave_balancing(index);
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        replica.state = ReplicaState::Unready;
        replica.ready_changed = Some(now);
        self.note_replica(index, reason);
        self.replica_changed(index);
    }

    /// Whether a replica has been ready for as long as its service asks for.
    pub(crate) fn is_available(&self, index: u32) -> bool {
        let replica = &self.replicas[index as usize];
        let min_ready = self.spec.services[replica.service as usize].rollout.min_ready;
        replica.state == ReplicaState::Ready && replica.ready_changed.is_none_or(|since| since + min_ready <= self.now)
    }

    fn enter_balancing(&mut self, index: u32) {
        let now = self.now;
        let number = self.replicas[index as usize].number;
        let service = &mut self.services[self.replicas[index as usize].service as usize];
        let replicas = &self.replicas;
        let place = service.ready.partition_point(|other| replicas[*other as usize].number < number);
        service.ready.insert(place, index);
        service.ready_area.change(now, 1);
        self.endpoint_changed(index, true);
        self.replica_changed(index);
    }

    pub(super) fn leave_balancing(&mut self, index: u32) {
        let now = self.now;
        let service = &mut self.services[self.replicas[index as usize].service as usize];
        if let Some(place) = service.ready.iter().position(|other| *other == index) {
            service.ready.remove(place);
            service.ready_area.change(now, -1);
            self.endpoint_changed(index, false);
        }
    }

    /// What must be looked at again after a replica changed its state.
    pub(super) fn replica_changed(&mut self, index: u32) {
        let service = self.replicas[index as usize].service;
        self.todo.reconcile.push(service);
        self.todo.orders = true;
        self.refresh_removed(service);
    }

    /// The process is no more: nothing is due for it, and what it had is lost.
    fn end_process(&mut self, index: u32, state: ReplicaState) {
        self.leave_balancing(index);
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        if replica.state == ReplicaState::Ready {
            replica.ready_changed = Some(now);
        }
        replica.state = state;
        replica.hung = false;
        self.cancel_timers(index);
        self.forget_probes(index);
        self.consumer_ends(index);
        self.lose_all(index);
        if self.has_databases {
            self.close_connections(index);
        }
        let replica = &mut self.replicas[index as usize];
        replica.cpu.set_speed(now, replica.speed());
        if self.shares_time {
            self.forget_cpu_time(index);
        }
    }

    fn cancel_timers(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        let state = [replica.state_timer.take(), replica.stop_timer.take()];
        let process = [replica.death_timer.take(), replica.memory_timer.take(), replica.probe_timer.take()];
        let timers = state.into_iter().chain(process);
        for mut timer in timers {
            self.cancel(&mut timer);
        }
    }

    /// A process ended that should not have; it is started again after its back-off.
    pub(super) fn process_ended(&mut self, index: u32, why: Termination, reason: &str) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        if !replica.is_running() {
            return;
        }
        let draining = replica.state == ReplicaState::Draining;
        let life = now.since(replica.started);
        replica.last_termination = Some(why);
        replica.out_of_memory += u64::from(why == Termination::OutOfMemory);
        self.end_process(index, ReplicaState::Waiting);
        if draining {
            self.gone(index, reason);
            return;
        }
        let pause = self.replicas[index as usize].backoff.after_crash(life);
        self.note_replica(index, reason);
        if pause == Span::ZERO {
            self.start_process(index, "started again at once");
        } else {
            let timer = self.schedule_after(pause, Due::Restart(index));
            let replica = &mut self.replicas[index as usize];
            replica.backing_off = true;
            replica.state_timer = Some(timer);
        }
        self.replica_changed(index);
    }

    /// A process died with its machine, which is away for so long.
    pub(super) fn process_lost(&mut self, index: u32, away: Span, reason: &str) {
        let replica = &mut self.replicas[index as usize];
        if !replica.is_running() {
            return;
        }
        if replica.state == ReplicaState::Draining {
            return self.process_ended(index, Termination::Error, reason);
        }
        replica.last_termination = Some(Termination::Error);
        self.end_process(index, ReplicaState::Waiting);
        self.note_replica(index, reason);
        let timer = self.schedule_after(away, Due::Restart(index));
        self.replicas[index as usize].state_timer = Some(timer);
        self.replica_changed(index);
    }

    pub(super) fn back_off_over(&mut self, index: u32) {
        self.replicas[index as usize].state_timer = None;
        if self.replicas[index as usize].cut_off {
            return;
        }
        self.start_process(index, "started again after its back-off");
    }

    /// Ends the process of a replica and starts another, by an action. Not for a replica that is lost, draining or gone.
    pub(super) fn restart_replica(&mut self, index: u32, reason: &str) {
        assert!(
            self.replicas[index as usize].is_living() && !self.replicas[index as usize].is_unreachable(),
            "only what lives can be restarted"
        );
        if matches!(self.replicas[index as usize].state, ReplicaState::Pending | ReplicaState::Pulling) {
            // It has no process yet, and comes no sooner by being asked for again.
            return;
        }
        self.consumer_leaves(index);
        self.end_process(index, ReplicaState::Waiting);
        let replica = &mut self.replicas[index as usize];
        replica.removed_by_action = true;
        replica.last_termination = Some(Termination::Error);
        self.start_process(index, reason);
        self.replica_changed(index);
    }

    /// A replica's zone is lost, and it with it.
    pub(super) fn lose_replica(&mut self, index: u32) {
        let draining = self.replicas[index as usize].state == ReplicaState::Draining;
        self.end_process(index, ReplicaState::Waiting);
        self.replicas[index as usize].lost = true;
        self.replicas[index as usize].backing_off = false;
        if draining {
            self.gone(index, "its zone was lost");
        } else {
            self.note_replica(index, "its zone is lost");
            self.replica_changed(index);
        }
    }

    /// A lost replica's zone is back.
    pub(super) fn regain_replica(&mut self, index: u32) {
        self.replicas[index as usize].lost = false;
        if !self.replicas[index as usize].cut_off {
            self.start_process(index, "its zone is back");
            self.replica_changed(index);
        }
    }

    /// A replica's node is lost: it stands still with all that it has, and whatever was due for it is not.
    pub(super) fn cut_off(&mut self, index: u32) {
        self.hang(index);
        let replica = &mut self.replicas[index as usize];
        replica.cut_off = true;
        for mut timer in [replica.death_timer.take(), replica.memory_timer.take(), replica.probe_timer.take()] {
            self.cancel(&mut timer);
        }
    }

    /// A replica's node is back: it starts anew, unless its zone is lost or it was on its way out.
    pub(super) fn reconnect(&mut self, index: u32, reason: &str) {
        let replica = &mut self.replicas[index as usize];
        replica.cut_off = false;
        if replica.lost {
            return;
        }
        if replica.state == ReplicaState::Draining {
            return self.gone(index, reason);
        }
        self.end_process(index, ReplicaState::Waiting);
        self.start_process(index, reason);
        self.replica_changed(index);
    }

    /// Takes a replica out of balancing for good: it is told to stop, after a pause if its service has one, ends what it has, for at most its
    /// grace, and goes.
    pub(super) fn drain_replica(&mut self, index: u32, reason: &str) {
        self.leave_balancing(index);
        self.consumer_leaves(index);
        let replica = &self.replicas[index as usize];
        assert!(replica.is_living(), "only what lives can be drained");
        let life = &self.spec.services[replica.service as usize].life;
        let (grace, pre_stop) = (life.grace, life.pre_stop);
        let takes_requests = matches!(replica.state, ReplicaState::Ready | ReplicaState::Unready);
        if !takes_requests || (pre_stop == Span::ZERO && replica.is_idle()) {
            if takes_requests {
                self.stops_in_order(index);
            }
            self.end_process(index, ReplicaState::Draining);
            self.gone(index, reason);
            return;
        }
        self.cancel_state_timer(index);
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        replica.state = ReplicaState::Draining;
        replica.ready_changed = Some(now);
        replica.leaving = pre_stop == Span::ZERO;
        self.note_replica(index, reason);
        let timer = self.schedule_after(patience(grace, pre_stop), Due::GraceOver(index));
        self.replicas[index as usize].state_timer = Some(timer);
        if pre_stop > Span::ZERO && grace > Span::ZERO {
            let timer = self.schedule_after(pre_stop.min(grace), Due::Stop(index));
            self.replicas[index as usize].stop_timer = Some(timer);
        }
        self.replica_changed(index);
    }

    fn cancel_state_timer(&mut self, index: u32) {
        let mut timer = self.replicas[index as usize].state_timer.take();
        self.cancel(&mut timer);
    }

    /// A draining replica is told to stop: it takes nothing new, and goes once it is idle.
    pub(super) fn told_to_stop(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        replica.stop_timer = None;
        replica.leaving = true;
        self.todo.dispatch.push(index);
    }

    pub(super) fn grace_over(&mut self, index: u32) {
        self.replicas[index as usize].state_timer = None;
        let life = &self.spec.services[self.replicas[index as usize].service as usize].life;
        let (grace, waited) = (life.grace, patience(life.grace, life.pre_stop));
        let reason = if waited == grace {
            format!("its grace of {grace} was over")
        } else {
            format!("its grace of {grace} was over, and the {LEAST_NOTICE} that it has after its `pre_stop`")
        };
        self.gone(index, &reason);
    }

    /// A replica has ended all that it had, and goes.
    pub(super) fn stopped(&mut self, index: u32, reason: &str) {
        self.stops_in_order(index);
        self.gone(index, reason);
    }

    /// A replica is gone for good.
    pub(super) fn gone(&mut self, index: u32, reason: &str) {
        let now = self.now;
        self.end_process(index, ReplicaState::Gone);
        let service = self.replicas[index as usize].service;
        let state = &mut self.services[service as usize];
        state.replicas.retain(|other| *other != index);
        if self.replicas[index as usize].is_placed() {
            state.existing.change(now, -1);
        } else {
            state.unplaced -= 1;
        }
        self.note_replica(index, reason);
        self.forget_views(index);
        if self.has_databases {
            self.member_gone(index);
        }
        self.vacate(index);
        self.target_gone(index);
        self.replica_changed(index);
    }

    /// A process begins to hang: it holds what it has and does nothing.
    pub(super) fn hang(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        if !replica.is_running() || replica.hung {
            return;
        }
        replica.hung = true;
        replica.cpu.set_speed(now, 0.0);
        let watched = replica.state != ReplicaState::Draining;
        self.refresh_cpu(index);
        self.consumer_hangs(index);
        let is_played_out = self.replicas[index as usize].probes.is_some();
        if let Some(to_kill) = self.time_to_kill(index).filter(|_| watched && !is_played_out) {
            let timer = self.schedule_after(to_kill, Due::ProbeFailed(index));
            self.replicas[index as usize].probe_timer = Some(timer);
        }
        if self.has_databases {
            self.member_changed(index);
        }
    }

    /// From now until a process that has begun to hang is killed by its liveness probe; `None` if it has none.
    ///
    /// Probes that are answered change nothing, so only the ones that fail are played out: the next tick and those after it.
    fn time_to_kill(&self, index: u32) -> Option<Span> {
        let replica = &self.replicas[index as usize];
        let liveness = self.spec.services[replica.service as usize].liveness.as_ref()?;
        let period = liveness.period.as_nanos().max(1);
        let passed = (self.now.as_nanos() + period - replica.probe_phase.as_nanos()) % period;
        let to_tick = (period - passed) % period;
        // One that waits for longer than a period has the next ask as soon as it gives up: the ticker keeps one tick for whoever is late.
        let from_one_to_the_next = period.max(liveness.timeout.as_nanos());
        let others = u64::from(liveness.failures.saturating_sub(1));
        Some(Span::from_nanos(to_tick + from_one_to_the_next * others + liveness.timeout.as_nanos()))
    }

    /// A process that hung goes on.
    pub(super) fn wake(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        if !replica.hung || replica.cut_off {
            return;
        }
        replica.hung = false;
        replica.cpu.set_speed(now, replica.speed());
        let mut timer = replica.probe_timer.take();
        let was_starting = replica.state == ReplicaState::Starting && replica.state_timer.is_none();
        self.cancel(&mut timer);
        self.refresh_cpu(index);
        if self.has_databases {
            self.member_changed(index);
        }
        self.go_on(index);
        self.consumer_wakes(index);
        if was_starting {
            self.started_up(index);
        }
    }
}
