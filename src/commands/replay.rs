//! `firedrill replay`: a recorded incident, open loop.

use std::path::Path;

use firedrill_core::journal::Journal;
use firedrill_core::ledger::Ledger;
use firedrill_core::time::Start;
use firedrill_core::transcript::Transcript;
use firedrill_core::words::{counted, in_one_line};
use firedrill_policies::lints;
use firedrill_reports::timeline::{self, Kind, Line};
use firedrill_scenarios::incident::Incident;
use firedrill_scenarios::incident::expect::{CLAIM, Check, Expect, ExpectVerdict, draft_expect};
use firedrill_scenarios::incident::score::{Score, Scoring, score};
use serde_json::json;

use super::setting::{RuleNames, warn};
use super::{backtest, terminal};
use crate::cli::{Format, ReplayArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fidelity::fidelity;
use crate::home::{Home, Routings};
use crate::output::{Output, Room, write_files};
use crate::replaying::{self, Replay};
use crate::revision::Revision;
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.replay/1";

/// Replays an incident: what the rules would have said, what the policies would have done.
pub fn execute(arguments: &ReplayArgs, output: Output) -> Result<Exit, Failure> {
    let _room = arguments.out.as_deref().map(|folder| Room::make("--out", folder)).transpose()?;
    let replay = prepare(arguments)?;
    warn(std::iter::once(&replay.rules), output);
    output.problems(&lints::unheard(&replay.answer.policies, std::iter::once(&*replay.rules.set)));
    if let Some(why) = replay.cannot_tell() {
        output.talk(&format!("warning: {} {why}", replay.incident.name));
    }
    backtest::admit(arguments, &replay)?;
    let journal = replay.play();
    let incident = &replay.incident;
    let start = replay.recording.start;
    if arguments.write_expect {
        output.data(&draft_expect(&replay.of_captured(&journal), start, incident.onset))?;
        return Ok(Exit::Held);
    }
    backtest::record(arguments, (&replay, &journal), output)?;
    // Without a policy nobody could have proposed what is expected.
    let unwatched = incident.expect.is_some() && replay.answer.policies.is_empty();
    let judged = incident.expect.as_ref().filter(|_| !unwatched).map(|expect| expect.judge(&journal, start, incident.onset));
    let quiet = incident.expect.as_ref().map_or_else(Vec::new, |expect| expect.quiet.clone());
    let scored = (!incident.faults.is_empty()).then(|| score(&journal, start, &incident.faults, &Scoring { quiet, ..Scoring::default() }));
    let reproduced = replay.reproduced(&journal);
    let told_alerts = replay.alerts.as_ref().map(|alerts| fidelity(&replay.recording, &replay.rules, alerts));
    let transcript = Transcript { header: replay.header(), journal, ledger: Ledger::default() };
    if let Some(folder) = &arguments.out {
        write_files(folder, &[("journal.jsonl", transcript.to_json_lines())])?;
        output.talk(&format!("wrote {}", folder.join("journal.jsonl").display()));
    }
    let mut story = timeline::tell(&transcript);
    story.lines = with_marks(story.lines, incident, start);
    match output.format {
        Format::Json => {
            let mut document = json!({
                "schema": SCHEMA, "incident": incident.name, "start": start.to_string(), "injected": incident.injected,
                "expect": judged, "score": scored, "timeline": story,
            });
            // Only where alerts were recorded is there something to be true to.
            if let (Some((found, total)), Some(fields)) = (reproduced, document.as_object_mut()) {
                fields.insert("watched".to_owned(), json!({ "decisions": total, "reproduced": found }));
            }
            if let (Some(told), Some(fields)) = (&told_alerts, document.as_object_mut()) {
                fields.insert("alerts".to_owned(), json!(told));
            }
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let told = story.render_from(start, terminal::width(), |kind, text| terminal::paint(output, kind, text));
            let unjudged = incident.expect.as_ref().filter(|_| unwatched).map(unwatched_by_anyone);
            let live = reproduced.map_or_else(String::new, |(found, total)| {
                format!("{}{found} of {total} decisions as they were made live\n", if found == total { "" } else { "✗ only " })
            });
            let reproduced = live + &told_alerts.map_or_else(String::new, |told| format!("{}\n", told.sentence()));
            let conclusion = unjudged.unwrap_or_else(|| conclusion(&transcript.journal, judged.as_ref(), scored.as_ref()));
            output.data(&format!("{}\n\n{told}\n{reproduced}{conclusion}", headline(incident, &replay)))?;
        }
    }
    Ok(match judged {
        Some(judged) if !judged.passed => Exit::Broken,
        // It is not what happened.
        _ if reproduced.is_some_and(|(found, total)| found != total) => Exit::Broken,
        None if unwatched => Exit::Inconclusive,
        _ => Exit::Held,
    })
}

/// What is said instead of a judgement when there is nobody to judge.
fn unwatched_by_anyone(expect: &Expect) -> String {
    let unchecked = match expect.count() {
        0 => String::new(),
        1 => ": one expectation went unchecked".to_owned(),
        count => format!(": {count} expectations went unchecked"),
    };
    format!(
        "no policy watched, so nothing was judged by this incident's `expect`{unchecked}\n\
         hint: name one with `--policy POLICY` (`firedrill list policies`), or in firedrill.yaml"
    )
}

/// The story with what people know of the incident: when it began, what they did, and when it was over. Each stands before what was noticed at
/// that time.
fn with_marks(lines: Vec<Line>, incident: &Incident, start: Start) -> Vec<Line> {
    let cause = incident.cause.as_deref().unwrap_or("of unknown cause");
    let target = incident.target.as_ref().map_or_else(String::new, |target| format!(" at {target}"));
    let begins = (incident.onset, Kind::Fault, format!("the incident begins: {cause}{target}"));
    let deeds = incident.people.iter().map(|deed| (deed.at, Kind::World, format!("people: {}", deed.what)));
    let over = incident.end.map(|end| (end, Kind::Recovery, "the incident is over".to_owned()));
    let mut all: Vec<Line> = std::iter::once(begins)
        .chain(deeds)
        .chain(over)
        .filter_map(|(instant, kind, text)| Some(Line { at: start.time_of(instant.unix_millis())?, kind, text }))
        .collect();
    all.extend(lines);
    all.sort_by_key(|line| line.at);
    all
}

fn prepare(arguments: &ReplayArgs) -> Result<Replay, Failure> {
    let home = Home::here()?;
    let revision = arguments.judge.as_deref().map(|judge| Revision::named(judge, &home.base)).transpose()?;
    let found = revision.as_ref().and_then(|revision| revision.place_of(Path::new(&arguments.incident)));
    let (incident, files) = match (&revision, found) {
        (Some(revision), Some(place)) => {
            sources::incident(&place.display().to_string(), Path::new(".")).map_err(|failure| revision.reworded(failure))?
        }
        _ => home.incident(&arguments.incident)?,
    };
    let chosen = !arguments.rules.is_empty() || incident.rules.is_empty();
    let rules = if chosen { Some(RuleNames::chosen(&home, &arguments.rules)?.load(&[])?) } else { None };
    let answer = if !arguments.policy.is_empty() {
        Some(home.answer(&arguments.policy)?)
    } else if incident.policies.is_empty() {
        Some(home.policies()?)
    } else {
        None
    };
    let routings = Routings::chosen(&home, arguments.alertmanager.as_deref())?;
    replaying::prepare(incident, &files, rules, answer, &routings)
}

fn headline(incident: &Incident, replay: &Replay) -> String {
    let kind = if incident.injected { "a recording of injected faults" } else { "a recorded incident" };
    let series = replay.recording.store.len();
    let policies: Vec<&str> = replay.answer.policies.iter().map(|policy| &*policy.name).collect();
    let watched = if policies.is_empty() { "no policy".to_owned() } else { policies.join(", ") };
    format!(
        "{}: {}\n{kind}, open loop: {series} series from {} to {}, watched by {watched}",
        incident.name,
        incident.what,
        replay.recording.start,
        Start::from_unix_millis(replay.recording.end_ms)
    )
}

fn conclusion(journal: &Journal, judged: Option<&ExpectVerdict>, scored: Option<&Score>) -> String {
    let mut lines = Vec::new();
    if let Some(score) = scored {
        lines.push(score.to_string());
    }
    match judged {
        Some(judged) => {
            lines.extend(judged.checks.iter().map(|check| in_one_line(&format!("{} {}: {}", mark(check), check.expected, check.found))));
            lines.extend(judged.unlisted.iter().map(|proposal| in_one_line(&format!("· not listed in expect: {proposal}"))));
            let unchecked = unchecked(judged);
            lines.push(if judged.passed { format!("passed: {CLAIM}{unchecked}") } else { format!("failed: see ✗ above{unchecked}") });
        }
        None if journal.records().is_empty() => lines.push("nothing was said and nothing proposed".to_owned()),
        None => lines.push("this incident has no `expect`, so nothing is judged; `--write-expect` drafts one".to_owned()),
    }
    lines.join("\n")
}

const fn mark(check: &Check) -> &'static str {
    match (check.checked, check.held) {
        (false, _) => "·",
        (true, true) => "✓",
        (true, false) => "✗",
    }
}

/// How much of what is expected could not be checked.
fn unchecked(judged: &ExpectVerdict) -> String {
    match judged.unchecked() {
        0 => String::new(),
        count => format!("; {count} of {} went unchecked, see · above", counted(judged.checks.len() as u64, "expectation")),
    }
}
