//! Policies that look on at a live system: what they are told goes in, what they decide comes out, and nothing can act.
//!
//! It is sans-IO: who drives it owns the clock, the network and the ledger. All that it is told is an [`Observation`], a value; the same
//! observations in the same order yield the same decisions with the same numbers, whenever they are taken in. So an observation that is written down
//! before anything rests on it survives a crash, and what was decided of it is found again.
//!
//! Alerts come from Alertmanager's webhooks: repeated, out of order, and more than once. What is news is told by [`Watcher::news`]; an alert is one
//! by its labels and receiver, and an episode of it by when it began.
//!
//! Its instants may go back: when the clock is set back, guards see that and refuse, and timers keep what they have left.

mod answering;
mod known;
mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Event, Input, LabelSet, Notification, Record};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use serde::{Deserialize, Serialize};

use crate::controller::{Observer, Question, Wanted, Wish};
use crate::correlation::{Correlator, INCIDENT};
use crate::guard::Guards;
use crate::guard::stage::Stage;
use crate::pilot::correlations;
use crate::policy::{ConditionAt, Each, NameSource, Policy};

pub use answering::{Ask, Want};
pub use known::{Alerted, LATE, MOST_ALERTS, News};
pub use saved::{SAVED_VERSION, Saved};

use known::Known;

/// At most so many inputs for policies are worked off with one observation; the rest follows with the next.
pub const MOST_INPUTS: u32 = 10_000;

/// What a watcher is made of.
#[derive(Clone, Debug)]
pub struct WatcherSetup {
    /// The calendar instant from which its instants count; all that it is ever told lies after it.
    pub start: Start,
    /// The policies, each with its stage, of which nothing beyond shadow counts. Invariant: no two have one name.
    pub policies: Vec<(Arc<Policy>, Stage)>,
    /// The declared population.
    pub inventory: Arc<Inventory>,
}

/// One thing that a watcher is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A session begins: who watches from now on.
    Began {
        /// The policies by name.
        policies: BTreeMap<Name, Session>,
        /// The version of the engine.
        engine: String,
        /// The calendar instant from which instants count, milliseconds since 1970.
        start_ms: i64,
    },
    /// News of alerts.
    Told {
        /// In the order of the message.
        alerts: Vec<Alerted>,
    },
    /// The answer to something that a policy asked.
    Answered {
        /// Which policy.
        policy: Name,
        /// The answer.
        input: Input,
    },
    /// Time has passed: what is due is done.
    Passed,
    /// The clock was set: instants count on from here.
    ClockSet {
        /// What it would have been.
        expected: Time,
    },
}

/// A policy in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// BLAKE3 of the lowered policy, hexadecimal.
    pub hash: String,
    /// Its stage.
    pub stage: Stage,
    /// If it begins anew, the number of its next decision.
    pub next_decision: u64,
    /// If it begins anew, the number of its next incident.
    pub next_incident: u64,
    /// If it begins anew, the incidents that it had open as what it was before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<u64>,
}

/// What the ledger has of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How many decisions: one more than the last one's number.
    pub decisions: u64,
    /// How many incidents, likewise.
    pub incidents: u64,
    /// Those that were opened and not closed.
    pub open: Vec<u64>,
}

/// An observation with its instant, as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// When.
    pub at: Time,
    /// What.
    pub what: Observation,
}

/// Something that a policy decided, or that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Which policy.
    pub policy: Name,
    /// Its stage.
    pub stage: Stage,
    /// BLAKE3 of the lowered policy, hexadecimal.
    pub hash: Arc<str>,
    /// What, and when; its number counts from 0 within the policy and never comes twice.
    pub record: Record,
}

/// Policies that look on.
#[derive(Clone, Debug)]
pub struct Watcher {
    start: Start,
    inventory: Arc<Inventory>,
    watched: Vec<Watched>,
    guards: Guards,
    correlator: Correlator,
    /// The policies that answer the incidents of each correlation.
    answering: Vec<Vec<usize>>,
    known: Known,
    /// What a policy was last told of an alert, whoever the receiver was.
    heard: BTreeMap<LabelSet, BTreeMap<usize, (AlertStatus, Time)>>,
    agenda: BTreeMap<(Time, u64), (usize, Errand)>,
    /// Where each timer of each policy stands in the agenda.
    timers: BTreeMap<(usize, u64), (Time, u64)>,
    next_errand: u64,
    asking: BTreeMap<(usize, u64), Asking>,
    /// What was asked since somebody looked.
    fresh: Vec<(usize, u64)>,
    now: Time,
    decided: Vec<Decision>,
}

/// A policy, and how far it has come.
#[derive(Clone, Debug)]
struct Watched {
    observer: Observer,
    hash: Arc<str>,
    stage: Stage,
    /// Whether it takes part in the session that is told of.
    runs: bool,
    next_decision: u64,
}

/// Something that a policy is told at its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Errand {
    Tell(Notification),
    Wake(u64),
    Evaluate(u64, Question),
}

/// Something that a policy waits for an answer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asking {
    Question(Question),
    Evidence(Wanted),
}

impl Watcher {
    /// A watcher that was told nothing yet.
    ///
    /// # Panics
    /// If two policies have one name; `lints::twins` finds that beforehand.
    #[must_use]
    pub fn new(setup: WatcherSetup) -> Self {
        let WatcherSetup { start, mut policies, inventory } = setup;
        policies.sort_by(|one, other| one.0.name.cmp(&other.0.name));
        assert!(policies.windows(2).all(|pair| pair[0].0.name != pair[1].0.name), "no two policies have one name");
        let alone: Vec<Arc<Policy>> = policies.iter().map(|(policy, _)| Arc::clone(policy)).collect();
        let (correlations, answering) = correlations(&alone);
        let watched = policies.into_iter().map(|(policy, stage)| {
            let hash = policy.hash().into();
            let observer = Observer::new(policy, Arc::clone(&inventory), stage, start);
            Watched { stage: observer.stage(), observer, hash, runs: false, next_decision: 0 }
        });
        Self {
            start,
            watched: watched.collect(),
            guards: Guards::new(),
            correlator: Correlator::new(correlations, Arc::clone(&inventory)),
            inventory,
            answering,
            known: Known::default(),
            heard: BTreeMap::new(),
            agenda: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_errand: 0,
            asking: BTreeMap::new(),
            fresh: Vec::new(),
            now: Time::ZERO,
            decided: Vec::new(),
        }
    }

    /// How a session of these policies begins. `past` gives what the ledger has of a policy by name.
    #[must_use]
    pub fn beginning(&self, engine: &str, past: impl Fn(&Name) -> Past) -> Observation {
        let session = |own: &Watched| {
            let name = own.observer.policy().name.clone();
            let Past { decisions, incidents, open } = past(&name);
            let abandoned = if own.runs { Vec::new() } else { open };
            let next_decision = decisions.max(own.next_decision);
            (name, Session { hash: own.hash.to_string(), stage: own.stage, next_decision, next_incident: incidents, abandoned })
        };
        Observation::Began {
            policies: self.watched.iter().map(session).collect(),
            engine: engine.to_owned(),
            start_ms: self.start.unix_millis(),
        }
    }

    /// What of a message is news at `at`, and worth an observation.
    #[must_use]
    pub fn news(&self, at: Time, alerts: Vec<Alerted>) -> News {
        self.known.news(at, alerts)
    }

    /// Whether news finds room where at most so many alerts are remembered. What tells of an alert that is remembered needs none.
    #[must_use]
    pub fn has_room(&self, news: &[Alerted], most: usize) -> bool {
        let unknown = news.iter().filter(|alerted| !self.known.holds(alerted)).count();
        unknown == 0 || self.known.len() + unknown <= most
    }

    /// Whether an alert can be forgotten by then that has been over for long: [`Observation::Passed`] forgets it, and its room is free.
    #[must_use]
    pub fn can_forget(&self, at: Time) -> bool {
        self.known.next_forgotten().is_some_and(|next| next <= at)
    }

    /// What of news ends an alert that is remembered: it needs no room, and makes some.
    #[must_use]
    pub fn ends(&self, mut news: Vec<Alerted>) -> Vec<Alerted> {
        news.retain(|alerted| alerted.notification.status == AlertStatus::Resolved && self.known.holds(alerted));
        news
    }

    /// Takes an observation in; gives what was decided, in order. An instant may be before the last only where the clock was set.
    pub fn take_in(&mut self, Observed { at, what }: &Observed) -> Vec<Decision> {
        match what {
            Observation::Began { policies, .. } => {
                // After a pause what came due in it is due now, unless the clock says that it was before its beginning.
                self.reset_clock(*at, self.now.max(*at));
                self.begin(policies);
            }
            Observation::ClockSet { expected } => self.reset_clock(*at, *expected),
            Observation::Told { alerts } => {
                self.now = *at;
                self.tell(alerts);
            }
            Observation::Answered { policy, input } => {
                self.now = *at;
                self.answered(policy, input);
            }
            Observation::Passed => self.now = *at,
        }
        self.work_off();
        for labels in self.known.forget(self.now) {
            self.heard.remove(&labels);
        }
        let decided = std::mem::take(&mut self.decided);
        self.drop_questions(&decided);
        decided
    }

    /// What an incident that is over has asked and nobody has answered is asked no more: nobody waits for it.
    fn drop_questions(&mut self, decided: &[Decision]) {
        let closed = decided.iter().filter(|own| matches!(own.record.event, Event::IncidentClosed { .. })).map(|own| &own.policy);
        let closed: BTreeSet<&Name> = closed.collect();
        for index in 0..self.watched.len() {
            if closed.contains(&self.watched[index].observer.policy().name) {
                self.drop_questions_of(index);
            }
        }
    }

    fn drop_questions_of(&mut self, index: usize) {
        let state = self.watched[index].observer.state();
        let own = self.asking.range((index, 0)..=(index, u64::MAX)).map(|(key, _)| *key);
        let idle: Vec<(usize, u64)> = own.filter(|(_, query)| state.asker(*query).is_none()).collect();
        for key in idle {
            self.asking.remove(&key);
        }
    }

    /// When something is due by itself: then [`Observation::Passed`] is to be taken in.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// What was asked since the last time somebody asked for it; each is to be answered, once.
    pub fn take_wants(&mut self) -> Vec<Want> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.into_iter().filter_map(|key| self.want(key)).collect()
    }

    /// All that is not answered yet, as after a restart.
    #[must_use]
    pub fn wants(&self) -> Vec<Want> {
        self.asking.keys().filter_map(|key| self.want(*key)).collect()
    }

    /// Its last instant.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The calendar instant from which its instants count.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// How many alerts it remembers, and how many questions wait for an answer.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.known.len(), self.asking.len())
    }

    /// Which incident of a policy waits for an answer, and the question if it is one; `None`: nobody waits for it.
    #[must_use]
    pub fn asker(&self, policy: &Name, query: u64) -> Option<(u64, Option<&Question>)> {
        let index = self.watched.iter().position(|own| own.runs && own.observer.policy().name == *policy)?;
        let asking = self.asking.get(&(index, query))?;
        let incident = self.watched[index].observer.state().asker(query)?;
        Some((incident, if let Asking::Question(question) = asking { Some(question) } else { None }))
    }

    /// Whether a question of a policy is open, whether or not an incident still waits for its answer.
    #[must_use]
    pub fn is_asked(&self, policy: &Name, query: u64) -> bool {
        let index = self.watched.iter().position(|own| own.runs && own.observer.policy().name == *policy);
        index.is_some_and(|index| self.asking.contains_key(&(index, query)))
    }

    /// Numbers the next decisions of a policy from `decision` on, if they have not come that far: the ledger has others of these numbers.
    pub fn skip_to(&mut self, policy: &Name, decision: u64) {
        for own in self.watched.iter_mut().filter(|own| own.observer.policy().name == *policy) {
            own.next_decision = own.next_decision.max(decision);
        }
    }

    /// The policies, with their stages and hashes.
    pub fn policies(&self) -> impl Iterator<Item = (&Arc<Policy>, Stage, &str)> {
        self.watched.iter().map(|own| (own.observer.policy(), own.stage, &*own.hash))
    }

    fn want(&self, (index, query): (usize, u64)) -> Option<Want> {
        let asking = self.asking.get(&(index, query))?;
        let policy = Arc::clone(self.watched[index].observer.policy());
        let inventory = Arc::clone(&self.inventory);
        Some(Want { query, start: self.start, ask: self.ask(asking), policy, inventory })
    }

    fn ask(&self, asking: &Asking) -> Ask {
        match asking {
            Asking::Question(question) => Ask::Question(question.clone()),
            Asking::Evidence(wanted) => Ask::Evidence { wanted: wanted.clone(), alerts: self.known.near(wanted, &self.inventory) },
        }
    }

    /// Instants count on from `at`, where `expected` would have been: what is planned keeps what it has left.
    fn reset_clock(&mut self, at: Time, expected: Time) {
        let back = expected.since(at).as_nanos();
        let moved = |planned: Time| Time::from_nanos(planned.saturating_add(at.since(expected)).as_nanos().saturating_sub(back));
        if at != expected {
            let agenda = std::mem::take(&mut self.agenda);
            self.agenda = agenda.into_iter().map(|((planned, number), errand)| ((moved(planned), number), errand)).collect();
            for key in self.timers.values_mut() {
                key.0 = moved(key.0);
            }
        }
        self.now = at;
    }

    /// A session begins. Policies that took part in the last one as they are go on; others begin anew, and are told of what fires.
    fn begin(&mut self, policies: &BTreeMap<Name, Session>) {
        for index in 0..self.watched.len() {
            let own = &self.watched[index];
            let policy = Arc::clone(own.observer.policy());
            let session = policies.get(&policy.name).filter(|session| *session.hash == *own.hash);
            match session {
                Some(_) if own.runs => {}
                Some(session) => {
                    let observer = Observer::new(Arc::clone(&policy), Arc::clone(&self.inventory), own.stage, self.start);
                    let observer = observer.counting_from(session.next_incident);
                    self.watched[index] =
                        Watched { observer, hash: own.hash.clone(), stage: own.stage, runs: true, next_decision: session.next_decision };
                    for incident in &session.abandoned {
                        while self.guards.ended(&policy.name, *incident, self.now) {}
                        self.guards.released(&policy.name, *incident);
                        let (policy, incident) = (policy.name.clone(), *incident);
                        let reason = "the policy is not what it was when this was taken up".to_owned();
                        self.decide(index, Event::IncidentClosed { policy, incident, reason });
                    }
                    self.retell(index, &policy);
                }
                None => {
                    own.observer.let_go(&mut self.guards, self.now);
                    self.watched[index].runs = false;
                    self.drop_plans(index);
                }
            }
        }
    }

    fn drop_plans(&mut self, index: usize) {
        self.agenda.retain(|_, (own, _)| *own != index);
        self.timers.retain(|(own, _), _| *own != index);
        self.asking.retain(|(own, _), _| *own != index);
        self.heard.retain(|_, heard| {
            heard.remove(&index);
            !heard.is_empty()
        });
    }

    /// A policy that begins anew is told of all that fires.
    fn retell(&mut self, index: usize, policy: &Policy) {
        let firing: Vec<Notification> = self.known.firing().cloned().collect();
        for notification in firing {
            if self.weighs_failures() {
                self.guards.failures.hear(&notification, &self.inventory, self.now);
            }
            self.correlator.take_in(self.now, &notification);
            if policy.listens_to(&notification) {
                self.hear(index, &notification);
                self.plan(self.now, index, Errand::Tell(notification));
            }
        }
    }

    fn tell(&mut self, alerts: &[Alerted]) {
        for alerted in alerts {
            let Some(notification) = self.known.learn(self.now, alerted) else { continue };
            // Policies hear of it once the whole message is known.
            if self.weighs_failures() {
                self.guards.failures.hear(&notification, &self.inventory, self.now);
            }
            self.correlator.take_in(self.now, &notification);
            for index in 0..self.watched.len() {
                let own = &self.watched[index];
                if !own.runs || !own.observer.policy().listens_to(&notification) {
                    continue;
                }
                // What several receivers are told of is told once.
                if self.hear(index, &notification) {
                    self.plan(self.now, index, Errand::Tell(notification.clone()));
                }
            }
        }
    }

    /// Whether a policy asks what else fails.
    fn weighs_failures(&self) -> bool {
        self.watched.iter().any(|own| own.observer.policy().guards.correlated_failure.is_some())
    }

    /// A policy hears of an alert; whether that is news to it.
    fn hear(&mut self, index: usize, notification: &Notification) -> bool {
        let news = (notification.status, notification.starts_at);
        if !self.heard.contains_key(&notification.labels) {
            self.heard.insert(notification.labels.clone(), BTreeMap::new());
        }
        let heard = self.heard.get_mut(&notification.labels).expect("it was put there");
        heard.insert(index, news) != Some(news)
    }

    /// An answer that nobody waits for any more, such as one that comes twice, changes nothing.
    fn answered(&mut self, policy: &Name, input: &Input) {
        let Some(query) = query_of(input) else { return };
        let Some(index) = self.watched.iter().position(|own| own.runs && own.observer.policy().name == *policy) else { return };
        if self.asking.remove(&(index, query)).is_some() {
            self.step(index, input.clone());
        }
    }

    /// Everything that is due: first what alerts come to together, then policies, in the order of planning.
    fn work_off(&mut self) {
        let now = self.now;
        for _ in 0..MOST_INPUTS {
            if self.correlator.due().is_some() {
                self.correlate();
            }
            let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) else { return };
            let (index, errand) = entry.remove();
            match errand {
                Errand::Tell(notification) => self.step(index, Input::Notified(notification)),
                Errand::Wake(timer) => {
                    self.timers.remove(&(index, timer));
                    self.step(index, Input::Timer { timer });
                }
                Errand::Evaluate(query, question) => {
                    if let Some(input) = self.asked(index, query, question) {
                        self.step(index, input);
                    }
                }
            }
        }
    }

    fn correlate(&mut self) {
        for settled in self.correlator.settle() {
            let Event::Correlated { .. } = &settled.event else { continue };
            let Some((correlation, notification)) = settled.told else { continue };
            for index in self.answering[correlation].clone() {
                if self.watched[index].runs {
                    self.decide(index, settled.event.clone());
                    self.plan(self.now, index, Errand::Tell(notification.clone()));
                }
            }
        }
    }

    fn plan(&mut self, at: Time, index: usize, errand: Errand) -> (Time, u64) {
        let key = (at, self.next_errand);
        self.next_errand += 1;
        self.agenda.insert(key, (index, errand));
        key
    }

    /// Feeds a policy one input, and what it asks of the watcher itself.
    fn step(&mut self, index: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for wish in self.watched[index].observer.step(self.now, input, &mut self.guards) {
                match wish {
                    Wish::Evaluate { query, question, at } if at <= self.now => inputs.extend(self.asked(index, query, question)),
                    Wish::Evaluate { query, question, at } => {
                        self.plan(at, index, Errand::Evaluate(query, question));
                    }
                    Wish::Gather { query, wanted } => {
                        self.asking.insert((index, query), Asking::Evidence(wanted));
                        self.fresh.push((index, query));
                    }
                    // What came in stands among the observations.
                    Wish::Record(Event::Received { .. }) => {}
                    Wish::Record(event) => self.decide(index, event),
                    Wish::SetTimer { timer, at } => {
                        let key = self.plan(at.max(self.now), index, Errand::Wake(timer));
                        self.timers.insert((index, timer), key);
                    }
                    Wish::CancelTimer { timer } => {
                        if let Some(key) = self.timers.remove(&(index, timer)) {
                            self.agenda.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// A question: answered at once if the alerts alone tell, else put to whoever has the series.
    fn asked(&mut self, index: usize, query: u64, question: Question) -> Option<Input> {
        let policy = self.watched[index].observer.policy();
        if let ConditionAt::Each(step) = question.condition
            && let Some(staged) = policy.staged(step)
            && matches!(staged.from, Each::Alerts)
            && let NameSource::Label(label) = &staged.each.name
        {
            let members = question.parameters.get(INCIDENT).map(|number| self.correlator.members(number));
            let names = members.into_iter().flatten().filter_map(|labels| labels.get(label)).filter(|name| !name.is_empty());
            let names: BTreeSet<Name> = names.cloned().collect();
            return Some(Input::Listed { query, names: names.into_iter().collect(), error: String::new() });
        }
        self.asking.insert((index, query), Asking::Question(question));
        self.fresh.push((index, query));
        None
    }

    fn decide(&mut self, index: usize, event: Event) {
        let own = &mut self.watched[index];
        let record = Record { number: own.next_decision, at: self.now, event };
        own.next_decision += 1;
        let (policy, stage, hash) = (own.observer.policy().name.clone(), own.stage, own.hash.clone());
        self.decided.push(Decision { policy, stage, hash, record });
    }
}

/// Which question an input answers; `None`: it answers none.
#[must_use]
pub const fn query_of(input: &Input) -> Option<u64> {
    match input {
        Input::Evaluated { query, .. }
        | Input::Counted { query, .. }
        | Input::Measured { query, .. }
        | Input::Listed { query, .. }
        | Input::Gathered { query, .. } => Some(*query),
        Input::Notified(_) | Input::Finished(_) | Input::Timer { .. } | Input::Answered { .. } => None,
    }
}

/// Which of its policy's incidents an event is about; `None`: none.
#[must_use]
pub const fn incident_of(event: &Event) -> Option<u64> {
    match event {
        Event::IncidentOpened { incident, .. }
        | Event::Guarded { incident, .. }
        | Event::Decided { incident, .. }
        | Event::WouldAct { incident, .. }
        | Event::Refused { incident, .. }
        | Event::Verified { incident, .. }
        | Event::Paged { incident, .. }
        | Event::Informed { incident, .. }
        | Event::Collected { incident, .. }
        | Event::Chosen { incident, .. }
        | Event::Planned { incident, .. }
        | Event::Proposed { incident, .. }
        | Event::Confident { incident, .. }
        | Event::ProposalChanged { incident, .. }
        | Event::IncidentClosed { incident, .. } => Some(*incident),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
