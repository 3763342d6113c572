//! Silences: matchers and a stretch of time in which alerts that match are muted.

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::problem::{Place, Problem};
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::yaml::{self, Node, Reader, Value};

use super::matcher::{self, Matchers};
use super::problem;

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

/// Reads silences as Alertmanager's API lists them (`amtool silence query -o json`), as JSON or YAML; what lies before the start of the run
/// is moved to it.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_silences(path: &str, text: &str, start: Start) -> Result<Vec<Silence>, Vec<Problem>> {
    let node = yaml::parse(path, text)?;
    let mut reader = Reader::new();
    let items = reader.list(&node, "silences").unwrap_or_default();
    let silences = items.iter().enumerate().filter_map(|(index, item)| silence(&mut reader, item, (index, start))).collect();
    reader.finish()?;
    Ok(silences)
}

fn silence(reader: &mut Reader, node: &Node, (index, start): (usize, Start)) -> Option<Silence> {
    let mut fields = reader.fields(node, "a silence")?;
    let id = fields.optional("id").and_then(|node| reader.text(node, "an id")).cloned();
    let matchers_node = fields.required(reader, "matchers");
    let matchers = matchers_node.and_then(|node| matchers(reader, node));
    let starts_at = fields.optional("startsAt").map_or(Some(Time::ZERO), |node| time(reader, node, start));
    let ends_node = fields.required(reader, "endsAt");
    let ends_at = ends_node.and_then(|node| time(reader, node, start));
    let [created_by, comment] = ["createdBy", "comment"].map(|key| {
        let text = fields.optional(key).and_then(|node| reader.text(node, "a text"));
        text.map(ToString::to_string).unwrap_or_default()
    });
    // What the API adds of its own.
    for key in ["status", "updatedAt", "annotations"] {
        fields.optional(key);
    }
    fields.finish(reader);
    let (matchers, starts_at, ends_at) = (matchers?, starts_at?, ends_at?);
    if ends_at < starts_at {
        reader.problem(problem::not_a_stretch(&ends_node?.place));
    }
    refuse_all(reader, &matchers, &matchers_node?.place);
    let id = id.unwrap_or_else(|| Name::from(format!("silence-{}", index + 1)));
    Some(Silence { id, matchers, starts_at, ends_at, created_by, comment })
}

/// Refuses a silence of everything, as Alertmanager does.
pub(super) fn refuse_all(reader: &mut Reader, matchers: &Matchers, place: &Place) {
    if matchers.match_labels(&LabelSet::new()) {
        reader.problem(problem::silences_everything(place));
    }
}

/// Matchers as Alertmanager writes them, or as its API does.
pub(super) fn matchers(reader: &mut Reader, node: &Node) -> Option<Matchers> {
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
    fn a_silence_that_cannot_be_is_refused() {
        let problems = |text: &str| {
            let problems = read_silences("s.json", text, Start::default()).unwrap_err();
            problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
        };
        let of = |rest: &str| format!(r#"[{{"matchers": ["a=b"], {rest}}}]"#);
        assert_eq!(problems(&of(r#""startsAt": "2026-01-05T00:10:00Z", "endsAt": "2026-01-05T00:00:00Z""#)), ["FD0714"]);
        assert_eq!(problems(&of(r#""endsAt": "tomorrow""#)), ["FD0715"]);
        assert_eq!(problems(&of(r#""until": 1"#)), ["FD0104", "FD0105"]);
        assert_eq!(problems(r#"[{"matchers": ["a=~.*"], "endsAt": "2026-01-05T00:00:00Z"}]"#), ["FD0716"]);
    }
}
