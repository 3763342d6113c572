//! What protects callers, applied to calls: budgets of retries, breakers, throttles, pools (docs/MODEL.md 1.6).

use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::hop_index;
use firedrill_core::time::Span;

use crate::caller::{Caller, Change};
use crate::spec::{FaultKind, ServiceSpec};
use crate::world::calls::{Admission, Edge, Failure, Origin};
use crate::world::{Client, Due, Replica, World};

/// Who calls over an edge: what protections are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A client.
    Client(u32),
    /// A replica, at this edge of its service; of several that share their protections, the first.
    Replica(u32, u32),
}

/// The word of the block before a retry, or a first attempt, that a throttle decides by; word 0 is the jitter.
const THROTTLE_WORD: usize = 1;

/// The callers of a fresh process, by its service's edges; where several share one, the first of them has it.
pub(super) fn callers_of(spec: &ServiceSpec, edges: &[Edge]) -> Vec<Option<Box<Caller>>> {
    let own = edges.iter().filter(|edge| !edge.from_client && edge.caller == spec.name);
    own.map(|edge| if edge.keeper == edge.local { caller_at(edge) } else { None }).collect()
}

/// The caller at an edge, if it has anything to keep in mind.
pub(super) fn caller_at(edge: &Edge) -> Option<Box<Caller>> {
    edge.protection.as_ref().map(|protection| Box::new(Caller::new(&edge.retries, protection)))
}

/// The caller itself, in the tables that hold callers, so that the rest of the world can be changed beside it.
#[inline]
fn caller_in<'a>(clients: &'a mut [Client], replicas: &'a mut [Replica], owner: Owner) -> &'a mut Caller {
    let caller = match owner {
        Owner::Client(client) => &mut clients[client as usize].caller,
        Owner::Replica(replica, local) => &mut replicas[replica as usize].callers[local as usize],
    };
    caller.as_mut().expect("a protected edge has callers")
}

impl World {
    #[inline]
    fn owner(&self, slot: u32) -> Owner {
        let call = &self.calls[slot];
        match call.origin {
            Origin::Client { client, .. } => Owner::Client(client),
            Origin::Twin(first) => self.owner_of_first(first),
            Origin::Attempt(parent) => Owner::Replica(self.attempts[parent].replica, self.edges[call.edge as usize].keeper),
            _ => unreachable!("nothing protects a probe or a message"),
        }
    }

    #[cold]
    fn owner_of_first(&self, first: u32) -> Owner {
        self.owner(first)
    }

    /// Whose pool the connection of a call is; `None`: nobody's.
    pub(super) fn pool_of(&self, slot: u32) -> Option<Owner> {
        let edge = &self.edges[self.calls[slot].edge as usize];
        edge.protection.as_ref().filter(|protection| protection.pool.is_some()).map(|_| self.owner(slot))
    }

    fn caller(&mut self, owner: Owner) -> &mut Caller {
        caller_in(&mut self.clients, &mut self.replicas, owner)
    }

    /// Whether the next attempt of a protected caller goes now. If not, it waits for a connection or has been refused already.
    pub(super) fn may_send(&mut self, slot: u32) -> bool {
        let edge = &self.edges[self.calls[slot].edge as usize];
        let throttles = edge.protection.as_ref().map(|protection| protection.throttle.is_some());
        if edge.held.is_some() && self.is_held_back(slot) {
            return false;
        }
        let Some(throttles) = throttles else { return true };
        let now = self.now;
        let owner = self.owner(slot);
        let luck = if throttles { self.throttle_luck(slot) } else { 0.0 };
        let call = &mut self.calls[slot];
        let first = call.number == 0 && !matches!(call.origin, Origin::Twin(_));
        let caller = caller_in(&mut self.clients, &mut self.replicas, owner);
        if let Some(budget) = &mut caller.budget
            && first
        {
            budget.requested(now);
        }
        let (admitted, change) = caller.admit(now, luck);
        if admitted.is_ok() {
            caller.active += 1;
            if change.is_none() && caller.pool.is_none() {
                call.admission = Admission::Admitted;
                return true;
            }
        }
        if let Some(change) = change {
            self.note_breaker(slot, owner, change);
        }
        if admitted.is_err() {
            self.conclude(slot, Err(Failure::Refused));
            return false;
        }
        let Some(pool) = &mut self.caller(owner).pool else {
            self.calls[slot].admission = Admission::Admitted;
            return true;
        };
        if pool.has_one() && pool.waiting.is_empty() {
            pool.held += 1;
            if let Some(times) = &mut pool.times {
                times.waits.record(Span::ZERO);
            }
            self.calls[slot].admission = Admission::Admitted;
            return true;
        }
        pool.waiting.push_back(slot);
        pool.waited += 1;
        let timeout = pool.spec.timeout;
        let is_bounded = self.edges[self.calls[slot].edge as usize].is_bounded;
        let timeout = if is_bounded { self.bounded(slot, (Some(timeout), None)).0.unwrap_or(timeout) } else { timeout };
        let timer = self.schedule_after(timeout, Due::TimedOut(slot));
        let call = &mut self.calls[slot];
        // It is sent when it has its connection.
        call.sent = now;
        call.admission = Admission::Waiting;
        call.timer = Some(timer);
        false
    }

    /// Uniform in [0, 1), a function of the attempt; drawn only where a throttle asks.
    fn throttle_luck(&self, slot: u32) -> f64 {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        let hop = hop_index(call.request, call.parent, edge.position, call.number);
        self.services[edge.service as usize].retry_luck.block(hop).unit(THROTTLE_WORD)
    }

    /// Nobody gave back a connection in time.
    pub(super) fn connection_timed_out(&mut self, slot: u32) {
        let owner = self.owner(slot);
        self.stop_waiting(slot, owner);
        if let Some(pool) = &mut self.caller(owner).pool {
            pool.timeouts += 1;
        }
        self.release_permit(owner);
        self.conclude(slot, Err(Failure::NoConnection));
    }

    fn stop_waiting(&mut self, slot: u32, owner: Owner) {
        self.calls[slot].admission = Admission::None;
        let caller = self.caller(owner);
        caller.active -= 1;
        let pool = caller.pool.as_mut().expect("only a pool is waited for");
        let place = pool.waiting.iter().position(|waiting| *waiting == slot).expect("who waits is in the queue");
        pool.waiting.remove(place);
    }

    fn release_permit(&mut self, owner: Owner) {
        if let Some(breaker) = &mut self.caller(owner).breaker {
            breaker.release();
        }
    }

    /// An attempt of a call has been answered or given up: what it held is free, and what it tells is remembered.
    #[inline]
    pub(super) fn returned(&mut self, slot: u32, result: Result<(), Failure>) {
        if self.calls[slot].admission == Admission::Admitted {
            self.remember(slot, result);
        }
    }

    pub(super) fn remember(&mut self, slot: u32, result: Result<(), Failure>) {
        let now = self.now;
        let owner = self.owner(slot);
        let call = &mut self.calls[slot];
        call.admission = Admission::None;
        let (took, paid) = (now.since(call.sent), std::mem::take(&mut call.paid));
        let caller = caller_in(&mut self.clients, &mut self.replicas, owner);
        if caller.give_back(took) {
            self.todo.connections.push(owner);
        }
        match (&mut caller.budget, result) {
            (Some(budget), Ok(())) => budget.succeeded(paid),
            (Some(budget), Err(_)) => budget.failed(),
            (None, _) => {}
        }
        if let Some(throttle) = &mut caller.throttle
            && matches!(result, Ok(()) | Err(Failure::Error | Failure::Passed(_)))
        {
            throttle.accepted(now);
        }
        if let Some(change) = caller.breaker.as_mut().and_then(|breaker| breaker.record(now, result.is_err(), took)) {
            self.note_breaker(slot, owner, change);
        }
    }

    /// Gives back what an attempt that is under way holds.
    fn release(&mut self, slot: u32, owner: Owner) {
        let call = &mut self.calls[slot];
        call.admission = Admission::None;
        let took = self.now.since(call.sent);
        if self.caller(owner).give_back(took) {
            self.todo.connections.push(owner);
        }
    }

    /// Hands connections that are free to those who wait.
    pub(super) fn hand_over(&mut self, owner: Owner) {
        let now = self.now;
        while let Some(pool) = self.caller_pool(owner)
            && pool.has_one()
            && let Some(slot) = pool.waiting.pop_front()
        {
            pool.held += 1;
            let call = &mut self.calls[slot];
            call.admission = Admission::Admitted;
            let waited = now.since(call.sent);
            let mut timer = call.timer.take();
            if let Some(times) = self.caller_pool(owner).and_then(|pool| pool.times.as_mut()) {
                times.waits.record(waited);
            }
            self.cancel(&mut timer);
            self.dispatch_call(slot);
        }
    }

    fn caller_pool(&mut self, owner: Owner) -> Option<&mut crate::caller::Pool> {
        self.caller(owner).pool.as_deref_mut()
    }

    /// Whether the budget lets a failed call be tried again, which it then is.
    pub(super) fn can_afford_retry(&mut self, slot: u32, failure: Failure) -> bool {
        let again = self.calls[slot].number > 0;
        let Some(paid) = self.afford(slot, failure == Failure::Timeout, again) else { return false };
        self.calls[slot].paid = paid;
        true
    }

    /// What the budget takes for a second attempt beside the first, which is under way; `None` if it allows none, and the first goes on alone.
    pub(super) fn afford_hedge(&mut self, slot: u32) -> Option<u32> {
        self.afford(slot, true, false)
    }

    /// What the budget of a call's caller takes for one attempt more, which counts among its retries; in the place of the retry before if it is made `again`.
    fn afford(&mut self, slot: u32, timed_out: bool, again: bool) -> Option<u32> {
        let now = self.now;
        let owner = self.owner(slot);
        let caller = self.caller(owner);
        let retries = caller.retries - u32::from(again);
        let active = caller.active + 1;
        let paid = match &mut caller.budget {
            Some(budget) => budget.withdraw(now, timed_out, active, retries),
            None => Some(0),
        };
        if paid.is_none() {
            caller.retry_overflow += 1;
        } else {
            caller.retries = retries + 1;
        }
        paid
    }

    /// An attempt is given up without a result.
    pub(super) fn release_caller(&mut self, slot: u32) {
        match self.calls[slot].admission {
            Admission::None | Admission::Prepared => {}
            Admission::Waiting => {
                let owner = self.owner(slot);
                self.stop_waiting(slot, owner);
                self.release_permit(owner);
            }
            Admission::Admitted => {
                let owner = self.owner(slot);
                self.release(slot, owner);
                self.release_permit(owner);
            }
        }
    }

    /// A call of a protected caller is over or dropped.
    #[inline]
    pub(super) fn leave_caller(&mut self, slot: u32) {
        let call = &self.calls[slot];
        let is_again = call.number > 0 || matches!(call.origin, Origin::Twin(_));
        if call.admission == Admission::None && !is_again {
            return;
        }
        let owner = self.owner(slot);
        self.release_caller(slot);
        if is_again {
            self.caller(owner).retries -= 1;
        }
    }

    /// The share of connections that the pools of a replica lose is what the faults of the moment make of it.
    pub(super) fn refresh_leaks(&mut self, index: u32) {
        let own = &self.spec.services[self.replicas[index as usize].service as usize].name;
        let faults: Vec<(Option<Name>, f64)> = self
            .active_faults()
            .filter_map(|kind| match kind {
                FaultKind::ConnectionLeak { target, to, share } if self.strikes(target, index) => Some((to.clone(), share.get())),
                _ => None,
            })
            .collect();
        let edges = self.edges.iter().filter(|edge| !edge.from_client && edge.caller == *own);
        let names: Vec<Name> = edges.map(|edge| self.spec.services[edge.service as usize].name.clone()).collect();
        for (caller, name) in self.replicas[index as usize].callers.iter_mut().zip(names) {
            let Some(pool) = caller.as_mut().and_then(|caller| caller.pool.as_mut()) else { continue };
            let kept =
                faults.iter().filter(|(to, _)| to.as_ref().is_none_or(|to| *to == name)).fold(1.0, |kept, (_, share)| kept * (1.0 - share));
            pool.leak = 1.0 - kept;
        }
    }

    /// Makes the pools of a replica anew, or those that lead to one service. What is under way ends on the connection that it has, and what was lost
    /// is not missed any more. The result is how many pools there are.
    pub(super) fn reset_pools(&mut self, index: u32, to: Option<&Name>) -> usize {
        let own = self.spec.services[self.replicas[index as usize].service as usize].name.clone();
        let edges = self.edges.iter().filter(|edge| !edge.from_client && edge.caller == own);
        let meant = edges.filter(|edge| to.is_none_or(|to| self.spec.services[edge.service as usize].name == *to));
        let locals: Vec<u32> = meant.map(|edge| edge.local).collect();
        let mut count = 0;
        for local in locals {
            let owner = Owner::Replica(index, local);
            let caller = self.replicas[index as usize].callers[local as usize].as_mut();
            let Some(pool) = caller.and_then(|caller| caller.pool.as_mut()) else { continue };
            pool.leaked = 0;
            count += 1;
            self.forget_idle(owner);
            self.todo.connections.push(owner);
        }
        count
    }

    /// Sets how many connections each pool of a service has; `None`: as many as declared. The result is how many pools a process has.
    pub(super) fn set_pools(&mut self, service: u32, size: Option<u32>) -> usize {
        let own = self.spec.services[service as usize].name.clone();
        let declared = self.spec.services[service as usize].calls_in_order();
        let mut count = 0;
        for edge in 0..self.edges.len() {
            let at = &mut self.edges[edge];
            if at.from_client || at.caller != own {
                continue;
            }
            let (local, is_kept) = (at.local, at.keeper == at.local);
            let Some(pool) = at.protection.as_mut().and_then(|protection| protection.pool.as_mut()) else { continue };
            let size =
                size.or(declared[local as usize].protection.pool.map(|pool| pool.size)).expect("what has a pool was declared with one");
            pool.size = size;
            if !is_kept {
                continue;
            }
            count += 1;
            for replica in self.services[service as usize].replicas.clone() {
                let caller = self.replicas[replica as usize].callers[local as usize].as_mut();
                if let Some(pool) = caller.and_then(|caller| caller.pool.as_mut()) {
                    pool.spec.size = size;
                    self.todo.connections.push(Owner::Replica(replica, local));
                }
            }
        }
        count
    }

    fn note_breaker(&mut self, slot: u32, owner: Owner, change: Change) {
        let edge = &self.edges[self.calls[slot].edge as usize];
        let caller: Name = match owner {
            Owner::Client(_) => edge.caller.clone(),
            Owner::Replica(replica, _) => self.replicas[replica as usize].name.clone(),
        };
        let service = self.spec.services[edge.service as usize].name.clone();
        self.write(Event::BreakerChanged { caller, service, state: Name::new(change.state.word()), reason: change.reason });
    }

    /// Lets the pools of a fresh process keep how long connections are waited for and used, where a profile of its service tells it.
    pub(super) fn time_pools(&mut self, replica: u32) {
        let state = &mut self.replicas[replica as usize];
        if self.ways.is_none() || !self.spec.services[state.service as usize].tells_pools() {
            return;
        }
        for pool in state.callers.iter_mut().flatten().filter_map(|caller| caller.pool.as_mut()) {
            pool.times = Some(Box::default());
        }
    }

    /// A fresh process remembers nothing of the services that it calls.
    pub(super) fn forget_called(&mut self, replica: u32) {
        let service = self.replicas[replica as usize].service as usize;
        if self.replicas[replica as usize].callers.iter().any(Option::is_some) {
            self.replicas[replica as usize].callers = callers_of(&self.spec.services[service], &self.edges);
        }
    }
}
