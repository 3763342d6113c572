//! Control loops of Kubernetes: back-off, probes, rollouts, autoscalers, and what they do to a system under load (docs/MODEL.md 7).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_sim::{Finished, Idle};

use crate::support::{Case, case, good_share, told};

/// When a replica's processes ended.
fn ends(finished: &Finished<Idle>) -> Vec<f64> {
    let times = told(finished, |event| matches!(event, Event::ReplicaChanged { state: ReplicaState::Waiting, .. }).then_some(()));
    times.into_iter().map(|(time, ())| time).collect()
}

/// When replicas stopped being ready and went on.
fn unready(finished: &Finished<Idle>) -> Vec<f64> {
    let times = told(finished, |event| matches!(event, Event::ReplicaChanged { state: ReplicaState::Unready, .. }).then_some(()));
    times.into_iter().map(|(time, ())| time).collect()
}

/// What an autoscaler wanted, and when.
fn sizes(finished: &Finished<Idle>) -> Vec<(f64, u32)> {
    told(finished, |event| if let Event::Autoscaled { to, .. } = event { Some(*to) } else { None })
}

#[track_caller]
fn check_crashes(life: &str, expected: &[u32]) {
    let last = expected.last().unwrap();
    let crashing =
        case("k1-crash").with("crash_after: 5s", &format!("crash_after: {life}")).with("horizon: 16m", &format!("horizon: {}s", last + 1));
    let times: Vec<u32> = ends(&crashing.play(0)).into_iter().map(|time| time as u32).collect();
    assert_eq!(times, expected);
}

#[test]
fn k1_crashes_come_at_the_kubelet_s_times() {
    check_crashes("5s", &[5, 10, 25, 50, 95, 180, 345, 650, 955]);
    check_crashes("60s", &[60, 120, 190, 270, 370, 510, 730, 1090, 1450]);
    check_crashes("540s", &[540, 1080, 1630, 2190, 2770, 3390]);
    check_crashes("601s", &[601, 1202, 1803]);
    let reduced = case("k1-crash").with("start_up: 1s", "start_up: 1s\n    crash_backoff: reduced").with("horizon: 16m", "horizon: 170s");
    assert_eq!(ends(&reduced.play(0)), [5.0, 10.0, 16.0, 23.0, 32.0, 45.0, 66.0, 103.0, 168.0]);
}

/// Earliest, mean and latest of times after the hang's onset, over seeds.
fn after_hang(case: &Case, times: impl Fn(&Finished<Idle>) -> Vec<f64>) -> (f64, f64, f64) {
    let after: Vec<f64> = (0..60).map(|seed| times(&case.play(seed))[0] - 100.0).collect();
    (after.iter().copied().fold(f64::MAX, f64::min), after.iter().sum::<f64>() / 60.0, after.iter().copied().fold(0.0, f64::max))
}

#[test]
fn k2_a_hang_is_noticed_within_21_to_31_seconds_evenly() {
    let among = |case: &Case| case.with("liveness: {", "liveness: { path: traffic,").with("readiness: {", "readiness: { path: traffic,");
    let without_readiness = case("k2-hang").with("    readiness: { period: 10s, failures: 3 }\n", "");
    // A uniform variable of width 10 has a standard deviation of 2.9, and the mean of 60 of them 0.37.
    let check = |case: &Case, times: fn(&Finished<Idle>) -> Vec<f64>, from: f64| {
        let (earliest, mean, latest) = after_hang(case, times);
        assert!(earliest >= from && latest <= from + 10.0, "{earliest} to {latest}");
        assert!((mean - from - 5.0).abs() < 1.5, "{mean}");
    };
    check(&without_readiness, ends, 21.0);
    check(&case("k2-hang"), ends, 21.0);
    check(&among(&case("k2-hang")), ends, 21.0);
    let readiness_alone = case("k2-hang").with("    liveness: { period: 10s, failures: 3 }\n", "");
    check(&readiness_alone, unready, 21.0);
    let at_once = without_readiness.with("failures: 3", "failures: 1");
    check(&at_once, ends, 1.0);
}

#[test]
fn k3_a_probe_that_flaps_changes_nothing() {
    for seed in 0..20 {
        let finished = case("k3-flapping").play(seed);
        assert!(ends(&finished).is_empty() && unready(&finished).is_empty(), "seed {seed}");
        // Whatever the phase, 31 s hold three probes with their timeouts.
        let longer = case("k3-flapping").with("at: 160s, lasting: 19s", "at: 160s, lasting: 31s").play(seed);
        assert_eq!(ends(&longer).len(), 1, "seed {seed}");
    }
}

#[test]
fn k4_a_rollout_that_never_becomes_ready_stays_until_it_is_rolled_back() {
    let finished = case("k4-rollout").play_cured(0);
    let bins = &finished.ledger.services[0].bins;
    let at = |second: usize| (bins[second / 10 - 1].replicas, bins[second / 10 - 1].ready);
    assert_eq!([at(60), at(100), at(720), at(900)], [(10, 10), (13, 8), (13, 8), (10, 10)]);
    let stalls = told(&finished, |event| if let Event::RolloutStalled { figures, .. } = event { Some(figures.clone()) } else { None });
    assert_eq!(stalls, [(660.0, "no progress for 10m: 5 of 10 replicas run it, 0 of them available".to_owned())]);
}

#[test]
fn a_version_without_an_image_leaves_what_is_there_and_waits_for_it() {
    let missing = case("k4-rollout").with("crash_after: 5s", "image: missing");
    let finished = missing.play_cured(0);
    let bins = &finished.ledger.services[0].bins;
    let at = |second: usize| (bins[second / 10 - 1].replicas, bins[second / 10 - 1].ready);
    assert_eq!([at(60), at(100), at(720), at(900)], [(10, 10), (13, 8), (13, 8), (10, 10)]);
    let states = told(&finished, |event| match event {
        Event::ReplicaChanged { reason, .. } if reason.as_str() == "its image cannot be pulled" => Some(()),
        _ => None,
    });
    assert_eq!(states.len(), 5);
    let seen = missing.play_seen(0).telemetry;
    let waiting = seen.ids().filter(|series| {
        let labels = seen.labels(*series);
        labels.metric_name() == Some("kube_pod_container_status_waiting_reason") && labels.get("reason") == Some("ImagePullBackOff")
    });
    assert_eq!(waiting.count(), 5, "kube-state-metrics tells why");
}

#[test]
fn k5_a_ratio_of_one_and_a_tenth_is_kept_today_and_was_not_before() {
    let at = |rate: &str, tolerance: &str| {
        let case = case("k5-autoscaler").with("13300/s", rate).with("tolerance: current", &format!("tolerance: {tolerance}"));
        sizes(&case.play(1)).first().map(|(_, wanted)| *wanted)
    };
    // 66.5 % is 66 %, and 66 / 60 is 1.1; 67.5 % is 67 %, of which 12 replicas follow.
    assert_eq!([at("13000/s", "current"), at("13300/s", "current"), at("13500/s", "current")], [None, None, Some(12)]);
    assert_eq!([at("13000/s", "classic"), at("13300/s", "classic")], [None, Some(11)]);
}

#[test]
fn k6_when_usage_ends_nothing_changes_for_five_minutes_and_then_all_at_once() {
    for seed in 0..5 {
        let changes = sizes(&case("k6-autoscaler").play(seed));
        let (first, last) = (changes[0], changes[changes.len() - 1]);
        // The last high recommendation is at most one decision older than the end of the load. The next may have seen a part of it, so that there are
        // two steps, of which the second follows at the next decision.
        assert!(first.0 >= 385.0 && last.0 <= 445.0, "seed {seed}: {changes:?}");
        assert!(last.1 == 2 && changes.len() <= 2 && last.0 - first.0 < 15.5, "seed {seed}: {changes:?}");
    }
}

#[test]
fn k7_when_usage_triples_it_doubles_and_then_is_there() {
    for seed in 0..5 {
        let changes = sizes(&case("k7-autoscaler").play(seed));
        let counts: Vec<u32> = changes.iter().map(|(_, wanted)| *wanted).collect();
        assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 15.0), "seed {seed}: {changes:?}");
        assert!(counts.first().is_some_and(|first| *first <= 20), "seed {seed}: {changes:?}");
        assert!(counts.last().is_some_and(|last| (29..=31).contains(last)), "seed {seed}: {changes:?}");
    }
}

/// Seconds after the end of the fault, at 25 min, until a bin and all after it are good.
fn until_well(finished: &Finished<Idle>, end: usize) -> usize {
    let last_bad = (end / 10..197).rev().find(|bin| good_share(finished, bin * 10, bin * 10 + 10) < 0.99);
    last_bad.map_or(0, |bin| (bin + 1) * 10 - end)
}

#[test]
fn k8_a_slow_dependency_makes_the_autoscaler_take_away_what_is_needed_afterwards() {
    let finished = case("k8-slow-dependency").play(0);
    let changes = sizes(&finished);
    let down: Vec<&(f64, u32)> = changes.iter().filter(|(at, _)| *at < 1500.0).collect();
    assert!(down.iter().all(|(at, _)| (900.0..=950.0).contains(at)) && down.last().is_some_and(|(_, wanted)| *wanted == 2), "{changes:?}");
    let first_minute = good_share(&finished, 1500, 1560);
    assert!((0.2..0.5).contains(&first_minute), "{first_minute}");
    assert!((90..=200).contains(&until_well(&finished, 1500)), "{}", until_well(&finished, 1500));
    for kept in ["min: 8,", "min: 2, scale_down: disabled,"] {
        let finished = case("k8-slow-dependency").with("min: 2,", kept).play(0);
        assert!(until_well(&finished, 1500) <= 10, "{kept}");
    }
    let short = case("k8-slow-dependency").with("lasting: 15m", "lasting: 240s").with("horizon: 33m", "horizon: 20m").play(0);
    assert!(sizes(&short).iter().all(|(_, wanted)| *wanted >= 10), "{:?}", sizes(&short));
}

/// Goodput of the last two minutes and restarts, on so many seeds.
fn live(case: &Case, seeds: u64) -> Vec<(f64, usize)> {
    (0..seeds).map(|seed| case.play(seed)).map(|finished| (good_share(&finished, 600, 720), ends(&finished).len())).collect()
}

#[test]
fn r_live_probes_in_the_queue_of_requests_kill_what_is_merely_busy() {
    let storm = case("r-live");
    let probe = "liveness: { path: traffic, initial_delay: 30s, period: 10s, timeout: 1s, failures: 3 }";
    let killed = live(&storm, 2);
    assert!(killed.iter().all(|(good, restarts)| *good < 0.5 && *restarts > 20), "{killed:?}");
    let warming = live(&storm.with("warm_up: none", "warm_up: { factor: x2, tau: 60s }"), 1);
    assert!(warming.iter().all(|(good, _)| *good < 0.2), "{warming:?}");
    let sound = [
        ("no probe", 0, storm.with(probe, "liveness: none")),
        ("a port of its own", 0, storm.with(probe, "liveness: {}")),
        // A backlog that takes longer than ten probes has everyone killed once, and that is all.
        ("ten failures", 11, storm.with("failures: 3", "failures: 10")),
        ("a bounded queue", 0, storm.with("queue: unbounded", "queue: 40")),
    ];
    for (name, most_restarts, case) in sound {
        let results = live(&case, 1);
        assert!(results.iter().all(|(good, restarts)| *good > 0.99 && *restarts <= most_restarts), "{name}: {results:?}");
    }
    // Probes that wait longer than requests do, and load that leaves room: everyone is killed once or twice, and the service comes back.
    let patient = live(&storm.with("timeout: 1s", "timeout: 5s"), 1);
    let roomy = live(&storm.with("850/s", "650/s").with("factor: x1.4", "factor: x1.83"), 1);
    for (name, results) in [("patient", patient), ("roomy", roomy)] {
        assert!(results.iter().all(|(good, restarts)| *good > 0.99 && (1..=20).contains(restarts)), "{name}: {results:?}");
    }
}

#[test]
fn a14_a_leak_ends_in_a_kill_on_the_second() {
    for (limit, expected) in [("512MiB", 212.0), ("1GiB", 724.0)] {
        let finished = case("a14-memory").with("limit: 512MiB", &format!("limit: {limit}")).play(0);
        assert_eq!(ends(&finished), [expected]);
    }
}

/// What became of nodes, and when.
fn nodes(finished: &Finished<impl firedrill_sim::Automation>) -> Vec<(f64, String)> {
    told(finished, |event| if let Event::NodeChanged { node, state, .. } = event { Some(format!("{node} {state}")) } else { None })
}

#[test]
fn a_lost_node_is_noticed_after_40_s_and_given_up_after_300_more() {
    let finished = case("node-loss").play(0);
    let expected = [(100.0, "blue-0 lost"), (140.0, "blue-0 unknown"), (440.0, "blue-0 evicted")];
    assert_eq!(nodes(&finished), expected.map(|(at, what)| (at, what.to_owned())));
    let ready = |second: usize| finished.ledger.services[0].bins[second / 10 - 1].ready;
    assert_eq!([ready(100), ready(140), ready(150), ready(440), ready(460)], [6, 6, 4, 4, 6]);
    // A third of the requests goes where nobody answers, until that is known.
    let bad = |from, to| 1.0 - good_share(&finished, from, to);
    assert!((bad(100, 140) - 1.0 / 3.0).abs() < 0.02, "{}", bad(100, 140));
    assert!(bad(140, 600) < 0.001, "{}", bad(140, 600));
    assert!(ends(&finished).is_empty(), "who would probe is lost too");
}

#[test]
fn a_node_that_comes_back_in_time_starts_its_replicas_anew() {
    let finished = case("node-loss").with("at: 100s", "at: 100s\n    lasting: 200s").play(0);
    let expected = [(100.0, "blue-0 lost"), (140.0, "blue-0 unknown"), (300.0, "blue-0 ready")];
    assert_eq!(nodes(&finished), expected.map(|(at, what)| (at, what.to_owned())));
    let ready = |second: usize| finished.ledger.services[0].bins[second / 10 - 1].ready;
    assert_eq!([ready(300), ready(320)], [4, 6]);
}

#[test]
fn replicas_for_which_there_is_no_room_wait_for_it() {
    let full = case("node-loss").with("replicas: 6", "replicas: 12").with("at: 100s", "at: 100s\n    lasting: 400s");
    let finished = full.play(0);
    let counts = |second: usize| {
        (finished.ledger.services[0].bins[second / 10 - 1].replicas, finished.ledger.services[0].bins[second / 10 - 1].ready)
    };
    // Evicted at 440 s, with no room elsewhere; the node is back at 500 s.
    assert_eq!([counts(100), counts(430), counts(490), counts(530)], [(12, 12), (12, 8), (12, 8), (12, 12)]);
}

#[test]
fn when_most_nodes_of_a_zone_are_silent_nobody_is_evicted() {
    let mut faults = String::from("node_loss: { node: blue-0 }\n    at: 100s");
    for node in 1..4 {
        faults.push_str(&format!("\n  - node_loss: {{ node: blue-{node} }}\n    at: 100s"));
    }
    let ill = case("node-loss").with("count: 3", "count: 5").with("node_loss: { node: blue-0 }\n    at: 100s", &faults);
    let finished = ill.play(0);
    let states: Vec<String> = nodes(&finished).into_iter().filter(|(at, _)| *at > 400.0).map(|(_, what)| what).collect();
    assert_eq!(states, [0, 1, 2, 3].map(|node| format!("blue-{node} not_evicted")));
    assert_eq!(finished.ledger.services[0].bins.last().unwrap().replicas, 6);
}
