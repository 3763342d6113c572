//! `firedrill check`: reads everything, reports every problem and every lint, changes nothing.

use std::path::Path;
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::problem::{Problem, Severity};
use firedrill_core::yaml::{self, Value};
use firedrill_policies::document::read_policy;
use firedrill_policies::explain;
use firedrill_policies::policy::Policy;
use firedrill_policies::rules::{Coverage, RuleSet, coverage};
use firedrill_reports::verdict::Threshold;
use firedrill_scenarios::incident::{read_incident, read_recording};
use firedrill_scenarios::{Scenario, read_scenario, recording_mapping};
use firedrill_telemetry::store::Store;
use rayon::prelude::*;
use serde_json::json;

use super::setting::{RuleNames, Setting};
use crate::cli::{CheckArgs, Format};
use crate::drill::{Answer, Drill, Rules};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load::{self, Source};
use crate::output::Output;
use crate::project;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.check/1";

/// What was read, by kind.
#[derive(Default)]
struct Found {
    rules: Vec<Source>,
    policies: Vec<(String, Arc<Policy>)>,
    scenarios: Vec<Arc<Scenario>>,
    incidents: usize,
    projects: usize,
    mappings: usize,
    problems: Vec<Problem>,
}

/// One rule and whether it can say anything here.
struct Rule {
    file: String,
    group: String,
    name: String,
    alerting: bool,
    coverage: Coverage,
}

/// Checks files, or all that the project names.
pub fn execute(arguments: &CheckArgs, output: Output) -> Result<Exit, Failure> {
    let mut found = if arguments.paths.is_empty() { whole_project()? } else { named(&arguments.paths)? };
    let set = match RuleSet::read(found.rules.iter().map(|source| (source.path.as_str(), source.text.as_str()))) {
        Ok(set) => set,
        Err(problems) => {
            found.problems.extend(problems);
            RuleSet::read([]).map_err(Failure::Input)?
        }
    };
    if found.problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Failure::Input(found.problems));
    }
    let stage = if found.scenarios.is_empty() {
        Setting::here(&[], &[])?.scenarios.into_iter().map(|(scenario, _)| scenario).collect()
    } else {
        found.scenarios.clone()
    };
    let rules = cover(&set, &stage);
    let lints = lint(&found, &set, &stage)?;
    match output.format {
        Format::Json => output.data(&as_json(&found, &rules, &lints))?,
        Format::Text => output.data(&told(&found, &rules, stage.len()))?,
    }
    output.problems(&lints);
    Ok(Exit::Held)
}

fn whole_project() -> Result<Found, Failure> {
    let (project, base) = sources::project_at(sources::PROJECT_FILE)?;
    let mut problems = thresholds(&project);
    let mut keep = |failure: Failure| match failure {
        Failure::Input(found) => {
            problems.extend(found);
            Ok(())
        }
        machine @ Failure::Machine(_) => Err(machine),
    };
    let mut found = Found { projects: 1, ..Found::default() };
    match sources::rule_texts(&project.rules, &base) {
        Ok(rules) => found.rules = rules,
        Err(failure) => keep(failure)?,
    }
    match sources::answer(&project.policies, &base) {
        Ok(answer) => {
            found.policies =
                answer.policies.iter().zip(&answer.sources).map(|(policy, (_, path))| (path.clone(), Arc::clone(policy))).collect()
        }
        Err(failure) => keep(failure)?,
    }
    match sources::scenarios(&project.scenarios, &base) {
        Ok(scenarios) => found.scenarios = scenarios,
        Err(failure) => keep(failure)?,
    }
    for name in sources::incident_folders(&project.incidents, &base)? {
        match sources::incident(&name, Path::new(".")).and_then(|(incident, files)| Ok(read_recording(&incident, &files)?)) {
            Ok(_) => found.incidents += 1,
            Err(failure) => keep(failure)?,
        }
    }
    found.problems = problems;
    Ok(found)
}

fn thresholds(project: &project::Project) -> Vec<Problem> {
    let wrong = |line: &project::ThresholdLine| {
        Threshold::parse(&line.measure, &line.bound).err().map(|error| Problem::at("FD0603", &line.place, error.to_string()))
    };
    project.thresholds.iter().filter_map(wrong).collect()
}

fn named(paths: &[String]) -> Result<Found, Failure> {
    let mut found = Found::default();
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
                found.read(load::read_file(&file)?, true);
            }
        } else if path.is_file() {
            found.read(load::read_file(path)?, false);
        } else {
            return Err(Failure::argument(
                format!("no file or folder `{}` is here", path.display()),
                "name files or folders that exist, or none for the whole project",
            ));
        }
    }
    Ok(found)
}

impl Found {
    /// Reads one file as what it says it is. In a folder, YAML that is none of ours is passed over.
    fn read(&mut self, source: Source, in_folder: bool) {
        match kind_of(&source) {
            Ok(Some(kind)) => self.read_as(&kind, source),
            Ok(None) if in_folder => {}
            Ok(None) => {
                let problem = Problem::in_file("FD0902", &source.path, "this is no file that firedrill knows");
                self.problems
                    .push(problem.remedy("firedrill's own files begin with `schema: NAME/N`; Prometheus rule files have `groups:`"));
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    fn read_as(&mut self, kind: &str, source: Source) {
        let (path, text) = (source.path.as_str(), source.text.as_str());
        let read = match kind {
            "rules" => {
                self.rules.push(source);
                return;
            }
            "scenario" => read_scenario(path, text).map(|scenario| self.scenarios.push(Arc::new(scenario))),
            "policy" => read_policy(path, text).map(|policy| self.policies.push((path.to_owned(), policy))),
            "project" => project::read(path, text).map(|project| {
                self.projects += 1;
                self.problems.extend(thresholds(&project));
            }),
            "mapping" => recording_mapping::read_mapping(path, text).map(|_| self.mappings += 1),
            "incident" => {
                let files = sources::IncidentFiles::Folder(Path::new(path).parent().unwrap_or(Path::new(".")).to_owned());
                read_incident(path, &files).and_then(|incident| read_recording(&incident, &files)).map(|_| self.incidents += 1)
            }
            other => {
                let problem = Problem::in_file("FD0902", path, format!("`schema: {other}/…` is no schema of firedrill's"));
                Err(vec![problem.remedy("known are project, scenario, policy, incident, mapping")])
            }
        };
        self.problems.extend(read.err().unwrap_or_default());
    }
}

/// What a file says it is: the name in its `schema`, or `rules`.
fn kind_of(source: &Source) -> Result<Option<String>, Vec<Problem>> {
    let documents = yaml::parse_many(&source.path, &source.text)?;
    let kind = documents.first().and_then(|node| match &node.value {
        Value::Map(entries) => {
            let value = |key: &str| entries.iter().find(|(candidate, _)| &*candidate.text == key).map(|(_, node)| &node.value);
            match (value("schema"), value("groups"), value("kind")) {
                (Some(Value::Text(schema)), ..) => Some(schema.split('/').next().unwrap_or_default().to_owned()),
                (None, Some(_), _) => Some("rules".to_owned()),
                (None, None, Some(Value::Text(kind))) if &**kind == "PrometheusRule" => Some("rules".to_owned()),
                _ => None,
            }
        }
        _ => None,
    });
    Ok(kind)
}

/// Each rule's best coverage over the scenarios: it can fire if it can in one of them.
fn cover(set: &Arc<RuleSet>, scenarios: &[Arc<Scenario>]) -> Vec<Rule> {
    if set.rules().next().is_none() {
        return Vec::new();
    }
    let nobody = Arc::new(Answer { policies: Vec::new(), label: String::new(), sources: Vec::new(), hash: String::new() });
    let rules = Arc::new(Rules { set: Arc::clone(set), hash: String::new() });
    let watch = |scenario: &Arc<Scenario>| -> (Store, Store) {
        let drill = Drill {
            scenario: Arc::clone(scenario),
            rules: Arc::clone(&rules),
            answer: Arc::clone(&nobody),
            stage: firedrill_policies::guard::stage::Stage::Full,
        };
        drill.observe(1)
    };
    let seen: Vec<(Store, Store)> = scenarios.par_iter().map(watch).collect();
    let mut best: Vec<Option<Rule>> = set.rules().map(|_| None).collect();
    for (raw, derived) in &seen {
        for (slot, (group, rule, found)) in best.iter_mut().zip(coverage(set, raw, derived)) {
            if slot.as_ref().is_none_or(|known| weight(&found) > weight(&known.coverage)) {
                *slot = Some(Rule {
                    file: group.file.clone(),
                    group: group.name.to_string(),
                    name: rule.name.to_string(),
                    alerting: rule.is_alerting(),
                    coverage: found,
                });
            }
        }
    }
    best.into_iter().flatten().collect()
}

const fn weight(coverage: &Coverage) -> u8 {
    match coverage {
        Coverage::Unsupported(_) => 0,
        Coverage::None(_) => 1,
        Coverage::Partial(_) => 2,
        Coverage::Full => 3,
    }
}

fn lint(found: &Found, set: &Arc<RuleSet>, scenarios: &[Arc<Scenario>]) -> Result<Vec<Problem>, Failure> {
    if found.policies.is_empty() {
        return Ok(Vec::new());
    }
    // Policies checked on their own are checked against the rules that the project or the library would give them.
    let rules = if found.rules.is_empty() {
        let project = sources::project_here()?;
        let names = project.as_ref().map_or_else(RuleNames::library, |project| RuleNames::of(project, Path::new(".")));
        Arc::clone(&names.load(&[])?.set)
    } else {
        Arc::clone(set)
    };
    // A cap is judged against everything that any scenario declares.
    let mut inventory = Inventory::default();
    for scenario in scenarios {
        inventory.services.extend(scenario.spec.inventory().services);
    }
    let mut lints = explain::twins(&found.policies);
    lints.extend(found.policies.iter().flat_map(|(path, policy)| explain::lints(path, policy, &rules, &inventory)));
    Ok(lints)
}

fn told(found: &Found, rules: &[Rule], scenarios: usize) -> String {
    let mut lines = vec![format!(
        "read {} rules in {} files, {} policies, {} scenarios, {} incidents: all sound",
        rules.len(),
        found.rules.len(),
        found.policies.len(),
        found.scenarios.len(),
        found.incidents
    )];
    if !rules.is_empty() {
        let able = rules.iter().filter(|rule| matches!(rule.coverage, Coverage::Full | Coverage::Partial(_))).count();
        lines.push(format!("{able} of {} of your rules can fire here (judged by the series of {scenarios} scenarios)", rules.len()));
    }
    for rule in rules {
        let why = match &rule.coverage {
            Coverage::Full => continue,
            Coverage::Partial(missing) => format!("may fire, though nothing here exposes {}", missing.join(", ")),
            Coverage::None(missing) => format!("cannot fire: nothing here exposes {}", missing.join(", ")),
            Coverage::Unsupported(reason) => format!("cannot be evaluated yet: {reason}"),
        };
        let kind = if rule.alerting { "alert" } else { "record" };
        lines.push(format!("  {kind} {} ({}, group {}): {why}", rule.name, rule.file, rule.group));
    }
    lines.join("\n")
}

fn as_json(found: &Found, rules: &[Rule], lints: &[Problem]) -> String {
    let rule = |rule: &Rule| {
        let (verdict, why): (&str, Vec<String>) = match &rule.coverage {
            Coverage::Full => ("can_fire", Vec::new()),
            Coverage::Partial(missing) => ("may_fire", missing.clone()),
            Coverage::None(missing) => ("cannot_fire", missing.clone()),
            Coverage::Unsupported(reason) => ("unsupported", vec![reason.clone()]),
        };
        json!({ "file": rule.file, "group": rule.group, "rule": rule.name, "alerting": rule.alerting, "verdict": verdict, "why": why })
    };
    let lint = |problem: &Problem| json!({ "code": problem.code, "path": problem.path, "line": problem.place.as_ref().map(|place| place.line()), "message": problem.message, "remedy": problem.remedy });
    let document = json!({
        "schema": SCHEMA,
        "policies": found.policies.len(),
        "scenarios": found.scenarios.len(),
        "incidents": found.incidents,
        "projects": found.projects,
        "mappings": found.mappings,
        "rules": rules.iter().map(rule).collect::<Vec<_>>(),
        "lints": lints.iter().map(lint).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}
