//! Connections that a replica has not accepted yet: so many wait, and those that come then are not answered (docs/MODEL.md 1.3).

use firedrill_core::journal::Event;
use firedrill_core::time::{Span, Time};

use crate::slab::NONE;
use crate::spec::ServiceSpec;
use crate::world::calls::{Failure, Origin};
use crate::world::work::State;
use crate::world::{Due, World};

/// A backlog that nobody has found full for so long has room again.
const ROOM_AGAIN: Span = Span::from_seconds(10);

/// What is known of connections that nobody answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knocking {
    /// By the slot of an attempt: how often its caller has asked for a connection in vain; zero once that is over.
    knocks: Vec<u8>,
    /// By replica: how often it has dropped a SYN since its backlog was full first, and when last.
    dropped: Vec<(u64, Time)>,
}

/// Requests that may wait at a replica: in its queue, and in its backlog, of which the kernel takes one more than it says
/// (`sk_acceptq_is_full` of Linux). `u32::MAX` is unbounded.
pub(super) fn places(spec: &ServiceSpec) -> u32 {
    let backlog = spec.backlog.map_or(0, |backlog| backlog.length.saturating_add(1));
    spec.queue.map_or(u32::MAX, |queue| queue.saturating_add(backlog))
}

impl Knocking {
    fn take(&mut self, slot: u32) -> u8 {
        self.knocks.get_mut(slot as usize).map_or(0, std::mem::take)
    }
}

impl World {
    /// Whether an attempt that finds a replica full is not answered, and its caller's kernel asks again; else it is turned away as ever.
    #[cold]
    pub(super) fn knocks_in_vain(&mut self, slot: u32, index: u32) -> bool {
        if !self.opens_connection(slot) {
            return false;
        }
        self.knock_later(slot, index, 0);
        true
    }

    /// Whether a service has a backlog, and this replica of it no room in its line.
    pub(super) fn has_full_backlog(&self, index: u32) -> bool {
        let replica = &self.replicas[index as usize];
        self.spec.services[replica.service as usize].backlog.is_some() && !self.has_room(index)
    }

    fn has_room(&self, index: u32) -> bool {
        let replica = &self.replicas[index as usize];
        let service = &self.services[replica.service as usize];
        replica.queued < service.queue || (replica.queued == 0 && (replica.in_service.len() as u32) < service.workers && !replica.hung)
    }

    /// Whether an attempt has to be accepted first: there is a backlog, and its caller has no connection that it keeps.
    fn opens_connection(&self, slot: u32) -> bool {
        let attempt = &self.attempts[slot];
        if self.spec.services[attempt.service as usize].backlog.is_none() || self.has_kept_connection(slot) {
            return false;
        }
        if attempt.call == NONE {
            return true;
        }
        let call = self.first_of(attempt.call);
        let pooled = self.edges[call.edge as usize].protection.as_ref().is_some_and(|protection| protection.pool.is_some());
        !pooled && !matches!(call.origin, Origin::Message(..))
    }

    /// Nobody answers: the caller's kernel asks again after a while, each time after twice as long, or gives up.
    fn knock_later(&mut self, slot: u32, index: u32, knocks: u8) {
        let service = self.attempts[slot].service as usize;
        let backlog = self.spec.services[service].backlog.expect("only a backlog leaves connections without an answer");
        self.note_dropped(index, backlog.length);
        let wait = Span::from_nanos(backlog.retry_after.as_nanos().saturating_mul(1 << knocks));
        let due = if u32::from(knocks) < backlog.retries { Due::Knock(slot) } else { Due::KnockedInVain(slot) };
        let timer = self.schedule_after(wait, due);
        // As far as its service knows it is still on its way.
        self.services[service].not_yet_arrived();
        self.attempts[slot].timer = Some(timer);
        assert!(self.attempts[slot].state == State::OnTheWay, "only who has not come in knocks");
        let table = &mut self.knocking.as_mut().expect("a service has a backlog").knocks;
        table.resize(table.len().max(slot as usize + 1), 0);
        table[slot as usize] = knocks + 1;
    }

    /// The kernel of a caller asks for a connection again.
    pub(super) fn knock(&mut self, slot: u32) {
        let knocks = self.arrives_after_all(slot);
        let index = self.attempts[slot].replica;
        if !self.replicas[index as usize].accepts() {
            self.turn_away(slot, Failure::Unreachable);
        } else if self.has_room(index) {
            self.admit(slot, index);
        } else {
            self.knock_later(slot, index, knocks);
        }
    }

    /// The kernel of a caller gives a connection up.
    pub(super) fn knocked_in_vain(&mut self, slot: u32) {
        self.arrives_after_all(slot);
        self.turn_away(slot, Failure::Unreachable);
    }

    fn arrives_after_all(&mut self, slot: u32) -> u8 {
        let attempt = &mut self.attempts[slot];
        attempt.timer = None;
        attempt.arrived = self.now;
        self.services[attempt.service as usize].arrived();
        self.knocking.as_mut().expect("a service has a backlog").take(slot)
    }

    /// Whether an attempt waits for its kernel to ask again, which ends with its caller: a socket that is closed sends nothing.
    #[inline]
    pub(super) fn ceases_to_knock(&mut self, slot: u32) -> bool {
        self.knocking.as_mut().is_some_and(|knocking| knocking.take(slot) > 0)
    }

    fn note_dropped(&mut self, index: u32, length: u32) {
        let now = self.now;
        let table = &mut self.knocking.as_mut().expect("a service has a backlog").dropped;
        table.resize(table.len().max(index as usize + 1), (0, Time::ZERO));
        let (count, last) = &mut table[index as usize];
        *count += 1;
        *last = now;
        if *count == 1 {
            let figures = format!("a backlog of {length} is full, and new connections are not answered");
            self.write(Event::SheddingChanged { replica: self.replicas[index as usize].name.clone(), sheds: true, figures });
        }
    }

    /// Writes down which backlogs nobody has found full for a while.
    #[cold]
    pub(super) fn note_backlogs(&mut self, now: Time) {
        let Some(knocking) = &mut self.knocking else { return };
        for (replica, (count, last)) in self.replicas.iter().zip(&mut knocking.dropped) {
            if *count > 0 && now.since(*last) >= ROOM_AGAIN {
                let figures = format!("{} SYNs were dropped", std::mem::take(count));
                self.journal.write(now, Event::SheddingChanged { replica: replica.name.clone(), sheds: false, figures });
            }
        }
    }
}
