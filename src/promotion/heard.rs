//! What a watcher's chain holds, put together for promotions: what was told in order, what was answered to which question, and who was watched when.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Input, LabelSet, Truth};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::correlation::INCIDENT;
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::watcher::{Observation, Observed};
use jiff::Timestamp;

use crate::ledger::{ANSWERING, ASIDE, Chain, REHEARSAL, Recorded, What, plain_question};

/// A watcher that is quiet writes a sign of life every hour; whoever writes nothing for this much longer did not watch.
pub const SILENCE: Span = Span::from_minutes(65);

/// For so long after the last news of a group what comes next of it is another trouble, whether or not anybody told that the one before is over.
const QUIET: Span = Span::from_minutes(24 * 60);

/// What a watcher was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The calendar instant from which its instants count.
    pub start: Start,
    /// In order, session by session.
    pub observed: Vec<Observed>,
    /// What was declared to exist.
    pub inventory: Inventory,
    /// By what was asked, as `ledger::plain_question` has it, in order of time.
    pub answers: BTreeMap<String, Vec<(Time, Input)>>,
    /// From when to when it was told of a simulation.
    pub rehearsed: Vec<Stretch>,
    /// What of the time of each session does not count.
    uncounted: Vec<Uncounted>,
    /// Whether what was told of a simulation counts as what was seen live, as the project says.
    pub do_rehearsals_count: bool,
    /// What was told of each alert, so that nobody looks through all that was observed for each incident.
    episodes: BTreeMap<LabelSet, Vec<Episode>>,
    /// When messages of alerts came, in order, and of which trouble.
    told: Vec<Told>,
}

/// From when to when.
type Stretch = (Time, Time);

/// What of the time of a session does not count: each ends with the session, if not before.
#[derive(Clone, Debug, Default, PartialEq)]
struct Uncounted {
    /// From when to when Prometheus gave no answer at all.
    unanswered: Vec<Stretch>,
    /// From when to when it was told of a simulation.
    rehearsed: Vec<Stretch>,
    /// By policy from when to when its chain could not be written: what it decided is missing there.
    aside: BTreeMap<Name, Stretch>,
}

/// A message of alerts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// When it came.
    pub at: Time,
    /// The place among what was observed of the first message of its trouble: of its group since all of the group's alerts were over, or nothing new came of it
    /// for a day; of a message without a group its own.
    pub trouble: usize,
}

/// What was told of an alert last, of what was told until an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Episode {
    /// The instant.
    until: Time,
    /// The place of the message among what was observed.
    place: usize,
    /// The message.
    told: Told,
    /// When the alert began.
    began: Time,
}

impl Heard {
    /// Of the chain `watch`, out of which somebody has read the rest.
    #[must_use]
    pub fn of((start, observed, inventory): (Start, Vec<Observed>, Inventory), watch: &Chain) -> Self {
        let mut answers: BTreeMap<String, Vec<(Time, Input)>> = BTreeMap::new();
        for own in &watch.entries {
            if let What::Observation { question: Some(question), input, .. } = &own.entry.what
                && let Ok(input) = serde_json::from_value(input.clone())
            {
                answers.entry(plain_question(question)).or_default().push((instant(start, own.entry.at), input));
            }
        }
        let troubles = troubles(&observed);
        let episodes = episodes(&observed, &troubles);
        let uncounted: Vec<Uncounted> = sessions(watch).map(|session| Uncounted::of(start, &session)).collect();
        Self {
            start,
            observed,
            inventory,
            answers,
            rehearsed: uncounted.iter().flat_map(|own| &own.rehearsed).copied().collect(),
            uncounted,
            do_rehearsals_count: false,
            episodes,
            told: troubles.into_values().collect(),
        }
    }

    /// The same where the project says whether what was told of a simulation counts.
    #[must_use]
    pub fn with_rehearsals(self, do_rehearsals_count: bool) -> Self {
        Self { do_rehearsals_count, ..self }
    }

    /// Whether what was told at an instant was of a simulation.
    #[must_use]
    pub fn is_rehearsed(&self, at: Timestamp) -> bool {
        self.is_rehearsed_at(self.instant(at))
    }

    /// The same of one of its own instants.
    #[must_use]
    pub fn is_rehearsed_at(&self, at: Time) -> bool {
        self.rehearsed.iter().any(|(from, until)| *from <= at && at <= *until)
    }

    /// An instant of the calendar, as these count.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Time {
        instant(self.start, at)
    }

    /// An instant of these, as the calendar has it, to the millisecond.
    #[must_use]
    pub fn calendar(&self, at: Time) -> Timestamp {
        Timestamp::from_millisecond(self.start.prometheus_millis(at)).unwrap_or_default()
    }

    /// When an alert began that was on at an instant, as it was last told of until then, and by which message that was. `None`: nothing was told of the alert.
    #[must_use]
    pub fn began(&self, labels: &LabelSet, at: Time) -> Option<(Time, Told)> {
        let told = self.episodes.get(labels)?;
        let last = told[..told.partition_point(|own| own.until <= at)].last()?;
        Some((last.began, last.told))
    }

    /// Whether anything was ever told of an alert.
    #[must_use]
    pub fn is_told(&self, labels: &LabelSet) -> bool {
        self.episodes.contains_key(labels)
    }

    /// The last message of alerts until an instant. What is made of several alerts together is made of it at once. `None`: there was none.
    #[must_use]
    pub fn last_told(&self, at: Time) -> Option<Told> {
        self.told.iter().rev().find(|own| own.at <= at).copied()
    }

    /// The last message that an incident with these labels was taken up for. `None`: nothing was told of it.
    #[must_use]
    pub fn told_of(&self, labels: &LabelSet, at: Timestamp) -> Option<Told> {
        // What is made of several alerts has labels of its own.
        if labels.keys().any(|name| name.as_str() == INCIDENT) {
            return self.last_told(self.instant(at));
        }
        self.began(labels, self.instant(at)).map(|(_, told)| told)
    }

    /// Whether an incident that was taken up then is of a simulation: an alert is on for longer than the session in which it was told of.
    #[must_use]
    pub fn is_of_simulation(&self, labels: &LabelSet, at: Timestamp) -> bool {
        self.is_rehearsed(at) || self.told_of(labels, at).is_some_and(|told| self.is_rehearsed_at(told.at))
    }

    /// For how long a policy was watched at a stage since then; `None`: since ever. What counts lies between the beginning of a session and the last
    /// thing that it wrote down: a watcher that is quiet writes a sign of life every hour, and one that does not run writes nothing. What a clock jumped
    /// over was not watched, nor what lies between two things that it wrote down and is longer than [`SILENCE`]: it was stopped then, and no sign of life came.
    /// Where several watched at once, the time counts once.
    ///
    /// While Prometheus gave no answer nothing was watched either: a policy that can ask nothing shows nothing. Nor was a policy whose chain could not be written:
    /// what it decided then is missing there.
    #[must_use]
    pub fn watched(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> Span {
        length(self.counted(policy, stage, since).flat_map(|(session, stretch)| outside(stretch, &self.uncounted(session).unanswered)))
    }

    /// How much of the time in which somebody watched was that of a simulation.
    #[must_use]
    pub fn of_simulation(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> Span {
        let all = self.stretches(policy, stage, since);
        let live = all.iter().flat_map(|(session, stretch)| outside(*stretch, &self.uncounted(*session).rehearsed));
        let live = length(live);
        Span::from_nanos(length(all.into_iter().map(|(_, stretch)| stretch)).as_nanos().saturating_sub(live.as_nanos()))
    }

    /// How much more it would have been if Prometheus had always answered.
    #[must_use]
    pub fn unanswered(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> Span {
        let all = length(self.counted(policy, stage, since).map(|(_, stretch)| stretch));
        Span::from_nanos(all.as_nanos().saturating_sub(self.watched(policy, stage, since).as_nanos()))
    }

    /// What of the time of a session does not count.
    fn uncounted(&self, session: usize) -> &Uncounted {
        const NOTHING: &Uncounted = &Uncounted { unanswered: Vec::new(), rehearsed: Vec::new(), aside: BTreeMap::new() };
        self.uncounted.get(session).unwrap_or(NOTHING)
    }

    /// The stretches of time in which somebody watched what counts, each with its session.
    fn counted(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> impl Iterator<Item = (usize, Stretch)> {
        let live = |(session, stretch): (usize, Stretch)| {
            let uncounted = if self.do_rehearsals_count { &[][..] } else { &self.uncounted(session).rehearsed };
            outside(stretch, uncounted).into_iter().map(move |stretch| (session, stretch))
        };
        self.stretches(policy, stage, since).into_iter().flat_map(live)
    }

    /// The stretches of time in which somebody watched, each with its session.
    fn stretches(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> Vec<(usize, Stretch)> {
        let from = since.map_or(Time::ZERO, |since| self.instant(since));
        let (mut began, mut seen_until): (usize, Option<Time>) = (0, None);
        let mut stretches: Vec<(usize, Stretch)> = Vec::new();
        for Observed { at, what } in &self.observed {
            let until = if let Observation::ClockSet { expected } = what { *expected } else { *at };
            let is_on = match what {
                Observation::Began { policies, .. } => {
                    (began, seen_until) = (began + 1, None);
                    policies.get(policy).is_some_and(|session| session.stage == stage)
                }
                _ => seen_until.is_some(),
            };
            if let Some(before) = seen_until.filter(|before| until.since(*before) <= SILENCE) {
                stretches.push((began - 1, (before.max(from), until)));
            }
            seen_until = is_on.then_some(*at);
        }
        let written = |(session, stretch): (usize, Stretch)| {
            let aside = self.uncounted(session).aside.get(policy).map_or(&[][..], std::slice::from_ref);
            outside(stretch, aside).into_iter().map(move |stretch| (session, stretch))
        };
        stretches.into_iter().flat_map(written).collect()
    }
}

/// What was told of each alert, in order of time. A clock that was set back makes what came later of an earlier time; what came last counts.
fn episodes(observed: &[Observed], troubles: &BTreeMap<usize, Told>) -> BTreeMap<LabelSet, Vec<Episode>> {
    let mut all: BTreeMap<LabelSet, Vec<Episode>> = BTreeMap::new();
    for (place, told) in troubles {
        let Observation::Told { alerts } = &observed[*place].what else { continue };
        for alerted in alerts {
            let episode = Episode { until: told.at, place: *place, told: *told, began: alerted.notification.starts_at };
            match all.get_mut(&alerted.notification.labels) {
                Some(own) => own.push(episode),
                None => _ = all.insert(alerted.notification.labels.clone(), vec![episode]),
            }
        }
    }
    for own in all.values_mut() {
        own.sort_by_key(|episode| episode.until);
        for index in 1..own.len() {
            let before = own[index - 1];
            if before.place > own[index].place {
                own[index] = Episode { until: own[index].until, ..before };
            }
        }
    }
    all
}

/// A group of alerts while some of them are on.
struct Group<'a> {
    firing: BTreeSet<&'a LabelSet>,
    first: usize,
    last: Time,
}

/// The messages of alerts, by their places, each with its trouble: a group that grows is told again with each new alert of it.
fn troubles(observed: &[Observed]) -> BTreeMap<usize, Told> {
    let mut groups: BTreeMap<&Name, Group<'_>> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (place, Observed { at, what }) in observed.iter().enumerate() {
        let Observation::Told { alerts } = what else { continue };
        let Some(key) = alerts.first().and_then(|alerted| alerted.group.as_ref()) else {
            all.insert(place, Told { at: *at, trouble: place });
            continue;
        };
        // One that is over, or of which nothing came for long, begins anew.
        let begun = groups.remove(key).filter(|group| !group.firing.is_empty() && at.since(group.last) < QUIET);
        let group = groups.entry(key).or_insert(begun.unwrap_or_else(|| Group { firing: BTreeSet::new(), first: place, last: *at }));
        group.last = *at;
        for alerted in alerts {
            let labels = &alerted.notification.labels;
            match alerted.notification.status {
                AlertStatus::Firing => _ = group.firing.insert(labels),
                AlertStatus::Resolved => _ = group.firing.remove(labels),
            }
        }
        all.insert(place, Told { at: *at, trouble: group.first });
    }
    all
}

/// The sessions of a watcher's chain that have a beginning, each with whether it may still go on, and is the only one that may.
fn sessions(watch: &Chain) -> impl Iterator<Item = (Vec<&Recorded>, bool)> {
    let head = if let [head] = &watch.heads[..] { Some(&head.hash) } else { None };
    let all = watch.sessions().into_iter().filter(|own| own.first().is_some_and(|first| first.entry.what.begins_session()));
    all.map(move |own| {
        let is_open = own.last().map(|last| &last.hash) == head;
        (own, is_open)
    })
}

impl Uncounted {
    fn of(start: Start, session: &(Vec<&Recorded>, bool)) -> Self {
        let is_simulation = |what: &What| matches!(what, What::State { of, .. } if of == REHEARSAL).then_some(());
        let policy = |what: &What| match what {
            What::State { of, value } if of == ASIDE => value.get("policy")?.as_str().map(Name::new),
            _ => None,
        };
        Self {
            unanswered: unanswered(start, &session.0),
            rehearsed: until_it_ends((start, session), is_simulation).into_values().collect(),
            aside: until_it_ends((start, session), policy),
        }
    }
}

/// From when to when Prometheus gave no answer at all in a session: from the last answer until the next one, or beyond its end. What older watchers have written
/// says nothing of that, and counts as answered.
fn unanswered(start: Start, session: &[&Recorded]) -> Vec<Stretch> {
    let mut all = Vec::new();
    // Since when there was none; the last that is known to be one.
    let (mut open, mut answered): (Option<Time>, Option<Time>) = (None, None);
    for own in session {
        let at = instant(start, own.entry.at);
        match &own.entry.what {
            What::State { of, value } if of == ANSWERING && value.get("answers") == Some(&serde_json::Value::Bool(false)) => {
                open = open.or(answered).or(Some(at));
            }
            what if what.begins_session() || is_answer(what) => {
                all.extend(open.take().map(|from| (from, at)));
                answered = Some(at);
            }
            _ => {}
        }
    }
    all.extend(open.map(|from| (from, Time::MAX)));
    all
}

/// From when to when something holds, by what it holds of: from the entry that says so to the end of its session; where the clock is set back in it, from the
/// first to the last time that it has since.
fn until_it_ends<K: Ord>(
    (start, (session, is_open)): (Start, &(Vec<&Recorded>, bool)),
    mark: impl Fn(&What) -> Option<K>,
) -> BTreeMap<K, Stretch> {
    let mut all: BTreeMap<K, Stretch> = BTreeMap::new();
    for own in session {
        let at = instant(start, own.entry.at);
        if let Some(key) = mark(&own.entry.what) {
            all.entry(key).or_insert((at, at));
        }
        for (from, until) in all.values_mut() {
            (*from, *until) = ((*from).min(at), (*until).max(at));
        }
    }
    if *is_open {
        // What goes on holds of all that is still to come.
        all.values_mut().for_each(|(_, until)| *until = Time::MAX);
    }
    all
}

/// Whether an entry shows that Prometheus answered.
fn is_answer(what: &What) -> bool {
    match what {
        What::State { of, value } if of == ANSWERING => value.get("answers") == Some(&serde_json::Value::Bool(true)),
        What::Observation { incident: Some(_), input, .. } => match serde_json::from_value(input.clone()) {
            Ok(Input::Evaluated { verdict, .. }) => verdict != Truth::Unknown,
            Ok(Input::Measured { value, .. }) => value.is_some(),
            Ok(Input::Counted { error, .. } | Input::Listed { error, .. }) => error.is_empty(),
            _ => false,
        },
        _ => false,
    }
}

/// What lies of a stretch outside of others.
pub(crate) fn outside<T: Copy + Ord>(stretch: (T, T), gaps: &[(T, T)]) -> Vec<(T, T)> {
    let mut left = vec![stretch];
    for (from, until) in gaps {
        let cut = |(begin, end): (T, T)| [(begin, end.min(*from)), (begin.max(*until), end)];
        left = left.into_iter().flat_map(cut).filter(|(begin, end)| begin < end).collect();
    }
    left
}

/// How long stretches are together, each as `length` has it; what lies in several counts once. One that ends before it begins has no length.
pub(super) fn united<T: Copy + Ord>(mut stretches: Vec<(T, T)>, length: impl Fn(T, T) -> Span) -> Span {
    stretches.sort_unstable();
    let (mut total, mut seen): (Span, Option<T>) = (Span::ZERO, None);
    for (from, until) in stretches {
        total = total + length(seen.map_or(from, |seen| seen.max(from)), until);
        seen = Some(seen.map_or(until, |seen| seen.max(until)));
    }
    total
}

fn length(stretches: impl Iterator<Item = Stretch>) -> Span {
    united(stretches.collect(), |from: Time, until: Time| until.since(from))
}

fn instant(start: Start, at: Timestamp) -> Time {
    let nanos = at.as_nanosecond() - i128::from(start.unix_millis()) * 1_000_000;
    Time::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use firedrill_core::journal::{AlertStatus, Notification};
    use firedrill_policies::watcher::{Alerted, Session};

    use super::*;
    use crate::ledger::SESSION;

    fn began(stage: Stage) -> Observation {
        let session = Session { hash: String::new(), stage, next_decision: 0, next_incident: 0, abandoned: Vec::new() };
        Observation::Began { policies: [(Name::new("p"), session)].into(), engine: "e".to_owned(), start_ms: 0 }
    }

    fn of_observed(start: Start, observed: Vec<Observed>) -> Heard {
        let watch = crate::ledger::Chain::of_bytes(&Name::new("watch"), "watch", b"");
        Heard::of((start, observed, Inventory::default()), &watch)
    }

    #[track_caller]
    fn check(observed: Vec<(u64, Observation)>, since: Option<i64>, seconds: u64) {
        let observed = observed.into_iter().map(|(second, what)| Observed { at: Time::from_seconds(second), what }).collect();
        let start = Start::from_unix_millis(0);
        let heard = of_observed(start, observed);
        let since = since.map(|second| Timestamp::from_second(second).unwrap());
        assert_eq!(heard.watched(&Name::new("p"), Stage::DryRun, since), Span::from_seconds(seconds));
        assert_eq!(heard.watched(&Name::new("q"), Stage::DryRun, since), Span::ZERO, "another policy is not watched");
    }

    #[test]
    fn what_counts_is_from_the_beginning_of_a_session_to_the_last_thing_that_it_wrote() {
        let quiet = || vec![(100, began(Stage::DryRun)), (400, Observation::Passed)];
        check(quiet(), None, 300);
        check(quiet(), Some(350), 50);
        check(quiet(), Some(500), 0);
        // Between two sessions nobody watches, however short the first was.
        check([quiet(), vec![(9_000, began(Stage::DryRun)), (9_010, Observation::Passed)]].concat(), None, 310);
        // At another stage it is watched as something else.
        check([vec![(10, began(Stage::Shadow)), (90, Observation::Passed)], quiet()].concat(), None, 300);
    }

    #[test]
    fn a_time_that_the_clock_jumps_over_is_not_watched() {
        let expected = Time::from_seconds(160);
        let jump = vec![(100, began(Stage::DryRun)), (9_000, Observation::ClockSet { expected }), (9_030, Observation::Passed)];
        check(jump, None, 90);
        let back = vec![(100, began(Stage::DryRun)), (50, Observation::ClockSet { expected }), (80, Observation::Passed)];
        check(back, None, 90);
    }

    #[test]
    fn a_time_without_a_sign_of_life_is_not_watched() {
        let stopped =
            vec![(100, began(Stage::DryRun)), (3_800, Observation::Passed), (15_000, Observation::Passed), (15_060, Observation::Passed)];
        check(stopped, None, 3_760);
    }

    #[test]
    fn a_time_in_which_prometheus_gave_no_answer_is_not_watched() {
        use crate::ledger::{Entry, Ledger, WATCH};
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new(WATCH));
        let state = |second: i64, of: &str, value: serde_json::Value| Entry {
            at: Timestamp::from_second(second).unwrap(),
            by: WATCH.to_owned(),
            what: What::State { of: of.to_owned(), value },
        };
        let answers = |second: i64, answers: bool| state(second, ANSWERING, serde_json::json!({ "answers": answers }));
        let asked = |second: i64, verdict: Truth| Entry {
            what: What::Observation {
                incident: Some("p#0".to_owned()),
                question: None,
                input: serde_json::to_value(Input::Evaluated { query: 0, verdict, figures: String::new() }).unwrap(),
            },
            ..state(second, "", serde_json::Value::Null)
        };
        let session = |second: i64| state(second, SESSION, serde_json::json!({}));
        let entries = vec![
            session(100),
            answers(100, true),
            answers(400, true),
            // From the last answer on, whatever was asked since.
            asked(500, Truth::Unknown),
            answers(700, false),
            answers(1_000, true),
            asked(1_100, Truth::True),
            answers(1_300, false),
            asked(1_400, Truth::False),
            // From the beginning of a session to its end.
            session(2_000),
            answers(2_010, false),
            answers(2_300, false),
            session(3_000),
            answers(3_000, false),
        ];
        Ledger::open(folder.path(), &name).unwrap().0.append(entries).unwrap();
        let watch = Ledger::read(folder.path(), &name).unwrap();
        let found = sessions(&watch).map(|(session, _)| seconds(&unanswered(Start::from_unix_millis(0), &session)));
        let expected = [vec![(400, 1_000), (1_100, 1_400)], vec![(2_000, u64::MAX)], vec![(3_000, u64::MAX)]];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let seconds = |(from, until): (u64, u64)| (Time::from_seconds(from), Time::from_seconds(until));
        let gaps = [seconds((10, 20)), seconds((30, 40))];
        assert_eq!(outside(seconds((15, 35)), &gaps), [seconds((20, 30))]);
        assert_eq!(outside(seconds((0, 50)), &gaps), [seconds((0, 10)), seconds((20, 30)), seconds((40, 50))]);
        assert_eq!(outside(seconds((11, 19)), &gaps), []);
    }

    #[test]
    fn a_time_of_a_simulation_is_not_watched_live_unless_the_project_says_so() {
        use crate::ledger::{Entry, Ledger, WATCH};
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new(WATCH));
        let entry = |second: i64, of: &str| Entry {
            at: Timestamp::from_second(second).unwrap(),
            by: WATCH.to_owned(),
            what: What::State { of: of.to_owned(), value: serde_json::json!({}) },
        };
        let entries = vec![entry(100, SESSION), entry(150, REHEARSAL), entry(400, "x"), entry(500, SESSION), entry(900, "x")];
        Ledger::open(folder.path(), &name).unwrap().0.append(entries).unwrap();
        let watch = Ledger::read(folder.path(), &name).unwrap();
        let start = Start::from_unix_millis(0);
        let observed = [(100, began(Stage::DryRun)), (400, Observation::Passed), (500, began(Stage::DryRun)), (900, Observation::Passed)];
        let observed = observed.map(|(second, what)| Observed { at: Time::from_seconds(second), what }).to_vec();
        let heard = Heard::of((start, observed, Inventory::default()), &watch);
        let (policy, seconds) = (Name::new("p"), Span::from_seconds);
        let of = |heard: &Heard| {
            let (watched, unanswered) = (heard.watched(&policy, Stage::DryRun, None), heard.unanswered(&policy, Stage::DryRun, None));
            (watched, unanswered, heard.of_simulation(&policy, Stage::DryRun, None))
        };
        assert_eq!(of(&heard), (seconds(450), Span::ZERO, seconds(250)));
        let at = |second: i64| heard.is_rehearsed(Timestamp::from_second(second).unwrap());
        assert_eq!([149, 150, 400, 401, 500].map(at), [false, true, true, false, false]);
        assert_eq!(of(&heard.clone().with_rehearsals(true)), (seconds(700), Span::ZERO, seconds(250)));
    }

    /// A chain `watch` of states, each at a second.
    fn states(entries: Vec<(i64, &str, serde_json::Value)>) -> String {
        use crate::ledger::{Entry, Ledger, WATCH};
        let folder = tempfile::tempdir().unwrap();
        let entry = |(second, of, value): (i64, &str, serde_json::Value)| Entry {
            at: Timestamp::from_second(second).unwrap(),
            by: WATCH.to_owned(),
            what: What::State { of: of.to_owned(), value },
        };
        Ledger::open(folder.path(), &Name::new(WATCH)).unwrap().0.append(entries.into_iter().map(entry).collect()).unwrap();
        std::fs::read_to_string(folder.path().join("watch.jsonl")).unwrap()
    }

    fn of_states(text: &str) -> Chain {
        Chain::of_bytes(&Name::new("watch"), "watch", text.as_bytes()).sound().unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    fn rehearsed(watch: &Chain) -> Vec<Stretch> {
        sessions(watch).flat_map(|session| Uncounted::of(Start::from_unix_millis(0), &session).rehearsed).collect()
    }

    fn seconds(stretches: &[(Time, Time)]) -> Vec<(u64, u64)> {
        let second = |at: Time| if at == Time::MAX { u64::MAX } else { at.as_seconds() as u64 };
        stretches.iter().map(|(from, until)| (second(*from), second(*until))).collect()
    }

    #[test]
    fn a_session_of_a_simulation_is_one_also_where_its_clock_is_set_back() {
        let none = serde_json::Value::Null;
        let all = [(100, SESSION), (12_000, REHEARSAL), (15_000, "x"), (11_000, "x"), (11_100, "x"), (11_200, SESSION), (16_000, "x")];
        let watch = of_states(&states(all.map(|(second, of)| (second, of, none.clone())).to_vec()));
        assert_eq!(seconds(&rehearsed(&watch)), [(11_000, 15_000)]);
    }

    #[test]
    fn a_session_of_a_simulation_goes_on_beside_that_of_another_clone() {
        let none = serde_json::Value::Null;
        let text = |rest: &[(i64, &str)]| {
            let all = [(100, SESSION), (200, REHEARSAL), (300, "x")];
            states(all.into_iter().chain(rest.iter().copied()).map(|(second, of)| (second, of, none.clone())).collect())
        };
        let (common, own, other) = (text(&[]), text(&[(900, "x"), (1_000, "x")]), text(&[(400, SESSION), (500, "x"), (1_500, "x")]));
        for both in [format!("{own}{}", &other[common.len()..]), format!("{other}{}", &own[common.len()..])] {
            let watch = of_states(&both);
            assert_eq!(watch.heads.len(), 2);
            assert_eq!(seconds(&rehearsed(&watch)), [(200, 1_000)]);
        }
    }

    #[test]
    fn what_one_clone_could_not_be_answered_is_its_own_whichever_session_stands_before_it() {
        let none = serde_json::Value::Null;
        let text = |rest: &[(i64, &str)]| {
            let all = [(100, SESSION, none.clone()), (300, ANSWERING, serde_json::json!({ "answers": false }))];
            states(all.into_iter().chain(rest.iter().map(|(second, of)| (*second, *of, none.clone()))).collect())
        };
        let (common, own, other) = (text(&[]), text(&[(900, "x"), (1_000, "x")]), text(&[(400, SESSION), (500, "x"), (1_500, "x")]));
        let watch = of_states(&format!("{own}{}", &other[common.len()..]));
        let spans: Vec<Vec<i64>> = watch.sessions().iter().map(|own| own.iter().map(|own| own.entry.at.as_second()).collect()).collect();
        assert_eq!(spans, [vec![100, 300, 900, 1_000], vec![400, 500, 1_500]]);
        let session = |seconds: &[u64]| {
            let observed = |(place, second): (usize, &u64)| {
                let what = if place == 0 { began(Stage::DryRun) } else { Observation::Passed };
                Observed { at: Time::from_seconds(*second), what }
            };
            seconds.iter().enumerate().map(observed).collect::<Vec<_>>()
        };
        let observed = [session(&[100, 300, 900, 1_000]), session(&[400, 500, 1_500])].concat();
        let heard = Heard::of((Start::from_unix_millis(0), observed, Inventory::default()), &watch);
        let policy = Name::new("p");
        let found = (heard.watched(&policy, Stage::DryRun, None), heard.unanswered(&policy, Stage::DryRun, None));
        assert_eq!(found, (Span::from_seconds(1_100), Span::from_seconds(300)));
    }

    #[test]
    fn a_time_in_which_the_chain_of_a_policy_could_not_be_written_is_not_watched() {
        let of = |policy: &str| serde_json::json!({ "policy": policy, "why": "a conflict" });
        let none = serde_json::Value::Null;
        let all =
            vec![(100, SESSION, none.clone()), (400, ASIDE, of("p")), (450, ASIDE, of("p")), (600, ASIDE, of("q")), (700, SESSION, none)];
        let watch = of_states(&states(all));
        let observed = [(100, began(Stage::DryRun)), (600, Observation::Passed), (700, began(Stage::DryRun)), (900, Observation::Passed)];
        let observed = observed.map(|(second, what)| Observed { at: Time::from_seconds(second), what }).to_vec();
        let heard = Heard::of((Start::from_unix_millis(0), observed, Inventory::default()), &watch);
        assert_eq!(seconds(&[heard.uncounted[0].aside[&Name::new("p")]]), [(400, 600)]);
        assert_eq!(heard.watched(&Name::new("p"), Stage::DryRun, None), Span::from_seconds(500));
    }

    #[test]
    fn a_time_in_which_two_watched_counts_once() {
        let one = vec![(100, began(Stage::DryRun)), (1_000, Observation::Passed)];
        let other = vec![(500, began(Stage::DryRun)), (1_600, Observation::Passed)];
        check([one, other].concat(), None, 1_500);
    }

    fn told(second: u64, alerts: &[(&str, u64)]) -> Observed {
        let alerted = |(pod, began): &(&str, u64)| {
            let labels = LabelSet::from([(Name::new("pod"), Name::new(pod))]);
            let starts_at = Time::from_seconds(*began);
            let notification = Notification { alert: Name::new("Down"), status: AlertStatus::Firing, labels, starts_at, receiver: None };
            Alerted { notification, ends_at: None, group: None }
        };
        Observed { at: Time::from_seconds(second), what: Observation::Told { alerts: alerts.iter().map(alerted).collect() } }
    }

    /// As it was before there was an index: all that was observed, from its end.
    fn looked_through(observed: &[Observed], labels: &LabelSet, at: Time) -> Option<(Time, usize)> {
        observed.iter().enumerate().rev().filter(|(_, own)| own.at <= at).find_map(|(place, own)| match &own.what {
            Observation::Told { alerts } => {
                let alerted = alerts.iter().rev().find(|alerted| alerted.notification.labels == *labels)?;
                Some((alerted.notification.starts_at, place))
            }
            _ => None,
        })
    }

    proptest::proptest! {
        /// Also where the clock is set back, and where a message tells of an alert twice.
        #[test]
        fn when_an_alert_began_is_what_was_told_of_it_last(
            messages in proptest::collection::vec((0_u64..20, proptest::collection::vec((0_usize..3, 0_u64..20), 0..4)), 0..12),
        ) {
            let pods = ["a", "b", "c"];
            let observed: Vec<Observed> = messages
                .iter()
                .map(|(second, alerts)| told(*second, &alerts.iter().map(|(pod, began)| (pods[*pod], *began)).collect::<Vec<_>>()))
                .collect();
            let heard = of_observed(Start::from_unix_millis(0), observed.clone());
            for pod in pods {
                let labels = LabelSet::from([(Name::new("pod"), Name::new(pod))]);
                let all: Vec<_> = (0..22).map(Time::from_seconds).map(|at| (heard.began(&labels, at).map(|(began, told)| (began, told.trouble)), looked_through(&observed, &labels, at))).collect();
                proptest::prop_assert!(all.iter().all(|(found, expected)| found == expected), "{pod}: {all:?}");
                proptest::prop_assert_eq!(heard.is_told(&labels), looked_through(&observed, &labels, Time::MAX).is_some());
            }
        }
    }

    #[test]
    fn a_group_that_grows_is_one_trouble_until_all_of_it_is_over() {
        let of = |group: &str, second: u64, pod: &str, status: AlertStatus| {
            let mut observed = told(second, &[(pod, second)]);
            let Observation::Told { alerts } = &mut observed.what else { panic!() };
            (alerts[0].group, alerts[0].notification.status) = (Some(Name::new(group)), status);
            observed
        };
        let (on, over, day) = (AlertStatus::Firing, AlertStatus::Resolved, 86_400);
        let observed = vec![
            of("g", 10, "a", on),
            of("h", 20, "x", on),
            of("g", 310, "b", on),
            of("g", 610, "a", over),
            of("g", 700, "c", on),
            of("g", 910, "b", over),
            of("g", 911, "c", over),
            of("g", 1_200, "d", on),
            of("h", 20 + day - 1, "y", on),
            of("h", 20 + day - 1 + day, "z", on),
            told(3 * day, &[("e", 1)]),
            told(3 * day + 1, &[("f", 1)]),
        ];
        let heard = of_observed(Start::from_unix_millis(0), observed);
        let trouble = |pod: &str| {
            let labels = LabelSet::from([(Name::new("pod"), Name::new(pod))]);
            heard.began(&labels, Time::MAX).unwrap().1.trouble
        };
        assert_eq!(["a", "b", "c", "d", "x", "y", "z", "e", "f"].map(trouble), [0, 0, 0, 7, 1, 1, 9, 10, 11]);
        assert_eq!(
            [5, 400, 950, 1_300].map(|second| heard.last_told(Time::from_seconds(second)).map(|told| told.trouble)),
            [None, Some(0), Some(0), Some(7)]
        );
    }

    #[test]
    fn what_was_told_of_an_alert_is_found_without_looking_through_everything() {
        let observed = (0..20_000).map(|second| told(second, &[(&format!("pod-{second}"), second)])).collect();
        let heard = of_observed(Start::from_unix_millis(0), observed);
        assert!(heard.episodes.len() == 20_000 && heard.episodes.values().all(|own| own.len() == 1));
        let labels = LabelSet::from([(Name::new("pod"), Name::new("pod-7"))]);
        assert_eq!(heard.began(&labels, Time::MAX), Some((Time::from_seconds(7), Told { at: Time::from_seconds(7), trouble: 7 })));
    }
}
