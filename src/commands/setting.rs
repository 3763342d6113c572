//! What a command rehearses when it is told only half: the rest comes from the project here, else from the library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_scenarios::Scenario;

use crate::drill::Rules;
use crate::failure::Failure;
use crate::library;
use crate::load::Source;
use crate::project::Project;
use crate::sources;

/// Scenarios, each with the rules that watch it, and the project that filled the gaps.
#[derive(Debug)]
pub struct Setting {
    /// The scenarios.
    pub scenarios: Vec<(Arc<Scenario>, Arc<Rules>)>,
}

impl Setting {
    /// From the command line, then the project of this folder, then the library.
    pub fn here(scenarios: &[String], rules: &[String]) -> Result<Self, Failure> {
        let project = sources::project_here()?;
        Self::with(project.as_ref(), Path::new("."), scenarios, rules)
    }

    /// The same with a project that was already read; its paths are relative to `base`, those of the command line to this folder.
    pub fn with(project: Option<&Project>, base: &Path, scenarios: &[String], rules: &[String]) -> Result<Self, Failure> {
        let found = match project {
            Some(project) if !scenarios.is_empty() => {
                let own = sources::scenarios(&project.scenarios, base)?;
                sources::scenarios_among(&own, scenarios, Path::new("."))?
            }
            None if !scenarios.is_empty() => sources::scenarios(scenarios, Path::new("."))?,
            Some(project) if !project.scenarios.is_empty() => sources::scenarios(&project.scenarios, base)?,
            _ => sources::scenarios(&library::families(), Path::new("."))?,
        };
        let rules = match project {
            _ if !rules.is_empty() => RuleNames { names: rules.to_vec(), base: PathBuf::from(".") },
            Some(project) => RuleNames::of(project, base),
            None => RuleNames::library(),
        };
        let shared = rules.load(&[])?;
        let watched = found.into_iter().map(|scenario| {
            let own = if scenario.rules.is_empty() { Arc::clone(&shared) } else { rules.load(&scenario.rules)? };
            Ok((scenario, own))
        });
        Ok(Self { scenarios: watched.collect::<Result<_, Failure>>()? })
    }
}

/// Rule files by name, and what their paths are relative to.
pub struct RuleNames {
    names: Vec<String>,
    base: PathBuf,
}

impl RuleNames {
    /// Those of a project, or the library's if it names none.
    pub fn of(project: &Project, base: &Path) -> Self {
        if project.rules.is_empty() {
            return Self::library();
        }
        Self { names: project.rules.iter().map(ToString::to_string).collect(), base: base.to_owned() }
    }

    /// The rules that the library's policies listen to.
    pub fn library() -> Self {
        let names = library::rule_shelf().names.into_iter().filter(|name| !library::is_of_one_recording(name));
        Self { names: names.map(str::to_owned).collect(), base: PathBuf::from(".") }
    }

    /// Those of the command line, else of the project here, else of the library.
    pub fn chosen(named: &[String]) -> Result<Self, Failure> {
        if !named.is_empty() {
            return Ok(Self { names: named.to_vec(), base: PathBuf::from(".") });
        }
        Ok(sources::project_here()?.map_or_else(Self::library, |project| Self::of(&project, Path::new("."))))
    }

    /// The files themselves.
    pub fn texts(&self) -> Result<Vec<Source>, Failure> {
        sources::rule_texts(&self.names, &self.base)
    }

    /// Reads them, and `more` beside them.
    pub fn load(&self, more: &[String]) -> Result<Arc<Rules>, Failure> {
        let names: Vec<&String> = self.names.iter().chain(more).collect();
        sources::rules(&names, &self.base)
    }
}
