//! The yardstick for the engine: M/M/8 as a plain loop, with nothing in it but what the queue itself needs.
//!
//! Committed before the engine existed, so that the engine is measured against it and not it against the engine.
//! Its parts are the ones a careful person would reach for first: `BinaryHeap` with 24-byte entries, a sequential ChaCha8,
//! `-libm::log(u)`, a `VecDeque` for those who wait. It keeps no ledger, no histogram and no fingerprint.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Servers.
pub const SERVERS: u32 = 8;
/// Mean time in service, in nanoseconds.
pub const MEAN_SERVICE_NANOS: f64 = 10_000_000.0;
/// Offered load a server, as a ratio of its capacity.
pub const UTILISATION: f64 = 0.8;
/// Mean time between arrivals, in nanoseconds.
pub const MEAN_GAP_NANOS: f64 = MEAN_SERVICE_NANOS / (UTILISATION * SERVERS as f64);

/// What the loop saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Customers that left; equals the customers asked for.
    pub served: u64,
    /// Events taken from the heap: an arrival and a departure each customer.
    pub events: u64,
    /// Mean time between arrival and start of service, in nanoseconds.
    pub mean_wait_nanos: f64,
    /// Mean time between arrival and departure, in nanoseconds.
    pub mean_response_nanos: f64,
    /// Time of the last departure, in nanoseconds.
    pub end_nanos: u64,
}

/// Payload of the one pending arrival; every other payload is the arrival time of who departs.
const ARRIVAL: u64 = u64::MAX;

/// 24 bytes, ordered by time and then by sequence, which is unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: u64,
    sequence: u64,
    payload: u64,
}

struct Loop {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    luck: ChaCha8Rng,
    now: u64,
}

impl Loop {
    fn exponential(&mut self, mean_nanos: f64) -> u64 {
        // 53 bits, and half a step up, so that u is never 0.
        let u = ((self.luck.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64);
        (-libm::log(u) * mean_nanos) as u64
    }

    fn schedule(&mut self, after: u64, payload: u64) {
        self.heap.push(Reverse(Entry { time: self.now + after, sequence: self.sequence, payload }));
        self.sequence += 1;
    }

    fn schedule_departure(&mut self, arrived: u64) {
        let service = self.exponential(MEAN_SERVICE_NANOS);
        self.schedule(service, arrived);
    }

    fn schedule_arrival(&mut self) {
        let gap = self.exponential(MEAN_GAP_NANOS);
        self.schedule(gap, ARRIVAL);
    }
}

/// Serves `customers` (at least 1) in order of arrival and says how long they waited.
pub fn run(customers: u64, seed: u64) -> Seen {
    assert!(customers > 0, "a mean needs a customer");
    let mut state = Loop { heap: BinaryHeap::new(), sequence: 0, luck: ChaCha8Rng::seed_from_u64(seed), now: 0 };
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let mut busy = 0;
    let mut arrivals_left = customers - 1;
    let (mut served, mut events, mut wait_sum, mut response_sum) = (0u64, 0u64, 0u64, 0u64);

    state.schedule_arrival();
    while let Some(Reverse(event)) = state.heap.pop() {
        events += 1;
        state.now = event.time;
        if event.payload == ARRIVAL {
            if arrivals_left > 0 {
                arrivals_left -= 1;
                state.schedule_arrival();
            }
            if busy < SERVERS {
                busy += 1;
                state.schedule_departure(event.time);
            } else {
                waiting.push_back(event.time);
            }
        } else {
            served += 1;
            response_sum += event.time - event.payload;
            if let Some(arrived) = waiting.pop_front() {
                wait_sum += event.time - arrived;
                state.schedule_departure(arrived);
            } else {
                busy -= 1;
            }
        }
    }
    Seen {
        served,
        events,
        mean_wait_nanos: wait_sum as f64 / served as f64,
        mean_response_nanos: response_sum as f64 / served as f64,
        end_nanos: state.now,
    }
}

/// Mean wait of M/M/c by Erlang's C formula, in nanoseconds: C(c, a) / (c mu - lambda).
pub fn expected_wait_nanos() -> f64 {
    let servers = f64::from(SERVERS);
    let offered = UTILISATION * servers;
    // Erlang B by its recursion, then C = B / (1 - rho (1 - B)).
    let blocked = (1..=SERVERS).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b));
    let delayed = blocked / (1.0 - UTILISATION * (1.0 - blocked));
    delayed * MEAN_SERVICE_NANOS / (servers * (1.0 - UTILISATION))
}
