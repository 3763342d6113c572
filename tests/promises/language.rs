//! The policy language, form by form: an example policy for each, played on a scenario; and the examples of its documentation.

use std::path::PathBuf;

use crate::common::{edited, firedrill, root, unmanned, words, write};
use firedrill::drill::{Arm, Drill, Played, Remembered};
use firedrill::sources;
use firedrill_core::journal::{Event, Evidence};
use firedrill_core::time::Time;
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;

fn project() -> PathBuf {
    root().join("tests/projects/language")
}

fn drill(policy: &str, stage: Stage) -> Drill {
    let base = project();
    Drill {
        scenario: sources::scenarios(&["hang-one-replica"], &base).unwrap().remove(0),
        rules: sources::rules(&["kubernetes"], &base).unwrap(),
        answer: sources::answer(&[format!("policies/{policy}.yaml")], &base).unwrap(),
        stage,
        past: Remembered::default(),
    }
}

fn play(policy: &str) -> Played {
    drill(policy, Stage::Full).play(Arm::Policy, 1)
}

/// What the policy did, with the seconds; evidence by the number of its lines.
fn story(played: &Played) -> Vec<String> {
    let gathered = |evidence: &[Evidence]| -> String {
        evidence.iter().map(|one| format!(" {}={}{}", one.kind, one.lines.len(), if one.note.is_empty() { "" } else { "!" })).collect()
    };
    let told = played.transcript.journal.records().iter().filter_map(|record| {
        let text = match &record.event {
            Event::Informed { to, evidence, .. } => format!("tell {to}{}", gathered(evidence)),
            Event::Collected { evidence, .. } => format!("collect{}", gathered(evidence)),
            Event::Paged { to, reason, evidence, .. } => format!("page {to}: {reason}{}", gathered(evidence)),
            Event::Unanswered { reason, .. } => format!("unanswered: {reason}"),
            Event::Chosen { candidates, .. } => {
                let told = candidates.iter().map(|one| format!("{}: {}", one.what, one.why));
                format!("choose {}", told.collect::<Vec<_>>().join("; "))
            }
            Event::Planned { waves, .. } => format!("waves {:?}", waves.iter().map(Vec::len).collect::<Vec<_>>()),
            Event::Decided { what, target, .. } => format!("{what} on {target}"),
            Event::ActionFinished { outcome, .. } => format!("{outcome:?}"),
            Event::Verified { verdict, .. } => format!("{verdict:?}"),
            Event::IncidentClosed { reason, .. } => format!("closed: {reason}"),
            _ => return None,
        };
        Some(format!("{} {text}", record.at.as_seconds()))
    });
    told.collect()
}

#[test]
fn people_are_told_and_called_with_what_telemetry_says_and_without_what_nobody_here_knows() {
    let played = play("people");
    insta::assert_debug_snapshot!(story(&played));
    let paged = played.transcript.journal.records().iter().find_map(|record| match &record.event {
        Event::Paged { evidence, .. } => Some(evidence.clone()),
        _ => None,
    });
    insta::assert_debug_snapshot!(paged.unwrap());
}

#[test]
fn the_best_of_several_is_done() {
    insta::assert_debug_snapshot!(story(&play("choice")));
}

#[test]
fn two_actions_start_at_one_time_and_are_verified_as_one() {
    insta::assert_debug_snapshot!(story(&play("together")));
}

#[test]
fn one_replica_first_and_then_the_others() {
    insta::assert_debug_snapshot!(story(&play("staged")));
}

#[test]
fn an_own_action_takes_as_long_as_its_model_says() {
    let played = play("own");
    insta::assert_debug_snapshot!(story(&played));
    let at = |wanted: &dyn Fn(&Event) -> bool| -> Vec<Time> {
        played.transcript.journal.records().iter().filter(|record| wanted(&record.event)).map(|record| record.at).collect()
    };
    let decided = at(&|event| matches!(event, Event::Decided { .. }));
    let started = at(&|event| matches!(event, Event::ActionStarted { .. }));
    let waits: Vec<f64> = decided.iter().zip(&started).map(|(decided, started)| started.since(*decided).as_seconds()).collect();
    assert_eq!(waits, [20.0, 40.0]);
}

#[test]
fn in_maintenance_nothing_is_answered_and_what_still_fires_afterwards_is() {
    insta::assert_debug_snapshot!(story(&play("house-move")));
}

#[test]
fn no_form_starts_anything_in_a_dry_run_and_all_are_the_same_from_run_to_run() {
    for policy in ["people", "choice", "together", "staged", "own", "house-move"] {
        let dry = drill(policy, Stage::DryRun).play(Arm::Policy, 1);
        let acts = |event: &Event| matches!(event, Event::Decided { .. } | Event::ActionStarted { .. });
        assert!(!dry.transcript.journal.records().iter().any(|record| acts(&record.event)), "{policy}");
        let fingerprints = [(); 2].map(|()| play(policy).transcript.fingerprint());
        assert_eq!(fingerprints[0], fingerprints[1], "{policy}");
    }
}

#[test]
fn every_form_is_told_in_prose() {
    let prose = ["people", "choice", "together", "staged", "own", "house-move"].map(|policy| {
        let path = project().join(format!("policies/{policy}.yaml"));
        firedrill(root(), &["explain", path.to_str().unwrap()]).exits(0).stdout
    });
    insta::assert_snapshot!(prose.join("\n---\n\n"));
}

#[test]
fn a_changed_script_is_another_policy() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["own.yaml", "purge-and-restart.sh"] {
        std::fs::copy(project().join("policies").join(name), folder.path().join(name)).unwrap();
    }
    let hash = || sources::answer(&["own.yaml"], folder.path()).unwrap().hash.clone();
    let before = hash();
    assert_eq!(before, hash());
    std::fs::write(folder.path().join("purge-and-restart.sh"), "rm -rf /srv/shop\n").unwrap();
    assert_ne!(before, hash());
}

/// Policies as they were written by somebody who had read `firedrill explain policy` and one example, and nothing else.
#[test]
fn what_is_written_after_reading_one_page_is_sound_and_works() {
    let written = [
        ("restart-before-oom", "memory-leak-to-oom", "the remediation is verified"),
        ("undo-deploy", "bad-deploy-errors", "the remediation is verified"),
        ("more-replicas", "traffic-surge", "the remediation is verified"),
        ("leave-zone", "zone-loss", "the remediation is verified"),
        ("pick", "hang-one-replica", "the remediation is verified"),
        ("tell", "retry-storm", "all steps are done"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (policy, scenario, ends) in written {
        let played = write(folder.path(), &format!("{scenario}.yaml"), &unmanned(&edited(scenario, &[])));
        let path = format!("tests/projects/stranger/{policy}.yaml");
        firedrill(root(), &["check", &path]).exits(0);
        let told = firedrill(root(), &["run", played.to_str().unwrap(), "--policy", &path]).exits(0).stdout;
        assert!(words(&told).join(" ").contains(ends), "{policy} in {scenario}: {told}");
    }
}

/// Each block of YAML beyond the whole policy is a part of one.
#[test]
fn the_examples_of_the_documentation_are_sound() {
    let page = std::fs::read_to_string(root().join("docs/policies.md")).unwrap();
    let blocks: Vec<&str> = page.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert!(blocks.len() >= 5, "{blocks:?}");
    // What begins with a kill switch is of a project.
    for block in blocks.iter().filter(|block| !block.starts_with("schema:") && !block.starts_with("kill_switch:")) {
        let whole = format!("schema: policy/1\npolicy: p\nowner: o\non: {{ alert: Down }}\ntarget: {{ replica: $pod }}\n{block}\n");
        if let Err(problems) = read_policy("docs/policies.md", &whole) {
            let told: Vec<String> = problems.iter().map(|problem| problem.render(false)).collect();
            panic!("{block}\n{}", told.join("\n"));
        }
    }
}
