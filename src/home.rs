//! The project that a command works in: where a bare name is looked for before the library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Start;
use firedrill_policies::alertmanager::nothing_to_silence;
use firedrill_policies::shared::Shared;
use firedrill_scenarios::Scenario;
use firedrill_scenarios::incident::Incident;

use crate::calibration::Calibrations;
use crate::drill::{Answer, Routing};
use crate::failure::Failure;
use crate::kind::Kind;
use crate::ledger::{Chain, FOLDER};
use crate::library;
use crate::load::{Shelf, Source};
use crate::project::Project;
use crate::revision;
use crate::sources::{self, Asked, IncidentFiles, PROJECT_FILE};

/// A project and the folder that its paths are relative to; without a project, only the library is at hand.
#[derive(Clone, Debug)]
pub struct Home {
    /// The project.
    pub project: Option<Project>,
    /// What its paths are relative to.
    pub base: PathBuf,
}

impl Home {
    /// This folder, with its project if there is one.
    ///
    /// # Errors
    /// The project file is wrong.
    pub fn here() -> Result<Self, Failure> {
        if Path::new(PROJECT_FILE).is_file() { Self::at(PROJECT_FILE) } else { Ok(Self { project: None, base: PathBuf::from(".") }) }
    }

    /// The project of a file, or of a folder.
    ///
    /// # Errors
    /// It is not there, or wrong.
    pub fn at(path: &str) -> Result<Self, Failure> {
        let (project, base) = sources::project_at(path)?;
        Ok(Self { project: Some(project), base })
    }

    /// The project's policies; nobody without a project.
    ///
    /// # Errors
    /// One of them is unknown or wrong.
    pub fn policies(&self) -> Result<Arc<Answer>, Failure> {
        let named = self.project.as_ref().map_or(&[][..], |project| &project.policies);
        self.calibrated(sources::answer_in(named, &self.base, &self.shared()?)?)
    }

    /// The same policies with what drills have shown of them, if the project names a file of that.
    fn calibrated(&self, answer: Arc<Answer>) -> Result<Arc<Answer>, Failure> {
        Ok(match self.evidence()? {
            Some(evidence) => evidence.applied(answer),
            None => answer,
        })
    }

    /// A chain of a ledger as far as it is to be believed, by who the project says that there is; that of another folder than the project's as it stands there.
    #[must_use]
    pub fn believed(&self, folder: &Path, chain: Chain) -> Chain {
        let is_own = folder.canonicalize().ok() == self.base.join(FOLDER).canonicalize().ok();
        match self.project.as_ref().filter(|_| is_own) {
            Some(project) => project.promotions.believed(chain),
            None => chain,
        }
    }

    /// What drills have shown of policies; `None` if the project names no file of that.
    ///
    /// # Errors
    /// The file cannot be read, or is wrong.
    pub fn evidence(&self) -> Result<Option<Calibrations>, Failure> {
        let Some(path) = self.project.as_ref().and_then(|project| project.confidence.as_ref()) else { return Ok(None) };
        Calibrations::load(&path.value, &self.base).map(Some)
    }

    /// What the project says for all its policies, its Rego rules read; nothing without a project.
    ///
    /// # Errors
    /// The rules are not there, or wrong, or this program cannot read them.
    pub fn shared(&self) -> Result<Shared, Failure> {
        let Some(project) = &self.project else { return Ok(Shared::default()) };
        let code = sources::code(&project.rego, &self.base)?.map(|read| read.bundle);
        Ok(Shared { code, ..project.shared.clone() })
    }

    /// The policies that the project wants candidates compared with; `None` if it does not say, or names a revision.
    ///
    /// # Errors
    /// One of the policies is unknown or wrong.
    pub fn baseline(&self) -> Result<Option<Arc<Answer>>, Failure> {
        let named = self.project.as_ref().map_or(&[][..], |project| &project.baseline);
        if named.is_empty() || self.baseline_revision().is_some() {
            return Ok(None);
        }
        self.calibrated(sources::answer_in(named, &self.base, &self.shared()?)?).map(Some)
    }

    /// The revision that the project wants candidates compared with; `None` if it names policies, or nothing.
    #[must_use]
    pub fn baseline_revision(&self) -> Option<&str> {
        self.project.as_ref()?.baseline.iter().find_map(|named| revision::asked(&named.value))
    }

    /// The project's scenarios; none without a project.
    ///
    /// # Errors
    /// One of them is unknown or wrong.
    pub fn scenarios(&self) -> Result<Vec<Arc<Scenario>>, Failure> {
        sources::scenarios(self.project.as_ref().map_or(&[][..], |project| &project.scenarios), &self.base)
    }

    /// The project's rule files; none without a project.
    ///
    /// # Errors
    /// One of them is unknown or cannot be read.
    pub fn rule_files(&self) -> Result<Vec<Source>, Failure> {
        sources::rule_texts(self.project.as_ref().map_or(&[][..], |project| &project.rules), &self.base)
    }

    /// The project's incident folders; none without a project.
    ///
    /// # Errors
    /// A folder cannot be read, or holds none.
    pub fn incident_folders(&self) -> Result<Vec<String>, Failure> {
        sources::incident_folders(self.project.as_ref().map_or(&[][..], |project| &project.incidents), &self.base)
    }

    /// Policies that the command line names: by path, by name in the project, or by name in the library, in that order.
    ///
    /// # Errors
    /// A name is unknown, or a file is wrong.
    pub fn answer<S: Asked>(&self, names: &[S]) -> Result<Arc<Answer>, Failure> {
        let own = if all_exist(names) { Vec::new() } else { self.policies()?.sources.clone() };
        let found = arguments(names, &own, Kind::Policy, &library::policy_shelf())?;
        let answer = sources::answer_in(&found, Path::new("."), &self.shared()?)?;
        let label = names.iter().map(Asked::name).collect::<Vec<_>>().join(" ");
        self.calibrated(Arc::new(Answer { label, ..Answer::clone(&answer) }))
    }

    /// Paths, relative to this folder, or names of the library that stand for rule files that the command line names. The project's are called
    /// as their files are, without the ending.
    ///
    /// # Errors
    /// A name is unknown.
    pub fn rule_arguments<S: Asked>(&self, names: &[S]) -> Result<Vec<String>, Failure> {
        let files = if all_exist(names) { Vec::new() } else { self.rule_files()? };
        let own: Vec<(String, String)> = files.iter().filter_map(|source| Some((rule_file_name(source)?, source.path.clone()))).collect();
        arguments(names, &own, Kind::Rules, &library::rule_shelf())
    }

    /// An incident that the command line names: by path; by the name of its folder or its own, in the project; likewise in the library.
    ///
    /// # Errors
    /// The name is unknown, or the incident is wrong.
    pub fn incident(&self, name: &str) -> Result<(Incident, IncidentFiles), Failure> {
        let here = Path::new(".");
        if Path::new(name).exists() {
            return sources::incident(name, here);
        }
        for folder in self.incident_folders()? {
            let is_folder = Path::new(&folder).file_name().is_some_and(|own| own == name);
            match sources::incident(&folder, here) {
                Ok(found) if is_folder || *found.0.name == *name => return Ok(found),
                Err(failure) if is_folder => return Err(failure),
                // What is wrong with another incident is no matter here.
                Ok(_) | Err(_) => {}
            }
        }
        sources::incident(name, here)
    }
}

/// Which Alertmanager configuration applies: the one of the command line, else one that a scenario or an incident names for itself, else the
/// project's. Silences likewise, but that the command line names none.
#[derive(Clone, Debug, Default)]
pub struct Routings {
    given: Option<(String, Arc<Routing>)>,
    shared: Option<Arc<Routing>>,
    /// The project's silences, and what their path is relative to.
    silences: Option<(Located<Name>, PathBuf)>,
}

/// What a scenario or an incident says of its own routing.
#[derive(Clone, Copy, Debug)]
pub struct OwnRouting<'a> {
    /// Its Alertmanager configuration.
    pub alertmanager: Option<&'a Located<Name>>,
    /// Its silences.
    pub silences: Option<&'a Located<Name>>,
    /// What the paths of both are relative to.
    pub base: &'a Path,
    /// When it begins.
    pub start: Start,
}

impl Routings {
    /// Those at hand when the command line names one or none.
    ///
    /// # Errors
    /// The one that applies is not there, or wrong.
    pub fn chosen(home: &Home, named: Option<&str>) -> Result<Self, Failure> {
        let given = named.map(|name| Ok::<_, Failure>((name.to_owned(), sources::routing(&name, Path::new("."))?))).transpose()?;
        let own = home.project.as_ref().and_then(|project| project.alertmanager.as_ref()).filter(|_| given.is_none());
        let shared = own.map(|own| sources::routing(own, &home.base)).transpose()?;
        let silences = home.project.as_ref().and_then(|project| project.silences.clone());
        Ok(Self { given, shared, silences: silences.map(|own| (own, home.base.clone())) })
    }

    /// The one of the command line, as it is named there.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.given.as_ref().map(|(name, _)| name.as_str())
    }

    /// The one that applies to a scenario or an incident, with the silences that do.
    ///
    /// # Errors
    /// One of the files is not there, or wrong; or there are silences and no configuration.
    pub fn with(&self, own: OwnRouting<'_>) -> Result<Option<Arc<Routing>>, Failure> {
        let routing = match (&self.given, own.alertmanager) {
            (Some((_, given)), _) => Some(Arc::clone(given)),
            (None, Some(asked)) => Some(sources::routing(asked, own.base)?),
            (None, None) => self.shared.clone(),
        };
        let shared = self.silences.as_ref().map(|(asked, base)| (asked, base.as_path()));
        let Some((asked, base)) = own.silences.map(|asked| (asked, own.base)).or(shared) else { return Ok(routing) };
        let Some(routing) = routing else { return Err(vec![nothing_to_silence(&asked.place)].into()) };
        let silences = Some(sources::silences(asked, base, own.start)?);
        Ok(Some(Arc::new(Routing { silences, ..Routing::clone(&routing) })))
    }
}

/// What a rule file that lies in the project is called; `None` for one of the library.
#[must_use]
pub fn rule_file_name(source: &Source) -> Option<String> {
    let path = Path::new(&source.path);
    path.file_stem().filter(|_| path.is_file()).map(|stem| stem.to_string_lossy().into_owned())
}

fn all_exist<S: Asked>(names: &[S]) -> bool {
    names.iter().all(|name| Path::new(name.name()).exists())
}

/// The argument behind each name: itself if it is a path, else what it stands for in the project, else itself if the library has it.
fn arguments<S: Asked>(names: &[S], own: &[(String, String)], wanted: Kind, shelf: &Shelf<'_>) -> Result<Vec<String>, Failure> {
    let find = |name: &str| {
        if Path::new(name).exists() {
            return Ok(name.to_owned());
        }
        if let Some((_, argument)) = own.iter().find(|(known, _)| known == name) {
            return Ok(argument.clone());
        }
        let known: Vec<&str> = own.iter().map(|(known, _)| known.as_str()).collect();
        (shelf.get)(name).map(|_| name.to_owned()).ok_or_else(|| sources::unknown(name, wanted, &known, shelf))
    };
    names.iter().map(|name| find(name.name())).collect()
}
