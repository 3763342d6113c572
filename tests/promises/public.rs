//! Incidents that were published, rebuilt as scenarios: each figure says whether it was published or assumed, and the automation that made the incident worse is stopped by
//! the gate, while the library's own policies help or leave it alone. docs/public-incidents.md tells what was left out.
use crate::common::{firedrill, root};
use firedrill_scenarios::library;
use rayon::prelude::*;

/// Each incident with the automation that made it worse, the measures by which the gate stops that, and the policy of the library that is right there, if one has to act.
const INCIDENTS: [(&str, &str, &[&str], Option<&str>); 5] = [
    ("slack-2021-01-04", "scale-in-when-idle", &["harm"], Some("scale-out-waiting-workers")),
    ("kinesis-2020-11-25", "scale-out-on-failures", &["harm"], Some("scale-back-thread-limit")),
    ("kinesis-2020-11-25", "restart-all", &["harm"], Some("scale-back-thread-limit")),
    ("aws-2025-10-20-health-checks", "evacuate-on-failed-checks", &["noop_false_positives", "harm"], None),
    ("aws-2025-10-20-stale-plan", "rollback-after-objections", &["harm"], Some("rollback-on-regression")),
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
    let gate = |scenario: &str, candidate: &str| {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("out").display().to_string();
        let common = ["gate", "--project", "projects/library", "--pairs", "1", "--quiet", "--out", &out];
        firedrill(root(), &[&common[..], &["--scenarios", scenario, "--candidate", candidate]].concat())
    };
    INCIDENTS.par_iter().for_each(|(scenario, hazard, measures, right)| {
        let done = gate(scenario, &format!("policies/library/hazards/{hazard}.yaml")).exits(1);
        for measure in *measures {
            assert!(done.stdout.contains(&format!("✗ public: {measure} ")), "{scenario}: {measure}: {}", done.stdout);
        }
        if let Some(right) = right {
            let done = gate(scenario, &format!("policies/library/{right}.yaml")).exits(0);
            assert!(!done.stdout.contains("not exercised"), "{scenario}: {}", done.stdout);
        }
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
