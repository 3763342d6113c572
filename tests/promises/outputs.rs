//! What other programs read: the comment on a change, JUnit XML, SARIF, annotations, and the mutation score.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::{Done, firedrill, release_project as project, root, words, write};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::Value;

/// The release project with one more threshold.
fn with_threshold(line: &str) -> tempfile::TempDir {
    let folder = project();
    let text = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    write(folder.path(), "firedrill.yaml", &format!("{}\n  {line}\n", text.trim_end()));
    folder
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("firedrill-out").join(name)).unwrap()
}

/// A page of documentation that is made by a test.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = root().join("docs").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/{name} is behind the code: UPDATE_GOLDEN=1 cargo test --test promises outputs\n{text}"
    );
}

#[test]
fn the_comments_in_the_documentation_are_those_that_the_gate_writes() {
    let mut page = "# Three verdicts\n\n\
        What `firedrill gate` writes to `gate.md` for a comment on a change, at most 40 lines, as [outputs](outputs.md) describes it.\n\
        The runs are those of tests/projects/release; a test writes this page (`UPDATE_GOLDEN=1 cargo test --test promises outputs`).\n"
        .to_owned();
    let examples = [
        ("Held", None, "gate --mutants", 0),
        ("Broken", None, "gate --candidate candidates/worse.yaml", 1),
        ("Inconclusive", Some("time_to_undo: max < 5m"), "gate", 3),
    ];
    for (title, threshold, line, code) in examples {
        let folder = threshold.map_or_else(project, with_threshold);
        firedrill(folder.path(), &words(line)).exits(code);
        let comment = read(folder.path(), "gate.md");
        assert!(comment.lines().count() <= 40, "{comment}");
        assert!(comment.starts_with("## ") && comment.lines().next().unwrap().ends_with(&title.to_lowercase()), "{comment}");
        page += &format!("\n## {title}: `firedrill {line}`\n\n````markdown\n{comment}````\n");
    }
    golden("verdict-examples.md", &page);
}

#[test]
fn a_comment_tells_its_parts_in_their_order() {
    let folder = project();
    firedrill(folder.path(), &words("gate --mutants")).exits(0);
    let comment = read(folder.path(), "gate.md");
    let parts = [
        "firedrill: held",
        "Judge changes",
        "Decisions that changed",
        "Worst class",
        "Guard headroom",
        "Policy coverage",
        "Mutation score",
        "Not tested",
        "Report",
    ];
    let places: Vec<usize> = parts.iter().map(|part| comment.find(part).unwrap_or_else(|| panic!("no {part}:\n{comment}"))).collect();
    assert!(places.is_sorted(), "{comment}");
}

/// The tests of a report that did not pass, each with its suite and name and with all that is said of it.
fn failures(report: &Report) -> Vec<(String, String)> {
    let mut failures = Vec::new();
    for suite in &report.test_suites {
        for case in &suite.test_cases {
            if let TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, message, description, .. } = &case.status {
                let said = [message, description].map(|text| text.as_ref().map_or("", |text| text.as_str()));
                failures.push((format!("{}: {}", suite.name.as_str(), case.name.as_str()), said.join("\n")));
            }
        }
    }
    failures
}

#[test]
fn junit_has_a_test_for_each_class_and_threshold_and_each_failure_its_command() {
    let folder = project();
    firedrill(folder.path(), &words("gate")).exits(0);
    let held = Report::deserialize_from_str(&read(folder.path(), "gate.junit.xml")).unwrap();
    assert!(failures(&held).is_empty());
    let gate: Value = serde_json::from_str(&read(folder.path(), "gate.json")).unwrap();
    for class in gate["judgement"]["classes"].as_array().unwrap() {
        let suite = held.test_suites.iter().find(|suite| *suite.name.as_str() == *class["class"].as_str().unwrap()).unwrap();
        for threshold in class["thresholds"].as_array().unwrap() {
            let name = threshold["threshold"].as_str().unwrap();
            assert!(suite.test_cases.iter().any(|case| case.name.as_str() == name), "{name}");
        }
    }
    firedrill(folder.path(), &words("gate --candidate candidates/harmful.yaml")).exits(1);
    let broken = Report::deserialize_from_str(&read(folder.path(), "gate.junit.xml")).unwrap();
    let told = failures(&broken);
    let harm = told.iter().find(|(name, _)| name.starts_with("bad-release: harm max")).unwrap_or_else(|| panic!("{told:?}"));
    assert!(harm.1.contains("found ") && harm.1.contains("repeat: firedrill run "), "{}", harm.1);
    firedrill(folder.path(), &words("gate --candidate candidates/deaf.yaml")).exits(3);
    let idle = Report::deserialize_from_str(&read(folder.path(), "gate.junit.xml")).unwrap();
    let told = failures(&idle);
    let named = told.iter().find(|(name, _)| name == "policies: undo-release-by-latency acts").unwrap_or_else(|| panic!("{told:?}"));
    assert!(named.1.contains("alert ManySlowAnswers never fired"), "{}", named.1);
    let counted: usize = told.len();
    assert_eq!(idle.failures, counted, "the counts are those of the tests");
}

const BROKEN_PATTERN: &str = "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$";

/// The schema that OASIS publishes, as the crate serde-sarif brings it along.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = fs::read_to_string(root().join("tests/schemas/sarif-2.1.0.json")).unwrap();
    // The pattern of languages has a bracket too many, and no engine that keeps to the standard takes it; firedrill names no language.
    assert_eq!(schema.matches(BROKEN_PATTERN).count(), 2);
    let schema: Value = serde_json::from_str(&schema.replace(BROKEN_PATTERN, "")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Holds a document against the schema.
#[track_caller]
fn is_sarif(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    let wrong: Vec<String> = SCHEMA.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
    document
}

const WRONG: &str =
    "schema: policy/1\npolicy: p\nowner: o\non: { alert: ManyErrors }\ntarget: { service: $service }\nsteps:\n  - rollbak: {}\n";

#[test]
fn problems_and_lints_are_sarif_that_its_schema_allows() {
    let folder = project();
    write(folder.path(), "policies/wrong one.yaml", WRONG);
    let problems = |done: &Done| is_sarif(&done.stdout)["runs"][0]["results"].as_array().unwrap().clone();
    for line in ["check --format sarif", "gate --format sarif"] {
        let done = firedrill(folder.path(), &words(line)).exits(2);
        let found = problems(&done);
        let own =
            found.iter().find(|own| own["message"]["text"].as_str().unwrap().contains("rollbak")).unwrap_or_else(|| panic!("{found:?}"));
        let place = &own["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "policies/wrong%20one.yaml");
        assert_eq!((&place["region"]["startLine"], &own["level"]), (&Value::from(7), &Value::from("error")));
    }
    fs::remove_file(folder.path().join("policies/wrong one.yaml")).unwrap();
    // What is sound is a document without errors; lints are findings with their rule's remedy.
    let found = problems(&firedrill(folder.path(), &words("check --format sarif")).exits(0));
    assert!(found.iter().all(|own| own["level"] != "error"), "{found:?}");
    assert!(problems(&firedrill(folder.path(), &words("gate --format sarif")).exits(0)).is_empty());
    write(folder.path(), "lint/rules.yaml", "groups: [{ name: g, rules: [{ alert: A, expr: up == 0 }] }]\n");
    let told = is_sarif(&firedrill(folder.path(), &words("check lint/rules.yaml --format sarif")).exits(0).stdout);
    let rules = told["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["id"].as_str().unwrap().starts_with("FD")));
}

#[test]
fn github_sees_problems_at_their_lines_and_what_broke() {
    let folder = project();
    write(folder.path(), "policies/wrong.yaml", WRONG);
    let done = firedrill(folder.path(), &words("check --format github")).exits(2);
    assert!(done.stdout.lines().any(|line| line.starts_with("::error file=policies/wrong.yaml,line=7,col=")), "{}", done.stdout);
    fs::remove_file(folder.path().join("policies/wrong.yaml")).unwrap();
    let done = firedrill(folder.path(), &words("gate --format github --candidate candidates/harmful.yaml")).exits(1);
    let line = done.stdout.lines().find(|line| line.starts_with("::error title=firedrill gate%3A broken::bad-release: harm max")).unwrap();
    assert!(line.contains("%0Arepeat: firedrill run "), "{line}");
    done.says("broken: see ✗ above");
    let plain = firedrill(folder.path(), &words("gate")).exits(0);
    assert!(!plain.stdout.contains("::"), "nothing is annotated unless asked for: {}", plain.stdout);
}

#[test]
fn formats_for_code_hosts_are_refused_where_there_is_nothing_for_them() {
    let folder = project();
    for format in ["sarif", "github"] {
        let line = format!("list --format {format}");
        firedrill(folder.path(), &words(&line)).exits(2).says(&format!("`--format {format}` is for `check` and `gate`"));
    }
}

#[test]
fn a_gate_tells_which_mistakes_its_scenarios_would_notice() {
    let folder = project();
    let path = folder.path().join("policies/undo-release.yaml");
    let asks =
        "precheck: [{ expr: 'service:errors:ratio_rate1m{service=$service} > 0.01', because: who answers well needs nothing }]\nsteps:";
    fs::write(&path, fs::read_to_string(&path).unwrap().replacen("steps:", asks, 1)).unwrap();
    let gate = |jobs: u8| {
        let done = firedrill(folder.path(), &words(&format!("gate --mutants --jobs {jobs}"))).exits(0).says("your scenarios notice ");
        (done.stdout, read(folder.path(), "gate.json"))
    };
    let (told, json) = gate(1);
    assert_eq!(json, gate(2).1, "the same on any number of threads");
    let gate: Value = serde_json::from_str(&json).unwrap();
    let mutants = gate["scrutiny"]["mutation"]["mutants"].as_array().unwrap();
    let fate = |what: &str| {
        let found =
            mutants.iter().find(|own| own["what"].as_str().unwrap().contains(what)).unwrap_or_else(|| panic!("{what}: {mutants:#?}"));
        found["fate"].clone()
    };
    // The policy that asks the other way round never acts, and users stay ill.
    let asked = fate("precheck 1 asks for <= where it asked for >");
    assert_eq!(asked["killed"]["verdict"], "not_exercised", "{asked}");
    // In two scenarios of one bad release each nothing ever rests.
    let rested = fate("the guard cooldown is left out");
    assert_eq!(rested["survived"]["why"]["never_reached"]["part"], "guard cooldown refused", "{rested}");
    assert!(told.contains("wanted: the alert again soon after an action on the same target"), "{told}");
    let lines: Vec<u64> = mutants.iter().map(|own| own["line"].as_u64().unwrap()).collect();
    let text = fs::read_to_string(folder.path().join("policies/undo-release.yaml")).unwrap();
    assert!(lines.iter().all(|line| *line >= 1 && *line <= text.lines().count() as u64), "{lines:?}");
    // Without being asked nobody makes any.
    firedrill(folder.path(), &words("gate")).exits(0);
    let plain: Value = serde_json::from_str(&read(folder.path(), "gate.json")).unwrap();
    assert_eq!(plain["scrutiny"]["mutation"], Value::Null);
    let parts = plain["scrutiny"]["coverage"][0]["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["words"] == "step 1" && part["runs"] == 2), "{parts:?}");
    assert!(parts.iter().any(|part| part["words"] == "guard cooldown refused" && part["runs"] == 0), "{parts:?}");
}

#[test]
fn a_comparison_shows_who_is_beaten_and_where() {
    let folder = project();
    let line = "compare policies/undo-release.yaml candidates/harmful.yaml --pairs 1 --out out";
    let done = firedrill(folder.path(), &words(line)).exits(0);
    let all = done.stdout.split("\n all ").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    assert_eq!(all.matches('*').count(), 1, "one of two is beaten: {}", done.stdout);
    assert!(all.find('*') < all.find("restart-o"), "the harmful one: {}", done.stdout);
    let html = fs::read_to_string(folder.path().join("out/compare.html")).unwrap();
    for shown in ["id=\"fronts\"", "id=\"heat\"", "<title>restart-on-errors in bad-release: ", "h-bad"] {
        assert!(html.contains(shown), "{shown}");
    }
}
