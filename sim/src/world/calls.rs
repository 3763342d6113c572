//! Calls: who asks whom, for how long they wait, and how often they try again.

use firedrill_core::name::Name;
use firedrill_core::random::hop_index;
use firedrill_core::time::{Span, Time};

use crate::queue::Handle;
use crate::slab::NONE;
use crate::spec::{Cancel, RetrySpec};
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
    /// It was turned away: the queue was full.
    QueueFull,
    /// No replica was ready.
    NoReplica,
    /// The replica died, or the request was purged.
    Reset,
    /// The caller waited for long enough.
    Timeout,
}

impl Failure {
    /// Its index in [`crate::world::OUTCOMES`].
    const fn outcome(self) -> usize {
        match self {
            Self::Error => 1,
            Self::Timeout => 2,
            Self::QueueFull | Self::NoReplica => 3,
            Self::Reset => 4,
        }
    }

    /// The status code, as an index in [`crate::world::CODES`], of a service that fails because a call of its own failed.
    pub(super) const fn code(self) -> usize {
        match self {
            Self::Error => 1,
            Self::Reset => 2,
            Self::QueueFull | Self::NoReplica => 3,
            Self::Timeout => 4,
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
    /// The timeout of the attempt, or the end of the pause.
    timer: Option<Handle>,
}

impl Call {
    pub(super) const fn new(origin: Origin, request: u64, edge: u32, begun: Time) -> Self {
        Self { origin, request, parent: 0, begun, edge, number: 0, attempt: NONE, timer: None }
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
        self.send(slot);
        slot
    }

    /// Sends the next attempt of a call.
    fn send(&mut self, slot: u32) {
        let call = self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        let hop = hop_index(call.request, call.parent, edge.position, call.number);
        let service = edge.service;
        let timeout = edge.timeout;
        let endpoint = edge.endpoint;
        let attempt = self.new_attempt(slot, hop, service, endpoint);
        self.calls[slot].attempt = attempt;
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
        self.conclude(slot, result);
    }

    /// The caller has waited for long enough; the attempt goes on without it unless the service cancels.
    pub(super) fn timed_out(&mut self, slot: u32) {
        let call = &mut self.calls[slot];
        call.timer = None;
        let attempt = std::mem::replace(&mut call.attempt, NONE);
        self.abandon(attempt);
        self.conclude(slot, Err(Failure::Timeout));
    }

    pub(super) fn retry(&mut self, slot: u32) {
        self.calls[slot].timer = None;
        self.send(slot);
    }

    /// An attempt of the call has ended: the call ends with it, or tries again.
    #[inline]
    fn conclude(&mut self, slot: u32, result: Result<(), Failure>) {
        if self.counting {
            self.count_outcome(slot, result.map_or_else(Failure::outcome, |()| 0));
        }
        match result {
            Err(_) if self.may_retry(slot) => self.pause_before_retry(slot),
            _ => self.close_call(slot, result),
        }
    }

    fn may_retry(&self, slot: u32) -> bool {
        let call = &self.calls[slot];
        if call.number >= self.edges[call.edge as usize].allowed {
            return false;
        }
        let Origin::Attempt(parent) = call.origin else { return true };
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
        if edge.retries.jitter && pause > Span::ZERO {
            let hop = hop_index(call.request, call.parent, edge.position, call.number);
            let share = self.services[edge.service as usize].retry_luck.block(hop).unit(0);
            pause = Span::from_seconds_f64(pause.as_seconds() * share);
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
        }
    }

    fn free_call(&mut self, slot: u32) {
        let call = &self.calls[slot];
        if call.number > 0 {
            let service = self.edges[call.edge as usize].service;
            self.services[service as usize].retrying -= 1;
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

/// `min(cap, base * factor^(number - 1))`.
fn pause_before(retries: &RetrySpec, number: u32) -> Span {
    if number == 1 || retries.base == Span::ZERO {
        return retries.base.min(retries.cap);
    }
    let growth = libm::pow(retries.factor.get(), f64::from(number - 1));
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
            factor: Factor::new(2.0).unwrap(),
            cap: Span::from_millis(500),
            jitter: false,
        };
        let pauses: Vec<u64> = (1..6).map(|number| pause_before(&retries, number).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 500, 500]);
    }
}
