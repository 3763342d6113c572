//! The world and the loop that runs it.

pub mod spec;
pub mod queue;
