//! The functions of templates: those of Prometheus here, with those of Go in one table.

use std::net::IpAddr;
use std::rc::Rc;

use firedrill_telemetry::patterns;
use firedrill_telemetry::promql::Sample;
use regex::Regex;

use super::super::document::prometheus_duration;
use super::scene::Scene;
use super::value::{Failure, Kind, Value};
use super::{builtins, compare, floats, literals, times, verbs};

/// What a function comes to.
type Outcome = Result<Value, Failure>;

/// A function, and what it takes.
pub(super) struct Function {
    name: &'static str,
    /// The last of them any number of times, if it is variadic.
    kinds: &'static [Kind],
    is_variadic: bool,
    pub(super) call: fn(&[Value], &Scene) -> Outcome,
}

impl Function {
    /// What it takes at a place.
    pub(super) fn kind(&self, index: usize) -> Kind {
        self.kinds.get(index).or(self.kinds.last()).copied().unwrap_or(Kind::Any)
    }

    /// Refuses too many and too few arguments.
    pub(super) fn check_count(&self, count: usize) -> Result<(), Failure> {
        let wanted = self.kinds.len();
        if self.is_variadic && count + 1 < wanted {
            return Err(format!("wrong number of args for {}: want at least {} got {count}", self.name, wanted - 1));
        }
        if !self.is_variadic && count != wanted {
            return Err(format!("wrong number of args for {}: want {wanted} got {count}", self.name));
        }
        Ok(())
    }
}

/// The function of a name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

const fn fixed(name: &'static str, kinds: &'static [Kind], call: fn(&[Value], &Scene) -> Outcome) -> Function {
    Function { name, kinds, is_variadic: false, call }
}

const fn variadic(name: &'static str, kinds: &'static [Kind], call: fn(&[Value], &Scene) -> Outcome) -> Function {
    Function { name, kinds, is_variadic: true, call }
}

const ANY: Kind = Kind::Any;
const TEXT: Kind = Kind::Text;

const ALL: &[Function] = &[
    // Go's.
    variadic("and", &[ANY, ANY], |values, _| Ok(values.last().cloned().unwrap_or(Value::Nil))),
    variadic("or", &[ANY, ANY], |values, _| Ok(values.last().cloned().unwrap_or(Value::Nil))),
    fixed("not", &[ANY], |values, _| Ok(Value::Bool(!values[0].is_true()))),
    variadic("eq", &[ANY, ANY], |values, _| compare::eq(values).map(Value::Bool)),
    fixed("ne", &[ANY, ANY], |values, _| compare::ne(values).map(Value::Bool)),
    fixed("lt", &[ANY, ANY], |values, _| compare::lt(values).map(Value::Bool)),
    fixed("le", &[ANY, ANY], |values, _| compare::le(values).map(Value::Bool)),
    fixed("gt", &[ANY, ANY], |values, _| compare::gt(values).map(Value::Bool)),
    fixed("ge", &[ANY, ANY], |values, _| compare::ge(values).map(Value::Bool)),
    variadic("index", &[ANY, ANY], |values, _| builtins::index(values)),
    variadic("slice", &[ANY, ANY], |values, _| builtins::slice(values)),
    fixed("len", &[ANY], |values, _| builtins::len(&values[0])),
    variadic("print", &[ANY], |values, _| verbs::print(values).map(Value::Text)),
    variadic("println", &[ANY], |values, _| verbs::println(values).map(Value::Text)),
    variadic("printf", &[TEXT, ANY], |values, _| verbs::printf(text(&values[0]), &values[1..]).map(Value::Text)),
    variadic("html", &[ANY], |values, _| builtins::joined(values).map(|text| Value::Text(builtins::html(&text)))),
    variadic("js", &[ANY], |values, _| builtins::joined(values).map(|text| Value::Text(builtins::js(&text)))),
    variadic("urlquery", &[ANY], |values, _| builtins::joined(values).map(|text| Value::Text(builtins::query_escaped(&text)))),
    variadic("call", &[ANY, ANY], |values, _| Err(format!("non-function of type {}", values[0].type_name()))),
    // Prometheus'.
    fixed("query", &[TEXT], query),
    fixed("first", &[Kind::Samples], first),
    fixed("label", &[TEXT, Kind::Sample], |values, _| Ok(Value::Text(label_of(&values[1], text(&values[0]))))),
    fixed("value", &[Kind::Sample], |values, _| values[0].field("Value")),
    fixed("strvalue", &[Kind::Sample], |values, _| Ok(Value::Text(label_of(&values[0], "__value__")))),
    fixed("sortByLabel", &[TEXT, Kind::Samples], sort_by_label),
    variadic("args", &[ANY], args),
    fixed("safeHtml", &[TEXT], |values, _| Ok(Value::Html(text(&values[0]).to_owned()))),
    fixed("externalURL", &[], |_, scene| Ok(Value::Text(scene.external_url.clone()))),
    fixed("pathPrefix", &[], path_prefix),
    fixed("now", &[], |_, scene| Ok(Value::Float(scene.at_ms as f64 / 1000.0))),
    fixed("match", &[TEXT, TEXT], |values, _| Ok(Value::Bool(pattern(text(&values[0]))?.is_match(text(&values[1]))))),
    fixed("reReplaceAll", &[TEXT, TEXT, TEXT], replace_all),
    fixed("title", &[TEXT], |values, _| Ok(Value::Text(title(text(&values[0]))))),
    fixed("toUpper", &[TEXT], |values, _| Ok(Value::Text(text(&values[0]).chars().map(upper).collect()))),
    fixed("toLower", &[TEXT], |values, _| Ok(Value::Text(text(&values[0]).chars().map(lower).collect()))),
    fixed("stripPort", &[TEXT], strip_port),
    fixed("stripDomain", &[TEXT], strip_domain),
    fixed("graphLink", &[TEXT], |values, _| Ok(link(text(&values[0]), 0))),
    fixed("tableLink", &[TEXT], |values, _| Ok(link(text(&values[0]), 1))),
    fixed("parseDuration", &[TEXT], parse_duration),
    fixed("humanize", &[ANY], |values, _| number(&values[0]).map(|value| Value::Text(humanized(value)))),
    fixed("humanize1024", &[ANY], |values, _| number(&values[0]).map(|value| Value::Text(humanized_1024(value)))),
    fixed("humanizeDuration", &[ANY], |values, _| number(&values[0]).map(|value| Value::Text(humanized_duration(value)))),
    fixed("humanizePercentage", &[ANY], |values, _| number(&values[0]).map(|value| Value::Text(format!("{}%", short(value * 100.0))))),
    fixed("humanizeTimestamp", &[ANY], humanize_timestamp),
    fixed("toTime", &[ANY], |values, _| moment(number(&values[0])?).map(Value::Time)),
    fixed("toDuration", &[ANY], to_duration),
];

/// A text that was admitted as such.
fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

/// A number, or a text that holds one.
fn number(value: &Value) -> Result<f64, Failure> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Text(text) => literals::float(text).ok_or_else(|| format!("strconv.ParseFloat: parsing \"{text}\": invalid syntax")),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn label_of(sample: &Value, name: &str) -> String {
    match sample {
        Value::Sample(sample) => label_text(sample, name),
        _ => String::new(),
    }
}

fn label_text(sample: &Sample, name: &str) -> String {
    sample.labels.iter().find(|(known, _)| &**known == name).map_or_else(String::new, |(_, value)| value.to_string())
}

fn query(values: &[Value], scene: &Scene) -> Outcome {
    let samples = (scene.ask)(text(&values[0]))?;
    Ok(Value::Samples(Rc::new(samples.into_iter().map(Rc::new).collect())))
}

fn first(values: &[Value], _: &Scene) -> Outcome {
    let Value::Samples(samples) = &values[0] else { return Ok(Value::Nil) };
    samples.first().cloned().map(Value::Sample).ok_or_else(|| "first() called on vector with no elements".to_owned())
}

fn sort_by_label(values: &[Value], _: &Scene) -> Outcome {
    let Value::Samples(samples) = &values[1] else { return Ok(Value::Nil) };
    let mut sorted = samples.to_vec();
    sorted.sort_by_key(|sample| label_text(sample, text(&values[0])));
    Ok(Value::Samples(sorted.into()))
}

fn args(values: &[Value], _: &Scene) -> Outcome {
    Ok(Value::Args(Rc::new(values.iter().enumerate().map(|(index, value)| (format!("arg{index}"), value.clone())).collect())))
}

fn path_prefix(_: &[Value], scene: &Scene) -> Outcome {
    let url = &scene.external_url;
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    Ok(Value::Text(path.split(['?', '#']).next().unwrap_or_default().to_owned()))
}

fn replace_all(values: &[Value], _: &Scene) -> Outcome {
    let pattern = pattern(text(&values[0]))?;
    Ok(Value::Text(pattern.replace_all(text(&values[2]), text(&values[1])).into_owned()))
}

fn pattern(text: &str) -> Result<Regex, Failure> {
    patterns::compiled(text).map_err(|reason| format!("`{text}` is no regular expression: {reason}"))
}

/// A letter as a capital, if that is one letter.
fn upper(c: char) -> char {
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => c,
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// The first letter of each word as a capital.
fn title(text: &str) -> String {
    let mut in_word = false;
    let letter = |c: char| {
        let written = if in_word { c } else { upper(c) };
        in_word = c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace());
        written
    };
    text.chars().map(letter).collect()
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

fn strip_port(values: &[Value], _: &Scene) -> Outcome {
    let whole = text(&values[0]);
    Ok(Value::Text(split_host_port(whole).map_or(whole, |(host, _)| host).to_owned()))
}

fn strip_domain(values: &[Value], _: &Scene) -> Outcome {
    let whole = text(&values[0]);
    let (host, port) = split_host_port(whole).unwrap_or((whole, ""));
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Value::Text(whole.to_owned()));
    }
    let host = host.split('.').next().unwrap_or_default();
    Ok(Value::Text(if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }))
}

fn link(expression: &str, tab: u8) -> Value {
    Value::Text(format!("/graph?g0.expr={}&g0.tab={tab}", builtins::query_escaped(expression)))
}

fn parse_duration(values: &[Value], _: &Scene) -> Outcome {
    let whole = text(&values[0]);
    let span = prometheus_duration(whole).ok_or_else(|| format!("not a valid duration string: \"{whole}\""))?;
    Ok(Value::Float(span.as_seconds()))
}

/// Four significant digits.
fn short(value: f64) -> String {
    floats::written(value, 'g', Some(4))
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

fn humanized(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return short(value);
    }
    let large = value.abs() >= 1.0;
    let (value, prefix) = if large { scaled_down(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) } else { scaled_up(value) };
    format!("{}{prefix}", short(value))
}

fn humanized_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return short(value);
    }
    let (value, prefix) = scaled_down(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", short(value))
}

fn humanized_duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return format!("{}s", short(value));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled_up(value);
        return format!("{}{prefix}s", short(value));
    }
    let (sign, size) = (if value < 0.0 { "-" } else { "" }, value.abs());
    // A float beyond all integers becomes the least one, on the processors that Prometheus mostly runs on.
    let whole = if size < 9_223_372_036_854_775_808.0 { size as i64 } else { i64::MIN };
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(size))
    }
}

/// Seconds as nanoseconds that fit 63 bits.
fn nanoseconds(seconds: f64, what: &str) -> Result<i64, Failure> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let nanos = seconds * 1e9;
    if nanos.abs() > i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds {what} since it overflows int64",
            floats::written(seconds, 'g', None)
        ));
    }
    Ok(nanos as i64)
}

/// A moment, Unix milliseconds.
fn moment(seconds: f64) -> Result<i64, Failure> {
    Ok(nanoseconds(seconds, "timestamp")? / 1_000_000)
}

fn humanize_timestamp(values: &[Value], _: &Scene) -> Outcome {
    let seconds = number(&values[0])?;
    if !seconds.is_finite() {
        return Ok(Value::Text(short(seconds)));
    }
    Ok(Value::Text(times::moment(moment(seconds)?)))
}

fn to_duration(values: &[Value], _: &Scene) -> Outcome {
    nanoseconds(number(&values[0])?, "duration").map(Value::Duration)
}
