//! Promotion: how far a policy is trusted follows from what its ledger shows, and from nothing else (docs/promotion.md).

pub mod profile;
pub mod standing;
pub mod evidence;
pub mod again;
pub mod backtest;
pub mod needs;
pub mod bake;
pub mod demotion;
pub mod statement;
