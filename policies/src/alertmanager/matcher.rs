//! Matchers in both of Alertmanager's notations: the classic one, and the one with any UTF-8 name (0.27 and later).
//!
//! As Alertmanager does while it moves from one to the other, a text that both can read is read the classic way.

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_telemetry::labels::{MatchOp, Matcher, MatcherError};

use super::alert::quoted;

/// A text that is no list of matchers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotMatchers {
    /// Neither notation can read it; what the classic one says.
    #[error("`{0}` is no matcher such as `severity=\"critical\"`")]
    Shape(String),
    /// A quote in the middle of a value, or one that is not closed.
    #[error("the value in `{0}` has a quote that is not escaped or not closed")]
    Quote(String),
    /// Its regular expression does not compile.
    #[error(transparent)]
    Expression(#[from] MatcherError),
}

/// Matchers that must all match. Invariant: in the order of [`sorted`], which group keys show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Matchers in any order.
    #[must_use]
    pub(super) fn new(mut matchers: Vec<Matcher>) -> Self {
        matchers.sort_by(|one, two| (&*one.name, &*one.value, rank(one)).cmp(&(&*two.name, &*two.value, rank(two))));
        Self(matchers)
    }

    /// Whether all of them match; no matchers match everything.
    #[must_use]
    pub fn match_labels(&self, labels: &LabelSet) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.get(&*matcher.name).map(Name::as_str).unwrap_or_default()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Matchers {
    /// `{a="b",c=~"d|e"}`, as it stands in group keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            if matcher.name.chars().any(is_reserved) {
                write!(f, "{}{}{}", quoted(&matcher.name), matcher.op.symbol(), quoted(&matcher.value))?;
            } else {
                write!(f, "{matcher}")?;
            }
        }
        f.write_str("}")
    }
}

const fn rank(matcher: &Matcher) -> u8 {
    match matcher.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Matches(_) => 2,
        MatchOp::MatchesNot(_) => 3,
    }
}

/// One matcher. In Alertmanager a dot does not match a line feed, unlike in Prometheus 3.
pub(super) fn matcher(name: &str, operator: &str, value: &str) -> Result<Matcher, MatcherError> {
    if !operator.ends_with('~') {
        return Matcher::new(name, operator, value);
    }
    let mut matcher = Matcher::new(name, operator, &format!("(?-s:{value})")).map_err(|error| match error {
        MatcherError::Regex { reason, .. } => MatcherError::Regex { pattern: value.to_owned(), reason },
        other => other,
    })?;
    matcher.value = value.into();
    Ok(matcher)
}

/// Reads one text of a `matchers:` list: one matcher or several with commas, with or without braces.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, NotMatchers> {
    classic(text).or_else(|error| match utf8(text) {
        Some(matchers) => matchers,
        None => Err(error),
    })
}

/// Whether only the newer notation reads the text, so that an Alertmanager before 0.27 refuses it.
pub(super) fn is_newer(text: &str) -> bool {
    classic(text).is_err() && utf8(text).is_some_and(|matchers| matchers.is_ok())
}

fn classic(text: &str) -> Result<Vec<Matcher>, NotMatchers> {
    let text = text.trim();
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    tokens(text).into_iter().map(classic_matcher).collect()
}

/// Splits at the commas outside quotes; what follows the last comma may be missing.
fn tokens(text: &str) -> Vec<&str> {
    let (mut tokens, mut from, mut in_quotes, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !in_quotes => {
                tokens.push(&text[from..at]);
                from = at + 1;
            }
            '"' if !escaped => in_quotes = !in_quotes,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    if !text[from..].trim().is_empty() {
        tokens.push(&text[from..]);
    }
    tokens
}

fn classic_matcher(token: &str) -> Result<Matcher, NotMatchers> {
    let shape = || NotMatchers::Shape(token.trim().to_owned());
    let rest = token.trim();
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let name_end = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(shape());
    }
    let rest = rest.trim_start();
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator)).ok_or_else(shape)?;
    let value = unescaped(rest[operator.len()..].trim()).ok_or_else(|| NotMatchers::Quote(token.trim().to_owned()))?;
    Ok(matcher(name, operator, &value)?)
}

/// A value as OpenMetrics escapes it; an unknown escape keeps its backslash. `None`: a quote where none may stand.
fn unescaped(raw: &str) -> Option<String> {
    let (raw, mut is_open) = raw.strip_prefix('"').map_or((raw, false), |rest| (rest, true));
    let mut value = String::with_capacity(raw.len());
    let mut characters = raw.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if is_open && at + 1 == raw.len() => is_open = false,
            '"' => return None,
            c => value.push(c),
        }
    }
    (!is_open).then_some(value)
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// The newer notation; `None` if the text is not of its shape.
fn utf8(text: &str) -> Option<Result<Vec<Matcher>, NotMatchers>> {
    let mut rest = text.trim();
    let braced = rest.starts_with('{');
    if braced {
        rest = rest[1..].strip_suffix('}')?.trim();
    }
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (name, after) = word(rest)?;
        let after = after.trim_start();
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| after.starts_with(operator))?;
        let (value, after) = word(after[operator.len()..].trim_start())?;
        if name.is_empty() {
            return None;
        }
        match matcher(&name, operator, &value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => return Some(Err(error.into())),
        }
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(Ok(matchers))
}

/// An unquoted run of unreserved characters, or a text in double quotes with Go's escapes; with what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(is_reserved).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut bytes = Vec::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((String::from_utf8(bytes).ok()?, &inner[at + 1..])),
            '\\' => {
                let (_, escape) = characters.next()?;
                let digits = |count: usize, characters: &mut std::str::CharIndices<'_>| {
                    let text: String = characters.by_ref().take(count).map(|(_, c)| c).collect();
                    u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == count)
                };
                match escape {
                    'x' => bytes.push(u8::try_from(digits(2, &mut characters)?).ok()?),
                    'u' => push(&mut bytes, char::from_u32(digits(4, &mut characters)?)?),
                    'U' => push(&mut bytes, char::from_u32(digits(8, &mut characters)?)?),
                    simple => push(&mut bytes, simple_escape(simple)?),
                }
            }
            '\n' => return None,
            c => push(&mut bytes, c),
        }
    }
    None
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

const fn simple_escape(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '"' => '"',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let told = match parse(text) {
            Ok(matchers) => Matchers::new(matchers).to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn classic_matchers_are_read() {
        check("severity = critical", r#"{severity="critical"}"#);
        check(r#"{severity=~"warning|info", alertname!="A,B",}"#, r#"{alertname!="A,B",severity=~"warning|info"}"#);
        check("foo=", r#"{foo=""}"#);
        check(r#"foo=~\d+"#, r#"{foo=~"\\d+"}"#);
        check(r#"foo = "a \"b\" \n""#, r#"{foo="a \"b\" \n"}"#);
        check("", "{}");
        check("{}", "{}");
    }

    #[test]
    fn names_in_utf_8_are_read_the_newer_way() {
        check(r#"Προμηθεύς="x""#, r#"{Προμηθεύς="x"}"#);
        check(r#"{"foo bar" = "a\u00e9\x41", b!~c}"#, r#"{b!~"c","foo bar"="aéA"}"#);
        // Both notations can read it: the classic one keeps the escape.
        check(r#"qux="\xf0\x9f""#, r#"{qux="\\xf0\\x9f"}"#);
    }

    #[test]
    fn what_older_releases_refuse_is_known() {
        let newer =
            ["a-b=c", "\"a\"=b", "ä=b", "a.b=c", "{\"a b\"=c}", "a=b", "a:b=c", "{a=b, c=~d,}", "a", "a=b\"c", "-=~("].map(is_newer);
        assert_eq!(newer, [true, true, true, true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn what_neither_notation_reads_is_refused() {
        check("severity", "`severity` is no matcher such as `severity=\"critical\"`");
        check(r#"foo="a"b"#, r#"the value in `foo="a"b` has a quote that is not escaped or not closed"#);
        check(r#"foo="a"#, r#"the value in `foo="a` has a quote that is not escaped or not closed"#);
        check("foo=~(", "the regular expression `(` is wrong: unclosed group");
    }

    #[test]
    fn a_dot_does_not_match_a_line_feed() {
        let of = |value: &str| [(Name::new("a"), Name::new(value))].into();
        let matchers = Matchers::new(parse("a=~x.y").unwrap());
        assert!(matchers.match_labels(&of("x-y")) && !matchers.match_labels(&of("x\ny")) && !matchers.match_labels(&of("x-yz")));
    }
}
