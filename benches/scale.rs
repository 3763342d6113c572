//! How the engine's cost grows: with replicas, with the length of a run, and with the arms that share a trunk.
//!
//! By the CPU clock of the thread, in one process, each figure the median of runs in turn with what it is compared with.

use std::sync::Arc;

use firedrill_core::action::{Action, Target};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Time};
use firedrill_scenarios::library;
use firedrill_sim::spec::{CureSpec, WorldSpec};
use firedrill_sim::{Idle, Options, Run, Script, Trunk};
use measure::{is_full, median, seconds, world};

mod measure;

/// One service behind one client, with so many replicas and the same load on each.
fn fleet(replicas: u32, horizon: Span) -> Arc<WorldSpec> {
    let text = include_str!("scenarios/fleet.yaml").replace("replicas: 6", &format!("replicas: {replicas}"));
    let text = text.replace("rate: 300/s", &format!("rate: {}/s", replicas * 50));
    Arc::new(world("benches/scenarios/fleet.yaml", &text, Some(horizon)))
}

/// Nanoseconds an event.
fn event_nanos(spec: &Arc<WorldSpec>, options: Options) -> f64 {
    let mut events = 0;
    let took = seconds(|| events = Run::new(Arc::clone(spec), Seed(1), options, Idle).finish().ledger.events);
    took / events as f64 * 1e9
}

/// From 6 to 300 replicas, without telemetry and with it.
fn replicas() {
    let requests = if is_full() { 1_500_000.0 } else { 3_000.0 };
    let horizon = |replicas: u32| Span::from_seconds_f64(requests / f64::from(replicas * 50));
    let (few, many) = (fleet(6, horizon(6)), fleet(300, horizon(300)));
    for telemetry in [false, true] {
        let options = Options { telemetry, ..Options::default() };
        let pairs: Vec<(f64, f64)> =
            (0..if is_full() { 5 } else { 1 }).map(|_| (event_nanos(&few, options), event_nanos(&many, options))).collect();
        let ratio = median(pairs.iter().map(|(few, many)| many / few).collect());
        let told = if telemetry { "scraped" } else { "not scraped" };
        let (few, many) = (median(pairs.iter().map(|pair| pair.0).collect()), median(pairs.iter().map(|pair| pair.1).collect()));
        println!("replicas, {told}: {few:.0} ns an event with 6, {many:.0} with 300, ratio {ratio:.2} (aim: at most 1.3)");
    }
}

/// The most memory that this process has had, MiB; `None` where the kernel does not tell.
fn peak_mebibytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}

/// A hundred million requests of one arm, the ledger of requests off.
fn long_run() {
    let requests = if is_full() { 100_000_000 } else { 100_000 };
    let spec = world("benches/scenarios/mm8.yaml", include_str!("scenarios/mm8.yaml"), None);
    let horizon = Span::from_seconds_f64(requests as f64 / spec.clients[0].rates[0].1.get());
    let spec = Arc::new(WorldSpec { horizon, ..spec });
    let before = peak_mebibytes();
    let options = Options { telemetry: false, requests: false };
    let took = seconds(|| {
        let totals = Run::new(Arc::clone(&spec), Seed(1), options, Idle).finish().ledger.services[0].totals;
        assert!((totals.sent as f64 / requests as f64 - 1.0).abs() < 0.02, "{} requests", totals.sent);
    });
    match before.zip(peak_mebibytes()) {
        Some((before, after)) => {
            println!("{requests} requests: {took:.1} CPU-s, {:.1} MiB above the start (aim: at most 64)", after - before)
        }
        None => println!("{requests} requests: {took:.1} CPU-s; this system does not tell how much memory that took"),
    }
}

/// The shop of the library at 500 requests a second, of which a cart hangs.
fn shop(horizon: Span) -> Arc<WorldSpec> {
    let (path, text) = library::get("shop-cart-hangs").expect("the library has it");
    Arc::new(world(path, text, Some(horizon)))
}

/// One arm of the shop, scraped, for ten minutes.
fn one_arm() {
    let minutes = if is_full() { 10 } else { 1 };
    let spec = shop(Span::from_minutes(minutes));
    let once = |_| seconds(|| _ = std::hint::black_box(Run::new(Arc::clone(&spec), Seed(1), Options::default(), Idle).finish()));
    let took = median((0..if is_full() { 5 } else { 1 }).map(once).collect());
    println!("the shop, {minutes} minutes of one arm, scraped: {took:.2} CPU-s (aim for ten: at most 1)");
}

/// Twenty arms that act one after the other, each a run of its own from then on, against the trunk and the rest of each alone.
fn forks() {
    let (minutes, arms) = if is_full() { (10, 20) } else { (1, 3) };
    let horizon = Span::from_minutes(minutes);
    let spec = shop(horizon);
    let at = |arm: u64| Time::ZERO + Span::from_seconds_f64(horizon.as_seconds() * (0.4 + 0.3 * arm as f64 / arms as f64));
    let script = |arm: u64| {
        let target = Target::Service(Name::new("cart"));
        let cure = CureSpec { at: at(arm), action: Action::Rollback, target };
        Script::new(Arc::new(WorldSpec { cures: vec![cure], ..WorldSpec::clone(&spec) }))
    };
    let options = Options::default();
    let round = |_| {
        let scripts: Vec<Script> = (0..arms).map(script).collect();
        let together = seconds(|| assert_eq!(Trunk::new(Arc::clone(&spec), Seed(1), options, scripts).finish().len() as u64, arms));
        let mut trunk = Run::new(Arc::clone(&spec), Seed(1), options, Idle);
        let shared = seconds(|| trunk.advance_to(at(arms - 1)));
        let rest = |arm: u64| {
            let mut run = Run::new(Arc::clone(&spec), Seed(1), options, script(arm));
            run.advance_to(at(arm));
            seconds(|| _ = std::hint::black_box(run.finish()))
        };
        together / (shared + (0..arms).map(rest).sum::<f64>())
    };
    let ratio = median((0..if is_full() { 3 } else { 1 }).map(round).collect());
    println!("forks of the shop: {arms} arms cost {ratio:.3} of the trunk and the rest of each alone (aim: at most 1.10)");
}

/// A clone of the shop in its middle, with all that monitoring has seen.
fn clones() {
    let horizon = Span::from_minutes(if is_full() { 10 } else { 1 });
    let mut run = Run::new(shop(horizon), Seed(1), Options::default(), Idle);
    run.advance_to(Time::ZERO + Span::from_seconds_f64(horizon.as_seconds() / 2.0));
    let took = median((0..21).map(|_| seconds(|| _ = std::hint::black_box(run.clone()))).collect());
    println!("clone of the shop in its middle: {:.2} ms (aim: at most 5)", took * 1e3);
}

fn main() {
    // First, because what is measured is the most memory that the process ever had.
    long_run();
    replicas();
    one_arm();
    clones();
    forks();
}
