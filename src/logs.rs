//! Logs for whoever looks into firedrill itself: tracing spans with a run id, to stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::Common;

/// Starts logging: `-v` shows what is run, `-vv` every span; `FIREDRILL_LOG` takes a filter in tracing's syntax and wins.
pub fn start(common: &Common) {
    let default = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "firedrill=info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("FIREDRILL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().try_init();
}
