//! New connections: how many wait to be accepted, and when those that are not answered are tried again (docs/MODEL.md 1.3).

use firedrill_core::journal::Event;
use firedrill_core::ledger::RequestOutcome;
use firedrill_core::random::Seed;
use firedrill_sim::{Options, Run, Script};

use crate::support::{Case, case, told, totals};

/// When each request that is over was made and how long it took, in seconds, and whether it was answered.
fn requests(case: &Case, seed: u64) -> Vec<(f64, f64, bool)> {
    let spec = case.spec();
    let run = Run::new(spec.clone(), Seed(seed), Options { telemetry: false, ..Options::default() }, Script::new(spec));
    let (_, spans) = run.traced(1).finish_traced();
    let requests = spans.iter().filter(|span| span.parent.is_none());
    requests.map(|span| (span.started.as_seconds(), (span.ended - span.started).as_seconds(), span.is_good())).collect()
}

/// How long those took that were made in `[from, to)`.
#[track_caller]
fn took(requests: &[(f64, f64, bool)], from: f64, to: f64) -> Vec<f64> {
    let took: Vec<f64> = requests.iter().filter(|(at, _, _)| (from..to).contains(at)).map(|(_, took, _)| *took).collect();
    assert!(took.len() >= 3, "{} requests are made from {from} s to {to} s", took.len());
    took
}

#[test]
fn who_is_not_answered_gets_in_one_or_three_seconds_later() {
    for seed in 0..5 {
        let requests = requests(&case("backlog"), seed);
        assert!(requests.iter().all(|(_, _, is_good)| *is_good), "seed {seed}: all are answered in the end");
        // A second later the process still stands, and three seconds later it does not.
        let early = took(&requests, 60.95, 61.45);
        assert!(early.iter().all(|took| (3.01..3.3).contains(took)), "seed {seed}: {early:?}");
        let late = took(&requests, 61.55, 62.45);
        assert!(late.iter().all(|took| (1.01..1.3).contains(took)), "seed {seed}: {late:?}");
        let calm = took(&requests, 70.0, 100.0);
        assert!(calm.iter().all(|took| *took < 0.2), "seed {seed}: {calm:?}");
    }
}

#[test]
fn a_backlog_holds_one_more_than_it_says_and_never_more_than_the_kernel_grants() {
    let still = case("backlog").with("    lasting: 2500ms\n", "");
    // One is in service.
    for (backlog, waits) in [("5", 6), ("0", 1), ("{ length: 20 }", 21), ("{ length: 20, somaxconn: 8 }", 9)] {
        let totals = totals(&still.with("backlog: 5", &format!("backlog: {backlog}")).play(1), "api");
        assert_eq!((totals.queued, totals.in_service, totals.rejected), (waits, 1, 0), "{backlog}");
    }
    // What the process has accepted itself comes on top; and without a backlog everybody else is turned away at once.
    assert_eq!(totals(&still.with("queue: 0", "queue: 3").play(1), "api").queued, 9);
    let without = totals(&still.with("backlog: 5, ", "").play(1), "api");
    assert!(without.queued == 0 && without.rejected > 500, "{without:?}");
}

#[test]
fn a_connection_is_given_up_after_seven_syns() {
    let still = case("backlog").with("    lasting: 2500ms\n", "");
    for (backlog, horizon, seconds) in
        [("5", "210s", 127.0), ("{ length: 5, retries: 2 }", "100s", 7.0), ("{ length: 5, retry_after: 3s, retries: 1 }", "100s", 9.0)]
    {
        let case = still.with("backlog: 5", &format!("backlog: {backlog}")).with("horizon: 100s", &format!("horizon: {horizon}"));
        let failed: Vec<f64> = requests(&case, 1).into_iter().filter(|(_, _, is_good)| !is_good).map(|(_, took, _)| took).collect();
        assert!(failed.len() > 100 && failed.iter().all(|took| (took - seconds).abs() < 1e-9), "{backlog}: {failed:?}");
    }
}

#[test]
fn a_caller_that_has_gone_sends_no_more_and_one_with_connections_is_told_at_once() {
    // One is in service and six wait, in vain; the others have gone before their kernels ask again.
    let finished = case("backlog").with("timeout: none", "timeout: 500ms").play(1);
    let outcomes = &finished.ledger.clients[0].outcomes;
    let failed = outcomes.iter().filter(|byte| **byte == RequestOutcome::Failed as u8).count() as u64;
    let totals_of = totals(&finished, "api");
    assert!((7..=8).contains(&totals_of.abandoned) && failed > 30, "{failed} fail, {totals_of:?}");
    assert_eq!(totals_of.sent + failed - totals_of.abandoned, outcomes.len() as u64, "nobody else was heard of");
    let pooled = case("backlog").with("timeout: none", "timeout: none, pool: { size: 1000 }");
    let slow = requests(&pooled, 1).into_iter().filter(|(at, _, _)| (60.9..62.0).contains(at)).map(|(_, took, _)| took);
    assert!(slow.clone().count() >= 3 && slow.clone().all(|took| took < 0.1), "{:?}", slow.collect::<Vec<f64>>());
}

#[test]
fn a_process_that_starts_anew_refuses_whoever_asks_again() {
    let restarted = case("backlog")
        .with("backlog: 5,", "backlog: 5, start_up: 2s,")
        .with("    lasting: 2500ms\n", "    lasting: 2500ms\noracle:\n  - restart: { service: api, mode: at_once }\n    at: 61500ms\n")
        .with("horizon: 100s", "horizon: 100s\nactions: { delay: 0s, failure: 0% }");
    let requests = requests(&restarted, 1);
    let took = took(&requests, 60.9, 61.4);
    assert!(took.iter().all(|took| (took - 1.0).abs() < 1e-9), "{took:?}");
}

#[test]
fn the_journal_tells_when_a_backlog_is_full_and_when_it_is_not() {
    let sheds = told(&case("backlog").play(1), |event| match event {
        Event::SheddingChanged { replica, sheds, figures } => Some((*sheds, format!("{replica}: {figures}"))),
        _ => None,
    });
    let [(from, (true, full)), (until, (false, _))] = sheds.as_slice() else { panic!("{sheds:?}") };
    assert!((60.0..61.0).contains(from) && (70.0..=90.0).contains(until), "{sheds:?}");
    assert_eq!(full, "api-0: a backlog of 5 is full, and new connections are not answered");
}
