//! Random configurations and random streams of alerts, put to a real Alertmanager and to ours: both tell the same receivers the same alerts at
//! the same time, or the difference between the versions is known. `cargo test --test differential alertmanager`;
//! `DIFFERENTIAL_SEED` repeats a run.
//!
//! Alertmanager is the one that the system packages, 0.25 in Debian 12. It runs in real time, so all times are of seconds, and no two things that
//! hang on each other come within a quarter of a second: alerts are posted at whole seconds, groups are looked at half a second later, and what
//! ends by itself ends at a quarter.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the real program lives in real time")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use firedrill_core::journal::LabelSet;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Start, Time};
use firedrill_policies::alertmanager::{Alertmanager, NoteKind, PostedAlert, Silence, payload, read_config};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

/// How many configurations, each with a stream of its own; they run side by side.
const CASES: usize = 16;

/// How long a stream lasts, and how long is waited after it, seconds.
const POSTING: u64 = 14;
const LISTENING: u64 = 24;

/// A message may come so much later than it should; a busy machine needs a while.
const SLACK_MS: i64 = 450;

/// The keys of messages that differ between the versions, and the reason.
const DIFFERENCES: &str = "tests/differential/alertmanager.tsv";

#[test]
fn alertmanager_in_virtual_time_tells_what_the_real_one_tells() {
    let seed = std::env::var("DIFFERENTIAL_SEED").map_or(20_260_105, |seed| seed.parse().expect("DIFFERENTIAL_SEED is a number"));
    let again = format!("DIFFERENTIAL_SEED={seed} cargo test --test differential alertmanager");
    println!("repeat with {again}");
    let cases: Vec<Case> = (0..CASES as u64).map(|index| Case::random(seed + index)).collect();
    let known = known_differences();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let all: Vec<usize> = (0..CASES).collect();
    let mut played = play(&cases, &all, &known);
    // A machine that was too busy tells late; once more and among fewer, only a difference is left.
    let failed: Vec<usize> = all.into_iter().filter(|index| played[index].is_err()).collect();
    played.extend(play(&cases, &failed, &known));
    let (mut failures, mut messages) = (String::new(), 0);
    for (index, agreement) in played {
        match agreement {
            Ok(agreement) => {
                messages += agreement.messages;
                for key in agreement.differing {
                    *seen.entry(key).or_default() += 1;
                }
            }
            Err(difference) => writeln!(failures, "case {index} (seed {}):\n{difference}", seed + index as u64).unwrap(),
        }
    }
    println!("{messages} messages agree; known differences: {seen:?}");
    assert!(failures.is_empty(), "{failures}\n{again}");
    assert!(messages > CASES * 4, "so few messages prove nothing: {messages}");
    for key in known.keys() {
        assert!(seen.contains_key(key), "`{key}` no longer differs: it must leave {DIFFERENCES}");
    }
}

/// Plays some of the cases side by side.
fn play(cases: &[Case], which: &[usize], known: &BTreeMap<String, String>) -> BTreeMap<usize, Result<Agreement, String>> {
    thread::scope(|scope| {
        let threads: Vec<_> = which.iter().map(|index| (*index, scope.spawn(|| cases[*index].compare(known)))).collect();
        threads.into_iter().map(|(index, thread)| (index, thread.join().unwrap())).collect()
    })
}

/// Keys of a message that one of the two does not have, or has otherwise.
fn known_differences() -> BTreeMap<String, String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DIFFERENCES)).unwrap();
    text.lines()
        .skip(1)
        .map(|line| line.split_once('\t').expect("a key, a tab and a reason"))
        .map(|(key, why)| (key.into(), why.into()))
        .collect()
}

/// A configuration and what is done to it.
struct Case {
    config: String,
    deeds: Vec<(u64, Deed)>,
}

/// What is done at a second.
enum Deed {
    /// An alert is posted, active since now; it ends after so many milliseconds, or when nobody posts it again.
    Post { labels: LabelSet, lasts_ms: Option<i64> },
    /// An alert is posted as over.
    End { labels: LabelSet, since: u64 },
    /// Alerts of a zone are silenced from so many milliseconds on, for so many.
    Silence { zone: &'static str, from_ms: i64, lasts_ms: i64 },
}

struct Agreement {
    messages: usize,
    differing: Vec<String>,
}

/// A message as it came: when, milliseconds after the start; at which address; and what it said.
#[derive(Clone, Debug)]
struct Heard {
    at_ms: i64,
    address: String,
    body: Json,
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.0.next_u32()) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

const NAMES: [&str; 3] = ["Down", "Slow", "Full"];
const ZONES: [&str; 2] = ["a", "b"];
const SEVERITIES: [&str; 2] = ["page", "note"];

impl Case {
    fn random(seed: u64) -> Self {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let config = config(&mut dice);
        let mut deeds: Vec<(u64, Deed)> = Vec::new();
        // Since which second an alert is active, and until when it surely is, milliseconds: an end that is posted for what has ended by itself
        // would open a group that is looked at at a whole second, and at whole seconds alerts come.
        let mut since: BTreeMap<LabelSet, (u64, u64)> = BTreeMap::new();
        for second in 1..=POSTING {
            for _ in 0..dice.below(3) {
                let labels = labels(&mut dice);
                since.retain(|_, (_, until_ms)| *until_ms > 1_000 * second);
                let active = since.get(&labels).copied();
                match (active, dice.below(4)) {
                    (Some((begun, _)), 0..=1) => {
                        since.remove(&labels);
                        deeds.push((second, Deed::End { labels, since: begun }));
                    }
                    _ => {
                        let lasts_ms = dice.of(&[None, Some(60_000), Some(60_000), Some(3_250), Some(6_250)]);
                        let until_ms = 1_000 * second + lasts_ms.map_or(5_250, i64::unsigned_abs);
                        let known = since.entry(labels.clone()).or_insert((second, until_ms));
                        known.1 = known.1.min(until_ms);
                        deeds.push((second, Deed::Post { labels, lasts_ms }));
                    }
                }
            }
            if dice.one_in(9) {
                let (zone, lasts_ms) = (dice.of(&ZONES), 3_000 + 1_000 * dice.below(4) as i64);
                deeds.push((second, Deed::Silence { zone, from_ms: 250, lasts_ms }));
            }
        }
        Self { config, deeds }
    }

    /// Plays the case in both.
    fn compare(&self, known: &BTreeMap<String, String>) -> Result<Agreement, String> {
        let folder = tempfile::tempdir().unwrap();
        let listener = Listener::start();
        let real = Real::start(folder.path(), &self.config.replace("http://ear", &format!("http://127.0.0.1:{}", listener.port)));
        // On a whole second, so that times look the same on both sides.
        let start_ms = (now_ms() / 1_000 + 2) * 1_000;
        let start = Start::from_unix_millis(start_ms);
        let mut late_ms = 0;
        for (second, deed) in &self.deeds {
            let at_ms = start_ms + 1_000 * *second as i64;
            wait_until(at_ms);
            late_ms = late_ms.max(now_ms() - at_ms);
            real.carry_out(deed, start, *second);
        }
        wait_until(start_ms + 1_000 * LISTENING as i64);
        let theirs = listener.heard(start_ms);
        drop(real);
        let (ours, anew) = self.ours(start);
        // From there on the two count a group's time from different moments.
        let is_comparable = |heard: &Heard| anew.get(heard.body["groupKey"].as_str().unwrap()).is_none_or(|from_ms| heard.at_ms < *from_ms);
        let [theirs, ours] = [theirs, ours].map(|heard| heard.into_iter().filter(is_comparable).collect::<Vec<_>>());
        difference(&theirs, &ours, known).map_err(|difference| {
            let listed = |heard: &[Heard]| heard.iter().fold(String::new(), |text, heard| text + &format!("    {}\n", line(heard)));
            format!(
                "{difference} (posted up to {late_ms} ms late)\n{}{}  theirs:\n{}  ours:\n{}",
                self.config,
                self.told(),
                listed(&theirs),
                listed(&ours)
            )
        })
    }

    fn told(&self) -> String {
        self.deeds.iter().fold(String::new(), |text, (second, deed)| text + &format!("  {second} {}\n", deed.told()))
    }

    /// What ours tells; and the groups that are founded anew after they had become empty, with when: 0.25 keeps an empty group for up to half a
    /// minute and goes on in its rhythm.
    fn ours(&self, start: Start) -> (Vec<Heard>, BTreeMap<String, i64>) {
        let config = Arc::new(read_config("alertmanager.yml", &self.config).unwrap());
        let mut alertmanager = Alertmanager::new(Arc::clone(&config), start).with_notes();
        let mut heard = Vec::new();
        let (mut founded, mut anew): (BTreeMap<String, Option<Time>>, BTreeMap<String, i64>) = (BTreeMap::new(), BTreeMap::new());
        let mut pass = |alertmanager: &mut Alertmanager, until: Time| {
            while let Some(due) = alertmanager.due().filter(|due| *due < until) {
                for message in alertmanager.advance(due) {
                    let at_ms = (message.at.as_nanos() / 1_000_000) as i64;
                    let address = format!("/{}/{}", message.receiver, message.integration.1);
                    heard.push(Heard { at_ms, address, body: serde_json::from_str(&payload(&message, start, "")).unwrap() });
                }
            }
        };
        for (index, (second, deed)) in self.deeds.iter().enumerate() {
            let now = Time::from_seconds(*second);
            pass(&mut alertmanager, now);
            match deed {
                Deed::Silence { zone, from_ms, lasts_ms } => {
                    let (from, to) = (after(now, *from_ms), after(now, from_ms + lasts_ms));
                    let silence = Silence::new(&format!("silence-{index}"), &format!("zone={zone:?}"), from, to).unwrap();
                    alertmanager.set_silence(now, silence);
                }
                _ => assert_eq!(alertmanager.ingest(now, deed.post(now)), []),
            }
            for note in alertmanager.take_notes() {
                let NoteKind::Routed { look, is_first: true } = note.kind else { continue };
                if *founded.entry(note.group_key.to_string()).or_insert(look) != look {
                    anew.entry(note.group_key.to_string()).or_insert(1_000 * *second as i64);
                }
            }
        }
        pass(&mut alertmanager, Time::from_seconds(LISTENING));
        (heard, anew)
    }
}

fn after(now: Time, ms: i64) -> Time {
    now + Span::from_millis(ms.unsigned_abs())
}

impl Deed {
    fn post(&self, now: Time) -> Option<PostedAlert> {
        match self {
            Self::Post { labels, lasts_ms } => Some(PostedAlert {
                labels: labels.clone(),
                starts_at: Some(now),
                ends_at: lasts_ms.map(|lasts_ms| after(now, lasts_ms)),
                ..PostedAlert::default()
            }),
            Self::End { labels, since } => {
                let starts_at = Some(Time::from_seconds(*since));
                Some(PostedAlert { labels: labels.clone(), starts_at, ends_at: Some(now), ..PostedAlert::default() })
            }
            Self::Silence { .. } => None,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Post { labels, lasts_ms } => format!("post {labels:?} for {lasts_ms:?} ms"),
            Self::End { labels, since } => format!("end {labels:?} of {since}"),
            Self::Silence { zone, from_ms, lasts_ms } => format!("silence {zone} from {from_ms} for {lasts_ms} ms"),
        }
    }
}

fn labels(dice: &mut Dice) -> LabelSet {
    let pairs = [("alertname", dice.of(&NAMES)), ("severity", dice.of(&SEVERITIES)), ("zone", dice.of(&ZONES))];
    pairs.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}

fn config(dice: &mut Dice) -> String {
    let mut text = "global: { resolve_timeout: 5250ms }\nroute:\n  receiver: r0\n".to_owned();
    options(dice, &mut text, "  ", true);
    text.push_str("  routes:\n");
    for _ in 0..=dice.below(3) {
        let matcher = match dice.below(4) {
            0 => format!("severity={:?}", dice.of(&SEVERITIES)),
            1 => format!("alertname=~{:?}", dice.of(&["Down|Slow", "S.*", "Full"])),
            2 => format!("zone!={:?}", dice.of(&ZONES)),
            _ => format!("alertname!~{:?}", dice.of(&["Down", "F.*"])),
        };
        writeln!(text, "  - matchers: ['{matcher}']\n    receiver: r{}\n    continue: {}", dice.below(3), dice.one_in(2)).unwrap();
        options(dice, &mut text, "    ", false);
        if dice.one_in(6) {
            writeln!(text, "    {}: [{}]", dice.of(&["mute_time_intervals", "active_time_intervals"]), dice.of(&["always", "never"]))
                .unwrap();
        }
        if dice.one_in(3) {
            writeln!(text, "    routes:\n    - matchers: ['zone={:?}']\n      receiver: r{}", dice.of(&ZONES), dice.below(3)).unwrap();
        }
    }
    text.push_str("receivers:\n");
    for receiver in 0..3 {
        writeln!(text, "- name: r{receiver}\n  webhook_configs:").unwrap();
        for index in 0..=dice.below(2) {
            let max_alerts = dice.of(&[0, 0, 0, 2]);
            let send_resolved = !dice.one_in(3);
            writeln!(text, "  - {{ url: 'http://ear/r{receiver}/{index}', send_resolved: {send_resolved}, max_alerts: {max_alerts} }}")
                .unwrap();
        }
    }
    if dice.one_in(2) {
        let equal = dice.of(&["zone", "zone, severity"]);
        let (source, target) = dice.of(&[("alertname=\"Down\"", "alertname=~\"Slow|Full\""), ("severity=\"page\"", "severity=\"note\"")]);
        writeln!(text, "inhibit_rules:\n- {{ source_matchers: ['{source}'], target_matchers: ['{target}'], equal: [{equal}] }}").unwrap();
    }
    text.push_str("time_intervals:\n- { name: always, time_intervals: [{ years: ['2000:2100'] }] }\n- { name: never, time_intervals: [{ years: ['1999'] }] }\n");
    text
}

/// What a route says of its groups; the root says everything.
fn options(dice: &mut Dice, text: &mut String, indent: &str, is_root: bool) {
    if is_root || dice.one_in(2) {
        let by = dice.of(&["[]", "[alertname]", "[zone]", "['...']", "[alertname, zone]"]);
        writeln!(text, "{indent}group_by: {by}").unwrap();
    }
    if is_root || dice.one_in(2) {
        writeln!(text, "{indent}group_wait: {}500ms", dice.below(3)).unwrap();
    }
    if is_root || dice.one_in(2) {
        writeln!(text, "{indent}group_interval: {}s", 2 + dice.below(3)).unwrap();
    }
    if is_root || dice.one_in(2) {
        writeln!(text, "{indent}repeat_interval: {}200ms", 3 + dice.below(9)).unwrap();
    }
}

/// What one tells and the other does not, or otherwise.
fn difference(theirs: &[Heard], ours: &[Heard], known: &BTreeMap<String, String>) -> Result<Agreement, String> {
    let mut rest: Vec<&Heard> = ours.iter().collect();
    let mut differing = Vec::new();
    for heard in theirs {
        let near = |own: &&Heard| {
            own.address == heard.address && own.body["groupKey"] == heard.body["groupKey"] && (heard.at_ms - own.at_ms).abs() <= SLACK_MS
        };
        let Some(index) = rest.iter().position(near) else {
            return Err(format!("  only theirs: {}", line(heard)));
        };
        for key in different_keys(&heard.body, &rest.remove(index).body) {
            if !known.contains_key(&key) {
                return Err(format!("  `{key}` differs in {}", line(heard)));
            }
            differing.push(key);
        }
    }
    match rest.first() {
        Some(own) => Err(format!("  only ours: {}", line(own))),
        None => Ok(Agreement { messages: theirs.len(), differing }),
    }
}

/// The keys in which two messages differ. Addresses are each program's own, and guessed ends come as late as the post did.
fn different_keys(theirs: &Json, ours: &Json) -> Vec<String> {
    let keys = |value: &Json| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut all = [keys(theirs), keys(ours)].concat();
    all.sort();
    all.dedup();
    let differs = |key: &String| match key.as_str() {
        "externalURL" => false,
        "alerts" => !same_alerts(&theirs["alerts"], &ours["alerts"]),
        key => theirs.get(key) != ours.get(key),
    };
    all.into_iter().filter(differs).collect()
}

fn same_alerts(theirs: &Json, ours: &Json) -> bool {
    let (theirs, ours) = (theirs.as_array().unwrap(), ours.as_array().unwrap());
    let instant = |text: &Json| Start::parse(text.as_str().unwrap()).map(|at| at.unix_millis()).unwrap_or(0);
    let same = |(theirs, ours): (&Json, &Json)| {
        let near = |key: &str| (instant(&theirs[key]) - instant(&ours[key])).abs() <= SLACK_MS;
        ["status", "labels", "annotations", "fingerprint"].iter().all(|key| theirs[*key] == ours[*key])
            && near("startsAt")
            && near("endsAt")
    };
    theirs.len() == ours.len() && theirs.iter().zip(ours).all(same)
}

fn line(heard: &Heard) -> String {
    let alerts: Vec<String> =
        heard.body["alerts"].as_array().unwrap().iter().map(|alert| format!("{} {}", alert["status"], alert["labels"])).collect();
    format!("{:>6} ms {} {} {}: {}", heard.at_ms, heard.address, heard.body["groupKey"], heard.body["status"], alerts.join(", "))
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn wait_until(at_ms: i64) {
    thread::sleep(Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0)));
}

/// A webhook that takes everything and remembers it.
struct Listener {
    port: u16,
    heard: Arc<Mutex<Vec<(i64, String, Json)>>>,
}

impl Listener {
    fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Self { port: socket.local_addr().unwrap().port(), heard: Arc::default() };
        let heard = Arc::clone(&listener.heard);
        // It ends with the process.
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let at_ms = now_ms();
                if let Some((address, body)) = take(stream) {
                    heard.lock().unwrap().push((at_ms, address, body));
                }
            }
        });
        listener
    }

    fn heard(&self, start_ms: i64) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap().clone();
        heard.into_iter().map(|(at_ms, address, body)| Heard { at_ms: at_ms - start_ms, address, body }).collect()
    }
}

/// Reads a request and says yes.
fn take(mut stream: TcpStream) -> Option<(String, Json)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.trim().parse().ok())?;
            if body.len() >= length {
                let address = head.split(' ').nth(1)?.to_owned();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
                return Some((address, serde_json::from_str(body).ok()?));
            }
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// A real Alertmanager on loopback that ends with the case.
struct Real {
    child: Child,
    port: u16,
}

impl Real {
    fn start(folder: &Path, config: &str) -> Self {
        let path = folder.join("alertmanager.yml");
        fs::write(&path, config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.listen-address=", "--log.level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("prometheus-alertmanager must be installed: apt-get install -y prometheus-alertmanager");
        let real = Self { child, port };
        let is_ready = || real.request("GET", "/-/ready", "").is_ok_and(|answer| answer.contains(" 200 "));
        let ready = (0..300).any(|_| {
            thread::sleep(Duration::from_millis(100));
            is_ready()
        });
        assert!(ready, "Alertmanager did not get ready within 30 s, with\n{config}");
        real
    }

    fn request(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn carry_out(&self, deed: &Deed, start: Start, second: u64) {
        let now = Time::from_seconds(second);
        let written = |at: Time| Start::from_unix_millis(start.prometheus_millis(at)).to_string();
        let (path, body) = match deed {
            Deed::Silence { zone, from_ms, lasts_ms } => {
                let matcher = json!({ "name": "zone", "value": zone, "isRegex": false, "isEqual": true });
                let (from, to) = (written(after(now, *from_ms)), written(after(now, from_ms + lasts_ms)));
                let silence = json!({ "matchers": [matcher], "startsAt": from, "endsAt": to, "createdBy": "test", "comment": "test" });
                ("/api/v2/silences", silence)
            }
            _ => {
                let post = deed.post(now).expect("what is no silence is posted");
                let mut alert = json!({ "labels": post.labels, "startsAt": post.starts_at.map(written) });
                if let Some(at) = post.ends_at {
                    alert["endsAt"] = written(at).into();
                }
                ("/api/v2/alerts", json!([alert]))
            }
        };
        let answer = self.request("POST", path, &body.to_string()).unwrap();
        assert!(answer.contains(" 200 "), "{body}: {answer}");
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("a child can be ended");
    }
}
