//! The call graph: no circles, and no more requests than can be simulated.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::quantity::Rate;
use firedrill_core::time::Time;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ClientSpec, DailySpec, FaultKind, FaultSpec, Phase, Population, ServiceSpec, WorldSpec};

use crate::document::ScenarioDocument;
use crate::document::service::{CallDocument, PhaseDocument};
use crate::problem;

/// An endpoint of a service. Circles are circles of endpoints: services may well ask each other back and forth.
type Hop = (Name, Name);

/// Refuses circles and loads that are too large.
pub fn check(reader: &mut Reader, document: &ScenarioDocument, spec: &WorldSpec) {
    let graph = Graph::new(spec);
    match graph.post_order() {
        Err(mut circle) => {
            // What leaves a process as a message closes it, if anything does.
            let publishes = |from: usize| publishing_place(document, &circle[from], &circle[(from + 1) % circle.len()]);
            let published = (0..circle.len()).rev().find_map(|from| Some((from, publishes(from)?)));
            if let Some((from, _)) = published {
                let begin = (from + 1) % circle.len();
                circle.rotate_left(begin);
            }
            let mut path: Vec<String> = circle.iter().map(|(service, endpoint)| hop_text(spec, service, endpoint)).collect();
            path.push(path[0].clone());
            reader.problem(match published {
                Some((_, place)) => problem::message_cycle(place, &path),
                None => problem::call_cycle(closing_place(document, &circle).unwrap_or(&document.place), &path),
            });
        }
        Ok(order) => {
            let visits = graph.visits(&order);
            let expected: f64 = spec
                .clients
                .iter()
                .map(|client| {
                    let hop = (client.service.clone(), client.endpoint.clone());
                    expected_requests(client, spec) * visits.get(&hop).copied().unwrap_or(1.0)
                })
                .sum();
            if expected > problem::MOST_REQUESTS {
                reader.problem(problem::too_many_requests(document.clients_place.as_ref().unwrap_or(&document.place), expected));
            } else if let Some(bound) = &document.bound_events {
                // Of users who wait for answers nobody knows how often they ask; whoever arrives is an event at least.
                let is_open = |client: &&ClientSpec| !matches!(client.population, Population::Closed { .. });
                let certain: f64 = spec.clients.iter().filter(is_open).map(|client| certain_arrivals(client, spec)).sum();
                if certain > bound.value as f64 {
                    reader.problem(problem::beyond_bound(&bound.place, certain, bound.value));
                }
            }
        }
    }
}

/// Every endpoint after all that it calls; `None` if calls go round in a circle.
pub fn post_order(spec: &WorldSpec) -> Option<Vec<(Name, Name)>> {
    Graph::new(spec).post_order().ok()
}

/// The name of a service, with its endpoint only where there is more than one.
fn hop_text(spec: &WorldSpec, service: &Name, endpoint: &Name) -> String {
    let alone = spec.services.iter().any(|candidate| candidate.name == *service && candidate.endpoints.len() == 1);
    if alone { service.to_string() } else { format!("{service} {endpoint}") }
}

/// Where a phase leads, and how often: to what it calls, and to whoever takes what it publishes.
pub fn nexts(spec: &WorldSpec, phase: &Phase) -> Vec<(Hop, f64)> {
    if let Phase::Publish(topic) = phase {
        let taken = |service: &ServiceSpec| {
            let consumes = service.consumes.as_ref().filter(|consumes| consumes.topic == *topic)?;
            Some(((service.name.clone(), consumes.endpoint.clone()), 1.0))
        };
        return spec.services.iter().filter_map(taken).collect();
    }
    phase.calls().iter().map(|call| ((call.service.clone(), call.endpoint.clone()), call.probability.get())).collect()
}

struct Graph {
    calls: BTreeMap<Hop, Vec<Next>>,
}

/// Where an endpoint leads: a call, or a message that somebody takes.
struct Next {
    hop: Hop,
    probability: f64,
}

/// A hop on the path from where the search began, and how many of its calls were followed.
struct Visit {
    hop: Hop,
    followed: usize,
}

impl Graph {
    fn new(spec: &WorldSpec) -> Self {
        let mut calls = BTreeMap::new();
        for service in &spec.services {
            for endpoint in &service.endpoints {
                let list = endpoint
                    .phases
                    .iter()
                    .flat_map(|phase| nexts(spec, phase))
                    .map(|(hop, probability)| Next { hop, probability })
                    .collect();
                calls.insert((service.name.clone(), endpoint.name.clone()), list);
            }
        }
        Self { calls }
    }

    /// Every hop after all that it calls, or the first circle. Without recursion: a file may hold a chain of any length.
    fn post_order(&self) -> Result<Vec<Hop>, Vec<Hop>> {
        let mut done: BTreeMap<Hop, bool> = BTreeMap::new();
        let mut order = Vec::new();
        for start in self.calls.keys() {
            if done.contains_key(start) {
                continue;
            }
            done.insert(start.clone(), false);
            let mut path = vec![Visit { hop: start.clone(), followed: 0 }];
            while let Some(visit) = path.last_mut() {
                let Some(call) = self.calls[&visit.hop].get(visit.followed) else {
                    done.insert(visit.hop.clone(), true);
                    order.push(visit.hop.clone());
                    path.pop();
                    continue;
                };
                visit.followed += 1;
                let next = call.hop.clone();
                match done.get(&next) {
                    Some(true) => {}
                    Some(false) => {
                        let from = path.iter().position(|visit| visit.hop == next).expect("a hop that is not done is on the path");
                        return Err(path[from..].iter().map(|visit| visit.hop.clone()).collect());
                    }
                    // A call of something that does not exist is reported elsewhere.
                    None if !self.calls.contains_key(&next) => {}
                    None => {
                        done.insert(next.clone(), false);
                        path.push(Visit { hop: next, followed: 0 });
                    }
                }
            }
        }
        Ok(order)
    }

    /// How many hops a request of each endpoint is expected to make, itself included, without retries.
    fn visits(&self, order: &[Hop]) -> BTreeMap<Hop, f64> {
        let mut visits: BTreeMap<Hop, f64> = BTreeMap::new();
        for hop in order {
            let below: f64 = self.calls[hop].iter().map(|call| call.probability * visits.get(&call.hop).copied().unwrap_or(1.0)).sum();
            visits.insert(hop.clone(), 1.0 + below);
        }
        visits
    }
}

/// The expected number of a client's requests over the run, surges included; of users who get all answers at once.
fn expected_requests(client: &ClientSpec, spec: &WorldSpec) -> f64 {
    let each = match &client.population {
        Population::Closed { users, think } => return f64::from(*users) * spec.horizon.as_seconds() / think.mean(),
        Population::Sessions { requests, .. } => *requests,
        Population::Open => 1.0,
    };
    each * expected_arrivals(client, spec)
}

fn expected_arrivals(client: &ClientSpec, spec: &WorldSpec) -> f64 {
    let end = Time::ZERO + spec.horizon;
    let surge = |fault: &FaultSpec| match &fault.kind {
        FaultKind::Surge { client: name, factor } if *name == client.name => {
            let until = fault.lasting.map_or(end, |lasting| (fault.at + lasting).min(end));
            requests_between(client, fault.at, until) * (factor.get() - 1.0).max(0.0)
        }
        _ => 0.0,
    };
    requests_between(client, Time::ZERO, end) + spec.faults.iter().chain(&spec.changes).map(surge).sum::<f64>()
}

/// Arrivals that are to be expected where every surge that takes some away lasts for the whole run. Of arrivals that come more unevenly than by
/// chance none is certain; peaks only add some.
fn certain_arrivals(client: &ClientSpec, spec: &WorldSpec) -> f64 {
    if client.variation.dispersion.is_some_and(|index| index > 1.0) {
        return 0.0;
    }
    let fewer = |fault: &FaultSpec| match &fault.kind {
        FaultKind::Surge { client: name, factor } if *name == client.name => factor.get().min(1.0),
        _ => 1.0,
    };
    let least: f64 = spec.faults.iter().chain(&spec.changes).map(fewer).product();
    let begins = spec.start.unix_millis().rem_euclid(86_400_000) as f64 / 1e3;
    let weight = |from: Time, until: Time| match client.variation.daily {
        None => until.since(from).as_seconds(),
        Some(daily) => usual_seconds(daily, begins + from.as_seconds(), begins + until.as_seconds()),
    };
    let stretches = stretches(client, Time::ZERO, Time::ZERO + spec.horizon);
    stretches.map(|(rate, from, until)| rate * weight(from, until)).sum::<f64>() * least
}

/// How many seconds at the client's own rate a stretch of the day comes to, both ends in seconds after midnight: the integral of [`DailySpec::at`].
fn usual_seconds(daily: DailySpec, from: f64, until: f64) -> f64 {
    const DAY: f64 = 86_400.0;
    let quarter = DAY / 4.0;
    // The sine at a moment is the cosine a quarter of a day earlier.
    let wave = |seconds: f64| daily.at(seconds - quarter) - 1.0;
    until - from + (wave(until) - wave(from)) * DAY / std::f64::consts::TAU
}

fn requests_between(client: &ClientSpec, from: Time, until: Time) -> f64 {
    stretches(client, from, until).map(|(rate, from, until)| rate * until.since(from).as_seconds()).sum()
}

/// The client's rates between two instants: arrivals a second, from when, until when.
fn stretches(client: &ClientSpec, from: Time, until: Time) -> impl Iterator<Item = (f64, Time, Time)> {
    let ends = client.rates.iter().skip(1).map(|(at, _)| *at).chain(std::iter::once(until));
    let cut = move |((at, rate), end): (&(Time, Rate), Time)| (rate.get(), (*at).max(from), end.min(until));
    client.rates.iter().zip(ends).map(cut).filter(|(_, from, until)| from < until)
}

/// Where the last call of a circle stands.
fn closing_place<'d>(document: &'d ScenarioDocument, circle: &[Hop]) -> Option<&'d Place> {
    let (next, _) = circle.first()?;
    work(document, circle.last()?)
        .flat_map(PhaseDocument::calls)
        .find(|call: &&CallDocument| call.service.value == *next)
        .map(|call| &call.service.place)
}

/// Where a hop publishes what the next one takes.
fn publishing_place<'d>(document: &'d ScenarioDocument, from: &Hop, next: &Hop) -> Option<&'d Place> {
    let consumes = document.services.iter().find(|service| service.name.value == next.0)?.consumes.as_ref()?;
    work(document, from).find_map(|phase| match phase {
        PhaseDocument::Publish(topic) if topic.value == consumes.topic.value => Some(&topic.place),
        _ => None,
    })
}

/// The steps of a hop as written.
fn work<'d>(document: &'d ScenarioDocument, (service, endpoint): &Hop) -> impl Iterator<Item = &'d PhaseDocument> {
    let service = document.services.iter().find(|candidate| candidate.name.value == *service);
    let endpoint = service.and_then(|service| service.endpoints.iter().find(|candidate| candidate.name.value == *endpoint));
    endpoint.into_iter().flat_map(|endpoint| &endpoint.work)
}

#[cfg(test)]
mod tests {
    use crate::read_scenario;

    #[test]
    fn only_a_bound_that_every_run_comes_near_is_refused() {
        let read = |start: &str, load: &str, events: u64| {
            let text = format!(
                "schema: scenario/1\nscenario: bounded\nhorizon: 30m\nstart: 2026-03-03T{start}:00Z\nclients: {{ users: {{ calls: a, rate: 50/s, {load} }} }}\nservices: {{ a: {{ work: [cpu: 1ms] }} }}\nbounds: {{ events: {events} }}\n"
            );
            read_scenario("bounded.yaml", &text).map_err(|problems| problems[0].message.clone()).err()
        };
        let told = |requests: u64, events: u64| {
            Some(format!("about {requests} requests are to be expected, and every run ends at {events} events"))
        };
        assert_eq!(read("03:00", "users: 5", 50_000), told(90_000, 50_000));
        let daily = "daily: { peak: 15h, ratio: x1000 }";
        assert_eq!(read("03:00", daily, 50_000), None);
        // Around the trough 1 - a cos, a = 999/1001, comes to 90000 (1 - a (sin θ) / θ) with θ = 30 minutes of a day: 436.1.
        assert_eq!(read("03:00", daily, 400), told(436, 400));
        assert_eq!(read("14:45", daily, 50_000), told(179_756, 50_000));
        assert_eq!(read("03:00", "dispersion: 5", 50_000), None);
        assert_eq!(read("03:00", "dispersion: 1", 50_000), told(90_000, 50_000));
    }
}
