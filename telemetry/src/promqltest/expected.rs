//! What a script expects of an evaluation, and whether a result is that.

use regex::Regex;

use super::script::{Moments, Point, duration_ms, values};
use super::{MINUTE_MS, Outcome, TOLERANCE};
use crate::labels::Labels;
use crate::notation::parse_leading_series;
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

impl Expected {
    /// Reads the lines under a command; `command` is what the command itself expects, as `fail` in `eval_fail`.
    pub(super) fn parse(body: &[&str], command: Option<&str>) -> Result<Expected, String> {
        let mut expected = Expected {
            fails: false,
            ordered: false,
            native: false,
            text: None,
            scalar: None,
            rows: None,
            series: Vec::new(),
            annotations: Vec::new(),
            written: body.join("; "),
        };
        if let Some(expectation) = command {
            expected.expectation(expectation)?;
        }
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
        let unknown = || format!("`expect {text}` is no expectation");
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word {
            "fail" => self.fails = true,
            "ordered" => self.ordered = true,
            "string" => self.text = Some(unquoted(rest).ok_or_else(unknown)?),
            "range" => match rest.split_whitespace().collect::<Vec<_>>()[..] {
                ["vector", "from", from, "to", _, "step", step] => self.rows = Some((duration_ms(from)?, duration_ms(step)?)),
                _ => return Err(unknown()),
            },
            "warn" | "info" | "no_warn" | "no_info" => {
                let level = if word.ends_with("warn") { Level::Warning } else { Level::Info };
                let wanted = if word.starts_with("no_") { Wanted::None } else { Wanted::parse(rest)? };
                self.annotations.push(ExpectedAnnotation { level, wanted });
            }
            _ => return Err(unknown()),
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
            Ok(value) if self.fails => self.failed(format!("{value:?}")),
            Ok(Value::Scalar(value)) => self.outcome(self.scalar.is_some_and(|wanted| close(wanted, *value)), || written(*value)),
            Ok(Value::Text(text)) => self.outcome(self.text.as_ref() == Some(text), || text.clone()),
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
            Ok(value) if self.fails => self.failed(format!("{value:?}")),
            Ok(Value::Matrix(rows)) => self.compare_matrix(rows, moments.from_ms, moments.step_ms.unwrap_or(MINUTE_MS)),
            Ok(other) => self.failed(format!("{other:?}")),
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
        let shown = format!("{rows:?}");
        let got: Rows = rows.iter().map(|row| (row.labels.clone(), spread(&row.samples, &mut off_grid))).collect();
        self.outcome(!off_grid && same_rows(&wanted, &got), || shown)
    }
}

impl Wanted {
    /// `` (any), `msg: …` or `regex: …`.
    fn parse(text: &str) -> Result<Wanted, String> {
        if let Some(message) = text.strip_prefix("msg:") {
            return Ok(Wanted::Text(without_position(message.trim()).to_owned()));
        }
        let Some(pattern) = text.strip_prefix("regex:") else {
            return if text.is_empty() { Ok(Wanted::Any) } else { Err(format!("`{text}` is neither `msg:` nor `regex:`")) };
        };
        Regex::new(without_position(pattern.trim())).map(Wanted::Like).map_err(|error| error.to_string())
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
