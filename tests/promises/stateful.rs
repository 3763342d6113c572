//! Incidents of what keeps state, and the policies of the library that answer them: what they do, what it costs, and what they leave alone.
use crate::common::{Done, edited, firedrill, root, unmanned, write};
use serde_json::Value;

/// Plays a scenario of the library, with other words in the place of some, and its outcome.
fn outcome(scenario: &str, edits: &[(&str, &str)], policy: &str) -> (Done, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "scenario.yaml", &unmanned(&edited(scenario, edits)));
    let out = folder.path().join("out");
    let arguments = ["run", path.to_str().unwrap(), "--policy", policy, "--out", out.to_str().unwrap()];
    let done = firedrill(root(), &arguments).exits(0);
    let outcome = std::fs::read_to_string(out.join("outcome.json")).unwrap();
    (done, serde_json::from_str(&outcome).unwrap())
}

#[test]
fn a_lost_primary_is_replaced_and_what_its_standby_had_not_got_is_counted_as_harm() {
    let (done, outcome) = outcome(
        "payments-loses-its-database",
        &[("horizon: 26m", "horizon: 5m"), ("    at: 4m\n", "    at: 1m\n")],
        "fail-over-lost-primary",
    );
    let done = done.says("fail_over on service/ledger-db is done").says("the remediation is verified");
    let lost = outcome["data_harm"].as_u64().unwrap();
    assert!((20..200).contains(&lost), "writes of 200 ms at 420 a second: {lost}");
    assert_eq!((&outcome["data_lost"], &outcome["nothing"]["data_lost"]), (&Value::from(lost), &Value::from(0)));
    done.says(&format!("data_harm {lost}")).says(&format!("{lost} records"));
    let users = |arm: &str| outcome[arm]["user_minutes_lost"].as_f64().unwrap();
    assert!(users("policy") < 0.4 * users("nothing"), "{outcome}");
}

#[test]
fn a_standby_that_is_far_behind_takes_nobodys_place() {
    let edits = [
        ("horizon: 22m", "horizon: 330s"),
        ("    at: 4m\n", "    at: 150s\n"),
        ("faults:", "faults:\n  - replica_lag: { service: db, lag: 40s }\n    at: 10s\n    lasting: 5m"),
    ];
    let (done, outcome) = outcome("primary-lost", &edits, "fail-over-lost-primary");
    done.says("far behind would lose too much");
    assert_eq!((&outcome["actions"], &outcome["data_harm"]), (&Value::from(0), &Value::from(0)));
}

#[test]
fn a_message_that_kills_is_put_aside_and_nothing_is_lost() {
    let (done, outcome) = outcome("poisoned-order", &[("horizon: 25m", "horizon: 12m")], "park-poisoned-messages");
    done.says("1 that its consumers failed on").says("the remediation is verified");
    assert_eq!((&outcome["data_lost"], &outcome["data_harm"]), (&Value::from(0), &Value::from(0)), "a dead letter is not lost");
    let recovered = |arm: &str| outcome[arm]["time_to_recover"]["censored"] == false;
    assert!(recovered("policy") && !recovered("nothing"), "{outcome}");
}
