//! Calls: who asks whom, for how long they wait, and how often they try again.

use firedrill_core::name::Name;
use firedrill_core::random::hop_index;
use firedrill_core::time::{Class, Span, Time};

use crate::probe::ProbeKind;
use crate::queue::{Fifo, Handle};
use crate::slab::NONE;
use crate::spec::{Access, Cancel, Cause, Growth, Jitter, ProtectionSpec, RetrySpec};
use crate::world::balancing::Heard;
use crate::world::restraints::Held;
use crate::world::work::{Attempt, State};
use crate::world::{Due, World};

/// A way that calls take: from a client to a service, or from a phase of a program to another service.
///
/// What a call touches stands first, in memory too.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Edge {
    /// The service called.
    pub(crate) service: u32,
    /// Which of its endpoints.
    pub(super) endpoint: u32,
    /// The first step of that one's program.
    pub(super) program: u32,
    /// Where the call stands in the caller's program; zero for clients.
    pub(super) position: u32,
    /// How far behind the hop that makes the call its own stands where they are looked up ahead; `NONE` if it is not there.
    pub(super) ahead: u32,
    /// Which edge of its caller this is.
    pub(crate) local: u32,
    /// The first edge of its caller whose protections it shares: itself, or one that leads to the same service and is protected alike.
    pub(super) keeper: u32,
    /// The share of requests that make the call.
    pub(super) probability: f64,
    pub(super) timeout: Option<Span>,
    /// Where in the queue its timeouts lie, if it has any.
    pub(super) timeouts: Option<Fifo>,
    /// Whether the caller is a client.
    pub(crate) from_client: bool,
    /// Whether it is the way of a probe, whose retries nobody limits.
    pub(super) of_probe: bool,
    /// Whether anything is asked before an attempt goes: what protects the caller, or what has been laid on the edge.
    pub(super) is_guarded: bool,
    /// Whether all attempts of a call have a time together.
    pub(super) is_bounded: bool,
    /// Whether the caller goes on without an answer.
    pub(super) optional: bool,
    /// Whether who makes the call gives up its worker for as long as it takes.
    pub(super) asynchronous: bool,
    /// The retries allowed now.
    pub(super) allowed: u32,
    /// What actions and faults have laid on it; boxed because that is rare.
    pub(super) held: Option<Box<Held>>,
    /// What stands between its callers and the service; boxed because most edges have nothing.
    pub(super) protection: Option<Box<ProtectionSpec>>,
    pub(super) retries: RetrySpec,
    /// The client or the calling service.
    pub(crate) caller: Name,
    /// What it does there, if that is a database.
    pub(super) access: Access,
    /// Limits in force, by the order that set them.
    pub(super) limits: Vec<(u32, u32)>,
}

/// Why a call failed, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was answered with an error of the service's own.
    Error,
    /// It was answered with the status, an index in [`crate::world::CODES`], of a service whose own call had failed.
    Passed(u8),
    /// It was turned away at the door, or out of the queue.
    QueueFull,
    /// No replica was ready.
    NoReplica,
    /// The replica died, or the request was purged.
    Reset,
    /// The caller waited for long enough.
    Timeout,
    /// Nobody listens where the caller takes a replica to be.
    Unreachable,
    /// The caller refused it itself: its breaker was open, it throttled itself, or it had too many under way.
    Refused,
    /// The caller waited for a connection for too long.
    NoConnection,
    /// All callers together have asked too often.
    OverQuota,
}

impl Failure {
    /// The status, as an index in [`crate::world::CODES`], of an error of a service's own.
    const ERROR: usize = 1;

    /// What the caller of a service sees that answers with this status, an index in [`crate::world::CODES`].
    pub(super) const fn of_answer(code: usize) -> Result<(), Self> {
        match code {
            0 => Ok(()),
            Self::ERROR => Err(Self::Error),
            code => Err(Self::Passed(code as u8)),
        }
    }

    /// Its index in [`crate::world::OUTCOMES`].
    const fn outcome(self) -> usize {
        match self {
            Self::Error | Self::Passed(_) => 1,
            Self::Timeout | Self::NoConnection => 2,
            Self::QueueFull | Self::NoReplica | Self::Refused | Self::OverQuota => 3,
            Self::Reset | Self::Unreachable => 4,
        }
    }

    /// What callers that do not retry every failure go by: the status where there is one, whoever said it first.
    const fn cause(self) -> Cause {
        match self {
            Self::Passed(code) if code as usize == Self::QueueFull.code() => Cause::Rejected,
            Self::Error | Self::Passed(_) => Cause::Error,
            Self::Timeout | Self::NoConnection => Cause::Timeout,
            Self::QueueFull | Self::NoReplica | Self::Refused => Cause::Rejected,
            Self::OverQuota => Cause::OverQuota,
            Self::Reset => Cause::Reset,
            Self::Unreachable => Cause::Unreachable,
        }
    }

    /// What a proxy answers that has had nobody for long: 504, as Linkerd since 2.13.
    pub(super) const FAILS_FAST: Self = Self::Passed(4);

    /// The status code, as an index in [`crate::world::CODES`], of a service that fails because a call of its own failed.
    pub(super) const fn code(self) -> usize {
        match self {
            Self::Error => Self::ERROR,
            Self::Passed(code) => code as usize,
            Self::Reset => 2,
            Self::QueueFull | Self::NoReplica | Self::Unreachable | Self::Refused | Self::OverQuota => 3,
            Self::Timeout | Self::NoConnection => 4,
        }
    }
}

/// Set in the number of an attempt that is a second one beside the first; no call has so many retries.
const TWIN: u32 = 1 << 31;

/// Who waits for a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A client, for its request with this ordinal.
    Client {
        /// Which client.
        client: u32,
        /// Counts its requests from 0.
        ordinal: u32,
        /// Who makes it, if that is one who makes several; else `NONE`.
        visit: u32,
    },
    /// An attempt in service, for its present phase.
    Attempt(u32),
    /// A probe of this replica.
    Probe(u32, ProbeKind),
    /// A call that was made twice: this is the second time.
    Twin(u32),
    /// A message that a replica has taken, by its inbox and its slot there.
    Message(u32, u32),
}

/// A call under way: one attempt after the other until one succeeds or none is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) origin: Origin,
    /// Hash of the request, that is of its client and ordinal.
    pub(super) request: u64,
    /// The index of the parent's hop; zero for clients.
    pub(super) parent: u64,
    /// Where the hop of its first attempt has been looked up; `NONE` if nowhere.
    pub(super) ahead: u32,
    /// When the first attempt was sent.
    pub(super) begun: Time,
    pub(super) edge: u32,
    /// Attempts that have failed.
    pub(super) number: u32,
    /// The attempt under way; `NONE` while it waits to retry.
    pub(super) attempt: u32,
    /// The timeout of the attempt, the end of the pause, or of the wait for a connection.
    pub(super) timer: Option<Handle>,
    /// When the attempt under way was sent.
    pub(super) sent: Time,
    /// What the last retry had cost, where the caller has a budget that refunds it.
    pub(super) paid: u32,
    /// What it has of a caller that is protected.
    pub(super) admission: Admission,
    /// The next of the calls that the same attempt waits for.
    pub(super) next: u32,
    /// The second attempt, if it is made twice; of that one, the first.
    pub(super) twin: u32,
    /// When it is made twice.
    pub(super) hedge_timer: Option<Handle>,
}

/// What a call has of its caller's protections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing: nothing is under way, or nothing protects the caller.
    None,
    /// It waits for a connection.
    Waiting,
    /// Its attempt is under way.
    Admitted,
    /// It goes before the next event.
    Prepared,
}

impl Call {
    #[inline(always)]
    pub(super) const fn new(origin: Origin, request: u64, edge: u32, begun: Time) -> Self {
        Self {
            origin,
            request,
            parent: 0,
            ahead: NONE,
            begun,
            edge,
            number: 0,
            attempt: NONE,
            timer: None,
            sent: begun,
            paid: 0,
            admission: Admission::None,
            next: NONE,
            twin: NONE,
            hedge_timer: None,
        }
    }
}

impl World {
    /// Begins a call and sends its first attempt.
    #[inline(always)]
    pub(super) fn place_call(&mut self, call: Call) {
        let (origin, edge) = (call.origin, call.edge);
        let slot = self.calls.insert(call);
        if let Origin::Attempt(parent) = origin {
            self.attempts[parent].child = slot;
        }
        if self.keeps_terms {
            return self.send(slot);
        }
        self.send_in_time(slot, edge);
    }

    /// Begins one of several calls of an attempt, which go before the next event: none ends before all have begun.
    pub(super) fn prepare_call(&mut self, mut call: Call) {
        let Origin::Attempt(parent) = call.origin else { unreachable!("only attempts make several calls at once") };
        call.next = self.attempts[parent].child;
        call.admission = Admission::Prepared;
        let slot = self.calls.insert(call);
        self.attempts[parent].child = slot;
        self.todo.calls.push(slot);
    }

    /// Sends the next attempt of a call, if its caller lets it.
    pub(super) fn send(&mut self, slot: u32) {
        self.calls[slot].admission = Admission::None;
        if self.keeps_terms && self.is_out_of_time(slot) {
            let timer = self.schedule_after(Span::ZERO, Due::TimedOut(slot));
            self.calls[slot].timer = Some(timer);
            return;
        }
        self.send_in_time(slot, self.calls[slot].edge);
    }

    /// Sends the next attempt of a call that has time left, if its caller lets it.
    #[inline]
    fn send_in_time(&mut self, slot: u32, edge: u32) {
        if !self.edges[edge as usize].is_guarded || self.may_send(slot) {
            self.dispatch_call(slot);
        }
    }

    /// Puts the next attempt of a call on its way.
    pub(super) fn dispatch_call(&mut self, slot: u32) {
        let now = self.now;
        let call = &self.calls[slot];
        let at = call.edge;
        let edge = &self.edges[at as usize];
        let number = if matches!(call.origin, Origin::Twin(_)) { call.number | TWIN } else { call.number };
        let (timeout, row, is_bounded) = (edge.timeout, edge.timeouts, edge.is_bounded);
        let hedge = edge.protection.as_ref().and_then(|protection| protection.hedge);
        let known = if number == 0 { self.known_hop(call.ahead, call.request) } else { None };
        let attempt = match known {
            Some(known) => Attempt::new((call.request, slot, call.ahead), known.index, edge, known.luck),
            None => {
                let hop = hop_index(call.request, call.parent, edge.position, number);
                Attempt::new((call.request, slot, NONE), hop, edge, self.luck_of(hop, edge.service, edge.endpoint))
            }
        };
        let hop = attempt.hop;
        let attempt = self.new_attempt(attempt);
        let call = &mut self.calls[slot];
        call.attempt = attempt;
        call.sent = now;
        let timeout = if self.keeps_terms { self.time_left(attempt) } else { timeout };
        let (timeout, row) = if is_bounded { self.bounded(slot, (timeout, row)) } else { (timeout, row) };
        if let Some(timeout) = timeout {
            let at = now + timeout;
            let timer = match row {
                Some(row) => self.queue.schedule_in(row, at, Class::World, Due::TimedOut(slot)),
                None => self.schedule(at, Due::TimedOut(slot)),
            };
            self.calls[slot].timer = Some(timer);
        }
        if let Some(hedge) = hedge
            && number == 0
        {
            let timer = self.schedule_after(hedge.after, Due::Hedge(slot));
            self.calls[slot].hedge_timer = Some(timer);
        }
        let delay = self.delay_on_the_way(at, hop);
        if delay > Span::ZERO {
            let timer = self.schedule_after(delay, Due::Reach(attempt));
            self.attempts[attempt].timer = Some(timer);
        } else {
            self.reach(attempt);
        }
    }

    /// Gives the answer of the attempt under way to its call.
    #[inline]
    pub(super) fn answer(&mut self, slot: u32, result: Result<(), Failure>) {
        let call = &mut self.calls[slot];
        call.attempt = NONE;
        let mut timer = call.timer.take();
        let (is_admitted, is_alone) = (call.admission == Admission::Admitted, call.twin == NONE && call.hedge_timer.is_none());
        self.cancel(&mut timer);
        if is_admitted {
            self.remember(slot, result);
        }
        if !is_alone {
            return self.answer_hedged(slot, result);
        }
        self.conclude(slot, result);
    }

    /// The caller has waited for long enough; the attempt goes on without it unless the service cancels.
    pub(super) fn timed_out(&mut self, slot: u32) {
        let call = &mut self.calls[slot];
        call.timer = None;
        if call.admission == Admission::Waiting {
            return self.connection_timed_out(slot);
        }
        let attempt = std::mem::replace(&mut call.attempt, NONE);
        let edge = call.edge;
        if attempt == NONE && self.edges[edge as usize].is_bounded {
            // It waited for its next attempt, which is not made.
            return self.close_call(slot, Err(Failure::Timeout));
        }
        if attempt != NONE {
            self.hear(attempt, Heard::Silence(Failure::Timeout));
            self.abandon(attempt);
        }
        self.returned(slot, Err(Failure::Timeout));
        if self.calls[slot].twin != NONE || self.calls[slot].hedge_timer.is_some() {
            return self.answer_hedged(slot, Err(Failure::Timeout));
        }
        self.conclude(slot, Err(Failure::Timeout));
    }

    pub(super) fn retry(&mut self, slot: u32) {
        self.calls[slot].timer = None;
        self.send(slot);
    }

    /// A call is not made at all, and nobody tries again.
    pub(super) fn refuse(&mut self, slot: u32, failure: Failure) {
        if self.counting {
            self.count_outcome(slot, failure.outcome(), None);
        }
        self.close_call(slot, Err(failure));
    }

    /// An attempt of the call has ended: the call ends with it, or tries again.
    #[inline]
    pub(super) fn conclude(&mut self, slot: u32, result: Result<(), Failure>) {
        if self.counting {
            // What its caller refused itself was never sent: an HTTP client has not seen it.
            let is_sent = !matches!(result, Err(Failure::Refused | Failure::NoConnection));
            let took = is_sent.then(|| self.now - self.calls[slot].sent);
            self.count_outcome(slot, result.map_or_else(Failure::outcome, |()| 0), took);
        }
        match result {
            Err(failure) if self.may_retry(slot, failure) => self.pause_before_retry(slot, failure),
            _ => self.close_call(slot, result),
        }
    }

    fn may_retry(&mut self, slot: u32, failure: Failure) -> bool {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        if call.number >= edge.allowed {
            if self.ways.is_some() {
                self.note_out_of_retries(slot, failure.cause());
            }
            return false;
        }
        if (edge.is_bounded && self.is_spent(slot))
            || !edge.retries.on.contains(failure.cause())
            || !self.wants_retry(slot)
            || (self.keeps_terms && self.is_out_of_time(slot))
        {
            return false;
        }
        edge.protection.is_none() || self.can_afford_retry(slot, failure)
    }

    fn wants_retry(&self, slot: u32) -> bool {
        let parent = match self.calls[slot].origin {
            Origin::Client { .. } | Origin::Probe(..) | Origin::Message(..) => return true,
            Origin::Twin(_) => return false,
            Origin::Attempt(parent) => parent,
        };
        // A process that hangs does not retry, and neither does work that has been cancelled.
        let parent = &self.attempts[parent];
        let cancelled = parent.call == NONE && self.services[parent.service as usize].cancel == Cancel::Context;
        !self.replicas[parent.replica as usize].hung && !cancelled
    }

    fn pause_before_retry(&mut self, slot: u32, failure: Failure) {
        let call = &mut self.calls[slot];
        call.number += 1;
        let edge = &self.edges[call.edge as usize];
        if call.number == 1 {
            self.services[edge.service as usize].retrying += 1;
        }
        let is_over_quota = failure == Failure::OverQuota && edge.retries.over_quota.is_some();
        let mut pause =
            if is_over_quota { self.pause_over_quota(slot) } else { pause_before(&edge.retries, edge.retries.base, call.number) };
        let (call, edge) = (&self.calls[slot], &self.edges[self.calls[slot].edge as usize]);
        if !is_over_quota && edge.retries.jitter != Jitter::None && pause > Span::ZERO {
            let hop = hop_index(call.request, call.parent, edge.position, call.number);
            let luck = self.services[edge.service as usize].retry_luck.block(hop).unit(0);
            pause = Span::from_seconds_f64(pause.as_seconds() * edge.retries.jitter.of(luck));
        }
        let is_last = edge.is_bounded && self.time_of_all(slot) <= self.now + pause;
        // Also a retry at once goes through the queue, so that a chain of refusals does not nest.
        let timer = match is_last {
            true => self.schedule(self.time_of_all(slot), Due::TimedOut(slot)),
            false => self.schedule_after(pause, Due::Retry(slot)),
        };
        self.calls[slot].timer = Some(timer);
    }

    /// When the time that all attempts of a call have together is over; only where there is one.
    pub(super) fn time_of_all(&self, slot: u32) -> Time {
        let call = self.first_of(slot);
        let within = self.edges[call.edge as usize].retries.within.expect("only bounded calls are asked");
        call.begun + within
    }

    /// Whether that time is over.
    #[cold]
    fn is_spent(&self, slot: u32) -> bool {
        self.time_of_all(slot) <= self.now
    }

    /// What is left of it, where that is less than an attempt would be waited for; and in which row of timeouts that lies.
    #[cold]
    pub(super) fn bounded(&self, slot: u32, (timeout, row): (Option<Span>, Option<Fifo>)) -> (Option<Span>, Option<Fifo>) {
        let left = self.time_of_all(slot).since(self.now);
        if timeout.is_some_and(|timeout| timeout <= left) { (timeout, row) } else { (Some(left), None) }
    }

    /// How long a call waits that was answered with a 429 just now: its own pause, and what the answer says of it.
    #[cold]
    fn pause_over_quota(&self, slot: u32) -> Span {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        let over_quota = edge.retries.over_quota.as_deref().expect("only who does something else after a 429 asks");
        let base = over_quota.base.unwrap_or(edge.retries.base);
        let hop = hop_index(call.request, call.parent, edge.position, call.number);
        let luck = self.services[edge.service as usize].retry_luck.block(hop).unit(0);
        let own = Span::from_seconds_f64(pause_before(&edge.retries, base, call.number).as_seconds() * edge.retries.jitter.of(luck));
        let Some(heed) = over_quota.heed else { return own };
        match self.retry_after(edge.service).filter(|told| heed.most.is_none_or(|most| *told <= most)) {
            None => own,
            Some(told) => {
                let told = Span::from_seconds_f64(told.as_seconds() * (1.0 + heed.jitter.get() * luck));
                if heed.instead { told } else { told.max(own) }
            }
        }
    }

    /// The call is over; who waited for it goes on.
    #[inline]
    fn close_call(&mut self, slot: u32, result: Result<(), Failure>) {
        // Field by field: a copy of all of it would wait for what has just been written there.
        let Call { origin, edge, next, .. } = self.calls[slot];
        self.free_call(slot);
        match origin {
            Origin::Client { .. } => self.close_request(slot, result),
            Origin::Attempt(parent) => {
                self.unlink(parent, slot, next);
                let optional = result.is_err() && self.edges[edge as usize].optional;
                self.call_returned(parent, if optional { Ok(()) } else { result });
            }
            _ => self.close_unusual(origin, result),
        }
    }

    /// A call is over that neither a client nor an attempt waits for.
    #[cold]
    fn close_unusual(&mut self, origin: Origin, result: Result<(), Failure>) {
        match origin {
            Origin::Probe(replica, kind) => self.probe_answered(replica, kind, result.is_ok()),
            Origin::Twin(first) => self.twin_returned(first, result),
            Origin::Message(inbox, message) => self.message_done(inbox, message, result),
            Origin::Client { .. } | Origin::Attempt(_) => unreachable!("usual calls are closed by the caller"),
        }
    }

    /// Takes a call out of those that an attempt waits for.
    #[inline]
    fn unlink(&mut self, parent: u32, slot: u32, next: u32) {
        let mut at = self.attempts[parent].child;
        if at == slot {
            self.attempts[parent].child = next;
            return;
        }
        while self.calls[at].next != slot {
            at = self.calls[at].next;
        }
        self.calls[at].next = next;
    }

    /// Gives up all calls that an attempt waits for.
    #[inline]
    pub(super) fn drop_calls(&mut self, parent: u32) {
        let mut at = std::mem::replace(&mut self.attempts[parent].child, NONE);
        while at != NONE {
            let next = self.calls[at].next;
            self.drop_call(at);
            at = next;
        }
    }

    /// The call, or if it is a second one the first.
    #[inline]
    pub(super) fn first_of(&self, slot: u32) -> &Call {
        match self.calls[slot].origin {
            Origin::Twin(first) => &self.calls[first],
            _ => &self.calls[slot],
        }
    }

    /// A call has been waited for long enough to be made twice.
    pub(super) fn hedge(&mut self, slot: u32) {
        self.calls[slot].hedge_timer = None;
        let Some(paid) = self.afford_hedge(slot) else { return };
        let call = &self.calls[slot];
        let mut twin = Call::new(Origin::Twin(slot), call.request, call.edge, self.now);
        (twin.parent, twin.paid) = (call.parent, paid);
        twin.twin = slot;
        let twin = self.calls.insert(twin);
        self.calls[slot].twin = twin;
        self.send(twin);
    }

    /// A call that is or may be made twice has an answer: a success ends it, and a failure waits for the other one.
    fn answer_hedged(&mut self, slot: u32, result: Result<(), Failure>) {
        if matches!(self.calls[slot].origin, Origin::Twin(_)) {
            return self.conclude(slot, result);
        }
        let mut timer = self.calls[slot].hedge_timer.take();
        self.cancel(&mut timer);
        let twin = self.calls[slot].twin;
        if twin != NONE {
            if result.is_err() {
                return;
            }
            self.calls[slot].twin = NONE;
            self.drop_call(twin);
        }
        self.conclude(slot, result);
    }

    /// The second attempt of a call that was made twice is over.
    fn twin_returned(&mut self, first: u32, result: Result<(), Failure>) {
        self.calls[first].twin = NONE;
        let attempt = self.calls[first].attempt;
        let waits = attempt != NONE || self.calls[first].admission == Admission::Waiting;
        if !waits {
            return self.conclude(first, result);
        }
        if result.is_ok() {
            let mut timer = self.calls[first].timer.take();
            self.cancel(&mut timer);
            self.calls[first].attempt = NONE;
            self.note_given_up(first, attempt, true);
            if attempt != NONE {
                self.abandon(attempt);
            }
            self.release_caller(first);
            self.conclude(first, result);
        }
    }

    #[inline(always)]
    fn free_call(&mut self, slot: u32) {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        if call.number > 0 {
            self.services[edge.service as usize].retrying -= 1;
        }
        if edge.protection.is_some() {
            self.leave_caller(slot);
        }
        self.calls.remove(slot);
    }

    /// Who waited for the call is gone: its attempt is abandoned, and no one is told.
    pub(super) fn drop_call(&mut self, slot: u32) {
        let call = &mut self.calls[slot];
        let (attempt, twin, is_first) = (call.attempt, call.twin, !matches!(call.origin, Origin::Twin(_)));
        for mut timer in [call.timer.take(), call.hedge_timer.take()] {
            self.cancel(&mut timer);
        }
        if twin != NONE && is_first {
            self.drop_call(twin);
        }
        // A second attempt is on its own once the first has been answered.
        let is_outrun = matches!(self.calls[slot].origin, Origin::Twin(first) if self.calls[first].twin == NONE);
        self.note_given_up(slot, attempt, is_outrun);
        if self.calls[slot].admission == Admission::Prepared {
            self.todo.calls.retain(|waiting| *waiting != slot);
        }
        self.free_call(slot);
        if attempt != NONE {
            self.abandon(attempt);
        }
    }

    /// The caller of an attempt has given up on it.
    fn abandon(&mut self, slot: u32) {
        self.hear(slot, Heard::GivenUp);
        let attempt = &mut self.attempts[slot];
        attempt.call = NONE;
        let service = attempt.service as usize;
        let is_outside = self.ceases_to_knock(slot) || self.ceases_to_wait(slot);
        if self.services[service].cancel == Cancel::None && !is_outside {
            return;
        }
        let attempt = &mut self.attempts[slot];
        match attempt.state {
            State::OnTheWay => {
                let mut timer = attempt.timer.take();
                self.cancel(&mut timer);
                self.attempts.remove(slot);
            }
            State::Queued => self.drop_queued(slot),
            State::Working | State::OnCpu | State::Away | State::Back | State::Dropped => {}
        }
    }

    fn count_outcome(&mut self, slot: u32, outcome: usize, took: Option<Span>) {
        let call = &self.calls[slot];
        match call.origin {
            Origin::Client { client, .. } => {
                let client = &mut self.clients[client as usize];
                client.seen[outcome] += 1;
                if let Some(took) = took {
                    client.latency[outcome].record(took);
                }
            }
            Origin::Twin(first) => self.count_outcome(first, outcome, took),
            Origin::Attempt(parent) => {
                let replica = self.attempts[parent].replica;
                let local = self.edges[call.edge as usize].local;
                self.replicas[replica as usize].counters.seen[local as usize][outcome] += 1;
            }
            _ => {}
        }
    }

    /// Time that the faults of the moment add to an attempt on its way.
    fn delay_on_the_way(&self, edge: u32, hop: u64) -> Span {
        let edge = &self.edges[edge as usize];
        let latencies = &self.services[edge.service as usize].latencies;
        latencies.iter().fold(Span::ZERO, |sum, disturbance| sum + self.extra_latency(*disturbance, edge, hop))
    }

    /// How many requests of clients are open.
    pub(super) fn open_requests(&self, client: u32) -> u64 {
        let is_of = |call: &&Call| matches!(call.origin, Origin::Client { client: of, .. } if of == client);
        self.calls.taken().filter(is_of).count() as u64
    }
}

/// The pause before retry `number`, before luck: its growth from the base, up to the cap.
fn pause_before(retries: &RetrySpec, base: Span, number: u32) -> Span {
    if number == 1 || base == Span::ZERO {
        return base.min(retries.cap);
    }
    let growth = match retries.growth {
        Growth::Exponential(factor) => libm::pow(factor.get(), f64::from(number - 1)),
        Growth::Doubled => libm::exp2(f64::from(number - 1)),
    };
    Span::from_seconds_f64(base.as_seconds() * growth).min(retries.cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::quantity::Factor;

    #[test]
    fn pauses_grow_to_their_cap() {
        let retries = RetrySpec {
            max: 9,
            base: Span::from_millis(100),
            growth: Growth::Exponential(Factor::new(2.0).unwrap()),
            cap: Span::from_millis(500),
            jitter: Jitter::None,
            budget: None,
            on: crate::spec::Causes::ALL,
            elsewhere: 0,
            over_quota: None,
            within: None,
        };
        let pauses: Vec<u64> = (1..6).map(|number| pause_before(&retries, retries.base, number).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 500, 500]);
    }

    #[test]
    fn envoy_s_pauses_are_below_25_50_100_200_and_250_ms() {
        let retries = RetrySpec {
            max: 9,
            base: Span::from_millis(25),
            growth: Growth::Doubled,
            cap: Span::from_millis(250),
            jitter: Jitter::Full,
            budget: None,
            on: crate::spec::Causes::ALL,
            elsewhere: 0,
            over_quota: None,
            within: None,
        };
        let pauses: Vec<u64> = (1..7).map(|number| pause_before(&retries, retries.base, number).as_millis()).collect();
        assert_eq!(pauses, [25, 50, 100, 200, 250, 250]);
    }
}
