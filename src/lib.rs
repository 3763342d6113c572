//! firedrill put together: what a person at a terminal, a CI job, or a live watcher uses.
//!
//! Modules are listed in reading order; each uses only what came before it.

pub mod exit;
pub mod cli;
pub mod command_line;
pub mod failure;
pub mod inputs;
pub mod outputs;
pub mod output;
pub mod logs;
pub mod ledger;
pub mod prometheus;
pub mod promotion;
pub mod load;
pub mod revision;
pub mod kind;
pub mod library;
pub mod project;
pub mod automation;
pub mod drill;
pub mod calibration;
pub mod sources;
pub mod home;
pub mod rule_tests;
pub mod fidelity;
pub mod watch;
pub mod recorded;
pub mod pulling;
pub mod importing;
pub mod capturing;
pub mod replaying;
pub mod judged;
pub mod rehearsal;
pub mod learning;
pub mod evidence;
pub mod known;
pub mod campaign;
pub mod chaos;
pub mod coverage;
pub mod draft;
pub mod shadow;
pub mod commands;
