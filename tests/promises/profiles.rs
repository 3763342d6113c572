//! Metric profiles through the whole command: rules as people write them for an exporter find its series in a scenario, and fire when they should.
//!
//! With `FIREDRILL_CORPUS` set, people's own rule files are tried too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use firedrill::drill::{Answer, Arm, Drill, Remembered, Rules};
use firedrill::sources;
use firedrill_core::journal::{Event, LabelSet};
use firedrill_core::time::Time;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::rules::RuleSet;
use firedrill_scenarios::{library, read_scenario};

/// When all faults of these scenarios set in.
const ONSET: Time = Time::from_seconds(240);

/// The alerts of some rules in the first twelve minutes of a scenario of the library that shows itself by these profiles: whether each fired
/// before the fault, and with which labels after it.
fn fired(scenario: &str, profiles: &str, rules: &str) -> (BTreeSet<String>, BTreeMap<String, Vec<LabelSet>>) {
    let (path, text) = library::get(scenario).unwrap();
    let text = text.replace("horizon: 20m\n", &format!("horizon: 12m\nmetrics: [{profiles}]\n"));
    let scenario = Arc::new(read_scenario(path, &text).unwrap());
    let set = RuleSet::read([("rules.yaml", rules)]).unwrap();
    let rules = Arc::new(Rules { set, hash: String::new(), routing: None });
    let none: [&str; 0] = [];
    let answer: Arc<Answer> = sources::answer(&none, Path::new(".")).unwrap();
    let drill = Drill { scenario, rules, answer, stage: Stage::DryRun, past: Remembered::default() };
    let (mut before, mut after) = (BTreeSet::new(), BTreeMap::<String, Vec<LabelSet>>::new());
    for record in drill.play(Arm::Nothing, 1).transcript.journal.records() {
        match &record.event {
            Event::AlertFiring { alert, .. } if record.at < ONSET => drop(before.insert(alert.to_string())),
            Event::AlertFiring { alert, labels, .. } => after.entry(alert.to_string()).or_default().push(labels.clone()),
            Event::RuleFailed { rule, message } => panic!("{rule}: {message}"),
            _ => {}
        }
    }
    (before, after)
}

/// A rule file of one group.
fn group(rules: &[(&str, &str)]) -> String {
    let rules: String = rules.iter().map(|(alert, expr)| format!("      - {{ alert: {alert}, expr: '{expr}', for: 15s }}\n")).collect();
    format!("groups:\n  - name: test\n    interval: 15s\n    rules:\n{rules}")
}

/// Every rule fires after the onset of the fault, and none before it; where `label` says, on what it says.
#[track_caller]
fn check(scenario: &str, profiles: &str, rules: &[(&str, &str)], label: (&str, &str)) {
    let (before, after) = fired(scenario, profiles, &group(rules));
    assert!(before.is_empty(), "{scenario}: {before:?} fire before anything breaks");
    for (alert, _) in rules {
        let found = after.get(*alert).unwrap_or_else(|| panic!("{scenario}: {alert} never fires"));
        let told: Vec<&str> = found.iter().filter_map(|labels| labels.get(label.0)).map(|value| value.as_str()).collect();
        assert!(told.is_empty() || told.contains(&label.1), "{scenario}: {alert} is about {told:?}");
    }
}

#[test]
fn rules_for_a_mesh_see_a_bad_version_behind_the_front_end() {
    let rules = [
        (
            "Errors",
            r#"sum by (destination_service_name) (rate(istio_requests_total{reporter="source", response_code=~"5.*"}[1m])) / sum by (destination_service_name) (rate(istio_requests_total{reporter="source"}[1m])) > 0.2"#,
        ),
        (
            "Slow",
            r#"histogram_quantile(0.9, sum by (le, destination_service_name) (rate(istio_request_duration_milliseconds_bucket{reporter="destination"}[1m]))) > 250"#,
        ),
    ];
    check("shop-slow-catalog", "istio", &rules, ("destination_service_name", "catalog"));
}

#[test]
fn rules_for_envoy_see_timeouts_and_errors_of_a_cluster() {
    let rules = [
        (
            "ClusterErrors",
            r#"sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"}[1m])) / sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_completed[1m])) > 0.1"#,
        ),
        (
            "Inbound",
            r#"sum by (service) (rate(envoy_http_downstream_rq_xx{envoy_response_code_class="5"}[1m])) / sum by (service) (rate(envoy_http_downstream_rq_completed[1m])) > 0.1"#,
        ),
    ];
    check("payments-bad-ledger", "envoy", &rules, ("envoy_cluster_name", "ledger"));
}

#[test]
fn rules_for_opentelemetry_see_calls_that_time_out() {
    let rules = [
        ("Timeouts", r#"sum by (server_address) (rate(http_client_request_duration_seconds_count{error_type="timeout"}[1m])) > 5"#),
        (
            "Late",
            r#"histogram_quantile(0.9, sum by (le, service) (rate(http_server_request_duration_seconds_bucket{service="fraud"}[1m]))) > 1"#,
        ),
    ];
    check("payments-ledger-storm", "opentelemetry", &rules, ("server_address", "ledger-db"));
}

#[test]
fn rules_for_spring_and_kubernetes_see_a_leak_and_who_owns_the_pods() {
    let rules = [
        (
            "Heap",
            r#"sum by (service, instance) (jvm_memory_used_bytes{area="heap"}) / sum by (service, instance) (jvm_memory_max_bytes{area="heap"} > 0) > 0.8"#,
        ),
        ("ServerErrors", r#"sum by (service) (rate(http_server_requests_seconds_count{outcome="SERVER_ERROR"}[1m])) > 0.1"#),
        (
            "WorkingSet",
            r#"max by (namespace, pod, container) (container_memory_working_set_bytes{container!="", image!=""}) / on (namespace, pod, container) group_left () max by (namespace, pod, container) (container_spec_memory_limit_bytes > 0) > 0.8"#,
        ),
        (
            "Restarts",
            r#"sum by (namespace, pod, owner_name) (increase(kube_pod_container_status_restarts_total[2m]) * on (namespace, pod) group_left (owner_name) kube_pod_owner{owner_kind="ReplicaSet"}) > 0"#,
        ),
    ];
    check("feed-leak", "micrometer, kube-state-metrics, cadvisor", &rules, ("owner_name", "timelines-v4"));
}

#[test]
fn rule_files_of_others_fire_unchanged() {
    let Some(corpus) = std::env::var_os("FIREDRILL_CORPUS") else { return };
    let cases = [
        ("istio", "shop-slow-catalog", "istio", &["IstioHigh5xxErrorRate", "IstioHighRequestLatency"][..]),
        // `EnvoyHighClusterUpstream5xxErrorRate` fires nowhere: one side of its division has the class of the answer as a label, and the other not.
        ("envoy", "payments-bad-ledger", "envoy", &["EnvoyHighDownstreamHttp5xxErrorRate"]),
        // The leak takes a hundred seconds from four fifths of the heap to its end, and the rule waits for two minutes.
        ("jvm", "feed-leak", "micrometer", &[]),
    ];
    for (folder, scenario, profiles, wanted) in cases {
        let folder = Path::new(&corpus).join("rules/awesome-prometheus-alerts/dist/rules").join(folder);
        let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let (_, after) = fired(scenario, profiles, &std::fs::read_to_string(file).unwrap());
        for alert in wanted {
            assert!(after.contains_key(*alert), "{scenario}: {alert} never fires; {:?} do", after.keys());
        }
    }
}
