//! What a rule has made of the elements that it has seen: the labels of its results and the series that it writes, worked out once for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Answer, Value};
use firedrill_telemetry::store::{SeriesId, Store};

/// An element of a rule's result.
#[derive(Clone, Debug)]
pub(super) struct Element {
    /// Stands for the labels, for this rule, as long as its machine and the machine's clones live; `None` if nothing does.
    pub number: Option<usize>,
    pub labels: Labels,
    pub value: f64,
}

/// The results of one rule, numbered in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// By the number of the element; [`NONE`] if it was not seen yet.
    results: Vec<u32>,
    labels: Vec<Labels>,
    by_labels: BTreeMap<Labels, u32>,
    /// By result; `None` until it is written.
    series: Vec<Option<SeriesId>>,
}

const NONE: u32 = u32::MAX;

/// The elements of an answer.
///
/// # Errors
/// It is neither a vector nor a scalar.
pub(super) fn elements(answer: Answer<'_>) -> Result<Vec<Element>, String> {
    let unnumbered = |labels, value| Element { number: None, labels, value };
    match answer {
        Answer::Vector(elements) => {
            Ok(elements.iter().map(|(number, labels, value)| Element { number: Some(number), labels: labels.clone(), value }).collect())
        }
        Answer::Scalar(value) | Answer::Other(Value::Scalar(value)) => Ok(vec![unnumbered(Labels::empty(), value)]),
        Answer::Other(Value::Vector(samples)) => Ok(samples.into_iter().map(|sample| unnumbered(sample.labels, sample.value)).collect()),
        Answer::Other(_) => Err("the result is neither a vector nor a scalar".to_owned()),
    }
}

impl Known {
    /// The results of some elements whose labels become those that `make` gives; it must always give the same for the same element.
    pub(super) fn results(this: &mut Arc<Known>, elements: &[Element], make: impl Fn(&Element) -> Labels) -> Vec<u32> {
        let result = |known: &Known, element: &Element| known.results.get(element.number?).copied().filter(|result| *result != NONE);
        let of = |known: &Known| elements.iter().map(|element| result(known, element)).collect::<Option<Vec<u32>>>();
        // What a fork shares is copied only to learn more.
        of(this).unwrap_or_else(|| {
            let known = Arc::make_mut(this);
            elements.iter().map(|element| result(known, element).unwrap_or_else(|| known.learn(element.number, make(element)))).collect()
        })
    }

    /// The series of some results. Those that are new are born in the order of their labels, so that it does not depend on that of the elements.
    pub(super) fn series(this: &mut Arc<Known>, results: &[u32], store: &mut Store) -> Vec<SeriesId> {
        let of = |known: &Known| results.iter().map(|result| known.series[*result as usize]).collect::<Option<Vec<SeriesId>>>();
        of(this).unwrap_or_else(|| {
            let known = Arc::make_mut(this);
            let mut new: Vec<u32> = results.iter().copied().filter(|result| known.series[*result as usize].is_none()).collect();
            new.sort_by(|left, right| known.labels(*left).cmp(known.labels(*right)));
            for result in new {
                known.series[result as usize] = Some(store.series(&known.labels[result as usize]));
            }
            of(known).expect("all are born")
        })
    }

    /// The labels of a result.
    pub(super) fn labels(&self, result: u32) -> &Labels {
        &self.labels[result as usize]
    }

    fn learn(&mut self, number: Option<usize>, labels: Labels) -> u32 {
        let next = u32::try_from(self.labels.len()).expect("fewer than 2^32 results");
        let result = *self.by_labels.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.series.push(None);
            next
        });
        if let Some(number) = number {
            if self.results.len() <= number {
                self.results.resize(number + 1, NONE);
            }
            self.results[number] = result;
        }
        result
    }
}
