//! The command as a person or a program meets it: what it says, in which words, to which stream, with which exit code.
//!
//! `INSTA_UPDATE=always cargo test --test promises command` writes the snapshots anew; read the diff.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{firedrill, release_project, root, words, write};

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
fn a_policy_is_held_against_a_person_on_call_who_needs_longer_than_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = |policy: &str| firedrill(folder.path(), &words(&format!("run hang-one-replica --policy {policy} --format json --quiet")));
    let outcome = &run("restart-crashed-or-hung").exits(0).json()["outcome"];
    let human = &outcome["human"];
    let seconds = |value: &serde_json::Value| value.as_f64().unwrap();
    let (called, acted) = (seconds(&human["called_seconds"]), seconds(&human["acted_seconds"]));
    assert!(called > 300.0 && acted > called + 660.0, "nobody can act sooner than 11 min after the alert: {called} s, {acted} s");
    assert!(seconds(&human["arm"]["ended_seconds"]) > seconds(&outcome["policy"]["ended_seconds"]), "they are waited for");
    assert_eq!(human["arm"]["time_to_mitigate"]["censored"], false, "and help in the end");
    assert!(seconds(&outcome["benefit_over_human"]) > 0.0);
    let even = seconds(&human["break_even_seconds"]);
    assert!(even < acted - called, "a policy that is better than this person breaks even before them, and not after {even} s");
    let even = run("restart-all").exits(0).json()["outcome"]["human"]["break_even_seconds"].as_f64();
    assert!(even.is_none_or(|even| even >= 60.0), "what makes it worse is not as good as a person who is there at once: {even:?}");
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
        ("chek", "some similar subcommands exist: 'schema', 'check'"),
        ("check nowhere.yaml", "no file or folder `nowhere.yaml` is here"),
        ("run zzzzzzzz", "`firedrill list` shows what there is"),
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
        firedrill(folder.path(), &words(&format!("run hang-one-replica --policy restart-crashed-or-hung --color {color}"))).exits(0).stdout
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
    for line in ["list", "explain measures", "--help", "run hang-one-replica --policy restart-crashed-or-hung", "run blip --format json"] {
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

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["list", "explain measures", "--help", "run blip --format json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        let output = command.current_dir(folder.path()).args(words(line)).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "firedrill {line} > /dev/full\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The release project with a policy that has the name of one of the library, and says so in its description.
fn with_namesake() -> tempfile::TempDir {
    let folder = release_project();
    let own = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap();
    let own = own.replace("policy: undo-release", "policy: restart-all").replace("Undo a release", "Of this project, undo a release");
    write(folder.path(), "policies/undo-release.yaml", &own);
    folder
}

#[test]
fn a_bare_name_means_the_projects_own_before_the_librarys() {
    let folder = with_namesake();
    let own = |line: &str| firedrill(folder.path(), &words(line)).exits(0);
    own("explain restart-all").says("Of this project, undo a release");
    let run = own("run bad-release --policy restart-all --format json --quiet").json();
    let by_path = own("run bad-release --policy policies/undo-release.yaml --format json --quiet").json();
    assert_eq!(run["fingerprint"], by_path["fingerprint"], "the name and the path are the same policy");
    let library = root().join("policies/library/hazards/restart-all.yaml").display().to_string();
    let theirs = own(&format!("run bad-release --policy {library} --format json --quiet")).json();
    assert_ne!(run["fingerprint"], theirs["fingerprint"], "the library's is another");
    let compared = own("compare restart-all --scenarios bad-release --pairs 1 --format json --quiet").json();
    assert_eq!(compared["policies"][0]["policy"], "restart-all");
    assert_eq!(compared["policies"][0]["runs"][0]["outcome"]["actions"], run["outcome"]["actions"]);
    // The project's own in its own place is the baseline itself.
    own("gate --candidate restart-all --out out").says("against the baseline");
    own("explain errors").says("alert ManyErrors");
}

#[test]
fn what_the_project_holds_is_listed_first_and_as_its_own() {
    let folder = with_namesake();
    let told = firedrill(folder.path(), &["list"]).exits(0).says("policies of this project").says("policies of the library").stdout;
    for name in ["bad-release", "calm-release", "errors"] {
        assert!(told.contains(&format!("  {name} ")), "{name} is listed\n{told}");
    }
    let json = firedrill(folder.path(), &words("list policies --format json")).exits(0).json();
    let from = |at: usize| (json["policies"][at]["name"].as_str().unwrap(), json["policies"][at]["from"].as_str().unwrap());
    assert_eq!((from(0), from(1).1), (("restart-all", "project"), "library"));
}

#[test]
fn an_incident_is_found_by_its_folder_and_by_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["hang-one-replica", "hang-recorded"] {
        firedrill(folder.path(), &["replay", name]).exits(3).says("hang-recorded: One of three replicas");
    }
    firedrill(folder.path(), &["run", "blip", "--record", "mine/first-blip", "--quiet"]).exits(0);
    write(folder.path(), "firedrill.yaml", "schema: project/1\nincidents: [mine]\n");
    for name in ["first-blip", "blip-seed-1"] {
        firedrill(folder.path(), &["replay", name]).exits(0).says("blip-seed-1: A simulated run");
    }
    firedrill(folder.path(), &["list", "incidents"]).exits(0).says("blip-seed-1");
}

#[test]
fn a_recorded_incident_is_never_written_over_and_says_how_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let line = "run hang-one-replica --policy restart-crashed-or-hung --stage dry-run --seed 2 --record kept --quiet";
    firedrill(folder.path(), &words(line)).exits(0);
    let path = folder.path().join("kept/incident.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let made = "`firedrill run hang-one-replica --policy restart-crashed-or-hung --stage dry-run --seed 2 --record DIR`";
    assert!(text.lines().next().unwrap().contains(made), "{text}");
    fs::write(&path, format!("{text}# edited\n")).unwrap();
    let refused = firedrill(folder.path(), &words(line)).exits(2).says("kept/incident.yaml is there already");
    assert_eq!(refused.stdout, "");
    assert!(fs::read_to_string(&path).unwrap().ends_with("# edited\n"));
}

#[test]
fn a_thing_in_the_wrong_place_is_told_where_it_belongs() {
    let folder = release_project();
    write(folder.path(), "latin.yaml", "");
    fs::write(folder.path().join("latin.yaml"), b"schema: scenario/1\nscenario: caf\xe9\n").unwrap();
    for (line, said) in [
        ("run policies/undo-release.yaml", "this is a policy, not a scenario"),
        ("run rules/errors.yaml", "this is a rule file, not a scenario"),
        ("run firedrill.yaml", "this is a project file, not a scenario"),
        ("run bad-release --policy scenarios/bad-release.yaml", "this is a scenario, not a policy"),
        ("run bad-release --rules policies/undo-release.yaml", "this is a policy, not a rule file"),
        ("run restart-all", "`restart-all` is a policy, not a scenario"),
        ("run bad-release --policy blip", "`blip` is a scenario, not a policy"),
        ("run hang-recorded", "`firedrill replay hang-recorded` replays it"),
        ("replay scenarios/bad-release.yaml", "this is a scenario, not an incident"),
        ("gate --project policies/undo-release.yaml", "this is a policy, not a project file"),
        ("run hang-one", "did you mean `hang-one-replica`?"),
        ("run bad-releese", "did you mean `bad-release`?"),
        ("run bad-release --policy undo", "did you mean `undo-release`?"),
        ("run latin.yaml", "latin.yaml is not UTF-8 text"),
        ("explain firedrill.yaml", "is a project file; scenarios, policies and rule files can be explained"),
    ] {
        let done = firedrill(folder.path(), &words(line)).exits(2).says(said);
        assert!(
            done.stderr.contains("= help: ") && done.stderr.contains("1 problem;"),
            "{}: one problem, one remedy\n{}",
            done.told,
            done.stderr
        );
    }
}

#[test]
fn of_very_many_problems_the_first_twenty_are_told_and_the_rest_counted() {
    let folder = tempfile::tempdir().unwrap();
    let keys: String = (0..30).map(|index| format!("key-{index}: 1\n")).collect();
    write(folder.path(), "many.yaml", &format!("schema: project/1\n{keys}"));
    let done = firedrill(folder.path(), &["check", "many.yaml"])
        .exits(2)
        .says("and 10 more in many.yaml")
        .says("30 problems; nothing was written");
    assert_eq!(done.stderr.matches("error[FD").count(), 20);
}

#[test]
fn every_action_and_every_guard_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let words = firedrill_core::action::Action::WORDS.iter().chain(&firedrill_policies::guard::ORDER);
    for word in words {
        let told = firedrill(folder.path(), &["explain", word]).exits(0).stdout;
        assert!(told.starts_with(&format!("{word}: ")) && told.len() > 30, "{told}");
    }
    let rules = root().join("policies/library/rules/slo.yaml").display().to_string();
    firedrill(folder.path(), &["explain", &rules]).exits(0).says("  alert ").says(", for ");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["test", "nowhere.yml"][..], &["test", "--promql", "nowhere.test"]] {
        let done = firedrill(folder.path(), arguments).exits(2);
        done.says("error[FD0905]: cannot read nowhere.").says("no such file or folder").says("help: name a file that exists");
    }
}

#[test]
fn outputs_that_would_be_lost_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| firedrill(folder.path(), &words(&format!("run hang-one-replica {line}"))).exits(2).stderr;
    let lost = "would be written into one file";
    assert!(run("--traces a.jsonl --logs ./a.jsonl").contains(lost));
    assert!(run("--out o --logs o/journal.jsonl").contains(lost));
    let missing = run("--traces nowhere/t.jsonl");
    assert!(
        missing.contains("error[FD0901]") && missing.contains("there is no folder nowhere") && missing.contains("make the folder"),
        "{missing}"
    );
    assert!(run("--logs .").contains("this is a folder"));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was written");
}

#[test]
fn a_run_of_a_folder_says_that_it_plays_one_scenario() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("many")).unwrap();
    fs::write(folder.path().join("many/x.yaml"), [0xff, 0xfe]).unwrap();
    let told = firedrill(folder.path(), &["run", "many"]).exits(2).stderr;
    assert!(told.contains("`many` is a folder, and `run` plays one scenario") && !told.contains("UTF-8"), "{told}");
}

#[test]
fn the_rules_of_a_scenario_are_found_beside_it_wherever_the_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "schema: scenario/1\nscenario: base\nhorizon: 1m\nrules: [own.rules.yaml]\nclients: { u: { calls: s, rate: 1/s } }\nservices: { s: { work: [cpu: 1ms] } }\n";
    write(folder.path(), "deep/base.yaml", scenario);
    write(folder.path(), "deep/own.rules.yaml", "groups: [{ name: g, rules: [{ alert: A, expr: up == 0 }] }]\n");
    for (at, path) in [(folder.path().join("deep"), "base.yaml"), (folder.path().to_owned(), "deep/base.yaml")] {
        firedrill(&at, &["check", path]).exits(0).says("all sound").says("read 1 rule in 1 file");
        firedrill(&at, &["run", path]).exits(0);
    }
    fs::remove_file(folder.path().join("deep/own.rules.yaml")).unwrap();
    let broken = firedrill(folder.path(), &["check", "deep/base.yaml"]).exits(2);
    assert!(broken.stderr.contains("own.rules.yaml") && !broken.stdout.contains("these are sound"), "{}", broken.told);
    assert!(broken.stdout.is_empty() || broken.stdout.contains("not all sound"), "{}", broken.stdout);
}

#[test]
fn the_command_that_a_call_names_says_where_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let done = firedrill(folder.path(), &["approve", "restart#0"]).exits(2);
    assert!(
        done.stderr.contains("nobody waits for a yes to `restart#0`") && done.stderr.contains("human: { approvers: "),
        "{}",
        done.stderr
    );
}
