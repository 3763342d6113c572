//! Callers: retries, their budgets, breakers, pools.

use firedrill_core::journal::Event;
use firedrill_sim::{Finished, Idle};

use crate::support::{case, told, totals};

/// Requests of the first client.
fn requests(finished: &Finished<Idle>) -> usize {
    finished.ledger.clients[0].outcomes.len()
}

#[test]
fn a11_independent_failures_are_retried_as_often_as_they_happen() {
    let attempts = |finished: &Finished<Idle>| totals(finished, "station").sent as f64 / requests(finished) as f64;
    case("a11-retries").check("attempts a request", 5, 1.75, attempts);
    let more = case("a11-retries").with("error: 50%", "error: 90%").with("max: 2", "max: 3");
    more.check("attempts a request", 5, 3.439, attempts);
    case("a11-retries").check("share of requests that succeed", 5, 1.0 - 0.125, |finished| {
        let good = finished.ledger.clients[0].outcomes.iter().filter(|byte| **byte == 1).count();
        good as f64 / requests(finished) as f64
    });
}

#[test]
fn k11_grpc_retries_while_more_than_half_of_its_tokens_are_left() {
    for seed in 0..5 {
        let finished = case("k11-grpc-throttle").play(seed);
        let retries = totals(&finished, "api").sent as usize - requests(&finished);
        // Ten tokens: the first request fails four times, the second once, and five tokens are not more than half. Successes fill the bucket again.
        assert_eq!(retries, 2 * 3, "seed {seed}");
    }
}

#[test]
fn k12_finagle_s_budget_is_its_reserve_and_then_thirty_a_second() {
    let finished = case("k12-finagle-budget").play(0);
    let bins = &finished.ledger.services[0].bins;
    let starts = &finished.ledger.clients[0].bin_starts;
    let retries = |bin: usize| bins[bin].attempts - (starts[bin + 1] - starts[bin]);
    assert!((280..=320).contains(&retries(0)), "the reserve and a fifth in the first ten seconds: {}", retries(0));
    let later: u64 = (10..59).map(retries).sum();
    let a_second = later as f64 / 490.0;
    assert!((a_second - 30.0).abs() < 0.5, "{a_second} a second");
}

#[test]
fn k13_a_breaker_opens_with_the_hundredth_failure_and_tries_ten_a_minute_later() {
    let finished = case("k13-breaker").play(0);
    let changes = told(&finished, |event| match event {
        Event::BreakerChanged { state, reason, .. } => Some((state.to_string(), reason.clone())),
        _ => None,
    });
    let words: Vec<&str> = changes.iter().map(|(_, (state, _))| &**state).collect();
    assert_eq!(words, ["open", "half_open", "open", "half_open", "closed"]);
    assert_eq!(changes[0].1.1, "100 of 100 calls failed, 0 were slow");
    assert_eq!(changes[2].1.1, "10 of 10 calls failed, 0 were slow");
    for (opened, tried) in [(0, 1), (2, 3)] {
        let pause = changes[tried].0 - changes[opened].0;
        assert!(pause > 60.0 && pause < 60.2, "it tries with the first call after 60 s, not after {pause} s");
    }
    // The first hundred, and ten a try until the fault is over; from then on all.
    let closed = changes[4].0;
    let starts = &finished.ledger.clients[0].bin_starts;
    let after = requests(&finished) - starts[(closed / 10.0) as usize + 1] as usize;
    let sent = totals(&finished, "api").sent as usize;
    assert!(sent >= 120 + after && sent < 120 + after + 1000, "{sent} were sent, {after} came long after it closed");
}

#[test]
fn k13_fewer_failures_than_half_of_a_hundred_do_not_open_it() {
    let finished = case("k13-breaker").with("lasting: 100s", "lasting: 500ms").play(0);
    assert!(totals(&finished, "api").sent > 10_000);
    assert_eq!(told(&finished, |event| matches!(event, Event::BreakerChanged { .. }).then_some(())), []);
}

#[test]
fn k14_a_pool_that_is_too_slow_fills_the_threads_and_then_the_queue() {
    let mut full = Vec::new();
    let mut refused = Vec::new();
    for seed in 0..20 {
        let finished = case("k14-pool").play(seed);
        let app = totals(&finished, "app");
        // 80 s at 100 a second, 60 s of them served at once and 20 s at 50; 300 wait at the end, and the others were refused.
        assert!(app.in_service == 200 && app.queued >= 98, "seed {seed}: {} wait", app.queued);
        assert!(app.rejected > 500, "seed {seed}");
        let bins = &finished.ledger.services.iter().find(|ledger| &*ledger.service == "app").unwrap().bins;
        full.push(bins[6].in_service);
        refused.push(app.rejected);
    }
    // The queue is full 5.8 s after the holders slow down: of the 20 s left, 14.2 s refuse half of what comes.
    let mean = refused.iter().sum::<u64>() as f64 / refused.len() as f64;
    let error = 4.0 * (f64::sqrt(2000.0) / f64::sqrt(20.0));
    assert!((mean - 50.0 * 14.2).abs() < error, "{mean} refused on average, not {} within {error}", 50.0 * 14.2);
    assert!(full.iter().all(|count| *count == 200));
}

#[test]
fn a_retry_that_looks_elsewhere_finds_who_is_well() {
    let share =
        |case: &crate::support::Case| -> Vec<f64> { (0..10).map(|seed| crate::support::good_share(&case.play(seed), 0, 200)).collect() };
    let anywhere = case("elsewhere");
    // The first and the second attempt fall on the bad one with a half each.
    anywhere.check_figures("what is answered", 0.75, &share(&anywhere));
    // The second one is drawn up to six times.
    let elsewhere = anywhere.with("retry_on: [error]", "retry_on: [error], elsewhere: 5");
    anywhere.check_figures("what is answered by looking elsewhere", 1.0 - 1.0 / 128.0, &share(&elsewhere));
    // In turn, the next one is the other one.
    let in_turn = elsewhere.with("balance: random, ", "");
    assert_eq!(share(&in_turn)[0], 1.0);
}

#[test]
fn a_503_is_retried_as_one_whoever_said_it_first() {
    let sent = |case: &crate::support::Case| {
        let finished = case.play(0);
        (totals(&finished, "gate").sent, finished.ledger.clients[0].outcomes.len() as u64)
    };
    // All but the one that `back` works on come back with a 503, through both services on the way.
    let rejected = case("statuses");
    let (attempts, requests) = sent(&rejected);
    assert_eq!(attempts, 2 * requests - 1);
    let (attempts, requests) = sent(&rejected.with("retry_on: [rejected]", "retry_on: [error]"));
    assert_eq!(attempts, requests);
    assert_eq!(sent(&rejected.with("{ max: 1, retry_on: [rejected] }", "istio")).0, 3 * requests - 2);
    // A 504 is another status.
    let late = rejected.with("queue: 0", "queue: unbounded").with("work: [call: back]", "work: [call: { service: back, timeout: 1s }]");
    assert_eq!(sent(&late).0, requests);
    let (attempts, requests) = sent(&late.with("retry_on: [rejected]", "retry_on: [error]"));
    assert!(attempts > 2 * requests - 30, "{attempts} of {requests}");
}

#[test]
fn what_is_not_named_is_not_retried() {
    let sent = |retries: &str| {
        let finished = case("elsewhere").with("{ max: 1, retry_on: [error] }", retries).play(0);
        totals(&finished, "api").sent as f64 / finished.ledger.clients[0].outcomes.len() as f64
    };
    assert_eq!(sent("{ max: 1, retry_on: [timeout, rejected, over_quota, reset, unreachable] }"), 1.0);
    assert_eq!(sent("istio"), 1.0);
    assert!(sent("{ max: 1 }") > 1.4);
}

#[test]
fn all_attempts_of_a_request_can_have_one_time_together() {
    let all = case("within");
    // What a queue looks at deadlines for knows of it too.
    for case in [&all, &all.with("work:", "queue: { drop: expired }, work:")] {
        let play = |case: &crate::support::Case| {
            let finished = case.play(1);
            (requests(&finished), totals(&finished, "api").sent)
        };
        // After 1 s and 300 ms the second, after 2.6 s the third, which has 400 ms left; 3.001 s for each request, the last of them not over.
        assert_eq!(play(case), (20, 60));
        // A pause that would last beyond it ends with it, and so does an attempt without a time of its own.
        assert_eq!(play(&case.with("backoff: 300ms", "backoff: 2500ms")), (20, 20));
        assert_eq!(play(&case.with("timeout: 1s", "timeout: none")), (20, 20));
        // Eleven attempts without it: 14.001 s.
        assert_eq!(play(&case.with(", within: 3s", "")), (5, 48));
    }
    // Who waits for a connection waits no longer either: three users with one, each of whom asks every 3.001 s.
    let pooled = all.with("closed: { users: 1, think: 1ms }", "closed: { users: 3, think: 1ms }, pool: { size: 1 }");
    assert_eq!(requests(&pooled.with("timeout: 1s", "timeout: none").play(1)), 60);
}
