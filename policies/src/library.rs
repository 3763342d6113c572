//! Policies and rule files of our own, embedded in the binary. They lie beside the sources, in `policies/library/`.

/// One file of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path within the project.
    pub path: &'static str,
    /// Its whole text.
    pub text: &'static str,
}

macro_rules! entry {
    ($path:literal) => {
        Entry { path: concat!("policies/library/", $path), text: include_str!(concat!("../library/", $path)) }
    };
}

/// Every policy, sorted by name; those in `hazards/` are plausible and make things worse.
pub const POLICIES: &[Entry] = &[
    entry!("hazards/assume-the-reboot.yaml"),
    entry!("break-hanging-dependency.yaml"),
    entry!("break-retry-storm.yaml"),
    entry!("clear-filling-volume.yaml"),
    entry!("drain-lost-zone.yaml"),
    entry!("drain-sick-replica.yaml"),
    entry!("hazards/evacuate-on-failed-checks.yaml"),
    entry!("fail-over-lost-primary.yaml"),
    entry!("hazards/fail-over-on-failed-writes.yaml"),
    entry!("flush-unreadable-entries.yaml"),
    entry!("isolate-slow-dependency.yaml"),
    entry!("online-boutique-restart.yaml"),
    entry!("page-on-user-impact.yaml"),
    entry!("park-poisoned-messages.yaml"),
    entry!("renew-expired-certificate.yaml"),
    entry!("hazards/replace-after-the-storm.yaml"),
    entry!("hazards/replace-below-the-gate.yaml"),
    entry!("hazards/replace-busy-nodes.yaml"),
    entry!("replace-starved-node.yaml"),
    entry!("reset-starving-pool.yaml"),
    entry!("hazards/restart-all.yaml"),
    entry!("restart-before-oom.yaml"),
    entry!("restart-crashed-or-hung.yaml"),
    entry!("hazards/restart-unless-counted.yaml"),
    entry!("hazards/restart-until-well.yaml"),
    entry!("revert-config-drift.yaml"),
    entry!("hazards/rollback-after-objections.yaml"),
    entry!("rollback-on-regression.yaml"),
    entry!("scale-back-thread-limit.yaml"),
    entry!("hazards/scale-in-when-idle.yaml"),
    entry!("scale-on-saturation.yaml"),
    entry!("hazards/scale-out-on-failures.yaml"),
    entry!("scale-out-waiting-workers.yaml"),
    entry!("shift-from-slow-zone.yaml"),
    entry!("hazards/trust-the-probe.yaml"),
];

/// Every rule file, sorted by name.
pub const RULE_FILES: &[Entry] = &[
    entry!("rules/context/composite.yaml"),
    entry!("rules/context/contextual.yaml"),
    entry!("rules/kubernetes.yaml"),
    entry!("rules/naive.yaml"),
    entry!("rules/online-boutique.yaml"),
    entry!("rules/resources.yaml"),
    entry!("rules/context/seasonal.yaml"),
    entry!("rules/slo.yaml"),
    entry!("rules/stateful.yaml"),
    entry!("rules/users.yaml"),
];

/// The names of all policies, sorted: those of their files.
pub fn policy_names() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().map(Entry::name)
}

/// Path and text of a policy; `None` if there is none of this name.
#[must_use]
pub fn policy(name: &str) -> Option<(&'static str, &'static str)> {
    find(POLICIES, name)
}

/// The names of all rule files, sorted.
pub fn rule_file_names() -> impl Iterator<Item = &'static str> {
    RULE_FILES.iter().map(Entry::name)
}

/// Path and text of a rule file; `None` if there is none of this name.
#[must_use]
pub fn rule_file(name: &str) -> Option<(&'static str, &'static str)> {
    find(RULE_FILES, name)
}

fn find(entries: &'static [Entry], name: &str) -> Option<(&'static str, &'static str)> {
    entries.iter().find(|entry| entry.name() == name).map(|entry| (entry.path, entry.text))
}

impl Entry {
    /// Its name: the file's, without folder and extension.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let file = self.path.rsplit('/').next().unwrap_or(self.path);
        file.strip_suffix(".yaml").unwrap_or(file)
    }

    /// Whether it is a policy that is kept as a warning.
    #[must_use]
    pub fn is_hazard(&self) -> bool {
        self.path.contains("/hazards/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;
    use crate::rules::RuleSet;

    #[test]
    fn every_policy_reads_and_is_called_as_its_file_is() {
        for entry in POLICIES {
            let policy = read_policy(entry.path, entry.text).unwrap_or_else(|problems| panic!("{}", problems[0].render(false)));
            assert_eq!(&*policy.name, entry.name());
        }
    }

    #[test]
    fn every_rule_can_be_evaluated_and_every_policy_listens_to_an_alert_that_exists() {
        let rules = RuleSet::read(RULE_FILES.iter().map(|entry| (entry.path, entry.text)))
            .unwrap_or_else(|problems| panic!("{}", problems[0].render(false)));
        let unsupported: Vec<String> = rules.unsupported().map(|(_, rule, error)| format!("{}: {error}", rule.name)).collect();
        assert!(unsupported.is_empty(), "{unsupported:?}");
        for entry in POLICIES {
            let policy = read_policy(entry.path, entry.text).unwrap_or_else(|problems| panic!("{}", problems[0].render(false)));
            for alert in &policy.alerts {
                assert!(rules.alerting(alert).next().is_some(), "{alert} of {}", policy.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_sorted() {
        for names in [policy_names().collect::<Vec<_>>(), rule_file_names().collect()] {
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        }
        assert_eq!(policy("restart-all").map(|(path, _)| path), Some("policies/library/hazards/restart-all.yaml"));
        assert_eq!(policy("none"), None);
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/library");
        let mut found = Vec::new();
        for sub in ["", "hazards", "rules", "rules/context"] {
            for entry in std::fs::read_dir(format!("{folder}/{sub}")).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                if name.ends_with(".yaml") {
                    found.push(format!("policies/library/{sub}{}{name}", if sub.is_empty() { "" } else { "/" }));
                }
            }
        }
        found.sort();
        let mut embedded: Vec<&str> = POLICIES.iter().chain(RULE_FILES).map(|entry| entry.path).collect();
        embedded.sort_unstable();
        assert_eq!(found, embedded);
    }
}
