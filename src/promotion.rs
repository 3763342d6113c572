//! Promotion: how far a policy is trusted follows from what its ledger shows, and from nothing else (docs/promotion.md).

pub mod profile;
pub mod standing;
pub mod heard;
pub mod evidence;
pub mod bake;
pub mod again;
pub mod needs;
pub mod demotion;
pub mod statement;
