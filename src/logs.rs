//! Logs for whoever looks into firedrill itself: tracing spans with a run id, to stderr.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::Common;

/// Starts the log of a command that runs for long: with the time, from `info` on, one JSON object a line if wanted. The options and `FIREDRILL_LOG` as in
/// [`start`].
pub fn start_service(common: &Common, json: bool) {
    let default = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,firedrill=info",
        (false, 1) => "info,firedrill=debug",
        (false, _) => "trace",
    };
    let registry = tracing_subscriber::registry().with(filter(default));
    // A second start in one process (tests) keeps the first.
    let _ = if json {
        registry.with(tracing_subscriber::fmt::layer().with_writer(io::stderr).json()).try_init()
    } else {
        registry.with(tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false)).try_init()
    };
}

/// What is told of: what the environment says, else this.
fn filter(default: &str) -> Targets {
    // Not the filter that reads fields of spans too: it makes every regular expression of the program slow to compile.
    let given = std::env::var("FIREDRILL_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    given.unwrap_or_else(|| default.parse().expect("the defaults are filters"))
}

/// Starts logging: `-v` shows what is run, `-vv` every span; `FIREDRILL_LOG` takes targets with levels, as `firedrill=info,warn`, and wins.
pub fn start(common: &Common) {
    let default = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "firedrill=info",
        (false, _) => "debug",
    };
    let filter = filter(default);
    let writer = tracing_subscriber::fmt::layer().with_writer(io::stderr).without_time();
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(filter).with(writer).try_init();
}
