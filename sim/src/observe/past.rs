//! What monitoring would remember from before a run: weeks of samples, told from the load and the call graph alone.
//!
//! Nothing is simulated. In each interval every client sends what its load says, times the noise of the interval; requests take the calls of
//! the program with their probabilities; services answer at once, with errors of their own in their stated share; nobody retries, nothing
//! queues, no replica ever fails. So there are counters of requests and attempts, `up`, and what a service says of itself; latencies, queues,
//! memory and CPU are not told, because they would have to be made up. Counters are those of the replicas that the run begins with, and
//! begin anew at the start of the run, as if every process had been restarted then.
//!
//! Costs: each series has `span / every + 1` samples of 16 bytes, and takes about as long as so many scrapes.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::random::{Purpose, Seed, Stream, hash64};
use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::page::{Page, Sheet};
use super::{Exposed, Observer, named};
use crate::spec::{Feed, HistorySpec, LoadSpec, Phase, ServiceSpec, WorldSpec};
use crate::world::{CODES, OUTCOMES, World};

/// The metrics of every scenario that a history can tell; a service's own counters of requests and constants come in addition.
pub const METRICS: [&str; 3] = ["http_client_requests_total", "http_requests_total", "up"];

const HOUR_MS: i64 = 3_600_000;

/// Whether a history can tell a metric of a service's own.
#[must_use]
pub const fn can_tell(feed: &Feed) -> bool {
    matches!(feed, Feed::Requests { .. } | Feed::Info)
}

/// The samples of a history, the last ones at the start of the run. The same for every seed: what differs from run to run is the run.
#[must_use]
pub fn samples(spec: &Arc<WorldSpec>, history: &HistorySpec) -> Store {
    let mut world = World::new(Arc::clone(spec), Seed(0), true);
    let flows = Flows::of(spec);
    let mut targets = targets(&mut world, history);
    let mut sums: Vec<f64> = vec![0.0; spec.clients.len()];
    let mut store = Store::new();
    let every_ms = history.every.as_millis() as i64;
    let count = (history.span.as_millis() / history.every.as_millis()) as i64;
    let start_ms = spec.start.unix_millis();
    let luck = Seed(hash64(&spec.name));
    for step in 0..=count {
        let at_ms = start_ms - (count - step) * every_ms;
        for (client, sum) in sums.iter_mut().enumerate().filter(|_| step > 0) {
            let stream = Stream::new(luck, Purpose::Arrival, hash64(&spec.clients[client].name));
            let noise = history.noise.as_ref().map_or(1.0, |noise| noise.sample(stream.block(step as u64).draw(0)));
            *sum += rate_at(&history.loads[client], at_ms - every_ms / 2) * history.every.as_seconds() * noise;
        }
        flows.count(&mut world, &sums);
        for (labels, health, exposed) in &mut targets {
            Sheet::new(&mut store, health, at_ms).put(Some(1.0), || named("up", labels));
            exposed.expose(&world, &mut store, at_ms, labels);
        }
    }
    store
}

/// The clients and replicas, with pages that write what the history covers.
fn targets(world: &mut World, history: &HistorySpec) -> Vec<(LabelsBuilder, Page, Exposed)> {
    let only: Arc<BTreeSet<Name>> = Arc::new(history.metrics.iter().cloned().collect());
    let mut observer = Observer::new(world);
    observer.begin(world);
    for replica in std::mem::take(&mut world.born) {
        observer.add_replica(world, replica);
    }
    let page = || Page::only(Arc::clone(&only));
    let covered = observer.targets.into_iter().filter_map(|target| {
        let exposed = match target.exposed {
            Exposed::Process(mut process) => {
                process.page = page();
                Exposed::Process(process)
            }
            Exposed::Client(mut client) => {
                client.page = page();
                Exposed::Client(client)
            }
            Exposed::Database(_) | Exposed::Kubelet(_) | Exposed::KubeState(_) => return None,
            Exposed::Probe(_) | Exposed::Redis(_) | Exposed::Node(_) | Exposed::Topics(_) => return None,
        };
        Some((target.labels, page(), exposed))
    });
    covered.collect()
}

/// Requests a second at an instant, in Unix milliseconds.
fn rate_at(load: &LoadSpec, at_ms: i64) -> f64 {
    let hour = at_ms.div_euclid(HOUR_MS);
    let at_hour = |hour: i64| {
        let of_day = hour.rem_euclid(24) as usize;
        // 1 January 1970 was a Thursday, the fourth day from Monday.
        let weekday = (hour.div_euclid(24) + 3).rem_euclid(7) as usize;
        load.hours[of_day].get() * load.weekdays[weekday].get()
    };
    let share = at_ms.rem_euclid(HOUR_MS) as f64 / HOUR_MS as f64;
    at_hour(hour) * (1.0 - share) + at_hour(hour + 1) * share
}

/// What one request of each client comes to at every endpoint.
struct Flows {
    /// By client: requests for each request of the client, by service and endpoint.
    visits: Vec<Vec<Vec<f64>>>,
}

impl Flows {
    fn of(spec: &WorldSpec) -> Self {
        let order = callers_first(spec);
        let visits = spec.clients.iter().map(|client| {
            let mut visits: Vec<Vec<f64>> = spec.services.iter().map(|service| vec![0.0; service.endpoints.len()]).collect();
            let (service, endpoint) = place(spec, &client.service, &client.endpoint);
            visits[service][endpoint] = 1.0;
            for (service, endpoint) in &order {
                let here = visits[*service][*endpoint];
                for call in spec.services[*service].endpoints[*endpoint].phases.iter().flat_map(Phase::calls) {
                    let (callee, asked) = place(spec, &call.service, &call.endpoint);
                    visits[callee][asked] += here * call.probability.get();
                }
            }
            visits
        });
        Self { visits: visits.collect() }
    }

    /// Sets the counters to what they are after each client has sent so many requests.
    fn count(&self, world: &mut World, sent: &[f64]) {
        let spec = Arc::clone(&world.spec);
        for (client, sum) in sent.iter().enumerate() {
            let (service, endpoint) = place(&spec, &spec.clients[client].service, &spec.clients[client].endpoint);
            world.clients[client].seen = outcomes(*sum, error(&spec.services[service], endpoint));
        }
        for (number, service) in spec.services.iter().enumerate() {
            let here: Vec<f64> = (0..service.endpoints.len())
                .map(|endpoint| sent.iter().zip(&self.visits).map(|(sum, visits)| sum * visits[number][endpoint]).sum())
                .collect();
            let share = 1.0 / f64::from(service.replicas);
            for replica in world.replicas.iter_mut().filter(|replica| replica.service as usize == number) {
                let mut calls = 0;
                for (endpoint, total) in here.iter().enumerate() {
                    let (of_all, wrong) = (total * share, error(service, endpoint));
                    replica.counters.requests[endpoint] = [0; CODES.len()];
                    [replica.counters.requests[endpoint][0], replica.counters.requests[endpoint][1]] =
                        [(of_all * (1.0 - wrong)) as u64, (of_all * wrong) as u64];
                    for call in service.endpoints[endpoint].phases.iter().flat_map(Phase::calls) {
                        let (callee, asked) = place(&spec, &call.service, &call.endpoint);
                        replica.counters.seen[calls] = outcomes(of_all * call.probability.get(), error(&spec.services[callee], asked));
                        calls += 1;
                    }
                }
            }
        }
    }
}

/// Attempts by outcome: successes and errors.
fn outcomes(attempts: f64, wrong: f64) -> [u64; OUTCOMES.len()] {
    let mut outcomes = [0; OUTCOMES.len()];
    outcomes[0] = (attempts * (1.0 - wrong)) as u64;
    outcomes[1] = (attempts * wrong) as u64;
    outcomes
}

/// The share of errors of an endpoint, its own and those of the version that runs.
fn error(service: &ServiceSpec, endpoint: usize) -> f64 {
    let well = |share: f64| 1.0 - share;
    let version = service.versions.first().map_or(0.0, |version| version.error.get());
    1.0 - well(service.endpoints[endpoint].error.get()) * well(version)
}

fn place(spec: &WorldSpec, service: &str, endpoint: &str) -> (usize, usize) {
    let number = spec.services.iter().position(|own| *own.name == *service).expect("lowering knows every service");
    let endpoints = &spec.services[number].endpoints;
    (number, endpoints.iter().position(|own| *own.name == *endpoint).expect("lowering knows every endpoint"))
}

/// All endpoints, each before those that it calls. Calls end somewhere: lowering refuses circles.
fn callers_first(spec: &WorldSpec) -> Vec<(usize, usize)> {
    let mut waiting: Vec<Vec<u32>> = spec.services.iter().map(|service| vec![0; service.endpoints.len()]).collect();
    let called = |(service, endpoint): (usize, usize)| {
        let phases = &spec.services[service].endpoints[endpoint].phases;
        phases.iter().flat_map(Phase::calls).map(|call| place(spec, &call.service, &call.endpoint))
    };
    let all: Vec<(usize, usize)> =
        spec.services.iter().enumerate().flat_map(|(number, service)| (0..service.endpoints.len()).map(move |own| (number, own))).collect();
    for (service, endpoint) in all.iter().flat_map(|own| called(*own)) {
        waiting[service][endpoint] += 1;
    }
    let mut order: Vec<(usize, usize)> = all.iter().copied().filter(|(service, endpoint)| waiting[*service][*endpoint] == 0).collect();
    let mut next = 0;
    while let Some(own) = order.get(next).copied() {
        next += 1;
        for (service, endpoint) in called(own) {
            waiting[service][endpoint] -= 1;
            if waiting[service][endpoint] == 0 {
                order.push((service, endpoint));
            }
        }
    }
    assert_eq!(order.len(), all.len(), "calls never go round in a circle");
    order
}
