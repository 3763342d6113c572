//! Putting elements with equal labels together, where only some of the labels count.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::labels::{Labels, METRIC_NAME};

/// Which labels count: the named ones, or all but the named ones.
#[derive(Debug, Clone)]
pub(crate) struct LabelSubset {
    names: Vec<Arc<str>>,
    include: bool,
}

impl LabelSubset {
    /// Only these labels: `by`, `on`.
    pub(crate) fn only(names: impl IntoIterator<Item = Arc<str>>) -> LabelSubset {
        LabelSubset { names: names.into_iter().collect(), include: true }
    }

    /// All labels but these: the buckets of one histogram.
    pub(crate) fn all_but(names: impl IntoIterator<Item = Arc<str>>) -> LabelSubset {
        LabelSubset { names: names.into_iter().collect(), include: false }
    }

    /// All labels but these and the metric name: `without`, `ignoring`.
    pub(crate) fn nameless_but(names: impl IntoIterator<Item = Arc<str>>) -> LabelSubset {
        LabelSubset::all_but(names.into_iter().chain([Arc::from(METRIC_NAME)]))
    }

    pub(crate) fn is_include(&self) -> bool {
        self.include
    }

    /// The labels that are named.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(crate) fn add(&mut self, name: Arc<str>) {
        self.names.push(name);
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|own| **own == *name) == self.include
    }

    /// The labels that count.
    pub(crate) fn of(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.contains(name))
    }

    /// Whether two label sets agree on the labels that count.
    pub(crate) fn equal(&self, left: &Labels, right: &Labels) -> bool {
        #[cfg(test)]
        COMPARISONS.set(COMPARISONS.get() + 1);
        if self.include {
            return self.names.iter().all(|name| left.get(name) == right.get(name));
        }
        let counting = |labels: &Labels| labels.iter().filter(|(name, _)| self.contains(name)).count();
        counting(left) == counting(right) && left.iter().all(|(name, value)| !self.contains(name) || right.get(name) == Some(value))
    }

    /// A hash of the labels that count; equal ones have equal hashes.
    pub(crate) fn hash(&self, labels: &Labels) -> u64 {
        let counting = labels.iter().filter(|(name, _)| self.contains(name));
        counting.fold(0, |hash, (name, value)| mixed(mixed(hash, name), value))
    }
}

#[cfg(test)]
thread_local! {
    static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often two label sets have been compared in this thread.
#[cfg(test)]
pub(crate) fn comparisons() -> usize {
    COMPARISONS.get()
}

/// Mixes a text into a hash, eight bytes at a time. Equal hashes are told apart by the labels themselves, so its quality decides speed alone.
fn mixed(hash: u64, text: &str) -> u64 {
    let mix = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let hash = text.as_bytes().chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash, u64::from_le_bytes(word))
    });
    mix(hash, text.len() as u64)
}

/// Groups numbered from 0 in the order of their first element.
#[derive(Debug)]
pub(crate) struct Groups<'subset> {
    subset: &'subset LabelSubset,
    by_hash: BTreeMap<u64, usize>,
    /// One element of each group, which settles what equal hashes cannot.
    firsts: Vec<Labels>,
}

impl<'subset> Groups<'subset> {
    pub(crate) fn new(subset: &'subset LabelSubset) -> Groups<'subset> {
        Groups { subset, by_hash: BTreeMap::new(), firsts: Vec::new() }
    }

    /// Which labels count.
    pub(crate) fn subset(&self) -> &LabelSubset {
        self.subset
    }

    /// The group of these labels, if an element of it has been seen.
    pub(crate) fn find(&self, labels: &Labels) -> Option<usize> {
        self.locate(labels).ok()
    }

    /// The group of these labels, new with the number [`Groups::len`] if it has not been seen.
    pub(crate) fn find_or_add(&mut self, labels: &Labels) -> usize {
        match self.locate(labels) {
            Ok(index) => index,
            Err(free) => {
                self.by_hash.insert(free, self.firsts.len());
                self.firsts.push(labels.clone());
                self.firsts.len() - 1
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// The labels of the first element of a group.
    pub(crate) fn first(&self, index: usize) -> &Labels {
        &self.firsts[index]
    }

    /// The group, or the free place for it.
    fn locate(&self, labels: &Labels) -> Result<usize, u64> {
        let mut hash = self.subset.hash(labels);
        while let Some(index) = self.by_hash.get(&hash) {
            if self.subset.equal(&self.firsts[*index], labels) {
                return Ok(*index);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::parse_series;

    #[track_caller]
    fn check(subset: &LabelSubset, series: &[&str], expected: &[usize]) {
        let mut groups = Groups::new(subset);
        let labels = series.iter().map(|text| parse_series(text).expect("a series"));
        let found: Vec<usize> = labels.map(|labels| groups.find_or_add(&labels)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn elements_are_grouped_by_the_labels_that_count() {
        let series = [r#"a{x="1",y="1"}"#, r#"b{x="1",y="2"}"#, r#"a{x="2",y="1"}"#, r#"a{y="1"}"#, r#"c{x="1",y="1"}"#];
        check(&LabelSubset::only(["x".into()]), &series, &[0, 0, 1, 2, 0]);
        check(&LabelSubset::only([]), &series, &[0, 0, 0, 0, 0]);
        check(&LabelSubset::nameless_but(["x".into()]), &series, &[0, 1, 0, 0, 0]);
        check(&LabelSubset::nameless_but([]), &series, &[0, 1, 2, 3, 0]);
        check(&LabelSubset::all_but(["x".into()]), &series, &[0, 1, 0, 0, 2]);
    }
}
