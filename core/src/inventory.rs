//! What exists, as declared: the services, clients and zones that guards count against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// A declared service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// Declared replicas, at least 1.
    pub replicas: u32,
    /// Zones; replica `i` stands in zone `i % zones.len()`. Empty when zones are not modelled.
    pub zones: Vec<Name>,
    /// Whether the service is critical; unknown counts as critical.
    pub critical: bool,
}

/// The declared population. Guards that speak of shares count against it, not against what happens to be up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Services by name.
    pub services: BTreeMap<Name, ServiceEntry>,
    /// Clients by name.
    pub clients: Vec<Name>,
}

impl Inventory {
    /// All zones, sorted, each once.
    #[must_use]
    pub fn zones(&self) -> Vec<Name> {
        let mut zones: Vec<Name> = self.services.values().flat_map(|service| service.zones.iter().cloned()).collect();
        zones.sort();
        zones.dedup();
        zones
    }

    /// The name of replica `index` of `service`: `SERVICE-INDEX`.
    #[must_use]
    pub fn replica_name(service: &str, index: u32) -> Name {
        Name::from(format!("{service}-{index}"))
    }
}
