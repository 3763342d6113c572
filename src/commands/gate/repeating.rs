//! The commands that repeat a gate and its runs.

use firedrill_reports::verdict::ExerciseRule;

use super::contest::Contest;
use crate::cli::GateArgs;
use crate::command_line::CommandLine;
use crate::sources;

/// The command that repeats a run, with places for scenario and seed.
pub(super) fn repeat(arguments: &GateArgs, contest: &Contest) -> String {
    let mut line = CommandLine::new("run").verbatim("{scenario}");
    if contest.exercise == ExerciseRule::EveryClass || arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    let line = line.options("--policy", &arguments.candidate).options("--alertmanager", arguments.alertmanager.as_slice());
    line.verbatim("--seed {seed}").to_string()
}

pub(super) fn command(arguments: &GateArgs) -> String {
    let mut line = CommandLine::new("gate");
    if arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    line = line.options("--candidate", &arguments.candidate).options("--alertmanager", arguments.alertmanager.as_slice());
    if !arguments.scenarios.is_empty() {
        line = line.option("--scenarios", &arguments.scenarios.join(","));
    }
    for (option, value) in
        [("--pairs", arguments.pairs.map(u64::from)), ("--chaos", arguments.chaos.map(u64::from)), ("--seed", arguments.seed)]
    {
        line = value.into_iter().fold(line, |line, value| line.option(option, &value.to_string()));
    }
    line.to_string()
}
