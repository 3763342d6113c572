//! People's rule files, unchanged: every one loads, and every rule is accounted for.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use firedrill_policies::rules::RuleSet;

fn rules_folder() -> PathBuf {
    let corpus = std::env::var_os("FIREDRILL_CORPUS").expect("set FIREDRILL_CORPUS to the corpus folder");
    let folder = Path::new(&corpus).join("rules");
    assert!(folder.is_dir(), "{} is no folder", folder.display());
    folder
}

/// Every file that is a Prometheus rule file or a PrometheusRule manifest.
fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
            // The collection's own source format lies beside its rule files, and is none.
            if path.is_dir() && path.file_name().is_none_or(|name| name != "_data") {
                waiting.push(path);
            } else if is_yaml {
                let text = fs::read_to_string(&path).unwrap();
                if text.contains("groups:") {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_rule_file_loads_unchanged_and_no_rule_is_lost() {
    let mut rules = 0;
    for path in rule_files(&rules_folder()) {
        let text = fs::read_to_string(&path).unwrap();
        let announced = text.lines().map(str::trim_start).map(|line| line.trim_start_matches("- "));
        let announced = announced.filter(|line| line.starts_with("alert:") || line.starts_with("record:")).count();
        let set =
            RuleSet::read([(path.to_str().unwrap(), text.as_str())]).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        assert_eq!(set.rules().count(), announced, "{}", path.display());
        let unsupported: Vec<_> = set.unsupported().map(|(_, rule, error)| format!("{}: {error}", rule.name)).collect();
        assert!(unsupported.is_empty(), "{}: {unsupported:?}", path.display());
        rules += announced;
    }
    assert!(rules > 1000, "only {rules} rules were found");
}

#[test]
fn check_accounts_for_every_rule_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = rule_files(&rules_folder());
    let output = Command::cargo_bin("firedrill")
        .unwrap()
        .current_dir(folder.path())
        .arg("check")
        .args(&files)
        .args(["--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = document["rules"].as_array().unwrap();
    assert!(rules.len() > 1000, "{}", rules.len());
    for rule in rules {
        let why = rule["why"].as_array().unwrap();
        let told = rule["verdict"] != "cannot_fire" && rule["verdict"] != "unsupported" || !why.is_empty() && rule["line"].is_number();
        assert!(told, "nothing says why {} cannot fire", rule["rule"]);
    }
    let able =
        rules.iter().filter(|rule| ["can_fire", "may_fire", "always_fires"].iter().any(|verdict| rule["verdict"] == *verdict)).count();
    assert!(able >= 40, "only {able} rules can fire here");
}

#[test]
fn a_folder_of_rules_is_checked_whatever_else_lies_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("firedrill").unwrap().current_dir(folder.path()).arg("check").arg(rules_folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let passed_over = told.lines().find(|line| line.starts_with("passed over")).unwrap_or_default();
    assert!(passed_over.contains("_data/rules.yml"), "{passed_over}");
}
