//! The history with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::near_miss;
use firedrill_core::quantity::{Factor, Rate};
use firedrill_core::yaml::Reader;
use firedrill_sim::past;
use firedrill_sim::spec::{ClientSpec, HistorySpec, LoadSpec, WorldSpec};

use crate::defaults;
use crate::document::history::{HistoryDocument, LoadDocument};
use crate::lower::or;
use crate::notation::longest;
use crate::problem;

/// The most samples that a series of a history may have: thirty days of a minute each.
const MOST_SAMPLES: u64 = 43_200;

/// Lowers the history of a scenario.
pub fn lower(reader: &mut Reader, history: &HistoryDocument, spec: &WorldSpec) -> HistorySpec {
    let every = or(history.every.as_ref(), || defaults::span("history.every"));
    let span = or(history.span.as_ref(), longest);
    let samples = span.as_nanos() / every.as_nanos().max(1);
    if let Some(span) = &history.span {
        if samples == 0 {
            let what = format!("the history spans {}, and has a sample every {every}", span.value);
            reader.problem(problem::impossible(&span.place, &what, "write a longer `span:`, such as `14d`, or a shorter `every:`"));
        }
        if samples > MOST_SAMPLES {
            let place = history.every.as_ref().map_or(&span.place, |every| &every.place);
            let what = format!("{} every {every} are {samples} samples of each series, and at most {MOST_SAMPLES} are told", span.value);
            reader.problem(problem::impossible(place, &what, "write a longer `every:`, such as `5m`, or a shorter `span:`"));
        }
    }
    check_clients(reader, history, spec);
    let noise = or(history.noise.as_ref(), || defaults::ratio("history.noise")).get();
    HistorySpec {
        span,
        every,
        noise: if noise > 0.0 { Distribution::lognormal(1.0, noise).ok() } else { None },
        loads: spec.clients.iter().map(|client| load(history, client)).collect(),
        metrics: metrics(reader, history, spec),
    }
}

fn check_clients(reader: &mut Reader, history: &HistoryDocument, spec: &WorldSpec) {
    let known: Vec<&str> = spec.clients.iter().map(|client| client.name.as_str()).collect();
    for LoadDocument { client, .. } in &history.loads {
        if !known.contains(&client.value.as_str()) {
            let remedy = match near_miss(&client.value, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            reader.problem(problem::impossible(&client.place, &format!("there is no client `{}`", client.value), &remedy));
        }
    }
}

/// As stated, or the rate with which the run begins at all hours.
fn load(history: &HistoryDocument, client: &ClientSpec) -> LoadSpec {
    let said = history.loads.iter().find(|load| load.client.value == client.name);
    let first = client.rates.first().map_or_else(Rate::default, |(_, rate)| *rate);
    let hours = said.and_then(|load| load.hours).unwrap_or([first; 24]);
    LoadSpec { hours, weekdays: said.map_or([Factor::ONE; 7], |load| load.weekdays) }
}

/// The metrics that are asked for, of those that can be told; without a list all of these. Sorted, each once.
fn metrics(reader: &mut Reader, history: &HistoryDocument, spec: &WorldSpec) -> Vec<Name> {
    let own = spec.services.iter().flat_map(|service| &service.metrics).filter(|metric| past::can_tell(&metric.feed));
    let mut all: Vec<Name> = past::METRICS.into_iter().map(Name::new).chain(own.map(|metric| metric.name.clone())).collect();
    all.sort();
    all.dedup();
    if history.metrics.is_empty() {
        return all;
    }
    for metric in history.metrics.iter().filter(|metric| !all.contains(&metric.value)) {
        let known = all.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        let fault = format!("a history cannot tell `{}`", metric.value);
        reader.problem(problem::metric(&metric.place, fault, format!("it tells of the load alone: {known}")));
    }
    all.retain(|name| history.metrics.iter().any(|metric| metric.value == *name));
    all
}
