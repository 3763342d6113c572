//! How far long work is: on a terminal a line that is drawn anew with what remains, elsewhere a line now and then, so that nobody takes it for stuck.

#![allow(clippy::disallowed_types, reason = "an estimate is of real time, and nothing that is simulated reads it")]

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firedrill_reports::verdict::Case;
use firedrill_reports::words::counted;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::campaign::Campaign;
use crate::output::Output;

/// Where lines stay, as in the log of a CI job, the next one is written after so long; work that is over sooner writes none.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Work of a known size, of which parts are done in any order and by any thread.
pub struct Bar {
    total: u64,
    done: AtomicU64,
    since: Instant,
    output: Output,
    /// On a terminal.
    line: Option<ProgressBar>,
    /// Elsewhere: how many lines were due so far.
    lines: AtomicU64,
}

impl Bar {
    /// Nothing is done yet. Whoever asked for quiet is shown nothing.
    #[must_use]
    pub fn new(total: usize, output: Output) -> Self {
        let shown = io::stderr().is_terminal() && !output.is_quiet();
        let line = shown.then(|| line(total as u64));
        Self { total: total as u64, done: AtomicU64::new(0), since: Instant::now(), output, line, lines: AtomicU64::new(0) }
    }

    /// One part more is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let elapsed = self.since.elapsed();
        if let Some(line) = &self.line {
            line.set_message(told(done, self.total, elapsed));
            line.set_position(done);
            return;
        }
        // Of those who come at one time, one writes the line.
        let due = lines_due(elapsed);
        let written = self.lines.fetch_max(due, Ordering::Relaxed);
        if due > written && done < self.total {
            self.output.talk(&told(done, self.total, elapsed));
        }
    }

    /// Leaves an empty line.
    pub fn clear(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

fn line(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let line = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style);
    line.set_message(told(0, total, Duration::ZERO));
    line
}

/// How many lines there would be by now.
fn lines_due(elapsed: Duration) -> u64 {
    elapsed.as_secs() / BETWEEN_LINES.as_secs()
}

/// `37 of 80, about 12 s left`; without an estimate until something is done.
fn told(done: u64, total: u64, elapsed: Duration) -> String {
    match left(done, total, elapsed) {
        Some(left) => format!("{done} of {total}, about {} left", words(left)),
        None => format!("{done} of {total}"),
    }
}

/// How long the rest takes if its parts are like those that are done.
fn left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    let rest = total.saturating_sub(done);
    (done > 0 && rest > 0).then(|| Duration::from_secs_f64(elapsed.as_secs_f64() * rest as f64 / done as f64))
}

/// Full seconds, and minutes from two on: nobody knows it better.
fn words(span: Duration) -> String {
    let seconds = span.as_secs_f64().ceil() as u64;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        let seconds = Duration::from_secs;
        assert_eq!(told(0, 80, seconds(3)), "0 of 80");
        assert_eq!(told(20, 80, seconds(10)), "20 of 80, about 30 s left");
        assert_eq!(told(1, 80, seconds(10)), "1 of 80, about 14 min left");
        assert_eq!(told(79, 80, Duration::from_millis(79)), "79 of 80, about 1 s left");
        assert_eq!(told(80, 80, seconds(40)), "80 of 80");
    }

    #[test]
    fn a_log_has_a_line_every_half_minute_and_short_work_none() {
        assert_eq!([0, 29, 30, 59, 61].map(|seconds| lines_due(Duration::from_secs(seconds))), [0, 0, 1, 1, 2]);
    }
}
