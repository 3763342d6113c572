//! Literals as Go reads them: quoted texts, characters, and numbers.

use super::fault::Fault;

/// What a number or a character literal stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// An integer that fits no `int`; using it is an error.
    TooLarge,
}

/// The text that a quoted or raw text stands for.
pub(super) fn text(literal: &str) -> Result<String, Fault> {
    if let Some(raw) = literal.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return Ok(raw.replace('\r', ""));
    }
    let invalid = || Fault::go("invalid syntax");
    let mut rest = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(invalid)?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let (unit, length) = unit(rest, '"').ok_or_else(invalid)?;
        match unit {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Char(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
        rest = &rest[length..];
    }
    String::from_utf8(bytes).map_err(|_| Fault::ours(format!("the bytes of {literal} are no text")))
}

/// The number of the one character between two `'`.
pub(super) fn character(literal: &str) -> Result<i64, Fault> {
    let inner = literal.strip_prefix('\'').unwrap_or(literal);
    let (unit, length) = unit(inner, '\'').ok_or_else(|| Fault::go("invalid syntax"))?;
    if &inner[length..] != "'" {
        return Err(Fault::go(format!("malformed character constant: {literal}")));
    }
    Ok(match unit {
        Unit::Byte(byte) => i64::from(byte),
        Unit::Char(c) => i64::from(u32::from(c)),
    })
}

/// One character or byte of a quoted text.
enum Unit {
    Byte(u8),
    Char(char),
}

/// The first unit of what stands between quotes and how long it is as written; `None` if it is none.
fn unit(text: &str, quote: char) -> Option<(Unit, usize)> {
    let first = text.chars().next()?;
    if first != '\\' {
        return (first != quote && first != '\n').then_some((Unit::Char(first), first.len_utf8()));
    }
    let kind = text[1..].chars().next()?;
    let digits = |from: usize, count: usize, base: u32| {
        let digits = text.get(from..from + count)?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_plain { u32::from_str_radix(digits, base).ok() } else { None }
    };
    let short = |c: char| Some((Unit::Char(c), 2));
    match kind {
        'a' => short('\u{7}'),
        'b' => short('\u{8}'),
        'f' => short('\u{c}'),
        'n' => short('\n'),
        'r' => short('\r'),
        't' => short('\t'),
        'v' => short('\u{b}'),
        '\\' => short('\\'),
        '\'' | '"' if kind == quote => short(kind),
        'x' => Some((Unit::Byte(u8::try_from(digits(2, 2, 16)?).ok()?), 4)),
        'u' => Some((Unit::Char(char::from_u32(digits(2, 4, 16)?)?), 6)),
        'U' => Some((Unit::Char(char::from_u32(digits(2, 8, 16)?)?), 10)),
        '0'..='7' => Some((Unit::Byte(u8::try_from(digits(1, 3, 8)?).ok()?), 4)),
        _ => None,
    }
}

/// What a number literal stands for.
pub(super) fn number(literal: &str) -> Result<Number, Fault> {
    if let Some(real) = literal.strip_suffix('i')
        && float(real).is_some()
    {
        return Err(Fault::ours(format!("the complex number {literal}")));
    }
    if let Some(whole) = integer(literal) {
        return Ok(i64::try_from(whole).map_or(Number::TooLarge, Number::Int));
    }
    let unsigned = literal.trim_start_matches(['+', '-']);
    if unsigned.len() > 2 && unsigned.starts_with("0x") | unsigned.starts_with("0X") && unsigned.contains(['p', 'P']) {
        return Err(Fault::ours(format!("the hexadecimal float {literal}")));
    }
    match float(literal) {
        Some(_) if !literal.contains(['.', 'e', 'E', 'p', 'P']) => Err(Fault::go(format!("integer overflow: \"{literal}\""))),
        Some(value) => Ok(Number::Float(value)),
        None => Err(Fault::go(format!("illegal number syntax: \"{literal}\""))),
    }
}

/// An integer as Go writes it in source: with its base before it, and underscores between digits. Signed ones fit an `i64`, others a `u64`.
fn integer(literal: &str) -> Option<i128> {
    let unsigned = literal.strip_prefix(['+', '-']).unwrap_or(literal);
    let lower = unsigned.to_ascii_lowercase();
    let (digits, base, has_prefix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16, true),
        [b'0', b'o', ..] => (&lower[2..], 8, true),
        [b'0', b'b', ..] => (&lower[2..], 2, true),
        [b'0', _, ..] => (&lower[1..], 8, true),
        _ => (&lower[..], 10, false),
    };
    let is_spaced_well = !digits.ends_with('_') && !digits.contains("__") && (has_prefix || !digits.starts_with('_'));
    let plain = digits.replace('_', "");
    if !is_spaced_well || plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let size = i128::from_str_radix(&plain, base).ok()?;
    let is_signed = unsigned.len() < literal.len();
    let value = if literal.starts_with('-') { -size } else { size };
    let is_in_range = if is_signed { i64::try_from(value).is_ok() } else { u64::try_from(value).is_ok() };
    is_in_range.then_some(value)
}

/// A text as `strconv.ParseFloat` reads it, hexadecimal floats left out; `None` if it is no float or beyond the largest one.
pub(super) fn float(text: &str) -> Option<f64> {
    let is_spaced_well = text.match_indices('_').all(|(at, _)| {
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        is_digit(at.checked_sub(1).and_then(|before| text.as_bytes().get(before))) && is_digit(text.as_bytes().get(at + 1))
    });
    if !is_spaced_well {
        return None;
    }
    let value: f64 = text.replace('_', "").parse().ok()?;
    let is_named = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
    (is_named || value.is_finite()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's `strconv.Unquote` reads them.
    #[test]
    fn escapes_stand_for_what_they_stand_for_in_go() {
        for (literal, expected) in [
            (r#""\x41\101\u0041\U00000041""#, "AAAA"),
            (r#""\a\b\f\n\r\t\v\\\"""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}\\\""),
            (r#""\xc3\xa9\303\251é""#, "ééé"),
            ("`a\r\n\\n`", "a\n\\n"),
        ] {
            assert_eq!(text(literal), Ok(expected.to_owned()), "{literal}");
        }
        for literal in [r#""\x4""#, r#""\'""#, r#""\400""#, r#""\08""#, r#""\ud800""#, r#""\U00110000""#, r#""\q""#, r#""\x+1""#] {
            assert_eq!(text(literal), Err(Fault::go("invalid syntax")), "{literal}");
        }
        assert_eq!(text(r#""\xff""#), Err(Fault::ours(r#"the bytes of "\xff" are no text"#)));
        assert_eq!((character("'a'"), character(r"'\''"), character(r"'\x00'"), character("'é'")), (Ok(97), Ok(39), Ok(0), Ok(233)));
        assert!(character("'ab'").is_err() && character("''").is_err() && character(r#"'\"'"#).is_err());
    }

    #[test]
    fn numbers_are_whole_or_floats_by_how_they_are_written() {
        for (literal, expected) in [
            ("1_000", Number::Int(1000)),
            ("010", Number::Int(8)),
            ("-0x1F", Number::Int(-31)),
            ("0b101", Number::Int(5)),
            ("-9223372036854775808", Number::Int(i64::MIN)),
            ("9223372036854775808", Number::TooLarge),
            ("1e3", Number::Float(1000.0)),
            (".5", Number::Float(0.5)),
            ("5.", Number::Float(5.0)),
            ("1_0.5", Number::Float(10.5)),
            ("-0.0", Number::Float(-0.0)),
        ] {
            assert_eq!(number(literal), Ok(expected), "{literal}");
        }
        for literal in ["1e400", "18446744073709551616", "1__0", "1_", "08", "0x", "1_.5"] {
            assert!(matches!(number(literal), Err(Fault::Go(_))), "{literal}");
        }
        for literal in ["1i", "2.5i", "0x1p-2"] {
            assert!(matches!(number(literal), Err(Fault::Ours(_))), "{literal}");
        }
    }
}
