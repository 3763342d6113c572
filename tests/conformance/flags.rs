//! Flags: how long they take to come to all processes, what they change there, and what turns them off (docs/MODEL.md 1.4).

use firedrill_core::journal::Event;
use firedrill_sim::{Automation, Finished};

use crate::support::{case, good_share, told, totals};

/// When the flag was turned on and off, and when the fault was over, seconds.
fn changes<A: Automation>(finished: &Finished<A>) -> Vec<(f64, String)> {
    told(finished, |event| match event {
        Event::FlagChanged { state, .. } => Some(state.to_string()),
        Event::FaultEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn a_flag_is_over_once_no_process_has_it_any_more() {
    for seed in 0..10 {
        let told = changes(&case("flags").play(seed));
        let [(on, first), (off, second), (over, third)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((*on, first.as_str(), *off, second.as_str()), (120.0, "on", 360.0, "off"));
        assert_eq!(third, "no process has it any more");
        assert!((1.0..=10.0).contains(&(over - off)), "{told:?}");
    }
}

#[test]
fn who_asks_learns_of_a_change_at_its_next_look_each_at_a_phase_of_its_own() {
    let polling = case("flags").with("push: { uniform: [1s, 10s] }", "poll: 1m");
    // The last of five looks, each uniform in a minute: 50 s on average, and never more than a minute.
    let figures: Vec<f64> = (0..60).map(|seed| changes(&polling.play(seed))[2].0 - 360.0).collect();
    assert!(figures.iter().all(|took| (0.0..=60.0).contains(took)));
    polling.check_figures("the last look", 50.0, &figures);
}

#[test]
fn a_flag_multiplies_demand_fails_requests_and_makes_calls() {
    let flags = case("flags");
    // Answers take 11 ms before, 31 ms with the flag, beside the calls; a tenth of them are errors.
    let good = |finished: &Finished<_>| {
        assert!(good_share(finished, 0, 120) >= 1.0 && good_share(finished, 380, 590) >= 1.0, "none is one before and after");
        good_share(finished, 140, 360)
    };
    // Half of the requests of four minutes, less what is made while it comes and more while it goes: both are 5.5 s on average.
    let calls = |finished: &Finished<_>| totals(finished, "extra").sent as f64;
    // Of those the share that takes longer than 20 ms is given up, and the caller goes on.
    let given_up = |finished: &Finished<_>| totals(finished, "extra").abandoned as f64 / totals(finished, "extra").sent as f64;
    flags.check_all(
        20,
        &[
            ("good with the flag", 0.9, &good),
            ("calls with the flag", 0.5 * 100.0 * 240.0, &calls),
            ("calls that are given up", 1.0 / std::f64::consts::E, &given_up),
        ],
    );
    let cpu = |finished: &Finished<_>| totals(finished, "front").mean_response_seconds;
    let slower = flags.with(", error: 10%, calls: { extra: { probability: 50%, timeout: 20ms } }", "").with("horizon: 10m", "horizon: 6m");
    // Two minutes of 11 ms and four of 31 ms, of which the first 5.5 s are 11 ms still.
    slower.check("mean response", 20, (125.5 * 0.011 + 234.5 * 0.031) / 360.0, cpu);
}

#[test]
fn a_restart_does_not_help_a_rollback_has_nothing_to_do_and_turning_it_back_does() {
    let cured = |action: &str| {
        let cured = case("flags").with("    lasting: 4m\n", &format!("    lasting: 9m\noracle:\n  - {action}\n    at: 3m\n"));
        let cured = cured.with("horizon: 10m", "horizon: 8m");
        good_share(&cured.play_cured(3), 260, 470)
    };
    assert!(cured("restart: { service: front, mode: at_once }") < 0.95, "a new process asks how the flag stands");
    assert!(cured("revert_flag: { service: front }") >= 1.0);
}
