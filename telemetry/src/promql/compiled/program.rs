//! Plans woven into one graph in which every expression stands once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::calendar::DatePart;
use super::super::group::LabelSubset;
use super::super::plan::{AggregationOperator, BinaryOperator, LabelJoin, LabelReplace, Matching, Moment, Plan};
use super::super::window::WindowFunction;
use crate::labels::{Labels, METRIC_NAME, MatchOp, Matcher};

/// The plans of a rule set, and of whatever else is asked of the same series, as one graph. Cloning it copies it; share it in an [`Arc`].
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub(super) nodes: Vec<Node>,
    pub(super) selections: Vec<Selection>,
    /// The root of each query.
    pub(super) queries: Vec<NodeIndex>,
    /// Nodes by how they print, which tells all about them. The texts are shared with copies of the program.
    pub(super) by_text: BTreeMap<Arc<str>, NodeIndex>,
    pub(super) selections_by_text: BTreeMap<Arc<str>, usize>,
    /// Subqueries with the same steps share a domain: within one, a node has one value at a time.
    pub(super) domains: BTreeMap<Steps, usize>,
    /// Selections by the metric that they name, and those that name none.
    pub(super) by_metric: BTreeMap<Arc<str>, Vec<usize>>,
    pub(super) of_any_metric: Vec<usize>,
}

/// A plan within a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryId(pub(super) usize);

pub(super) type NodeIndex = usize;

/// What a node does, and with which other nodes. Those come before it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: Kind,
    /// Where the label sets of its elements are numbered.
    pub rows: Rows,
}

/// Who numbers the label sets of a node's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Nobody: the node is a number.
    Scalar,
    /// A selection: the labels of the series.
    Selection(usize),
    /// This node's table.
    Node(NodeIndex),
}

/// The series that some matchers choose; selectors of any range and offset share it.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub matchers: Arc<[Matcher]>,
}

/// The steps of a subquery, and the domain around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Steps {
    pub outside: usize,
    pub range_ms: i64,
    pub step_ms: i64,
    pub moment: Moment,
}

/// What has samples over time.
#[derive(Debug, Clone)]
pub(super) enum Samples {
    Range { selection: usize, range_ms: i64, moment: Moment },
    Subquery { inner: NodeIndex, steps: Steps },
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Number(f64),
    Time,
    Instant {
        selection: usize,
        moment: Moment,
    },
    /// The times of the samples that an instant selector finds.
    SampleTime {
        selection: usize,
        moment: Moment,
    },
    /// The time of evaluation for each element.
    EvaluationTime {
        input: NodeIndex,
    },
    Window {
        function: WindowFunction,
        samples: Samples,
        parameter: Option<NodeIndex>,
    },
    Negate {
        input: NodeIndex,
    },
    Map {
        function: fn(f64) -> f64,
        input: NodeIndex,
    },
    Date {
        part: DatePart,
        input: Option<NodeIndex>,
    },
    Round {
        input: NodeIndex,
        nearest: Option<NodeIndex>,
    },
    Clamp {
        input: NodeIndex,
        least: Option<NodeIndex>,
        most: Option<NodeIndex>,
    },
    Vector {
        scalar: NodeIndex,
    },
    Scalar {
        input: NodeIndex,
    },
    Sort {
        input: NodeIndex,
        descending: bool,
    },
    Absent {
        input: NodeIndex,
        labels: Labels,
    },
    AbsentOverTime {
        samples: Samples,
        labels: Labels,
    },
    HistogramQuantile {
        quantile: NodeIndex,
        input: NodeIndex,
    },
    HistogramFraction {
        lower: NodeIndex,
        upper: NodeIndex,
        input: NodeIndex,
    },
    Relabel {
        input: NodeIndex,
        change: Arc<Relabelling>,
    },
    Aggregate {
        input: NodeIndex,
        aggregate: Arc<Aggregate>,
        parameter: Option<NodeIndex>,
    },
    /// Both sides are numbers.
    Calculate {
        operator: BinaryOperator,
        left: NodeIndex,
        right: NodeIndex,
    },
    /// One side is a number.
    WithScalar {
        operator: BinaryOperator,
        yields_bool: bool,
        vector: NodeIndex,
        scalar: NodeIndex,
        vector_is_left: bool,
    },
    Join {
        left: NodeIndex,
        right: NodeIndex,
        join: Arc<Join>,
    },
    Set {
        left: NodeIndex,
        right: NodeIndex,
        operator: BinaryOperator,
        subset: Arc<LabelSubset>,
    },
    /// Left to the plain evaluator: nothing of this is worked out beforehand.
    Plain {
        plan: Arc<Plan>,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Relabelling {
    Replace(LabelReplace),
    Join(LabelJoin),
    /// Takes the name away.
    Nameless,
}

#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub operator: AggregationOperator,
    pub subset: LabelSubset,
}

#[derive(Debug, Clone)]
pub(super) struct Join {
    pub operator: BinaryOperator,
    pub yields_bool: bool,
    pub matching: Matching,
}

impl Program {
    /// A program without a query.
    pub fn new() -> Program {
        Program::default()
    }

    /// How many different operations there are. Of what several plans have in common there is one.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The expressions with a part that is left to the plain evaluator. A plan that is a text or a range vector, or whose parameters are not
    /// bound, is one of them.
    pub fn plain(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Plain { plan } => Some(plan.text()),
            _ => None,
        })
    }

    /// The node of this kind, in this domain; a new one if there is none yet.
    pub(super) fn node(&mut self, domain: usize, kind: Kind) -> NodeIndex {
        let text = format!("{domain} {kind:?}");
        if let Some(index) = self.by_text.get(text.as_str()) {
            return *index;
        }
        let index = self.nodes.len();
        let rows = self.rows(index, &kind);
        self.nodes.push(Node { kind, rows });
        self.by_text.insert(text.into(), index);
        index
    }

    pub(super) fn selection(&mut self, matchers: &Arc<[Matcher]>) -> usize {
        let text = format!("{matchers:?}");
        if let Some(index) = self.selections_by_text.get(text.as_str()) {
            return *index;
        }
        let index = self.selections.len();
        let named = matchers.iter().find(|matcher| *matcher.name == *METRIC_NAME && matches!(matcher.op, MatchOp::Equal));
        match named.filter(|matcher| !matcher.value.is_empty()) {
            Some(matcher) => self.by_metric.entry(matcher.value.clone()).or_default().push(index),
            None => self.of_any_metric.push(index),
        }
        self.selections.push(Selection { matchers: matchers.clone() });
        self.selections_by_text.insert(text.into(), index);
        index
    }

    /// The domain of the inside of subqueries with these steps; 0 is the outermost.
    pub(super) fn domain(&mut self, steps: Steps) -> usize {
        let next = self.domains.len() + 1;
        *self.domains.entry(steps).or_insert(next)
    }

    pub(super) fn is_scalar(&self, index: NodeIndex) -> bool {
        self.nodes[index].rows == Rows::Scalar
    }

    fn rows(&self, own: NodeIndex, kind: &Kind) -> Rows {
        match kind {
            Kind::Number(_) | Kind::Time | Kind::Scalar { .. } | Kind::Calculate { .. } => Rows::Scalar,
            Kind::Instant { selection, .. } | Kind::SampleTime { selection, .. } => Rows::Selection(*selection),
            Kind::Window { samples, .. } => match samples {
                Samples::Range { selection, .. } => Rows::Selection(*selection),
                Samples::Subquery { inner, .. } => self.nodes[*inner].rows,
            },
            Kind::EvaluationTime { input }
            | Kind::Negate { input }
            | Kind::Map { input, .. }
            | Kind::Date { input: Some(input), .. }
            | Kind::Round { input, .. }
            | Kind::Clamp { input, .. }
            | Kind::Sort { input, .. }
            | Kind::WithScalar { vector: input, .. } => self.nodes[*input].rows,
            Kind::Aggregate { input, aggregate, .. } if aggregate.keeps_elements() => self.nodes[*input].rows,
            Kind::Set { left, operator: BinaryOperator::And | BinaryOperator::Unless, .. } => self.nodes[*left].rows,
            Kind::Date { input: None, .. }
            | Kind::Vector { .. }
            | Kind::Absent { .. }
            | Kind::AbsentOverTime { .. }
            | Kind::HistogramQuantile { .. }
            | Kind::HistogramFraction { .. }
            | Kind::Relabel { .. }
            | Kind::Aggregate { .. }
            | Kind::Join { .. }
            | Kind::Set { .. }
            | Kind::Plain { .. } => Rows::Node(own),
        }
    }
}

impl Aggregate {
    /// Whether it chooses among its elements instead of making new ones.
    pub(super) fn keeps_elements(&self) -> bool {
        matches!(self.operator, AggregationOperator::Top | AggregationOperator::Bottom)
    }
}

impl Kind {
    /// Visits the nodes that this one reads.
    pub(super) fn each_input(&self, mut visit: impl FnMut(NodeIndex)) {
        match self {
            Kind::Number(_)
            | Kind::Time
            | Kind::Instant { .. }
            | Kind::SampleTime { .. }
            | Kind::Date { input: None, .. }
            | Kind::Plain { .. } => {}
            Kind::Window { samples, parameter, .. } => {
                parameter.iter().for_each(|parameter| visit(*parameter));
                samples.inner().into_iter().for_each(visit);
            }
            Kind::AbsentOverTime { samples, .. } => samples.inner().into_iter().for_each(visit),
            Kind::EvaluationTime { input }
            | Kind::Negate { input }
            | Kind::Map { input, .. }
            | Kind::Date { input: Some(input), .. }
            | Kind::Vector { scalar: input }
            | Kind::Scalar { input }
            | Kind::Sort { input, .. }
            | Kind::Absent { input, .. }
            | Kind::Relabel { input, .. } => visit(*input),
            Kind::Round { input, nearest } => [Some(*input), *nearest].into_iter().flatten().for_each(visit),
            Kind::Clamp { input, least, most } => [Some(*input), *least, *most].into_iter().flatten().for_each(visit),
            Kind::HistogramQuantile { quantile, input } => [*quantile, *input].into_iter().for_each(visit),
            Kind::HistogramFraction { lower, upper, input } => [*lower, *upper, *input].into_iter().for_each(visit),
            Kind::Aggregate { input, parameter, .. } => [Some(*input), *parameter].into_iter().flatten().for_each(visit),
            Kind::Calculate { left, right, .. }
            | Kind::WithScalar { vector: left, scalar: right, .. }
            | Kind::Join { left, right, .. }
            | Kind::Set { left, right, .. } => [*left, *right].into_iter().for_each(visit),
        }
    }

    /// The selection that the node itself reads.
    pub(super) fn selection(&self) -> Option<usize> {
        match self {
            Kind::Instant { selection, .. } | Kind::SampleTime { selection, .. } => Some(*selection),
            Kind::Window { samples: Samples::Range { selection, .. }, .. }
            | Kind::AbsentOverTime { samples: Samples::Range { selection, .. }, .. } => Some(*selection),
            _ => None,
        }
    }
}

impl Samples {
    fn inner(&self) -> Option<NodeIndex> {
        match self {
            Samples::Range { .. } => None,
            Samples::Subquery { inner, .. } => Some(*inner),
        }
    }
}
