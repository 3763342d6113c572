//! The sizes of faults: how they are written, what makes them worse, and round figures.

use firedrill_core::quantity::{Bytes, Factor, Rate, Ratio};
use firedrill_core::time::Span;

/// The unit of a size, and the end at which it is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A factor above x1: more is worse.
    More,
    /// A factor below x1: less is worse.
    Less,
    /// A share: more is worse.
    Share,
    /// A duration: longer is worse.
    Longer,
    /// A duration: shorter is worse.
    Shorter,
    /// Bytes a second: more is worse.
    Growth,
    /// A rate: less is worse.
    Slower,
    /// A number of things: more is worse.
    Count,
}

/// The sizes that faults have: the word, the key and its unit. All other parameters say what is struck, and not how hard.
const SIZES: [(&str, &str, Unit); 26] = [
    ("slow", "factor", Unit::More),
    ("capacity", "factor", Unit::Less),
    ("steal", "share", Unit::Share),
    ("error_rate", "error", Unit::Share),
    ("memory_leak", "leak", Unit::Growth),
    ("latency", "extra", Unit::Longer),
    ("surge", "factor", Unit::More),
    ("quota", "rate", Unit::Slower),
    ("replica_lag", "lag", Unit::Longer),
    ("connection_leak", "share", Unit::Share),
    ("cache_corruption", "share", Unit::Share),
    ("cache_flush", "share", Unit::Share),
    ("disk_fill", "fill", Unit::Growth),
    ("config_drift", "demand", Unit::More),
    ("config_drift", "error", Unit::Share),
    ("scale_out", "by", Unit::Count),
    ("crash", "every", Unit::Shorter),
    ("scrape_loss", "share", Unit::Share),
    ("late_series", "by", Unit::Longer),
    ("actuator", "fails", Unit::Share),
    ("actuator", "partly", Unit::Share),
    ("actuator", "hangs", Unit::Share),
    ("actuator", "no_effect", Unit::Share),
    ("actuator", "false_failure", Unit::Share),
    ("actuator", "late", Unit::Share),
    ("actuator", "twice", Unit::Share),
];

/// The unit of a parameter; `None` if it is no size.
#[must_use]
pub fn unit(word: &str, key: &str) -> Option<Unit> {
    SIZES.iter().find(|(known, of, _)| *known == word && *of == key).map(|(.., unit)| *unit)
}

impl Unit {
    /// A size that was written as `text`, made so many times as bad, and round. `None` if it is no plain size, such as a distribution.
    #[must_use]
    pub fn scaled(self, text: &str, times: f64) -> Option<String> {
        let read = self.read(text)?;
        let size = match self {
            // A factor changes nothing at x1: what is beyond that is multiplied.
            Self::More => 1.0 + (read - 1.0) * times,
            Self::Less | Self::Shorter | Self::Slower => read / times,
            Self::Share | Self::Longer | Self::Growth | Self::Count => read * times,
        };
        Some(self.show(size))
    }

    /// The size as a number: factors and shares as they are, durations in seconds, growth in bytes and rates in requests a second.
    #[must_use]
    pub fn read(self, text: &str) -> Option<f64> {
        match self {
            Self::More | Self::Less => Factor::parse(text).ok().map(Factor::get),
            Self::Share => Ratio::parse(text).ok().map(Ratio::get),
            Self::Longer | Self::Shorter => Span::parse(text).ok().map(Span::as_seconds),
            Self::Growth => Bytes::parse(text.trim().strip_suffix("/s")?).ok().map(|bytes| bytes.get() as f64),
            Self::Slower => Rate::parse(text).ok().map(Rate::get),
            Self::Count => text.parse().ok(),
        }
    }

    /// A size as files say it, in two figures, within what a file may say.
    #[must_use]
    pub fn show(self, size: f64) -> String {
        match self {
            Self::More => format!("x{}", round(size.clamp(1.01, 100_000.0))),
            Self::Less => format!("x{}", round(size.clamp(0.0, 0.99))),
            Self::Share => format!("{}%", round((size * 100.0).clamp(1.0, 100.0))),
            Self::Longer | Self::Shorter => round_span(Span::from_seconds_f64(size.clamp(0.001, 86_400.0))).to_string(),
            Self::Growth => {
                let scales = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
                let (scale, unit) = scales.into_iter().find(|(scale, _)| size >= *scale as f64).unwrap_or((1, "B"));
                let figure = round(size / scale as f64).max(1.0);
                if scale > 1 && figure < 10.0 && libm::round(figure) != figure {
                    // Sizes are whole numbers of their unit.
                    let (finer, unit) = scales.into_iter().rev().find(|(finer, _)| finer * 1024 == scale).unwrap_or((1, "B"));
                    return format!("{}{unit}/s", libm::round(size / finer as f64));
                }
                format!("{}{unit}/s", libm::round(figure))
            }
            Self::Slower => format!("{}/s", round(size.clamp(0.1, 1e6))),
            Self::Count => format!("{}", libm::round(size.clamp(1.0, 1000.0))),
        }
    }
}

/// A number in two figures.
#[must_use]
pub fn round(value: f64) -> f64 {
    format!("{value:.1e}").parse().expect("a number is written as one")
}

/// A number in one figure.
#[must_use]
pub fn one_figure(value: f64) -> f64 {
    format!("{value:.0e}").parse().expect("a number is written as one")
}

/// A duration as somebody would say it: whole minutes from ten minutes on, tens of seconds from two minutes on, seconds from ten seconds on.
#[must_use]
pub fn round_span(span: Span) -> Span {
    let seconds = span.as_seconds();
    let step = match seconds {
        _ if seconds >= 600.0 => 60.0,
        _ if seconds >= 120.0 => 10.0,
        _ if seconds >= 10.0 => 1.0,
        _ => return Span::from_millis(libm::round(round(seconds) * 1000.0) as u64),
    };
    Span::from_seconds(libm::round(seconds / step) as u64 * step as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, text: &str, times: f64, expected: &str) {
        assert_eq!(unit.scaled(text, times).as_deref(), Some(expected));
    }

    #[test]
    fn a_size_that_is_twice_as_bad_is_written_as_people_write_it() {
        check(Unit::More, "x12", 2.0, "x23");
        check(Unit::More, "x12", 0.5, "x6.5");
        check(Unit::Less, "x0.5", 2.0, "x0.25");
        check(Unit::Share, "70%", 2.0, "100%");
        check(Unit::Share, "1%", 0.5, "1%");
        check(Unit::Longer, "100ms", 1.234, "120ms");
        check(Unit::Shorter, "1m", 2.0, "30s");
        check(Unit::Growth, "2MiB/s", 2.0, "4MiB/s");
        check(Unit::Growth, "3MiB/s", 0.5, "1536KiB/s");
        check(Unit::Slower, "100/s", 3.0, "33/s");
        check(Unit::Count, "4", 2.0, "8");
        assert_eq!(Unit::Longer.scaled("{ exponential: 1s }", 2.0), None);
    }

    #[test]
    fn durations_are_rounded_as_they_grow() {
        let rounded = |seconds| round_span(Span::from_seconds_f64(seconds)).to_string();
        assert_eq!([0.1234, 12.4, 127.0, 644.0].map(rounded), ["120ms", "12s", "2m10s", "11m"]);
    }
}
