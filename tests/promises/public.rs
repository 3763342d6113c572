//! Incidents that were published, rebuilt as scenarios: each figure says whether it was published or assumed, and the automation that made the incident worse is stopped by
//! the gate, while the library's own policies help or leave it alone. docs/public-incidents.md tells what was left out.
use crate::common::{each, firedrill, holds, root};
use firedrill_scenarios::library;

/// Each incident with what made it worse, or would have, which the gate stops because of its harm, and the policy of the library that is right there.
/// Where nobody has to act, in `aws-2025-10-20-health-checks`, the test of the hazards shows it.
const INCIDENTS: [(&str, &[&str], &str); 3] = [
    ("slack-2021-01-04", &["scale-in-when-idle"], "scale-out-waiting-workers"),
    ("kinesis-2020-11-25", &["scale-out-on-failures", "restart-all"], "scale-back-thread-limit"),
    ("aws-2025-10-20-stale-plan", &["rollback-after-objections"], "rollback-on-regression"),
];

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    library::ENTRIES.iter().filter(|entry| entry.path.starts_with("scenarios/library/public/")).map(|entry| (entry.name, entry.text))
}

#[test]
fn every_figure_says_whether_it_was_published_or_assumed() {
    let mut found = 0;
    for (name, text) in texts() {
        assert!(text.lines().take(3).any(|line| line.contains("https://")), "{name} says where the facts are from");
        // From the system on; what the oracle does is ours.
        let (before, system) = text.split_once("\nstart: ").unwrap();
        let (system, _oracle) = system.split_once("\noracle:").unwrap_or((system, ""));
        assert!(before.contains("description: |"), "{name} tells what happened");
        assert!(text.contains("assumed: ") && text.contains("published: "), "{name}");
        let mut said_above = false;
        for line in system.lines() {
            let is_comment = line.trim_start().starts_with('#');
            let is_marked = line.contains("# published") || line.contains("# assumed");
            let (value, _) = line.split_once(" #").unwrap_or((line, ""));
            let has_figure = value.chars().any(|letter| letter.is_ascii_digit()) && !is_comment && !line.contains("horizon");
            // A line may continue what the one above it says of its fault or version.
            assert!(!has_figure || is_marked || said_above, "{name}: {line}");
            found += usize::from(is_marked);
            said_above = is_marked || (said_above && !is_comment);
        }
    }
    assert!(found > 30, "{found} marks");
}

#[test]
fn the_automation_that_made_it_worse_is_stopped_and_the_right_one_passes() {
    each(&INCIDENTS, |(scenario, hazards, right)| {
        let folder = tempfile::tempdir().unwrap();
        // What is played of all but the candidate is the same for each of them.
        let [out, kept] = ["out", "kept"].map(|name| folder.path().join(name).display().to_string());
        let gate = |candidate: &str| {
            let common = ["gate", "--project", "projects/library", "--pairs", "1", "--quiet", "--out", &out, "--cache", &kept];
            firedrill(root(), &[&common[..], &["--scenarios", scenario, "--candidate", candidate]].concat())
        };
        for hazard in *hazards {
            let done = gate(&format!("policies/library/hazards/{hazard}.yaml")).exited(1)?;
            holds(done.stdout.contains("✗ public: harm "), || format!("{scenario}: {}", done.stdout))?;
        }
        let done = gate(&format!("policies/library/{right}.yaml")).exited(0)?;
        holds(!done.stdout.contains("not exercised"), || format!("{scenario}: {}", done.stdout))
    });
}

/// What made the outage of Slack hard to understand: what was short of workers used less CPU than before.
#[test]
fn slacks_web_tier_is_idler_while_users_suffer() {
    let done = firedrill(root(), &["run", "slack-2021-01-04", "--project", "projects/library", "--policy", "page-on-user-impact"]).exits(0);
    let at = |what: &str| done.stdout.find(what).unwrap_or_else(|| panic!("{what}: {}", done.stdout));
    assert!(at("users feel it") < at("ServiceIdle fires"));
    assert!(at("ServiceIdle fires") < at("users are well"));
    assert!(at("WorkersWait fires") > at("users feel it"));
}
