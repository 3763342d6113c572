//! The functions that Prometheus adds to templates.

use std::net::IpAddr;

use firedrill_core::time::Start;
use gtmpl_ng::{FloatFormat, Func, FuncError, Number, NumberKind, Value, format_float, funcs};
use regex::Regex;

use super::super::document::prometheus_duration;
use super::sample_value;
use super::{compare, literals, scene};

/// All of them by name: Prometheus' own, and the engine's where a missing value must count as the empty text.
pub(super) const ALL: &[(&str, Func)] = &[
    ("query", query),
    ("first", first),
    ("label", label),
    ("value", value),
    ("strvalue", strvalue),
    ("sortByLabel", sort_by_label),
    ("args", args),
    ("safeHtml", same),
    ("externalURL", external_url),
    ("pathPrefix", path_prefix),
    ("now", now),
    ("match", matches),
    ("reReplaceAll", replace_all),
    ("title", title),
    ("toUpper", to_upper),
    ("toLower", to_lower),
    ("stripPort", strip_port),
    ("stripDomain", strip_domain),
    ("graphLink", graph_link),
    ("tableLink", table_link),
    ("parseDuration", parse_duration),
    ("humanize", humanize),
    ("humanize1024", humanize_1024),
    ("humanizeDuration", humanize_duration),
    ("humanizePercentage", humanize_percentage),
    ("humanizeTimestamp", humanize_timestamp),
    ("toTime", to_time),
    ("toDuration", to_duration),
    ("eq", compare::eq),
    ("ne", compare::ne),
    ("lt", compare::lt),
    ("le", compare::le),
    ("gt", compare::gt),
    ("ge", compare::ge),
    ("len", |values| engine("len", values)),
    ("slice", |values| engine("slice", values)),
    ("print", |values| engine("print", values)),
    ("printf", printf),
    ("println", |values| engine("println", values)),
    ("html", |values| engine("html", values)),
    ("js", |values| engine("js", values)),
    ("urlquery", |values| engine("urlquery", values)),
    (literals::FLOAT, literal),
];

pub(super) type Outcome = Result<Value, FuncError>;

pub(super) fn wrong(message: impl Into<String>) -> FuncError {
    FuncError::Generic(message.into())
}

/// A float as a value. Zero takes the form of a signed integer, which no literal and no function has, because the engine holds each float for true.
pub(super) fn float(value: f64) -> Value {
    Value::Number(if value == 0.0 { Number::signed(0) } else { Number::float(value) })
}

/// Whether it is the zero that [`float`] makes.
pub(super) fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Number(number) if matches!(number.kind(), NumberKind::Signed(0)))
}

/// What a float literal stands for.
fn literal(values: &[Value]) -> Outcome {
    literals::value(&text(values, 0)?).map(float).ok_or_else(|| wrong("no float"))
}

/// The engine's own function with missing values as empty texts, and floats as such.
pub(super) fn engine(name: &str, values: &[Value]) -> Outcome {
    let plain = |value: &Value| match value {
        Value::NoValue => Value::from(""),
        zero if is_zero(zero) => Value::Number(Number::float(0.0)),
        other => other.clone(),
    };
    let present: Vec<Value> = values.iter().map(plain).collect();
    let (_, function) = funcs::BUILTINS.iter().find(|(own, _)| *own == name).expect("the table names functions of the engine");
    function(&present)
}

/// Go writes `%!f(int=2)` for an integer by the verb of a float, and the engine a float; so that no text is right here and wrong there, it fails.
fn printf(values: &[Value]) -> Outcome {
    let Some(Value::String(format)) = values.first() else { return engine("printf", values) };
    let mut next = 1;
    let mut chars = format.chars();
    while chars.by_ref().any(|c| c == '%') {
        let verb = chars.by_ref().inspect(|c| next += usize::from(*c == '*')).find(|c| !"+-# 0123456789.*".contains(*c));
        match verb {
            Some('%') | None => continue,
            Some('f' | 'F' | 'e' | 'E' | 'g' | 'G') if values.get(next).is_some_and(is_integer) => {
                return Err(wrong(format!("printf of an integer by `%{}`, which is for floats", verb.unwrap_or('f'))));
            }
            Some(_) => next += 1,
        }
    }
    engine("printf", values)
}

fn is_integer(value: &Value) -> bool {
    matches!(value, Value::Number(number) if !is_zero(value) && !matches!(number.kind(), NumberKind::Float(_)))
}

fn text(values: &[Value], index: usize) -> Result<String, FuncError> {
    match values.get(index) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::NoValue) => Ok(String::new()),
        Some(other) => Err(wrong(format!("expected a text, found {other}"))),
        None => Err(wrong("an argument is missing")),
    }
}

/// A number, or a text that holds one.
fn number(values: &[Value], index: usize) -> Result<f64, FuncError> {
    match values.get(index) {
        Some(Value::Number(number)) => {
            let whole = || number.as_i64().map(|whole| whole as f64).or_else(|| number.as_u64().map(|whole| whole as f64));
            number.as_f64().or_else(whole).ok_or_else(|| wrong("a number that is no float"))
        }
        Some(Value::String(text)) => text.parse().map_err(|_| wrong(format!("`{text}` is no number"))),
        Some(other) => Err(wrong(format!("can't convert {other} to float"))),
        None => Err(wrong("an argument is missing")),
    }
}

fn field(sample: Option<&Value>, name: &str) -> Result<Value, FuncError> {
    match sample {
        Some(Value::Map(fields)) => fields.get(name).cloned().ok_or_else(|| wrong("expected a sample")),
        _ => Err(wrong("expected a sample of a query")),
    }
}

fn label_of(sample: Option<&Value>, name: &str) -> Outcome {
    match field(sample, "Labels")? {
        Value::Map(labels) => Ok(labels.get(name).cloned().unwrap_or_else(|| Value::from(""))),
        _ => Err(wrong("expected a sample of a query")),
    }
}

fn query(values: &[Value]) -> Outcome {
    let samples = (scene::current().ask)(&text(values, 0)?).map_err(wrong)?;
    Ok(Value::Array(samples.iter().map(sample_value).collect()))
}

fn first(values: &[Value]) -> Outcome {
    match values.first() {
        Some(Value::Array(samples)) => samples.first().cloned().ok_or_else(|| wrong("first() called on vector with no elements")),
        _ => Err(wrong("expected the result of a query")),
    }
}

fn label(values: &[Value]) -> Outcome {
    label_of(values.get(1), &text(values, 0)?)
}

fn value(values: &[Value]) -> Outcome {
    field(values.first(), "Value")
}

fn strvalue(values: &[Value]) -> Outcome {
    label_of(values.first(), "__value__")
}

fn sort_by_label(values: &[Value]) -> Outcome {
    let name = text(values, 0)?;
    let Some(Value::Array(samples)) = values.get(1) else { return Err(wrong("expected the result of a query")) };
    let key = |sample: &Value| label_of(Some(sample), &name).map(|value| value.to_string()).unwrap_or_default();
    let mut sorted = samples.clone();
    sorted.sort_by_key(key);
    Ok(Value::Array(sorted))
}

fn args(values: &[Value]) -> Outcome {
    Ok(Value::Map(values.iter().enumerate().map(|(index, value)| (format!("arg{index}"), value.clone())).collect()))
}

fn same(values: &[Value]) -> Outcome {
    text(values, 0).map(Value::from)
}

fn external_url(_: &[Value]) -> Outcome {
    Ok(Value::from(scene::current().external_url))
}

fn path_prefix(_: &[Value]) -> Outcome {
    let url = scene::current().external_url;
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    Ok(Value::from(path.split(['?', '#']).next().unwrap_or_default()))
}

fn now(_: &[Value]) -> Outcome {
    Ok(float(scene::current().at_ms as f64 / 1000.0))
}

fn expression(pattern: &str) -> Result<Regex, FuncError> {
    Regex::new(pattern).map_err(|_| wrong(format!("`{pattern}` is no regular expression")))
}

fn matches(values: &[Value]) -> Outcome {
    Ok(Value::from(expression(&text(values, 0)?)?.is_match(&text(values, 1)?)))
}

fn replace_all(values: &[Value]) -> Outcome {
    let (pattern, replacement, subject) = (text(values, 0)?, text(values, 1)?, text(values, 2)?);
    Ok(Value::from(expression(&pattern)?.replace_all(&subject, replacement.as_str()).into_owned()))
}

/// The first letter of each word as a capital.
fn title(values: &[Value]) -> Outcome {
    let mut titled = String::new();
    let mut in_word = false;
    for c in text(values, 0)?.chars() {
        if in_word {
            titled.push(c)
        } else {
            titled.extend(c.to_uppercase())
        }
        in_word = c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace());
    }
    Ok(Value::from(titled))
}

fn to_upper(values: &[Value]) -> Outcome {
    Ok(Value::from(text(values, 0)?.to_uppercase()))
}

fn to_lower(values: &[Value]) -> Outcome {
    Ok(Value::from(text(values, 0)?.to_lowercase()))
}

/// `host:port` or `[host]:port` in its two parts.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(rest) => Some((rest.strip_suffix(']').filter(|host| !host.contains(['[', ']']))?, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_port(values: &[Value]) -> Outcome {
    let whole = text(values, 0)?;
    Ok(Value::from(split_host_port(&whole).map_or(whole.as_str(), |(host, _)| host)))
}

fn strip_domain(values: &[Value]) -> Outcome {
    let whole = text(values, 0)?;
    let (host, port) = split_host_port(&whole).unwrap_or((&whole, ""));
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Value::from(whole));
    }
    let host = host.split('.').next().unwrap_or_default();
    Ok(Value::from(if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }))
}

/// A text as it stands in the query of an address.
fn query_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn graph_link(values: &[Value]) -> Outcome {
    Ok(Value::from(format!("/graph?g0.expr={}&g0.tab=0", query_escaped(&text(values, 0)?))))
}

fn table_link(values: &[Value]) -> Outcome {
    Ok(Value::from(format!("/graph?g0.expr={}&g0.tab=1", query_escaped(&text(values, 0)?))))
}

fn parse_duration(values: &[Value]) -> Outcome {
    let whole = text(values, 0)?;
    let span = prometheus_duration(&whole).ok_or_else(|| wrong(format!("not a valid duration string: \"{whole}\"")))?;
    Ok(float(span.as_seconds()))
}

/// Four significant digits.
fn short(value: f64) -> String {
    format_float(value, FloatFormat::General, Some(4))
}

/// Divides by `unit` until less than one unit is left; the last prefix reached names what it was divided by.
fn scaled_down(mut value: f64, unit: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut reached = "";
    for prefix in prefixes {
        if value.abs() < unit {
            break;
        }
        reached = prefix;
        value /= unit;
    }
    (value, reached)
}

fn scaled_up(mut value: f64) -> (f64, &'static str) {
    let mut reached = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        reached = prefix;
        value *= 1000.0;
    }
    (value, reached)
}

fn humanize(values: &[Value]) -> Outcome {
    let value = number(values, 0)?;
    if value == 0.0 || !value.is_finite() {
        return Ok(Value::from(short(value)));
    }
    let large = value.abs() >= 1.0;
    let (value, prefix) = if large { scaled_down(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) } else { scaled_up(value) };
    Ok(Value::from(format!("{}{prefix}", short(value))))
}

fn humanize_1024(values: &[Value]) -> Outcome {
    let value = number(values, 0)?;
    if value.abs() <= 1.0 || !value.is_finite() {
        return Ok(Value::from(short(value)));
    }
    let (value, prefix) = scaled_down(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    Ok(Value::from(format!("{}{prefix}", short(value))))
}

fn humanize_duration(values: &[Value]) -> Outcome {
    let value = number(values, 0)?;
    if !value.is_finite() {
        return Ok(Value::from(short(value)));
    }
    if value == 0.0 {
        return Ok(Value::from(format!("{}s", short(value))));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled_up(value);
        return Ok(Value::from(format!("{}{prefix}s", short(value))));
    }
    let (sign, size) = (if value < 0.0 { "-" } else { "" }, value.abs());
    let whole = size as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    Ok(Value::from(if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(size))
    }))
}

fn humanize_percentage(values: &[Value]) -> Outcome {
    Ok(Value::from(format!("{}%", short(number(values, 0)? * 100.0))))
}

/// A moment as Go writes it: `2022-01-25 12:36:43.5 +0000 UTC`.
fn humanize_timestamp(values: &[Value]) -> Outcome {
    let seconds = number(values, 0)?;
    if !seconds.is_finite() {
        return Ok(Value::from(short(seconds)));
    }
    if (seconds * 1e9).abs() > i64::MAX as f64 {
        return Err(wrong(format!("{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64")));
    }
    let rfc = Start::from_unix_millis((seconds * 1000.0).floor() as i64).to_string();
    let clock = rfc.replace('T', " ").replace('Z', "");
    let trimmed = if clock.contains('.') { clock.trim_end_matches('0') } else { &clock };
    Ok(Value::from(format!("{trimmed} +0000 UTC")))
}

/// As [`humanize_timestamp`], and what is no moment is an error.
fn to_time(values: &[Value]) -> Outcome {
    if number(values, 0)?.is_finite() { humanize_timestamp(values) } else { Err(wrong("value is NaN or Inf")) }
}

/// A span as Go writes it: `2h10m15s`, `1.5s`, `250ms`.
fn to_duration(values: &[Value]) -> Outcome {
    let seconds = number(values, 0)?;
    let (sign, size) = (if seconds < 0.0 { "-" } else { "" }, seconds.abs());
    if size == 0.0 {
        return Ok(Value::from("0s"));
    }
    for (unit, factor) in [("ns", 1e9), ("µs", 1e6), ("ms", 1e3)] {
        if size < 1000.0 / factor && size < 1.0 {
            return Ok(Value::from(format!("{sign}{}{unit}", size * factor)));
        }
    }
    let (hours, minutes) = ((size / 3600.0).floor(), (size / 60.0).floor() % 60.0);
    let rest = size - hours * 3600.0 - minutes * 60.0;
    Ok(Value::from(if hours > 0.0 {
        format!("{sign}{hours}h{minutes}m{rest}s")
    } else if minutes > 0.0 {
        format!("{sign}{minutes}m{rest}s")
    } else {
        format!("{sign}{rest}s")
    }))
}
