//! A count with its noun in the right number.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_every_other_number_is_many() {
        assert_eq!(["run", "policy", "day", "file"].map(|noun| counted(1, noun)), ["1 run", "1 policy", "1 day", "1 file"]);
        assert_eq!(["run", "policy", "day", "file"].map(|noun| counted(2, noun)), ["2 runs", "2 policies", "2 days", "2 files"]);
        assert_eq!((counted(0, "check"), counted(12_345, "run")), ("0 checks".to_owned(), "12,345 runs".to_owned()));
    }
}
