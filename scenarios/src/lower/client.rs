//! Clients with every default filled in.

use firedrill_core::name::Name;
use firedrill_core::quantity::Rate;
use firedrill_core::time::{Span, Time};
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ClientSpec, Priority};

use crate::defaults;
use crate::document::client::ClientDocument;
use crate::document::service::DEFAULT_ENDPOINT;
use crate::lower::names::Names;
use crate::lower::protection::{self, lower_retries};
use crate::lower::{database, load};
use crate::lower::{instant, or};
use crate::problem;

/// What a client takes from its scenario.
pub struct Frame {
    /// How long a run lasts.
    pub horizon: Span,
    /// The objective of clients that state none.
    pub objective: Span,
}

/// Lowers one client.
pub fn lower(reader: &mut Reader, names: &Names, client: &ClientDocument, frame: &Frame) -> ClientSpec {
    let (service, endpoint) = lower_called(reader, names, client);
    protection::check_hedge(reader, &client.protection, or(client.timeout.as_ref(), || defaults::span_or_none("clients.*.timeout")));
    protection::check_budget(reader, client.retries.as_ref());
    if let Some(trace) = client.load.trace.as_ref().filter(|trace| trace.value.requests.iter().all(|count| *count == 0.0)) {
        reader.problem(problem::no_traffic(&trace.place, &client.name.value));
    }
    let access = client.calls.as_ref().and_then(|called| called.access.as_ref());
    let access = database::lower_access(reader, names, &service, access);
    ClientSpec {
        name: client.name.value.clone(),
        service,
        endpoint,
        access,
        rates: match &client.load.trace {
            Some(trace) => load::trace_rates(&trace.value),
            None => lower_rates(reader, client, frame.horizon),
        },
        variation: load::variation(&client.load),
        population: load::population(&client.load),
        again: load::again(&client.load),
        timeout: or(client.timeout.as_ref(), || defaults::span_or_none("clients.*.timeout")),
        retries: lower_retries(client.retries.as_ref()),
        protection: protection::lower(reader, &client.protection),
        objective: or(client.objective.as_ref(), || frame.objective),
        users: client
            .users
            .as_ref()
            .map(|users| users.value)
            .or_else(|| client.load.closed.as_ref().map(|closed| u64::from(closed.value.users))),
        priority: or(client.priority.as_ref(), || Priority::Normal),
    }
}

fn lower_called(reader: &mut Reader, names: &Names, client: &ClientDocument) -> (Name, Name) {
    let Some(called) = &client.calls else { return (Name::new("unknown"), Name::new(DEFAULT_ENDPOINT)) };
    names.service(reader, &called.service.value, &called.service.place);
    let place = called.endpoint.as_ref().map_or(&called.service.place, |endpoint| &endpoint.place);
    let endpoint = names.endpoint(reader, &called.service.value, called.endpoint.as_ref().map(|endpoint| &endpoint.value), place);
    (called.service.value.clone(), endpoint)
}

fn lower_rates(reader: &mut Reader, client: &ClientDocument, horizon: Span) -> Vec<(Time, Rate)> {
    if let Some(first) = client.rates.first().filter(|first| first.at.value > Span::ZERO) {
        reader.problem(problem::rates_start_late(&first.at.place, &first.at.value.to_string()));
    }
    for pair in client.rates.windows(2) {
        if pair[1].at.value <= pair[0].at.value {
            reader.problem(problem::rates_out_of_order(&pair[1].at.place, &pair[1].at.value.to_string(), &pair[0].at.value.to_string()));
        }
    }
    for rate in &client.rates {
        if rate.at.value >= horizon {
            let what = format!("a rate of `{}` begins", client.name.value);
            reader.problem(problem::after_horizon(&rate.at.place, &what, &rate.at.value.to_string(), &horizon.to_string()));
        }
    }
    if let Some(first) = client.rates.first().filter(|_| client.rates.iter().all(|rate| rate.rate.value.get() == 0.0)) {
        reader.problem(problem::no_traffic(&first.rate.place, &client.name.value));
    }
    client.rates.iter().map(|rate| (instant(rate.at.value), rate.rate.value)).collect()
}
