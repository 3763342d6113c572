//! Scenario files of this folder, played, and what came of them.

use std::sync::Arc;

use firedrill_core::journal::Event;
use firedrill_core::ledger::{RequestOutcome, ServiceTotals};
use firedrill_core::random::Seed;
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::WorldSpec;
use firedrill_sim::{Automation, Finished, Idle, Options, Run, Script};

/// A figure by name, what theory says of it, and how it is read off a run.
type Expected<'a> = (&'a str, f64, &'a dyn Fn(&Finished<Idle>) -> f64);

/// A scenario file, perhaps with a few words changed.
#[derive(Clone)]
pub struct Case {
    path: String,
    text: String,
}

/// The scenario in `tests/conformance/scenarios/NAME.yaml`.
#[track_caller]
pub fn case(name: &str) -> Case {
    let path = format!("tests/conformance/scenarios/{name}.yaml");
    let text = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    Case { text: text.unwrap_or_else(|error| panic!("{path}: {error}")), path }
}

impl Case {
    /// The same with `to` instead of `from`, which must stand there exactly once.
    #[track_caller]
    pub fn with(&self, from: &str, to: &str) -> Self {
        assert_eq!(self.text.matches(from).count(), 1, "`{from}` stands once in {}", self.path);
        Self { path: self.path.clone(), text: self.text.replace(from, to) }
    }

    /// Its path and its text.
    pub fn file(&self) -> (&str, &str) {
        (&self.path, &self.text)
    }

    /// What it is lowered to.
    #[track_caller]
    pub fn spec(&self) -> Arc<WorldSpec> {
        match read_scenario(&self.path, &self.text) {
            Ok(scenario) => scenario.spec,
            Err(problems) => panic!("{}: {problems:#?}", self.path),
        }
    }

    /// One run that nobody watches, without telemetry.
    #[track_caller]
    pub fn play(&self, seed: u64) -> Finished<Idle> {
        Run::new(self.spec(), Seed(seed), Options { telemetry: false, ..Options::default() }, Idle).finish()
    }

    /// One run in which the oracle's actions are taken at their times, without telemetry.
    #[track_caller]
    pub fn play_cured(&self, seed: u64) -> Finished<Script> {
        let spec = self.spec();
        Run::new(Arc::clone(&spec), Seed(seed), Options { telemetry: false, ..Options::default() }, Script::new(spec)).finish()
    }

    /// One run that nobody watches, with telemetry.
    #[track_caller]
    pub fn play_seen(&self, seed: u64) -> Finished<Idle> {
        Run::new(self.spec(), Seed(seed), Options::default(), Idle).finish()
    }

    /// Asserts that the mean of a figure over `seeds` seeds is within 4 standard errors of what theory says, and that this says something.
    #[track_caller]
    pub fn check(&self, what: &str, seeds: u64, exact: f64, figure: impl Fn(&Finished<Idle>) -> f64) {
        self.check_figures(what, exact, &(0..seeds).map(|seed| figure(&self.play(seed))).collect::<Vec<f64>>());
    }

    /// The same of several figures of the same runs.
    #[track_caller]
    pub fn check_all(&self, seeds: u64, figures: &[Expected<'_>]) {
        let runs: Vec<Vec<f64>> = (0..seeds)
            .map(|seed| {
                let finished = self.play(seed);
                figures.iter().map(|(_, _, figure)| figure(&finished)).collect()
            })
            .collect();
        for (index, (what, exact, _)) in figures.iter().enumerate() {
            self.check_figures(what, *exact, &runs.iter().map(|run| run[index]).collect::<Vec<f64>>());
        }
    }

    /// The same of a figure that has been measured in several seeds.
    #[track_caller]
    pub fn check_figures(&self, what: &str, exact: f64, figures: &[f64]) {
        let count = figures.len() as f64;
        let mean = figures.iter().sum::<f64>() / count;
        let variance = figures.iter().map(|figure| (figure - mean) * (figure - mean)).sum::<f64>() / (count - 1.0);
        let error = (variance / count).sqrt();
        assert!(
            (mean - exact).abs() <= 4.0 * error + 1e-9,
            "{what} of {}: {mean} is not {exact} within 4 standard errors of {error}",
            self.path
        );
        assert!(error < 0.05 * exact, "{what} of {}: a standard error of {error} proves little about {exact}", self.path);
    }
}

/// The totals of a service.
#[track_caller]
pub fn totals<A: Automation>(finished: &Finished<A>, service: &str) -> ServiceTotals {
    finished.ledger.services.iter().find(|ledger| &*ledger.service == service).expect("the service is in the ledger").totals
}

/// The share of the first client's requests that arrived in `[from, to)` seconds, whole multiples of ten, and ended in this way.
#[track_caller]
pub fn outcome_share<A: Automation>(finished: &Finished<A>, (from, to): (usize, usize), outcome: RequestOutcome) -> f64 {
    let client = &finished.ledger.clients[0];
    let first = client.bin_starts[from / 10] as usize;
    let last = client.bin_starts.get(to / 10).map_or(client.outcomes.len(), |last| *last as usize);
    let hits = client.outcomes[first..last].iter().filter(|byte| **byte == outcome as u8).count();
    hits as f64 / (last - first) as f64
}

/// The share of good requests of the first client in `[from, to)` seconds.
#[track_caller]
pub fn good_share<A: Automation>(finished: &Finished<A>, from: usize, to: usize) -> f64 {
    outcome_share(finished, (from, to), RequestOutcome::Good)
}

/// The journal as seconds and what `tell` tells of an event.
pub fn told<A: Automation, T>(finished: &Finished<A>, tell: impl Fn(&Event) -> Option<T>) -> Vec<(f64, T)> {
    finished.journal.records().iter().filter_map(|record| Some((record.at.as_seconds(), tell(&record.event)?))).collect()
}
