//! People's rule files, unchanged: every one loads, and every rule is accounted for.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::Command;
use firedrill_policies::rules::RuleSet;
use firedrill_telemetry::example;
use firedrill_telemetry::labels::{Labels, METRIC_NAME, Matcher};
use firedrill_telemetry::promql::{Evaluator, Machine, Plan, Program, Value};
use firedrill_telemetry::store::Store;

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

/// Rules that are left to the plain evaluator, with the reason. Today there is none.
const LEFT_TO_THE_PLAIN_EVALUATOR: [&str; 0] = [];

/// From one sample to the next, milliseconds.
const STEP_MS: i64 = 60_000;

#[test]
fn every_expression_is_compiled_and_yields_what_the_plain_evaluator_yields() {
    let (mut expressions, mut yielding) = (0, 0);
    let mut plain = BTreeSet::new();
    for path in rule_files(&rules_folder()) {
        let text = fs::read_to_string(&path).unwrap();
        let set = RuleSet::read([(path.to_str().unwrap(), text.as_str())]).unwrap();
        let plans: Vec<&Plan> = set.rules().map(|(_, rule)| rule.plan.as_ref().unwrap()).collect();
        let mut program = Program::new();
        let queries: Vec<_> = plans.iter().map(|plan| program.add(plan)).collect();
        plain.extend(program.plain().map(str::to_owned));
        let (mut machine, mut evaluator, mut store) = (Machine::new(Arc::new(program)), Evaluator::new(), Store::new());
        let series = series_for(&plans);
        let mut yields = vec![false; plans.len()];
        for tick in 0..40 {
            scrape(&mut store, &series, tick);
            for ((plan, query), yields) in plans.iter().zip(&queries).zip(&mut yields).filter(|_| tick % 13 == 3) {
                let at_ms = tick * STEP_MS + 1_000;
                let wanted = evaluator.evaluate(plan, at_ms, &[&store]);
                let got = machine.evaluate(*query, at_ms, &[&store]).map(Value::from);
                assert_eq!(format!("{got:?}"), format!("{wanted:?}"), "{}: {}", path.display(), plan.text());
                *yields |= matches!(&wanted, Ok(Value::Vector(samples)) if !samples.is_empty());
            }
        }
        expressions += plans.len();
        yielding += yields.into_iter().filter(|yields| *yields).count();
    }
    let listed: BTreeSet<String> = LEFT_TO_THE_PLAIN_EVALUATOR.into_iter().map(str::to_owned).collect();
    assert_eq!(plain, listed);
    println!("{expressions} expressions, {yielding} of them yield something");
    assert!(expressions > 1_000 && yielding * 5 > expressions * 2, "{yielding} of {expressions} expressions yield something");
}

/// Series for all selectors: labels that satisfy their matchers, several values of the labels that joins and groups are about, and buckets.
fn series_for(plans: &[&Plan]) -> Vec<Labels> {
    let mut all = BTreeSet::new();
    for selector in plans.iter().flat_map(|plan| plan.selectors()) {
        let mut by_name: BTreeMap<&str, Vec<&Matcher>> = BTreeMap::new();
        for matcher in selector.matchers() {
            by_name.entry(&matcher.name).or_default().push(matcher);
        }
        let mut labels: BTreeMap<&str, String> = BTreeMap::new();
        for (name, matchers) in &by_name {
            labels.insert(name, example::value(matchers).unwrap_or_default());
        }
        let is_bucket = labels.get(METRIC_NAME).is_some_and(|name| name.ends_with("_bucket")) && !labels.contains_key("le");
        for number in ["1", "2", "3"] {
            for bound in if is_bucket { &["0.1", "1", "10", "+Inf"][..] } else { &[""] } {
                let mut labels = labels.clone();
                for name in ["namespace", "job", "instance", "pod"] {
                    let common = if name == "job" || name == "namespace" { "1" } else { number };
                    labels.entry(name).or_insert_with(|| common.to_owned());
                }
                labels.entry("le").or_insert_with(|| (*bound).to_owned());
                let labels = labels.iter().filter(|(_, value)| !value.is_empty());
                all.insert(labels.fold(Labels::builder(), |builder, (name, value)| builder.set(*name, value.as_str())).build());
            }
        }
    }
    all.into_iter().collect()
}

/// Counters grow, some of them start again; what else there is goes up and down through zero.
fn scrape(store: &mut Store, series: &[Labels], tick: i64) {
    for (index, labels) in series.iter().enumerate() {
        let name = labels.metric_name().unwrap_or_default();
        let own = index as i64 % 11;
        let value = match name.rsplit('_').next() {
            Some("total" | "count" | "sum") => ((tick + own) % 25 * (own + 1)) as f64,
            Some("bucket") => {
                let bound = labels.get("le").and_then(|bound| bound.replace("+Inf", "20").parse::<f64>().ok());
                bound.map_or(0.0, |bound| (tick * (bound * 2.0) as i64) as f64)
            }
            _ => (((tick + own) * 7 % 5) - 1) as f64,
        };
        // Some come late, and some pause.
        if tick >= own % 3 && (tick + own) % 13 != 0 {
            let id = store.series(labels);
            store.append(id, tick * STEP_MS, value).unwrap();
        }
    }
}
