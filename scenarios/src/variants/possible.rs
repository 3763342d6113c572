//! What could go wrong in a world besides: every kind of entry with every target that it could have there.

use std::collections::BTreeSet;

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::time::Span;
use firedrill_sim::spec::{Misdeed, ServiceSpec, WorldSpec};

use crate::document::fault::FAULTS;
use crate::variants::entry::{Entry, List};
use crate::variants::quantity::Unit;
use crate::variants::ranges::Ranges;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The world, and it hurts.
    Fault,
    /// The world, and it hurts nobody.
    Change,
    /// Monitoring.
    Monitoring,
    /// Whoever carries actions out.
    Actuator,
}

impl Group {
    /// What an entry is about.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        match entry.word().as_str() {
            "actuator" => Self::Actuator,
            word if !FAULTS.contains(&word) => Self::Monitoring,
            _ if entry.list == List::Changes => Self::Change,
            _ => Self::Fault,
        }
    }

    /// The list in which it stands: what is wrong with monitoring or actions alone is no fault of the world, and stands under `changes`.
    const fn list(self) -> List {
        match self {
            Self::Fault => List::Faults,
            Self::Change | Self::Monitoring | Self::Actuator => List::Changes,
        }
    }
}

/// An entry that could be, but for how bad it is and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Possible {
    /// What it is about.
    pub group: Group,
    /// The word that says what happens.
    pub word: &'static str,
    /// Whom it strikes, and what else does not depend on how bad it is, as a file says it.
    fixed: String,
    /// The sizes: the key, its unit, and the mildest and the harshest that are tried.
    sizes: Vec<(&'static str, Unit, f64, f64)>,
    /// Whether it ends by itself after a while.
    lasts: bool,
}

impl Possible {
    /// The entry: `how` bad from 0, the mildest, to 1, the harshest; when, and for how long if it ends by itself.
    #[must_use]
    pub fn entry(&self, how: f64, at: Span, lasting: Span) -> Entry {
        let size = |(key, unit, mild, harsh): &(&str, Unit, f64, f64)| format!("{key}: {}", unit.show(mild + (harsh - mild) * how));
        let parameters: Vec<String> =
            std::iter::once(self.fixed.clone()).filter(|fixed| !fixed.is_empty()).chain(self.sizes.iter().map(size)).collect();
        let lasting = if self.lasts { format!(", lasting: {lasting}") } else { String::new() };
        Entry::written(self.group.list(), &format!("{{ {}: {{ {} }}, at: {at}{lasting} }}", self.word, parameters.join(", ")))
    }

    /// Whether it is more or less bad, and not only there or not.
    #[must_use]
    pub fn has_size(&self) -> bool {
        !self.sizes.is_empty()
    }
}

/// Every entry that could be in a world, in one order. What the world does not allow after all is refused when it is read.
#[must_use]
pub fn possible(spec: &WorldSpec, ranges: &Ranges) -> Vec<Possible> {
    let mut found = Found { all: Vec::new(), ranges };
    for service in &spec.services {
        found.of_replicas(service);
        found.of_service(service);
        found.of_parts(service);
    }
    found.of_places(spec);
    found.of_clients(spec);
    found.of_monitoring(spec);
    for misdeed in Misdeed::ALL {
        let by = if misdeed == Misdeed::Late { "by: 2m" } else { "" };
        found.add((Group::Actuator, "actuator"), by, &[(misdeed.word(), Unit::Share, 0.4, 1.0)], true);
    }
    found.all
}

struct Found<'r> {
    all: Vec<Possible>,
    ranges: &'r Ranges,
}

impl Found<'_> {
    /// One more, if it is among what may be drawn.
    fn add(&mut self, (group, word): (Group, &'static str), fixed: &str, sizes: &[(&'static str, Unit, f64, f64)], lasts: bool) {
        let among = |words: &[Name], word: &str| words.iter().any(|known| known.as_str() == word);
        let may = match group {
            Group::Fault => among(&self.ranges.faults, word),
            Group::Change => among(&self.ranges.changes, word),
            Group::Monitoring => among(&self.ranges.monitoring, word),
            Group::Actuator => sizes.iter().all(|(misdeed, ..)| among(&self.ranges.actuator, misdeed)),
        };
        if may {
            self.all.push(Possible { group, word, fixed: fixed.to_owned(), sizes: sizes.to_vec(), lasts });
        }
    }

    /// What strikes one replica, or all of a service. Replicas are alike, so that the first two stand for all.
    fn of_replicas(&mut self, service: &ServiceSpec) {
        let replica = |index| format!("replica: {}", quoted(&Inventory::replica_name(&service.name, index)));
        let one: Vec<String> = if service.replicas > 1 { (0..2).map(replica).collect() } else { Vec::new() };
        let all = std::iter::once(format!("service: {}", quoted(&service.name)));
        for target in one.into_iter().chain(all) {
            let target = target.as_str();
            self.add((Group::Fault, "hang"), target, &[], false);
            self.add((Group::Fault, "crash"), target, &[("every", Unit::Shorter, 120.0, 30.0)], true);
            self.add((Group::Fault, "slow"), target, &[("factor", Unit::More, 3.0, 20.0)], true);
            self.add((Group::Fault, "capacity"), target, &[("factor", Unit::Less, 0.4, 0.1)], true);
            self.add((Group::Fault, "steal"), target, &[("share", Unit::Share, 0.4, 0.9)], true);
            self.add((Group::Fault, "error_rate"), target, &[("error", Unit::Share, 0.1, 1.0)], true);
            self.add((Group::Fault, "config_drift"), target, &[("error", Unit::Share, 0.1, 0.8)], false);
            self.add((Group::Fault, "connection_leak"), target, &[("share", Unit::Share, 0.01, 0.2)], true);
            if let Some(limit) = service.memory.limit {
                // Full after ten minutes, or after two.
                let room = limit.get().saturating_sub(service.memory.base.get()) as f64;
                self.add((Group::Fault, "memory_leak"), target, &[("leak", Unit::Growth, room / 600.0, room / 120.0)], false);
            }
            if service.disk.is_some() {
                self.add((Group::Fault, "disk_fill"), target, &[("fill", Unit::Growth, f64::from(16 << 20), f64::from(256 << 20))], false);
            }
        }
    }

    /// What strikes a service as a whole.
    fn of_service(&mut self, service: &ServiceSpec) {
        let target = format!("service: {}", quoted(&service.name));
        self.add((Group::Fault, "latency"), &target, &[("extra", Unit::Longer, 0.2, 2.0)], true);
        self.add((Group::Fault, "certificate_expiry"), &target, &[], false);
        for version in service.versions.iter().skip(1) {
            let group = if version.healthy { Group::Change } else { Group::Fault };
            self.add((group, "deploy"), &format!("{target}, version: {}", quoted(&version.name)), &[], false);
        }
        for flag in &service.flags {
            let group = if flag.healthy { Group::Change } else { Group::Fault };
            self.add((group, "flag"), &format!("{target}, flag: {}", quoted(&flag.name)), &[], true);
        }
        for lock in service.locks() {
            self.add((Group::Fault, "lock_hold"), &format!("{target}, lock: {}", quoted(&lock)), &[], true);
        }
        if service.database.is_some() {
            self.add((Group::Fault, "primary_crash"), &target, &[], true);
            self.add((Group::Fault, "replica_lag"), &target, &[("lag", Unit::Longer, 5.0, 120.0)], true);
        }
    }

    /// What strikes parts that only some services have.
    fn of_parts(&mut self, service: &ServiceSpec) {
        let target = format!("service: {}", quoted(&service.name));
        for cache in &service.caches {
            let cache = format!("{target}, cache: {}", quoted(&cache.name));
            self.add((Group::Fault, "cache_flush"), &cache, &[("share", Unit::Share, 0.5, 1.0)], false);
            self.add(
                (Group::Fault, "cache_corruption"),
                &format!("{cache}, prefix: {}", quoted("1")),
                &[("share", Unit::Share, 0.1, 1.0)],
                false,
            );
        }
        if let Some(quota) = service.admission.as_ref().and_then(|admission| admission.quota.as_ref()) {
            let usual = quota.rate.get();
            self.add((Group::Fault, "quota"), &target, &[("rate", Unit::Slower, usual * 0.8, usual * 0.2)], true);
        }
        if service.threads.is_some() {
            let more = f64::from(service.replicas);
            self.add((Group::Fault, "scale_out"), &target, &[("by", Unit::Count, more, 3.0 * more)], false);
        }
    }

    /// What strikes zones and machines.
    fn of_places(&mut self, spec: &WorldSpec) {
        let zones: BTreeSet<&Name> =
            spec.services.iter().flat_map(|service| service.zones.iter().take(service.replicas as usize)).collect();
        for zone in zones.iter().filter(|_| zones.len() > 1) {
            self.add((Group::Fault, "zone_loss"), &format!("zone: {}", quoted(zone)), &[], true);
        }
        for pool in &spec.nodes {
            let node = format!("node: {}", quoted(&format!("{}-0", pool.name)));
            self.add((Group::Fault, "node_loss"), &node, &[], true);
            self.add((Group::Change, "node_drain"), &node, &[], true);
        }
    }

    /// What clients and topics bring. A benign surge is one that a system is built for.
    fn of_clients(&mut self, spec: &WorldSpec) {
        for client in &spec.clients {
            let client = format!("client: {}", quoted(&client.name));
            self.add((Group::Fault, "surge"), &client, &[("factor", Unit::More, 2.0, 5.0)], true);
            self.add((Group::Change, "surge"), &client, &[("factor", Unit::More, 1.05, 1.2)], true);
        }
        for topic in &spec.topics {
            self.add((Group::Fault, "poison"), &format!("topic: {}", quoted(&topic.name)), &[], false);
        }
    }

    fn of_monitoring(&mut self, spec: &WorldSpec) {
        let each = spec.services.iter().map(|service| format!("service: {}", quoted(&service.name)));
        let targets: Vec<String> = std::iter::once(String::new()).chain(each).collect();
        for target in &targets {
            self.add((Group::Monitoring, "scrape_loss"), target, &[("share", Unit::Share, 0.1, 1.0)], true);
            self.add((Group::Monitoring, "frozen_series"), target, &[], true);
            self.add((Group::Monitoring, "late_series"), target, &[("by", Unit::Longer, 20.0, 120.0)], true);
            self.add((Group::Monitoring, "duplicate_series"), target, &[], true);
            self.add((Group::Monitoring, "counter_reset"), target, &[], false);
        }
        self.add((Group::Monitoring, "all_red"), "", &[], true);
        self.add((Group::Monitoring, "prometheus_down"), "", &[], true);
        for metric in ["container_memory_working_set_bytes", "http_request_duration_seconds_sum"] {
            self.add((Group::Monitoring, "scaled_series"), &format!("metric: {metric}, factor: x1000"), &[], true);
        }
    }
}

/// A name as a scalar that YAML takes for nothing else.
fn quoted(name: &str) -> String {
    serde_json::to_string(name).expect("a name can be quoted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::scenario::read_scenario;
    use crate::variants::plan::Origin;

    #[test]
    fn most_of_what_is_possible_can_be_read_and_every_kind_of_fault_is_possible_somewhere() {
        let ranges = Ranges::of(&[]);
        let (mut tried, mut refused, mut kinds) = (0, 0, BTreeSet::new());
        for entry in library::ENTRIES.iter().filter(|entry| !entry.path.contains("/reference/")).step_by(3) {
            let scenario = read_scenario(entry.path, entry.text).unwrap();
            let origin = Origin::of(&scenario);
            for possible in possible(&scenario.spec, &ranges) {
                let mut plan = origin.as_is();
                plan.entries = vec![possible.entry(0.5, Span::from_minutes(6), Span::from_minutes(8))];
                tried += 1;
                match read_scenario(entry.path, &origin.text(&plan)) {
                    Ok(read) => {
                        kinds.insert(possible.word);
                        let is_fault = !read.spec.faults.is_empty();
                        assert_eq!(is_fault, possible.group == Group::Fault, "{possible:?}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused * 3 < tried, "{refused} of {tried} were refused");
        let missing: Vec<&str> = FAULTS.into_iter().filter(|fault| !kinds.contains(fault)).collect();
        assert!(missing.len() <= 6, "never possible: {missing:?}");
    }
}
