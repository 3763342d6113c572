//! What the callers of a process share, and what becomes of faults whose target is gone.

use std::sync::Arc;

use firedrill_core::journal::Event;
use firedrill_core::random::Seed;
use firedrill_scenarios::read_scenario;
use firedrill_sim::{Finished, Idle, Options, Run};
use firedrill_telemetry::notation::parse_matchers;

fn play(text: &str) -> Finished<Idle> {
    let scenario = read_scenario("s.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Run::new(Arc::clone(&scenario.spec), Seed(1), Options::default(), Idle).finish()
}

/// What a database works off in a minute that is asked over two endpoints by one process, each call of which takes 100 ms.
fn worked_off(first: &str, second: &str) -> (f64, usize) {
    let finished = play(&format!(
        "schema: scenario/1\nscenario: s\nhorizon: 1m\nreference: true\nclients:\n  a: {{ calls: {{ service: front, endpoint: /a }}, rate: 40/s }}\n  b: {{ calls: {{ service: front, endpoint: /b }}, rate: 40/s }}\nservices:\n  front:\n    workers: unbounded\n    endpoints:\n      /a: {{ work: [call: {{ service: db, {first} }}] }}\n      /b: {{ work: [call: {{ service: db, {second} }}] }}\n  db: {{ workers: unbounded, work: [sleep: 100ms] }}\n"
    ));
    let completed = finished.ledger.services.iter().find(|service| service.service.as_str() == "db").unwrap().totals.completed;
    let pools = finished.telemetry.select(&parse_matchers("__name__=\"hikaricp_connections_max\"").unwrap()).len();
    (completed as f64 / 60.0, pools)
}

#[track_caller]
fn works_off(first: &str, second: &str, (a_second, pools): (f64, usize)) {
    let (figure, found) = worked_off(first, second);
    assert!((figure - a_second).abs() < 0.5 && found == pools, "{figure} a second by {found} pools, not {a_second} by {pools}");
}

#[test]
fn calls_that_are_protected_alike_share_one_pool() {
    let two = "pool: { size: 2, timeout: 30s }";
    works_off(two, two, (20.0, 1));
    works_off(two, &format!("{two}, timeout: 20s, retries: {{ max: 1 }}, hedge: {{ after: 10s }}"), (20.0, 1));
    works_off(two, "pool: { size: 3, timeout: 30s }", (50.0, 2));
    works_off(two, &format!("{two}, most_requests: 1000"), (40.0, 2));
}

#[test]
fn calls_in_parallel_take_their_connections_from_one_pool() {
    let text = "schema: scenario/1\nscenario: s\nhorizon: 1m\nreference: true\nclients: { c: { calls: f, trace: { every: 10s, requests: [1] } } }\nservices:\n  f: { work: [parallel: { calls: [{ service: db, times: 6, pool: { size: 2 } }] }] }\n  db: { workers: unbounded, work: [sleep: 100ms] }\n";
    let finished = play(text);
    let sum = finished.telemetry.select(&parse_matchers("__name__=\"http_client_request_duration_seconds_sum\",job=\"c\"").unwrap());
    let count = finished.telemetry.select(&parse_matchers("__name__=\"http_client_request_duration_seconds_count\",job=\"c\"").unwrap());
    let last = |series: &[_]| finished.telemetry.values(series[0]).last().copied().unwrap();
    assert!((last(&sum) / last(&count) - 0.3).abs() < 1e-6, "three times two at a time");
}

#[test]
fn a_budget_of_retries_is_one_for_all_calls_of_a_process_to_a_service() {
    let retries = |more: &str| {
        let finished = play(&format!(
            "schema: scenario/1\nscenario: s\nhorizon: 1m\nreference: true\nclients:\n  a: {{ calls: {{ service: front, endpoint: /a }}, rate: 10/s }}\n  b: {{ calls: {{ service: front, endpoint: /b }}, rate: 10/s }}\nservices:\n  front:\n    endpoints:\n      /a: {{ work: [call: {{ service: db, retries: {{ preset: grpc, budget: {{ grpc: {{ max_tokens: 1000 }} }} }} }}] }}\n      /b: {{ work: [call: {{ service: db, retries: {{ preset: grpc, budget: {{ grpc: {{ max_tokens: {more} }} }} }} }}] }}\n  db: {{ error: 100%, work: [cpu: 1ms] }}\n"
        ));
        let totals = finished.ledger.services.iter().find(|service| service.service.as_str() == "db").unwrap().totals;
        let asked = finished.ledger.services.iter().find(|service| service.service.as_str() == "front").unwrap().totals;
        totals.sent - asked.sent
    };
    // Nothing succeeds: each of the first 500 failures of a full bucket of 1000 is tried again up to three times, so three quarters are retries.
    let (one, two) = (retries("1000"), retries("999"));
    assert!((360..=390).contains(&one), "{one} retries by one budget");
    assert!((720..=780).contains(&two), "{two} retries by two");
}

#[test]
fn a_fault_of_a_replica_that_is_gone_is_over_at_once() {
    for fault in ["slow: { replica: s-0, factor: x10 }", "error_rate: { replica: s-0, error: 50% }", "hang: { replica: s-0 }"] {
        let finished = play(&format!(
            "schema: scenario/1\nscenario: s\nhorizon: 5m\nclients: {{ c: {{ calls: s, rate: 5/s }} }}\nservices: {{ s: {{ replicas: 2, start_up: 2s, work: [cpu: 5ms], versions: {{ v2: {{}} }} }} }}\nchanges: [{{ deploy: {{ service: s, version: v2 }}, at: 1m }}]\nfaults: [{{ {fault}, at: 2m, lasting: 1m }}]\n"
        ));
        let ends: Vec<(u64, &str)> = finished
            .journal
            .records()
            .iter()
            .filter_map(|record| match &record.event {
                Event::FaultEnded { reason, .. } => Some((record.at.as_nanos() / 1_000_000_000, reason.as_str())),
                _ => None,
            })
            .collect();
        assert!(ends.len() == 1 && ends[0].0 == 120, "{fault}: {ends:?}");
        assert!(ends[0].1.contains("gone already") || ends[0].1.contains("no process to strike"), "{fault}: {ends:?}");
        assert!(finished.ledger.faults.is_empty(), "{fault} is no fault of the run");
    }
}
