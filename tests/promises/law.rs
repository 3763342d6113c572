//! The engine obeys queueing theory through the files that people write: the library's reference scenarios against closed forms (docs/MODEL.md A1, A2).

use std::sync::Arc;

use crate::common::{edited, firedrill};
use firedrill_core::ledger::ServiceTotals;
use firedrill_core::random::Seed;
use firedrill_scenarios::read_scenario;
use firedrill_sim::automation::Idle;
use firedrill_sim::run::{Options, Run};
use serde_json::Value;

/// Runs of each scenario.
const SEEDS: u64 = 12;

/// A figure's name, what theory says of it, and where the ledger holds it.
type Figure = (&'static str, f64, fn(&ServiceTotals) -> f64);

/// A station of `workers` exponential servers with the mean service time `service`, in seconds, at `load` of its capacity.
struct Station {
    workers: u32,
    service: f64,
    load: f64,
}

impl Station {
    /// Erlang's C: the probability of waiting.
    fn waits(&self) -> f64 {
        let offered = self.load * f64::from(self.workers);
        let blocked = (1..=self.workers).fold(1.0, |blocked, servers| offered * blocked / (f64::from(servers) + offered * blocked));
        blocked / (1.0 - self.load * (1.0 - blocked))
    }

    fn mean_wait(&self) -> f64 {
        self.waits() * self.service / (f64::from(self.workers) * (1.0 - self.load))
    }

    /// The probability that a response takes longer than `seconds`: the service alone, or a wait at the spare rate before it.
    fn exceeds(&self, seconds: f64) -> f64 {
        let spare = f64::from(self.workers) * (1.0 - self.load);
        let (alone, behind) = (libm::exp(-seconds / self.service), libm::exp(-spare * seconds / self.service));
        let both = if (spare - 1.0).abs() < 1e-9 { alone * seconds / self.service } else { (alone - behind) / (spare - 1.0) };
        alone + self.waits() * both
    }

    /// The response that a share of all does not exceed.
    fn percentile(&self, share: f64) -> f64 {
        let halve = |(low, high): (f64, f64), _| {
            let middle = f64::midpoint(low, high);
            if self.exceeds(middle) > 1.0 - share { (middle, high) } else { (low, middle) }
        };
        (0..80).fold((0.0, 1000.0 * self.service), halve).0
    }

    /// Each figure of the ledger with its exact value.
    fn figures(&self) -> [Figure; 6] {
        [
            ("mean wait", self.mean_wait(), |totals| totals.mean_wait_seconds),
            ("mean response", self.mean_wait() + self.service, |totals| totals.mean_response_seconds),
            ("utilisation", self.load, |totals| totals.utilisation),
            ("p50", self.percentile(0.50), |totals| totals.p50_response_seconds),
            ("p95", self.percentile(0.95), |totals| totals.p95_response_seconds),
            ("p99", self.percentile(0.99), |totals| totals.p99_response_seconds),
        ]
    }
}

fn totals(text: &str, seed: u64) -> ServiceTotals {
    let scenario = read_scenario("reference.yaml", text).unwrap();
    let ledger = Run::new(Arc::clone(&scenario.spec), Seed(seed), Options { telemetry: false, ..Options::default() }, Idle).finish().ledger;
    ledger.services[0].totals
}

/// Asserts that each figure's mean over the seeds lies within 4 standard errors of the exact value, and that the error is small enough to prove something.
#[track_caller]
fn check(name: &str, station: &Station) {
    let text = edited(name, &[]);
    let runs: Vec<ServiceTotals> = (1..=SEEDS).map(|seed| totals(&text, seed)).collect();
    for (what, exact, figure) in station.figures() {
        let count = runs.len() as f64;
        let mean = runs.iter().map(figure).sum::<f64>() / count;
        let variance = runs.iter().map(|run| (figure(run) - mean) * (figure(run) - mean)).sum::<f64>() / (count - 1.0);
        let error = (variance / count).sqrt();
        let repeat = format!("`cargo test --test promises law`; one of the {SEEDS} runs is `firedrill run {name} --seed 1 --format json`");
        assert!((mean - exact).abs() <= 4.0 * error, "{what}: {mean} is not {exact} within 4 standard errors of {error}; see {repeat}");
        assert!(error < 0.05 * exact, "{what}: a standard error of {error} proves little about {exact}; see {repeat}");
    }
}

#[test]
fn the_closed_forms_used_here_give_the_published_figures() {
    let close = |computed: f64, published: f64| assert!((computed - published).abs() < 0.0006, "{computed} is not {published}");
    for (load, p95, p99) in [(0.5, 5.991, 9.210), (0.7, 9.986, 15.351), (0.9, 29.957, 46.052)] {
        let station = Station { workers: 1, service: 1.0, load };
        close(station.percentile(0.95), p95);
        close(station.percentile(0.99), p99);
    }
    for (workers, load, waits, wait) in [(10, 0.8, 0.40918, 0.20459), (8, 0.9, 0.70153, 0.87692), (2, 0.9, 0.85263, 4.26316)] {
        let station = Station { workers, service: 1.0, load };
        close(station.waits(), waits);
        close(station.mean_wait(), wait);
    }
    let station = Station { workers: 10, service: 1.0, load: 0.8 };
    close(station.percentile(0.95), 3.328);
    close(station.percentile(0.99), 4.946);
}

#[test]
fn one_exponential_server_at_half_load_obeys_the_law() {
    check("mm1-rho-50", &Station { workers: 1, service: 0.01, load: 0.5 });
}

#[test]
fn one_exponential_server_at_seventy_percent_load_obeys_the_law() {
    check("mm1-rho-70", &Station { workers: 1, service: 0.01, load: 0.7 });
}

#[test]
fn ten_exponential_servers_at_eighty_percent_load_obey_the_law() {
    check("mm10-rho-80", &Station { workers: 10, service: 0.1, load: 0.8 });
}

#[test]
fn eight_exponential_servers_at_ninety_percent_load_obey_the_law() {
    check("mm8-rho-90", &Station { workers: 8, service: 0.1, load: 0.9 });
}

#[test]
fn the_command_gives_the_same_figures_for_each_service_and_watching_changes_none() {
    // The command scrapes and evaluates rules; the library run above does neither.
    let folder = tempfile::tempdir().unwrap();
    let json = firedrill(folder.path(), &["run", "mm1-rho-50", "--seed", "3", "--format", "json"]).exits(0).json();
    let service = &json["services"][0];
    assert_eq!(service["service"], "station");
    let bare = serde_json::to_value(totals(&edited("mm1-rho-50", &[]), 3)).unwrap();
    assert_eq!(service["totals"], bare);
    for figure in [
        "mean_wait_seconds",
        "mean_response_seconds",
        "utilisation",
        "p50_response_seconds",
        "p95_response_seconds",
        "p99_response_seconds",
    ] {
        assert!(matches!(&service["totals"][figure], Value::Number(number) if number.as_f64().unwrap() > 0.0), "{figure} is given");
    }
}
