//! Random worlds for tests of other packages, with the small things that they are made of.

#[path = "mod.rs"]
pub mod common;
#[path = "worlds.rs"]
pub mod worlds;
