//! Weaving a plan into a program.

use std::sync::Arc;

use super::super::evaluator::pinned_labels;
use super::super::plan::{self, Binary, Call, Function, Plan};
use super::program::{Aggregate, Join, Kind, NodeIndex, Program, QueryId, Relabelling, Samples, Steps};
use crate::labels::Labels;

/// Subqueries with more steps than this, those inside each other multiplied, are left to the plain evaluator, which counts what it looks at and
/// refuses what is too much. The longest in rules that people publish has about ten thousand.
const MOST_STEPS_COMPILED: i64 = 100_000;

impl Program {
    /// Adds a plan; one that is there already, or a part of it, is shared.
    pub fn add(&mut self, plan: &Plan) -> QueryId {
        let root = self.weave(plan, &plan.root);
        self.queries.push(root);
        QueryId(self.queries.len() - 1)
    }

    /// The node of a part of a plan.
    pub(super) fn weave(&mut self, plan: &Plan, part: &plan::Node) -> NodeIndex {
        let mut weaving = Weaving { program: self, plan, domain: 0, steps: 1 };
        let has_result = !matches!(part, plan::Node::Text(_) | plan::Node::Range(_) | plan::Node::Subquery(_));
        let bound = plan.selectors.iter().all(|selector| selector.parameters.is_empty());
        if has_result && bound { weaving.node(part) } else { weaving.plain(part) }
    }
}

/// Whether all elements that an operation yields have lost their names.
fn drops_name(kind: &Kind) -> bool {
    match kind {
        Kind::Negate { .. }
        | Kind::Map { .. }
        | Kind::Round { .. }
        | Kind::Clamp { .. }
        | Kind::Date { input: Some(_), .. }
        | Kind::SampleTime { .. }
        | Kind::EvaluationTime { .. }
        | Kind::HistogramQuantile { .. }
        | Kind::HistogramFraction { .. } => true,
        Kind::Window { function, .. } => !function.keeps_name(),
        Kind::WithScalar { operator, yields_bool, .. } => *yields_bool || !operator.is_comparison(),
        Kind::Join { join, .. } => join.matching.drops_name(join.operator, join.yields_bool, false),
        _ => false,
    }
}

struct Weaving<'w> {
    program: &'w mut Program,
    plan: &'w Plan,
    domain: usize,
    /// How often the current node is evaluated for one evaluation of the plan.
    steps: i64,
}

impl Weaving<'_> {
    fn put(&mut self, kind: Kind) -> NodeIndex {
        let drops = self.plan.drops_at_once && drops_name(&kind);
        let node = self.program.node(self.domain, kind);
        if !drops || self.program.is_scalar(node) {
            return node;
        }
        self.program.node(self.domain, Kind::Relabel { input: node, change: Arc::new(Relabelling::Nameless) })
    }

    /// Leaves a part to the plain evaluator.
    fn plain(&mut self, part: &plan::Node) -> NodeIndex {
        let plan = Plan { root: Arc::new(part.clone()), ..self.plan.clone() };
        self.put(Kind::Plain { plan: Arc::new(plan) })
    }

    fn node(&mut self, part: &plan::Node) -> NodeIndex {
        let kind = match part {
            plan::Node::Number(value) => Kind::Number(*value),
            plan::Node::Instant(selector) => {
                let selector = &self.plan.selectors[*selector];
                Kind::Instant { selection: self.program.selection(&selector.matchers), moment: selector.moment }
            }
            plan::Node::Negation(inner) => Kind::Negate { input: self.node(inner) },
            plan::Node::Call(call) => return self.call(call).unwrap_or_else(|| self.plain(part)),
            plan::Node::Aggregation(aggregation) => {
                let parameter = aggregation.parameter.as_ref().map(|parameter| self.node(parameter));
                let input = self.node(&aggregation.inner);
                let aggregate = Aggregate { operator: aggregation.operator.clone(), subset: aggregation.subset.clone() };
                Kind::Aggregate { input, aggregate: Arc::new(aggregate), parameter }
            }
            plan::Node::Binary(binary) => self.binary(binary),
            plan::Node::Text(_) | plan::Node::Range(_) | plan::Node::Subquery(_) => return self.plain(part),
        };
        self.put(kind)
    }

    fn binary(&mut self, binary: &Binary) -> Kind {
        let (left, right) = (self.node(&binary.left), self.node(&binary.right));
        let Binary { operator, yields_bool, matching, .. } = binary;
        let (operator, yields_bool) = (*operator, *yields_bool);
        match (self.program.is_scalar(left), self.program.is_scalar(right)) {
            (true, true) => Kind::Calculate { operator, left, right },
            (true, false) => Kind::WithScalar { operator, yields_bool, vector: right, scalar: left, vector_is_left: false },
            (false, true) => Kind::WithScalar { operator, yields_bool, vector: left, scalar: right, vector_is_left: true },
            (false, false) if operator.is_set() => Kind::Set { left, right, operator, subset: Arc::new(matching.subset.clone()) },
            (false, false) => Kind::Join { left, right, join: Arc::new(Join { operator, yields_bool, matching: matching.clone() }) },
        }
    }

    /// The node of a call; `None` if the plain evaluator must do it.
    fn call(&mut self, call: &Call) -> Option<NodeIndex> {
        let arguments = &call.arguments;
        let kind = match &call.function {
            Function::Time => Kind::Time,
            Function::Pi => Kind::Number(std::f64::consts::PI),
            Function::Scalar => Kind::Scalar { input: self.node(&arguments[0]) },
            Function::Vector => Kind::Vector { scalar: self.node(&arguments[0]) },
            Function::Map(function) => Kind::Map { function: *function, input: self.node(&arguments[0]) },
            Function::Round => {
                let nearest = arguments.get(1).map(|nearest| self.node(nearest));
                Kind::Round { input: self.node(&arguments[0]), nearest }
            }
            Function::Clamp => {
                let [input, least, most] = [0, 1, 2].map(|index| self.node(&arguments[index]));
                Kind::Clamp { input, least: Some(least), most: Some(most) }
            }
            Function::ClampMin => {
                let [input, least] = [0, 1].map(|index| self.node(&arguments[index]));
                Kind::Clamp { input, least: Some(least), most: None }
            }
            Function::ClampMax => {
                let [input, most] = [0, 1].map(|index| self.node(&arguments[index]));
                Kind::Clamp { input, least: None, most: Some(most) }
            }
            Function::Date(part) => Kind::Date { part: *part, input: arguments.first().map(|argument| self.node(argument)) },
            Function::Timestamp => match &arguments[0] {
                plan::Node::Instant(selector) => {
                    let selector = &self.plan.selectors[*selector];
                    Kind::SampleTime { selection: self.program.selection(&selector.matchers), moment: selector.moment }
                }
                other => Kind::EvaluationTime { input: self.node(other) },
            },
            Function::Sort { descending } => Kind::Sort { input: self.node(&arguments[0]), descending: *descending },
            Function::Absent => Kind::Absent { input: self.node(&arguments[0]), labels: self.labels_of(&arguments[0]) },
            Function::AbsentOverTime => {
                Kind::AbsentOverTime { samples: self.samples(&arguments[0])?, labels: self.labels_of(&arguments[0]) }
            }
            Function::Window(function) => {
                let is_range = |node: &&plan::Node| matches!(node, plan::Node::Range(_) | plan::Node::Subquery(_));
                let parameter = arguments.iter().find(|node| !is_range(node)).map(|parameter| self.node(parameter));
                let samples = self.samples(arguments.iter().find(is_range)?)?;
                Kind::Window { function: *function, samples, parameter }
            }
            Function::HistogramQuantile => {
                let [quantile, input] = [0, 1].map(|index| self.node(&arguments[index]));
                Kind::HistogramQuantile { quantile, input }
            }
            Function::HistogramFraction => {
                let [lower, upper, input] = [0, 1, 2].map(|index| self.node(&arguments[index]));
                Kind::HistogramFraction { lower, upper, input }
            }
            Function::LabelReplace(replace) => {
                let change = Arc::new(Relabelling::Replace((**replace).clone()));
                Kind::Relabel { input: self.node(&arguments[0]), change }
            }
            Function::LabelJoin(join) => {
                let change = Arc::new(Relabelling::Join((**join).clone()));
                Kind::Relabel { input: self.node(&arguments[0]), change }
            }
        };
        Some(self.put(kind))
    }

    /// The labels that `absent` gives an element that it makes up.
    fn labels_of(&self, argument: &plan::Node) -> Labels {
        match argument {
            plan::Node::Instant(selector) | plan::Node::Range(selector) => pinned_labels(&self.plan.selectors[*selector].matchers),
            _ => Labels::empty(),
        }
    }

    /// What a window function reads; `None` if the plain evaluator must refuse it.
    fn samples(&mut self, argument: &plan::Node) -> Option<Samples> {
        match argument {
            plan::Node::Range(selector) => {
                let selector = &self.plan.selectors[*selector];
                let range_ms = selector.range_ms.expect("a range selector has a range");
                Some(Samples::Range { selection: self.program.selection(&selector.matchers), range_ms, moment: selector.moment })
            }
            plan::Node::Subquery(subquery) => {
                let plan::Subquery { inner, range_ms, step_ms, moment, .. } = &**subquery;
                let outside_steps = self.steps;
                self.steps = outside_steps.saturating_mul(range_ms / step_ms + 1);
                if self.steps > MOST_STEPS_COMPILED {
                    self.steps = outside_steps;
                    return None;
                }
                let steps = Steps { outside: self.domain, range_ms: *range_ms, step_ms: *step_ms, moment: *moment };
                self.domain = self.program.domain(steps);
                let inner = self.node(inner);
                (self.domain, self.steps) = (steps.outside, outside_steps);
                Some(Samples::Subquery { inner, steps })
            }
            _ => None,
        }
    }
}
