//! Words for people: counts with their nouns in the right number, and what others have written, in one line.

/// A count with its noun in the right number: `1 policy`, `2 policies`, `0 runs`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { noun.to_owned() } else { plural(noun) })
}

/// Regular plurals are all that we need: `run` runs, `policy` policies, `catastrophe` catastrophes.
fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// A whole number with a comma between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text of somebody else's, such as the value of a label, as it can be shown in a line of ours: what ends a line or steers a terminal is told by its code.
#[must_use]
pub fn in_one_line(text: &str) -> String {
    let is_line_end = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if c.is_control() || is_line_end(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_written_stays_in_its_line() {
        assert_eq!(in_one_line("a\r\nfailed: é\u{1b}[31m\u{9b}\u{2028}"), "a\\r\\nfailed: é\\u{1b}[31m\\u{9b}\\u{2028}");
    }

    #[test]
    fn one_is_one_and_every_other_number_is_many() {
        assert_eq!(["run", "policy", "day", "file"].map(|noun| counted(1, noun)), ["1 run", "1 policy", "1 day", "1 file"]);
        assert_eq!(["run", "policy", "day", "file"].map(|noun| counted(2, noun)), ["2 runs", "2 policies", "2 days", "2 files"]);
        assert_eq!((counted(0, "check"), counted(12_345, "run")), ("0 checks".to_owned(), "12,345 runs".to_owned()));
    }
}
