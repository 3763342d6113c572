//! What is told and written at the end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_reports::markdown::{self, Comment};
use firedrill_reports::page::{self, Example, Page};
use firedrill_reports::scrutiny::Scrutiny;
use firedrill_reports::table::{self, PolicyRuns};
use firedrill_reports::verdict::{Case, Doubt, Grave, Judgement, Measure, Verdict, worst_run};
use firedrill_reports::words::counted;
use firedrill_reports::worth::DeedWorth;
use serde_json::{Value, json};

use super::super::{meaning, terminal};
use super::contest::Contest;
use super::edits::edits;
use crate::campaign::{Campaign, Shown};
use crate::cli::{Format, GateArgs};
use crate::drill::{Drill, ENGINE, Remembered, Rules};
use crate::failure::Failure;
use crate::output::{Output, remove_files, write_files};
use crate::outputs::{annotations, junit};

/// So many parts of policies that were never reached are named on the terminal.
const SHOWN: usize = 5;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.gate/1";

/// The files of a report.
const FILES: [&str; 4] = ["gate.html", "gate.md", "gate.json", "gate.junit.xml"];

/// Removes the report of an earlier gate from a folder, if there is one: the JSON says whose it is.
pub(super) fn remove(folder: &Path) {
    let json = folder.join(FILES[2]);
    let head: String = std::fs::read_to_string(json).unwrap_or_default();
    let is_ours = serde_json::from_str::<Value>(&head).is_ok_and(|own| own["schema"] == SCHEMA);
    if is_ours {
        remove_files(folder, &FILES);
    }
}

/// The run of a class that went worst.
struct Worst {
    case: Case,
    shown: Shown,
    about: Vec<(String, String)>,
}

/// The run of each class that went worst, played again for the page: it is the same to the byte.
fn worst_runs(campaign: &Campaign, contest: &Contest, candidate: &[Case]) -> Vec<Worst> {
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
        Some(Worst { case: case.clone(), shown: drill.show(case.outcome.seed, false), about: drill.about(&case.outcome) })
    };
    let worst_of = |class| {
        let cases: Vec<Case> = candidate.iter().filter(|case| case.class == class).cloned().collect();
        let worst = ["harm", "user_minutes_lost"].iter().filter_map(|measure| worst_run(&cases, Measure::known(measure)).cloned());
        worst.reduce(|harmful, lossy| if harmful.outcome.harm > 0.0 { harmful } else { lossy })
    };
    classes.into_iter().filter_map(worst_of).filter_map(|case| play(&case)).collect()
}

/// All that is told and written at the end.
pub(super) struct Report<'a> {
    pub arguments: &'a GateArgs,
    /// The command that repeats all of it.
    pub command: String,
    /// The command that repeats a run, with places for scenario and seed.
    pub repeat: &'a str,
    pub campaign: &'a Campaign,
    pub contest: &'a Contest,
    pub candidate: &'a [Case],
    /// The runs of the baseline; `None` without one.
    pub baseline: Option<&'a [Case]>,
    pub judgement: &'a Judgement,
    /// What the verdict rests on besides its runs.
    pub grounds: &'a [String],
    pub notes: &'a [String],
    /// How closely the policies were looked at.
    pub scrutiny: &'a Scrutiny,
    /// Rules that cannot fire in what is rehearsed.
    pub unable: &'a [String],
}

impl Report<'_> {
    pub(super) fn write(&self) -> Result<(), Failure> {
        let shown = worst_runs(self.campaign, self.contest, self.candidate);
        let headings: Vec<String> = shown
            .iter()
            .map(|Worst { case, .. }| format!("{}: the worst run of {}, seed {}", case.class, case.outcome.scenario, case.outcome.seed))
            .collect();
        let commands: Vec<String> = shown
            .iter()
            .map(|Worst { case, .. }| {
                self.repeat.replace("{scenario}", &case.outcome.scenario).replace("{seed}", &case.outcome.seed.to_string())
            })
            .collect();
        let worth: Vec<Vec<DeedWorth>> = shown.iter().map(|Worst { case, .. }| self.scrutiny.of_run(&case.outcome)).collect();
        let example = |index: usize| {
            let Worst { case, shown, about } = &shown[index];
            Example {
                heading: &headings[index],
                arms: shown.arms(),
                outcome: &case.outcome,
                about,
                worth: &worth[index],
                command: &commands[index],
            }
        };
        let examples: Vec<Example<'_>> = (0..shown.len()).map(example).collect();
        let label = if self.baseline.is_some() { "candidate" } else { &self.contest.candidate.label };
        let baseline = self.baseline.map(|cases| PolicyRuns { policy: "baseline", cases });
        let policies: Vec<PolicyRuns<'_>> = [PolicyRuns { policy: label, cases: self.candidate }].into_iter().chain(baseline).collect();
        let html = page::render(&Page {
            title: &title(&self.judgement.policies),
            engine: ENGINE,
            command: &self.command,
            judgement: Some(self.judgement),
            meanings: &meaning::each(self.judgement, self.candidate),
            grounds: self.grounds,
            edits: &edits(self.contest),
            notes: self.notes,
            scrutiny: Some(self.scrutiny),
            policies: &policies,
            examples: &examples,
        });
        let (judgement, cases, scrutiny, grounds, notes) = (self.judgement, self.candidate, self.scrutiny, self.grounds, self.notes);
        let markdown = markdown::comment(&Comment { judgement, cases, scrutiny, grounds, notes, report: "gate.html" });
        let junit = junit::document(self.judgement);
        let texts = [html, markdown, self.as_json(), junit];
        write_files(&self.arguments.out, &FILES.into_iter().zip(texts).collect::<Vec<_>>())?;
        Ok(())
    }

    fn as_json(&self) -> String {
        let document = json!({
            "schema": SCHEMA, "engine": ENGINE, "command": self.command,
            "judgement": self.judgement, "grounds": self.grounds, "notes": self.notes, "cannot_fire": self.unable, "scrutiny": self.scrutiny,
            "runs": self.candidate, "baseline_runs": self.baseline,
        });
        serde_json::to_string_pretty(&document).expect("results are plain data")
    }

    pub(super) fn tell(&self, output: Output) -> Result<(), Failure> {
        match output.format {
            // Nothing is wrong with the files: a document without findings.
            _ if output.is_sarif() => output.findings(&[])?,
            Format::Json => output.data(&serde_json::to_string_pretty(self.judgement).expect("results are plain data"))?,
            Format::Text => {
                let table = table::gate(self.judgement, terminal::columns());
                let judge = self.judgement.judge_block();
                let gap = if judge.is_empty() { "" } else { "\n" };
                output.data(&format!(
                    "{judge}{gap}{table}\n{}",
                    story(self.judgement, self.candidate, &[self.grounds, self.notes].concat())
                ))?;
            }
        }
        if output.is_annotated() {
            output.data(&annotations::of_judgement(self.judgement))?;
        }
        if let Some(score) = &self.scrutiny.mutation {
            let survivors = score.survivor_lines().into_iter().map(|line| format!("  {line}"));
            let told = std::iter::once(score.line()).chain(survivors).collect::<Vec<_>>().join("\n");
            // A document on stdout stands alone.
            match output.format {
                Format::Text if !output.is_sarif() => output.data(&format!("\n{told}"))?,
                Format::Text | Format::Json => output.talk(&told),
            }
        }
        output.talk(&format!("policies: {}", self.scrutiny.coverage_line(SHOWN)));
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
fn story(judgement: &Judgement, cases: &[Case], notes: &[String]) -> String {
    let mut text = String::new();
    for Grave { breach, .. } in judgement.gravest_first() {
        text += &format!("\n✗ {}: {}\n", breach.place, breach.what);
        if let Some(run) = &breach.run {
            text += &format!("  seen in {}, seed {}\n", run.scenario, run.seed);
        }
        if let Some(command) = &breach.command {
            text += &format!("  repeat: {command}\n");
        }
    }
    for idle in &judgement.idle {
        text += &format!("\n? {} never acted: {}\n", idle.policy, idle.words());
    }
    let doubts = judgement.doubts();
    for doubt in &doubts {
        text += &format!("\n? {}: {}\n", doubt.place, doubt.what);
    }
    text += &meaning::of_breaches(judgement, cases);
    for note in notes {
        text += &format!("\n· {note}\n");
    }
    text + &format!("\n{}\n", closing(judgement, &doubts))
}

/// The verdict in a line, with what would settle it.
fn closing(judgement: &Judgement, doubts: &[Doubt]) -> String {
    match judgement.verdict {
        Verdict::Broken if judgement.is_judge_changed() => format!("broken: {}", judgement.reason()),
        Verdict::Broken => "broken: see ✗ above".to_owned(),
        Verdict::Inconclusive if !doubts.is_empty() => format!("inconclusive: see ? above; {}", judgement.what_would_tell()),
        verdict => format!("{verdict}: {}", judgement.reason()),
    }
}
