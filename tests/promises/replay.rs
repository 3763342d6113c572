//! What a recording can show: a dry run, recorded and replayed, decides the same to the byte; and a draft of what is expected can be used as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::{DECISIONS, edited, firedrill, kind, records, root, unmanned, words, write};
use serde_json::Value;

/// The library's own project: all of these work side by side.
const POLICIES: &str = "--policy break-retry-storm --policy drain-lost-zone --policy drain-sick-replica --policy restart-before-oom \
    --policy restart-crashed-or-hung --policy rollback-on-regression --policy scale-on-saturation";

/// A scenario of the library in a file, with nobody on call.
fn library(folder: &Path, scenario: &str) {
    write(folder, "scenario.yaml", &unmanned(&edited(scenario, &[])));
}

fn decisions(folder: &Path) -> Vec<String> {
    let journal = fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    records(&journal).into_iter().filter(|line| DECISIONS.contains(&kind(line))).collect()
}

/// Records a dry run and replays it; the kinds of decision that it made.
#[track_caller]
fn check(scenario: &str, policies: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    library(folder.path(), scenario);
    let recorded =
        firedrill(folder.path(), &words(&format!("run scenario.yaml {policies} --stage dry-run --record recorded --quiet"))).exits(0);
    let replayed = firedrill(folder.path(), &words(&format!("replay recorded {policies} --out replayed --quiet"))).exits(0);
    let (lived, seen) = (decisions(&folder.path().join("recorded")), decisions(&folder.path().join("replayed")));
    let differs = lived.iter().zip(&seen).position(|(lived, seen)| lived != seen).unwrap_or(lived.len().min(seen.len()));
    let shown = |lines: &[String]| lines.get(differs).cloned().unwrap_or_else(|| "nothing".to_owned());
    assert!(lived == seen, "{}\n{}\nat decision {differs}:\n  {}\n  {}", recorded.told, replayed.told, shown(&lived), shown(&seen));
    lived.iter().map(|line| kind(line).to_owned()).collect()
}

#[test]
fn a_dry_run_recorded_and_replayed_decides_the_same_to_the_byte() {
    let mut kinds = BTreeSet::new();
    for scenario in ["bad-deploy-errors", "hang-one-replica", "memory-leak-to-oom", "retry-storm", "zone-loss"] {
        kinds.extend(check(scenario, POLICIES));
    }
    for wanted in [
        "alert_pending",
        "alert_firing",
        "alert_resolved",
        "notified",
        "received",
        "incident_opened",
        "guarded",
        "would_act",
        "refused",
        "incident_closed",
    ] {
        assert!(kinds.contains(wanted), "no run decided anything of the kind `{wanted}`, so nothing is proved about it");
    }
    assert!(!kinds.contains("decided"), "a dry run acts nowhere");
}

#[test]
fn a_recording_of_a_policy_that_acted_replays_as_what_was_seen_and_not_as_what_would_have_been() {
    // The replay sees the effect of the action that the run carried out, and proposes it all the same: a recording cannot react.
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &words("run hang-one-replica --policy restart-crashed-or-hung --record acted --quiet")).exits(0);
    firedrill(folder.path(), &words("replay acted --policy restart-crashed-or-hung --out replayed --quiet")).exits(0);
    let of = |folder: &Path, wanted: &str| decisions(folder).into_iter().filter(|line| kind(line) == wanted).collect::<Vec<_>>();
    let (acted, replayed) = (folder.path().join("acted"), folder.path().join("replayed"));
    for seen in ["alert_pending", "alert_firing", "alert_resolved", "notified"] {
        assert_eq!(of(&acted, seen), of(&replayed, seen), "what the rules said does not hang on who listens");
    }
    assert_eq!((of(&acted, "decided").len(), of(&replayed, "would_act").len()), (1, 1));
}

#[test]
fn a_draft_of_what_is_expected_passes_when_it_is_pasted_into_the_incident() {
    for (scenario, policy) in
        [("hang-one-replica", "restart-crashed-or-hung"), ("retry-storm", "break-retry-storm"), ("healthy-deploy", "restart-all")]
    {
        let folder = tempfile::tempdir().unwrap();
        library(folder.path(), scenario);
        firedrill(folder.path(), &words("run scenario.yaml --record incident --quiet")).exits(0);
        let replay = format!("replay incident --policy {policy}");
        firedrill(folder.path(), &words(&replay)).exits(0).says("this incident has no `expect`, so nothing is judged");
        let draft = firedrill(folder.path(), &words(&format!("{replay} --write-expect"))).exits(0);
        assert!(draft.stdout.contains("expect:"), "{}", draft.told);
        let path = folder.path().join("incident/incident.yaml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{}", draft.stdout)).unwrap();
        let judged = firedrill(folder.path(), &words(&replay)).exits(0).says("passed: decisions right; effect unproven");
        assert!(!judged.stdout.contains("not listed in expect"), "{}\n{}", judged.told, judged.stdout);
    }
}

#[test]
fn a_replay_that_does_not_meet_what_is_expected_exits_1_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let incident = root().join("incidents/hang-one-replica").display().to_string();
    firedrill(folder.path(), &["replay", &incident, "--policy", "restart-crashed-or-hung"])
        .exits(0)
        .says("passed: decisions right; effect unproven");
    let failed =
        firedrill(folder.path(), &["replay", &incident, "--policy", "rollback-on-regression"]).exits(1).says("failed: see ✗ above");
    let crosses: Vec<&str> = failed.stdout.lines().filter(|line| line.starts_with('✗')).collect();
    assert_eq!(crosses.len(), 1, "{}\n{}", failed.told, failed.stdout);
    assert!(crosses[0].contains("restart") && crosses[0].contains("replica/api-1"), "{}", crosses[0]);
    let json = firedrill(folder.path(), &["replay", &incident, "--policy", "rollback-on-regression", "--format", "json"]).exits(1).json();
    assert_eq!((&json["schema"], &json["expect"]["passed"]), (&Value::from("firedrill.replay/1"), &Value::from(false)));
}

#[test]
fn a_replay_that_no_policy_watched_judges_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let done = firedrill(folder.path(), &["replay", "retry-storm"]).exits(3);
    assert!(!done.stdout.contains('✗') && !done.stdout.contains("failed"), "{}", done.stdout);
    let done = done.says("no policy watched, so nothing was judged").says("expectations went unchecked").says("RetryStorm fires");
    assert_eq!(firedrill(folder.path(), &words("replay retry-storm --format json")).exits(3).json()["expect"], Value::Null);
    drop(done.says("--policy POLICY"));
    firedrill(folder.path(), &words("replay retry-storm --policy break-retry-storm")).exits(0).says("passed: decisions right");
}

#[test]
fn a_replay_says_how_many_expectations_its_recording_cannot_answer() {
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &words("run hang-one-replica --record hang")).exits(0);
    let path = folder.path().join("hang/incident.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let elsewhere = "{ from: 2031-01-05T00:00:00Z, to: 2031-01-05T00:01:00Z }";
    fs::write(&path, format!("{text}\nexpect:\n  detect_within: 30m\n  quiet: [{elsewhere}]\n")).unwrap();
    let replay = words("replay hang --policy restart-crashed-or-hung");
    firedrill(folder.path(), &replay)
        .exits(0)
        .says("· nothing from 2031-01-05T00:00:00Z to 2031-01-05T00:01:00Z: not checked")
        .says("passed: decisions right; effect unproven; 1 of 3 expectations went unchecked, see · above");
}

#[test]
fn a_replay_names_alerts_that_its_policies_wait_for_and_no_rule_gives() {
    let folder = tempfile::tempdir().unwrap();
    let incident = "on: { incident: { alerts: { of: [ReplicaHang, Donw] } } }\ntarget: { service: $subject }";
    let policy = format!("schema: policy/1\npolicy: p\nowner: o\n{incident}\nsteps: [{{ restart: {{ mode: at_once }} }}]\n");
    write(folder.path(), "policy.yaml", &policy);
    let done = firedrill(folder.path(), &words("replay hang-one-replica --policy policy.yaml"));
    drop(done.says("warning[FD0330]: `p` waits for `ReplicaHang`, and no rule alerts so").says("policy.yaml:4:"));
}

#[test]
fn a_replay_tells_the_time_of_day_and_when_the_incident_began_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let done = firedrill(folder.path(), &words("replay retry-storm --policy break-retry-storm")).exits(0);
    let done = done.says(" 1m00s  00:01:00Z  fault     the incident begins: ").says("30m00s  00:30:00Z  recovery  the incident is over");
    done.says("RetryStorm after 1m13s").says("from 2026-01-05T00:00:00Z to 2026-01-05T00:30:00Z");
}

/// An incident of a folder with one table, whose mapping calls a column by this name.
fn incident_of_tables(folder: &Path, column: &str) {
    let incident = "schema: incident/1\nincident: tables\nwhat: A test.\nonset: 2026-01-05T09:00:00Z\ncause: unknown\ntarget: unknown\n\
                    recording: { csv: { folder: csv, mapping: mapping.yaml } }\nrules: [rules.yaml]\n";
    let mapping = format!(
        "schema: mapping/1\nmapping: m\nfiles:\n  - file: '(.*/)?(?P<pod>[a-z]+)\\.csv'\n    time: {{ column: t, notation: unix_seconds }}\n    \
         columns: [{{ column: {column}, metric: up }}, {{ column: load, metric: load }}]\n"
    );
    write(folder, "incident.yaml", incident);
    write(folder, "mapping.yaml", &mapping);
    write(folder, "rules.yaml", "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0, labels: { severity: page } }] }]\n");
    write(folder, "csv/api.csv", "t,healthy,load\n1767603600,1,3\n1767603660,0,4\n");
}

#[test]
fn a_misspelt_column_is_no_sound_recording() {
    let folder = tempfile::tempdir().unwrap();
    incident_of_tables(folder.path(), "healthy");
    let done = firedrill(folder.path(), &["check", "."]).exits(0).says("1 incident: all sound");
    drop(done.says("1 of 1 of your rules can fire here (judged by the series of 1 recording alone)"));
    incident_of_tables(folder.path(), "helthy");
    for command in ["check", "replay"] {
        let done = firedrill(folder.path(), &[command, "."]).exits(2);
        drop(done.says("no file that this mapping reads has a column `helthy`").says("did you mean `healthy`?"));
    }
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_and_what_is_no_file_end_at_once() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    incident_of_tables(folder.path(), "healthy");
    for link in ["one", "two", "three"] {
        symlink(".", folder.path().join("csv").join(link)).unwrap();
    }
    firedrill(folder.path(), &["check", "."]).exits(0).says("1 incident: all sound");
    firedrill(folder.path(), &["replay", "."]).exits(0).says("2 series");
    let text = fs::read_to_string(folder.path().join("incident.yaml")).unwrap();
    let device = text.replace("{ csv: { folder: csv, mapping: mapping.yaml } }", "{ openmetrics: /dev/zero }");
    write(folder.path(), "incident.yaml", &device);
    for command in ["check", "replay"] {
        firedrill(folder.path(), &[command, "."])
            .exits(2)
            .says("incident.yaml:7:27")
            .says("cannot read `/dev/zero`: it is no regular file");
    }
}

#[test]
fn a_recording_gets_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "mine/notes.txt", "mine");
    fs::create_dir(folder.path().join("empty")).unwrap();
    firedrill(folder.path(), &words("run hang-one-replica --record mine")).exits(2).says("`--record mine`: the folder is not empty");
    assert_eq!(fs::read_dir(folder.path().join("mine")).unwrap().count(), 1);
    firedrill(folder.path(), &words("run no-such-scenario --record new")).exits(2);
    assert!(!folder.path().join("new").exists(), "a folder that was made for nothing is removed");
    firedrill(folder.path(), &words("run hang-one-replica --record empty")).exits(0);
    firedrill(folder.path(), &words("run hang-one-replica --record empty")).exits(2).says("is there already");
}
