//! Alerts from files, routed by an Alertmanager configuration: who is told what and when.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::journal::{Event, Journal, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::{Span, Time};
use firedrill_policies::alertmanager::{Batch, Config, read_batch, rehearse};
use firedrill_reports::timeline::Kind;
use firedrill_reports::words::counted;
use serde_json::{Value, json};

use super::told;
use crate::cli::Format;
use crate::commands::terminal::paint;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load;
use crate::output::Output;
use crate::rule_tests::{Misheard, misheard, unknown_receivers};
use crate::sources;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.test.routing/1";

/// Columns are no wider than this many characters: one message about thousands of alerts must not widen every other line.
const WIDEST: usize = 200;

/// A batch that was routed.
struct Routed {
    path: String,
    batch: Batch,
    journal: Arc<Journal>,
    misheard: Vec<Misheard>,
}

/// Routes the alerts of all files, each file by itself.
pub fn execute(alertmanager: &str, files: &[String], output: Output) -> Result<Exit, Failure> {
    let config = Arc::clone(&sources::routing(&alertmanager, Path::new("."))?.config);
    let mut routed = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let source = load::read_file(Path::new(file))?;
        match read_batch(&source.path, &source.text) {
            Ok(batch) => {
                let faults: Vec<Problem> =
                    unknown_receivers(batch.notifications.iter(), &config).into_iter().chain(batch.excess(&source.path, &config)).collect();
                if faults.is_empty() {
                    routed.push(route(source.path, batch, &config));
                }
                problems.extend(faults);
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Input(problems));
    }
    output.problems(&config.departures().cloned().collect::<Vec<_>>());
    match output.format {
        Format::Json => {
            let files: Vec<Value> = routed.iter().map(|routed| as_json(routed, &config)).collect();
            let document = json!({ "schema": SCHEMA, "files": files });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => output.data(&routed.iter().map(|routed| text(routed, &config, output)).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(if routed.iter().all(|routed| routed.misheard.is_empty()) { Exit::Held } else { Exit::Broken })
}

fn route(path: String, batch: Batch, config: &Arc<Config>) -> Routed {
    let journal = Arc::new(rehearse(config, batch.rehearsal()));
    let misheard = misheard(&batch.notifications, &journal, config);
    Routed { path, batch, journal, misheard }
}

fn text(routed: &Routed, config: &Config, output: Output) -> String {
    let Routed { path, batch, journal, misheard } = routed;
    let mut text = format!("{path}: {} from {}, for {}\n\n", counted(batch.alerts.len() as u64, "alert"), batch.start, batch.until);
    let mut rows = vec![["when", "who", "by", "what", "why"].map(str::to_owned)];
    for record in journal.records() {
        rows.extend(row(record.at, &record.event, config));
    }
    if rows.len() == 1 {
        text.push_str("nobody is told anything\n");
    } else {
        text.push_str(&columns(&rows));
    }
    if misheard.is_empty() && !batch.notifications.is_empty() {
        let _ = writeln!(text, "\n{}: {}", paint(output, Kind::Recovery, "ok"), counted(batch.notifications.len() as u64, "expectation"));
    }
    for misheard in misheard {
        let _ = writeln!(text, "\n{}\n{}", paint(output, Kind::Fault, "FAILED"), told::notifications(misheard).trim_end());
    }
    text
}

/// A line of the table; `None` for what is only firedrill's own.
fn row(at: Time, event: &Event, config: &Config) -> Option<[String; 5]> {
    let when = Span::from_nanos(at.as_nanos()).to_string();
    match event {
        Event::Routed { labels, receiver, group, look, .. } => {
            let look =
                look.map_or_else(String::new, |look| format!("told at {} at the earliest, with ", Span::from_nanos(look.as_nanos())));
            Some([when, receiver.to_string(), String::new(), format!("gets {}", short(labels)), format!("{look}the group {group}")])
        }
        Event::Messaged { receiver, by, reason, firing, resolved, .. } => {
            let by = ways(receiver, by, config)?;
            Some([when, receiver.to_string(), by, format!("is told {}", standing(firing, resolved)), reason.to_string()])
        }
        Event::Withheld { labels, receiver, reason, .. } => {
            Some([when, receiver.to_string(), String::new(), format!("is not told of {}", short(labels)), reason.clone()])
        }
        _ => None,
    }
}

/// By which integrations a receiver is told; `None` if it has some and none of them says this.
fn ways(receiver: &Name, by: &[Name], config: &Config) -> Option<String> {
    let has_any = config.receiver(receiver).is_some_and(|receiver| !receiver.integrations.is_empty());
    match by {
        [] if has_any => None,
        [] => Some("nothing".to_owned()),
        by => Some(by.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// An alert's name and its other labels.
fn short(labels: &LabelSet) -> String {
    let name = labels.get("alertname").map_or("an alert", |name| name.as_str());
    let rest: Vec<String> =
        labels.iter().filter(|(label, _)| label.as_str() != "alertname").map(|(label, value)| format!("{label}={value}")).collect();
    if rest.is_empty() { name.to_owned() } else { format!("{name} {{{}}}", rest.join(", ")) }
}

fn standing(firing: &[LabelSet], resolved: &[LabelSet]) -> String {
    let told = |alerts: &[LabelSet], word: &str| alerts.iter().map(|labels| format!("{} {word}", short(labels))).collect::<Vec<_>>();
    [told(firing, "firing"), told(resolved, "over")].concat().join(", ")
}

fn columns(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(WIDEST);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width));
        format!(" {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn as_json(routed: &Routed, config: &Config) -> Value {
    let Routed { path, batch, journal, misheard } = routed;
    let mut parts: BTreeMap<&str, Vec<Value>> = [("routed", Vec::new()), ("messages", Vec::new()), ("withheld", Vec::new())].into();
    let span = |at: Time| Span::from_nanos(at.as_nanos()).to_string();
    for record in journal.records() {
        let at = span(record.at);
        let (part, value) = match &record.event {
            Event::Routed { labels, receiver, group, look, .. } => {
                ("routed", json!({ "at": at, "receiver": receiver, "group": group, "labels": labels, "look": look.map(span) }))
            }
            Event::Messaged { receiver, by, group, reason, firing, resolved } if ways(receiver, by, config).is_some() => (
                "messages",
                json!({ "at": at, "receiver": receiver, "by": by, "group": group, "reason": reason, "firing": firing, "resolved": resolved }),
            ),
            Event::Withheld { labels, receiver, group, reason, .. } => {
                ("withheld", json!({ "at": at, "receiver": receiver, "group": group, "labels": labels, "reason": reason }))
            }
            _ => continue,
        };
        parts.entry(part).or_default().push(value);
    }
    let failures: Vec<Value> = misheard.iter().map(told::misheard_as_json).collect();
    json!({
        "path": path, "start": batch.start.to_string(), "until": batch.until.to_string(), "routed": parts["routed"],
        "messages": parts["messages"], "withheld": parts["withheld"], "expectations": batch.notifications.len(), "failures": failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_cell_does_not_widen_the_others() {
        let row = |what: &str| ["0s", "team", "slack", what, "why"].map(str::to_owned);
        let text = columns(&[row(&"x".repeat(70_000)), row("short")]);
        let widths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(widths, [70_000 + 23, WIDEST + 23]);
    }
}
