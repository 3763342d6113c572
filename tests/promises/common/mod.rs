//! What the tests of the command share: running it, reading its JSON, short scenarios, and the command that repeats a failure.

#![allow(clippy::unwrap_used, dead_code, reason = "a test may stop where it is surprised; not every test uses every helper")]

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use rayon::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

/// The kinds of record that rules, routing, policies and guards write; all others are the world's, but the one that ends a run.
pub const DECISIONS: [&str; 28] = [
    "alert_pending",
    "alert_firing",
    "alert_resolved",
    "rule_failed",
    "routed",
    "messaged",
    "withheld",
    "notified",
    "correlated",
    "received",
    "incident_opened",
    "incident_closed",
    "guarded",
    "unguarded",
    "decided",
    "would_act",
    "refused",
    "verified",
    "paged",
    "informed",
    "collected",
    "unanswered",
    "chosen",
    "planned",
    "proposed",
    "answered",
    "proposal_changed",
    "confident",
];

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A copy of the smallest project that the gate can judge: two scenarios, two seeds, one policy.
pub fn release_project() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("tests/projects/release"), folder.path());
    folder
}

/// A copy of one of the projects under tests/projects.
pub fn copied_project(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("tests/projects").join(name), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { fs::copy(entry.path(), &target).map(drop).unwrap() }
    }
}

/// Looks at each of several cases on whichever threads are free; gives what came of each, in order.
///
/// What is wrong is a value until all of them are done, and is told together on the thread of the test: what is told on another thread, such as by an assertion
/// that fails there, goes to whichever test has started that thread, or to nobody.
#[track_caller]
pub fn each<T: Sync, R: Send>(cases: &[T], look: impl Fn(&T) -> Result<R, String> + Sync) -> Vec<R> {
    let found: Vec<Result<R, String>> =
        cases.par_iter().map(|case| catch_unwind(AssertUnwindSafe(|| look(case))).unwrap_or_else(|panic| Err(surprise(&*panic)))).collect();
    let wrong: Vec<&str> = found.iter().filter_map(|own| own.as_ref().err().map(String::as_str)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    found.into_iter().filter_map(Result::ok).collect()
}

/// What somebody said who stopped where they were surprised.
fn surprise(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a word").to_owned()
}

/// That something holds; otherwise what there is to say about it.
pub fn holds(is: bool, told: impl FnOnce() -> String) -> Result<(), String> {
    if is { Ok(()) } else { Err(told()) }
}

/// What a command left behind.
pub struct Done {
    /// The command, as a person would repeat it.
    pub told: String,
    /// Its exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// Runs `firedrill` in a folder as a CI job would: no terminal, no colour, a width that does not vary.
pub fn firedrill<S: AsRef<str>>(folder: &Path, arguments: &[S]) -> Done {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let mut command = Command::cargo_bin("firedrill").unwrap();
    command.current_dir(folder).env("COLUMNS", "110").env_remove("RUST_LOG").env_remove("NO_COLOR").args(&arguments);
    // No test may live on what another one has played: without these nobody says where a cache could be.
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("LOCALAPPDATA");
    let output = command.output().unwrap();
    let told = format!("cd {} && firedrill {}", folder.display(), arguments.join(" "));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{told}: not UTF-8: {error}"));
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    let Some(code) = output.status.code() else { panic!("{told}: ended by a signal\n{stderr}") };
    Done { told, code, stdout, stderr }
}

/// The words of a command line that has no quotes.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

impl Done {
    /// The same if the exit code is that; otherwise everything.
    pub fn exited(self, code: i32) -> Result<Self, String> {
        let Self { told, code: found, stdout, stderr } = &self;
        holds(*found == code, || format!("{told} exits with {found}, and not {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"))?;
        Ok(self)
    }

    /// The same if one of the two streams holds a text; otherwise everything.
    pub fn said(self, text: &str) -> Result<Self, String> {
        let Self { told, stdout, stderr, .. } = &self;
        let is_said = stdout.contains(text) || stderr.contains(text);
        holds(is_said, || format!("{told} does not say `{text}`\n--- stdout\n{stdout}\n--- stderr\n{stderr}"))?;
        Ok(self)
    }

    /// Asserts the exit code, and shows everything if it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        self.exited(code).unwrap_or_else(|told| panic!("{told}"))
    }

    /// Asserts that one of the two streams holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        self.said(text).unwrap_or_else(|told| panic!("{told}"))
    }

    /// What it wrote to stdout, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{}: stdout is no JSON: {error}\n{}", self.told, self.stdout))
    }
}

/// Writes a file of a temporary project, with the folders above it.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// A scenario of the library with other words in the place of some of its own.
#[track_caller]
pub fn edited(name: &str, edits: &[(&str, &str)]) -> String {
    let (_, text) = firedrill_scenarios::library::get(name).unwrap();
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` stands once in the scenario {name}");
        text.replace(from, to)
    })
}

/// A scenario with nobody on call. A person is at work for an hour or more beyond a run's end, which costs several times what all else does; so who asks
/// nothing about people plays none.
pub fn unmanned(scenario: &str) -> String {
    assert!(!scenario.contains("\nhuman:"), "somebody is described");
    format!("{}\nhuman: none\n", scenario.trim_end())
}

/// Every line of a journal after the header, without the record's number, which counts what others write too.
pub fn records(journal: &str) -> Vec<String> {
    journal.lines().skip(1).map(|line| line.split_once(',').unwrap().1.to_owned()).collect()
}

/// The kind of a record, such as `alert_firing`.
pub fn kind(record: &str) -> &str {
    record.split_once("\"event\":{\"").unwrap().1.split_once('"').unwrap().0
}
