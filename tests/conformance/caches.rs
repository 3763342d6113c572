//! Caches: how often they hit in the long run, and what becomes of a system that loses one (docs/MODEL.md 7, A13 and R-CACHE).

use crate::support::{Case, case, good_share, totals};

/// The share of good requests in the last minute but for its last ten seconds; the oracle's actions are taken. As long as there
/// were two seeds each, no set-up went another way on the second.
fn last_minute(case: &Case) -> f64 {
    let end = case.spec().horizon.as_seconds() as usize;
    good_share(&case.play_cured(0), end - 60, end - 10)
}

#[track_caller]
fn recovers(what: &str, case: &Case) {
    let share = last_minute(case);
    assert!(share > 0.98, "{what}: it recovers, and is good for {share}");
}

#[track_caller]
fn is_lost(what: &str, case: &Case) {
    let share = last_minute(case);
    assert!(share < 0.85, "{what}: it does not recover, and is good for {share}");
}

fn at_rate(rate: &str, retries: u32) -> Case {
    case("r-cache").with("rate: 1500/s", &format!("rate: {rate}")).with("max: 2", &format!("max: {retries}"))
}

#[test]
fn a13_the_hits_of_a_cache_with_a_time_to_live() {
    for (rate, hits) in [("1500/s", 0.9800), ("1000/s", 0.9714)] {
        let case = at_rate(rate, 0).with("share: 100%", "share: 0%");
        case.check("share of misses", 5, 1.0 - hits, |finished| totals(finished, "db").sent as f64 / totals(finished, "app").sent as f64);
    }
}

#[test]
fn r_cache_a_lost_cache_comes_back_under_light_load_only() {
    recovers("900/s with retries", &at_rate("900/s", 2));
    is_lost("1150/s with retries", &at_rate("1150/s", 2));
    is_lost("1150/s without", &at_rate("1150/s", 0));
    is_lost("1500/s with retries", &at_rate("1500/s", 2));
}

#[test]
fn r_cache_a_part_of_it_may_be_lost() {
    recovers("60 %", &case("r-cache").with("share: 100%", "share: 60%"));
    is_lost("80 %", &case("r-cache").with("share: 100%", "share: 80%"));
}

#[test]
fn r_cache_what_helps_and_what_does_not() {
    recovers("a short queue", &case("r-cache").with("queue: unbounded", "queue: 200"));
    let late = case("r-cache").with("ttl: 10m", "ttl: 10m, late_fill: true").with("horizon: 300s", "horizon: 480s");
    recovers("late answers that are kept, in time", &late);
    recovers("twice the database", &case("r-cache").with("workers: 20", "workers: 40"));
    is_lost("one question for each key", &case("r-cache").with("ttl: 10m", "ttl: 10m, coalesce: true"));
}

#[test]
fn r_cache_it_takes_an_empty_queue_and_less_load_at_once() {
    // Shed at the door, so that retries are shed as well.
    let shed = "changes:\n  - error_rate: { service: app, error: 80% }\n    at: 120s\n    lasting: 30s\nfaults:";
    let kill = "    at: 60s\noracle:\n  - purge_queue: { service: db }\n    at: 120s\n";
    is_lost("less load alone", &case("r-cache").with("faults:", shed));
    is_lost("an empty queue alone", &case("r-cache").with("    at: 60s\n", kill));
    recovers("both", &case("r-cache").with("    at: 60s\n", kill).with("faults:", shed));
}
