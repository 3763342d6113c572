//! What has not helped a target several times is not done again: a person is called.

use std::collections::VecDeque;

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::rate_limit::LONGEST_WINDOW;
use super::{Answer, Instead};

/// The name in journals.
pub const NAME: &str = "ineffective_chain";

/// From when on a target is left to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// So many actions that were verified not to have helped, by any policy; at least 1.
    pub actions: u32,
    /// Within so long.
    pub within: Span,
}

/// What became of actions, oldest first: what the last word on each was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
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

impl Outcomes {
    /// The last word on an action of a policy.
    pub(super) fn record(&mut self, (policy, incident): (&Name, u64), target: &Target, effect: Helped, now: Time) {
        // A clock that was set back puts nothing before what was there: the log stays in order, and what is new counts for longer.
        let at = self.last().map_or(now, |last| last.max(now));
        self.log.push_back(Judged { policy: policy.clone(), incident, target: target.clone(), at, effect });
        while self.log.front().is_some_and(|oldest| oldest.at.saturating_add(LONGEST_WINDOW) <= now) {
            self.log.pop_front();
        }
    }

    /// Those in `(now - window, now]`, and any that a clock which was set back since has put later.
    pub(super) fn within(&self, window: Span, now: Time) -> impl DoubleEndedIterator<Item = &Judged> {
        let first = self.log.partition_point(|judged| judged.at.saturating_add(window) <= now);
        self.log.range(first..)
    }

    /// When the last of them was; `None` if there is none.
    pub(super) fn last(&self) -> Option<Time> {
        self.log.back().map(|judged| judged.at)
    }
}

/// Asks the guard. One that helped breaks the chain.
#[must_use]
pub fn check(chain: Option<&Chain>, target: &Target, outcomes: &Outcomes, now: Time) -> Answer {
    let Some(chain) = chain else { return Answer::not_configured() };
    let since_help = outcomes.within(chain.within, now).rev().filter(|judged| judged.target == *target);
    let in_vain = since_help.take_while(|judged| judged.effect != Helped::Yes).filter(|judged| judged.effect == Helped::No).count();
    let figures = |sign| format!("{in_vain} actions on {target} did not help within {} {sign} {}", chain.within, chain.actions);
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
    fn what_helped_breaks_the_chain_and_what_cannot_be_told_neither_counts_nor_breaks_it() {
        let with = |between| [(10, "service/api", Helped::No), (20, "service/api", between), (30, "service/api", Helped::No)];
        assert!(!check_at(&with(Helped::Yes), 31).is_refusal());
        assert!(check_at(&with(Helped::Unknown), 31).is_refusal());
        assert!(check_at(&with(Helped::Failed), 31).is_refusal());
        assert!(!check_at(&with(Helped::Unknown)[1..], 31).is_refusal());
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
}
