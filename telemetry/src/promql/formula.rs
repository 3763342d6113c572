//! Formulas: expressions that are asked for their values.

use std::collections::{BTreeMap, BTreeSet};

use super::compiled::{Machine, QueryId};
use super::plan::{MissingParameter, Node, Plan, PlanError};
use super::value::{EvalError, Sample, Value};
use crate::labels::Labels;
use crate::store::Store;

/// An expression that yields a number, or numbers with labels.
#[derive(Debug, Clone)]
pub struct Formula {
    plan: Plan,
}

/// A text that is no formula.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    /// The expression itself is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The expression yields a text, or samples over a range.
    #[error("`{0}` is no number at one time: take one of it, as in `max_over_time({0})`")]
    NotANumber(String),
}

impl Formula {
    /// Reads a formula; `$name` stands for a label's value as in [`Plan::parse_with_parameters`].
    ///
    /// # Errors
    /// The expression is wrong, or yields no numbers.
    pub fn parse(text: &str) -> Result<Formula, FormulaError> {
        let plan = Plan::parse_with_parameters(text)?;
        if matches!(&*plan.root, Node::Range(_) | Node::Subquery(_) | Node::Text(_)) {
            return Err(FormulaError::NotANumber(plan.text().to_owned()));
        }
        Ok(Formula { plan })
    }

    /// The expression behind the formula.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The names of the parameters that are not bound yet, without the `$`.
    pub fn parameters(&self) -> BTreeSet<String> {
        self.plan.parameters()
    }

    /// The formula with all parameters given their values.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn bind(&self, values: &BTreeMap<String, String>) -> Result<Formula, MissingParameter> {
        Ok(Formula { plan: self.plan.bind(values)? })
    }

    /// Adds the formula to a machine's program, to be evaluated there.
    pub fn prepare(&self, machine: &mut Machine) -> PreparedFormula {
        PreparedFormula { query: machine.add(&self.plan) }
    }
}

/// A formula in a machine's program.
#[derive(Debug, Clone, Copy)]
pub struct PreparedFormula {
    query: QueryId,
}

impl PreparedFormula {
    /// The elements at a moment, milliseconds since 1970, over the union of the sources; a number without labels is one element without any.
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate(self, machine: &mut Machine, at_ms: i64, sources: &[&Store]) -> Result<Vec<Sample>, EvalError> {
        match machine.evaluate(self.query, at_ms, sources).map(Value::from)? {
            Value::Scalar(value) => Ok(vec![Sample { labels: Labels::default(), value }]),
            Value::Vector(samples) => Ok(samples),
            Value::Text(_) | Value::Matrix(_) => unreachable!("a formula yields numbers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled::Program;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, f64)]) {
        let mut store = Store::new();
        for (pod, value) in [("api-0", 1.0), ("api-1", 0.0)] {
            let id = store.series(&Labels::named("up", &[("pod", pod)]));
            store.append(id, 1_000, value).unwrap();
        }
        let mut machine = Machine::new(Program::new().into());
        let values = BTreeMap::from([("pod".to_owned(), "api-1".to_owned())]);
        let prepared = Formula::parse(text).unwrap().bind(&values).unwrap().prepare(&mut machine);
        let found = prepared.evaluate(&mut machine, 1_000, &[&store]).unwrap();
        let found: Vec<(String, f64)> = found.iter().map(|sample| (sample.labels.to_string(), sample.value)).collect();
        let found: Vec<(&str, f64)> = found.iter().map(|(labels, value)| (labels.as_str(), *value)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_formula_yields_its_elements_and_a_scalar_is_one_without_labels() {
        check("up{pod=$pod} * 2", &[(r#"{pod="api-1"}"#, 0.0)]);
        check("sum(up)", &[("{}", 1.0)]);
        check("3", &[("{}", 3.0)]);
        check("down", &[]);
    }

    #[test]
    fn what_is_no_number_at_one_time_is_refused() {
        for text in ["up[5m]", "'text'", "up[5m:1m]"] {
            assert!(matches!(Formula::parse(text), Err(FormulaError::NotANumber(_))), "{text}");
        }
        assert!(matches!(Formula::parse("up +"), Err(FormulaError::Plan(_))));
        assert_eq!(Formula::parse("up{pod=$pod}").unwrap().parameters().into_iter().collect::<Vec<_>>(), ["pod"]);
    }
}
