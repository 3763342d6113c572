//! What may be promoted: on evidence that is there, is of this policy, was looked at by people, and was not brought by who wrote it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Done, firedrill, release_project};
use firedrill::home::Home;
use firedrill::ledger::{Bound, Entry, Ledger, Recorded, What};
use firedrill::sources;
use firedrill::watch::{Clock, Inbox, Keeper, KeeperSetup, Message, Patience};
use firedrill_core::action::{Action, ActionId, RestartMode, Target};
use firedrill_core::journal::{AlertStatus, Consent, Event, Notification, ProposalChange, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start};
use firedrill_policies::guard::stage::Stage;
use firedrill_policies::policy::Policy;
use firedrill_policies::watcher::{Alerted, Want};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Sample, Value as Answer};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

pub const POLICY: &str = "undo-release";

/// A project whose policy is at a stage since so many days, and has a ledger that says so.
pub struct Project {
    folder: TempDir,
    pub bound: Bound,
}

/// Some days before now, and so many minutes after that.
pub fn ago(days: i64, minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(minutes)
}

fn target() -> Target {
    Target::Service(Name::new("checkout"))
}

/// A clock that a test sets.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn calendar(&self) -> i64 {
        i64::try_from(self.0.lock().unwrap().as_nanosecond()).unwrap()
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_nanos(self.calendar().unsigned_abs())
    }
}

/// A stretch of time in which a watcher watches the project's policy at a stage.
pub struct Session<'o> {
    pub stage: Stage,
    pub from: Timestamp,
    pub until: Timestamp,
    /// How long an alert is on.
    pub lasts: SignedDuration,
    /// What an expression yields, if anybody asks; an error: Prometheus does not answer.
    pub oracle: &'o dyn Fn(&str) -> Result<f64, String>,
}

impl Project {
    pub fn at(stage: Stage, days: i64) -> Self {
        Self::of(release_project(), stage, days)
    }

    /// The same in a folder that something was done to.
    pub fn of(folder: TempDir, stage: Stage, days: i64) -> Self {
        let mut own = Self { folder, bound: Bound::default() };
        own.bound = own.read().1;
        // Stages are entered one at a time.
        let steps = Stage::WORDS.windows(2).map(|pair| (pair[0].1, pair[1].1)).take_while(|(_, to)| *to <= stage);
        let promotion = |(from, to)| {
            let (profile, hashes, evidence) = ("small".to_owned(), own.bound.hashes.clone(), Value::Null);
            What::Promotion { from, to, profile, hashes, evidence, weakened: Vec::new() }
        };
        own.append(POLICY, "lead", ago(days, 0), steps.map(promotion).collect());
        own
    }

    /// The same after something was changed, and the watcher was started again.
    pub fn bound_anew(self) -> Self {
        Self { bound: self.read().1, ..self }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The policy as it stands there now, and what it is bound to.
    pub fn read(&self) -> (Arc<Policy>, Bound) {
        let home = Home::at(&self.path().display().to_string()).unwrap();
        let rules = sources::rules(&["rules"], self.path()).unwrap();
        let policy = Arc::clone(home.policies().unwrap().policies.iter().find(|policy| *policy.name == *POLICY).unwrap());
        let bound = Bound::of(&policy, &rules.set);
        (policy, bound)
    }

    pub fn append(&self, chain: &str, by: &str, at: Timestamp, whats: Vec<What>) {
        let (mut ledger, _) = Ledger::open(&self.path().join("ledger"), &Name::new(chain)).unwrap();
        ledger.append(whats.into_iter().map(|what| Entry { at, by: by.to_owned(), what }).collect()).unwrap();
    }

    fn decided(&self, stage: Stage, incident: &str, at: Timestamp, event: &Event) {
        let (event, hashes) = (serde_json::to_value(event).unwrap(), self.bound.hashes.clone());
        let what = What::Decision { incident: incident.to_owned(), stage, hashes, event, is_backtest: false };
        self.append(POLICY, "watch", at, vec![what]);
    }

    /// Lets the real watcher hear an alert at each of these times; gives what the policy would have done, as people call it.
    pub fn watch(&self, session: &Session<'_>, alerts: &[Timestamp]) -> Vec<String> {
        let before = self.would_acts();
        let clock = Arc::new(Hands(Mutex::new(session.from)));
        let policies = vec![(self.read().0, session.stage, self.bound.clone())];
        let setup = KeeperSetup {
            folder: self.path().join("ledger"),
            policies,
            inventory: Arc::default(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::default(),
            promotions: Default::default(),
        };
        let (mut keeper, _) = Keeper::open(setup).unwrap();
        let over = |at: &Timestamp| *at + session.lasts;
        let mut told: Vec<(Timestamp, Timestamp, bool)> =
            alerts.iter().flat_map(|at| [(*at, *at, true), (over(at), *at, false)]).filter(|(at, ..)| *at < session.until).collect();
        told.sort_unstable();
        for (at, began, is_on) in told {
            let alert = alerted(keeper.watcher().start(), began, (!is_on).then_some(at));
            round(&mut keeper, (&clock, at), vec![alert], session.oracle);
        }
        round(&mut keeper, (&clock, session.until), Vec::new(), session.oracle);
        // It is stopped as people stop it, and says until when it has watched.
        let inbox = Inbox::new(1, 1);
        inbox.stop();
        keeper.run(&inbox, &Patience::new(Duration::from_secs(1))).unwrap();
        self.would_acts().into_iter().filter(|id| !before.contains(id)).collect()
    }

    /// What the chain has of what the policy would have done.
    fn would_acts(&self) -> Vec<String> {
        let chain = Ledger::read(&self.path().join("ledger"), &Name::new(POLICY)).unwrap().sound().unwrap();
        let is_act = |own: &&Recorded| matches!(&own.entry.what, What::Decision { event, .. } if event.get("would_act").is_some());
        chain.entries.iter().filter(is_act).map(|own| format!("{POLICY}#{}", own.number)).collect()
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

    /// The hash of an entry of the policy's chain.
    fn hash_of(&self, number: u64) -> String {
        let chain = Ledger::read(&self.path().join("ledger"), &Name::new(POLICY)).unwrap();
        chain.entries.iter().find(|own| own.number == number).unwrap().hash.clone()
    }

    /// What people call the last entry.
    fn last(&self) -> String {
        let text = fs::read_to_string(self.path().join(format!("ledger/{POLICY}.jsonl"))).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        format!("{POLICY}#{}", last["n"])
    }

    pub fn label(&self, event: &str, says: &str, more: &[&str]) -> Done {
        firedrill(self.path(), &[&["label", event, says, "--by", "ada"], more].concat())
    }

    /// Watched from its promotion 16 days ago until yesterday: an alert on each of these days.
    fn on_days(&self, days: &[i64]) -> Vec<String> {
        let alerts: Vec<Timestamp> = days.iter().map(|days| ago(*days, 1)).collect();
        self.watch(&quiet(Stage::DryRun, ago(16, 1), ago(1, 0)), &alerts)
    }

    /// Five decisions over two weeks, all looked at.
    pub fn with_five(self) -> Self {
        for id in self.on_days(&[15, 14, 13, 12, 11]) {
            self.label(&id, "right", &[]).exits(0);
        }
        self
    }

    /// One more, an hour ago.
    pub fn one_more(&self) -> String {
        self.watch(&quiet(Stage::DryRun, ago(0, -90), ago(0, -1)), &[ago(0, -60)]).remove(0)
    }

    /// One decision, after which it was watched for two days.
    pub fn with_one(&self) -> String {
        self.watch(&quiet(Stage::DryRun, ago(2, -1), ago(0, 0)), &[ago(2, 0)]).remove(0)
    }

    pub fn promote(&self, by: &str) -> Done {
        firedrill(self.path(), &["promote", POLICY, "--by", by])
    }

    pub fn edit(&self, file: &str, from: &str, to: &str) {
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

/// A session in which Prometheus has no answers.
pub fn quiet(stage: Stage, from: Timestamp, until: Timestamp) -> Session<'static> {
    Session { stage, from, until, lasts: SignedDuration::from_mins(20), oracle: &|_| Err("nobody asked".to_owned()) }
}

fn alerted(start: Start, began: Timestamp, ended: Option<Timestamp>) -> Alerted {
    let labels = [("alertname", "ManyErrors"), ("service", "checkout"), ("severity", "critical")];
    let labels = labels.map(|(name, value)| (Name::new(name), Name::new(value))).into();
    let time = |at: Timestamp| start.time_of(at.as_millisecond()).unwrap();
    let status = if ended.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
    let notification = Notification { alert: Name::new("ManyErrors"), status, labels, starts_at: time(began), receiver: None };
    Alerted { notification, ends_at: ended.map(time), group: None }
}

/// One message at a time, after all that came due before it; what is asked is answered at once.
fn round(keeper: &mut Keeper, (clock, at): (&Hands, Timestamp), alerts: Vec<Alerted>, oracle: &dyn Fn(&str) -> Result<f64, String>) {
    let start = keeper.watcher().start();
    let due = |keeper: &Keeper| {
        let due = keeper.watcher().due().map(|due| Timestamp::from_millisecond(start.prometheus_millis(due) + 1).unwrap());
        due.filter(|due| *due < at)
    };
    let mut times: Vec<(Timestamp, Vec<Alerted>)> = vec![(at, alerts)];
    // A watcher looks around all the time, and where it is quiet it gives a sign of life every hour.
    let sign = || Some(*clock.0.lock().unwrap() + SignedDuration::from_mins(4)).filter(|sign| *sign < at);
    while let Some((now, alerts)) = due(keeper).into_iter().chain(sign()).min().map(|now| (now, Vec::new())).or_else(|| times.pop()) {
        let last = *clock.0.lock().unwrap();
        *clock.0.lock().unwrap() = now.max(last);
        let (reply, _taken) = tokio::sync::oneshot::channel();
        let message = (!alerts.is_empty()).then_some(Message::Webhook { alerts, bytes: 0, reply });
        let (mut at, mut wants) = keeper.round(message.into_iter().collect()).unwrap();
        while !wants.is_empty() {
            let mut ask =
                |expression: &str, _| oracle(expression).map(|value| Answer::Vector(vec![Sample { labels: Labels::empty(), value }]));
            let answer = |want: &Want| {
                let input = want.answer(at, &mut ask);
                Message::Answer { policy: want.policy.name.clone(), input, is_known: true }
            };
            let answers = wants.iter().map(answer).collect();
            (at, wants) = keeper.round(answers).unwrap();
        }
    }
}

/// The lines that say what is missing.
pub fn missing(done: &Done) -> Vec<String> {
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
    // What it was judged by stands there, once, and nothing was promoted.
    firedrill(folder.path(), &["promote", &name, "--by", "ada"]).exits(1);
    let told = firedrill(folder.path(), &["audit", &name, "--explain", "1"]).exits(0).stdout;
    assert!(told.contains("not promoted to dry-run: gate: broken"), "{told}");
    firedrill(folder.path(), &["audit", &name, "--explain", "2"]).exits(2);
    assert!(firedrill(folder.path(), &["status"]).exits(0).stdout.starts_with(&format!("{name}: draft\n")));
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
    // Whoever takes away, or changes, what refused is seen, whoever is there to say so.
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, lead: {} }");
    let done = project.promote("lead").exits(0).says("promoted from dry-run to shadow");
    let told =
        done.stderr.lines().find(|line| line.starts_with("warning: less is asked for than usual: by the judge, since it was refused"));
    assert!(
        told.is_some_and(|told| told.contains("for shadow (") && told.ends_with("): `expect` of incident bad-release-seed-1 was changed")),
        "{}",
        done.stderr
    );
}

#[test]
fn too_few_events_and_too_few_days_are_named_with_the_way_to_them() {
    let project = Project::at(Stage::DryRun, 3);
    let id = project.with_one();
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
    let young = project.one_more();
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, [format!("labels: 1 event without a label: {young}")]);
    project.label(&young, "redundant", &[]).exits(0);
    project.promote("ben").exits(0);
    // The first of these is longer ago than two weeks.
    let project = Project::at(Stage::DryRun, 16);
    let all = project.on_days(&[15, 13, 12, 11, 10, 9]);
    all[1..].iter().for_each(|id| drop(project.label(id, "right", &[]).exits(0)));
    let old = all[0].clone();
    let done = project.promote("ben").exits(1);
    assert!(
        done.stdout.contains(&format!("1 event without a label: {old}; 1 for more than 14 days, which count as wrong")),
        "{}",
        done.stdout
    );
    let missed = missing(&done);
    assert!(missed.len() == 1 && missed[0].starts_with("wrong: 1 wrong of 6: could still be"), "{missed:?}");
    assert!(done.stdout.contains(&format!("say what {old} was: `firedrill label {old} right --by NAME`")), "{}", done.stdout);
    project.label(&old, "right", &["--cause", "a bad release"]).exits(0);
    project.promote("ben").exits(0);
}

#[test]
fn a_wrong_event_is_in_the_way_and_the_bound_is_told() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let id = project.one_more();
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
    project.bound.hashes.policy = "0".repeat(64);
    project.with_five().promote("ben").exits(0).says("promoted from dry-run to shadow");
}

#[test]
fn stale_evidence_is_dropped_by_name() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("policies/undo-release.yaml", "  - rollback: {}", "  - restart: { mode: rolling }");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(status.contains("✗ events: 0 of 5 would-act events"), "{status}");
    let told =
        "its policy has changed since; this version would restart (rolling) service/checkout, and that one rollback service/checkout";
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
    let told =
        "the rules that it rests on have changed since; what ManyErrors would have been by other rules cannot be told from what was heard";
    assert!(done.stdout.contains(told), "{}", done.stdout);
    assert!(missing(&done).iter().any(|line| line.starts_with("events: 0 of 5")), "{}", done.stdout);
}

/// A project at the stage approval with five runs, one of them of a drill.
pub fn with_runs() -> Project {
    with_runs_of(Project::at(Stage::Approval, 9))
}

fn with_runs_of(project: Project) -> Project {
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
    assert!(firedrill(project.path(), &["status"]).exits(0).stdout.contains("on trial for 5 actions more, or 7 days"));
}

#[test]
fn without_an_author_nobody_of_its_team_promotes_it_either() {
    let project = with_runs();
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, ben: { teams: [team-checkout] }, cleo: {}, lead: {} }");
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
    let explained = firedrill(project.path(), &["audit", POLICY, "--explain", "9"]).exits(0).stdout;
    assert!(explained.contains("demoted from guarded to dry-run by itself: it did harm (entry 8)"), "{explained}");
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
    let id = project.with_one();
    project.label(&id, "right", &[]).exits(0);
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npromotion: { dry-run: { live: 1d, events: 1 } }");
    let done = project.promote("ben").exits(0);
    let told = "dry-run: events 1 instead of 5 of the profile small";
    assert!(done.stderr.contains(&format!("warning: less is asked for than usual: {told}")), "{}", done.stderr);
    let promotion = project.last();
    let number = promotion.rsplit_once('#').unwrap().1;
    let shown = firedrill(project.path(), &["audit", POLICY, "--explain", number]).exits(0).stdout;
    assert!(shown.contains(told), "{shown}");
}

#[test]
fn shadow_asks_for_comparisons_and_none_that_is_wrong() {
    let project = Project::at(Stage::Shadow, 9);
    let alerts: Vec<Timestamp> = (2..7).rev().map(|days| ago(days, 0)).collect();
    project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &alerts);
    let compared = |incident: usize, wrong: bool| {
        let (hashes, detail, incident) = (project.bound.hashes.clone(), String::new(), format!("{POLICY}#{incident}"));
        let what = What::Compared { incident, agrees: !wrong, wrong, hashes, detection_ratio: Some(1.5), detail };
        project.append(POLICY, "bob", ago(0, -5), vec![what]);
    };
    (0..4).for_each(|index| compared(index, false));
    compared(4, true);
    let label = |id: String| project.label(&id, "right", &[]).exits(0);
    project.would_acts().into_iter().for_each(|id| drop(label(id)));
    assert_eq!(missing(&project.promote("ben").exits(1)), ["wrong: 1 wrong of 5: could still be 66 %"]);
    compared(4, false);
    project.promote("ben").exits(0).says("promoted from shadow to approval");
}

#[test]
fn an_event_that_nobody_labels_is_wrong_in_shadow_too() {
    let project = Project::at(Stage::Shadow, 30);
    let alerts: Vec<Timestamp> = [28, 27, 26, 25, 24, 3].map(|days| ago(days, 0)).into();
    project.watch(&quiet(Stage::Shadow, ago(29, 0), ago(1, 0)), &alerts);
    for incident in 0..5 {
        let (hashes, detail, incident) = (project.bound.hashes.clone(), String::new(), format!("{POLICY}#{incident}"));
        let what = What::Compared { incident, agrees: true, wrong: false, hashes, detection_ratio: None, detail };
        project.append(POLICY, "bob", ago(0, -5), vec![what]);
    }
    let acts = project.would_acts();
    acts[1..].iter().for_each(|id| drop(project.label(id, "right", &[]).exits(0)));
    let missed = missing(&project.promote("ben").exits(1));
    assert_eq!(missed, ["wrong: 1 wrong of 5: could still be 66 %"]);
    project.label(&acts[0], "wrong", &[]).exits(0);
    // One that was never compared, and is wrong all the same.
    assert_eq!(project.stage(), "dry-run", "it takes the policy back");
}

#[test]
fn a_promotion_by_a_clock_that_is_behind_is_as_late_as_what_stands_before_it() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let tomorrow = ago(-1, 0);
    project.append(POLICY, "ada", tomorrow, vec![What::Hint { event: project.hash_of(1), what: "x".to_owned(), is_harm: false }]);
    project.promote("ben").exits(0).says("no day counts before that");
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    let since: Timestamp = status["policies"][0]["since"].as_str().unwrap().parse().unwrap();
    assert_eq!((status["policies"][0]["stage"].as_str(), since), (Some("shadow"), tomorrow));
}

#[test]
fn alerts_of_one_message_are_one_event_and_who_made_a_label_milder_is_told() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let events = project.would_acts();
    firedrill(project.path(), &["label", &events[0], "wrong", "--by", "bob"]).exits(0);
    project.label(&events[0], "right", &[]).exits(0);
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    let told = format!("· milder: 1 made milder by somebody else: {}: bob said wrong, and ada says right", events[0]);
    assert!(status.contains(&told), "{status}");
    assert!(status.contains("events: 5 of 5 would-act events\n"), "each came in a message of its own: {status}");
}

#[test]
fn an_author_whom_the_project_does_not_know_is_told() {
    let project = Project::at(Stage::DryRun, 3);
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, ben: {} }");
    let check = |code: i32| firedrill(project.path(), &["check"]).exits(code);
    let quiet = check(0);
    assert!(!quiet.stderr.contains("FD0826"), "{}", quiet.stderr);
    let file = format!("policies/{POLICY}.yaml");
    project.edit(&file, "owner: ", "author: adaa\nowner: ");
    check(2).says("FD0826").says("did you mean `ada`?");
    project.edit(&file, "author: adaa", "author: ADA");
    assert!(!check(0).stderr.contains("FD0826"), "names are compared without regard to capitals");
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
    let id = project.with_one();
    let key = crate::common::root().join("src/ledger/test-key.pem").display().to_string();
    project.label(&id, "right", &["--key", &key]).exits(0);
    let audit = firedrill(project.path(), &["audit", POLICY]).exits(0).stdout;
    assert!(audit.contains("1 entry signed by ed25519:"), "{audit}");
    let other = format!("ed25519:{}", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    project.edit("firedrill.yaml", "pairs: 2", &format!("pairs: 2\npeople: {{ ada: {{ key: '{other}' }}, lead: {{}} }}"));
    project.label(&id, "right", &["--key", &key]).exits(2).says("is not the key that `people:` of firedrill.yaml gives `ada`");
    project.label(&id, "right", &["--key", "firedrill.yaml"]).exits(2).says("FD0822");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(
        status.contains("✗ 1 entry in the name of people who have a key, and not signed by it: what is said there does not count"),
        "{status}"
    );
    assert!(status.contains(&format!("1 event without a label: {id}")), "{status}");
}

#[test]
fn what_is_said_without_the_key_that_a_person_has_is_refused_and_does_not_count() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    let file = crate::common::root().join("src/ledger/test-key.pem");
    let key = firedrill::ledger::Key::read(&fs::read_to_string(&file).unwrap()).unwrap().public();
    project.edit("firedrill.yaml", "pairs: 2", &format!("pairs: 2\npeople: {{ ada: {{ key: '{key}' }}, lead: {{}}, ben: {{}} }}"));
    let id = format!("{POLICY}#{}", project.would_acts()[0].rsplit_once('#').unwrap().1);
    for by in ["ada", "Ada"] {
        firedrill(project.path(), &["label", &id, "wrong", "--by", by]).exits(2).says("FD0814").says("does not count");
        project.promote(by).exits(2).says("FD0814");
    }
    // Five labels stand there from before anybody had a key, and count as soon as it is said since when there is one.
    let (always, since) = (format!("ada: {{ key: '{key}' }}"), format!("ada: {{ keys: [{{ key: '{key}', from: {} }}] }}", ago(-1, 0)));
    project.edit("firedrill.yaml", &always, &since);
    assert!(missing(&firedrill(project.path(), &["status", POLICY]).exits(0)).is_empty());
    project.edit("firedrill.yaml", &since, &always);
    let missed = missing(&project.promote("ben").exits(1));
    assert!(missed.iter().any(|told| told.starts_with("labels: 5 events without a label")), "{missed:?}");
    let file = file.display().to_string();
    for id in project.would_acts() {
        project.label(&id, "right", &["--key", &file]).exits(0);
    }
    project.promote("ben").exits(0);
    // Whoever writes a promotion in another's name lets a policy do nothing.
    let what = What::Promotion {
        from: Stage::Shadow,
        to: Stage::Approval,
        profile: "small".to_owned(),
        hashes: project.bound.hashes.clone(),
        evidence: Value::Null,
        weakened: Vec::new(),
    };
    project.append(POLICY, "ADA ", Timestamp::now(), vec![what]);
    assert_eq!(project.stage(), "shadow");
    // To take a policy back nobody needs a key.
    firedrill(project.path(), &["demote", POLICY, "--to", "dry-run", "--because", "a fire", "--by", "ada"]).exits(0);
    assert_eq!(project.stage(), "dry-run");
}

#[test]
fn what_is_said_by_nobody_among_the_people_does_not_count_and_is_named() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.promote("ben").exits(0);
    assert_eq!(project.stage(), "shadow");
    // All that stands there is by ada, by lead who came with it to dry-run, by ben and by the watcher.
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, lead: {} }");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(status.starts_with(&format!("{POLICY}: dry-run since")), "{status}");
    let told = "✗ 1 entry by `ben`, who is not among `people:` of firedrill.yaml: what is said there does not count";
    assert!(status.contains(told), "{status}");
    project.edit("firedrill.yaml", "ada: {}, lead: {}", "ben: {}, lead: {}");
    assert_eq!(project.stage(), "shadow", "what a promotion rests on is asked when somebody promotes");
    firedrill(project.path(), &["demote", POLICY, "--to", "dry-run", "--because", "a fire", "--by", "ben"]).exits(0);
    project.edit("firedrill.yaml", "ben: {}, lead: {}", "lead: {}");
    assert_eq!(project.stage(), "dry-run", "whoever takes it back takes it back");
    let json = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    assert_eq!(json["policies"][0]["strangers"], serde_json::json!({ "ada": 5, "ben": 1 }));
    let missed = missing(&project.promote("lead").exits(1));
    assert!(missed.iter().any(|told| told.starts_with("labels: 5 events without a label")), "{missed:?}");
}

#[test]
fn what_speaks_against_a_policy_counts_whoever_has_left_the_people_since() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { ada: {}, ben: {}, lead: {} }");
    let events = project.would_acts();
    let label = |event: &str, says: &str, by: &str| firedrill(project.path(), &["label", event, says, "--by", by]).exits(0);
    label(&events[0], "wrong", "ben");
    label(&events[1], "wrong", "ben");
    label(&events[1], "right", "ada");
    let status = || firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    let told = |status: &str| status.contains("1 wrong of 5") && status.contains("ben said wrong, and ada says right");
    assert!(told(&status()), "{}", status());
    project.edit("firedrill.yaml", "ben: {}, ", "");
    assert!(told(&status()), "{}", status());
}

#[test]
fn what_nobody_among_the_people_said_is_neither_learned_nor_captured() {
    let project = Project::at(Stage::DryRun, 16);
    let event = project.on_days(&[15]).remove(0);
    project.label(&event, "right", &["--cause", "a leak"]).exits(0);
    let learned = || {
        let found = firedrill(project.path(), &["learn", "--format", "json"]).exits(0).json();
        let live = |own: &&Value| own["source"].as_str().is_some_and(|source| source.contains(POLICY));
        found["incidents"].as_array().unwrap().iter().find(live).unwrap_or_else(|| panic!("{found:#}"))["right"].clone()
    };
    let captured = |folder: &str| {
        firedrill(project.path(), &["capture", &format!("{POLICY}#0"), "--out", folder]).exits(0);
        fs::read_to_string(project.path().join(folder).join("incident.yaml")).unwrap().contains("a leak")
    };
    assert_eq!((learned(), captured("one")), (true.into(), true));
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npeople: { lead: {} }");
    assert_eq!((learned(), captured("two")), (Value::Null, false));
    // So it is told where the event is explained, and the entry itself.
    let explained = |number: &str| firedrill(project.path(), &["audit", POLICY, "--explain", number]).exits(0).stdout;
    let label = project.last();
    for number in [&event, &label].map(|id| id.rsplit_once('#').unwrap().1) {
        assert!(explained(number).contains(" not count"), "{}", explained(number));
    }
}

#[test]
fn names_and_causes_are_words() {
    let project = Project::at(Stage::DryRun, 3);
    let id = project.with_one();
    let label = |more: &[&str]| firedrill(project.path(), &[&["label", &id, "right"], more].concat());
    for more in [["--by", "a\nb"], ["--by", "\u{1b}[31mada"], ["--by", " "], ["--by", "ada "]] {
        label(&more).exits(2).says("FD0817");
    }
    label(&["--by", "ada", "--cause", "a\tb"]).exits(2).says("FD0817");
    label(&["--by", "ada", "--drill", " "]).exits(2).says("FD0817");
    label(&["--by", "ada", "--drill", "crassh"]).exits(2).says("FD0816").says("did you mean `crash`?");
    label(&["--by", "ada", "--drill", "Primary-Crash"]).exits(0).says("of a drill of primary_crash");
}

#[test]
fn a_promotion_that_cannot_be_is_named_and_counts_for_nothing() {
    let project = Project::at(Stage::DryRun, 3);
    let what = |from, to| What::Promotion {
        from,
        to,
        profile: "small".to_owned(),
        hashes: project.bound.hashes.clone(),
        evidence: Value::Null,
        weakened: Vec::new(),
    };
    project.append(POLICY, "eve", ago(1, 0), vec![what(Stage::Limited, Stage::Guarded)]);
    for command in [["audit", POLICY], ["status", POLICY]] {
        let done = firedrill(project.path(), &command).exits(if command[0] == "audit" { 1 } else { 2 });
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(
            said.contains("FD0806") && said.contains("it promotes from limited to guarded, and the policy was at the stage dry-run"),
            "{said}"
        );
    }
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
    // What was decided on it before the policy began anew does not count, and uses nothing up.
    let (because, automatic) = ("we move".to_owned(), false);
    project.append(POLICY, "lead", ago(0, -9), vec![What::Demotion { from: Stage::DryRun, to: Stage::Draft, because, automatic }]);
    replay("told")
        .exits(2)
        .says("is at the stage draft, and recorded history counts in dry-run alone")
        .says("`firedrill promote undo-release` first");
    let (from, to, profile, hashes) = (Stage::Draft, Stage::DryRun, "small".to_owned(), project.bound.hashes.clone());
    let promotion = What::Promotion { from, to, profile, hashes, evidence: Value::Null, weakened: Vec::new() };
    project.append(POLICY, "lead", ago(0, -8), vec![promotion]);
    let spent = |project: &Project| {
        let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
        status["policies"][0]["evidence"]["backtest"].as_u64().unwrap()
    };
    assert_eq!(spent(&project), 0);
    replay("told").exits(0);
    assert_eq!(spent(&project), 3_600_000_000_000);
    let beyond = Project::at(Stage::Shadow, 3);
    history(beyond.path(), "told", 1245);
    firedrill(beyond.path(), &["replay", "told", "--policy", POLICY, "--backtest", "--by", "ada"])
        .exits(2)
        .says("is at the stage shadow, and recorded history counts in dry-run alone");
    // Another version of it looks on in dry-run.
    beyond.edit("policies/undo-release.yaml", "cooldown: 10m", "cooldown: 11m");
    firedrill(beyond.path(), &["replay", "told", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(0);
    let project = Project::at(Stage::DryRun, 3);
    history(project.path(), "untold", 1500);
    let done = firedrill(project.path(), &["replay", "untold", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(0);
    assert!(done.stderr.contains("0 of 1 recorded firing reproduced") && done.stderr.contains("it does not count"), "{}", done.stderr);
    let evidence = &firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json()["policies"][0]["evidence"];
    assert_eq!(evidence["events"].as_array().unwrap().len(), 0, "what was decided on it is no evidence either: {evidence:#}");
    assert!(evidence["dropped"][0]["why"].as_str().unwrap().starts_with("its backtest does not count: 0 of 1"), "{evidence:#}");
    let status = firedrill(project.path(), &["status", POLICY]).exits(0).stdout;
    assert!(
        status.contains("a backtest does not count: ") && status.contains("0 of 1 recorded firings are reproduced, and 95 % must be"),
        "{status}"
    );
}

#[test]
fn time_in_which_nothing_was_recorded_is_no_history() {
    let project = Project::at(Stage::DryRun, 3);
    history(project.path(), "told", 1245);
    // One sample a month before all others.
    let file = project.path().join("told/metrics.txt");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("# EOF", &format!("# TYPE up gauge\nup 1 {}\n# EOF", 1_767_600_000 - 31 * 86_400))).unwrap();
    let done = firedrill(project.path(), &["replay", "told", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(0);
    assert!(done.stderr.contains("it counts, but for 31d in which nothing was recorded"), "{}", done.stderr);
    let counted = || {
        firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json()["policies"][0]["evidence"]["backtest"].clone()
    };
    assert_eq!(counted(), 3_600_000_000_000_u64);
    // It uses nothing up: what somebody else recorded of that time counts.
    const SOONER: u64 = 10 * 86_400;
    history(project.path(), "sooner", 1245);
    let shifted = |line: &str| match line.rsplit_once(' ').map(|(sample, at)| (sample, at.parse::<u64>())) {
        Some((sample, Ok(at))) => format!("{sample} {}\n", at - SOONER),
        _ => format!("{line}\n"),
    };
    fs::write(project.path().join("sooner/metrics.txt"), text.lines().map(shifted).collect::<String>()).unwrap();
    project.edit("sooner/incident.yaml", "2026-01-05T08:20:00Z", "2025-12-26T08:20:00Z");
    let replay = || firedrill(project.path(), &["replay", "sooner", "--policy", POLICY, "--backtest", "--by", "ada"]);
    replay().exits(0);
    assert_eq!(counted(), 7_200_000_000_000_u64);
    replay().exits(2).says("is in the ledger of undo-release already");
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
    let bare = Project::at(Stage::DryRun, 3);
    firedrill(bare.path(), &["promote", POLICY, "--by", "ben", "--statement", "e.json"]).exits(1);
    let of_nothing: Value = serde_json::from_str(&fs::read_to_string(bare.path().join("e.json")).unwrap()).unwrap();
    let passed = of_nothing["predicate"]["passedTests"].as_array().unwrap();
    assert!(!passed.contains(&"wrong".into()) && passed.contains(&"check".into()), "0 wrong of 0 proves nothing: {passed:?}");
    let id = project.one_more();
    let failed = export(1);
    let nowhere = ["promote", POLICY, "--by", "ben", "--statement", "firedrill.yaml/evidence.json"];
    firedrill(project.path(), &nowhere).exits(2).says("FD0818").says("cannot be written");
    assert_eq!((&failed["predicate"]["result"], &failed["predicate"]["failedTests"][0]), (&"FAILED".into(), &"labels".into()));
    project.label(&id, "right", &[]).exits(0);
    let passed = export(0);
    assert_eq!(passed["predicate"]["result"], "PASSED");
    assert_eq!(passed["subject"][0]["digest"]["blake3"], project.bound.hashes.policy);
    // Who asks for less than usual is warned of.
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npromotion: { shadow: { events: 1 } }");
    let soon = |minutes: i64| Timestamp::now() + SignedDuration::from_mins(minutes);
    let id = project.watch(&quiet(Stage::Shadow, soon(5), soon(60)), &[soon(10)]).remove(0);
    project.label(&id, "right", &[]).exits(0);
    firedrill(project.path(), &["shadow", POLICY, "--by", "ada"]).exits(0);
    let warned = export(0);
    assert_eq!(warned["predicate"]["result"], "WARNED", "{warned:#}");
    assert!(warned["predicate"]["warnedTests"][0].as_str().unwrap().starts_with("weakened: shadow: events 1 instead of 5"), "{warned:#}");
    for statement in [&failed, &passed, &warned] {
        let wrong: Vec<String> = validator.iter_errors(statement).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{statement:#}");
    }
    // Names tell subjects apart, and none says the same twice.
    let names: std::collections::BTreeSet<&str> =
        passed["subject"].as_array().unwrap().iter().filter_map(|own| own["name"].as_str()).collect();
    assert_eq!(names.len(), 3);
    // The schema can say no, at every place that a reader of statements looks at.
    let spoilt: [(&str, Value); 8] = [
        ("/_type", "https://in-toto.io/Statement/v0.1".into()),
        ("/predicateType", "test-result".into()),
        ("/subject", Value::Array(Vec::new())),
        ("/subject/0/digest", serde_json::json!({ "blake3": "no hexadecimal" })),
        ("/subject/1/digest", Value::Null),
        ("/predicate/result", "GOOD".into()),
        ("/predicate/configuration/0", serde_json::json!({ "name": "a name alone is no descriptor" })),
        ("/predicate/passedTests", "labels".into()),
    ];
    for (place, value) in spoilt {
        let mut spoilt = passed.clone();
        *spoilt.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&spoilt), "{place}");
    }
}

#[test]
fn labels_are_for_decisions_that_are_there() {
    let project = Project::at(Stage::DryRun, 3);
    project.label("undo-release#1", "right", &[]).exits(2).says("`undo-release#1` is no decision to act");
    project.label("undo-release#9", "right", &[]).exits(2).says("the ledger has no `undo-release#9`");
    project.label("nonsense", "right", &[]).exits(2).says("neither POLICY#NUMBER nor the hash of one entry");
    let id = project.with_one();
    // A number without its policy is not the beginning of whatever hash begins so; eight digits are.
    let hash = project.hash_of(id.rsplit_once('#').unwrap().1.parse().unwrap());
    let digits = hash.strip_prefix("blake3:").unwrap();
    for short in ["", "blake3:", &digits[..1], &digits[..7]] {
        project.label(short, "wrong", &[]).exits(2).says("or the first 8 digits or more of it");
    }
    project.label(&digits[..8], "right", &[]).exits(0).says(&format!("{id} (rollback service/checkout) was right"));
    // What was seen live is written by the watcher alone.
    firedrill(project.path(), &["label", &id, "right", "--by", "watch"]).exits(2).says("`watch` is nobody");
}

/// A policy that is rid of half of what it does at the stage limited: it turns users away, and may not do what comes next.
const HALF: &str = "  - shed_load: { share: 60%, lasting: 9m }
    verify: { expr: 'service:errors:ratio_rate1m{service=$service} < 0.001', hold: 5s, within: 30s }
    on_failure: next
  - purge_queue: {}
  - rollback: {}
  - lift: { what: shed_load }
";

#[test]
fn a_policy_that_does_wrong_at_the_stage_that_it_would_enter_stays_where_it_is() {
    let folder = release_project();
    for scenario in ["bad-release", "calm-release"] {
        let path = folder.path().join(format!("scenarios/{scenario}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("    replicas: 2\n", "    replicas: 2\n    tier: standard\n")).unwrap();
    }
    let path = folder.path().join("policies/undo-release.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("  - rollback: {}\n").unwrap();
    let tail = &rest[rest.find("  - escalate").unwrap()..];
    fs::write(&path, format!("{head}{HALF}{tail}")).unwrap();
    let project = with_runs_of(Project::of(folder, Stage::Approval, 9));
    firedrill(project.path(), &["gate"]).exits(0);
    let gate = firedrill(project.path(), &["gate", "--stage", "limited"]).exits(1);
    assert!(gate.stdout.contains("harm"), "{}", gate.stdout);
    assert!(gate.stdout.contains("--stage limited"), "a run is repeated at that stage: {}", gate.stdout);
    let done = project.promote("cleo").exits(1);
    let missed = missing(&done);
    assert!(missed.len() == 1 && missed[0].starts_with("entered: at the stage limited: broken: "), "{}", done.stdout);
    assert!(done.stdout.contains("→ `firedrill gate --stage limited` tells what"), "{}", done.stdout);
    assert!(done.stdout.contains("✓ gate: held"), "{}", done.stdout);
}

#[test]
fn what_people_did_not_ask_for_at_a_stage_is_told() {
    let project = with_runs();
    let done = project.promote("cleo").exits(0);
    // Nothing is said of the service's tier, so it counts as critical, and nothing may act there yet.
    assert!(done.stdout.contains("· entered: not checked: at the stage limited it does nothing in what is rehearsed"), "{}", done.stdout);
    let done = Project::at(Stage::DryRun, 16).with_five().promote("ben").exits(0);
    assert!(done.stdout.contains("✓ entered: at the stage shadow nothing acts"), "{}", done.stdout);
}

#[test]
fn an_action_where_nothing_may_act_stands_in_the_way_for_good() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.acted(Stage::DryRun, "i", ago(0, -30), Verification::Held);
    let done = project.promote("ben").exits(1);
    let missed = missing(&done);
    assert!(
        missed.len() == 1 && missed[0].starts_with("violations: 1 of what must never happen: it acted at the stage dry-run"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("✓ events: 5 of 5"), "what acted is no would-act: {}", done.stdout);
    firedrill(project.path(), &["demote", POLICY, "--to", "draft", "--because", "it acted", "--by", "ada"]).exits(0);
    project.promote("ben").exits(0).says("promoted from draft to dry-run");
    assert!(!firedrill(project.path(), &["status"]).exits(0).stdout.contains("violations"));
}

#[test]
fn an_action_where_nothing_may_act_stands_in_the_way_after_it_took_the_policy_back_too() {
    let project = Project::at(Stage::Shadow, 9);
    let events = project.watch(&quiet(Stage::Shadow, ago(8, 0), ago(1, 0)), &[ago(7, 0)]);
    project.acted(Stage::Shadow, "i", ago(0, -30), Verification::Held);
    project.label(&events[0], "right", &[]).exits(0).says("is demoted from shadow to dry-run: it acted at the stage shadow");
    let status = || firedrill(project.path(), &["status"]).exits(0).stdout;
    let told = "✗ violations: 1 of what must never happen: it acted at the stage shadow: rollback service/checkout (entry ";
    assert!(status().contains(told), "{}", status());
    // To wait is decided at every stage, and does nothing.
    let action = ActionId { policy: Name::new(POLICY), ordinal: 1 };
    let (policy, what, reason) = (Name::new(POLICY), Action::Wait { span: Span::from_seconds(5) }, String::new());
    let waits = Event::Decided { policy, incident: 0, step: 0, action, what, target: target(), reason };
    project.decided(Stage::DryRun, "i", ago(0, -10), &waits);
    assert!(status().contains(told), "{}", status());
    firedrill(project.path(), &["demote", POLICY, "--to", "draft", "--because", "it acted", "--by", "ada"]).exits(0);
    project.promote("ben").exits(0).says("promoted from draft to dry-run");
    assert!(!status().contains("violations"));
}

#[test]
fn a_decision_that_a_newer_version_wrote_is_named_and_counts_if_it_was_wrong() {
    let project = Project::at(Stage::DryRun, 9);
    project.watch(&quiet(Stage::DryRun, ago(8, 0), ago(1, 0)), &[ago(7, 0)]);
    let (hashes, incident, policy) = (project.bound.hashes.clone(), format!("{POLICY}#0"), POLICY);
    let event = serde_json::json!({ "would_act": { "policy": policy, "incident": 0, "step": 1, "what": { "unship": { "wave": 2 } },
        "target": "service/checkout", "reason": "" } });
    let (stage, is_backtest) = (Stage::DryRun, false);
    project.append(POLICY, "watch", ago(7, 1), vec![What::Decision { incident, stage, hashes, event, is_backtest }]);
    let id = project.last();
    let evidence = || firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json()["policies"][0].clone();
    let found = evidence();
    assert_eq!(found["evidence"]["dropped"], serde_json::json!([{ "id": id, "why": "this version of firedrill cannot read it" }]));
    project.label(&id, "wrong", &[]).exits(0).says("(unship service/checkout) was wrong");
    let found = evidence();
    assert_eq!(found["evidence"]["events"][1]["what"], "unship service/checkout", "{found:#}");
    let wrong = found["needs"].as_array().unwrap().iter().find(|need| need["what"] == "wrong").unwrap();
    assert!(wrong["told"].as_str().unwrap().starts_with("1 wrong of 1:") && wrong["is_met"] == false, "{wrong}");
}

#[test]
fn a_promotion_on_much_evidence_fits_into_the_ledger() {
    let project = with_runs();
    let folder = project.path().join("ledger");
    let long = |index: usize| Target::Service(Name::new(&format!("{}{index}", "s".repeat(4_000))));
    let decided = |index: usize| {
        let (policy, incident) = (Name::new(POLICY), index as u64);
        let action = ActionId { policy: policy.clone(), ordinal: incident };
        let event =
            Event::Decided { policy, incident, step: 0, action, what: Action::Rollback, target: long(index), reason: String::new() };
        let (event, hashes) = (serde_json::to_value(event).unwrap(), project.bound.hashes.clone());
        What::Decision { incident: format!("more{index}"), stage: Stage::Approval, hashes, event, is_backtest: false }
    };
    project.append(POLICY, "watch", ago(2, 0), (0..400).map(decided).collect());
    let chain = Ledger::read(&folder, &Name::new(POLICY)).unwrap();
    let right = |own: &Recorded| What::Label { event: own.hash.clone(), says: firedrill::ledger::Labelled::Right, cause: None };
    project.append(POLICY, "ada", ago(1, 0), chain.entries[chain.entries.len() - 400..].iter().map(right).collect());
    project.promote("cleo").exits(0).says("promoted from approval to limited");
    let chain = Ledger::read(&folder, &Name::new(POLICY)).unwrap();
    let What::Promotion { evidence, .. } = &chain.entries.last().unwrap().entry.what else { panic!("it is promoted") };
    let (kept, left) = (evidence["evidence"]["events"].as_array().unwrap().len(), &evidence["evidence"]["left_out"]["events"]);
    assert_eq!(kept as u64 + left["count"].as_u64().unwrap(), 405, "{left}");
}

#[test]
fn a_drill_lasts_until_it_is_labelled_without_one() {
    let project = Project::at(Stage::DryRun, 9);
    let events = project.watch(&quiet(Stage::DryRun, ago(8, 0), ago(1, 0)), &[ago(7, 0), ago(6, 0)]);
    let evidence = || firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json()["policies"][0]["evidence"].clone();
    for id in &events {
        project.label(id, "right", &["--drill", "deploy"]).exits(0);
    }
    assert_eq!(evidence()["events"].as_array().unwrap().len(), 1);
    let said = project.label(&events[1], "right", &[]).exits(0);
    assert!(said.stdout.contains("was right, and of no drill: it was said to be one of deploy"), "{}", said.stdout);
    let found = evidence();
    assert_eq!((found["events"][0]["drill"].is_null(), found["events"][1]["drill"].is_null()), (false, true), "{found:#}");
    assert!(!project.label(&events[1], "right", &[]).exits(0).stdout.contains("drill"), "it is told once");
}

#[test]
fn a_statement_is_not_written_where_the_ledger_could_not_be() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    // A write was cut off, and what is left of it cannot be put aside.
    let (chain, torn) = (project.path().join(format!("ledger/{POLICY}.jsonl")), project.path().join(format!("ledger/{POLICY}.torn")));
    let whole = fs::read_to_string(&chain).unwrap();
    fs::write(&chain, format!("{whole}{{\"schema\"")).unwrap();
    fs::create_dir(&torn).unwrap();
    let promote = || firedrill(project.path(), &["promote", POLICY, "--by", "ben", "--statement", "out/evidence.json"]);
    let refused = promote().exits(2);
    assert!(!refused.stderr.contains("wrote out/evidence.json") && refused.stderr.contains("cannot repair"), "{}", refused.stderr);
    let left: Vec<_> = fs::read_dir(project.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_dir(&torn).unwrap();
    promote().exits(0).says("wrote out/evidence.json");
    assert!(project.path().join("out/evidence.json").is_file());
}

#[test]
fn all_steps_in_one_incident_are_one_run() {
    let project = Project::at(Stage::Approval, 9);
    for index in 0..5 {
        let id = project.acted(Stage::Approval, "the only one", ago(8 - index, 0), Verification::Held);
        project.label(&id, "right", if index == 0 { &["--drill", "deploy"] } else { &[] }).exits(0);
    }
    assert_eq!(missing(&project.promote("cleo").exits(1)), ["events: 1 of 5 runs"]);
}

#[test]
fn a_smaller_profile_than_the_project_names_is_said_loudly() {
    let project = Project::at(Stage::DryRun, 16).with_five();
    project.edit("firedrill.yaml", "pairs: 2", "pairs: 2\npromotion: { profile: large }");
    let done = firedrill(project.path(), &["promote", POLICY, "--by", "ben", "--profile", "small"]).exits(0);
    assert!(
        done.stderr.contains("less is asked for than usual: the profile small instead of large, which firedrill.yaml names"),
        "{}",
        done.stderr
    );
}

#[test]
fn alerts_that_an_import_keeps_beside_its_samples_are_held_against_a_backtest() {
    let project = Project::at(Stage::DryRun, 3);
    history(project.path(), "imported", 1245);
    // As `import prometheus` writes them: in a recording of their own.
    let metrics = project.path().join("imported/metrics.txt");
    let text = fs::read_to_string(&metrics).unwrap();
    let is_alert = |line: &&str| line.starts_with("ALERTS") || line.contains("# TYPE ALERTS");
    fs::write(&metrics, text.lines().filter(|line| !is_alert(line)).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let mut store = Store::new();
    let labels = [("alertname", "ManyErrors"), ("alertstate", "firing"), ("service", "checkout"), ("severity", "critical")];
    let id = store.series(&Labels::named("ALERTS", &labels));
    (1_245..1_860).step_by(15).for_each(|second| store.append(id, (1_767_600_000 + second) * 1_000, 1.0).unwrap());
    let start = Start::from_unix_seconds(1_767_600_000);
    let alerts = Recording { start, end_ms: 1_767_603_600_000, source: "a test".to_owned(), store };
    crate::common::write(project.path(), "imported/alerts.jsonl", &alerts.to_text());
    project.edit("imported/incident.yaml", "recording:", "alerts: alerts.jsonl\nrecording:");
    let done = firedrill(project.path(), &["replay", "imported", "--policy", POLICY, "--backtest", "--by", "ada"]).exits(0);
    assert!(done.stderr.contains("1 of 1 recorded firing reproduced; 1 event to label; it counts"), "{}", done.stderr);
}

#[test]
fn history_that_was_watched_live_counts_once() {
    // The same hour, of a policy that came to dry-run before it.
    let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
    let project = Project::at(Stage::DryRun, Timestamp::now().duration_since(start).as_hours() / 24 + 2);
    history(project.path(), "told", 1245);
    firedrill(project.path(), &["replay", "told", "--policy", POLICY, "--backtest", "--by", "ada"])
        .exits(2)
        .says("and what happened from then on is watched live");
    // Nor does what stands there all the same.
    let (from, until) = (start.to_string(), (start + SignedDuration::from_hours(1)).to_string());
    let backtest = What::Backtest { from, until, recorded: 1, reproduced: 1, gaps: Vec::new(), hashes: project.bound.hashes.clone() };
    project.append(POLICY, "ada", ago(0, -5), vec![backtest]);
    let status = firedrill(project.path(), &["status", POLICY, "--format", "json"]).exits(0).json();
    let evidence = &status["policies"][0]["evidence"];
    assert_eq!(evidence["backtests_dropped"].as_array().unwrap().len(), 1, "{evidence:#}");
    assert_eq!((&evidence["backtest"], evidence["events"].as_array().unwrap().len()), (&0.into(), 0), "{evidence:#}");
}
