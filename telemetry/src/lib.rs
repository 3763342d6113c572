//! Time series and the language that asks about them: store, exposition formats, PromQL.
//!
//! Modules are listed in reading order; each uses only what came before it. The blank lines keep the formatter from sorting them.

pub mod patterns;

pub mod labels;

pub mod notation;

pub mod example;

pub mod store;

pub mod universe;

pub mod promql;

pub mod promqltest;

pub mod exposition;

pub mod recording;

pub mod csv;
