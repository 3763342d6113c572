//! A timeline as text: columns that line up, long lines wrapped under their own column.

use firedrill_core::time::{Span, Time};

use super::{Kind, Timeline};

/// The text column is never narrower than this, however narrow the terminal.
const NARROWEST: usize = 24;

impl Timeline {
    /// As plain text, wrapped at `width` characters.
    #[must_use]
    pub fn plain(&self, width: usize) -> String {
        self.render(width, |_, text| text.to_owned())
    }

    /// As text wrapped at `width` characters. `paint` dresses the word of each line's kind, and must keep its visible width.
    #[must_use]
    pub fn render(&self, width: usize, paint: impl Fn(Kind, &str) -> String) -> String {
        let times: Vec<(String, String)> =
            self.lines.iter().map(|line| (column(line.at.since(Time::ZERO)), self.since_fault(line.at))).collect();
        let widest = |column: fn(&(String, String)) -> &String| times.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
        let (first, second) = (widest(|row| &row.0), widest(|row| &row.1));
        let kinds = self.lines.iter().map(|line| line.kind.word().len()).max().unwrap_or(0);
        // Without a fault there is no second column, and no gap for it.
        let second_gap = if second == 0 { 0 } else { second + 2 };
        let indent = first + second_gap + kinds + 4;
        let room = width.saturating_sub(indent).max(NARROWEST);
        let mut text = String::new();
        for (line, (at, since)) in self.lines.iter().zip(&times) {
            let word = paint(line.kind, &format!("{:<kinds$}", line.kind.word()));
            let since = if second == 0 { String::new() } else { format!("  {since:>second$}") };
            for (index, part) in wrap(&line.text, room).iter().enumerate() {
                if index == 0 {
                    text.push_str(&format!("{at:>first$}{since}  {word}  {part}\n"));
                } else {
                    text.push_str(&format!("{:indent$}{part}\n", ""));
                }
            }
        }
        text
    }

    /// The time since the first fault, signed; empty without a fault.
    #[must_use]
    pub fn since_fault(&self, at: Time) -> String {
        match self.first_fault {
            None => String::new(),
            Some(fault) if at < fault => format!("-{}", column(fault - at)),
            Some(fault) => format!("+{}", column(at - fault)),
        }
    }
}

/// The time since the start of the run, to the second.
#[must_use]
pub(super) fn clock(at: Time) -> String {
    clock_span(at.since(Time::ZERO))
}

/// To the second, rounded down: finer times are in the journal.
pub(super) fn clock_span(span: Span) -> String {
    Span::from_seconds(span.as_nanos() / 1_000_000_000).to_string()
}

/// As [`clock_span`], with seconds in two digits so that a column reads evenly: `45s`, `2m00s`, `1h05m09s`.
pub(crate) fn column(span: Span) -> String {
    let seconds = span.as_nanos() / 1_000_000_000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

/// Breaks at spaces; a word longer than the room stands alone.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        let line = lines.last_mut().expect("there is always a line");
        if used == 0 {
            line.push_str(word);
            used = length;
        } else if used + 1 + length <= room {
            line.push(' ');
            line.push_str(word);
            used += 1 + length;
        } else {
            lines.push(word.to_owned());
            used = length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_column_have_seconds_in_two_digits() {
        assert_eq!([0, 45, 120, 3909].map(|seconds| column(Span::from_seconds(seconds))), ["0s", "45s", "2m00s", "1h05m09s"]);
    }

    #[test]
    fn long_lines_break_at_spaces_and_long_words_stand_alone() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensibilities are long", 8), ["incomprehensibilities", "are long"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
