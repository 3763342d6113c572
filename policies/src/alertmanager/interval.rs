//! Named times of the calendar at which a route is muted or active.

use std::ops::RangeInclusive;

use firedrill_core::time::{Start, Time};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A stretch of the calendar: every field that is given must match, and of a field's ranges one. An empty list matches nothing.
#[derive(Clone, Debug)]
pub struct TimeInterval {
    /// Times of the day.
    pub times: Option<Vec<TimeRange>>,
    /// Days of the week, 0 is Sunday.
    pub weekdays: Option<Vec<RangeInclusive<i16>>>,
    /// Days of the month from 1; negative ones count from its end, -1 is the last day.
    pub days_of_month: Option<Vec<RangeInclusive<i16>>>,
    /// Months, 1 is January.
    pub months: Option<Vec<RangeInclusive<i16>>>,
    /// Years.
    pub years: Option<Vec<RangeInclusive<i16>>>,
    /// Whose clock; daylight saving as the bundled time-zone data has it.
    pub location: TimeZone,
}

/// Minutes of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first minute, 0 to 1439.
    pub from: u16,
    /// The minute after the last, 1 to 1440.
    pub to: u16,
}

impl TimeInterval {
    /// Whether an instant of a run lies in it.
    #[must_use]
    pub fn contains(&self, start: Start, at: Time) -> bool {
        // A run begins and ends within the years that a timestamp can hold (-9999 to 9999): a start is read from four digits.
        let Ok(timestamp) = Timestamp::from_millisecond(start.prometheus_millis(at)) else { return false };
        self.contains_civil(self.location.to_datetime(timestamp))
    }

    fn contains_civil(&self, at: DateTime) -> bool {
        let minute = u16::from(at.hour().unsigned_abs()) * 60 + u16::from(at.minute().unsigned_abs());
        let within = |ranges: &Option<Vec<RangeInclusive<i16>>>, value: i16| {
            ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&value)))
        };
        let weekday = i16::from(at.date().weekday().to_sunday_zero_offset());
        self.times.as_ref().is_none_or(|times| times.iter().any(|range| (range.from..range.to).contains(&minute)))
            && self.is_day(i16::from(at.day()), i16::from(at.date().days_in_month()))
            && within(&self.months, i16::from(at.month()))
            && within(&self.weekdays, weekday)
            && within(&self.years, at.year())
    }

    fn is_day(&self, day: i16, days: i16) -> bool {
        let counted = |bound: i16| if bound < 0 { days + bound + 1 } else { bound };
        let is_in = |range: &RangeInclusive<i16>| {
            let (from, to) = (counted(*range.start()), counted(*range.end()));
            // A range that begins after the end of a short month is not cut down to its last day.
            from <= days && (from..=to).contains(&day)
        };
        self.days_of_month.as_ref().is_none_or(|ranges| ranges.iter().any(is_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always() -> TimeInterval {
        TimeInterval { times: None, weekdays: None, days_of_month: None, months: None, years: None, location: TimeZone::UTC }
    }

    #[track_caller]
    fn check(interval: &TimeInterval, at: &str, expected: bool) {
        let start = Start::parse(at).expect("a time");
        assert_eq!(interval.contains(start, Time::ZERO), expected, "{at}");
    }

    #[test]
    fn a_time_range_holds_its_first_minute_and_not_its_end() {
        let nine_to_five = TimeInterval { times: Some(vec![TimeRange { from: 540, to: 1020 }]), ..always() };
        check(&nine_to_five, "2026-01-05T08:59:59.999Z", false);
        check(&nine_to_five, "2026-01-05T09:00:00Z", true);
        check(&nine_to_five, "2026-01-05T16:59:59.999Z", true);
        check(&nine_to_five, "2026-01-05T17:00:00Z", false);
        let evening = TimeInterval { times: Some(vec![TimeRange { from: 1320, to: 1440 }]), ..always() };
        check(&evening, "2026-01-05T23:59:59Z", true);
        check(&evening, "2026-01-06T00:00:00Z", false);
    }

    #[test]
    fn weeks_months_and_years_are_inclusive_at_both_ends() {
        let working_days = TimeInterval { weekdays: Some(vec![1..=5]), ..always() };
        for (day, expected) in [(4, false), (5, true), (9, true), (10, false)] {
            check(&working_days, &format!("2026-01-{day:02}T12:00:00Z"), expected);
        }
        let spring = TimeInterval { months: Some(vec![3..=5]), years: Some(vec![2026..=2027]), ..always() };
        check(&spring, "2026-02-28T23:59:59Z", false);
        check(&spring, "2026-03-01T00:00:00Z", true);
        check(&spring, "2027-05-31T23:59:59Z", true);
        check(&spring, "2028-03-01T00:00:00Z", false);
    }

    #[test]
    fn days_of_a_month_count_from_both_ends_and_stay_within_it() {
        let last_three = TimeInterval { days_of_month: Some(vec![-3..=-1]), ..always() };
        check(&last_three, "2026-02-25T12:00:00Z", false);
        check(&last_three, "2026-02-26T12:00:00Z", true);
        check(&last_three, "2028-02-29T12:00:00Z", true);
        let late = TimeInterval { days_of_month: Some(vec![30..=31]), ..always() };
        check(&late, "2026-02-28T12:00:00Z", false);
        check(&late, "2026-04-30T12:00:00Z", true);
        let all_month = TimeInterval { days_of_month: Some(vec![1..=31]), ..always() };
        check(&all_month, "2026-02-28T12:00:00Z", true);
        check(&TimeInterval { days_of_month: Some(vec![]), ..always() }, "2026-02-28T12:00:00Z", false);
    }

    #[test]
    fn a_location_moves_with_daylight_saving() {
        // Berlin goes from UTC+1 to UTC+2 on 2026-03-29 at 01:00 UTC, and back on 2026-10-25 at 01:00 UTC.
        let location = TimeZone::get("Europe/Berlin").expect("bundled");
        let business = TimeInterval { times: Some(vec![TimeRange { from: 540, to: 1020 }]), location: location.clone(), ..always() };
        check(&business, "2026-03-28T07:59:59Z", false);
        check(&business, "2026-03-28T08:00:00Z", true);
        check(&business, "2026-03-29T06:59:59Z", false);
        check(&business, "2026-03-29T07:00:00Z", true);
        check(&business, "2026-10-25T07:30:00Z", false);
        check(&business, "2026-10-25T08:00:00Z", true);
        // The hour that does not exist is never seen; the one that comes twice is seen twice.
        let third_hour = TimeInterval { times: Some(vec![TimeRange { from: 120, to: 180 }]), location, ..always() };
        check(&third_hour, "2026-03-29T00:59:59Z", false);
        check(&third_hour, "2026-03-29T01:00:00Z", false);
        check(&third_hour, "2026-10-25T00:30:00Z", true);
        check(&third_hour, "2026-10-25T01:30:00Z", true);
        check(&third_hour, "2026-10-25T02:00:00Z", false);
    }

    #[test]
    fn the_date_is_that_of_the_location() {
        let sydney = TimeZone::get("Australia/Sydney").expect("bundled");
        let mondays = TimeInterval { weekdays: Some(vec![1..=1]), location: sydney, ..always() };
        check(&mondays, "2026-01-04T12:59:59Z", false);
        check(&mondays, "2026-01-04T13:00:00Z", true);
        check(&mondays, "2026-01-05T13:00:00Z", false);
    }
}
