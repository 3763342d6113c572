//! What it came to: outcomes, statistics, verdicts, timelines, tables, pages.
//!
//! Modules are listed in reading order; each uses only what came before it. Nothing here knows files, colour or a terminal:
//! everything is a value or a text that the command writes where it belongs.

pub mod words;
pub mod outcome;
pub mod statistics;
pub mod calibration;
pub mod verdict;
pub mod worth;
pub mod scrutiny;
pub mod timeline;
pub mod aftermath;
pub mod pareto;
pub mod table;
pub mod markdown;
pub mod chart;
pub mod fronts;
pub mod recoveries;
pub mod topology;
pub mod page;

#[cfg(test)]
mod sample;
