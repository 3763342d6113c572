//! A new project, as somebody meets it who has never seen one: its first gate, its first mistake, its workflow; and the shell that knows the words.

use std::fs;
use std::path::Path;

use crate::common::{firedrill, words, write};
use firedrill_core::yaml::{self, Node, Value};

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &["init"]).exits(0);
    folder
}

const POLICY: &str = "policies/rollback-on-regression.yaml";

/// The project's policy with other steps.
fn with_steps(folder: &Path, steps: &str) {
    let text = fs::read_to_string(folder.join(POLICY)).unwrap();
    let (before, rest) = text.split_once("steps:\n").unwrap();
    let (_, after) = rest.split_once("escalate_after:").unwrap();
    write(folder, POLICY, &format!("{before}steps:\n{steps}escalate_after:{after}"));
}

#[test]
fn the_first_gate_holds_and_its_report_is_small() {
    let folder = project();
    firedrill(folder.path(), &words("gate --jobs 2")).exits(0).says("held: every threshold holds in every class");
    let written: u64 = ["gate.html", "gate.json", "gate.md"]
        .iter()
        .map(|name| fs::metadata(folder.path().join("firedrill-out").join(name)).unwrap().len())
        .sum();
    assert!(written <= 5_000_000, "the report has {written} bytes");
}

#[test]
fn a_policy_that_restarts_everything_and_never_looks_is_refused_in_words() {
    let folder = project();
    with_steps(folder.path(), "  - restart: { mode: at_once }\n    on_failure: escalate\n");
    let done = firedrill(folder.path(), &words("gate --pairs 2")).exits(1);
    let harm = done
        .stdout
        .lines()
        .find(|line| line.starts_with("✗ bad-deploy: harm max < 1 user-min"))
        .unwrap_or_else(|| panic!("{}", done.stdout));
    assert!(harm.contains("found "), "{harm}");
    done.says("· harm is user-minutes lost with the policy that doing nothing would not have lost")
        .says("  repeat: firedrill run bad-deploy");
}

#[test]
fn what_was_written_is_told_to_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), ".gitignore", "target\n");
    let told = firedrill(folder.path(), &words("init --format json")).exits(0).json();
    assert_eq!(told["schema"], "firedrill.init/1");
    assert_eq!(told["left"], serde_json::json!([".gitignore"]));
    for path in told["written"].as_array().unwrap() {
        assert!(folder.path().join(path.as_str().unwrap()).is_file(), "{path}");
    }
}

#[test]
fn one_action_in_many_runs_that_the_platform_does_not_carry_out_breaks_no_new_project() {
    let folder = project();
    // On this seed the rollback is not carried out, and somebody has to be called.
    let done = firedrill(folder.path(), &words("run bad-deploy --project firedrill.yaml --seed 273")).exits(0);
    assert!(done.stdout.contains("the platform did not carry it out") && done.stdout.contains("calls oncall"), "{}", done.stdout);
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    assert!(text.contains("pages: p99 == 0"), "{text}");
}

#[test]
fn what_a_folder_has_already_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "README.md", "# Shop\n");
    write(folder.path(), ".gitignore", "target\n");
    let done = firedrill(folder.path(), &["init"]).exits(0).says("left as it was: README.md");
    assert!(done.stdout.contains("left as it was: .gitignore; add the line `/firedrill-out/`"), "{}", done.stdout);
    assert_eq!(fs::read_to_string(folder.path().join("README.md")).unwrap(), "# Shop\n");
    assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "target\n");
    let other = project();
    let readme = fs::read_to_string(other.path().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 10, "ten lines are enough");
    for path in readme.split('`').skip(1).step_by(2).filter(|code| code.contains('/') && !code.contains("-out")) {
        assert!(other.path().join(path).exists(), "the README names {path}");
    }
    for line in readme.split('`').filter_map(|code| code.strip_prefix("firedrill ")) {
        firedrill(other.path(), &words(line)).exits(0);
    }
    let ignored = fs::read_to_string(other.path().join(".gitignore")).unwrap();
    assert!(other.path().join("firedrill-out").is_dir() && ignored.contains("/firedrill-out/"), "what a gate writes is ignored");
}

/// A value of a workflow by its path.
fn at<'n>(node: &'n Node, path: &str) -> &'n Node {
    path.split('.').fold(node, |node, part| match &node.value {
        Value::Map(entries) => &entries.iter().find(|(key, _)| &*key.text == part).unwrap_or_else(|| panic!("no {part}")).1,
        Value::List(items) => &items[part.parse::<usize>().unwrap()],
        _ => panic!("{part} of a scalar"),
    })
}

fn text(node: &Node) -> Option<&str> {
    if let Value::Text(text) = &node.value { Some(text) } else { None }
}

/// Runs a line of a workflow as its runner does, with the command in its path.
#[track_caller]
fn shell(folder: &Path, line: &str, base: &str) {
    let binary = Path::new(env!("CARGO_BIN_EXE_firedrill")).parent().unwrap().to_owned();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binary).chain(std::env::split_paths(&paths))).unwrap();
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-e", "-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("BASE", base)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{who}_NAME"), "Somebody").env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
    }
    let output = shell.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{told}");
}

#[test]
fn the_workflow_may_only_read_runs_nothing_unpinned_and_its_commands_work() {
    let folder = project();
    let source = fs::read_to_string(folder.path().join(".github/workflows/firedrill.yml")).unwrap();
    let workflow = yaml::parse("firedrill.yml", &source).unwrap();
    let Value::Map(permissions) = &at(&workflow, "permissions").value else { panic!("no permissions") };
    let granted: Vec<_> = permissions.iter().map(|(key, node)| (key.text.as_str(), text(node).unwrap())).collect();
    assert_eq!(granted, [("contents", "read")]);
    let Value::List(steps) = &at(&workflow, "jobs.gate.steps").value else { panic!("no steps") };
    let field = |step: &Node, key: &str| {
        let Value::Map(entries) = &step.value else { panic!("a step is a map") };
        entries.iter().find(|(known, _)| &*known.text == key).and_then(|(_, node)| text(node).map(str::to_owned))
    };
    let pinned = regex::Regex::new("^actions/[a-z-]+@[0-9a-f]{40}$").unwrap();
    let used: Vec<String> = steps.iter().filter_map(|step| field(step, "uses")).collect();
    assert!(used.iter().all(|used| pinned.is_match(used)) && used.len() == 3, "{used:?}");
    for line in source.lines().filter(|line| line.contains("uses: ")) {
        assert!(line.contains(" # v"), "a pin says which version it is: {line}");
    }
    assert!(matches!(at(&steps[0], "with.fetch-depth").value, Value::Integer(0)));
    assert!(matches!(at(&steps[0], "with.persist-credentials").value, Value::Bool(false)));
    // A script gets what it needs by its environment: what is put into its text could be code.
    let runs: Vec<String> = steps.iter().filter_map(|step| field(step, "run")).collect();
    assert!(runs.iter().all(|run| !run.contains("${{")), "{runs:?}");
    let gates: Vec<&String> = runs.iter().filter(|run| run.starts_with("firedrill gate")).collect();
    assert_eq!(gates.len(), 1);
    // On a push there is no branch that it is merged into.
    shell(folder.path(), gates[0], "");
    for line in ["git init -q -b main", "git add .", "git commit -qm first", "git update-ref refs/remotes/origin/main HEAD"] {
        shell(folder.path(), line, "");
    }
    shell(folder.path(), gates[0], "main");
    let summary = folder.path().join("firedrill-out/gate.md");
    assert!(runs.iter().any(|run| run.contains("firedrill-out/gate.md")) && summary.is_file());
}

#[test]
fn a_folder_that_is_named_by_a_way_over_one_that_is_not_there_has_its_workflow_in_itself() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("repository");
    fs::create_dir_all(folder.join(".git")).unwrap();
    firedrill(&folder, &["init", "new/../ops"]).exits(0);
    assert!(folder.join("ops/.github/workflows/firedrill.yml").is_file());
    assert!(!outer.path().join(".github").exists(), "nothing is written outside of the repository");
}

/// GitHub reads workflows at the top of a repository, and nowhere else.
#[test]
fn in_a_folder_of_a_repository_the_workflow_is_written_to_its_top_and_gates_that_folder() {
    let folder = tempfile::tempdir().unwrap();
    shell(folder.path(), "git init -q -b main", "");
    let done = firedrill(folder.path(), &["init", "teams/the shop"]).exits(0).says("  ../../.github/workflows/firedrill.yml");
    done.says("the workflow is at the top of the repository, where GitHub reads it: firedrill gate --project 'teams/the shop'");
    let inner = folder.path().join("teams/the shop");
    assert!(!inner.join(".github").exists());
    let readme = fs::read_to_string(inner.join("README.md")).unwrap();
    assert!(readme.contains("`../../.github/workflows/firedrill.yml`"), "{readme}");
    let source = fs::read_to_string(folder.path().join(".github/workflows/firedrill.yml")).unwrap();
    let workflow = yaml::parse("firedrill.yml", &source).unwrap();
    let Value::List(steps) = &at(&workflow, "jobs.gate.steps").value else { panic!("no steps") };
    let is_gate = |step: &&Node| matches!(&step.value, Value::Map(entries) if entries.iter().any(|(key, node)| &*key.text == "run" && text(node).is_some_and(|run| run.starts_with("firedrill gate"))));
    let step = steps.iter().find(is_gate).unwrap();
    assert_eq!(text(at(step, "env.PROJECT")), Some("teams/the shop"));
    let run = format!("export PROJECT='teams/the shop'; {}", text(at(step, "run")).unwrap());
    shell(folder.path(), &run, "");
    for line in ["git add .", "git commit -qm first", "git update-ref refs/remotes/origin/main HEAD"] {
        shell(folder.path(), line, "");
    }
    shell(folder.path(), &run, "main");
    assert!(folder.path().join("firedrill-out/gate.md").is_file(), "where the workflow looks for it");
    // Another project of the repository leaves it as it is, and says what is missing in it.
    let second = firedrill(folder.path(), &["init", "second"]).exits(0);
    second
        .says("left as it was: ../.github/workflows/firedrill.yml; for this project, add a step to it:")
        .says("      - run: firedrill gate --project \"$PROJECT\" ${BASE:+--baseline \"git:origin/$BASE\"} --out \"firedrill-out/$PROJECT\"\n")
        .says("          BASE: ${{ github.base_ref }}\n          PROJECT: \"second\"\n")
        .says("next: cd second && firedrill gate");
    assert_eq!(fs::read_to_string(folder.path().join(".github/workflows/firedrill.yml")).unwrap(), source);
    let told = firedrill(folder.path(), &words("init third --format json")).exits(0).json();
    assert_eq!(told["left"], serde_json::json!(["../.github/workflows/firedrill.yml"]));
    // Nothing is written where it could not be written whole.
    let other = tempfile::tempdir().unwrap();
    shell(other.path(), "git init -q -b main; touch .github", "");
    firedrill(other.path(), &["init", "ops"]).exits(2).says("exists already: ").says("/.github");
    assert!(!other.path().join("ops").exists());
    // At the top it is a part of the project, as ever.
    firedrill(folder.path(), &["init"]).exits(2).says("exists already: .github/workflows/firedrill.yml");
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = firedrill(folder.path(), &["completions", shell]).exits(0);
        assert_eq!(done.stderr, "");
        for word in ["gate", "explain", "completions", "--candidate", "dry-run"] {
            assert!(done.stdout.contains(word.trim_start_matches('-')), "{shell} does not know {word}");
        }
    }
    firedrill(folder.path(), &["completions", "csh"]).exits(2).says("[possible values: bash, elvish, fish, powershell, zsh]");
}
