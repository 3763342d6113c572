//! `firedrill list`: what the library holds.

use serde_json::json;

use crate::cli::{Format, ListArgs, Listed};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::library::{self, Entry};
use crate::output::Output;

/// Lists names with one line about each.
pub fn execute(arguments: &ListArgs, output: Output) -> Result<Exit, Failure> {
    let sections = [
        (Listed::Scenarios, "scenarios", library::scenarios()),
        (Listed::Policies, "policies", library::policies()),
        (Listed::Rules, "rules", library::rules()),
        (Listed::Incidents, "incidents", library::incidents()),
    ];
    let wanted = sections.into_iter().filter(|(what, ..)| arguments.what.is_none_or(|only| only == *what));
    if output.format == Format::Json {
        let mut document = serde_json::Map::from_iter([("schema".to_owned(), json!("firedrill.list/1"))]);
        for (_, title, entries) in wanted {
            let entries: Vec<_> =
                entries.iter().map(|entry| json!({ "name": entry.name, "group": entry.group, "about": entry.about })).collect();
            document.insert(title.to_owned(), json!(entries));
        }
        output.data(&serde_json::Value::Object(document).to_string());
        return Ok(Exit::Held);
    }
    let texts: Vec<String> = wanted.map(|(_, title, entries)| section(title, &entries)).collect();
    output.data(&format!(
        "{}\nhint: `firedrill explain NAME` tells more, `firedrill run SCENARIO --policy POLICY` tries one on the other",
        texts.join("\n")
    ));
    Ok(Exit::Held)
}

fn section(title: &str, entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let group_width = entries.iter().map(|entry| entry.group.len()).max().unwrap_or(0);
    let lines = entries.iter().map(|entry| format!("  {:width$}  {:group_width$}  {}\n", entry.name, entry.group, entry.about));
    format!("{title}\n{}", lines.collect::<String>())
}
