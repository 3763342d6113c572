//! Alertmanager between alerts and policies: what it delays, what it keeps back, and who is told what, as commands show it.
use crate::common;
use std::fs;
use std::path::Path;

use crate::common::{DECISIONS, firedrill, kind, records, words, write};
use serde_json::Value;

/// A tree with one receiver for all that fires; `wait` is its group wait.
fn plain(wait: &str) -> String {
    format!("route: {{ receiver: team, group_by: ['...'], group_wait: {wait}, group_interval: 1m }}\nreceivers: [{{ name: team }}]\n")
}

const RUN: &str = "run hang-one-replica --policy restart-crashed-or-hung";

/// A run with an Alertmanager configuration.
#[track_caller]
fn run(config: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", config);
    firedrill(folder.path(), &words(&format!("{RUN} --alertmanager alertmanager.yml --format json"))).exits(0).json()
}

/// A measure, in whole milliseconds.
fn millis(run: &Value, measure: &str) -> i64 {
    let seconds = run["outcome"][measure]["seconds"].as_f64().unwrap_or_else(|| panic!("{measure} is there: {}", run["outcome"]));
    (seconds * 1000.0).round() as i64
}

/// When the first action was decided, in whole milliseconds.
fn acted(run: &Value) -> i64 {
    (run["outcome"]["deeds"][0]["started_seconds"].as_f64().unwrap() * 1000.0).round() as i64
}

fn lines(run: &Value, kind: &str) -> Vec<String> {
    let lines = run["timeline"]["lines"].as_array().unwrap().iter().filter(|line| line["kind"] == kind);
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_group_wait_delays_detection_and_the_action_by_its_length() {
    let (at_once, waited) = (run(&plain("0s")), run(&plain("45s")));
    assert_eq!(millis(&waited, "time_to_detect") - millis(&at_once, "time_to_detect"), 45_000);
    assert_eq!(acted(&waited) - acted(&at_once), 45_000);
    let folder = tempfile::tempdir().unwrap();
    let without = firedrill(folder.path(), &words(&format!("{RUN} --format json"))).exits(0).json();
    assert_eq!(millis(&without, "time_to_detect"), millis(&at_once, "time_to_detect"), "without a configuration nothing waits");
    assert_eq!(lines(&without, "routing"), [""; 0]);
    let routed = lines(&waited, "routing");
    assert!(routed[0].starts_with("ReplicaHung goes to team: told at 6m26s at the earliest, after the group wait"), "{routed:?}");
    assert_eq!(lines(&waited, "message")[0], "team is told (firedrill alone): ReplicaHung firing; first notification");
}

#[test]
fn a_policy_that_never_hears_is_not_exercised_and_the_reason_names_what_kept_its_alert() {
    let folder = tempfile::tempdir().unwrap();
    let inhibited =
        plain("30s") + "inhibit_rules: [{ source_matchers: [alertname=Maintenance], target_matchers: ['alertname=~\"Replica.*\"'] }]\n";
    write(folder.path(), "alertmanager.yml", &inhibited);
    write(folder.path(), "maintenance.yaml", "groups: [{ name: works, rules: [{ alert: Maintenance, expr: vector(1) }] }]\n");
    let line = format!("{RUN} --rules kubernetes --rules maintenance.yaml --alertmanager alertmanager.yml");
    let run = firedrill(folder.path(), &words(&format!("{line} --format json"))).exits(0).json();
    let exercise = &run["outcome"]["exercise"]["withheld"];
    let told = (exercise["alert"].as_str(), exercise["receiver"].as_str(), exercise["reason"].as_str());
    let wanted = (Some("ReplicaDown"), Some("team"), Some("inhibited by {alertname=\"Maintenance\"}"));
    assert_eq!(told, wanted, "{}", run["outcome"]["exercise"]);
    let withheld = lines(&run, "withheld");
    assert!(withheld.iter().any(|line| line.starts_with("team is not told of ReplicaHung {")), "{withheld:?}");
    assert_eq!(run["outcome"]["actions"], 0);
    firedrill(folder.path(), &words(&line)).exits(0).says("withheld  team is not told of ReplicaHung {");
}

#[test]
fn a_muted_route_tells_nobody_and_the_gate_says_so() {
    let muted = "route:\n  receiver: team\n  routes:\n  - { receiver: team, matchers: ['alertname=~\".+\"'], mute_time_intervals: [always] }\n\
        receivers: [{ name: team }]\ntime_intervals: [{ name: always, time_intervals: [{ years: ['2020:2030'] }] }]\n";
    let run = run(muted);
    assert_eq!(run["outcome"]["exercise"]["withheld"]["reason"], "muted during always");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", muted);
    let project =
        "schema: project/1\npairs: 1\npolicies: [restart-crashed-or-hung]\nscenarios: [hang-one-replica]\nalertmanager: alertmanager.yml\n";
    write(folder.path(), "firedrill.yaml", project);
    firedrill(folder.path(), &["gate"]).exits(3).says("team was not told: muted during always");
    let heard = ["gate", "--alertmanager", "other.yml"];
    write(folder.path(), "other.yml", &plain("10s"));
    let told = firedrill(folder.path(), &heard);
    assert!(!told.stdout.contains("muted"), "the command line wins over the project:\n{}", told.stdout);
}

#[test]
fn a_scenario_names_its_own_configuration() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "slow.yml", &plain("45s"));
    write(folder.path(), "fast.yml", &plain("0s"));
    write(
        folder.path(),
        "firedrill.yaml",
        "schema: project/1\npolicies: [restart-crashed-or-hung]\nscenarios: [own.yaml]\nalertmanager: fast.yml\n",
    );
    let (_, text) = firedrill_scenarios::library::get("hang-one-replica").unwrap();
    write(folder.path(), "own.yaml", &(text.replace("hang-one-replica", "own") + "\nalertmanager: slow.yml\n"));
    let run =
        |line: &str| firedrill(folder.path(), &words(&format!("{line} --policy restart-crashed-or-hung --format json"))).exits(0).json();
    let (own, project) = (run("run own"), run("run hang-one-replica"));
    assert_eq!(millis(&own, "time_to_detect") - millis(&project, "time_to_detect"), 45_000);
    assert_eq!(millis(&run("run own --alertmanager fast.yml"), "time_to_detect"), millis(&project, "time_to_detect"));
}

/// A policy that does what the library's does, behind one receiver.
fn behind(receiver: &str, alert: &str) -> String {
    let (_, text) = firedrill_policies::library::policy("restart-crashed-or-hung").unwrap();
    let (head, rest) = text.split_once("\non:").unwrap();
    let rest = rest.split_once("\ntarget:").unwrap().1;
    format!("{head}\non: {{ receiver: {receiver}{alert} }}\ntarget:{rest}")
}

const TWO: &str = "route:\n  receiver: people\n  group_wait: 60s\n  group_by: [alertname]\n  routes:\n  - { receiver: robots, matchers: ['alertname=~\"ReplicaHung|ReplicaDown\"'], group_wait: 5s, continue: true }\n  - { receiver: people }\n\
    receivers: [{ name: people, slack_configs: [{ api_url: 'http://s', channel: c }] }, { name: robots }]\n";

#[test]
fn a_policy_behind_a_receiver_hears_what_that_receiver_is_told_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", TWO);
    write(folder.path(), "robots.yaml", &behind("robots", ""));
    write(folder.path(), "people.yaml", &behind("people", ", alert: ReplicaHung"));
    write(folder.path(), "elsewhere.yaml", &behind("robots", ", alert: HighFailures"));
    let run = |policy: &str| {
        let line = format!("run hang-one-replica --policy {policy} --alertmanager alertmanager.yml --format json");
        firedrill(folder.path(), &words(&line)).exits(0).json()
    };
    let (robots, people) = (run("robots.yaml"), run("people.yaml"));
    assert_eq!(acted(&people) - acted(&robots), 55_000, "{:?}\n{:?}", lines(&people, "told"), lines(&robots, "told"));
    assert!(lines(&people, "message").iter().any(|line| line.starts_with("people is told (slack): ReplicaHung firing")));
    let elsewhere = run("elsewhere.yaml");
    assert_eq!(
        elsewhere["outcome"]["exercise"]["elsewhere"]["receivers"],
        serde_json::json!(["people"]),
        "{}",
        elsewhere["outcome"]["exercise"]
    );
}

#[test]
fn a_receiver_that_is_not_there_is_told_with_its_place_and_nothing_is_run() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", TWO);
    write(folder.path(), "policy.yaml", &behind("robot", ""));
    let line = "run hang-one-replica --policy policy.yaml";
    let wrong = firedrill(folder.path(), &words(&format!("{line} --alertmanager alertmanager.yml"))).exits(2);
    wrong.says("error[FD0717]: the Alertmanager configuration has no receiver `robot`").says("did you mean `robots`?").says("policy.yaml:");
    firedrill(folder.path(), &words(line)).exits(2).says("error[FD0718]").says("write `alertmanager: alertmanager.yml` in firedrill.yaml");
    firedrill(folder.path(), &words(&format!("{RUN} --alertmanager gone.yml")))
        .exits(2)
        .says("no Alertmanager configuration is at `gone.yml`");
    write(folder.path(), "firedrill.yaml", "schema: project/1\npolicies: [restart-crashed-or-hung]\nalertmanager: gone.yml\n");
    firedrill(folder.path(), &["check"]).exits(2).says("--> firedrill.yaml:3:15");
}

#[test]
fn a_dry_run_that_was_routed_replays_to_the_byte_by_the_configuration_that_was_recorded_with_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", TWO);
    firedrill(folder.path(), &words(&format!("{RUN} --stage dry-run --alertmanager alertmanager.yml --record recorded --quiet"))).exits(0);
    fs::remove_file(folder.path().join("alertmanager.yml")).unwrap();
    let replayed = firedrill(folder.path(), &words("replay recorded --policy restart-crashed-or-hung --out replayed --quiet")).exits(0);
    replayed.says("routed").says("robots is told (firedrill alone)");
    let decisions = |folder: &Path| -> Vec<String> {
        let journal = fs::read_to_string(folder.join("journal.jsonl")).unwrap();
        records(&journal).into_iter().filter(|line| DECISIONS.contains(&kind(line))).collect()
    };
    let (lived, seen) = (decisions(&folder.path().join("recorded")), decisions(&folder.path().join("replayed")));
    assert!(lived.iter().any(|line| kind(line) == "messaged") && lived.iter().any(|line| kind(line) == "would_act"));
    assert_eq!(lived, seen);
}

/// A silence of what tells of the hanging replica, for ten minutes from the start on.
const SILENCES: &str = "- { matchers: ['alertname=~\"Replica.*\"'], to: 10m, comment: works }\n";

#[test]
fn a_project_and_a_scenario_name_silences_which_mute_while_they_last() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", &plain("0s"));
    write(folder.path(), "silences.yaml", SILENCES);
    // 2026-01-05T00:00:00Z is when the scenario starts; this one is over a minute later.
    let of_api =
        r#"[{"id": "1f", "matchers": [{"name": "alertname", "value": "Replica.*", "isRegex": true}], "endsAt": "2026-01-05T00:01:00Z"}]"#;
    write(folder.path(), "past.json", of_api);
    let project = "schema: project/1\nrules: [kubernetes, slo]\npolicies: [restart-crashed-or-hung]\nscenarios: [own.yaml]\nalertmanager: alertmanager.yml\n";
    write(folder.path(), "firedrill.yaml", &format!("{project}silences: silences.yaml\n"));
    let (_, text) = firedrill_scenarios::library::get("hang-one-replica").unwrap();
    write(folder.path(), "own.yaml", &(text.replace("hang-one-replica", "own") + "\nsilences: past.json\n"));
    let run =
        |line: &str| firedrill(folder.path(), &words(&format!("{line} --policy restart-crashed-or-hung --format json"))).exits(0).json();
    let (muted, own) = (run("run hang-one-replica"), run("run own"));
    let withheld = lines(&muted, "withheld");
    assert!(withheld.iter().any(|line| line.contains("ReplicaHung") && line.contains("silence 1 (works)")), "{withheld:?}");
    assert_eq!(lines(&own, "withheld"), [""; 0], "the scenario's own silence is over, and the project's does not count there");
    assert!(acted(&own) < 600_000 && acted(&muted) >= 600_000, "{} {}", acted(&own), acted(&muted));
    firedrill(folder.path(), &["check"]).exits(0);
}

#[test]
fn silences_that_are_wrong_or_mute_nothing_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", &plain("0s"));
    let project = "schema: project/1\nrules: [kubernetes, slo]\npolicies: [restart-crashed-or-hung]\nscenarios: [hang-one-replica]\nsilences: silences.yaml\n";
    let with = |alertmanager: &str, silences: Option<&str>| {
        write(folder.path(), "firedrill.yaml", &format!("{project}{alertmanager}"));
        silences.iter().for_each(|text| drop(write(folder.path(), "silences.yaml", text)));
        firedrill(folder.path(), &["check"]).exits(2)
    };
    let routed = "alertmanager: alertmanager.yml\n";
    with(routed, None).says("no file of silences is at `silences.yaml`").says("--> firedrill.yaml:5:11");
    with("", Some(SILENCES))
        .says("error[FD0726]: silences mute what an Alertmanager tells, and none is named")
        .says("--> firedrill.yaml:5:11");
    firedrill(folder.path(), &words(RUN)).exits(2).says("error[FD0726]");
    firedrill(folder.path(), &words(&format!("{RUN} --alertmanager alertmanager.yml"))).exits(0);
    with(routed, Some("- { matchers: ['team=a'], from: 10m, to: 5m }\n")).says("error[FD0714]").says("--> silences.yaml:1:42");
    with(routed, Some("- { matchers: ['team=a'] }\n")).says("error[FD0104]: a silence has no `to`");
}

#[test]
fn what_a_scenario_names_and_is_not_there_is_told_by_check_as_by_run_and_an_import_brings_it_along() {
    let folder = tempfile::tempdir().unwrap();
    let system =
        "schema: scenario/1\nscenario: base\nhorizon: 2m\nclients: { u: { calls: s, rate: 1/s } }\nservices: { s: { work: [cpu: 1ms] } }\n";
    write(folder.path(), "base.yaml", &format!("{system}alertmanager: nowhere.yml\nsilences: none.yaml\n"));
    write(folder.path(), "child.yaml", "schema: scenario/1\nscenario: child\nimport: base.yaml\nhorizon: 2m\n");
    for (file, place) in [("base.yaml", "--> base.yaml:6:15"), ("child.yaml", "--> base.yaml:6:15")] {
        for command in ["check", "run"] {
            firedrill(folder.path(), &[command, file]).exits(2).says("no Alertmanager configuration is at `nowhere.yml`").says(place);
        }
    }
    firedrill(folder.path(), &["check", "base.yaml"]).exits(2).says("no file of silences is at `none.yaml`");
    write(folder.path(), "nowhere.yml", &plain("0s"));
    write(folder.path(), "none.yaml", SILENCES);
    firedrill(folder.path(), &["check", "child.yaml"]).exits(0);
}

#[test]
fn a_silenced_run_that_was_recorded_replays_with_its_silences() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", &plain("0s"));
    write(folder.path(), "silences.yaml", SILENCES);
    let project = "schema: project/1\npolicies: [restart-crashed-or-hung]\nalertmanager: alertmanager.yml\nsilences: silences.yaml\n";
    write(folder.path(), "firedrill.yaml", project);
    firedrill(folder.path(), &words(&format!("{RUN} --stage dry-run --record recorded --quiet"))).exits(0);
    fs::remove_file(folder.path().join("firedrill.yaml")).unwrap();
    firedrill(folder.path(), &words("replay recorded --policy restart-crashed-or-hung --out replayed --quiet")).exits(0);
    let decisions = |name: &str| -> Vec<String> {
        let journal = fs::read_to_string(folder.path().join(name).join("journal.jsonl")).unwrap();
        records(&journal).into_iter().filter(|line| DECISIONS.contains(&kind(line))).collect()
    };
    let (lived, seen) = (decisions("recorded"), decisions("replayed"));
    assert!(lived.iter().any(|line| kind(line) == "withheld"));
    assert_eq!(lived, seen);
}

#[test]
fn what_routing_does_otherwise_here_is_said_by_every_command_and_what_has_no_effect_by_check_alone() {
    let folder = tempfile::tempdir().unwrap();
    let local = "route: { receiver: team, routes: [{ receiver: team, mute_time_intervals: [night] }] }\n\
        receivers: [{ name: team, slack_configs: [{ api_url: 'http://s', channel: c }] }]\n\
        time_intervals: [{ name: night, time_intervals: [{ times: [{ start_time: '22:00', end_time: '24:00' }], location: Local }] }]\n";
    write(folder.path(), "alertmanager.yml", local);
    let project =
        "schema: project/1\npairs: 1\npolicies: [restart-crashed-or-hung]\nscenarios: [hang-one-replica]\nalertmanager: alertmanager.yml\n";
    write(folder.path(), "firedrill.yaml", project);
    write(folder.path(), "alerts.yaml", "alerts: [{ labels: { alertname: A } }]\n");
    write(folder.path(), "test.yml", "alertmanager: alertmanager.yml\ntests: [{ name: t }]\n");
    let said = |line: &str, codes: [usize; 2]| {
        let done = firedrill(folder.path(), &words(line));
        let counts = ["warning[FD0722]", "warning[FD0720]"].map(|code| done.stderr.matches(code).count());
        assert_eq!(counts, codes, "{line}\n{}", done.stderr);
    };
    said("check", [1, 1]);
    said(RUN, [1, 0]);
    said("compare restart-crashed-or-hung --scenarios hang-one-replica --pairs 1", [1, 0]);
    said("gate", [1, 0]);
    said(&format!("{RUN} --record recorded"), [1, 0]);
    said("replay recorded", [1, 0]);
    said("test test.yml", [1, 0]);
    said("test --alertmanager alertmanager.yml alerts.yaml", [1, 0]);
}

#[test]
fn a_configuration_is_checked_and_what_has_no_effect_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", TWO);
    let checked = firedrill(folder.path(), &["check", "alertmanager.yml"]).exits(0);
    assert_eq!(checked.stderr.matches("FD0720").count(), 1, "{}", checked.stderr);
    firedrill(folder.path(), &["run", "alertmanager.yml"]).exits(2).says("this is an Alertmanager configuration, not a scenario");
}

/// The files in the page about rule tests that begin with `# NAME`.
fn documented(folder: &Path) {
    let page = fs::read_to_string(common::root().join("docs/rule-tests.md")).unwrap();
    let section = page.split_once("\n## Routing\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    for block in section.split("```yaml\n# ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        write(folder, name, rest.split_once("```").unwrap().0);
    }
}

#[test]
fn the_documented_rule_test_passes_and_says_what_it_heard_when_it_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    firedrill(folder.path(), &["test", "test.yml"]).exits(0).says("1 passed, 0 failed");
    let whole = fs::read_to_string(folder.path().join("test.yml")).unwrap();
    let broken = |from: &str, to: &str| {
        assert_eq!(whole.matches(from).count(), 1, "{from}");
        write(folder.path(), "broken.yml", &whole.replace(from, to));
        firedrill(folder.path(), &["test", "broken.yml"])
    };
    let late = broken("at: 3m10s", "at: 3m").exits(1).says("what pager is told until 20m is not as expected");
    late.says("expected, and not told:  at 3m: firing {alertname=\"NodeDown\", node=\"a\"}")
        .says("told, and not expected:  at 3m10s: firing {alertname=\"NodeDown\", node=\"a\", severity=\"critical\"} (first notification)")
        .says("comes into its group, looked at 3m10s after the group wait");
    broken("node: a }] }", "node: b }] }").exits(1).says("told, and not expected:  at 3m10s").says("1 failed");
    broken("          - { at: 13m10s, resolved: [{ alertname: NodeDown }] }\n", "")
        .exits(1)
        .says("told, and not expected:  at 13m10s: resolved");
    let json = {
        write(folder.path(), "broken.yml", &whole.replace("at: 3m10s", "at: 3m"));
        firedrill(folder.path(), &["test", "broken.yml", "--format", "json"]).exits(1).json()
    };
    let failure = &json["files"][0]["tests"][0]["failures"][0];
    assert_eq!((failure["kind"].as_str(), failure["receiver"].as_str()), (Some("notifications"), Some("pager")), "{json:#}");
}

#[test]
fn a_rule_test_names_silences() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    let whole = fs::read_to_string(folder.path().join("test.yml")).unwrap();
    let silenced = |alertmanager: &str| whole.replace("alertmanager: alertmanager.yml\n", alertmanager);
    write(folder.path(), "silenced.yml", &silenced("alertmanager: alertmanager.yml\nsilences: silences.yaml\n"));
    // The documented silences are of another node.
    firedrill(folder.path(), &["test", "silenced.yml"]).exits(0);
    write(folder.path(), "silences.yaml", "- { matchers: ['node=\"a\"'], to: 10m }\n");
    let failed = firedrill(folder.path(), &["test", "silenced.yml"]).exits(1);
    failed.says("expected, and not told:  at 3m10s").says("is withheld: silenced by silence 1");
    write(folder.path(), "silences.yaml", "- { matchers: ['node=\"a\"'] }\n");
    firedrill(folder.path(), &["test", "silenced.yml"]).exits(2).says("--> silences.yaml:1:3");
    write(folder.path(), "silenced.yml", "silences: silences.yaml\ntests: []\n");
    firedrill(folder.path(), &["test", "silenced.yml"]).exits(2).says("error[FD0726]");
}

#[test]
fn a_wrong_notification_test_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    let whole = fs::read_to_string(folder.path().join("test.yml")).unwrap();
    let wrong = |from: &str, to: &str, words: &str| {
        assert_eq!(whole.matches(from).count(), 1, "{from}");
        write(folder.path(), "wrong.yml", &whole.replace(from, to));
        firedrill(folder.path(), &["test", "wrong.yml"]).exits(2).says(words);
    };
    wrong("receiver: pager", "receiver: pagers", "error[FD0914]: the Alertmanager configuration has no receiver `pagers`");
    wrong(
        "alertmanager: alertmanager.yml\n",
        "",
        "error[FD0429]: notifications are expected, and the file names no Alertmanager configuration",
    );
    wrong("alertmanager: alertmanager.yml", "alertmanager: gone.yml", "no file is at `gone.yml`");
    wrong("at: 13m10s", "at: 23m10s", "this is expected after the test's `eval_time`");
    wrong(", firing: [{ alertname: NodeDown, node: a }]", "", "a notification lists at least one alert");
}

#[test]
fn the_documented_batch_is_routed_with_who_is_told_what_and_when() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    let line = "test --alertmanager alertmanager.yml alerts.yaml";
    let told = firedrill(folder.path(), &words(line)).exits(0).says("ok: 1 expectation\n");
    let rows: Vec<Vec<&str>> = told.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |start: &[&str]| rows.iter().any(|row| row.starts_with(start));
    assert!(has(&["10s", "pager", "webhook", "is", "told", "NodeDown"]), "{}", told.stdout);
    assert!(has(&["45s", "team", "is", "not", "told", "of", "HighLoad"]), "{}", told.stdout);
    let json = firedrill(folder.path(), &words(&format!("{line} --format json"))).exits(0).json();
    let messages = json["files"][0]["messages"].as_array().unwrap();
    let told: Vec<(&str, &str)> = messages.iter().map(|own| (own["at"].as_str().unwrap(), own["receiver"].as_str().unwrap())).collect();
    assert_eq!(told, [("10s", "pager"), ("30s", "team"), ("5m45s", "team"), ("20m10s", "pager"), ("20m45s", "team")]);
    let withheld = &json["files"][0]["withheld"][0];
    assert_eq!(withheld["reason"], "inhibited by {alertname=\"NodeDown\", node=\"a\", severity=\"critical\"}");
    let whole = fs::read_to_string(folder.path().join("alerts.yaml")).unwrap();
    write(folder.path(), "alerts.yaml", &whole.replace("at: 10s", "at: 11s"));
    firedrill(folder.path(), &words(line)).exits(1).says("expected, and not told:  at 11s");
    write(folder.path(), "alerts.yaml", &whole.replace("to: 20m", "to: 0s"));
    firedrill(folder.path(), &words(line)).exits(2).says("the alert is over before it fires");
}

#[test]
fn a_batch_as_the_api_gives_it_is_routed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    let alert = |name: &str, from: &str, to: &str| {
        format!(
            "{{\"labels\": {{\"alertname\": \"{name}\", \"severity\": \"critical\"}}, \"startsAt\": \"{from}\", \"endsAt\": \"{to}\", \"status\": {{\"state\": \"active\"}}}}"
        )
    };
    let (never, first, then) = ("0001-01-01T00:00:00Z", "2026-03-02T10:00:00Z", "2026-03-02T10:05:00Z");
    write(folder.path(), "alerts.json", &format!("[{}, {}]", alert("A", first, then), alert("B", then, never)));
    let json = firedrill(folder.path(), &words("test --alertmanager alertmanager.yml alerts.json --format json")).exits(0).json();
    assert_eq!(json["files"][0]["start"], "2026-03-02T10:00:00Z");
    let messages = json["files"][0]["messages"].as_array().unwrap().iter().filter(|own| own["receiver"] == "pager");
    let told: Vec<&str> = messages.map(|own| own["at"].as_str().unwrap()).collect();
    assert_eq!(told, ["10s", "5m10s", "5m10s"], "A, then A is over and B begins");
}

#[test]
fn a_silenced_alert_is_told_when_its_silence_is_over() {
    let folder = tempfile::tempdir().unwrap();
    documented(folder.path());
    let batch =
        |silence: &str| format!("alerts: [{{ labels: {{ alertname: A, severity: critical }} }}]\nsilences: [{silence}]\nuntil: 30m\n");
    let line = "test --alertmanager alertmanager.yml alerts.yaml";
    write(folder.path(), "alerts.yaml", &batch("{ matchers: ['alertname=A'], to: 7m, comment: works }"));
    let json = firedrill(folder.path(), &words(&format!("{line} --format json"))).exits(0).json();
    let told = |part: &str, receiver: &str| -> Vec<String> {
        let own = json["files"][0][part].as_array().unwrap().iter().filter(|own| own["receiver"] == receiver);
        own.map(|own| format!("{} {}", own["at"].as_str().unwrap(), own["reason"].as_str().unwrap())).collect()
    };
    assert_eq!(told("withheld", "pager"), ["10s silenced by silence 1 (works)"]);
    assert_eq!(told("messages", "pager"), ["10m10s first notification"]);
    write(folder.path(), "alerts.yaml", &batch("{ matchers: ['alertname=~\".*\"'], from: 5m, to: 1m }"));
    firedrill(folder.path(), &words(line)).exits(2).says("the silence ends before it starts").says("it would silence everything");
}

#[test]
fn a_batch_that_would_take_for_ever_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", &plain("1s").replace("group_interval: 1m", "group_interval: 5s"));
    write(folder.path(), "alerts.yaml", "alerts: [{ labels: { alertname: A } }]\nuntil: 10y\n");
    let told = firedrill(folder.path(), &["test", "--alertmanager", "alertmanager.yml", "alerts.yaml"]).exits(2);
    told.says("FD0727")
        .says("its groups would be looked at 63072000 times, and 1000000 is the most")
        .says("alerts.yaml")
        .says("make `until`");
}

#[test]
fn an_expectation_after_the_end_of_a_batch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "alertmanager.yml", &plain("1s"));
    let expected = "notification_test: [{ receiver: team, eval_time: 50m, exp_notifications: [] }]\n";
    write(folder.path(), "alerts.yaml", &format!("alerts: [{{ labels: {{ alertname: A }} }}]\nuntil: 3m\n{expected}"));
    firedrill(folder.path(), &["test", "--alertmanager", "alertmanager.yml", "alerts.yaml"])
        .exits(2)
        .says("FD0728")
        .says("alerts.yaml:3:")
        .says("what is expected at 50m comes after the end of the batch, which is at 3m");
}
