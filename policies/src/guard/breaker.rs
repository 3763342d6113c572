//! A breaker on the automation itself: a policy that fails too often, or acts too often, may only call people.

use firedrill_core::name::Name;
use firedrill_core::quantity::{Ratio, Rounding};
use firedrill_core::time::{Span, Time};
use firedrill_telemetry::promql::Formula;
use serde::{Deserialize, Serialize};

use super::ineffective_chain::{Helped, Outcomes};
use super::rate_limit::Starts;
use super::{Answer, Instead, Known};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "breaker";

/// When a policy's breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// From this share of its actions on that failed or did not help, it opens. `None`: not for this reason.
    pub failures: Option<Ratio>,
    /// Of fewer actions no share is taken; at least 1.
    pub of_at_least: u32,
    /// From so many starts on it opens. `None`: not for this reason.
    pub actions: Option<u32>,
    /// Within so long.
    pub within: Span,
    /// After so long one remediation is tried; if it helps, the breaker closes. `None`: it stays open.
    pub try_again_after: Option<Span>,
}

/// What tells that an action has done harm: a number that is greater after it than it was when it was decided.
#[derive(Clone, Debug)]
pub struct Harm {
    /// What is compared; the more, the worse.
    pub formula: Formula,
    /// By so much more than at the decision is harm; 0 or more.
    pub by: f64,
}

impl Harm {
    /// Why an action has done harm, if it has: the number when it was decided and the number after it.
    #[must_use]
    pub fn judge(&self, what: &str, before: f64, after: f64) -> Option<String> {
        (after > before + self.by).then(|| format!("{after} after {what} > {before} at its decision + {}", self.by))
    }
}

/// Whether what tells of harm can be told, of a policy that asks for it; no telling refuses.
#[must_use]
pub fn check_harm(harm: Option<&Harm>, known: Option<&Known>) -> Answer {
    match (harm, known) {
        (None, _) => Answer::not_configured(),
        (Some(_), Some(Known::Measured(Some(value), _))) => Answer::passed(figures(&[&"harm is measured from ", value, &" on"])),
        (Some(_), Some(Known::Measured(None, why))) => Answer::refused(format!("cannot tell what harm is measured by: {why}"), None),
        (Some(_), _) => Answer::refused("cannot tell what harm is measured by: nobody has looked", None),
    }
}

/// The breakers that have ever opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakers {
    list: Vec<State>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    policy: Name,
    /// When it opened, and why; `None`: it is closed.
    open: Option<(Time, String)>,
    /// The incident that is tried while it is open.
    trial: Option<u64>,
    /// When it closed last; what was before does not count.
    closed: Option<Time>,
}

impl Breakers {
    /// Opens the breaker of a policy whose limits are reached.
    pub(super) fn observe(&mut self, policy: &Name, breaker: &Breaker, (outcomes, starts): (&Outcomes, &Starts), now: Time) {
        if self.find(policy).is_some_and(|state| state.open.is_some()) {
            return;
        }
        let closed = self.find(policy).and_then(|state| state.closed);
        let counts = |at: Time| closed.is_none_or(|closed| at > closed);
        let (all, failed) = outcomes.tally(policy, closed, breaker.within, now);
        // Counted only if it can matter.
        let is_near = breaker.actions.is_some_and(|most| starts.of(policy, breaker.within, now).len() >= most as usize);
        let started = if is_near { starts.of(policy, breaker.within, now).filter(|at| counts(*at)).count() } else { 0 };
        let too_many_fail = |share: &Ratio| all >= u64::from(breaker.of_at_least) && failed >= share.of(all, Rounding::Ceil).max(1);
        let why = match (breaker.failures.filter(too_many_fail), breaker.actions.filter(|most| is_near && started >= *most as usize)) {
            (Some(share), _) => format!("{failed} of {all} actions within {} failed or did not help >= {share}", breaker.within),
            (None, Some(most)) => format!("{started} starts within {} >= {most}", breaker.within),
            (None, None) => return,
        };
        let state = self.entry(policy);
        state.open = Some((now, why));
        state.trial = None;
    }

    /// An action has done harm: the breaker opens, or is open from now on.
    pub(super) fn harmed(&mut self, policy: &Name, why: String, now: Time) {
        let state = self.entry(policy);
        (state.open, state.trial) = (Some((now, why)), None);
    }

    /// An action of an incident starts: while the breaker is open it is the trial.
    pub(super) fn started(&mut self, policy: &Name, incident: u64) {
        if let Some(state) = self.list.iter_mut().find(|state| state.policy == *policy && state.open.is_some()) {
            state.trial = Some(incident);
        }
    }

    /// The last word on an action: a trial that helped closes the breaker, one that did not opens it anew.
    pub(super) fn judged(&mut self, policy: &Name, incident: u64, effect: Helped, now: Time) {
        let trial = |state: &&mut State| state.policy == *policy && state.open.is_some() && state.trial == Some(incident);
        let Some(state) = self.list.iter_mut().find(trial) else { return };
        state.trial = None;
        if effect == Helped::Yes {
            (state.open, state.closed) = (None, Some(now));
        } else if let Some((since, _)) = &mut state.open {
            *since = now;
        }
    }

    /// An incident is closed; a trial without a last word leaves the breaker as it was.
    pub(super) fn released(&mut self, policy: &Name, incident: u64) {
        for state in self.list.iter_mut().filter(|state| state.policy == *policy && state.trial == Some(incident)) {
            state.trial = None;
        }
    }

    fn find(&self, policy: &Name) -> Option<&State> {
        self.list.iter().find(|state| state.policy == *policy)
    }

    fn entry(&mut self, policy: &Name) -> &mut State {
        let index = self.list.iter().position(|state| state.policy == *policy).unwrap_or_else(|| {
            self.list.push(State { policy: policy.clone(), open: None, trial: None, closed: None });
            self.list.len() - 1
        });
        &mut self.list[index]
    }
}

/// Asks the guard for an incident of a policy.
#[must_use]
pub fn check(breaker: Option<&Breaker>, policy: &Name, incident: u64, breakers: &Breakers, now: Time) -> Answer {
    let Some(breaker) = breaker else { return Answer::not_configured() };
    let Some(State { open: Some((since, why)), trial, .. }) = breakers.find(policy) else { return Answer::passed("closed") };
    let refused = |until: &str| Answer::refused(format!("open since {since}{until}: {why}"), None).instead(Instead::Alert);
    match (breaker.try_again_after.map(|after| since.saturating_add(after)), trial) {
        (None, _) => refused(""),
        (Some(_), Some(trial)) if *trial == incident => Answer::passed("this is the trial"),
        (Some(_), Some(trial)) => refused(&format!(", incident {trial} is the trial")),
        (Some(again), None) if now < again => refused(&format!(", to be tried at {again}")),
        (Some(_), None) => Answer::passed(format!("open since {since}, and this is the trial")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Guards;
    use super::super::fixture::proposal;
    use super::*;

    #[test]
    fn harm_is_more_than_it_may_grow_by_and_the_bound_itself_is_none() {
        let harm = Harm { formula: Formula::parse("sum(errors)").unwrap(), by: 0.5 };
        assert_eq!(harm.judge("restart", 1.0, 1.5), None);
        assert_eq!(harm.judge("restart", 1.0, 1.75).as_deref(), Some("1.75 after restart > 1 at its decision + 0.5"));
        assert_eq!(harm.judge("restart", 1.0, f64::NAN), None);
        assert_eq!(check_harm(None, None), Answer::not_configured());
        assert_eq!(check_harm(Some(&harm), Some(&Known::Measured(Some(1.0), String::new()))).figures, "harm is measured from 1 on");
        let untold = check_harm(Some(&harm), Some(&Known::Measured(None, "no element".to_owned())));
        assert_eq!(untold, Answer::refused("cannot tell what harm is measured by: no element", None));
        assert!(check_harm(Some(&harm), None).is_refusal());
    }

    #[test]
    fn harm_opens_the_breaker_at_once_and_a_trial_may_close_it() {
        let (policy, mut guards) = (Name::new("p"), Guards::new());
        let breaker = Breaker { failures: None, ..half(Some(100)) };
        let ask = |guards: &Guards, second| check(Some(&breaker), &policy, 9, &guards.breakers, Time::from_seconds(second));
        assert!(!ask(&guards, 10).is_refusal());
        guards.harmed(&policy, "2 after restart > 1 at its decision + 0.5".to_owned(), Time::from_seconds(10));
        let told = ask(&guards, 109);
        let figures = "open since 00m10.000s, to be tried at 01m50.000s: 2 after restart > 1 at its decision + 0.5";
        assert_eq!((told.figures.as_str(), told.instead), (figures, Instead::Alert));
        assert!(!ask(&guards, 110).is_refusal());
        guards.started(&proposal("p", 9, "service/api"), Time::from_seconds(110));
        guards.judged(&proposal("p", 9, "service/api"), Helped::Yes, Time::from_seconds(120));
        assert_eq!(ask(&guards, 121).figures, "closed");
        let text = serde_json::to_string(&guards).unwrap();
        assert_eq!(serde_json::from_str::<Guards>(&text).unwrap(), guards);
    }

    fn half(try_again_after: Option<u64>) -> Breaker {
        Breaker {
            failures: Some(Ratio::parse("50%").unwrap()),
            of_at_least: 2,
            actions: None,
            within: Span::from_seconds(60),
            try_again_after: try_again_after.map(Span::from_seconds),
        }
    }

    /// Actions of `p` that start and end at their second, each with what became of it, under a breaker.
    fn after(breaker: &Breaker, list: &[(u64, Helped)]) -> Guards {
        let mut guards = Guards::new();
        for (incident, (second, effect)) in (0..).zip(list) {
            go_on(&mut guards, breaker, incident, (*second, *effect));
        }
        guards
    }

    fn go_on(guards: &mut Guards, breaker: &Breaker, incident: u64, (second, effect): (u64, Helped)) {
        let (now, proposal) = (Time::from_seconds(second), proposal("p", incident, "service/api"));
        guards.started(&proposal, now);
        guards.observe(&proposal.policy, Some(breaker), now);
        guards.ended(&proposal.policy, incident, now);
        guards.judged(&proposal, effect, now);
        guards.observe(&proposal.policy, Some(breaker), now);
        guards.released(&proposal.policy, incident);
    }

    #[track_caller]
    fn check_at(breaker: &Breaker, guards: &Guards, second: u64) -> (bool, String) {
        let answer = check(Some(breaker), &Name::new("p"), 99, &guards.breakers, Time::from_seconds(second));
        (answer.is_refusal(), answer.figures)
    }

    #[test]
    fn it_opens_at_its_share_of_enough_actions() {
        let breaker = half(None);
        assert!(!check_at(&breaker, &after(&breaker, &[(1, Helped::No)]), 2).0, "one is too few");
        let open = after(&breaker, &[(1, Helped::Yes), (2, Helped::Failed)]);
        assert_eq!(
            check_at(&breaker, &open, 3),
            (true, "open since 00m02.000s: 1 of 2 actions within 1m failed or did not help >= 50%".into())
        );
        assert!(!check_at(&breaker, &after(&breaker, &[(1, Helped::Yes), (2, Helped::Yes), (3, Helped::No)]), 4).0, "1 of 3");
        assert!(!check_at(&breaker, &after(&breaker, &[(1, Helped::No), (61, Helped::Yes)]), 62).0, "the first is outside (1 s, 61 s]");
        assert!(check_at(&breaker, &after(&breaker, &[(2, Helped::No), (61, Helped::Unknown)]), 62).0);
    }

    #[test]
    fn a_latched_breaker_stays_open_and_another_is_tried_once() {
        let (latched, tried) = (half(None), half(Some(100)));
        let failures = [(1, Helped::No), (2, Helped::No)];
        assert!(check_at(&latched, &after(&latched, &failures), 1_000_000).0);
        let mut guards = after(&tried, &failures);
        assert!(check_at(&tried, &guards, 101).0);
        assert_eq!(check_at(&tried, &guards, 102), (false, "open since 00m02.000s, and this is the trial".into()));
        guards.started(&proposal("p", 7, "service/api"), Time::from_seconds(102));
        assert_eq!(check(Some(&tried), &Name::new("p"), 7, &guards.breakers, Time::from_seconds(102)), Answer::passed("this is the trial"));
        assert!(check_at(&tried, &guards, 103).0, "one trial at a time");
    }

    #[test]
    fn a_trial_that_helps_closes_it_and_one_that_does_not_opens_it_anew() {
        let tried = half(Some(100));
        let failures = [(1, Helped::No), (2, Helped::No)];
        let mut closed = after(&tried, &failures);
        go_on(&mut closed, &tried, 7, (110, Helped::Yes));
        assert_eq!(check_at(&tried, &closed, 111), (false, "closed".into()));
        let mut open = after(&tried, &failures);
        go_on(&mut open, &tried, 7, (110, Helped::No));
        assert!(check_at(&tried, &open, 209).0 && !check_at(&tried, &open, 210).0, "100 s from the trial's end on");
        // A trial that is given up leaves room for another.
        let mut given_up = after(&tried, &failures);
        given_up.started(&proposal("p", 7, "service/api"), Time::from_seconds(102));
        given_up.released(&Name::new("p"), 7);
        assert!(!check_at(&tried, &given_up, 103).0);
    }

    #[test]
    fn it_opens_at_its_number_of_starts() {
        let breaker = Breaker { failures: None, actions: Some(3), ..half(None) };
        assert!(!check_at(&breaker, &after(&breaker, &[(1, Helped::Yes), (2, Helped::Yes)]), 3).0);
        let open = after(&breaker, &[(1, Helped::Yes), (2, Helped::Yes), (60, Helped::Yes)]);
        assert_eq!(check_at(&breaker, &open, 60), (true, "open since 01m00.000s: 3 starts within 1m >= 3".into()));
        assert!(!check_at(&breaker, &after(&breaker, &[(1, Helped::Yes), (2, Helped::Yes), (61, Helped::Yes)]), 61).0);
    }

    #[test]
    fn each_policy_has_its_own_and_unless_asked_for_it_is_not_configured() {
        let open = after(&half(None), &[(1, Helped::No), (2, Helped::No)]);
        assert!(!check(Some(&half(None)), &Name::new("q"), 0, &open.breakers, Time::from_seconds(3)).is_refusal());
        assert_eq!(check(None, &Name::new("p"), 0, &open.breakers, Time::from_seconds(3)), Answer::not_configured());
    }
}
