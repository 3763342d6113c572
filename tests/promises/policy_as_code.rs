//! A project's Rego rules, kill switch and own actions, from its file to the journal.
use std::fs;
use std::path::Path;

use assert_cmd::Command;

/// A project with one policy on one scenario of the library, and what else its file says.
fn project(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("schema: project/1\npairs: 1\npolicies: [restart-crashed-or-hung]\nscenarios: [hang-one-replica]\n{more}");
    fs::write(folder.path().join("firedrill.yaml"), text).unwrap();
    folder
}

/// The exit code of a command in a folder, with what it says to both sides.
fn firedrill(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The journal of a run of the policy.
fn journal(folder: &Path) -> String {
    let (code, _, stderr) = firedrill(folder, &["run", "hang-one-replica", "--policy", "restart-crashed-or-hung", "--out", "out"]);
    assert!(code < 2, "{stderr}");
    fs::read_to_string(folder.join("out/journal.jsonl")).unwrap()
}

fn actions(journal: &str) -> usize {
    journal.lines().filter(|line| line.contains("\"decided\"")).count()
}

#[test]
fn a_kill_switch_of_the_project_stops_a_policy_that_says_nothing_of_it() {
    let without = journal(project("").path());
    assert!(actions(&without) > 0, "without a switch it acts");
    let stopped = journal(project("kill_switch: { expr: 'vector(1) == 1', because: the year ends }\n").path());
    assert_eq!(actions(&stopped), 0);
    assert!(stopped.contains("the project's: 1 == 1 (the year ends)"), "{}", stopped.len());
    let other = journal(project("kill_switch: { expr: 'vector(1) == 1', policies: [another] }\n").path());
    assert_eq!(actions(&other), actions(&without));
    let open = journal(project("kill_switch: { expr: 'vector(0) == 1' }\n").path());
    assert_eq!(actions(&open), actions(&without));
}

#[test]
fn an_action_of_the_project_is_done_by_a_policy_and_hidden_by_none() {
    let actions = "actions:\n  rebuild:\n    models: [{ restart: { mode: rolling }, takes: 1s, fails: 0% }]\n";
    let folder = project(actions);
    let policy =
        "schema: policy/1\npolicy: rebuild-it\nowner: team\non: { alert: Down }\ntarget: { service: shop }\nsteps:\n  - action: rebuild\n";
    fs::write(folder.path().join("own.yaml"), policy).unwrap();
    let (code, _, stderr) = firedrill(folder.path(), &["check", "own.yaml", "--lint", "off"]);
    assert!(!stderr.contains("FD037"), "{code} {stderr}");
    let hiding = policy.replace("steps:", &format!("{actions}steps:"));
    fs::write(folder.path().join("own.yaml"), hiding).unwrap();
    let (code, _, stderr) = firedrill(folder.path(), &["check", "own.yaml"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("error[FD0322]: the project defines an action `rebuild` too"), "{stderr}");
}

/// Where the documentation shows what a project says for its policies.
#[test]
fn what_the_documentation_shows_of_a_project_is_sound() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md")).unwrap();
    let block = page.split("\n```yaml\n").find(|block| block.starts_with("kill_switch:")).unwrap().split("\n```").next().unwrap();
    // Rules need files, and a firedrill that reads them.
    let folder = project(&format!("{}\n", block.replace("rego: [rego]", "")));
    let (code, _, stderr) = firedrill(folder.path(), &["check"]);
    assert!(code == 0 && !stderr.contains("error"), "{code} {stderr}");
}

#[cfg(not(feature = "rego"))]
#[test]
fn without_the_feature_a_project_that_names_rules_is_refused_with_the_line_that_builds_it() {
    let folder = project("rego: [rules]\n");
    for arguments in [&["check"][..], &["gate"], &["run", "hang-one-replica", "--policy", "restart-crashed-or-hung"]] {
        let (code, _, stderr) = firedrill(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?} {stderr}");
        assert!(stderr.contains("error[FD0393]: this firedrill was built without policy as code"), "{stderr}");
        assert!(stderr.contains("cargo build --release --features rego"), "{stderr}");
    }
}

#[cfg(feature = "rego")]
mod with_rules {
    use super::*;

    fn with(rule: &str) -> tempfile::TempDir {
        let folder = project("rego: [rules]\n");
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/a.rego"), format!("package firedrill\n\n{rule}\n")).unwrap();
        // Tests of rules are not rules.
        fs::write(folder.path().join("rules/a_test.rego"), "package other\n\ntest_it if { this is wrong }\n").unwrap();
        folder
    }

    fn header(journal: &str) -> &str {
        journal.lines().next().unwrap()
    }

    #[test]
    fn what_is_denied_does_not_start_and_the_messages_stand_in_the_journal() {
        let denied = journal(
            with("deny contains sprintf(\"not %s\", [input.action.word]) if input.policy.name == \"restart-crashed-or-hung\"").path(),
        );
        assert_eq!(actions(&denied), 0);
        assert!(denied.contains("denied: not restart"));
        let warned = journal(with("warn contains \"seen\" if true").path());
        assert!(actions(&warned) > 0 && warned.contains("not denied; warned: seen"));
    }

    #[test]
    fn the_same_rules_give_the_same_bytes_and_others_are_another_policy() {
        let rule = "warn contains input.time.rfc3339 if true";
        let [one, two] = [with(rule), with(rule)].map(|folder| journal(folder.path()));
        assert_eq!(one, two);
        let other = journal(with("warn contains \"x\" if input.version == 2").path());
        assert_ne!(header(&one), header(&other));
    }

    #[test]
    fn rules_that_say_nothing_change_nothing_but_that_they_were_asked() {
        let asked = journal(with("deny contains \"x\" if input.version == 2").path());
        let without = journal(project("").path());
        let rest = |journal: &str| {
            let others = journal.lines().skip(1).filter(|line| !line.contains("policy_as_code"));
            others.map(str::to_owned).collect::<Vec<_>>()
        };
        let strip = |lines: Vec<String>| -> Vec<String> {
            lines.iter().map(|line| line.split_once("\"event\"").map_or(line.as_str(), |(_, event)| event).to_owned()).collect()
        };
        assert_eq!(strip(rest(&asked)), strip(rest(&without)));
    }

    #[test]
    fn check_tells_what_is_wrong_with_rules_and_where() {
        let broken = with("deny contains m if {\n\tm := \n}");
        let (code, _, stderr) = firedrill(broken.path(), &["check"]);
        assert_eq!(code, 2);
        assert!(stderr.contains("error[FD0394]") && stderr.contains("rules/a.rego:4"), "{stderr}");
        let near = with("deny contains \"x\" if false\n\ndenies contains \"y\" if true");
        let (_, _, stderr) = firedrill(near.path(), &["check"]);
        assert!(stderr.contains("warning[FD0398]: `denies` is never asked, and nothing here reads it"), "{stderr}");
        assert!(stderr.contains("did you mean `deny`?"), "{stderr}");
        let (code, _, stderr) = firedrill(project("rego: [nowhere]\n").path(), &["check"]);
        assert_eq!(code, 2, "{stderr}");
    }
}
