//! Several calls at once: the slowest of all, the first of several, a second attempt beside the first.

use firedrill_sim::Finished;

use crate::support::{case, good_share, totals};

#[test]
fn a10_the_slowest_of_n_calls() {
    // The expected maximum of n exponential times is the n-th harmonic number.
    let mean = |finished: &Finished<_>| totals(finished, "front").mean_response_seconds;
    // One of n is beyond its 99th percentile, ln 100 seconds.
    let late = |finished: &Finished<_>| 1.0 - good_share(finished, 0, 1790);
    let beyond = |n: f64| 1.0 - libm::pow(0.99, n);
    case("a10-fan-out").check_all(10, &[("mean of ten", 2.928_968, &mean), ("share beyond the p99 of one", beyond(10.0), &late)]);
    let hundred = case("a10-fan-out").with("times: 10 ", "times: 100 ").with("rate: 5/s", "rate: 2/s");
    hundred.check_all(6, &[("mean of a hundred", 5.187_378, &mean), ("share beyond the p99 of one", beyond(100.0), &late)]);
}

#[test]
fn the_first_of_n_calls_and_a_quorum() {
    let first = case("a10-fan-out")
        .with("parallel: [{ service: shard, times: 10 }]", "parallel: { calls: [{ service: shard, times: 10 }], wait: first }");
    first.check("mean of the first of ten", 6, 0.1, |finished| totals(finished, "front").mean_response_seconds);
    let quorum = case("a10-fan-out")
        .with("parallel: [{ service: shard, times: 10 }]", "parallel: { calls: [{ service: shard, times: 3 }], wait: 2 }");
    quorum.check("mean of two of three", 6, 1.0 / 3.0 + 1.0 / 2.0, |finished| totals(finished, "front").mean_response_seconds);
    // Work for those who have their answer is done all the same.
    let finished = first.play(0);
    assert_eq!(totals(&finished, "shard").sent, 10 * finished.ledger.clients[0].outcomes.len() as u64);
}

#[test]
fn one_failure_of_all_fails_and_one_of_a_quorum_does_not() {
    let failing = |wait: &str| {
        let work = format!("parallel: {{ calls: [{{ service: shard, times: 3 }}], wait: {wait} }}");
        case("a10-fan-out")
            .with("parallel: [{ service: shard, times: 10 }]", &work)
            .with("shard: {", "shard: { error: 10%,")
            .with("4.6051702s", "1h")
    };
    let good = |finished: &_| good_share(finished, 0, 1700);
    failing("all").check("good of three", 6, 0.9 * 0.9 * 0.9, good);
    failing("2").check("good with two of three", 6, 0.9 * 0.9 * 0.9 + 3.0 * 0.9 * 0.9 * 0.1, good);
    failing("first").check("good with one of three", 6, 1.0 - 0.001, good);
}

#[test]
fn a_budget_bounds_second_attempts_as_it_does_retries() {
    // Nobody answers: every second attempt that is made fails, and no first one fills the budget again.
    let hangs = "retries: { max: 1, budget: grpc }, timeout: 2s, hedge: { after: 50ms }";
    let hangs = case("hedging").with("hedge: { after: 50ms }", hangs).with("[sleep: {", "[sleep: 1h, sleep: {");
    let attempts = |finished: &Finished<_>| totals(finished, "back").sent as f64 / finished.ledger.clients[0].outcomes.len() as f64;
    let bounded = attempts(&hangs.play(1));
    assert!(bounded < 1.05, "{bounded} attempts a request");
    // A share of the requests is what Finagle's lets through, beside ten a second that are always let through: all of them here.
    let all = attempts(&hangs.with("budget: grpc", "budget: finagle").play(1));
    assert!(all > 1.6, "{all} attempts a request");
}

#[test]
fn hedging_makes_slow_answers_rare_for_a_tenth_more_load() {
    let slow = |finished: &Finished<_>| 1.0 - good_share(finished, 0, 1190);
    case("hedging").with("hedge: { after: 50ms }", "timeout: none").check("slow without it", 6, 0.1, slow);
    let attempts = |finished: &Finished<_>| totals(finished, "back").sent as f64 / finished.ledger.clients[0].outcomes.len() as f64;
    case("hedging").check_all(20, &[("slow with it", 0.01, &slow), ("attempts a request", 1.1, &attempts)]);
}
