//! What does not wait for its answer: asynchronous calls, and messages in topics.

use crate::support::{case, good_share, totals};

#[test]
fn an_asynchronous_call_holds_no_worker_and_a_synchronous_one_does() {
    // Two visits to four workers, each an M/M/4 of its own: the flow between them is Poisson, as a wait of one length only moves it (Burke).
    // With a load of 2 from 200 visits a second of 10 ms, Erlang C is 0.173913, and each visit waits 0.173913 / (4 - 2) * 10 ms.
    let visit = 0.010 + 0.173_913 / 2.0 * 0.010;
    let all = case("async");
    all.check("mean response", 6, 1.0 + 2.0 * visit, |finished| totals(finished, "front").mean_response_seconds);
    all.check("share of worker time", 6, 0.5, |finished| totals(finished, "front").utilisation);
    // The same call with a worker in hand: four in 1.02 s, and the rest of a hundred a second waits.
    let held = case("async").with("async: true", "async: false").play(0);
    let served = totals(&held, "front").completed as f64 / 600.0;
    assert!((served - 4.0 / 1.02).abs() < 0.05, "{served}");
    assert!(good_share(&held, 300, 590) < 0.001);
}
