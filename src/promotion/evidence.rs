//! What a chain shows of a policy at its stage: events with what people said of them, comparisons, answers, verifications, time.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::Action;
use firedrill_core::journal::{Event as Journaled, LabelSet, ProposalChange, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::again::Again;
use super::heard::{Heard, outside, united};
use super::profile::{Counted, REPRODUCED, UNLABELLED, folded};
use super::standing::{Standing, between};
use crate::ledger::{Chain, Hashes, Labelled, Recorded, UnreadAct, What, shown_incident};

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
    /// What must never happen and did since the policy last began as a draft, a sentence each.
    pub violations: Vec<String>,
    /// Events and comparisons among these that are of a simulation, which the project lets count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rehearsed: Vec<String>,
    /// How much of the time in which it was watched was that of a simulation, whether or not that counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub simulated: Span,
    /// Labels and comparisons that somebody else has made milder since, a sentence each.
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
    /// The trouble that its alert, or the last of the alerts that it was made of, was told of: see [`Heard::began`]; `None`: nobody knows.
    #[serde(skip)]
    pub trouble: Option<usize>,
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
    /// Who compared it.
    #[serde(skip)]
    pub by: String,
    /// As of an [`Event`].
    #[serde(skip)]
    pub taken_up: String,
    /// Whether both acted, or neither.
    pub agrees: bool,
    /// Whether what the policy would have done is known to be wrong.
    pub is_wrong: bool,
    /// Live detection time as a multiple of the simulated one.
    pub detection_ratio: Option<f64>,
    /// As of an [`Event`].
    #[serde(skip)]
    pub trouble: Option<usize>,
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

/// So many bytes of each of its lists go into the ledger with a promotion.
const KEPT_BYTES: usize = 65_536;

/// Why something does not count that was seen live.
const UNEXPLAINED: &str = "nothing that the watcher was told explains it";

/// Why to have done nothing does not count as people did.
const BLIND: &str = "what the policy asked could not be told, so that it did nothing agrees with nobody";

/// Why something does not count that stands there in words of a newer version.
const UNREAD: &str = "this version of firedrill cannot read it";

impl Evidence {
    /// What the chain shows.
    #[must_use]
    pub fn of(question: Question<'_>) -> Self {
        let standing = Standing::of_version(question.chain, question.hashes);
        let labels = Said::of(question.chain);
        let taken = Taken::of(question.chain, &standing, question.heard);
        let mut found = Self { violations: violations(question.chain, &standing), ..Self::default() };
        let mut history = History::default();
        let mut compared: Vec<(&str, &Recorded)> = Vec::new();
        for own in question.chain.since(standing.entry.as_deref()) {
            match &own.entry.what {
                What::Decision { is_backtest, .. } => {
                    let unfit = if *is_backtest { history.unfit(own) } else { None };
                    found.decided(question, &standing, (own, &labels, &taken), unfit);
                }
                What::Compared { incident, .. } => {
                    compared.push((taken.key(own, incident), own));
                }
                What::Backtest { from, until, recorded, reproduced, gaps, hashes } => {
                    let told = format!("{from} to {until}");
                    let stretch = from.parse().ok().zip(until.parse().ok());
                    let stretch =
                        stretch.map(|(from, until): (Timestamp, Timestamp)| (from, standing.since.map_or(until, |since| until.min(since))));
                    let why = found.backtested((told, stretch), (*recorded, *reproduced), changed(hashes, question.hashes));
                    history.begin(own, (stretch.filter(|_| why.is_none()), gaps), why);
                }
                _ => {}
            }
        }
        for (key, own) in compared_last(question.chain, compared) {
            found.compared(question, (key, own), &taken);
        }
        found.backtest = united(history.stretches, between);
        // What may act is watched at the last stage at which nothing does.
        let stage = standing.stage.min(Stage::Shadow);
        if let Some(heard) = question.heard {
            found.live = heard.watched(&question.chain.name, stage, standing.since);
            found.unanswered = heard.unanswered(&question.chain.name, stage, standing.since);
            found.simulated = heard.of_simulation(&question.chain.name, stage, standing.since);
            found.of_rehearsals(&taken, heard);
        }
        let added = question.again.added.iter().filter(|(at, _)| standing.since.is_none_or(|since| *at >= since));
        found.dropped.extend(added.map(|(_, own)| own.clone()));
        found.once_an_alert(&taken);
        found.once_a_drill();
        found.milder = milder(question.chain, &found, &taken);
        found
    }

    /// What was seen of a simulation is no evidence of life, unless the project says that it counts; then it is named. What speaks against the policy counts
    /// wherever it was seen.
    fn of_rehearsals(&mut self, taken: &Taken, heard: &Heard) {
        if heard.rehearsed.is_empty() {
            return;
        }
        let is_of_event = |own: &Event| {
            let is_own = own.at.parse().is_ok_and(|at| heard.is_rehearsed(at));
            !own.is_backtest && (is_own || taken.rehearsed.contains(&own.taken_up))
        };
        let is_of_comparison = |own: &Comparison| taken.rehearsed.contains(&own.taken_up);
        let called = |own: &Comparison| format!("the comparison of {}", shown_incident(&own.incident));
        if heard.do_rehearsals_count {
            let events = self.events.iter().filter(|own| is_of_event(own)).map(|own| own.id.clone());
            self.rehearsed = events.chain(self.compared.iter().filter(|own| is_of_comparison(own)).map(called)).collect();
            return;
        }
        let is_bad = |own: &Event| matches!(own.label, Some(Labelled::Wrong | Labelled::Harmful));
        let (events, kept): (Vec<Event>, Vec<Event>) =
            std::mem::take(&mut self.events).into_iter().partition(|own| is_of_event(own) && !is_bad(own));
        self.events = kept;
        let (compared, kept): (Vec<Comparison>, Vec<Comparison>) =
            std::mem::take(&mut self.compared).into_iter().partition(|own| is_of_comparison(own) && !own.is_wrong);
        self.compared = kept;
        let why = "it is of a simulation, as `firedrill rehearse-live` plays one, and not of life";
        let ids = events.into_iter().map(|own| own.id).chain(compared.iter().map(called));
        self.dropped.extend(ids.map(|id| Dropped { id, why: why.to_owned() }));
    }

    /// It as it goes into the ledger with a promotion: an entry holds a mebibyte at most. Of a list that is long the beginning; of what follows, under
    /// `left_out`, how much it is, and the BLAKE3 of it as JSON, an element a line: whoever has all of it can tell that it is that.
    #[must_use]
    pub fn in_brief(&self) -> Value {
        let mut all = serde_json::to_value(self).expect("evidence is plain data");
        let mut left_out = Map::new();
        for (name, list) in all.as_object_mut().into_iter().flatten() {
            let Some(list) = list.as_array_mut() else { continue };
            let lines: Vec<String> = list.iter().map(|own| format!("{own}\n")).collect();
            let mut bytes = 0;
            let is_kept = |line: &&String| {
                bytes += line.len();
                bytes <= KEPT_BYTES
            };
            let kept = lines.iter().take_while(is_kept).count();
            if kept < lines.len() {
                let rest = blake3::hash(lines[kept..].concat().as_bytes()).to_hex().to_string();
                left_out.insert(name.clone(), json!({ "count": lines.len() - kept, "blake3": rest }));
                list.truncate(kept);
            }
        }
        if !left_out.is_empty() {
            all["left_out"] = Value::Object(left_out);
        }
        all
    }

    fn compared(&mut self, question: Question<'_>, (key, own): (&str, &Recorded), taken: &Taken) {
        let What::Compared { incident, agrees, wrong, hashes, detection_ratio, .. } = &own.entry.what else { return };
        let changed = changed(hashes, question.hashes).filter(|_| !question.again.same.contains(key));
        // What speaks against the policy counts, as with events.
        let unexplained = (!wrong && !taken.explained.contains(key)).then(|| UNEXPLAINED.to_owned());
        let is_blind = *agrees && !taken.acted.contains(key) && taken.kept.get(key).is_some_and(Kept::is_blind);
        let retold = taken.retold.get(&own.hash).filter(|_| !wrong).cloned();
        let why = if taken.here.contains(key) {
            retold.or(unexplained).or(changed).or_else(|| is_blind.then(|| BLIND.to_owned()))
        } else {
            Some("it was taken up before the policy came to this stage".to_owned())
        };
        match why {
            Some(why) => self.dropped.push(Dropped { id: format!("the comparison of {}", shown_incident(incident)), why }),
            None => self.compared.push(Comparison {
                incident: incident.clone(),
                by: own.entry.by.clone(),
                taken_up: key.to_owned(),
                agrees: *agrees,
                is_wrong: *wrong,
                detection_ratio: *detection_ratio,
                trouble: taken.troubles.get(key).copied(),
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
        let is_of_stage = *stage == standing.stage && (!*is_backtest || standing.stage == Stage::DryRun);
        if !is_of_stage {
            return;
        }
        match serde_json::from_value(event.clone()) {
            // That is a violation, or to wait, which does nothing.
            Ok(Journaled::Decided { .. }) if !stage.may_act() => {}
            Ok(Journaled::WouldAct { what, target, .. } | Journaled::Decided { what, target, .. })
                if !matches!(what, Action::Wait { .. }) =>
            {
                self.acted(question, standing, (own, said, taken), (format!("{what} {target}"), unfit));
            }
            // What people and telemetry answered to another version says nothing of this one.
            Ok(_) if hashes != question.hashes && !question.again.same.contains(taken.key(own, incident)) => {}
            Ok(Journaled::ProposalChanged { change, .. }) => match change {
                ProposalChange::Granted => self.granted += 1,
                ProposalChange::Denied | ProposalChange::Expired => self.denied += 1,
                ProposalChange::Void | ProposalChange::Withdrawn => {}
            },
            Ok(Journaled::Verified { verdict, .. }) => match verdict {
                Verification::Held => self.held += 1,
                Verification::Failed | Verification::Inconclusive => self.failed += 1,
            },
            Ok(_) => {}
            Err(_) => match UnreadAct::of(event) {
                Some(act) if act.is_done && !stage.may_act() => {}
                Some(act) => {
                    let unread = (!said.is_bad(&own.hash)).then(|| UNREAD.to_owned());
                    self.acted(question, standing, (own, said, taken), (act.to_string(), unfit.or(unread)));
                }
                None if event.get("verified").is_some() || event.get("proposal_changed").is_some() => {
                    self.dropped.push(Dropped { id: question.chain.called(own), why: UNREAD.to_owned() });
                }
                None => {}
            },
        }
    }

    /// Something that was done or would have been. `unfit` is why it does not count, whatever else is known of it.
    fn acted(
        &mut self,
        question: Question<'_>,
        standing: &Standing,
        (own, said, taken): (&Recorded, &Said, &Taken),
        (what, unfit): (String, Option<String>),
    ) {
        let What::Decision { incident, stage, hashes, is_backtest, .. } = &own.entry.what else { return };
        let id = question.chain.called(own);
        let is_same = hashes == question.hashes;
        let label = said.labels.get(&own.hash).copied();
        let key = taken.key(own, incident);
        // What speaks against the policy counts, whoever else has seen it.
        let is_bad = said.is_bad(&own.hash);
        let again = taken.again.get(key).filter(|_| !is_bad && !*is_backtest);
        let again = again.map(|by| format!("the same alert was taken up again as {by}"));
        let live = is_backtest.then(|| of_history(incident, standing)).flatten();
        let is_explained = *is_backtest || stage.may_act() || taken.explained.contains(key);
        let unexplained = (!is_explained && !is_bad).then(|| UNEXPLAINED.to_owned());
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
            trouble: taken.troubles.get(key).copied(),
            taken_up: key.to_owned(),
            what,
            label,
            is_overdue,
            drill: said.drills.get(&own.hash).cloned(),
            is_backtest: *is_backtest,
            is_decided_again: !is_same,
        });
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

    /// An alert that was taken up several times, such as by two watchers, is compared once: as the worst of it, and of equals as the last.
    fn once_an_alert(&mut self, taken: &Taken) {
        let rank = |own: &Comparison| (own.is_wrong, !own.agrees);
        let mut worst: BTreeMap<&Episode, &Comparison> = BTreeMap::new();
        for own in &self.compared {
            let Some(episode) = taken.episodes.get(&own.taken_up) else { continue };
            let kept = worst.entry(episode).or_insert(own);
            if rank(own) >= rank(kept) {
                *kept = own;
            }
        }
        let instead: BTreeMap<String, String> = self
            .compared
            .iter()
            .filter_map(|own| Some((own, *worst.get(taken.episodes.get(&own.taken_up)?)?)))
            .filter(|(own, kept)| own.taken_up != kept.taken_up)
            .map(|(own, kept)| (own.taken_up.clone(), kept.incident.clone()))
            .collect();
        let (repeated, kept): (Vec<Comparison>, Vec<Comparison>) =
            std::mem::take(&mut self.compared).into_iter().partition(|own| instead.contains_key(&own.taken_up));
        self.compared = kept;
        self.dropped.extend(repeated.iter().map(|own| Dropped {
            id: format!("the comparison of {}", shown_incident(&own.incident)),
            why: format!("the same alert is compared as {}", shown_incident(&instead[&own.taken_up])),
        }));
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

/// From when to when.
type Stretch = (Timestamp, Timestamp);

/// Recorded history that a policy was replayed on.
#[derive(Default)]
struct History {
    /// Why it does not count on which an entry was decided, by the hash of the entry: each follows the one before it.
    unfit: BTreeMap<String, Option<String>>,
    /// Those that count, without what was not recorded.
    stretches: Vec<Stretch>,
}

impl History {
    fn begin(&mut self, own: &Recorded, (stretch, gaps): (Option<Stretch>, &[(String, String)]), why: Option<String>) {
        let gaps: Vec<(Timestamp, Timestamp)> = gaps.iter().filter_map(|(from, until)| from.parse().ok().zip(until.parse().ok())).collect();
        self.stretches.extend(stretch.into_iter().flat_map(|stretch| outside(stretch, &gaps)));
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

fn is_zero(span: &Span) -> bool {
    *span == Span::ZERO
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

/// What was done, of a decision at a stage at which nothing may act: to wait is decided at every stage, and does nothing.
#[must_use]
pub fn acted_where_nothing_may(own: &Recorded) -> Option<String> {
    let What::Decision { stage, event, is_backtest: false, .. } = &own.entry.what else { return None };
    if stage.may_act() || event.get("decided").is_none() {
        return None;
    }
    match serde_json::from_value(event.clone()) {
        Ok(Journaled::Decided { what: Action::Wait { .. }, .. }) => None,
        Ok(Journaled::Decided { what, target, .. }) => Some(format!("{what} {target}")),
        Ok(_) => None,
        Err(_) => UnreadAct::of(event).map(|act| act.to_string()),
    }
}

/// What must never happen and did, since the policy last began as a draft. To be taken back makes nothing of it good.
fn violations(chain: &Chain, standing: &Standing) -> Vec<String> {
    let violation = |own: &Recorded| {
        let told = match &own.entry.what {
            What::Violation { what } => what.clone(),
            What::Decision { stage, .. } => format!("it acted at the stage {}: {}", stage.word(), acted_where_nothing_may(own)?),
            _ => return None,
        };
        Some(format!("{told} (entry {})", own.number))
    };
    chain.since(standing.begun.as_deref()).filter_map(violation).collect()
}

/// Of what was compared, each with what tells its incident from others, the last of each incident, in order; of what two branches compared last the worst, until
/// it is compared after they have become one.
fn compared_last<'c>(chain: &'c Chain, mut all: Vec<(&'c str, &'c Recorded)>) -> Vec<(&'c str, &'c Recorded)> {
    let keys: BTreeMap<&str, &str> = all.iter().map(|(key, own)| (own.hash.as_str(), *key)).collect();
    let rank = |own: &Recorded| match &own.entry.what {
        What::Compared { agrees, wrong, .. } => (*wrong, !*agrees),
        _ => (false, false),
    };
    let last = chain.last_of(|own| Some((*keys.get(own.hash.as_str())?, own)));
    let worst: BTreeSet<&str> =
        last.into_values().filter_map(|own| own.into_iter().max_by_key(|own| rank(own))).map(|own| own.hash.as_str()).collect();
    all.retain(|(_, own)| worst.contains(own.hash.as_str()));
    all
}

/// What an alert is, and when it began.
type Episode = (Name, LabelSet, Time);

/// What kept a policy from acting in an incident, and for how long: that something could not be told, or anything else.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// Since when the last that did, and whether that was that something could not be told.
    last: Option<(Timestamp, bool)>,
    /// For how long something could not be told.
    blind: Span,
    /// For how long it was anything else.
    told: Span,
}

impl Kept {
    /// What is known after another event of the incident.
    fn take(&mut self, at: Timestamp, event: &Journaled) {
        let Some((since, was_blind)) = self.last else {
            self.last = keeps_blind(event).map(|is_blind| (at, is_blind));
            return;
        };
        let length = if was_blind { &mut self.blind } else { &mut self.told };
        *length = *length + between(since, at);
        self.last = Some((at, keeps_blind(event).unwrap_or(was_blind)));
    }

    /// Whether it was for the greater part that something could not be told.
    fn is_blind(&self) -> bool {
        let was_last = self.last.is_some_and(|(_, is_blind)| is_blind);
        self.blind > self.told || self.blind == self.told && was_last
    }
}

/// Whether something could not be told, of an event that keeps a policy from acting; `None`: it does not.
fn keeps_blind(event: &Journaled) -> Option<bool> {
    match event {
        // That its alert is told again is no answer to what it would do.
        Journaled::Refused { figures, .. } if figures.ends_with("has this alert already") => None,
        // What a step would act on was asked for, and is not known.
        Journaled::Refused { target, figures, .. } => Some(target.is_none() || is_untold(figures)),
        Journaled::Chosen { candidates, .. } => {
            let is_idle = candidates.iter().all(|own| !own.is_best || matches!(own.what, Action::Wait { .. }));
            is_idle.then(|| candidates.iter().any(|own| is_untold(&own.why)))
        }
        _ => None,
    }
}

/// Whether words in which a guard refuses, or a candidate is out, say that something could not be told.
fn is_untold(why: &str) -> bool {
    // Of a candidate they stand behind the name of the guard.
    let of_guard = why.strip_prefix("refused by ").and_then(|told| told.split_once(": ")).map_or(why, |(_, told)| told);
    ["cannot tell", "the project's: cannot tell", "denied, because the rules cannot tell", "no score: "]
        .iter()
        .any(|untold| of_guard.starts_with(untold))
}

/// Which incidents a policy has taken up, each by what tells it from others.
struct Taken {
    /// By the hash of a decision or a comparison what tells its incident from others.
    by: BTreeMap<String, String>,
    /// Since it came to its stage.
    here: BTreeSet<String>,
    /// Those whose alert it has taken up once more while it was on, such as after it was changed, or by another watcher: by what they are called since. One
    /// trouble is one event.
    again: BTreeMap<String, String>,
    /// Those of which the watcher was told something, or the alerts that it made them of.
    explained: BTreeSet<String>,
    /// Those in which the policy did something, or would have; to wait is nothing.
    acted: BTreeSet<String>,
    /// What kept the policy from acting.
    kept: BTreeMap<String, Kept>,
    /// The trouble that its alert was told of.
    troubles: BTreeMap<String, usize>,
    /// What its alert was.
    episodes: BTreeMap<String, Episode>,
    /// Those that were taken up in a simulation, or for an alert that was last told of in one.
    rehearsed: BTreeSet<String>,
    /// Why a comparison counts no more, by the hash of its entry: the story that it rests on is told of another incident.
    retold: BTreeMap<String, String>,
}

impl Taken {
    fn of(chain: &Chain, standing: &Standing, heard: Option<&Heard>) -> Self {
        let by = chain.incidents();
        let mut own = Self {
            by: by.iter().map(|(hash, key)| ((*hash).to_owned(), (*key).to_owned())).collect(),
            here: BTreeSet::new(),
            again: BTreeMap::new(),
            explained: BTreeSet::new(),
            acted: BTreeSet::new(),
            kept: BTreeMap::new(),
            troubles: BTreeMap::new(),
            episodes: BTreeMap::new(),
            rehearsed: BTreeSet::new(),
            retold: chain.retold().into_iter().map(|(hash, by)| (hash.to_owned(), by.to_string())).collect(),
        };
        let since: BTreeSet<&str> = chain.since(standing.entry.as_deref()).map(|own| own.hash.as_str()).collect();
        // By what an alert is and when it began, the last incident in which something was done about it.
        let mut last: BTreeMap<Episode, &str> = BTreeMap::new();
        for recorded in &chain.entries {
            let What::Decision { incident, event, is_backtest: false, .. } = &recorded.entry.what else { continue };
            let key = by.get(recorded.hash.as_str()).copied().unwrap_or(incident);
            match serde_json::from_value(event.clone()) {
                Ok(Journaled::IncidentOpened { alert, labels, .. }) => {
                    if since.contains(recorded.hash.as_str()) {
                        own.here.insert(key.to_owned());
                    }
                    if let Some(heard) = heard {
                        own.opened(key, (alert, labels, recorded.entry.at), heard);
                    }
                }
                Ok(Journaled::WouldAct { what, .. } | Journaled::Decided { what, .. }) if !matches!(what, Action::Wait { .. }) => {
                    own.acted.insert(key.to_owned());
                    let Some(episode) = own.episodes.get(key) else { continue };
                    let before = last.insert(episode.clone(), key).filter(|before| *before != key);
                    own.again.extend(before.map(|before| (before.to_owned(), incident.clone())));
                }
                Ok(event) => own.kept.entry(key.to_owned()).or_default().take(recorded.entry.at, &event),
                Err(_) if UnreadAct::of(event).is_some() => _ = own.acted.insert(key.to_owned()),
                Err(_) => {}
            }
        }
        own
    }

    /// What the watcher was told of an incident that was opened.
    fn opened(&mut self, key: &str, (alert, labels, at): (Name, LabelSet, Timestamp), heard: &Heard) {
        if heard.is_of_simulation(&labels, at) {
            self.rehearsed.insert(key.to_owned());
        }
        if let Some(told) = heard.told_of(&labels, at) {
            self.explained.insert(key.to_owned());
            self.troubles.insert(key.to_owned(), told.trouble);
        }
        if heard.is_told(&labels) {
            self.explained.insert(key.to_owned());
        }
        let began = heard.began(&labels, heard.instant(at));
        self.episodes.extend(began.map(|(began, _)| (key.to_owned(), (alert, labels, began))));
    }

    /// What tells the incident of an entry from others of its name.
    fn key<'a>(&'a self, own: &Recorded, name: &'a str) -> &'a str {
        self.by.get(&own.hash).map_or(name, String::as_str)
    }
}

/// What people said of decisions, the last of what was said of each.
struct Said {
    labels: BTreeMap<String, Labelled>,
    drills: BTreeMap<String, (Name, String)>,
}

impl Said {
    fn of(chain: &Chain) -> Self {
        // A drill stands behind its label, and a label that has none ends it.
        let drills = chain.said_last(|what| match what {
            What::Drill { event, fault, target } if !fault.trim().is_empty() => Some((event.as_str(), Some((fault, target)))),
            What::Label { event, .. } => Some((event.as_str(), None)),
            _ => None,
        });
        let drills = drills.into_iter().filter_map(|(event, drills)| {
            let (fault, target) = drills.into_iter().flatten().min()?;
            Some((event.to_owned(), (fault.clone(), target.clone())))
        });
        let labels = chain.labels().into_iter().map(|(event, says)| (event.to_owned(), says));
        Self { labels: labels.collect(), drills: drills.collect() }
    }

    /// Whether a decision is known to be wrong.
    fn is_bad(&self, hash: &str) -> bool {
        matches!(self.labels.get(hash), Some(Labelled::Wrong | Labelled::Harmful))
    }
}

/// Where people have said of an event that it was wrong or harmful, and somebody else says something milder now, a sentence each; and where a comparison says
/// something milder than that of somebody else before.
fn milder(chain: &Chain, found: &Evidence, taken: &Taken) -> Vec<String> {
    let mut worst: BTreeMap<&str, (Labelled, &str)> = BTreeMap::new();
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    let known: BTreeMap<&str, &Event> = found.events.iter().map(|event| (event.hash.as_str(), event)).collect();
    let compared: BTreeMap<&str, &Comparison> = found.compared.iter().map(|own| (own.taken_up.as_str(), own)).collect();
    for own in &chain.entries {
        let by = own.entry.by.as_str();
        if let What::Compared { incident, agrees: false, .. } = &own.entry.what
            && let Some(now) = compared.get(taken.key(own, incident)).filter(|now| now.agrees && folded(&now.by) != folded(by))
        {
            told.insert(
                &now.taken_up,
                format!("{}: {by} compared that it differs, and {} that it agrees", shown_incident(&now.incident), now.by),
            );
        }
        let What::Label { event, says, .. } = &own.entry.what else { continue };
        let Some(own_event) = known.get(event.as_str()) else { continue };
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

#[cfg(test)]
mod tests {
    use firedrill_core::action::{ActionId, Target};
    use firedrill_core::inventory::Inventory;
    use firedrill_core::journal::{AlertStatus, Notification, Weighed};
    use firedrill_core::time::Start;
    use firedrill_policies::correlation::INCIDENT;
    use firedrill_policies::watcher::{Alerted, Observation, Observed};

    use super::*;
    use crate::ledger::{Entry, Ledger, WATCH};

    #[test]
    fn what_was_made_of_the_alerts_of_one_message_is_of_that_message() {
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("p"));
        let alert = |minute: u64| {
            let (alert, status, labels) = (Name::new("Down"), AlertStatus::Firing, LabelSet::from([(Name::new("pod"), Name::new("a"))]));
            let notification = Notification { alert, status, labels, starts_at: Time::from_seconds(minute * 60), receiver: None };
            let told = Observation::Told { alerts: vec![Alerted { notification, ends_at: None, group: None }] };
            Observed { at: Time::from_seconds(minute * 60), what: told }
        };
        let opened = |(incident, minute): (u64, i64)| {
            let labels = LabelSet::from([(Name::new(INCIDENT), Name::new(&incident.to_string()))]);
            let event = Journaled::IncidentOpened { policy: Name::new("p"), incident, alert: Name::new("several"), target: None, labels };
            let (stage, hashes, event) = (Stage::Shadow, Hashes::default(), serde_json::to_value(event).unwrap());
            let what = What::Decision { incident: format!("p#{incident}"), stage, hashes, event, is_backtest: false };
            Entry { at: Timestamp::from_second(minute * 60).unwrap(), by: WATCHER.to_owned(), what }
        };
        let entries = [(0, 1), (1, 5), (2, 6), (3, 8)].map(opened).into();
        Ledger::open(folder.path(), &name).unwrap().0.append(entries).unwrap();
        let chain = Ledger::read(folder.path(), &name).unwrap();
        let watch = Ledger::read(folder.path(), &Name::new(WATCH)).unwrap();
        let heard = Heard::of((Start::from_unix_millis(0), vec![alert(5), alert(7)], Inventory::default()), &watch);
        let taken = Taken::of(&chain, &Standing::of(&chain), Some(&heard));
        let trouble = |place: usize| taken.troubles.get(&chain.entries[place].hash).copied();
        assert_eq!([0, 1, 2, 3].map(trouble), [None, Some(0), Some(0), Some(1)]);
        assert!(!taken.explained.contains(&chain.entries[0].hash), "nothing was told until then");
    }

    /// An incident of the policy `p` in which this happened, each at a second; and how it was compared, if that is dropped.
    #[track_caller]
    fn check_blind(agrees: bool, happened: Vec<(i64, Journaled)>, is_blind: bool) {
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("p"));
        let labels = LabelSet::from([(Name::new("pod"), Name::new("a"))]);
        let (policy, alert) = (name.clone(), Name::new("Down"));
        let opened = Journaled::IncidentOpened { policy, incident: 0, alert: alert.clone(), target: None, labels: labels.clone() };
        let entry = |second: i64, what: What| Entry { at: Timestamp::from_second(second).unwrap(), by: WATCHER.to_owned(), what };
        let decision = |(second, event): (i64, Journaled)| {
            let (stage, hashes, event) = (Stage::Shadow, Hashes::default(), serde_json::to_value(event).unwrap());
            entry(second, What::Decision { incident: "p#0".to_owned(), stage, hashes, event, is_backtest: false })
        };
        let (incident, hashes, detail) = ("p#0".to_owned(), Hashes::default(), String::new());
        let compared = What::Compared { incident, agrees, wrong: false, hashes, detection_ratio: None, detail };
        let all = std::iter::once((600, opened)).chain(happened).map(decision).chain([entry(9_000, compared)]).collect();
        Ledger::open(folder.path(), &name).unwrap().0.append(all).unwrap();
        let (chain, watch) = (Ledger::read(folder.path(), &name).unwrap(), Ledger::read(folder.path(), &Name::new(WATCH)).unwrap());
        let (status, starts_at) = (AlertStatus::Firing, Time::from_seconds(600));
        let notification = Notification { alert, status, labels, starts_at, receiver: None };
        let what = Observation::Told { alerts: vec![Alerted { notification, ends_at: None, group: None }] };
        let observed = vec![Observed { at: starts_at, what }];
        let heard = Heard::of((Start::from_unix_millis(0), observed, Inventory::default()), &watch);
        let (hashes, again) = (Hashes::default(), Again::default());
        let now = Timestamp::from_second(10_000).unwrap();
        let found = Evidence::of(Question { chain: &chain, heard: Some(&heard), hashes: &hashes, again: &again, now });
        let dropped: Vec<(&str, &str)> = found.dropped.iter().map(|own| (own.id.as_str(), own.why.as_str())).collect();
        let expected: &[(&str, &str)] = if is_blind { &[("the comparison of p#0", BLIND)] } else { &[] };
        assert_eq!(dropped, expected);
        assert_eq!(found.compared.len(), usize::from(!is_blind));
    }

    #[test]
    fn to_have_done_nothing_because_nothing_could_be_told_agrees_with_nobody() {
        let policy = Name::new("p");
        let target = || Target::Service(Name::new("s"));
        let refused = |second: i64, guard: &str, figures: &str| {
            let (policy, guard, figures) = (policy.clone(), Name::new(guard), figures.to_owned());
            let (what, target) = (Some(Action::Rollback), Some(target()));
            (second, Journaled::Refused { policy, incident: 0, step: 0, what, target, guard, figures, held_by: None })
        };
        let closed = |second: i64| (second, Journaled::IncidentClosed { policy: policy.clone(), incident: 0, reason: "over".to_owned() });
        let unknown = |second: i64| refused(second, "precheck", "cannot tell: no element");
        let no = |second: i64| refused(second, "precheck", "0 > 1: somebody must be hurt");
        check_blind(true, vec![], false);
        check_blind(true, vec![no(600), closed(900)], false);
        check_blind(true, vec![unknown(600), unknown(660), closed(700)], true);
        check_blind(false, vec![unknown(600), closed(700)], false);
        // What holds for the greater part of the incident.
        check_blind(true, vec![unknown(600), no(660), closed(900)], false);
        check_blind(true, vec![unknown(600), no(1_200), closed(1_230)], true);
        check_blind(true, vec![no(600), unknown(1_200), closed(1_230)], false);
        check_blind(true, vec![unknown(600), refused(660, "cooldown", "1m < 10m"), closed(1_200)], false);
        // An alert that is told again answers nothing.
        check_blind(true, vec![unknown(600), refused(660, "dedup", "incident 0 has this alert already"), closed(1_200)], true);
        // Whatever guard it is that cannot tell.
        for figures in ["cannot tell what harm is measured by: no element", "the project's: cannot tell: no element"] {
            check_blind(true, vec![refused(600, "guard", figures), closed(900)], true);
        }
        // To wait does nothing, and to choose it because nothing else has a score does not, either.
        let action = || ActionId { policy: policy.clone(), ordinal: 0 };
        let waits = |second: i64| {
            let (policy, what, reason) = (policy.clone(), Action::Wait { span: Span::from_seconds(30) }, String::new());
            (second, Journaled::Decided { policy, incident: 0, step: 0, action: action(), what, target: target(), reason })
        };
        check_blind(true, vec![waits(600), refused(630, "max_unhealthy", "cannot tell: no element"), closed(700)], true);
        let weighed = |what: Action, why: &str, is_best: bool| Weighed {
            candidate: Some(0),
            what,
            target: target(),
            score: None,
            risk: 0.0,
            why: why.to_owned(),
            is_best,
        };
        let chosen = |why: &str| {
            let wait = weighed(Action::Wait { span: Span::from_seconds(30) }, "chosen: 0 - 0", true);
            let candidates = vec![wait, weighed(Action::Rollback, why, false)];
            (600, Journaled::Chosen { policy: policy.clone(), incident: 0, step: 0, candidates })
        };
        check_blind(true, vec![chosen("no score: no element"), waits(600), closed(700)], true);
        check_blind(true, vec![chosen("refused by precheck: cannot tell: no element"), closed(700)], true);
        check_blind(true, vec![chosen("-1 - 0.1"), waits(600), closed(700)], false);
        // Whoever would have acted was not blind.
        let (what, reason) = (Action::Rollback, String::new());
        let acts = Journaled::WouldAct { policy: policy.clone(), incident: 0, step: 0, what, target: target(), reason };
        check_blind(true, vec![unknown(600), (660, acts), closed(700)], false);
    }

    #[test]
    fn what_is_too_much_for_an_entry_is_counted_and_hashed() {
        let dropped = |count: usize| (0..count).map(|index| Dropped { id: format!("p#{index}"), why: "w".repeat(500) }).collect::<Vec<_>>();
        let few = Evidence { dropped: dropped(100), ..Evidence::default() };
        assert_eq!(few.in_brief(), serde_json::to_value(&few).unwrap());
        let many = Evidence { dropped: dropped(5_000), violations: vec!["v".repeat(100_000)], ..Evidence::default() };
        let (brief, all) = (many.in_brief(), serde_json::to_value(&many).unwrap());
        assert!(brief.to_string().len() < 2 * KEPT_BYTES);
        let kept = brief["dropped"].as_array().unwrap();
        let every = all["dropped"].as_array().unwrap();
        assert!(kept.len() > 100 && *kept == every[..kept.len()]);
        let rest: String = every[kept.len()..].iter().map(|own| format!("{own}\n")).collect();
        let expected = json!({ "count": 5_000 - kept.len(), "blake3": blake3::hash(rest.as_bytes()).to_hex().to_string() });
        assert_eq!(brief["left_out"]["dropped"], expected);
        assert_eq!((&brief["violations"], &brief["left_out"]["violations"]["count"]), (&json!([]), &json!(1)));
    }
}
