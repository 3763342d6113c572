//! The files that this process has read, so that it writes over none of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::failure::Failure;

/// The folder of a project in which its ledger lies.
pub const FOLDER: &str = "ledger";

/// The file of a project.
const PROJECT: &str = "firedrill.yaml";

/// What git is told of that folder: both sides of a fork are kept, and nothing about line ends is changed. A ledger of any name is known by this and the next.
pub const GIT_ATTRIBUTES: &str = "*.jsonl -text merge=union\n";

/// What git is told to leave out: what this machine has seen of each chain, what was cut off, and what a watcher remembers.
pub const GIT_IGNORE: &str = "*.head\n*.torn\n*.state\n";

/// Where they lie in the end, whatever links led there. One for the process: what is read and what is written meet nowhere else.
static READ: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Remembers a file that is read.
pub fn note(path: &Path) {
    if let Ok(real) = path.canonicalize()
        && let Ok(mut read) = READ.lock()
    {
        read.insert(real);
    }
}

/// Whether a file has been read that would be written over by this path.
#[must_use]
pub fn holds(path: &Path) -> bool {
    let is_read = |read: &BTreeSet<PathBuf>, real: &PathBuf| read.contains(real) || read.iter().any(|own| is_same_file(own, real));
    path.canonicalize().is_ok_and(|real| READ.lock().is_ok_and(|read| is_read(&read, &real)))
}

/// Whether two paths are names of one file: hard links.
#[cfg(unix)]
fn is_same_file(left: &Path, right: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    file(left).is_some_and(|left| file(right) == Some(left))
}

/// Whether two paths are names of one file; where they cannot be told apart, only those that are the same are.
#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// Whether a path lies in the folder of a ledger, whatever links lead there: only the ledger itself writes into that.
#[must_use]
pub fn is_of_ledger(path: &Path) -> bool {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // What is not there yet lies where the nearest folder does that is.
    let real = absolute.ancestors().find_map(|above| above.canonicalize().ok());
    let is_ledger = |folder: &Path| {
        let is_named = folder.file_name().is_some_and(|name| name == FOLDER) && folder.with_file_name(PROJECT).is_file();
        // Whoever uses git adds lines of their own, and git may change the line ends.
        let says = |name: &str, words: &str| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            words.lines().all(|line| text.lines().any(|own| own.trim_end() == line))
        };
        let is_told = says(".gitattributes", GIT_ATTRIBUTES) && says(".gitignore", GIT_IGNORE);
        (is_named || is_told) && !is_of_something_else(folder)
    };
    real.is_some_and(|real| real.ancestors().any(is_ledger))
}

/// Whether a folder holds a project of its own, or no chain and what a ledger has not, as a repository does: a service may be called like the folder of a
/// ledger, and a repository may say to git in one place what it says of its ledger.
fn is_of_something_else(folder: &Path) -> bool {
    let all: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let ends = |path: &PathBuf, known: &[&str]| path.is_file() && path.extension().is_some_and(|end| known.iter().any(|own| end == *own));
    let is_git = |path: &PathBuf| path.file_name().is_some_and(|name| name == ".gitattributes" || name == ".gitignore");
    let is_strange = |path: &PathBuf| {
        let is_repository = path.file_name().is_some_and(|name| name == ".git");
        is_repository || (path.is_file() && !is_git(path) && !ends(path, &["head", "torn", "state"]))
    };
    folder.join(PROJECT).is_file() || (!all.iter().any(|path| ends(path, &["jsonl"])) && all.iter().any(is_strange))
}

/// That a path which something is to be written to lies in no ledger. `option` is what the command line calls it.
///
/// # Errors
/// It does.
pub fn outside_of_ledgers(option: &str, path: &Path) -> Result<(), Failure> {
    if is_of_ledger(path) {
        let message = format!("`{option}` would write into the ledger, and decisions and labels are lost that stand there");
        return Err(Failure::argument(message, "name another place: nothing was written"));
    }
    Ok(())
}

/// That a path which something is to be written to is none of the files that were read for it, and lies in no ledger. `option` is what the command line calls
/// it.
///
/// # Errors
/// It is one of them, or does.
pub fn spared(option: &str, path: &Path) -> Result<(), Failure> {
    outside_of_ledgers(option, path)?;
    if holds(path) {
        let message = format!("`{option}` would write over {}, which this command reads", path.display());
        return Err(Failure::argument(message, "name another place: nothing was written"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn nothing_but_the_ledger_is_written_into_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("ledger/inner")).unwrap();
        fs::create_dir_all(at("kept")).unwrap();
        // A folder that is only called so is none.
        assert!(spared("--logs x", &at("ledger/watch.jsonl")).is_ok());
        fs::write(at("firedrill.yaml"), "").unwrap();
        for path in ["ledger/p.jsonl", "ledger/new/deeper", "ledger", "kept/../ledger/p.head"] {
            assert!(spared("--logs x", &at(path)).is_err(), "{path}");
        }
        assert!(spared("--logs x", &at("p.jsonl")).is_ok() && spared("--logs x", &at("kept/p.jsonl")).is_ok());
        // A service may be called so, with a project of its own.
        fs::write(at("ledger/main.rs"), "").unwrap();
        assert!(spared("--out x", &at("ledger/out")).is_ok());
        fs::write(at("ledger/p.jsonl"), "").unwrap();
        assert!(spared("--out x", &at("ledger/out")).is_err(), "here is a chain");
        fs::write(at("ledger/firedrill.yaml"), "").unwrap();
        assert!(spared("--out x", &at("ledger/out")).is_ok());
        fs::remove_file(at("ledger/firedrill.yaml")).unwrap();
        // Wherever it lies, and however one comes there.
        fs::write(at("kept/.gitattributes"), GIT_ATTRIBUTES).unwrap();
        assert!(outside_of_ledgers("--out x", &at("kept/new")).is_ok(), "anybody may say that of a folder");
        fs::write(at("kept/.gitignore"), GIT_IGNORE).unwrap();
        assert!(outside_of_ledgers("--out x", &at("kept/new")).is_err());
        fs::write(at("kept/.gitignore"), format!("*.bak\n{GIT_IGNORE}").replace('\n', "\r\n")).unwrap();
        assert!(outside_of_ledgers("--out x", &at("kept/new")).is_err(), "whatever else it says, and with whatever line ends");
        // A repository that says so of all that is in it is no ledger, and neither is what lies there.
        fs::create_dir(at("kept/.git")).unwrap();
        assert!(outside_of_ledgers("--out x", &at("kept/new")).is_ok());
        fs::write(at("kept/p.jsonl"), "").unwrap();
        assert!(outside_of_ledgers("--out x", &at("kept/new")).is_err(), "here is a chain, in a repository of its own");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("ledger"), at("elsewhere")).unwrap();
            assert!(is_of_ledger(&at("elsewhere/p.jsonl")));
        }
    }

    #[test]
    fn what_was_read_is_known_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        fs::write(at("read"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        note(&at("read"));
        assert!(holds(&at("read")) && holds(&at("inner/../read")));
        assert!(!holds(&at("other")) && !holds(&at("missing")));
        assert!(spared("--out x", &at("read")).is_err() && spared("--out x", &at("other")).is_ok());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("read"), at("link")).unwrap();
            assert!(holds(&at("link")), "written through the link, the file would be gone");
            fs::hard_link(at("read"), at("hard")).unwrap();
            assert!(holds(&at("hard")), "and through another name of it as well");
        }
    }
}
