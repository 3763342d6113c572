//! What an evaluation noticed on its way and went on: warnings and infos.

use std::fmt;

use super::calendar::rfc3339;
use super::value::written;

/// One thing that an evaluation noticed. Its text is the one that Prometheus shows, but for the position in the expression, so that it can be
/// looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum Annotation {
    /// A quantile is NaN or lies outside 0 to 1; the result is NaN or an infinity.
    QuantileOutOfRange(f64),
    /// A bucket of a classic histogram has no number in its label `le` and was left out.
    BadBucket {
        /// The metric's name, if it has one.
        metric: Option<String>,
        /// What stands in the label, empty if it is absent.
        bound: String,
    },
    /// `sort` or `sort_desc` over a range, whose rows are ordered by their labels anyway.
    SortOfRange,
    /// `rate` or `increase` of a metric whose name is no counter's by convention.
    PossibleNonCounter {
        /// The metric's name.
        metric: String,
    },
    /// Counts of a classic histogram fell from one bucket to a higher one; they were raised before the quantile was taken.
    ForcedMonotonic {
        /// The metric's name, if it has one.
        metric: Option<String>,
        /// Where and how much, over all evaluations of the range.
        raised: Raised,
        /// How many histograms were raised, at all moments together.
        samples: u64,
        /// The first moment, milliseconds since 1970.
        first_ms: i64,
        /// The last moment, milliseconds since 1970.
        last_ms: i64,
    },
}

/// Buckets whose counts had to be raised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raised {
    /// The lowest upper bound of such a bucket.
    pub lowest: f64,
    /// The highest upper bound of such a bucket.
    pub highest: f64,
    /// The most that a count was raised by.
    pub most: f64,
}

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The result is probably not what was meant.
    Warning,
    /// The expression may be a mistake.
    Info,
}

impl Annotation {
    /// Whether it is a warning or an info.
    pub fn level(&self) -> Level {
        match self {
            Annotation::QuantileOutOfRange(_) | Annotation::BadBucket { .. } | Annotation::SortOfRange => Level::Warning,
            Annotation::PossibleNonCounter { .. } | Annotation::ForcedMonotonic { .. } => Level::Info,
        }
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level() {
            Level::Warning => "PromQL warning: ",
            Level::Info => "PromQL info: ",
        })?;
        match self {
            Annotation::QuantileOutOfRange(quantile) => {
                write!(f, "quantile value should be between 0 and 1, got {}", written(*quantile))
            }
            Annotation::BadBucket { metric, bound } => {
                write!(f, "bucket label \"le\" is missing or has a malformed value of {bound:?}{}", for_metric(metric.as_deref()))
            }
            Annotation::SortOfRange => f.write_str("sort is ineffective for range queries since results are always ordered by labels"),
            Annotation::PossibleNonCounter { metric } => {
                write!(f, "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}")
            }
            Annotation::ForcedMonotonic { metric, raised, samples, first_ms, last_ms } => {
                f.write_str("input to histogram_quantile needed to be fixed for monotonicity ")?;
                f.write_str("(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)")?;
                let (lowest, highest, most) = (written(raised.lowest), written(raised.highest), two_digits(raised.most));
                write!(f, "{}, from buckets {lowest} to {highest}, with a max diff of {most}", for_metric(metric.as_deref()))?;
                write!(f, ", over {samples} samples from {} to {}", rfc3339(*first_ms), rfc3339(*last_ms))
            }
        }
    }
}

fn for_metric(metric: Option<&str>) -> String {
    metric.map(|metric| format!(" for metric name {metric:?}")).unwrap_or_default()
}

/// At most two significant digits, with an exponent where they do not reach the point.
fn two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return written(value);
    }
    let scientific = format!("{value:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the format's exponent is a number");
    if (-4..2).contains(&exponent) {
        return written(scientific.parse().expect("a number that was written"));
    }
    let mantissa = mantissa.trim_end_matches(".0");
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// The annotations of one evaluation, each once, in the order in which they were noticed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Adds an annotation. What says the same is kept once; raised buckets of one metric become one annotation.
    pub(crate) fn add(&mut self, annotation: Annotation) {
        if !self.0.iter_mut().any(|own| absorbs(own, &annotation)) {
            self.0.push(annotation);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Annotation> {
        self.0
    }
}

/// Whether an annotation already says what another one says, if need be after it is widened.
fn absorbs(own: &mut Annotation, other: &Annotation) -> bool {
    match (own, other) {
        (
            Annotation::ForcedMonotonic { metric, raised, samples, first_ms, last_ms },
            Annotation::ForcedMonotonic { metric: name, raised: more, samples: count, first_ms: from_ms, last_ms: to_ms },
        ) if metric == name => {
            raised.lowest = raised.lowest.min(more.lowest);
            raised.highest = raised.highest.max(more.highest);
            raised.most = raised.most.max(more.most);
            *samples += count;
            (*first_ms, *last_ms) = ((*first_ms).min(*from_ms), (*last_ms).max(*to_ms));
            true
        }
        // NaN is as much the same quantile as any.
        (Annotation::QuantileOutOfRange(own), Annotation::QuantileOutOfRange(other)) => written(*own) == written(*other),
        (own, other) => own == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(metric: &str, lowest: f64, most: f64, at_ms: i64) -> Annotation {
        let raised = Raised { lowest, highest: 10.0, most };
        Annotation::ForcedMonotonic { metric: Some(metric.to_owned()), raised, samples: 1, first_ms: at_ms, last_ms: at_ms }
    }

    #[track_caller]
    fn check(annotations: &[Annotation], expected: &[&str]) {
        let mut all = Annotations::default();
        annotations.iter().for_each(|annotation| all.add(annotation.clone()));
        let shown: Vec<String> = all.into_vec().iter().map(Annotation::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_noticed_twice_is_told_once() {
        let nan = Annotation::QuantileOutOfRange(f64::NAN);
        let above = Annotation::QuantileOutOfRange(1.5);
        check(
            &[nan.clone(), above, nan],
            &[
                "PromQL warning: quantile value should be between 0 and 1, got NaN",
                "PromQL warning: quantile value should be between 0 and 1, got 1.5",
            ],
        );
        let bad = |metric: Option<&str>| Annotation::BadBucket { metric: metric.map(str::to_owned), bound: "a\"b".to_owned() };
        check(
            &[bad(Some("x")), bad(None)],
            &[
                r#"PromQL warning: bucket label "le" is missing or has a malformed value of "a\"b" for metric name "x""#,
                r#"PromQL warning: bucket label "le" is missing or has a malformed value of "a\"b""#,
            ],
        );
    }

    #[test]
    fn raised_buckets_of_one_metric_are_one_annotation() {
        let see = "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        let start = format!(
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity {see} for metric name \"h\", from buckets"
        );
        let joined =
            format!("{start} 0.5 to 10, with a max diff of 0.012, over 2 samples from 2023-11-14T22:13:20Z to 2023-11-14T22:13:22Z");
        check(&[forced("h", 2.0, 0.003, 1_700_000_002_000), forced("h", 0.5, 0.0123, 1_700_000_000_000)], &[&joined]);
        let long = format!("{start} 2 to 10, with a max diff of 1.2e+03, over 1 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z");
        check(&[forced("h", 2.0, 1_234.0, 0)], &[&long]);
        check(&[Annotation::SortOfRange, Annotation::SortOfRange], &[&Annotation::SortOfRange.to_string()]);
    }

    #[test]
    fn two_digits_are_enough() {
        let shown = [0.0, 7.5, 10.0, 99.6, 0.00012, 0.000012, f64::INFINITY].map(two_digits);
        assert_eq!(shown, ["0", "7.5", "10", "1e+02", "0.00012", "1.2e-05", "+Inf"]);
    }
}
