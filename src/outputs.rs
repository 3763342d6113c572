//! What other programs read of a command's results, one module each (docs/outputs.md).

pub mod junit;
pub mod sarif;
pub mod annotations;
