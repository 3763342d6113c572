//! An alert as Alertmanager keeps it: identity, merging of what is posted twice, and the order in which a message lists alerts.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};

/// An alert as someone posts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostedAlert {
    /// What it is about; the identity. Labels with an empty value count as absent.
    pub labels: LabelSet,
    /// For people; no part of the identity.
    pub annotations: LabelSet,
    /// Where it comes from; may be empty.
    pub generator_url: String,
    /// Since when it is active; `None`: since it was posted.
    pub starts_at: Option<Time>,
    /// When it is over, which may lie ahead; `None`: `resolve_timeout` after it was posted, unless it is posted again.
    /// [`Time::MAX`]: not before someone says so.
    pub ends_at: Option<Time>,
}

/// An alert as Alertmanager keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its identity; no value is empty, and there is at least one.
    pub labels: LabelSet,
    /// For people.
    pub annotations: LabelSet,
    /// Where it comes from; may be empty.
    pub generator_url: String,
    /// Since when it is active, over all posts that overlap.
    pub starts_at: Time,
    /// When it is over; from then on it counts as resolved.
    pub ends_at: Time,
    /// When it was last posted.
    pub updated_at: Time,
    /// Whether `ends_at` is only a guess, because nobody said when it ends.
    pub is_timeout: bool,
}

/// Why an alert is refused; the others of its batch are taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// An alert without labels has no identity.
    #[error("an alert has no labels")]
    NoLabels,
    /// It would end before it starts.
    #[error("the alert {0} ends before it starts")]
    EndsBeforeStart(String),
}

/// 64 bits that stand for a label set in payloads: FNV-1a over names and values in order, each followed by the byte 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a label set.
    #[must_use]
    pub fn of(labels: &LabelSet) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let bytes = labels.iter().flat_map(|(name, value)| name.bytes().chain([255]).chain(value.bytes()).chain([255]));
        Self(bytes.fold(OFFSET, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Alert {
    /// What a post at `now` means.
    ///
    /// # Errors
    /// What Alertmanager refuses.
    pub fn posted(posted: PostedAlert, now: Time, resolve_timeout: Span) -> Result<Self, AlertError> {
        let PostedAlert { mut labels, annotations, generator_url, starts_at, ends_at } = posted;
        labels.retain(|_, value| !value.is_empty());
        if labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        let starts_at = starts_at.or(ends_at.filter(|end| *end != Time::MAX)).unwrap_or(now);
        let alert = Self {
            labels,
            annotations,
            generator_url,
            starts_at,
            ends_at: ends_at.unwrap_or_else(|| now.saturating_add(resolve_timeout)),
            updated_at: now,
            is_timeout: ends_at.is_none(),
        };
        if alert.ends_at < alert.starts_at { Err(AlertError::EndsBeforeStart(written(&alert.labels))) } else { Ok(alert) }
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub fn is_resolved(&self, now: Time) -> bool {
        self.ends_at <= now
    }

    /// What is kept of an older post and this one: this one, or both in one where their times overlap.
    #[must_use]
    pub fn merged_into(self, old: &Self, now: Time) -> Self {
        let ends_inside = self.ends_at > old.starts_at && self.ends_at < old.ends_at;
        let starts_inside = self.starts_at > old.starts_at && self.starts_at < old.ends_at;
        if !ends_inside && !starts_inside {
            return self;
        }
        let mut merged = self;
        merged.starts_at = merged.starts_at.min(old.starts_at);
        // Of two that say it is over the later wins; of two that say it is not, the later that is no guess.
        let later = old.ends_at > merged.ends_at;
        if later && if merged.is_resolved(now) { old.is_resolved(now) } else { !old.is_timeout } {
            merged.ends_at = old.ends_at;
        }
        merged
    }
}

/// The order of alerts in a message: by `job`, then `instance` (those that have it first), then fewer labels first, then label by label.
#[must_use]
pub(super) fn by_listing(one: &LabelSet, two: &LabelSet) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (one.get(name), two.get(name)) {
            (Some(one), Some(two)) => one.cmp(two),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    one.len().cmp(&two.len()).then_with(|| by_labels(one, two))
}

/// Of two sets of one size: at the first name that only one has, the set without it comes first; else by the first value that differs.
fn by_labels(one: &LabelSet, two: &LabelSet) -> Ordering {
    for ((name, value), (other_name, other_value)) in one.iter().zip(two) {
        let order = other_name.cmp(name).then_with(|| value.cmp(other_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// A label set in the notation of group keys: `{a="b", c="d"}`.
#[must_use]
pub(super) fn written(labels: &LabelSet) -> String {
    let pair = |(name, value): (&Name, &Name)| format!("{name}={}", quoted(value));
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(", "))
}

/// A text in double quotes with the escapes of the Go language, which group keys are made with.
#[must_use]
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            // Writing into a String cannot fail.
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
    }

    fn alert(starts_at: u64, ends_at: u64, updated_at: u64) -> Alert {
        Alert {
            labels: labels(&[("a", "b")]),
            annotations: LabelSet::default(),
            generator_url: String::new(),
            starts_at: Time::from_seconds(starts_at),
            ends_at: Time::from_seconds(ends_at),
            updated_at: Time::from_seconds(updated_at),
            is_timeout: false,
        }
    }

    #[track_caller]
    fn check_merge(old: Alert, new: Alert, starts_at: u64, ends_at: u64) {
        let now = new.updated_at;
        let merged = new.merged_into(&old, now);
        assert_eq!((merged.starts_at, merged.ends_at), (Time::from_seconds(starts_at), Time::from_seconds(ends_at)));
    }

    #[test]
    fn posts_that_overlap_become_one_alert() {
        // Both active: the earliest start, the latest end.
        check_merge(alert(10, 100, 10), alert(20, 90, 20), 10, 100);
        check_merge(alert(20, 90, 20), alert(10, 80, 30), 10, 90);
        // Over now: what says so wins, and of two that say so the later.
        check_merge(alert(10, 100, 10), alert(20, 50, 60), 10, 50);
        check_merge(alert(10, 55, 58), alert(20, 50, 60), 10, 55);
        // A guessed end does not outlive a told one.
        check_merge(Alert { is_timeout: true, ..alert(10, 100, 10) }, alert(20, 90, 20), 10, 90);
        // No overlap: the newer one as it is.
        check_merge(alert(10, 20, 20), alert(30, 90, 30), 30, 90);
        check_merge(alert(10, 90, 20), alert(10, 95, 30), 10, 95);
    }

    #[test]
    fn a_post_is_completed_and_checked() {
        let now = Time::from_seconds(100);
        let posted = |starts_at: Option<u64>, ends_at: Option<u64>| {
            let labels = labels(&[("a", "b"), ("empty", "")]);
            let at = |seconds: Option<u64>| seconds.map(Time::from_seconds);
            let posted = PostedAlert { labels, starts_at: at(starts_at), ends_at: at(ends_at), ..PostedAlert::default() };
            Alert::posted(posted, now, Span::from_minutes(5))
                .map(|alert| (alert.starts_at.as_seconds(), alert.ends_at.as_seconds(), alert.is_timeout))
        };
        assert_eq!(posted(None, None), Ok((100.0, 400.0, true)));
        assert_eq!(posted(Some(90), None), Ok((90.0, 400.0, true)));
        assert_eq!(posted(None, Some(95)), Ok((95.0, 95.0, false)));
        assert_eq!(posted(Some(96), Some(95)), Err(AlertError::EndsBeforeStart("{a=\"b\"}".to_owned())));
        let nothing = PostedAlert { labels: labels(&[("a", "")]), ..PostedAlert::default() };
        assert_eq!(Alert::posted(nothing, now, Span::ZERO), Err(AlertError::NoLabels));
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // Published values: the offset basis for no labels, and FNV-1a by hand for one.
        assert_eq!(Fingerprint::of(&LabelSet::default()).to_string(), "cbf29ce484222325");
        let by_hand =
            b"a\xffb\xff".iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(Fingerprint::of(&labels(&[("a", "b")])).0, by_hand);
    }

    #[test]
    fn alerts_are_listed_by_job_and_instance_first() {
        let mut sets = [
            labels(&[("a", "1"), ("b", "1")]),
            labels(&[("z", "1")]),
            labels(&[("a", "2")]),
            labels(&[("a", "1"), ("instance", "x"), ("job", "j2")]),
            labels(&[("job", "j2"), ("z", "1")]),
            labels(&[("job", "j1"), ("z", "1"), ("zz", "1")]),
        ];
        sets.sort_by(by_listing);
        let told: Vec<String> = sets.iter().map(written).collect();
        let expected = [
            r#"{job="j1", z="1", zz="1"}"#,
            r#"{a="1", instance="x", job="j2"}"#,
            r#"{job="j2", z="1"}"#,
            r#"{z="1"}"#,
            r#"{a="2"}"#,
            r#"{a="1", b="1"}"#,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn values_are_quoted_as_in_go() {
        assert_eq!(quoted("a\"\\\n\u{1}é"), r#""a\"\\\n\x01é""#);
    }
}
