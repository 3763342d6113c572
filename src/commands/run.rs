//! `firedrill run`: one run, told as a timeline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::Arms;
use firedrill_reports::outcome::Outcome;
use firedrill_reports::page::{self, Example, Page};
use firedrill_reports::{table, timeline};
use firedrill_telemetry::recording::Recording;
use serde_json::json;

use super::setting::{RuleNames, Setting};
use super::terminal;
use crate::campaign::Shown;
use crate::cli::{Format, RunArgs, StageArg};
use crate::drill::{Arm, Drill, ENGINE};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, write_files};
use crate::recorded;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.run/1";

/// Runs a scenario and tells what happened.
pub fn execute(arguments: &RunArgs, output: Output) -> Result<Exit, Failure> {
    let named = arguments.project.as_deref().map(sources::project_at).transpose()?;
    let wanted = std::slice::from_ref(&arguments.scenario);
    let setting = match &named {
        Some((project, base)) => Setting::with(Some(project), base, wanted, &arguments.rules)?,
        None => Setting::here(wanted, &arguments.rules)?,
    };
    let mut scenarios = setting.scenarios;
    // A family may be called like one of its scenarios; one run is of the scenario.
    if let Some(exact) = scenarios.iter().position(|(scenario, _)| *scenario.name == *arguments.scenario) {
        scenarios = vec![scenarios.swap_remove(exact)];
    }
    if scenarios.len() > 1 {
        let names: Vec<&str> = scenarios.iter().map(|(scenario, _)| &*scenario.name).collect();
        let message = format!("`{}` is a family of {} scenarios: {}", arguments.scenario, names.len(), names.join(", "));
        return Err(Failure::argument(message, "name one of them"));
    }
    let (scenario, rules) = scenarios.into_iter().next().expect("a name finds at least one scenario");
    let alone = sources::answer(&arguments.policy, Path::new("."))?;
    let answer = match &named {
        Some((project, base)) => sources::in_project(sources::answer(&project.policies, base)?, alone),
        None => alone,
    };
    let stage = match arguments.stage {
        StageArg::DryRun => Stage::DryRun,
        StageArg::Full => Stage::Full,
    };
    let drill = Drill { scenario, rules, answer: Arc::clone(&answer), stage };
    let shown = drill.show(arguments.seed);
    let outcome = shown.outcome(&answer);
    let told = if answer.policies.is_empty() { &shown.nothing } else { &shown.policy };
    let command = repeat(arguments);
    let written = write(arguments, &drill, &shown, &outcome, &command)?;
    match output.format {
        Format::Json => {
            let timeline = timeline::tell(told);
            let document = json!({ "schema": SCHEMA, "command": command, "fingerprint": told.fingerprint(), "outcome": outcome, "services": told.ledger.services, "timeline": timeline });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"));
        }
        Format::Text => {
            let story = timeline::tell(told).render(terminal::width(), |kind, text| terminal::paint(output, kind, text));
            let table = table::arms(&outcome, terminal::columns());
            let hint =
                if answer.policies.is_empty() { "\nhint: nobody acts here; add `--policy POLICY` (`firedrill list policies`)" } else { "" };
            output.data(&format!("{story}\n{table}\nrepeat: {command}{hint}"));
        }
    }
    for path in written {
        output.talk(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Held)
}

fn write(arguments: &RunArgs, drill: &Drill, shown: &Shown, outcome: &Outcome, command: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut written = Vec::new();
    if let Some(folder) = &arguments.record {
        let arm = if drill.answer.policies.is_empty() { Arm::Nothing } else { Arm::Policy };
        let played = drill.play(arm, arguments.seed);
        let end_ms = drill.scenario.spec.start.prometheus_millis(played.transcript.ledger.ended);
        let source = format!("a simulated run of {}, seed {}, {}", drill.scenario.name, arguments.seed, ENGINE);
        let recording = Recording { start: drill.scenario.spec.start, end_ms, source, store: played.telemetry };
        let rules = RuleNames::chosen(&arguments.rules)?.texts()?;
        write_files(folder, &recorded::incident_files(drill, &played.transcript, &recording, &rules))?;
        written.push(folder.join("incident.yaml"));
    }
    if let Some(folder) = &arguments.out {
        let outcome_json = serde_json::to_string_pretty(outcome).expect("an outcome is plain data");
        let heading = format!("{}, seed {}", drill.scenario.name, arguments.seed);
        let arms = Arms { nothing: &shown.nothing, policy: &shown.policy, oracle: shown.oracle.as_ref() };
        let example = Example { heading: &heading, arms, outcome, command };
        let html = page::render(&Page { title: &heading, engine: ENGINE, command, judgement: None, policies: &[], examples: &[example] });
        let files = [
            ("journal.jsonl", shown.policy.to_json_lines()),
            ("outcome.json", outcome_json),
            ("run.html", html),
            ("timeline.txt", timeline::tell(&shown.policy).plain(120)),
        ];
        write_files(folder, &files)?;
        written.push(folder.join("run.html"));
    }
    Ok(written)
}

/// The command that repeats this run.
fn repeat(arguments: &RunArgs) -> String {
    let mut command = format!("firedrill run {}", arguments.scenario);
    if let Some(project) = &arguments.project {
        command += &format!(" --project {project}");
    }
    for policy in &arguments.policy {
        command += &format!(" --policy {policy}");
    }
    for rules in &arguments.rules {
        command += &format!(" --rules {rules}");
    }
    if arguments.stage == StageArg::DryRun {
        command += " --stage dry-run";
    }
    command + &format!(" --seed {}", arguments.seed)
}
