//! `firedrill learn`: what incidents teach. It tells and drafts, and changes no file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::words::in_one_line;
use firedrill_policies::policy::Policy;
use firedrill_reports::words::counted;
use firedrill_scenarios::incident::FILE_NAME;
use serde_json::json;

use super::setting::RuleNames;
use crate::cli::{Format, LearnArgs};
use crate::drill::{Answer, Rules};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::{Home, Routings};
use crate::learning::{
    Automate, Draft, Kind, Lesson, Prevention, Together, Told, Uncovered, drafts, lessons, of_chain, of_incident, of_journal, of_watch,
    once, together,
};
use crate::ledger::{FOLDER, Ledger, WATCH};
use crate::library;
use crate::load::{self, Source};
use crate::output::Output;
use crate::promotion::heard::Heard;
use crate::replaying;
use crate::watch::observations;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.learn/1";

/// Of each list at most so many lines are printed; JSON has all.
const SHOWN: usize = 20;

/// Tells what can be learned.
pub fn execute(arguments: &LearnArgs, output: Output) -> Result<Exit, Failure> {
    let home = Home::here()?;
    let answer = if arguments.policy.is_empty() { home.policies()? } else { home.answer(&arguments.policy)? };
    let mut all = Vec::new();
    for place in places(&home, arguments)? {
        all.push(told(&home, arguments, &answer, &place)?);
    }
    all.extend(of_ledger(&home, arguments)?);
    if all.is_empty() {
        let none = "there is nothing to learn from";
        return Err(match home.project {
            Some(_) => {
                Failure::argument(none, "name journals or incident folders; or `--ledger DIR`; or list `incidents:` in firedrill.yaml")
            }
            None => Failure::argument(
                format!("{none}: there is no firedrill.yaml here"),
                "change into the folder of the project; or name journals or incident folders, or `--ledger DIR`",
            ),
        });
    }
    let all_lessons: Vec<Lesson> = once(&all);
    let found = together(&all, &all_lessons, (&answer.policies, &offers(&home)));
    // What was on beside an alert only the source that has the samples tells.
    let of_each: Vec<Lesson> = all.iter().flat_map(lessons).collect();
    let drafted = drafts(&all, &of_each, &texts(&home, &answer));
    if arguments.diff {
        if drafted.is_empty() {
            // Nothing, to the byte: a blank line is no diff.
            output.talk("there is nothing to draft");
            return Ok(Exit::Held);
        }
        output.data(&drafted.iter().map(|draft| draft.diff.as_str()).collect::<String>())?;
        return Ok(Exit::Held);
    }
    match output.format {
        Format::Text => output.data(&text(&all, &all_lessons, &found, &drafted))?,
        Format::Json => {
            let sources =
                all.iter().map(|told| json!({ "name": told.name, "start": told.start.to_string(), "is_rehearsed": told.is_rehearsed }));
            let document = json!({
                "schema": SCHEMA, "sources": sources.collect::<Vec<_>>(), "incidents": all_lessons, "together": found, "drafts": drafted,
            });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
    }
    Ok(Exit::Held)
}

/// Something to learn from: a journal's file, or an incident's name.
enum Place {
    Journal(PathBuf),
    Incident(String),
}

fn places(home: &Home, arguments: &LearnArgs) -> Result<Vec<Place>, Failure> {
    if arguments.told.is_empty() {
        return Ok(home.incident_folders()?.into_iter().map(Place::Incident).collect());
    }
    let mut places = Vec::new();
    for named in &arguments.told {
        let path = Path::new(named);
        if path.is_dir() && !path.join(FILE_NAME).is_file() {
            places.extend(inside(path)?);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            places.push(Place::Journal(path.to_owned()));
        } else {
            places.push(Place::Incident(named.clone()));
        }
    }
    Ok(places)
}

/// The journals and incidents of a folder and of those right below it, by name. An incident's own journal is what its recording came from.
fn inside(folder: &Path) -> Result<Vec<Place>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::argument(format!("cannot read the folder {}: {error}", folder.display()), "name a folder that can be read")
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).map_err(unreadable)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.push(folder.to_owned());
    paths.sort();
    let place = |path: &PathBuf| {
        if path.join(FILE_NAME).is_file() {
            return Some(Place::Incident(path.display().to_string()));
        }
        let journal = path.join("journal.jsonl");
        journal.is_file().then_some(Place::Journal(journal))
    };
    let found: Vec<Place> = paths.iter().filter_map(place).collect();
    if found.is_empty() {
        let message = format!("{} holds neither a journal nor an incident", folder.display());
        return Err(Failure::argument(message, "name a `journal.jsonl`, or a folder with an `incident.yaml`"));
    }
    Ok(found)
}

fn told(home: &Home, arguments: &LearnArgs, answer: &Arc<Answer>, place: &Place) -> Result<Told, Failure> {
    match place {
        Place::Journal(path) => of_journal(&load::read_file(path)?),
        Place::Incident(name) => {
            let (incident, files) = home.incident(name)?;
            let own = arguments.rules.is_empty() && !incident.rules.is_empty();
            let rules = if own { None } else { Some(RuleNames::chosen(home, &arguments.rules)?.load(&[])?) };
            let page = Path::new(name).join(FILE_NAME);
            let page = if page.is_file() { Some(load::read_file(&page)?) } else { None };
            let answer = if answer.policies.is_empty() && !incident.policies.is_empty() { None } else { Some(Arc::clone(answer)) };
            let replay = replaying::prepare(incident, &files, rules, answer, &Routings::chosen(home, None)?)?;
            let library: Arc<Rules> = RuleNames::library().load(&[])?;
            Ok(of_incident(name, &replay, &library, page))
        }
    }
}

/// The ledger's chains; of the watcher's own what it was told and no policy took up.
fn of_ledger(home: &Home, arguments: &LearnArgs) -> Result<Vec<Told>, Failure> {
    let folder = arguments.ledger.clone().unwrap_or_else(|| home.base.join(FOLDER));
    if !folder.is_dir() {
        return match &arguments.ledger {
            Some(folder) => Err(Failure::argument(
                format!("there is no ledger in {}", folder.display()),
                "name the folder with the chains, `NAME.jsonl`",
            )),
            None => Ok(Vec::new()),
        };
    }
    let watch = Ledger::read(&folder, &Name::new(WATCH))?.sound()?;
    let heard = if watch.entries.is_empty() { None } else { Some(Heard::of(observations(&watch)?, &watch)) };
    let mut all = Vec::new();
    for name in Ledger::chains(&folder)?.into_iter().filter(|name| **name != *WATCH) {
        let chain = home.believed(&folder, Ledger::read(&folder, &name)?.sound()?);
        all.extend(of_chain(&name, &chain, heard.as_ref()));
    }
    let other = heard.as_ref().and_then(|heard| of_watch(heard, &all));
    all.extend(other);
    Ok(all)
}

/// What the library answers alerts with. Hazards are no offer.
fn offers(home: &Home) -> Vec<Arc<Policy>> {
    let names = library::policies().into_iter().filter(|entry| entry.group != "hazard").map(|entry| entry.name);
    names.filter_map(|name| home.answer(&[name]).ok()).flat_map(|answer| answer.policies.clone()).collect()
}

/// The files of the policies, by name; those of the library cannot be edited.
fn texts(home: &Home, answer: &Answer) -> BTreeMap<Name, Source> {
    let read = |(name, argument): &(String, String)| {
        let paths = [PathBuf::from(argument), home.base.join(argument)];
        let path = paths.into_iter().find(|path| path.is_file())?;
        Some((Name::new(name), load::read_file(&path).ok()?))
    };
    answer.sources.iter().filter_map(read).collect()
}

fn text(all: &[Told], lessons: &[Lesson], found: &Together, drafts: &[Draft]) -> String {
    let mut lines = vec![format!("{} and {} of policies", counted(all.len() as u64, "source"), counted(lessons.len() as u64, "incident"))];
    for told in all {
        let own: Vec<&Lesson> = lessons.iter().filter(|lesson| lesson.source == told.name).collect();
        let what = match told.kind {
            Kind::Run => "a run",
            Kind::Replay => "a replay, which shows decisions and no effect",
            Kind::Live if told.is_rehearsed => "a rehearsed system",
            Kind::Live => "a live system",
        };
        lines.push(format!("\n{} ({what})", told.name));
        lines.extend(own.iter().take(SHOWN).map(|lesson| line(lesson, told.start)));
        lines.extend((own.len() > SHOWN).then(|| format!("  and {} more; `--format json` has all", own.len() - SHOWN)));
        let elsewhere: Vec<&str> = lessons.iter().filter(|own| own.also.contains(&told.name)).map(|own| own.source.as_str()).collect();
        lines.extend(elsewhere.first().map(|source| format!("  {} told there: {source}", counted(elsewhere.len() as u64, "incident"))));
        lines.extend((own.is_empty() && elsewhere.is_empty()).then(|| "  no policy took anything up".to_owned()));
    }
    let mut section = |title: &str, all: Vec<String>| {
        if !all.is_empty() {
            lines.push(format!("\n{title}"));
            lines.extend(all.iter().take(SHOWN).map(|line| format!("  {line}")));
        }
    };
    let resolutions = found.resolutions.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ");
    section("What incidents came to", if resolutions.is_empty() { Vec::new() } else { vec![resolutions] });
    let idle = |step: &crate::learning::IdleStep| {
        format!("step {} of {}: taken {}×, its verification never held ({} failed)", step.step, step.policy, step.taken, step.failed)
    };
    section("Steps that never changed an outcome", found.idle_steps.iter().map(idle).collect());
    let uncovered = |own: &Uncovered| match &own.offer {
        None => format!("{} ({}×)", own.name, own.count),
        Some(policy) => format!("{} ({}×): the library's {policy} does (`firedrill explain {policy}`)", own.name, own.count),
    };
    section("Alerts that no policy answers", found.uncovered_alerts.iter().map(uncovered).collect());
    section("Incidents in which no policy took anything up", found.uncovered_incidents.iter().map(|own| own.name.clone()).collect());
    section("What to automate first", found.automate.iter().map(worth).collect());
    section(
        "What could be written down (`--diff` prints all of it, for `git apply`)",
        drafts.iter().map(|draft| draft.why.clone()).collect(),
    );
    lines.join("\n")
}

/// What it would be worth to automate the answer to an alert, and why so much.
fn worth(own: &Automate) -> String {
    let minutes = if own.is_told { "until people were done" } else { "as long as it was on, as nobody wrote down what people did" };
    let reversible = match own.reversibility {
        known if known >= 1.0 => "what people did can be undone",
        known if known >= 0.5 => "nobody wrote down what could be undone",
        _ => "what people did cannot be undone",
    };
    let verifiable = if own.verifiability >= 1.0 { "it names what it is about" } else { "it does not name what it is about" };
    format!(
        "{}: worth {:.1} = fired {}× · {:.1} minutes each ({minutes}) · {} ({reversible}) · {} ({verifiable})",
        own.alert, own.worth, own.frequency, own.minutes, own.reversibility, own.verifiability
    )
}

/// An instant to the second.
fn clock(start: Start, at: Time) -> String {
    let millis = start.prometheus_millis(at);
    Start::from_unix_millis(millis - millis.rem_euclid(1000)).to_string()
}

fn line(lesson: &Lesson, start: Start) -> String {
    let at = clock(start, lesson.opened);
    let did = lesson.did.as_deref().unwrap_or("nothing done");
    let mut text = in_one_line(&format!("  {at} {} on {}: {did}; {}", lesson.policy, lesson.alert, lesson.resolution.word()));
    match lesson.timely {
        Some(true) => text += ", in time",
        Some(false) => text += ", too late",
        None => {}
    }
    match lesson.right {
        Some(true) => text += ", right",
        Some(false) => text += ", not what people say was right",
        None => {}
    }
    if lesson.is_rehearsed {
        text += "; of a simulation";
    }
    if let Some(failed) = &lesson.failed {
        text += &format!("\n      failed at step {}: {}", failed.step, failed.why);
    }
    if !lesson.side_effects.is_empty() {
        let names: Vec<&str> = lesson.side_effects.iter().map(Name::as_str).collect();
        text += &format!("\n      soon after it, and not before: {}", names.join(", "));
    }
    if lesson.recurrences > 0 {
        text += &format!("\n      came back {}× within the hour", lesson.recurrences);
    }
    if let Some(prevention) = &lesson.prevention {
        let Prevention { alert, is_of_library, .. } = prevention;
        let lead = Span::from_seconds(prevention.lead.as_millis() / 1000);
        text += &match is_of_library {
            true => format!("\n      the library's rule {alert} would have fired {lead} earlier, and was quiet before"),
            false => format!("\n      your own {alert} fired {lead} earlier, and was quiet before: a policy could listen to it"),
        };
    }
    text
}
