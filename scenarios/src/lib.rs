//! What is rehearsed: scenario files, recorded incidents, importers; the library of scenarios.
//!
//! A file goes `yaml -> document -> lower -> Scenario`; modules are listed in reading order, and each uses only what came before it.

pub mod problem;
pub mod notation;
pub mod document;
pub mod defaults;
pub mod lower;
pub mod composition;
pub mod systems;
pub mod scenario;
pub mod library;
pub mod variants;
pub mod explain;
pub mod kubernetes;
pub mod recording_mapping;
pub mod incident;

pub use scenario::{Scenario, read_scenario, read_scenario_with};
