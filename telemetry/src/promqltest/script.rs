//! The words of a script: commands, times and sequences of points.

use crate::store::STALE;

#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub from_ms: i64,
    pub to_ms: i64,
    /// `None` for an instant evaluation.
    pub step_ms: Option<i64>,
}

pub(super) struct Command {
    pub expression: String,
    pub moments: Moments,
    /// What the command itself expects, as `fail` in `eval_fail`.
    pub expects: Option<String>,
}

impl Command {
    /// `eval[_fail|_warn|_ordered|_info] instant [at T] EXPR` or `eval… range from A to B step S EXPR`.
    pub(super) fn parse(line: &str) -> Result<Command, String> {
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
        let expects = word.split_once('_').map(|(_, expects)| expects.to_ascii_lowercase());
        Ok(Command { expression: rest.trim().to_owned(), moments, expects })
    }
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

/// At most so many points in a sequence: two years at a sample every 30 s.
const MOST_POINTS: usize = 2_102_400;

/// At most so long from the epoch, milliseconds: 100,000 years, so that sums of durations stay within 64 bits.
const LONGEST_MS: i64 = 100_000 * 31_536_000_000;

/// A sequence of points: `1`, `_`, `_x3`, `stale`, `1x3` (four ones), `1+2x3` (1 3 5 7), `{{…}}` for a native histogram.
///
/// # Errors
/// The text is something else, and the message names the part that is no point; or there are more than two million points.
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
    if points.len().saturating_add(times.unwrap_or(0)) > MOST_POINTS {
        return Err(format!("`{token}` makes it more than {MOST_POINTS} values"));
    }
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
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return within((seconds * 1_000.0).round() as i64, text);
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
        let count: i64 = rest[..digits].parse().map_err(|_| too_long(text))?;
        total_ms = within(count.saturating_mul(unit_ms), text)? + within(total_ms, text)?;
        rest = &rest[unit_end..];
    }
    within(sign * total_ms, text)
}

fn within(time_ms: i64, text: &str) -> Result<i64, String> {
    if (-LONGEST_MS..=LONGEST_MS).contains(&time_ms) { Ok(time_ms) } else { Err(too_long(text)) }
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than 100,000 years")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::written;
    use crate::store::is_stale;

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
        check_values("1 1x99999999999", "`1x99999999999` makes it more than 2102400 values");
        check_values("_x99999999999", "`_x99999999999` makes it more than 2102400 values");
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("-1m"), Ok(-60_000));
        for long in ["99999999999999999999s", "999999999y", "1e300", "-1e300", "100000y1s"] {
            assert_eq!(duration_ms(long), Err(format!("`{long}` is longer than 100,000 years")));
        }
    }
}
