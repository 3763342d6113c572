//! `firedrill schema`: a kind of file as JSON Schema, by which editors complete its keys, show what they mean and mark what is wrong.

mod skeleton;
mod forms;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::forms::Forms;
use self::skeleton::{Key, Skeleton, Type};
use super::explain::tables;
use crate::cli::SchemaArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The dialect that schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const SCENARIOS: &str = include_str!("../../docs/scenarios.md");
const POLICIES: &str = include_str!("../../docs/policies.md");
const CONTEXT: &str = include_str!("../../docs/context.md");
const RECORDINGS: &str = include_str!("../../docs/recordings.md");
const PROJECT: &str = include_str!("../../docs/project.md");
const VERDICTS: &str = include_str!("../../docs/verdicts.md");
const RULE_TESTS: &str = include_str!("../../docs/rule-tests.md");
const DECISION_TESTS: &str = include_str!("../../docs/decision-tests.md");

/// Values that several kinds of file have.
const COMMON: &str = include_str!("../schema/common.txt");
const SCENARIO_KEYS: &str = include_str!("../schema/scenario.txt");
const POLICY_KEYS: &str = include_str!("../schema/policy.txt");
const PROJECT_KEYS: &str = include_str!("../schema/project.txt");
const INCIDENT_KEYS: &str = include_str!("../schema/incident.txt");
const MAPPING_KEYS: &str = include_str!("../schema/mapping.txt");
const TEST_KEYS: &str = include_str!("../schema/tests.txt");

/// A kind of file: what it is called, where its keys stand, and which pages tell what they mean.
struct Kind {
    name: &'static str,
    title: &'static str,
    keys: &'static [&'static str],
    pages: &'static [&'static str],
}

/// All of them, in the order of [`SchemaName`].
const KINDS: [Kind; 6] = [
    Kind {
        name: "project",
        title: "A project of firedrill",
        keys: &[PROJECT_KEYS, POLICY_KEYS, COMMON],
        pages: &[PROJECT, POLICIES, VERDICTS, SCENARIOS],
    },
    Kind { name: "policy", title: "A policy of firedrill", keys: &[POLICY_KEYS, COMMON], pages: &[POLICIES, CONTEXT, SCENARIOS] },
    Kind { name: "scenario", title: "A scenario of firedrill", keys: &[SCENARIO_KEYS, COMMON], pages: &[SCENARIOS] },
    Kind {
        name: "incident",
        title: "A recorded incident of firedrill",
        keys: &[INCIDENT_KEYS, SCENARIO_KEYS, COMMON],
        pages: &[RECORDINGS, SCENARIOS],
    },
    Kind { name: "mapping", title: "How CSV files become series", keys: &[MAPPING_KEYS], pages: &[RECORDINGS] },
    Kind {
        name: "tests",
        title: "Rule tests and decision tests",
        keys: &[TEST_KEYS, SCENARIO_KEYS, COMMON],
        pages: &[RULE_TESTS, DECISION_TESTS, SCENARIOS],
    },
];

/// Writes the schema of a kind of file.
pub fn execute(arguments: &SchemaArgs, output: Output) -> Result<Exit, Failure> {
    output.data(&text(&KINDS[arguments.name as usize]))?;
    Ok(Exit::Held)
}

/// All schemas as files, by their names: `policy.json`, ….
pub fn files() -> Vec<(String, String)> {
    KINDS.iter().map(|kind| (format!("{}.json", kind.name), text(kind))).collect()
}

fn text(kind: &Kind) -> String {
    let schema = schema(kind);
    serde_json::to_string_pretty(&schema).expect("a value can be written") + "\n"
}

/// What of the types a file needs, beginning with the one that it is.
fn schema(kind: &Kind) -> Value {
    let skeleton = Skeleton::read(kind.keys);
    let told = Told::of(kind.pages);
    let mut forms = Forms::new(&skeleton);
    let root = forms.form(skeleton.root);
    let mut definitions = Map::new();
    while let Some(name) = forms.pop() {
        let definition = match (skeleton.types.get(name), skeleton.aliases.get(name)) {
            (Some(known), _) => object(known, &skeleton, &told, &mut forms),
            (None, Some(form)) => forms.form(form),
            (None, None) => forms::atom(name).unwrap_or_else(|| panic!("nothing says what `{name}` is")),
        };
        definitions.insert(name.to_owned(), told.value(name, definition));
    }
    json!({ "$schema": DIALECT, "title": kind.title, "$ref": root["$ref"], "$defs": definitions })
}

/// A map with known keys.
fn object<'s>(known: &Type<'s>, skeleton: &Skeleton<'s>, told: &Told, forms: &mut Forms<'s>) -> Value {
    let mut properties = Map::new();
    for (key, section) in skeleton.keys_of(known) {
        let mut form = forms.form(key.form);
        if known.is_nullable {
            form = forms::or_nothing(form);
        }
        if let Some(meaning) = told.key(section, key) {
            form["description"] = meaning.into();
        }
        properties.insert(key.name.to_owned(), form);
    }
    let required: Vec<&str> = known.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let rest = known.rest.map_or(Value::Bool(false), |form| forms.form(form));
    let kind = if known.is_nullable { json!(["object", "null"]) } else { json!("object") };
    let mut schema = json!({ "type": kind, "properties": properties, "additionalProperties": rest });
    let needs = |keys: &[&str]| json!({ "required": keys });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !known.one.is_empty() {
        schema["oneOf"] = known.one.iter().map(|key| needs(&[key])).collect();
    }
    if !known.any.is_empty() {
        schema["anyOf"] = known.any.iter().map(|keys| needs(keys)).collect();
    }
    for (key, other) in &known.needs {
        schema["dependentRequired"][key] = json!([other]);
    }
    schema
}

/// What the documentation says of keys and of values.
struct Told {
    /// By section and word, in the order of the page.
    rows: BTreeMap<(&'static str, &'static str), Vec<String>>,
}

impl Told {
    fn of(pages: &[&'static str]) -> Self {
        let mut rows: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for row in pages.iter().flat_map(|page| tables::rows(page)) {
            for word in row.words() {
                rows.entry((row.section, word)).or_default().push(row.told());
            }
        }
        Self { rows }
    }

    /// What a key means. Of several rows about one word the skeleton says which; without such a word there is one.
    fn key(&self, section: &str, key: &Key<'_>) -> Option<String> {
        let section = key.section.unwrap_or(section);
        let found = self.rows.iter().find(|((place, word), _)| *place == section && *word == key.name)?.1;
        found.get(key.row.unwrap_or(1).checked_sub(1)?).cloned()
    }

    /// How a value is written, beside what it is.
    fn value(&self, name: &str, mut definition: Value) -> Value {
        let row = self.rows.iter().find(|((section, word), _)| *section == "How values are written" && *word == name);
        if let Some((_, told)) = row {
            definition["description"] = told.concat().into();
        }
        definition
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::SchemaName;

    fn kind(name: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.name == name).unwrap()
    }

    #[test]
    fn every_kind_of_file_that_can_be_asked_for_has_its_schema() {
        use clap::ValueEnum;
        let names: Vec<String> =
            SchemaName::value_variants().iter().map(|name| name.to_possible_value().unwrap().get_name().to_owned()).collect();
        assert_eq!(names, KINDS.map(|kind| kind.name));
        for (name, text) in files() {
            let schema: Value = serde_json::from_str(&text).unwrap();
            assert!(jsonschema::meta::is_valid(&schema), "{name} is no schema");
            assert_eq!(schema["$schema"], DIALECT);
        }
    }

    /// Tables of the documentation whose first column has no keys of files.
    const OTHER_TABLES: [&str; 4] = ["profile", "system", "kind", "confidence"];

    /// Words of tables that cannot be written, are told of a second time, or are values.
    const NOT_WRITTEN: [&str; 13] = [
        "cpu_initialization",
        "initial_readiness",
        "dedup",
        "policy_as_code",
        "stage",
        "precheck",
        "queue",
        "aws",
        "envoy",
        "finagle",
        "grpc",
        "istio",
        "resilience4j",
    ];

    #[test]
    fn every_key_of_the_documentation_stands_in_the_schema_with_its_meaning() {
        for (names, page) in [
            (&["scenario"][..], SCENARIOS),
            (&["policy", "project"], POLICIES),
            (&["project"], PROJECT),
            (&["incident", "mapping"], RECORDINGS),
        ] {
            let mut meanings = BTreeSet::new();
            names.iter().for_each(|name| collect(&schema(kind(name)), "description", &mut meanings));
            let mut count = 0;
            // What a word means that stands for several keys is told of the word, and not of the keys.
            let is_word = |row: &tables::Row<'_>| ["of `failure_accrual`", "of `fail_fast`"].contains(&row.cells[1]);
            let elsewhere =
                |row: &tables::Row<'_>| OTHER_TABLES.contains(&row.head[0]) || row.cells[1].starts_with("see [below]") || is_word(row);
            for row in tables::rows(page).iter().filter(|row| !elsewhere(row)) {
                for word in row.words().filter(|word| !NOT_WRITTEN.contains(word)) {
                    assert!(meanings.contains(&row.told()), "{names:?}: `{word}` ({}) is not in the schema: {}", row.section, row.told());
                    count += 1;
                }
            }
            assert!(count >= 15, "{names:?}: {count} words were found");
        }
    }

    /// All texts that stand under a key of a schema.
    fn collect(value: &Value, wanted: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Value::String(text) if key == wanted => drop(found.insert(text.clone())),
                        _ => collect(value, wanted, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, wanted, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_of_a_schema_stands_in_the_documentation() {
        for kind in &KINDS {
            let skeleton = Skeleton::read(kind.keys);
            let told = Told::of(kind.pages);
            let mut forms = Forms::new(&skeleton);
            forms.form(skeleton.root);
            let mut missing = Vec::new();
            while let Some(name) = forms.pop() {
                if let Some(form) = skeleton.aliases.get(name) {
                    forms.form(form);
                }
                let Some(known) = skeleton.types.get(name) else { continue };
                for (key, section) in skeleton.keys_of(known) {
                    forms.form(key.form);
                    // What has no row of its own is named where the map is told of that it stands in.
                    let is_named = kind.pages.iter().any(|page| names(page, key.name));
                    if told.key(section, key).is_none() && (key.row.is_some_and(|row| row > 0) || !is_named) {
                        missing.push(format!("{name}.{}", key.name));
                    }
                }
            }
            assert!(missing.is_empty(), "{}: the documentation does not say {missing:?}", kind.name);
        }
    }

    /// Whether a page names a word in backquotes: alone, in a map, or as the key of an example.
    fn names(page: &str, word: &str) -> bool {
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        page.split('`').skip(1).step_by(2).any(|code| code.split(|character| !is_part(character)).any(|part| part == word))
            || page.contains(&format!("{word}:"))
    }

    #[test]
    fn whatever_a_reader_asks_for_stands_in_a_schema() {
        let asked =
            regex::Regex::new(r#"(?:optional|required)\((?:reader, |r, |&mut fields, |&mut own, |fields, )*"([a-z_0-9]+)"\)?"#).unwrap();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, sources) in [
            ("scenario", &["scenarios/src/document.rs", "scenarios/src/document"][..]),
            ("policy", &["policies/src/document.rs", "policies/src/document/guards.rs", "policies/src/document/deeds.rs"]),
            ("policy", &["policies/src/document/together.rs", "policies/src/document/correlation.rs", "core/src/deed.rs"]),
            ("project", &["src/project.rs", "policies/src/document/shared.rs"]),
            ("incident", &["scenarios/src/incident.rs", "scenarios/src/incident/expect.rs", "scenarios/src/incident/score.rs"]),
            ("mapping", &["scenarios/src/recording_mapping.rs"]),
            ("tests", &["policies/src/rules/unit_test"]),
        ] {
            let mut known = BTreeSet::new();
            keys(&schema(kind(name)), &mut known);
            let mut count = 0;
            for file in sources.iter().flat_map(|source| files_of(&folder.join(source))) {
                let text = std::fs::read_to_string(&file).unwrap();
                for found in asked.captures_iter(text.split("#[cfg(test)]").next().unwrap()) {
                    assert!(known.contains(&found[1]), "{name}: {} reads `{}`", file.display(), &found[1]);
                    count += 1;
                }
            }
            assert!(count > 5, "{name}: {count} keys are read");
        }
    }

    fn files_of(path: &std::path::Path) -> Vec<std::path::PathBuf> {
        if path.is_file() {
            return vec![path.to_owned()];
        }
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    }

    /// The names of all properties.
    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(entries) => {
                if let Some(properties) = entries.get("properties").and_then(Value::as_object) {
                    found.extend(properties.keys().cloned());
                }
                entries.values().for_each(|value| keys(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }

    #[test]
    fn what_can_be_done_and_go_wrong_is_what_the_readers_know() {
        let scenario = schema(kind("scenario"));
        let properties = |name: &str, kind: &Value| kind["$defs"][name]["properties"].as_object().unwrap().keys().cloned().collect();
        let faults: BTreeSet<String> = properties("fault", &scenario);
        for word in firedrill_scenarios::document::fault::entries() {
            assert!(faults.contains(word), "{word}");
        }
        let policy = schema(kind("policy"));
        let (cures, steps): (BTreeSet<String>, BTreeSet<String>) = (properties("cure", &scenario), properties("step", &policy));
        for word in firedrill_core::action::Action::WORDS {
            assert!(steps.contains(word) && (word == "wait" || cures.contains(word)), "{word}");
        }
        let guards: BTreeSet<String> = properties("guard", &policy);
        for word in firedrill_policies::guard::ORDER.iter().filter(|word| !NOT_WRITTEN.contains(word)) {
            assert!(guards.contains(*word), "{word}");
        }
    }
}
