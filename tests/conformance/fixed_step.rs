//! The event loop against a model that anybody can check: time goes on in steps of 10 µs, and in each everything is looked at (docs/MODEL.md 7).
//!
//! The two share no code but the luck, whose addresses the crate `firedrill_sim` documents, and the distributions.

use firedrill_core::ledger::RequestOutcome;
use firedrill_core::random::{Purpose, Seed, Stream, hash64, hop_index, mix64};
use firedrill_sim::spec::{CallSpec, Cancel, Growth, Jitter, Phase, RetrySpec, WorldSpec};

use crate::support::{Case, case, totals};

/// Steps in a second.
const STEPS: f64 = 100_000.0;

/// Words of a hop's block: whether it fails of itself, and its first phase.
const FATE: usize = 1;
const FIRST_PHASE: usize = 2;

/// Somebody waits for an answer of a service: a client, or an attempt elsewhere.
struct Call {
    /// The request of the client, by ordinal.
    ordinal: usize,
    /// The attempt that makes the call; `None`: the client does.
    parent: Option<usize>,
    parent_hop: u64,
    /// Calls of the parent's program before this one.
    position: u32,
    service: usize,
    timeout: Option<u64>,
    retries: RetrySpec,
    /// Attempts that have failed.
    failed: u32,
    waits: Waits,
}

/// What a call waits for.
enum Waits {
    Answer { attempt: usize, until: u64 },
    Retry { at: u64 },
    Nothing,
}

/// One attempt at a service, in its queue or in its hands.
struct Attempt {
    call: Option<usize>,
    service: usize,
    ordinal: usize,
    hop: u64,
    arrived: u64,
    phase: usize,
    /// What is left of the phase, in seconds of work or of sleep; `None`: it waits for a call.
    left: Option<f64>,
}

#[derive(Default)]
struct Station {
    queue: Vec<usize>,
    working: Vec<usize>,
    sent: u64,
    completed: u64,
    rejected: u64,
    /// Dropped from the queue, or stopped.
    lost: u64,
    response_steps: u64,
}

/// The whole slow world.
struct Slow<'a> {
    spec: &'a WorldSpec,
    seed: Seed,
    now: u64,
    calls: Vec<Call>,
    /// Those that are not over.
    open: Vec<usize>,
    /// Until then nobody gives up and nobody tries again, so nobody is asked.
    due: u64,
    attempts: Vec<Attempt>,
    stations: Vec<Station>,
    begun: Vec<u64>,
    outcomes: Vec<RequestOutcome>,
}

fn steps(seconds: f64) -> u64 {
    (seconds * STEPS).round() as u64
}

impl<'a> Slow<'a> {
    fn play(spec: &'a WorldSpec, seed: u64) -> Self {
        let stations = spec.services.iter().map(|_| Station::default()).collect();
        let mut slow = Self {
            spec,
            seed: Seed(seed),
            now: 0,
            calls: vec![],
            open: vec![],
            due: u64::MAX,
            attempts: vec![],
            stations,
            begun: vec![],
            outcomes: vec![],
        };
        let client = &spec.clients[0];
        let gaps = Stream::new(slow.seed, Purpose::Arrival, hash64(&client.name));
        let gap = |ordinal: u64| -libm::log(gaps.block(ordinal / 8).unit_open01((ordinal % 8) as usize)) / client.rates[0].1.get();
        let mut next = gap(0);
        while slow.now < steps(spec.horizon.as_seconds()) {
            slow.work();
            if slow.now >= slow.due {
                slow.due = u64::MAX;
                slow.time_out();
                slow.try_again();
                slow.ask_who_is_next();
            }
            while next <= slow.now as f64 / STEPS {
                slow.arrive();
                next += gap(slow.begun.len() as u64);
            }
            slow.take_up();
            slow.now += 1;
        }
        slow
    }

    /// Everybody who runs gets a share of the cores for one step; who sleeps, sleeps; who is done goes on.
    fn work(&mut self) {
        for service in 0..self.stations.len() {
            let phases = &self.spec.services[service].endpoints[0].phases;
            let runs = |attempt: &Attempt| attempt.left.is_some() && matches!(phases[attempt.phase], Phase::Cpu(_));
            let running = || self.stations[service].working.iter().filter(|index| runs(&self.attempts[**index])).count();
            let share = self.spec.services[service].cores.map_or(1.0, |cores| (cores / running() as f64).min(1.0));
            let mut done = Vec::new();
            for index in &self.stations[service].working {
                let attempt = &mut self.attempts[*index];
                let part = if runs(attempt) { share } else { 1.0 };
                let Some(left) = &mut attempt.left else { continue };
                *left -= part / STEPS;
                if *left <= 1e-12 {
                    done.push(*index);
                }
            }
            for index in done {
                self.attempts[index].phase += 1;
                self.begin_phase(index);
            }
        }
    }

    fn time_out(&mut self) {
        for index in self.open_calls(|waits, now| matches!(waits, Waits::Answer { until, .. } if *until == now)) {
            // Whoever gave up before may have given this one up too.
            let Waits::Answer { attempt, .. } = self.calls[index].waits else { continue };
            // Unless the service says otherwise the work is done all the same, and nobody hears of it.
            self.attempts[attempt].call = None;
            self.drop_from_queue(attempt);
            self.fail(index, RequestOutcome::Failed);
        }
    }

    /// Nobody waits for an attempt any more, and its service may not care to begin it.
    fn drop_from_queue(&mut self, index: usize) {
        let service = self.attempts[index].service;
        let station = &mut self.stations[service];
        if let Some(place) = station.queue.iter().position(|queued| *queued == index)
            && self.spec.services[service].cancel != Cancel::None
        {
            station.queue.remove(place);
            station.lost += 1;
        }
    }

    /// Nobody waits for an attempt any more, and its service looks at that before each step.
    fn is_cancelled(&self, index: usize) -> bool {
        self.attempts[index].call.is_none() && self.spec.services[self.attempts[index].service].cancel == Cancel::Context
    }

    fn try_again(&mut self) {
        for index in self.open_calls(|waits, now| matches!(waits, Waits::Retry { at } if *at == now)) {
            self.send(index);
        }
    }

    /// The calls that wait for something that is due now.
    fn open_calls(&mut self, is_due: impl Fn(&Waits, u64) -> bool) -> Vec<usize> {
        let (calls, now) = (&self.calls, self.now);
        self.open.retain(|index| !matches!(calls[*index].waits, Waits::Nothing));
        self.open.iter().copied().filter(|index| is_due(&calls[*index].waits, now)).collect()
    }

    /// When the first of them gives up or tries again.
    fn ask_who_is_next(&mut self) {
        let due = |index: &usize| match self.calls[*index].waits {
            Waits::Answer { until, .. } => until,
            Waits::Retry { at } => at,
            Waits::Nothing => u64::MAX,
        };
        self.due = self.open.iter().map(due).min().unwrap_or(u64::MAX);
    }

    fn arrive(&mut self) {
        let client = &self.spec.clients[0];
        let service = self.spec.services.iter().position(|service| service.name == client.service).unwrap();
        let ordinal = self.begun.len();
        self.begun.push(self.now);
        self.outcomes.push(RequestOutcome::Open);
        let timeout = client.timeout.map(|timeout| steps(timeout.as_seconds()));
        let retries = client.retries.clone();
        self.call(Call { ordinal, parent: None, parent_hop: 0, position: 0, service, timeout, retries, failed: 0, waits: Waits::Nothing });
    }

    fn call(&mut self, call: Call) {
        self.open.push(self.calls.len());
        self.calls.push(call);
        self.send(self.calls.len() - 1);
    }

    fn send(&mut self, index: usize) {
        let call = &self.calls[index];
        let request = mix64(hash64(&self.spec.clients[0].name), call.ordinal as u64);
        let (service, ordinal) = (call.service, call.ordinal);
        let hop = hop_index(request, call.parent_hop, call.position, call.failed);
        let until = call.timeout.map_or(u64::MAX, |timeout| self.now + timeout);
        let attempt = self.attempts.len();
        self.attempts.push(Attempt { call: Some(index), service, ordinal, hop, arrived: self.now, phase: 0, left: None });
        self.calls[index].waits = Waits::Answer { attempt, until };
        self.due = self.due.min(until);
        let (station, spec) = (&mut self.stations[service], &self.spec.services[service]);
        station.sent += 1;
        let is_free = station.queue.is_empty() && (station.working.len() as u32) < spec.workers.unwrap_or(u32::MAX);
        if is_free || (station.queue.len() as u32) < spec.queue.unwrap_or(u32::MAX) {
            station.queue.push(attempt);
            self.take_up();
        } else {
            station.rejected += 1;
            self.fail(index, RequestOutcome::Shed);
        }
    }

    /// Free workers take who has waited longest.
    fn take_up(&mut self) {
        for service in 0..self.stations.len() {
            let workers = self.spec.services[service].workers.unwrap_or(u32::MAX);
            while (self.stations[service].working.len() as u32) < workers && !self.stations[service].queue.is_empty() {
                let attempt = self.stations[service].queue.remove(0);
                self.stations[service].working.push(attempt);
                self.begin_phase(attempt);
            }
        }
    }

    fn begin_phase(&mut self, index: usize) {
        let Attempt { service, ordinal, hop, phase, .. } = self.attempts[index];
        let spec = self.spec;
        if self.is_cancelled(index) {
            let station = &mut self.stations[service];
            station.working.retain(|working| *working != index);
            station.lost += 1;
            return;
        }
        let block = Stream::new(self.seed, Purpose::Demand, hash64(&spec.services[service].name)).block(hop);
        match spec.services[service].endpoints[0].phases.get(phase) {
            Some(Phase::Cpu(seconds) | Phase::Sleep(seconds)) => {
                self.attempts[index].left = Some(seconds.sample(block.draw(FIRST_PHASE + phase)));
            }
            Some(Phase::Call(CallSpec { service: callee, timeout, retries, .. })) => {
                self.attempts[index].left = None;
                let service = spec.services.iter().position(|service| service.name == *callee).unwrap();
                let (timeout, retries) = (timeout.map(|timeout| steps(timeout.as_seconds())), retries.clone());
                let parent = Some(index);
                let before = &spec.services[self.attempts[index].service].endpoints[0].phases[..phase];
                let position = before.iter().filter(|phase| matches!(phase, Phase::Call(_))).count() as u32;
                self.call(Call { ordinal, parent, parent_hop: hop, position, service, timeout, retries, failed: 0, waits: Waits::Nothing });
            }
            Some(_) => unreachable!("these systems are small"),
            None => {
                let failed = block.unit(FATE) < spec.services[service].endpoints[0].error.get();
                self.finish(index, failed);
            }
        }
    }

    fn finish(&mut self, index: usize, failed: bool) {
        let Attempt { service, arrived, call, .. } = self.attempts[index];
        let station = &mut self.stations[service];
        station.working.retain(|working| *working != index);
        station.completed += 1;
        station.response_steps += self.now - arrived;
        match call {
            None => {}
            Some(call) if failed => self.fail(call, RequestOutcome::Failed),
            Some(call) => self.succeed(call),
        }
    }

    fn succeed(&mut self, index: usize) {
        self.calls[index].waits = Waits::Nothing;
        let ordinal = self.calls[index].ordinal;
        match self.calls[index].parent {
            Some(parent) => {
                self.attempts[parent].phase += 1;
                self.begin_phase(parent);
            }
            None if self.now - self.begun[ordinal] <= steps(self.spec.clients[0].objective.as_seconds()) => {
                self.outcomes[ordinal] = RequestOutcome::Good;
            }
            None => self.outcomes[ordinal] = RequestOutcome::Slow,
        }
    }

    /// An attempt of a call has failed: another follows, or the call has failed.
    fn fail(&mut self, index: usize, how: RequestOutcome) {
        self.calls[index].failed += 1;
        let call = &self.calls[index];
        if call.failed <= call.retries.max && !call.parent.is_some_and(|parent| self.is_cancelled(parent)) {
            // At once means with the next step.
            let at = self.now + steps(self.pause(call)).max(1);
            self.calls[index].waits = Waits::Retry { at };
            self.due = self.due.min(at);
            return;
        }
        self.calls[index].waits = Waits::Nothing;
        let call = &self.calls[index];
        match call.parent {
            Some(parent) => self.finish(parent, true),
            None => self.outcomes[call.ordinal] = how,
        }
    }
}

impl Slow<'_> {
    /// Seconds until a call is tried again.
    fn pause(&self, call: &Call) -> f64 {
        let RetrySpec { base, growth, cap, jitter, .. } = &call.retries;
        let mut pause = base.as_seconds();
        for turn in 1..call.failed {
            pause = match growth {
                Growth::Exponential(factor) => pause * factor.get(),
                Growth::Doubled => base.as_seconds() * f64::from(1 << turn),
            };
        }
        let pause = pause.min(cap.as_seconds());
        let request = mix64(hash64(&self.spec.clients[0].name), call.ordinal as u64);
        let hop = hop_index(request, call.parent_hop, call.position, call.failed);
        let luck = Stream::new(self.seed, Purpose::Retry, hash64(&self.spec.services[call.service].name)).block(hop).unit(0);
        pause
            * match jitter {
                Jitter::None => 1.0,
                Jitter::Full => luck,
                Jitter::Around(share) => 1.0 + share.get() * (2.0 * luck - 1.0),
            }
    }
}

/// How many requests end otherwise than in the slow world; `None` if nothing differs at all.
#[track_caller]
fn differences(case: &Case, seed: u64, apart: f64) -> Option<usize> {
    let spec = case.spec();
    let fast = case.play(seed);
    let slow = Slow::play(&spec, seed);
    let told: Vec<u8> = slow.outcomes.iter().map(|outcome| *outcome as u8).collect();
    let outcomes = &fast.ledger.clients[0].outcomes;
    assert_eq!(outcomes.len(), told.len(), "seed {seed}: as many requests");
    let kinds = (1..=4).filter(|byte| told.contains(byte)).count();
    assert!(kinds >= 3, "seed {seed}: requests end in {kinds} ways, so the comparison says little");
    let differ = (0..told.len()).filter(|ordinal| outcomes[*ordinal] != told[*ordinal]).count();
    let mut is_same = differ == 0;
    let both = || spec.services.iter().zip(&slow.stations);
    for (service, station) in both() {
        let totals = totals(&fast, &service.name);
        let theirs =
            (station.sent, station.completed, station.rejected, station.lost, station.working.len() as u64, station.queue.len() as u64);
        is_same &= (totals.sent, totals.completed, totals.rejected, totals.lost, totals.in_service, totals.queued) == theirs;
    }
    // Where all happens in the same order, times differ by steps; elsewhere a few requests have waited for others.
    let tolerance = if is_same { 0.01 } else { apart };
    for (service, station) in both() {
        let ours = totals(&fast, &service.name).mean_response_seconds;
        let response = station.response_steps as f64 / station.completed as f64 / STEPS;
        assert!((ours / response - 1.0).abs() < tolerance, "seed {seed}, {}: {ours} s a request, and not {response} s", service.name);
    }
    (!is_same).then_some(differ)
}

/// Asserts that most seeds agree in everything, and the others but for a few of some five hundred requests: what falls into one step has no order,
/// and now and then the order decides who finds a queue full, and who finds it full after that.
#[track_caller]
fn check(case: &Case) {
    check_within(case, 5, 0.01);
}

/// The same where more services follow one another, so that a different order in one step is felt further on.
#[track_caller]
fn check_longer(case: &Case) {
    check_within(case, 12, 0.05);
}

/// The same with the most requests that may end otherwise, and how far apart times may be where some do.
#[track_caller]
fn check_within(case: &Case, most: usize, apart: f64) {
    const SEEDS: u64 = 3;
    let differ: Vec<Option<usize>> = (0..SEEDS).map(|seed| differences(case, seed, apart)).collect();
    let exact = differ.iter().filter(|differ| differ.is_none()).count() as u64;
    assert!(2 * exact > SEEDS && differ.iter().flatten().all(|count| *count <= most), "requests that end otherwise, by seed: {differ:?}");
}

#[test]
fn a_chain_with_queues_timeouts_and_retries_is_what_a_model_in_fixed_steps_says() {
    check(&case("small-chain"));
}

#[test]
fn a_shared_cpu_is_what_a_model_in_fixed_steps_says() {
    check(&case("small-shared"));
    check(&case("small-shared").with("queue: { length: 4 }", "queue: { length: unbounded }").with("max: 0", "max: 2"));
}

#[test]
fn a_core_for_each_worker_is_what_a_model_in_fixed_steps_says() {
    check(&case("small-shared").with("    cores: 1.5\n", "").with("rate: 22/s", "rate: 75/s"));
}

/// Four services: one calls two others in turn, of which one calls the last.
#[test]
fn four_services_with_back_off_are_what_a_model_in_fixed_steps_says() {
    check_longer(&case("small-four"));
    check_longer(&case("small-four").with("retries: envoy", "retries: { max: 2, backoff: 30ms, factor: x3, cap: 60ms, jitter: 20% }"));
}

#[test]
fn work_that_is_cancelled_is_what_a_model_in_fixed_steps_says() {
    for cancel in ["queue_only", "context"] {
        let chain = case("small-chain").with("    workers: 3\n", &format!("    workers: 3\n    cancel: {cancel}\n"));
        check(&chain.with("    workers: 6\n", &format!("    workers: 6\n    cancel: {cancel}\n")));
        check_longer(&case("small-four").with("cancel: none", &format!("cancel: {cancel}")));
    }
}
