//! From names on the command line or in the project file to scenarios, rules, policies and incidents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use firedrill_core::problem::Problem;
use firedrill_policies::document::read_policy;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::RuleSet;
use firedrill_scenarios::incident::{self, Files, Incident};
use firedrill_scenarios::{Scenario, read_scenario};

use crate::drill::{Answer, Rules};
use crate::failure::Failure;
use crate::library;
use crate::load::{self, Shelf, Source};
use crate::project::{self, Project};

/// The project file's usual name.
pub const PROJECT_FILE: &str = "firedrill.yaml";

/// The project of this folder, if there is one.
///
/// # Errors
/// It is there and wrong.
pub fn project_here() -> Result<Option<Project>, Failure> {
    if Path::new(PROJECT_FILE).is_file() { project_at(PROJECT_FILE).map(|(project, _)| Some(project)) } else { Ok(None) }
}

/// A project file, and the folder that its paths are relative to.
///
/// # Errors
/// It is not there, or wrong.
pub fn project_at(path: &str) -> Result<(Project, PathBuf), Failure> {
    if !Path::new(path).is_file() {
        return Err(Failure::argument(format!("no project file `{path}` is here"), "run `firedrill init`, or name one with `--project`"));
    }
    let source = load::read_file(Path::new(path))?;
    let folder = Path::new(path).parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    Ok((project::read(&source.path, &source.text)?, folder))
}

/// Scenarios by path, name or family; each once, in the order of their names. Reference scenarios come only by their own name.
///
/// # Errors
/// A name is unknown, or a file is wrong; all problems of all files at once.
pub fn scenarios<S: AsRef<str>>(names: &[S], base: &Path) -> Result<Vec<Arc<Scenario>>, Failure> {
    scenarios_among(&[], names, base)
}

/// The same, where names and families of `own` come before those of the library.
///
/// # Errors
/// As [`scenarios`].
pub fn scenarios_among<S: AsRef<str>>(own: &[Arc<Scenario>], names: &[S], base: &Path) -> Result<Vec<Arc<Scenario>>, Failure> {
    let mut sources: Vec<Source> = Vec::new();
    let mut chosen: Vec<Arc<Scenario>> = Vec::new();
    for name in names {
        let called = |scenario: &&Arc<Scenario>| *scenario.name == *name.as_ref() || *scenario.family == *name.as_ref();
        let found: Vec<_> = own.iter().filter(called).cloned().collect();
        if !found.is_empty() && !base.join(name.as_ref()).exists() {
            // A scenario's own name means it alone, even if its family has the same.
            let exact = found.iter().filter(|scenario| *scenario.name == *name.as_ref()).cloned().collect::<Vec<_>>();
            chosen.extend(if exact.is_empty() { found } else { exact });
            continue;
        }
        let family = library::scenarios_of_family(name.as_ref());
        // A family and its only scenario may share a name; a path that exists wins over both.
        if family.is_empty() || base.join(name.as_ref()).exists() {
            sources.extend(load::find(name.as_ref(), base, &library::scenario_shelf())?);
        } else {
            sources.extend(family);
        }
    }
    let mut read: Vec<Arc<Scenario>> = read_all(&sources, |source| read_scenario(&source.path, &source.text).map(Arc::new))?;
    read.extend(chosen);
    read.sort_by(|left, right| left.name.cmp(&right.name));
    let mut problems = Vec::new();
    read.dedup_by(|later, kept| {
        if later.name == kept.name && later.hash != kept.hash {
            let message = format!("two scenarios are called `{}`", kept.name);
            problems.push(Problem::in_file("FD0602", "the scenarios", message).remedy("give one of them another name"));
        }
        later.name == kept.name
    });
    if problems.is_empty() { Ok(read) } else { Err(Failure::Input(problems)) }
}

/// Rule files by path, folder or name, as one set.
///
/// # Errors
/// A name is unknown, or a file is wrong.
pub fn rules<S: AsRef<str>>(names: &[S], base: &Path) -> Result<Arc<Rules>, Failure> {
    let sources = find_all(names, base, &library::rule_shelf())?;
    let set = RuleSet::read(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    Ok(Arc::new(Rules { set, hash: hash(&sources) }))
}

/// Policies by path, folder or name, as one answer.
///
/// # Errors
/// A name is unknown, or a file is wrong.
pub fn answer<S: AsRef<str>>(names: &[S], base: &Path) -> Result<Arc<Answer>, Failure> {
    let sources = find_all(names, base, &library::policy_shelf())?;
    let mut policies = read_all(&sources, |source| read_policy(&source.path, &source.text).map(|policy| (policy, argument(source))))?;
    policies.sort_by(|left, right| left.0.name.cmp(&right.0.name));
    if let Some(pair) = policies.windows(2).find(|pair| pair[0].0.name == pair[1].0.name) {
        let message = format!("two policies are called `{}`", pair[0].0.name);
        return Err(Failure::argument(message, "give one of them another name"));
    }
    let label = names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let found = policies.iter().map(|(policy, argument)| (policy.name.to_string(), argument.clone())).collect();
    Ok(Arc::new(Answer { policies: policies.into_iter().map(|(policy, _)| policy).collect(), label, sources: found, hash: hash(&sources) }))
}

/// Who acts when `alone` is named beside a project: the project's policies if it names nobody, the same with namesakes replaced if it names
/// one of them, and else those named alone.
#[must_use]
pub fn in_project(whole: Arc<Answer>, alone: Arc<Answer>) -> Arc<Answer> {
    let known = |policy: &Arc<Policy>| whole.policies.iter().any(|other| other.name == policy.name);
    if alone.policies.is_empty() {
        whole
    } else if alone.policies.iter().any(known) {
        with_replaced(&whole, &alone)
    } else {
        alone
    }
}

/// The policies of `whole`, those of `alone` in the places of their namesakes and beside the rest.
fn with_replaced(whole: &Answer, alone: &Answer) -> Arc<Answer> {
    let stays = |name: &str| !alone.policies.iter().any(|policy| &*policy.name == name);
    let mut policies: Vec<_> = whole.policies.iter().filter(|policy| stays(&policy.name)).chain(&alone.policies).cloned().collect();
    policies.sort_by(|left, right| left.name.cmp(&right.name));
    let mut sources: Vec<_> = whole.sources.iter().filter(|(name, _)| stays(name)).chain(&alone.sources).cloned().collect();
    sources.sort();
    let hash = blake3::hash(format!("{} {}", whole.hash, alone.hash).as_bytes()).to_hex().to_string();
    Arc::new(Answer { policies, label: alone.label.clone(), sources, hash })
}

/// What finds a source again: its path if it is a file here, else its name in the library.
fn argument(source: &Source) -> String {
    let name = Path::new(&source.path).file_stem().map_or_else(|| source.path.clone(), |stem| stem.to_string_lossy().into_owned());
    if Path::new(&source.path).is_file() { source.path.clone() } else { name }
}

/// The texts of rule files by path, folder or name.
///
/// # Errors
/// A name is unknown, or a file cannot be read.
pub fn rule_texts<S: AsRef<str>>(names: &[S], base: &Path) -> Result<Vec<Source>, Failure> {
    find_all(names, base, &library::rule_shelf())
}

/// An incident folder, by path or name, with the way to its files.
///
/// # Errors
/// It is not there, or wrong.
pub fn incident(name: &str, base: &Path) -> Result<(Incident, IncidentFiles), Failure> {
    let path = base.join(name);
    let files = if path.is_file() {
        IncidentFiles::Folder(path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned))
    } else if path.is_dir() {
        IncidentFiles::Folder(path)
    } else if let Some(embedded) = library::incident(name) {
        IncidentFiles::Embedded(embedded)
    } else {
        return Err(load::unknown(name, &library::incident_shelf()));
    };
    let shown = files.shown();
    Ok((incident::read_incident(&shown, &files)?, files))
}

/// Every incident folder that a project names: the folder itself, or those in it.
///
/// # Errors
/// A folder cannot be read, or holds none.
pub fn incident_folders<S: AsRef<str>>(names: &[S], base: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for name in names {
        let path = base.join(name.as_ref());
        if !path.is_dir() || path.join(incident::FILE_NAME).is_file() {
            found.push(path_or_name(&path, name.as_ref()));
            continue;
        }
        let entries = std::fs::read_dir(&path).with_context(|| format!("cannot read the folder {}", path.display()))?;
        let mut inner: Vec<String> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.join(incident::FILE_NAME).is_file())
            .map(|path| shown(&path))
            .collect();
        if inner.is_empty() {
            return Err(Failure::argument(
                format!("the folder {} holds no incident", path.display()),
                "an incident is a folder with an incident.yaml",
            ));
        }
        inner.sort();
        found.extend(inner);
    }
    Ok(found)
}

fn path_or_name(path: &Path, name: &str) -> String {
    if path.exists() { shown(path) } else { name.to_owned() }
}

fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

/// Where an incident's files lie.
#[derive(Clone, Debug)]
pub enum IncidentFiles {
    /// In a folder.
    Folder(PathBuf),
    /// In the binary.
    Embedded(&'static library::EmbeddedIncident),
}

impl IncidentFiles {
    /// What a path within the incident is relative to.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Embedded(_) => PathBuf::from("."),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => shown(&folder.join(incident::FILE_NAME)),
            Self::Embedded(embedded) => format!("incidents/{}/{}", embedded.name, incident::FILE_NAME),
        }
    }
}

impl Files for IncidentFiles {
    fn read(&self, path: &str) -> Result<String, String> {
        match self {
            Self::Folder(folder) => std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string()),
            Self::Embedded(embedded) => {
                let found = embedded.files.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
            }
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Folder(base) => list_below(&base.join(folder)).map_err(|error| error.to_string()),
            Self::Embedded(embedded) => Ok(embedded.files.iter().map(|(name, _)| (*name).to_owned()).collect()),
        }
    }
}

/// Every file below a folder, as paths relative to it with `/` between their parts, sorted.
fn list_below(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = waiting.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                waiting.push((entry.path(), format!("{name}/")));
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn find_all<S: AsRef<str>>(names: &[S], base: &Path, shelf: &Shelf<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        match load::find(name.as_ref(), base, shelf) {
            Ok(found) => sources.extend(found),
            Err(Failure::Input(found)) => problems.extend(found),
            Err(other) => return Err(other),
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources.dedup();
    if problems.is_empty() { Ok(sources) } else { Err(Failure::Input(problems)) }
}

fn read_all<T>(sources: &[Source], read: impl Fn(&Source) -> Result<T, Vec<Problem>>) -> Result<Vec<T>, Failure> {
    let mut things = Vec::new();
    let mut problems = Vec::new();
    for source in sources {
        match read(source) {
            Ok(thing) => things.push(thing),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(things) } else { Err(Failure::Input(problems)) }
}

/// BLAKE3 of the texts, their paths left out: moving a file changes nothing.
fn hash(sources: &[Source]) -> String {
    let mut hasher = blake3::Hasher::new();
    for source in sources {
        hasher.update(&(source.text.len() as u64).to_le_bytes());
        hasher.update(source.text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
