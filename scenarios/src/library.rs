//! The scenarios that come with firedrill, embedded so that they run anywhere.

pub use crate::systems::Entry;

macro_rules! entries {
    ($($family:literal: $($name:literal),+;)+) => {
        &[$($(Entry {
            name: $name,
            path: concat!("scenarios/library/", $family, "/", $name, ".yaml"),
            text: include_str!(concat!("../library/", $family, "/", $name, ".yaml")),
        }),+),+]
    };
}

/// Every scenario of the library, by family. A test holds this list equal to the folder.
pub const ENTRIES: &[Entry] = entries! {
    "bad-deploy": "bad-deploy-errors", "bad-deploy-latency";
    "benign": "autoscaler-churn", "canary-noise", "draining-errors", "gc-pause", "monday-morning", "no-traffic", "one-failed-request", "primary-stalls",
        "quiet-night", "rolling-deploy-blip", "scrape-gap", "top-of-the-hour";
    "blind": "blind-hang";
    "calm": "blip", "healthy-deploy", "lunch-peak";
    "crash-loop": "crash-loop-bad-start", "crash-loop-one-replica";
    "feed": "feed-evening-peak", "feed-leak", "feed-loses-its-cache", "feed-poisoned-post";
    "fights": "autoscaler-and-restarter", "autoscaler-scales-in", "database-of-two-teams";
    "hang": "hang-one-replica", "hang-whole-service";
    "memory-leak": "memory-leak-after-deploy", "memory-leak-to-oom";
    "online-shop": "shop-cart-hangs", "shop-loses-a-zone", "shop-slow-catalog";
    "payments": "payments-bad-ledger", "payments-fraud-hangs", "payments-ledger-storm", "payments-loses-its-database";
    "public": "aws-2025-10-20-health-checks", "aws-2025-10-20-stale-plan", "kinesis-2020-11-25", "slack-2021-01-04";
    "reference": "mm1-rho-50", "mm1-rho-70", "mm1-rho-90", "mm10-rho-80", "mm8-rho-90", "published-storm";
    "retry-storm": "retry-storm", "retry-storm-that-wanes";
    "slow-dependency": "slow-database";
    "telemetry": "all-red", "counters-reset", "double-scrape", "exporter-dies", "frozen-metrics", "late-metrics", "prometheus-down", "scrapes-lost",
        "wrong-unit", "zone-unseen";
    "traffic-surge": "traffic-surge";
    "unknown-fault": "spent-quota";
    "zone-loss": "zone-loss";
    "certificate": "certificate-expires";
    "connections": "connection-leak";
    "consumers": "poisoned-order";
    "database": "primary-lost";
    "disk": "disk-fills";
    "drift": "config-drift";
    "external-dependency": "slow-recommendations";
    "greedy-service": "greedy-batch";
    "node": "node-fails-slowly", "node-is-not-rebooted";
    "sick-nodes": "three-sick-nodes";
    "slow-zone": "slow-zone";
    "stale-cache": "spoilt-entries";
    "storm-exit": "nodes-come-back";
    "superseded": "hotfix-on-the-way";
    "thread-limit": "thread-limit";
    "waiting-threads": "slow-network";
};

/// Whether a text under a path is of the library, or a system that comes along: it lies in no folder, whatever folder has that name here.
#[must_use]
pub fn holds(path: &str, text: &str) -> bool {
    ENTRIES.iter().chain(crate::systems::ENTRIES).any(|entry| entry.path == path && entry.text == text)
}

/// All names, in the order of [`ENTRIES`].
pub fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// The path and the text of a scenario of the library.
#[must_use]
pub fn get(name: &str) -> Option<(&'static str, &'static str)> {
    ENTRIES.iter().find(|entry| entry.name == name).map(|entry| (entry.path, entry.text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::read_scenario;

    #[test]
    fn the_list_equals_the_folder() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for family in std::fs::read_dir(root.join("library")).unwrap() {
            let family = family.unwrap().path();
            // Mappings of recordings and systems lie beside the families; those are no scenarios, and in these nothing happens.
            if family.ends_with("mappings") || family.ends_with("systems") {
                continue;
            }
            for file in std::fs::read_dir(family).unwrap() {
                let path = file.unwrap().path();
                files.push(format!("scenarios/{}", path.strip_prefix(root).unwrap().display()));
            }
        }
        files.sort();
        let mut listed: Vec<&str> = ENTRIES.iter().map(|entry| entry.path).collect();
        listed.sort_unstable();
        assert_eq!(files, listed);
    }

    #[test]
    fn every_scenario_is_sound_named_after_its_file_and_told_to_people() {
        for entry in ENTRIES {
            let scenario = match read_scenario(entry.path, entry.text) {
                Ok(scenario) => scenario,
                Err(problems) => panic!("{}", problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")),
            };
            assert_eq!(&*scenario.name, entry.name);
            assert!(entry.path.starts_with(&format!("scenarios/library/{}/", scenario.family)), "{}", entry.path);
            assert!(!scenario.description.is_empty(), "{}", entry.name);
            // Of an incident in which nothing was wrong but the checks, too.
            let is_peaceful =
                ["benign", "calm", "telemetry"].contains(&scenario.family.as_str()) || entry.name == "aws-2025-10-20-health-checks";
            assert_eq!(scenario.calm && !scenario.reference, is_peaceful, "{}", entry.name);
            assert_eq!(scenario.reference, &*scenario.family == "reference", "{}", entry.name);
            // What nobody can cure by an action has no oracle: the right answer is a page.
            let is_incurable = &*scenario.family == "unknown-fault";
            // An autoscaler does already what could be done, or to wait is best.
            let cures_itself = ["autoscaler-and-restarter", "autoscaler-scales-in", "nodes-come-back"].contains(&entry.name);
            assert_eq!(
                scenario.spec.cures.is_empty(),
                scenario.calm || scenario.reference || is_incurable || cures_itself,
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn enough_families_are_there() {
        let scenarios: Vec<_> = ENTRIES.iter().map(|entry| read_scenario(entry.path, entry.text).unwrap()).collect();
        let rehearsed = scenarios.iter().filter(|scenario| !scenario.reference);
        let (calm, faulty): (Vec<_>, Vec<_>) = rehearsed.partition(|scenario| scenario.calm);
        let mut families: Vec<&str> = faulty.iter().map(|scenario| scenario.family.as_str()).collect();
        families.sort_unstable();
        families.dedup();
        assert!(faulty.len() >= 9 && calm.len() >= 2 && families.len() >= 8, "{families:?}");
    }
}
