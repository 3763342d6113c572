//! Distributions of demands and delays, sampled from one named word of a block each.
//!
//! Sampling is by the inverse of the distribution function wherever that has a closed form, and then a larger word is a
//! larger value: two arms that give one request two different distributions still agree on whether it is a long one.

#![allow(clippy::excessive_precision, reason = "the coefficients of AS 241 stand as published")]

use crate::logarithm::exponentials;
use crate::random::{Draw, LANES, unit_open01};
use crate::time::Span;

/// A distribution over numbers from 0 upwards. The unit is the caller's: seconds, unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    shape: Shape,
}

/// Why parameters make no distribution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DistributionError {
    /// NaN or infinite.
    #[error("the {what} must be a finite number")]
    NotFinite {
        /// The parameter.
        what: &'static str,
    },
    /// Below zero.
    #[error("the {what} is {}: it cannot be negative", plain(*value))]
    Negative {
        /// The parameter.
        what: &'static str,
        /// What was given.
        value: f64,
    },
    /// Zero or below, where that leaves nothing to sample.
    #[error("the {what} is {}: it must be above 0", plain(*value))]
    NotPositive {
        /// The parameter.
        what: &'static str,
        /// What was given.
        value: f64,
    },
    /// The upper end is below the lower one.
    #[error("the upper end {} is below the lower end {}", plain(*high), plain(*low))]
    Reversed {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// A coefficient of variation that no measured delay has and that floats do not bear.
    #[error("the coefficient of variation is {}: it must be from {least} to {most}", plain(*cv))]
    Spread {
        /// What was given.
        cv: f64,
        /// The least that is accepted.
        least: f64,
        /// The most that is accepted.
        most: f64,
    },
    /// A quantile table that does not begin at probability 0 and end at 1.
    #[error("a quantile table must begin at probability 0 and end at 1, this one goes from {first} to {last}")]
    Ends {
        /// The first probability.
        first: f64,
        /// The last probability.
        last: f64,
    },
    /// A quantile table with fewer than two points.
    #[error("a quantile table needs two points or more")]
    TooShort,
    /// A quantile table whose probabilities do not rise, or whose values fall.
    #[error("point {number} of the quantile table is out of order: probabilities must rise and values must not fall")]
    Unsorted {
        /// The first point out of order, counted from 1.
        number: usize,
    },
}

/// The shapes, with everything that sampling needs worked out beforehand.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Constant { value: f64 },
    Uniform { low: f64, width: f64 },
    LogUniform { low: f64, width: f64, log_ratio: f64 },
    Exponential { mean: f64 },
    Lognormal { mean: f64, mu: f64, sigma: f64 },
    Gamma(Gamma),
    Pareto { scale: f64, alpha: f64, exponent: f64 },
    Empirical { points: Vec<(f64, f64)> },
}

impl Distribution {
    /// Always `value` (0 or more).
    ///
    /// # Errors
    /// If `value` is negative or not finite.
    pub fn constant(value: f64) -> Result<Self, DistributionError> {
        let value = not_negative("value", value)?;
        Ok(Shape::Constant { value }.into())
    }

    /// Anything from `low` (0 or more) to `high` (`low` or more) alike.
    ///
    /// # Errors
    /// If an end is negative or not finite, or the ends are reversed.
    pub fn uniform(low: f64, high: f64) -> Result<Self, DistributionError> {
        let (low, high) = (not_negative("lower end", low)?, not_negative("upper end", high)?);
        if high < low {
            return Err(DistributionError::Reversed { low, high });
        }
        Ok(Shape::Uniform { low, width: high - low }.into())
    }

    /// Anything from `low` (above 0) to `high` (`low` or more), every factor alike: its logarithm is uniform, and its median sqrt(low high).
    ///
    /// # Errors
    /// If an end is not a finite number above 0, or the ends are reversed.
    pub fn log_uniform(low: f64, high: f64) -> Result<Self, DistributionError> {
        let (low, high) = (positive("lower end", low)?, positive("upper end", high)?);
        if high < low {
            return Err(DistributionError::Reversed { low, high });
        }
        Ok(Shape::LogUniform { low, width: high - low, log_ratio: libm::log(high / low) }.into())
    }

    /// Without memory, with this mean (above 0).
    ///
    /// # Errors
    /// If `mean` is not a finite number above 0.
    pub fn exponential(mean: f64) -> Result<Self, DistributionError> {
        let mean = positive("mean", mean)?;
        Ok(Shape::Exponential { mean }.into())
    }

    /// Lognormal with this mean (above 0) and coefficient of variation (0 to 1000): mu = ln mean - sigma^2 / 2, sigma^2 = ln(1 + cv^2).
    ///
    /// # Errors
    /// If `mean` is not a finite number above 0, or `cv` is out of range.
    pub fn lognormal(mean: f64, cv: f64) -> Result<Self, DistributionError> {
        let mean = positive("mean", mean)?;
        let cv = spread(cv, 0.0)?;
        let variance = libm::log1p(cv * cv);
        Ok(Shape::Lognormal { mean, mu: libm::log(mean) - variance / 2.0, sigma: variance.sqrt() }.into())
    }

    /// Gamma with this mean (above 0) and coefficient of variation (0.000001 to 1000): shape = 1 / cv^2, scale = mean cv^2.
    ///
    /// # Errors
    /// If `mean` is not a finite number above 0, or `cv` is out of range.
    pub fn gamma(mean: f64, cv: f64) -> Result<Self, DistributionError> {
        let mean = positive("mean", mean)?;
        let cv = spread(cv, 1e-6)?;
        Ok(Shape::Gamma(Gamma::new(mean, cv)).into())
    }

    /// Pareto: never below `scale` (above 0), and above x with probability (scale / x)^`alpha` (above 0).
    /// The mean is infinite for `alpha` up to 1, the variance up to 2.
    ///
    /// # Errors
    /// If a parameter is not a finite number above 0.
    pub fn pareto(scale: f64, alpha: f64) -> Result<Self, DistributionError> {
        let (scale, alpha) = (positive("scale", scale)?, positive("alpha", alpha)?);
        Ok(Shape::Pareto { scale, alpha, exponent: -1.0 / alpha }.into())
    }

    /// What a table of quantiles says: pairs of probability (0 first, 1 last, rising) and value (0 or more, never falling),
    /// straight lines between them.
    ///
    /// # Errors
    /// If the table is too short, not sorted, does not reach from 0 to 1, or holds a negative or infinite number.
    pub fn empirical(points: Vec<(f64, f64)>) -> Result<Self, DistributionError> {
        for &(probability, value) in &points {
            not_negative("probability", probability)?;
            not_negative("value", value)?;
        }
        let (Some(&(first, _)), Some(&(last, _)), true) = (points.first(), points.last(), points.len() >= 2) else {
            return Err(DistributionError::TooShort);
        };
        let unsorted = points.windows(2).position(|pair| pair[0].0 >= pair[1].0 || pair[0].1 > pair[1].1);
        if let Some(index) = unsorted {
            return Err(DistributionError::Unsorted { number: index + 2 });
        }
        if first != 0.0 || last != 1.0 {
            return Err(DistributionError::Ends { first, last });
        }
        Ok(Shape::Empirical { points }.into())
    }

    /// The mean, in the caller's unit; infinite for a Pareto distribution with `alpha` up to 1.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match &self.shape {
            Shape::Constant { value } => *value,
            Shape::Uniform { low, width } => low + width / 2.0,
            Shape::LogUniform { low, log_ratio, .. } if *log_ratio <= 0.0 => *low,
            Shape::LogUniform { width, log_ratio, .. } => width / log_ratio,
            Shape::Exponential { mean } | Shape::Lognormal { mean, .. } => *mean,
            Shape::Gamma(gamma) => gamma.mean,
            Shape::Pareto { alpha, .. } if *alpha <= 1.0 => f64::INFINITY,
            Shape::Pareto { scale, alpha, .. } => scale * alpha / (alpha - 1.0),
            Shape::Empirical { points } => points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum(),
        }
    }

    /// The value that a share `p` of samples stays under; `None` for gamma, which has no closed form.
    /// At `p` = 1 it is infinite where nothing bounds the tail.
    ///
    /// # Panics
    /// If `p` is not in [0, 1].
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        assert!((0.0..=1.0).contains(&p), "{p} is not a probability");
        match &self.shape {
            Shape::Gamma(_) => None,
            // The normal distribution has no ends for the general branch to take.
            Shape::Lognormal { sigma, .. } if *sigma > 0.0 && p == 0.0 => Some(0.0),
            Shape::Lognormal { sigma, .. } if *sigma > 0.0 && p == 1.0 => Some(f64::INFINITY),
            Shape::Lognormal { mean, sigma, .. } if *sigma == 0.0 => Some(*mean),
            _ => Some(self.at(p, 1.0 - p)),
        }
    }

    /// The value at this word. Only gamma ever asks for more than the one word.
    #[inline]
    #[must_use]
    pub fn sample(&self, draw: Draw<'_>) -> f64 {
        match &self.shape {
            Shape::Gamma(gamma) => gamma.sample(draw),
            // The complement of the word is exactly the complement of the number, so neither tail is rounded away.
            _ => self.at(unit_open01(draw.word64()), unit_open01(!draw.word64())),
        }
    }

    /// The values at eight words, if one word says it all: not for gamma. The same as eight samples, and cheaper.
    #[must_use]
    pub fn of_words(&self, words: &[u64; LANES]) -> Option<[f64; LANES]> {
        match &self.shape {
            Shape::Gamma(_) => None,
            // Larger words are larger values, so the tail is where their complements are small.
            Shape::Exponential { mean } => Some(exponentials(&words.map(|word| !word)).map(|value| value * mean)),
            _ => Some(words.map(|word| self.at(unit_open01(word), unit_open01(!word)))),
        }
    }

    /// [`Distribution::sample`] of a distribution in seconds, to the nearest nanosecond; what is too long becomes [`Span::MAX`].
    #[inline]
    #[must_use]
    pub fn sample_span(&self, draw: Draw<'_>) -> Span {
        // No sample is negative, so adding a half rounds; `as` saturates.
        Span::from_nanos((self.sample(draw) * 1e9 + 0.5) as u64)
    }

    /// The value with probability `below` below it and `above` above it: one number given twice, each exact near its own 0.
    #[inline(always)]
    fn at(&self, below: f64, above: f64) -> f64 {
        match &self.shape {
            Shape::Constant { value } => *value,
            Shape::Uniform { low, width } => low + width * below,
            Shape::LogUniform { low, width, log_ratio } => (low * libm::exp(log_ratio * below)).min(low + width),
            Shape::Exponential { mean } => -libm::log(above) * mean,
            Shape::Lognormal { mu, sigma, .. } => libm::exp(mu + sigma * normal_quantile(below, above)),
            Shape::Pareto { scale, exponent, .. } => scale * libm::exp(exponent * libm::log(above)),
            Shape::Empirical { points } => interpolate(points, below),
            Shape::Gamma(_) => unreachable!("gamma has no closed form and is sampled by itself"),
        }
    }
}

impl From<Shape> for Distribution {
    fn from(shape: Shape) -> Self {
        Self { shape }
    }
}

/// Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000): with d = shape - 1/3,
/// c = 1 / sqrt(9 d), x normal and v = (1 + c x)^3, d v is gamma if ln u < x^2 / 2 + d - d v + d ln v.
#[derive(Clone, Debug, PartialEq)]
struct Gamma {
    mean: f64,
    d: f64,
    c: f64,
    scale: f64,
    /// 1 / shape if shape is below 1: the method then samples shape + 1, and u^(1/shape) of another word corrects it.
    boost: Option<f64>,
}

/// One word of a try, its normal deviate from the upper 53 bits and a first look at its uniform from the lower 11.
struct Try {
    x: f64,
    coarse: f64,
}

impl Gamma {
    fn new(mean: f64, cv: f64) -> Self {
        let shape = 1.0 / (cv * cv);
        let (at_least_1, boost) = if shape < 1.0 { (shape + 1.0, Some(1.0 / shape)) } else { (shape, None) };
        let d = at_least_1 - 1.0 / 3.0;
        Self { mean, d, c: 1.0 / (9.0 * d).sqrt(), scale: mean * cv * cv, boost }
    }

    /// Nearly always one word is enough, and two if the shape is below 1: that of the draw, then word 0 of overflow block 0.
    /// Word 1 of block n settles try n when its 11 bits cannot; word 0 of block n is the word of try n from 1.
    #[inline]
    fn sample(&self, draw: Draw<'_>) -> f64 {
        let sampled = self.first(draw).unwrap_or_else(|| self.later(draw)) * self.scale;
        match self.boost {
            None => sampled,
            Some(exponent) => sampled * libm::exp(exponent * libm::log(draw.overflow(0).unit_open01(0))),
        }
    }

    #[inline]
    fn first(&self, draw: Draw<'_>) -> Option<f64> {
        self.attempt(draw.word64(), || draw.overflow(0).word64(1))
    }

    #[cold]
    fn later(&self, draw: Draw<'_>) -> f64 {
        let attempt = |number| {
            let block = draw.overflow(number);
            self.attempt(block.word64(0), || block.word64(1))
        };
        // At least 95 in 100 tries succeed, so a hundred failures in a row are our mistake.
        (1..100).find_map(attempt).expect("a try of gamma succeeds sooner or later")
    }

    /// d v, if this try is accepted.
    #[inline]
    fn attempt(&self, word: u64, finer: impl FnOnce() -> u64) -> Option<f64> {
        let Try { x, coarse } = Try::new(word);
        let root = 1.0 + self.c * x;
        let v = root * root * root;
        if v <= 0.0 {
            return None;
        }
        // The squeeze u < 1 - 0.0331 x^4, for every u that begins with these 11 bits.
        if coarse + 1.0 / 2048.0 <= 1.0 - 0.0331 * (x * x) * (x * x) {
            return Some(self.d * v);
        }
        let u = coarse + unit_open01(finer()) / 2048.0;
        (libm::log(u) < 0.5 * x * x + self.d * (1.0 - v + libm::log(v))).then_some(self.d * v)
    }
}

impl Try {
    #[inline]
    fn new(word: u64) -> Self {
        Self { x: normal_quantile(unit_open01(word), unit_open01(!word)), coarse: (word & 2047) as f64 / 2048.0 }
    }
}

/// The straight line of the quantile table at probability `p`.
#[inline]
fn interpolate(points: &[(f64, f64)], p: f64) -> f64 {
    let upper = points.partition_point(|point| point.0 < p).clamp(1, points.len() - 1);
    let ((p0, v0), (p1, v1)) = (points[upper - 1], points[upper]);
    v0 + (v1 - v0) * ((p - p0) / (p1 - p0))
}

/// The normal deviate with probability `below` below it and `above` above it, both in (0, 1); good to 1 part in 10^16.
///
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), PPND16.
#[inline]
fn normal_quantile(below: f64, above: f64) -> f64 {
    let q = (below - above) * 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE_NUMERATOR, r) / polynomial(&CENTRE_DENOMINATOR, r);
    }
    let tail = normal_tail(below.min(above));
    if q < 0.0 { -tail } else { tail }
}

/// The deviate that a share `p` (at most 0.075) lies above.
fn normal_tail(p: f64) -> f64 {
    let r = (-libm::log(p)).sqrt();
    if r <= 5.0 {
        let r = r - 1.6;
        polynomial(&NEAR_NUMERATOR, r) / polynomial(&NEAR_DENOMINATOR, r)
    } else {
        let r = r - 5.0;
        polynomial(&FAR_NUMERATOR, r) / polynomial(&FAR_DENOMINATOR, r)
    }
}

/// Horner's rule, constant term first.
#[inline(always)]
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

const CENTRE_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_608,
    1.331_416_678_917_843_774_5e2,
    1.971_590_950_306_551_442_7e3,
    1.373_169_376_550_946_112_5e4,
    4.592_195_393_154_987_145_7e4,
    6.726_577_092_700_870_085_3e4,
    3.343_057_558_358_812_810_5e4,
    2.509_080_928_730_122_672_7e3,
];
const CENTRE_DENOMINATOR: [f64; 8] = [
    1.0,
    4.231_333_070_160_091_125_2e1,
    6.871_870_074_920_579_083e2,
    5.394_196_021_424_751_107_7e3,
    2.121_379_430_158_659_586_7e4,
    3.930_789_580_009_271_061e4,
    2.872_908_573_572_194_267_4e4,
    5.226_495_278_852_854_561e3,
];
const NEAR_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_577_34,
    4.630_337_846_156_545_295_9,
    5.769_497_221_460_691_405_5,
    3.647_848_324_763_204_605_04,
    1.270_458_252_452_368_382_58,
    2.417_807_251_774_506_117_7e-1,
    2.272_384_498_926_918_458_33e-2,
    7.745_450_142_783_414_076_4e-4,
];
const NEAR_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_758_821_87,
    1.676_384_830_183_803_849_4,
    6.897_673_349_851_000_045_5e-1,
    1.481_039_764_274_800_745_9e-1,
    1.519_866_656_361_645_719_66e-2,
    5.475_938_084_995_344_946e-4,
    1.050_750_071_644_416_843_24e-9,
];
const FAR_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103_777_2,
    5.463_784_911_164_114_369_9,
    1.784_826_539_917_291_335_8,
    2.965_605_718_285_048_912_3e-1,
    2.653_218_952_657_612_309_3e-2,
    1.242_660_947_388_078_438_6e-3,
    2.711_555_568_743_487_578_15e-5,
    2.010_334_399_292_288_132_65e-7,
];
const FAR_DENOMINATOR: [f64; 8] = [
    1.0,
    5.998_322_065_558_879_376_9e-1,
    1.369_298_809_227_358_053_1e-1,
    1.487_536_129_085_061_485_25e-2,
    7.868_691_311_456_132_591e-4,
    1.846_318_317_510_054_681_8e-5,
    1.421_511_758_316_445_888_7e-7,
    2.044_263_103_389_939_785_64e-15,
];

fn finite(what: &'static str, value: f64) -> Result<f64, DistributionError> {
    if value.is_finite() { Ok(value) } else { Err(DistributionError::NotFinite { what }) }
}

fn not_negative(what: &'static str, value: f64) -> Result<f64, DistributionError> {
    let value = finite(what, value)?;
    if value >= 0.0 { Ok(value) } else { Err(DistributionError::Negative { what, value }) }
}

fn positive(what: &'static str, value: f64) -> Result<f64, DistributionError> {
    let value = finite(what, value)?;
    if value > 0.0 { Ok(value) } else { Err(DistributionError::NotPositive { what, value }) }
}

/// A figure as people can read it aloud: one of three hundred digits is written with its power of ten.
fn plain(value: f64) -> String {
    let is_long = value != 0.0 && !(1e-9..1e15).contains(&value.abs());
    if is_long { format!("{value:e}") } else { value.to_string() }
}

fn spread(cv: f64, least: f64) -> Result<f64, DistributionError> {
    const MOST: f64 = 1e3;
    let cv = finite("coefficient of variation", cv)?;
    if (least..=MOST).contains(&cv) { Ok(cv) } else { Err(DistributionError::Spread { cv, least, most: MOST }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Block, Purpose, Seed, Stream, hash64};

    const SAMPLES: u32 = 100_000;

    fn samples(distribution: &Distribution) -> Vec<f64> {
        let stream = Stream::new(Seed(11), Purpose::Demand, hash64("api"));
        (0..u64::from(SAMPLES)).map(|i| distribution.sample(stream.block(i).draw(3))).collect()
    }

    /// Checks mean and coefficient of variation of samples, within `errors` standard errors that the samples state themselves.
    #[track_caller]
    fn check_moments(distribution: &Distribution, mean: f64, cv: f64) {
        let samples = samples(distribution);
        let n = f64::from(SAMPLES);
        assert!((distribution.mean() - mean).abs() <= 1e-12 * mean, "mean() is {}", distribution.mean());
        let sampled = samples.iter().sum::<f64>() / n;
        assert!((sampled - mean).abs() <= 4.0 * mean * cv / n.sqrt() + 1e-12, "{distribution:?}: mean {sampled}, not {mean}");
        // The variance is the mean of squared deviations; its standard error comes from their own spread.
        let squares: Vec<f64> = samples.iter().map(|x| (x - mean) * (x - mean)).collect();
        let variance = squares.iter().sum::<f64>() / n;
        let error = (squares.iter().map(|s| (s - variance) * (s - variance)).sum::<f64>() / n / n).sqrt();
        let expected = mean * mean * cv * cv;
        assert!((variance - expected).abs() <= 4.0 * error + 1e-12, "{distribution:?}: variance {variance}, not {expected}");
    }

    /// Checks that a share `p` of the samples stays under each value, within 4 standard errors of a share.
    #[track_caller]
    fn check_shares(distribution: &Distribution, expected: impl IntoIterator<Item = (f64, f64)>) {
        let samples = samples(distribution);
        for (p, value) in expected {
            let share = samples.iter().filter(|&&x| x <= value).count() as f64 / f64::from(SAMPLES);
            let error = (p * (1.0 - p) / f64::from(SAMPLES)).sqrt();
            assert!((share - p).abs() <= 4.0 * error, "{distribution:?}: {share} of samples are under {value}, not {p}");
        }
    }

    #[track_caller]
    fn check_quantiles(distribution: &Distribution) {
        check_shares(distribution, [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999].map(|p| (p, distribution.quantile(p).unwrap())));
    }

    #[test]
    fn a_constant_is_constant() {
        let distribution = Distribution::constant(0.25).unwrap();
        check_moments(&distribution, 0.25, 0.0);
        assert_eq!(distribution.quantile(0.3), Some(0.25));
    }

    #[test]
    fn uniform_has_its_moments_and_quantiles() {
        let distribution = Distribution::uniform(1.0, 3.0).unwrap();
        check_moments(&distribution, 2.0, 1.0 / 12_f64.sqrt());
        check_quantiles(&distribution);
        assert_eq!(distribution.quantile(0.25), Some(1.5));
    }

    #[test]
    fn log_uniform_has_its_moments_and_quantiles() {
        let distribution = Distribution::log_uniform(1.0, 9.0).unwrap();
        // E = 8 / ln 9, E2 = 80 / (2 ln 9).
        let (mean, square) = (8.0 / libm::log(9.0), 40.0 / libm::log(9.0));
        check_moments(&distribution, mean, (square / mean / mean - 1.0).sqrt());
        check_quantiles(&distribution);
        assert!((distribution.quantile(0.5).unwrap() - 3.0).abs() < 1e-14, "the median is the geometric mean of the ends");
        assert_eq!((distribution.quantile(0.0), distribution.quantile(1.0)), (Some(1.0), Some(9.0)));
        check_moments(&Distribution::log_uniform(2.0, 2.0).unwrap(), 2.0, 0.0);
    }

    #[test]
    fn exponential_has_its_moments_and_quantiles() {
        let distribution = Distribution::exponential(0.1).unwrap();
        check_moments(&distribution, 0.1, 1.0);
        check_quantiles(&distribution);
        assert!((distribution.quantile(0.5).unwrap() - 0.069_314_718_055_994_53).abs() < 1e-15);
    }

    #[test]
    fn lognormal_has_its_moments_and_quantiles() {
        for cv in [0.3, 1.0, 2.0] {
            let distribution = Distribution::lognormal(0.2, cv).unwrap();
            check_moments(&distribution, 0.2, cv);
            check_quantiles(&distribution);
            // The median is mean / sqrt(1 + cv^2).
            assert!((distribution.quantile(0.5).unwrap() - 0.2 / (1.0 + cv * cv).sqrt()).abs() < 1e-15);
        }
        let still = Distribution::lognormal(0.2, 0.0).unwrap();
        assert_eq!([0.0, 0.4, 1.0].map(|p| still.quantile(p)), [Some(0.2); 3]);
    }

    #[test]
    fn gamma_has_its_moments_and_its_distribution_function() {
        for cv in [0.01, 0.3, 0.9, 1.0, 1.5, 3.0] {
            let distribution = Distribution::gamma(0.2, cv).unwrap();
            check_moments(&distribution, 0.2, cv);
            let (shape, scale) = (1.0 / (cv * cv), 0.2 * cv * cv);
            let values = [0.01, 0.1, 0.5, 0.9, 0.98, 1.0, 1.02, 1.1, 1.5, 3.0, 8.0].map(|multiple| 0.2 * multiple);
            check_shares(&distribution, values.map(|value| (gamma_share(shape, value / scale), value)));
        }
        assert_eq!(Distribution::gamma(1.0, 1.0).unwrap().quantile(0.5), None);
    }

    /// The regularised lower incomplete gamma function by its power series: x^a e^-x / Gamma(a + 1) (1 + x/(a+1) + …).
    fn gamma_share(a: f64, x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (1.0, 1.0, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        (sum * libm::exp(a * libm::log(x) - x - libm::lgamma(a + 1.0))).min(1.0)
    }

    #[test]
    fn pareto_has_its_moments_and_quantiles() {
        let distribution = Distribution::pareto(0.05, 6.0).unwrap();
        // Variance = scale^2 alpha / ((alpha - 1)^2 (alpha - 2)), so cv^2 = 1 / (alpha (alpha - 2)).
        check_moments(&distribution, 0.06, 1.0 / 24_f64.sqrt());
        check_quantiles(&distribution);
        check_quantiles(&Distribution::pareto(0.05, 0.7).unwrap());
        assert_eq!(Distribution::pareto(0.05, 1.0).unwrap().mean(), f64::INFINITY);
        assert_eq!(distribution.quantile(0.0), Some(0.05));
    }

    #[test]
    fn a_quantile_table_has_its_moments_and_quantiles() {
        let distribution = Distribution::empirical(vec![(0.0, 1.0), (0.5, 2.0), (0.75, 2.0), (1.0, 6.0)]).unwrap();
        // Pieces: uniform 1..2 half the time, 2 a quarter, uniform 2..6 a quarter. E = 0.75 + 0.5 + 1; E2 = 7/6 + 1 + 52/12.
        let (mean, square) = (2.25, 7.0 / 6.0 + 1.0 + 52.0 / 12.0);
        check_moments(&distribution, mean, (square - mean * mean).sqrt() / mean);
        assert_eq!([0.0, 0.25, 0.5, 0.6, 0.875, 1.0].map(|p| distribution.quantile(p).unwrap()), [1.0, 1.5, 2.0, 2.0, 4.0, 6.0]);
        check_shares(&distribution, [(0.25, 1.5), (0.75, 2.0), (0.875, 4.0), (1.0, 6.0)]);
    }

    #[test]
    fn parameters_that_make_no_distribution_are_refused() {
        #[track_caller]
        fn check(result: Result<Distribution, DistributionError>, expected: &str) {
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
        check(Distribution::constant(-1.0), "the value is -1: it cannot be negative");
        check(Distribution::constant(f64::NAN), "the value must be a finite number");
        check(Distribution::uniform(2.0, 1.0), "the upper end 1 is below the lower end 2");
        check(Distribution::uniform(-2.0, 1.0), "the lower end is -2: it cannot be negative");
        check(Distribution::log_uniform(0.0, 1.0), "the lower end is 0: it must be above 0");
        check(Distribution::exponential(0.0), "the mean is 0: it must be above 0");
        check(Distribution::exponential(f64::INFINITY), "the mean must be a finite number");
        check(Distribution::lognormal(1.0, -0.5), "the coefficient of variation is -0.5: it must be from 0 to 1000");
        check(Distribution::gamma(1.0, 0.0), "the coefficient of variation is 0: it must be from 0.000001 to 1000");
        check(Distribution::gamma(1.0, f64::NAN), "the coefficient of variation must be a finite number");
        check(Distribution::pareto(1.0, 0.0), "the alpha is 0: it must be above 0");
        check(Distribution::empirical(vec![(0.0, 1.0)]), "a quantile table needs two points or more");
        check(Distribution::empirical(vec![]), "a quantile table needs two points or more");
        let unsorted = "point 3 of the quantile table is out of order: probabilities must rise and values must not fall";
        check(Distribution::empirical(vec![(0.0, 1.0), (0.5, 2.0), (1.0, 1.5)]), unsorted);
        check(Distribution::empirical(vec![(0.0, 1.0), (0.5, 2.0), (0.5, 3.0), (1.0, 4.0)]), unsorted);
        let ends = "a quantile table must begin at probability 0 and end at 1, this one goes from 0.5 to 0.99";
        check(Distribution::empirical(vec![(0.5, 1.0), (0.99, 2.0)]), ends);
        check(Distribution::empirical(vec![(0.0, 1.0), (f64::NAN, 2.0)]), "the probability must be a finite number");
        check(Distribution::empirical(vec![(0.0, -1.0), (1.0, 2.0)]), "the value is -1: it cannot be negative");
    }

    #[test]
    fn the_normal_quantile_undoes_the_distribution_function() {
        let share_under = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        for step in -320..=320 {
            let x = f64::from(step) * 0.025;
            let (below, above) = (share_under(x), share_under(-x));
            // A share is good to one part in 10^16 or so; near 0 that moves x by that much over the density.
            assert!((normal_quantile(below, above) - x).abs() < 1e-15 * (2.0 + x.abs()), "{x}: {}", normal_quantile(below, above));
        }
    }

    #[test]
    fn spans_are_rounded_and_never_overflow() {
        let block = Stream::new(Seed(0), Purpose::Demand, 0).block(0);
        let span = |seconds| Distribution::constant(seconds).unwrap().sample_span(block.draw(0));
        assert_eq!(span(0.0), Span::ZERO);
        assert_eq!(span(1.4e-9), Span::from_nanos(1));
        assert_eq!(span(1.6e-9), Span::from_nanos(2));
        assert_eq!(span(2.5), Span::from_millis(2500));
        assert_eq!(span(1e300), Span::MAX);
    }

    fn every_closed_shape() -> Vec<Distribution> {
        [
            Distribution::uniform(1.0, 3.0),
            Distribution::exponential(0.1),
            Distribution::lognormal(0.2, 1.5),
            Distribution::pareto(0.05, 1.1),
            Distribution::empirical(vec![(0.0, 1.0), (0.5, 2.0), (0.75, 2.0), (1.0, 6.0)]),
        ]
        .map(Result::unwrap)
        .to_vec()
    }

    proptest! {
        #[test]
        fn a_larger_word_is_a_larger_value(a: u64, b: u64) {
            let stream = Stream::new(Seed(5), Purpose::Demand, 6);
            let (a, b) = (stream.block(a), stream.block(b));
            let (low, high) = if a.word64(0) <= b.word64(0) { (a, b) } else { (b, a) };
            for distribution in every_closed_shape() {
                prop_assert!(distribution.sample(low.draw(0)) <= distribution.sample(high.draw(0)), "{:?}", distribution);
            }
        }

        #[test]
        fn eight_at_once_are_the_eight_one_by_one(counter: u64, word in 0..Block::WORDS, mean in 1e-9..1e6, cv in 1e-6..1e3) {
            let stream = Stream::new(Seed(2), Purpose::Demand, 3);
            let counters = std::array::from_fn(|lane| counter.wrapping_add(lane as u64));
            let words = stream.lanes(&counters).words64(word);
            let table = vec![(0.0, 0.0), (0.5, mean), (1.0, 2.0 * mean)];
            for distribution in [
                Distribution::constant(mean),
                Distribution::uniform(mean, 2.0 * mean),
                Distribution::exponential(mean),
                Distribution::lognormal(mean, cv),
                Distribution::pareto(mean, 1.0 + cv),
                Distribution::empirical(table),
            ] {
                let distribution = distribution.unwrap();
                let one_by_one = counters.map(|counter| distribution.sample(stream.block(counter).draw(word)).to_bits());
                prop_assert_eq!(distribution.of_words(&words).map(|values| values.map(f64::to_bits)), Some(one_by_one));
            }
            prop_assert_eq!(Distribution::gamma(mean, cv).unwrap().of_words(&words), None);
        }

        #[test]
        fn samples_are_finite_and_not_negative(counter: u64, word in 0..Block::WORDS, mean in 1e-9..1e6, cv in 1e-6..1e3) {
            let block = Stream::new(Seed(5), Purpose::Demand, 6).block(counter);
            for distribution in [Distribution::lognormal(mean, cv), Distribution::gamma(mean, cv), Distribution::exponential(mean)] {
                let sample = distribution.unwrap().sample(block.draw(word));
                prop_assert!(sample.is_finite() && sample >= 0.0, "{sample}");
            }
        }
    }
}
