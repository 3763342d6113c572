//! Silences: matchers and a stretch of time in which alerts that match are muted.

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::yaml::{self, Fields, Node, Reader, Value};

use super::matcher::{self, Matchers};
use super::problem;
use crate::rules::{prometheus_duration, text_of};

/// A silence. It mutes from `starts_at` to `ends_at`, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name, unique; setting another of this name replaces it.
    pub id: Name,
    /// What it mutes; all must match.
    pub matchers: Matchers,
    /// From when on.
    pub starts_at: Time,
    /// Until when.
    pub ends_at: Time,
    /// Who set it; may be empty.
    pub created_by: String,
    /// Why; may be empty.
    pub comment: String,
}

impl Silence {
    /// A silence from matchers as Alertmanager writes them: `alertname="A",severity=~"warning|info"`.
    ///
    /// # Errors
    /// What is wrong with the matchers.
    pub fn new(id: &str, matchers: &str, starts_at: Time, ends_at: Time) -> Result<Self, String> {
        let matchers = Matchers::new(matcher::parse(matchers).map_err(|error| error.to_string())?);
        Ok(Self { id: Name::new(id), matchers, starts_at, ends_at, created_by: String::new(), comment: String::new() })
    }

    /// Whether it mutes an alert at `now`.
    #[must_use]
    pub fn mutes(&self, labels: &LabelSet, now: Time) -> bool {
        self.starts_at <= now && now <= self.ends_at && self.matchers.match_labels(labels)
    }

    /// The next moment after `now` at which it begins to mute, or has ceased to.
    pub(super) fn next_change(&self, now: Time) -> Option<Time> {
        let ceases = self.ends_at.saturating_add(Span::from_nanos(1));
        [self.starts_at, ceases].into_iter().filter(|at| *at > now).min()
    }

    /// Ends it at `now`, also one that has not begun.
    pub(super) fn expire(&mut self, now: Time) {
        self.ends_at = self.ends_at.min(now);
        self.starts_at = self.starts_at.min(self.ends_at);
    }
}

/// Reads a list of silences, each from `from` to `to` after the start or, as Alertmanager's API lists them (`amtool silence query -o json`), from
/// `startsAt` to `endsAt`; JSON or YAML. What lies before the start of the run is moved to it.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_silences(path: &str, text: &str, start: Start) -> Result<Vec<Silence>, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let items = reader.list(&node, "silences").unwrap_or_default();
    let silences = silences(&mut reader, items, start);
    reader.finish()?;
    Ok(silences)
}

pub(super) fn silences(reader: &mut Reader, items: &[Node], start: Start) -> Vec<Silence> {
    items.iter().enumerate().filter_map(|(index, item)| silence(reader, item, (index + 1, start))).collect()
}

fn silence(reader: &mut Reader, node: &Node, (number, start): (usize, Start)) -> Option<Silence> {
    let mut fields = reader.fields(node, "a silence")?;
    let id = fields.optional("id").and_then(|node| reader.text(node, "an id")).cloned();
    let matchers_node = fields.required(reader, "matchers");
    let matchers = matchers_node.and_then(|node| matchers(reader, node));
    let starts_at = moment(reader, &mut fields, ["from", "startsAt"], start).unwrap_or(Some(Time::ZERO));
    let ends_at = moment(reader, &mut fields, ["to", "endsAt"], start);
    // A silence without an end is asked for the key that goes with its begin.
    let end = if fields.has("startsAt") { "endsAt" } else { "to" };
    let ends_at = ends_at.unwrap_or_else(|| fields.required(reader, end).and(None));
    let [created_by, comment] = ["createdBy", "comment"].map(|key| {
        let text = fields.optional(key).and_then(|node| reader.text(node, "a text"));
        text.map(ToString::to_string).unwrap_or_default()
    });
    // What the API adds of its own.
    for key in ["status", "updatedAt", "annotations"] {
        fields.optional(key);
    }
    let end_place = ["to", "endsAt"].into_iter().find_map(|key| fields.optional(key)).map(|node| &node.place);
    fields.finish(reader);
    let (matchers, starts_at, ends_at) = (matchers?, starts_at?, ends_at?);
    if ends_at < starts_at {
        reader.problem(problem::not_a_stretch(end_place?));
    }
    refuse_all(reader, &matchers, &matchers_node?.place);
    let named = || if comment.is_empty() { format!("silence {number}") } else { format!("silence {number} ({comment})") };
    Some(Silence { id: id.unwrap_or_else(|| Name::from(named())), matchers, starts_at, ends_at, created_by, comment })
}

/// A moment, by one of two keys: after the start, or in the calendar. `None` if neither is there; `Some(None)` if it cannot be read.
fn moment(reader: &mut Reader, fields: &mut Fields<'_>, [span_key, time_key]: [&'static str; 2], start: Start) -> Option<Option<Time>> {
    match (fields.optional(span_key), fields.optional(time_key)) {
        (Some(_), Some(node)) => {
            reader.problem(problem::both(&node.place, "a silence", &[span_key, time_key]));
            Some(None)
        }
        (Some(node), None) => Some(span(reader, node).map(|span| Time::ZERO + span)),
        (None, Some(node)) => Some(time(reader, node, start)),
        (None, None) => None,
    }
}

/// Refuses a silence of everything, as Alertmanager does.
fn refuse_all(reader: &mut Reader, matchers: &Matchers, place: &Place) {
    if matchers.match_labels(&LabelSet::default()) {
        reader.problem(problem::silences_everything(place));
    }
}

/// Matchers as Alertmanager writes them, or as its API does.
fn matchers(reader: &mut Reader, node: &Node) -> Option<Matchers> {
    let mut matchers = Vec::new();
    for item in reader.list(node, "`matchers`")? {
        if let Value::Text(text) = &item.value {
            match matcher::parse(text) {
                Ok(read) => matchers.extend(read),
                Err(error) => reader.problem(problem::not_a_matcher(&item.place, &error.to_string())),
            }
            continue;
        }
        let mut fields = reader.fields(item, "a matcher")?;
        let name = fields.required(reader, "name").and_then(|node| reader.text(node, "a label's name"));
        let value = fields.required(reader, "value").and_then(|node| reader.text(node, "a label's value"));
        let is_regex = fields.optional("isRegex").and_then(|node| reader.boolean(node, "`isRegex`")).unwrap_or(false);
        let is_equal = fields.optional("isEqual").and_then(|node| reader.boolean(node, "`isEqual`")).unwrap_or(true);
        fields.finish(reader);
        let operator = match (is_equal, is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        if name.is_some_and(|name| name.is_empty()) {
            reader.problem(problem::not_a_label(&item.place, ""));
        }
        match matcher::matcher(name?, operator, value?) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => reader.problem(problem::not_an_expression(&item.place, &error.to_string())),
        }
    }
    Some(Matchers::new(matchers))
}

fn time(reader: &mut Reader, node: &Node, start: Start) -> Option<Time> {
    let text = reader.text(node, "a time")?;
    match Start::parse(text) {
        Ok(at) => Some(start.time_of(at.unix_millis()).unwrap_or(Time::ZERO)),
        Err(message) => {
            reader.problem(problem::not_a_time(&node.place, &message));
            None
        }
    }
}

/// A duration as Prometheus writes it.
pub(super) fn span(reader: &mut Reader, node: &Node) -> Option<Span> {
    let text = text_of(reader, node, "a duration such as `5m`")?;
    let span = prometheus_duration(&text);
    if span.is_none() {
        reader.problem(crate::problem::not_a_prometheus_duration(&node.place, &text));
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_of_the_api_are_read() {
        let text = r#"[{"id": "x", "matchers": [{"name": "alertname", "value": "A.*", "isRegex": true}, "severity!=page"],
            "startsAt": "2026-01-05T00:10:00Z", "endsAt": "2026-01-05T00:20:00.5Z", "createdBy": "me", "comment": "works",
            "status": {"state": "active"}, "updatedAt": "2026-01-05T00:00:00Z"}]"#;
        let silences = read_silences("s.json", text, Start::default()).unwrap();
        assert_eq!(silences[0].matchers.to_string(), r#"{alertname=~"A.*",severity!="page"}"#);
        assert_eq!((silences[0].starts_at, silences[0].ends_at), (Time::from_seconds(600), Time::from_nanos(1_200_500_000_000)));
        let labels: LabelSet = [(Name::new("alertname"), Name::new("Abc"))].into();
        let muted = |seconds: u64| silences[0].mutes(&labels, Time::from_seconds(seconds));
        assert_eq!([599, 600, 1200, 1201].map(muted), [false, true, true, false]);
    }

    #[test]
    fn silences_are_counted_from_the_start_too() {
        let text = "- { matchers: ['team=a'], from: 5m, to: 20m, comment: works }\n- { matchers: ['team=b'], to: 1h }\n\
            - { matchers: ['team=c'], startsAt: 2026-01-05T00:10:00Z, to: 1h }\n";
        let silences = read_silences("s.yaml", text, Start::default()).unwrap();
        let told: Vec<_> = silences.iter().map(|own| (own.id.as_str(), own.starts_at, own.ends_at)).collect();
        let at = Time::from_seconds;
        assert_eq!(told, [("silence 1 (works)", at(300), at(1_200)), ("silence 2", at(0), at(3_600)), ("silence 3", at(600), at(3_600))]);
    }

    #[test]
    fn a_silence_that_cannot_be_is_refused() {
        let problems = |text: &str| {
            let problems = read_silences("s.json", text, Start::default()).unwrap_err();
            problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
        };
        let of = |rest: &str| format!(r#"[{{"matchers": ["a=b"], {rest}}}]"#);
        assert_eq!(problems(&of(r#""startsAt": "2026-01-05T00:10:00Z", "endsAt": "2026-01-05T00:00:00Z""#)), ["FD0714"]);
        assert_eq!(problems(&of(r#""endsAt": "tomorrow""#)), ["FD0715"]);
        assert_eq!(problems(&of(r#""until": 1"#)), ["FD0104", "FD0105"]);
        assert_eq!(problems(&of(r#""from": "10m", "to": "5m""#)), ["FD0714"]);
        assert_eq!(problems(&of(r#""to": "5m", "endsAt": "2026-01-05T00:00:00Z""#)), ["FD0711"]);
        assert_eq!(problems(r#"[{"matchers": ["a=~.*"], "endsAt": "2026-01-05T00:00:00Z"}]"#), ["FD0716"]);
    }
}
