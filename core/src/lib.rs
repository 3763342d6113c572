//! The words that everyone uses: time, names, quantities, luck, actions, journal records, problems.
//!
//! Modules are listed in reading order; each uses only what came before it.

pub mod words;
pub mod time;
pub mod name;
pub mod labels;
pub mod quantity;
mod vectors;
pub mod random;
pub mod logarithm;
pub mod distribution;
pub mod action;
pub mod inventory;
pub mod journal;
pub mod part;
pub mod ledger;
pub mod transcript;
pub mod problem;
pub mod yaml;
pub mod deed;
