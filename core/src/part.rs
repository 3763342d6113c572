//! The parts of a policy that a run can reach, by which it is told how much of a policy was ever tried.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::journal::Verification;
use crate::name::Name;

/// A part of a policy. Steps count from 0, and from 1 in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A step that does something was begun, or would have been in dry-run.
    Step(u32),
    /// A step that chooses did this one of its candidates, which count from 0 as steps do.
    Candidate(u32, u32, Name),
    /// The verification of a step ended in this way.
    Verify(u32, Verification),
    /// A step failed, by its action or by its verification, so that what it says of that followed.
    OnFailure(u32),
    /// Somebody was called, by a step or as a rung of its ladder.
    Call(Name),
    /// The alert was not over within `escalate_after`.
    EscalateAfter,
    /// A guard, by its word, refused an action.
    Guard(Name),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {}", step + 1),
            Self::Candidate(step, index, what) => write!(f, "candidate {} of step {} ({what})", index + 1, step + 1),
            Self::Verify(step, Verification::Held) => write!(f, "verify of step {} held", step + 1),
            Self::Verify(step, Verification::Failed) => write!(f, "verify of step {} failed", step + 1),
            Self::Verify(step, Verification::Inconclusive) => write!(f, "verify of step {} unknown", step + 1),
            Self::OnFailure(step) => write!(f, "on_failure of step {}", step + 1),
            Self::Call(to) => write!(f, "call to {to}"),
            Self::EscalateAfter => write!(f, "escalate_after"),
            Self::Guard(guard) => write!(f, "guard {guard} refused"),
        }
    }
}
