//! Two at once: policies that fight are found with what they did, locks and prechecks prevent it, and whoever is well made does not fight.

use std::path::PathBuf;

use crate::common::{firedrill, root, words};
use firedrill::drill::{Arm, Drill, Played, Remembered};
use firedrill::sources;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::{Arms, ConflictEnd, Outcome, OutcomeSettings, Party, measure};

fn project() -> PathBuf {
    root().join("tests/projects/fights")
}

fn drill(scenario: &str, policies: &[&str]) -> Drill {
    let base = project();
    Drill {
        scenario: sources::scenarios(&[scenario], &base).unwrap().remove(0),
        rules: sources::rules(&["rules"], &base).unwrap(),
        answer: sources::answer(policies, &base).unwrap(),
        stage: Stage::Full,
        past: Remembered::default(),
    }
}

fn play(scenario: &str, policies: &[&str], seed: u64) -> (Outcome, Played) {
    let drill = drill(scenario, policies);
    let mut played = Drill::play_together(&[(&drill, Arm::Nothing), (&drill, Arm::Policy)], seed);
    let (policy, nothing) = (played.pop().unwrap(), played.pop().unwrap());
    let arms = Arms { nothing: &nothing.transcript, policy: &policy.transcript, oracle: None, human: None };
    (measure(&arms, &OutcomeSettings::default()), policy)
}

const DATABASE: &str = "database-of-two-teams";
const AUTOSCALER: &str = "autoscaler-and-restarter";

fn policy(name: &str) -> Party {
    Party::Policy(name.into())
}

#[test]
fn two_teams_fight_over_one_database_unless_both_ask_for_its_lock() {
    for seed in 1..=2 {
        let (alone, _) = play(DATABASE, &["bare/fail-over-database.yaml"], seed);
        let (bare, _) = play(DATABASE, &["bare/fail-over-database.yaml", "bare/restart-database.yaml"], seed);
        let fight = &bare.fights[0];
        assert_eq!(fight.over.to_string(), "service/orders-db");
        assert_eq!(fight.parties, [policy("fail-over-database"), policy("restart-database")], "seed {seed}");
        assert!(fight.disturbed >= 1 && fight.moves.len() >= 2, "{fight}");
        assert!(bare.conflicts.is_empty(), "nobody asks for locks");
        assert!(
            bare.user_minutes_lost > alone.user_minutes_lost,
            "the fight costs users: {} and {}",
            bare.user_minutes_lost,
            alone.user_minutes_lost
        );

        let (apart, _) = play(DATABASE, &["apart/fail-over-database.yaml", "apart/restart-database.yaml"], seed);
        assert_eq!(apart.fights, [], "seed {seed}");
        let conflict = &apart.conflicts[0];
        assert_eq!((conflict.policy.as_str(), conflict.holder.as_str()), ("restart-database", "fail-over-database"));
        assert_eq!(conflict.held.to_string(), "service/orders-db");
        assert!(conflict.held_seconds.unwrap() <= conflict.from_seconds, "{conflict}");
        assert_eq!(conflict.end, ConflictEnd::GaveUp, "the failover helped: {conflict}");
        assert_eq!(apart.user_minutes_lost, alone.user_minutes_lost, "who waits costs nobody anything");
    }
}

#[test]
fn a_restarter_fights_the_autoscaler_unless_it_looks_whether_that_is_at_work() {
    for seed in 1..=2 {
        let (bare, _) = play(AUTOSCALER, &["bare/restart-slow-web.yaml"], seed);
        let fight = &bare.fights[0];
        assert_eq!(fight.parties, [Party::Autoscaler("web".into()), policy("restart-slow-web")], "seed {seed}");
        assert!(fight.disturbed >= 1, "{fight}");
        assert!(bare.harm > 0.0, "seed {seed}: {}", bare.harm);
        let (apart, _) = play(AUTOSCALER, &["apart/restart-slow-web.yaml"], seed);
        assert_eq!((&apart.fights[..], apart.harm), (&[][..], 0.0), "seed {seed}");
        assert!(apart.refusals > 0, "the precheck kept it away");
    }
}

#[test]
fn an_autoscaler_takes_back_what_a_policy_adds_as_often_as_it_adds_it_unless_the_policy_leaves_it_alone() {
    for seed in 1..=2 {
        let (bare, _) = play("autoscaler-scales-in", &["scaling/bare/scale-waiting-front.yaml"], seed);
        let fight = &bare.fights[0];
        assert_eq!(fight.over.to_string(), "service/front");
        assert_eq!(fight.parties, [policy("scale-waiting-front"), Party::Autoscaler("front".into())], "seed {seed}");
        assert!(fight.undone >= 2, "{fight}");
        let (apart, _) = play("autoscaler-scales-in", &["scaling/apart/scale-waiting-front.yaml"], seed);
        assert_eq!((&apart.fights[..], apart.actions), (&[][..], 0), "seed {seed}");
        assert!(apart.refusals > 0 && apart.pages > 0 && apart.missed == 0, "somebody is called: {} pages", apart.pages);
    }
}

#[test]
fn the_order_of_files_changes_nothing() {
    let files = ["bare/fail-over-database.yaml", "bare/restart-database.yaml"];
    let journal = |files: &[&str]| drill(DATABASE, files).play(Arm::Policy, 1).transcript.journal.to_json_lines();
    assert_eq!(journal(&files), journal(&[files[1], files[0]]));
}

#[test]
fn a_run_tells_who_fought_and_who_acted_in_which_order() {
    let run = |folder: &str| {
        let (one, other) = (format!("{folder}/fail-over-database.yaml"), format!("{folder}/restart-database.yaml"));
        firedrill(&project(), &["run", DATABASE, "--rules", "rules", "--policy", &one, "--policy", &other]).exits(0).stdout
    };
    let bare = words(&run("bare")).join(" ");
    assert!(bare.contains("fight fail-over-database and restart-database fight over service/orders-db from "), "the story: {bare}");
    assert!(bare.contains("fight: fail-over-database and restart-database fight over service/orders-db from "), "below it: {bare}");
    assert!(bare.contains("fights 1, "), "among the measures: {bare}");
    assert!(bare.contains("policy action target ended") && bare.contains("restart-database restart (at once) service/orders-db"), "{bare}");
    let apart = words(&run("apart")).join(" ");
    assert!(
        !apart.contains("fight over") && apart.contains("conflict: restart-database may not restart (at once) on service/orders-db at "),
        "{apart}"
    );
    assert!(apart.contains("because fail-over-database has service/orders-db and came first, at "), "{apart}");
}

#[test]
fn a_gate_holds_that_nobody_fights_and_a_comparison_counts_fights() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let broken = firedrill(&project(), &["gate", "--out", folder]).exits(1).stdout;
    assert!(words(&broken).join(" ").contains("fights max == 0"), "{broken}");
    let page = std::fs::read_to_string(out.path().join("gate.html")).unwrap();
    assert!(page.contains("fight over service/orders-db") || page.contains("fight over service/web"), "the page tells a fight");
    let compared =
        firedrill(&project(), &["compare", "bare", "apart", "--scenarios", DATABASE, "--rules", "rules", "--pairs", "2"]).exits(0).stdout;
    assert!(
        words(&compared)
            .join(" ")
            .contains("bare: 2 fights (fail-over-database and restart-database over service/orders-db: 2) and 0 conflicts in 2 runs"),
        "{compared}"
    );
    assert!(words(&compared).join(" ").contains("apart: 0 fights and 2 conflicts in 2 runs"), "{compared}");
}

#[test]
fn a_check_names_policies_that_may_fight() {
    let both = ["fail-over-database.yaml", "restart-database.yaml"];
    let check = |folder: &str| {
        let files = both.map(|file| format!("{folder}/{file}"));
        let done = firedrill(&project(), &["check", &files[0], &files[1]]);
        format!("{}{}", done.stdout, done.stderr)
    };
    let bare = check("bare");
    assert!(
        bare.contains("FD0366") && bare.contains("`restart-database` may restart what `fail-over-database` wants to fail_over"),
        "{bare}"
    );
    assert!(!check("apart").contains("FD0366"));
}
