//! Labels of alerts and targets.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// Labels as people see them, sorted by name.
///
/// An alert's labels go into its incident, into what is open, and into several lines of the journal, and hardly anybody changes them: a clone is a
/// reference count, and whoever changes a clone gets labels of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelSet(Arc<BTreeMap<Name, Name>>);

impl Deref for LabelSet {
    type Target = BTreeMap<Name, Name>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for LabelSet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl From<BTreeMap<Name, Name>> for LabelSet {
    fn from(labels: BTreeMap<Name, Name>) -> Self {
        Self(Arc::new(labels))
    }
}

impl<const N: usize> From<[(Name, Name); N]> for LabelSet {
    fn from(labels: [(Name, Name); N]) -> Self {
        Self::from(BTreeMap::from(labels))
    }
}

impl FromIterator<(Name, Name)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (Name, Name)>>(labels: I) -> Self {
        Self::from(BTreeMap::from_iter(labels))
    }
}

impl Extend<(Name, Name)> for LabelSet {
    fn extend<I: IntoIterator<Item = (Name, Name)>>(&mut self, labels: I) {
        Arc::make_mut(&mut self.0).extend(labels);
    }
}

impl IntoIterator for LabelSet {
    type Item = (Name, Name);
    type IntoIter = btree_map::IntoIter<Name, Name>;
    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = (&'a Name, &'a Name);
    type IntoIter = btree_map::Iter<'a, Name, Name>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_that_is_changed_leaves_the_others_alone_and_is_written_as_labels_are() {
        let first = LabelSet::from([(Name::new("b"), Name::new("2")), (Name::new("a"), Name::new("1"))]);
        let mut second = first.clone();
        second.insert(Name::new("c"), Name::new("3"));
        let text = |labels: &LabelSet| serde_json::to_string(labels).unwrap();
        assert_eq!(text(&first), r#"{"a":"1","b":"2"}"#);
        assert_eq!(text(&second), r#"{"a":"1","b":"2","c":"3"}"#);
        assert_eq!(serde_json::from_str::<LabelSet>(&text(&second)).unwrap(), second);
    }
}
