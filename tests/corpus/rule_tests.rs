//! kubernetes-mixin's own rule tests: all pass, as they do in promtool 3.5.3, and each that is made wrong fails by its name.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use firedrill::rule_tests::Suite;
use firedrill_policies::rules::RuleKind;
use firedrill_policies::rules::unit_test::Failure;
use serde_yaml::Value;

/// How many tests the eight files hold.
const TESTS: usize = 113;

fn folder() -> PathBuf {
    let corpus = std::env::var_os("FIREDRILL_CORPUS").expect("FIREDRILL_CORPUS names the folder of the corpus");
    Path::new(&corpus).join("promql/promtool-kubernetes-mixin")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The names of the tests that fail, and how many there are.
fn failed(path: &Path) -> (BTreeSet<String>, usize) {
    let suite = Suite::read(path).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
    let ran = suite.run(|_| true);
    for failure in ran.iter().flat_map(|ran| &ran.outcome.failures) {
        assert!(!matches!(failure, Failure::Rule { .. } | Failure::Input { .. }), "no rule fails: {failure:?}");
    }
    (ran.iter().filter(|ran| !ran.outcome.failures.is_empty()).map(|ran| ran.test.name.clone()).collect(), ran.len())
}

#[test]
fn all_tests_of_the_mixin_pass() {
    let mut count = 0;
    for path in files() {
        let suite = Suite::read(&path).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
        for ran in suite.run(|_| true) {
            assert!(ran.outcome.failures.is_empty(), "{}: {}: {:#?}", path.display(), ran.test.name, ran.outcome.failures);
            assert!(ran.outcome.checks > 0, "{}: {} compares nothing", path.display(), ran.test.name);
            count += 1;
        }
    }
    assert_eq!(count, TESTS);
}

/// Makes one expectation of a test wrong; gives how many this test has of the kind.
type Mutation = fn(test: &mut Value, number: usize, holds: &dyn Fn(&str) -> Option<u64>) -> usize;

#[test]
fn a_test_without_one_of_its_alerts_fails() {
    let drop_alert: Mutation = |test, number, _| {
        let mut seen = 0;
        for alerts in expectations(test, "alert_rule_test", "exp_alerts") {
            if number >= seen && number < seen + alerts.len() {
                alerts.remove(number - seen);
                return usize::MAX;
            }
            seen += alerts.len();
        }
        seen
    };
    assert_eq!(every_mutant_fails(drop_alert), 64);
}

#[test]
fn a_test_with_another_label_fails() {
    let change_label: Mutation = |test, number, _| {
        let mut seen = 0;
        for alert in expectations(test, "alert_rule_test", "exp_alerts").into_iter().flatten() {
            let Some(labels) = alert.get_mut("exp_labels").and_then(Value::as_mapping_mut) else { continue };
            for (_, value) in labels.iter_mut() {
                if seen == number {
                    *value = Value::from("another");
                    return usize::MAX;
                }
                seen += 1;
            }
        }
        seen
    };
    assert!(every_mutant_fails(change_label) > 200);
}

#[test]
fn a_test_that_asks_before_an_alert_can_fire_fails() {
    let ask_early: Mutation = |test, number, holds| {
        let mut seen = 0;
        let Some(cases) = test.get_mut("alert_rule_test").and_then(Value::as_sequence_mut) else { return 0 };
        for case in cases {
            let expected = case.get("exp_alerts").and_then(Value::as_sequence).map_or(0, Vec::len);
            let hold = holds(case["alertname"].as_str().unwrap());
            let Some(hold) = hold.filter(|hold| *hold > 0 && expected > 0) else { continue };
            if seen == number {
                case["eval_time"] = Value::from(format!("{}ms", hold - 1));
                return usize::MAX;
            }
            seen += 1;
        }
        seen
    };
    assert!(every_mutant_fails(ask_early) > 50);
}

#[test]
fn a_test_with_another_value_or_one_sample_less_fails() {
    let change_value: Mutation = |test, number, _| {
        let mut seen = 0;
        for sample in expectations(test, "promql_expr_test", "exp_samples").into_iter().flatten() {
            if seen == number {
                let value = sample["value"].as_f64().unwrap();
                sample["value"] = Value::from(value + 1.0);
                return usize::MAX;
            }
            seen += 1;
        }
        seen
    };
    let drop_sample: Mutation = |test, number, _| {
        let mut seen = 0;
        for samples in expectations(test, "promql_expr_test", "exp_samples") {
            if number >= seen && number < seen + samples.len() {
                samples.remove(number - seen);
                return usize::MAX;
            }
            seen += samples.len();
        }
        seen
    };
    assert_eq!(every_mutant_fails(change_value), 52);
    assert_eq!(every_mutant_fails(drop_sample), 52);
}

/// The lists of what is expected in each case of a test.
fn expectations<'a>(test: &'a mut Value, cases: &str, expected: &str) -> Vec<&'a mut Vec<Value>> {
    let cases = test.get_mut(cases).and_then(Value::as_sequence_mut);
    cases.into_iter().flatten().filter_map(|case| case.get_mut(expected).and_then(Value::as_sequence_mut)).collect()
}

/// Makes the first expectation of every test wrong, then the second and so on; each time exactly the changed tests fail. Gives the number of
/// wrong tests.
fn every_mutant_fails(mutation: Mutation) -> usize {
    let scratch = tempfile::tempdir().unwrap();
    let mut mutants = 0;
    for path in files() {
        let whole: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let rules = Suite::read(&path).unwrap_or_else(|failure| panic!("{failure:?}")).rules;
        let holds = |alert: &str| {
            let hold = |kind| if let RuleKind::Alerting { hold, .. } = kind { hold.as_millis() } else { 0 };
            rules.alerting(alert).map(|(_, rule)| hold(rule.kind)).min()
        };
        for number in 0.. {
            let mut file = whole.clone();
            for rule_file in file["rule_files"].as_sequence_mut().unwrap() {
                *rule_file = Value::from(folder().join("tests").join(rule_file.as_str().unwrap()).display().to_string());
            }
            let mut changed = BTreeSet::new();
            for (index, test) in file["tests"].as_sequence_mut().unwrap().iter_mut().enumerate() {
                if mutation(test, number, &holds) == usize::MAX {
                    let name = test.get("name").and_then(Value::as_str).map_or_else(|| format!("test {}", index + 1), str::to_owned);
                    assert!(changed.insert(name), "two tests have one name");
                }
            }
            if changed.is_empty() {
                break;
            }
            mutants += changed.len();
            let mutant = scratch.path().join("mutant.yaml");
            fs::write(&mutant, serde_yaml::to_string(&file).unwrap()).unwrap();
            assert_eq!(failed(&mutant).0, changed, "{} with expectation {number} wrong", path.display());
        }
    }
    mutants
}
