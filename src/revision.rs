//! A repository as it was at a revision, put into a folder that vanishes, so that what reads files reads that too.
//!
//! The program `git` does the work, since what it checks out is what people get who check it out: line ends, filters and all. Its index is another
//! one for this (`GIT_INDEX_FILE`), so that nothing of the repository, of its index or of its working tree is touched.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context;
use firedrill_core::problem::Problem;
use tempfile::TempDir;

use crate::failure::Failure;
use crate::load;

/// What an argument begins with that names a revision, such as `git:origin/main`.
const PREFIX: &str = "git:";

/// The lines that a workflow needs for history to be there.
const WHOLE_HISTORY: &str =
    "let the workflow fetch all of it: under `- uses: actions/checkout@v4` write `with:` and below it `fetch-depth: 0`";

/// A revision, checked out.
#[derive(Debug)]
pub struct Revision {
    /// As it was asked for, such as `origin/main`.
    name: String,
    /// The commit that it is.
    commit: String,
    /// The top of the working tree.
    top: PathBuf,
    /// The top of the checkout, below a folder that vanishes with this.
    root: PathBuf,
    /// Where other repositories lie in it (submodules), in the checkout: what is in them is not of this revision.
    modules: Vec<PathBuf>,
    folder: TempDir,
}

/// The revision that an argument names; `None` if it names something else.
#[must_use]
pub fn asked(argument: &str) -> Option<&str> {
    argument.strip_prefix(PREFIX)
}

impl Revision {
    /// Checks out what a folder held at a revision, and all of the repository if something there may lead elsewhere.
    ///
    /// # Errors
    /// There is no `git`, no repository, or no such revision in it; or what it holds leads out of the repository.
    pub fn check_out(name: &str, beside: &Path) -> Result<Self, Failure> {
        // A project in this folder has an empty one.
        let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        let real = load::real(beside);
        let top = top_of(&real)?;
        let commit = commit_of(name, &top)?;
        let folder = TempDir::with_prefix("firedrill-").context("cannot make a folder for the revision")?;
        let root = load::real(folder.path()).join("tree");
        fs::create_dir(&root).context("cannot make a folder for the revision")?;
        let mut revision = Self { name: name.to_owned(), commit, top, root, modules: Vec::new(), folder };
        let inner = real.strip_prefix(&revision.top).unwrap_or(Path::new("")).to_owned();
        // Where a link leads today need not be where it led.
        let is_linked = revision.as_written(beside).is_none_or(|named| named != inner);
        revision.fill(if is_linked { Path::new("") } else { &inner })?;
        Ok(revision)
    }

    /// Checks out what an argument such as `git:origin/main` names.
    ///
    /// # Errors
    /// It names no revision; or as [`Self::check_out`].
    pub fn named(argument: &str, beside: &Path) -> Result<Self, Failure> {
        let name =
            asked(argument).ok_or_else(|| Failure::argument(format!("`{argument}` names no revision"), "write it as `git:origin/main`"))?;
        Self::check_out(name, beside)
    }

    /// The project of a file, or of a folder, as it was; `None` if there was none. It is what had this name then: where a link of this name leads now
    /// says nothing about that.
    ///
    /// # Errors
    /// It lies outside of the repository.
    pub fn project(&self, path: &str) -> Result<Option<PathBuf>, Failure> {
        let named = self.as_written(Path::new(path)).map(|named| self.root.join(named));
        let place = named.or_else(|| self.place_of(Path::new(path))).ok_or_else(|| {
            let message = format!("the project {path} lies outside of the repository {}", self.top.display());
            Failure::argument(message, "name a project in it with `--project`")
        })?;
        Ok(place.exists().then_some(place))
    }

    /// A path from the top of the working tree as it is written, whatever links lie on its way; `None` if it goes up, or comes in from elsewhere.
    fn as_written(&self, path: &Path) -> Option<PathBuf> {
        // A dot says nothing, and `absolute` takes it away.
        let whole = std::path::absolute(path).ok()?;
        if whole.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let above = whole.ancestors().find(|above| load::real(above) == self.top)?;
        Some(whole.strip_prefix(above).ok()?.to_owned())
    }

    /// The project files that the revision had and that are no files here any more, from the top on, sorted: those with this usual name, and every other
    /// that says that it is one.
    ///
    /// # Errors
    /// `git` cannot say what the revision holds.
    pub fn projects_gone(&self, usual: &str) -> Result<Vec<String>, Failure> {
        let files = self.run(&["ls-files", "-z"], &[])?.stdout;
        let is_usual = |name: &String| Path::new(name).file_name().is_some_and(|own| own == usual);
        let mut found: Vec<String> = zeroed(&files).filter(is_usual).collect();
        let pattern = "^[\"']?schema[\"']?[[:space:]]*:[[:space:]]*[\"']?project/";
        let mut command = git(&self.top);
        command.args(["grep", "--cached", "-l", "-z", "-I", "-E", pattern, "--", "*.yaml", "*.yml"]);
        let said = command.env("GIT_INDEX_FILE", self.folder.path().join("index")).output().map_err(|error| no_git(&error))?;
        // Nothing found is a failure to `git grep`, and nothing to us.
        found.extend(zeroed(&said.stdout));
        found.sort();
        found.dedup();
        found.retain(|name| !fs::symlink_metadata(self.top.join(name)).is_ok_and(|there| there.is_file()));
        Ok(found)
    }

    /// The other repository that a path in a file of the checkout leads into or holds, in words that people know; `None` if there is none.
    #[must_use]
    pub fn module_at(&self, base: &Path, path: &str) -> Option<String> {
        let mut there = PathBuf::new();
        for part in base.join(path).components() {
            match part {
                Component::ParentDir => drop(there.pop()),
                Component::CurDir => {}
                part => there.push(part),
            }
        }
        let found = self.modules.iter().find(|module| module.starts_with(&there) || there.starts_with(module))?;
        Some(self.worded(&found.display().to_string()))
    }

    /// As it is asked for: `git:origin/main`.
    #[must_use]
    pub fn argument(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// As it is told: its name, and the commit that it is.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} ({})", self.name, self.commit.get(..12).unwrap_or(&self.commit))
    }

    /// Where a path of the working tree lies in the checkout, whether anything is there or not; `None` for a path outside of the repository.
    #[must_use]
    pub fn place_of(&self, path: &Path) -> Option<PathBuf> {
        let mut there = std::path::absolute(path).ok()?;
        let mut gone = Vec::new();
        // What was deleted since lies where it lay.
        while !there.exists() {
            gone.push(there.file_name()?.to_owned());
            there.pop();
        }
        let there = gone.iter().rev().fold(load::real(&there), |path, part| path.join(part));
        Some(self.root.join(there.strip_prefix(&self.top).ok()?))
    }

    /// Where a path of the checkout lies in the working tree, from this folder on if it is below; `None` for any other path.
    #[must_use]
    pub fn known_as(&self, path: &Path) -> Option<String> {
        let there = self.top.join(path.strip_prefix(&self.root).ok()?);
        let here = std::env::current_dir().map(|folder| load::real(&folder)).ok();
        let shown = here.as_ref().and_then(|here| there.strip_prefix(here).ok()).unwrap_or(&there);
        Some(shown.display().to_string())
    }

    /// That a path in a file of the checkout stays in the repository; `base` is what it is relative to.
    #[must_use]
    pub fn holds(&self, base: &Path, path: &str) -> bool {
        let joined = base.join(path);
        let Ok(inner) = joined.strip_prefix(&self.root) else { return false };
        let mut depth = 0_i32;
        inner.components().all(|component| {
            depth += match component {
                Component::ParentDir => -1,
                Component::Normal(_) => 1,
                _ => 0,
            };
            depth >= 0
        })
    }

    /// Whether what is checked out in the working tree was built on it; `None` if that cannot be told.
    #[must_use]
    pub fn is_in_history(&self) -> Option<bool> {
        let asked = git(&self.top).args(["merge-base", "--is-ancestor", &self.commit, "HEAD"]).output().ok()?;
        match asked.status.code() {
            Some(0) => Some(true),
            Some(1) => Some(false),
            _ => None,
        }
    }

    /// Words about files of the checkout as people know them: `main:rules/web.yaml`.
    #[must_use]
    pub fn worded(&self, text: &str) -> String {
        let root = self.root.display().to_string();
        text.replace(&format!("{root}/"), &format!("{}:", self.name)).replace(&root, &format!("{}:", self.name))
    }

    /// What is wrong with files of the checkout, in words that people know.
    #[must_use]
    pub fn reworded(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Input(problems) => {
                Failure::Input(problems.into_iter().map(|problem| problem.reworded(|text| self.worded(text))).collect())
            }
            Failure::Machine(error) => Failure::Machine(anyhow::anyhow!(self.worded(&format!("{error:#}")))),
        }
    }

    /// Checks out what lies in a folder of the repository.
    fn fill(&mut self, inner: &Path) -> Result<(), Failure> {
        self.run(&["read-tree", &self.commit], &[])?;
        let files = self.run(&["ls-files", "-z"], &[])?.stdout;
        let staged = self.run(&["ls-files", "--stage", "-z"], &[])?.stdout;
        self.modules =
            zeroed(&staged).filter_map(|entry| Some(self.root.join(entry.strip_prefix("160000 ")?.split_once('\t')?.1))).collect();
        // Names are bytes, and a folder's files begin with its name.
        let prefix = if inner.as_os_str().is_empty() { Vec::new() } else { format!("{}/", slashed(inner)).into_bytes() };
        let below: Vec<u8> = files.split_inclusive(|byte| *byte == 0).filter(|name| name.starts_with(&prefix)).flatten().copied().collect();
        let into = format!("--prefix={}/", self.root.display());
        self.run(&["checkout-index", "--force", "--quiet", &into, "-z", "--stdin"], &below)?;
        if !prefix.is_empty() && leads_elsewhere(&self.root)? {
            self.run(&["checkout-index", "--force", "--quiet", &into, "-z", "--stdin"], &files)?;
        }
        self.without_links_outside(&self.root.join(inner))
    }

    /// A link that leads out of the checkout leads to files of today, or of anybody.
    fn without_links_outside(&self, own: &Path) -> Result<(), Failure> {
        for path in links_below(&self.root).context("cannot read the revision's folder")? {
            let leads = path.canonicalize();
            if leads.as_ref().is_ok_and(|target| target.starts_with(&self.root)) || leads.is_err() && !path.exists() {
                continue;
            }
            if path.starts_with(own) {
                let shown = self.worded(&path.display().to_string());
                let problem = Problem::in_file("FD0613", &shown, format!("the link {shown} leads out of the repository"));
                return Err(vec![problem.remedy("what judges a change must be in the repository: put the files there")].into());
            }
            fs::remove_file(&path).context("cannot remove a link of the revision")?;
        }
        Ok(())
    }

    /// Runs `git` on an index of its own.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Output, Failure> {
        let mut command = git(&self.top);
        command.env("GIT_INDEX_FILE", self.folder.path().join("index")).args(arguments);
        let done = fed(&mut command, input).map_err(|error| no_git(&error))?;
        if done.status.success() {
            return Ok(done);
        }
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        let message = format!("git could not check out `{}`: {said}", self.name);
        Err(vec![Problem::in_file("FD0615", &self.argument(), message).remedy("see whether `git checkout` of it works")].into())
    }
}

/// `git` in a folder, which asks nobody and locks nothing.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    command
}

/// Runs a command to its end and gives it something to read.
fn fed(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever ends early says why on its way.
        match stdin.write_all(input) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output()
}

fn no_git(error: &io::Error) -> Failure {
    let message = format!("the program `git` cannot be run: {}", load::reason(error));
    let remedy = "install git, or name policies instead: `--baseline FILE`";
    vec![Problem::in_file("FD0610", "the command line", message).remedy(remedy)].into()
}

/// The top of the working tree that a folder lies in.
fn top_of(folder: &Path) -> Result<PathBuf, Failure> {
    let asked = git(folder).args(["rev-parse", "--show-toplevel"]).output().map_err(|error| no_git(&error))?;
    let said = String::from_utf8_lossy(&asked.stdout).trim_end_matches(['\n', '\r']).to_owned();
    if asked.status.success() && !said.is_empty() {
        return Ok(load::real(Path::new(&said)));
    }
    let why = String::from_utf8_lossy(&asked.stderr).lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
    let message = format!("a baseline `git:…` needs a git repository around {}: {why}", folder.display());
    Err(vec![Problem::in_file("FD0611", "the command line", message).remedy("run it in a clone, or name policies: `--baseline FILE`")]
        .into())
}

/// The commit that a revision is.
fn commit_of(name: &str, top: &Path) -> Result<String, Failure> {
    let asked = |arguments: &[&str]| git(top).args(arguments).output().map_err(|error| no_git(&error));
    if let Some(problem) = ambiguous(name, top)? {
        return Err(vec![problem].into());
    }
    let wanted = format!("{name}^{{commit}}");
    let found = asked(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
    let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    if found.status.success() && !commit.is_empty() && !name.is_empty() {
        return Ok(commit);
    }
    let is_shallow = String::from_utf8_lossy(&asked(&["rev-parse", "--is-shallow-repository"])?.stdout).trim() == "true";
    let (why, remedy) = match is_shallow {
        true => (", which is a shallow clone", WHOLE_HISTORY.to_owned()),
        false => ("", "`git branch --all` and `git tag` show what there is; `git fetch` brings what a remote has".to_owned()),
    };
    let message = format!("there is no revision `{name}` in this repository{why}");
    Err(vec![Problem::in_file("FD0612", &format!("{PREFIX}{name}"), message).remedy(remedy)].into())
}

/// That several things have a name and are not the same: `git` would take the tag before the branch, and whoever may push a tag would choose the judge.
fn ambiguous(name: &str, top: &Path) -> Result<Option<Problem>, Failure> {
    // What stands behind a name says how far from it, as in `main~2`.
    let bare = name.split(['~', '^', '@', ':']).next().unwrap_or(name);
    let mut found: Vec<(String, String)> = Vec::new();
    for place in ["refs/tags/", "refs/heads/", "refs/remotes/", "refs/"] {
        let full = format!("{place}{bare}");
        let asked = git(top).args(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{full}^{{commit}}")]).output();
        let asked = asked.map_err(|error| no_git(&error))?;
        let commit = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        if asked.status.success() && !bare.is_empty() && !found.iter().any(|(_, known)| *known == commit) {
            found.push((full, commit));
        }
    }
    let [(first, _), .., (last, _)] = found.as_slice() else { return Ok(None) };
    let named: Vec<&str> = found.iter().map(|(full, _)| full.as_str()).collect();
    let message = format!("`{bare}` is several things that are not the same here: {}", named.join(", "));
    let remedy = format!("name the one that judges in full, such as `{PREFIX}{last}`; {first} may have been made to be taken for it");
    Ok(Some(Problem::in_file("FD0625", &format!("{PREFIX}{name}"), message).remedy(remedy)))
}

/// What git tells with a zero behind each.
fn zeroed(told: &[u8]) -> impl Iterator<Item = String> {
    told.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned())
}

/// A path with `/` between its parts, as git writes it.
fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Whether a file below may name another one outside of its folder: only `..` leads there.
fn leads_elsewhere(folder: &Path) -> Result<bool, Failure> {
    let files = load::yaml_files(folder)?;
    let leads = |path: &PathBuf| load::bytes(path).is_ok_and(|text| text.windows(2).any(|pair| pair == b".."));
    Ok(files.iter().any(leads))
}

/// Every link below a folder.
fn links_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_symlink() {
                found.push(path);
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(found)
}
