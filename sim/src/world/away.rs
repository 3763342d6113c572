//! Requests that give up their worker while they wait for an answer, and take one up again when it has come (docs/MODEL.md 1.1).

use std::collections::VecDeque;

use firedrill_core::time::Time;

use crate::spec::{Phase, ServiceSpec};
use crate::world::calls::Failure;
use crate::world::work::State;
use crate::world::{Replica, World};

/// The requests of a replica that have begun and have no worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Away {
    /// Those that wait for an answer; each knows its place.
    waiting: Vec<u32>,
    /// Those whose answer has come, in its order.
    back: VecDeque<Back>,
}

/// One that waits for a worker again.
#[derive(Clone, Copy, Debug)]
struct Back {
    since: Time,
    slot: u32,
    result: Result<(), Failure>,
}

impl Away {
    /// For a new replica; `None` if its service makes no asynchronous calls.
    pub(super) fn of(spec: &ServiceSpec) -> Option<Box<Self>> {
        let is_asynchronous = |phase: &Phase| match phase {
            Phase::Parallel { asynchronous, .. } => *asynchronous,
            phase => phase.calls().iter().any(|call| call.asynchronous),
        };
        spec.endpoints.iter().flat_map(|endpoint| &endpoint.phases).any(is_asynchronous).then(Box::default)
    }
}

impl Away {
    /// Those that wait for an answer.
    pub(super) fn waiting(&self) -> &[u32] {
        &self.waiting
    }
}

impl Replica {
    /// Requests that have begun: those with a worker, and those that have given theirs up for a while.
    #[inline]
    pub(crate) fn begun(&self) -> usize {
        self.in_service.len() + self.away.as_ref().map_or(0, |away| away.waiting.len() + away.back.len())
    }
}

impl World {
    /// An attempt gives up its worker.
    pub(super) fn go_away(&mut self, slot: u32) {
        self.leave(slot);
        let attempt = &mut self.attempts[slot];
        let waiting = &mut self.replicas[attempt.replica as usize].away.as_mut().expect("its service makes asynchronous calls").waiting;
        attempt.state = State::Away;
        attempt.place = waiting.len() as u32;
        waiting.push(slot);
    }

    /// What an attempt gave up its worker for has ended: it waits for one.
    pub(super) fn come_back(&mut self, slot: u32, result: Result<(), Failure>) {
        let attempt = &mut self.attempts[slot];
        attempt.state = State::Back;
        let (index, place) = (attempt.replica, attempt.place);
        let away = self.replicas[index as usize].away.as_mut().expect("its service makes asynchronous calls");
        let left = away.waiting.swap_remove(place as usize);
        assert!(left == slot, "an attempt leaves its own place");
        if let Some(moved) = away.waiting.get(place as usize) {
            self.attempts[*moved].place = place;
        }
        away.back.push_back(Back { since: self.now, slot, result });
        self.todo.dispatch.push(index);
    }

    /// Gives a free worker to the first of those who are back, unless one who has not begun came before it; `false` if nobody is.
    ///
    /// Both wait in one line, as the tasks of an executor do. Where a line is not first come, first served, who is back goes first.
    pub(super) fn take_up(&mut self, index: u32) -> bool {
        let replica = &mut self.replicas[index as usize];
        let Some(away) = &mut replica.away else { return false };
        let Some(first) = away.back.front() else { return false };
        let attempts = &self.attempts;
        let waits = |slot: u32| attempts[slot].state != State::Dropped;
        let new = match &replica.door {
            None => replica.queue.iter().copied().find(|slot| waits(*slot)),
            Some(door) => door.first_come(waits),
        };
        if new.is_some_and(|new| attempts[new].arrived < first.since) {
            return false;
        }
        let Back { slot, result, .. } = away.back.pop_front().expect("somebody is back");
        let service = replica.service;
        let attempt = &mut self.attempts[slot];
        attempt.state = State::Working;
        attempt.place = replica.in_service.len() as u32;
        replica.in_service.push(slot);
        self.services[service as usize].busy.change(self.now, 1);
        self.go_on_with(slot, result);
        true
    }

    /// All who have no worker of their own; their process has ended.
    pub(super) fn take_away(&mut self, index: u32) -> Vec<u32> {
        let Some(away) = &mut self.replicas[index as usize].away else { return Vec::new() };
        let Away { waiting, back } = std::mem::take(&mut **away);
        waiting.into_iter().chain(back.into_iter().map(|back| back.slot)).collect()
    }
}
