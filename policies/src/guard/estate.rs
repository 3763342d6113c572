//! What a project says of its services and zones: whose they are, how much a replica carries, and where zones stand.

use std::collections::BTreeMap;

use firedrill_core::name::Name;

/// Services and zones beyond what scenarios declare. What is not here is not known, and a guard that needs it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// Who owns each service.
    pub owners: BTreeMap<Name, Name>,
    /// How much one replica of each service carries, in the project's own unit, such as requests per second.
    pub capacities: BTreeMap<Name, u64>,
    /// In which region each zone lies.
    pub regions: BTreeMap<Name, Name>,
    /// Which cluster each zone belongs to.
    pub clusters: BTreeMap<Name, Name>,
}

impl Estate {
    /// Whether the project says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The keys with one value, sorted.
pub(super) fn all_with(map: &BTreeMap<Name, Name>, value: &Name) -> Vec<Name> {
    map.iter().filter(|(_, own)| *own == value).map(|(key, _)| key.clone()).collect()
}
