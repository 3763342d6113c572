//! Decision tests as a person meets them: the page about them tells the truth, the library's own pass, and one that fails says all that is needed.
use std::fs;

use crate::common::{Done, firedrill, root};
use tempfile::TempDir;

/// The files of the page.
fn documented() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(root().join("docs/decision-tests.md")).unwrap();
    let mut files = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let Some((name, text)) = block.split_once('\n').and_then(|(_, block)| block.strip_prefix("# ")?.split_once('\n')) else { continue };
        fs::write(folder.path().join(name), text).unwrap();
        files += 1;
    }
    assert_eq!(files, 3);
    folder
}

/// The documented tests with one text in them changed.
#[track_caller]
fn changed(file: &str, from: &str, to: &str) -> Done {
    let folder = documented();
    let path = folder.path().join(file);
    let whole = fs::read_to_string(&path).unwrap();
    assert!(whole.contains(from), "{file} has no {from}");
    fs::write(&path, whole.replacen(from, to, 1)).unwrap();
    firedrill(folder.path(), &["test", "decisions.yml"])
}

#[test]
fn the_documented_tests_pass() {
    firedrill(documented().path(), &["test", "decisions.yml"]).exits(0).says("2 passed, 0 failed");
}

#[test]
fn the_tests_of_the_librarys_policies_pass() {
    let folder = root().join("policies/library/tests");
    let files: Vec<String> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
    let tested: Vec<&str> = files.iter().filter_map(|file| file.rsplit('/').next()?.strip_suffix(".yaml")).collect();
    let good =
        firedrill_policies::library::POLICIES.iter().filter(|entry| !entry.is_hazard()).map(firedrill_policies::library::Entry::name);
    let untested: Vec<&str> = good.filter(|name| !tested.contains(name)).collect();
    assert!(untested.is_empty(), "no decision tests: {untested:?}");
    let arguments: Vec<&str> = ["test"].into_iter().chain(files.iter().map(String::as_str)).collect();
    firedrill(root(), &arguments).exits(0).says("0 failed");
}

#[test]
fn what_is_decided_otherwise_is_shown_with_all_that_was_decided() {
    changed("decisions.yml", "at: 45s, action: restart", "at: 60s, action: restart")
        .exits(1)
        .says("FAILED one of two dead replicas is restarted, and the other waits for it")
        .says("what restart-what-is-down decides until 4m is not as expected")
        .says("expected, and not decided:  { at: 1m, action: restart, target: replica/cart-1 }")
        .says("decided, and not expected:  { at: 45s, action: restart, target: replica/cart-1")
        .says("all that it decides:")
        .says("repeat: firedrill test decisions.yml --run '^one of two dead replicas is restarted, and the other waits for it$'");
    changed("decisions.yml", "exp_decisions: []", "exp_decisions: [{ at: 1m, page: oncall }]").exits(1).says("      nothing");
}

#[test]
fn without_results_nothing_is_started_and_what_would_be_is_told() {
    let whole = "    results:\n      - { action: restart, target: replica/cart-1, after: 30s }\n      - { action: restart, target: replica/cart-2, after: 30s }\n";
    changed("decisions.yml", whole, "").exits(1).says("expected, and not decided:  { at: 2m, verified: held }");
}

#[test]
fn to_wait_is_decided_where_nothing_listed_is_better() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let policy = "schema: policy/1\npolicy: pick\nowner: team\non: { alert: Sick }\ntarget: { replica: $pod }\nsteps:\n  - choose:\n";
    write("policy.yaml", &format!("{policy}      - {{ restart: {{ mode: rolling }}, score: 0.3, risk: 0.3 }}\n"));
    write("rules.yml", "groups: [{ name: g, rules: [{ alert: Sick, expr: sick == 1 }] }]\n");
    let waits: Vec<String> = (0..3).map(|minute| format!("{{ at: {minute}m, action: wait, target: replica/s-0 }}")).collect();
    let test = "rule_files: [rules.yml]\npolicies: [policy.yaml]\nservices: { s: { replicas: 2 } }\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    \
        input_series: [{ series: 'sick{pod=\"s-0\"}', values: '1x20' }]\n    decision_test:\n      - { policy: pick, eval_time: 2m30s, exp_decisions: ";
    write("test.yml", &format!("{test}[{}] }}\n", waits.join(", ")));
    firedrill(folder.path(), &["test", "test.yml"]).exits(0).says("1 passed, 0 failed");
}

#[test]
fn files_that_are_wrong_are_refused_with_their_place() {
    changed("decisions.yml", "policies: [policy.yaml]", "").exits(2).says("error[FD0380]").says("decisions.yml:");
    changed("decisions.yml", "[policy.yaml]", "[polcy.yaml]").exits(2).says("error[FD0942]").says("no file is at `polcy.yaml`");
    changed("decisions.yml", "[policy.yaml]", "[rules.yml]").exits(2).says("this is a rule file, not a policy");
    changed("decisions.yml", "[policy.yaml]", "[policy.yaml, policy.yaml]").exits(2).says("error[FD0336]");
    changed("decisions.yml", "- policy: restart-what-is-down", "- policy: restart-what-is-dwn")
        .exits(2)
        .says("error[FD0941]")
        .says("did you mean `restart-what-is-down`?");
    changed("decisions.yml", "target: replica/cart-1 }", "target: cart-1 }").exits(2).says("`cart-1` is not a target such as");
    changed("decisions.yml", "action: restart, target: replica/cart-1 }", "action: restart, page: oncall }").exits(2).says("error[FD0381]");
    changed("decisions.yml", "action: restart, target: replica/cart-1 }", "action: restrat }").exits(2).says("did you mean `restart`?");
    changed("decisions.yml", "at: 45s", "at: 5m").exits(2).says("error[FD");
    changed("policy.yaml", "owner: team-shop\n", "").exits(2).says("a policy has no `owner`");
}

#[test]
fn a_label_whose_value_would_end_a_selector_is_bound_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("rules.yml", "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0 }] }]\n");
    write(
        "policy.yaml",
        "schema: policy/1\npolicy: p\nowner: o\non: { alert: Down }\ntarget: { service: $service }\nprecheck: [{ expr: 'up{service=$service} == 0', because: it is down }]\nsteps: [{ restart: { mode: rolling } }]\n",
    );
    write(
        "test.yml",
        r#"
rule_files: [rules.yml]
policies: [policy.yaml]
services: { '"}': { replicas: 1 }, api: { replicas: 1 } }
tests:
  - name: the odd one alone is asked about
    input_series:
      - { series: 'up{service="\"}"}', values: '0x5' }
      - { series: 'up{service="api"}', values: '1x5' }
    decision_test:
      - { policy: p, eval_time: 1m, exp_decisions: [{ at: 0s, action: restart, target: 'service/"}' }] }
"#,
    );
    firedrill(folder.path(), &["test", "test.yml"]).exits(0).says("1 passed");
}
