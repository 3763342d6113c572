//! What of a condition holds, fails, or cannot be told, through comparisons and set operators, element by element.
//!
//! PromQL's own set operators know two values: an element is there or is not, and what is missing looks like what is false. Here each comparison tells
//! its elements as true, false or unknown first, and `and`, `or` and `unless` combine these as Kleene's logic does (Kleene 1952, Introduction to
//! Metamathematics, section 64). What a comparison lets through and compares again has to hold in both.

use std::collections::BTreeSet;

use super::binary::Pair;
use super::group::{Groups, LabelSubset};
use super::plan::{AggregationOperator, Binary, BinaryOperator, Call, Function, Many, Node};
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
        self.told().0
    }

    /// What [`Self::all`] says, and each element with whether it holds, or one of those that belong to it on the other side of an `or`.
    fn told(&self) -> (Verdict3, Vec<(&Labels, Verdict3)>) {
        let of_every = |told: &[(&Labels, Verdict3)], none| told.iter().map(|(_, verdict)| *verdict).reduce(Verdict3::and).unwrap_or(none);
        match self {
            Self::Elements { elements, missing } => {
                let told: Vec<_> = elements.iter().map(|own| (&own.labels, own.verdict)).collect();
                (of_every(&told, *missing), told)
            }
            Self::Either(left, right, subset) => {
                let ((all_left, of_left), (all_right, of_right)) = (left.told(), right.told());
                let (left, right) = (Side::of(left, subset), Side::of(right, subset));
                let beside = |other: &Side<'_>, (labels, own): (_, Verdict3)| (labels, own.or(other.beside(labels)));
                let of_left = of_left.into_iter().map(|own| beside(&right, own));
                let told: Vec<_> = of_left.chain(of_right.into_iter().map(|own| beside(&left, own))).collect();
                (all_left.or(all_right).or(of_every(&told, Verdict3::False)), told)
            }
        }
    }

    /// Whether one of the elements holds that belong to labels which nobody knows.
    fn somewhere(&self) -> Verdict3 {
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

/// One side of a set operator, by the labels by which its elements belong to those of the other side.
enum Side<'j> {
    Elements {
        groups: Groups<'j>,
        /// Of each group, whether one of its elements holds.
        any: Vec<Verdict3>,
        /// Which labels its elements have, of those that count.
        names: BTreeSet<Vec<&'j str>>,
        missing: Verdict3,
    },
    Either(Box<Side<'j>>, Box<Side<'j>>),
}

impl<'j> Side<'j> {
    fn of(judged: &'j Judged, subset: &'j LabelSubset) -> Self {
        match judged {
            Judged::Elements { elements, missing } => {
                let (mut groups, mut any, mut names) = (Groups::new(subset), Vec::new(), BTreeSet::new());
                for own in elements {
                    let group = groups.find_or_add(&own.labels);
                    if group == any.len() {
                        any.push(Verdict3::False);
                    }
                    any[group] = any[group].or(own.verdict);
                    names.insert(counting(subset, &own.labels));
                }
                Self::Elements { groups, any, names, missing: *missing }
            }
            Judged::Either(left, right, _) => Self::Either(Box::new(Self::of(left, subset)), Box::new(Self::of(right, subset))),
        }
    }

    /// Whether one of the elements holds that belong to some labels.
    fn at(&self, labels: &Labels) -> Verdict3 {
        match self {
            Self::Elements { groups, any, missing, .. } => groups.find(labels).map_or(*missing, |group| any[group]),
            Self::Either(left, right) => left.at(labels).or(right.at(labels)),
        }
    }

    /// The same beside an element of the other side of `or`. Where elements have other labels none belongs to it, so that none is missing either: each side
    /// then is judged by itself.
    fn beside(&self, labels: &Labels) -> Verdict3 {
        match self {
            Self::Elements { groups, names, .. } => {
                let may_belong = names.contains(&counting(groups.subset(), labels));
                if may_belong { self.at(labels) } else { Verdict3::False }
            }
            Self::Either(left, right) => left.beside(labels).or(right.beside(labels)),
        }
    }
}

/// The names of the labels that count.
fn counting<'l>(subset: &LabelSubset, labels: &'l Labels) -> Vec<&'l str> {
    labels.iter().map(|(name, _)| &**name).filter(|name| subset.contains(name)).collect()
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

/// Whether a condition is told by values in which elements may be missing that a comparison has not let through.
pub(crate) fn hides(node: &Node) -> bool {
    match node {
        Node::Binary(binary) if binary.operator.is_set() => hides(&binary.left) || hides(&binary.right),
        Node::Binary(binary) if binary.operator.is_comparison() => {
            let is_left_hidden = if lets_through(&binary.left) { hides(&binary.left) } else { leaves_out(&binary.left) };
            // What the right side leaves out leaves an element of the left one without what belongs to it, which is seen, unless another one of the right
            // side belongs to it too: there is one such for all if nothing has to agree.
            let is_any = is_whole(&binary.matching.subset);
            let is_right_told = is_scalar(&binary.left) || binary.matching.many == Many::Right || is_any;
            is_left_hidden || is_right_told && leaves_out(&binary.right)
        }
        other => leaves_out(other),
    }
}

/// Whether no label counts, so that all elements belong together.
fn is_whole(subset: &LabelSubset) -> bool {
    subset.is_include() && subset.names().is_empty()
}

fn is_scalar(node: &Node) -> bool {
    match node {
        Node::Number(_) => true,
        Node::Negation(inner) => is_scalar(inner),
        Node::Call(call) => matches!(call.function, Function::Scalar | Function::Time | Function::Pi),
        Node::Binary(binary) => !binary.operator.is_set() && is_scalar(&binary.left) && is_scalar(&binary.right),
        _ => false,
    }
}

/// Whether elements may be missing in what an expression yields because a comparison within it has not let them through, so that nobody sees that it
/// fails for them. What adds elements up or counts them is about those that are let through, and `and` and `unless` choose by their right side.
fn leaves_out(node: &Node) -> bool {
    match node {
        Node::Number(_) | Node::Text(_) | Node::Instant(_) | Node::Range(_) => false,
        Node::Subquery(subquery) => leaves_out(&subquery.inner),
        Node::Negation(inner) => leaves_out(inner),
        Node::Call(call) => !matches!(call.function, Function::Absent | Function::AbsentOverTime) && call.arguments.iter().any(leaves_out),
        Node::Aggregation(aggregation) => {
            let is_about_those =
                matches!(aggregation.operator, AggregationOperator::Sum | AggregationOperator::Count | AggregationOperator::CountValues(_));
            !is_about_those && leaves_out(&aggregation.inner)
        }
        Node::Binary(binary) => match binary.operator {
            operator if operator.is_comparison() && !binary.yields_bool => true,
            BinaryOperator::And | BinaryOperator::Unless => leaves_out(&binary.left),
            _ => leaves_out(&binary.left) || leaves_out(&binary.right),
        },
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
            let pairs = binary.pairs_and_alone(left, right)?;
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
    if binary.operator == BinaryOperator::Or {
        return Judged::Either(Box::new(left), Box::new(right), subset.clone());
    }
    let side = Side::of(&right, subset);
    // There is nothing that one would have to know.
    let is_whole = is_whole(subset);
    let of_right = |labels: Option<&Labels>| match labels {
        Some(labels) => side.at(labels),
        None if is_whole => side.at(&Labels::empty()),
        None => right.somewhere(),
    };
    match binary.operator {
        BinaryOperator::And => left.only_if(&of_right),
        _ => left.only_if(&|labels| of_right(labels).not()),
    }
}

/// What a comparison has let through, compared again: what it has not let through does not hold.
fn compared_again(binary: &Binary, inner: Judged, right: &Outcome) -> Result<(Judged, String), EvalError> {
    let inner = inner.into_elements();
    let side = |wanted: &dyn Fn(Verdict3) -> bool| {
        let wanted = inner.iter().filter(|own| wanted(own.verdict));
        Outcome::Vector(wanted.map(|own| Element { labels: own.labels.clone(), value: own.value, drop_name: false }).collect())
    };
    let pairs = binary.pairs_and_alone(side(&|_| true), right.clone())?;
    let figures = written_pairs(binary, &pairs);
    let mut elements = elements(binary, pairs);
    if binary.matching.many != Many::Right {
        // Each inner element has come to one pair, in its order, if to any: those that are alone may have one and the same labels.
        debug_assert!(elements.is_empty() || elements.len() == inner.len());
        for (own, before) in elements.iter_mut().zip(&inner) {
            own.verdict = before.verdict.and(own.verdict);
        }
        return Ok((Judged::Elements { elements, missing: Verdict3::Unknown }, figures));
    }
    // Here what is alone beside some of the inner elements may belong to another.
    let labels_of = |verdict: Verdict3| -> Result<BTreeSet<Labels>, EvalError> {
        let pairs = binary.pairs(side(&|own| own == verdict), right.clone())?;
        Ok(pairs.into_iter().map(|pair| pair.labels).collect())
    };
    let (failing, unknown) = (labels_of(Verdict3::False)?, labels_of(Verdict3::Unknown)?);
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
    let swapped = comparison.matching.many == Many::Right;
    let shown = |pair: &Pair, value: f64, is_one: bool| if pair.is_alone && is_one { "nothing".to_owned() } else { written(value) };
    listed(pairs.iter().map(|pair| {
        let (left, right) = (shown(pair, pair.left, swapped), shown(pair, pair.right, !swapped));
        labelled(&pair.labels, &format!("{left} {symbol} {right}"))
    }))
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
