//! The text of an expression before the parser sees it: `$name` and patterns are carried through as marked strings, never pasted; bounds;
//! experimental syntax.

use std::collections::BTreeMap;

use super::plan::{MissingParameter, PlanError};
use crate::labels::write_quoted;

/// Marks a string literal that stands for a parameter. A private-use character, refused in the texts that people write.
const MARK: char = '\u{e000}';

/// Marks a string literal that is a pattern, which the parser would read as Rust does.
const PATTERN_MARK: char = '\u{e001}';

/// At most so many operators and brackets: the parser and the evaluator recurse by them. Real rules have at most a few dozen.
const MOST_OPERATORS: usize = 500;

/// At most so many bytes of expression.
const MOST_BYTES: usize = 65_536;

/// The parameter that a string value stands for.
pub(crate) fn parameter_of(value: &str) -> Option<&str> {
    value.strip_prefix(MARK)
}

/// The pattern that a string value is, behind `=` for `=~` and `!=` for `!~`.
pub(crate) fn pattern_of(value: &str) -> Option<&str> {
    value.strip_prefix(PATTERN_MARK)
}

/// A parameter stands where a value that is no label's is wanted.
pub(crate) fn misplaced(parameter: &str) -> PlanError {
    PlanError::Parse { message: format!("${parameter} can only stand for the value of a label, as in {{service=${parameter}}}") }
}

/// Rewrites an expression for the parser: each `$name` becomes a marked string literal if parameters are allowed, and so does each pattern.
///
/// # Errors
/// Too long, too deep, a parameter where none is allowed or without a name, or a string whose escapes are no UTF-8.
pub(crate) fn prepare(text: &str, allowed: bool) -> Result<String, PlanError> {
    let wrong = |message: String| PlanError::Parse { message };
    if text.len() > MOST_BYTES {
        return Err(wrong(format!("the expression is longer than {MOST_BYTES} bytes")));
    }
    if let Some(mark) = text.chars().find(|c| [MARK, PATTERN_MARK].contains(c)) {
        return Err(wrong(format!("the character U+{:X} cannot stand in an expression", u32::from(mark))));
    }
    refuse_long_durations(text)?;
    let mut out = String::with_capacity(text.len() + 16);
    let mut operators = 0;
    let mut in_braces = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = pattern_operator_length(rest).filter(|_| in_braces) {
            out.push_str(if c == '=' { "=" } else { "!=" });
            out.extend(rest[length..].chars().next());
            out.push(PATTERN_MARK);
            rest = &rest[length..];
            let length = literal_length(rest, allowed)?;
            // One that nobody closes may be a quote alone.
            let written = rest.get(1..length.saturating_sub(1)).unwrap_or_default();
            let pattern = if rest.starts_with('`') { written.to_owned() } else { written.replace(r"\\", r"\") };
            if let Some(name) = parameter_in_pattern(&pattern).filter(|_| allowed) {
                return Err(wrong(format!(
                    "`${name}` within a pattern is no label's value, for `$` is the end of the text there, and nothing matches: write a matcher \
                     of its own, such as service=$service"
                )));
            }
            out.push_str(&rest[1..length]);
            rest = &rest[length..];
            continue;
        }
        let taken = match c {
            '"' | '\'' | '`' => literal_length(rest, allowed && in_braces)?,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '$' if !allowed => return Err(wrong("a parameter ($name) cannot stand here".to_owned())),
            '$' => {
                let length = 1 + rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
                if length == 1 {
                    return Err(wrong("a `$` without the name of a parameter".to_owned()));
                }
                if !in_braces {
                    return Err(misplaced(&rest[1..length]));
                }
                out.extend(['"', MARK]);
                out.push_str(&rest[1..length]);
                out.push('"');
                rest = &rest[length..];
                continue;
            }
            _ => c.len_utf8(),
        };
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            '(' | '[' | '+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' | '=' | '!' if !in_braces => operators += 1,
            ' ' | '\t' | '\n' if [" or ", " and ", " unless ", " atan2 "].iter().any(|word| starts_with_word(rest, word)) => operators += 1,
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    if operators > MOST_OPERATORS {
        return Err(wrong(format!("the expression has more than {MOST_OPERATORS} operators and brackets")));
    }
    Ok(out)
}

/// An expression that reads, with each `$name` outside of strings written as the text of its value, quoted and escaped, and without comments.
///
/// # Errors
/// A parameter has no value.
pub(crate) fn bound_text(text: &str, values: &BTreeMap<String, String>) -> Result<String, MissingParameter> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' | '\'' | '`' => string_length(rest).unwrap_or(rest.len()),
            '#' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '$' => {
                let length = 1 + rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
                let name = &rest[1..length];
                let value = values.get(name).ok_or_else(|| MissingParameter(name.to_owned()))?;
                // Writing into a text cannot fail.
                let _ = write_quoted(&mut out, value);
                rest = &rest[length..];
                continue;
            }
            _ => c.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Ok(out.trim().to_owned())
}

/// The length of `=~` or `!~`, with blanks, at the start of the text if a string literal follows.
fn pattern_operator_length(text: &str) -> Option<usize> {
    let tail = text.strip_prefix("=~").or_else(|| text.strip_prefix("!~"))?.trim_start();
    tail.starts_with(['"', '\'', '`']).then_some(text.len() - tail.len())
}

/// The length of the string literal at the start of the text, which is no quoted parameter where there may be one.
fn literal_length(text: &str, may_be_parameter: bool) -> Result<usize, PlanError> {
    let length = string_length(text)?;
    match quoted_parameter(&text[..length]).filter(|_| may_be_parameter) {
        Some(name) => {
            let message = format!("\"${name}\" is a text, not the label's value: write ${name} without quotes");
            Err(PlanError::Parse { message })
        }
        None => Ok(length),
    }
}

/// The longest duration that there is in Prometheus, seconds: 64 bits of nanoseconds.
const LONGEST_SECONDS: f64 = 9_223_372_036.0;

/// Refuses durations that Prometheus refuses, over which the parser panics or which it drops silently.
fn refuse_long_durations(text: &str) -> Result<(), PlanError> {
    let (mut in_brackets, mut after_offset) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' | '\'' | '`' => string_length(rest)?,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if is_of_word(c) => {
                let word = &rest[..word_length(rest)];
                let seconds = duration_seconds(word).or_else(|| number(word).filter(|_| in_brackets || after_offset));
                if seconds.is_some_and(|seconds| seconds.is_nan() || seconds > LONGEST_SECONDS) {
                    return Err(PlanError::Parse { message: format!("the duration `{word}` is no duration of at most 292 years") });
                }
                after_offset = word.eq_ignore_ascii_case("offset");
                word.len()
            }
            _ => {
                in_brackets = c == '[' || in_brackets && c != ']';
                after_offset &= c.is_whitespace() || c == '-' || c == '+';
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Ok(())
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// The length of the word or number at the start of the text, the sign of an exponent in it.
fn word_length(text: &str) -> usize {
    let end = |from: usize| text[from..].find(|c: char| !is_of_word(c)).map_or(text.len(), |end| from + end);
    let first = end(0);
    let has_exponent = text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text[..first].ends_with(['e', 'E']);
    if has_exponent && text[first..].starts_with(['+', '-']) { end(first + 1) } else { first }
}

/// `1h30m` in seconds; `None` for another word.
fn duration_seconds(word: &str) -> Option<f64> {
    let (mut total, mut rest) = (0.0, word);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        let count: f64 = rest[..digits].parse().ok()?;
        // The parser counts each unit in 32 bits and drops what does not fit.
        total += if count > f64::from(u32::MAX) { f64::INFINITY } else { count * unit };
        rest = &rest[unit_end..];
    }
    (total > 0.0).then_some(total)
}

fn number(word: &str) -> Option<f64> {
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    hexadecimal.map_or_else(|| word.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok().map(|number| number as f64))
}

/// The name in a quoted `"$name"`, which other tools fill in and which here would be compared as it stands, and never match.
fn quoted_parameter(literal: &str) -> Option<&str> {
    let name = literal.get(1..literal.len().saturating_sub(1))?.strip_prefix('$')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// The name behind a `$` of a pattern that is neither escaped nor in brackets: after the end of a text nothing can stand, so whoever writes it means a parameter.
fn parameter_in_pattern(pattern: &str) -> Option<&str> {
    let (mut is_escaped, mut in_class) = (false, false);
    for (at, c) in pattern.char_indices() {
        let is_plain = !is_escaped;
        is_escaped = c == '\\' && is_plain;
        match c {
            '[' if is_plain => in_class = true,
            ']' if is_plain => in_class = false,
            '$' if is_plain && !in_class => {
                let name = &pattern[at + 1..];
                let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())];
                if name.starts_with(|c: char| !c.is_ascii_digit()) {
                    return Some(name);
                }
            }
            _ => {}
        }
    }
    None
}

/// A message of the parser with the marks turned back into what the person wrote.
pub(crate) fn unmark(message: &str) -> String {
    message.replace(['"', '\''], "\"").replace(&format!("\"{MARK}"), "$").replace(MARK, "$").replace(PATTERN_MARK, "")
}

/// The construct of Prometheus' experimental syntax in a text that the parser refused, if there is one.
pub(crate) fn experimental(text: &str) -> Option<&'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' | '\'' | '`' => string_length(rest).ok()?,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        plain.push_str(if taken == c.len_utf8() { &rest[..taken] } else { " " });
        rest = &rest[taken..];
    }
    let words: Vec<&str> = plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let has = |word: &str| words.iter().any(|own| own.eq_ignore_ascii_case(word));
    if plain.contains("info(") {
        return Some("info()");
    }
    if has("anchored") {
        return Some("the modifier anchored");
    }
    if has("smoothed") {
        return Some("the modifier smoothed");
    }
    if let Some(operator) = ["</", ">/"].into_iter().find(|operator| plain.contains(operator)) {
        return Some(if operator == "</" { "the operator </" } else { "the operator >/" });
    }
    let calculates = |text: &str| text.contains(['+', '*', '/', '%', '^', '(']) || text.trim_start_matches(['-', ' ']).contains('-');
    let in_brackets = plain.split('[').skip(1).any(|tail| calculates(tail.split(']').next().unwrap_or_default()));
    let lower = plain.to_ascii_lowercase();
    let offsets = lower.split("offset").skip(1).map(|tail| tail.trim_start().trim_start_matches(['-', '+', ' ']));
    let calls = ["(", "step", "range", "max", "min"];
    let in_offset = offsets.into_iter().any(|tail| calls.iter().any(|call| tail.starts_with(call)));
    (in_brackets || in_offset).then_some("a duration that is an expression")
}

/// Whether the text starts with a blank, this word, and something that ends a word.
fn starts_with_word(text: &str, word: &str) -> bool {
    let word = word.trim();
    let tail = text.trim_start();
    tail.len() > word.len()
        && tail.is_char_boundary(word.len())
        && tail[..word.len()].eq_ignore_ascii_case(word)
        && !tail[word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// The length of the string literal at the start of the text, quotes included; to the end if it is not closed, which the parser refuses.
pub(crate) fn string_length(text: &str) -> Result<usize, PlanError> {
    let mut characters = text.char_indices();
    let Some((_, quote)) = characters.next() else { return Ok(0) };
    while let Some((index, c)) = characters.next() {
        if c == quote {
            return Ok(index + 1);
        }
        if c == '\\' && quote != '`' {
            let escape = &text[index + 1..];
            if escapes_a_high_byte(escape) {
                // The parser would read the byte as a character of its own, silently.
                let message = "a string with an escaped byte over 0x7f: write the character itself".to_owned();
                return Err(PlanError::Parse { message });
            }
            characters.next();
        }
    }
    Ok(text.len())
}

fn escapes_a_high_byte(escape: &str) -> bool {
    let digits = |from: usize, radix: u32| {
        let digits = escape.get(from..from + if radix == 16 { 2 } else { 3 });
        digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()).is_some_and(|byte| byte > 0x7f)
    };
    escape.starts_with('x') && digits(1, 16) || digits(0, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = prepare(text, true).map_or_else(|error| error.to_string(), |text| text.replace(MARK, "§").replace(PATTERN_MARK, "~"));
        assert_eq!(found, expected);
    }

    #[test]
    fn parameters_are_found_outside_strings_and_comments_only() {
        check("up{service=$service} < 1", r#"up{service="§service"} < 1"#);
        check(r#"x{a="no $no",b='$no\'$no',c=`$no.`} # $no"#, r#"x{a="no $no",b='$no\'$no',c=`$no.`} # $no"#);
        check(r#"x{a="$no"}"#, "\"$no\" is a text, not the label's value: write $no without quotes");
        check("x{a=$a_1,b=$b}", r#"x{a="§a_1",b="§b"}"#);
        check("x{a=$}", "a `$` without the name of a parameter");
        check("x{a=\"\u{e000}b\"}", "the character U+E000 cannot stand in an expression");
    }

    #[test]
    fn patterns_are_marked_so_that_only_we_read_them() {
        check(r#"x{a=~"b[",c!~ `d`,e='=~"f"'} =~ "g""#, r#"x{a="~b[",c!=`~d`,e='=~"f"'} =~ "g""#);
        check(r#"x{a=~$b}"#, r#"x{a=~"§b"}"#);
        check(r#"x{a=~"$b"}"#, "\"$b\" is a text, not the label's value: write $b without quotes");
        check(r#"x{a=~""#, r#"x{a="~"#);
        for meant in [r#"x{a=~"$b-.*"}"#, "x{a!~`api|$b`}", r#"x{a=~'^($b|y)$'}"#] {
            let refused = prepare(meant, true).expect_err(meant).to_string();
            assert!(refused.starts_with("`$b` within a pattern is no label's value"), "{meant}: {refused}");
            assert!(prepare(meant, false).is_ok(), "other people's rules mean what they say");
        }
        for sound in [r#"x{a=~"b$"}"#, r#"x{a=~"(b$|c)"}"#, r#"x{a=~"\\$b"}"#, "x{a=~`[$b]`}", r#"x{a=~"x|$5"}"#] {
            assert!(prepare(sound, true).is_ok(), "{sound}");
        }
        check("x{a=\"\u{e001}b\"}", "the character U+E001 cannot stand in an expression");
    }

    #[test]
    fn durations_are_bounded_as_in_prometheus() {
        for text in
            ["x[1e309]", "x[NaN]", "x[5m:1e+300]", "x offset -1e20", "x[300y]", "x[99999999999y1s]", "x[5000000000ms]", "x[0xffffffffff]"]
        {
            let refused = prepare(text, true).expect_err(text).to_string();
            assert!(refused.contains("is no duration of at most 292 years"), "{text}: {refused}");
        }
        for text in ["x[5m:30s] offset -1.5e3", "x[100y]", "x > 1e309", "x{a=\"[1e309]\"}", "x_1e309[5m] + 1e20", "x[5m] offset 1m * 1e20"]
        {
            assert_eq!(prepare(text, true).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_would_overflow_the_stack_or_be_misread_is_refused() {
        check(&"(".repeat(600), "the expression has more than 500 operators and brackets");
        check(&"1 or ".repeat(600), "the expression has more than 500 operators and brackets");
        check(&" ".repeat(70_000), "the expression is longer than 65536 bytes");
        check(r#"x{a="\xff"}"#, "a string with an escaped byte over 0x7f: write the character itself");
        check(r#"x{a="\x7f\101"}"#, r#"x{a="\x7f\101"}"#);
    }
}
