//! The model held to reference results (docs/MODEL.md 7): queueing theory, the control loops of the systems that it copies, published incidents.
//!
//! One named case a result, each through scenario files as people write them. One of them: `cargo test --test conformance NAME`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is surprised")]

mod support;

mod clients;
mod balancing;
mod control_loops;
mod machines;
mod fan_out;
mod caches;
mod dependencies;
mod flags;
mod arrivals;
mod queues;
mod backlog;
mod messages;
mod monitoring;
mod fixed_step;
