//! What actions lay on a system until they lift it, or until its time is over: calls that are not let through, traffic that goes elsewhere, limits.
//!
//! Calls are looked at only where something has been laid on their edge ([`Edge::is_guarded`]); whoever is not let through has asked nobody.
//!
//! [`Edge::is_guarded`]: crate::world::Edge

use firedrill_core::action::{Limit, Priority, Restraint, Target};
use firedrill_core::journal::Event;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Rate};
use firedrill_core::random::hop_index;
use firedrill_core::time::{Span, Time};

use crate::admission::quota::Quota;
use crate::slab::NONE;
use crate::spec::QuotaSpec;
use crate::world::actions::OrderStep;
use crate::world::calls::{Failure, Origin};
use crate::world::work::is_hit;
use crate::world::{Edge, World};

/// The words of the block of a hop before it is sent that these decide by; the first two are the jitter of a retry and the luck of a throttle.
const SHED_WORD: usize = 2;
const SESSION_WORD: usize = 3;

/// What has been laid on an edge, by the order or the fault that did it; what lets nothing through comes first.
#[derive(Clone, Debug)]
pub(super) struct Held {
    measures: Vec<(Source, Measure)>,
}

/// Who laid something on an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// This order.
    Order(u32),
    /// This fault.
    Fault(u32),
}

/// What is not let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// Nothing is let through.
    Cut,
    /// Nobody opens a connection any more; those that were open at this time live for so long at most.
    Expired(Time, Span),
    /// So many calls of one process at a time.
    Few(u32),
    /// All but this share of those that are not spared.
    Shed(f64, Option<Priority>),
    /// As many as a bucket allows, which all edges of an order share.
    Paced,
}

impl Measure {
    const fn rank(self) -> u8 {
        match self {
            Self::Cut => 0,
            Self::Expired(..) => 1,
            Self::Few(_) => 2,
            Self::Shed(..) => 3,
            Self::Paced => 4,
        }
    }
}

/// A restraint that is in force.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    order: u32,
    what: Restraint,
    target: Target,
    /// What paces calls.
    bucket: Option<Quota>,
    /// Of a limit, which.
    limit: Option<Limit>,
}

/// What becomes of a call that is not let through.
enum Verdict {
    /// It fails, and is not tried again.
    Refused(Failure),
    /// It is answered with a failure, and may be tried again.
    Answered(Failure),
}

impl Edge {
    /// Whether it is the way of a request or of a call that a program makes, and not of a probe or a message.
    fn is_of_requests(&self) -> bool {
        !self.of_probe
    }

    fn lay(&mut self, source: Source, measure: Measure) {
        let held = self.held.get_or_insert_with(|| Box::new(Held { measures: Vec::new() }));
        held.measures.push((source, measure));
        held.measures.sort_by_key(|(source, measure)| (measure.rank(), *source));
        self.is_guarded = true;
    }

    fn lift(&mut self, source: Source) {
        let Some(held) = &mut self.held else { return };
        held.measures.retain(|(other, _)| *other != source);
        if held.measures.is_empty() {
            self.held = None;
            self.is_guarded = self.protection.is_some();
        }
    }
}

impl World {
    /// Whether the attempt that a call is about to make is not let through; then the call has its answer already.
    #[cold]
    pub(super) fn is_held_back(&mut self, slot: u32) -> bool {
        let edge = self.calls[slot].edge as usize;
        let mut place = 0;
        while let Some((source, measure)) = self.edges[edge].held.as_ref().and_then(|held| held.measures.get(place)).copied() {
            match self.verdict(slot, source, measure) {
                None => place += 1,
                Some(Verdict::Refused(failure)) => {
                    self.refuse(slot, failure);
                    return true;
                }
                Some(Verdict::Answered(failure)) => {
                    self.conclude(slot, Err(failure));
                    return true;
                }
            }
        }
        false
    }

    fn verdict(&mut self, slot: u32, source: Source, measure: Measure) -> Option<Verdict> {
        let now = self.now;
        match measure {
            Measure::Cut => Some(Verdict::Refused(Failure::Refused)),
            Measure::Expired(since, sessions) => {
                let open = self.open_sessions(self.calls[slot].edge, since, sessions);
                let lives = open > 0.0 && is_hit(open, self.luck_before(slot, SESSION_WORD));
                (!lives).then_some(Verdict::Answered(Failure::Unreachable))
            }
            Measure::Few(most) => (self.under_way_beside(slot) >= most).then_some(Verdict::Refused(Failure::Refused)),
            Measure::Shed(share, spare) => {
                let is_spared = spare.is_some_and(|spare| self.priority_of(slot) <= spare);
                let is_shed = !is_spared && is_hit(share, self.luck_before(slot, SHED_WORD));
                is_shed.then_some(Verdict::Answered(Failure::QueueFull))
            }
            Measure::Paced => {
                let laid = self.laid.iter_mut().find(|laid| Source::Order(laid.order) == source)?;
                let passes = laid.bucket.as_mut().is_none_or(|bucket| bucket.takes(now));
                (!passes).then_some(Verdict::Answered(Failure::OverQuota))
            }
        }
    }

    /// The word of the next attempt of a call that something decides by before it is sent.
    fn luck_before(&self, slot: u32, word: usize) -> u64 {
        let call = &self.calls[slot];
        let edge = &self.edges[call.edge as usize];
        let hop = hop_index(call.request, call.parent, edge.position, call.number);
        self.services[edge.service as usize].retry_luck.block(hop).word64(word)
    }

    /// How important the request is that a call belongs to.
    fn priority_of(&self, slot: u32) -> Priority {
        let mut at = slot;
        loop {
            match self.first_of(at).origin {
                Origin::Client { client, .. } => return self.spec.clients[client as usize].priority,
                Origin::Attempt(parent) => at = self.attempts[parent].call,
                Origin::Probe(..) => return Priority::High,
                Origin::Twin(_) | Origin::Message(..) => return Priority::Normal,
            }
            // Whoever asked has gone.
            if at == NONE {
                return Priority::Normal;
            }
        }
    }

    /// Attempts under way over the same edge from the process that makes a call.
    fn under_way_beside(&self, slot: u32) -> u32 {
        let Origin::Attempt(parent) = self.first_of(slot).origin else { return 0 };
        let edge = self.calls[slot].edge;
        let replica = &self.replicas[self.attempts[parent].replica as usize];
        let away = replica.away.as_ref().map_or(&[][..], |away| away.waiting());
        let mut count = 0;
        for working in replica.in_service.iter().chain(away) {
            let mut at = self.attempts[*working].child;
            while at != NONE {
                let call = &self.calls[at];
                count += u32::from(call.edge == edge && call.attempt != NONE);
                at = call.next;
            }
        }
        count
    }

    /// The share of the callers' connections to a service that were open at a time and live still: they end one by one, and with a process at either end.
    fn open_sessions(&self, edge: u32, since: Time, sessions: Span) -> f64 {
        let age = self.now.since(since);
        if age >= sessions {
            return 0.0;
        }
        let ready = &self.services[self.edges[edge as usize].service as usize].ready;
        let old = ready.iter().filter(|replica| self.replicas[**replica as usize].started <= since).count();
        let kept = 1.0 - age.as_seconds() / sessions.as_seconds();
        if ready.is_empty() { 0.0 } else { kept * old as f64 / ready.len() as f64 }
    }

    /// Lays something on edges for a while.
    fn lay(&mut self, order: u32, (what, target): (Restraint, &Target), edges: &[usize], (measure, lasting): (Measure, Span)) {
        for edge in edges {
            self.edges[*edge].lay(Source::Order(order), measure);
        }
        self.laid.push(Laid { order, what, target: target.clone(), bucket: None, limit: None });
        self.schedule_order(lasting, order, OrderStep::Lift);
    }

    /// The edges over which a service is called, by everyone or by one caller.
    fn edges_to(&self, service: u32, from: Option<&Name>) -> Vec<usize> {
        let is_meant = |edge: &Edge| edge.service == service && edge.is_of_requests() && from.is_none_or(|from| edge.caller == *from);
        (0..self.edges.len()).filter(|edge| is_meant(&self.edges[*edge])).collect()
    }

    fn nobody_calls(target: &Target, from: Option<&Name>) -> String {
        from.map_or_else(|| format!("nobody calls {target}"), |from| format!("{from} does not call {target}"))
    }

    /// No call of a service is let through.
    pub(super) fn break_circuit(&mut self, order: u32, target: &Target, from: Option<&Name>, lasting: Span) -> Result<(), String> {
        let service = self.target_service(target, "circuit_break")?;
        let edges = self.edges_to(service, from);
        if edges.is_empty() {
            return Err(Self::nobody_calls(target, from));
        }
        self.lay(order, (Restraint::CircuitBreak, target), &edges, (Measure::Cut, lasting));
        Ok(())
    }

    /// Few calls of a service are let through at a time.
    pub(super) fn isolate(
        &mut self,
        order: u32,
        target: &Target,
        (calls, from): (u32, Option<&Name>),
        lasting: Span,
    ) -> Result<(), String> {
        let service = self.target_service(target, "isolate")?;
        let mut edges = self.edges_to(service, from);
        edges.retain(|edge| !self.edges[*edge].from_client);
        if edges.is_empty() {
            return Err(
                from.map_or_else(|| format!("no service calls {target}"), |from| format!("{from} is no service that calls {target}"))
            );
        }
        self.lay(order, (Restraint::Isolate, target), &edges, (Measure::Few(calls), lasting));
        Ok(())
    }

    /// A share of the requests of a service is turned away.
    pub(super) fn shed_load(
        &mut self,
        order: u32,
        target: &Target,
        (share, spare): (f64, Option<Priority>),
        lasting: Span,
    ) -> Result<(), String> {
        let service = self.target_service(target, "shed_load")?;
        let edges = self.edges_to(service, None);
        if edges.is_empty() {
            return Err(Self::nobody_calls(target, None));
        }
        self.lay(order, (Restraint::ShedLoad, target), &edges, (Measure::Shed(share, spare), lasting));
        Ok(())
    }

    /// A client, or a service that calls others, asks no more than so often.
    pub(super) fn limit_rate(&mut self, order: u32, target: &Target, rate: Rate, lasting: Span) -> Result<(), String> {
        let Target::Client(name) = target else { return Err(format!("rate_limit needs a client, and {target} is none")) };
        let is_meant = |edge: &Edge| edge.caller == *name && edge.is_of_requests();
        let edges: Vec<usize> = (0..self.edges.len()).filter(|edge| is_meant(&self.edges[*edge])).collect();
        if edges.is_empty() {
            return Err(format!("{target} calls nobody"));
        }
        self.lay(order, (Restraint::RateLimit, target), &edges, (Measure::Paced, lasting));
        // A burst of a second, as gateways have it.
        let burst = libm::ceil(rate.get()).clamp(1.0, f64::from(u32::MAX)) as u32;
        let laid = self.laid.last_mut().expect("it was just laid");
        laid.bucket = Some(Quota::new(&QuotaSpec { rate, burst, retry_after: false }));
        Ok(())
    }

    /// A service leaves out the calls that it can do without.
    pub(super) fn degrade(&mut self, order: u32, target: &Target, lasting: Span) -> Result<(), String> {
        let service = self.target_service(target, "degrade")?;
        let name = self.spec.services[service as usize].name.clone();
        let is_meant = |edge: &Edge| !edge.from_client && edge.caller == name && edge.optional;
        let edges: Vec<usize> = (0..self.edges.len()).filter(|edge| is_meant(&self.edges[*edge])).collect();
        if edges.is_empty() {
            return Err(format!("{target} makes no call that it can do without"));
        }
        self.lay(order, (Restraint::Degrade, target), &edges, (Measure::Cut, lasting));
        Ok(())
    }

    /// A service has more or less of something, until that is lifted.
    pub(super) fn set_limit(&mut self, order: u32, target: &Target, limit: Limit, to: u32) -> Result<(), String> {
        let service = self.target_service(target, "set_limit")?;
        match limit {
            Limit::Workers => self.set_workers(service, Some(to)),
            Limit::Threads => self.set_thread_limit(service, Some(to)).ok_or_else(|| format!("the threads of {target} have no limit"))?,
            Limit::Pool if self.set_pools(service, Some(to)) == 0 => return Err(format!("{target} has no pool")),
            Limit::Pool => {}
        }
        self.laid.push(Laid { order, what: Restraint::SetLimit, target: target.clone(), bucket: None, limit: Some(limit) });
        Ok(())
    }

    /// Each replica of a service has another limit of memory, without a restart, until that is lifted.
    pub(super) fn resize_memory(&mut self, order: u32, target: &Target, memory: Bytes) -> Result<(), String> {
        let service = self.target_service(target, "resize")?;
        let spec = &self.spec.services[service as usize];
        if spec.memory.limit.is_none() {
            return Err(format!("the memory of {target} has no limit"));
        }
        // What a machine has set aside for a replica stays as it is.
        if !self.nodes.is_empty() && memory > spec.life.request_memory {
            return Err(format!("{target} stands on machines that have set aside {} for each replica", spec.life.request_memory));
        }
        let uses = |replica: &u32| self.replicas[*replica as usize].memory.bytes_at(self.now) + self.request_memory(*replica);
        if self.services[service as usize].replicas.iter().any(|replica| uses(replica) >= memory.get()) {
            return Err(format!("a replica of {target} uses more than {memory}"));
        }
        self.set_memory(service, Some(memory));
        self.laid.push(Laid { order, what: Restraint::Resize, target: target.clone(), bucket: None, limit: None });
        Ok(())
    }

    /// Sets the limit of memory of a service's replicas; `None`: as declared.
    fn set_memory(&mut self, service: u32, to: Option<Bytes>) {
        let declared = self.spec.services[service as usize].memory.limit;
        self.services[service as usize].memory_limit = to.or(declared).map(Bytes::get);
        for replica in self.services[service as usize].replicas.clone() {
            self.replicas[replica as usize].memory.limit = self.services[service as usize].memory_limit;
            self.refresh_memory(replica);
        }
    }

    /// Sets how many requests a replica of a service serves at a time; `None`: as many as declared.
    fn set_workers(&mut self, service: u32, to: Option<u32>) {
        let declared = crate::world::door::workers(&self.spec.services[service as usize]);
        self.services[service as usize].workers = to.unwrap_or(declared);
        self.todo.dispatch.extend(self.services[service as usize].replicas.iter().copied());
    }

    /// A zone gets another share of the requests than its replicas would.
    pub(super) fn shift_traffic(&mut self, order: u32, target: &Target, share: f64) -> Result<(), String> {
        let Target::Zone(name) = target else { return Err(format!("shift_traffic needs a zone, and {target} is none")) };
        let zone = self.zone_named(name).ok_or_else(|| format!("{target} does not exist"))?;
        if share <= 0.0 && (0..self.zones.len() as u32).all(|other| other == zone || self.zones[other as usize].share <= 0.0) {
            return Err("no zone would be left that requests go to".to_owned());
        }
        self.set_share(zone, share);
        self.laid.retain(|laid| !(laid.what == Restraint::ShiftTraffic && laid.target == *target));
        self.laid.push(Laid { order, what: Restraint::ShiftTraffic, target: target.clone(), bucket: None, limit: None });
        Ok(())
    }

    fn set_share(&mut self, zone: u32, share: f64) {
        self.zones[zone as usize].share = share;
        let is_even = self.zones.iter().all(|zone| zone.share == 1.0);
        self.services.iter_mut().for_each(|service| service.choose_by_zone(!is_even));
        self.shifts_traffic = !is_even;
    }

    /// A rollout stays where it is.
    pub(super) fn pause_rollout(&mut self, order: u32, target: &Target) -> Result<(), String> {
        let service = self.target_service(target, "pause_rollout")?;
        if !self.services[service as usize].rolling {
            return Err(format!("nothing is rolled out to {target}"));
        }
        self.services[service as usize].paused = true;
        self.laid.push(Laid { order, what: Restraint::PauseRollout, target: target.clone(), bucket: None, limit: None });
        Ok(())
    }

    /// Whether the target of what was laid on by an order is a service whose rollout is held.
    pub(super) fn rollout_goes_on(&mut self, service: u32) {
        let name = &self.spec.services[service as usize].name;
        self.laid.retain(|laid| !(laid.what == Restraint::PauseRollout && laid.target.name() == name));
        self.services[service as usize].paused = false;
    }

    /// Ends what has been laid on a target, whoever did it.
    pub(super) fn lift(&mut self, target: &Target, what: Restraint) -> Result<(), String> {
        let nothing = || format!("no {} holds {target}", what.word());
        if what == Restraint::LimitRetries {
            return if self.lift_limits_of(target) { Ok(()) } else { Err(nothing()) };
        }
        let orders: Vec<u32> = self.laid.iter().filter(|laid| laid.what == what && laid.target == *target).map(|laid| laid.order).collect();
        if orders.is_empty() {
            return Err(nothing());
        }
        for order in orders {
            self.lift_order(order, "it was lifted");
        }
        Ok(())
    }

    /// Ends what an order has laid on, if it holds still.
    pub(super) fn lift_order(&mut self, order: u32, reason: &str) {
        let Some(place) = self.laid.iter().position(|laid| laid.order == order) else { return };
        let Laid { what, target, limit, .. } = self.laid.remove(place);
        self.edges.iter_mut().for_each(|edge| edge.lift(Source::Order(order)));
        self.write(Event::Noted { what: format!("{} of {target} is over: {reason}", what.word()) });
        let service = self.service_named(target.name());
        match (what, service) {
            (Restraint::ShiftTraffic, _) => {
                if let Some(zone) = self.zone_named(target.name()) {
                    self.set_share(zone, 1.0);
                }
            }
            (Restraint::PauseRollout, Some(service)) => {
                self.services[service as usize].paused = false;
                self.todo.reconcile.push(service);
            }
            (Restraint::Resize, Some(service)) => self.set_memory(service, None),
            (Restraint::SetLimit, Some(service)) => match limit {
                Some(Limit::Workers) => self.set_workers(service, None),
                Some(Limit::Pool) => drop(self.set_pools(service, None)),
                Some(Limit::Threads) | None => drop(self.set_thread_limit(service, None)),
            },
            _ => {}
        }
    }

    /// The certificate of a service has expired, by a fault.
    pub(super) fn certificate_expires(&mut self, fault: u32, service: &Name, sessions: Span) {
        let service = self.service_named(service).expect("lowering knows every service");
        let measure = Measure::Expired(self.now, sessions);
        for edge in self.edges_to(service, None) {
            self.edges[edge].lay(Source::Fault(fault), measure);
        }
    }

    /// A service has a certificate that is valid.
    pub(super) fn certificate_renewed(&mut self, fault: u32) {
        self.edges.iter_mut().for_each(|edge| edge.lift(Source::Fault(fault)));
    }
}
