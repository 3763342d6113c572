//! A keeper on a folder of its own: what is in the ledger, and what is there again after a crash.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use firedrill_core::journal::{AlertStatus, Input, LabelSet, Notification, Truth};
use firedrill_policies::document::read_policy;
use firedrill_policies::watcher::Alerted;
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::ledger::{ANSWERING, ASIDE, Entry, Hashes, Ledger, WATCH, What};

const RESTART: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $service }
precheck: [{ expr: 'up{pod=$pod} == 0', because: it must be down }]
steps:
  - restart: { mode: rolling }
guard:
  rate_limit: [{ max: 3, window: 1h, scope: all }]
";

/// A clock that only tests move, in seconds after the default start.
struct Hands(Mutex<u64>);

impl Clock for Hands {
    fn calendar(&self) -> i64 {
        Start::default().unix_millis() * 1_000_000 + self.stopwatch().as_nanos() as i64
    }
    fn stopwatch(&self) -> Duration {
        Duration::from_secs(*self.0.lock().unwrap())
    }
}

struct Site {
    folder: tempfile::TempDir,
    hands: Arc<Hands>,
    policy: String,
    /// Watched beside it.
    others: Vec<String>,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            hands: Arc::new(Hands(Mutex::new(1_000))),
            policy: RESTART.to_owned(),
            others: Vec::new(),
        }
    }

    fn open(&self) -> (Keeper, Vec<String>) {
        let read = |text: &String| read_policy("policy.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let policies = [&self.policy].into_iter().chain(&self.others).map(|text| (read(text), Stage::DryRun, Bound::default()));
        Keeper::open(KeeperSetup {
            folder: self.folder.path().join("ledger"),
            policies: policies.collect(),
            inventory: Arc::default(),
            clock: Arc::clone(&self.hands) as _,
            metrics: Arc::default(),
            promotions: Promotions::default(),
        })
        .unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    fn later(&self, seconds: u64) {
        *self.hands.0.lock().unwrap() += seconds;
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("ledger").join(name)
    }

    fn entries(&self, chain: &str) -> Vec<What> {
        let chain = Ledger::read(&self.path(""), &Name::new(chain)).unwrap().sound().unwrap_or_else(|failure| panic!("{failure:?}"));
        chain.entries.into_iter().map(|recorded| recorded.entry.what).collect()
    }

    fn decisions(&self) -> Vec<Value> {
        self.decisions_of("restart")
    }

    fn decisions_of(&self, policy: &str) -> Vec<Value> {
        let event = |what| if let What::Decision { event, .. } = what { Some(event) } else { None };
        self.entries(policy).into_iter().filter_map(event).collect()
    }

    fn would_act(&self) -> usize {
        self.decisions().iter().filter(|event| event.get("would_act").is_some()).count()
    }
}

fn alert(pod: &str, began: u64, ended: Option<u64>) -> Alerted {
    let labels: LabelSet =
        [("alertname", "Down"), ("pod", pod), ("service", pod)].map(|(name, value)| (Name::new(name), Name::new(value))).into();
    let status = if ended.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
    let before = BEFORE.as_nanos();
    let at = |second: u64| Time::from_nanos(before) + Span::from_seconds(second);
    let notification = Notification { alert: Name::new("Down"), status, labels, starts_at: at(began), receiver: None };
    Alerted { notification, ends_at: ended.map(at), group: None }
}

/// One round with one webhook; what became of it.
fn tell(keeper: &mut Keeper, alerts: Vec<Alerted>) -> (Taken, Vec<Want>) {
    let (reply, mut taken) = oneshot::channel();
    let (_, wants) = keeper.round(vec![Message::Webhook { alerts, bytes: 0, reply }]).unwrap();
    (taken.try_recv().unwrap(), wants)
}

/// Answers what is asked by hand: the pod is down.
fn answer(keeper: &mut Keeper, wants: &[Want]) {
    let message = |want: &Want| {
        let input = Input::Evaluated { query: want.query, verdict: Truth::True, figures: "0 == 0".into() };
        Message::Answer { policy: want.policy.name.clone(), input, is_known: true }
    };
    keeper.round(wants.iter().map(message).collect()).unwrap();
}

const KEPT: Taken = Taken::Kept { news: 1, repeated: 0, late: 0 };

#[test]
fn what_is_acknowledged_is_in_the_ledger_and_what_is_repeated_is_not_written_again() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let (taken, wants) = tell(&mut keeper, vec![alert("api-1", 990, None)]);
    assert_eq!(taken, KEPT);
    assert!(site.decisions()[0].get("incident_opened").is_some(), "it was taken up: {:?}", site.decisions());
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 1);
    let before = site.entries(WATCH).len();
    assert_eq!(tell(&mut keeper, vec![alert("api-1", 990, None)]).0, Taken::Kept { news: 0, repeated: 1, late: 0 });
    assert_eq!(site.entries(WATCH).len(), before);
    let questions: Vec<_> = site
        .entries(WATCH)
        .into_iter()
        .filter_map(|what| if let What::Observation { incident, question, .. } = what { question.zip(incident) } else { None })
        .collect();
    assert_eq!(questions, [("up{pod=$pod} == 0 $pod=\"api-1\"".to_owned(), "restart#0".to_owned())]);
}

#[test]
fn a_restart_goes_on_where_it_was_and_asks_again() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    tell(&mut keeper, vec![alert("api-1", 990, None)]);
    drop(keeper);
    site.later(60);
    let (mut keeper, _) = site.open();
    let wants = keeper.watcher().wants();
    assert_eq!(wants.len(), 1);
    assert_eq!(keeper.metrics.asking.load(Ordering::Relaxed), 1, "told before anything happens");
    answer(&mut keeper, &wants);
    drop(keeper);
    assert_eq!(site.would_act(), 1);
    let (mut keeper, _) = site.open();
    assert!(keeper.watcher().wants().is_empty());
    assert_eq!(tell(&mut keeper, vec![alert("api-1", 990, None)]).0, Taken::Kept { news: 0, repeated: 1, late: 0 });
    assert_eq!(site.would_act(), 1);
}

/// A site whose ledger has seen a few incidents, by a watcher that never came to keep its memory again.
fn with_past() -> Site {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    for pod in ["api-1", "api-2", "api-3", "api-4"] {
        let (_, wants) = tell(&mut keeper, vec![alert(pod, 990, None), alert(pod, 990, None)]);
        answer(&mut keeper, &wants);
        site.later(7);
    }
    tell(&mut keeper, vec![alert("api-1", 990, Some(1_020))]);
    site
}

#[test]
fn the_limits_of_guards_survive_a_restart() {
    let site = with_past();
    assert_eq!(site.would_act(), 3, "the fourth is one too many");
    let (mut keeper, _) = site.open();
    let (_, wants) = tell(&mut keeper, vec![alert("api-5", 1_000, None)]);
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 3);
    let refused = site.decisions().iter().filter(|event| event["refused"]["guard"] == "rate_limit").count();
    assert_eq!(refused, 2);
}

#[test]
fn decisions_that_a_crash_has_left_out_are_added_wherever_it_came() {
    let whole = with_past();
    let (observed, decided) =
        (fs::read_to_string(whole.path("watch.jsonl")).unwrap(), fs::read_to_string(whole.path("restart.jsonl")).unwrap());
    let events = whole.decisions();
    let state = fs::read(whole.path("watch.state")).unwrap();
    for kept in 0..=decided.lines().count() {
        for has_memory in [true, false] {
            let site = Site::new();
            site.later(28);
            fs::create_dir_all(site.path("")).unwrap();
            fs::write(site.path("watch.jsonl"), &observed).unwrap();
            let lines: String = decided.lines().take(kept).map(|line| format!("{line}\n")).collect();
            // And a part of the next one.
            let torn: String = decided.lines().nth(kept).map_or("", |line| &line[..line.len() / 2]).to_owned();
            fs::write(site.path("restart.jsonl"), lines + &torn).unwrap();
            if has_memory {
                fs::write(site.path("watch.state"), &state).unwrap();
            }
            let (keeper, _) = site.open();
            drop(keeper);
            assert_eq!(site.decisions(), events, "after {kept} entries, with memory: {has_memory}");
        }
    }
}

#[test]
fn a_message_of_which_a_crash_left_a_part_is_whole_when_it_comes_again() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    tell(&mut keeper, vec![alert("api-1", 990, None), alert("api-2", 991, None)]);
    drop(keeper);
    let text = fs::read_to_string(site.path("watch.jsonl")).unwrap();
    let cut = text.len() - text.lines().last().unwrap().len() / 2;
    fs::write(site.path("watch.jsonl"), &text[..cut]).unwrap();
    fs::remove_file(site.path("watch.head")).unwrap();
    fs::remove_file(site.path("restart.jsonl")).unwrap();
    let _ = fs::remove_file(site.path("restart.head"));
    let (mut keeper, notes) = site.open();
    assert!(notes.iter().any(|note| note.contains("a write was cut off")), "{notes:?}");
    assert_eq!(
        tell(&mut keeper, vec![alert("api-1", 990, None), alert("api-2", 991, None)]).0,
        Taken::Kept { news: 1, repeated: 1, late: 0 }
    );
    let opened = site.decisions().iter().filter(|event| event.get("incident_opened").is_some()).count();
    assert_eq!(opened, 2);
}

#[test]
fn a_ledger_that_cannot_be_written_is_no_acknowledgement() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    // Somebody put another file in the place of the chain.
    fs::remove_file(site.path("watch.jsonl")).unwrap();
    fs::write(site.path("watch.jsonl"), "").unwrap();
    let (reply, mut taken) = oneshot::channel();
    assert!(keeper.round(vec![Message::Webhook { alerts: vec![alert("api-1", 990, None)], bytes: 0, reply }]).is_err());
    assert_eq!(taken.try_recv(), Ok(Taken::Lost));
}

#[test]
fn people_can_write_to_the_chain_of_a_policy_while_it_is_watched() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    tell(&mut keeper, vec![alert("api-1", 990, None)]);
    site.later(1);
    // Time that no test waits for: the chain is given up as if it had passed.
    keeper.book.release_all();
    let (mut ledger, _) = Ledger::open(&site.path(""), &Name::new("restart")).unwrap();
    let violation = What::Violation { what: "a test".into() };
    ledger.append(vec![Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".into(), what: violation }]).unwrap();
    drop(ledger);
    let wants = keeper.watcher().wants();
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 1);
    assert!(site.entries("restart").iter().any(|what| matches!(what, What::Violation { .. })));
}

#[test]
fn a_chain_of_a_policy_that_git_replaced_is_gone_on_with() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let (_, wants) = tell(&mut keeper, vec![alert("api-1", 990, None)]);
    let text = fs::read(site.path("restart.jsonl")).unwrap();
    fs::remove_file(site.path("restart.jsonl")).unwrap();
    fs::write(site.path("restart.jsonl"), text).unwrap();
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 1);
}

#[test]
fn what_another_version_has_kept_is_heard_again_from_the_beginning() {
    let site = with_past();
    let events = site.decisions();
    let (keeper, _) = site.open();
    drop(keeper);
    let path = site.path("watch.state");
    let state = fs::read_to_string(&path).unwrap();
    let older = state.replacen("\"saved\":{\"version\":1,", "\"saved\":{\"version\":0,", 1);
    assert_ne!(older, state);
    fs::write(&path, older).unwrap();
    let (mut keeper, notes) = site.open();
    assert!(notes.iter().any(|note| note.contains("all is heard again")), "{notes:?}");
    assert_eq!(site.decisions(), events, "nothing is closed, and nothing decided twice");
    let (_, wants) = tell(&mut keeper, vec![alert("api-5", 1_000, None)]);
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 3, "what guards have counted still counts");
}

#[test]
fn a_memory_that_is_kept_meanwhile_is_gone_on_with() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let (_, wants) = tell(&mut keeper, vec![alert("api-1", 990, None)]);
    keeper.remember_meanwhile();
    answer(&mut keeper, &wants);
    keeper.saving.take().unwrap().join().unwrap().unwrap();
    drop(keeper);
    let (keeper, notes) = site.open();
    assert!(notes.iter().any(|note| note == "1 observation was heard again"), "{notes:?}");
    drop(keeper);
    fs::write(site.path("watch-half-kept-x.state"), "{").unwrap();
    drop(site.open());
    assert!(!site.path("watch-half-kept-x.state").exists());
    assert_eq!(site.would_act(), 1);
}

#[test]
fn a_policy_whose_breaker_trips_twice_is_taken_back_while_it_is_watched() {
    let mut site = Site::new();
    let guard = "  rate_limit: [{ max: 3, window: 1h, scope: all }]";
    site.policy = RESTART.replace(guard, "  breaker: { actions: 1, within: 1h, try_again_after: 1m }");
    let name = Name::new("restart");
    let (profile, hashes, evidence) = ("small".to_owned(), Hashes::default(), Value::Null);
    let promotion = What::Promotion { from: Stage::DryRun, to: Stage::Shadow, profile, hashes, evidence, weakened: Vec::new() };
    let entry = Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".into(), what: promotion };
    Ledger::open(&site.path(""), &name).unwrap().0.append(vec![entry]).unwrap();
    let (mut keeper, _) = site.open();
    let demotions = |site: &Site| -> Vec<String> {
        let because =
            |what| if let What::Demotion { to: Stage::DryRun, because, automatic: true, .. } = what { Some(because) } else { None };
        site.entries("restart").into_iter().filter_map(because).collect()
    };
    let trips = |keeper: &mut Keeper, pod: &str| {
        let (_, wants) = tell(keeper, vec![alert(pod, 990, None)]);
        answer(keeper, &wants);
        site.decisions().last().unwrap()["incident_closed"].is_object()
    };
    assert!(!trips(&mut keeper, "api-1"), "it would act");
    site.later(1);
    assert!(trips(&mut keeper, "api-2") && demotions(&site).is_empty(), "one trip is none too many");
    site.later(120);
    assert!(!trips(&mut keeper, "api-3"), "it is tried again");
    site.later(1);
    assert!(trips(&mut keeper, "api-4"));
    assert_eq!(demotions(&site), ["its breaker tripped twice within 7 days"]);
    site.later(1);
    assert!(trips(&mut keeper, "api-5"));
    assert_eq!(demotions(&site).len(), 1, "once");
    assert_eq!(keeper.metrics.demotions.load(Ordering::Relaxed), 1);
    drop(keeper);
    assert!(site.open().1.iter().all(|note| !note.contains("demoted")));
}

#[test]
fn what_a_crash_left_undone_of_a_demotion_is_done_at_the_next_start() {
    let site = Site::new();
    let promotion = What::Promotion {
        from: Stage::DryRun,
        to: Stage::Shadow,
        profile: "small".to_owned(),
        hashes: Hashes::default(),
        evidence: Value::Null,
        weakened: Vec::new(),
    };
    let violation = What::Violation { what: "two writers".to_owned() };
    let entry = |what| Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".into(), what };
    Ledger::open(&site.path(""), &Name::new("restart")).unwrap().0.append(vec![entry(promotion), entry(violation)]).unwrap();
    let (_keeper, notes) = site.open();
    let expected = "`restart` is demoted from shadow to dry-run: what must never happen did (entry 2): two writers";
    assert!(notes.iter().any(|note| note == expected), "{notes:?}");
}

#[test]
fn a_watcher_to_which_nothing_happens_says_that_it_is_there() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    site.later(600);
    keeper.round(Vec::new()).unwrap();
    let expected = keeper.watcher().start().unix_millis() / 1_000 + i64::try_from(BEFORE.as_millis() / 1_000).unwrap() + 600;
    assert_eq!(keeper.metrics.last_round.load(Ordering::Relaxed), expected.unsigned_abs());
}

#[test]
fn a_quiet_hour_is_written_down_so_that_the_ledger_shows_that_somebody_watched() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let before = site.entries(WATCH).len();
    for minute in 1..=125 {
        site.later(60);
        keeper.round(Vec::new()).unwrap();
        assert_eq!(site.entries(WATCH).len() - before, minute / 60, "after {minute} minutes");
    }
    let Some(What::State { of, value }) = site.entries(WATCH).pop() else { panic!("a state") };
    assert_eq!((of.as_str(), value), ("watch-clock/1", "passed".into()));
}

#[test]
fn a_second_watcher_of_one_ledger_is_refused_by_its_lock() {
    let site = Site::new();
    let (keeper, _) = site.open();
    let path: &Path = &site.path("watch.jsonl");
    let other = fs::File::open(path).unwrap();
    assert!(other.try_lock().is_err());
    drop(keeper);
    assert!(other.try_lock().is_ok());
}

#[test]
fn an_alert_with_endless_labels_stops_nothing_not_even_where_it_stands_in_the_ledger() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    // As older watchers took them.
    let endless = alert(&"x".repeat(500_000), 990, None);
    let (taken, wants) = tell(&mut keeper, vec![endless]);
    assert_eq!(taken, KEPT);
    answer(&mut keeper, &wants);
    let opened = &site.decisions()[0];
    assert!(opened["incident_opened"]["labels"]["pod"].as_str().unwrap().ends_with("x… (500000 bytes)"), "it is shortened, and says so");
    drop(keeper);
    fs::remove_file(site.path("watch.state")).unwrap();
    fs::remove_file(site.path("restart.jsonl")).unwrap();
    fs::remove_file(site.path("restart.head")).unwrap();
    let (_, notes) = site.open();
    assert!(
        notes.iter().any(|note| note.contains("missing after a crash")) && !notes.iter().any(|note| note.contains("otherwise")),
        "{notes:?}"
    );
    assert!(site.decisions()[0].get("incident_opened").is_some());
}

#[test]
fn an_answer_without_end_is_cut_before_anything_is_decided_of_it() {
    let names: Vec<Name> = (0..40_000).map(|index| Name::from(format!("a-long-name-of-a-target-{index}"))).collect();
    let Input::Listed { names, error, .. } = fitting(Input::Listed { query: 0, names, error: String::new() }) else {
        panic!("it is a list")
    };
    assert_eq!((names.len(), error.as_str()), (0, "40000 names are too many to be written down"));
    let figures = "x".repeat(3 << 20);
    let Input::Evaluated { figures, verdict, .. } = fitting(Input::Evaluated { query: 0, verdict: Truth::True, figures }) else {
        panic!("it is a verdict")
    };
    assert!(figures.len() < 20_000 && verdict == Truth::True);
}

#[test]
fn an_answer_that_nobody_waits_for_leaves_no_question_open() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let (_, wants) = tell(&mut keeper, vec![alert("api-1", 990, None)]);
    assert_eq!(keeper.metrics.asking.load(Ordering::Relaxed), 1);
    tell(&mut keeper, vec![alert("api-1", 990, Some(999))]);
    assert_eq!(keeper.metrics.asking.load(Ordering::Relaxed), 0, "the incident is over");
    answer(&mut keeper, &wants);
    assert_eq!(site.would_act(), 0);
    drop(keeper);
    assert!(site.open().0.watcher().wants().is_empty());
}

#[test]
fn where_two_clones_began_to_watch_alerts_began_when_they_did() {
    let one = Start::default();
    let other = Start::from_unix_millis(one.unix_millis() + 5_000);
    let began = |start: Start, second: u64| {
        let at = Time::from_seconds(second);
        let told =
            Alerted { notification: Notification { starts_at: at, ..alert("api-1", 0, None).notification }, ends_at: None, group: None };
        let session = Observation::Began { policies: BTreeMap::new(), engine: "e".into(), start_ms: start.unix_millis() };
        let at = Time::from_seconds(second + 1);
        [(Observed { at, what: session }, None), (Observed { at, what: Observation::Told { alerts: vec![told] } }, None)]
    };
    let folder = tempfile::tempdir().unwrap();
    let text = |start: Start, second: u64| {
        let path = folder.path().join(format!("of-{second}"));
        let (mut book, _) = Book::open(&path, start, BTreeMap::new()).unwrap_or_else(|failure| panic!("{failure:?}"));
        book.observe(&began(start, second), &Inventory::default()).unwrap_or_else(|failure| panic!("{failure:?}"));
        fs::read_to_string(path.join("watch.jsonl")).unwrap()
    };
    let both = text(one, 105) + &text(other, 100);
    let chain = crate::ledger::Chain::of_bytes(&Name::new(WATCH), "watch", both.as_bytes());
    let (_, observed, _) = crate::watch::observations(&chain).unwrap_or_else(|failure| panic!("{failure:?}"));
    let starts: Vec<Time> = observed
        .iter()
        .filter_map(|own| if let Observation::Told { alerts } = &own.what { Some(alerts[0].notification.starts_at) } else { None })
        .collect();
    assert_eq!(starts, [Time::from_seconds(105); 2]);
}

#[test]
fn whether_prometheus_answers_is_written_down_when_it_changes_and_every_hour() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let answers = || -> Vec<bool> {
        let state = |what: &What| match what {
            What::State { of, value } if of == ANSWERING => value["answers"].as_bool(),
            _ => None,
        };
        site.entries(WATCH).iter().filter_map(state).collect()
    };
    let mut say = |why_not: Option<&str>| {
        site.later(60);
        let _ = keeper.round(vec![Message::Answering { why_not: why_not.map(str::to_owned) }]).unwrap();
    };
    say(None);
    say(None);
    assert_eq!(answers(), [true]);
    say(Some("no route"));
    say(Some("no route"));
    assert_eq!(answers(), [true, false]);
    site.later(3_600);
    say(Some("no route"));
    say(None);
    assert_eq!(answers(), [true, false, false, true]);
    drop(keeper);
    let (_, notes) = site.open();
    assert!(!notes.iter().any(|note| note.contains("clock")), "{notes:?}");
}

#[test]
fn that_a_simulation_is_watched_is_written_down_once_a_session() {
    let site = Site::new();
    let marks =
        || site.entries(WATCH).iter().filter(|what| matches!(what, What::State { of, .. } if of == crate::ledger::REHEARSAL)).count();
    for session in 1..3 {
        let (mut keeper, _) = site.open();
        assert_eq!(marks(), session - 1, "a session knows nothing of the one before");
        for _ in 0..2 {
            site.later(60);
            let _ = keeper.round(vec![Message::Rehearsed { told: "a test" }]).unwrap();
        }
        assert_eq!(marks(), session);
    }
}

#[test]
fn who_answers_a_question_is_there() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    let input = Input::Timer { timer: 0 };
    let _ = keeper.round(vec![Message::Answer { policy: Name::new("p"), input, is_known: true }]).unwrap();
    assert_eq!(keeper.metrics.answers.load(Ordering::Relaxed), 1);
}

#[test]
fn a_clock_that_is_behind_the_ledger_is_told_at_the_start() {
    let site = Site::new();
    site.open();
    *site.hands.0.lock().unwrap() -= 600;
    let (_, notes) = site.open();
    assert!(notes.iter().any(|note| note.contains("the clock is behind the ledger")), "{notes:?}");
}

#[test]
fn where_no_alert_has_room_any_more_the_ends_of_those_that_are_known_are_taken_and_make_room() {
    let site = Site::new();
    let (mut keeper, _) = site.open();
    keeper.most_alerts = 2;
    let told = |keeper: &mut Keeper, alerts: &[Alerted]| tell(keeper, alerts.to_vec()).0;
    let kept = |news| Taken::Kept { news, repeated: 0, late: 0 };
    let [one, other, third] = ["api-1", "api-2", "api-3"].map(|pod| alert(pod, 990, None));
    assert_eq!(told(&mut keeper, &[one, other]), kept(2));
    assert_eq!(told(&mut keeper, std::slice::from_ref(&third)), Taken::NoRoom);
    let (end, end_of_other) = (alert("api-1", 990, Some(999)), alert("api-2", 990, Some(999)));
    // In one message with what finds no room it is taken as well.
    assert_eq!(told(&mut keeper, &[end.clone(), third.clone()]), Taken::NoRoom);
    assert_eq!(told(&mut keeper, &[end]), Taken::Kept { news: 0, repeated: 1, late: 0 });
    let closed = |site: &Site| site.decisions().iter().filter(|event| event.get("incident_closed").is_some()).count();
    assert_eq!(closed(&site), 1, "the policy has heard of it");
    site.later(60);
    assert_eq!(told(&mut keeper, &[end_of_other]), kept(1));
    site.later(239);
    assert_eq!(told(&mut keeper, std::slice::from_ref(&third)), Taken::NoRoom, "what is lately over is remembered");
    site.later(1);
    assert_eq!(told(&mut keeper, &[third]), kept(1), "without a wait for the next sign of life");
    assert_eq!(keeper.watcher().load().0, 2);
    let events = site.decisions();
    drop(keeper);
    // All of that stands in the ledger: who hears it again remembers the same.
    fs::remove_file(site.path("watch.state")).unwrap();
    let (keeper, _) = site.open();
    assert_eq!((keeper.watcher().load().0, site.decisions()), (2, events));
}

/// What a watcher of two policies is told and answered; `meanwhile` happens before the second half of it.
fn with_two(meanwhile: impl FnOnce(&Site, &mut Keeper)) -> (Site, Keeper) {
    let mut site = Site::new();
    site.others = vec![RESTART.replace("policy: restart", "policy: other")];
    let (mut keeper, _) = site.open();
    let (_, wants) = tell(&mut keeper, vec![alert("api-1", 990, None)]);
    answer(&mut keeper, &wants);
    meanwhile(&site, &mut keeper);
    for pod in ["api-2", "api-3"] {
        site.later(7);
        let (taken, wants) = tell(&mut keeper, vec![alert(pod, 1_000, None)]);
        assert_eq!(taken, KEPT);
        answer(&mut keeper, &wants);
    }
    (site, keeper)
}

#[test]
fn a_policy_whose_chain_cannot_be_written_is_set_aside_and_costs_the_others_nothing() {
    let (undisturbed, _) = with_two(|_, _| {});
    let conflict = "<<<<<<< HEAD\n";
    for is_held in [true, false] {
        let (site, mut keeper) = with_two(|site, keeper| {
            if !is_held {
                keeper.book.release_all();
            }
            let text = fs::read_to_string(site.path("restart.jsonl")).unwrap();
            fs::write(site.path("restart.jsonl"), text + conflict).unwrap();
        });
        assert_eq!(keeper.metrics.set_aside.load(Ordering::Relaxed), 1);
        assert_eq!(site.decisions_of("other"), undisturbed.decisions_of("other"), "what the other decides stands in its chain");
        assert_eq!(keeper.watcher().wants().len(), 0, "it is asked and answered all the same");
        let aside = site.entries(WATCH).iter().filter(|what| matches!(what, What::State { of, .. } if of == ASIDE)).count();
        assert_eq!(aside, 1, "that stands in the watcher's own chain");
        // No memory is kept of what the chain does not have.
        keeper.remember();
        drop(keeper);
        let text = fs::read_to_string(site.path("restart.jsonl")).unwrap();
        fs::write(site.path("restart.jsonl"), text.replace(conflict, "")).unwrap();
        let before = site.decisions().len();
        let (keeper, notes) = site.open();
        assert!(notes.iter().any(|note| note.contains("missing after a crash")), "{notes:?}");
        assert!(before < site.decisions().len());
        assert_eq!(site.decisions(), undisturbed.decisions(), "what it decided meanwhile is found again");
        assert_eq!(keeper.metrics.set_aside.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_policy_whose_chain_cannot_be_read_for_its_demotion_is_set_aside_too() {
    let mut site = Site::new();
    let guard = "  rate_limit: [{ max: 3, window: 1h, scope: all }]";
    site.policy = RESTART.replace(guard, "  breaker: { actions: 1, within: 1h, try_again_after: 1m }");
    let (mut keeper, _) = site.open();
    let trips = |keeper: &mut Keeper, pod: &str| {
        site.later(1);
        let (taken, wants) = tell(keeper, vec![alert(pod, 990, None)]);
        assert_eq!(taken, KEPT);
        answer(keeper, &wants);
    };
    trips(&mut keeper, "api-1");
    // Its breaker refuses next, by which it could be taken back. Whoever writes sees that it is the same file, and whoever reads it sees more.
    let text = fs::read_to_string(site.path("restart.jsonl")).unwrap();
    let damaged = text.replacen("\"watch\"", "\"hctaw\"", 1);
    assert_ne!(damaged, text);
    fs::write(site.path("restart.jsonl"), damaged).unwrap();
    trips(&mut keeper, "api-2");
    assert_eq!(keeper.metrics.set_aside.load(Ordering::Relaxed), 1);
    let lines = || fs::read_to_string(site.path("restart.jsonl")).unwrap().lines().count();
    let before = lines();
    assert!(before > text.lines().count(), "what it decided then was written");
    trips(&mut keeper, "api-3");
    assert_eq!(lines(), before, "nothing more is written to it");
    let aside = |what: &What| match what {
        What::State { of, value } if of == ASIDE => value["policy"].as_str().map(str::to_owned),
        _ => None,
    };
    assert_eq!(site.entries(WATCH).iter().filter_map(aside).collect::<Vec<_>>(), ["restart"], "that stands there once");
}
