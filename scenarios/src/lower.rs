//! From what was said to what is: defaults filled in, names resolved, and everything refused that could go wrong at run time.

mod names;
mod service;
mod client;
mod calls;
mod fault;
mod cure;

use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ActionSpec, Bounds, ScrapeSpec, WorldSpec};

use crate::defaults;
use crate::document::ScenarioDocument;
use crate::document::fault::FaultDocument;
use crate::notation::{Located, longest};
use crate::problem;
use names::Names;

/// Lowers a document. What comes out may be used only if `reader` has recorded no problem.
pub fn lower(reader: &mut Reader, document: &ScenarioDocument) -> WorldSpec {
    check_sizes(reader, document);
    let names = Names::collect(reader, document);
    let horizon = horizon(document);
    let objective = or(document.objective.as_ref(), || defaults::span("objective"));
    let mut services: Vec<_> = document.services.iter().map(|service| service::lower(reader, &names, service)).collect();
    services.sort_by(|left, right| left.name.cmp(&right.name));
    let mut clients: Vec<_> =
        document.clients.iter().map(|client| client::lower(reader, &names, client, &client::Frame { horizon, objective })).collect();
    clients.sort_by(|left, right| left.name.cmp(&right.name));
    let (faults, changes) = fault::lower(reader, &names, document, horizon);
    let cures = cure::lower(reader, &names, document, horizon);
    let (events, attempts) = defaults::bounds();
    let spec = WorldSpec {
        name: document.name.as_ref().map_or_else(|| Name::new("unnamed"), |name| name.value.clone()),
        start: or(document.start.as_ref(), defaults::start),
        horizon,
        services,
        clients,
        faults,
        changes,
        cures,
        scrape: ScrapeSpec { interval: or(document.scrape_interval.as_ref(), || defaults::span("scrape")) },
        actions: ActionSpec {
            delay: or(document.action_delay.as_ref(), || defaults::distribution("actions.delay")),
            failure: or(document.action_failure.as_ref(), || defaults::ratio("actions.failure")),
        },
        bounds: Bounds {
            events: or(document.bound_events.as_ref(), || events),
            attempts: or(document.bound_attempts.as_ref(), || attempts),
        },
    };
    calls::check(reader, document, &spec);
    spec
}

/// What was said, or what is assumed.
fn or<T: Clone>(said: Option<&Located<T>>, assumed: impl FnOnce() -> T) -> T {
    said.map_or_else(assumed, |said| said.value.clone())
}

/// The most services, clients, and faults.
const MOST_ENTRIES: usize = 1000;

fn check_sizes(reader: &mut Reader, document: &ScenarioDocument) {
    if let Some(place) = &document.services_place
        && document.services.is_empty()
    {
        reader.problem(problem::nothing_there(place, "there is no service", "name one, such as `api: { work: [cpu: 10ms] }`"));
    }
    if let Some(place) = &document.clients_place
        && document.clients.is_empty()
    {
        reader.problem(problem::nothing_there(
            place,
            "nobody asks for anything",
            "name a client, such as `users: { calls: api, rate: 10/s }`",
        ));
    }
    let events = document.faults.len() + document.changes.len() + document.oracle.len();
    let replicas: u64 = document.services.iter().map(|service| u64::from(or(service.replicas.as_ref(), || 1))).sum();
    let counts = [
        ("the number of services", document.services.len(), MOST_ENTRIES),
        ("the number of clients", document.clients.len(), MOST_ENTRIES),
        ("the number of faults, changes and actions", events, MOST_ENTRIES),
        ("the number of replicas of all services", replicas as usize, 100_000),
    ];
    for (what, count, most) in counts {
        if count > most {
            reader.problem(problem::too_much(&document.place, what, &count.to_string(), &most.to_string()));
        }
    }
    if let Some(name) = document.oracle_place.as_ref().filter(|_| document.faults.is_empty() && !document.oracle.is_empty()) {
        reader.problem(problem::oracle_without_fault(name));
    }
}

/// As stated, or long enough after the last fault or change for a recovery.
fn horizon(document: &ScenarioDocument) -> Span {
    let end = |fault: &FaultDocument| {
        let at = fault.at.as_ref().map_or(Span::ZERO, |at| at.value);
        at + fault.lasting.as_ref().map_or(Span::ZERO, |lasting| lasting.value)
    };
    let last = document.faults.iter().chain(&document.changes).map(end).max().unwrap_or_default();
    or(document.horizon.as_ref(), || (last + defaults::span("horizon")).min(longest()))
}

/// An instant of the run.
fn instant(span: Span) -> Time {
    Time::ZERO + span
}
