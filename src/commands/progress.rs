//! Progress on stderr, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill_reports::verdict::Case;
use firedrill_reports::words::counted;

use crate::campaign::Campaign;
use crate::output::Output;

/// How many of so many are done.
pub struct Bar {
    cells: usize,
    finished: AtomicUsize,
    shown: bool,
}

impl Bar {
    /// None is done yet.
    pub fn new(cells: usize, output: Output) -> Self {
        Self { cells, finished: AtomicUsize::new(0), shown: io::stderr().is_terminal() && !output.is_quiet() }
    }

    /// One more is done.
    pub fn step(&self) {
        let finished = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r{finished} of {}", self.cells);
        }
    }

    /// Leaves an empty line.
    pub fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r                    \r");
        }
    }
}

/// Runs a campaign and shows how far it is.
pub fn run(campaign: &Campaign, output: Output) -> Vec<Vec<Case>> {
    let told = [(campaign.scenarios.len(), "scenario"), (campaign.seeds.len(), "seed"), (campaign.run_count(), "run")];
    let [scenarios, seeds, runs] = told.map(|(count, noun)| counted(count as u64, noun));
    output.talk(&format!("{scenarios} × {seeds}, {runs}"));
    let bar = Bar::new(campaign.scenarios.len() * campaign.seeds.len(), output);
    let cases = campaign.run(&|| bar.step());
    bar.clear();
    cases
}
