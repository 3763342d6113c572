//! Label sets and the matchers that choose among them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;

use crate::patterns;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// One label: name and value.
pub type Label = (Arc<str>, Arc<str>);

/// An immutable label set, the identity of a series; cloning it copies one pointer.
///
/// Invariant: sorted by the bytes of the label name, no name twice, no empty value (an empty value and an absent label are the same thing in
/// Prometheus). The order of label sets is pair by pair, name before value; every iteration over series follows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// The empty label set.
    pub fn empty() -> Labels {
        Labels(Arc::from(Vec::new()))
    }

    /// A builder without labels.
    pub fn builder() -> LabelsBuilder {
        LabelsBuilder::default()
    }

    /// A builder that starts from these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { labels: self.0.to_vec() }
    }

    /// A metric's name with labels in any order; of a name that stands twice the later value wins.
    pub fn named(metric: &str, labels: &[(&str, &str)]) -> Labels {
        let mut builder = Labels::builder().set(METRIC_NAME, metric);
        for (name, value) in labels {
            builder = builder.set(*name, *value);
        }
        builder.build()
    }

    /// The value of a label; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).map(|value| &**value)
    }

    /// As [`Labels::get`], shared rather than borrowed, for label sets that are made from others.
    pub fn value(&self, name: &str) -> Option<&Arc<str>> {
        // Label sets are short: a scan beats a binary search over scattered strings.
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }

    /// The metric's name (`__name__`); `None` where an operation has dropped it.
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// This set without one label.
    pub fn without(&self, name: &str) -> Labels {
        if self.get(name).is_none() {
            return self.clone();
        }
        Labels(self.0.iter().filter(|(own, _)| **own != *name).cloned().collect())
    }

    /// Keeps the labels that the predicate accepts by name.
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// All labels in order.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }

    /// How many labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Labels {
    fn default() -> Labels {
        Labels::empty()
    }
}

impl fmt::Display for Labels {
    /// Prometheus notation: `name{a="b"}`, `{a="b"}`, and `{}` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name().filter(|name| is_metric_name(name));
        f.write_str(name.unwrap_or_default())?;
        if name.is_some() && self.len() == 1 {
            return Ok(());
        }
        f.write_str("{")?;
        let rest = self.iter().filter(|(label, _)| name.is_none() || **label != *METRIC_NAME);
        for (index, (label, value)) in rest.enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if is_label_name(label) {
                f.write_str(label)?;
            } else {
                write_quoted(f, label)?;
            }
            f.write_str("=")?;
            write_quoted(f, value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Collects labels in any order; the last value of a name wins, an empty value removes the label.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    labels: Vec<Label>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    #[must_use]
    pub fn set(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> LabelsBuilder {
        self.put(name.into(), value.into());
        self
    }

    /// Sets a label in place; an empty value removes it.
    pub fn put(&mut self, name: Arc<str>, value: Arc<str>) {
        if value.is_empty() {
            return self.remove(&name);
        }
        match self.labels.iter_mut().find(|(own, _)| *own == name) {
            Some(label) => label.1 = value,
            None => self.labels.push((name, value)),
        }
    }

    /// Removes a label in place, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.labels.retain(|(own, _)| **own != *name);
    }

    /// The label set.
    pub fn build(mut self) -> Labels {
        self.labels.sort_unstable();
        Labels(Arc::from(self.labels))
    }
}

/// How a matcher compares.
#[derive(Debug, Clone)]
pub enum MatchOp {
    /// `=`: the value is this one.
    Equal,
    /// `!=`: the value is another one.
    NotEqual,
    /// `=~`: the whole value matches the expression.
    Matches(Regex),
    /// `!~`: the whole value does not match the expression.
    MatchesNot(Regex),
}

impl MatchOp {
    /// The operator as it is written.
    pub fn symbol(&self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches(_) => "=~",
            MatchOp::MatchesNot(_) => "!~",
        }
    }
}

/// One condition on one label. An absent label has the value `""`.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label that is looked at.
    pub name: Arc<str>,
    /// How it is compared.
    pub op: MatchOp,
    /// The value or the regular expression as it was written.
    pub value: Arc<str>,
}

/// A matcher that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// The regular expression does not compile; nothing was matched with it.
    #[error("the regular expression `{pattern}` is wrong: {reason}")]
    Regex {
        /// The expression as it was written.
        pattern: String,
        /// What is wrong with it, in one line.
        reason: String,
    },
    /// The operator is none of `=`, `!=`, `=~`, `!~`.
    #[error("`{0}` is no matcher operator; there are =, !=, =~ and !~")]
    Operator(String),
}

impl Matcher {
    /// `name="value"`.
    pub fn equal(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into() }
    }

    /// `name!="value"`.
    pub fn not_equal(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::NotEqual, value: value.into() }
    }

    /// A matcher from its operator as written.
    ///
    /// # Errors
    /// The operator is unknown, or the regular expression does not compile.
    pub fn new(name: &str, operator: &str, value: &str) -> Result<Matcher, MatcherError> {
        let op = match operator {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Matches(anchored(value)?),
            "!~" => MatchOp::MatchesNot(anchored(value)?),
            other => return Err(MatcherError::Operator(other.to_owned())),
        };
        Ok(Matcher { name: name.into(), op, value: value.into() })
    }

    /// Whether a label value (`""` for an absent label) satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        match &self.op {
            MatchOp::Equal => *self.value == *value,
            MatchOp::NotEqual => *self.value != *value,
            MatchOp::Matches(regex) => regex.is_match(value),
            MatchOp::MatchesNot(regex) => !regex.is_match(value),
        }
    }

    /// Whether a label set satisfies the matcher.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.op.symbol() == other.op.symbol() && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.op.symbol())?;
        write_quoted(f, &self.value)
    }
}

/// Whether a text can stand as a label name without quotes.
pub fn is_label_name(text: &str) -> bool {
    is_word(text, |c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text can stand as a metric name without quotes.
pub fn is_metric_name(text: &str) -> bool {
    is_word(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn is_word(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(allowed) && text.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Writes a text in double quotes with `\\`, `\"`, `\n` escaped, as the text formats of Prometheus do.
pub fn write_quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// Compiles a regular expression that must match the whole value, dots matching newlines, as Prometheus 3 does.
///
/// # Errors
/// The expression does not compile.
pub fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    // Rule sets say the same again and again, and compiling it takes longer than all the rest of reading a rule.
    static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled().get(pattern) {
        return Ok(regex.clone());
    }
    let regex = compile(pattern)?;
    let mut compiled = compiled();
    if compiled.len() >= MOST_COMPILED {
        compiled.clear();
    }
    compiled.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

/// At most so many expressions are kept for when they come again.
const MOST_COMPILED: usize = 1_000;

fn compile(pattern: &str) -> Result<Regex, MatcherError> {
    patterns::compiled_within("^(?s:", pattern, ")$").map_err(|reason| MatcherError::Regex { pattern: pattern.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_display(labels: &[(&str, &str)], expected: &str) {
        let mut builder = Labels::builder();
        for (name, value) in labels {
            builder = builder.set(*name, *value);
        }
        assert_eq!(builder.build().to_string(), expected);
    }

    #[test]
    fn labels_are_written_in_prometheus_notation() {
        check_display(&[], "{}");
        check_display(&[("__name__", "up")], "up");
        check_display(&[("z", "1"), ("__name__", "up"), ("a", "x\"\\\n")], r#"up{a="x\"\\\n", z="1"}"#);
        check_display(&[("a", "1"), ("a", "2"), ("b", "")], r#"{a="2"}"#);
        check_display(&[("__name__", "not a name"), ("k v", "1")], r#"{__name__="not a name", "k v"="1"}"#);
    }

    #[test]
    fn label_sets_are_ordered_by_the_bytes_of_their_labels() {
        let mut sets = [
            Labels::named("b", &[]),
            Labels::named("a", &[("x", "2")]),
            Labels::named("a", &[]),
            Labels::named("a", &[("x", "10")]),
            Labels::named("B", &[]),
        ];
        sets.sort();
        let written: Vec<String> = sets.iter().map(Labels::to_string).collect();
        assert_eq!(written, ["B", "a", r#"a{x="10"}"#, r#"a{x="2"}"#, "b"]);
    }

    #[test]
    fn removing_a_label_keeps_the_others() {
        let labels = Labels::named("up", &[("job", "a"), ("pod", "b")]);
        assert_eq!(labels.without("job"), Labels::named("up", &[("pod", "b")]));
        assert_eq!(labels.without("absent"), labels);
        assert_eq!(labels.filtered(|name| name == "job").to_string(), r#"{job="a"}"#);
        assert_eq!(labels.to_builder().set("pod", "").build(), Labels::named("up", &[("job", "a")]));
    }

    #[track_caller]
    fn check_match(operator: &str, pattern: &str, value: &str, expected: bool) {
        let matcher = Matcher::new("x", operator, pattern).expect("a matcher");
        assert_eq!(matcher.matches(value), expected, "{matcher} on {value:?}");
    }

    #[test]
    fn matchers_see_whole_values_and_absent_labels_as_empty() {
        check_match("=", "a", "a", true);
        check_match("=", "a", "", false);
        check_match("=", "", "", true);
        check_match("!=", "a", "", true);
        check_match("=~", "a|b", "b", true);
        check_match("=~", "a|b", "ab", false);
        check_match("=~", "a.b", "a\nb", true);
        check_match("=~", ".*", "", true);
        check_match("=~", ".+", "", false);
        check_match("!~", "5..", "503", false);
        check_match("!~", "5..", "5034", true);
    }

    #[test]
    fn braces_that_are_no_repetition_are_literal_as_in_re2() {
        check_match("=~", "a{b}", "a{b}", true);
        check_match("=~", "a{2}", "aa", true);
        check_match("=~", "a{,2}", "a{,2}", true);
        check_match("=~", r"\p{Lu}{x}", "A{x}", true);
    }

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        check_match("=~", r"\d+", "12", true);
        check_match("=~", r"\d+", "١٢", false);
        check_match("!~", r"\w+", "é", true);
        check_match("=~", "(?i)ready", "READY", true);
        check_match("=~", r"\Qa.b\E", "a.b", true);
        check_match("=~", r"\Qa.b\E", "axb", false);
        check_match("=~", "[a[b]", "[", true);
        check_match("=~", "a)|(b", "a", true);
    }

    #[test]
    fn a_wrong_regular_expression_is_refused_with_its_reason() {
        let error = Matcher::new("x", "=~", "a(").expect_err("unclosed group");
        assert_eq!(error.to_string(), "the regular expression `a(` is wrong: unclosed group");
        assert_eq!(Matcher::new("x", "==", "a").expect_err("no operator"), MatcherError::Operator("==".into()));
    }
}
