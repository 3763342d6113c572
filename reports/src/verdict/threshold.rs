//! Thresholds as people write them, such as `p90 < 5m`.

use std::fmt;

use firedrill_core::problem::near_miss;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;

use super::measure::{Measure, Unit, times};
use crate::statistics::{Quantile, Sample, quantile};

/// How many runs become one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// Nearest-rank quantile at this share, 0 to 1.
    Quantile(f64),
    /// The mean of all runs; censored ones count for the time watched.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The sum.
    Total,
    /// Of a rate: what was counted over what it is counted of, in all runs together.
    Pooled,
}

/// What a figure must be to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

/// A measure, how its runs become one figure, and what the figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The measure.
    pub measure: Measure,
    /// How runs become one figure.
    pub aggregate: Aggregate,
    /// What the figure must be.
    pub comparison: Comparison,
    /// To what, in the measure's unit.
    pub limit: f64,
}

/// Why a text is no threshold; the message carries the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No such measure.
    #[error("`{word}` is no measure{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Measure {
        /// The word.
        word: String,
        /// The most similar measure.
        near: Option<&'static str>,
    },
    /// No comparison in it.
    #[error("`{0}` compares nothing: write it as `{1} < LIMIT`, with one of < <= > >= ==")]
    Comparison(String, &'static str),
    /// No such aggregate.
    #[error("`{0}` is no way to make one figure of many runs: use median, p90 (or another percentile), mean, max, min or total")]
    Aggregate(String),
    /// An aggregate is needed.
    #[error("`{text}` does not say which of many runs is meant: write it as `p90 {text}`, or with median, mean, max or min")]
    NoAggregate {
        /// The threshold as written.
        text: String,
    },
    /// The limit cannot be read.
    #[error("`{limit}` is no limit for {measure}: write it as `{example}`")]
    Limit {
        /// The limit as written.
        limit: String,
        /// The measure.
        measure: &'static str,
        /// A limit in the right unit.
        example: &'static str,
    },
    /// The limit is a share of more than all, or of less than nothing.
    #[error("`{0}` is no share: write a limit from 0% to 100%, such as `2%`")]
    Share(String),
    /// Every run keeps away from what is asked.
    #[error("`{0}` can never hold, for {1} is never {2}: write a limit that it can keep")]
    Impossible(String, &'static str, &'static str),
    /// Every run keeps what is asked: the measure is never what it must not be.
    #[error("`{0}` holds whatever happens, for {1} is never {2}: {3}")]
    Empty(String, &'static str, &'static str, &'static str),
}

impl Threshold {
    /// Reads a threshold: the measure's word, and `[aggregate] comparison limit` with the limit's unit.
    ///
    /// A count without an aggregate is its total, `false_positive_rate` is pooled over all actions; others must say.
    ///
    /// # Errors
    /// [`ThresholdError`] names the fault and the remedy.
    pub fn parse(measure: &str, text: &str) -> Result<Self, ThresholdError> {
        let measure = Measure::named(measure).ok_or_else(|| ThresholdError::Measure {
            word: measure.to_owned(),
            near: near_miss(measure, &Measure::all().map(Measure::word).collect::<Vec<_>>()),
        })?;
        let at = text.find(['<', '>', '=']).ok_or_else(|| ThresholdError::Comparison(text.to_owned(), default_word(measure)))?;
        let (aggregate, rest) = text.split_at(at);
        let (comparison, limit) = comparison(rest).ok_or_else(|| ThresholdError::Comparison(text.to_owned(), default_word(measure)))?;
        let (aggregate, limit) = (read_aggregate(measure, aggregate.trim(), text)?, read_limit(measure, limit.trim())?);
        let threshold = Self { measure, aggregate, comparison, limit };
        if let Some((never, remedy)) = threshold.asks_nothing() {
            return Err(ThresholdError::Empty(text.trim().to_owned(), measure.word(), never, remedy));
        }
        match threshold.out_of_reach() {
            Some(never) => Err(ThresholdError::Impossible(text.trim().to_owned(), measure.word(), never)),
            None => Ok(threshold),
        }
    }

    /// Reads what [`Display`](fmt::Display) writes; `None`: it is no such text.
    #[must_use]
    pub fn read_back(text: &str) -> Option<Self> {
        let (measure, bound) = text.split_once(' ')?;
        // Thousands have commas there, which nobody writes.
        Self::parse(measure, &bound.replace(',', "")).ok()
    }

    /// Whether its figures are shares of all, of which there is no more than all; of many runs together there is.
    fn is_of_shares(&self) -> bool {
        self.measure.unit() == Unit::Ratio && self.aggregate != Aggregate::Total
    }

    /// What figures of the measure never are, where only such figures would break the threshold, and what to do about it.
    fn asks_nothing(&self) -> Option<(&'static str, &'static str)> {
        let is_below = match self.comparison {
            Comparison::AtLeast => self.limit <= 0.0,
            Comparison::More => self.limit < 0.0,
            _ => false,
        };
        let is_above = match self.comparison {
            Comparison::AtMost => self.limit >= 1.0,
            Comparison::Less => self.limit > 1.0,
            _ => false,
        };
        match () {
            () if is_below && !SIGNED.contains(&self.measure.word()) => {
                Some(("below 0", "write what it must not exceed, such as `max < LIMIT`"))
            }
            () if is_above && self.is_of_shares() => Some(("above 100 %", "write a lower limit")),
            () => None,
        }
    }

    /// What figures of the measure never are, where only such figures would keep the threshold.
    fn out_of_reach(&self) -> Option<&'static str> {
        let Self { measure, comparison, limit, .. } = self;
        let is_below = match comparison {
            Comparison::Less => *limit <= 0.0,
            Comparison::AtMost | Comparison::Equal => *limit < 0.0,
            Comparison::More | Comparison::AtLeast => false,
        };
        let is_above = self.is_of_shares() && *comparison == Comparison::More && *limit >= 1.0;
        match () {
            () if is_below && !SIGNED.contains(&measure.word()) => Some("below 0"),
            () if is_above => Some("above 100 %"),
            () => None,
        }
    }

    /// Whether a figure is as it must be.
    #[must_use]
    pub fn allows(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Equal => value == self.limit,
        }
    }

    /// Whether small figures are the good ones.
    #[must_use]
    pub const fn limits_from_above(&self) -> bool {
        matches!(self.comparison, Comparison::Less | Comparison::AtMost | Comparison::Equal)
    }

    /// Whether whatever keeps this keeps `other` too: the same measure and a limit that is no wider, of the same figure or of one that is never
    /// on the better side of it.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        let (own, other) = (self.plain(), &other.plain());
        own.is_no_wider(other)
    }

    /// The same threshold in one of its spellings: of a count, `< 1` is `<= 0`; and of what is never below 0, `== 0` is `<= 0`.
    fn plain(&self) -> Self {
        let is_whole = self.measure.unit() == Unit::Count && !matches!(self.aggregate, Aggregate::Mean | Aggregate::Pooled);
        let (comparison, limit) = match self.comparison {
            Comparison::Less if is_whole => (Comparison::AtMost, libm::ceil(self.limit) - 1.0),
            Comparison::More if is_whole => (Comparison::AtLeast, libm::floor(self.limit) + 1.0),
            other => (other, self.limit),
        };
        let is_none = comparison == Comparison::Equal && limit == 0.0 && !SIGNED.contains(&self.measure.word());
        Self { comparison: if is_none { Comparison::AtMost } else { comparison }, limit, ..*self }
    }

    fn is_no_wider(&self, other: &Self) -> bool {
        let figure = match (self.aggregate, other.aggregate) {
            (own, asked) if own == asked => true,
            (Aggregate::Max, Aggregate::Quantile(_) | Aggregate::Mean | Aggregate::Min) => other.limits_from_above(),
            (Aggregate::Min, Aggregate::Quantile(_) | Aggregate::Mean | Aggregate::Max) => !other.limits_from_above(),
            (Aggregate::Quantile(own), Aggregate::Quantile(asked)) => (own >= asked) == other.limits_from_above(),
            _ => false,
        };
        let limit = match (self.comparison, other.comparison) {
            (Comparison::Equal, _) => other.allows(self.limit),
            (Comparison::Less, Comparison::Less | Comparison::AtMost) | (Comparison::AtMost, Comparison::AtMost) => {
                self.limit <= other.limit
            }
            (Comparison::AtMost, Comparison::Less) => self.limit < other.limit,
            (Comparison::More, Comparison::More | Comparison::AtLeast) | (Comparison::AtLeast, Comparison::AtLeast) => {
                self.limit >= other.limit
            }
            (Comparison::AtLeast, Comparison::More) => self.limit > other.limit,
            _ => false,
        };
        // Only the figure that both speak of is known to be exactly so much.
        let is_same = self.aggregate == other.aggregate || (self.comparison != Comparison::Equal && other.comparison != Comparison::Equal);
        self.measure == other.measure && figure && limit && is_same
    }

    /// Makes one figure of many runs; `None` of none. Pooling is the caller's, who knows what is counted.
    #[must_use]
    pub fn figure(&self, samples: &[Sample]) -> Option<Quantile> {
        let at_least = samples.iter().any(|sample| sample.censored);
        let sum = samples.iter().map(|sample| sample.value).sum::<f64>();
        match self.aggregate {
            _ if samples.is_empty() => None,
            Aggregate::Quantile(share) => quantile(samples, share),
            Aggregate::Max => quantile(samples, 1.0),
            Aggregate::Min => quantile(samples, 0.0),
            Aggregate::Mean | Aggregate::Pooled => Some(Quantile { value: sum / samples.len() as f64, at_least }),
            Aggregate::Total => Some(Quantile { value: sum, at_least }),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.measure, self.aggregate, self.comparison, self.measure.unit().show_limit(self.limit))
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantile(share) if *share == 0.5 => f.write_str("median"),
            // Every digit that was written: two thresholds that are not the same do not look alike.
            Self::Quantile(share) => write!(f, "p{}", times(*share, 100.0)),
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
            Self::Min => f.write_str("min"),
            Self::Total => f.write_str("total"),
            Self::Pooled => f.write_str("pooled"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
        })
    }
}

/// Measures that are differences, so that they can lie below 0.
const SIGNED: [&str; 4] = ["benefit", "benefit_over_human", "regret", "capacity_added"];

/// `false_positive_rate` is the one measure that is counted over all runs together.
fn is_pooled(measure: Measure) -> bool {
    measure.word() == "false_positive_rate"
}

fn default_word(measure: Measure) -> &'static str {
    if is_pooled(measure) {
        "pooled"
    } else if measure.unit() == Unit::Count {
        "total"
    } else {
        "p90"
    }
}

fn comparison(text: &str) -> Option<(Comparison, &str)> {
    let known = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::More),
    ];
    known.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
}

fn read_aggregate(measure: Measure, word: &str, text: &str) -> Result<Aggregate, ThresholdError> {
    let wrong = || ThresholdError::Aggregate(word.to_owned());
    match word {
        "" if is_pooled(measure) => Ok(Aggregate::Pooled),
        "" if measure.unit() == Unit::Count => Ok(Aggregate::Total),
        "" => Err(ThresholdError::NoAggregate { text: text.trim().to_owned() }),
        "pooled" if is_pooled(measure) => Ok(Aggregate::Pooled),
        "median" => Ok(Aggregate::Quantile(0.5)),
        "mean" => Ok(Aggregate::Mean),
        "max" => Ok(Aggregate::Max),
        "min" => Ok(Aggregate::Min),
        "total" => Ok(Aggregate::Total),
        _ => {
            let percent: f64 = word.strip_prefix('p').and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
            if percent > 0.0 && percent <= 100.0 { Ok(Aggregate::Quantile(percent / 100.0)) } else { Err(wrong()) }
        }
    }
}

fn read_limit(measure: Measure, text: &str) -> Result<f64, ThresholdError> {
    let percent = text.strip_suffix('%').and_then(number);
    if measure.unit() == Unit::Ratio && percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        return Err(ThresholdError::Share(text.to_owned()));
    }
    let (value, example) = match measure.unit() {
        Unit::Seconds => (Span::parse(text).ok().map(Span::as_seconds), "5m"),
        Unit::Minutes => (Span::parse(text).ok().map(|span| span.as_seconds() / 60.0), "30m"),
        Unit::Ratio => (Ratio::parse(text).ok().map(Ratio::get), "2%"),
        Unit::Factor => (Factor::parse(text).ok().map(Factor::get), "x2"),
        Unit::Count => (number(text), "0"),
        Unit::UserMinutes => (with_unit(text, ["user-minutes", "user-minute", "user-min"]), "10 user-minutes"),
        Unit::ReplicaHours => (with_unit(text, ["replica-hours", "replica-hour", "replica-h"]), "2 replica-hours"),
    };
    value.ok_or_else(|| ThresholdError::Limit { limit: text.to_owned(), measure: measure.word(), example })
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// A number with its unit, as people write it or as it is shown.
fn with_unit(text: &str, units: [&str; 3]) -> Option<f64> {
    number(units.into_iter().find_map(|unit| text.strip_suffix(unit))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(measure: &str, text: &str, expected: Result<&str, &str>) {
        match (Threshold::parse(measure, text), expected) {
            (Ok(threshold), Ok(shown)) => assert_eq!(threshold.to_string(), shown),
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
            (got, want) => panic!("{text}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn thresholds_read_as_people_write_them() {
        check("time_to_recover", "p90 < 5m", Ok("time_to_recover p90 < 5m"));
        check("false_positive_rate", "< 2 %", Ok("false_positive_rate pooled < 2 %"));
        check("harm", "max < 1 user-minute", Ok("harm max < 1 user-min"));
        check("harm", "mean<=2.5 user-minutes", Ok("harm mean <= 2.5 user-min"));
        check("noop_false_positives", "== 0", Ok("noop_false_positives total == 0"));
        check("time_to_detect", "median < 90s", Ok("time_to_detect median < 1m30s"));
        check("capacity_added", "p99.9 < 2 replica-hours", Ok("capacity_added p99.9 < 2 replica-h"));
        check("benefit", "min >= 0 user-minutes", Ok("benefit min >= 0 user-min"));
        check("amplification", "max < x3", Ok("amplification max < x3"));
        check("toil", "mean < 30m", Ok("toil mean < 30m"));
        check("harm", "max < 0.0004 user-minutes", Ok("harm max < 0.0004 user-min"));
        check("false_positive_rate", "< 7.125%", Ok("false_positive_rate pooled < 7.125 %"));
        // Of many runs together there may be more than all of one.
        check("capacity_removed", "total <= 100%", Ok("capacity_removed total <= 100 %"));
        check("capacity_removed", "total > 100%", Ok("capacity_removed total > 100 %"));
        check("harm", "max < 1 user-min", Ok("harm max < 1 user-min"));
        check("harm", "max < 1,000 user-min", Err("`1,000 user-min` is no limit for harm: write it as `10 user-minutes`"));
    }

    /// A limit of a measure, of a number as people write numbers.
    fn limit(measure: Measure, number: &str) -> String {
        match measure.unit() {
            Unit::Seconds | Unit::Minutes => format!("{number}s"),
            Unit::Ratio => format!("{number}%"),
            Unit::Factor => format!("x{number}"),
            Unit::Count => number.to_owned(),
            Unit::UserMinutes => format!("{number} user-minutes"),
            Unit::ReplicaHours => format!("{number} replica-hours"),
        }
    }

    /// Every measure, aggregate and comparison with a number; those that ask for nothing are none.
    fn read_back(number: &str, quantile: &str) {
        let mut units = 0;
        for measure in Measure::all() {
            for aggregate in ["median", quantile, "p99.9", "mean", "max", "min", "total", "pooled"] {
                for comparison in ["<", "<=", ">", ">=", "=="] {
                    let text = format!("{aggregate} {comparison} {}", limit(measure, number));
                    let Ok(threshold) = Threshold::parse(measure.word(), &text) else { continue };
                    let shown = threshold.to_string();
                    assert_eq!(Threshold::read_back(&shown), Some(threshold), "{measure} {text} is shown as {shown}");
                    units |= 1 << measure.unit() as u32;
                }
            }
        }
        let is_share = number.parse::<f64>().unwrap() <= 100.0;
        assert_eq!(units, if is_share { 0b111_1111 } else { 0b111_1011 }, "each unit has some");
    }

    #[test]
    fn what_a_threshold_is_shown_as_is_read_as_the_same_one() {
        for number in ["1", "0.5", "1000", "1234567", "99.99999", "123456789.123456", "0.30000000000000004"] {
            read_back(number, "p89.99999999999");
        }
        // Nobody counts the digits of such a number, and still it is the one that was written.
        for large in ["1.004e15 user-minutes", "1e300 user-minutes"] {
            let threshold = Threshold::parse("harm", &format!("max < {large}")).unwrap();
            assert_eq!(Threshold::read_back(&threshold.to_string()), Some(threshold));
        }
        assert_eq!(Threshold::read_back("harm"), None);
    }

    proptest! {
        // Beyond a hundred days a number of seconds does not tell the nanoseconds of a span apart.
        #[test]
        fn so_is_one_of_any_number(digits in 1_u64..5_000_000, places in 0_u32..7, quantile in 1_u32..10_000) {
            let number = digits as f64 / f64::from(10_u32.pow(places));
            read_back(&number.to_string(), &format!("p{}", f64::from(quantile) / 100.0));
        }
    }

    #[test]
    fn wrong_thresholds_say_what_would_be_right() {
        check("time_to_recovr", "p90 < 5m", Err("`time_to_recovr` is no measure; did you mean `time_to_recover`?"));
        check("harm", "p90 5", Err("`p90 5` compares nothing: write it as `p90 < LIMIT`, with one of < <= > >= =="));
        check("time_to_recover", "p90 < 5", Err("`5` is no limit for time_to_recover: write it as `5m`"));
        check("false_positive_rate", "< 0.02", Err("`0.02` is no limit for false_positive_rate: write it as `2%`"));
        check("false_positive_rate", "mean < 200%", Err("`200%` is no share: write a limit from 0% to 100%, such as `2%`"));
        check("harm", "max < 1", Err("`1` is no limit for harm: write it as `10 user-minutes`"));
        check("harm", "max < NaN user-minutes", Err("`NaN user-minutes` is no limit for harm: write it as `10 user-minutes`"));
        check(
            "time_to_recover",
            "< 5m",
            Err("`< 5m` does not say which of many runs is meant: write it as `p90 < 5m`, or with median, mean, max or min"),
        );
        check(
            "harm",
            "average < 1 user-minute",
            Err("`average` is no way to make one figure of many runs: use median, p90 (or another percentile), mean, max, min or total"),
        );
        check(
            "harm",
            "p900 < 1 user-minute",
            Err("`p900` is no way to make one figure of many runs: use median, p90 (or another percentile), mean, max, min or total"),
        );
        check(
            "harm",
            "p0 < 1 user-minute",
            Err("`p0` is no way to make one figure of many runs: use median, p90 (or another percentile), mean, max, min or total"),
        );
        let never =
            |text: &str, word: &str| format!("`{text}` can never hold, for {word} is never below 0: write a limit that it can keep");
        check("pages", "max < -1", Err(&never("max < -1", "pages")));
        check("pages", "max < 0", Err(&never("max < 0", "pages")));
        check("harm", "mean == -1 user-minutes", Err(&never("mean == -1 user-minutes", "harm")));
        let empty = "`max >= 0 user-minutes` holds whatever happens, for harm is never below 0: write what it must not exceed, such as `max < LIMIT`";
        check("harm", "max >= 0 user-minutes", Err(empty));
        let empty = "`max <= 100%` holds whatever happens, for capacity_removed is never above 100 %: write a lower limit";
        check("capacity_removed", "max <= 100%", Err(empty));
        check("benefit", "min >= 0 user-minutes", Ok("benefit min >= 0 user-min"));
        check("time_to_recover", "p89.9999 < 15m", Ok("time_to_recover p89.9999 < 15m"));
        check("benefit", "min > -5 user-minutes", Ok("benefit min > -5 user-min"));
        check("benefit", "max < -5 user-minutes", Ok("benefit max < -5 user-min"));
    }

    #[test]
    fn a_threshold_implies_those_that_ask_no_more() {
        let check = |own: &str, other: &str, expected: bool| {
            let parse = |text: &str| Threshold::parse("actions", text).unwrap();
            assert_eq!(parse(own).implies(&parse(other)), expected, "{own} of {other}");
        };
        for (own, other, expected) in [
            ("max < 5", "max < 5", true),
            ("max < 4", "max < 5", true),
            ("max < 5", "max < 4", false),
            ("max < 5", "max <= 5", true),
            ("max <= 5", "max < 5", false),
            ("max <= 4", "max < 5", true),
            ("max == 0", "max <= 0", true),
            ("max <= 0", "max == 0", true),
            ("max < 1", "max == 0", true),
            ("max < 0.5", "max == 0", true),
            ("max == 0", "max < 1", true),
            ("mean < 1", "mean == 0", false),
            ("max == 0", "p90 == 0", true),
            ("max == 5", "p90 == 5", false),
            ("max < 5", "p90 < 5", true),
            ("max < 5", "mean < 5", true),
            ("p90 < 5", "max < 5", false),
            ("p99 < 5", "p90 < 5", true),
            ("p90 < 5", "p99 < 5", false),
            ("p90 < 5", "mean < 5", false),
            ("min > 5", "p10 > 5", true),
            ("p10 > 5", "p90 > 5", true),
            ("p90 > 5", "p10 > 5", false),
            ("min >= 5", "min > 5", false),
            ("min > 5", "min >= 5", true),
            ("max < 5", "min > 1", false),
            ("max == 0", "min == 0", true),
            ("total < 5", "max < 5", false),
        ] {
            check(own, other, expected);
        }
        let harm = Threshold::parse("harm", "max < 1 user-minute").unwrap();
        assert!(!harm.implies(&Threshold::parse("actions", "max < 1").unwrap()));
    }

    #[test]
    fn the_boundary_belongs_to_the_comparisons_with_equality() {
        let allows = |text: &str| Threshold::parse("actions", text).unwrap().allows(3.0);
        assert_eq!(["< 3", "<= 3", "> 3", ">= 3", "== 3"].map(allows), [false, true, false, true, true]);
    }
}
