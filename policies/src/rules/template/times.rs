//! Moments and spans as Go writes them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::value::{Failure, Value};

/// What can be asked of a moment and of a span.
pub(super) const METHODS: [&str; 16] = [
    "Format",
    "UTC",
    "Unix",
    "UnixMilli",
    "Year",
    "YearDay",
    "Day",
    "Hour",
    "Minute",
    "Second",
    "IsZero",
    "String",
    "Seconds",
    "Minutes",
    "Hours",
    "Milliseconds",
];

/// What Go's moments and spans can be asked besides.
pub(super) const MORE_METHODS: [&str; 39] = [
    "Abs",
    "Add",
    "AddDate",
    "After",
    "AppendFormat",
    "Before",
    "Clock",
    "Compare",
    "Date",
    "Equal",
    "GoString",
    "GobDecode",
    "GobEncode",
    "ISOWeek",
    "In",
    "IsDST",
    "Local",
    "Location",
    "MarshalBinary",
    "MarshalJSON",
    "MarshalText",
    "Microseconds",
    "Month",
    "Nanosecond",
    "Nanoseconds",
    "Round",
    "Sub",
    "Truncate",
    "UnixMicro",
    "UnixNano",
    "UnmarshalBinary",
    "UnmarshalJSON",
    "UnmarshalText",
    "Weekday",
    "Zone",
    "ZoneBounds",
    "AppendBinary",
    "AppendText",
    "AppendTo",
];

fn civil(millis: i64) -> DateTime {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(TimeZone::UTC).datetime()
}

/// A moment: `2022-01-25 12:36:43.5 +0000 UTC`.
pub(super) fn moment(millis: i64) -> String {
    formatted(millis, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// A span: `2h10m15s`, `1.5s`, `250ms`.
pub(super) fn span(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let scaled = |unit: u64| {
        let fraction = format!("{:0width$}", size % unit, width = unit.ilog10() as usize);
        let fraction = if unit == 1 { "" } else { fraction.trim_end_matches('0') };
        (size / unit, if fraction.is_empty() { String::new() } else { format!(".{fraction}") })
    };
    let with_unit = |unit: u64, name: &str| {
        let (whole, fraction) = scaled(unit);
        format!("{sign}{whole}{fraction}{name}")
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => with_unit(1, "ns"),
        1_000..1_000_000 => with_unit(1_000, "µs"),
        1_000_000..1_000_000_000 => with_unit(1_000_000, "ms"),
        _ => {
            let (seconds, fraction) = scaled(1_000_000_000);
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}{fraction}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}{fraction}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
            }
        }
    }
}

/// What a method of a moment or a span comes to.
pub(super) fn method(receiver: &Value, name: &str, arguments: &[Value]) -> Result<Value, Failure> {
    let wanted = usize::from(name == "Format");
    let unknown = || format!("can't evaluate field {name} in type {}", receiver.type_name());
    if METHODS.contains(&name) && arguments.len() != wanted {
        return Err(format!("wrong number of args for {name}: want {wanted} got {}", arguments.len()));
    }
    let int = |number: i64| Ok(Value::Int(number));
    match *receiver {
        Value::Time(millis) => {
            let civil = civil(millis);
            match name {
                "Format" => match &arguments[0] {
                    Value::Text(layout) => Ok(Value::Text(formatted(millis, layout))),
                    other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
                },
                "UTC" => Ok(receiver.clone()),
                "Unix" => int(millis.div_euclid(1000)),
                "UnixMilli" => int(millis),
                "Year" => int(civil.year().into()),
                "YearDay" => int(civil.date().day_of_year().into()),
                "Day" => int(civil.day().into()),
                "Hour" => int(civil.hour().into()),
                "Minute" => int(civil.minute().into()),
                "Second" => int(civil.second().into()),
                "IsZero" => Ok(Value::Bool(false)),
                "String" => Ok(Value::Text(moment(millis))),
                _ => Err(unknown()),
            }
        }
        Value::Duration(nanos) => match name {
            "Seconds" => Ok(Value::Float((nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9)),
            "Minutes" => Ok(Value::Float((nanos / 60_000_000_000) as f64 + (nanos % 60_000_000_000) as f64 / 60e9)),
            "Hours" => Ok(Value::Float((nanos / 3_600_000_000_000) as f64 + (nanos % 3_600_000_000_000) as f64 / 3600e9)),
            "Milliseconds" => int(nanos / 1_000_000),
            "String" => Ok(Value::Text(span(nanos))),
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The pieces of a layout. Where several begin alike, the longest stands first.
const PIECES: [&str; 36] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "_2006",
    "__2",
    "_2",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "1",
    "2",
    "3",
    "4",
    "5",
    "PM",
    "pm",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    ".",
    ",",
];

/// A moment by a layout such as `2006-01-02 15:04`.
pub(super) fn formatted(millis: i64, layout: &str) -> String {
    let civil = civil(millis);
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let piece = PIECES.into_iter().find(|piece| rest.starts_with(piece) && stands_alone(piece, &rest[piece.len()..]));
        match piece {
            Some(point @ ("." | ",")) => {
                let (length, fraction) = fraction(rest, millis.rem_euclid(1000), point);
                out.push_str(&fraction);
                rest = &rest[length..];
            }
            Some(piece) => {
                out.push_str(&written(civil, piece));
                rest = &rest[piece.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// `Jan` and `Mon` are no pieces at the beginning of another word.
fn stands_alone(piece: &str, after: &str) -> bool {
    !matches!(piece, "Jan" | "Mon") || !after.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A fraction of a second: how long the layout of it is, and what it is.
fn fraction(layout: &str, millis: i64, point: &str) -> (usize, String) {
    let after = &layout[1..];
    let kind = after.chars().next().filter(|c| matches!(c, '0' | '9'));
    let count = kind.map_or(0, |kind| after.len() - after.trim_start_matches(kind).len());
    if count == 0 || after[count..].starts_with(|c: char| c.is_ascii_digit()) {
        return (1, point.to_owned());
    }
    let mut digits = format!("{millis:03}{}", "0".repeat(count.saturating_sub(3)));
    digits.truncate(count);
    let shown = if kind == Some('9') { digits.trim_end_matches('0') } else { &digits };
    (1 + count, if shown.is_empty() { String::new() } else { format!("{point}{shown}") })
}

fn written(civil: DateTime, piece: &str) -> String {
    let month = MONTHS[usize::from(civil.month().unsigned_abs()) - 1];
    let weekday = DAYS[usize::from(civil.date().weekday().to_monday_zero_offset().unsigned_abs())];
    let hour = if civil.hour() % 12 == 0 { 12 } else { civil.hour() % 12 };
    match piece {
        "January" => month.to_owned(),
        "Jan" => month[..3].to_owned(),
        "Monday" => weekday.to_owned(),
        "Mon" => weekday[..3].to_owned(),
        "MST" => "UTC".to_owned(),
        "2006" => format!("{:04}", civil.year()),
        "_2006" => format!("_{:04}", civil.year()),
        "06" => format!("{:02}", civil.year() % 100),
        "01" => format!("{:02}", civil.month()),
        "1" => civil.month().to_string(),
        "02" => format!("{:02}", civil.day()),
        "_2" => format!("{:2}", civil.day()),
        "2" => civil.day().to_string(),
        "002" => format!("{:03}", civil.date().day_of_year()),
        "__2" => format!("{:3}", civil.date().day_of_year()),
        "15" => format!("{:02}", civil.hour()),
        "03" => format!("{hour:02}"),
        "3" => hour.to_string(),
        "04" => format!("{:02}", civil.minute()),
        "4" => civil.minute().to_string(),
        "05" => format!("{:02}", civil.second()),
        "5" => civil.second().to_string(),
        "PM" => if civil.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if civil.hour() < 12 { "am" } else { "pm" }.to_owned(),
        zone if zone.starts_with('Z') => "Z".to_owned(),
        zone => zone.replace('-', "+").replace('7', "0"),
    }
}
