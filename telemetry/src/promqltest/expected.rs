//! What a script expects of an evaluation, and whether a result is that.

use firedrill_core::problem::near_miss;
use regex::Regex;

use super::fault::Fault;
use super::script::{Moments, ORDERED_RANGE, Point, duration_ms, first_word, points};
use super::{MINUTE_MS, Outcome, TOLERANCE};
use crate::labels::Labels;
use crate::notation::parse_leading_series;
use crate::patterns;
use crate::promql::{Annotation, EvalError, Level, SeriesSamples, Value, written};
use crate::store::is_stale;

pub(super) type Rows = Vec<(Labels, Vec<Option<f64>>)>;

/// What a script expects of one evaluation.
pub(super) struct Expected {
    pub fails: bool,
    pub ordered: bool,
    /// A native histogram is expected.
    pub native: bool,
    pub text: Option<String>,
    pub scalar: Option<f64>,
    /// For an instant evaluation that yields a range vector: its first time and step, milliseconds.
    pub rows: Option<(i64, i64)>,
    series: Rows,
    annotations: Vec<ExpectedAnnotation>,
    written: String,
}

/// One line about warnings or infos.
struct ExpectedAnnotation {
    level: Level,
    wanted: Wanted,
}

enum Wanted {
    None,
    Any,
    Text(String),
    Like(Regex),
}

/// What can be expected.
const EXPECTATIONS: [&str; 8] = ["fail", "ordered", "string", "range", "warn", "no_warn", "info", "no_info"];

/// How an expectation is written.
const EXPECT: &str =
    "there are `expect fail`, `warn`, `no_warn`, `info`, `no_info`, `ordered`, `string \"…\"` and `range vector from … to … step …`";

impl Expected {
    /// Nothing but what the command itself expects, as `fail` in `eval_fail`; `body` is how the rest is told.
    pub(super) fn new(command: Option<&str>, body: &[&str]) -> Self {
        let written: Vec<String> =
            command.iter().map(|word| format!("expect {word}")).chain(body.iter().map(|line| (*line).to_owned())).collect();
        let any = |level| ExpectedAnnotation { level, wanted: Wanted::Any };
        Expected {
            fails: command == Some("fail"),
            ordered: command == Some("ordered"),
            native: false,
            text: None,
            scalar: None,
            rows: None,
            series: Vec::new(),
            annotations: match command {
                Some("warn") => vec![any(Level::Warning)],
                Some("info") => vec![any(Level::Info)],
                _ => Vec::new(),
            },
            written: if written.is_empty() { "nothing".to_owned() } else { written.join("; ") },
        }
    }

    /// Reads one line under the command.
    pub(super) fn read<'t>(&mut self, line: &'t str, is_range: bool) -> Result<(), Fault<'t>> {
        let (word, rest) = first_word(line);
        if word == "expect" {
            return self.expectation(line, rest, is_range);
        }
        if line.starts_with("expected_fail") {
            return Ok(());
        }
        if let Ok(value) = line.parse() {
            if is_range {
                let remedy = format!("write the values of a series: `{{}} {line} {line}`");
                return Err(Fault::new(line, "over a range nothing yields a single number", remedy));
            }
            self.scalar = Some(value);
            return Ok(());
        }
        let slip = |fault: Fault<'t>| match near_miss(word, &["expect"]) {
            Some(_) => Fault::new(word, format!("`{word}` begins no expectation"), "did you mean `expect`?"),
            None => fault,
        };
        let (labels, sequence) = parse_leading_series(line).map_err(|error| slip(Fault::no_series(line, &error)))?;
        let points = points(sequence).map_err(slip)?;
        self.native |= points.contains(&Point::Native);
        let values = points.into_iter().map(|point| if let Point::Float(value) = point { Some(value) } else { None });
        self.series.push((labels, values.collect()));
        Ok(())
    }

    /// What the lines under a command say together.
    pub(super) fn check<'t>(&self, body: &[&'t str], is_range: bool) -> Result<(), Fault<'t>> {
        let says = |words: &str| body.iter().find(|line| line.split_whitespace().take(2).eq(words.split_whitespace()));
        for (some, none) in [("expect warn", "expect no_warn"), ("expect info", "expect no_info")] {
            if let (Some(_), Some(none)) = (says(some), says(none)) {
                return Err(Fault::new(none, format!("`{some}` stands here too"), "keep one of the two"));
            }
        }
        if is_range || self.rows.is_some() || self.native {
            return Ok(());
        }
        let is_long =
            |line: &&&str| parse_leading_series(line).is_ok_and(|(_, sequence)| points(sequence).is_ok_and(|points| points.len() > 1));
        match body.iter().filter(|line| first_word(line).0 != "expect").find(is_long) {
            Some(line) => {
                let remedy = "write one, or `expect range vector from 0 to 5m step 1m` if the expression yields a range";
                Err(Fault::new(line, "one instant has one value, and here are several", remedy))
            }
            None => Ok(()),
        }
    }

    fn expectation<'t>(&mut self, line: &'t str, text: &'t str, is_range: bool) -> Result<(), Fault<'t>> {
        let (word, rest) = first_word(text);
        match word {
            "" => return Err(Fault::after(line, "what is expected is missing behind this", EXPECT)),
            "string" | "range" if is_range => {
                return Err(Fault::new(
                    text,
                    format!("over a range nothing yields `{word}`"),
                    "write series with their values, or evaluate one instant",
                ));
            }
            "ordered" if is_range => return Err(Fault::new(text, ORDERED_RANGE, "take the line away, or evaluate one instant")),
            "fail" => {
                Wanted::parse(rest)?;
                self.fails = true;
            }
            "ordered" if rest.is_empty() => self.ordered = true,
            "ordered" => return Err(Fault::new(rest, "`expect ordered` stands alone", "take the rest of the line away")),
            "string" => {
                let open = || Fault::new(text, "this is no text in quotes", "write `expect string \"the text\"`");
                self.text = Some(unquoted(rest).ok_or_else(open)?);
            }
            "range" => match rest.split_whitespace().collect::<Vec<_>>()[..] {
                ["vector", "from", from, "to", _, "step", step] => {
                    let (from_ms, step_ms) = (duration_ms(from)?, duration_ms(step)?);
                    if step_ms <= 0 {
                        return Err(Fault::new(step, "a step is longer than nothing", "write `step 1m`"));
                    }
                    self.rows = Some((from_ms, step_ms));
                }
                _ => return Err(Fault::new(text, "this is no range vector", "write `expect range vector from 0 to 5m step 1m`")),
            },
            "warn" | "info" | "no_warn" | "no_info" => {
                let level = if word.ends_with("warn") { Level::Warning } else { Level::Info };
                let wanted = Wanted::parse(rest)?;
                let wanted = if word.starts_with("no_") { Wanted::None } else { wanted };
                self.annotations.push(ExpectedAnnotation { level, wanted });
            }
            _ => {
                let near = near_miss(word, &EXPECTATIONS).or_else(|| EXPECTATIONS.into_iter().find(|known| word.starts_with(known)));
                let remedy = near.map_or_else(|| EXPECT.to_owned(), |near| format!("did you mean `expect {near}`?"));
                return Err(Fault::new(word, format!("`{word}` is nothing that can be expected"), remedy));
            }
        }
        Ok(())
    }

    /// Whether the annotations are the expected ones; lines about one level say nothing about the other.
    pub(super) fn compare_annotations(&self, annotations: &[Annotation]) -> Outcome {
        let held = [Level::Warning, Level::Info].into_iter().all(|level| {
            let wanted: Vec<&Wanted> = self.annotations.iter().filter(|line| line.level == level).map(|line| &line.wanted).collect();
            let got: Vec<String> = annotations.iter().filter(|own| own.level() == level).map(Annotation::to_string).collect();
            let satisfied = wanted.iter().all(|wanted| match wanted {
                Wanted::None => got.is_empty(),
                wanted => got.iter().any(|text| wanted.matches(text)),
            });
            satisfied && (wanted.is_empty() || got.iter().all(|text| wanted.iter().any(|wanted| wanted.matches(text))))
        });
        self.outcome(held, || match annotations {
            [] => "no annotation".to_owned(),
            some => some.iter().map(Annotation::to_string).collect::<Vec<_>>().join("; "),
        })
    }

    pub(super) fn failed(&self, got: String) -> Outcome {
        Outcome::Failed { want: if self.fails { "a failure".to_owned() } else { self.written.clone() }, got }
    }

    fn outcome(&self, held: bool, got: impl FnOnce() -> String) -> Outcome {
        if held { Outcome::Passed } else { self.failed(got()) }
    }

    pub(super) fn first_values(&self) -> Rows {
        self.series.iter().map(|(labels, values)| (labels.clone(), values.iter().take(1).copied().collect())).collect()
    }

    pub(super) fn compare_instant(&self, result: Result<&Value, &EvalError>, at_ms: i64) -> Outcome {
        match result {
            Err(error) => self.outcome(self.fails, || error.to_string()),
            Ok(value) if self.fails => self.failed(show(value, at_ms, MINUTE_MS)),
            Ok(other) if self.rows.is_some() && !matches!(other, Value::Matrix(_)) => self.failed(show(other, at_ms, MINUTE_MS)),
            Ok(Value::Scalar(value)) => self.outcome(self.scalar.is_some_and(|wanted| close(wanted, *value)), || written(*value)),
            Ok(Value::Text(text)) => self.outcome(self.text.as_ref() == Some(text), || format!("{text:?}")),
            Ok(Value::Vector(samples)) => {
                let got: Rows = samples.iter().map(|sample| (sample.labels.clone(), vec![Some(sample.value)])).collect();
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

    pub(super) fn compare_range(&self, result: Result<&Value, &EvalError>, moments: Moments) -> Outcome {
        match result {
            Err(error) => self.outcome(self.fails, || error.to_string()),
            Ok(Value::Matrix(rows)) if !self.fails => self.compare_matrix(rows, moments.from_ms, moments.step_ms.unwrap_or(MINUTE_MS)),
            Ok(other) => self.failed(show(other, moments.from_ms, moments.step_ms.unwrap_or(MINUTE_MS))),
        }
    }

    fn compare_matrix(&self, rows: &[SeriesSamples], from_ms: i64, step_ms: i64) -> Outcome {
        let mut wanted: Rows = self.series.clone();
        wanted.retain(|(_, values)| values.iter().any(Option::is_some));
        let length = wanted.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        for (_, values) in &mut wanted {
            values.resize(length, None);
        }
        let mut off_grid = false;
        let spread = |samples: &[(i64, f64)], off_grid: &mut bool| {
            let mut values = vec![None; length];
            for &(time_ms, value) in samples {
                let index = usize::try_from((time_ms - from_ms) / step_ms).unwrap_or(usize::MAX);
                match values.get_mut(index) {
                    Some(place) if (time_ms - from_ms) % step_ms == 0 => *place = Some(value),
                    _ => *off_grid = true,
                }
            }
            values
        };
        let got: Rows = rows.iter().map(|row| (row.labels.clone(), spread(&row.samples, &mut off_grid))).collect();
        self.outcome(!off_grid && same_rows(&wanted, &got), || show_matrix(rows, from_ms, step_ms))
    }
}

impl Wanted {
    /// `` (any), `msg: …` or `regex: …`.
    fn parse(text: &str) -> Result<Wanted, Fault<'_>> {
        if let Some(message) = text.strip_prefix("msg:") {
            return Ok(Wanted::Text(without_position(message.trim()).to_owned()));
        }
        let Some(pattern) = text.strip_prefix("regex:") else {
            let neither = || Fault::new(text, "only `msg:` or `regex:` can follow", "write `msg: the whole text` or `regex: a part of it`");
            return if text.is_empty() { Ok(Wanted::Any) } else { Err(neither()) };
        };
        let pattern = pattern.trim();
        let wrong =
            |_| Fault::new(pattern, "this is no regular expression", "close what is open, and write `\\` before what is meant literally");
        patterns::compiled(without_position(pattern)).map(Wanted::Like).map_err(wrong)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Wanted::None => false,
            Wanted::Any => true,
            Wanted::Text(wanted) => wanted == text,
            Wanted::Like(regex) => regex.is_match(text),
        }
    }
}

/// A message or an expression for one without the line and column at its end, which our annotations do not have.
fn without_position(text: &str) -> &str {
    let position = [" (", r" \("].into_iter().filter_map(|opening| text.rfind(opening)).max();
    let is_position = |tail: &str| tail.ends_with(')') && tail.contains(':');
    position.filter(|start| is_position(&text[*start..])).map_or(text, |start| &text[..start])
}

/// The text of a literal in double quotes or backticks, escapes resolved.
fn unquoted(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`') {
        return raw.strip_suffix('`').map(str::to_owned);
    }
    let mut text = String::new();
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next()? } else { c };
        let mut code = |digits: usize| {
            let number = rest.as_str().get(..digits).and_then(|number| u32::from_str_radix(number, 16).ok())?;
            rest = rest.as_str()[digits..].chars();
            char::from_u32(number)
        };
        text.push(match escaped {
            _ if c != '\\' => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'x' => code(2)?,
            'u' => code(4)?,
            'U' => code(8)?,
            other => other,
        });
    }
    Some(text)
}

/// Whether two sets of rows have the same labels and about the same values, in any order.
pub(super) fn same_rows(wanted: &Rows, got: &Rows) -> bool {
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

pub(super) fn show_rows(rows: &Rows) -> String {
    let show_value = |value: &Option<f64>| value.map_or("_".to_owned(), written);
    let show_row =
        |(labels, values): &(Labels, Vec<Option<f64>>)| format!("{labels} {}", values.iter().map(show_value).collect::<Vec<_>>().join(" "));
    if rows.is_empty() { "nothing".to_owned() } else { rows.iter().map(show_row).collect::<Vec<_>>().join("; ") }
}

/// A value as a script would expect it.
fn show(value: &Value, from_ms: i64, step_ms: i64) -> String {
    match value {
        Value::Scalar(value) => written(*value),
        Value::Text(text) => format!("{text:?}"),
        Value::Vector(samples) => show_rows(&samples.iter().map(|sample| (sample.labels.clone(), vec![Some(sample.value)])).collect()),
        Value::Matrix(rows) => show_matrix(rows, from_ms, step_ms),
    }
}

/// Rows as a script would expect them, a value a step; values between two steps with their times.
fn show_matrix(rows: &[SeriesSamples], from_ms: i64, step_ms: i64) -> String {
    let show_row = |row: &SeriesSamples| {
        let mut shown = vec![row.labels.to_string()];
        let mut next_ms = from_ms;
        for (time_ms, value) in &row.samples {
            let is_on_grid = (time_ms - next_ms) % step_ms == 0 && *time_ms >= next_ms;
            if !is_on_grid {
                shown.push(format!("{} (at {}s)", written(*value), written(*time_ms as f64 / 1_000.0)));
                continue;
            }
            match (time_ms - next_ms) / step_ms {
                0 => {}
                1 => shown.push("_".to_owned()),
                gaps => shown.push(format!("_x{gaps}")),
            }
            shown.push(written(*value));
            next_ms = time_ms + step_ms;
        }
        shown.join(" ")
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_not_compared() {
        let stripped = ["got 1.5 (1:20)", r"got 1\.5 \([0-9]+:[0-9]+\)", "a counter: \"x\"", "fixed (see https://there#here) for .*"];
        assert_eq!(stripped.map(without_position), ["got 1.5", r"got 1\.5", stripped[2], stripped[3]]);
    }

    #[test]
    fn literals_are_unquoted() {
        let literals = [r#""a\"b\n\x41\u00e4""#, r"`a\n`", "\"open"].map(unquoted);
        assert_eq!(literals, [Some("a\"b\nAä".to_owned()), Some(r"a\n".to_owned()), None]);
    }
}
