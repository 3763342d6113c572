//! The plan of an expression: what the parser's tree is lowered to at once, with every name resolved and every shape checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::calendar::DatePart;
use super::group::LabelSubset;
use super::window::WindowFunction;
use crate::labels::{METRIC_NAME, MatchOp, Matcher};

/// How far an instant selector looks back for a sample, milliseconds; the window is open on its older end.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1_000;

/// An expression ready to be evaluated; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) text: Arc<str>,
    pub(crate) root: Arc<Node>,
    pub(crate) selectors: Vec<Selector>,
    /// Whether names are taken away where an operation drops them; else at the end, which is cheaper where nothing can tell the difference.
    pub(crate) drops_at_once: bool,
}

/// An expression that cannot become a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The text is no PromQL; nothing can be evaluated.
    #[error("{message}")]
    Parse {
        /// What is wrong, in one line.
        message: String,
    },
    /// The text is PromQL that this evaluator does not know yet.
    #[error("{construct} cannot be evaluated yet")]
    Unsupported {
        /// The function, operator or modifier.
        construct: String,
    },
}

/// A parameter that no value was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no value for the parameter ${0}")]
pub struct MissingParameter(pub String);

/// One selector of an expression: the series it reads and how far back.
#[derive(Debug, Clone)]
pub struct Selector {
    pub(crate) matchers: Arc<[Matcher]>,
    pub(crate) parameters: Vec<ParameterMatcher>,
    pub(crate) range_ms: Option<i64>,
    pub(crate) moment: Moment,
    /// What enclosing subqueries and their offsets add to the lookback, milliseconds.
    pub(crate) around_ms: i64,
}

/// A matcher whose value is given later.
#[derive(Debug, Clone)]
pub(crate) struct ParameterMatcher {
    pub label: Arc<str>,
    pub equal: bool,
    pub parameter: Arc<str>,
}

/// When a selector or subquery looks, relative to the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment {
    pub offset_ms: i64,
    pub at: Option<At>,
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// `@ start()`: the first step of the evaluation.
    Start,
    /// `@ end()`: the last step of the evaluation.
    End,
    /// `@ seconds`, here in milliseconds since 1970.
    Time(i64),
}

impl Plan {
    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The selectors in the order in which they are written.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The names of the parameters that are not bound yet, without the `$`.
    pub fn parameters(&self) -> BTreeSet<String> {
        let parameters = self.selectors.iter().flat_map(|selector| &selector.parameters);
        parameters.map(|matcher| matcher.parameter.to_string()).collect()
    }

    /// The plan with all parameters given their values. A value is compared with a label's value as a whole and is never read as PromQL.
    /// Values that no parameter asks for are ignored.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn bind(&self, values: &BTreeMap<String, String>) -> Result<Plan, MissingParameter> {
        let mut plan = self.clone();
        for selector in &mut plan.selectors {
            if selector.parameters.is_empty() {
                continue;
            }
            let mut matchers = selector.matchers.to_vec();
            for matcher in std::mem::take(&mut selector.parameters) {
                let missing = || MissingParameter(matcher.parameter.to_string());
                let value = values.get(&*matcher.parameter).ok_or_else(missing)?.as_str();
                matchers.push(if matcher.equal { Matcher::equal(matcher.label, value) } else { Matcher::not_equal(matcher.label, value) });
            }
            selector.matchers = matchers.into();
        }
        Ok(plan)
    }

    /// The plan with `@ at_ms` on everything that has no `@` yet, so that it yields the same whenever it is evaluated; `None` if a function in it
    /// depends on the time of evaluation all the same.
    pub(crate) fn pinned(&self, at_ms: i64) -> Option<Plan> {
        let mut plan = self.clone();
        // Its start and its end are this moment, also within subqueries.
        plan.selectors.iter_mut().filter(|selector| selector.moment.at.is_some()).for_each(|selector| selector.moment.pin(At::Time(at_ms)));
        pin(Arc::make_mut(&mut plan.root), &mut plan.selectors, At::Time(at_ms)).then_some(plan)
    }

    /// The plan by which names stay until the end, wherever operations drop them: Prometheus with its feature `promql-delayed-name-removal`,
    /// which its own test scripts ask for and most installations leave off.
    #[must_use]
    pub fn with_late_names(self) -> Plan {
        Plan { drops_at_once: false, ..self }
    }

    /// What it yields where that is no instant vector and no number, with its article: a rule with it fails at each evaluation.
    pub(crate) fn yields_no_elements(&self) -> Option<&'static str> {
        match *self.root {
            Node::Range(_) | Node::Subquery(_) => Some("a range vector"),
            Node::Text(_) => Some("a text"),
            _ => None,
        }
    }

    /// The plan with another step for the subqueries that name none, milliseconds, positive: Prometheus takes its evaluation interval.
    pub fn with_subquery_step(&self, step_ms: i64) -> Plan {
        assert!(step_ms > 0, "a step leads on");
        let mut plan = self.clone();
        step(Arc::make_mut(&mut plan.root), step_ms);
        plan
    }

    /// How much history an evaluation can read, milliseconds before the evaluation's time: ranges, offsets, subqueries and the lookback of
    /// instant selectors together. `i64::MAX` if an `@` pins a moment, which no retention can promise.
    pub fn longest_lookback_ms(&self) -> i64 {
        self.selectors.iter().map(Selector::lookback_ms).max().unwrap_or(0)
    }
}

/// Gives the subqueries without a step of their own this one.
fn step(node: &mut Node, step_ms: i64) {
    match node {
        Node::Number(_) | Node::Text(_) | Node::Instant(_) | Node::Range(_) => {}
        Node::Subquery(subquery) => {
            if subquery.step_is_default {
                subquery.step_ms = step_ms;
            }
            step(&mut subquery.inner, step_ms);
        }
        Node::Negation(inner) => step(inner, step_ms),
        Node::Call(call) => call.arguments.iter_mut().for_each(|argument| step(argument, step_ms)),
        Node::Aggregation(aggregation) => {
            aggregation.parameter.iter_mut().for_each(|parameter| step(parameter, step_ms));
            step(&mut aggregation.inner, step_ms);
        }
        Node::Binary(binary) => {
            step(&mut binary.left, step_ms);
            step(&mut binary.right, step_ms);
        }
    }
}

/// Pins a node and everything below it, but not what a subquery evaluates at times of its own. False if it cannot be pinned.
fn pin(node: &mut Node, selectors: &mut [Selector], at: At) -> bool {
    match node {
        Node::Number(_) | Node::Text(_) => true,
        Node::Instant(selector) | Node::Range(selector) => {
            selectors[*selector].moment.pin(at);
            true
        }
        Node::Subquery(subquery) => {
            subquery.moment.pin(at);
            true
        }
        Node::Negation(inner) => pin(inner, selectors, at),
        Node::Call(call) => {
            let moves = match call.function {
                Function::Time | Function::Timestamp | Function::Date(_) => true,
                Function::Window(function) => function == WindowFunction::PredictLinear,
                _ => false,
            };
            call.arguments.iter_mut().fold(!moves, |pinned, argument| pin(argument, selectors, at) && pinned)
        }
        Node::Aggregation(aggregation) => {
            let parameter = aggregation.parameter.as_mut().is_none_or(|parameter| pin(parameter, selectors, at));
            pin(&mut aggregation.inner, selectors, at) && parameter
        }
        Node::Binary(binary) => {
            let left = pin(&mut binary.left, selectors, at);
            pin(&mut binary.right, selectors, at) && left
        }
    }
}

impl Moment {
    fn pin(&mut self, at: At) {
        if !matches!(self.at, Some(At::Time(_))) {
            self.at = Some(at);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selector {
    /// The metric's name, if the selector pins it with `=`.
    pub fn metric(&self) -> Option<&str> {
        let pins = |matcher: &&Matcher| *matcher.name == *METRIC_NAME && matches!(matcher.op, MatchOp::Equal);
        self.matchers.iter().find(pins).map(|matcher| &*matcher.value)
    }

    /// All matchers, that on the metric's name among them; those that wait for a parameter are not in it.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// The range of a range selector, milliseconds; `None` for an instant selector.
    pub fn range_ms(&self) -> Option<i64> {
        self.range_ms
    }

    /// The offset into the past, milliseconds; negative looks ahead.
    pub fn offset_ms(&self) -> i64 {
        self.moment.offset_ms
    }

    /// The `@` modifier, if there is one.
    pub fn at(&self) -> Option<At> {
        self.moment.at
    }

    /// How far before the evaluation's time this selector can read, milliseconds; `i64::MAX` with an `@`.
    pub fn lookback_ms(&self) -> i64 {
        if self.moment.at.is_some() {
            return i64::MAX;
        }
        let own = self.range_ms.unwrap_or(LOOKBACK_MS).saturating_add(self.moment.offset_ms);
        own.saturating_add(self.around_ms).max(0)
    }
}

/// One operation. Boxes keep the leaves small, of which there are most.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Number(f64),
    Text(Arc<str>),
    /// An instant selector, by its number in the plan.
    Instant(usize),
    /// A range selector, by its number in the plan.
    Range(usize),
    Subquery(Box<Subquery>),
    Negation(Box<Node>),
    Call(Box<Call>),
    Aggregation(Box<Aggregation>),
    Binary(Box<Binary>),
}

#[derive(Debug, Clone)]
pub(crate) struct Subquery {
    pub inner: Node,
    pub range_ms: i64,
    /// Steps stand at multiples of this since 1970, whatever the evaluation's time.
    pub step_ms: i64,
    /// The text names no step, so that it is whatever the evaluation interval is.
    pub step_is_default: bool,
    pub moment: Moment,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub function: Function,
    pub arguments: Vec<Node>,
}

/// The functions by the shape of their evaluation.
#[derive(Debug, Clone)]
pub(crate) enum Function {
    Time,
    Pi,
    Vector,
    Scalar,
    /// One number to one number, dropping the name.
    Map(fn(f64) -> f64),
    Round,
    Clamp,
    ClampMin,
    ClampMax,
    Date(DatePart),
    Timestamp,
    Sort {
        descending: bool,
    },
    Absent,
    AbsentOverTime,
    /// A range vector as the last argument but for `predict_linear`, where it is the first.
    Window(WindowFunction),
    HistogramQuantile,
    HistogramFraction,
    LabelReplace(Box<LabelReplace>),
    LabelJoin(Box<LabelJoin>),
}

#[derive(Debug, Clone)]
pub(crate) struct LabelReplace {
    pub destination: Arc<str>,
    pub replacement: Arc<str>,
    pub source: Arc<str>,
    pub pattern: Regex,
}

#[derive(Debug, Clone)]
pub(crate) struct LabelJoin {
    pub destination: Arc<str>,
    pub separator: Arc<str>,
    pub sources: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Aggregation {
    pub operator: AggregationOperator,
    pub subset: LabelSubset,
    pub parameter: Option<Node>,
    pub inner: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AggregationOperator {
    Sum,
    Average,
    Minimum,
    Maximum,
    Count,
    Group,
    Deviation,
    Variance,
    Top,
    Bottom,
    Quantile,
    /// Counts equal values, each named by this label.
    CountValues(Arc<str>),
}

#[derive(Debug, Clone)]
pub(crate) struct Binary {
    pub operator: BinaryOperator,
    /// `bool`: a comparison yields 1 or 0 instead of filtering.
    pub yields_bool: bool,
    pub left: Node,
    pub right: Node,
    pub matching: Matching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    And,
    Or,
    Unless,
}

impl BinaryOperator {
    pub(crate) fn is_comparison(self) -> bool {
        use BinaryOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Greater | Less | GreaterOrEqual | LessOrEqual)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Unless)
    }

    /// The operator as it is written, for comparisons and set operators.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            BinaryOperator::Add => "+",
            BinaryOperator::Subtract => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::Power => "^",
            BinaryOperator::Atan2 => "atan2",
            BinaryOperator::Equal => "==",
            BinaryOperator::NotEqual => "!=",
            BinaryOperator::Greater => ">",
            BinaryOperator::Less => "<",
            BinaryOperator::GreaterOrEqual => ">=",
            BinaryOperator::LessOrEqual => "<=",
            BinaryOperator::And => "and",
            BinaryOperator::Or => "or",
            BinaryOperator::Unless => "unless",
        }
    }
}

/// Which elements of two vectors belong together.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    pub subset: LabelSubset,
    pub many: Many,
    /// Labels that the many side takes over from the one side.
    pub taken: Vec<Arc<str>>,
}

/// Which side may have several elements for one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Many {
    Neither,
    Left,
    Right,
}
