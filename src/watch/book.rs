//! A watcher's part of the ledger: what it was told in the chain `watch`, what its policies decided in theirs, and its memory beside them.
//!
//! Observations are written first. Whatever a crash leaves out is found again: the same observations yield the same decisions, and those that a
//! policy's chain lacks are added when the watcher starts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Event, Input, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::evidence::bounded;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::watcher::{Alerted, Decision, Observation, Observed, Past, Saved, incident_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::webhook::boundary;
use crate::failure::Failure;
use crate::ledger::{
    ANSWERING, ASIDE, Bound, CLOCKS_APART, Chain, Entry, Ledger, REHEARSAL, Recorded, Recovery, Released, SESSION, WATCH, WATCHING, What,
    sync_all,
};
use crate::promotion::demotion::{Due, ITSELF};

/// An event is at most so long in the ledger, bytes: what stands around it fits beside it into an entry.
const MOST_EVENT: usize = 1_000_000;

/// To so many bytes the texts of an event that is longer are cut, until it fits; so many parts its lists have then at most.
const SHORTER: [usize; 4] = [16 << 10, 1 << 10, 128, 32];

/// The names that a policy is told have at most so many bytes together.
const MOST_NAMES: usize = 256 << 10;

/// The version of the file in which a watcher keeps its memory.
pub const STATE_SCHEMA: &str = "firedrill.watch-state/1";

/// How the files begin in which a memory is written before it takes the place of the one before.
const HALF_KEPT: &str = "watch-half-kept-";

/// Who writes what a watcher writes.
const BY: &str = "watch";

/// What the entries that are no observations of a policy's are of.
const CLOCK: &str = "watch-clock/1";
const INVENTORY: &str = "inventory/1";

/// A chain that people write to as well is given up after so long without a write, and after so long at most; then for a moment.
const IDLE: Duration = Duration::from_millis(200);
const HELD: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(30);

/// The chains that a watcher writes.
#[derive(Debug)]
pub struct Book {
    folder: PathBuf,
    watch: Ledger,
    policies: BTreeMap<Name, Page>,
    bound: BTreeMap<Name, Bound>,
    start: Start,
    /// The latest time that stands in the chain `watch` where it was opened.
    latest: Option<Timestamp>,
}

/// The chain of a policy.
#[derive(Debug)]
enum Page {
    Open { ledger: Box<Ledger>, since: Instant, last: Instant },
    Released(Released),
}

/// What a watcher remembers, and up to which entry.
#[derive(Serialize, Deserialize)]
struct StateDocument {
    schema: String,
    after: String,
    saved: Saved,
}

/// What was found when the chain `watch` was opened.
#[derive(Debug)]
pub struct Found {
    /// What has been repaired.
    pub recovery: Recovery,
    /// The memory to begin with; `None`: none fits, and all is heard again.
    pub saved: Option<Saved>,
    /// What was observed before that, for a memory that turns out to be another version's.
    before: Vec<Recorded>,
    /// What was observed after that, in order.
    pub observed: Vec<Observed>,
    /// The calendar instant from which the chain's instants count; `None` for a new chain.
    pub start: Option<Start>,
}

impl Book {
    /// Opens the chain `watch` of a ledger, which nobody else may have open. `start` counts for a new chain.
    ///
    /// # Errors
    /// Somebody watches already; the chain is not sound; or it cannot be read.
    pub fn open(folder: &Path, start: Start, bound: BTreeMap<Name, Bound>) -> Result<(Self, Found), Failure> {
        let (mut watch, recovery) = Ledger::open(folder, &Name::new(WATCH))?;
        clear_away(folder);
        let mut entries = watch.forget();
        let first = entries.iter().find_map(|recorded| session_start(&recorded.entry.what));
        let start = first.unwrap_or(start);
        let (saved, from) = remembered(folder, &entries);
        let observed = read_observations(&entries[from..], start)?;
        let latest = entries.iter().map(|own| own.entry.at).max();
        entries.truncate(from);
        let book = Self { folder: folder.to_owned(), watch, policies: BTreeMap::new(), bound, start, latest };
        Ok((book, Found { recovery, saved, before: entries, observed, start: first }))
    }

    /// From where instants count.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// What the chain of a policy holds of what watchers decided: the decisions as they stand there, and how far the numbers have come.
    ///
    /// # Errors
    /// The chain is not sound, or cannot be read.
    pub fn past(&mut self, policy: &Name) -> Result<(Vec<Value>, Past), Failure> {
        // Its lock is given up first: this process has no other right to it than others.
        self.policies.remove(policy);
        let (mut ledger, recovery) = Ledger::open(&self.folder, policy)?;
        for told in recovery.told() {
            tracing::warn!(chain = %policy, "{told}");
        }
        let decided: Vec<Value> = ledger.forget().into_iter().filter_map(decided).collect();
        let number = |event: &Value, kind: &str| event.get(kind)?.get("incident")?.as_u64();
        let mut past = Past { decisions: decided.len() as u64, ..Past::default() };
        for event in &decided {
            if let Some(opened) = number(event, "incident_opened") {
                past.incidents = past.incidents.max(opened + 1);
                past.open.push(opened);
            }
            if let Some(closed) = number(event, "incident_closed") {
                past.open.retain(|open| *open != closed);
            }
        }
        let now = Instant::now();
        self.policies.insert(policy.clone(), Page::Open { ledger: Box::new(ledger), since: now, last: now });
        Ok((decided, past))
    }

    /// Writes down what was observed, with one write, and after `Ok` it survives a crash. `asked` says of an answer which incident of its policy asked,
    /// and what.
    ///
    /// # Errors
    /// It cannot be written; then nothing of it counts.
    pub fn observe(&mut self, observed: &[(Observed, Option<Asked>)], inventory: &Inventory) -> Result<(), Failure> {
        let mut entries = Vec::new();
        for (Observed { at, what }, asked) in observed {
            let at = self.timestamp(*at)?;
            entries.extend(observation(what, asked.as_ref(), inventory).into_iter().map(|what| Entry { at, by: BY.to_owned(), what }));
        }
        self.watch.append(entries)
    }

    /// Writes down what was decided, with one write for each policy. Gives the policies to whose chains nothing could be written, and why; what is missing there
    /// is found again when the watcher starts, of a policy that is what it was.
    ///
    /// # Errors
    /// The disk does not say that it has it.
    pub fn decide(&mut self, decisions: Vec<Decision>) -> Result<Vec<(Name, Failure)>, Failure> {
        let mut by_policy: BTreeMap<Name, Vec<Entry>> = BTreeMap::new();
        for Decision { policy, stage, record, .. } in decisions {
            let incident = incident_of(&record.event).map_or_else(|| policy.to_string(), |number| format!("{policy}#{number}"));
            let hashes = self.bound.get(&policy).map(|bound| bound.hashes.clone()).unwrap_or_default();
            let event = plain_event(&record.event);
            let what = What::Decision { incident, stage, hashes, event, is_backtest: false };
            let at = self.timestamp(record.at)?;
            by_policy.entry(policy).or_default().push(Entry { at, by: BY.to_owned(), what });
        }
        self.append(by_policy)
    }

    /// Writes down whether Prometheus answers at all; else why not.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn answering(&mut self, why_not: Option<&str>, at: Time) -> Result<(), Failure> {
        let mut why = why_not.unwrap_or_default().to_owned();
        cut_short(&mut why, SHORTER[1]);
        let value = if why_not.is_none() { json!({ "answers": true }) } else { json!({ "answers": false, "why": why }) };
        let what = What::State { of: ANSWERING.to_owned(), value };
        self.watch.append(vec![Entry { at: self.timestamp(at)?, by: BY.to_owned(), what }])
    }

    /// Writes down that what is told from here on, until the session ends, is of a simulation, and how that is known.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn rehearsed(&mut self, told: &str, at: Time) -> Result<(), Failure> {
        let what = What::State { of: REHEARSAL.to_owned(), value: json!({ "told": told }) };
        self.watch.append(vec![Entry { at: self.timestamp(at)?, by: BY.to_owned(), what }])
    }

    /// Writes down that the chain of a policy cannot be written, and why; nothing more is until the session ends.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn aside(&mut self, policy: &Name, why: &str, at: Time) -> Result<(), Failure> {
        let mut why = why.to_owned();
        cut_short(&mut why, SHORTER[1]);
        let what = What::State { of: ASIDE.to_owned(), value: json!({ "policy": policy, "why": why }) };
        self.watch.append(vec![Entry { at: self.timestamp(at)?, by: BY.to_owned(), what }])
    }

    /// That the clock is behind what stands in the chain `watch`, for people; `None`: it is not.
    ///
    /// # Errors
    /// The instant is beyond all calendars.
    pub fn behind(&self, at: Time) -> Result<Option<String>, Failure> {
        let now = self.timestamp(at)?;
        let Some(latest) = self.latest.filter(|latest| now.saturating_add(CLOCKS_APART).is_ok_and(|now| now < *latest)) else {
            return Ok(None);
        };
        Ok(Some(format!(
            "warning: the clock is behind the ledger: it says {now}, and the last entry is of {latest}; what is watched until then counts no day twice, and none before a promotion"
        )))
    }

    /// Writes down that a policy is taken back by itself.
    ///
    /// # Errors
    /// Its chain cannot be written.
    pub fn demote(&mut self, policy: &Name, (from, due): (Stage, Due), at: Time) -> Result<(), Failure> {
        let what = What::Demotion { from, to: due.to, because: due.because, automatic: true };
        let entry = Entry { at: self.timestamp(at)?, by: ITSELF.to_owned(), what };
        self.append_to(policy, entry)
    }

    /// The chain of a policy as it stands.
    ///
    /// # Errors
    /// It is not sound, or cannot be read.
    pub fn chain(&self, policy: &Name) -> Result<Chain, Failure> {
        Ledger::read(&self.folder, policy)?.sound()
    }

    /// Writes down that a policy is watched from now on: the time that passes without an alert is evidence too.
    ///
    /// # Errors
    /// As [`Self::demote`].
    pub fn begin(&mut self, policy: &Name, stage: Stage, at: Time) -> Result<(), Failure> {
        let Bound { hashes, rests_on } = self.bound.get(policy).cloned().unwrap_or_default();
        let value = json!({ "stage": stage, "hashes": hashes, "rests_on": rests_on });
        let what = What::State { of: WATCHING.to_owned(), value };
        let entry = Entry { at: self.timestamp(at)?, by: BY.to_owned(), what };
        self.append_to(policy, entry)
    }

    /// Gives up the chains of policies that were not written to for a while, so that people can write to them.
    pub fn rest(&mut self) {
        let pages = || {
            self.policies
                .iter()
                .filter_map(|(policy, page)| if let Page::Open { since, last, .. } = page { Some((policy, since, last)) } else { None })
        };
        let is_held = pages().any(|(_, since, last)| since.elapsed() > HELD && last.elapsed() <= IDLE);
        // One that is busy all the time is given up together with all others, so that there is one pause and not one for each.
        let given_up: Vec<Name> =
            pages().filter(|(.., last)| is_held || last.elapsed() > IDLE).map(|(policy, ..)| policy.clone()).collect();
        given_up.iter().for_each(|policy| self.release(policy));
        if is_held {
            // Whoever waits for the lock looks for it every ten milliseconds.
            std::thread::sleep(PAUSE);
        }
    }

    fn release(&mut self, policy: &Name) {
        if let Some(Page::Open { ledger, .. }) = self.policies.remove(policy) {
            self.policies.insert(policy.clone(), Page::Released(ledger.release()));
        }
    }

    /// Gives up the chains of all policies.
    #[cfg(test)]
    pub(super) fn release_all(&mut self) {
        let all: Vec<Name> = self.policies.keys().cloned().collect();
        all.iter().for_each(|policy| self.release(policy));
    }

    /// Whether a chain of a policy is held, so that [`Self::rest`] is due soon.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.policies.values().any(|page| matches!(page, Page::Open { .. }))
    }

    /// A memory as it can be kept, so that a restart need not hear all again. Nothing rests on it: without it all is heard again. `None`: the chain has
    /// nothing yet that it could follow.
    #[must_use]
    pub fn memory(&self, saved: Saved) -> Option<Memory> {
        let document = StateDocument { schema: STATE_SCHEMA.to_owned(), after: self.watch.head()?.to_owned(), saved };
        Some(Memory { folder: self.folder.clone(), document })
    }

    /// Adds to the chains of policies: writes all of it, and then waits for the disk once for all of them. One that cannot be written is given up, and gives
    /// why; the others are written.
    fn append(&mut self, by_policy: BTreeMap<Name, Vec<Entry>>) -> Result<Vec<(Name, Failure)>, Failure> {
        let mut failed = Vec::new();
        for (policy, entries) in by_policy {
            if let Err(failure) = self.page(&policy).and_then(|ledger| ledger.write(entries)) {
                self.policies.remove(&policy);
                failed.push((policy, failure));
            }
        }
        let written =
            self.policies.values_mut().filter_map(|page| if let Page::Open { ledger, .. } = page { Some(&mut **ledger) } else { None });
        sync_all(written.filter(|ledger| ledger.is_unsynced()).collect())?;
        Ok(failed)
    }

    /// Adds an entry to the chain of a policy.
    fn append_to(&mut self, policy: &Name, entry: Entry) -> Result<(), Failure> {
        let failed = self.append([(policy.clone(), vec![entry])].into())?;
        failed.into_iter().next().map_or(Ok(()), |(_, failure)| Err(failure))
    }

    /// The chain of a policy. Where its file was replaced meanwhile, as git does, the one that is there now is opened and taken.
    fn page(&mut self, policy: &Name) -> Result<&mut Ledger, Failure> {
        let now = Instant::now();
        let page = match self.policies.remove(policy) {
            Some(Page::Open { ledger, since, .. }) if ledger.is_as_it_was().is_ok() => Page::Open { ledger, since, last: now },
            other => {
                let opened = match other {
                    Some(Page::Released(place)) => Ledger::resume(&place),
                    Some(Page::Open { ledger, .. }) => {
                        tracing::warn!(chain = %policy, "the chain was replaced by another file, which is gone on with");
                        // With its lock: where it is still the same file that is asked for again.
                        drop(ledger);
                        Ledger::open(&self.folder, policy)
                    }
                    None => Ledger::open(&self.folder, policy),
                };
                let mut ledger = Box::new(opened?.0);
                ledger.forget();
                Page::Open { ledger, since: now, last: now }
            }
        };
        self.policies.insert(policy.clone(), page);
        match self.policies.get_mut(policy) {
            Some(Page::Open { ledger, .. }) => Ok(ledger),
            Some(Page::Released(_)) | None => unreachable!("it was opened"),
        }
    }

    fn timestamp(&self, at: Time) -> Result<Timestamp, Failure> {
        let nanos = i128::from(self.start.unix_millis()) * 1_000_000 + i128::from(at.as_nanos());
        Timestamp::from_nanosecond(nanos).context("the clock is beyond all calendars").map_err(Failure::from)
    }
}

/// What a watcher remembers, to be kept by whoever has the time.
pub struct Memory {
    folder: PathBuf,
    document: StateDocument,
}

impl Memory {
    /// Keeps it in the place of the one before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self) -> anyhow::Result<()> {
        let path = state_path(&self.folder);
        let file = tempfile::Builder::new().prefix(HALF_KEPT).suffix(".state").tempfile_in(&self.folder);
        let file = file.context("cannot write what the watcher remembers")?;
        // Not as one text in memory: it may be large.
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        serde_json::to_writer(&mut writer, &self.document)?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_data()?;
        file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }
}

impl Found {
    /// All that was ever observed, in order: for a memory that is of no use.
    ///
    /// # Errors
    /// Another firedrill wrote it.
    pub fn all(self, start: Start) -> Result<Vec<Observed>, Failure> {
        let mut all = read_observations(&self.before, start)?;
        all.extend(self.observed);
        Ok(all)
    }
}

/// Which incident asked, and what, if it was a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As in decisions, such as `restart#3`.
    pub incident: String,
    /// The question in words; `None` for evidence.
    pub question: Option<String>,
}

fn state_path(folder: &Path) -> PathBuf {
    folder.join(format!("{WATCH}.state"))
}

/// Takes away what a watcher that was killed has left half kept of its memory. Whoever has the lock of its chain is the only one.
fn clear_away(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_half_kept = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(HALF_KEPT) && name.ends_with(".state")
    };
    // One that stays is in nobody's way.
    files.filter(is_half_kept).for_each(|path| _ = fs::remove_file(path));
}

/// A value as JSON. What goes into the ledger is plain data.
fn plain<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("plain data")
}

/// What a watcher decided, if an entry says so.
fn decided(recorded: Recorded) -> Option<Value> {
    match recorded.entry.what {
        What::Decision { event, is_backtest: false, .. } if recorded.entry.by == BY => Some(event),
        _ => None,
    }
}

fn session_start(what: &What) -> Option<Start> {
    match what {
        What::State { of, value } if of == SESSION => value.get("began")?.get("start_ms")?.as_i64().map(Start::from_unix_millis),
        _ => None,
    }
}

/// The memory that fits a chain, and the index of the first entry after it.
fn remembered(folder: &Path, entries: &[Recorded]) -> (Option<Saved>, usize) {
    let read = || -> Option<(Saved, usize)> {
        let text = fs::read(state_path(folder)).ok()?;
        let document: StateDocument = serde_json::from_slice(&text).ok().filter(|own: &StateDocument| own.schema == STATE_SCHEMA)?;
        let index = entries.iter().rposition(|recorded| recorded.hash == document.after)?;
        Some((document.saved, index + 1))
    };
    read().map_or((None, 0), |(saved, from)| (Some(saved), from))
}

/// The entries of an observation: one for each alert, each of which says how many of its message follow.
fn observation(what: &Observation, asked: Option<&Asked>, inventory: &Inventory) -> Vec<What> {
    let state = |of: &str, value: Value| What::State { of: of.to_owned(), value };
    match what {
        Observation::Began { .. } => vec![state(SESSION, plain(what)), state(INVENTORY, plain(inventory))],
        Observation::Passed | Observation::ClockSet { .. } => vec![state(CLOCK, plain(what))],
        Observation::Told { alerts } => {
            let one = |(index, alerted): (usize, &Alerted)| {
                let mut notified = plain(&alerted.notification);
                if let Value::Object(fields) = &mut notified {
                    fields.extend(alerted.ends_at.map(|at| ("ends_at".to_owned(), plain(&at))));
                    fields.extend(alerted.group.as_ref().map(|group| ("group".to_owned(), plain(group))));
                    let more = alerts.len() - index - 1;
                    fields.extend((more > 0).then(|| ("more".to_owned(), more.into())));
                }
                What::Observation { incident: None, question: None, input: json!({ "notified": notified }) }
            };
            alerts.iter().enumerate().map(one).collect()
        }
        Observation::Answered { policy, input } => {
            let incident = asked.map_or_else(|| policy.to_string(), |asked| asked.incident.clone());
            let question = asked.and_then(|asked| asked.question.clone());
            vec![What::Observation { incident: Some(incident), question, input: plain(input) }]
        }
    }
}

/// The observations that entries hold, in order. What a crash left of a message counts as a message: it stands in the ledger.
fn read_observations<'r>(entries: impl IntoIterator<Item = &'r Recorded>, start: Start) -> Result<Vec<Observed>, Failure> {
    let mut observed = Vec::new();
    let mut message: Vec<Alerted> = Vec::new();
    let mut last = Time::ZERO;
    // Where two clones of a repository began to watch each for itself, each counts from a start of its own.
    let mut own_start = start;
    for recorded in entries {
        own_start = session_start(&recorded.entry.what).unwrap_or(own_start);
        let at = instant(recorded.entry.at, start);
        let is_alert = matches!(recorded.entry.what, What::Observation { incident: None, .. });
        if !message.is_empty() && !is_alert {
            observed.push(Observed { at: last, what: Observation::Told { alerts: std::mem::take(&mut message) } });
        }
        last = at;
        let read = match &recorded.entry.what {
            What::State { of, value } if of == SESSION || of == CLOCK => serde_json::from_value(value.clone()).map(|what| match what {
                Observation::ClockSet { expected } => Some(Observation::ClockSet { expected: counted_from(start, expected, own_start) }),
                what => Some(what),
            }),
            What::Observation { incident: None, input, .. } => alerted(input).map(|(alerted, more)| {
                message.push(alerted_from(start, alerted, own_start));
                (more == 0).then(|| Observation::Told { alerts: std::mem::take(&mut message) })
            }),
            What::Observation { incident: Some(incident), input, .. } => serde_json::from_value::<Input>(input.clone()).map(|input| {
                let policy = incident.rsplit_once('#').map_or(incident.as_str(), |(policy, _)| policy);
                Some(Observation::Answered { policy: Name::new(policy), input })
            }),
            _ => Ok(None),
        };
        let number = recorded.number;
        let read = read.with_context(|| format!("entry {number} of the chain `{WATCH}` was written by another firedrill"))?;
        observed.extend(read.map(|what| Observed { at, what }));
    }
    if !message.is_empty() {
        observed.push(Observed { at: last, what: Observation::Told { alerts: message } });
    }
    Ok(observed)
}

/// What a watcher's chain holds: from where its instants count, what it was told in order, session by session, and what was declared to exist, as the last
/// session knew it.
///
/// # Errors
/// Nobody has watched yet; or another firedrill wrote it.
pub fn observations(watch: &Chain) -> Result<(Start, Vec<Observed>, Inventory), Failure> {
    let start = watch.entries.iter().find_map(|recorded| session_start(&recorded.entry.what));
    let Some(start) = start else {
        return Err(Failure::argument("nobody has watched yet: the ledger has no session", "start one with `firedrill watch`"));
    };
    let declared = watch.entries.iter().rev().find_map(|recorded| match &recorded.entry.what {
        What::State { of, value } if of == INVENTORY => serde_json::from_value(value.clone()).ok(),
        _ => None,
    });
    Ok((start, read_observations(watch.sessions().concat(), start)?, declared.unwrap_or_default()))
}

/// An instant that counts from a start of its own.
fn counted_from(start: Start, at: Time, own: Start) -> Time {
    let ahead = own.unix_millis() - start.unix_millis();
    let by = Span::from_millis(ahead.unsigned_abs());
    if ahead >= 0 { at.saturating_add(by) } else { Time::ZERO.saturating_add(at.since(Time::ZERO.saturating_add(by))) }
}

fn alerted_from(start: Start, alerted: Alerted, own: Start) -> Alerted {
    let Alerted { notification, ends_at, group } = alerted;
    let starts_at = counted_from(start, notification.starts_at, own);
    Alerted { notification: Notification { starts_at, ..notification }, ends_at: ends_at.map(|at| counted_from(start, at, own)), group }
}

fn alerted(input: &Value) -> serde_json::Result<(Alerted, u64)> {
    let notified = input.get("notified").unwrap_or(&Value::Null);
    let notification: Notification = serde_json::from_value(notified.clone())?;
    let ends_at = notified.get("ends_at").map(|at| serde_json::from_value(at.clone())).transpose()?;
    let group = notified.get("group").map(|group| serde_json::from_value(group.clone())).transpose()?;
    Ok((Alerted { notification, ends_at, group }, notified.get("more").and_then(Value::as_u64).unwrap_or(0)))
}

fn instant(at: Timestamp, start: Start) -> Time {
    let nanos = at.as_nanosecond() - i128::from(start.unix_millis()) * 1_000_000;
    Time::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

/// An event as it stands in the ledger. One that is longer than an entry may be is shortened, such as one of an alert with endless labels.
#[must_use]
pub fn plain_event(event: &Event) -> Value {
    let mut value = plain(event);
    for most in SHORTER {
        if length(&value) <= MOST_EVENT {
            break;
        }
        shorten(&mut value, most);
    }
    value
}

/// An answer that fits into the ledger, and is what a policy is told: names that do not fit are no answer, and figures are for people.
#[must_use]
pub fn fitting(input: Input) -> Input {
    let cut = |mut text: String| {
        cut_short(&mut text, SHORTER[0]);
        text
    };
    match input {
        Input::Evaluated { query, verdict, figures } => Input::Evaluated { query, verdict, figures: cut(figures) },
        Input::Counted { query, parts: Some(parts), .. }
            if parts.iter().map(|own| escaped(own.part.name())).sum::<usize>() > MOST_NAMES =>
        {
            let error = format!("{} parts are too many to be written down", parts.len());
            Input::Counted { query, holding: 0, elements: 0, error, parts: None }
        }
        Input::Counted { query, holding, elements, error, parts } => Input::Counted { query, holding, elements, error: cut(error), parts },
        Input::Measured { query, value, figures } => Input::Measured { query, value, figures: cut(figures) },
        Input::Listed { query, names, error } if names.iter().map(|name| escaped(name)).sum::<usize>() > MOST_NAMES => {
            let error =
                format!("{} names are too many to be written down{}", names.len(), if error.is_empty() { "" } else { "; " }) + &cut(error);
            Input::Listed { query, names: Vec::new(), error }
        }
        Input::Listed { query, names, error } => Input::Listed { query, names, error: cut(error) },
        Input::Gathered { query, evidence } => Input::Gathered { query, evidence: bounded(evidence) },
        other => other,
    }
}

/// How long a value is as JSON, about.
fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 24,
        Value::String(text) => escaped(text),
        Value::Array(items) => 2 + items.iter().map(|item| 1 + length(item)).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(key, item)| 2 + escaped(key) + length(item)).sum::<usize>(),
    }
}

/// How long a text is as JSON.
fn escaped(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(of).sum::<usize>()
}

/// Cuts texts in a value to so many bytes, and takes away what does not fit of lists and maps that have more parts.
fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => cut_short(text, most),
        Value::Array(items) => {
            items.truncate(most);
            items.iter_mut().for_each(|item| shorten(item, most));
        }
        Value::Object(fields) => {
            let beyond: Vec<String> =
                fields.keys().enumerate().filter(|(index, key)| *index >= most || key.len() > most).map(|(_, key)| key.clone()).collect();
            for key in beyond {
                fields.remove(&key);
            }
            fields.values_mut().for_each(|item| shorten(item, most));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn cut_short(text: &mut String, most: usize) {
    if text.len() > most {
        let told = format!("… ({} bytes)", text.len());
        text.truncate(boundary(text, most));
        text.push_str(&told);
    }
}

/// Whether an event is something that a policy would have done.
#[must_use]
pub const fn would_act(event: &Event) -> bool {
    matches!(event, Event::WouldAct { .. })
}

#[cfg(test)]
mod tests {
    use firedrill_core::journal::{AlertStatus, LabelSet, Truth};

    use super::*;

    fn alert(pod: &str, ends_at: Option<Time>) -> Alerted {
        let labels: LabelSet = [("alertname", "Down"), ("pod", pod)].map(|(name, value)| (Name::new(name), Name::new(value))).into();
        let status = if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
        let notification =
            Notification { alert: Name::new("Down"), status, labels, starts_at: Time::from_seconds(7), receiver: Some(Name::new("r")) };
        Alerted { notification, ends_at, group: Some(Name::new("g")) }
    }

    #[test]
    fn observations_read_back_as_they_were_and_whole_messages_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let start = Start::default();
        let input = Input::Evaluated { query: 3, verdict: Truth::Unknown, figures: "no answer".into() };
        let whats = [
            Observation::Began { policies: BTreeMap::new(), engine: "e".into(), start_ms: start.unix_millis() },
            Observation::Told { alerts: vec![alert("a", None), alert("b", Some(Time::from_seconds(9)))] },
            Observation::Told { alerts: vec![alert("c", None)] },
            Observation::Answered { policy: Name::new("restart"), input },
            Observation::Passed,
            Observation::ClockSet { expected: Time::from_seconds(5) },
        ];
        let observed: Vec<Observed> =
            whats.into_iter().enumerate().map(|(index, what)| Observed { at: Time::from_seconds(10 + index as u64), what }).collect();
        let asked = Asked { incident: "restart#4".into(), question: Some("up == 0".into()) };
        let written: Vec<_> =
            observed.iter().map(|own| (own.clone(), matches!(own.what, Observation::Answered { .. }).then(|| asked.clone()))).collect();
        let (mut book, found) = Book::open(folder.path(), start, BTreeMap::new()).unwrap();
        assert!(found.start.is_none() && found.observed.is_empty());
        book.observe(&written, &Inventory::default()).unwrap();
        drop(book);
        // Another start does not count where there is one.
        let (_, found) = Book::open(folder.path(), Start::from_unix_seconds(0), BTreeMap::new()).unwrap();
        assert_eq!((found.observed, found.start), (observed, Some(start)));
    }
}
