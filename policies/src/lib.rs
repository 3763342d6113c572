//! What is done about it: alert rules, routing, policies, guards; the library of policies.
//!
//! Modules are listed in reading order; each uses only what came before it. There is no path from here to the simulator: a policy cannot see
//! the truth and cannot touch the world (docs/ARCHITECTURE.md, invariant 2).

mod problem;

pub mod rules;

pub mod alertmanager;

mod figures;

pub mod evidence;

pub mod code;

pub mod guard;

pub mod correlation;

pub mod policy;

pub mod shared;

pub mod document;

pub mod parts;

pub mod controller;

pub mod pilot;

pub mod watcher;

pub mod decisions;

pub mod library;

pub mod explain;

pub mod lints;

pub mod mutants;

pub mod remediation;
