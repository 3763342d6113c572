//! Alertmanager in virtual time: its own configuration, unchanged, and who is told what and when.
//!
//! A pure state machine ([`Alertmanager`]): alerts go in, messages come out, and the caller owns the clock. Semantics are those of
//! Alertmanager 0.34 (docs/decisions/alertmanager.md); gossip between peers is left out.

mod problem;
mod matcher;
mod interval;
mod config;
mod integrations;
mod document;
mod alert;
mod silence;
mod inhibition;
mod log;
mod delivery;
mod note;
mod machine;
mod webhook;
mod hearing;
mod rehearsal;
mod batch;

pub use problem::nothing_to_silence;
pub(crate) use problem::{no_receiver_to_listen_at, no_receivers};

pub use alert::{Alert, AlertError, Fingerprint, PostedAlert};
pub use batch::{Batch, BatchAlert, read_batch};
pub use config::{Config, GroupBy, InhibitRule, Integration, Receiver, Route, RouteOptions};
pub use delivery::{Outage, Reply};
pub use document::read_config;
pub use hearing::{Heard, Hearing, posted};
pub use interval::{TimeInterval, TimeRange};
pub use log::Reason;
pub use machine::{Alertmanager, Member, Message};
pub use note::{Note, NoteKind, Why};
pub use rehearsal::{Rehearsal, rehearse, told};
pub use silence::{Silence, read_silences};
pub use webhook::payload;
