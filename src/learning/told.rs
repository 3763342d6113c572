//! What is learned from: one run, replay or stretch of a ledger each, in the same words.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::journal::{Event, Header, Record, SCHEMA};
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::{Span, Start, Time};
use firedrill_scenarios::incident::expect::{Expect, draft_expect};

use super::level::{Level, levels};
use crate::drill::Rules;
use crate::failure::Failure;
use crate::fidelity::{Firing, firings, replayed};
use crate::ledger::{Chain, Labelled, What};
use crate::load::Source;
use crate::replaying::Replay;

/// Where it comes from, and so what it can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run in which actions had effects.
    Run,
    /// A recording, which cannot react.
    Replay,
    /// A live system, as a watcher saw it.
    Live,
}

/// What people said of an incident of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The worst that was said of its decisions.
    pub label: Labelled,
}

/// An alert that fired, and whose rule it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub alert: Name,
    /// When it began to fire.
    pub at: Time,
    /// Whether only the library has its rule.
    pub is_of_library: bool,
}

/// A file that a draft can be made for.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file.
    pub source: Source,
    /// What would be added to it.
    pub expect: String,
}

/// Something that happened, or was replayed.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it is called, for people: a path, an incident, a policy of the ledger.
    pub name: String,
    /// What it can show.
    pub kind: Kind,
    /// The calendar instant from which its times count.
    pub start: Start,
    /// Everything, in order.
    pub records: Vec<Record>,
    /// When it went wrong; `None`: nobody said.
    pub onset: Option<Time>,
    /// When it was over; `None`: nobody said.
    pub end: Option<Time>,
    /// When people did something, and what.
    pub people: Vec<(Time, String)>,
    /// What right would have been.
    pub expect: Option<Expect>,
    /// What people said of decisions, by policy and incident.
    pub said: BTreeMap<(Name, u64), Said>,
    /// The alerts that fired, or would have by the library's rules, in order of time.
    pub seen: Vec<Seen>,
    /// What the expressions of the alerts came to; empty where there are no samples.
    pub levels: Vec<Level>,
    /// The incident's file, if it says nothing of what right would have been.
    pub page: Option<Page>,
}

impl Told {
    fn new(name: String, kind: Kind, start: Start, records: Vec<Record>) -> Self {
        let seen = records.iter().filter_map(|record| match &record.event {
            Event::AlertFiring { alert, .. } => Some(Seen { alert: alert.clone(), at: record.at, is_of_library: false }),
            _ => None,
        });
        let onset = records.iter().find_map(|record| match &record.event {
            Event::FaultStarted { .. } => Some(record.at),
            _ => None,
        });
        let people = records.iter().filter_map(|record| match &record.event {
            Event::Person { what } => Some((record.at, what.clone())),
            _ => None,
        });
        let (seen, people) = (seen.collect(), people.collect());
        let (end, expect, said, page) = (None, None, BTreeMap::new(), None);
        Self { name, kind, start, records, onset, end, people, expect, said, seen, levels: Vec::new(), page }
    }
}

/// A journal as a file.
///
/// # Errors
/// It is none: every wrong line until there are too many.
pub fn of_journal(source: &Source) -> Result<Told, Failure> {
    let wrong = |line: usize, reason: &str| {
        let message = format!("line {line} is no {} of a journal: {reason}", if line == 1 { "header" } else { "record" });
        Failure::Input(vec![
            Problem::in_file("FD0890", &source.path, message).remedy("name what `--out` of `run` or `replay` wrote: `journal.jsonl`"),
        ])
    };
    let mut lines = source.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let Some((_, first)) = lines.next() else { return Err(wrong(1, "the file is empty")) };
    let header: Header = serde_json::from_str(first).map_err(|error| wrong(1, &error.to_string()))?;
    if header.schema != SCHEMA {
        return Err(wrong(1, &format!("its schema is `{}`, and `{SCHEMA}` is what can be read", header.schema)));
    }
    let start = Start::parse(&header.start).map_err(|reason| wrong(1, &reason))?;
    let records: Vec<Record> =
        lines.map(|(line, text)| serde_json::from_str(text).map_err(|error| wrong(line, &error.to_string()))).collect::<Result<_, _>>()?;
    let kind = if *header.arm == *"replay" { Kind::Replay } else { Kind::Run };
    Ok(Told::new(source.path.clone(), kind, start, records))
}

/// A recorded incident, replayed; `library` are rules that are not the project's.
#[must_use]
pub fn of_incident(name: &str, replay: &Replay, library: &Arc<Rules>, page: Option<Source>) -> Told {
    let (incident, start) = (&replay.incident, replay.recording.start);
    let journal = replay.play();
    let draft = draft_expect(&replay.of_captured(&journal), start, incident.onset);
    let mut told = Told::new(name.to_owned(), Kind::Replay, start, journal.into_records());
    let at = |instant: Start| start.time_of(instant.unix_millis());
    told.onset = at(incident.onset);
    told.end = incident.end.and_then(at);
    told.people = incident.people.iter().filter_map(|deed| Some((at(deed.at)?, deed.what.clone()))).collect();
    told.expect.clone_from(&incident.expect);
    if let Some(onset) = told.onset {
        told.levels = levels(&replay.recording, &replayed(&replay.recording, &replay.rules), &replay.rules.set, (onset, told.end));
    }
    told.page = page.filter(|_| incident.expect.is_none()).map(|source| Page { source, expect: draft });
    let known: Vec<Name> = told.seen.iter().map(|seen| seen.alert.clone()).collect();
    let of_library = firings(&replayed(&replay.recording, library)).into_iter().filter_map(|Firing { from_ms, labels, .. }| {
        let alert = Name::new(labels.get("alertname")?);
        let seen = Seen { alert, at: start.time_of(from_ms)?, is_of_library: true };
        (!known.contains(&seen.alert)).then_some(seen)
    });
    told.seen.extend(of_library);
    told.seen.sort_by_key(|seen| seen.at);
    told
}

/// A policy's chain of the ledger; what was decided on recorded history is left out.
#[must_use]
pub fn of_chain(policy: &Name, chain: &Chain) -> Option<Told> {
    let first = chain.entries.first()?.entry.at;
    let at = |instant: jiff::Timestamp| Time::from_nanos(u64::try_from(instant.duration_since(first).as_nanos()).unwrap_or(0));
    let start = Start::from_unix_millis(first.as_millisecond());
    let (mut records, mut of_entry, mut said, mut people) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
    for own in &chain.entries {
        match &own.entry.what {
            What::Decision { event, is_backtest: false, .. } => {
                let Ok(event) = serde_json::from_value::<Event>(event.clone()) else { continue };
                if let Some(incident) = incident_of(&event) {
                    of_entry.insert(own.hash.as_str(), incident);
                }
                // A watcher's clock may have been set back; what is learned does not hang on it.
                let last = records.last().map_or(Time::ZERO, |last: &Record| last.at);
                records.push(Record { number: records.len() as u64, at: at(own.entry.at).max(last), event });
            }
            What::Hint { event, is_harm: true, .. } => {
                if let Some(incident) = of_entry.get(event.as_str()) {
                    said.insert((policy.clone(), *incident), Said { label: Labelled::Harmful });
                }
            }
            What::Person { at: when, did, .. } if !did.is_empty() => {
                let when = Start::parse(when).ok().and_then(|when| start.time_of(when.unix_millis()));
                people.push((when.unwrap_or_else(|| at(own.entry.at)), did.clone()));
            }
            _ => {}
        }
    }
    for (event, says) in chain.labels() {
        if let Some(incident) = of_entry.get(event) {
            let worst = said.entry((policy.clone(), *incident)).or_insert(Said { label: says });
            if says.gravity() > worst.label.gravity() {
                worst.label = says;
            }
        }
    }
    let mut told = Told::new(format!("ledger of {policy}"), Kind::Live, start, records);
    told.said = said;
    told.people = people;
    Some(told)
}

/// Which incident of its policy an event is about.
#[must_use]
pub(super) fn incident_of(event: &Event) -> Option<u64> {
    match event {
        Event::IncidentOpened { incident, .. }
        | Event::Decided { incident, .. }
        | Event::WouldAct { incident, .. }
        | Event::Refused { incident, .. }
        | Event::Verified { incident, .. }
        | Event::Paged { incident, .. }
        | Event::Proposed { incident, .. }
        | Event::IncidentClosed { incident, .. } => Some(*incident),
        _ => None,
    }
}

/// How long an alert that fires again after an incident closed counts as the same trouble.
pub(super) const AGAIN_WITHIN: Span = Span::from_minutes(60);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use firedrill_core::action::{Action, ActionId, RestartMode, Target};
    use firedrill_core::journal::Verification;

    /// A line of a story of the policy `p`, which answers the alert `A`: an incident's number and a second.
    pub(in super::super) enum Script {
        Open(u64, u64),
        Act(u64, u64),
        Would(u64, u64),
        Refuse(u64, u64),
        Held(u64, u64),
        Failed(u64, u64),
        Page(u64, u64),
        Close(u64, u64),
        Fire(&'static str, u64),
    }

    fn event(line: &Script) -> (u64, Event) {
        let (policy, target) = (Name::new("p"), "replica/api-1".parse::<Target>().unwrap());
        let what = Action::Restart { mode: RestartMode::Rolling };
        let labels = || [(Name::new("pod"), Name::new("api-1"))].into();
        match *line {
            Script::Open(incident, at) => {
                (at, Event::IncidentOpened { policy, incident, alert: Name::new("A"), target: Some(target), labels: labels() })
            }
            Script::Act(incident, at) => {
                let action = ActionId { policy: policy.clone(), ordinal: incident };
                (at, Event::Decided { policy, incident, step: 0, action, what, target, reason: String::new() })
            }
            Script::Would(incident, at) => (at, Event::WouldAct { policy, incident, step: 0, what, target, reason: String::new() }),
            Script::Refuse(incident, at) => {
                let (guard, figures) = (Name::new("cooldown"), "2m of 10m".to_owned());
                (at, Event::Refused { policy, incident, step: 0, what: Some(what), target: Some(target), guard, figures, held_by: None })
            }
            Script::Held(incident, at) | Script::Failed(incident, at) => {
                let verdict = if matches!(line, Script::Held(..)) { Verification::Held } else { Verification::Failed };
                (at, Event::Verified { policy, incident, step: 0, verdict, figures: "up 0 == 1".to_owned(), took: Span::from_seconds(40) })
            }
            Script::Page(incident, at) => {
                let (to, reason) = (Name::new("oncall"), "help".to_owned());
                (at, Event::Paged { policy, incident, to, reason, with: Vec::new(), evidence: Vec::new() })
            }
            Script::Close(incident, at) => (at, Event::IncidentClosed { policy, incident, reason: String::new() }),
            Script::Fire(alert, at) => (at, Event::AlertFiring { alert: Name::new(alert), labels: labels(), value: 1.0 }),
        }
    }

    pub(in super::super) fn script(lines: &[Script]) -> Told {
        let record = |(number, line): (usize, &Script)| {
            let (at, event) = event(line);
            Record { number: number as u64, at: Time::from_seconds(at), event }
        };
        Told::new("a test".to_owned(), Kind::Run, Start::default(), lines.iter().enumerate().map(record).collect())
    }

    #[test]
    fn what_is_no_journal_is_refused_with_its_line() {
        let refused = |text: &str| match of_journal(&Source { path: "j".to_owned(), text: text.to_owned() }) {
            Err(Failure::Input(problems)) => problems[0].message.clone(),
            other => panic!("{other:?}"),
        };
        assert!(refused("").starts_with("line 1 is no header of a journal: the file is empty"));
        assert!(refused("{}").starts_with("line 1 is no header of a journal: missing field"));
        let header = r#"{"schema":"firedrill.journal/1","engine":"e","scenario":"s","scenario_hash":"","rules_hash":"","policies":[],"policies_hash":"","arm":"replay","seed":0,"start":"2026-01-05T00:00:00Z"}"#;
        assert!(refused(&header.replace("journal/1", "journal/9")).contains("its schema is `firedrill.journal/9`"));
        assert!(refused(&format!("{header}\n{{\"number\":0}}")).starts_with("line 2 is no record of a journal"));
        let told = of_journal(&Source { path: "j".to_owned(), text: header.to_owned() }).unwrap();
        assert_eq!((told.kind, told.records.len()), (Kind::Replay, 0));
    }
}
