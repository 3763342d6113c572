//! Operators between two values.

use std::collections::BTreeSet;

use super::group::Groups;
use super::plan::{Binary, BinaryOperator, Many, Matching};
use super::value::{Element, EvalError, Outcome};
use crate::labels::{Labels, METRIC_NAME};

/// Two elements that belong together, or an element and a scalar.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub labels: Labels,
    pub left: f64,
    pub right: f64,
    pub drop_name: bool,
    /// The value that a comparison passes on.
    pub passed: f64,
    /// Nothing belongs to it on the other side, whose value is NaN here.
    pub is_alone: bool,
}

impl Binary {
    /// The result of the operator on the two sides.
    ///
    /// # Errors
    /// The elements do not match as the operator demands.
    pub(crate) fn apply(&self, left: Outcome, right: Outcome) -> Result<Outcome, EvalError> {
        if let (Outcome::Scalar(left), Outcome::Scalar(right)) = (&left, &right) {
            return Ok(Outcome::Scalar(self.scalar(*left, *right)));
        }
        if self.operator.is_set() {
            let (Outcome::Vector(left), Outcome::Vector(right)) = (left, right) else {
                unreachable!("the parser lets set operators stand between vectors only")
            };
            return Ok(Outcome::Vector(self.set(left, right)));
        }
        let pairs = self.pairs(left, right)?;
        let results = pairs.into_iter().filter_map(|pair| {
            let Pair { labels, left, right, drop_name, passed, .. } = pair;
            let value = match self.operator.holds(left, right) {
                None => self.operator.calculate(left, right),
                Some(holds) if self.yields_bool => f64::from(u8::from(holds)),
                Some(true) => passed,
                Some(false) => return None,
            };
            Some(Element { labels, value, drop_name: self.matching.drops_name(self.operator, self.yields_bool, drop_name) })
        });
        Ok(Outcome::Vector(results.collect()))
    }

    /// What belongs together on the two sides of an arithmetic operator or a comparison.
    ///
    /// # Errors
    /// The elements do not match as the operator demands.
    pub(crate) fn pairs(&self, left: Outcome, right: Outcome) -> Result<Vec<Pair>, EvalError> {
        self.paired(left, right, false)
    }

    /// As [`Self::pairs`], with the elements to which nothing belongs: those of the left side, or of the right one under `group_right`. Where a side has
    /// no element at all there is none either.
    ///
    /// # Errors
    /// The elements do not match as the operator demands.
    pub(crate) fn pairs_and_alone(&self, left: Outcome, right: Outcome) -> Result<Vec<Pair>, EvalError> {
        self.paired(left, right, true)
    }

    fn paired(&self, left: Outcome, right: Outcome, keeps_alone: bool) -> Result<Vec<Pair>, EvalError> {
        let with_scalar = |elements: Vec<Element>, pair: &dyn Fn(f64) -> (f64, f64)| {
            let paired = elements.into_iter().map(|Element { labels, value, drop_name }| {
                let (left, right) = pair(value);
                Pair { labels, left, right, drop_name, passed: value, is_alone: false }
            });
            paired.collect()
        };
        match (left, right) {
            (Outcome::Scalar(left), Outcome::Scalar(right)) => {
                Ok(vec![Pair { labels: Labels::empty(), left, right, drop_name: false, passed: left, is_alone: false }])
            }
            (Outcome::Vector(elements), Outcome::Scalar(scalar)) => Ok(with_scalar(elements, &|value| (value, scalar))),
            (Outcome::Scalar(scalar), Outcome::Vector(elements)) => Ok(with_scalar(elements, &|value| (scalar, value))),
            (Outcome::Vector(left), Outcome::Vector(right)) => self.join(&left, &right, keeps_alone),
            _ => unreachable!("the parser lets operators stand between scalars and vectors only"),
        }
    }

    fn scalar(&self, left: f64, right: f64) -> f64 {
        match self.operator.holds(left, right) {
            Some(holds) => f64::from(u8::from(holds)),
            None => self.operator.calculate(left, right),
        }
    }

    fn set(&self, mut left: Vec<Element>, mut right: Vec<Element>) -> Vec<Element> {
        let mut groups = Groups::new(&self.matching.subset);
        let is_or = self.operator == BinaryOperator::Or;
        for element in if is_or { &left } else { &right } {
            groups.find_or_add(&element.labels);
        }
        let is_there = |element: &Element| groups.find(&element.labels).is_some();
        match self.operator {
            BinaryOperator::And => left.retain(is_there),
            BinaryOperator::Unless => left.retain(|element| !is_there(element)),
            _ => {
                right.retain(|element| !is_there(element));
                left.append(&mut right);
            }
        }
        left
    }

    fn join(&self, left: &[Element], right: &[Element], keeps_alone: bool) -> Result<Vec<Pair>, EvalError> {
        let swapped = self.matching.many == Many::Right;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        if many.is_empty() || one.is_empty() {
            return Ok(Vec::new());
        }
        let mut groups = Groups::new(&self.matching.subset);
        for (index, element) in one.iter().enumerate() {
            if groups.find_or_add(&element.labels) < index {
                return Err(self.not_unique(&groups, element, swapped));
            }
        }
        let mut matched = vec![false; groups.len()];
        let mut results: BTreeSet<(usize, Labels)> = BTreeSet::new();
        let mut pairs = Vec::with_capacity(many.len());
        for element in many {
            // Each group of the one side has one element, so their numbers agree.
            let Some(index) = groups.find(&element.labels) else {
                if keeps_alone {
                    pairs.push(self.alone(element, swapped));
                }
                continue;
            };
            let partner = &one[index];
            let labels = self.matching.result_labels(self.operator, &element.labels, &partner.labels);
            let again = match self.matching.many {
                Many::Neither => std::mem::replace(&mut matched[index], true),
                Many::Left | Many::Right => !results.insert((index, labels.clone())),
            };
            if again {
                return Err(EvalError::ManyMatches { labels: element.labels.to_string() });
            }
            let (left, right) = if swapped { (partner.value, element.value) } else { (element.value, partner.value) };
            pairs.push(Pair { labels, left, right, drop_name: element.drop_name, passed: left, is_alone: false });
        }
        Ok(pairs)
    }

    /// An element to which nothing belongs on the other side.
    fn alone(&self, element: &Element, swapped: bool) -> Pair {
        let labels = self.matching.result_labels(self.operator, &element.labels, &Labels::empty());
        let (left, right) = if swapped { (f64::NAN, element.value) } else { (element.value, f64::NAN) };
        Pair { labels, left, right, drop_name: element.drop_name, passed: left, is_alone: true }
    }

    fn not_unique(&self, groups: &Groups<'_>, element: &Element, swapped: bool) -> EvalError {
        let first = groups.find(&element.labels).map(|index| groups.first(index).to_string()).unwrap_or_default();
        EvalError::NotUnique { side: if swapped { "left" } else { "right" }, first, second: element.labels.to_string() }
    }
}

impl Matching {
    /// Whether the name in the labels of a result goes at the end; `drops` tells that of the element that the labels come from. A name that
    /// `group_left(__name__)` took from the other side stays, unless `bool` made another thing of the value.
    pub(crate) fn drops_name(&self, operator: BinaryOperator, yields_bool: bool, drops: bool) -> bool {
        if self.taken.iter().any(|name| **name == *METRIC_NAME) {
            return yields_bool;
        }
        drops || yields_bool || !operator.is_comparison()
    }

    /// The labels of a result from those of its two sides.
    pub(crate) fn result_labels(&self, operator: BinaryOperator, many: &Labels, one: &Labels) -> Labels {
        let arithmetic = !operator.is_comparison();
        let one_to_one = self.many == Many::Neither;
        let subset = &self.subset;
        let kept = many.filtered(|name| {
            if name == METRIC_NAME {
                // `ignoring` leaves the name to comparisons, `on` keeps it only if it is listed.
                return !(arithmetic || one_to_one && subset.is_include() && !subset.contains(name));
            }
            !one_to_one || subset.contains(name)
        });
        if self.taken.is_empty() {
            return kept;
        }
        let mut builder = kept.to_builder();
        for name in &self.taken {
            match one.value(name) {
                Some(value) => builder.put(name.clone(), value.clone()),
                None => builder.remove(name),
            }
        }
        builder.build()
    }
}

impl BinaryOperator {
    /// Whether a comparison holds; `None` for operators that are no comparison.
    pub(crate) fn holds(self, left: f64, right: f64) -> Option<bool> {
        match self {
            BinaryOperator::Equal => Some(left == right),
            BinaryOperator::NotEqual => Some(left != right),
            BinaryOperator::Greater => Some(left > right),
            BinaryOperator::Less => Some(left < right),
            BinaryOperator::GreaterOrEqual => Some(left >= right),
            BinaryOperator::LessOrEqual => Some(left <= right),
            _ => None,
        }
    }

    pub(crate) fn calculate(self, left: f64, right: f64) -> f64 {
        match self {
            BinaryOperator::Add => left + right,
            BinaryOperator::Subtract => left - right,
            BinaryOperator::Multiply => left * right,
            BinaryOperator::Divide => left / right,
            BinaryOperator::Modulo => left % right,
            BinaryOperator::Power => libm::pow(left, right),
            BinaryOperator::Atan2 => libm::atan2(left, right),
            _ => unreachable!("comparisons and set operators are handled before"),
        }
    }
}
