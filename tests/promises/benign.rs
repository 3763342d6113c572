//! Where the right answer is to do nothing, or to call somebody: benign events, broken telemetry, actuators that lie, and a fault that nobody knows.

use crate::common;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::common::{edited, root};
use firedrill::drill::{Answer, Arm, Drill, Played, Remembered, Rules};
use firedrill::sources;
use firedrill_core::action::Action;
use firedrill_core::journal::{Event, Verification};
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::library as policies;
use firedrill_reports::outcome::{Arms, Outcome, OutcomeSettings, measure};
use firedrill_scenarios::{Scenario, library, read_scenario};

/// The naive rule that fires in each scenario in which nothing is to be done: its expression, how long it waits, and whom its policy restarts.
const NAIVE: [(&str, &str, &str, &str); 22] = [
    ("autoscaler-churn", r#"changes(kube_deployment_spec_replicas{deployment="api"}[20m]) > 3"#, "0s", "api"),
    (
        "canary-noise",
        r#"sum(rate(http_client_requests_total{client="pioneers",outcome!="success"}[1m])) / sum(rate(http_client_requests_total{client="pioneers"}[1m])) > 0.02"#,
        "0s",
        "api-canary",
    ),
    ("draining-errors", r#"sum(rate(http_client_requests_total{client="users",outcome!="success"}[1m])) > 0"#, "0s", "api"),
    (
        "gc-pause",
        r#"histogram_quantile(0.99, sum by (le, pod) (rate(http_request_duration_seconds_bucket{service="api"}[30s]))) > 1"#,
        "0s",
        "api",
    ),
    ("monday-morning", r#"sum(rate(http_requests_total{service="api"}[1m])) > 18"#, "1m", "api"),
    ("no-traffic", r#"sum(rate(http_requests_total{service="api"}[1m])) == 0"#, "2m", "api"),
    ("one-failed-request", r#"sum(rate(http_requests_total{code=~"5.."}[1m])) / sum(rate(http_requests_total[1m])) > 0.03"#, "0s", "api"),
    (
        "primary-stalls",
        r#"sum(rate(http_client_requests_total{target="db",outcome!="success"}[30s])) / sum(rate(http_client_requests_total{target="db"}[30s])) > 0.5"#,
        "0s",
        "shop",
    ),
    ("quiet-night", r#"sum(rate(http_requests_total{code=~"5.."}[2m])) / sum(rate(http_requests_total[2m])) > 0.05"#, "0s", "api"),
    ("rolling-deploy-blip", "kube_deployment_status_replicas_available < kube_deployment_spec_replicas", "1m", "api"),
    ("scrape-gap", r#"up{job="api"} == 0"#, "0s", "api"),
    (
        "top-of-the-hour",
        r#"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service="api"}[1m]))) > 0.35"#,
        "0s",
        "api",
    ),
    ("all-red", "probe_success == 0", "30s", "shop"),
    ("counters-reset", r#"min(delta(http_requests_total{service="shop",code="200"}[1m])) < 0"#, "0s", "shop"),
    ("double-scrape", r#"sum(rate(http_requests_total{service="shop"}[1m])) > 30"#, "0s", "shop"),
    ("exporter-dies", r#"absent(kube_pod_status_ready{condition="true"} == 1)"#, "1m", "shop"),
    ("frozen-metrics", r#"sum(rate(http_requests_total{service="shop"}[1m])) == 0"#, "1m", "shop"),
    ("late-metrics", r#"absent(rate(http_requests_total{service="shop"}[1m]))"#, "1m", "shop"),
    ("prometheus-down", r#"time() - max(max_over_time(timestamp(up{job="shop"})[10m:15s])) > 60"#, "0s", "shop"),
    ("scrapes-lost", r#"up{job="stock"} == 0"#, "1m", "stock"),
    (
        "wrong-unit",
        r#"container_memory_working_set_bytes{container!=""} / container_spec_memory_limit_bytes{container!=""} > 0.9"#,
        "1m",
        "shop",
    ),
    ("zone-unseen", r#"count(up{zone!=""} == 0) / count(up{zone!=""}) >= 0.5"#, "1m", "shop"),
];

fn scenario(text: &str) -> Arc<Scenario> {
    Arc::new(read_scenario("scenario.yaml", text).unwrap_or_else(|problems| panic!("{}", problems[0].render(false))))
}

/// The library's scenarios by name, read once for all.
static LIBRARY: LazyLock<BTreeMap<&str, Arc<Scenario>>> =
    LazyLock::new(|| library::ENTRIES.iter().map(|entry| (entry.name, scenario(entry.text))).collect());

fn named(name: &str) -> Arc<Scenario> {
    Arc::clone(&LIBRARY[name])
}

/// All rules of the library.
fn rules() -> Arc<Rules> {
    sources::rules(&firedrill::library::rule_shelf().names, Path::new(".")).unwrap()
}

/// Policies of the library.
fn answer(names: &[&str]) -> Arc<Answer> {
    sources::answer(names, Path::new(".")).unwrap()
}

/// All of the library's that are no warnings.
fn good() -> Arc<Answer> {
    let names: Vec<&str> = policies::POLICIES.iter().filter(|entry| !entry.is_hazard()).map(policies::Entry::name).collect();
    assert!(names.len() >= 11, "{names:?}");
    answer(&names)
}

fn drill(scenario: &Arc<Scenario>, rules: &Arc<Rules>, answer: &Arc<Answer>) -> Drill {
    let (scenario, rules, answer) = (Arc::clone(scenario), Arc::clone(rules), Arc::clone(answer));
    Drill { scenario, rules, answer, stage: Stage::Full, past: Remembered::default() }
}

/// Nobody's run and the policies', and what these came to.
fn play(drill: &Drill, seed: u64) -> (Played, Played, Outcome) {
    let mut played = Drill::play_together(&[(drill, Arm::Nothing), (drill, Arm::Policy)], seed);
    let (policy, nothing) = (played.pop().unwrap(), played.pop().unwrap());
    let arms = Arms { nothing: &nothing.transcript, policy: &policy.transcript, oracle: None, human: None };
    let outcome = measure(&arms, &OutcomeSettings::default());
    (nothing, policy, outcome)
}

/// What was done, and the policies that did it.
fn deeds(played: &Played) -> Vec<String> {
    let records = played.transcript.journal.records().iter();
    let done = records.filter_map(|record| match &record.event {
        Event::Decided { policy, what, target, .. } if !matches!(what, Action::Wait { .. }) => {
            Some(format!("{policy}: {what} on {target} at {}", record.at))
        }
        _ => None,
    });
    done.collect()
}

#[test]
fn every_scenario_without_a_fault_has_its_naive_rule() {
    let peaceful = |scenario: &Scenario| ["benign", "telemetry"].contains(&scenario.family.as_str());
    let all = library::names().map(named).filter(|scenario| peaceful(scenario));
    let mut listed: Vec<&str> = NAIVE.iter().map(|(name, ..)| *name).collect();
    listed.sort_unstable();
    let mut known: Vec<String> = all.map(|scenario| scenario.name.to_string()).collect();
    known.sort();
    assert_eq!(listed, known);
    for name in library::names().filter(|name| listed.contains(name)) {
        let about = named(name).description.clone();
        let is_labelled = about.starts_with('B') && about.contains(", benign:") || about.starts_with('T');
        assert!(is_labelled && about.contains("The naive rule that fires:"), "{name}: {about}");
    }
}

/// Every scenario of the library in which nothing is wrong with the system: it has no fault, so that nothing opens an incident. What simulates queues of
/// textbooks has no services to speak of.
fn peaceful() -> Vec<&'static str> {
    let is_peaceful = |name: &&str| {
        let scenario = named(name);
        scenario.spec.faults.is_empty() && !["reference", "mappings"].contains(&scenario.family.as_str())
    };
    library::names().filter(is_peaceful).collect()
}

#[test]
fn what_is_peaceful_is_all_that_is_calm_benign_or_badly_seen() {
    let mut families: Vec<String> = peaceful().into_iter().map(|name| named(name).family.to_string()).collect();
    families.sort();
    families.dedup();
    assert!(["benign", "calm", "telemetry"].iter().all(|family| families.contains(&(*family).to_owned())), "{families:?}");
    for name in library::names().filter(|name| ["benign", "calm", "telemetry"].contains(&named(name).family.as_str())) {
        assert!(peaceful().contains(&name), "{name}");
    }
}

/// All watch together. While none acts, none stands in another's way, so that each would do by itself what it does here.
#[test]
fn where_all_is_calm_on_benign_events_and_broken_telemetry_no_good_policy_acts() {
    let (rules, good) = (rules(), good());
    let wrong = common::each(&peaceful(), |name| {
        let (_, policy, outcome) = play(&drill(&named(name), &rules, &good), 1);
        let harmless = outcome.noop_false_positives;
        common::holds(harmless == Some(outcome.actions), || {
            format!("{name}: {harmless:?} of {} actions are false positives", outcome.actions)
        })?;
        Ok(deeds(&policy).into_iter().map(|deed| format!("{name}: {deed}")).collect::<Vec<String>>())
    });
    assert!(wrong.concat().is_empty(), "{}", wrong.concat().join("\n"));
}

#[test]
fn a_naive_policy_acts_on_each_of_them_and_that_is_counted_against_it() {
    common::each(&NAIVE, |(name, expr, waits, service)| {
        let folder = tempfile::tempdir().unwrap();
        let rule = format!(
            "groups:\n  - name: naive\n    interval: 5s\n    rules:\n      - alert: Naive\n        expr: '{expr}'\n        for: {waits}\n"
        );
        let policy = format!(
            "schema: policy/1\npolicy: naive\nowner: nobody\non: {{ alert: Naive }}\ntarget: {{ service: {service} }}\nsteps:\n  - restart: {{ mode: rolling }}\n"
        );
        common::write(folder.path(), "naive-rules.yaml", &rule);
        common::write(folder.path(), "naive.yaml", &policy);
        let rules = sources::rules(&["naive-rules.yaml"], folder.path()).unwrap();
        let answer = sources::answer(&["naive.yaml"], folder.path()).unwrap();
        let (_, _, outcome) = play(&drill(&named(name), &rules, &answer), 1);
        let is_counted =
            outcome.actions > 0 && outcome.noop_false_positives == Some(outcome.actions) && outcome.false_positives == outcome.actions;
        common::holds(is_counted, || format!("{name}: {} actions", outcome.actions))
    });
}

#[test]
fn a_fault_that_no_policy_knows_is_paged_and_not_acted_on_and_missed_without_that() {
    let (spent, rules) = (named("spent-quota"), rules());
    let (_, policy, outcome) = play(&drill(&spent, &rules, &good()), 1);
    assert_eq!((deeds(&policy), outcome.missed), (Vec::new(), 0));
    assert!(outcome.pages >= 1, "somebody is called");
    let others: Vec<&str> = policies::POLICIES.iter().filter(|entry| !entry.is_hazard()).map(policies::Entry::name).collect();
    let others: Vec<&str> = others.into_iter().filter(|name| *name != "page-on-user-impact").collect();
    let (_, _, without) = play(&drill(&spent, &rules, &answer(&others)), 1);
    assert_eq!((without.pages, without.missed), (0, 1));
}

#[test]
fn whoever_is_helped_by_another_policy_is_not_paged_for() {
    let (_, policy, outcome) = play(&drill(&named("hang-one-replica"), &rules(), &good()), 1);
    assert!(deeds(&policy).iter().any(|deed| deed.starts_with("restart-crashed-or-hung")), "{:?}", deeds(&policy));
    assert_eq!((outcome.pages, outcome.false_positives), (0, 0));
}

#[test]
fn a_real_incident_is_found_although_an_exporter_is_dead_and_nothing_else_is_touched() {
    let (_, policy, outcome) = play(&drill(&named("blind-hang"), &rules(), &good()), 1);
    let deeds = deeds(&policy);
    assert!(!deeds.is_empty() && deeds.iter().all(|deed| deed.contains("restart (rolling) on replica/api-1")), "{deeds:?}");
    assert_eq!((outcome.false_positives, outcome.missed), (0, 0));
}

/// Words of a scenario with those that take their place.
type Edits = &'static [(&'static str, &'static str)];

/// Policies of the library with a scenario in which each acts, and what else the scenario needs. What Online Boutique's needs no simulated system shows.
const ACTING: [(&str, &str, Edits); 20] = [
    ("break-hanging-dependency", "slow-recommendations", &[("horizon: 35m", "horizon: 22m")]),
    ("break-retry-storm", "retry-storm", &[]),
    ("clear-filling-volume", "disk-fills", &[("horizon: 35m", "horizon: 22m")]),
    ("drain-lost-zone", "zone-loss", &[("horizon: 40m", "horizon: 22m")]),
    ("drain-sick-replica", "crash-loop-one-replica", &[("horizon: 35m", "horizon: 22m")]),
    ("fail-over-lost-primary", "primary-lost", &[("horizon: 22m", "horizon: 10m")]),
    ("flush-unreadable-entries", "spoilt-entries", &[("horizon: 30m", "horizon: 22m")]),
    ("isolate-slow-dependency", "slow-database", &[("horizon: 35m", "horizon: 22m")]),
    ("park-poisoned-messages", "poisoned-order", &[("horizon: 25m", "horizon: 16m")]),
    ("renew-expired-certificate", "certificate-expires", &[("horizon: 30m", "horizon: 22m")]),
    ("replace-starved-node", "node-fails-slowly", &[("horizon: 35m", "horizon: 22m")]),
    ("reset-starving-pool", "connection-leak", &[("horizon: 35m", "horizon: 22m")]),
    ("restart-before-oom", "memory-leak-to-oom", &[]),
    ("restart-crashed-or-hung", "hang-one-replica", &[("horizon: 35m", "horizon: 22m")]),
    ("revert-config-drift", "config-drift", &[("horizon: 30m", "horizon: 22m")]),
    ("rollback-on-regression", "bad-deploy-errors", &[("horizon: 35m", "horizon: 22m")]),
    ("scale-back-thread-limit", "thread-limit", &[("horizon: 30m", "horizon: 22m")]),
    ("scale-on-saturation", "traffic-surge", &[]),
    ("scale-out-waiting-workers", "slow-network", &[("horizon: 30m", "horizon: 22m")]),
    ("shift-from-slow-zone", "slow-zone", &[("horizon: 35m", "horizon: 22m")]),
];

/// That all is as it should be with a policy if every action is reported as done and nothing is.
fn in_vain(policy: &str, name: &str, edits: &[(&str, &str)], rules: &Arc<Rules>) -> Result<(), String> {
    let edits: Vec<(&str, &str)> = [edits, &[("faults:", "faults:\n  - actuator: { no_effect: 100% }\n    at: 0s")]].concat();
    let (nothing, played, outcome) = play(&drill(&scenario(&edited(name, &edits)), rules, &answer(&[policy])), 1);
    let records = || played.transcript.journal.records().iter().map(|record| &record.event);
    let verified: Vec<Verification> =
        records().filter_map(|event| if let Event::Verified { verdict, .. } = event { Some(*verdict) } else { None }).collect();
    // Which replicas a node had is not known afterwards, so of what acts on one nothing is measured.
    let is_to_be_measured = verified.contains(&Verification::Failed) && policy != "replace-starved-node";
    let checks = [
        (!deeds(&played).is_empty(), "it acts"),
        (verified.iter().any(|verdict| *verdict != Verification::Held), "its verification fails"),
        (outcome.pages > 0, "a person is called"),
        (nothing.transcript.ledger.digest() == played.transcript.ledger.digest(), "every request fares as if nobody had acted"),
        (nothing.transcript.ledger.services == played.transcript.ledger.services, "every service is as if nobody had acted"),
        (outcome.time_to_undo.is_none_or(|undo| !undo.censored && undo.seconds <= 10.0), "what was not done is undone at once"),
        (outcome.time_to_undo.is_some() == is_to_be_measured, "and that is measured"),
    ];
    let broken: Vec<&str> = checks.iter().filter(|(holds, _)| !holds).map(|(_, what)| *what).collect();
    let told = || format!("{policy} in {name}: not so: {}; {verified:?}, {:?}", broken.join(", "), outcome.time_to_undo);
    common::holds(broken.is_empty(), told)
}

#[test]
fn each_policy_finds_out_that_its_action_had_no_effect_and_calls_a_person() {
    let known = policies::POLICIES.iter().filter(|entry| !entry.is_hazard()).map(policies::Entry::name);
    // One only calls, and one reads metrics that no simulated system shows.
    let acting: Vec<&str> = known.filter(|name| !["page-on-user-impact", "online-boutique-restart"].contains(name)).collect();
    assert_eq!(acting, ACTING.map(|(policy, ..)| policy));
    let rules = rules();
    common::each(&ACTING, |(policy, name, edits)| in_vain(policy, name, edits, &rules));
}

#[test]
fn what_did_not_help_is_undone_and_the_state_is_that_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let library = std::fs::read_to_string(root().join("policies/library/scale-on-saturation.yaml")).unwrap();
    let undoing = library.replace("on_failure: next", "on_failure: revert");
    assert_ne!(undoing, library);
    common::write(folder.path(), "scale-on-saturation.yaml", &undoing);
    let answer = sources::answer(&["scale-on-saturation.yaml"], folder.path()).unwrap();
    // So many come that twice the replicas are not enough.
    let surge = scenario(&edited("traffic-surge", &[("factor: x2.5", "factor: x4")]));
    let (_, played, outcome) = play(&drill(&surge, &rules(), &answer), 1);
    let told = deeds(&played);
    assert!(told.len() >= 2 && told[0].contains("scale (x2)") && told[1].contains("scale (to 4)"), "{told:?}");
    let undo = outcome.time_to_undo.expect("a verification failed");
    assert!(!undo.censored && undo.seconds < 60.0, "{undo:?}");
    let web = played.transcript.ledger.services.iter().find(|service| &*service.service == "web").unwrap();
    let last = web.bins.last().unwrap();
    assert_eq!((last.wanted, last.ready, last.removed_by_actions, last.rolling_out), (4, 4, 0, false));
}

#[test]
fn limits_of_a_remediation_that_failed_are_lifted_by_themselves() {
    // The purge has no effect, and the limit that came before it has.
    let half =
        scenario(&edited("retry-storm", &[("faults:", "faults:\n  - actuator: { action: purge_queue, no_effect: 100% }\n    at: 0s")]));
    let (_, played, _) = play(&drill(&half, &rules(), &answer(&["break-retry-storm"])), 1);
    let limits: Vec<Option<u32>> = played
        .transcript
        .journal
        .records()
        .iter()
        .filter_map(|record| if let Event::RetriesLimited { retries, .. } = &record.event { Some(*retries) } else { None })
        .collect();
    assert_eq!(limits.first(), Some(&Some(0)), "{limits:?}");
    assert_eq!(limits.last(), Some(&None), "{limits:?}");
}
