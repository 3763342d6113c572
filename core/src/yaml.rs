//! Reading people's YAML: a tree in which every node knows its place, and a reader that collects every problem of a file.
//!
//! The tree comes from serde-saphyr, which refuses duplicate keys, alias bombs and excessive depth. Documents are read from the tree
//! rather than derived with serde, because serde stops at the first error and people want all of them
//! (docs/decisions/reading-files.md).

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Options, Spanned};

use crate::name::Name;
use crate::problem::{Place, Problem, SourceFile, near_miss};
use crate::quantity::{Bytes, Factor, Rate, Ratio};
use crate::time::Span;

/// A text as YAML takes it, whatever is in it, and as a comment can hold it: in one line.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain =
        text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if is_plain && !is_taken {
        return text.to_owned();
    }
    let json = serde_json::to_string(text).expect("a text is plain data");
    // What JSON lets stand and YAML may take for the end of a line.
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    json.chars().map(|c| if is_odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// A node of a file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it holds.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: an empty value, `null` or `~`.
    Null,
    /// `true` or `false`, and no other spelling.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number with a fraction or an exponent.
    Float(f64),
    /// Text, quoted or not.
    Text(Name),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub place: Place,
    /// The key.
    pub text: Name,
}

/// Reads one document.
///
/// # Errors
/// What makes the text no YAML, or dangerous YAML: syntax, duplicate keys, alias bombs, depth, size, more than one document.
pub fn parse(path: &str, text: &str) -> Result<Node, Vec<Problem>> {
    let file = source(path, text)?;
    let raw: Spanned<RawValue> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| vec![unreadable(&file, &error)])?;
    Ok(place_node(&file, raw))
}

/// As [`parse`], for files of which a number may be infinite or none at all: `.inf`, `-.inf` and `.nan` are read as texts.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_infinities(path: &str, text: &str) -> Result<Node, Vec<Problem>> {
    let file = source(path, text)?;
    let mut options = options();
    options.non_finite_float_policy = serde_saphyr::options::NonFiniteFloatPolicy::AsString;
    let raw: Spanned<RawValue> = serde_saphyr::from_str_with_options(text, options).map_err(|error| vec![unreadable(&file, &error)])?;
    Ok(place_node(&file, raw))
}

/// Reads every document of a file, separated by `---`; empty ones are skipped.
///
/// # Errors
/// As [`parse`].
pub fn parse_many(path: &str, text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    let file = source(path, text)?;
    let raws: Vec<Spanned<RawValue>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| vec![unreadable(&file, &error)])?;
    Ok(raws.into_iter().map(|raw| place_node(&file, raw)).collect())
}

/// The largest file that is read.
const LARGEST_FILE_BYTES: usize = 16 << 20;

fn source(path: &str, text: &str) -> Result<Arc<SourceFile>, Vec<Problem>> {
    if text.len() > LARGEST_FILE_BYTES {
        let problem = Problem::in_file(
            "FD0101",
            path,
            format!("the file holds {} MiB, more than the {} MiB that are read", text.len() >> 20, LARGEST_FILE_BYTES >> 20),
        );
        return Err(vec![problem.remedy("split the file")]);
    }
    if text.trim().is_empty() {
        return Err(vec![Problem::in_file("FD0102", path, "the file is empty").remedy("`firedrill init` writes working examples")]);
    }
    Ok(Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() }))
}

fn options() -> Options {
    serde_saphyr::options! { strict_booleans: true, with_snippet: false }
}

/// A node before its place is known in bytes.
enum RawValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<RawValue>>),
    Map(Vec<(Spanned<String>, Spanned<RawValue>)>),
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(i64::try_from(value).map_or(RawValue::Float(value as f64), RawValue::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawValue, E> {
        Ok(RawValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(RawValue::Map(map))
    }
}

fn place_node(file: &Arc<SourceFile>, raw: Spanned<RawValue>) -> Node {
    let place = place_of(file, raw.referenced);
    let value = match raw.value {
        RawValue::Null => Value::Null,
        RawValue::Bool(value) => Value::Bool(value),
        RawValue::Integer(value) => Value::Integer(value),
        RawValue::Float(value) => Value::Float(value),
        RawValue::Text(text) => Value::Text(Name::from(text)),
        RawValue::List(items) => Value::List(items.into_iter().map(|item| place_node(file, item)).collect()),
        RawValue::Map(entries) => {
            let place_entry = |(key, value): (Spanned<String>, _)| {
                (Key { place: place_of(file, key.referenced), text: Name::from(key.value) }, place_node(file, value))
            };
            Value::Map(entries.into_iter().map(place_entry).collect())
        }
    };
    Node { place, value }
}

/// Lists and maps are pointed at by their first line, scalars by their text.
fn place_of(file: &Arc<SourceFile>, location: serde_saphyr::Location) -> Place {
    let span = location.span();
    let from = match span.byte_offset() {
        Some(offset) => offset as usize,
        None => offset_of(&file.text, location.line(), location.column()),
    };
    let to = (from + span.byte_len().unwrap_or(0) as usize).min(file.text.len());
    // No further than the node reaches: a file may be one long line.
    let line_end = file.text.as_bytes().get(from..to).and_then(|node| node.iter().position(|byte| *byte == b'\n'));
    Place::new(file, from, line_end.map_or(to, |at| from + at))
}

/// Where a line and a column (both from 1) stand, in bytes; syntax errors know nothing else.
fn offset_of(text: &str, line: u64, column: u64) -> usize {
    let line = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// The parser's error in our words: what it says of its own settings means nothing to the owner of a file.
fn unreadable(file: &Arc<SourceFile>, error: &serde_saphyr::Error) -> Problem {
    let (message, remedy) = told(error);
    let located = error.location().map(|location| place_of(file, location));
    if let Some(tab) = located.as_ref().filter(|_| is_of_tab(error)).and_then(|place| tab_after(file, place)) {
        return Problem::at("FD0103", &tab, "a tab stands where a line is indented").remedy("indent it with spaces");
    }
    let problem = match located {
        Some(place) => Problem::at("FD0103", &place, message),
        None => Problem::in_file("FD0103", &file.path, message),
    };
    problem.remedy(remedy)
}

/// Whether the parser says that a tab ended what it read; what comes below its first line is of the file.
fn is_of_tab(error: &serde_saphyr::Error) -> bool {
    error.to_string().lines().next().is_some_and(|line| line.contains(" tab"))
}

/// The first tab that indents a line from a place on; the parser points to where it began to read what the tab ends.
fn tab_after(file: &Arc<SourceFile>, place: &Place) -> Option<Place> {
    let mut begin = 0;
    for (index, line) in file.text.split_inclusive('\n').enumerate() {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if index + 1 >= place.line()
            && !line.trim().is_empty()
            && let Some(tab) = line[..indent].find('\t')
        {
            return Some(Place::new(file, begin + tab, begin + tab + 1));
        }
        begin += line.len();
    }
    None
}

fn told(error: &serde_saphyr::Error) -> (String, &'static str) {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => told(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => (format!("the key `{key}` stands here a second time"), "keep one of the two"),
        Error::NonFiniteFloat { value, .. } => (format!("`{value}` is not a finite number"), "write a finite number"),
        Error::MultipleDocuments { .. } => ("a second document begins here".to_owned(), "keep one document in a file"),
        Error::UnknownAnchor { .. } => {
            ("this alias names no anchor before it".to_owned(), "define it with `&NAME`, or write the value out")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => ("this alias stands within what it names".to_owned(), "write the value out"),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => (
            "the file unfolds into more than can be read: too many values, or aliases of aliases".to_owned(),
            "write the aliases out, or split the file",
        ),
        _ => told_in_its_words(&error.to_string()),
    }
}

/// What the parser says where it has no name for it, without the line and column that the place shows anyway.
fn told_in_its_words(text: &str) -> (String, &'static str) {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let message = line.split(" at line ").next().unwrap_or(line);
    if message.contains("recursion limit") {
        return too_deep();
    }
    let known = MEANT.iter().find(|(words, ..)| message.contains(words));
    let (told, remedy) = known
        .map_or(("", "mind the indentation, and quote a text that begins with a sign or holds `: ` or ` #`"), |(_, told, remedy)| {
            (*told, *remedy)
        });
    (if told.is_empty() { message.to_owned() } else { told.to_owned() }, remedy)
}

/// What the parser says, what that means, and what is likely meant; an empty meaning keeps the parser's words.
const MEANT: [(&str, &str, &str); 8] = [
    ("unclosed", "", "close it; is the file cut off?"),
    (
        "flow mapping",
        "within `{ }` neither `,` nor `}` comes next",
        "close what is open; a text that has braces or commas itself needs quotes: `{ expr: 'up{pod=$pod} == 0' }`",
    ),
    (
        "flow sequence",
        "within `[ ]` neither `,` nor `]` comes next",
        "close what is open; a text that has brackets or commas itself needs quotes: `['rate(x[1m]) > 0']`",
    ),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or quote the text that it belongs to: `{ service: 'a\"}' }`"),
    (
        "mapping values are not allowed",
        "a second `: ` stands in one line",
        "write `KEY: { KEY: VALUE }`, or begin a line of its own, further in; quote a text that holds `: `",
    ),
    (
        "trailing content",
        "the text ends with its quote, and more follows",
        "put all of it into quotes of the other kind: `'up{pod=\"a\"} == 1'`",
    ),
    (
        "did not find expected key",
        "no key comes next",
        "mind the indentation; a text that begins with a brace, a bracket or a quote needs quotes around all of it: `'{pod=\"a\"} == 1'`",
    ),
    (
        "did not find expected '-' indicator",
        "in a list no `- ` comes next",
        "mind the indentation: all items of a list begin in one column",
    ),
];

fn too_deep() -> (String, &'static str) {
    ("lists and maps stand too deep inside each other to be read".to_owned(), "flatten the file")
}

/// Reads nodes as what they should be, and collects a [`Problem`] for each that is not.
#[derive(Debug, Default)]
pub struct Reader {
    problems: Vec<Problem>,
}

/// The entries of a map while they are being read.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    what: String,
    known: Vec<&'static str>,
    taken: Vec<bool>,
    /// Keys that must be there and are not, though another stands there that may be one of them, misspelt.
    misspelt: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The value of a key that may be missing. An empty value counts as missing.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let entries = self.entries();
        let index = entries.iter().position(|(candidate, _)| &*candidate.text == key)?;
        self.taken[index] = true;
        let value = &entries[index].1;
        (!matches!(value.value, Value::Null)).then_some(value)
    }

    /// The value of a key that must be there; otherwise a problem is recorded.
    pub fn required(&mut self, reader: &mut Reader, key: &'static str) -> Option<&'n Node> {
        let found = self.optional(key);
        if found.is_none() {
            // A misspelt key is reported once, as unknown, by `finish`: only there it is known what is.
            if self.is_misspelt(key) {
                self.misspelt.push(key);
            } else {
                reader.problem(self.missing(key));
            }
        }
        found
    }

    /// Whether a key stands there that nobody has asked for and that is much like this one.
    fn is_misspelt(&self, key: &str) -> bool {
        self.entries().iter().zip(&self.taken).any(|((other, _), taken)| !taken && near_miss(&other.text, &[key]).is_some())
    }

    fn missing(&self, key: &str) -> Problem {
        Problem::at("FD0104", self.place(), format!("{} has no `{key}`", self.what)).remedy(format!("add `{key}:`"))
    }

    /// Whether a key is there, whatever its value; does not count as reading it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries().iter().any(|(candidate, _)| &*candidate.text == key)
    }

    /// All entries in the order of the file, for maps whose keys are people's own names.
    #[must_use]
    pub fn entries(&self) -> &'n [(Key, Node)] {
        match &self.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Where the map stands.
    #[must_use]
    pub const fn place(&self) -> &'n Place {
        &self.node.place
    }

    /// Records every key that nobody asked for, with the one that was likely meant.
    pub fn finish(self, reader: &mut Reader) {
        for key in self.misspelt.iter().filter(|key| !self.is_misspelt(key)) {
            reader.problem(self.missing(key));
        }
        for ((key, _), taken) in self.entries().iter().zip(&self.taken) {
            if !taken {
                let problem = Problem::at("FD0105", &key.place, format!("{} has no key `{}`", self.what, key.text));
                reader.problem(problem.remedy(suggestion(&key.text, &self.known)));
            }
        }
    }
}

/// Whether a character is one that people do not see, and that makes a terminal or a page do something, such as write from right to left, or makes
/// two names look like one.
fn is_unseen(character: char) -> bool {
    let turns = matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}');
    let is_empty = matches!(character, '\u{200B}' | '\u{2060}' | '\u{FEFF}');
    turns || is_empty || (character.is_control() && !matches!(character, '\n' | '\t' | '\r'))
}

/// `did you mean …` for a near miss, else the list of what is known.
fn suggestion(given: &str, known: &[&str]) -> String {
    match near_miss(given, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known are {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl Reader {
    /// A reader that has seen no problem.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// How many problems were recorded so far.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// All problems in the order of the file, or none.
    ///
    /// # Errors
    /// If at least one problem that is an error was recorded.
    pub fn finish(mut self) -> Result<(), Vec<Problem>> {
        // By byte, not by line: counting lines for every problem of a hostile file would take for ever.
        self.problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.range().start));
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }

    /// The entries of a map. `what` is how messages call it: "a service".
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => {
                Some(Fields { node, what: what.to_owned(), known: Vec::new(), taken: vec![false; entries.len()], misspelt: Vec::new() })
            }
            _ => match without_its_colon(node) {
                Some(remedy) => {
                    self.problem(wanted(node, what, Shape::MAP.word).remedy(remedy));
                    None
                }
                None => self.mismatch(node, what, Shape::MAP),
            },
        }
    }

    /// The items of a list.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => self.mismatch(node, what, Shape::LIST),
        }
    }

    /// A text; a number or a truth value must be quoted to be one.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Name> {
        match &node.value {
            Value::Text(text) => match text.chars().find(|own| is_unseen(*own)) {
                Some(own) => {
                    let message = format!("{what} holds the character U+{:04X}, which nobody sees", u32::from(own));
                    self.problem(Problem::at("FD0114", &node.place, message).remedy("take it out"));
                    None
                }
                None => Some(text),
            },
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                let found = &node.place.file().text[node.place.range()];
                self.problem(wanted(node, what, Shape::TEXT.word).remedy(format!("quote it: \"{found}\"")));
                None
            }
            _ => self.mismatch(node, what, Shape::TEXT),
        }
    }

    /// A text that stands within a line wherever it is shown: what breaks lines in it is a space.
    pub fn sentence(&mut self, node: &Node, what: &str) -> Option<String> {
        Some(self.text(node, what)?.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// A name: letters, digits and `_ . : / -`, not empty.
    pub fn name(&mut self, node: &Node, what: &str) -> Option<Name> {
        let text = self.text(node, what)?;
        let sound = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c));
        if !sound {
            let remedy = match text.starts_with('$') {
                true => "write the name itself: no label of an alert can stand here",
                false => "use letters, digits and _ . : / -",
            };
            self.problem(Problem::at("FD0107", &node.place, format!("`{text}` is not {what}")).remedy(remedy));
            return None;
        }
        Some(text.clone())
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.mismatch(node, what, Shape::BOOLEAN),
        }
    }

    /// A whole number within a range.
    pub fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let found = match node.value {
            Value::Integer(value) if range.contains(&value) => return Some(value),
            Value::Integer(value) => value.to_string(),
            // Beyond what an integer holds: YAML gives it as the nearest float, and a float so large has no fraction.
            Value::Float(value) if value.is_finite() && value.abs() >= i64::MAX as f64 => format!("{value:e}"),
            _ => return self.mismatch(node, what, Shape::INTEGER),
        };
        let limits =
            if *range.end() == i64::MAX { format!("at least {}", range.start()) } else { format!("{} to {}", range.start(), range.end()) };
        self.problem(Problem::at("FD0108", &node.place, format!("{what} is {found}, and must be {limits}")));
        None
    }

    /// A finite number.
    pub fn number(&mut self, node: &Node, what: &str) -> Option<f64> {
        match node.value {
            Value::Integer(value) => Some(value as f64),
            Value::Float(value) if value.is_finite() => Some(value),
            _ => self.mismatch(node, what, Shape::NUMBER),
        }
    }

    /// A duration with its unit.
    pub fn span(&mut self, node: &Node, what: &str) -> Option<Span> {
        self.quantity(node, what, "30s", Span::parse)
    }

    /// A percentage.
    pub fn ratio(&mut self, node: &Node, what: &str) -> Option<Ratio> {
        self.quantity(node, what, "25%", Ratio::parse)
    }

    /// A rate with its unit.
    pub fn rate(&mut self, node: &Node, what: &str) -> Option<Rate> {
        self.quantity(node, what, "70/s", Rate::parse)
    }

    /// A size with its unit.
    pub fn bytes(&mut self, node: &Node, what: &str) -> Option<Bytes> {
        self.quantity(node, what, "300MiB", Bytes::parse)
    }

    /// A factor with its `x`.
    pub fn factor(&mut self, node: &Node, what: &str) -> Option<Factor> {
        self.quantity(node, what, "x0.3", Factor::parse)
    }

    fn quantity<T, E: fmt::Display>(&mut self, node: &Node, what: &str, example: &str, parse: fn(&str) -> Result<T, E>) -> Option<T> {
        let text = match &node.value {
            Value::Text(text) => text.to_string(),
            // A bare number goes through the same parser, which knows what unit is missing.
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            _ => {
                self.problem(wanted(node, what, "a number with its unit").remedy(format!("write it as `{example}`")));
                return None;
            }
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(Problem::at("FD0109", &node.place, format!("{what}: {error}")));
                None
            }
        }
    }

    /// One of several words.
    pub fn one_of<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        let found = words.iter().find(|(word, _)| **text == **word).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(Problem::at("FD0110", &node.place, format!("`{text}` is not {what}")).remedy(suggestion(text, &known)));
        }
        found
    }

    /// Reads `schema: NAME/N`, which every file has, and gives N: the current version or the one before.
    pub fn schema(&mut self, fields: &mut Fields<'_>, name: &str, current: u32) -> Option<u32> {
        let node = fields.required(self, "schema")?;
        let text = self.text(node, "a schema")?;
        let version = text.split_once('/').filter(|(given, _)| *given == name).and_then(|(_, version)| version.parse::<u32>().ok());
        match version {
            Some(version) if version == current || version + 1 == current => Some(version),
            Some(version) if version > current => {
                self.problem(
                    Problem::at("FD0111", &node.place, format!("`{text}` is newer than this firedrill, which reads `{name}/{current}`"))
                        .remedy("upgrade firedrill"),
                );
                None
            }
            _ => {
                self.problem(
                    Problem::at("FD0111", &node.place, format!("`{text}` is not `{name}/{current}`"))
                        .remedy(format!("write `schema: {name}/{current}`")),
                );
                None
            }
        }
    }

    /// A choice with its parameters: a map with one key, `crash: { … }`, or the bare word `crash`.
    /// Gives the word as a key, and the parameters if there are any.
    pub fn tagged<'n>(&mut self, node: &'n Node, what: &str, known: &[&'static str]) -> Option<(Key, Option<&'n Node>)> {
        let (key, value) = match &node.value {
            Value::Text(text) => (Key { place: node.place.clone(), text: text.clone() }, None),
            Value::Map(entries) if entries.len() == 1 => {
                let (key, value) = &entries[0];
                (key.clone(), (!matches!(value.value, Value::Null)).then_some(value))
            }
            _ => {
                let word = format!("one of {}", known.join(", "));
                self.problem(wanted(node, what, &word).remedy(format!("write exactly one of them, as in `{{ {}: … }}`", known[0])));
                return None;
            }
        };
        if !known.contains(&&*key.text) {
            self.problem(Problem::at("FD0110", &key.place, format!("`{}` is not {what}", key.text)).remedy(suggestion(&key.text, known)));
            return None;
        }
        Some((key, value))
    }

    fn mismatch<T>(&mut self, node: &Node, what: &str, shape: Shape) -> Option<T> {
        self.problem(wanted(node, what, shape.word).remedy(shape.remedy));
        None
    }
}

/// What a node can be asked to be.
#[derive(Clone, Copy)]
struct Shape {
    word: &'static str,
    remedy: &'static str,
}

impl Shape {
    const MAP: Self = Self { word: "a map of keys and values", remedy: "write `KEY: VALUE` on lines of their own, or `{ KEY: VALUE }`" };
    const LIST: Self = Self { word: "a list", remedy: "write `[ONE, TWO]`, or each entry on a line of its own after `- `" };
    const TEXT: Self = Self { word: "a text", remedy: "write one text; in quotes if YAML takes it for something else" };
    const BOOLEAN: Self = Self { word: "`true` or `false`", remedy: "write one of the two, without quotes" };
    const INTEGER: Self = Self { word: "a whole number", remedy: "write it without quotes, fraction or unit" };
    const NUMBER: Self = Self { word: "a finite number", remedy: "write it without quotes or unit" };
}

fn wanted(node: &Node, what: &str, word: &str) -> Problem {
    let found = match &node.value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    };
    Problem::at("FD0106", &node.place, format!("{what} must be {word}")).label(format!("this is {found}"))
}

/// What a map should have been of which only a word is there, such as `- rollback` or `- rollback {}`: its colon is missing.
fn without_its_colon(node: &Node) -> Option<String> {
    let Value::Text(text) = &node.value else { return None };
    let word = text.strip_suffix("{}").unwrap_or(text).trim();
    let is_key = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then(|| format!("write `{word}: VALUE`, or `{word}: {{}}` if there is nothing to say of it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, read: impl FnOnce(&mut Reader, &Node), expected: &[&str]) {
        let problems = match parse("file.yaml", text) {
            Ok(node) => {
                let mut reader = Reader::new();
                read(&mut reader, &node);
                reader.finish().err().unwrap_or_default()
            }
            Err(problems) => problems,
        };
        let got: Vec<String> = problems
            .iter()
            .map(|p| {
                let place = p.place.as_ref().map_or(String::new(), |place| format!("{}:{} ", place.line(), place.column()));
                format!("{place}{}{}", p.message, p.remedy.as_ref().map_or(String::new(), |r| format!(" | {r}")))
            })
            .collect();
        assert_eq!(got, expected);
    }

    fn service(reader: &mut Reader, node: &Node) {
        let Some(mut fields) = reader.fields(node, "a service") else { return };
        if let Some(node) = fields.required(reader, "replicas") {
            reader.integer(node, "replicas", 1..=1000);
        }
        if let Some(node) = fields.optional("timeout") {
            reader.span(node, "a timeout");
        }
        if let Some(node) = fields.optional("name") {
            reader.name(node, "a name");
        }
        fields.finish(reader);
    }

    #[test]
    fn a_tab_is_told_where_it_indents() {
        check("schema: scenario/1\n\tscenario: x\n", |_, _| {}, &["2:1 a tab stands where a line is indented | indent it with spaces"]);
    }

    #[test]
    fn an_alias_within_itself_is_told_in_our_words() {
        check("a: &x\n  - *x\n", |_, _| {}, &["2:5 this alias stands within what it names | write the value out"]);
    }

    #[test]
    fn a_sound_document_has_no_problems() {
        check("replicas: 3\ntimeout: 1s\nname: api\n", service, &[]);
    }

    #[test]
    fn every_problem_of_a_file_is_reported_at_once_in_its_order() {
        check(
            "replcias: 3\ntimeout: 30\nname: 1.5\n",
            service,
            &[
                "1:1 a service has no key `replcias` | did you mean `replicas`?",
                "2:10 a timeout: `30` has no unit: write `30s`, or another of ns us ms s m h d w",
                "3:7 a name must be a text | quote it: \"1.5\"",
            ],
        );
        check("replicas: 0\n", service, &["1:11 replicas is 0, and must be 1 to 1000"]);
        check("timeout: 5s\n", service, &["1:1 a service has no `replicas` | add `replicas:`"]);
        let as_map = "write `KEY: VALUE` on lines of their own, or `{ KEY: VALUE }`";
        check("- 1\n", service, &[&format!("1:1 a service must be a map of keys and values | {as_map}")]);
        let braces = "write `crash: VALUE`, or `crash: {}` if there is nothing to say of it";
        check("crash {}\n", service, &[&format!("1:1 a service must be a map of keys and values | {braces}")]);
        check("crash\n", service, &[&format!("1:1 a service must be a map of keys and values | {braces}")]);
        check("a b\n", service, &[&format!("1:1 a service must be a map of keys and values | {as_map}")]);
        let whole = "replicas must be a whole number | write it without quotes, fraction or unit";
        check("replicas: 1.5\n", service, &[&format!("1:11 {whole}")]);
        check("replicas: '3'\n", service, &[&format!("1:11 {whole}")]);
    }

    #[test]
    fn a_missing_key_is_told_though_one_much_like_it_is_there_and_meant() {
        let shed = |reader: &mut Reader, node: &Node| {
            let mut fields = reader.fields(node, "`shed_load`").unwrap();
            fields.required(reader, "share");
            fields.optional("spare");
            fields.finish(reader);
        };
        check("spare: high\n", shed, &["1:1 `shed_load` has no `share` | add `share:`"]);
        check("share:\nspare: high\n", shed, &["1:1 `shed_load` has no `share` | add `share:`"]);
        check("shara: 1\nspare: high\n", shed, &["1:1 `shed_load` has no key `shara` | did you mean `share`?"]);
    }

    #[test]
    fn a_label_where_none_can_stand_is_told_so() {
        let caller = |reader: &mut Reader, node: &Node| _ = reader.name(node, "the name of a caller");
        check(
            "$service\n",
            caller,
            &["1:1 `$service` is not the name of a caller | write the name itself: no label of an alert can stand here"],
        );
        check("a b\n", caller, &["1:1 `a b` is not the name of a caller | use letters, digits and _ . : / -"]);
    }

    #[test]
    fn what_a_terminal_obeys_is_no_text_and_a_sentence_is_one_line() {
        let text = |reader: &mut Reader, node: &Node| _ = reader.text(node, "a reason");
        let told = |code: &str| format!("1:1 a reason holds the character U+{code}, which nobody sees | take it out");
        check("\"red \\e[31m\"\n", text, &[&told("001B")]);
        for code in ["202E", "200E", "200F", "061C", "200B", "2060", "FEFF"] {
            check(&format!("\"turned \\u{code}\"\n"), text, &[&told(code)]);
        }
        check("|\n  two\n  lines, äöü\n", text, &[]);
        let mut reader = Reader::new();
        let node = parse("f.yaml", "\"ok\\n::error::no\\n  more\"\n").unwrap();
        assert_eq!(reader.sentence(&node, "a reason").as_deref(), Some("ok ::error::no more"));
    }

    #[test]
    fn hostile_yaml_is_refused_by_name() {
        check("", service, &["the file is empty | `firedrill init` writes working examples"]);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
        assert!(parse("file.yaml", bomb).is_err());
        assert!(parse("file.yaml", &"[".repeat(100_000)).is_err());
        assert!(parse("file.yaml", "replicas: .nan").is_err());
        let duplicate = parse("file.yaml", "replicas: 1\nreplicas: 2\n").unwrap_err();
        assert_eq!(duplicate[0].place.as_ref().map(|place| place.line()), Some(2), "{duplicate:?}");
    }

    #[test]
    fn booleans_and_keys_are_not_guessed() {
        let node = parse("file.yaml", "on: yes\n").unwrap();
        let Value::Map(entries) = node.value else { panic!("a map") };
        assert_eq!(&*entries[0].0.text, "on");
        assert!(matches!(&entries[0].1.value, Value::Text(text) if &**text == "yes"));
    }

    #[test]
    fn several_documents_are_read_one_by_one() {
        assert_eq!(parse_many("file.yaml", "a: 1\n---\nb: 2\n").unwrap().len(), 2);
    }
}
