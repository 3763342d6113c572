//! A project as it stands, or as it stood at a revision: all that it judges by.

use std::path::Path;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem};
use firedrill_scenarios::Scenario;
use firedrill_scenarios::incident::Incident;

use super::thresholds::Thresholds;
use crate::calibration::Calibrations;
use crate::cli::GateArgs;
use crate::commands::setting::{Watch, rehearsed};
use crate::failure::Failure;
use crate::home::Home;
use crate::project::Project;
use crate::revision::{Revision, asked};
use crate::sources;

/// One state of a project.
pub(super) struct Side {
    pub home: Home,
    pub thresholds: Thresholds,
    /// All that it rehearses, in order of name.
    pub scenarios: Vec<Arc<Scenario>>,
    pub incidents: Vec<Recorded>,
    pub evidence: Option<Calibrations>,
    pub watch: Watch,
}

/// A recorded incident, and what finds it.
pub(super) struct Recorded {
    pub argument: String,
    pub incident: Incident,
    /// BLAKE3 of its files, hexadecimal.
    pub hash: String,
}

impl Side {
    /// All that a project judges by, read and checked.
    pub fn of(home: Home, arguments: &GateArgs) -> Result<Self, Failure> {
        let scenarios = rehearsed(&home, &[])?;
        let project = home.project.as_ref().expect("a home at a project has it");
        let thresholds = Thresholds::of(project, scenarios.iter().any(|scenario| scenario.calm))?;
        let incidents = home.incident_folders()?.into_iter().map(recorded).collect::<Result<_, _>>()?;
        let evidence = home.evidence()?;
        let watch = Watch::of(&home, &[], arguments.alertmanager.as_deref())?;
        Ok(Self { thresholds, scenarios, incidents, evidence, watch, home })
    }

    /// Its project.
    pub fn project(&self) -> &Project {
        self.home.project.as_ref().expect("a side is made of a home with a project")
    }

    /// Its scenario of a name.
    pub fn scenario(&self, name: &Name) -> Option<&Arc<Scenario>> {
        self.scenarios.iter().find(|scenario| scenario.name == *name)
    }

    /// Its incident of a name.
    pub fn incident(&self, name: &Name) -> Option<&Recorded> {
        self.incidents.iter().find(|recorded| recorded.incident.name == *name)
    }
}

fn recorded(argument: String) -> Result<Recorded, Failure> {
    let (incident, files) = sources::incident(&argument, Path::new("."))?;
    Ok(Recorded { hash: files.hash(&incident)?, argument, incident })
}

/// What a candidate is compared with.
pub(super) enum Reference {
    /// What the project says, or nothing.
    Usual,
    /// Policies that the command line names.
    Policies(Vec<String>),
    /// The project as it was at a revision; `None` if it was not there yet.
    Revision(Revision, Option<Box<Side>>),
}

impl Reference {
    /// By the command line, else by the project.
    pub fn of(arguments: &GateArgs, home: &Home) -> Result<Self, Failure> {
        let named = match (arguments.baseline.as_deref(), home.baseline_revision()) {
            (Some(named), _) => match asked(named) {
                Some(revision) => revision,
                None => return Ok(Self::Policies(vec![named.to_owned()])),
            },
            (None, Some(revision)) => revision,
            (None, None) => return Ok(Self::Usual),
        };
        let revision = Revision::check_out(named, &home.base)?;
        let Some(place) = revision.project(&arguments.project, sources::PROJECT_FILE)? else { return Ok(Self::Revision(revision, None)) };
        let read = || {
            let home = Home::at(&place.display().to_string())?;
            stays_inside(&revision, &home)?;
            let side = Side::of(home, arguments)?;
            side.incidents.iter().try_for_each(|recorded| evidence_stays_inside(&revision, recorded))?;
            Ok(side)
        };
        match read() {
            Ok(side) => Ok(Self::Revision(revision, Some(Box::new(side)))),
            Err(failure) => Err(revision.reworded(failure)),
        }
    }

    /// The revision, and the project there.
    pub fn at_revision(&self) -> Option<(&Revision, &Side)> {
        match self {
            Self::Revision(revision, side) => Some((revision, side.as_deref()?)),
            Self::Usual | Self::Policies(_) => None,
        }
    }
}

/// What lies outside of the repository was nobody knows what at the revision, so it cannot judge.
fn stays_inside(revision: &Revision, home: &Home) -> Result<(), Failure> {
    let Some(project) = &home.project else { return Ok(()) };
    let lists = [&project.rules, &project.policies, &project.baseline, &project.scenarios, &project.incidents, &project.rego];
    let single = [&project.alertmanager, &project.silences, &project.confidence];
    let all = lists.into_iter().flatten().chain(single.into_iter().flatten());
    let is_outside = |named: &&Located<Name>| asked(&named.value).is_none() && !revision.holds(&home.base, &named.value);
    let problem = |named: &Located<Name>| {
        let message = format!("{} lies outside of the repository, and nobody knows what it was at this revision", named.value);
        Problem::at("FD0617", &named.place, message)
            .remedy("put it into the repository, or name the baseline's policies: `--baseline FILE`")
    };
    let of_module = |named: &Located<Name>| {
        let module = revision.module_at(&home.base, &named.value)?;
        let message = format!("{module} is another repository (a git submodule), and nobody knows what was in it at this revision");
        Some(Problem::at("FD0618", &named.place, message).remedy("put what judges a change into this repository"))
    };
    let outside = all.clone().filter(is_outside).map(problem);
    let problems: Vec<Problem> = outside.chain(all.filter_map(of_module)).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::Input(problems)) }
}

/// The same of what an incident was recorded in.
fn evidence_stays_inside(revision: &Revision, recorded: &Recorded) -> Result<(), Failure> {
    let argument = Path::new(&recorded.argument);
    // What comes with the program is the same whatever the revision.
    if !argument.exists() {
        return Ok(());
    }
    let folder = if argument.is_dir() { argument } else { argument.parent().unwrap_or(argument) };
    let problem = |(path, place): (&str, &Place)| {
        let message = format!("{path} lies outside of the repository, and nobody knows what it was at this revision");
        Problem::at("FD0617", place, message).remedy("put it into the incident's folder")
    };
    let outside = recorded.incident.evidence().filter(|(path, _)| !revision.holds(folder, path));
    let problems: Vec<Problem> = outside.map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::Input(problems)) }
}
