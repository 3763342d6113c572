//! `firedrill gate`: the CI verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::lints;
use firedrill_reports::markdown;
use firedrill_reports::page::{self, Example, Page};
use firedrill_reports::statistics::TailGuard;
use firedrill_reports::table::{self, PolicyRuns};
use firedrill_reports::verdict::{
    Case, Doubt, ExerciseRule, IncidentResult, JudgeSettings, Judgement, Measure, Threshold, Verdict, judge, worst_run,
};
use firedrill_reports::words::counted;
use serde_json::json;

use super::setting::{Named, RuleNames, Setting, seeds, warn};
use super::terminal;
use crate::campaign::{Campaign, Shown};
use crate::cli::{Format, GateArgs};
use crate::command_line::CommandLine;
use crate::coverage;
use crate::drill::{Answer, Drill, ENGINE, Remembered, Rules};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::judged;
use crate::output::{Output, Room, write_files};
use crate::project::Project;
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
    let _room = Room::make("--out", &arguments.out)?;
    let home = Home::at(&arguments.project)?;
    let project = home.project.as_ref().expect("a home at a project has it");
    let named = Named { scenarios: &arguments.scenarios, rules: &[], alertmanager: arguments.alertmanager.as_deref() };
    let setting = Setting::of(&home, named)?;
    let thresholds = Thresholds::of(project, setting.scenarios.iter().any(|(scenario, _)| scenario.calm))?;
    let contest = contest(arguments, &home)?;
    setting.admit(&contest.candidate)?;
    contest.baseline.iter().try_for_each(|baseline| setting.admit(baseline))?;
    let incidents = home.incident_folders()?;
    let first = arguments.seed.unwrap_or(project.seed);
    let pairs = arguments.pairs.unwrap_or(project.pairs);
    let answers = [Some(&contest.candidate), contest.baseline.as_ref()].into_iter().flatten().cloned().collect();
    let routings = setting.routings;
    let watched: Vec<Arc<Rules>> = setting.scenarios.iter().map(|(_, rules)| Arc::clone(rules)).collect();
    // Nobody is compared with a person unless a threshold speaks of one.
    let with_human = thresholds.all.iter().any(|threshold| threshold.measure.needs_human());
    let campaign = Campaign { scenarios: setting.scenarios, answers, seeds: seeds(first, pairs)?, stage: Stage::Full, with_human };
    // Everything that can be wrong with an incident is found before the runs begin.
    let rules = RuleNames::of(project, &home.base).load(&[])?;
    let replays = judged::prepare_all(&incidents, &rules, &contest.candidate, contest.baseline.as_ref(), &routings)?;
    let of_replays: Vec<Arc<Rules>> = replays.iter().map(|replay| replay.watched().1).collect();
    let watching = watched.iter().chain(&of_replays);
    warn(watching.clone(), output);
    output.problems(&lints::unheard(&contest.candidate.policies, watching.map(|rules| &*rules.set)));
    let mut cases = super::progress::run(&campaign, output);
    let replayed: Vec<IncidentResult> = replays.iter().map(judged::Replayed::judge).collect();
    let baseline = contest.baseline.is_some().then(|| cases.pop()).flatten();
    let candidate = cases.pop().unwrap_or_default();
    // Fewer pairs cannot exclude catastrophes, and a gate that always says so is of no use: it is said beside the verdict instead.
    let tail = (u64::from(pairs) >= TAIL_PAIRS).then(TailGuard::default);
    let settings = JudgeSettings {
        thresholds: thresholds.all.clone(),
        tail,
        exercise: contest.exercise,
        only_notify: contest.candidate.policies.iter().filter(|policy| policy.only_notifies()).map(|policy| policy.name.clone()).collect(),
        narrowed: !arguments.scenarios.is_empty(),
        seed: first,
        command: repeat(arguments, &contest),
        ..JudgeSettings::default()
    };
    let judgement = judge(&candidate, baseline.as_deref(), &replayed, &settings);
    let watched: Vec<_> = replays.iter().map(judged::Replayed::watched).collect();
    let (unable, rules) = coverage::unable(&campaign.scenarios, &watched);
    let mut notes = notes(arguments, &judgement, &thresholds);
    notes.extend(untested(&unable, rules));
    notes.extend(failed(&candidate));
    notes.extend(quiet(&campaign, &candidate, &unable));
    let report = Report {
        unable: &unable,
        arguments,
        campaign: &campaign,
        contest: &contest,
        candidate: &candidate,
        judgement: &judgement,
        notes: &notes,
    };
    report.write()?;
    report.tell(output)?;
    Ok(match judgement.verdict {
        Verdict::Held => Exit::Held,
        Verdict::Broken => Exit::Broken,
        Verdict::Inconclusive | Verdict::NotExercised => Exit::Inconclusive,
    })
}

/// A candidate with the name of a project policy takes its place and is compared with the project as it is; another is judged where its
/// alerts fire. A project that names a `baseline` has every candidate, itself included, compared with that.
fn contest(arguments: &GateArgs, home: &Home) -> Result<Contest, Failure> {
    let whole = home.policies()?;
    if arguments.candidate.is_empty() {
        if whole.policies.is_empty() {
            return Err(Failure::argument("there is no policy to judge", "name policies in firedrill.yaml, or give `--candidate POLICY`"));
        }
        return Ok(Contest { candidate: whole, baseline: home.baseline()?, exercise: ExerciseRule::EveryClass });
    }
    let alone = home.answer(&arguments.candidate)?;
    let candidate = sources::in_project(Arc::clone(&whole), Arc::clone(&alone));
    if Arc::ptr_eq(&candidate, &alone) {
        return Ok(Contest { candidate, baseline: home.baseline()?, exercise: ExerciseRule::SomeClass });
    }
    Ok(Contest { candidate, baseline: Some(home.baseline()?.unwrap_or(whole)), exercise: ExerciseRule::EveryClass })
}

/// What must hold.
struct Thresholds {
    all: Vec<Threshold>,
    /// The project has none, so these are ours, as it would write them.
    ours: Vec<String>,
}

/// Held of a project that names no threshold: users lose nothing by the policy that they would not have lost without it, and where it acts,
/// users are helped or people are called.
const DEFAULTS: [(&str, &str); 2] = [("harm", "max < 1 user-minutes"), ("missed", "max == 0")];
/// The same where something is rehearsed in which there is nothing to do.
const DEFAULT_WHEN_CALM: (&str, &str) = ("noop_false_positives", "max == 0");

impl Thresholds {
    fn of(project: &Project, calm: bool) -> Result<Self, Failure> {
        if project.thresholds.is_empty() {
            let ours = DEFAULTS.into_iter().chain(calm.then_some(DEFAULT_WHEN_CALM));
            let parse = |(measure, bound)| Threshold::parse(measure, bound).expect("a threshold of ours is well formed");
            let written = ours.clone().map(|(measure, bound)| format!("{measure}: {bound}")).collect();
            return Ok(Self { all: ours.map(parse).collect(), ours: written });
        }
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for line in &project.thresholds {
            match Threshold::parse(&line.measure, &line.bound) {
                Ok(threshold) => all.push(threshold),
                Err(error) => problems.push(Problem::at("FD0603", &line.place, error.to_string())),
            }
        }
        if problems.is_empty() { Ok(Self { all, ours: Vec::new() }) } else { Err(Failure::Input(problems)) }
    }
}

/// What a verdict leaves out, so that nobody reads more into it.
fn notes(arguments: &GateArgs, judgement: &Judgement, thresholds: &Thresholds) -> Vec<String> {
    let mut notes = Vec::new();
    if !thresholds.ours.is_empty() {
        let written = thresholds.ours.join(", ");
        notes.push(format!(
            "the project names no thresholds, so these were judged: write `thresholds: {{ {written} }}` to keep or change them"
        ));
    }
    if !arguments.scenarios.is_empty() {
        let judged = |asked: &String| judgement.thresholds.iter().any(|found| found.threshold == *asked);
        let asked = thresholds.all.iter().map(ToString::to_string);
        let untested: Vec<String> = asked.filter(|asked| !judged(asked)).collect();
        let untested = if untested.is_empty() { String::new() } else { format!("; not tested there: {}", untested.join(", ")) };
        let all = "whether each policy acts somewhere is judged over all that the project rehearses";
        notes.push(format!("narrowed to {}: {all}{untested}", arguments.scenarios.join(", ")));
    }
    if judgement.pairs.is_some() && judgement.classes.iter().all(|class| class.tail.is_none()) {
        notes.push(format!("rare catastrophes were not tested against the baseline: that takes `--pairs {TAIL_PAIRS}`"));
    }
    notes
}

/// How many names of rules a note lists.
const SHOWN: usize = 5;

/// The first of many names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// That rules cannot fire in anything that was rehearsed or replayed, so that the verdict says nothing of them.
fn untested(unable: &[String], rules: usize) -> Option<String> {
    let named = some_of(unable);
    let told = format!("{} of {rules} rules cannot fire in what is rehearsed here, so nothing was learnt of them: {named}", unable.len());
    (!unable.is_empty()).then(|| format!("{told}; `firedrill check` says why"))
}

/// That rules failed when they were evaluated, so that the verdict says nothing of them.
fn failed(cases: &[Case]) -> Option<String> {
    let failed: BTreeMap<&Name, &String> = cases.iter().flat_map(|case| &case.outcome.failed_rules).collect();
    let named: Vec<String> = failed.iter().map(|(rule, why)| format!("{rule} ({why})")).collect();
    let told =
        format!("{} could not be evaluated in what is rehearsed here, so nothing was learnt of it", counted(failed.len() as u64, "rule"));
    (!failed.is_empty()).then(|| format!("{told}: {}", some_of(&named)))
}

/// That alerts could fire and did in no run, so that the verdict says nothing of them either.
fn quiet(campaign: &Campaign, cases: &[Case], unable: &[String]) -> Option<String> {
    let rules = campaign.scenarios.iter().flat_map(|(_, rules)| &rules.set.groups).flat_map(|group| &group.rules);
    let alerts: BTreeSet<&Name> = rules.filter(|rule| rule.is_alerting()).map(|rule| &rule.name).collect();
    let heard = |alert: &Name| cases.iter().any(|case| case.outcome.fired.contains(alert) || case.outcome.failed_rules.contains_key(alert));
    let is_unable = |alert: &Name| unable.iter().any(|name| name == alert.as_str());
    let quiet: Vec<String> = alerts.iter().filter(|alert| !heard(alert) && !is_unable(alert)).map(ToString::to_string).collect();
    let told = format!("{} of {} alerts can fire and did in no simulated run: {}", quiet.len(), alerts.len(), some_of(&quiet));
    (!quiet.is_empty()).then(|| format!("{told}; rehearse what they are for, or `firedrill check --fire` says how near they came"))
}

/// The command that repeats a run, with places for scenario and seed.
fn repeat(arguments: &GateArgs, contest: &Contest) -> String {
    let mut line = CommandLine::new("run").verbatim("{scenario}");
    if contest.exercise == ExerciseRule::EveryClass || arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    let line = line.options("--policy", &arguments.candidate).options("--alertmanager", arguments.alertmanager.as_slice());
    line.verbatim("--seed {seed}").to_string()
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
            past: Remembered::default(),
        };
        Some((case.clone(), drill.show(case.outcome.seed, false)))
    };
    let worst_of = |class| {
        let cases: Vec<Case> = candidate.iter().filter(|case| case.class == class).cloned().collect();
        let worst = ["harm", "user_minutes_lost"].iter().filter_map(|measure| worst_run(&cases, Measure::known(measure)).cloned());
        worst.reduce(|harmful, lossy| if harmful.outcome.harm > 0.0 { harmful } else { lossy })
    };
    classes.into_iter().filter_map(worst_of).filter_map(|case| play(&case)).collect()
}

/// All that is told and written at the end.
struct Report<'a> {
    arguments: &'a GateArgs,
    campaign: &'a Campaign,
    contest: &'a Contest,
    candidate: &'a [Case],
    judgement: &'a Judgement,
    notes: &'a [String],
    /// Rules that cannot fire in what is rehearsed.
    unable: &'a [String],
}

impl Report<'_> {
    fn write(&self) -> Result<(), Failure> {
        let shown = worst_runs(self.campaign, self.contest, self.candidate);
        let headings: Vec<String> = shown
            .iter()
            .map(|(case, _)| format!("{}: the worst run of {}, seed {}", case.class, case.outcome.scenario, case.outcome.seed))
            .collect();
        let repeat = repeat(self.arguments, self.contest);
        let commands: Vec<String> = shown
            .iter()
            .map(|(case, _)| repeat.replace("{scenario}", &case.outcome.scenario).replace("{seed}", &case.outcome.seed.to_string()))
            .collect();
        let example = |index: usize| {
            let (case, shown) = &shown[index];
            Example { heading: &headings[index], arms: shown.arms(), outcome: &case.outcome, command: &commands[index] }
        };
        let examples: Vec<Example<'_>> = (0..shown.len()).map(example).collect();
        let command = command(self.arguments);
        let label = &self.contest.candidate.label;
        let html = page::render(&Page {
            title: &title(&self.judgement.policies),
            engine: ENGINE,
            command: &command,
            judgement: Some(self.judgement),
            notes: self.notes,
            policies: &[PolicyRuns { policy: label, cases: self.candidate }],
            examples: &examples,
        });
        let notes: String = self.notes.iter().map(|note| format!("\nNote: {note}.\n")).collect();
        let markdown = markdown::summary(self.judgement) + &notes;
        let files = [("gate.html", html), ("gate.md", markdown), ("gate.json", self.as_json(&command))];
        write_files(&self.arguments.out, &files)?;
        Ok(())
    }

    fn as_json(&self, command: &str) -> String {
        let document = json!({
            "schema": SCHEMA, "engine": ENGINE, "command": command,
            "judgement": self.judgement, "notes": self.notes, "cannot_fire": self.unable, "runs": self.candidate,
        });
        serde_json::to_string_pretty(&document).expect("results are plain data")
    }

    fn tell(&self, output: Output) -> Result<(), Failure> {
        match output.format {
            Format::Json => output.data(&serde_json::to_string_pretty(self.judgement).expect("results are plain data"))?,
            Format::Text => {
                let table = table::gate(self.judgement, terminal::columns());
                output.data(&format!("{table}\n{}", story(self.judgement, self.notes)))?;
            }
        }
        output.talk(&format!("report: {}", self.arguments.out.join("gate.html").display()));
        Ok(())
    }
}

/// The policy's name, or how many there are: their names stand below.
fn title(policies: &[Name]) -> String {
    match policies {
        [policy] => format!("Gate of {policy}"),
        several => format!("Gate of {}", counted(several.len() as u64, "policy")),
    }
}

/// What broke or could not be told, with the command that shows it, and the verdict last.
fn story(judgement: &Judgement, notes: &[String]) -> String {
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
    let doubts = judgement.doubts();
    for doubt in &doubts {
        text += &format!("\n? {}: {}\n", doubt.place, doubt.what);
    }
    for note in notes {
        text += &format!("\n· {note}\n");
    }
    text + &format!("\n{}\n", closing(judgement, &doubts))
}

/// The verdict in a line, with what would settle it.
fn closing(judgement: &Judgement, doubts: &[Doubt]) -> String {
    match judgement.verdict {
        Verdict::Broken => "broken: see ✗ above".to_owned(),
        Verdict::Inconclusive if !doubts.is_empty() => format!("inconclusive: see ? above; {}", judgement.reason()),
        verdict => format!("{verdict}: {}", judgement.reason()),
    }
}

fn command(arguments: &GateArgs) -> String {
    let mut line = CommandLine::new("gate");
    if arguments.project != sources::PROJECT_FILE {
        line = line.option("--project", &arguments.project);
    }
    line = line.options("--candidate", &arguments.candidate).options("--alertmanager", arguments.alertmanager.as_slice());
    if !arguments.scenarios.is_empty() {
        line = line.option("--scenarios", &arguments.scenarios.join(","));
    }
    for (option, value) in [("--pairs", arguments.pairs.map(u64::from)), ("--seed", arguments.seed)] {
        line = value.into_iter().fold(line, |line, value| line.option(option, &value.to_string()));
    }
    line.to_string()
}
