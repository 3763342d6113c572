//! What a promotion rests on and cannot lose: the version that was promoted, the judge that was asked, who says that they are who, and the ledger that all of it
//! stands in.

use std::fs;

use crate::common::{firedrill, release_project, words};
use crate::promotion::{POLICY, Project, ago, missing};
use firedrill::ledger::{Labelled, Ledger, What};
use firedrill_core::name::Name;
use firedrill_policies::guard::stage::Stage;
use serde_json::{Value, json};

const FILE: &str = "policies/undo-release.yaml";

/// What `status` says of the policy, and its exit code.
fn status(project: &Project, code: i32) -> Value {
    firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(code).json()["policies"][0].clone()
}

#[test]
fn a_stage_belongs_to_the_version_that_was_promoted_to_it() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let done = project.promote("ben").exits(0);
    assert!(done.stdout.contains("promoted from dry-run to shadow"), "{}", done.stdout);
    let whole = fs::read_to_string(project.path().join(FILE)).unwrap();
    // What decides nothing changes nothing.
    fs::write(project.path().join(FILE), format!("# Somebody looked at it.\n{whole}")).unwrap();
    let own = status(&project, 0);
    assert_eq!((&own["stage"], &own["is_promoted_version"]), (&"shadow".into(), &true.into()), "{own:#}");
    // Another version looks on, whatever its evidence is, until somebody promotes it.
    project.edit(FILE, "cooldown: 10m", "cooldown: 11m");
    let own = status(&project, 1);
    assert_eq!((&own["stage"], &own["next"], &own["is_promoted_version"]), (&"dry-run".into(), &"shadow".into(), &false.into()), "{own:#}");
    assert_eq!((&own["promoted"]["stage"], &own["promoted"]["by"]), (&"shadow".into(), &"ben".into()));
    assert_ne!(own["promoted"]["hashes"]["guards"], own["hashes"]["guards"]);
    let told = firedrill(project.path(), &["status"]).exits(1).stdout;
    let first = told.lines().next().unwrap();
    assert!(
        first.starts_with("undo-release: dry-run since ") && told.contains("✗ this is not the version that was promoted to shadow ("),
        "{told}"
    );
    assert!(told.contains("its guards have changed since"), "{told}");
    // Its evidence, decided again, is what it needs: nothing has to be seen anew.
    project.promote("ben").exits(0).says("promoted from dry-run to shadow");
    assert_eq!(status(&project, 0)["is_promoted_version"], true);
    firedrill(project.path(), &["audit"]).exits(0);
    // The one that was promoted first is still what it was.
    fs::write(project.path().join(FILE), &whole).unwrap();
    assert_eq!(status(&project, 0)["stage"], "shadow");
    // Whatever is there is taken back.
    project.edit(FILE, "cooldown: 10m", "cooldown: 12m");
    firedrill(project.path(), &["demote", POLICY, "--to", "draft", "--because", "x", "--by", "ada"]).exits(0).says("from shadow to draft");
    assert_eq!(status(&project, 0)["stage"], "draft");
}

#[test]
fn a_version_that_changed_in_dry_run_is_told_and_looks_on() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    assert!(!firedrill(project.path(), &["status"]).exits(0).stdout.contains("not the version"));
    project.edit(FILE, "cooldown: 10m", "cooldown: 11m");
    let told = firedrill(project.path(), &["status"]).exits(0).stdout;
    assert!(
        told.contains("· this is not the version that was promoted to dry-run (") && told.contains("its guards have changed since"),
        "{told}"
    );
}

#[test]
fn a_version_that_was_taken_back_is_told_with_who_took_it_back_and_when() {
    let project = Project::at(Stage::Guarded, 16);
    firedrill(project.path(), &["demote", POLICY, "--to", "dry-run", "--because", "a fire", "--by", "ada"]).exits(0);
    project.edit(FILE, "cooldown: 10m", "cooldown: 11m");
    let told = firedrill(project.path(), &["status"]).exits(0).stdout;
    assert!(told.contains("· this is not the version that was taken back to dry-run ("), "{told}");
    assert!(told.contains(", by ada): its guards have changed since") && !told.contains(", by lead)"), "{told}");
}

#[test]
fn a_policy_that_is_another_one_by_now_has_nothing_of_the_stage_of_its_name() {
    let project = Project::at(Stage::Approval, 9);
    assert_eq!(status(&project, 0)["stage"], "approval");
    project.edit(FILE, "rollback: {}", "restart: { mode: at_once }");
    let own = status(&project, 1);
    assert_eq!((&own["stage"], &own["promoted"]["stage"]), (&"dry-run".into(), &"approval".into()));
    let missed = missing(&project.promote("ben").exits(1));
    assert!(missed.iter().any(|told| told.starts_with("events: 0 of 5")), "{missed:?}");
}

#[test]
fn whoever_loosens_the_judge_is_told_and_it_stands_in_the_ledger() {
    let folder = release_project();
    let promote = |more: &[&str]| firedrill(folder.path(), &[&["promote", POLICY, "--by", "ada"], more].concat());
    promote(&[]).exits(0);
    let explained = firedrill(folder.path(), &["audit", POLICY, "--explain", "1"]).exits(0);
    assert!(explained.stdout.contains("gate: held: "), "the figures of a promotion are told: {}", explained.stdout);
    assert!(!promote(&[]).exits(1).stderr.contains("by the judge"));
    let path = folder.path().join("firedrill.yaml");
    let text = fs::read_to_string(&path).unwrap();
    // A stricter threshold is no loosening, by whatever unit it is told.
    let text = text.replace("max < 1 user-minutes", "max < 0.5 user-minutes");
    let loose: String =
        text.lines().map(|line| if line.starts_with("pairs:") { "pairs: 1\n".to_owned() } else { format!("{line}\n") }).collect();
    assert_ne!(text, loose);
    fs::write(&path, loose).unwrap();
    let done = promote(&["--format", "json"]).exits(1);
    let told = "by the judge, since the promotion to dry-run (";
    assert!(
        done.stderr.contains(&format!("warning: less is asked for than usual: {told}"))
            && done.stderr.contains("): pairs were 2, and are 1")
    );
    let report = done.json();
    assert!(report["weakened"][0].as_str().unwrap().starts_with(told));
    assert_eq!(report["weakened"].as_array().unwrap().len(), 1, "{:#}", report["weakened"]);
}

#[test]
fn what_another_firedrill_wrote_down_is_compared_by_name_and_plain_values_and_that_is_said() {
    let project = Project::at(Stage::DryRun, 1);
    let promoted = |judge: Value| {
        let (profile, evidence) = ("large".to_owned(), json!({ "judge": judge }));
        let hashes = project.bound.hashes.clone();
        let (from, to) = (Stage::Draft, Stage::DryRun);
        project.append(POLICY, "lead", ago(1, 1), vec![What::Promotion { from, to, profile, hashes, evidence, weakened: Vec::new() }]);
    };
    let scenario = json!({ "class": "release", "hash": "of another firedrill" });
    promoted(json!({
        "engine": "0.0.1", "build": "another", "seed": 1, "pairs": 3, "on_inconclusive": "extend", "chaos": null, "baseline": [],
        "thresholds": ["harm max < 1 user-min", "missed max < 1,000"],
        "scenarios": { "bad-release": scenario, "old-release": scenario }, "incidents": {}, "evidence": {}, "models": {},
    }));
    let promote = || firedrill(project.path(), &["promote", POLICY, "--by", "ada", "--format", "json"]).exits(1).json();
    let unchecked = |report: &Value| {
        let needs = report["needs"].as_array().unwrap();
        let told = needs.iter().filter(|need| need["what"] == "judge").map(|need| need["told"].as_str().unwrap().to_owned());
        told.collect::<Vec<_>>()
    };
    let report = promote();
    let weakened: Vec<&str> = report["weakened"].as_array().unwrap().iter().map(|own| own.as_str().unwrap()).collect();
    let ends = [
        "the profile was large, and is small",
        "pairs were 3, and are 2",
        "the threshold `missed max < 1,000` was removed",
        "scenario old-release was deleted",
    ];
    assert!(weakened.len() == ends.len() && weakened.iter().zip(ends).all(|(own, end)| own.ends_with(end)), "{weakened:#?}");
    let told = unchecked(&report);
    assert!(
        told.len() == 1 && told[0].starts_with("not checked: whether what is rehearsed and recorded has changed since the"),
        "{told:?}"
    );
    // What cannot be read at all is no silence either.
    promoted(json!({ "engine": "0.0.1", "rules": 7 }));
    let told = unchecked(&promote());
    assert!(told.len() == 1 && told[0].starts_with("not checked: whether what judges asks for less since the promotion to"), "{told:?}");
}

#[test]
fn nobody_passes_for_somebody_else_by_another_spelling() {
    let folder = release_project();
    let by = |name: &str| firedrill(folder.path(), &["promote", POLICY, "--by", name]);
    for name in ["\u{430}da", "\u{ff41}da", "ad\u{200b}a"] {
        by(name).exits(2).says("FD0825");
    }
    by("@Watch").exits(2).says("is nobody");
    let path = folder.path().join("firedrill.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\npeople: {{ ada: {{}} }}\n")).unwrap();
    by("bob").exits(2).says("has no `bob`");
    by("ADA").exits(0);
    fs::write(&path, format!("{text}\npeople: {{ ada: {{}}, Ada: {{}} }}\n")).unwrap();
    firedrill(folder.path(), &["check"]).exits(2).says("FD0825").says("are one name");
}

#[test]
fn an_author_whom_nobody_names_is_told_as_not_checked_and_one_whom_nobody_knows_is_missing() {
    let project = crate::promotion::with_runs();
    project.edit(FILE, "owner: team-checkout", "owner: team-checkout\nauthor: ada");
    for by in ["@ada", "ada.", "ADA"] {
        let missed = missing(&project.promote(by).exits(1));
        assert_eq!(missed, [format!("author: ada wrote it, and {by} promotes")]);
    }
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ben: {}, lead: {}, bob: {} }");
    let missed = missing(&project.promote("ben").exits(1));
    assert!(missed.contains(&"author: ada wrote it, who is not among the `people:` of firedrill.yaml".to_owned()), "{missed:?}");
    project.edit("firedrill.yaml", "people: { ben: {}, lead: {}, bob: {} }\n", "");
    project.edit(FILE, "author: ada\n", "");
    let done = project.promote("ben").exits(0);
    assert!(done.stdout.contains("· author: not checked: nobody says who wrote it; `author: NAME` in the policy does"), "{}", done.stdout);
}

#[test]
fn nothing_else_is_written_into_the_ledger_and_no_statement_over_what_is_none() {
    let project = Project::at(Stage::DryRun, 3);
    let at = |name: &str| project.path().join(name);
    fs::write(at("README.md"), "words\n").unwrap();
    fs::write(at("ledger/notes.txt"), "kept\n").unwrap();
    let chain = format!("ledger/{POLICY}.jsonl");
    let before = fs::read(at(&chain)).unwrap();
    let names = || fs::read_dir(at("ledger")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>().len();
    let files = names();
    let promote = |statement: &str| firedrill(project.path(), &["promote", POLICY, "--by", "ada", "--statement", statement]);
    for path in [chain.as_str(), "ledger/new.json", "rules/../ledger/notes.txt"] {
        promote(path).exits(2).says("would write into the ledger");
    }
    promote("README.md").exits(2).says("FD0818").says("is no statement");
    for line in [
        "run bad-release --out ledger",
        &format!("run bad-release --logs {chain}"),
        "run bad-release --traces ledger/traces.jsonl",
        "run bad-release --record ledger/incident",
        "gate --out ledger",
        "gate --out ledger/deeper",
    ] {
        firedrill(project.path(), &words(line)).exits(2).says("would write into the ledger");
    }
    assert_eq!((fs::read(at(&chain)).unwrap(), names()), (before, files));
    assert_eq!(fs::read_to_string(at("README.md")).unwrap(), "words\n");
    // What cannot be read may be anybody's.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        promote("round").exits(2).says("FD0818").says("would write over what is there, and that cannot be read");
        assert!(at("round").is_symlink());
    }
    // Nor is read what never ends.
    #[cfg(unix)]
    {
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        promote("socket").exits(2).says("FD0818").says("it is no regular file, but a device, a pipe or a socket");
        assert!(!at("socket").is_file());
    }
    // A statement takes the place of the one before.
    promote("evidence.json").exits(1);
    promote("evidence.json").exits(1);
    firedrill(project.path(), &["audit"]).exits(0);
}

#[test]
fn what_stands_in_an_entry_stays_in_the_line_in_which_it_is_shown() {
    let project = Project::at(Stage::DryRun, 16);
    let id = project.with_one();
    let number = id.rsplit_once('#').unwrap().1.parse::<u64>().unwrap();
    let chain = Ledger::read(&project.path().join("ledger"), &Name::new(POLICY)).unwrap();
    let event = chain.entries.iter().find(|own| own.number == number).unwrap().hash.clone();
    let odd = "a leak\n  ✓ signed by ada\u{1b}[8m";
    project.append(POLICY, "ada", ago(0, 0), vec![What::Label { event, says: Labelled::Right, cause: Some(odd.to_owned()) }]);
    let explained = |number: u64| firedrill(project.path(), &["audit", POLICY, "--explain", &number.to_string()]).stdout;
    let label = chain.entries.len() as u64 + 1;
    for told in [explained(label), explained(number)] {
        assert!(told.contains("right: a leak\\n  ✓ signed by ada\\u{1b}[8m\n") && !told.contains('\u{1b}'), "{told}");
    }
    // Nobody has such a name, and it is shown as little.
    project.append(POLICY, odd, ago(0, 0), vec![What::Violation { what: "x".to_owned() }]);
    for line in ["status", "audit"] {
        let done = firedrill(project.path(), &[line]);
        let told = format!("{}{}", done.stdout, done.stderr);
        assert!(done.code != 0 && told.contains("FD0806") && told.contains("is no name of anybody") && !told.contains('\u{1b}'), "{told}");
    }
    assert!(explained(label + 1).contains("by a leak\\n  ✓ signed by ada\\u{1b}[8m; not signed"));
}
