//! What may be promoted: on evidence that is there, is of this policy, was looked at by people, and was not brought by who wrote it.

use std::fs;
use std::path::Path;

use crate::common::{Done, firedrill, release_project};
use firedrill::ledger::{Entry, Hashes, Ledger, What};
use firedrill_core::action::{Action, ActionId, RestartMode, Target};
use firedrill_core::journal::{AlertStatus, Consent, Event, Input, Notification, ProposalChange, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::guard::stage::Stage;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = "undo-release";

/// A project whose policy is at a stage since so many days, and has a ledger that says so.
struct Project {
    folder: TempDir,
    hashes: Hashes,
}

fn ago(days: i64, minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(minutes)
}

fn target() -> Target {
    Target::Service(Name::new("checkout"))
}

impl Project {
    fn at(stage: Stage, days: i64) -> Self {
        let folder = release_project();
        let status = firedrill(folder.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
        let hashes = serde_json::from_value(status["policies"][0]["hashes"].clone()).unwrap();
        let own = Self { folder, hashes };
        let from = Stage::Draft;
        let (profile, hashes, evidence) = ("small".to_owned(), own.hashes.clone(), Value::Null);
        own.append(
            POLICY,
            "lead",
            ago(days, 0),
            vec![What::Promotion { from, to: stage, profile, hashes, evidence, weakened: Vec::new() }],
        );
        own
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn append(&self, chain: &str, by: &str, at: Timestamp, whats: Vec<What>) {
        let (mut ledger, _) = Ledger::open(&self.path().join("ledger"), &Name::new(chain)).unwrap();
        ledger.append(whats.into_iter().map(|what| Entry { at, by: by.to_owned(), what }).collect()).unwrap();
    }

    fn decided(&self, stage: Stage, incident: &str, at: Timestamp, event: &Event) {
        let event = serde_json::to_value(event).unwrap();
        let what = What::Decision { incident: incident.to_owned(), stage, hashes: self.hashes.clone(), event, is_backtest: false };
        self.append(POLICY, "watch", at, vec![what]);
    }

    /// An alert that the watcher was told of, and what the policy would have done: undo the release.
    fn would_act(&self, incident: &str, at: Timestamp) -> String {
        let labels = [("alertname", "ManyErrors"), ("service", "checkout")].map(|(name, value)| (Name::new(name), Name::new(value))).into();
        let starts_at = Time::ZERO;
        let told = Notification { alert: Name::new("ManyErrors"), status: AlertStatus::Firing, labels, starts_at, receiver: None };
        let resolved = Notification { status: AlertStatus::Resolved, ..told.clone() };
        for (notification, minutes) in [(told, 0), (resolved, 20)] {
            let input = serde_json::to_value(Input::Notified(notification)).unwrap();
            let what = What::Observation { incident: Some(incident.to_owned()), question: None, input };
            self.append("watch", "watch", at + SignedDuration::from_mins(minutes), vec![what]);
        }
        let (policy, incident_number, step, reason) = (Name::new(POLICY), 0, 0, String::new());
        let event = Event::WouldAct { policy, incident: incident_number, step, what: Action::Rollback, target: target(), reason };
        self.decided(Stage::DryRun, incident, at, &event);
        self.last()
    }

    fn acted(&self, stage: Stage, incident: &str, at: Timestamp, verdict: Verification) -> String {
        let (policy, number) = (Name::new(POLICY), 0);
        let action = ActionId { policy: policy.clone(), ordinal: 0 };
        let (step, what, reason) = (0, Action::Rollback, String::new());
        self.decided(
            stage,
            incident,
            at,
            &Event::Decided { policy: policy.clone(), incident: number, step, action, what, target: target(), reason },
        );
        let id = self.last();
        let (figures, took) = (String::new(), Span::ZERO);
        self.decided(stage, incident, at, &Event::Verified { policy, incident: number, step, verdict, figures, took });
        id
    }

    /// What people call the last entry.
    fn last(&self) -> String {
        let text = fs::read_to_string(self.path().join(format!("ledger/{POLICY}.jsonl"))).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        format!("{POLICY}#{}", last["n"])
    }

    fn label(&self, event: &str, says: &str, more: &[&str]) -> Done {
        firedrill(self.path(), &[&["label", event, says, "--by", "ada"], more].concat())
    }

    /// Five decisions over two weeks, all looked at.
    fn with_five(self) -> Self {
        for index in 0..5 {
            let id = self.would_act(&format!("i{index}"), ago(15 - index, 1));
            self.label(&id, "right", &[]).exits(0);
        }
        self
    }

    fn promote(&self, by: &str) -> Done {
        firedrill(self.path(), &["promote", POLICY, "--by", by])
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn stage(&self) -> String {
        let status = firedrill(self.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
        status["policies"][0]["stage"].as_str().unwrap().to_owned()
    }
}

/// The lines that say what is missing.
fn missing(done: &Done) -> Vec<String> {
    done.stdout.lines().filter_map(|line| line.trim().strip_prefix("✗ ").map(str::to_owned)).collect()
}

#[test]
fn a_draft_becomes_a_dry_run_when_check_gate_and_incidents_hold() {
    let folder = release_project();
    let done = firedrill(folder.path(), &["promote", POLICY, "--by", "ada"]).exits(0);
    assert!(done.stdout.starts_with("undo-release is promoted from draft to dry-run (profile small)\n"), "{}", done.stdout);
    assert!(missing(&done).is_empty());
    let status = firedrill(folder.path(), &["status"]).exits(0).stdout;
    assert!(status.starts_with("undo-release: dry-run since "), "{status}");
    assert!(status.contains("✗ events: 0 of 5 would-act events"), "{status}");
    firedrill(folder.path(), &["audit"]).exits(0);
    // One stage at a time, and none twice.
    for (to, told) in [("dry-run", "is at the stage dry-run already"), ("approval", "stages are entered one at a time")] {
        firedrill(folder.path(), &["promote", POLICY, "--to", to, "--by", "ada"]).exits(2).says(told);
    }
}

#[test]
fn a_policy_that_the_gate_stops_stays_a_draft() {
    let folder = release_project();
    let harmful = fs::read_to_string(folder.path().join("candidates/harmful.yaml")).unwrap();
    let name = harmful.lines().find_map(|line| line.strip_prefix("policy: ")).unwrap().to_owned();
    fs::write(folder.path().join("policies/undo-release.yaml"), harmful).unwrap();
    let done = firedrill(folder.path(), &["promote", &name, "--by", "ada"]).exits(1);
    let missing = missing(&done);
    assert!(missing.len() == 1 && missing[0].starts_with("gate: broken"), "{}", done.stdout);
    assert!(!folder.path().join(format!("ledger/{name}.jsonl")).exists(), "nothing was promoted");
}

#[test]
fn a_failing_incident_is_named_and_a_new_one_that_passes_costs_nothing() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let record = |scenario: &str, name: &str, expect: &str| {
        let folder = format!("incidents/{name}");
        firedrill(project.path(), &["run", scenario, "--project", "--record", &folder]).exits(0);
        let path = project.path().join(&folder).join("incident.yaml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}\n{expect}")).unwrap();
    };
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\nincidents: [incidents]");
    record("bad-release", "wrong", "expect:\n  must_not:\n    - { action: rollback }\n");
    let done = project.promote("ben").exits(1);
    let missing = missing(&done);
    assert!(missing.iter().any(|line| line.starts_with("incidents: 1 of 1 recorded incident fail")), "{}", done.stdout);
    assert!(done.stdout.contains("firedrill replay incidents/wrong"), "{}", done.stdout);
    fs::remove_dir_all(project.path().join("incidents/wrong")).unwrap();
    record("bad-release", "right", "expect:\n  may:\n    - { action: rollback }\n");
    project.promote("ben").exits(0).says("promoted from dry-run to shadow");
}

#[test]
fn too_few_events_and_too_few_days_are_named_with_the_way_to_them() {
    let project = Project::at(Stage::DryRun, 3);
    let id = project.would_act("i0", ago(2, 0));
    project.label(&id, "right", &[]).exits(0);
    let done = project.promote("ben").exits(1);
    // As the documentation shows it, up to what the gate says, which is about the scenarios.
    let told = done.stdout.lines().take_while(|line| !line.contains(" gate: ")).map(|line| format!("{line}\n")).collect::<String>();
    let page = fs::read_to_string(crate::common::root().join("docs/promotion.md")).unwrap();
    assert!(page.contains(&told), "docs/promotion.md does not show what a refusal says:\n{told}");
    assert!(done.stdout.contains("  ✓ gate: held") && done.stdout.contains("  ✓ incidents: 0 recorded incidents"), "{}", done.stdout);
    assert_eq!(project.stage(), "dry-run");
}

#[test]
fn an_event_without_a_label_is_named_and_counts_as_wrong_after_two_weeks() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let young = project.would_act("young", ago(1, 0));
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, [format!("labels: 1 event without a label: {young}")]);
    project.label(&young, "redundant", &[]).exits(0);
    let old = project.would_act("old", ago(15, 30));
    let done = project.promote("ben").exits(1);
    assert!(
        done.stdout.contains(&format!("1 event without a label: {old}; 1 for more than 14 days, which count as wrong")),
        "{}",
        done.stdout
    );
    let missed = missing(&done);
    assert!(missed.len() == 1 && missed[0].starts_with("wrong: 1 wrong of 7: could still be"), "{missed:?}");
    assert!(done.stdout.contains(&format!("say what {old} was: `firedrill label {old} right --by NAME`")), "{}", done.stdout);
    project.label(&old, "right", &["--cause", "a bad release"]).exits(0);
    project.promote("ben").exits(0);
}

#[test]
fn a_wrong_event_is_in_the_way_and_the_bound_is_told() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let id = project.would_act("w", ago(2, 0));
    project.label(&id, "wrong", &[]).exits(0);
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, ["wrong: 1 wrong of 6: could still be 58 %"]);
    project.label(&id, "right", &[]).exits(0);
    let done = project.promote("ben").exits(0);
    assert!(done.stdout.contains("✓ wrong: 0 wrong of 6: could still be 39 %"), "{}", done.stdout);
}

#[test]
fn a_changed_comment_owner_or_place_costs_nothing() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("policies/undo-release.yaml", "schema: policy/1", "# Something new to read.\nschema: policy/1");
    project.edit("policies/undo-release.yaml", "owner: team-checkout", "owner: team-shop");
    project.edit("policies/undo-release.yaml", "Undo a release that", "Undo the release that");
    project.edit("rules/errors.yaml", "groups:", "# A comment.\ngroups:");
    let done = project.promote("ben").exits(0);
    assert!(!done.stdout.contains("no evidence any more"), "{}", done.stdout);
}

#[test]
fn what_another_version_decides_the_same_is_evidence_still() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 11m");
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    let events = status["policies"][0]["evidence"]["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| event["is_decided_again"] == true), "{events:?}");
    project.promote("ben").exits(0);
}

#[test]
fn a_new_version_of_firedrill_costs_no_evidence() {
    // Another engine may lower the same file to something else, and so have another hash of it.
    let mut project = Project::at(Stage::DryRun, 16);
    project.hashes.policy = "0".repeat(64);
    project.with_five().promote("ben").exits(0).says("promoted from dry-run to shadow");
}

#[test]
fn stale_evidence_is_dropped_by_name() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("policies/undo-release.yaml", "  - rollback: {}", "  - restart: { mode: rolling }");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(status.contains("✗ events: 0 of 5 would-act events"), "{status}");
    let told = "undo-release#2: its policy has changed since; this version would restart (rolling) service/checkout, and that one rollback service/checkout";
    assert!(status.contains(told), "{status}");
    let done = project.promote("ben").exits(1);
    assert!(done.stdout.contains("5 events no evidence any more"), "{}", done.stdout);
}

#[test]
fn evidence_under_other_rules_is_dropped_by_name() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let rules = fs::read_to_string(project.path().join("rules/errors.yaml")).unwrap();
    let hold = rules.lines().find(|line| line.trim().starts_with("for:")).unwrap().trim().to_owned();
    project.edit("rules/errors.yaml", &hold, "for: 31s");
    let done = project.promote("ben").exits(1);
    assert!(done.stdout.contains("undo-release#2: the rules that it rests on have changed since"), "{}", done.stdout);
    assert!(missing(&done).iter().any(|line| line.starts_with("events: 0 of 5")), "{}", done.stdout);
}

/// A project at the stage approval with five runs, one of them of a drill.
fn with_runs() -> Project {
    let project = Project::at(Stage::Approval, 9);
    for index in 0..5 {
        let id = project.acted(Stage::Approval, &format!("i{index}"), ago(8 - index, 0), Verification::Held);
        let drill: &[&str] = if index == 0 { &["--drill", "deploy"] } else { &[] };
        project.label(&id, "right", drill).exits(0);
    }
    project
}

#[test]
fn who_wrote_a_policy_does_not_promote_it_to_act_by_itself() {
    let project = with_runs();
    project.edit("policies/undo-release.yaml", "owner: team-checkout", "owner: team-checkout\nauthor: ben");
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, ["author: ben wrote it, and ben promotes"]);
    project.promote("cleo").exits(0).says("for its first 5 actions or 7 days it is on trial");
    assert_eq!(project.stage(), "limited");
    assert!(firedrill(project.path(), &["status"]).exits(0).stdout.contains("on trial for 5 actions more, or 6 days"));
}

#[test]
fn without_an_author_nobody_of_its_team_promotes_it_either() {
    let project = with_runs();
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, ben: { teams: [team-checkout] }, cleo: {} }");
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, ["author: it names no author, and belongs to team-checkout, and ben promotes"]);
    project.promote("dora").exits(2).says("`people:` of firedrill.yaml has no `dora`");
    project.promote("cleo").exits(0);
}

#[test]
fn a_drill_counts_once_for_each_fault_and_target() {
    let project = Project::at(Stage::Approval, 9);
    for index in 0..5 {
        let id = project.acted(Stage::Approval, &format!("i{index}"), ago(8 - index, 0), Verification::Held);
        project.label(&id, "right", &["--drill", "deploy"]).exits(0);
    }
    let done = project.promote("cleo").exits(1);
    assert_eq!(missing(&done), ["events: 1 of 5 runs"]);
    assert!(done.stdout.contains("a drill of deploy in service/checkout counts once"), "{}", done.stdout);
}

#[test]
fn harm_takes_a_policy_back_at_once() {
    let project = Project::at(Stage::Guarded, 30);
    let id = project.acted(Stage::Guarded, "i0", ago(1, 0), Verification::Held);
    project.label(&id, "harmful", &[]).exits(0).says("undo-release is demoted from guarded to dry-run: it did harm");
    assert_eq!(project.stage(), "dry-run");
    let explained = firedrill(project.path(), &["audit", POLICY, "--explain", "5"]).exits(0).stdout;
    assert!(explained.contains("demoted from guarded to dry-run by itself: it did harm (entry 4)"), "{explained}");
}

#[test]
fn three_failed_verifications_of_twenty_take_it_back_a_stage_and_one_is_enough_on_trial() {
    let project = Project::at(Stage::Guarded, 30);
    for index in 0..3 {
        assert_eq!(project.stage(), "guarded");
        let id = project.acted(Stage::Guarded, &format!("i{index}"), ago(3, index), Verification::Failed);
        project.label(&id, "right", &[]).exits(0);
    }
    assert_eq!(project.stage(), "limited");
    let project = Project::at(Stage::Guarded, 3);
    let id = project.acted(Stage::Guarded, "i0", ago(1, 0), Verification::Failed);
    project.label(&id, "right", &[]).exits(0).says("a verification failed while it was on trial");
    assert_eq!(project.stage(), "limited");
}

#[test]
fn people_take_a_policy_back_for_any_reason_and_only_back() {
    let project = Project::at(Stage::Limited, 3);
    let demote = |to: &str| firedrill(project.path(), &["demote", POLICY, "--to", to, "--because", "we move", "--by", "ada"]);
    demote("guarded").exits(2).says("is at the stage limited, and guarded is no lower one");
    demote("shadow").exits(0).says("undo-release is demoted from limited to shadow: we move");
    assert_eq!(project.stage(), "shadow");
}

#[test]
fn people_answer_what_a_policy_proposes_and_nobody_their_own() {
    let project = Project::at(Stage::Approval, 3);
    let (policy, what, reason) = (Name::new(POLICY), Action::Restart { mode: RestartMode::Rolling }, String::new());
    let consent = Consent { from: Vec::new(), quorum: 1, until: None, policy_hash: String::new(), evidence_hash: String::new() };
    let (incident, step, proposal, approve) = (0, 0, 3, String::new());
    let proposed = Event::Proposed {
        policy: policy.clone(),
        incident,
        step,
        proposal,
        what,
        target: target(),
        reason,
        approve,
        consent: Some(consent),
    };
    project.decided(Stage::Approval, "i0", ago(1, 0), &proposed);
    let approve = |by: &str| firedrill(project.path(), &["approve", "undo-release#3", "--role", "oncall", "--by", by]);
    approve("team-checkout").exits(2).says("nobody approves their own");
    approve("ada").exits(0).says("ada says yes to undo-release#3, as oncall");
    firedrill(project.path(), &["approve", "undo-release#4", "--by", "ada"]).exits(2).says("nobody waits for a yes");
    let (change, figures, waited) = (ProposalChange::Granted, String::new(), Span::ZERO);
    project.decided(Stage::Approval, "i0", ago(1, 1), &Event::ProposalChanged { policy, incident, proposal, change, figures, waited });
    approve("ada").exits(2).says("or it is answered");
}

#[test]
fn asking_for_less_is_said_loudly_and_stands_in_the_ledger() {
    let project = Project::at(Stage::DryRun, 3);
    let id = project.would_act("i0", ago(2, 0));
    project.label(&id, "right", &[]).exits(0);
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npromotion: { dry-run: { live: 1d, events: 1 } }");
    let done = project.promote("ben").exits(0);
    let told = "dry-run: events 1 instead of 5 of the profile small";
    assert!(done.stderr.contains(&format!("warning: less is asked for than usual: {told}")), "{}", done.stderr);
    let shown = firedrill(project.path(), &["audit", POLICY, "--explain", "4"]).exits(0).stdout;
    assert!(shown.contains(told), "{shown}");
}

#[test]
fn shadow_asks_for_comparisons_and_none_that_is_wrong() {
    let project = Project::at(Stage::Shadow, 3);
    let compared = |incident: &str, wrong: bool| {
        let (hashes, detail) = (project.hashes.clone(), String::new());
        let what = What::Compared { incident: incident.to_owned(), agrees: !wrong, wrong, hashes, detection_ratio: Some(1.5), detail };
        project.append(POLICY, "watch", ago(2, 0), vec![what]);
    };
    (0..4).for_each(|index| compared(&format!("i{index}"), false));
    compared("i4", true);
    assert_eq!(missing(&project.promote("ben").exits(1)), ["wrong: 1 wrong of 5: could still be 66 %"]);
    compared("i4", false);
    project.promote("ben").exits(0).says("promoted from shadow to approval");
}

#[test]
fn a_ledger_that_is_not_sound_is_no_evidence() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit(&format!("ledger/{POLICY}.jsonl"), "right", "wrong");
    let done = project.promote("ben").exits(2);
    assert!(done.stderr.contains("FD0800") && done.stderr.contains("was altered after it was written"), "{}", done.stderr);
}

#[test]
fn a_key_of_somebody_else_signs_nothing() {
    let project = Project::at(Stage::DryRun, 3);
    let id = project.would_act("i0", ago(2, 0));
    let key = crate::common::root().join("src/ledger/test-key.pem").display().to_string();
    project.label(&id, "right", &["--key", &key]).exits(0);
    let audit = firedrill(project.path(), &["audit", POLICY]).exits(0).stdout;
    assert!(audit.contains("1 entry signed by ed25519:"), "{audit}");
    let other = format!("ed25519:{}", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    project.edit("firedrill.yaml", "pairs: 2", &format!("pairs: 2\npeople: {{ ada: {{ key: '{other}' }} }}"));
    project.label(&id, "right", &["--key", &key]).exits(2).says("is not the key that `people:` of firedrill.yaml gives `ada`");
    project.label(&id, "right", &["--key", "firedrill.yaml"]).exits(2).says("FD0822");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(status.contains("1 event in the name of people who have a key, and not signed by it"), "{status}");
}

/// An hour of a service that fails for ten minutes of it, as a Prometheus has it; its alert as somebody's ruler said it, from this second on.
fn history(folder: &Path, name: &str, alert_from: u64) {
    const START: u64 = 1_767_600_000;
    let (mut total, mut errors) = (String::new(), String::new());
    let mut alerts = String::new();
    let (mut good, mut bad) = (0, 0);
    for second in (0..=3600).step_by(15) {
        let is_bad = (1200..1800).contains(&second);
        (good, bad) = if is_bad { (good, bad + 150) } else { (good + 150, bad) };
        total += &format!("http_requests_total{{service=\"checkout\",code=\"200\"}} {good} {}\n", START + second);
        errors += &format!("http_requests_total{{service=\"checkout\",code=\"500\"}} {bad} {}\n", START + second);
        if (alert_from..1860).contains(&second) {
            let labels = "alertname=\"ManyErrors\",alertstate=\"firing\",service=\"checkout\",severity=\"critical\",cluster=\"eu\"";
            alerts += &format!("ALERTS{{{labels}}} 1 {}\n", START + second);
        }
    }
    let metrics = format!("# TYPE http_requests counter\n{total}{errors}# TYPE ALERTS gauge\n{alerts}# EOF\n");
    crate::common::write(folder, &format!("{name}/metrics.txt"), &metrics);
    let incident = format!(
        "schema: incident/1\nincident: {name}\nwhat: It failed.\ncause: unknown\nonset: 2026-01-05T08:20:00Z\ntarget: service/checkout\nrecording: {{ openmetrics: metrics.txt }}\n"
    );
    crate::common::write(folder, &format!("{name}/incident.yaml"), &incident);
}

#[test]
fn recorded_history_counts_if_its_alerts_are_reproduced() {
    let project = Project::at(Stage::DryRun, 3);
    history(project.path(), "told", 1245);
    history(project.path(), "untold", 1500);
    let replay = |incident: &str| firedrill(project.path(), &["replay", incident, "--policy", POLICY, "--backtest", "--by", "ada"]);
    let done = replay("told").exits(0);
    assert!(
        done.stderr.contains("backtest of undo-release: 1 of 1 recorded firing reproduced; 1 event to label; it counts"),
        "{}",
        done.stderr
    );
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    let evidence = &status["policies"][0]["evidence"];
    assert_eq!(evidence["backtest"], 3_600_000_000_000_u64);
    assert_eq!(
        (&evidence["events"][0]["is_backtest"], &evidence["events"][0]["what"]),
        (&true.into(), &"rollback service/checkout".into())
    );
    replay("told").exits(2).says("is in the ledger of undo-release already");
    let project = Project::at(Stage::DryRun, 3);
    history(project.path(), "untold", 1500);
    let done = firedrill(project.path(), &["replay", "untold", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(0);
    assert!(done.stderr.contains("0 of 1 recorded firing reproduced") && done.stderr.contains("it does not count"), "{}", done.stderr);
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(
        status.contains("a backtest does not count: ") && status.contains("0 of 1 recorded firings are reproduced, and 95 % must be"),
        "{status}"
    );
}

#[test]
fn a_simulated_run_is_no_history() {
    let project = Project::at(Stage::DryRun, 3);
    firedrill(project.path(), &["run", "bad-release", "--project", "--record", "simulated"]).exits(0);
    let done = firedrill(project.path(), &["replay", "simulated", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(2);
    assert!(done.stderr.contains("is a recording of a simulation, and no history"), "{}", done.stderr);
}

/// The predicate and the statement as in-toto publishes them: spec/v1/statement.md, spec/v1/resource_descriptor.md, spec/predicates/test-result.md.
const IN_TOTO: &str = include_str!("../schemas/in-toto-test-result.schema.json");

#[test]
fn evidence_is_exported_as_an_in_toto_statement() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let schema: Value = serde_json::from_str(IN_TOTO).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let export = |code: i32| -> Value {
        firedrill(project.path(), &["promote", POLICY, "--by", "ben", "--statement", "out/evidence.json"]).exits(code);
        serde_json::from_str(&fs::read_to_string(project.path().join("out/evidence.json")).unwrap()).unwrap()
    };
    let id = project.would_act("i9", ago(1, 0));
    let failed = export(1);
    assert_eq!((&failed["predicate"]["result"], &failed["predicate"]["failedTests"][0]), (&"FAILED".into(), &"labels".into()));
    project.label(&id, "right", &[]).exits(0);
    let passed = export(0);
    assert_eq!(passed["predicate"]["result"], "PASSED");
    assert_eq!(passed["subject"][0]["digest"]["blake3"], project.hashes.policy);
    for statement in [&failed, &passed] {
        let wrong: Vec<String> = validator.iter_errors(statement).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{statement:#}");
    }
    let mut spoilt = passed.clone();
    spoilt["predicate"]["result"] = "GOOD".into();
    assert!(!validator.is_valid(&spoilt), "the schema can say no");
}

#[test]
fn labels_are_for_decisions_that_are_there() {
    let project = Project::at(Stage::DryRun, 3);
    project.label("undo-release#1", "right", &[]).exits(2).says("`undo-release#1` is no decision to act");
    project.label("undo-release#9", "right", &[]).exits(2).says("the ledger has no `undo-release#9`");
    project.label("nonsense", "right", &[]).exits(2).says("neither POLICY#NUMBER nor the hash of one entry");
    let id = project.would_act("i0", ago(1, 0));
    // What was seen live is written by the watcher alone.
    firedrill(project.path(), &["label", &id, "right", "--by", "watch"]).exits(2).says("`watch` is nobody");
}
