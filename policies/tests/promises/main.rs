//! What policies and their guards promise, over whole controllers.
//! One program, because each program is linked and loaded with all of firedrill in it.
//! One of them: `cargo test -p firedrill-policies --test promises NAME`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod boundaries;
mod forms;
mod fuzz;
mod guards;
mod ruler;
