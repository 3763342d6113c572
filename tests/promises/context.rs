//! Alerts in context: contextual and learned thresholds are right where static ones are wrong, and alerts that come together are one incident.

use crate::common;
use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::common::{firedrill, root, words};
use firedrill::drill::{Arm, Drill, Played, Remembered};
use firedrill::sources;
use firedrill_core::journal::{CorrelationChange, Event};
use firedrill_policies::guard::stage::Stage;
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::recording::Recording;

fn project() -> PathBuf {
    root().join("tests/projects/context")
}

fn drill(scenario: &str, policies: &[&str], rules: &[&str]) -> Drill {
    let base = project();
    Drill {
        scenario: sources::scenarios(&[format!("scenarios/{scenario}.yaml")], &base).unwrap().remove(0),
        rules: sources::rules(rules, &base).unwrap(),
        answer: sources::answer(policies, &base).unwrap(),
        stage: Stage::Full,
        past: Remembered::default(),
    }
}

/// The alerts that fired, as `ALERT SERVICE`.
fn fired(played: &Played) -> BTreeSet<String> {
    let records = played.transcript.journal.records().iter();
    let fired = records.filter_map(|record| match &record.event {
        Event::AlertFiring { alert, labels, .. } => Some(format!("{alert} {}", labels.get("service").map_or("", |service| service))),
        Event::RuleFailed { rule, message } => panic!("{rule}: {message}"),
        _ => None,
    });
    fired.collect()
}

#[track_caller]
fn check(scenario: &str, rules: &str, expected: &[&str]) {
    let played = drill(scenario, &[], &["rules/static.yaml", rules]).play(Arm::Nothing, 1);
    assert_eq!(fired(&played).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{scenario}");
}

#[test]
fn a_lunch_that_comes_every_day_is_no_news_and_a_night_like_no_other_is() {
    // Both ways in which a number that holds at all hours is wrong.
    check("lunch", "seasonal", &["HighTraffic orders"]);
    check("night-surge", "seasonal", &["TrafficUnusual orders"]);
}

#[test]
fn a_quiet_night_is_peace_and_a_quiet_noon_is_an_outage() {
    check("quiet-night", "contextual", &["LowTraffic shop"]);
    check("noon-gap", "contextual", &["LowTraffic shop", "TrafficMissing shop"]);
}

#[test]
fn who_fails_and_where_decides_how_much_is_too_much() {
    check("two-tiers", "contextual", &["Failing news", "Failing news-next", "Failing pay", "FailingBeyondItsTier pay"]);
}

#[test]
fn two_signs_at_one_service_are_an_alert_and_one_sign_is_not() {
    let expected =
        ["Failing broken", "ServiceFailing broken", "ServiceFailingAndWaiting broken", "ServiceWaiting broken", "ServiceWaiting busy"];
    check("busy-and-broken", "composite", &expected);
}

#[test]
fn services_that_fail_together_are_one_incident_and_the_policy_restarts_the_one_on_which_the_others_depend() {
    let played = drill("deep-cause", &["policies/restart-the-cause.yaml"], &["slo"]).play(Arm::Policy, 1);
    let mut told = Vec::new();
    for record in played.transcript.journal.records() {
        match &record.event {
            Event::Correlated { incident, change, subject, .. } => {
                let subject = subject.as_ref().map_or("nobody", |subject| subject);
                told.push(format!("incident {incident} {change:?}, probably because of {subject}"));
                assert!(*change == CorrelationChange::Opened || !told.is_empty());
            }
            Event::Decided { what, target, .. } => told.push(format!("{what} on {target}")),
            Event::Verified { verdict, .. } => told.push(format!("{verdict:?}")),
            Event::Paged { reason, .. } => told.push(format!("page: {reason}")),
            _ => {}
        }
    }
    insta::assert_debug_snapshot!(told);
}

#[test]
fn a_history_warms_learned_baselines_and_is_the_same_in_every_run() {
    let drill = drill("night-surge", &[], &["seasonal"]);
    let [one, two] = [1, 2].map(|seed| drill.play(Arm::Nothing, seed));
    let start_ms = drill.scenario.spec.start.unix_millis();
    let before = |played: &Played| {
        let store = &played.telemetry;
        let samples = |id| store.times(id).iter().copied().zip(store.values(id).iter().map(|value| value.to_bits()));
        store.ids().map(|id| samples(id).filter(|(at_ms, _)| *at_ms <= start_ms).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(before(&one), before(&two));
    assert_ne!(one.telemetry.version(), two.telemetry.version(), "two seeds are two runs");
    let found = one.telemetry.select(&parse_matchers(r#"__name__="http_requests_total", pod="orders-0""#).unwrap());
    let times = one.telemetry.times(found[0]);
    // A sample every five minutes over two weeks; the first has nothing to count yet.
    assert_eq!(times.iter().filter(|at_ms| **at_ms <= start_ms).count(), 14 * 24 * 12);
}

#[test]
fn a_run_with_a_history_recorded_and_replayed_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = project().join("scenarios/night-surge.yaml").display().to_string();
    let rules = "--rules seasonal";
    let run = format!("run {scenario} {rules} --record recorded --quiet");
    firedrill(folder.path(), &words(&run)).exits(0);
    firedrill(folder.path(), &words("replay recorded --out replayed --quiet")).exits(0);
    let decisions = |sub: &str| -> Vec<String> {
        let journal = std::fs::read_to_string(folder.path().join(sub).join("journal.jsonl")).unwrap();
        common::records(&journal).into_iter().filter(|line| common::DECISIONS.contains(&common::kind(line))).collect()
    };
    let (lived, seen) = (decisions("recorded"), decisions("replayed"));
    assert!(lived.iter().any(|line| line.contains("TrafficUnusual")), "{lived:?}");
    assert_eq!(lived, seen);
}

#[test]
fn the_library_s_contextual_rules_pass_their_rule_tests() {
    let folder = root().join("policies/library/rules/context/tests");
    let files: Vec<String> =
        ["composite", "contextual", "seasonal"].map(|name| folder.join(format!("{name}.yaml")).display().to_string()).into();
    let done = firedrill(root(), &words(&format!("test {}", files.join(" ")))).exits(0);
    assert!(done.stdout.ends_with("7 passed, 0 failed\n"), "{}", done.stdout);
}

#[test]
fn a_recording_goes_as_far_back_as_its_rules_look() {
    let first_ms = |rules: &str| {
        let folder = tempfile::tempdir().unwrap();
        let scenario = project().join("scenarios/night-surge.yaml").display().to_string();
        firedrill(folder.path(), &words(&format!("run {scenario} --rules {rules} --record recorded --quiet"))).exits(0);
        let text = std::fs::read_to_string(folder.path().join("recorded/recording.jsonl")).unwrap();
        let recording = Recording::parse(&text).unwrap();
        let store = &recording.store;
        let first = store.ids().filter_map(|id| store.times(id).first().copied()).min().unwrap();
        recording.start.unix_millis() - first
    };
    let minute_ms = 60_000;
    // Two weeks are all that there is. Otherwise three recorded series one after the other, each seen for five minutes, and what lies between
    // two times of recording.
    assert_eq!(first_ms("seasonal"), 14 * 24 * 60 * minute_ms);
    assert_eq!(first_ms("contextual"), 20 * minute_ms);
}

/// The YAML that the page shows which begins with a word.
#[track_caller]
fn shown(word: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/context.md")).unwrap();
    let block = page.split("```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).find(|block| block.starts_with(word));
    block.unwrap_or_else(|| panic!("no block begins with {word}")).to_owned() + "\n"
}

#[test]
fn what_the_documentation_shows_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), shown("schema: policy/1")).unwrap();
    let scenario = format!(
        "schema: scenario/1\nscenario: shown\nhorizon: 5m\n{}clients: {{ eaters: {{ calls: orders, rate: 10/s }} }}\n\
         services:\n  orders:\n    work: [cpu: 10ms]\n    {}",
        shown("history:"),
        shown("metrics:")
    );
    std::fs::write(folder.path().join("scenario.yaml"), scenario).unwrap();
    let run = "run scenario.yaml --rules slo --rules contextual --rules seasonal --policy policy.yaml --quiet";
    let done = firedrill(folder.path(), &words(run)).exits(0);
    assert!(!done.stderr.contains("error"), "{}", done.stderr);
}
