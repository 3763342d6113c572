//! Labels that a template writes whether they are there or not.
//!
//! A label that a template asks about first, as in `{{ if $labels.pod }}…{{ end }}`, may be missing: its author thought of it.

use std::ops::Range;

/// A label that is written out as if it were always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bare {
    /// Its name.
    pub label: String,
    /// The label as it is written, as in `$labels.pod`.
    pub word: String,
    /// How many times the word stands before it in the template.
    pub nth: usize,
}

/// The labels that a template writes without having asked whether they are there, each use of each, in order.
pub(super) fn bare(text: &str) -> Vec<Bare> {
    let mut reader = Reader { text, blocks: Vec::new(), aliases: Vec::new(), found: Vec::new() };
    for action in actions(text) {
        reader.action(&tokens(text, action));
    }
    reader.found
}

/// Where a text has a label as it is written in templates.
pub(in crate::rules) fn places(text: &str, word: &str) -> Vec<Range<usize>> {
    let is_part = |c: char| is_of_word(c) || matches!(c, '$' | ')');
    let is_whole = |at: &usize| !text[at + word.len()..].starts_with(is_of_word) && !text[..*at].ends_with(is_part);
    text.match_indices(word).map(|(at, _)| at).filter(is_whole).map(|at| at..at + word.len()).collect()
}

/// Functions that look at a value and do not write it.
const ASKING: [&str; 11] = ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "match"];

/// What stands between `{{` and `}}`, comments left out.
pub(super) fn actions(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("{{").map(|at| from + at + 2) {
        let is_comment = text[start..].trim_start_matches(['-', ' ']).starts_with("/*");
        let end = if is_comment { text[start..].find("*/").map_or(start, |at| start + at) } else { start };
        let Some(end) = closing(text, end) else { break };
        if !is_comment {
            found.push(start..end);
        }
        from = end + 2;
    }
    found
}

/// Where the action that begins at an offset ends; texts within it may have braces.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("}}") {
            return Some(at);
        }
        at += quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    None
}

/// How long the quoted text is that something begins with.
pub(super) fn quoted(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, quote)| matches!(quote, '"' | '`' | '\''))?;
    let mut is_escaped = false;
    for (at, c) in chars {
        match c {
            c if c == quote && !is_escaped => return Some(at + 1),
            '\\' if quote != '`' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    None
}

/// A piece of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    /// A keyword, a function, a variable, a number, a field; and where it stands.
    Word(&'t str, usize),
    /// A text.
    Text,
    Open,
    Close,
    Pipe,
    Comma,
    /// `:=`, or else `=`.
    Gets {
        is_new: bool,
    },
}

fn tokens(text: &str, action: Range<usize>) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = action.start;
    while at < action.end {
        let rest = &text[at..action.end];
        let (token, length) = match rest.chars().next() {
            Some('(') => (Some(Token::Open), 1),
            Some(')') => (Some(Token::Close), 1),
            Some('|') => (Some(Token::Pipe), 1),
            Some(',') => (Some(Token::Comma), 1),
            Some(':') if rest.starts_with(":=") => (Some(Token::Gets { is_new: true }), 2),
            Some('=') => (Some(Token::Gets { is_new: false }), 1),
            Some('"' | '`' | '\'') => (Some(Token::Text), quoted(rest).unwrap_or(rest.len())),
            // A field of what stands in parentheses.
            Some('.') if text[..at].ends_with(')') => (None, 1 + word(&rest[1..])),
            Some('$' | '.') => (Some(Token::Word(&rest[..1 + word(&rest[1..])], at)), 1 + word(&rest[1..])),
            Some(c) if is_of_word(c) => (Some(Token::Word(&rest[..word(rest)], at)), word(rest)),
            Some(c) => (None, c.len_utf8()),
            None => break,
        };
        found.extend(token);
        at += length;
    }
    found
}

/// How long the word is that a text begins with, its fields among it.
pub(super) fn word(text: &str) -> usize {
    text.find(|c: char| !is_of_word(c) && c != '.').unwrap_or(text.len())
}

pub(super) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A label that an action names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    label: String,
    word: String,
    at: usize,
    /// It is looked at and not written.
    is_asked: bool,
}

/// What an action opened and has not closed yet.
#[derive(Debug, Default)]
struct Block {
    /// Labels of which something within was asked.
    asked: Vec<String>,
    /// The label that is there in the first branch and missing in the others.
    there: Option<String>,
    /// Whether `.` is something else within.
    moves_dot: bool,
}

struct Reader<'t> {
    text: &'t str,
    blocks: Vec<Block>,
    /// Variables that hold a label, and where they took it.
    aliases: Vec<(&'t str, Use)>,
    found: Vec<Bare>,
}

impl<'t> Reader<'t> {
    fn action(&mut self, tokens: &[Token<'t>]) {
        let Some((Token::Word(keyword, _), rest)) = tokens.split_first() else { return self.written(tokens) };
        match *keyword {
            "if" | "with" => {
                let block = self.asking(rest);
                self.blocks.push(Block { moves_dot: *keyword == "with", ..block });
            }
            "else" => self.otherwise(rest),
            "range" | "block" | "define" => {
                self.written(rest);
                self.blocks.push(Block { moves_dot: true, ..Block::default() });
            }
            "end" => {
                self.blocks.pop();
            }
            "template" | "break" | "continue" => self.written(rest),
            _ => self.written(tokens),
        }
    }

    /// The block that begins with this condition.
    fn asking(&mut self, condition: &[Token<'t>]) -> Block {
        let uses = self.uses(condition, true);
        let alone = uses.first().filter(|only| uses.len() == 1 && is_alone(condition) && only.is_asked);
        let block = Block {
            asked: uses.iter().filter(|found| found.is_asked).map(|found| found.label.clone()).collect(),
            there: alone.map(|only| only.label.clone()),
            moves_dot: false,
        };
        self.tell(uses);
        block
    }

    /// `else`, `else if …` and `else with …`.
    fn otherwise(&mut self, rest: &[Token<'t>]) {
        let Some(mut block) = self.blocks.pop() else { return };
        if let Some(missing) = block.there.take() {
            block.asked.retain(|label| *label != missing);
        }
        block.moves_dot = false;
        self.blocks.push(block);
        if let Some((Token::Word(keyword, _), condition)) = rest.split_first() {
            let next = self.asking(condition);
            let block = self.blocks.last_mut().expect("it was pushed above");
            block.asked.extend(next.asked);
            block.there = next.there;
            block.moves_dot = *keyword == "with";
        }
    }

    /// An action that writes what it comes to, or keeps it in a variable.
    fn written(&mut self, pipeline: &[Token<'t>]) {
        if let [Token::Word(variable, _), Token::Gets { is_new }, value @ ..] = pipeline {
            self.aliases.retain(|(known, _)| known != variable);
            let uses = self.uses(value, true);
            match uses.as_slice() {
                [only] if *is_new && is_alone(value) => self.aliases.push((variable, only.clone())),
                _ => self.tell(uses),
            }
        } else {
            let uses = self.uses(pipeline, false);
            self.tell(uses);
        }
    }

    fn tell(&mut self, uses: Vec<Use>) {
        for Use { label, word, at, .. } in uses.into_iter().filter(|found| !found.is_asked) {
            if !self.blocks.iter().any(|block| block.asked.contains(&label)) {
                let nth = places(self.text, &word).into_iter().filter(|place| place.start < at).count();
                self.found.push(Bare { label, word, nth });
            }
        }
    }

    /// The labels that a pipeline names. What is its value as a whole is asked about, or else written.
    fn uses(&self, pipeline: &[Token<'t>], is_asked: bool) -> Vec<Use> {
        let pipeline = match pipeline.iter().position(|token| matches!(token, Token::Gets { .. })) {
            Some(gets) => &pipeline[gets + 1..],
            None => pipeline,
        };
        let mut found = Vec::new();
        // From the last command to the first: what a command comes to is the last argument of the next one.
        let mut is_asked = is_asked;
        for command in split(pipeline).into_iter().rev() {
            if let Some(Token::Word(function, _)) = command.first()
                && !function.starts_with(['$', '.'])
            {
                is_asked = ASKING.contains(function);
            }
            let mut at = 0;
            while let Some(token) = command.get(at) {
                at += 1;
                match token {
                    Token::Open => {
                        let length = inner(&command[at..]);
                        found.extend(self.uses(&command[at..at + length], is_asked));
                        at += length;
                    }
                    Token::Word(word, place) => found.extend(self.label(word, *place).map(|named| Use { is_asked, ..named })),
                    Token::Text | Token::Close | Token::Pipe | Token::Comma | Token::Gets { .. } => {}
                }
            }
        }
        found
    }

    /// The label that a word stands for.
    fn label(&self, word: &str, at: usize) -> Option<Use> {
        if let Some((_, alias)) = self.aliases.iter().find(|(variable, _)| *variable == word) {
            return Some(alias.clone());
        }
        let is_root = !self.blocks.iter().any(|block| block.moves_dot);
        let of_dot = || word.strip_prefix(".Labels.").filter(|_| is_root);
        let label = word.strip_prefix("$labels.").or_else(|| word.strip_prefix("$.Labels.")).or_else(of_dot)?;
        Some(Use { label: label.to_owned(), word: word.to_owned(), at, is_asked: false })
    }
}

/// Whether a pipeline is one word, parentheses and variables that take it left out.
fn is_alone(pipeline: &[Token<'_>]) -> bool {
    let value = pipeline.rsplit(|token| matches!(token, Token::Gets { .. })).next().unwrap_or_default();
    matches!(value, [Token::Word(..)])
}

/// The commands of a pipeline.
fn split<'p, 't>(pipeline: &'p [Token<'t>]) -> Vec<&'p [Token<'t>]> {
    let mut depth = 0_usize;
    pipeline
        .split(|token| {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *token == Token::Pipe
        })
        .collect()
}

/// How many tokens there are before the parenthesis closes that was opened.
fn inner(tokens: &[Token<'_>]) -> usize {
    let mut depth = 1_usize;
    let closes = tokens.iter().position(|token| {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    closes.unwrap_or(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels that are written bare, `NAME#NTH`.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found: Vec<String> = bare(text).iter().map(|bare| format!("{}#{}", bare.label, bare.nth)).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn what_is_written_without_a_question_is_bare() {
        check("no label $labels.pod {{ $value }}", "");
        check("{{ $labels.pod }} {{$labels.pod_name}} {{- $labels.pod -}}", "pod#0 pod_name#0 pod#1");
        check(r#"{{ printf "up{pod='%s'}" $labels.pod | query | first | value }}"#, "pod#0");
        check(r#"{{ "}}" }}{{ `{{` }}{{ $labels.pod | toUpper }}"#, "pod#0");
        check("{{/* $labels.a }} */}}{{ .Labels.pod }}{{ $.Labels.job }}", "pod#0 job#0");
        check(r#"{{ range query "up" }}{{ .Labels.pod }}{{ $labels.job }}{{ end }}"#, "job#0");
        check(r#"{{ (query "up" | first).Labels.pod }}"#, "");
        check(r#"{{ template "x" $labels.pod }}"#, "pod#0");
    }

    #[test]
    fn what_was_asked_about_is_not_bare() {
        check("{{ if $labels.pod }}{{ $labels.pod }}{{ end }}", "");
        check("{{ with $labels.pod }} of {{ . }} {{ $labels.pod }}{{ end }}", "");
        check("{{- if ne $labels.pod \"\" -}}{{ $labels.pod }}{{- end -}}", "");
        check("{{ if and $labels.pod (gt $value 5.0) }}{{ $labels.pod }}{{ end }}", "");
        check("{{ if $labels.pod | len }}{{ $labels.pod }}{{ end }}", "");
        check("{{ if not $labels.pod }}nobody{{ else }}{{ $labels.pod }}{{ end }}", "");
        check("{{ if $value }}{{ if $labels.pod }}{{ $labels.pod }}{{ end }}{{ end }}", "");
        check(r#"{{ or $labels.pod "somebody" }}"#, "");
        check(r#"{{ printf "%s" (or $labels.pod "somebody") }}"#, "");
        check("{{ if $labels.a }}{{ $labels.a }}{{ else if $labels.b }}{{ $labels.b }}{{ else }}none{{ end }}", "");
        check("{{ $pod := $labels.pod }}{{ if $pod }}{{ $pod }}{{ end }}", "");
        check("{{ with $pod := $labels.pod }}{{ $labels.pod }}{{ end }}", "");
        check("{{ $who := $labels.pod }}{{ if not $who }}{{ $who = $labels.job }}{{ end }}{{ $who }}", "");
    }

    #[test]
    fn a_question_reaches_no_further_than_its_block() {
        check("{{ if $labels.pod }}{{ $labels.pod }}{{ end }}{{ $labels.pod }}", "pod#2");
        check("{{ if $labels.pod }}x{{ else }}{{ $labels.pod }}{{ end }}", "pod#1");
        check("{{ if $labels.a }}x{{ else if $labels.b }}{{ $labels.a }}{{ end }}", "a#1");
        check("{{ if $labels.pod }}{{ $labels.job }}{{ end }}", "job#0");
        check(r#"{{ with printf "x{a='%s'}" $labels.a | query }}{{ $labels.a }}{{ end }}"#, "a#0 a#1");
        check(r#"{{ with query "up" }}{{ else }}{{ .Labels.pod }}{{ end }}"#, "pod#0");
        check("{{ $pod := $labels.pod }}{{ $pod }}", "pod#0");
        check("{{ end }}{{ else }}{{ $labels.pod", "");
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let text = "{{ $labels.pod_name }} {{ $labels.pod }}{{$labels.pod}}";
        assert_eq!(places(text, "$labels.pod"), [26..37, 42..53]);
        let found = places("{{ $.Labels.pod }}{{ .Labels.pod }}{{ (x).Labels.pod }}", ".Labels.pod");
        assert_eq!(found.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(), [(21, 32)]);
    }
}
