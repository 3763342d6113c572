//! How sure it is that an action is right: claimed by an expression of the policy, or measured by what drills have shown.

use std::collections::BTreeMap;

use firedrill_core::action::Action;
use firedrill_core::name::Name;
use firedrill_telemetry::promql::Formula;

use super::stage::has_inverse;
use super::{Answer, Instead, Proposal};

/// The name in journals.
pub const NAME: &str = "confidence";

/// From here on it acts, where the policy does not say it.
pub const ACT_AT: f64 = 0.9;

/// From here on it acts with care or asks, where the policy does not say it.
pub const ASK_AT: f64 = 0.7;

/// How sure a policy must be.
#[derive(Clone, Debug)]
pub struct Confidence {
    /// Where the number comes from.
    pub source: Source,
    /// From this number on it acts, 0 to 1.
    pub act_at: f64,
    /// From this number on it acts with care what can be undone, and asks people of the rest; below it calls people. 0 to `act_at`.
    pub ask_at: f64,
}

/// Where a confidence comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The policy claims it: an expression that must give exactly one number.
    Claimed(Box<Formula>),
    /// Drills have shown it.
    Measured,
}

/// How often an action was right when an alert fired.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// Actions that were right.
    pub right: u64,
    /// Actions that were not.
    pub wrong: u64,
    /// What share of them is right at least, 0 to 1: the lower bound that the counts support.
    pub at_least: f64,
}

/// What drills have shown of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// BLAKE3 of the lowered policy that was played, hexadecimal.
    pub policy_hash: String,
    /// By the alert that fired and the word of the action.
    pub shown: BTreeMap<(Name, Name), Shown>,
}

/// Where a confidence lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// People are called.
    Below,
    /// It acts with care, or asks.
    Between,
    /// It acts.
    Above,
}

impl Band {
    /// The word in figures and in what a proposal rests on.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Below => "too low",
            Self::Between => "middling",
            Self::Above => "high",
        }
    }
}

impl Confidence {
    /// Where a confidence lies; a bound belongs to the band above it.
    #[must_use]
    pub fn band(&self, value: f64) -> Band {
        if value >= self.act_at {
            Band::Above
        } else if value >= self.ask_at {
            Band::Between
        } else {
            // What is no number is below everything.
            Band::Below
        }
    }

    /// Whether it is a claim, for which telemetry is asked.
    #[must_use]
    pub const fn formula(&self) -> Option<&Formula> {
        match &self.source {
            Source::Claimed(formula) => Some(formula),
            Source::Measured => None,
        }
    }
}

impl Calibration {
    /// What has been shown of an action on an alert, with its figures.
    ///
    /// # Errors
    /// Nothing has, or another version of the policy was played.
    pub fn of(calibration: Option<&Self>, (alert, action): (&Name, &Action), policy_hash: &str) -> Result<(f64, String), String> {
        let word = action.word();
        let Some(own) = calibration else { return Err(format!("nothing was measured of this policy: {HOW}")) };
        if own.policy_hash != policy_hash {
            return Err(format!("another version of this policy was measured: {HOW}"));
        }
        let Some(Shown { right, wrong, at_least }) = own.shown.get(&(alert.clone(), Name::new(word))) else {
            return Err(format!("nothing was measured of {word} on {alert}: {HOW}"));
        };
        Ok((*at_least, format!("{right} of {} right, so at least {at_least}", right + wrong)))
    }
}

/// What helps where nothing was measured.
const HOW: &str = "`firedrill calibrate` measures it";

/// Whether an action may be done with care: what is verified not to have helped is undone.
#[must_use]
pub const fn can_be_careful(action: &Action, is_verified: bool) -> bool {
    is_verified && has_inverse(action)
}

/// Asks the guard. `told` is the confidence with its figures, or why there is none; `is_verified` says whether somebody looks if the action has helped.
#[must_use]
pub fn check(settings: Option<&Confidence>, proposal: &Proposal, told: &Result<(f64, String), String>, is_verified: bool) -> Answer {
    let Some(settings) = settings else { return Answer::not_configured() };
    let Confidence { act_at, ask_at, .. } = settings;
    let (value, figures) = match told {
        Ok((value, figures)) if !(0.0..=1.0).contains(value) => {
            return Answer::refused(format!("cannot tell: {figures} is no share between 0 and 1"), None).instead(Instead::Alert);
        }
        Ok(told) => told,
        Err(why) => return Answer::refused(format!("cannot tell: {why}"), None).instead(Instead::Alert),
    };
    match settings.band(*value) {
        Band::Above => Answer::passed(format!("{figures} >= {act_at}")),
        Band::Between if can_be_careful(&proposal.action, is_verified) => {
            Answer::passed(format!("{ask_at} <= {figures} < {act_at}: what does not help is undone"))
        }
        Band::Between => {
            let why = if has_inverse(&proposal.action) { "nobody looks whether it helps" } else { "it cannot be undone" };
            Answer::passed(format!("{ask_at} <= {figures} < {act_at}"))
                .must_be_approved(format!("confidence is {value}, below {act_at}, and {why}"))
        }
        Band::Below => Answer::refused(format!("{figures} < {ask_at}"), None).instead(Instead::Alert),
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{RestartMode, Scale};
    use firedrill_core::journal::GuardVerdict;

    use super::super::fixture::proposal;
    use super::*;

    const RESTART: Action = Action::Restart { mode: RestartMode::Rolling };
    const SCALE: Action = Action::Scale { replicas: Scale::By(1) };

    #[track_caller]
    fn check_of(value: f64, action: Action, is_verified: bool) -> (GuardVerdict, Instead, bool) {
        let settings = Confidence { source: Source::Measured, act_at: ACT_AT, ask_at: ASK_AT };
        let proposal = Proposal { action, ..proposal("p", 0, "service/api") };
        let answer = check(Some(&settings), &proposal, &Ok((value, value.to_string())), is_verified);
        (answer.verdict, answer.instead, answer.approval.is_some())
    }

    #[test]
    fn a_bound_belongs_to_the_band_above_it() {
        let (acts, asks) = ((GuardVerdict::Passed, Instead::Wait, false), (GuardVerdict::Passed, Instead::Wait, true));
        let calls = (GuardVerdict::Refused, Instead::Alert, false);
        assert_eq!(check_of(0.9, RESTART, true), acts);
        assert_eq!(check_of(0.9_f64.next_down(), RESTART, true), asks);
        assert_eq!(check_of(0.7, RESTART, true), asks);
        assert_eq!(check_of(0.7_f64.next_down(), RESTART, true), calls);
        assert_eq!(check_of(1.0, RESTART, false), acts);
        assert_eq!(check_of(0.0, SCALE, true), calls);
        assert_eq!(check_of(f64::NAN, SCALE, true), calls);
        for no_share in [1.0_f64.next_up(), 70.0, -0.1] {
            assert_eq!(check_of(no_share, RESTART, true), calls, "{no_share}: whoever writes percent is not sure of everything");
        }
    }

    #[test]
    fn between_the_bounds_what_can_be_undone_is_done_if_somebody_looks() {
        assert_eq!(check_of(0.8, SCALE, true), (GuardVerdict::Passed, Instead::Wait, false));
        assert_eq!(check_of(0.8, SCALE, false), (GuardVerdict::Passed, Instead::Wait, true));
        assert_eq!(check_of(0.8, RESTART, true), (GuardVerdict::Passed, Instead::Wait, true));
    }

    #[test]
    fn what_cannot_be_told_is_left_to_people_and_who_does_not_ask_is_not_configured() {
        let settings = Confidence { source: Source::Measured, act_at: 0.9, ask_at: 0.7 };
        let answer = check(Some(&settings), &proposal("p", 0, "service/api"), &Err("no element".to_owned()), true);
        assert_eq!((answer.verdict, answer.instead), (GuardVerdict::Refused, Instead::Alert));
        assert_eq!(answer.figures, "cannot tell: no element");
        assert_eq!(check(None, &proposal("p", 0, "service/api"), &Err(String::new()), true), Answer::not_configured());
    }

    #[test]
    fn what_was_measured_is_of_one_policy_one_alert_and_one_action() {
        let (down, slow) = (Name::new("Down"), Name::new("Slow"));
        let shown = Shown { right: 19, wrong: 1, at_least: 0.8 };
        let own = Calibration { policy_hash: "a".to_owned(), shown: [((down.clone(), Name::new("restart")), shown)].into() };
        let of = |calibration, alert, action: &Action, hash| Calibration::of(calibration, (alert, action), hash);
        assert_eq!(of(Some(&own), &down, &RESTART, "a"), Ok((0.8, "19 of 20 right, so at least 0.8".to_owned())));
        let refused = |what: &str| Err(format!("{what}: `firedrill calibrate` measures it"));
        assert_eq!(of(Some(&own), &slow, &RESTART, "a"), refused("nothing was measured of restart on Slow"));
        assert_eq!(of(Some(&own), &down, &SCALE, "a"), refused("nothing was measured of scale on Down"));
        assert_eq!(of(Some(&own), &down, &RESTART, "b"), refused("another version of this policy was measured"));
        assert_eq!(of(None, &down, &RESTART, "a"), refused("nothing was measured of this policy"));
    }
}
