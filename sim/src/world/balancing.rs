//! What each caller knows of a service's replicas, whom it leaves out, and how it chooses (docs/MODEL.md 1.5).
//!
//! Only for services that ask for it ([`Service::has_views`]): the callers of others know at once who is ready, and choose from all of them.
//!
//! [`Service::has_views`]: crate::world::Service

use firedrill_core::distribution::Distribution;
use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Stream, below, hash64, mix64, unit};
use firedrill_core::time::{Span, Time};

use crate::accrual::{Accrual, Verdict};
use crate::ewma::PeakEwma;
use crate::outlier::{Answer, Change, Counts, Detector};
use crate::slab::NONE;
use crate::spec::{Balance, BalancingSpec, ConnectionSpec, EjectionSpec, ServiceSpec, SlowStartSpec};
use crate::world::accounts::TOO_MANY;
use crate::world::calls::{Failure, Origin};
use crate::world::fail_fast::Proxy;
use crate::world::{Due, World};

/// Envoy's over-provisioning factor: with so many percent of what is needed, nobody panics.
const OVERPROVISIONING: u64 = 140;

/// The views of all callers, and the attempts that they are about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    all: Vec<View>,
    /// By client.
    of_clients: Vec<u32>,
    /// By replica: the services that it calls, each with its view.
    of_replicas: Vec<Vec<(u32, u32)>>,
    /// By the slot of an attempt that is under way; meaningless for others.
    picks: Vec<Pick>,
    /// The replicas that calls have tried, by their slots; only of those that look for others.
    tried: Vec<Vec<u32>>,
}

/// What one caller, a client or a replica, knows of one service.
#[derive(Clone, Debug)]
pub(crate) struct View {
    caller: Name,
    service: u32,
    luck: Stream,
    /// Those that it knows, by replica.
    hosts: Vec<Host>,
    /// The places of those that it chooses from.
    open: Vec<u32>,
    /// Whether it chooses from all because too few are left.
    pub(crate) panics: bool,
    /// Attempts sent while it panicked.
    pub(crate) in_panic: u64,
    turn: u32,
    /// The virtual time of its schedule by weights; `None` without weights.
    schedule: Option<f64>,
    detector: Option<Box<Detector>>,
    /// Connections without a request: to whom, and since when; the one that was used last comes last. A shared one is never without.
    connections: Vec<(u32, Time)>,
    /// Where its caller stands, if those that are near come first.
    zone: Option<u32>,
    next_id: u32,
    /// When the last change that is under way to it arrives.
    told: Time,
    /// Until when it believes what it has resolved.
    believes_until: Time,
    /// Its replica is gone.
    is_over: bool,
}

/// A replica as one caller knows it.
#[derive(Clone, Copy, Debug)]
struct Host {
    replica: u32,
    zone: u32,
    /// Tells it from the same replica when the caller knew it before.
    id: u32,
    /// Attempts of this caller under way there.
    active: u32,
    ewma: PeakEwma,
    accrual: Accrual,
    /// When it came; `None`: before the caller looked first.
    joined: Option<Time>,
    /// When it is its turn, in virtual time; and who goes first at the same time.
    deadline: (f64, u32),
}

/// A choice that has been made, and of which nothing has been heard yet.
#[derive(Clone, Copy, Debug)]
struct Pick {
    /// `NONE` if there is none.
    view: u32,
    replica: u32,
    id: u32,
    at: Time,
}

/// Instead of the number of a replica: the connection to it was there before.
const KEPT: u32 = 0;

/// Set in the luck by which a request goes to another zone than the one chosen.
const ZONE: u64 = 1 << 34;

const NO_PICK: Pick = Pick { view: NONE, replica: NONE, id: 0, at: Time::ZERO };

/// What a caller hears of an attempt that it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was answered with this status code, an index in [`crate::world::CODES`].
    Code(usize),
    /// It was not answered: its connection broke, there was none, or no answer came in time; which is as good as this status code.
    Silence(Failure),
    /// Nothing: the caller has given it up for reasons of its own.
    GivenUp,
}

impl ServiceSpec {
    /// Whether its callers keep views of it.
    pub(super) const fn has_views(&self) -> bool {
        self.balancing.is_some() || !matches!(self.balance, Balance::RoundRobin | Balance::Random | Balance::PowerOfTwo)
    }
}

impl View {
    /// Replicas that it knows.
    pub(crate) fn known(&self) -> usize {
        self.hosts.len()
    }

    /// Replicas that it knows and does not leave out.
    pub(crate) fn healthy(&self) -> usize {
        (0..self.hosts.len()).filter(|place| self.is_healthy(*place)).count()
    }

    /// Replicas that are ejected now.
    pub(crate) fn ejected(&self) -> u32 {
        self.detector.as_ref().map_or(0, |detector| detector.ejected())
    }

    /// What its detection of outliers has done; `None` without one.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.detector.as_ref().map(|detector| &detector.counts)
    }

    fn is_healthy(&self, place: usize) -> bool {
        self.hosts[place].accrual.is_open() && !self.detector.as_ref().is_some_and(|detector| detector.is_ejected(place))
    }

    fn place_of(&self, replica: u32) -> Result<usize, usize> {
        // Replicas of a service are numbered in the order in which they come.
        self.hosts.binary_search_by_key(&replica, |host| host.replica)
    }

    fn join(&mut self, (replica, zone): (u32, u32), joined: Option<Time>, ewma: PeakEwma) -> bool {
        let Err(place) = self.place_of(replica) else { return false };
        let id = self.next_id;
        self.next_id += 1;
        self.hosts.insert(place, Host { replica, zone, id, active: 0, ewma, accrual: Accrual::default(), joined, deadline: (0.0, 0) });
        if let Some(detector) = &mut self.detector {
            detector.join(place);
        }
        true
    }

    fn leave(&mut self, replica: u32) -> bool {
        let Ok(place) = self.place_of(replica) else { return false };
        self.hosts.remove(place);
        if let Some(detector) = &mut self.detector {
            detector.leave(place);
        }
        true
    }

    /// Works out anew whom it chooses from. The result is whether it begins or ceases to panic.
    fn reopen(&mut self, spec: Option<&BalancingSpec>, balance: Balance, now: Time) -> bool {
        self.open.clear();
        for place in 0..self.hosts.len() {
            if self.is_healthy(place) {
                self.open.push(place as u32);
            }
        }
        let threshold = spec.map_or(0.0, |spec| spec.panic_threshold.get());
        let panics = panics(self.open.len() as u64, self.hosts.len() as u64, threshold);
        if panics {
            self.open = (0..self.hosts.len() as u32).collect();
        }
        let is_near = |place: &u32| Some(self.hosts[*place as usize].zone) == self.zone;
        if self.open.iter().any(is_near) {
            self.open.retain(is_near);
        }
        if let Some(slow_start) = spec.and_then(|spec| spec.slow_start) {
            self.schedule_by_weight(slow_start, balance, now);
        }
        std::mem::replace(&mut self.panics, panics) != panics
    }

    /// Begins a schedule by weights if anybody is new, as Envoy does whenever the set of hosts changes.
    fn schedule_by_weight(&mut self, slow_start: SlowStartSpec, balance: Balance, now: Time) {
        let is_new = |host: &Host| host.joined.is_some_and(|joined| now.since(joined) < slow_start.window);
        self.schedule = None;
        if !self.open.iter().any(|place| is_new(&self.hosts[*place as usize])) {
            return;
        }
        for (order, place) in self.open.iter().enumerate() {
            let host = &mut self.hosts[*place as usize];
            host.deadline = (1.0 / weight(host, slow_start, balance, now), order as u32);
        }
        self.schedule = Some(0.0);
        // Callers begin at different replicas.
        for _ in 0..self.turn % self.open.len() as u32 {
            self.next_by_weight(slow_start, balance, now);
        }
    }

    /// The one with the earliest deadline, which gets its next one.
    fn next_by_weight(&mut self, slow_start: SlowStartSpec, balance: Balance, now: Time) -> usize {
        let deadline = |place: &u32| self.hosts[*place as usize].deadline;
        let before = |left: &(f64, u32), right: &(f64, u32)| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1));
        let earliest = self.open.iter().copied().min_by(|left, right| before(&deadline(left), &deadline(right)));
        let chosen = earliest.expect("somebody is there to be chosen") as usize;
        let last = self.open.iter().map(|place| deadline(place).1).max().unwrap_or(0);
        let host = &mut self.hosts[chosen];
        let virtual_now = host.deadline.0;
        host.deadline = (virtual_now + 1.0 / weight(host, slow_start, balance, now), last + 1);
        self.schedule = Some(virtual_now);
        chosen
    }

    /// One of those that are open, by how much this caller has under way there.
    fn least_requested(&self, choices: Option<u32>, luck: u64) -> usize {
        let active = |place: u32| self.hosts[place as usize].active;
        let Some(choices) = choices else {
            let least = self.open.iter().map(|place| active(*place)).min().expect("somebody is open");
            let tied = || self.open.iter().filter(|place| active(**place) == least);
            return *tied().nth(below(luck, tied().count() as u64) as usize).expect("one of those is chosen") as usize;
        };
        let drawn = (0..choices).map(|draw| self.open[below(mix64(luck, u64::from(draw)), self.open.len() as u64) as usize]);
        // The first of those that are equal.
        drawn.min_by_key(|place| active(*place)).expect("at least one is drawn") as usize
    }

    /// A connection to send on: the one that was used last, unless it is old; else `None`.
    fn reuse(&mut self, spec: ConnectionSpec, now: Time) -> Option<u32> {
        if spec.multiplexed {
            return self.connections.last().map(|(replica, _)| *replica);
        }
        self.connections.retain(|(_, since)| now.since(*since) < spec.idle);
        self.connections.pop().map(|(replica, _)| replica)
    }

    /// What becomes of the connection to a replica, of which something was heard.
    fn keep_or_close(&mut self, spec: ConnectionSpec, replica: u32, heard: Heard, now: Time) {
        match heard {
            _ if spec.multiplexed => {
                if matches!(heard, Heard::Silence(Failure::Reset | Failure::Unreachable)) {
                    self.connections.retain(|(other, _)| *other != replica);
                }
            }
            Heard::Code(_) if self.connections.len() < spec.keep as usize => self.connections.push((replica, now)),
            // Of a request that is given up nobody reads the answer, and so nobody can use its connection again.
            Heard::Code(_) | Heard::Silence(_) | Heard::GivenUp => {}
        }
    }

    /// The place of one that promises the earlier answer.
    fn cheaper(&mut self, luck: u64, decay: Span, now: Time) -> usize {
        let (first, second) = pair(luck, self.open.len());
        let (first, second) = (self.open[first] as usize, self.open[second] as usize);
        let mut cost = |place: usize| {
            let host = &mut self.hosts[place];
            host.ewma.cost(host.active, now, decay)
        };
        if cost(first) <= cost(second) { first } else { second }
    }
}

/// Two different ones of `count`: one word for one question, which of the ordered pairs.
pub(super) const fn pair(luck: u64, count: usize) -> (usize, usize) {
    let pair = below(luck, (count * (count - 1)) as u64) as usize;
    let (first, other) = (pair / (count - 1), pair % (count - 1));
    (first, if other < first { other } else { other + 1 })
}

/// Whether a caller with so many of its replicas left ignores who is left out.
fn panics(healthy: u64, known: u64, threshold: f64) -> bool {
    known > 0 && OVERPROVISIONING * healthy / known < 100 && 100.0 * healthy as f64 / (known as f64) < libm::round(100.0 * threshold)
}

/// What share of requests a replica gets, where 1 is the full one.
fn weight(host: &Host, slow_start: SlowStartSpec, balance: Balance, now: Time) -> f64 {
    let full = if let Balance::LeastRequest { .. } = balance { 1.0 / (f64::from(host.active) + 1.0) } else { 1.0 };
    let Some(age) = host.joined.map(|joined| now.since(joined)).filter(|age| *age < slow_start.window) else { return full };
    let share = age.max(Span::from_millis(1)).as_seconds() / slow_start.window.as_seconds();
    full * libm::pow(share, 1.0 / slow_start.aggression).max(slow_start.least.get())
}

/// What an answer is to a detector of outliers.
const fn answer(heard: Heard) -> Option<Answer> {
    match heard {
        // 429 is no error of the server's.
        Heard::Code(0 | TOO_MANY) => Some(Answer::Success),
        Heard::Code(1) => Some(Answer::Error),
        Heard::Code(_) | Heard::Silence(_) => Some(Answer::Gateway),
        Heard::GivenUp => None,
    }
}

impl World {
    /// The replica that the caller of an attempt chooses by what it knows.
    #[cold]
    pub(super) fn route_by_view(&mut self, slot: u32) -> Result<u32, Failure> {
        let attempt = &self.attempts[slot];
        let (service, luck, call) = (attempt.service, attempt.luck.route, attempt.call);
        if self.services[service as usize].database.is_some() {
            return self.route_in_database(slot);
        }
        let Some(view) = self.view_of(service, call) else {
            // Nobody waits any more, so nobody's view matters.
            let ready = &self.services[service as usize].ready;
            return ready.get(below(luck, ready.len() as u64) as usize).copied().ok_or(Failure::NoReplica);
        };
        self.resolve(view);
        let (replica, id) = match self.spec.services[service as usize].balance {
            Balance::PerConnection(spec) => self.connect(view, spec, luck).ok_or(Failure::NoReplica)?,
            _ => self.take_elsewhere(view, luck, call).ok_or(Failure::NoReplica)?,
        };
        if self.views.picks.len() <= slot as usize {
            self.views.picks.resize(slot as usize + 1, NO_PICK);
        }
        assert!(self.views.picks[slot as usize].view == NONE, "what was chosen before has been heard of");
        self.views.picks[slot as usize] = Pick { view, replica, id, at: self.now };
        if self.replicas[replica as usize].accepts() { Ok(replica) } else { Err(Failure::Unreachable) }
    }

    /// Chooses a replica for a call, which may look for one that it has not tried.
    fn take_elsewhere(&mut self, index: u32, luck: u64, call: u32) -> Option<(u32, u32)> {
        let attempts = self.edges[self.calls[call].edge as usize].retries.elsewhere;
        if attempts == 0 {
            let place = self.pick(index, luck)?;
            return Some(self.take(index, place));
        }
        let tried = &mut self.views.tried;
        tried.resize_with(tried.len().max(call as usize + 1), Vec::new);
        if self.calls[call].number == 0 {
            self.views.tried[call as usize].clear();
        }
        let mut place = self.pick(index, luck)?;
        for again in 0..attempts {
            if !self.views.tried[call as usize].contains(&self.views.all[index as usize].hosts[place].replica) {
                break;
            }
            place = self.pick(index, mix64(luck, u64::from(again) + 1))?;
        }
        let chosen = self.take(index, place);
        self.views.tried[call as usize].push(chosen.0);
        Some(chosen)
    }

    /// Counts what is sent to a replica.
    fn take(&mut self, index: u32, place: usize) -> (u32, u32) {
        let view = &mut self.views.all[index as usize];
        view.in_panic += u64::from(view.panics);
        let host = &mut view.hosts[place];
        host.active += 1;
        let chosen = (host.replica, host.id);
        if host.accrual.take() {
            self.reopen(index);
        }
        chosen
    }

    /// Whether an attempt goes over a connection that was there before it.
    pub(super) fn has_kept_connection(&self, slot: u32) -> bool {
        let balance = self.spec.services[self.attempts[slot].service as usize].balance;
        matches!(balance, Balance::PerConnection(_)) && self.views.picks.get(slot as usize).is_some_and(|pick| pick.id == KEPT)
    }

    /// The replica at the other end of a connection, and whether that is [`KEPT`] or new.
    fn connect(&mut self, index: u32, spec: ConnectionSpec, luck: u64) -> Option<(u32, u32)> {
        let now = self.now;
        let (view, replicas) = (&mut self.views.all[index as usize], &self.replicas);
        // Who ends a process, or tells it to stop, closes its connections, and the other end notices.
        view.connections.retain(|(replica, _)| replicas[*replica as usize].accepts());
        if let Some(replica) = view.reuse(spec, now) {
            return Some((replica, KEPT));
        }
        let mut place = *view.open.get(below(luck, view.open.len() as u64) as usize)? as usize;
        if self.shifts_traffic {
            place = self.elsewhere(index, place, luck);
        }
        let view = &mut self.views.all[index as usize];
        let replica = view.hosts[place].replica;
        if spec.multiplexed {
            view.connections.push((replica, now));
        }
        Some((replica, NONE))
    }

    /// Chooses a place in a view.
    fn pick(&mut self, view: u32, luck: u64) -> Option<usize> {
        let place = self.pick_as_declared(view, luck)?;
        Some(if self.shifts_traffic { self.elsewhere(view, place, luck) } else { place })
    }

    /// The place that was chosen, or the next in a zone that gets more, if luck says that it is not that zone's turn.
    #[cold]
    fn elsewhere(&self, view: u32, place: usize, luck: u64) -> usize {
        let view = &self.views.all[view as usize];
        let share = |place: usize| self.zones[view.hosts[place].zone as usize].share;
        if unit(mix64(luck, ZONE)) < share(place) {
            return place;
        }
        let from = view.open.iter().position(|open| *open as usize == place).unwrap_or(0);
        let others = view.open[from..].iter().chain(&view.open[..from]).map(|open| *open as usize);
        let zone = view.hosts[place].zone;
        others.into_iter().find(|other| view.hosts[*other].zone != zone && share(*other) > 0.0).unwrap_or(place)
    }

    fn pick_as_declared(&mut self, view: u32, luck: u64) -> Option<usize> {
        let now = self.now;
        let view = &mut self.views.all[view as usize];
        let spec = &self.spec.services[view.service as usize];
        if view.open.len() < 2 {
            return view.open.first().map(|place| *place as usize);
        }
        if let (Some(_), Some(slow_start)) = (view.schedule, spec.balancing.as_ref().and_then(|balancing| balancing.slow_start)) {
            return Some(view.next_by_weight(slow_start, spec.balance, now));
        }
        Some(match spec.balance {
            Balance::RoundRobin => {
                let turn = view.turn;
                view.turn = turn.wrapping_add(1);
                view.open[turn as usize % view.open.len()] as usize
            }
            Balance::Random | Balance::PerConnection(_) => view.open[below(luck, view.open.len() as u64) as usize] as usize,
            Balance::PowerOfTwo => {
                let (first, second) = pair(luck, view.open.len());
                let (first, second) = (view.open[first] as usize, view.open[second] as usize);
                let load = |place: usize| self.replicas[view.hosts[place].replica as usize].load();
                if load(second) < load(first) { second } else { first }
            }
            Balance::LeastRequest { choices } => view.least_requested(choices, luck),
            Balance::PeakEwma { decay, .. } => view.cheaper(luck, decay, now),
        })
    }

    /// The view that the caller of this call has of a service; `None` if nobody waits for the call.
    fn view_of(&mut self, service: u32, call: u32) -> Option<u32> {
        if call == NONE {
            return None;
        }
        let origin = self.first_of(call).origin;
        let found = if let Origin::Client { client, .. } = origin {
            self.views.of_clients.get(client as usize).copied().filter(|view| *view != NONE)
        } else if let Origin::Attempt(parent) = origin {
            let views = &self.views.of_replicas[self.attempts[parent].replica as usize];
            views.iter().find(|(called, _)| *called == service).map(|(_, view)| *view)
        } else {
            return None;
        };
        Some(found.unwrap_or_else(|| self.look(service, origin)))
    }

    /// A caller looks at a service for the first time: it knows all that are ready.
    #[cold]
    fn look(&mut self, service: u32, origin: Origin) -> u32 {
        let index = self.views.all.len() as u32;
        let (caller, zone, was_there) = if let Origin::Client { client, .. } = origin {
            let views = &mut self.views.of_clients;
            views.resize(views.len().max(client as usize + 1), NONE);
            views[client as usize] = index;
            (self.clients[client as usize].ledger.client.clone(), None, true)
        } else if let Origin::Attempt(parent) = origin {
            let replica = self.attempts[parent].replica as usize;
            self.views.of_replicas[replica].push((service, index));
            (self.replicas[replica].name.clone(), Some(self.replicas[replica].zone), self.replicas[replica].started == Time::ZERO)
        } else {
            unreachable!("only clients and replicas choose");
        };
        let spec = &self.spec.services[service as usize];
        let key = mix64(hash64(&caller), hash64(&spec.name));
        let mut view = View {
            caller,
            service,
            luck: Stream::new(self.seed, Purpose::Route, key),
            hosts: Vec::new(),
            open: Vec::new(),
            panics: false,
            in_panic: 0,
            turn: key as u32,
            schedule: None,
            detector: None,
            connections: Vec::new(),
            zone: zone.filter(|_| spec.balancing.as_ref().is_some_and(|balancing| balancing.prefer_zone)),
            next_id: 0,
            told: self.now,
            believes_until: Time::ZERO,
            is_over: false,
        };
        let outliers = match spec.balancing.as_ref().and_then(|balancing| balancing.ejection) {
            Some(EjectionSpec::Outliers(outliers)) => Some(outliers),
            _ => None,
        };
        view.detector = outliers.map(|outliers| Box::new(Detector::new(outliers)));
        let fresh = fresh(spec.balance, self.now);
        for replica in &self.services[service as usize].ready {
            view.join((*replica, self.replicas[*replica as usize].zone), None, fresh);
        }
        self.services[service as usize].views.push(index);
        // Of processes that were there before the run nobody knows when they asked last, so their phase is luck; others ask with their first request.
        if let Some(ttl) = spec.balancing.as_ref().and_then(|balancing| balancing.dns_ttl).filter(|_| was_there) {
            view.believes_until = Time::ZERO + Span::from_nanos(below(view.luck.block(0).word64(1), ttl.as_nanos().max(1)));
        }
        let phase = outliers.map(|outliers| Span::from_nanos(1 + below(view.luck.block(0).word64(0), outliers.interval.as_nanos())));
        self.views.all.push(view);
        self.reopen(index);
        if let Some(phase) = phase {
            self.schedule_after(phase, Due::Sweep(index));
        }
        index
    }

    /// Works out anew whom a caller chooses from, and writes down whether it panics.
    fn reopen(&mut self, index: u32) {
        let view = &mut self.views.all[index as usize];
        let spec = &self.spec.services[view.service as usize];
        let has_proxy = spec.balancing.as_ref().is_some_and(|balancing| balancing.fail_fast.is_some());
        if view.reopen(spec.balancing.as_deref(), spec.balance, self.now) {
            let (is_on, caller, service) = (view.panics, view.caller.clone(), spec.name.clone());
            let threshold = spec.balancing.as_ref().expect("only a threshold makes a panic").panic_threshold;
            let figures = format!("{} of {} replicas are left, threshold {threshold}", view.healthy(), view.known());
            self.write(Event::Panicked { caller, service, is_on, figures });
        }
        if has_proxy {
            self.may_resume(Proxy::Outbound(index));
        }
    }

    /// The view of whoever waits for an attempt; `None` if nobody does.
    pub(super) fn view_for(&mut self, slot: u32) -> Option<u32> {
        let attempt = &self.attempts[slot];
        self.view_of(attempt.service, attempt.call)
    }

    /// Whether there is anybody to choose from in a view.
    pub(super) fn is_open(&self, view: u32) -> bool {
        !self.views.all[view as usize].open.is_empty()
    }

    /// The replica that was chosen for an attempt by what its caller knows.
    pub(super) fn picked(&self, slot: u32) -> Option<u32> {
        self.views.picks.get(slot as usize).map(|pick| pick.replica).filter(|replica| *replica != NONE)
    }

    /// A caller that resolves names does so again if it no longer believes what it knows.
    fn resolve(&mut self, index: u32) {
        let view = &self.views.all[index as usize];
        let spec = &self.spec.services[view.service as usize];
        let Some(ttl) = spec.balancing.as_ref().and_then(|balancing| balancing.dns_ttl) else { return };
        if self.now < view.believes_until {
            return;
        }
        let ready = self.services[view.service as usize].ready.clone();
        let known: Vec<u32> = view.hosts.iter().map(|host| host.replica).collect();
        for replica in known.iter().filter(|replica| !ready.contains(replica)) {
            self.tell_view(index, *replica, false);
        }
        for replica in ready.iter().filter(|replica| !known.contains(replica)) {
            self.tell_view(index, *replica, true);
        }
        self.views.all[index as usize].believes_until = self.now + ttl;
    }

    /// A replica became ready, or ceased to be: its callers come to know it.
    pub(super) fn endpoint_changed(&mut self, replica: u32, is_ready: bool) {
        let service = self.replicas[replica as usize].service as usize;
        if self.has_databases {
            self.member_changed(replica);
        }
        if self.services[service].views.is_empty() {
            return;
        }
        let spec = std::sync::Arc::clone(&self.spec);
        let balancing = spec.services[service].balancing.as_deref();
        if balancing.is_some_and(|balancing| balancing.dns_ttl.is_some()) {
            return;
        }
        for view in self.services[service].views.clone() {
            match balancing.and_then(|balancing| balancing.propagation.as_ref()) {
                None => self.tell_view(view, replica, is_ready),
                Some(delay) => self.tell_later(view, replica, is_ready, delay),
            }
        }
    }

    fn tell_later(&mut self, index: u32, replica: u32, is_ready: bool, delay: &Distribution) {
        let view = &mut self.views.all[index as usize];
        let block = view.luck.block(mix64(u64::from(self.replicas[replica as usize].number), self.now.as_nanos()));
        // Later news never overtakes earlier news: what is sent is the whole list.
        let at = (self.now + Span::from_seconds_f64(delay.sample(block.draw(0)))).max(view.told);
        view.told = at;
        self.schedule(at, if is_ready { Due::EndpointJoins(index, replica) } else { Due::EndpointLeaves(index, replica) });
    }

    /// A caller comes to know that a replica is ready or is not.
    pub(super) fn tell_view(&mut self, index: u32, replica: u32, is_ready: bool) {
        let now = self.now;
        let zone = self.replicas[replica as usize].zone;
        let view = &mut self.views.all[index as usize];
        let balance = self.spec.services[view.service as usize].balance;
        if view.is_over {
            return;
        }
        let changed = if is_ready { view.join((replica, zone), Some(now), fresh(balance, now)) } else { view.leave(replica) };
        if changed {
            self.reopen(index);
        }
    }

    /// A caller hears of an attempt that it has sent, or gives it up.
    #[inline]
    pub(super) fn hear(&mut self, slot: u32, heard: Heard) {
        if self.ways.is_some() || self.spans.is_some() {
            self.note_traffic(slot, heard);
        }
        if self.services[self.attempts[slot].service as usize].has_views {
            self.hear_of_pick(slot, heard);
        }
    }

    #[cold]
    fn hear_of_pick(&mut self, slot: u32, heard: Heard) {
        let now = self.now;
        if self.services[self.attempts[slot].service as usize].database.is_some() {
            return self.answered_by_database(slot, heard);
        }
        let Some(pick) = self.views.picks.get_mut(slot as usize) else { return };
        let Pick { view: index, replica, id, at } = std::mem::replace(pick, NO_PICK);
        let Some(view) = self.views.all.get_mut(index as usize) else { return };
        let spec = &self.spec.services[view.service as usize];
        if let Balance::PerConnection(connections) = spec.balance {
            return view.keep_or_close(connections, replica, heard, now);
        }
        let Ok(place) = view.place_of(replica) else { return };
        let ejection = spec.balancing.as_ref().and_then(|balancing| balancing.ejection);
        let host = &mut view.hosts[place];
        if host.id != id {
            return;
        }
        host.active -= 1;
        if let Balance::PeakEwma { decay, .. } = spec.balance {
            host.ewma.hear(now - at, now, decay);
        }
        let luck = mix64(self.attempts[slot].luck.route, 1);
        match (ejection, answer(heard)) {
            (None, _) | (Some(EjectionSpec::Outliers(_)), None) => {}
            (Some(EjectionSpec::Outliers(_)), Some(answer)) => {
                let change = view.detector.as_mut().and_then(|detector| detector.hear(place, answer, now, luck));
                self.changed(index, change);
            }
            (Some(EjectionSpec::Accrual(_)), None) => {
                host.accrual.give_back();
                self.reopen(index);
            }
            (Some(EjectionSpec::Accrual(accrual)), Some(answer)) => {
                let verdict = host.accrual.hear(&accrual, answer == Answer::Success, now, luck);
                self.accrued(index, replica, verdict);
            }
        }
    }

    /// The interval of a caller's detection is over.
    pub(super) fn sweep(&mut self, index: u32) {
        let now = self.now;
        let view = &mut self.views.all[index as usize];
        if view.is_over {
            return;
        }
        let luck = view.luck.block(now.as_nanos()).word64(0);
        let changes = view.detector.as_mut().expect("only a detector is swept").sweep(now, luck);
        let balancing = self.spec.services[view.service as usize].balancing.as_ref();
        if let Some(EjectionSpec::Outliers(outliers)) = balancing.and_then(|balancing| balancing.ejection) {
            self.schedule_after(outliers.interval, Due::Sweep(index));
        }
        self.changed(index, changes);
    }

    /// Writes down who was ejected and who came back.
    fn changed(&mut self, index: u32, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let view = &self.views.all[index as usize];
            let caller = view.caller.clone();
            let name = |place: usize| self.replicas[view.hosts[place].replica as usize].name.clone();
            let event = match change {
                Change::Ejected(place, cause, lasting) => {
                    Event::Ejected { caller, replica: name(place), lasting, reason: cause.to_string() }
                }
                Change::Returned(place) => Event::Returned { caller, replica: name(place), reason: "its time was over".to_owned() },
            };
            self.write(event);
            self.reopen(index);
        }
    }

    /// Acts on what failure accrual says of a replica.
    fn accrued(&mut self, index: u32, replica: u32, verdict: Verdict) {
        let caller = self.views.all[index as usize].caller.clone();
        let name = self.replicas[replica as usize].name.clone();
        let event = match verdict {
            Verdict::Same => return,
            Verdict::Rests(until, failures) => {
                self.schedule(until, Due::RestOver(index, replica));
                let reason = if failures == 0 { "it failed on trial".to_owned() } else { format!("{failures} failures in a row") };
                Event::Ejected { caller, replica: name, lasting: until - self.now, reason }
            }
            Verdict::Returns => Event::Returned { caller, replica: name, reason: "it answered on trial".to_owned() },
        };
        self.write(event);
        self.reopen(index);
    }

    /// The rest of a replica is over: one request may try it.
    pub(super) fn rest_over(&mut self, index: u32, replica: u32) {
        let now = self.now;
        let view = &mut self.views.all[index as usize];
        if let Ok(place) = view.place_of(replica)
            && view.hosts[place].accrual.wake(now)
        {
            self.reopen(index);
        }
    }

    /// A new replica may call others.
    pub(super) fn expect_views(&mut self) {
        self.views.of_replicas.push(Vec::new());
    }

    /// A replica that called others is gone, and what it knew with it.
    pub(super) fn forget_views(&mut self, replica: u32) {
        for (service, index) in std::mem::take(&mut self.views.of_replicas[replica as usize]) {
            self.services[service as usize].views.retain(|other| *other != index);
            let view = &mut self.views.all[index as usize];
            view.is_over = true;
            view.hosts = Vec::new();
            view.open = Vec::new();
            view.connections = Vec::new();
            view.detector = None;
        }
    }

    /// The view that a client has, if it has one.
    pub(crate) fn view_of_client(&self, client: u32) -> Option<&View> {
        let view = self.views.of_clients.get(client as usize).copied()?;
        self.views.all.get(view as usize)
    }

    /// The view that a replica has of a service, if it has one.
    pub(crate) fn view_of_replica(&self, replica: u32, service: u32) -> Option<&View> {
        let (_, view) = self.views.of_replicas.get(replica as usize)?.iter().find(|(called, _)| *called == service)?;
        self.views.all.get(*view as usize)
    }
}

/// What is expected of a replica that has not answered yet.
const fn fresh(balance: Balance, now: Time) -> PeakEwma {
    match balance {
        Balance::PeakEwma { default_rtt, .. } => PeakEwma::new(default_rtt, now),
        _ => PeakEwma::new(Span::ZERO, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::quantity::Ratio;

    #[test]
    fn fewer_than_half_left_is_a_panic_and_half_is_none() {
        assert!(panics(4, 10, 0.5));
        assert!(!panics(5, 10, 0.5));
        assert!(panics(0, 1, 0.5));
        assert!(!panics(0, 0, 0.5));
        assert!(!panics(0, 10, 0.0), "a threshold of zero is never reached");
    }

    #[test]
    fn enough_for_the_load_is_no_panic_whatever_the_threshold() {
        assert!(!panics(72, 100, 0.9), "140% of 72% is all that is needed");
        assert!(panics(71, 100, 0.9));
    }

    #[test]
    fn weights_grow_over_the_window() {
        let slow_start = SlowStartSpec { window: Span::from_seconds(10), aggression: 1.0, least: Ratio::new(0.1).unwrap() };
        let mut host = Host {
            replica: 0,
            zone: 0,
            id: 0,
            active: 0,
            ewma: PeakEwma::new(Span::ZERO, Time::ZERO),
            accrual: Accrual::default(),
            joined: Some(Time::ZERO),
            deadline: (0.0, 0),
        };
        let weights = |host: &Host, slow_start| -> Vec<f64> {
            [0, 1, 5, 9, 10, 20].map(|at| weight(host, slow_start, Balance::RoundRobin, Time::from_seconds(at))).to_vec()
        };
        assert_eq!(weights(&host, slow_start), [0.1, 0.1, 0.5, 0.9, 1.0, 1.0]);
        let eager = weights(&host, SlowStartSpec { aggression: 2.0, ..slow_start });
        assert!((eager[2] - 0.5_f64.sqrt()).abs() < 1e-12, "{eager:?}");
        host.joined = None;
        assert_eq!(weights(&host, slow_start), [1.0; 6]);
        host.active = 3;
        assert_eq!(weight(&host, slow_start, Balance::LeastRequest { choices: Some(2) }, Time::ZERO), 0.25);
    }

    #[test]
    fn pairs_are_of_different_ones_and_all_alike() {
        let mut counts = [[0_u32; 4]; 4];
        for word in 0..12_000_u64 {
            let (first, second) = pair(mix64(word, 3), 4);
            counts[first][second] += 1;
        }
        for (first, row) in counts.iter().enumerate() {
            for (second, count) in row.iter().enumerate() {
                let is_fair = if first == second { *count == 0 } else { (870..=1130).contains(count) };
                assert!(is_fair, "{first} {second}: {count}");
            }
        }
    }
}
