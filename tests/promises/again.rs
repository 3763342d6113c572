//! Evidence from life after something was changed: what a watcher heard is decided again, and what comes out the same stays. Every chain here was written by
//! the watcher itself.

use std::fs;

use crate::common::{firedrill, release_project};
use crate::promotion::{POLICY, Project, Session, ago, missing, quiet};
use firedrill_policies::guard::stage::Stage;
use serde_json::Value;

const RECORDED: &str = "      - { record: 'service:requests:rate1m', expr: 'sum by (service) (rate(http_requests_total[1m]))' }\n";
const PRECHECK: &str = "precheck: [{ expr: 'service:requests:rate1m{service=$service} > 1', because: nobody is there otherwise }]\n";

/// A project whose policy asks a recorded series before it acts, watched for two weeks with an alert on five days.
fn asking(requests: f64) -> Project {
    let folder = release_project();
    let edit = |file: &str, from: &str, to: &str| {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    edit("rules/errors.yaml", "      - alert: ManyErrors", &format!("{RECORDED}      - alert: ManyErrors"));
    edit("policies/undo-release.yaml", "steps:", &format!("{PRECHECK}steps:"));
    let project = Project::of(folder, Stage::DryRun, 16);
    let oracle = |_: &str| Ok(requests);
    let session = Session { oracle: &oracle, ..quiet(Stage::DryRun, ago(16, 1), ago(1, 0)) };
    for id in project.watch(&session, &[ago(15, 1), ago(14, 1), ago(13, 1), ago(12, 1), ago(11, 1)]) {
        project.label(&id, "right", &[]).exits(0);
    }
    project
}

fn evidence(project: &Project) -> Value {
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    status["policies"][0]["evidence"].clone()
}

/// How many events are left after something was changed, and why the others are not.
#[track_caller]
fn check(project: &Project, left: usize, why: Option<&str>) {
    let found = evidence(project);
    assert_eq!(found["events"].as_array().unwrap().len(), left, "{found:#}");
    let dropped = found["dropped"].as_array().unwrap();
    match why {
        None => assert!(dropped.is_empty(), "{dropped:?}"),
        Some(why) => assert!(dropped.iter().all(|own| own["why"].as_str().unwrap().contains(why)) && !dropped.is_empty(), "{dropped:#?}"),
    }
}

#[test]
fn what_is_asked_again_is_answered_as_it_was() {
    let project = asking(9.0);
    check(&project, 5, None);
    project.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 11m");
    check(&project, 5, None);
    // The same question to which another answer is wanted.
    project.edit(
        "policies/undo-release.yaml",
        "nobody is there otherwise }]",
        "nobody is there otherwise }, { expr: 'up == 1', because: it is new }]",
    );
    check(&project, 0, Some("this version would do nothing"));
}

#[test]
fn rules_that_only_a_condition_rested_on_cost_nothing_when_it_goes() {
    let project = asking(9.0);
    project.edit("policies/undo-release.yaml", PRECHECK, "");
    let found = evidence(&project);
    assert!(found["events"].as_array().unwrap().iter().all(|event| event["is_decided_again"] == true), "{found:#}");
    check(&project, 5, None);
    project.promote("ben").exits(0).says("promoted from dry-run to shadow");
}

#[test]
fn an_answer_that_rests_on_other_rules_is_none() {
    let project = asking(9.0);
    project.edit(
        "rules/errors.yaml",
        "sum by (service) (rate(http_requests_total[1m]))' }",
        "sum by (service) (rate(http_requests_total[2m]))' }",
    );
    check(&project, 0, Some("the rules that it rests on have changed since; this version would do nothing"));
    // A rule that neither the alert nor a question rests on is no part of it.
    let project = asking(9.0);
    project.edit(
        "rules/errors.yaml",
        "      - alert: ManyErrors",
        "      - { record: idle, expr: 'rate(cpu[1m])' }\n      - alert: ManyErrors",
    );
    check(&project, 5, None);
    assert!(evidence(&project)["events"].as_array().unwrap().iter().all(|event| event["is_decided_again"] == false));
}

#[test]
fn an_alert_that_rests_on_other_rules_may_not_have_been_one() {
    let project = asking(9.0);
    project.edit("rules/errors.yaml", "> 0.05", "> 0.06");
    check(&project, 0, Some("what ManyErrors would have been by other rules cannot be told from what was heard"));
    let missed = missing(&project.promote("ben").exits(1));
    assert!(missed.iter().any(|line| line.starts_with("events: 0 of 5")), "{missed:?}");
}

#[test]
fn what_this_version_would_do_where_that_one_did_nothing_is_named() {
    // Nobody is there: the precheck refuses each time.
    let project = asking(0.0);
    check(&project, 0, None);
    project.edit("policies/undo-release.yaml", PRECHECK, "");
    check(&project, 0, Some("that version did nothing, and this one would rollback service/checkout, which nobody has judged"));
    assert_eq!(evidence(&project)["dropped"].as_array().unwrap().len(), 5);
}

#[test]
fn an_alert_that_is_on_while_the_policy_is_changed_counts_once() {
    let project = Project::at(Stage::DryRun, 16);
    let first = project.watch(&quiet(Stage::DryRun, ago(15, 0), ago(14, 0)), &[ago(14, -15)]);
    project.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 1m");
    let changed = project.bound_anew();
    // It was still on when the watcher ended, and the new version is told of it when it begins.
    let second = changed.watch(&quiet(Stage::DryRun, ago(14, 0), ago(1, 0)), &[]);
    assert_eq!((first.len(), second.len()), (1, 1));
    check(&changed, 1, Some("the same alert was taken up again as undo-release#1"));
}

#[test]
fn time_in_which_nobody_watched_or_somebody_watched_something_else_is_no_evidence() {
    let project = Project::at(Stage::DryRun, 16);
    let days = || evidence(&project)["live"].as_u64().unwrap() / 86_400_000_000_000;
    assert_eq!(days(), 0);
    project.watch(&quiet(Stage::DryRun, ago(15, 0), ago(15, 5)), &[]);
    assert_eq!(days(), 0, "five minutes two weeks ago are five minutes");
    project.watch(&quiet(Stage::Shadow, ago(14, 0), ago(4, 0)), &[]);
    assert_eq!(days(), 0, "that was another stage");
    project.watch(&quiet(Stage::DryRun, ago(3, 0), ago(1, 0)), &[]);
    assert_eq!(days(), 2);
}

#[test]
fn what_was_compared_stays_if_it_is_decided_the_same_and_belongs_to_its_stage() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.promote("ben").exits(0);
    // Incidents of dry-run say nothing of shadow, whenever they are compared.
    let shadow = || firedrill(project.path(), &["shadow", POLICY, "--by", "bob"]).exits(0);
    shadow();
    let found = evidence(&project);
    assert_eq!((found["compared"].as_array().unwrap().len(), found["dropped"].as_array().unwrap().len()), (0, 5), "{found:#}");
    check(&project, 0, Some("it was taken up before the policy came to this stage"));
    let now = jiff::Timestamp::now();
    let in_minutes = |minutes: i64| now + jiff::SignedDuration::from_mins(minutes);
    let alerts: Vec<_> = (0..5).map(|index| in_minutes(10 + 40 * index)).collect();
    for id in project.watch(&quiet(Stage::Shadow, in_minutes(5), in_minutes(300)), &alerts) {
        project.label(&id, "right", &[]).exits(0);
    }
    shadow();
    project.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 11m");
    assert_eq!(evidence(&project)["compared"].as_array().unwrap().len(), 5);
    project.edit("policies/undo-release.yaml", "  - rollback: {}", "  - restart: { mode: rolling }");
    assert_eq!(evidence(&project)["compared"].as_array().unwrap().len(), 0);
}

#[test]
fn what_a_watcher_and_people_wrote_takes_a_policy_back() {
    let watched = || {
        let project = Project::at(Stage::Shadow, 9);
        let events = project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0), ago(6, 0), ago(5, 0)]);
        assert_eq!(events.len(), 3);
        (project, events)
    };
    let (project, events) = watched();
    let told = "undo-release is demoted from shadow to dry-run: ";
    project.label(&events[0], "right", &[]).exits(0);
    project.label(&events[1], "wrong", &[]).exits(0).says(&format!("{told}1 of its last 2 labelled events was wrong"));
    // Once is enough: what was said counts for the stage at which it was said.
    let audit = firedrill(project.path(), &["audit", POLICY]).exits(0).stdout;
    assert!(audit.contains("1 demotion"), "{audit}");
    project.label(&events[2], "right", &[]).exits(0);
    let (project, events) = watched();
    project.label(&events[2], "harmful", &[]).exits(0).says(&format!("{told}it did harm"));
}

#[test]
fn one_alert_that_two_watchers_saw_counts_once_and_what_has_one_number_is_told_by_its_hash() {
    let project = Project::at(Stage::DryRun, 3);
    let names = ["watch", POLICY];
    let path = |name: &str| project.path().join(format!("ledger/{name}.jsonl"));
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let common = names.map(read);
    let (began, until) = (ago(2, 0), ago(1, 0));
    // Two clones of the repository, of which each begins to watch.
    let saw = |minutes: i64| {
        names.iter().zip(&common).for_each(|(name, text)| fs::write(path(name), text).unwrap());
        for noted in ["watch.head".to_owned(), "watch.state".to_owned(), format!("{POLICY}.head")] {
            let _ = fs::remove_file(project.path().join("ledger").join(noted));
        }
        project.watch(&quiet(Stage::DryRun, began - jiff::SignedDuration::from_mins(minutes), until), &[began]);
        names.map(read)
    };
    let (one, other) = (saw(1), saw(2));
    for (index, name) in names.iter().enumerate() {
        fs::write(path(name), format!("{}{}", one[index], &other[index][common[index].len()..])).unwrap();
    }
    fs::remove_file(project.path().join("ledger/watch.state")).unwrap();
    let found = evidence(&project);
    assert_eq!((found["events"].as_array().unwrap().len(), found["dropped"].as_array().unwrap().len()), (1, 1), "{found:#}");
    assert!(found["dropped"][0]["why"].as_str().unwrap().starts_with("the same alert was taken up again as"), "{found:#}");
    let id = found["events"][0]["id"].as_str().unwrap();
    assert!(id.starts_with("blake3:"), "two entries have its number: {found:#}");
    let a_day = 86_400_000_000_000_u64;
    assert!((a_day..a_day + 600_000_000_000).contains(&found["live"].as_u64().unwrap()), "what two watched counts once: {found:#}");
    project.label(id, "right", &[]).exits(0);
    assert_eq!(evidence(&project)["events"][0]["label"], "right");
    let done = firedrill(project.path(), &["capture", &format!("{POLICY}#0")]).exits(2);
    assert!(done.stderr.contains("FD0815") && done.stderr.contains("is 2 incidents: two branches"), "{}", done.stderr);
}

#[test]
fn what_was_watched_in_two_sessions_is_captured_at_the_stage_of_each() {
    let project = Project::at(Stage::DryRun, 3);
    let began = ago(2, 0);
    let after = |minutes: i64| began + jiff::SignedDuration::from_mins(minutes);
    project.watch(&quiet(Stage::DryRun, after(-5), after(3)), &[began]);
    // After a promotion it was started again.
    project.watch(&quiet(Stage::Shadow, after(4), after(60)), &[began]);
    let done = firedrill(project.path(), &["capture", &format!("{POLICY}#0"), "--out", "captured"]).exits(0);
    assert!(done.stdout.contains("decisions that stand in the ledger"), "{}", done.stdout);
    firedrill(project.path(), &["replay", "captured"]).exits(0).says("decisions as they were made live");
    // A folder that does not decide the same again says so.
    let path = project.path().join("captured/watched.json");
    let mut watched: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    watched["decided"][POLICY].as_array_mut().unwrap().push(serde_json::json!({ "incident_closed": {} }));
    fs::write(&path, watched.to_string()).unwrap();
    firedrill(project.path(), &["replay", "captured"]).exits(1).says("✗ only ");
}
