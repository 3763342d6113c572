//! What of a condition holds, fails, or cannot be told, through comparisons and set operators, element by element.
//!
//! PromQL's own set operators know two values: an element is there or is not, and what is missing looks like what is false. Here each comparison tells
//! its elements as true, false or unknown first, and `and`, `or` and `unless` combine these as Kleene's logic does (Kleene 1952, Introduction to
//! Metamathematics, section 64). What a comparison lets through and compares again has to hold in both.

use super::binary::Pair;
use super::group::LabelSubset;
use super::plan::{Binary, BinaryOperator, Call, Function, Node};
use super::value::{Element, EvalError, Outcome, written};
use crate::labels::{Labels, METRIC_NAME};

/// How many elements a judgement's figures name; the rest is counted.
const SHOWN: usize = 4;

/// True, false, or not to be told from the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict3 {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// There is no data, or it is NaN.
    Unknown,
}

impl Verdict3 {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    const fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    const fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One element of a condition, and whether the condition holds for it.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedElement {
    /// Its labels.
    pub labels: Labels,
    /// Whether it holds; unknown if a NaN stands on either side, or if what it depends on is missing.
    pub verdict: Verdict3,
    /// The value that is passed on.
    value: f64,
}

/// A condition's elements.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Those of a comparison, of a series that is there or is not, or of one of these under `and` or `unless`.
    Elements {
        elements: Vec<JudgedElement>,
        /// What is so for labels that no element has.
        missing: Verdict3,
    },
    /// Those of two sides of `or`, with the labels by which they belong together.
    Either(Box<Judged>, Box<Judged>, LabelSubset),
}

impl Judged {
    /// All elements.
    pub(crate) fn into_elements(self) -> Vec<JudgedElement> {
        match self {
            Self::Elements { elements, .. } => elements,
            Self::Either(left, right, _) => {
                let mut elements = left.into_elements();
                elements.append(&mut right.into_elements());
                elements
            }
        }
    }

    /// Whether one element at least holds.
    pub(crate) fn any(&self) -> Verdict3 {
        match self {
            Self::Elements { elements, missing } if elements.is_empty() => *missing,
            Self::Elements { elements, .. } => any_of(elements.iter()),
            Self::Either(left, right, _) => left.any().or(right.any()),
        }
    }

    /// Whether all elements hold, and there is one. Of `or` it is enough that all of one side do, or one of those that belong together.
    pub(crate) fn all(&self) -> Verdict3 {
        match self {
            Self::Elements { elements, missing } if elements.is_empty() => *missing,
            Self::Elements { elements, .. } => elements.iter().map(|element| element.verdict).fold(Verdict3::True, Verdict3::and),
            Self::Either(left, right, subset) => left.all().or(right.all()).or(both(left, right, subset)),
        }
    }

    fn elements(&self) -> Box<dyn Iterator<Item = &JudgedElement> + '_> {
        match self {
            Self::Elements { elements, .. } => Box::new(elements.iter()),
            Self::Either(left, right, _) => Box::new(left.elements().chain(right.elements())),
        }
    }

    /// Whether one of the elements holds that belong to some labels.
    fn at(&self, subset: &LabelSubset, labels: &Labels) -> Verdict3 {
        match self {
            Self::Elements { elements, missing } => {
                let mut belonging = elements.iter().filter(|own| subset.equal(&own.labels, labels)).peekable();
                if belonging.peek().is_none() { *missing } else { any_of(belonging) }
            }
            Self::Either(left, right, _) => left.at(subset, labels).or(right.at(subset, labels)),
        }
    }

    /// As [`Self::at`], for labels that nobody knows.
    fn somewhere(&self, subset: &LabelSubset) -> Verdict3 {
        if subset.is_include() && subset.names().is_empty() {
            return self.at(subset, &Labels::empty());
        }
        let is_never = |judged: &Self| match judged {
            Self::Elements { elements, missing } => {
                *missing == Verdict3::False && elements.iter().all(|own| own.verdict == Verdict3::False)
            }
            Self::Either(..) => false,
        };
        if is_never(self) { Verdict3::False } else { Verdict3::Unknown }
    }

    /// The same, each element and what is missing only if something else is so.
    fn only_if(self, other: &impl Fn(Option<&Labels>) -> Verdict3) -> Self {
        match self {
            Self::Elements { elements, missing } => {
                let only = |own: JudgedElement| JudgedElement { verdict: own.verdict.and(other(Some(&own.labels))), ..own };
                Self::Elements { elements: elements.into_iter().map(only).collect(), missing: missing.and(other(None)) }
            }
            Self::Either(left, right, subset) => Self::Either(Box::new(left.only_if(other)), Box::new(right.only_if(other)), subset),
        }
    }
}

/// Whether of all elements that two sides have one of those holds that belong together.
fn both(left: &Judged, right: &Judged, subset: &LabelSubset) -> Verdict3 {
    let beside = |other: &Judged, own: &JudgedElement| any_of(other.elements().filter(|other| subset.equal(&other.labels, &own.labels)));
    let of = |side: &Judged, other: &Judged| {
        side.elements().map(|own| own.verdict.or(beside(other, own))).reduce(Verdict3::and).unwrap_or(Verdict3::True)
    };
    let is_there = left.elements().chain(right.elements()).next().is_some();
    if is_there { of(left, right).and(of(right, left)) } else { Verdict3::False }
}

fn any_of<'e>(elements: impl Iterator<Item = &'e JudgedElement>) -> Verdict3 {
    elements.map(|element| element.verdict).fold(Verdict3::False, Verdict3::or)
}

/// The expressions whose values a condition is told by, in the order in which [`judged`] takes them.
pub(crate) fn leaves(node: &Node) -> Vec<&Node> {
    match node {
        Node::Binary(binary) if binary.operator.is_set() => {
            let mut both = leaves(&binary.left);
            both.append(&mut leaves(&binary.right));
            both
        }
        Node::Binary(binary) if binary.operator.is_comparison() => {
            let mut both = if lets_through(&binary.left) { leaves(&binary.left) } else { vec![&binary.left] };
            both.push(&binary.right);
            both
        }
        other => vec![other],
    }
}

/// Whether an expression yields the elements for which a comparison holds, so that others vanish from it. `or` brings in others in their place.
pub(crate) fn lets_through(node: &Node) -> bool {
    match node {
        Node::Binary(binary) if binary.operator.is_comparison() => !binary.yields_bool,
        Node::Binary(binary) => matches!(binary.operator, BinaryOperator::And | BinaryOperator::Unless) && lets_through(&binary.left),
        _ => false,
    }
}

/// The elements of a condition with its figures, told by the values of its [`leaves`]. `forbids`: a series that is compared with nothing and is not
/// there cannot be told; otherwise that it is not there is what was asked.
pub(crate) fn judged(node: &Node, values: &mut dyn Iterator<Item = Outcome>, forbids: bool) -> Result<(Judged, String), EvalError> {
    let mut next = || values.next().unwrap_or_else(|| Outcome::Vector(Vec::new()));
    match node {
        Node::Binary(binary) if binary.operator.is_set() => {
            let (left, left_figures) = judged(&binary.left, values, forbids)?;
            let (right, right_figures) = judged(&binary.right, values, forbids)?;
            let figures = format!("{} {} {}", bracketed(&left_figures), binary.operator.symbol(), bracketed(&right_figures));
            Ok((combined(binary, left, right), figures))
        }
        Node::Binary(binary) if binary.operator.is_comparison() && lets_through(&binary.left) => {
            let (inner, inner_figures) = judged(&binary.left, values, forbids)?;
            let right = values.next().unwrap_or_else(|| Outcome::Vector(Vec::new()));
            let (outer, figures) = compared_again(binary, inner, &right)?;
            Ok((outer, format!("{} and {}", bracketed(&inner_figures), bracketed(&figures))))
        }
        Node::Binary(binary) if binary.operator.is_comparison() => {
            let (left, right) = (next(), next());
            let pairs = binary.pairs(left, right)?;
            let figures = written_pairs(binary, &pairs);
            Ok((Judged::Elements { elements: elements(binary, pairs), missing: Verdict3::Unknown }, figures))
        }
        other => {
            let is_absence =
                matches!(other, Node::Call(call) if matches!(**call, Call { function: Function::Absent | Function::AbsentOverTime, .. }));
            let missing = if forbids && !is_absence { Verdict3::Unknown } else { Verdict3::False };
            let present: Vec<JudgedElement> = present(next());
            let figures = listed(present.iter().map(|own| labelled(&own.labels, &written(own.value))));
            Ok((Judged::Elements { elements: present, missing }, figures))
        }
    }
}

fn combined(binary: &Binary, left: Judged, right: Judged) -> Judged {
    let subset = &binary.matching.subset;
    let of_right = |labels: Option<&Labels>| match labels {
        Some(labels) => right.at(subset, labels),
        None => right.somewhere(subset),
    };
    match binary.operator {
        BinaryOperator::And => left.only_if(&of_right),
        BinaryOperator::Unless => left.only_if(&|labels| of_right(labels).not()),
        _ => Judged::Either(Box::new(left), Box::new(right), subset.clone()),
    }
}

/// What a comparison has let through, compared again: what it has not let through does not hold.
fn compared_again(binary: &Binary, inner: Judged, right: &Outcome) -> Result<(Judged, String), EvalError> {
    let inner = inner.into_elements();
    let side = |wanted: &dyn Fn(Verdict3) -> bool| {
        let wanted = inner.iter().filter(|own| wanted(own.verdict));
        Outcome::Vector(wanted.map(|own| Element { labels: own.labels.clone(), value: own.value, drop_name: false }).collect())
    };
    let pairs = binary.pairs(side(&|_| true), right.clone())?;
    let labels_of = |verdict: Verdict3| -> Result<Vec<Labels>, EvalError> {
        Ok(binary.pairs(side(&|own| own == verdict), right.clone())?.into_iter().map(|pair| pair.labels).collect())
    };
    let (failing, unknown) = (labels_of(Verdict3::False)?, labels_of(Verdict3::Unknown)?);
    let figures = written_pairs(binary, &pairs);
    let mut elements = elements(binary, pairs);
    for own in &mut elements {
        let before = match &own.labels {
            labels if failing.contains(labels) => Verdict3::False,
            labels if unknown.contains(labels) => Verdict3::Unknown,
            _ => Verdict3::True,
        };
        own.verdict = before.and(own.verdict);
    }
    Ok((Judged::Elements { elements, missing: Verdict3::Unknown }, figures))
}

fn elements(binary: &Binary, pairs: Vec<Pair>) -> Vec<JudgedElement> {
    let element = |pair: Pair| JudgedElement { verdict: verdict(binary, &pair), labels: pair.labels, value: pair.passed };
    pairs.into_iter().map(element).collect()
}

/// Whether a comparison holds for two elements that belong together.
pub(crate) fn verdict(comparison: &Binary, pair: &Pair) -> Verdict3 {
    if pair.left.is_nan() || pair.right.is_nan() {
        return Verdict3::Unknown;
    }
    Verdict3::of(comparison.operator.holds(pair.left, pair.right).expect("a comparison"))
}

fn present(value: Outcome) -> Vec<JudgedElement> {
    let Outcome::Vector(elements) = value else { return Vec::new() };
    let of = |Element { labels, value, drop_name }: Element| {
        let labels = if drop_name { labels.filtered(|name| name != METRIC_NAME) } else { labels };
        JudgedElement { labels, verdict: Verdict3::True, value }
    };
    elements.into_iter().map(of).collect()
}

/// The figures of a comparison's elements.
pub(crate) fn written_pairs(comparison: &Binary, pairs: &[Pair]) -> String {
    let symbol = comparison.operator.symbol();
    listed(pairs.iter().map(|pair| labelled(&pair.labels, &format!("{} {symbol} {}", written(pair.left), written(pair.right)))))
}

/// Figures of several elements or operators in brackets, so that what belongs together can be seen.
fn bracketed(figures: &str) -> String {
    let is_joined = [";", " and ", " or ", " unless "].iter().any(|sign| figures.contains(sign));
    if is_joined { format!("({figures})") } else { figures.to_owned() }
}

fn labelled(labels: &Labels, figures: &str) -> String {
    if labels.is_empty() { figures.to_owned() } else { format!("{labels} {figures}") }
}

fn listed(figures: impl ExactSizeIterator<Item = String>) -> String {
    let count = figures.len();
    if count == 0 {
        return "no element".to_owned();
    }
    let mut listed = figures.take(SHOWN).collect::<Vec<_>>().join("; ");
    if count > SHOWN {
        listed.push_str(&format!("; and {} more", count - SHOWN));
    }
    listed
}
