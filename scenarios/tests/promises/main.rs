//! What scenario files and the library of scenarios promise.
//! One program, because each program is linked and loaded with all of firedrill in it.
//! One of them: `cargo test -p firedrill-scenarios --test promises NAME`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod actions;
mod bad_input;
mod callers;
mod edges;
mod exposed;
mod library;
mod mutations;
