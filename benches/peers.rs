//! M/M/8 in the engine against the same in NeXosim and in SimPy, each in a process of its own; their sources stand in `benches/peers`.
//!
//! Opt-in, because the peers must be built and installed first: `FIREDRILL_PEERS=1 cargo bench --bench peers`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use firedrill_core::random::Seed;
use firedrill_core::time::Span;
use firedrill_scenarios::read_scenario;
use firedrill_sim::spec::{Bounds, WorldSpec};
use firedrill_sim::{Idle, Options, Run};
use rustix::time::{ClockId, clock_gettime};

const CUSTOMERS: u64 = 2_000_000;
/// SimPy is so much slower that it is given less.
const FEW_CUSTOMERS: u64 = 200_000;
const ROUNDS: usize = 5;

/// Nanoseconds a customer in the engine.
fn engine(spec: &Arc<WorldSpec>) -> f64 {
    let cpu_seconds = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = cpu_seconds();
    let finished = Run::new(Arc::clone(spec), Seed(1), Options { telemetry: false, ..Options::default() }, Idle).finish();
    std::hint::black_box(finished.ledger.digest());
    (cpu_seconds() - before) / CUSTOMERS as f64 * 1e9
}

/// Nanoseconds a customer in a peer, which prints its CPU seconds first and the mean wait last.
fn peer(command: &mut Command, customers: u64) -> Option<f64> {
    let output = command.args([customers.to_string(), "1".to_owned()]).output().ok().filter(|output| output.status.success())?;
    let figures: Vec<f64> =
        String::from_utf8(output.stdout).ok()?.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    assert!((figures[2] - 0.002_79).abs() < 0.000_3, "the peer's mean wait is {} s, and not what Erlang's formula says", figures[2]);
    Some(figures[0] / customers as f64 * 1e9)
}

fn compare(name: &str, spec: &Arc<WorldSpec>, mut theirs: impl FnMut() -> Option<f64>) {
    let pairs: Option<Vec<(f64, f64)>> = (0..ROUNDS).map(|_| Some((engine(spec), theirs()?))).collect();
    let Some(pairs) = pairs else { return println!("{name}: does not run here") };
    let mut ratios: Vec<(f64, f64, f64)> = pairs.into_iter().map(|(ours, theirs)| (theirs / ours, ours, theirs)).collect();
    ratios.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (ratio, ours, theirs) = ratios[ROUNDS / 2];
    println!("{name}: {theirs:.0} ns a customer, the engine {ours:.0}, ratio {ratio:.2}");
}

fn main() {
    if std::env::var_os("FIREDRILL_PEERS").is_none() {
        return println!("the peers are not run: FIREDRILL_PEERS=1 cargo bench --bench peers (SimPy: pip install simpy)");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let scenario = read_scenario("benches/scenarios/mm8.yaml", include_str!("scenarios/mm8.yaml")).expect("the file is sound");
    let mut spec = WorldSpec::clone(&scenario.spec);
    spec.horizon = Span::from_seconds_f64(CUSTOMERS as f64 / spec.clients[0].rates[0].1.get());
    spec.bounds = Bounds { events: u64::MAX, attempts: 1 << 24, ..spec.bounds };
    let spec = Arc::new(spec);

    let manifest = folder.join("nexosim/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", &target)
        .status();
    if built.is_ok_and(|status| status.success()) {
        let program = target.join("release/peer-nexosim");
        compare("NeXosim 1.0, clients and station", &spec, || peer(&mut Command::new(&program), CUSTOMERS));
        compare("NeXosim 1.0, one model for both", &spec, || peer(Command::new(&program).arg("--alone"), CUSTOMERS));
    } else {
        println!("NeXosim: cannot be built here");
    }
    compare("SimPy 4", &spec, || peer(Command::new("python3").arg(folder.join("simpy_mm8.py")), FEW_CUSTOMERS));
}
