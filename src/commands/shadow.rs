//! `firedrill shadow`: what people did beside what a policy would have done.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::words::{counted, in_one_line};
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::verdict::Case;
use serde::Serialize;
use serde_json::json;

use super::promoting::{Books, Subject};
use super::setting::{self, Named, Setting};
use crate::campaign::Campaign;
use crate::cli::{Format, ShadowArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ledger::shown_incident;
use crate::load;
use crate::output::Output;
use crate::shadow::{Shadow, Story, TakenUp, once, read_pagerduty, take_back, taken_up};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.shadow/1";

/// What cannot be said from a recording or a log.
const CLAIM: &str =
    "whether it would have helped or harmed nobody can tell from this: nothing was done. hint: `--scenario NAME` plays one that models it";

/// Seeds of each scenario.
const SEEDS: u32 = 5;

/// What a policy comes to where it acts, in simulation.
#[derive(Debug, Serialize)]
struct Rehearsed {
    scenarios: Vec<String>,
    runs: usize,
    /// User-minutes that it cost beyond doing nothing: the worst run, and the mean.
    harm_worst: f64,
    harm_mean: f64,
    /// User-minutes that it saved, the mean.
    benefit_mean: f64,
    /// Seconds from onset to the first notification, the median of the runs that detected it.
    detected_seconds: Option<f64>,
}

/// Compares, prints, and writes what is new into the policy's ledger if somebody answers for it.
///
/// # Errors
/// The policy or a file is unknown or wrong, or the ledger is not sound.
pub fn execute(arguments: &ShadowArgs, output: Output) -> Result<Exit, Failure> {
    let books = Books::here()?;
    let subject = books.subject(&arguments.policy)?;
    let stories = once(arguments.people.iter().map(|path| stories(&books, path, output)).collect::<Result<Vec<_>, _>>()?.concat());
    let mut taken = taken_up(&subject.chain);
    let taken_back = take_back(&mut taken, &stories);
    let shadow = Shadow::of(&taken, &stories);
    let rehearsed = if arguments.scenario.is_empty() { None } else { Some(rehearse(&books, (&subject, arguments))?) };
    let simulated = rehearsed.as_ref().and_then(|rehearsed| rehearsed.detected_seconds);
    let entries: Vec<_> = shadow
        .compared
        .iter()
        .filter_map(|compared| {
            let own: &TakenUp = taken.iter().find(|own| own.incident == compared.incident)?;
            Some((own, compared.entries(own, simulated))).filter(|(_, entries)| !entries.is_empty())
        })
        .collect();
    let written = entries.len();
    // What was seen at another stage says nothing of this one.
    let here: BTreeSet<&str> = match subject.standing.stage {
        Stage::Shadow => subject.chain.since(subject.standing.entry.as_deref()).map(|own| own.hash.as_str()).collect(),
        _ => BTreeSet::new(),
    };
    let counting = entries.iter().filter(|(own, _)| here.contains(own.opened.as_str())).count();
    let gone = taken_back.len();
    if let Some(writer) = arguments.writer().filter(|_| written + gone > 0) {
        // First what is of its incident no more: it may be of another one now.
        let entries = taken_back.into_iter().chain(entries.iter().flat_map(|(_, entries)| entries.clone())).collect();
        books.write(&subject.chain.name, entries, (&writer, output))?;
    }
    match output.format {
        Format::Json => {
            let document = json!({
                "schema": SCHEMA, "policy": subject.policy.name, "compared": shadow.compared, "untold": shadow.untold,
                "unclear": shadow.unclear.iter().map(|(incident, words)| json!({ "incident": incident, "words": words })).collect::<Vec<_>>(), "unseen": shadow.unseen,
                "agreeing": shadow.agreeing(), "written": if arguments.by.is_some() { written } else { 0 },
                "taken_back": if arguments.by.is_some() { gone } else { 0 }, "rehearsed": rehearsed,
                "claim": CLAIM,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let effect = rehearsed.as_ref().map_or_else(|| CLAIM.to_owned(), Rehearsed::told);
            let is_written = arguments.by.is_some();
            let fates = [back(gone, is_written), fate((written, counting), is_written)];
            let fates = fates.into_iter().flatten().collect::<Vec<_>>();
            output.data(&format!("{}{effect}\n", told(&shadow, fates)))?;
        }
    }
    Ok(Exit::Held)
}

/// What becomes of what is new, of which so many count for a promotion.
fn fate((new, counting): (usize, usize), is_written: bool) -> Option<String> {
    if new == 0 {
        return None;
    }
    let all = counted(new as u64, "comparison");
    let fate = if is_written { format!("{all} written to the ledger") } else { format!("hint: `--by NAME` writes {all} to the ledger") };
    let of_shadow = "those of incidents that were taken up since it came to the stage shadow";
    Some(match counting {
        _ if counting == new => fate + ", which promotion counts",
        0 => format!("{fate}; promotion counts none of them, only {of_shadow}"),
        _ => format!("{fate}, of which promotion counts {counting}: only {of_shadow}"),
    })
}

/// What becomes of what was compared by a story that is of its incident no more.
fn back(gone: usize, is_written: bool) -> Option<String> {
    let all = counted(gone as u64, "comparison");
    let told = if is_written { format!("{all} taken back") } else { format!("hint: `--by NAME` takes {all} back") };
    (gone > 0).then(|| format!("{told}: the story that was told is not of that incident"))
}

fn told(shadow: &Shadow, fates: Vec<String>) -> String {
    let mut lines: Vec<String> = shadow.compared.iter().map(|own| format!("{} {}", shown_incident(&own.incident), own.told())).collect();
    lines.extend(shadow.untold.iter().map(|incident| format!("{} · nobody says what people did", shown_incident(incident))));
    let unclear = |(of, words): &(String, String)| {
        let incident = shown_incident(of);
        let is_compared = shadow.compared.iter().any(|own| own.incident == *of);
        let what = if is_compared { "what people say beside that" } else { "not compared: what people say" };
        format!("{incident} · {what} is not understood ({words}); say `did: ACTION TARGET` or `did: nothing`")
    };
    lines.extend(shadow.unclear.iter().map(unclear));
    lines.extend(shadow.unseen.iter().map(|name| format!("{name} · the policy did not take it up")));
    let compared = counted(shadow.compared.len() as u64, "incident");
    lines.push(format!(
        "{compared} compared, {} agree, {} wrong",
        shadow.agreeing(),
        shadow.compared.iter().filter(|own| own.wrong).count()
    ));
    if fates.is_empty() {
        lines.push("nothing new for the ledger".to_owned());
    }
    lines.extend(fates);
    lines.iter().map(|line| in_one_line(line) + "\n").collect()
}

/// The policy at the stage full in the scenarios that are named, against doing nothing.
fn rehearse(books: &Books, (subject, arguments): (&Subject, &ShadowArgs)) -> Result<Rehearsed, Failure> {
    let named = Named { scenarios: &arguments.scenario, ..Named::default() };
    let setting = Setting::of(&books.home, named)?;
    let answer = books.home.answer(std::slice::from_ref(&subject.argument))?;
    setting.admit(&answer)?;
    let scenarios: Vec<String> = setting.scenarios.iter().map(|(scenario, _)| scenario.name.to_string()).collect();
    let seeds = setting::seeds(1, SEEDS)?;
    let campaign =
        Campaign { scenarios: setting.scenarios, answers: vec![Arc::clone(&answer)], seeds, stage: Stage::Full, with_human: false };
    let cases: Vec<Case> = campaign.run(&|| {}).concat();
    let runs = cases.len();
    let mean = |of: &dyn Fn(&Case) -> f64| cases.iter().map(of).sum::<f64>() / runs.max(1) as f64;
    let mut detected: Vec<f64> =
        cases.iter().filter_map(|case| case.outcome.time_to_detect.filter(|time| !time.censored).map(|time| time.seconds)).collect();
    detected.sort_by(f64::total_cmp);
    Ok(Rehearsed {
        scenarios,
        runs,
        harm_worst: cases.iter().map(|case| case.outcome.harm).fold(0.0, f64::max),
        harm_mean: mean(&|case| case.outcome.harm),
        benefit_mean: mean(&|case| case.outcome.benefit),
        detected_seconds: detected.get(detected.len() / 2).copied(),
    })
}

impl Rehearsed {
    /// For people.
    fn told(&self) -> String {
        let Self { runs, harm_worst, harm_mean, benefit_mean, .. } = self;
        format!(
            "closed loop, in {} ({}): harm {harm_worst:.1} user-minutes at worst, {harm_mean:.1} in the mean; benefit {benefit_mean:.1} in the mean",
            self.scenarios.join(", "),
            counted(*runs as u64, "run")
        )
    }
}

/// What a file or a folder tells of people: an incident, or an export of PagerDuty's.
fn stories(books: &Books, path: &str, output: Output) -> Result<Vec<Story>, Failure> {
    let is_incident = Path::new(path).is_dir() || path.ends_with(".yaml") || path.ends_with(".yml");
    if is_incident || !Path::new(path).exists() {
        let folder = path.strip_suffix("/incident.yaml").unwrap_or(path);
        let (incident, _) = books.home.incident(folder)?;
        return Ok(vec![Story::of_incident(&incident)]);
    }
    let (stories, is_part) = read_pagerduty(path, &load::read_file(Path::new(path))?.text)?;
    if is_part {
        let remedy = "ask for the rest with `offset`, and name each answer with a `--people` of its own";
        output.talk(&format!("warning: {path} is a part of what PagerDuty has (`more: true`): what people did may be missing; {remedy}"));
    }
    Ok(stories)
}
