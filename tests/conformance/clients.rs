//! Callers: retries, budgets, breakers, pools, closed loops, fan-out.

use crate::support::{case, totals};

#[test]
fn a11_independent_failures_are_retried_as_often_as_they_happen() {
    let attempts = |finished: &_| totals(finished, "station").sent as f64 / totals_of_client(finished);
    case("a11-retries").check("attempts a request", 5, 1.75, attempts);
    let more = case("a11-retries").with("error: 50%", "error: 90%").with("max: 2", "max: 3");
    more.check("attempts a request", 5, 3.439, attempts);
    case("a11-retries").check("share of requests that succeed", 5, 1.0 - 0.125, |finished| {
        let client = &finished.ledger.clients[0];
        client.outcomes.iter().filter(|byte| **byte == 1).count() as f64 / client.outcomes.len() as f64
    });
}

fn totals_of_client(finished: &firedrill_sim::Finished<firedrill_sim::Idle>) -> f64 {
    finished.ledger.clients[0].outcomes.len() as f64
}
