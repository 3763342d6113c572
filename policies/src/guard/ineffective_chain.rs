//! What has not helped a target several times is not done again: a person is called.

use std::collections::{BTreeMap, VecDeque};

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::rate_limit::LONGEST_WINDOW;
use super::{Answer, Instead};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "ineffective_chain";

/// From when on a target is left to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// So many actions that were not verified to have helped, by any policy; at least 1.
    pub actions: u32,
    /// Within so long.
    pub within: Span,
}

/// What became of actions, oldest first: what the last word on each was. Saved as the plain log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Saved")]
pub struct Outcomes {
    log: VecDeque<Judged>,
    /// The number of the oldest in the log; they are numbered in their order.
    first: u64,
    /// The numbers of those on each target, so that nobody who asks for one target looks through all.
    targets: BTreeMap<Target, VecDeque<u64>>,
    /// Those of each policy, counted up.
    policies: BTreeMap<Name, Tally>,
}

/// Outcomes of one policy.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// When each was judged, and how many had failed before it.
    judged: VecDeque<(Time, u64)>,
    /// How many have failed.
    failed: u64,
}

#[derive(Deserialize)]
struct Saved {
    log: VecDeque<Judged>,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Judged {
    pub(super) policy: Name,
    pub(super) incident: u64,
    pub(super) target: Target,
    pub(super) at: Time,
    pub(super) effect: Helped,
}

/// Whether an action helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Helped {
    /// Its verification held.
    Yes,
    /// It was carried out, and nobody looked whether it helped.
    Unverified,
    /// Its verification failed.
    No,
    /// There was no data to tell by.
    Unknown,
    /// It was not carried out.
    Failed,
}

impl Helped {
    /// Whether somebody looked, or would have, and did not see that it helped: it failed, it did not help, or there was nothing to tell by. What counts as in
    /// vain for one guard does so for all.
    #[must_use]
    pub const fn is_in_vain(self) -> bool {
        matches!(self, Self::No | Self::Unknown | Self::Failed)
    }
}

impl Outcomes {
    /// The last word on an action of a policy.
    pub(super) fn record(&mut self, (policy, incident): (&Name, u64), target: &Target, effect: Helped, now: Time) {
        // A clock that was set back puts nothing before what was there: the log stays in order, and what is new counts for longer.
        let at = self.last().map_or(now, |last| last.max(now));
        self.push(Judged { policy: policy.clone(), incident, target: target.clone(), at, effect });
        while self.log.front().is_some_and(|oldest| oldest.at.saturating_add(LONGEST_WINDOW) <= now) {
            let Some(oldest) = self.log.pop_front() else { return };
            self.first += 1;
            // The oldest of all is the oldest on its target and of its policy.
            let numbers = self.targets.get_mut(&oldest.target);
            if numbers.is_some_and(|numbers| numbers.pop_front().is_some() && numbers.is_empty()) {
                self.targets.remove(&oldest.target);
            }
            let tally = self.policies.get_mut(&oldest.policy);
            if tally.is_some_and(|tally| tally.judged.pop_front().is_some() && tally.judged.is_empty()) {
                self.policies.remove(&oldest.policy);
            }
        }
    }

    fn push(&mut self, judged: Judged) {
        let number = self.first + self.log.len() as u64;
        match self.targets.get_mut(&judged.target) {
            Some(numbers) => numbers.push_back(number),
            None => {
                self.targets.insert(judged.target.clone(), [number].into());
            }
        }
        let tally = self.policies.entry(judged.policy.clone()).or_default();
        tally.judged.push_back((judged.at, tally.failed));
        tally.failed += u64::from(judged.effect.is_in_vain());
        self.log.push_back(judged);
    }

    /// Those in `(now - window, now]`, and any that a clock which was set back since has put later.
    pub(super) fn within(&self, window: Span, now: Time) -> impl DoubleEndedIterator<Item = &Judged> {
        let first = self.log.partition_point(|judged| judged.at.saturating_add(window) <= now);
        self.log.range(first..)
    }

    /// As [`Self::within`], those on one target, the latest first.
    fn on(&self, target: &Target, window: Span, now: Time) -> impl Iterator<Item = &Judged> {
        let numbers = self.targets.get(target).into_iter().flatten().rev();
        let judged = numbers.filter_map(|number| self.log.get((number - self.first) as usize));
        judged.take_while(move |judged| now < judged.at.saturating_add(window))
    }

    /// As [`Self::within`], how many there are of a policy after an instant, and how many of those failed or did not help.
    pub(super) fn tally(&self, policy: &Name, after: Option<Time>, window: Span, now: Time) -> (u64, u64) {
        let Some(tally) = self.policies.get(policy) else { return (0, 0) };
        let is_out = |at: Time| at.saturating_add(window) <= now || after.is_some_and(|after| at <= after);
        let first = tally.judged.partition_point(|(at, _)| is_out(*at));
        let failed = tally.judged.get(first).map_or(0, |(_, before)| tally.failed - before);
        ((tally.judged.len() - first) as u64, failed)
    }

    /// When the last of them was; `None` if there is none.
    pub(super) fn last(&self) -> Option<Time> {
        self.log.back().map(|judged| judged.at)
    }
}

impl PartialEq for Outcomes {
    fn eq(&self, other: &Self) -> bool {
        self.log == other.log
    }
}

impl Serialize for Outcomes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut saved = serializer.serialize_struct("Outcomes", 1)?;
        saved.serialize_field("log", &self.log)?;
        saved.end()
    }
}

impl From<Saved> for Outcomes {
    fn from(saved: Saved) -> Self {
        let mut own = Self::default();
        saved.log.into_iter().for_each(|judged| own.push(judged));
        own
    }
}

/// Asks the guard. One that helped breaks the chain.
#[must_use]
pub fn check(chain: Option<&Chain>, target: &Target, outcomes: &Outcomes, now: Time) -> Answer {
    let Some(chain) = chain else { return Answer::not_configured() };
    let on_target = outcomes.on(target, chain.within, now);
    let in_vain = on_target.take_while(|judged| judged.effect != Helped::Yes).filter(|judged| judged.effect.is_in_vain()).count();
    let figures = |sign: &str| {
        figures(&[&in_vain, &" actions on ", target, &" did not help within ", &chain.within, &" ", &sign, &" ", &chain.actions])
    };
    if in_vain >= chain.actions as usize {
        Answer::refused(figures(">="), None).instead(Instead::Alert)
    } else {
        Answer::passed(figures("<"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_at(log: &[(u64, &str, Helped)], second: u64) -> Answer {
        let chain = Chain { actions: 2, within: Span::from_seconds(60) };
        let mut outcomes = Outcomes::default();
        for (at, target, effect) in log {
            outcomes.record((&Name::new("p"), 0), &target.parse().unwrap(), *effect, Time::from_seconds(*at));
        }
        check(Some(&chain), &"service/api".parse().unwrap(), &outcomes, Time::from_seconds(second))
    }

    #[test]
    fn the_kth_in_vain_within_the_window_stops_and_the_window_is_open_on_its_left() {
        let log = [(10, "service/api", Helped::No), (40, "service/api", Helped::No)];
        assert!(!check_at(&log[..1], 41).is_refusal());
        let refused = Answer::refused("2 actions on service/api did not help within 1m >= 2", None).instead(Instead::Alert);
        assert_eq!(check_at(&log, 69), refused);
        assert!(!check_at(&log, 70).is_refusal(), "the one at 10 s is outside (10 s, 70 s]");
    }

    #[test]
    fn what_helped_breaks_the_chain_and_what_nobody_looks_at_neither_counts_nor_breaks_it() {
        let with = |between| [(10, "service/api", Helped::No), (20, "service/api", between), (30, "service/api", Helped::No)];
        assert!(!check_at(&with(Helped::Yes), 31).is_refusal());
        assert!(check_at(&with(Helped::Unverified), 31).is_refusal());
        assert!(!check_at(&with(Helped::Unverified)[1..], 31).is_refusal());
    }

    #[test]
    fn what_could_not_be_told_or_was_not_carried_out_is_in_vain_as_it_is_for_a_breaker() {
        for effect in [Helped::Unknown, Helped::Failed] {
            let log = [(10, "service/api", effect), (20, "service/api", effect)];
            assert!(!check_at(&log[..1], 21).is_refusal(), "{effect:?}");
            assert_eq!(check_at(&log, 21).figures, "2 actions on service/api did not help within 1m >= 2", "{effect:?}");
        }
    }

    #[test]
    fn what_a_clock_that_was_set_back_has_put_later_still_counts() {
        assert!(check_at(&[(100, "service/api", Helped::No), (110, "service/api", Helped::No)], 50).is_refusal());
    }

    #[test]
    fn other_targets_have_chains_of_their_own() {
        assert!(!check_at(&[(10, "service/cart", Helped::No), (20, "service/cart", Helped::No)], 30).is_refusal());
        assert_eq!(check(None, &"service/api".parse().unwrap(), &Outcomes::default(), Time::ZERO), Answer::not_configured());
    }

    proptest::proptest! {
        /// What is found by its target or counted by its policy is what looking through all finds, whatever has been forgotten and after it was saved.
        #[test]
        fn looking_by_target_or_policy_finds_what_looking_through_all_finds(
            list in proptest::collection::vec((0_u64..9, 0_usize..3, 0_usize..2, 0_usize..5), 1..40),
            days in 0_u64..40,
            (window, after) in (1_u64..60, 0_u64..99),
        ) {
            let effects = [Helped::Yes, Helped::Unverified, Helped::No, Helped::Unknown, Helped::Failed];
            let targets = ["service/api", "replica/api-1", "zone/a"].map(|target| target.parse::<Target>().unwrap());
            let policies = [Name::new("p"), Name::new("q")];
            let (mut outcomes, mut now) = (Outcomes::default(), Time::ZERO);
            for (seconds, target, policy, effect) in list {
                now += Span::from_seconds(seconds);
                outcomes.record((&policies[policy], 0), &targets[target], effects[effect], now);
            }
            outcomes.record((&policies[0], 0), &targets[0], Helped::No, now + Span::from_minutes(days * 24 * 60));
            let text = serde_json::to_string(&outcomes).unwrap();
            let read: Outcomes = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(&read, &outcomes);
            let window = Span::from_seconds(window);
            for own in [&outcomes, &read] {
                for target in &targets {
                    let expected = own.within(window, now).rev().filter(|judged| judged.target == *target);
                    proptest::prop_assert!(own.on(target, window, now).eq(expected));
                }
                for (policy, after) in policies.iter().zip([None, Some(Time::from_seconds(after))]) {
                    let expected = || own.within(window, now).filter(|judged| judged.policy == *policy && after.is_none_or(|after| judged.at > after));
                    let failed = expected().filter(|judged| !matches!(judged.effect, Helped::Yes | Helped::Unverified)).count();
                    proptest::prop_assert_eq!(own.tally(policy, after, window, now), (expected().count() as u64, failed as u64));
                }
            }
        }
    }
}
