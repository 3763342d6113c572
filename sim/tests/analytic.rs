//! The engine against queueing theory (docs/MODEL.md 7): within 4 standard errors of the exact value.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use firedrill_core::distribution::Distribution;
use firedrill_core::ledger::ServiceTotals;
use firedrill_sim::spec::{Phase, WorldSpec};

/// Runs of each set-up.
const SEEDS: u64 = 10;

/// Asserts that the mean of `figure` over seeds is within 4 standard errors of `exact`.
#[track_caller]
fn check(what: &str, spec: &WorldSpec, exact: f64, figure: impl Fn(&ServiceTotals) -> f64) {
    let service = spec.services.last().unwrap().name.clone();
    let figures: Vec<f64> = (0..SEEDS).map(|seed| figure(&totals(&run(spec, seed), &service))).collect();
    let count = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / count;
    let variance = figures.iter().map(|figure| (figure - mean) * (figure - mean)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    assert!((mean - exact).abs() <= 4.0 * error + 1e-9, "{what}: {mean} is not {exact} within 4 standard errors of {error}");
    assert!(error < 0.05 * exact, "{what}: a standard error of {error} proves little about {exact}");
}

/// One service with `workers` and mean demand 1 s, at `load` of its capacity.
fn station(workers: u32, load: f64, demand: Distribution, horizon: u64) -> WorldSpec {
    let mut station = service("station", vec![Phase::Cpu(demand)]);
    station.workers = Some(workers);
    world(horizon, vec![station], vec![client("users", "station", load * f64::from(workers))])
}

#[test]
fn a1_one_exponential_server() {
    for (load, response, p95, p99) in [(0.5, 2.0, 5.991, 9.210), (0.7, 3.3333, 9.986, 15.351)] {
        let spec = station(1, load, exponential(1.0), 40_000);
        check("mean response", &spec, response, |totals| totals.mean_response_seconds);
        check("p95", &spec, p95, |totals| totals.p95_response_seconds);
        check("p99", &spec, p99, |totals| totals.p99_response_seconds);
        check("utilisation", &spec, load, |totals| totals.utilisation);
    }
}

#[test]
fn a2_many_exponential_servers() {
    for (workers, load, wait) in [(2, 0.7, 0.960_784), (4, 0.8, 0.745_541), (10, 0.8, 0.204_588)] {
        let spec = station(workers, load, exponential(1.0), 30_000);
        check("mean wait", &spec, wait, |totals| totals.mean_wait_seconds);
    }
}

#[test]
fn a3_one_server_with_other_demands() {
    for (squared_variation, wait) in [(0.0, 2.0), (1.0, 4.0), (4.0, 10.0)] {
        let demand = if squared_variation > 0.0 {
            Distribution::gamma(1.0, f64::sqrt(squared_variation)).unwrap()
        } else {
            Distribution::constant(1.0).unwrap()
        };
        check("mean wait", &station(1, 0.8, demand, 60_000), wait, |totals| totals.mean_wait_seconds);
    }
}

#[test]
fn a4_processor_sharing_does_not_care_about_the_distribution() {
    for squared_variation in [0.5, 1.0, 4.0] {
        for (cores, response) in [(1.0, 5.0), (4.0, 1.745_54)] {
            let mut spec = station(1, 0.8, Distribution::gamma(1.0, f64::sqrt(squared_variation)).unwrap(), 40_000);
            spec.services[0].workers = None;
            spec.services[0].cores = Some(cores);
            spec.clients[0] = client("users", "station", 0.8 * cores);
            check("mean response", &spec, response, |totals| totals.mean_response_seconds);
            check("utilisation", &spec, 0.8, |totals| totals.utilisation);
        }
    }
}

#[test]
fn a5_a_bounded_queue_turns_away_what_theory_says() {
    for (load, blocked) in [(0.9, 0.050_814), (1.2, 0.192_586), (2.0, 0.500_244)] {
        let mut spec = station(1, load, exponential(1.0), 20_000);
        spec.services[0].queue = Some(9);
        check("share turned away", &spec, blocked, |totals| totals.rejected as f64 / totals.sent as f64);
    }
}

#[test]
fn a12_stations_in_a_row_are_independent() {
    // The caller has a worker for everyone and no work of its own, so it adds nothing to the sum.
    let mut front = service("front", vec![call("first", None, 0), call("second", None, 0)]);
    front.workers = None;
    let first = service("first", vec![Phase::Cpu(exponential(1.0))]);
    let second = service("second", vec![Phase::Cpu(exponential(0.5))]);
    let spec = world(40_000, vec![first, second, front], vec![client("users", "front", 0.7)]);
    check("sum of responses", &spec, 1.0 / (1.0 - 0.7) + 1.0 / (2.0 - 0.7), |totals| totals.mean_response_seconds);
}
