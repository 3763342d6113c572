//! Aggregations: many elements to one a group, or the first few of each group.

use std::sync::Arc;

use super::group::{Groups, LabelSubset};
use super::plan::{Aggregation, AggregationOperator};
use super::sum::{Mean, Sum, quantile};
use super::value::{Element, EvalError, written};

impl Aggregation {
    /// Aggregates the elements; `parameter` is the count of `topk` and `bottomk` or the quantile of `quantile`.
    ///
    /// # Errors
    /// The parameter is no count.
    pub(crate) fn apply(&self, parameter: f64, elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
        use AggregationOperator as Op;
        let subset = &self.subset;
        let aggregated = match &self.operator {
            Op::Top => return ranked(subset, parameter, elements, true),
            Op::Bottom => return ranked(subset, parameter, elements, false),
            Op::CountValues(label) => count_values(subset, label, elements),
            Op::Sum => fold(subset, &elements, Sum::of, |sum, value| sum.plus(value), Sum::value),
            Op::Average => fold(subset, &elements, Mean::of, |mean, value| mean.with(value), Mean::value),
            Op::Minimum => fold(
                subset,
                &elements,
                |value| value,
                |least, value| if value < least || least.is_nan() { value } else { least },
                |least| least,
            ),
            Op::Maximum => {
                fold(subset, &elements, |value| value, |most, value| if value > most || most.is_nan() { value } else { most }, |most| most)
            }
            Op::Count => fold(subset, &elements, |_| 1.0, |count, _| count + 1.0, |count| count),
            Op::Group => fold(subset, &elements, |_| (), |(), _| (), |()| 1.0),
            Op::Variance => fold(subset, &elements, Spread::of, Spread::with, |spread| spread.variance()),
            Op::Deviation => fold(subset, &elements, Spread::of, Spread::with, |spread| spread.variance().sqrt()),
            Op::Quantile => fold(subset, &elements, |value| vec![value], pushed, |mut values| quantile(parameter, &mut values)),
        };
        Ok(aggregated)
    }
}

/// Folds the values of each group; groups come in the order of their first elements.
fn fold<State>(
    subset: &LabelSubset,
    elements: &[Element],
    first: impl Fn(f64) -> State,
    mut next: impl FnMut(State, f64) -> State,
    result: impl Fn(State) -> f64,
) -> Vec<Element> {
    let mut groups = Groups::new(subset);
    let mut states: Vec<(Option<State>, bool)> = Vec::new();
    for element in elements {
        let index = groups.find_or_add(&element.labels);
        if index == states.len() {
            states.push((Some(first(element.value)), element.drop_name));
            continue;
        }
        let (state, drop_name) = &mut states[index];
        *state = state.take().map(|state| next(state, element.value));
        *drop_name |= element.drop_name;
    }
    let groups = &groups;
    let folded = states.into_iter().enumerate().filter_map(|(index, (state, drop_name))| {
        Some(Element { labels: subset.of(groups.first(index)), value: result(state?), drop_name })
    });
    folded.collect()
}

fn pushed(mut values: Vec<f64>, value: f64) -> Vec<f64> {
    values.push(value);
    values
}

/// Count, mean and squared deviations so far (Welford 1962); not compensated, as in Prometheus.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    pub(crate) fn of(value: f64) -> Spread {
        let squares = if value.is_finite() { 0.0 } else { f64::NAN };
        Spread { count: 1.0, mean: value, squares }
    }

    pub(crate) fn with(self, value: f64) -> Spread {
        let count = self.count + 1.0;
        let delta = value - self.mean;
        let mean = self.mean + delta / count;
        Spread { count, mean, squares: self.squares + delta * (value - mean) }
    }

    pub(crate) fn variance(self) -> f64 {
        self.squares / self.count
    }
}

/// From here on a count would not fit 64 bits in Prometheus, which refuses it too.
pub(crate) const TOO_MANY: f64 = 9_223_372_036_854_774_784.0;

/// The greatest or least elements of each group, NaN last; of equal ones those that come first.
fn ranked(subset: &LabelSubset, count: f64, elements: Vec<Element>, greatest: bool) -> Result<Vec<Element>, EvalError> {
    if count < 1.0 {
        return Ok(Vec::new());
    }
    if count.is_nan() || count >= TOO_MANY {
        return Err(EvalError::NotACount(written(count)));
    }
    let mut groups = Groups::new(subset);
    let mut members: Vec<Vec<Element>> = Vec::new();
    for element in elements {
        let index = groups.find_or_add(&element.labels);
        if index == members.len() {
            members.push(Vec::new());
        }
        members[index].push(element);
    }
    for group in &mut members {
        sort(group, greatest);
        group.truncate(count as usize);
    }
    Ok(members.into_iter().flatten().collect())
}

/// Sorts by value, NaN last either way; equal values keep their order.
pub(crate) fn sort(elements: &mut [Element], descending: bool) {
    elements.sort_by(|left, right| {
        let (left, right) = (left.value, right.value);
        let by_value = if descending { right.partial_cmp(&left) } else { left.partial_cmp(&right) };
        by_value.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
    });
}

fn count_values(subset: &LabelSubset, label: &Arc<str>, mut elements: Vec<Element>) -> Vec<Element> {
    for element in &mut elements {
        let mut builder = element.labels.to_builder();
        builder.put(label.clone(), written(element.value).into());
        element.labels = builder.build();
        element.drop_name = false;
    }
    fold(subset, &elements, |_| 1.0, |count, _| count + 1.0, |count| count)
}
