//! A world at time zero, made of a scenario.

use std::sync::Arc;

use firedrill_core::journal::Journal;
use firedrill_core::ledger::BIN;
use firedrill_core::random::Seed;
use firedrill_core::time::Time;

use crate::caller::Caller;
use crate::queue::EventQueue;
use crate::slab::Slab;
use crate::spec::{CallSpec, ClientSpec, Phase, ProtectionSpec, RetrySpec, WorldSpec};
use crate::world::callers::caller_at;
use crate::world::faults::Disturbance;
use crate::world::{Client, Edge, Service, Step, Todo, World, Zone};

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
        let services = services.collect();
        let zones = zones(&spec);
        let faults = spec.faults.iter().map(|fault| Disturbance::new(fault, false, seed));
        let changes = spec.changes.iter().map(|change| Disturbance::new(change, true, seed));
        let disturbances = faults.chain(changes).collect();
        let (steps, edges) = (layout.steps.into(), layout.edges);
        let mut world = Self {
            now: Time::ZERO,
            journal: Journal::new(),
            queue: EventQueue::new(),
            seed,
            zones,
            clients,
            services,
            replicas: Vec::new(),
            edges,
            steps,
            calls: Slab::new(),
            attempts: Slab::new(),
            disturbances,
            orders: Vec::new(),
            results: Vec::new(),
            born: Vec::new(),
            todo: Todo::default(),
            events: 0,
            next_bin: Time::ZERO + BIN,
            counting,
            spec,
        };
        world.populate();
        world
    }

    /// The declared replicas stand ready, arrivals and faults are scheduled.
    fn populate(&mut self) {
        for service in 0..self.services.len() as u32 {
            let spec = &self.spec.services[service as usize];
            for number in 0..spec.replicas {
                let spec = &self.spec.services[service as usize];
                let zone = &spec.zones[number as usize % spec.zones.len()];
                let zone = self.zone_named(zone).expect("every zone of a service is known");
                let replica = self.new_replica(service, zone);
                self.was_there(replica);
            }
        }
        for client in 0..self.clients.len() as u32 {
            let edge = &self.edges[self.clients[client as usize].edge as usize];
            self.clients[client as usize].caller = caller_at(edge);
            self.schedule_arrival(client);
        }
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
            position: 0,
            local: 0,
            probability: 1.0,
            timeout: client.timeout,
            retries: client.retries.clone(),
            protection: protection(&client.retries, &client.protection),
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
                };
                self.steps.push(step);
            }
            self.steps.push(Step::End(endpoint.error.get()));
        }
        starts
    }

    fn call_edge(&mut self, caller: &firedrill_core::name::Name, call: &CallSpec, position: u32, local: u32) -> u32 {
        let service = self.service(&call.service);
        let retries: &RetrySpec = &call.retries;
        let edge = Edge {
            caller: caller.clone(),
            from_client: false,
            service,
            endpoint: self.endpoint(service, &call.endpoint),
            position,
            local,
            probability: call.probability.get(),
            timeout: call.timeout,
            retries: retries.clone(),
            protection: protection(retries, &call.protection),
            limits: Vec::new(),
            allowed: retries.max,
        };
        self.add(edge)
    }
}

/// What an edge's callers keep in mind; `None` if that is nothing.
fn protection(retries: &RetrySpec, protection: &ProtectionSpec) -> Option<Box<ProtectionSpec>> {
    Caller::is_needed(retries, protection).then(|| Box::new(protection.clone()))
}

/// All zones, sorted by name, each once.
fn zones(spec: &WorldSpec) -> Vec<Zone> {
    let mut names: Vec<_> = spec.services.iter().flat_map(|service| service.zones.iter().cloned()).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| Zone { name, losses: 0, drained: false }).collect()
}
