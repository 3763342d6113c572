//! The story of a run, for a person who was not there: what broke, who noticed, what was decided and why, what it did.

mod render;
mod tell;

use firedrill_core::name::Name;
use firedrill_core::time::Time;
use serde::{Deserialize, Serialize};

pub(crate) use render::column;
pub use tell::tell;

/// What a line is about; the command may colour by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fault sets in or is over.
    Fault,
    /// Users feel it.
    Users,
    /// Something in the world changes by itself or by an action.
    World,
    /// A rule's condition holds, fires, is over, or cannot be evaluated.
    Alert,
    /// Alertmanager puts an alert into a receiver's group.
    Routing,
    /// Alertmanager sends a receiver a message.
    Message,
    /// Alertmanager keeps an alert from a receiver.
    Withheld,
    /// A policy is told.
    Told,
    /// Alerts become one incident, or it changes.
    Incident,
    /// A policy takes something up, or is done with it.
    Policy,
    /// Guards let an action pass.
    Guard,
    /// A guard refuses.
    Refusal,
    /// A policy decides to act, with its reason.
    Decision,
    /// An action begins or ends well.
    Action,
    /// An action fails.
    Failure,
    /// A verification ends.
    Verify,
    /// Two work against each other.
    Fight,
    /// A person is called.
    Page,
    /// A person does something beside acting.
    Person,
    /// Users are well, or everything is as declared.
    Recovery,
    /// The run is over.
    End,
}

impl Kind {
    /// The word that stands before the line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Users => "users",
            Self::World => "world",
            Self::Alert => "alert",
            Self::Routing => "routed",
            Self::Message => "message",
            Self::Withheld => "withheld",
            Self::Told => "told",
            Self::Incident => "incident",
            Self::Policy => "policy",
            Self::Guard => "guard",
            Self::Refusal => "refused",
            Self::Decision => "decision",
            Self::Action => "action",
            Self::Failure => "failed",
            Self::Verify => "verify",
            Self::Fight => "fight",
            Self::Page => "page",
            Self::Person => "person",
            Self::Recovery => "recovery",
            Self::End => "end",
        }
    }

    /// How it should look: `bad`, `warn`, `good`, `act`, or `quiet`.
    #[must_use]
    pub const fn tone(self) -> &'static str {
        match self {
            Self::Fault | Self::Users | Self::Failure | Self::Fight => "bad",
            Self::Alert | Self::Incident | Self::Refusal | Self::Withheld | Self::Page => "warn",
            Self::Recovery => "good",
            Self::Decision | Self::Action | Self::Verify | Self::Person => "act",
            Self::World | Self::Routing | Self::Message | Self::Told | Self::Policy | Self::Guard | Self::End => "quiet",
        }
    }
}

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When; of several things told in one line, the first.
    pub at: Time,
    /// What it is about.
    pub kind: Kind,
    /// What happened, without its time.
    pub text: String,
}

/// The story of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The scenario.
    pub scenario: Name,
    /// The arm.
    pub arm: Name,
    /// The policies on duty.
    pub policies: Vec<Name>,
    /// The seed.
    pub seed: u64,
    /// Onsets of the incidents, in order; empty without a fault.
    pub onsets: Vec<Time>,
    /// In order of time.
    pub lines: Vec<Line>,
}
