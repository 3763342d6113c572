//! What is known of the values that an expression yields, and whether any number is like that.

use super::plan::{BinaryOperator, Moment};

/// A comparison with a number that a value satisfies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    /// A comparison.
    pub operator: BinaryOperator,
    /// What the value is compared with; no NaN.
    pub number: f64,
    /// Whether it is so by nature, and not because the expression asks for it.
    pub is_given: bool,
}

/// Whose values are bounded.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Subject {
    /// Those of the series of this metric that has the element's labels, read at this moment.
    Series(String, Moment),
    /// Those of an expression's element with these labels; wherever it is written, at one moment it is the same.
    Expression {
        /// The expression, each as it is told apart from others.
        key: String,
        /// Whose values they are, in words.
        words: String,
    },
    /// Those of the element, in words.
    Element(String),
}

/// All that is known of the values of one subject.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fact {
    pub subject: Subject,
    /// All of them hold.
    pub bounds: Vec<Bound>,
}

/// Why no value can be as it is asked for.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct Contradiction {
    /// Whose value, in words: a metric, or what is done to it.
    pub whose: String,
    /// What is so by nature, as comparisons with their numbers: `>= 0`; empty if it is of no matter.
    pub given: Vec<(&'static str, f64)>,
    /// What is asked for, likewise.
    pub asked: Vec<(&'static str, f64)>,
}

impl Bound {
    /// By nature it is no less, and no more.
    pub fn between(least: f64, most: f64) -> Vec<Bound> {
        let given = |operator, number: f64| Bound { operator, number, is_given: true };
        let all = [given(BinaryOperator::GreaterOrEqual, least), given(BinaryOperator::LessOrEqual, most)];
        all.into_iter().filter(|bound| bound.number.is_finite()).collect()
    }

    /// The comparison with the sides exchanged.
    pub fn mirrored(self) -> Bound {
        let operator = match self.operator {
            BinaryOperator::Greater => BinaryOperator::Less,
            BinaryOperator::Less => BinaryOperator::Greater,
            BinaryOperator::GreaterOrEqual => BinaryOperator::LessOrEqual,
            BinaryOperator::LessOrEqual => BinaryOperator::GreaterOrEqual,
            same => same,
        };
        Bound { operator, ..self }
    }
}

impl Fact {
    /// Takes in more that is known; each once.
    pub fn add(&mut self, more: &[Bound]) {
        for bound in more {
            if !self.bounds.contains(bound) {
                self.bounds.push(*bound);
            }
        }
    }

    /// Why there is no such value, told by as few bounds as do it.
    pub fn contradiction(&self) -> Option<Contradiction> {
        if is_possible(&self.bounds) {
            return None;
        }
        let pairs =
            self.bounds.iter().enumerate().flat_map(|(index, later)| self.bounds[..index].iter().map(move |earlier| [*earlier, *later]));
        let few: Vec<Vec<Bound>> =
            self.bounds.iter().map(|one| vec![*one]).chain(pairs.map(Vec::from)).filter(|bounds| !is_possible(bounds)).collect();
        let shown = few.first().unwrap_or(&self.bounds);
        // Where nature has a say, both its ends are worth knowing.
        let has_given = shown.iter().any(|bound| bound.is_given);
        let told = |bounds: &[Bound], is_given: bool| {
            bounds.iter().filter(|bound| bound.is_given == is_given).map(|bound| (bound.operator.symbol(), bound.number)).collect()
        };
        let given = if has_given { told(&self.bounds, true) } else { Vec::new() };
        let whose = match &self.subject {
            Subject::Series(metric, _) => format!("`{metric}`"),
            Subject::Expression { words, .. } | Subject::Element(words) => words.clone(),
        };
        Some(Contradiction { whose, given, asked: told(shown, false) })
    }
}

/// Whether a number satisfies all bounds. NaN satisfies only `!=`, and where there is nothing else some number does too.
fn is_possible(bounds: &[Bound]) -> bool {
    let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
    for Bound { operator, number, .. } in bounds {
        if matches!(operator, BinaryOperator::Equal | BinaryOperator::GreaterOrEqual | BinaryOperator::Greater) {
            least = least.max(*number);
        }
        if matches!(operator, BinaryOperator::Equal | BinaryOperator::LessOrEqual | BinaryOperator::Less) {
            most = most.min(*number);
        }
    }
    let satisfies = |value: f64| bounds.iter().all(|bound| bound.operator.holds(value, bound.number) != Some(false));
    // Between two different ends there are more numbers than any list can leave out.
    least < most || least == most && satisfies(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use BinaryOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};

    #[track_caller]
    fn check(bounds: &[(BinaryOperator, f64)], expected: Option<&[(&'static str, f64)]>) {
        let bounds = bounds.iter().map(|(operator, number)| Bound { operator: *operator, number: *number, is_given: false }).collect();
        let fact = Fact { subject: Subject::Element("it".to_owned()), bounds };
        assert_eq!(fact.contradiction().map(|found| found.asked), expected.map(<[_]>::to_vec), "{fact:?}");
    }

    #[test]
    fn a_contradiction_is_told_by_what_makes_it() {
        check(&[], None);
        check(&[(Equal, 1.0), (GreaterOrEqual, 1.0), (LessOrEqual, 1.0), (NotEqual, 2.0)], None);
        check(&[(Greater, 1.0), (Less, 1.5)], None);
        check(&[(Greater, 3.0), (NotEqual, 5.0), (Less, 3.0)], Some(&[(">", 3.0), ("<", 3.0)]));
        check(&[(Equal, 0.0), (Equal, 1.0)], Some(&[("==", 0.0), ("==", 1.0)]));
        check(&[(Equal, 0.0), (NotEqual, 0.0)], Some(&[("==", 0.0), ("!=", 0.0)]));
        check(&[(GreaterOrEqual, 0.0), (LessOrEqual, 0.0), (NotEqual, 0.0)], Some(&[(">=", 0.0), ("<=", 0.0), ("!=", 0.0)]));
        check(&[(Greater, f64::INFINITY)], Some(&[(">", f64::INFINITY)]));
        check(&[(Equal, f64::INFINITY)], None);
        check(&[(NotEqual, 0.0), (NotEqual, 1.0)], None);
    }

    #[test]
    fn what_is_so_by_nature_is_told_with_both_its_ends() {
        let mut fact = Fact { subject: Subject::Series("up".to_owned(), Moment::default()), bounds: Bound::between(0.0, 1.0) };
        assert_eq!(fact.contradiction(), None);
        fact.add(&[Bound { operator: Less, number: 5.0, is_given: false }.mirrored()]);
        let expected = Contradiction { whose: "`up`".to_owned(), given: vec![(">=", 0.0), ("<=", 1.0)], asked: vec![(">", 5.0)] };
        assert_eq!(fact.contradiction(), Some(expected));
    }
}
