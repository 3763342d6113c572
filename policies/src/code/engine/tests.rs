//! Bundles that are asked, and bundles that are refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use firedrill_core::problem::{Place, SourceFile};
use serde_json::Value;

use super::MOST_REMEMBERED;
use crate::code::input::input;
use crate::code::{Alert, Asked, Bundle, Deed, InFlight, Offered, Owned, Reads, Said, Target, Text, Time, read};

fn place() -> Place {
    let text = "rego: [rules]".to_owned();
    let end = text.len();
    Place::new(&Arc::new(SourceFile { path: "firedrill.yaml".to_owned(), text }), 6, end)
}

fn bundle(texts: &[&str]) -> Result<crate::code::Read, Vec<String>> {
    let text = |(index, text): (usize, &&str)| Text { path: format!("{index}.rego"), text: (*text).to_owned() };
    let texts: Vec<Text> = texts.iter().enumerate().map(text).collect();
    read(&place(), &texts, "hash".to_owned()).map_err(|problems| problems.iter().map(told).collect())
}

fn told(problem: &firedrill_core::problem::Problem) -> String {
    let at = problem.place.as_ref().map_or_else(String::new, |place| format!("{}:{}:{}", place.file().path, place.line(), place.column()));
    format!("{at} {} {}", problem.code, problem.message)
}

pub(crate) fn offered(labels: &[(&str, &str)]) -> Offered {
    Offered {
        version: 1,
        policy: Owned { name: "restart".into(), owner: "team".into(), stage: "full", incident: 0, step: 1 },
        alert: Alert {
            name: "Down".into(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            since: Some(1.5),
        },
        action: Deed {
            word: "restart",
            parameters: serde_json::json!({ "mode": "at_once" }),
            text: "restart (at once)".into(),
            is_reversible: false,
            replicas: 3,
        },
        target: Target {
            kind: "service",
            name: "api".into(),
            services: vec!["api".into()],
            zones: vec!["a".into()],
            tier: "critical",
            owners: Vec::new(),
            replicas: 3,
        },
        guards: BTreeMap::new(),
        in_flight: Vec::new(),
        time: Time { rfc3339: "2026-01-05T00:00:00Z".into(), epoch: 1_767_571_200.0, elapsed: 0.0 },
        confidence: None,
    }
}

#[track_caller]
fn check(rule: &str, expected: Result<&[&str], &str>) {
    let read = bundle(&[&format!("package firedrill\n{rule}\n")]).unwrap();
    let said = read.bundle.judge(&offered(&[("freeze", "release")])).map(|said| said.deny);
    assert_eq!(said, expected.map(|all| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).map_err(str::to_owned), "{rule}");
}

#[track_caller]
fn check_refused(texts: &[&str], expected: &[&str]) {
    assert_eq!(bundle(texts).map(|_| ()).unwrap_err(), expected);
}

#[test]
fn messages_are_sorted_and_a_rule_that_does_not_hold_says_nothing() {
    check("deny contains m if { some m in [\"b\", \"a\"] }", Ok(&["a", "b"]));
    check("deny contains \"never\" if input.policy.owner == \"nobody\"", Ok(&[]));
    check(
        "deny contains m if { m := concat(\" \", [input.action.parameters.mode, input.time.rfc3339]) }",
        Ok(&["at_once 2026-01-05T00:00:00Z"]),
    );
}

#[test]
fn what_goes_wrong_in_a_rule_is_told_and_never_taken_for_a_yes() {
    for (rule, expected) in [
        ("deny contains m if { x := 1 / (input.action.replicas - 3); m := sprintf(\"%v\", [x]) }", "`deny`: "),
        ("deny contains 7 if true", "`deny` holds 7, which is no text"),
        ("deny := \"no\"", "`deny` is no set of messages but \"no\""),
        ("deny := {\"no\"} if input.policy.owner == \"nobody\"", "`deny` is no set of messages but "),
        ("deny contains m if { some i in input.many; m := to_number(i) }\nwarn contains to_number(\"x\") if true", "`warn`: "),
    ] {
        let read = bundle(&[&format!("package firedrill\n{rule}\n")]).unwrap();
        let error = read.bundle.judge(&offered(&[])).unwrap_err();
        assert!(error.starts_with(expected), "{rule}: {error}");
    }
}

#[test]
fn a_rule_that_takes_too_long_is_stopped_at_the_same_instruction_always() {
    let digits = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let rule = format!(
        "d := {digits}\ndeny contains \"x\" if {{ some a in d; some b in d; some c in d; some e in d; some f in d; a + b + c + e + f > 100 }}"
    );
    let read = bundle(&[&format!("package firedrill\n{rule}\n")]).unwrap();
    let errors: Vec<String> = (0..3).map(|_| read.bundle.judge(&offered(&[])).unwrap_err()).collect();
    assert!(errors[0].contains("exceeded maximum instruction limit of 100000"), "{}", errors[0]);
    assert!(errors.iter().all(|error| *error == errors[0]));
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    let broken = "package firedrill\n\ndeny contains m if {\n  m := \n}\n";
    check_refused(&[broken, "package firedrill\nwarn contains \"x\" if true\n"], &["0.rego:4:5 FD0394 expecting `}` while parsing set"]);
    check_refused(
        &["package firedrill\ndeny contains m if { m := unknown_thing }\n"],
        &["0.rego:2:22 FD0394 Undefined variable: 'unknown_thing'"],
    );
}

#[test]
fn neither_luck_nor_a_clock_nor_the_network_is_there() {
    check_refused(
        &["package firedrill\ndeny contains \"x\" if rand.intn(\"a\", 2) == 1\n"],
        &["0.rego:2:22 FD0396 `rand.intn` must not be called here: what it gives is luck, and the same input must give the same answer"],
    );
    for function in ["time.now_ns()", "http.send({})", "opa.runtime()", "uuid.rfc4122(\"x\")", "net.lookup_ip_addr(\"x\")"] {
        let told = bundle(&[&format!("package firedrill\ndeny contains \"x\" if {function} == 1\n")]).unwrap_err();
        assert!(told[0].contains("FD0394") && told[0].to_lowercase().contains("function"), "{told:?}");
    }
}

#[test]
fn a_bundle_without_a_rule_that_is_asked_is_refused() {
    check_refused(&["package other\ndeny contains \"x\" if true\n"], &["firedrill.yaml:1:7 FD0395 no rule here is asked about actions"]);
    check_refused(
        &["package firedrill\ndenies contains \"x\" if true\n"],
        &["0.rego:2:1 FD0395 `denies` is never asked, and no rule here is asked about actions"],
    );
}

#[test]
fn what_is_never_asked_is_found_unless_something_reads_it() {
    let sound = "package firedrill\nimport data.lib\ndeny contains \"x\" if lib.is_it\n";
    let found = |texts: &[&str]| bundle(texts).unwrap().findings.iter().map(told).collect::<Vec<_>>();
    assert_eq!(found(&[sound, "package lib\nis_it if input.version == 2\n"]), [""; 0]);
    assert_eq!(
        found(&[
            "package firedrill\ndeny contains \"x\" if false\nwarns contains \"y\" if true\n",
            "package team\ndeny contains \"z\" if true\n"
        ]),
        [
            "0.rego:3:1 FD0398 `warns` is never asked, and nothing here reads it",
            "1.rego:2:1 FD0397 the rules of package `team` are never asked, and nothing here reads them"
        ]
    );
}

/// The examples that come along.
fn library(name: &str) -> Arc<Bundle> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("library/rego").join(name);
    bundle(&[&std::fs::read_to_string(path).unwrap()]).unwrap().bundle
}

#[test]
fn the_examples_say_what_they_are_for() {
    let said = |name: &str, offered: &Offered| library(name).judge(offered).unwrap();
    let text = |text: &str| vec![text.to_owned()];
    assert_eq!(said("freeze.rego", &offered(&[("freeze", "release")])).deny, text("service/api is frozen: release"));
    for calm in [&[][..], &[("freeze", "false")], &[("freeze", "")]] {
        assert_eq!(said("freeze.rego", &offered(calm)), Said::default());
    }
    assert_eq!(said("irreversible.rego", &offered(&[])).require_approval, text("restart cannot be undone, and service/api is critical"));
    let mut other = offered(&[]);
    other.target.tier = "standard";
    assert_eq!(said("irreversible.rego", &other), Said::default());
    assert_eq!(said("many_replicas.rego", &other).warn, text("restart (at once) takes 3 replicas at one time, more than 2"));
    other.action.replicas = 2;
    assert_eq!(said("many_replicas.rego", &other), Said::default());
    other = offered(&[]);
    other.action.is_reversible = true;
    assert_eq!(said("irreversible.rego", &other), Said::default());
}

/// Whether a document is as a schema says: types, required and no other properties, the elements of lists and maps, the values listed.
fn fits(schema: &Value, document: &Value, at: &str) -> Result<(), String> {
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        several => several.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let own = match document {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&own) && !(own == "integer" && types.contains(&"number")) {
        return Err(format!("{at} is {own}, not {types:?}"));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(document)
    {
        return Err(format!("{at} is none of {values:?}"));
    }
    for (index, item) in document.as_array().into_iter().flatten().enumerate() {
        fits(&schema["items"], item, &format!("{at}[{index}]"))?;
    }
    let Value::Object(entries) = document else { return Ok(()) };
    for (key, value) in entries {
        let inner = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
        if inner == &Value::Bool(false) || inner.is_null() {
            return Err(format!("{at} has {key}, of which the schema does not know"));
        }
        if inner != &Value::Bool(true) {
            fits(inner, value, &format!("{at}.{key}"))?;
        }
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known: Vec<&str> = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let is_all = known.iter().all(|key| required.contains(key)) && required.iter().all(|key| entries.contains_key(*key));
    if is_all { Ok(()) } else { Err(format!("{at} lacks something of {required:?} or of {known:?}")) }
}

/// The schema of the input document, and whether it describes this one.
pub(crate) fn described(offered: &Offered) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-as-code.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    fits(&schema, &serde_json::to_value(offered).unwrap(), "input")
}

#[test]
fn the_schema_describes_the_input_and_nothing_else() {
    assert_eq!(described(&offered(&[("freeze", "x")])), Ok(()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-as-code.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut document = serde_json::to_value(offered(&[])).unwrap();
    document["alert"]["color"] = "red".into();
    assert_eq!(fits(&schema, &document, "input"), Err("input.alert has color, of which the schema does not know".to_owned()));
    document = serde_json::to_value(offered(&[])).unwrap();
    document["target"].as_object_mut().unwrap().remove("tier");
    assert!(fits(&schema, &document, "input").is_err());
    document["target"]["tier"] = "gold".into();
    assert!(fits(&schema, &document, "input").unwrap_err().starts_with("input.target.tier is none of"));
}

#[test]
fn the_document_that_is_asked_about_is_what_its_json_says() {
    let mut document = offered(&[("service", "api"), ("pod", "api-1")]);
    document.guards = [("caps", Asked { verdict: "passed", figures: "0 in flight + 1 <= 1".into() })].into();
    let deed = |incident| InFlight { policy: "p".into(), incident, action: "drain", target: "node/b".into(), is_running: incident > 0 };
    document.in_flight = vec![deed(0), deed(1)];
    for confidence in [None, Some(0.25), Some(1.0), Some(f64::NAN), Some(f64::INFINITY)] {
        document.confidence = confidence;
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(input(&document, &Reads::Everything), regorus::Value::from_json_str(&json).unwrap(), "{json}");
    }
}

#[test]
fn of_the_document_there_is_what_is_read() {
    let document = offered(&[("freeze", "release")]);
    let made = |text: &str| input(&document, &Reads::of([text].into_iter())).to_json_str().unwrap();
    let made = |text: &str| made(text).split_whitespace().collect::<String>();
    assert_eq!(
        made("x if input.target.tier == input.alert.labels.tier"),
        r#"{"alert":{"labels":{"freeze":"release"}},"target":{"tier":"critical"}}"#
    );
    assert_eq!(made("x if input.version > 0; count(input.in_flight) > input.unknown.field"), r#"{"in_flight":[],"version":1}"#);
    assert_eq!(made("x if input.time.elapsed == input.confidence"), r#"{"confidence":null,"time":{"elapsed":0}}"#);
    assert_eq!(input(&document, &Reads::of(["f(input)"].into_iter())), input(&document, &Reads::Everything));
}

#[test]
fn what_is_not_read_changes_no_answer_and_what_is_read_is_asked_again() {
    let rules = [
        "deny contains m if { input.time.elapsed > 60; m := sprintf(\"%v at %v\", [input.target.name, input.time.elapsed]) }",
        "deny contains m if { some k; v := input.alert.labels[k]; m := concat(\"=\", [k, v]) }",
        "deny contains m if { some k, v in input.target; is_string(v); m := concat(\"=\", [k, v]) }",
        "deny contains m if { m := json.marshal(input) }",
        "deny contains m if { not input.policy.nothing; m := input.action.parameters.mode }",
        "it(a) := a.word\ndeny contains m if { m := it(input.action) }",
        "deny contains \"x\" if 1 / (input.action.replicas - 3) > 0",
        "deny contains m if { some deed in input.in_flight; m := deed.target }",
    ];
    let mut documents = vec![offered(&[("freeze", "a")]), offered(&[("freeze", "b"), ("pod", "api-1")])];
    let mut late = offered(&[("freeze", "a")]);
    late.time.elapsed = 61.5;
    let mut other = offered(&[]);
    (other.action.replicas, other.target.name, other.policy.owner) = (4, "cart".into(), "infra".into());
    other.in_flight = vec![InFlight { policy: "p".into(), incident: 1, action: "drain", target: "node/b".into(), is_running: true }];
    documents.extend([late, other]);
    for rule in rules {
        let text = format!("package firedrill\n{rule}\n");
        let bundle = bundle(&[&text]).unwrap().bundle;
        for document in documents.iter().chain(&documents) {
            let whole = bundle.engine.evaluate(&bundle.rules, &input(document, &Reads::Everything));
            assert_eq!(bundle.judge(document), whole, "{rule}");
        }
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let bundle = bundle(&["package firedrill\ndeny contains input.target.name if input.policy.incident % 2 == 0\n"]).unwrap().bundle;
    let mut document = offered(&[]);
    for incident in 0..2 * MOST_REMEMBERED as u64 {
        document.policy.incident = incident;
        assert_eq!(bundle.judge(&document).unwrap().deny.len(), usize::from(incident % 2 == 0));
    }
    assert!(bundle.engine.known.read().unwrap().len() <= MOST_REMEMBERED);
}
