//! Longer and longer rests between remediations of one target by one policy: min(cap, base · f^(n−1)), spread by jitter.

use std::collections::{BTreeMap, VecDeque};

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::random::{Purpose, Seed, Stream, hash64};
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::rate_limit::LONGEST_WINDOW;
use super::{Answer, Proposal};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "backoff";

/// How rests grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The rest after the first remediation, counted from its last action's end.
    pub base: Span,
    /// Each further rest is so many times the one before, at least x1.
    pub factor: Factor,
    /// No rest is longer, jitter included.
    pub cap: Span,
    /// Each rest is longer by up to this share of it, by luck that depends on the run's seed, policy, target and number only.
    pub jitter: Ratio,
    /// After so long without a remediation the next counts as the first. Longer than the longest rest, or that would end before it is over.
    pub reset_after: Span,
}

/// Remediations of each target by each policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// Those by each policy, oldest first.
    targets: BTreeMap<Target, BTreeMap<Name, VecDeque<Attempt>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Attempt {
    incident: u64,
    started: Time,
    /// When its last action ended; its start while none has.
    ended: Time,
}

impl Attempts {
    /// An action starts. The actions of one incident on one target are one attempt.
    pub(super) fn started(&mut self, proposal: &Proposal, now: Time) {
        let Proposal { policy, target, incident, .. } = proposal;
        let attempts = self.targets.entry(target.clone()).or_default().entry(policy.clone()).or_default();
        while attempts.front().is_some_and(|oldest| oldest.ended.saturating_add(LONGEST_WINDOW) <= now) {
            attempts.pop_front();
        }
        if !attempts.iter().rev().any(|own| own.incident == *incident) {
            attempts.push_back(Attempt { incident: *incident, started: now, ended: now });
        }
    }

    /// An action on a target has ended.
    pub(super) fn ended(&mut self, policy: &Name, target: &Target, incident: u64, now: Time) {
        let attempts = self.targets.get_mut(target).and_then(|policies| policies.get_mut(policy));
        if let Some(attempt) = attempts.and_then(|attempts| attempts.iter_mut().rev().find(|own| own.incident == incident)) {
            attempt.ended = now;
        }
    }

    /// What was attempted on a target was longer ago than anything counts.
    pub(super) fn forget(&mut self, target: &Target) {
        self.targets.remove(target);
    }

    /// Those of a target by a policy, oldest first, but for one incident.
    fn others(&self, (policy, target): (&Name, &Target), incident: u64) -> impl DoubleEndedIterator<Item = &Attempt> {
        let attempts = self.targets.get(target).and_then(|policies| policies.get(policy));
        attempts.into_iter().flatten().filter(move |own| own.incident != incident)
    }
}

impl Backoff {
    /// The longest rest that there can be.
    #[must_use]
    pub fn longest(&self) -> Span {
        // Rests that do not grow stay what the first one is.
        if self.factor.get() > 1.0 {
            self.cap
        } else {
            Span::from_seconds_f64(self.base.as_seconds() * (1.0 + self.jitter.get())).min(self.cap)
        }
    }

    /// The rest after the `n`th remediation in a row, `n` at least 1.
    #[must_use]
    pub fn rest(&self, policy: &Name, target: &Target, n: u32, seed: Seed) -> Span {
        let grown = libm::pow(self.factor.get(), f64::from(n.saturating_sub(1))) * self.base.as_seconds();
        let entity = hash64(&figures(&[policy, &" ", target]));
        let luck = Stream::new(seed, Purpose::Retry, entity).block(u64::from(n)).unit(0);
        let spread = grown * (1.0 + self.jitter.get() * luck);
        if spread < self.cap.as_seconds() { Span::from_seconds_f64(spread) } else { self.cap }
    }
}

/// Asks the guard. Passes from `end + rest` on, that instant included.
#[must_use]
pub fn check(backoff: Option<&Backoff>, proposal: &Proposal, attempts: &Attempts, (now, seed): (Time, Seed)) -> Answer {
    let Some(backoff) = backoff else { return Answer::not_configured() };
    let Proposal { policy, target, incident, .. } = proposal;
    let mut latest_first = attempts.others((policy, target), *incident).rev();
    let Some(last) = latest_first.next() else { return Answer::passed(figures(&[&"first remediation of ", target])) };
    if now >= last.ended.saturating_add(backoff.reset_after) {
        return Answer::passed(figures(&[&"none of ", target, &" for ", &backoff.reset_after]));
    }
    // Attempts in a row: between each and the one before it less than a stable period lies.
    let (mut n, mut next) = (1_u32, last);
    for before in latest_first {
        if next.started >= before.ended.saturating_add(backoff.reset_after) {
            break;
        }
        (n, next) = (n.saturating_add(1), before);
    }
    let rest = backoff.rest(policy, target, n, seed);
    let until = last.ended.saturating_add(rest);
    let ago = now.since(last.ended);
    let figures = figures(&[target, &" rests for ", &rest, &" after ", &n, &" in a row, the last ", &ago, &" ago"]);
    if now < until { Answer::refused(format!("{figures}, until {until}"), Some(until)) } else { Answer::passed(figures) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::proposal;
    use super::*;
    use proptest::prelude::*;

    fn backoff(jitter: &str) -> Backoff {
        Backoff {
            base: Span::from_seconds(10),
            factor: Factor::parse("x2").unwrap(),
            cap: Span::from_seconds(60),
            jitter: Ratio::parse(jitter).unwrap(),
            reset_after: Span::from_seconds(100),
        }
    }

    /// Each an attempt on service/api from its first second to its last.
    fn attempts(list: &[(u64, u64)]) -> Attempts {
        let mut attempts = Attempts::default();
        for (incident, (from, to)) in (0..).zip(list) {
            let proposal = proposal("p", incident, "service/api");
            attempts.started(&proposal, Time::from_seconds(*from));
            attempts.ended(&proposal.policy, &proposal.target, incident, Time::from_seconds(*to));
        }
        attempts
    }

    #[track_caller]
    fn check_until(list: &[(u64, u64)], second: u64) -> Option<u64> {
        let ask = |second| {
            check(Some(&backoff("0%")), &proposal("p", 99, "service/api"), &attempts(list), (Time::from_seconds(second), Seed::default()))
        };
        let again = ask(second).again?.as_nanos() / 1_000_000_000;
        assert!(ask(again - 1).is_refusal() && !ask(again).is_refusal(), "the instant itself is free, and none before");
        Some(again)
    }

    #[test]
    fn rests_grow_by_their_factor_up_to_the_cap() {
        let mut list = vec![(0, 5)];
        assert_eq!(check_until(&list, 6), Some(15));
        for (from, rest) in [(15, 20), (40, 40), (90, 60), (160, 60)] {
            list.push((from, from + 5));
            assert_eq!(check_until(&list, from + 5), Some(from + 5 + rest));
        }
    }

    #[test]
    fn only_a_stable_period_makes_the_next_one_the_first_again() {
        let list = [(0, 5), (20, 25)];
        assert_eq!(check_until(&list, 25), Some(45));
        assert_eq!(check_until(&[(0, 5), (20, 25), (124, 125)], 125), Some(165), "99 s were not stable enough: the third in a row");
        assert_eq!(check_until(&[(0, 5), (20, 25), (125, 126)], 126), Some(136), "100 s were");
        assert!(
            !check(Some(&backoff("0%")), &proposal("p", 9, "service/api"), &attempts(&list), (Time::from_seconds(125), Seed::default()))
                .is_refusal()
        );
    }

    #[test]
    fn others_do_not_rest_and_the_steps_of_one_incident_are_one_attempt() {
        let mut attempts = attempts(&[(0, 5)]);
        let at = |policy, incident, target, attempts: &Attempts| {
            check(Some(&backoff("0%")), &proposal(policy, incident, target), attempts, (Time::from_seconds(6), Seed::default()))
        };
        assert!(at("p", 1, "service/api", &attempts).is_refusal());
        assert!(!at("p", 0, "service/api", &attempts).is_refusal());
        assert!(!at("q", 1, "service/api", &attempts).is_refusal());
        assert!(!at("p", 1, "service/cart", &attempts).is_refusal());
        attempts.started(&proposal("p", 0, "service/api"), Time::from_seconds(6));
        let of_all: Vec<usize> = attempts.targets.values().flat_map(BTreeMap::values).map(VecDeque::len).collect();
        assert_eq!(of_all, [1]);
    }

    #[test]
    fn unless_asked_for_it_is_not_configured() {
        assert_eq!(
            check(None, &proposal("p", 1, "service/api"), &attempts(&[(0, 5)]), (Time::ZERO, Seed::default())),
            Answer::not_configured()
        );
    }

    #[test]
    fn two_runs_have_rests_of_their_own() {
        let (policy, target) = (Name::new("p"), Target::Service(Name::new("api")));
        let rests = [1, 2].map(|seed| backoff("50%").rest(&policy, &target, 3, Seed(seed)));
        assert_ne!(rests[0], rests[1]);
        assert_eq!([1, 2].map(|seed| backoff("0%").rest(&policy, &target, 3, Seed(seed))), [Span::from_seconds(40); 2]);
        assert_eq!(backoff("50%").rest(&policy, &target, 9, Seed(1)), Span::from_seconds(60), "the cap is the longest");
        let steady = Backoff { factor: Factor::parse("x1").unwrap(), ..backoff("50%") };
        assert_eq!((steady.longest(), backoff("50%").longest()), (Span::from_seconds(15), Span::from_seconds(60)));
    }

    proptest! {
        /// Jitter makes a rest longer by at most its share, always by the same for the same address, and the cap holds for any number.
        #[test]
        fn jitter_stays_within_its_share(n in 1_u32..5000, policy in "[a-z]{1,8}", seed: u64) {
            let seed = Seed(seed);
            let (policy, target) = (Name::new(&policy), Target::Service(Name::new("api")));
            let (plain, spread) = (backoff("0%").rest(&policy, &target, n, seed), backoff("25%").rest(&policy, &target, n, seed));
            prop_assert!(plain <= Span::from_seconds(60) && spread <= Span::from_seconds(60));
            prop_assert!(plain <= spread && spread.as_seconds() <= plain.as_seconds() * 1.25 + 1e-9);
            prop_assert_eq!(spread, backoff("25%").rest(&policy, &target, n, seed));
        }
    }
}
