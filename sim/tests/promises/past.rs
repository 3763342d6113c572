//! What a history tells: the load, as the call graph carries it on, in the series that the run itself will go on with.

use std::sync::Arc;

use crate::common::*;
use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Rate, Ratio};
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start};
use firedrill_sim::spec::*;
use firedrill_sim::{Idle, Options, Run, past};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::Store;

const DAYS: u64 = 14;

/// A front end with two replicas, which calls a back end for every other request; one request in ten of the back end fails.
fn shop() -> WorldSpec {
    let Phase::Call(every_second) = call("back", None, 0) else { panic!("a call") };
    let every_second = Phase::Call(CallSpec { probability: Ratio::new(0.5).unwrap(), ..every_second });
    let mut front = service("front", vec![Phase::Cpu(exponential(0.01)), every_second]);
    front.replicas = 2;
    let mut back = service("back", vec![Phase::Cpu(exponential(0.01))]);
    back.endpoints[0].error = Ratio::new(0.1).unwrap();
    world(300, vec![back, front], vec![client("users", "front", 50.0)])
}

/// 10 requests a second, 30 at noon, and half of it on Sundays.
fn history(noise: Option<f64>) -> HistorySpec {
    let rate = |hour: usize| Rate::per_second(if hour == 12 { 30.0 } else { 10.0 }).unwrap();
    let mut weekdays = [Factor::ONE; 7];
    weekdays[6] = Factor::new(0.5).unwrap();
    HistorySpec {
        span: Span::from_minutes(DAYS * 24 * 60),
        every: Span::from_minutes(5),
        noise: noise.map(|cv| Distribution::lognormal(1.0, cv).unwrap()),
        loads: vec![LoadSpec { hours: std::array::from_fn(rate), weekdays }],
        metrics: past::METRICS.map(Name::new).to_vec(),
    }
}

#[track_caller]
fn the_one(store: &Store, matchers: &str) -> Vec<(i64, f64)> {
    let found = store.select(&parse_matchers(matchers).unwrap());
    assert_eq!(found.len(), 1, "{matchers} selects one series");
    store.times(found[0]).iter().copied().zip(store.values(found[0]).iter().copied()).collect()
}

/// The increase of the one series over the five minutes before an hour of a day, counted from the start of the history.
#[track_caller]
fn increase(store: &Store, matchers: &str, day: u64, hour: f64) -> f64 {
    let samples = the_one(store, matchers);
    let begin_ms = Start::default().unix_millis() - (DAYS * 24 * 3_600_000) as i64;
    let at_ms = begin_ms + ((day * 24) as f64 * 3_600_000.0 + hour * 3_600_000.0) as i64;
    let index = samples.iter().position(|(time, _)| *time == at_ms).expect("a sample then");
    samples[index].1 - samples[index - 1].1
}

#[test]
fn the_load_of_each_hour_and_weekday_flows_through_the_call_graph() {
    let store = past::samples(&Arc::new(shop()), &history(None));
    let front = r#"__name__="http_requests_total", pod="front-0", code="200""#;
    let close = |got: f64, want: f64| assert!((got - want).abs() <= 2.0, "{got}, and {want} is expected");
    // The start of a run is a Monday, and so is that of a history of two weeks; a replica answers half of 10 a second for 300 s.
    close(increase(&store, front, 0, 3.0), 1500.0);
    // From 11 to 12 o'clock it rises from 10 to 30 evenly; two and a half minutes before half past it is 19 and a sixth.
    close(increase(&store, front, 0, 11.5), 150.0 * 115.0 / 6.0);
    close(increase(&store, front, 6, 3.0), 750.0);
    close(increase(&store, front, 13, 3.0), 750.0);
    let back = |code: &str| increase(&store, &format!(r#"__name__="http_requests_total", pod="back-0", code="{code}""#), 0, 3.0);
    close(back("200"), 1350.0);
    close(back("500"), 150.0);
    let calls =
        |outcome: &str| increase(&store, &format!(r#"__name__="http_client_requests_total", pod="front-1", outcome="{outcome}""#), 0, 3.0);
    close(calls("success"), 675.0);
    close(calls("error"), 75.0);
    close(increase(&store, r#"__name__="http_client_requests_total", client="users""#, 0, 3.0), 3000.0);
}

#[test]
fn it_ends_with_the_start_in_series_that_the_run_goes_on_with() {
    let spec = Arc::new(shop());
    let store = past::samples(&spec, &history(None));
    let start_ms = Start::default().unix_millis();
    let every_ms = 5 * 60 * 1_000;
    let count = (DAYS * 24 * 12) as usize;
    for id in store.ids() {
        let times = store.times(id);
        assert_eq!(times.last(), Some(&start_ms));
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == every_ms) && (count..=count + 1).contains(&times.len()));
    }
    let with = |past: Option<Store>| {
        let run = Run::new(Arc::clone(&spec), Seed(7), Options::default(), Idle);
        past.map_or_else(|| run.clone(), |past| run.clone().after(past)).finish()
    };
    let (without, after) = (with(None), with(Some(store.clone())));
    assert_eq!(without.journal.to_json_lines(), after.journal.to_json_lines(), "the past changes nothing that happens");
    // Every series of the past is one of the run, and no sample of the run is lost.
    for id in store.ids() {
        let labels = store.labels(id);
        let alone = without.telemetry.find(labels).unwrap_or_else(|| panic!("{labels} is no series of the run"));
        let whole = after.telemetry.find(labels).unwrap();
        assert_eq!(after.telemetry.times(whole), [store.times(id), without.telemetry.times(alone)].concat());
    }
}

#[test]
fn noise_has_the_stated_size_and_is_the_same_every_time() {
    let spec = Arc::new(shop());
    let [first, again] = [0, 1].map(|_| past::samples(&spec, &history(Some(0.2))));
    assert_eq!((first.version(), first.generation()), (again.version(), again.generation()));
    let users = r#"__name__="http_client_requests_total", client="users""#;
    let (noisy, even) = (the_one(&first, users), the_one(&past::samples(&spec, &history(None)), users));
    let steps = |samples: &[(i64, f64)]| samples.windows(2).map(|pair| pair[1].1 - pair[0].1).collect::<Vec<_>>();
    let ratios: Vec<f64> = steps(&noisy).iter().zip(steps(&even)).map(|(noisy, even)| noisy / even).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let deviation = (ratios.iter().map(|ratio| (ratio - mean) * (ratio - mean)).sum::<f64>() / ratios.len() as f64).sqrt();
    // 4,000 draws: the mean is known to 0.3 %, the deviation to 1.5 % of itself or so.
    assert!((mean - 1.0).abs() < 0.015 && (deviation - 0.2).abs() < 0.02, "mean {mean}, deviation {deviation}");
}

#[test]
fn only_what_is_asked_for_is_told() {
    let spec = Arc::new(shop());
    let store = past::samples(&spec, &HistorySpec { metrics: vec![Name::new("up")], ..history(None) });
    let names: Vec<String> = store.ids().map(|id| store.labels(id).metric_name().unwrap().to_owned()).collect();
    assert_eq!(names, vec!["up"; 4]);
}
