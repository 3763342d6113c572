//! The variants of a gate: drawn before the first run, played within its budget, known from its cache, and shared among its partitions.

#![allow(clippy::disallowed_types, reason = "a budget is of real time")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_reports::verdict::{Judgement, VariantsCutShort, Verdict};
use firedrill_reports::words::counted;

use super::contest::Contest;
use super::prepared::Prepared;
use super::terms::Terms;
use crate::campaign::Campaign;
use crate::chaos::failure::{Failure as Found, HEAD};
use crate::chaos::gate::{Run, Variant, command_of, drawn, judged, play};
use crate::chaos::trial::{Trial, Tried};
use crate::cli::{GateArgs, StageArg};
use crate::commands::progress::Bar;
use crate::drill::Answer;
use crate::failure::Failure;
use crate::known::Known;
use crate::output::{Output, write_files};

/// The folder of variants in which something does not hold, within that of the report.
const FOLDER: &str = "chaos";

/// The variants that the command line or the judge asks for.
pub(super) struct Chaos {
    scenarios: Vec<Tried>,
    /// Scenario by scenario.
    pub variants: Vec<Variant>,
    answer: Arc<Answer>,
    seed: u64,
}

/// The judgement with the variants, and what is said of how many there were.
pub(super) struct WithVariants {
    pub judgement: Judgement,
    pub notes: Vec<String>,
    /// The option that plays as many again without a clock.
    pub repeat: Option<(&'static str, u32)>,
}

impl Chaos {
    /// Draws them; `None` if nobody asks for any, or not at the stage `full`.
    pub fn of(arguments: &GateArgs, terms: &Terms, contest: &Contest, campaign: &Campaign) -> Option<Self> {
        // Variants ask what can go wrong where policies may act as far as they ever will.
        let is_full = arguments.stage == StageArg::Full;
        if !is_full || arguments.chaos.is_none() && terms.chaos.is_none() {
            return None;
        }
        let tried = |watched| {
            let mut tried = Tried::new(watched, terms.chaos.as_ref(), &terms.thresholds.all);
            tried.ranges.variants = arguments.chaos.unwrap_or(tried.ranges.variants);
            tried
        };
        let scenarios: Vec<Tried> = campaign.scenarios.iter().filter(|(scenario, _)| !scenario.reference).map(tried).collect();
        let variants = drawn(&scenarios, terms.first);
        Some(Self { scenarios, variants, answer: Arc::clone(&contest.candidate), seed: terms.first })
    }

    /// All that their runs may be known under.
    pub fn keys(&self) -> BTreeSet<String> {
        self.scenarios.iter().map(|tried| tried.key(&self.answer)).collect()
    }

    /// Those that have to be played.
    pub fn unknown(&self, known: &Known) -> Vec<&Variant> {
        let trial = self.trial(known);
        self.variants.iter().filter(|variant| !variant.is_known(&trial, &self.scenarios)).collect()
    }

    /// Says how many there are, and how many of them are known.
    fn announce(&self, known: &Known, output: Output) {
        let (asked, left) = (self.variants.len(), self.unknown(known).len());
        let told = if left < asked { format!(", {} of them known", asked - left) } else { String::new() };
        output.talk(&format!("{} of {}{told}", counted(asked as u64, "variant"), counted(self.scenarios.len() as u64, "scenario")));
    }

    /// Plays some of them.
    pub fn play(&self, variants: &[Variant], known: &Known, output: Output) -> Vec<Run> {
        let bar = Bar::new(variants.len(), output);
        let runs = play(&self.trial(known), &self.scenarios, variants, &|| bar.step());
        bar.clear();
        runs
    }

    /// Plays some of them, unless they are known, and writes down elsewhere as well what they came to.
    pub fn share(&self, variants: &[Variant], (known, kept): (&Known, &Known), output: Output) {
        self.play(variants, known, output);
        let trial = self.trial(known);
        variants.iter().for_each(|variant| variant.hand_over(&trial, &self.scenarios, kept));
    }

    fn trial<'a>(&self, known: &'a Known) -> Trial<'a> {
        Trial { answer: Arc::clone(&self.answer), seed: self.seed, known }
    }

    /// Plays as many as there is time for: the first of every scenario, then the second, so that all have the same number. What is no more than asked
    /// for is told apart.
    fn within(&self, time: Option<Duration>, known: &Known, output: Output) -> (Vec<Run>, Option<u32>) {
        let Some(time) = time else { return (self.play(&self.variants, known, output), None) };
        let began = Instant::now();
        let most = self.variants.iter().map(|variant| variant.number + 1).max().unwrap_or(0);
        let mut runs = Vec::new();
        for number in 0..most {
            if began.elapsed() >= time {
                return (runs, Some(number));
            }
            let round: Vec<Variant> = self.variants.iter().filter(|variant| variant.number == number).cloned().collect();
            runs.extend(self.play(&round, known, output));
        }
        (runs, None)
    }

    /// The scenario file of a failure, and its name.
    fn file(&self, failure: &Found, command: &str, folder: &Path) -> (String, String) {
        let command = command_of(failure, command, folder);
        (failure.file(), failure.text(&self.scenarios[failure.found.scenario], folder, &command))
    }
}

/// Removes what an earlier gate wrote, which would be taken for what this one found. Files of others stay.
fn clear(folder: &Path) {
    let is_ours = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(HEAD));
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| is_ours(path)).for_each(|path| drop(std::fs::remove_file(path)));
    // Only an empty folder can be removed so.
    let _ = std::fs::remove_dir(folder);
}

/// The judgement with the variants, played within the time that is left and written down where something does not hold.
pub(super) fn with_variants(
    judgement: Judgement,
    (arguments, output): (&GateArgs, Output),
    prepared: &Prepared,
    (known, time): (&Known, Option<Duration>),
) -> Result<WithVariants, Failure> {
    clear(&arguments.out.join(FOLDER));
    let Some(chaos) = &prepared.chaos else { return Ok(WithVariants { judgement, notes: Vec::new(), repeat: None }) };
    let asked = chaos.variants.len() as u64;
    chaos.announce(known, output);
    let (runs, each) = chaos.within(time, known, output);
    let played = runs.len() as u64;
    let (folder, command) = (arguments.out.join(FOLDER), &prepared.command);
    let found = judged(&chaos.trial(known), &chaos.scenarios, runs, (command, &folder));
    let files: Vec<(String, String)> = found.failures.iter().map(|failure| chaos.file(failure, command, &folder)).collect();
    if !files.is_empty() {
        write_files(&folder, &files)?;
        output.talk(&format!("variants in which something does not hold: {}", folder.display()));
    }
    let mut judgement = found.added_to(judgement);
    let Some(each) = each else { return Ok(WithVariants { judgement, notes: Vec::new(), repeat: None }) };
    judgement.variants_cut_short = Some(VariantsCutShort { played, asked });
    judgement.verdict = judgement.verdict.max(Verdict::Inconclusive);
    // Where a scenario asks for fewer itself, no number of the command line plays the same again.
    let repeat = chaos.scenarios.iter().all(|tried| tried.ranges.variants >= each).then_some(("--chaos", each));
    let again = repeat.map_or_else(String::new, |(option, count)| {
        format!("; `{option} {count}` plays the same ones again, and judges them as all that were asked for")
    });
    let note = format!("the time allowed {played} of {}, {each} a scenario{again}", counted(asked, "variant"));
    Ok(WithVariants { judgement, notes: vec![note], repeat })
}
