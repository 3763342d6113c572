//! `firedrill run`: one run, told as a timeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use firedrill_policies::lints;
use firedrill_reports::outcome::Outcome;
use firedrill_reports::page::{self, Example, Page};
use firedrill_reports::worth::DeedWorth;
use firedrill_reports::{table, timeline};
use firedrill_scenarios::incident::FILE_NAME;
use firedrill_telemetry::recording::Recording;
use serde_json::json;

use super::setting::{Named, RuleNames, Setting, warn};
use super::terminal;
use crate::campaign::Shown;
use crate::cli::{Format, RunArgs, StageArg};
use crate::command_line::CommandLine;
use crate::drill::{Arm, Drill, ENGINE, Remembered};
use crate::evidence;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::inputs;
use crate::load::{self, Source};
use crate::output::{Output, Room, write_files};
use crate::recorded::Recorded;
use crate::revision::Revision;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.run/1";

/// What `--out` writes: journal, outcome, page, and story.
const FILES: [&str; 4] = ["journal.jsonl", "outcome.json", "run.html", "timeline.txt"];

/// Runs a scenario and tells what happened.
pub fn execute(arguments: &RunArgs, output: Output) -> Result<Exit, Failure> {
    let _rooms = rooms(arguments)?;
    is_one_scenario(&arguments.scenario)?;
    files_are_apart(arguments)?;
    let home = arguments.project.as_deref().map_or_else(Home::here, Home::at)?;
    let scenario = std::slice::from_ref(&arguments.scenario);
    let named = Named::with(scenario, &arguments.alerting);
    let setting = match judge(arguments, &home)? {
        Some((revision, judge)) => Setting::judged(&home, &judge, named).map_err(|failure| revision.reworded(failure))?,
        None => Setting::of(&home, named)?,
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
    let alone = home.answer(&arguments.policy)?;
    let answer = if arguments.project.is_some() { sources::in_project(home.policies()?, alone) } else { alone };
    sources::receivers_exist(&answer, rules.routing.as_deref())?;
    warn(std::iter::once(&rules), output);
    output.problems(&lints::unheard(&answer.policies, std::iter::once(&*rules.set)));
    spares_inputs(arguments)?;
    let stage = arguments.stage.stage();
    let drill = Drill { scenario, rules, answer: Arc::clone(&answer), stage, past: Remembered::default() };
    let shown = drill.show(arguments.seed, true);
    let outcome = shown.outcome(&answer);
    let worth = if arguments.worth { drill.worth(&shown, &outcome) } else { Vec::new() };
    let told = if answer.policies.is_empty() { &shown.nothing } else { &shown.policy };
    let command = repeat(arguments);
    let mut written = Vec::new();
    if let Some(folder) = &arguments.record {
        let rules = RuleNames::chosen(&home, &arguments.alerting.rules)?.texts(&drill.scenario.rules)?;
        written.push(record(folder, arguments, &drill, &rules)?);
    }
    if let Some(folder) = &arguments.out {
        written.push(write(folder, &drill, &shown, (&outcome, &worth), &command)?);
    }
    written.extend(evidence(arguments, &drill)?);
    match output.format {
        Format::Json => {
            let timeline = timeline::tell(told);
            let document = json!({ "schema": SCHEMA, "command": command, "fingerprint": told.fingerprint(), "outcome": outcome, "worth": arguments.worth.then_some(&worth), "services": told.ledger.services, "timeline": timeline });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let story = timeline::tell(told).render(terminal::width(), |kind, text| terminal::paint(output, kind, text));
            let table = table::arms(&outcome, terminal::columns());
            let hint =
                if answer.policies.is_empty() { "\nhint: nobody acts here; add `--policy POLICY` (`firedrill list policies`)" } else { "" };
            let spans: String = table::span_lines(&outcome).into_iter().map(|line| format!("{line}\n")).collect();
            let person = table::person_line(&outcome).map_or_else(String::new, |line| format!("{line}\n"));
            let of_policy = match answer.policies.is_empty() {
                true => String::new(),
                false => format!("{}\n{}{person}", table::policy_line(&outcome), table::approvals_line(&outcome)),
            };
            let together = of_several(&outcome);
            let worth = if arguments.worth { table::worth(&worth, terminal::columns()) } else { String::new() };
            output.data(&format!("{story}\n{table}\n{spans}{of_policy}{together}{worth}repeat: {command}{hint}"))?;
        }
    }
    for path in written {
        output.talk(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Held)
}

/// The project as it was at the revision whose scenario is asked for; `None` if none is, or there was no project.
fn judge(arguments: &RunArgs, home: &Home) -> Result<Option<(Revision, Home)>, Failure> {
    let (Some(judge), Some(project)) = (&arguments.judge, &arguments.project) else { return Ok(None) };
    let revision = Revision::named(judge, &home.base)?;
    let Some(place) = revision.project(project, sources::PROJECT_FILE)? else { return Ok(None) };
    let home = Home::at(&place.display().to_string()).map_err(|failure| revision.reworded(failure))?;
    Ok(Some((revision, home)))
}

/// Who worked against whom, and of several policies who acted on what in which order; nothing if there is nothing to tell.
fn of_several(outcome: &Outcome) -> String {
    let disputes: String = table::disputes(outcome).into_iter().map(|line| format!("{line}\n")).collect();
    let acted = outcome.policies.len() > 1 && !outcome.deeds.is_empty();
    let deeds = if acted { format!("\n{}\n", table::deeds(outcome, terminal::columns())) } else { String::new() };
    format!("{disputes}{deeds}")
}

/// Writes traces and logs of the arm that is told; their paths.
fn evidence(arguments: &RunArgs, drill: &Drill) -> Result<Vec<PathBuf>, Failure> {
    if arguments.traces.is_none() && arguments.logs.is_none() {
        return Ok(Vec::new());
    }
    let arm = if drill.answer.policies.is_empty() { Arm::Nothing } else { Arm::Policy };
    let (played, spans) = drill.play_traced(arm, arguments.seed, arguments.sample);
    let start = drill.scenario.spec.start;
    let traces = arguments.traces.as_ref().map(|path| ("--traces", path, evidence::traces(start, arguments.seed, &spans)));
    let logs = arguments.logs.as_ref().map(|path| ("--logs", path, evidence::logs(start, &played.transcript, &spans)));
    let mut written = Vec::new();
    for (option, path, text) in traces.into_iter().chain(logs) {
        fs::write(path, text).with_context(|| format!("`{option} {}` could not be written whole", path.display()))?;
        written.push(path.clone());
    }
    Ok(written)
}

/// A run is of one scenario, and a folder may hold many and other things beside.
fn is_one_scenario(scenario: &str) -> Result<(), Failure> {
    if !Path::new(scenario).is_dir() {
        return Ok(());
    }
    let remedy = "name one scenario in it; `firedrill compare` and `firedrill gate` play many";
    Err(Failure::argument(format!("`{scenario}` is a folder, and `run` plays one scenario"), remedy))
}

/// That each output has a file of its own, in a folder that is there: of two in one file the first would be lost.
fn files_are_apart(arguments: &RunArgs) -> Result<(), Failure> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = |path: &Path| load::real(&folder(path)).join(path.file_name().unwrap_or_default());
    let mut taken: Vec<(String, PathBuf)> = Vec::new();
    for (option, path) in [("--traces", &arguments.traces), ("--logs", &arguments.logs)] {
        let Some(path) = path else { continue };
        let asked = format!("`{option} {}`", path.display());
        if path.is_dir() {
            return Err(Failure::argument(format!("{asked}: this is a folder"), "name a file in it"));
        }
        if !folder(path).is_dir() {
            let message = format!("{asked}: there is no folder {}", folder(path).display());
            return Err(Failure::argument(message, "make the folder first, or name a file in one that is there"));
        }
        taken.push((asked, real(path)));
    }
    if let Some(out) = &arguments.out {
        taken.extend(FILES.iter().map(|name| (format!("`--out {}`", out.display()), load::real(out).join(name))));
    }
    for (index, (asked, path)) in taken.iter().enumerate() {
        if let Some((other, _)) = taken[..index].iter().find(|(_, earlier)| earlier == path) {
            let message = format!("{other} and {asked} would be written into one file, {}", path.display());
            return Err(Failure::argument(message, "give each a file of its own"));
        }
    }
    Ok(())
}

/// That no output takes the place of a file that this run is made of: its scenario with what that imports, rules, policies, the project's files.
fn spares_inputs(arguments: &RunArgs) -> Result<(), Failure> {
    for (option, path) in [("--traces", &arguments.traces), ("--logs", &arguments.logs)] {
        let Some(path) = path else { continue };
        inputs::spared(&format!("{option} {}", path.display()), path)?;
    }
    let folders = [("--out", &arguments.out, &FILES[..]), ("--record", &arguments.record, &[FILE_NAME][..])];
    for (option, folder, files) in folders {
        let Some(folder) = folder else { continue };
        for name in files {
            inputs::spared(&format!("{option} {}", folder.display()), &folder.join(name))?;
        }
    }
    Ok(())
}

/// Makes the folders that will be written into, before anything is run. A recorded incident may have been edited by hand, and what else lies in a
/// folder is no part of a recording, so `--record` writes into new and empty folders only.
fn rooms(arguments: &RunArgs) -> Result<Vec<Room>, Failure> {
    let mut rooms = Vec::new();
    if let Some(folder) = &arguments.record {
        let taken = folder.join(FILE_NAME);
        if taken.exists() {
            let message = format!("{} is there already, and may have been edited", taken.display());
            return Err(Failure::argument(message, "name another folder with `--record`, or remove this one first"));
        }
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let message = format!("`--record {}`: the folder is not empty", folder.display());
            return Err(Failure::argument(message, "a recording has a folder of its own: name a new or an empty one"));
        }
        rooms.push(Room::make("--record", folder)?);
    }
    if let Some(folder) = &arguments.out {
        rooms.push(Room::make("--out", folder)?);
    }
    Ok(rooms)
}

/// Writes the run's telemetry as an incident; the path of its file.
fn record(folder: &Path, arguments: &RunArgs, drill: &Drill, rules: &[Source]) -> Result<PathBuf, Failure> {
    let arm = if drill.answer.policies.is_empty() { Arm::Nothing } else { Arm::Policy };
    let played = drill.play(arm, arguments.seed);
    let end_ms = drill.scenario.spec.start.prometheus_millis(played.transcript.ledger.ended);
    let source = format!("a simulated run of {}, seed {}, {}", drill.scenario.name, arguments.seed, ENGINE);
    let mut store = played.telemetry;
    if let Some(reach_ms) = drill.reach_ms() {
        store.forget_before(drill.scenario.spec.start.unix_millis() - reach_ms);
    }
    let recording = Recording { start: drill.scenario.spec.start, end_ms, source, store };
    let command = format!("{} --record DIR", repeat(arguments));
    let run = Recorded {
        scenario: &drill.scenario,
        transcript: &played.transcript,
        recording: &recording,
        rules,
        routing: drill.rules.routing.as_deref(),
        command: &command,
    };
    write_files(folder, &run.files())?;
    Ok(folder.join(FILE_NAME))
}

/// Writes journal, outcome and page; the path of the page.
fn write(
    folder: &Path,
    drill: &Drill,
    shown: &Shown,
    (outcome, worth): (&Outcome, &[DeedWorth]),
    command: &str,
) -> Result<PathBuf, Failure> {
    let outcome_json = serde_json::to_string_pretty(outcome).expect("an outcome is plain data");
    let heading = format!("{}, seed {}", drill.scenario.name, outcome.seed);
    let who = if drill.answer.policies.is_empty() { "nobody acting" } else { &drill.answer.label };
    let title = format!("{} with {who}", drill.scenario.name);
    let about = drill.about(outcome);
    let example = Example { heading: &heading, arms: shown.arms(), outcome, about: &about, worth, command };
    let html = page::render(&Page {
        title: &title,
        engine: ENGINE,
        command,
        judgement: None,
        meanings: &[],
        grounds: &[],
        edits: &[],
        notes: &[],
        scrutiny: None,
        policies: &[],
        examples: &[example],
    });
    let texts = [shown.policy.to_json_lines(), outcome_json, html, timeline::tell(&shown.policy).plain(120)];
    let files: Vec<(&str, String)> = FILES.into_iter().zip(texts).collect();
    write_files(folder, &files)?;
    Ok(folder.join("run.html"))
}

/// The command that repeats this run.
fn repeat(arguments: &RunArgs) -> String {
    let mut line = CommandLine::new("run").word(&arguments.scenario);
    if let Some(project) = &arguments.project {
        line = line.option("--project", project).options("--judge", arguments.judge.as_slice());
    }
    line = arguments.alerting.repeated(line.options("--policy", &arguments.policy));
    if arguments.worth {
        line = line.verbatim("--worth");
    }
    if arguments.stage != StageArg::Full {
        line = line.option("--stage", arguments.stage.stage().word());
    }
    line.option("--seed", &arguments.seed.to_string()).to_string()
}
