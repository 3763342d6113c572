//! Variants: a scenario with something changed in what happens, drawn from a seed or made smaller, and written down as a scenario file.
//!
//! A variant is made as a tree of YAML and read by the reader of every scenario, so what is played is what the file says (docs/decisions/chaos.md).

pub mod written;
pub mod quantity;
pub mod entry;
pub mod ranges;
pub mod possible;
pub mod plan;
pub mod drawn;
pub mod smaller;

pub use drawn::{Drawn, draw};
pub use entry::{Entry, List};
pub use plan::{Origin, Plan};
pub use possible::{Group, Possible, possible};
pub use ranges::Ranges;
