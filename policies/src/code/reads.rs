//! What of the input document the rules of a bundle can read: nothing else has to be made, and where all of it was there before, so was the answer.
//!
//! It is read from their text, and errs to the side of more: whoever speaks of `input` otherwise than by the names of fields reads everything.
//! Less would let a rule find nothing where something is, and a `deny` that finds nothing allows.

use std::collections::{BTreeMap, BTreeSet};

/// The word by which rules know the document.
const INPUT: &str = "input";

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of it.
    Everything,
    /// These fields.
    Fields(BTreeMap<String, Inner>),
}

/// What is read of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// All of it.
    Whole,
    /// These fields of it.
    Fields(BTreeSet<String>),
}

impl Reads {
    /// What the rules in these texts read.
    #[must_use]
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut fields = BTreeMap::new();
        for text in texts {
            // A line of a text over several lines may look like a comment.
            let has_comments = !text.contains('`');
            for line in text.lines().filter(|line| !(has_comments && line.trim_start().starts_with('#'))) {
                for path in spoken_of(line) {
                    let Some((field, inner)) = path else { return Self::Everything };
                    add(&mut fields, field, inner);
                }
            }
        }
        Self::Fields(fields)
    }

    /// Whether anything of a field is read.
    #[must_use]
    pub fn field(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Fields(fields) => fields.contains_key(name),
        }
    }

    /// Whether a field of a field is read.
    #[must_use]
    pub fn inner(&self, field: &str, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Fields(fields) => fields.get(field).is_some_and(|inner| match inner {
                Inner::Whole => true,
                Inner::Fields(own) => own.contains(name),
            }),
        }
    }
}

fn add(fields: &mut BTreeMap<String, Inner>, field: &str, inner: Option<&str>) {
    let known = fields.entry(field.to_owned()).or_insert_with(|| Inner::Fields(BTreeSet::new()));
    match (known, inner) {
        (known, None) => *known = Inner::Whole,
        (Inner::Fields(own), Some(inner)) => {
            own.insert(inner.to_owned());
        }
        (Inner::Whole, Some(_)) => {}
    }
}

/// Every place of a line that speaks of the input: the field and the field of it that it names; `None` if it names none.
fn spoken_of(line: &str) -> impl Iterator<Item = Option<(&str, Option<&str>)>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bounds = move |at: usize| {
        let bytes = line.as_bytes();
        let is_begin = at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(|byte| !is_word(byte));
        is_begin && bytes.get(at + INPUT.len()).is_none_or(|byte| !is_word(byte))
    };
    line.match_indices(INPUT).filter(move |(at, _)| bounds(*at)).map(|(at, _)| {
        let (field, rest) = name_after_dot(&line[at + INPUT.len()..])?;
        Some((field, name_after_dot(rest).map(|(inner, _)| inner)))
    })
}

/// The name that a text begins with after its dot, and what follows.
fn name_after_dot(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('.')?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    // What is no name as here is known need not be one at all.
    let is_plain = end > 0 && name[end..].chars().next().is_none_or(|next| next.is_ascii());
    is_plain.then(|| name.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> String {
        match Reads::of(texts.iter().copied()) {
            Reads::Everything => "everything".to_owned(),
            Reads::Fields(fields) => {
                let inner = |inner: &Inner| match inner {
                    Inner::Whole => String::new(),
                    Inner::Fields(own) => format!(".{{{}}}", own.iter().cloned().collect::<Vec<_>>().join(",")),
                };
                fields.iter().map(|(field, own)| format!("{field}{}", inner(own))).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn fields_are_known_by_their_names_over_all_texts() {
        assert_eq!(told(&[]), "");
        assert_eq!(told(&["deny contains \"x\" if input.target.tier == \"critical\""]), "target.{tier}");
        assert_eq!(
            told(&["a if input.alert.labels.freeze; input.time.epoch > 3", "b if input.alert.name"]),
            "alert.{labels,name} time.{epoch}"
        );
        assert_eq!(told(&["import input.alert as it", "c if input.alert.name == it.since"]), "alert");
        assert_eq!(told(&["d if some x in input.in_flight", "e if input.guards[\"caps\"].verdict"]), "guards in_flight");
        assert_eq!(told(&["# the input\n\t# input too\ninputs := 1\nx := my_input.y\nz := input_of.w"]), "");
    }

    #[test]
    fn whoever_speaks_of_it_otherwise_reads_everything() {
        for text in [
            "x := input",
            "x := input[\"alert\"]",
            "f(input)",
            "x := input .alert",
            "deny with input as {}",
            "x := input.é",
            "x := input.alérte",
            "y := 1 # all of the input",
            "`\n# {input}\n`",
            "walk(input, [path, value])",
        ] {
            assert_eq!(told(&[text]), "everything", "{text}");
        }
    }
}
