//! `firedrill check`: reads everything, reports every problem and every lint, changes nothing.

mod declare;
mod fire;
mod linting;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Problem, Severity, near_miss};
use firedrill_core::time::{Start, Time};
use firedrill_core::yaml::{self, Node, Value};
use firedrill_policies::alertmanager::{Config, nothing_to_silence, read_config};
use firedrill_policies::library as policy_library;
use firedrill_policies::lints::{self, Ground, Written};
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::lint::Conventions;
use firedrill_policies::rules::{Coverage, Group, Rule, RuleSet};
use firedrill_policies::shared::Shared;
use firedrill_reports::verdict::Threshold;
use firedrill_scenarios::incident::{Incident, read_incident, read_recording};
use firedrill_scenarios::{Scenario, recording_mapping};
use firedrill_sim::spec::{FaultKind, Profile};
use firedrill_telemetry::recording::Recording;

use super::calibrate;
use super::setting::{Named, RuleNames, Setting};
use crate::calibration::Calibrations;
use crate::cli::{CheckArgs, Format, LintLevel};
use crate::coverage;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::{Home, Routings};
use crate::kind::{self, Kind};
use crate::load::{self, Source};
use crate::output::Output;
use crate::project;
use crate::promotion::profile::Promotions;
use crate::rule_tests::Suite;
use crate::sources::{self, IncidentFiles};

/// At most so many changes are named of what policies were measured in.
const MOST_CHANGES: usize = 5;

/// What was read, by kind.
#[derive(Default)]
struct Found {
    rules: Vec<Source>,
    policies: Vec<(Source, Arc<Policy>)>,
    scenarios: Vec<Arc<Scenario>>,
    recordings: Vec<Arc<Recording>>,
    /// What the incidents that were named declare.
    declared: Vec<Inventory>,
    /// Alerts of rules that only incidents bring along.
    alerts_of_incidents: BTreeSet<Name>,
    /// What the project says for all its policies.
    shared: Shared,
    /// The labels that the project asks of alerts.
    conventions: Conventions,
    projects: usize,
    mappings: usize,
    alertmanagers: usize,
    /// The receivers of all of them, each with whether it has a way to be told.
    receivers: Vec<(Name, bool)>,
    /// What is accepted in what was read and has no effect here.
    warnings: Vec<Problem>,
    /// YAML that lies in a folder and is none of ours.
    passed_over: Vec<String>,
    problems: Vec<Problem>,
    /// The files that were read already.
    known: BTreeSet<PathBuf>,
}

/// What is said of what was read.
struct Report<'a> {
    found: &'a Found,
    /// Every rule with whether it can say anything here.
    rules: Vec<(&'a Group, &'a Rule, Coverage)>,
    /// How many scenarios the rules were held against.
    scenarios: usize,
    /// These are the library's, since the project names none.
    is_library: bool,
    lints: Vec<Problem>,
    /// Whether lints were wanted.
    is_linted: bool,
    /// Metrics that nothing exposes and a profile has.
    in_profiles: BTreeMap<String, Profile>,
    /// Metrics that would make more rules able to fire.
    declaration: Option<declare::Declaration>,
}

/// Checks files, or all that the project names.
pub fn execute(arguments: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let problems = checked(arguments, output, true)?;
    Ok(if problems.iter().any(|problem| problem.severity == Severity::Error) { Exit::WrongInput } else { Exit::Held })
}

/// The problems and the findings of lints, told or not.
pub(super) fn checked(arguments: &CheckArgs, output: Output, is_told: bool) -> Result<Vec<Problem>, Failure> {
    let mut found = match arguments.paths.as_slice() {
        [] => whole_project(sources::PROJECT_FILE)?,
        [only] if is_project(only) => whole_project(only)?,
        paths => named(paths)?,
    };
    found.drop_broken_rules();
    let is_broken = found.problems.iter().any(|problem| problem.severity == Severity::Error);
    if is_broken && found.is_empty() {
        return Err(Failure::Input(found.problems));
    }
    let stage = match stage(&found) {
        Err(Failure::Input(_)) if is_broken => return Err(Failure::Input(found.problems)),
        stage => stage?,
    };
    let rules = RuleSet::read(found.rules.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    let heard = Heard::of(&found, &rules)?;
    let listened = Arc::clone(&heard.rules);
    let (outlooks, scraped) = coverage::outlooks(&listened, &stage, &found.recordings);
    let coverage = if found.rules.is_empty() { Vec::new() } else { coverage::joined(&outlooks) };
    let ground = linting::Ground {
        files: &found.rules,
        rules: &rules,
        outlooks: if found.rules.is_empty() { &[] } else { &outlooks },
        coverage: &coverage,
        scraped: &scraped,
        scenarios: &stage,
        recordings: &found.recordings,
        conventions: &found.conventions,
    };
    let inventory = declared(&stage, &found.declared);
    let autoscaled = autoscaled(&stage);
    let of_policies = Ground {
        rules: &listened,
        outlooks: &outlooks,
        inventory: &inventory,
        autoscaled: &autoscaled,
        elsewhere: &heard.elsewhere,
        is_library: heard.is_library,
    };
    let mut lints = lint(&found, (of_policies, &people(&stage)), arguments.lint);
    lints.extend(linting::lint(ground, arguments));
    let in_profiles = declare::in_profiles(ground);
    let declaration = declare::shortest(ground, &in_profiles);
    // Then a gate rehearses the library's.
    let is_library = found.projects == 1 && found.scenarios.is_empty() && !stage.is_empty();
    let is_linted = arguments.lint != LintLevel::Off;
    let report = Report { rules: coverage, lints, is_linted, scenarios: stage.len(), is_library, in_profiles, declaration, found: &found };
    let problems: Vec<Problem> = found.problems.iter().chain(&report.lints).cloned().collect();
    if is_told {
        tell(&report, &problems, output)?;
    }
    Ok(problems)
}

/// Says what was read and what is wrong with it.
fn tell(report: &Report<'_>, problems: &[Problem], output: Output) -> Result<(), Failure> {
    match output.format {
        // Then stdout is for the findings alone.
        _ if output.is_sarif() => {}
        Format::Json => output.data(&told::json(report))?,
        Format::Text => output.data(&told::text(report, output.is_verbose()))?,
    }
    output.findings(problems)?;
    // What the report tells itself is not told again, unless it is what fails.
    let is_talk = |problem: &&Problem| match problem.severity {
        Severity::Error => true,
        Severity::Warning => !linting::is_of_coverage(problem),
        Severity::Info => output.is_verbose() && !linting::is_of_coverage(problem),
    };
    output.problems(&problems.iter().filter(is_talk).cloned().collect::<Vec<_>>());
    Ok(())
}

/// The scenarios that rules are held against: those that are checked themselves, or else those that would be rehearsed here. A recording that is
/// named alone is judged by itself.
fn stage(found: &Found) -> Result<Vec<Arc<Scenario>>, Failure> {
    let is_alone = found.projects == 0 && !found.recordings.is_empty();
    if !found.scenarios.is_empty() || is_alone {
        return Ok(found.scenarios.clone());
    }
    Ok(Setting::here(&[], &[])?.scenarios.into_iter().map(|(scenario, _)| scenario).collect())
}

/// The rules that policies are held against.
struct Heard {
    rules: Arc<RuleSet>,
    /// Alerts of other rules, those that the project here or an incident has.
    elsewhere: BTreeSet<Name>,
    /// Whether they are the library's, for want of others.
    is_library: bool,
}

impl Heard {
    /// Those that were read. Policies that are checked on their own are held against what the project or the library would give them.
    fn of(found: &Found, read: &Arc<RuleSet>) -> Result<Self, Failure> {
        let mut elsewhere = found.alerts_of_incidents.clone();
        let is_alone = found.rules.is_empty();
        let mut heard = Self { rules: Arc::clone(read), elsewhere: BTreeSet::new(), is_library: false };
        if (is_alone || found.projects == 0) && !found.policies.is_empty() {
            let home = Home::here()?;
            heard.is_library = home.project.is_none() && is_alone;
            let here = Arc::clone(&RuleNames::chosen(&home, &[])?.load(&[])?.set);
            elsewhere.extend(alerts(&here));
            if is_alone {
                heard.rules = here;
            }
        }
        Ok(Self { elsewhere, ..heard })
    }
}

/// The names of all alerts of some rules.
fn alerts(rules: &RuleSet) -> impl Iterator<Item = Name> {
    rules.rules().filter(|(_, rule)| rule.is_alerting()).map(|(_, rule)| rule.name.clone())
}

/// Everything that any scenario declares, or without any what the incidents do.
fn declared(scenarios: &[Arc<Scenario>], incidents: &[Inventory]) -> Inventory {
    let mut all = Inventory::default();
    let of_scenarios = scenarios.iter().map(|scenario| scenario.spec.inventory());
    let of_incidents = incidents.iter().filter(|_| scenarios.is_empty()).cloned();
    for inventory in of_scenarios.chain(of_incidents) {
        all.services.extend(inventory.services);
        all.clients.extend(inventory.clients);
        all.nodes.extend(inventory.nodes);
    }
    all.clients.sort();
    all.clients.dedup();
    all
}

/// The services whose number of replicas an autoscaler sets in some scenario.
fn autoscaled(scenarios: &[Arc<Scenario>]) -> BTreeSet<Name> {
    let services = scenarios.iter().flat_map(|scenario| &scenario.spec.services);
    services.filter(|service| service.autoscaler.is_some()).map(|service| service.name.clone()).collect()
}

/// How many people of each role may be asked, scenario by scenario.
fn people(scenarios: &[Arc<Scenario>]) -> Vec<BTreeMap<Name, u64>> {
    let of_one = |scenario: &Arc<Scenario>| {
        let mut roles: BTreeMap<Name, u64> = BTreeMap::new();
        for own in scenario.approvers.iter() {
            *roles.entry(own.role.clone()).or_default() += u64::from(own.count);
        }
        roles
    };
    scenarios.iter().map(of_one).collect()
}

/// The lints of policies and of what was read besides rules; switched off, only what cannot work is told.
fn lint(found: &Found, (ground, people): (Ground<'_>, &[BTreeMap<Name, u64>]), level: LintLevel) -> Vec<Problem> {
    let mut all = found.warnings.clone();
    all.extend(found.scenarios.iter().flat_map(|scenario| replaced_before(scenario)));
    all.extend(lints::twins(found.policies.iter().map(|(_, policy)| policy)));
    let overlaps = lints::overlaps(found.policies.iter().map(|(_, policy)| policy), ground);
    for (source, policy) in &found.policies {
        let mut own = lints::lints(&Written::new(&source.path, &source.text), policy, ground);
        own.extend(overlaps.iter().filter(|problem| problem.path == source.path).cloned());
        own.extend(lints::unreceived(policy, &found.receivers));
        own.extend(lints::unanswerable(policy, people));
        all.extend(lints::allowed(&source.path, &source.text, own));
    }
    match level {
        LintLevel::Off => all.retain(|problem| problem.severity == Severity::Error),
        LintLevel::Warn => {}
        LintLevel::Error => {
            all.iter_mut().filter(|problem| problem.severity == Severity::Warning).for_each(|problem| problem.severity = Severity::Error)
        }
    }
    all
}

/// Faults of replicas that a deploy before them has likely replaced: they would strike nobody.
fn replaced_before(scenario: &Scenario) -> Vec<Problem> {
    let spec = &scenario.spec;
    let deploys = || {
        spec.faults.iter().chain(&spec.changes).filter_map(|change| match &change.kind {
            FaultKind::Deploy { service, .. } => Some((service, change.at)),
            _ => None,
        })
    };
    let late = spec.faults.iter().filter_map(|fault| {
        let target = fault.kind.target();
        let (Target::Replica(replica), Some(service)) = (&target, target.service()) else { return None };
        let (_, deployed) = deploys().find(|(of, at)| **of == service && *at < fault.at)?;
        let fault = format!(
            "`{}` strikes {replica} at {}, and a deploy of {service} at {} replaces its replicas before: it strikes nobody if that one is gone",
            fault.name,
            fault.at.since(Time::ZERO),
            deployed.since(Time::ZERO)
        );
        let problem = Problem::at("FD0943", &scenario.place, fault).as_warning();
        Some(problem.remedy("let it come before the deploy, or strike the service; a replica that comes later has another number"))
    });
    late.collect()
}

/// Whether a path is a project's file; naming it alone means all that it names.
fn is_project(path: &str) -> bool {
    Path::new(path).is_file() && load::read_file(Path::new(path)).is_ok_and(|source| kind::of(&source) == Some(Kind::Project))
}
/// That the author of a policy is nobody whom the project knows: whoever wrote it could then promote it under the name that the project knows them by.
fn unknown_author(policy: &Policy, promotions: &Promotions) -> Option<Problem> {
    let author = policy.author.as_ref().filter(|author| !promotions.people.is_empty() && promotions.person(author).is_none())?;
    let known: Vec<&str> = promotions.people.keys().map(Name::as_str).collect();
    let message = format!("`{author}`, who wrote `{}`, is not among the `people:` of firedrill.yaml", policy.name);
    let problem = Problem::at("FD0826", &policy.places.name, message);
    Some(
        problem.remedy(match near_miss(author, &known) {
            Some(near) => format!("did you mean `{near}`? Nobody promotes their own policy to act by itself, whatever it calls them"),
            None => {
                "write the name as it stands there, or add it: nobody promotes their own policy to act by itself, whatever it calls them"
                    .to_owned()
            }
        }),
    )
}

fn whole_project(path: &str) -> Result<Found, Failure> {
    let home = Home::at(path)?;
    let project = home.project.as_ref().expect("a home at a project has it");
    let base = &home.base;
    let conventions = project.lint.clone();
    let mut found = Found { projects: 1, problems: thresholds(project), conventions, ..Found::default() };
    if let Some(rules) = found.keep(home.rule_files())? {
        found.rules = rules;
    }
    let routing = project.alertmanager.as_ref().map(|own| found.keep(sources::routing(own, base))).transpose()?.flatten();
    if let Some(routing) = &routing {
        found.alertmanager(&routing.config);
    }
    found.silences(project.silences.as_ref(), base, project.alertmanager.is_some())?;
    let code = found.keep(sources::code(&project.rego, base))?;
    let is_code_sound = code.is_some();
    found.warnings.extend(code.flatten().into_iter().flat_map(|read| read.findings));
    // Where the rules are wrong, that is the problem, once.
    let answer = if is_code_sound { found.keep(home.policies())? } else { None };
    if let Some(answer) = answer {
        // Where the configuration is wrong, that is the problem.
        if routing.is_some() || project.alertmanager.is_none() {
            found.keep(sources::receivers_exist(&answer, routing.as_deref()))?;
        }
        for (policy, (_, path)) in answer.policies.iter().zip(&answer.sources) {
            found.policies.push((policy_text(path)?, Arc::clone(policy)));
        }
        found.problems.extend(answer.policies.iter().filter_map(|policy| unknown_author(policy, &project.promotions)));
    }
    if is_code_sound {
        found.keep(home.baseline())?;
    }
    if let Some(scenarios) = found.keep(home.scenarios())? {
        found.scenarios = scenarios;
        found.routing_of_scenarios(base, project.alertmanager.is_some())?;
        found.rules_of_scenarios(base)?;
    }
    found.stale(&home)?;
    found.keep(Suite::of_project(&home))?;
    for name in home.incident_folders()? {
        let read = sources::incident(&name, Path::new(".")).and_then(|(incident, files)| Ok(whole_recording(&incident, &files)?));
        if let Some((recording, alerts)) = found.keep(read)? {
            found.recordings.push(Arc::new(recording));
            found.alerts_of_incidents.extend(alerts);
        }
    }
    Ok(found)
}

/// The text of a policy's file, or of the library's policy of this name.
fn policy_text(path: &str) -> Result<Source, Failure> {
    match policy_library::policy(path) {
        Some((path, text)) if !Path::new(path).is_file() => Ok(Source { path: path.to_owned(), text: text.to_owned() }),
        _ => load::read_file(Path::new(path)),
    }
}

fn thresholds(project: &project::Project) -> Vec<Problem> {
    let wrong = |line: &project::ThresholdLine| {
        Threshold::parse(&line.measure, &line.bound).err().map(|error| Problem::at("FD0603", &line.place, error.to_string()))
    };
    project.thresholds.iter().filter_map(wrong).collect()
}

fn named(paths: &[String]) -> Result<Found, Failure> {
    // A project that is broken is told by whoever needs more of it than this.
    let home = Home::here().ok().filter(|home| home.project.is_some());
    let is_routed = home.as_ref().and_then(|home| home.project.as_ref()).is_some_and(|project| project.alertmanager.is_some());
    let shared = home.as_ref().and_then(|home| home.shared().ok()).unwrap_or_default();
    let conventions = home.and_then(|home| home.project).map(|project| project.lint).unwrap_or_default();
    let mut found = Found { conventions, shared, ..Found::default() };
    for path in paths {
        let path = Path::new(path);
        if path.is_dir() {
            let files = load::yaml_files(path)?;
            if files.is_empty() {
                return Err(Failure::argument(
                    format!("the folder {} holds no YAML file", path.display()),
                    "name a folder that does: a check of nothing proves nothing",
                ));
            }
            for file in files {
                found.open(&file, true);
            }
        } else if path.is_file() {
            found.open(path, false);
        } else if path.symlink_metadata().is_ok() {
            // A pipe, a device, or a link that leads nowhere: reading it says which.
            return Err(load::read_file(path).map_or_else(
                |failure| failure,
                |_| Failure::argument(format!("`{}` is no file and no folder", path.display()), "name files or folders"),
            ));
        } else {
            return Err(Failure::argument(
                format!("no file or folder `{}` is here", path.display()),
                "name files or folders that exist, or none for the whole project",
            ));
        }
    }
    found.rules_of_scenarios(Path::new("."))?;
    found.routing_of_scenarios(Path::new("."), is_routed)?;
    Ok(found)
}

impl Found {
    /// Whether nothing was read that could be reported on.
    const fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.policies.is_empty()
            && self.scenarios.is_empty()
            && self.recordings.is_empty()
            && self.alertmanagers == 0
    }

    /// What was measured of policies, and would be measured otherwise today.
    fn stale(&mut self, home: &Home) -> Result<(), Failure> {
        let Some(path) = home.project.as_ref().and_then(|project| project.confidence.as_ref()) else { return Ok(()) };
        let Some(measured) = self.keep(Calibrations::load(&path.value, &home.base))? else { return Ok(()) };
        let Some(setting) = self.keep(Setting::of(home, Named::default()))? else { return Ok(()) };
        let mut now = calibrate::scenarios_of(&setting.scenarios);
        now.extend(calibrate::incidents_now(home, &Routings::chosen(home, None)?)?);
        let mut changed = measured.changed(&now);
        let policies = self.policies.iter().map(|(_, policy)| policy);
        changed
            .extend(policies.filter(|own| measured.is_of_another_version(own)).map(|own| format!("the policy `{}` has changed", own.name)));
        if !changed.is_empty() {
            let others = changed.len().saturating_sub(MOST_CHANGES);
            let others = if others == 0 { String::new() } else { format!(", and {others} more") };
            changed.truncate(MOST_CHANGES);
            let told = format!("{} is stale: {}{others}", path.value, changed.join(", "));
            self.warnings.push(
                Problem::at("FD0392", &path.place, told)
                    .as_warning()
                    .remedy(format!("measure anew: `firedrill calibrate --write {}`", path.value)),
            );
        }
        Ok(())
    }

    fn alertmanager(&mut self, config: &Config) {
        self.alertmanagers += 1;
        self.receivers.extend(config.receivers.iter().map(|receiver| (receiver.name.clone(), !receiver.integrations.is_empty())));
        self.warnings.extend(config.warnings.iter().cloned());
    }

    /// Reads silences, which mute nothing where alerts are not routed.
    fn silences(&mut self, asked: Option<&Located<Name>>, base: &Path, has_routing: bool) -> Result<(), Failure> {
        let Some(asked) = asked else { return Ok(()) };
        if !has_routing {
            self.problems.push(nothing_to_silence(&asked.place));
        }
        self.keep(sources::silences(asked, base, Start::default())).map(drop)
    }

    /// Reads the Alertmanager configurations and silences that scenarios want instead of the project's, which may have some.
    fn routing_of_scenarios(&mut self, base: &Path, is_routed: bool) -> Result<(), Failure> {
        for scenario in self.scenarios.clone() {
            if let Some(own) = &scenario.alertmanager
                && let Some(routing) = self.keep(sources::routing(own, base))?
            {
                self.alertmanager(&routing.config);
            }
            self.silences(scenario.silences.as_ref(), base, is_routed || scenario.alertmanager.is_some())?;
        }
        Ok(())
    }

    /// Reads the rules that scenarios want beside the project's.
    fn rules_of_scenarios(&mut self, base: &Path) -> Result<(), Failure> {
        for scenario in self.scenarios.clone() {
            let own = self.keep(sources::rule_texts(&scenario.rules, base))?.unwrap_or_default();
            let news = own.into_iter().filter(|source| !self.rules.iter().any(|known| known.path == source.path)).collect::<Vec<_>>();
            self.rules.extend(news);
        }
        Ok(())
    }

    /// What was read, or nothing and its problems.
    fn keep<T>(&mut self, read: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match read {
            Ok(thing) => Ok(Some(thing)),
            Err(Failure::Input(problems)) => {
                self.problems.extend(problems);
                Ok(None)
            }
            Err(machine) => Err(machine),
        }
    }

    /// Keeps the rule files that are sound, and the problems of the others.
    fn drop_broken_rules(&mut self) {
        for source in std::mem::take(&mut self.rules) {
            match RuleSet::read([(source.path.as_str(), source.text.as_str())]) {
                Ok(_) => self.rules.push(source),
                Err(problems) => self.problems.extend(problems),
            }
        }
    }

    /// Reads a file that was not read yet, by whatever name.
    fn open(&mut self, path: &Path, in_folder: bool) {
        if !self.known.insert(load::real(path)) {
            return;
        }
        match load::read_file(path) {
            Ok(source) => self.read(source, in_folder),
            Err(Failure::Input(problems)) => self.problems.extend(problems),
            Err(Failure::Machine(error)) => self.problems.push(machine(&path.display().to_string(), &error)),
        }
    }

    /// Reads one file as what it says it is. In a folder, YAML that is none of ours is passed over.
    fn read(&mut self, source: Source, in_folder: bool) {
        match kind::of(&source) {
            Some(Kind::Rules) if in_folder && !is_rule_file(&source) => self.passed_over.push(source.path),
            Some(kind) => self.read_as(kind, source),
            None if in_folder && !claims(&source) => self.passed_over.push(source.path),
            None => match yaml::parse_many(&source.path, &source.text) {
                Err(problems) => self.problems.extend(problems),
                Ok(documents) => self.problems.push(stranger(&source.path, documents.first())),
            },
        }
    }

    fn read_as(&mut self, kind: Kind, source: Source) {
        let (path, text) = (source.path.as_str(), source.text.as_str());
        let read = match kind {
            Kind::Rules => {
                self.rules.push(source);
                return;
            }
            Kind::Scenario => load::read_scenario(&source).map(|scenario| self.scenarios.push(Arc::new(scenario))),
            Kind::Policy => load::read_policy(&source, &self.shared).map(|policy| self.policies.push((source.clone(), policy))),
            Kind::Project => project::read(path, text).map(|project| {
                self.projects += 1;
                self.problems.extend(thresholds(&project));
            }),
            Kind::Mapping => recording_mapping::read_mapping(path, text).map(|_| self.mappings += 1),
            Kind::Alertmanager => read_config(path, text).map(|config| self.alertmanager(&config)),
            Kind::Incident => {
                let files = IncidentFiles::Folder(Path::new(path).parent().unwrap_or(Path::new(".")).to_owned());
                read_incident(path, &files).and_then(|incident| {
                    let (recording, alerts) = whole_recording(&incident, &files)?;
                    self.recordings.push(Arc::new(recording));
                    self.alerts_of_incidents.extend(alerts);
                    self.declared.push(incident.inventory);
                    Ok(())
                })
            }
        };
        self.problems.extend(read.err().unwrap_or_default());
    }
}

/// The recording of an incident whose own rules, policies and Alertmanager configuration can be read too, and the alerts of its own rules.
fn whole_recording(incident: &Incident, files: &IncidentFiles) -> Result<(Recording, Vec<Name>), Vec<Problem>> {
    let base = files.base();
    let routing = incident.alertmanager.as_ref().map(|own| sources::routing(own, &base));
    let silences = incident.silences.as_ref().map(|own| sources::silences(own, &base, Start::default()));
    let (alerts, wrong_rules) = match sources::rules(&incident.rules, &base) {
        Ok(own) => (alerts(&own.set).collect(), None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let reads =
        [wrong_rules, sources::answer(&incident.policies, &base).err(), routing.and_then(Result::err), silences.and_then(Result::err)];
    let told = |failure: Failure| match failure {
        Failure::Input(problems) => problems,
        Failure::Machine(error) => vec![machine(&incident.recording.place.file().path, &error)],
    };
    let mut problems: Vec<Problem> = reads.into_iter().flatten().flat_map(told).collect();
    match read_recording(incident, files) {
        Ok(recording) if problems.is_empty() => Ok((recording, alerts)),
        recording => {
            problems.extend(recording.err().unwrap_or_default());
            Err(problems)
        }
    }
}

/// The machine would not, and the check goes on.
fn machine(path: &str, error: &anyhow::Error) -> Problem {
    Problem::in_file("FD0908", path, format!("{error:#}"))
}

/// The problem of a file that is none of ours.
fn stranger(path: &str, document: Option<&Node>) -> Problem {
    let schema = document.and_then(|node| entry(node, "schema"));
    match schema.map(|node| &node.value) {
        Some(Value::Text(schema)) => {
            let name = schema.split('/').next().unwrap_or_default();
            let problem = Problem::in_file("FD0902", path, format!("`schema: {name}/…` is no schema of firedrill's"));
            problem.remedy("known are project, scenario, policy, incident, mapping")
        }
        _ if document.is_some_and(|node| entry(node, "receivers").is_some()) => {
            Problem::in_file("FD0902", path, "this looks like an Alertmanager configuration without a route")
                .remedy("add `route: { receiver: NAME }`; Alertmanager refuses a file without it")
        }
        _ => Problem::in_file("FD0902", path, "this is no file that firedrill knows")
            .remedy("firedrill's own files begin with `schema: NAME/N`; Prometheus rule files have `groups:`"),
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(candidate, _)| &*candidate.text == key).map(|(_, node)| node)
}

/// Whether a file begins as one of ours does, so that what is wrong with it is worth saying.
fn claims(source: &Source) -> bool {
    source.text.lines().any(|line| line.starts_with("groups:") || line.starts_with("schema:") || line.starts_with("kind: PrometheusRule"))
}

/// Whether `groups:` are those of a rule file. Other programs keep other things by that key: then no group has `rules`, and there is a key that
/// no group of rules has.
fn is_rule_file(source: &Source) -> bool {
    const KEYS: [&str; 7] = ["name", "rules", "interval", "limit", "query_offset", "labels", "partial_response_strategy"];
    let documents = yaml::parse_many(&source.path, &source.text).unwrap_or_default();
    let Some(groups) = documents.first().and_then(|node| entry(node, "groups")) else { return true };
    let Value::List(groups) = &groups.value else { return matches!(groups.value, Value::Null) };
    let is_foreign = |group: &Node| match &group.value {
        Value::Map(entries) => entries.iter().any(|(key, _)| !KEYS.contains(&&*key.text)),
        _ => true,
    };
    groups.iter().any(|group| entry(group, "rules").is_some()) || !groups.iter().any(is_foreign)
}
