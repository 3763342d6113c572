//! The tour (docs/tour.md) with time that is let pass by hand: a policy from its draft through gate, dry-run and shadow to the stage approval, on
//! simulated live traffic of four weeks, and what was captured of it replays to the same decisions. And its commands as they are written, in real time.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the tour's watcher is another process")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{firedrill, root, words};
use firedrill::drill::{Drill, Remembered};
use firedrill::home::Home;
use firedrill::ledger::{Bound, Ledger, What};
use firedrill::prometheus::{Exchange, Prometheus, Reply, Trouble};
use firedrill::rehearsal::{Rehearsal, Request, Serving, answer};
use firedrill::sources;
use firedrill::watch::{Asks, Clock, Keeper, KeeperSetup, Message, Metrics, Taken, Webhook, read_webhook};
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
    let (metrics, promotions) = (Arc::new(Metrics::default()), home.project.as_ref().unwrap().promotions.clone());
    Keeper::open(KeeperSetup { folder: folder.join("ledger"), policies, inventory, clock, metrics, promotions }).unwrap().0
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
            let Webhook { alerts, refused, truncated } = read_webhook(webhook.body.as_bytes(), start).unwrap();
            assert_eq!((refused.count, truncated), (0, 0));
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
        watch_on(&mut keeper, &clock, start);
        let rehearsal = Rehearsal::of(&drill(folder, start), u64::try_from(number).unwrap() + 1);
        watch(&mut keeper, &Serving::new(rehearsal), &clock, &format!("deploy {number}"));
    }
    // It watches on: what nobody watched is no evidence.
    watch_on(&mut keeper, &clock, Start::from_unix_millis(first_ms + (4 * apart + after) * day_ms));
}

/// Lets time pass in which nothing happens: a watcher gives a sign of life every hour.
fn watch_on(keeper: &mut Keeper, clock: &Hands, until: Start) {
    let now_ms = |clock: &Hands| *clock.0.lock().unwrap() / 1_000_000;
    while now_ms(clock) < until.unix_millis() {
        clock.set(Start::from_unix_millis((now_ms(clock) + 3_600_000).min(until.unix_millis())));
        keeper.round(Vec::new()).unwrap();
    }
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
    // Closed loop, where a scenario models it.
    let played = run(&format!("shadow {POLICY} --scenario bad-deploy --format json")).exits(0).json();
    assert_eq!((&played["rehearsed"]["scenarios"], &played["rehearsed"]["runs"]), (&serde_json::json!(["bad-deploy"]), &5.into()));
    assert!(
        played["rehearsed"]["benefit_mean"].as_f64().unwrap() > 0.0 && played["rehearsed"]["harm_worst"].as_f64().unwrap() < 1.0,
        "{played:#}"
    );
    run(&format!("shadow {POLICY} --scenario bad-deploy")).exits(0).says("closed loop, in bad-deploy (5 runs): harm ");
    run(&format!("shadow {POLICY} --scenario no-such-scenario")).exits(2).says("no-such-scenario");

    // The last steps, as the tour has them.
    let blocks = blocks("sh");
    let steps: Vec<&str> = blocks[blocks.len() - 2..].iter().flat_map(|block| block.lines()).collect();
    for step in &steps {
        let done = run(step.strip_prefix("firedrill ").unwrap()).exits(0);
        match step.split(' ').nth(1).unwrap() {
            "shadow" => drop(done.says("10 incidents compared, 10 agree")),
            "promote" => drop(done.says("approval")),
            "capture" => drop(done.says("decisions that stand in the ledger").says("add to firedrill.yaml: `incidents: [incidents]`")),
            "replay" => drop(done.says("decisions as they were made live")),
            "learn" => {}
            other => panic!("what is `{other}` to say?"),
        }
    }
    assert_eq!(steps.len(), 5, "{steps:?}");
    run("status").exits(0).says("approval");
    run("audit").exits(0);
    let captured = folder.join(format!("incidents/{POLICY}-1"));
    let total = fs::read_to_string(captured.join("watched.json")).unwrap().matches("\"would_act\"").count();
    assert_eq!(total, 1, "one bad deploy is captured, and not its neighbours");
    run(&format!("replay incidents/{POLICY}-1 --out replayed")).exits(0);
    let journal = fs::read_to_string(folder.join("replayed/journal.jsonl")).unwrap();
    assert_eq!(journal.matches("\"would_act\"").count(), 1);
    let found = run("learn --format json").exits(0).json();
    assert_eq!(found["together"]["resolutions"]["unproven"], 10, "{found:#}");
}

/// The blocks of a language in the tour, in order.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/tour.md")).unwrap();
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a block of the tour as a shell does. Rehearsals are faster than the tour has them; nothing else is another.
#[track_caller]
fn shell(folder: &Path, block: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_firedrill"));
    let faster =
        format!("firedrill() {{ if [ \"$1\" = rehearse-live ]; then set -- \"$@\" --speed 300; fi; {} \"$@\"; }}\n", binary.display());
    let mut command = Command::new("sh");
    command.args(["-ec", &(faster + block)]).current_dir(folder).env("COLUMNS", "110").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{block}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// An address of this machine at which nobody listens.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_commands_of_the_tour_lead_from_a_draft_to_the_stage_shadow() {
    let above = tempfile::tempdir().unwrap();
    let [watcher, prometheus] = [free(), free()];
    let blocks: Vec<String> =
        blocks("sh").iter().map(|block| block.replace("127.0.0.1:9095", &watcher).replace("127.0.0.1:9090", &prometheus)).collect();
    let [project, to_dry_run, watch, rehearse, look, label, ..] = blocks.as_slice() else { panic!("{blocks:?}") };
    shell(above.path(), project);
    let folder = above.path().join("tour");
    assert!(shell(&folder, to_dry_run).contains("dry-run"));
    let settings = folder.join("firedrill.yaml");
    fs::write(&settings, fs::read_to_string(&settings).unwrap() + &crate::tour::blocks("yaml")[0]).unwrap();
    let arguments = words(watch.trim().strip_prefix("firedrill ").unwrap());
    let mut watching =
        Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(&folder).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watching.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("/webhook")), "it says where it listens");
    std::thread::spawn(move || said.for_each(drop));
    shell(&folder, rehearse);
    let is_asking = || {
        let mut stream = TcpStream::connect(&watcher).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        !text.contains("\nfiredrill_watch_open_questions 0\n")
    };
    while is_asking() {}
    assert!(shell(&folder, look).contains("would"), "what it would have done stands there");
    Command::new("kill").args(["-TERM", &watching.id().to_string()]).status().unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));
    let [event] = would_acts(&folder).try_into().unwrap();
    let refused = firedrill(&folder, &["promote", POLICY, "--by", "ada"]).exits(1);
    assert!(refused.stdout.contains(&event) || refused.stderr.contains(&event), "the refusal names {event}: {}", refused.stdout);
    let number = event.rsplit_once('#').unwrap().1;
    // What a simulation has shown counts because the project says so.
    let counts = "  rehearsed: counts\n";
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace(counts, "")).unwrap();
    firedrill(&folder, &["promote", POLICY, "--by", "ada"])
        .exits(1)
        .says(&format!("{event}: it is of a simulation"))
        .says("events: 0 of 1");
    firedrill(&folder, &["audit", "watch"]).exits(0).says("1 session of a simulation");
    firedrill(&folder, &["learn"]).exits(0).says("(a rehearsed system)");
    assert!(text.contains(counts));
    fs::write(&settings, text).unwrap();
    let promoted = shell(&folder, &label.replace("NUMBER", number));
    assert!(promoted.contains("shadow") && promoted.contains("of a simulation, and it counts as if it were of life"), "{promoted}");
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
    run(&format!("capture {POLICY}")).exits(2).says("FD0882").says(&format!("{POLICY}#4"));
    assert!(!folder.join("incidents").exists());
    // Another version asks other questions than were answered then.
    let path = folder.join("policies").join(format!("{POLICY}.yaml"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("within: 6m", "within: 7m")).unwrap();
    run(&format!("capture {POLICY}#2")).exits(2).says("FD0883").says("is not what it was when it watched");
    fs::write(&path, text.replace("description: Undo", "description: To undo")).unwrap();
    let event = &would_acts(folder)[2];
    run(&format!("label {event} right --cause bad-release --by bob")).exits(0);
    run(&format!("capture {POLICY}#2 --out captured")).exits(0);
    let page = fs::read_to_string(folder.join("captured/incident.yaml")).unwrap();
    for told in [
        "cause: bad-release # as bob said",
        "target: service/checkout # guess",
        "# guess: when its alert was over, as the watcher was told",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let taken = run(&format!("capture {POLICY}#2 --out captured")).exits(2).stderr;
    assert!(taken.contains("is not empty") && !taken.contains("--name"), "{taken}");
    // To other policies the recording is played, in which there is nothing to ask about.
    let others = run("replay captured --policy restart-crashed-or-hung").exits(0);
    assert!(!others.stdout.contains("as they were made live"), "{}", others.stdout);
    // Nor to another version of its own, of which nothing can be told then: that is no pass.
    fs::write(&path, text.replace("within: 6m", "within: 7m")).unwrap();
    run(&format!("replay captured --policy {POLICY}")).exits(0).says("cannot be judged: it was captured without samples");
    let project = folder.join("firedrill.yaml");
    let named = fs::read_to_string(&project).unwrap();
    fs::write(&project, format!("{named}\nincidents: [captured]\n")).unwrap();
    run("gate").exits(3).says("cannot be judged").says("capture it again with");
    fs::write(&path, &text).unwrap();
    let gate = run("gate").exits(0);
    assert!(!gate.stdout.contains("rules cannot fire"), "the copies of rules are no rules beside them: {}", gate.stdout);
    // What a policy did in the other incidents of that time is none of this one's.
    let draft = run("replay captured --write-expect").exits(0).stdout;
    assert_eq!(draft.matches("action: rollback").count(), 1, "{draft}");
    let watched = folder.join("captured/watched.json");
    fs::write(&watched, fs::read_to_string(&watched).unwrap().replace("firedrill.watched/1", "firedrill.watched/9")).unwrap();
    run("replay captured").exits(2).says("FD0881");
}
