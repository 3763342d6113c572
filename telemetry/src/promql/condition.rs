//! Conditions: expressions that are true, false or unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::binary::Pair;
use super::evaluator::{Evaluator, Span};
use super::plan::{Binary, Call, Function, MissingParameter, Node, Plan, PlanError};
use super::value::{EvalError, Value, written};
use crate::labels::Labels;
use crate::store::Store;

/// How many elements a judgement's figures name; the rest is counted.
const SHOWN: usize = 4;

/// An expression that can be judged.
///
/// - Its root is a comparison: true if it holds for every element, false if it fails for one, unknown if there is no element, or if a NaN stands
///   on either side of one and none fails. `bool` makes no difference.
/// - Its root is `and`, `or`, `unless`, `absent()` or `absent_over_time()`: true if there is an element, false if there is none; never unknown.
///
/// Anything else is refused: firedrill would have to guess what a number means.
#[derive(Debug, Clone)]
pub struct Condition {
    plan: Plan,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The expression itself is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The expression is a value, not a question.
    #[error("`{0}` is a value, not a condition: compare it, as in `{0} > 0`, or use and, or, unless or absent()")]
    NotACondition(String),
}

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

/// A condition's verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the condition holds.
    pub verdict: Verdict3,
    /// The figures that were compared, as `{service="a"} 0.2 < 0.1`; the first few elements if there are many, `no element` if there is none.
    pub figures: String,
}

impl Condition {
    /// Reads a condition; `$name` stands for a label's value as in [`Plan::parse_with_parameters`].
    ///
    /// # Errors
    /// The expression is wrong, or is no condition.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let plan = Plan::parse_with_parameters(text)?;
        if comparison(&plan).is_none() && !asks_for_presence(&plan.root) {
            return Err(ConditionError::NotACondition(plan.text().to_owned()));
        }
        Ok(Condition { plan })
    }

    /// The expression behind the condition.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The names of the parameters that are not bound yet, without the `$`.
    pub fn parameters(&self) -> BTreeSet<String> {
        self.plan.parameters()
    }

    /// The condition with all parameters given their values.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn bind(&self, values: &BTreeMap<String, String>) -> Result<Condition, MissingParameter> {
        Ok(Condition { plan: self.plan.bind(values)? })
    }

    /// Judges at a moment, milliseconds since 1970, over the union of the sources.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is judged then.
    pub fn judge(&self, evaluator: &mut Evaluator, at_ms: i64, sources: &[&Store]) -> Result<Judgement, EvalError> {
        let Some(comparison) = comparison(&self.plan) else {
            return self.presence(evaluator, at_ms, sources);
        };
        let scope = evaluator.scope(&self.plan, Span { start_ms: at_ms, end_ms: at_ms }, sources)?;
        let pairs = comparison.pairs(scope.node(&comparison.left, at_ms)?, scope.node(&comparison.right, at_ms)?)?;
        let holds = |pair: &Pair| comparison.operator.holds(pair.left, pair.right).expect("the root is a comparison");
        let is_known = |pair: &Pair| !pair.left.is_nan() && !pair.right.is_nan();
        let verdict = if pairs.iter().any(|pair| is_known(pair) && !holds(pair)) {
            Verdict3::False
        } else if pairs.is_empty() || !pairs.iter().all(is_known) {
            Verdict3::Unknown
        } else {
            Verdict3::True
        };
        let symbol = comparison.operator.symbol();
        let figures = pairs.iter().map(|pair| {
            let compared = format!("{} {symbol} {}", written(pair.left), written(pair.right));
            labelled(&pair.labels, &compared)
        });
        Ok(Judgement { verdict, figures: listed(figures) })
    }

    fn presence(&self, evaluator: &mut Evaluator, at_ms: i64, sources: &[&Store]) -> Result<Judgement, EvalError> {
        let Value::Vector(samples) = evaluator.evaluate(&self.plan, at_ms, sources)? else {
            unreachable!("set operators and absent() yield vectors")
        };
        let verdict = if samples.is_empty() { Verdict3::False } else { Verdict3::True };
        let figures = listed(samples.iter().map(|sample| labelled(&sample.labels, &written(sample.value))));
        Ok(Judgement { verdict, figures })
    }
}

/// The comparison at the root, if there is one.
fn comparison(plan: &Plan) -> Option<&Binary> {
    match &*plan.root {
        Node::Binary(binary) if binary.operator.is_comparison() => Some(binary),
        _ => None,
    }
}

fn asks_for_presence(root: &Node) -> bool {
    match root {
        Node::Binary(binary) => binary.operator.is_set(),
        Node::Call(call) => matches!(**call, Call { function: Function::Absent | Function::AbsentOverTime, .. }),
        _ => false,
    }
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
