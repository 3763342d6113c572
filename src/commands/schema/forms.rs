//! What may stand under a key, as JSON Schema: values with their patterns, words, lists, maps, and what has a block of its own.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::skeleton::Skeleton;

/// A number as quantities have it.
macro_rules! number {
    () => {
        "[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?"
    };
}

/// Forms as they are asked for, and the definitions that they refer to.
pub(super) struct Forms<'s> {
    skeleton: &'s Skeleton<'s>,
    asked: BTreeSet<&'s str>,
    waiting: VecDeque<&'s str>,
}

impl<'s> Forms<'s> {
    /// Nothing is asked for yet.
    pub(super) fn new(skeleton: &'s Skeleton<'s>) -> Self {
        Self { skeleton, asked: BTreeSet::new(), waiting: VecDeque::new() }
    }

    /// What has been referred to and is not defined yet, each once.
    pub(super) fn pop(&mut self) -> Option<&'s str> {
        self.waiting.pop_front()
    }

    /// Whatever one of several forms allows: `=none | list of name`.
    pub(super) fn form(&mut self, text: &'s str) -> Value {
        let (words, others): (Vec<&str>, Vec<&str>) = text.split(" | ").partition(|form| form.starts_with('='));
        let words: Vec<&str> = words.iter().map(|word| &word[1..]).collect();
        let mut forms: Vec<Value> = if words.is_empty() { Vec::new() } else { vec![json!({ "enum": words })] };
        forms.extend(others.into_iter().map(|form| self.one(form)));
        match forms.len() {
            1 => forms.remove(0),
            _ => json!({ "anyOf": forms }),
        }
    }

    fn one(&mut self, text: &'s str) -> Value {
        if let Some(items) = text.strip_prefix("list of ") {
            return json!({ "type": "array", "items": self.form(items) });
        }
        if let Some(values) = text.strip_prefix("map of ") {
            return json!({ "type": "object", "additionalProperties": self.form(values) });
        }
        for kind in ["integer", "number"] {
            if let Some(range) = text.strip_prefix(kind) {
                return within(kind, range.trim_start());
            }
        }
        let is_known = self.skeleton.types.contains_key(text) || self.skeleton.aliases.contains_key(text) || atom(text).is_some();
        assert!(is_known, "nothing says what `{text}` is");
        if self.asked.insert(text) {
            self.waiting.push_back(text);
        }
        json!({ "$ref": format!("#/$defs/{text}") })
    }
}

/// `1..10`, `1..`, or nothing.
fn within(kind: &str, range: &str) -> Value {
    let mut schema = json!({ "type": kind });
    let (least, most) = range.split_once("..").unwrap_or_default();
    for (key, bound) in [("minimum", least), ("maximum", most)] {
        if let Ok(whole) = bound.parse::<i64>() {
            schema[key] = whole.into();
        } else if let Ok(number) = bound.parse::<f64>() {
            schema[key] = number.into();
        }
    }
    schema
}

/// A form, or nothing at all.
pub(super) fn or_nothing(form: Value) -> Value {
    json!({ "anyOf": [form, { "type": "null" }] })
}

/// What needs no block; `None`: no value is called so.
pub(super) fn atom(name: &str) -> Option<Value> {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    Some(match name {
        "bool" => json!({ "type": "boolean" }),
        "text" => json!({ "type": "string" }),
        // Prometheus' own files take a number for a text.
        "scalar" => json!({ "type": ["string", "number", "boolean"] }),
        "nothing" => json!({ "type": ["object", "null"], "maxProperties": 0 }),
        "name" => text("^[A-Za-z0-9_.:/-]+$"),
        "duration" => text("^(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w))+$"),
        "prometheus_duration" => text("^(0|([0-9]+(ms|s|m|h|d|w|y))+)$"),
        "share" | "share_beyond" => text(concat!("^", number!(), "\\s*%$")),
        "factor" => text(concat!("^(x\\s*", number!(), "|", number!(), "\\s*x)$")),
        "rate" => text(concat!("^", number!(), "\\s*/\\s*[smh]$")),
        "size" => text(concat!("^", number!(), "\\s*([kKMG]?B|[KMG]iB)$")),
        "growth" => text(concat!("^", number!(), "\\s*([kKMG]?B|[KMG]iB)/s$")),
        "instant" => text("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &'static str) -> Value {
        let skeleton = Skeleton::read(&["type known\na text"]);
        let skeleton: &'static Skeleton<'static> = Box::leak(Box::new(skeleton));
        Forms::new(skeleton).form(text)
    }

    #[test]
    fn forms_are_what_they_say() {
        assert_eq!(form("=a | =b"), json!({ "enum": ["a", "b"] }));
        assert_eq!(form("list of known"), json!({ "type": "array", "items": { "$ref": "#/$defs/known" } }));
        let either = json!({ "anyOf": [{ "enum": ["none"] }, { "type": "integer", "minimum": 1, "maximum": 9 }] });
        assert_eq!(form("integer 1..9 | =none"), either);
        assert_eq!(form("number 0.5.."), json!({ "type": "number", "minimum": 0.5 }));
        assert_eq!(form("map of name"), json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/name" } }));
    }

    #[test]
    #[should_panic(expected = "nothing says what `unknown` is")]
    fn a_form_that_nothing_defines_is_a_mistake() {
        form("list of unknown");
    }

    #[track_caller]
    fn check(name: &str, fit: &[&str], unfit: &[&str]) {
        let schema = jsonschema::validator_for(&atom(name).unwrap()).unwrap();
        for text in fit {
            assert!(schema.is_valid(&json!(text)), "{name}: {text}");
        }
        for text in unfit {
            assert!(!schema.is_valid(&json!(text)), "{name}: {text}");
        }
    }

    #[test]
    fn values_with_units_are_told_from_those_without() {
        check("duration", &["30s", "1h30m", "250ms", "14d", "1.5s", "0s"], &["30", "s", "-5s", "5 minutes", ""]);
        check("share", &["25%", "0.5%", "100 %"], &["25", "%", "a%"]);
        check("factor", &["x3", "x0.5", "2x"], &["3", "x", "xx2"]);
        check("rate", &["40/s", "600/m", "0.5/h"], &["40", "40/d", "/s"]);
        check("size", &["512MiB", "0B", "1.5GiB", "10 kB"], &["512", "5TiB", "MiB"]);
        check("growth", &["1MiB/s"], &["1MiB", "1MiB/m"]);
        check("name", &["checkout-0", "a.b:c/d_e"], &["", "a b", "a$"]);
        check("instant", &["2026-01-05T09:02:00Z", "2026-01-05 09:02:00.5+01:00"], &["2026-01-05", "yesterday"]);
        check("prometheus_duration", &["0", "5m", "1h30m", "1w"], &["5", "1.5s", ""]);
    }
}
