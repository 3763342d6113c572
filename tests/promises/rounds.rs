//! How much a gate plays: what is known is not played again, time ends it by whole rounds, partitions make the whole, and none of it changes a byte.

use std::fs;
use std::path::Path;

use crate::common::{Done, firedrill, release_project as project, words};
use serde_json::Value;

const FILES: [&str; 3] = ["gate.html", "gate.json", "gate.md"];

fn files(folder: &Path, out: &str) -> [String; 3] {
    FILES.map(|name| fs::read_to_string(folder.join(out).join(name)).unwrap())
}

fn report(folder: &Path, out: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join(out).join("gate.json")).unwrap()).unwrap()
}

/// Gates a candidate and gives what it wrote.
fn gate(folder: &Path, out: &str, more: &str) -> (Done, [String; 3]) {
    let done = firedrill(folder, &words(&format!("gate --candidate candidates/worse.yaml --out {out} {more}")));
    let files = files(folder, out);
    (done, files)
}

#[test]
fn what_is_known_is_not_played_again_and_changes_no_byte() {
    let folder = project();
    let (plain, expected) = gate(folder.path(), "plain", "--no-cache");
    let (first, written) = gate(folder.path(), "first", "--cache kept");
    assert!(written == expected && first.stdout == plain.stdout, "a cache changes what comes out");
    assert!(!first.stderr.contains("known"), "{}", first.stderr);
    let (again, written) = gate(folder.path(), "again", "--cache kept");
    assert!(written == expected && again.stdout == plain.stdout, "what is known is not what was played");
    // Two seeds of two scenarios: nothing, two policies, and in one of them the oracle.
    again.says("2 scenarios × 2 seeds, 14 runs, 14 of them known");
    // A changed candidate is played, and the baseline and the oracle are not.
    fs::write(
        folder.path().join("candidates/worse.yaml"),
        fs::read_to_string(folder.path().join("candidates/worse.yaml")).unwrap() + "\n# changed\n",
    )
    .unwrap();
    let (changed, written) = gate(folder.path(), "changed", "--cache kept");
    changed.says("14 runs, 6 of them known");
    assert_eq!(gate(folder.path(), "changed", "--no-cache").1, written);
}

#[test]
fn damaged_entries_are_told_and_played_again() {
    let folder = project();
    let (_, expected) = gate(folder.path(), "out", "--cache kept");
    let kept = folder.path().join("kept");
    for entry in fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 40]).unwrap();
    }
    let (done, written) = gate(folder.path(), "out", "--cache kept");
    done.says("warning: kept/").says("is damaged in 1 of its lines, which are played again");
    assert_eq!(written, expected);
    let (done, _) = gate(folder.path(), "out", "--cache kept");
    assert!(!done.stderr.contains("damaged"), "what was played again is whole again\n{}", done.stderr);
}

#[test]
fn partitions_merged_are_the_whole_byte_for_byte() {
    let folder = project();
    let whole = firedrill(folder.path(), &words("gate --candidate candidates/worse.yaml --pairs 5 --out out")).exits(1);
    let expected = files(folder.path(), "out");
    let parts: Vec<String> = (1..=3)
        .map(|number| {
            let line = format!("gate --candidate candidates/worse.yaml --pairs 5 --out parts --partition {number}/3");
            firedrill(folder.path(), &words(&line)).exits(0).says(&format!("partition {number} of 3"));
            format!("parts/partition-{number}-of-3.json")
        })
        .collect();
    let [one, two, three] = [&parts[0], &parts[1], &parts[2]].map(String::as_str);
    let merged = firedrill(folder.path(), &["merge", three, one, two, "--out", "merged"]).exits(1);
    assert_eq!(merged.stdout, whole.stdout);
    assert!(files(folder.path(), "merged") == expected, "merged partitions differ from the whole gate");
    let refused = |files: &[&str], code: &str, said: &str| {
        let done = firedrill(folder.path(), &[&["merge"], files, &["--out", "never"]].concat()).exits(2).says(code).says(said);
        assert!(!folder.path().join("never").exists(), "{} wrote something", done.told);
    };
    refused(&[one, three], "FD0621", "partition 2 of 3 is missing");
    refused(&[one], "FD0621", "partitions 2, 3 of 3 are missing");
    // The report of an earlier one would be taken for that of what could not be judged.
    firedrill(folder.path(), &["merge", one, "--out", "merged"]).exits(2);
    assert!(fs::read_dir(folder.path().join("merged")).unwrap().next().is_none(), "a report stays behind");
    refused(&[one, two, two, three], "FD0622", "are both partition 2 of 3");
    refused(&["firedrill.yaml"], "FD0620", "is no whole file of a partition");
    let text = fs::read_to_string(folder.path().join(two)).unwrap();
    let edited = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(folder.path().join(name), text.replacen(from, to, 1)).unwrap();
    };
    edited("four.json", "\"count\":3", "\"count\":4");
    refused(&[one, "four.json", three], "FD0624", "four.json is one of 4, and parts/partition-1-of-3.json one of 3");
    edited("other.json", "\"the seeds\":\"5 from 1", "\"the seeds\":\"5 from 2");
    refused(&[one, "other.json", three], "FD0623", "the seeds differs between parts/partition-1-of-3.json and other.json");
    fs::write(folder.path().join("half.json"), &text[..text.len() / 2]).unwrap();
    refused(&[one, "half.json", three], "FD0620", "half.json is no whole file of a partition");
    // What was played on another state of the project is not judged here.
    let rules = folder.path().join("rules/errors.yaml");
    fs::write(&rules, fs::read_to_string(&rules).unwrap() + "# changed\n").unwrap();
    refused(&[one, two, three], "FD0623", "the rules over bad-release in parts/partition-1-of-3.json is not what it is here");
}

#[test]
fn a_partition_is_one_of_some() {
    let folder = project();
    for share in ["0/2", "3/2", "2", "a/b"] {
        firedrill(folder.path(), &["gate", "--partition", share]).exits(2).says("a share is written as 2/4");
    }
    firedrill(folder.path(), &["gate", "--partition", "1/100000"]).exits(2).says("at most 10000");
    firedrill(folder.path(), &["gate", "--partition", "1/2", "--mutants"]).exits(2).says("--mutants");
    firedrill(folder.path(), &words("gate --partition 1/2 --budget 5s")).exits(2).says("cannot be used with");
}

#[test]
fn time_that_is_over_ends_a_gate_after_a_whole_round_and_never_passes() {
    let folder = project();
    let done = firedrill(folder.path(), &words("gate --out out --pairs 400 --budget 1ms")).exits(3);
    done.says("1 of 400 pairs a scenario were played in the time that there was, too few to pass")
        .says("the time allowed 1 of 400 pairs a scenario; `--pairs 1` plays the same runs again");
    let cut = report(folder.path(), "out");
    assert_eq!((&cut["command"], &cut["judgement"]["verdict"]), (&Value::from("firedrill gate --pairs 1"), &Value::from("inconclusive")));
    assert_eq!(cut["runs"].as_array().unwrap().len(), 2, "each scenario on the same seed");
    firedrill(folder.path(), &words("gate --out again --pairs 1")).exits(0);
    assert_eq!(report(folder.path(), "again")["runs"], cut["runs"]);
    // What is broken is broken, however little was seen, and a word cannot let too little pass.
    firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml --out out --pairs 400 --budget 1ms")).exits(1);
    firedrill(folder.path(), &words("gate --out out --pairs 400 --budget 1ms --on-inconclusive warn")).exits(3);
    // Time enough changes nothing.
    firedrill(folder.path(), &words("gate --out ample --budget 1h")).exits(0);
    firedrill(folder.path(), &words("gate --out plain")).exits(0);
    assert_eq!(files(folder.path(), "ample"), files(folder.path(), "plain"));
}

#[test]
fn what_breaks_for_good_ends_a_gate_early() {
    let folder = project();
    let done =
        firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml --scenarios bad-release --pairs 60 --out out")).exits(1);
    done.says("stopped after 50 of 60 pairs a scenario: what broke cannot be mended by more");
    let found = report(folder.path(), "out");
    assert_eq!(found["runs"].as_array().unwrap().len(), 50);
}

#[test]
fn what_is_inconclusive_is_extended_unless_it_shall_fail_or_pass() {
    let folder = project();
    // It waits as long as is just allowed, so that few pairs cannot tell.
    let text = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap();
    fs::write(folder.path().join("candidates/near.yaml"), text.replace("steps:\n", "steps:\n  - wait: 3s\n")).unwrap();
    let gate = |more: &str| firedrill(folder.path(), &words(&format!("gate --candidate candidates/near.yaml --pairs 4 --out out {more}")));
    gate("--on-inconclusive fail").exits(3).says("pairs do not tell");
    gate("--on-inconclusive warn").exits(0).says("`on_inconclusive: warn` lets this pass although it is inconclusive");
    let done = gate("--max-pairs 7").says("4 pairs a scenario did not tell, so 7 were played and asked for more certainty");
    assert_eq!(report(folder.path(), "out")["runs"].as_array().unwrap().len(), 14, "two scenarios on seven seeds");
    assert_eq!(report(folder.path(), "out")["command"], "firedrill gate --candidate candidates/near.yaml --pairs 4 --max-pairs 7");
    assert_ne!(done.code, 2);
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    fs::write(folder.path().join("firedrill.yaml"), format!("{text}on_inconclusive: fail\nmax_pairs: 7\n")).unwrap();
    let done = gate("").exits(3);
    assert!(!done.stdout.contains("did not tell, so"), "{}", done.stdout);
}
