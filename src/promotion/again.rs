//! What another version of a policy was told is decided again by this one: decisions that are the same stay evidence.
//!
//! What alerts and telemetry said stands in the watcher's chain. A watcher of this version alone is told the same alerts at the same times, and whatever it
//! asks is answered by what was answered then to the same question. A question that nobody asked then has no answer: the condition is unknown, as it is
//! where there is no data.
//!
//! Alerts and answers rest on rules. What rests on rules that are the same now is taken as it was heard; of what rests on others nobody knows what it
//! would have been, and the samples by which one could know are not in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::journal::{Event, Input, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::correlation::INCIDENT;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_policies::watcher::{Ask, Observation, Observed, Past, Want, Watcher, WatcherSetup};

use jiff::Timestamp;

use super::bake::with_hash;
use super::evidence::{Dropped, changed};
use super::heard::Heard;
use crate::ledger::{Bound, Chain, Hashes, RestsOn, UnreadAct, WATCHING, What, expression, plain_question, question_text};

/// An answer counts for a question that is asked at most so long before or after it, and an incident is the same if it is taken up so near.
const NEAR: Span = Span::from_seconds(30);

/// What is still due after the last observation happens within this time: one day.
const LONGEST: Span = Span::from_seconds(86_400);

/// So many inputs are taken in at most for each observation: a policy that asks without end is dropped as one that decides otherwise.
const MOST_INPUTS: usize = 10_000;

/// Why a question has no answer, before what is asked.
const UNASKED: &str = "nobody asked then, by the rules of now,";

/// What this version makes of what other versions decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Again {
    /// Decisions of other versions that are no evidence of this one: why, by the hash of the entry.
    pub dropped: BTreeMap<String, String>,
    /// Incidents of other versions in which this one would have done the same, as [`Chain::incidents`] tells them apart.
    pub same: BTreeSet<String>,
    /// What this version would have done where the one that watched did nothing, and when.
    pub added: Vec<(Timestamp, Dropped)>,
}

/// An incident, as the chain of its policy has it.
struct Decided<'c> {
    /// What it is called.
    name: &'c str,
    at: Time,
    hashes: &'c Hashes,
    /// `None`: nobody knows what it was about.
    opened: Option<(Name, LabelSet)>,
    /// What was done or would have been: the entries' hashes, and in words.
    acts: Vec<(&'c str, String)>,
    is_backtest: bool,
}

/// Decides again what the chain holds of other versions. `heard` is what the watcher was told; `None`: nobody has watched.
#[must_use]
pub fn decide_again(chain: &Chain, heard: Option<&Heard>, policy: &Arc<Policy>, now: &Bound) -> Again {
    let place = |at| heard.map_or(Time::ZERO, |heard| heard.instant(at));
    let stale: Vec<(&str, Decided<'_>)> = decided(chain, place).into_iter().filter(|(_, own)| *own.hashes != now.hashes).collect();
    let mut again = Again::default();
    if stale.is_empty() {
        return again;
    }
    let Some(heard) = heard else {
        let why = "nothing was kept by which it could be decided again";
        stale.iter().for_each(|(_, own)| again.drop(own, now, why));
        return again;
    };
    let sessions = Sessions::of(chain, heard, now);
    let opened = Player::play(heard, policy, &sessions);
    let mut found = BTreeSet::new();
    for (incident, own) in &stale {
        let index = own.opened.as_ref().and_then(|about| same_incident(&opened, about, own.at));
        found.extend(index);
        let why = match &own.opened {
            _ if own.is_backtest => Some("replay the recorded history again".to_owned()),
            None => Some("nothing was kept by which it could be decided again".to_owned()),
            Some((alert, _)) if !sessions.has_same_alert(own.hashes, alert) => {
                Some(format!("what {alert} would have been by other rules cannot be told from what was heard"))
            }
            Some(_) => difference(own, index.map(|index| &opened[index])),
        };
        match why {
            None => _ = again.same.insert((*incident).to_owned()),
            Some(why) => {
                let idle = own.acts.is_empty().then_some(index).flatten().map(|index| &opened[index]);
                again.added.extend(idle.and_then(|other| added(heard, (own.hashes, now), other, own.name.to_owned())));
                again.drop(own, now, &why);
            }
        }
    }
    // What that version did not even take up.
    let is_new = |(index, own): &(usize, &Opened)| !found.contains(index) && sessions.is_of_another(own.at, policy);
    for (_, own) in opened.iter().enumerate().filter(is_new) {
        let then = sessions.at(own.at).map_or(&now.hashes, |session| &session.hashes);
        again.added.extend(added(heard, (then, now), own, format!("{} at {}", own.alert, heard.calendar(own.at))));
    }
    again
}

impl Again {
    fn drop(&mut self, own: &Decided<'_>, now: &Bound, why: &str) {
        let changed = changed(own.hashes, &now.hashes).unwrap_or_default();
        self.dropped.extend(own.acts.iter().map(|(hash, _)| ((*hash).to_owned(), format!("{changed}; {why}"))));
    }
}

/// How this version differs in an incident; `None`: it does the same.
fn difference(own: &Decided<'_>, other: Option<&Opened>) -> Option<String> {
    let Some(other) = other else { return Some("this version does not take it up".to_owned()) };
    let then: Vec<&str> = own.acts.iter().map(|(_, act)| act.as_str()).collect();
    let differs =
        (0..then.len().max(other.acts.len())).find(|index| then.get(*index) != other.acts.get(*index).map(String::as_str).as_ref());
    let index = differs?;
    Some(match (other.acts.get(index), then.get(index)) {
        (None, _) if index == 0 => match &other.refused {
            Some((guard, figures)) if figures.contains(UNASKED) => {
                format!("what this version would do nobody can tell ({guard}: {figures})")
            }
            Some((guard, figures)) => format!("this version would do nothing ({guard}: {figures})"),
            None => "this version would do nothing".to_owned(),
        },
        (None, Some(then)) => format!("this version would not {then} any more"),
        (Some(now), Some(then)) => format!("this version would {now}, and that one {then}"),
        (Some(now), None) => format!("this version would {now} besides"),
        (None, None) => return None,
    })
}

/// What this version would do where that one did nothing.
fn added(heard: &Heard, (then, now): (&Hashes, &Bound), own: &Opened, id: String) -> Option<(Timestamp, Dropped)> {
    let act = own.acts.first()?;
    let changed = changed(then, &now.hashes).unwrap_or_default();
    let why = format!("{changed}; that version did nothing, and this one would {act}, which nobody has judged");
    Some((heard.calendar(own.at), Dropped { id, why }))
}

/// The incidents of a chain, in order, each with what tells it from others; what belongs to none is left out.
fn decided(chain: &Chain, place: impl Fn(Timestamp) -> Time) -> Vec<(&str, Decided<'_>)> {
    let mut all: Vec<(&str, Decided<'_>)> = Vec::new();
    let mut known: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    let incidents = chain.incidents();
    for own in &chain.entries {
        let What::Decision { incident: name, hashes, event, is_backtest, .. } = &own.entry.what else { continue };
        let (at, is_backtest) = (place(own.entry.at), *is_backtest);
        let incident = incidents.get(own.hash.as_str()).copied().unwrap_or(name);
        let index = *known.entry((incident, is_backtest)).or_insert_with(|| {
            all.push((incident, Decided { name, at, hashes, opened: None, acts: Vec::new(), is_backtest }));
            all.len() - 1
        });
        match serde_json::from_value(event.clone()) {
            Ok(Event::IncidentOpened { alert, labels, .. }) => all[index].1.opened = Some((alert, labels)),
            Ok(Event::WouldAct { what, target, .. } | Event::Decided { what, target, .. }) => {
                all[index].1.acts.push((&own.hash, format!("{what} {target}")));
            }
            Err(_) => all[index].1.acts.extend(UnreadAct::of(event).map(|act| (own.hash.as_str(), act.to_string()))),
            Ok(_) => {}
        }
    }
    all
}

/// What a policy was bound to while it was watched.
struct Session {
    from: Time,
    hashes: Hashes,
    rests_on: RestsOn,
}

/// All of its sessions, and what it is bound to now.
struct Sessions<'n> {
    all: Vec<Session>,
    /// By the hash of a policy as the watcher's chain has it, from when on.
    policies: Vec<(Time, Option<String>)>,
    now: &'n Bound,
    /// What the questions of now rest on, by what [`plain_question`] makes of them.
    questions: BTreeMap<String, String>,
}

impl<'n> Sessions<'n> {
    fn of(chain: &Chain, heard: &Heard, now: &'n Bound) -> Self {
        let session = |own: &crate::ledger::Recorded| match &own.entry.what {
            What::State { of, value } if of == WATCHING => Some(Session {
                from: heard.instant(own.entry.at),
                hashes: serde_json::from_value(value.get("hashes")?.clone()).ok()?,
                rests_on: value
                    .get("rests_on")
                    .and_then(|own| serde_json::from_value::<RestsOn>(own.clone()).ok())
                    .map(RestsOn::plain)
                    .unwrap_or_default(),
            }),
            _ => None,
        };
        let policies = heard.observed.iter().filter_map(|own| match &own.what {
            Observation::Began { policies, .. } => Some((own.at, policies.get(&chain.name).map(|session| session.hash.clone()))),
            _ => None,
        });
        Self {
            all: chain.entries.iter().filter_map(session).collect(),
            policies: policies.collect(),
            now,
            questions: now.rests_on.clone().plain().questions,
        }
    }

    /// What it was bound to at an instant.
    fn at(&self, at: Time) -> Option<&Session> {
        self.all.iter().rev().find(|own| own.from <= at)
    }

    /// Whether another version of it was watched at an instant.
    fn is_of_another(&self, at: Time, policy: &Arc<Policy>) -> bool {
        let session = self.policies.iter().rev().find(|(from, _)| *from <= at);
        session.and_then(|(_, hash)| hash.as_ref()).is_some_and(|hash| with_hash(policy, hash).is_none())
    }

    /// Whether the rules behind an alert are what they were.
    fn has_same_alert(&self, then: &Hashes, alert: &Name) -> bool {
        let (own, now) = (self.all.iter().rev().find(|own| own.hashes == *then), &self.now.rests_on.alerts);
        then.rules == self.now.hashes.rules
            || own.is_some_and(|own| match (own.rests_on.alerts.get(alert), now.get(alert)) {
                (Some(then), Some(now)) => then == now,
                // What is told of several alerts together rests on all of them.
                _ => !now.is_empty() && own.rests_on.alerts == *now,
            })
    }

    /// Whether the rules behind what was answered at an instant are what they were.
    fn has_same_question(&self, at: Time, expression: &str) -> bool {
        let (Some(own), Some(now)) = (self.at(at), self.questions.get(expression)) else { return false };
        own.hashes.rules == self.now.hashes.rules || own.rests_on.questions.get(expression) == Some(now)
    }
}

/// An incident that this version takes up.
struct Opened {
    at: Time,
    alert: Name,
    labels: LabelSet,
    acts: Vec<String>,
    /// The guard that refused first, and what it said.
    refused: Option<(Name, String)>,
}

/// The one that is about the same alert at about the same time.
fn same_incident(opened: &[Opened], (alert, labels): &(Name, LabelSet), at: Time) -> Option<usize> {
    let apart = |own: &Opened| Span::from_nanos(own.at.as_nanos().abs_diff(at.as_nanos()));
    // Correlated incidents are numbered, and what they are about is told by the other labels.
    let about = |labels: &LabelSet| {
        labels.iter().filter(|(name, _)| name.as_str() != INCIDENT).map(|(n, v)| (n.clone(), v.clone())).collect::<LabelSet>()
    };
    let is_same = |own: &Opened| own.alert == *alert && about(&own.labels) == about(labels) && apart(own) <= NEAR;
    (0..opened.len()).filter(|index| is_same(&opened[*index])).min_by_key(|index| apart(&opened[*index]))
}

/// Tells a watcher of this version what was heard.
struct Player<'h> {
    watcher: Watcher,
    heard: &'h Heard,
    policy: &'h Arc<Policy>,
    sessions: &'h Sessions<'h>,
    /// By the policy's number.
    opened: BTreeMap<u64, Opened>,
}

impl<'h> Player<'h> {
    /// The incidents that this version takes up, in order.
    fn play(heard: &'h Heard, policy: &'h Arc<Policy>, sessions: &'h Sessions<'h>) -> Vec<Opened> {
        let inventory = Arc::new(heard.inventory.clone());
        let setup = WatcherSetup { start: heard.start, policies: vec![(Arc::clone(policy), Stage::Shadow)], inventory };
        let mut player = Player { watcher: Watcher::new(setup), heard, policy, sessions, opened: BTreeMap::new() };
        for Observed { at, what } in &heard.observed {
            player.until(*at);
            let what = match what {
                Observation::Began { policies, .. } => player.beginning(policies.contains_key(&policy.name)),
                Observation::Told { .. } | Observation::ClockSet { .. } => what.clone(),
                // What it asks is answered as it asks.
                Observation::Answered { .. } | Observation::Passed => Observation::Passed,
            };
            player.take(&Observed { at: *at, what });
        }
        player.until(player.watcher.now().saturating_add(LONGEST));
        player.opened.into_values().collect()
    }

    /// A session with this version in the place of the one that was watched then; or with none.
    fn beginning(&self, is_watched: bool) -> Observation {
        let past = Past { incidents: self.opened.keys().next_back().map_or(0, |last| last + 1), ..Past::default() };
        let mut beginning = self.watcher.beginning("", |_| past.clone());
        if let Observation::Began { policies, .. } = &mut beginning
            && !is_watched
        {
            policies.clear();
        }
        beginning
    }

    /// Lets what is due happen until a time.
    fn until(&mut self, until: Time) {
        for _ in 0..MOST_INPUTS {
            let Some(due) = self.watcher.due().filter(|due| *due <= until) else { break };
            self.take(&Observed { at: due.max(self.watcher.now()), what: Observation::Passed });
        }
    }

    fn take(&mut self, observed: &Observed) {
        let at = observed.at;
        self.hear(observed);
        for _ in 0..MOST_INPUTS {
            let wants = self.watcher.take_wants();
            if wants.is_empty() {
                break;
            }
            for want in wants {
                let what = Observation::Answered { policy: self.policy.name.clone(), input: self.answer(&want, at) };
                self.hear(&Observed { at, what });
            }
        }
    }

    fn hear(&mut self, observed: &Observed) {
        for decision in self.watcher.take_in(observed) {
            match decision.record.event {
                Event::IncidentOpened { incident, alert, labels, .. } => {
                    self.opened.insert(incident, Opened { at: decision.record.at, alert, labels, acts: Vec::new(), refused: None });
                }
                Event::WouldAct { incident, what, target, .. } => {
                    self.opened.entry(incident).and_modify(|own| own.acts.push(format!("{what} {target}")));
                }
                Event::Refused { incident, guard, figures, .. } => {
                    self.opened.entry(incident).and_modify(|own| _ = own.refused.get_or_insert((guard, figures)));
                }
                _ => {}
            }
        }
    }

    /// What was answered to the same question at about this time; otherwise that it cannot be told.
    fn answer(&self, want: &Want, now: Time) -> Input {
        let apart = |at: Time| Span::from_nanos(at.as_nanos().abs_diff(now.as_nanos()));
        let Ask::Question(question) = &want.ask else { return want.answer(now, &mut |_, _| Err(UNASKED.to_owned())) };
        let text = plain_question(&question_text(self.policy, question));
        let written = expression(self.policy, question);
        let expression = plain_question(&written);
        let all = self.heard.answers.get(&text).into_iter().flatten();
        let fit = all.filter(|(at, _)| apart(*at) <= NEAR && self.sessions.has_same_question(*at, &expression));
        let known = fit.min_by_key(|(at, _)| apart(*at)).and_then(|(_, input)| renumbered(input.clone(), want.query));
        let asked = written.split_whitespace().collect::<Vec<_>>().join(" ");
        known.unwrap_or_else(|| want.answer(now, &mut |_, _| Err(format!("{UNASKED} `{asked}`"))))
    }
}

/// The same answer to another number.
fn renumbered(input: Input, query: u64) -> Option<Input> {
    Some(match input {
        Input::Evaluated { verdict, figures, .. } => Input::Evaluated { query, verdict, figures },
        Input::Counted { holding, elements, error, parts, .. } => Input::Counted { query, holding, elements, error, parts },
        Input::Measured { value, figures, .. } => Input::Measured { query, value, figures },
        Input::Listed { names, error, .. } => Input::Listed { query, names, error },
        Input::Gathered { .. } | Input::Notified(_) | Input::Finished(_) | Input::Timer { .. } | Input::Answered { .. } => return None,
    })
}
