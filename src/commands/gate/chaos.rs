//! The variants of a gate.

use std::sync::Arc;

use firedrill_reports::verdict::Judgement;

use super::contest::Contest;
use super::repeating::repeat;
use super::thresholds::Thresholds;
use crate::campaign::Campaign;
use crate::chaos::gate::{command_of, play};
use crate::chaos::trial::{Trial, Tried};
use crate::cli::GateArgs;
use crate::failure::Failure;
use crate::output::{Output, write_files};
use crate::project::Project;

/// The folder of variants in which something does not hold, within that of the report.
const FOLDER: &str = "chaos";

/// The judgement with the variants that the command line or the project asks for, played and written down where something does not hold.
pub(super) fn with_variants(
    judgement: Judgement,
    (arguments, output): (&GateArgs, Output),
    project: &Project,
    (contest, campaign): (&Contest, &Campaign),
    thresholds: &Thresholds,
) -> Result<Judgement, Failure> {
    if arguments.chaos.is_none() && project.chaos.is_none() {
        return Ok(judgement);
    }
    let tried = |watched| {
        let mut tried = Tried::new(watched, project.chaos.as_ref(), &thresholds.all);
        tried.ranges.variants = arguments.chaos.unwrap_or(tried.ranges.variants);
        tried
    };
    let scenarios: Vec<Tried> = campaign.scenarios.iter().filter(|(scenario, _)| !scenario.reference).map(tried).collect();
    let seed = arguments.seed.unwrap_or(project.seed);
    let trial = Trial { answer: Arc::clone(&contest.candidate), seed };
    let folder = arguments.out.join(FOLDER);
    let command = repeat(arguments, contest);
    let played = play(&trial, &scenarios, &command, &folder);
    let text = |failure: &crate::chaos::failure::Failure| {
        let command = command_of(failure, &command, &folder);
        (failure.file(), failure.text(&scenarios[failure.found.scenario], &folder, &command))
    };
    let files: Vec<(String, String)> = played.failures.iter().map(text).collect();
    if !files.is_empty() {
        write_files(&folder, &files)?;
        output.talk(&format!("variants in which something does not hold: {}", folder.display()));
    }
    Ok(played.added_to(judgement))
}
