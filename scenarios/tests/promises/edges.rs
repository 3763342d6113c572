//! What becomes of replicas, standbys, consumers and whoever stands at a door where real systems have an answer that is easily got wrong.

use std::sync::Arc;

use firedrill_core::action::{Action, Scale, Target};
use firedrill_core::journal::{Event, ReplicaState};
use firedrill_core::ledger::RequestOutcome;
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Start, Time};
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{CureSpec, WorldSpec};
use firedrill_sim::{Finished, Idle, Options, Run, Script};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::is_stale;

fn spec(text: &str) -> Arc<WorldSpec> {
    let text = format!("schema: scenario/1\nscenario: s\nreference: true\n{text}");
    let scenario = read_scenario("s.yaml", &text)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")));
    Arc::clone(&scenario.spec)
}

fn play(text: &str) -> Finished<Idle> {
    Run::new(spec(text), Seed(1), Options::default(), Idle).finish()
}

/// The same with actions at their seconds, which take effect at once, and an end after so many events.
fn acted(text: &str, events: u64, acts: &[(u64, Action)]) -> Finished<Script> {
    let target = || Target::Service(Name::new("s"));
    let cure = |(at, action): &(u64, Action)| CureSpec { at: Time::from_seconds(*at), action: action.clone(), target: target() };
    let mut spec = WorldSpec { cures: acts.iter().map(cure).collect(), ..WorldSpec::clone(&spec(text)) };
    spec.bounds.events = events;
    let spec = Arc::new(spec);
    Run::new(Arc::clone(&spec), Seed(1), Options::default(), Script::new(spec)).finish()
}

const ALL_EVENTS: u64 = 1_000_000;

/// The sum of the last samples, at most a minute old, of the series that fit at a second of the run; `None` if there is none.
fn sum_at<A>(finished: &Finished<A>, matchers: &str, second: u64) -> Option<f64> {
    let start = Start::default().unix_millis();
    let at = start + second as i64 * 1000;
    let found = finished.telemetry.select(&parse_matchers(matchers).expect("matchers"));
    let last = found.iter().filter_map(|series| {
        let (times, values) = (finished.telemetry.times(*series), finished.telemetry.values(*series));
        let place = times.iter().rposition(|time| *time <= at && *time > at - 60_000)?;
        Some(values[place]).filter(|value| !is_stale(*value))
    });
    last.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
}

/// When replicas came to a state, seconds, and why.
fn states<A>(finished: &Finished<A>, wanted: ReplicaState) -> Vec<(f64, String)> {
    let told = finished.journal.records().iter().filter_map(|record| match &record.event {
        Event::ReplicaChanged { replica, state, reason } if *state == wanted => {
            Some((record.at.as_seconds(), format!("{replica}: {reason}")))
        }
        _ => None,
    });
    told.collect()
}

/// The share of a client's requests from a second on, a whole multiple of ten, that ended so.
fn ended(finished: &Finished<Idle>, client: &str, from: usize, outcome: RequestOutcome) -> f64 {
    let client = finished.ledger.clients.iter().find(|ledger| &*ledger.client == client).unwrap();
    let first = client.bin_starts[from / 10] as usize;
    let hits = client.outcomes[first..].iter().filter(|byte| **byte == outcome as u8).count();
    hits as f64 / (client.outcomes.len() - first) as f64
}

#[test]
fn a_replica_that_no_node_has_room_for_is_there_and_pending() {
    let finished = play(
        "horizon: 5m\nmetrics: [kube-state-metrics]\nnodes: { n: { count: 1, cores: 2, memory: 8GiB } }\nclients: { c: { calls: s, rate: 10/s } }\n\
         services: { s: { replicas: 2, cores: 1, memory: { limit: 1GiB }, start_up: 5s, work: [sleep: 5ms], versions: { v2: {} } } }\n\
         changes: [{ deploy: { service: s, version: v2 }, at: 60s }]\n",
    );
    assert_eq!(states(&finished, ReplicaState::Pending), [(60.0, "s-2: no node has room for it".to_owned())]);
    let of = |matchers: &str| sum_at(&finished, matchers, 290);
    let figures =
        ["spec_replicas", "status_replicas", "status_replicas_updated", "status_replicas_available", "status_replicas_unavailable"];
    let told = figures.map(|figure| of(&format!("__name__=\"kube_deployment_{figure}\"")));
    assert_eq!(told, [2.0, 3.0, 1.0, 2.0, 1.0].map(Some));
    assert_eq!(of("__name__=\"kube_pod_status_phase\",phase=\"Pending\",pod=\"s-2\""), Some(1.0));
    assert_eq!(of("__name__=\"kube_pod_status_scheduled\",condition=\"false\""), Some(1.0));
    assert_eq!(of("__name__=\"kube_pod_info\",pod=\"s-2\",node=\"\""), Some(1.0), "it has no node");
    assert_eq!(of("__name__=\"kube_pod_info\",pod=\"s-2\",node!=\"\""), None);
    assert_eq!(of("__name__=\"up\",pod=\"s-2\""), None, "what has no address is not scraped");
    // It takes nothing from anybody: two replicas for five minutes.
    assert!((finished.ledger.services[0].totals.replica_hours - 2.0 / 12.0).abs() < 1e-3);
}

#[test]
fn an_autoscaler_and_its_deployment_count_replicas_that_have_no_room() {
    let finished = play(
        "horizon: 6m\nnodes: { n: { count: 2, cores: 2, memory: 8GiB } }\nclients: { c: { calls: s, rate: 400/s, timeout: 1s } }\n\
         services: { s: { replicas: 2, cores: 1, memory: { limit: 1GiB }, start_up: 5s, work: [cpu: 8ms], autoscaler: { max: 10, cpu: 50% } } }\n",
    );
    let of = |metric: &str| sum_at(&finished, &format!("__name__=\"{metric}\""), 350);
    let wanted = of("kube_deployment_spec_replicas");
    assert!(wanted > Some(4.0), "more than fit: {wanted:?}");
    assert_eq!(of("kube_deployment_status_replicas"), wanted);
    assert_eq!(of("kube_horizontalpodautoscaler_status_current_replicas"), wanted);
    assert_eq!(of("kube_deployment_status_replicas_available"), Some(4.0));
}

#[test]
fn what_waits_for_room_takes_it_as_soon_as_there_is_some() {
    let finished = play(
        "horizon: 12m\nnodes: { n: { count: 3, cores: 1, memory: 8GiB } }\nclients: { c: { calls: s, rate: 10/s, timeout: 1s } }\n\
         services: { s: { replicas: 3, cores: 1, memory: { limit: 1GiB }, start_up: 5s, work: [cpu: 8ms] } }\n\
         faults: [{ node_loss: { node: n-0 }, at: 60s, lasting: 8m }]\n",
    );
    // 40 s until its node is known to be silent, and 300 s more until it is given up.
    assert_eq!(states(&finished, ReplicaState::Pending), [(400.0, "s-3: no node has room for it".to_owned())]);
    let started = states(&finished, ReplicaState::Starting);
    assert_eq!(started.last(), Some(&(540.0, "s-3: it has a node".to_owned())));
    assert_eq!(states(&finished, ReplicaState::Ready).last(), Some(&(545.0, "s-3: started up".to_owned())));
    assert_eq!(sum_at(&finished, "__name__=\"kube_pod_info\",pod=\"s-3\",node=\"n-0\"", 700), Some(1.0));
    assert_eq!(sum_at(&finished, "__name__=\"kube_pod_info\",pod=\"s-3\",node=\"\"", 700), None);
    assert_eq!(sum_at(&finished, "__name__=\"up\",pod=\"s-3\"", 700), Some(1.0));
}

#[test]
fn what_waits_for_room_goes_first_when_less_is_wanted() {
    let text = "horizon: 3m\nnodes: { n: { count: 2, cores: 1, memory: 8GiB } }\nclients: { c: { calls: s, rate: 10/s, timeout: 1s } }\n\
                services: { s: { replicas: 2, cores: 1, memory: { limit: 1GiB }, start_up: 5s, work: [cpu: 8ms] } }\n";
    let scale = |by: i32| Action::Scale { replicas: Scale::By(by) };
    let finished = acted(text, ALL_EVENTS, &[(60, scale(2)), (90, scale(-2))]);
    assert_eq!(states(&finished, ReplicaState::Pending).len(), 2);
    let gone = |seconds: f64, replica: &str| (seconds, format!("{replica}: no longer wanted"));
    assert_eq!(states(&finished, ReplicaState::Gone), [gone(90.0, "s-3"), gone(90.0, "s-2")]);
}

#[test]
fn a_rollout_tells_what_is_unavailable_of_all_that_there_are() {
    let finished = play(
        "horizon: 5m\nscrape: 5s\nclients: { c: { calls: s, rate: 50/s } }\n\
         services: { s: { replicas: 3, start_up: 20s, work: [sleep: 1ms], versions: { v2: {} } } }\n\
         changes: [{ deploy: { service: s, version: v2 }, at: 60s }]\n",
    );
    let of = |figure: &str| sum_at(&finished, &format!("__name__=\"kube_deployment_status_replicas{figure}\""), 75);
    assert_eq!((of(""), of("_available"), of("_unavailable")), (Some(4.0), Some(3.0), Some(1.0)));
}

#[test]
fn a_replica_was_made_before_it_came_to_its_node() {
    let text = "horizon: 4m\nmetrics: [kube-state-metrics]\nclients: { c: { calls: s, rate: 10/s } }\n\
                services: { s: { replicas: 1, scheduling: 30s, start_up: 5s, work: [sleep: 1ms] } }\n";
    let finished = acted(text, ALL_EVENTS, &[(60, Action::Scale { replicas: Scale::By(1) })]);
    let since = |metric: &str| {
        let start = Start::default().unix_millis() as f64 / 1e3;
        sum_at(&finished, &format!("__name__=\"{metric}\",pod=\"s-1\""), 230).unwrap() - start
    };
    assert_eq!((since("kube_pod_created"), since("kube_pod_start_time")), (60.0, 90.0));
}

#[test]
fn a_primary_that_was_given_up_and_still_hangs_answers_no_reads() {
    let finished = play(
        "horizon: 5m\nclients: { w: { calls: d, rate: 20/s, timeout: 2s }, rd: { calls: { service: d, access: read }, rate: 20/s, timeout: 2s } }\n\
         services: { d: { replicas: 3, database: { failover: patroni }, work: [cpu: 1ms] } }\nfaults: [{ hang: { replica: d-0 }, at: 60s }]\n",
    );
    for client in ["rd", "w"] {
        let good = ended(&finished, client, 150, RequestOutcome::Good);
        assert!(good > 0.999, "{client}: {good}");
    }
}

#[test]
fn a_primary_that_is_back_after_it_was_given_up_is_a_standby() {
    let finished = play(
        "horizon: 6m\nclients: { rd: { calls: { service: d, access: read }, rate: 20/s, timeout: 2s } }\n\
         services: { d: { replicas: 2, database: { failover: patroni }, work: [cpu: 1ms] } }\nfaults: [{ hang: { replica: d-0 }, at: 60s, lasting: 2m }]\n",
    );
    let asked = |second: u64| sum_at(&finished, "__name__=\"http_requests_total\",pod=\"d-0\",code=\"200\"", second).unwrap_or(0.0);
    let (before, after) = (asked(200), asked(350));
    assert!(after - before > 2500.0, "all reads come to it once it is back: {before}, and then {after}");
}

#[test]
fn a_consumer_that_takes_too_long_for_a_batch_ends_it_before_it_joins_again() {
    let finished = play(
        "horizon: 60s\nscrape: 1s\ntopics: { o: { partitions: 1, poll_interval: 5s } }\n\
         clients: { c: { calls: f, trace: { every: 10ms, requests: [11] } } }\n\
         services:\n  f: { work: [publish: o] }\n  p: { replicas: 2, consumes: { topic: o, batch: 10 }, work: [sleep: 1s] }\n",
    );
    let assigned: Vec<(f64, String)> = finished
        .journal
        .records()
        .iter()
        .filter_map(|record| match &record.event {
            Event::ConsumersChanged { state, reason, .. } if &**state == "assigned" => Some((record.at.as_seconds(), reason.clone())),
            _ => None,
        })
        .collect();
    // One message, and then ten in a batch: out after 5 s of that, and through after 10 s.
    let (first, next) = (&assigned[0], &assigned[1]);
    assert!((6.0..9.5).contains(&first.0) && first.1.ends_with("to 1 members"), "{assigned:?}");
    assert!(next.0 >= 11.0, "it joins again when it is through: {assigned:?}");
    assert_eq!(
        sum_at(&finished, "__name__=\"http_requests_total\",pod=\"p-0\",code=\"200\"", 13),
        Some(11.0),
        "it has worked on all of them"
    );
    assert!(
        sum_at(&finished, "__name__=\"http_requests_total\",pod=\"p-1\",code=\"200\"", 11) > Some(1.0),
        "and so does who has them by now"
    );
    let totals = finished.ledger.topics[0].totals;
    assert!(totals.repeated >= 5, "{totals:?}");
}

#[test]
fn a_process_is_killed_beyond_its_limit_of_memory_and_not_at_it() {
    let killed = |limit: &str, requests: u32| {
        let finished = play(&format!(
            "horizon: 30s\nclients: {{ c: {{ calls: s, trace: {{ every: 1s, requests: [{requests}] }} }} }}\n\
             services: {{ s: {{ memory: {{ base: 98MiB, per_request: 1MiB, limit: {limit} }}, start_up: 1s, work: [sleep: 5s] }} }}\n"
        ));
        states(&finished, ReplicaState::Waiting).len()
    };
    assert_eq!((killed("100MiB", 1), killed("100MiB", 2), killed("100MiB", 3)), (0, 0, 1));
}

#[test]
fn who_gets_no_permission_of_a_limit_of_rate_waits_for_one_as_long_as_it_may() {
    let finished = play(
        "horizon: 40s\nclients: { c: { calls: s, trace: { every: 100ms, requests: [20] }, timeout: 60s } }\n\
         services: { s: { workers: 1000, rate_limit: { limit: 5, period: 10s, wait: 2s }, work: [sleep: 1ms] } }\n",
    );
    let of = |metric: &str, outcome: &str, more: &str| {
        sum_at(&finished, &format!("__name__=\"http_client_request_duration_seconds_{metric}\",outcome=\"{outcome}\"{more}"), 38)
    };
    assert_eq!((of("count", "success", ""), of("count", "rejected", "")), (Some(5.0), Some(15.0)));
    assert_eq!(of("bucket", "rejected", ",le=\"1\""), Some(0.0));
    assert!((of("sum", "rejected", "").unwrap() - 30.0).abs() < 1e-6);
}

#[test]
fn what_is_answered_with_503_has_that_status_in_its_span() {
    let codes = |text: &str| {
        let (_, spans) = Run::new(spec(text), Seed(1), Options::default(), Idle).traced(1).finish_traced();
        let failed = spans.into_iter().filter(|span| span.parent.is_some() && span.started > Time::from_seconds(70) && span.is_failed());
        let mut codes: Vec<(Option<u64>, &str, bool)> = failed.map(|span| (span.received(), span.error, span.replica.is_some())).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    let nobody_ready = "horizon: 2m\nclients: { c: { calls: s, rate: 10/s, timeout: 1s } }\n\
                        services: { s: { replicas: 1, start_up: 1s, readiness: {}, work: [sleep: 5ms] } }\nfaults: [{ hang: { service: s }, at: 30s }]\n";
    assert_eq!(codes(nobody_ready), [(Some(503), "", false)]);
    let no_connection = "horizon: 2m\nclients: { c: { calls: d, rate: 100/s, timeout: 5s } }\n\
                         services: { d: { database: { max_connections: 5 }, work: [sleep: 1s] } }\n";
    assert_eq!(codes(no_connection), [(Some(503), "", true)]);
}

#[test]
fn client_libraries_count_a_503_without_a_replica_as_any_503() {
    let finished = play(
        "horizon: 2m\nmetrics: [opentelemetry, micrometer]\nclients: { c: { calls: f, rate: 10/s, timeout: 1s } }\nservices:\n  \
         f: { work: [call: { service: s, timeout: 500ms }] }\n  s: { replicas: 1, start_up: 1s, readiness: {}, work: [sleep: 5ms] }\nfaults: [{ hang: { service: s }, at: 30s }]\n",
    );
    let of = |matchers: &str| sum_at(&finished, matchers, 110);
    let open = of("__name__=\"http_client_request_duration_seconds_count\",http_response_status_code=\"503\",error_type=\"503\"");
    assert!(open > Some(300.0), "{open:?}");
    assert_eq!(of("__name__=\"http_client_requests_seconds_count\",outcome=\"SERVER_ERROR\",status=\"503\""), open);
    assert!(of("__name__=\"http_client_request_duration_seconds_count\",error_type=\"connect_error\"").unwrap_or(0.0) < 1.0);
}

#[test]
fn a_fault_of_what_is_not_there_is_no_fault_of_the_run() {
    let text = |fault: &str| {
        format!(
            "horizon: 10m\nclients: {{ c: {{ calls: api, rate: 10/s }} }}\n\
             services: {{ api: {{ replicas: 2, start_up: 5s, work: [cpu: 1ms], versions: {{ v2: {{}} }} }} }}\n\
             changes: [{{ deploy: {{ service: api, version: v2 }}, at: 1m }}]\nfaults: [{{ {fault}, at: 5m }}]\n"
        )
    };
    for fault in ["slow: { replica: api-0, factor: x4 }", "hang: { replica: api-0 }", "crash: { replica: api-0 }"] {
        let finished = play(&text(fault));
        assert!(finished.ledger.faults.is_empty(), "{fault}: {:?}", finished.ledger.faults);
        assert_eq!(finished.ledger.faults_to_come, 0);
    }
    assert_eq!(play(&text("slow: { service: api, factor: x4 }, lasting: 1m")).ledger.faults.len(), 1);
}

#[test]
fn what_was_averted_is_not_to_come_and_what_is_due_when_a_run_is_cut_is() {
    let text = "horizon: 10m\nclients: { c: { calls: s, rate: 10/s } }\nservices: { s: { work: [cpu: 1ms] } }\n\
                faults: [{ certificate_expiry: { service: s }, at: 8m }]\n";
    let to_come = |acts: &[(u64, Action)]| {
        let finished = acted(text, 3_000, acts);
        assert!(finished.ledger.ended < Time::from_seconds(480), "it was cut");
        finished.ledger.faults_to_come
    };
    assert_eq!((to_come(&[]), to_come(&[(10, Action::RenewCertificate)])), (1, 0));
}

#[test]
fn a_queue_of_rabbitmq_tells_all_its_messages() {
    let finished = play(
        "horizon: 2m\ntopics: { o: { preset: rabbitmq } }\nclients: { c: { calls: f, rate: 2/s } }\n\
         services:\n  f: { work: [publish: o] }\n  p: { consumes: { topic: o, batch: 10 }, work: [sleep: 2s] }\n",
    );
    let of = |metric: &str| sum_at(&finished, &format!("__name__=\"rabbitmq_queue_{metric}\",queue=\"o\""), 110).unwrap();
    assert_eq!(of("messages"), of("messages_ready") + of("messages_unacked"));
    assert!(of("messages_unacked") > 0.0 && of("messages_ready") > 0.0);
}
