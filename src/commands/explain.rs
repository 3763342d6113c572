//! `firedrill explain`: what a name means, in prose.

use std::path::Path;

use firedrill_core::problem::near_miss;
use firedrill_reports::verdict::Measure;
use firedrill_scenarios::explain as scenario_prose;
use serde_json::json;

use crate::cli::{ExplainArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::library;
use crate::output::Output;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.explain/1";

/// Explains a scenario, policy, rule file, measure, word of the glossary, `defaults` or `exit-codes`.
pub fn execute(arguments: &ExplainArgs, output: Output) -> Result<Exit, Failure> {
    let name = arguments.name.as_str();
    let here = Path::new(".");
    let text = match name {
        "defaults" => scenario_prose::defaults(),
        "exit-codes" => exit_codes(),
        "measures" => measures(),
        _ if is_file_with(name, "scenario:") || library::scenario_shelf().names.contains(&name) => {
            let scenarios = sources::scenarios(&[name], here)?;
            scenarios.iter().map(|scenario| scenario_prose::scenario(scenario)).collect::<Vec<_>>().join("\n")
        }
        _ if is_file_with(name, "policy:") || library::policy_shelf().names.contains(&name) => {
            let answer = sources::answer(&[name], here)?;
            answer.policies.iter().map(|policy| firedrill_policies::explain::policy(policy)).collect::<Vec<_>>().join("\n")
        }
        _ => match Measure::named(name).map(measure).or_else(|| glossary(name)) {
            Some(text) => text,
            None => return Err(unknown(name)),
        },
    };
    match output.format {
        Format::Text => output.data(&text),
        Format::Json => output.data(&json!({ "schema": SCHEMA, "name": name, "text": text }).to_string()),
    }
    Ok(Exit::Held)
}

fn is_file_with(name: &str, key: &str) -> bool {
    Path::new(name).is_file() && std::fs::read_to_string(name).is_ok_and(|text| text.lines().any(|line| line.starts_with(key)))
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
fn definition(word: &str) -> &'static str {
    match word {
        "time_to_detect" => {
            "seconds from a fault's onset to the first notification whose target lies in the incident's scope; the horizon if none came"
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
        "harm" => "user-minutes lost with the policy that doing nothing would not have lost, at least 0",
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
        "blast_radius.services" => "touched: share of services that were not as declared at some time with the policy and were without it; no harm by itself",
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
        "amplification" => "actions for each fault",
        "pages" => "pages sent to people",
        "toil" => "minutes that the run cost people",
        "time_to_undo" => "seconds from a failed verification until the service was as before the action",
        "safety_violations" => "guard limits exceeded, or actions in dry-run; must be 0",
        _ => "see docs/",
    }
}

/// A word of docs/GLOSSARY.md.
fn glossary(word: &str) -> Option<String> {
    let rows =
        include_str!("../../docs/GLOSSARY.md").lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.into_iter().find(|(known, _)| *known == word).map(|(word, meaning)| format!("{word}: {meaning}"))
}

fn unknown(name: &str) -> Failure {
    let (scenarios, policies) = (library::scenario_shelf(), library::policy_shelf());
    let mut known: Vec<&str> = scenarios.names.iter().chain(&policies.names).copied().chain(Measure::all().map(Measure::word)).collect();
    known.extend(["defaults", "exit-codes", "measures"]);
    let remedy = match near_miss(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name a scenario or policy (`firedrill list`), a measure (`measures`), a word of the glossary, `defaults` or `exit-codes`"
            .to_owned(),
    };
    Failure::argument(format!("nothing is called `{name}`"), remedy)
}
