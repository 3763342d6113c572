//! Machines: what is moved off them on purpose, and what replicas do to each other there (docs/MODEL.md 1.4).

use firedrill_core::journal::{Event, ReplicaState};
use firedrill_sim::{Automation, Finished};

use crate::support::{case, good_share, told, totals};

/// When replicas began to leave.
fn leaving(finished: &Finished<impl Automation>) -> Vec<f64> {
    let left = told(finished, |event| {
        matches!(event, Event::ReplicaChanged { state: ReplicaState::Draining | ReplicaState::Gone, .. }).then_some(())
    });
    left.into_iter().map(|(at, ())| at.round()).collect()
}

/// The fewest ready replicas at the end of any bin.
fn fewest(finished: &Finished<impl Automation>) -> u32 {
    finished.ledger.services[0].bins.iter().map(|bin| bin.ready).min().unwrap()
}

#[test]
fn a_drained_node_lets_its_replicas_go_one_by_one_if_a_budget_wants_that() {
    let finished = case("disruption").play(0);
    // The second asks again every five seconds; the replacement of the first is ready after twelve.
    assert_eq!(leaving(&finished), [100.0, 115.0]);
    let refused = told(&finished, |event| if let Event::NotEvicted { figures, .. } = event { Some(figures.clone()) } else { None });
    assert_eq!(refused, [(100.0, "5 replicas are ready, and 5 must stay".to_owned())]);
    assert_eq!(good_share(&finished, 0, 600), 1.0);
    let states = told(&finished, |event| if let Event::NodeChanged { state, .. } = event { Some(state.to_string()) } else { None });
    assert_eq!(states, [(100.0, "cordoned".to_owned()), (300.0, "uncordoned".to_owned())]);
}

#[test]
fn what_a_replica_asks_for_is_what_it_may_have_unless_it_says_less() {
    let asked = |service: &str| {
        let text = format!(
            "schema: scenario/1\nscenario: asked\nclients: {{ users: {{ calls: db, rate: 1/s }} }}\nservices:\n  db: {{ {service}, work: [cpu: 1ms] }}\n"
        );
        firedrill_scenarios::read_scenario("asked.yaml", &text).expect("sound").spec.services[0].life.request_millicores
    };
    assert_eq!([asked("cores: 2"), asked("cores: 2, cpu_request: 0.5"), asked("workers: 2")], [2000, 500, 0]);
    // A database has cores of its own where none are stated.
    assert_eq!([asked("database: postgres"), asked("template: postgres")], [4000, 4000]);
}

#[test]
fn shares_of_a_disruption_budget_are_rounded_up_in_both_forms() {
    let with = |budget: &str| leaving(&case("disruption").with("min_available: 5", budget).play(0));
    // 75 % of 6 is 4.5: five must stay. 20 % of 6 is 1.2: two may be missing.
    assert_eq!(with("min_available: 75%"), [100.0, 115.0]);
    assert_eq!(with("max_unavailable: 20%"), [100.0, 100.0]);
    assert_eq!(with("max_unavailable: 0"), [] as [f64; 0]);
}

#[test]
fn a_drain_waits_for_who_is_missing_anyway_and_a_restart_does_not() {
    // Another replica crashes, and is away for 12 s when the drain begins.
    let crash = "changes:\n  - crash: { replica: api-5 }\n    at: 95s";
    let budget = case("disruption").with("changes:", crash);
    assert_eq!(leaving(&budget.play(0))[0], 110.0);
    let restart = "oracle:\n  - restart: { service: api, mode: at_once }\n    at: 200s\nfaults:";
    let restarted = case("disruption").with("changes:", restart).play_cured(0);
    assert_eq!(fewest(&restarted), 0);
}

#[test]
fn a_drain_by_an_action_asks_the_budget_too_and_the_node_stays_empty() {
    let oracle = "faults:\n  - slow: { service: api, factor: x2 }\n    at: 90s\noracle:\n  - drain: { node: blue-0 }\n    at: 100s";
    let drained = "changes:\n  - node_drain: { node: blue-0 }\n    at: 100s\n    lasting: 200s";
    let finished = case("disruption").with(drained, oracle).play_cured(0);
    assert_eq!(leaving(&finished), [100.0, 115.0]);
    let ended =
        told(&finished, |event| if let Event::ActionFinished { outcome, .. } = event { Some(format!("{outcome:?}")) } else { None });
    assert_eq!(ended, [(127.0, "Succeeded".to_owned())]);
}

/// Requests a second that api and batch have worked off.
fn throughput(finished: &Finished<impl Automation>) -> [f64; 2] {
    ["api", "batch"].map(|service| totals(finished, service).completed as f64 / 300.0)
}

#[track_caller]
fn check_throughput(finished: &Finished<impl Automation>, expected: [f64; 2]) {
    let got = throughput(finished);
    assert!(
        got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() <= 0.01 * expected + 1e-9),
        "{got:?} are not {expected:?}"
    );
}

#[test]
fn replicas_share_a_machine_by_what_they_ask_for_and_leave_what_they_do_not_need() {
    let both = case("contention");
    check_throughput(&both.play(0), [150.0, 50.0]);
    // Half a core of api is enough for 50 requests a second, and batch has the rest.
    check_throughput(
        &both.with("users: { calls: api, closed: { users: 8, think: 1ms } }", "users: { calls: api, rate: 50/s }").play(0),
        [50.0, 150.0],
    );
    // One alone may use all that it has no limit against.
    let alone = both.with("jobs: { calls: batch, closed: { users: 8, think: 1ms } }", "jobs: { calls: batch, rate: 0.001/s }");
    let [api, _] = throughput(&alone.with("cores: 2, cpu_request: 1.5", "cpu_request: 1.5").play(0));
    assert!((api - 200.0).abs() < 2.0, "{api}");
}

#[test]
fn stolen_time_is_lost_to_all_on_a_machine() {
    let steal = "services:\n  api:";
    let stolen = case("contention").with(steal, "faults:\n  - steal: { node: blue-0, share: 40% }\n    at: 0s\nservices:\n  api:");
    check_throughput(&stolen.play(0), [90.0, 30.0]);
    let of_one = case("contention").with(steal, "faults:\n  - steal: { service: api, share: 40% }\n    at: 0s\nservices:\n  api:");
    check_throughput(&of_one.play(0), [90.0, 50.0]);
}

#[test]
fn who_uses_most_beyond_what_it_asked_for_is_evicted_when_memory_ends() {
    for seed in 0..5 {
        let finished = case("memory-pressure").play(seed);
        let gone = told(&finished, |event| match event {
            Event::ReplicaChanged { replica, state: ReplicaState::Gone, reason } => Some(format!("{replica} {reason}")),
            _ => None,
        });
        // 400 MiB are left at 60 s, which is 40 s; the next look is within ten.
        let [(at, what)] = gone.as_slice() else { panic!("{gone:?}") };
        assert!(
            (100.0..=110.0).contains(at) && what.starts_with("leaky-0 evicted: it uses") && what.ends_with("asked for 200MiB"),
            "{gone:?}"
        );
        let states =
            told(
                &finished,
                |event| if let Event::NodeChanged { node, state, .. } = event { Some(format!("{node} {state}")) } else { None },
            );
        assert_eq!(states.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), ["blue-0 short_of_memory", "blue-0 ready"]);
        assert!((states[1].0 - states[0].0 - 300.0).abs() < 1e-6, "{states:?}");
    }
}

#[test]
fn four_threads_with_a_quota_of_one_core_are_done_after_125_ms() {
    let response = |case: &crate::support::Case| totals(&case.play(0), "api").mean_response_seconds;
    let limited = case("cfs");
    assert!((response(&limited) - 0.125).abs() < 1e-6, "{}", response(&limited));
    // Shared evenly, one core gives each a quarter; four cores are not short.
    assert!((response(&limited.with("cfs: 100ms, ", "")) - 0.2).abs() < 1e-6);
    assert!((response(&limited.with("cores: 1", "cores: 4")) - 0.05).abs() < 1e-6);
    // Half of the quota is gone before requests come: 12.5 ms of each period for each of them.
    let busy = limited.with("cfs: 100ms", "cfs: 100ms, background: 0.5");
    assert!((response(&busy) - 0.3125).abs() < 1e-6, "{}", response(&busy));
}

#[test]
fn a_quota_that_is_used_up_on_many_cores_at_a_time_is_short_of_them_on_a_small_machine() {
    let response = |case: &crate::support::Case| totals(&case.play(0), "api").mean_response_seconds;
    let placed = |cores: u32| {
        let machine = format!("nodes: {{ blue: {{ count: 1, cores: {cores}, memory: 8GiB }} }}\nservices:\n  front: {{ cores: 1, work:");
        case("cfs").with("services:\n  front: { work:", &machine)
    };
    // Two cores for four threads: the quota is spent after 50 ms, 25 ms of work are left for each of them, and those take 50 ms too.
    assert!((response(&placed(2)) - 0.15).abs() < 1e-6, "{}", response(&placed(2)));
    // Five cores are enough for them, though the container asks for one.
    assert!((response(&placed(5)) - 0.125).abs() < 1e-6, "{}", response(&placed(5)));
}

#[test]
fn r_gc_a_full_heap_outlives_the_burst_that_filled_it_and_less_load_cures_it() {
    let burst = case("r-gc");
    for seed in 0..4 {
        let stuck = burst.play(seed);
        assert!(good_share(&stuck, 0, 60) > 0.99, "seed {seed}: {}", good_share(&stuck, 0, 60));
        assert!(good_share(&stuck, 400, 590) < 0.2, "seed {seed}: {}", good_share(&stuck, 400, 590));
        let without = burst.with("    gc: { every: 20ms, share: 5%, full: 100% }\n", "").play(seed);
        assert!(good_share(&without, 120, 590) > 0.99, "seed {seed}");
        // A tenth of the load for a minute is little enough.
        let relief = "  - surge: { client: users, factor: x0.1 }\n    at: 200s\n    lasting: 60s\nfaults:";
        let cured = burst.with("faults:", &format!("changes:\n{relief}")).play(seed);
        assert!(good_share(&cured, 300, 590) > 0.99, "seed {seed}: {}", good_share(&cured, 300, 590));
    }
}
