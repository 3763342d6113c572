//! Evaluating many plans at a moment, fast: what can be known before the samples is worked out once, and what plans share is evaluated once.
//!
//! A [`Program`] is the plans of a whole rule set woven into one graph, equal subexpressions once. A [`Machine`] evaluates it: it knows which series
//! each selector reads, into which group each element falls and what its labels become, and works out anew only what a newly born series adds.
//! An element on the way is a row's number and a value; labels are looked at when a row is seen for the first time, and never again.
//!
//! The plain evaluator is the definition: whatever this one yields is bit for bit what that one yields, in the same order.
//! See `docs/decisions/compiled-evaluator.md`.
//!
//! Modules are listed in reading order; each uses only what came before it.

mod numbering;

mod program;

mod weave;

mod table;

mod cell;

mod aggregate;

mod join;

mod window;

mod pass;

mod machine;

pub use machine::{Answer, Elements, Machine};
pub use program::{Program, QueryId};
