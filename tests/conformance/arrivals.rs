//! Who asks, and when: closed clients, sessions, and rates that vary.

use firedrill_sim::{Finished, Idle};

use crate::support::{case, totals};

/// Requests of the first client in each ten seconds.
fn bins(finished: &Finished<Idle>) -> Vec<f64> {
    let client = &finished.ledger.clients[0];
    let ends = client.bin_starts[1..].iter().copied().chain([client.outcomes.len() as u64]);
    client.bin_starts.iter().zip(ends).map(|(start, end)| (end - start) as f64).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Variance over mean.
fn dispersion(bins: &[f64]) -> f64 {
    let mean = mean(bins);
    bins.iter().map(|bin| (bin - mean) * (bin - mean)).sum::<f64>() / (bins.len() as f64 - 1.0) / mean
}

#[test]
fn a9_closed_clients_obey_mean_value_analysis() {
    for (users, throughput, response) in [(5, 4.3605, 0.1467), (10, 7.8542, 0.2732), (20, 9.9813, 1.0037), (50, 10.0, 4.0)] {
        let case = case("a9-closed").with("users: 10", &format!("users: {users}"));
        let completed = |finished: &Finished<_>| totals(finished, "station").completed as f64 / 3600.0;
        let mean = |finished: &Finished<_>| totals(finished, "station").mean_response_seconds;
        case.check_all(8, &[("throughput", throughput, &completed), ("response", response, &mean)]);
    }
    // Processor sharing gives the same.
    let shared = case("a9-closed").with("workers: 1, queue: unbounded", "workers: unbounded, cores: 1");
    shared.check("response", 8, 0.2732, |finished| totals(finished, "station").mean_response_seconds);
}

#[test]
fn sessions_make_several_requests_each() {
    let case = case("arrivals").with("rate: 10/s", "rate: 1/s, sessions: { requests: 8, think: { exponential: 5s } }");
    case.check("requests in all", 8, 8.0 * 4.0 * 3600.0, |finished| finished.ledger.clients[0].outcomes.len() as f64 + 8.0 * 7.0 * 5.0);
}

#[test]
fn poisson_arrivals_have_a_dispersion_of_one_and_others_what_they_say() {
    case("arrivals").check("dispersion", 8, 1.0, |finished| dispersion(&bins(finished)));
    let wild = case("arrivals").with("rate: 10/s", "rate: 10/s, dispersion: 6");
    wild.check_all(8, &[("dispersion", 6.0, &|finished| dispersion(&bins(finished))), ("mean", 100.0, &|finished| mean(&bins(finished)))]);
}

#[test]
fn bursts_raise_the_rate_for_their_share_of_the_time() {
    let bursts = "rate: 10/s, bursts: { every: { exponential: 90s }, lasting: { exponential: 10s }, factor: x5 }";
    let case = case("arrivals").with("rate: 10/s", bursts);
    case.check("mean", 20, 100.0 * (0.9 + 0.1 * 5.0), |finished| mean(&bins(finished)));
}

#[test]
fn spikes_come_by_the_clock() {
    let case =
        case("arrivals").with("rate: 10/s", "rate: 10/s, spikes: { every: 1h, lasting: 10s, factor: x20 }").with("00:00:00Z", "00:50:00Z");
    let bins = bins(&case.play(0));
    let peaks: Vec<usize> = (0..bins.len()).filter(|bin| bins[*bin] > 1000.0).collect();
    assert_eq!(peaks, [60, 420, 780, 1140]);
}

#[test]
fn a_day_has_its_peak_and_its_trough() {
    let case = case("arrivals").with("horizon: 4h", "horizon: 24h").with("rate: 10/s", "rate: 10/s, daily: { peak: 20h, ratio: x3 }");
    let bins = bins(&case.play(0));
    let hour = |hour: usize| mean(&bins[hour * 360..(hour + 1) * 360]);
    // 1 + a cos with a = 1/2: three halves at the peak, a half at the trough.
    assert!((hour(19) + hour(20)) / 2.0 > 147.0 && (hour(7) + hour(8)) / 2.0 < 53.0, "{} and {}", hour(19), hour(7));
    assert!((mean(&bins) - 100.0).abs() < 1.0);
}

#[test]
fn a_trace_is_followed() {
    let case = case("arrivals").with("rate: 10/s", "trace: { every: 10m, requests: [6000, 0, 600] }").with("horizon: 4h", "horizon: 1h");
    let bins = bins(&case.play(0));
    let sums: Vec<f64> = bins.chunks(60).map(|interval| interval.iter().sum()).collect();
    assert_eq!(sums, [6000.0, 0.0, 600.0, 0.0, 0.0, 0.0], "as many as were counted, and none after the last");
    // At moments of luck: the bins of an interval vary as uniform moments do, 99 of a mean of 100.
    let variance = bins[..60].iter().map(|bin| (bin - 100.0) * (bin - 100.0)).sum::<f64>() / 60.0;
    assert!((50.0..170.0).contains(&variance), "{variance}");
}

#[test]
fn a_surge_over_a_trace_multiplies_its_counts_and_fractions_are_carried_on() {
    let trace = "trace: { every: 10m, requests: [300.5, 300.5, 300, 300, 300, 300] }";
    let surge = "horizon: 1h\nchanges: [{ surge: { client: users, factor: x2 }, at: 25m, lasting: 10m }]";
    let bins = bins(&case("arrivals").with("rate: 10/s", trace).with("horizon: 4h", surge).play(0));
    let sums: Vec<f64> = bins.chunks(60).map(|interval| interval.iter().sum()).collect();
    assert_eq!(sums, [301.0, 300.0, 450.0, 450.0, 300.0, 300.0]);
}

#[test]
fn people_who_get_no_answer_ask_again_by_hand() {
    let case = case("arrivals")
        .with("rate: 10/s", "rate: 10/s, asks_again: { probability: 50%, after: { uniform: [2s, 10s] } }")
        .with("workers: unbounded", "workers: unbounded, error: 100%");
    case.check("people who come, a second", 6, 10.0, |finished| {
        finished.ledger.clients[0].came.as_ref().map_or(0, |came| came.iter().sum::<u64>()) as f64 / (4.0 * 3600.0)
    });
    case.check("requests for each arrival", 6, 2.0, |finished| finished.ledger.clients[0].outcomes.len() as f64 / (10.0 * 4.0 * 3600.0));
}

#[test]
fn a_user_who_asks_again_does_not_think_meanwhile() {
    // Each of ten users waits a second for nothing, and asks again two seconds later, for ever: a request in three seconds.
    let users = "closed: { users: 10, think: 10s }, asks_again: { probability: 100%, after: 2s }";
    let case = case("arrivals").with("rate: 10/s, timeout: none", &format!("{users}, timeout: 1s")).with("[cpu: 1us]", "[sleep: 1h]");
    let requests = case.play(1).ledger.clients[0].outcomes.len() as f64;
    assert_eq!(requests, 10.0 * ((4.0 * 3600.0 - 10.0) / 3.0_f64).ceil());
}

#[test]
fn a_session_is_one_person_however_often_it_asks() {
    let sessions = "rate: 1/s, sessions: { requests: 5, think: 1s }, asks_again: { probability: 50%, after: 2s }";
    let case = case("arrivals").with("rate: 10/s", sessions).with("workers: unbounded", "workers: unbounded, error: 50%");
    case.check("people who come, a second", 6, 1.0, |finished| {
        finished.ledger.clients[0].came.as_ref().map_or(0, |came| came.iter().sum::<u64>()) as f64 / (4.0 * 3600.0)
    });
    // A quarter of all requests is made again: what fails, by half.
    case.check("requests for each person", 6, 5.0 / 0.75, |finished| {
        let client = &finished.ledger.clients[0];
        client.outcomes.len() as f64 / client.came.as_ref().map_or(0, |came| came.iter().sum::<u64>()) as f64
    });
}
