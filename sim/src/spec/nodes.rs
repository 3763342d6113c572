//! Machines that replicas stand on (docs/MODEL.md 1.4).

use firedrill_core::name::Name;
use firedrill_core::quantity::Bytes;

/// Machines that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolSpec {
    /// What they are called, before their number.
    pub name: Name,
    /// How many there are, at least 1.
    pub count: u32,
    /// Where they stand.
    pub zone: Name,
    /// What each has for replicas, thousandths of a core.
    pub millicores: u64,
    /// What each has for replicas.
    pub memory: Bytes,
}

impl NodePoolSpec {
    /// The name of one of them; `index` counts from 0.
    #[must_use]
    pub fn node(&self, index: u32) -> Name {
        Name::from(format!("{}-{index}", self.name))
    }
}
