//! A remediation is tried on one target, verified, and only then done to others.

use firedrill_core::time::{Span, Time};

use super::dedup::Remediations;
use super::ineffective_chain::{Helped, Outcomes};
use super::{Answer, Instead, Proposal};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "canary";

/// Asks the guard. `trust` is for how long a verified remediation of a policy speaks for the next ones. The steps of one incident follow each
/// other, whatever became of those before.
#[must_use]
pub fn check(trust: Option<Span>, proposal: &Proposal, (outcomes, remediations): (&Outcomes, &Remediations), now: Time) -> Answer {
    let Some(trust) = trust else { return Answer::not_configured() };
    let Proposal { policy, incident, .. } = proposal;
    let tells = |effect| !matches!(effect, Helped::Unverified);
    let others = outcomes.within(trust, now).rev().filter(|judged| judged.policy == *policy && judged.incident != *incident);
    match others.into_iter().find(|judged| tells(judged.effect)) {
        Some(last) if last.effect == Helped::Yes => {
            Answer::passed(figures(&[&"it helped ", &last.target, &" ", &now.since(last.at), &" ago"]))
        }
        Some(last) => {
            let figures = format!("the last one, on {}, {} ago, was not verified to have helped", last.target, now.since(last.at));
            Answer::refused(figures, Some(last.at.saturating_add(trust))).instead(Instead::Ask)
        }
        None => match remediations.other_acting(policy, *incident) {
            Some(first) => Answer::refused(format!("incident {} is the first, and not verified yet", first.incident), None),
            None => Answer::passed("this is the first"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Guards;
    use super::super::fixture::proposal;
    use super::*;

    const MINUTE: Option<Span> = Some(Span::from_seconds(60));

    #[track_caller]
    fn check_at(guards: &Guards, policy: &str, incident: u64, second: u64) -> Answer {
        let memory = (&guards.outcomes, &guards.remediations);
        check(MINUTE, &proposal(policy, incident, "service/cart"), memory, Time::from_seconds(second))
    }

    /// `p`, incident 0, acts on service/api at 1 s; what became of it is known at 10 s.
    fn after(effect: Option<Helped>) -> Guards {
        let mut guards = Guards::new();
        let first = proposal("p", 0, "service/api");
        guards.started(&first, Time::from_seconds(1));
        if let Some(effect) = effect {
            guards.ended(&first.policy, 0, Time::from_seconds(5));
            guards.judged(&first, effect, Time::from_seconds(10));
            guards.released(&first.policy, 0);
        }
        guards
    }

    #[test]
    fn others_wait_until_the_first_is_verified() {
        assert_eq!(check_at(&Guards::new(), "p", 1, 0), Answer::passed("this is the first"));
        assert_eq!(check_at(&after(None), "p", 1, 5), Answer::refused("incident 0 is the first, and not verified yet", None));
        assert_eq!(check_at(&after(Some(Helped::Yes)), "p", 1, 69), Answer::passed("it helped service/api 59s ago"));
        assert!(!check_at(&after(None), "q", 0, 5).is_refusal(), "another policy's remediation is another");
        assert!(!check_at(&after(None), "p", 0, 5).is_refusal(), "its own next step");
    }

    #[test]
    fn one_that_did_not_help_keeps_the_others_back_for_the_time_of_trust() {
        for effect in [Helped::No, Helped::Unknown, Helped::Failed] {
            let answer = check_at(&after(Some(effect)), "p", 1, 69);
            assert_eq!((answer.again, answer.instead), (Some(Time::from_seconds(70)), Instead::Ask), "{effect:?}");
            assert!(!check_at(&after(Some(effect)), "p", 1, 70).is_refusal(), "then one is tried again");
        }
        assert_eq!(check_at(&after(Some(Helped::Unverified)), "p", 1, 20), Answer::passed("this is the first"));
    }

    #[test]
    fn unless_asked_for_it_is_not_configured() {
        let guards = after(None);
        let memory = (&guards.outcomes, &guards.remediations);
        assert_eq!(check(None, &proposal("p", 1, "service/cart"), memory, Time::ZERO), Answer::not_configured());
    }
}
