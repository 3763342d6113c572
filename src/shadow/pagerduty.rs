//! An export of PagerDuty's log entries: the answer of its REST API v2 at `/log_entries` or `/incidents/ID/log_entries`, `{"log_entries": [{"type":
//! "acknowledge_log_entry", "created_at": …, "agent": …, "channel": …, "incident": …}, …]}`, in any order.
//!
//! Entries whose agent is no user are PagerDuty's own doing and no deeds.

use std::collections::BTreeMap;

use firedrill_core::problem::Problem;
use firedrill_core::words::in_one_line;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Deed, Story, add};

#[derive(Deserialize)]
struct ExportDocument {
    log_entries: Vec<EntryDocument>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
struct EntryDocument {
    #[serde(rename = "type")]
    kind: String,
    created_at: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    agent: Option<ReferenceDocument>,
    #[serde(default)]
    channel: Value,
    #[serde(default)]
    incident: Option<IncidentDocument>,
    #[serde(default)]
    service: Option<ReferenceDocument>,
}

/// An incident, whole or as a reference.
#[derive(Deserialize)]
struct IncidentDocument {
    #[serde(default)]
    id: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    service: Option<ReferenceDocument>,
}

#[derive(Default, Deserialize)]
struct ReferenceDocument {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    summary: String,
}

impl ReferenceDocument {
    fn is_person(&self) -> bool {
        self.kind.starts_with("user")
    }
}

/// The incidents of an export, in the order in which they began, and whether it is a part: there is more that was not exported.
///
/// # Errors
/// The file is no such export.
pub fn read_pagerduty(path: &str, text: &str) -> Result<(Vec<Story>, bool), Vec<Problem>> {
    let problem = |message: String| {
        let remedy =
            "save the answer of PagerDuty's `/log_entries?include[]=channels&include[]=incidents`, or of an incident's, as it comes";
        vec![Problem::in_file("FD0850", path, message).remedy(remedy)]
    };
    let export: ExportDocument =
        serde_json::from_str(text).map_err(|error| problem(format!("this is no export of PagerDuty's log entries: {error}")))?;
    let (mut entries, is_part) = (Vec::new(), export.more);
    for (index, entry) in export.log_entries.into_iter().enumerate() {
        let at: Timestamp =
            entry.created_at.parse().map_err(|_| problem(format!("log entry {}: `{}` is no time", index + 1, entry.created_at)))?;
        // By it a story is known again, whatever else is changed in it.
        if let Some(id) = entry.incident.as_ref().map(|own| &own.id).filter(|id| !is_id(id)) {
            return Err(problem(format!("log entry {}: `{}` is no id of an incident", index + 1, in_one_line(id))));
        }
        entries.push((at, entry));
    }
    entries.sort_by_key(|(at, _)| *at);
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for (at, entry) in entries {
        let incident = entry.incident.as_ref();
        let id = incident.map(|own| own.id.clone()).filter(|id| !id.is_empty()).unwrap_or_else(|| "PagerDuty".to_owned());
        let story = stories.entry(id.clone()).or_insert_with(|| Story {
            name: id,
            began: at,
            over: None,
            about: String::new(),
            services: String::new(),
            notes: String::new(),
            is_named: false,
            target: None,
            deeds: Vec::new(),
        });
        tell(story, at, &entry);
    }
    let mut stories: Vec<Story> = stories.into_values().collect();
    stories.sort_by_key(|story| story.began);
    Ok((stories, is_part))
}

/// Whether it is an id as PagerDuty gives them, or none.
fn is_id(id: &str) -> bool {
    id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn tell(story: &mut Story, at: Timestamp, entry: &EntryDocument) {
    let incident = entry.incident.as_ref();
    // Of a part of an export the first entry is not the beginning.
    let created = incident.and_then(|own| own.created_at.as_ref()?.parse::<Timestamp>().ok());
    story.began = story.began.min(created.unwrap_or(at));
    let own = incident.map(|own| [own.title.as_ref(), Some(&own.summary), own.description.as_ref()]);
    own.into_iter().flatten().flatten().chain([&entry.summary]).for_each(|said| add(&mut story.about, said));
    let mut said = Vec::new();
    texts(&entry.channel, &mut said);
    let services = [incident.and_then(|own| own.service.as_ref()), entry.service.as_ref()];
    services.into_iter().flatten().for_each(|service| add(&mut story.services, &service.summary));
    match entry.kind.trim_end_matches("_reference") {
        "trigger_log_entry" => {
            said.iter().for_each(|said| add(&mut story.about, said));
            // What told PagerDuty of it is one of its services.
            entry.agent.iter().for_each(|agent| add(&mut story.services, &agent.summary));
        }
        "resolve_log_entry" => {
            story.over = Some(at);
            deed(story, at, entry, "resolved".to_owned());
        }
        "acknowledge_log_entry" => deed(story, at, entry, "acknowledged".to_owned()),
        "annotate_log_entry" => {
            if entry.agent.as_ref().is_some_and(ReferenceDocument::is_person) {
                said.iter().for_each(|said| add(&mut story.notes, said));
            }
            deed(story, at, entry, said.join("\n"));
        }
        // Who was told, escalations, assignments: nobody has done anything.
        _ => {}
    }
}

fn deed(story: &mut Story, at: Timestamp, entry: &EntryDocument, words: String) {
    let Some(agent) = entry.agent.as_ref().filter(|agent| agent.is_person()) else { return };
    story.deeds.push(Deed::of(at.to_string(), agent.summary.clone(), words));
}

/// All that a channel says: notes have it in `summary` or `content`, alerts in their details.
fn texts(value: &Value, said: &mut Vec<String>) {
    match value {
        Value::String(text) => said.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, said)),
        Value::Object(fields) => fields.iter().filter(|(key, _)| *key != "type" && *key != "id").for_each(|(_, value)| texts(value, said)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"log_entries": [
      {"id": "R4", "type": "resolve_log_entry", "created_at": "2026-01-05T00:20:00Z", "summary": "Resolved by Ada",
       "agent": {"id": "U1", "type": "user_reference", "summary": "Ada"}, "channel": {"type": "website"}, "incident": {"id": "Q1", "summary": "[#7] Down"}},
      {"id": "R1", "type": "trigger_log_entry", "created_at": "2026-01-05T00:01:00Z", "summary": "Triggered through the API",
       "agent": {"type": "service_reference", "summary": "shop"}, "incident": {"id": "Q1", "summary": "[#7] Down"},
       "channel": {"type": "api", "details": {"firing": "Labels:\n - alertname = Down\n - pod = api-1\n"}}},
      {"id": "R2", "type": "acknowledge_log_entry", "created_at": "2026-01-05T01:03:00+01:00",
       "agent": {"id": "U1", "type": "user_reference", "summary": "Ada"}, "incident": {"id": "Q1"}},
      {"id": "R3", "type": "annotate_log_entry", "created_at": "2026-01-05T00:06:30Z", "agent": {"type": "user_reference", "summary": "Ada"},
       "channel": {"type": "note", "summary": "restarted api-1"}, "incident": {"id": "Q1"}},
      {"id": "R5", "type": "resolve_log_entry", "created_at": "2026-01-05T00:30:00Z", "agent": {"type": "service_reference", "summary": "shop"},
       "incident": {"id": "Q2", "summary": "Slow"}}],
      "limit": 25, "more": false}"#;

    #[test]
    fn an_export_tells_who_did_what_when_and_what_machines_do_is_no_deed() {
        let (stories, is_part) = read_pagerduty("log.json", EXPORT).unwrap();
        assert!(!is_part && read_pagerduty("log.json", &EXPORT.replace(r#""more": false"#, r#""more": true"#)).unwrap().1);
        let [one, other] = stories.as_slice() else { panic!("{stories:?}") };
        let deeds: Vec<(&str, &str, Option<&str>)> =
            one.deeds.iter().map(|deed| (deed.at.as_str(), deed.words.as_str(), deed.action.as_deref())).collect();
        let expected = [
            ("2026-01-05T00:03:00Z", "acknowledged", None),
            ("2026-01-05T00:06:30Z", "restarted api-1", Some("restart")),
            ("2026-01-05T00:20:00Z", "resolved", None),
        ];
        assert_eq!(deeds, expected);
        assert!(one.about.contains("pod = api-1") && one.over.is_some_and(|over| over.to_string() == "2026-01-05T00:20:00Z"));
        assert_eq!((other.name.as_str(), other.deeds.len()), ("Q2", 0));
    }

    #[test]
    fn a_part_of_an_export_tells_what_its_incident_is_about_and_when_it_began() {
        let part = r#"{"log_entries": [
          {"type": "annotate_log_entry", "created_at": "2026-01-05T00:26:30Z", "agent": {"type": "user_reference", "summary": "Ada"},
           "channel": {"type": "note", "summary": "did: nothing, web was it"}, "incident": {"id": "Q1", "title": "Down cart", "description": null,
           "created_at": "2026-01-05T00:01:00Z", "service": {"summary": "shop"}}}], "more": true}"#;
        let (stories, _) = read_pagerduty("log.json", part).unwrap();
        let own = &stories[0];
        assert_eq!(
            (own.about.as_str(), own.services.as_str(), own.notes.as_str()),
            ("Down cart\n", "shop\n", "did: nothing, web was it\n")
        );
        assert_eq!((own.began.to_string().as_str(), own.deeds.len()), ("2026-01-05T00:01:00Z", 1));
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let label = r#"{"log_entries":[{"type":"x","created_at":"2026-01-05T00:20:00Z","incident":{"id":"a label"}}]}"#;
        for text in ["{}", "[]", "no", r#"{"log_entries":[{"type":"x","created_at":"yesterday"}]}"#, label] {
            let problems = read_pagerduty("log.json", text).unwrap_err();
            assert_eq!(problems[0].code, "FD0850");
        }
    }
}
