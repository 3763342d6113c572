//! Whether what is seen can be believed: it is fresh, and not everything is broken at one time.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{GuardVerdict, Truth};
use firedrill_core::quantity::{Ratio, Rounding};
use firedrill_core::time::{Span, Time};
use firedrill_telemetry::promql::Condition;

use super::Answer;
use super::population::{Counted, Population, Watch};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "detector_sanity";

/// The share of a scope from which on its detector is suspected rather than what it tells, unless a policy says otherwise.
pub const SUSPECT_PERCENT: f64 = 90.0;

/// A scope of fewer declared replicas is too small to suspect anything by.
pub const LEAST_DECLARED: u64 = 2;

/// What must be so for telemetry to be believed.
#[derive(Clone, Debug)]
pub struct Sanity {
    /// Must be true: what is looked at is of now. `None`: not asked.
    pub fresh: Option<Condition>,
    /// By how much at most the clock of what alerts may be ahead of this one. `None`: not asked.
    pub clock: Option<Span>,
    /// How health is told; `None`: not asked.
    pub watch: Option<Watch>,
    /// From this share of the declared on unhealthy at one time, the detector is suspected.
    pub suspect: Ratio,
}

/// Asks the guard. `fresh` and `counted` are the answers to the conditions of those names; `None` if nobody has answered.
#[must_use]
pub fn check(
    sanity: Option<&Sanity>,
    target: &Target,
    inventory: &Inventory,
    fresh: Option<(Truth, &str)>,
    counted: Option<Counted<'_>>,
) -> Answer {
    let Some(sanity) = sanity else { return Answer::not_configured() };
    let mut answers = Vec::new();
    if sanity.fresh.is_some() {
        answers.push(match fresh {
            Some((Truth::True, told)) => Answer::passed(figures(&[&"fresh: ", &told])),
            Some((Truth::False, told)) => Answer::refused(format!("stale: {told}"), None),
            Some((Truth::Unknown, told)) => Answer::refused(format!("cannot tell how old: {told}"), None),
            None => Answer::refused("cannot tell how old: nobody has looked", None),
        });
    }
    if let Some(watch) = &sanity.watch {
        match Population::of(watch, target, inventory, counted) {
            Ok(populations) => answers.extend(populations.iter().map(|own| own.named(suspected(sanity, own)))),
            Err(refusal) => answers.push(refusal),
        }
    }
    Answer::all(answers)
}

/// The same with what the clocks say: an alert that is told to have begun after this moment was told by a clock that is ahead, or this one
/// was set back; and this one was if guards remember something later than this moment. `seen` is what [`check`] said, `since` when the alert began,
/// `last` the last that guards remember. That this clock was set forward shows in `fresh`: all samples are old then.
#[must_use]
pub fn in_time(sanity: Option<&Sanity>, seen: Answer, (since, last): (Option<Time>, Option<Time>), now: Time) -> Answer {
    let (Some(clock), false) = (sanity.and_then(|sanity| sanity.clock), seen.is_refusal()) else { return seen };
    let latest = now.saturating_add(clock);
    let refused = |what: String, at: Time| Answer::refused(what, Some(Time::from_nanos(at.as_nanos() - clock.as_nanos())));
    let told = match since {
        Some(since) if since > latest => refused(format!("the clocks differ: the alert begins in {} > {clock}", since.since(now)), since),
        _ if last.is_some_and(|last| last > latest) => {
            let last = last.unwrap_or(latest);
            refused(format!("this clock was set back: the last action was {} later than now > {clock}", last.since(now)), last)
        }
        Some(since) if since > now => Answer::passed(format!("the alert begins in {} <= {clock}", since.since(now))),
        Some(_) | None => Answer::passed(figures(&[&"the alert does not begin later than now + ", &clock])),
    };
    if seen.verdict == GuardVerdict::NotConfigured { told } else { Answer::all([seen, told]) }
}

fn suspected(sanity: &Sanity, population: &Population) -> Answer {
    let Population { declared, unhealthy, .. } = population;
    if *declared < LEAST_DECLARED {
        return Answer::passed(format!("{declared} declared is too few to suspect the detector by"));
    }
    // Rounded up, because from the share itself on it is suspect.
    let limit = sanity.suspect.of(*declared, Rounding::Ceil);
    let figures =
        |sign: &str| figures(&[unhealthy, &" of ", declared, &" unhealthy at once ", &sign, &" ", &limit, &" (", &sanity.suspect, &")"]);
    if *unhealthy >= limit {
        Answer::refused(format!("suspect the detector: {}", figures(">=")), None)
    } else {
        Answer::passed(figures("<"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{inventory, proposal};
    use super::super::ineffective_chain::Helped;
    use super::super::population::tests::{counted, watch};
    use super::super::{Guards, Scope};
    use super::*;

    fn sanity(fresh: bool, scope: Option<Scope>) -> Sanity {
        let fresh = fresh.then(|| Condition::parse("time() - timestamp(up) < 60").unwrap());
        Sanity { fresh, clock: None, watch: scope.map(watch), suspect: Ratio::parse("90%").unwrap() }
    }

    #[track_caller]
    fn refuses(sanity: &Sanity, fresh: Option<(Truth, &str)>, seen: Option<Counted<'_>>) -> Option<String> {
        let answer = check(Some(sanity), &"replica/api-0".parse().unwrap(), &inventory(), fresh, seen);
        answer.is_refusal().then_some(answer.figures)
    }

    #[test]
    fn from_its_share_on_the_detector_is_suspected() {
        let all = sanity(false, Some(Scope::All));
        // 90 % of the 9 that are declared is 8.1, so that 9 are too many and 8 are not.
        assert_eq!(refuses(&all, None, counted(1, 9)), None);
        assert_eq!(refuses(&all, None, counted(0, 9)).as_deref(), Some("suspect the detector: 9 of 9 unhealthy at once >= 9 (90%)"));
        let half = Sanity { suspect: Ratio::parse("50%").unwrap(), ..sanity(false, Some(Scope::Service)) };
        assert_eq!(refuses(&half, None, counted(4, 6)), None);
        assert!(refuses(&half, None, counted(3, 6)).is_some(), "3 of 6 is the half itself");
    }

    #[test]
    fn an_alert_from_the_future_refuses_from_more_than_the_allowed_on() {
        let sanity = Sanity { clock: Some(Span::from_seconds(30)), ..sanity(false, None) };
        let ask = |since: Option<u64>| {
            let seen = check(Some(&sanity), &"service/api".parse().unwrap(), &inventory(), None, None);
            in_time(Some(&sanity), seen, (since.map(Time::from_seconds), None), Time::from_seconds(100))
        };
        assert!([None, Some(0), Some(100), Some(130)].into_iter().all(|since| !ask(since).is_refusal()));
        assert_eq!(ask(Some(131)), Answer::refused("the clocks differ: the alert begins in 31s > 30s", Some(Time::from_seconds(101))));
        let unasked = Sanity { clock: None, ..sanity.clone() };
        let later = Some(Time::from_seconds(999));
        assert_eq!(in_time(Some(&unasked), Answer::passed("x"), (later, later), Time::ZERO), Answer::passed("x"));
    }

    #[test]
    fn a_clock_that_was_set_back_is_told_by_what_guards_remember_and_refuses_until_it_has_caught_up() {
        let sanity = Sanity { clock: Some(Span::from_seconds(30)), ..sanity(false, None) };
        let mut guards = Guards::new();
        let ask = |guards: &Guards, second: u64| {
            let told = (Some(Time::ZERO), guards.last());
            in_time(Some(&sanity), Answer::not_configured(), told, Time::from_seconds(second))
        };
        assert!(!ask(&guards, 0).is_refusal());
        let action = proposal("p", 0, "service/api");
        guards.started(&action, Time::from_seconds(100));
        guards.ended(&action.policy, 0, Time::from_seconds(110));
        guards.judged(&action, Helped::Yes, Time::from_seconds(120));
        let told = "this clock was set back: the last action was 31s later than now > 30s";
        assert_eq!(ask(&guards, 89), Answer::refused(told, Some(Time::from_seconds(90))));
        assert!(!ask(&guards, 90).is_refusal() && !ask(&guards, 120).is_refusal());
    }

    #[test]
    fn stale_and_absent_input_refuses() {
        let fresh = sanity(true, None);
        assert_eq!(refuses(&fresh, Some((Truth::True, "5 < 60")), None), None);
        assert_eq!(refuses(&fresh, Some((Truth::False, "75 < 60")), None).as_deref(), Some("stale: 75 < 60"));
        assert_eq!(refuses(&fresh, Some((Truth::Unknown, "no element")), None).as_deref(), Some("cannot tell how old: no element"));
        assert_eq!(refuses(&fresh, None, None).as_deref(), Some("cannot tell how old: nobody has looked"));
        assert!(refuses(&sanity(false, Some(Scope::Service)), None, None).is_some());
    }

    #[test]
    fn one_replica_alone_is_no_sign_and_nothing_asked_is_not_configured() {
        let mut alone = inventory();
        alone.services.get_mut("cart").unwrap().replicas = 1;
        let service = sanity(false, Some(Scope::Service));
        assert!(!check(Some(&service), &"service/cart".parse().unwrap(), &alone, None, counted(0, 1)).is_refusal());
        assert_eq!(check(None, &"service/cart".parse().unwrap(), &alone, None, None), Answer::not_configured());
    }
}
