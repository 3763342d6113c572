//! What the simulator promises, over whole worlds.
//! One program, because each program is linked and loaded with all of firedrill in it.
//! One of them: `cargo test -p firedrill-sim --test promises NAME`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod actuators;
mod common;
mod invariants;
mod lifecycle;
mod monitoring;
mod past;
mod person;
mod profiles;
mod runs;
mod telemetry;
#[path = "common/worlds.rs"]
mod worlds;
