//! Progress on stderr, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill_reports::verdict::Case;
use firedrill_reports::words::counted;

use crate::campaign::Campaign;
use crate::output::Output;

/// Runs a campaign and shows how far it is.
pub fn run(campaign: &Campaign, output: Output) -> Vec<Vec<Case>> {
    let cells = campaign.scenarios.len() * campaign.seeds.len();
    let told = [(campaign.scenarios.len(), "scenario"), (campaign.seeds.len(), "seed"), (campaign.run_count(), "run")];
    let [scenarios, seeds, runs] = told.map(|(count, noun)| counted(count as u64, noun));
    output.talk(&format!("{scenarios} × {seeds}, {runs}"));
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
