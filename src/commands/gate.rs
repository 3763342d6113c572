//! `firedrill gate`: the CI verdict.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::problem::Problem;
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::markdown;
use firedrill_reports::outcome::Arms;
use firedrill_reports::page::{self, Example, Page};
use firedrill_reports::statistics::TailGuard;
use firedrill_reports::table::{self, PolicyRuns};
use firedrill_reports::verdict::{
    Case, ExerciseRule, IncidentResult, JudgeSettings, Judgement, Measure, Threshold, Verdict, judge, worst_run,
};
use serde_json::json;

use super::setting::{RuleNames, Setting};
use super::terminal;
use crate::campaign::{Campaign, Shown};
use crate::cli::{Format, GateArgs};
use crate::drill::{Answer, Drill, ENGINE, Rules};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::judged;
use crate::output::{Output, write_files};
use crate::project::{Project, ThresholdLine};
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.gate/1";

/// Pairs a class from which on the guard on catastrophes can hold (MEASURES: none seen of 299 leaves at most 1 %).
const TAIL_PAIRS: u64 = 299;

/// Who is judged, and against whom.
struct Contest {
    candidate: Arc<Answer>,
    baseline: Option<Arc<Answer>>,
    exercise: ExerciseRule,
}

/// Judges a candidate.
pub fn execute(arguments: &GateArgs, output: Output) -> Result<Exit, Failure> {
    let (project, base) = sources::project_at(&arguments.project)?;
    let thresholds = read_thresholds(&project.thresholds)?;
    let setting = Setting::with(Some(&project), &base, &arguments.scenarios, &[])?;
    let contest = contest(arguments, &project, &base)?;
    let incidents = sources::incident_folders(&project.incidents, &base)?;
    let first = arguments.seed.unwrap_or(project.seed);
    let pairs = arguments.pairs.unwrap_or(project.pairs);
    let answers = [Some(&contest.candidate), contest.baseline.as_ref()].into_iter().flatten().cloned().collect();
    let seeds = (0..u64::from(pairs)).map(|offset| first.wrapping_add(offset)).collect();
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds, stage: Stage::Full };
    // Everything that can be wrong with an incident is found before the runs begin.
    let rules = RuleNames::of(&project, &base).load(&[])?;
    let replays = judged::prepare_all(&incidents, &rules, &contest.candidate, contest.baseline.as_ref())?;
    let mut cases = super::progress::run(&campaign, output);
    let replayed: Vec<IncidentResult> = replays.iter().map(judged::Replayed::judge).collect();
    let baseline = contest.baseline.is_some().then(|| cases.pop()).flatten();
    let candidate = cases.pop().unwrap_or_default();
    // Fewer pairs cannot exclude catastrophes, and a gate that always says so is of no use: it is said beside the verdict instead.
    let tail = (u64::from(pairs) >= TAIL_PAIRS).then(TailGuard::default);
    let settings = JudgeSettings {
        thresholds,
        tail,
        exercise: contest.exercise,
        seed: first,
        command: repeat(arguments, &contest),
        ..JudgeSettings::default()
    };
    let judgement = judge(&candidate, baseline.as_deref(), &replayed, &settings);
    write_report(arguments, &campaign, &contest, &candidate, &judgement)?;
    tell(arguments, &judgement, output);
    Ok(match judgement.verdict {
        Verdict::Held => Exit::Held,
        Verdict::Broken => Exit::Broken,
        Verdict::Inconclusive | Verdict::NotExercised => Exit::Inconclusive,
    })
}

/// A candidate with the name of a project policy takes its place and is compared with it. Another is judged alone, where its alerts fire.
fn contest(arguments: &GateArgs, project: &Project, base: &Path) -> Result<Contest, Failure> {
    let project_names: Vec<String> = project.policies.iter().map(ToString::to_string).collect();
    let whole = sources::answer(&project_names, base)?;
    if arguments.candidate.is_empty() {
        if whole.policies.is_empty() {
            return Err(Failure::argument("there is no policy to judge", "name policies in firedrill.yaml, or give `--candidate POLICY`"));
        }
        return Ok(Contest { candidate: whole, baseline: None, exercise: ExerciseRule::EveryClass });
    }
    let alone = sources::answer(&arguments.candidate, Path::new("."))?;
    let candidate = sources::in_project(Arc::clone(&whole), Arc::clone(&alone));
    if Arc::ptr_eq(&candidate, &alone) {
        return Ok(Contest { candidate, baseline: None, exercise: ExerciseRule::SomeClass });
    }
    Ok(Contest { candidate, baseline: Some(whole), exercise: ExerciseRule::EveryClass })
}

fn read_thresholds(lines: &[ThresholdLine]) -> Result<Vec<Threshold>, Failure> {
    let mut thresholds = Vec::new();
    let mut problems = Vec::new();
    for line in lines {
        match Threshold::parse(&line.measure, &line.bound) {
            Ok(threshold) => thresholds.push(threshold),
            Err(error) => problems.push(Problem::at("FD0603", &line.place, error.to_string())),
        }
    }
    if problems.is_empty() { Ok(thresholds) } else { Err(Failure::Input(problems)) }
}

/// The command that repeats a run, with places for scenario and seed.
fn repeat(arguments: &GateArgs, contest: &Contest) -> String {
    let policies: String = arguments.candidate.iter().map(|candidate| format!(" --policy {candidate}")).collect();
    let needed = contest.exercise == ExerciseRule::EveryClass || arguments.project != sources::PROJECT_FILE;
    let project = if needed { format!(" --project {}", arguments.project) } else { String::new() };
    format!("firedrill run {{scenario}}{project}{policies} --seed {{seed}}")
}

/// The run of each class that went worst, played again for the page: it is the same to the byte.
fn worst_runs(campaign: &Campaign, contest: &Contest, candidate: &[Case]) -> Vec<(Case, Shown)> {
    let classes: BTreeSet<_> = candidate.iter().map(|case| case.class.clone()).collect();
    let play = |case: &Case| {
        let (scenario, rules): &(_, Arc<Rules>) = campaign.scenarios.iter().find(|(scenario, _)| scenario.name == case.outcome.scenario)?;
        let drill = Drill {
            scenario: Arc::clone(scenario),
            rules: Arc::clone(rules),
            answer: Arc::clone(&contest.candidate),
            stage: campaign.stage,
        };
        Some((case.clone(), drill.show(case.outcome.seed)))
    };
    let worst_of = |class| {
        let cases: Vec<Case> = candidate.iter().filter(|case| case.class == class).cloned().collect();
        let worst = ["harm", "user_minutes_lost"].iter().filter_map(|measure| worst_run(&cases, Measure::known(measure)).cloned());
        worst.reduce(|harmful, lossy| if harmful.outcome.harm > 0.0 { harmful } else { lossy })
    };
    classes.into_iter().filter_map(worst_of).filter_map(|case| play(&case)).collect()
}

fn write_report(
    arguments: &GateArgs,
    campaign: &Campaign,
    contest: &Contest,
    candidate: &[Case],
    judgement: &Judgement,
) -> Result<(), Failure> {
    let shown = worst_runs(campaign, contest, candidate);
    let headings: Vec<String> = shown
        .iter()
        .map(|(case, _)| format!("{}: the worst run of {}, seed {}", case.class, case.outcome.scenario, case.outcome.seed))
        .collect();
    let repeat = repeat(arguments, contest);
    let commands: Vec<String> = shown
        .iter()
        .map(|(case, _)| repeat.replace("{scenario}", &case.outcome.scenario).replace("{seed}", &case.outcome.seed.to_string()))
        .collect();
    let example = |index: usize| {
        let (case, shown) = &shown[index];
        let arms = Arms { nothing: &shown.nothing, policy: &shown.policy, oracle: shown.oracle.as_ref() };
        Example { heading: &headings[index], arms, outcome: &case.outcome, command: &commands[index] }
    };
    let examples: Vec<Example<'_>> = (0..shown.len()).map(example).collect();
    let command = command(arguments);
    let title = format!("Gate of {}", contest.candidate.label);
    let policies = [PolicyRuns { policy: &contest.candidate.label, cases: candidate }];
    let html = page::render(&Page {
        title: &title,
        engine: ENGINE,
        command: &command,
        judgement: Some(judgement),
        policies: &policies,
        examples: &examples,
    });
    let markdown = markdown::summary(judgement);
    let files = [("gate.html", html), ("gate.md", markdown), ("gate.json", as_json(judgement, candidate, &command))];
    write_files(&arguments.out, &files)?;
    Ok(())
}

fn as_json(judgement: &Judgement, candidate: &[Case], command: &str) -> String {
    let document = json!({ "schema": SCHEMA, "engine": ENGINE, "command": command, "judgement": judgement, "runs": candidate });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}

fn tell(arguments: &GateArgs, judgement: &Judgement, output: Output) {
    match output.format {
        Format::Json => output.data(&serde_json::to_string_pretty(judgement).expect("results are plain data")),
        Format::Text => {
            let table = table::gate(judgement, terminal::columns());
            output.data(&format!("{table}\n{}", story(judgement)));
        }
    }
    output.talk(&format!("report: {}", arguments.out.join("gate.html").display()));
}

/// What broke or could not be told, with the command that shows it, and the verdict last.
fn story(judgement: &Judgement) -> String {
    let mut text = String::new();
    for breach in judgement.breaches() {
        text += &format!("\n✗ {}: {}\n", breach.place, breach.what);
        if let Some(run) = &breach.run {
            text += &format!("  seen in {}, seed {}\n", run.scenario, run.seed);
        }
        if let Some(command) = &breach.command {
            text += &format!("  repeat: {command}\n");
        }
    }
    for idle in &judgement.idle {
        text += &format!("\n? {} never acted: {}\n", idle.policy, idle.reason);
    }
    let closing = match judgement.verdict {
        Verdict::Held if judgement.incidents.is_empty() => "held: every threshold holds in every class; no recorded incident was replayed",
        Verdict::Held => "held: every threshold holds in every class, and every recorded incident passes",
        Verdict::Broken => "broken: see ✗ above",
        Verdict::Inconclusive => "inconclusive: these runs do not tell; more pairs may (`--pairs N`)",
        Verdict::NotExercised => "not exercised: a policy that never acts proves nothing",
    };
    if judgement.pairs > 0 && judgement.classes.iter().all(|class| class.tail.is_none()) {
        text += &format!("\n· rare catastrophes were not tested against the baseline: that takes `--pairs {TAIL_PAIRS}`\n");
    }
    text + &format!("\n{closing}\n")
}

fn command(arguments: &GateArgs) -> String {
    let mut command = "firedrill gate".to_owned();
    if arguments.project != sources::PROJECT_FILE {
        command += &format!(" --project {}", arguments.project);
    }
    for candidate in &arguments.candidate {
        command += &format!(" --candidate {candidate}");
    }
    if !arguments.scenarios.is_empty() {
        command += &format!(" --scenarios {}", arguments.scenarios.join(","));
    }
    if let Some(pairs) = arguments.pairs {
        command += &format!(" --pairs {pairs}");
    }
    if let Some(seed) = arguments.seed {
        command += &format!(" --seed {seed}");
    }
    command
}
