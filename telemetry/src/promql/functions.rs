//! The functions by name, and the arithmetic behind the one-number ones.

use super::calendar::DatePart;
use super::plan::Function;
use super::window::WindowFunction;

/// The function of a name; `None` for those that cannot be evaluated yet and for `label_replace` and `label_join`, which take texts.
pub(crate) fn named(name: &str) -> Option<Function> {
    let function = match name {
        "time" => Function::Time,
        "pi" => Function::Pi,
        "vector" => Function::Vector,
        "scalar" => Function::Scalar,
        "round" => Function::Round,
        "clamp" => Function::Clamp,
        "clamp_min" => Function::ClampMin,
        "clamp_max" => Function::ClampMax,
        "timestamp" => Function::Timestamp,
        "sort" => Function::Sort { descending: false },
        "sort_desc" => Function::Sort { descending: true },
        "absent" => Function::Absent,
        "absent_over_time" => Function::AbsentOverTime,
        "histogram_quantile" => Function::HistogramQuantile,
        "histogram_fraction" => Function::HistogramFraction,
        _ => {
            return one_number(name)
                .map(Function::Map)
                .or_else(|| date(name).map(Function::Date))
                .or_else(|| window(name).map(Function::Window));
        }
    };
    Some(function)
}

fn one_number(name: &str) -> Option<fn(f64) -> f64> {
    let function: fn(f64) -> f64 = match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "sqrt" => f64::sqrt,
        "exp" => libm::exp,
        "ln" => libm::log,
        "log2" => libm::log2,
        "log10" => libm::log10,
        "sin" => libm::sin,
        "cos" => libm::cos,
        "tan" => libm::tan,
        "asin" => libm::asin,
        "acos" => libm::acos,
        "atan" => libm::atan,
        "sinh" => libm::sinh,
        "cosh" => libm::cosh,
        "tanh" => libm::tanh,
        "asinh" => libm::asinh,
        "acosh" => acosh,
        "atanh" => libm::atanh,
        "deg" => |radians| radians * 180.0 / std::f64::consts::PI,
        "rad" => |degrees| degrees * std::f64::consts::PI / 180.0,
        "sgn" => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        _ => return None,
    };
    Some(function)
}

fn date(name: &str) -> Option<DatePart> {
    let part = match name {
        "minute" => DatePart::Minute,
        "hour" => DatePart::Hour,
        "day_of_week" => DatePart::DayOfWeek,
        "day_of_month" => DatePart::DayOfMonth,
        "day_of_year" => DatePart::DayOfYear,
        "days_in_month" => DatePart::DaysInMonth,
        "month" => DatePart::Month,
        "year" => DatePart::Year,
        _ => return None,
    };
    Some(part)
}

fn window(name: &str) -> Option<WindowFunction> {
    let function = match name {
        "rate" => WindowFunction::Rate,
        "increase" => WindowFunction::Increase,
        "delta" => WindowFunction::Delta,
        "irate" => WindowFunction::InstantRate,
        "idelta" => WindowFunction::InstantDelta,
        "avg_over_time" => WindowFunction::Average,
        "min_over_time" => WindowFunction::Minimum,
        "max_over_time" => WindowFunction::Maximum,
        "sum_over_time" => WindowFunction::Sum,
        "count_over_time" => WindowFunction::Count,
        "quantile_over_time" => WindowFunction::Quantile,
        "stddev_over_time" => WindowFunction::Deviation,
        "stdvar_over_time" => WindowFunction::Variance,
        "first_over_time" => WindowFunction::First,
        "last_over_time" => WindowFunction::Last,
        "present_over_time" => WindowFunction::Present,
        "changes" => WindowFunction::Changes,
        "resets" => WindowFunction::Resets,
        "deriv" => WindowFunction::Derivative,
        "predict_linear" => WindowFunction::PredictLinear,
        _ => return None,
    };
    Some(function)
}

/// Rounds to the nearest multiple, halves up. The inverse is used because it loses less.
pub(crate) fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// NaN below 1, where the library leaves what its series happens to give.
fn acosh(value: f64) -> f64 {
    if value < 1.0 { f64::NAN } else { libm::acosh(value) }
}

/// The value within the bounds. NaN if one of the three is, but an infinity that no bound could change, as Go's `math.Max` and `math.Min` have it.
pub(crate) fn clamp(value: f64, least: f64, most: f64) -> f64 {
    let no_more = if value == f64::NEG_INFINITY || most == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if value.is_nan() || most.is_nan() {
        f64::NAN
    } else {
        value.min(most)
    };
    if no_more == f64::INFINITY || least == f64::INFINITY {
        f64::INFINITY
    } else if no_more.is_nan() || least.is_nan() {
        f64::NAN
    } else {
        no_more.max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_up() {
        assert_eq!([0.5, -0.5, 1.4, -1.6].map(|value| round(value, 1.0)), [1.0, 0.0, 1.0, -2.0]);
        assert_eq!(round(5.26, 0.1), 5.300000000000001_f64.min(5.3));
    }

    #[test]
    fn clamping_nan_gives_nan() {
        assert_eq!(clamp(5.0, 0.0, 3.0), 3.0);
        assert!(clamp(f64::NAN, 0.0, 3.0).is_nan() && clamp(1.0, f64::NAN, 3.0).is_nan() && clamp(1.0, 0.0, f64::NAN).is_nan());
    }

    #[test]
    fn no_number_below_one_has_an_inverse_hyperbolic_cosine() {
        assert_eq!((acosh(1.0), acosh(f64::INFINITY)), (0.0, f64::INFINITY));
        assert!([0.5, -1.0, -1e5, -1e9, f64::NEG_INFINITY, f64::NAN].into_iter().all(|value| acosh(value).is_nan()));
    }

    #[test]
    fn infinities_beat_a_bound_that_is_nan() {
        assert_eq!(clamp(f64::INFINITY, f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(clamp(f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert_eq!(clamp(f64::NEG_INFINITY, 0.0, f64::NAN), 0.0);
        assert!(clamp(f64::NEG_INFINITY, f64::NAN, f64::INFINITY).is_nan());
    }

    #[test]
    fn a_function_of_native_histograms_is_not_known_yet() {
        assert!(named("histogram_count").is_none() && named("info").is_none());
        assert!(named("rate").is_some() && named("hour").is_some() && named("ln").is_some());
    }
}
