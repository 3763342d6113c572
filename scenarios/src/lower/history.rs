//! The history with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::near_miss;
use firedrill_core::quantity::{Factor, Rate};
use firedrill_core::time::Time;
use firedrill_core::yaml::Reader;
use firedrill_sim::past;
use firedrill_sim::spec::{ClientSpec, HistorySpec, LoadSpec, Population, WorldSpec};

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

/// As stated, or as the run begins. Of a client's own `daily` each hour has its own rate.
fn load(history: &HistoryDocument, client: &ClientSpec) -> LoadSpec {
    let said = history.loads.iter().find(|load| load.client.value == client.name);
    let hours = said.and_then(|load| load.hours).unwrap_or_else(|| as_it_begins(client));
    LoadSpec { hours, weekdays: said.map_or([Factor::ONE; 7], |load| load.weekdays) }
}

/// Arrivals a second before the start: the first rate, or of counts their mean, for one interval of them tells little.
fn arrivals_before(client: &ClientSpec) -> f64 {
    let rate = |(_, rate): &(Time, Rate)| rate.get();
    match &client.rates[..] {
        // After the last count comes a rate of none, which is none of the counts; all intervals are alike.
        [counts @ .., _] if client.variation.counted && !counts.is_empty() => counts.iter().map(rate).sum::<f64>() / counts.len() as f64,
        rates => rates.first().map_or(0.0, rate),
    }
}

/// Requests a second at each hour of a client that goes on as it begins.
fn as_it_begins(client: &ClientSpec) -> [Rate; 24] {
    let arrivals = arrivals_before(client);
    let requests = match &client.population {
        Population::Open => arrivals,
        // Services answer at once before the start, so users only think.
        Population::Closed { users, think } => f64::from(*users) / think.mean(),
        Population::Sessions { requests, .. } => arrivals * requests,
    };
    std::array::from_fn(|hour| {
        let shape = client.variation.daily.map_or(1.0, |daily| daily.at(hour as f64 * 3600.0));
        Rate::per_second(requests * shape).unwrap_or_default()
    })
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

#[cfg(test)]
mod tests {
    use crate::read_scenario;

    #[test]
    fn every_kind_of_client_goes_on_before_the_start_as_it_begins() {
        let text = "\
schema: scenario/1
scenario: past
horizon: 20m
start: 2026-03-03T03:00:00Z
clients:
  buyers: { calls: a, closed: { users: 20, think: { exponential: 2s } } }
  day: { calls: a, rate: 10/s, daily: { peak: 15h, ratio: x10 } }
  open: { calls: a, rate: [{ at: 0s, rate: 3/s }, { at: 10m, rate: 9/s }] }
  people: { calls: a, rate: 1/s, sessions: { requests: 5, think: { exponential: 3s } } }
  taken: { calls: a, trace: { every: 1m, requests: [0, 600, 300, 60] } }
services: { a: { work: [cpu: 1ms] } }
history: { span: 2d, every: 1h }
";
        let scenario = read_scenario("past.yaml", text).unwrap();
        let loads = &scenario.history.as_ref().unwrap().loads;
        let at = |client: usize, hour: usize| loads[client].hours[hour].get();
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}, and not {expected}");
        near(at(0, 4), 10.0);
        // Around 10/s, ten times as many at 15 o'clock as at 3: 10 (1 + 9/11) and 10 (1 - 9/11).
        near(at(1, 15), 200.0 / 11.0);
        near(at(1, 3), 20.0 / 11.0);
        near(at(1, 9), 10.0);
        near(at(2, 7), 3.0);
        near(at(3, 7), 5.0);
        // 960 requests in four minutes.
        near(at(4, 0), 4.0);
        near(at(4, 13), 4.0);
    }

    #[test]
    fn a_load_that_says_weekdays_alone_goes_on_as_it_begins_on_the_others() {
        let text = "\
schema: scenario/1
scenario: past
horizon: 20m
clients: { open: { calls: a, rate: 3/s } }
services: { a: { work: [cpu: 1ms] } }
history: { span: 2d, every: 1h, load: { open: { weekdays: { sunday: x0.5 } } } }
";
        let scenario = read_scenario("past.yaml", text).unwrap();
        let load = &scenario.history.as_ref().unwrap().loads[0];
        assert!(load.hours.iter().all(|rate| (rate.get() - 3.0).abs() < 1e-9), "{:?}", load.hours);
        assert!(load.weekdays.iter().any(|factor| (factor.get() - 0.5).abs() < 1e-9), "{:?}", load.weekdays);
    }
}
