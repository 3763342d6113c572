//! What exists and what happens: the state of the world and the one place where it changes.

mod accounts;
mod build;
mod actions;
mod ahead;
mod away;
mod backlog;
mod autoscaling;
mod balancing;
mod calls;
mod callers;
mod clients;
mod collections;
mod consumers;
mod contention;
mod cpu_time;
mod visits;
mod caching;
mod databases;
mod evictions;
mod fail_fast;
mod door;
mod faults;
mod flags;
mod lifecycle;
mod locking;
mod nodes;
mod probes;
mod rollout;
mod disks;
mod threads;
mod restraints;
mod service;
mod traffic;
mod spans;
mod topics;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::action::{ActionResult, Target};
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{Event, Journal};
use firedrill_core::ledger::BIN;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Class, Span, Time};

use crate::cache::Cache;
use crate::lock::Lock;
use crate::probe::ProbeKind;
use crate::queue::{EventQueue, Handle};
use crate::slab::Slab;
use crate::spec::WorldSpec;

pub(crate) use accounts::{CODES, OUTCOMES, UNAVAILABLE};
pub(crate) use autoscaling::Scaling;
pub(crate) use balancing::{View, Views};
pub(crate) use calls::Edge;
pub(crate) use clients::{Client, LONGEST_WAIT};
pub(crate) use databases::{Database, DatabaseFigures};
pub(crate) use lifecycle::{Replica, Termination};
pub(crate) use nodes::Node;
pub(crate) use service::Service;
pub(crate) use topics::Inbox;
pub(crate) use traffic::{ANSWERS, BROKEN, GONE, NO_CONNECTION, NO_HOST, TIMEOUT, Way, Ways};

pub(crate) use actions::Hands;
use actions::{Order, OrderStep};
use ahead::Hop;
use calls::{Call, Failure};
use contention::Contention;
use databases::Brought;
use door::Terms;
use evictions::Evacuation;
use fail_fast::Proxy;
use faults::Disturbance;
use flags::Flags;
use restraints::Laid;
use spans::Spans;
use visits::Visit;
use work::Attempt;

/// Something that is due. Small and plain: slots stand for things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The next request of a client arrives.
    Arrival(u32),
    /// Somebody who makes several requests makes the next one.
    Visit(u32),
    /// An attempt reaches its service after a delay on the way.
    Reach(u32),
    /// A phase of an attempt is done.
    PhaseDone(u32),
    /// A job is done on a replica's shared CPU.
    CpuDone(u32),
    /// A call has been waited for long enough.
    TimedOut(u32),
    /// The pause before a retry is over.
    Retry(u32),
    /// A call has been waited for long enough to be made twice.
    Hedge(u32),
    /// A replica's start-up is over.
    StartedUp(u32),
    /// A replica's back-off is over.
    Restart(u32),
    /// A replica's process dies of itself.
    Death(u32),
    /// A replica's memory reaches its limit.
    OutOfMemory(u32),
    /// A replica has failed its liveness probe often enough.
    ProbeFailed(u32),
    /// A probe ticks.
    Probe(u32, ProbeKind),
    /// A probe asks once more, because it could not at its last tick.
    ProbeAgain(u32, ProbeKind),
    /// A probe of a hanging process has waited for long enough.
    ProbeGivenUp(u32, ProbeKind),
    /// A replica has its place, or its image.
    Provisioned(u32),
    /// A replica that is removed is told to stop.
    Stop(u32),
    /// A replica of a service may have become available.
    Available(u32),
    /// A node has been silent for long.
    NodeSilent(u32),
    /// A process begins to collect garbage, or ends.
    Collect(u32),
    /// The CPU quota of a replica is used up, or its period is over.
    QuotaLook(u32),
    /// A kubelet looks at the memory of its node.
    LookAtMemory(u32),
    /// Evictions that were not allowed are tried again.
    Evict(u32),
    /// A rollout has made no progress for long.
    RolloutStalls(u32),
    /// An autoscaler's figures are read.
    ReadFigures(u32),
    /// An autoscaler decides.
    Autoscale(u32),
    /// A draining replica has had its time.
    GraceOver(u32),
    /// A fault or a benign change sets in.
    FaultStarts(u32),
    /// A fault or a benign change is over.
    FaultEnds(u32),
    /// An order takes its next step.
    Order(u32, OrderStep),
    /// An attempt has been held back at the door of its replica for long enough.
    LetIn(u32),
    /// The kernel of a caller whose connection was not answered asks again.
    Knock(u32),
    /// It has asked for long enough.
    KnockedInVain(u32),
    /// An attempt has waited in a queue for as long as it may.
    WaitedEnough(u32),
    /// The interval of a caller's detection of outliers is over.
    Sweep(u32),
    /// The rest that a caller gives a replica is over.
    RestOver(u32, u32),
    /// A proxy has had nobody for long enough.
    FailsFast(Proxy),
    /// Those who wait in a proxy go on.
    Resumes(Proxy),
    /// A caller comes to know that a replica is ready.
    EndpointJoins(u32, u32),
    /// A caller comes to know that a replica is not ready any more.
    EndpointLeaves(u32, u32),
    /// An attempt has waited for a lock for a while.
    LockWaited(u32),
    /// The failover of a database goes on.
    Failover(u32),
    /// A message of an inbox can be seen again.
    Visible(u32, u32),
    /// A consumer may take again what it has failed on.
    TakeAgain(u32),
    /// A consumer has not asked its inbox for more for long.
    PollOver(u32, u32),
    /// A consumer of an inbox learns that its group is formed anew.
    Learns(u32, u32),
    /// The group of an inbox has waited for long enough.
    GroupWaited(u32),
    /// A member of the group of an inbox has been silent for long.
    MemberSilent(u32, u32),
    /// A value of a flag comes to a replica.
    FlagComes(u32, u32),
    /// The volume of a replica is full.
    DiskFull(u32),
    /// A target is scraped.
    Scrape(u32),
    /// Something goes wrong with monitoring, or is over (`false`).
    MonitoringFault(u32, bool),
    /// Something goes wrong with whoever carries actions out, or is over (`false`).
    ActuatorFault(u32, bool),
}

/// What is left to do before the next event, so that no chain of effects nests deeper than the call graph.
#[derive(Clone, Debug, Default)]
struct Todo {
    /// Replicas where a worker may have become free.
    dispatch: Vec<u32>,
    /// Replicas whose shared CPU has a new next completion.
    cpus: Vec<u32>,
    /// Services whose replicas may differ from what is wanted.
    reconcile: Vec<u32>,
    /// Whether an order under way may have become complete, or a probe has a verdict.
    orders: bool,
    /// What probes have found, and whether it is good.
    verdicts: Vec<(u32, ProbeKind, bool)>,
    /// Attempts that waited for somebody else's miss, the last one first.
    fetched: Vec<(u32, Result<(), Failure>)>,
    /// Calls that go at once, the last one first.
    calls: Vec<u32>,
    /// Callers with a free connection that somebody waits for.
    connections: Vec<callers::Owner>,
    /// What consumers have to do, the last one first.
    errands: Vec<topics::Errand>,
}

impl Todo {
    /// Whether nothing is left; verdicts of probes wait for `orders`. All is looked at in one go, because mostly there is nothing.
    #[inline]
    const fn is_empty(&self) -> bool {
        let (replicas, services) = (self.dispatch.len() | self.cpus.len(), self.reconcile.len());
        let calls = self.fetched.len() | self.calls.len() | self.connections.len();
        replicas | services | calls | self.errands.len() == 0 && !self.orders
    }
}

/// A zone, and whether replicas can stand in it.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) name: Name,
    /// How many zone losses are under way.
    pub(crate) losses: u32,
    /// Whether it was drained on purpose.
    pub(crate) drained: bool,
    /// What is left of its share of the requests; 1 unless traffic was shifted.
    pub(crate) share: f64,
}

impl Zone {
    const fn is_usable(&self) -> bool {
        self.losses == 0 && !self.drained
    }
}

/// One step of a service's programs, laid out one after the other.
#[derive(Clone, Debug)]
enum Step {
    /// CPU work of so many seconds.
    Cpu(Distribution),
    /// A wait of so many seconds.
    Sleep(Distribution),
    /// A call over this edge.
    Call(u32),
    /// Calls over `count` edges from this one on, of which `need` must succeed.
    Parallel { first: u32, count: u32, need: u32, asynchronous: bool },
    /// A look into this cache, and a call over this edge if what is wanted is not there.
    Cache { cache: u32, edge: u32 },
    /// A call over this edge that changes what this cache holds a copy of.
    Update { cache: u32, edge: u32, invalidate: bool },
    /// Take this lock, and wait for it for so long at most; look for a deadlock after so long.
    Lock { lock: u32, timeout: Option<Span>, deadlock_after: Option<Span> },
    /// Give this lock up.
    Unlock(u32),
    /// A message into this topic.
    Publish(u32),
    /// The end of a program: the answer is an error with this probability.
    End(f64),
}

/// Everything that exists.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) spec: Arc<WorldSpec>,
    pub(crate) now: Time,
    pub(crate) journal: Journal,
    pub(crate) queue: EventQueue<Due>,
    pub(crate) seed: Seed,
    pub(crate) zones: Vec<Zone>,
    /// The machines; none if machines are not modelled.
    pub(crate) nodes: Vec<Node>,
    /// What replicas on one machine take from each other; `None` where each has what it needs.
    contention: Option<Box<Contention>>,
    /// Whether more decides about the speed of a CPU than what runs on it.
    shares_time: bool,
    /// Replicas that their kubelets have evicted.
    pub(crate) evicted: Vec<u32>,
    pub(crate) clients: Vec<Client>,
    pub(crate) services: Vec<Service>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) edges: Vec<Edge>,
    /// The edges that probes take which are requests, by service and kind of probe; `NONE` for others.
    probe_edges: Vec<[u32; 3]>,
    views: Views,
    steps: Arc<[Step]>,
    /// What has been looked up of requests before they came, client by client.
    hops: Vec<Hop>,
    calls: Slab<Call>,
    visits: Slab<Visit>,
    /// All caches, those of each service together.
    caches: Vec<Cache>,
    /// All locks, those of each service together.
    locks: Vec<Lock>,
    /// What waits for services that take messages, by topic and service.
    pub(crate) inboxes: Vec<Inbox>,
    attempts: Slab<Attempt>,
    /// Whether any service is a database.
    has_databases: bool,
    /// What attempts bring to databases, by their slots; empty without databases.
    brought: Vec<Brought>,
    /// When a database last answered a read, and how far behind it was then.
    as_of: (Time, Span),
    /// What attempts bring to the doors of replicas, by their slots; empty unless `keeps_terms`.
    terms: Vec<Terms>,
    /// Whether any service has rules for its door.
    keeps_terms: bool,
    /// Connections that nobody answers; `None` if no service has a backlog.
    knocking: Option<Box<backlog::Knocking>>,
    /// Who waits in proxies for somebody to take them; `None` where no service's callers have such.
    proxies: Option<Box<fail_fast::Proxies>>,
    disturbances: Vec<Disturbance>,
    /// The flags, if there are any.
    flags: Option<Box<Flags>>,
    orders: Vec<Order>,
    /// Those of them that wait for something to become complete, in the order in which they were given.
    open: Vec<u32>,
    /// What actions have laid on the system and not lifted yet.
    laid: Vec<Laid>,
    /// Whether the zones get other shares of the requests than their replicas would.
    shifts_traffic: bool,
    /// The greatest token under which anybody has acted, by lock.
    fences: BTreeMap<Target, u64>,
    evacuations: Vec<Evacuation>,
    /// Results that the automation has not been told yet.
    pub(crate) results: Vec<ActionResult>,
    /// Replicas that the scraper has not been told of yet.
    pub(crate) born: Vec<u32>,
    todo: Todo,
    events: u64,
    /// The event with which the run ends at the latest; 0 once there is too much in the journal.
    last_event: u64,
    next_bin: Time,
    /// Whether the counters that only telemetry reads are kept.
    counting: bool,
    /// Who calls whom, where a profile tells what became of attempts.
    ways: Option<Box<Ways>>,
    /// What is told of a sample of requests, if anybody asks.
    spans: Option<Box<Spans>>,
}

impl World {
    /// Schedules something of the world's own.
    #[inline]
    fn schedule(&mut self, at: Time, due: Due) -> Handle {
        self.queue.schedule(at, Class::World, due)
    }

    #[inline]
    fn schedule_after(&mut self, span: Span, due: Due) -> Handle {
        self.schedule(self.now + span, due)
    }

    fn cancel(&mut self, handle: &mut Option<Handle>) {
        if let Some(handle) = handle.take() {
            self.queue.cancel(handle);
        }
    }

    fn write(&mut self, event: Event) {
        self.journal.write(self.now, event);
        if self.journal.records().len() as u64 > self.spec.bounds.records {
            self.last_event = 0;
        }
    }

    /// Makes happen what is due at `at`, with all that follows from it at once.
    ///
    /// The result is the bound that was reached, if one was.
    #[inline]
    pub(crate) fn apply(&mut self, at: Time, due: Due) -> Option<&'static str> {
        while at >= self.next_bin {
            self.close_bins();
            self.next_bin += BIN;
            if self.keeps_terms {
                self.note_open_doors(at);
            }
            self.note_backlogs(at);
        }
        self.now = at;
        self.events += 1;
        match due {
            // The most frequent ones, so few that they are told apart without a table of jumps.
            Due::Arrival(client) => self.arrive(client),
            Due::PhaseDone(attempt) => self.phase_done(attempt),
            Due::CpuDone(replica) => self.cpu_done(replica),
            other => self.apply_other(other),
        }
        self.settle();
        self.bound_reached()
    }

    #[inline(never)]
    fn apply_other(&mut self, due: Due) {
        match due {
            Due::Reach(attempt) => self.reach(attempt),
            Due::TimedOut(call) => self.timed_out(call),
            Due::Retry(call) => self.retry(call),
            other => self.apply_rare(other),
        }
    }

    #[cold]
    fn apply_rare(&mut self, due: Due) {
        match due {
            Due::StartedUp(replica) => self.started_up(replica),
            Due::Restart(replica) => self.back_off_over(replica),
            Due::Death(replica) => self.process_ended(replica, Termination::Error, "it crashed"),
            Due::OutOfMemory(replica) => self.out_of_memory(replica),
            Due::ProbeFailed(replica) => self.process_ended(replica, Termination::Error, "its liveness probe failed"),
            Due::Probe(replica, kind) => self.probe_ticks(replica, kind),
            Due::ProbeAgain(replica, kind) => self.probe_now(replica, kind),
            Due::ProbeGivenUp(replica, kind) => self.probe_given_up(replica, kind),
            Due::Provisioned(replica) => self.provisioned(replica),
            Due::Stop(replica) => self.told_to_stop(replica),
            Due::Available(service) => self.todo.reconcile.push(service),
            Due::NodeSilent(node) => self.node_silent(node),
            Due::Collect(replica) => self.collect(replica),
            Due::QuotaLook(replica) => self.quota_look(replica),
            Due::LookAtMemory(node) => self.look_at_memory(node),
            Due::Evict(evacuation) => drop(self.evict_some(evacuation)),
            Due::RolloutStalls(service) => self.rollout_stalls(service),
            Due::ReadFigures(service) => self.read_figures(service),
            Due::Autoscale(service) => self.autoscale(service),
            Due::GraceOver(replica) => self.grace_over(replica),
            Due::FaultStarts(index) => self.fault_starts(index),
            Due::FaultEnds(index) => self.fault_ends(index, "its time was up"),
            Due::Order(order, step) => self.order_due(order, step),
            Due::LetIn(attempt) => self.let_in(attempt),
            Due::Knock(attempt) => self.knock(attempt),
            Due::KnockedInVain(attempt) => self.knocked_in_vain(attempt),
            Due::WaitedEnough(attempt) => self.waited_enough(attempt),
            Due::Sweep(view) => self.sweep(view),
            Due::RestOver(view, replica) => self.rest_over(view, replica),
            Due::FailsFast(proxy) => self.fails_fast(proxy),
            Due::Resumes(proxy) => self.resumes(proxy),
            Due::EndpointJoins(view, replica) => self.tell_view(view, replica, true),
            Due::EndpointLeaves(view, replica) => self.tell_view(view, replica, false),
            Due::Hedge(call) => self.hedge(call),
            Due::Visit(visit) => self.visit(visit),
            Due::LockWaited(attempt) => self.lock_waited(attempt),
            Due::Failover(service) => self.failover_due(service),
            Due::Visible(inbox, hidden) => self.visible(inbox, hidden),
            Due::TakeAgain(replica) => self.todo.errands.push(topics::Errand::Take(replica)),
            Due::PollOver(inbox, replica) => self.poll_over(inbox, replica),
            Due::Learns(inbox, replica) => self.learns(inbox, replica),
            Due::GroupWaited(inbox) => self.group_waited(inbox),
            Due::MemberSilent(inbox, member) => self.member_silent(inbox, member),
            Due::FlagComes(flag, sent) => self.flag_comes(flag, sent),
            Due::DiskFull(replica) => self.disk_full(replica),
            Due::Scrape(_) | Due::MonitoringFault(..) | Due::ActuatorFault(..) => unreachable!("what monitoring does is not the world's"),
            Due::Arrival(_) | Due::Reach(_) | Due::PhaseDone(_) | Due::CpuDone(_) | Due::TimedOut(_) | Due::Retry(_) => {
                unreachable!("frequent events are applied by the caller")
            }
        }
    }

    /// Works off what the event left to do, until nothing is left.
    #[inline]
    fn settle(&mut self) {
        while !self.todo.is_empty() {
            if let Some(replica) = self.todo.dispatch.pop() {
                self.dispatch(replica);
            } else if let Some(service) = self.todo.reconcile.pop() {
                self.reconcile(service);
            } else if let Some(replica) = self.todo.cpus.pop() {
                self.refresh_cpu(replica);
            } else if let Some((attempt, result)) = self.todo.fetched.pop() {
                self.go_on_with(attempt, result);
            } else if let Some(call) = self.todo.calls.pop() {
                self.send(call);
            } else if let Some(owner) = self.todo.connections.pop() {
                self.hand_over(owner);
            } else if let Some(errand) = self.todo.errands.pop() {
                self.run_errand(errand);
            } else {
                self.todo.orders = false;
                self.carry_out_verdicts();
                self.check_orders();
            }
        }
    }

    #[inline]
    fn bound_reached(&self) -> Option<&'static str> {
        if self.events >= self.last_event {
            return Some(if self.events >= self.spec.bounds.events { "events" } else { "records" });
        }
        if self.attempts.len() as u64 > self.spec.bounds.attempts {
            return Some("attempts");
        }
        None
    }

    /// Events that the world has processed.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// Attempts in the system.
    pub(crate) const fn attempts_open(&self) -> usize {
        self.attempts.len()
    }
}
