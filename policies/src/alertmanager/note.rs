//! What happens in an Alertmanager besides messages: which group an alert goes into, and why somebody is not told.

use std::fmt;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use super::alert::written;

/// Something that happened to an alert on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who would be told.
    pub receiver: Name,
    /// The route's matchers and the group's labels.
    pub group_key: Name,
    /// The alert's labels.
    pub labels: LabelSet,
    /// Since when it is active.
    pub starts_at: Time,
    /// What happened.
    pub kind: NoteKind,
}

/// What happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// It came into a group.
    Routed {
        /// When the group is looked at next; `None`: as soon as a delivery under way has ended.
        look: Option<Time>,
        /// Whether that is the group's first look, which comes after its group wait; others come at its group interval.
        is_first: bool,
    },
    /// A look at its group left it out.
    Withheld(Why),
}

/// Why a receiver is not told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another alert is active that mutes it.
    Inhibited {
        /// The other alert's labels.
        by: LabelSet,
    },
    /// A silence matches it.
    Silenced {
        /// The silence's name.
        by: Name,
    },
    /// Its route sends nothing in this time interval.
    MutedDuring {
        /// The interval's name.
        interval: Name,
    },
    /// Its route sends in certain time intervals alone, and this is none.
    Inactive {
        /// Their names.
        outside: Vec<Name>,
    },
    /// It was over before its receiver was told that it fires.
    OverBeforeTold {
        /// What kept it from the receiver at the end, if it was not the wait alone.
        muted: Option<Box<Why>>,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inhibited { by } => write!(f, "inhibited by {}", written(by)),
            Self::Silenced { by } => write!(f, "silenced by {by}"),
            Self::MutedDuring { interval } => write!(f, "muted during {interval}"),
            Self::Inactive { outside } => {
                let names = outside.iter().map(Name::as_str).collect::<Vec<_>>().join(" or ");
                write!(f, "its route is active only during {names}")
            }
            Self::OverBeforeTold { muted: None } => f.write_str("over before a message was due"),
            Self::OverBeforeTold { muted: Some(why) } => write!(f, "over before a message was due, and {why}"),
        }
    }
}
