//! What could be written down of what was learned, as diffs for a person to read: what right would have been, prechecks that tell right from wrong, and
//! times that verifications need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use firedrill_core::journal::{Event, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::Serialize;

use super::diff::{Change, unified};
use super::lesson::Lesson;
use super::level::{Level, thresholds};
use super::told::Told;
use crate::load::Source;

/// A change that somebody may want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// Why, in a sentence.
    pub why: String,
    /// The change.
    pub diff: String,
}

/// A verification's time is drafted so much longer than it would have taken.
const SPARE: u64 = 2;

/// All drafts. `policies` are the files of the policies that answer today, by name.
#[must_use]
pub fn drafts(all: &[Told], lessons: &[Lesson], policies: &BTreeMap<Name, Source>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = all.iter().filter_map(expectation).collect();
    let levels: Vec<&[Level]> = all.iter().map(|told| told.levels.as_slice()).collect();
    drafts.extend(thresholds(&levels, |source| Path::new(&source.path).is_file()));
    for (policy, source) in policies {
        drafts.extend(precheck(all, lessons, (policy, source)));
        drafts.extend(within(all, (policy, source)));
    }
    drafts
}

/// What right would have been in an incident that says nothing of it.
fn expectation(told: &Told) -> Option<Draft> {
    let page = told.page.as_ref()?;
    let line = page.source.text.split_inclusive('\n').count();
    let change = Change { line, removed: 0, added: page.expect.lines().map(str::to_owned).collect() };
    let why = format!("{} does not say what right would have been, so no policy can pass or fail by it", told.name);
    Some(Draft { why, diff: unified(&page.source.path, &page.source.text, &change) })
}

/// A precheck that would have kept a policy from what was wrong and not from what was right: an alert that was on in the one and not in the other.
fn precheck(all: &[Told], lessons: &[Lesson], (policy, source): (&Name, &Source)) -> Option<Draft> {
    let decided = |right: bool| -> Vec<BTreeSet<&Name>> {
        let own = lessons.iter().filter(|lesson| lesson.policy == *policy && lesson.right == Some(right) && lesson.did.is_some());
        own.filter_map(|lesson| Some(on(all.iter().find(|told| told.name == lesson.source)?, lesson.opened))).collect()
    };
    let (right, wrong) = (decided(true), decided(false));
    if right.is_empty() || wrong.is_empty() {
        return None;
    }
    let in_all = |sets: &[BTreeSet<&Name>], alert: &Name| sets.iter().all(|set| set.contains(alert));
    let in_none = |sets: &[BTreeSet<&Name>], alert: &Name| sets.iter().all(|set| !set.contains(alert));
    let known: BTreeSet<&Name> = right.iter().chain(&wrong).flatten().copied().collect();
    let needed = known.iter().find(|alert| in_all(&right, alert) && in_none(&wrong, alert));
    let forbidden = known.iter().find(|alert| in_all(&wrong, alert) && in_none(&right, alert));
    let (expression, because) = match (needed, forbidden) {
        (Some(alert), _) => {
            (format!("count(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}) > 0"), format!("it was right only while {alert} fired"))
        }
        (None, Some(alert)) => {
            (format!("absent(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})"), format!("while {alert} fired it was wrong"))
        }
        (None, None) => return None,
    };
    let entry = format!("  - {{ expr: '{expression}', because: {because} }}");
    let lines: Vec<&str> = source.text.lines().collect();
    // Below the others, or before the steps where there are none.
    let change = match lines.iter().position(|line| line.trim_end() == "precheck:") {
        Some(at) => Change { line: at + 1, removed: 0, added: vec![entry] },
        None => {
            let steps = lines.iter().position(|line| line.starts_with("steps:"))?;
            Change { line: steps, removed: 0, added: vec!["precheck:".to_owned(), entry] }
        }
    };
    let why = format!("{because}: so say {} right and {} wrong decisions of {policy}", right.len(), wrong.len());
    Some(Draft { why, diff: unified(&source.path, &source.text, &change) })
}

/// The alerts that were on at a moment.
fn on(told: &Told, at: Time) -> BTreeSet<&Name> {
    let mut on: BTreeMap<&Name, BTreeSet<&firedrill_core::journal::LabelSet>> = BTreeMap::new();
    for record in told.records.iter().take_while(|record| record.at <= at) {
        match &record.event {
            Event::AlertFiring { alert, labels, .. } => _ = on.entry(alert).or_default().insert(labels),
            Event::AlertResolved { alert, labels } => _ = on.entry(alert).or_default().remove(labels),
            _ => {}
        }
    }
    on.into_iter().filter(|(_, sets)| !sets.is_empty()).map(|(alert, _)| alert).collect()
}

/// A longer time for a verification that failed where the alert was over soon after.
fn within(all: &[Told], (policy, source): (&Name, &Source)) -> Option<Draft> {
    let mut longest: Option<Span> = None;
    for told in all {
        for (number, record) in told.records.iter().enumerate() {
            let Event::Verified { policy: own, incident, verdict: Verification::Failed, took, .. } = &record.event else { continue };
            if own != policy {
                continue;
            }
            let opened = told.records.iter().find_map(|other| match &other.event {
                Event::IncidentOpened { policy: own, incident: same, alert, labels, .. } if own == policy && same == incident => {
                    Some((alert, labels))
                }
                _ => None,
            });
            let Some((alert, labels)) = opened else { continue };
            let later = told.records[number..].iter();
            // Another action may have been what helped.
            let mut alone = later.take_while(|other| !matches!(&other.event, Event::Decided { .. } | Event::Person { .. }));
            let over = alone.find_map(|other| match &other.event {
                Event::AlertResolved { alert: name, labels: set } if name == alert && set == labels => Some(other.at),
                _ => None,
            });
            if let Some(over) = over.filter(|over| over.since(record.at) <= *took) {
                let needed = Span::from_nanos(took.as_nanos() + over.since(record.at).as_nanos());
                longest = Some(longest.map_or(needed, |longest| longest.max(needed)));
            }
        }
    }
    let needed = longest?;
    let whole = Span::from_seconds((needed.as_nanos() * SPARE).div_ceil(60_000_000_000) * 60);
    let lines: Vec<&str> = source.text.lines().collect();
    let mut with = lines.iter().enumerate().filter(|(_, line)| line.contains("within:"));
    // With several of them a person must say which.
    let (Some((line, text)), None) = (with.next(), with.next()) else { return None };
    let (before, rest) = text.split_once("within:")?;
    let value = rest.trim_start().split([',', ' ', '}']).next()?;
    let added = vec![format!("{before}within: {whole}{}", &rest.trim_start()[value.len()..])];
    let why =
        format!("a verification of {policy} failed after {value}, and the alert was over {needed} after the action, without another one");
    Some(Draft { why, diff: unified(&source.path, &source.text, &Change { line, removed: 1, added }) })
}

#[cfg(test)]
mod tests {
    use super::super::lesson::lessons;
    use super::super::told::tests::{Script, script};
    use super::super::told::{IncidentId, Page, Said};
    use super::*;
    use crate::ledger::Labelled;

    const POLICY: &str = "schema: policy/1\npolicy: p\nsteps:\n  - restart: {}\n    verify: { expr: up == 1, within: 40s }\n";

    fn policies() -> BTreeMap<Name, Source> {
        [(Name::new("p"), Source { path: "policies/p.yaml".to_owned(), text: POLICY.to_owned() })].into()
    }

    fn told(name: &str, lines: &[Script], label: Labelled) -> Told {
        let mut told = script(lines);
        name.clone_into(&mut told.name);
        told.said.insert(IncidentId::first(Name::new("p"), 1), Said { label });
        told
    }

    #[test]
    fn a_precheck_is_what_tells_right_from_wrong() {
        let right = told("one", &[Script::Fire("A", 1), Script::Fire("B", 2), Script::Open(1, 5), Script::Would(1, 6)], Labelled::Right);
        let wrong = told("two", &[Script::Fire("A", 1), Script::Open(1, 5), Script::Would(1, 6), Script::Fire("B", 7)], Labelled::Wrong);
        let all = [right, wrong];
        let lessons: Vec<Lesson> = all.iter().flat_map(lessons).collect();
        let found = drafts(&all, &lessons, &policies());
        let [draft] = &found[..] else { panic!("{found:?}") };
        assert!(draft.diff.contains("+precheck:\n+  - { expr: 'count(ALERTS{alertname=\"B\", alertstate=\"firing\"}) > 0', because: it was right only while B fired }\n steps:"), "{}", draft.diff);
        assert_eq!(drafts(&all[..1], &lessons[..1], &policies()), [], "right decisions alone say nothing");
    }

    #[test]
    fn a_verification_that_was_too_short_is_drafted_longer() {
        use firedrill_core::journal::Record;
        let mut all = script(&[Script::Open(1, 10), Script::Act(1, 12), Script::Failed(1, 52)]);
        let labels = [(Name::new("pod"), Name::new("api-1"))].into();
        all.records.push(Record { number: 3, at: Time::from_seconds(70), event: Event::AlertResolved { alert: Name::new("A"), labels } });
        let found = drafts(&[all.clone()], &[], &policies());
        assert!(
            found[0].diff.contains("-    verify: { expr: up == 1, within: 40s }\n+    verify: { expr: up == 1, within: 2m }"),
            "{}",
            found[0].diff
        );
        all.records.pop();
        assert_eq!(drafts(&[all], &[], &policies()), []);
    }

    #[test]
    fn an_expectation_is_added_to_an_incident_that_has_none() {
        let mut told = script(&[]);
        let source = Source { path: "incidents/x/incident.yaml".to_owned(), text: "schema: incident/1\n".to_owned() };
        told.page = Some(Page { source, expect: "expect:\n  must: []\n".to_owned() });
        let found = drafts(&[told], &[], &BTreeMap::new());
        assert!(found[0].diff.ends_with("@@ -1,1 +1,3 @@\n schema: incident/1\n+expect:\n+  must: []\n"), "{}", found[0].diff);
    }
}
