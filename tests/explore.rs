//! The search for variants: planted defects are found and made small, their repairs survive the same search, and what is written can be run.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod common;

use std::fs;

use common::{Done, copied_project, firedrill, words};
use serde_json::Value;

/// Variants that are tried for each policy.
const RUNS: &str = "120";

fn explored(folder: &std::path::Path, policy: &str, more: &str) -> Done {
    firedrill(folder, &words(&format!("explore --policy {policy} --runs {RUNS} --format json --quiet {more}")))
}

/// The failures by measure, each of two faults or changes at most.
fn failures(done: &Done) -> Vec<Value> {
    let report = done.json();
    assert_eq!(report["schema"], "firedrill.explore/1");
    let failures = report["failures"].as_array().unwrap().clone();
    for failure in &failures {
        let entries = failure["entries"].as_array().unwrap();
        assert!(entries.len() <= 2, "{failure:#}");
        assert!(!failure["text"].as_str().unwrap().contains("expect"), "a variant says nothing of what is right");
    }
    failures
}

/// The defect is found by this measure, and the policy in which it is put right survives the same search.
#[track_caller]
fn check(policy: &str, measure: &str) {
    let folder = copied_project("explore");
    // In the scenario that it was written for nothing is wrong.
    firedrill(folder.path(), &words(&format!("gate --candidate defects/{policy}.yaml --out gate --quiet"))).exits(0);
    let done = explored(folder.path(), &format!("defects/{policy}.yaml"), "").exits(1);
    let found = failures(&done);
    assert!(found.iter().any(|failure| failure["measure"] == measure), "{}", done.stdout);
    assert!(found.iter().all(|failure| failure["policy"] == policy), "{}", done.stdout);
    let done = explored(folder.path(), &format!("repaired/{policy}.yaml"), "").exits(0);
    assert!(failures(&done).is_empty());
}

#[test]
fn a_verify_without_hold_is_found() {
    check("verify", "flapping");
}

#[test]
fn a_limiter_for_each_pod_instead_of_the_service_is_found() {
    check("limit", "blast_radius.commanded_service");
}

#[test]
fn a_cap_that_rounds_up_is_found() {
    check("cap", "blast_radius.commanded_service");
}

#[test]
fn a_search_is_the_same_on_any_number_of_threads_and_its_files_show_what_it_says() {
    let folder = copied_project("explore");
    let one = explored(folder.path(), "defects/cap.yaml", "--jobs 1 --out found").exits(1);
    let two = explored(folder.path(), "defects/cap.yaml", "--jobs 2 --out found").exits(1);
    assert_eq!(one.stdout, two.stdout);
    let found = failures(&one);
    assert!(!found.is_empty());
    for failure in &found {
        let command = failure["command"].as_str().unwrap();
        let path = folder.path().join(words(command)[2]);
        assert_eq!(fs::read_to_string(&path).unwrap(), failure["text"].as_str().unwrap());
        assert!(fs::read_to_string(&path).unwrap().contains(&format!("# Run it with: {command}\n")));
        let arguments: Vec<&str> = words(command).into_iter().skip(1).chain(["--format", "json"]).collect();
        let outcome = firedrill(folder.path(), &arguments).exits(0).json()["outcome"].clone();
        let measure = failure["measure"].as_str().unwrap().split('.').fold(outcome, |value, key| value[key].clone());
        assert!((measure.as_f64().unwrap() - failure["figure"].as_f64().unwrap()).abs() < 1e-9, "{failure:#}");
    }
}

#[test]
fn a_gate_plays_variants_where_it_is_asked_to_and_writes_down_the_one_that_fails() {
    let folder = copied_project("explore");
    let line = "gate --candidate defects/cap.yaml --chaos 12 --out out --quiet";
    let done = firedrill(folder.path(), &words(line)).exits(1).says("one-hangs (chaos)").says("blast_radius.commanded_service");
    let repeat = done.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: firedrill ")).unwrap().to_owned();
    assert!(repeat.contains("out/chaos/one-hangs-"), "{repeat}");
    let again = firedrill(folder.path(), &words(line)).exits(1);
    assert_eq!(done.stdout, again.stdout, "the same seed gives the same variants");
    firedrill(folder.path(), &words(&repeat)).exits(0);
    firedrill(folder.path(), &words("gate --candidate repaired/cap.yaml --chaos 12 --out out --quiet")).exits(0).says("one-hangs (chaos)");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_played() {
    let folder = copied_project("explore");
    let check = |line: &str, told: &str| drop(firedrill(folder.path(), &words(line)).exits(2).says(told));
    check("explore --budget 0s", "no time is too little to search in");
    check("explore --budget 5s --runs 3", "cannot be used with");
    check("explore --policy nobody", "no policy is called `nobody`");
    check("explore --scenarios mm1-rho-50", "there is no scenario to explore");
    fs::write(folder.path().join("firedrill.yaml"), "schema: project/1\nscenarios: [scenarios]\nrules: [rules.yaml]\n").unwrap();
    check("explore", "there is no policy to explore");
}
