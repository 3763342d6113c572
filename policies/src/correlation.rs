//! Correlation: alerts that share a scope and begin within a window become one incident, which policies can target.
//!
//! A pure state machine between routing and the controllers. It takes in the notifications of one instant and settles them together, so that
//! their order among each other does not matter.
//!
//! - An incident **opens** when, among the alerts of a scope that fire, enough began within the window. Both edges belong to the window: with a
//!   window of 5 minutes, an alert that began exactly 5 minutes after another is within it. When an alert began counts, not when it was told.
//!   Alerts of the scope that fire since before the window stay outside.
//! - While it is open it **grows** by every alert of its scope that is told of, however long after; so a scope has one incident at a time. An
//!   alert that is over and fires again is the same member again.
//! - It **closes** when none of its alerts fires any more; fewer than were needed to open it keep it open. What follows is a new incident.
//! - Its probable **subject** is a service: of those that its alerts name, one that depends on none of the others, since trouble travels from
//!   the called to the caller; among several the one whose alert began first, then the first by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, CorrelationChange, Event, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_telemetry::labels::Matcher;
use serde::{Deserialize, Serialize};

use crate::guard::service_of;

/// The longest window.
pub const LONGEST_WINDOW: Span = Span::from_minutes(24 * 60);

/// The window, where a policy states none.
pub const DEFAULT_WINDOW: Span = Span::from_minutes(5);

/// The label with an incident's number, on what policies are told.
pub const INCIDENT: &str = "incident";

/// The label with the probable cause, a service, as it was when the incident opened.
pub const SUBJECT: &str = "subject";

const SERVICE: &str = "service";
const ZONE: &str = "zone";

/// Which alerts become one incident.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// The alerts that count, by name; sorted, each once, at least one.
    pub alerts: Vec<Name>,
    /// Conditions on their labels; all must match.
    pub matchers: Vec<Matcher>,
    /// How many alerts it takes, counted by their labels; at least 2.
    pub min: u32,
    /// How many different names there must be among them; at least 1, at most `min`.
    pub names: u32,
    /// What they share.
    pub scope: Sharing,
    /// How far apart they may begin; positive.
    pub window: Span,
}

/// What alerts share that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// The service; of an alert that names none the zone; of one that names neither nothing.
    #[default]
    Finest,
    /// The service: the label `service`, or else the service of the replica that the label `pod` names.
    Service,
    /// The zone: the label `zone`, or else that of the replica that `pod` names, or else that of a service that stands in one zone only.
    Zone,
    /// Nothing but the time.
    All,
    /// The values of these labels; sorted, each once.
    Labels(Vec<Name>),
}

/// Something that became of an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// For the journal.
    pub event: Event,
    /// What the policies of this correlation are told, if it opened or closed; the correlation by its number in the order of [`Correlator::new`].
    pub told: Option<(usize, Notification)>,
}

/// Holds the alerts that fire against all correlations that are asked for.
#[derive(Clone, Debug)]
pub struct Correlator {
    tracked: Vec<Tracked>,
    inventory: Arc<Inventory>,
    waiting: Vec<Notification>,
    at: Time,
    next_incident: u64,
}

/// One correlation, and what is there of it, scope by scope.
#[derive(Clone, Debug)]
struct Tracked {
    correlation: Correlation,
    scopes: BTreeMap<LabelSet, Scope>,
}

/// The alerts of one scope.
#[derive(Clone, Debug, Default)]
struct Scope {
    /// The alerts that fire and are in no incident.
    loose: BTreeMap<LabelSet, Alert>,
    incident: Option<Incident>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Alert {
    name: Name,
    starts_at: Time,
}

/// Alerts that came together.
#[derive(Clone, Debug)]
struct Incident {
    id: u64,
    /// The labels of what policies were told.
    labels: LabelSet,
    /// What it is called: the names of the alerts that opened it.
    name: Name,
    /// When the first of the alerts that opened it began.
    starts_at: Time,
    members: BTreeMap<LabelSet, Member>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    name: Name,
    /// When it first began.
    starts_at: Time,
    fires: bool,
}

/// What a correlator remembers, to be saved and taken up again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    next_incident: u64,
    scopes: Vec<KeptScope>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptScope {
    /// Of which correlation, written out.
    correlation: String,
    scope: LabelSet,
    loose: Vec<(LabelSet, Alert)>,
    incident: Option<KeptIncident>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptIncident {
    id: u64,
    labels: LabelSet,
    name: Name,
    starts_at: Time,
    members: Vec<(LabelSet, Member)>,
}

impl Correlation {
    /// All that it asks for in one text, the same for two that ask for the same.
    fn written(&self) -> String {
        let matchers: BTreeSet<String> = self.matchers.iter().map(ToString::to_string).collect();
        format!("{:?}", (&self.alerts, matchers, self.min, self.names, &self.scope, self.window))
    }

    /// Whether an alert counts.
    #[must_use]
    pub fn counts(&self, notification: &Notification) -> bool {
        let value = |matcher: &Matcher| notification.labels.get(&*matcher.name).map(Name::as_str).unwrap_or_default();
        self.alerts.contains(&notification.alert) && self.matchers.iter().all(|matcher| matcher.matches(value(matcher)))
    }

    /// Whether another asks for the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let written = |own: &Self| own.matchers.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let figures = |own: &Self| (own.min, own.names, own.window);
        self.alerts == other.alerts && self.scope == other.scope && figures(self) == figures(other) && written(self) == written(other)
    }

    /// The labels that its incidents can have; where the scope is the finest there is, an incident may lack some of them.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<Name> {
        let scope = match &self.scope {
            Sharing::Finest => vec![Name::new(SERVICE), Name::new(ZONE)],
            Sharing::Service => vec![Name::new(SERVICE)],
            Sharing::Zone => vec![Name::new(ZONE)],
            Sharing::All => Vec::new(),
            Sharing::Labels(labels) => labels.clone(),
        };
        scope.into_iter().chain([Name::new("alertname"), Name::new(INCIDENT), Name::new(SUBJECT)]).collect()
    }
}

impl Sharing {
    /// What an alert shares with those that belong to it; `None` if it has nothing of the kind, so that it belongs to none.
    fn of(&self, labels: &LabelSet, inventory: &Inventory) -> Option<LabelSet> {
        let one = |label: &str, value: Name| LabelSet::from([(Name::new(label), value)]);
        let service = || service_named(labels, inventory).map(|service| one(SERVICE, service));
        let zone = || zone_named(labels, inventory).map(|zone| one(ZONE, zone));
        match self {
            Self::Finest => Some(service().or_else(zone).unwrap_or_default()),
            Self::Service => service(),
            Self::Zone => zone(),
            Self::All => Some(LabelSet::default()),
            Self::Labels(names) => names.iter().map(|name| Some((name.clone(), labels.get(name)?.clone()))).collect(),
        }
    }
}

fn present<'a>(labels: &'a LabelSet, name: &str) -> Option<&'a Name> {
    labels.get(name).filter(|value| !value.is_empty())
}

/// The service that an alert speaks of: its label `service`, or else that of the replica that its label `pod` names.
pub(crate) fn service_named(labels: &LabelSet, inventory: &Inventory) -> Option<Name> {
    let of_pod = || service_of(&Target::Replica(present(labels, "pod")?.clone()), inventory);
    present(labels, SERVICE).cloned().or_else(of_pod)
}

fn zone_named(labels: &LabelSet, inventory: &Inventory) -> Option<Name> {
    let entry = || inventory.services.get(&service_named(labels, inventory)?);
    let of_pod = || {
        let index = present(labels, "pod")?.rsplit_once('-')?.1.parse::<usize>().ok()?;
        let zones = &entry()?.zones;
        zones.get(index.checked_rem(zones.len())?).cloned()
    };
    let of_service = || if let [only] = entry()?.zones.as_slice() { Some(only.clone()) } else { None };
    present(labels, ZONE).cloned().or_else(of_pod).or_else(of_service)
}

impl Correlator {
    /// A correlator to which nothing has been told. Without correlations it takes in nothing.
    #[must_use]
    pub fn new(correlations: Vec<Correlation>, inventory: Arc<Inventory>) -> Self {
        let tracked = correlations.into_iter().map(|correlation| Tracked { correlation, scopes: BTreeMap::new() }).collect();
        Self { tracked, inventory, waiting: Vec::new(), at: Time::ZERO, next_incident: 0 }
    }

    /// What it remembers. What waits to be settled is not in it.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let scope = |tracked: &Tracked, labels: &LabelSet, scope: &Scope| KeptScope {
            correlation: tracked.correlation.written(),
            scope: labels.clone(),
            loose: scope.loose.clone().into_iter().collect(),
            incident: scope.incident.as_ref().map(|incident| KeptIncident {
                id: incident.id,
                labels: incident.labels.clone(),
                name: incident.name.clone(),
                starts_at: incident.starts_at,
                members: incident.members.clone().into_iter().collect(),
            }),
        };
        let scopes = self.tracked.iter().flat_map(|tracked| tracked.scopes.iter().map(move |(labels, own)| scope(tracked, labels, own)));
        Kept { next_incident: self.next_incident, scopes: scopes.collect() }
    }

    /// Takes up what another one remembered, as far as both are asked for the same.
    pub fn keep(&mut self, kept: Kept) {
        self.next_incident = self.next_incident.max(kept.next_incident);
        for KeptScope { correlation, scope, loose, incident } in kept.scopes {
            let Some(tracked) = self.tracked.iter_mut().find(|tracked| tracked.correlation.written() == correlation) else { continue };
            let incident = incident.map(|KeptIncident { id, labels, name, starts_at, members }| Incident {
                id,
                labels,
                name,
                starts_at,
                members: members.into_iter().collect(),
            });
            tracked.scopes.insert(scope, Scope { loose: loose.into_iter().collect(), incident });
        }
    }

    /// Takes in what is told at `now`. All of one instant is settled together.
    pub fn take_in(&mut self, now: Time, notification: &Notification) {
        if self.tracked.iter().any(|tracked| tracked.correlation.counts(notification)) {
            self.at = now;
            self.waiting.push(notification.clone());
        }
    }

    /// The labels of the alerts that are on in the incident of a number; none if it is over.
    pub fn members(&self, number: &str) -> impl Iterator<Item = &LabelSet> {
        let incidents = self.tracked.iter().flat_map(|tracked| tracked.scopes.values()).filter_map(|scope| scope.incident.as_ref());
        let own = incidents.filter(move |incident| incident.id.to_string() == number);
        own.flat_map(|incident| incident.members.iter().filter(|(_, member)| member.fires).map(|(labels, _)| labels))
    }

    /// When there is something to settle.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        (!self.waiting.is_empty()).then_some(self.at)
    }

    /// Settles what was told: which incidents open, change and close, in the order of correlations and scopes.
    pub fn settle(&mut self) -> Vec<Settled> {
        let mut settled = Vec::new();
        // Of one alert the last word counts; between alerts there is no order.
        let told: BTreeMap<LabelSet, Notification> = self.waiting.drain(..).map(|told| (told.labels.clone(), told)).collect();
        for (number, tracked) in self.tracked.iter_mut().enumerate() {
            let mut by_scope: BTreeMap<LabelSet, Vec<&Notification>> = BTreeMap::new();
            for notification in told.values().filter(|told| tracked.correlation.counts(told)) {
                if let Some(scope) = tracked.correlation.scope.of(&notification.labels, &self.inventory) {
                    by_scope.entry(scope).or_default().push(notification);
                }
            }
            for (labels, told) in by_scope {
                let scope = tracked.scopes.entry(labels.clone()).or_default();
                let changed = match &mut scope.incident {
                    Some(incident) => incident.take_in(&told, &labels, &self.inventory),
                    None => {
                        scope.take_in(&told);
                        scope.open(self.next_incident, &labels, &tracked.correlation, &self.inventory)
                    }
                };
                let Some(event) = changed else { continue };
                let Event::Correlated { change, .. } = &event else { continue };
                self.next_incident += u64::from(*change == CorrelationChange::Opened);
                let status = match change {
                    CorrelationChange::Opened => Some(AlertStatus::Firing),
                    CorrelationChange::Closed => Some(AlertStatus::Resolved),
                    CorrelationChange::Grew | CorrelationChange::Shrank => None,
                };
                let told = status.and_then(|status| Some((number, scope.incident.as_ref()?.notification(status))));
                if *change == CorrelationChange::Closed {
                    scope.incident = None;
                }
                settled.push(Settled { event, told });
            }
            tracked.scopes.retain(|_, scope| scope.incident.is_some() || !scope.loose.is_empty());
        }
        settled
    }
}

impl Scope {
    fn take_in(&mut self, told: &[&Notification]) {
        for notification in told {
            match notification.status {
                AlertStatus::Firing => {
                    let alert = Alert { name: notification.alert.clone(), starts_at: notification.starts_at };
                    self.loose.insert(notification.labels.clone(), alert);
                }
                AlertStatus::Resolved => {
                    self.loose.remove(&notification.labels);
                }
            }
        }
    }

    /// Opens an incident if enough alerts began within the window: with all of the earliest window that holds enough.
    fn open(&mut self, id: u64, scope: &LabelSet, correlation: &Correlation, inventory: &Inventory) -> Option<Event> {
        let first = self.earliest_window(correlation)?;
        let within = |alert: &Alert| (first..=first.saturating_add(correlation.window)).contains(&alert.starts_at);
        let members: BTreeMap<LabelSet, Member> = (self.loose.iter())
            .filter(|(_, alert)| within(alert))
            .map(|(labels, alert)| (labels.clone(), Member { name: alert.name.clone(), starts_at: alert.starts_at, fires: true }))
            .collect();
        self.loose.retain(|labels, _| !members.contains_key(labels));
        let names = names(members.values());
        let name = Name::from(names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" + "));
        let mut incident = Incident { id, labels: scope.clone(), name: name.clone(), starts_at: first, members };
        let subject = incident.subject(inventory);
        let more = [("alertname", Some(name)), (INCIDENT, Some(Name::from(id.to_string()))), (SUBJECT, subject)];
        incident.labels.extend(more.into_iter().filter_map(|(label, value)| Some((Name::new(label), value?))));
        let last = incident.members.values().map(|member| member.starts_at).max().unwrap_or(first);
        let reason = format!("{} began within {}", counted(incident.members.values()), last.since(first));
        let event = incident.event(CorrelationChange::Opened, scope, inventory, reason);
        self.incident = Some(incident);
        Some(event)
    }

    /// The beginning of the earliest window with enough alerts in it.
    fn earliest_window(&self, correlation: &Correlation) -> Option<Time> {
        let mut alerts: Vec<&Alert> = self.loose.values().collect();
        alerts.sort_by_key(|alert| alert.starts_at);
        let enough = |index: &usize| {
            let end = alerts[*index].starts_at.saturating_add(correlation.window);
            let within = &alerts[*index..alerts.partition_point(|alert| alert.starts_at <= end)];
            let names: BTreeSet<&Name> = within.iter().map(|alert| &alert.name).collect();
            within.len() >= correlation.min as usize && names.len() >= correlation.names as usize
        };
        (0..alerts.len()).find(enough).map(|index| alerts[index].starts_at)
    }
}

impl Incident {
    /// Alerts of its scope come and go.
    fn take_in(&mut self, told: &[&Notification], scope: &LabelSet, inventory: &Inventory) -> Option<Event> {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for notification in told {
            let fires = notification.status == AlertStatus::Firing;
            let (name, starts_at) = (notification.alert.clone(), notification.starts_at);
            match self.members.get_mut(&notification.labels) {
                Some(member) if member.fires == fires => {}
                Some(member) => {
                    member.fires = fires;
                    if fires { came.push(member.clone()) } else { went.push(member.clone()) }
                }
                None if fires => {
                    let member = Member { name, starts_at, fires };
                    self.members.insert(notification.labels.clone(), member.clone());
                    came.push(member);
                }
                None => {}
            }
        }
        let change = match (self.firing(), came.as_slice(), went.as_slice()) {
            (_, [], []) => return None,
            (0, ..) => CorrelationChange::Closed,
            (_, [], _) => CorrelationChange::Shrank,
            _ => CorrelationChange::Grew,
        };
        let told = [(came, "fires", "fire"), (went, "is over", "are over")].into_iter().filter(|(members, ..)| !members.is_empty());
        let reason =
            told.map(|(members, one, several)| format!("{} {}", counted(members.iter()), if members.len() == 1 { one } else { several }));
        let reason = reason.collect::<Vec<_>>().join(", ");
        Some(self.event(change, scope, inventory, reason))
    }

    fn firing(&self) -> u32 {
        self.members.values().filter(|member| member.fires).count() as u32
    }

    /// The service that is probably the cause; of all that were members, since a cause may be over before its effects are.
    fn subject(&self, inventory: &Inventory) -> Option<Name> {
        let mut began: BTreeMap<Name, Time> = BTreeMap::new();
        for (labels, member) in &self.members {
            if let Some(service) = service_named(labels, inventory) {
                let first = began.entry(service).or_insert(member.starts_at);
                *first = (*first).min(member.starts_at);
            }
        }
        let depends = |service: &Name| {
            let others = began.keys().filter(|other| *other != service);
            // In a circle of calls each depends on the other, which tells nothing.
            others.into_iter().any(|other| inventory.depends_on(service, other) && !inventory.depends_on(other, service))
        };
        began
            .iter()
            .filter(|(service, _)| !depends(service))
            .min_by_key(|(service, began)| (**began, *service))
            .map(|(service, _)| service.clone())
    }

    fn event(&self, change: CorrelationChange, scope: &LabelSet, inventory: &Inventory, reason: String) -> Event {
        let subject = self.subject(inventory);
        Event::Correlated { incident: self.id, scope: scope.clone(), change, firing: self.firing(), subject, reason }
    }

    fn notification(&self, status: AlertStatus) -> Notification {
        Notification { alert: self.name.clone(), status, labels: self.labels.clone(), starts_at: self.starts_at, receiver: None }
    }
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeSet<&'a Name> {
    members.map(|member| &member.name).collect()
}

/// `Down`, `3 of Down`, `Down, 2 of Slow`.
fn counted<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let mut counts: BTreeMap<&Name, u32> = BTreeMap::new();
    for member in members {
        *counts.entry(&member.name).or_default() += 1;
    }
    let told = counts.into_iter().map(|(name, count)| if count == 1 { name.to_string() } else { format!("{count} of {name}") });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use firedrill_core::inventory::ServiceEntry;
    use proptest::prelude::*;

    use super::*;

    fn inventory() -> Arc<Inventory> {
        let entry = |zones: &[&str], calls: &[&str]| ServiceEntry {
            replicas: 2,
            zones: zones.iter().copied().map(Name::new).collect(),
            critical: true,
            calls: calls.iter().copied().map(Name::new).collect(),
        };
        let services = [("api", entry(&["a", "b"], &["db"])), ("db", entry(&["a"], &[])), ("web", entry(&["a", "b"], &["api"]))];
        Arc::new(Inventory {
            services: services.map(|(name, entry)| (Name::new(name), entry)).into(),
            clients: Vec::new(),
            ..Inventory::default()
        })
    }

    fn correlation(scope: Sharing) -> Correlation {
        let alerts = ["Down", "Slow"].map(Name::new).into();
        Correlation { alerts, matchers: Vec::new(), min: 2, names: 1, scope, window: Span::from_seconds(60) }
    }

    fn alert(name: &str, labels: &[(&str, &str)], (begun, status): (u64, AlertStatus)) -> Notification {
        let named = [("alertname", name)].iter().chain(labels).map(|(name, value)| (Name::new(name), Name::new(value))).collect();
        Notification { alert: Name::new(name), status, labels: named, starts_at: Time::from_seconds(begun), receiver: None }
    }

    fn fires(name: &str, labels: &[(&str, &str)], begun: u64) -> Notification {
        alert(name, labels, (begun, AlertStatus::Firing))
    }

    fn over(name: &str, labels: &[(&str, &str)], begun: u64) -> Notification {
        alert(name, labels, (begun, AlertStatus::Resolved))
    }

    fn tell(settled: &Settled) -> String {
        let Event::Correlated { incident, scope, change, firing, subject, reason } = &settled.event else { panic!("{settled:?}") };
        let scope: Vec<String> = scope.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let subject = subject.as_ref().map_or_else(String::new, |subject| format!(" of {subject}"));
        format!("{change:?} {incident} {{{}}}{subject} with {firing}: {reason}", scope.join(", "))
    }

    /// Tells what was told at seconds, each second settled by itself.
    #[track_caller]
    fn check(scope: Sharing, told: &[(u64, Notification)], expected: &[&str]) {
        assert_eq!(run(correlation(scope), told), expected);
    }

    fn run(correlation: Correlation, told: &[(u64, Notification)]) -> Vec<String> {
        let mut correlator = Correlator::new(vec![correlation], inventory());
        let mut lines = Vec::new();
        for (index, (second, notification)) in told.iter().enumerate() {
            correlator.take_in(Time::from_seconds(*second), notification);
            if told.get(index + 1).is_none_or(|(next, _)| next != second) {
                lines.extend(correlator.settle().iter().map(|settled| format!("{second} {}", tell(settled))));
                assert_eq!(correlator.due(), None);
            }
        }
        lines
    }

    const API: &[(&str, &str)] = &[("service", "api")];

    #[test]
    fn alerts_at_both_edges_of_the_window_belong_together_and_a_moment_later_they_do_not() {
        let down = (10, fires("Down", API, 10));
        let opened = "70 Opened 0 {service=api} of api with 2: Down, Slow began within 1m";
        check(Sharing::Service, &[down.clone(), (70, fires("Slow", API, 70))], &[opened]);
        check(Sharing::Service, &[down.clone(), (71, fires("Slow", API, 71))], &[]);
        // When it began counts, not when it was told.
        check(Sharing::Service, &[down, (500, fires("Slow", API, 70))], &[&opened.replace("70 Opened", "500 Opened")]);
    }

    #[test]
    fn what_is_over_before_the_other_begins_does_not_count() {
        let told = [(10, fires("Down", API, 10)), (20, over("Down", API, 10)), (30, fires("Slow", API, 30))];
        check(Sharing::Service, &told, &[]);
    }

    #[test]
    fn an_incident_grows_while_it_is_open_and_closes_with_the_last_of_its_alerts() {
        let told = [
            (10, fires("Down", &[("pod", "api-0")], 10)),
            (20, fires("Down", &[("pod", "api-1")], 20)),
            (30, fires("Down", &[("pod", "api-1")], 20)),
            (900, fires("Slow", API, 900)),
            (910, over("Down", &[("pod", "api-0")], 10)),
            (920, over("Down", &[("pod", "api-1")], 20)),
            (930, over("Slow", API, 900)),
            (940, over("Slow", API, 900)),
        ];
        let expected = [
            "20 Opened 0 {service=api} of api with 2: 2 of Down began within 10s",
            "900 Grew 0 {service=api} of api with 3: Slow fires",
            "910 Shrank 0 {service=api} of api with 2: Down is over",
            "920 Shrank 0 {service=api} of api with 1: Down is over",
            "930 Closed 0 {service=api} of api with 0: Slow is over",
        ];
        check(Sharing::Service, &told, &expected);
    }

    #[test]
    fn an_alert_that_flaps_is_one_member_and_what_follows_a_close_is_a_new_incident() {
        let told = [
            (10, fires("Down", API, 10)),
            (10, fires("Slow", API, 10)),
            (20, over("Down", API, 10)),
            (30, fires("Down", API, 30)),
            (40, over("Down", API, 30)),
            (40, over("Slow", API, 10)),
            (50, fires("Down", API, 50)),
            (60, fires("Slow", API, 60)),
        ];
        let expected = [
            "10 Opened 0 {service=api} of api with 2: Down, Slow began within 0s",
            "20 Shrank 0 {service=api} of api with 1: Down is over",
            "30 Grew 0 {service=api} of api with 2: Down fires",
            "40 Closed 0 {service=api} of api with 0: Down, Slow are over",
            "60 Opened 1 {service=api} of api with 2: Down, Slow began within 10s",
        ];
        check(Sharing::Service, &told, &expected);
    }

    #[test]
    fn what_has_fired_since_before_the_window_stays_outside() {
        let told = [
            (10, fires("Down", &[("pod", "api-0")], 10)),
            (200, fires("Down", &[("pod", "api-1")], 200)),
            (210, fires("Slow", API, 210)),
            (220, over("Down", &[("pod", "api-1")], 200)),
            (220, over("Slow", API, 210)),
        ];
        let expected = [
            "210 Opened 0 {service=api} of api with 2: Down, Slow began within 10s",
            "220 Closed 0 {service=api} of api with 0: Down, Slow are over",
        ];
        check(Sharing::Service, &told, &expected);
    }

    #[test]
    fn a_number_of_alerts_and_a_number_of_names_can_be_asked_for() {
        let told = [
            (10, fires("Down", &[("pod", "api-0")], 10)),
            (10, fires("Down", &[("pod", "api-1")], 10)),
            (20, fires("Slow", API, 20)),
            (20, fires("Other", API, 20)),
        ];
        let opened = ["20 Opened 0 {service=api} of api with 3: 2 of Down, Slow began within 10s"];
        assert_eq!(run(Correlation { names: 2, ..correlation(Sharing::Service) }, &told), opened);
        assert_eq!(run(Correlation { min: 3, ..correlation(Sharing::Service) }, &told), opened);
        assert_eq!(run(Correlation { min: 4, ..correlation(Sharing::Service) }, &told), [""; 0]);
    }

    #[test]
    fn a_scope_is_found_in_labels_or_by_what_is_declared() {
        let of = |scope: Sharing, labels: &[(&str, &str)]| {
            let shared = scope.of(&fires("Down", labels, 0).labels, &inventory());
            shared.map(|shared| shared.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
        };
        let check = |scope: &Sharing, labels: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(of(scope.clone(), labels).as_deref(), expected, "{labels:?}");
        };
        check(&Sharing::Service, &[("service", "api"), ("pod", "db-0")], Some("service=api"));
        check(&Sharing::Service, &[("pod", "db-0")], Some("service=db"));
        check(&Sharing::Service, &[("zone", "a")], None);
        check(&Sharing::Zone, &[("zone", "b"), ("pod", "api-0")], Some("zone=b"));
        check(&Sharing::Zone, &[("pod", "api-3")], Some("zone=b"));
        check(&Sharing::Zone, &[("service", "db")], Some("zone=a"));
        check(&Sharing::Zone, &[("service", "api")], None);
        check(&Sharing::Finest, &[("zone", "b"), ("pod", "api-0")], Some("service=api"));
        check(&Sharing::Finest, &[("zone", "b"), ("service", "")], Some("zone=b"));
        check(&Sharing::Finest, &[], Some(""));
        check(&Sharing::All, &[("service", "api")], Some(""));
        let team = Sharing::Labels(vec![Name::new("severity"), Name::new("team")]);
        check(&team, &[("team", "x"), ("severity", "page"), ("pod", "api-0")], Some("severity=page,team=x"));
        check(&team, &[("team", "x")], None);
    }

    #[test]
    fn the_subject_is_what_the_others_depend_on_and_among_equals_what_began_first() {
        let on = |service: &'static str, begun: u64| (begun, fires("Down", &[("service", service)], begun));
        let subjects = |told: &[(u64, Notification)]| run(correlation(Sharing::All), told);
        let db = subjects(&[on("web", 10), on("api", 20), on("db", 30)]);
        assert_eq!(db, ["20 Opened 0 {} of api with 2: 2 of Down began within 10s", "30 Grew 0 {} of db with 3: Down fires"]);
        let unrelated = subjects(&[on("db", 10), on("zebra", 5)]);
        assert_eq!(unrelated, ["5 Opened 0 {} of zebra with 2: 2 of Down began within 5s"]);
        let together = subjects(&[on("zebra", 10), on("db", 10)]);
        assert_eq!(together, ["10 Opened 0 {} of db with 2: 2 of Down began within 0s"]);
        let nobody = subjects(&[(1, fires("Down", &[], 1)), (1, fires("Slow", &[], 1))]);
        assert_eq!(nobody, ["1 Opened 0 {} with 2: Down, Slow began within 0s"]);
    }

    #[test]
    fn policies_are_told_when_it_opens_and_when_it_closes_in_the_same_labels() {
        let mut correlator = Correlator::new(vec![correlation(Sharing::All)], inventory());
        let mut tell = |second: u64, notification: &Notification| {
            correlator.take_in(Time::from_seconds(second), notification);
            correlator.settle().into_iter().filter_map(|settled| settled.told).collect::<Vec<_>>()
        };
        assert_eq!(tell(10, &fires("Down", &[("service", "web")], 10)), []);
        let [(0, opened)] = &tell(20, &fires("Slow", &[("service", "api")], 20))[..] else { panic!("it opens") };
        let labels = opened.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(labels, ["alertname=Down + Slow", "incident=0", "subject=api"]);
        assert_eq!((opened.alert.as_str(), opened.status, opened.starts_at), ("Down + Slow", AlertStatus::Firing, Time::from_seconds(10)));
        assert_eq!(tell(30, &fires("Down", &[("service", "db")], 30)), [], "the subject has changed, and what was told stands");
        tell(40, &over("Down", &[("service", "web")], 10));
        tell(40, &over("Down", &[("service", "db")], 30));
        let closed = tell(50, &over("Slow", &[("service", "api")], 20));
        assert_eq!(closed, [(0, Notification { status: AlertStatus::Resolved, ..opened.clone() })]);
    }

    #[test]
    fn correlations_are_the_same_if_they_ask_for_the_same() {
        let matched = |text: &[(&str, &str)]| {
            let matchers = text.iter().map(|(name, value)| Matcher::new(name, "=", value).unwrap()).collect();
            Correlation { matchers, ..correlation(Sharing::Service) }
        };
        assert!(matched(&[("a", "1"), ("b", "2")]).is_same(&matched(&[("b", "2"), ("a", "1")])));
        assert!(!matched(&[("a", "1")]).is_same(&matched(&[])));
        assert!(!matched(&[]).is_same(&Correlation { min: 3, ..matched(&[]) }));
    }

    proptest! {
        /// Alerts that are told at one instant may come in any order; and incidents keep their books whatever comes.
        #[test]
        fn the_order_of_what_is_told_at_one_instant_does_not_matter(
            events in prop::collection::vec((0_u64..6, 0_usize..2, 0_usize..4, any::<bool>()), 1..40),
            order in any::<u64>(),
            scope in prop::sample::select(vec![Sharing::Finest, Sharing::Service, Sharing::Zone, Sharing::All]),
        ) {
            let mut now = 0;
            let mut told: Vec<(u64, Notification)> = Vec::new();
            for (gap, name, pod, is_over) in events {
                now += gap * 15;
                let labels = [("pod", ["api-0", "api-1", "db-0", "web-1"][pod])];
                let notification = alert(["Down", "Slow"][name], &labels, (now, if is_over { AlertStatus::Resolved } else { AlertStatus::Firing }));
                // One alert is told once an instant.
                if !told.iter().any(|(at, other)| *at == now && other.labels == notification.labels) {
                    told.push((now, notification));
                }
            }
            let mut shuffled = told.clone();
            shuffled.sort_by_key(|(at, told)| (*at, firedrill_core::random::hash64(&format!("{order} {:?}", told.labels))));
            let lines = run(correlation(scope.clone()), &told);
            prop_assert_eq!(&lines, &run(correlation(scope), &shuffled));
            let mut open = BTreeSet::new();
            for line in &lines {
                let words: Vec<&str> = line.split(' ').collect();
                let is_sound = match words[1] {
                    "Opened" => open.insert(words[2].to_owned()),
                    "Closed" => open.remove(words[2]) && line.contains(" with 0"),
                    _ => open.contains(words[2]) && !line.contains(" with 0"),
                };
                prop_assert!(is_sound, "{lines:?}");
            }
        }
    }
}
