//! How callers choose among replicas, whom they leave out, and when they know.

use firedrill_core::journal::Event;
use firedrill_core::ledger::RequestOutcome;
use firedrill_sim::{Finished, Idle};

use crate::support::{Case, case, good_share, outcome_share, told, totals};

/// The mean time in the system after a warm-up, in service times of 100 ms, by Little's law over the ends of bins.
fn time_in_system(finished: &Finished<Idle>, per_second: f64) -> f64 {
    let bins = &finished.ledger.services[0].bins[2..];
    let inside: u64 = bins.iter().map(|bin| bin.queued + bin.in_service).sum();
    inside as f64 / bins.len() as f64 / per_second / 0.1
}

#[test]
fn a8_the_less_busy_of_two_makes_queues_doubly_exponentially_short() {
    for (rate, time) in [(7000, 1.6145), (9500, 3.3830)] {
        let two = case("a8-two-choices").with("rate: 7000/s", &format!("rate: {rate}/s"));
        two.check("time in the system", 3, time, |finished| time_in_system(finished, f64::from(rate)));
    }
    // One caller sees all there is: its own view is as good.
    let least = case("a8-two-choices").with("rate: 7000/s", "rate: 9000/s").with("balance: power_of_two", "balance: least_request");
    least.check("time in the system", 3, 2.6141, |finished| time_in_system(finished, 9000.0));
}

#[test]
fn a8_one_choice_leaves_every_queue_to_itself() {
    let one = case("a8-two-choices").with("balance: power_of_two", "balance: random");
    one.check("time in the system", 3, 1.0 / 0.3, |finished| time_in_system(finished, 7000.0));
}

/// When whom a caller leaves out, for how many seconds.
fn ejections(finished: &Finished<Idle>, of: &str) -> Vec<(f64, (String, u64))> {
    told(finished, |event| match event {
        Event::Ejected { caller, replica, lasting, .. } if caller.as_str() == of => Some((replica.to_string(), lasting.as_millis() / 1000)),
        _ => None,
    })
}

fn returns(finished: &Finished<Idle>, of: &str) -> Vec<f64> {
    let back = told(finished, |event| matches!(event, Event::Returned { caller, .. } if caller.as_str() == of).then_some(()));
    back.into_iter().map(|(at, ())| at).collect()
}

fn failures(finished: &Finished<Idle>, client: usize) -> usize {
    finished.ledger.clients[client].outcomes.iter().filter(|byte| **byte == RequestOutcome::Failed as u8).count()
}

#[test]
fn k9_each_caller_ejects_after_five_errors_for_ever_longer() {
    let finished = case("k9-outliers").play(1);
    for (client, name) in ["left", "right"].into_iter().enumerate() {
        let ejected = ejections(&finished, name);
        let lengths: Vec<u64> = ejected.iter().map(|(_, (_, seconds))| *seconds).collect();
        assert!(lengths.starts_with(&[30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300]), "{name}: {lengths:?}");
        assert!(ejected.iter().all(|(_, (replica, _))| replica == "api-3"), "{name}: {ejected:?}");
        // Each took five errors, and none got through in between.
        assert_eq!(failures(&finished, client), 5 * ejected.len(), "{name}");
        let returns = returns(&finished, name);
        for ((at, (_, seconds)), back) in ejected.iter().zip(&returns) {
            let lasted = back - at;
            assert!((*seconds as f64..*seconds as f64 + 10.0).contains(&lasted), "{name}: {lasted} s of {seconds}, to the next sweep");
        }
        // All sweeps are ten seconds apart.
        for pair in returns.windows(2) {
            let sweeps = (pair[1] - pair[0]) / 10.0;
            assert!((sweeps - sweeps.round()).abs() < 1e-6, "{name}: {returns:?}");
        }
    }
    assert_ne!(returns(&finished, "left")[0], returns(&finished, "right")[0], "each has its own clock");
}

#[test]
fn k9_while_one_of_ten_is_ejected_no_second_one_is() {
    let second = "at: 60s\n  - { error_rate: { replica: api-7, error: 100% }, at: 66s, lasting: 20s }\n";
    let finished = case("k9-outliers").with("at: 60s\n", second).play(1);
    for name in ["left", "right"] {
        let ejected = ejections(&finished, name);
        assert!(ejected[0].0 < 66.0, "{name}: {ejected:?}");
        assert!(ejected.iter().all(|(_, (replica, _))| replica == "api-3"), "{name}: {ejected:?}");
    }
    // With room for two it is ejected at once.
    let roomy =
        case("k9-outliers").with("at: 60s\n", second).with("outlier_detection: envoy", "outlier_detection: { max_ejection_percent: 20% }");
    let ejected = ejections(&roomy.play(1), "left");
    assert!(ejected.iter().any(|(at, (replica, _))| replica == "api-7" && *at < 86.0), "{ejected:?}");
}

#[test]
fn k9_among_nine_one_is_ejected_by_older_envoys_only() {
    let nine = case("k9-outliers").with("replicas: 10", "replicas: 9");
    assert!(ejections(&nine.play(1), "left").is_empty(), "a ninth is more than a tenth");
    let older = nine.with("outlier_detection: envoy", "outlier_detection: envoy-1.27");
    assert!(!ejections(&older.play(1), "left").is_empty());
    let always = nine.with("outlier_detection: envoy", "outlier_detection: { always_eject_one_host: true }");
    assert!(!ejections(&always.play(1), "left").is_empty());
}

fn panics(finished: &Finished<Idle>) -> Vec<(bool, String)> {
    let panics = told(finished, |event| match event {
        Event::Panicked { is_on, figures, .. } => Some((*is_on, figures.clone())),
        _ => None,
    });
    panics.into_iter().map(|(_, panic)| panic).collect()
}

#[test]
fn k10_with_fewer_than_half_left_all_are_asked() {
    let finished = case("k10-panic").play(1);
    assert_eq!(panics(&finished), [(true, "4 of 10 replicas are left, threshold 50%".to_owned())]);
    let failed = outcome_share(&finished, (90, 180), RequestOutcome::Failed);
    assert!((failed - 0.6).abs() < 0.01, "all ten are asked in turn, and six fail: {failed}");

    let five = case("k10-panic").with("  - { error_rate: { replica: api-5, error: 100% }, at: 60s }\n", "").play(1);
    assert_eq!(panics(&five), []);
    assert!(outcome_share(&five, (90, 180), RequestOutcome::Failed) == 0.0, "half is enough, and the five who fail are out");

    let istio = case("k10-panic").with("{ max_ejection_percent", "{ preset: istio, max_ejection_percent").play(1);
    assert_eq!(panics(&istio), []);
    assert!(outcome_share(&istio, (90, 180), RequestOutcome::Failed) == 0.0, "Istio never panics");
}

#[test]
fn r_blackhole_who_fails_fast_looks_idle() {
    let blackhole = case("r-blackhole");
    let with = |balance: &str| blackhole.with("balance: round_robin", &format!("balance: {balance}"));
    let failed = |case: &Case| outcome_share(&case.play(1), (90, 300), RequestOutcome::Failed);

    let in_turn = failed(&blackhole);
    assert!((in_turn - 0.1).abs() < 0.001, "in turn: {in_turn}");
    // Drawn twice with repetition it is among the two with probability 1 - 0.9^2; drawn without, with 0.2.
    let two = failed(&with("least_request"));
    assert!((0.17..=0.195).contains(&two), "least of two: {two}");
    let two = failed(&with("power_of_two"));
    assert!((0.18..=0.205).contains(&two), "less busy of two: {two}");
    let all = failed(&with("{ least_request: { choices: all } }"));
    assert!(all > 0.5, "least of all: {all}");
    let promising = failed(&with("peak_ewma"));
    assert!((0.19..=0.205).contains(&promising), "a promise of nothing is never dearer: {promising}");
}

#[test]
fn r_blackhole_ejection_restores() {
    for balance in ["round_robin", "least_request", "{ least_request: { choices: all } }"] {
        let ejecting = case("r-blackhole").with("balance: round_robin", &format!("balance: {balance}\n    outlier_detection: envoy"));
        let finished = ejecting.play(1);
        let good = good_share(&finished, 90, 300);
        // What is left are five errors at each return,
        let ejected = ejections(&finished, "users").len();
        assert!(ejected >= 3, "{balance}: {ejected}");
        // and what was under way there at the onset, whose answers interrupted the first row.
        let more = failures(&finished, 0) - 5 * ejected;
        assert!(more < 20, "{balance}: {more}");
        assert!(good > 0.99, "{balance}: {good}");
    }
}

#[test]
fn what_callers_do_not_know_yet_costs_them_refused_requests() {
    let stale = case("stale-endpoints");
    let failed = failures(&stale.play(1), 0);
    // A quarter of 200 a second, for the 5 s until they know.
    assert!((220..=280).contains(&failed), "{failed}");
    let at_once = stale.with(", endpoint_propagation: 5s", "");
    assert!(failures(&at_once.play(1), 0) <= 1, "only what was in flight");
    let retried = stale.with("rate: 200/s", "rate: 200/s, retries: { max: 1 }");
    assert_eq!(failures(&retried.play(1), 0), 0, "the next in turn answers");
}

#[test]
fn who_resolves_a_name_believes_it_for_its_time_to_live() {
    let resolved = |ttl: &str| {
        let resolving = case("stale-endpoints").with("endpoint_propagation: 5s", &format!("dns_ttl: {ttl}"));
        let all: Vec<usize> = (0..24).map(|seed| failures(&resolving.play(seed), 0)).collect();
        let mean = all.iter().sum::<usize>() as f64 / all.len() as f64;
        (*all.iter().min().unwrap(), mean, *all.iter().max().unwrap())
    };
    // 50/s go to the replica that has died, from 60 s on to the next resolution, whose phase is luck: after 3.5 s in the mean of 7 s, and of 45 s
    // after (20 - 20^2 / 90) s, because the process is up again at 80 s. Four standard errors are 80 and 190.
    let (least, mean, most) = resolved("7s");
    assert!((mean - 175.0).abs() < 80.0 && least < 100 && (250..=400).contains(&most), "{least} to {most}, {mean} in the mean");
    let (least, mean, most) = resolved("45s");
    assert!((mean - 778.0).abs() < 190.0 && least < 600 && (900..=1100).contains(&most), "{least} to {most}, {mean} in the mean");
}

#[test]
fn who_is_new_gets_its_share_over_the_window() {
    let finished = case("slow-start").play(1);
    // At weight w of two, w / (1 + w): over [60, 70) a mean of about 0.099 (least 10 %), over [110, 120) of 0.478, half after that.
    for ((from, to), share) in [((60, 70), 0.099), ((80, 90), 0.294), ((110, 120), 0.478), ((130, 180), 0.5)] {
        let failed = outcome_share(&finished, (from, to), RequestOutcome::Failed);
        assert!((failed - share).abs() < 0.015, "{from} s to {to} s: {failed}, not {share}");
    }
    let at_once = case("slow-start").with(", slow_start: { window: 60s }", "").play(1);
    assert!((outcome_share(&at_once, (70, 80), RequestOutcome::Failed) - 0.5).abs() < 0.001);
}

#[test]
fn linkerds_breaker_rests_twice_as_long_each_time_and_tries_with_one_request() {
    let finished = case("failure-accrual").play(1);
    let lengths: Vec<u64> = ejections(&finished, "users").iter().map(|(_, (_, seconds))| *seconds).collect();
    assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60][..lengths.len()], "{lengths:?}");
    assert!(lengths.len() >= 8, "{lengths:?}");
    assert_eq!(failures(&finished, 0), 7 + lengths.len() - 1, "seven errors, and one for each trial");
}

#[test]
fn linkerds_proxies_hold_requests_for_three_seconds_and_then_fail_them_at_once() {
    let waits = case("fail-fast");
    assert_eq!(failures(&waits.play(1), 0), 0, "two seconds are waited out");
    let known = waits.with("fail_fast: linkerd, ", "");
    assert!((150..250).contains(&failures(&known.play(1), 0)), "two seconds at 100/s: {}", failures(&known.play(1), 0));
    // After 3 s whoever waits fails, and whoever comes then; all arrived within the ten that it takes.
    let lasts = waits.with("start_up: 2s", "start_up: 10s");
    for seed in 0..3 {
        let finished = lasts.play(seed);
        assert!((900..1100).contains(&failures(&finished, 0)), "{}", failures(&finished, 0));
        assert!(totals(&finished, "api").rejected as usize == failures(&finished, 0), "they count as turned away");
    }
    // A queue of five, and callers who have less patience than their proxies: what they give up never comes to the service.
    let short = waits.with("fail_fast: linkerd", "fail_fast: { queue: 5 }");
    assert!((150..250).contains(&failures(&short.play(1), 0)), "{}", failures(&short.play(1), 0));
    let hasty = waits.with("timeout: 15s", "timeout: 500ms").play(1);
    assert!((110..190).contains(&failures(&hasty, 0)), "{}", failures(&hasty, 0));
    assert_eq!(totals(&hasty, "api").sent as usize + failures(&hasty, 0), hasty.ledger.clients[0].outcomes.len());
}

#[test]
fn a_replicas_own_proxy_holds_requests_for_a_second() {
    // Callers learn of the crash five seconds late, and of the new process too.
    let late = case("fail-fast").with("start_up: 2s", "start_up: 500ms, endpoint_propagation: 5s");
    assert_eq!(failures(&late.play(1), 0), 0);
    let refused = failures(&late.with("fail_fast: linkerd, ", "").play(1), 0);
    assert!((60..140).contains(&refused), "half a second without a process, and half without a replica that callers know: {refused}");
    let lasts = late.with("start_up: 500ms", "start_up: 3s");
    let failed = failures(&lasts.play(1), 0);
    assert!(
        (230..370).contains(&failed),
        "three seconds, of which the first is waited in vain; later the other three are waited out: {failed}"
    );
}

#[test]
fn linkerds_breaker_comes_with_its_proxies() {
    let spec = |said: &str| {
        let spec = case("fail-fast").with("fail_fast: linkerd", said).spec();
        spec.services[0].balancing.as_ref().and_then(|balancing| balancing.fail_fast).map(|fail_fast| fail_fast.queue)
    };
    assert_eq!(spec("failure_accrual: linkerd"), Some(10_000));
    assert_eq!(spec("failure_accrual: linkerd, fail_fast: none"), None);
    assert_eq!(spec("outlier_detection: envoy"), None);
}

#[test]
fn connections_pin_their_callers_and_who_comes_back_stays_idle() {
    let failed = |case: &Case| outcome_share(&case.play(1), (90, 300), RequestOutcome::Failed);
    let pinned = case("pinned-connections");
    assert!(failed(&pinned) == 0.0, "all twenty callers have found a connection elsewhere");
    // One request at a time on each, and those that wait are closed after a second: some are opened anew all the time.
    let short = pinned.with("multiplexed: true", "idle: 100ms");
    assert!((failed(&short) - 0.5).abs() < 0.05, "{}", failed(&short));
    let in_turn = pinned.with("balance: { per_connection: { multiplexed: true } }", "balance: round_robin");
    assert!((failed(&in_turn) - 0.5).abs() < 0.01, "{}", failed(&in_turn));
}

#[test]
fn who_prefers_its_zone_asks_elsewhere_only_when_nobody_is_left_there() {
    let failed = |case: &Case| outcome_share(&case.play(1), (90, 180), RequestOutcome::Failed);
    // A third of the callers stand in zone b, and half of those who are asked there fail.
    let near = case("zones");
    assert!((failed(&near) - 1.0 / 6.0).abs() < 0.005, "{}", failed(&near));
    let far = near.with("    prefer_zone: true\n", "");
    assert!((failed(&far) - 1.0 / 6.0).abs() < 0.005, "one of six: {}", failed(&far));
    // With the other one of zone b gone, all of its requests go to the one that fails; anybody else's a fifth.
    let lonely = "at: 60s }\n  - { crash: { replica: db-4, every: 1s }, at: 60s }\n";
    let (near, far) = (near.with("at: 60s }\n", lonely), far.with("at: 60s }\n", lonely));
    assert!((failed(&near) - 1.0 / 3.0).abs() < 0.01, "{}", failed(&near));
    assert!((failed(&far) - 0.2).abs() < 0.01, "{}", failed(&far));
}

#[test]
fn what_a_caller_thinks_of_replicas_is_told_by_envoys_names() {
    let finished = case("k10-panic").play_seen(1);
    let last = |metric: &str| {
        let store = &finished.telemetry;
        let series = store
            .ids()
            .find(|id| store.labels(*id).metric_name().is_some_and(|name| *name == *metric))
            .unwrap_or_else(|| panic!("{metric} is exposed"));
        assert_eq!(store.labels(series).get("envoy_cluster_name"), Some("api"), "{metric}");
        *store.values(series).last().unwrap()
    };
    assert_eq!(last("envoy_cluster_membership_total"), 10.0);
    assert_eq!(last("envoy_cluster_membership_healthy"), 4.0);
    assert_eq!(last("envoy_cluster_outlier_detection_ejections_active"), 6.0);
    assert_eq!(last("envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx"), 6.0);
    assert!(last("envoy_cluster_lb_healthy_panic") > 10_000.0);
}
