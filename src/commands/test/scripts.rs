//! Scripts in the PromQL test language, with the evaluations that are known to be unsupported.

use std::collections::BTreeMap;
use std::path::Path;

use firedrill_core::problem::Problem;
use firedrill_telemetry::promqltest::{self, Evaluation, Outcome};
use serde_json::json;

use crate::cli::{Format, TestArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load;
use crate::output::Output;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.test.promql/1";

/// One evaluation that is not as it should be.
struct Miss {
    /// `FILE:LINE`.
    place: String,
    expression: String,
    want: String,
    got: String,
}

/// Runs all scripts.
pub fn execute(arguments: &TestArgs, output: Output) -> Result<Exit, Failure> {
    let mut listed = match &arguments.unsupported {
        Some(path) => read_list(path)?,
        None => BTreeMap::new(),
    };
    let (mut passed, mut misses, mut problems) = (0, Vec::new(), Vec::new());
    for path in &arguments.files {
        let source = load::read_file(Path::new(path))?;
        let report = match promqltest::run(&source.path, &source.text) {
            Ok(report) => report,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        for evaluation in report.evaluations {
            let is_listed = listed.remove(&key(path, evaluation.line)).is_some();
            match judged(evaluation, is_listed) {
                Ok(Some(miss)) => misses.push(miss),
                Ok(None) => passed += 1,
                Err(problem) => problems.push(*problem),
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Input(problems));
    }
    if passed == 0 && misses.is_empty() && listed.is_empty() {
        return Err(Failure::argument("these scripts hold no evaluation", "a run of nothing proves nothing: name scripts with `eval`"));
    }
    misses.extend(listed.into_iter().map(|(place, reason)| Miss {
        place,
        expression: String::new(),
        want: format!("unsupported: {reason}"),
        got: "no such evaluation in these scripts".to_owned(),
    }));
    tell(passed, &misses, output)?;
    Ok(if misses.is_empty() { Exit::Held } else { Exit::Broken })
}

/// What is wrong with an evaluation. One that is listed must not pass: then it is to be taken off the list.
///
/// # Errors
/// Its expression cannot be read, and no list knows that.
fn judged(evaluation: Evaluation, is_listed: bool) -> Result<Option<Miss>, Box<Problem>> {
    let Evaluation { file, line, expression, outcome, .. } = evaluation;
    let (want, got) = match outcome {
        Outcome::Passed if is_listed => ("unsupported, as it is listed".to_owned(), "it passes: take it off the list".to_owned()),
        Outcome::Passed => return Ok(None),
        Outcome::Unsupported(_) | Outcome::Unreadable(_) | Outcome::Failed { .. } if is_listed => return Ok(None),
        Outcome::Unreadable(problem) => return Err(problem),
        Outcome::Unsupported(what) => ("a result".to_owned(), format!("{what}, which is not supported and not listed")),
        Outcome::Failed { want, got } => (want, got),
    };
    Ok(Some(Miss { place: format!("{file}:{line}"), expression, want, got }))
}

fn tell(passed: usize, misses: &[Miss], output: Output) -> anyhow::Result<()> {
    if output.format == Format::Json {
        let miss = |miss: &Miss| json!({ "place": miss.place, "expression": miss.expression, "want": miss.want, "got": miss.got });
        let misses: Vec<_> = misses.iter().map(miss).collect();
        let document = json!({ "schema": SCHEMA, "passed": passed, "failed": misses.len(), "misses": misses });
        return output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"));
    }
    let told = |miss: &Miss| format!("{}: {}\n  want {}\n  got  {}\n", miss.place, miss.expression, miss.want, miss.got);
    let misses_told: String = misses.iter().map(told).collect();
    output.data(&format!("{misses_told}{passed} passed, {} failed\n", misses.len()))
}

/// Reads `FILE:LINE` and a reason a line, separated by blanks; `#` begins a comment. Of the file only its name counts.
fn read_list(path: &str) -> Result<BTreeMap<String, String>, Failure> {
    let source = load::read_file(Path::new(path))?;
    let mut listed = BTreeMap::new();
    for line in source.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (place, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let place = place.rsplit_once(':').and_then(|(file, number)| Some(key(file, number.parse().ok()?)));
        let Some(place) = place else {
            let problem = Problem::in_file("FD0913", &source.path, format!("`{line}` names no evaluation"));
            return Err(Failure::Input(vec![problem.remedy("write `functions.test:12 the reason`")]));
        };
        listed.insert(place, reason.trim().to_owned());
    }
    Ok(listed)
}

fn key(path: &str, line: usize) -> String {
    let name = Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned());
    format!("{name}:{line}")
}
