//! A message as Alertmanager posts it to webhooks: JSON, version 4, fields in its order.

use std::collections::BTreeMap;

use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use serde::Serialize;

use super::machine::{Member, Message};

#[derive(Serialize)]
struct PayloadDocument<'m> {
    receiver: String,
    status: &'static str,
    alerts: Vec<AlertDocument<'m>>,
    notification_reason: &'static str,
    #[serde(rename = "groupLabels")]
    group_labels: &'m BTreeMap<Name, Name>,
    #[serde(rename = "commonLabels")]
    common_labels: BTreeMap<&'m str, &'m str>,
    #[serde(rename = "commonAnnotations")]
    common_annotations: BTreeMap<&'m str, &'m str>,
    #[serde(rename = "routeLabels")]
    route_labels: BTreeMap<&'m str, &'m str>,
    #[serde(rename = "externalURL")]
    external_url: &'m str,
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: &'m str,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: usize,
}

#[derive(Serialize)]
struct AlertDocument<'m> {
    status: &'static str,
    labels: &'m BTreeMap<Name, Name>,
    annotations: &'m BTreeMap<Name, Name>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'m str,
    fingerprint: String,
}

/// The body of the request, with a line feed at its end as the Go encoder leaves it. `external_url` is Alertmanager's own address.
#[must_use]
pub fn payload(message: &Message, start: Start, external_url: &str) -> String {
    let document = PayloadDocument {
        receiver: escaped(&message.receiver),
        status: status(message.is_firing()),
        alerts: message.alerts.iter().map(|member| alert(member, start)).collect(),
        notification_reason: message.reason.words(),
        group_labels: &message.group_labels,
        common_labels: common(&message.alerts, |member| &member.labels),
        common_annotations: common(&message.alerts, |member| &member.annotations),
        route_labels: BTreeMap::new(),
        external_url,
        version: "4",
        group_key: &message.group_key,
        truncated_alerts: message.truncated,
    };
    let text = serde_json::to_string(&document).expect("a payload is plain data");
    html_safe(&text) + "\n"
}

const fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

fn alert(member: &Member, start: Start) -> AlertDocument<'_> {
    AlertDocument {
        status: status(member.ended_at.is_none()),
        labels: &member.labels,
        annotations: &member.annotations,
        starts_at: rfc3339(start, member.starts_at),
        // What has no end ends at the zero time of the Go language.
        ends_at: member.ended_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| rfc3339(start, at)),
        generator_url: &member.generator_url,
        fingerprint: member.fingerprint().to_string(),
    }
}

/// To the millisecond, without the zeros at its end.
fn rfc3339(start: Start, at: Time) -> String {
    let text = Start::from_unix_millis(start.prometheus_millis(at)).to_string();
    match text.strip_suffix('Z').and_then(|rest| rest.rsplit_once('.')) {
        Some((whole, fraction)) => format!("{whole}.{}Z", fraction.trim_end_matches('0')).replace(".Z", "Z"),
        None => text,
    }
}

/// The entries in which all alerts agree.
fn common<'m>(alerts: &'m [Member], of: impl Fn(&'m Member) -> &'m BTreeMap<Name, Name>) -> BTreeMap<&'m str, &'m str> {
    let Some((first, rest)) = alerts.split_first() else { return BTreeMap::new() };
    let shared = of(first).iter().filter(|(name, value)| rest.iter().all(|member| of(member).get(*name) == Some(value)));
    shared.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A receiver's name with the characters escaped that mean something in regular expressions, as payloads have had it from the beginning.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The Go encoder escapes what could end a script in a page.
fn html_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}
