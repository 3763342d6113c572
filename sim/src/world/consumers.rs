//! Replicas as consumers: when they begin and end, and how the group that shares a log is formed anew (docs/MODEL.md 1.7).

use firedrill_core::random::{Purpose, Stream, hash64};
use firedrill_core::time::Span;

use crate::spec::LogSpec;
use crate::world::topics::{Consumer, Errand};
use crate::world::{Due, World};

/// The address of when a member's heartbeats come, beside its probes.
const HEARTBEAT: u64 = 1 << 32;

impl Consumer {
    const fn new(replica: u32) -> Self {
        Self {
            replica,
            alive: true,
            leaving: false,
            member: None,
            called: false,
            batch: std::collections::VecDeque::new(),
            working: Vec::new(),
            turn: 0,
            poll: None,
            silence: None,
            learns: None,
        }
    }
}

impl World {
    /// Those that are there at the start have shared their logs since long ago.
    pub(super) fn begin_consuming(&mut self) {
        for inbox in 0..self.inboxes.len() as u32 {
            let replicas = self.services[self.inboxes[inbox as usize].service as usize].replicas.clone();
            for replica in replicas {
                let member = self.inboxes[inbox as usize].group.join(replica);
                self.inboxes[inbox as usize].consumers.push(Consumer { member: Some(member), ..Consumer::new(replica) });
            }
            self.assign(inbox);
        }
    }

    /// A replica's process takes messages from now on.
    pub(super) fn consumer_starts(&mut self, replica: u32) {
        let Some(inbox) = self.inbox_of(replica) else { return };
        let state = &mut self.inboxes[inbox as usize];
        let place = state.consumers.binary_search_by_key(&replica, |consumer| consumer.replica).unwrap_or_else(|place| {
            state.consumers.insert(place, Consumer::new(replica));
            place
        });
        (state.consumers[place].alive, state.consumers[place].leaving) = (true, false);
        self.todo.errands.push(Errand::Take(replica));
    }

    /// Whether a consumer that has nothing left may take more. If not, it does what its group waits for.
    pub(super) fn is_to_take(&mut self, inbox: u32, place: usize) -> bool {
        let Some(log) = self.log_spec(inbox) else { return !self.inboxes[inbox as usize].consumers[place].leaving };
        self.commit(inbox, place);
        let state = &mut self.inboxes[inbox as usize];
        let consumer = &mut state.consumers[place];
        let replica = consumer.replica;
        if consumer.leaving {
            if let Some(member) = consumer.member.take() {
                self.remove_member(inbox, member, "leaves");
            }
            return false;
        }
        match consumer.member {
            None => {
                self.join(inbox, place, log);
                false
            }
            Some(member) if consumer.called => {
                consumer.called = false;
                state.group.rejoin(member);
                state.disown(replica);
                self.check_complete(inbox);
                false
            }
            Some(_) => true,
        }
    }

    /// What a consumer has done is done for good.
    fn commit(&mut self, inbox: u32, place: usize) {
        let state = &mut self.inboxes[inbox as usize];
        let replica = state.consumers[place].replica;
        state.partitions.iter_mut().filter(|partition| partition.owner == Some(replica)).for_each(super::topics::Partition::commit);
    }

    /// A consumer that has no number in its group gets one, and the group is formed anew.
    fn join(&mut self, inbox: u32, place: usize, log: LogSpec) {
        let state = &mut self.inboxes[inbox as usize];
        let was_empty = state.group.len() == 0;
        let replica = state.consumers[place].replica;
        let member = state.group.join(replica);
        state.consumers[place].member = Some(member);
        state.consumers[place].called = false;
        if state.group.is_stable() {
            let why = format!("{} joins", self.replicas[replica as usize].name);
            self.form(inbox, Some(member), &why, if was_empty { log.first_wait } else { log.poll });
        }
    }

    /// A group is formed anew: each member learns of it with its next heartbeat, and joins again once it is through with what it has.
    fn form(&mut self, inbox: u32, newcomer: Option<u32>, why: &str, wait: Span) {
        let Some(log) = self.log_spec(inbox) else { return };
        let state = &mut self.inboxes[inbox as usize];
        let called = state.group.begin(newcomer);
        state.formed += 1;
        let formed = state.formed;
        for replica in called {
            let place = self.inboxes[inbox as usize].place_of(replica).expect("a member is a consumer");
            let consumer = &self.inboxes[inbox as usize].consumers[place];
            if !consumer.alive || consumer.member.is_none() {
                continue;
            }
            let luck =
                Stream::new(self.seed, Purpose::Phase, hash64(&self.replicas[replica as usize].name)).block(HEARTBEAT + formed).unit(0);
            let learns = self.schedule_after(Span::from_seconds_f64(log.heartbeat.as_seconds() * luck), Due::Learns(inbox, replica));
            let mut old = self.inboxes[inbox as usize].consumers[place].learns.replace(learns);
            self.cancel(&mut old);
        }
        self.note_inbox(inbox, "rebalancing", why.to_owned());
        let forming = self.schedule_after(wait, Due::GroupWaited(inbox));
        let mut old = self.inboxes[inbox as usize].forming.replace(forming);
        self.cancel(&mut old);
        // With nobody else to wait for, only a group that was empty waits for more.
        if newcomer.is_none() || self.inboxes[inbox as usize].group.len() > 1 {
            self.check_complete(inbox);
        }
    }

    /// A member learns that its group is formed anew.
    pub(super) fn learns(&mut self, inbox: u32, replica: u32) {
        let state = &mut self.inboxes[inbox as usize];
        let Some(place) = state.place_of(replica) else { return };
        state.consumers[place].learns = None;
        if !state.group.is_stable() && state.consumers[place].alive {
            state.consumers[place].called = true;
            self.todo.errands.push(Errand::Take(replica));
        }
    }

    /// A group that is being formed has waited for long enough.
    pub(super) fn group_waited(&mut self, inbox: u32) {
        let state = &mut self.inboxes[inbox as usize];
        state.forming = None;
        if state.group.is_stable() {
            return;
        }
        for (number, replica) in state.group.give_up() {
            self.put_out(inbox, number, replica);
        }
        self.assign(inbox);
    }

    fn check_complete(&mut self, inbox: u32) {
        let state = &self.inboxes[inbox as usize];
        if !state.group.is_stable() && state.group.is_complete() {
            self.assign(inbox);
        }
    }

    /// The group is formed: partitions go to those who are in it, who begin where the last owners have committed.
    fn assign(&mut self, inbox: u32) {
        let state = &mut self.inboxes[inbox as usize];
        if state.partitions.is_empty() {
            return;
        }
        let mut forming = state.forming.take();
        let was_stable = state.group.is_stable();
        let owners = state.group.assign(state.partitions.len() as u32);
        for (index, partition) in state.partitions.iter_mut().enumerate() {
            partition.owner = owners.get(index).copied();
            partition.rewind();
        }
        for consumer in &mut state.consumers {
            consumer.called = false;
            self.todo.errands.push(Errand::Take(consumer.replica));
        }
        let members = state.group.len();
        self.cancel(&mut forming);
        if !was_stable {
            let count = self.inboxes[inbox as usize].partitions.len();
            self.note_inbox(inbox, "assigned", format!("{count} partitions to {members} members"));
        }
    }

    /// A member is out: it leaves, or the group has not heard of it.
    fn remove_member(&mut self, inbox: u32, member: u32, why: &str) {
        let Some(log) = self.log_spec(inbox) else { return };
        let state = &mut self.inboxes[inbox as usize];
        if !state.group.remove(member) {
            return;
        }
        if state.group.len() == 0 {
            self.assign(inbox);
        } else if state.group.is_stable() {
            self.form(inbox, None, &format!("a member {why}"), log.poll);
        } else {
            self.check_complete(inbox);
        }
    }

    /// A consumer has lost its number, and what it has is lost to it. It learns of that when it asks for more, and joins again then: first it ends its
    /// batch, which others have by now.
    fn put_out(&mut self, inbox: u32, number: u32, replica: u32) {
        let state = &mut self.inboxes[inbox as usize];
        let Some(place) = state.place_of(replica).filter(|place| state.consumers[*place].member == Some(number)) else { return };
        state.lose_batch(place);
        state.lose_working(place, false);
        state.disown(replica);
        let consumer = &mut state.consumers[place];
        consumer.member = None;
        consumer.called = false;
        let (mut poll, mut silence) = (consumer.poll.take(), consumer.silence.take());
        self.cancel(&mut poll);
        self.cancel(&mut silence);
        self.todo.errands.push(Errand::Take(replica));
    }

    /// A member has not asked for more for too long, and leaves.
    pub(super) fn poll_over(&mut self, inbox: u32, replica: u32) {
        let state = &mut self.inboxes[inbox as usize];
        let Some(place) = state.place_of(replica) else { return };
        state.consumers[place].poll = None;
        let Some(member) = state.consumers[place].member else { return };
        self.put_out(inbox, member, replica);
        let name = self.replicas[replica as usize].name.clone();
        self.remove_member(inbox, member, &format!("leaves: {name} has not asked for more for too long"));
    }

    /// A member has been silent for too long.
    pub(super) fn member_silent(&mut self, inbox: u32, member: u32) {
        let holder = self.inboxes[inbox as usize].consumers.iter().find(|consumer| consumer.member == Some(member));
        if let Some(replica) = holder.map(|consumer| consumer.replica) {
            self.put_out(inbox, member, replica);
        }
        self.remove_member(inbox, member, "has not been heard of for too long");
    }

    /// A consumer's process does nothing any more, and sends no heartbeats.
    pub(super) fn consumer_hangs(&mut self, replica: u32) {
        let Some((inbox, place)) = self.consumer_at(replica) else { return };
        let Some(log) = self.log_spec(inbox) else { return };
        let Some(member) = self.inboxes[inbox as usize].consumers[place].member else { return };
        if self.inboxes[inbox as usize].consumers[place].silence.is_none() {
            let silence = self.schedule_after(log.session, Due::MemberSilent(inbox, member));
            self.inboxes[inbox as usize].consumers[place].silence = Some(silence);
        }
    }

    /// A consumer's process goes on.
    pub(super) fn consumer_wakes(&mut self, replica: u32) {
        let Some((inbox, place)) = self.consumer_at(replica) else { return };
        let mut silence = self.inboxes[inbox as usize].consumers[place].silence.take();
        self.cancel(&mut silence);
        self.todo.errands.push(Errand::Take(replica));
    }

    /// A replica is asked to go: it takes no more, and leaves its group once it is through with what it works on.
    pub(super) fn consumer_leaves(&mut self, replica: u32) {
        let Some((inbox, place)) = self.consumer_at(replica) else { return };
        self.inboxes[inbox as usize].consumers[place].leaving = true;
        self.todo.errands.push(Errand::Take(replica));
    }

    /// A consumer's process has ended. If nobody asked it to, its group does not know until it has been silent for long enough.
    pub(super) fn consumer_ends(&mut self, replica: u32) {
        let Some((inbox, place)) = self.consumer_at(replica) else { return };
        if !self.inboxes[inbox as usize].consumers[place].alive {
            return;
        }
        let leaving = self.inboxes[inbox as usize].consumers[place].leaving;
        self.commit_if(inbox, place, leaving);
        let state = &mut self.inboxes[inbox as usize];
        state.return_batch(place);
        state.lose_working(place, !leaving);
        state.disown(replica);
        let consumer = &mut state.consumers[place];
        (consumer.alive, consumer.leaving, consumer.called) = (false, false, false);
        self.offer(inbox);
        let consumer = &mut self.inboxes[inbox as usize].consumers[place];
        let member = consumer.member.take();
        let (mut poll, mut learns, mut silence) = (consumer.poll.take(), consumer.learns.take(), consumer.silence.take());
        self.cancel(&mut poll);
        self.cancel(&mut learns);
        let (Some(member), Some(log)) = (member, self.log_spec(inbox)) else { return };
        if leaving {
            self.cancel(&mut silence);
            self.remove_member(inbox, member, "leaves");
        } else if silence.is_none() {
            self.schedule_after(log.session, Due::MemberSilent(inbox, member));
        }
    }

    /// Who closes in order commits what it has done.
    fn commit_if(&mut self, inbox: u32, place: usize, closes: bool) {
        if closes {
            self.commit(inbox, place);
        }
    }

    fn consumer_at(&self, replica: u32) -> Option<(u32, usize)> {
        let inbox = self.inbox_of(replica)?;
        Some((inbox, self.inboxes[inbox as usize].place_of(replica)?))
    }
}
