//! The words of a script: commands, times and sequences of points.

use firedrill_core::problem::near_miss;

use super::fault::Fault;
use crate::promql::Mistake;
use crate::store::STALE;

/// How an instant evaluation is written.
pub(super) const INSTANT: &str = "write `eval instant at 5m EXPRESSION`";

/// How an evaluation over a range is written.
pub(super) const RANGE: &str = "write `eval range from 0 to 10m step 1m EXPRESSION`";

/// How a time is written.
const TIME: &str = "write `30s`, `5m`, `1h30m`, or a number of seconds";

#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub from_ms: i64,
    pub to_ms: i64,
    /// `None` for an instant evaluation.
    pub step_ms: Option<i64>,
}

/// The line of an evaluation.
pub(super) struct Command<'t> {
    pub expression: &'t str,
    pub moments: Moments,
    /// What the command itself expects, as `fail` in `eval_fail`.
    pub expects: Option<String>,
    /// An instant evaluation says when.
    pub has_time: bool,
}

impl<'t> Command<'t> {
    /// `eval[_fail|_warn|_ordered|_info] instant [at T] EXPR` or `eval… range from A to B step S EXPR`.
    pub(super) fn parse(line: &'t str) -> Result<Self, Fault<'t>> {
        let (word, rest) = first_word(line);
        let expects = word.split_once('_').map(|(_, expects)| expects.to_ascii_lowercase());
        let (kind, rest) = first_word(rest);
        let mut words = Words { rest };
        let moments = match kind {
            "instant" => {
                let at_ms = words.moment("at")?;
                Moments { from_ms: at_ms.unwrap_or(0), to_ms: at_ms.unwrap_or(0), step_ms: None }
            }
            "range" => words.range()?,
            "" => return Err(Fault::after(line, "what is to be evaluated is missing behind this", INSTANT)),
            other => {
                let remedy = match near_miss(other, &["instant", "range"]) {
                    Some("range") => RANGE,
                    _ => INSTANT,
                };
                return Err(Fault::new(other, format!("an evaluation is `instant` or `range`, not `{other}`"), remedy));
            }
        };
        let expression = words.rest.trim();
        if expression.is_empty() {
            let remedy = if moments.step_ms.is_some() { RANGE } else { INSTANT };
            return Err(Fault::after(line, "the expression is missing behind this", remedy));
        }
        let has_time = kind != "instant" || !std::ptr::eq(words.rest, rest);
        if moments.step_ms.is_some() && expects.as_deref() == Some("ordered") {
            return Err(Fault::new(word, ORDERED_RANGE, "write `eval`, or evaluate one instant"));
        }
        Ok(Command { expression, moments, expects, has_time })
    }

    /// Whether the expression begins with a time that misses its `at`.
    pub(super) fn forgotten_at(&self) -> Option<Fault<'t>> {
        let (time, rest) = first_word(self.expression);
        (!self.has_time && !rest.is_empty() && duration_ms(time).is_ok())
            .then(|| Fault::new(time, "`at` is missing before the time", format!("write `eval instant at {time} {rest}`")))
    }
}

/// Why nothing in a range can be ordered.
pub(super) const ORDERED_RANGE: &str = "the series of a range have no order";

/// What is left of a line.
struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    /// A keyword and the time behind it, if the keyword stands here.
    fn moment(&mut self, keyword: &str) -> Result<Option<i64>, Fault<'t>> {
        let (found, rest) = first_word(self.rest);
        if found != keyword {
            return Ok(None);
        }
        let (time, rest) = first_word(rest);
        if time.is_empty() {
            return Err(Fault::new(found, format!("the time behind `{keyword}` is missing"), TIME));
        }
        self.rest = rest;
        duration_ms(time).map(Some)
    }

    fn range(&mut self) -> Result<Moments, Fault<'t>> {
        let whole = self.rest;
        let mut required = |keyword: &str| {
            let moment = self.moment(keyword)?;
            moment.ok_or_else(|| Fault::new(first_word(self.rest).0, format!("`{keyword}` should stand here"), RANGE))
        };
        let (from_ms, to_ms, step_ms) = (required("from")?, required("to")?, required("step")?);
        let times = whole[..whole.len() - self.rest.len()].trim_end();
        if to_ms < from_ms {
            return Err(Fault::new(times, "this range ends before it begins", "swap `from` and `to`"));
        }
        if step_ms <= 0 {
            return Err(Fault::new(
                times,
                "the steps of this range lead nowhere",
                "write a step that is longer than nothing, as `step 1m`",
            ));
        }
        Ok(Moments { from_ms, to_ms, step_ms: Some(step_ms) })
    }
}

/// The first word of a text and the rest, without the blanks between; both empty if there is none.
pub(super) fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (word, rest.trim_start())
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
/// The text is something else, and the mistake names the part that is no value; or there are more than two million.
pub fn values(sequence: &str) -> Result<Vec<Point>, Mistake> {
    points(sequence).map_err(|fault| fault.mistake(sequence))
}

pub(super) fn points(sequence: &str) -> Result<Vec<Point>, Fault<'_>> {
    let mut points = Vec::new();
    let mut rest = sequence.trim();
    while !rest.is_empty() {
        let end = if rest.starts_with("{{") {
            let open = || Fault::new(rest, "this native histogram is never closed", "close it with `}}`");
            let close = rest.rfind("}}").ok_or_else(open)? + 2;
            close + rest[close..].find(char::is_whitespace).unwrap_or(rest.len() - close)
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        token(&rest[..end], &mut points)?;
        rest = rest[end..].trim_start();
    }
    Ok(points)
}

fn token<'t>(token: &'t str, points: &mut Vec<Point>) -> Result<(), Fault<'t>> {
    if token.starts_with("{{") {
        points.push(Point::Native);
        return Ok(());
    }
    let Repeated { value, times } = Repeated::parse(token).ok_or_else(|| no_value(token))?;
    if points.len().saturating_add(times.unwrap_or(0)) > MOST_POINTS {
        let message = format!("`{token}` makes it more than {MOST_POINTS} values");
        return Err(Fault::new(token, message, "write fewer, further apart"));
    }
    let Some((first, step)) = value else {
        points.extend(std::iter::repeat_n(Point::Gap, times.unwrap_or(1)));
        return Ok(());
    };
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        points.push(Point::Float(value));
        // Without a step the value stays what it is, the marker and NaN with all their bits.
        value = if step == 0.0 { value } else { value + step };
    }
    Ok(())
}

/// A value or a gap, and how often it is repeated.
struct Repeated {
    /// The first value and what is added each time; `None` for a gap.
    value: Option<(f64, f64)>,
    times: Option<usize>,
}

impl Repeated {
    fn parse(token: &str) -> Option<Self> {
        let repeated = token.rsplit_once('x').and_then(|(start, times)| Some((start, times.parse().ok()?)));
        let (start, times) = repeated.map_or((token, None), |(start, times)| (start, Some(times)));
        let value = match start {
            "_" => None,
            "stale" => Some((STALE, 0.0)),
            number => Some(first_and_step(number)?),
        };
        Some(Self { value, times })
    }
}

/// What is no value, and what was likely meant: what reads once the slip is put right.
fn no_value(token: &str) -> Fault<'_> {
    let slips = [("xx", "x"), ("X", "x"), ("*", "x"), (",", " "), (";", " "), ("++", "+"), ("--", "-"), ("+-", "-")];
    let are_values = |text: &str| text.split_whitespace().all(|token| Repeated::parse(token).is_some());
    let mended = slips.iter().map(|(slip, right)| token.replace(slip, right));
    let meant = mended.map(|text| text.trim().to_owned()).find(|text| text != token && !text.is_empty() && are_values(text));
    let is_nothing = ["null", "nil", "none", "-", "na", "n/a"].contains(&token.to_ascii_lowercase().as_str());
    let is_open = token.ends_with('x') && Repeated::parse(&format!("{token}5")).is_some();
    let remedy = match (meant, near_miss(token, &["stale", "NaN", "Inf"])) {
        _ if is_open => format!("say how many more follow, as in `{token}5`"),
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, _) if is_nothing => "write `_` where there is no sample".to_owned(),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => "write `1 2 3`, `0+10x5` (0 10 20 30 40 50), `1x4` (five times 1), `_` for a gap, `stale` for an end".to_owned(),
    };
    Fault::new(token, format!("`{token}` is no value"), remedy)
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
pub(super) fn duration_ms(text: &str) -> Result<i64, Fault<'_>> {
    let time_ms = saturated_ms(text).ok_or_else(|| no_duration(text))?;
    if (-LONGEST_MS..=LONGEST_MS).contains(&time_ms) {
        return Ok(time_ms);
    }
    Err(Fault::new(text, format!("`{text}` is longer than 100,000 years"), TIME))
}

/// As [`duration_ms`], without a bound; `None` for what is no duration.
fn saturated_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some((seconds * 1_000.0).round() as i64);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest.is_empty() {
        return None;
    }
    let mut total_ms = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit_ms: i64 = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        let count: i64 = rest[..digits].parse().unwrap_or(i64::MAX);
        total_ms = total_ms.saturating_add(count.saturating_mul(unit_ms));
        rest = &rest[unit_end..];
    }
    Some(sign * total_ms)
}

fn no_duration(text: &str) -> Fault<'_> {
    let words = [
        ("hours", "h"),
        ("hour", "h"),
        ("hrs", "h"),
        ("mins", "m"),
        ("min", "m"),
        ("secs", "s"),
        ("sec", "s"),
        ("days", "d"),
        ("day", "d"),
    ];
    let mended = words
        .iter()
        .map(|(word, unit)| text.to_ascii_lowercase().replace(word, unit))
        .find(|mended| mended != text && saturated_ms(mended).is_some());
    let remedy = mended.map_or_else(|| TIME.to_owned(), |mended| format!("did you mean `{mended}`?"));
    Fault::new(text, format!("`{text}` is no duration"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::written;
    use crate::store::is_stale;

    #[track_caller]
    fn check_values(sequence: &str, expected: &str) {
        let shown = values(sequence).map_or_else(
            |mistake| mistake.message,
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
        check_values("1 what", "`what` is no value");
        check_values("1 1x99999999999", "`1x99999999999` makes it more than 2102400 values");
        check_values("_x99999999999", "`_x99999999999` makes it more than 2102400 values");
    }

    #[test]
    fn what_is_no_value_is_answered_with_what_was_meant() {
        let remedy = |text: &'static str| values(text).unwrap_err().remedy.unwrap();
        let meant = ["1 1+1xx5", "0+10*5", "1,2,3", "1X4", "0+10x", "null", "Stale"].map(remedy);
        let did = ["1+1x5", "0+10x5", "1 2 3", "1x4"].map(|text| format!("did you mean `{text}`?"));
        assert_eq!(meant[..4], did);
        let said = ["say how many more follow, as in `0+10x5`", "write `_` where there is no sample", "did you mean `stale`?"];
        assert_eq!(meant[4..], said);
        assert_eq!(values("1 what").unwrap_err().at, 2..6);
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("-1m"), Ok(-60_000));
        let remedy = |text: &'static str| duration_ms(text).unwrap_err().remedy;
        assert_eq!(["5min", "2H", "5q"].map(remedy), ["did you mean `5m`?", "did you mean `2h`?", TIME]);
        for long in ["99999999999999999999s", "999999999y", "1e300", "-1e300", "100000y1s"] {
            assert_eq!(duration_ms(long).unwrap_err().message, format!("`{long}` is longer than 100,000 years"));
        }
    }
}
