//! Databases: who takes writes and who reads, the connections of callers, what standbys have not got yet, and failovers (docs/MODEL.md 1.7).

use firedrill_core::action::Target;
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, below, hash64};
use firedrill_core::time::{Span, Time};

use crate::failover::{Deed, Failover};
use crate::queue::Handle;
use crate::replication::{Follower, Pace};
use crate::slab::NONE;
use crate::spec::{Access, Balance, Commit, DatabaseSpec, FaultKind, ServiceSpec};
use crate::world::balancing::{Heard, pair};
use crate::world::callers::Owner;
use crate::world::calls::Failure;
use crate::world::work::State;
use crate::world::{Due, Step, World};

/// The words of a failover's block: how long until the primary is given up, another is promoted, and callers know it.
const DETECT_WORD: usize = 0;
const PROMOTE_WORD: usize = 1;
const RECONNECT_WORD: usize = 2;

/// A replica that has refused no connection for so long refuses none.
const OPEN_AGAIN: Span = Span::from_seconds(10);

/// A database as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// The replica that takes writes; `NONE` while there is none.
    primary: u32,
    /// Whether callers reach it.
    reachable: bool,
    /// All replicas, by number.
    members: Vec<Member>,
    failover: Failover,
    timer: Option<Handle>,
    /// Failovers begun or ordered, for their luck.
    failovers: u64,
    luck: Stream,
    /// Writes that were made and are lost.
    pub(crate) lost_writes: u64,
    /// Reads that were answered with what was out of date.
    pub(crate) stale_reads: u64,
}

/// One replica of a database.
#[derive(Clone, Debug)]
struct Member {
    replica: u32,
    /// Whether it takes requests and answers them.
    is_up: bool,
    /// It was the primary, was given up, and has not come back.
    is_deposed: bool,
    /// What it does not have of the primary's writes; everything if it is the primary.
    follower: Follower,
    /// Connections that wait for a request, by their pool, sorted.
    idle: Vec<(u64, u32)>,
    /// Writes made and reads answered by the present process.
    commits: u64,
    /// Connections refused since it began to refuse them; zero while it does not.
    refused: u64,
    last_refused: Time,
}

/// What an attempt brings to a database, by its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brought {
    /// Whose it is: a slot is used again and again.
    hop: u64,
    access: Access,
    /// The pool that its connection belongs to.
    pool: Option<u64>,
}

const NOTHING_BROUGHT: Brought = Brought { hop: 0, access: Access::Read, pool: None };

/// What monitoring sees of one replica of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseFigures {
    pub(crate) is_up: bool,
    pub(crate) is_primary: bool,
    pub(crate) active: u32,
    pub(crate) idle: u32,
    pub(crate) lag: Span,
    pub(crate) commits: u64,
}

impl Member {
    fn new(replica: u32, is_up: bool, pace: Pace) -> Self {
        Self {
            replica,
            is_up,
            is_deposed: false,
            follower: Follower::new(pace),
            idle: Vec::new(),
            commits: 0,
            refused: 0,
            last_refused: Time::ZERO,
        }
    }

    fn idle(&self) -> u32 {
        self.idle.iter().map(|(_, count)| count).sum()
    }

    /// Takes a connection of a pool that waits for a request, if there is one.
    fn reuse(&mut self, pool: u64) -> bool {
        let Ok(place) = self.idle.binary_search_by_key(&pool, |(owner, _)| *owner) else { return false };
        self.idle[place].1 -= 1;
        if self.idle[place].1 == 0 {
            self.idle.remove(place);
        }
        true
    }

    /// A connection of a pool waits for its next request.
    fn keep(&mut self, pool: u64) {
        match self.idle.binary_search_by_key(&pool, |(owner, _)| *owner) {
            Ok(place) => self.idle[place].1 += 1,
            Err(place) => self.idle.insert(place, (pool, 1)),
        }
    }
}

impl Database {
    pub(super) fn new(service: &ServiceSpec, seed: Seed) -> Self {
        Self {
            primary: NONE,
            reachable: true,
            members: Vec::new(),
            failover: Failover::default(),
            timer: None,
            failovers: 0,
            luck: Stream::new(seed, Purpose::Fault, hash64(&service.name)),
            lost_writes: 0,
            stale_reads: 0,
        }
    }

    fn member(&mut self, replica: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.replica == replica)
    }

    /// The replica that is its primary; `None` while there is none.
    pub(crate) fn primary(&self) -> Option<u32> {
        (self.primary != NONE).then_some(self.primary)
    }

    /// Whether a primary is there and callers reach it, and nothing is under way.
    pub(super) fn is_steady(&self) -> bool {
        self.primary != NONE && self.reachable && self.failover.is_steady()
    }
}

/// Which pool an owner's is.
const fn pool_key(owner: Owner) -> u64 {
    match owner {
        Owner::Client(client) => (u32::MAX as u64) << 32 | client as u64,
        Owner::Replica(replica, local) => (replica as u64) << 32 | local as u64,
    }
}

impl World {
    fn database(&mut self, service: u32) -> &mut Database {
        self.services[service as usize].database.as_mut().expect("only databases come here")
    }

    fn database_spec(&self, service: u32) -> &DatabaseSpec {
        self.spec.services[service as usize].database.as_deref().expect("only databases come here")
    }

    /// The replica of a database for an attempt, with a connection to it.
    pub(super) fn route_in_database(&mut self, slot: u32) -> Result<u32, Failure> {
        let (service, call) = (self.attempts[slot].service, self.attempts[slot].call);
        let (access, pool) = if call == NONE {
            // Nobody waits any more; what it would have changed nobody can tell.
            (Access::Read, None)
        } else {
            (self.edges[self.first_of(call).edge as usize].access, self.pool_of(call).map(pool_key))
        };
        let standby =
            if access == Access::Read && self.database_spec(service).reads_from_standbys { self.choose_standby(slot) } else { None };
        let replica = match standby {
            Some(standby) => standby,
            None => self.reach_primary(service)?,
        };
        self.connect_to(slot, replica, pool)?;
        let brought = Brought { hop: self.attempts[slot].hop, access, pool };
        if self.brought.len() <= slot as usize {
            self.brought.resize(slot as usize + 1, NOTHING_BROUGHT);
        }
        self.brought[slot as usize] = brought;
        Ok(replica)
    }

    /// The primary, as callers reach it.
    fn reach_primary(&self, service: u32) -> Result<u32, Failure> {
        let state = &self.services[service as usize];
        let database = state.database.as_ref().expect("only databases come here");
        let found = database.primary != NONE && database.reachable && state.ready.contains(&database.primary);
        if found { Ok(database.primary) } else { Err(Failure::Unreachable) }
    }

    /// One of the standbys that take requests. Who was given up as the primary is none of them before it is back.
    fn choose_standby(&mut self, slot: u32) -> Option<u32> {
        let (service, luck, call) = (self.attempts[slot].service, self.attempts[slot].luck.route, self.attempts[slot].call);
        let database = self.database(service);
        let primary = database.primary;
        let deposed: Vec<u32> = database.members.iter().filter(|member| member.is_deposed).map(|member| member.replica).collect();
        let is_standby = |replica: &&u32| **replica != primary && !deposed.contains(replica);
        let count = self.services[service as usize].ready.iter().filter(is_standby).count();
        let nth = |world: &Self, index: usize| {
            let standbys = world.services[service as usize].ready.iter().filter(is_standby);
            standbys.copied().nth(index).expect("there are so many standbys")
        };
        match (count, self.spec.services[service as usize].balance) {
            (0, _) => None,
            (1, _) => Some(nth(self, 0)),
            (_, Balance::PowerOfTwo) => {
                let (first, second) = pair(luck, count);
                let (first, second) = (nth(self, first), nth(self, second));
                let load = |replica: u32| self.replicas[replica as usize].load();
                Some(if load(second) < load(first) { second } else { first })
            }
            (_, Balance::RoundRobin) if call != NONE => {
                let place = self.take_turn(call, count as u32) as usize;
                Some(nth(self, place))
            }
            _ => Some(nth(self, below(luck, count as u64) as usize)),
        }
    }

    /// Takes a connection for an attempt: one of its pool that waits, or a new one, if the replica has room for it.
    fn connect_to(&mut self, slot: u32, index: u32, pool: Option<u64>) -> Result<(), Failure> {
        let now = self.now;
        let service = self.attempts[slot].service;
        let (most, cost) = (self.database_spec(service).max_connections, self.database_spec(service).connect_seconds);
        let replica = &self.replicas[index as usize];
        let busy = replica.queued + replica.begun() as u32;
        let Some(member) = self.database(service).member(index) else { return Ok(()) };
        if pool.is_some_and(|pool| member.reuse(pool)) {
            return Ok(());
        }
        if busy + member.idle() >= most {
            member.refused += 1;
            member.last_refused = now;
            let is_first = member.refused == 1;
            if self.counting {
                let endpoint = self.attempts[slot].endpoint as usize;
                self.replicas[index as usize].counters.requests[endpoint][Failure::QueueFull.code()] += 1;
            }
            // It has answered, and nobody else is to be taken for who did.
            self.attempts[slot].replica = index;
            if is_first {
                self.note_refusals(index, true, format!("all {most} connections are taken"));
            }
            return Err(Failure::QueueFull);
        }
        if member.refused > 0 && now.since(member.last_refused) >= OPEN_AGAIN {
            let refused = std::mem::take(&mut member.refused);
            self.note_refusals(index, false, format!("{refused} refused"));
        }
        let program = self.services[service as usize].programs[self.attempts[slot].endpoint as usize];
        if pool.is_some() && matches!(self.steps[program as usize], Step::Cpu(_)) {
            self.attempts[slot].add_to_first(cost);
        }
        Ok(())
    }

    fn note_refusals(&mut self, index: u32, sheds: bool, figures: String) {
        let replica = self.replicas[index as usize].name.clone();
        self.write(Event::SheddingChanged { replica, sheds, figures });
    }

    /// An attempt at a database has been answered: its connection waits for the next one, and what it did is done.
    pub(super) fn answered_by_database(&mut self, slot: u32, heard: Heard) {
        let Heard::Code(code) = heard else { return };
        let Some(brought) = self.brought.get_mut(slot as usize) else { return };
        let attempt = &self.attempts[slot];
        if brought.hop != attempt.hop {
            return;
        }
        let Brought { access, pool, .. } = std::mem::replace(brought, NOTHING_BROUGHT);
        let (service, index, waits) = (attempt.service, attempt.replica, attempt.call != NONE);
        let is_done = attempt.state == State::Working;
        if let Some(pool) = pool.filter(|_| waits)
            && let Some(member) = self.database(service).member(index)
        {
            member.keep(pool);
        }
        if is_done && code == 0 {
            self.took_effect(service, index, access);
        }
    }

    /// A write is made, or a read is answered.
    fn took_effect(&mut self, service: u32, index: u32, access: Access) {
        let now = self.now;
        let stale_after = self.database_spec(service).stale_after;
        let database = self.database(service);
        if let Some(member) = database.member(index) {
            member.commits += 1;
        }
        let primary = database.primary;
        match access {
            Access::Write => {
                database.members.iter_mut().filter(|member| member.replica != primary).for_each(|member| member.follower.committed(now))
            }
            Access::Read if index == primary => self.as_of = (now, Span::ZERO),
            Access::Read => {
                let lag = database.member(index).map_or(Span::ZERO, |member| member.follower.lag(now));
                database.stale_reads += u64::from(lag > stale_after);
                self.as_of = (now, lag);
            }
        }
    }

    /// The replicas that a database has at the start: the first of them is the primary.
    pub(super) fn begin_database(&mut self, service: u32) {
        if self.services[service as usize].database.is_none() {
            return;
        }
        let pace = self.pace(service, NONE);
        let replicas = self.services[service as usize].replicas.clone();
        let database = self.database(service);
        database.primary = replicas.first().copied().unwrap_or(NONE);
        database.members = replicas.into_iter().map(|replica| Member::new(replica, true, pace)).collect();
    }

    /// How fast a replica follows, with the faults of the moment.
    fn pace(&self, service: u32, index: u32) -> Pace {
        let spec = self.database_spec(service);
        let lags = self.active_faults().filter_map(|kind| match kind {
            FaultKind::ReplicaLag { target, lag } if index != NONE && self.strikes(target, index) => Some(*lag),
            _ => None,
        });
        Pace { lag: lags.fold(spec.lag, Span::max), apply: spec.apply }
    }

    /// A fault of replication has begun or ended.
    pub(super) fn refresh_paces(&mut self, target: &Target) {
        let now = self.now;
        for index in self.matching(target) {
            let service = self.replicas[index as usize].service;
            if self.services[service as usize].database.is_none() {
                continue;
            }
            let pace = self.pace(service, index);
            if let Some(member) = self.database(service).member(index) {
                member.follower.set_pace(now, pace);
            }
        }
    }

    /// A replica of a database may have come or gone.
    pub(super) fn member_changed(&mut self, index: u32) {
        let service = self.replicas[index as usize].service;
        if self.services[service as usize].database.is_none() {
            return;
        }
        let is_up = self.services[service as usize].ready.contains(&index) && !self.replicas[index as usize].hung;
        let pace = self.pace(service, index);
        let database = self.database(service);
        match database.member(index) {
            // A new one begins with a copy of everything.
            None if is_up => database.members.push(Member::new(index, true, pace)),
            None => return,
            Some(member) if member.is_up == is_up => return,
            Some(member) => {
                member.is_up = is_up;
                member.is_deposed &= !is_up;
            }
        }
        if database.primary == index {
            if is_up { self.primary_back(service) } else { self.primary_lost(service) }
        } else if !is_up && database.failover.candidate() == Some(index) {
            self.note_primary(service, "waiting", Some(index), "who was to be promoted is lost too".to_owned());
            self.elect(service);
        } else if is_up && database.failover.waits() {
            self.elect(service);
        }
        self.refresh_followers(service);
    }

    /// A replica of a database stops in order: a primary waits until its standbys have all that it has.
    pub(super) fn stops_in_order(&mut self, index: u32) {
        let service = self.replicas[index as usize].service;
        let Some(database) = &mut self.services[service as usize].database else { return };
        if database.primary == index {
            database.members.iter_mut().filter(|member| member.is_up).for_each(|member| member.follower.has_all());
        }
    }

    /// A replica of a database is gone for good.
    pub(super) fn member_gone(&mut self, index: u32) {
        let service = self.replicas[index as usize].service;
        let Some(database) = &mut self.services[service as usize].database else { return };
        database.members.retain(|member| member.replica != index);
        if database.primary != index {
            return;
        }
        database.primary = NONE;
        // Whoever took it away knows, so nobody has to find out.
        if database.failover.order().is_ok() {
            database.failovers += 1;
            self.elect(service);
        }
    }

    /// Standbys follow as long as they and their primary are up.
    fn refresh_followers(&mut self, service: u32) {
        let now = self.now;
        let database = self.database(service);
        let primary = database.primary;
        let has_primary = database.members.iter().any(|member| member.replica == primary && member.is_up);
        for member in database.members.iter_mut().filter(|member| member.replica != primary) {
            let follows = has_primary && member.is_up;
            if follows && member.follower.stands() {
                member.follower.go_on(now);
            } else if !follows && !member.follower.stands() {
                member.follower.stop(now);
            }
        }
    }

    fn failover_span(&self, service: u32, word: usize) -> Span {
        let database = self.services[service as usize].database.as_ref().expect("only databases come here");
        let block = database.luck.block(database.failovers);
        let spec = &self.database_spec(service).failover;
        let seconds = match word {
            DETECT_WORD => &spec.detect,
            PROMOTE_WORD => &spec.promote,
            _ => &spec.reconnect,
        };
        Span::from_seconds_f64(seconds.sample(block.draw(word)))
    }

    fn primary_lost(&mut self, service: u32) {
        let now = self.now;
        let primary = self.database(service).primary;
        self.database(service).failovers += 1;
        let detect = self.database_spec(service).failover.is_automatic.then(|| self.failover_span(service, DETECT_WORD));
        if self.database(service).failover.lost(now, detect) {
            self.database(service).reachable = true;
            let figures = match detect {
                _ if self.replicas[primary as usize].state == ReplicaState::Draining => {
                    "it stops, and another follows once it has".to_owned()
                }
                None => "nobody watches it".to_owned(),
                Some(detect) => format!("it is given up after {detect}"),
            };
            self.note_primary(service, "lost", Some(primary), figures);
            self.set_failover_timer(service);
        }
    }

    fn primary_back(&mut self, service: u32) {
        let primary = self.database(service).primary;
        self.database(service).failover.back();
        self.set_failover_timer(service);
        self.note_primary(service, "back", Some(primary), "it was not given up".to_owned());
    }

    fn set_failover_timer(&mut self, service: u32) {
        let mut timer = self.database(service).timer.take();
        self.cancel(&mut timer);
        if let Some(at) = self.database(service).failover.due() {
            let timer = self.schedule(at, Due::Failover(service));
            self.database(service).timer = Some(timer);
        }
    }

    /// A failover goes on.
    pub(super) fn failover_due(&mut self, service: u32) {
        let now = self.now;
        let database = self.database(service);
        database.timer = None;
        match database.failover.advance(now) {
            Deed::Elect => self.elect(service),
            Deed::Promote(replica) => self.promote(service, replica),
            Deed::Reach => {
                database.reachable = true;
                let primary = database.primary;
                self.todo.orders = true;
                self.set_failover_timer(service);
                self.note_primary(service, "reached", Some(primary), "callers know it".to_owned());
            }
        }
    }

    /// Chooses the standby that has most of the primary's writes; the first of several.
    fn elect(&mut self, service: u32) {
        let now = self.now;
        let database = self.database(service);
        let old = database.primary;
        let candidates = database.members.iter_mut().filter(|member| member.is_up && member.replica != old);
        let chosen = candidates.map(|member| (member.follower.missing(now), member.replica)).min();
        let Some((missing, chosen)) = chosen else {
            self.database(service).failover.elected(now, None);
            self.set_failover_timer(service);
            self.note_primary(service, "waiting", None, "no standby can take its place".to_owned());
            return;
        };
        let promote = self.failover_span(service, PROMOTE_WORD);
        let database = self.database(service);
        if let Some(member) = database.member(old) {
            member.is_deposed = !member.is_up;
        }
        database.failover.elected(now, Some((chosen, promote)));
        database.primary = NONE;
        database.reachable = false;
        self.set_failover_timer(service);
        let figures = format!("it has all but {missing} of the writes, and is promoted within {promote}");
        self.note_primary(service, "promoting", Some(chosen), figures);
        if old != NONE {
            // It has all writes, and must take no more.
            self.refresh_followers(service);
            self.reset_connections(service, Some(old));
        }
        self.refresh_followers(service);
    }

    /// A standby is the primary from now on; everybody is disconnected.
    fn promote(&mut self, service: u32, chosen: u32) {
        let now = self.now;
        let reconnect = self.failover_span(service, RECONNECT_WORD);
        let keeps_all = self.database_spec(service).commit == Commit::Replicated;
        let pace = self.pace(service, chosen);
        let database = self.database(service);
        let missing = database.member(chosen).map_or(0, |member| member.follower.missing(now));
        let lost = if keeps_all { 0 } else { missing };
        for member in &mut database.members {
            member.follower.forget_newest(lost);
        }
        if let Some(member) = database.member(chosen) {
            member.follower = Follower::new(pace);
        }
        database.primary = chosen;
        database.lost_writes += lost;
        database.failover.promoted(now, reconnect);
        self.replicas[chosen as usize].cold_since = Some(now);
        self.set_failover_timer(service);
        let lost_writes = firedrill_core::words::counted(lost, "write");
        self.note_change(service, "promoted", Some(chosen), (format!("{lost_writes} lost; callers know it within {reconnect}"), lost));
        self.refresh_followers(service);
        self.reset_connections(service, None);
    }

    /// Disconnects everybody from a replica of a database, or from all: what is under way there is lost.
    fn reset_connections(&mut self, service: u32, only: Option<u32>) {
        let database = self.database(service);
        let reset = database.members.iter_mut().filter(|member| only.is_none_or(|only| only == member.replica));
        let reset: Vec<u32> = reset
            .map(|member| {
                member.idle.clear();
                member.replica
            })
            .collect();
        for index in reset {
            self.lose_all(index);
            self.sessions_ended(index);
            self.todo.dispatch.push(index);
        }
    }

    /// Lets a standby take the place of the primary; the error says why it cannot.
    pub(super) fn order_failover(&mut self, service: u32) -> Result<(), String> {
        let name = self.spec.services[service as usize].name.clone();
        let Some(database) = &mut self.services[service as usize].database else {
            return Err(format!("{name} is no database"));
        };
        let primary = database.primary;
        if !database.members.iter().any(|member| member.is_up && member.replica != primary) {
            return Err(format!("no standby of {name} can take the place of its primary"));
        }
        database.failover.order()?;
        database.failovers += 1;
        self.elect(service);
        Ok(())
    }

    /// How many times as long a wait of an attempt takes because its database does not have in memory what it needs.
    pub(super) fn coldness(&self, slot: u32) -> f64 {
        let attempt = &self.attempts[slot];
        match self.services[attempt.service as usize].database {
            Some(_) => self.replicas[attempt.replica as usize].coldness(self.now),
            None => 1.0,
        }
    }

    /// The process of a replica has ended, and with it the connections on both sides.
    pub(super) fn close_connections(&mut self, index: u32) {
        let own = self.replicas[index as usize].service;
        for service in 0..self.services.len() as u32 {
            let Some(database) = &mut self.services[service as usize].database else { continue };
            for member in &mut database.members {
                if member.replica == index {
                    member.idle.clear();
                    member.commits = 0;
                } else if service != own {
                    member.idle.retain(|(pool, _)| pool >> 32 != u64::from(index));
                }
            }
        }
    }

    /// The connections of a pool that wait for a request are closed.
    pub(super) fn forget_idle(&mut self, owner: Owner) {
        let key = pool_key(owner);
        let databases = self.services.iter_mut().filter_map(|service| service.database.as_mut());
        databases.flat_map(|database| &mut database.members).for_each(|member| member.idle.retain(|(pool, _)| *pool != key));
    }

    /// The primary of a database, whoever knows it.
    pub(super) fn primary_of(&self, service: u32) -> Option<u32> {
        let database = self.services[service as usize].database.as_ref()?;
        Some(database.primary).filter(|primary| *primary != NONE)
    }

    /// What monitoring sees of a replica, if it is one of a database.
    pub(crate) fn database_figures(&self, index: u32) -> Option<DatabaseFigures> {
        let replica = &self.replicas[index as usize];
        let database = self.services[replica.service as usize].database.as_ref()?;
        let member = database.members.iter().find(|member| member.replica == index);
        let is_primary = database.primary == index;
        let lag = member.filter(|_| !is_primary).map_or(Span::ZERO, |member| member.follower.lag(self.now));
        Some(DatabaseFigures {
            is_up: member.is_some_and(|member| member.is_up),
            is_primary,
            active: replica.queued + replica.begun() as u32,
            idle: member.map_or(0, Member::idle),
            lag,
            commits: member.map_or(0, |member| member.commits),
        })
    }

    fn note_primary(&mut self, service: u32, state: &str, replica: Option<u32>, figures: String) {
        self.note_change(service, state, replica, (figures, 0));
    }

    fn note_change(&mut self, service: u32, state: &str, replica: Option<u32>, (figures, lost_writes): (String, u64)) {
        let replica = replica.map(|replica| self.replicas[replica as usize].name.clone());
        let service = self.spec.services[service as usize].name.clone();
        self.write(Event::PrimaryChanged { service, replica, state: Name::new(state), figures, lost_writes });
    }
}
