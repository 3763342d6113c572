//! A live watcher that only reads: Alertmanager's webhooks come in, a Prometheus is asked, decisions go to the ledger, and nothing acts (docs/watch.md).
//!
//! One thread, the keeper's, decides and writes; webhooks wait in a bounded inbox until what they tell is on the disk, and are acknowledged then.
//! Other threads ask Prometheus. No module here knows an actuator or a command: `policies::watcher` has no way to make one.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a watcher lives in real time; what it decides is told every instant"
)]

mod metrics;
mod clock;
mod webhook;
mod inbox;
mod asking;
mod book;
mod keeper;
mod access;
mod tls;
mod server;

pub use access::{Access, is_loopback};
pub use asking::{Asks, Patience, answer_all, ask_anything};
pub use book::{Book, STATE_SCHEMA, observations, plain_event};
pub use clock::{Clock, Reading, SystemClock, TOLERANCE, Ticker};
pub use inbox::{Inbox, Message, Reply, Taken};
pub use keeper::{Keeper, KeeperSetup};
pub use metrics::Metrics;
pub use server::{Connections, REHEARSAL_HEADER, Server, router};
pub use tls::{Files, acceptor};
pub use webhook::{AlertError, MOST_LABEL_BYTES, MOST_REASONS, MOST_TOLD, Refused, Webhook, WebhookError, read_webhook};
