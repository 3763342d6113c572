//! Clients: their requests, and what became of them.

use firedrill_core::ledger::{BIN, ClientLedger, RequestOutcome};
use firedrill_core::random::{Seed, hash64, mix64};
use firedrill_core::time::{Span, Time};

use crate::arrivals::Arrivals;
use crate::buckets::{Bounds, Buckets};
use crate::caller::Caller;
use crate::slab::NONE;
use crate::spec::{ClientSpec, Population, WorldSpec};
use crate::world::accounts::OUTCOMES;
use crate::world::ahead::Ahead;
use crate::world::calls::{Call, Failure, Origin};
use crate::world::service::Round;
use crate::world::{Due, World};

/// How long beyond its horizon a run can go on at most, for the sake of whoever is still at work.
pub(crate) const LONGEST_WAIT: Span = Span::from_minutes(24 * 60);

/// A client: its arrivals, and its ledger.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Hash of its name.
    pub(super) key: u64,
    pub(crate) edge: u32,
    /// Its turn among the replicas it calls.
    pub(crate) round: Round,
    /// What it keeps in mind of the service, if anything.
    pub(super) caller: Option<Box<Caller>>,
    arrivals: Arrivals,
    /// How the luck of its next requests is looked up.
    pub(super) ahead: Option<Box<Ahead>>,
    /// Arrivals so far: requests, or sessions.
    arrived: u64,
    /// Whether people may ask again by hand.
    asks_again: bool,
    pub(crate) ledger: ClientLedger,
    /// Whether the ledger keeps each request.
    keeps_requests: bool,
    /// Requests by outcome, counted apart from the ledger to be compared with it; all that were ever open first.
    counts: [u64; 5],
    /// Attempts by outcome, as it saw them.
    pub(crate) seen: [u64; 5],
    /// How long its attempts took, by outcome; those that it never sent are not among them.
    pub(crate) latency: Vec<Buckets>,
}

impl Client {
    pub(crate) fn new(spec: &ClientSpec, world: &WorldSpec, edge: u32, seed: Seed) -> Self {
        let key = hash64(&spec.name);
        let ledger = ClientLedger {
            client: spec.name.clone(),
            objective: spec.objective,
            users: spec.users,
            outcomes: Vec::new(),
            bin_starts: Vec::new(),
            came: (spec.again.is_some() || matches!(spec.population, Population::Sessions { .. })).then(Vec::new),
        };
        Self {
            key,
            edge,
            round: Round::new(key),
            caller: None,
            ahead: None,
            arrivals: Arrivals::new(spec, world, seed, key),
            arrived: 0,
            asks_again: spec.again.is_some(),
            ledger,
            keeps_requests: true,
            counts: [0; 5],
            seen: [0; 5],
            latency: vec![Buckets::new(&Bounds::default_ones()); OUTCOMES.len()],
        }
    }

    /// The ledger does without the single requests.
    pub(crate) const fn forget_requests(&mut self) {
        self.keeps_requests = false;
    }

    /// Closes the ledger's bins so that it has `bins` of them.
    pub(crate) fn close_bins(&mut self, bins: usize) {
        let arrived = self.counts[RequestOutcome::Open as usize];
        while self.ledger.bin_starts.len() < bins {
            self.ledger.bin_starts.push(arrived);
        }
    }

    /// Asserts that arrived = good + slow + failed + shed + open, where `open` is counted by the caller from what is alive.
    pub(crate) fn assert_conserved(&self, open: u64) {
        let arrived = self.counts[RequestOutcome::Open as usize];
        let closed: u64 = self.counts[1..].iter().sum();
        assert_eq!(arrived, closed + open, "requests of {}: arrived = good + slow + failed + shed + open", self.ledger.client);
        if !self.keeps_requests {
            return;
        }
        let mut bytes = [0_u64; 5];
        self.ledger.outcomes.iter().for_each(|byte| bytes[*byte as usize] += 1);
        assert_eq!(bytes[0], open, "requests of {}: the ledger's open ones are those alive", self.ledger.client);
        assert_eq!(bytes[1..], self.counts[1..], "requests of {}: the ledger agrees with the counts", self.ledger.client);
    }
}

impl World {
    /// Schedules the next arrival of a client, if there is one before the end.
    pub(super) fn schedule_arrival(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        let ordinal = state.arrived;
        // Rounding to whole nanoseconds can put an arrival just before a boundary that the clock has passed.
        let end = Time::ZERO + self.spec.horizon.saturating_add(LONGEST_WAIT);
        if let Some(at) = state.arrivals.next(ordinal).map(|at| at.max(self.now)).filter(|at| *at < end) {
            self.schedule(at, Due::Arrival(client));
        }
    }

    /// A request arrives, or somebody who will make several.
    #[inline]
    pub(super) fn arrive(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        let ordinal = state.arrived;
        state.arrived += 1;
        if let Some(came) = &mut state.ledger.came {
            let bin = bin_of(self.now);
            came.resize(came.len().max(bin + 1), 0);
            came[bin] += 1;
        }
        let request = mix64(state.key, ordinal);
        let mut ahead = NONE;
        if let Some(looked_up) = &state.ahead {
            looked_up.reach(ordinal, &mut self.hops);
            ahead = looked_up.place(ordinal);
        }
        self.schedule_arrival(client);
        if let Population::Sessions { requests, .. } = self.spec.clients[client as usize].population {
            return self.begin_session(client, ordinal, requests);
        }
        self.begin_request(client, (request, ahead), NONE);
    }

    /// A request is entered in the ledger as open, and its first attempt is sent; `ahead` is where that has been looked up.
    #[inline]
    pub(super) fn begin_request(&mut self, client: u32, (request, ahead): (u64, u32), visit: u32) {
        let now = self.now;
        let state = &mut self.clients[client as usize];
        let ordinal = state.counts[RequestOutcome::Open as usize];
        let bin = bin_of(now);
        while state.ledger.bin_starts.len() <= bin {
            state.ledger.bin_starts.push(ordinal);
        }
        if state.keeps_requests {
            state.ledger.outcomes.push(RequestOutcome::Open as u8);
        }
        state.counts[RequestOutcome::Open as usize] += 1;
        let edge = state.edge;
        let ordinal = u32::try_from(ordinal).expect("a run has fewer than 2^32 requests of a client");
        let mut call = Call::new(Origin::Client { client, ordinal, visit }, request, edge, now);
        call.ahead = ahead;
        self.place_call(call);
    }

    /// A request is answered, or given up. The slot of its call has just been freed, and nobody has it yet.
    #[inline]
    pub(super) fn close_request(&mut self, slot: u32, result: Result<(), Failure>) {
        let Call { origin, begun, request, .. } = self.calls[slot];
        let Origin::Client { client, ordinal, visit } = origin else { unreachable!("only clients make requests") };
        let took = self.now - begun;
        let state = &mut self.clients[client as usize];
        let outcome = match result {
            Ok(()) if took <= state.ledger.objective => RequestOutcome::Good,
            Ok(()) => RequestOutcome::Slow,
            Err(Failure::QueueFull | Failure::OverQuota) => RequestOutcome::Shed,
            Err(_) => RequestOutcome::Failed,
        };
        if state.keeps_requests {
            let byte = &mut state.ledger.outcomes[ordinal as usize];
            assert!(*byte == RequestOutcome::Open as u8, "a request is closed once");
            *byte = outcome as u8;
        }
        state.counts[outcome as usize] += 1;
        let asks_again = state.asks_again;
        if self.spans.is_some() {
            self.tell_request(slot, result);
        }
        if result.is_err() && asks_again && self.ask_again(client, request, visit) {
            return;
        }
        if visit != NONE {
            self.visited(visit);
        }
    }
}

/// The bin of an instant.
#[inline]
const fn bin_of(at: Time) -> usize {
    (at.as_nanos() / BIN.as_nanos()) as usize
}
