//! The state machine: groups on their grids of time, flushes through the pipeline, messages.
//!
//! A group is looked at on a grid: after `group_wait`, and then every `group_interval`. A look at which nothing can have changed is left out
//! (see `idle_until`), so that a run costs what happens in it and not how often it is looked at; what is sent is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};

use super::alert::{Alert, AlertError, Fingerprint, PostedAlert, by_listing, written};
use super::config::{Config, Integration, Route};
use super::delivery::{Delivered, Outage, Reply, deliver};
use super::inhibition::Sources;
use super::log::{Log, LogKey, Reason, Standing, reason, swept_at};
use super::note::{Note, NoteKind, Why};
use super::silence::Silence;

/// How often alerts that are over are swept out; until then a late post can still be merged with one.
const SWEEP: Span = Span::from_minutes(30);

/// What an integration of a receiver is sent: the alerts of a group at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When the receiver has it.
    pub at: Time,
    /// Who is told.
    pub receiver: Name,
    /// By which kind of integration, and which of its kind.
    pub integration: (Name, usize),
    /// The route's matchers and the group's labels: `{}/{a="b"}:{alertname="A"}`.
    pub group_key: Name,
    /// The labels in which the alerts of the group agree by its route.
    pub group_labels: LabelSet,
    /// Why it is sent.
    pub reason: Reason,
    /// Its alerts, in Alertmanager's order.
    pub alerts: Vec<Member>,
    /// How many more there were, beyond `max_alerts`.
    pub truncated: usize,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
}

/// An alert in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its labels.
    pub labels: LabelSet,
    /// Its annotations.
    pub annotations: LabelSet,
    /// Where it comes from; may be empty.
    pub generator_url: String,
    /// Since when it is active.
    pub starts_at: Time,
    /// When it was over; `None`: it fires.
    pub ended_at: Option<Time>,
}

impl Message {
    /// Whether any of its alerts fires.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(|member| member.ended_at.is_none())
    }
}

impl Member {
    /// 64 bits that stand for its labels.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }
}

/// An Alertmanager in virtual time. No files, no clock, no luck: what it sends follows from what it is given and when.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    config: Arc<Config>,
    start: Start,
    alerts: BTreeMap<LabelSet, Alert>,
    /// Those of the alerts that can mute others.
    sources: Sources,
    silences: BTreeMap<Name, Silence>,
    outages: Vec<Outage>,
    log: Log,
    groups: BTreeMap<u64, Group>,
    /// The group of a route with these labels.
    places: BTreeMap<(usize, LabelSet), u64>,
    agenda: BTreeMap<(Time, u64), Due>,
    next_group: u64,
    next_entry: u64,
    next_sweep: Time,
    /// Everything due until then is done.
    done_until: Option<Time>,
    /// What happens besides messages; `None`: it is not noted.
    notes: Option<Vec<Note>>,
    /// Leaves no look out.
    #[cfg(test)]
    looks_always: bool,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Flush(u64),
    /// A delivery of the group's flush has ended.
    Settle(u64, usize),
}

#[derive(Clone, Debug)]
struct Group {
    route: usize,
    labels: LabelSet,
    key: Name,
    alerts: BTreeMap<LabelSet, Alert>,
    /// When its timer was last set to the group interval; `None` before its first flush.
    flushed_at: Option<Time>,
    /// Its next flush in the agenda; `None` while one is under way.
    planned: Option<(Time, u64)>,
    flight: Option<Flight>,
    /// Whether something has happened to it since its flush under way began.
    was_touched: bool,
}

/// A flush under way.
#[derive(Clone, Debug)]
struct Flight {
    deliveries: Vec<Delivery>,
    open: usize,
    all_succeeded: bool,
    /// Alerts that were over when it began.
    resolved: Vec<Alert>,
}

#[derive(Clone, Debug)]
struct Delivery {
    key: LogKey,
    standing: Standing,
    delivered: Delivered,
    /// `None`: there is nothing to say, and the log alone is written.
    message: Option<Message>,
}

impl Alertmanager {
    /// An Alertmanager without alerts at the start of a run.
    #[must_use]
    pub fn new(config: Arc<Config>, start: Start) -> Self {
        Self {
            config,
            start,
            alerts: BTreeMap::new(),
            sources: Sources::default(),
            silences: BTreeMap::new(),
            outages: Vec::new(),
            log: Log::default(),
            groups: BTreeMap::new(),
            places: BTreeMap::new(),
            agenda: BTreeMap::new(),
            next_group: 0,
            next_entry: 0,
            next_sweep: Time::ZERO,
            done_until: None,
            notes: None,
            #[cfg(test)]
            looks_always: false,
        }
    }

    /// The same with receivers that do not always answer. Of several outages at one moment the first counts.
    #[must_use]
    pub fn with_outages(mut self, outages: Vec<Outage>) -> Self {
        self.outages = outages;
        self
    }

    /// The same that notes which alerts go where, and what is told to nobody and why; the caller takes the notes.
    #[must_use]
    pub fn with_notes(mut self) -> Self {
        self.notes = Some(Vec::new());
        self
    }

    /// What was noted since the last time that it was asked for, in order.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What it goes by.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// When it must be advanced next; `None`: not before something is posted.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Takes alerts in at `now`, in their order; gives what is refused. Nothing is sent before [`Alertmanager::advance`].
    pub fn ingest(&mut self, now: Time, posted: impl IntoIterator<Item = PostedAlert>) -> Vec<AlertError> {
        self.sweep(now);
        let (mut refused, mut is_awake) = (Vec::new(), false);
        for posted in posted {
            match Alert::posted(posted, now, self.config.resolve_timeout) {
                // Once is enough: what is posted at one moment is seen by the same looks.
                Ok(alert) => {
                    if self.put(alert, now) && !is_awake {
                        self.wake_all(now);
                        is_awake = true;
                    }
                }
                Err(error) => refused.push(error),
            }
        }
        refused
    }

    /// Does everything that is due until `now`, in its order; gives the messages that receivers have got.
    pub fn advance(&mut self, now: Time) -> Vec<Message> {
        let mut sent = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), due) = entry.remove_entry();
            match due {
                Due::Flush(group) => self.flush(group, at, &mut sent),
                Due::Settle(group, delivery) => self.settle(group, delivery, at, &mut sent),
            }
        }
        self.done_until = Some(now);
        sent
    }

    /// Sets a silence, or replaces the one of its name. What is sent already stays sent.
    pub fn set_silence(&mut self, now: Time, silence: Silence) {
        self.silences.insert(silence.id.clone(), silence);
        self.wake_all(now);
    }

    /// Ends a silence at `now`; tells whether there was one of this name.
    pub fn expire_silence(&mut self, now: Time, id: &str) -> bool {
        let Some(silence) = self.silences.get_mut(id) else { return false };
        silence.expire(now);
        self.wake_all(now);
        true
    }

    /// Goes by another configuration from `now` on. Alerts, silences and the notification log stay; groups begin anew, so that those whose
    /// alerts have waited long enough are looked at at once. Deliveries under way are broken off.
    pub fn reload(&mut self, now: Time, config: Arc<Config>) {
        self.config = config;
        self.groups.clear();
        self.places.clear();
        self.agenda.clear();
        self.sweep(now);
        self.sources = Sources::default();
        for alert in self.alerts.values() {
            self.sources.put(&self.config.inhibit_rules, &alert.labels, alert.ends_at);
        }
        for alert in self.alerts.values().cloned().collect::<Vec<_>>() {
            self.dispatch(alert, now);
        }
    }

    /// The alerts that are active at `now`.
    pub fn active(&self, now: Time) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(move |alert| !alert.is_resolved(now))
    }
}

/// From alerts to groups.
impl Alertmanager {
    /// Forgets what nothing can depend on any more.
    fn sweep(&mut self, now: Time) {
        if now >= self.next_sweep {
            self.alerts.retain(|_, alert| swept_at(alert.ends_at, SWEEP) > now);
            self.sources.retain(|ends_at| swept_at(ends_at, SWEEP) > now);
            self.log.sweep(now);
            self.next_sweep = swept_at(now.saturating_add(Span::from_nanos(1)), SWEEP);
        }
    }

    /// Tells whether it can mute others, so that all groups may have to be looked at.
    fn put(&mut self, alert: Alert, now: Time) -> bool {
        let alert = match self.alerts.get(&alert.labels) {
            Some(old) => alert.merged_into(old, now),
            None => alert,
        };
        self.alerts.insert(alert.labels.clone(), alert.clone());
        let may_mute = self.sources.put(&self.config.inhibit_rules, &alert.labels, alert.ends_at);
        self.dispatch(alert, now);
        may_mute
    }

    fn dispatch(&mut self, alert: Alert, now: Time) {
        for route in self.config.routes_of(&alert.labels) {
            let labels = self.config.routes[route].options.group_by.labels_of(&alert.labels);
            match self.places.get(&(route, labels.clone())).copied() {
                Some(id) => {
                    let group = self.groups.get_mut(&id).expect("a place names a group");
                    let old = group.alerts.insert(alert.labels.clone(), alert.clone());
                    let was_there = old.is_some_and(|old| !old.is_resolved(now));
                    self.wake(id, now);
                    if !was_there {
                        self.note_routed(id, &alert, now);
                    }
                }
                None => {
                    let id = self.found(route, labels, &alert, now);
                    self.note_routed(id, &alert, now);
                }
            }
        }
    }

    /// Notes that an alert has come into a group.
    fn note_routed(&mut self, id: u64, alert: &Alert, now: Time) {
        let Some(notes) = &mut self.notes else { return };
        if alert.is_resolved(now) {
            return;
        }
        let group = &self.groups[&id];
        let kind = NoteKind::Routed { look: group.planned.map(|(at, _)| at), is_first: group.flushed_at.is_none() };
        notes.push(note(group, &self.config.routes[group.route], alert, kind));
    }

    fn found(&mut self, route: usize, labels: LabelSet, alert: &Alert, now: Time) -> u64 {
        let Route { key, options, .. } = &self.config.routes[route];
        // Who has waited long enough elsewhere, before a restart say, does not wait again.
        let waited = alert.starts_at.saturating_add(options.group_wait) < now;
        let first = if waited { now } else { now.saturating_add(options.group_wait) };
        let id = self.next_group;
        self.next_group += 1;
        let group = Group {
            route,
            key: Name::from(format!("{key}:{}", written(&labels))),
            labels: labels.clone(),
            alerts: [(alert.labels.clone(), alert.clone())].into(),
            flushed_at: None,
            planned: None,
            flight: None,
            was_touched: false,
        };
        self.places.insert((route, labels), id);
        self.groups.insert(id, group);
        self.plan(id, first);
        id
    }

    fn plan(&mut self, id: u64, at: Time) {
        let entry = (at, self.next_entry);
        self.next_entry += 1;
        self.agenda.insert(entry, Due::Flush(id));
        let group = self.groups.get_mut(&id).expect("only groups that exist are planned");
        if let Some(earlier) = group.planned.replace(entry) {
            self.agenda.remove(&earlier);
        }
    }

    /// Plans the first look of the grid at which something that happens from `from` on can be seen.
    fn wake(&mut self, id: u64, from: Time) {
        let group = self.groups.get_mut(&id).expect("only groups that exist are woken");
        group.was_touched = true;
        // Before its first flush it waits for its group wait, and during a flush for its end.
        let (Some(flushed_at), None) = (group.flushed_at, &group.flight) else { return };
        let interval = self.config.routes[group.route].options.group_interval;
        let from = match self.done_until {
            Some(done) if done >= from => done.saturating_add(Span::from_nanos(1)),
            _ => from,
        };
        let at = on_grid(flushed_at, interval, from);
        if group.planned.is_none_or(|(planned, _)| at < planned) && at < Time::MAX {
            self.plan(id, at);
        }
    }

    fn wake_all(&mut self, from: Time) {
        for id in self.groups.keys().copied().collect::<Vec<_>>() {
            self.wake(id, from);
        }
    }

    /// From when on a look at a group could find something that the one at `now` did not, although nobody posts anything and nobody touches a
    /// silence. While that look's messages were under way, time went on: so it counts from the look, not from its end.
    fn idle_until(&self, id: u64, now: Time) -> Time {
        #[cfg(test)]
        if self.looks_always {
            return now;
        }
        let group = &self.groups[&id];
        let route = &self.config.routes[group.route];
        let ends = group.alerts.values().map(|alert| alert.ends_at).filter(|end| *end > now);
        let of_alerts = ends.chain(self.sources.next_end(now));
        let silences = self.silences.values().filter_map(|silence| silence.next_change(now));
        let by_calendar = !route.mute_time_intervals.is_empty() || !route.active_time_intervals.is_empty();
        let minute = by_calendar.then(|| self.next_minute(now));
        let entries = self.integrations(route).iter().filter_map(|integration| self.log.get(&log_key(group, route, integration), now));
        let of_log = entries.flat_map(|entry| entry.wakes(route.options.repeat_interval));
        of_alerts.chain(silences).chain(minute).chain(of_log).min().unwrap_or(Time::MAX)
    }

    fn next_minute(&self, now: Time) -> Time {
        let into_minute = self.start.prometheus_millis(now).rem_euclid(60_000).unsigned_abs();
        now.saturating_add(Span::from_millis(60_000 - into_minute))
    }

    fn integrations(&self, route: &Route) -> &[Integration] {
        self.config.receiver(&route.options.receiver).map_or(&[], |receiver| &receiver.integrations)
    }
}

/// From groups to messages.
impl Alertmanager {
    fn flush(&mut self, id: u64, now: Time, sent: &mut Vec<Message>) {
        let mut group = self.groups.remove(&id).expect("only groups that exist are planned");
        // A flush that had to wait for the one before it judges by the time at which it was due.
        let interval = self.config.routes[group.route].options.group_interval;
        let due = group.flushed_at.map_or(now, |last| on_grid(last, interval, Time::ZERO).min(now));
        let due = if group.flight.take().is_some() { due } else { now };
        group.flushed_at = Some(now);
        group.planned = None;
        group.was_touched = false;
        self.note_withheld(&group, now, due);
        let deliveries = self.deliveries(&group, now, due);
        let resolved = group.alerts.values().filter(|alert| alert.is_resolved(now)).cloned().collect();
        let flight = Flight { open: deliveries.len(), deliveries, all_succeeded: true, resolved };
        let ends: Vec<Time> = flight.deliveries.iter().map(|delivery| delivery.delivered.at).collect();
        group.flight = Some(flight);
        self.groups.insert(id, group);
        if ends.is_empty() {
            return self.land(id, now);
        }
        for (index, at) in ends.into_iter().enumerate() {
            if at <= now {
                self.settle(id, index, now, sent);
            } else {
                self.agenda.insert((at, self.next_entry), Due::Settle(id, index));
                self.next_entry += 1;
            }
        }
    }

    /// The pipeline: what is muted is left out, then each integration of the receiver is told what it does not know.
    fn deliveries(&self, group: &Group, now: Time, due: Time) -> Vec<Delivery> {
        let route = &self.config.routes[group.route];
        let mut alerts: Vec<&Alert> = group.alerts.values().filter(|alert| self.muted(alert, now).is_none()).collect();
        if alerts.is_empty() || self.out_of_time(route, due).is_some() {
            return Vec::new();
        }
        alerts.sort_by(|one, two| by_listing(&one.labels, &two.labels));
        let (resolved, firing): (Vec<&Alert>, Vec<&Alert>) = alerts.iter().partition(|alert| alert.is_resolved(now));
        let set = |alerts: Vec<&Alert>| alerts.into_iter().map(|alert| alert.labels.clone()).collect::<BTreeSet<_>>();
        let standing = Standing { firing: set(firing), resolved: set(resolved) };
        let members: Vec<Member> = alerts.into_iter().map(|alert| member(alert, now)).collect();
        let integrations = self.integrations(route).iter();
        integrations.filter_map(|integration| self.delivery((group, route, integration), &standing, &members, (now, due))).collect()
    }

    /// Why an alert is left out of messages at `now`; `None`: it is not.
    fn muted(&self, alert: &Alert, now: Time) -> Option<Why> {
        if let Some(source) = self.sources.inhibitor(&self.config.inhibit_rules, &alert.labels, now) {
            return Some(Why::Inhibited { by: source.clone() });
        }
        let silence = self.silences.values().find(|silence| silence.mutes(&alert.labels, now))?;
        Some(Why::Silenced { by: silence.id.clone() })
    }

    /// Why a route sends nothing at a moment; `None`: it sends.
    fn out_of_time(&self, route: &Route, at: Time) -> Option<Why> {
        let is_in = |name: &&Name| {
            let intervals = self.config.time_intervals.get(*name).into_iter().flatten();
            intervals.into_iter().any(|interval| interval.contains(self.start, at))
        };
        let active = &route.active_time_intervals;
        if !active.is_empty() && !active.iter().any(|name| is_in(&name)) {
            return Some(Why::Inactive { outside: active.clone() });
        }
        route.mute_time_intervals.iter().find(is_in).map(|name| Why::MutedDuring { interval: name.clone() })
    }

    /// Notes what a flush keeps from the group's receiver: what is muted, and what is over before a message was due.
    fn note_withheld(&mut self, group: &Group, now: Time, due: Time) {
        if self.notes.is_none() {
            return;
        }
        let route = &self.config.routes[group.route];
        let by_time = self.out_of_time(route, due);
        let why = |alert: &Alert| {
            let unsaid = alert.is_resolved(now) && !self.knows(group, route, &alert.labels, now);
            let muted = self.muted(alert, now).or_else(|| by_time.clone());
            if unsaid { Some(Why::OverBeforeTold { muted: muted.map(Box::new) }) } else { muted }
        };
        let found = group.alerts.values().filter_map(|alert| Some((alert, why(alert)?)));
        let notes: Vec<Note> = found.map(|(alert, why)| note(group, route, alert, NoteKind::Withheld(why))).collect();
        self.notes.as_mut().expect("it was there a moment ago").extend(notes);
    }

    /// Whether anybody at the group's receiver was told that an alert fires.
    fn knows(&self, group: &Group, route: &Route, labels: &LabelSet, now: Time) -> bool {
        let mut entries = self.integrations(route).iter().filter_map(|own| self.log.get(&log_key(group, route, own), now));
        entries.any(|entry| entry.knows(labels))
    }

    fn delivery(
        &self,
        (group, route, integration): (&Group, &Route, &Integration),
        standing: &Standing,
        members: &[Member],
        (now, due): (Time, Time),
    ) -> Option<Delivery> {
        let key = log_key(group, route, integration);
        let options = &route.options;
        let reason = reason(self.log.get(&key, now), standing, integration.send_resolved, (options.repeat_interval, due))?;
        let mut alerts: Vec<Member> =
            members.iter().filter(|member| integration.send_resolved || member.ended_at.is_none()).cloned().collect();
        if alerts.is_empty() {
            let delivered = Delivered { at: now, succeeded: true, attempts: 0 };
            return Some(Delivery { key, standing: standing.clone(), delivered, message: None });
        }
        let delivered = deliver(now, options.group_interval, integration.timeout, |at| self.reply(&options.receiver, integration, at));
        let kept = if integration.max_alerts == 0 { alerts.len() } else { integration.max_alerts.min(alerts.len()) };
        let truncated = alerts.len() - kept;
        alerts.truncate(kept);
        let message = Message {
            at: delivered.at,
            receiver: options.receiver.clone(),
            integration: (integration.kind.clone(), integration.index),
            group_key: group.key.clone(),
            group_labels: group.labels.clone(),
            reason,
            alerts,
            truncated,
            attempts: delivered.attempts,
        };
        Some(Delivery { key, standing: standing.clone(), delivered, message: Some(message) })
    }

    fn reply(&self, receiver: &Name, integration: &Integration, at: Time) -> Reply {
        let is_out = |outage: &&Outage| {
            outage.receiver == *receiver
                && outage.integration == (integration.kind.clone(), integration.index)
                && outage.from <= at
                && at < outage.to
        };
        self.outages.iter().find(is_out).map_or(Reply::OK, |outage| outage.reply)
    }

    /// A delivery has ended: what was told is written down; what was not is told again at the next flush.
    fn settle(&mut self, id: u64, index: usize, now: Time, sent: &mut Vec<Message>) {
        let group = self.groups.get_mut(&id).expect("a group with a flush under way exists");
        let repeat = self.config.routes[group.route].options.repeat_interval;
        let flight = group.flight.as_mut().expect("a delivery belongs to a flush");
        flight.open -= 1;
        let Delivery { key, standing, delivered, message } = &mut flight.deliveries[index];
        flight.all_succeeded &= delivered.succeeded;
        if delivered.succeeded {
            self.log.write(key.clone(), now, std::mem::take(standing), repeat);
            sent.extend(message.take());
        }
        if flight.open == 0 {
            self.land(id, now);
        }
    }

    /// A flush has ended: after a success the alerts that were over are forgotten, and a group without alerts too.
    fn land(&mut self, id: u64, now: Time) {
        let group = self.groups.get_mut(&id).expect("a group with a flush under way exists");
        let flight = group.flight.take().expect("a flush that ends was under way");
        if flight.all_succeeded {
            for alert in &flight.resolved {
                if group.alerts.get(&alert.labels) == Some(alert) {
                    group.alerts.remove(&alert.labels);
                }
            }
        }
        if group.alerts.is_empty() {
            let group = self.groups.remove(&id).expect("it was there a moment ago");
            self.places.remove(&(group.route, group.labels));
            return;
        }
        let began = group.flushed_at.expect("it was just flushed");
        let interval = self.config.routes[group.route].options.group_interval;
        let next = on_grid(began, interval, Time::ZERO);
        if next <= now && now > began {
            // The timer ran out during the flush: the next begins at once.
            group.flight = Some(Flight { deliveries: Vec::new(), open: 0, all_succeeded: true, resolved: Vec::new() });
            return self.plan(id, now);
        }
        let may_idle = flight.all_succeeded && !group.was_touched;
        let until = if may_idle { self.idle_until(id, began) } else { now };
        let at = on_grid(began, interval, until.max(next));
        if at < Time::MAX {
            self.plan(id, at);
        }
    }
}

/// The first moment of a group's grid at or after `from`, and at least one interval after its last flush.
fn on_grid(flushed_at: Time, interval: Span, from: Time) -> Time {
    let steps = from.since(flushed_at).as_nanos().div_ceil(interval.as_nanos().max(1)).max(1);
    flushed_at.saturating_add(Span::from_nanos(interval.as_nanos().saturating_mul(steps)))
}

fn log_key(group: &Group, route: &Route, integration: &Integration) -> LogKey {
    (group.key.clone(), route.options.receiver.clone(), integration.kind.clone(), integration.index)
}

fn note(group: &Group, route: &Route, alert: &Alert, kind: NoteKind) -> Note {
    let receiver = route.options.receiver.clone();
    Note { receiver, group_key: group.key.clone(), labels: alert.labels.clone(), starts_at: alert.starts_at, kind }
}

fn member(alert: &Alert, now: Time) -> Member {
    Member {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        generator_url: alert.generator_url.clone(),
        starts_at: alert.starts_at,
        ended_at: alert.is_resolved(now).then_some(alert.ends_at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::document::read_config;
    use super::*;

    /// Groups by name and by nothing, with an inhibition, a calendar, a receiver that wants no ends, and a route that goes on.
    const CONFIG: &str = "
global: { resolve_timeout: 40s }
route:
  receiver: one
  group_by: [name]
  group_wait: 7s
  group_interval: 11s
  repeat_interval: 50s
  routes:
  - { receiver: two, matchers: [zone=a], group_by: [], group_wait: 0s, continue: true }
  - { receiver: two, matchers: [zone=b], mute_time_intervals: [odd], group_interval: 23s }
receivers:
- { name: one, webhook_configs: [{ url: http://a }, { url: http://b, send_resolved: false }] }
- { name: two, webhook_configs: [{ url: http://c }] }
inhibit_rules:
- { source_matchers: [name=x], target_matchers: [name=~'y|z'], equal: [zone] }
time_intervals:
- { name: odd, time_intervals: [{ times: [{ start_time: '00:01', end_time: '00:03' }, { start_time: '00:05', end_time: '00:06' }] }] }
";

    #[derive(Clone, Debug)]
    enum Step {
        Fire { name: u8, zone: u8, lasts: Option<u16> },
        End { name: u8, zone: u8 },
        Silence { zone: u8, from: u16, lasts: u16 },
        Expire,
        Reload,
        Pass,
    }

    fn steps() -> impl Strategy<Value = Vec<(u16, Step)>> {
        let step = prop_oneof![
            6 => (0..4_u8, 0..3_u8, prop::option::of(1..90_u16)).prop_map(|(name, zone, lasts)| Step::Fire { name, zone, lasts }),
            4 => (0..4_u8, 0..3_u8).prop_map(|(name, zone)| Step::End { name, zone }),
            1 => (0..3_u8, 0..30_u16, 0..60_u16).prop_map(|(zone, from, lasts)| Step::Silence { zone, from, lasts }),
            1 => Just(Step::Expire),
            1 => Just(Step::Reload),
            2 => Just(Step::Pass),
        ];
        prop::collection::vec((0..40_u16, step), 1..40)
    }

    fn labels(name: u8, zone: u8) -> LabelSet {
        let of = |names: &[&str], index: u8| Name::new(names[usize::from(index)]);
        [(Name::new("name"), of(&["x", "y", "z", "w"], name)), (Name::new("zone"), of(&["a", "b", "c"], zone))].into()
    }

    struct Bench {
        alertmanager: Alertmanager,
        now: Time,
        told: Vec<Message>,
    }

    impl Bench {
        fn new(looks_always: bool, outages: bool) -> Self {
            let config = Arc::new(read_config("a.yml", CONFIG).unwrap());
            let outage = |from: u64, to: u64, status: u16, after: u64| Outage {
                receiver: Name::new("one"),
                integration: (Name::new("webhook"), 0),
                from: Time::from_seconds(from),
                to: Time::from_seconds(to),
                reply: Reply { status: Some(status), after: Span::from_seconds(after) },
            };
            let outages =
                if outages { vec![outage(20, 50, 500, 1), outage(80, 120, 200, 4), outage(150, 160, 404, 2)] } else { Vec::new() };
            let mut alertmanager = Alertmanager::new(config, Start::default()).with_outages(outages);
            alertmanager.looks_always = looks_always;
            Self { alertmanager, now: Time::ZERO, told: Vec::new() }
        }

        /// Steps to the moments at which something is due, or over all of them at once.
        fn pass(&mut self, seconds: u16, by_jumps: bool) {
            let until = self.now + Span::from_seconds(u64::from(seconds));
            while let Some(due) = self.alertmanager.due().filter(|due| *due <= until && !by_jumps) {
                self.told.extend(self.alertmanager.advance(due));
            }
            self.told.extend(self.alertmanager.advance(until));
            self.now = until;
        }

        fn step(&mut self, step: &Step) {
            let now = self.now;
            match step {
                Step::Fire { name, zone, lasts } => {
                    let ends_at = lasts.map(|lasts| now + Span::from_seconds(u64::from(lasts)));
                    let posted = PostedAlert { labels: labels(*name, *zone), starts_at: Some(now), ends_at, ..PostedAlert::default() };
                    assert_eq!(self.alertmanager.ingest(now, [posted]), []);
                }
                Step::End { name, zone } => {
                    let posted = PostedAlert { labels: labels(*name, *zone), ends_at: Some(now), ..PostedAlert::default() };
                    assert_eq!(self.alertmanager.ingest(now, [posted]), []);
                }
                Step::Silence { zone, from, lasts } => {
                    let starts_at = now + Span::from_seconds(u64::from(*from));
                    let matcher = format!("zone={}", ["a", "b", "c"][usize::from(*zone)]);
                    let silence = Silence::new("s", &matcher, starts_at, starts_at + Span::from_seconds(u64::from(*lasts))).unwrap();
                    self.alertmanager.set_silence(now, silence);
                }
                Step::Expire => drop(self.alertmanager.expire_silence(now, "s")),
                Step::Reload => self.alertmanager.reload(now, Arc::clone(self.alertmanager.config())),
                Step::Pass => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn leaving_looks_out_changes_nothing_that_is_sent(steps in steps(), outages in any::<bool>(), by_jumps in any::<bool>()) {
            let (mut lazy, mut eager) = (Bench::new(false, outages), Bench::new(true, outages));
            for (seconds, step) in &steps {
                lazy.step(step);
                eager.step(step);
                lazy.pass(*seconds, by_jumps);
                eager.pass(*seconds, false);
                // Two groups that are due at one moment may come in another order.
                let sorted = |told: &[Message]| {
                    let mut told: Vec<String> = told.iter().map(|message| format!("{message:?}")).collect();
                    told.sort();
                    told
                };
                prop_assert_eq!(sorted(&lazy.told), sorted(&eager.told));
            }
        }

        #[test]
        fn a_branch_goes_on_as_the_trunk_does(steps in steps(), at in 0..40_usize) {
            let mut trunk = Bench::new(false, true);
            let mut branch = None;
            for (index, (seconds, step)) in steps.iter().enumerate() {
                if index == at {
                    branch = Some(Bench { alertmanager: trunk.alertmanager.clone(), now: trunk.now, told: trunk.told.clone() });
                }
                for bench in [Some(&mut trunk), branch.as_mut()].into_iter().flatten() {
                    bench.step(step);
                    bench.pass(*seconds, false);
                }
            }
            if let Some(branch) = branch {
                prop_assert_eq!(branch.told, trunk.told);
            }
        }

        #[test]
        fn nobody_is_told_of_what_neither_fires_nor_was_told(steps in steps()) {
            let mut bench = Bench::new(false, false);
            for (seconds, step) in &steps {
                bench.step(step);
                let until = bench.now + Span::from_seconds(u64::from(*seconds));
                while let Some(due) = bench.alertmanager.due().filter(|due| *due <= until) {
                    let before = bench.alertmanager.log.clone();
                    for message in bench.alertmanager.advance(due) {
                        for member in &message.alerts {
                            let fires = bench.alertmanager.alerts[&member.labels].ends_at > due;
                            prop_assert_eq!(fires, member.ended_at.is_none());
                            let news = fires || message.is_firing() || before.knows_firing(&member.labels);
                            prop_assert!(news || message.reason == Reason::AllResolved, "{:?}", message);
                        }
                    }
                }
                bench.pass(*seconds, false);
            }
        }

        #[test]
        fn a_group_is_looked_at_on_its_grid(steps in steps()) {
            let mut bench = Bench::new(false, false);
            let mut last: BTreeMap<u64, Time> = BTreeMap::new();
            for (seconds, step) in &steps {
                bench.step(step);
                let until = bench.now + Span::from_seconds(u64::from(*seconds));
                while let Some(due) = bench.alertmanager.due().filter(|due| *due <= until) {
                    bench.alertmanager.advance(due);
                    for (id, group) in &bench.alertmanager.groups {
                        let Some(flushed_at) = group.flushed_at else { continue };
                        let interval = bench.alertmanager.config.routes[group.route].options.group_interval;
                        let earlier = last.insert(*id, flushed_at).unwrap_or(flushed_at);
                        prop_assert_eq!((flushed_at - earlier).as_nanos() % interval.as_nanos(), 0, "{:?} after {}", group, earlier);
                    }
                }
                bench.pass(*seconds, false);
            }
        }
    }

    #[test]
    fn what_applies_without_a_configuration_tells_each_alert_at_once_and_by_itself() {
        let mut alertmanager = Alertmanager::new(Config::one_by_one(), Start::default());
        let mut told = Vec::new();
        let mut post = |at: u64, name: u8, ends: bool, alertmanager: &mut Alertmanager| {
            let at = Time::from_seconds(at);
            while let Some(due) = alertmanager.due().filter(|due| *due < at) {
                assert_eq!(alertmanager.advance(due), []);
            }
            let ends_at = Some(if ends { at } else { Time::MAX });
            let posted = PostedAlert { labels: labels(name, 0), starts_at: Some(Time::from_seconds(1)), ends_at, ..PostedAlert::default() };
            assert_eq!(alertmanager.ingest(at, [posted]), []);
            while let Some(due) = alertmanager.due().filter(|due| *due == at) {
                for message in alertmanager.advance(due) {
                    let [member] = &message.alerts[..] else { panic!("one alert a message") };
                    told.push(format!("{} {} {}", message.at.as_seconds(), &*member.labels["name"], member.ended_at.is_some()));
                }
            }
        };
        post(1, 2, false, &mut alertmanager);
        post(1, 1, false, &mut alertmanager);
        post(400_000, 1, true, &mut alertmanager);
        post(400_001, 2, true, &mut alertmanager);
        post(400_002, 2, false, &mut alertmanager);
        assert_eq!(told, ["1 z false", "1 y false", "400000 y true", "400001 z true", "400002 z false"]);
    }
}
