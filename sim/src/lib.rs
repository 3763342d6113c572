//! The world and the loop that runs it.
//!
//! Modules are listed in reading order; each uses only what came before it.

pub mod spec;
pub mod queue;
mod slab;
mod histogram;
mod backoff;
mod cpu;
mod world;
mod observe;
pub mod automation;
pub mod run;

pub use automation::{Automation, Idle, Script};
pub use run::{Finished, Options, Run};
