//! Values written by verbs, as Go's `fmt` writes them.

use super::floats;
use super::value::{Failure, Value};

/// What `print` writes: a space between two values neither of which is a text.
pub(super) fn print(values: &[Value]) -> Result<String, Failure> {
    let mut printer = Printer::default();
    let mut was_text = true;
    for (index, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_) | Value::Html(_));
        if index > 0 && !is_text && !was_text {
            printer.out.push(' ');
        }
        printer.argument(value, 'v')?;
        was_text = is_text;
    }
    Ok(printer.out)
}

/// A value as an action writes it, which looks behind pointers.
pub(super) fn printed(value: &Value) -> Result<String, Failure> {
    match value {
        Value::Nil => Ok("<no value>".to_owned()),
        Value::Sample(_) => print(std::slice::from_ref(value)).map(|text| text.trim_start_matches('&').to_owned()),
        other => print(std::slice::from_ref(other)),
    }
}

/// What `println` writes: a space between all, and a line's end.
pub(super) fn println(values: &[Value]) -> Result<String, Failure> {
    let mut printer = Printer::default();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.out.push(' ');
        }
        printer.argument(value, 'v')?;
    }
    printer.out.push('\n');
    Ok(printer.out)
}

/// What `printf` writes.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, Failure> {
    let mut printer = Printer::default();
    let mut state = State { format, at: 0, values, next: 0, is_after_index: false, is_good: true, is_reordered: false };
    while let Some(length) = format[state.at..].find('%') {
        printer.out.push_str(&format[state.at..state.at + length]);
        state.at += length + 1;
        printer.directive(&mut state)?;
    }
    printer.out.push_str(&format[state.at..]);
    if !state.is_reordered && state.next < values.len() {
        printer.flags = Flags::default();
        printer.out.push_str("%!(EXTRA ");
        for (index, value) in values[state.next..].iter().enumerate() {
            if index > 0 {
                printer.out.push_str(", ");
            }
            match value {
                Value::Nil => printer.out.push_str("<nil>"),
                value => {
                    printer.out.push_str(value.type_name());
                    printer.out.push('=');
                    printer.argument(value, 'v')?;
                }
            }
        }
        printer.out.push(')');
    }
    Ok(printer.out)
}

/// A width or precision beyond this is none, if it is a value; one in digits may have one digit more.
const LARGEST: i64 = 1_000_000;

/// How a verb's value is written.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v` and `%#v`, which mean something of their own.
    plus_v: bool,
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Where `printf` is.
struct State<'f> {
    format: &'f str,
    at: usize,
    values: &'f [Value],
    /// The value that the next verb takes.
    next: usize,
    /// Whether the last thing was an index such as `[2]`.
    is_after_index: bool,
    is_good: bool,
    /// Whether any index was given.
    is_reordered: bool,
}

impl State<'_> {
    fn byte(&self) -> Option<u8> {
        self.format.as_bytes().get(self.at).copied()
    }

    /// Takes a byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a number. One that is too large takes all the rest with it, as in Go.
    fn number(&mut self) -> Option<usize> {
        let digits = &self.format[self.at..];
        let digits = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
        if digits.is_empty() {
            return None;
        }
        self.at += digits.len();
        let number = parsed(digits);
        if number.is_none() {
            self.at = self.format.len();
        }
        number
    }

    /// Takes an index such as `[2]`.
    fn index(&mut self) {
        self.is_after_index = false;
        if self.byte() != Some(b'[') {
            return;
        }
        self.is_reordered = true;
        let rest = &self.format[self.at..];
        let Some(close) = rest.find(']').filter(|_| rest.len() >= 3) else {
            self.at += 1;
            self.is_good = false;
            return;
        };
        let inner = &rest[1..close];
        let number = parsed(inner);
        self.at += close + 1;
        let index = number.and_then(|number| number.checked_sub(1)).filter(|index| *index < self.values.len());
        match index {
            Some(index) => {
                self.next = index;
                self.is_after_index = true;
            }
            None => {
                self.is_good = false;
                self.is_after_index = number.is_some();
            }
        }
    }

    /// The value that a `*` stands for.
    fn star(&mut self) -> Option<i64> {
        self.is_after_index = false;
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(number) if (-LARGEST..=LARGEST).contains(number) => Some(*number),
            Value::Byte(number) => Some(i64::from(*number)),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Printer {
    out: String,
    flags: Flags,
    /// Whether it writes what is wrong with a verb, so that no text is asked of a value.
    is_erring: bool,
}

impl Printer {
    /// What stands after a `%`.
    fn directive(&mut self, state: &mut State<'_>) -> Result<(), Failure> {
        self.flags = Flags::default();
        state.is_good = true;
        state.is_after_index = false;
        self.take_flags(state);
        state.index();
        self.take_width(state);
        self.take_precision(state);
        if !state.is_after_index {
            state.index();
        }
        let Some(verb) = state.format[state.at..].chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(());
        };
        state.at += verb.len_utf8();
        if verb == '%' {
            self.out.push('%');
        } else if !state.is_good {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = state.values.get(state.next) {
            state.next += 1;
            if verb == 'v' {
                self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
                self.flags.plus_v = std::mem::take(&mut self.flags.plus);
            }
            self.argument(value, verb)?;
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
        Ok(())
    }

    fn take_flags(&mut self, state: &mut State<'_>) {
        loop {
            match state.byte() {
                Some(b'#') => self.flags.sharp = true,
                Some(b'0') => self.flags.zero = !self.flags.minus,
                Some(b'+') => self.flags.plus = true,
                Some(b'-') => {
                    self.flags.minus = true;
                    self.flags.zero = false;
                }
                Some(b' ') => self.flags.space = true,
                _ => return,
            }
            state.at += 1;
        }
    }

    fn take_width(&mut self, state: &mut State<'_>) {
        if state.take(b'*') {
            match state.star() {
                Some(width) => {
                    if width < 0 {
                        self.flags.minus = true;
                        self.flags.zero = false;
                    }
                    self.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            self.flags.width = state.number();
            if state.is_after_index && self.flags.width.is_some() {
                state.is_good = false;
            }
        }
    }

    fn take_precision(&mut self, state: &mut State<'_>) {
        if !state.take(b'.') {
            return;
        }
        if state.is_after_index {
            state.is_good = false;
        }
        state.index();
        if state.take(b'*') {
            match state.star() {
                Some(precision) if precision >= 0 => self.flags.precision = usize::try_from(precision).ok(),
                Some(_) | None => self.out.push_str("%!(BADPREC)"),
            }
        } else {
            self.flags.precision = Some(state.number().unwrap_or(0));
        }
    }

    /// One value by one verb.
    fn argument(&mut self, value: &Value, verb: char) -> Result<(), Failure> {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad("<nil>"),
            (Value::Nil, _) => self.bad(value, verb)?,
            (_, 'T') => self.string(value.type_name()),
            (Value::Labels(_) | Value::Args(_) | Value::Sample(_) | Value::Samples(_) | Value::Time(_) | Value::Duration(_), 'p') => {
                return Err(address(value));
            }
            (_, 'p' | 'w') => self.bad(value, verb)?,
            _ => self.value(value, verb, 0)?,
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Failure> {
        match value {
            Value::Nil => self.out.push_str(if self.flags.sharp_v { "interface {}(nil)" } else { "<nil>" }),
            Value::Bool(truth) => match verb {
                't' | 'v' => self.pad(if *truth { "true" } else { "false" }),
                _ => self.bad(value, verb)?,
            },
            Value::Int(number) => self.integer(value, (number.unsigned_abs(), Some(*number < 0)), verb)?,
            Value::Byte(number) => self.integer(value, (u64::from(*number), None), verb)?,
            Value::Float(number) => match verb {
                'v' => self.float(*number, 'g', None),
                'b' | 'g' | 'G' | 'x' | 'X' => self.float(*number, verb, None),
                'f' | 'F' => self.float(*number, 'f', Some(6)),
                'e' | 'E' => self.float(*number, verb, Some(6)),
                _ => self.bad(value, verb)?,
            },
            Value::Text(text) | Value::Html(text) => self.text(value, text, verb)?,
            Value::Labels(labels) => {
                let pairs: Vec<_> = labels.iter().map(|(name, text)| (name.as_str(), Value::Text(text.clone()))).collect();
                self.map(value, &pairs, verb, depth)?;
            }
            Value::Args(args) => {
                let pairs: Vec<_> = args.iter().map(|(name, inner)| (name.as_str(), inner.clone())).collect();
                self.map(value, &pairs, verb, depth)?;
            }
            Value::Samples(samples) if samples.is_empty() => {
                self.out.push_str(if self.flags.sharp_v { "template.queryResult{}" } else { "[]" });
            }
            Value::Sample(sample) if depth == 0 => {
                self.out.push('&');
                let fields = [("Labels", Value::labels_of(sample)), ("Value", Value::Float(sample.value))];
                self.fields("template.sample", &fields, verb, depth + 1)?;
            }
            Value::Samples(_) | Value::Sample(_) => return Err(address(value)),
            Value::Alert(alert) => {
                let fields = [
                    ("Labels", alert.labels.clone()),
                    ("ExternalLabels", alert.external_labels.clone()),
                    ("ExternalURL", Value::Text(alert.external_url.clone())),
                    ("Value", Value::Float(alert.value)),
                ];
                self.fields(value.type_name(), &fields, verb, depth)?;
            }
            Value::Time(_) | Value::Duration(_) => self.stringer(value, verb)?,
        }
        Ok(())
    }

    /// What has a text of its own.
    fn stringer(&mut self, value: &Value, verb: char) -> Result<(), Failure> {
        if self.is_erring || self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return Err(address(value));
        }
        let text = match value {
            Value::Time(millis) => super::times::moment(*millis),
            Value::Duration(nanos) => super::times::span(*nanos),
            _ => return Err(address(value)),
        };
        self.text(&Value::Text(text.clone()), &text, verb)
    }

    fn map(&mut self, whole: &Value, pairs: &[(&str, Value)], verb: char, depth: usize) -> Result<(), Failure> {
        self.out.push_str(if self.flags.sharp_v { whole.type_name() } else { "map" });
        self.out.push(if self.flags.sharp_v { '{' } else { '[' });
        for (index, (name, value)) in pairs.iter().enumerate() {
            if index > 0 {
                self.out.push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            self.value(&Value::Text((*name).to_owned()), verb, depth + 1)?;
            self.out.push(':');
            self.value(value, verb, depth + 1)?;
        }
        self.out.push(if self.flags.sharp_v { '}' } else { ']' });
        Ok(())
    }

    fn fields(&mut self, name: &str, fields: &[(&str, Value)], verb: char, depth: usize) -> Result<(), Failure> {
        if self.flags.sharp_v {
            self.out.push_str(name);
        }
        self.out.push('{');
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.push_str(name);
                self.out.push(':');
            }
            self.value(value, verb, depth + 1)?;
        }
        self.out.push('}');
        Ok(())
    }

    /// A verb that is not for this value.
    fn bad(&mut self, value: &Value, verb: char) -> Result<(), Failure> {
        let was_erring = std::mem::replace(&mut self.is_erring, true);
        self.out.push_str("%!");
        self.out.push(verb);
        self.out.push('(');
        if let Value::Nil = value {
            self.out.push_str("<nil>");
        } else {
            self.out.push_str(value.type_name());
            self.out.push('=');
            self.argument(value, 'v')?;
        }
        self.out.push(')');
        self.is_erring = was_erring;
        Ok(())
    }

    fn text(&mut self, value: &Value, text: &str, verb: char) -> Result<(), Failure> {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => self.string(text),
            'q' => self.quoted(text),
            'x' | 'X' => self.hexadecimal(text, verb == 'X'),
            _ => self.bad(value, verb)?,
        }
        Ok(())
    }

    fn truncated<'t>(&self, text: &'t str) -> &'t str {
        let end = self.flags.precision.and_then(|precision| text.char_indices().nth(precision));
        end.map_or(text, |(end, _)| &text[..end])
    }

    fn string(&mut self, text: &str) {
        let text = self.truncated(text);
        self.pad(text);
    }

    fn quoted(&mut self, text: &str) {
        let text = self.truncated(text);
        let is_raw = self.flags.sharp && text.chars().all(|c| c == '\t' || c >= ' ' && !matches!(c, '`' | '\u{7f}' | '\u{feff}'));
        if is_raw {
            self.pad(&format!("`{text}`"));
            return;
        }
        let mut quoted = String::from("\"");
        for c in text.chars() {
            push_escaped(&mut quoted, c, '"', self.flags.plus);
        }
        quoted.push('"');
        self.pad(&quoted);
    }

    fn hexadecimal(&mut self, text: &str, is_upper: bool) {
        let bytes = &text.as_bytes()[..self.flags.precision.map_or(text.len(), |precision| precision.min(text.len()))];
        let prefix = if is_upper { "0X" } else { "0x" };
        let mut written = String::new();
        for (index, byte) in bytes.iter().enumerate() {
            if self.flags.space && index > 0 {
                written.push(' ');
            }
            if self.flags.sharp && (self.flags.space || index == 0) {
                written.push_str(prefix);
            }
            written.push_str(&if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(&written);
    }

    /// An integer by its size and, if it is of a signed type, whether it is negative.
    fn integer(&mut self, value: &Value, (size, sign): (u64, Option<bool>), verb: char) -> Result<(), Failure> {
        let is_negative = sign == Some(true);
        let character = || if is_negative { char::REPLACEMENT_CHARACTER } else { character_of(size) };
        match verb {
            'v' if self.flags.sharp_v && sign.is_none() => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(size, false, 'x');
                self.flags.sharp = sharp;
            }
            'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.digits(size, is_negative, verb),
            'c' => self.pad(&character().to_string()),
            'q' => {
                let mut quoted = String::from("'");
                push_escaped(&mut quoted, character(), '\'', self.flags.plus);
                quoted.push('\'');
                self.pad(&quoted);
            }
            'U' => self.unicode(if is_negative { size.wrapping_neg() } else { size }),
            _ => self.bad(value, verb)?,
        }
        Ok(())
    }

    fn digits(&mut self, size: u64, is_negative: bool, verb: char) {
        let flags = self.flags;
        let is_signed = is_negative || flags.plus || flags.space;
        if flags.precision == Some(0) && size == 0 {
            self.flags.zero = false;
            self.pad("");
            self.flags = flags;
            return;
        }
        let zeros = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width - usize::from(is_signed && width > 0),
            _ => 0,
        };
        let digits = match verb {
            'b' => format!("{size:b}"),
            'o' | 'O' => format!("{size:o}"),
            'X' => format!("{size:X}"),
            'x' => format!("{size:x}"),
            _ => size.to_string(),
        };
        let mut written = format!("{}{digits}", "0".repeat(zeros.saturating_sub(digits.len())));
        if flags.sharp {
            match verb {
                'b' => written.insert_str(0, "0b"),
                'o' | 'O' if !written.starts_with('0') => written.insert(0, '0'),
                'X' => written.insert_str(0, "0X"),
                'x' => written.insert_str(0, "0x"),
                _ => {}
            }
        }
        if verb == 'O' {
            written.insert_str(0, "0o");
        }
        if is_negative {
            written.insert(0, '-');
        } else if flags.plus {
            written.insert(0, '+');
        } else if flags.space {
            written.insert(0, ' ');
        }
        self.flags.zero = false;
        self.pad(&written);
        self.flags = flags;
    }

    fn unicode(&mut self, number: u64) {
        let digits = self.flags.precision.unwrap_or(4).max(4);
        let hexadecimal = format!("{number:X}");
        let mut written = format!("U+{}{hexadecimal}", "0".repeat(digits.saturating_sub(hexadecimal.len())));
        let named = u32::try_from(number).ok().and_then(char::from_u32).filter(|c| is_printable(*c));
        if let Some(c) = named.filter(|_| self.flags.sharp) {
            written.push_str(&format!(" '{c}'"));
        }
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(&written);
        self.flags.zero = zero;
    }

    fn float(&mut self, number: f64, verb: char, default: Option<usize>) {
        let flags = self.flags;
        let precision = flags.precision.or(default);
        let mut written = floats::written(number, verb, precision);
        if !written.starts_with(['+', '-']) {
            written.insert(0, '+');
        }
        if flags.space && written.starts_with('+') && !flags.plus {
            written.replace_range(..1, " ");
        }
        if !number.is_finite() {
            self.flags.zero = false;
            let is_bare = (number.is_nan() || written.starts_with('+')) && !flags.space && !flags.plus;
            // Infinity keeps its sign, not-a-number loses it.
            self.pad(if number.is_nan() && is_bare { &written[1..] } else { &written });
            self.flags = flags;
            return;
        }
        if flags.sharp && verb != 'b' {
            written = with_point(&written, verb, precision);
        }
        if !flags.plus && written.starts_with('+') {
            self.pad(&written[1..]);
        } else if let Some(width) = flags.width.filter(|width| flags.zero && !flags.minus && *width > written.len()) {
            self.out.push_str(&written[..1]);
            self.out.push_str(&"0".repeat(width - written.len()));
            self.out.push_str(&written[1..]);
        } else {
            self.pad(&written);
        }
    }

    /// The text with what it lacks to the width.
    fn pad(&mut self, text: &str) {
        let missing = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text);
            self.out.push_str(&" ".repeat(missing));
        } else {
            self.out.push_str(&(if self.flags.zero { "0" } else { " " }).repeat(missing));
            self.out.push_str(text);
        }
    }
}

/// A number in digits; `None` if it is none, or has another digit where it is too large already.
fn parsed(digits: &str) -> Option<usize> {
    let too_large = |number: &i64| *number > LARGEST;
    let digit = |number: i64, byte: u8| Some(number * 10 + i64::from(byte - b'0')).filter(|_| byte.is_ascii_digit() && !too_large(&number));
    let number = digits.bytes().try_fold(0, digit)?;
    if digits.is_empty() { None } else { usize::try_from(number).ok() }
}

/// What `#` makes of a float with its sign: a point in any case, and zeros up to the precision.
fn with_point(written: &str, verb: char, precision: Option<usize>) -> String {
    let is_hexadecimal = matches!(verb, 'x' | 'X');
    let mut digits = match verb {
        'g' | 'G' => precision.unwrap_or(6),
        'x' if precision.is_none() => 6,
        'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let tail_at = written.find(|c| matches!(c, 'p' | 'P') || !is_hexadecimal && matches!(c, 'e' | 'E')).unwrap_or(written.len());
    let (head, tail) = written.split_at(tail_at);
    let mut has_digit = false;
    for c in head.chars().skip(1).filter(|c| *c != '.') {
        has_digit |= c != '0';
        digits = digits.saturating_sub(usize::from(has_digit));
    }
    let mut whole = head.to_owned();
    if !head.contains('.') {
        if head.len() == 2 && head.ends_with('0') {
            digits = digits.saturating_sub(1);
        }
        whole.push('.');
    }
    whole.push_str(&"0".repeat(digits));
    whole.push_str(tail);
    whole
}

/// What Go would write as a place in memory or by parts that are only Go's.
fn address(value: &Value) -> Failure {
    format!("a value of type {} would be written as an address in memory or by its inner parts", value.type_name())
}

fn character_of(number: u64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether Go writes a character as it is.
pub(super) fn is_printable(c: char) -> bool {
    // Behind a letter, a mark that joins it is printable.
    if c.is_ascii() { matches!(c, ' '..='~') } else { format!("{:?}", format!("a{c}")).len() == 3 + c.len_utf8() }
}

/// A character between quotes.
fn push_escaped(out: &mut String, c: char, quote: char, is_ascii_only: bool) {
    let short = match c {
        '\u{7}' => Some('a'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{b}' => Some('v'),
        c if c == '\\' || c == quote => Some(c),
        _ => None,
    };
    let number = u32::from(c);
    match short {
        Some(letter) => out.extend(['\\', letter]),
        None if is_printable(c) && (c.is_ascii() || !is_ascii_only) => out.push(c),
        None if number < 0x20 || number == 0x7f => out.push_str(&format!("\\x{number:02x}")),
        None if number < 0x10000 => out.push_str(&format!("\\u{number:04x}")),
        None => out.push_str(&format!("\\U{number:08x}")),
    }
}
