//! What can be wrong with whoever carries actions out: what is done is not what was ordered, or what is reported is not what was done.

use std::fmt;

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::{Span, Time};

/// Something that is wrong with carrying actions out, for a while. It concerns actions that are ordered while it is on, and not those of an oracle.
#[derive(Clone, Debug, PartialEq)]
pub struct ActuatorFaultSpec {
    /// Unique among the faults and changes of the scenario.
    pub name: Name,
    /// When it sets in.
    pub at: Time,
    /// How long it lasts; `None`: to the end of the run.
    pub lasting: Option<Span>,
    /// The word of the action that it concerns; `None`: every action.
    pub action: Option<Name>,
    /// What goes wrong with which share of the actions, in the order of [`Misdeed::ALL`]; together at most all of them.
    pub shares: Vec<(Misdeed, Ratio)>,
    /// How much later those that are late begin, seconds.
    pub late_by: Distribution,
}

/// What goes wrong with one action (docs/MODEL.md 2b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misdeed {
    /// Nothing is done, and a failure is reported.
    Fails,
    /// Half of it is done, and a failure is reported; what has no half is not done.
    Partly,
    /// Nothing is done, and nothing is ever reported.
    Hangs,
    /// Nothing is done, and success is reported.
    NoEffect,
    /// All of it is done, and a failure is reported.
    FalseFailure,
    /// All of it is done, later.
    Late,
    /// All of it is done twice, and reported once.
    Twice,
}

impl Misdeed {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [Self::Fails, Self::Partly, Self::Hangs, Self::NoEffect, Self::FalseFailure, Self::Late, Self::Twice];

    /// The word for it in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Partly => "partly",
            Self::Hangs => "hangs",
            Self::NoEffect => "no_effect",
            Self::FalseFailure => "false_failure",
            Self::Late => "late",
            Self::Twice => "twice",
        }
    }

    /// What becomes of an action, for people: `restart#0 …`.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Fails => "is not carried out, and fails",
            Self::Partly => "is carried out by half, and fails",
            Self::Hangs => "is not carried out, and never reported on",
            Self::NoEffect => "is not carried out, and reported as done",
            Self::FalseFailure => "is carried out, and reported as failed",
            Self::Late => "is carried out late",
            Self::Twice => "is carried out twice",
        }
    }
}

impl ActuatorFaultSpec {
    /// The word for it in files and journals.
    pub const WORD: &'static str = "actuator";

    /// Whether it is on at an instant.
    #[must_use]
    pub fn is_on(&self, now: Time) -> bool {
        self.at <= now && self.end().is_none_or(|end| now < end)
    }

    /// When it is over; `None`: not before the end of the run.
    #[must_use]
    pub fn end(&self) -> Option<Time> {
        self.lasting.map(|lasting| self.at.saturating_add(lasting))
    }

    /// What goes wrong with the action whose luck is `unit`, 0 to 1; `None`: nothing.
    #[must_use]
    pub fn misdeed(&self, unit: f64) -> Option<Misdeed> {
        let mut sum = 0.0;
        let mut wrong = self.shares.iter().map(|(misdeed, share)| {
            sum += share.get();
            (*misdeed, sum)
        });
        wrong.find(|(_, sum)| unit < *sum).map(|(misdeed, _)| misdeed)
    }
}

impl fmt::Display for ActuatorFaultSpec {
    /// What is wrong, as a sentence without its full stop: `40% of the restarts fail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.action.as_ref().map_or_else(|| "an action".to_owned(), |action| format!("a {action}"));
        for (index, (misdeed, share)) in self.shares.iter().enumerate() {
            let link = if index == 0 { "" } else { ", " };
            write!(f, "{link}with a chance of {share} {what} {}", misdeed.told())?;
            if *misdeed == Misdeed::Late {
                write!(f, ", by {} on average", Span::from_seconds_f64(self.late_by.mean()))?;
            }
        }
        Ok(())
    }
}
