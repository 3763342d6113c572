//! What firedrill promises to those who use it: the command and its files, as a person, a CI job and a reader of the docs meet them.
//! One program, because each program is linked and loaded with all of firedrill in it.
//! One of them: `cargo test --test promises NAME`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod again;
mod alertmanager;
mod approvals;
mod bad_input;
mod benign;
mod branching;
mod check;
mod command;
mod common;
mod context;
mod decision_tests;
mod determinism;
mod evidence;
mod explore;
mod fights;
mod gate;
mod git;
mod guides;
mod hazards;
mod honesty;
mod import_remediation;
mod init;
mod judge;
mod kubernetes;
mod language;
mod law;
mod learn;
mod ledger;
mod lint;
mod live;
mod mutants;
mod outputs;
mod policy_as_code;
mod profiles;
mod promotion;
mod promoted;
mod public;
mod readme;
mod remedies;
mod replay;
mod rounds;
mod routing;
mod rule_tests;
mod schema;
mod stateful;
mod tidy;
mod tour;
mod watch;
mod worth;
