//! The project file `firedrill.yaml`: where things lie, what is rehearsed, what must hold.

use std::sync::Arc;

use clap::ValueEnum;
use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place, Problem, near_miss};
use firedrill_core::yaml::{self, Fields, Node, Reader};
use firedrill_policies::document::{Scripts, estate_services, estate_zones, kill_switches, shared_actions};
use firedrill_policies::guard::estate::Estate;
use firedrill_policies::rules::lint::Conventions;
use firedrill_policies::shared::Shared;
use firedrill_reports::verdict::Threshold;
use firedrill_scenarios::document::chaos::{self, ChaosDocument};

use crate::cli::OnInconclusive;
use crate::load;
use crate::promotion::profile::{self, Promotions};
use crate::revision;

/// A project, paths still relative to its file.
#[derive(Clone, Debug)]
pub struct Project {
    /// The first seed; every other follows from it.
    pub seed: u64,
    /// Seeds for each scenario.
    pub pairs: u32,
    /// Rule files, folders, or names from the library.
    pub rules: Vec<Located<Name>>,
    /// The Alertmanager configuration; `None`: every alert is told at once and by itself.
    pub alertmanager: Option<Located<Name>>,
    /// The file of silences that are set at the start of every run.
    pub silences: Option<Located<Name>>,
    /// What the project has on duty: policy files, folders, or names from the library.
    pub policies: Vec<Located<Name>>,
    /// What becomes of a verdict that these runs do not tell.
    pub on_inconclusive: OnInconclusive,
    /// At most so many seeds for each scenario when pairs are added to what is inconclusive.
    pub max_pairs: u32,
    /// What a candidate is compared with, likewise, or one revision such as `git:main`; empty: `policies`, where the candidate takes the place of one of them.
    pub baseline: Vec<Located<Name>>,
    /// The file of what drills have shown of policies; `None`: nothing was measured.
    pub confidence: Option<Located<Name>>,
    /// Scenario files, folders, names or families.
    pub scenarios: Vec<Located<Name>>,
    /// Incident folders, or folders of incident folders.
    pub incidents: Vec<Located<Name>>,
    /// Files of decision tests, or folders of them, against which mutants are held.
    pub tests: Vec<Located<Name>>,
    /// The labels that alerts should have (`lint:`).
    pub lint: Conventions,
    /// The files or folders of the Rego rules that every action is offered to.
    pub rego: Vec<Located<Name>>,
    /// What it says for all its policies, but for the rules, which are not read yet.
    pub shared: Shared,
    /// What may differ in variants of its scenarios; `None`: it does not say, and its gate plays none.
    pub chaos: Option<ChaosDocument>,
    /// What it says of promotions: `promotion:` and `people:`.
    pub promotions: Promotions,
    /// What must hold, such as (`time_to_recover`, `p90 < 5m`).
    pub thresholds: Vec<ThresholdLine>,
}

/// A threshold as written, with its place for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdLine {
    /// The measure's name.
    pub measure: Name,
    /// The bound, such as `p90 < 5m`.
    pub bound: Name,
    /// Where it stands.
    pub place: Place,
}

impl Project {
    /// What must hold, read.
    ///
    /// # Errors
    /// Every threshold that is wrong.
    pub fn read_thresholds(&self) -> Result<Vec<Threshold>, Vec<Problem>> {
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for line in &self.thresholds {
            match Threshold::parse(&line.measure, &line.bound) {
                Ok(threshold) => all.push(threshold),
                Err(error) => problems.push(Problem::at("FD0603", &line.place, error.to_string())),
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }
}

/// Seeds for each scenario when the project does not say.
pub const DEFAULT_PAIRS: u32 = 5;

/// To how many seeds for each scenario pairs are added when the project does not say.
pub const DEFAULT_MAX_PAIRS: u32 = 1200;

/// Reads a project file.
///
/// # Errors
/// Every problem of the file.
pub fn read(path: &str, text: &str) -> Result<Project, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let project = read_project(&mut reader, &node, &load::scripts_beside(path));
    reader.finish()?;
    Ok(project.expect("a project without problems is whole"))
}

fn read_project(reader: &mut Reader, node: &Node, scripts: Scripts<'_>) -> Option<Project> {
    let mut fields = reader.fields(node, "a project")?;
    reader.schema(&mut fields, "project", 1);
    let seed = fields.optional("seed").and_then(|node| reader.integer(node, "the seed", 0..=i64::MAX));
    let pairs = fields.optional("pairs").and_then(|node| reader.integer(node, "pairs", 1..=100_000));
    let max_pairs = fields.optional("max_pairs").and_then(|node| reader.integer(node, "`max_pairs`", 1..=100_000));
    let count = |pairs: i64| u32::try_from(pairs).expect("within the range asked for");
    let project = Project {
        seed: seed.map_or(1, i64::unsigned_abs),
        pairs: pairs.map_or(DEFAULT_PAIRS, count),
        on_inconclusive: fields.optional("on_inconclusive").and_then(|node| on_inconclusive(reader, node)).unwrap_or_default(),
        max_pairs: max_pairs.map_or(DEFAULT_MAX_PAIRS, count),
        rules: names(reader, &mut fields, "rules"),
        alertmanager: fields.optional("alertmanager").and_then(|node| located(reader, node, "the path of an `alertmanager.yml`")),
        silences: fields.optional("silences").and_then(|node| located(reader, node, "the path of a file of silences")),
        policies: names(reader, &mut fields, "policies"),
        baseline: baseline(reader, &mut fields),
        confidence: fields.optional("confidence").and_then(|node| located(reader, node, "the path of a file of `firedrill calibrate`")),
        scenarios: names(reader, &mut fields, "scenarios"),
        incidents: names(reader, &mut fields, "incidents"),
        tests: names(reader, &mut fields, "tests"),
        lint: lint(reader, &mut fields),
        rego: names(reader, &mut fields, "rego"),
        shared: shared(reader, &mut fields, scripts),
        chaos: fields.optional("chaos").and_then(|node| chaos::read(reader, node)),
        promotions: promotions(reader, &mut fields),
        thresholds: thresholds(reader, &mut fields),
    };
    fields.finish(reader);
    Some(project)
}

/// `actions:`, `kill_switch:`, `services:` and `zones:`.
fn shared(reader: &mut Reader, fields: &mut Fields<'_>, scripts: Scripts<'_>) -> Shared {
    let actions = fields.optional("actions").map(|node| shared_actions(reader, node, scripts));
    let kill_switches = fields.optional("kill_switch").map(|node| kill_switches(reader, node));
    let mut estate = Estate::default();
    if let Some(node) = fields.optional("services") {
        estate_services(reader, node, &mut estate);
    }
    if let Some(node) = fields.optional("zones") {
        estate_zones(reader, node, &mut estate);
    }
    let estate = Arc::new(estate);
    Shared { actions: actions.unwrap_or_default(), kill_switches: kill_switches.unwrap_or_default(), estate, code: None }
}

/// `promotion:` and `people:`.
fn promotions(reader: &mut Reader, fields: &mut Fields<'_>) -> Promotions {
    let mut promotions = Promotions::default();
    if let Some(node) = fields.optional("promotion") {
        profile::read(reader, node, &mut promotions);
    }
    if let Some(node) = fields.optional("people") {
        profile::read_people(reader, node, &mut promotions);
    }
    promotions
}

/// `lint: { severity: severity, owner: [team, owner] }`: of each the labels of which an alert should have one.
fn lint(reader: &mut Reader, fields: &mut Fields<'_>) -> Conventions {
    let mut conventions = Conventions::default();
    let Some(mut entries) = fields.optional("lint").and_then(|node| reader.fields(node, "`lint`")) else { return conventions };
    if let Some(node) = entries.optional("severity") {
        conventions.severity = labels(reader, node);
    }
    if let Some(node) = entries.optional("owner") {
        conventions.owner = labels(reader, node);
        conventions.is_owner_asked_for = true;
    }
    entries.finish(reader);
    conventions
}

/// One name of a label, or a list of them; an empty list asks for none.
fn labels(reader: &mut Reader, node: &Node) -> Vec<Name> {
    let items = match &node.value {
        yaml::Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| reader.text(item, "the name of a label").cloned()).collect()
}

fn names(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Located<Name>> {
    fields.optional(key).map_or_else(Vec::new, |node| named(reader, node, key))
}

fn named(reader: &mut Reader, node: &Node, key: &str) -> Vec<Located<Name>> {
    let what = format!("`{key}`");
    let Some(items) = reader.list(node, &what) else { return Vec::new() };
    items.iter().filter_map(|item| located(reader, item, "a path or a name")).collect()
}

fn on_inconclusive(reader: &mut Reader, node: &Node) -> Option<OnInconclusive> {
    let all = OnInconclusive::value_variants();
    let words: Vec<&str> = all.iter().map(|own| own.word()).collect();
    let given = reader.text(node, "`fail`, `extend` or `warn`")?;
    let found = all.iter().copied().find(|own| own.word() == &**given);
    if found.is_none() {
        let near = near_miss(given, &words)
            .map_or_else(|| "write `fail`, `extend` or `warn`".to_owned(), |near| format!("did you mean `{near}`?"));
        reader.problem(
            Problem::at("FD0616", &node.place, format!("`{given}` is nothing that can become of an inconclusive verdict")).remedy(near),
        );
    }
    found
}

/// `baseline: [a.yaml]`, or `baseline: git:main`. A revision stands alone: it brings the policies that it had on duty.
fn baseline(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<Located<Name>> {
    let Some(node) = fields.optional("baseline") else { return Vec::new() };
    if !matches!(node.value, yaml::Value::List(_)) {
        return located(reader, node, "a path, a name, or a revision such as `git:main`").into_iter().collect();
    }
    let found = named(reader, node, "baseline");
    if let Some(one) = found.iter().find(|one| found.len() > 1 && revision::asked(&one.value).is_some()) {
        let problem = Problem::at("FD0614", &one.place, format!("the revision `{}` stands beside other baselines", one.value));
        reader.problem(problem.remedy("name it alone: it brings the policies that it had on duty"));
    }
    found
}

fn located(reader: &mut Reader, node: &Node, what: &str) -> Option<Located<Name>> {
    Some(Located { place: node.place.clone(), value: reader.text(node, what)?.clone() })
}

fn thresholds(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<ThresholdLine> {
    let Some(node) = fields.optional("thresholds") else { return Vec::new() };
    let Some(entries) = reader.fields(node, "thresholds") else { return Vec::new() };
    let mut lines = Vec::new();
    for (key, value) in entries.entries() {
        // A measure may have one bound or a list of bounds.
        let bounds = match &value.value {
            yaml::Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        if bounds.is_empty() {
            let problem = Problem::at("FD0640", &value.place, format!("{} has no bound, and would not be judged", key.text));
            reader.problem(problem.remedy(format!("write one, such as `{}: max == 0`, or leave the line out", key.text)));
        }
        for bound in bounds {
            // A number is a bound without its comparison, and not a text without its quotes.
            let number = matches!(bound.value, yaml::Value::Integer(_) | yaml::Value::Float(_));
            let number = number.then(|| Name::from(bound.place.file().text[bound.place.range()].trim().to_owned()));
            if let Some(bare) = number {
                lines.push(ThresholdLine { measure: key.text.clone(), bound: bare, place: bound.place.clone() });
            } else if let Some(text) = reader.text(bound, "a bound such as `p90 < 5m`") {
                lines.push(ThresholdLine { measure: key.text.clone(), bound: text.clone(), place: bound.place.clone() });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_reads_with_defaults_for_what_it_leaves_out() {
        let project =
            read("firedrill.yaml", "schema: project/1\npolicies: [a.yaml]\nthresholds:\n  harm: [max < 1, mean < 0.1]\n").unwrap();
        assert_eq!((project.seed, project.pairs, project.policies.len(), project.thresholds.len()), (1, DEFAULT_PAIRS, 1, 2));
    }

    #[test]
    fn a_number_is_no_bound_and_what_is_missing_is_told() {
        let project = read("firedrill.yaml", "schema: project/1\nthresholds: { harm: 5 }\n").unwrap();
        let problems = project.read_thresholds().unwrap_err();
        assert_eq!(problems[0].message, "`5` compares nothing: write it as `p90 < LIMIT`, with one of < <= > >= ==");
    }

    #[test]
    fn a_baseline_is_a_list_of_policies_or_one_revision() {
        let baseline = |text: &str| read("firedrill.yaml", &format!("schema: project/1\nbaseline: {text}\n"));
        let names = |text: &str| baseline(text).unwrap().baseline.iter().map(|one| one.value.to_string()).collect::<Vec<_>>();
        assert_eq!(names("git:origin/main"), ["git:origin/main"]);
        assert_eq!(names("[git:main]"), ["git:main"]);
        assert_eq!(names("[a.yaml, b.yaml]"), ["a.yaml", "b.yaml"]);
        assert_eq!(baseline("[a.yaml, git:main]").unwrap_err()[0].code, "FD0614");
    }

    #[test]
    fn what_becomes_of_inconclusive_verdicts_is_one_of_three_words() {
        let read = |text: &str| read("firedrill.yaml", &format!("schema: project/1\non_inconclusive: {text}\n"));
        assert_eq!(read("warn").unwrap().on_inconclusive, OnInconclusive::Warn);
        let problems = read("extent").unwrap_err();
        assert_eq!((problems[0].code, problems[0].remedy.as_deref()), ("FD0616", Some("did you mean `extend`?")));
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
        let problems = read("firedrill.yaml", "schema: project/1\npolices: [a.yaml]\n").unwrap_err();
        assert_eq!(problems[0].message, "a project has no key `polices`");
        assert_eq!(problems[0].remedy.as_deref(), Some("did you mean `policies`?"));
    }
}
