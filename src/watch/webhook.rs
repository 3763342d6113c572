//! Alertmanager's webhooks, version 4, as they come in. Fields that nobody here needs are ignored, so that later versions read as well.

use firedrill_core::journal::{AlertStatus, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use firedrill_policies::watcher::Alerted;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The one version of the message that there is.
const VERSION: &str = "4";

/// The labels of an alert and the name of its receiver have at most so many bytes together: what decisions rest on stands in the ledger, more than once.
pub const MOST_LABEL_BYTES: usize = 64 << 10;

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
    /// What is wrong with the others.
    pub refused: Vec<AlertError>,
    /// How many Alertmanager left out.
    pub truncated: usize,
}

#[derive(Deserialize)]
struct MessageDocument {
    version: String,
    receiver: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated_alerts: usize,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
struct AlertDocument {
    status: StatusDocument,
    labels: LabelSet,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(default, rename = "endsAt")]
    ends_at: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusDocument {
    Firing,
    Resolved,
}

/// What a message tells, with instants counted from `start`. An alert that cannot be taken does not cost the others.
///
/// # Errors
/// The body is no such message, or it has alerts and none of them can be taken.
pub fn read_webhook(body: &[u8], start: Start) -> Result<Webhook, WebhookError> {
    let message: MessageDocument = serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))?;
    if message.version != VERSION {
        return Err(WebhookError::Version(shown(message.version)));
    }
    let receiver = Name::from(unescaped(&message.receiver));
    let mut webhook = Webhook { truncated: message.truncated_alerts, ..Webhook::default() };
    for (index, alert) in message.alerts.into_iter().enumerate() {
        let number = index + 1;
        let read = serde_json::from_value(alert).map_err(|error| AlertError::Unreadable { number, reason: shown(error.to_string()) });
        match read.and_then(|alert| lower(number, alert, &receiver, start)) {
            Ok(alerted) => webhook.alerts.push(alerted),
            Err(error) => webhook.refused.push(error),
        }
    }
    match webhook.refused.first() {
        Some(first) if webhook.alerts.is_empty() => Err(WebhookError::NoAlert(first.clone())),
        _ => Ok(webhook),
    }
}

fn lower(number: usize, alert: AlertDocument, receiver: &Name, start: Start) -> Result<Alerted, AlertError> {
    let AlertDocument { status, labels, starts_at, ends_at } = alert;
    if labels.is_empty() {
        return Err(AlertError::Unlabelled(number));
    }
    let bytes = receiver.as_str().len() + labels.iter().map(|(name, value)| name.as_str().len() + value.as_str().len()).sum::<usize>();
    if bytes > MOST_LABEL_BYTES {
        return Err(AlertError::TooLong { number, bytes });
    }
    // Alertmanager takes alerts without a name; whoever listens to a receiver hears of them.
    let name = labels.get("alertname").cloned().unwrap_or_else(|| Name::new(""));
    let instant = |text: String| instant(&text, start).ok_or_else(|| AlertError::Time { number, text: shown(text) });
    let starts_at = instant(starts_at)?;
    let (status, ends_at) = match status {
        StatusDocument::Firing => (AlertStatus::Firing, None),
        // What does not say when it ended has ended by now.
        StatusDocument::Resolved if ends_at.is_empty() || ends_at.starts_with("0001-") => (AlertStatus::Resolved, None),
        StatusDocument::Resolved => (AlertStatus::Resolved, Some(instant(ends_at)?)),
    };
    let notification = Notification { alert: name, status, labels, starts_at, receiver: Some(receiver.clone()) };
    Ok(Alerted { notification, ends_at })
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
        assert_eq!((alerts.len(), refused.len(), truncated), (2, 0, 2));
        let first = &alerts[0].notification;
        assert_eq!(first.receiver.as_deref(), Some("on.call"));
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
        let told: Vec<String> = webhook.refused.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "alert 2 of the message has labels of 65560 bytes, and the most is 65536");
        assert_eq!(told[1], "alert 3 of the message has no labels");
        assert!(told[2].starts_with("alert 4 of the message cannot be read: "), "{told:?}");
    }
}
