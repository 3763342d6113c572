//! Calls: who asks whom, for how long they wait, and how often they try again.

use firedrill_core::name::Name;
use firedrill_core::random::hop_index;
use firedrill_core::time::{Span, Time};

use crate::probe::ProbeKind;
use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{Cancel, Growth, Jitter, ProtectionSpec, RetrySpec};
use crate::world::balancing::Heard;
use crate::world::work::State;
use crate::world::{Due, World};

/// A way that calls take: from a client to a service, or from a phase of a program to another service.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The client or the calling service.
    pub(crate) caller: Name,
    /// Whether the caller is a client.
    pub(crate) from_client: bool,
    /// The service called.
    pub(crate) service: u32,
    /// Which of its endpoints.
    pub(super) endpoint: u32,
    /// Where the call stands in the caller's program; zero for clients.
    pub(super) position: u32,
    /// Which edge of its caller this is.
    pub(crate) local: u32,
    /// The share of requests that make the call.
    pub(super) probability: f64,
    pub(super) timeout: Option<Span>,
    pub(super) retries: RetrySpec,
    /// What stands between its callers and the service; boxed because most edges have nothing.
    pub(super) protection: Option<Box<ProtectionSpec>>,
    /// Whether it is the way of a probe, whose retries nobody limits.
    pub(super) of_probe: bool,
    /// Limits in force, by the order that set them.
    pub(super) limits: Vec<(u32, u32)>,
    /// The retries allowed now.
    pub(super) allowed: u32,
}

/// Why a call failed, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was answered with an error.
    Error,
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
}

impl Failure {
    /// Its index in [`crate::world::OUTCOMES`].
    const fn outcome(self) -> usize {
        match self {
            Self::Error => 1,
            Self::Timeout | Self::NoConnection => 2,
            Self::QueueFull | Self::NoReplica | Self::Refused => 3,
            Self::Reset | Self::Unreachable => 4,
        }
    }

    /// The status code, as an index in [`crate::world::CODES`], of a service that fails because a call of its own failed.
    pub(super) const fn code(self) -> usize {
        match self {
            Self::Error => 1,
            Self::Reset => 2,
            Self::QueueFull | Self::NoReplica | Self::Unreachable | Self::Refused => 3,
            Self::Timeout | Self::NoConnection => 4,
        }
    }
}

/// Who waits for a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A client, for its request with this ordinal.
    Client {
        /// Which client.
        client: u32,
        /// Counts its requests from 0.
        ordinal: u64,
    },
    /// An attempt in service, for its present phase.
    Attempt(u32),
    /// A probe of this replica.
    Probe(u32, ProbeKind),
}

/// A call under way: one attempt after the other until one succeeds or none is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) origin: Origin,
    /// Hash of the request, that is of its client and ordinal.
    pub(super) request: u64,
    /// The index of the parent's hop; zero for clients.
    pub(super) parent: u64,
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
}

impl Call {
    pub(super) const fn new(origin: Origin, request: u64, edge: u32, begun: Time) -> Self {
        Self {
            origin,
            request,
            parent: 0,
            begun,
            edge,
            number: 0,
            attempt: NONE,
            timer: None,
            sent: begun,
            paid: 0,
            admission: Admission::None,
        }
    }
}

impl World {
    /// Begins a call and sends its first attempt.
    #[inline]
    pub(super) fn place_call(&mut self, call: Call) -> u32 {
        let slot = self.calls.insert(call);
        if let Origin::Attempt(parent) = call.origin {
            self.attempts[parent].child = slot;
        }
        if self.edges[call.edge as usize].protection.is_some() {
            self.note_request(slot);
        }
        self.send(slot);
        slot
    }

    /// Sends the next attempt of a call, if its caller lets it.
    fn send(&mut self, slot: u32) {
        if self.keeps_terms && self.is_out_of_time(slot) {
            let timer = self.schedule_after(Span::ZERO, Due::TimedOut(slot));
            self.calls[slot].timer = Some(timer);
            return;
        }
        if self.edges[self.calls[slot].edge as usize].protection.is_none() || self.may_send(slot) {
            self.dispatch_call(slot);
        }
    }

    /// Puts the next attempt of a call on its way.
    pub(super) fn dispatch_call(&mut self, slot: u32) {
        let call = self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        let hop = hop_index(call.request, call.parent, edge.position, call.number);
        let service = edge.service;
        let timeout = edge.timeout;
        let endpoint = edge.endpoint;
        let attempt = self.new_attempt(slot, hop, service, endpoint);
        self.calls[slot].attempt = attempt;
        self.calls[slot].sent = self.now;
        let timeout = if self.keeps_terms { self.time_left(attempt) } else { timeout };
        if let Some(timeout) = timeout {
            let timer = self.schedule_after(timeout, Due::TimedOut(slot));
            self.calls[slot].timer = Some(timer);
        }
        let delay = self.delay_on_the_way(call.edge, hop);
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
        let mut timer = self.calls[slot].timer.take();
        self.cancel(&mut timer);
        self.calls[slot].attempt = NONE;
        self.returned(slot, result);
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
        if attempt != NONE {
            self.hear(attempt, Heard::Code(Failure::Timeout.code()));
            self.abandon(attempt);
        }
        self.returned(slot, Err(Failure::Timeout));
        self.conclude(slot, Err(Failure::Timeout));
    }

    pub(super) fn retry(&mut self, slot: u32) {
        self.calls[slot].timer = None;
        self.send(slot);
    }

    /// An attempt of the call has ended: the call ends with it, or tries again.
    #[inline]
    pub(super) fn conclude(&mut self, slot: u32, result: Result<(), Failure>) {
        if self.counting {
            self.count_outcome(slot, result.map_or_else(Failure::outcome, |()| 0));
        }
        match result {
            Err(failure) if self.may_retry(slot, failure) => self.pause_before_retry(slot),
            _ => self.close_call(slot, result),
        }
    }

    fn may_retry(&mut self, slot: u32, failure: Failure) -> bool {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        if call.number >= edge.allowed || !self.wants_retry(slot) || (self.keeps_terms && self.is_out_of_time(slot)) {
            return false;
        }
        edge.protection.is_none() || self.can_afford_retry(slot, failure)
    }

    fn wants_retry(&self, slot: u32) -> bool {
        let Origin::Attempt(parent) = self.calls[slot].origin else { return true };
        // A process that hangs does not retry, and neither does work that has been cancelled.
        let parent = &self.attempts[parent];
        let cancelled = parent.call == NONE && self.services[parent.service as usize].cancel == Cancel::Context;
        !self.replicas[parent.replica as usize].hung && !cancelled
    }

    fn pause_before_retry(&mut self, slot: u32) {
        let call = &mut self.calls[slot];
        call.number += 1;
        let edge = &self.edges[call.edge as usize];
        if call.number == 1 {
            self.services[edge.service as usize].retrying += 1;
        }
        let mut pause = pause_before(&edge.retries, call.number);
        if edge.retries.jitter != Jitter::None && pause > Span::ZERO {
            let hop = hop_index(call.request, call.parent, edge.position, call.number);
            let luck = self.services[edge.service as usize].retry_luck.block(hop).unit(0);
            pause = Span::from_seconds_f64(pause.as_seconds() * edge.retries.jitter.of(luck));
        }
        // Also a retry at once goes through the queue, so that a chain of refusals does not nest.
        let timer = self.schedule_after(pause, Due::Retry(slot));
        self.calls[slot].timer = Some(timer);
    }

    /// The call is over; who waited for it goes on.
    #[inline]
    fn close_call(&mut self, slot: u32, result: Result<(), Failure>) {
        let call = self.calls[slot];
        self.free_call(slot);
        match call.origin {
            Origin::Client { client, ordinal } => self.close_request(client, ordinal, call.begun, result),
            Origin::Attempt(parent) => {
                self.attempts[parent].child = NONE;
                self.call_returned(parent, result);
            }
            Origin::Probe(replica, kind) => self.probe_answered(replica, kind, result.is_ok()),
        }
    }

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
        let mut timer = self.calls[slot].timer.take();
        self.cancel(&mut timer);
        let attempt = self.calls[slot].attempt;
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
        if self.services[attempt.service as usize].cancel == Cancel::None {
            return;
        }
        match attempt.state {
            State::OnTheWay => {
                let mut timer = attempt.timer.take();
                self.cancel(&mut timer);
                self.attempts.remove(slot);
            }
            State::Queued => self.drop_queued(slot),
            State::Working | State::OnCpu | State::Dropped => {}
        }
    }

    fn count_outcome(&mut self, slot: u32, outcome: usize) {
        let call = &self.calls[slot];
        match call.origin {
            Origin::Client { client, .. } => self.clients[client as usize].seen[outcome] += 1,
            Origin::Attempt(parent) => {
                let replica = self.attempts[parent].replica;
                let local = self.edges[call.edge as usize].local;
                self.replicas[replica as usize].counters.seen[local as usize][outcome] += 1;
            }
            Origin::Probe(..) => {}
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
fn pause_before(retries: &RetrySpec, number: u32) -> Span {
    if number == 1 || retries.base == Span::ZERO {
        return retries.base.min(retries.cap);
    }
    let growth = match retries.growth {
        Growth::Exponential(factor) => libm::pow(factor.get(), f64::from(number - 1)),
        Growth::Doubled => libm::exp2(f64::from(number)) - 1.0,
    };
    Span::from_seconds_f64(retries.base.as_seconds() * growth).min(retries.cap)
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
        };
        let pauses: Vec<u64> = (1..6).map(|number| pause_before(&retries, number).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 500, 500]);
    }

    #[test]
    fn envoy_s_pauses_are_below_24_74_and_174_ms() {
        let retries = RetrySpec {
            max: 9,
            base: Span::from_millis(25),
            growth: Growth::Doubled,
            cap: Span::from_millis(250),
            jitter: Jitter::Full,
            budget: None,
        };
        let pauses: Vec<u64> = (1..5).map(|number| pause_before(&retries, number).as_millis()).collect();
        assert_eq!(pauses, [25, 75, 175, 250]);
    }
}
