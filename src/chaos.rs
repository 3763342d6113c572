//! Variants of scenarios, played: what must hold of any of them, the search for one in which it does not, and the smallest that shows it.
//!
//! What a variant may be and how it is made smaller is `firedrill_scenarios::variants` (docs/decisions/chaos.md).

pub mod demands;
pub mod trial;
pub mod failure;
pub mod search;
pub mod gate;
