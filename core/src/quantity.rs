//! Quantities that carry their unit in people's files: rates, ratios, bytes, factors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is no quantity; the message names the fault and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(String);

/// A share of something, 0 to 1. Written with a percent sign: `25%`, `0.5 %`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(f64);

/// Events a second, finite and not negative. Written `70/s`, `90/m`, `1000/h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(f64);

/// An amount of memory or data. Written `300MiB`, `2GB`, `512B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(u64);

/// A multiplier, finite and not negative. Written with an `x` before or after the number: `x0.3`, `3x`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Factor(f64);

/// How a share of a count becomes a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Down: 25 % of 6 is 1.
    Floor,
    /// Up: 25 % of 6 is 2.
    Ceil,
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// All.
    pub const ONE: Self = Self(1.0);

    /// A share between 0 and 1.
    ///
    /// # Errors
    /// Outside 0 to 1, or NaN.
    pub fn new(share: f64) -> Result<Self, QuantityError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(QuantityError(format!("{share} is not a share between 0 and 1"))) }
    }

    /// The share, 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Reads `25%`.
    ///
    /// # Errors
    /// No percent sign, no number, or outside 0 % to 100 %.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let Some(number) = text.trim().strip_suffix('%') else {
            return Err(QuantityError(format!("`{text}` is a share without a percent sign: write it as {}", with_percent_sign(text))));
        };
        let percent = finite(number, text, "a percentage such as `25%`")?;
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err(QuantityError(format!("`{text}` is outside 0% to 100%")))
        }
    }

    /// This share of `count`, rounded as said. What is as near to a whole number as binary fractions can tell counts as that number, so that 30 % of 10
    /// is 3; a share that is written less than that by a hand's breadth of decimals is less.
    #[must_use]
    pub fn of(self, count: u64, rounding: Rounding) -> u64 {
        let exact = self.0 * count as f64;
        let nearest = libm::round(exact);
        // The share was rounded when it was read and divided, and the product once more.
        let rounded = if libm::fabs(exact - nearest) <= 2.0 * f64::EPSILON * nearest {
            nearest
        } else {
            match rounding {
                Rounding::Floor => libm::floor(exact),
                Rounding::Ceil => libm::ceil(exact),
            }
        };
        rounded as u64
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        // Nearly all that people write are whole, and these need not be written out to three decimals to have them taken away.
        if percent == percent.trunc() && percent.abs() < 1e15 {
            return write!(f, "{}%", percent as i64);
        }
        // What is not nothing or all is not told as that.
        let is_said = |decimals: &usize| !matches!(format!("{percent:.decimals$}").trim_end_matches('0'), "0." | "100.");
        let decimals = (3..15).find(is_said).unwrap_or(15);
        let text = format!("{percent:.decimals$}");
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Rate {
    /// Events a second.
    ///
    /// # Errors
    /// Negative, infinite, or NaN.
    pub fn per_second(rate: f64) -> Result<Self, QuantityError> {
        if rate.is_finite() && rate >= 0.0 {
            Ok(Self(rate))
        } else {
            Err(QuantityError(format!("{rate} is not a rate: it must be finite and zero or more")))
        }
    }

    /// Events a second.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Reads `70/s`, `90/m` or `1000/h`.
    ///
    /// # Errors
    /// No unit, no number, negative or not finite.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let Some((number, unit)) = text.trim().split_once('/') else {
            return Err(QuantityError(format!("`{text}` is a rate without a unit: write it as `70/s`, `90/m` or `1000/h`")));
        };
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            other => return Err(QuantityError(format!("`{other}` in `{text}` is not a unit of rate: use /s, /m or /h"))),
        };
        let number = finite(number, text, "a rate such as `70/s`")?;
        if number < 0.0 {
            return Err(QuantityError(format!("`{text}` is negative: a rate is zero or more")));
        }
        Ok(Self(number / seconds))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl Bytes {
    /// An amount of bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The amount in bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads `300MiB`, `2GB` or `512B`.
    ///
    /// # Errors
    /// No unit, no number, negative or too large.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let trimmed = text.trim();
        let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(unit_at);
        let scale: u64 = match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" => return Err(QuantityError(format!("`{text}` is a size without a unit: write it as `300MiB`"))),
            other => return Err(QuantityError(format!("`{other}` in `{text}` is not a unit of size: use B, kB, MB, GB, KiB, MiB or GiB"))),
        };
        let bytes = finite(number.trim(), text, "a size such as `300MiB`")? * scale as f64;
        if !(0.0..9e18).contains(&bytes) {
            return Err(QuantityError(format!("`{text}` is not a size between 0 and 8 EiB")));
        }
        Ok(Self(libm::round(bytes) as u64))
    }
}

impl Bytes {
    /// As people say it, to two decimals of its largest unit: `1.02GiB`. [`Display`](fmt::Display) is exact.
    #[must_use]
    pub fn rounded(self) -> String {
        for (scale, unit) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= scale {
                let hundredths = (self.0 as f64 / scale as f64 * 100.0).round() / 100.0;
                return format!("{hundredths}{unit}");
            }
        }
        self.to_string()
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= scale && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Factor {
    /// Changes nothing.
    pub const ONE: Self = Self(1.0);

    /// A multiplier.
    ///
    /// # Errors
    /// Negative, infinite, or NaN.
    pub fn new(factor: f64) -> Result<Self, QuantityError> {
        if factor.is_finite() && factor >= 0.0 {
            Ok(Self(factor))
        } else {
            Err(QuantityError(format!("{factor} is not a factor: it must be finite and zero or more")))
        }
    }

    /// The multiplier.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Reads `x0.3` or `3x`.
    ///
    /// # Errors
    /// No `x`, no number, negative or not finite.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let trimmed = text.trim();
        let Some(number) = trimmed.strip_prefix('x').or_else(|| trimmed.strip_suffix('x')) else {
            return Err(QuantityError(format!("`{text}` is a factor without its `x`: write it as `x{trimmed}`")));
        };
        Self::new(finite(number, text, "a factor such as `x0.3`")?)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}", self.0)
    }
}

/// How a share is written that came without its percent sign: below 1 it was meant as a fraction, and above as a percentage.
fn with_percent_sign(text: &str) -> String {
    match text.trim().parse::<f64>() {
        Ok(1.0) => "`100%`, or `1%`".to_owned(),
        Ok(share) if (0.0..1.0).contains(&share) => format!("`{}`", Ratio(share)),
        Ok(percent) if (0.0..=100.0).contains(&percent) => format!("`{percent}%`"),
        _ => "`25%`".to_owned(),
    }
}

fn finite(number: &str, whole: &str, wanted: &str) -> Result<f64, QuantityError> {
    match number.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(QuantityError(format!("`{whole}` is not finite: write {wanted}"))),
        Err(_) => Err(QuantityError(format!("`{whole}` is not {wanted}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_said_in_its_largest_unit() {
        let said = [1_094_632_930, 884_917_730, 104_857_600, 1 << 30, 2000, 7].map(|bytes| Bytes::new(bytes).rounded());
        assert_eq!(said, ["1.02GiB", "843.92MiB", "100MiB", "1GiB", "1.95KiB", "7B"]);
    }

    #[test]
    fn a_share_of_a_count_rounds_as_declared_and_not_by_accident_of_binary() {
        let check = |percent: &str, count, rounding, want| {
            assert_eq!(Ratio::parse(percent).unwrap().of(count, rounding), want, "{percent} of {count}")
        };
        check("40%", 6, Rounding::Floor, 2);
        check("40%", 6, Rounding::Ceil, 3);
        check("30%", 10, Rounding::Floor, 3);
        check("30%", 10, Rounding::Ceil, 3);
        check("70%", 10, Rounding::Floor, 7);
        check("25%", 3, Rounding::Floor, 0);
        check("100%", 7, Rounding::Ceil, 7);
        // A little less than a whole number is less, and a little more is more.
        check("14.2857142857%", 7, Rounding::Floor, 0);
        check("14.2857142857%", 7, Rounding::Ceil, 1);
        check("14.2857142858%", 7, Rounding::Ceil, 2);
        check("14.285714285714286%", 7, Rounding::Floor, 1);
        check("0%", 7, Rounding::Ceil, 0);
        for (tenth, count) in (0..=1000_u64).flat_map(|tenth| (0..60).map(move |count| (tenth, count))) {
            let share = Ratio::parse(&format!("{}.{}%", tenth / 10, tenth % 10)).unwrap();
            assert_eq!(share.of(count, Rounding::Floor), tenth * count / 1000, "{share} of {count}");
            assert_eq!(share.of(count, Rounding::Ceil), (tenth * count).div_ceil(1000), "{share} of {count}");
        }
        let large = Ratio::parse("33.3%").unwrap();
        assert_eq!(large.of(1_000_000, Rounding::Floor), 333_000);
        assert_eq!(large.of(1_000_000, Rounding::Ceil), 333_000);
    }

    #[test]
    fn a_share_that_is_not_nothing_or_all_is_not_said_to_be() {
        let said =
            ["0%", "0.0001%", "0.00099%", "12.5%", "33.3333%", "99.9999%", "100%"].map(|text| Ratio::parse(text).unwrap().to_string());
        assert_eq!(said, ["0%", "0.0001%", "0.001%", "12.5%", "33.333%", "99.9999%", "100%"]);
    }

    #[test]
    fn quantities_without_units_are_refused_with_the_remedy() {
        assert_eq!(Rate::parse("70").unwrap_err().to_string(), "`70` is a rate without a unit: write it as `70/s`, `90/m` or `1000/h`");
        assert_eq!(Ratio::parse("0.3").unwrap_err().to_string(), "`0.3` is a share without a percent sign: write it as `30%`");
        let asked = ["0.9", "1", "5", "0.125", "some"].map(|text| Ratio::parse(text).unwrap_err().to_string());
        let told = ["`90%`", "`100%`, or `1%`", "`5%`", "`12.5%`", "`25%`"];
        for (asked, told) in asked.iter().zip(told) {
            assert!(asked.ends_with(&format!("write it as {told}")), "{asked}");
        }
        assert_eq!(Bytes::parse("300").unwrap_err().to_string(), "`300` is a size without a unit: write it as `300MiB`");
        assert_eq!(Factor::parse("0.3").unwrap_err().to_string(), "`0.3` is a factor without its `x`: write it as `x0.3`");
        assert!(Rate::parse("NaN/s").is_err() && Rate::parse("-1/s").is_err() && Ratio::parse("101%").is_err());
    }

    #[test]
    fn quantities_read_with_units() {
        assert!((Rate::parse("90/m").unwrap().get() - 1.5).abs() < 1e-12);
        assert_eq!(Bytes::parse("1.5GiB").unwrap().get(), 1_610_612_736);
        assert_eq!(Bytes::parse("300MiB").unwrap().to_string(), "300MiB");
        assert_eq!(Factor::parse("3x").unwrap().to_string(), "x3");
    }
}
