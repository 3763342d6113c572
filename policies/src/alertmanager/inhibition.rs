//! Which alerts are muted because others are active.

use std::collections::BTreeMap;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use super::alert::Alert;
use super::config::InhibitRule;

/// The alert by which any rule mutes another at `now`. It need not have been told to anybody, and may itself be silenced.
pub(super) fn inhibitor<'a>(
    rules: &[InhibitRule],
    alerts: &'a BTreeMap<LabelSet, Alert>,
    labels: &LabelSet,
    now: Time,
) -> Option<&'a Alert> {
    rules.iter().filter(|rule| rule.target.match_labels(labels)).find_map(|rule| {
        // Of two alerts that are on both sides neither mutes the other, and none itself.
        let on_both_sides = rule.source.match_labels(labels);
        let mutes = |source: &&Alert| {
            !source.is_resolved(now)
                && rule.source.match_labels(&source.labels)
                && rule.equal.iter().all(|name| value(&source.labels, name) == value(labels, name))
                && !(on_both_sides && rule.target.match_labels(&source.labels))
        };
        alerts.values().find(mutes)
    })
}

/// Whether an alert can mute others.
pub(super) fn is_source(rules: &[InhibitRule], labels: &LabelSet) -> bool {
    rules.iter().any(|rule| rule.source.match_labels(labels))
}

/// An absent label is as good as an empty one.
fn value<'l>(labels: &'l LabelSet, name: &Name) -> &'l str {
    labels.get(name).map(Name::as_str).unwrap_or_default()
}
