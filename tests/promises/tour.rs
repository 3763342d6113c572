//! The tour (docs/tour.md) with time that is let pass by hand: a policy from its draft through gate, dry-run and shadow to the stage approval, on
//! simulated live traffic of four weeks, and what was captured of it replays to the same decisions.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{firedrill, words};
use firedrill::drill::{Drill, Remembered};
use firedrill::home::Home;
use firedrill::ledger::{Bound, Ledger, What};
use firedrill::prometheus::{Exchange, Prometheus, Reply, Trouble};
use firedrill::rehearsal::{Rehearsal, Request, Serving, answer};
use firedrill::sources;
use firedrill::watch::{Asks, Clock, Keeper, KeeperSetup, Message, Metrics, Taken, read_webhook};
use firedrill_core::name::Name;
use firedrill_core::time::{Start, Time};
use firedrill_policies::guard::stage::Stage;
use firedrill_scenarios::Scenario;
use firedrill_sim::spec::WorldSpec;

const POLICY: &str = "rollback-on-regression";

/// A clock that a test sets: nanoseconds since 1970.
struct Hands(Mutex<i64>);

impl Clock for Hands {
    fn calendar(&self) -> i64 {
        *self.0.lock().unwrap()
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.calendar()).unwrap())
    }
}

impl Hands {
    fn set(&self, at: Start) {
        *self.0.lock().unwrap() = at.unix_millis() * 1_000_000;
    }
}

/// The rehearsal's Prometheus, without a socket.
#[derive(Debug)]
struct Asked(Serving);

impl Exchange for Asked {
    fn exchange(&self, path: &str, form: &[(&str, String)]) -> Result<Reply, Trouble> {
        let fields = form.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let response = self.0.with(|rehearsal| answer(rehearsal, &Request { path: path.to_owned(), fields }));
        Ok(Reply { status: response.status, body: response.body.into_bytes() })
    }
}

/// The project's scenario, as it would begin at another time.
fn drill(folder: &Path, start: Start) -> Drill {
    let home = Home::at(&folder.display().to_string()).unwrap();
    let scenario = home.scenarios().unwrap().remove(0);
    let spec = WorldSpec { start, ..WorldSpec::clone(&scenario.spec) };
    let scenario = Arc::new(Scenario { spec: Arc::new(spec), ..Scenario::clone(&scenario) });
    let rules = sources::rules(&["rules"], folder).unwrap();
    Drill { scenario, rules, answer: home.answer::<String>(&[]).unwrap(), stage: Stage::DryRun, past: Remembered::default() }
}

/// A keeper of the project's ledger at this stage, by this clock.
fn keeper(folder: &Path, stage: Stage, clock: &Arc<Hands>) -> Keeper {
    let home = Home::at(&folder.display().to_string()).unwrap();
    let policies = home.policies().unwrap().policies.clone();
    let rules = sources::rules(&["rules"], folder).unwrap();
    let inventory = Arc::new(home.scenarios().unwrap()[0].spec.inventory());
    let policies = policies.into_iter().map(|policy| (Arc::clone(&policy), stage, Bound::of(&policy, &rules.set))).collect();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Keeper::open(KeeperSetup { folder: folder.join("ledger"), policies, inventory, clock, metrics: Arc::new(Metrics::default()) })
        .unwrap()
        .0
}

/// Lets a rehearsal pass beside a watcher: each webhook is taken, each question is answered at once, and nothing happens in between.
fn watch(keeper: &mut Keeper, serving: &Serving, clock: &Hands, seed: &str) {
    let prometheus = Prometheus::over("http://rehearsal", Arc::new(Asked(serving.clone())));
    let start = keeper.watcher().start();
    let mut webhooks = 0;
    loop {
        // The next thing that happens: a webhook, or something that the watcher waits for.
        let due = keeper.watcher().due().map(|due| start.prometheus_millis(due));
        let until = |rehearsal: &Rehearsal| due.and_then(|due| rehearsal.start().time_of(due)).unwrap_or(Time::MAX);
        let (sent, is_over) = serving.with(|rehearsal| {
            // When it is over, what fires is over too.
            if rehearsal.is_over() {
                return (rehearsal.conclude(), true);
            }
            let until = until(rehearsal);
            (rehearsal.advance(until), false)
        });
        let now = serving.with(|rehearsal| Start::from_unix_millis(rehearsal.now_ms()));
        clock.set(now);
        let mut replies = Vec::new();
        let mut messages: Vec<Message> = Vec::new();
        for webhook in &sent {
            let (reply, taken) = tokio::sync::oneshot::channel();
            let (alerts, truncated) = read_webhook(webhook.body.as_bytes(), start).unwrap();
            assert_eq!(truncated, 0);
            messages.push(Message::Webhook { alerts, bytes: webhook.body.len(), reply });
            replies.push(taken);
        }
        let (mut at, mut wants) = keeper.round(messages).unwrap();
        while !wants.is_empty() {
            let answered = wants.iter().map(|want| {
                let input = want.answer(at, &mut |expression, at_ms| prometheus.ask(expression, at_ms));
                Message::Answer { policy: want.policy.name.clone(), input, is_known: true }
            });
            (at, wants) = keeper.round(answered.collect()).unwrap();
        }
        for mut taken in replies {
            assert!(matches!(taken.try_recv(), Ok(Taken::Kept { .. })), "what is acknowledged is kept");
            webhooks += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(webhooks > 0, "{seed}: no alert reached the watcher");
}

/// The events of the chain that would have been actions, as `label` calls them.
fn would_acts(folder: &Path) -> Vec<String> {
    let chain = Ledger::read(&folder.join("ledger"), &Name::new(POLICY)).unwrap().sound().unwrap();
    let acts =
        chain.entries.iter().filter(|own| matches!(&own.entry.what, What::Decision { event, .. } if event.get("would_act").is_some()));
    acts.map(|own| format!("{POLICY}#{}", own.number)).collect()
}

/// Five bad deploys, `apart` days from one to the next, the first of them so many days from now; watched until so many days after the last.
fn five_bad_deploys(folder: &Path, stage: Stage, (first, apart, after): (i64, i64, i64)) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let day_ms = 86_400_000;
    let first_ms = now_ms + first * day_ms;
    let clock = Arc::new(Hands(Mutex::new(first_ms * 1_000_000)));
    let mut keeper = keeper(folder, stage, &clock);
    for number in 0..5 {
        let start = Start::from_unix_millis(first_ms + number * apart * day_ms);
        let rehearsal = Rehearsal::of(&drill(folder, start), u64::try_from(number).unwrap() + 1);
        watch(&mut keeper, &Serving::new(rehearsal), &clock, &format!("deploy {number}"));
    }
    // It watches on: what nobody watched is no evidence.
    clock.set(Start::from_unix_millis(first_ms + (4 * apart + after) * day_ms));
    keeper.round(Vec::new()).unwrap();
}

#[test]
fn a_policy_goes_from_its_draft_to_the_stage_approval_and_what_was_seen_of_it_replays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |line: &str| firedrill(folder, &words(line));
    run("init").exits(0);
    run("check").exits(0);

    // From the draft to dry-run: what is rehearsed must hold.
    run("gate --no-cache").exits(0);
    run(&format!("promote {POLICY} --by ada")).exits(0).says("dry-run");
    run(&format!("promote {POLICY} --by ada")).exits(1).says("nothing was seen live");

    // Dry-run: five bad deploys in nine days of fifteen, of which nobody has said anything yet.
    five_bad_deploys(folder, Stage::DryRun, (0, 2, 7));
    run("audit").exits(0);
    let events = would_acts(folder);
    assert_eq!(events.len(), 5, "each bad deploy is answered: {events:?}");
    run(&format!("promote {POLICY} --by ada")).exits(1).says("without a label");
    for event in &events {
        run(&format!("label {event} right --cause bad-release --by bob")).exits(0);
    }
    run(&format!("promote {POLICY} --by ada")).exits(0).says("shadow");

    // Shadow: five more, compared with what people did.
    five_bad_deploys(folder, Stage::Shadow, (16, 1, 1));
    let later: Vec<String> = would_acts(folder).split_off(5);
    assert_eq!(later.len(), 5, "{later:?}");
    for event in &later {
        run(&format!("label {event} right --cause bad-release --by bob")).exits(0);
    }
    run(&format!("shadow {POLICY} --by bob")).exits(0);
    run(&format!("promote {POLICY} --by ada")).exits(0).says("approval");
    run("status").exits(0).says("approval");
    run("audit").exits(0);

    // What was seen is the next test, and teaches.
    run(&format!("capture {POLICY}#2 --out captured")).exits(0).says("decisions that stand in the ledger");
    let replayed = run("replay captured --out replayed").exits(0);
    let total = fs::read_to_string(folder.join("captured/watched.json")).unwrap().matches("\"would_act\"").count();
    assert_eq!(total, 1, "one bad deploy is captured, and not its neighbours");
    assert!(replayed.stdout.contains("decisions as they were made live"), "{}", replayed.stdout);
    let journal = fs::read_to_string(folder.join("replayed/journal.jsonl")).unwrap();
    assert_eq!(journal.matches("\"would_act\"").count(), 1);
    let found = run("learn --format json").exits(0).json();
    assert_eq!(found["together"]["resolutions"]["unproven"], 10, "{found:#}");
}

#[test]
fn a_capture_says_what_it_cannot_take() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |line: &str| firedrill(folder, &words(line));
    run("init").exits(0);
    run(&format!("capture {POLICY}#0")).exits(2).says("there is no ledger");
    five_bad_deploys(folder, Stage::DryRun, (0, 3, 1));
    run(&format!("capture {POLICY}#99")).exits(2).says("FD0882").says(&format!("{POLICY}#4"));
    // Another version asks other questions than were answered then.
    let path = folder.join("policies").join(format!("{POLICY}.yaml"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("within: 6m", "within: 7m")).unwrap();
    run(&format!("capture {POLICY}#2")).exits(2).says("FD0883").says("is not what it was when it watched");
    fs::write(&path, text.replace("description: Undo", "description: To undo")).unwrap();
    run(&format!("capture {POLICY}#2 --out captured")).exits(0);
    // To other policies the recording is played, in which there is nothing to ask about.
    let others = run("replay captured --policy restart-crashed-or-hung").exits(0);
    assert!(!others.stdout.contains("as they were made live"), "{}", others.stdout);
    let watched = folder.join("captured/watched.json");
    fs::write(&watched, fs::read_to_string(&watched).unwrap().replace("firedrill.watched/1", "firedrill.watched/9")).unwrap();
    run("replay captured").exits(2).says("FD0881");
}
