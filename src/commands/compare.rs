//! `firedrill compare`: policies × scenarios × paired seeds.

use std::sync::Arc;

use firedrill_policies::guard::stage::Stage;
use firedrill_policies::lints;
use firedrill_reports::page::{self, Page};
use firedrill_reports::table::{self, PolicyRuns};
use firedrill_reports::verdict::{Case, Measure, summarise};
use serde_json::json;

use super::setting::{self, Named, Setting};
use super::terminal;
use crate::campaign::Campaign;
use crate::cli::{CompareArgs, Format};
use crate::command_line::CommandLine;
use crate::drill::{Answer, ENGINE};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::{Output, Room, write_files};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.compare/1";

/// Compares policies with doing nothing, the oracle and each other.
pub fn execute(arguments: &CompareArgs, output: Output) -> Result<Exit, Failure> {
    let _room = arguments.out.as_deref().map(|folder| Room::make("--out", folder)).transpose()?;
    let home = Home::here()?;
    let named = Named::with(&arguments.scenarios, &arguments.alerting);
    let setting = Setting::of(&home, named)?;
    let answers = arguments.policies.iter().map(|name| home.answer(&[name])).collect::<Result<Vec<_>, _>>()?;
    answers.iter().try_for_each(|answer| setting.admit(answer))?;
    let seeds = seeds(arguments)?;
    setting.warn(output);
    let watching = setting.scenarios.iter().map(|(_, rules)| &*rules.set);
    answers.iter().for_each(|answer| output.problems(&lints::unheard(&answer.policies, watching.clone())));
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds, stage: Stage::Full, with_human: true };
    let cases = super::progress::run(&campaign, output);
    let json = as_json(&campaign, &cases);
    let names = names(&campaign.answers);
    if let Some(folder) = &arguments.out {
        let runs = runs(&names, &cases);
        let html = page::render(&Page {
            title: "Comparison of policies",
            engine: ENGINE,
            command: &command(arguments),
            judgement: None,
            meanings: &[],
            grounds: &[],
            edits: &[],
            notes: &[],
            scrutiny: None,
            policies: &runs,
            examples: &[],
        });
        write_files(folder, &[("compare.json", json.clone()), ("compare.html", html)])?;
        output.talk(&format!("wrote {}", folder.join("compare.html").display()));
    }
    match output.format {
        Format::Json => output.data(&json)?,
        Format::Text => {
            let runs = runs(&names, &cases);
            let table = table::compare(&runs, terminal::columns());
            let told = table::cut_lines(&runs).into_iter().chain(table::against_people(&runs)).chain(table::disputes_of(&runs));
            let lines: String = told.map(|line| format!("\n{line}")).collect();
            output.data(&format!("{table}{}{lines}", if lines.is_empty() { "" } else { "\n" }))?;
        }
    }
    Ok(Exit::Held)
}

/// The seeds, sorted. One that stands twice would count its run twice, which is nobody's wish.
fn seeds(arguments: &CompareArgs) -> Result<Vec<u64>, Failure> {
    if arguments.seeds.is_empty() {
        return setting::seeds(arguments.seed, arguments.pairs);
    }
    let mut seeds = arguments.seeds.clone();
    seeds.sort_unstable();
    if let Some(pair) = seeds.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::argument(format!("the seed {} stands twice in `--seeds`", pair[0]), "name each seed once"));
    }
    Ok(seeds)
}

fn runs<'a>(names: &'a [String], cases: &'a [Vec<Case>]) -> Vec<PolicyRuns<'a>> {
    names.iter().zip(cases).map(|(name, cases)| PolicyRuns { policy: name, cases }).collect()
}

/// What each is called: by its policy's name where the command line has a path, and by the path where two have one name.
fn names(answers: &[Arc<Answer>]) -> Vec<String> {
    let name = |answer: &Arc<Answer>| match &answer.policies[..] {
        [policy] => policy.name.to_string(),
        _ => answer.label.clone(),
    };
    let all: Vec<String> = answers.iter().map(name).collect();
    let is_unique = |name: &String| all.iter().filter(|other| *other == name).count() == 1;
    answers.iter().zip(&all).map(|(answer, name)| if is_unique(name) { name.clone() } else { answer.label.clone() }).collect()
}

fn command(arguments: &CompareArgs) -> String {
    let mut line = arguments.policies.iter().fold(CommandLine::new("compare"), |line, policy| line.word(policy));
    if !arguments.scenarios.is_empty() {
        line = line.option("--scenarios", &arguments.scenarios.join(","));
    }
    line = arguments.alerting.repeated(line);
    if arguments.seeds.is_empty() {
        line = line.option("--pairs", &arguments.pairs.to_string()).option("--seed", &arguments.seed.to_string());
    } else {
        let seeds: Vec<String> = arguments.seeds.iter().map(ToString::to_string).collect();
        line = line.option("--seeds", &seeds.join(","));
    }
    line.to_string()
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
