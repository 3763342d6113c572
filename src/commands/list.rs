//! `firedrill list`: what the project and the library hold.

use std::path::Path;

use serde_json::json;

use crate::cli::{Format, ListArgs, Listed};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::library::{self, Entry};
use crate::load::Source;
use crate::output::Output;
use crate::sources;

/// A kind of thing with what there is of it, the project's first, as names find it.
struct Section {
    what: Listed,
    title: &'static str,
    own: Vec<Entry>,
    library: Vec<Entry>,
}

/// Lists names with one line about each.
pub fn execute(arguments: &ListArgs, output: Output) -> Result<Exit, Failure> {
    let home = Home::here()?;
    let sections = [
        Section { what: Listed::Scenarios, title: "scenarios", own: scenarios(&home)?, library: library::scenarios() },
        Section { what: Listed::Policies, title: "policies", own: policies(&home)?, library: library::policies() },
        Section { what: Listed::Rules, title: "rules", own: rules(&home)?, library: library::rules() },
        Section { what: Listed::Incidents, title: "incidents", own: incidents(&home)?, library: library::incidents() },
    ];
    let wanted = sections.iter().filter(|section| arguments.what.is_none_or(|only| only == section.what));
    if output.format == Format::Json {
        let mut document = serde_json::Map::from_iter([("schema".to_owned(), json!("firedrill.list/1"))]);
        document.extend(wanted.map(|section| (section.title.to_owned(), section.as_json())));
        output.data(&serde_json::Value::Object(document).to_string())?;
        return Ok(Exit::Held);
    }
    let texts: Vec<String> = wanted.map(Section::told).collect();
    output.data(&format!(
        "{}\nhint: `firedrill explain NAME` tells more, `firedrill run SCENARIO --policy POLICY` tries one on the other",
        texts.join("\n")
    ))?;
    Ok(Exit::Held)
}

impl Section {
    fn as_json(&self) -> serde_json::Value {
        let entry = |from: &str, entry: &Entry| json!({ "name": entry.name, "group": entry.group, "about": entry.about, "from": from });
        let own = self.own.iter().map(|own| entry("project", own));
        own.chain(self.library.iter().map(|known| entry("library", known))).collect()
    }

    fn told(&self) -> String {
        let title = self.title;
        let library = table(&self.library);
        if self.own.is_empty() {
            return format!("{title}\n{library}");
        }
        format!("{title} of this project, which come first where names are equal\n{}\n{title} of the library\n{library}", table(&self.own))
    }
}

fn table(entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let group_width = entries.iter().map(|entry| entry.group.len()).max().unwrap_or(0);
    entries.iter().map(|entry| format!("  {:width$}  {:group_width$}  {}\n", entry.name, entry.group, entry.about)).collect()
}

fn scenarios(home: &Home) -> Result<Vec<Entry>, Failure> {
    Ok(home.scenarios()?.iter().map(|scenario| library::of_scenario(scenario)).collect())
}

fn policies(home: &Home) -> Result<Vec<Entry>, Failure> {
    Ok(home.policies()?.policies.iter().map(|policy| library::of_policy(policy)).collect())
}

fn rules(home: &Home) -> Result<Vec<Entry>, Failure> {
    let entry = |source: &Source| {
        let name = home::rule_file_name(source).unwrap_or_else(|| source.path.clone());
        library::of_rules(&name, &source.path, &source.text)
    };
    Ok(home.rule_files()?.iter().map(entry).collect())
}

fn incidents(home: &Home) -> Result<Vec<Entry>, Failure> {
    let entry = |folder: &String| {
        let (incident, _) = sources::incident(folder, Path::new("."))?;
        let group = if incident.injected { "injected" } else { "recorded" };
        Ok(Entry { name: incident.name.to_string(), group: group.to_owned(), about: library::first_sentence(&incident.what) })
    };
    home.incident_folders()?.iter().map(entry).collect()
}
