//! The search for variants: planted defects are found and made small, their repairs survive the same search, and what is written can be run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{Done, copied_project, firedrill, words};
use serde_json::Value;

/// Variants that are tried for each policy, and from which seed on: enough to find its defect, with some to spare.
const RUNS: [(&str, u32, u32); 3] = [("cap", 60, 2), ("limit", 35, 1), ("verify", 35, 1)];

fn explored(folder: &Path, (state, policy): (&str, &str), more: &str) -> Done {
    let (_, runs, seed) = RUNS.iter().find(|(of, ..)| *of == policy).unwrap();
    let line =
        format!("explore --project {policy}.yaml --policy {state}/{policy}.yaml --runs {runs} --seed {seed} --format json --quiet {more}");
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
    let done = done.json();
    assert!(
        done["acted"].as_u64().unwrap() > 0 && done["acted"].as_u64() < done["tried"]["all"].as_u64(),
        "it acts where it must: {done:#}"
    );
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
    let line = |state: &str| format!("gate --project limit.yaml --candidate {state}/limit.yaml --chaos 8 --out out --quiet");
    let done = firedrill(folder.path(), &words(&line("defects"))).exits(1).says("one-hangs (chaos): blast_radius.replicas max <= 34 %");
    let repeat = done.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: firedrill ")).unwrap().to_owned();
    assert!(repeat.starts_with("run out/chaos/one-hangs-1-"), "{repeat}");
    let page = fs::read_to_string(folder.path().join("out/gate.md")).unwrap();
    assert!(page.contains("one-hangs (chaos)"), "{page}");
    // The figure that is told is that of the run that the command repeats.
    let told = done.stdout.lines().find(|line| line.starts_with("✗ one-hangs (chaos): blast_radius.replicas")).unwrap().to_owned();
    fs::write(folder.path().join("out/chaos/mine.yaml"), "# mine\n").unwrap();
    let again = firedrill(folder.path(), &words(&line("defects"))).exits(1);
    assert_eq!(done.stdout, again.stdout, "the same seed gives the same variants");
    let shown = firedrill(folder.path(), &words(&format!("{repeat} --format json"))).exits(0).json();
    let replicas = &shown["outcome"]["blast_radius"]["replicas"];
    let share = replicas["count"].as_f64().unwrap() / replicas["of"].as_f64().unwrap();
    assert!(share > 0.34, "{replicas}");
    let shown = told.split("found ").nth(1).unwrap().split(" %").next().unwrap().parse::<f64>().unwrap();
    assert!((shown / 100.0 - share).abs() < 0.001, "{told}: {share}");
    firedrill(folder.path(), &words(&line("repaired"))).exits(0).says("one-hangs (chaos)");
    let left: Vec<_> = fs::read_dir(folder.path().join("out/chaos")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.yaml"], "what an earlier gate found is gone, and what is somebody's own is not");
    let without = "gate --project limit.yaml --candidate defects/limit.yaml --out out --quiet";
    assert!(!firedrill(folder.path(), &words(without)).exits(0).stdout.contains("(chaos)"), "a gate plays none unless it is asked to");
}

#[test]
fn a_policy_that_never_acts_is_not_found_well() {
    let folder = copied_project("explore");
    let policy = fs::read_to_string(folder.path().join("repaired/limit.yaml")).unwrap();
    let at = policy.find("alert: ").unwrap() + "alert: ".len();
    let end = at + policy[at..].find([' ', ',', '\n', '}']).unwrap();
    fs::write(folder.path().join("deaf.yaml"), format!("{}NeverHeard{}", &policy[..at], &policy[end..])).unwrap();
    let line = "explore --project limit.yaml --policy deaf.yaml --runs 20 --quiet";
    let done = firedrill(folder.path(), &words(line)).exits(3).says("no policy acted in any of them, which proves nothing: ");
    assert!(done.stdout.contains("NeverHeard"), "{}", done.stdout);
    let report = firedrill(folder.path(), &words(&format!("{line} --format json"))).exits(3).json();
    assert_eq!(report["acted"], 0);
}

#[test]
fn a_file_that_is_there_and_says_something_else_is_left_alone() {
    let folder = copied_project("explore");
    let first = explored(folder.path(), ("defects", "limit"), "--out found").exits(1);
    let names = |done: &Done| failures(done).iter().map(|own| own["variant"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let edited = folder.path().join("found").join(format!("{}.yaml", names(&first)[0]));
    fs::write(&edited, "# my notes\n").unwrap();
    let again = explored(folder.path(), ("defects", "limit"), "--out found").exits(1);
    assert_eq!(fs::read_to_string(&edited).unwrap(), "# my notes\n");
    assert_eq!(names(&again)[0], format!("{}-2", names(&first)[0]));
    assert!(folder.path().join("found").join(format!("{}.yaml", names(&again)[0])).is_file());
    assert_eq!(names(&again)[1..], names(&first)[1..], "what is the same is written again");
}

/// The files of a gate and of its variants, by name.
fn written(folder: &Path) -> BTreeMap<String, String> {
    let files = [folder.to_owned(), folder.join("chaos")].into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn variants_are_kept_and_shared_like_all_that_a_gate_plays() {
    let folder = copied_project("explore");
    let gate = |more: &str| {
        firedrill(folder.path(), &words(&format!("gate --project limit.yaml --candidate defects/limit.yaml --chaos 8 {more}")))
    };
    let whole = gate("--out out --cache kept").exits(1);
    assert!(!whole.stderr.contains("of them known"), "{}", whole.stderr);
    let expected = written(&folder.path().join("out"));
    assert!(expected.keys().any(|name| name.starts_with("one-hangs-1-")), "the variant that fails is among them: {:?}", expected.keys());
    let again = gate("--out out --cache kept").exits(1).says("8 variants of 1 scenario, 8 of them known");
    assert_eq!(
        (again.stdout, written(&folder.path().join("out"))),
        (whole.stdout.clone(), expected.clone()),
        "known outcomes are those that were played"
    );
    for number in 1..=3 {
        let told = if number < 3 { "3 of 8 variants" } else { "2 of 8 variants" };
        gate(&format!("--out parts --no-cache --partition {number}/3")).exits(0).says(told);
    }
    // The paths of the files are those of the whole gate, so it is put together in its place.
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    let files = ["parts/partition-1-of-3.json", "parts/partition-2-of-3.json", "parts/partition-3-of-3.json"];
    let merged = firedrill(folder.path(), &[&["merge"], &files[..], &["--out", "out"]].concat()).exits(1).says("8 of them known");
    assert_eq!((merged.stdout, written(&folder.path().join("out"))), (whole.stdout, expected));
    let path = folder.path().join(files[1]);
    let mut part: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for kept in part["entries"].as_object_mut().unwrap().values_mut() {
        kept.as_object_mut().unwrap().retain(|_, kept| kept["variant"].is_null());
    }
    fs::write(&path, part.to_string()).unwrap();
    firedrill(folder.path(), &[&["merge"], &files[..], &["--out", "never"]].concat()).exits(2).says("do not have its checksum");
    part["checksum"] = blake3::hash(part["entries"].to_string().as_bytes()).to_hex().to_string().into();
    fs::write(&path, part.to_string()).unwrap();
    let refused = firedrill(folder.path(), &[&["merge"], &files[..], &["--out", "never"]].concat()).exits(2);
    refused.says("FD0620").says("no partition has played the variant one-hangs-1-");
}

#[test]
fn a_budget_counts_variants_and_too_few_of_them_never_pass() {
    let folder = copied_project("explore");
    let gate = |more: &str| {
        let line = format!("gate --project limit.yaml --candidate repaired/limit.yaml --pairs 1 --chaos 4 --no-cache {more}");
        firedrill(folder.path(), &words(&line))
    };
    let done = gate("--out out --budget 1ms").exits(3);
    done.says("0 of 4 variants were played in the time that there was, too few to pass")
        .says("the time allowed 0 of 4 variants, 0 a scenario; `--chaos 0` plays the same ones again")
        .says("more time for the variants would tell");
    gate("--out out --budget 1ms --on-inconclusive warn").exits(3);
    let ample = gate("--out ample --budget 1h").exits(0).says("one-hangs (chaos)").stdout;
    assert_eq!(gate("--out plain").exits(0).stdout, ample, "time enough changes nothing");
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
