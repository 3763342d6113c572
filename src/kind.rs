//! What a file says it is, so that a file in the wrong place is told so in one sentence.

use std::path::Path;

use firedrill_core::problem::Problem;
use firedrill_core::yaml::{self, Value};

use crate::load::Source;

/// The kinds of file that firedrill reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `firedrill.yaml`.
    Project,
    /// A scenario.
    Scenario,
    /// A policy.
    Policy,
    /// A Prometheus rule file.
    Rules,
    /// The `incident.yaml` of an incident folder.
    Incident,
    /// How CSV files become series.
    Mapping,
    /// An `alertmanager.yml`, or a Secret that holds one.
    Alertmanager,
}

impl Kind {
    /// All kinds, with the name that stands in `schema: NAME/N`; what is Prometheus' or Alertmanager's own has none.
    const SCHEMAS: [(&'static str, Self); 5] = [
        ("project", Self::Project),
        ("scenario", Self::Scenario),
        ("policy", Self::Policy),
        ("incident", Self::Incident),
        ("mapping", Self::Mapping),
    ];

    /// The word for it, with its article.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Project => "a project file",
            Self::Scenario => "a scenario",
            Self::Policy => "a policy",
            Self::Rules => "a rule file",
            Self::Incident => "an incident",
            Self::Mapping => "a mapping",
            Self::Alertmanager => "an Alertmanager configuration",
        }
    }

    /// Where it belongs on a command line.
    #[must_use]
    pub fn place(self, name: &str) -> String {
        match self {
            Self::Project => format!("`firedrill gate --project {name}` judges by it"),
            Self::Scenario => format!("`firedrill run {name}` runs it; `--scenarios {name}` names it to `compare` and `gate`"),
            Self::Policy => format!("give it as `--policy {name}`, or as `--candidate {name}` to `gate`"),
            Self::Rules => format!("give it as `--rules {name}`"),
            Self::Incident => format!("`firedrill replay {name}` replays it"),
            Self::Mapping => "an incident names it: `recording: { csv: { mapping: FILE } }`".to_owned(),
            Self::Alertmanager => format!("give it as `--alertmanager {name}`, or write `alertmanager: {name}` in firedrill.yaml"),
        }
    }
}

/// What a file says it is, by its `schema` or its shape; `None` if it does not say, or is no YAML.
#[must_use]
pub fn of(source: &Source) -> Option<Kind> {
    let documents = yaml::parse_many(&source.path, &source.text).ok()?;
    let Value::Map(entries) = &documents.first()?.value else { return None };
    let value = |key: &str| entries.iter().find(|(candidate, _)| &*candidate.text == key).map(|(_, node)| &node.value);
    match (value("schema"), value("groups"), value("kind")) {
        (Some(Value::Text(schema)), ..) => {
            let name = schema.split('/').next().unwrap_or_default();
            Kind::SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
        }
        (None, Some(_), _) => Some(Kind::Rules),
        (None, None, Some(Value::Text(kind))) if &**kind == "PrometheusRule" => Some(Kind::Rules),
        (None, None, Some(Value::Text(kind))) if &**kind == "Secret" => {
            let Some(Value::Map(data)) = value("stringData") else { return None };
            data.iter().any(|(key, _)| matches!(&*key.text, "alertmanager.yaml" | "alertmanager.yml")).then_some(Kind::Alertmanager)
        }
        (None, None, None) if is_route(value("route")) => Some(Kind::Alertmanager),
        _ => None,
    }
}

/// Whether something reads as the root of Alertmanager's routing tree.
fn is_route(value: Option<&Value>) -> bool {
    let Some(Value::Map(entries)) = value else { return false };
    entries.iter().any(|(key, _)| matches!(&*key.text, "receiver" | "routes" | "group_by"))
}

/// The problem of a file that is something else than what is wanted. A file that does not say what it is stays for its reader to judge.
///
/// # Errors
/// It says that it is of another kind.
#[expect(clippy::result_large_err, reason = "a problem is made once and then told")]
pub fn expect(source: &Source, wanted: Kind) -> Result<(), Problem> {
    match of(source) {
        Some(found) if found != wanted => {
            let message = format!("this is {}, not {}", found.word(), wanted.word());
            // An incident is called by its folder.
            let folder = Path::new(&source.path).parent().map(|folder| folder.display().to_string()).filter(|folder| !folder.is_empty());
            let name = if found == Kind::Incident { folder.unwrap_or_else(|| ".".to_owned()) } else { source.path.clone() };
            Err(Problem::in_file("FD0903", &source.path, message).remedy(found.place(&name)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Kind>) {
        assert_eq!(of(&Source { path: "file.yaml".to_owned(), text: text.to_owned() }), expected, "{text}");
    }

    #[test]
    fn a_file_is_what_its_schema_or_its_shape_says() {
        check("schema: policy/1\npolicy: a\n", Some(Kind::Policy));
        check("schema: scenario/9\n", Some(Kind::Scenario));
        check("groups: []\n", Some(Kind::Rules));
        check("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n", Some(Kind::Rules));
        check("route: { receiver: a }\nreceivers: [{ name: a }]\n", Some(Kind::Alertmanager));
        check("kind: Secret\nstringData: { alertmanager.yaml: 'route: {}' }\n", Some(Kind::Alertmanager));
        check("kind: Secret\nstringData: { password: 'x' }\n", None);
        check("schema: pizza/1\n", None);
        check("a: 1\n", None);
        check("{", None);
    }

    #[test]
    fn a_file_in_the_wrong_place_is_told_where_it_belongs() {
        let incident = Source { path: "incidents/x/incident.yaml".to_owned(), text: "schema: incident/1\n".to_owned() };
        let problem = expect(&incident, Kind::Scenario).unwrap_err();
        assert_eq!(problem.message, "this is an incident, not a scenario");
        assert_eq!(problem.remedy.as_deref(), Some("`firedrill replay incidents/x` replays it"));
        assert!(expect(&incident, Kind::Incident).is_ok());
    }
}
