//! What an expression can yield, told from the series that there can be: never a sample, sometimes one, or always one.
//!
//! Sound and not complete: "never" and "always" are certain whatever the values of the series are; "sometimes" is everything else. Emptiness goes
//! through operators as Prometheus has it: the count of nothing is nothing, `absent` of nothing is there, the scalar of nothing is NaN.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{Bound, Contradiction, Fact, Subject};
use super::condition::Condition;
use super::group::LabelSubset;
use super::histogram::BOUND;
use super::plan::{Aggregation, AggregationOperator, Binary, BinaryOperator, Call, Function, Many, Node, Plan, Selector};
use super::truth::lets_through;
use super::window::WindowFunction;
use crate::labels::{METRIC_NAME, MatchOp, Matcher};
use crate::universe::{Held, Missing, Shape, Universe};

/// Beyond so many pairs of shapes a join is taken to find partners for everything.
const MOST_PAIRS: usize = 250_000;

/// How a value is called of which nothing else is known.
const ONE_VALUE: &str = "one value";

/// Whether an expression yields samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It can never yield one.
    Never,
    /// It may yield some at times.
    Sometimes,
    /// It yields at least one at every moment.
    Always,
}

/// What an expression can yield.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// Whether it yields samples.
    pub presence: Presence,
    /// What their label sets can be; empty if there is never a sample.
    pub shapes: Vec<Shape>,
    /// Why there is never a sample; or, where there always is one, whose absence is told. Else the parts that find nothing and do not matter.
    pub causes: Vec<Cause>,
}

/// Why a part of an expression yields nothing.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Cause {
    /// A selector finds nothing.
    Missing(Missing),
    /// No element of one side belongs to one of the other.
    NoPartner {
        /// The operator as it is written.
        operator: &'static str,
        /// A label that keeps them apart, with what it is on the left and on the right; `None` if only several together do.
        label: Option<(String, String, String)>,
    },
    /// A comparison of two numbers that does not hold.
    Constant {
        /// The number on the left.
        left: f64,
        /// The operator as it is written.
        operator: &'static str,
        /// The number on the right.
        right: f64,
    },
    /// A value is asked to be as no number is.
    Contradiction(Contradiction),
    /// A value is asked to be as every number is that it can have.
    Certain {
        /// Whose value, in words: a metric, or what is done to it.
        whose: String,
        /// What is so whatever is asked, as comparisons with their numbers: `>= 0`.
        known: Vec<(&'static str, f64)>,
        /// What is asked for, likewise.
        asked: (&'static str, f64),
    },
    /// A range never holds the two samples that its function needs.
    OneSample {
        /// The function.
        function: &'static str,
        /// The range, milliseconds.
        range_ms: i64,
        /// From one sample to the next, milliseconds.
        every_ms: i64,
    },
    /// Absence is asked for of what is always there.
    AlwaysThere,
    /// `unless` has the same on both sides.
    Same,
    /// A histogram is asked for of elements without the label of its buckets.
    NoBuckets,
    /// The expression is a range vector or a text, of which a rule makes nothing: each evaluation fails.
    NoElements {
        /// What it is.
        found: &'static str,
    },
}

impl Plan {
    /// What the expression can yield where there are these series. Parameters stand for any text but the empty one.
    #[must_use]
    pub fn prospect(&self, universe: &Universe) -> Prospect {
        if let Some(found) = self.yields_no_elements() {
            return Prospect { presence: Presence::Never, shapes: Vec::new(), causes: vec![Cause::NoElements { found }] };
        }
        let analysis = Analysis { plan: self, universe };
        let outlook = analysis.node(&self.root);
        let mut causes = outlook.causes;
        if outlook.presence == Presence::Sometimes {
            causes = self.selectors.iter().filter_map(|selector| find(selector, universe).err()).map(Cause::Missing).collect();
        }
        causes.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
        causes.dedup();
        Prospect { presence: outlook.presence, shapes: outlook.shapes, causes }
    }
}

impl Condition {
    /// As [`Plan::prospect`], of what is judged: a comparison at the root is looked at for elements to compare, whether it holds for them or not.
    #[must_use]
    pub fn prospect(&self, universe: &Universe) -> Prospect {
        let mut plan = self.plan().clone();
        if let Node::Binary(binary) = Arc::make_mut(&mut plan.root) {
            binary.yields_bool |= binary.operator.is_comparison();
        }
        plan.prospect(universe)
    }
}

impl Condition {
    /// As [`Condition::prospect`], of the elements for which a comparison at the root holds, or of those for which it fails; `None` if the root is no
    /// comparison, or what it compares are two numbers. Where it can fail for none, its cause is [`Cause::Certain`]. For what elements one fails that
    /// compares what another lets through is not known, for the other may fail: `None`.
    #[must_use]
    pub fn prospect_of(&self, holds: bool, universe: &Universe) -> Option<Prospect> {
        let mut plan = self.plan().clone();
        let Node::Binary(binary) = Arc::make_mut(&mut plan.root) else { return None };
        if !binary.operator.is_comparison() || plan.selectors.is_empty() || !holds && lets_through(&binary.left) {
            return None;
        }
        binary.yields_bool = false;
        if !holds {
            binary.operator = binary.operator.opposite()?;
        }
        let mut prospect = plan.prospect(universe);
        if !holds {
            prospect.causes.iter_mut().for_each(Cause::turn);
        }
        Some(prospect)
    }
}

impl Cause {
    /// That a value cannot be as the opposite of a comparison asks says that it is always as the comparison itself does.
    fn turn(&mut self) {
        let Self::Contradiction(found) = self else { return };
        // The comparison at the root is the last that is asked for.
        let Some((symbol, number)) = found.asked.pop() else { return };
        let Some(opposite) = BinaryOperator::opposite_of(symbol) else { return };
        let known = [std::mem::take(&mut found.given), std::mem::take(&mut found.asked)].concat();
        *self = Self::Certain { whose: std::mem::take(&mut found.whose), known, asked: (opposite.symbol(), number) };
    }
}

impl BinaryOperator {
    /// The comparison that holds where this one does not, but of what is no number; `None` of what is no comparison.
    const fn opposite(self) -> Option<Self> {
        Some(match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            _ => return None,
        })
    }

    /// The same of a comparison by its sign.
    fn opposite_of(symbol: &str) -> Option<Self> {
        let all = [Self::Equal, Self::NotEqual, Self::Greater, Self::GreaterOrEqual, Self::Less, Self::LessOrEqual];
        all.into_iter().find(|own| own.symbol() == symbol)?.opposite()
    }
}

/// The shapes that a selector can find. A parameter asks for a label that is there.
fn find(selector: &Selector, universe: &Universe) -> Result<Vec<Shape>, Missing> {
    let present: Vec<&str> = selector.parameters.iter().filter(|matcher| matcher.equal).map(|matcher| &*matcher.label).collect();
    universe.find(&selector.matchers, &present)
}

/// What a part of the expression can yield.
#[derive(Debug, Clone)]
struct Outlook {
    presence: Presence,
    shapes: Vec<Shape>,
    causes: Vec<Cause>,
    /// The value of every element, if it is one and known.
    value: Option<f64>,
    /// What is known of the values of every element: its own, and those of other series with its labels.
    facts: Facts,
    is_scalar: bool,
}

/// What is known of values. Nothing in it contradicts itself.
#[derive(Debug, Clone, Default)]
struct Facts {
    /// Of the element's own value.
    own: Option<Fact>,
    /// Of series with the element's labels, whose values are not the element's.
    others: Vec<Fact>,
}

impl Facts {
    /// Known of the element itself alone.
    fn of(words: &str, bounds: Vec<Bound>) -> Self {
        Self { own: Some(Fact { subject: Subject::Element(words.to_owned()), bounds }), others: Vec::new() }
    }

    /// What stays known of values that were of these elements at some time, or of one of them.
    fn of_one(self) -> Self {
        let own = self.own.map(|own| match own.subject {
            Subject::Series(metric, _) => Fact { subject: Subject::Element(format!("`{metric}`")), ..own },
            Subject::Expression { words, .. } => Fact { subject: Subject::Element(words), ..own },
            Subject::Element(_) => own,
        });
        Self { own, others: Vec::new() }
    }

    /// The same, known to be of this expression.
    fn of_expression(self, key: String) -> Self {
        let (words, bounds) = match self.own {
            Some(Fact { subject: Subject::Element(words), bounds }) => (words, bounds),
            Some(_) => return self,
            None => (ONE_VALUE.to_owned(), Vec::new()),
        };
        Self { own: Some(Fact { subject: Subject::Expression { key, words }, bounds }), ..self }
    }

    /// The same where the element's own value satisfies a comparison too.
    ///
    /// # Errors
    /// No value does.
    fn asked(mut self, bound: Bound) -> Result<Self, Contradiction> {
        let own = self.own.get_or_insert_with(|| Fact { subject: Subject::Element(ONE_VALUE.to_owned()), bounds: Vec::new() });
        own.add(&[bound]);
        own.contradiction().map_or(Ok(self), Err)
    }

    /// The same of elements for whose labels something else is known too.
    ///
    /// # Errors
    /// Both cannot be.
    fn joined(mut self, more: Self) -> Result<Self, Contradiction> {
        for fact in more.own.into_iter().chain(more.others).filter(|fact| !matches!(fact.subject, Subject::Element(_))) {
            match self.own.iter_mut().chain(&mut self.others).find(|known| known.subject == fact.subject) {
                Some(known) => {
                    known.add(&fact.bounds);
                    if let Some(found) = known.contradiction() {
                        return Err(found);
                    }
                }
                None => self.others.push(fact),
            }
        }
        Ok(self)
    }
}

impl Outlook {
    fn never(causes: Vec<Cause>) -> Self {
        Self { presence: Presence::Never, shapes: Vec::new(), causes, value: None, facts: Facts::default(), is_scalar: false }
    }

    fn sometimes(shapes: Vec<Shape>) -> Self {
        Self { presence: Presence::Sometimes, shapes, causes: Vec::new(), value: None, facts: Facts::default(), is_scalar: false }
    }

    fn scalar(value: Option<f64>) -> Self {
        Self {
            presence: Presence::Always,
            shapes: vec![Shape::default()],
            causes: Vec::new(),
            value,
            facts: Facts::default(),
            is_scalar: true,
        }
    }

    fn is_never(&self) -> bool {
        self.presence == Presence::Never
    }

    /// The same with every shape changed, so that it is not known whose values they are.
    fn reshaped(mut self, change: impl Fn(&Shape) -> Shape) -> Self {
        let mut shapes: Vec<Shape> = self.shapes.iter().map(change).collect();
        shapes.sort_unstable();
        shapes.dedup();
        self.shapes = shapes;
        self.facts = Facts::default();
        self
    }

    fn with_facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// The same with values that are not known, and names that may have gone.
    fn changed(self) -> Self {
        Self { value: None, ..self.reshaped(nameless) }
    }

    /// The same, where an element may be left out.
    fn thinned(mut self) -> Self {
        if self.presence == Presence::Always {
            self.presence = Presence::Sometimes;
            self.causes.clear();
        }
        self
    }
}

/// Names are dropped late and only at times, so a dropped one may be anything.
fn nameless(shape: &Shape) -> Shape {
    with(shape, METRIC_NAME, Held::Anything)
}

fn with(shape: &Shape, label: &str, held: Held) -> Shape {
    let mut shape = shape.clone();
    shape.put(label, held);
    shape
}

struct Analysis<'a> {
    plan: &'a Plan,
    universe: &'a Universe,
}

impl Analysis<'_> {
    fn node(&self, node: &Node) -> Outlook {
        match node {
            Node::Number(value) => Outlook::scalar(Some(*value)),
            Node::Text(_) => Outlook::scalar(None),
            Node::Instant(selector) | Node::Range(selector) => match find(&self.plan.selectors[*selector], self.universe) {
                Ok(shapes) => Outlook::sometimes(shapes).with_facts(self.facts(&self.plan.selectors[*selector])),
                Err(missing) => Outlook::never(vec![Cause::Missing(missing)]),
            },
            // No step may lie within the range.
            Node::Subquery(subquery) => self.node(&subquery.inner).thinned(),
            Node::Negation(inner) => {
                let inner = self.node(inner);
                let value = inner.value.map(|value| -value);
                if inner.is_scalar { Outlook { value, ..inner } } else { Outlook { value, ..inner.changed() } }
            }
            Node::Call(call) => self.call(call),
            Node::Aggregation(aggregation) => {
                let outlook = aggregated(aggregation, self.node(&aggregation.inner));
                // Elements that differ in their names alone are matched as if they were one.
                use AggregationOperator::{Bottom, CountValues, Top};
                let keeps_name = aggregation.subset.contains(METRIC_NAME) || matches!(aggregation.operator, Top | Bottom | CountValues(_));
                match self.key(node).filter(|_| !keeps_name && outlook.presence == Presence::Sometimes) {
                    Some(key) => Outlook { facts: outlook.facts.clone().of_expression(key), ..outlook },
                    None => outlook,
                }
            }
            Node::Binary(binary) => self.binary(binary),
        }
    }

    /// A text that is the same for what yields the same at the same moment; `None` where a parameter is not known yet.
    fn key(&self, node: &Node) -> Option<String> {
        let all = |nodes: &[&Node]| Some(nodes.iter().map(|node| self.key(node)).collect::<Option<Vec<_>>>()?.join(";"));
        Some(match node {
            Node::Number(value) => format!("{:x}", value.to_bits()),
            Node::Text(text) => format!("{text:?}"),
            Node::Instant(selector) | Node::Range(selector) => {
                let selector = &self.plan.selectors[*selector];
                let mut matchers: Vec<String> = selector.matchers.iter().map(Matcher::to_string).collect();
                matchers.sort_unstable();
                let key = format!("{matchers:?} {:?} {:?}", selector.range_ms, selector.moment);
                selector.parameters.is_empty().then_some(key)?
            }
            Node::Subquery(subquery) => {
                let inner = self.key(&subquery.inner)?;
                format!("({inner})[{}:{}]{:?}", subquery.range_ms, subquery.step_ms, subquery.moment)
            }
            Node::Negation(inner) => format!("-({})", self.key(inner)?),
            Node::Call(call) => format!("{:?}({})", call.function, all(&call.arguments.iter().collect::<Vec<_>>())?),
            Node::Aggregation(aggregation) => {
                let inner: Vec<&Node> = aggregation.parameter.iter().chain([&aggregation.inner]).collect();
                let mut names: Vec<&str> = aggregation.subset.names().iter().map(|name| &**name).collect();
                names.sort_unstable();
                format!("{:?} {} {names:?}({})", aggregation.operator, aggregation.subset.is_include(), all(&inner)?)
            }
            Node::Binary(binary) => {
                let how = format!("{:?} {} {:?}", binary.operator, binary.yields_bool, binary.matching);
                format!("{how}({})", all(&[&binary.left, &binary.right])?)
            }
        })
    }

    /// Why a function of two samples never sees two.
    fn one_sample(&self, function: WindowFunction, range: &Node) -> Option<Cause> {
        let Node::Range(selector) = range else { return None };
        let selector = &self.plan.selectors[*selector];
        let (range_ms, function) = (selector.range_ms?, function.of_two_samples()?);
        let every_ms = self.universe.interval_ms(selector.metric()?)?;
        // A range is open on its left.
        (range_ms <= every_ms).then_some(Cause::OneSample { function, range_ms, every_ms })
    }

    fn call(&self, call: &Call) -> Outlook {
        let argument = |index: usize| self.node(&call.arguments[index]);
        match &call.function {
            Function::Time | Function::Pi => Outlook::scalar(None),
            Function::Scalar => {
                let inner = argument(0);
                let value = inner.is_never().then_some(f64::NAN);
                Outlook { causes: inner.causes, ..Outlook::scalar(value) }
            }
            Function::Vector => Outlook { is_scalar: false, ..argument(0) },
            Function::Date(_) if call.arguments.is_empty() => Outlook { is_scalar: false, ..Outlook::scalar(None) },
            Function::Map(_) | Function::Round | Function::Date(_) | Function::Timestamp => argument(0).changed(),
            // Bounds that cross leave nothing.
            Function::Clamp | Function::ClampMin | Function::ClampMax => argument(0).changed().thinned(),
            Function::Sort { .. } => argument(0),
            Function::Absent | Function::AbsentOverTime => self.absent(&call.arguments[0]),
            Function::Window(function) => {
                let ranges = call.arguments.iter().find(|node| matches!(node, Node::Range(_) | Node::Subquery(_)));
                if let Some(cause) = ranges.and_then(|range| self.one_sample(*function, range)) {
                    return Outlook::never(vec![cause]);
                }
                let Some(range) = ranges.map(|range| self.node(range)) else { return anything() };
                let facts = match function {
                    WindowFunction::Minimum | WindowFunction::Maximum | WindowFunction::First | WindowFunction::Last => {
                        range.facts.clone().of_one()
                    }
                    WindowFunction::Count => Facts::of("a count", counted()),
                    _ => Facts::default(),
                };
                let kept = if function.keeps_name() { Outlook { value: None, ..range } } else { range.changed() };
                kept.thinned().with_facts(facts)
            }
            Function::HistogramQuantile => buckets(argument(1)),
            Function::HistogramFraction => buckets(argument(2)),
            Function::LabelReplace(replace) => written(argument(0), &replace.destination),
            Function::LabelJoin(join) => written(argument(0), &join.destination),
        }
    }

    fn absent(&self, argument: &Node) -> Outlook {
        let inner = self.node(argument);
        if inner.presence == Presence::Always {
            return Outlook::never(vec![Cause::AlwaysThere]);
        }
        let shape = match argument {
            Node::Instant(selector) | Node::Range(selector) => pinned(&self.plan.selectors[*selector]),
            _ => Shape::default(),
        };
        let presence = if inner.is_never() { Presence::Always } else { Presence::Sometimes };
        Outlook { presence, shapes: vec![shape], causes: inner.causes, value: Some(1.0), facts: Facts::default(), is_scalar: false }
    }

    /// What is known of the values that a selector finds.
    fn facts(&self, selector: &Selector) -> Facts {
        let Some(metric) = selector.metric() else { return Facts::default() };
        let bounds = self.universe.range(metric).map(|(least, most)| Bound::between(least, most)).unwrap_or_default();
        Facts { own: Some(Fact { subject: Subject::Series(metric.to_owned(), selector.moment), bounds }), others: Vec::new() }
    }

    fn binary(&self, binary: &Binary) -> Outlook {
        let (left, right) = (self.node(&binary.left), self.node(&binary.right));
        match binary.operator {
            BinaryOperator::Or => either(left, right),
            BinaryOperator::Unless if right.is_never() => left,
            BinaryOperator::Unless if self.same(&binary.left, &binary.right) && !left.is_never() => Outlook::never(vec![Cause::Same]),
            BinaryOperator::Unless => left.thinned(),
            _ if left.is_scalar && right.is_scalar => scalars(binary, &left, &right),
            _ if left.is_never() || right.is_never() => {
                let sides = [left, right].into_iter().filter(Outlook::is_never);
                Outlook::never(sides.flat_map(|side| side.causes).collect())
            }
            _ if left.is_scalar || right.is_scalar => compared(binary, left, right),
            _ => joined(binary, left, right),
        }
    }

    /// Whether two operands are one selector, written twice.
    fn same(&self, left: &Node, right: &Node) -> bool {
        let (Node::Instant(left), Node::Instant(right)) = (left, right) else { return false };
        let [left, right] = [left, right].map(|index| &self.plan.selectors[*index]);
        left.matchers == right.matchers && left.moment == right.moment && left.parameters.is_empty() && right.parameters.is_empty()
    }
}

/// Nothing is not counted as 0: it has no count.
fn counted() -> Vec<Bound> {
    Bound::between(1.0, f64::INFINITY)
}

fn anything() -> Outlook {
    Outlook::sometimes(vec![Shape::anything()])
}

/// The labels that `absent` takes over: those that exactly one matcher pins.
fn pinned(selector: &Selector) -> Shape {
    let mut shape = Shape::default();
    let times = |label: &str| selector.matchers.iter().filter(|matcher| *matcher.name == *label).count();
    let pins = |matcher: &&Matcher| *matcher.name != *METRIC_NAME && matches!(matcher.op, MatchOp::Equal) && times(&matcher.name) == 1;
    for matcher in selector.matchers.iter().filter(pins) {
        shape.put(matcher.name.clone(), Held::Exactly(matcher.value.clone()));
    }
    for parameter in selector.parameters.iter().filter(|parameter| parameter.equal) {
        shape.put(parameter.label.clone(), Held::Anything);
    }
    shape
}

/// The quantiles of histograms: one element for the buckets that differ in their bound only.
fn buckets(inner: Outlook) -> Outlook {
    if inner.is_never() {
        return inner;
    }
    let shapes: Vec<Shape> =
        inner.shapes.iter().filter(|shape| shape.held(BOUND).is_some()).map(|shape| shape.filtered(|name| name != BOUND)).collect();
    if shapes.is_empty() { Outlook::never(vec![Cause::NoBuckets]) } else { Outlook::sometimes(shapes).changed() }
}

/// After `label_replace` or `label_join`: the destination holds anything.
fn written(inner: Outlook, destination: &str) -> Outlook {
    inner.reshaped(|shape| with(shape, destination, Held::Anything))
}

fn aggregated(aggregation: &Aggregation, inner: Outlook) -> Outlook {
    if inner.is_never() {
        return inner;
    }
    let subset = &aggregation.subset;
    let known = match aggregation.operator {
        AggregationOperator::Group => Some(1.0),
        _ => None,
    };
    match &aggregation.operator {
        // They keep elements whole; asked for none they leave none.
        AggregationOperator::Top | AggregationOperator::Bottom => inner.thinned(),
        AggregationOperator::CountValues(label) => {
            let counted = written(inner, label).reshaped(|shape| shape.filtered(|name| subset.contains(name)));
            Outlook { value: None, facts: Facts::of("a count", self::counted()), is_scalar: false, ..counted }
        }
        AggregationOperator::Sum
        | AggregationOperator::Average
        | AggregationOperator::Minimum
        | AggregationOperator::Maximum
        | AggregationOperator::Count
        | AggregationOperator::Group
        | AggregationOperator::Deviation
        | AggregationOperator::Variance
        | AggregationOperator::Quantile => {
            let facts = match &aggregation.operator {
                AggregationOperator::Minimum | AggregationOperator::Maximum => inner.facts.clone().of_one(),
                AggregationOperator::Count => Facts::of("a count", counted()),
                _ => Facts::default(),
            };
            let grouped = inner.reshaped(|shape| shape.filtered(|name| subset.contains(name)));
            Outlook { value: known, facts, is_scalar: false, ..grouped }
        }
    }
}

/// `or`: what either side has.
fn either(left: Outlook, right: Outlook) -> Outlook {
    if left.is_never() && right.is_never() {
        return Outlook::never([left.causes, right.causes].concat());
    }
    if left.is_never() {
        return right;
    }
    if right.is_never() {
        return left;
    }
    let presence = left.presence.max(right.presence);
    let always = [&left, &right].into_iter().filter(|side| side.presence == Presence::Always);
    let causes = always.flat_map(|side| side.causes.clone()).collect();
    let value = left.value.filter(|value| right.value == Some(*value));
    let mut shapes = [left.shapes, right.shapes].concat();
    shapes.sort_unstable();
    shapes.dedup();
    Outlook { presence, shapes, causes, value, facts: Facts::default(), is_scalar: false }
}

fn scalars(binary: &Binary, left: &Outlook, right: &Outlook) -> Outlook {
    let holds = left.value.zip(right.value).and_then(|(left, right)| binary.operator.holds(left, right));
    let causes = [left.causes.clone(), right.causes.clone()].concat();
    Outlook { causes, ..Outlook::scalar(holds.map(|holds| f64::from(u8::from(holds)))) }
}

/// A vector with a scalar.
fn compared(binary: &Binary, left: Outlook, right: Outlook) -> Outlook {
    if let Some(never) = never_holds(binary, &left, &right) {
        return never;
    }
    let decided = decided(binary, &left, &right);
    let number = if left.is_scalar { left.value } else { right.value };
    let asked = number.filter(|number| !number.is_nan()).map(|number| Bound { operator: binary.operator, number, is_given: false });
    let (vector, asked) = if left.is_scalar { (right, asked.map(Bound::mirrored)) } else { (left, asked) };
    if !binary.operator.is_comparison() {
        vector.changed()
    } else if binary.yields_bool {
        let facts = Facts::of("what `bool` yields", Bound::between(0.0, 1.0));
        Outlook { value: decided.map(|holds| f64::from(u8::from(holds))), facts, ..vector.changed() }
    } else if decided == Some(true) {
        vector
    } else {
        let facts = asked.map_or(Ok(vector.facts.clone()), |bound| vector.facts.clone().asked(bound));
        match facts {
            Ok(facts) => vector.thinned().with_facts(facts),
            Err(found) => Outlook::never(vec![Cause::Contradiction(found)]),
        }
    }
}

/// Whether a comparison holds, if that does not depend on any series.
fn decided(binary: &Binary, left: &Outlook, right: &Outlook) -> Option<bool> {
    match (left.value, right.value) {
        (Some(left), Some(right)) => binary.operator.holds(left, right),
        // Nothing compares with NaN, but everything differs from it.
        (Some(one), None) | (None, Some(one)) if one.is_nan() => binary.operator.holds(one, one),
        _ => None,
    }
}

/// Nothing, if a comparison that filters holds for no value.
fn never_holds(binary: &Binary, left: &Outlook, right: &Outlook) -> Option<Outlook> {
    if binary.yields_bool || decided(binary, left, right) != Some(false) {
        return None;
    }
    let mut causes = [left, right].map(|side| if side.is_scalar { side.causes.clone() } else { Vec::new() }).concat();
    if causes.is_empty() {
        let operator = binary.operator.symbol();
        causes.push(Cause::Constant { left: left.value.unwrap_or(f64::NAN), operator, right: right.value.unwrap_or(f64::NAN) });
    }
    Some(Outlook::never(causes))
}

/// Two vectors, matched by their labels.
fn joined(binary: &Binary, left: Outlook, right: Outlook) -> Outlook {
    let is_and = binary.operator == BinaryOperator::And;
    if let Some(never) = never_holds(binary, &left, &right) {
        return never;
    }
    let swapped = binary.matching.many == Many::Right && !is_and;
    let (many, one) = if swapped { (&right.shapes, &left.shapes) } else { (&left.shapes, &right.shapes) };
    let subset = &binary.matching.subset;
    let Some(partners) = partners(subset, many, one) else { return if is_and { left.thinned() } else { anything() } };
    if partners.is_empty() {
        let label = divider(subset, &left.shapes, &right.shapes);
        return Outlook::never(vec![Cause::NoPartner { operator: binary.operator.symbol(), label }]);
    }
    if is_and {
        // Matched by all labels, both sides speak of the same series.
        let is_whole = !subset.is_include() && subset.names().iter().all(|name| **name == *METRIC_NAME);
        let facts = if is_whole { left.facts.joined(right.facts) } else { Ok(left.facts) };
        let shapes = partners.keys().map(|index| left.shapes[*index].clone()).collect();
        return match facts {
            Ok(facts) => Outlook { value: left.value, facts, ..Outlook::sometimes(shapes) },
            Err(found) => Outlook::never(vec![Cause::Contradiction(found)]),
        };
    }
    let one_to_one = binary.matching.many == Many::Neither;
    let results = partners.iter().map(|(index, partners)| {
        let kept = many[*index].filtered(|name| !one_to_one || subset.contains(name));
        binary.matching.taken.iter().fold(nameless(&kept), |mut shape, label| {
            let mut held = partners.iter().map(|partner| one[*partner].held(label));
            let first = held.next().flatten();
            match first {
                first if held.any(|other| other != first) => shape.put(label.clone(), Held::Anything),
                Some(first) => shape.put(label.clone(), first.clone()),
                None => shape.remove(label),
            }
            shape
        })
    });
    Outlook::sometimes(results.collect()).reshaped(Clone::clone)
}

/// For each shape of the many side that can have partners, which ones; `None` if there are too many to look at.
fn partners(subset: &LabelSubset, many: &[Shape], one: &[Shape]) -> Option<BTreeMap<usize, Vec<usize>>> {
    let projected = |shapes: &[Shape]| {
        let mut groups: BTreeMap<Shape, Vec<usize>> = BTreeMap::new();
        for (index, shape) in shapes.iter().enumerate() {
            groups.entry(shape.filtered(|name| subset.contains(name))).or_default().push(index);
        }
        groups
    };
    let (many, one) = (projected(many), projected(one));
    if many.len() * one.len() > MOST_PAIRS {
        return None;
    }
    let mut found = BTreeMap::new();
    for (shape, members) in &many {
        let partners: Vec<usize> =
            one.iter().filter(|(other, _)| shape.meets(other)).flat_map(|(_, partners)| partners.iter().copied()).collect();
        if !partners.is_empty() {
            found.extend(members.iter().map(|member| (*member, partners.clone())));
        }
    }
    Some(found)
}

/// A label by which no shape of the left meets one of the right, and what it holds on each side.
fn divider(subset: &LabelSubset, left: &[Shape], right: &[Shape]) -> Option<(String, String, String)> {
    let mut names: Vec<&Arc<str>> = left.iter().chain(right).flat_map(Shape::names).filter(|name| subset.contains(name)).collect();
    names.sort_unstable();
    names.dedup();
    let divides = |name: &&Arc<str>| left.iter().all(|shape| right.iter().all(|other| !Held::meets(shape.held(name), other.held(name))));
    let name = names.into_iter().find(divides)?;
    let told =
        |shapes: &[Shape]| shapes.first().and_then(|shape| shape.held(name)).map_or_else(|| "absent".to_owned(), ToString::to_string);
    Some((name.to_string(), told(left), told(right)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse_series;
    use crate::promql::{Evaluator, Value};
    use crate::store::Store;
    use proptest::prelude::*;

    const SERIES: [&str; 8] = [
        r#"up{job="api", pod="api-0"}"#,
        r#"up{job="api", pod="api-1"}"#,
        r#"up{job="db", pod="db-0"}"#,
        r#"requests{code="200", pod="api-0"}"#,
        r#"requests{code="500", pod="api-1"}"#,
        r#"latency_bucket{le="0.1", pod="api-0"}"#,
        r#"latency_bucket{le="+Inf", pod="api-0"}"#,
        r#"ready{pod="api-0"}"#,
    ];

    fn universe() -> Universe {
        let mut universe = Universe::new();
        for text in SERIES {
            let labels = parse_series(text).expect("a series");
            universe.add(labels.metric_name().expect("a name"), Shape::of(&labels));
        }
        universe.limit("ready", 0.0, 1.0);
        universe
    }

    #[track_caller]
    fn check(expression: &str, expected: Presence) {
        let prospect = Plan::parse(expression).expect("a plan").prospect(&universe());
        assert_eq!(prospect.presence, expected, "{expression}: {:?}", prospect.causes);
    }

    use Presence::{Always, Never, Sometimes};

    #[test]
    fn a_range_of_one_sample_is_nothing_to_a_function_of_two() {
        let mut universe = universe();
        universe.sampled_every(15_000);
        universe.add("job:up:sum", Shape::of(&parse_series(r#"job:up:sum{job="api"}"#).expect("a series")));
        for (expression, expected) in [
            ("rate(up[15s]) > 0", Never),
            ("sum(irate(up[10s]))", Never),
            ("rate(up[15s]) or up", Sometimes),
            ("rate(up[16s])", Sometimes),
            ("max_over_time(up[15s])", Sometimes),
            ("changes(up[15s])", Sometimes),
            ("rate(up[15s:1s])", Sometimes),
            ("rate(job:up:sum[15s])", Sometimes),
        ] {
            let prospect = Plan::parse(expression).expect("a plan").prospect(&universe);
            assert_eq!(prospect.presence, expected, "{expression}: {:?}", prospect.causes);
        }
    }

    #[test]
    fn nothing_goes_through_aggregations_and_functions() {
        check("up", Sometimes);
        check("nope", Never);
        check("-nope", Never);
        check("count(nope)", Never);
        check("topk(3, nope)", Never);
        check("max_over_time(nope[5m])", Never);
        check("max_over_time(rate(nope[5m])[10m:1m])", Never);
        check(r#"label_replace(nope, "a", "b", "", "")"#, Never);
        check("sum(rate(requests[5m]))", Sometimes);
    }

    #[test]
    fn what_asks_for_absence_is_there() {
        check("absent(nope)", Always);
        check("absent_over_time(nope[5m])", Always);
        check("absent(nope) == 1", Always);
        check("absent(nope) == 0", Never);
        check("absent(up)", Sometimes);
        check("absent(vector(1))", Never);
        check("absent(absent(nope))", Never);
        check("count(absent(nope))", Always);
    }

    #[test]
    fn numbers_are_always_there() {
        check("1", Always);
        check("time()", Always);
        check("vector(1)", Always);
        check("vector(1) > 2", Never);
        check("vector(2) > 1", Always);
        check("hour() > 9", Sometimes);
        check("vector(scalar(up)) > 0", Sometimes);
        check("vector(scalar(nope)) > 0", Never);
        check("vector(scalar(nope)) != 0", Always);
        check("up > scalar(nope)", Never);
        check("up > bool scalar(nope)", Sometimes);
        check("1 > bool 2", Always);
    }

    #[test]
    fn comparisons_that_contradict_each_other_leave_nothing() {
        check("up == 0 and up == 1", Never);
        check("sum(up) > 5 and sum(up) < 3", Never);
        check(
            "sum by (job, pod) (rate(requests{a=~\"b\", code!=\"x\"}[5m])) > 5 and sum(rate(requests{code!=\"x\",a=~\"b\"}[5m])) by (pod, job) < 3",
            Never,
        );
        check("avg without (pod) (up) == 1 and avg without (pod) (up) != 1", Never);
        check("(sum(up) > 1 and max(up) > 0) and sum(up) < 1", Never);
        check("sum(up) > 5 and sum(up offset 5m) < 3", Sometimes);
        check("sum(up) > 5 and sum(requests) < 3", Sometimes);
        check("sum(up) > 5 or sum(up) < 3", Sometimes);
        check("sum by (pod) (up) > 5 and on () sum by (pod) (up) < 3", Sometimes);
        check("sum(up) > 5 and count_over_time((sum(up) < 3)[5m:1m])", Sometimes);
        check("topk(1, {pod=\"api-0\"}) > 5 and topk(1, {pod=\"api-0\"}) < 3", Sometimes);
        check("max by (__name__) ({pod=\"api-0\"}) > 5 and max by (__name__) ({pod=\"api-0\"}) < 3", Sometimes);
        check("up == 0 == 1", Never);
        check("5 < up < 5", Never);
        check("up > 5 and requests > 0", Never);
        check("up > 5 and up < 7", Sometimes);
        check("up > 5 and on (job) up < 5", Sometimes);
        check("up > 5 and ignoring (pod) up < 5", Sometimes);
        check("up > 5 and up offset 5m < 5", Sometimes);
        check("up offset 5m > 5 and up offset 5m < 5", Never);
        check(r#"up > 5 and up{job="api"} < 5"#, Never);
        check(r#"{__name__=~"up|down"} > 5 and up < 5"#, Sometimes);
        check("up > 5 or up < 5", Sometimes);
        check("up > 5 unless up < 7", Sometimes);
        check("-up > 5 and up > 5", Sometimes);
        check("sum(up) > 5 < 3", Never);
        check("up and up > 5 and up < 5", Never);
        check("up * 2 and up > 5 and up < 5", Never);
        check("max_over_time((up > 5)[5m:1m]) < 5", Never);
        check("max_over_time(up[5m]) > 5 and up < 5", Sometimes);
        check("avg_over_time((up > 5)[5m:1m]) < 5", Sometimes);
        check("topk(1, up > 5) < 5", Never);
        check("min by (job) (up > 5) < 5", Never);
        check(r#"label_replace(up > 5, "pod", "x", "", "") and up < 5"#, Sometimes);
    }

    #[test]
    fn values_that_are_bounded_by_nature_cannot_go_beyond() {
        check("ready > 1", Never);
        check("ready >= 1", Sometimes);
        check("1 < ready", Never);
        check("max(ready) > 1", Never);
        check("min_over_time(ready[5m]) < 0", Never);
        check("sum(ready) > 1", Sometimes);
        check("ready * 2 > 1", Sometimes);
        check("ready > bool 1", Sometimes);
        check("(ready > bool 0) > 1", Never);
        check("count(up) == 0", Never);
        check("count_over_time(up[5m]) < 1", Never);
        check("count(up) == 1", Sometimes);
        check("count(up) - 1 == 0", Sometimes);
        check("(count(up) or vector(0)) == 0", Sometimes);
    }

    #[test]
    fn a_default_stands_in_for_what_is_missing() {
        check("(count(nope) or vector(0)) == 0", Always);
        check("(count(nope) or vector(0)) > 0", Never);
        check("(count(up) or vector(0)) > 0", Sometimes);
        check("nope or missing", Never);
        check("nope or up", Sometimes);
        check("up or vector(1)", Always);
    }

    #[test]
    fn operators_need_both_sides_and_unless_its_left() {
        check("nope * on (pod) group_left () up", Never);
        check("nope / up", Never);
        check("up and nope", Never);
        check("nope > 1 and up", Never);
        check("nope unless up", Never);
        check("up unless nope", Sometimes);
        check("up unless up", Never);
        check("up unless on (pod) requests", Sometimes);
    }

    #[test]
    fn selectors_are_held_against_labels() {
        check(r#"requests{status=~"5.."}"#, Never);
        check(r#"requests{code=~"5.."}"#, Sometimes);
        check(r#"requests{code=~"4.."}"#, Never);
        check(r#"requests{code="200",pod="api-1"}"#, Never);
        check(r#"up{pod=~"web.*"}"#, Never);
        check(r#"{__name__=~"up|nope"}"#, Sometimes);
        check(r#"{__name__=~"nope.*"}"#, Never);
    }

    #[test]
    fn joins_need_labels_that_meet() {
        check("up * on (pod) requests", Sometimes);
        check("up * requests", Never);
        check("up * ignoring (job, code) requests", Sometimes);
        check(r#"up{job="db"} and on (pod) requests"#, Never);
        check("sum(up) / sum(requests)", Sometimes);
        check("sum by (pod) (up) / sum by (job) (up)", Never);
        check("histogram_quantile(0.9, rate(latency_bucket[5m]))", Sometimes);
        check("histogram_quantile(0.9, sum by (pod) (rate(latency_bucket[5m])))", Never);
        check("histogram_quantile(0.9, up)", Never);
    }

    #[test]
    fn a_condition_is_looked_at_for_elements_not_for_truth() {
        let check = |text: &str, expected: Presence| {
            assert_eq!(Condition::parse(text).expect("a condition").prospect(&universe()).presence, expected, "{text}");
        };
        check("vector(1) > 2", Always);
        check("up{pod=$pod} == 1", Sometimes);
        check("up{service=$service} == 1", Never);
        check("nope == 1", Never);
        check("absent(nope)", Always);
        check("up == 1 and nope == 1", Never);
    }

    #[test]
    fn what_always_holds_is_told_as_it_is_asked_for() {
        let causes = |text: &str, holds: bool| {
            Condition::parse(text).expect("a condition").prospect_of(holds, &universe()).map(|found| (found.presence, found.causes))
        };
        let certain = |asked| {
            let known = vec![(">=", 0.0), ("<=", 1.0)];
            Some((Never, vec![Cause::Certain { whose: "`ready`".to_owned(), known, asked }]))
        };
        assert_eq!(causes("ready >= 0", false), certain((">=", 0.0)));
        assert_eq!(causes("5 > ready", false), certain(("<", 5.0)));
        assert_eq!(causes("ready == 1", false).map(|(presence, _)| presence), Some(Sometimes));
        assert_eq!(causes("(ready == 1) == 1", false), None, "the inner one may fail");
        assert_eq!(causes("(ready > 0) < 9", false), None);
        assert_eq!(causes("(ready == 1) == 0", true).map(|(presence, _)| presence), Some(Never));
    }

    #[test]
    fn the_causes_name_what_is_missing() {
        let plan = Plan::parse("up * requests > 0").expect("a plan");
        let label = Some(("code".to_owned(), "absent".to_owned(), "200".to_owned()));
        assert_eq!(plan.prospect(&universe()).causes, [Cause::NoPartner { operator: "*", label }]);
        let plan = Plan::parse("(count(nope) or vector(0)) > 0").expect("a plan");
        assert_eq!(plan.prospect(&universe()).causes, [Cause::Constant { left: 0.0, operator: ">", right: 0.0 }]);
        let plan = Plan::parse("absent(nope) or up").expect("a plan");
        let missing = Cause::Missing(Missing::Metric { metric: "nope".to_owned() });
        assert_eq!(plan.prospect(&universe()).causes, [missing]);
    }

    const LEAVES: &[&str] = &[
        "up",
        "nope",
        "requests",
        r#"requests{code="500"}"#,
        r#"up{job="web"}"#,
        "latency_bucket",
        "vector(0)",
        "vector(1)",
        "vector(time())",
        r#"up{pod=~"api-.*"}"#,
        "rate(requests[5m])",
        "max_over_time(up[5m:1m])",
        "hour()",
        "vector(scalar(nope))",
        "ready",
        "up == 0",
        "up > 1",
    ];

    const BINARY: &[&str] = &[
        "and",
        "or",
        "unless",
        "and on ()",
        "and on (pod)",
        "unless on (pod)",
        "or on (job)",
        "== on (pod) group_left ()",
        "* on (pod)",
        "> bool",
        "==",
        "!=",
        "+",
        "/ ignoring (code, job)",
        "< on ()",
        "- on (pod) group_right (job)",
    ];

    const UNARY: &[&str] = &[
        "absent(%)",
        "count(%)",
        "sum by (pod) (%)",
        "topk(1, %)",
        "-(%)",
        "(%) > 0",
        "(%) == 1",
        "abs(%)",
        "scalar(%) > bool 0",
        r#"label_replace(%, "pod", "x", "pod", "api-0")"#,
        r#"count_values("value", %)"#,
        "group without (code) (%)",
        "(%) != scalar(nope)",
        "histogram_quantile(0.5, %)",
        "clamp_max(%, 1)",
        "sort(%)",
        "vector(scalar(%))",
        "count_over_time((%)[3m:1m])",
        "(%) >= bool 1",
        "(%) < 1",
        "1 < (%)",
        "count(%) < 2",
        "max(%)",
        "min_over_time((%)[3m:1m])",
        "(%) > 0 and (%) < 2",
        "sum by (pod) (%) > 1 and sum by (pod) (%) < 2",
        "sum by (pod) (%) > 1 and sum by (pod) (%) < 1",
        "max by (__name__) (%) > 1 and max by (__name__) (%) < 1",
        "sum(%) == 2 and count_over_time((sum(%) == 1)[3m:1m])",
        "max by (pod) (%) > 1 and on () max by (pod) (%) < 1",
    ];

    fn expression() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(LEAVES).prop_map(str::to_owned);
        leaf.prop_recursive(4, 24, 2, |inner| {
            let binary = prop::sample::select(BINARY);
            let unary = prop::sample::select(UNARY);
            prop_oneof![
                (inner.clone(), binary, inner.clone()).prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
                (unary, inner).prop_map(|(outer, inner)| outer.replace('%', &inner)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn never_and_always_are_true_of_every_evaluation(
            expression in expression(),
            values in prop::collection::vec(prop::option::of(prop::sample::select(vec![0.0, 1.0, 2.0, f64::NAN])), SERIES.len() * 3),
        ) {
            let Ok(plan) = Plan::parse(&expression) else { return Ok(()) };
            let prospect = plan.prospect(&universe());
            let mut store = Store::new();
            for (index, value) in values.iter().enumerate() {
                let series = store.series(&parse_series(SERIES[index % SERIES.len()]).expect("a series"));
                let value = value.filter(|value| (0.0..=1.0).contains(value) || !SERIES[index % SERIES.len()].starts_with("ready"));
                if let Some(value) = value {
                    store.append(series, (index / SERIES.len()) as i64 * 120_000, value).expect("newer");
                }
            }
            let Ok(found) = Evaluator::new().evaluate(&plan, 300_000, &[&store]) else { return Ok(()) };
            let labels = match found {
                Value::Vector(samples) => samples.into_iter().map(|sample| sample.labels).collect(),
                _ => vec![crate::labels::Labels::empty()],
            };
            match prospect.presence {
                Never => prop_assert!(labels.is_empty(), "{expression} yields {labels:?}: {:?}", prospect.causes),
                Always => prop_assert!(!labels.is_empty(), "{expression} yields nothing"),
                Sometimes => {}
            }
            for labels in labels {
                let own = Shape::of(&labels);
                prop_assert!(prospect.shapes.iter().any(|shape| shape.meets(&own)), "{expression} yields {labels}, not foreseen in {:?}", prospect.shapes);
            }
        }
    }
}
