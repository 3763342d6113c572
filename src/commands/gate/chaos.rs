//! The variants of a gate.

use std::sync::Arc;

use firedrill_reports::verdict::Judgement;

use super::prepared::Prepared;
use crate::chaos::gate::{command_of, play};
use crate::chaos::trial::{Trial, Tried};
use crate::cli::{GateArgs, StageArg};
use crate::failure::Failure;
use crate::output::{Output, write_files};

/// The folder of variants in which something does not hold, within that of the report.
const FOLDER: &str = "chaos";

/// The judgement with the variants that the command line or the judge asks for, played and written down where something does not hold.
pub(super) fn with_variants(
    judgement: Judgement,
    (arguments, output): (&GateArgs, Output),
    prepared: &Prepared,
) -> Result<Judgement, Failure> {
    let terms = &prepared.terms;
    // Variants ask what can go wrong where policies may act as far as they ever will.
    let is_full = arguments.stage == StageArg::Full;
    if !is_full || arguments.chaos.is_none() && terms.chaos.is_none() {
        return Ok(judgement);
    }
    let tried = |watched| {
        let mut tried = Tried::new(watched, terms.chaos.as_ref(), &terms.thresholds.all);
        tried.ranges.variants = arguments.chaos.unwrap_or(tried.ranges.variants);
        tried
    };
    let rehearsed = prepared.plan.campaign.scenarios.iter().filter(|(scenario, _)| !scenario.reference);
    let scenarios: Vec<Tried> = rehearsed.map(tried).collect();
    let trial = Trial { answer: Arc::clone(&prepared.contest.candidate), seed: terms.first };
    let folder = arguments.out.join(FOLDER);
    let command = &prepared.command;
    let played = play(&trial, &scenarios, command, &folder);
    let text = |failure: &crate::chaos::failure::Failure| {
        let command = command_of(failure, command, &folder);
        (failure.file(), failure.text(&scenarios[failure.found.scenario], &folder, &command))
    };
    let files: Vec<(String, String)> = played.failures.iter().map(text).collect();
    if !files.is_empty() {
        write_files(&folder, &files)?;
        output.talk(&format!("variants in which something does not hold: {}", folder.display()));
    }
    Ok(played.added_to(judgement))
}
