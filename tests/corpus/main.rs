//! What other people wrote and recorded, unchanged: rules, tests, configurations, remediations and recordings of a corpus that is no part of the project.
//!
//! `FIREDRILL_CORPUS=DIR cargo test --test corpus NAME`. One program, because each program is linked and loaded with all of firedrill in it.

mod alertmanager;
mod incidents;
mod promql;
mod remediation;
mod rule_tests;
mod rules;
