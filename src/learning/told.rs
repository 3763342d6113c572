//! What is learned from: one run, replay or stretch of a ledger each, in the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::journal::{Event, Header, Record, SCHEMA};
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::{Span, Start, Time};
use firedrill_scenarios::incident::HumanDeed;
use firedrill_scenarios::incident::expect::{Expect, draft_expect};
use jiff::Timestamp;

use super::level::{Level, levels};
use crate::drill::Rules;
use crate::failure::Failure;
use crate::fidelity::{Firing, firings, replayed};
use crate::ledger::{Chain, Labelled, What};
use crate::load::Source;
use crate::promotion::heard::Heard;
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

/// An incident of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentId {
    /// The policy.
    pub policy: Name,
    /// Its number for the incident.
    pub number: u64,
    /// Which of those that have this number, from 0: where two branches of a ledger were watched each may have one.
    pub branch: usize,
}

impl IncidentId {
    /// The first of its number.
    #[must_use]
    pub const fn first(policy: Name, number: u64) -> Self {
        Self { policy, number, branch: 0 }
    }
}

/// Something that people did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Time,
    /// What.
    pub what: String,
    /// In which incident; `None`: the source is one.
    pub incident: Option<IncidentId>,
}

impl Deed {
    /// Whether it can have been done in an incident.
    #[must_use]
    pub fn is_of(&self, incident: &IncidentId) -> bool {
        self.incident.as_ref().is_none_or(|own| own == incident)
    }
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
    /// Whether all that a watcher saw was a simulation.
    pub is_rehearsed: bool,
    /// The incidents that were of a simulation, where a watcher saw others as well.
    pub rehearsed: BTreeSet<IncidentId>,
    /// The calendar instant from which its times count.
    pub start: Start,
    /// Everything, in order.
    pub records: Vec<Record>,
    /// When it went wrong; `None`: nobody said.
    pub onset: Option<Time>,
    /// When it was over; `None`: nobody said.
    pub end: Option<Time>,
    /// What people did.
    pub people: Vec<Deed>,
    /// What right would have been.
    pub expect: Option<Expect>,
    /// What people said of decisions, by incident.
    pub said: BTreeMap<IncidentId, Said>,
    /// By the numbers of records, which of the incidents of one number they are about; the first where nothing is said.
    pub branches: BTreeMap<u64, usize>,
    /// The alerts that fired, or would have by the library's rules, in order of time.
    pub seen: Vec<Seen>,
    /// What the expressions of the alerts came to; empty where there are no samples.
    pub levels: Vec<Level>,
    /// The incident's file, if it says nothing of what right would have been.
    pub page: Option<Page>,
}

impl Told {
    pub(super) fn new(name: String, kind: Kind, start: Start, records: Vec<Record>) -> Self {
        let seen = records.iter().filter_map(|record| match &record.event {
            Event::AlertFiring { alert, .. } => Some(Seen { alert: alert.clone(), at: record.at, is_of_library: false }),
            _ => None,
        });
        let onset = records.iter().find_map(|record| match &record.event {
            Event::FaultStarted { .. } => Some(record.at),
            _ => None,
        });
        let people = records.iter().filter_map(|record| match &record.event {
            Event::Person { what } => Some(Deed { at: record.at, what: what.clone(), incident: None }),
            _ => None,
        });
        let (seen, people) = (seen.collect(), people.collect());
        let (end, expect, said, branches, page, rehearsed) = (None, None, BTreeMap::new(), BTreeMap::new(), None, BTreeSet::new());
        Self {
            name,
            kind,
            is_rehearsed: false,
            rehearsed,
            start,
            records,
            onset,
            end,
            people,
            expect,
            said,
            branches,
            seen,
            levels: Vec::new(),
            page,
        }
    }

    /// Which incident a record is about; `None`: none.
    #[must_use]
    pub fn incident_of(&self, record: &Record) -> Option<IncidentId> {
        let (policy, number) = incident_of(&record.event)?;
        let branch = self.branches.get(&record.number).copied().unwrap_or(0);
        Some(IncidentId { policy: policy.clone(), number, branch })
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
    let deed = |deed: &HumanDeed| Some(Deed { at: at(deed.at)?, what: deed.what.clone(), incident: None });
    told.people = incident.people.iter().filter_map(deed).collect();
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

/// A policy's chain of the ledger, and what its watcher was told, if anything was; what was decided on recorded history is left out.
#[must_use]
pub fn of_chain(policy: &Name, chain: &Chain, heard: Option<&Heard>) -> Option<Told> {
    let first = chain.entries.iter().map(|own| own.entry.at).min()?;
    let start = Start::from_unix_millis(first.as_millisecond());
    let (records, ids, branches) = decided(policy, chain, first);
    let (mut said, mut people) = (BTreeMap::new(), Vec::new());
    let (incidents, retold) = (chain.incidents(), chain.retold());
    let incident = |hash: &str| ids.get(*incidents.get(hash)?).cloned();
    for own in &chain.entries {
        match &own.entry.what {
            What::Hint { event, is_harm: true, .. } => {
                said.extend(incident(event).map(|id| (id, Said { label: Labelled::Harmful })));
            }
            // What was done in an incident that is not there says nothing of another one; nor does a story that is told of another one by now.
            What::Person { at, did, .. } if !did.is_empty() && !retold.contains_key(own.hash.as_str()) => {
                let when = Start::parse(at).ok().and_then(|when| start.time_of(when.unix_millis()));
                let at = when.unwrap_or_else(|| since(first, own.entry.at));
                people.extend(incident(&own.hash).map(|id| Deed { at, what: did.clone(), incident: Some(id) }));
            }
            _ => {}
        }
    }
    for (event, says) in chain.labels() {
        if let Some(id) = incident(event) {
            let worst = said.entry(id).or_insert(Said { label: says });
            if says.gravity() > worst.label.gravity() {
                worst.label = says;
            }
        }
    }
    let mut told = Told::new(format!("ledger of {policy}"), Kind::Live, start, records);
    (told.said, told.people, told.branches) = (said, people, branches);
    let rehearsed = heard.map_or_else(BTreeSet::new, |heard| rehearsed(heard, chain, &incidents));
    told.rehearsed = rehearsed.into_iter().filter_map(|key| ids.get(key).cloned()).collect();
    told.is_rehearsed = !ids.is_empty() && told.rehearsed.len() == ids.len();
    Some(told)
}

/// The incidents that were taken up in a simulation, or for an alert that was last told of in one: what is decided of one later is of it still.
fn rehearsed<'c>(heard: &Heard, chain: &'c Chain, incidents: &BTreeMap<&'c str, &'c str>) -> BTreeSet<&'c str> {
    let opened = chain.entries.iter().filter_map(|own| {
        let What::Decision { event, is_backtest: false, .. } = &own.entry.what else { return None };
        let Ok(Event::IncidentOpened { labels, .. }) = serde_json::from_value(event.clone()) else { return None };
        heard.is_of_simulation(&labels, own.entry.at).then(|| incidents.get(own.hash.as_str()).copied()).flatten()
    });
    opened.collect()
}

/// What a watcher has decided, in order of time; the incidents, by what `Chain::incidents` tells them apart with; and by the numbers of records, which of those
/// of one number they are about.
fn decided<'c>(policy: &Name, chain: &'c Chain, first: Timestamp) -> (Vec<Record>, BTreeMap<&'c str, IncidentId>, BTreeMap<u64, usize>) {
    // A watcher's clock may have been set back; what is learned does not hang on it.
    let (incidents, decided_at) = (chain.incidents(), chain.decided_at());
    let mut ids: BTreeMap<&str, IncidentId> = BTreeMap::new();
    let mut of_number: BTreeMap<u64, usize> = BTreeMap::new();
    let mut all: Vec<(Record, usize)> = Vec::new();
    for own in &chain.entries {
        let What::Decision { event, is_backtest: false, .. } = &own.entry.what else { continue };
        let Ok(event) = serde_json::from_value::<Event>(event.clone()) else { continue };
        let hash = own.hash.as_str();
        let branch = incident_of(&event).zip(incidents.get(hash)).map_or(0, |((_, number), key)| {
            let id = ids.entry(key).or_insert_with(|| {
                let count = of_number.entry(number).or_default();
                *count += 1;
                IncidentId { policy: policy.clone(), number, branch: *count - 1 }
            });
            id.branch
        });
        let at = since(first, decided_at.get(hash).copied().unwrap_or(own.entry.at));
        all.push((Record { number: 0, at, event }, branch));
    }
    // Of two branches one stands as a whole before the other.
    all.sort_by_key(|(record, _)| record.at);
    let branches = all.iter().enumerate().filter(|(_, (_, branch))| *branch > 0).map(|(number, (_, branch))| (number as u64, *branch));
    let branches = branches.collect();
    let number = |(number, (record, _)): (usize, (Record, usize))| Record { number: number as u64, ..record };
    (all.into_iter().enumerate().map(number).collect(), ids, branches)
}

fn since(first: Timestamp, at: Timestamp) -> Time {
    Time::from_nanos(u64::try_from(at.duration_since(first).as_nanos()).unwrap_or(0))
}

/// Which incident of which policy an event is about.
fn incident_of(event: &Event) -> Option<(&Name, u64)> {
    match event {
        Event::IncidentOpened { policy, incident, .. }
        | Event::Decided { policy, incident, .. }
        | Event::WouldAct { policy, incident, .. }
        | Event::Refused { policy, incident, .. }
        | Event::Verified { policy, incident, .. }
        | Event::Paged { policy, incident, .. }
        | Event::Proposed { policy, incident, .. }
        | Event::IncidentClosed { policy, incident, .. } => Some((policy, *incident)),
        _ => None,
    }
}

/// How long an alert that fires again after an incident closed counts as the same trouble.
pub(super) const AGAIN_WITHIN: Span = Span::from_minutes(60);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ledger::{Entry, Hashes, Ledger};
    use firedrill_core::action::{Action, ActionId, RestartMode, Target};
    use firedrill_core::journal::Verification;
    use firedrill_policies::guard::stage::Stage;

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

    pub(in super::super) fn deed(second: u64, what: &str) -> Deed {
        Deed { at: Time::from_seconds(second), what: what.to_owned(), incident: None }
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

    /// A chain of entries that each follow the one before, and its text.
    fn text_of(folder: &std::path::Path, entries: Vec<Entry>) -> String {
        let name = Name::new("p");
        Ledger::open(folder, &name).unwrap().0.append(entries).unwrap();
        std::fs::read_to_string(folder.join("p.jsonl")).unwrap()
    }

    fn entry(second: u64, by: &str, what: What) -> Entry {
        Entry { at: Timestamp::from_second(1_767_571_200 + second as i64).unwrap(), by: by.to_owned(), what }
    }

    /// What a watcher writes of a line of a story.
    fn watched(line: &Script) -> Entry {
        let (second, event) = event(line);
        let incident = format!("p#{}", incident_of(&event).unwrap().1);
        let event = serde_json::to_value(event).unwrap();
        let what = What::Decision { incident, stage: Stage::Shadow, hashes: Hashes::default(), event, is_backtest: false };
        entry(second, "watch", what)
    }

    fn did(incident: &str, second: u64) -> Entry {
        let at = Timestamp::from_second(1_767_571_200 + second as i64).unwrap().to_string();
        let what = What::Person { incident: incident.to_owned(), at, did: "rollback service/checkout".to_owned() };
        entry(second + 600, "ada", what)
    }

    /// The ledger of `p` of what its watcher wrote and people did.
    pub(in super::super) fn ledger(watched_lines: &[Script], deeds: &[(&str, u64)]) -> Told {
        let folder = tempfile::tempdir().unwrap();
        let deeds = deeds.iter().map(|(incident, second)| did(incident, *second));
        let text = text_of(folder.path(), watched_lines.iter().map(watched).chain(deeds).collect());
        told_of(&text)
    }

    fn told_of(text: &str) -> Told {
        let name = Name::new("p");
        of_chain(&name, &Chain::of_bytes(&name, "p", text.as_bytes()).sound().unwrap(), None).unwrap()
    }

    #[test]
    fn what_people_did_in_an_incident_of_the_ledger_is_of_that_one() {
        let lines = [Script::Open(0, 10), Script::Would(0, 12), Script::Close(0, 60), Script::Open(1, 900), Script::Close(1, 960)];
        let told = ledger(&lines, &[("p#1", 930), ("p#0", 40), ("p#7", 50)]);
        let found: Vec<(f64, u64)> =
            told.people.iter().map(|deed| (deed.at.as_seconds(), deed.incident.as_ref().unwrap().number)).collect();
        assert_eq!(found, [(920.0, 1), (30.0, 0)], "from the first entry on; and there is no incident 7");
    }

    #[test]
    fn two_branches_of_a_ledger_have_each_their_own_incident_of_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let base = || vec![entry(0, "ada", What::Violation { what: "a beginning".to_owned() })];
        let branch = |name: &str, entries: Vec<Entry>| text_of(&folder.path().join(name), [base(), entries].concat());
        let one =
            branch("one", vec![watched(&Script::Open(0, 1_000)), watched(&Script::Would(0, 1_010)), watched(&Script::Close(0, 1_100))]);
        let other = branch("other", vec![watched(&Script::Open(0, 500)), watched(&Script::Would(0, 510)), did("p#0", 505)]);
        let rest = other.split_once('\n').unwrap().1;
        for text in [one.clone() + rest, other.clone() + one.split_once('\n').unwrap().1] {
            let told = told_of(&text);
            let at: Vec<f64> = told.records.iter().map(|record| record.at.as_seconds()).collect();
            assert_eq!(at, [500.0, 510.0, 1_000.0, 1_010.0, 1_100.0], "in order of time, whichever branch stands first");
            let ids: Vec<IncidentId> = told.records.iter().map(|record| told.incident_of(record).unwrap()).collect();
            assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[3] == ids[4] && ids[1] != ids[2], "{ids:?}");
            assert_eq!(told.people[0].incident.as_ref(), Some(&ids[0]), "what people did there, they did in that one");
        }
    }
}
