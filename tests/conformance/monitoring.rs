//! What monitoring sees, and when: a scrape that fails, and how long an alert takes from its cause (docs/MODEL.md 7, K15 and K16).

use std::sync::Arc;

use firedrill::drill::{Answer, Arm, Drill, Remembered, Rules};
use firedrill_core::journal::Event;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::rules::RuleSet;
use firedrill_scenarios::read_scenario;
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::promql::{Evaluator, Plan, Value};
use firedrill_telemetry::store::{SeriesId, Store, is_stale};

use crate::support::{Case, case};

/// The series of a target, by matchers in PromQL's notation.
#[track_caller]
fn series(store: &Store, matchers: &str) -> Vec<SeriesId> {
    let found = store.select(&parse_matchers(matchers).unwrap());
    assert!(!found.is_empty(), "there are series of {matchers}");
    found
}

/// The only value of an expression at an instant.
#[track_caller]
fn value(expression: &str, store: &Store, at_ms: i64) -> f64 {
    match Evaluator::new().evaluate(&Plan::parse(expression).unwrap(), at_ms, &[store]).unwrap() {
        Value::Vector(samples) if samples.len() == 1 => samples[0].value,
        other => panic!("{expression} is {other:?}"),
    }
}

#[test]
fn k15_a_scrape_that_fails_ends_all_series_of_its_target_and_rates_go_on_from_what_is_left() {
    let store = case("k15-missed-scrape").play_seen(0).telemetry;
    let up = series(&store, r#"__name__="up",instance="api-1:8080""#)[0];
    let missed: Vec<i64> =
        store.times(up).iter().zip(store.values(up)).filter(|(_, value)| **value == 0.0).map(|(time, _)| *time).collect();
    let [missed_ms] = missed[..] else { panic!("one scrape fails, and not those at {missed:?}") };

    for id in series(&store, r#"instance="api-1:8080",__name__!="up""#) {
        let markers: Vec<i64> =
            store.times(id).iter().zip(store.values(id)).filter(|(_, value)| is_stale(**value)).map(|(time, _)| *time).collect();
        let was_there = store.times(id).first().is_some_and(|first| *first < missed_ms);
        assert_eq!(markers, if was_there { vec![missed_ms] } else { vec![] }, "{}", store.labels(id));
    }
    for id in series(&store, r#"instance="api-0:8080""#) {
        assert!(!store.values(id).iter().any(|value| is_stale(*value)), "{}: the other target is well", store.labels(id));
    }

    // What rate sees is the same series without the marker.
    let requests = r#"http_requests_total{instance="api-1:8080",code="200"}"#;
    let counter = series(&store, r#"__name__="http_requests_total",instance="api-1:8080",code="200""#)[0];
    let mut left = Store::new();
    let copy = left.series(store.labels(counter));
    for (time, value) in store.times(counter).iter().zip(store.values(counter)).filter(|(_, value)| !is_stale(**value)) {
        left.append(copy, *time, *value).unwrap();
    }
    for seconds in [1, 40, 120, 240, 299] {
        let at_ms = missed_ms + seconds * 1000;
        let (seen, without) =
            (value(&format!("rate({requests}[5m])"), &store, at_ms), value(&format!("rate({requests}[5m])"), &left, at_ms));
        assert_eq!(seen.to_bits(), without.to_bits(), "{seconds} s after the scrape that failed");
        assert!((8.0..12.0).contains(&seen), "{seen} requests a second, {seconds} s after");
    }
    // An instant selector sees nothing from the marker on until the next sample.
    let plan = Plan::parse(requests).unwrap();
    let seen = |at_ms: i64| match Evaluator::new().evaluate(&plan, at_ms, &[&store]).unwrap() {
        Value::Vector(samples) => samples.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((seen(missed_ms - 1), seen(missed_ms), seen(missed_ms + 14_999), seen(missed_ms + 15_000)), (1, 0, 0, 1));
}

/// Seconds from the onset until the alert is pending and until it fires, in one seed.
#[track_caller]
fn alert_after(case: &Case, rules: &str, onset: f64, seed: u64) -> (f64, f64) {
    let set = RuleSet::read([("rules.yml", rules)]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (path, text) = case.file();
    let drill = Drill {
        scenario: Arc::new(read_scenario(path, text).unwrap()),
        rules: Arc::new(Rules { set, hash: String::new(), routing: None }),
        answer: Arc::new(Answer { policies: Vec::new(), label: String::new(), sources: Vec::new(), hash: String::new(), left_out: None }),
        stage: Stage::DryRun,
        past: Remembered::default(),
    };
    let played = drill.play(Arm::Nothing, seed);
    let after = |wanted: fn(&Event) -> bool| {
        let record = played.transcript.journal.records().iter().find(|record| wanted(&record.event)).expect("the alert comes");
        record.at.as_seconds() - onset
    };
    (after(|event| matches!(event, Event::AlertPending { .. })), after(|event| matches!(event, Event::AlertFiring { .. })))
}

#[test]
fn k16_an_alert_fires_so_long_after_its_cause_as_range_for_scrapes_and_evaluations_say() {
    let rules = |name: &str| {
        format!(
            "groups:\n- name: {name}\n  interval: 30s\n  rules:\n  - alert: Errors\n    expr: |\n      sum(rate(http_requests_total{{code=\"500\"}}[5m]))\n\
             \x20       / sum(rate(http_requests_total[5m])) > 0.05\n    for: 5m\n"
        )
    };
    // Half of all fail, so a twentieth of five minutes' requests have failed after half a minute. What has happened is seen with the next scrape
    // of each target (every 15 s) and evaluation (every 30 s).
    let mut delays = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        for seed in 0..2 {
            let (pending, firing) = alert_after(&case("k16-alert-timing"), &rules(name), 600.0, seed);
            assert!((firing - pending - 300.0).abs() < 1e-6, "it fires at the first evaluation at which it has been pending for 5 m");
            assert!((330.0..=375.0).contains(&firing), "group {name}, seed {seed}: it fires after {firing} s");
            delays.push(firing);
        }
    }
    // Which evaluation that is, the hash of the group decides, and not the seed's luck alone.
    let (least, most) = (delays.iter().copied().fold(f64::MAX, f64::min), delays.iter().copied().fold(0.0, f64::max));
    assert!(most - least > 5.0, "the phase of the group matters: {delays:?}");
}
