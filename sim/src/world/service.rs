//! A service: its replicas, how callers choose among them, and what it has done.

use firedrill_core::ledger::{ServiceBin, ServiceTotals};
use firedrill_core::random::{Purpose, Seed, Stream, below, hash64, unit};
use firedrill_core::time::{Span, Time};

use crate::histogram::Histogram;
use crate::slab::NONE;
use crate::spec::{Balance, Cancel, ServiceSpec};
use crate::world::autoscaling::Scaling;
use crate::world::backlog;
use crate::world::balancing::pair;
use crate::world::calls::{Call, Origin};
use crate::world::door::{self, Rules};
use crate::world::rollout::Progress;
use crate::world::{Database, Replica, World};

/// A service as it is now.
///
/// What an attempt touches stands first, in memory too.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Service {
    /// `u32::MAX` is unbounded.
    pub(super) workers: u32,
    /// With those of its backlog; `u32::MAX` is unbounded.
    pub(crate) queue: u32,
    /// Whether its callers keep views of it, or know its primary.
    pub(super) has_views: bool,
    pub(super) cancel: Cancel,
    choice: Choice,
    /// Memory of one request, bytes.
    pub(super) per_request: u64,
    /// What its doors go by; `None`: they are open to all, and who comes first is served first.
    pub(super) rules: Option<Box<Rules>>,
    /// Those that take requests, by number.
    pub(crate) ready: Vec<u32>,
    /// Latency faults of the moment on calls of this service.
    pub(super) latencies: Vec<u32>,
    /// Calls of this service that are in a second or later attempt or wait for one.
    pub(crate) retrying: u64,
    bin_attempts: u64,
    /// Workers in use, over time.
    pub(super) busy: Area,
    pub(crate) tally: Tally,
    /// Its place in the scenario's list.
    pub(crate) index: u32,
    /// The luck of hops, by hop index.
    pub(super) luck: Stream,
    /// The luck of the phases that have no word in their hop's block.
    pub(super) later_luck: Stream,
    /// The luck of pauses before retries, by the index of the hop that they come before.
    pub(super) retry_luck: Stream,
    /// Beyond it a process is killed, bytes; `None`: it never is.
    pub(super) memory_limit: Option<u64>,
    balance: Balance,
    /// What makes it a database.
    pub(crate) database: Option<Box<Database>>,
    /// The views that its callers keep of it.
    pub(super) views: Vec<u32>,
    /// Where its caches begin among all.
    pub(super) first_cache: u32,
    /// Where its locks begin among all, and how many it has.
    pub(super) locks: (u32, u32),
    /// Attempts that failed because they waited for themselves.
    pub(crate) deadlocks: u64,
    /// Hits of its caches on what had been changed meanwhile.
    pub(super) stale_hits: u64,
    /// The first step of each endpoint's program.
    pub(super) programs: Vec<u32>,
    /// All that exist, gone ones excepted, by number.
    pub(crate) replicas: Vec<u32>,
    pub(crate) wanted: u32,
    /// Replicas that wait for a place: no node has room for them, or no zone can hold them.
    pub(crate) unplaced: u32,
    pub(super) next_number: u32,
    /// The version wanted everywhere.
    pub(crate) version: u32,
    /// The versions wanted before, oldest first.
    pub(super) earlier_versions: Vec<u32>,
    pub(crate) rolling: bool,
    /// Whether its rollout is held where it is.
    pub(super) paused: bool,
    /// What its processes are given of threads from now on, where that was changed.
    pub(super) thread_limit: Option<u32>,
    /// Counts what was asked of the deployment.
    pub(crate) generation: u64,
    /// When the last rollout began.
    pub(crate) deployed_at: Time,
    /// Replicas that take requests, over time.
    pub(super) ready_area: Area,
    /// Replicas that exist, over time.
    pub(super) existing: Area,
    pub(super) bins: Vec<ServiceBin>,
    /// The largest number of replicas out of service because of actions in this bin.
    pub(super) removed_most: u32,
    /// Replicas that an action has drained and that have no replacement yet.
    pub(super) replacing: u32,
    /// Whether an action has set the wanted number.
    pub(super) scaled_by_action: bool,
    /// What its autoscaler knows.
    pub(crate) scaling: Option<Box<Scaling>>,
    /// How far its rollout has come.
    pub(super) progress: Option<Progress>,
}

/// How callers choose a replica now.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// As declared.
    By(Balance),
    /// By the shares that zones have.
    ByZone,
}

/// What became of the attempts sent to a service.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) completed: u64,
    /// Completed with an error.
    pub(crate) errors: u64,
    pub(crate) rejected: u64,
    pub(crate) lost: u64,
    pub(crate) abandoned: u64,
    pub(super) began: u64,
    pub(super) wait_nanos: u128,
    pub(crate) response_nanos: u128,
    pub(super) responses: Histogram,
}

/// A count and its integral over time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Area {
    pub(crate) count: u64,
    nanos: u128,
    at: Time,
}

impl Area {
    /// The count changes by `by` at `now`.
    #[inline]
    pub(super) fn change(&mut self, now: Time, by: i64) {
        self.nanos += u128::from((now - self.at).as_nanos()) * u128::from(self.count);
        self.at = now;
        self.count = self.count.checked_add_signed(by).expect("a count is never negative");
    }

    /// The integral until the last change, seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
}

impl Tally {
    const fn new(responses: Histogram) -> Self {
        Self { sent: 0, completed: 0, errors: 0, rejected: 0, lost: 0, abandoned: 0, began: 0, wait_nanos: 0, response_nanos: 0, responses }
    }

    #[inline]
    pub(super) fn completed(&mut self, response: Span, correct: bool, abandoned: bool) {
        self.completed += 1;
        self.errors += u64::from(!correct);
        self.abandoned += u64::from(abandoned);
        self.response_nanos += u128::from(response.as_nanos());
        self.responses.record(response);
    }

    /// The totals for the ledger; what the tally cannot know is zero.
    pub(super) fn totals(&self) -> ServiceTotals {
        let mean = |nanos: u128, count: u64| if count == 0 { 0.0 } else { nanos as f64 / count as f64 / 1e9 };
        ServiceTotals {
            sent: self.sent,
            completed: self.completed,
            rejected: self.rejected,
            lost: self.lost,
            abandoned: self.abandoned,
            mean_wait_seconds: mean(self.wait_nanos, self.began),
            mean_response_seconds: mean(self.response_nanos, self.completed),
            p50_response_seconds: self.responses.quantile_seconds(0.50),
            p95_response_seconds: self.responses.quantile_seconds(0.95),
            p99_response_seconds: self.responses.quantile_seconds(0.99),
            ..ServiceTotals::default()
        }
    }
}

impl Service {
    pub(crate) fn new(index: u32, spec: &ServiceSpec, seed: Seed, programs: Vec<u32>) -> Self {
        let key = hash64(&spec.name);
        Self {
            index,
            luck: Stream::new(seed, Purpose::Demand, key),
            later_luck: Stream::new(seed, Purpose::ServiceTime, key),
            retry_luck: Stream::new(seed, Purpose::Retry, key),
            workers: door::workers(spec),
            memory_limit: spec.memory.limit.map(firedrill_core::quantity::Bytes::get),
            queue: backlog::places(spec),
            rules: None,
            choice: Choice::By(spec.balance),
            balance: spec.balance,
            // What attempts hear and where they go is looked at off the usual path for both.
            has_views: spec.has_views() || spec.database.is_some(),
            database: None,
            views: Vec::new(),
            cancel: spec.cancel,
            per_request: spec.memory.per_request.get(),
            first_cache: 0,
            locks: (0, 0),
            deadlocks: 0,
            stale_hits: 0,
            programs,
            replicas: Vec::new(),
            ready: Vec::new(),
            wanted: spec.replicas,
            unplaced: 0,
            next_number: 0,
            version: 0,
            earlier_versions: Vec::new(),
            rolling: false,
            paused: false,
            thread_limit: None,
            generation: 1,
            deployed_at: Time::ZERO,
            latencies: Vec::new(),
            retrying: 0,
            tally: Tally::new(Histogram::new()),
            busy: Area::default(),
            ready_area: Area::default(),
            existing: Area::default(),
            bins: Vec::new(),
            bin_attempts: 0,
            removed_most: 0,
            replacing: 0,
            scaled_by_action: false,
            scaling: None,
            progress: None,
        }
    }

    /// An attempt has reached the service.
    #[inline]
    pub(super) fn arrived(&mut self) {
        self.tally.sent += 1;
        self.bin_attempts += 1;
    }

    /// An attempt that has arrived is held back, and will arrive later.
    pub(super) fn not_yet_arrived(&mut self) {
        self.tally.sent -= 1;
        self.bin_attempts -= 1;
    }

    /// Lets callers choose by the shares of zones, or again as declared.
    pub(super) fn choose_by_zone(&mut self, is_on: bool) {
        self.choice = if is_on { Choice::ByZone } else { Choice::By(self.balance) };
    }

    /// Attempts that arrived since this was last asked.
    pub(super) fn take_bin_attempts(&mut self) -> u64 {
        std::mem::take(&mut self.bin_attempts)
    }

    /// How many of its replicas have a place.
    pub(crate) fn placed(&self) -> u32 {
        self.replicas.len() as u32 - self.unplaced
    }
}

/// Where a caller is in its round over replicas: its next turn, modulo as many as there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    turn: u32,
    /// `turn` modulo `count`, so that no turn needs a division.
    place: u32,
    count: u32,
}

impl Round {
    /// It begins at the place that a key says.
    pub(super) const fn new(key: u64) -> Self {
        Self { turn: key as u32, place: 0, count: 0 }
    }

    /// The place of whose turn it is among `count`, at least one.
    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        // After the last turn comes turn 0, whatever the place was.
        if self.count != count || self.turn == 0 {
            (self.place, self.count) = (self.turn % count, count);
        }
        let taken = self.place;
        self.turn = self.turn.wrapping_add(1);
        self.place = if taken + 1 == count { 0 } else { taken + 1 };
        taken
    }
}

impl Replica {
    /// How busy it is: attempts queued and in service.
    pub(super) fn load(&self) -> usize {
        self.queued as usize + self.begun()
    }
}

impl World {
    /// The replica for an attempt of this call; `None` if none is ready.
    #[inline]
    pub(super) fn route(&mut self, service: u32, luck: u64, call: u32) -> Option<u32> {
        let state = &self.services[service as usize];
        match state.ready.len() {
            0 => None,
            1 => Some(state.ready[0]),
            _ => Some(self.choose(service, luck, call)),
        }
    }

    /// Chooses among two or more ready replicas.
    #[inline]
    fn choose(&mut self, service: u32, luck: u64, call: u32) -> u32 {
        let count = self.services[service as usize].ready.len();
        let at = |world: &Self, index: usize| world.services[service as usize].ready[index];
        let balance = match self.services[service as usize].choice {
            Choice::By(balance) => balance,
            Choice::ByZone => return self.choose_by_zone(service, luck),
        };
        match balance {
            // An attempt whose caller has given up on the way has no turn to take.
            Balance::RoundRobin if call != NONE => {
                let place = self.take_turn(call, count as u32);
                at(self, place as usize)
            }
            Balance::RoundRobin | Balance::Random => at(self, below(luck, count as u64) as usize),
            Balance::PowerOfTwo => {
                let (first, second) = pair(luck, count);
                let (first, second) = (at(self, first), at(self, second));
                let load = |replica: u32| self.replicas[replica as usize].load();
                if load(second) < load(first) { second } else { first }
            }
            Balance::LeastRequest { .. } | Balance::PeakEwma { .. } | Balance::PerConnection(_) => {
                unreachable!("callers choose by what they know")
            }
        }
    }

    /// Chooses by the shares of the zones, each divided among the replicas there; by luck alone if no share is left.
    #[cold]
    fn choose_by_zone(&self, service: u32, luck: u64) -> u32 {
        let ready = &self.services[service as usize].ready;
        let share = |replica: &u32| self.zones[self.replicas[*replica as usize].zone as usize].share;
        let all: f64 = ready.iter().map(share).sum();
        if all <= 0.0 {
            return ready[below(luck, ready.len() as u64) as usize];
        }
        let wanted = unit(luck) * all;
        let mut sum = 0.0;
        let reaches = |replica: &&u32| {
            sum += share(replica);
            wanted < sum
        };
        let last = ready.iter().rfind(|replica| share(replica) > 0.0);
        *ready.iter().find(reaches).or(last).expect("somebody has a share")
    }

    /// The place of whose turn it is among `count` in the caller's round.
    #[inline(always)]
    pub(super) fn take_turn(&mut self, call: u32, count: u32) -> u32 {
        let &Call { origin, edge, .. } = self.first_of(call);
        let round = match origin {
            Origin::Client { client, .. } => &mut self.clients[client as usize].round,
            Origin::Attempt(parent) => {
                let replica = self.attempts[parent].replica;
                &mut self.replicas[replica as usize].rounds[self.edges[edge as usize].local as usize]
            }
            _ => unreachable!("a first call has no first, and a probe or a message asks a replica, and not a service"),
        };
        round.take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_goes_by_its_turn_modulo_as_many_as_there_are() {
        let mut round = Round::new(u64::from(u32::MAX) - 20);
        let mut turn = u32::MAX - 20;
        for count in [3, 3, 3, 7, 1, 4, 5, 5, 5, 5, 5, 3, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 9, 9, 9, 6, 6, 6] {
            assert_eq!(round.take(count), turn % count, "turn {turn} among {count}");
            turn = turn.wrapping_add(1);
        }
    }
}
