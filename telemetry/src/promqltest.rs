//! Runs scripts in the PromQL test language: load series, evaluate, compare.
//!
//! Of the language's expectations, results, order, failures, warnings and infos count. The wording of failures does not, because ours are worded
//! otherwise, nor do the positions at the end of warnings and infos, because our plans have none. Native histograms and start timestamps are left
//! out of what is loaded; an evaluation that reads a series of which something was left out is unsupported unless the result is the expected one.

mod expected;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::expected::{Expected, same_rows, show_rows};
use self::script::{Command, Moments, duration_ms};
pub use self::script::{Point, values};
use crate::labels::{Labels, METRIC_NAME};
use crate::notation::parse_leading_series;
use crate::promql::{EvalError, Evaluated, Evaluator, Machine, Plan, PlanError, SeriesSamples, Steps, Value};
use crate::store::Store;

/// How far two floats may differ, as a share of their size.
const TOLERANCE: f64 = 1e-6;

/// A minute, milliseconds: instant evaluations are repeated as the middle step of a range with this step.
const MINUTE_MS: i64 = 60_000;

/// What became of a script's evaluations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// All of them in the order of the script.
    pub evaluations: Vec<Evaluation>,
}

/// One evaluation of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The script's name.
    pub file: String,
    /// The line of the command, counted from 1.
    pub line: usize,
    /// The expression.
    pub expression: String,
    /// Whether the result was as expected.
    pub outcome: Outcome,
    /// Whether its warnings and infos were compared: not where something was left out of what it reads.
    pub annotations_compared: bool,
}

/// How an evaluation went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed {
        /// What the script expects.
        want: String,
        /// What came out.
        got: String,
    },
    /// The expression or the expectation uses what is not supported yet; the text names it.
    Unsupported(String),
}

impl Report {
    /// How many evaluations went as expected.
    pub fn passed(&self) -> usize {
        self.evaluations.iter().filter(|evaluation| evaluation.outcome == Outcome::Passed).count()
    }

    /// The evaluations that did not go as expected, the unsupported ones among them.
    pub fn missed(&self) -> impl Iterator<Item = &Evaluation> {
        self.evaluations.iter().filter(|evaluation| evaluation.outcome != Outcome::Passed)
    }
}

/// A script that is not in the test language; the line is counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line that cannot be read.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Runs a script.
///
/// # Errors
/// The text is no script; then nothing of it counts.
pub fn run(name: &str, text: &str) -> Result<Report, ScriptError> {
    let mut script = Script { loaded: BTreeMap::new(), left_out: BTreeMap::new(), report: Report::default() };
    let lines: Vec<&str> = text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut index = 0;
    while index < lines.len() {
        let body_end = (index + 1..lines.len()).find(|next| lines[*next].is_empty()).unwrap_or(lines.len());
        let body = &lines[index + 1..body_end];
        let command = lines[index];
        let wrong = |message: String| ScriptError { line: index + 1, message };
        if command.is_empty() {
            index += 1;
        } else if command.eq_ignore_ascii_case("clear") {
            script.loaded.clear();
            script.left_out.clear();
            index += 1;
        } else if command.to_ascii_lowercase().starts_with("load") {
            script.load(command, body).map_err(wrong)?;
            index = body_end;
        } else if command.to_ascii_lowercase().starts_with("eval") {
            let command = Command::parse(command).map_err(wrong)?;
            let (outcome, annotations_compared) = script.evaluate(&command, body).map_err(wrong)?;
            let (file, line, expression) = (name.to_owned(), index + 1, command.expression);
            script.report.evaluations.push(Evaluation { file, line, expression, outcome, annotations_compared });
            index = body_end;
        } else {
            return Err(wrong(format!("`{command}` is neither load, clear nor eval")));
        }
    }
    Ok(script.report)
}

/// A way to evaluate an instant evaluation again, which must come to the same.
type Repetition = dyn Fn(&Plan, i64, &Expected, &Store) -> Outcome;

struct Script {
    loaded: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// The series of which something could not be loaded, and what that is.
    left_out: BTreeMap<Labels, &'static str>,
    report: Report,
}

impl Script {
    fn load(&mut self, command: &str, body: &[&str]) -> Result<(), String> {
        let mut words = command.split_whitespace();
        let converts = words.next().is_some_and(|word| word.eq_ignore_ascii_case("load_with_nhcb"));
        let gap_ms = duration_ms(words.next().ok_or("load without a gap")?)?;
        for line in body {
            let (labels, sequence) = parse_leading_series(line).map_err(|error| error.to_string())?;
            if sequence.starts_with("@st") {
                self.left_out.insert(labels, "start timestamps");
                continue;
            }
            if converts && let Some(histogram) = converted(&labels) {
                self.left_out.insert(histogram, "native histograms");
            }
            for (value, index) in values(sequence)?.into_iter().zip(0..) {
                match value {
                    Point::Float(value) => drop(self.loaded.entry(labels.clone()).or_default().insert(gap_ms.saturating_mul(index), value)),
                    Point::Native => drop(self.left_out.insert(labels.clone(), "native histograms")),
                    Point::Gap => {}
                }
            }
        }
        Ok(())
    }

    fn store(&self) -> Store {
        let mut store = Store::new();
        for (labels, samples) in &self.loaded {
            let id = store.series(labels);
            for (at_ms, value) in samples {
                store.append(id, *at_ms, *value).expect("a map's keys increase");
            }
        }
        store
    }

    /// The outcome, and whether annotations were compared.
    fn evaluate(&self, command: &Command, body: &[&str]) -> Result<(Outcome, bool), String> {
        let expected = Expected::parse(body, command.expects.as_deref())?;
        if expected.native {
            return Ok((Outcome::Unsupported("native histograms".to_owned()), false));
        }
        let plan = match Plan::parse(&command.expression).map(Plan::with_late_names) {
            Ok(plan) => plan,
            Err(PlanError::Unsupported { construct }) => return Ok((Outcome::Unsupported(construct), false)),
            Err(PlanError::Parse { .. }) if expected.fails => return Ok((Outcome::Passed, true)),
            Err(PlanError::Parse { message }) => return Ok((expected.failed(format!("parse error: {message}")), true)),
        };
        let store = self.store();
        let (result, outcome) = match command.moments {
            Moments { from_ms, step_ms: None, .. } => {
                let result = Evaluator::new().evaluate_annotated(&plan, from_ms, &[&store]);
                let instant = expected.compare_instant(result.as_ref().map(|evaluated| &evaluated.value), from_ms);
                let again = [&Script::pinned, &Script::as_range, &Script::compiled] as [&Repetition; 3];
                let mut repeated = again.into_iter().map(|repetition| repetition(&plan, from_ms, &expected, &store));
                let outcome = if instant == Outcome::Passed { repeated.find(|outcome| *outcome != Outcome::Passed) } else { None };
                (result, outcome.unwrap_or(instant))
            }
            Moments { from_ms, to_ms, step_ms: Some(step_ms) } => {
                let result = Evaluator::new().evaluate_range_annotated(&plan, Steps { from_ms, to_ms, step_ms }, &[&store]);
                let outcome = expected.compare_range(result.as_ref().map(|evaluated| &evaluated.value), command.moments);
                (result, outcome)
            }
        };
        Ok(match (outcome, self.left_out_of(&plan), result) {
            (Outcome::Passed, None, Ok(Evaluated { annotations, .. })) => (expected.compare_annotations(&annotations), true),
            (Outcome::Failed { .. }, Some(what), _) => (Outcome::Unsupported(what.to_owned()), false),
            (outcome, left_out, _) => (outcome, left_out.is_none()),
        })
    }

    /// What could not be loaded of the series that a plan reads.
    fn left_out_of(&self, plan: &Plan) -> Option<&'static str> {
        let read =
            |labels: &Labels| plan.selectors().iter().any(|selector| selector.matchers().iter().all(|own| own.matches_labels(labels)));
        self.left_out.iter().find(|(labels, _)| read(labels)).map(|(_, what)| *what)
    }

    /// Repeats an instant evaluation at other times with everything pinned to its own by `@`, which must change nothing.
    fn pinned(plan: &Plan, at_ms: i64, expected: &Expected, store: &Store) -> Outcome {
        let Some(pinned) = plan.pinned(at_ms).filter(|_| !expected.fails) else { return Outcome::Passed };
        let others = if at_ms == 0 { [-1_000, 0, 500, 1_000, 1_001] } else { [-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms] };
        let outcomes = others.map(|other_ms| expected.compare_instant(pinned.evaluate(other_ms, &[store]).as_ref(), at_ms));
        outcomes.into_iter().find(|outcome| *outcome != Outcome::Passed).unwrap_or(Outcome::Passed)
    }

    /// Repeats an instant evaluation by the compiled evaluator.
    fn compiled(plan: &Plan, at_ms: i64, expected: &Expected, store: &Store) -> Outcome {
        let mut machine = Machine::new(Arc::default());
        let query = machine.add(plan);
        expected.compare_instant(machine.evaluate(query, at_ms, &[store]).map(Value::from).as_ref(), at_ms)
    }

    /// Repeats an instant evaluation as the middle step of a range.
    fn as_range(plan: &Plan, at_ms: i64, expected: &Expected, store: &Store) -> Outcome {
        let fixed = ["start()", "end()", "range()", "step()"].iter().any(|function| plan.text().contains(function));
        if fixed || expected.ordered || expected.text.is_some() || expected.rows.is_some() || expected.fails {
            return Outcome::Passed;
        }
        let rows = match plan.evaluate_range(at_ms - MINUTE_MS, at_ms + MINUTE_MS, MINUTE_MS, &[store]) {
            Ok(Value::Matrix(rows)) => rows,
            // Another step may fail where the middle one does not.
            Ok(_) | Err(EvalError::SameLabels { .. } | EvalError::NotUnique { .. } | EvalError::ManyMatches { .. }) => {
                return Outcome::Passed;
            }
            Err(error) => return expected.failed(format!("as a range: {error}")),
        };
        let middle = rows.into_iter().filter_map(|SeriesSamples { labels, samples }| {
            let value = samples.into_iter().find(|(time_ms, _)| *time_ms == at_ms)?.1;
            Some((labels, vec![Some(value)]))
        });
        let middle: Vec<_> = middle.collect();
        let wanted = match expected.scalar {
            Some(value) => vec![(Labels::empty(), vec![Some(value)])],
            None => expected.first_values(),
        };
        if same_rows(&wanted, &middle) { Outcome::Passed } else { expected.failed(format!("as a range: {}", show_rows(&middle))) }
    }
}

/// The series that the buckets of a classic histogram become where they are converted to native histograms.
fn converted(labels: &Labels) -> Option<Labels> {
    let name = labels.metric_name()?.strip_suffix("_bucket")?;
    let mut builder = labels.without("le").to_builder();
    builder.put(METRIC_NAME.into(), name.into());
    Some(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_outcome(script: &str, expected: &str) {
        let shown = match run("script", script) {
            Err(error) => error.to_string(),
            Ok(report) => {
                let show = |evaluation: &Evaluation| match &evaluation.outcome {
                    Outcome::Passed => format!("{}: passed", evaluation.line),
                    Outcome::Failed { want, got } => format!("{}: want {want}, got {got}", evaluation.line),
                    Outcome::Unsupported(what) => format!("{}: {what}", evaluation.line),
                };
                report.evaluations.iter().map(show).collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn evaluations_are_compared_both_ways() {
        check_outcome("load 1m\n  up{a=\"1\"} 1 2\n\neval instant at 1m up\n  up{a=\"1\"} 2", "4: passed");
        check_outcome("load 1m\n  up 1 2\n\neval instant at 1m up\n  up 3", "4: want up 3, got up 2");
        check_outcome("load 1m\n  up 1 2\n\neval instant at 1m up", "4: want , got up 2");
        check_outcome("eval instant at 1m up\n  up 3", "1: want up 3, got nothing");
        check_outcome("eval range from 0 to 2m step 1m time()\n  {} 0 60 120", "1: passed");
        check_outcome("eval instant at 1m 1 +\n  expect fail", "1: passed");
        check_outcome("eval instant at 1m 1\n  expect fail", "1: want a failure, got Scalar(1.0)");
        check_outcome("eval instant at 1m histogram_sum(up)", "1: histogram_sum()");
    }

    #[test]
    fn annotations_are_compared_level_by_level() {
        check_outcome("eval instant at 1m quantile(2, up)\n  expect warn\n  expect no_info", "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)", "1: passed");
        let got = "PromQL warning: quantile value should be between 0 and 1, got 2";
        check_outcome(&format!("eval instant at 1m quantile(2, up)\n  expect warn msg: {got} (1:10)"), "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)\n  expect warn regex: got .$", "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)\n  expect no_warn", &format!("1: want expect no_warn, got {got}"));
        check_outcome("eval_warn instant at 1m quantile(1, up)", "1: want , got no annotation");
        let other = "expect warn msg: got 3";
        check_outcome(&format!("eval instant at 1m quantile(2, up)\n  {other}"), &format!("1: want {other}, got {got}"));
    }

    #[test]
    fn what_reads_a_native_histogram_is_unsupported_and_what_does_not_is_not() {
        let load = "load 1m\n  h{a=\"1\"} {{schema:1 sum:2 count:1}} 3\n  h{a=\"2\"} 3 4\n  x @st 0 1\n  x 1 2\n\n";
        let names = |expression: &str, expected: &str, outcome: &str| {
            check_outcome(&format!("{load}eval instant at 0m {expression}\n  {expected}"), &format!("7: {outcome}"));
        };
        names("sum(h)", "{} 5", "native histograms");
        names("h{a=\"2\"}", "h{a=\"2\"} 3", "passed");
        names("h{a=\"2\"}", "h{a=\"2\"} 4", "want h{a=\"2\"} 4, got h{a=\"2\"} 3");
        names("x", "x 7", "start timestamps");
        check_outcome("load_with_nhcb 1m\n  h_bucket{le=\"1\"} 1\n\neval instant at 0m h\n  h 1", "4: native histograms");
    }

    #[test]
    fn what_is_no_script_is_refused_with_its_line() {
        check_outcome("clear\nload\n", "line 2: load without a gap");
        check_outcome("\nhello\n", "line 2: `hello` is neither load, clear nor eval");
        check_outcome("load 5q\n", "line 1: `5q` is no duration");
    }
}
