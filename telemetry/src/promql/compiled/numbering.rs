//! Label sets numbered in the order in which they were first seen.

use std::collections::BTreeMap;

use super::super::group::LabelSubset;
use crate::labels::Labels;

/// Numbers for label sets, as far as a subset of the labels tells them apart. A number once given stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbering {
    by_hash: BTreeMap<u64, u32>,
    /// The counting labels of each number.
    labels: Vec<Labels>,
}

impl Numbering {
    /// The number of the labels that count. One numbering must always be asked with the same subset.
    pub(super) fn number(&mut self, subset: &LabelSubset, labels: &Labels) -> u32 {
        let mut hash = subset.hash(labels);
        while let Some(number) = self.by_hash.get(&hash) {
            if subset.equal(&self.labels[*number as usize], labels) {
                return *number;
            }
            // Equal hashes are rare, and the next place does as well.
            hash = hash.wrapping_add(1);
        }
        let number = u32::try_from(self.labels.len()).expect("fewer than 2^32 label sets");
        self.by_hash.insert(hash, number);
        self.labels.push(subset.of(labels));
        number
    }

    /// The number of a whole label set.
    pub(super) fn whole(&mut self, labels: &Labels) -> u32 {
        self.number(&LabelSubset::all_but([]), labels)
    }

    pub(super) fn labels(&self, number: u32) -> &Labels {
        &self.labels[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }
}
