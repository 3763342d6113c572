//! What firedrill asks of a live system and plays of one: what is imported of a Prometheus decides as that system's own rules did, and a rehearsal can be
//! asked like a Prometheus and tells what listens to its Alertmanager. Everything is on this machine's own address.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::thread;

use crate::common::{DECISIONS, firedrill, kind, records, words};
use firedrill::drill::{Drill, Remembered, Rules};
use firedrill::rehearsal::{Rehearsal, Serving, router};
use firedrill::{library, sources};
use firedrill_core::time::Time;
use firedrill_policies::guard::stage::Stage;
use serde_json::Value;

const POLICIES: &str = "--policy break-retry-storm --policy drain-lost-zone --policy drain-sick-replica --policy restart-before-oom \
    --policy restart-crashed-or-hung --policy rollback-on-regression --policy scale-on-saturation";

/// The rules of the library that watch by default.
static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| {
    let names: Vec<&str> = library::rule_shelf().names.into_iter().filter(|name| library::watches_by_default(name)).collect();
    sources::rules(&names, Path::new(".")).unwrap()
});

/// A rehearsal of a scenario of the library that is over: its Prometheus remembers all of it.
fn over(scenario: &str) -> Rehearsal {
    let scenario = sources::scenarios(&[scenario], Path::new(".")).unwrap().remove(0);
    let answer = sources::answer::<&str>(&[], Path::new(".")).unwrap();
    let drill = Drill { scenario, rules: Arc::clone(&RULES), answer, stage: Stage::DryRun, past: Remembered::default() };
    let mut rehearsal = Rehearsal::of(&drill, 1);
    while !rehearsal.is_over() {
        rehearsal.advance(Time::MAX);
    }
    rehearsal
}

#[allow(clippy::disallowed_methods, reason = "somebody else is at the other end of a connection")]
fn spawn(other: impl FnOnce() + Send + 'static) {
    thread::spawn(other);
}

/// Serves a rehearsal as a Prometheus for as long as the test runs.
fn served(rehearsal: Rehearsal) -> SocketAddr {
    let (sender, receiver) = channel();
    spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router(Serving::new(rehearsal))).await.unwrap();
        });
    });
    receiver.recv().unwrap()
}

fn decisions(folder: &Path) -> Vec<String> {
    let journal = fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    records(&journal).into_iter().filter(|line| DECISIONS.contains(&kind(line))).collect()
}

#[track_caller]
fn check_import(scenario: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let rehearsal = over(scenario);
    let at = |millis: i64| firedrill_core::time::Start::from_unix_millis(millis).to_string();
    let (from, to) = (rehearsal.start().to_string(), at(rehearsal.now_ms()));
    let address = served(rehearsal);
    let import = format!("import prometheus http://{address} --from {from} --to {to} --out imported --format json {POLICIES}");
    let imported = firedrill(folder.path(), &words(&import)).exits(0).json();
    firedrill(folder.path(), &words(&format!("run {scenario} {POLICIES} --stage dry-run --record recorded --quiet"))).exits(0);
    // What existed no Prometheus knows: a person writes it down.
    let page = |name: &str| fs::read_to_string(folder.path().join(name).join("incident.yaml")).unwrap();
    let declared: Vec<String> = page("recorded")
        .lines()
        .skip_while(|line| *line != "services:")
        .take_while(|line| !line.starts_with("recording"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(folder.path().join("imported/incident.yaml"), page("imported") + &declared.concat()).unwrap();
    for name in ["imported", "recorded"] {
        firedrill(folder.path(), &words(&format!("replay {name} {POLICIES} --out {name}-replayed --quiet"))).exits(0);
    }
    let (imported_decisions, recorded) =
        (decisions(&folder.path().join("imported-replayed")), decisions(&folder.path().join("recorded-replayed")));
    let differs = imported_decisions.iter().zip(&recorded).position(|(left, right)| left != right);
    let shown = differs.map(|index| (&imported_decisions[index], &recorded[index]));
    assert!(imported_decisions == recorded, "{scenario}: {} and {} decisions, {shown:#?}", imported_decisions.len(), recorded.len());
    assert!(!recorded.is_empty(), "{scenario}: nothing was decided, so nothing is proved");
    assert!(page("imported").contains("# guess:"), "{}", page("imported"));
    firedrill(folder.path(), &["check", "imported"]).exits(0);
    firedrill(folder.path(), &words("replay imported")).exits(0).says("the rules reproduce");
    // A rehearsal that was imported stays one.
    assert!(imported["notes"].to_string().contains("plays a simulation: what is decided on it is no evidence of life"), "{imported:#}");
    fs::write(folder.path().join("firedrill.yaml"), "schema: project/1\n").unwrap();
    let refused = firedrill(folder.path(), &words(&format!("replay imported {POLICIES} --backtest --by ada"))).exits(2);
    assert!(refused.stderr.contains("is a recording of a simulation, and no history"), "{}", refused.stderr);
    imported
}

#[test]
fn what_is_imported_of_a_prometheus_decides_as_what_was_seen_there() {
    for scenario in ["hang-one-replica", "bad-deploy-errors", "memory-leak-to-oom"] {
        let imported = check_import(scenario);
        let alerts = &imported["alerts"];
        assert!(alerts["recorded"].as_u64() > Some(0), "{scenario}: {alerts}");
        assert_eq!(alerts["recorded"], alerts["reproduced"], "{scenario}: {alerts}");
        assert_eq!(alerts["extra"], serde_json::json!([]), "{scenario}");
    }
}

#[test]
fn what_is_there_is_never_written_over_and_nothing_is_written_where_nothing_is_had() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/notes"), "of mine").unwrap();
    let address = served(over("hang-one-replica"));
    let command = |more: &str| format!("import prometheus http://{address} {more}");
    let refused = |more: &str| firedrill(folder.path(), &words(&command(more))).exits(2).stderr;
    assert!(refused("--from 2026-01-05T00:00:00Z --to 2026-01-05T00:30:00Z --out mine").contains("is not empty"));
    assert!(refused("--from 2026-01-05T00:30:00Z --to 2026-01-05T00:10:00Z").contains("a recording begins before it ends"));
    assert!(refused("--from yesterday").contains("how long ago it is, as `2h`"));
    assert!(refused("--from 2026-01-05T00:00:00Z --to 2026-01-05T00:30:00Z --most-samples 100").contains("FD0879"));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
}

#[test]
fn a_prometheus_that_cannot_be_asked_is_told_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let import = |url: &str, more: &str| {
        let line = format!("import prometheus {url} --from 2026-01-05T00:00:00Z --to 2026-01-05T00:30:00Z {more}");
        firedrill(folder.path(), &words(&line)).exits(2).stderr
    };
    for (url, more, code, remedy) in [
        ("prometheus:9090", "", "FD0870", "write it as `http://HOST:9090`"),
        ("http://127.0.0.1:1", "", "FD0872", "does it run?"),
        ("http://127.0.0.1:1", "--token-file none", "FD0871", "--token-file"),
    ] {
        let said = import(url, more);
        assert!(said.contains(code) && said.contains(remedy), "{said}");
    }
    let page = answering(|_| "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>".to_owned()).0;
    assert!(import(&format!("http://{page}"), "").contains("FD0878"));
    let door = answering(|_| "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()).0;
    assert!(import(&format!("http://{door}"), "").contains("FD0875"));
    let moved = answering(|_| "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()).0;
    assert!(import(&format!("http://{moved}"), "").contains("FD0876"));
    let refusing = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#;
    let body = format!("HTTP/1.1 422 Unprocessable\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{refusing}", refusing.len());
    let full = answering(move |_| body.clone()).0;
    let said = import(&format!("http://{full}"), "");
    assert!(said.contains("FD0877") && said.contains("too many samples"), "{said}");
    let large =
        answering(|_| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}", 2 << 20, " ".repeat(2 << 20))).0;
    assert!(import(&format!("http://{large}"), "--largest 1").contains("FD0874"));
    // One that takes the question and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = import(&format!("http://{}", silent.local_addr().unwrap()), "--timeout 1ms");
    assert!(said.contains("FD0873"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

/// Takes requests one after the other and answers each; gives what was posted.
fn answering(answer: impl Fn(usize) -> String + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let body = body_of(&mut stream);
            // Whoever asked may be gone before it has read everything.
            let _ = stream.write_all(answer(number).as_bytes());
            // Nor does everybody look at what was posted.
            let _ = sender.send(body);
        }
    });
    (address, receiver)
}

fn body_of(stream: &mut impl Read) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return body.to_owned();
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return String::new(),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn a_rehearsal_tells_whoever_listens_what_its_alertmanager_tells() {
    let folder = tempfile::tempdir().unwrap();
    // The first webhook is refused for the moment, as by somebody who has too much to do, and is sent again.
    let (address, posted) = answering(|number| {
        let status = if number == 0 { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let command = format!("rehearse-live hang-one-replica --speed max --webhook http://{address}/webhook --format json");
    let done = firedrill(folder.path(), &words(&command)).exits(0);
    let told = done.json();
    let taken = usize::try_from(told["taken"].as_u64().unwrap()).unwrap();
    assert_eq!(told["lost"], 0);
    let bodies: Vec<Value> = (0..=taken).map(|_| serde_json::from_str(&posted.recv().unwrap()).unwrap()).collect();
    assert_eq!(bodies[0], bodies[1], "what was refused is sent again as it was");
    assert!(bodies.iter().all(|body| body["version"] == "4"));
    let firing = bodies[1..].iter().filter(|body| body["status"] == "firing").count();
    assert!(firing > 0 && told["alerts"].as_object().is_some_and(|alerts| !alerts.is_empty()), "{told}");
    assert!(done.stderr.contains("a Prometheus listens at http://127.0.0.1:"), "{}", done.stderr);
}

#[test]
fn a_rehearsal_says_what_it_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |line: &str| firedrill(folder.path(), &words(line)).exits(2).stderr;
    assert!(refused("rehearse-live hang-one-replica --webhook nowhere").contains("FD0870"));
    assert!(refused("rehearse-live nothing-like-it --webhook http://127.0.0.1:1").contains("nothing-like-it"));
    assert!(refused("rehearse-live hang --webhook http://127.0.0.1:1").contains("name one of them"));
    assert!(refused("rehearse-live hang-one-replica --webhook http://127.0.0.1:1 --speed fast").contains("such as 60, or `max`"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let busy = TcpListener::bind(taken).unwrap();
    let line = format!("rehearse-live hang-one-replica --webhook http://127.0.0.1:1 --listen {}", busy.local_addr().unwrap());
    assert!(refused(&line).contains("name an address of this machine"));
}
