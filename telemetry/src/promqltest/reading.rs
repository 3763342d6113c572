//! A script's text → its commands; everything that is wrong with it at once.

use std::sync::Arc;

use firedrill_core::problem::{Problem, SourceFile, near_miss};

use super::expected::Expected;
use super::fault::Fault;
use super::script::{Command, Point, duration_ms, first_word, points};
use crate::labels::Labels;
use crate::notation::parse_leading_series;

/// The words that a command begins with.
const COMMANDS: [&str; 8] = ["load", "load_with_nhcb", "clear", "eval", "eval_fail", "eval_warn", "eval_info", "eval_ordered"];

/// One command with what belongs to it.
pub(super) enum Step<'t> {
    Clear,
    Load(Load),
    Evaluate(Box<Evaluate<'t>>),
}

pub(super) struct Load {
    pub gap_ms: i64,
    /// Classic histograms become native ones too.
    pub converts: bool,
    /// Series with their points; `None` for a line of start timestamps.
    pub series: Vec<(Labels, Option<Vec<Point>>)>,
}

pub(super) struct Evaluate<'t> {
    /// Counted from 1.
    pub line: usize,
    pub command: Command<'t>,
    pub expected: Expected,
}

/// Reads all commands of a script.
pub(super) fn steps(file: &Arc<SourceFile>) -> Result<Vec<Step<'_>>, Vec<Problem>> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).map(|line| if line.starts_with('#') { &line[..0] } else { line }).collect();
    let mut reading = Reading { steps: Vec::new(), faults: Vec::new() };
    let mut index = 0;
    while index < lines.len() {
        let body_end = (index + 1..lines.len()).find(|next| lines[*next].is_empty()).unwrap_or(lines.len());
        let (line, body) = (lines[index], &lines[index + 1..body_end]);
        let (word, rest) = first_word(line);
        let word = word.to_ascii_lowercase();
        index = match word.as_str() {
            "" => index + 1,
            "clear" => {
                reading.clear(rest);
                index + 1
            }
            "load" | "load_with_nhcb" => {
                reading.load(line, body);
                body_end
            }
            word if COMMANDS.contains(&word) => {
                reading.evaluate(index + 1, line, body);
                body_end
            }
            _ => {
                reading.faults.push(no_command(line));
                body_end
            }
        };
    }
    let Reading { steps, faults } = reading;
    if faults.is_empty() { Ok(steps) } else { Err(faults.into_iter().map(|fault| fault.problem(file)).collect()) }
}

/// Whether a line is a command, and no series of such a name.
fn is_command(line: &str) -> bool {
    let (word, _) = first_word(line);
    let is_series = || parse_leading_series(line).is_ok_and(|(_, sequence)| !sequence.is_empty() && points(sequence).is_ok());
    COMMANDS.iter().any(|command| word.eq_ignore_ascii_case(command)) && !is_series()
}

/// A time between two values that is less than nothing.
fn backwards(gap: &str) -> Fault<'_> {
    Fault::new(gap, format!("`{gap}` leads back in time"), "write the time from one value to the next, as `load 5m`")
}

/// What is no command, and what was likely meant.
fn no_command(line: &str) -> Fault<'_> {
    let (word, _) = first_word(line);
    let is_series = parse_leading_series(line).is_ok_and(|(_, sequence)| !sequence.is_empty() && points(sequence).is_ok());
    if is_series || word.eq_ignore_ascii_case("expect") {
        let message = "this line belongs to no command";
        return Fault::new(
            line,
            message,
            "an empty line or a comment ends what belongs to `load` or `eval`: take it away, or write the command before it",
        );
    }
    let begun = COMMANDS.into_iter().filter(|known| word.to_ascii_lowercase().starts_with(known)).max_by_key(|known| known.len());
    let remedy = match near_miss(word, &COMMANDS).or(begun) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write `load 5m` with series below, `eval instant at 5m EXPRESSION` with what is expected below, or `clear`".to_owned(),
    };
    Fault::new(word, format!("there is no command `{word}`"), remedy)
}

struct Reading<'t> {
    steps: Vec<Step<'t>>,
    faults: Vec<Fault<'t>>,
}

impl<'t> Reading<'t> {
    fn clear(&mut self, rest: &'t str) {
        if !rest.is_empty() {
            self.faults.push(Fault::new(rest, "`clear` stands alone", "it forgets all series: take the rest of the line away"));
        }
        self.steps.push(Step::Clear);
    }

    fn load(&mut self, command: &'t str, body: &[&'t str]) {
        let (word, gap) = first_word(command);
        let remedy = format!("write `{word} 5m`: from one value to the next");
        let gap_ms = if gap.is_empty() {
            Err(Fault::after(command, format!("`{word}` needs the time between two values"), remedy))
        } else if first_word(gap).1.is_empty() {
            duration_ms(gap)
        } else {
            Err(Fault::new(gap, format!("`{gap}` is no duration"), remedy))
        };
        let gap_ms = gap_ms.and_then(|gap_ms| if gap_ms < 0 { Err(backwards(gap)) } else { Ok(gap_ms) });
        let gap_ms = self.kept(gap_ms);
        let body = self.own(body);
        let series: Vec<_> = body.iter().filter_map(|line| self.kept(loaded(line))).collect();
        let converts = word.eq_ignore_ascii_case("load_with_nhcb");
        self.steps.extend(gap_ms.map(|gap_ms| Step::Load(Load { gap_ms, converts, series })));
    }

    fn evaluate(&mut self, line: usize, command: &'t str, body: &[&'t str]) {
        let command = self.kept(Command::parse(command));
        let (expects, is_range) =
            command.as_ref().map_or((None, false), |command| (command.expects.as_deref(), command.moments.step_ms.is_some()));
        let body = self.own(body);
        let mut expected = Expected::new(expects, body);
        for line in body {
            let read = expected.read(line, is_range);
            self.kept(read);
        }
        let checked = expected.check(body, is_range);
        self.kept(checked);
        self.steps.extend(command.map(|command| Step::Evaluate(Box::new(Evaluate { line, command, expected }))));
    }

    /// The lines before one that is a command, which is told; all of them, if none is.
    fn own<'b>(&mut self, body: &'b [&'t str]) -> &'b [&'t str] {
        let Some(at) = body.iter().position(|line| is_command(line)) else { return body };
        let (word, _) = first_word(body[at]);
        let message = format!("an empty line is missing before this `{word}`");
        self.faults.push(Fault::new(word, message, "what belongs to a command ends with an empty line: write one here"));
        &body[..at]
    }

    fn kept<T>(&mut self, result: Result<T, Fault<'t>>) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault)).ok()
    }
}

/// A line under `load`.
fn loaded(line: &str) -> Result<(Labels, Option<Vec<Point>>), Fault<'_>> {
    let (labels, sequence) = parse_leading_series(line).map_err(|error| Fault::no_series(line, &error))?;
    let points = if sequence.starts_with("@st") { None } else { Some(points(sequence)?) };
    Ok((labels, points))
}
