//! Functions of the samples of one series in a window of time.

use super::sum::{Mean, Sum, quantile};

/// The samples of one series in a window, staleness markers left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'samples> {
    /// Milliseconds since 1970, increasing, within (`end_ms` - `range_ms`, `end_ms`].
    pub times: &'samples [i64],
    pub values: &'samples [f64],
    pub end_ms: i64,
    pub range_ms: i64,
    /// Whether a value may be smaller than the one before it; false promises that none is.
    pub may_fall: bool,
}

/// What a function needs beside the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowContext {
    /// The scalar argument, if the function has one.
    pub parameter: f64,
    /// The time of the evaluation, milliseconds since 1970, which offsets do not move.
    pub at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowFunction {
    Rate,
    Increase,
    Delta,
    InstantRate,
    InstantDelta,
    Average,
    Minimum,
    Maximum,
    Sum,
    Count,
    Quantile,
    Deviation,
    Variance,
    First,
    Last,
    Present,
    Changes,
    Resets,
    Derivative,
    PredictLinear,
}

impl WindowFunction {
    /// Whether the result keeps the metric's name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, WindowFunction::First | WindowFunction::Last)
    }

    /// Its name, if it yields nothing for a window of one sample.
    pub(crate) fn of_two_samples(self) -> Option<&'static str> {
        Some(match self {
            WindowFunction::Rate => "rate",
            WindowFunction::Increase => "increase",
            WindowFunction::InstantRate => "irate",
            WindowFunction::Delta => "delta",
            WindowFunction::InstantDelta => "idelta",
            WindowFunction::Derivative => "deriv",
            WindowFunction::PredictLinear => "predict_linear",
            _ => return None,
        })
    }

    /// The value for a window with at least one sample; `None` drops the series from the result.
    pub(crate) fn of(self, window: Window<'_>, context: WindowContext) -> Option<f64> {
        let Window { times, values, .. } = window;
        match self {
            WindowFunction::Rate => extrapolated(window, true).map(|increase| increase.over(window.range_ms)),
            WindowFunction::Increase => extrapolated(window, true).map(Extrapolated::total),
            WindowFunction::Delta => extrapolated(window, false).map(Extrapolated::total),
            WindowFunction::InstantRate => last_step(window, true),
            WindowFunction::InstantDelta => last_step(window, false),
            WindowFunction::Average => Some(values[1..].iter().fold(Mean::of(values[0]), |mean, value| mean.with(*value)).value()),
            WindowFunction::Minimum => Some(extreme(values, |value, best| value < best)),
            WindowFunction::Maximum => Some(extreme(values, |value, best| value > best)),
            WindowFunction::Sum => Some(values.iter().fold(Sum::default(), |sum, value| sum.plus(*value)).value()),
            WindowFunction::Count => Some(values.len() as f64),
            WindowFunction::Quantile => Some(quantile(context.parameter, &mut values.to_vec())),
            WindowFunction::Deviation => Some(variance(values).sqrt()),
            WindowFunction::Variance => Some(variance(values)),
            WindowFunction::First => values.first().copied(),
            WindowFunction::Last => values.last().copied(),
            WindowFunction::Present => Some(1.0),
            WindowFunction::Changes => Some(count_pairs(values, |before, after| before != after && !(before.is_nan() && after.is_nan()))),
            WindowFunction::Resets if !window.may_fall => Some(0.0),
            WindowFunction::Resets => Some(count_pairs(values, |before, after| after < before)),
            WindowFunction::Derivative => (values.len() >= 2).then(|| regression(window, times[0]).slope),
            WindowFunction::PredictLinear => (values.len() >= 2).then(|| {
                let line = regression(window, context.at_ms);
                line.slope * context.parameter + line.intercept
            }),
        }
    }
}

/// A difference over the sampled part of a window, and the factor that stretches it to the whole.
struct Extrapolated {
    difference: f64,
    factor: f64,
}

impl Extrapolated {
    fn total(self) -> f64 {
        self.difference * self.factor
    }

    /// Per second. The factor is divided first, as Prometheus does, so that the last bits agree.
    fn over(self, range_ms: i64) -> f64 {
        self.difference * (self.factor / (range_ms as f64 / 1_000.0))
    }
}

/// Extrapolates to the borders of the window if the samples come close to them (within 1.1 of their mean distance), else by half that distance;
/// a counter never beyond the point where it would have been zero.
fn extrapolated(window: Window<'_>, is_counter: bool) -> Option<Extrapolated> {
    let Window { times, values, end_ms, range_ms, may_fall } = window;
    if values.len() < 2 {
        return None;
    }
    let last = values.len() - 1;
    let mut difference = values[last] - values[0];
    // Resets are rare, and whether there is one is told faster than how much they lost.
    if is_counter && may_fall && values.iter().zip(&values[1..]).fold(false, |any, (before, after)| any | (after < before)) {
        for pair in values.windows(2) {
            if pair[1] < pair[0] {
                difference += pair[0];
            }
        }
    }
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1_000.0;
    let sampled = seconds(times[0], times[last]);
    let between = sampled / last as f64;
    let threshold = between * 1.1;
    let mut to_start = seconds(end_ms - range_ms, times[0]);
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if is_counter && difference > 0.0 && values[0] >= 0.0 {
        let to_zero = sampled * (values[0] / difference);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let mut to_end = seconds(times[last], end_ms);
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    Some(Extrapolated { difference, factor: (sampled + to_start + to_end) / sampled })
}

fn last_step(window: Window<'_>, is_rate: bool) -> Option<f64> {
    let Window { times, values, .. } = window;
    let last = values.len().checked_sub(1).filter(|last| *last >= 1)?;
    let (before, after) = (values[last - 1], values[last]);
    if !is_rate {
        return Some(after - before);
    }
    // After a reset the counter counts from zero.
    let difference = if after < before { after } else { after - before };
    Some(difference / ((times[last] - times[last - 1]) as f64 / 1_000.0))
}

/// The first value that no other beats; NaN only if there is nothing else.
fn extreme(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    values.iter().copied().fold(values[0], |best, value| if beats(value, best) || best.is_nan() { value } else { best })
}

/// The population variance (Welford 1962), compensated.
fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    for (index, value) in values.iter().enumerate() {
        let delta = value - mean.value();
        mean = mean.plus(delta / (index + 1) as f64);
        squares = squares.plus(delta * (value - mean.value()));
    }
    squares.value() / values.len() as f64
}

fn count_pairs(values: &[f64], counts: impl Fn(f64, f64) -> bool) -> f64 {
    values.windows(2).filter(|pair| counts(pair[0], pair[1])).count() as f64
}

struct Line {
    /// Per second.
    slope: f64,
    /// The value at the time that was asked for.
    intercept: f64,
}

/// The line of least squares.
fn regression(window: Window<'_>, intercept_ms: i64) -> Line {
    let Window { times, values, .. } = window;
    if values.iter().all(|value| *value == values[0]) {
        let intercept = if values[0].is_infinite() { f64::NAN } else { values[0] };
        return Line { slope: if intercept.is_nan() { f64::NAN } else { 0.0 }, intercept };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for (time, y) in times.iter().zip(values) {
        let x = (time - intercept_ms) as f64 / 1_000.0;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(*y);
        xy_sum = xy_sum.plus(x * y);
        xx_sum = xx_sum.plus(x * x);
    }
    let n = values.len() as f64;
    let (x, y) = (x_sum.value(), y_sum.value());
    let slope = (xy_sum.value() - x * y / n) / (xx_sum.value() - x * x / n);
    Line { slope, intercept: y / n - slope * x / n }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples every 10 s that end at 60 s, looked at from 60 s back over a minute.
    #[track_caller]
    fn check(function: WindowFunction, values: &[f64], expected: Option<f64>) {
        let times: Vec<i64> = (0..values.len() as i64).map(|index| 60_000 - (values.len() as i64 - 1 - index) * 10_000).collect();
        let window = Window { times: &times, values, end_ms: 60_000, range_ms: 60_000, may_fall: true };
        let found = function.of(window, WindowContext { parameter: 60.0, at_ms: 60_000 });
        let close = |found: f64, expected: f64| found == expected || (found - expected).abs() < 1e-9 || found.is_nan() && expected.is_nan();
        assert!(found.is_some() == expected.is_some(), "{found:?} instead of {expected:?}");
        assert!(found.zip(expected).is_none_or(|(found, expected)| close(found, expected)), "{found:?} instead of {expected:?}");
    }

    #[test]
    fn rates_extrapolate_to_borders_that_are_near() {
        check(WindowFunction::Rate, &[100.0], None);
        check(WindowFunction::Rate, &[100.0, 110.0, 120.0, 130.0, 140.0, 150.0], Some(1.0));
        check(WindowFunction::Increase, &[100.0, 110.0, 120.0, 130.0, 140.0, 150.0], Some(60.0));
        // far from the older border: half a distance further
        check(WindowFunction::Increase, &[100.0, 110.0, 120.0], Some(25.0));
        // a counter that would have been zero 2 s earlier
        check(WindowFunction::Increase, &[2.0, 12.0, 22.0], Some(22.0));
        check(WindowFunction::Delta, &[2.0, 12.0, 22.0], Some(25.0));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        check(WindowFunction::Increase, &[100.0, 110.0, 5.0, 15.0, 25.0, 35.0], Some(45.0 * 1.2));
        check(WindowFunction::Resets, &[1.0, 0.0, 1.0, 0.5], Some(2.0));
        check(WindowFunction::InstantRate, &[100.0, 5.0], Some(0.5));
        check(WindowFunction::InstantDelta, &[100.0, 5.0], Some(-95.0));
    }

    #[test]
    fn extremes_ignore_nan_unless_there_is_nothing_else() {
        check(WindowFunction::Maximum, &[f64::NAN, 1.0, 3.0, 2.0], Some(3.0));
        check(WindowFunction::Minimum, &[f64::NAN, 1.0, f64::NAN], Some(1.0));
        check(WindowFunction::Maximum, &[f64::NAN], Some(f64::NAN));
        check(WindowFunction::Changes, &[1.0, 1.0, f64::NAN, f64::NAN, 2.0], Some(2.0));
    }

    #[test]
    fn lines_are_fitted_and_extended() {
        check(WindowFunction::Derivative, &[0.0, 10.0, 20.0], Some(1.0));
        check(WindowFunction::PredictLinear, &[0.0, 10.0, 20.0], Some(80.0));
        check(WindowFunction::Derivative, &[7.0, 7.0], Some(0.0));
        check(WindowFunction::Derivative, &[7.0], None);
        check(WindowFunction::Variance, &[1.0, 3.0], Some(1.0));
    }
}
