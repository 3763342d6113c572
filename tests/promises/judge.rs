//! A change does not choose its own judge: with `--baseline git:REF` what is there judges, and what the change does to that is told first.

use crate::common;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Done, firedrill, release_project, words, write};
use serde_json::Value;
use tempfile::TempDir;

/// Runs git in a folder, as somebody whose own configuration does not matter.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let who =
        ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(who)
        .args(arguments)
        .env_remove("HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let done = command.output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The release project, committed on `main`; what follows is the change.
fn repository() -> TempDir {
    let folder = release_project();
    committed(folder.path());
    folder
}

pub fn committed(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", "as it is"]);
}

/// Puts other words into a file.
#[track_caller]
pub fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{name} does not hold `{from}`");
    fs::write(folder.join(name), text.replacen(from, to, 1)).unwrap();
}

fn gate(folder: &Path, more: &str) -> Done {
    firedrill(folder, &words(&format!("gate --baseline git:main --out out {more}")))
}

fn judged(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("out/gate.json")).unwrap()).unwrap()
}

const NEW_SCENARIO: &str = "scenarios/second-release.yaml";

/// The bad release once more, under another name.
fn add_scenario(folder: &Path) {
    let text = fs::read_to_string(folder.join("scenarios/bad-release.yaml")).unwrap();
    write(folder, NEW_SCENARIO, &text.replace("scenario: bad-release", "scenario: second-release"));
}

/// Changes the project, and says what the first lines of the output must be; a change that leaves the judge alone must have none.
#[track_caller]
fn check(change: impl Fn(&Path), expected: &[&str]) {
    let folder = repository();
    change(folder.path());
    let status = || git(folder.path(), &["status", "--porcelain"]).replace("?? out/\n", "");
    let before = status();
    let done = gate(folder.path(), "").exits(i32::from(!expected.is_empty()));
    assert_eq!(status(), before, "a gate leaves the repository and its index as they were");
    let told: Vec<&str> = done.stdout.lines().take_while(|line| !line.is_empty()).collect();
    if expected.is_empty() {
        assert!(told[0].trim_start().starts_with("class"), "{}", done.stdout);
        return;
    }
    let changes: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("✗ ")).collect();
    assert_eq!(changes, expected, "{}", done.stdout);
    assert!(told[0].ends_with("which nobody has approved:") && told.last().unwrap().contains("--accept-judge-change NAME"), "{told:?}");
    done.says("broken: the change edits its own judge: ");
    let report = judged(folder.path());
    assert_eq!(report["judgement"]["judge_changes"].as_array().unwrap().len(), expected.len());
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let (markdown, page) = (read("gate.md"), read("gate.html"));
    // After the verdict with its reason, and before everything else.
    let first = markdown.lines().find(|line| line.starts_with("**")).unwrap();
    assert!(first.contains("which nobody has approved"), "{markdown}");
    assert!(page.find("The judge was changed").unwrap() < page.find("Verdict by class").unwrap());
    // Somebody may take that upon himself, and is named wherever it is told.
    let approved = gate(folder.path(), "--accept-judge-change alice");
    assert!(approved.code != 2, "{}", approved.stderr);
    approved.says("approved by alice:");
    assert!(read("gate.md").contains("approved by alice") && read("gate.html").contains("approved by alice"));
    assert_eq!(judged(folder.path())["judgement"]["approval"], "alice");
}

#[test]
fn what_leaves_the_judge_alone_is_not_told() {
    check(|folder| edit(folder, "policies/undo-release.yaml", "policy:", "# another comment\npolicy:"), &[]);
    check(|folder| edit(folder, "scenarios/bad-release.yaml", "schema:", "# another comment\nschema:"), &[]);
    check(|folder| fs::rename(folder.join("scenarios/bad-release.yaml"), folder.join("scenarios/renamed.yaml")).unwrap(), &[]);
    check(|folder| edit(folder, "firedrill.yaml", "pairs: 2", "pairs: 3"), &[]);
    check(|folder| edit(folder, "firedrill.yaml", "max < 1 user", "max < 0.5 user"), &[]);
}

#[test]
fn a_looser_project_file_is_told_line_by_line() {
    check(
        |folder| edit(folder, "firedrill.yaml", "max < 1 user-minutes", "max < 500 user-minutes"),
        &["the threshold `harm max < 1 user-min` became `harm max < 500 user-min`"],
    );
    check(
        |folder| edit(folder, "firedrill.yaml", "  noop_false_positives: max == 0\n", ""),
        &["the threshold `noop_false_positives max == 0` was removed"],
    );
    check(
        |folder| edit(folder, "firedrill.yaml", "pairs: 2", "pairs: 1\nseed: 7"),
        &["the seed was 1, and is 7", "pairs were 2, and are 1"],
    );
    check(
        |folder| edit(folder, "firedrill.yaml", "pairs: 2", "pairs: 2\non_inconclusive: warn"),
        &["on_inconclusive was extend, and is warn"],
    );
}

#[test]
fn scenarios_that_are_gone_or_other_ones_are_told() {
    check(|folder| fs::remove_file(folder.join("scenarios/calm-release.yaml")).unwrap(), &["scenario calm-release was deleted"]);
    check(
        |folder| edit(folder, "scenarios/bad-release.yaml", "horizon:", "family: soft\nhorizon:"),
        &["scenario bad-release was of class bad-release, and is of class soft"],
    );
}

#[test]
fn a_candidate_that_makes_its_scenario_easy_is_judged_by_the_hard_one_and_the_command_plays_that() {
    let folder = repository();
    let harmful = fs::read_to_string(folder.path().join("candidates/harmful.yaml")).unwrap();
    fs::write(folder.path().join("policies/undo-release.yaml"), harmful).unwrap();
    edit(folder.path(), "firedrill.yaml", "max < 1 user-minutes", "max < 100000 user-minutes");
    fs::remove_file(folder.path().join("scenarios/bad-release.yaml")).unwrap();
    let done = gate(folder.path(), "").exits(1).says("scenario bad-release was deleted");
    assert!(done.stdout.contains("\n✗ bad-release: harm max < 1 user-min: found "), "{}", done.stdout);
    let line = done.stdout.lines().find_map(|line| line.trim().strip_prefix("repeat: firedrill ")).unwrap();
    assert!(line.contains("--judge git:main"), "{line}");
    let repeat = words(line);
    let mut shown = firedrill(folder.path(), &[&repeat[..], &["--format", "json"]].concat()).exits(0).json();
    shown["outcome"].as_object_mut().unwrap().remove("human");
    shown["outcome"]["benefit_over_human"] = Value::Null;
    let runs = judged(folder.path())["runs"].clone();
    assert!(runs.as_array().unwrap().iter().any(|run| run["outcome"] == shown["outcome"]), "firedrill {line} shows another run");
    assert!(!done.stdout.contains("/tmp/") && !done.stderr.contains("/tmp/"), "no path of the checkout is told\n{}", done.stdout);
}

#[test]
fn the_baseline_has_the_policies_and_rules_that_it_had() {
    let folder = repository();
    // A rule that fires later is a part of what is judged: both sides have their own.
    edit(folder.path(), "rules/errors.yaml", "for: 30s", "for: 5m");
    let done = gate(folder.path(), "").exits(1);
    done.says("user_minutes_lost against the baseline: mean ");
    let report = judged(folder.path());
    assert_eq!(report["judgement"]["pairs"], 4);
    assert_eq!(report["judgement"].get("judge_changes"), None, "rules are no judge");
}

#[test]
fn what_a_change_adds_is_judged_by_too() {
    let folder = repository();
    add_scenario(folder.path());
    edit(folder.path(), "firedrill.yaml", "thresholds:", "thresholds:\n  actions: max < 1");
    let done = gate(folder.path(), "").exits(1).says("actions max < 1: found 1");
    assert!(!done.stdout.contains("what judges this candidate"), "an addition is no edit\n{}", done.stdout);
    let runs = judged(folder.path())["runs"].as_array().unwrap().clone();
    assert_eq!(runs.iter().filter(|run| run["outcome"]["scenario"] == "second-release").count(), 2);
}

#[test]
fn an_edited_incident_is_judged_as_it_was_and_told() {
    let folder = release_project();
    let incident = common::root().join("incidents/retry-storm");
    for name in ["incident.yaml", "recording.jsonl"] {
        write(folder.path(), &format!("incidents/storm/{name}"), &fs::read_to_string(incident.join(name)).unwrap());
    }
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    let text = text.replace("rules: [rules]", "incidents: [incidents]").replace("policies: [policies]", "policies: [break-retry-storm]");
    fs::write(folder.path().join("firedrill.yaml"), text.replace("scenarios: [scenarios]", "scenarios: [calm]")).unwrap();
    committed(folder.path());
    gate(folder.path(), "--pairs 1").exits(0).says("incident retry-storm-recorded");
    let expect = fs::read_to_string(incident.join("incident.yaml")).unwrap();
    write(folder.path(), "incidents/storm/incident.yaml", &format!("# A comment.\n{expect}\n# Another one.\n"));
    let same = gate(folder.path(), "--pairs 1").exits(0);
    assert!(!same.stdout.contains('✗'), "a comment is no change:\n{}", same.stdout);
    let (before, _) = expect.split_once("expect:").unwrap();
    write(folder.path(), "incidents/storm/incident.yaml", before);
    let done = gate(folder.path(), "--pairs 1").exits(1).says("✗ `expect` of incident retry-storm-recorded was removed");
    done.says("decisions right, effect unproven");
    let command = judged(folder.path())["judgement"]["incidents"][0]["command"].as_str().unwrap().to_owned();
    let words = words(command.strip_prefix("firedrill ").unwrap());
    assert_eq!(words[..4], ["replay", "incidents/storm", "--judge", "git:main"]);
    firedrill(folder.path(), &words).exits(0).says("passed: decisions right");
    fs::remove_dir_all(folder.path().join("incidents/storm")).unwrap();
    edit(folder.path(), "firedrill.yaml", "incidents: [incidents]\n", "");
    gate(folder.path(), "--pairs 1").exits(1).says("✗ incident retry-storm-recorded was deleted").says("decisions right, effect unproven");
}

#[test]
fn a_project_file_may_name_the_revision_and_what_changes_that_is_told() {
    let folder = release_project();
    edit(folder.path(), "firedrill.yaml", "pairs: 2", "pairs: 2\nbaseline: git:main");
    committed(folder.path());
    firedrill(folder.path(), &words("gate --out out")).exits(0).says("the baseline and the judge are those of main (");
    firedrill(folder.path(), &["check"]).exits(0);
    edit(folder.path(), "firedrill.yaml", "baseline: git:main", "baseline: [candidates/harmful.yaml]");
    gate(folder.path(), "").exits(1).says("✗ the baseline was git:main, and is candidates/harmful.yaml");
}

#[test]
fn a_project_that_was_not_there_yet_brings_its_judge_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "README.md", "nothing yet\n");
    committed(folder.path());
    let project = release_project();
    fs::remove_dir_all(project.path().join("candidates")).unwrap();
    let inner = folder.path().join("drills");
    fs::rename(project.path(), &inner).unwrap();
    gate(&inner, "").exits(0).says("there was no project yet, so there is no baseline");
    assert_eq!(judged(&inner)["judgement"]["pairs"], Value::Null);
    // In a folder of the repository, with a file outside of it, all of it comes along.
    fs::create_dir(folder.path().join("shared")).unwrap();
    fs::rename(inner.join("rules/errors.yaml"), folder.path().join("shared/errors.yaml")).unwrap();
    edit(&inner, "firedrill.yaml", "rules: [rules]", "rules: [../shared/errors.yaml]");
    git(folder.path(), &["add", "--all", "drills/firedrill.yaml", "drills/policies", "drills/scenarios", "shared"]);
    git(folder.path(), &["commit", "--quiet", "--message", "a project"]);
    gate(&inner, "").exits(0).says("comparisons with the baseline hold");
    edit(folder.path(), "shared/errors.yaml", "for: 30s", "for: 5m");
    gate(&inner, "").exits(1).says("against the baseline");
}

#[test]
fn a_revision_that_cannot_be_read_is_told_with_what_to_do() {
    let folder = repository();
    let refused = |folder: &Path, baseline: &str, code: &str, said: &str| {
        let done = firedrill(folder, &["gate", "--baseline", baseline, "--out", "out"]).exits(2).says(code).says(said);
        assert!(!folder.join("out").exists(), "{} wrote something", done.told);
    };
    refused(folder.path(), "git:mian", "FD0612", "there is no revision `mian` in this repository");
    refused(folder.path(), "git:", "FD0612", "there is no revision");
    refused(folder.path(), "git:--help", "FD0612", "there is no revision `--help`");
    let bare = release_project();
    refused(bare.path(), "git:main", "FD0611", "needs a git repository around");
    refused(bare.path(), "nowhere.yaml", "FD0901", "no policy is called `nowhere.yaml`");
    // What the revision holds is told by the names that it has there.
    edit(folder.path(), "firedrill.yaml", "rules: [rules]", "rules: [/etc/rules]");
    edit(folder.path(), "scenarios/calm-release.yaml", "horizon:", "horizont:");
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "wrong"]);
    git(folder.path(), &["checkout", "--quiet", "HEAD~1"]);
    refused(folder.path(), "git:main", "FD0617", "main:firedrill.yaml:4:9");
    let done = gate(folder.path(), "").exits(2);
    assert!(!done.stderr.contains("/tmp/"), "{}", done.stderr);
}

/// Whoever may push a tag would choose the judge: `git` takes a tag before a branch of the same name.
#[test]
fn a_tag_with_the_name_of_the_branch_that_judges_is_refused_unless_both_are_the_same() {
    let folder = repository();
    git(folder.path(), &["tag", "main"]);
    gate(folder.path(), "").exits(0);
    git(folder.path(), &["checkout", "--quiet", "-b", "change"]);
    edit(folder.path(), "firedrill.yaml", "pairs: 2", "pairs: 1");
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "a loosened judge"]);
    git(folder.path(), &["tag", "--force", "main"]);
    for name in ["git:main", "git:main~1"] {
        let done = firedrill(folder.path(), &["gate", "--baseline", name]).exits(2).says("error[FD0625]");
        done.says("`main` is several things that are not the same here: refs/tags/main, refs/heads/main").says("git:refs/heads/main");
    }
    firedrill(folder.path(), &words("gate --baseline git:refs/heads/main --out out")).exits(1).says("✗ pairs were 2, and are 1");
}

#[test]
fn an_incident_of_the_library_judges_at_any_revision() {
    let folder = release_project();
    edit(folder.path(), "firedrill.yaml", "scenarios:", "incidents: [hang-recorded]\nscenarios:");
    committed(folder.path());
    assert!(!gate(folder.path(), "").stderr.contains("FD0617"));
}

#[test]
fn what_an_own_action_does_to_a_simulation_belongs_to_the_judge() {
    let folder = release_project();
    let actions = "actions:\n  rebuild:\n    models: [{ restart: { mode: rolling }, takes: 1s, fails: 60% }]\n";
    edit(folder.path(), "firedrill.yaml", "thresholds:", &format!("{actions}thresholds:"));
    committed(folder.path());
    edit(folder.path(), "firedrill.yaml", "fails: 60%", "fails: 0%");
    gate(folder.path(), "").exits(1).says("✗ what the own action rebuild takes, does or fails at (`models:`) was changed");
    edit(folder.path(), "firedrill.yaml", "rebuild", "remake");
    gate(folder.path(), "")
        .exits(0)
        .says("1 action of its own that main (")
        .says("what it does is what the change claims (`models:`): remake");
}

#[test]
fn so_does_what_a_policy_says_of_its_own_actions_in_its_own_file() {
    let folder = release_project();
    let actions = "actions:\n  undo:\n    models: [{ rollback: {}, takes: 4m, fails: 30% }]\nsteps:\n  - action: undo\n";
    edit(folder.path(), "policies/undo-release.yaml", "steps:\n  - rollback: {}\n", actions);
    committed(folder.path());
    edit(folder.path(), "policies/undo-release.yaml", "takes: 4m, fails: 30%", "takes: 1s, fails: 0%");
    gate(folder.path(), "").exits(1).says("✗ what the own action undo takes, does or fails at (`models:`) was changed");
    edit(folder.path(), "policies/undo-release.yaml", "  undo:\n", "  redo:\n");
    edit(folder.path(), "policies/undo-release.yaml", "action: undo", "action: redo");
    gate(folder.path(), "").exits(1).says("✗ in policy undo-release another own action stands in the place of undo: redo");
    let approved = gate(folder.path(), "--accept-judge-change ada");
    approved.says("the baseline is that of main (").says(", and the judge is the change's own, as ada approved");
}

/// Another name, of the policy, of the action or of both, makes nobody else of either.
#[test]
fn what_an_own_action_does_is_known_by_whatever_policy_does_it() {
    let folder = release_project();
    let (own, other) = ("policies/undo-release.yaml", "policies/second.yaml");
    let actions = "actions:\n  undo:\n    models: [{ rollback: {}, takes: 4m, fails: 30% }]\nsteps:\n  - action: undo\n";
    edit(folder.path(), own, "steps:\n  - rollback: {}\n", actions);
    let first = fs::read_to_string(folder.path().join(own)).unwrap();
    let second = first.replace("policy: undo-release", "policy: second").replace("alert: ", "alert: No").replace("undo:", "redo:");
    let second = second.replace("action: undo", "action: redo");
    write(folder.path(), other, &format!("# firedrill: allow FD0330 its rules stand elsewhere\n{second}"));
    committed(folder.path());
    // The policy is renamed, and then its action is another one.
    edit(folder.path(), own, "policy: undo-release", "policy: undo-it");
    let renamed = gate(folder.path(), "--pairs 1");
    assert!(!renamed.stdout.contains("what judges this candidate"), "{}", renamed.stdout);
    edit(folder.path(), own, "takes: 4m, fails: 30%", "takes: 1s, fails: 0%");
    gate(folder.path(), "--pairs 1").exits(1).says("✗ what the own action undo takes, does or fails at (`models:`) was changed");
    // So is its action, and whatever that is called now is what it was.
    let renamed = fs::read_to_string(folder.path().join(own)).unwrap();
    write(folder.path(), own, &renamed.replace("undo:", "undone:").replace("action: undo", "action: undone"));
    gate(folder.path(), "--pairs 1").exits(1).says("✗ in policy undo-it another own action stands in the place of undo: undone");
    // It does what another policy calls so, as its own file says that it is.
    let easy = first.replace("takes: 4m, fails: 30%", "takes: 1s, fails: 0%");
    write(folder.path(), own, &easy.replace("undo:", "redo:").replace("action: undo", "action: redo"));
    gate(folder.path(), "--pairs 1").exits(1).says("✗ what the own action redo takes, does or fails at (`models:`) was changed");
}

#[test]
fn a_policy_that_is_taken_off_duty_is_named() {
    let folder = release_project();
    let text = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap();
    let second = text.replace("policy: undo-release", "policy: second").replace("alert: ", "alert: No");
    fs::write(folder.path().join("policies/second.yaml"), second).unwrap();
    committed(folder.path());
    fs::remove_file(folder.path().join("policies/second.yaml")).unwrap();
    gate(folder.path(), "").exits(0).says("on duty at main (").says(") and not any more, so nothing of it is judged: second");
}

#[test]
fn a_shallow_clone_is_told_the_line_for_its_workflow() {
    let folder = repository();
    edit(folder.path(), "firedrill.yaml", "pairs: 2", "pairs: 3");
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "a change"]);
    let above = tempfile::tempdir().unwrap();
    let from = format!("file://{}", folder.path().display());
    git(above.path(), &["clone", "--quiet", "--depth", "1", &from, "clone"]);
    let done = firedrill(&above.path().join("clone"), &["gate", "--baseline", "git:main~1"]).exits(2);
    done.says("error[FD0612]").says("which is a shallow clone").says("fetch-depth: 0");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_out_of_the_repository_does_not_judge() {
    let folder = release_project();
    let outside = tempfile::tempdir().unwrap();
    fs::rename(folder.path().join("scenarios/bad-release.yaml"), outside.path().join("bad.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("bad.yaml"), folder.path().join("scenarios/bad.yaml")).unwrap();
    committed(folder.path());
    gate(folder.path(), "").exits(2).says("FD0613").says("the link main:scenarios/bad.yaml leads out of the repository");
}

/// A project file of another name, or in another place, would bring its own judge along.
#[cfg(unix)]
#[test]
fn a_project_that_was_moved_is_told_before_all_else_and_does_not_choose_its_judge() {
    let loosen = |folder: &Path, name: &str| edit(folder, name, "pairs: 2", "pairs: 1");
    let linked = |folder: &Path| {
        fs::rename(folder.join("firedrill.yaml"), folder.join("other.yaml")).unwrap();
        loosen(folder, "other.yaml");
        std::os::unix::fs::symlink("other.yaml", folder.join("firedrill.yaml")).unwrap();
    };
    check(linked, &["pairs were 2, and are 1"]);
    let folder = repository();
    fs::rename(folder.path().join("firedrill.yaml"), folder.path().join("other.yaml")).unwrap();
    let done = firedrill(folder.path(), &words("gate --baseline git:main --out out --project other.yaml")).exits(1);
    done.says("✗ the project firedrill.yaml of main (")
        .says("is gone, and what it asked for does not judge this one")
        .says("broken: the change edits its own judge");
    let approved = words("gate --baseline git:main --out out --project other.yaml --accept-judge-change alice");
    firedrill(folder.path(), &approved).exits(0).says("approved by alice");
}

#[test]
fn who_approves_is_a_line_of_plain_text() {
    let folder = repository();
    edit(folder.path(), "firedrill.yaml", "pairs: 2", "pairs: 1");
    for nobody in ["  ", "<script>", "ada\n\n## held", "\u{1b}[31mada"] {
        let arguments = ["gate", "--baseline", "git:main", "--out", "out", "--accept-judge-change", nobody];
        firedrill(folder.path(), &arguments).exits(2).says("names nobody");
        assert!(!folder.path().join("out").exists());
    }
    let approved =
        gate(folder.path(), "--accept-judge-change ada@example.org --format github").exits(0).says("approved by ada@example.org");
    approved.says("::notice title=firedrill gate%3A judge changed::").says("; approved by ada@example.org\n");
    let suites = std::fs::read_to_string(folder.path().join("out/gate.junit.xml")).unwrap();
    assert!(suites.contains("<system-out>approved by ada@example.org</system-out>"), "{suites}");
}

#[test]
fn what_a_scenario_says_of_its_variants_is_told() {
    check(
        |folder| edit(folder, "scenarios/bad-release.yaml", "horizon:", "chaos: { variants: 0 }\nhorizon:"),
        &["scenario bad-release was changed"],
    );
}

#[test]
fn what_an_incident_was_recorded_in_elsewhere_belongs_to_it_and_must_be_in_the_repository() {
    let folder = release_project();
    let incident = common::root().join("incidents/retry-storm");
    let read = |name: &str| fs::read_to_string(incident.join(name)).unwrap();
    let (text, recording) = (read("incident.yaml"), read("recording.jsonl"));
    assert!(text.contains("recording.jsonl"));
    write(folder.path(), "incidents/storm/incident.yaml", &text.replace("recording.jsonl", "../../shared/recording.jsonl"));
    write(folder.path(), "shared/recording.jsonl", &recording);
    edit(folder.path(), "firedrill.yaml", "rules: [rules]", "incidents: [incidents]");
    edit(folder.path(), "firedrill.yaml", "policies: [policies]", "policies: [break-retry-storm]");
    edit(folder.path(), "firedrill.yaml", "scenarios: [scenarios]", "scenarios: [calm]");
    committed(folder.path());
    gate(folder.path(), "--pairs 1").exits(0);
    let shorter: String = recording.lines().take(recording.lines().count() - 1).map(|line| format!("{line}\n")).collect();
    write(folder.path(), "shared/recording.jsonl", &shorter);
    gate(folder.path(), "--pairs 1").exits(1).says("✗ what was recorded of incident retry-storm-recorded");
    write(folder.path(), "shared/recording.jsonl", &recording);
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "recording.jsonl", &recording);
    let there = outside.path().join("recording.jsonl").display().to_string();
    write(folder.path(), "incidents/storm/incident.yaml", &text.replace("recording.jsonl", &there));
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "outside"]);
    gate(folder.path(), "--pairs 1").exits(2).says("FD0617").says("lies outside of the repository");
}

#[test]
fn what_lies_in_another_repository_does_not_judge() {
    let folder = release_project();
    let inner = folder.path().join("scenarios/shared");
    fs::create_dir(&inner).unwrap();
    fs::rename(folder.path().join("scenarios/bad-release.yaml"), inner.join("bad-release.yaml")).unwrap();
    committed(&inner);
    committed(folder.path());
    let done = gate(folder.path(), "").exits(2).says("FD0618").says("main:scenarios/shared is another repository (a git submodule)");
    assert!(!folder.path().join("out").exists(), "{}", done.told);
}

#[test]
fn without_git_the_gate_says_what_is_missing() {
    let folder = repository();
    let done = assert_cmd::Command::cargo_bin("firedrill").unwrap();
    let mut done = done;
    let output = done.current_dir(folder.path()).env("PATH", "").args(["gate", "--baseline", "git:main"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("FD0610") && said.contains("install git"), "{said}");
}

#[test]
fn a_history_that_lacks_the_revision_is_told() {
    let folder = repository();
    git(folder.path(), &["checkout", "--quiet", "-b", "change"]);
    git(folder.path(), &["checkout", "--quiet", "main"]);
    add_scenario(folder.path());
    git(folder.path(), &["add", "--all"]);
    git(folder.path(), &["commit", "--quiet", "--message", "one more"]);
    git(folder.path(), &["checkout", "--quiet", "change"]);
    gate(folder.path(), "").exits(1).says("✗ scenario second-release was deleted").says("is not in the history of this working tree");
}

#[test]
fn a_baseline_may_be_named_by_file_or_folder_and_the_project_judges() {
    let folder = release_project();
    write(folder.path(), "before/undo.yaml", &fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap());
    for baseline in ["before", "before/undo.yaml"] {
        firedrill(folder.path(), &["gate", "--out", "out", "--baseline", baseline]).exits(0).says("comparisons with the baseline hold");
        assert_eq!(judged(folder.path())["judgement"]["pairs"], 4);
        assert_eq!(judged(folder.path())["command"], format!("firedrill gate --baseline {baseline}"));
    }
    // A candidate that is not the project's has a baseline, too, if one is named.
    let line = "gate --out out --baseline before --candidate candidates/harmful.yaml";
    firedrill(folder.path(), &words(line)).exits(1).says("user_minutes_lost against the baseline: mean ");
}

#[test]
fn a_revision_that_git_cannot_check_out_is_named() {
    let folder = repository();
    let blob = git(folder.path(), &["rev-parse", "HEAD:firedrill.yaml"]);
    let (first, rest) = blob.trim().split_at(2);
    fs::remove_file(folder.path().join(".git/objects").join(first).join(rest)).unwrap();
    let done = gate(folder.path(), "").exits(2);
    assert!(done.stderr.contains("FD0615") && done.stderr.contains("git could not check out `main`"), "{}", done.stderr);
    assert!(done.stderr.contains("see whether `git checkout` of it works"), "{}", done.stderr);
    assert!(!folder.path().join("out").exists(), "nothing was written");
}
