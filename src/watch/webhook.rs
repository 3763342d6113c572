//! Alertmanager's webhooks, version 4, as they come in. Fields that nobody here needs are ignored, so that later versions read as well.

use firedrill_core::journal::{AlertStatus, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use firedrill_policies::watcher::Alerted;
use jiff::Timestamp;
use serde::Deserialize;

/// The one version of the message that there is.
const VERSION: &str = "4";

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// It is no message of Alertmanager's.
    #[error("this is no webhook of Alertmanager's: {0}")]
    Unreadable(String),
    /// It is one of another version.
    #[error("this is a webhook of version {0:?}, and version \"4\" is read")]
    Version(String),
    /// An alert without a name.
    #[error("alert {0} of the message has no label `alertname`")]
    Nameless(usize),
    /// A time that is none.
    #[error("alert {number} of the message: `{text}` is no time")]
    Time {
        /// Which alert, from 1.
        number: usize,
        /// What stands there.
        text: String,
    },
}

#[derive(Deserialize)]
struct MessageDocument {
    version: String,
    receiver: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated_alerts: usize,
    alerts: Vec<AlertDocument>,
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

/// The alerts of a message, in its order, with instants counted from `start`, and how many Alertmanager left out.
///
/// # Errors
/// The body is no such message; nothing of it is taken.
pub fn read_webhook(body: &[u8], start: Start) -> Result<(Vec<Alerted>, usize), WebhookError> {
    let message: MessageDocument = serde_json::from_slice(body).map_err(|error| WebhookError::Unreadable(error.to_string()))?;
    if message.version != VERSION {
        return Err(WebhookError::Version(message.version));
    }
    let receiver = Name::from(unescaped(&message.receiver));
    let alerts = message.alerts.into_iter().enumerate().map(|(index, alert)| lower(index + 1, alert, &receiver, start));
    Ok((alerts.collect::<Result<_, _>>()?, message.truncated_alerts))
}

fn lower(number: usize, alert: AlertDocument, receiver: &Name, start: Start) -> Result<Alerted, WebhookError> {
    let AlertDocument { status, labels, starts_at, ends_at } = alert;
    let name = labels.get("alertname").filter(|name| !name.is_empty()).cloned().ok_or(WebhookError::Nameless(number))?;
    let instant = |text: String| instant(&text, start).ok_or(WebhookError::Time { number, text });
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

    fn read(body: &str) -> Result<(Vec<Alerted>, usize), WebhookError> {
        read_webhook(body.as_bytes(), Start::default())
    }

    #[test]
    fn alerts_are_read_with_their_receiver_and_their_times() {
        let firing = r#"{"status":"firing","labels":{"alertname":"Down","pod":"a"},"annotations":{"summary":"x"},
            "startsAt":"2026-01-05T01:00:00.5+01:00","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p","fingerprint":"1"}"#;
        let resolved =
            r#"{"status":"resolved","labels":{"alertname":"Down"},"startsAt":"2025-01-01T00:00:00Z","endsAt":"2026-01-05T00:01:00Z"}"#;
        let (alerts, truncated) = read(&message(&format!("{firing},{resolved}"))).unwrap();
        assert_eq!((alerts.len(), truncated), (2, 2));
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
        assert!(refused(&message("{}").replace(r#""version":"4""#, r#""version":"3""#)).contains("this is no webhook"));
        assert_eq!(
            refused(&message("").replace(r#""version":"4""#, r#""version":"3""#)),
            "this is a webhook of version \"3\", and version \"4\" is read"
        );
        let nameless = r#"{"status":"firing","labels":{},"startsAt":"2026-01-05T00:00:00Z"}"#;
        assert_eq!(refused(&message(nameless)), "alert 1 of the message has no label `alertname`");
        let timeless = r#"{"status":"firing","labels":{"alertname":"Down"},"startsAt":"yesterday"}"#;
        assert_eq!(refused(&message(timeless)), "alert 1 of the message: `yesterday` is no time");
    }
}
