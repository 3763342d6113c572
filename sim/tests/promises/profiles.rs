//! Metric profiles: every profile tells what was true, under the names, types and labels of its exporter (docs/MODEL.md 4.3).

use std::sync::Arc;

use crate::common::*;
use firedrill_core::action::{Action, RestartMode, Target};
use firedrill_core::ledger::ServiceTotals;
use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_sim::spec::*;
use firedrill_sim::{Finished, Script, universe};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::is_stale;

/// A front end that calls a back end which has timeouts and errors, and a client that asks at a constant rate until it stops after four minutes:
/// at the end all is answered and told. The back end is down for ten seconds in between.
fn shop(profiles: &[Profile]) -> WorldSpec {
    let slow = Phase::Sleep(firedrill_core::distribution::Distribution::uniform(0.0, 0.2).unwrap());
    let mut front = service("front", vec![Phase::Cpu(exponential(0.005)), call("back", Some(Span::from_millis(150)), 1)]);
    (front.replicas, front.workers) = (2, None);
    let mut back = service("back", vec![slow]);
    (back.workers, back.endpoints[0].error) = (None, share(0.1));
    (front.profiles, back.profiles) = (profiles.to_vec(), profiles.to_vec());
    let mut users = client("users", "front", 50.0);
    users.rates = vec![(at(0), rate(50.0)), (at(240), rate(0.0))];
    let mut spec = world(300, vec![back, front], vec![users]);
    let latency = FaultKind::Hang { target: Target::Service(Name::new("back")) };
    spec.faults = vec![fault("hang", 100, Some(5), latency)];
    spec.services.iter_mut().for_each(|service| service.profiles.sort());
    spec
}

/// The last samples of all series that fit, added up.
#[track_caller]
fn total(finished: &Finished<Script>, selector: &str) -> f64 {
    let (metric, others) = selector.split_once('{').unwrap_or((selector, "}"));
    let matchers = format!("__name__=\"{metric}\",{}", others.trim_end_matches('}'));
    let matchers = matchers.trim_end_matches(',').to_owned();
    let found = finished.telemetry.select(&parse_matchers(&matchers).expect("matchers"));
    assert!(!found.is_empty(), "{matchers} selects a series");
    found.iter().filter_map(|series| finished.telemetry.values(*series).last().copied()).filter(|value| !is_stale(*value)).sum()
}

#[track_caller]
fn same(told: f64, truth: u64, what: &str) {
    assert!((told - truth as f64).abs() < 0.5, "{what}: told {told}, and {truth} is true");
    assert!(truth > 0, "{what} proves nothing about nothing");
}

fn totals(finished: &Finished<Script>, service: &str) -> ServiceTotals {
    finished.ledger.services.iter().find(|ledger| &*ledger.service == service).unwrap().totals
}

#[test]
fn istio_tells_every_attempt_twice_once_by_each_side() {
    let done = run_cured(&shop(&[Profile::Istio]), 1);
    let back = totals(&done, "back");
    same(total(&done, r#"istio_requests_total{reporter="source",destination_service_name="back"}"#), back.sent, "what the front end sent");
    let came = total(&done, r#"istio_requests_total{reporter="destination",destination_service_name="back",source_workload="front"}"#);
    same(came, back.sent - back.rejected, "what came to the back end");
    let known = r#"source_principal="spiffe://cluster.local/ns/default/sa/front",destination_principal="spiffe://cluster.local/ns/default/sa/back",source_canonical_revision="unknown",destination_canonical_revision="v1",destination_cluster="Kubernetes""#;
    same(total(&done, &format!("istio_requests_total{{reporter=\"destination\",{known}}}")), came as u64, "who asked, by its certificate");
    let late = total(&done, r#"istio_requests_total{reporter="source",response_code="504",response_flags="UT"}"#);
    let gone = total(
        &done,
        r#"istio_requests_total{reporter="destination",destination_service_name="back",response_code="0",response_flags="DC"}"#,
    );
    same(gone, late as u64, "whoever waited no longer");
    same(late, back.abandoned, "the abandoned");
    let from_outside =
        total(&done, r#"istio_requests_total{reporter="destination",destination_workload="front",source_workload="unknown"}"#);
    same(from_outside, totals(&done, "front").sent, "what clients asked");
    let buckets = total(&done, r#"istio_request_duration_milliseconds_bucket{reporter="source",le="250"}"#);
    let timed_out_at_150 = total(&done, r#"istio_request_duration_milliseconds_count{reporter="source"}"#);
    same(buckets, timed_out_at_150 as u64, "all that took up to the timeout");
}

#[test]
fn envoy_counts_answers_timeouts_and_retries_of_a_cluster() {
    let done = run_cured(&shop(&[Profile::Envoy]), 2);
    let back = totals(&done, "back");
    let of = |metric: &str| total(&done, &format!(r#"{metric}{{envoy_cluster_name="back"}}"#));
    same(of("envoy_cluster_upstream_rq_total"), back.sent, "requests");
    same(of("envoy_cluster_upstream_rq_completed"), back.sent, "completed");
    same(of("envoy_cluster_upstream_rq_timeout"), back.abandoned, "timeouts");
    let class = |class: u8| total(&done, &format!(r#"envoy_cluster_upstream_rq_xx{{envoy_response_code_class="{class}"}}"#));
    same(class(2) + class(5), back.sent, "all classes");
    // Each failed first attempt is tried again once, and nothing else makes more attempts than requests.
    same(of("envoy_cluster_upstream_rq_retry"), back.sent - totals(&done, "front").sent, "retries");
    let again = of("envoy_cluster_upstream_rq_retry_success");
    assert!(again > 0.0 && again < of("envoy_cluster_upstream_rq_retry"), "{again} retries succeeded");
    assert!(of("envoy_cluster_upstream_rq_active") < 0.5, "nothing is under way at the end");
    same(total(&done, "envoy_http_downstream_rq_completed{service=\"front\"}"), totals(&done, "front").completed, "what came in");
    same(total(&done, "envoy_http_downstream_rq_time_count{service=\"front\"}"), totals(&done, "front").completed, "what was timed");
    same(total(&done, "envoy_http_downstream_rq_total{service=\"front\"}"), totals(&done, "front").sent, "all that came in");
    same(of("envoy_cluster_membership_healthy"), 2, "one member, as two callers see it");
}

#[test]
fn envoy_tells_what_its_bounds_hold_back() {
    let mut spec = shop(&[Profile::Envoy]);
    pooled(&mut spec, 3);
    let done = run_cured(&spec, 2);
    let of = |metric: &str| total(&done, &format!(r#"{metric}{{envoy_cluster_name="back"}}"#));
    // Whoever fails once more has had its one retry.
    let failed_again = of("envoy_cluster_upstream_rq_retry") - of("envoy_cluster_upstream_rq_retry_success");
    same(of("envoy_cluster_upstream_rq_retry_limit_exceeded"), failed_again as u64, "out of retries");
    let waited = of("envoy_cluster_upstream_rq_pending_total");
    assert!(waited > 100.0 && waited < totals(&done, "back").sent as f64, "{waited} had to wait for one of three connections");
    assert!(
        of("envoy_cluster_upstream_rq_pending_active") < 0.5 && of("envoy_cluster_circuit_breakers_default_cx_open") < 0.5,
        "all is calm"
    );
    assert!(of("envoy_cluster_circuit_breakers_default_rq_retry_open") < 0.5);
}

/// Lets each process of the front end have so many connections to the back end.
fn pooled(spec: &mut WorldSpec, size: u32) {
    let front = spec.services.iter_mut().find(|service| &*service.name == "front").unwrap();
    for phase in &mut front.endpoints[0].phases {
        if let Phase::Call(call) = phase {
            call.protection.pool = Some(PoolSpec { size, timeout: Span::from_seconds(30) });
        }
    }
}

#[test]
fn pools_tell_how_long_connections_are_waited_for_and_used() {
    let mut spec = shop(&[Profile::OpenTelemetry, Profile::Micrometer]);
    pooled(&mut spec, 3);
    let done = run_cured(&spec, 6);
    let back = totals(&done, "back");
    let of = |metric: &str| total(&done, &format!(r#"{metric}{{pool="back"}}"#));
    same(of("hikaricp_connections_acquire_seconds_count"), back.sent, "connections taken");
    same(of("hikaricp_connections_usage_seconds_count"), back.sent, "connections given back");
    let (used, waited) = (of("hikaricp_connections_usage_seconds_sum"), of("hikaricp_connections_acquire_seconds_sum"));
    let calls = total(&done, r#"http_client_requests_seconds_sum{client_name="back"}"#);
    assert!((used - calls).abs() < 1e-6 && used > 10.0, "a connection is used as long as its attempt takes: {used} and {calls}");
    assert!(waited > 1.0, "{waited} s were waited");
    let by_other = |metric: &str| total(&done, &format!(r#"{metric}{{db_client_connection_pool_name="back"}}"#));
    assert!((by_other("db_client_connection_wait_time_seconds_sum") - waited).abs() < 1e-9);
    assert!((by_other("db_client_connection_use_time_seconds_sum") - used).abs() < 1e-9);
    same(total(&done, r#"db_client_connection_use_time_seconds_bucket{le="+Inf"}"#), back.sent, "all buckets");
    same(by_other("db_client_connection_idle_min"), 6, "two pools of three");
}

#[test]
fn linkerds_proxies_tell_requests_and_responses_of_both_directions() {
    let done = run_cured(&shop(&[Profile::Linkerd]), 7);
    let back = totals(&done, "back");
    let sent = total(&done, r#"request_total{direction="outbound",dst_deployment="back"}"#);
    same(sent, back.sent, "what the front end sent");
    let answered = total(&done, r#"response_total{direction="outbound",dst_deployment="back"}"#);
    same(sent - answered, back.abandoned, "whoever gives up has no response");
    let came = total(&done, r#"request_total{direction="inbound",deployment="back"}"#);
    same(came, back.sent - back.rejected, "what came to the back end");
    let failed = total(&done, r#"response_total{direction="inbound",deployment="back",classification="failure"}"#);
    same(failed, total(&done, r#"response_total{direction="outbound",classification="failure",status_code="500"}"#) as u64, "errors");
    let took = total(&done, r#"response_latency_ms_count{direction="outbound"}"#);
    same(took, answered as u64, "each response took some time");
    assert!(total(&done, r#"response_latency_ms_bucket{direction="outbound",le="100"}"#) < took, "and some took more than 100 ms");
}

#[test]
fn the_exporter_beside_a_redis_tells_of_it_also_while_it_is_down() {
    let mut kv = service("kv", vec![Phase::Sleep(exponential(0.05))]);
    (kv.workers, kv.queue, kv.profiles) = (Some(2), Some(0), vec![Profile::Redis]);
    let mut spec = world(300, vec![kv], vec![client("users", "kv", 20.0)]);
    spec.faults = vec![fault("hang", 100, Some(60), FaultKind::Hang { target: Target::Service(Name::new("kv")) })];
    let done = run_cured(&spec, 8);
    let values = |metric: &str| {
        let found = done.telemetry.select(&parse_matchers(&format!("__name__=\"{metric}\",job=\"redis-exporter\"")).unwrap());
        assert_eq!(found.len(), 1, "{metric}");
        done.telemetry.values(found[0]).to_vec()
    };
    let rejected = values("redis_rejected_connections_total");
    assert!(rejected.last().is_some_and(|last| *last > 100.0), "{rejected:?}");
    assert!(values("up").iter().all(|up| *up == 1.0), "the exporter answers all the time");
    assert!(values("redis_up").contains(&0.0) && values("redis_up").last() == Some(&1.0), "and the Redis does not");
    assert!(rejected.iter().any(|value| is_stale(*value)), "of what is down nothing is told");
    assert_eq!(values("redis_config_maxclients").last(), Some(&2.0));
}

#[test]
fn opentelemetry_and_micrometer_tell_calls_by_how_they_ended() {
    let done = run_cured(&shop(&[Profile::OpenTelemetry, Profile::Micrometer]), 3);
    let back = totals(&done, "back");
    let count = |labels: &str| total(&done, &format!(r#"http_client_request_duration_seconds_count{{server_address="back"{labels}}}"#));
    same(count(""), back.sent, "calls");
    same(count(r#",error_type="timeout""#), back.abandoned, "timeouts");
    let errors = count(r#",http_response_status_code="500",error_type="500""#);
    let told = total(&done, r#"http_client_requests_seconds_count{client_name="back",outcome="SERVER_ERROR"}"#);
    same(told, errors as u64, "errors by both names");
    same(total(&done, r#"http_client_requests_seconds_count{client_name="back",outcome="UNKNOWN"}"#), back.abandoned, "unanswered by both");
    assert!(total(&done, "http_server_active_requests") < 0.5);
    let base = total(&done, r#"jvm_memory_used_bytes{service="back",area="heap"}"#);
    same(base, mib(100).get(), "memory");
}

#[test]
fn a_deployment_is_available_by_the_replicas_that_count_as_available() {
    let mut spec = shop(&[]);
    spec.profiles = vec![Profile::KubeStateMetrics];
    spec.services[1].rollout.min_ready = Span::from_seconds(120);
    spec.cures = vec![cure(200, Action::Restart { mode: RestartMode::AtOnce }, Target::Service(Name::new("front")))];
    let of_front = |metric: &str| total(&run_cured(&spec, 4), &format!(r#"{metric}deployment="front"}}"#));
    same(of_front("kube_deployment_status_replicas_ready{"), 2, "ready replicas");
    assert!(of_front("kube_deployment_status_replicas_available{") < 0.5);
    assert!(of_front(r#"kube_deployment_status_condition{condition="Available",status="true","#) < 0.5);
    same(of_front(r#"kube_deployment_status_condition{condition="Available",status="false","#), 1, "that it is not available");
}

#[test]
fn nodes_are_as_busy_as_what_runs_on_them_and_pods_have_owners() {
    let mut spec = shop(&[]);
    spec.profiles = vec![Profile::KubeStateMetrics, Profile::Cadvisor, Profile::NodeExporter];
    spec.nodes = vec![NodePoolSpec { name: Name::new("n"), count: 2, zone: Name::new("a"), millicores: 4000, memory: Bytes::new(8 << 30) }];
    let done = run_cured(&spec, 4);
    let busy = total(&done, r#"node_cpu_seconds_total{mode="user"}"#);
    let truth = totals(&done, "front").cpu_seconds + totals(&done, "back").cpu_seconds;
    assert!((busy - truth).abs() < 1e-6 && truth > 10.0, "told {busy}, and {truth} is true");
    let free = total(&done, "node_memory_MemTotal_bytes") - total(&done, "node_memory_MemAvailable_bytes");
    same(free, 3 * mib(100).get(), "memory of three processes");
    same(total(&done, r#"kube_pod_owner{owner_kind="ReplicaSet",owner_name="front-v1"}"#), 2, "pods of the front end");
    same(total(&done, r#"kube_replicaset_owner{owner_kind="Deployment",owner_name="front"}"#), 1, "its set");
    let by_container = total(&done, r#"container_cpu_usage_seconds_total{container!="",image="front:v1",cpu="total"}"#);
    let by_pod = total(&done, r#"container_cpu_usage_seconds_total{container="",pod=~"front-.*"}"#);
    assert!((by_container - by_pod).abs() < 1e-9 && by_pod > 0.0, "a pod is what its container is");
    same(total(&done, r#"kube_endpointslice_endpoints{ready="true",endpointslice="front"}"#), 2, "endpoints of the front end");
    // One core's worth of load at most: 50 requests of 5 ms a second for four minutes, and then nothing.
    assert!(total(&done, "node_load15") < 1.0);
}

#[test]
fn every_series_of_a_profile_was_announced_and_none_is_there_unasked() {
    let all = [Profile::OpenTelemetry, Profile::Micrometer, Profile::Istio, Profile::Envoy, Profile::Linkerd, Profile::Redis];
    let mut spec = shop(&all);
    spec.profiles = vec![Profile::KubeStateMetrics, Profile::Cadvisor, Profile::NodeExporter];
    spec.nodes = vec![NodePoolSpec { name: Name::new("n"), count: 2, zone: Name::new("a"), millicores: 4000, memory: Bytes::new(8 << 30) }];
    let spec = Arc::new(spec);
    let told = universe(&spec);
    let done = run_cured(&spec, 5);
    for series in done.telemetry.ids() {
        let labels = done.telemetry.labels(series);
        let name = labels.metric_name().unwrap();
        assert!(told.metrics().any(|known| known == name), "{labels} was not announced");
    }
    let plain = run_cured(&shop(&[]), 5);
    let is_of_profile = |name: &str| ["istio_", "envoy_", "jvm_", "tomcat_", "node_"].iter().any(|prefix| name.starts_with(prefix));
    let unasked = plain.telemetry.ids().any(|series| is_of_profile(plain.telemetry.labels(series).metric_name().unwrap()));
    assert!(!unasked);
    assert_eq!(plain.journal.to_json_lines(), done.journal.to_json_lines(), "what is shown changes nothing that happens");
}
