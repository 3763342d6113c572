//! What monitoring sees of the world (docs/MODEL.md 4): phases, `up`, staleness, counters that reset, and the words that people's rules use.

use std::collections::BTreeMap;

use crate::common::*;
use firedrill_core::action::{Action, RestartMode, Scale};
use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::{Span, Start};
use firedrill_sim::spec::*;
use firedrill_sim::{Finished, Script};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::is_stale;

/// A front end with two replicas that calls a back end.
fn shop() -> WorldSpec {
    let mut front = service("front", vec![Phase::Cpu(exponential(0.01)), call("back", Some(Span::from_seconds(1)), 1)]);
    front.replicas = 2;
    front.workers = Some(8);
    let mut back = service("back", vec![Phase::Cpu(exponential(0.01))]);
    back.workers = Some(8);
    let mut users = client("users", "front", 50.0);
    users.timeout = Some(Span::from_seconds(2));
    world(300, vec![back, front], vec![users])
}

/// Samples by second since the start of the series that fits; one must.
#[track_caller]
fn samples(finished: &Finished<Script>, matchers: &str) -> Vec<(f64, f64)> {
    let found = finished.telemetry.select(&parse_matchers(matchers).expect("matchers"));
    assert_eq!(found.len(), 1, "{matchers} selects one series");
    let start = Start::default().unix_millis();
    let times = finished.telemetry.times(found[0]).iter().map(|time| (time - start) as f64 / 1e3);
    times.zip(finished.telemetry.values(found[0]).iter().copied()).collect()
}

/// The last value at or before a second; `None` if the series is stale or has not begun.
#[track_caller]
fn value(finished: &Finished<Script>, matchers: &str, second: f64) -> Option<f64> {
    let found = samples(finished, matchers);
    found.into_iter().rev().find(|(time, _)| *time <= second).map(|(_, value)| value).filter(|value| !is_stale(*value))
}

#[test]
fn every_target_is_scraped_at_its_own_phase_in_whole_milliseconds() {
    let finished = run_cured(&shop(), 1);
    let mut phases = BTreeMap::new();
    for id in finished.telemetry.select(&parse_matchers(r#"__name__="up""#).unwrap()) {
        let times = finished.telemetry.times(id);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 15_000), "every 15 s");
        assert_eq!(times.len(), 20);
        phases.insert(times[0] - Start::default().unix_millis(), finished.telemetry.labels(id).to_string());
    }
    // Three replicas, a client, a kubelet in two places, the state of the cluster, a probe.
    assert_eq!(phases.len(), 8, "{phases:?}");
    assert!(phases.keys().all(|phase| (0..15_000).contains(phase)));
}

#[test]
fn server_and_caller_count_the_same_answers() {
    let finished = run_cured(&shop(), 1);
    let last = |matchers: &str| samples(&finished, matchers).last().copied().unwrap().1;
    let by_pod = |pod: &str| last(&format!(r#"__name__="http_requests_total",handler="/",method="GET",code="200",pod="{pod}""#));
    let asked = last(r#"__name__="http_client_requests_total",client="users",target="front",outcome="success""#);
    let answered = by_pod("front-0") + by_pod("front-1");
    assert!((asked - answered).abs() < 1500.0 && answered > 13_000.0, "{asked} {answered}");
    assert!((by_pod("front-0") - by_pod("front-1")).abs() < 800.0, "in turn");
    let back = by_pod("back-0");
    let called = last(r#"__name__="http_client_requests_total",pod="front-0",target="back",outcome="success""#)
        + last(r#"__name__="http_client_requests_total",pod="front-1",target="back",outcome="success""#);
    assert!((back - called).abs() < 1500.0, "{back} {called}");
    let buckets = |le: &str| last(&format!(r#"__name__="http_request_duration_seconds_bucket",pod="back-0",le="{le}""#));
    assert!((buckets("+Inf") - back).abs() < 1e-9);
    // Exponential with mean 10 ms, and no queue to speak of.
    assert!((buckets("0.01") / back - 0.632).abs() < 0.03 && (buckets("0.025") / back - 0.918).abs() < 0.03);
    let mean = last(r#"__name__="http_request_duration_seconds_sum",pod="back-0""#) / back;
    let cpu = last(r#"__name__="process_cpu_seconds_total",pod="back-0""#) / back;
    assert!((mean - 0.01).abs() < 0.001 && (cpu - 0.01).abs() < 0.001, "{mean} {cpu}");
}

#[test]
fn labels_are_those_that_rules_expect() {
    let finished = run_cured(&shop(), 1);
    let check = |matchers: &str, expected: &str| {
        let found = finished.telemetry.select(&parse_matchers(matchers).unwrap());
        assert_eq!(finished.telemetry.labels(found[0]).to_string(), expected);
    };
    check(
        r#"__name__="up",pod="front-1""#,
        r#"up{instance="front-1:8080", job="front", namespace="default", pod="front-1", service="front", version="v1", zone="a"}"#,
    );
    check(
        r#"__name__="kube_pod_status_ready",pod="back-0",condition="true""#,
        r#"kube_pod_status_ready{condition="true", instance="kube-state-metrics:8080", job="kube-state-metrics", namespace="default", pod="back-0", uid="back-0"}"#,
    );
    check(
        r#"__name__="container_memory_working_set_bytes",pod="back-0""#,
        r#"container_memory_working_set_bytes{container="back", instance="node-a:10250", job="kubelet", metrics_path="/metrics/cadvisor", namespace="default", node="node-a", pod="back-0"}"#,
    );
    check(r#"__name__="probe_success""#, r#"probe_success{instance="http://front/", job="blackbox", service="front"}"#);
}

#[test]
fn a_process_that_hangs_or_is_down_has_up_zero_and_markers_on_all_else() {
    let mut spec = shop();
    spec.faults = vec![fault("hang", 100, Some(60), FaultKind::Hang { target: replica_target("front-0") })];
    spec.cures = vec![cure(200, Action::Restart { mode: RestartMode::AtOnce }, replica_target("front-1"))];
    spec.services[1].start_up = seconds(40.0);
    let finished = run_cured(&spec, 1);
    let up = |pod: &str, second| value(&finished, &format!(r#"__name__="up",pod="{pod}""#), second);
    let requests = |pod: &str, second| value(&finished, &format!(r#"__name__="http_requests_total",pod="{pod}",code="200""#), second);
    assert_eq!((up("front-0", 95.0), up("front-0", 130.0), up("front-0", 180.0)), (Some(1.0), Some(0.0), Some(1.0)));
    assert!(requests("front-0", 95.0).is_some() && requests("front-0", 130.0).is_none());
    // A hang loses no counters, a restart does.
    assert!(requests("front-0", 180.0).unwrap() >= requests("front-0", 95.0).unwrap());
    assert_eq!(up("front-1", 225.0), Some(0.0));
    assert!(requests("front-1", 280.0).unwrap() < requests("front-1", 199.0).unwrap());
    let timeouts = value(&finished, r#"__name__="http_client_requests_total",client="users",outcome="timeout""#, 160.0);
    assert!(timeouts.unwrap() > 1000.0, "the caller sees what the hung process cannot tell");
    let start = value(&finished, r#"__name__="process_start_time_seconds",pod="front-1""#, 280.0).unwrap();
    assert!((start - Start::default().unix_millis() as f64 / 1e3 - 200.0).abs() < 1e-3);
}

#[test]
fn the_cluster_tells_of_crash_loops_and_out_of_memory_kills() {
    let mut spec = shop();
    spec.services[0].memory = MemorySpec { base: mib(100), per_request: Bytes::new(0), limit: Some(mib(200)) };
    spec.faults = vec![
        fault("leak", 20, Some(1000), FaultKind::MemoryLeak { target: service_target("back"), per_second: mib(2) }),
        fault("loop", 120, None, FaultKind::Crash { target: replica_target("front-0"), every: Some(Span::from_seconds(3)) }),
    ];
    let finished = run_cured(&spec, 1);
    let restarts =
        |pod: &str, second| value(&finished, &format!(r#"__name__="kube_pod_container_status_restarts_total",pod="{pod}""#), second);
    assert_eq!((restarts("back-0", 60.0), restarts("back-0", 100.0)), (Some(0.0), Some(1.0)));
    assert_eq!(
        value(&finished, r#"__name__="kube_pod_container_status_last_terminated_reason",pod="back-0",reason="OOMKilled""#, 100.0),
        Some(1.0)
    );
    let memory = samples(&finished, r#"__name__="container_memory_working_set_bytes",pod="back-0""#);
    let highest = memory.iter().filter(|(time, _)| *time < 70.0).map(|(_, value)| *value).fold(0.0, f64::max);
    assert!(highest > 160.0 * 1_048_576.0 && highest < 200.0 * 1_048_576.0, "{highest}");
    assert!(restarts("front-0", 299.0).unwrap() >= 4.0);
    let waiting = samples(&finished, r#"__name__="kube_pod_container_status_waiting_reason",pod="front-0",reason="CrashLoopBackOff""#);
    assert!(waiting.iter().any(|(_, value)| (*value - 1.0).abs() < 1e-9));
    let unready = value(&finished, r#"__name__="kube_deployment_status_replicas_unavailable",deployment="front""#, 290.0);
    assert_eq!(unready, Some(1.0));
}

#[test]
fn a_target_that_is_gone_is_marked_and_scraped_no_more() {
    let mut spec = shop();
    spec.cures = vec![cure(100, Action::Scale { replicas: Scale::To(1) }, service_target("front"))];
    let finished = run_cured(&spec, 1);
    let up = samples(&finished, r#"__name__="up",pod="front-1""#);
    let (time, last) = *up.last().unwrap();
    assert!(is_stale(last) && time > 100.0 && time <= 116.0, "{time}");
    let ready = samples(&finished, r#"__name__="kube_pod_status_ready",pod="front-1",condition="true""#);
    assert!(is_stale(ready.last().unwrap().1));
}

#[test]
fn a_lost_zone_is_silent() {
    let mut spec = shop();
    spec.services[1].zones = vec![Name::new("a"), Name::new("b")];
    spec.faults = vec![fault("zone", 100, Some(60), FaultKind::ZoneLoss { zone: Name::new("b") })];
    let finished = run_cured(&spec, 1);
    let up = |instance: &str, second| value(&finished, &format!(r#"__name__="up",instance="{instance}""#), second);
    for path in ["/metrics", "/metrics/cadvisor"] {
        let up = |node: &str| value(&finished, &format!(r#"__name__="up",instance="{node}:10250",metrics_path="{path}""#), 130.0);
        assert_eq!((up("node-b"), up("node-a")), (Some(0.0), Some(1.0)), "{path}");
    }
    assert_eq!((up("front-1:8080", 130.0), up("front-1:8080", 200.0)), (Some(0.0), Some(1.0)));
}

#[test]
fn a_probe_fails_when_the_service_does() {
    let mut spec = shop();
    spec.faults = vec![
        fault("errors", 50, Some(50), FaultKind::ErrorRate { target: service_target("front"), error: share(1.0) }),
        fault("hang", 150, Some(50), FaultKind::Hang { target: service_target("front") }),
    ];
    let finished = run_cured(&spec, 1);
    let probe = |metric: &str, second| value(&finished, &format!(r#"__name__="{metric}",service="front""#), second).unwrap();
    assert_eq!([40.0, 95.0, 140.0, 190.0, 250.0].map(|second| probe("probe_success", second)), [1.0, 0.0, 1.0, 0.0, 1.0]);
    assert_eq!([40.0, 95.0, 190.0].map(|second| probe("probe_http_status_code", second)), [200.0, 500.0, 0.0]);
    assert!((probe("probe_duration_seconds", 190.0) - 5.0).abs() < 1e-9 && probe("probe_duration_seconds", 40.0) < 0.1);
}

#[test]
fn a_service_has_metrics_of_its_own() {
    let metric = |name: &str, labels: Vec<(&str, LabelSource)>, feed| MetricSpec {
        name: Name::new(name),
        labels: labels.into_iter().map(|(label, source)| (Name::new(label), source)).collect(),
        feed,
    };
    let endpoint = || Some(Name::new("/"));
    let mut spec = shop();
    spec.services[1].endpoints[0].error = share(0.2);
    spec.services[1].metrics = vec![
        metric(
            "orders_total",
            vec![("shop", LabelSource::Fixed(Name::new("main")))],
            Feed::Requests { endpoint: endpoint(), success: Some(true) },
        ),
        metric(
            "calls_total",
            vec![("path", LabelSource::Endpoint), ("status", LabelSource::Code)],
            Feed::Requests { endpoint: None, success: None },
        ),
        metric("results_total", vec![("result", LabelSource::Outcome)], Feed::Requests { endpoint: None, success: None }),
        metric("latency_ms", Vec::new(), Feed::Latency { endpoint: None, buckets: vec![10.0, 50.0], scale: 1000.0 }),
        metric("busy", Vec::new(), Feed::InService),
        metric("replicas_ready", Vec::new(), Feed::ReadyReplicas),
        metric("deployed_seconds", Vec::new(), Feed::DeployTimestamp),
    ];
    let finished = run_cured(&spec, 1);
    let last = |matchers: &str| value(&finished, &format!(r#"{matchers},pod="front-0""#), 300.0).unwrap();
    let orders = last(r#"__name__="orders_total",shop="main""#);
    let errors = last(r#"__name__="calls_total",path="/",status="500""#);
    assert!((errors / (orders + errors) - 0.2).abs() < 0.02, "{errors} {orders}");
    assert!((last(r#"__name__="results_total",result="error""#) - errors).abs() < 1e-9);
    assert!((last(r#"__name__="latency_ms_count""#) - orders - errors).abs() < 1e-9);
    assert!(last(r#"__name__="latency_ms_bucket",le="10""#) < last(r#"__name__="latency_ms_bucket",le="50""#));
    let mean = last(r#"__name__="latency_ms_sum""#) / last(r#"__name__="latency_ms_count""#);
    assert!((mean - 20.0).abs() < 2.0, "{mean} ms");
    assert!((last(r#"__name__="replicas_ready""#) - 2.0).abs() < 1e-9);
    assert!((last(r#"__name__="deployed_seconds""#) - Start::default().unix_millis() as f64 / 1e3).abs() < 1e-9);
}
