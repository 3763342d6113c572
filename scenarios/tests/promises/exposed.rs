//! What monitoring sees of a scenario, held against the names and labels of the exporters that people run (docs/MODEL.md 4.3).

use std::sync::Arc;

use firedrill_core::random::Seed;
use firedrill_scenarios::read_scenario;
use firedrill_sim::{Finished, Idle, Options, Run, universe};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::is_stale;

fn play(text: &str) -> Finished<Idle> {
    let scenario = read_scenario("s.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let spec = Arc::clone(&scenario.spec);
    let finished = Run::new(Arc::clone(&spec), Seed(1), Options::default(), Idle).finish();
    let announced = universe(&spec);
    for series in finished.telemetry.ids() {
        let labels = finished.telemetry.labels(series);
        assert!(announced.metrics().any(|known| known == labels.metric_name().unwrap()), "{labels} was not announced");
    }
    finished
}

/// The last samples of the series that fit; empty if there is none.
fn last(finished: &Finished<Idle>, matchers: &str) -> Vec<f64> {
    let found = finished.telemetry.select(&parse_matchers(matchers).expect("matchers"));
    let last = found.iter().filter_map(|series| finished.telemetry.values(*series).last().copied());
    last.filter(|value| !is_stale(*value)).collect()
}

#[track_caller]
fn total(finished: &Finished<Idle>, matchers: &str) -> f64 {
    let found = last(finished, matchers);
    assert!(!found.is_empty(), "{matchers} selects a series");
    found.iter().sum()
}

const CLIENT: &str = "schema: scenario/1\nscenario: s\nhorizon: 5m\nreference: true\n";

#[test]
fn a_client_s_durations_are_of_every_attempt_that_it_sent_by_outcome() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: f, rate: 50/s, timeout: 100ms }} }}\nservices:\n  f: {{ error: 20%, queue: 5, workers: 2, cancel: none, work: [sleep: {{ exponential: 30ms }}] }}\n"
    ));
    for outcome in ["success", "error", "timeout", "rejected"] {
        let of = |metric: &str| total(&finished, &format!("__name__=\"{metric}\",outcome=\"{outcome}\""));
        let (counted, measured) = (of("http_client_requests_total"), of("http_client_request_duration_seconds_count"));
        assert!(counted > 100.0 && counted == measured, "{outcome}: {counted} attempts, and the durations of {measured}");
    }
    // Whoever gives up has waited for as long as that takes.
    let late =
        |le: &str| total(&finished, &format!("__name__=\"http_client_request_duration_seconds_bucket\",outcome=\"timeout\",le=\"{le}\""));
    assert!(late("0.05") < 0.5 && late("0.1") > 100.0, "{} and {}", late("0.05"), late("0.1"));
}

#[test]
fn pods_join_with_the_set_that_owns_them_and_autoscalers_tell_what_they_see() {
    let finished = play(&format!(
        "{CLIENT}metrics: [kube-state-metrics, cadvisor]\nclients: {{ u: {{ calls: shop, rate: 40/s }} }}\nservices:\n  shop: {{ replicas: 2, cores: 1, autoscaler: {{ min: 2, max: 4, cpu: 60% }}, memory: {{ base: 100MiB, limit: 120MiB }}, work: [cpu: 10ms] }}\nfaults:\n  - {{ memory_leak: {{ replica: shop-0, leak: 1MiB/s }}, at: 1m, lasting: 1m }}\n"
    ));
    let of = |matchers: &str| total(&finished, matchers);
    assert!(of("__name__=\"kube_pod_info\",created_by_kind=\"ReplicaSet\",created_by_name=\"shop-v1\"") >= 2.0);
    assert!(last(&finished, "__name__=\"kube_pod_info\",created_by_name=\"shop\"").is_empty());
    assert!(of("__name__=\"kube_pod_owner\",owner_name=\"shop-v1\"") >= 2.0);
    let told = "__name__=\"kube_horizontalpodautoscaler_status_target_metric\",metric_name=\"cpu\",metric_target_type";
    let (cores, percent) = (of(&format!("{told}=\"average\"")), of(&format!("{told}=\"utilization\"")));
    // 40 requests of 10 ms for at least two replicas of one core.
    assert!(cores > 0.05 && cores < 0.3 && (percent - cores * 100.0).abs() <= 1.0, "{cores} cores are {percent} %");
    assert!(of("__name__=\"container_oom_events_total\",pod=\"shop-0\"") >= 1.0, "a leak beyond the limit");
    assert_eq!(of("__name__=\"container_oom_events_total\",pod=\"shop-1\""), 0.0);
    assert!(last(&finished, "__name__=\"kube_pod_status_ready_time\",pod=\"shop-1\"").len() == 1);
}

#[test]
fn groups_have_the_labels_of_their_exporters() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: shop, rate: 10/s }} }}\ntopics: {{ orders: {{ partitions: 4 }}, returns: {{ partitions: 2 }} }}\nservices:\n  shop: {{ work: [cpu: 1ms, publish: orders, publish: returns] }}\n  packer: {{ replicas: 2, consumes: {{ topic: orders }}, work: [cpu: 1ms] }}\n  clerk: {{ consumes: {{ topic: returns }}, work: [cpu: 1ms] }}\n"
    ));
    let lag = |labels: &str| last(&finished, &format!("__name__=\"kafka_consumergroup_group_max_lag_seconds\"{labels}")).len();
    assert_eq!((lag(""), lag(",group=\"packer\",is_simple_consumer=\"false\""), lag(",topic=~\".+\"")), (2, 1, 0));
    assert_eq!(total(&finished, "__name__=\"kafka_consumergroup_members\",consumergroup=\"packer\",topic=\"\""), 2.0);
    assert_eq!(last(&finished, "__name__=\"kafka_consumergroup_lag\",consumergroup=\"packer\",topic=\"orders\"").len(), 4);
}

#[test]
fn a_breaker_and_a_bound_tell_what_they_kept_back() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: shop, rate: 50/s, timeout: 2s }} }}\nservices:\n  shop: {{ metrics: [envoy], work: [call: {{ service: kv, most_requests: 1, timeout: 1s }}, call: {{ service: db, breaker: resilience4j, timeout: 1s }}] }}\n  db: {{ error: 80%, work: [cpu: 1ms] }}\n  kv: {{ work: [sleep: 50ms] }}\n"
    ));
    let of = |metric: &str, labels: &str| total(&finished, &format!("__name__=\"{metric}\"{labels}"));
    let breaker = |metric: &str, labels: &str| of(&format!("resilience4j_circuitbreaker_{metric}"), &format!(",name=\"db\"{labels}"));
    let refused = breaker("not_permitted_calls_total", ",kind=\"not_permitted\"");
    let failed = breaker("calls_seconds_count", ",kind=\"failed\"");
    let succeeded = breaker("calls_seconds_count", ",kind=\"successful\"");
    let rejected = of("http_client_requests_total", ",target=\"db\",outcome=\"rejected\"");
    assert!(refused > 100.0 && refused == rejected, "{refused} not permitted, {rejected} rejected");
    assert!(failed > succeeded && succeeded > 0.0 && breaker("calls_seconds_sum", ",kind=\"failed\"") > 0.0);
    let rate = breaker("failure_rate", "");
    assert!(rate == -1.0 || rate >= 30.0, "{rate} % of the calls that it looks back on failed");
    let cluster = |metric: &str| of(&format!("envoy_cluster_{metric}"), ",envoy_cluster_name=\"kv\"");
    assert!(cluster("upstream_rq_pending_overflow") > 10.0, "more at a time than one");
    assert!(cluster("circuit_breakers_default_rq_open") <= 1.0 && cluster("upstream_rq_retry_overflow") == 0.0);
}

#[test]
fn databases_and_redis_are_told_as_their_exporters_and_their_clients_tell_them() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: shop, rate: 40/s }} }}\nservices:\n  shop: {{ metrics: [opentelemetry], work: [call: {{ service: kv, timeout: 1s }}, call: {{ service: db, timeout: 1s, pool: {{ size: 5 }} }}] }}\n  kv: {{ template: redis, metrics: [redis-exporter] }}\n  db: {{ template: postgres, error: 20%, work: [cpu: 2ms] }}\n"
    ));
    let of = |matchers: &str| total(&finished, matchers);
    let operations = |labels: &str| of(&format!("__name__=\"db_client_operation_duration_seconds_count\",server_address=\"db\"{labels}"));
    let (all, failed) = (operations(""), operations(",error_type=\"_OTHER\""));
    assert!(all > 10_000.0 && (failed / all - 0.2).abs() < 0.02, "{failed} of {all} operations fail");
    assert!(last(&finished, "__name__=\"db_client_operation_duration_seconds_count\",server_address=\"kv\"").is_empty());
    let rolled_back = of("__name__=\"pg_stat_database_xact_rollback\",job=\"postgres-exporter\"");
    assert!((rolled_back - failed).abs() < 50.0, "{rolled_back} roll back, and {failed} failed");
    let redis = |metric: &str| of(&format!("__name__=\"redis_{metric}\",job=\"redis-exporter\",service=\"kv\""));
    assert_eq!((redis("up"), redis("config_maxclients"), redis("connected_slaves")), (1.0, 10_000.0, 0.0));
    assert!(redis("memory_used_bytes") >= 256.0 * 1024.0 * 1024.0 && redis("memory_max_bytes") == 1024.0 * 1024.0 * 1024.0);
    assert!(last(&finished, "__name__=\"redis_keyspace_hits_total\"").is_empty(), "it has no cache of which there would be hits");
}

#[test]
fn machines_tell_who_ran_out_of_memory_there_and_claims_are_bound() {
    let finished = play(&format!(
        "{CLIENT}metrics: [kube-state-metrics, node-exporter]\nnodes: {{ n: {{ count: 1, cores: 4, memory: 8GiB }} }}\nclients: {{ u: {{ calls: shop, rate: 5/s }} }}\nservices:\n  shop: {{ cores: 1, disk: {{ size: 1GiB, used: 100MiB }}, memory: {{ base: 100MiB, limit: 120MiB }}, work: [cpu: 1ms] }}\nfaults:\n  - {{ memory_leak: {{ replica: shop-0, leak: 1MiB/s }}, at: 1m, lasting: 1m }}\n"
    ));
    let of = |matchers: &str| total(&finished, matchers);
    assert!(of("__name__=\"node_vmstat_oom_kill\",node=\"n-0\"") >= 1.0, "a leak beyond the limit");
    let claim = |phase: &str| {
        of(&format!("__name__=\"kube_persistentvolumeclaim_status_phase\",persistentvolumeclaim=\"data-shop-0\",phase=\"{phase}\""))
    };
    assert_eq!((claim("Bound"), claim("Lost")), (1.0, 0.0));
    assert_eq!(of("__name__=\"kube_endpointslice_endpoints\",endpointslice=\"shop\",targetref_name=\"shop-0\""), 1.0);
}

#[test]
fn a_certificate_that_has_expired_is_not_ready() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: shop, rate: 5/s }} }}\nservices: {{ shop: {{ work: [cpu: 1ms] }} }}\nfaults:\n  - {{ certificate_expiry: {{ service: shop }}, at: 2m }}\n"
    ));
    let ready = finished
        .telemetry
        .select(&parse_matchers("__name__=\"certmanager_certificate_ready_status\",condition=\"True\"").expect("matchers"));
    let values = finished.telemetry.values(ready[0]);
    assert!(values.first() == Some(&1.0) && values.last() == Some(&0.0), "{values:?}");
}

#[test]
fn a_kubelet_is_two_targets_and_tells_of_volumes_at_its_own() {
    let finished = play(&format!(
        "{CLIENT}clients: {{ u: {{ calls: shop, rate: 5/s }} }}\nservices: {{ shop: {{ disk: {{ size: 1GiB, used: 100MiB }}, work: [cpu: 1ms] }} }}\n"
    ));
    for path in ["/metrics", "/metrics/cadvisor"] {
        assert_eq!(last(&finished, &format!("__name__=\"up\",job=\"kubelet\",metrics_path=\"{path}\"")), [1.0], "{path}");
    }
    let used = |path: &str| last(&finished, &format!("__name__=\"kubelet_volume_stats_used_bytes\",metrics_path=\"{path}\""));
    assert_eq!((used("/metrics").len(), used("/metrics/cadvisor").len()), (1, 0));
}

/// The taints of a node at the end, as `key:effect`.
fn taints(finished: &Finished<Idle>, node: &str) -> Vec<String> {
    let found = finished.telemetry.select(&parse_matchers(&format!("__name__=\"kube_node_spec_taint\",node=\"{node}\"")).unwrap());
    let is_there = |series: &&_| finished.telemetry.values(**series).last().is_some_and(|value| !is_stale(*value));
    let label = |series: &_, name: &str| finished.telemetry.labels(*series).get(name).unwrap().to_owned();
    let mut found: Vec<String> =
        found.iter().filter(is_there).map(|series| format!("{}:{}", label(series, "key"), label(series, "effect"))).collect();
    found.sort();
    found
}

#[test]
fn nodes_that_are_lost_or_cordoned_have_the_taints_of_kubernetes() {
    let finished = play(&format!(
        "{CLIENT}metrics: [kube-state-metrics]\nnodes: {{ n: {{ count: 3, cores: 4, memory: 8GiB }} }}\nclients: {{ u: {{ calls: shop, rate: 5/s }} }}\nservices: {{ shop: {{ replicas: 3, work: [cpu: 1ms] }} }}\nfaults:\n  - {{ node_loss: {{ node: n-0 }}, at: 1m }}\nchanges:\n  - {{ node_drain: {{ node: n-1 }}, at: 1m }}\n"
    ));
    let of = |key: &str, effect: &str| format!("node.kubernetes.io/{key}:{effect}");
    assert_eq!(taints(&finished, "n-0"), [of("unreachable", "NoExecute"), of("unreachable", "NoSchedule")]);
    assert_eq!(taints(&finished, "n-1"), [of("unschedulable", "NoSchedule")]);
    assert_eq!(taints(&finished, "n-2"), [""; 0]);
}
