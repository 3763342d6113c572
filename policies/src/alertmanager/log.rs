//! The notification log: what each receiver was last told of a group, and whether it must be told again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::Serialize;

/// How long the log keeps anything, whatever the repeat interval: Alertmanager's `--data.retention`.
const RETENTION: Span = Span::from_seconds(120 * 3600);

/// How often the log is swept; an entry lives until the first sweep at or after its expiry.
const SWEEP: Span = Span::from_minutes(15);

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// The receiver knows nothing of the group, or was told that all is over.
    #[serde(rename = "first notification")]
    First,
    /// Alerts fire of which it was not told.
    #[serde(rename = "new alerts added")]
    Added,
    /// Alerts are over of which it was not told.
    #[serde(rename = "some alerts resolved")]
    SomeResolved,
    /// Nothing fires any more.
    #[serde(rename = "all alerts resolved")]
    AllResolved,
    /// Nothing has changed for as long as the repeat interval.
    #[serde(rename = "repeat interval elapsed")]
    Repeat,
}

impl Reason {
    /// The words that payloads have for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::Added => "new alerts added",
            Self::SomeResolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Whom an entry is about: group, receiver, kind of integration, which of its kind.
pub(super) type LogKey = (Name, Name, Name, usize);

/// What a group holds at a flush, without what is muted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) firing: BTreeSet<LabelSet>,
    pub(super) resolved: BTreeSet<LabelSet>,
}

/// What a receiver was last told.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    at: Time,
    expires: Time,
    told: Standing,
}

/// Everything that was told and is still known.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<LogKey, Entry>,
}

impl Log {
    /// What is known at `now` of what was told.
    pub(super) fn get(&self, key: &LogKey, now: Time) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| swept_at(entry.expires, SWEEP) > now)
    }

    /// Writes down that a receiver was told at `now`.
    pub(super) fn write(&mut self, key: LogKey, now: Time, told: Standing, repeat: Span) {
        let kept = repeat.saturating_add(repeat).as_nanos().min(RETENTION.as_nanos());
        let expires = now.saturating_add(Span::from_nanos(kept));
        self.entries.insert(key, Entry { at: now, expires, told });
    }

    /// Forgets what [`Log::get`] does not give any more.
    pub(super) fn sweep(&mut self, now: Time) {
        self.entries.retain(|_, entry| swept_at(entry.expires, SWEEP) > now);
    }

    /// Whether any alert of this label set counts as told to be firing, to anybody.
    #[cfg(test)]
    pub(super) fn knows_firing(&self, labels: &LabelSet) -> bool {
        self.entries.values().any(|entry| entry.told.firing.contains(labels))
    }
}

impl Entry {
    /// Whether the receiver was told that an alert fires, or that it is over.
    pub(super) fn knows(&self, labels: &LabelSet) -> bool {
        self.told.firing.contains(labels) || self.told.resolved.contains(labels)
    }

    /// The moments from which on this entry may change what is sent although the group does not: when the repeat interval has passed, and
    /// when the entry is forgotten.
    pub(super) fn wakes(&self, repeat: Span) -> [Time; 2] {
        let repeated = self.at.saturating_add(repeat).saturating_add(Span::from_nanos(1));
        [repeated, swept_at(self.expires, SWEEP)]
    }
}

/// Whether a receiver must be told how a group stands at `now`.
pub(super) fn reason(entry: Option<&Entry>, standing: &Standing, send_resolved: bool, (repeat, now): (Span, Time)) -> Option<Reason> {
    let Some(entry) = entry else {
        return (!standing.firing.is_empty()).then_some(Reason::First);
    };
    if !standing.firing.is_subset(&entry.told.firing) {
        return Some(if entry.told.firing.is_empty() { Reason::First } else { Reason::Added });
    }
    if standing.firing.is_empty() {
        // Whether or not it hears what is over: the log must forget that it fired.
        return (!entry.told.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved && !standing.resolved.is_subset(&entry.told.resolved) {
        return Some(Reason::SomeResolved);
    }
    (entry.at.saturating_add(repeat) < now).then_some(Reason::Repeat)
}

/// The first sweep at or after a moment; sweeps come at whole multiples of their interval since the start.
pub(super) fn swept_at(from: Time, every: Span) -> Time {
    let sweeps = from.as_nanos().div_ceil(every.as_nanos());
    Time::from_nanos(sweeps.saturating_mul(every.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(firing: &[&str], resolved: &[&str]) -> Standing {
        let set = |names: &[&str]| names.iter().map(|name| [(Name::new("a"), Name::new(name))].into()).collect();
        Standing { firing: set(firing), resolved: set(resolved) }
    }

    fn entry(firing: &[&str], resolved: &[&str]) -> Entry {
        Entry { at: Time::from_seconds(100), expires: Time::MAX, told: standing(firing, resolved) }
    }

    #[track_caller]
    fn check(entry: Option<Entry>, now: Standing, send_resolved: bool, expected: Option<Reason>) {
        let at = (Span::from_seconds(50), Time::from_seconds(150));
        assert_eq!(reason(entry.as_ref(), &now, send_resolved, at), expected);
    }

    #[test]
    fn a_receiver_is_told_what_it_does_not_know() {
        check(None, standing(&["x"], &[]), true, Some(Reason::First));
        check(None, standing(&[], &["x"]), true, None);
        check(Some(entry(&["x"], &[])), standing(&["x", "y"], &[]), true, Some(Reason::Added));
        check(Some(entry(&[], &["x"])), standing(&["x"], &[]), true, Some(Reason::First));
        check(Some(entry(&["x", "y"], &[])), standing(&["x"], &["y"]), true, Some(Reason::SomeResolved));
        check(Some(entry(&["x", "y"], &[])), standing(&["x"], &["y"]), false, None);
        check(Some(entry(&["x"], &[])), standing(&[], &["x"]), false, Some(Reason::AllResolved));
        check(Some(entry(&[], &["x"])), standing(&[], &["y"]), true, None);
        check(Some(entry(&["x"], &[])), standing(&["x"], &[]), true, None);
    }

    #[test]
    fn a_repeat_is_due_only_after_its_interval() {
        let told = |now: u64| {
            let at = (Span::from_seconds(50), Time::from_nanos(now));
            reason(Some(&entry(&["x"], &[])), &standing(&["x"], &[]), true, at)
        };
        assert_eq!(told(150_000_000_000), None);
        assert_eq!(told(150_000_000_001), Some(Reason::Repeat));
    }

    #[test]
    fn an_entry_lives_until_the_first_sweep_after_its_expiry() {
        let mut log = Log::default();
        let key = (Name::new("g"), Name::new("r"), Name::new("webhook"), 0);
        log.write(key.clone(), Time::from_seconds(10), standing(&["x"], &[]), Span::from_minutes(10));
        // It expires at 20 min 10 s.
        assert!(log.get(&key, Time::from_seconds(1799)).is_some());
        assert!(log.get(&key, Time::from_seconds(1800)).is_none());
        log.write(key.clone(), Time::ZERO, standing(&["x"], &[]), Span::MAX);
        assert!(log.get(&key, Time::from_seconds(120 * 3600 - 1)).is_some());
        assert!(log.get(&key, Time::from_seconds(120 * 3600)).is_none());
    }
}
