//! Runs scripts in the PromQL test language: load series, evaluate, compare.
//!
//! Of the language's expectations, results, order and failures count. Warnings, infos and the wording of failures do not: they are not
//! semantics, and ours are worded otherwise. Native histograms are left out of what is loaded.

use std::collections::BTreeMap;

use crate::labels::Labels;
use crate::notation::parse_leading_series;
use crate::promql::{EvalError, Plan, PlanError, SeriesSamples, Value, written};
use crate::store::{STALE, Store, is_stale};

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
    let mut script = Script { loaded: BTreeMap::new(), report: Report::default() };
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
            index += 1;
        } else if command.to_ascii_lowercase().starts_with("load") {
            script.load(command, body).map_err(wrong)?;
            index = body_end;
        } else if command.to_ascii_lowercase().starts_with("eval") {
            let outcome = script.evaluate(command, body).map_err(wrong)?;
            let expression = Command::parse(command).map_err(wrong)?.expression;
            script.report.evaluations.push(Evaluation { file: name.to_owned(), line: index + 1, expression, outcome });
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
    report: Report,
}

impl Script {
    fn load(&mut self, command: &str, body: &[&str]) -> Result<(), String> {
        let gap = command.split_whitespace().nth(1).ok_or("load without a gap")?;
        let gap_ms = duration_ms(gap)?;
        for line in body {
            let (labels, sequence) = parse_leading_series(line).map_err(|error| error.to_string())?;
            if sequence.starts_with("@st") {
                continue;
            }
            let series = self.loaded.entry(labels).or_default();
            for (value, index) in values(sequence)?.into_iter().zip(0..) {
                if let Point::Float(value) = value {
                    series.insert(index * gap_ms, value);
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

    fn evaluate(&self, command: &str, body: &[&str]) -> Result<Outcome, String> {
        let command = Command::parse(command)?;
        let expected = Expected::parse(body, command.fails, command.ordered)?;
        if expected.native {
            return Ok(Outcome::Unsupported("a native histogram is expected".to_owned()));
        }
        let plan = match Plan::parse(&command.expression) {
            Ok(plan) => plan,
            Err(PlanError::Unsupported { construct }) => return Ok(Outcome::Unsupported(construct)),
            Err(PlanError::Parse { .. }) if expected.fails => return Ok(Outcome::Passed),
            Err(PlanError::Parse { message }) => return Ok(expected.failed(format!("parse error: {message}"))),
        };
        let store = self.store();
        let Moments { from_ms, to_ms, step_ms } = command.moments;
        let Some(step_ms) = step_ms else {
            let instant = expected.compare_instant(plan.evaluate(from_ms, &[&store]), from_ms);
            let again = [&Script::pinned, &Script::as_range] as [&Repetition; 2];
            let repeated = again.into_iter().map(|repetition| repetition(&plan, from_ms, &expected, &store));
            return Ok(std::iter::once(instant).chain(repeated).find(|outcome| *outcome != Outcome::Passed).unwrap_or(Outcome::Passed));
        };
        Ok(expected.compare_range(plan.evaluate_range(from_ms, to_ms, step_ms, &[&store]), command.moments))
    }

    /// Repeats an instant evaluation at other times with everything pinned to its own by `@`, which must change nothing.
    fn pinned(plan: &Plan, at_ms: i64, expected: &Expected, store: &Store) -> Outcome {
        let Some(pinned) = plan.pinned(at_ms).filter(|_| !expected.fails) else { return Outcome::Passed };
        let others = if at_ms == 0 { [-1_000, 0, 500, 1_000, 1_001] } else { [-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms] };
        let outcomes = others.map(|other_ms| expected.compare_instant(pinned.evaluate(other_ms, &[store]), at_ms));
        outcomes.into_iter().find(|outcome| *outcome != Outcome::Passed).unwrap_or(Outcome::Passed)
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

#[derive(Clone, Copy)]
struct Moments {
    from_ms: i64,
    to_ms: i64,
    /// `None` for an instant evaluation.
    step_ms: Option<i64>,
}

struct Command {
    expression: String,
    moments: Moments,
    fails: bool,
    ordered: bool,
}

impl Command {
    /// `eval[_fail|_warn|_ordered|_info] instant [at T] EXPR` or `eval… range from A to B step S EXPR`.
    fn parse(line: &str) -> Result<Command, String> {
        let (word, rest) = line.split_once(char::is_whitespace).ok_or("eval without an expression")?;
        let (kind, mut rest) = rest.trim_start().split_once(char::is_whitespace).ok_or("eval without an expression")?;
        let mut moment = |keyword: &str| -> Result<Option<i64>, String> {
            let trimmed = rest.trim_start();
            let Some((found, tail)) = trimmed.split_once(char::is_whitespace).filter(|(found, _)| *found == keyword) else {
                return Ok(None);
            };
            debug_assert_eq!(found, keyword);
            let (time, tail) = tail.trim_start().split_once(char::is_whitespace).ok_or("eval without an expression")?;
            rest = tail;
            duration_ms(time).map(Some)
        };
        let moments = if kind == "instant" {
            let at_ms = moment("at")?.unwrap_or(0);
            Moments { from_ms: at_ms, to_ms: at_ms, step_ms: None }
        } else {
            let mut required = |keyword: &str| moment(keyword)?.ok_or(format!("a range evaluation needs `{keyword}`"));
            Moments { from_ms: required("from")?, to_ms: required("to")?, step_ms: Some(required("step")?) }
        };
        Ok(Command { expression: rest.trim().to_owned(), moments, fails: word == "eval_fail", ordered: word == "eval_ordered" })
    }
}

type Rows = Vec<(Labels, Vec<Option<f64>>)>;

/// What a script expects of one evaluation.
struct Expected {
    fails: bool,
    ordered: bool,
    native: bool,
    text: Option<String>,
    scalar: Option<f64>,
    /// For an instant evaluation that yields a range vector: its first time and step, milliseconds.
    rows: Option<(i64, i64)>,
    series: Rows,
    written: String,
}

impl Expected {
    fn parse(body: &[&str], fails: bool, ordered: bool) -> Result<Expected, String> {
        let written = body.join("; ");
        let mut expected = Expected { fails, ordered, native: false, text: None, scalar: None, rows: None, series: Vec::new(), written };
        for line in body {
            if let Some(expectation) = line.strip_prefix("expect ") {
                expected.expectation(expectation.trim())?;
            } else if line.starts_with("expected_fail") {
                continue;
            } else if let Ok(value) = line.parse() {
                expected.scalar = Some(value);
            } else {
                let (labels, sequence) = parse_leading_series(line).map_err(|error| error.to_string())?;
                let points = values(sequence)?;
                expected.native |= points.contains(&Point::Native);
                let values = points.into_iter().map(|point| if let Point::Float(value) = point { Some(value) } else { None });
                expected.series.push((labels, values.collect()));
            }
        }
        Ok(expected)
    }

    fn expectation(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[0] {
            "fail" => self.fails = true,
            "ordered" => self.ordered = true,
            "string" => self.text = Some(text["string".len()..].trim().trim_matches(['"', '`', '\'']).to_owned()),
            "range" => match words[..] {
                ["range", "vector", "from", from, "to", _, "step", step] => self.rows = Some((duration_ms(from)?, duration_ms(step)?)),
                _ => return Err(format!("`expect {text}` is no expectation")),
            },
            "warn" | "no_warn" | "info" | "no_info" => {}
            _ => return Err(format!("`expect {text}` is no expectation")),
        }
        Ok(())
    }

    fn failed(&self, got: String) -> Outcome {
        Outcome::Failed { want: if self.fails { "a failure".to_owned() } else { self.written.clone() }, got }
    }

    fn outcome(&self, held: bool, got: impl FnOnce() -> String) -> Outcome {
        if held { Outcome::Passed } else { self.failed(got()) }
    }

    fn first_values(&self) -> Rows {
        self.series.iter().map(|(labels, values)| (labels.clone(), values.iter().take(1).copied().collect())).collect()
    }

    fn compare_instant(&self, result: Result<Value, EvalError>, at_ms: i64) -> Outcome {
        match result {
            Err(error) => self.outcome(self.fails, || error.to_string()),
            Ok(value) if self.fails => self.failed(format!("{value:?}")),
            Ok(Value::Scalar(value)) => self.outcome(self.scalar.is_some_and(|wanted| close(wanted, value)), || written(value)),
            Ok(Value::Text(text)) => self.outcome(self.text.as_ref() == Some(&text), || text.clone()),
            Ok(Value::Vector(samples)) => {
                let got: Rows = samples.into_iter().map(|sample| (sample.labels, vec![Some(sample.value)])).collect();
                let wanted = self.first_values();
                let in_order = !self.ordered || wanted.iter().map(|row| &row.0).eq(got.iter().map(|row| &row.0));
                self.outcome(self.scalar.is_none() && in_order && same_rows(&wanted, &got), || show_rows(&got))
            }
            Ok(Value::Matrix(rows)) => {
                let (from_ms, step_ms) = self.rows.unwrap_or((at_ms, MINUTE_MS));
                self.compare_matrix(rows, from_ms, step_ms)
            }
        }
    }

    fn compare_range(&self, result: Result<Value, EvalError>, moments: Moments) -> Outcome {
        match result {
            Err(error) => self.outcome(self.fails, || error.to_string()),
            Ok(value) if self.fails => self.failed(format!("{value:?}")),
            Ok(Value::Matrix(rows)) => self.compare_matrix(rows, moments.from_ms, moments.step_ms.unwrap_or(MINUTE_MS)),
            Ok(other) => self.failed(format!("{other:?}")),
        }
    }

    fn compare_matrix(&self, rows: Vec<SeriesSamples>, from_ms: i64, step_ms: i64) -> Outcome {
        let mut wanted: Rows = self.series.clone();
        wanted.retain(|(_, values)| values.iter().any(Option::is_some));
        let length = wanted.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        for (_, values) in &mut wanted {
            values.resize(length, None);
        }
        let mut off_grid = false;
        let spread = |samples: Vec<(i64, f64)>, off_grid: &mut bool| {
            let mut values = vec![None; length];
            for (time_ms, value) in samples {
                let index = usize::try_from((time_ms - from_ms) / step_ms).unwrap_or(usize::MAX);
                match values.get_mut(index) {
                    Some(place) if (time_ms - from_ms) % step_ms == 0 => *place = Some(value),
                    _ => *off_grid = true,
                }
            }
            values
        };
        let shown = format!("{rows:?}");
        let got: Rows = rows.into_iter().map(|row| (row.labels, spread(row.samples, &mut off_grid))).collect();
        self.outcome(!off_grid && same_rows(&wanted, &got), || shown)
    }
}

/// Whether two sets of rows have the same labels and about the same values, in any order.
fn same_rows(wanted: &Rows, got: &Rows) -> bool {
    let find = |labels: &Labels| got.iter().find(|(own, _)| own == labels);
    let same_value = |pair: (&Option<f64>, &Option<f64>)| match pair {
        (Some(wanted), Some(got)) => close(*wanted, *got),
        (wanted, got) => wanted.is_none() && got.is_none(),
    };
    let same_row = |(labels, values): &(Labels, Vec<Option<f64>>)| {
        find(labels).is_some_and(|(_, found)| found.len() == values.len() && values.iter().zip(found).all(same_value))
    };
    wanted.len() == got.len() && wanted.iter().all(same_row)
}

fn show_rows(rows: &Rows) -> String {
    let show_value = |value: &Option<f64>| value.map_or("_".to_owned(), written);
    let show_row =
        |(labels, values): &(Labels, Vec<Option<f64>>)| format!("{labels} {}", values.iter().map(show_value).collect::<Vec<_>>().join(" "));
    if rows.is_empty() { "nothing".to_owned() } else { rows.iter().map(show_row).collect::<Vec<_>>().join("; ") }
}

fn close(wanted: f64, got: f64) -> bool {
    if is_stale(wanted) || is_stale(got) {
        return is_stale(wanted) && is_stale(got);
    }
    if wanted == got || wanted.is_nan() && got.is_nan() {
        return true;
    }
    let (size, difference) = (wanted.abs() + got.abs(), (wanted - got).abs());
    if wanted == 0.0 || got == 0.0 || size < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < TOLERANCE
}

/// One place in a series' sequence of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    /// No sample.
    Gap,
    /// A float; [`STALE`] for `stale`.
    Float(f64),
    /// A native histogram, which no store holds yet.
    Native,
}

/// A sequence of points: `1`, `_`, `_x3`, `stale`, `1x3` (four ones), `1+2x3` (1 3 5 7), `{{…}}` for a native histogram.
///
/// # Errors
/// The text is something else; the message names the part that is no point.
pub fn values(sequence: &str) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    let mut rest = sequence.trim();
    while !rest.is_empty() {
        let end = if rest.starts_with("{{") {
            let close = rest.rfind("}}").ok_or("a native histogram without its end")? + 2;
            close + rest[close..].find(char::is_whitespace).unwrap_or(rest.len() - close)
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        token(&rest[..end], &mut points)?;
        rest = rest[end..].trim_start();
    }
    Ok(points)
}

fn token(token: &str, points: &mut Vec<Point>) -> Result<(), String> {
    if token.starts_with("{{") {
        points.push(Point::Native);
        return Ok(());
    }
    let repeated = token.rsplit_once('x').and_then(|(start, times)| Some((start, times.parse::<usize>().ok()?)));
    let (start, times) = repeated.map_or((token, None), |(start, times)| (start, Some(times)));
    if start == "_" {
        points.extend(std::iter::repeat_n(Point::Gap, times.unwrap_or(1)));
        return Ok(());
    }
    let (first, step) = if start == "stale" { (STALE, 0.0) } else { first_and_step(start).ok_or(format!("`{token}` is no point"))? };
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        points.push(Point::Float(value));
        // Without a step the value stays what it is, the marker and NaN with all their bits.
        value = if step == 0.0 { value } else { value + step };
    }
    Ok(())
}

/// `1` or `1+2` or `1-2`.
fn first_and_step(text: &str) -> Option<(f64, f64)> {
    if let Ok(value) = text.parse() {
        return Some((value, 0.0));
    }
    let signs = text.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    let mut splits = signs.map(|(index, _)| text.split_at(index));
    splits.find_map(|(first, step)| Some((first.parse().ok()?, step.parse().ok()?)))
}

/// `5m`, `1h30m`, `100ms`, or a number of seconds; milliseconds.
fn duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1_000.0).round() as i64);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total_ms = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0).ok_or(format!("`{text}` is no duration"))?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit_ms: i64 = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return Err(format!("`{text}` is no duration")),
        };
        total_ms += rest[..digits].parse::<i64>().map_err(|error| error.to_string())? * unit_ms;
        rest = &rest[unit_end..];
    }
    Ok(sign * total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_values(sequence: &str, expected: &str) {
        let shown = values(sequence).map_or_else(
            |error| error,
            |points| {
                let show = |point: &Point| match point {
                    Point::Gap => "_".to_owned(),
                    Point::Native => "{{}}".to_owned(),
                    Point::Float(value) if is_stale(*value) => "stale".to_owned(),
                    Point::Float(value) => written(*value),
                };
                points.iter().map(show).collect::<Vec<_>>().join(" ")
            },
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn sequences_are_expanded() {
        check_values("1 _ 2.5 _x2 stale", "1 _ 2.5 _ _ stale");
        check_values("1x2 0+10x3 -2-3x1", "1 1 1 0 10 20 30 -2 -5");
        check_values("1e3+1e2x1 Inf NaNx1 +Inf -Inf", "1000 1100 +Inf NaN NaN +Inf -Inf");
        check_values("{{schema:1 sum:2 buckets:[1 2]}} 3", "{{}} 3");
        check_values("1 what", "`what` is no point");
    }

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
    fn what_is_no_script_is_refused_with_its_line() {
        check_outcome("clear\nload\n", "line 2: load without a gap");
        check_outcome("\nhello\n", "line 2: `hello` is neither load, clear nor eval");
        check_outcome("load 5q\n", "line 1: `5q` is no duration");
    }
}
