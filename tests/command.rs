//! The command as a person or a program meets it: what it says, in which words, to which stream, with which exit code.
//!
//! `INSTA_UPDATE=always cargo test --test command` writes the snapshots anew; read the diff.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::{firedrill, root, words};

/// Runs a line in an empty folder, where only the library is at hand, and compares what it says with what is stored under `name`.
#[track_caller]
fn check_words(name: &str, line: &str) {
    let folder = tempfile::tempdir().unwrap();
    let done = firedrill(folder.path(), &words(line)).exits(0);
    assert_eq!(done.stderr, "", "{}: there is nothing to say beside the data", done.told);
    insta::with_settings!({ description => format!("firedrill {line}"), omit_expression => true }, {
        insta::assert_snapshot!(name, done.stdout);
    });
}

#[test]
fn a_run_reads_as_the_story_of_an_incident() {
    check_words("run_retry_storm", "run retry-storm --policy break-retry-storm");
}

#[test]
fn the_library_is_listed_with_a_line_about_each() {
    check_words("list", "list");
}

#[test]
fn explanations_are_prose_that_somebody_can_read() {
    check_words("explain_scenario", "explain hang-one-replica");
    check_words("explain_policy", "explain restart-crashed-or-hung");
    check_words("explain_measure", "explain time_to_recover");
    check_words("explain_exit_codes", "explain exit-codes");
}

#[test]
fn every_measure_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let told = firedrill(folder.path(), &["explain", "measures"]).exits(0).stdout;
    for measure in firedrill_reports::verdict::Measure::all() {
        let lines: Vec<&str> = told.lines().collect();
        let at = lines.iter().position(|line| *line == measure.word()).unwrap_or_else(|| panic!("`{}` is not explained", measure.word()));
        assert!(lines[at + 1].len() > 15 && !lines[at + 1].contains("see docs/"), "{}: {}", measure.word(), lines[at + 1]);
    }
}

#[test]
fn all_that_the_library_lists_can_be_explained() {
    let folder = tempfile::tempdir().unwrap();
    let listed = firedrill(folder.path(), &words("list --format json")).exits(0).json();
    for kind in ["scenarios", "policies"] {
        let entries = listed[kind].as_array().unwrap();
        assert!(entries.len() >= 8, "{kind}");
        for entry in entries {
            let name = entry["name"].as_str().unwrap();
            assert!(entry["about"].as_str().is_some_and(|about| about.len() > 10), "{name} says what it is about");
            firedrill(folder.path(), &["explain", name]).exits(0).says(name);
        }
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (line, said) in [
        ("run retry-strom", "did you mean `retry-storm`?"),
        ("run blip --policy restart-befor-oom", "did you mean `restart-before-oom`?"),
        ("run blip --rules kubernets", "did you mean `kubernetes`?"),
        ("compare restart-al", "did you mean `restart-all`?"),
        ("compare restart-all --scenarios blipp", "did you mean `blip`?"),
        ("replay hang-one-replika", "did you mean `hang-one-replica`?"),
        ("explain harmm", "did you mean `harm`?"),
        ("explain exit-code", "did you mean `exit-codes`?"),
        ("list polices", "a similar value exists: 'policies'"),
        ("run blip --sed 3", "a similar argument exists: '--seed'"),
        ("chek", "a similar subcommand exists: 'check'"),
        ("check nowhere.yaml", "no file or folder `nowhere.yaml` is here"),
        ("run zzzzzzzz", "`firedrill list` shows what the library holds"),
    ] {
        let done = firedrill(folder.path(), &words(line)).exits(2).says(said);
        assert_eq!(done.stdout, "", "{}: problems are no data", done.told);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written when a name is wrong");
}

#[test]
fn every_json_parses_and_says_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let project = root().join("tests/projects/release/firedrill.yaml").display().to_string();
    let incident = root().join("incidents/hang-one-replica").display().to_string();
    for (line, schema) in [
        ("run blip", "firedrill.run/1"),
        ("compare restart-all --scenarios blip --pairs 2", "firedrill.compare/1"),
        (&format!("gate --project {project}"), "firedrill.judgement/1"),
        (&format!("replay {incident} --policy restart-crashed-or-hung"), "firedrill.replay/1"),
        ("list", "firedrill.list/1"),
        (&format!("check {incident}/incident.yaml"), "firedrill.check/1"),
    ] {
        let json = firedrill(folder.path(), &words(&format!("{line} --format json --quiet"))).exits(0).json();
        assert_eq!(json["schema"], schema, "firedrill {line} --format json");
    }
}

#[test]
fn what_is_written_to_files_is_what_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = words("run hang-one-replica --policy restart-crashed-or-hung --format json --out out --quiet");
    let told = firedrill(folder.path(), &run).exits(0).json();
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let outcome: serde_json::Value = serde_json::from_str(&read("outcome.json")).unwrap();
    assert_eq!(outcome, told["outcome"]);
    let header: serde_json::Value = serde_json::from_str(read("journal.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(header["schema"], "firedrill.journal/1");
    assert!(read("run.html").contains("<svg") && read("timeline.txt").contains("restart-crashed-or-hung"));
    let mut names: Vec<_> = fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["journal.jsonl", "outcome.json", "run.html", "timeline.txt"], "nothing half-written stays behind");
}

#[test]
fn a_run_names_the_command_that_repeats_it_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let line = "run memory-leak-to-oom --policy restart-before-oom --seed 4";
    let told = firedrill(folder.path(), &words(line)).exits(0);
    let repeat = told.stdout.lines().find_map(|line| line.strip_prefix("repeat: firedrill ")).expect("a run says how to repeat it");
    assert_eq!(told.stdout, firedrill(folder.path(), &words(repeat)).exits(0).stdout, "firedrill {repeat}");
}

#[test]
fn colour_is_there_when_asked_for_and_changes_no_word() {
    let folder = tempfile::tempdir().unwrap();
    let run = |color: &str| {
        firedrill(folder.path(), &words(&format!("run retry-storm --policy break-retry-storm --color {color}"))).exits(0).stdout
    };
    let (never, auto, always) = (run("never"), run("auto"), run("always"));
    assert!(!never.contains('\u{1b}') && never == auto, "a pipe is no terminal");
    assert!(always.contains("\u{1b}["));
    let mut bare = String::new();
    let mut rest = always.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        bare += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(bare + rest, never);
}

#[test]
fn help_and_version_are_answers() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["--help", "--version", "run --help", "help gate"] {
        let done = firedrill(folder.path(), &words(line)).exits(0);
        assert!(!done.stdout.is_empty() && done.stderr.is_empty(), "{}", done.told);
    }
    let none: [&str; 0] = [];
    firedrill(folder.path(), &none).exits(2).says("Usage: firedrill");
}

#[test]
fn a_reader_who_leaves_early_causes_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["list", "explain measures", "--help", "run retry-storm --policy break-retry-storm", "run blip --format json"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.current_dir(folder.path()).args(words(line)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "firedrill {line} | true\n{said}");
        assert!(!said.contains("panicked") && !said.contains("bug"), "firedrill {line} | true\n{said}");
    }
}
