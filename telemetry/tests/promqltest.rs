//! What every function, aggregation and operator does, in scripts of the test language: ours, beside those of Prometheus that the corpus holds.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fmt::Write as _;
use std::fs;

use firedrill_telemetry::promqltest::{Evaluation, run};

fn scripts() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/promqltest");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let script = |path: std::path::PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    let mut scripts: Vec<_> = paths.map(script).collect();
    scripts.sort();
    scripts
}

#[test]
fn every_evaluation_of_our_scripts_passes() {
    let mut failures = String::new();
    let mut count = 0;
    for (name, text) in scripts() {
        let report = run(&name, &text).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        count += report.evaluations.len();
        for Evaluation { line, expression, outcome, .. } in report.missed() {
            writeln!(failures, "{name}:{line}: {expression}\n    {outcome:?}").unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(count > 150, "only {count} evaluations were found");
}

/// The functions of version 3 that are neither experimental nor about native histograms, the aggregations, and the operators.
const WORDS: &str = "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos cosh \
    count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv exp floor histogram_fraction histogram_quantile hour idelta \
    increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute month pi predict_linear \
    present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort sort_desc sqrt stddev_over_time stdvar_over_time \
    sum_over_time tan tanh time timestamp vector year sum avg min max count group stddev stdvar topk bottomk count_values quantile + - * / % ^ \
    atan2 == != < > <= >= and or unless bool on ignoring group_left group_right by without offset @";

#[test]
fn every_function_aggregation_and_operator_has_a_case() {
    let text: String = scripts().into_iter().map(|(_, text)| text).collect();
    let expressions: Vec<&str> = text.lines().filter(|line| line.starts_with("eval")).collect();
    let is_in = |word: &str, line: &str| {
        let is_part = |c: Option<char>| word.starts_with(char::is_alphabetic) && c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        line.match_indices(word).any(|(at, _)| !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next()))
    };
    let missing: Vec<&str> = WORDS.split_whitespace().filter(|word| !expressions.iter().any(|line| is_in(word, line))).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
