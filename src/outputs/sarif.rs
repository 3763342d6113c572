//! Problems of files and findings of lints as SARIF 2.1.0, which code hosts show beside the lines that they are about.

use std::collections::BTreeMap;
use std::path::Path;

use firedrill_core::problem::{Place, Problem, Severity};
use firedrill_policies::rules::lint::LINTS;
use serde_json::{Value, json};

/// The schema that the document is of.
const SCHEMA: &str = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json";

/// A document with one run.
///
/// # Panics
/// Never: it is plain data.
#[must_use]
pub fn document<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    let problems: Vec<&Problem> = problems.into_iter().collect();
    let rules = rules(&problems);
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "firedrill", "version": env!("CARGO_PKG_VERSION"), "rules": rules.values().collect::<Vec<_>>() } },
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(|problem| result(problem, index[problem.code])).collect::<Vec<_>>(),
        }],
    });
    serde_json::to_string_pretty(&document).expect("a document is plain data")
}

/// The codes that occur, each with what it says, sorted: of a lint from its catalogue, else from the first problem that has it.
fn rules<'a>(problems: &[&'a Problem]) -> BTreeMap<&'a str, Value> {
    let mut rules = BTreeMap::new();
    for problem in problems {
        rules.entry(problem.code).or_insert_with(|| rule(problem));
    }
    rules
}

fn rule(problem: &Problem) -> Value {
    let mut rule = json!({ "id": problem.code, "defaultConfiguration": { "level": level(problem.severity) } });
    if let Some(known) = LINTS.iter().find(|known| known.code == problem.code) {
        rule["shortDescription"] = json!({ "text": known.what });
        rule["help"] = json!({ "text": known.remedy });
    }
    rule
}

fn result(problem: &Problem, index: usize) -> Value {
    let remedy = problem.remedy.as_ref().map_or_else(String::new, |remedy| format!("; {remedy}"));
    let mut location = json!({ "artifactLocation": { "uri": uri(&problem.path) } });
    if let Some(place) = &problem.place {
        location["artifactLocation"]["uri"] = json!(uri(&place.file().path));
        location["region"] = region(place);
    }
    json!({
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": level(problem.severity),
        "message": { "text": format!("{}{remedy}", problem.message) },
        "locations": [{ "physicalLocation": location }],
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// Lines and columns from 1; the end is the column after the last character.
fn region(place: &Place) -> Value {
    let text = &place.file().text;
    let end = place.range().end;
    let line_start = text[..end].rfind('\n').map_or(0, |at| at + 1);
    json!({
        "startLine": place.line(),
        "startColumn": place.column(),
        "endLine": text[..end].matches('\n').count() + 1,
        "endColumn": text[line_start..end].chars().count() + 1,
    })
}

/// A path as a reference, relative where it can be: what is not allowed in one is written as its bytes.
fn uri(path: &str) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| Path::new(path).strip_prefix(here).ok().map(|path| path.display().to_string()));
    let path = relative.unwrap_or_else(|| path.to_owned()).replace('\\', "/");
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::problem::SourceFile;
    use std::sync::Arc;

    #[test]
    fn a_place_becomes_a_region_that_counts_characters() {
        let file = Arc::new(SourceFile { path: "shöp.yaml".into(), text: "a: 1\nß: über\nb: 2\n".into() });
        let at = file.text.find("über").unwrap();
        let problem = Problem::at("FD0001", &Place::new(&file, at, at + "über".len()), "no number").remedy("write one");
        let document: Value = serde_json::from_str(&document([&problem])).unwrap();
        let result = &document["runs"][0]["results"][0];
        let expected = json!({ "startLine": 2, "startColumn": 4, "endLine": 2, "endColumn": 8 });
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["region"], expected);
        assert_eq!(location["artifactLocation"]["uri"], "sh%C3%B6p.yaml");
        assert_eq!(result["message"]["text"], "no number; write one");
    }

    #[test]
    fn each_code_is_one_rule_and_results_point_at_it() {
        let problem = |code, severity| Problem { severity, ..Problem::in_file(code, "a.yaml", "wrong") };
        let all = [problem("FD0460", Severity::Warning), problem("FD0002", Severity::Error), problem("FD0460", Severity::Warning)];
        let document: Value = serde_json::from_str(&document(&all)).unwrap();
        let run = &document["runs"][0];
        let rules: Vec<&str> = run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(rules, ["FD0002", "FD0460"]);
        let told: Vec<_> = run["results"].as_array().unwrap().iter().map(|result| result["ruleIndex"].as_u64().unwrap()).collect();
        assert_eq!(told, [1, 0, 1]);
        assert!(run["tool"]["driver"]["rules"][1]["help"]["text"].is_string(), "a lint brings its remedy along");
    }
}
