//! What became of one incident of one policy.

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, LabelSet, Record, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_scenarios::incident::expect::{Proposal, Proposed};
use serde::Serialize;

use super::told::{AGAIN_WITHIN, IncidentId, Kind, Told};
use crate::ledger::Labelled;

/// Alerts that begin so soon after an action may be its doing.
const SIDE_EFFECT_WITHIN: Span = Span::from_minutes(10);

/// What an incident came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The last step was verified, nobody was called, and the alert did not come back within the hour.
    Full,
    /// A step was verified, and it was not enough: somebody was called, or the alert came back.
    Partial,
    /// Nothing that was done, if anything was, helped.
    None,
    /// People say that it made things worse.
    Harmful,
    /// Nothing acted, because nothing could: what would have been done has shown no effect.
    Unproven,
}

impl Resolution {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
            Self::Harmful => "harmful",
            Self::Unproven => "unproven",
        }
    }
}

/// The step at which an incident failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its number, from 1.
    pub step: u32,
    /// Why, with figures.
    pub why: String,
}

/// What could have been known earlier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prevention {
    /// The alert that was on first, and was not on before the incident began.
    pub alert: Name,
    /// How much earlier than the alert that the policy answers.
    pub lead: Span,
    /// Whether only the library has its rule.
    pub is_of_library: bool,
}

/// What became of one incident of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lesson {
    /// Where it was told.
    pub source: String,
    /// Where else: a capture of it, or a journal of that capture's replay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// The policy.
    pub policy: Name,
    /// Its number for the incident.
    pub incident: u64,
    /// Whether it was of a simulation, among others that were not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_rehearsed: bool,
    /// The alert.
    pub alert: Name,
    /// When it was opened, of the source's time.
    pub opened: Time,
    /// What was done first, or would have been; `None`: nothing.
    pub did: Option<String>,
    /// What it came to.
    pub resolution: Resolution,
    /// Whether it acted in time: as soon as was expected, else before people did; `None`: nobody says what in time would have been.
    pub timely: Option<bool>,
    /// Where it failed.
    pub failed: Option<Failed>,
    /// Alerts that began within ten minutes after an action and had not been on before.
    pub side_effects: Vec<Name>,
    /// How often the same alert opened an incident again within an hour.
    pub recurrences: u64,
    /// What could have been known earlier.
    pub prevention: Option<Prevention>,
    /// Whether people, or what was expected, say that the decision was right.
    pub right: Option<bool>,
}

impl Lesson {
    /// Whether a source tells of it.
    #[must_use]
    pub fn is_told_by(&self, source: &str) -> bool {
        self.source == source || self.also.iter().any(|also| also == source)
    }
}

/// What one incident's records say.
#[derive(Default)]
struct Notes<'a> {
    opened: Option<(Time, &'a Name, &'a LabelSet)>,
    closed: Option<Time>,
    acts: Vec<(Time, u32, String)>,
    would: Vec<(Time, Proposal)>,
    verified: Vec<(u32, Verification, String)>,
    refused: Option<(u32, String)>,
    paged: bool,
}

/// The lessons of all incidents, in the order in which they were opened.
#[must_use]
pub fn lessons(told: &Told) -> Vec<Lesson> {
    let mut notes: BTreeMap<IncidentId, Notes<'_>> = BTreeMap::new();
    for record in &told.records {
        if let Some(id) = told.incident_of(record) {
            note(notes.entry(id).or_default(), record);
        }
    }
    let mut all: Vec<Lesson> = notes.iter().filter_map(|(key, own)| lesson(told, key, own, &notes)).collect();
    all.sort_by(|one, other| (one.opened, &one.policy, one.incident).cmp(&(other.opened, &other.policy, other.incident)));
    all
}

/// Two sources tell of one incident if they have it at times that are so near.
const NEAR_MS: u64 = 1_000;

/// The lessons of all sources, each incident once: what the ledger has of it counts, and what a capture of it or a replay's journal adds is what was expected.
#[must_use]
pub fn once(all: &[Told]) -> Vec<Lesson> {
    let mut ranked: Vec<&Told> = all.iter().collect();
    ranked.sort_by_key(|told| told.kind != Kind::Live);
    let mut found: Vec<(Kind, i64, Lesson)> = Vec::new();
    for told in ranked {
        for lesson in lessons(told) {
            let at_ms = told.start.prometheus_millis(lesson.opened);
            // Simulated runs begin all at one time, and are each an incident of their own.
            let is_same = |(kind, other_ms, other): &&mut (Kind, i64, Lesson)| {
                told.kind == Kind::Replay
                    && *kind != Kind::Run
                    && other.source != told.name
                    && (&other.policy, &other.alert) == (&lesson.policy, &lesson.alert)
                    && other_ms.abs_diff(at_ms) <= NEAR_MS
            };
            match found.iter_mut().find(is_same) {
                Some((.., known)) => {
                    known.also.push(told.name.clone());
                    known.timely = known.timely.or(lesson.timely);
                    known.right = known.right.or(lesson.right);
                }
                None => found.push((told.kind, at_ms, lesson)),
            }
        }
    }
    let place = |lesson: &Lesson| all.iter().position(|told| told.name == lesson.source);
    let mut lessons: Vec<Lesson> = found.into_iter().map(|(.., lesson)| lesson).collect();
    lessons.sort_by_key(place);
    lessons
}

fn note<'a>(notes: &mut Notes<'a>, record: &'a Record) {
    match &record.event {
        Event::IncidentOpened { alert, labels, .. } => notes.opened = Some((record.at, alert, labels)),
        Event::IncidentClosed { .. } => notes.closed = Some(record.at),
        Event::Decided { step, what, target, .. } => notes.acts.push((record.at, *step, format!("{what} {target}"))),
        Event::WouldAct { policy, what, target, .. } => {
            let what = Proposed::Act(what.clone(), target.clone());
            notes.would.push((record.at, Proposal { at: record.at, policy: policy.clone(), what }));
        }
        Event::Verified { step, verdict, figures, .. } => notes.verified.push((*step, *verdict, figures.clone())),
        Event::Refused { step, guard, figures, .. } => {
            notes.refused.get_or_insert_with(|| (*step, format!("{guard} refused: {figures}")));
        }
        Event::Paged { .. } => notes.paged = true,
        _ => {}
    }
}

fn lesson(told: &Told, id: &IncidentId, own: &Notes<'_>, all: &BTreeMap<IncidentId, Notes<'_>>) -> Option<Lesson> {
    let (opened, alert, labels) = own.opened?;
    let acted = own.acts.first().map(|(at, _, what)| (*at, what.clone()));
    let would = own.would.first().map(|(at, proposal)| (*at, proposal.what.to_string()));
    let first = acted.clone().or(would);
    let closed = own.closed.unwrap_or(opened);
    let again = |(other, notes): &(&IncidentId, &Notes<'_>)| {
        let same = notes.opened.filter(|(at, name, set)| *at > opened && *at <= closed + AGAIN_WITHIN && (*name, *set) == (alert, labels));
        other.policy == id.policy && same.is_some()
    };
    let recurrences = all.iter().filter(again).count() as u64;
    let said = told.said.get(id).map(|said| said.label);
    let right = match said {
        Some(label) => Some(matches!(label, Labelled::Right | Labelled::Redundant)),
        None => expected(told, own),
    };
    Some(Lesson {
        source: told.name.clone(),
        also: Vec::new(),
        policy: id.policy.clone(),
        incident: id.number,
        is_rehearsed: !told.is_rehearsed && told.rehearsed.contains(id),
        alert: alert.clone(),
        opened,
        did: first.as_ref().map(|(_, what)| what.clone()),
        resolution: resolution(own, said, recurrences),
        timely: first.and_then(|(at, what)| {
            // A ledger has incidents of weeks, and what was done in one says nothing of another.
            let first = if told.kind == Kind::Live { at } else { first_of(&what, all).unwrap_or(at) };
            timely(told, id, first)
        }),
        failed: failed(own),
        side_effects: side_effects(told, own),
        recurrences,
        prevention: prevention(told, (opened, alert), all),
        right,
    })
}

fn resolution(own: &Notes<'_>, said: Option<Labelled>, recurrences: u64) -> Resolution {
    if said == Some(Labelled::Harmful) {
        return Resolution::Harmful;
    }
    if own.acts.is_empty() {
        return if own.would.is_empty() { Resolution::None } else { Resolution::Unproven };
    }
    let helped = own.verified.iter().any(|(_, verdict, _)| *verdict == Verification::Held);
    let last = own.verified.last().is_some_and(|(_, verdict, _)| *verdict == Verification::Held);
    match helped {
        true if last && !own.paged && recurrences == 0 => Resolution::Full,
        true => Resolution::Partial,
        false => Resolution::None,
    }
}

/// When the same was done or proposed first in a run or a replay, in whichever incident: one that comes back while nothing can act is no later for it.
fn first_of(act: &str, all: &BTreeMap<IncidentId, Notes<'_>>) -> Option<Time> {
    let acts = all.values().flat_map(|own| own.acts.iter().map(|(at, _, what)| (*at, what.clone())));
    let would = all.values().flat_map(|own| own.would.iter().map(|(at, proposal)| (*at, proposal.what.to_string())));
    acts.chain(would).filter(|(_, what)| what == act).map(|(at, _)| at).min()
}

/// What the expectations of a recorded incident say of what would have been done; `None`: nothing.
fn expected(told: &Told, own: &Notes<'_>) -> Option<bool> {
    let expect = told.expect.as_ref()?;
    let says: Vec<bool> = own.would.iter().filter_map(|(_, proposal)| expect.is_right(proposal, told.start)).collect();
    if says.is_empty() { None } else { Some(says.iter().all(|right| *right)) }
}

/// By what was expected of the incident, else by when people acted in it.
fn timely(told: &Told, id: &IncidentId, at: Time) -> Option<bool> {
    let onset = told.onset.unwrap_or(Time::ZERO);
    let within = told.expect.as_ref().and_then(|expect| expect.must.iter().filter_map(|expected| expected.within).min());
    match within {
        Some(within) => Some(at <= onset + within),
        None => {
            let own = told.people.iter().filter(|deed| deed.is_of(id)).map(|deed| deed.at);
            own.filter(|own| *own >= onset).min().map(|people| at <= people)
        }
    }
}

fn failed(own: &Notes<'_>) -> Option<Failed> {
    let unverified = own.verified.iter().find(|(_, verdict, _)| *verdict != Verification::Held);
    match (unverified, &own.refused) {
        (Some((step, verdict, figures)), _) => {
            let how = if *verdict == Verification::Failed { "its verification failed" } else { "its verification had no data" };
            Some(Failed { step: step + 1, why: format!("{how}: {figures}") })
        }
        // A refusal that was overcome is none.
        (None, Some((step, why))) if own.acts.is_empty() && own.would.is_empty() => Some(Failed { step: step + 1, why: why.clone() }),
        _ => None,
    }
}

fn side_effects(told: &Told, own: &Notes<'_>) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for (acted, _, _) in &own.acts {
        let soon = told.seen.iter().filter(|seen| !seen.is_of_library && seen.at > *acted && seen.at <= *acted + SIDE_EFFECT_WITHIN);
        let new = soon.filter(|seen| !told.seen.iter().any(|other| other.alert == seen.alert && other.at <= *acted));
        names.extend(new.map(|seen| seen.alert.clone()));
    }
    names.sort();
    names.dedup();
    names
}

/// The first alert after the onset that was not on before it, if it came before the one that was answered.
fn prevention(told: &Told, (opened, answered): (Time, &Name), all: &BTreeMap<IncidentId, Notes<'_>>) -> Option<Prevention> {
    let onset = told.onset?;
    let quiet = |alert: &Name| !told.seen.iter().any(|seen| seen.alert == *alert && seen.at < onset);
    let first = told.seen.iter().filter(|seen| seen.at >= onset && seen.at < opened).find(|seen| quiet(&seen.alert))?;
    // Where a policy was at work already nobody had to be told.
    if all.values().any(|own| own.opened.is_some_and(|(at, ..)| at <= first.at)) {
        return None;
    }
    let lead = opened - first.at;
    // The answered alert fires before the policy hears of it; that is no lead that another rule would give.
    (*answered != first.alert).then(|| Prevention { alert: first.alert.clone(), lead, is_of_library: first.is_of_library })
}

#[cfg(test)]
mod tests {
    use super::super::told::tests::{Script, deed, ledger, script};
    use super::*;

    #[track_caller]
    fn check(told: &Told, expected: &str) {
        let all = lessons(told);
        let told = |lesson: &Lesson| {
            let failed = lesson.failed.as_ref().map_or_else(String::new, |failed| format!(" failed at {}: {}", failed.step, failed.why));
            let side = if lesson.side_effects.is_empty() { String::new() } else { format!(" then {:?}", lesson.side_effects) };
            let timely = lesson.timely.map_or("?", |timely| if timely { "in time" } else { "late" });
            format!("{} {timely} again {}{failed}{side}", lesson.resolution.word(), lesson.recurrences)
        };
        assert_eq!(all.iter().map(told).collect::<Vec<_>>().join("; "), expected);
    }

    #[test]
    fn an_incident_counts_once_however_many_sources_tell_of_it() {
        let lines = [Script::Open(1, 10), Script::Would(1, 12), Script::Close(1, 60), Script::Open(2, 5_000), Script::Close(2, 5_060)];
        let named = |name: &str, kind: Kind| Told { name: name.to_owned(), kind, ..script(&lines) };
        let all = [named("captured", Kind::Replay), named("ledger of p", Kind::Live), named("its journal", Kind::Replay)];
        let found = once(&all);
        let shown: Vec<(&str, u64, &[String])> = found.iter().map(|own| (own.source.as_str(), own.incident, own.also.as_slice())).collect();
        let also = ["captured".to_owned(), "its journal".to_owned()];
        assert_eq!(shown, [("ledger of p", 1, &also[..]), ("ledger of p", 2, &also[..])]);
        // Two runs are two, though they begin at the same time.
        assert_eq!(once(&[named("one", Kind::Run), named("other", Kind::Run)]).len(), 4);
    }

    #[test]
    fn what_is_verified_and_stays_away_is_full() {
        check(&script(&[Script::Open(1, 10), Script::Act(1, 12), Script::Held(1, 60), Script::Close(1, 60)]), "full ? again 0");
    }

    #[test]
    fn what_comes_back_or_calls_somebody_is_partial_and_what_never_helps_is_none() {
        let back = [
            Script::Open(1, 10),
            Script::Act(1, 12),
            Script::Held(1, 60),
            Script::Close(1, 60),
            Script::Open(2, 500),
            Script::Close(2, 900),
        ];
        check(&script(&back), "partial ? again 1; none ? again 0");
        let called = [Script::Open(1, 10), Script::Act(1, 12), Script::Held(1, 60), Script::Page(1, 70), Script::Close(1, 70)];
        check(&script(&called), "partial ? again 0");
        let failed = [Script::Open(1, 10), Script::Act(1, 12), Script::Failed(1, 90), Script::Page(1, 90), Script::Close(1, 90)];
        check(&script(&failed), "none ? again 0 failed at 1: its verification failed: up 0 == 1");
        let refused = [Script::Open(1, 10), Script::Refuse(1, 12), Script::Page(1, 13), Script::Close(1, 13)];
        check(&script(&refused), "none ? again 0 failed at 1: cooldown refused: 2m of 10m");
    }

    #[test]
    fn what_would_have_been_done_is_unproven_and_what_people_call_harmful_is() {
        let mut told = script(&[Script::Open(1, 10), Script::Would(1, 12), Script::Close(1, 300)]);
        check(&told, "unproven ? again 0");
        told.said.insert(IncidentId::first(Name::new("p"), 1), super::super::told::Said { label: Labelled::Harmful });
        check(&told, "harmful ? again 0");
        assert_eq!(lessons(&told)[0].right, Some(false));
    }

    #[test]
    fn in_time_is_before_people_acted() {
        let mut told = script(&[Script::Open(1, 10), Script::Act(1, 12), Script::Held(1, 60), Script::Close(1, 60)]);
        told.onset = Some(Time::from_seconds(5));
        told.people = vec![deed(2, "deployed"), deed(300, "rolled back")];
        check(&told, "full in time again 0");
        told.people[1].at = Time::from_seconds(11);
        check(&told, "full late again 0");
    }

    #[test]
    fn in_the_ledger_in_time_is_before_people_acted_in_the_same_incident() {
        let lines = |first: u64, second: u64| {
            let day = 86_400;
            let (first, second) = (1_000 + 60 * first, day + 60 * second);
            [
                Script::Open(0, 1_000),
                Script::Would(0, first),
                Script::Close(0, first + 60),
                Script::Open(1, day),
                Script::Would(1, second),
                Script::Close(1, second + 60),
            ]
        };
        // People act ten minutes after each began.
        let deeds = [("p#0", 1_600), ("p#1", 87_000)];
        check(&ledger(&lines(1, 40), &deeds), "unproven in time again 0; unproven late again 0");
        check(&ledger(&lines(40, 1), &deeds), "unproven late again 0; unproven in time again 0");
        check(&ledger(&lines(1, 1), &deeds[1..]), "unproven ? again 0; unproven in time again 0");
    }

    #[test]
    fn alerts_that_begin_after_an_action_are_told_and_what_was_on_before_is_not() {
        let all = [
            Script::Fire("Old", 1),
            Script::Open(1, 10),
            Script::Act(1, 12),
            Script::Fire("Old", 20),
            Script::Fire("New", 30),
            Script::Held(1, 60),
            Script::Close(1, 60),
            Script::Fire("Late", 700),
        ];
        check(&script(&all), "full ? again 0 then [\"New\"]");
    }

    #[test]
    fn what_was_on_first_and_not_before_the_onset_would_have_been_earlier() {
        let mut told = script(&[
            Script::Fire("Noise", 1),
            Script::Fire("Noise", 100),
            Script::Fire("Early", 110),
            Script::Fire("A", 290),
            Script::Open(1, 300),
        ]);
        assert_eq!(lessons(&told)[0].prevention, None, "nobody knows when it began");
        told.onset = Some(Time::from_seconds(90));
        let found = lessons(&told)[0].prevention.clone().unwrap();
        assert_eq!((found.alert.as_str(), found.lead), ("Early", Span::from_seconds(190)));
        told.onset = Some(Time::from_seconds(200));
        assert_eq!(lessons(&told)[0].prevention, None, "the answered alert itself is no lead");
        let mut told =
            script(&[Script::Open(1, 100), Script::Would(1, 101), Script::Fire("Early", 110), Script::Open(2, 300), Script::Would(2, 301)]);
        told.onset = Some(Time::from_seconds(90));
        told.people = vec![deed(200, "looked")];
        let all = lessons(&told);
        assert_eq!((&all[1].prevention, all[1].timely), (&None, Some(true)), "the policy was at work already, and proposes the same again");
    }
}
