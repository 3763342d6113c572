//! Runs the scripts of Prometheus' own suite that the corpus holds, and demands that no evaluation is lost that once passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use firedrill_telemetry::promqltest::{self, Outcome};

/// Evaluations of the core tier that passed when this was last raised, of the 424 that the corpus holds.
const CORE_PASSED: usize = 424;

#[test]
fn the_core_tier_of_the_suite_does_not_lose_an_evaluation() {
    let corpus = std::env::var("FIREDRILL_CORPUS").expect("FIREDRILL_CORPUS names the corpus folder");
    let folder = PathBuf::from(corpus).join("promql/promqltest");
    let tiers = tiers(&fs::read_to_string(folder.join("tiers.tsv")).expect("tiers.tsv is in the corpus"));
    let (mut passed, mut total, mut missed) = (0, 0, String::new());
    let files: std::collections::BTreeSet<&String> = tiers.keys().map(|(file, _)| file).collect();
    for file in files {
        let text = fs::read_to_string(folder.join(file)).expect("the scripts are in the corpus");
        let report = promqltest::run(file, &text).expect("a script");
        for evaluation in report.evaluations {
            let tier = tiers.get(&(evaluation.file.clone(), evaluation.line)).map(String::as_str);
            if tier != Some("core") {
                continue;
            }
            total += 1;
            passed += usize::from(evaluation.outcome == Outcome::Passed);
            if evaluation.outcome != Outcome::Passed {
                let promqltest::Evaluation { line, expression, outcome, .. } = evaluation;
                writeln!(missed, "{file}:{line}: {expression}\n    {outcome:?}").expect("a string takes all");
            }
        }
    }
    println!("{passed} of {total} core evaluations pass\n{missed}");
    assert_eq!(total, tiers.values().filter(|tier| *tier == "core").count(), "every core evaluation is run");
    assert!(passed >= CORE_PASSED, "{passed} core evaluations pass, {CORE_PASSED} did before\n{missed}");
}

/// The tier of each evaluation, by file and line.
fn tiers(table: &str) -> BTreeMap<(String, usize), String> {
    let rows = table.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("file, line and tier").to_owned();
        let (file, line, tier) = (column(), column(), column());
        ((file, line.parse().expect("a line number")), tier)
    });
    rows.collect()
}
