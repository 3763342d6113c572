//! Topics: messages that are published, wait, are handed to consumers, and end processed, as dead letters, or dropped (docs/MODEL.md 1.7).
//!
//! Each service that consumes a topic has an inbox, which holds a copy of every message: a consumer group's view of a log, or a queue of its own.
//! A message is worked on by a request of the service, which is sent to the replica that took it.

use std::collections::VecDeque;

use firedrill_core::journal::Event;
use firedrill_core::ledger::TopicTotals;
use firedrill_core::name::Name;
use firedrill_core::random::{hash64, hop_index, mix64};
use firedrill_core::time::{Span, Time};

use crate::group::Group;
use crate::queue::Handle;
use crate::slab::{NONE, Slab};
use crate::spec::{ConsumeSpec, LogSpec, TopicKind, TopicSpec};
use crate::world::calls::{Call, Failure, Origin};
use crate::world::{Due, Termination, World};

/// Set in the address of a message, beside the step that publishes it; no step is so late.
const MESSAGE: u64 = 1 << 34;
/// Set in the address of a message that somebody works on who has lost it, beside the replica's number.
const LOST: u64 = 1 << 35;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    None,
    /// It is answered with an error, whoever works on it. Of this fault.
    Fails(u32),
    /// It kills the process that works on it. Of this fault.
    Kills(u32),
}

/// One message in one inbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// The address of its luck.
    key: u64,
    /// When it was published.
    pub(super) at: Time,
    /// Times that it was handed out.
    deliveries: u32,
    /// Deliveries that ended badly: with an error, or with the process.
    failures: u32,
    /// Of those, the errors that count towards dead letters.
    pub(super) tries: u32,
    poison: Poison,
}

/// A part of a log. Offsets count from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    /// Messages from the committed offset on.
    pub(super) messages: VecDeque<Message>,
    /// The committed offset: where a new owner begins.
    pub(crate) committed: u64,
    /// The first that is not done.
    pub(super) done: u64,
    /// The first that its owner has not taken.
    pub(super) taken: u64,
    /// All before this one have been done once, by whomever.
    highest: u64,
    /// Who reads it.
    pub(super) owner: Option<u32>,
    /// Nothing is taken from it before.
    pub(super) held_until: Time,
}

impl Partition {
    /// The offset of the next message to be published.
    pub(crate) fn end(&self) -> u64 {
        self.committed + self.messages.len() as u64
    }

    /// A new owner begins where the last one has committed.
    pub(super) fn rewind(&mut self) {
        self.done = self.committed;
        self.taken = self.committed;
        self.held_until = Time::ZERO;
        if let Some(first) = self.messages.front_mut() {
            first.tries = 0;
        }
    }

    /// What its owner has done is done for good.
    pub(super) fn commit(&mut self) {
        self.messages.drain(..(self.done - self.committed) as usize);
        self.committed = self.done;
    }

    fn at(&mut self, offset: u64) -> &mut Message {
        &mut self.messages[(offset - self.committed) as usize]
    }
}

/// A message that a consumer has taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) replica: u32,
    /// Of a log.
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// Of a queue: where it is hidden; `NONE` once it is not any more.
    hidden: u32,
    /// As it was when it was taken.
    message: Message,
    /// Whoever has it has lost it and does not know: what comes of it does not count.
    pub(super) lost: bool,
}

/// A message of a queue that somebody has taken.
#[derive(Clone, Copy, Debug)]
struct Hidden {
    message: Message,
    /// When it can be seen again.
    until: Option<Handle>,
}

/// A replica that takes messages.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) replica: u32,
    /// Whether it has a process that takes messages.
    pub(super) alive: bool,
    /// Whether it takes no more, because its replica is to go.
    pub(super) leaving: bool,
    /// Its number in the group; `None`: it has none, or was put out.
    pub(super) member: Option<u32>,
    /// Whether it has learned that the group is formed anew.
    pub(super) called: bool,
    /// What it has taken and not begun.
    pub(super) batch: VecDeque<u32>,
    /// What it works on.
    pub(super) working: Vec<u32>,
    /// The partition that it takes from first.
    pub(super) turn: u32,
    /// When it is out of its group for not asking for more.
    pub(super) poll: Option<Handle>,
    /// When it is out of its group for its silence.
    pub(super) silence: Option<Handle>,
    /// When it learns that the group is formed anew.
    pub(super) learns: Option<Handle>,
}

/// What waits for one service that consumes one topic.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    /// Its topic's place in the scenario's list.
    pub(crate) topic: u32,
    pub(crate) service: u32,
    pub(super) edge: u32,
    /// The parts of a log; none of a queue.
    pub(crate) partitions: Vec<Partition>,
    /// Of a log.
    pub(crate) group: Group,
    /// When a group that is being formed goes on without those who are missing, or without waiting for more.
    pub(super) forming: Option<Handle>,
    /// Times that the group was formed anew.
    pub(super) formed: u64,
    /// Of a queue: what can be taken.
    line: VecDeque<Message>,
    /// What was put aside because it failed too often, or by an action.
    dead: Vec<Message>,
    hidden: Slab<Hidden>,
    flights: Slab<Flight>,
    /// By replica.
    pub(super) consumers: Vec<Consumer>,
    /// Whose turn it is to be woken.
    turn: usize,
    pub(crate) totals: TopicTotals,
    waited_nanos: u128,
}

/// What is left to do for a replica that takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// It may take or begin something.
    Take(u32),
    /// A message kills its process.
    Kill(u32),
}

/// The inboxes of a scenario, by topic and service.
pub(super) fn inboxes(spec: &crate::spec::WorldSpec, edges: &[u32]) -> Vec<Inbox> {
    let mut all = Vec::new();
    for (topic, topic_spec) in spec.topics.iter().enumerate() {
        for (service, service_spec) in spec.services.iter().enumerate() {
            if service_spec.consumes.as_ref().is_some_and(|consumes| consumes.topic == topic_spec.name) {
                let partitions = match topic_spec.kind {
                    TopicKind::Log(log) => log.partitions,
                    TopicKind::Queue { .. } => 0,
                };
                all.push(Inbox {
                    topic: topic as u32,
                    service: service as u32,
                    edge: edges[service],
                    partitions: vec![Partition::default(); partitions as usize],
                    group: Group::new(),
                    forming: None,
                    formed: 0,
                    line: VecDeque::new(),
                    dead: Vec::new(),
                    hidden: Slab::new(),
                    flights: Slab::new(),
                    consumers: Vec::new(),
                    turn: 0,
                    totals: TopicTotals::default(),
                    waited_nanos: 0,
                });
            }
        }
    }
    all
}

impl Inbox {
    /// Messages that have not been done once.
    pub(crate) fn waiting(&self) -> u64 {
        let of_logs: u64 = self.partitions.iter().map(|partition| partition.end() - partition.highest).sum();
        of_logs + self.line.len() as u64 + self.hidden.len() as u64
    }

    /// Of a queue: messages that can be taken, and those that somebody has.
    pub(crate) fn visible_and_hidden(&self) -> (usize, usize) {
        (self.line.len(), self.hidden.len())
    }

    /// When the oldest message that is not done was published.
    pub(crate) fn oldest(&self) -> Option<Time> {
        let of_logs = self.partitions.iter().filter_map(|partition| Some(partition.messages.front()?.at));
        of_logs.chain(self.line.iter().map(|message| message.at)).chain(self.hidden.taken().map(|hidden| hidden.message.at)).min()
    }

    /// How many replicas take messages.
    pub(crate) fn consumers(&self) -> usize {
        self.consumers.iter().filter(|consumer| consumer.alive).count()
    }

    pub(super) fn place_of(&self, replica: u32) -> Option<usize> {
        self.consumers.binary_search_by_key(&replica, |consumer| consumer.replica).ok()
    }

    /// What the books say of it at the end.
    pub(super) fn closed_totals(&self) -> TopicTotals {
        let waiting = self.waiting();
        let TopicTotals { published, processed, dead, dropped, .. } = self.totals;
        assert_eq!(published, processed + dead + dropped + waiting, "messages: published = processed + dead letters + dropped + waiting");
        let mean_wait_seconds = if processed == 0 { 0.0 } else { self.waited_nanos as f64 / processed as f64 / 1e9 };
        TopicTotals { waiting, mean_wait_seconds, ..self.totals }
    }

    fn processed(&mut self, now: Time, message: Message) {
        self.totals.processed += 1;
        self.waited_nanos += u128::from(now.since(message.at).as_nanos());
    }

    /// A replica reads nothing until the group is formed again.
    pub(super) fn disown(&mut self, replica: u32) {
        self.partitions.iter_mut().filter(|partition| partition.owner == Some(replica)).for_each(|partition| partition.owner = None);
    }

    /// Takes back what a consumer has taken and not begun.
    pub(super) fn return_batch(&mut self, place: usize) {
        let batch = std::mem::take(&mut self.consumers[place].batch);
        for flight in batch.into_iter().rev() {
            let Flight { hidden, .. } = self.flights[flight];
            self.flights.remove(flight);
            // What is hidden for a time stays so: nobody says that it was not begun.
            if hidden != NONE && self.hidden[hidden].until.is_none() {
                self.line.push_front(self.hidden[hidden].message);
                self.hidden.remove(hidden);
            }
        }
    }

    /// What a consumer has taken and not begun is lost to it, and it does not know: it will work on it all the same.
    pub(super) fn lose_batch(&mut self, place: usize) {
        for slot in &self.consumers[place].batch {
            self.flights[*slot].lost = true;
        }
    }

    /// What a consumer works on is lost to it.
    pub(super) fn lose_working(&mut self, place: usize, counts_as_failure: bool) {
        for index in 0..self.consumers[place].working.len() {
            let slot = self.consumers[place].working[index];
            let flight = self.flights[slot];
            if std::mem::replace(&mut self.flights[slot].lost, true) {
                continue;
            }
            if flight.hidden != NONE {
                let hidden = &mut self.hidden[flight.hidden];
                hidden.message.failures += u32::from(counts_as_failure);
                if hidden.until.is_none() {
                    self.line.push_front(hidden.message);
                    self.hidden.remove(flight.hidden);
                    self.flights[slot].hidden = NONE;
                }
            } else if let Some(partition) = self.partitions.get_mut(flight.partition as usize)
                && counts_as_failure
                && flight.offset >= partition.done
            {
                partition.at(flight.offset).failures += 1;
            }
        }
    }
}

impl World {
    pub(super) fn topic_spec(&self, inbox: u32) -> &TopicSpec {
        &self.spec.topics[self.inboxes[inbox as usize].topic as usize]
    }

    pub(super) fn log_spec(&self, inbox: u32) -> Option<LogSpec> {
        match self.topic_spec(inbox).kind {
            TopicKind::Log(log) => Some(log),
            TopicKind::Queue { .. } => None,
        }
    }

    pub(super) fn consume_spec(&self, inbox: u32) -> &ConsumeSpec {
        let service = self.inboxes[inbox as usize].service;
        self.spec.services[service as usize].consumes.as_ref().expect("an inbox is of a service that consumes")
    }

    /// The inbox that a replica takes messages from, if any.
    pub(super) fn inbox_of(&self, replica: u32) -> Option<u32> {
        if self.inboxes.is_empty() {
            return None;
        }
        let service = self.replicas[replica as usize].service;
        self.inboxes.iter().position(|inbox| inbox.service == service).map(|inbox| inbox as u32)
    }

    /// A step of an attempt publishes a message.
    pub(super) fn publish(&mut self, slot: u32, topic: u32) {
        let attempt = &self.attempts[slot];
        let key = mix64(attempt.hop, MESSAGE | u64::from(attempt.phase));
        for inbox in 0..self.inboxes.len() as u32 {
            if self.inboxes[inbox as usize].topic == topic {
                let partition = self.partition_of(inbox, key);
                self.put(inbox, partition, key, Poison::None);
            }
        }
    }

    /// The partition into which a message with this key is published; 0 of a queue.
    fn partition_of(&self, inbox: u32, key: u64) -> usize {
        let parts = self.inboxes[inbox as usize].partitions.len() as u64;
        if parts == 0 { 0 } else { firedrill_core::random::below(key, parts) as usize }
    }

    /// A fault puts a message into an inbox that nobody can work on; the first partition if it is one of a log.
    pub(super) fn put_poison(&mut self, fault: u32, name: &Name, (inbox, partition): (u32, u32), kills: bool) {
        let poison = if kills { Poison::Kills(fault) } else { Poison::Fails(fault) };
        self.put(inbox, partition as usize, mix64(hash64(name), MESSAGE), poison);
    }

    fn put(&mut self, inbox: u32, partition: usize, key: u64, poison: Poison) {
        let message = Message { key, at: self.now, deliveries: 0, failures: 0, tries: 0, poison };
        self.inboxes[inbox as usize].totals.published += 1;
        self.put_last(inbox, partition, message);
    }

    /// A message is the last that waits.
    fn put_last(&mut self, inbox: u32, partition: usize, message: Message) {
        let state = &mut self.inboxes[inbox as usize];
        if let Some(partition) = state.partitions.get_mut(partition) {
            partition.messages.push_back(message);
            if let Some(owner) = partition.owner {
                self.todo.errands.push(Errand::Take(owner));
            }
            return;
        }
        state.line.push_back(message);
        if state.line.len() == 1 {
            self.wake_consumer(inbox);
        }
    }

    /// What was given back to the line of a queue is there for others.
    pub(super) fn offer(&mut self, inbox: u32) {
        if !self.inboxes[inbox as usize].line.is_empty() {
            self.wake_consumer(inbox);
        }
    }

    /// Somebody who has nothing to do may take what is in the line of a queue.
    fn wake_consumer(&mut self, inbox: u32) {
        let state = &mut self.inboxes[inbox as usize];
        let count = state.consumers.len();
        for ahead in 0..count {
            let place = (state.turn + ahead) % count;
            let consumer = &state.consumers[place];
            let hangs = self.replicas[consumer.replica as usize].hung;
            if consumer.alive && !hangs && !consumer.leaving && consumer.batch.is_empty() && consumer.working.is_empty() {
                self.todo.errands.push(Errand::Take(consumer.replica));
                state.turn = place + 1;
                return;
            }
        }
    }

    /// Does what was put off until what happens now is done.
    #[cold]
    pub(super) fn run_errand(&mut self, errand: Errand) {
        match errand {
            Errand::Take(replica) => self.take_messages(replica),
            Errand::Kill(replica) => self.process_ended(replica, Termination::Error, "a message killed it"),
        }
    }

    /// A consumer begins what it has, and takes more once it has nothing left.
    fn take_messages(&mut self, replica: u32) {
        let Some(inbox) = self.inbox_of(replica) else { return };
        let Some(place) = self.inboxes[inbox as usize].place_of(replica) else { return };
        let (at_once, batch) = (self.consume_spec(inbox).at_once as usize, self.consume_spec(inbox).batch);
        loop {
            let consumer = &self.inboxes[inbox as usize].consumers[place];
            if !consumer.alive || self.replicas[replica as usize].hung {
                return;
            }
            if consumer.leaving && !consumer.batch.is_empty() {
                self.inboxes[inbox as usize].return_batch(place);
                self.offer(inbox);
                continue;
            }
            if consumer.working.len() >= at_once {
                return;
            }
            if let Some(flight) = self.next_of_batch(inbox, place) {
                self.begin_message(inbox, place, flight);
                continue;
            }
            let consumer = &self.inboxes[inbox as usize].consumers[place];
            if !consumer.working.is_empty() || !consumer.batch.is_empty() {
                return;
            }
            if !self.is_to_take(inbox, place) || !self.fetch(inbox, place, batch) {
                return;
            }
        }
    }

    /// The next of what a consumer has taken that it can begin.
    fn next_of_batch(&mut self, inbox: u32, place: usize) -> Option<u32> {
        let Inbox { consumers, flights, partitions, .. } = &mut self.inboxes[inbox as usize];
        let Consumer { batch, working, .. } = &mut consumers[place];
        loop {
            let is_busy = |slot: &u32| {
                let flight = &flights[*slot];
                !partitions.is_empty() && working.iter().any(|other| flights[*other].partition == flight.partition)
            };
            let at = batch.iter().position(|slot| !is_busy(slot))?;
            let slot = batch.remove(at).expect("it was found");
            let flight = flights[slot];
            let is_over = match partitions.get(flight.partition as usize) {
                Some(_) if flight.lost => false,
                Some(partition) => flight.offset < partition.done,
                None => flight.hidden == NONE,
            };
            if !is_over {
                return Some(slot);
            }
            flights.remove(slot);
        }
    }

    /// A consumer begins to work on a message: a request comes to its replica.
    fn begin_message(&mut self, inbox: u32, place: usize, slot: u32) {
        let state = &mut self.inboxes[inbox as usize];
        state.consumers[place].working.push(slot);
        let flight = state.flights[slot];
        let message = match state.partitions.get_mut(flight.partition as usize) {
            // Others may be through with it by now, or read it at the same time: it is a delivery of its own.
            Some(_) if flight.lost => {
                Message { key: mix64(flight.message.key, LOST | u64::from(flight.replica)), deliveries: 1, ..flight.message }
            }
            Some(partition) => {
                partition.at(flight.offset).deliveries += 1;
                *partition.at(flight.offset)
            }
            None => state.hidden[flight.hidden].message,
        };
        let edge = state.edge;
        let call = self.calls.insert(Call::new(Origin::Message(inbox, slot), message.key, edge, self.now));
        let attempt = self.unforeseen_attempt(call, hop_index(message.key, 0, 0, message.deliveries - 1));
        self.calls[call].attempt = attempt;
        self.reach_replica(attempt, flight.replica);
    }

    /// Takes more out of the inbox; `false` if there is nothing.
    fn fetch(&mut self, inbox: u32, place: usize, batch: u32) -> bool {
        if let Some(log) = self.log_spec(inbox) {
            return self.fetch_from_log(inbox, place, batch, log);
        }
        let TopicKind::Queue { visibility } = self.topic_spec(inbox).kind else { unreachable!("it is a log or a queue") };
        let replica = self.inboxes[inbox as usize].consumers[place].replica;
        for _ in 0..batch {
            let Some(mut message) = self.inboxes[inbox as usize].line.pop_front() else { break };
            message.deliveries += 1;
            let hidden = self.inboxes[inbox as usize].hidden.insert(Hidden { message, until: None });
            if let Some(visibility) = visibility {
                let until = self.schedule_after(visibility, Due::Visible(inbox, hidden));
                self.inboxes[inbox as usize].hidden[hidden].until = Some(until);
            }
            let state = &mut self.inboxes[inbox as usize];
            let flight = state.flights.insert(Flight { replica, partition: 0, offset: 0, hidden, message, lost: false });
            state.consumers[place].batch.push_back(flight);
        }
        if !self.inboxes[inbox as usize].line.is_empty() {
            self.wake_consumer(inbox);
        }
        !self.inboxes[inbox as usize].consumers[place].batch.is_empty()
    }

    fn fetch_from_log(&mut self, inbox: u32, place: usize, batch: u32, log: LogSpec) -> bool {
        let now = self.now;
        let Inbox { consumers, flights, partitions, .. } = &mut self.inboxes[inbox as usize];
        let consumer = &mut consumers[place];
        let mut poll = consumer.poll.take();
        let replica = consumer.replica;
        let in_turn = (0..log.partitions).map(|ahead| (consumer.turn + ahead) % log.partitions);
        let can_read = |index: &u32| {
            let partition = &partitions[*index as usize];
            partition.owner == Some(replica) && partition.held_until <= now && partition.taken < partition.end()
        };
        // One of each in turn, so that several can be worked on at once.
        let mut open: Vec<u32> = in_turn.filter(can_read).collect();
        while !open.is_empty() && (consumer.batch.len() as u32) < batch {
            open.retain(|index| {
                let partition = &mut partitions[*index as usize];
                if consumer.batch.len() as u32 == batch {
                    return true;
                }
                let offset = partition.taken;
                let message = *partition.at(offset);
                consumer.batch.push_back(flights.insert(Flight { replica, partition: *index, offset, hidden: NONE, message, lost: false }));
                partition.taken += 1;
                consumer.turn = *index + 1;
                partition.taken < partition.end()
            });
        }
        let has_some = !consumer.batch.is_empty();
        self.cancel(&mut poll);
        if has_some {
            let poll = self.schedule_after(log.poll, Due::PollOver(inbox, replica));
            self.inboxes[inbox as usize].consumers[place].poll = Some(poll);
        }
        has_some
    }

    /// What a consumer has made of a message.
    pub(super) fn message_done(&mut self, inbox: u32, slot: u32, result: Result<(), Failure>) {
        let state = &mut self.inboxes[inbox as usize];
        let flight = state.flights[slot];
        state.flights.remove(slot);
        let place = state.place_of(flight.replica).expect("a consumer has a place");
        state.consumers[place].working.retain(|other| *other != slot);
        self.todo.errands.push(Errand::Take(flight.replica));
        if !flight.lost {
            self.settle_message(inbox, flight, result);
        } else if result.is_ok() {
            match flight.message.poison {
                Poison::None => self.inboxes[inbox as usize].totals.repeated += 1,
                Poison::Kills(_) => self.todo.errands.push(Errand::Kill(flight.replica)),
                Poison::Fails(_) => {}
            }
        }
    }

    fn settle_message(&mut self, inbox: u32, flight: Flight, result: Result<(), Failure>) {
        let state = &mut self.inboxes[inbox as usize];
        let poison = match state.partitions.get_mut(flight.partition as usize) {
            // It was parked or dropped meanwhile.
            Some(partition) if flight.offset < partition.done => return,
            Some(partition) => partition.at(flight.offset).poison,
            None if flight.hidden == NONE => return self.done_late(inbox, flight, result),
            None => state.hidden[flight.hidden].message.poison,
        };
        match (poison, result) {
            (Poison::Kills(_), Ok(())) => {
                // It ends with the process, so it is neither done nor failed before.
                self.todo.errands.push(Errand::Kill(flight.replica));
                self.message_failed(inbox, flight, false);
            }
            (Poison::None, Ok(())) if flight.hidden != NONE => self.delete(inbox, flight.hidden),
            (Poison::None, Ok(())) => self.advance(inbox, flight),
            _ => self.message_failed(inbox, flight, true),
        }
    }

    /// A message of a queue is done after it could be seen again: if nobody has taken it meanwhile it can still be deleted.
    fn done_late(&mut self, inbox: u32, flight: Flight, result: Result<(), Failure>) {
        if result.is_err() {
            return;
        }
        let now = self.now;
        let state = &mut self.inboxes[inbox as usize];
        match state.line.iter().position(|message| message.key == flight.message.key && message.poison == Poison::None) {
            Some(place) => {
                let message = state.line.remove(place).expect("it was found");
                state.processed(now, message);
            }
            None => state.totals.repeated += 1,
        }
    }

    /// A message of a queue is done.
    fn delete(&mut self, inbox: u32, hidden: u32) {
        let now = self.now;
        let state = &mut self.inboxes[inbox as usize];
        let Hidden { message, mut until } = state.hidden[hidden];
        state.hidden.remove(hidden);
        state.processed(now, message);
        self.cancel(&mut until);
    }

    /// A message of a log is done.
    fn advance(&mut self, inbox: u32, flight: Flight) {
        let now = self.now;
        let state = &mut self.inboxes[inbox as usize];
        let partition = &mut state.partitions[flight.partition as usize];
        partition.done = flight.offset + 1;
        let message = *partition.at(flight.offset);
        if flight.offset < partition.highest {
            state.totals.repeated += 1;
        } else {
            partition.highest = partition.done;
            state.processed(now, message);
        }
    }

    /// A delivery has ended badly: the message is delivered again after a pause, or is a dead letter.
    fn message_failed(&mut self, inbox: u32, flight: Flight, counts: bool) {
        let TopicSpec { retry, dead_letters_after, .. } = *self.topic_spec(inbox);
        let is_spent = |message: &Message| dead_letters_after.is_some_and(|most| message.tries >= most);
        let until = self.now + retry;
        let state = &mut self.inboxes[inbox as usize];
        if flight.hidden != NONE {
            let message = &mut state.hidden[flight.hidden].message;
            (message.failures, message.tries) = (message.failures + 1, message.deliveries);
            let spent = is_spent(message);
            // Nobody deletes it, so nothing becomes of it before it can be seen again, as in SQS.
            if state.hidden[flight.hidden].until.is_some() {
                return;
            }
            if spent {
                let message = state.hidden[flight.hidden].message;
                state.hidden.remove(flight.hidden);
                self.bury(inbox, message, "delivered often enough");
            } else {
                let timer = self.schedule(until, Due::Visible(inbox, flight.hidden));
                self.inboxes[inbox as usize].hidden[flight.hidden].until = Some(timer);
            }
            return;
        }
        let partition = &mut state.partitions[flight.partition as usize];
        let message = partition.at(flight.offset);
        (message.failures, message.tries) = (message.failures + 1, message.tries + u32::from(counts));
        let message = *message;
        if is_spent(&message) {
            let is_new = self.skip(inbox, flight.partition as usize);
            return if is_new { self.bury(inbox, message, "delivered often enough") } else { self.message_gone(message) };
        }
        partition.held_until = until;
        partition.taken = partition.done;
        self.forget_taken(inbox, flight.replica, flight.partition);
        self.schedule(until, Due::TakeAgain(flight.replica));
    }

    /// A consumer seeks back in a partition: what it has taken of it is not taken.
    fn forget_taken(&mut self, inbox: u32, replica: u32, partition: u32) {
        let state = &mut self.inboxes[inbox as usize];
        let place = state.place_of(replica).expect("a consumer has a place");
        let flights = &mut state.flights;
        state.consumers[place].batch.retain(|slot| {
            let keeps = flights[*slot].partition != partition;
            if !keeps {
                flights.remove(*slot);
            }
            keeps
        });
    }

    /// The first message of a partition that is not done is passed over for good; `false` if it had been done once.
    fn skip(&mut self, inbox: u32, partition: usize) -> bool {
        let partition = &mut self.inboxes[inbox as usize].partitions[partition];
        let is_new = partition.done >= partition.highest;
        partition.done += 1;
        partition.taken = partition.taken.max(partition.done);
        partition.highest = partition.highest.max(partition.done);
        partition.held_until = Time::ZERO;
        partition.commit();
        is_new
    }

    /// A message is a dead letter.
    fn bury(&mut self, inbox: u32, message: Message, why: &str) {
        let state = &mut self.inboxes[inbox as usize];
        state.totals.dead += 1;
        state.dead.push(message);
        let dead = state.totals.dead;
        // One a power of ten is enough to see that it goes on.
        if 10_u64.pow(dead.ilog10()) == dead {
            self.note_inbox(inbox, "dead_letter", format!("{why}; {dead} so far"));
        }
        self.message_gone(message);
    }

    /// A message is out of its inbox without having been processed.
    fn message_gone(&mut self, message: Message) {
        if let Poison::Fails(fault) | Poison::Kills(fault) = message.poison {
            self.fault_ends(fault, "its message is gone");
        }
    }

    /// A message of a queue can be seen again by all, or is a dead letter.
    pub(super) fn visible(&mut self, inbox: u32, hidden: u32) {
        let most = self.topic_spec(inbox).dead_letters_after;
        let state = &mut self.inboxes[inbox as usize];
        let message = state.hidden[hidden].message;
        state.hidden.remove(hidden);
        // Whoever still has it does so in vain. Slots are few: those that are worked on now.
        for place in 0..state.consumers.len() {
            let Consumer { batch, working, .. } = &state.consumers[place];
            if let Some(slot) = batch.iter().chain(working).find(|slot| state.flights[**slot].hidden == hidden) {
                state.flights[*slot].hidden = NONE;
                break;
            }
        }
        if most.is_some_and(|most| message.deliveries >= most) {
            return self.bury(inbox, message, "received often enough");
        }
        state.line.push_back(message);
        if state.line.len() == 1 {
            self.wake_consumer(inbox);
        }
    }

    /// Moves the messages that consumers of a service fail on to the dead letters, or throws them away; how many those are.
    pub(super) fn set_messages_aside(&mut self, inbox: u32, for_good: bool) -> u64 {
        let mut aside = Vec::new();
        for index in 0..self.inboxes[inbox as usize].partitions.len() {
            let partition = &self.inboxes[inbox as usize].partitions[index];
            let first = partition.messages.get((partition.done - partition.committed) as usize).copied();
            if let Some(message) = first.filter(|message| message.failures > 0) {
                if self.skip(inbox, index) {
                    aside.push(message);
                }
                let owner = self.inboxes[inbox as usize].partitions[index].owner;
                self.todo.errands.extend(owner.map(Errand::Take));
            }
        }
        let line = &mut self.inboxes[inbox as usize].line;
        aside.extend(line.iter().filter(|message| message.failures > 0).copied());
        line.retain(|message| message.failures == 0);
        aside.extend(self.take_failing_hidden(inbox));
        let count = aside.len() as u64;
        if count > 0 {
            let state = &mut self.inboxes[inbox as usize];
            if for_good {
                state.totals.dropped += count;
            } else {
                state.totals.dead += count;
                state.dead.extend(&aside);
            }
            self.note_inbox(inbox, if for_good { "skipped" } else { "parked" }, format!("{count} that its consumers failed on"));
            aside.into_iter().for_each(|message| self.message_gone(message));
        }
        count
    }

    /// Publishes the dead letters of an inbox again, with what is wrong with them; how many those are.
    pub(super) fn replay_dead_letters(&mut self, inbox: u32) -> u64 {
        let dead = std::mem::take(&mut self.inboxes[inbox as usize].dead);
        let count = dead.len() as u64;
        self.inboxes[inbox as usize].totals.dead -= count;
        if count > 0 {
            self.note_inbox(inbox, "replayed", format!("{count} dead letters"));
        }
        for message in dead {
            let partition = self.partition_of(inbox, message.key);
            self.put_last(inbox, partition, Message { deliveries: 0, failures: 0, tries: 0, ..message });
        }
        count
    }

    /// Takes those out of a queue that cannot be seen and have failed before, whether somebody has them or they wait to be seen again.
    fn take_failing_hidden(&mut self, inbox: u32) -> Vec<Message> {
        let state = &mut self.inboxes[inbox as usize];
        let mut failing: Vec<u32> = state.hidden.taken_slots().filter(|slot| state.hidden[*slot].message.failures > 0).collect();
        failing.sort_by_key(|slot| (state.hidden[*slot].message.at, state.hidden[*slot].message.key));
        for consumer in &state.consumers {
            for slot in consumer.batch.iter().chain(&consumer.working) {
                if failing.contains(&state.flights[*slot].hidden) {
                    state.flights[*slot].hidden = NONE;
                }
            }
        }
        let mut found = Vec::new();
        for slot in failing {
            let Hidden { message, until } = self.inboxes[inbox as usize].hidden[slot];
            self.inboxes[inbox as usize].hidden.remove(slot);
            self.cancel(&mut { until });
            found.push(message);
        }
        found
    }

    /// Throws away all messages of an inbox that nobody has taken; how many those are.
    pub(super) fn purge_inbox(&mut self, inbox: u32) -> u64 {
        let state = &mut self.inboxes[inbox as usize];
        let mut gone: Vec<Message> = state.line.drain(..).collect();
        for partition in &mut state.partitions {
            let keeps = partition.taken.max(partition.highest);
            gone.extend(partition.messages.drain((keeps - partition.committed) as usize..));
        }
        state.totals.dropped += gone.len() as u64;
        let dropped = gone.len() as u64;
        gone.into_iter().for_each(|message| self.message_gone(message));
        dropped
    }

    pub(super) fn note_inbox(&mut self, inbox: u32, state: &str, reason: String) {
        let service = self.spec.services[self.inboxes[inbox as usize].service as usize].name.clone();
        let topic = self.topic_spec(inbox).name.clone();
        self.write(Event::ConsumersChanged { service, topic, state: Name::new(state), reason });
    }

    /// Asserts that each service's messages add up; the cheap check of debug builds.
    pub(super) fn are_messages_conserved(&self) -> bool {
        self.inboxes.iter().all(|inbox| {
            let TopicTotals { published, processed, dead, dropped, .. } = inbox.totals;
            published == processed + dead + dropped + inbox.waiting()
        })
    }

    /// Messages that wait for a service, so that its queues are not said to be empty.
    pub(super) fn messages_waiting(&self, service: u32) -> u64 {
        self.inboxes.iter().filter(|inbox| inbox.service == service).map(Inbox::waiting).sum()
    }

    /// How long the oldest message of an inbox has waited.
    pub(crate) fn oldest_age(&self, inbox: &Inbox) -> Span {
        inbox.oldest().map_or(Span::ZERO, |at| self.now.since(at))
    }
}
