//! A repository as it was at a revision, put into a folder that vanishes, so that what reads files reads that too.
//!
//! The program `git` is asked for objects, and what they hold is written byte by byte: nothing that a change brings along, such as attributes and filters,
//! has a part in it, and nothing of the repository, of its index or of its working tree is touched (decisions/judge.md).

mod git;
mod named;
mod tree;

use std::env;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context;
use firedrill_core::problem::Problem;
use firedrill_core::yaml::{self, Value};
use regex::bytes::Regex;
use tempfile::TempDir;

use self::git::{Kind, Repository};
use self::tree::{Called, Tree, inside, last, name_of, path_of};
use crate::failure::Failure;
use crate::load;

/// What an argument begins with that names a revision, such as `git:origin/main`.
const PREFIX: &str = "git:";

/// How a project file says that it is one; others may quote it.
static SAYS_PROJECT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"["']?schema["']?[[:space:]]*:[[:space:]]*["']?project/"#).expect("a pattern of ours"));

/// A revision, checked out.
#[derive(Debug)]
pub struct Revision {
    /// As it was asked for, such as `origin/main`.
    name: String,
    /// The commit that it is.
    commit: String,
    repository: Repository,
    /// All that the commit holds.
    tree: Tree,
    /// The top of the checkout, below a folder that vanishes with this.
    root: PathBuf,
    /// Where other repositories lie in it (submodules), in the checkout: what is in them is not of this revision.
    modules: Vec<PathBuf>,
    _folder: TempDir,
}

/// The top of the working tree that a folder lies in; `None` if it lies in none.
#[must_use]
pub fn top_above(folder: &Path) -> Option<PathBuf> {
    git::top_above(&load::real(folder)).map(Path::to_owned)
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
    /// There is no `git`, no repository, or no such revision in it; the folder lies in another repository than the one whose change is judged; or what the
    /// revision holds leads out of the repository.
    pub fn check_out(name: &str, beside: &Path) -> Result<Self, Failure> {
        // A project in this folder has an empty one.
        let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        let real = load::real(beside);
        let repository = Repository::around(&real)?;
        is_not_inside_another(&repository, name)?;
        no_link_leads_into(&repository, beside, &real)?;
        let commit = named::commit_of(name, &repository)?;
        let folder = TempDir::with_prefix("firedrill-").context("cannot make a folder for the revision")?;
        let root = load::real(folder.path()).join("tree");
        fs::create_dir(&root).context("cannot make a folder for the revision")?;
        let inner = real.strip_prefix(&repository.top).unwrap_or(Path::new("")).to_owned();
        let mut revision =
            Self { name: name.to_owned(), commit, repository, tree: Tree::default(), root, modules: Vec::new(), _folder: folder };
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

    /// The project of a file, or of a folder in which it has its `usual` name, as it was; `None` if there was none. It is what had this name then: where a
    /// link of this name leads now says nothing about that.
    ///
    /// # Errors
    /// It lies outside of the repository.
    pub fn project(&self, path: &str, usual: &str) -> Result<Option<PathBuf>, Failure> {
        let place = self.root.join(self.asked_for(path)?);
        let file = if place.is_dir() { place.join(usual) } else { place };
        Ok(file.is_file().then_some(file))
    }

    /// A path from the top on, as it is asked for.
    fn asked_for(&self, path: &str) -> Result<PathBuf, Failure> {
        let inner = || Some(self.place_of(Path::new(path))?.strip_prefix(&self.root).ok()?.to_owned());
        self.as_written(Path::new(path)).or_else(inner).ok_or_else(|| {
            let message = format!("the project {path} lies outside of the repository {}", self.repository.top.display());
            Failure::argument(message, "name a project in it with `--project`")
        })
    }

    /// A path from the top of the working tree as it is written, whatever links lie on its way; `None` if it goes up, or comes in from elsewhere.
    fn as_written(&self, path: &Path) -> Option<PathBuf> {
        // A dot says nothing, and is gone with this.
        let whole: PathBuf = here()?.join(path).components().collect();
        if whole.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        // A link in the repository may lead to its top.
        let above = whole.ancestors().filter(|above| load::real(above) == self.repository.top).last()?;
        Some(whole.strip_prefix(above).ok()?.to_owned())
    }

    /// The projects that the revision had and that are not where they were, from the top on, sorted: those with this file's name or the usual one, and every
    /// other that says that it is one. A project is where it was if its name finds a file and no link on its way is new.
    ///
    /// # Errors
    /// `git` cannot say what the revision holds.
    pub fn projects_gone(&self, path: &str, usual: &str) -> Result<Vec<String>, Failure> {
        let asked = name_of(&self.asked_for(path)?);
        let mut gone: Vec<Vec<u8>> =
            self.tree.called(&[last(&asked), usual.as_bytes()]).into_iter().filter(|own| !self.is_there(own)).map(|own| own.name).collect();
        let is_gone = |name: &[u8]| !self.is_there(&Called { name: name.to_vec(), file: name.to_vec() });
        let others = self.tree.holding(&self.repository, is_gone, is_project).map_err(|error| self.unread(&error))?;
        gone.extend(others.into_iter().map(<[u8]>::to_vec));
        gone.sort();
        gone.dedup();
        Ok(gone.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// The projects that the revision had under names that lead to another one now, the one that is asked for: whoever works in a folder that became a link
    /// is at what it leads to, and does not see it.
    ///
    /// # Errors
    /// The project lies outside of the repository.
    pub fn projects_led_here(&self, path: &str, usual: &str) -> Result<Vec<String>, Failure> {
        let mut asked = self.asked_for(path)?;
        if self.root.join(&asked).is_dir() {
            asked.push(usual);
        }
        let asked = name_of(&asked);
        let (then, now) = (self.tree.followed(&asked), self.today(&asked));
        let leads_here =
            |own: &Called| own.name != asked && Some(&own.file) != then.as_ref() && now.is_some() && self.today(&own.name) == now;
        let found = self.tree.called(&[last(&asked)]).into_iter().filter(leads_here);
        Ok(found.map(|own| String::from_utf8_lossy(&own.name).into_owned()).collect())
    }

    /// The other repository (a submodule) that the revision had at a path, or above it; `None` if there was none.
    #[must_use]
    pub fn module_above(&self, path: &str) -> Option<String> {
        let asked = name_of(&self.asked_for(path).ok()?);
        let found = self.tree.modules().find(|module| *module == asked || inside(&asked, module).is_some())?;
        Some(String::from_utf8_lossy(found).into_owned())
    }

    /// What a name leads to in the working tree; `None` if that is nothing.
    fn today(&self, name: &[u8]) -> Option<PathBuf> {
        self.repository.top.join(path_of(name)).canonicalize().ok()
    }

    /// Whether a name finds the file in the working tree that it found at the revision.
    fn is_there(&self, own: &Called) -> bool {
        self.today(&own.name).is_some_and(|place| place == self.repository.top.join(path_of(&own.file)) && place.is_file())
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
        Some(self.root.join(there.strip_prefix(&self.repository.top).ok()?))
    }

    /// Where a path of the checkout lies in the working tree, from this folder on if it is below; `None` for any other path.
    #[must_use]
    pub fn known_as(&self, path: &Path) -> Option<String> {
        let there = self.repository.top.join(path.strip_prefix(&self.root).ok()?);
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
        let asked = self.repository.ask(&["merge-base", "--is-ancestor", &self.commit, "HEAD"]).ok()?;
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
        self.tree = Tree::of(&self.repository, &self.commit).map_err(|error| self.unread(&error))?;
        self.modules = self.tree.modules().map(|module| self.root.join(path_of(module))).collect();
        let folder = if inner.as_os_str().is_empty() { Vec::new() } else { [&name_of(inner)[..], b"/"].concat() };
        let write = |folder: &[u8], done| self.tree.write(&self.repository, &self.root, folder, done).map_err(|error| self.unread(&error));
        write(&folder, None)?;
        if !folder.is_empty() && (self.tree.leads_out_of(&folder) || leads_elsewhere(&self.root)?) {
            write(b"", Some(&folder))?;
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

    /// That git does not give out what the revision holds.
    fn unread(&self, error: &io::Error) -> Failure {
        let message = format!("git could not check out `{}`: {error}", self.name);
        vec![Problem::in_file("FD0615", &self.argument(), message).remedy("see whether `git checkout` of it works")].into()
    }
}

/// Whether what a file holds is a project.
fn is_project(bytes: &[u8]) -> bool {
    let node = str::from_utf8(bytes).ok().filter(|_| SAYS_PROJECT.is_match(bytes)).and_then(|text| yaml::parse("", text).ok());
    let Some(Value::Map(entries)) = node.map(|node| node.value) else { return false };
    entries.iter().any(|(key, value)| &*key.text == "schema" && matches!(&value.value, Value::Text(text) if text.starts_with("project/")))
}

/// The folder in which the command is given, by the name that the shell has for it: the one of a link, where somebody came over that.
fn here() -> Option<PathBuf> {
    let own = env::current_dir().ok()?;
    let told = env::var_os("PWD").map(PathBuf::from).filter(|told| told.is_absolute() && load::real(told) == load::real(&own));
    Some(told.unwrap_or(own))
}

/// A repository that a change put into the place of what it changes would be its own judge: a submodule, or one that a step of the workflow fetched there.
fn is_not_inside_another(own: &Repository, name: &str) -> Result<(), Failure> {
    let Some(outer) = own.outer() else { return Ok(()) };
    let inner = own.top.strip_prefix(&outer.top).unwrap_or(&own.top);
    let then = named::commit(name, &outer)?.map_or(Ok(Vec::new()), |commit| outer.held(&commit, Some(inner)));
    let held = outer.tracked(Some(inner)).and_then(|now| Ok(!now.is_empty() || !then?.is_empty()));
    let why = match held {
        Ok(false) => return Ok(()),
        Ok(true) => "which tracks what lies there (a git submodule, or files of its own)".to_owned(),
        Err(why) => format!("and whether that tracks what lies there cannot be told: {why}"),
    };
    let message = format!("{} is a repository inside of {}, {why}", inner.display(), outer.top.display());
    let remedy = "what judges a change must be in the repository of the change; run the gate of another repository in a clone of its own";
    Err(vec![Problem::in_file("FD0627", "the command line", message).remedy(remedy)].into())
}

/// A link that a change commits can lead anywhere: to the judge of a repository that somebody else fetched.
fn no_link_leads_into(own: &Repository, beside: &Path, real: &Path) -> Result<(), Failure> {
    let mut links = Vec::new();
    for path in here().unwrap_or_default().join(beside).ancestors().filter(|path| path.is_symlink()) {
        let (Some(folder), Some(name)) = (path.parent().map(load::real), path.file_name()) else { continue };
        let Some(top) = git::top_above(&folder).filter(|top| *top != own.top) else { continue };
        let link = folder.join(name);
        let inner = link.strip_prefix(top).unwrap_or(&link).to_owned();
        links.push((Repository { top: top.to_owned() }, Some(inner)));
    }
    links.extend(own.outer().map(|outer| (outer, None)));
    for (repository, below) in links {
        let tracked = repository.tracked(below.as_deref()).unwrap_or_default();
        let leads_here = |name: &Path| below.is_some() || real.starts_with(load::real(&repository.top.join(name)));
        let found = tracked.iter().filter(|entry| entry.kind == Kind::Link).map(|entry| path_of(&entry.name)).find(|name| leads_here(name));
        if let Some(link) = found {
            let (link, outer, top) = (link.display(), repository.top.display(), own.top.display());
            let message = format!("the link {link} of the repository {outer} leads to another repository, {top}");
            let remedy = "what judges a change must be in the repository of the change: put the files there";
            return Err(vec![Problem::in_file("FD0628", "the command line", message).remedy(remedy)].into());
        }
    }
    Ok(())
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
