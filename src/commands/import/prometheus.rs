//! `firedrill import prometheus`: what a Prometheus remembers of a stretch of time, as an incident folder.

use std::path::{Path, PathBuf};

use firedrill_core::time::{Span, Start};
use firedrill_core::words::grouped;
use serde_json::json;

use super::SCHEMA;
use crate::cli::{Format, ImportPrometheusArgs};
use crate::command_line::CommandLine;
use crate::commands::setting::RuleNames;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::Home;
use crate::importing::{Import, Imported, import, is_free, usual_changes};
use crate::output::{Output, Room, write_files};
use crate::prometheus::{Access, Prometheus};
use crate::pulling::Limits;

/// Writes the folder.
pub fn execute(arguments: &ImportPrometheusArgs, output: Output) -> Result<Exit, Failure> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let (from, to) = (instant("--from", &arguments.from, now_ms)?, instant("--to", &arguments.to, now_ms)?);
    if let Some(name) = &arguments.name {
        is_name(name)?;
    }
    if let Some(folder) = &arguments.out {
        is_free(folder, true)?;
    }
    let home = Home::here()?;
    let rules = RuleNames::chosen(&home, &arguments.rules)?.texts(&[])?;
    let answer = if arguments.policy.is_empty() { home.policies()? } else { home.answer(&arguments.policy)? };
    let conditions: Vec<_> = answer.policies.iter().flat_map(|policy| policy.plans()).collect();
    let access = Access {
        token_file: arguments.token_file.clone(),
        timeout: arguments.timeout,
        largest: arguments.largest << 20,
        ..Access::to(&arguments.url)
    };
    let prometheus = Prometheus::at(&access)?;
    let version = prometheus.version().map_or_else(|_| String::new(), |version| format!(", version {version}"));
    output.talk(&format!("asking {}{version} for {} to {}", prometheus.url(), from, to));
    let changes = if arguments.changes.is_empty() { usual_changes(&prometheus, (from, to)) } else { arguments.changes.clone() };
    let command = command(arguments, (from, to));
    let asked = Import {
        prometheus: &prometheus,
        from,
        to,
        rules: &rules,
        conditions: &conditions,
        changes: &changes,
        name: arguments.name.as_deref(),
        limits: Limits { series: arguments.most_series, samples: arguments.most_samples },
        command: &command,
    };
    let imported = import(&asked, &mut |selector| tracing::info!(selector, "pulled"))?;
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from("incidents").join(&imported.name));
    is_free(&folder, true)?;
    let _room = Room::make("--out", &folder)?;
    write_files(&folder, &imported.files)?;
    match output.format {
        Format::Text => output.data(&told(&imported, &folder))?,
        Format::Json => output.data(&document(&imported, &folder, &command))?,
    }
    Ok(Exit::Held)
}

/// A time of the calendar, or so long ago.
fn instant(option: &str, text: &str, now_ms: i64) -> Result<Start, Failure> {
    if let Ok(ago) = Span::parse(text) {
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let at_ms = now_ms.saturating_sub(ago_ms);
        if Start::can_tell(at_ms) {
            return Ok(Start::from_unix_millis(at_ms));
        }
    }
    let remedy = "write it as `2026-01-05T09:00:00Z`, or how long ago it is, as `2h`";
    Start::parse(text).map_err(|reason| Failure::argument(format!("`{option} {text}`: {reason}"), remedy))
}

/// An incident's name is a folder's too.
fn is_name(name: &str) -> Result<(), Failure> {
    let is_sound = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_sound {
        return Ok(());
    }
    Err(Failure::argument(format!("`--name {name}` is no name of an incident"), "take letters, digits and hyphens"))
}

/// The command that imports the same again: with times of the calendar.
fn command(arguments: &ImportPrometheusArgs, (from, to): (Start, Start)) -> String {
    let line = CommandLine::new("import").word("prometheus").word(&arguments.url);
    let line = line.option("--from", &from.to_string()).option("--to", &to.to_string());
    line.options("--rules", &arguments.rules).options("--policy", &arguments.policy).options("--changes", &arguments.changes).to_string()
}

fn told(imported: &Imported, folder: &Path) -> String {
    let mut text = format!(
        "{}: {} samples in {} series; {}\n",
        imported.name,
        grouped(imported.samples),
        grouped(imported.series),
        imported.fidelity.sentence()
    );
    let firings = imported.fidelity.missed.iter().map(|firing| ("recorded, and not in the replay", firing));
    let firings = firings.chain(imported.fidelity.extra.iter().map(|firing| ("in the replay, and not recorded", firing)));
    for (why, firing) in firings.take(10) {
        text += &format!("  {why}: {} {}\n", Start::from_unix_millis(firing.from_ms), firing.labels);
    }
    for note in &imported.notes {
        text += &format!("  note: {note}\n");
    }
    let folder = folder.display();
    text + &format!("wrote {folder}; put right what is marked as a guess in {folder}/incident.yaml, then `firedrill replay {folder}`")
}

fn document(imported: &Imported, folder: &Path, command: &str) -> String {
    let files: Vec<&str> = imported.files.iter().map(|(name, _)| name.as_str()).collect();
    let document = json!({
        "schema": SCHEMA, "incident": imported.name, "folder": folder, "files": files, "series": imported.series,
        "samples": imported.samples, "alerts": imported.fidelity, "notes": imported.notes, "command": command,
    });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}
