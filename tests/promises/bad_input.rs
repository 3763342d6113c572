//! Wrong files, each with the exact words that its owner gets: `name.yaml` beside `name.stderr`, an incident's in its folder.
//!
//! `UPDATE_GOLDEN=1 cargo test --test promises bad_input` writes the words anew; read the diff.
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-input")
}

/// Every file to check, relative to the folder, sorted.
fn cases(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries
        .map(|path| if path.is_dir() { path.join("incident.yaml") } else { path })
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "test"))
        .map(|path| path.strip_prefix(folder()).unwrap().to_owned())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "{kind} holds no case");
    cases
}

/// What `firedrill check FILE`, or `firedrill test --promql FILE`, says; it must exit with 2, call nothing sound that is not, and leave the folder as it was.
#[track_caller]
fn words(case: &Path) -> String {
    let command: &[&str] = if case.starts_with("scripts") { &["test", "--promql"] } else { &["check"] };
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(folder()).args(command).arg(case).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let repeat = format!("repeat with: cd tests/bad-input && firedrill {} {}", command.join(" "), case.display());
    assert_eq!(output.status.code(), Some(2), "{repeat}\n{stderr}");
    // Of a whole project, what is sound is told beside.
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.is_empty() || case.starts_with("project") && stdout.contains("not all sound"), "{repeat}\n{stdout}");
    stderr
}

#[track_caller]
fn check(kind: &str) {
    for case in cases(kind) {
        let said = words(&case);
        let beside = folder().join(&case).with_extension("stderr");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&beside, &said).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(said, expected, "{}: UPDATE_GOLDEN=1 cargo test --test promises bad_input, then read the diff", case.display());
        assert!(said.contains("error[FD"), "{}: no code", case.display());
    }
}

#[test]
fn wrong_policies_get_their_words() {
    check("policies");
}

#[test]
fn wrong_rule_files_get_their_words() {
    check("rules");
}

#[test]
fn wrong_alertmanager_configurations_get_their_words() {
    check("alertmanager");
}

#[test]
fn wrong_promql_scripts_get_their_words() {
    check("scripts");
}

#[test]
fn wrong_incidents_get_their_words() {
    check("incidents");
}

#[test]
fn wrong_project_files_get_their_words() {
    check("project");
}

/// Commands that are wrong by more than one file: `name.line` holds what stands behind `firedrill`, in the project of that folder.
#[test]
fn wrong_commands_get_their_words() {
    let folder = folder().join("commands");
    let lines =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|own| own == "line"));
    let mut lines: Vec<PathBuf> = lines.collect();
    lines.sort();
    assert!(lines.len() > 10);
    for path in lines {
        let line = fs::read_to_string(&path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        let output = command.current_dir(&folder).env("COLUMNS", "110").args(line.split_whitespace()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "cd tests/bad-input/commands && firedrill {line}\n{said}");
        assert!(output.stdout.is_empty(), "firedrill {line}");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path.with_extension("stderr"), &said).unwrap();
        }
        let expected = fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        assert_eq!(said, expected, "{}: UPDATE_GOLDEN=1 cargo test --test promises bad_input, then read the diff", path.display());
        assert!(said.contains("error[FD"), "{}: no code", path.display());
    }
}

#[test]
fn wrong_scenarios_end_with_exit_code_2_and_without_a_panic() {
    for case in cases("scenarios") {
        let said = words(&case);
        assert!(said.contains("nothing was written") && !said.contains("bug in itself"), "{}:\n{said}", case.display());
    }
}

#[test]
fn text_that_is_no_utf_8_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latin.yaml"), b"schema: policy/1\npolicy: caf\xe9\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(folder.path()).args(["check", "latin.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("latin.yaml is not UTF-8 text"));
}
