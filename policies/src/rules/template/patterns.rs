//! Regular expressions as Go reads them: `\d`, `\w` and `\s` mean ASCII, and a `[` within brackets is itself.

use regex::Regex;

use super::value::Failure;

/// A pattern, compiled.
pub(super) fn compiled(pattern: &str) -> Result<Regex, Failure> {
    let translated = translated(pattern).and_then(|translated| Regex::new(&translated).ok());
    translated.ok_or_else(|| format!("`{pattern}` is no regular expression"))
}

fn translated(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut is_in_class = false;
    while let Some(first) = rest.chars().next() {
        let second = rest[first.len_utf8()..].chars().next();
        let (piece, length) = match (first, second) {
            ('\\', Some(kind)) => (escape(kind, is_in_class)?, 1 + kind.len_utf8()),
            ('[', _) if !is_in_class => {
                is_in_class = true;
                // A `]` that comes first is one of the characters.
                let opening = ["[^]", "[]"].into_iter().find(|opening| rest.starts_with(opening));
                match opening {
                    Some(opening) => (opening.replace(']', r"\]"), opening.len()),
                    None => ("[".to_owned(), 1),
                }
            }
            ('[', Some(':')) => match rest.find(":]") {
                Some(end) => (rest[..end + 2].to_owned(), end + 2),
                None => (r"\[".to_owned(), 1),
            },
            ('[', _) => (r"\[".to_owned(), 1),
            ('{', _) if !is_in_class && !is_repetition(rest) => (r"\{".to_owned(), 1),
            ('&' | '~', _) if is_in_class => (format!("\\{first}"), 1),
            (']', _) => {
                is_in_class = false;
                ("]".to_owned(), 1)
            }
            _ => (first.to_string(), first.len_utf8()),
        };
        out.push_str(&piece);
        rest = &rest[length..];
    }
    Some(out)
}

/// Whether a text begins with a count such as `{2}` or `{2,}`; other braces are themselves.
fn is_repetition(text: &str) -> bool {
    let counts =
        text.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(counts, _)| counts.split_once(',').unwrap_or((counts, "")));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    counts.is_some_and(|(least, most)| !least.is_empty() && is_number(least) && is_number(most))
}

/// An escape; `None` if Go knows no such.
fn escape(kind: char, is_in_class: bool) -> Option<String> {
    Some(match kind {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => r"[\t\n\f\r ]".to_owned(),
        'S' => r"[^\t\n\f\r ]".to_owned(),
        'b' if !is_in_class => r"(?-u:\b)".to_owned(),
        other if other.is_alphabetic() && !"aftnrvABzpPx".contains(other) => return None,
        other => format!("\\{other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_mean_ascii_and_brackets_are_themselves() {
        for (pattern, matching, other) in [
            (r"^\d+$", "12", "١٢"),
            (r"^[\w.]+$", "a_1.b", "é"),
            (r"^[a[b]+$", "a[b", "c"),
            (r"^[]x]+$", "]x", "y"),
            (r"^[[:alpha:]&&~]+$", "a&~", "1"),
            ("^{a{2}{,3}$", "{aa{,3}", "a{,3}"),
            (r"\bab\b", "x ab.", "xab"),
        ] {
            assert!(compiled(pattern).unwrap().is_match(matching), "{pattern}");
            assert!(!compiled(pattern).unwrap().is_match(other), "{pattern}");
        }
        assert!(compiled("(").is_err() && compiled(r"\u0041").is_err());
    }
}
