//! What actions do to the world, held against what is known of it: shares, rates, times; and that each that is out of place says why.

use std::sync::Arc;

use firedrill_core::action::{Action, ActionOutcome, Keys, Limit, Priority, RestartMode, Restraint, Scale, Target};
use firedrill_core::journal::Event;
use firedrill_core::ledger::{RequestOutcome, ServiceTotals};
use firedrill_core::name::Name;
use firedrill_core::quantity::{Bytes, Rate, Ratio};
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Time};
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{CureSpec, WorldSpec};
use firedrill_sim::{Finished, Idle, Options, Run, Script};
use firedrill_telemetry::notation::parse_matchers;
use firedrill_telemetry::store::is_stale;

/// A shop that asks a database and something that buyers can do without, for six minutes.
const SHOP: &str = "
schema: scenario/1
scenario: actions
horizon: 6m
clients:
  buyers: { calls: { service: shop, endpoint: /buy }, rate: 100/s, timeout: 2s, priority: high }
  robots: { calls: { service: shop, endpoint: /look }, rate: 100/s, timeout: 2s, priority: low }
services:
  shop:
    replicas: 4
    zones: [a, b]
    workers: 60
    queue: 100
    start_up: 5s
    endpoints:
      /buy:
        work:
          - cpu: 5ms
          - call: { service: db, timeout: 1s, pool: { size: 10, timeout: 500ms } }
          - call: { service: extras, timeout: 1s, optional: true }
      /look: { work: [cpu: 2ms, call: { service: extras, timeout: 1s }] }
  extras:
    replicas: 2
    workers: unbounded
    work: [sleep: 20ms]
  db:
    replicas: 1
    database: { engine: postgres }
    start_up: 5s
    work: [cpu: 1ms, sleep: 6ms]
";

fn service(name: &str) -> Target {
    Target::Service(Name::new(name))
}

fn zone(name: &str) -> Target {
    Target::Zone(Name::new(name))
}

fn node(name: &str) -> Target {
    Target::Node(Name::new(name))
}

fn share(share: f64) -> Ratio {
    Ratio::new(share).unwrap()
}

const fn minutes(minutes: u64) -> Span {
    Span::from_minutes(minutes)
}

/// The text with more at its end, with these actions at their seconds, played to its end.
#[track_caller]
fn play(text: &str, more: &str, acts: &[(u64, Action, Target)]) -> Finished<Script> {
    let text = format!("{text}{more}");
    let scenario = read_scenario("actions.yaml", &text)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")));
    let cure = |(at, action, target): &(u64, Action, Target)| CureSpec {
        at: Time::from_seconds(*at),
        action: action.clone(),
        target: target.clone(),
    };
    let spec = Arc::new(WorldSpec { cures: acts.iter().map(cure).collect(), ..WorldSpec::clone(&scenario.spec) });
    Run::new(Arc::clone(&spec), Seed(1), Options { telemetry: false, ..Options::default() }, Script::new(spec)).finish()
}

/// The share of a client's requests that arrived in `[from, to)` seconds, whole multiples of ten, and ended so.
fn ended(finished: &Finished<Script>, client: &str, (from, to): (usize, usize), outcome: RequestOutcome) -> f64 {
    let client = finished.ledger.clients.iter().find(|ledger| &*ledger.client == client).unwrap();
    let first = client.bin_starts[from / 10] as usize;
    let last = client.bin_starts.get(to / 10).map_or(client.outcomes.len(), |last| *last as usize);
    let hits = client.outcomes[first..last].iter().filter(|byte| **byte == outcome as u8).count();
    hits as f64 / (last - first) as f64
}

fn good(finished: &Finished<Script>, client: &str, during: (usize, usize)) -> f64 {
    ended(finished, client, during, RequestOutcome::Good)
}

fn totals(finished: &Finished<Script>, service: &str) -> ServiceTotals {
    finished.ledger.services.iter().find(|ledger| &*ledger.service == service).unwrap().totals
}

/// How the actions ended, in words; empty if well.
fn failures(finished: &Finished<Script>) -> Vec<String> {
    let outcomes = finished.journal.records().iter().filter_map(|record| match &record.event {
        Event::ActionFinished { outcome: ActionOutcome::Failed(why) | ActionOutcome::Refused(why), .. } => Some(why.clone()),
        _ => None,
    });
    outcomes.collect()
}

/// When something was told, seconds, and its words.
fn told(finished: &Finished<Script>, part: &str) -> Vec<f64> {
    let records = finished.journal.records().iter().filter(|record| format!("{:?}", record.event).contains(part));
    records.map(|record| record.at.as_seconds()).collect()
}

#[track_caller]
fn is_about(figure: f64, expected: f64, by: f64) {
    assert!((figure - expected).abs() <= by, "{figure} is not {expected} give or take {by}");
}

#[track_caller]
fn refuses(action: Action, target: Target, why: &str) {
    assert_eq!(failures(&play(SHOP, "", &[(60, action, target)])), [why]);
}

#[test]
fn nothing_of_a_broken_circuit_is_let_through_until_its_time_is_up() {
    let broken = Action::CircuitBreak { from: None, lasting: minutes(2) };
    let finished = play(SHOP, "", &[(100, broken, service("extras"))]);
    assert!(good(&finished, "buyers", (100, 220)) > 0.9999, "who can do without goes on");
    assert_eq!(good(&finished, "robots", (110, 210)), 0.0, "the others fail");
    assert!(good(&finished, "robots", (0, 90)) > 0.9999 && good(&finished, "robots", (230, 350)) > 0.9999);
    let calls = totals(&finished, "extras").sent as f64;
    is_about(calls, 200.0 * 240.0, 700.0);
    assert_eq!(told(&finished, "circuit_break of service/extras is over: its time was up"), [220.0]);
}

#[test]
fn a_circuit_of_one_caller_leaves_the_others_alone() {
    let broken = Action::CircuitBreak { from: Some(Name::new("robots")), lasting: minutes(2) };
    let finished = play(SHOP, "", &[(100, broken, service("shop"))]);
    assert_eq!((good(&finished, "robots", (110, 210)), good(&finished, "buyers", (110, 210))), (0.0, 1.0));
    let strange = Action::CircuitBreak { from: Some(Name::new("buyers")), lasting: minutes(2) };
    refuses(strange, service("extras"), "buyers does not call service/extras");
}

#[test]
fn an_isolated_service_is_asked_as_often_as_erlang_s_formula_says() {
    // One call of a process and an edge at a time: half an Erlang is offered, a third is blocked, whatever the distribution.
    let isolated = Action::Isolate { calls: 1, from: None, lasting: minutes(5) };
    let text = SHOP.replace("    workers: 60\n", "    workers: 60\n    balance: random\n");
    let finished = play(&text, "", &[(20, isolated, service("extras"))]);
    is_about(good(&finished, "robots", (30, 310)), 2.0 / 3.0, 0.015);
    assert!(good(&finished, "buyers", (30, 310)) > 0.9999, "buyers can do without");
    refuses(Action::Isolate { calls: 1, from: None, lasting: minutes(5) }, service("shop"), "no service calls service/shop");
}

#[test]
fn load_is_shed_by_share_and_who_is_important_is_spared() {
    let shed = |spare| Action::ShedLoad { share: share(0.4), spare, lasting: minutes(2) };
    let finished = play(SHOP, "", &[(60, shed(Some(Priority::High)), service("shop")), (200, shed(None), service("shop"))]);
    assert!(good(&finished, "buyers", (60, 180)) > 0.9999, "those are spared");
    is_about(ended(&finished, "robots", (70, 170), RequestOutcome::Shed), 0.4, 0.02);
    is_about(ended(&finished, "buyers", (210, 310), RequestOutcome::Shed), 0.4, 0.02);
    assert!(good(&finished, "robots", (330, 350)) > 0.9999);
    // What is turned away has asked nobody.
    is_about(totals(&finished, "shop").sent as f64, 200.0 * 360.0 - 0.4 * (100.0 + 200.0) * 120.0, 900.0);
}

#[test]
fn calls_of_a_request_are_spared_as_it_is() {
    let shed = Action::ShedLoad { share: share(1.0), spare: Some(Priority::High), lasting: minutes(2) };
    let finished = play(SHOP, "", &[(60, shed, service("extras"))]);
    is_about(totals(&finished, "extras").sent as f64, 200.0 * 360.0 - 100.0 * 120.0, 500.0);
}

#[test]
fn a_limited_client_gets_its_rate_and_the_burst_of_a_second() {
    let limit = Action::RateLimit { rate: Rate::per_second(20.0).unwrap(), lasting: minutes(4) };
    let finished = play(SHOP, "", &[(60, limit.clone(), Target::Client(Name::new("robots")))]);
    is_about(good(&finished, "robots", (60, 160)), (20.0 * 100.0 + 20.0) / (100.0 * 100.0), 0.01);
    is_about(ended(&finished, "robots", (100, 200), RequestOutcome::Shed), 0.8, 0.01);
    assert!(good(&finished, "buyers", (60, 300)) > 0.9999);
    refuses(limit, Target::Client(Name::new("nobody")), "client/nobody calls nobody");
}

#[test]
fn a_degraded_service_leaves_out_what_it_can_do_without_until_that_is_lifted() {
    let degrade = Action::Degrade { lasting: minutes(30) };
    let lift = Action::Lift { what: Restraint::Degrade };
    let finished = play(SHOP, "", &[(60, degrade.clone(), service("shop")), (180, lift.clone(), service("shop"))]);
    is_about(totals(&finished, "extras").sent as f64, 200.0 * 360.0 - 100.0 * 120.0, 500.0);
    assert!(good(&finished, "buyers", (0, 350)) > 0.9999 && good(&finished, "robots", (0, 350)) > 0.9999);
    assert_eq!(told(&finished, "degrade of service/shop is over: it was lifted"), [180.0]);
    refuses(degrade, service("extras"), "service/extras makes no call that it can do without");
    refuses(lift, service("shop"), "no degrade holds service/shop");
}

#[test]
fn limits_of_retries_can_be_lifted_too() {
    let limit = Action::LimitRetries { retries: 0, lasting: minutes(4) };
    let lift = Action::Lift { what: Restraint::LimitRetries };
    let finished = play(SHOP, "", &[(60, limit, service("shop")), (90, lift, service("shop"))]);
    assert_eq!(
        told(&finished, "RetriesLimited"),
        [60.0, 60.0, 90.0, 90.0],
        "two clients, on and off, and not again at the end of the time"
    );
}

#[test]
fn what_leaks_starves_a_pool_until_it_is_made_anew() {
    // A connection in a hundred: each of the 40 is gone after 40 s, for half a minute as long as the leak goes on.
    let leak = "faults:\n  - connection_leak: { service: shop, to: db, share: 1% }\n    at: 1m\n    lasting: 4m\n";
    let reset = Action::ResetPool { to: Some(Name::new("db")) };
    let finished = play(SHOP, leak, &[(150, reset.clone(), service("shop"))]);
    assert!(good(&finished, "buyers", (0, 90)) > 0.9999, "nothing is wrong for a while");
    assert_eq!(good(&finished, "buyers", (120, 140)), 0.0, "then nobody gets a connection");
    assert!(good(&finished, "buyers", (150, 170)) > 0.999, "until there are new ones");
    assert_eq!(good(&finished, "buyers", (210, 350)), 0.0, "which leak as well, and stay away when the leak is over");
    let restarted = play(SHOP, leak, &[(305, Action::Restart { mode: RestartMode::AtOnce }, service("shop"))]);
    assert!(good(&restarted, "buyers", (320, 350)) > 0.999, "a new process has new pools");
    refuses(Action::ResetPool { to: Some(Name::new("extras")) }, service("shop"), "service/shop has no pool to extras");
}

#[test]
fn limits_are_set_and_lifted() {
    // Seven milliseconds of a hundred requests a second on four replicas: a pool of one is used to a sixth, workers to a tenth.
    let pool = Action::SetLimit { limit: Limit::Pool, to: 1 };
    let finished =
        play(SHOP, "", &[(60, pool.clone(), service("shop")), (120, Action::SetLimit { limit: Limit::Workers, to: 1 }, service("shop"))]);
    assert!(failures(&finished).is_empty() && good(&finished, "buyers", (60, 120)) > 0.999);
    // One worker serves 25 buyers of 32 ms and 25 robots of 22 ms a second: more than it can.
    assert!(good(&finished, "robots", (240, 340)) < 0.8);
    let lift = Action::Lift { what: Restraint::SetLimit };
    let lifted = play(SHOP, "", &[(60, Action::SetLimit { limit: Limit::Workers, to: 1 }, service("shop")), (120, lift, service("shop"))]);
    assert!(good(&lifted, "robots", (140, 350)) > 0.999);
    refuses(pool, service("extras"), "service/extras has no pool");
    refuses(Action::SetLimit { limit: Limit::Threads, to: 9 }, service("shop"), "the threads of service/shop have no limit");
}

#[test]
fn killed_queries_fail_and_free_what_they_held() {
    let slow = "faults:\n  - slow: { service: db, factor: x400 }\n    at: 1m\n    lasting: 30s\n";
    let text = SHOP
        .replace("timeout: 1s, pool: { size: 10, timeout: 500ms }", "timeout: 60s")
        .replace("timeout: 2s, priority: high", "timeout: 60s, priority: high");
    let kill = |older| Action::KillQueries { older };
    let finished = play(&text, slow, &[(80, kill(Span::ZERO), service("db"))]);
    assert_eq!(failures(&finished), Vec::<String>::new());
    let lost = totals(&finished, "db").lost;
    // All of its eight workers; those that wait are no queries yet.
    assert_eq!((lost, told(&finished, "8 queries of service/db were ended").len()), (8, 1));
    let young = play(&text, slow, &[(80, kill(minutes(2)), service("db"))]);
    assert_eq!(totals(&young, "db").lost, 0);
    refuses(kill(Span::ZERO), service("shop"), "service/shop is no database");
}

#[test]
fn whoever_forgot_a_lock_is_ended_with_the_queries() {
    let text = SHOP.replace("work: [cpu: 1ms, sleep: 6ms]", "work: [cpu: 1ms, lock: { name: stock, hold: 1ms }]");
    let held = "faults:\n  - lock_hold: { service: db, lock: stock }\n    at: 1m\n";
    let finished = play(&text, held, &[(90, Action::KillQueries { older: Span::ZERO }, service("db"))]);
    assert!(good(&finished, "buyers", (70, 80)) < 0.1 && good(&finished, "buyers", (110, 350)) > 0.999);
}

/// The shop with a cache before its database.
fn cached() -> String {
    let text = SHOP.replace(
        "call: { service: db, timeout: 1s, pool: { size: 10, timeout: 500ms } }",
        "cache: { name: items, miss: { service: db, timeout: 1s } }",
    );
    text.replace("    workers: 60\n", "    workers: 60\n    caches: { items: { keys: 1000, zipf: 0 } }\n")
}

#[test]
fn spoilt_entries_fail_until_they_are_flushed() {
    let spoilt = "faults:\n  - cache_corruption: { service: shop, cache: items, prefix: 'eu:', share: 30% }\n    at: 1m\n";
    let flush = |keys| Action::FlushCache { cache: None, keys };
    let prefix = |prefix| Keys::Prefix(Name::new(prefix));
    let nothing = play(&cached(), spoilt, &[]);
    is_about(good(&nothing, "buyers", (70, 350)), 0.7, 0.03);
    let finished = play(&cached(), spoilt, &[(120, flush(prefix("eu:")), service("shop"))]);
    assert!(good(&finished, "buyers", (130, 350)) > 0.9999);
    assert_eq!(told(&finished, "no entry is spoilt any more"), [120.0]);
    let calls = |finished: &Finished<Script>| totals(finished, "db").sent;
    let all = play(&cached(), spoilt, &[(120, flush(Keys::Share(share(1.0))), service("shop"))]);
    let [few, many] = [&finished, &all].map(calls);
    assert!((250..=350).contains(&few) && (950..=1050).contains(&many), "each key is asked for once more: {few}, {many}");
    assert_eq!(
        failures(&play(&cached(), spoilt, &[(120, flush(prefix("us:")), service("shop"))])),
        ["no key of service/shop begins with us:"]
    );
    refuses(flush(prefix("eu:")), service("extras"), "service/extras has no cache");
}

#[test]
fn a_zone_gets_the_share_of_the_traffic_that_is_left_of_its_own() {
    // What goes to the replicas of one of two zones fails.
    let sick = "faults:\n  - error_rate: { replica: shop-1, error: 100% }\n    at: 10s\n  - error_rate: { replica: shop-3, error: 100% }\n    at: 10s\n";
    let shift = |part| Action::ShiftTraffic { share: share(part) };
    let lift = Action::Lift { what: Restraint::ShiftTraffic };
    for balance in ["round_robin", "least_request"] {
        let text = SHOP.replace("    workers: 60\n", &format!("    workers: 60\n    balance: {balance}\n"));
        let finished = play(&text, sick, &[(60, shift(0.5), zone("b")), (160, shift(0.0), zone("b")), (260, lift.clone(), zone("b"))]);
        // Who fails at once has the fewest requests under way, and so gets more than its half.
        let half = good(&finished, "robots", (20, 60));
        assert!((0.35..=0.51).contains(&half), "{half}");
        // Half the weight in the rounds of all; where a caller chooses first, every second choice of that zone goes to the other one.
        let left = if balance == "round_robin" { 2.0 / 3.0 } else { 0.5 + half / 2.0 };
        is_about(good(&finished, "robots", (70, 150)), left, 0.04);
        assert!(good(&finished, "robots", (170, 250)) > 0.9999);
        is_about(good(&finished, "robots", (270, 350)), half, 0.04);
    }
    let both = play(SHOP, "", &[(60, shift(0.0), zone("a")), (90, shift(0.0), zone("b"))]);
    assert_eq!(failures(&both), ["no zone would be left that requests go to"]);
}

/// The shop on machines.
fn machines() -> String {
    let nodes =
        "nodes:\n  blue: { count: 2, zone: a, cores: 16, memory: 16GiB }\n  green: { count: 2, zone: b, cores: 16, memory: 16GiB }\n";
    format!("{SHOP}{nodes}")
}

#[test]
fn a_machine_that_was_lost_is_back_once_it_was_switched_off_and_on() {
    let lost = "faults:\n  - node_loss: { node: blue-0 }\n    at: 1m\n";
    let finished = play(&machines(), lost, &[(80, Action::RebootNode, node("blue-0"))]);
    assert_eq!(failures(&finished), Vec::<String>::new());
    let over = told(&finished, "FaultEnded");
    assert!(over.len() == 1 && (140.0..=260.0).contains(&over[0]), "{over:?}");
    assert!(good(&finished, "robots", (290, 350)) > 0.999);
}

#[test]
fn a_machine_is_replaced_once_nothing_is_left_on_it() {
    let slow = "faults:\n  - steal: { node: blue-0, share: 95% }\n    at: 20s\n";
    let finished = play(&machines(), slow, &[(30, Action::ReplaceNode, node("blue-0"))]);
    assert_eq!(failures(&finished), Vec::<String>::new());
    let over = told(&finished, "another machine stands in its place");
    assert!((150.0..=345.0).contains(&over[0]), "{over:?}");
    assert!(good(&finished, "robots", (60, 350)) > 0.999, "its replicas stand elsewhere");
    let lost = "faults:\n  - node_loss: { node: blue-0 }\n    at: 20s\n";
    let finished = play(&machines(), lost, &[(30, Action::ReplaceNode, node("blue-0"))]);
    assert!(good(&finished, "robots", (60, 350)) > 0.999, "nobody waits for five minutes");
}

#[test]
fn what_is_cordoned_takes_nothing_new_until_it_is_undrained() {
    let grow = Action::Scale { replicas: Scale::By(4) };
    let one = "nodes:\n  blue: { count: 1, zone: a, cores: 16, memory: 16GiB }\n  green: { count: 1, zone: b, cores: 16, memory: 16GiB }\n";
    let acts = [
        (20, Action::Cordon, node("blue-0")),
        (30, Action::Cordon, node("green-0")),
        (40, grow, service("shop")),
        (200, Action::Undrain, node("blue-0")),
    ];
    let finished = play(&format!("{SHOP}{one}"), "", &acts);
    let (waits, started) = (told(&finished, "no node has room for it"), told(&finished, "it has a node"));
    assert!(waits.len() == 4 && waits.iter().all(|at| *at < 200.0), "{waits:?}");
    assert!(started.len() == 4 && started.iter().all(|at| *at >= 200.0), "{started:?}");
    let again = play(&format!("{SHOP}{one}"), "", &[(20, Action::Undrain, node("blue-0"))]);
    assert_eq!(failures(&again), ["node/blue-0 is not drained"]);
    refuses(Action::Undrain, zone("a"), "zone/a is not drained");
    refuses(Action::RebootNode, node("blue-0"), "node/blue-0 does not exist");
}

#[test]
fn a_full_volume_takes_no_writes_until_it_has_room() {
    let text =
        SHOP.replace("    database: { engine: postgres }\n", "    database: { engine: postgres }\n    disk: { size: 10GiB, used: 4GiB }\n");
    let text = text.replace(
        "/look: { work: [cpu: 2ms, call: { service: extras, timeout: 1s }] }",
        "/look: { work: [cpu: 2ms, call: { service: db, access: read, timeout: 1s }] }",
    );
    let fills = "faults:\n  - disk_fill: { service: db, fill: 100MiB/s }\n    at: 1m\n";
    // 6 GiB at 100 MiB a second.
    let full_at = 60.0 + 6.0 * 1024.0 / 100.0;
    let nothing = play(&text, fills, &[]);
    assert_eq!(told(&nothing, "the volume of db-0 is full: 10GiB"), [full_at]);
    assert!(good(&nothing, "buyers", (0, 120)) > 0.9999 && good(&nothing, "buyers", (130, 350)) == 0.0);
    assert!(good(&nothing, "robots", (0, 350)) > 0.9999, "what only reads goes on");
    let larger = play(&text, fills, &[(140, Action::ExpandVolume { by: Bytes::parse("4GiB").unwrap() }, service("db"))]);
    let full: Vec<f64> = told(&larger, "is full");
    is_about(full[1], 140.0 + 4.0 * 1024.0 / 100.0, 1e-6);
    assert!(good(&larger, "buyers", (140, 180)) > 0.9999 && good(&larger, "buyers", (190, 350)) == 0.0);
    let cleared = play(&text, fills, &[(140, Action::ClearDisk, Target::Replica(Name::new("db-0")))]);
    assert_eq!(told(&cleared, "FaultEnded"), Vec::<f64>::new(), "what fills the volumes of all is stopped for all, and not for one");
    let cleared = play(&text, fills, &[(140, Action::ClearDisk, service("db"))]);
    assert!(good(&cleared, "buyers", (140, 350)) > 0.9999);
    refuses(Action::ClearDisk, service("shop"), "service/shop has no volume");
}

#[test]
fn after_a_certificate_has_expired_open_sessions_end_one_by_one() {
    let expires = "faults:\n  - certificate_expiry: { service: extras, sessions: 100s }\n    at: 1m\n";
    let finished = play(SHOP, expires, &[(260, Action::RenewCertificate, service("extras"))]);
    is_about(good(&finished, "robots", (60, 160)), 0.5, 0.02);
    assert_eq!(good(&finished, "robots", (160, 250)), 0.0);
    assert!(good(&finished, "robots", (270, 350)) > 0.9999 && good(&finished, "buyers", (0, 350)) > 0.9999);
    let restarted = play(SHOP, expires, &[(70, Action::Restart { mode: RestartMode::AtOnce }, service("extras"))]);
    assert_eq!(good(&restarted, "robots", (80, 150)), 0.0, "a restart ends the sessions that were left");
    let early = play(SHOP, expires, &[(30, Action::RenewCertificate, service("extras"))]);
    assert!(good(&early, "robots", (0, 350)) > 0.9999 && told(&early, "FaultStarted").is_empty(), "who renews in time has no incident");
}

#[test]
fn drifted_replicas_err_until_they_are_set_to_what_is_declared() {
    let drift = "faults:\n  - config_drift: { service: shop, replicas: 1, error: 80% }\n    at: 1m\n";
    let restart = Action::Restart { mode: RestartMode::AtOnce };
    let finished = play(SHOP, drift, &[(120, restart, service("shop")), (240, Action::RevertDrift, service("shop"))]);
    is_about(good(&finished, "robots", (60, 120)), 0.8, 0.02);
    is_about(good(&finished, "robots", (140, 230)), 0.8, 0.02);
    assert!(good(&finished, "robots", (250, 350)) > 0.9999);
}

#[test]
fn a_process_fails_for_the_peers_that_it_has_no_thread_for() {
    let text = SHOP.replace("    workers: 60\n", "    workers: 60\n    threads: { base: 60, per_peer: 10, limit: 100 }\n");
    let more = "faults:\n  - scale_out: { service: shop, by: 4 }\n    at: 1m\n";
    let nothing = play(&text, more, &[]);
    // Of seven peers four are reached.
    is_about(good(&nothing, "robots", (80, 350)), 4.0 / 7.0, 0.02);
    let fewer = play(&text, more, &[(120, Action::Scale { replicas: Scale::To(5) }, service("shop"))]);
    assert!(good(&fewer, "robots", (160, 350)) > 0.9999 && told(&fewer, "a thread for each of its peers").len() == 1);
    let limit = Action::SetLimit { limit: Limit::Threads, to: 200 };
    let raised = play(&text, more, &[(90, limit, service("shop")), (120, Action::Restart { mode: RestartMode::Rolling }, service("shop"))]);
    is_about(good(&raised, "robots", (90, 120)), 4.0 / 7.0, 0.04);
    assert!(good(&raised, "robots", (200, 350)) > 0.999, "a limit is known to processes that start after it was set");
}

#[test]
fn a_rollout_that_is_paused_goes_no_further() {
    let text = SHOP.replace("    start_up: 5s\n    endpoints:", "    start_up: 20s\n    versions: { v2: { error: 100% } }\n    endpoints:");
    let bad = "faults:\n  - deploy: { service: shop, version: v2 }\n    at: 1m\n";
    let pause = (70, Action::PauseRollout, service("shop"));
    let finished = play(&text, bad, std::slice::from_ref(&pause));
    // One more than wanted and one less that is ready: three of the old ones stay, and the two that had begun to start come up.
    is_about(good(&finished, "robots", (110, 350)), 0.6, 0.01);
    let resumed = play(&text, bad, &[pause.clone(), (150, Action::Lift { what: Restraint::PauseRollout }, service("shop"))]);
    assert_eq!(good(&resumed, "robots", (300, 350)), 0.0, "then it goes on");
    let back = play(&text, bad, &[pause, (150, Action::Rollback, service("shop"))]);
    assert!(good(&back, "robots", (260, 350)) > 0.999 && failures(&back).is_empty());
    refuses(Action::PauseRollout, service("shop"), "nothing is rolled out to service/shop");
}

/// The last sample of the only series that fits.
#[track_caller]
fn last(finished: &Finished<Idle>, matchers: &str) -> f64 {
    let found = finished.telemetry.select(&parse_matchers(matchers).unwrap());
    let last: Vec<f64> =
        found.iter().filter_map(|series| finished.telemetry.values(*series).last().copied()).filter(|value| !is_stale(*value)).collect();
    assert_eq!(last.len(), 1, "{matchers} selects one series: {last:?}");
    last[0]
}

#[test]
fn what_runs_out_is_seen() {
    let text = cached()
        .replace("    database: { engine: postgres }\n", "    database: { engine: postgres }\n    disk: { size: 10GiB, used: 4GiB }\n");
    let text = text.replace("    workers: 60\n", "    workers: 60\n    threads: { base: 60, per_peer: 10, limit: 85 }\n");
    let faults = "faults:\n  - disk_fill: { service: db, fill: 70MiB/s }\n    at: 1m\n    lasting: 100s\n  - certificate_expiry: { service: shop, sessions: 1h }\n    at: 5m\n  - config_drift: { service: extras, replicas: 1, demand: x2 }\n    at: 2m\n  - cache_corruption: { service: shop, cache: items, prefix: 'eu:', share: 30% }\n    at: 1m\n";
    let scenario = read_scenario("actions.yaml", &format!("{text}{faults}"))
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")));
    let finished = Run::new(Arc::clone(&scenario.spec), Seed(1), Options::default(), Idle).finish();
    let volume =
        |part: &str| last(&finished, &format!("__name__=\"kubelet_volume_stats_{part}_bytes\",persistentvolumeclaim=\"data-db-0\""));
    let gib = f64::from(1 << 30);
    let used = 4.0 * gib + 100.0 * 70.0 * f64::from(1 << 20);
    is_about(volume("used"), used.min(10.0 * gib), 1.0);
    is_about(volume("capacity") - volume("used"), volume("available"), 1.0);
    let threads = |metric: &str| last(&finished, &format!("__name__=\"{metric}\",pod=\"shop-0\""));
    assert_eq!((threads("container_threads"), threads("container_threads_max")), (85.0, 85.0), "of 60 and three times ten");
    let expires = last(&finished, "__name__=\"certmanager_certificate_expiration_timestamp_seconds\",name=\"shop\"");
    assert_eq!(expires, last(&finished, "__name__=\"probe_ssl_earliest_cert_expiry\",service=\"shop\""));
    is_about(expires - scenario.spec.start.prometheus_millis(Time::ZERO) as f64 / 1e3, 300.0, 0.001);
    assert_eq!(last(&finished, "__name__=\"probe_success\",service=\"shop\""), 0.0, "who opens a connection finds out");
    assert_eq!(last(&finished, "__name__=\"argocd_app_info\",name=\"extras\""), 1.0);
    assert_eq!(last(&finished, "__name__=\"argocd_app_info\",sync_status=\"OutOfSync\""), 1.0);
    assert!(last(&finished, "__name__=\"cache_read_errors_total\",pod=\"shop-0\",prefix=\"eu:\"") > 100.0);
}

#[test]
fn what_leaks_is_seen_as_taken_and_nobody_has_it() {
    let leak = "faults:\n  - connection_leak: { service: shop, share: 1% }\n    at: 1m\n";
    let scenario = read_scenario("actions.yaml", &format!("{SHOP}{leak}")).unwrap();
    let finished = Run::new(Arc::clone(&scenario.spec), Seed(1), Options::default(), Idle).finish();
    let of = |metric: &str| last(&finished, &format!("__name__=\"hikaricp_connections_{metric}\",pod=\"shop-0\""));
    assert_eq!((of("active"), of("idle"), of("max")), (10.0, 0.0, 10.0));
    assert!(of("timeout_total") > 100.0 && of("pending") > 1.0);
}

#[test]
fn killed_processes_start_again_after_their_back_off() {
    let finished = play(SHOP, "", &[(60, Action::Kill, service("shop")), (90, Action::Kill, Target::Replica(Name::new("shop-0")))]);
    assert!(failures(&finished).is_empty(), "{:?}", failures(&finished));
    assert_eq!(told(&finished, "killed by").len(), 5);
    // The first back-off is none; ten seconds come before the second start. Whoever was served meanwhile was served by the others.
    assert_eq!(told(&finished, "started again after its back-off"), [100.0]);
    assert!(good(&finished, "robots", (60, 70)) < 0.7 && good(&finished, "robots", (70, 90)) > 0.9999);
    assert!(good(&finished, "robots", (110, 350)) > 0.9999);
    let hung = "faults:\n  - hang: { replica: shop-1 }\n    at: 1m\n";
    let freed = play(SHOP, hung, &[(120, Action::Kill, Target::Replica(Name::new("shop-1")))]);
    assert!(good(&freed, "robots", (80, 120)) < 0.9 && good(&freed, "robots", (130, 350)) > 0.9999, "a hung process can be killed too");
    refuses(Action::Kill, Target::Replica(Name::new("shop-9")), "replica/shop-9 does not exist");
}

#[test]
fn more_memory_puts_the_end_of_a_leaking_process_off() {
    let text = SHOP.replace("    workers: 60\n", "    workers: 60\n    memory: { base: 100MiB, limit: 200MiB }\n");
    let leak = "faults:\n  - memory_leak: { replica: shop-0, leak: 1MiB/s }\n    at: 1m\n";
    let killed = |finished: &Finished<Script>| told(finished, "out of memory").first().copied().unwrap();
    let resize = |memory: &str| Action::Resize { memory: Bytes::parse(memory).unwrap() };
    is_about(killed(&play(&text, leak, &[])), 160.0, 0.1);
    is_about(killed(&play(&text, leak, &[(120, resize("300MiB"), service("shop"))])), 260.0, 0.1);
    let lifted = [(120, resize("400MiB"), service("shop")), (240, Action::Lift { what: Restraint::Resize }, service("shop"))];
    is_about(killed(&play(&text, leak, &lifted)), 240.0, 0.1);
    let less = play(&text, leak, &[(120, resize("150MiB"), service("shop"))]);
    assert_eq!(failures(&less), ["a replica of service/shop uses more than 150MiB"]);
    refuses(resize("1GiB"), service("extras"), "the memory of service/extras has no limit");
    let machines = text.replace("services:\n", "nodes:\n  blue: { count: 8, zone: a, cores: 8, memory: 8GiB }\n  green: { count: 8, zone: b, cores: 8, memory: 8GiB }\nservices:\n");
    let machines = machines.replace("  db:\n", "  db:\n    cores: 2\n    memory: { limit: 1GiB }\n");
    let found = failures(&play(&machines, "", &[(60, resize("1GiB"), service("shop"))]));
    assert_eq!(found, ["service/shop stands on machines that have set aside 200MiB for each replica"]);
}

#[test]
fn a_cache_is_loaded_with_what_is_asked_for_most() {
    let flush = Action::FlushCache { cache: None, keys: Keys::Share(share(1.0)) };
    let warm = |part| Action::WarmCache { cache: None, share: share(part) };
    // Every key is asked for alike, so half of them are half of the hits.
    let asked = |acts: &[(u64, Action, Target)]| totals(&play(&cached(), "", acts), "db").sent;
    let (never, cold) = (asked(&[]), asked(&[(120, flush.clone(), service("shop"))]));
    assert!(cold > never + 900, "each of a thousand keys is asked for anew: {cold}, {never}");
    let all = asked(&[(120, flush.clone(), service("shop")), (120, warm(1.0), service("shop"))]);
    is_about(all as f64, never as f64, 5.0);
    let half = asked(&[(120, flush, service("shop")), (120, warm(0.5), service("shop"))]);
    is_about((half - never) as f64, (cold - never) as f64 / 2.0, 30.0);
    refuses(warm(1.0), service("shop"), "service/shop has no cache");
}

/// Orders that a packer works off, one of which is poisoned.
const ORDERS: &str = "
schema: scenario/1
scenario: orders
horizon: 6m
clients: { buyers: { calls: shop, rate: 10/s, timeout: 2s } }
topics: { placed: { preset: kafka, partitions: 2 } }
services:
  shop: { work: [cpu: 1ms, publish: placed] }
  packer: { start_up: 2s, consumes: placed, work: [cpu: 1ms] }
faults:
  - poison: { topic: placed, kills: false }
    at: 1m
";

#[test]
fn a_message_that_is_skipped_is_lost_and_one_that_is_parked_can_be_published_again() {
    let of = |acts: &[(u64, Action, Target)]| {
        let finished = play(ORDERS, "", acts);
        assert!(failures(&finished).is_empty(), "{:?}", failures(&finished));
        let totals = finished.ledger.topics[0].totals;
        (totals.dead, totals.dropped, totals.waiting)
    };
    assert!(of(&[]).2 > 100, "what is behind it waits");
    let (dead, dropped, waiting) = of(&[(120, Action::SkipMessage, service("packer"))]);
    assert!((dead, dropped) == (0, 1) && waiting < 20, "{dead} {dropped} {waiting}");
    let (dead, dropped, waiting) = of(&[(120, Action::ParkMessages, service("packer"))]);
    assert!((dead, dropped) == (1, 0) && waiting < 20, "{dead} {dropped} {waiting}");
    // It is as poisoned as before, and blocks its partition again.
    let (dead, dropped, waiting) =
        of(&[(120, Action::ParkMessages, service("packer")), (180, Action::ReplayDeadLetters, service("packer"))]);
    assert!((dead, dropped) == (0, 0) && waiting > 100, "{dead} {dropped} {waiting}");
    let none = play(ORDERS, "", &[(30, Action::ReplayDeadLetters, service("packer")), (40, Action::SkipMessage, service("packer"))]);
    assert_eq!(failures(&none), ["service/packer has no dead letters", "service/packer has not failed on any message that waits"]);
    refuses(Action::SkipMessage, service("shop"), "service/shop takes no messages");
}

#[test]
fn a_flag_is_turned_on_and_off_by_name() {
    let text = SHOP.replace("    workers: 60\n", "    workers: 60\n    flags: { lenient: { error: 50%, push: 1s } }\n");
    let set = |on| Action::SetFlag { flag: Name::new("lenient"), on };
    let finished = play(&text, "", &[(60, set(true), service("shop")), (120, set(false), service("shop"))]);
    assert!(failures(&finished).is_empty(), "{:?}", failures(&finished));
    is_about(good(&finished, "robots", (70, 120)), 0.5, 0.02);
    assert!(good(&finished, "robots", (0, 60)) > 0.9999 && good(&finished, "robots", (130, 350)) > 0.9999);
    let twice = play(&text, "", &[(60, set(false), service("shop"))]);
    assert_eq!(failures(&twice), ["the flag lenient of service/shop is off already"]);
    refuses(set(true), service("shop"), "service/shop has no flag lenient");
}
