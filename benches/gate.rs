//! What a gate costs: the command on `benches/gate`, ten scenarios in three classes with a hundred seeds each, so 300 pairs of every class;
//! arms N, P of the candidate and of the baseline, O and H. Then once more with what is known by now, and in four shares that are merged.
//!
//! `cargo test --benches` plays two seeds and checks the same.

#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop where it is surprised")]

mod measure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What one command took.
struct Cost {
    /// Seconds by the clock on the wall.
    wall: f64,
    /// CPU seconds of all of its threads.
    cpu: f64,
}

fn main() {
    let pairs = if measure::is_full() { "100" } else { "2" };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cache = at("cache");
    let gate = |out: &str, more: &[&str]| {
        let out = at(out);
        let mut command = firedrill(&["gate", "--project", "benches/gate", "--pairs", pairs, "--out"]);
        command.arg(&out).args(more);
        (run(command), out)
    };
    let (whole, first) = gate("whole", &["--no-cache"]);
    tell("everything played", &whole);
    let (_, filled) = gate("filled", &["--cache", cache.to_str().unwrap()]);
    same(&first, &filled);
    let (known, again) = gate("again", &["--cache", cache.to_str().unwrap()]);
    tell("nothing has changed since", &known);
    same(&first, &again);
    // A candidate that was never seen: what it is compared with is known.
    let candidate = at("restart-crashed-or-hung.yaml");
    let text = fs::read_to_string(root().join("benches/gate/restart-crashed-or-hung.yaml")).unwrap();
    fs::write(&candidate, text.replace("hold: 30s", "hold: 45s")).unwrap();
    let (changed, _) = gate("changed", &["--cache", cache.to_str().unwrap(), "--candidate", candidate.to_str().unwrap()]);
    tell("another candidate, the baseline known", &changed);

    let shares: Vec<String> = (1..=4).map(|share| format!("share-{share}")).collect();
    for (index, share) in shares.iter().enumerate() {
        gate(share, &["--no-cache", "--partition", &format!("{}/4", index + 1)]);
    }
    let merged = at("merged");
    let mut command = firedrill(&["merge", "--out"]);
    command.arg(&merged);
    for (index, share) in shares.iter().enumerate() {
        command.arg(at(share).join(format!("partition-{}-of-4.json", index + 1)));
    }
    run(command);
    same(&first, &merged);
    println!("four shares, merged: the same bytes");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn firedrill(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.current_dir(root()).arg("--quiet").args(arguments);
    command
}

/// Runs a command that must be held.
fn run(mut command: Command) -> Cost {
    let (start, before) = (Instant::now(), children_cpu_seconds());
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{command:?}: {}\n{told}{}", done.status, String::from_utf8_lossy(&done.stderr));
    Cost { wall: start.elapsed().as_secs_f64(), cpu: children_cpu_seconds() - before }
}

fn tell(what: &str, cost: &Cost) {
    println!("{what}: {:.1} s, {:.1} CPU-s", cost.wall, cost.cpu);
}

/// The CPU time of all child processes that have ended, from the kernel's table of this process; proc(5), fields 16 and 17 in hundredths of a second.
fn children_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or("").split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    // What stands before the bracket are the first two fields.
    fields.get(13).zip(fields.get(14)).map_or(0.0, |(user, system)| (user + system) / 100.0)
}

fn same(one: &Path, other: &Path) {
    for name in ["gate.json", "gate.md", "gate.junit.xml"] {
        let [one, other] = [one, other].map(|folder| fs::read_to_string(folder.join(name)).unwrap());
        assert!(one == other, "{name} differs");
    }
}
