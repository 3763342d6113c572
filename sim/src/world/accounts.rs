//! The books: counters that telemetry reads, bins and totals for the ledger, and the two conservation laws.

use std::sync::Arc;

use firedrill_core::ledger::{Ledger, ServiceBin, ServiceLedger, ServiceTotals, TopicLedger};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

use crate::buckets::{Bounds, Buckets};
use crate::spec::{Feed, Phase, ServiceSpec};
use crate::world::traffic::Traffic;
use crate::world::{Inbox, World};

/// Status codes that services answer with; 502 to 504 tell how a call of their own failed.
pub(crate) const CODES: [&str; 6] = ["200", "500", "502", "503", "504", "429"];

/// The place of 503 among them.
pub(crate) const UNAVAILABLE: usize = 3;

/// The place of 429 among them, which only services with a quota answer.
pub(crate) const TOO_MANY: usize = 5;

impl ServiceSpec {
    /// How many of the codes it can answer with.
    pub(crate) fn codes(&self) -> usize {
        let has_quota = self.admission.as_ref().is_some_and(|admission| admission.quota.is_some());
        if has_quota { CODES.len() } else { TOO_MANY }
    }
}

/// How an attempt ended, as its caller saw it.
pub(crate) const OUTCOMES: [&str; 5] = ["success", "error", "timeout", "rejected", "reset"];

/// What one process has counted, for telemetry alone.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    /// Answers by endpoint and code.
    pub(crate) requests: Vec<[u64; CODES.len()]>,
    /// Response times by endpoint, in the default buckets.
    pub(crate) latency: Vec<Buckets>,
    /// Response times for the service's own histograms: by metric, then by endpoint and code.
    pub(crate) own: Vec<Vec<Buckets>>,
    /// Attempts of its calls by edge and outcome.
    pub(crate) seen: Vec<[u64; OUTCOMES.len()]>,
    /// Hits and misses of its service's caches.
    pub(crate) gets: Vec<[u64; 2]>,
    /// By cache: hits on entries that could not be read.
    pub(crate) spoilt: Vec<u64>,
    /// What became of attempts, where a profile tells it.
    pub(crate) traffic: Option<Box<Traffic>>,
}

impl Counters {
    pub(crate) fn new(spec: &ServiceSpec, edges: usize) -> Self {
        let bounds = Bounds::default_ones();
        let own = spec.metrics.iter().filter_map(|metric| match &metric.feed {
            Feed::Latency { buckets, scale, .. } => {
                let bounds: Bounds = buckets.iter().map(|bound| Span::from_seconds_f64(bound / scale).as_nanos()).collect();
                Some(vec![Buckets::new(&Arc::new(bounds)); spec.programs() * CODES.len()])
            }
            _ => None,
        });
        Self {
            requests: vec![[0; CODES.len()]; spec.programs()],
            latency: vec![Buckets::new(&bounds); spec.programs()],
            own: own.collect(),
            seen: vec![[0; OUTCOMES.len()]; edges],
            gets: vec![[0; 2]; spec.caches.len()],
            spoilt: vec![0; spec.caches.len()],
            traffic: None,
        }
    }

    /// A request of an endpoint was answered with a code.
    pub(super) fn answered(&mut self, endpoint: usize, code: usize, took: Span) {
        self.requests[endpoint][code] += 1;
        self.latency[endpoint].record(took);
        for metric in &mut self.own {
            metric[endpoint * CODES.len() + code].record(took);
        }
    }

    pub(super) fn reset(&mut self) {
        self.requests.fill([0; CODES.len()]);
        self.latency.iter_mut().for_each(Buckets::reset);
        self.own.iter_mut().flatten().for_each(Buckets::reset);
        self.seen.fill([0; OUTCOMES.len()]);
        self.gets.fill([0; 2]);
        self.spoilt.fill(0);
    }

    /// An entry that was found in a cache could not be read.
    pub(super) fn found_spoilt(&mut self, cache: u32) {
        self.spoilt[cache as usize] += 1;
    }

    /// A cache was looked into.
    pub(super) fn looked(&mut self, cache: u32, hit: bool) {
        self.gets[cache as usize][usize::from(!hit)] += 1;
    }
}

impl World {
    /// Writes down the state of every service at the end of a bin.
    #[cold]
    pub(super) fn close_bins(&mut self) {
        for index in 0..self.services.len() {
            let removed = self.removed_by_actions(index as u32);
            let service = &self.services[index];
            let spec = &self.spec.services[index];
            let replicas = service.replicas.iter().map(|replica| &self.replicas[*replica as usize]);
            let bin = ServiceBin {
                attempts: 0,
                queued: replicas.clone().map(|replica| u64::from(replica.queued)).sum::<u64>() + self.messages_waiting(index as u32),
                in_service: replicas.clone().map(|replica| replica.begun() as u64).sum(),
                retrying: service.retrying,
                wanted: service.wanted,
                replicas: service.replicas.len() as u32,
                ready: service.ready.len() as u32,
                removed_by_actions: service.removed_most.max(removed),
                rolling_out: service.rolling,
                healthy_version: replicas
                    .clone()
                    .filter(|replica| replica.is_placed())
                    .all(|replica| spec.versions[replica.version as usize].healthy),
            };
            let service = &mut self.services[index];
            let attempts = service.take_bin_attempts();
            service.bins.push(ServiceBin { attempts, ..bin });
            service.removed_most = removed;
        }
        assert!(self.is_conserved(), "the books do not balance");
        assert!(self.are_messages_conserved(), "the books of messages do not balance");
    }

    /// Whether the attempts of every service add up; the cheap check of every bin.
    fn is_conserved(&self) -> bool {
        (0..self.services.len()).all(|index| {
            let (tally, (in_service, queued)) = (&self.services[index].tally, self.open_attempts(index));
            tally.sent == tally.completed + tally.rejected + tally.lost + in_service + queued
        })
    }

    /// Attempts in service and queued at a service, counted replica by replica.
    fn open_attempts(&self, service: usize) -> (u64, u64) {
        let replicas = self.services[service].replicas.iter().map(|replica| &self.replicas[*replica as usize]);
        let in_service = replicas.clone().map(|replica| replica.begun() as u64).sum();
        (in_service, replicas.map(|replica| u64::from(replica.queued)).sum())
    }

    /// Ends the run at `at`: asserts both conservation laws and hands over the ledger.
    pub(crate) fn close_books(&mut self, at: Time) -> Ledger {
        while at >= self.next_bin {
            self.close_bins();
            self.next_bin += firedrill_core::ledger::BIN;
        }
        self.now = at;
        if self.next_bin.since(Time::ZERO).as_nanos() - firedrill_core::ledger::BIN.as_nanos() < at.as_nanos() {
            self.close_bins();
        }
        let bins = self.services.first().map_or(0, |service| service.bins.len());
        for index in 0..self.clients.len() {
            let open = self.open_requests(index as u32);
            self.clients[index].close_bins(bins);
            self.clients[index].assert_conserved(open);
        }
        for index in 0..self.replicas.len() {
            self.assert_cpu_conserved(index as u32);
        }
        Ledger {
            ended: at,
            events: self.events,
            clients: self.clients.iter().map(|client| client.ledger.clone()).collect(),
            services: (0..self.services.len()).map(|index| self.service_ledger(index, at)).collect(),
            topics: self.inboxes.iter().map(|inbox| self.topic_ledger(inbox)).collect(),
            faults: self.disturbances.iter().filter_map(super::faults::Disturbance::span).collect(),
            faults_to_come: self.disturbances.iter().filter(|disturbance| disturbance.is_to_come()).count() as u64,
            nodes: self.spec.machines().collect(),
        }
    }

    fn topic_ledger(&self, inbox: &Inbox) -> TopicLedger {
        let topic = &self.spec.topics[inbox.topic as usize].name;
        let publishers = self.spec.services.iter().filter(|service| service.publishes(topic)).map(|service| service.name.clone());
        TopicLedger {
            topic: topic.clone(),
            publishers: publishers.collect(),
            service: self.spec.services[inbox.service as usize].name.clone(),
            totals: inbox.closed_totals(),
        }
    }

    fn service_ledger(&mut self, index: usize, at: Time) -> ServiceLedger {
        let totals = self.service_totals(index, at);
        let spec = &self.spec.services[index];
        assert_eq!(
            totals.sent,
            totals.completed + totals.rejected + totals.lost + totals.in_service + totals.queued,
            "attempts of {}: sent = completed + rejected + lost + in service + queued",
            spec.name
        );
        let called = spec.endpoints.iter().flat_map(|endpoint| &endpoint.phases).flat_map(Phase::calls).map(|call| call.service.clone());
        let clients = self.spec.clients.iter().filter(|client| client.service == spec.name).map(|client| client.name.clone());
        let own = self.replicas.iter().filter(|replica| replica.service as usize == index);
        let zones = own.filter_map(|replica| self.zones.get(replica.zone as usize)).map(|zone| zone.name.clone());
        let primary = self.services[index].database.as_ref().and_then(|database| database.primary());
        ServiceLedger {
            service: spec.name.clone(),
            calls: sorted(called.collect()),
            clients: sorted(clients.collect()),
            zones: sorted(zones.collect()),
            declared: spec.replicas,
            autoscaled: spec.autoscaler.is_some(),
            caches: spec.caches.iter().map(|cache| cache.name.clone()).collect(),
            primary: primary.map(|replica| self.replicas[replica as usize].name.clone()),
            bins: std::mem::take(&mut self.services[index].bins),
            totals,
        }
    }

    fn service_totals(&mut self, index: usize, at: Time) -> ServiceTotals {
        let (in_service, queued) = self.open_attempts(index);
        let cpu_seconds: f64 =
            self.replicas.iter().filter(|replica| replica.service as usize == index).map(|replica| replica.cpu.delivered_seconds(at)).sum();
        let with_worker: u64 =
            self.services[index].replicas.iter().map(|replica| self.replicas[*replica as usize].in_service.len() as u64).sum();
        let spec = &self.spec.services[index];
        let service = &mut self.services[index];
        assert_eq!(service.busy.count, with_worker, "workers of {} are counted right", spec.name);
        service.busy.change(at, 0);
        service.ready_area.change(at, 0);
        service.existing.change(at, 0);
        let ready_seconds = service.ready_area.seconds();
        // Where workers are unbounded, the cores are what can be used up.
        let (used, available) = match (spec.workers, spec.cores) {
            (Some(workers), _) => (service.busy.seconds(), ready_seconds * f64::from(workers)),
            (None, Some(cores)) => (cpu_seconds, ready_seconds * cores),
            (None, None) => (0.0, 0.0),
        };
        ServiceTotals {
            in_service,
            queued,
            utilisation: if available > 0.0 { (used / available).min(1.0) } else { 0.0 },
            cpu_seconds,
            replica_hours: service.existing.seconds() / 3600.0,
            stale: service.stale_hits + service.database.as_ref().map_or(0, |database| database.stale_reads),
            lost_writes: service.database.as_ref().map_or(0, |database| database.lost_writes),
            ..service.tally.totals()
        }
    }
}

fn sorted(mut names: Vec<Name>) -> Vec<Name> {
    names.sort();
    names.dedup();
    names
}
