//! The program `git`, asked so that neither its surroundings nor what a change brings along decides what it answers, and so that nothing of either is run.
//!
//! Only objects and names are asked for (`rev-parse`, `ls-tree`, `cat-file`, `ls-files`, `merge-base`): no filter, hook or attribute has a part in that.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use firedrill_core::problem::Problem;

use super::tree::path_of;
use crate::failure::Failure;
use crate::load;

/// What overrules every configuration that git reads.
const SETTINGS: [&str; 3] = [
    // A folder that looks like a repository and has no `.git` above it is a part of the working tree.
    "safe.bareRepository=explicit",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
];

/// A file that holds nothing.
const NOTHING: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// Where git finds its own configuration, which somebody else may write if that lies in the working tree.
const HOMES: [&str; 3] = ["HOME", "XDG_CONFIG_HOME", "USERPROFILE"];

/// A repository that has a working tree.
#[derive(Debug)]
pub(super) struct Repository {
    /// The top of the working tree, which holds its `.git`.
    pub top: PathBuf,
}

/// The nearest folder, from this one up, that has a `.git`. Only that makes a repository: a change can commit whatever else git would take for one, but
/// git never tracks anything of this name.
pub(super) fn top_above(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|above| fs::symlink_metadata(above.join(".git")).is_ok())
}

/// What a path in an index or in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    /// Another repository: a submodule.
    Module,
}

/// A path in an index or in a tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    /// The object that it holds, hexadecimal.
    pub id: String,
    /// From the top on, `/` between its parts.
    pub name: Vec<u8>,
}

impl Repository {
    /// The one around a folder, which is given without links.
    ///
    /// # Errors
    /// There is none; or git takes another one for it.
    pub fn around(folder: &Path) -> Result<Self, Failure> {
        let none = |why: &str| {
            let message = format!("a baseline `git:…` needs a git repository around {}: {why}", folder.display());
            let remedy = "run it in a clone, or name policies: `--baseline FILE`";
            Failure::from(vec![Problem::in_file("FD0611", "the command line", message).remedy(remedy)])
        };
        let top = top_above(folder).ok_or_else(|| none("neither it nor a folder above it has a `.git`"))?;
        let repository = Self { top: top.to_owned() };
        let mut told = Vec::new();
        for asked in ["--show-toplevel", "--absolute-git-dir"] {
            let said = repository.ask(&["rev-parse", asked])?;
            if !said.status.success() {
                let why = String::from_utf8_lossy(&said.stderr).lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
                return Err(none(&why));
            }
            told.push(load::real(&path_of(said.stdout.trim_ascii_end())));
        }
        if told[0] == top && Some(&told[1]) == meant(top).as_ref() {
            return Ok(repository);
        }
        let message = format!(
            "git takes {} with the records in {} for the repository of {}, which has a `.git` of its own",
            told[0].display(),
            told[1].display(),
            top.display()
        );
        let remedy = "take `core.worktree` out of the configuration of git, or run it in a clone";
        Err(vec![Problem::in_file("FD0626", "the command line", message).remedy(remedy)].into())
    }

    /// The nearest repository above this one; `None` if there is none.
    pub fn outer(&self) -> Option<Self> {
        top_above(self.top.parent()?).map(|top| Self { top: top.to_owned() })
    }

    /// Runs `git` to its end.
    ///
    /// # Errors
    /// It cannot be run; what it says is for the caller to judge.
    pub fn ask<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Failure> {
        self.command().args(arguments).output().map_err(|error| no_git(&error))
    }

    /// All that the index holds, or what it holds at a path and below.
    pub fn tracked(&self, below: Option<&Path>) -> Result<Vec<Entry>, String> {
        let mut command = self.command();
        command.args(["ls-files", "--stage", "--full-name", "-z", "--"]).args(below);
        listed(&mut command)
    }

    /// All that a commit holds, or what it holds at a path and below, in the order of names.
    pub fn held(&self, commit: &str, below: Option<&Path>) -> Result<Vec<Entry>, String> {
        let mut command = self.command();
        command.args(["ls-tree", "-r", "--full-tree", "-z", commit, "--"]).args(below);
        listed(&mut command)
    }

    /// Hands out what files and links hold, in the order in which their objects are named.
    pub fn contents(&self, ids: &[&str], mut take: impl FnMut(usize, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = self.command();
        command.args(["cat-file", "--batch", "--buffer"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let done = thread::scope(|scope| {
            // Whoever ends early is noticed where it is read.
            scope.spawn(move || {
                let mut input = BufWriter::new(input);
                let _ = ids.iter().try_for_each(|id| writeln!(input, "{id}"));
            });
            let mut output = BufReader::new(output);
            for (position, id) in ids.iter().enumerate() {
                let size = size(&mut output, id)?;
                let mut content = output.by_ref().take(size);
                take(position, &mut content)?;
                io::copy(&mut content, &mut io::sink())?;
                output.read_exact(&mut [0])?;
            }
            Ok(())
        });
        child.wait()?;
        done
    }

    /// `git` in this repository, which asks nobody, locks nothing, and obeys no variable but those that are set here.
    fn command(&self) -> Command {
        let mut command = Command::new("git");
        let is_for_git = |name: &OsStr| name.to_string_lossy().to_ascii_uppercase().starts_with("GIT_");
        for (name, _) in env::vars_os().filter(|(name, _)| is_for_git(name)) {
            command.env_remove(name);
        }
        for home in HOMES.iter().filter(|home| env::var_os(home).is_some_and(|home| load::real(Path::new(&home)).starts_with(&self.top))) {
            command.env_remove(home).env("GIT_CONFIG_GLOBAL", NOTHING);
        }
        command.args(["--no-pager", "--no-replace-objects", "--literal-pathspecs"]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // No commit has other parents than its own.
        command.arg("-C").arg(&self.top).env("GIT_GRAFT_FILE", format!("{NOTHING}/none"));
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
        command
    }
}

/// The records that a `.git` is or names.
fn meant(top: &Path) -> Option<PathBuf> {
    let own = top.join(".git");
    if own.is_dir() {
        return Some(load::real(&own));
    }
    let text = fs::read(&own).ok()?;
    Some(load::real(&top.join(path_of(text.strip_prefix(b"gitdir: ")?.trim_ascii_end()))))
}

/// How many bytes follow, as `git cat-file --batch` says before each object.
fn size(output: &mut impl BufRead, id: &str) -> io::Result<u64> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [_, "blob", size] => size.parse().map_err(io::Error::other),
        [_, "missing"] => Err(io::Error::other(format!("the object {id} is missing"))),
        _ => Err(io::Error::other(format!("of the object {id} it says `{}`", line.trim_end()))),
    }
}

/// What `git` lists: each a mode, for trees a type, the object, for an index a number, a tab and the name.
fn listed(command: &mut Command) -> Result<Vec<Entry>, String> {
    let said = command.output().map_err(|error| load::reason(&error))?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).trim().to_owned());
    }
    let entry = |line: &[u8]| {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let words: Vec<&str> = str::from_utf8(&line[..tab]).ok()?.split(' ').collect();
        let kind = match *words.first()? {
            "120000" => Kind::Link,
            "160000" => Kind::Module,
            _ => Kind::File,
        };
        let id = words.iter().skip(1).find(|word| word.len() >= 40)?;
        Some(Entry { kind, id: (*id).to_owned(), name: line[tab + 1..].to_vec() })
    };
    let all: Option<Vec<Entry>> = said.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()).map(entry).collect();
    all.ok_or_else(|| "what it lists cannot be read".to_owned())
}

fn no_git(error: &io::Error) -> Failure {
    let message = format!("the program `git` cannot be run: {}", load::reason(error));
    let remedy = "install git, or name policies instead: `--baseline FILE`";
    vec![Problem::in_file("FD0610", "the command line", message).remedy(remedy)].into()
}
