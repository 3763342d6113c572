//! From names on the command line or in the project file to scenarios, rules, policies and incidents.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem};
use firedrill_core::time::Start;
use firedrill_core::yaml::{self, Node, Value};
use firedrill_policies::alertmanager::{read_config, read_silences};
use firedrill_policies::code;
use firedrill_policies::guard::switch::Halt;
use firedrill_policies::lints;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::RuleSet;
use firedrill_policies::shared::{KillSwitch, Shared};
use firedrill_scenarios::Scenario;
use firedrill_scenarios::incident::{self, Files, Incident};
use firedrill_scenarios::library as scenario_library;

use crate::drill::{Answer, Routing, Rules, Silences};
use crate::failure::Failure;
use crate::kind::{self, Kind};
use crate::library;
use crate::load::{self, Shelf, Source};
use crate::project::{self, Project};

/// The project file's usual name.
pub const PROJECT_FILE: &str = "firedrill.yaml";

/// A name or path that something is asked for by: an argument of the command line, or an entry of a file.
pub trait Asked {
    /// As it was written.
    fn name(&self) -> &str;

    /// Where it stands; `None` for an argument.
    fn place(&self) -> Option<&Place> {
        None
    }
}

impl Asked for &str {
    fn name(&self) -> &str {
        self
    }
}

impl Asked for String {
    fn name(&self) -> &str {
        self
    }
}

impl Asked for Located<Name> {
    fn name(&self) -> &str {
        &self.value
    }

    fn place(&self) -> Option<&Place> {
        Some(&self.place)
    }
}

impl<S: Asked + ?Sized> Asked for &S {
    fn name(&self) -> &str {
        (*self).name()
    }

    fn place(&self) -> Option<&Place> {
        (*self).place()
    }
}

/// What a path is relative to: an entry of a file to that file's folder if something is there, and else, as every argument, to `base`. The library's files
/// have no folder.
fn base_of<S: Asked>(asked: &S, base: &Path) -> PathBuf {
    let file = asked.place().map(Place::file).filter(|file| !scenario_library::holds(&file.path, &file.text));
    let beside = file.and_then(|file| Path::new(&file.path).parent());
    beside.filter(|folder| folder.join(asked.name()).exists()).unwrap_or(base).to_owned()
}

/// A project file, or the one of a folder, and the folder that its paths are relative to.
///
/// # Errors
/// It is not there, or wrong.
pub fn project_at(path: &str) -> Result<(Project, PathBuf), Failure> {
    let file = if Path::new(path).is_dir() { Path::new(path).join(PROJECT_FILE) } else { PathBuf::from(path) };
    if !file.is_file() {
        let message = format!("no project file `{}` is here", file.display());
        return Err(Failure::argument(message, "run `firedrill init`, or name one with `--project`"));
    }
    let source = load::read_file(&file)?;
    kind::expect(&source, Kind::Project).map_err(|problem| vec![problem])?;
    let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    Ok((project::read(&source.path, &source.text)?, folder))
}

/// Scenarios by path, name or family; each once, in the order of their names. Reference scenarios come only by their own name.
///
/// # Errors
/// A name is unknown, or a file is wrong; all problems of all files at once.
pub fn scenarios<S: Asked>(names: &[S], base: &Path) -> Result<Vec<Arc<Scenario>>, Failure> {
    scenarios_among(&[], names, base)
}

/// The same, where names and families of `own` come before those of the library.
///
/// # Errors
/// As [`scenarios`].
pub fn scenarios_among<S: Asked>(own: &[Arc<Scenario>], names: &[S], base: &Path) -> Result<Vec<Arc<Scenario>>, Failure> {
    let mut sources: Vec<Source> = Vec::new();
    let mut chosen: Vec<(Arc<Scenario>, String)> = Vec::new();
    let shelf = library::scenario_shelf();
    for asked in names {
        let name = asked.name();
        // A path that exists wins over every name.
        if base.join(name).exists() {
            sources.extend(load::find(name, base, &shelf)?);
            continue;
        }
        let found = called(own, name);
        if !found.is_empty() {
            chosen.extend(found.into_iter().map(|scenario| (scenario, "the project's scenarios".to_owned())));
            continue;
        }
        let family = library::scenarios_of_family(name);
        // A family and its only scenario may share a name.
        if family.is_empty() {
            let own: Vec<&str> = own.iter().map(|scenario| &*scenario.name).collect();
            sources.push(shelved(asked, Kind::Scenario, &own, &shelf)?);
        } else {
            sources.extend(family);
        }
    }
    let read = |source: &Source| load::read_scenario(source).map(|scenario| (Arc::new(scenario), source.path.clone()));
    let mut all = read_all(&sources, Kind::Scenario, read)?;
    all.extend(chosen);
    each_once(all)
}

/// The scenarios with a name, else those of the family with that name.
fn called(own: &[Arc<Scenario>], name: &str) -> Vec<Arc<Scenario>> {
    let named = |wanted: fn(&Scenario) -> &str| own.iter().filter(|scenario| wanted(scenario) == name).cloned().collect::<Vec<_>>();
    let exact = named(|scenario| &scenario.name);
    if exact.is_empty() { named(|scenario| &scenario.family) } else { exact }
}

/// Scenarios in the order of their names, each once.
fn each_once(mut all: Vec<(Arc<Scenario>, String)>) -> Result<Vec<Arc<Scenario>>, Failure> {
    all.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
    let mut problems = Vec::new();
    all.dedup_by(|(later, path), (kept, other)| {
        if later.name == kept.name && later.hash != kept.hash {
            let message = format!("two scenarios are called `{}`: the other stands in {other}", kept.name);
            problems.push(Problem::in_file("FD0602", path, message).remedy("give one of them another name"));
        }
        later.name == kept.name
    });
    if problems.is_empty() { Ok(all.into_iter().map(|(scenario, _)| scenario).collect()) } else { Err(Failure::Input(problems)) }
}

/// The library's text with a name.
fn shelved<S: Asked>(asked: &S, wanted: Kind, own: &[&str], shelf: &Shelf<'_>) -> Result<Source, Failure> {
    let (path, text) = (shelf.get)(asked.name()).ok_or_else(|| placed(unknown(asked.name(), wanted, own, shelf), asked))?;
    Ok(Source { path, text })
}

/// What is wrong with an argument, told where it stands if it is an entry of a file.
fn placed<S: Asked>(failure: Failure, asked: &S) -> Failure {
    let (Some(place), Failure::Input(problems)) = (asked.place(), &failure) else { return failure };
    let at = |problem: &Problem| {
        let told = Problem::at("FD0605", place, problem.message.clone());
        problem.remedy.iter().fold(told, |told, remedy| told.remedy(remedy.clone()))
    };
    Failure::Input(problems.iter().map(at).collect())
}

/// The failure that says that a name is not the wanted kind's: it is another thing's name, or like one of `own` or of the library, or unknown.
#[must_use]
pub fn unknown(name: &str, wanted: Kind, own: &[&str], shelf: &Shelf<'_>) -> Failure {
    let others = [
        (Kind::Scenario, library::scenario_shelf()),
        (Kind::Policy, library::policy_shelf()),
        (Kind::Rules, library::rule_shelf()),
        (Kind::Incident, library::incident_shelf()),
    ];
    let mut others = others.iter().filter(|(kind, shelf)| *kind != wanted && shelf.names.contains(&name));
    if let Some((found, _)) = others.next() {
        return Failure::argument(format!("`{name}` is {}, not {}", found.word(), wanted.word()), found.place(name));
    }
    let names = own.iter().chain(&shelf.names).copied().collect();
    load::unknown(name, &Shelf { what: shelf.what, names, get: shelf.get })
}

/// Rule files by path, folder or name, as one set.
///
/// # Errors
/// A name is unknown, or a file is wrong.
pub fn rules<S: Asked>(names: &[S], base: &Path) -> Result<Arc<Rules>, Failure> {
    let sources = rule_texts(names, base)?;
    let set = RuleSet::read(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    Ok(Arc::new(Rules { set, hash: hash(&sources), routing: None }))
}

/// An Alertmanager configuration by path.
///
/// # Errors
/// It is not there, or wrong.
pub fn routing<S: Asked>(asked: &S, base: &Path) -> Result<Arc<Routing>, Failure> {
    let path = base_of(asked, base).join(asked.name());
    if !path.is_file() {
        let message = format!("no Alertmanager configuration is at `{}`", shown(&path));
        return Err(placed(
            Failure::argument(message, "name an `alertmanager.yml`, relative to the file that names it or to the project"),
            asked,
        ));
    }
    let source = load::read_file(&path)?;
    kind::expect(&source, Kind::Alertmanager).map_err(|problem| vec![problem])?;
    let config = Arc::new(read_config(&source.path, &source.text)?);
    Ok(Arc::new(Routing { config, source, silences: None }))
}

/// Silences by path, as they are in a run that begins at `start`.
///
/// # Errors
/// They are not there, or wrong.
pub fn silences<S: Asked>(asked: &S, base: &Path, start: Start) -> Result<Silences, Failure> {
    let path = base_of(asked, base).join(asked.name());
    if !path.is_file() {
        let message = format!("no file of silences is at `{}`", shown(&path));
        let remedy = "name a file such as `amtool silence query -o json` writes, or a list of `{ matchers: [...], from: 5m, to: 20m }`";
        return Err(placed(Failure::argument(message, remedy), asked));
    }
    let source = load::read_file(&path)?;
    let all = read_silences(&source.path, &source.text, start)?;
    Ok(Silences { all, source })
}

/// That every receiver is there that a policy listens at.
///
/// # Errors
/// A policy names one that the configuration does not have, or there is no configuration.
pub fn receivers_exist(answer: &Answer, routing: Option<&Routing>) -> Result<(), Failure> {
    let problems: Vec<Problem> = answer.policies.iter().flat_map(|policy| lints::deaf(policy, routing.map(|own| &*own.config))).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::Input(problems)) }
}

/// Policies by path, folder or name, as one answer.
///
/// # Errors
/// A name is unknown, or a file is wrong.
pub fn answer<S: Asked>(names: &[S], base: &Path) -> Result<Arc<Answer>, Failure> {
    answer_in(names, base, &Shared::default())
}

/// The same in a project, which has something to say for all its policies.
///
/// # Errors
/// As [`answer`].
pub fn answer_in<S: Asked>(names: &[S], base: &Path, shared: &Shared) -> Result<Arc<Answer>, Failure> {
    let sources = find_all(names, base, Kind::Policy, &library::policy_shelf())?;
    let read = |source: &Source| load::read_policy(source, shared).map(|policy| (policy, argument(source)));
    let mut policies = read_all(&sources, Kind::Policy, read)?;
    policies.sort_by(|left, right| left.0.name.cmp(&right.0.name));
    let twins = lints::twins(policies.iter().map(|(policy, _)| policy));
    if !twins.is_empty() {
        return Err(Failure::Input(twins));
    }
    let label = names.iter().map(Asked::name).collect::<Vec<_>>().join(" ");
    let found = policies.iter().map(|(policy, argument)| (policy.name.to_string(), argument.clone())).collect();
    // What own actions stand for belongs to what the policies are.
    let scripts: Vec<&str> = policies.iter().flat_map(|(policy, _)| policy.scripts()).map(|runs| runs.hash.as_str()).collect();
    let mut hash = hash(&sources);
    if !scripts.is_empty() {
        hash = blake3::hash(format!("{hash} {}", scripts.join(" ")).as_bytes()).to_hex().to_string();
    }
    if !shared.is_empty() {
        hash = blake3::hash(format!("{hash} {}", told(shared)).as_bytes()).to_hex().to_string();
    }
    Ok(Arc::new(Answer { policies: policies.into_iter().map(|(policy, _)| policy).collect(), label, sources: found, hash, left_out: None }))
}

/// What a project says for all its policies, written out: it belongs to what they are.
fn told(shared: &Shared) -> String {
    let code = shared.code.as_ref().map_or("", |code| code.hash());
    let switch = |own: &KillSwitch| {
        let Halt { switch, services, .. } = &own.halt;
        format!("{} {:?} {services:?} {:?} {:?}", switch.condition.plan().text(), switch.instead, own.policies, own.owners)
    };
    let switches: Vec<String> = shared.kill_switches.iter().map(switch).collect();
    format!("{:?} {switches:?} {:?} {code}", shared.actions, shared.estate)
}

/// The Rego rules that a project names, read and compiled; `None` if it names none. Files of tests (`*_test.rego`) are left out.
///
/// # Errors
/// They are not there, or wrong; or this program cannot read them.
pub fn code(names: &[Located<Name>], base: &Path) -> Result<Option<code::Read>, Failure> {
    let Some(first) = names.first() else { return Ok(None) };
    if !code::is_there() {
        return Err(vec![code::not_built(&first.place)].into());
    }
    let is_rule = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".rego") && !name.ends_with("_test.rego")
    };
    let mut sources: Vec<Source> = Vec::new();
    for asked in names {
        let path = base.join(&*asked.value);
        if path.is_dir() {
            let all = load::files_below(&path).with_context(|| format!("cannot read the folder {}", path.display()))?;
            let found: Vec<Source> = all.iter().filter(|path| is_rule(path)).map(|path| load::read_file(path)).collect::<Result<_, _>>()?;
            if found.is_empty() {
                let message = format!("the folder {} holds no Rego rules (*.rego)", path.display());
                return Err(placed(Failure::argument(message, "name a folder that does, or a file"), asked));
            }
            sources.extend(found);
        } else {
            sources.push(load::read_file(&path).map_err(|failure| placed(failure, asked))?);
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources.dedup();
    let texts: Vec<code::Text> = sources.iter().map(|source| code::Text { path: source.path.clone(), text: source.text.clone() }).collect();
    Ok(Some(code::read(&first.place, &texts, hash(&sources))?))
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
    Arc::new(Answer { policies, label: alone.label.clone(), sources, hash, left_out: None })
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
pub fn rule_texts<S: Asked>(names: &[S], base: &Path) -> Result<Vec<Source>, Failure> {
    let sources = find_all(names, base, Kind::Rules, &library::rule_shelf())?;
    let problems: Vec<Problem> = sources.iter().filter_map(|source| kind::expect(source, Kind::Rules).err()).collect();
    if problems.is_empty() { Ok(sources) } else { Err(Failure::Input(problems)) }
}

/// What an incident of the library is called where a path has the same name: `library:retry-storm`.
const OF_LIBRARY: &str = "library:";

/// An incident folder, by path or name, with the way to its files.
///
/// # Errors
/// It is not there, or wrong.
pub fn incident(name: &str, base: &Path) -> Result<(Incident, IncidentFiles), Failure> {
    let path = base.join(name);
    let files = if let Some(embedded) = name.strip_prefix(OF_LIBRARY).and_then(library::incident) {
        IncidentFiles::Embedded(embedded)
    } else if path.is_file() {
        kind::expect(&load::read_file(&path)?, Kind::Incident).map_err(|problem| vec![problem])?;
        IncidentFiles::Folder(path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned))
    } else if path.is_dir() {
        IncidentFiles::Folder(path)
    } else if let Some(embedded) = library::incident(name) {
        IncidentFiles::Embedded(embedded)
    } else {
        return Err(unknown(name, Kind::Incident, &[], &library::incident_shelf()));
    };
    let shown = files.shown();
    Ok((incident::read_incident(&shown, &files)?, files))
}

/// Every incident folder that a project names: the folder itself, or those in it; of the library the name, so that it is found from this folder.
///
/// # Errors
/// A folder cannot be read, or holds none.
pub fn incident_folders<S: Asked>(names: &[S], base: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for name in names {
        let path = base.join(name.name());
        if !path.is_dir() || path.join(incident::FILE_NAME).is_file() {
            if !path.exists() && library::incident(name.name()).is_none() {
                return Err(placed(unknown(name.name(), Kind::Incident, &[], &library::incident_shelf()), name));
            }
            found.push(path_or_name(&path, name.name()));
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
            let message = format!("the folder {} holds no incident", path.display());
            return Err(placed(Failure::argument(message, "an incident is a folder with an incident.yaml"), name));
        }
        inner.sort();
        found.extend(inner);
    }
    Ok(found)
}

/// The files of tests that a project names: the files themselves, and those in its folders, however deep.
///
/// # Errors
/// Some are not there, or folders hold none.
pub fn test_files(names: &[Located<Name>], base: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_test = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for asked in names {
        let path = base.join(&*asked.value);
        if path.is_dir() {
            let all = load::files_below(&path).with_context(|| format!("cannot read the folder {}", path.display()))?;
            let inner: Vec<PathBuf> = all.into_iter().filter(is_test).collect();
            if inner.is_empty() {
                let problem = Problem::at("FD0630", &asked.place, format!("the folder {} holds no tests (*.yaml, *.yml)", path.display()));
                problems.push(problem.remedy("name a folder that does, or a file"));
            }
            found.extend(inner);
        } else if path.is_file() {
            found.push(path);
        } else {
            let problem = Problem::at("FD0630", &asked.place, format!("neither a file nor a folder is at {}", path.display()));
            problems.push(problem.remedy("name a file of decision tests, or a folder of them; paths are relative to the project file"));
        }
    }
    found.sort();
    found.dedup();
    if problems.is_empty() { Ok(found) } else { Err(problems.into()) }
}

fn path_or_name(path: &Path, name: &str) -> String {
    if path.exists() {
        return shown(path);
    }
    // The project may be another one than the one that is here.
    if Path::new(name).exists() { format!("{OF_LIBRARY}{name}") } else { name.to_owned() }
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

    /// BLAKE3 of all files and their paths, hexadecimal, and of what an incident was recorded in elsewhere. Line ends do not count: git may write others into
    /// a working tree than are committed. Of what describes the incident only what it says counts: not its comments, nor how it is written.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn hash(&self, incident: &Incident) -> Result<String, Failure> {
        let mut hasher = blake3::Hasher::new();
        let mut add = |path: &str, bytes: &[u8]| {
            let said = if path == incident::FILE_NAME { said(bytes) } else { None };
            let bytes = said.map_or_else(|| with_plain_line_ends(bytes), |said| said.into_bytes().into());
            hasher.update(format!("{path}\n{}\n", bytes.len()).as_bytes());
            hasher.update(&bytes);
        };
        match self {
            Self::Folder(folder) => {
                let list = || list_below(folder)?.into_iter().map(|path| Ok((load::bytes(&folder.join(&path))?, path))).collect();
                let files: std::io::Result<Vec<(Vec<u8>, String)>> = list();
                let files = files.with_context(|| format!("cannot read the folder {}", folder.display()))?;
                files.iter().for_each(|(bytes, path)| add(path, bytes));
                for (path, _) in incident.evidence().filter(|(path, _)| leaves(path)) {
                    let place = folder.join(path);
                    let inner = if place.is_dir() { load::files_below(&place) } else { Ok(vec![place.clone()]) };
                    let all = inner.and_then(|all| all.iter().map(|file| load::bytes(file)).collect::<std::io::Result<Vec<_>>>());
                    let all = all.with_context(|| format!("cannot read {}", place.display()))?;
                    all.iter().for_each(|bytes| add(path, bytes));
                }
            }
            Self::Embedded(embedded) => embedded.files.iter().for_each(|(path, text)| add(path, text.as_bytes())),
        }
        Ok(hasher.finalize().to_hex().to_string())
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
            Self::Folder(folder) => read_text(&folder.join(path)),
            Self::Embedded(embedded) => {
                let found = embedded.files.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
            }
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Folder(base) => list_below(&base.join(folder)).map_err(|error| load::reason(&error)),
            Self::Embedded(embedded) => Ok(embedded.files.iter().map(|(name, _)| (*name).to_owned()).collect()),
        }
    }
}

/// Bytes with no carriage return before a line's end.
fn with_plain_line_ends(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_end = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    if !(0..bytes.len()).any(is_end) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned((0..bytes.len()).filter(|at| !is_end(*at)).map(|at| bytes[at]).collect())
}

/// Whether a path in a folder leads out of it.
fn leaves(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir)
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = load::bytes(path).map_err(|error| load::reason(&error))?;
    load::text(bytes).map_err(|(line, _)| format!("line {line} is not UTF-8 text"))
}

/// Every file below a folder, as paths relative to it with `/` between their parts, sorted.
fn list_below(folder: &Path) -> std::io::Result<Vec<String>> {
    let relative = |path: &PathBuf| {
        let parts = path.strip_prefix(folder).unwrap_or(path).iter().map(|part| part.to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    };
    let mut found: Vec<String> = load::files_below(folder)?.iter().map(relative).collect();
    found.sort();
    Ok(found)
}

fn find_all<S: Asked>(names: &[S], base: &Path, wanted: Kind, shelf: &Shelf<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    for asked in names {
        let base = base_of(asked, base);
        let found = if base.join(asked.name()).exists() {
            load::find(asked.name(), &base, shelf)
        } else {
            shelved(asked, wanted, &[], shelf).map(|source| vec![source])
        };
        match found {
            Ok(found) => sources.extend(found),
            Err(Failure::Input(found)) => problems.extend(found),
            Err(other) => return Err(other),
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources.dedup();
    if problems.is_empty() { Ok(sources) } else { Err(Failure::Input(problems)) }
}

fn read_all<T>(sources: &[Source], wanted: Kind, read: impl Fn(&Source) -> Result<T, Vec<Problem>>) -> Result<Vec<T>, Failure> {
    let mut things = Vec::new();
    let mut problems = Vec::new();
    for source in sources {
        match kind::expect(source, wanted).map_err(|problem| vec![problem]).and_then(|()| read(source)) {
            Ok(thing) => things.push(thing),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(things) } else { Err(Failure::Input(problems)) }
}

/// What a YAML file says, without comments and places; `None` if it is none.
fn said(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(bare(&yaml::parse(incident::FILE_NAME, text).ok()?))
}

fn bare(node: &Node) -> String {
    let all = |parts: Vec<String>| parts.join(", ");
    match &node.value {
        Value::List(items) => format!("[{}]", all(items.iter().map(bare).collect())),
        Value::Map(entries) => format!("{{{}}}", all(entries.iter().map(|(key, own)| format!("{:?}: {}", key.text, bare(own))).collect())),
        plain => format!("{plain:?}"),
    }
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
