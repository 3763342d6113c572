//! What exists, as declared: the services, clients and zones that guards count against.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The services that it calls, sorted, each once; empty if it calls none or nobody said.
    pub calls: Vec<Name>,
}

/// The declared population. Guards that speak of shares count against it, not against what happens to be up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Services by name.
    pub services: BTreeMap<Name, ServiceEntry>,
    /// Clients by name.
    pub clients: Vec<Name>,
    /// Machines by name, each with its zone; empty where machines are not modelled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<Name, Name>,
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

    /// Whether `caller` calls `service`, directly or through others. A service in a circle of calls depends on itself.
    #[must_use]
    pub fn depends_on(&self, caller: &str, service: &str) -> bool {
        let mut seen: BTreeSet<&Name> = BTreeSet::new();
        let mut open: Vec<&str> = vec![caller];
        while let Some(next) = open.pop() {
            for callee in self.services.get(next).into_iter().flat_map(|entry| &entry.calls) {
                if callee.as_str() == service {
                    return true;
                }
                if seen.insert(callee) {
                    open.push(callee);
                }
            }
        }
        false
    }

    /// The name of replica `index` of `service`: `SERVICE-INDEX`.
    #[must_use]
    pub fn replica_name(service: &str, index: u32) -> Name {
        Name::from(format!("{service}-{index}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_depends_on_what_it_calls_and_on_what_that_calls() {
        let entry = |calls: &[&str]| ServiceEntry {
            replicas: 1,
            zones: Vec::new(),
            critical: true,
            calls: calls.iter().copied().map(Name::new).collect(),
        };
        let services = [("web", entry(&["api"])), ("api", entry(&["db", "queue"])), ("db", entry(&[])), ("queue", entry(&["api"]))];
        let inventory = Inventory {
            services: services.map(|(name, entry)| (Name::new(name), entry)).into(),
            clients: Vec::new(),
            nodes: BTreeMap::new(),
        };
        assert!(inventory.depends_on("web", "db") && inventory.depends_on("queue", "db"));
        assert!(!inventory.depends_on("db", "web") && !inventory.depends_on("unknown", "db"));
        assert!(inventory.depends_on("api", "api") && !inventory.depends_on("web", "web"), "only what goes round in a circle");
    }
}
