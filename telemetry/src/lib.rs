//! Time series and the language that asks about them: store, exposition formats, PromQL.

pub mod labels;
pub mod notation;
pub mod store;
