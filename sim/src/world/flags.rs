//! Flags: where one is kept, what each process knows of it, and what it changes there (docs/MODEL.md 1.4).

use std::collections::BTreeMap;

use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, below, hash64};
use firedrill_core::time::{Span, Time};

use crate::spec::{FaultKind, FlagSpec, Spread, WorldSpec};
use crate::world::calls::Origin;
use crate::world::{Due, World};

/// The probability of an edge that some flag changes: it is looked up. Below all probabilities.
pub(super) const BY_FLAGS: f64 = -1.0;

/// A flag as it is now.
#[derive(Clone, Debug)]
pub(super) struct Flag {
    service: u32,
    /// Its place among the flags of its service.
    local: u32,
    /// How it stands where it is kept.
    on: bool,
    /// How often it has been changed.
    version: u32,
    /// When it was changed last.
    changed: Time,
    /// What each replica's process knows; one that is not here has never heard of a change.
    known: BTreeMap<u32, Value>,
    /// What is on its way, and what has arrived.
    sent: Vec<(u32, Value)>,
    luck: Stream,
}

/// One value of a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Value {
    version: u32,
    on: bool,
}

/// The flags of a world, and the calls that they change.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    all: Vec<Flag>,
    /// Edges that flags change, with the flags, by their places, and what the edge says itself.
    edges: BTreeMap<u32, (Own, Vec<(u32, Own)>)>,
}

/// What an edge, or a flag, says of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Own {
    probability: Option<f64>,
    timeout: Option<Option<Span>>,
}

impl Flags {
    /// The flags of a scenario, all of them off; `None` if it has none.
    pub(super) fn new(spec: &WorldSpec, seed: Seed) -> Option<Box<Self>> {
        let mut all = Vec::new();
        for (service, own) in spec.services.iter().enumerate() {
            for (local, flag) in own.flags.iter().enumerate() {
                // No name has a space, so this is the luck of nothing else.
                let luck = Stream::new(seed, Purpose::Network, hash64(&format!("flag {} {}", own.name, flag.name)));
                let (known, sent) = (BTreeMap::new(), Vec::new());
                let (service, local) = (service as u32, local as u32);
                all.push(Flag { service, local, on: false, version: 0, changed: Time::ZERO, known, sent, luck });
            }
        }
        (!all.is_empty()).then(|| Box::new(Self { all, edges: BTreeMap::new() }))
    }
}

impl WorldSpec {
    /// Whether some flag changes how long a call is waited for.
    pub(super) fn flags_change_timeouts(&self) -> bool {
        let mut calls = self.services.iter().flat_map(|service| &service.flags).flat_map(|flag| &flag.calls);
        calls.any(|call| call.timeout.is_some())
    }
}

impl World {
    /// Finds the calls that flags change.
    pub(super) fn lay_flags(&mut self) {
        let Some(mut flags) = self.flags.take() else { return };
        for (place, flag) in flags.all.iter().enumerate() {
            let caller = &self.spec.services[flag.service as usize];
            for call in &caller.flags[flag.local as usize].calls {
                for (index, edge) in self.edges.iter_mut().enumerate() {
                    let is_meant =
                        !edge.from_client && edge.caller == caller.name && self.spec.services[edge.service as usize].name == call.service;
                    if !is_meant {
                        continue;
                    }
                    let base = Own { probability: Some(edge.probability), timeout: Some(edge.timeout) };
                    let entry = flags.edges.entry(index as u32).or_insert_with(|| (base, Vec::new()));
                    let probability = call.probability.map(|share| share.get());
                    entry.1.push((place as u32, Own { probability, timeout: call.timeout }));
                    if probability.is_some() {
                        edge.probability = BY_FLAGS;
                    }
                }
            }
        }
        self.flags = Some(flags);
    }

    /// The share of a replica's requests that make the call over an edge that flags change.
    #[cold]
    pub(super) fn chance_by_flags(&self, edge: u32, replica: u32) -> f64 {
        self.by_flags(edge, replica).and_then(|own| own.probability).unwrap_or(1.0)
    }

    /// How long whoever makes a call over an edge waits for an attempt.
    pub(super) fn timeout_of(&self, edge: u32, origin: Origin) -> Option<Span> {
        let usual = self.edges[edge as usize].timeout;
        let Origin::Attempt(parent) = origin else { return usual };
        self.by_flags(edge, self.attempts[parent].replica).and_then(|own| own.timeout).unwrap_or(usual)
    }

    /// What holds for the calls of a replica over an edge; `None` if no flag changes it. Of several flags the last one counts.
    fn by_flags(&self, edge: u32, replica: u32) -> Option<Own> {
        let flags = self.flags.as_ref()?;
        let (base, changes) = flags.edges.get(&edge)?;
        let mut own = *base;
        for (place, change) in changes {
            if flags.all[*place as usize].known.get(&replica).is_some_and(|value| value.on) {
                own.probability = change.probability.or(own.probability);
                own.timeout = change.timeout.or(own.timeout);
            }
        }
        Some(own)
    }

    /// By what flags multiply a replica's demand, and the share of its requests that they make fail.
    pub(super) fn flagged(&self, replica: u32) -> (f64, f64) {
        let Some(flags) = &self.flags else { return (1.0, 0.0) };
        let (mut demand, mut correct) = (1.0, 1.0);
        for flag in &flags.all {
            if flag.known.get(&replica).is_some_and(|value| value.on) {
                let spec = self.flag_spec(flag);
                demand *= spec.demand.get();
                correct *= 1.0 - spec.error.get();
            }
        }
        (demand, 1.0 - correct)
    }

    fn flag_spec(&self, flag: &Flag) -> &FlagSpec {
        &self.spec.services[flag.service as usize].flags[flag.local as usize]
    }

    fn flag(&self, place: u32) -> &Flag {
        &self.flags.as_ref().expect("who speaks of a flag has seen one").all[place as usize]
    }

    fn flags(&mut self) -> &mut Flags {
        self.flags.as_mut().expect("who speaks of a flag has seen one")
    }

    /// Turns a flag of a service on or off where it is kept, and lets its processes know.
    pub(super) fn set_flag(&mut self, service: &Name, flag: &Name, on: bool, reason: &str) {
        let flags = self.flags.as_ref().expect("lowering knows every flag");
        let is_meant =
            |candidate: &Flag| self.spec.services[candidate.service as usize].name == *service && self.flag_spec(candidate).name == *flag;
        let place = flags.all.iter().position(is_meant).expect("lowering knows every flag") as u32;
        self.turn_flag(place, on, reason);
    }

    fn turn_flag(&mut self, place: u32, on: bool, reason: &str) {
        let now = self.now;
        let flag = &mut self.flags().all[place as usize];
        if flag.on == on {
            return;
        }
        (flag.on, flag.changed) = (on, now);
        flag.version += 1;
        let value = Value { version: flag.version, on };
        let service = flag.service;
        self.note_flag(place, if on { "on" } else { "off" }, reason);
        for replica in self.services[service as usize].replicas.clone() {
            let after = self.way_of_flag(place, replica, value.version);
            let flag = &mut self.flags().all[place as usize];
            flag.sent.push((replica, value));
            let due = Due::FlagComes(place, flag.sent.len() as u32 - 1);
            self.schedule_after(after, due);
        }
        self.settle_flag(place);
    }

    /// How long a change is on its way to a replica.
    fn way_of_flag(&self, place: u32, replica: u32, version: u32) -> Span {
        let flag = self.flag(place);
        let name = hash64(&self.replicas[replica as usize].name);
        match &self.flag_spec(flag).spread {
            Spread::Push(delay) => Span::from_seconds_f64(delay.sample(flag.luck.block(name ^ u64::from(version)).draw(0))),
            // Each asks at a phase of its own, which does not change.
            Spread::Poll(every) => {
                let every = every.as_nanos();
                let phase = below(flag.luck.block(name).word64(0), every);
                let since = (self.now.as_nanos() + every - phase) % every;
                Span::from_nanos(every - since)
            }
        }
    }

    /// A value reaches a replica, which may know a newer one.
    pub(super) fn flag_comes(&mut self, place: u32, sent: u32) {
        let flag = &mut self.flags().all[place as usize];
        let (replica, value) = flag.sent[sent as usize];
        let known = flag.known.entry(replica).or_default();
        if value.version > known.version {
            *known = value;
            self.apply_faults(replica);
            self.settle_flag(place);
        }
    }

    /// A process starts, and has each flag as it stands.
    pub(super) fn read_flags(&mut self, replica: u32) {
        if self.flags.is_none() {
            return;
        }
        let service = self.replicas[replica as usize].service;
        for flag in self.flags().all.iter_mut().filter(|flag| flag.service == service) {
            flag.known.insert(replica, Value { version: flag.version, on: flag.on });
        }
        self.settle_flags(service);
    }

    /// A replica of a service has come or gone, so that all others may know what there is to know.
    pub(super) fn settle_flags(&mut self, service: u32) {
        let Some(flags) = &self.flags else { return };
        let own: Vec<u32> = (0..flags.all.len() as u32).filter(|place| flags.all[*place as usize].service == service).collect();
        own.into_iter().for_each(|place| self.settle_flag(place));
    }

    /// Whether every process that runs knows how a flag stands.
    fn is_flag_settled(&self, place: u32) -> bool {
        let flag = self.flag(place);
        let version = |replica: &u32| flag.known.get(replica).copied().unwrap_or_default().version;
        let replicas = self.services[flag.service as usize].replicas.iter();
        replicas.filter(|replica| self.replicas[**replica as usize].is_running()).all(|replica| version(replica) == flag.version)
    }

    /// If every process knows how a flag stands, what waited for that is over.
    fn settle_flag(&mut self, place: u32) {
        if !self.is_flag_settled(place) {
            return;
        }
        let flag = self.flag(place);
        let on = flag.on;
        let (service, name) = (self.spec.services[flag.service as usize].name.clone(), self.flag_spec(flag).name.clone());
        let is_its = |kind: &FaultKind| matches!(kind, FaultKind::Flag { service: of, flag } if *of == service && *flag == name);
        self.flag_settled(is_its, on);
        self.todo.orders = true;
    }

    /// Turns the flag of a service off that was turned on last.
    ///
    /// # Errors
    /// None of its flags is on, or it has none.
    pub(super) fn revert_flag(&mut self, service: u32, by: &str) -> Result<u32, String> {
        let name = self.spec.services[service as usize].name.clone();
        let flags = self.flags.iter().flat_map(|flags| flags.all.iter().enumerate());
        let on = flags.filter(|(_, flag)| flag.service == service && flag.on);
        let last = on.max_by_key(|(place, flag)| (flag.changed, *place)).map(|(place, _)| place as u32);
        let place = last.ok_or_else(|| format!("service/{name} has no flag that has been turned on"))?;
        self.turn_flag(place, false, &format!("turned back by {by}"));
        Ok(place)
    }

    /// Turns a flag of a service on or off, by an action.
    ///
    /// # Errors
    /// It has no such flag, or it is so already.
    pub(super) fn order_flag(&mut self, service: u32, (flag, on): (&Name, bool), by: &str) -> Result<u32, String> {
        let name = self.spec.services[service as usize].name.clone();
        let all = self.flags.iter().flat_map(|flags| flags.all.iter().enumerate());
        let mut own = all.filter(|(_, known)| known.service == service && self.flag_spec(known).name == *flag);
        let (place, is_on) =
            own.next().map(|(place, known)| (place as u32, known.on)).ok_or_else(|| format!("service/{name} has no flag {flag}"))?;
        let word = if on { "on" } else { "off" };
        if is_on == on {
            return Err(format!("the flag {flag} of service/{name} is {word} already"));
        }
        self.turn_flag(place, on, &format!("turned {word} by {by}"));
        Ok(place)
    }

    /// Whether a flag is on, or off, and every process knows that.
    pub(super) fn is_flag(&self, place: u32, on: bool) -> bool {
        let is_on = self.flags.as_ref().is_some_and(|flags| flags.all[place as usize].on);
        is_on == on && self.is_flag_settled(place)
    }

    /// How many processes have still to hear of a flag, of how many.
    pub(super) fn flag_is_missing(&self, place: u32) -> String {
        let flag = self.flag(place);
        let replicas: Vec<u32> = self.services[flag.service as usize].replicas.clone();
        let behind = replicas.iter().filter(|replica| flag.known.get(replica).copied().unwrap_or_default().version < flag.version).count();
        format!("{behind} of {} replicas do not know yet", replicas.len())
    }

    fn note_flag(&mut self, place: u32, state: &str, reason: &str) {
        let flag = self.flag(place);
        let service = self.spec.services[flag.service as usize].name.clone();
        let event = Event::FlagChanged {
            service,
            flag: self.spec.services[flag.service as usize].flags[flag.local as usize].name.clone(),
            state: Name::new(state),
            reason: reason.to_owned(),
        };
        self.write(event);
    }
}
