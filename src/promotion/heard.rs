//! What a watcher's chain holds, put together for promotions: what was told in order, what was answered to which question, and who was watched when.

use std::collections::BTreeMap;

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Input, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::watcher::{Observation, Observed};
use jiff::Timestamp;

use crate::ledger::{Chain, What};

/// A watcher that is quiet writes a sign of life every hour; whoever writes nothing for this much longer did not watch.
pub const SILENCE: Span = Span::from_minutes(65);

/// What a watcher was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The calendar instant from which its instants count.
    pub start: Start,
    /// In order.
    pub observed: Vec<Observed>,
    /// What was declared to exist.
    pub inventory: Inventory,
    /// By what was asked, as `ledger::question_text` writes it, in order of time.
    pub answers: BTreeMap<String, Vec<(Time, Input)>>,
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
                answers.entry(question.clone()).or_default().push((instant(start, own.entry.at), input));
            }
        }
        Self { start, observed, inventory, answers }
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

    /// When an alert began that was on at an instant, as it was last told of until then; `None`: nothing was told of it.
    #[must_use]
    pub fn began(&self, labels: &LabelSet, at: Time) -> Option<Time> {
        let told = self.observed.iter().rev().filter(|own| own.at <= at).filter_map(|own| match &own.what {
            Observation::Told { alerts } => alerts.iter().rev().find(|alerted| alerted.notification.labels == *labels),
            _ => None,
        });
        told.map(|alerted| alerted.notification.starts_at).next()
    }

    /// For how long a policy was watched at a stage since then; `None`: since ever. What counts lies between the beginning of a session and the last
    /// thing that it wrote down: a watcher that is quiet writes a sign of life every hour, and one that does not run writes nothing. What a clock jumped
    /// over was not watched, nor what lies between two things that it wrote down and is longer than [`SILENCE`]: it was stopped then, and no sign of life came.
    /// Where several watched at once, the time counts once.
    #[must_use]
    pub fn watched(&self, policy: &Name, stage: Stage, since: Option<Timestamp>) -> Span {
        let from = since.map_or(Time::ZERO, |since| self.instant(since));
        let mut seen_until: Option<Time> = None;
        let mut stretches: Vec<(Time, Time)> = Vec::new();
        for Observed { at, what } in &self.observed {
            let until = if let Observation::ClockSet { expected } = what { *expected } else { *at };
            let is_on = match what {
                Observation::Began { policies, .. } => {
                    seen_until = None;
                    policies.get(policy).is_some_and(|session| session.stage == stage)
                }
                _ => seen_until.is_some(),
            };
            if let Some(before) = seen_until.filter(|before| until.since(*before) <= SILENCE) {
                stretches.push((before.max(from), until));
            }
            seen_until = is_on.then_some(*at);
        }
        united(stretches, |from, until| until.since(from))
    }
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

fn instant(start: Start, at: Timestamp) -> Time {
    let nanos = at.as_nanosecond() - i128::from(start.unix_millis()) * 1_000_000;
    Time::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use firedrill_policies::watcher::Session;

    use super::*;

    fn began(stage: Stage) -> Observation {
        let session = Session { hash: String::new(), stage, next_decision: 0, next_incident: 0, abandoned: Vec::new() };
        Observation::Began { policies: [(Name::new("p"), session)].into(), engine: "e".to_owned(), start_ms: 0 }
    }

    #[track_caller]
    fn check(observed: Vec<(u64, Observation)>, since: Option<i64>, seconds: u64) {
        let observed = observed.into_iter().map(|(second, what)| Observed { at: Time::from_seconds(second), what }).collect();
        let start = Start::from_unix_millis(0);
        let heard = Heard { start, observed, inventory: Inventory::default(), answers: BTreeMap::new() };
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
    fn a_time_in_which_two_watched_counts_once() {
        let one = vec![(100, began(Stage::DryRun)), (1_000, Observation::Passed)];
        let other = vec![(500, began(Stage::DryRun)), (1_600, Observation::Passed)];
        check([one, other].concat(), None, 1_500);
    }
}
