//! The functions that Go gives to all templates.

use super::value::{Failure, Value};
use super::verbs;

/// An element of a map, a list or a text, and elements of that.
pub(super) fn index(values: &[Value]) -> Result<Value, Failure> {
    let Some((whole, keys)) = values.split_first() else { return Ok(Value::Nil) };
    if let Value::Nil = whole {
        return Err("index of untyped nil".to_owned());
    }
    keys.iter().try_fold(whole.clone(), |whole, key| element(&whole, key))
}

fn element(whole: &Value, key: &Value) -> Result<Value, Failure> {
    match whole {
        Value::Labels(_) | Value::Args(_) => match key {
            Value::Text(name) => whole.field(name),
            Value::Nil => Err("value is nil; should be of type string".to_owned()),
            other => Err(format!("value has type {}; should be string", other.type_name())),
        },
        Value::Text(text) | Value::Html(text) => Ok(Value::Byte(text.as_bytes()[position(key, text.len(), false)?])),
        Value::Samples(samples) => Ok(Value::Sample(samples[position(key, samples.len(), false)?].clone())),
        Value::Nil => Err("index of nil pointer".to_owned()),
        other => Err(format!("can't index item of type {}", behind(other))),
    }
}

/// A place in something of a length; the end is one if it may be.
fn position(key: &Value, length: usize, may_end: bool) -> Result<usize, Failure> {
    let number = match key {
        Value::Int(number) => *number,
        Value::Byte(number) => i64::from(*number),
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let position = usize::try_from(number).ok().filter(|position| *position < length || may_end && *position == length);
    position.ok_or_else(|| format!("index out of range: {number}"))
}

/// What a pointer points to.
fn behind(value: &Value) -> &'static str {
    value.type_name().trim_start_matches('*')
}

/// A part of a text or a list.
pub(super) fn slice(values: &[Value]) -> Result<Value, Failure> {
    let Some((whole, bounds)) = values.split_first() else { return Ok(Value::Nil) };
    let length = match whole {
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        Value::Text(text) | Value::Html(text) if bounds.len() < 3 => text.len(),
        Value::Text(_) | Value::Html(_) => return Err("cannot 3-index slice a string".to_owned()),
        // Go looks at what room a list has, which is nowhere told.
        Value::Samples(samples) => samples.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let places: Vec<usize> = bounds.iter().map(|bound| position(bound, length, true)).collect::<Result<_, _>>()?;
    if let Some(pair) = places.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(format!("invalid slice index: {} > {}", pair[0], pair[1]));
    }
    let range = places.first().copied().unwrap_or(0)..places.get(1).copied().unwrap_or(length);
    match whole {
        Value::Samples(samples) => Ok(Value::Samples(samples[range].to_vec().into())),
        Value::Text(text) => part(text, range).map(Value::Text),
        Value::Html(text) => part(text, range).map(Value::Html),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

fn part(text: &str, range: std::ops::Range<usize>) -> Result<String, Failure> {
    text.get(range).map(str::to_owned).ok_or_else(|| "a text is cut within a character".to_owned())
}

/// How many bytes a text has, or elements a list or a map.
pub(super) fn len(value: &Value) -> Result<Value, Failure> {
    let length = match value {
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::Labels(labels) => labels.len(),
        Value::Args(args) => args.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", behind(other))),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// The values in one text, as `html` and its like take them.
pub(super) fn joined(values: &[Value]) -> Result<String, Failure> {
    if let [Value::Text(text)] = values {
        return Ok(text.clone());
    }
    // What is behind pointers is written, and nothing is as actions write it.
    let plain = |value: &Value| match value {
        Value::Nil | Value::Sample(_) | Value::Time(_) | Value::Duration(_) => verbs::printed(value).map(Written::Elsewhere),
        other => Ok(Written::Here(other.clone())),
    };
    let mut out = String::new();
    let mut was_text = true;
    for (at, value) in values.iter().enumerate() {
        let (text, is_text) = match plain(value)? {
            Written::Elsewhere(text) => (text, matches!(value, Value::Nil)),
            Written::Here(value) => (verbs::print(std::slice::from_ref(&value))?, matches!(value, Value::Text(_) | Value::Html(_))),
        };
        if at > 0 && !is_text && !was_text {
            out.push(' ');
        }
        out.push_str(&text);
        was_text = is_text;
    }
    Ok(out)
}

/// A value as a text, or the value.
enum Written {
    Elsewhere(String),
    Here(Value),
}

pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | '\0'..=' ' if c != ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_ascii() || verbs::is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out
}

/// A text as it stands in the query of an address.
pub(super) fn query_escaped(text: &str) -> String {
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
