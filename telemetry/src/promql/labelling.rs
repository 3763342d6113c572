//! `label_replace` and `label_join`.

use std::sync::Arc;

use super::plan::{LabelJoin, LabelReplace};
use super::value::Element;
use crate::labels::METRIC_NAME;

impl LabelReplace {
    /// Writes the replacement where the whole source value matches.
    pub(crate) fn apply(&self, element: &mut Element) {
        let source = element.labels.get(&self.source).unwrap_or_default();
        let Some(captures) = self.pattern.captures(source) else { return };
        let mut value = String::new();
        captures.expand(&self.replacement, &mut value);
        write(element, &self.destination, value);
    }
}

impl LabelJoin {
    /// Writes the source values with the separator between them.
    pub(crate) fn apply(&self, element: &mut Element) {
        let values: Vec<&str> = self.sources.iter().map(|source| element.labels.get(source).unwrap_or_default()).collect();
        let value = values.join(&self.separator);
        write(element, &self.destination, value);
    }
}

fn write(element: &mut Element, destination: &Arc<str>, value: String) {
    let mut builder = element.labels.to_builder();
    builder.put(destination.clone(), value.into());
    element.labels = builder.build();
    // A name that is written on purpose stays.
    element.drop_name &= **destination != *METRIC_NAME;
}
