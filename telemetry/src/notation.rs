//! Reading `name{a="b"}` and lists of matchers as documents write them.

use crate::labels::{Labels, METRIC_NAME, Matcher, MatcherError};

/// A text that is no series or no list of matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotationError {
    /// The text ends or goes on where it should not.
    #[error("expected {expected} at `{rest}`")]
    Expected {
        /// What should stand there.
        expected: &'static str,
        /// The rest of the text from the wrong place on; empty at its end.
        rest: String,
    },
    /// A series names a label by another operator than `=`.
    #[error("a series is written with `=` alone, not `{0}`")]
    NotAnEquality(String),
    /// A series names one label twice.
    #[error("the label `{0}` stands twice")]
    Twice(String),
    /// One of the matchers is wrong.
    #[error(transparent)]
    Matcher(#[from] MatcherError),
}

/// Reads one series: `name`, `name{a="b", c="d"}` or `{a="b"}`; quoted names are allowed.
///
/// # Errors
/// The text is something else; a matcher other than `=`; a label twice.
pub fn parse_series(text: &str) -> Result<Labels, NotationError> {
    let (labels, rest) = parse_leading_series(text.trim())?;
    Reader { rest }.end()?;
    Ok(labels)
}

/// Reads the series at the start of a text and returns it with the rest of the text, whose leading blanks are gone.
///
/// # Errors
/// As [`parse_series`].
pub fn parse_leading_series(text: &str) -> Result<(Labels, &str), NotationError> {
    let mut reader = Reader { rest: text.trim_start() };
    let mut builder = Labels::builder();
    let mut seen: Vec<String> = Vec::new();
    for matcher in reader.selector()? {
        if matcher.op.symbol() != "=" {
            return Err(NotationError::NotAnEquality(matcher.to_string()));
        }
        if seen.iter().any(|name| **name == *matcher.name) {
            return Err(NotationError::Twice(matcher.name.to_string()));
        }
        seen.push(matcher.name.to_string());
        builder = builder.set(matcher.name, matcher.value);
    }
    Ok((builder.build(), reader.rest))
}

/// Reads matchers as Alertmanager writes them: `severity="page"`, `severity=page, team!~"a|b"`, or the same in braces.
///
/// # Errors
/// The text is something else, or a regular expression does not compile.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, NotationError> {
    let mut reader = Reader { rest: text.trim() };
    let matchers = if reader.rest.starts_with('{') { reader.selector()? } else { reader.matchers("")? };
    reader.end()?;
    Ok(matchers)
}

struct Reader<'text> {
    rest: &'text str,
}

impl<'text> Reader<'text> {
    /// `name{…}`, `name` or `{…}`.
    fn selector(&mut self) -> Result<Vec<Matcher>, NotationError> {
        let name = self.word(":");
        let mut matchers = Vec::new();
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        // Two braces open a native histogram after a series.
        if !self.rest.starts_with("{{") && self.take("{") {
            matchers.extend(self.matchers("}")?);
        } else if name.is_empty() {
            return Err(self.expected("a metric name or `{`"));
        }
        Ok(matchers)
    }

    /// Matchers separated by commas up to the closing text, which is taken too.
    fn matchers(&mut self, close: &str) -> Result<Vec<Matcher>, NotationError> {
        let mut matchers = Vec::new();
        loop {
            if self.ends(close) {
                return Ok(matchers);
            }
            let quoted = self.rest.starts_with('"');
            let name = if quoted { self.quoted()? } else { self.word(".").to_owned() };
            if name.is_empty() {
                return Err(self.expected("a label name"));
            }
            match ["=~", "!~", "!=", "="].into_iter().find(|operator| self.take(operator)) {
                Some(operator) => matchers.push(Matcher::new(&name, operator, &self.value()?)?),
                // `{"name with spaces", a="b"}` is how a metric's name is quoted.
                None if quoted => matchers.push(Matcher::equal(METRIC_NAME, name)),
                None => return Err(self.expected("=, !=, =~ or !~")),
            }
            if self.take(",") {
                continue;
            }
            if !self.ends(close) {
                return Err(self.expected("`,` or the end of the matchers"));
            }
            return Ok(matchers);
        }
    }

    fn value(&mut self) -> Result<String, NotationError> {
        if self.rest.starts_with(['"', '\'']) {
            return self.quoted();
        }
        let end = self.rest.find([',', '}', '{', '"']).unwrap_or(self.rest.len());
        let value = self.rest[..end].trim().to_owned();
        self.skip(end);
        Ok(value)
    }

    fn quoted(&mut self) -> Result<String, NotationError> {
        let quote = self.rest.chars().next().expect("callers have seen the quote");
        let mut out = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, c)) = characters.next() {
            if c == quote {
                self.skip(index + 1);
                return Ok(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match characters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, escaped @ ('\\' | '"' | '\''))) => out.push(escaped),
                // Alertmanager keeps other escapes, so that `\d` in an expression needs no doubling.
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            }
        }
        Err(self.expected("a closed quote"))
    }

    /// The longest word of letters, digits, `_` and the extra characters.
    fn word(&mut self, extra: &str) -> &'text str {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c);
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.skip(end);
        word
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest.starts_with(text);
        if found {
            self.skip(text.len());
        }
        found
    }

    fn ends(&mut self, close: &str) -> bool {
        if close.is_empty() { self.rest.is_empty() } else { self.take(close) }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    fn end(&self) -> Result<(), NotationError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn expected(&self, expected: &'static str) -> NotationError {
        NotationError::Expected { expected, rest: self.rest.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_series(text: &str, expected: &str) {
        let written = match parse_series(text) {
            Ok(labels) => labels.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(written, expected, "{text}");
    }

    #[test]
    fn a_series_is_read_in_prometheus_notation() {
        check_series("up", "up");
        check_series(r#"up{job="a",pod="b",}"#, r#"up{job="a", pod="b"}"#);
        check_series(r#" { job = "a\"}\n" } "#, r#"{job="a\"}\n"}"#);
        check_series(r#"{"odd name", k="v"}"#, r#"{__name__="odd name", k="v"}"#);
        check_series("job:errors:rate5m{}", "job:errors:rate5m");
        check_series("{}", "{}");
    }

    #[test]
    fn what_is_no_series_is_refused_where_it_goes_wrong() {
        check_series("", "expected a metric name or `{` at ``");
        check_series("up{job}", "expected =, !=, =~ or !~ at `}`");
        check_series(r#"up{job="a" pod="b"}"#, r#"expected `,` or the end of the matchers at `pod="b"}`"#);
        check_series(r#"up{job="a"#, r#"expected a closed quote at `"a`"#);
        check_series(r#"up{job=~"a"}"#, r#"a series is written with `=` alone, not `job=~"a"`"#);
        check_series(r#"up{a="1",a="2"}"#, "the label `a` stands twice");
        check_series("up 1", "expected the end at `1`");
    }

    #[track_caller]
    fn check_matchers(text: &str, expected: &[&str]) {
        let matchers = parse_matchers(text).expect("matchers");
        let written: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
        assert_eq!(written, expected, "{text}");
    }

    #[test]
    fn matchers_are_read_as_alertmanager_writes_them() {
        check_matchers("severity=critical", &[r#"severity="critical""#]);
        check_matchers(r#"severity="page", team !~ "a|b""#, &[r#"severity="page""#, r#"team!~"a|b""#]);
        check_matchers(r#"{a="b",c!="d"}"#, &[r#"a="b""#, r#"c!="d""#]);
        check_matchers(r#"a=~"\d+""#, &[r#"a=~"\\d+""#]);
        check_matchers("a=", &[r#"a="""#]);
    }
}
