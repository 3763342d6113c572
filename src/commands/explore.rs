//! `firedrill explore`: the search for a variant in which a policy does harm.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use firedrill_policies::lints;
use firedrill_reports::words::counted;
use serde_json::json;

use super::setting::{Named, Setting};
use crate::chaos::failure::Failure as Found;
use crate::chaos::gate::command_of;
use crate::chaos::search::{Ended, Limit, Searched, search};
use crate::chaos::trial::{Trial, Tried};
use crate::cli::{ExploreArgs, Format};
use crate::command_line::CommandLine;
use crate::drill::{Answer, ENGINE};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::known::Known;
use crate::output::{Output, Room, write_files};
use crate::project::Project;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.explore/1";
/// Where files are said to lie that are not written.
const NOWHERE: &str = ".";

/// Searches, and tells what was found.
pub fn execute(arguments: &ExploreArgs, output: Output) -> Result<Exit, Failure> {
    let _room = arguments.out.as_deref().map(|folder| Room::make("--out", folder)).transpose()?;
    let home = arguments.project.as_deref().map_or_else(Home::here, Home::at)?;
    let named = Named::with(&arguments.scenarios, &arguments.alerting);
    let setting = Setting::of(&home, named)?;
    let answer = answer(arguments, &home)?;
    setting.admit(&answer)?;
    let project = home.project.as_ref();
    let thresholds = project.map_or_else(|| Ok(Vec::new()), Project::read_thresholds)?;
    setting.warn(output);
    output.problems(&lints::unheard(&answer.policies, setting.scenarios.iter().map(|(_, rules)| &*rules.set)));
    let chaos = project.and_then(|project| project.chaos.as_ref());
    let rehearsed = setting.scenarios.iter().filter(|(scenario, _)| !scenario.reference);
    let scenarios: Vec<Tried> = rehearsed.map(|watched| Tried::new(watched, chaos, &thresholds)).collect();
    if scenarios.is_empty() {
        return Err(Failure::argument("there is no scenario to explore", "name one that is no reference with `--scenarios`"));
    }
    let seed = arguments.seed.unwrap_or_else(|| project.map_or(1, |project| project.seed));
    let limit = match arguments.runs {
        Some(runs) => Limit::Runs(runs),
        None => Limit::Budget(Duration::from_nanos(arguments.budget.as_nanos())),
    };
    let trial = Trial { answer, seed, known: &Known::default() };
    output.talk(&format!("{} of {}", counted(scenarios.len() as u64, "scenario"), trial.answer.label));
    let mut searched = search(&trial, &scenarios, limit);
    apart(arguments, seed, &scenarios, &mut searched);
    let told = Told { arguments, seed, scenarios: &scenarios, searched: &searched };
    told.write(output)?;
    match output.format {
        Format::Json => output.data(&told.json())?,
        Format::Text => output.data(&told.text())?,
    }
    Ok(match (searched.failures.is_empty(), searched.acted) {
        (false, _) => Exit::Broken,
        (true, 0) => Exit::Inconclusive,
        (true, _) => Exit::Held,
    })
}

/// Gives what was found another name where a file of that name is there and says something else: it may be somebody's own.
fn apart(arguments: &ExploreArgs, seed: u64, scenarios: &[Tried], searched: &mut Searched) {
    let Some(folder) = &arguments.out else { return };
    for index in 0..searched.failures.len() {
        let name = searched.failures[index].name().to_owned();
        for number in 2.. {
            let failure = &searched.failures[index];
            let text = Told { arguments, seed, scenarios, searched }.file(failure);
            let there = std::fs::read(folder.join(failure.file()));
            if there.is_err() || there.is_ok_and(|there| there == text.as_bytes()) {
                break;
            }
            let found = &mut searched.failures[index].found;
            found.plan = found.plan.clone().called(&format!("{name}-{number}"));
        }
    }
}

/// Who acts: those named, as `run` takes them, else all of the project.
fn answer(arguments: &ExploreArgs, home: &Home) -> Result<Arc<Answer>, Failure> {
    let alone = home.answer(&arguments.policy)?;
    let answer =
        if arguments.project.is_some() || arguments.policy.is_empty() { sources::in_project(home.policies()?, alone) } else { alone };
    if answer.policies.is_empty() {
        return Err(Failure::argument("there is no policy to explore", "give `--policy POLICY`, or name policies in firedrill.yaml"));
    }
    Ok(answer)
}

/// What is told.
struct Told<'a> {
    arguments: &'a ExploreArgs,
    seed: u64,
    scenarios: &'a [Tried],
    searched: &'a Searched,
}

impl Told<'_> {
    fn folder(&self) -> &Path {
        self.arguments.out.as_deref().unwrap_or(Path::new(NOWHERE))
    }

    /// The scenario file of a failure.
    fn file(&self, failure: &Found) -> String {
        failure.text(&self.scenarios[failure.found.scenario], self.folder(), &self.command(failure))
    }

    fn write(&self, output: Output) -> Result<(), Failure> {
        let Some(folder) = &self.arguments.out else { return Ok(()) };
        let files: Vec<(String, String)> = self.searched.failures.iter().map(|failure| (failure.file(), self.file(failure))).collect();
        if !files.is_empty() {
            write_files(folder, &files)?;
        }
        for (name, _) in files {
            output.talk(&format!("wrote {}", folder.join(name).display()));
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for failure in &self.searched.failures {
            text += &format!("✗ {}: {}\n  repeat: {}\n", failure.name(), failure.sentence(), self.command(failure));
            if self.arguments.out.is_none() {
                let file = self.file(failure);
                text.extend(file.lines().filter(|line| !line.starts_with('#')).map(|line| format!("    {line}\n")));
            }
            text.push('\n');
        }
        let counts = &self.searched.counts;
        let tried = counted(counts.all(), "variant");
        text += &format!(
            "{tried} tried: {} as they are, {} with one thing alone, {} with two, {} at random; {} of at most two things are listed\n",
            counts.as_is, counts.alone, counts.pairs, counts.random, self.searched.listed
        );
        let (idle, cut) = (&self.searched.idle, &self.searched.why_cut);
        text += &match (self.searched.acted, idle.as_ref().or(cut.as_ref())) {
            (0, Some(reason)) => format!("no policy acted in any of them, which proves nothing: {reason}\n"),
            (0, None) => "no policy acted in any of them, which proves nothing\n".to_owned(),
            (acted, _) => format!("policies acted in {}\n", counted(acted, "variant")),
        };
        if let Some(reason) = cut.as_ref().filter(|_| self.searched.acted > 0 || idle.is_some()) {
            let prove = if self.searched.cut == 1 { "proves" } else { "prove" };
            text += &format!("{} that a bound ended {prove} nothing: {reason}\n", counted(self.searched.cut, "variant"));
        }
        let found = match (self.searched.failures.len() as u64, self.searched.ended) {
            (0, Ended::Exhausted) => "nothing was found, and there is nothing new to try".to_owned(),
            (0, _) => "nothing was found; that is no proof".to_owned(),
            (count, Ended::Enough) => format!("{} found; the search ends there", counted(count, "failure")),
            (count, _) => format!("{} found", counted(count, "failure")),
        };
        let hint = if self.arguments.out.is_none() && !self.searched.failures.is_empty() {
            "hint: `--out DIR` writes the scenario files that the commands name\n"
        } else {
            ""
        };
        format!("{text}{found}\nrepeat: {}\n{hint}", self.repeat())
    }

    fn json(&self) -> String {
        let counts = &self.searched.counts;
        let failures: Vec<_> = self
            .searched
            .failures
            .iter()
            .map(|failure| failure.json(&self.scenarios[failure.found.scenario], self.folder(), &self.command(failure)))
            .collect();
        let tried =
            json!({ "all": counts.all(), "as_is": counts.as_is, "alone": counts.alone, "pairs": counts.pairs, "random": counts.random });
        let ended = match self.searched.ended {
            Ended::Limit => "limit",
            Ended::Enough => "enough",
            Ended::Exhausted => "exhausted",
        };
        let document = json!({
            "schema": SCHEMA,
            "engine": ENGINE,
            "repeat": self.repeat(),
            "seed": self.seed,
            "tried": tried,
            "acted": self.searched.acted,
            "idle": self.searched.idle,
            "cut": self.searched.cut,
            "why_cut": self.searched.why_cut,
            "listed": self.searched.listed,
            "ended": ended,
            "failures": failures,
        });
        serde_json::to_string_pretty(&document).expect("results are plain data")
    }

    /// The command that runs a failure's file.
    fn command(&self, failure: &Found) -> String {
        let line = CommandLine::new("run").verbatim("{scenario}");
        command_of(failure, &self.acting(line).verbatim("--seed {seed}").to_string(), self.folder())
    }

    /// The command that searches as far again, on any machine.
    fn repeat(&self) -> String {
        let mut line = self.acting(CommandLine::new("explore"));
        if !self.arguments.scenarios.is_empty() {
            line = line.option("--scenarios", &self.arguments.scenarios.join(","));
        }
        line = line.option("--runs", &self.searched.counts.all().max(1).to_string()).option("--seed", &self.seed.to_string());
        line.to_string()
    }

    /// With who acts and who watches.
    fn acting(&self, mut line: CommandLine) -> CommandLine {
        let arguments = self.arguments;
        if let Some(project) = &arguments.project {
            line = line.option("--project", project);
        } else if arguments.policy.is_empty() {
            line = line.option("--project", sources::PROJECT_FILE);
        }
        arguments.alerting.repeated(line.options("--policy", &arguments.policy))
    }
}
