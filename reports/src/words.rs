//! Numbers in sentences: a count with its noun, and figures that people can read.

pub use firedrill_core::words::counted;
pub(crate) use firedrill_core::words::grouped;

/// A text in which figures with more digits than anyone reads are cut to four significant ones: the journal has them all.
///
/// What stands in quotation marks is a label's value and stays as it is. Where cutting would make two figures look equal
/// that are not, as in `0.0099999 < 0.01`, they keep as many digits as it takes to tell them apart.
#[must_use]
pub fn readable(text: &str) -> String {
    let pieces = pieces(text);
    let figures: Vec<(&str, f64)> = pieces.iter().filter_map(|piece| Some((*piece, figure(piece)?))).collect();
    pieces.iter().map(|piece| if is_long(piece) { shortened(piece, &figures) } else { (*piece).to_owned() }).collect()
}

/// The text cut at the edges of numbers and of quoted values; a number that is part of a word is no number.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut begun, mut quoted, mut escaped) = (0, false, false);
    let mut previous = ' ';
    let mut was_part = false;
    for (at, character) in text.char_indices() {
        // The sign of an exponent belongs to its number.
        let sign = matches!(character, '-' | '+') && previous == 'e';
        let is_part = character.is_ascii_alphanumeric() || matches!(character, '.' | '_') || sign;
        let edge = !quoted && is_part != was_part;
        if edge && at > begun {
            pieces.push(&text[begun..at]);
            begun = at;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        (previous, was_part) = (character, is_part);
    }
    pieces.push(&text[begun..]);
    pieces
}

fn figure(piece: &str) -> Option<f64> {
    piece.starts_with(|first: char| first.is_ascii_digit()).then(|| piece.parse().ok()).flatten()
}

/// Longer than anyone reads: five digits or more after the point.
fn is_long(piece: &str) -> bool {
    figure(piece).is_some() && piece.split_once('.').is_some_and(|(_, fraction)| fraction.len() > 4)
}

fn shortened(piece: &str, figures: &[(&str, f64)]) -> String {
    let Some(value) = figure(piece) else { return piece.to_owned() };
    let cut = |value: f64, digits: i32| {
        let places = digits - 1 - libm::floor(libm::log10(value.abs().max(1e-12))) as i32;
        let text = format!("{value:.*}", places.clamp(0, 17) as usize);
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    let confused = |text: &str| {
        let shown: Option<f64> = text.parse().ok();
        figures.iter().any(|(other, own)| *own != value && (Some(*own) == shown || cut(*own, 4) == text && is_long(other)))
    };
    (4..17).map(|digits| cut(value, digits)).find(|text| !confused(text)).unwrap_or_else(|| piece.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(readable(text), expected);
    }

    #[test]
    fn long_figures_are_cut_and_short_ones_and_labels_are_left() {
        check("queue_wait{service=\"web\"} 0.641188742215857 > 0.2", "queue_wait{service=\"web\"} 0.6412 > 0.2");
        check("0.00024055809477988935 < 0.05", "0.0002406 < 0.05");
        check("30.174983797796504 > 5; 12.5 s", "30.17 > 5; 12.5 s");
        check("{version=\"1.234567\"} 1 == 1", "{version=\"1.234567\"} 1 == 1");
        check("v1.234567 and 10.0.0.12345", "v1.234567 and 10.0.0.12345");
        check("-0.123456789", "-0.1235");
        check("2.4055809477988935e-05 < 0.05", "0.00002406 < 0.05");
        check("1234567.123456 > 3", "1234567 > 3");
        check("", "");
    }

    #[test]
    fn figures_that_differ_never_look_equal() {
        check("0.009999999 < 0.01", "0.009999999 < 0.01");
        check("0.0100004 > 0.01", "0.0100004 > 0.01");
        check("0.100001 < 0.100002", "0.100001 < 0.100002");
    }
}
