//! Dates in UTC from seconds since 1970.

/// Where Go's calendar begins: 1 January of the year -292277022399, seconds since 1970.
const FIRST_SECOND: i64 = -9_223_372_028_715_321_600;

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatePart {
    Minute,
    Hour,
    DayOfWeek,
    DayOfMonth,
    DayOfYear,
    DaysInMonth,
    Month,
    Year,
}

impl DatePart {
    /// The part of the moment that many seconds after 1970-01-01T00:00:00Z, the fraction cut off. NaN and what 64 bits of seconds cannot hold
    /// are a Sunday in the year 292277026596, as in Go on amd64, which makes the least number of them and then counts on past the greatest.
    pub(crate) fn of(self, seconds: f64) -> f64 {
        let fits = seconds >= i64::MIN as f64 && seconds < i64::MAX as f64;
        let whole = if fits { seconds as i64 } else { i64::MIN };
        let seconds = i128::from(whole) + if whole < FIRST_SECOND { 1 << 64 } else { 0 };
        let (day, second) = (seconds.div_euclid(86_400) as i64, seconds.rem_euclid(86_400) as i64);
        let (year, month, day_of_month) = civil(day);
        let part = match self {
            DatePart::Minute => second / 60 % 60,
            DatePart::Hour => second / 3_600,
            // 1970-01-01 was a Thursday; Sunday is 0.
            DatePart::DayOfWeek => (day + 4).rem_euclid(7),
            DatePart::DayOfMonth => day_of_month,
            DatePart::DayOfYear => (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day_of_month,
            DatePart::DaysInMonth => days_in_month(year, month),
            DatePart::Month => month,
            DatePart::Year => year,
        };
        part as f64
    }
}

/// A moment in milliseconds since 1970 as `2026-01-05T00:00:00Z`, the fraction of a second cut off.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    let seconds = at_ms / 1_000;
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day_of_month) = civil(day);
    format!("{year:04}-{month:02}-{day_of_month:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month (1 to 12) and day of the month (1 to 31) of a day since 1970, after Howard Hinnant's `civil_from_days`: eras of 400 years that
/// start in March, so that the leap day is the last of its year.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: f64, expected: [f64; 8]) {
        use DatePart::{DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute, Month, Year};
        let parts = [Year, Month, DayOfMonth, Hour, Minute, DayOfWeek, DayOfYear, DaysInMonth];
        assert_eq!(parts.map(|part| part.of(seconds)), expected);
    }

    #[test]
    fn dates_are_gregorian_and_in_utc() {
        check(0.0, [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]);
        // 2026-01-05T00:00:00Z, a Monday
        check(1_767_571_200.0, [2026.0, 1.0, 5.0, 0.0, 0.0, 1.0, 5.0, 31.0]);
        // 2024-02-29T23:59:59.9Z
        check(1_709_251_199.9, [2024.0, 2.0, 29.0, 23.0, 59.0, 4.0, 60.0, 29.0]);
        // 1969-12-31T23:59:59Z
        check(-1.0, [1969.0, 12.0, 31.0, 23.0, 59.0, 3.0, 365.0, 31.0]);
        // What promtool says on amd64.
        for nowhere in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e19] {
            check(nowhere, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0]);
        }
        assert!(DatePart::Year.of(9e18) > 285e9 && DatePart::Year.of(-9e18) < -285e9);
    }
}
