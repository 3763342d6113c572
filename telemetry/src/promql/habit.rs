//! What an expression does that is likely not meant, told from its text alone, whatever series there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::histogram::BOUND;
use super::plan::{Aggregation, AggregationOperator, Binary, BinaryOperator, Call, Function, Many, Node, Plan, Selector};
use super::window::WindowFunction;
use crate::labels::{METRIC_NAME, MatchOp};

/// A function over the samples of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windowed {
    /// The function as it is written.
    pub function: &'static str,
    /// What it is made for.
    pub made_for: MadeFor,
    /// How many samples it needs before it yields anything: 1 or 2.
    pub needs: u32,
    /// How long the stretch is, milliseconds.
    pub range_ms: i64,
    /// Whose samples they are.
    pub source: Source,
}

/// What a function over time is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeFor {
    /// Counters: a fall is taken for a restart.
    Counters,
    /// Gauges: a restart is taken for a fall.
    Gauges,
    /// Either.
    Both,
}

/// Whose samples a function over time reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Those of series with this name; `None` if the selector does not pin one.
    Series(Option<String>),
    /// Those that a subquery evaluates.
    Subquery {
        /// From one evaluation to the next, milliseconds.
        step_ms: i64,
        /// Whether each is the sum, mean or the like of several series.
        is_aggregated: bool,
    },
}

/// A habit of expressions that misleads.
#[derive(Debug, Clone, PartialEq)]
pub enum Habit {
    /// Fractions are asked to be exactly a number.
    ExactFraction {
        /// The operator as it is written.
        operator: &'static str,
        /// The number.
        number: f64,
    },
    /// The default `or vector(…)` stands beside elements with labels, and what it is matched with has labels too.
    DefaultWithoutLabels {
        /// The operator that matches it, as it is written.
        operator: &'static str,
    },
    /// The value of a metric itself is asked to be above a number; of a counter only a restart lowers it.
    ValueAbove {
        /// The metric.
        metric: String,
    },
    /// `absent` is asked of something that gives its result no label.
    AbsentOfNobody,
    /// Nothing in it compares or asks for absence, so that it yields something whenever its series exist; or the comparison at its root is `bool`.
    NothingFilters {
        /// Whether it is `bool` that keeps what does not hold.
        is_bool: bool,
    },
}

impl Plan {
    /// Every function over time in the expression, from left to right.
    #[must_use]
    pub fn windows(&self) -> Vec<Windowed> {
        let mut found = Vec::new();
        self.walk(&mut |node| {
            if let Node::Call(call) = node
                && let Some(windowed) = self.windowed(call)
            {
                found.push(windowed);
            }
        });
        found
    }

    /// The habits of the expression that mislead, each once.
    #[must_use]
    pub fn habits(&self, labels_of: &LabelsOf<'_>) -> Vec<Habit> {
        let mut found = Vec::new();
        self.walk(&mut |node| match node {
            Node::Binary(binary) => found.extend(self.habits_of(binary, labels_of)),
            Node::Call(call) if matches!(call.function, Function::Absent | Function::AbsentOverTime) => {
                let is_of_nobody = self.pinned_labels(&call.arguments[0]).is_empty();
                found.extend(is_of_nobody.then_some(Habit::AbsentOfNobody));
            }
            _ => {}
        });
        if self.yields_no_elements().is_none() {
            found.extend(self.filters_nothing());
        }
        let mut each: Vec<Habit> = Vec::new();
        for habit in found {
            if !each.contains(&habit) {
                each.push(habit);
            }
        }
        each
    }

    /// Whether it asks for the date or the time of day, and not only how long ago something was.
    #[must_use]
    pub fn reads_calendar(&self) -> bool {
        let mut found = asks_the_clock_alone(&self.root);
        self.walk(&mut |node| {
            found |= match node {
                Node::Call(call) => matches!(call.function, Function::Date(_)),
                Node::Binary(binary) if binary.operator == BinaryOperator::Modulo => has_clock(&binary.left),
                Node::Binary(binary) => binary.operator.is_comparison() && asks_the_clock_alone(node),
                _ => false,
            }
        });
        found
    }

    /// The labels that what it yields can have at most, whatever series there are; `None` if any can be there. `labels_of` tells the same of a
    /// metric.
    #[must_use]
    pub fn labels_at_most(&self, labels_of: &LabelsOf<'_>) -> Option<BTreeSet<Arc<str>>> {
        self.bound(&self.root, labels_of)
    }

    /// The metric, if the expression is an aggregation over the plain values of one: its sum, mean, …
    #[must_use]
    pub fn aggregated_metric(&self) -> Option<&str> {
        let Node::Aggregation(aggregation) = &*self.root else { return None };
        let Node::Instant(selector) = &aggregation.inner else { return None };
        if mixes(&aggregation.operator) { self.selectors[*selector].metric() } else { None }
    }

    fn walk<'p>(&'p self, visit: &mut dyn FnMut(&'p Node)) {
        walk(&self.root, visit);
    }

    fn windowed(&self, call: &Call) -> Option<Windowed> {
        let (function, made_for, needs) = match &call.function {
            Function::Window(function) => described(*function),
            Function::AbsentOverTime => ("absent_over_time", MadeFor::Both, 1),
            _ => return None,
        };
        call.arguments.iter().find_map(|argument| {
            let (range_ms, source) = match argument {
                Node::Range(selector) => {
                    let selector = &self.selectors[*selector];
                    (selector.range_ms?, Source::Series(selector.metric().map(str::to_owned)))
                }
                Node::Subquery(subquery) => {
                    let is_aggregated = self.is_aggregated(&subquery.inner);
                    (subquery.range_ms, Source::Subquery { step_ms: subquery.step_ms, is_aggregated })
                }
                _ => return None,
            };
            Some(Windowed { function, made_for, needs, range_ms, source })
        })
    }

    /// Whether the values are sums or the like of raw samples, so that one series' restart is lost in them.
    fn is_aggregated(&self, node: &Node) -> bool {
        match node {
            Node::Aggregation(aggregation) if mixes(&aggregation.operator) => matches!(aggregation.inner, Node::Instant(_)),
            Node::Aggregation(aggregation) => self.is_aggregated(&aggregation.inner),
            Node::Negation(inner) => self.is_aggregated(inner),
            _ => false,
        }
    }

    fn habits_of(&self, binary: &Binary, labels_of: &LabelsOf<'_>) -> Vec<Habit> {
        let mut found = Vec::new();
        let operator = binary.operator.symbol();
        if matches!(binary.operator, BinaryOperator::Equal | BinaryOperator::NotEqual) {
            let sides = [(&binary.left, &binary.right), (&binary.right, &binary.left)];
            let number = sides.into_iter().find_map(|(vector, number)| match number {
                // A share of 0 or 1 is exact: nothing of it, or all of it.
                Node::Number(number) if is_fraction(vector) && *number != 0.0 && (*number != 1.0 || is_rate(vector)) => Some(*number),
                _ => None,
            });
            found.extend(number.filter(|number| number.is_finite()).map(|number| Habit::ExactFraction { operator, number }));
        }
        let is_matched = !is_scalar(&binary.left) && !is_scalar(&binary.right) && binary.operator != BinaryOperator::Or;
        // `on ()`: the default is matched with everything.
        let by_nothing = binary.matching.subset.is_include() && binary.matching.subset.names().is_empty();
        let is_default = |side: &Node| self.labelled_default(side, labels_of);
        let labelled = |side: &Node| self.bound(side, labels_of).is_none_or(|labels| !labels.is_empty());
        let loses = is_default(&binary.left) && labelled(&binary.right) || is_default(&binary.right) && labelled(&binary.left);
        if is_matched && !by_nothing && loses {
            found.push(Habit::DefaultWithoutLabels { operator });
        }
        if matches!(binary.operator, BinaryOperator::Greater | BinaryOperator::GreaterOrEqual)
            && let (Node::Instant(selector), Node::Number(_)) = (&binary.left, &binary.right)
            && let Some(metric) = self.selectors[*selector].metric()
        {
            found.push(Habit::ValueAbove { metric: metric.to_owned() });
        }
        found
    }

    /// Whether it is `… or vector(…)` with elements that have labels on the left.
    fn labelled_default(&self, node: &Node, labels_of: &LabelsOf<'_>) -> bool {
        let Node::Binary(binary) = node else { return false };
        if binary.operator != BinaryOperator::Or || !is_constant_vector(&binary.right) {
            return false;
        }
        self.bound(&binary.left, labels_of).is_none_or(|labels| !labels.is_empty())
    }

    /// Whether an alert on it would be on whenever its series exist.
    fn filters_nothing(&self) -> Option<Habit> {
        if let Node::Binary(binary) = &*self.root
            && binary.yields_bool
            && !is_scalar(&self.root)
        {
            return Some(Habit::NothingFilters { is_bool: true });
        }
        let mut filters = false;
        self.walk(&mut |node| {
            filters |= match node {
                Node::Binary(binary) => binary.operator.is_comparison() && !binary.yields_bool || binary.operator.is_set(),
                Node::Call(call) => matches!(call.function, Function::Absent | Function::AbsentOverTime),
                _ => false,
            };
        });
        // A selector with matchers may be the filter itself, as in `ALERTS{alertstate="firing"}`; a constant is meant to be on.
        let narrows = |selector: &Selector| selector.matchers.len() > 1;
        let is_plain = self.selectors.iter().any(narrows) || self.selectors.is_empty();
        (!filters && !is_plain).then_some(Habit::NothingFilters { is_bool: false })
    }

    /// The labels that `absent` takes over from its argument.
    fn pinned_labels(&self, argument: &Node) -> BTreeSet<Arc<str>> {
        let (Node::Instant(selector) | Node::Range(selector)) = argument else { return BTreeSet::new() };
        let selector = &self.selectors[*selector];
        let equal = selector.matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal) && *matcher.name != *METRIC_NAME);
        equal.map(|matcher| Arc::clone(&matcher.name)).chain(selector.parameters.iter().map(|matcher| Arc::clone(&matcher.label))).collect()
    }

    fn bound(&self, node: &Node, labels_of: &LabelsOf<'_>) -> Option<BTreeSet<Arc<str>>> {
        match node {
            Node::Number(_) | Node::Text(_) => Some(BTreeSet::new()),
            Node::Instant(selector) | Node::Range(selector) => labels_of(self.selectors[*selector].metric()?),
            Node::Subquery(subquery) => self.bound(&subquery.inner, labels_of),
            Node::Negation(inner) => self.bound(inner, labels_of),
            Node::Call(call) => self.bound_of_call(call, labels_of),
            Node::Aggregation(aggregation) => bound_of_aggregation(aggregation, self.bound(&aggregation.inner, labels_of)),
            Node::Binary(binary) => self.bound_of_binary(binary, labels_of),
        }
    }

    fn bound_of_call(&self, call: &Call, labels_of: &LabelsOf<'_>) -> Option<BTreeSet<Arc<str>>> {
        let with = |inner: Option<BTreeSet<Arc<str>>>, label: &Arc<str>| {
            inner.map(|mut inner| {
                inner.insert(Arc::clone(label));
                inner
            })
        };
        let of = |index: usize| self.bound(&call.arguments[index], labels_of);
        match &call.function {
            Function::Time | Function::Pi | Function::Scalar | Function::Vector => Some(BTreeSet::new()),
            Function::Absent | Function::AbsentOverTime => Some(self.pinned_labels(&call.arguments[0])),
            Function::LabelReplace(replace) => with(of(0), &replace.destination),
            Function::LabelJoin(join) => with(of(0), &join.destination),
            Function::HistogramQuantile => {
                let inner = of(1);
                inner.map(|inner| inner.into_iter().filter(|label| **label != *BOUND).collect())
            }
            _ => match call.arguments.iter().find(|argument| !is_scalar(argument)) {
                Some(vector) => self.bound(vector, labels_of),
                None => Some(BTreeSet::new()),
            },
        }
    }

    fn bound_of_binary(&self, binary: &Binary, labels_of: &LabelsOf<'_>) -> Option<BTreeSet<Arc<str>>> {
        let [left, right] = [&binary.left, &binary.right].map(|side| self.bound(side, labels_of));
        match binary.operator {
            BinaryOperator::And | BinaryOperator::Unless => return left,
            BinaryOperator::Or => return Some(left?.union(&right?).cloned().collect()),
            _ if is_scalar(&binary.left) => return right,
            _ if is_scalar(&binary.right) => return left,
            _ => {}
        }
        let subset = &binary.matching.subset;
        let many = match binary.matching.many {
            Many::Neither if subset.is_include() => {
                let names = subset.names().iter().cloned().collect();
                return Some(left.map_or(names, |left| left.into_iter().filter(|name| subset.contains(name)).collect()));
            }
            Many::Neither => return left.map(|left| left.into_iter().filter(|name| subset.contains(name)).collect()),
            Many::Left => left,
            Many::Right => right,
        };
        many.map(|mut many| {
            many.extend(binary.matching.taken.iter().cloned());
            many
        })
    }
}

/// The labels that series of a metric can have at most; `None` if that is not known.
pub type LabelsOf<'a> = dyn Fn(&str) -> Option<BTreeSet<Arc<str>>> + 'a;

fn walk<'p>(node: &'p Node, visit: &mut dyn FnMut(&'p Node)) {
    visit(node);
    match node {
        Node::Number(_) | Node::Text(_) | Node::Instant(_) | Node::Range(_) => {}
        Node::Subquery(subquery) => walk(&subquery.inner, visit),
        Node::Negation(inner) => walk(inner, visit),
        Node::Call(call) => call.arguments.iter().for_each(|argument| walk(argument, visit)),
        Node::Aggregation(aggregation) => {
            aggregation.parameter.iter().for_each(|parameter| walk(parameter, visit));
            walk(&aggregation.inner, visit);
        }
        Node::Binary(binary) => {
            walk(&binary.left, visit);
            walk(&binary.right, visit);
        }
    }
}

/// Whether the time is asked for somewhere below a node.
fn has_clock(node: &Node) -> bool {
    let mut found = false;
    walk(node, &mut |own| found |= matches!(own, Node::Call(call) if matches!(call.function, Function::Time)));
    found
}

/// Whether the time is asked for, and nothing that is seen of the system beside it.
fn asks_the_clock_alone(node: &Node) -> bool {
    let mut is_alone = true;
    walk(node, &mut |own| is_alone &= !matches!(own, Node::Instant(_) | Node::Range(_)));
    is_alone && has_clock(node)
}

fn bound_of_aggregation(aggregation: &Aggregation, inner: Option<BTreeSet<Arc<str>>>) -> Option<BTreeSet<Arc<str>>> {
    if matches!(aggregation.operator, AggregationOperator::Top | AggregationOperator::Bottom) {
        return inner;
    }
    let subset = &aggregation.subset;
    let kept: Option<BTreeSet<Arc<str>>> = match inner {
        Some(inner) => Some(inner.into_iter().filter(|name| subset.contains(name)).collect()),
        None if subset.is_include() => Some(subset.names().iter().cloned().collect()),
        None => None,
    };
    match &aggregation.operator {
        AggregationOperator::CountValues(label) => kept.map(|mut kept| {
            kept.insert(Arc::clone(label));
            kept
        }),
        _ => kept,
    }
}

/// Whether an aggregation makes one value of several; the others keep elements as they are.
fn mixes(operator: &AggregationOperator) -> bool {
    matches!(operator, AggregationOperator::Sum | AggregationOperator::Average)
}

fn is_scalar(node: &Node) -> bool {
    match node {
        Node::Number(_) | Node::Text(_) => true,
        Node::Instant(_) | Node::Range(_) | Node::Subquery(_) | Node::Aggregation(_) => false,
        Node::Negation(inner) => is_scalar(inner),
        Node::Call(call) => matches!(call.function, Function::Time | Function::Pi | Function::Scalar),
        Node::Binary(binary) => is_scalar(&binary.left) && is_scalar(&binary.right),
    }
}

fn is_constant_vector(node: &Node) -> bool {
    matches!(node, Node::Call(call) if matches!(call.function, Function::Vector))
}

/// Whether the values are results of a division or per second, so that they are rarely whole.
fn is_fraction(node: &Node) -> bool {
    match node {
        Node::Binary(binary) => {
            binary.operator == BinaryOperator::Divide
                || !binary.operator.is_comparison()
                    && !binary.operator.is_set()
                    && (is_fraction(&binary.left) || is_fraction(&binary.right))
        }
        Node::Aggregation(aggregation) => match aggregation.operator {
            AggregationOperator::Count | AggregationOperator::Group | AggregationOperator::CountValues(_) => false,
            _ => is_fraction(&aggregation.inner),
        },
        Node::Negation(inner) => is_fraction(inner),
        node => is_rate(node),
    }
}

/// Whether the values are per second, extrapolated or interpolated.
fn is_rate(node: &Node) -> bool {
    match node {
        Node::Call(call) => match &call.function {
            Function::HistogramQuantile | Function::HistogramFraction => true,
            Function::Window(function) => matches!(
                function,
                WindowFunction::Rate
                    | WindowFunction::Increase
                    | WindowFunction::InstantRate
                    | WindowFunction::Derivative
                    | WindowFunction::PredictLinear
                    | WindowFunction::Deviation
                    | WindowFunction::Variance
            ),
            _ => false,
        },
        Node::Aggregation(aggregation) => is_rate(&aggregation.inner),
        Node::Negation(inner) => is_rate(inner),
        _ => false,
    }
}

/// Its name, what it is made for, and how many samples it needs.
fn described(function: WindowFunction) -> (&'static str, MadeFor, u32) {
    use MadeFor::{Both, Counters, Gauges};
    match function {
        WindowFunction::Rate => ("rate", Counters, 2),
        WindowFunction::Increase => ("increase", Counters, 2),
        WindowFunction::InstantRate => ("irate", Counters, 2),
        WindowFunction::Delta => ("delta", Gauges, 2),
        WindowFunction::InstantDelta => ("idelta", Gauges, 2),
        WindowFunction::Derivative => ("deriv", Gauges, 2),
        WindowFunction::PredictLinear => ("predict_linear", Gauges, 2),
        WindowFunction::Average => ("avg_over_time", Both, 1),
        WindowFunction::Minimum => ("min_over_time", Both, 1),
        WindowFunction::Maximum => ("max_over_time", Both, 1),
        WindowFunction::Sum => ("sum_over_time", Both, 1),
        WindowFunction::Count => ("count_over_time", Both, 1),
        WindowFunction::Quantile => ("quantile_over_time", Both, 1),
        WindowFunction::Deviation => ("stddev_over_time", Both, 1),
        WindowFunction::Variance => ("stdvar_over_time", Both, 1),
        WindowFunction::First => ("first_over_time", Both, 1),
        WindowFunction::Last => ("last_over_time", Both, 1),
        WindowFunction::Present => ("present_over_time", Both, 1),
        // One sample yields 0 changes, which no alert can tell from calm.
        WindowFunction::Changes => ("changes", Both, 2),
        WindowFunction::Resets => ("resets", Counters, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(expression: &str) -> Plan {
        Plan::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    #[track_caller]
    fn check(expression: &str, expected: &[Habit]) {
        assert_eq!(plan(expression).habits(&|_| None), expected, "{expression}");
    }

    #[track_caller]
    fn check_labels(expression: &str, expected: Option<&str>) {
        let recorded = |metric: &str| (metric == "job:x").then(|| BTreeSet::from([Arc::from("job")]));
        let found = plan(expression).labels_at_most(&recorded).map(|labels| labels.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), expected, "{expression}");
    }

    #[test]
    fn fractions_are_rarely_a_number_exactly_and_whole_values_may_be() {
        let habit = |operator, number| Habit::ExactFraction { operator, number };
        check("a / b == 0.5", &[habit("==", 0.5)]);
        check("sum(rate(a[5m])) != 1", &[habit("!=", 1.0)]);
        check("2 == avg(irate(a[5m]))", &[habit("==", 2.0)]);
        check("a / b == 1", &[]);
        check("rate(a[5m]) == 0", &[]);
        check("a == 0.5", &[]);
        check("count(rate(a[5m])) == 2", &[]);
    }

    #[test]
    fn a_default_without_labels_meets_nothing_that_has_some() {
        let lost = |operator| [Habit::DefaultWithoutLabels { operator }];
        check("(sum by (job) (a) or vector(0)) / sum by (job) (b) > 1", &lost("/"));
        check("sum(b / on (job) (a or vector(0))) > 1", &lost("/"));
        check("(sum(a) or vector(0)) / sum(b) > 1", &[]);
        check("(sum by (job) (a) or vector(0)) / on () group_left sum(b) > 1", &[]);
        check("sum by (job) (a) or vector(0) > 1", &[]);
    }

    #[test]
    fn what_filters_nothing_is_on_whenever_its_series_exist() {
        check("changes(a[5m])", &[Habit::NothingFilters { is_bool: false }]);
        check("sum(a) > bool 5", &[Habit::NothingFilters { is_bool: true }]);
        check("vector(1)", &[]);
        check("ALERTS{alertstate=\"firing\"}", &[]);
        check("absent(a{job=\"b\"})", &[]);
        check("absent(a)", &[Habit::AbsentOfNobody]);
        check("absent(sum(a{job=\"b\"}))", &[Habit::AbsentOfNobody]);
        check("a_total > 5", &[Habit::ValueAbove { metric: "a_total".to_owned() }]);
    }

    #[test]
    fn labels_go_by_aggregations_and_joins() {
        check_labels("a", None);
        check_labels("sum by (x, y) (a)", Some("x y"));
        check_labels("sum(a) / sum(b)", Some(""));
        check_labels("sum without (x) (a)", None);
        check_labels("sum by (x, job) (rate(job:x[5m]))", Some("job"));
        check_labels("topk by (x) (3, job:x)", Some("job"));
        check_labels("a / on (x) b", Some("x"));
        check_labels("job:x * on (job) group_left (pod) b", Some("job pod"));
        check_labels("job:x or sum by (z) (a)", Some("job z"));
        check_labels("absent(a{pod=\"1\", x!=\"2\"})", Some("pod"));
        check_labels("label_replace(job:x, \"q\", \"$1\", \"job\", \"(.*)\")", Some("job q"));
        check_labels("histogram_quantile(0.9, sum by (le, x) (a)) > 5", Some("x"));
        check_labels("count_values by (x) (\"v\", a)", Some("v x"));
        check_labels("time() - 5", Some(""));
    }

    #[test]
    fn functions_over_time_tell_what_they_read() {
        let found = plan("rate(a_total[5m]) > 0 and deriv(sum(b)[10m:1m]) > max_over_time({job=\"x\"}[1m])").windows();
        let told: Vec<_> = found.iter().map(|window| (window.function, window.needs, window.range_ms, window.source.clone())).collect();
        assert_eq!(
            told,
            [
                ("rate", 2, 300_000, Source::Series(Some("a_total".to_owned()))),
                ("deriv", 2, 600_000, Source::Subquery { step_ms: 60_000, is_aggregated: true }),
                ("max_over_time", 1, 60_000, Source::Series(None)),
            ]
        );
        assert_eq!(plan("sum by (x) (a)").aggregated_metric(), Some("a"));
        assert_eq!(plan("max(a)").aggregated_metric(), None);
    }

    #[test]
    fn the_calendar_is_read_by_its_functions_and_by_the_clock_alone() {
        let reads = |text: &str| plan(text).reads_calendar();
        for text in [
            "2 * (day_of_week() == bool 5)",
            "1768000000 - time()",
            "up == 0 and on () vector(time()) > 5",
            "time() % 86400 > a",
            "hour(a) < 7",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in ["time() - a_timestamp_seconds < 1800", "a > time() - 60", "-(a - time())", "up == 0", "timestamp(a) > 5"] {
            assert!(!reads(text), "{text}");
        }
    }
}
