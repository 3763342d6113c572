//! How quantities of a scenario are written: distributions, growth a second, words that stand for "none".

use firedrill_core::distribution::{Distribution, DistributionError};
use firedrill_core::problem::Located;
use firedrill_core::quantity::Bytes;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};

use crate::problem;

/// Reads a key that may be missing; `None` if it is missing or wrong.
pub fn optional<T>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Reader, &Node) -> Option<T>,
) -> Option<Located<T>> {
    let node = fields.optional(key)?;
    Some(Located { place: node.place.clone(), value: read(reader, node)? })
}

/// Reads a key that must be there; `None` if it is missing or wrong, which is recorded.
pub fn required<T>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Reader, &Node) -> Option<T>,
) -> Option<Located<T>> {
    let node = fields.required(reader, key)?;
    Some(Located { place: node.place.clone(), value: read(reader, node)? })
}

/// A value, or the word that says there is none: `unbounded`, `none`.
pub fn unless<T>(reader: &mut Reader, node: &Node, word: &str, read: impl FnOnce(&mut Reader, &Node) -> Option<T>) -> Option<Option<T>> {
    match &node.value {
        Value::Text(text) if &**text == word => Some(None),
        _ => read(reader, node).map(Some),
    }
}

/// The longest duration that a scenario may speak of.
#[must_use]
pub const fn longest() -> Span {
    Span::from_seconds(problem::LONGEST_DAYS * 86_400)
}

/// A duration above zero and not absurdly long.
pub fn positive_span(reader: &mut Reader, node: &Node, what: &str) -> Option<Span> {
    let span = bounded_span(reader, node, what)?;
    if span == Span::ZERO {
        reader.problem(problem::must_be_positive(&node.place, what));
        return None;
    }
    Some(span)
}

/// How far apart is what comes round by itself, whether anybody asks or not: at least a millisecond, or a run would do little else.
pub fn interval(reader: &mut Reader, node: &Node, what: &str) -> Option<Span> {
    span_from(reader, node, what, problem::SHORTEST_INTERVAL_MS)
}

/// A duration of at least so many milliseconds that is not absurdly long.
pub fn span_from(reader: &mut Reader, node: &Node, what: &str, least_ms: u64) -> Option<Span> {
    let span = positive_span(reader, node, what)?;
    let least = Span::from_millis(least_ms);
    if span < least {
        reader.problem(problem::too_often(&node.place, what, &span.to_string(), &least.to_string()));
        return None;
    }
    Some(span)
}

/// A duration that may be zero and is not absurdly long.
pub fn bounded_span(reader: &mut Reader, node: &Node, what: &str) -> Option<Span> {
    let span = reader.span(node, what)?;
    if span > longest() {
        reader.problem(problem::too_much(&node.place, what, &span.to_string(), &longest().to_string()));
        return None;
    }
    Some(span)
}

/// Growth of memory, such as `1MiB/s`; gives bytes a second.
pub fn growth(reader: &mut Reader, node: &Node, what: &str) -> Option<Bytes> {
    let text = reader.text(node, what)?;
    let Some(amount) = text.trim().strip_suffix("/s") else {
        reader.problem(problem::distribution(&node.place, format!("{what}: `{text}` is not a growth a second"), "write it as `1MiB/s`"));
        return None;
    };
    match Bytes::parse(amount) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            reader.problem(problem::distribution(&node.place, format!("{what}: {error}"), "write it as `1MiB/s`"));
            None
        }
    }
}

const SHAPES: [&str; 7] = ["exponential", "lognormal", "gamma", "uniform", "log_uniform", "pareto", "quantiles"];

/// A distribution of durations: `100ms`, `{ exponential: 100ms }`, `{ lognormal: { mean: 20ms, cv: 1 } }`, …
pub fn distribution(reader: &mut Reader, node: &Node, what: &str) -> Option<Distribution> {
    if !matches!(node.value, Value::Map(_)) {
        let span = bounded_span(reader, node, what)?;
        return sound(reader, node, what, Distribution::constant(span.as_seconds()));
    }
    let (shape, parameters) = reader.tagged(node, "a distribution", &SHAPES)?;
    let Some(parameters) = parameters else {
        reader.problem(problem::distribution(
            &shape.place,
            format!("`{}` has no parameters", shape.text),
            "write such as `{ exponential: 100ms }`",
        ));
        return None;
    };
    match &*shape.text {
        "exponential" => {
            let mean = positive_span(reader, parameters, &format!("the mean of {what}"))?;
            sound(reader, parameters, what, Distribution::exponential(mean.as_seconds()))
        }
        "lognormal" => mean_and_cv(reader, parameters, what, Distribution::lognormal),
        "gamma" => mean_and_cv(reader, parameters, what, Distribution::gamma),
        "uniform" => between(reader, parameters, what, "uniform", Distribution::uniform),
        "log_uniform" => between(reader, parameters, what, "log-uniform", Distribution::log_uniform),
        "pareto" => pareto(reader, parameters, what),
        _ => quantiles(reader, parameters, what),
    }
}

/// A distribution, or the problem that its parameters are.
fn sound(reader: &mut Reader, node: &Node, what: &str, made: Result<Distribution, DistributionError>) -> Option<Distribution> {
    match made {
        Ok(distribution) if distribution.mean() <= longest().as_seconds() => Some(distribution),
        Ok(distribution) => {
            let mean = Span::from_seconds_f64(distribution.mean());
            reader.problem(problem::too_much(&node.place, &format!("the mean of {what}"), &mean.to_string(), &longest().to_string()));
            None
        }
        Err(error) => {
            reader.problem(problem::distribution(&node.place, format!("{what}: {error}"), "write a distribution that exists"));
            None
        }
    }
}

/// `{ mean: 20ms, cv: 1 }`; `cv` is the standard deviation divided by the mean.
fn mean_and_cv(
    reader: &mut Reader,
    node: &Node,
    what: &str,
    make: fn(f64, f64) -> Result<Distribution, DistributionError>,
) -> Option<Distribution> {
    let mut fields = reader.fields(node, "a distribution by mean and cv")?;
    let mean = required(reader, &mut fields, "mean", |r, n| positive_span(r, n, &format!("the mean of {what}")));
    let cv = required(reader, &mut fields, "cv", |r, n| r.number(n, "cv, the standard deviation divided by the mean"));
    fields.finish(reader);
    let (mean, cv) = (mean?, cv?);
    // The cause is the only parameter that is left to be wrong.
    let place = Node { place: cv.place, value: Value::Null };
    sound(reader, &place, what, make(mean.value.as_seconds(), cv.value))
}

/// `[10ms, 30ms]`.
fn between(
    reader: &mut Reader,
    node: &Node,
    what: &str,
    shape: &str,
    make: fn(f64, f64) -> Result<Distribution, DistributionError>,
) -> Option<Distribution> {
    let ends = reader.list(node, &format!("the two ends of a {shape} distribution"))?;
    let [low, high] = ends else {
        reader.problem(problem::distribution(&node.place, format!("a {shape} distribution has two ends"), "write `[10ms, 30ms]`"));
        return None;
    };
    let low = bounded_span(reader, low, &format!("the lower end of {what}"));
    let high = bounded_span(reader, high, &format!("the upper end of {what}"));
    let (low, high) = (low?, high?);
    if high < low {
        let fault = format!("a {shape} distribution from {low} down to {high}");
        reader.problem(problem::distribution(&node.place, fault, "put the smaller end first"));
        return None;
    }
    sound(reader, node, what, make(low.as_seconds(), high.as_seconds()))
}

/// `{ min: 5ms, alpha: 2.2 }`.
fn pareto(reader: &mut Reader, node: &Node, what: &str) -> Option<Distribution> {
    let mut fields = reader.fields(node, "a Pareto distribution")?;
    let min = required(reader, &mut fields, "min", |r, n| positive_span(r, n, &format!("the least of {what}")));
    let alpha = required(reader, &mut fields, "alpha", |r, n| r.number(n, "alpha"));
    fields.finish(reader);
    let (min, alpha) = (min?, alpha?);
    if alpha.value <= 1.0 {
        let fault = format!("a Pareto distribution with alpha {} has no mean", alpha.value);
        reader.problem(problem::distribution(&alpha.place, fault, "write an alpha above 1; above 2 the variance exists too"));
        return None;
    }
    sound(reader, node, what, Distribution::pareto(min.value.as_seconds(), alpha.value))
}

/// `[[0%, 1ms], [50%, 5ms], [100%, 80ms]]`.
fn quantiles(reader: &mut Reader, node: &Node, what: &str) -> Option<Distribution> {
    let rows = reader.list(node, "a table of quantiles")?;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut whole = true;
    for row in rows {
        let cells = reader.list(row, "a quantile, such as `[50%, 5ms]`")?;
        let [share, value] = cells else {
            reader.problem(problem::distribution(&row.place, "a quantile is a share and a duration", "write `[50%, 5ms]`"));
            return None;
        };
        let share = reader.ratio(share, "the share of a quantile");
        let value = bounded_span(reader, value, "the value of a quantile");
        let Some((share, value)) = share.zip(value) else {
            whole = false;
            continue;
        };
        let point = (share.get(), value.as_seconds());
        if points.last().is_some_and(|last| last.0 >= point.0 || last.1 > point.1) {
            let fault = format!("the quantile {share} at {value} does not follow the one before it");
            reader.problem(problem::distribution(&row.place, fault, "let shares rise, and values not fall"));
            return None;
        }
        points.push(point);
    }
    let ends = (points.first().map(|point| point.0), points.last().map(|point| point.0));
    if whole && (points.len() < 2 || ends != (Some(0.0), Some(1.0))) {
        let fault = "a table of quantiles does not reach from 0% to 100%";
        reader.problem(problem::distribution(
            &node.place,
            fault,
            "begin with the least, `[0%, 1ms]`, and end with the most, `[100%, 80ms]`",
        ));
        return None;
    }
    whole.then(|| sound(reader, node, what, Distribution::empirical(points)))?
}

#[cfg(test)]
mod tests {
    use firedrill_core::yaml;

    use super::*;

    #[track_caller]
    fn check(text: &str, mean_seconds: f64) {
        let node = yaml::parse("x.yaml", text).unwrap();
        let mut reader = Reader::new();
        let distribution = distribution(&mut reader, &node, "the time");
        assert_eq!(reader.finish().map_err(|problems| format!("{problems:?}")), Ok(()));
        let mean = distribution.unwrap().mean();
        assert!((mean - mean_seconds).abs() < 1e-9, "{text}: mean {mean}");
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let node = yaml::parse("x.yaml", text).unwrap();
        let mut reader = Reader::new();
        assert!(distribution(&mut reader, &node, "the time").is_none());
        let problems = reader.finish().unwrap_err();
        let got: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
        assert_eq!(got, [expected]);
    }

    #[test]
    fn every_shape_has_a_notation() {
        check("100ms", 0.1);
        check("0s", 0.0);
        check("{ exponential: 100ms }", 0.1);
        check("{ lognormal: { mean: 20ms, cv: 1 } }", 0.02);
        check("{ gamma: { mean: 20ms, cv: 0.5 } }", 0.02);
        check("{ uniform: [10ms, 30ms] }", 0.02);
        check("{ log_uniform: [1s, 1s] }", 1.0);
        check("{ pareto: { min: 5ms, alpha: 2 } }", 0.01);
        check("{ quantiles: [[0%, 1ms], [50%, 3ms], [100%, 5ms]] }", 0.003);
    }

    #[test]
    fn what_is_no_distribution_is_refused_by_name() {
        check_refused("100", "the time: `100` has no unit: write `100s`, or another of ns us ms s m h d w");
        check_refused("{ exponential: 0s }", "the mean of the time is zero");
        check_refused("{ exponential: -1s }", "the mean of the time: `-1s` is negative: a duration is zero or more");
        check_refused("{ uniform: [30ms, 10ms] }", "a uniform distribution from 30ms down to 10ms");
        check_refused("{ pareto: { min: 5ms, alpha: 1 } }", "a Pareto distribution with alpha 1 has no mean");
        check_refused("{ lognormal: { mean: 5ms, cv: -1 } }", "the time: the coefficient of variation is -1: it must be from 0 to 1000");
        check_refused("{ quantiles: [[0%, 1ms], [50%, 5ms]] }", "a table of quantiles does not reach from 0% to 100%");
        check_refused("{ quantiles: [[0%, 9ms], [100%, 5ms]] }", "the quantile 100% at 5ms does not follow the one before it");
        check_refused("{ normal: 5ms }", "`normal` is not a distribution");
        check_refused("400d", "the time is 400d, and at most 30d can be simulated");
    }
}
