//! Runs scripts in the PromQL test language: load series, evaluate, compare.
//!
//! Of the language's expectations, results, order, failures, warnings and infos count. The wording of failures does not, because ours are worded
//! otherwise, nor do the positions at the end of warnings and infos, because our plans have none. Native histograms and start timestamps are left
//! out of what is loaded; an evaluation that reads a series of which something was left out is unsupported unless the result is the expected one.

mod fault;
mod script;
mod expected;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::problem::{Problem, SourceFile};

use self::expected::{Expected, same_rows, show_rows};
use self::fault::place;
use self::reading::{Evaluate, Load, Step, steps};
use self::script::{Command, Moments};
pub use self::script::{Point, values};
use crate::labels::{Labels, METRIC_NAME};
use crate::promql::{EvalError, Evaluated, Evaluator, Machine, Mistake, Plan, PlanError, SeriesSamples, Steps, Value};
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
    /// The expression is no PromQL, and the script does not say that it fails; the problem tells where.
    Unreadable(Box<Problem>),
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

/// Runs a script.
///
/// # Errors
/// The text is no script, and the problems tell all that is wrong with it; then nothing of it counts.
pub fn run(name: &str, text: &str) -> Result<Report, Vec<Problem>> {
    let file = Arc::new(SourceFile { path: name.to_owned(), text: text.to_owned() });
    let mut script = Script { loaded: BTreeMap::new(), left_out: BTreeMap::new() };
    let mut report = Report::default();
    for step in steps(&file)? {
        match step {
            Step::Clear => {
                script.loaded.clear();
                script.left_out.clear();
            }
            Step::Load(load) => script.load(load),
            Step::Evaluate(evaluate) => {
                let Evaluate { line, command, expected } = *evaluate;
                let (outcome, annotations_compared) = script.evaluate(&file, &command, &expected);
                let (file, expression) = (name.to_owned(), command.expression.to_owned());
                report.evaluations.push(Evaluation { file, line, expression, outcome, annotations_compared });
            }
        }
    }
    Ok(report)
}

/// What is wrong with an expression that cannot be read.
fn unreadable(file: &Arc<SourceFile>, command: &Command<'_>, message: &str) -> Outcome {
    if let Some(fault) = command.forgotten_at() {
        return Outcome::Unreadable(Box::new(fault.problem(file)));
    }
    let Mistake { message, at, remedy } = Mistake::of(command.expression, message);
    let remedy = remedy.unwrap_or_else(|| "write PromQL, or `expect fail` below if it is meant to be none".to_owned());
    let at = place(file, command.expression).part(at.start, at.end);
    Outcome::Unreadable(Box::new(Problem::at("FD0916", &at, message).label("not PromQL").remedy(remedy)))
}

/// A way to evaluate an instant evaluation again, which must come to the same.
type Repetition = dyn Fn(&Plan, i64, &Expected, &Store) -> Outcome;

struct Script {
    loaded: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// The series of which something could not be loaded, and what that is.
    left_out: BTreeMap<Labels, &'static str>,
}

impl Script {
    fn load(&mut self, load: Load) {
        for (labels, points) in load.series {
            let Some(points) = points else {
                self.left_out.insert(labels, "start timestamps");
                continue;
            };
            if load.converts
                && let Some(histogram) = converted(&labels)
            {
                self.left_out.insert(histogram, "native histograms");
            }
            for (value, index) in points.into_iter().zip(0..) {
                match value {
                    Point::Float(value) => {
                        self.loaded.entry(labels.clone()).or_default().insert(load.gap_ms.saturating_mul(index), value);
                    }
                    Point::Native => drop(self.left_out.insert(labels.clone(), "native histograms")),
                    Point::Gap => {}
                }
            }
        }
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
    fn evaluate(&self, file: &Arc<SourceFile>, command: &Command<'_>, expected: &Expected) -> (Outcome, bool) {
        if expected.native {
            return (Outcome::Unsupported("native histograms".to_owned()), false);
        }
        let plan = match Plan::parse(command.expression).map(Plan::with_late_names) {
            Ok(plan) => plan,
            Err(PlanError::Unsupported { construct }) => return (Outcome::Unsupported(construct), false),
            Err(PlanError::Parse { .. }) if expected.fails => return (Outcome::Passed, true),
            Err(PlanError::Parse { message }) => return (unreadable(file, command, &message), true),
        };
        let store = self.store();
        let (result, outcome) = match command.moments {
            Moments { from_ms, step_ms: None, .. } => {
                let result = Evaluator::new().evaluate_annotated(&plan, from_ms, &[&store]);
                let instant = expected.compare_instant(result.as_ref().map(|evaluated| &evaluated.value), from_ms);
                let again = [&Script::pinned, &Script::as_range, &Script::compiled] as [&Repetition; 3];
                let mut repeated = again.into_iter().map(|repetition| repetition(&plan, from_ms, expected, &store));
                let outcome = if instant == Outcome::Passed { repeated.find(|outcome| *outcome != Outcome::Passed) } else { None };
                (result, outcome.unwrap_or(instant))
            }
            Moments { from_ms, to_ms, step_ms: Some(step_ms) } => {
                let result = Evaluator::new().evaluate_range_annotated(&plan, Steps { from_ms, to_ms, step_ms }, &[&store]);
                let outcome = expected.compare_range(result.as_ref().map(|evaluated| &evaluated.value), command.moments);
                (result, outcome)
            }
        };
        match (outcome, self.left_out_of(&plan), result) {
            (Outcome::Passed, None, Ok(Evaluated { annotations, .. })) => (expected.compare_annotations(&annotations), true),
            (Outcome::Failed { .. }, Some(what), _) => (Outcome::Unsupported(what.to_owned()), false),
            (outcome, left_out, _) => (outcome, left_out.is_none()),
        }
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
        let problem = |problem: &Problem| {
            let place = problem.place.as_ref().expect("a place");
            format!("{}:{}: {}", place.line(), place.column(), problem.message)
        };
        let show = |evaluation: &Evaluation| match &evaluation.outcome {
            Outcome::Passed => format!("{}: passed", evaluation.line),
            Outcome::Failed { want, got } => format!("{}: want {want}, got {got}", evaluation.line),
            Outcome::Unsupported(what) => format!("{}: {what}", evaluation.line),
            Outcome::Unreadable(found) => problem(found),
        };
        let shown: Vec<String> = match run("script", script) {
            Err(problems) => problems.iter().map(problem).collect(),
            Ok(report) => report.evaluations.iter().map(show).collect(),
        };
        let shown = shown.join("\n");
        assert_eq!(shown, expected);
    }

    #[test]
    fn evaluations_are_compared_both_ways() {
        check_outcome("load 1m\n  up{a=\"1\"} 1 2\n\neval instant at 1m up\n  up{a=\"1\"} 2", "4: passed");
        check_outcome("load 1m\n  up 1 2\n\neval instant at 1m up\n  up 3", "4: want up 3, got up 2");
        check_outcome("load 1m\n  up 1 2\n\neval instant at 1m up", "4: want nothing, got up 2");
        check_outcome("eval instant at 1m up\n  up 3", "1: want up 3, got nothing");
        check_outcome("eval range from 0 to 2m step 1m time()\n  {} 0 60 120", "1: passed");
        check_outcome("eval instant at 1m 1 +\n  expect fail", "1: passed");
        check_outcome("eval instant at 1m 1\n  expect fail", "1: want a failure, got 1");
        check_outcome("eval instant at 1m histogram_sum(up)", "1: histogram_sum()");
        let range = "load 1m\n  m 1 2 3\n\neval instant at 2m m[2m]\n  expect range vector from 1m to 2m step 1m\n  m 2 3";
        check_outcome(range, "4: passed");
        check_outcome(&range.replace("m[2m]", "m"), "4: want expect range vector from 1m to 2m step 1m; m 2 3, got m 3");
    }

    #[test]
    fn annotations_are_compared_level_by_level() {
        check_outcome("eval instant at 1m quantile(2, up)\n  expect warn\n  expect no_info", "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)", "1: passed");
        let got = "PromQL warning: quantile value should be between 0 and 1, got 2";
        check_outcome(&format!("eval instant at 1m quantile(2, up)\n  expect warn msg: {got} (1:10)"), "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)\n  expect warn regex: got .$", "1: passed");
        check_outcome("eval instant at 1m quantile(2, up)\n  expect no_warn", &format!("1: want expect no_warn, got {got}"));
        check_outcome("eval_warn instant at 1m quantile(1, up)", "1: want expect warn, got no annotation");
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
    fn what_is_no_script_is_refused_with_all_its_faults() {
        check_outcome("clear\nload\n", "2:1: `load` needs the time between two values");
        check_outcome(
            "load 5q\n  up 1 what\n\nhello\n",
            "1:6: `5q` is no duration\n2:8: `what` is no value\n4:1: there is no command `hello`",
        );
        check_outcome("load -1m\n  up 1 2\n", "1:6: `-1m` leads back in time");
        check_outcome("load 1m\n  up 1 2\neval instant at 1m up\n  up 2\n", "3:1: an empty line is missing before this `eval`");
        check_outcome("eval instant at 1m 1\n  1\nclear\n", "3:1: an empty line is missing before this `clear`");
        check_outcome("load 1m\n  eval 1 2\n\neval instant at 1m eval\n  eval 2", "4: passed");
        check_outcome("eval instant at 1m sum(up\n", "1:23: this is never closed");
        check_outcome("eval instant 5m up\n", "1:14: `at` is missing before the time");
    }

    #[test]
    fn ranges_are_shown_as_scripts_write_them() {
        let load = "load 1m\n  up 1 _ 3\n  down _x3 5\n\n";
        let of = |evaluation: &str, outcome: &str| check_outcome(&format!("{load}{evaluation}"), outcome);
        of("eval range from 0 to 3m step 1m last_over_time(up[1m])\n  up 1", "5: want up 1, got up 1 _ 3");
        of("eval range from 0 to 3m step 1m {__name__=~\"up|down\"}\n  expect fail", "5: want a failure, got down _x3 5; up 1 1 3 3");
        of("eval instant at 3m up[150s]", "5: want nothing, got up 3 (at 120s)");
    }
}
