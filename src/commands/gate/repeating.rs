//! The commands that repeat a gate and its runs.

use firedrill_reports::verdict::ExerciseRule;

use super::contest::Contest;
use crate::cli::{GateArgs, StageArg};
use crate::command_line::CommandLine;
use crate::sources;

/// The command that repeats a run, with places for scenario and seed; `elsewhere` is the revision that scenarios are taken from.
pub(super) fn repeat(arguments: &GateArgs, contest: &Contest, elsewhere: Option<&str>) -> String {
    let mut line = CommandLine::new("run").verbatim("{scenario}");
    if contest.exercise == ExerciseRule::EveryClass || elsewhere.is_some() || arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    let line = line.options("--judge", elsewhere.as_slice()).options("--policy", &arguments.candidate);
    at_stage(line.options("--alertmanager", arguments.alertmanager.as_slice()), arguments).verbatim("--seed {seed}").to_string()
}

fn at_stage(line: CommandLine, arguments: &GateArgs) -> CommandLine {
    if arguments.stage == StageArg::Full { line } else { line.option("--stage", arguments.stage.stage().word()) }
}

/// The command that repeats a gate. What depended on the clock is said by `counts`, such as (`--pairs`, 40).
pub(super) fn command(arguments: &GateArgs, counts: &[(&'static str, u32)]) -> String {
    let mut line = CommandLine::new("gate");
    if arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    line = line.options("--candidate", &arguments.candidate).options("--baseline", arguments.baseline.as_slice());
    line = line.options("--accept-judge-change", arguments.accept_judge_change.as_slice());
    line = line.options("--alertmanager", arguments.alertmanager.as_slice());
    if !arguments.scenarios.is_empty() {
        line = line.option("--scenarios", &arguments.scenarios.join(","));
    }
    line = at_stage(line, arguments);
    let counted = |option: &str| counts.iter().find(|(own, _)| *own == option).map(|(_, count)| u64::from(*count));
    let pairs = counted("--pairs").or(arguments.pairs.map(u64::from));
    let max_pairs = counted("--max-pairs").or(arguments.max_pairs.map(u64::from));
    let variants = counted("--chaos").or(arguments.chaos.map(u64::from));
    for (option, value) in [("--pairs", pairs), ("--chaos", variants), ("--seed", arguments.seed), ("--max-pairs", max_pairs)] {
        line = value.into_iter().fold(line, |line, value| line.option(option, &value.to_string()));
    }
    let word = arguments.on_inconclusive.map(|own| own.word());
    line.options("--on-inconclusive", word.as_slice()).to_string()
}
