//! The embedded library as the command sees it: names, texts, one line about each.

use firedrill_policies::library as policy_library;
use firedrill_policies::policy::Policy;
use firedrill_scenarios::library as scenario_library;
use firedrill_scenarios::systems;
use firedrill_scenarios::{Scenario, read_scenario};

use crate::load::{Shelf, Source};

/// One thing of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its family, owner or kind.
    pub group: String,
    /// One line about it.
    pub about: String,
}

/// An incident of the library: a folder's files, by path within it.
#[derive(Debug)]
pub struct EmbeddedIncident {
    /// Its name, that of its folder.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Path and text of each file.
    pub files: &'static [(&'static str, &'static str)],
}

/// Recorded from simulated runs of our own, and said so in each; they make `gate` replay something on every machine.
const INCIDENTS: &[EmbeddedIncident] = &[
    EmbeddedIncident {
        name: "hang-one-replica",
        about: "One of three replicas stopped working; recorded from a simulated run.",
        files: &[
            ("incident.yaml", include_str!("../incidents/hang-one-replica/incident.yaml")),
            ("recording.jsonl", include_str!("../incidents/hang-one-replica/recording.jsonl")),
        ],
    },
    EmbeddedIncident {
        name: "retry-storm",
        about: "A queue that retries kept full after a brownout; recorded from a simulated run.",
        files: &[
            ("incident.yaml", include_str!("../incidents/retry-storm/incident.yaml")),
            ("recording.jsonl", include_str!("../incidents/retry-storm/recording.jsonl")),
        ],
    },
];

impl EmbeddedIncident {
    /// The name that its `incident.yaml` gives it, by which reports call it.
    fn own_name(&self) -> &'static str {
        let lines = self.files.iter().flat_map(|(_, text)| text.lines());
        lines.filter_map(|line| line.strip_prefix("incident:")).map(str::trim).next().unwrap_or(self.name)
    }
}

/// The incident with this name: its folder's, or the one that reports call it by.
#[must_use]
pub fn incident(name: &str) -> Option<&'static EmbeddedIncident> {
    INCIDENTS.iter().find(|incident| incident.name == name || incident.own_name() == name)
}

/// Scenarios that are no references, by path and text, of one family.
#[must_use]
pub fn scenarios_of_family(family: &str) -> Vec<Source> {
    let in_family = |path: &str| path.split('/').rev().nth(1) == Some(family);
    let entries = scenario_library::ENTRIES.iter().filter(|entry| in_family(entry.path));
    entries.map(|entry| Source { path: entry.path.to_owned(), text: entry.text.to_owned() }).collect()
}

/// Every family whose scenarios judge policies.
#[must_use]
pub fn families() -> Vec<String> {
    let mut families: Vec<String> =
        scenarios().into_iter().map(|entry| entry.group).filter(|family| family != REFERENCE && family != SYSTEMS).collect();
    families.dedup();
    families
}

const REFERENCE: &str = "reference";
/// Systems are there to be imported; nothing happens in them.
const SYSTEMS: &str = "systems";

/// Where scenarios are found by name.
#[must_use]
pub fn scenario_shelf() -> Shelf<'static> {
    let get = |name: &str| {
        let found = scenario_library::get(name).map(|(path, text)| (path.to_owned(), text.to_owned()));
        found.or_else(|| systems::get(name).map(|system| (system.path, system.text)))
    };
    let names = scenario_library::names().chain(systems::ENTRIES.iter().map(|entry| entry.name));
    Shelf { what: "scenario", names: names.collect(), get }
}

/// Where policies are found by name.
#[must_use]
pub fn policy_shelf() -> Shelf<'static> {
    let get = |name: &str| policy_library::policy(name).map(|(path, text)| (path.to_owned(), text.to_owned()));
    Shelf { what: "policy", names: policy_library::policy_names().collect(), get }
}

/// Where rule files are found by name.
#[must_use]
pub fn rule_shelf() -> Shelf<'static> {
    let get = |name: &str| policy_library::rule_file(name).map(|(path, text)| (path.to_owned(), text.to_owned()));
    Shelf { what: "rule file", names: policy_library::rule_file_names().collect(), get }
}

/// Whether a rule file watches where nobody names rules: the library's policies listen to it, and it is about series that services here expose.
/// Rules about the series of one recording, rules for special contexts, rules about what few services run out of, and those that only hazards listen to,
/// watch only where they are named.
#[must_use]
pub fn watches_by_default(name: &str) -> bool {
    let is_in_context = policy_library::rule_file(name).is_some_and(|(path, _)| path.contains("/context/"));
    !["naive", "online-boutique", "resources"].contains(&name) && !is_in_context
}

/// Where incidents are found by name.
#[must_use]
pub fn incident_shelf() -> Shelf<'static> {
    Shelf { what: "incident", names: INCIDENTS.iter().flat_map(|incident| [incident.name, incident.own_name()]).collect(), get: |_| None }
}

/// Scenarios with family and first sentence.
#[must_use]
pub fn scenarios() -> Vec<Entry> {
    let about = |text: &str, path: &str| of_scenario(&read_scenario(path, text).expect("a scenario of the library is sound"));
    scenario_library::ENTRIES.iter().chain(systems::ENTRIES).map(|entry| about(entry.text, entry.path)).collect()
}

/// Policies with owner and first sentence.
#[must_use]
pub fn policies() -> Vec<Entry> {
    let entry = |name: &str| {
        let (path, text) = policy_library::policy(name).expect("listed");
        let policy = firedrill_policies::document::read_policy(path, text).expect("a policy of the library is sound");
        let hazard = path.contains("/hazards/");
        let entry = of_policy(&policy);
        if hazard { Entry { group: "hazard".to_owned(), ..entry } } else { entry }
    };
    policy_library::policy_names().map(entry).collect()
}

/// A policy with owner and first sentence.
#[must_use]
pub fn of_policy(policy: &Policy) -> Entry {
    Entry { name: policy.name.to_string(), group: policy.owner.to_string(), about: first_sentence(&policy.description) }
}

/// A scenario with family and first sentence.
#[must_use]
pub fn of_scenario(scenario: &Scenario) -> Entry {
    Entry { name: scenario.name.to_string(), group: scenario.family.to_string(), about: first_sentence(&scenario.description) }
}

/// A rule file with the number of its rules and its first line.
#[must_use]
pub fn of_rules(name: &str, path: &str, text: &str) -> Entry {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("- alert:") || line.starts_with("- record:")).count();
    let about = text.lines().next().filter(|line| line.starts_with('#')).unwrap_or_default().trim_start_matches('#').trim();
    Entry {
        name: name.to_owned(),
        group: format!("{lines} rule{}", if lines == 1 { "" } else { "s" }),
        about: if about.is_empty() { path.to_owned() } else { about.to_owned() },
    }
}

/// Rule files with the number of their rules.
#[must_use]
pub fn rules() -> Vec<Entry> {
    let entry = |name: &str| {
        let (path, text) = policy_library::rule_file(name).expect("listed");
        of_rules(name, path, text)
    };
    policy_library::rule_file_names().map(entry).collect()
}

/// Incidents with where they come from.
#[must_use]
pub fn incidents() -> Vec<Entry> {
    let entry = |incident: &EmbeddedIncident| Entry {
        name: incident.name.to_owned(),
        group: "recorded".to_owned(),
        about: incident.about.to_owned(),
    };
    INCIDENTS.iter().map(entry).collect()
}

/// The first sentence of a text, on one line.
#[must_use]
pub fn first_sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.split_once(". ").map_or(line.clone(), |(first, _)| format!("{first}."))
}
