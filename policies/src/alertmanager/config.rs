//! What an `alertmanager.yml` comes to: the tree of routes, receivers, inhibitions, calendar times.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::time::Span;

use super::interval::TimeInterval;
use super::matcher::Matchers;
use super::problem::LOCAL_IS_UTC;

/// The kind of the integration by which firedrill itself hears of a receiver's messages.
pub(super) const EAR: &str = "firedrill";

/// A whole configuration. Invariant: every receiver and every time interval that a route names exists.
#[derive(Clone, Debug)]
pub struct Config {
    /// After how long an alert counts as resolved whose end nobody has told.
    pub resolve_timeout: Span,
    /// The nodes of the routing tree; the first is its root, and a node stands before its children.
    pub routes: Vec<Route>,
    /// Who is told, in the order of the file.
    pub receivers: Vec<Receiver>,
    /// What keeps quiet about what.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Calendar times by name.
    pub time_intervals: BTreeMap<Name, Vec<TimeInterval>>,
    /// What is accepted and has no effect here, once for each kind, such as secrets and templates; what behaves otherwise here; and what
    /// older releases refuse.
    pub warnings: Vec<Problem>,
}

/// A node of the routing tree.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which alerts it takes; those of the root take all.
    pub matchers: Matchers,
    /// Whether the siblings after it are asked too.
    pub goes_on: bool,
    /// Its children, by their places in [`Config::routes`].
    pub children: Vec<usize>,
    /// The matchers from the root down to here, in the notation of group keys.
    pub key: String,
    /// What it says, or inherits.
    pub options: RouteOptions,
    /// When it sends nothing; not inherited.
    pub mute_time_intervals: Vec<Name>,
    /// When alone it sends; none: always. Not inherited.
    pub active_time_intervals: Vec<Name>,
}

/// The part of a route that children inherit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOptions {
    /// Who is told.
    pub receiver: Name,
    /// Which alerts are told together.
    pub group_by: GroupBy,
    /// From a group's first alert to its first message.
    pub group_wait: Span,
    /// From one look at a group to the next; positive.
    pub group_interval: Span,
    /// After how long a message is sent again although nothing has changed; positive.
    pub repeat_interval: Span,
}

/// Which alerts of a route stand in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Those that agree in all labels: each alert by itself (`['...']`).
    All,
    /// Those that agree in these labels, sorted; none: all alerts of the route.
    Labels(Vec<Name>),
}

impl GroupBy {
    /// The labels by which an alert is grouped.
    #[must_use]
    pub fn labels_of(&self, labels: &LabelSet) -> LabelSet {
        match self {
            Self::All => labels.clone(),
            Self::Labels(names) => names.iter().filter_map(|name| labels.get(name).map(|value| (name.clone(), value.clone()))).collect(),
        }
    }
}

/// Somebody who can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The name, unique.
    pub name: Name,
    /// By which ways; a receiver without any is told nothing.
    pub integrations: Vec<Integration>,
}

/// One way to tell a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// `webhook`, `slack`, `pagerduty`, …
    pub kind: Name,
    /// Which of its kind in the receiver, counting from 0.
    pub index: usize,
    /// Whether it is told what is over.
    pub send_resolved: bool,
    /// At most so many alerts in a message; 0: no limit. Webhooks have it.
    pub max_alerts: usize,
    /// After how long an attempt is given up; `None`: at the end of the flush. Webhooks have it.
    pub timeout: Option<Span>,
}

/// While a source alert is active, matching targets are muted.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    /// Which alerts mute.
    pub source: Matchers,
    /// Which alerts are muted.
    pub target: Matchers,
    /// The labels in which both must agree; absent and empty are the same.
    pub equal: Vec<Name>,
}

impl Default for RouteOptions {
    /// What Alertmanager takes where the root says nothing.
    fn default() -> Self {
        Self {
            receiver: Name::new(""),
            group_by: GroupBy::Labels(Vec::new()),
            group_wait: Span::from_seconds(30),
            group_interval: Span::from_minutes(5),
            repeat_interval: Span::from_seconds(4 * 3600),
        }
    }
}

impl Config {
    /// Those of the warnings that are about who is told what and when, which whoever runs it should hear of.
    pub fn departures(&self) -> impl Iterator<Item = &Problem> {
        self.warnings.iter().filter(|warning| warning.code == LOCAL_IS_UTC)
    }

    /// What applies where no configuration is given: every alert by itself and at once, when it begins and when it is over.
    ///
    /// It equals a root with `group_by: ['...']`, `group_wait: 0s`, `group_interval: 1ms` (rules are evaluated at whole milliseconds) and a
    /// `repeat_interval` that outlasts a run.
    #[must_use]
    pub fn one_by_one() -> Arc<Self> {
        let receiver = Name::new("policies");
        let options = RouteOptions {
            receiver: receiver.clone(),
            group_by: GroupBy::All,
            group_wait: Span::ZERO,
            group_interval: Span::from_millis(1),
            repeat_interval: Span::MAX,
        };
        let root = Route {
            matchers: Matchers::default(),
            goes_on: false,
            children: Vec::new(),
            key: Matchers::default().to_string(),
            options,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
        };
        let config = Self {
            resolve_timeout: Span::from_minutes(5),
            routes: vec![root],
            receivers: vec![Receiver { name: receiver, integrations: Vec::new() }],
            inhibit_rules: Vec::new(),
            time_intervals: BTreeMap::new(),
            warnings: Vec::new(),
        };
        Arc::new(config.with_ears())
    }

    /// The same with one more webhook at every receiver, by which firedrill hears what the receiver is told, what is over included.
    ///
    /// That is how automation is connected in production. It has its own place in the notification log, so the others are undisturbed.
    #[must_use]
    pub fn with_ears(mut self) -> Self {
        for receiver in &mut self.receivers {
            let ear = Integration { kind: Name::new(EAR), index: 0, send_resolved: true, max_alerts: 0, timeout: None };
            receiver.integrations.push(ear);
        }
        self
    }

    /// The receiver of a name.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| *receiver.name == *name)
    }

    /// The routes that take an alert, by their places: depth first, siblings in order until one that does not go on, a node itself if none of
    /// its children takes it.
    #[must_use]
    pub fn routes_of(&self, labels: &LabelSet) -> Vec<usize> {
        let mut found = Vec::new();
        if !self.routes.is_empty() {
            self.collect(0, labels, &mut found);
        }
        found
    }

    /// Whether the node takes the alert.
    fn collect(&self, index: usize, labels: &LabelSet, found: &mut Vec<usize>) -> bool {
        let route = &self.routes[index];
        if !route.matchers.match_labels(labels) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.collect(*child, labels, found) && !self.routes[*child].goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(index);
        }
        true
    }
}
