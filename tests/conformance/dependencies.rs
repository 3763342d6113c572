//! Databases, locks, quotas and stale caches: who takes over when, what is lost, and what theory says of each (docs/MODEL.md 1.7).

use std::sync::Arc;

use firedrill_core::journal::Event;
use firedrill_core::ledger::{RequestOutcome, ServiceTotals};
use firedrill_core::random::Seed;
use firedrill_core::time::Span;
use firedrill_sim::{Automation, Finished, Idle, Options, Run, Script};

use crate::support::{Case, case, told, totals};

/// When what became of the primary, and the writes that were lost.
fn primaries<A: Automation>(finished: &Finished<A>) -> Vec<(f64, (String, u64))> {
    told(finished, |event| match event {
        Event::PrimaryChanged { state, lost_writes, .. } => Some((state.to_string(), *lost_writes)),
        _ => None,
    })
}

/// The first instant of a state.
#[track_caller]
fn first<A: Automation>(finished: &Finished<A>, state: &str) -> f64 {
    let all = primaries(finished);
    all.iter().find(|(_, (known, _))| known == state).unwrap_or_else(|| panic!("no primary is {state}: {all:?}")).0
}

fn lost<A: Automation>(finished: &Finished<A>) -> u64 {
    primaries(finished).iter().map(|(_, (_, lost))| lost).sum()
}

/// The share of good requests of a client that arrived in `[from, to)` seconds, whole multiples of ten.
fn good<A: Automation>(finished: &Finished<A>, client: &str, (from, to): (usize, usize)) -> (u64, f64) {
    let client = finished.ledger.clients.iter().find(|ledger| &*ledger.client == client).unwrap();
    let outcomes = &client.outcomes[client.bin_starts[from / 10] as usize..client.bin_starts[to / 10] as usize];
    let good = outcomes.iter().filter(|byte| **byte == RequestOutcome::Good as u8).count();
    (good as u64, good as f64 / outcomes.len() as f64)
}

#[test]
fn a_failover_takes_as_long_as_its_system_says() {
    // From the loss until callers reach the new primary.
    for (preset, least, most) in [("patroni", 24.0, 41.0), ("rds", 60.0, 120.0), ("rds_cluster", 12.0, 35.0), ("aurora", 30.0, 60.0)] {
        for seed in 0..5 {
            let finished = case("database").with("failover: patroni", &format!("failover: {preset}")).play(seed);
            let states: Vec<String> = primaries(&finished).into_iter().map(|(_, (state, _))| state).collect();
            assert_eq!(states, ["lost", "promoting", "promoted", "reached"], "{preset}");
            let took = first(&finished, "reached") - first(&finished, "lost");
            assert!((least..=most).contains(&took), "{preset}: {took} s");
        }
    }
}

#[test]
fn without_a_primary_writes_fail_at_once_and_reads_go_on() {
    let finished = case("database").play(1);
    let (during, after) = ((70, 80), (120, 350));
    assert_eq!(good(&finished, "writers", during).0, 0, "nobody takes writes");
    assert!(good(&finished, "readers", during).1 > 0.999, "standbys answer");
    assert!(good(&finished, "writers", after).1 > 0.999 && good(&finished, "readers", after).1 > 0.999, "all is well again");
}

#[test]
fn who_is_back_before_it_is_given_up_stays_the_primary() {
    let brief = case("database").with("lasting: 4m", "lasting: 5s").with("replicas: 3", "replicas: 3\n    start_up: 5s");
    let finished = brief.play(1);
    let states: Vec<String> = primaries(&finished).into_iter().map(|(_, (state, _))| state).collect();
    assert_eq!((states, lost(&finished)), (vec!["lost".to_owned(), "back".to_owned()], 0));
}

#[test]
fn a_failover_loses_what_the_standby_has_not_got() {
    // Of writes at 50/s those of the last 200 ms.
    case("database").with("horizon: 6m", "horizon: 110s").check("lost writes", 40, 10.0, |finished| lost(finished) as f64);
    let replicated = case("database").with("failover: patroni", "failover: patroni, commit: replicated");
    assert_eq!(lost(&replicated.play(1)), 0);
}

#[test]
fn a_primary_that_stops_in_order_hands_on_all_that_it_has() {
    let stopped = case("database")
        .with(
            "faults:\n  - primary_crash: { service: db }\n    at: 60s\n    lasting: 4m\n",
            "faults:\n  - error_rate: { service: db, error: 1% }\n    at: 50s\noracle:\n  - { drain: { replica: db-0 }, at: 60s }\n",
        )
        .with("horizon: 6m", "horizon: 110s");
    for seed in 0..5 {
        let finished = stopped.play_cured(seed);
        let states: Vec<String> = primaries(&finished).into_iter().map(|(_, (state, _))| state).collect();
        assert_eq!((states.last().map(String::as_str), lost(&finished)), (Some("reached"), 0), "{states:?}");
    }
}

#[test]
fn every_write_that_was_made_is_kept_or_counted_as_lost() {
    // Nobody follows for the last twenty seconds, so those are exactly the writes that are lost.
    let lagging = case("database").with("faults:", "faults:\n  - replica_lag: { service: db, lag: 20s }\n    at: 30s\n    lasting: 5m");
    for seed in 0..5 {
        let finished = lagging.play(seed);
        let (made, _) = good(&finished, "writers", (40, 60));
        let lost = lost(&finished);
        assert!(lost.abs_diff(made) <= 2, "{lost} lost of {made} in the last 20 s");
    }
}

#[test]
fn an_order_to_fail_over_is_carried_out_at_once_and_costs_the_same() {
    let ordered = case("database").with("lasting: 4m\n", "lasting: 4m\noracle:\n  - fail_over: { service: db }\n    at: 62s\n");
    let finished = ordered.play_cured(1);
    let promoting = first(&finished, "promoting");
    assert!(promoting < 68.0, "it does not wait until the primary is given up, and begins at {promoting}");
    assert!(lost(&finished) > 0);
    let outcomes = told(&finished, |event| match event {
        Event::ActionFinished { outcome, .. } => Some(format!("{outcome:?}")),
        _ => None,
    });
    assert_eq!(outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>(), ["Succeeded"]);
}

#[test]
fn a_database_that_is_new_in_its_role_is_slow_until_it_is_warm() {
    let slow = case("database").with("cpu: { exponential: 2ms }", "sleep: 2ms").with("lag: 200ms", "lag: 200ms, reads: primary");
    // Before, every answer takes 2 ms; afterwards 6 ms at first, and 2 ms again after some minutes.
    let mean = |case: &Case| totals(&case.play(1), "db").mean_response_seconds;
    let calm = mean(&slow.with("at: 60s", "at: 359s").with("    lasting: 4m\n", ""));
    assert!((calm - 0.002).abs() < 1e-6, "{calm}");
    let warming = mean(&slow.with("horizon: 6m", "horizon: 130s"));
    assert!((0.0028..0.0045).contains(&warming), "{warming}");
}

#[test]
fn slots_of_a_database_are_those_of_queueing_theory() {
    let station = |slots: u32, load: f64| {
        let database = format!("workers: {slots}\n    cores: unbounded\n    database: {{}}");
        case("station")
            .with("workers: 1", &database)
            .with("queue: { length: unbounded }", "balance: random")
            .with("rate: 90/s", &format!("rate: {}/s", load * 100.0))
            .with("20m", "2m")
    };
    station(4, 3.2).check("mean wait", 8, 0.74554 * 0.01, |finished| totals(finished, "station").mean_wait_seconds);
    station(10, 8.0).check("mean wait", 8, 0.20459 * 0.01, |finished| totals(finished, "station").mean_wait_seconds);
}

/// Erlang's loss formula: who finds no free connection is refused.
#[test]
fn connections_of_a_database_are_those_of_erlang() {
    let refused = |totals: ServiceTotals| totals.rejected as f64 / totals.sent as f64;
    for (load, blocked) in [(100.0, 0.075_700), (120.0, 0.196_270)] {
        let database = "workers: unbounded\n    cores: unbounded\n    database: { max_connections: 100 }";
        let station = case("station").with("workers: 1", database).with("queue: { length: unbounded }", "balance: random");
        let station = station.with("rate: 90/s", &format!("rate: {}/s", load * 100.0)).with("20m", "20s");
        station.check("share refused", 8, blocked, |finished| refused(totals(finished, "station")));
    }
}

#[test]
fn more_callers_than_connections_find_none() {
    let rejected = |finished: &Finished<Idle>| totals(finished, "db").rejected;
    let three = case("connections").play(1);
    assert_eq!(rejected(&three), 0, "there is a place for each connection of each pool");
    let four = case("connections").with("replicas: 3", "replicas: 4").with("rate: 400/s", "rate: 700/s").play(1);
    assert!(rejected(&four) > 100, "the fourth finds {} times that all are taken", rejected(&four));
}

#[test]
fn stale_reads_are_those_of_standbys_that_lag() {
    let lagging = case("database").with("primary_crash: { service: db }", "replica_lag: { service: db, lag: 30s }");
    // From 61 s on, when they are further behind than 1 s, until they have caught up at 300 s; at 100 reads a second.
    lagging.check("stale reads", 5, 239.0 * 100.0, |finished| totals(finished, "db").stale as f64);
    let of_primary = lagging.with("lag: 200ms", "lag: 200ms, reads: primary");
    assert_eq!(totals(&of_primary.play(1), "db").stale, 0);
}

#[test]
fn a_standby_that_applies_too_slowly_falls_behind_by_what_is_left_over() {
    // 50 writes a second, of which it applies 40: after 60 s it lacks 600, the newest of them 15 s old, and the crash loses them.
    let slow = case("database").with("lag: 200ms", "lag: 0s, apply: 25ms").with("horizon: 6m", "horizon: 110s");
    slow.check("lost writes", 20, 600.0, |finished| lost(finished) as f64);
}

#[test]
fn a_lock_is_one_server_for_all_who_take_it() {
    // M/M/1 at a load of 0.7.
    case("lock").check("mean response", 8, 0.01 / 0.3, |finished| totals(finished, "ledger").mean_response_seconds);
}

#[test]
fn whoever_waits_for_a_lock_for_too_long_fails() {
    let hold = "horizon: 200s\nfaults:\n  - lock_hold: { service: ledger, lock: book }\n    at: 60s\n    lasting: 40s\n";
    let held = case("lock").with("horizon: 8m\n", hold).with("rate: 70/s", "rate: 20/s");
    let finished = held.play(1);
    assert_eq!(good(&finished, "users", (60, 90)).0, 0, "nobody gets it");
    assert!(good(&finished, "users", (130, 190)).1 > 0.999, "and then all do");
    let impatient = held.with("exponential: 10ms }", "exponential: 10ms }, timeout: 500ms");
    assert!(good(&impatient.play(1), "users", (60, 90)).0 == 0 && totals(&impatient.play(1), "ledger").mean_response_seconds < 0.2);
    let restarted = held.with("    lasting: 40s\n", "oracle:\n  - restart: { service: ledger, mode: at_once }\n    at: 70s\n");
    assert!(
        good(&restarted.with("replicas: 3", "replicas: 3\n    start_up: 1s").play_cured(1), "users", (80, 190)).1 > 0.999,
        "a restart ends the session"
    );
}

#[test]
fn deadlocks_are_found_after_a_second_or_never() {
    let errors = |finished: &Finished<Idle>| {
        let outcomes = finished.ledger.clients.iter().flat_map(|ledger| &ledger.outcomes);
        outcomes.filter(|byte| **byte == RequestOutcome::Failed as u8).count()
    };
    let found = case("deadlock").play(1);
    // Two meet within 100 ms about 11 times in ten minutes, and one of them fails; those who come meanwhile may meet again.
    assert!((4..40).contains(&errors(&found)), "{} victims", errors(&found));
    assert!(good(&found, "payers", (400, 590)).1 > 0.8, "and the others go on");
    let never = case("deadlock").with("    database: { max_connections: 1000 }\n", "    queue: unbounded\n");
    assert_eq!(good(&never.play(1), "payers", (400, 590)).0, 0, "threads wait for each other for ever");
}

#[test]
fn a_quota_lets_through_its_rate_and_not_more() {
    for seed in 0..3 {
        let totals = totals(&case("quota").play(seed), "psp");
        let let_through = totals.sent - totals.rejected;
        // What was saved up, and a minute's worth.
        assert!((6_090..=6_101).contains(&let_through), "{let_through}");
    }
    let halved =
        case("quota").with("horizon: 60s", "horizon: 60s\nfaults:\n  - quota: { service: psp, rate: 10/s }\n    at: 30s\n    lasting: 20s");
    let totals = totals(&halved.play(1), "psp");
    // 100, and 40 s at 100/s, and 20 s at 10/s.
    assert!((4_290..=4_301).contains(&(totals.sent - totals.rejected)), "{}", totals.sent - totals.rejected);
}

#[test]
fn a_request_that_a_quota_refused_ends_as_its_last_attempt_did() {
    let spec = case("quota").with("horizon: 60s", "horizon: 10s").spec();
    let run = Run::new(Arc::clone(&spec), Seed(1), Options { telemetry: false, ..Options::default() }, Script::new(spec));
    let (_, spans) = run.traced(1).finish_traced();
    let refused: Vec<_> = spans.iter().filter(|span| span.parent.is_none() && !span.is_good()).collect();
    assert!(refused.len() > 100, "{}", refused.len());
    for root in refused {
        let last = spans.iter().filter(|span| span.request == root.request && span.parent == Some(0)).max_by_key(|span| span.ended);
        assert_eq!(last.map(|span| span.code), Some(root.code), "{root:?}");
    }
}

#[test]
fn who_is_told_when_to_ask_again_heeds_it_as_its_kind_does() {
    let play = |case: &Case| {
        let finished = case.play(1);
        let totals = totals(&finished, "psp");
        (totals.sent - totals.rejected, totals.sent)
    };
    let heeds = case("retry-after");
    // Two and a half seconds are three in whole ones, and one that is told waits once: 3.002 s and two attempts for each request; the first has one,
    // and the last has one answer to come.
    assert_eq!(play(&heeds), (20, 40));
    for word in ["aws", "grpc", "{ instead: true, most: 3s }"] {
        assert_eq!(play(&heeds.with("retry_after: google", &format!("retry_after: {word}"))), (20, 40), "{word}");
    }
    // A pause of its own that is longer counts for those who wait for the longer of the two.
    let patient = heeds.with("backoff: 100ms", "backoff: 5s");
    assert_eq!(play(&patient), (12, 24), "5.002 s each");
    assert_eq!(play(&patient.with("retry_after: google", "retry_after: grpc")), (20, 40));
    // Three seconds and up to half of that more.
    let (served, sent) = play(&heeds.with("retry_after: google", "retry_after: envoy"));
    assert!((14..=18).contains(&served) && sent == 2 * served, "{served} of {sent}");
    // Who is told nothing, or more than it heeds, or does not listen, asks again after its own pause, and finds out to the tenth of a second.
    let deaf = heeds.with("retry_after: google", "retry_after: none");
    for case in [&heeds.with("burst: 1", "burst: 1, retry_after: false"), &heeds.with("google", "{ most: 900ms }"), &deaf] {
        let (served, sent) = play(case);
        assert!(served == 24 && (590..=640).contains(&sent), "{served} of {sent}");
    }
    // Who heeds up to two seconds asks every tenth of a second until no more are left, and waits for those.
    assert_eq!(play(&heeds.with("google", "{ most: 2s }")), (24, 168));
    // The pause after a 429 is one of its own: after one second, and after two and three.
    assert_eq!(play(&deaf.with("backoff: 100ms", "backoff: 100ms, throttled_backoff: 1s")), (20, 80));
}

#[test]
fn presets_of_retries_heed_what_their_systems_heed() {
    let spec = |retries: &str| {
        let said = "retries: { max: 100, backoff: 100ms, factor: x1, jitter: false, retry_after: google }";
        let spec = case("retry-after").with(said, &format!("retries: {retries}")).spec();
        let throttled = spec.clients[0].retries.over_quota.as_deref();
        throttled.map(|throttled| (throttled.base, throttled.heed.map(|heed| heed.instead)))
    };
    assert_eq!(spec("aws"), Some((Some(Span::from_seconds(1)), Some(false))));
    assert_eq!(spec("grpc"), Some((None, Some(true))));
    for retries in ["envoy", "istio", "finagle", "resilience4j", "{ max: 1 }", "{ preset: grpc, retry_after: none }"] {
        assert_eq!(spec(retries), None, "{retries}");
    }
}

/// A copy that is kept for a time T, of what changes at a rate w, is out of date in a share 1 - (1 - exp(-wT)) / wT of its hits.
#[test]
fn copies_that_nobody_throws_away_are_stale_as_often_as_theory_says() {
    let stale = |finished: &Finished<Idle>| {
        let asked = |client: &str| finished.ledger.clients.iter().find(|ledger| &*ledger.client == client).unwrap().outcomes.len() as u64;
        let misses = totals(finished, "db").sent - asked("writers");
        totals(finished, "app").stale as f64 / (asked("readers") - misses) as f64
    };
    case("stale-cache").check("share of stale hits", 8, libm::exp(-1.0), stale);
    let invalidated = case("stale-cache").with("invalidate: false", "invalidate: true");
    assert_eq!(totals(&invalidated.play(1), "app").stale, 0);
    // A standby that is five seconds behind gives copies that are old already.
    let behind = totals(&invalidated.with("lag: 0s", "lag: 5s").play(1), "app").stale;
    assert!(behind > 1000, "{behind}");
}
