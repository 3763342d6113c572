//! `firedrill watch`: what is acknowledged is kept, whatever kills it; who may send; what it says of itself; and that nothing can act.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the watcher is another process, and Prometheus another thread")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use firedrill::ledger::{Bound, Ledger, What};
use firedrill::promotion::profile::Promotions;
use firedrill::watch::{Access, Asks, Inbox, Keeper, KeeperSetup, Message, Metrics, Patience, Server, SystemClock, answer_all, router};
use firedrill_core::action::Action;
use firedrill_core::deed::example;
use firedrill_core::name::Name;
use firedrill_core::time::Start;
use firedrill_policies::document::read_policy;
use firedrill_policies::guard::stage::Stage;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Sample, Value};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tower::ServiceExt as _;

use crate::common::firedrill;

const POLICY: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { service: $service }
precheck: [{ expr: 'up{service=$service} == 0', because: it must be down }]
steps:
  - restart: { mode: rolling }
";

/// A webhook of alerts that fire, by their services.
fn webhook(services: &[String]) -> String {
    let alert = |service: &String| {
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"Down","service":"{service}"}},"annotations":{{}},"startsAt":"2026-01-05T00:00:00Z",
            "endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"0"}}"#
        )
    };
    let alerts: Vec<String> = services.iter().map(alert).collect();
    format!(r#"{{"version":"4","status":"firing","receiver":"firedrill","alerts":[{}]}}"#, alerts.join(","))
}

// In this process, without a socket.

/// Everything is down.
struct Down;

impl Asks for Down {
    fn ask(&self, _: &str, _: i64) -> Result<Value, String> {
        Ok(Value::Vector(vec![Sample { labels: Labels::empty(), value: 0.0 }]))
    }
}

fn keeper(folder: &Path, policies: &[String]) -> Keeper {
    let read = |text: &String| {
        let policy = read_policy("policy.yaml", text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        (policy, Stage::DryRun, Bound::default())
    };
    let setup = KeeperSetup {
        folder: folder.join("ledger"),
        policies: policies.iter().map(read).collect(),
        inventory: Arc::default(),
        clock: Arc::new(SystemClock::default()),
        metrics: Arc::default(),
        promotions: Promotions::default(),
    };
    Keeper::open(setup).unwrap_or_else(|failure| panic!("{failure:?}")).0
}

fn server(access: Access, room: usize) -> (Router, Arc<Inbox>) {
    let inbox = Arc::new(Inbox::new(room, 1 << 20));
    let server = Server::new(Arc::clone(&inbox), Arc::new(Metrics::default()), access, Start::default());
    (router(Arc::new(server)), inbox)
}

fn ask(router: &Router, request: Request<Body>) -> (StatusCode, String, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let response = router.clone().oneshot(request).await.unwrap();
        let again = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), again)
    })
}

fn post(body: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::post("/webhook");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[test]
fn a_webhook_is_acknowledged_when_it_is_in_the_ledger_and_a_second_time_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (router, inbox) = server(Access::open(), 8);
    let mut keeper = keeper(folder.path(), &[POLICY.to_owned()]);
    let keeping = {
        let inbox = Arc::clone(&inbox);
        thread::spawn(move || keeper.run(&inbox, &Patience::new(Duration::from_secs(1))).unwrap())
    };
    let told = ask(&router, post(&webhook(&["cart".to_owned()]), None));
    assert_eq!((told.0, told.1.as_str()), (StatusCode::OK, "{\"news\":1,\"repeated\":0,\"late\":0}\n"));
    let before = fs::read_to_string(folder.path().join("ledger/watch.jsonl")).unwrap();
    assert!(before.contains("\"service\":\"cart\""));
    let again = ask(&router, post(&webhook(&["cart".to_owned()]), None));
    assert_eq!((again.0, again.1.as_str()), (StatusCode::OK, "{\"news\":0,\"repeated\":1,\"late\":0}\n"));
    assert_eq!(ask(&router, get("/readyz")).0, StatusCode::OK);
    inbox.stop();
    keeping.join().unwrap();
    // But that it watched until it was stopped.
    let after = fs::read_to_string(folder.path().join("ledger/watch.jsonl")).unwrap();
    let rest: Vec<&str> = after.strip_prefix(&before).unwrap().lines().collect();
    assert!(rest.len() == 1 && rest[0].contains("watch-clock/1"), "{rest:?}");
    assert_eq!(ask(&router, get("/readyz")).0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn who_finds_no_room_is_asked_to_come_again() {
    // Nobody takes anything out.
    let (router, inbox) = server(Access::open(), 0);
    let (status, _, again) = ask(&router, post(&webhook(&["cart".to_owned()]), None));
    assert_eq!((status, again.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("5")));
    assert!(inbox.take(9, Duration::ZERO).is_empty());
    let metrics = ask(&router, get("/metrics")).1;
    assert!(metrics.contains("firedrill_watch_webhooks_total{result=\"no_room\"} 1\n"), "{metrics}");
}

#[test]
fn what_is_no_webhook_is_refused_and_so_is_who_has_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "a-token-that-is-long-enough\n").unwrap();
    let access = Access::by_token(&file).unwrap_or_else(|failure| panic!("{failure:?}"));
    let (router, inbox) = server(access, 8);
    let good = webhook(&["cart".to_owned()]);
    for token in [None, Some("another-token-of-that-length")] {
        assert_eq!(ask(&router, post(&good, token)).0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ask(&router, get("/metrics")).0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&router, get("/healthz")).0, StatusCode::OK);
    let token = Some("a-token-that-is-long-enough");
    let (status, why, _) = ask(&router, post("{}", token));
    assert!(status == StatusCode::BAD_REQUEST && why.starts_with("this is no webhook of Alertmanager's"), "{why}");
    // Before anything is written.
    let (status, why, _) = ask(&router, post(&webhook(&["x".repeat(530_000)]), token));
    assert!(status == StatusCode::BAD_REQUEST && why.contains("labels of 530"), "{why}");
    let large = "x".repeat((4 << 20) + 1);
    assert_eq!(ask(&router, post(&large, token)).0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(inbox.take(9, Duration::ZERO).is_empty());
}

/// A policy for each action, on the first kind of target that it can be done to.
fn every_action() -> Vec<String> {
    let parameters = |word: &str| match word {
        "restart" => "{ mode: rolling }",
        "scale" => "{ by: 1 }",
        "limit_retries" => "{ retries: 0, lasting: 20s }",
        other => example(other),
    };
    let text = |word: &str, kind: &str| {
        let name = word.replace('_', "-");
        let parameters = parameters(word);
        format!(
            "schema: policy/1\npolicy: {name}\nowner: team\non: {{ alert: Down }}\ntarget: {{ {kind}: $service }}\nsteps:\n  - {word}: {parameters}\n"
        )
    };
    let kinds = ["service", "replica", "zone", "node", "client"];
    let words: Vec<&str> = Action::changing().collect();
    let policy = |word: &&str| {
        let texts = kinds.iter().map(|kind| text(word, kind));
        texts.into_iter().find(|text| read_policy("policy.yaml", text).is_ok()).unwrap_or_else(|| panic!("no policy for {word}"))
    };
    words.iter().map(policy).collect()
}

/// What a folder holds, by path, with what stands in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

#[test]
fn a_watcher_that_is_given_every_action_does_none_and_touches_nothing_but_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("firedrill.yaml"), "schema: project/1\n").unwrap();
    let before = contents(folder.path());
    let policies = every_action();
    let mut keeper = keeper(folder.path(), &policies);
    let (reply, taken) = tokio::sync::oneshot::channel();
    let alerts = firedrill::watch::read_webhook(webhook(&["cart-0".to_owned()]).as_bytes(), keeper.watcher().start()).unwrap().alerts;
    let (at, wants) = keeper.round(vec![Message::Webhook { alerts, bytes: 0, reply }]).unwrap_or_else(|failure| panic!("{failure:?}"));
    drop(taken);
    let inbox = Inbox::new(1, 1);
    let patience = Patience::new(Duration::from_secs(60));
    patience.add(at, wants);
    patience.close();
    answer_all(&patience, &Down, &inbox);
    keeper.round(inbox.take(usize::MAX, Duration::ZERO)).unwrap_or_else(|failure| panic!("{failure:?}"));
    drop(keeper);
    let after = contents(folder.path());
    let ledger = folder.path().join("ledger");
    let elsewhere: Vec<&PathBuf> =
        after.keys().filter(|path| !path.starts_with(&ledger) && before.get(*path) != after.get(*path)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    for word in Action::changing() {
        let name = Name::from(word.replace('_', "-"));
        let chain = Ledger::read(&ledger, &name).unwrap().sound().unwrap_or_else(|failure| panic!("{failure:?}"));
        let events: Vec<serde_json::Value> = chain
            .entries
            .into_iter()
            .filter_map(|own| if let What::Decision { event, .. } = own.entry.what { Some(event) } else { None })
            .collect();
        assert!(events.iter().all(|event| event.get("decided").is_none()), "{word}");
        let would = events.iter().find_map(|event| event.get("would_act")).unwrap_or_else(|| panic!("{word} would not act: {events:?}"));
        let what: Action = serde_json::from_value(would["what"].clone()).unwrap();
        assert_eq!(what.word(), word);
    }
}

/// A project whose policy would have acted on `cart` a moment ago.
fn shadowed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("firedrill.yaml"), "schema: project/1\npolicies: [policy.yaml]\n").unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let mut keeper = keeper(folder.path(), &[POLICY.to_owned()]);
    let (reply, _taken) = tokio::sync::oneshot::channel();
    let alerts = firedrill::watch::read_webhook(webhook(&["cart".to_owned()]).as_bytes(), keeper.watcher().start()).unwrap().alerts;
    let (at, wants) = keeper.round(vec![Message::Webhook { alerts, bytes: 0, reply }]).unwrap_or_else(|failure| panic!("{failure:?}"));
    let (inbox, patience) = (Inbox::new(1, 1), Patience::new(Duration::from_secs(60)));
    patience.add(at, wants);
    patience.close();
    answer_all(&patience, &Down, &inbox);
    keeper.round(inbox.take(usize::MAX, Duration::ZERO)).unwrap_or_else(|failure| panic!("{failure:?}"));
    folder
}

#[test]
fn what_people_did_is_compared_with_what_the_policy_would_have_done_and_written_down_once() {
    let folder = shadowed();
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let export = format!(
        r#"{{"log_entries":[{{"type":"trigger_log_entry","created_at":"{}","agent":{{"type":"service_reference"}},"incident":{{"id":"Q1","summary":"Down on cart"}}}},
        {{"type":"annotate_log_entry","created_at":"{later}","agent":{{"type":"user_reference","summary":"Ada"}},"channel":{{"type":"note","summary":"restarted cart"}},
          "incident":{{"id":"Q1"}}}}]}}"#,
        jiff::Timestamp::now()
    );
    fs::write(folder.path().join("log.json"), export).unwrap();
    let shadow = |more: &[&str]| firedrill(folder.path(), &[&["shadow", "restart", "--people", "log.json"], more].concat()).exits(0).stdout;
    let told = shadow(&[]);
    assert!(
        told.contains("restart#0 agree: the policy would do restart (rolling) service/cart, ")
            && told.contains(" sooner; people did restart (Q1)"),
        "{told}"
    );
    assert!(told.contains("hint: `--by NAME`") && told.contains("nobody can tell from this"), "{told}");
    let kinds = || {
        let chain = Ledger::read(&folder.path().join("ledger"), &Name::new("restart"))
            .unwrap()
            .sound()
            .unwrap_or_else(|failure| panic!("{failure:?}"));
        chain.entries.iter().filter(|own| own.entry.by == "ada").map(|own| own.entry.what.kind()).collect::<Vec<_>>()
    };
    assert!(kinds().is_empty());
    assert!(shadow(&["--by", "ada"]).contains("1 comparison written"));
    assert_eq!(kinds(), ["person", "compared"]);
    assert!(shadow(&["--by", "ada"]).contains("nothing new for the ledger"));
    assert_eq!(kinds(), ["person", "compared"]);
    fs::write(folder.path().join("log.json"), "[]").unwrap();
    let said = firedrill(folder.path(), &["shadow", "restart", "--people", "log.json"]).exits(2).stderr;
    assert!(said.contains("FD0850"), "{said}");
}

#[test]
fn no_module_of_the_watcher_names_what_makes_commands() {
    let sources = ["src/watch", "src/watch.rs", "src/commands/watch.rs", "policies/src/watcher", "policies/src/watcher.rs"];
    for source in sources {
        let path = crate::common::root().join(source);
        let files = if path.is_dir() { contents(&path) } else { BTreeMap::from([(path.clone(), fs::read(&path).unwrap())]) };
        assert!(!files.is_empty());
        for (path, text) in files {
            let text = String::from_utf8(text).unwrap();
            for word in ["Actuator", "Effect", "Command {", "action::Command"] {
                let used = text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(word));
                assert!(!used, "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    fs::write(folder.path().join("short"), "abc").unwrap();
    let base = ["watch", "--policy", "policy.yaml", "--prometheus", "http://127.0.0.1:9"];
    let refused = |more: &[&str]| firedrill(folder.path(), &[&base[..], more].concat()).exits(2).stderr;
    let cases: [(&[&str], &str); 6] = [
        (&["--listen", "0.0.0.0:0"], "FD0840"),
        (&["--listen", "0.0.0.0:0", "--token-file", "none"], "FD0841"),
        (&["--token-file", "short"], "FD0841"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "policy.yaml", "--tls-key", "policy.yaml"], "FD0842"),
        (&["--listen", "198.51.100.7:1", "--token-file", "policy.yaml"], "FD0843"),
        (&["--policy", "no-such-policy"], "no-such-policy"),
    ];
    for (more, expected) in cases {
        let said = refused(more);
        assert!(said.contains(expected) && said.contains("help: "), "{more:?}: {said}");
    }
    assert!(refused(&["--timeout", "0s"]).contains("nothing is answered in no time"));
    let said = firedrill(folder.path(), &["watch", "--prometheus", "http://127.0.0.1:9"]).exits(2).stderr;
    assert!(said.contains("FD0844"), "{said}");
    assert!(!folder.path().join("ledger").exists());
}

// As its own process, over loopback.

/// A Prometheus for which everything is down.
fn prometheus() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_everything(stream));
        }
    });
    address
}

/// The same over HTTPS, with the certificate of `localhost`.
fn secured_prometheus() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let chain = certificates("server.pem");
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key("server.key")).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer_everything(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)));
        }
    });
    address
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn tls_file(name: &str) -> PathBuf {
    crate::common::root().join("tests/tls").join(name)
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(tls_file(name)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn key(name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(tls_file(name)).unwrap()
}

fn answer_everything(stream: impl Read + Write) {
    let mut reader = BufReader::new(stream);
    loop {
        let now = jiff::Timestamp::now().as_second();
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[{now},"0"]}}]}}}}"#);
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut asked = vec![0; length];
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let replied = reader.read_exact(&mut asked).and_then(|()| reader.get_mut().write_all(reply.as_bytes()));
        if replied.and_then(|()| reader.get_mut().flush()).is_err() {
            return;
        }
    }
}

struct Watching {
    child: Child,
    address: String,
}

impl Watching {
    fn start(folder: &Path, prometheus: SocketAddr) -> Self {
        Self::with(folder, &["--prometheus", &format!("http://{prometheus}")], None)
    }

    /// With these arguments, and with no authorities but those of a file.
    fn with(folder: &Path, more: &[&str], authorities: Option<PathBuf>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.current_dir(folder).args(["watch", "--listen", "127.0.0.1:0", "--policy", "policy.yaml"]).args(more);
        command.envs(authorities.map(|file| ("SSL_CERT_FILE", file)));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("://")?;
            line.contains("/webhook").then(|| rest.split('/').next().unwrap().to_owned())
        });
        // Its log must go somewhere.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it says where it listens") }
    }

    /// The status and the body; none if it is gone.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        Self::said(TcpStream::connect(&self.address).ok()?, (method, path, body))
    }

    /// The same over TLS, by who shows the certificate of this name, or none.
    fn ask_secured(&self, sender: Option<&str>, (method, path, body): (&str, &str, &str)) -> Option<(u16, String)> {
        let mut roots = RootCertStore::empty();
        roots.add(certificates("ca.pem").remove(0)).unwrap();
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match sender {
            None => config.with_no_client_auth(),
            Some(name) => config.with_client_auth_cert(certificates(&format!("{name}.pem")), key(&format!("{name}.key"))).unwrap(),
        };
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        Self::said(StreamOwned::new(client, TcpStream::connect(&self.address).ok()?), (method, path, body))
    }

    fn said(mut stream: impl Read + Write, (method, path, body): (&str, &str, &str)) -> Option<(u16, String)> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        // Over TLS the other side may hang up without saying so; what it has said is there all the same.
        if stream.read_to_string(&mut reply).is_err() && reply.is_empty() {
            return None;
        }
        let status = reply.split(' ').nth(1)?.parse().ok()?;
        Some((status, reply.split_once("\r\n\r\n")?.1.to_owned()))
    }

    fn gauge(&self, name: &str) -> Option<f64> {
        let (_, text) = self.ask("GET", "/metrics", "")?;
        metric(&text, name)
    }

    /// Tells it to stop, and waits until it has.
    fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn over_tls_only_who_shows_a_certificate_is_heard_and_a_prometheus_is_asked_over_https() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let prometheus = format!("https://localhost:{}", secured_prometheus().port());
    let [certificate, key, authority] = ["server.pem", "server.key", "ca.pem"].map(|name| tls_file(name).display().to_string());
    let files = ["--tls-cert", &certificate, "--tls-key", &key, "--client-ca", &authority, "--prometheus", &prometheus];
    // Each service its own incident: known to nobody yet.
    let told = |authorities: &str, service: &str| {
        let watching = Watching::with(folder.path(), &files, Some(tls_file(authorities)));
        let body = webhook(&[service.to_owned()]);
        for nobody in [None, Some("stranger")] {
            assert_eq!(watching.ask_secured(nobody, ("POST", "/webhook", &body)), None);
        }
        assert_eq!(watching.ask("POST", "/webhook", &body), None, "without TLS");
        let (status, news) = watching.ask_secured(Some("sender"), ("POST", "/webhook", &body)).unwrap();
        assert_eq!((status, news.as_str()), (200, "{\"news\":1,\"repeated\":0,\"late\":0}\n"));
        let metrics = loop {
            let (_, text) = watching.ask_secured(Some("sender"), ("GET", "/metrics", "")).unwrap();
            if metric(&text, "firedrill_watch_open_questions") == Some(0.0) {
                break text;
            }
        };
        watching.stop();
        ["questions_total{result=\"answered\"}", "questions_total{result=\"unknown\"}", "would_act_total"]
            .map(|name| metric(&metrics, &format!("firedrill_watch_{name}")).unwrap())
    };
    assert_eq!(told("ca.pem", "cart"), [1.0, 0.0, 1.0]);
    // Whom nobody trusts has said nothing: that is unknown, and refuses.
    assert_eq!(told("other-ca.pem", "api"), [0.0, 1.0, 0.0]);
}

/// How often the watcher is killed; `FIREDRILL_KILLS=100` for the number that is promised.
fn kills() -> u64 {
    std::env::var("FIREDRILL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[test]
fn killed_again_and_again_it_loses_nothing_that_it_acknowledged_and_decides_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let prometheus = prometheus();
    let mut luck = 0x2545_f491_4f6c_dd1d_u64;
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..kills() {
        let mut watching = Watching::start(folder.path(), prometheus);
        luck ^= luck << 13;
        luck ^= luck >> 7;
        luck ^= luck << 17;
        // The killer strikes while the messages after so many are under way.
        let before = luck % 20;
        let pid = watching.child.id();
        let mut killer = None;
        for message in 0..40 {
            if message == before {
                let pause = Duration::from_micros(luck >> 32 & 0x3fff);
                killer = Some(thread::spawn(move || {
                    thread::park_timeout(pause);
                    Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
                }));
            }
            let service = format!("s{round}-{message}");
            match watching.ask("POST", "/webhook", &webhook(std::slice::from_ref(&service))) {
                Some((200, _)) => acknowledged.push(service),
                _ => break,
            }
        }
        if let Some(killer) = killer {
            killer.join().unwrap();
        }
        watching.child.wait().unwrap();
    }
    assert!(!acknowledged.is_empty());
    let watching = Watching::start(folder.path(), prometheus);
    while watching.gauge("firedrill_watch_open_questions").is_some_and(|open| open > 0.0) {}
    watching.stop();
    firedrill(folder.path(), &["audit"]).exits(0);
    let chain =
        Ledger::read(&folder.path().join("ledger"), &Name::new("restart")).unwrap().sound().unwrap_or_else(|failure| panic!("{failure:?}"));
    let mut would: BTreeMap<String, usize> = BTreeMap::new();
    for own in chain.entries {
        if let What::Decision { event, .. } = own.entry.what
            && let Some(target) = event.get("would_act").and_then(|would| would["target"].as_str())
        {
            *would.entry(target.trim_start_matches("service/").to_owned()).or_default() += 1;
        }
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|service| !would.contains_key(*service)).collect();
    let doubled: Vec<&String> = would.iter().filter(|(_, count)| **count > 1).map(|(service, _)| service).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "of {}: lost {lost:?}, doubled {doubled:?}", acknowledged.len());
}
