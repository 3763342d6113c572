//! The watcher under load: so many webhooks a second over loopback, with 50 policies each of whose conditions is asked of a Prometheus.
//!
//! `cargo bench --bench watch`; `FIREDRILL_WATCH_SECONDS=60` and `FIREDRILL_WATCH_RATE=1000` are what is promised. Without `--bench` it is a test of one
//! second. It fails if a webhook is not acknowledged, if a decision is lost or comes twice, or if the ledger does not verify.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark reads the clock, and sends from several threads")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firedrill::ledger::{Ledger, What};
use firedrill_core::name::Name;

const POLICIES: u64 = 50;
const CONNECTIONS: u64 = 512;

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seconds = number("FIREDRILL_WATCH_SECONDS", if is_bench { 60 } else { 1 });
    let rate = number("FIREDRILL_WATCH_RATE", if is_bench { 1_000 } else { 100 });
    let folder = tempfile::tempdir().expect("a folder");
    write_policies(folder.path());
    let asked = Arc::new(AtomicU64::new(0));
    let prometheus = prometheus(Arc::clone(&asked));
    let (mut child, address) = start(folder.path(), prometheus);
    let connected = Arc::new(Barrier::new(CONNECTIONS as usize + 1));
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|sender| {
            let (address, connected) = (address.clone(), Arc::clone(&connected));
            thread::spawn(move || send(&address, &connected, (sender, rate, seconds)))
        })
        .collect();
    connected.wait();
    let began = Instant::now();
    let mut peak = 0;
    let mut halves = (0, 0);
    while senders.iter().any(|sender| !sender.is_finished()) {
        let (resident, highest) = memory(child.id());
        peak = highest;
        if began.elapsed() < Duration::from_secs(seconds) / 2 {
            halves.0 = resident
        } else {
            halves.1 = resident
        }
        thread::sleep(Duration::from_millis(200));
    }
    let mut latencies: Vec<Duration> = Vec::new();
    let (mut again, mut ended) = (0, began);
    for sender in senders {
        let (own, turned_away, at) = sender.join().expect("a sender ends");
        ended = ended.max(at);
        latencies.extend(own);
        again += turned_away;
    }
    let (took, settled) = (ended - began, Instant::now());
    while metric(&address, "firedrill_watch_open_questions") > 0.0 {}
    let busy = metric(&address, "firedrill_watch_busy_seconds_total");
    let rounds = metric(&address, "firedrill_watch_rounds_total");
    let settled = settled.elapsed();
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(child.wait().expect("it ends").success(), "it stops as it was told");
    let (would, entries) = decided(folder.path());
    let sent = latencies.len() as u64;
    assert_eq!(would.len() as u64, sent, "no decision is lost");
    assert!(would.values().all(|count| *count == 1), "none comes twice");
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{sent} webhooks in {:.1} s: {:.0}/s over {CONNECTIONS} connections, {again} asked to come again",
        took.as_secs_f64(),
        sent as f64 / took.as_secs_f64()
    );
    println!("acknowledged within: median {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0));
    println!("{POLICIES} policies, {} questions answered, the last {settled:?} after the last webhook", asked.load(Ordering::Relaxed));
    println!(
        "ledger: {entries} entries, {} decisions to act, none lost, none twice; the writer was busy for {busy:.1} s in {rounds} rounds",
        would.len()
    );
    println!("memory: {} MiB at half time, {} MiB at the end, {} MiB at most", halves.0 >> 10, halves.1 >> 10, peak >> 10);
}

fn write_policies(folder: &Path) {
    fs::write(folder.join("firedrill.yaml"), "schema: project/1\npolicies: [policies]\n").expect("written");
    fs::create_dir(folder.join("policies")).expect("a folder");
    for index in 0..POLICIES {
        let text = format!(
            "schema: policy/1\npolicy: p{index}\nowner: team\non: {{ alert: Down{index} }}\ntarget: {{ service: $service }}\nprecheck:\n  - {{ expr: 'up{{service=$service}} == 0', because: it must be down }}\nsteps:\n  - restart: {{ mode: rolling }}\n"
        );
        fs::write(folder.join(format!("policies/p{index}.yaml")), text).expect("written");
    }
}

/// Everything is down, whenever it is asked of.
fn prometheus(asked: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = Arc::clone(&asked);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
                let mut stream = stream;
                while let Some((first, form)) = read_message(&mut reader) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let at = first.split(['?', '&', ' ']).chain(form.split('&')).find_map(|pair| pair.strip_prefix("time="));
                    let at = at.map_or_else(now, str::to_owned);
                    let body = format!(
                        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[{at},"0"]}}]}}}}"#
                    );
                    let reply =
                        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Seconds since 1970, as Prometheus writes them.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that goes");
    format!("{}.{:03}", since.as_secs(), since.subsec_millis())
}

/// The first line of a message and its body; none at the end of the stream.
fn read_message(reader: &mut impl BufRead) -> Option<(String, String)> {
    let (mut first, mut length, mut line) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if first.is_empty() {
            first = line.trim().to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, String::from_utf8(body).ok()?))
}

fn start(folder: &Path, prometheus: SocketAddr) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .current_dir(folder)
        .env("FIREDRILL_LOG", "warn")
        .args(["watch", "--listen", "127.0.0.1:0", "--most-connections", "1000", "--prometheus", &format!("http://{prometheus}")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("http://")?;
        line.contains("/webhook").then(|| rest.split('/').next().unwrap_or_default().to_owned())
    });
    thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
    (child, address.expect("it says where it listens"))
}

/// Sends this sender's part of the load at its times, over one connection, once all are connected: how long each took, how many were asked to
/// come again, and when the last was acknowledged.
fn send(address: &str, connected: &Barrier, (sender, rate, seconds): (u64, u64, u64)) -> (Vec<Duration>, u64, Instant) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    connected.wait();
    let (began, mut latencies, mut again) = (Instant::now(), Vec::new(), 0);
    for number in (sender..rate * seconds).step_by(CONNECTIONS as usize) {
        let due = Duration::from_nanos(number * 1_000_000_000 / rate);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let body = format!(
            r#"{{"version":"4","receiver":"r","alerts":[{{"status":"firing","labels":{{"alertname":"Down{}","service":"s{number}","severity":"critical","cluster":"blue"}},"startsAt":"2026-01-05T00:00:00Z"}}]}}"#,
            number % POLICIES
        );
        let request = format!("POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        loop {
            let sent = Instant::now();
            stream.write_all(request.as_bytes()).expect("it listens");
            let (first, _) = read_message(&mut reader).expect("an answer");
            if first.contains(" 200 ") {
                latencies.push(sent.elapsed());
                break;
            }
            assert!(first.contains(" 503 "), "{first}");
            again += 1;
            thread::sleep(Duration::from_millis(100));
        }
    }
    (latencies, again, Instant::now())
}

/// Resident memory now and at most, KiB; zero where the system does not say.
fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    (of("VmRSS:").unwrap_or(0), of("VmHWM:").unwrap_or(0))
}

fn metric(address: &str, name: &str) -> f64 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it listens");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).expect("the metric is there")
}

/// How often each target would be acted on, and how many entries the ledger has. Panics if it does not verify.
fn decided(folder: &Path) -> (BTreeMap<String, u32>, usize) {
    let ledger = folder.join("ledger");
    let (mut would, mut entries) = (BTreeMap::new(), 0);
    for name in Ledger::chains(&ledger).unwrap_or_else(|failure| panic!("{failure:?}")) {
        let chain = Ledger::read(&ledger, &Name::new(&name)).and_then(firedrill::ledger::Chain::sound);
        let chain = chain.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        entries += chain.entries.len();
        for own in chain.entries {
            if let What::Decision { event, .. } = own.entry.what
                && let Some(target) = event.get("would_act").and_then(|would| would["target"].as_str())
            {
                *would.entry(target.to_owned()).or_default() += 1;
            }
        }
    }
    (would, entries)
}
