//! Simulated time: integer nanoseconds since the start of a run, and the calendar that a run is anchored to.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// The last number below a half. What is added to a number so that its whole part is the nearest whole number: a half would make one of this one, and where
/// the sum of others is rounded it is to the same whole part.
const BELOW_HALF: f64 = 0.499_999_999_999_999_94;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// An instant: nanoseconds since the start of the run.
///
/// Serialized as an integer of nanoseconds. The range is 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

/// A length of time: nanoseconds, never negative.
///
/// Serialized as an integer of nanoseconds; in people's files durations carry units and are read by [`Span::parse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

/// Which of two things happens first when both are due at one instant (docs/decisions/order.md).
///
/// Each class counts its own sequence, so that a policy's timers cannot shift ties in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Requests, replicas, faults.
    World = 0,
    /// Telemetry is observed.
    Scrape = 1,
    /// Recording and alerting rules are evaluated.
    Rules = 2,
    /// Alerts are grouped and notified.
    Routing = 3,
    /// Policies decide.
    Controller = 4,
    /// Actions begin and take effect.
    Action = 5,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 6;
}

impl Time {
    /// The start of the run.
    pub const ZERO: Self = Self(0);
    /// The end of time: nothing is due then.
    pub const MAX: Self = Self(u64::MAX);

    /// An instant `nanos` nanoseconds after the start.
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// An instant `seconds` whole seconds after the start.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds * NANOS_PER_SECOND)
    }

    /// Nanoseconds since the start.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the start, for figures that people read.
    #[inline]
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time since `earlier`, or zero if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved later, stopping at [`Time::MAX`].
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Add<Span> for Time {
    type Output = Self;
    #[inline]
    fn add(self, span: Span) -> Self {
        self.saturating_add(span)
    }
}

impl AddAssign<Span> for Time {
    #[inline]
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub for Time {
    type Output = Span;
    #[inline]
    fn sub(self, earlier: Self) -> Span {
        assert!(earlier <= self, "time runs forward: {earlier} is after {self}");
        Span(self.0 - earlier.0)
    }
}

impl fmt::Display for Time {
    /// `12m03.250s`: minutes and seconds to the millisecond, hours only when there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / NANOS_PER_MILLI;
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        write!(f, "{minutes:02}m{seconds:02}.{millis:03}s")
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than any run.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `nanos` nanoseconds.
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A span of `millis` milliseconds.
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * NANOS_PER_MILLI)
    }

    /// A span of `seconds` whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds * NANOS_PER_SECOND)
    }

    /// A span of `minutes` whole minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u64) -> Self {
        Self::from_seconds(minutes * 60)
    }

    /// The nearest span to a number of seconds; negative and NaN become zero, too large becomes [`Span::MAX`].
    #[inline]
    #[must_use]
    pub fn from_seconds_f64(seconds: f64) -> Self {
        let nanos = seconds * 1e9;
        // Below 2^52 this is the nearest too, halves up, at a tenth of the price of the general way.
        if (0.0..4_503_599_627_370_496.0).contains(&nanos) {
            return Self((nanos + BELOW_HALF) as i64 as u64);
        }
        // `as` saturates and maps NaN to zero.
        Self(libm::round(nanos) as u64)
    }

    /// Nanoseconds.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds, rounded down.
    #[inline]
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// Seconds.
    #[inline]
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The sum, stopping at [`Span::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Reads a duration with units: `30s`, `1h30m`, `250ms`, `1.5s`. Units: `ns us ms s m h d w`.
    ///
    /// # Errors
    /// [`SpanError`] says what is wrong: no unit, an unknown unit, a negative number, or nothing at all.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SpanError::Empty);
        }
        if text.starts_with('-') {
            return Err(SpanError::Negative(text.to_owned()));
        }
        let mut rest = text;
        let mut total = 0_f64;
        let mut exact = 0_u64;
        while !rest.is_empty() {
            let (amount, unit, tail) = split_term(text, rest)?;
            let nanos = unit_nanos(unit).ok_or_else(|| SpanError::Unit { text: text.to_owned(), unit: unit.to_owned() })?;
            if let Ok(whole) = amount.parse::<u64>() {
                exact = whole.checked_mul(nanos).and_then(|n| exact.checked_add(n)).ok_or_else(|| SpanError::TooLong(text.to_owned()))?;
            } else {
                let number: f64 = amount.parse().map_err(|_| SpanError::NotADuration(text.to_owned()))?;
                total += number * nanos as f64;
            }
            rest = tail;
        }
        if total > 1e18 {
            return Err(SpanError::TooLong(text.to_owned()));
        }
        exact.checked_add(libm::round(total) as u64).map(Self).ok_or_else(|| SpanError::TooLong(text.to_owned()))
    }
}

/// Splits `1h30m` into (`1`, `h`, `30m`).
fn split_term<'a>(whole: &str, rest: &'a str) -> Result<(&'a str, &'a str, &'a str), SpanError> {
    let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (amount, tail) = rest.split_at(unit_at);
    if amount.is_empty() {
        return Err(SpanError::NotADuration(whole.to_owned()));
    }
    let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
    let (unit, tail) = tail.split_at(unit_end);
    if unit.is_empty() {
        return Err(SpanError::NoUnit(whole.to_owned()));
    }
    Ok((amount, unit, tail))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => NANOS_PER_MILLI,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        "d" => 86_400 * NANOS_PER_SECOND,
        "w" => 7 * 86_400 * NANOS_PER_SECOND,
        _ => return None,
    })
}

impl Add for Span {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl Span {
    /// As a story tells it, to the second, rounded down, with seconds in two digits: `45s`, `2m00s`, `1h05m09s`.
    #[must_use]
    pub fn clock(self) -> String {
        let seconds = self.0 / NANOS_PER_SECOND;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => format!("{seconds}s"),
            (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
            (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
        }
    }
}

impl fmt::Display for Span {
    /// As people write it: `1h30m`, `2m5s`, `250ms`, `1.25s`; exact to the nanosecond below a second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < NANOS_PER_SECOND {
            return match self.0 {
                n if n % NANOS_PER_MILLI == 0 => write!(f, "{}ms", n / NANOS_PER_MILLI),
                n if n % 1000 == 0 => write!(f, "{}us", n / 1000),
                n => write!(f, "{n}ns"),
            };
        }
        let seconds = self.0 / NANOS_PER_SECOND;
        for (amount, unit) in [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m")] {
            if amount > 0 {
                write!(f, "{amount}{unit}")?;
            }
        }
        let millis = self.0 % NANOS_PER_SECOND / NANOS_PER_MILLI;
        match (seconds % 60, millis) {
            (0, 0) => Ok(()),
            (s, 0) => write!(f, "{s}s"),
            (s, ms) => write!(f, "{}s", format!("{s}.{ms:03}").trim_end_matches('0')),
        }
    }
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Nothing between the quotes.
    #[error("a duration is missing")]
    Empty,
    /// A number without a unit.
    #[error("`{0}` has no unit: write `{0}s`, or another of ns us ms s m h d w")]
    NoUnit(String),
    /// A unit that no one knows.
    #[error("`{unit}` in `{text}` is not a unit of time: use ns us ms s m h d w")]
    Unit {
        /// The whole text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// Time does not run backwards.
    #[error("`{0}` is negative: a duration is zero or more")]
    Negative(String),
    /// Beyond the range of 584 years.
    #[error("`{0}` is longer than a run can be")]
    TooLong(String),
    /// Anything else.
    #[error("`{0}` is not a duration such as `30s`, `1h30m` or `250ms`")]
    NotADuration(String),
}

/// The calendar instant at which a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    unix_nanos: i64,
}

impl Default for Start {
    /// 2026-01-05T00:00:00Z, a Monday.
    fn default() -> Self {
        Self::from_unix_seconds(1_767_571_200)
    }
}

impl Start {
    /// A start at whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self { unix_nanos: seconds * 1_000_000_000 }
    }

    /// A start at milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self { unix_nanos: millis * 1_000_000 }
    }

    /// Whether milliseconds since the Unix epoch lie where instants can be told, with room to count on from there: the years 1700 to 2199.
    #[must_use]
    pub const fn can_tell(millis: i64) -> bool {
        -8_520_336_000_000 <= millis && millis < 7_258_118_400_000
    }

    /// The start in milliseconds since the Unix epoch, floored.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.unix_nanos.div_euclid(1_000_000)
    }

    /// What PromQL sees at `at`: start + elapsed, floored to milliseconds since the Unix epoch.
    #[must_use]
    pub const fn prometheus_millis(self, at: Time) -> i64 {
        (self.unix_nanos + at.as_nanos() as i64).div_euclid(1_000_000)
    }

    /// The instant of the run at which PromQL sees `millis`; `None` before the start.
    #[must_use]
    pub fn time_of(self, millis: i64) -> Option<Time> {
        let nanos = millis.checked_mul(1_000_000)?.checked_sub(self.unix_nanos)?;
        u64::try_from(nanos).ok().map(Time)
    }

    /// Reads RFC 3339 with a zone: `2026-01-05T00:00:00Z`, `2026-01-05T09:30:00+02:00`; a space may stand for `T`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found =
            parse_rfc3339(text).ok_or_else(|| format!("`{text}` is not an RFC 3339 time with a zone, such as 2026-01-05T00:00:00Z"))?;
        let start = i64::try_from(found).ok().map(|unix_nanos| Self { unix_nanos }).filter(|start| Self::can_tell(start.unix_millis()));
        start.ok_or_else(|| format!("`{text}` is out of range: times lie in the years 1700 to 2199"))
    }
}

/// Nanoseconds since the Unix epoch; `None` if it is no such text.
fn parse_rfc3339(text: &str) -> Option<i128> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let (year, month, day) = (digits(date, 0, 4)?, digits(date, 5, 2)?, digits(date, 8, 2)?);
    let (hour, minute, second) = (digits(clock, 0, 2)?, digits(clock, 3, 2)?, digits(clock, 6, 2)?);
    let separators = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-' && clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !separators || !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = clock.get(8..)?;
    let mut nanos = 0_i64;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit())?;
        if end == 0 || end > 9 {
            return None;
        }
        nanos = format!("{:0<9}", &fraction[..end]).parse().ok()?;
        rest = &fraction[end..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        zone => {
            let sign = match zone.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            if zone.len() != 6 || zone.as_bytes()[3] != b':' {
                return None;
            }
            sign * (digits(zone, 1, 2)? * 3600 + digits(zone, 4, 2)? * 60)
        }
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

fn digits(text: &str, from: usize, count: usize) -> Option<i64> {
    let part = text.get(from..from + count)?;
    part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year eras that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Start {
    /// RFC 3339 in UTC, with milliseconds only when there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.unix_millis();
        let days = millis.div_euclid(86_400_000);
        let in_day = millis.rem_euclid(86_400_000);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60)?;
        if in_day % 1000 != 0 {
            write!(f, ".{:03}", in_day % 1000)?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        match (Span::parse(text), expected) {
            (Ok(span), Ok(nanos)) => assert_eq!(span.as_nanos(), nanos, "{text}"),
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message, "{text}"),
            (got, want) => panic!("{text}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn durations_carry_their_units() {
        check("30s", Ok(30_000_000_000));
        check("1h30m", Ok(5_400_000_000_000));
        check("250ms", Ok(250_000_000));
        check("1.5s", Ok(1_500_000_000));
        check("0s", Ok(0));
        check("30", Err("`30` has no unit: write `30s`, or another of ns us ms s m h d w"));
        check("-5s", Err("`-5s` is negative: a duration is zero or more"));
        check("5 s", Err("` s` in `5 s` is not a unit of time: use ns us ms s m h d w"));
        check("soon", Err("`soon` is not a duration such as `30s`, `1h30m` or `250ms`"));
        check("", Err("a duration is missing"));
        check("99999999999w", Err("`99999999999w` is longer than a run can be"));
    }

    #[test]
    fn spans_print_as_they_are_read() {
        for text in ["30s", "1h30m", "250ms", "1.5s", "2m5.25s", "1d", "7ns"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn times_in_a_story_have_seconds_in_two_digits() {
        assert_eq!([0, 45, 120, 3909].map(|seconds| Span::from_seconds(seconds).clock()), ["0s", "45s", "2m00s", "1h05m09s"]);
        assert_eq!(Span::from_millis(59_999).clock(), "59s");
    }

    #[test]
    fn starts_round_trip_through_the_calendar() {
        assert_eq!(Start::default().to_string(), "2026-01-05T00:00:00Z");
        for text in ["2026-01-05T00:00:00Z", "2000-02-29T23:59:59Z", "1999-12-31T00:00:01.250Z", "1969-07-20T20:17:40Z"] {
            assert_eq!(Start::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Start::parse("2026-01-05T09:30:00+02:00").unwrap().to_string(), "2026-01-05T07:30:00Z");
        for text in ["9999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(Start::parse(text), Err(format!("`{text}` is out of range: times lie in the years 1700 to 2199")));
        }
        for text in ["2026-02-30T00:00:00Z", "2026-01-05", "2026-01-05T00:00:00", "yesterday", "2026-13-01T00:00:00Z"] {
            assert!(Start::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prometheus_sees_milliseconds_rounded_down() {
        let start = Start::from_unix_seconds(100);
        assert_eq!(start.prometheus_millis(Time::from_nanos(1_999_999)), 100_001);
        assert_eq!(start.time_of(100_001), Some(Time::from_nanos(1_000_000)));
        assert_eq!(start.time_of(99_999), None);
    }

    #[track_caller]
    fn check_rounding(nanos: f64) {
        let seconds = nanos / 1e9;
        assert_eq!(Span::from_seconds_f64(seconds).as_nanos(), libm::round(seconds * 1e9) as u64, "{nanos} ns");
    }

    #[test]
    fn seconds_become_the_nearest_nanoseconds_at_the_edges_too() {
        let edges =
            [0.0, -0.0, 0.25, 0.5, 0.499_999_999_999_999_94, 1.5, 2.5, -0.3, -0.5, -7.0, 4_503_599_627_370_495.5, 9e15, 1.8e19, 1e30];
        edges.into_iter().chain([f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE]).for_each(check_rounding);
    }

    proptest::proptest! {
        #[test]
        fn seconds_become_the_nearest_nanoseconds(bits: u64, halves in 0_u64..1 << 40) {
            check_rounding(f64::from_bits(bits));
            check_rounding(halves as f64 / 2.0);
        }
    }
}
