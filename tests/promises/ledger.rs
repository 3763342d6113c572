//! `firedrill audit` names what became of a ledger: which entry is altered, missing, out of order, forked or unsigned.

use std::fs;
use std::path::Path;

use crate::common::firedrill;
use firedrill::ledger::{Entry, Ledger, What};
use firedrill_core::name::Name;
use tempfile::TempDir;

/// A project without anything but a chain of so many entries.
fn project(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("firedrill.yaml"), "schema: project/1\n").unwrap();
    append(folder.path(), &(0..count).map(|index| index.to_string()).collect::<Vec<_>>());
    folder
}

fn append<S: AsRef<str>>(folder: &Path, words: &[S]) {
    let (mut ledger, _) = Ledger::open(&folder.join("ledger"), &Name::new("restart")).unwrap();
    let entry = |word: &S| {
        let what = What::Violation { what: format!("right {}", word.as_ref()) };
        Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".to_owned(), what }
    };
    ledger.append(words.iter().map(entry).collect()).unwrap();
}

fn lines(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("ledger/restart.jsonl")).unwrap().lines().map(str::to_owned).collect()
}

fn rewrite(folder: &Path, lines: &[String]) {
    fs::write(folder.join("ledger/restart.jsonl"), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

/// The lines that audit marks, after something was done to a chain of four entries.
fn findings(change: impl Fn(&mut Vec<String>)) -> Vec<String> {
    let folder = project(4);
    let mut all = lines(folder.path());
    change(&mut all);
    rewrite(folder.path(), &all);
    let done = firedrill(folder.path(), &["audit"]).exits(1);
    let told = done.stdout.lines().filter_map(|line| line.trim().strip_prefix("✗ "));
    // Each with its code, its file and its remedy.
    assert_eq!(done.stdout.matches("ledger/restart.jsonl)\n    → ").count(), done.stdout.matches("✗ ").count(), "{}", done.stdout);
    told.map(|line| line.split(" [FD08").next().unwrap().to_owned()).collect()
}

#[test]
fn a_sound_chain_is_verified_and_says_that_nobody_signed() {
    let folder = project(3);
    let done = firedrill(folder.path(), &["audit"]).exits(0);
    let head = lines(folder.path())[2].rsplit("\"hash\":\"").next().unwrap().trim_end_matches("\"}").to_owned();
    assert_eq!(
        done.stdout,
        format!(
            "restart: 3 entries (3 violations)\n  ✓ verified: nothing is altered, missing or out of order\n  · 3 entries not signed: who wrote them is unverified\n  · the last is entry 3 {head}\n"
        )
    );
    firedrill(folder.path(), &["audit", "--contains", &head]).exits(0);
    firedrill(folder.path(), &["audit", "--contains", &head[..19]]).exits(0);
    firedrill(folder.path(), &["audit", "--contains", "blake3:0123456789ab"]).exits(1);
    for short in ["", "blake3:", &head[..18], "no hash of any kind"] {
        firedrill(folder.path(), &["audit", "--contains", short]).exits(2).says("is neither a hash nor the first 12 digits of one");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(firedrill(empty.path(), &["audit"]).exits(0).stdout.starts_with("the ledger is empty"));
    assert!(!empty.path().join("ledger").exists());
}

#[test]
fn whatever_becomes_of_a_chain_is_named() {
    assert_eq!(findings(|all| all[1] = all[1].replace("right", "wrong")), ["entry 2 (line 2) was altered after it was written"]);
    let dropped = findings(|all| _ = all.remove(1));
    assert!(dropped.len() == 1 && dropped[0].starts_with("entry 2 (blake3:") && dropped[0].ends_with("line 2 follows it"), "{dropped:?}");
    assert_eq!(findings(|all| all.swap(1, 2)), ["entry 3 (line 2) stands before the one that it follows"]);
    assert_eq!(findings(|all| all.push(all[3].clone())), ["entry 4 stands in line 5 again"]);
    let cut = findings(|all| _ = all.pop());
    assert!(cut.len() == 1 && cut[0].starts_with("entry 4 (blake3:") && cut[0].ends_with("the end of the file is gone"), "{cut:?}");
    assert_eq!(findings(|all| all.insert(2, "=======".to_owned())), ["line 3 is a conflict marker of git"]);
    let changed = findings(|all| all.iter_mut().for_each(|line| line.push('\r')));
    assert!(changed.len() >= 4 && changed[0].contains("its line ends with CR LF"), "{changed:?}");
}

#[test]
fn a_chain_that_is_gone_as_a_whole_is_named() {
    let folder = project(3);
    fs::remove_file(folder.path().join("ledger/restart.jsonl")).unwrap();
    let done = firedrill(folder.path(), &["audit"]).exits(1);
    assert!(done.stdout.contains("✗ entry 3 (blake3:") && done.stdout.contains("[FD0808]"), "{}", done.stdout);
    // What a crash has left of a note says nothing.
    fs::write(folder.path().join("ledger/restart.head"), "3").unwrap();
    firedrill(folder.path(), &["audit"]).exits(0);
}

#[test]
fn a_last_entry_that_lacks_nothing_but_its_newline_is_whole() {
    let folder = project(3);
    let path = folder.path().join("ledger/restart.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.trim_end()).unwrap();
    let done = firedrill(folder.path(), &["audit"]).exits(0);
    assert!(done.stdout.starts_with("restart: 3 entries") && done.stdout.contains("✓ verified"), "{}", done.stdout);
    append(folder.path(), &["more"]);
    assert_eq!(lines(folder.path()).len(), 4);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_nobody_waits_for_it() {
    let folder = project(1);
    let path = folder.path().join("ledger/other.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    firedrill(folder.path(), &["audit"]).exits(2).says("ledger/other.jsonl: it is no file");
}

#[test]
fn two_branches_that_git_merges_are_told_and_become_one() {
    let folder = project(2);
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(folder.path()).args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]);
        let done = command.args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "common"]);
    git(&["checkout", "--quiet", "-b", "branch"]);
    append(folder.path(), &["a", "b"]);
    git(&["commit", "--quiet", "--all", "--message", "branch"]);
    git(&["checkout", "--quiet", "main"]);
    // What this machine has seen is on the other branch; it is told, and whoever means to go on from here says so.
    firedrill(folder.path(), &["audit"]).exits(1);
    fs::remove_file(folder.path().join("ledger/restart.head")).unwrap();
    append(folder.path(), &["c"]);
    git(&["commit", "--quiet", "--all", "--message", "main"]);
    git(&["merge", "--quiet", "--no-edit", "branch"]);
    let done = firedrill(folder.path(), &["audit"]).exits(0);
    assert!(
        done.stdout.contains("· forked: lines 3 and 4 both follow entry 2")
            || done.stdout.contains("· forked: lines 3 and 5 both follow entry 2"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("2 branches are open; the next entry joins them"));
    append(folder.path(), &["d"]);
    let done = firedrill(folder.path(), &["audit"]).exits(0);
    assert!(done.stdout.starts_with("restart: 7 entries (1 merge, 6 violations)"), "{}", done.stdout);
    assert!(!done.stdout.contains("are open"), "{}", done.stdout);
}

#[test]
fn an_entry_is_shown_and_explained() {
    let folder = project(2);
    let shown = firedrill(folder.path(), &["audit", "restart", "--show", "2"]).exits(0).stdout;
    assert_eq!(shown.trim_end(), lines(folder.path())[1], "byte for byte, so that anybody can check its hash");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["n"], &shown["by"], &shown["what"]["violation"]["what"]), (&2.into(), &"ada".into(), &"right 1".into()));
    let explained = firedrill(folder.path(), &["audit", "restart", "--explain", "2"]).exits(0).stdout;
    assert!(explained.starts_with("entry 2 of restart, line 2\n  violation at 2026-01-05T00:00:00Z, by ada; not signed"), "{explained}");
    assert!(explained.contains("it follows entry 1 (blake3:"), "{explained}");
    let none = firedrill(folder.path(), &["audit", "restart", "--show", "3"]).exits(2);
    assert!(none.stderr.contains("restart has no entry 3: they count from 1 to 2"), "{}", none.stderr);
    assert!(firedrill(folder.path(), &["audit", "other"]).exits(2).stderr.contains("the ledger holds nothing of `other`"));
}

#[test]
fn programs_read_the_same() {
    let folder = project(2);
    let mut all = lines(folder.path());
    all[0] = all[0].replace("ada", "eve");
    rewrite(folder.path(), &all);
    let done = firedrill(folder.path(), &["audit", "--format", "json"]).exits(1);
    let read: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(read["schema"], "firedrill.audit/1");
    let chain = &read["chains"][0];
    assert_eq!((&chain["chain"], &chain["verified"], &chain["entries"]), (&"restart".into(), &false.into(), &1.into()));
    assert_eq!((&chain["findings"][0]["kind"], &chain["findings"][0]["code"]), (&"altered".into(), &"FD0800".into()));
}
