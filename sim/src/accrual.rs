//! Failure accrual as Linkerd does it: a replica that fails rests, and then one request tries it (docs/MODEL.md 1.5).
//!
//! After `consecutive_failures.rs` of linkerd2-proxy. "Open" there is a gate that lets requests through.

use firedrill_core::random::unit;
use firedrill_core::time::{Span, Time};

use crate::spec::AccrualSpec;

/// What one caller does with one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Accrual {
    /// It may be chosen; so many failures came in a row.
    #[default]
    Fresh,
    /// It may be chosen; so many failures came in a row.
    Failing(u32),
    /// It rests until then; the rest was this long without its jitter.
    Resting(Time, Span),
    /// One request may try it; the last rest was this long.
    Probation(Span),
    /// One request tries it.
    Trying(Span),
}

/// What an answer brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Same,
    /// The replica rests until then; after so many failures in a row, or after a failed trial (zero).
    Rests(Time, u32),
    /// The trial went well.
    Returns,
}

impl Accrual {
    /// Whether a request may be sent there.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Fresh | Self::Failing(_) | Self::Probation(_))
    }

    /// A request is sent there; the result is whether no second one may be sent before it is heard of.
    pub(crate) fn take(&mut self) -> bool {
        if let Self::Probation(rest) = *self {
            *self = Self::Trying(rest);
            return true;
        }
        false
    }

    /// The request that tried it was given up without an answer: another may try.
    pub(crate) fn give_back(&mut self) {
        if let Self::Trying(rest) = *self {
            *self = Self::Probation(rest);
        }
    }

    /// A request that was sent there has succeeded or failed. While the replica rests, that says nothing.
    pub(crate) fn hear(&mut self, spec: &AccrualSpec, is_success: bool, now: Time, luck: u64) -> Verdict {
        match (*self, is_success) {
            (Self::Resting(..), _) => Verdict::Same,
            (Self::Fresh | Self::Failing(_), true) => {
                *self = Self::Fresh;
                Verdict::Same
            }
            (Self::Probation(_) | Self::Trying(_), true) => {
                *self = Self::Fresh;
                Verdict::Returns
            }
            (Self::Probation(rest) | Self::Trying(rest), false) => {
                self.rest(spec, rest.saturating_add(rest).min(spec.max_penalty), (now, luck, 0))
            }
            (Self::Fresh | Self::Failing(_), false) => {
                let failures = if let Self::Failing(failures) = self { *failures + 1 } else { 1 };
                if failures >= spec.failures {
                    return self.rest(spec, spec.min_penalty, (now, luck, failures));
                }
                *self = Self::Failing(failures);
                Verdict::Same
            }
        }
    }

    /// The rest is over, unless another one has begun since.
    pub(crate) fn wake(&mut self, now: Time) -> bool {
        match *self {
            Self::Resting(until, rest) if until <= now => {
                *self = Self::Probation(rest);
                true
            }
            _ => false,
        }
    }

    fn rest(&mut self, spec: &AccrualSpec, rest: Span, (now, luck, failures): (Time, u64, u32)) -> Verdict {
        let jitter = Span::from_seconds_f64(rest.as_seconds() * spec.jitter.get() * unit(luck));
        let room = Span::from_nanos(spec.max_penalty.as_nanos().saturating_sub(rest.as_nanos()));
        let until = now + rest + jitter.min(room);
        *self = Self::Resting(until, rest);
        Verdict::Rests(until, failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::quantity::Ratio;

    fn spec(jitter: f64) -> AccrualSpec {
        AccrualSpec {
            failures: 7,
            min_penalty: Span::from_seconds(1),
            max_penalty: Span::from_seconds(60),
            jitter: Ratio::new(jitter).unwrap(),
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_seconds(seconds)
    }

    fn fail(accrual: &mut Accrual, times: u32, now: u64) -> Verdict {
        (0..times).map(|_| accrual.hear(&spec(0.0), false, at(now), 0)).last().unwrap()
    }

    #[test]
    fn the_seventh_failure_in_a_row_makes_a_rest() {
        let mut accrual = Accrual::default();
        assert_eq!(fail(&mut accrual, 6, 0), Verdict::Same);
        assert_eq!(accrual.hear(&spec(0.0), true, at(0), 0), Verdict::Same);
        assert_eq!(fail(&mut accrual, 6, 0), Verdict::Same);
        assert!(accrual.is_open());
        assert_eq!(fail(&mut accrual, 1, 0), Verdict::Rests(at(1), 7));
        assert!(!accrual.is_open());
    }

    #[test]
    fn after_the_rest_one_request_tries_it_and_rests_double_up_to_the_longest() {
        let mut accrual = Accrual::default();
        let mut rests = Vec::new();
        let mut now = 0;
        let mut verdict = fail(&mut accrual, 7, now);
        for _ in 0..8 {
            let Verdict::Rests(until, _) = verdict else { panic!("it rests") };
            rests.push(until.since(at(now)).as_nanos() / 1_000_000_000);
            assert!(!accrual.wake(Time::from_nanos(until.as_nanos() - 1)));
            assert!(accrual.wake(until));
            assert!(accrual.is_open());
            assert!(accrual.take(), "the first request is the only one");
            assert!(!accrual.is_open());
            now = until.as_nanos() / 1_000_000_000;
            verdict = fail(&mut accrual, 1, now);
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_trial_that_goes_well_forgives_everything() {
        let mut accrual = Accrual::default();
        fail(&mut accrual, 7, 0);
        assert!(accrual.wake(at(1)) && accrual.take());
        assert_eq!(accrual.hear(&spec(0.0), true, at(1), 0), Verdict::Returns);
        assert_eq!(fail(&mut accrual, 6, 1), Verdict::Same);
        assert_eq!(fail(&mut accrual, 1, 1), Verdict::Rests(at(2), 7));
    }

    #[test]
    fn answers_that_come_during_a_rest_say_nothing() {
        let mut accrual = Accrual::default();
        fail(&mut accrual, 7, 0);
        assert_eq!(accrual.hear(&spec(0.0), true, at(0), 0), Verdict::Same);
        assert!(!accrual.is_open());
    }

    #[test]
    fn a_trial_that_is_given_up_leaves_room_for_another() {
        let mut accrual = Accrual::default();
        fail(&mut accrual, 7, 0);
        assert!(accrual.wake(at(1)) && accrual.take());
        accrual.give_back();
        assert!(accrual.is_open());
    }

    #[test]
    fn jitter_is_added_and_never_exceeds_the_longest_rest() {
        let mut accrual = Accrual::default();
        for _ in 0..6 {
            assert_eq!(accrual.hear(&spec(0.5), false, at(0), u64::MAX), Verdict::Same);
        }
        let Verdict::Rests(until, 7) = accrual.hear(&spec(0.5), false, at(0), u64::MAX) else { panic!("it rests") };
        assert!(until > Time::from_nanos(1_499_999_000) && until <= Time::from_nanos(1_500_000_000), "{until}");
        accrual = Accrual::Trying(Span::from_seconds(60));
        assert_eq!(accrual.hear(&spec(0.5), false, at(0), u64::MAX), Verdict::Rests(at(60), 0));
    }
}
