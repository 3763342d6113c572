//! `firedrill test` as a person meets it: the page about it tells the truth, and a test that fails says all that is needed.
use crate::common;
use std::fs;
use std::path::Path;

use crate::common::firedrill;
use tempfile::TempDir;

/// The files of the page before its section about routing, which has tests of its own.
fn documented() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(common::root().join("docs/rule-tests.md")).unwrap();
    let (page, _) = page.split_once("\n## Routing\n").unwrap();
    for block in page.split("```").skip(1).step_by(2) {
        let Some((name, text)) = block.split_once('\n').and_then(|(_, block)| block.strip_prefix("# ")?.split_once('\n')) else { continue };
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// A documented file with one text in it changed.
fn changed(folder: &TempDir, name: &str, from: &str, to: &str) -> common::Done {
    let whole = fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(whole.contains(from), "{name} has no {from}");
    write(folder.path(), "changed.yml", &whole.replacen(from, to, 1));
    firedrill(folder.path(), &["test", "changed.yml"])
}

#[test]
fn the_documented_tests_pass() {
    let folder = documented();
    firedrill(folder.path(), &["test", "tests.yml", "recorded.yml"]).exits(0).says("2 passed, 0 failed");
}

#[test]
fn a_failure_shows_expected_and_got_the_time_line_and_how_to_repeat_it() {
    let folder = documented();
    changed(&folder, "tests.yml", "eval_time: 3m", "eval_time: 2m")
        .exits(1)
        .says("FAILED a node that stays down is told of after two minutes")
        .says("NodeDown at 2m are not as expected")
        .says("expected, and not there: {alertname=\"NodeDown\"")
        .says("1m pending")
        .says("2m <- asked")
        .says("3m firing")
        .says("repeat: firedrill test changed.yml --run '^a node that stays down is told of after two minutes$'")
        .says("1 failed");
}

#[test]
fn what_is_listed_twice_is_told_as_that() {
    let folder = documented();
    let alert = "{ exp_labels: { node: a, zone: z, severity: critical }, exp_annotations: { summary: a has been down for two minutes } }";
    changed(&folder, "tests.yml", &format!("exp_alerts: [{alert}]"), &format!("exp_alerts: [{alert}, {alert}]"))
        .exits(1)
        .says("how often                ≠ twice                                  once")
        .says("the same alert is expected twice and fires once: an alert with these labels is one alert, so list it once");
    changed(&folder, "tests.yml", &format!("exp_pending: [{alert}]"), &format!("exp_pending: [{alert}, {alert}, {alert}]"))
        .exits(1)
        .says("the same alert is expected 3 times and is pending once");
    let sample = "{ labels: 'zone:up:ratio{zone=\"z\"}', value: 0.5 }";
    changed(&folder, "tests.yml", &format!("[{sample}]"), &format!("[{sample}, {sample}]"))
        .exits(1)
        .says("≠ 0.5 and 0.5                            0.5")
        .says("these labels are expected twice: a series has one sample, so list it once");
}

#[test]
fn what_is_pending_is_held_against_what_is_expected_to_be() {
    let folder = documented();
    changed(&folder, "tests.yml", "exp_pending: [{ exp_labels: { node: a,", "exp_pending: [{ exp_labels: { node: b,")
        .exits(1)
        .says("pending alerts NodeDown at 2m are not as expected");
}

#[test]
fn group_intervals_count_only_where_the_test_says_so() {
    let folder = documented();
    // Every 30 s the alert has waited its two minutes at 3m; every minute, too. At 2m30s nothing is evaluated without the group's own interval,
    // and a series that goes down at 90 s is seen at once with it.
    let text = "rule_files: [rules.yml]\ntests:\n- name: t\n  interval: 30s\n  KEEP\n  input_series: [{ series: 'up{node=\"a\"}', values: '1x2 0x20' }]\n  \
        promql_expr_test: [{ eval_time: 150s, expr: 'ALERTS{alertstate=\"pending\"} offset 60s', exp_samples: SAMPLES }]\n";
    let own = text.replace("KEEP", "keep_group_intervals: true");
    let there = "[{ labels: 'ALERTS{alertname=\"NodeDown\",alertstate=\"pending\",node=\"a\",severity=\"critical\"}', value: 1 }]";
    write(folder.path(), "own.yml", &own.replace("SAMPLES", there));
    firedrill(folder.path(), &["test", "own.yml"]).exits(0);
    write(folder.path(), "common.yml", &text.replace("  KEEP\n", "").replace("SAMPLES", "[]"));
    firedrill(folder.path(), &["test", "common.yml"]).exits(0);
}

#[test]
fn a_recording_starts_the_test_unless_the_test_says_when() {
    let folder = documented();
    // The first sample is of 2026-01-05T09:00:00Z; a minute before it, everything comes a minute later.
    changed(&folder, "recorded.yml", "    keep_group", "    start_timestamp: 2026-01-05T08:59:00Z\n    keep_group")
        .exits(1)
        .says("NodeDown at 3m are not as expected");
    changed(&folder, "recorded.yml", "openmetrics: incident.txt", "openmetrics: nowhere.txt").exits(2).says("no file is at `nowhere.txt`");
    changed(&folder, "recorded.yml", "{ openmetrics: incident.txt }", "{}").exits(2).says("a recording is one file of one format");
    write(folder.path(), "bad.txt", "up 1\n# EOF\n");
    changed(&folder, "recorded.yml", "openmetrics: incident.txt", "openmetrics: bad.txt").exits(2).says("bad.txt").says("line 1");
}

#[test]
fn keys_that_promtool_does_not_know_either_are_refused_with_the_nearest() {
    let folder = documented();
    changed(&folder, "tests.yml", "exp_samples", "exp_sampels").exits(2).says("exp_sampels").says("did you mean `exp_samples`?");
}

#[test]
fn an_order_of_groups_that_are_not_there_is_told_and_counts_for_nothing() {
    let folder = documented();
    // promtool passes such a file without a word.
    changed(&folder, "tests.yml", "evaluation_interval: 1m", "evaluation_interval: 1m\ngroup_eval_order: [nods, elsewhere]")
        .exits(0)
        .says("no rule file has a group `nods`")
        .says("did you mean `nodes`?")
        .says("no rule file has a group `elsewhere`")
        .says("changed.yml:3:20");
    changed(&folder, "tests.yml", "evaluation_interval: 1m", "evaluation_interval: 1m\ngroup_eval_order: [nodes, nodes]").exits(2);
}

#[test]
fn a_test_that_needs_native_histograms_fails_by_that_name() {
    let folder = documented();
    changed(&folder, "tests.yml", "values: '1 0x10'", "values: '{{schema:0 sum:1 count:1 buckets:[1]}}'")
        .exits(1)
        .says("native histograms cannot be evaluated yet");
}

#[test]
fn programs_get_expected_got_and_the_time_line() {
    let folder = documented();
    changed(&folder, "tests.yml", "eval_time: 3m", "eval_time: 2m").exits(1);
    let json = firedrill(folder.path(), &["test", "changed.yml", "--format", "json"]).exits(1).json();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(0), Some(1)));
    let failure = &json["files"][0]["tests"][0]["failures"][0];
    assert_eq!(failure["expected"].as_array().map(Vec::len), Some(1), "{failure:#}");
    assert_eq!(failure["got"].as_array().map(Vec::len), Some(0), "{failure:#}");
    assert!(failure["timeline"].as_array().is_some_and(|timeline| timeline.len() >= 2), "{failure:#}");
}

#[test]
fn what_an_annotation_asks_is_answered_as_of_the_evaluation_that_last_saw_the_alert() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "{ alert: A, expr: 'm > 5', keep_firing_for: 5m, annotations: { s: '{{ $value }} {{ query \"m\" | first | value }}' } }";
    write(folder.path(), "rules.yml", &format!("groups: [{{ name: g, rules: [{rule}] }}]\n"));
    let test = "rule_files: [rules.yml]\ntests:\n  - input_series: [{ series: m, values: '10 9 8 1 2 3' }]\n    alert_rule_test:\n      \
                - { eval_time: 4m, alertname: A, exp_alerts: [{ exp_annotations: { s: 'SAID' } }] }\n";
    write(folder.path(), "test.yml", &test.replace("SAID", "8 8"));
    firedrill(folder.path(), &["test", "test.yml"]).exits(0).says("1 passed, 0 failed");
    write(folder.path(), "test.yml", &test.replace("SAID", "8 2"));
    firedrill(folder.path(), &["test", "test.yml"]).exits(1);
}

#[test]
fn what_an_annotation_asks_is_answered_before_later_rules_and_its_own_alert_write() {
    let folder = tempfile::tempdir().unwrap();
    let late = r#"{ alert: K, expr: m > 0, annotations: { t: '{{ query "late" | first | value }}' } }"#;
    let own = r#"{ alert: L, expr: m > 3, annotations: { t: '{{ with query "ALERTS{alertname=\"L\"}" }}already{{ else }}new{{ end }}' } }"#;
    write(folder.path(), "rules.yml", &format!("groups:\n- name: g\n  rules:\n  - {late}\n  - {{ record: late, expr: m }}\n  - {own}\n"));
    let test = "rule_files: [rules.yml]\ntests:\n  - input_series: [{ series: m, values: '1+1x10' }]\n    alert_rule_test:\n      \
                - { eval_time: 3m, alertname: K, exp_alerts: [{ exp_annotations: { t: '3' } }] }\n      \
                - { eval_time: 3m, alertname: L, exp_alerts: [{ exp_annotations: { t: new } }] }\n      \
                - { eval_time: 4m, alertname: L, exp_alerts: [{ exp_annotations: { t: already } }] }\n";
    write(folder.path(), "test.yml", test);
    firedrill(folder.path(), &["test", "test.yml"]).exits(0).says("1 passed, 0 failed");
}
