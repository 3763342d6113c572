//! Evaluating a plan at a moment, plainly: every node anew at every evaluation.
//!
//! A faster evaluator may come beside this one; this one stays, because it can be checked against the definition by reading.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate;
use super::annotation::{Annotation, Annotations};
use super::functions::{clamp, round};
use super::group::{Groups, LabelSubset};
use super::histogram::{self, Histogram};
use super::plan::{AggregationOperator, At, Call, Function, LOOKBACK_MS, Moment, Node, Plan, Subquery};
use super::value::{Element, EvalError, Outcome, Sample, SeriesSamples, Value};
use super::window::{Window, WindowContext, WindowFunction};
use crate::labels::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};
use crate::store::{SeriesId, Store, is_stale};

/// At most so many steps of a range evaluation or of a subquery.
pub(crate) const MOST_STEPS: i64 = 1_000_000;

/// At most so many samples and steps are looked at in one evaluation, all steps of a range together: what Prometheus allows a query by default.
const MOST_WORK: usize = 50_000_000;

/// At most so many remembered selectors; then all are forgotten, so that plans bound to ever new values cannot fill the memory.
const MOST_REMEMBERED: usize = 4_096;

impl Plan {
    /// Evaluates at a moment, milliseconds since 1970, over the union of the sources. A label set should stand in one source only; of two the
    /// earlier source's samples count. For repeated evaluations keep an [`Evaluator`].
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate(&self, at_ms: i64, sources: &[&Store]) -> Result<Value, EvalError> {
        Evaluator::new().evaluate(self, at_ms, sources)
    }

    /// Evaluates at `from_ms` and every `step_ms` after it up to and including `to_ms`; as [`Evaluator::evaluate_range`].
    ///
    /// # Errors
    /// As [`EvalError`] says; a step that is not positive, or too many steps.
    pub fn evaluate_range(&self, from_ms: i64, to_ms: i64, step_ms: i64, sources: &[&Store]) -> Result<Value, EvalError> {
        Evaluator::new().evaluate_range(self, Steps { from_ms, to_ms, step_ms }, sources)
    }
}

/// The moments of a range evaluation, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// The first moment.
    pub from_ms: i64,
    /// No moment is later.
    pub to_ms: i64,
    /// From one moment to the next; positive.
    pub step_ms: i64,
}

/// A result, and what was noticed on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The result.
    pub value: Value,
    /// Warnings and infos, each once, in the order in which they were noticed.
    pub annotations: Vec<Annotation>,
    /// How many samples and steps were looked at.
    pub work: usize,
}

/// Evaluates plans and remembers which series their selectors found, until a series is born in one of the sources.
///
/// Cloning it copies what it remembers; it holds no state that could change a result.
#[derive(Debug, Clone, Default)]
pub struct Evaluator {
    /// By the address of the selector's matchers, which the entry keeps alive, so that no other selector can come to have it.
    found: BTreeMap<usize, Found>,
}

#[derive(Debug, Clone)]
struct Found {
    matchers: Arc<[Matcher]>,
    generations: Vec<u64>,
    series: Arc<[Located]>,
}

/// A series in one of the sources.
#[derive(Debug, Clone, Copy)]
struct Located {
    source: usize,
    id: SeriesId,
}

impl Evaluator {
    /// An evaluator that remembers nothing yet.
    pub fn new() -> Evaluator {
        Evaluator::default()
    }

    /// Evaluates a plan at a moment, milliseconds since 1970, over the union of the sources.
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate(&mut self, plan: &Plan, at_ms: i64, sources: &[&Store]) -> Result<Value, EvalError> {
        self.evaluate_annotated(plan, at_ms, sources).map(|evaluated| evaluated.value)
    }

    /// As [`Evaluator::evaluate`], with the annotations.
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate_annotated(&mut self, plan: &Plan, at_ms: i64, sources: &[&Store]) -> Result<Evaluated, EvalError> {
        let scope = self.scope(plan, Span { start_ms: at_ms, end_ms: at_ms }, sources)?;
        let value = match scope.node(&plan.root, at_ms)? {
            Outcome::Scalar(value) => Value::Scalar(value),
            Outcome::Text(text) => Value::Text(text),
            Outcome::Vector(elements) => Value::Vector(finished(elements)?),
            Outcome::Matrix(rows) => Value::Matrix(rows),
        };
        Ok(Evaluated { value, work: scope.work.get(), annotations: scope.annotations.into_inner().into_vec() })
    }

    /// Evaluates a plan at each step and joins the results by their labels into a matrix, sorted by label bytes; a scalar becomes one row
    /// without labels.
    ///
    /// # Errors
    /// As [`EvalError`] says; a step that is not positive, or too many steps.
    pub fn evaluate_range(&mut self, plan: &Plan, steps: Steps, sources: &[&Store]) -> Result<Value, EvalError> {
        self.evaluate_range_annotated(plan, steps, sources).map(|evaluated| evaluated.value)
    }

    /// As [`Evaluator::evaluate_range`], with the annotations of all steps.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate_range`].
    pub fn evaluate_range_annotated(&mut self, plan: &Plan, steps: Steps, sources: &[&Store]) -> Result<Evaluated, EvalError> {
        let Steps { from_ms, to_ms, step_ms } = steps;
        if step_ms <= 0 || to_ms.saturating_sub(from_ms) / step_ms >= MOST_STEPS {
            return Err(EvalError::Steps(MOST_STEPS));
        }
        let scope = self.scope(plan, Span { start_ms: from_ms, end_ms: to_ms }, sources)?;
        let mut rows: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut at_ms = from_ms;
        while at_ms <= to_ms {
            scope.work(1)?;
            let samples = match scope.node(&plan.root, at_ms)? {
                Outcome::Scalar(value) => vec![Sample { labels: Labels::empty(), value }],
                Outcome::Vector(elements) => finished(elements)?,
                Outcome::Text(_) => return Err(EvalError::NotOverARange("a text")),
                Outcome::Matrix(_) => return Err(EvalError::NotOverARange("a range vector")),
            };
            for Sample { labels, value } in samples {
                rows.entry(labels).or_default().push((at_ms, value));
            }
            at_ms += step_ms;
        }
        let rows = rows.into_iter().map(|(labels, samples)| SeriesSamples { labels, samples }).collect();
        Ok(Evaluated { value: Value::Matrix(rows), work: scope.work.get(), annotations: scope.annotations.into_inner().into_vec() })
    }

    pub(crate) fn scope<'run>(&mut self, plan: &'run Plan, span: Span, sources: &'run [&'run Store]) -> Result<Scope<'run>, EvalError> {
        let mut series = Vec::with_capacity(plan.selectors.len());
        for selector in &plan.selectors {
            if let Some(unbound) = selector.parameters.first() {
                return Err(EvalError::Unbound(unbound.parameter.to_string()));
            }
            series.push(self.resolve(&selector.matchers, sources));
        }
        let over_a_range = Cell::new(span.start_ms != span.end_ms);
        Ok(Scope { plan, sources, series, span, over_a_range, work: Cell::new(0), annotations: RefCell::default() })
    }

    /// The series that the matchers find in all sources, sorted by label bytes.
    fn resolve(&mut self, matchers: &Arc<[Matcher]>, sources: &[&Store]) -> Arc<[Located]> {
        let address = Arc::as_ptr(matchers).cast::<()>() as usize;
        let unchanged = |found: &&Found| found.generations.iter().copied().eq(sources.iter().map(|store| store.generation()));
        if let Some(found) = self.found.get(&address).filter(unchanged) {
            return found.series.clone();
        }
        let mut series = Vec::new();
        for (source, store) in sources.iter().enumerate() {
            series.extend(store.select(matchers).into_iter().map(|id| Located { source, id }));
        }
        if sources.len() > 1 {
            let labels = |located: &Located| sources[located.source].labels(located.id);
            series.sort_by(|left, right| labels(left).cmp(labels(right)));
            series.dedup_by(|later, earlier| labels(later) == labels(earlier));
        }
        if self.found.len() >= MOST_REMEMBERED {
            self.found.clear();
        }
        let series: Arc<[Located]> = series.into();
        let generations = sources.iter().map(|store| store.generation()).collect();
        self.found.insert(address, Found { matchers: matchers.clone(), generations, series: series.clone() });
        debug_assert!(self.found.get(&address).is_some_and(|found| Arc::ptr_eq(&found.matchers, matchers)));
        series
    }
}

/// The first and last moment of the whole evaluation, for `@ start()` and `@ end()`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub start_ms: i64,
    pub end_ms: i64,
}

/// One evaluation of one plan: its sources, and the series that each selector found.
pub(crate) struct Scope<'run> {
    plan: &'run Plan,
    sources: &'run [&'run Store],
    series: Vec<Arc<[Located]>>,
    span: Span,
    /// Whether what is evaluated now is evaluated at several steps, of the range or of the subquery around it.
    over_a_range: Cell<bool>,
    /// How many samples and steps were looked at.
    work: Cell<usize>,
    annotations: RefCell<Annotations>,
}

impl Scope<'_> {
    pub(crate) fn node(&self, node: &Node, at_ms: i64) -> Result<Outcome, EvalError> {
        match self.operation(node, at_ms)? {
            Outcome::Vector(elements) if self.plan.drops_at_once => nameless(elements).map(Outcome::Vector),
            outcome => Ok(outcome),
        }
    }

    fn operation(&self, node: &Node, at_ms: i64) -> Result<Outcome, EvalError> {
        match node {
            Node::Number(value) => Ok(Outcome::Scalar(*value)),
            Node::Text(text) => Ok(Outcome::Text(text.to_string())),
            Node::Instant(selector) => Ok(Outcome::Vector(self.instant(*selector, at_ms, |_, value| value)?)),
            Node::Range(_) | Node::Subquery(_) => self.matrix(node, at_ms),
            Node::Negation(inner) => Ok(match self.node(inner, at_ms)? {
                Outcome::Scalar(value) => Outcome::Scalar(-value),
                other => Outcome::Vector(mapped(elements(other), |value| -value)),
            }),
            Node::Call(call) => self.call(call, at_ms),
            Node::Aggregation(aggregation) => {
                let parameter = aggregation.parameter.as_ref().map_or(Ok(0.0), |parameter| self.scalar(parameter, at_ms))?;
                if aggregation.operator == AggregationOperator::Quantile {
                    self.check_quantile(parameter);
                }
                let inner = self.vector(&aggregation.inner, at_ms)?;
                Ok(Outcome::Vector(aggregation.apply(parameter, inner)?))
            }
            Node::Binary(binary) => binary.apply(self.node(&binary.left, at_ms)?, self.node(&binary.right, at_ms)?),
        }
    }

    fn vector(&self, node: &Node, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        Ok(elements(self.node(node, at_ms)?))
    }

    fn scalar(&self, node: &Node, at_ms: i64) -> Result<f64, EvalError> {
        match self.node(node, at_ms)? {
            Outcome::Scalar(value) => Ok(value),
            _ => unreachable!("the parser lets scalars alone stand where a number is wanted"),
        }
    }

    fn matrix(&self, node: &Node, at_ms: i64) -> Result<Outcome, EvalError> {
        let mut rows = Vec::new();
        self.each_window(node, at_ms, &mut |element, window| {
            let samples = window.times.iter().copied().zip(window.values.iter().copied()).collect();
            rows.push(SeriesSamples { labels: element.labels.clone(), samples });
        })?;
        Ok(Outcome::Matrix(rows))
    }

    fn call(&self, call: &Call, at_ms: i64) -> Result<Outcome, EvalError> {
        let argument = |index: usize| self.vector(&call.arguments[index], at_ms);
        let number = |index: usize| self.scalar(&call.arguments[index], at_ms);
        let vector = match &call.function {
            Function::Time => return Ok(Outcome::Scalar(at_ms as f64 / 1_000.0)),
            Function::Pi => return Ok(Outcome::Scalar(std::f64::consts::PI)),
            Function::Scalar => return Ok(Outcome::Scalar(only_value(&argument(0)?))),
            Function::Vector => vec![Element::nameless(number(0)?)],
            Function::Map(function) => mapped(argument(0)?, *function),
            Function::Round => {
                let nearest = if call.arguments.len() > 1 { number(1)? } else { 1.0 };
                mapped(argument(0)?, |value| round(value, nearest))
            }
            Function::Clamp => clamped(argument(0)?, number(1)?, number(2)?),
            Function::ClampMin => clamped(argument(0)?, number(1)?, f64::INFINITY),
            Function::ClampMax => clamped(argument(0)?, f64::NEG_INFINITY, number(1)?),
            Function::Date(part) if call.arguments.is_empty() => vec![Element::nameless(part.of(at_ms as f64 / 1_000.0))],
            Function::Date(part) => mapped(argument(0)?, |value| part.of(value)),
            Function::Timestamp => self.timestamps(&call.arguments[0], at_ms)?,
            Function::Sort { descending } => {
                if self.over_a_range.get() {
                    self.annotate(Annotation::SortOfRange);
                }
                let mut elements = argument(0)?;
                aggregate::sort(&mut elements, *descending);
                elements
            }
            Function::Absent => self.absent(&call.arguments[0], argument(0)?.is_empty()),
            Function::AbsentOverTime => {
                let mut empty = true;
                self.each_window(&call.arguments[0], at_ms, &mut |_, _| empty = false)?;
                self.absent(&call.arguments[0], empty)
            }
            Function::Window(function) => self.windows(*function, &call.arguments, at_ms)?,
            Function::HistogramQuantile => self.histogram_quantiles(number(0)?, &argument(1)?, at_ms),
            Function::HistogramFraction => {
                let (lower, upper) = (number(0)?, number(1)?);
                let histograms = self.histograms(&argument(2)?).into_iter();
                let fractions = histograms.map(|Histogram { labels, mut buckets }| Element {
                    labels,
                    value: histogram::fraction(lower, upper, &mut buckets),
                    drop_name: true,
                });
                fractions.collect()
            }
            Function::LabelReplace(replace) => relabelled(argument(0)?, |element| replace.apply(element))?,
            Function::LabelJoin(join) => relabelled(argument(0)?, |element| join.apply(element))?,
        };
        Ok(Outcome::Vector(vector))
    }

    /// Counts what is looked at, so that no expression takes all time and memory.
    fn work(&self, amount: usize) -> Result<(), EvalError> {
        let work = self.work.get() + amount;
        self.work.set(work);
        if work > MOST_WORK { Err(EvalError::TooMuch(MOST_WORK)) } else { Ok(()) }
    }

    fn annotate(&self, annotation: Annotation) {
        self.annotations.borrow_mut().add(annotation);
    }

    fn check_quantile(&self, quantile: f64) {
        if !(0.0..=1.0).contains(&quantile) {
            self.annotate(Annotation::QuantileOutOfRange(quantile));
        }
    }

    /// The classic histograms among the elements.
    fn histograms(&self, elements: &[Element]) -> Vec<Histogram> {
        histogram::histograms(elements, |labels| {
            let bound = labels.get(histogram::BOUND).unwrap_or_default().to_owned();
            self.annotate(Annotation::BadBucket { metric: labels.metric_name().map(str::to_owned), bound });
        })
    }

    fn histogram_quantiles(&self, quantile: f64, elements: &[Element], at_ms: i64) -> Vec<Element> {
        self.check_quantile(quantile);
        let histograms = self.histograms(elements).into_iter();
        let estimated = histograms.map(|Histogram { labels, mut buckets }| {
            let histogram::Estimate { value, raised } = histogram::quantile(quantile, &mut buckets);
            if let Some(raised) = raised {
                let metric = labels.metric_name().map(str::to_owned);
                self.annotate(Annotation::ForcedMonotonic { metric, raised, samples: 1, first_ms: at_ms, last_ms: at_ms });
            }
            Element { labels, value, drop_name: true }
        });
        estimated.collect()
    }

    /// The newest sample of each series within the lookback that is no staleness marker, as (time, value) through `pick`.
    fn instant(&self, selector: usize, at_ms: i64, pick: impl Fn(i64, f64) -> f64) -> Result<Vec<Element>, EvalError> {
        self.work(self.series[selector].len())?;
        let end_ms = self.moment(self.plan.selectors[selector].moment, at_ms);
        let newest = self.series[selector].iter().filter_map(|located| {
            let store = self.sources[located.source];
            let times = store.times(located.id);
            let index = count_until(times, end_ms).checked_sub(1)?;
            let value = store.values(located.id)[index];
            let seen = times[index] > end_ms - LOOKBACK_MS && !is_stale(value);
            seen.then(|| Element { labels: store.labels(located.id).clone(), value: pick(times[index], value), drop_name: false })
        });
        Ok(newest.collect())
    }

    /// The times of the samples themselves for a plain selector, the time of the evaluation for anything else.
    fn timestamps(&self, argument: &Node, at_ms: i64) -> Result<Vec<Element>, EvalError> {
        let mut elements = match argument {
            Node::Instant(selector) => self.instant(*selector, at_ms, |time_ms, _| time_ms as f64 / 1_000.0)?,
            _ => mapped(self.vector(argument, at_ms)?, |_| at_ms as f64 / 1_000.0),
        };
        for element in &mut elements {
            element.drop_name = true;
        }
        Ok(elements)
    }

    /// One element if there was none, with the labels that a plain selector pins.
    fn absent(&self, argument: &Node, empty: bool) -> Vec<Element> {
        if !empty {
            return Vec::new();
        }
        let labels = match argument {
            Node::Instant(selector) | Node::Range(selector) => pinned_labels(&self.plan.selectors[*selector].matchers),
            _ => Labels::empty(),
        };
        vec![Element { labels, value: 1.0, drop_name: false }]
    }

    fn windows(&self, function: WindowFunction, arguments: &[Node], at_ms: i64) -> Result<Vec<Element>, EvalError> {
        let is_range = |node: &&Node| matches!(node, Node::Range(_) | Node::Subquery(_));
        let range = arguments.iter().find(is_range).expect("the parser demands a range vector");
        let parameter = arguments.iter().find(|node| !is_range(node)).map_or(Ok(0.0), |node| self.scalar(node, at_ms))?;
        let context = WindowContext { parameter, at_ms };
        let mut results = Vec::new();
        self.each_window(range, at_ms, &mut |element, window| {
            if function == WindowFunction::Quantile {
                self.check_quantile(parameter);
            }
            if let Some(value) = function.of(window, context) {
                if matches!(function, WindowFunction::Rate | WindowFunction::Increase) {
                    self.check_counter(element.labels);
                }
                let drop_name = !function.keeps_name() || element.drop_name;
                results.push(Element { labels: element.labels.clone(), value, drop_name });
            }
        })?;
        Ok(results)
    }

    fn check_counter(&self, labels: &Labels) {
        let is_counter = |name: &str| ["_total", "_sum", "_count", "_bucket"].iter().any(|ending| name.ends_with(ending));
        if let Some(metric) = labels.metric_name().filter(|name| !is_counter(name)) {
            self.annotate(Annotation::PossibleNonCounter { metric: metric.to_owned() });
        }
    }

    /// Visits the samples of every series that has any in the window of a range selector or subquery.
    fn each_window(&self, node: &Node, at_ms: i64, visit: &mut dyn FnMut(Visited<'_>, Window<'_>)) -> Result<(), EvalError> {
        let selector = match node {
            Node::Range(selector) => *selector,
            Node::Subquery(subquery) => return self.each_subquery_window(subquery, at_ms, visit),
            _ => unreachable!("the parser lets range vectors alone stand where a window is wanted"),
        };
        let range_ms = self.plan.selectors[selector].range_ms.expect("a range selector has a range");
        let end_ms = self.moment(self.plan.selectors[selector].moment, at_ms);
        let (mut live_times, mut live_values) = (Vec::new(), Vec::new());
        for located in self.series[selector].iter() {
            let store = self.sources[located.source];
            let times = store.times(located.id);
            let to = count_until(times, end_ms);
            let from = count_until(&times[..to], end_ms - range_ms);
            let (mut times, mut values) = (&times[from..to], &store.values(located.id)[from..to]);
            if values.iter().any(|value| is_stale(*value)) {
                live_times.clear();
                live_values.clear();
                for (time, value) in times.iter().zip(values).filter(|(_, value)| !is_stale(**value)) {
                    live_times.push(*time);
                    live_values.push(*value);
                }
                (times, values) = (&live_times, &live_values);
            }
            self.work(1 + times.len())?;
            if !times.is_empty() {
                let visited = Visited { labels: store.labels(located.id), drop_name: false };
                visit(visited, Window { times, values, end_ms, range_ms, may_fall: true });
            }
        }
        Ok(())
    }

    fn each_subquery_window(
        &self,
        subquery: &Subquery,
        at_ms: i64,
        visit: &mut dyn FnMut(Visited<'_>, Window<'_>),
    ) -> Result<(), EvalError> {
        let Subquery { inner, range_ms, step_ms, moment, .. } = subquery;
        let (range_ms, step_ms) = (*range_ms, *step_ms);
        if range_ms / step_ms >= MOST_STEPS {
            return Err(EvalError::Steps(MOST_STEPS));
        }
        let end_ms = self.moment(*moment, at_ms);
        let everything = LabelSubset::all_but([]);
        let mut groups = Groups::new(&everything);
        let mut rows: Vec<Row> = Vec::new();
        let mut step = ((end_ms - range_ms).div_euclid(step_ms) + 1) * step_ms;
        let outside = self.over_a_range.replace(step + step_ms <= end_ms);
        while step <= end_ms {
            self.work(1)?;
            for Element { labels, value, drop_name } in self.vector(inner, step)? {
                let index = groups.find_or_add(&labels);
                if index == rows.len() {
                    rows.push(Row { labels: labels.clone(), ..Row::default() });
                }
                let row = &mut rows[index];
                if row.times.last() == Some(&step) {
                    return Err(EvalError::SameLabels { labels: labels.to_string() });
                }
                row.times.push(step);
                row.values.push(value);
                row.drop_name |= drop_name;
            }
            step += step_ms;
        }
        self.over_a_range.set(outside);
        for Row { labels, times, values, drop_name } in &rows {
            visit(Visited { labels, drop_name: *drop_name }, Window { times, values, end_ms, range_ms, may_fall: true });
        }
        Ok(())
    }

    /// Where a selector or subquery looks when evaluated at a moment.
    fn moment(&self, moment: Moment, at_ms: i64) -> i64 {
        let base_ms = match moment.at {
            None => at_ms,
            Some(At::Start) => self.span.start_ms,
            Some(At::End) => self.span.end_ms,
            Some(At::Time(time_ms)) => time_ms,
        };
        base_ms - moment.offset_ms
    }
}

/// The series whose window is visited.
struct Visited<'labels> {
    labels: &'labels Labels,
    drop_name: bool,
}

#[derive(Default)]
struct Row {
    labels: Labels,
    times: Vec<i64>,
    values: Vec<f64>,
    drop_name: bool,
}

/// How many of the times are at or before a moment. Searched from the newest end, because nearly all questions are about the recent past.
pub(crate) fn count_until(times: &[i64], at_ms: i64) -> usize {
    let mut distance = 1;
    while distance < times.len() && times[times.len() - distance] > at_ms {
        distance *= 2;
    }
    let from = times.len().saturating_sub(distance);
    from + times[from..].partition_point(|time| *time <= at_ms)
}

pub(crate) fn elements(outcome: Outcome) -> Vec<Element> {
    match outcome {
        Outcome::Vector(elements) => elements,
        _ => unreachable!("the parser lets vectors alone stand where elements are wanted"),
    }
}

fn mapped(mut elements: Vec<Element>, function: impl Fn(f64) -> f64) -> Vec<Element> {
    for element in &mut elements {
        element.value = function(element.value);
        element.drop_name = true;
    }
    elements
}

fn clamped(elements: Vec<Element>, least: f64, most: f64) -> Vec<Element> {
    if most < least { Vec::new() } else { mapped(elements, |value| clamp(value, least, most)) }
}

/// The value of the only element, NaN if there is none or more than one.
fn only_value(elements: &[Element]) -> f64 {
    match elements {
        [element] => element.value,
        _ => f64::NAN,
    }
}

fn relabelled(mut elements: Vec<Element>, change: impl Fn(&mut Element)) -> Result<Vec<Element>, EvalError> {
    elements.iter_mut().for_each(change);
    refuse_same_labels(elements.iter().map(|element| &element.labels))?;
    Ok(elements)
}

/// The labels that `=` matchers pin, but for the name. A matcher of a label that was pinned before, or one that is no `=`, takes the label away
/// again, so that the order counts, as it does in Prometheus.
pub(crate) fn pinned_labels(matchers: &[Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    let mut pinned: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| *matcher.name != *METRIC_NAME) {
        if matches!(matcher.op, MatchOp::Equal) && !pinned.contains(&&*matcher.name) {
            builder.put(matcher.name.clone(), matcher.value.clone());
            pinned.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

/// Takes away the names that an operation has marked, and refuses labels that are no longer unique.
fn nameless(mut elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
    if elements.iter().any(|element| element.drop_name) {
        for element in elements.iter_mut().filter(|element| element.drop_name) {
            (element.labels, element.drop_name) = (element.labels.without(METRIC_NAME), false);
        }
        refuse_same_labels(elements.iter().map(|element| &element.labels))?;
    }
    Ok(elements)
}

/// Drops the names that operations have marked, and refuses labels that are no longer unique.
fn finished(elements: Vec<Element>) -> Result<Vec<Sample>, EvalError> {
    let dropping = elements.iter().any(|element| element.drop_name);
    let samples: Vec<Sample> = elements
        .into_iter()
        .map(|Element { labels, value, drop_name }| Sample { labels: if drop_name { labels.without(METRIC_NAME) } else { labels }, value })
        .collect();
    if dropping {
        refuse_same_labels(samples.iter().map(|sample| &sample.labels))?;
    }
    Ok(samples)
}

fn refuse_same_labels<'labels>(all: impl Iterator<Item = &'labels Labels>) -> Result<(), EvalError> {
    let everything = LabelSubset::all_but([]);
    let mut groups = Groups::new(&everything);
    for (index, labels) in all.enumerate() {
        if groups.find_or_add(labels) < index {
            return Err(EvalError::SameLabels { labels: labels.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse_series;
    use proptest::prelude::*;

    const EXPRESSIONS: [&str; 8] = [
        "a",
        "sum by (x) (a)",
        "rate({__name__=~\"a|b\",x=\"1\"}[1m])",
        "a > on (x) b",
        "a or b",
        "absent(c)",
        "max_over_time(a[2m:30s])",
        "histogram_quantile(0.9, a)",
    ];

    /// One sample a series and tick: `None` is a scrape that missed it.
    fn fill(store: &mut Store, ticks: &[Vec<Option<f64>>]) {
        for (tick, values) in ticks.iter().enumerate() {
            for (value, series) in values.iter().zip([r#"a{x="1",le="1"}"#, r#"a{x="2",le="+Inf"}"#, r#"b{x="1"}"#, "c"]) {
                if let Some(value) = value {
                    let id = store.series(&parse_series(series).expect("a series"));
                    store.append(id, (tick as i64 + 1) * 15_000, *value).expect("ticks increase");
                }
            }
        }
    }

    fn samples() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
        let value = prop_oneof![4 => (-100.0..100.0_f64).prop_map(Some), 1 => Just(Some(crate::store::STALE)), 1 => Just(None)];
        prop::collection::vec(prop::collection::vec(value, 4), 1..20)
    }

    fn shown(result: &Result<Value, EvalError>) -> String {
        format!("{result:?}")
    }

    #[test]
    fn series_that_only_their_names_tell_apart_are_refused_where_names_are_dropped_and_late_names_keep_them() {
        let mut store = Store::new();
        for (series, value) in [(r#"a{x="1"}"#, 2.0), (r#"b{x="1"}"#, 3.0)] {
            let id = store.series(&parse_series(series).expect("a series"));
            (0..5_u32).for_each(|tick| store.append(id, i64::from(tick) * 15_000, value * f64::from(tick)).expect("ticks increase"));
        }
        let evaluated = |plan: Plan| Evaluator::new().evaluate(&plan, 60_000, &[&store]);
        for text in [r#"sum by (x) (rate({__name__=~"a|b"}[1m]))"#, r#"max(abs({x="1"}) * 2)"#, r#"sum(-{x="1"})"#] {
            let plan = Plan::parse(text).expect("PromQL");
            let refused = evaluated(plan.clone());
            assert!(matches!(refused, Err(EvalError::SameLabels { .. })), "{text}: {refused:?}");
            let late = evaluated(plan.with_late_names());
            assert!(matches!(&late, Ok(Value::Vector(samples)) if samples.len() == 1), "{text}: {late:?}");
        }
        let named = evaluated(Plan::parse(r#"count by (__name__) (abs(a))"#).expect("PromQL"));
        assert!(matches!(&named, Ok(Value::Vector(samples)) if samples[0].labels.is_empty()), "the name is gone: {named:?}");
    }

    proptest! {
        #[test]
        fn what_is_remembered_changes_no_result(ticks in samples(), expression in prop::sample::select(&EXPRESSIONS)) {
            let plan = Plan::parse(expression).expect("a plan");
            let (mut evaluator, mut store) = (Evaluator::new(), Store::new());
            for tick in 1..=ticks.len() {
                store = Store::new();
                fill(&mut store, &ticks[..tick]);
                let at_ms = tick as i64 * 15_000;
                prop_assert_eq!(shown(&evaluator.evaluate(&plan, at_ms, &[&store])), shown(&plan.evaluate(at_ms, &[&store])));
            }
            let _ = store;
        }

        #[test]
        fn a_union_of_stores_is_as_good_as_one(ticks in samples(), expression in prop::sample::select(&EXPRESSIONS)) {
            let plan = Plan::parse(expression).expect("a plan");
            let (mut whole, mut raw, mut derived) = (Store::new(), Store::new(), Store::new());
            fill(&mut whole, &ticks);
            let part = |keep: fn(usize) -> bool| -> Vec<Vec<Option<f64>>> {
                let row = |values: &Vec<Option<f64>>| values.iter().enumerate().map(|(index, value)| value.filter(|_| keep(index))).collect();
                ticks.iter().map(row).collect()
            };
            fill(&mut raw, &part(|index| index % 2 == 0));
            fill(&mut derived, &part(|index| index % 2 == 1));
            let at_ms = ticks.len() as i64 * 15_000;
            prop_assert_eq!(shown(&plan.evaluate(at_ms, &[&raw, &derived])), shown(&plan.evaluate(at_ms, &[&whole])));
        }

        #[test]
        fn searching_from_the_newest_end_finds_what_a_plain_search_finds(mut times in prop::collection::vec(0_i64..100, 0..40), at_ms in -5_i64..105) {
            times.sort_unstable();
            times.dedup();
            prop_assert_eq!(count_until(&times, at_ms), times.partition_point(|time| *time <= at_ms));
        }
    }

    #[test]
    fn a_series_that_is_born_is_seen_at_once() {
        let plan = Plan::parse("up").expect("a plan");
        let (mut evaluator, mut store) = (Evaluator::new(), Store::new());
        assert_eq!(evaluator.evaluate(&plan, 0, &[&store]), Ok(Value::Vector(Vec::new())));
        let labels = Labels::named("up", &[]);
        let id = store.series(&labels);
        store.append(id, 0, 1.0).expect("the first sample");
        assert_eq!(evaluator.evaluate(&plan, 0, &[&store]), Ok(Value::Vector(vec![Sample { labels, value: 1.0 }])));
    }

    #[test]
    fn of_one_label_set_in_two_sources_the_earlier_source_counts() {
        let plan = Plan::parse("up").expect("a plan");
        let labels = Labels::named("up", &[]);
        let store = |value: f64| {
            let mut store = Store::new();
            let id = store.series(&labels);
            store.append(id, 0, value).expect("the first sample");
            store
        };
        let value = plan.evaluate(0, &[&store(1.0), &store(2.0)]);
        assert_eq!(value, Ok(Value::Vector(vec![Sample { labels: labels.clone(), value: 1.0 }])));
    }

    #[test]
    fn evaluations_without_end_are_refused() {
        let refused = Err(EvalError::Steps(MOST_STEPS));
        assert_eq!(Plan::parse("1").expect("a plan").evaluate_range(0, 10, 0, &[]), refused);
        assert_eq!(Plan::parse("1").expect("a plan").evaluate_range(0, i64::MAX, 1, &[]), refused);
        assert_eq!(Plan::parse("sum_over_time(x[1y:1ms])").expect("a plan").evaluate(0, &[]), refused);
        let nested = "sum_over_time(sum_over_time(x[11d:1s])[11d:1s])";
        assert_eq!(Plan::parse(nested).expect("a plan").evaluate(0, &[]), Err(EvalError::TooMuch(MOST_WORK)));
    }

    #[test]
    fn the_deepest_expression_that_is_allowed_does_not_overflow_the_stack() {
        let texts = [format!("{}1", "-".repeat(500)), format!("{}1", "1^".repeat(500)), format!("{}x", "x or ".repeat(400))];
        for text in texts {
            let plan = Plan::parse(&text).expect("a plan");
            assert!(plan.evaluate(0, &[]).is_ok());
        }
    }
}
