//! What a command rehearses when it is told only half: the rest comes from the project here, else from the library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Problem};
use firedrill_scenarios::Scenario;

use crate::cli::Alerting;
use crate::command_line::CommandLine;
use crate::drill::{Answer, Rules};
use crate::failure::Failure;
use crate::home::{Home, OwnRouting, Routings};
use crate::library;
use crate::load::Source;
use crate::output::Output;
use crate::project::Project;
use crate::sources::{self, Asked};

/// Scenarios, each with the rules that watch it.
#[derive(Debug)]
pub struct Setting {
    /// The scenarios.
    pub scenarios: Vec<(Arc<Scenario>, Arc<Rules>)>,
}

/// The scenarios that are named, whose paths are relative to this folder, else those of the project, else the library's.
pub fn rehearsed(home: &Home, named: &[String]) -> Result<Vec<Arc<Scenario>>, Failure> {
    let own = home.scenarios()?;
    match (named, &own[..]) {
        ([], []) => sources::scenarios(&library::families(), Path::new(".")),
        ([], _) => Ok(own),
        _ => sources::scenarios_among(&own, named, Path::new(".")),
    }
}

/// What watches here: the rules that are at hand, and how their alerts are routed.
pub struct Watch {
    rules: RuleNames,
    shared: Arc<Rules>,
    /// How alerts are routed that are of no scenario.
    pub routings: Routings,
    base: PathBuf,
}

impl Watch {
    /// From the command line, then the project, then the library.
    pub fn of(home: &Home, rules: &[String], alertmanager: Option<&str>) -> Result<Self, Failure> {
        let rules = RuleNames::chosen(home, rules)?;
        let shared = rules.load(&[])?;
        Ok(Self { rules, shared, routings: Routings::chosen(home, alertmanager)?, base: home.base.clone() })
    }

    /// What watches a scenario: these rules with those that it wants beside them, routed as it says, else as the project does.
    pub fn over(&self, scenario: &Scenario) -> Result<Arc<Rules>, Failure> {
        let own = if scenario.rules.is_empty() { Arc::clone(&self.shared) } else { self.rules.load(&scenario.rules)? };
        Ok(own.routed(self.routings.with(OwnRouting {
            alertmanager: scenario.alertmanager.as_ref(),
            silences: scenario.silences.as_ref(),
            base: &self.base,
            start: scenario.spec.start,
        })?))
    }
}

/// What the command line names, each of it instead of what the project does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// Scenarios or families.
    pub scenarios: &'a [String],
    /// Rule files.
    pub rules: &'a [String],
    /// An Alertmanager configuration.
    pub alertmanager: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// With what the command line says of alerts.
    pub fn with(scenarios: &'a [String], alerting: &'a Alerting) -> Self {
        Self { scenarios, rules: &alerting.rules, alertmanager: alerting.alertmanager.as_deref() }
    }
}

impl Alerting {
    /// The same on a command that repeats this one.
    pub fn repeated(&self, line: CommandLine) -> CommandLine {
        line.options("--rules", &self.rules).options("--alertmanager", self.alertmanager.as_slice())
    }
}

impl Setting {
    /// From the command line, then the project of this folder, then the library.
    pub fn here(scenarios: &[String], rules: &[String]) -> Result<Self, Failure> {
        Self::of(&Home::here()?, Named { scenarios, rules, alertmanager: None })
    }

    /// From the command line, whose paths are relative to this folder, then the project, then the library.
    pub fn of(home: &Home, named: Named<'_>) -> Result<Self, Failure> {
        let watch = Watch::of(home, named.rules, named.alertmanager)?;
        let watched = rehearsed(home, named.scenarios)?.into_iter().map(|scenario| {
            let own = watch.over(&scenario)?;
            Ok((scenario, own))
        });
        let scenarios = watched.collect::<Result<_, Failure>>()?;
        Ok(Self { scenarios })
    }

    /// The same with scenarios as another state of the project has them, if it has them. What watches them is here.
    pub fn judged(home: &Home, judge: &Home, named: Named<'_>) -> Result<Self, Failure> {
        let Ok(theirs) = rehearsed(judge, named.scenarios) else { return Self::of(home, named) };
        let (watch, own) = (Watch::of(home, named.rules, named.alertmanager)?, home.scenarios()?);
        let watched = theirs.into_iter().map(|scenario| {
            let rules = watch.over(own.iter().find(|own| own.name == scenario.name).unwrap_or(&scenario))?;
            Ok((scenario, rules))
        });
        let scenarios = watched.collect::<Result<_, Failure>>()?;
        Ok(Self { scenarios })
    }

    /// Says once what becomes of alerts otherwise here than in production.
    pub fn warn(&self, output: Output) {
        warn(self.scenarios.iter().map(|(_, rules)| rules), output);
    }

    /// That policies listen only at receivers that are there.
    pub fn admit(&self, answer: &Answer) -> Result<(), Failure> {
        self.scenarios.iter().try_for_each(|(_, rules)| sources::receivers_exist(answer, rules.routing.as_deref()))
    }
}

/// Says once what routing does otherwise here than in production, of all Alertmanager configurations that apply.
pub fn warn<'r>(rules: impl Iterator<Item = &'r Arc<Rules>>, output: Output) {
    let mut told: Vec<Problem> = Vec::new();
    for warning in rules.filter_map(|rules| rules.routing.as_ref()).flat_map(|routing| routing.config.departures()) {
        if !told.contains(warning) {
            told.push(warning.clone());
        }
    }
    output.problems(&told);
}

/// So many seeds in a row, from `first` on.
pub fn seeds(first: u64, count: u32) -> Result<Vec<u64>, Failure> {
    let last = first.checked_add(u64::from(count) - 1);
    let last = last.ok_or_else(|| {
        let remedy = format!("the largest first seed for {count} is {}", u64::MAX - u64::from(count) + 1);
        Failure::argument(format!("there are no {count} seeds from {first} on"), remedy)
    })?;
    Ok((first..=last).collect())
}

/// Rule files by name, and what their paths are relative to.
pub struct RuleNames {
    names: Names,
    base: PathBuf,
}

/// Arguments of the command line or names of the library; or entries of a project file.
enum Names {
    Given(Vec<String>),
    Written(Vec<Located<Name>>),
}

impl RuleNames {
    /// Those of a project, or the library's if it names none.
    pub fn of(project: &Project, base: &Path) -> Self {
        if project.rules.is_empty() {
            return Self::library();
        }
        Self { names: Names::Written(project.rules.clone()), base: base.to_owned() }
    }

    /// The rules that the library's policies listen to.
    pub fn library() -> Self {
        let names = library::rule_shelf().names.into_iter().filter(|name| library::watches_by_default(name));
        Self { names: Names::Given(names.map(str::to_owned).collect()), base: PathBuf::from(".") }
    }

    /// Those of the command line, else of the project, else of the library.
    pub fn chosen(home: &Home, named: &[String]) -> Result<Self, Failure> {
        if !named.is_empty() {
            return Ok(Self { names: Names::Given(home.rule_arguments(named)?), base: PathBuf::from(".") });
        }
        Ok(home.project.as_ref().map_or_else(Self::library, |project| Self::of(project, &home.base)))
    }

    /// The files themselves, and `more` beside them.
    pub fn texts(&self, more: &[Located<Name>]) -> Result<Vec<Source>, Failure> {
        sources::rule_texts(&self.with(more), &self.base)
    }

    /// Reads them, and `more` beside them.
    pub fn load(&self, more: &[Located<Name>]) -> Result<Arc<Rules>, Failure> {
        sources::rules(&self.with(more), &self.base)
    }

    fn with<'a>(&'a self, more: &'a [Located<Name>]) -> Vec<&'a dyn Asked> {
        let own: Vec<&dyn Asked> = match &self.names {
            Names::Given(names) => names.iter().map(|name| name as &dyn Asked).collect(),
            Names::Written(names) => names.iter().map(|name| name as &dyn Asked).collect(),
        };
        own.into_iter().chain(more.iter().map(|name| name as &dyn Asked)).collect()
    }
}
