//! The door of a replica, where its service has rules for it: who is let in, in what order they wait, who is dropped (docs/MODEL.md 1.3).

use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, hash64};
use firedrill_core::time::{Span, Time};

use crate::admission::concurrency::{Limiter, Sample};
use crate::admission::control::Control;
use crate::admission::line::{Line, Waiting};
use crate::admission::quota::Quota;
use crate::admission::rate::RateLimiter;
use crate::slab::NONE;
use crate::spec::{AdmissionSpec, CallSpec, DropRule, EndpointSpec, FaultKind, LimitSpec, Phase, Priority, ServiceSpec, WorldSpec};
use crate::world::accounts::TOO_MANY;
use crate::world::balancing::Heard;
use crate::world::calls::{Failure, Origin};
use crate::world::work::{State, is_hit};
use crate::world::{Due, World};

/// The word of a hop's block that says whether it is turned away at random.
const CONTROL_WORD: usize = 0;

/// A door that has turned nobody away for so long is open again.
const OPEN_AGAIN: Span = Span::from_seconds(10);

/// What an attempt brings with it to a door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// When its caller gives up, or the caller's caller if that is told; `Time::MAX`: never.
    deadline: Time,
    /// Who takes it up later than this drops it; set when it begins to wait.
    leave: Time,
    /// How many were in flight when it was let in, itself included.
    in_flight: u32,
    priority: Priority,
    /// It is held back, and has no permission when that is over.
    is_refused: bool,
}

/// The rules of a service, as its doors need them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    longest_wait: Option<Span>,
    /// By endpoint, who has less than this left is dropped; `None`: nobody is dropped for its deadline.
    needs: Option<Vec<Span>>,
    /// The margin that calls keep from the deadline of their request, if they know it.
    propagates: Option<Span>,
    /// What may come to all doors together.
    quota: Option<Quota>,
    luck: Stream,
}

impl Rules {
    pub(super) fn new(admission: &AdmissionSpec, service: u32, spec: &WorldSpec, seed: Seed) -> Self {
        let own = &spec.services[service as usize];
        // A probe's own program stands behind the endpoints, and is never too late.
        let all = |need: Span| vec![need; own.endpoints.len()];
        let needs = match admission.drop {
            DropRule::None => None,
            DropRule::Expired => Some(all(Span::ZERO)),
            DropRule::Late(Some(need)) => Some(all(need)),
            DropRule::Late(None) => {
                Some(mean_work(spec)[service as usize].iter().map(|seconds| Span::from_seconds_f64(*seconds)).collect())
            }
        };
        let bulkhead = bulkhead(admission).map(|(_, wait)| wait);
        Self {
            longest_wait: admission.longest_wait.into_iter().chain(bulkhead).min(),
            needs,
            propagates: admission.propagates,
            quota: admission.quota.as_ref().map(Quota::new),
            luck: Stream::new(seed, Purpose::Admission, hash64(&own.name)),
        }
    }
}

/// The workers of a replica whose limit of concurrency is one of requests in service.
pub(super) fn workers(spec: &ServiceSpec) -> u32 {
    let workers = spec.workers.unwrap_or(u32::MAX);
    spec.admission.as_deref().and_then(bulkhead).map_or(workers, |(limit, _)| workers.min(limit))
}

/// The limit of a bulkhead, and how long those beyond it may wait.
fn bulkhead(admission: &AdmissionSpec) -> Option<(u32, Span)> {
    match admission.concurrency?.limit {
        LimitSpec::Fixed { limit, wait } if wait > Span::ZERO => Some((limit, wait)),
        _ => None,
    }
}

/// The mean seconds of work that a request of each endpoint of each service takes, calls included and retries left out. Of calls made at once the
/// longest counts; what a cache may have counts as if it had it, so nobody is dropped whom the cache could still have helped.
fn mean_work(spec: &WorldSpec) -> Vec<Vec<f64>> {
    let mut means: Vec<Vec<f64>> = spec.services.iter().map(|service| vec![0.0; service.endpoints.len()]).collect();
    // Calls have no circles, so what is added moves on by one call in each round and is soon all there.
    loop {
        let of_call = |call: &CallSpec| {
            let service = spec.services.iter().position(|service| service.name == call.service).expect("lowering knows every service");
            let endpoints = &spec.services[service].endpoints;
            let endpoint = endpoints.iter().position(|endpoint| endpoint.name == call.endpoint).expect("lowering knows every endpoint");
            call.probability.get() * means[service][endpoint]
        };
        let of_phase = |phase: &Phase| match phase {
            Phase::Cpu(seconds) | Phase::Sleep(seconds) => seconds.mean(),
            Phase::Call(call) | Phase::Update { write: call, .. } => of_call(call),
            Phase::Parallel { calls, .. } => calls.iter().map(of_call).fold(0.0, f64::max),
            Phase::Cache { .. } | Phase::Lock { .. } | Phase::Unlock { .. } | Phase::Publish(_) => 0.0,
        };
        let of_endpoint = |endpoint: &EndpointSpec| endpoint.phases.iter().map(of_phase).sum::<f64>();
        let next: Vec<Vec<f64>> = spec.services.iter().map(|service| service.endpoints.iter().map(of_endpoint).collect()).collect();
        if next == means {
            return means;
        }
        means = next;
    }
}

/// The door of one replica's process.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    line: Line,
    limiter: Option<Limiter>,
    rate: Option<RateLimiter>,
    control: Option<Control>,
    /// How many it has turned away since it began to; zero while it is open.
    turned_away: u64,
    /// When it last turned somebody away.
    last: Time,
}

impl Door {
    /// The door of a process that starts now; `replica` is the hash of its replica's name.
    pub(super) fn new(spec: &AdmissionSpec, now: Time, seed: Seed, replica: u64) -> Self {
        let luck = Stream::new(seed, Purpose::Admission, replica);
        let limiter = spec.concurrency.filter(|_| bulkhead(spec).is_none()).map(|concurrency| Limiter::new(&concurrency, now, luck));
        Self {
            line: Line::new(spec.discipline),
            limiter,
            rate: spec.rate_limit.map(RateLimiter::new),
            control: spec.control.map(Control::new),
            turned_away: 0,
            last: now,
        }
    }

    /// Takes out the next of those that wait, who may have left; `left` are those that have not.
    pub(super) fn next(&mut self, now: Time, left: u32) -> Option<u32> {
        self.line.pop(now, left)
    }

    /// The first of those who wait that `holds` is true of, if they are taken up as they come.
    pub(super) fn first_come(&self, mut holds: impl FnMut(u32) -> bool) -> Option<u32> {
        self.line.in_order().find(|slot| holds(*slot))
    }

    /// Takes out everybody.
    pub(super) fn drain(&mut self) -> Vec<u32> {
        self.line.drain()
    }
}

impl World {
    /// What a new attempt of a call brings with it.
    pub(super) fn set_terms(&mut self, attempt: u32, slot: u32) {
        let call = self.first_of(slot);
        let timeout = self.timeout_of(call.edge, call.origin);
        let priority = match call.origin {
            Origin::Client { client, .. } => self.spec.clients[client as usize].priority,
            Origin::Attempt(parent) => self.terms[parent as usize].priority,
            Origin::Message(..) => Priority::Normal,
            // Who cannot be probed is killed.
            _ => Priority::High,
        };
        let own = timeout.map_or(Time::MAX, |timeout| self.now + timeout);
        let own = if self.edges[call.edge as usize].is_bounded { own.min(self.time_of_all(slot)) } else { own };
        let terms = Terms { deadline: own.min(self.told_deadline(slot)), leave: Time::MAX, in_flight: 0, priority, is_refused: false };
        let index = attempt as usize;
        if self.terms.len() <= index {
            self.terms.resize(index + 1, terms);
        }
        self.terms[index] = terms;
    }

    /// The deadline that a call knows of from the request that makes it, less the margin; `Time::MAX`: none.
    fn told_deadline(&self, slot: u32) -> Time {
        let Origin::Attempt(parent) = self.first_of(slot).origin else { return Time::MAX };
        let service = self.attempts[parent].service;
        let margin = self.services[service as usize].rules.as_ref().and_then(|rules| rules.propagates);
        let deadline = self.terms[parent as usize].deadline;
        match margin {
            Some(margin) if deadline < Time::MAX => Time::from_nanos(deadline.as_nanos().saturating_sub(margin.as_nanos())),
            _ => Time::MAX,
        }
    }

    /// Whether the deadline that a call knows of has come, so that nothing is sent any more.
    pub(super) fn is_out_of_time(&self, slot: u32) -> bool {
        self.told_deadline(slot) <= self.now
    }

    /// How long the caller of an attempt that is sent now waits for it.
    pub(super) fn time_left(&self, attempt: u32) -> Option<Span> {
        let deadline = self.terms[attempt as usize].deadline;
        (deadline < Time::MAX).then(|| deadline.since(self.now))
    }

    fn door(&mut self, index: u32) -> &mut Door {
        self.replicas[index as usize].door.as_mut().expect("every replica of a service with rules has a door")
    }

    fn rules(&self, slot: u32) -> &Rules {
        self.services[self.attempts[slot].service as usize].rules.as_ref().expect("only services with rules have doors")
    }

    /// An attempt comes to the door of its replica.
    pub(super) fn come_to_door(&mut self, slot: u32, index: u32) {
        let now = self.now;
        if self.knocking.is_some() && self.has_full_backlog(index) && self.knocks_in_vain(slot, index) {
            return;
        }
        let rules = self.services[self.attempts[slot].service as usize].rules.as_mut();
        if rules.and_then(|rules| rules.quota.as_mut()).is_some_and(|quota| !quota.takes(now)) {
            return self.turn_away_over_quota(slot);
        }
        if let Some(rate) = &mut self.door(index).rate {
            match rate.take(now) {
                Ok(Span::ZERO) => {}
                Ok(wait) => return self.hold_back(slot, wait),
                Err(Span::ZERO) => return self.turn_away_over_rate(slot, index),
                Err(wait) => {
                    self.terms[slot as usize].is_refused = true;
                    return self.hold_back(slot, wait);
                }
            }
        }
        self.ask_to_come_in(slot, index);
    }

    /// An attempt is held back before the door: as far as its service knows it is still on its way.
    fn hold_back(&mut self, slot: u32, wait: Span) {
        let timer = self.schedule_after(wait, Due::LetIn(slot));
        let attempt = &mut self.attempts[slot];
        attempt.timer = Some(timer);
        self.services[attempt.service as usize].not_yet_arrived();
    }

    /// An attempt has been held back for long enough.
    pub(super) fn let_in(&mut self, slot: u32) {
        let attempt = &mut self.attempts[slot];
        attempt.timer = None;
        let (service, index) = (attempt.service, attempt.replica);
        self.services[service as usize].arrived();
        if !self.services[service as usize].ready.contains(&index) {
            self.turn_away(slot, Failure::NoReplica);
        } else if self.terms[slot as usize].is_refused {
            self.turn_away_over_rate(slot, index);
        } else {
            self.ask_to_come_in(slot, index);
        }
    }

    /// Turns away one who got no permission of its door's limit of rate.
    fn turn_away_over_rate(&mut self, slot: u32, index: u32) {
        let figures = self.door(index).rate.as_ref().map(RateLimiter::figures).unwrap_or_default();
        self.turn_away_at_door(slot, &|| format!("more than {figures}"));
    }

    /// An attempt is turned away, queued, or begun.
    fn ask_to_come_in(&mut self, slot: u32, index: u32) {
        let now = self.now;
        let priority = self.terms[slot as usize].priority;
        if let Some(control) = &mut self.door(index).control {
            let refused = control.refused(now);
            let luck = self.rules(slot).luck.block(self.attempts[slot].hop).word64(CONTROL_WORD);
            if refused > 0.0 && is_hit(refused, luck) {
                let door = self.door(index);
                // Only the first of a series is told of.
                let figures = if door.turned_away == 0 { door.control.as_ref().map(Control::figures) } else { None };
                let figures = figures.unwrap_or_default();
                return self.turn_away_at_door(slot, &|| format!("{:.1}% at random: {figures}", refused * 100.0));
            }
        }
        let replica = &self.replicas[index as usize];
        let in_flight = replica.queued + replica.begun() as u32;
        if let Some(limiter) = &mut self.door(index).limiter
            && !limiter.admits(now, in_flight, priority)
        {
            let limit = limiter.limit(now);
            return self.turn_away_at_door(slot, &|| format!("{in_flight} in flight, and the limit is {limit}"));
        }
        self.terms[slot as usize].in_flight = in_flight + 1;
        let service = &self.services[self.attempts[slot].service as usize];
        let (workers, places, per_request) = (service.workers, service.queue, service.per_request);
        let replica = &self.replicas[index as usize];
        if replica.queued == 0 && (replica.in_service.len() as u32) < workers && !replica.hung {
            self.begin(slot);
        } else if replica.queued < places {
            self.wait_in_line(slot, index);
        } else if let Some(displaced) = self.make_room(index, priority) {
            // Who makes room is told last: what its caller does next may bring others here.
            self.wait_in_line(slot, index);
            let own = self.terms[displaced as usize].priority;
            self.turn_away_from_line(displaced, index, &|| format!("{} makes room for {}", own.word(), priority.word()));
        } else {
            self.note_end(slot, index, false);
            return self.turn_away_at_door(slot, &|| format!("{places} wait already"));
        }
        if per_request > 0 {
            self.refresh_memory(index);
        }
    }

    /// Takes somebody less important out of a full queue.
    fn make_room(&mut self, index: u32, priority: Priority) -> Option<u32> {
        while let Some(slot) = self.door(index).line.displace(priority) {
            if self.attempts[slot].state == State::Dropped {
                self.attempts.remove(slot);
                continue;
            }
            self.replicas[index as usize].queued -= 1;
            return Some(slot);
        }
        None
    }

    fn wait_in_line(&mut self, slot: u32, index: u32) {
        let now = self.now;
        let Terms { deadline, priority, .. } = self.terms[slot as usize];
        let left = self.replicas[index as usize].queued;
        let line = &mut self.door(index).line;
        let leave = line.patience(now, left).map_or(Time::MAX, |patience| now + patience);
        line.push(now, left, Waiting { slot, priority, deadline });
        self.terms[slot as usize].leave = leave;
        self.replicas[index as usize].queued += 1;
        self.attempts[slot].state = State::Queued;
        if let Some(longest) = self.rules(slot).longest_wait {
            let timer = self.schedule_after(longest, Due::WaitedEnough(slot));
            self.attempts[slot].timer = Some(timer);
        }
    }

    /// Whether a worker takes up the next in line, who has just been taken out of it; if not, it is turned away.
    pub(super) fn is_worth_beginning(&mut self, slot: u32, index: u32) -> bool {
        let mut timer = self.attempts[slot].timer.take();
        self.cancel(&mut timer);
        let now = self.now;
        let Terms { deadline, leave, .. } = self.terms[slot as usize];
        let endpoint = self.attempts[slot].endpoint as usize;
        let need = self.rules(slot).needs.as_ref().and_then(|needs| needs.get(endpoint)).copied();
        let waited = now - self.attempts[slot].arrived;
        if now > leave {
            self.turn_away_from_line(slot, index, &|| format!("it waited {waited}"));
            return false;
        }
        match need {
            // One whose deadline is now has nothing left, whatever is needed.
            Some(need) if deadline < Time::MAX && (deadline <= now || deadline.since(now) < need) => {
                let left = deadline.since(now);
                self.turn_away_from_line(slot, index, &|| format!("{left} left to its deadline"));
                false
            }
            _ => true,
        }
    }

    /// One has waited for as long as anybody may.
    pub(super) fn waited_enough(&mut self, slot: u32) {
        let now = self.now;
        let attempt = &mut self.attempts[slot];
        attempt.timer = None;
        let (index, endpoint, waited) = (attempt.replica, attempt.endpoint, now - attempt.arrived);
        // It hears of it as long as it is known to wait.
        self.hear(slot, Heard::Code(Failure::QueueFull.code()));
        let call = std::mem::replace(&mut self.attempts[slot].call, NONE);
        self.note_end(slot, index, true);
        self.leave_queue(slot);
        self.count_turned_away(index, endpoint, Failure::QueueFull.code(), &|| format!("it waited {waited}"));
        if call != NONE {
            self.answer(call, Err(Failure::QueueFull));
        }
    }

    /// Turns away one who has not come in.
    fn turn_away_at_door(&mut self, slot: u32, figures: &dyn Fn() -> String) {
        let attempt = &self.attempts[slot];
        let (index, endpoint, call) = (attempt.replica, attempt.endpoint, attempt.call);
        self.hear(slot, Heard::Code(Failure::QueueFull.code()));
        self.count_turned_away(index, endpoint, Failure::QueueFull.code(), figures);
        self.attempts.remove(slot);
        if call != NONE {
            self.answer(call, Err(Failure::QueueFull));
        }
    }

    /// Turns away one who comes beyond the quota of all callers.
    fn turn_away_over_quota(&mut self, slot: u32) {
        let attempt = &self.attempts[slot];
        let (index, endpoint, call) = (attempt.replica, attempt.endpoint, attempt.call);
        self.hear(slot, Heard::Code(TOO_MANY));
        self.count_turned_away(index, endpoint, TOO_MANY, &|| "the quota is used up".to_owned());
        self.attempts.remove(slot);
        if call != NONE {
            self.answer(call, Err(Failure::OverQuota));
        }
    }

    /// What a 429 of a service says now of when there is room again; `None` if it says nothing.
    pub(super) fn retry_after(&self, service: u32) -> Option<Span> {
        let quota = self.services[service as usize].rules.as_ref()?.quota.as_ref()?;
        let says = self.spec.services[service as usize].admission.as_ref()?.quota?.retry_after;
        says.then(|| quota.retry_after(self.now)).flatten()
    }

    /// The quota of a service is what the faults of the moment make of it.
    pub(super) fn refresh_quota(&mut self, service: &Name) {
        let now = self.now;
        let index = self.service_named(service).expect("lowering knows every service") as usize;
        let own = self.spec.services[index].admission.as_ref().and_then(|admission| admission.quota);
        let faulty = self.active_faults().filter_map(|kind| match kind {
            FaultKind::Quota { service: of, rate } if of == service => Some(*rate),
            _ => None,
        });
        let rate = faulty.last().or(own.map(|quota| quota.rate));
        let rules = self.services[index].rules.as_mut();
        if let (Some(quota), Some(rate)) = (rules.and_then(|rules| rules.quota.as_mut()), rate) {
            quota.set_rate(now, rate);
        }
    }

    /// Turns away one who has been taken out of the line.
    fn turn_away_from_line(&mut self, slot: u32, index: u32, figures: &dyn Fn() -> String) {
        let mut timer = self.attempts[slot].timer.take();
        self.cancel(&mut timer);
        self.note_end(slot, index, true);
        self.turn_away_at_door(slot, figures);
    }

    fn count_turned_away(&mut self, index: u32, endpoint: u32, code: usize, figures: &dyn Fn() -> String) {
        let now = self.now;
        let replica = &mut self.replicas[index as usize];
        self.services[replica.service as usize].tally.rejected += 1;
        if self.counting {
            replica.counters.requests[endpoint as usize][code] += 1;
        }
        let door = replica.door.as_mut().expect("who is turned away at a door has one");
        door.turned_away += 1;
        door.last = now;
        if door.turned_away == 1 {
            let event = Event::SheddingChanged { replica: replica.name.clone(), sheds: true, figures: figures() };
            self.write(event);
        }
    }

    /// One who was let in has not been answered as it should: given up, if `dropped`, or turned away by a full queue.
    pub(super) fn note_end(&mut self, slot: u32, index: u32, dropped: bool) {
        let now = self.now;
        let (begun, in_flight) = (self.attempts[slot].arrived, self.terms[slot as usize].in_flight);
        let door = self.door(index);
        if let Some(control) = &mut door.control {
            control.record(now, false);
        }
        if let Some(limiter) = &mut door.limiter
            && dropped
        {
            limiter.record(now, Sample { begun, in_flight, dropped: true });
        }
    }

    /// One who was let in has been answered.
    pub(super) fn note_answer(&mut self, slot: u32, success: bool) {
        let now = self.now;
        let attempt = &self.attempts[slot];
        let (begun, index) = (attempt.arrived, attempt.replica);
        let in_flight = self.terms[slot as usize].in_flight;
        let door = self.door(index);
        if let Some(control) = &mut door.control {
            control.record(now, success);
        }
        if let Some(limiter) = &mut door.limiter {
            limiter.record(now, Sample { begun, in_flight, dropped: false });
        }
    }

    /// Forgets those in line who have left it, once they are most of it.
    pub(super) fn tidy_line(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        let door = replica.door.as_mut().expect("only doors have lines");
        if door.line.len() > 2 * replica.queued as usize + 64 {
            let attempts = &mut self.attempts;
            door.line.retain(|slot| {
                let left = attempts[slot].state == State::Dropped;
                if left {
                    attempts.remove(slot);
                }
                !left
            });
        }
    }

    /// The process behind a door has ended; the next one knows nothing.
    pub(super) fn renew_door(&mut self, index: u32) {
        let replica = &mut self.replicas[index as usize];
        let Some(admission) = self.spec.services[replica.service as usize].admission.as_deref() else { return };
        let renewed = Door::new(admission, self.now, self.seed, hash64(&replica.name));
        replica.door = Some(Box::new(renewed));
    }

    /// Writes down which doors have turned nobody away for a while.
    #[cold]
    pub(super) fn note_open_doors(&mut self, now: Time) {
        for replica in &mut self.replicas {
            let Some(door) = replica.door.as_mut().filter(|door| door.turned_away > 0 && now.since(door.last) >= OPEN_AGAIN) else {
                continue;
            };
            let figures = format!("{} turned away", std::mem::take(&mut door.turned_away));
            self.journal.write(now, Event::SheddingChanged { replica: replica.name.clone(), sheds: false, figures });
        }
    }
}
