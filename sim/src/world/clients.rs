//! Open-loop clients: when their requests arrive, and what became of them.

use firedrill_core::ledger::{BIN, ClientLedger, RequestOutcome};
use firedrill_core::random::{Purpose, Seed, Sequence, Stream, hash64, mix64};
use firedrill_core::time::{Span, Time};

use crate::caller::Caller;
use crate::spec::{ClientSpec, FaultKind, WorldSpec};
use crate::world::accounts::{Buckets, default_bounds};
use crate::world::calls::{Call, Failure, Origin};
use crate::world::{Due, World};

/// A client: its arrivals, and its ledger.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Hash of its name.
    key: u64,
    pub(crate) edge: u32,
    /// Its turn among the replicas it calls.
    pub(crate) turn: u32,
    /// What it keeps in mind of the service, if anything.
    pub(super) caller: Option<Box<Caller>>,
    arrivals: Arrivals,
    pub(crate) ledger: ClientLedger,
    /// Requests by outcome, counted apart from the ledger to be compared with it.
    counts: [u64; 5],
    /// Attempts by outcome, as it saw them.
    pub(crate) seen: [u64; 5],
    /// How long its answered requests took.
    pub(crate) latency: Buckets,
}

/// Poisson arrivals with a rate that changes in steps: arrival `i` is a function of the seed, the client and `i`, and of nothing that happens in the run.
///
/// Gaps at unit rate are exponential; the cumulative rate maps them to time (Çinlar 1975, "Introduction to stochastic processes", section 4.7).
#[derive(Clone, Debug)]
struct Arrivals {
    /// The rate from each instant on, arrivals a second.
    steps: Vec<(Time, f64)>,
    step: usize,
    /// Expected arrivals since the start of the current step.
    units: f64,
    /// Gap `i` is word `i mod 8` of block `i div 8`.
    gaps: Sequence,
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
        };
        Self {
            key,
            edge,
            turn: key as u32,
            caller: None,
            arrivals: Arrivals {
                steps: rate_steps(spec, world),
                step: 0,
                units: 0.0,
                gaps: Sequence::new(Stream::new(seed, Purpose::Arrival, key)),
            },
            ledger,
            counts: [0; 5],
            seen: [0; 5],
            latency: Buckets::new(&default_bounds()),
        }
    }

    /// Closes the ledger's bins so that it has `bins` of them.
    pub(crate) fn close_bins(&mut self, bins: usize) {
        let arrived = self.ledger.outcomes.len() as u64;
        while self.ledger.bin_starts.len() < bins {
            self.ledger.bin_starts.push(arrived);
        }
    }

    /// Asserts that arrived = good + slow + failed + shed + open, where `open` is counted by the caller from what is alive.
    pub(crate) fn assert_conserved(&self, open: u64) {
        let mut bytes = [0_u64; 5];
        self.ledger.outcomes.iter().for_each(|byte| bytes[*byte as usize] += 1);
        let arrived = self.counts[RequestOutcome::Open as usize];
        let closed: u64 = self.counts[1..].iter().sum();
        assert_eq!(arrived, closed + open, "requests of {}: arrived = good + slow + failed + shed + open", self.ledger.client);
        assert_eq!(bytes[0], open, "requests of {}: the ledger's open ones are those alive", self.ledger.client);
        assert_eq!(bytes[1..], self.counts[1..], "requests of {}: the ledger agrees with the counts", self.ledger.client);
    }
}

/// The client's rate over time, with every surge of the scenario multiplied in.
fn rate_steps(spec: &ClientSpec, world: &WorldSpec) -> Vec<(Time, f64)> {
    let surges: Vec<(Time, Time, f64)> = world
        .faults
        .iter()
        .chain(&world.changes)
        .filter_map(|fault| match &fault.kind {
            FaultKind::Surge { client, factor } if *client == spec.name => {
                Some((fault.at, fault.lasting.map_or(Time::MAX, |lasting| fault.at + lasting), factor.get()))
            }
            _ => None,
        })
        .collect();
    let mut times: Vec<Time> = spec.rates.iter().map(|(at, _)| *at).chain(surges.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
    times.push(Time::ZERO);
    times.sort_unstable();
    times.dedup();
    let rate_at = |at: Time| {
        let base = spec.rates.iter().rev().find(|(from, _)| *from <= at).map_or(0.0, |(_, rate)| rate.get());
        surges.iter().filter(|(from, to, _)| *from <= at && at < *to).fold(base, |rate, (_, _, factor)| rate * factor)
    };
    times.into_iter().filter(|at| *at < Time::MAX).map(|at| (at, rate_at(at))).collect()
}

impl Arrivals {
    /// When arrival `ordinal` comes; `None` if there are no more. Asked for in order.
    #[inline]
    fn next(&mut self, ordinal: u64) -> Option<Time> {
        let gap = -libm::log(self.gaps.block(ordinal / 8).unit_open01((ordinal % 8) as usize));
        let mut units = self.units + gap;
        loop {
            let (start, rate) = self.steps[self.step];
            let after = Span::from_seconds_f64(units / rate);
            let Some((end, _)) = self.steps.get(self.step + 1) else {
                self.units = units;
                return (rate > 0.0).then(|| start + after);
            };
            let length = *end - start;
            let capacity = rate * length.as_seconds();
            if units < capacity && after < length {
                self.units = units;
                return Some(start + after);
            }
            units = (units - capacity).max(0.0);
            self.step += 1;
        }
    }
}

impl World {
    /// Schedules the next arrival of a client, if there is one before the end.
    pub(super) fn schedule_arrival(&mut self, client: u32) {
        let state = &mut self.clients[client as usize];
        let ordinal = state.ledger.outcomes.len() as u64;
        // Rounding to whole nanoseconds can put an arrival just before a boundary that the clock has passed.
        if let Some(at) = state.arrivals.next(ordinal).map(|at| at.max(self.now)).filter(|at| at.since(Time::ZERO) < self.spec.horizon) {
            self.schedule(at, Due::Arrival(client));
        }
    }

    /// A request arrives: it is entered in the ledger as open, and its first attempt is sent.
    #[inline]
    pub(super) fn arrive(&mut self, client: u32) {
        let now = self.now;
        let state = &mut self.clients[client as usize];
        let ordinal = state.ledger.outcomes.len() as u64;
        let bin = (now.as_nanos() / BIN.as_nanos()) as usize;
        while state.ledger.bin_starts.len() <= bin {
            state.ledger.bin_starts.push(ordinal);
        }
        state.ledger.outcomes.push(RequestOutcome::Open as u8);
        state.counts[RequestOutcome::Open as usize] += 1;
        let edge = state.edge;
        let request = mix64(state.key, ordinal);
        self.schedule_arrival(client);
        self.place_call(Call::new(Origin::Client { client, ordinal }, request, edge, now));
    }

    /// A request is answered, or given up.
    #[inline]
    pub(super) fn close_request(&mut self, client: u32, ordinal: u64, begun: Time, result: Result<(), Failure>) {
        let took = self.now - begun;
        let state = &mut self.clients[client as usize];
        let outcome = match result {
            Ok(()) if took <= state.ledger.objective => RequestOutcome::Good,
            Ok(()) => RequestOutcome::Slow,
            Err(Failure::QueueFull) => RequestOutcome::Shed,
            Err(_) => RequestOutcome::Failed,
        };
        if self.counting && result.is_ok() {
            state.latency.record(took);
        }
        let byte = &mut state.ledger.outcomes[ordinal as usize];
        assert!(*byte == RequestOutcome::Open as u8, "a request is closed once");
        *byte = outcome as u8;
        state.counts[outcome as usize] += 1;
    }
}
