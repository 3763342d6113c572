//! Policies that are plausible and make things worse: the gate stops each of them on the library, for the reason for which it is a hazard, and lets the library's own
//! policies pass on the same scenarios. What it says of each stands in docs/hazards.md.
use crate::common;
use std::fs;
use std::path::Path;

use crate::common::{Done, each, firedrill, holds, root};
use firedrill_policies::document::read_policy;
use firedrill_policies::library::{self, Entry};

/// Each hazard with the scenario that shows it, and what the gate must find.
const HAZARDS: [(&str, &str, &[&str]); 13] = [
    ("assume-the-reboot", "node-is-not-rebooted", &["missed"]),
    ("evacuate-on-failed-checks", "aws-2025-10-20-health-checks", &["noop_false_positives", "harm"]),
    ("fail-over-on-failed-writes", "primary-stalls", &["data_harm", "noop_false_positives"]),
    ("replace-after-the-storm", "nodes-come-back", &["harm"]),
    ("replace-below-the-gate", "three-sick-nodes", &["harm"]),
    ("replace-busy-nodes", "greedy-batch", &["harm", "false_positive_rate"]),
    ("restart-all", "retry-storm-that-wanes", &["harm"]),
    ("restart-unless-counted", "retry-storm-that-wanes", &["harm", "missed"]),
    ("restart-until-well", "retry-storm-that-wanes", &["harm"]),
    ("rollback-after-objections", "hotfix-on-the-way", &["harm"]),
    ("scale-in-when-idle", "slow-network", &["harm"]),
    ("scale-out-on-failures", "thread-limit", &["harm"]),
    ("trust-the-probe", "all-red", &["noop_false_positives"]),
];

/// The gate's verdict on the library's project, narrowed to some scenarios, with one pair each; what it plays of all but the candidate is kept.
fn gate(kept: &Path, scenarios: &str, candidate: Option<&str>) -> Done {
    let out = tempfile::tempdir().unwrap();
    let (out, kept) = (out.path().join("out").display().to_string(), kept.display().to_string());
    let mut arguments =
        vec!["gate", "--project", "projects/library", "--pairs", "1", "--quiet", "--scenarios", scenarios, "--out", &out, "--cache", &kept];
    arguments.extend(candidate.iter().flat_map(|candidate| ["--candidate", candidate]));
    firedrill(root(), &arguments)
}

/// What the gate says against each hazard: a measure with its bound and what was found.
fn breaches((hazard, scenario, reasons): &(&str, &str, &[&str]), kept: &Path) -> Result<Vec<String>, String> {
    let (path, _) = library::policy(hazard).unwrap();
    let done = gate(kept, scenario, Some(path)).exited(1)?.said(&format!("--policy {path}"))?;
    // "✗ CLASS: MEASURE BOUND: found …"
    let told = done.stdout.lines().filter_map(|line| line.strip_prefix("✗ ")?.split_once(": ")).map(|(_, what)| what.to_owned());
    let told: Vec<String> = told.collect();
    for reason in *reasons {
        holds(told.iter().any(|breach| breach.starts_with(&format!("{reason} "))), || format!("{hazard}: {reason}: {told:?}"))?;
    }
    Ok(told)
}

/// A text on one line, as a cell of a table has it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_gate_stops_each_hazard_by_name_in_the_words_of_the_page_and_lets_the_librarys_own_policies_pass() {
    let listed: Vec<&str> = library::POLICIES.iter().filter(|entry| entry.is_hazard()).map(Entry::name).collect();
    assert_eq!(listed, HAZARDS.map(|(hazard, ..)| hazard));
    let kept = tempfile::tempdir().unwrap();
    the_librarys_own_policies_hold(kept.path());
    let told: Vec<Vec<String>> = each(&HAZARDS, |hazard| breaches(hazard, kept.path()));
    let mut page = fs::read_to_string(root().join("docs/hazards.md")).unwrap();
    let table = page.find("| hazard |").expect("the page has the table");
    let before = page.clone();
    page.truncate(table);
    page += "| hazard | what it does, and whose defect that was | rehearsed in | what the gate says |\n|---|---|---|---|\n";
    for ((hazard, scenario, _), told) in HAZARDS.iter().zip(&told) {
        let (path, text) = library::policy(hazard).unwrap();
        let policy = read_policy(path, text).unwrap();
        let about = cell(&policy.description);
        let about = about.trim_start_matches("A hazard, kept as a warning").trim_start_matches([':', '.', ' ']);
        page += &format!(
            "| [`{hazard}`](../{path}) | {about} | `{scenario}` | {} |\n",
            told.iter().map(|breach| cell(breach)).collect::<Vec<_>>().join("<br>")
        );
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(root().join("docs/hazards.md"), &page).unwrap();
    } else {
        assert!(
            before == page,
            "docs/hazards.md says something else than the gate; UPDATE_GOLDEN=1 cargo test -p firedrill --test promises hazards writes it"
        );
    }
}

/// On the scenarios of the hazards.
fn the_librarys_own_policies_hold(kept: &Path) {
    let mut scenarios = HAZARDS.map(|(_, scenario, _)| scenario).to_vec();
    scenarios.sort_unstable();
    scenarios.dedup();
    let done = gate(kept, &scenarios.join(","), None).exits(0).says("held: every threshold holds in every class");
    assert!(!done.stdout.contains("not exercised"), "{}", done.stdout);
}

#[test]
fn every_hazard_says_which_defect_it_shows_and_is_told_as_a_warning() {
    for entry in library::POLICIES.iter().filter(|entry| entry.is_hazard()) {
        let policy = read_policy(entry.path, entry.text).unwrap();
        assert!(policy.description.starts_with("A hazard, kept as a warning"), "{}", entry.name());
        assert!(policy.description.len() > 150, "{} says what it does and where it was seen", entry.name());
    }
}

/// A limiter that fails open differs from one that does not in the name of a label.
#[test]
fn the_limiter_that_fails_open_would_have_held_with_the_right_label() {
    let (path, text) = library::policy("restart-unless-counted").unwrap();
    let counted = text.replace("restarts_total{service=$service}", "restarts_total{container=$service}");
    assert_ne!(counted, text, "{path}");
    let folder = tempfile::tempdir().unwrap();
    let restarts = |text: &str| {
        let policy = common::write(folder.path(), "restart-unless-counted.yaml", text);
        let arguments = ["run", "retry-storm-that-wanes", "--policy", policy.to_str().unwrap(), "--format", "json", "--quiet"];
        firedrill(root(), &arguments).exits(0).json()["outcome"]["actions"].as_u64().unwrap()
    };
    assert_eq!(restarts(&counted), 1);
    assert!(restarts(text) >= 4, "and so it is restarted again and again");
}
