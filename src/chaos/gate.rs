//! Variants for a gate: a few of each scenario, judged as classes of their own.

use std::collections::BTreeMap;
use std::path::Path;

use firedrill_core::name::Name;
use firedrill_reports::outcome::{Exercise, Outcome};
use firedrill_reports::verdict::{ClassVerdict, ExerciseVerdict, Judgement, RunName, Threshold, ThresholdVerdict, Verdict, why_cut};
use firedrill_scenarios::variants::{Plan, draw};
use rayon::prelude::*;

use crate::chaos::failure::{self, Failure, Found};
use crate::chaos::search::word;
use crate::chaos::trial::{Shows, Trial, Tried};
use crate::known::Known;

/// The variants of a gate, and what became of them.
#[derive(Clone, Debug)]
pub struct Played {
    classes: Vec<ClassVerdict>,
    /// Those in which something does not hold, as small as can be, each with the index of its scenario.
    pub failures: Vec<Failure>,
}

/// A variant that is to be played.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Which of the scenarios it is one of.
    pub scenario: usize,
    /// Which variant of that it is, from 0.
    pub number: u32,
    plan: Plan,
}

/// A variant that was played.
#[derive(Clone, Debug)]
pub struct Run {
    variant: Variant,
    shows: Shows,
}

/// The variants of some scenarios, as many of each as its ranges say, scenario by scenario. Where nothing sound is found there is one less.
#[must_use]
pub fn drawn(scenarios: &[Tried], seed: u64) -> Vec<Variant> {
    let cells: Vec<(usize, u32)> =
        (0..scenarios.len()).flat_map(|scenario| (0..scenarios[scenario].ranges.variants).map(move |number| (scenario, number))).collect();
    let draw = |&(scenario, number): &(usize, u32)| {
        let tried = &scenarios[scenario];
        let drawn = draw(&tried.origin, &tried.ranges, (seed, number), &|plan| tried.read(plan).is_some())?;
        Some(Variant { scenario, number, plan: drawn.plan })
    };
    cells.par_iter().map(draw).collect::<Vec<_>>().into_iter().flatten().collect()
}

impl Variant {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Whether it need not be played.
    #[must_use]
    pub fn is_known(&self, trial: &Trial<'_>, scenarios: &[Tried]) -> bool {
        let tried = &scenarios[self.scenario];
        tried.read(&self.plan).is_some_and(|scenario| trial.knows(tried, &scenario))
    }

    /// Keeps elsewhere as well what is known of it.
    pub fn hand_over(&self, trial: &Trial<'_>, scenarios: &[Tried], kept: &Known) {
        let tried = &scenarios[self.scenario];
        if let Some(scenario) = tried.read(&self.plan) {
            trial.hand_over(tried, &scenario, kept);
        }
    }
}

/// Plays variants, in parallel; what comes out is in their order.
#[must_use]
pub fn play(trial: &Trial<'_>, scenarios: &[Tried], variants: &[Variant], done: &(dyn Fn() + Sync)) -> Vec<Run> {
    let run = |variant: &Variant| {
        let tried = &scenarios[variant.scenario];
        let shows = trial.play(tried, tried.read(&variant.plan)?);
        done();
        Some(Run { variant: variant.clone(), shows })
    };
    variants.par_iter().map(run).collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Judges variants that were played, in whatever order, and makes smaller what does not hold. `command` is the one that runs a file, which stands at
/// `{scenario}`, with `{seed}` in its place; files lie in `folder`.
#[must_use]
pub fn judged(trial: &Trial<'_>, scenarios: &[Tried], mut runs: Vec<Run>, (command, folder): (&str, &Path)) -> Played {
    runs.sort_by_key(|run| (run.variant.scenario, run.variant.number));
    let mut by_family: BTreeMap<&Name, Vec<&Run>> = BTreeMap::new();
    for run in &runs {
        by_family.entry(&scenarios[run.variant.scenario].origin.family).or_default().push(run);
    }
    let (mut classes, mut failures) = (Vec::new(), Vec::new());
    for (family, runs) in by_family {
        let found = worst_of_each_measure(&runs);
        let shrunk: Vec<Failure> = found.par_iter().map(|found| failure::shrink(trial, &scenarios[found.scenario], found)).collect();
        let named: Vec<Failure> = shrunk.into_iter().map(named).collect();
        classes.push(class(family, &runs, scenarios, &Told { failures: &named, command, folder }));
        failures.extend(named);
    }
    Played { classes, failures }
}

impl Played {
    /// A judgement with these classes among the others.
    #[must_use]
    pub fn added_to(self, mut judgement: Judgement) -> Judgement {
        judgement.runs += self.classes.iter().map(|class| class.runs).sum::<u64>();
        judgement.verdict = self.classes.iter().map(|class| class.verdict).fold(judgement.verdict, Verdict::max);
        judgement.classes.extend(self.classes);
        judgement.classes.sort_by(|left, right| left.class.cmp(&right.class));
        judgement
    }
}

/// The command that runs a failure's file.
#[must_use]
pub fn command_of(failure: &Failure, command: &str, folder: &Path) -> String {
    let path = folder.join(failure.file()).display().to_string();
    let path = shlex::try_quote(&path).map_or_else(|_| path.clone(), std::borrow::Cow::into_owned);
    command.replace("{scenario}", &path).replace("{seed}", &failure.seed.to_string())
}

/// Of each measure the run that is furthest from its limit; the first of equals.
fn worst_of_each_measure(runs: &[&Run]) -> Vec<Found> {
    let mut worst: Vec<Found> = Vec::new();
    for run in runs {
        for breach in &run.shows.breaches {
            let found = Found { scenario: run.variant.scenario, plan: run.variant.plan.clone(), breach: breach.clone() };
            let far = |found: &Found| (found.breach.figure - found.breach.limit).abs();
            match worst.iter_mut().find(|known| known.breach.threshold == breach.threshold) {
                None => worst.push(found),
                Some(known) if far(&found) > far(known) => *known = found,
                Some(_) => {}
            }
        }
    }
    worst
}

fn named(mut failure: Failure) -> Failure {
    let name = format!("{}-{}", failure.found.plan.name, word(failure.found.breach.measure.word()));
    failure.found.plan = failure.found.plan.called(&name);
    failure
}

/// What is told of failures.
struct Told<'a> {
    failures: &'a [Failure],
    command: &'a str,
    folder: &'a Path,
}

/// The class of a family's variants.
fn class(family: &Name, runs: &[&Run], scenarios: &[Tried], told: &Told<'_>) -> ClassVerdict {
    let demands = &scenarios[runs[0].variant.scenario].demands;
    let judged = demands.thresholds.iter().filter_map(|threshold| of_threshold(threshold, runs, scenarios, told));
    let thresholds: Vec<ThresholdVerdict> = judged.collect();
    let outcomes = || runs.iter().map(|run| &run.shows.outcome);
    let count = |is: fn(&Outcome) -> bool| outcomes().filter(|outcome| is(outcome)).count() as u64;
    let acted = count(|outcome| matches!(outcome.exercise, Exercise::Acted { .. }));
    // A variant asks whether something goes wrong, and not whether somebody acts; and it cannot ask where a bound ended it.
    let reason = why_cut(outcomes());
    let whole = if reason.is_some() { Verdict::Inconclusive } else { Verdict::Held };
    let exercise = ExerciseVerdict { verdict: whole, acted, with_fault: count(|outcome| outcome.faults > 0), reason };
    let verdict = thresholds.iter().map(|found| found.verdict).fold(whole, Ord::max);
    let (scenarios, costs) = (Vec::new(), Vec::new());
    let class = Name::new(&format!("{family} (chaos)"));
    ClassVerdict { class, verdict, runs: runs.len() as u64, exercise, thresholds, scenarios, costs, tail: None }
}

/// What became of a threshold in a family's variants; `None` if it counts in none of them.
fn of_threshold(threshold: &Threshold, runs: &[&Run], scenarios: &[Tried], told: &Told<'_>) -> Option<ThresholdVerdict> {
    let figures: Vec<f64> =
        runs.iter().filter_map(|run| scenarios[run.variant.scenario].demands.figure(threshold, &run.shows.outcome)).collect();
    let shown = threshold.to_string();
    let failure = told.failures.iter().find(|failure| failure.found.breach.threshold == shown);
    let broken: Vec<f64> =
        runs.iter().flat_map(|run| &run.shows.breaches).filter(|breach| breach.threshold == shown).map(|breach| breach.figure).collect();
    let further = |one: f64, other: f64| if (other - threshold.limit).abs() > (one - threshold.limit).abs() { other } else { one };
    let drawn = broken.iter().copied().reduce(further);
    // Of what is allowed the largest is shown, of what is not the one that the command repeats.
    let repeated = failure.map(|failure| failure.found.breach.figure);
    let figure = repeated.or_else(|| figures.iter().copied().reduce(f64::max))?;
    let unit = threshold.measure.unit();
    let larger = drawn.filter(|drawn| failure.is_some() && *drawn != figure);
    let reason = larger.map(|drawn| format!("{} in the variant before it was made smaller", unit.show_beside(drawn, threshold.limit)));
    let run = failure.map(|failure| RunName {
        scenario: Name::new(failure.name()),
        seed: failure.seed,
        command: command_of(failure, told.command, told.folder),
    });
    Some(ThresholdVerdict {
        measure: threshold.measure,
        threshold: shown,
        verdict: if failure.is_some() { Verdict::Broken } else { Verdict::Held },
        figure: Some(figure),
        at_least: false,
        limit: threshold.limit,
        unit,
        n: figures.len() as u64,
        worst: run,
        worst_figure: repeated,
        reason,
    })
}
