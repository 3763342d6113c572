//! `firedrill explain`: what a name means, in prose.

mod policy_page;
pub(super) mod tables;

use std::path::Path;

use firedrill_core::problem::near_miss;
use firedrill_core::time::Span;
use firedrill_policies::explain as policy_prose;
use firedrill_policies::rules::{Rule, RuleKind, RuleSet};
use firedrill_reports::verdict::Measure;
use firedrill_scenarios::defaults;
use firedrill_scenarios::explain as scenario_prose;
use serde_json::json;

use crate::cli::{ExplainArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::kind::{self, Kind};
use crate::library;
use crate::load::{self, Source};
use crate::output::Output;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.explain/1";

/// How recordings of real systems become incidents; the page that the project's documentation shows.
const RECORDINGS: &str = include_str!("../../docs/recordings.md");

/// Rules that know the hour, the service and last week, histories, and incidents made of alerts; likewise.
const CONTEXT: &str = include_str!("../../docs/context.md");

/// Every key, value, fault and action of a scenario; likewise.
const SCENARIOS: &str = include_str!("../../docs/scenarios.md");

/// Every key, step and guard of a policy; likewise.
const POLICIES: &str = include_str!("../../docs/policies.md");

/// A project's Rego rules over all actions; likewise.
const POLICY_AS_CODE: &str = include_str!("../../docs/policy-as-code.md");

/// Explains a file, a thing of the project or the library, a measure, a word of the glossary, or one of a few pages.
pub fn execute(arguments: &ExplainArgs, output: Output) -> Result<Exit, Failure> {
    let name = arguments.name.as_str();
    let text = match name {
        "context" => CONTEXT.to_owned(),
        "defaults" => scenario_prose::defaults(),
        "exit-codes" => exit_codes(),
        "measures" => measures(),
        "policies" => POLICIES.to_owned(),
        "policy" => policy_page::page(),
        "policy-as-code" => POLICY_AS_CODE.to_owned(),
        "recordings" => RECORDINGS.to_owned(),
        "scenarios" => SCENARIOS.to_owned(),
        _ if Path::new(name).is_file() => file(name)?,
        _ => named(name)?,
    };
    match output.format {
        Format::Text => output.data(&text)?,
        Format::Json => output.data(&json!({ "schema": SCHEMA, "name": name, "text": text }).to_string())?,
    }
    Ok(Exit::Held)
}

/// A file, as what it says it is.
fn file(path: &str) -> Result<String, Failure> {
    let source = load::read_file(Path::new(path))?;
    match kind::of(&source) {
        Some(Kind::Scenario) => scenario(&Home::here()?, path),
        Some(Kind::Policy) => policy(&Home::here()?, path),
        Some(Kind::Rules) => rules(&[source]),
        Some(other) => {
            let message = format!("{path} is {}; scenarios, policies and rule files can be explained", other.word());
            Err(Failure::argument(message, other.place(path)))
        }
        None => Err(Failure::argument(format!("{path} does not say what it is"), format!("`firedrill check {path}` tells what is wrong"))),
    }
}

/// A thing by its name: the project's first, then the library's, then words.
fn named(name: &str) -> Result<String, Failure> {
    let home = Home::here()?;
    let (scenarios, policies, shelf) = (home.scenarios()?, home.policies()?, library::rule_shelf());
    let own_rules = home.rule_files()?;
    let called = |source: &&Source| home::rule_file_name(source).is_some_and(|own| own == name);
    if scenarios.iter().any(|scenario| *scenario.name == *name) {
        return scenario(&home, name);
    }
    if policies.policies.iter().any(|policy| *policy.name == *name) {
        return policy(&home, name);
    }
    if let Some(own) = own_rules.iter().find(called) {
        return rules(std::slice::from_ref(own));
    }
    if library::scenario_shelf().names.contains(&name) {
        return scenario(&home, name);
    }
    if library::policy_shelf().names.contains(&name) {
        return policy(&home, name);
    }
    if let Some((path, text)) = (shelf.get)(name) {
        return rules(&[Source { path, text }]);
    }
    Measure::named(name).map(measure).or_else(|| word(name)).ok_or_else(|| {
        let own = scenarios.iter().map(|scenario| &*scenario.name).chain(policies.policies.iter().map(|policy| &*policy.name));
        unknown(name, &own.collect::<Vec<_>>())
    })
}

fn scenario(home: &Home, name: &str) -> Result<String, Failure> {
    let found = sources::scenarios_among(&home.scenarios()?, &[name], Path::new("."))?;
    Ok(found.iter().map(|scenario| scenario_prose::scenario(scenario)).collect::<Vec<_>>().join("\n"))
}

fn policy(home: &Home, name: &str) -> Result<String, Failure> {
    let found = home.answer(&[name])?;
    Ok(found.policies.iter().map(|policy| policy_prose::policy(policy)).collect::<Vec<_>>().join("\n"))
}

/// Rule files, rule by rule.
fn rules(sources: &[Source]) -> Result<String, Failure> {
    let set = RuleSet::read(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())))?;
    let mut text = String::new();
    for group in &set.groups {
        let interval = group.interval.map_or_else(String::new, |interval| format!(", every {interval}"));
        text += &format!("{}, group {}{interval}\n", group.file, group.name);
        text.extend(group.rules.iter().map(rule));
    }
    Ok(text)
}

fn rule(rule: &Rule) -> String {
    let expression = rule.expression.split_whitespace().collect::<Vec<_>>().join(" ");
    let (kind, hold) = match rule.kind {
        RuleKind::Recording => ("record", None),
        RuleKind::Alerting { hold, .. } => ("alert", Some(hold)),
    };
    let hold = hold.filter(|hold| *hold > Span::ZERO).map_or_else(String::new, |hold| format!(", for {hold} before it fires"));
    let labels: Vec<String> = rule.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("    with {}\n", labels.join(", ")) };
    let problem = rule.plan.as_ref().err().map_or_else(String::new, |error| format!("    cannot be evaluated yet: {error}\n"));
    format!("  {kind} {}{hold}\n    {expression}\n{labels}{problem}", rule.name)
}

fn exit_codes() -> String {
    Exit::MEANINGS.iter().map(|(exit, meaning)| format!("{:3}  {meaning}\n", exit.code())).collect()
}

fn measures() -> String {
    Measure::all().map(measure).collect::<Vec<_>>().join("\n")
}

fn measure(measure: Measure) -> String {
    format!("{}\n  {}\n", measure.word(), definition(measure.word()))
}

/// What each measure is, in its unit; docs and reports use the same words.
pub(super) fn definition(word: &str) -> &'static str {
    match word {
        "time_to_detect" => {
            "seconds from a fault's onset to the first notification whose target lies in the incident's scope; the horizon if none came, and none of an incident that closed before anybody felt or heard of it"
        }
        "time_to_mitigate" => {
            "seconds from onset until fewer than 1 % of requests were bad, for a minute, and users did not fall ill again; relapses count until half an hour after the incident's close, so well for a moment between two outages is not mitigated"
        }
        "time_to_recover" => {
            "seconds from onset until users were well to stay (see time_to_mitigate), capacity, redundancy and versions were as declared and no fault was active; its mean is the MTTR"
        }
        "recurrence" => "how often users were unwell again after they had been well for a minute, without the incident being another",
        "user_minutes_lost" => "share of bad requests times users, integrated over time, in user-minutes",
        "benefit" => "user-minutes lost by doing nothing, less those lost with the policy; more is better",
        "benefit_over_human" => {
            "user-minutes lost with a person on call, less those lost with the policy; more is better. None where nobody is on call or nothing can be cured"
        }
        "harm" => "user-minutes lost with the policy that doing nothing would not have lost, at least 0",
        "data_lost" => {
            "records lost with the policy: writes that had been made and a failover lost, and messages that an action threw away"
        }
        "data_harm" => "records lost with the policy that doing nothing would not have lost (see data_lost), at least 0",
        "regret" => "user-minutes lost with the policy beyond the oracle's",
        "requests_harmed" => "requests that were good with nobody acting and bad with the policy, matched one by one",
        "unmatched" => "requests that exist in one arm only",
        "actions" => "actions started",
        "false_positives" => {
            "actions out of scope: started on a target that no incident concerned at the time. It judges where and when, not what: a useless action on the right target is none, see harm, regret and time_to_recover for that"
        }
        "wrong_target" => "false positives while an incident was open elsewhere",
        "duplicate" => "actions started on a target where the same action was under way",
        "false_positive_rate" => "actions out of scope (see false_positives), of all actions",
        "noop_false_positives" => "actions in a scenario without a fault",
        "false_alarms" => "notifications while no open incident's scope held their target",
        "missed" => "incidents that users felt and that got neither a curing action nor a page",
        "blast_radius.services" => {
            "touched: share of services that were not as declared at some time with the policy and were without it; no harm by itself"
        }
        "blast_radius.replicas" => {
            "touched: share of replicas that the policy took out of service at some time and that stayed in it without; no harm by itself, a right rollback touches all"
        }
        "blast_radius.requests" => "hurt: share of requests that were good with nobody acting and bad with the policy",
        "blast_radius.commanded_service" => "largest share of a service's replicas under action at one time",
        "blast_radius.commanded_zone" => "largest share of a zone's replicas under action at one time",
        "blast_radius.commanded_fleet" => "largest share of all replicas under action at one time",
        "capacity_removed" => "largest share of a service out of service because of actions",
        "capacity_added" => "replica-hours beyond those of doing nothing",
        "flapping" => "actions on one target beyond 3 within 30 minutes",
        "fights" => {
            "policies that work against each other on one target, or against an autoscaler, a rollout or the cluster: one undoes within 10 minutes what the other did and is undone again, or disturbs an action of the other that is under way; a series on one target counts once"
        }
        "conflicts" => {
            "waits of a policy that could not act because another one had the target, by guard mutual_exclusion or cooldown; a wait counts once, however often it is refused"
        }
        "amplification" => "actions for each fault",
        "pages" => "pages sent to people",
        "needless_pages" => {
            "pages while nothing was wrong, or about an incident that was over before the run ended although nobody came and nobody allowed anything: in the policy's arm nobody answers a page"
        }
        "toil" => "minutes that the run cost people",
        "time_to_undo" => "seconds from a failed verification until what the action had changed was as before it",
        "safety_violations" => "guard limits exceeded, or actions in dry-run; must be 0",
        _ => "see docs/",
    }
}

/// A word of docs/GLOSSARY.md, and what it is as a key, a fault or an action of a file; or a default by the name that the list of them has for it.
fn word(word: &str) -> Option<String> {
    let pages = [("scenarios", SCENARIOS), ("policies", POLICIES)];
    if let Some(entry) = defaults::ALL.iter().find(|entry| entry.key == word && word.contains('.')) {
        let told = documented("scenarios", SCENARIOS, own_key(entry.key));
        return Some(sources(word).into_iter().chain(told).collect::<Vec<_>>().join("\n\n"));
    }
    let told = glossary(word).into_iter().chain(pages.into_iter().flat_map(|(name, page)| documented(name, page, word)));
    let mut all: Vec<String> = told.collect();
    if all.is_empty() {
        all.extend(pages.into_iter().flat_map(|(name, page)| valued(name, page, word)));
        all.extend(assumed(word));
    } else {
        all.extend(sources(word));
        all.extend(assumed(word).filter(|_| is_template(word)));
    }
    (!all.is_empty()).then(|| all.join("\n\n"))
}

/// The rows of a page's tables in which a word is a value that a key can have.
fn valued(name: &str, page: &str, word: &str) -> Vec<String> {
    let marked = format!("`{word}`");
    let can_be = |row: &tables::Row<'_>| row.cells.get(1).is_some_and(|cell| cell.contains(&marked));
    let told = |tables::Row { section, head, cells }: tables::Row<'_>| {
        let key = cells[0].trim_matches('`');
        format!("{word}, a value of {key} of {name} ({section}){}", columns(name, &head, &cells))
    };
    tables::rows(page).into_iter().filter(can_be).map(told).collect()
}

/// The last part of a default's name that is a key.
fn own_key(name: &str) -> &str {
    name.split('.').rfind(|part| *part != "*").unwrap_or(name)
}

/// What holds where a key is not said, and where that comes from; by the key alone, or by the whole name of its default.
fn sources(word: &str) -> Option<String> {
    let own = defaults::ALL.iter().filter(|entry| entry.key == word || own_key(entry.key) == word);
    let lines: Vec<String> = own.map(|entry| format!("\n  {}: {} ({})", entry.key, entry.value, entry.source)).collect();
    (!lines.is_empty()).then(|| format!("{word}, where a scenario does not say it{}", lines.concat()))
}

/// Whether a word is the name of a template, whatever else it is.
fn is_template(word: &str) -> bool {
    defaults::ALL
        .iter()
        .any(|entry| entry.key.strip_prefix("template.").and_then(|rest| rest.split_once('.')).is_some_and(|(own, _)| own == word))
}

/// What is assumed of a template or a preset, by its name or by the beginning that its keys have in common; `None` if the word is none.
fn assumed(word: &str) -> Option<String> {
    let has_beginning = |key: &str| key.strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
    // As it stands in a file, `retries: grpc`.
    let is_preset = |key: &str| key.split_once(".preset.").is_some_and(|(of, own)| word.split_once('.') == Some((of, own)));
    let is_its = |key: &str| key.split('.').any(|part| part == word) || word.contains('.') && (has_beginning(key) || is_preset(key));
    let own = defaults::ALL.iter().filter(|entry| is_its(entry.key));
    let lines: Vec<String> = own.map(|entry| format!("\n  {}: {} ({})", entry.key, entry.value, entry.source)).collect();
    (!lines.is_empty()).then(|| format!("{word} assumes{}", lines.concat()))
}

/// What the columns of a row beside its first say, with the sections that they point at.
fn columns(name: &str, head: &[&str], cells: &[&str]) -> String {
    let pointed = |cell: &str| {
        let sections = cell.split("[below](#").skip(1).filter_map(|rest| rest.split_once(')'));
        let sections: Vec<String> = sections.map(|(section, _)| section.replace('-', " ")).collect();
        let told = tables::without_links(cell);
        if sections.is_empty() { told } else { format!("{told} ({name}.md, {})", sections.join(", ")) }
    };
    head.iter().zip(cells).skip(1).map(|(title, cell)| format!("\n  {title}: {}", pointed(cell))).collect()
}

/// The rows of a page's tables that are about a word: each with its section and what its columns say.
fn documented(name: &str, page: &str, word: &str) -> Vec<String> {
    let of_word = |row: &tables::Row<'_>| row.cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) == Some(word);
    let told =
        |tables::Row { section, head, cells }: tables::Row<'_>| format!("{word}, of {name} ({section}){}", columns(name, &head, &cells));
    tables::rows(page).into_iter().filter(of_word).map(told).collect()
}

/// The words that a page's tables are about.
fn documented_words(page: &'static str) -> impl Iterator<Item = &'static str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(word, _)| word))
}

/// A word of docs/GLOSSARY.md.
fn glossary(word: &str) -> Option<String> {
    entries().find(|(known, _)| *known == word).map(|(word, meaning)| format!("{word}: {meaning}"))
}

fn words() -> impl Iterator<Item = &'static str> {
    entries().map(|(word, _)| word)
}

/// The rows of the glossary's table: word and meaning.
fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = include_str!("../../docs/GLOSSARY.md").lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
}

fn unknown<'a>(name: &str, own: &[&'a str]) -> Failure {
    let (scenarios, policies, rules) = (library::scenario_shelf(), library::policy_shelf(), library::rule_shelf());
    let shelves = [&scenarios.names, &policies.names, &rules.names];
    let mut known: Vec<&'a str> = own.to_vec();
    known.extend(shelves.into_iter().flatten());
    known.extend(Measure::all().map(|measure| -> &'a str { measure.word() }));
    known.extend(words().map(|word| -> &'a str { word }));
    known.extend([SCENARIOS, POLICIES].into_iter().flat_map(documented_words).map(|word| -> &'a str { word }));
    known.extend(defaults::ALL.iter().map(|entry| -> &'a str { entry.key }));
    known.extend(["context", "defaults", "exit-codes", "measures", "policies", "policy", "policy-as-code", "recordings", "scenarios"]);
    let remedy = match near_miss(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "name a file, something that `firedrill list` shows, a measure (`measures`), a word of the glossary or of a file, `policy`, `scenarios`, \
                 `policies`, `recordings`, `defaults` or `exit-codes`"
                .to_owned()
        }
    };
    Failure::argument(format!("nothing is called `{name}`"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::action::Action;
    use firedrill_scenarios::document::fault;

    #[test]
    fn every_fault_and_every_action_is_explained() {
        for fault in fault::entries() {
            let told = word(fault).unwrap_or_else(|| panic!("`{fault}` is not explained"));
            assert!(told.contains("of scenarios (What goes wrong"), "{told}");
        }
        for action in Action::WORDS {
            assert!(word(action).is_some_and(|told| told.contains("of policies (A step)")), "`{action}` is not explained");
        }
        let surge = "surge, of scenarios (What goes wrong)\n  parameters: `client`, `factor` (at most x1000000, not x1)\n  what it does: the client's rate is multiplied";
        assert_eq!(word("surge").as_deref(), Some(surge));
    }

    #[test]
    fn values_templates_and_presets_are_explained_and_what_is_below_is_named() {
        let told = |name: &str| word(name).unwrap_or_else(|| panic!("`{name}` is not explained"));
        assert!(told("gradient2").starts_with("gradient2, a value of algorithm of scenarios (Queues and limits"), "{}", told("gradient2"));
        for (name, part) in [
            ("jvm", "template.jvm."),
            ("template.jvm", "template.jvm."),
            ("node", "template.node."),
            ("retries.grpc", "retries.preset.grpc:"),
            ("postgres", "template.postgres."),
            ("rabbitmq", "topics.rabbitmq."),
            ("patroni", "failover.patroni."),
        ] {
            assert!(told(name).contains(part), "{}", told(name));
        }
        assert!(told("human").contains("see below (scenarios.md, the person on call)"), "{}", told("human"));
        assert_eq!(word("nothing-of-the-kind"), None);
        for row in ["good", "slow", "failed", "shed", "open"] {
            assert!(told(row).contains("in the table of a run"), "{}", told(row));
        }
    }

    #[test]
    fn every_default_is_explained_by_its_name_and_says_where_it_comes_from() {
        for entry in defaults::ALL {
            let told = word(entry.key).unwrap_or_else(|| panic!("`{}` is not explained", entry.key));
            assert!(told.contains(entry.source), "{}: {told}", entry.key);
        }
        assert!(
            word("half_open_calls").unwrap().contains("breaker.half_open_calls: 10 (resilience4j"),
            "{}",
            word("half_open_calls").unwrap()
        );
    }

    #[test]
    fn every_default_stands_beside_its_key() {
        // What a template or a preset assumes of a key stands in the list of defaults, and not beside the key.
        let presets = ["retry_after.", "template.", "failover.", "topics.kafka", "topics.sqs.", "topics.rabbitmq."];
        for entry in defaults::ALL.iter().filter(|entry| !presets.iter().any(|preset| entry.key.starts_with(preset))) {
            let key = entry.key.split('.').rfind(|part| *part != "*").unwrap();
            let told = documented("scenarios", SCENARIOS, key).join("\n");
            assert!(told.contains(entry.value), "{} is {}, and the page says\n{told}", entry.key, entry.value);
        }
    }
}
