//! Conditions and formulas that somebody else evaluates, such as a Prometheus: what to ask, and what the answers say.
//!
//! Of each comparison both sides are asked for by themselves, also under set operators, so that the verdict, its figures and its unknowns are those that an evaluation here would
//! have yielded. What reads no series is evaluated here.

use std::collections::BTreeMap;

use super::condition::{Condition, Judgement};
use super::evaluator::{Evaluator, Span};
use super::formula::Formula;
use super::parameters::bound_text;
use super::plan::{BinaryOperator, MissingParameter, Node, Selector};
use super::truth::{JudgedElement, leaves, lets_through};
use super::value::{Element, EvalError, Outcome, Sample, Value};

/// Expressions to ask, and the condition that their values tell.
#[derive(Debug, Clone)]
pub struct Inquiry {
    condition: Condition,
    texts: Vec<String>,
    /// For each leaf of the condition the number of its answer, or none of what is evaluated here. `None`: its text could not be taken apart.
    leaves: Option<Vec<Option<usize>>>,
}

impl Inquiry {
    /// What to ask about a condition whose parameters stand for these values.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn of(condition: &Condition, values: &BTreeMap<String, String>) -> Result<Self, MissingParameter> {
        let bound = condition.bind(values)?;
        let text = bound_text(condition.plan().text(), values)?;
        let root = &bound.plan().root;
        let Some(parts) = parts(root, &text) else {
            return Ok(Self { condition: bound, texts: vec![text], leaves: None });
        };
        let mut texts = Vec::new();
        let mut place = |(node, text): (&Node, &str)| {
            reads_series(node).then(|| {
                texts.push(text.to_owned());
                texts.len() - 1
            })
        };
        let leaves = leaves(root).into_iter().zip(parts).map(&mut place).collect();
        Ok(Self { condition: bound, texts, leaves: Some(leaves) })
    }

    /// The expressions to evaluate at one moment, in PromQL, none of which has a parameter.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Expressions that yield, in seconds since 1970, when each series that the condition reads had its newest sample; what is read with `offset` or
    /// `@` is not among them, since the past is what is wanted there. Series without a sample within Prometheus' lookback are not found.
    #[must_use]
    pub fn ages(&self) -> Vec<String> {
        let now = self.condition.plan().selectors().iter().filter(|selector| selector.offset_ms() == 0 && selector.at().is_none());
        now.map(|selector| format!("timestamp({})", written(selector))).collect()
    }

    /// What the answers say, in the order of [`Self::texts`], evaluated at `at_ms`, milliseconds since 1970.
    ///
    /// # Errors
    /// The elements of the two sides do not match, or what is evaluated here fails.
    pub fn judge(&self, at_ms: i64, answers: &[Value]) -> Result<Judgement, EvalError> {
        self.condition.told(self.outcomes(at_ms, answers)?)
    }

    /// The elements of the condition, likewise.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn elements(&self, at_ms: i64, answers: &[Value]) -> Result<Vec<JudgedElement>, EvalError> {
        self.condition.elements(self.outcomes(at_ms, answers)?)
    }

    fn outcomes(&self, at_ms: i64, answers: &[Value]) -> Result<Vec<Outcome>, EvalError> {
        // What could not be taken apart is unknown rather than a guess.
        let places = self.leaves.as_ref().ok_or(EvalError::NotAskable("a condition in this notation"))?;
        let plan = self.condition.plan();
        let mut evaluator = Evaluator::new();
        let outcome = |(asked, node): (&Option<usize>, &Node)| match asked {
            Some(index) => Ok(outcome(answers.get(*index))),
            None => evaluator.scope(plan, Span { start_ms: at_ms, end_ms: at_ms }, &[])?.node(node, at_ms),
        };
        places.iter().zip(leaves(&plan.root)).map(outcome).collect()
    }
}

impl Formula {
    /// The expression to ask somebody else, in PromQL, with its parameters given their values.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn inquiry(&self, values: &BTreeMap<String, String>) -> Result<String, MissingParameter> {
        bound_text(self.plan().text(), values)
    }
}

/// An answer as elements in the order of their labels, which Prometheus does not promise; no answer is no elements.
fn samples(answer: Option<&Value>) -> Vec<Sample> {
    let mut samples = match answer {
        Some(Value::Vector(samples)) => samples.clone(),
        Some(Value::Scalar(value)) => vec![Sample { labels: crate::labels::Labels::empty(), value: *value }],
        _ => Vec::new(),
    };
    samples.sort_by(|one, other| one.labels.cmp(&other.labels));
    samples
}

fn outcome(answer: Option<&Value>) -> Outcome {
    match answer {
        Some(Value::Scalar(value)) => Outcome::Scalar(*value),
        other => {
            let element = |sample: Sample| Element { labels: sample.labels, value: sample.value, drop_name: false };
            Outcome::Vector(samples(other).into_iter().map(element).collect())
        }
    }
}

fn reads_series(node: &Node) -> bool {
    match node {
        Node::Number(_) | Node::Text(_) => false,
        Node::Instant(_) | Node::Range(_) => true,
        Node::Subquery(subquery) => reads_series(&subquery.inner),
        Node::Negation(inner) => reads_series(inner),
        Node::Call(call) => call.arguments.iter().any(reads_series),
        Node::Aggregation(aggregation) => aggregation.parameter.as_ref().is_some_and(reads_series) || reads_series(&aggregation.inner),
        Node::Binary(binary) => reads_series(&binary.left) || reads_series(&binary.right),
    }
}

fn written(selector: &Selector) -> String {
    let matchers: Vec<String> = selector.matchers().iter().map(ToString::to_string).collect();
    format!("{{{}}}", matchers.join(","))
}

/// The texts of the [`leaves`] of a condition; `None` if it is not written as it should be.
fn parts<'t>(node: &Node, text: &'t str) -> Option<Vec<&'t str>> {
    match node {
        Node::Binary(binary) if binary.operator.is_set() => {
            let (left, right) = split_set(text, binary.operator)?;
            let mut both = parts(&binary.left, left)?;
            both.append(&mut parts(&binary.right, right)?);
            Some(both)
        }
        Node::Binary(binary) if binary.operator.is_comparison() => {
            let (left, right) = split(text)?;
            let mut both = if lets_through(&binary.left) { parts(&binary.left, left)? } else { vec![left] };
            both.push(right);
            Some(both)
        }
        _ => Some(vec![text.trim()]),
    }
}

/// The two sides of the set operator at the root of an expression: the last `or` that is in no brackets, or if there is none the last `and` or `unless`.
/// `None` if that is another operator than it should be.
fn split_set(text: &str, operator: BinaryOperator) -> Option<(&str, &str)> {
    let text = text.trim();
    let words = set_operators(text)?;
    let loosest = words.iter().rev().find(|(_, word)| word.eq_ignore_ascii_case("or")).or_else(|| words.last());
    let Some((at, word)) = loosest else {
        return split_set(text.strip_prefix('(')?.strip_suffix(')')?, operator);
    };
    let (left, right) = (text[..*at].trim(), without_modifiers(&text[at + word.len()..])?.trim());
    (word.eq_ignore_ascii_case(operator.symbol()) && !left.is_empty() && !right.is_empty()).then_some((left, right))
}

/// Goes through an expression, and asks of what stands outside of brackets and strings how much of it to take; `None`: brackets do not match.
fn outside_of_brackets<'t>(text: &'t str, mut taken: impl FnMut(usize, &'t str) -> Option<usize>) -> Option<()> {
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut length = c.len_utf8();
        match c {
            '"' | '\'' | '`' => length = super::parameters::string_length(rest).ok()?,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => length = taken(at, rest).unwrap_or(length),
            _ => {}
        }
        at += length;
    }
    Some(())
}

/// The set operators outside of brackets and strings, with where they stand; `None`: brackets do not match.
fn set_operators(text: &str) -> Option<Vec<(usize, &str)>> {
    let mut found = Vec::new();
    outside_of_brackets(text, |at, rest| {
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let word = &rest[..length];
        if ["and", "or", "unless"].iter().any(|own| word.eq_ignore_ascii_case(own)) {
            found.push((at, word));
        }
        (length > 0).then_some(length)
    })?;
    Some(found)
}

/// The two sides of the comparison at the root of an expression without comments: what stands before and after the last comparison that is in no
/// brackets. Comparisons bind more loosely than all but set operators, and of several in a row the last is the root.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let Some((at, length)) = last_comparison(text)? else {
        let inner = text.strip_prefix('(')?.strip_suffix(')')?;
        return split(inner);
    };
    let right = without_modifiers(&text[at + length..])?;
    let (left, right) = (text[..at].trim(), right.trim());
    (!left.is_empty() && !right.is_empty()).then_some((left, right))
}

/// Where the last comparison outside of brackets and strings stands, and how long its operator is; the outer `None`: brackets do not match.
fn last_comparison(text: &str) -> Option<Option<(usize, usize)>> {
    let mut last = None;
    outside_of_brackets(text, |at, rest| {
        let length = rest.starts_with(['=', '!', '<', '>']).then(|| if rest[1..].starts_with('=') { 2 } else { 1 })?;
        last = Some((at, length));
        Some(length)
    })?;
    Some(last)
}

/// What follows `bool`, `on (…)`, `ignoring (…)`, `group_left (…)` and `group_right (…)`.
fn without_modifiers(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let word = rest[..end].to_ascii_lowercase();
        let tail = rest[end..].trim_start();
        rest = match word.as_str() {
            "bool" => tail,
            "on" | "ignoring" => tail.strip_prefix('(')?.split_once(')')?.1.trim_start(),
            // Brackets that follow are always their labels.
            "group_left" | "group_right" if tail.starts_with('(') => tail.split_once(')')?.1.trim_start(),
            "group_left" | "group_right" => tail,
            _ => return Some(rest),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::notation::parse_series;
    use crate::promql::{Plan, Verdict3};
    use crate::store::Store;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn inquiry(text: &str, values_of: &[(&str, &str)]) -> Inquiry {
        Inquiry::of(&Condition::parse(text).expect("a condition"), &values(values_of)).expect("every value is there")
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let inquiry = inquiry(text, &[("pod", "api-1"), ("service", "a\"} or up{x=\"\\\n")]);
        assert_eq!(inquiry.texts(), expected);
        for text in inquiry.texts() {
            Plan::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn of_a_comparison_both_sides_are_asked_but_for_what_reads_no_series() {
        check("up < 1", &["up"]);
        check("1 > bool up", &["up"]);
        check("(x <= bool 5)", &["x"]);
        check("x > on (p) group_left (q) y", &["x", "y"]);
        check("a == b != c", &["a", "b", "c"]);
        check("time() - timestamp(up) < 60 # old", &["time() - timestamp(up)"]);
        check(
            "sum by (p) (rate(x{a=~\"<|>\", b!=\"=\"}[5m])) / 2 >= ignoring (q) (y > 3)",
            &["sum by (p) (rate(x{a=~\"<|>\", b!=\"=\"}[5m])) / 2", "(y > 3)"],
        );
        check("2 > bool 1", &[]);
    }

    #[test]
    fn what_asks_for_absence_is_asked_as_a_whole() {
        check("absent(x{pod=$pod})", &["absent(x{pod=\"api-1\"})"]);
    }

    #[test]
    fn of_set_operators_each_side_is_taken_apart() {
        check("x > 0 and y > 0", &["x", "y"]);
        check("x > 0 and on (p) (y > 0 or 1 < z{a=\"or\"}) unless absent(u)", &["x", "y", "z{a=\"or\"}", "absent(u)"]);
        check("((x == 1) OR ignoring (q) group or vector(0) > 0)", &["x", "group"]);
        check("(x > 0) < 5", &["x"]);
        check("(x == 1 and on () y) != z", &["x", "y", "z"]);
        check("(x or vector(0)) > 0", &["(x or vector(0))"]);
    }

    #[test]
    fn parameters_become_quoted_values_and_never_text() {
        check(
            "up{pod=$pod, service=$service} < 1",
            &[r#"up{pod="api-1", service="a\"} or up{x=\"\\\n"} < 1"#.strip_suffix(" < 1").expect("it ends so")],
        );
        let asked = inquiry("up{service=$service} < 1", &[("service", "a\"} or up{x=\"\\\n")]);
        let plan = Plan::parse(&asked.texts()[0]).expect("PromQL");
        assert_eq!(&*plan.selectors()[0].matchers().last().expect("a matcher").value, "a\"} or up{x=\"\\\n");
        assert!(Inquiry::of(&Condition::parse("up{pod=$pod} < 1").expect("a condition"), &values(&[])).is_err());
    }

    /// What somebody who has the store would answer.
    fn answers(inquiry: &Inquiry, store: &Store) -> Vec<Value> {
        let ask = |text: &String| Evaluator::new().evaluate(&Plan::parse(text).expect("PromQL"), 0, &[store]).expect("a value");
        inquiry.texts().iter().map(ask).collect()
    }

    #[test]
    fn asked_elsewhere_a_condition_says_what_it_says_here() {
        let mut store = Store::new();
        for (series, value) in [(r#"x{p="1"}"#, 1.0), (r#"x{p="2"}"#, 5.0), (r#"y{p="1"}"#, 1.0), (r#"y{p="2"}"#, 0.0), ("n", f64::NAN)] {
            let id = store.series(&parse_series(series).expect("a series"));
            store.append(id, 0, value).expect("the first sample");
        }
        let texts = [
            "x < 6",
            "x < 5",
            "sum(x) == 6",
            "x > on (p) y",
            "(x <= bool 5)",
            "2 > bool 1",
            "none < 6",
            "n < 6",
            "x / y < 3",
            "absent(x)",
            "absent(none)",
            "x > 0 and y > 0",
            "x > 0 unless y >= 0",
            "x > 0 unless on (p) y == 0 or n > 0",
            "x > 1 and on () (absent(none) or n == 0)",
            "(x > 1) < 9",
            "none == 1 or vector(0) > 0",
            "time() == bool 0",
            "x >= scalar(sum(y))",
            "x == ignoring (q) x",
        ];
        for text in texts {
            let condition = Condition::parse(text).expect("a condition");
            let here = condition.judge(&mut Evaluator::new(), 0, &[&store]).expect("a judgement");
            let asked = inquiry(text, &[]);
            assert_eq!(asked.judge(0, &answers(&asked, &store)).expect("a judgement"), here, "{text}");
        }
        let asked = inquiry("x < 5", &[]);
        let told = asked.elements(0, &answers(&asked, &store)).expect("elements");
        assert_eq!(told.iter().filter(|own| own.verdict == Verdict3::True).count(), 1, "{told:?}");
    }

    #[test]
    fn no_answer_is_unknown_and_never_false() {
        let asked = inquiry("x < 6", &[]);
        assert_eq!(asked.judge(0, &[]).expect("a judgement").verdict, Verdict3::Unknown);
        assert_eq!(asked.judge(0, &[Value::Vector(vec![])]).expect("a judgement").verdict, Verdict3::Unknown);
        let nan = Value::Vector(vec![Sample { labels: Labels::empty(), value: f64::NAN }]);
        assert_eq!(asked.judge(0, &[nan]).expect("a judgement").verdict, Verdict3::Unknown);
    }

    #[test]
    fn the_order_of_elements_makes_no_difference() {
        let asked = inquiry("x < 6", &[]);
        let of = |pod: &str, value: f64| Sample { labels: Labels::named("x", &[("p", pod)]), value };
        let one = asked.judge(0, &[Value::Vector(vec![of("1", 1.0), of("2", 2.0)])]);
        assert_eq!(one, asked.judge(0, &[Value::Vector(vec![of("2", 2.0), of("1", 1.0)])]));
    }

    #[test]
    fn the_ages_are_asked_of_what_is_read_now() {
        let asked = inquiry("sum(rate(x{pod=$pod}[5m])) > sum(y offset 1m)", &[("pod", "a")]);
        assert_eq!(asked.ages(), [r#"timestamp({__name__="x",pod="a"})"#]);
    }
}
