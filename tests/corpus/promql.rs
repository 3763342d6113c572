//! Runs the scripts of Prometheus' own suite that the corpus holds: every core evaluation passes, and what is not supported is listed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use firedrill_telemetry::promqltest::{self, Evaluation, Outcome};

/// The evaluations that are not supported, one `file:line` a line with what is missing; `UPDATE_GOLDEN=1` writes it anew.
const UNSUPPORTED: &str = "tests/corpus/promql_unsupported.tsv";

/// A script's name and the line of the command, counted from 1.
type Place = (String, usize);

#[test]
fn every_core_evaluation_of_the_suite_passes() {
    let tiers = tiers();
    let (mut total, mut table, mut failures) = (0, String::new(), String::new());
    for (file, evaluations) in evaluated(&tiers) {
        let is_core = |evaluation: &&Evaluation| tiers.get(&place(evaluation)).map(String::as_str) == Some("core");
        let core: Vec<&Evaluation> = evaluations.iter().filter(is_core).collect();
        let failed: Vec<&&Evaluation> = core.iter().filter(|evaluation| evaluation.outcome != Outcome::Passed).collect();
        let annotated = core.iter().filter(|evaluation| evaluation.annotations_compared).count();
        let (count, passed) = (core.len(), core.len() - failed.len());
        writeln!(table, "{file}: {passed} passed, {} failed; annotations compared in {annotated} of {count}", failed.len()).unwrap();
        for Evaluation { line, expression, outcome, .. } in failed {
            writeln!(failures, "{file}:{line}: {expression}\n    {outcome:?}").unwrap();
        }
        total += count;
    }
    println!("{table}");
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(total, tiers.values().filter(|tier| *tier == "core").count(), "every core evaluation is run");
}

#[test]
fn what_is_not_supported_is_listed_and_nothing_else() {
    let tiers = tiers();
    let mut found: BTreeMap<Place, String> = BTreeMap::new();
    for evaluation in evaluated(&tiers).into_values().flatten() {
        match &evaluation.outcome {
            Outcome::Passed => {}
            Outcome::Unsupported(what) => drop(found.insert(place(&evaluation), what.clone())),
            Outcome::Failed { .. } | Outcome::Unreadable(_) => drop(found.insert(place(&evaluation), "another result".to_owned())),
        }
    }
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        let lines: String = found.iter().map(|((file, line), what)| format!("{file}\t{line}\t{what}\n")).collect();
        fs::write(UNSUPPORTED, format!("file\tline\twhat is missing\n{lines}")).unwrap();
    }
    let listed: BTreeSet<Place> = table(&fs::read_to_string(UNSUPPORTED).unwrap()).into_keys().collect();
    let core: Vec<&Place> = listed.iter().filter(|place| !matches!(tiers[*place].as_str(), "native" | "experimental")).collect();
    assert!(core.is_empty(), "only native histograms and experimental syntax may be unsupported, not {core:?}");
    let found: BTreeSet<Place> = found.into_keys().collect();
    let unlisted: Vec<&Place> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "these do not pass and are not in {UNSUPPORTED}: {unlisted:?}");
    let passing: Vec<&Place> = listed.difference(&found).collect();
    assert!(passing.is_empty(), "these pass and must leave {UNSUPPORTED}: {passing:?}");
}

fn folder() -> PathBuf {
    let corpus = std::env::var("FIREDRILL_CORPUS").expect("FIREDRILL_CORPUS names the corpus folder");
    PathBuf::from(corpus).join("promql/promqltest")
}

/// The tier of each evaluation: core, native or experimental.
fn tiers() -> BTreeMap<Place, String> {
    table(&fs::read_to_string(folder().join("tiers.tsv")).expect("tiers.tsv is in the corpus"))
}

/// The third column of a table by its first two, file and line; the first line is the head.
fn table(text: &str) -> BTreeMap<Place, String> {
    let rows = text.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("file, line and a third column").to_owned();
        let (file, line, third) = (column(), column(), column());
        ((file, line.parse().expect("a line number")), third)
    });
    rows.collect()
}

/// What became of every evaluation that has a tier, by script.
fn evaluated(tiers: &BTreeMap<Place, String>) -> BTreeMap<String, Vec<Evaluation>> {
    let files: BTreeSet<&String> = tiers.keys().map(|(file, _)| file).collect();
    let run = |file: &&String| {
        let text = fs::read_to_string(folder().join(file)).expect("the scripts are in the corpus");
        let report = promqltest::run(file, &text).unwrap_or_else(|error| panic!("{file}: {error:?}"));
        report.evaluations.into_iter().filter(|evaluation| tiers.contains_key(&place(evaluation))).collect()
    };
    files.iter().map(|file| ((*file).clone(), run(file))).collect()
}

fn place(evaluation: &Evaluation) -> Place {
    (evaluation.file.clone(), evaluation.line)
}
