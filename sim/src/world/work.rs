//! Attempts at a replica: admission, queue, worker, the phases of their program, and their end.

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::quantity::Ratio;
use firedrill_core::random::{Block, Threshold, mix64};
use firedrill_core::time::{Span, Time};

use crate::cpu::Reading;
use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{Access, Cancel};
use crate::world::ahead::{Luck, PHASE_WORD, PHASES};
use crate::world::balancing::Heard;
use crate::world::calls::{Call, Failure, Origin};
use crate::world::{Due, Edge, Step, World};

/// How many phases have a word in the block of their hop.
const PHASES_IN_BLOCK: u32 = (Block::WORDS - PHASE_WORD) as u32;

/// Where an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has not reached its service.
    OnTheWay,
    /// It waits for a worker.
    Queued,
    /// It was thrown out of the queue; its slot is freed when the queue comes to it.
    Dropped,
    /// A worker has it; it sleeps or waits for a call.
    Working,
    /// A worker has it; it runs on the CPU.
    OnCpu,
    /// It has given up its worker until an answer comes.
    Away,
    /// The answer that it gave up its worker for has come, and it waits for one.
    Back,
}

/// One attempt at one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The reading of the CPU's clock when the present CPU phase began.
    entered: Reading,
    /// Hash of the request that it belongs to.
    pub(super) request: u64,
    /// Its own index in all that luck decides.
    pub(super) hop: u64,
    /// What luck says of it.
    pub(super) luck: Luck,
    /// Where that had been looked up, with what it calls; `NONE` if nowhere.
    ahead: u32,
    pub(super) arrived: Time,
    pub(super) began: Time,
    /// What the present CPU phase asks for.
    demand: Span,
    /// What it waits for: the end of its way, of a sleep, or of CPU work on a core of its own.
    pub(super) timer: Option<Handle>,
    /// The call to answer; `NONE` once its caller has given up.
    pub(super) call: u32,
    /// The first of the calls that it waits for.
    pub(super) child: u32,
    /// How many of them have not returned; zero once it knows how it goes on.
    pub(super) open: u16,
    /// How many of them must still succeed.
    pub(super) need: u16,
    pub(super) service: u32,
    pub(super) replica: u32,
    pub(super) endpoint: u32,
    /// The first step of its program.
    pub(super) program: u32,
    /// The phase of its program, counted from 0.
    pub(super) phase: u32,
    /// Its place among those in service at its replica.
    pub(super) place: u32,
    pub(super) state: State,
}

impl Attempt {
    /// An attempt on its way, for a request, a call, and the place where it was looked up.
    #[inline(always)]
    pub(super) fn new((request, call, ahead): (u64, u32, u32), hop: u64, edge: &Edge, luck: Luck) -> Self {
        Self {
            entered: 0,
            request,
            hop,
            luck,
            ahead,
            arrived: Time::ZERO,
            began: Time::ZERO,
            demand: Span::ZERO,
            timer: None,
            call,
            child: NONE,
            open: 0,
            need: 0,
            service: edge.service,
            replica: NONE,
            endpoint: edge.endpoint,
            program: edge.program,
            phase: 0,
            place: 0,
            state: State::OnTheWay,
        }
    }

    /// Where the hop of a call that it makes has been looked up.
    #[inline]
    fn ahead_of(&self, edge: &Edge) -> u32 {
        if self.ahead == NONE || edge.ahead == NONE { NONE } else { self.ahead + edge.ahead }
    }

    /// Its first phase is work that takes so many seconds more.
    pub(super) fn add_to_first(&mut self, seconds: f64) {
        let [first, ..] = &mut self.luck.phases;
        *first += seconds;
    }
}

/// What a replica could not go on with while it hung.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stalled {
    /// A sleep was over.
    PhaseDone(u32),
    /// A call had returned.
    Returned(u32, Result<(), Failure>),
}

impl Stalled {
    const fn is_of(self, attempt: u32) -> bool {
        matches!(self, Self::PhaseDone(slot) | Self::Returned(slot, _) if slot == attempt)
    }
}

/// What the next phase of an attempt is.
enum Next {
    Cpu(f64),
    Sleep(f64),
    Call(u32),
    Parallel(Fan),
    Cache(u32, u32),
    Update(u32),
    Lock(u32),
    Unlock(u32),
    Publish(u32),
    Skip,
    End(f64),
}

/// Calls that are made at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fan {
    /// The first edge.
    pub(super) first: u32,
    /// How many edges.
    pub(super) count: u32,
    /// How many must succeed, if so many are made.
    pub(super) need: u32,
    /// Whether who makes them gives up its worker.
    pub(super) asynchronous: bool,
}

/// Set in the address of the luck of calls that are made at once, beside the phase; no phase is so late.
const FAN: u64 = 1 << 32;

impl World {
    /// An attempt that is about to be sent.
    #[inline(always)]
    pub(super) fn new_attempt(&mut self, attempt: Attempt) -> u32 {
        let call = attempt.call;
        let slot = self.attempts.insert(attempt);
        if self.keeps_terms {
            self.set_terms(slot, call);
        }
        slot
    }

    /// An attempt of a call that has not been looked up ahead.
    pub(super) fn unforeseen_attempt(&mut self, call: u32, hop: u64) -> u32 {
        let (request, edge) = (self.calls[call].request, &self.edges[self.calls[call].edge as usize]);
        let attempt = Attempt::new((request, call, NONE), hop, edge, self.luck_of(hop, edge.service, edge.endpoint));
        self.new_attempt(attempt)
    }

    /// An attempt reaches its service, where a replica is chosen for it.
    #[inline]
    pub(super) fn reach(&mut self, slot: u32) {
        let now = self.now;
        let attempt = &mut self.attempts[slot];
        attempt.timer = None;
        attempt.arrived = now;
        let (service, route, call) = (attempt.service, attempt.luck.route, attempt.call);
        self.services[service as usize].arrived();
        let chosen = if self.services[service as usize].has_views {
            self.route_by_view(slot)
        } else {
            self.route(service, route, call).ok_or(Failure::NoReplica)
        };
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(failure) => return self.not_routed(slot, failure),
        };
        self.admit(slot, chosen);
    }

    /// An attempt reaches a replica that nobody chose for it.
    pub(super) fn reach_replica(&mut self, slot: u32, replica: u32) {
        let attempt = &mut self.attempts[slot];
        attempt.arrived = self.now;
        self.services[attempt.service as usize].arrived();
        self.admit(slot, replica);
    }

    /// An attempt comes to its replica: it is turned away, queued, or begun.
    #[inline(always)]
    pub(super) fn admit(&mut self, slot: u32, chosen: u32) {
        let service = self.attempts[slot].service;
        self.attempts[slot].replica = chosen;
        let state = &self.services[service as usize];
        if state.rules.is_some() {
            return self.come_to_door(slot, chosen);
        }
        let replica = &mut self.replicas[chosen as usize];
        if replica.queued == 0 && (replica.in_service.len() as u32) < state.workers && !replica.hung {
            self.begin(slot);
        } else if replica.queued < state.queue {
            replica.queued += 1;
            replica.queue.push_back(slot);
            self.attempts[slot].state = State::Queued;
        } else if self.knocking.is_some() && self.knocks_in_vain(slot, chosen) {
            return;
        } else {
            if self.counting {
                let counters = &mut self.replicas[chosen as usize].counters;
                counters.requests[self.attempts[slot].endpoint as usize][Failure::QueueFull.code()] += 1;
            }
            return self.turn_away(slot, Failure::QueueFull);
        }
        if self.services[service as usize].per_request > 0 {
            self.refresh_memory(chosen);
        }
    }

    pub(super) fn turn_away(&mut self, slot: u32, failure: Failure) {
        let heard = if failure == Failure::Unreachable { Heard::Silence(failure) } else { Heard::Code(failure.code()) };
        self.hear(slot, heard);
        let attempt = &self.attempts[slot];
        let call = attempt.call;
        self.services[attempt.service as usize].tally.rejected += 1;
        self.attempts.remove(slot);
        if call != NONE {
            self.answer(call, Err(failure));
        }
    }

    /// Gives free workers of a replica to those who wait, and lets a draining replica go once it is idle.
    pub(super) fn dispatch(&mut self, index: u32) {
        let workers = self.services[self.replicas[index as usize].service as usize].workers;
        loop {
            let replica = &mut self.replicas[index as usize];
            if replica.hung || replica.in_service.len() as u32 >= workers {
                break;
            }
            if replica.away.is_some() && self.take_up(index) {
                continue;
            }
            let replica = &mut self.replicas[index as usize];
            let next = match &mut replica.door {
                None => replica.queue.pop_front(),
                Some(door) => door.next(self.now, replica.queued),
            };
            let Some(slot) = next else { break };
            if self.attempts[slot].state == State::Dropped {
                self.attempts.remove(slot);
                continue;
            }
            replica.queued -= 1;
            if replica.door.is_none() || self.is_worth_beginning(slot, index) {
                self.begin(slot);
            }
        }
        let replica = &self.replicas[index as usize];
        if replica.state == ReplicaState::Draining && replica.leaving && replica.is_idle() {
            self.stopped(index, "drained");
        }
    }

    /// A worker takes an attempt up.
    #[inline(always)]
    pub(super) fn begin(&mut self, slot: u32) {
        let now = self.now;
        let attempt = &mut self.attempts[slot];
        let replica = &mut self.replicas[attempt.replica as usize];
        attempt.began = now;
        attempt.state = State::Working;
        attempt.place = replica.in_service.len() as u32;
        replica.in_service.push(slot);
        let service = &mut self.services[attempt.service as usize];
        service.busy.change(now, 1);
        service.tally.began += 1;
        service.tally.wait_nanos += u128::from((now - attempt.arrived).as_nanos());
        if replica.error_at_once > 0.0 && self.fails_at_once(slot) {
            return self.finish(slot, Failure::Error.code());
        }
        self.proceed(slot);
    }

    /// Whether an attempt fails as soon as it is taken up: by luck, or because it writes and there is no room.
    #[cold]
    fn fails_at_once(&self, slot: u32) -> bool {
        let attempt = &self.attempts[slot];
        let replica = &self.replicas[attempt.replica as usize];
        is_hit(replica.error_by_fault, attempt.luck.fate) || (replica.is_full() && self.writes(slot))
    }

    /// Whether an attempt writes; of one whose caller has gone nobody can tell, and it counts as one that does not.
    fn writes(&self, slot: u32) -> bool {
        let call = self.attempts[slot].call;
        call != NONE && self.edges[self.first_of(call).edge as usize].access == Access::Write
    }

    /// Goes on with the next phase of an attempt, and over phases that take no time.
    #[inline]
    fn proceed(&mut self, slot: u32) {
        loop {
            let attempt = &self.attempts[slot];
            if attempt.call == NONE && self.services[attempt.service as usize].cancel == Cancel::Context {
                return self.give_up(slot);
            }
            match self.next_phase(attempt) {
                Next::Cpu(seconds) => {
                    if self.enter_cpu(slot, seconds) {
                        return;
                    }
                }
                Next::Sleep(mut seconds) => {
                    if self.has_databases {
                        seconds *= self.coldness(slot);
                    }
                    let timer = self.schedule_after(Span::from_seconds_f64(seconds), Due::PhaseDone(slot));
                    self.attempts[slot].timer = Some(timer);
                    return;
                }
                Next::Call(edge) => {
                    return self.call_for(slot, edge);
                }
                Next::Cache(cache, edge) => {
                    if !self.look_up(slot, cache, edge) {
                        return;
                    }
                }
                Next::Update(edge) => return self.call_for(slot, edge),
                Next::Lock(lock) => {
                    if !self.lock(slot, lock) {
                        return;
                    }
                }
                Next::Unlock(lock) => self.unlock(slot, lock),
                Next::Parallel(fan) => {
                    if self.fan_out(slot, fan) {
                        return;
                    }
                }
                Next::Publish(topic) => self.publish(slot, topic),
                Next::Skip => {}
                Next::End(error) => {
                    // One word, cut in three: an error at once, an error after the work, none. So a fault only adds errors.
                    let replica = &self.replicas[attempt.replica as usize];
                    let failed = 1.0 - (1.0 - replica.error_by_fault) * (1.0 - replica.version_error) * (1.0 - error);
                    let failed = failed > 0.0 && is_hit(failed, attempt.luck.fate);
                    return self.finish(slot, if failed { Failure::Error.code() } else { 0 });
                }
            }
            self.attempts[slot].phase += 1;
        }
    }

    #[inline]
    fn next_phase(&self, attempt: &Attempt) -> Next {
        match &self.steps[(attempt.program + attempt.phase) as usize] {
            // The most frequent ones, so few that they are told apart without a table of jumps.
            Step::Cpu(_) if attempt.phase < PHASES as u32 => Next::Cpu(attempt.luck.phases[attempt.phase as usize]),
            Step::End(error) => Next::End(*error),
            Step::Call(edge) if self.edges[*edge as usize].probability >= 1.0 => Next::Call(*edge),
            step => self.other_phase(attempt, step),
        }
    }

    #[inline(never)]
    fn other_phase(&self, attempt: &Attempt, step: &Step) -> Next {
        match step {
            Step::Sleep(_) if attempt.phase < PHASES as u32 => Next::Sleep(attempt.luck.phases[attempt.phase as usize]),
            Step::Cache { cache, edge } => Next::Cache(*cache, *edge),
            Step::Update { edge, .. } => Next::Update(*edge),
            Step::Lock { lock, .. } => Next::Lock(*lock),
            Step::Unlock(lock) => Next::Unlock(*lock),
            Step::Publish(topic) => Next::Publish(*topic),
            Step::Parallel { first, count, need, asynchronous } => {
                Next::Parallel(Fan { first: *first, count: *count, need: *need, asynchronous: *asynchronous })
            }
            step => {
                let service = &self.services[attempt.service as usize];
                let (block, word) = if attempt.phase < PHASES_IN_BLOCK {
                    (service.luck.block(attempt.hop), PHASE_WORD + attempt.phase as usize)
                } else {
                    let later = attempt.phase - PHASES_IN_BLOCK;
                    let counter = mix64(attempt.hop, u64::from(later / Block::WORDS as u32));
                    (service.later_luck.block(counter), later as usize % Block::WORDS)
                };
                match step {
                    Step::Cpu(seconds) => Next::Cpu(seconds.sample(block.draw(word))),
                    Step::Sleep(seconds) => Next::Sleep(seconds.sample(block.draw(word))),
                    Step::Call(edge) if is_hit(self.chance_of(*edge, attempt.replica), block.word64(word)) => Next::Call(*edge),
                    _ => Next::Skip,
                }
            }
        }
    }

    /// The share of a replica's requests that make the call over an edge.
    fn chance_of(&self, edge: u32, replica: u32) -> f64 {
        let own = self.edges[edge as usize].probability;
        if own < 0.0 { self.chance_by_flags(edge, replica) } else { own }
    }

    /// Makes a call of an attempt, which waits for it.
    #[inline]
    pub(super) fn call_for(&mut self, slot: u32, edge: u32) {
        let attempt = &mut self.attempts[slot];
        (attempt.open, attempt.need) = (1, 1);
        if self.edges[edge as usize].asynchronous {
            self.go_away(slot);
        }
        let attempt = &self.attempts[slot];
        let mut call = Call::new(Origin::Attempt(slot), attempt.request, edge, self.now);
        call.parent = attempt.hop;
        call.ahead = attempt.ahead_of(&self.edges[edge as usize]);
        self.place_call(call);
    }

    /// Makes several calls of an attempt at once; `false` if luck makes none of them.
    fn fan_out(&mut self, slot: u32, fan: Fan) -> bool {
        let (hop, request, phase) = (self.attempts[slot].hop, self.attempts[slot].request, self.attempts[slot].phase);
        let words = Block::WORDS as u32;
        let mut made = 0;
        // The last one first, because both lists give back what was put there last.
        for branch in (0..fan.count).rev() {
            let edge = fan.first + branch;
            let probability = self.edges[edge as usize].probability;
            if probability < 1.0 {
                let luck = &self.services[self.attempts[slot].service as usize].later_luck;
                let block = luck.block(mix64(hop, FAN | u64::from(phase) << 16 | u64::from(branch / words)));
                let probability = self.chance_of(edge, self.attempts[slot].replica);
                if !is_hit(probability, block.word64((branch % words) as usize)) {
                    continue;
                }
            }
            let mut call = Call::new(Origin::Attempt(slot), request, edge, self.now);
            call.parent = hop;
            call.ahead = self.attempts[slot].ahead_of(&self.edges[edge as usize]);
            self.prepare_call(call);
            made += 1;
        }
        let attempt = &mut self.attempts[slot];
        attempt.open = made;
        attempt.need = made.min(u16::try_from(fan.need).unwrap_or(u16::MAX));
        if made > 0 && fan.asynchronous {
            self.go_away(slot);
        }
        made > 0
    }

    /// Puts an attempt on its replica's CPU for so many seconds at full health; `false` if that is no time at all.
    #[inline]
    fn enter_cpu(&mut self, slot: u32, seconds: f64) -> bool {
        let now = self.now;
        let attempt = &mut self.attempts[slot];
        let index = attempt.replica;
        let replica = &mut self.replicas[index as usize];
        let demand = Span::from_seconds_f64(seconds * replica.demand_factor(now));
        if demand == Span::ZERO {
            return false;
        }
        attempt.demand = demand;
        attempt.state = State::OnCpu;
        attempt.entered = replica.cpu.enter(now, slot, demand);
        if replica.cpu.is_shared() {
            self.todo.cpus.push(index);
        } else if let Some(due) = replica.cpu.due_of_new(demand) {
            let timer = self.schedule(due, Due::PhaseDone(slot));
            self.attempts[slot].timer = Some(timer);
        }
        true
    }

    /// A sleep is over, or CPU work on a core of its own.
    #[inline]
    pub(super) fn phase_done(&mut self, slot: u32) {
        let attempt = &mut self.attempts[slot];
        attempt.timer = None;
        let replica = &mut self.replicas[attempt.replica as usize];
        if replica.hung {
            replica.stalled.push(Stalled::PhaseDone(slot));
            return;
        }
        if attempt.state == State::OnCpu {
            replica.cpu.finish(self.now, attempt.demand);
            attempt.state = State::Working;
        }
        attempt.phase += 1;
        self.proceed(slot);
    }

    /// Jobs are done on a shared CPU.
    pub(super) fn cpu_done(&mut self, index: u32) {
        self.replicas[index as usize].cpu_timer = None;
        self.todo.cpus.push(index);
        while let Some(slot) = self.replicas[index as usize].cpu.pop_done(self.now) {
            let attempt = &mut self.attempts[slot];
            self.replicas[index as usize].cpu.finish(self.now, attempt.demand);
            attempt.state = State::Working;
            attempt.phase += 1;
            self.proceed(slot);
        }
    }

    /// Schedules anew what depends on the speed of a replica's CPU.
    pub(super) fn refresh_cpu(&mut self, index: u32) {
        if self.shares_time {
            self.refresh_cpu_time(index);
        }
        let replica = &mut self.replicas[index as usize];
        if replica.cpu.is_shared() {
            let due = replica.cpu.next_due();
            if due.is_some() && due == replica.cpu_timer.map(|(at, _)| at) {
                return;
            }
            if let Some((_, handle)) = replica.cpu_timer.take() {
                self.queue.cancel(handle);
            }
            if let Some(at) = due {
                let handle = self.schedule(at, Due::CpuDone(index));
                self.replicas[index as usize].cpu_timer = Some((at, handle));
            }
            return;
        }
        for place in 0..self.replicas[index as usize].in_service.len() {
            let slot = self.replicas[index as usize].in_service[place];
            if self.attempts[slot].state != State::OnCpu {
                continue;
            }
            let mut timer = self.attempts[slot].timer.take();
            self.cancel(&mut timer);
            let attempt = &self.attempts[slot];
            if let Some(due) = self.replicas[index as usize].cpu.due(attempt.entered, attempt.demand) {
                let timer = self.schedule(due.max(self.now), Due::PhaseDone(slot));
                self.attempts[slot].timer = Some(timer);
            }
        }
    }

    /// A call that an attempt waited for is over.
    #[inline]
    pub(super) fn call_returned(&mut self, slot: u32, result: Result<(), Failure>) {
        let attempt = &mut self.attempts[slot];
        if attempt.open == 0 {
            return;
        }
        attempt.open -= 1;
        match result {
            Ok(()) => attempt.need -= 1,
            Err(_) if attempt.open >= attempt.need => return,
            Err(_) => {}
        }
        if result.is_err() || attempt.need == 0 {
            attempt.open = 0;
            self.calls_decided(slot, result);
        }
    }

    /// An attempt knows how the calls that it waited for have ended, and goes on; those that are still under way are given up.
    fn calls_decided(&mut self, slot: u32, result: Result<(), Failure>) {
        let replica = &mut self.replicas[self.attempts[slot].replica as usize];
        if replica.hung {
            replica.stalled.push(Stalled::Returned(slot, result));
            return;
        }
        self.drop_calls(slot);
        if !self.caches.is_empty() {
            self.fetched(slot, result);
        }
        self.go_on_with(slot, result);
    }

    /// An attempt goes on with what it waited for, or fails with it.
    #[inline(always)]
    pub(super) fn go_on_with(&mut self, slot: u32, result: Result<(), Failure>) {
        if self.attempts[slot].state == State::Away {
            return self.come_back(slot, result);
        }
        match result {
            Ok(()) => {
                self.attempts[slot].phase += 1;
                self.proceed(slot);
            }
            Err(failure) => self.finish(slot, failure.code()),
        }
    }

    /// Goes on with what stood still while a replica hung.
    pub(super) fn go_on(&mut self, index: u32) {
        for stalled in std::mem::take(&mut self.replicas[index as usize].stalled) {
            match stalled {
                Stalled::PhaseDone(slot) => self.phase_done(slot),
                Stalled::Returned(slot, result) => self.calls_decided(slot, result),
            }
        }
        self.todo.dispatch.push(index);
    }

    /// An attempt is worked off and answered with a status code, an index in [`crate::world::CODES`].
    #[inline]
    pub(super) fn finish(&mut self, slot: u32, code: usize) {
        self.leave(slot);
        if !self.locks.is_empty() {
            self.let_go(slot);
        }
        self.hear(slot, Heard::Code(code));
        let attempt = &self.attempts[slot];
        let call = attempt.call;
        let response = self.now - attempt.arrived;
        let service = &mut self.services[attempt.service as usize];
        service.tally.completed(response, code == 0, call == NONE);
        let is_guarded = service.rules.is_some();
        let replica = &mut self.replicas[attempt.replica as usize];
        replica.served += 1;
        if self.counting {
            replica.counters.answered(attempt.endpoint as usize, code, response);
        }
        if is_guarded {
            self.note_answer(slot, code == 0);
        }
        self.attempts.remove(slot);
        if call != NONE {
            self.answer(call, Failure::of_answer(code));
        }
    }

    /// Work that has been cancelled stops.
    fn give_up(&mut self, slot: u32) {
        self.leave(slot);
        if !self.locks.is_empty() {
            self.let_go(slot);
        }
        let index = self.attempts[slot].replica;
        if self.replicas[index as usize].door.is_some() {
            self.note_end(slot, index, true);
        }
        self.services[self.attempts[slot].service as usize].tally.lost += 1;
        self.attempts.remove(slot);
    }

    /// An attempt leaves its worker.
    #[inline]
    pub(super) fn leave(&mut self, slot: u32) {
        let attempt = &self.attempts[slot];
        let (index, place) = (attempt.replica, attempt.place);
        self.services[attempt.service as usize].busy.change(self.now, -1);
        let in_service = &mut self.replicas[index as usize].in_service;
        assert!(in_service[place as usize] == slot, "an attempt leaves its own place");
        // The last one moves there, also if it is the one that leaves: to ask which costs more, because no processor can guess it.
        let last = in_service[in_service.len() - 1];
        in_service[place as usize] = last;
        in_service.pop();
        self.attempts[last].place = place;
        if !self.replicas[index as usize].is_unclaimed() {
            self.todo.dispatch.push(index);
        }
    }

    /// Throws an attempt out of the queue that it waits in; its caller has given up.
    pub(super) fn drop_queued(&mut self, slot: u32) {
        let attempt = &mut self.attempts[slot];
        let (service, index) = (attempt.service, attempt.replica);
        let mut timer = attempt.timer.take();
        self.cancel(&mut timer);
        self.services[service as usize].tally.lost += 1;
        if self.replicas[index as usize].door.is_some() {
            self.note_end(slot, index, true);
        }
        self.leave_queue(slot);
    }

    /// An attempt leaves the queue that it waits in.
    pub(super) fn leave_queue(&mut self, slot: u32) {
        let attempt = &mut self.attempts[slot];
        attempt.state = State::Dropped;
        let index = attempt.replica;
        let replica = &mut self.replicas[index as usize];
        replica.queued -= 1;
        if replica.door.is_some() {
            return self.tidy_line(index);
        }
        // Slots of the dropped are freed when the queue comes to them, or here once they are most of it.
        if replica.queue.len() > 2 * replica.queued as usize + 64 {
            let attempts = &mut self.attempts;
            replica.queue.retain(|slot| {
                let dropped = attempts[*slot].state == State::Dropped;
                if dropped {
                    attempts.remove(*slot);
                }
                !dropped
            });
        }
    }

    /// Throws away all that waits at a replica; the callers see a reset. The result is how many there were.
    pub(super) fn purge(&mut self, index: u32) -> u64 {
        let replica = &mut self.replicas[index as usize];
        let waiting = replica.queued;
        let mut line: Vec<u32> = std::mem::take(&mut replica.queue).into();
        line.extend(replica.door.as_mut().map(|door| door.drain()).unwrap_or_default());
        for slot in line {
            // Whoever is told may give up others in this line, which have left it then.
            if self.attempts[slot].state != State::Dropped {
                self.replicas[index as usize].queued -= 1;
            }
            self.lose(slot);
        }
        self.todo.dispatch.push(index);
        u64::from(waiting)
    }

    /// Loses all that is queued or in service at a replica whose process has ended; the callers see a reset.
    pub(super) fn lose_all(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        let mut in_service = std::mem::take(&mut replica.in_service);
        replica.stalled.clear();
        replica.loading.clear();
        let cpu_timer = replica.cpu_timer.take();
        for slot in &in_service {
            let attempt = &self.attempts[*slot];
            if attempt.state == State::OnCpu {
                replica.cpu.abort(now, attempt.entered);
            }
        }
        replica.cpu.clear();
        let service = replica.service;
        if let Some((_, handle)) = cpu_timer {
            self.queue.cancel(handle);
        }
        if self.shares_time {
            self.todo.cpus.push(index);
        }
        self.services[service as usize].busy.change(now, -(in_service.len() as i64));
        in_service.extend(self.take_away(index));
        in_service.sort_by_key(|slot| (self.attempts[*slot].began, self.attempts[*slot].hop));
        let attempts = &self.attempts;
        self.todo.fetched.retain(|(slot, _)| attempts[*slot].replica != index);
        for slot in in_service {
            self.lose(slot);
        }
        self.purge(index);
        self.renew_door(index);
    }

    /// Ends what a replica works on and has worked on for so long; the callers see a reset. The result is how many attempts there were.
    pub(super) fn kill_attempts(&mut self, index: u32, older: Span) -> usize {
        let now = self.now;
        let is_old = |slot: &u32| now.since(self.attempts[*slot].began) >= older;
        let mut meant: Vec<u32> = self.replicas[index as usize].in_service.iter().copied().filter(is_old).collect();
        meant.sort_by_key(|slot| (self.attempts[*slot].began, self.attempts[*slot].hop));
        // All leave before any caller is told, who may ask again at once.
        for slot in &meant {
            let attempt = &self.attempts[*slot];
            if attempt.state == State::OnCpu {
                self.replicas[index as usize].cpu.remove(now, *slot, attempt.entered);
            }
            self.leave(*slot);
            self.replicas[index as usize].stalled.retain(|stalled| !stalled.is_of(*slot));
        }
        self.todo.cpus.push(index);
        for slot in &meant {
            if !self.caches.is_empty() {
                self.fetched(*slot, Err(Failure::Reset));
                self.todo.fetched.retain(|(other, _)| other != slot);
            }
            if self.replicas[index as usize].door.is_some() {
                self.note_end(*slot, index, true);
            }
            self.lose(*slot);
        }
        self.todo.dispatch.push(index);
        meant.len()
    }

    /// An attempt is lost; its caller, if it still waits, sees a reset.
    fn lose(&mut self, slot: u32) {
        if !self.locks.is_empty() {
            self.let_go(slot);
        }
        let attempt = &mut self.attempts[slot];
        if attempt.state == State::Dropped {
            self.attempts.remove(slot);
            return;
        }
        let (call, service) = (attempt.call, attempt.service);
        let mut timer = attempt.timer.take();
        self.hear(slot, Heard::Silence(Failure::Reset));
        self.cancel(&mut timer);
        self.services[service as usize].tally.lost += 1;
        self.drop_calls(slot);
        self.attempts.remove(slot);
        if call != NONE {
            self.answer(call, Err(Failure::Reset));
        }
    }

    /// Asserts that the replica's CPU has given out what was taken.
    pub(super) fn assert_cpu_conserved(&mut self, index: u32) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        replica.cpu.advance(now);
        let running = replica.in_service.iter().map(|slot| &self.attempts[*slot]).filter(|attempt| attempt.state == State::OnCpu);
        replica.cpu.assert_conserved(running.map(|attempt| attempt.entered));
    }

    /// Writes down that a replica's state changed.
    pub(super) fn note_replica(&mut self, index: u32, reason: &str) {
        let replica = &self.replicas[index as usize];
        let event = Event::ReplicaChanged { replica: replica.name.clone(), state: replica.state, reason: reason.to_owned() };
        self.write(event);
    }
}

/// Whether a word falls under a probability.
#[inline]
pub(super) fn is_hit(probability: f64, word: u64) -> bool {
    let ratio = Ratio::new(probability.clamp(0.0, 1.0)).expect("a clamped number is a share");
    Threshold::from_ratio(ratio).hit(word)
}
