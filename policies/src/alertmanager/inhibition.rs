//! Which alerts are muted because others are active.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

use super::config::InhibitRule;

/// The alerts that can mute others, found by what they must agree in, so that a batch of thousands is not compared pair by pair.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// By the rule's number and the values of its `equal`.
    sides: BTreeMap<(usize, Vec<Name>), Side>,
    /// When each is over.
    ends: BTreeSet<(Time, LabelSet)>,
}

/// The sources of one rule that agree, and when each is over.
#[derive(Clone, Debug, Default)]
struct Side {
    sources: BTreeMap<LabelSet, Time>,
    /// Those that the rule could mute as well.
    on_both_sides: BTreeMap<LabelSet, Time>,
}

impl Sources {
    /// Takes an alert in, or what is new about it; tells whether it can mute others.
    pub(super) fn put(&mut self, rules: &[InhibitRule], labels: &LabelSet, ends_at: Time) -> bool {
        let mut is_source = false;
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.source.match_labels(labels)) {
            let side = self.sides.entry((index, values(rule, labels))).or_default();
            let sources = if rule.target.match_labels(labels) { &mut side.on_both_sides } else { &mut side.sources };
            if let Some(old) = sources.insert(labels.clone(), ends_at) {
                self.ends.remove(&(old, labels.clone()));
            }
            is_source = true;
        }
        if is_source {
            self.ends.insert((ends_at, labels.clone()));
        }
        is_source
    }

    /// Forgets those that are not to be kept, by when they are over.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Time) -> bool) {
        self.ends.retain(|(ends_at, _)| is_kept(*ends_at));
        self.sides.retain(|_, Side { sources, on_both_sides }| {
            sources.retain(|_, ends_at| is_kept(*ends_at));
            on_both_sides.retain(|_, ends_at| is_kept(*ends_at));
            !sources.is_empty() || !on_both_sides.is_empty()
        });
    }

    /// When the next of those that are active at `now` is over.
    pub(super) fn next_end(&self, now: Time) -> Option<Time> {
        let later = now.saturating_add(Span::from_nanos(1));
        self.ends.range((later, LabelSet::default())..).map(|(ends_at, _)| *ends_at).find(|ends_at| *ends_at > now)
    }

    /// The alert by which any rule mutes another at `now`. It need not have been told to anybody, and may itself be silenced.
    pub(super) fn inhibitor(&self, rules: &[InhibitRule], labels: &LabelSet, now: Time) -> Option<&LabelSet> {
        let mut aimed = rules.iter().enumerate().filter(|(_, rule)| rule.target.match_labels(labels));
        aimed.find_map(|(index, rule)| {
            let Side { sources, on_both_sides } = self.sides.get(&(index, values(rule, labels)))?;
            // Of two alerts that are on both sides neither mutes the other, and none itself.
            let others = if rule.source.match_labels(labels) { None } else { first_active(on_both_sides, now) };
            first_active(sources, now).into_iter().chain(others).min()
        })
    }
}

fn first_active(sources: &BTreeMap<LabelSet, Time>, now: Time) -> Option<&LabelSet> {
    sources.iter().find(|(_, ends_at)| **ends_at > now).map(|(labels, _)| labels)
}

/// The values in which a source and a target must agree. An absent label is as good as an empty one.
fn values(rule: &InhibitRule, labels: &LabelSet) -> Vec<Name> {
    rule.equal.iter().map(|name| labels.get(name).cloned().unwrap_or_else(|| Name::new(""))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::document::read_config;
    use super::*;

    const CONFIG: &str = "
route: { receiver: a }
receivers: [{ name: a }]
inhibit_rules:
- { source_matchers: ['a=~[xy]'], target_matchers: ['a=~[yz]'], equal: [b] }
- { source_matchers: [b=x], target_matchers: [c=], equal: [] }
";

    fn alerts() -> impl Strategy<Value = Vec<(LabelSet, Time)>> {
        let labels =
            prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), prop::sample::select(&["x", "y", "z"][..]), 0..4);
        let labels = labels.prop_map(|labels| labels.into_iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect());
        prop::collection::vec((labels, (0..6_u64).prop_map(Time::from_seconds)), 0..30)
    }

    proptest! {
        #[test]
        fn what_is_found_by_what_must_agree_is_what_is_found_pair_by_pair(alerts in alerts(), now in 0..6_u64, kept in 0..3_u64) {
            let rules = read_config("a.yml", CONFIG).expect("a configuration").inhibit_rules;
            let (now, kept) = (Time::from_seconds(now), Time::from_seconds(kept));
            let (mut sources, mut all) = (Sources::default(), BTreeMap::new());
            for (labels, ends_at) in &alerts {
                let is_source = rules.iter().any(|rule| rule.source.match_labels(labels));
                prop_assert_eq!(sources.put(&rules, labels, *ends_at), is_source);
                all.insert(labels.clone(), *ends_at);
            }
            sources.retain(|ends_at| ends_at > kept);
            all.retain(|_, ends_at| *ends_at > kept);
            let is_source = |labels: &LabelSet| rules.iter().any(|rule| rule.source.match_labels(labels));
            let ends = all.iter().filter(|(labels, ends_at)| is_source(labels) && **ends_at > now).map(|(_, ends_at)| *ends_at);
            prop_assert_eq!(sources.next_end(now), ends.min());
            for (target, _) in &alerts {
                let mutes = |rule: &InhibitRule, source: &LabelSet| {
                    let sides = |labels: &LabelSet| (rule.source.match_labels(labels), rule.target.match_labels(labels));
                    let (is_on_both, agree) = (sides(target) == (true, true) && sides(source) == (true, true), values(rule, source) == values(rule, target));
                    sides(source).0 && sides(target).1 && agree && !is_on_both
                };
                let active = || all.iter().filter(|(_, ends_at)| **ends_at > now).map(|(labels, _)| labels);
                let expected = rules.iter().find_map(|rule| active().find(|source| mutes(rule, source)));
                prop_assert_eq!(sources.inhibitor(&rules, target, now), expected);
            }
        }
    }
}
