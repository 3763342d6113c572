//! Literals as Go has them: `2.0` is a float, of which the engine would make an integer, and in a raw text a backslash is a backslash.

use std::borrow::Cow;

use super::bare::{actions, is_of_word, quoted, word};

/// The function that stands where a float literal stood. No template of people's own can mean it.
pub(super) const FLOAT: &str = "__float";

/// The text with each float literal as a call of [`FLOAT`], and each raw text as a quoted one.
pub(super) fn in_go(text: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let mut kept = 0;
    for action in actions(text) {
        let mut at = action.start;
        while at < action.end {
            let rest = &text[at..action.end];
            let length = number(rest);
            if length > 0 {
                if is_float(&rest[..length]) {
                    changed.push_str(&text[kept..at]);
                    changed.push_str(&format!("({FLOAT} \"{}\")", &rest[..length]));
                    kept = at + length;
                }
                at += length;
            } else {
                let length = other(rest);
                if let Some(quoted) = in_plain_escapes(&rest[..length]) {
                    changed.push_str(&text[kept..at]);
                    changed.push_str(&quoted);
                    kept = at + length;
                }
                at += length;
            }
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    changed.push_str(&text[kept..]);
    Cow::Owned(changed)
}

/// A raw text, or one with characters by their numbers (`\u00e9`), as a quoted one that the engine reads as Go reads this; `None` for others.
fn in_plain_escapes(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`').and_then(|raw| raw.strip_suffix('`')) {
        return Some(as_quoted(raw));
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let (mut plain, mut rest, mut is_changed) = (String::new(), inner, false);
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let kind = after.chars().next()?;
        let digits = match kind {
            'u' => Some(1..5),
            'U' => Some(1..9),
            _ => None,
        };
        let numbered = digits.and_then(|digits| Some((digits.end, char::from_u32(u32::from_str_radix(after.get(digits)?, 16).ok()?)?)));
        match numbered.filter(|(_, character)| !character.is_control() && !matches!(character, '"' | '\\')) {
            Some((length, character)) => {
                is_changed = true;
                plain.push(character);
                rest = &after[length..];
            }
            None => {
                plain.push('\\');
                plain.push(kind);
                rest = &after[kind.len_utf8()..];
            }
        }
    }
    plain.push_str(rest);
    is_changed.then(|| format!("\"{plain}\""))
}

/// A raw text, with escapes.
fn as_quoted(raw: &str) -> String {
    let escaped = raw.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n").replace('\t', r"\t").replace('\r', "");
    format!("\"{escaped}\"")
}

/// How long what is no number is: a text, a name with its fields, or one character.
fn other(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 1 };
    let is_name = is_of_word(first) || matches!(first, '$' | '.');
    quoted(text).unwrap_or_else(|| first.len_utf8() + if is_name { word(&text[first.len_utf8()..]) } else { 0 })
}

/// How long the number is that a text begins with; 0 if it begins with none.
fn number(text: &str) -> usize {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = text.len() - unsigned.len();
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    if sign > 1 || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    let bytes = unsigned.as_bytes();
    let is_part = |at: usize| {
        let byte = bytes[at];
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.')
            || matches!(byte, b'+' | b'-') && at > 0 && matches!(bytes[at - 1], b'e' | b'E') && !is_hexadecimal(unsigned)
    };
    sign + (0..bytes.len()).take_while(|at| is_part(*at)).count()
}

fn is_hexadecimal(literal: &str) -> bool {
    literal.starts_with("0x") || literal.starts_with("0X")
}

/// Whether Go reads it as a float: with a point or an exponent. Hexadecimal floats are left to the engine.
fn is_float(literal: &str) -> bool {
    let unsigned = literal.trim_start_matches(['+', '-']);
    !is_hexadecimal(unsigned) && unsigned.contains(['.', 'e', 'E']) && value(literal).is_some()
}

/// The value of a float literal.
pub(super) fn value(literal: &str) -> Option<f64> {
    literal.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(in_go(text), expected);
    }

    #[test]
    fn a_float_literal_becomes_a_call_and_nothing_else_does() {
        check("at 2.0 {{ gt $value 2.0 }} 2.0", r#"at 2.0 {{ gt $value (__float "2.0") }} 2.0"#);
        check("{{1e6}}{{ -1.5 | humanize }}", r#"{{(__float "1e6")}}{{ (__float "-1.5") | humanize }}"#);
        check("{{ eq .5 1E+3 2e-1 }}", r#"{{ eq (__float ".5") (__float "1E+3") (__float "2e-1") }}"#);
        check("{{ printf \"%.1f 2.0\" 3 -4 }}{{/* 1.0 */}}", "{{ printf \"%.1f 2.0\" 3 -4 }}{{/* 1.0 */}}");
        check("{{ $x1.e5 }}{{ .Labels.e1 }}{{ index $v 0x1e }}{{ a1e5 }}", "{{ $x1.e5 }}{{ .Labels.e1 }}{{ index $v 0x1e }}{{ a1e5 }}");
        check("{{- 1 -}} é {{ \"2.0\" }}", "{{- 1 -}} é {{ \"2.0\" }}");
    }

    #[test]
    fn a_raw_text_is_quoted() {
        check("`a` {{ match `^\\w+\"$` `2.0` }}", r#"`a` {{ match "^\\w+\"$" "2.0" }}"#);
        check("{{ `a\nb` }}", r#"{{ "a\nb" }}"#);
        check(r#"{{ "\t\u00e9 \U0001F525 \\u00e9 \"" }}"#, r#"{{ "\té 🔥 \\u00e9 \"" }}"#);
    }
}
