//! Freeze windows: stretches of the calendar in which nothing is started, once or again and again as RFC 5545 has recurrences.
//!
//! A window begins at a time of day in its zone. Where daylight saving skips that time, it begins as much later as the clock is put forward;
//! where the time comes twice, it begins at the first (RFC 5545, 3.3.5). The days of its length are days of the calendar, of 23 to 25 hours;
//! its hours, minutes and seconds are real ones (RFC 5545, 3.3.6).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use firedrill_core::time::{Start, Time};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Unit};
use rrule::{Frequency, RRule, RRuleSet};

use super::{Answer, Instead};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "freeze";

/// The longest window, in days.
pub const LONGEST_DAYS: i64 = 366;

/// A stretch of the calendar in which nothing is started.
#[derive(Clone)]
pub struct Freeze {
    first: DateTime,
    zone: TimeZone,
    lasting: Span,
    /// `None`: once.
    recurrence: Option<RRuleSet>,
    written: Written,
    /// What happens instead of an action.
    instead: Instead,
    /// Windows by the year in which they begin, once somebody has asked for it.
    known: Arc<RwLock<BTreeMap<i16, Windows>>>,
    /// A stretch without a window, from its first instant to the one after its last: where somebody has looked last.
    quiet: Arc<RwLock<Option<(Timestamp, Timestamp)>>>,
}

/// A freeze as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When the first window begins, in the zone: `2026-12-18T00:00`.
    pub from: String,
    /// The time zone's name: `Europe/Berlin`.
    pub zone: String,
    /// How long a window is: `16d`, `2d14h`.
    pub lasting: String,
    /// How it comes again: `FREQ=WEEKLY;BYDAY=FR`; `None`: never.
    pub repeats: Option<String>,
    /// Why, for people; empty if nobody says.
    pub because: String,
}

/// First instants and the instants after the last.
type Windows = Arc<[(Timestamp, Timestamp)]>;

/// What cannot be a freeze, and which of its keys says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// Its first moment cannot be read.
    #[error("`{0}` is not a time of day on a date such as `2026-12-18T00:00`")]
    From(String),
    /// There is no such time zone.
    #[error("there is no time zone `{0}`")]
    Zone(String),
    /// Its length cannot be read or is not possible.
    #[error("{0}")]
    Lasting(String),
    /// Its recurrence cannot be read or is not possible.
    #[error("{0}")]
    Repeats(String),
}

impl FreezeError {
    /// What to write instead.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::From(_) => "write the time of day of the first window in its zone, as in `2026-12-18T00:00`",
            Self::Zone(_) => "write a name of the time zone database, as in `Europe/Berlin` or `UTC`",
            Self::Lasting(_) => "write a length such as `16d` or `2d14h`",
            Self::Repeats(_) => "write a recurrence rule as RFC 5545 has it, as in `FREQ=WEEKLY;BYDAY=FR`",
        }
    }
}

impl fmt::Debug for Freeze {
    /// As its file has it. What was found out by asking is no part of it: the hash of a policy must not change when its guards are asked.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Freeze").field("written", &self.written).field("instead", &self.instead).finish_non_exhaustive()
    }
}

impl Freeze {
    /// Reads a freeze.
    ///
    /// # Errors
    /// As [`FreezeError`] says.
    pub fn new(written: Written, instead: Instead) -> Result<Self, FreezeError> {
        let first: DateTime = written.from.parse().map_err(|_| FreezeError::From(written.from.clone()))?;
        let zone = TimeZone::get(&written.zone).map_err(|_| FreezeError::Zone(written.zone.clone()))?;
        let lasting = lasting(&written.lasting).map_err(FreezeError::Lasting)?;
        let recurrence = written.repeats.as_deref().map(|rule| recurrence(rule, first, &zone).map_err(FreezeError::Repeats)).transpose()?;
        Ok(Self { first, zone, lasting, recurrence, written, instead, known: Arc::default(), quiet: Arc::default() })
    }

    /// As its file has it.
    #[must_use]
    pub const fn written(&self) -> &Written {
        &self.written
    }

    /// What happens instead of an action.
    #[must_use]
    pub const fn instead(&self) -> Instead {
        self.instead
    }

    /// Whether it comes again without an end, and its windows follow each other without a gap all the year after the first, so that nothing is ever started.
    #[must_use]
    pub fn leaves_no_time(&self) -> bool {
        let is_endless = |rule: &RRule| rule.get_count().is_none() && rule.get_until().is_none();
        if !self.recurrence.as_ref().is_some_and(|own| own.get_rrule().iter().any(is_endless)) {
            return false;
        }
        let year = self.first.year().saturating_add(1);
        // After the last year of the calendar there is none to look at.
        let begins = |year: i16| {
            let first = Date::new(year, 1, 1).ok()?.at(0, 0, 0, 0);
            Some(self.zone.to_ambiguous_zoned(first).compatible().ok()?.timestamp())
        };
        let (Some(mut covered), Some(end)) = (begins(year), year.checked_add(1).and_then(begins)) else { return false };
        let mut windows = [year - 1, year].map(|year| self.windows(year).to_vec()).concat();
        windows.sort_unstable();
        for (from, to) in windows {
            if from > covered {
                break;
            }
            covered = covered.max(to);
        }
        covered >= end
    }

    /// The window in which an instant lies, the one that ends last if there are several.
    fn window_at(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let quiet = *self.quiet.read().unwrap_or_else(PoisonError::into_inner);
        if quiet.is_some_and(|(from, to)| from <= at && at < to) {
            return None;
        }
        let year = self.zone.to_datetime(at).year();
        // A window of 366 days that begins on the last day of a year reaches into the year after the next.
        let years = [year.saturating_sub(2), year.saturating_sub(1), year].map(|year| self.windows(year));
        let all = years.iter().flat_map(|windows| windows.iter().copied());
        let found = all.clone().filter(|(from, to)| *from <= at && at < *to).max_by_key(|(_, to)| *to);
        if found.is_none() {
            self.remember_quiet(at, year, all.map(|(from, _)| from));
        }
        found
    }

    /// No window lies at an instant: nor does one until the next begins, for a day at most and not beyond the year whose windows are known.
    fn remember_quiet(&self, at: Timestamp, year: i16, beginnings: impl Iterator<Item = Timestamp>) {
        let Ok(day) = at.checked_add(SignedDuration::from_hours(24)) else { return };
        if self.zone.to_datetime(day).year() == year {
            let until = beginnings.filter(|from| *from > at).min().map_or(day, |next| next.min(day));
            *self.quiet.write().unwrap_or_else(PoisonError::into_inner) = Some((at, until));
        }
    }

    /// The windows that begin in a year.
    fn windows(&self, year: i16) -> Windows {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&year) {
            return Arc::clone(known);
        }
        let beginnings: Vec<DateTime> = match &self.recurrence {
            None => Some(self.first).into_iter().filter(|first| first.year() == year).collect(),
            Some(recurrence) => {
                let civil =
                    recurrence.into_iter().filter_map(|at| Some(TimeZone::UTC.to_datetime(Timestamp::from_second(at.timestamp()).ok()?)));
                civil.skip_while(|at| at.year() < year).take_while(|at| at.year() == year).collect()
            }
        };
        let window = |begins: DateTime| {
            let begins = self.zone.to_ambiguous_zoned(begins).compatible().ok()?;
            let ends = begins.checked_add(self.lasting).ok()?;
            Some((begins.timestamp(), ends.timestamp()))
        };
        let windows: Windows = beginnings.into_iter().filter_map(window).collect();
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(year, Arc::clone(&windows));
        windows
    }
}

/// `16d`, `2d14h`, `62h`: days by the calendar, the rest by the clock.
fn lasting(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|_| format!("`{text}` is not a length"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!("`{text}` has years or months, which are not of one length"));
    }
    let days = span.total((Unit::Day, jiff::SpanRelativeTo::days_are_24_hours())).map_err(|_| format!("`{text}` is not a length"))?;
    if days <= 0.0 {
        return Err(format!("a freeze of `{text}` is none"));
    }
    if days > LONGEST_DAYS as f64 {
        return Err(format!("a freeze of `{text}` is longer than {LONGEST_DAYS} days"));
    }
    Ok(span)
}

/// A recurrence over times of day without a zone, which its reader writes as if they were UTC.
fn recurrence(rule: &str, first: DateTime, zone: &TimeZone) -> Result<RRuleSet, String> {
    let parts: Vec<String> = rule.split(';').map(|part| until_as_civil(part.trim(), zone)).collect::<Result<_, _>>()?;
    let text = format!("DTSTART:{}Z\nRRULE:{}", first.strftime("%Y%m%dT%H%M%S"), parts.join(";"));
    let set: RRuleSet = text.parse().map_err(|error| format!("`{rule}` is not a recurrence: {error}"))?;
    if set.get_rrule().iter().any(|rule| matches!(rule.get_freq(), Frequency::Minutely | Frequency::Secondly)) {
        return Err(format!("`{rule}` comes more often than every hour"));
    }
    let set = set.limit();
    let begins = (&set).into_iter().next().and_then(|at| Timestamp::from_second(at.timestamp()).ok());
    // What such a rule means RFC 5545 leaves open (3.8.5.3).
    match begins.map(|at| TimeZone::UTC.to_datetime(at)) {
        Some(begins) if begins == first => Ok(set),
        Some(begins) => Err(format!("`{rule}` does not give {first}, but {begins} as its first")),
        None => Err(format!("`{rule}` never comes")),
    }
}

/// `UNTIL=` is an instant if it ends in `Z`, a time in the zone if it does not, and the end of a day if it is a date.
fn until_as_civil(part: &str, zone: &TimeZone) -> Result<String, String> {
    let Some(until) = part.strip_prefix("UNTIL=") else { return Ok(part.to_owned()) };
    let wrong = || format!("`{part}` is not a time such as `UNTIL=20271231T000000`");
    if until.len() == 8 {
        return Ok(format!("UNTIL={until}T235959Z"));
    }
    let read = |text: &str| DateTime::strptime("%Y%m%dT%H%M%S", text).map_err(|_| wrong());
    let civil = match until.strip_suffix('Z') {
        None => read(until)?,
        Some(instant) => zone.to_datetime(TimeZone::UTC.to_timestamp(read(instant)?).map_err(|_| wrong())?),
    };
    Ok(format!("UNTIL={}Z", civil.strftime("%Y%m%dT%H%M%S")))
}

/// Asks the guard. A window forbids from its first instant on, and no more at the instant after its last.
#[must_use]
pub fn check(freezes: &[Freeze], start: Start, now: Time) -> Answer {
    if freezes.is_empty() {
        return Answer::not_configured();
    }
    let Ok(at) = Timestamp::from_millisecond(start.prometheus_millis(now)) else {
        return Answer::refused("cannot tell what day it is", None);
    };
    let frozen = freezes.iter().filter_map(|freeze| Some((freeze, freeze.window_at(at)?)));
    // Of several the strictest counts.
    let Some((freeze, (_, ends))) = frozen.max_by_key(|(freeze, (_, ends))| (freeze.instead, *ends)) else {
        return Answer::passed(figures(&[&"in none of ", &freezes.len(), &" freezes"]));
    };
    let until = ends.to_zoned(freeze.zone.clone());
    let why = if freeze.written.because.is_empty() { String::new() } else { format!(": {}", freeze.written.because) };
    let figures = format!("frozen until {}{why}", until.strftime("%Y-%m-%d %H:%M:%S %Z"));
    Answer::refused(figures, start.time_of(ends.as_millisecond())).instead(freeze.instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: &str, zone: &str, lasting: &str, repeats: Option<&str>) -> Written {
        let text = |text: &str| text.to_owned();
        Written { from: text(from), zone: text(zone), lasting: text(lasting), repeats: repeats.map(text), because: String::new() }
    }

    fn freeze(from: &str, zone: &str, lasting: &str, repeats: Option<&str>) -> Freeze {
        Freeze::new(written(from, zone, lasting, repeats), Instead::Wait).unwrap()
    }

    /// Frozen at the first instant and at the last, a second before and after not.
    #[track_caller]
    fn check_window(freeze: &Freeze, first: &str, after: &str) {
        let frozen = |at: &str, seconds: i64| {
            let at = Timestamp::from_second(Start::parse(at).unwrap().unix_millis() / 1000 + seconds).unwrap();
            freeze.window_at(at).is_some()
        };
        let told = [frozen(first, -1), frozen(first, 0), frozen(after, -1), frozen(after, 0)];
        assert_eq!(told, [false, true, true, false], "{first} to {after}");
    }

    #[test]
    fn one_window_holds_from_its_first_instant_to_its_last() {
        let once = freeze("2026-12-18T00:00", "Europe/Berlin", "16d", None);
        check_window(&once, "2026-12-18T00:00:00+01:00", "2027-01-03T00:00:00+01:00");
    }

    #[test]
    fn a_window_of_days_ends_at_its_time_of_day_across_a_change_of_clocks_and_one_of_hours_does_not() {
        // Clocks go forward on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00.
        let weekend = Some("FREQ=WEEKLY;BYDAY=FR");
        let days = freeze("2026-01-02T18:00", "Europe/Berlin", "2d14h", weekend);
        check_window(&days, "2026-03-27T18:00:00+01:00", "2026-03-30T08:00:00+02:00");
        check_window(&days, "2026-10-23T18:00:00+02:00", "2026-10-26T08:00:00+01:00");
        let hours = freeze("2026-01-02T18:00", "Europe/Berlin", "62h", weekend);
        check_window(&hours, "2026-03-27T18:00:00+01:00", "2026-03-30T09:00:00+02:00");
        check_window(&hours, "2026-10-23T18:00:00+02:00", "2026-10-26T07:00:00+01:00");
    }

    #[test]
    fn a_time_that_is_skipped_comes_later_and_one_that_comes_twice_counts_the_first_time() {
        let nightly = freeze("2026-03-01T02:30", "Europe/Berlin", "10m", Some("FREQ=DAILY"));
        check_window(&nightly, "2026-03-29T03:30:00+02:00", "2026-03-29T03:40:00+02:00");
        check_window(&nightly, "2026-10-25T02:30:00+02:00", "2026-10-25T02:40:00+02:00");
        let again = Timestamp::from_second(Start::parse("2026-10-25T02:30:00+01:00").unwrap().unix_millis() / 1000).unwrap();
        assert_eq!(nightly.window_at(again), None);
    }

    #[test]
    fn whoever_has_looked_before_changes_no_answer() {
        let told = |one: &Freeze, seconds: i64| {
            let first = Start::parse("2026-12-15T00:00:00+01:00").unwrap().unix_millis() / 1000;
            one.window_at(Timestamp::from_second(first + seconds).unwrap())
        };
        let fresh = || freeze("2026-01-01T22:00", "Europe/Berlin", "2h30m", Some("FREQ=DAILY"));
        let asked = fresh();
        let mut frozen = 0;
        // Over the end of a year, and back again.
        for seconds in (0..25 * 24).map(|hour| hour * 3600).chain((0..25 * 24).rev().map(|hour| hour * 3600 + 1799)) {
            let window = told(&asked, seconds);
            frozen += u32::from(window.is_some());
            assert_eq!(window, told(&fresh(), seconds), "{seconds} s");
        }
        assert_eq!(frozen, 2 * 25 * 3, "at 0, 22 and 23 o'clock");
        assert!(asked.quiet.read().unwrap().is_some());
        assert_eq!(format!("{asked:?}"), format!("{:?}", fresh()), "nor how it is written down");
    }

    #[test]
    fn only_what_never_ends_leaves_no_time() {
        let check = |from: &str, repeats: Option<&str>, expected: bool| {
            assert_eq!(freeze(from, "UTC", "24h", repeats).leaves_no_time(), expected, "{from} {repeats:?}");
        };
        check("2026-01-01T00:00", Some("FREQ=DAILY"), true);
        check("2026-01-01T00:00", Some("freq=daily;interval=2"), false);
        check("2026-01-01T00:00", Some("FREQ=DAILY;UNTIL=20281231T000000"), false);
        check("2026-01-01T00:00", Some("FREQ=DAILY;COUNT=1000"), false);
        check("2026-01-01T00:00", None, false);
        // After the last year of the calendar there is none.
        for from in ["9997-01-01T00:00", "9998-01-01T00:00", "9999-01-01T00:00"] {
            check(from, None, false);
        }
        check("9998-01-01T00:00", Some("FREQ=DAILY"), false);
        check("9999-01-01T00:00", Some("FREQ=DAILY"), false);
    }

    #[test]
    fn a_recurrence_ends_as_it_says() {
        let until = |rule: &str| freeze("2026-01-01T22:00", "America/New_York", "1h", Some(rule));
        // 22:00 in New York on 3 January is 03:00 on the 4th in UTC.
        for rule in
            ["FREQ=DAILY;COUNT=3", "FREQ=DAILY;UNTIL=20260103T220000", "FREQ=DAILY;UNTIL=20260104T030000Z", "FREQ=DAILY;UNTIL=20260103"]
        {
            let freeze = until(rule);
            check_window(&freeze, "2026-01-03T22:00:00-05:00", "2026-01-03T23:00:00-05:00");
            let fourth = Timestamp::from_second(Start::parse("2026-01-04T22:00:00-05:00").unwrap().unix_millis() / 1000).unwrap();
            assert_eq!(freeze.window_at(fourth), None, "{rule}");
        }
    }

    #[test]
    fn a_year_s_end_is_frozen_every_year_and_reaches_into_the_next() {
        let yearly = freeze("2020-12-20T00:00", "UTC", "2w", Some("FREQ=YEARLY"));
        check_window(&yearly, "2026-12-20T00:00:00Z", "2027-01-03T00:00:00Z");
        let long = freeze("2025-12-31T23:00", "UTC", "366d", None);
        check_window(&long, "2025-12-31T23:00:00Z", "2027-01-01T23:00:00Z");
    }

    #[test]
    fn the_strictest_of_several_counts_and_its_end_is_when_to_ask_again() {
        let start = Start::parse("2026-01-05T00:00:00Z").unwrap();
        let one = |lasting: &str, instead| Freeze::new(written("2026-01-05T00:00", "UTC", lasting, None), instead).unwrap();
        let freezes = [one("3h", Instead::Wait), one("1h", Instead::Ask), one("2h", Instead::Ask)];
        let answer = check(&freezes, start, Time::ZERO);
        assert_eq!((answer.instead, answer.again), (Instead::Ask, Some(Time::from_seconds(7200))));
        assert_eq!(answer.figures, "frozen until 2026-01-05 02:00:00 UTC");
        assert_eq!(check(&freezes, start, Time::from_seconds(7200)).instead, Instead::Wait);
        assert_eq!(check(&freezes, start, Time::from_seconds(10_800)), Answer::passed("in none of 3 freezes"));
        assert_eq!(check(&[], start, Time::ZERO), Answer::not_configured());
    }

    #[test]
    fn what_is_no_freeze_is_refused() {
        let wrong = |from: &str, zone: &str, lasting: &str, repeats| {
            Freeze::new(written(from, zone, lasting, repeats), Instead::Wait).unwrap_err().to_string()
        };
        assert_eq!(wrong("christmas", "UTC", "1d", None), "`christmas` is not a time of day on a date such as `2026-12-18T00:00`");
        assert_eq!(wrong("2026-01-05T00:00", "Berlin", "1d", None), "there is no time zone `Berlin`");
        assert_eq!(wrong("2026-01-05T00:00", "UTC", "400d", None), "a freeze of `400d` is longer than 366 days");
        assert_eq!(wrong("2026-01-05T00:00", "UTC", "0s", None), "a freeze of `0s` is none");
        assert!(wrong("2026-01-05T00:00", "UTC", "1mo", None).starts_with("`1mo` has years or months"));
        assert!(wrong("2026-01-05T00:00", "UTC", "1h", Some("FREQ=SOMETIMES")).starts_with("`FREQ=SOMETIMES` is not a recurrence: "));
        assert_eq!(wrong("2026-01-05T00:00", "UTC", "1m", Some("FREQ=MINUTELY")), "`FREQ=MINUTELY` comes more often than every hour");
        let tuesday = wrong("2026-01-05T00:00", "UTC", "1h", Some("FREQ=WEEKLY;BYDAY=TU"));
        assert_eq!(tuesday, "`FREQ=WEEKLY;BYDAY=TU` does not give 2026-01-05T00:00:00, but 2026-01-06T00:00:00 as its first");
    }
}
