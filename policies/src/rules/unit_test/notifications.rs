//! What a test expects receivers to be told: reading it, and holding it against what they were told.

use std::collections::BTreeMap;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader};

use super::super::document::{duration, text_of};
use super::document::{optional_list, texts};
use crate::problem;

/// All that a receiver is expected to be told until a moment.
#[derive(Clone, Debug)]
pub struct NotificationTest {
    /// Who.
    pub receiver: Name,
    /// Until when, after the start; a message at that moment counts.
    pub eval_time: Span,
    /// Every message, in any order of those at one moment.
    pub notifications: Vec<ExpectedNotification>,
    /// Where it stands.
    pub place: Place,
    /// Where the receiver stands.
    pub receiver_place: Place,
}

/// A message that is expected: when, and which alerts it lists. An alert is expected by some of its labels, each exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedNotification {
    /// After the start.
    pub at: Span,
    /// Those that fire.
    pub firing: Vec<BTreeMap<String, String>>,
    /// Those that are over.
    pub resolved: Vec<BTreeMap<String, String>>,
}

/// A message that a receiver was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationGot {
    /// After the start.
    pub at: Span,
    /// Why it was sent, in Alertmanager's words.
    pub reason: Name,
    /// The labels of those that fire.
    pub firing: Vec<LabelSet>,
    /// The labels of those that are over.
    pub resolved: Vec<LabelSet>,
}

/// Reads `notification_test:`.
pub(crate) fn read_notification_tests(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<NotificationTest> {
    let nodes = optional_list(reader, fields, "notification_test");
    nodes.iter().filter_map(|node| notification_test(reader, node)).collect()
}

fn notification_test(reader: &mut Reader, node: &Node) -> Option<NotificationTest> {
    let mut fields = reader.fields(node, "a notification test")?;
    let receiver =
        fields.required(reader, "receiver").and_then(|node| Some((text_of(reader, node, "a receiver's name")?, node.place.clone())));
    let eval_time = fields.required(reader, "eval_time").and_then(|node| Some((duration(reader, node)?, node)));
    let nodes = optional_list(reader, &mut fields, "exp_notifications");
    let notifications: Vec<ExpectedNotification> =
        nodes.iter().filter_map(|node| notification(reader, node, eval_time.map(|(until, _)| until))).collect();
    fields.finish(reader);
    let (receiver, receiver_place) = receiver?;
    Some(NotificationTest {
        receiver: Name::from(receiver),
        eval_time: eval_time?.0,
        notifications,
        place: node.place.clone(),
        receiver_place,
    })
}

fn notification(reader: &mut Reader, node: &Node, until: Option<Span>) -> Option<ExpectedNotification> {
    let mut fields = reader.fields(node, "an expected notification")?;
    let at = fields.required(reader, "at").and_then(|node| Some((duration(reader, node)?, node)));
    let [firing, resolved] = ["firing", "resolved"].map(|key| {
        let nodes = optional_list(reader, &mut fields, key);
        nodes.iter().map(|node| texts(reader, node, "an alert's labels")).collect::<Vec<_>>()
    });
    fields.finish(reader);
    let (at, at_node) = at?;
    if firing.is_empty() && resolved.is_empty() {
        reader.problem(problem::expects_nothing(&node.place));
    }
    if until.is_some_and(|until| at > until) {
        reader.problem(problem::expects_later(&at_node.place));
    }
    Some(ExpectedNotification { at, firing, resolved })
}

impl NotificationTest {
    /// What is expected and was not told, and what was told and is not expected; both empty: the test passes.
    #[must_use]
    pub fn compare<'a>(&'a self, got: &'a [NotificationGot]) -> (Vec<&'a ExpectedNotification>, Vec<&'a NotificationGot>) {
        let mut rest: Vec<&NotificationGot> = got.iter().filter(|got| got.at <= self.eval_time).collect();
        let mut missing = Vec::new();
        for expected in &self.notifications {
            match rest.iter().position(|got| expected.is(got)) {
                Some(index) => drop(rest.remove(index)),
                None => missing.push(expected),
            }
        }
        (missing, rest)
    }
}

impl ExpectedNotification {
    fn is(&self, got: &NotificationGot) -> bool {
        self.at == got.at && pair(&self.firing, &got.firing) && pair(&self.resolved, &got.resolved)
    }
}

/// Whether each alert is one of those expected, and each of those is there. What says more is matched first.
fn pair(expected: &[BTreeMap<String, String>], got: &[LabelSet]) -> bool {
    let mut wanted: Vec<&BTreeMap<String, String>> = expected.iter().collect();
    wanted.sort_by_key(|labels| std::cmp::Reverse(labels.len()));
    let mut rest: Vec<&LabelSet> = got.iter().collect();
    let all_there = wanted.into_iter().all(|labels| {
        let is = |got: &&LabelSet| labels.iter().all(|(name, value)| got.get(name.as_str()).map(Name::as_str).unwrap_or_default() == value);
        rest.iter().position(is).map(|index| rest.remove(index)).is_some()
    });
    all_there && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
    }

    fn wanted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_alert_is_expected_by_some_of_its_labels_and_each_alert_once() {
        let got = [labels(&[("alertname", "A"), ("pod", "1")]), labels(&[("alertname", "A"), ("pod", "2")])];
        assert!(pair(&[wanted(&[("alertname", "A")]), wanted(&[("alertname", "A")])], &got));
        assert!(
            pair(&[wanted(&[("alertname", "A")]), wanted(&[("alertname", "A"), ("pod", "1")])], &got),
            "the one that says more goes first"
        );
        assert!(!pair(&[wanted(&[("alertname", "A")])], &got), "one more was told");
        assert!(!pair(&[wanted(&[("alertname", "A")]), wanted(&[("pod", "3")])], &got));
        assert!(pair(&[], &[]));
        assert!(pair(&[wanted(&[("alertname", "A"), ("zone", "")])], &got[..1]), "an empty value is an absent label");
    }
}
