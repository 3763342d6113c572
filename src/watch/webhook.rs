//! Alertmanager's webhooks, version 4, as they come in. Fields that nobody here needs are ignored, so that later versions read as well.
//!
//! Anybody who may send can send anything. So a message is read alert by alert, and of what is no alert nothing is kept but how many there are and why a few
//! of them are none: what is in memory is never much more than the message.

use std::fmt;
use std::marker::PhantomData;

use firedrill_core::journal::{AlertStatus, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use firedrill_policies::watcher::Alerted;
use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The one version of the message that there is.
const VERSION: &str = "4";

/// The labels of an alert and the name of its receiver have at most so many bytes together: what decisions rest on stands in the ledger, more than once.
pub const MOST_LABEL_BYTES: usize = 64 << 10;

/// A message has at most so many alerts. None of Alertmanager's that the watcher takes, of 4 MiB at most, has room for more.
pub const MOST_TOLD: usize = 1 << 16;

/// Of so many alerts that cannot be taken it is told why; the others are counted.
pub const MOST_REASONS: usize = 5;

/// At most so many bytes of a text that is wrong are told.
const SHOWN: usize = 64;

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// It is no message of Alertmanager's.
    #[error("this is no webhook of Alertmanager's: {0}")]
    Unreadable(String),
    /// It is one of another version.
    #[error("this is a webhook of version {0:?}, and version \"4\" is read")]
    Version(String),
    /// It has more alerts than [`MOST_TOLD`]: how many.
    #[error(
        "a message of {0} alerts is more than the most, {MOST_TOLD}: group by more labels (`group_by`), so that fewer alerts share a message"
    )]
    TooMany(usize),
    /// None of its alerts can be taken; the first reason.
    #[error("none of its alerts can be taken: {0}")]
    NoAlert(AlertError),
}

/// What is wrong with an alert of a message; the others are taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// It is no alert of Alertmanager's.
    #[error("alert {number} of the message cannot be read: {reason}")]
    Unreadable {
        /// Which alert, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// An alert without labels.
    #[error("alert {0} of the message has no labels")]
    Unlabelled(usize),
    /// A time that is none.
    #[error("alert {number} of the message: `{text}` is no time")]
    Time {
        /// Which alert, from 1.
        number: usize,
        /// What stands there, or its beginning.
        text: String,
    },
    /// Its labels are too long to be written down with what is decided.
    #[error("alert {number} of the message has labels of {bytes} bytes, and the most is {MOST_LABEL_BYTES}")]
    TooLong {
        /// Which alert, from 1.
        number: usize,
        /// How many bytes names and values have.
        bytes: usize,
    },
}

/// What a message tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Webhook {
    /// The alerts that can be taken, in its order.
    pub alerts: Vec<Alerted>,
    /// The others.
    pub refused: Refused,
    /// How many Alertmanager left out.
    pub truncated: usize,
}

/// Alerts that cannot be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: usize,
    /// Why [`MOST_REASONS`] of them cannot.
    pub reasons: Vec<AlertError>,
}

impl Refused {
    fn add(&mut self, why: impl FnOnce() -> AlertError) {
        self.count += 1;
        if self.reasons.len() < MOST_REASONS {
            self.reasons.push(why());
        }
    }
}

#[derive(Deserialize)]
struct MessageDocument {
    version: String,
    receiver: String,
    #[serde(default, rename = "groupKey")]
    group_key: Option<Either<String>>,
    #[serde(default, rename = "truncatedAlerts")]
    truncated_alerts: usize,
    alerts: AlertsDocument,
}

/// The alerts of a message, each with its number from 1.
#[derive(Default)]
struct AlertsDocument {
    read: Vec<(usize, AlertDocument)>,
    refused: Refused,
    count: usize,
}

struct AlertDocument {
    status: AlertStatus,
    labels: LabelsDocument,
    starts_at: String,
    ends_at: String,
}

/// Labels, and how many bytes their names and values have: of more than [`MOST_LABEL_BYTES`] no more are kept.
#[derive(Default)]
struct LabelsDocument {
    labels: LabelSet,
    bytes: usize,
}

impl<'de> Deserialize<'de> for AlertsDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Alerts;
        impl<'de> Visitor<'de> for Alerts {
            type Value = AlertsDocument;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of alerts")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AlertsDocument, A::Error> {
                let mut all = AlertsDocument::default();
                while all.count < MOST_TOLD {
                    let Some(Either(item)) = items.next_element()? else { return Ok(all) };
                    all.count += 1;
                    let number = all.count;
                    match item {
                        Ok(alert) => all.read.push((number, alert)),
                        Err(reason) => all.refused.add(|| AlertError::Unreadable { number, reason: shown(reason) }),
                    }
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    all.count += 1;
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(Alerts)
    }
}

/// Something that an object or a text can be read as.
trait Readable: Sized {
    /// For people, such as `a text`.
    const IS: &'static str;

    fn of_text(_: &str) -> Result<Self, String> {
        Err(instead_of::<Self>("a text"))
    }

    fn of_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Result<Self, String>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Err(instead_of::<Self>("an object")))
    }
}

fn instead_of<T: Readable>(what: &str) -> String {
    format!("{what} stands where {} is expected", T::IS)
}

/// What stands somewhere, or why it is not what it should be. Whatever it is, it is read over, so that what follows it can be read.
struct Either<T>(Result<T, String>);

impl<'de, T: Readable> Deserialize<'de> for Either<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<T: Readable> Any<T> {
            fn not<E>(what: &str) -> Result<Either<T>, E> {
                Ok(Either(Err(instead_of::<T>(what))))
            }
        }
        impl<'de, T: Readable> Visitor<'de> for Any<T> {
            type Value = Either<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::IS)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Either<T>, E> {
                Self::not("true or false")
            }
            fn visit_i64<E>(self, _: i64) -> Result<Either<T>, E> {
                Self::not("a number")
            }
            fn visit_u64<E>(self, _: u64) -> Result<Either<T>, E> {
                Self::not("a number")
            }
            fn visit_f64<E>(self, _: f64) -> Result<Either<T>, E> {
                Self::not("a number")
            }
            fn visit_unit<E>(self) -> Result<Either<T>, E> {
                Self::not("null")
            }
            fn visit_str<E>(self, text: &str) -> Result<Either<T>, E> {
                Ok(Either(T::of_text(text)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Either<T>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Self::not("a list")
            }
            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Either<T>, A::Error> {
                T::of_object(entries).map(Either)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl Readable for String {
    const IS: &'static str = "a text";

    fn of_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Readable for LabelsDocument {
    const IS: &'static str = "an object of labels";

    fn of_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Result<Self, String>, A::Error> {
        let (mut all, mut wrong) = (Self::default(), None);
        while let Some(name) = entries.next_key::<String>()? {
            match entries.next_value::<Either<String>>()?.0 {
                Ok(value) => {
                    all.bytes += name.len() + value.len();
                    if all.bytes <= MOST_LABEL_BYTES {
                        all.labels.insert(Name::from(name), Name::from(value));
                    }
                }
                Err(reason) => _ = wrong.get_or_insert_with(|| format!("the label `{}`: {reason}", shown(name))),
            }
        }
        Ok(wrong.map_or(Ok(all), Err))
    }
}

impl Readable for AlertDocument {
    const IS: &'static str = "an object that tells of an alert";

    fn of_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Result<Self, String>, A::Error> {
        let (mut status, mut labels, mut starts_at, mut ends_at) = (None, None, None, None);
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "status" => status = Some(entries.next_value::<Either<String>>()?.0),
                "labels" => labels = Some(entries.next_value::<Either<LabelsDocument>>()?.0),
                "startsAt" => starts_at = Some(entries.next_value::<Either<String>>()?.0),
                "endsAt" => ends_at = Some(entries.next_value::<Either<String>>()?.0),
                _ => _ = entries.next_value::<IgnoredAny>()?,
            }
        }
        let read = || -> Result<Self, String> {
            Ok(Self {
                status: status_of(&needed("status", status)?)?,
                labels: needed("labels", labels)?,
                starts_at: needed("startsAt", starts_at)?,
                ends_at: ends_at.map_or_else(|| Ok(String::new()), |ends_at| needed("endsAt", Some(ends_at)))?,
            })
        };
        Ok(read())
    }
}

/// What stands at a key that must be there.
fn needed<T>(key: &str, found: Option<Result<T, String>>) -> Result<T, String> {
    found.ok_or_else(|| format!("missing field `{key}`"))?.map_err(|reason| format!("`{key}`: {reason}"))
}

fn status_of(word: &str) -> Result<AlertStatus, String> {
    match word {
        "firing" => Ok(AlertStatus::Firing),
        "resolved" => Ok(AlertStatus::Resolved),
        other => Err(format!("`status` is `{}`, and not `firing` or `resolved`", shown(other.to_owned()))),
    }
}

/// What a message tells, with instants counted from `start`. An alert that cannot be taken does not cost the others.
///
/// # Errors
/// The body is no such message, it has more than [`MOST_TOLD`] alerts, or it has alerts and none of them can be taken.
pub fn read_webhook(body: &[u8], start: Start) -> Result<Webhook, WebhookError> {
    let message: MessageDocument = serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))?;
    if message.version != VERSION {
        return Err(WebhookError::Version(shown(message.version)));
    }
    let AlertsDocument { read, refused, count } = message.alerts;
    if count > MOST_TOLD {
        return Err(WebhookError::TooMany(count));
    }
    let of_message = OfMessage {
        receiver: Name::from(unescaped(&message.receiver)),
        group: message.group_key.and_then(|Either(key)| key.ok()).filter(|key| !key.is_empty()).map(|key| hashed(&key)),
    };
    let mut webhook = Webhook { alerts: Vec::with_capacity(read.len()), refused, truncated: message.truncated_alerts };
    for (number, alert) in read {
        match lower(number, alert, &of_message, start) {
            Ok(alerted) => webhook.alerts.push(alerted),
            Err(error) => webhook.refused.add(|| error),
        }
    }
    match webhook.refused.reasons.first() {
        Some(first) if webhook.alerts.is_empty() => Err(WebhookError::NoAlert(first.clone())),
        _ => Ok(webhook),
    }
}

/// What all alerts of a message have.
struct OfMessage {
    receiver: Name,
    group: Option<Name>,
}

/// A group's key may be as long as all of its labels, and tells groups apart: the first half of its BLAKE3, hexadecimal, does too.
fn hashed(key: &str) -> Name {
    Name::new(&blake3::hash(key.as_bytes()).to_hex().as_str()[..32])
}

fn lower(number: usize, alert: AlertDocument, OfMessage { receiver, group }: &OfMessage, start: Start) -> Result<Alerted, AlertError> {
    let AlertDocument { status, labels: LabelsDocument { labels, bytes }, starts_at, ends_at } = alert;
    let bytes = receiver.as_str().len() + bytes;
    if bytes > MOST_LABEL_BYTES {
        return Err(AlertError::TooLong { number, bytes });
    }
    if labels.is_empty() {
        return Err(AlertError::Unlabelled(number));
    }
    // Alertmanager takes alerts without a name; whoever listens to a receiver hears of them.
    let name = labels.get("alertname").cloned().unwrap_or_else(|| Name::new(""));
    let instant = |text: String| instant(&text, start).ok_or_else(|| AlertError::Time { number, text: shown(text) });
    let starts_at = instant(starts_at)?;
    let ends_at = match status {
        AlertStatus::Firing => None,
        // What does not say when it ended has ended by now.
        AlertStatus::Resolved if ends_at.is_empty() || ends_at.starts_with("0001-") => None,
        AlertStatus::Resolved => Some(instant(ends_at)?),
    };
    let notification = Notification { alert: name, status, labels, starts_at, receiver: Some(receiver.clone()) };
    Ok(Alerted { notification, ends_at, group: group.clone() })
}

/// The beginning of a text that somebody else wrote.
fn shown(mut text: String) -> String {
    if text.len() > SHOWN {
        text.truncate(boundary(&text, SHOWN));
        text.push('…');
    }
    text
}

/// The last place within so many bytes at which a text can be cut.
pub(super) fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Instants before the start become the start.
fn instant(text: &str, start: Start) -> Option<Time> {
    let stamp: Timestamp = text.parse().ok()?;
    let since = stamp.as_nanosecond() - i128::from(start.unix_millis()) * 1_000_000;
    Some(Time::from_nanos(u64::try_from(since.max(0)).ok()?))
}

/// Messages have had receivers' names from the beginning with the characters escaped that mean something in regular expressions.
fn unescaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        let next = if c == '\\' { rest.clone().next().filter(|next| "\\.+*?()|[]{}^$".contains(*next)) } else { None };
        out.push(next.unwrap_or(c));
        if next.is_some() {
            rest.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(alert: &str) -> String {
        format!(
            r#"{{"version":"4","groupKey":"{{}}:{{}}","truncatedAlerts":2,"status":"firing","receiver":"on\\.call","groupLabels":{{}},
                "commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://am","notification_reason":"new","alerts":[{alert}]}}"#
        )
    }

    fn read(body: &str) -> Result<Webhook, WebhookError> {
        read_webhook(body.as_bytes(), Start::default())
    }

    #[test]
    fn alerts_are_read_with_their_receiver_and_their_times() {
        let firing = r#"{"status":"firing","labels":{"alertname":"Down","pod":"a"},"annotations":{"summary":"x"},
            "startsAt":"2026-01-05T01:00:00.5+01:00","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p","fingerprint":"1"}"#;
        let resolved =
            r#"{"status":"resolved","labels":{"alertname":"Down"},"startsAt":"2025-01-01T00:00:00Z","endsAt":"2026-01-05T00:01:00Z"}"#;
        let Webhook { alerts, refused, truncated } = read(&message(&format!("{firing},{resolved}"))).unwrap();
        assert_eq!((alerts.len(), refused.count, truncated), (2, 0, 2));
        let first = &alerts[0].notification;
        assert_eq!(first.receiver.as_deref(), Some("on.call"));
        assert!(alerts[0].group.is_some() && alerts[0].group == alerts[1].group, "{alerts:?}");
        assert_eq!((first.status, first.starts_at, alerts[0].ends_at), (AlertStatus::Firing, Time::from_nanos(500_000_000), None));
        assert_eq!(alerts[1].ends_at, Some(Time::from_seconds(60)));
        assert_eq!(alerts[1].notification.starts_at, Time::ZERO, "what began before the start");
    }

    #[test]
    fn only_what_was_escaped_is_unescaped() {
        assert_eq!(unescaped(r"a\.b\(c\)"), "a.b(c)");
        assert_eq!(unescaped(r"a\b"), r"a\b");
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        let refused = |body: &str| read(body).unwrap_err().to_string();
        assert!(refused("[]").starts_with("this is no webhook of Alertmanager's: "));
        let unreadable = "none of its alerts can be taken: alert 1 of the message cannot be read: missing field `status`";
        assert!(refused(&message("{}")).starts_with(unreadable), "{}", refused(&message("{}")));
        assert_eq!(
            refused(&message("").replace(r#""version":"4""#, r#""version":"3""#)),
            "this is a webhook of version \"3\", and version \"4\" is read"
        );
        let timeless = r#"{"status":"firing","labels":{"alertname":"Down"},"startsAt":"yesterday"}"#;
        assert_eq!(refused(&message(timeless)), "none of its alerts can be taken: alert 1 of the message: `yesterday` is no time");
    }

    #[test]
    fn an_alert_that_cannot_be_taken_does_not_cost_the_others() {
        let alert = |labels: &str| format!(r#"{{"status":"firing","labels":{labels},"startsAt":"2026-01-05T00:00:00Z"}}"#);
        let long = alert(&format!(r#"{{"alertname":"Down","note":"{}"}}"#, "x".repeat(MOST_LABEL_BYTES)));
        let all = [alert(r#"{"pod":"a"}"#), long, alert("{}"), alert(r#"{"alertname":7}"#), alert(r#"{"alertname":"Down"}"#)];
        let webhook = read(&message(&all.join(","))).unwrap();
        let names: Vec<&str> = webhook.alerts.iter().map(|alerted| alerted.notification.alert.as_str()).collect();
        assert_eq!(names, ["", "Down"], "an alert needs no name");
        let mut told: Vec<String> = webhook.refused.reasons.iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(told[0], "alert 2 of the message has labels of 65560 bytes, and the most is 65536");
        assert_eq!(told[1], "alert 3 of the message has no labels");
        assert!(told[2].starts_with("alert 4 of the message cannot be read: `labels`: the label `alertname`: "), "{told:?}");
        assert_eq!(webhook.refused.count, 3);
    }

    #[test]
    fn whatever_stands_where_an_alert_should_costs_itself_alone() {
        let good = r#"{"status":"firing","labels":{"alertname":"Down"},"startsAt":"2026-01-05T00:00:00Z"}"#;
        let at = |status: &str, labels: &str, starts_at: &str| format!(r#"{{"status":{status},"labels":{labels},"startsAt":{starts_at}}}"#);
        let (firing, labels, begun) = (r#""firing""#, r#"{"a":"b"}"#, r#""2026-01-05T00:00:00Z""#);
        for (bad, why) in [
            ("null".to_owned(), "null stands where an object that tells of an alert is expected"),
            (r#""a""#.to_owned(), "a text stands where an object that tells of an alert is expected"),
            ("[[1,{}],2]".to_owned(), "a list stands where an object that tells of an alert is expected"),
            (at("true", labels, begun), "`status`: true or false stands where a text is expected"),
            (at(r#""on""#, labels, begun), "`status` is `on`, and not `firing` or `resolved`"),
            (at(firing, "[]", begun), "`labels`: a list stands where an object of labels is expected"),
            (at(firing, r#"{"a":{"b":1}}"#, begun), "`labels`: the label `a`: an object stands where a text is expected"),
            (at(firing, labels, "null"), "`startsAt`: null stands where a text is expected"),
            (r#"{"status":"firing","startsAt":"x"}"#.to_owned(), "missing field `labels`"),
        ] {
            let webhook = read(&message(&format!("{bad},{good}"))).unwrap();
            let reason = shown(why.to_owned());
            assert_eq!(webhook.refused.reasons, [AlertError::Unreadable { number: 1, reason }], "{bad}");
            assert_eq!((webhook.alerts.len(), webhook.refused.count), (1, 1), "{bad}");
        }
    }

    #[test]
    fn of_alerts_without_end_no_more_is_kept_than_how_many_they_are_and_why_the_first_are_none() {
        let good = r#"{"status":"firing","labels":{"alertname":"Down"},"startsAt":"2026-01-05T00:00:00Z"}"#;
        let webhook = read(&message(&format!("{}{good}", "[],".repeat(MOST_TOLD - 1)))).unwrap();
        assert_eq!((webhook.alerts.len(), webhook.refused.count, webhook.refused.reasons.len()), (1, MOST_TOLD - 1, MOST_REASONS));
        let refused = read(&message(&format!("{}[]", "[],".repeat(MOST_TOLD)))).unwrap_err();
        assert_eq!(refused, WebhookError::TooMany(MOST_TOLD + 1));
        assert!(refused.to_string().contains("group by more labels"));
        // The smallest alert that there is, so often that a message of 4 MiB is full.
        let smallest = r#"{"status":"firing","labels":{"a":""},"startsAt":"2026-01-05T00:00:00Z"},"#;
        assert!(read(&message(smallest.trim_end_matches(','))).is_ok() && (4 << 20) / smallest.len() < MOST_TOLD);
    }

    #[test]
    fn of_labels_without_end_no_more_is_kept_than_may_be_there() {
        let labels: Vec<String> = (0..200_000).map(|number| format!(r#""l{number}":"x""#)).collect();
        let endless = format!(r#"{{"status":"firing","labels":{{{}}},"startsAt":"2026-01-05T00:00:00Z"}}"#, labels.join(","));
        let found: MessageDocument = serde_json::from_str(&message(&endless)).unwrap();
        let LabelsDocument { labels: kept, bytes } = &found.alerts.read[0].1.labels;
        let of_kept = kept.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        assert!(*bytes > 1 << 20 && of_kept <= MOST_LABEL_BYTES, "{bytes} {of_kept}");
        assert!(matches!(read(&message(&endless)), Err(WebhookError::NoAlert(AlertError::TooLong { number: 1, .. }))));
    }
}
