//! A world at time zero, made of a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::journal::Journal;
use firedrill_core::ledger::BIN;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Time};

use crate::cache::Cache;
use crate::caller::Caller;
use crate::lock::Lock;
use crate::probe::ProbeKind;
use crate::queue::{EventQueue, Fifo};
use crate::slab::{NONE, Slab};
use crate::spec::{
    Access, CacheSpec, CallSpec, Causes, ClientSpec, Growth, Jitter, Phase, ProbePath, ProtectionSpec, RetrySpec, WorldSpec,
};
use crate::world::callers::caller_at;
use crate::world::contention::Contention;
use crate::world::databases::Database;
use crate::world::door::Rules;
use crate::world::faults::Disturbance;
use crate::world::flags::Flags;
use crate::world::nodes::nodes;
use crate::world::topics::inboxes;
use crate::world::{Client, Edge, Service, Step, Todo, Views, Ways, World, Zone};

/// Programs laid out one after the other, and the edges that their calls take.
struct Layout<'a> {
    spec: &'a WorldSpec,
    steps: Vec<Step>,
    edges: Vec<Edge>,
}

impl World {
    /// The world of a scenario before anything has happened. `counting` keeps the counters that only telemetry reads.
    pub(crate) fn new(spec: Arc<WorldSpec>, seed: Seed, counting: bool) -> Self {
        let mut layout = Layout { spec: &spec, steps: Vec::new(), edges: Vec::new() };
        let clients = spec.clients.iter().map(|client| Client::new(client, &spec, layout.client_edge(client), seed)).collect();
        let services =
            (0..spec.services.len()).map(|index| Service::new(index as u32, &spec.services[index], seed, layout.programs(index)));
        let mut services = with_rules(services.collect(), &spec, seed);
        let probe_edges = (0..spec.services.len()).map(|service| layout.probe_edges(service as u32)).collect();
        let message_edges: Vec<u32> = (0..spec.services.len()).map(|service| layout.message_edge(service as u32)).collect();
        // Whoever looks where it has been chooses by what it knows.
        for edge in layout.edges.iter().filter(|edge| edge.retries.elsewhere > 0) {
            services[edge.service as usize].has_views = true;
        }
        let zones = zones(&spec);
        let zone_named = |name: &str| zones.iter().position(|zone| &*zone.name == name).expect("every zone of a node is known") as u32;
        let nodes = nodes(&spec, zone_named);
        let (steps, edges) = (layout.steps.into(), layout.edges);
        let ways = Ways::of(&spec, &edges);
        let mut world = Self {
            now: Time::ZERO,
            journal: Journal::new(),
            queue: EventQueue::new(),
            seed,
            zones,
            nodes,
            contention: Contention::of(&spec),
            shares_time: Contention::of(&spec).is_some() || Self::has_cpu_time(&spec),
            evicted: Vec::new(),
            clients,
            services,
            replicas: Vec::new(),
            edges,
            probe_edges,
            views: Views::default(),
            steps,
            hops: Vec::new(),
            calls: Slab::new(),
            visits: Slab::new(),
            caches: Vec::new(),
            locks: Vec::new(),
            inboxes: inboxes(&spec, &message_edges),
            attempts: Slab::new(),
            has_databases: spec.services.iter().any(|service| service.database.is_some()),
            brought: Vec::new(),
            as_of: (Time::ZERO, Span::ZERO),
            terms: Vec::new(),
            keeps_terms: spec.services.iter().any(|service| service.admission.is_some()) || spec.flags_change_timeouts(),
            knocking: spec.services.iter().any(|service| service.backlog.is_some()).then(Box::default),
            proxies: spec.have_proxies().then(Box::default),
            disturbances: disturbances(&spec, seed),
            flags: Flags::new(&spec, seed),
            orders: Vec::new(),
            open: Vec::new(),
            laid: Vec::new(),
            shifts_traffic: false,
            fences: Default::default(),
            evacuations: Vec::new(),
            results: Vec::new(),
            born: Vec::new(),
            todo: Todo::default(),
            events: 0,
            last_event: spec.bounds.events,
            next_bin: Time::ZERO + BIN,
            counting,
            ways,
            spans: None,
            spec,
        };
        world.complete_edges();
        world.fill_caches();
        world.lay_flags();
        world.populate();
        world
    }

    /// Tells edges what is known once all services are: what is run at their end, and where their timeouts lie.
    fn complete_edges(&mut self) {
        // Timeouts of one length end in the order in which they begin, so they lie in a row of their own.
        let mut rows: BTreeMap<Span, Fifo> = BTreeMap::new();
        for edge in &mut self.edges {
            edge.program = self.services[edge.service as usize].programs[edge.endpoint as usize];
            edge.is_guarded = edge.protection.is_some();
            edge.is_bounded = edge.retries.within.is_some();
            edge.timeouts = edge.timeout.map(|timeout| *rows.entry(timeout).or_insert_with(|| self.queue.fifo()));
        }
    }

    /// The caches as they are at the start, and the locks, which nobody holds.
    fn fill_caches(&mut self) {
        for index in 0..self.services.len() {
            self.services[index].first_cache = first_cache(&self.spec, index);
            let service = &self.spec.services[index];
            let updated = |cache: &CacheSpec| service.updates(&cache.name);
            let caches = service.caches.iter().map(|cache| Cache::new(cache, updated(cache), self.cache_luck(&service.name, &cache.name)));
            let caches: Vec<Cache> = caches.collect();
            let locks = service.locks().len();
            self.caches.extend(caches);
            self.services[index].locks = (self.locks.len() as u32, locks as u32);
            self.locks.resize(self.locks.len() + locks, Lock::default());
        }
    }

    /// The declared replicas stand ready, arrivals and faults are scheduled.
    fn populate(&mut self) {
        for service in 0..self.services.len() as u32 {
            let spec = &self.spec.services[service as usize];
            for number in 0..spec.replicas {
                let spec = &self.spec.services[service as usize];
                let zone = &spec.zones[number as usize % spec.zones.len()];
                let zone = self.zone_named(zone).expect("every zone of a service is known");
                let Some(node) = self.node_in(service, zone) else {
                    // One that has no room there comes elsewhere, or waits until there is some.
                    self.todo.reconcile.push(service);
                    continue;
                };
                let replica = self.new_replica(service, Some((zone, node)));
                self.was_there(replica);
            }
            self.begin_database(service);
        }
        self.begin_looking_ahead();
        for client in 0..self.clients.len() as u32 {
            let edge = &self.edges[self.clients[client as usize].edge as usize];
            self.clients[client as usize].caller = caller_at(edge);
            self.schedule_arrival(client);
            self.begin_users(client);
        }
        self.begin_consuming();
        self.begin_autoscaling();
        self.begin_looking();
        self.schedule_disturbances();
        self.settle();
    }
}

impl Layout<'_> {
    fn service(&self, name: &str) -> u32 {
        self.spec.services.iter().position(|service| &*service.name == name).expect("lowering knows every service") as u32
    }

    fn endpoint(&self, service: u32, name: &str) -> u32 {
        let endpoints = &self.spec.services[service as usize].endpoints;
        endpoints.iter().position(|endpoint| &*endpoint.name == name).expect("lowering knows every endpoint") as u32
    }

    fn client_edge(&mut self, client: &ClientSpec) -> u32 {
        let service = self.service(&client.service);
        let edge = Edge {
            caller: client.name.clone(),
            from_client: true,
            service,
            endpoint: self.endpoint(service, &client.endpoint),
            program: NONE,
            access: client.access,
            position: 0,
            ahead: NONE,
            local: 0,
            keeper: 0,
            probability: 1.0,
            optional: false,
            asynchronous: false,
            timeout: client.timeout,
            timeouts: None,
            retries: client.retries.clone(),
            protection: protection(&client.retries, &client.protection),
            of_probe: false,
            is_guarded: false,
            is_bounded: false,
            held: None,
            limits: Vec::new(),
            allowed: client.retries.max,
        };
        self.add(edge)
    }

    fn add(&mut self, edge: Edge) -> u32 {
        self.edges.push(edge);
        self.edges.len() as u32 - 1
    }

    /// Lays out the programs of a service; the first step of each of its endpoints.
    fn programs(&mut self, service: usize) -> Vec<u32> {
        let spec = self.spec;
        let caller = &spec.services[service];
        let mut local = 0;
        let mut starts = Vec::new();
        for endpoint in &caller.endpoints {
            starts.push(self.steps.len() as u32);
            let mut position = 0;
            for phase in &endpoint.phases {
                let step = match phase {
                    Phase::Cpu(seconds) => Step::Cpu(seconds.clone()),
                    Phase::Sleep(seconds) => Step::Sleep(seconds.clone()),
                    Phase::Call(call) => {
                        let edge = self.call_edge(&caller.name, call, position, local);
                        (position, local) = (position + 1, local + 1);
                        Step::Call(edge)
                    }
                    Phase::Cache { cache, miss } => {
                        let edge = self.call_edge(&caller.name, miss, position, local);
                        (position, local) = (position + 1, local + 1);
                        Step::Cache { cache: self.cache(service, cache), edge }
                    }
                    Phase::Update { cache, write, invalidate } => {
                        let edge = self.call_edge(&caller.name, write, position, local);
                        (position, local) = (position + 1, local + 1);
                        Step::Update { cache: self.cache(service, cache), edge, invalidate: *invalidate }
                    }
                    Phase::Lock { lock, timeout, deadlock_after } => {
                        Step::Lock { lock: self.lock(service, lock), timeout: *timeout, deadlock_after: *deadlock_after }
                    }
                    Phase::Unlock { lock } => Step::Unlock(self.lock(service, lock)),
                    Phase::Publish(topic) => {
                        let topic = self.spec.topics.iter().position(|known| known.name == *topic).expect("lowering knows every topic");
                        Step::Publish(topic as u32)
                    }
                    Phase::Parallel { calls, need, asynchronous } => {
                        let first = self.edges.len() as u32;
                        for call in calls {
                            self.call_edge(&caller.name, call, position, local);
                            (position, local) = (position + 1, local + 1);
                        }
                        Step::Parallel { first, count: calls.len() as u32, need: need.unwrap_or(u32::MAX), asynchronous: *asynchronous }
                    }
                };
                self.steps.push(step);
            }
            self.steps.push(Step::End(endpoint.error.get()));
        }
        for demand in caller.probe_demands() {
            starts.push(self.steps.len() as u32);
            self.steps.extend([Step::Cpu(demand.clone()), Step::End(0.0)]);
        }
        starts
    }

    /// The place of a service's cache among all.
    fn cache(&self, service: usize, name: &Name) -> u32 {
        let caches = &self.spec.services[service].caches;
        let local = caches.iter().position(|known| known.name == *name).expect("lowering knows every cache");
        first_cache(self.spec, service) + local as u32
    }

    /// The place of a service's lock among all.
    fn lock(&self, service: usize, name: &Name) -> u32 {
        let before: usize = self.spec.services[..service].iter().map(|service| service.locks().len()).sum();
        let local = self.spec.services[service].locks().iter().position(|known| known == name).expect("who gives a lock up has taken it");
        (before + local) as u32
    }

    /// The edges of a service's probes that are requests of its own.
    fn probe_edges(&mut self, service: u32) -> [u32; 3] {
        let spec = &self.spec.services[service as usize];
        let mut own = spec.endpoints.len() as u32;
        ProbeKind::ALL.map(|kind| {
            let Some(probe) = spec.probe(kind) else { return NONE };
            let endpoint = match &probe.path {
                ProbePath::Separate => return NONE,
                ProbePath::Endpoint(name) => self.endpoint(service, name),
                ProbePath::Traffic(_) => {
                    own += 1;
                    own - 1
                }
            };
            let timeout = Some(probe.timeout);
            self.add(plain_edge(Name::new("kubelet"), (service, endpoint), Access::Read, timeout))
        })
    }

    /// The edge of messages that a service takes; `NONE` if it takes none.
    fn message_edge(&mut self, service: u32) -> u32 {
        let Some(consumes) = &self.spec.services[service as usize].consumes else { return NONE };
        let endpoint = self.endpoint(service, &consumes.endpoint);
        self.add(plain_edge(consumes.topic.clone(), (service, endpoint), Access::Write, None))
    }

    fn call_edge(&mut self, caller: &Name, call: &CallSpec, position: u32, local: u32) -> u32 {
        let service = self.service(&call.service);
        let retries: &RetrySpec = &call.retries;
        let edge = Edge {
            caller: caller.clone(),
            from_client: false,
            service,
            endpoint: self.endpoint(service, &call.endpoint),
            program: NONE,
            access: call.access,
            position,
            ahead: NONE,
            local,
            keeper: self.keeper(caller, (service, local), call),
            probability: call.probability.get(),
            optional: call.optional,
            asynchronous: call.asynchronous,
            timeout: call.timeout,
            timeouts: None,
            retries: retries.clone(),
            protection: protection(retries, &call.protection),
            of_probe: false,
            is_guarded: false,
            is_bounded: false,
            held: None,
            limits: Vec::new(),
            allowed: retries.max,
        };
        self.add(edge)
    }

    /// The first edge of a calling service to another over which calls are protected as this one is: one process has one such pool, breaker, budget
    /// and throttle, however many places of its programs use it, as an application has one data source and one channel for each.
    fn keeper(&self, caller: &Name, (service, local): (u32, u32), call: &CallSpec) -> u32 {
        let kept = |retries: &RetrySpec, protection: &ProtectionSpec| (retries.budget, protection.shared());
        let is_alike = |edge: &&Edge| {
            let is_ours = !edge.from_client && edge.caller == *caller && edge.service == service;
            let known = edge.protection.as_ref().map(|protection| kept(&edge.retries, protection));
            is_ours && known == Some(kept(&call.retries, &call.protection))
        };
        self.edges.iter().find(is_alike).map_or(local, |edge| edge.keeper)
    }
}

/// The way of requests that nobody retries and nobody protects, to a replica that is known: those of probes and messages.
fn plain_edge(caller: Name, (service, endpoint): (u32, u32), access: Access, timeout: Option<Span>) -> Edge {
    Edge {
        caller,
        from_client: true,
        service,
        endpoint,
        program: NONE,
        access,
        position: 0,
        ahead: NONE,
        local: 0,
        keeper: 0,
        probability: 1.0,
        timeout,
        timeouts: None,
        protection: None,
        optional: false,
        asynchronous: false,
        of_probe: true,
        is_guarded: false,
        is_bounded: false,
        held: None,
        limits: Vec::new(),
        allowed: 0,
        retries: RetrySpec {
            max: 0,
            base: Span::ZERO,
            growth: Growth::Doubled,
            cap: Span::ZERO,
            jitter: Jitter::None,
            budget: None,
            on: Causes::ALL,
            elsewhere: 0,
            over_quota: None,
            within: None,
        },
    }
}

/// Where the caches of a service begin among all.
fn first_cache(spec: &WorldSpec, service: usize) -> u32 {
    spec.services[..service].iter().map(|service| service.caches.len() as u32).sum()
}

/// What an edge's callers keep in mind; `None` if that is nothing.
fn protection(retries: &RetrySpec, protection: &ProtectionSpec) -> Option<Box<ProtectionSpec>> {
    Caller::is_needed(retries, protection).then(|| Box::new(protection.clone()))
}

/// The same services, each with the rules for its doors, and with what makes it a database.
fn with_rules(mut services: Vec<Service>, spec: &WorldSpec, seed: Seed) -> Vec<Service> {
    for service in &mut services {
        let admission = spec.services[service.index as usize].admission.as_deref();
        let own = &spec.services[service.index as usize];
        service.database = own.database.as_ref().map(|_| Box::new(Database::new(own, seed)));
        service.rules = admission.map(|admission| Box::new(Rules::new(admission, service.index, spec, seed)));
    }
    services
}

/// The faults, and after them the benign changes.
fn disturbances(spec: &WorldSpec, seed: Seed) -> Vec<Disturbance> {
    let faults = spec.faults.iter().map(|fault| Disturbance::new(fault, false, seed));
    faults.chain(spec.changes.iter().map(|change| Disturbance::new(change, true, seed))).collect()
}

/// All zones, sorted by name, each once.
fn zones(spec: &WorldSpec) -> Vec<Zone> {
    let mut names: Vec<_> = spec.services.iter().flat_map(|service| service.zones.iter().cloned()).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| Zone { name, losses: 0, drained: false, share: 1.0 }).collect()
}
