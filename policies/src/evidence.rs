//! Evidence for people: what is gathered for a page, kept within stated bounds and without what looks like a credential.
//!
//! Both are applied where the engine takes evidence in, before anything is journaled, whoever gathered it; applying them again changes nothing.

use std::sync::LazyLock;

use firedrill_core::journal::Evidence;
use firedrill_core::name::Name;
use regex::Regex;

/// At most so many lines of each kind.
pub const MOST_LINES: usize = 20;

/// A line is at most so long, in bytes; what is cut off ends in `…`.
pub const MOST_BYTES: usize = 400;

/// All lines together have at most so many bytes.
pub const MOST_BYTES_TOGETHER: usize = 8 * 1024;

/// What stands for a value that looks like a credential.
pub const REDACTED: &str = "[redacted]";

/// The kinds of evidence, in the order of the documentation.
pub const KINDS: [&str; 5] = ["metrics", "logs", "traces", "changes", "alerts"];

/// The end of a key that names a secret, with what stands between it and its value; a text within a text has backslashes before its quotes.
const NAMED: &str = r#"(?i)([a-z0-9_.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|session[_-]?id)\\*["']?\s*(?:={1,2}[~>]?|![=~]|:=?)\s*"#;

/// The end of a key whose value is all that follows, up to a quote.
const HEADERS: &str = r#"(?i)([a-z0-9_.-]*(?:authorization|cookie)s?\\*["']?\s*[=:]\s*\\*["']?)[^"'\\]+"#;

/// A letter of a bare value; what may stand between a key and its value is none at the beginning.
const BARE: &str = r#"[^\s"',;}\])\[\\~>]"#;

/// What looks like a credential, and what it is replaced by. Of pairs the key is kept, so that people see what was there.
static PATTERNS: LazyLock<[(Regex, &str); 10]> = LazyLock::new(|| {
    let read = |pattern: &str, instead| (Regex::new(pattern).expect("a pattern of our own reads"), instead);
    [
        // A private key, as far as it is there.
        read(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)", REDACTED),
        // Who comes with a password in an address, with or without a name.
        read(r#"://[^/\s"']*:[^/\s"']*@"#, "://[redacted]@"),
        // What is sent to prove who one is.
        read(HEADERS, "${1}[redacted]"),
        read(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", "$1 [redacted]"),
        // A secret by its name: in quotes within a text, in quotes, bare.
        read(&format!(r#"{NAMED}\\+")(?:[^"\\]|\\[^"\\]|\\{{2,}}"?)*"#), "${1}[redacted]"),
        read(&format!(r#"{NAMED})(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)"#), "${1}\"[redacted]\""),
        // A bare one goes on beyond a backslash, unless that is before a quote, and then it is the end of a text within a text.
        read(&format!(r#"{NAMED})[~>]*(?:{BARE}|\\+[^\s"'\\])(?:{BARE}|[~>]|\\+[^\s"'\\])*"#), "${1}[redacted]"),
        // Tokens that can be told by their looks: JSON web tokens, and those of GitHub, GitLab, Slack, Stripe, AWS and Google.
        read(
            r"\b(eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){1,2}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{8,}|[rs]k_(?:live|test)_\w{8,}|A[KS]IA[A-Z0-9]{16}|AIza[\w-]{30,})",
            REDACTED,
        ),
        // Mail addresses.
        read(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", REDACTED),
        // Long runs of hexadecimal digits beyond those of traces, such as keys of 160 bits and more.
        read(r"\b(?:0x)?[0-9a-fA-F]{40,}\b", REDACTED),
    ]
});

/// A text without what looks like a credential.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, instead) in PATTERNS.iter() {
        if pattern.is_match(&text) {
            text = pattern.replace_all(&text, *instead).into_owned();
        }
    }
    text
}

/// What could not be gathered, and why.
#[must_use]
pub fn missing(kind: &Name, why: &str) -> Evidence {
    Evidence { kind: kind.clone(), lines: Vec::new(), note: why.to_owned() }
}

/// Evidence within its bounds and without credentials. What is left out is counted in the note.
#[must_use]
pub fn bounded(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let mut room = MOST_BYTES_TOGETHER;
    let within = |evidence: Evidence| {
        let given = evidence.lines.len();
        let mut lines = Vec::new();
        for line in evidence.lines.iter().take(MOST_LINES).map(|text| line(text)) {
            if line.len() > room {
                break;
            }
            room -= line.len();
            lines.push(line);
        }
        let left_out = given - lines.len();
        let mut notes: Vec<String> = Vec::new();
        if !evidence.note.is_empty() {
            notes.push(line(&evidence.note));
        }
        if left_out > 0 {
            notes.push(format!("{left_out} more left out"));
        }
        Evidence { kind: evidence.kind, lines, note: notes.join("; ") }
    };
    evidence.into_iter().take(KINDS.len()).map(within).collect()
}

/// One line without credentials, of bounded length. To cut a text may make another look like a credential, so that both are done until
/// nothing changes.
fn line(text: &str) -> String {
    let mut text = cut(&redacted(&text.replace(['\n', '\r'], " ")));
    for _ in 0..4 {
        let again = cut(&redacted(&text));
        if again == text {
            return text;
        }
        text = again;
    }
    REDACTED.to_owned()
}

fn cut(text: &str) -> String {
    const END: &str = "…";
    if text.len() <= MOST_BYTES {
        return text.to_owned();
    }
    let mut end = MOST_BYTES - END.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{END}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn what_looks_like_a_credential_is_replaced_and_its_key_is_kept() {
        check("password=hunter2 user=ann", "password=[redacted] user=ann");
        check(r#"{db_password="s3cr3t,x", pod="api-1"} 1"#, r#"{db_password="[redacted]", pod="api-1"} 1"#);
        check(r#"{"api_key":"hunter4"}"#, r#"{"api_key":"[redacted]"}"#);
        check(r#"{\"api_key\":\"hunter4\",\"pod\":\"a\"}"#, r#"{\"api_key\":\"[redacted]\",\"pod\":\"a\"}"#);
        check(r#"PWD = "hunter7 with \" space" pod"#, r#"PWD = "[redacted]" pod"#);
        check(r#"PWD = \"hunter7 with space\" pod"#, r#"PWD = \"[redacted]\" pod"#);
        check("x-api-key: hunter44, access-key=hunter5", "x-api-key: [redacted], access-key=[redacted]");
        check(r#"password=~"hunter.*" :secret => 'a b'"#, r#"password=~"[redacted]" :secret => "[redacted]""#);
        check("redis://:hunter23@db redis://a:b@c@db", "redis://[redacted]@db redis://[redacted]@db");
        check("Authorization: ApiKey hunter5", "Authorization: [redacted]");
        check(r#"-H "Cookie: a=1; b=hunter11" -v"#, r#"-H "Cookie: [redacted]" -v"#);
        check(&format!("key 0x{}", "0f".repeat(20)), "key [redacted]");
        check(r#"{"api_key": "abc123"}"#, r#"{"api_key": "[redacted]"}"#);
        check("Authorization: Bearer abcdef0123456789", "Authorization: [redacted]");
        check("curl -H 'Bearer abcdef0123456789'", "curl -H 'Bearer [redacted]'");
        check("postgres://shop:hunter2@db-0:5432/orders", "postgres://[redacted]@db-0:5432/orders");
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "[redacted]");
        check("key AKIAIOSFODNN7EXAMPLE leaked", "key [redacted] leaked");
        check("told ann.lee+ops@example.co.uk of it", "told [redacted] of it");
        check(&format!("sum {}", "0f".repeat(20)), "sum [redacted]");
        check("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "[redacted]");
    }

    #[test]
    fn a_bare_value_is_replaced_as_a_whole_whatever_it_is_made_of() {
        check("db_password: ~s3cret9", "db_password: [redacted]");
        check(r"password=\x41bc", "password=[redacted]");
        check("password=~~abc", "password=~[redacted]");
        check(r"PGPASSWORD=pa\$s99", "PGPASSWORD=[redacted]");
        check(r"password=hun\ter2 x", "password=[redacted] x");
        check("token=a~b>c user=ann", "token=[redacted] user=ann");
        check(r#"\"run --password=hunter2\" in pod"#, r#"\"run --password=[redacted]\" in pod"#);
    }

    #[test]
    fn figures_names_and_traces_are_left_as_they_are() {
        for text in [
            r#"{pod="api-7d9f8b6c5d-x2v4q"} 0.31 < 0.01"#,
            "trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "tokens_used 3, passwords_total 4 > 2",
            "http://prometheus:9090/graph?g0.expr=up",
            "secretary answered at 10:15",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let evidence = Evidence { kind: Name::new("metrics"), lines: vec!["up 1".to_owned(); 23], note: String::new() };
        let long = Evidence { kind: Name::new("alerts"), lines: vec!["x".repeat(1000); 30], note: "since 5m".to_owned() };
        let kept = bounded(vec![evidence, long]);
        assert_eq!((kept[0].lines.len(), kept[0].note.as_str()), (20, "3 more left out"));
        assert_eq!((kept[1].lines.len(), kept[1].note.as_str()), (20, "since 5m; 10 more left out"));
        assert!(kept[1].lines.iter().all(|line| line.len() <= MOST_BYTES && line.ends_with('…')));
        let much: Vec<Evidence> =
            KINDS.map(|kind| Evidence { kind: Name::new(kind), lines: vec!["y".repeat(400); 20], note: String::new() }).into();
        let together: usize = bounded(much).iter().flat_map(|one| &one.lines).map(String::len).sum();
        assert!(together <= MOST_BYTES_TOGETHER && together > MOST_BYTES_TOGETHER - MOST_BYTES);
    }

    proptest! {
        #[test]
        fn bounds_hold_and_applying_them_again_changes_nothing(
            lines in prop::collection::vec("(password=|token: |Bearer |é|[a-z@.:/=\"{}, -]{0,40}|[~>$\\\\ a-z\"']{0,8}|[A-Z0-9]{0,30}){0,40}", 0..30), note in "[ -~]{0,60}"
        ) {
            let once = bounded(vec![Evidence { kind: Name::new("metrics"), lines, note }]);
            prop_assert!(once[0].lines.len() <= MOST_LINES && once[0].lines.iter().all(|line| line.len() <= MOST_BYTES));
            prop_assert_eq!(bounded(once.clone()), once);
        }
    }
}
