//! What a chain shows of a policy at its stage: events with what people said of them, comparisons, answers, verifications, time.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::Action;
use firedrill_core::journal::{Event as Journaled, LabelSet, ProposalChange, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::correlation::INCIDENT;
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;
use serde::Serialize;

use super::again::Again;
use super::heard::{Heard, united};
use super::profile::{Counted, REPRODUCED, UNLABELLED, folded};
use super::standing::{Standing, between};
use crate::ledger::{Chain, Hashes, Labelled, Recorded, What};

/// What a chain shows of a policy since it came to its stage.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evidence {
    /// Events that count, in order.
    pub events: Vec<Event>,
    /// Events that do not, with the reason.
    pub dropped: Vec<Dropped>,
    /// Incidents in which the policy is compared with people.
    pub compared: Vec<Comparison>,
    /// Proposals that people allowed.
    pub granted: u64,
    /// Proposals that they denied, or answered too late or not at all.
    pub denied: u64,
    /// Verifications that held.
    pub held: u64,
    /// Verifications that failed, or could not be told.
    pub failed: u64,
    /// How long it was watched at this stage.
    pub live: Span,
    /// How much more that would be if Prometheus had always answered.
    pub unanswered: Span,
    /// How much recorded history it was replayed on, by a ruler that reproduces it.
    pub backtest: Span,
    /// Backtests that do not count, with the reason.
    pub backtests_dropped: Vec<String>,
    /// What must never happen and did, a sentence each.
    pub violations: Vec<String>,
    /// Labels that somebody else has made milder since, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub milder: Vec<String>,
}

/// A decision that is evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What people call it: `restart#17`.
    pub id: String,
    /// The hash of its entry.
    pub hash: String,
    /// When.
    pub at: String,
    /// The incident.
    pub incident: String,
    /// What tells it from others of the same name: the hash of the entry that opened it, or its name.
    #[serde(skip)]
    pub taken_up: String,
    /// The place of the message by which its alert was told, among all that was observed; `None`: nobody knows.
    #[serde(skip)]
    pub message: Option<usize>,
    /// What was done or would have been, to what.
    pub what: String,
    /// What people say it was; `None`: nobody has said yet.
    pub label: Option<Labelled>,
    /// Whether nobody has said for so long that it counts as wrong.
    pub is_overdue: bool,
    /// The fault and its target, if somebody made it on purpose.
    pub drill: Option<(Name, String)>,
    /// Whether it was decided on recorded history.
    pub is_backtest: bool,
    /// Whether another version decided it, and this one decides the same.
    pub is_decided_again: bool,
}

impl Event {
    /// Whether it speaks against the policy, where so much is counted.
    #[must_use]
    pub fn is_bad(&self, counted: Counted) -> bool {
        let bad = |label| match counted {
            Counted::Actions => label == Labelled::Harmful,
            Counted::WouldActs | Counted::Compared | Counted::Runs => matches!(label, Labelled::Wrong | Labelled::Harmful),
        };
        self.is_overdue || self.label.is_some_and(bad)
    }
}

/// A decision that is no evidence any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// What people call it.
    pub id: String,
    /// Why.
    pub why: String,
}

/// What the policy would have done beside what people did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The incident.
    pub incident: String,
    /// Whether both acted, or neither.
    pub agrees: bool,
    /// Whether what the policy would have done is known to be wrong.
    pub is_wrong: bool,
    /// Live detection time as a multiple of the simulated one.
    pub detection_ratio: Option<f64>,
    /// As of an [`Event`].
    #[serde(skip)]
    pub message: Option<usize>,
}

/// What is asked of a chain.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// What the watcher was told; `None`: nobody has watched.
    pub heard: Option<&'a Heard>,
    /// What the policy is now.
    pub hashes: &'a Hashes,
    /// What became of decisions by another version.
    pub again: &'a Again,
    /// When it is asked.
    pub now: Timestamp,
}

impl Evidence {
    /// What the chain shows.
    #[must_use]
    pub fn of(question: Question<'_>) -> Self {
        let standing = Standing::of(question.chain);
        let labels = Said::of(question.chain);
        let taken = Taken::of(question.chain, &standing, question.heard);
        let mut found = Self::default();
        let mut history = History::default();
        for own in question.chain.since(standing.entry.as_deref()) {
            match &own.entry.what {
                What::Decision { is_backtest, .. } => {
                    let unfit = if *is_backtest { history.unfit(own) } else { None };
                    found.decided(question, &standing, (own, &labels, &taken), unfit);
                }
                What::Compared { .. } => found.compared(question, own, &taken),
                What::Violation { what } => found.violations.push(format!("{what} (entry {})", own.number)),
                What::Backtest { from, until, recorded, reproduced, hashes } => {
                    let told = format!("{from} to {until}");
                    let stretch = from.parse().ok().zip(until.parse().ok());
                    let stretch =
                        stretch.map(|(from, until): (Timestamp, Timestamp)| (from, standing.since.map_or(until, |since| until.min(since))));
                    let why = found.backtested((told, stretch), (*recorded, *reproduced), changed(hashes, question.hashes));
                    history.begin(own, stretch.filter(|_| why.is_none()), why);
                }
                _ => {}
            }
        }
        found.backtest = united(history.stretches, between);
        // What may act is watched at the last stage at which nothing does.
        let stage = standing.stage.min(Stage::Shadow);
        if let Some(heard) = question.heard {
            found.live = heard.watched(&question.chain.name, stage, standing.since);
            found.unanswered = heard.unanswered(&question.chain.name, stage, standing.since);
        }
        let added = question.again.added.iter().filter(|(at, _)| standing.since.is_none_or(|since| *at >= since));
        found.dropped.extend(added.map(|(_, own)| own.clone()));
        found.once_a_drill();
        found.milder = milder(question.chain, &found.events);
        found
    }

    fn compared(&mut self, question: Question<'_>, own: &Recorded, taken: &Taken) {
        let What::Compared { incident, agrees, wrong, hashes, detection_ratio, .. } = &own.entry.what else { return };
        let changed = changed(hashes, question.hashes).filter(|_| !question.again.same.contains(incident));
        let why =
            if taken.here.contains(incident) { changed } else { Some("it was taken up before the policy came to this stage".to_owned()) };
        // What was compared again counts once.
        self.compared.retain(|other| other.incident != *incident);
        match why {
            Some(why) => self.dropped.push(Dropped { id: format!("the comparison of {incident}"), why }),
            None => self.compared.push(Comparison {
                incident: incident.clone(),
                agrees: *agrees,
                is_wrong: *wrong,
                detection_ratio: *detection_ratio,
                message: taken.messages.get(incident).copied(),
            }),
        }
    }

    /// `unfit` is why the recorded history does not count on which something was decided.
    fn decided(
        &mut self,
        question: Question<'_>,
        standing: &Standing,
        (own, said, taken): (&Recorded, &Said, &Taken),
        unfit: Option<String>,
    ) {
        let What::Decision { incident, stage, hashes, event, is_backtest } = &own.entry.what else { return };
        let Ok(event) = serde_json::from_value::<Journaled>(event.clone()) else { return };
        let is_of_stage = *stage == standing.stage && (!*is_backtest || standing.stage == Stage::DryRun);
        if !is_of_stage {
            return;
        }
        match event {
            Journaled::Decided { what, target, .. } if !stage.may_act() => {
                self.violations.push(format!("it acted at the stage {}: {what} {target} (entry {})", stage.word(), own.number));
            }
            Journaled::WouldAct { what, target, .. } | Journaled::Decided { what, target, .. } if !matches!(what, Action::Wait { .. }) => {
                let id = question.chain.called(own);
                let is_same = hashes == question.hashes;
                let label = said.labels.get(&own.hash).copied();
                let taken_up = taken.by.get(&own.hash).cloned().unwrap_or_else(|| incident.clone());
                // What speaks against the policy counts, whoever else has seen it.
                let is_bad = matches!(label, Some(Labelled::Wrong | Labelled::Harmful));
                let again = taken.again.get(&taken_up).filter(|_| !is_bad && !*is_backtest);
                let again = again.map(|by| format!("the same alert was taken up again as {by}"));
                let live = is_backtest.then(|| of_history(incident, standing)).flatten();
                let is_explained = question.heard.is_none() || *is_backtest || stage.may_act() || taken.explained.contains(&taken_up);
                let unexplained = (!is_explained && !is_bad).then(|| "nothing that the watcher was told explains it".to_owned());
                // Why the history does not count says more than what follows of it.
                if let Some(why) =
                    unfit.or(live).or(unexplained).or_else(|| question.again.dropped.get(&own.hash).filter(|_| !is_same).cloned()).or(again)
                {
                    self.dropped.push(Dropped { id, why });
                    return;
                }
                let is_overdue = label.is_none() && between(own.entry.at, question.now) > UNLABELLED;
                self.events.push(Event {
                    id,
                    hash: own.hash.clone(),
                    at: own.entry.at.to_string(),
                    incident: incident.clone(),
                    message: taken.messages.get(&taken_up).or_else(|| taken.messages.get(incident)).copied(),
                    taken_up,
                    what: format!("{what} {target}"),
                    label,
                    is_overdue,
                    drill: said.drills.get(&own.hash).cloned(),
                    is_backtest: *is_backtest,
                    is_decided_again: !is_same,
                });
            }
            // What people and telemetry answered to another version says nothing of this one.
            _ if hashes != question.hashes && !question.again.same.contains(incident) => {}
            Journaled::ProposalChanged { change, .. } => match change {
                ProposalChange::Granted => self.granted += 1,
                ProposalChange::Denied | ProposalChange::Expired => self.denied += 1,
                ProposalChange::Void | ProposalChange::Withdrawn => {}
            },
            Journaled::Verified { verdict, .. } => match verdict {
                Verification::Held => self.held += 1,
                Verification::Failed | Verification::Inconclusive => self.failed += 1,
            },
            _ => {}
        }
    }

    /// Recorded history counts as far as it was over when the policy came to its stage: what happened since is watched, and would count twice. Gives why it
    /// does not count.
    fn backtested(
        &mut self,
        (told, stretch): (String, Option<(Timestamp, Timestamp)>),
        (recorded, reproduced): (u64, u64),
        changed: Option<String>,
    ) -> Option<String> {
        let least = REPRODUCED * 100.0;
        let why = match stretch {
            None => "its times are none".to_owned(),
            Some(_) if changed.is_some() => changed.unwrap_or_default(),
            Some(_) if !counts(recorded, reproduced) => {
                format!("{reproduced} of {recorded} recorded firings are reproduced, and {least} % must be")
            }
            Some((start, end)) if end <= start => "the policy was at this stage by then, and that is watched live".to_owned(),
            Some(_) => return None,
        };
        self.backtests_dropped.push(format!("{told}: {why}"));
        Some(why)
    }

    /// A deliberate drill counts once for each fault and target, unless it speaks against the policy.
    fn once_a_drill(&mut self) {
        let mut known = BTreeSet::new();
        let (kept, repeated): (Vec<Event>, Vec<Event>) = std::mem::take(&mut self.events).into_iter().partition(|event| {
            let is_bad = event.is_bad(Counted::WouldActs);
            event.drill.as_ref().is_none_or(|(fault, target)| known.insert((folded(fault), folded(target))) || is_bad)
        });
        self.events = kept;
        let why = |event: &Event| {
            event.drill.as_ref().map_or_else(String::new, |(fault, target)| format!("a drill of {fault} in {target} counts once"))
        };
        self.dropped.extend(repeated.iter().map(|event| Dropped { id: event.id.clone(), why: why(event) }));
    }
}

/// Whether a backtest can count in which so many firings were recorded, and so many of them reproduced.
#[must_use]
pub fn counts(recorded: u64, reproduced: u64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "counts of firings are far below 2^52")]
    let share = if recorded == 0 { 0.0 } else { reproduced as f64 / recorded as f64 };
    share >= REPRODUCED
}

/// Recorded history that a policy was replayed on.
#[derive(Default)]
struct History {
    /// Why it does not count on which an entry was decided, by the hash of the entry: each follows the one before it.
    unfit: BTreeMap<String, Option<String>>,
    /// Those that count.
    stretches: Vec<(Timestamp, Timestamp)>,
}

impl History {
    fn begin(&mut self, own: &Recorded, stretch: Option<(Timestamp, Timestamp)>, why: Option<String>) {
        self.stretches.extend(stretch);
        self.unfit.insert(own.hash.clone(), why.map(|why| format!("its backtest does not count: {why}")));
    }

    /// Why what was decided does not count.
    fn unfit(&mut self, own: &Recorded) -> Option<String> {
        let of_none = || Some("it belongs to no backtest".to_owned());
        let why = self.unfit.get(&own.previous).cloned().unwrap_or_else(of_none);
        self.unfit.insert(own.hash.clone(), why.clone());
        why
    }
}

/// Why something that was decided on recorded history does not count: it happened when the policy was watched live. Such an incident is called
/// `ALERT at TIME`.
fn of_history(incident: &str, standing: &Standing) -> Option<String> {
    let at: Timestamp = incident.rsplit_once(" at ")?.1.parse().ok()?;
    (at >= standing.since?).then(|| "the policy was at this stage by then, and that is watched live".to_owned())
}

/// Who writes what was seen live.
pub const WATCHER: &str = "watch";

/// What differs between what something was decided by and what there is now; `None`: nothing.
#[must_use]
pub fn changed(then: &Hashes, now: &Hashes) -> Option<String> {
    let parts = [
        ("its policy", then.policy != now.policy),
        ("the rules that it rests on", then.rules != now.rules),
        ("its guards", then.guards != now.guards),
    ];
    let changed: Vec<&str> = parts.into_iter().filter(|(_, is_changed)| *is_changed).map(|(what, _)| what).collect();
    match changed.as_slice() {
        [] => None,
        [one] if one.ends_with('y') => Some(format!("{one} has changed since")),
        [one] => Some(format!("{one} have changed since")),
        several => Some(format!("{} have changed since", several.join(" and "))),
    }
}

/// Which incidents a policy has taken up.
struct Taken {
    /// Since it came to its stage, by name.
    here: BTreeSet<String>,
    /// By the hash of a decision what tells its incident from others.
    by: BTreeMap<String, String>,
    /// Those whose alert it has taken up once more while it was on, such as after it was changed, or by another watcher: by what they are called since. One
    /// trouble is one event.
    again: BTreeMap<String, String>,
    /// Those of which the watcher was told something, or that it made of several alerts, by what tells them from others.
    explained: BTreeSet<String>,
    /// By an incident's name, and by what tells it from others, the place of the message by which its alert was told.
    messages: BTreeMap<String, usize>,
}

impl Taken {
    fn of(chain: &Chain, standing: &Standing, heard: Option<&Heard>) -> Self {
        let by = chain.incidents();
        let mut own = Self {
            here: BTreeSet::new(),
            by: BTreeMap::new(),
            again: BTreeMap::new(),
            messages: BTreeMap::new(),
            explained: BTreeSet::new(),
        };
        let since: BTreeSet<&str> = chain.since(standing.entry.as_deref()).map(|own| own.hash.as_str()).collect();
        // By what an alert is and when it began, the last incident in which something was done about it.
        let mut last: BTreeMap<(Name, LabelSet, Time), &str> = BTreeMap::new();
        let mut about: BTreeMap<&str, (Name, LabelSet, Time)> = BTreeMap::new();
        for recorded in &chain.entries {
            let What::Decision { incident, event, is_backtest: false, .. } = &recorded.entry.what else { continue };
            let key = by.get(recorded.hash.as_str()).copied().unwrap_or(incident);
            match serde_json::from_value(event.clone()) {
                Ok(Journaled::IncidentOpened { alert, labels, .. }) => {
                    if since.contains(recorded.hash.as_str()) {
                        own.here.insert(incident.clone());
                    }
                    let is_explained = |heard: &Heard| labels.keys().any(|name| name.as_str() == INCIDENT) || heard.is_told(&labels);
                    if heard.is_some_and(is_explained) {
                        own.explained.insert(key.to_owned());
                    }
                    let began = heard.and_then(|heard| heard.began(&labels, heard.instant(recorded.entry.at)));
                    if let Some((began, message)) = began {
                        own.messages.insert(incident.clone(), message);
                        own.messages.insert(key.to_owned(), message);
                        about.insert(key, (alert, labels, began));
                    }
                }
                Ok(Journaled::WouldAct { .. } | Journaled::Decided { .. }) => {
                    let Some(episode) = about.get(key) else { continue };
                    let before = last.insert(episode.clone(), key).filter(|before| *before != key);
                    own.again.extend(before.map(|before| (before.to_owned(), incident.clone())));
                }
                _ => {}
            }
        }
        own.by = by.into_iter().map(|(hash, key)| (hash.to_owned(), key.to_owned())).collect();
        own
    }
}

/// What people said of decisions, the last of what was said of each.
struct Said {
    labels: BTreeMap<String, Labelled>,
    drills: BTreeMap<String, (Name, String)>,
}

impl Said {
    fn of(chain: &Chain) -> Self {
        let drills = chain.said_last(|what| match what {
            What::Drill { event, fault, target } if !fault.trim().is_empty() => Some((event.as_str(), (fault, target))),
            _ => None,
        });
        let drills = drills.into_iter().filter_map(|(event, drills)| {
            let (fault, target) = drills.into_iter().min()?;
            Some((event.to_owned(), (fault.clone(), target.clone())))
        });
        let labels = chain.labels().into_iter().map(|(event, says)| (event.to_owned(), says));
        Self { labels: labels.collect(), drills: drills.collect() }
    }
}

/// Where people have said of an event that it was wrong or harmful, and somebody else says something milder now, a sentence each.
fn milder(chain: &Chain, events: &[Event]) -> Vec<String> {
    let mut worst: BTreeMap<&str, (Labelled, &str)> = BTreeMap::new();
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    let known: BTreeMap<&str, &Event> = events.iter().map(|event| (event.hash.as_str(), event)).collect();
    for own in &chain.entries {
        let What::Label { event, says, .. } = &own.entry.what else { continue };
        let Some(own_event) = known.get(event.as_str()) else { continue };
        let by = own.entry.by.as_str();
        match worst.get(event.as_str()) {
            Some((before, who)) if says.gravity() < before.gravity() && own_event.label == Some(*says) && folded(who) != folded(by) => {
                told.insert(event, format!("{}: {who} said {}, and {by} says {}", own_event.id, before.word(), says.word()));
            }
            _ if says.gravity() >= Labelled::Wrong.gravity() => {
                worst.insert(event, (*says, by));
                told.remove(event.as_str());
            }
            _ => {}
        }
    }
    told.into_values().collect()
}
