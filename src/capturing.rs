//! What a watcher saw and decided of one incident, as an incident folder whose replay decides the same again.
//!
//! All that a watcher was told stands in its chain of the ledger. It is heard again up to shortly before the incident, what is remembered then is kept,
//! and what it was told from there on beside it: so a capture is small, however long the watcher has run, and no guard forgets what it had counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Event, Journal};
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::words::{counted, in_one_line};
use firedrill_core::yaml::quoted;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_policies::watcher::{Alerted, Decision, Observation, Observed, Saved, Session, Watcher, WatcherSetup};
use firedrill_scenarios::incident::FILE_NAME;
use firedrill_telemetry::labels::{Labels, METRIC_NAME};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::{STALE, Store};
use serde::{Deserialize, Serialize};

use crate::drill::ENGINE;
use crate::failure::Failure;
use crate::importing::{ALERTS, people};
use crate::ledger::{Chain, Recorded, What, short};
use crate::load::Source;
use crate::promotion::bake::with_hash;
use crate::pulling::Pulled;
use crate::recorded::RECORDING;
use crate::watch::{observations, plain_event};

/// The version of the file.
pub const SCHEMA: &str = "firedrill.watched/1";

/// What was watched, in an incident folder.
pub const WATCHED: &str = "watched.json";

/// So long before an incident and after it is captured.
pub const AROUND: Span = Span::from_minutes(15);

/// What a watcher was told around an incident, and what it decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the engine that captured it.
    pub engine: String,
    /// The calendar instant from which its instants count, milliseconds since 1970.
    pub start_ms: i64,
    /// The policies that watched: the hash of each, and its stage, where it first did. Sessions that begin among the observations say what it was from then on.
    pub policies: BTreeMap<Name, WatchedPolicy>,
    /// The incident that was captured, as the ledger calls it; others may lie in its time. `None`: an older firedrill did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What was declared to exist.
    pub inventory: Inventory,
    /// What the watcher remembered before the first of these observations.
    pub saved: Saved,
    /// What it was told, in order.
    pub observed: Vec<Observed>,
    /// What it decided, in order of the policies' names: the events as they stand in the ledger.
    pub decided: BTreeMap<Name, Vec<serde_json::Value>>,
}

/// A policy that watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedPolicy {
    /// BLAKE3 of the lowered policy, hexadecimal.
    pub hash: String,
    /// Its stage.
    pub stage: Stage,
}

impl Watched {
    /// Reads the file.
    ///
    /// # Errors
    /// It is another version's, or damaged.
    pub fn read(path: &str, text: &str) -> Result<Self, Failure> {
        let problem = |reason: &str| {
            let message = format!("what was watched cannot be read: {reason}");
            Failure::Input(vec![Problem::in_file("FD0881", path, message).remedy("capture it anew with `firedrill capture`")])
        };
        let loose: serde_json::Value = serde_json::from_str(text).map_err(|error| problem(&error.to_string()))?;
        match loose.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => serde_json::from_value(loose).map_err(|error| problem(&error.to_string())),
            schema => Err(problem(&format!("its schema is `{}`, and `{SCHEMA}` is what can be read", schema.unwrap_or_default()))),
        }
    }

    /// The calendar instant from which its instants count.
    #[must_use]
    pub const fn start(&self) -> Start {
        Start::from_unix_millis(self.start_ms)
    }

    /// Whether these are the policies that watched, and no others.
    #[must_use]
    pub fn is_by(&self, policies: &[Arc<Policy>]) -> bool {
        policies.len() == self.policies.len()
            && policies.iter().all(|policy| self.policies.get(&policy.name).is_some_and(|own| with_hash(policy, &own.hash).is_some()))
    }

    /// What these policies decide of it, with its times counted from `start`; what they were told of stands beside it.
    ///
    /// # Errors
    /// It was kept by another version of the engine.
    pub fn play(&self, policies: &[Arc<Policy>], start: Start) -> Result<Journal, String> {
        let stage = |policy: &Arc<Policy>| self.policies.get(&policy.name).map_or(Stage::DryRun, |own| own.stage);
        let as_watched = |policy: &Arc<Policy>| {
            self.policies.get(&policy.name).and_then(|own| with_hash(policy, &own.hash)).unwrap_or_else(|| Arc::clone(policy))
        };
        let first = policies.iter().map(|policy| (as_watched(policy), stage(policy))).collect();
        let mut again = Again::new((self.start(), Arc::new(self.inventory.clone())), policies, first);
        again.watcher.restore(self.saved.clone())?;
        let mut journal = Journal::new();
        let mut last = Time::ZERO;
        let mut write = |at: Time, event: Event| {
            let at = start.time_of(self.start().prometheus_millis(at)).unwrap_or(Time::ZERO);
            // Where the clock was set back the story goes on all the same.
            last = last.max(at);
            journal.write(last, event);
        };
        for observed in &self.observed {
            if let Observation::Told { alerts } = &observed.what {
                alerts.iter().for_each(|alerted| write(observed.at, Event::Notified { notification: alerted.notification.clone() }));
            }
            again.take_in(observed)?.into_iter().for_each(|decision| write(decision.record.at, decision.record.event));
        }
        let ended = last;
        journal.write(ended, Event::RunEnded { reason: "what was watched ends".to_owned() });
        Ok(journal)
    }

    /// How many of the decisions that stand in the ledger a replay has, in their order, and how many there are.
    #[must_use]
    pub fn reproduced(&self, journal: &Journal) -> (usize, usize) {
        let total = self.decided.values().map(Vec::len).sum();
        let mut left: BTreeMap<&Name, std::slice::Iter<'_, serde_json::Value>> =
            self.decided.iter().map(|(policy, events)| (policy, events.iter())).collect();
        let mut found = 0;
        for record in journal.records() {
            let event = plain_event(&record.event);
            let next = left.values_mut().find(|events| events.as_slice().first() == Some(&event));
            found += usize::from(next.and_then(Iterator::next).is_some());
        }
        (found, total)
    }
}

/// A watcher that is told again what one was told, session by session: each with the policies that took part in it, as they were, at their stages.
struct Again<'p> {
    watcher: Watcher,
    start: Start,
    inventory: Arc<Inventory>,
    policies: &'p [Arc<Policy>],
}

impl<'p> Again<'p> {
    fn new((start, inventory): (Start, Arc<Inventory>), policies: &'p [Arc<Policy>], first: Vec<(Arc<Policy>, Stage)>) -> Self {
        let setup = WatcherSetup { start, policies: first, inventory: Arc::clone(&inventory) };
        Self { watcher: Watcher::new(setup), start, inventory, policies }
    }

    fn take_in(&mut self, observed: &Observed) -> Result<Vec<Decision>, String> {
        if let Observation::Began { policies, .. } = &observed.what {
            self.enter(policies)?;
        }
        Ok(self.watcher.take_in(observed))
    }

    /// Goes on as the process of that session did, which took up the memory of the one before.
    fn enter(&mut self, session: &BTreeMap<Name, Session>) -> Result<(), String> {
        let one = |policy: &Arc<Policy>| {
            let own = session.get(&policy.name)?;
            with_hash(policy, &own.hash).map(|policy| (policy, own.stage))
        };
        let wanted: Vec<(Arc<Policy>, Stage)> = self.policies.iter().filter_map(one).collect();
        let is_same = {
            let now: BTreeMap<&Name, (&str, Stage)> =
                self.watcher.policies().map(|(own, stage, hash)| (&own.name, (hash, stage))).collect();
            wanted.iter().all(|(own, stage)| now.get(&own.name).is_some_and(|(hash, known)| *known == *stage && **hash == own.hash()))
        };
        if is_same {
            return Ok(());
        }
        let saved = self.watcher.saved();
        let setup = WatcherSetup { start: self.start, policies: wanted, inventory: Arc::clone(&self.inventory) };
        self.watcher = Watcher::new(setup);
        self.watcher.restore(saved)
    }
}

/// Files of an incident's folder, each with its text.
type Texts = [(String, String)];

/// What a Prometheus has of the time of an incident.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Where it is, and whether it plays a simulation.
    pub origin: String,
    /// The samples.
    pub pulled: Pulled,
    /// What changed in the system, by milliseconds since 1970.
    pub changes: Vec<(i64, String)>,
}

/// What is captured, and out of what.
#[derive(Clone, Debug)]
pub struct Capture<'a> {
    /// The incident, as the ledger calls it: `POLICY#NUMBER`.
    pub incident: &'a str,
    /// The watcher's chain.
    pub watch: &'a Chain,
    /// The chains of policies, by name.
    pub chains: &'a BTreeMap<Name, Chain>,
    /// The policies as they are today, each with its file.
    pub policies: &'a [(Arc<Policy>, Source)],
    /// Copies of the rule files, by their paths in the folder.
    pub rules: &'a Texts,
    /// The command that captures it again.
    pub command: &'a str,
}

/// A stretch of time around an incident, of which samples can be pulled.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The incident's name for a folder.
    pub name: String,
    /// From when.
    pub from: Start,
    /// Until when.
    pub to: Start,
    /// When the incident was taken up.
    pub opened: Start,
    /// When it was closed; `None`: it was open at the end.
    pub closed: Option<Start>,
    /// What was watched.
    pub watched: Watched,
    /// How many of the ledger's decisions its replay has, and how many there are.
    pub reproduced: (usize, usize),
    /// The hash of the rules that it was decided by, as [`crate::ledger::Hashes`] has it.
    pub rules: Option<String>,
    /// What people said was the cause, and who said so last; `None`: nobody has.
    pub cause: Option<(String, String)>,
    /// What the policy acted on, or would have; `None`: on nothing.
    pub target: Option<Target>,
    /// When its alert was over, as the watcher was told; `None`: it was not told.
    pub ended: Option<Start>,
    alerts: Vec<(Start, Labels, AlertStatus)>,
}

/// Captures an incident out of a ledger.
///
/// # Errors
/// The ledger has no such incident; its policies are not what they were; or another version of the engine kept it.
pub fn capture(capture: &Capture<'_>) -> Result<Captured, Failure> {
    let (start, observed, inventory) = observations(capture.watch)?;
    let at = |own: &Recorded| own.entry.at.as_millisecond();
    let Found { chain, called, decisions } = found(capture)?;
    let (Some(first), Some(last)) = (decisions.first(), decisions.last()) else { return Err(no_such(capture)) };
    let is_closed = matches!(&last.entry.what, What::Decision { event, .. } if event.get("incident_closed").is_some());
    let around = i64::try_from(AROUND.as_millis()).unwrap_or(0);
    let (from_ms, to_ms) = (at(first) - around, at(last) + around);
    let instant = |ms: i64| start.time_of(ms).unwrap_or(Time::ZERO);
    let (from, to) = (instant(from_ms), instant(to_ms));
    let before = observed.iter().take_while(|observed| observed.at < from).count();
    let policies = sessions(capture, (&observed, before), to)?;
    let is_own = |policy: &Arc<Policy>| policies.iter().any(|(own, _)| own.name == policy.name);
    let alone: Vec<Arc<Policy>> = capture.policies.iter().map(|(policy, _)| Arc::clone(policy)).filter(is_own).collect();
    let mut again = Again::new((start, Arc::new(inventory.clone())), &alone, policies.clone());
    let failed = |why: String| anyhow::anyhow!("what was watched cannot be played again: {why}");
    for observed in &observed[..before] {
        again.take_in(observed).map_err(failed)?;
    }
    let saved = again.watcher.saved();
    // To the end of its last millisecond, as decisions are taken out of the ledger.
    let after = to.saturating_add(Span::from_millis(1));
    let kept: Vec<Observed> = observed[before..].iter().take_while(|observed| observed.at < after).cloned().collect();
    let watched = Watched {
        schema: SCHEMA.to_owned(),
        engine: ENGINE.to_owned(),
        start_ms: start.unix_millis(),
        policies: policies
            .iter()
            .map(|(policy, stage)| (policy.name.clone(), WatchedPolicy { hash: policy.hash(), stage: *stage }))
            .collect(),
        incident: incident_of(first),
        inventory,
        saved,
        observed: kept,
        decided: policies.iter().map(|(policy, _)| (policy.name.clone(), decided(capture, &policy.name, (from_ms, to_ms)))).collect(),
    };
    let (from, last_ms) = (Start::from_unix_millis(from_ms), at(last));
    // What was told last may be sooner than as long after the incident as would be captured.
    let to_ms = watched.observed.last().map_or(last_ms, |last| start.prometheus_millis(last.at)).max(last_ms);
    let (cause, target) = said(chain, &decisions);
    let ended = ended(&observed, start, first).map(|at| Start::from_unix_millis(start.prometheus_millis(at)));
    let journal = watched.play(&alone, from).map_err(failed)?;
    let reproduced = watched.reproduced(&journal);
    Ok(Captured {
        name: called,
        from,
        to: Start::from_unix_millis(to_ms),
        opened: Start::from_unix_millis(at(first)),
        closed: is_closed.then(|| Start::from_unix_millis(last_ms)),
        alerts: told(&watched),
        rules: rules_of(first),
        cause,
        target,
        ended,
        watched,
        reproduced,
    })
}

/// What people said last was the cause of an incident, with who did, and what the policy acted on in it or would have.
fn said(chain: &Chain, decisions: &[&Recorded]) -> (Option<(String, String)>, Option<Target>) {
    let is_own = |event: &String| decisions.iter().any(|own| own.hash == *event);
    let cause = chain.entries.iter().rev().find_map(|own| match &own.entry.what {
        What::Label { event, cause: Some(cause), .. } if is_own(event) => Some((cause.clone(), own.entry.by.clone())),
        _ => None,
    });
    let event = |own: &&Recorded| match &own.entry.what {
        What::Decision { event, .. } => serde_json::from_value(event.clone()).ok(),
        _ => None,
    };
    let target = decisions.iter().filter_map(event).find_map(|event| match event {
        Event::WouldAct { target, .. } | Event::Decided { target, .. } => Some(target),
        _ => None,
    });
    (cause, target)
}

/// When the alert that an incident was taken up for was over, as the watcher was told next; `None` also where it was told that the alert began once more.
fn ended(observed: &[Observed], start: Start, opened: &Recorded) -> Option<Time> {
    let What::Decision { event, .. } = &opened.entry.what else { return None };
    let Ok(Event::IncidentOpened { labels, .. }) = serde_json::from_value(event.clone()) else { return None };
    let from = start.time_of(opened.entry.at.as_millisecond()).unwrap_or(Time::ZERO);
    let told = observed.iter().flat_map(|observed| {
        let alerts: &[Alerted] = if let Observation::Told { alerts } = &observed.what { alerts } else { &[] };
        alerts.iter().filter(|alerted| alerted.notification.labels == labels).map(|alerted| (observed.at, alerted))
    });
    let is_over = |alerted: &Alerted| alerted.notification.status == AlertStatus::Resolved;
    let mut began = None;
    for (at, alerted) in told {
        let own = alerted.notification.starts_at;
        // To the millisecond, as the ledger has it.
        if at <= from.saturating_add(Span::from_millis(1)) && !is_over(alerted) {
            began = Some(own);
        } else if at >= from && began.is_some_and(|began| own > began) {
            // It began once more: nobody was told of its end.
            return None;
        } else if at >= from && is_over(alerted) {
            // One that was over sooner by its own account was on for us until we were told.
            return Some(alerted.ends_at.filter(|ends| *ends > from).unwrap_or(at));
        }
    }
    None
}

/// The incident of a decision, as the ledger calls it.
fn incident_of(own: &Recorded) -> Option<String> {
    if let What::Decision { incident, .. } = &own.entry.what { Some(incident.clone()) } else { None }
}

/// Whose decision this is and by what rules it was made.
fn rules_of(own: &Recorded) -> Option<String> {
    if let What::Decision { hashes, .. } = &own.entry.what { Some(hashes.rules.clone()) } else { None }
}

fn no_such(capture: &Capture<'_>) -> Failure {
    let mut known: Vec<String> = Vec::new();
    for chain in capture.chains.values() {
        for own in &chain.entries {
            if let What::Decision { incident, is_backtest: false, .. } = &own.entry.what
                && !known.contains(incident)
                && incident.contains('#')
            {
                known.push(incident.clone());
            }
        }
    }
    let remedy = match &known[..] {
        [] => "nothing has been taken up yet: `firedrill status` tells what is watched".to_owned(),
        known => format!("it has {}", known[known.len().saturating_sub(10)..].join(", ")),
    };
    let message = format!("the ledger has no incident `{}` that was watched", capture.incident);
    Failure::Input(vec![Problem::in_file("FD0882", "the ledger", message).remedy(remedy)])
}

/// The policies of the sessions in which the incident lies, each as it was where it first watched in that time, with its stage. They must be what they were:
/// what another version was told answers other questions than this one's. `before`: so many observations lie before that time.
fn sessions(capture: &Capture<'_>, (observed, before): (&[Observed], usize), to: Time) -> Result<Vec<(Arc<Policy>, Stage)>, Failure> {
    let began = |observed: &Observed| match &observed.what {
        Observation::Began { policies, .. } => Some(policies.clone()),
        _ => None,
    };
    let first = observed[..before].iter().rev().find_map(began);
    let later = observed[before..].iter().take_while(|observed| observed.at <= to).filter_map(began);
    let (mut found, mut problems): (BTreeMap<Name, (Arc<Policy>, Stage)>, _) = (BTreeMap::new(), BTreeMap::new());
    for (name, own) in first.into_iter().chain(later).flatten() {
        let here = capture.policies.iter().find(|(policy, _)| policy.name == name);
        match here.and_then(|(policy, _)| with_hash(policy, &own.hash)) {
            Some(policy) => _ = found.entry(name).or_insert((policy, own.stage)),
            None => {
                let what = if here.is_some() { "is not what it was when it watched" } else { "is not here any more" };
                let remedy = "check out the revision at which it watched, and capture there; the ledger may be named with `--ledger`";
                let problem = Problem::in_file("FD0883", &format!("the policy {name}"), format!("`{name}` {what}")).remedy(remedy);
                problems.insert(name, problem);
            }
        }
    }
    // A version that is here tells of its own sessions; of the others' the replay lacks what they decided, and says so.
    problems.retain(|name, _| !found.contains_key(name));
    match (problems.is_empty(), found.is_empty()) {
        (false, _) => Err(Failure::Input(problems.into_values().collect())),
        (true, true) => Err(no_such(capture)),
        (true, false) => Ok(found.into_values().collect()),
    }
}

/// An incident in a chain.
struct Found<'c> {
    chain: &'c Chain,
    /// What its folder is called.
    called: String,
    decisions: Vec<&'c Recorded>,
}

/// The decisions of the incident that is named: as `POLICY#NUMBER`, or by the hash of a decision of it where two branches have one of that number.
fn found<'c>(capture: &Capture<'c>) -> Result<Found<'c>, Failure> {
    let is_hash = !capture.incident.contains('#');
    // A policy has entries that belong to no incident: its name alone names none.
    let is_numbered = |name: &str| name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok());
    let by_hash = capture.chains.values().filter(|_| is_hash).find_map(|chain| chain.by_hash(capture.incident).map(|own| (chain, own)));
    let named = Name::new(capture.incident.rsplit_once('#').map_or(capture.incident, |(policy, _)| policy));
    let Some(chain) = by_hash.map(|(chain, _)| chain).or_else(|| capture.chains.get(&named)) else { return Err(no_such(capture)) };
    let keys = chain.incidents();
    let key = |own: &Recorded| keys.get(own.hash.as_str()).copied();
    let name = |own: &Recorded| match &own.entry.what {
        What::Decision { incident, is_backtest: false, .. } if is_numbered(incident) => Some(incident.clone()),
        _ => None,
    };
    let incident = by_hash.map_or_else(|| Some(capture.incident.to_owned()), |(_, own)| name(own));
    let of_name: Vec<&Recorded> = chain.entries.iter().filter(|own| name(own).is_some() && name(own) == incident).collect();
    let several: BTreeSet<&str> = of_name.iter().filter_map(|own| key(own)).collect();
    let wanted = by_hash.and_then(|(_, own)| key(own));
    if wanted.is_none() && several.len() > 1 {
        let message = format!("`{}` is {} incidents: two branches have each one of that number", capture.incident, several.len());
        let hashes: Vec<&str> = several.into_iter().map(short).collect();
        let problem = Problem::in_file("FD0815", "the ledger", message);
        return Err(
            vec![problem.remedy(format!("name one by its hash: `firedrill capture {}`", hashes.join("` or `firedrill capture ")))].into()
        );
    }
    let is_unique = several.len() < 2;
    let decisions: Vec<&Recorded> = of_name.into_iter().filter(|own| wanted.is_none() || key(own) == wanted).collect();
    let own = incident.unwrap_or_default().replace('#', "-");
    let digits = wanted.filter(|_| !is_unique).and_then(|key| key.get("blake3:".len()..)?.get(..6)).map(|digits| format!("-{digits}"));
    Ok(Found { chain, called: own + &digits.unwrap_or_default(), decisions })
}

/// What the ledger has of a policy's decisions between two instants.
fn decided(capture: &Capture<'_>, policy: &Name, (from_ms, to_ms): (i64, i64)) -> Vec<serde_json::Value> {
    let Some(chain) = capture.chains.get(policy) else { return Vec::new() };
    let own = chain.entries.iter().filter(|own| (from_ms..=to_ms).contains(&own.entry.at.as_millisecond()));
    let event = |own: &Recorded| match &own.entry.what {
        What::Decision { event, is_backtest: false, .. } => Some(event.clone()),
        _ => None,
    };
    own.filter_map(event).collect()
}

/// What the watcher was told of alerts.
fn told(watched: &Watched) -> Vec<(Start, Labels, AlertStatus)> {
    let start = watched.start();
    let mut told = Vec::new();
    for observed in &watched.observed {
        let Observation::Told { alerts } = &observed.what else { continue };
        for alerted in alerts {
            let mut builder = Labels::builder();
            for (name, value) in &alerted.notification.labels {
                builder = builder.set(name.as_str(), value.as_str());
            }
            let at = Start::from_unix_millis(start.prometheus_millis(observed.at));
            told.push((at, builder.build(), alerted.notification.status));
        }
    }
    told
}

/// The line of a target that nothing declares. Its name is what an alert had in a label, which may be anything.
fn undeclared(target: &Target) -> String {
    let target = quoted(&target.to_string());
    format!("target: unknown # {target}? The policy would have acted on that; a target is one of what `services:` declare")
}

impl Captured {
    /// The files of the incident's folder. `beside` is what a Prometheus has; without it the recording holds what the watcher was told of alerts,
    /// as `ALERTS` would tell it.
    #[must_use]
    pub fn files(&self, capture: &Capture<'_>, beside: Option<&Beside>) -> Vec<(String, String)> {
        let (store, source) = match beside {
            Some(Beside { pulled, origin, .. }) => (pulled.store.clone(), format!("{origin} from {} to {}, {ENGINE}", self.from, self.to)),
            None => (self.heard(), format!("what a watcher was told from {} to {}, {ENGINE}", self.from, self.to)),
        };
        let recording = Recording { start: self.from, end_ms: self.to.unix_millis(), source: source.clone(), store };
        let watched = serde_json::to_string(&self.watched).expect("what was watched is plain data") + "\n";
        let mut files = vec![(RECORDING.to_owned(), recording.to_text()), (WATCHED.to_owned(), watched)];
        if let Some(Beside { pulled, .. }) = beside {
            let alerts = Recording { start: self.from, end_ms: self.to.unix_millis(), source, store: pulled.alerts.clone() };
            files.push((ALERTS.to_owned(), alerts.to_text()));
        }
        let own = |(policy, _): &&(Arc<Policy>, Source)| self.watched.policies.contains_key(&policy.name);
        let policies: Vec<(String, String)> = capture
            .policies
            .iter()
            .filter(own)
            .map(|(policy, source)| (format!("policies/{}.yaml", policy.name), source.text.clone()))
            .collect();
        files.insert(0, (FILE_NAME.to_owned(), self.page(capture, beside, &policies)));
        files.extend(capture.rules.iter().cloned());
        files.extend(policies);
        files
    }

    /// The alerts that the watcher was told of, as series; each is on from when it was told to when it was told to be over, or to the end.
    fn heard(&self) -> Store {
        let mut samples: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for (at, labels, status) in &self.alerts {
            let labels = labels.to_builder().set(METRIC_NAME, "ALERTS").set("alertstate", "firing").build();
            let value = if *status == AlertStatus::Firing { 1.0 } else { STALE };
            samples.entry(labels).or_default().insert(at.unix_millis(), value);
        }
        let mut store = Store::new();
        for (labels, samples) in samples {
            let id = store.series(&labels);
            for (at_ms, value) in samples {
                store.append(id, at_ms, value).expect("a map is in order");
            }
        }
        store
    }

    fn page(&self, capture: &Capture<'_>, beside: Option<&Beside>, policies: &Texts) -> String {
        let has_samples = beside.is_some();
        let mut text = format!("# Captured from a watcher: `{}`.\n# What is marked as a guess is for you to put right.\n", capture.command);
        let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
        let alert = self.alerts.iter().find_map(|(_, labels, _)| labels.get("alertname")).unwrap_or("an alert");
        line("schema: incident/1".to_owned());
        line(format!("incident: {}", quoted(&self.name)));
        line(format!(
            "what: {} # guess: say what users noticed",
            quoted(&format!("{} was taken up because of {alert}.", capture.incident))
        ));
        line(format!("onset: {} # guess: when a policy took it up", self.opened));
        line(self.end());
        line(match &self.cause {
            Some((cause, by)) => format!("cause: {} # as {} said", quoted(cause), in_one_line(by)),
            None => "cause: unknown # what turned out to be wrong".to_owned(),
        });
        let is_declared = |target: &Target| target.service().is_some_and(|own| self.watched.inventory.services.contains_key(own.as_str()));
        line(match &self.target {
            Some(target) if is_declared(target) => {
                format!("target: {} # guess: what the policy would have acted on", quoted(&target.to_string()))
            }
            Some(target) => undeclared(target),
            None => "target: unknown # where was it? such as service/NAME or replica/NAME".to_owned(),
        });
        if !self.watched.inventory.services.is_empty() {
            line("services: # as the watcher was told".to_owned());
        }
        for (name, entry) in &self.watched.inventory.services {
            let tier = if entry.critical { "critical" } else { "normal" };
            let list = |names: &[Name]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            let (zones, calls) = (list(&entry.zones), list(&entry.calls));
            line(format!("  {}: {{ replicas: {}, zones: [{zones}], tier: {tier}, calls: [{calls}] }}", quoted(name), entry.replicas));
        }
        let of_samples = if has_samples { "" } else { " # no samples: only the alerts that the watcher was told of" };
        line(format!("recording: {{ firedrill: {RECORDING} }}{of_samples}"));
        line(format!("watched: {WATCHED} # what the watcher was told, by which the same policies decide the same again"));
        if has_samples {
            line(format!("alerts: {ALERTS}"));
        }
        let list = |files: &Texts| files.iter().map(|(path, _)| quoted(path)).collect::<Vec<_>>().join(", ");
        line(format!("rules: [{}]", list(capture.rules)));
        line(format!("policies: [{}]", list(policies)));
        beside.map_or_else(Vec::new, |beside| people(&beside.changes)).into_iter().for_each(line);
        text
    }

    /// When it was over, as the page says. A recording that ends sooner could not be replayed by it.
    fn end(&self) -> String {
        let ended = self.ended.filter(|ended| *ended >= self.opened);
        let later = ended.filter(|ended| *ended > self.to);
        let later = later.map_or_else(String::new, |ended| format!("; its alert was over at {ended}, which is not captured"));
        match (ended.filter(|ended| *ended <= self.to), self.closed) {
            (Some(ended), _) => format!("end: {ended} # guess: when its alert was over, as the watcher was told"),
            (None, Some(closed)) => format!("end: {closed} # guess: when the policy closed it{later}"),
            (None, None) => format!("# end: when was it over? The policy had not closed it{later}."),
        }
    }

    /// In one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (found, total) = self.reproduced;
        let observations = counted(self.watched.observed.len() as u64, "observation");
        format!("{observations} from {} to {}; the replay has {found} of {total} decisions that stand in the ledger", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_of_an_alert_holds_writes_no_line_of_its_own() {
        let told = undeclared(&Target::Service(Name::new("a\ncause: nothing")));
        assert!(told.starts_with("target: unknown # \"") && told.contains("a\\ncause: nothing\"?") && !told.contains('\n'), "{told}");
    }
}
