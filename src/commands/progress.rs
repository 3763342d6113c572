//! Progress on stderr, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill_reports::verdict::Case;

use crate::campaign::Campaign;
use crate::output::Output;

/// Runs a campaign and shows how far it is.
pub fn run(campaign: &Campaign, output: Output) -> Vec<Vec<Case>> {
    let cells = campaign.scenarios.len() * campaign.seeds.len();
    output.talk(&format!("{} scenarios × {} seeds, {} runs", campaign.scenarios.len(), campaign.seeds.len(), campaign.run_count()));
    let shown = io::stderr().is_terminal() && !output.is_quiet();
    let finished = AtomicUsize::new(0);
    let cases = campaign.run(&|| {
        let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
        if shown {
            let _ = write!(io::stderr().lock(), "\r{finished} of {cells}");
        }
    });
    if shown {
        let _ = write!(io::stderr().lock(), "\r                    \r");
    }
    cases
}
