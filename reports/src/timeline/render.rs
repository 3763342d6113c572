//! A timeline as text: columns that line up, long lines wrapped under their own column.

use firedrill_core::time::{Span, Start, Time};
use firedrill_core::words::in_one_line;

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
        self.with_times(width, |at| self.since_fault(at), paint)
    }

    /// The same of something that really happened, with the time of day in UTC beside the time since `start`; with the date too if it lasted
    /// into another day.
    #[must_use]
    pub fn render_from(&self, start: Start, width: usize, paint: impl Fn(Kind, &str) -> String) -> String {
        let instant = |at: Time| Start::from_unix_millis(start.unix_millis() + at.since(Time::ZERO).as_millis().cast_signed()).to_string();
        // As written: `2026-01-05T09:30:00Z`, with a fraction before the Z if there is one.
        let day = |at: Time| instant(at)[..10].to_owned();
        let is_one_day = self.lines.iter().all(|line| day(line.at) == day(Time::ZERO));
        let told = |at: Time| {
            let clock = instant(at)[11..19].to_owned();
            if is_one_day { format!("{clock}Z") } else { format!("{} {clock}Z", day(at)) }
        };
        self.with_times(width, told, paint)
    }

    fn with_times(&self, width: usize, second: impl Fn(Time) -> String, paint: impl Fn(Kind, &str) -> String) -> String {
        let times: Vec<(String, String)> = self.lines.iter().map(|line| (column(line.at.since(Time::ZERO)), second(line.at))).collect();
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
            for (index, part) in wrap(&in_one_line(&line.text), room).iter().enumerate() {
                if index == 0 {
                    text.push_str(&format!("{at:>first$}{since}  {word}  {part}\n"));
                } else {
                    text.push_str(&format!("{:indent$}{part}\n", ""));
                }
            }
        }
        text
    }

    /// The time since the onset of the incident that began last, negative before the first one; empty without a fault.
    #[must_use]
    pub fn since_fault(&self, at: Time) -> String {
        let last = self.onsets.iter().rev().find(|onset| **onset <= at).or(self.onsets.first());
        match last {
            None => String::new(),
            Some(onset) if at < *onset => format!("-{}", column(*onset - at)),
            Some(onset) => format!("+{}", column(at - *onset)),
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

/// As [`clock_span`], with seconds in two digits so that a column reads evenly.
pub(crate) fn column(span: Span) -> String {
    span.clock()
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
    use super::super::Line;
    use super::*;

    #[test]
    fn what_really_happened_has_its_time_of_day_and_its_date_if_there_are_several() {
        let line = |seconds| Line { at: Time::ZERO + Span::from_seconds(seconds), kind: Kind::Alert, text: "x".to_owned() };
        let story = |seconds: [u64; 2]| Timeline {
            scenario: "s".into(),
            arm: "replay".into(),
            policies: Vec::new(),
            seed: 0,
            onsets: Vec::new(),
            lines: seconds.map(line).into(),
        };
        let told = |seconds, start| story(seconds).render_from(Start::parse(start).unwrap(), 80, |_, text| text.to_owned());
        assert_eq!(told([0, 65], "2026-01-05T09:30:00.5Z"), "   0s  09:30:00Z  alert  x\n1m05s  09:31:05Z  alert  x\n");
        assert_eq!(told([0, 65], "2026-01-05T23:59:00Z"), "   0s  2026-01-05 23:59:00Z  alert  x\n1m05s  2026-01-06 00:00:05Z  alert  x\n");
    }

    #[test]
    fn long_lines_break_at_spaces_and_long_words_stand_alone() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensibilities are long", 8), ["incomprehensibilities", "are long"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
