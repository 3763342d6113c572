//! People who are asked before a policy acts, and policies that act only if they are sure: what comes of it, with figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{firedrill, root, write};
use firedrill::drill::{Arm, Drill, Remembered};
use firedrill::sources;
use firedrill_core::journal::{Event, Journal};
use firedrill_core::time::{Span, Time};
use firedrill_policies::guard::stage::Stage;
use firedrill_reports::outcome::{Approvals, Outcome};
use firedrill_scenarios::read_scenario;

/// Who answers in the scenario as it is written: one person on call, with a yes after two minutes.
const YES: &str = "{ role: oncall, count: 1, answer: 2m, no_answer: 0%, deny: 0% }";

fn project() -> PathBuf {
    root().join("tests/projects/approvals")
}

fn text() -> String {
    std::fs::read_to_string(project().join("scenarios/bad-release.yaml")).unwrap()
}

/// The policy on the bad release, with these people to be asked.
fn drill(policy: &Path, approvers: &str) -> Drill {
    assert!(text().contains(YES));
    let scenario = read_scenario("bad-release.yaml", &text().replace(YES, approvers)).unwrap_or_else(|problems| panic!("{problems:?}"));
    let base = project();
    Drill {
        scenario: Arc::new(scenario),
        rules: sources::rules(&["rules"], &base).unwrap(),
        answer: sources::answer(&[policy.to_str().unwrap()], &base).unwrap(),
        stage: Stage::Full,
        past: Remembered::default(),
    }
}

fn asked(approvers: &str) -> (Journal, Outcome) {
    let drill = drill(Path::new("policies/ask-first.yaml"), approvers);
    let shown = drill.show(1, false);
    let outcome = shown.outcome(&drill.answer);
    (shown.policy.journal, outcome)
}

fn first(journal: &Journal, is_it: impl Fn(&Event) -> bool) -> Option<Time> {
    journal.records().iter().find(|record| is_it(&record.event)).map(|record| record.at)
}

fn proposed(event: &Event) -> bool {
    matches!(event, Event::Proposed { .. })
}

fn decided(event: &Event) -> bool {
    matches!(event, Event::Decided { .. })
}

fn paged(event: &Event) -> bool {
    matches!(event, Event::Paged { .. })
}

#[test]
fn a_yes_lets_the_action_start_and_the_wait_is_in_the_time_to_recover() {
    let (journal, outcome) = asked(YES);
    let (question, start) = (first(&journal, proposed).unwrap(), first(&journal, decided).unwrap());
    assert_eq!(start.since(question), Span::from_minutes(2));
    let expected =
        Approvals { asked: 1, granted: 1, answers: 1, longest_wait_seconds: 120.0, waited_seconds: 120.0, ..Approvals::default() };
    assert_eq!((outcome.approvals, outcome.toil, outcome.actions), (Some(expected), 5.0, 1));
    // Somebody who answers a minute later costs users a minute of failed orders more.
    let (_, slower) = asked(&YES.replace("2m", "3m"));
    let recovered = |outcome: &Outcome| outcome.time_to_recover.unwrap().seconds;
    assert!((recovered(&slower) - recovered(&outcome) - 60.0).abs() <= 15.0, "{} after {}", recovered(&slower), recovered(&outcome));
    assert!(slower.user_minutes_lost > outcome.user_minutes_lost);
}

#[test]
fn a_no_and_no_answer_and_a_late_one_leave_it_to_people() {
    let check = |approvers: &str, after: Span, expected: Approvals, toil: f64| {
        let (journal, outcome) = asked(approvers);
        let (question, called) = (first(&journal, proposed).unwrap(), first(&journal, paged).unwrap());
        assert_eq!((called.since(question), first(&journal, decided)), (after, None), "{approvers}");
        assert_eq!((outcome.approvals, outcome.toil, outcome.actions), (Some(expected), toil, 0), "{approvers}");
    };
    let asked = Approvals { asked: 1, ..Approvals::default() };
    let wait = |minutes: f64| Approvals { longest_wait_seconds: 60.0 * minutes, waited_seconds: 60.0 * minutes, ..asked };
    let (minutes, deny) = (Span::from_minutes, "{ role: oncall, count: 1, answer: 90s, no_answer: 0%, deny: 100% }");
    check(deny, Span::from_seconds(90), Approvals { denied: 1, answers: 1, ..wait(1.5) }, 20.0);
    let nobody = Approvals { expired: 1, unanswered: 1, ..wait(5.0) };
    check("{ role: oncall, no_answer: 100% }", minutes(5), nobody, 15.0);
    check("{ role: lead }", minutes(5), nobody, 15.0);
    // The yes comes when nobody waits for it any more, and has cost somebody five minutes.
    check("{ role: oncall, count: 1, answer: 8m, no_answer: 0% }", minutes(5), Approvals { answers: 1, ..nobody }, 20.0);
}

#[test]
fn together_with_others_it_is_what_it_is_alone() {
    let drill = drill(
        Path::new("policies/ask-first.yaml"),
        "{ role: oncall, count: 3, answer: { log_uniform: [30s, 4m] }, no_answer: 30%, deny: 10% }",
    );
    let mut answered = 0;
    for seed in 0..6 {
        let together = Drill::play_together(&[(&drill, Arm::Nothing), (&drill, Arm::Policy)], seed);
        let alone = drill.play(Arm::Policy, seed);
        assert_eq!(together[1].transcript.to_json_lines(), alone.transcript.to_json_lines(), "seed {seed}");
        answered += alone.transcript.journal.records().iter().filter(|record| matches!(record.event, Event::Answered { .. })).count();
    }
    assert!(answered > 3, "{answered} answers");
}

#[test]
fn where_nobody_is_asked_the_scenario_s_people_change_nothing() {
    let policy = root().join("tests/projects/release/policies");
    let policy = std::fs::read_dir(policy).unwrap().next().unwrap().unwrap().path();
    let play = |approvers: &str| drill(&policy, approvers).play(Arm::Policy, 1).transcript.journal.to_json_lines();
    assert_eq!(play(YES), play("{ role: oncall, count: 20, deny: 100% }"));
}

/// A command that succeeds and says something, wherever its lines are broken.
#[track_caller]
fn says(folder: &Path, words: &[&str], text: &str) {
    let done = firedrill(folder, words).exits(0);
    let flat = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(text), "{} does not say `{text}`\n{}", done.told, done.stdout);
}

/// A copy of the project.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["firedrill.yaml", "policies/ask-first.yaml", "policies/sure.yaml", "policies/claims.yaml", "scenarios/bad-release.yaml"] {
        write(folder.path(), name, &std::fs::read_to_string(project().join(name)).unwrap());
    }
    for entry in std::fs::read_dir(project().join("rules")).unwrap() {
        let path = entry.unwrap().path();
        write(folder.path(), &format!("rules/{}", path.file_name().unwrap().to_str().unwrap()), &std::fs::read_to_string(&path).unwrap());
    }
    folder
}

#[test]
fn who_wants_to_be_sure_acts_once_drills_have_shown_enough() {
    let folder = copied();
    let run = ["run", "bad-release", "--policy", "policies/sure.yaml"];
    says(folder.path(), &run, "nothing was measured of this policy: `firedrill calibrate` measures it");
    let calibrate = |pairs: &str| {
        let words = ["calibrate", "policies/sure.yaml", "--pairs", pairs, "--write", "confidence.yaml"];
        firedrill(folder.path(), &words).exits(0)
    };
    calibrate("3").says("rollback on ManyErrors: 3 of 3 actions right, so at least 0.5");
    let named = std::fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap() + "confidence: confidence.yaml\n";
    write(folder.path(), "firedrill.yaml", &named);
    says(folder.path(), &run, "3 of 3 right, so at least 0.5");
    calibrate("18").says("18 of 18 actions right, so at least 0.9001");
    says(folder.path(), &run, "rollback on service/checkout is right with 0.9001, as was measured");
    // What it was measured in may change too, which `check` tells.
    let stale = || firedrill(folder.path(), &["check"]).stderr.contains("FD0392");
    assert!(!stale(), "{}", firedrill(folder.path(), &["check"]).stderr);
    let rules = std::fs::read_dir(folder.path().join("rules")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("{text}# more\n")).unwrap();
    let told = firedrill(folder.path(), &["check"]).stderr;
    assert!(told.contains("FD0392") && told.contains("the rules that watch `bad-release` have changed"), "{told}");
    std::fs::write(&rules, text).unwrap();
    // Another policy is another thing to measure.
    let changed = std::fs::read_to_string(folder.path().join("policies/sure.yaml")).unwrap().replace("within: 5m", "within: 4m");
    write(folder.path(), "policies/sure.yaml", &changed);
    says(folder.path(), &run, "another version of this policy was measured");
}

#[test]
fn the_file_of_what_was_measured_may_be_named_before_it_is_there() {
    let folder = copied();
    let named = std::fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap() + "confidence: confidence.yaml\n";
    write(folder.path(), "firedrill.yaml", &named);
    let calibrate = |write: &str| firedrill(folder.path(), &["calibrate", "policies/sure.yaml", "--pairs", "1", "--write", write]);
    assert!(calibrate("other.yaml").exits(2).stderr.contains("FD0905"));
    calibrate("confidence.yaml").exits(0).says("rollback on ManyErrors: 1 of 1 action right");
    let measured = std::fs::read_to_string(folder.path().join("confidence.yaml")).unwrap();
    // What is wrong in it is mended by measuring anew.
    write(folder.path(), "confidence.yaml", "schema: nonsense\n");
    calibrate("./confidence.yaml").exits(0);
    assert_eq!(std::fs::read_to_string(folder.path().join("confidence.yaml")).unwrap(), measured);
}

#[test]
fn what_people_say_of_a_recorded_incident_counts_beside_drills() {
    let folder = tempfile::tempdir().unwrap();
    let incident = root().join("incidents/hang-one-replica").display().to_string();
    let project = |incidents: &str| {
        let lines = "schema: project/1\nrules: [slo, kubernetes]\npolicies: [restart-crashed-or-hung]\nscenarios: [hang-one-replica]\n";
        write(folder.path(), "firedrill.yaml", &format!("{lines}{incidents}"));
        firedrill(folder.path(), &["calibrate", "--pairs", "1", "--write", "confidence.yaml"]).exits(0)
    };
    project("").says("restart on ReplicaHung: 1 of 1 action right");
    let both = project(&format!("incidents: [{incident}]\n"));
    both.says("restart on ReplicaHung: 2 of 2 actions right").says("2 actions of 1 replay among them");
    let file = std::fs::read_to_string(folder.path().join("confidence.yaml")).unwrap();
    assert!(
        file.contains("- { scenario: \"hang-one-replica\", hash: ") && file.contains("- { incident: \"hang-recorded\", hash: "),
        "{file}"
    );
}

#[test]
fn what_is_claimed_is_held_against_what_was_right() {
    let folder = copied();
    let done = firedrill(folder.path(), &["calibrate", "policies/claims.yaml", "--pairs", "4"]).exits(0);
    // It claims the share of requests that fail, about a tenth while the alert comes, and is right each time.
    let done = done.says("rollback on ManyErrors: 4 of 4 actions right, so at least 0.6").says("Brier score");
    let json = firedrill(folder.path(), &["calibrate", "policies/claims.yaml", "--pairs", "4", "--format", "json"]).exits(0).json();
    let (bands, brier) = (&json["calibration"]["bands"], json["calibration"]["brier"].as_f64().unwrap());
    // It acts from 5% on and asks from 2% on, so that is where the bands lie.
    let begins: Vec<f64> = bands.as_array().unwrap().iter().map(|band| band["from"].as_f64().unwrap()).collect();
    assert_eq!(begins, [0.0, 0.02, 0.05]);
    assert_eq!((&bands[2]["claims"], &bands[2]["right"]), (&4.into(), &4.into()), "{}", done.stdout);
    assert!(bands[0]["mean_claim"].is_null(), "{}", bands[0]);
    let mean = bands[2]["mean_claim"].as_f64().unwrap();
    assert!(brier >= (1.0 - mean) * (1.0 - mean) && brier > 0.5, "Brier {brier}, claimed {mean}");
}

#[test]
fn both_are_told_in_prose() {
    let prose = ["ask-first", "sure", "claims"].map(|policy| {
        let path = project().join(format!("policies/{policy}.yaml"));
        firedrill(root(), &["explain", path.to_str().unwrap()]).exits(0).stdout
    });
    insta::assert_snapshot!(prose.join("\n---\n\n"));
}
