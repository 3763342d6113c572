//! The search for variants: planted defects are found and made small, their repairs survive the same search, and what is written can be run.

use std::fs;
use std::path::Path;

use crate::common::{Done, copied_project, firedrill, words};
use serde_json::Value;

/// Variants that are tried for each policy.
const RUNS: &str = "150";

fn explored(folder: &Path, (state, policy): (&str, &str), more: &str) -> Done {
    let line = format!("explore --project {policy}.yaml --policy {state}/{policy}.yaml --runs {RUNS} --format json --quiet {more}");
    firedrill(folder, &words(&line))
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
    firedrill(folder.path(), &words(&format!("gate --project {policy}.yaml --candidate defects/{policy}.yaml --out gate --quiet")))
        .exits(0);
    let done = explored(folder.path(), ("defects", policy), "").exits(1);
    let found = failures(&done);
    assert!(found.iter().any(|failure| failure["measure"] == measure), "{}", done.stdout);
    assert!(found.iter().all(|failure| failure["policy"] == policy), "{}", done.stdout);
    let done = explored(folder.path(), ("repaired", policy), "").exits(0);
    assert!(failures(&done).is_empty());
}

#[test]
fn a_verify_without_hold_is_found() {
    check("verify", "flapping");
}

#[test]
fn a_limiter_for_each_pod_instead_of_the_service_is_found() {
    check("limit", "blast_radius.replicas");
}

#[test]
fn a_cap_that_rounds_up_is_found() {
    check("cap", "blast_radius.commanded_fleet");
}

#[test]
fn a_search_is_the_same_on_any_number_of_threads_and_its_files_show_what_it_says() {
    let folder = copied_project("explore");
    let one = explored(folder.path(), ("defects", "limit"), "--jobs 1 --out found").exits(1);
    let two = explored(folder.path(), ("defects", "limit"), "--jobs 2 --out found").exits(1);
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
        let found = failure["measure"].as_str().unwrap().split('.').fold(outcome, |value, key| value[key].clone());
        let share = || found["count"].as_f64().unwrap() / found["of"].as_f64().unwrap();
        let figure = found.as_f64().unwrap_or_else(share);
        assert!((figure - failure["figure"].as_f64().unwrap()).abs() < 1e-9, "{failure:#}");
    }
}

#[test]
fn a_gate_plays_variants_where_it_is_asked_to_and_writes_down_the_one_that_fails() {
    let folder = copied_project("explore");
    let line = |state: &str| format!("gate --project limit.yaml --candidate {state}/limit.yaml --chaos 20 --out out --quiet");
    let done = firedrill(folder.path(), &words(&line("defects"))).exits(1).says("one-hangs (chaos): blast_radius.replicas max <= 34 %");
    let repeat = done.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: firedrill ")).unwrap().to_owned();
    assert!(repeat.starts_with("run out/chaos/one-hangs-1-"), "{repeat}");
    let page = fs::read_to_string(folder.path().join("out/gate.md")).unwrap();
    assert!(page.contains("one-hangs (chaos)"), "{page}");
    let again = firedrill(folder.path(), &words(&line("defects"))).exits(1);
    assert_eq!(done.stdout, again.stdout, "the same seed gives the same variants");
    let shown = firedrill(folder.path(), &words(&format!("{repeat} --format json"))).exits(0).json();
    let replicas = &shown["outcome"]["blast_radius"]["replicas"];
    assert!(replicas["count"].as_f64().unwrap() / replicas["of"].as_f64().unwrap() > 0.34, "{replicas}");
    firedrill(folder.path(), &words(&line("repaired"))).exits(0).says("one-hangs (chaos)");
    let without = "gate --project limit.yaml --candidate defects/limit.yaml --out out --quiet";
    assert!(!firedrill(folder.path(), &words(without)).exits(0).stdout.contains("(chaos)"), "a gate plays none unless it is asked to");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_played() {
    let folder = copied_project("explore");
    let check = |line: &str, told: &str| drop(firedrill(folder.path(), &words(line)).exits(2).says(told));
    check("explore --project cap.yaml --budget 0s", "no time is too little to search in");
    check("explore --project cap.yaml --budget 5s --runs 3", "cannot be used with");
    check("explore --project cap.yaml --policy nobody", "no policy is called `nobody`");
    check("explore --project cap.yaml --scenarios mm1-rho-50", "there is no scenario to explore");
    check("explore", "there is no policy to explore");
    let wrong =
        "schema: project/1\nscenarios: [scenarios]\nrules: [rules.yaml]\npolicies: [repaired/cap.yaml]\nchaos: { magnitude: [x2, x1] }\n";
    fs::write(folder.path().join("firedrill.yaml"), wrong).unwrap();
    check("explore", "error[FD0181]");
    check("gate", "the magnitude is from x2 to x1");
}
