//! Many runs: summaries that never drop a censored time, and tests that a candidate is no worse than its baseline.
//!
//! Deterministic on every platform: transcendentals are those of `libm`, resampling is seeded.

mod distribution;
mod bootstrap;
mod summary;
mod compare;

pub use bootstrap::{Bounds, bca_bounds};
pub use compare::{Comparison, Conclusion, NonInferiority, TailGuard, TailResult, holm};
pub use distribution::{clopper_pearson_lower, clopper_pearson_upper, jeffreys_lower, normal_cdf, normal_quantile};
pub use summary::{Quantile, Sample, Summary, SurvivalStep, kaplan_meier, quantile, restricted_mean};
