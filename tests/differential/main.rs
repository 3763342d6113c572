//! The same questions put to the real programs and to ours: `cargo test --test differential NAME`.
//!
//! The two are one program, so that one works while the other waits for the real time in which an Alertmanager lives.

mod alertmanager;
#[path = "../../telemetry/tests/common/expressions.rs"]
mod expressions;
mod promql;
