//! The schemas for editors: what is sound fits them, and what is wrong by its keys or words does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{firedrill, root, words};
use firedrill_core::yaml::{self, Node};
use jsonschema::Validator;
use serde_json::Value;

const NAMES: [&str; 6] = ["project", "policy", "scenario", "incident", "mapping", "tests"];

/// Every schema, as the command writes it.
fn schemas() -> BTreeMap<&'static str, Validator> {
    let schema = |name: &str| firedrill(root(), &["schema", name]).exits(0).json();
    NAMES.into_iter().map(|name| (name, jsonschema::validator_for(&schema(name)).unwrap())).collect()
}

/// A file as an editor sees it.
fn value(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => (*value).into(),
        yaml::Value::Integer(value) => serde_json::to_value(value).unwrap(),
        yaml::Value::Float(value) => serde_json::to_value(value).unwrap(),
        yaml::Value::Text(text) => text.as_str().into(),
        yaml::Value::List(items) => items.iter().map(value).collect(),
        yaml::Value::Map(entries) => entries.iter().map(|(key, node)| (key.text.to_string(), value(node))).collect(),
    }
}

/// What a file is, with its content; `None`: it is nothing that has a schema, or no YAML.
fn read(path: &str, text: &str) -> Option<(&'static str, Value)> {
    let content = value(&yaml::parse_with_infinities(path, text).ok()?);
    let kind = match content.get("schema") {
        Some(schema) => schema.as_str()?.split('/').next()?,
        None if content.get("rule_files").is_some() => "tests",
        None => return None,
    };
    Some((NAMES.into_iter().find(|name| *name == kind)?, content))
}

/// All YAML files below a folder, or the file itself.
fn files(path: &str) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![root().join(path)]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What is wrong with a content, in one line each.
fn faults(schema: &Validator, content: &Value) -> Vec<String> {
    schema.iter_errors(content).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[track_caller]
fn fits(schemas: &BTreeMap<&str, Validator>, shown: &str, (kind, content): &(&str, Value)) {
    let faults = faults(&schemas[kind], content);
    assert!(faults.is_empty(), "{shown} is no {kind} by the schema:\n{}", faults.join("\n"));
}

#[test]
fn every_sound_file_of_ours_fits_its_schema() {
    let schemas = schemas();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let folders = ["policies/library", "scenarios/library", "tests/projects", "projects", "incidents", "src", "firedrill.yaml", "benches"];
    for path in folders.into_iter().flat_map(files) {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let Some(read) = read(&shown, &fs::read_to_string(&path).unwrap()) else { continue };
        fits(&schemas, &shown, &read);
        *counts.entry(read.0).or_default() += 1;
    }
    let least = [("project", 4), ("policy", 40), ("scenario", 60), ("incident", 2), ("mapping", 2), ("tests", 20)];
    for (kind, least) in least {
        assert!(counts.get(kind).is_some_and(|count| *count >= least), "{kind}: {counts:?}");
    }
}

/// The blocks of YAML of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What a part of a file needs before it to be a file.
fn completed(page: &str, part: &str) -> Option<String> {
    let policy = "schema: policy/1\npolicy: p\nowner: o\non: { alert: Down }\ntarget: { replica: $pod }\n";
    if part.starts_with("kill_switch:") {
        return Some(format!("schema: project/1\n{part}"));
    }
    match page {
        "policies.md" if part.contains("steps:") => Some(format!("{policy}{part}")),
        "policies.md" => Some(format!("{policy}steps: [wait: 1s]\n{part}")),
        // Metrics with names of their own are those of a service.
        "context.md" if part.starts_with("metrics: {") => {
            Some(format!("schema: scenario/1\nscenario: part\nimport: base\nservices: {{ s: {{ {} }} }}", part.trim()))
        }
        "scenarios.md" | "context.md" => {
            let services = if part.starts_with("  ") { "services:\n" } else { "" };
            Some(format!("schema: scenario/1\nscenario: part\nimport: base\n{services}{part}"))
        }
        _ => None,
    }
}

#[test]
fn every_example_of_the_documentation_fits_its_schema() {
    let schemas = schemas();
    let mut count = 0;
    let pages = files_of_documentation();
    for page in &pages {
        let name = page.file_name().unwrap().to_str().unwrap();
        for block in blocks(page.to_str().unwrap()) {
            let is_whole = block.lines().any(|line| line.starts_with("schema:") || line.starts_with("rule_files:"));
            // A line alone shows where something stands.
            if block.lines().count() < 3 && is_whole {
                continue;
            }
            let whole = if is_whole { Some(block.clone()) } else { completed(name, &block) };
            let Some(read) = whole.and_then(|text| read(name, &text)) else { continue };
            fits(&schemas, &format!("{name}:\n{block}"), &read);
            count += 1;
        }
    }
    assert!(count >= 45, "{count} examples on {} pages", pages.len());
}

fn files_of_documentation() -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![root().join("docs")]);
    while let Some(folder) = waiting.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Codes of what a schema can tell: a key that is missing, a key that nobody knows, a value of another shape, another word.
const TOLD: [&str; 4] = ["FD0104", "FD0105", "FD0106", "FD0110"];

/// Wrong files that a schema takes for right, with the reason.
const TAKEN: [(&str, &str); 0] = [];

#[test]
fn files_with_unknown_keys_and_wrong_words_are_refused() {
    let schemas = schemas();
    let (mut refused, mut taken) = (0, Vec::new());
    for folder in ["tests/bad-input/policies", "tests/bad-input/project", "tests/bad-input/incidents", "tests/bad-input/scenarios"] {
        for path in files(folder) {
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            let Some((kind, content)) = read(&shown, &fs::read_to_string(&path).unwrap()) else { continue };
            let Ok(said) = fs::read_to_string(path.with_extension("stderr")) else { continue };
            let is_refused = !schemas[kind].is_valid(&content);
            refused += u32::from(is_refused);
            let is_told = TOLD.iter().any(|code| said.contains(&format!("error[{code}]")));
            if is_told && !is_refused && !TAKEN.iter().any(|(name, _)| shown.ends_with(name)) {
                taken.push(shown);
            }
        }
    }
    assert!(taken.is_empty(), "these fit their schemas:\n{}", taken.join("\n"));
    assert!(refused >= 75, "{refused} wrong files are refused");
}

#[test]
fn a_misspelt_key_of_a_file_is_marked_where_it_stands() {
    let schemas = schemas();
    let text = include_str!("../../src/init/policy.yaml").replace("escalate_after:", "escalate_afer:");
    let (kind, content) = read("policy.yaml", &text).unwrap();
    let told = faults(&schemas[kind], &content);
    assert!(told.len() == 1 && told[0].contains("escalate_afer"), "{told:?}");
}

#[test]
fn a_schema_says_what_a_key_means_in_the_words_of_the_documentation() {
    let schema = firedrill(root(), &words("schema policy")).exits(0).json();
    let told = schema["$defs"]["policy"]["properties"]["escalate_after"]["description"].as_str().unwrap();
    assert!(told.starts_with("a person is called if the incident is not over after so long\nvalue: duration above 0"), "{told}");
    let of_value = schema["$defs"]["duration"]["description"].as_str().unwrap();
    assert!(of_value.contains("a unit is a must"), "{of_value}");
    let wrong = firedrill(root(), &words("schema polcy")).exits(2);
    assert!(wrong.stderr.contains("a similar value exists: 'policy'"), "{}", wrong.stderr);
}

#[test]
fn editors_find_the_schemas_that_init_writes() {
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &words("init --editor")).exits(0).says(".firedrill/schema/policy.json");
    let mut count = 0;
    for path in ["firedrill.yaml", "policies/rollback-on-regression.yaml", "scenarios/bad-deploy.yaml", "scenarios/calm-deploy.yaml"] {
        let file = folder.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
        let schema = fs::read_to_string(file.parent().unwrap().join(schema)).unwrap();
        let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
        assert_eq!(faults(&schema, &read(path, &text).unwrap().1), Vec::<String>::new(), "{path}");
        count += 1;
    }
    assert_eq!(count, 4);
    assert!(Path::new(&folder.path().join(".firedrill/schema/tests.json")).is_file());
    firedrill(folder.path(), &words("check")).exits(0).says("all sound");
}
