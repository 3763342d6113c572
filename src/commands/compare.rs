//! `firedrill compare`: policies × scenarios × paired seeds.

use std::path::Path;

use firedrill_policies::guard::stage::Stage;
use firedrill_reports::page::{self, Page};
use firedrill_reports::table::{self, PolicyRuns};
use firedrill_reports::verdict::{Case, Measure, summarise};
use serde_json::json;

use super::setting::Setting;
use super::terminal;
use crate::campaign::Campaign;
use crate::cli::{CompareArgs, Format};
use crate::drill::ENGINE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, write_files};
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.compare/1";

/// Compares policies with doing nothing, the oracle and each other.
pub fn execute(arguments: &CompareArgs, output: Output) -> Result<Exit, Failure> {
    let setting = Setting::here(&arguments.scenarios, &arguments.rules)?;
    let answers = arguments.policies.iter().map(|name| sources::answer(&[name], Path::new("."))).collect::<Result<Vec<_>, _>>()?;
    let mut seeds = if arguments.seeds.is_empty() {
        (0..u64::from(arguments.pairs)).map(|offset| arguments.seed.wrapping_add(offset)).collect()
    } else {
        arguments.seeds.clone()
    };
    seeds.sort_unstable();
    seeds.dedup();
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds, stage: Stage::Full };
    let cases = super::progress::run(&campaign, output);
    let json = as_json(&campaign, &cases);
    if let Some(folder) = &arguments.out {
        let runs = runs(&campaign, &cases);
        let html = page::render(&Page {
            title: "Comparison of policies",
            engine: ENGINE,
            command: &command(arguments),
            judgement: None,
            policies: &runs,
            examples: &[],
        });
        write_files(folder, &[("compare.json", json.clone()), ("compare.html", html)])?;
        output.talk(&format!("wrote {}", folder.join("compare.html").display()));
    }
    match output.format {
        Format::Json => output.data(&json),
        Format::Text => output.data(&table::compare(&runs(&campaign, &cases), terminal::columns())),
    }
    Ok(Exit::Held)
}

fn runs<'a>(campaign: &'a Campaign, cases: &'a [Vec<Case>]) -> Vec<PolicyRuns<'a>> {
    campaign.answers.iter().zip(cases).map(|(answer, cases)| PolicyRuns { policy: &answer.label, cases }).collect()
}

fn command(arguments: &CompareArgs) -> String {
    let mut command = format!("firedrill compare {}", arguments.policies.join(" "));
    for (flag, names) in [("--scenarios", &arguments.scenarios), ("--rules", &arguments.rules)] {
        if !names.is_empty() {
            command += &format!(" {flag} {}", names.join(","));
        }
    }
    if arguments.seeds.is_empty() {
        command + &format!(" --pairs {} --seed {}", arguments.pairs, arguments.seed)
    } else {
        let seeds: Vec<String> = arguments.seeds.iter().map(ToString::to_string).collect();
        command + &format!(" --seeds {}", seeds.join(","))
    }
}

fn as_json(campaign: &Campaign, cases: &[Vec<Case>]) -> String {
    let measures: Vec<Measure> = Measure::all().collect();
    let policies: Vec<_> = campaign
        .answers
        .iter()
        .zip(cases)
        .map(|(answer, cases)| json!({ "policy": answer.label, "hash": answer.hash, "summary": summarise(cases, &measures, 0), "runs": cases }))
        .collect();
    let scenarios: Vec<_> = campaign
        .scenarios
        .iter()
        .map(|(scenario, _)| json!({ "scenario": scenario.name, "class": scenario.family, "hash": scenario.hash }))
        .collect();
    let document = json!({ "schema": SCHEMA, "engine": ENGINE, "seeds": campaign.seeds, "scenarios": scenarios, "policies": policies });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}
