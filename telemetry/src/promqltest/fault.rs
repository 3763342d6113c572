//! What is wrong with a part of a script.

use std::ops::Range;
use std::sync::Arc;

use firedrill_core::problem::{Place, Problem, SourceFile};

use crate::notation::NotationError;
use crate::promql::Mistake;

/// How a series is written, for those who slip.
const SERIES: &str = "write a series as `name{label=\"value\"}`, then its values";

/// What is wrong with a part of a script, and what would be right.
#[derive(Debug, PartialEq)]
pub(super) struct Fault<'t> {
    /// The part, cut out of the script.
    pub at: &'t str,
    pub message: String,
    pub remedy: String,
}

impl<'t> Fault<'t> {
    pub(super) fn new(at: &'t str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Fault { at, message: message.into(), remedy: remedy.into() }
    }

    /// Something that should stand behind the last word of a text and does not.
    pub(super) fn after(text: &'t str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let text = text.trim_end();
        Fault::new(&text[text.rfind(char::is_whitespace).map_or(0, |at| at + 1)..], message, remedy)
    }

    /// What stands where a series should.
    pub(super) fn no_series(line: &'t str, error: &NotationError) -> Self {
        match error {
            NotationError::Expected { expected, rest } if rest.is_empty() => {
                Fault::after(line, format!("the line ends where {expected} should stand"), SERIES)
            }
            NotationError::Expected { expected, rest } => {
                let at = line.len().checked_sub(rest.len()).and_then(|from| line.get(from..)).unwrap_or(line);
                let first = at.chars().next().map_or(0, char::len_utf8);
                Fault::new(&at[..first], format!("{expected} should stand here"), SERIES)
            }
            other => Fault::new(line, other.to_string(), SERIES),
        }
    }

    /// Where it is in the text that the part was cut out of, in bytes.
    fn range(&self, text: &str) -> Range<usize> {
        range(text, self.at)
    }

    /// The same as a mistake in a text that the part was cut out of.
    pub(super) fn mistake(self, text: &str) -> Mistake {
        Mistake { at: self.range(text), message: self.message, remedy: Some(self.remedy) }
    }

    /// The same as a problem of the script.
    pub(super) fn problem(self, file: &Arc<SourceFile>) -> Problem {
        Problem::at("FD0912", &place(file, self.at), self.message).remedy(self.remedy)
    }
}

/// Where a part of a script stands.
pub(super) fn place(file: &Arc<SourceFile>, part: &str) -> Place {
    let Range { start, end } = range(&file.text, part);
    Place::new(file, start, end)
}

/// Where a part stands in the text that it was cut out of, told by the addresses of both; all of it, if the part is of another text.
fn range(text: &str, part: &str) -> Range<usize> {
    let from = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let is_inside = from <= text.len() && part.len() <= text.len() - from;
    if is_inside { from..from + part.len() } else { 0..text.len() }
}
