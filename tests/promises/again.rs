//! Evidence from life after something was changed: what a watcher heard is decided again, and what comes out the same stays. Every chain here was written by
//! the watcher itself.

use std::fs;

use crate::common::{firedrill, release_project};
use crate::promotion::{POLICY, Project, Session, ago, missing, quiet};
use firedrill::ledger::{REHEARSAL, What};
use firedrill_policies::guard::stage::Stage;
use serde_json::{Value, json};

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
    // Whether this version is the one that was promoted is no matter here.
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).json();
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
    check(&project, 0, Some("nobody asked then, by the rules of now, `up == 1`"));
    check(&project, 0, Some("its guards have changed since; what this version would do nobody can tell (precheck"));
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
    check(&project, 0, Some("the rules that it rests on have changed since; what this version would do nobody can tell (precheck"));
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
    // Promoted anew it has what was compared since the policy came to this stage.
    project.promote("ben").exits(0).says("promoted from dry-run to shadow");
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

/// Two clones of the repository, in each of which something goes on by itself; then git puts their lines together.
fn in_two_clones(project: &mut Project, each: &dyn Fn(&mut Project, usize)) {
    let names = ["watch", POLICY];
    let folder = project.path().join("ledger");
    let path = |name: &str| folder.join(format!("{name}.jsonl"));
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let forget = || {
        for noted in ["watch.head".to_owned(), "watch.state".to_owned(), format!("{POLICY}.head")] {
            let _ = fs::remove_file(folder.join(noted));
        }
    };
    let common = names.map(read);
    let mut went = |clone: usize| {
        names.iter().zip(&common).for_each(|(name, text)| fs::write(path(name), text).unwrap());
        forget();
        each(project, clone);
        names.map(read)
    };
    let (one, other) = (went(0), went(1));
    for (index, name) in names.iter().enumerate() {
        fs::write(path(name), format!("{}{}", one[index], &other[index][common[index].len()..])).unwrap();
    }
    forget();
}

fn count(found: &Value, of: &str) -> usize {
    found[of].as_array().unwrap().len()
}

#[test]
fn one_alert_that_two_watchers_saw_counts_once_and_what_has_one_number_is_told_by_its_hash() {
    let mut project = Project::at(Stage::DryRun, 3);
    let (began, until) = (ago(2, 0), ago(1, 0));
    in_two_clones(&mut project, &|project, clone| {
        let minutes = i64::try_from(clone + 1).unwrap();
        project.watch(&quiet(Stage::DryRun, began - jiff::SignedDuration::from_mins(minutes), until), &[began]);
    });
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
fn what_another_version_decided_on_another_branch_is_no_evidence_though_it_has_the_same_number() {
    let mut project = Project::at(Stage::DryRun, 9);
    let edit = |project: &mut Project, from: &str, to: &str| {
        project.edit("policies/undo-release.yaml", from, to);
        project.bound = project.read().1;
    };
    let (now, then) = ("  - rollback: {}", "  - restart: { mode: rolling }");
    in_two_clones(&mut project, &|project, clone| {
        if clone == 0 {
            project.watch(&quiet(Stage::DryRun, ago(8, 0), ago(6, 0)), &[ago(7, 0)]);
            return;
        }
        edit(project, now, then);
        project.watch(&quiet(Stage::DryRun, ago(5, 0), ago(3, 0)), &[ago(4, 0)]);
        edit(project, then, now);
    });
    let found = evidence(&project);
    assert_eq!((count(&found, "events"), count(&found, "dropped")), (1, 1), "{found:#}");
    let why = found["dropped"][0]["why"].as_str().unwrap();
    assert!(why.contains("this version would rollback service/checkout, and that one restart (rolling) service/checkout"), "{found:#}");
}

#[test]
fn incidents_of_one_number_are_compared_each_and_one_alert_that_two_watchers_saw_once() {
    let shadow = |project: &Project| firedrill(project.path(), &["shadow", POLICY, "--by", "ada"]).exits(0).stdout;
    let label_all = |project: &Project| {
        let chain = fs::read_to_string(project.path().join(format!("ledger/{POLICY}.jsonl"))).unwrap();
        let entries = chain.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let acts = entries.filter(|own| !own["what"]["decision"]["event"]["would_act"].is_null());
        let hashes: Vec<String> = acts.map(|own| own["hash"].as_str().unwrap().to_owned()).collect();
        hashes.iter().for_each(|hash| drop(project.label(hash, "right", &[]).exits(0)));
        hashes
    };
    // Each clone took up an alert of its own, and each calls it the first.
    let mut project = Project::at(Stage::Shadow, 9);
    in_two_clones(&mut project, &|project, clone| {
        let days = if clone == 0 { 7 } else { 4 };
        project.watch(&quiet(Stage::Shadow, ago(days + 1, 0), ago(days - 1, 0)), &[ago(days, 0)]);
    });
    let hashes = label_all(&project);
    let told = shadow(&project);
    assert!(told.contains("2 comparisons written"), "{told}");
    assert!(told.lines().filter(|line| line.starts_with("blake3:") && line.contains(" agree: ")).count() == 2, "{told}");
    assert_eq!(count(&evidence(&project), "compared"), 2);
    assert!(shadow(&project).contains("nothing new for the ledger"));
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npromotion: { dry-run: { wrong: 100% } }");
    // What was compared says what its label says now, and that one alone.
    project.label(&hashes[1], "wrong", &[]).exits(0);
    assert!(shadow(&project).contains("1 comparison written"));
    let found = evidence(&project);
    let is_wrong: Vec<&Value> = found["compared"].as_array().unwrap().iter().map(|own| &own["is_wrong"]).collect();
    assert_eq!(is_wrong, [&Value::Bool(false), &Value::Bool(true)], "{found:#}");
    // Both clones heard the same two alerts.
    let mut project = Project::at(Stage::Shadow, 9);
    let (alerts, until) = ([ago(7, 0), ago(6, 0)], ago(1, 0));
    in_two_clones(&mut project, &|project, clone| {
        let from = ago(8, i64::try_from(clone).unwrap());
        project.watch(&quiet(Stage::Shadow, from, until), &alerts);
    });
    label_all(&project);
    assert!(shadow(&project).contains("4 comparisons written"));
    let found = evidence(&project);
    assert_eq!((count(&found, "events"), count(&found, "compared")), (2, 2), "{found:#}");
    let dropped =
        found["dropped"].as_array().unwrap().iter().filter(|own| own["why"].as_str().unwrap().starts_with("the same alert is compared as"));
    assert_eq!(dropped.count(), 2, "{found:#}");
}

#[test]
fn what_the_watcher_was_not_told_is_no_evidence_and_is_named() {
    let project = Project::at(Stage::Shadow, 9);
    for id in project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0), ago(6, 0)]) {
        project.label(&id, "right", &[]).exits(0);
    }
    firedrill(project.path(), &["shadow", POLICY, "--by", "ada"]).exits(0);
    let found = evidence(&project);
    assert_eq!((count(&found, "events"), count(&found, "compared"), count(&found, "dropped")), (2, 2, 0), "{found:#}");
    // A watcher that heard nothing in that time, and none at all.
    let other = Project::at(Stage::Shadow, 9);
    other.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[]);
    let ledger = project.path().join("ledger");
    for noted in ["watch.head", "watch.state"] {
        let _ = fs::remove_file(ledger.join(noted));
    }
    fs::copy(other.path().join("ledger/watch.jsonl"), ledger.join("watch.jsonl")).unwrap();
    for is_there in [true, false] {
        let found = evidence(&project);
        assert_eq!((count(&found, "events"), count(&found, "compared"), count(&found, "dropped")), (0, 0, 4), "{is_there}: {found:#}");
        check(&project, 0, Some("nothing that the watcher was told explains it"));
        let _ = fs::remove_file(ledger.join("watch.jsonl"));
    }
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

/// Says in the chain `watch` that a simulation was watched between two times, of the session that was the last.
fn simulated(project: &Project, (from, until): (jiff::Timestamp, jiff::Timestamp)) {
    for (at, of) in [(from, REHEARSAL), (until, "anything")] {
        project.append("watch", "watch", at, vec![What::State { of: of.to_owned(), value: Value::Null }]);
    }
}

fn compared(project: &Project, days: i64, (agrees, wrong): (bool, bool)) {
    let (incident, hashes, detail) = (format!("{POLICY}#0"), project.bound.hashes.clone(), String::new());
    let what = What::Compared { incident, agrees, wrong, hashes, detection_ratio: None, detail };
    project.append(POLICY, "ada", ago(days, 0), vec![what]);
}

#[test]
fn an_alert_of_a_simulation_that_is_still_on_in_the_next_session_is_of_the_simulation() {
    let project = Project::at(Stage::DryRun, 16);
    project.watch(&quiet(Stage::DryRun, ago(15, 0), ago(14, 0)), &[ago(14, -15)]);
    simulated(&project, (ago(14, -20), ago(14, -1)));
    project.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 1m");
    let changed = project.bound_anew();
    // The new version is told of it when it begins, in life.
    assert_eq!(changed.watch(&quiet(Stage::DryRun, ago(14, 0), ago(1, 0)), &[]).len(), 1);
    let found = evidence(&changed);
    assert_eq!(count(&found, "events"), 0, "{found:#}");
    let dropped = found["dropped"].as_array().unwrap();
    assert!(dropped.iter().any(|own| own["why"].as_str().unwrap().starts_with("it is of a simulation")), "{found:#}");
    // So it is learned from, whatever is decided of it later.
    firedrill(changed.path(), &["learn"]).exits(0).says("ledger of undo-release (a rehearsed system)");
    // What was seen of life beside it is told apart.
    let project = Project::at(Stage::DryRun, 16);
    project.watch(&quiet(Stage::DryRun, ago(15, 0), ago(14, 0)), &[ago(14, -50)]);
    simulated(&project, (ago(14, -55), ago(14, -1)));
    project.watch(&quiet(Stage::DryRun, ago(13, 0), ago(1, 0)), &[ago(12, 0)]);
    let told = firedrill(project.path(), &["learn"]).exits(0).stdout;
    assert!(told.contains("ledger of undo-release (a live system)"), "{told}");
    assert_eq!(told.lines().filter(|line| line.ends_with("; of a simulation")).count(), 1, "{told}");
}

#[test]
fn of_what_two_branches_compared_the_worse_counts_until_it_is_compared_anew() {
    let mut project = Project::at(Stage::Shadow, 9);
    let id = project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0)]).remove(0);
    project.label(&id, "right", &[]).exits(0);
    in_two_clones(&mut project, &|project, clone| compared(project, 6 - i64::try_from(clone).unwrap(), (clone == 1, false)));
    let agrees = |project: &Project| {
        let found = evidence(project);
        assert_eq!(count(&found, "compared"), 1, "{found:#}");
        found["compared"][0]["agrees"].clone()
    };
    assert_eq!(agrees(&project), false, "whichever of them began later");
    compared(&project, 3, (true, false));
    assert_eq!(agrees(&project), true);
}

#[test]
fn what_speaks_against_a_policy_stays_beside_a_comparison_of_that_name_of_a_simulation() {
    let mut project = Project::at(Stage::Shadow, 9);
    in_two_clones(&mut project, &|project, clone| {
        let days = if clone == 0 { 7 } else { 4 };
        project.watch(&quiet(Stage::Shadow, ago(days + 1, 0), ago(days - 1, 0)), &[ago(days, 0)]);
        if clone == 0 {
            simulated(project, (ago(days, -5), ago(days, 30)));
        }
        compared(project, days - 2, (clone == 0, clone == 1));
    });
    let found = evidence(&project);
    assert_eq!(count(&found, "compared"), 1, "{found:#}");
    assert_eq!(found["compared"][0]["is_wrong"], true);
    let dropped = found["dropped"].as_array().unwrap();
    assert_eq!(dropped.iter().filter(|own| own["id"].as_str().unwrap().starts_with("the comparison of ")).count(), 1, "{found:#}");
}

#[test]
fn an_incident_whose_alert_goes_on_for_longer_than_what_is_captured_is_replayed() {
    let project = Project::at(Stage::DryRun, 3);
    let session = Session { lasts: jiff::SignedDuration::from_mins(120), ..quiet(Stage::DryRun, ago(2, -5), ago(2, 180)) };
    project.watch(&session, &[ago(2, 0)]);
    firedrill(project.path(), &["capture", &format!("{POLICY}#0"), "--out", "captured"]).exits(0);
    let page = fs::read_to_string(project.path().join("captured/incident.yaml")).unwrap();
    let end = page.lines().find(|line| line.contains("end: ")).unwrap();
    assert!(end.contains("its alert was over at ") && end.contains(", which is not captured"), "{page}");
    firedrill(project.path(), &["replay", "captured"]).exits(0).says("decisions as they were made live");
}

/// An export of PagerDuty's of one incident, of which somebody noted these words at that time; only its title says what it is about.
fn export(project: &Project, at: jiff::Timestamp, words: &str) {
    let incident = json!({ "id": "Q1", "title": "ManyErrors", "created_at": at.to_string(), "service": { "summary": "checkout" } });
    let agent = json!({ "type": "user_reference", "summary": "Bob" });
    let note = json!({ "id": "R1", "type": "annotate_log_entry", "created_at": at.to_string(), "agent": agent, "incident": incident,
        "channel": { "type": "note", "summary": words } });
    fs::write(project.path().join("log.json"), json!({ "log_entries": [note], "more": false }).to_string()).unwrap();
}

fn shadow(project: &Project, more: &[&str]) -> String {
    firedrill(project.path(), &[&["shadow", POLICY], more].concat()).exits(0).stdout
}

#[test]
fn a_story_that_is_put_right_counts_once() {
    let told = ["--people", "log.json", "--by", "bob"];
    let project = Project::at(Stage::Shadow, 9);
    let events = project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0), ago(6, 0)]);
    export(&project, ago(7, 2), "did: rollback");
    assert!(shadow(&project, &told).contains("1 comparison written to the ledger, which promotion counts"));
    // It was of the other one.
    export(&project, ago(6, 2), "did: rollback");
    let said = shadow(&project, &told);
    assert!(said.contains("undo-release#1 agree: ") && said.contains("undo-release#0 · nobody says what people did"), "{said}");
    let found = evidence(&project);
    let compared: Vec<&Value> = found["compared"].as_array().unwrap().iter().map(|own| &own["incident"]).collect();
    assert_eq!(compared, ["undo-release#1"], "{found:#}");
    let dropped =
        json!({ "id": "the comparison of undo-release#0", "why": "the story by which it was compared, Q1, is told of it no more" });
    assert_eq!(found["dropped"], json!([dropped]));
    // What a label says of the first one is something else.
    for id in &events {
        project.label(id, "right", &[]).exits(0);
    }
    let said = shadow(&project, &["--by", "bob"]);
    assert!(said.contains("undo-release#0 agree: ") && said.contains("people say right (a label)"), "{said}");
    assert!(said.contains("people did rollback, and say right (Q1)"), "{said}");
    let found = evidence(&project);
    assert_eq!((count(&found, "compared"), count(&found, "dropped")), (2, 0), "{found:#}");
    assert!(shadow(&project, &told).contains("nothing new for the ledger"));
    assert_eq!(count(&evidence(&project), "compared"), 2);
}

#[test]
fn a_story_that_says_what_a_label_said_is_kept_with_what_people_did() {
    let project = Project::at(Stage::Shadow, 9);
    let event = project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0)]).remove(0);
    project.label(&event, "right", &[]).exits(0);
    assert!(shadow(&project, &["--by", "bob"]).contains("1 comparison written"));
    // What nobody understands is told beside the label.
    export(&project, ago(7, 2), "kicked it");
    let said = shadow(&project, &["--people", "log.json"]);
    assert!(
        said.contains("undo-release#0 agree: ") && said.contains("what people say beside that is not understood (kicked it)"),
        "{said}"
    );
    export(&project, ago(7, 2), "did: rollback service/checkout");
    assert!(shadow(&project, &["--people", "log.json", "--by", "bob"]).contains("1 comparison written"));
    for more in [&[][..], &["--people", "log.json"]] {
        let said = shadow(&project, more);
        assert!(said.contains("people did rollback service/checkout, and say right (Q1)") && said.contains("nothing new"), "{said}");
    }
    let learned = firedrill(project.path(), &["learn"]).exits(0).stdout;
    assert!(learned.contains("unproven, in time, right"), "{learned}");
    assert_eq!(count(&evidence(&project), "compared"), 1);
}

#[test]
fn a_story_that_is_put_right_to_be_of_nothing_that_the_policy_took_up_is_taken_back() {
    let project = Project::at(Stage::Shadow, 9);
    project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0)]);
    firedrill(project.path(), &["run", "bad-release", "--project", "--record", "incidents/told"]).exits(0);
    let page = project.path().join("incidents/told/incident.yaml");
    let text = fs::read_to_string(&page).unwrap();
    let tell = |target: &str| {
        let kept = text.lines().filter(|line| !["onset:", "end:", "target:"].iter().any(|key| line.starts_with(key)));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        let times = format!("onset: {}\nend: {}\npeople: [{{ at: {}, what: 'did: rollback' }}]\n", ago(7, -1), ago(7, 30), ago(7, 2));
        let kept = if target.ends_with("other") { kept.replace("checkout", "other") } else { kept };
        fs::write(&page, format!("{kept}target: {target}\n{times}")).unwrap();
    };
    let told = ["--people", "incidents/told", "--by", "bob"];
    tell("unknown");
    assert!(shadow(&project, &told).contains("1 comparison written"));
    assert_eq!(count(&evidence(&project), "compared"), 1);
    tell("service/other");
    assert!(shadow(&project, &told[..2]).contains("hint: `--by NAME` takes 1 comparison back"));
    let said = shadow(&project, &told);
    assert!(said.contains("undo-release#0 · nobody says what people did") && said.contains("1 comparison taken back"), "{said}");
    let found = evidence(&project);
    assert_eq!((count(&found, "compared"), count(&found, "dropped")), (0, 1), "{found:#}");
    assert!(found["dropped"][0]["why"].as_str().unwrap().ends_with("is told of it no more"), "{found:#}");
    assert!(shadow(&project, &told).contains("nothing new for the ledger"));
    tell("service/checkout");
    assert!(shadow(&project, &told).contains("1 comparison written"));
    assert_eq!(count(&evidence(&project), "compared"), 1);
}
