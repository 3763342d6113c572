//! The expressions of a rule set, compiled once for all that evaluate it.

use std::sync::Arc;

use firedrill_telemetry::promql::{Answer, Machine, Plan, PlanError, Program, QueryId};
use firedrill_telemetry::store::Store;

use super::RuleSet;

/// A rule set's expressions in one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    program: Arc<Program>,
    /// By group and rule; `None` for what cannot be evaluated yet.
    queries: Vec<Vec<Option<QueryId>>>,
}

/// Evaluates the rules of a set. A clone goes its own way.
#[derive(Clone, Debug)]
pub(super) struct RuleMachine {
    compiled: Arc<Compiled>,
    /// What evaluates; conditions of policies are added here, so that they share what rules have worked out.
    pub machine: Machine,
}

impl Compiled {
    pub(super) fn of(rules: &RuleSet) -> Self {
        let mut program = Program::new();
        let mut query = |plan: &Result<Plan, PlanError>| plan.as_ref().ok().map(|plan| program.add(plan));
        let queries = rules.groups.iter().map(|group| group.rules.iter().map(|rule| query(&rule.plan)).collect()).collect();
        Self { program: Arc::new(program), queries }
    }
}

impl RuleMachine {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let compiled = Arc::clone(rules.compiled());
        Self { machine: Machine::new(Arc::clone(&compiled.program)), compiled }
    }

    /// The result of a rule at a moment, Unix milliseconds; numbers count from 0.
    pub(super) fn evaluate(&mut self, (group, rule): (usize, usize), at_ms: i64, sources: &[&Store]) -> Result<Answer<'_>, String> {
        let query = self.compiled.queries[group][rule].ok_or("the expression cannot be evaluated")?;
        self.machine.evaluate(query, at_ms, sources).map_err(|error| error.to_string())
    }
}
