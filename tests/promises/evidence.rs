//! Logs and traces of a run: what they look like, that asking for them changes nothing, and that one number leads from a request to what was done.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use crate::common::{Done, edited, firedrill, root, unmanned, write};
use serde_json::Value;
use tempfile::TempDir;

/// Plays a scenario and writes its traces and logs into a folder; each line of both.
fn evidence(scenario: &str, arguments: &[&str]) -> (Vec<Value>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "scenario.yaml", &unmanned(scenario));
    let (traces, logs) = (folder.path().join("traces.jsonl"), folder.path().join("logs.jsonl"));
    let mut all = vec!["run", path.to_str().unwrap()];
    all.extend(arguments);
    all.extend(["--traces", traces.to_str().unwrap(), "--logs", logs.to_str().unwrap()]);
    firedrill(root(), &all).exits(0);
    (lines(&traces), lines(&logs))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {value}"))
}

fn nanos(value: &Value, key: &str) -> u64 {
    text(value, key).parse().unwrap()
}

/// The log records with a name.
fn named<'a>(logs: &'a [Value], name: &str) -> Vec<&'a Value> {
    logs.iter().filter(|record| record["attributes"]["event.name"] == name).collect()
}

/// What ends the retry storm.
const STORM: [&str; 4] = ["--policy", "break-retry-storm", "--sample", "20"];

/// Its traces and logs, played once for all who read them.
static TOLD: LazyLock<(Vec<Value>, Vec<Value>)> = LazyLock::new(|| evidence(&edited("retry-storm", &[]), &STORM));

#[test]
fn spans_are_in_traces_children_within_their_parents_reach_and_requests_as_long_as_their_attempts() {
    // A minute of calm and one and a half of the fault.
    let short = [("horizon: 20m", "horizon: 150s"), ("version: v13 }\n    at: 4m\n", "version: v13 }\n    at: 1m\n")];
    let (traces, _) = evidence(&edited("shop-slow-catalog", &short), &["--sample", "200"]);
    let mut spans: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for span in &traces {
        let (trace, id) = (text(span, "traceId"), text(span, "spanId"));
        assert!(trace.len() == 32 && id.len() == 16 && format!("{trace}{id}").chars().all(|c| c.is_ascii_hexdigit()), "{span}");
        assert_ne!(id, "0".repeat(16), "no span has that number");
        assert!(spans.insert((trace, id), span).is_none(), "a span is told once: {span}");
        assert!(nanos(span, "startTimeUnixNano") <= nanos(span, "endTimeUnixNano"), "{span}");
        for key in ["http.route", "server.address"] {
            assert!(!span["attributes"][key].is_null(), "{key} is missing in {span}");
        }
        // A status is told where one was received; else what went wrong.
        assert_eq!(span["attributes"]["http.response.status_code"].is_null(), !span["attributes"]["error.type"].is_null(), "{span}");
        let is_good = span["attributes"]["http.response.status_code"] == 200;
        assert_eq!(span["status"]["code"] == "STATUS_CODE_OK", is_good, "{span}");
    }
    let mut depths: BTreeSet<u32> = BTreeSet::new();
    for ((trace, _), span) in &spans {
        let Some(parent) = span["parentSpanId"].as_str() else { continue };
        // Whoever asked may still be at work at the end of the run, and has no span yet.
        let Some(found) = spans.get(&(*trace, parent)) else { continue };
        assert!(nanos(found, "startTimeUnixNano") <= nanos(span, "startTimeUnixNano"), "{span} begins before {found}");
        let (asked, asks) = (&found["attributes"]["server.address"], &span["resource"]["service.name"]);
        assert!(found["parentSpanId"].is_null() || asked == asks, "{span} is not of whom {found} asked");
        let above = std::iter::successors(Some(*found), |span| spans.get(&(*trace, span["parentSpanId"].as_str()?)).copied());
        depths.insert(above.count() as u32);
    }
    assert!(depths.contains(&3), "calls of calls are told: {depths:?}");
    // A request lasts from its first attempt to the end of its last.
    let mut told = 0;
    for request in traces.iter().filter(|span| span["parentSpanId"].is_null()) {
        let trace = text(request, "traceId");
        let own = spans.range((trace, "")..).take_while(|((of, _), _)| *of == trace).map(|(_, span)| *span);
        let attempts: Vec<&Value> = own.filter(|span| span["parentSpanId"] == request["spanId"]).collect();
        let first = attempts.iter().map(|span| nanos(span, "startTimeUnixNano")).min().unwrap();
        let last = attempts.iter().map(|span| nanos(span, "endTimeUnixNano")).max().unwrap();
        assert_eq!((first, last), (nanos(request, "startTimeUnixNano"), nanos(request, "endTimeUnixNano")), "{request}");
        assert_eq!(
            attempts.iter().filter(|span| span["status"]["code"] == "STATUS_CODE_OK").count() > 0,
            request["status"]["code"] == "STATUS_CODE_OK"
        );
        told += 1;
    }
    assert!(told > 300, "{told} requests are told");
}

/// Everything that a run says and writes, with these arguments beside.
fn said(folder: &TempDir, more: &[&str]) -> (Done, BTreeMap<String, Vec<u8>>) {
    let out = folder.path().join("out");
    let path = write(folder.path(), "storm.yaml", &unmanned(&edited("retry-storm", &[])));
    let mut all: Vec<&str> = vec!["run", path.to_str().unwrap()];
    all.extend(STORM);
    all.extend(["--out", out.to_str().unwrap()]);
    all.extend(more);
    let done = firedrill(root(), &all).exits(0);
    let files = std::fs::read_dir(&out).unwrap().map(Result::unwrap);
    let files = files
        .filter(|file| file.path().is_file())
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()));
    let files = files.collect();
    std::fs::remove_dir_all(&out).unwrap();
    (done, files)
}

#[test]
fn asking_for_evidence_changes_nothing_and_gives_the_same_bytes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (without, files) = said(&folder, &[]);
    assert!(files.keys().any(|name| name.contains("journal")), "{:?}", files.keys());
    let (with, same) = said(&folder, &["--traces", &path("t1"), "--logs", &path("l1")]);
    assert!(files == same, "the journal, the outcome and the page are the same");
    assert!(without.stdout.lines().all(|line| line.starts_with("repeat:") || with.stdout.contains(line)));
    said(&folder, &["--traces", &path("t2"), "--logs", &path("l2")]);
    for (one, other) in [("t1", "t2"), ("l1", "l2")] {
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert!(!read(one).is_empty() && read(one) == read(other), "{one}");
    }
}

#[test]
fn one_number_leads_from_a_request_to_the_alert_the_decision_and_the_action() {
    let (traces, logs) = &*TOLD;
    let times: Vec<u64> = logs.iter().map(|record| nanos(record, "timeUnixNano")).collect();
    assert!(times.is_sorted(), "records stand in the order of time");
    let alert = named(logs, "alert_firing").into_iter().find(|record| record["attributes"]["event"]["alert"] == "RetryStorm").unwrap();
    let number = text(&alert["attributes"], "correlation_id");
    let with_it: Vec<&str> = logs
        .iter()
        .filter(|record| record["attributes"]["correlation_id"] == number)
        .map(|record| text(&record["attributes"], "event.name"))
        .collect();
    let steps = ["alert_firing", "received", "incident_opened", "guarded", "decided", "action_started", "action_finished"];
    let places: Vec<usize> =
        steps.iter().map(|step| with_it.iter().position(|name| name == step).unwrap_or_else(|| panic!("{step}: {with_it:?}"))).collect();
    assert!(places.is_sorted(), "{with_it:?}");
    // The alert names requests, whose spans are there, that failed where it points, before it fired.
    let examples = alert["attributes"]["exemplar_trace_ids"].as_array().unwrap();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let spans: Vec<&Value> = traces.iter().filter(|span| span["traceId"] == *example).collect();
        let is_meant = |span: &&&Value| {
            span["attributes"]["server.address"] == alert["attributes"]["event"]["labels"]["service"]
                && span["status"]["code"] == "STATUS_CODE_ERROR"
                && nanos(span, "endTimeUnixNano") <= nanos(alert, "timeUnixNano")
        };
        assert!(spans.iter().find(is_meant).is_some(), "{example}: {spans:?}");
        let records = named(logs, "request.failed").into_iter().filter(|record| record["traceId"] == *example);
        assert!(records.count() > 0, "the log tells of {example} too");
    }
}

#[test]
fn changes_are_told_by_names_of_their_own_and_faults_by_none() {
    let (_, logs) = evidence(&edited("bad-deploy-errors", &[]), &["--policy", "rollback-on-regression"]);
    assert_eq!(named(&logs, "change.deploy.started").len(), 2, "the deploy and its rollback");
    let (_, logs) = evidence(&edited("traffic-surge", &[]), &["--policy", "scale-on-saturation"]);
    assert!(!named(&logs, "change.configuration.scaled").is_empty());
    let all = logs.iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains("fault_") && !all.contains("surge"), "no log says what is wrong");
    let scenario = "schema: scenario/1\nscenario: worse\nhorizon: 2m\nservices: { api: { flags: { new: { error: 50% } }, work: [cpu: 1ms] } }\n\
        clients: { u: { calls: api, rate: 50/s } }\nfaults: [{ flag: { service: api, flag: new }, name: secret, at: 30s, lasting: 30s }]\n";
    let (_, logs) = evidence(scenario, &[]);
    let changes: Vec<&str> = named(&logs, "change.flag").iter().map(|record| text(&record["attributes"]["event"], "state")).collect();
    assert_eq!(changes, ["on", "off"]);
    assert!(!logs.iter().any(|record| record.to_string().contains("secret")));
}

#[test]
fn what_traces_tell_of_requests_agrees_with_the_ledger() {
    use std::sync::Arc;

    use firedrill_core::ledger::RequestOutcome;
    use firedrill_core::random::Seed;
    use firedrill_sim::{Idle, Options, Run};

    let (path, text) = firedrill_scenarios::library::get("retry-storm").unwrap();
    let spec = firedrill_scenarios::read_scenario(path, text).unwrap().spec;
    let run = Run::new(Arc::clone(&spec), Seed(3), Options { telemetry: false, ..Options::default() }, Idle);
    let (finished, spans) = run.traced(1).finish_traced();
    let objective = spec.clients[0].objective;
    let requests: Vec<_> = spans.iter().filter(|span| span.parent.is_none()).collect();
    let good = requests.iter().filter(|span| span.is_good() && span.ended.since(span.started) <= objective).count();
    let slow = requests.iter().filter(|span| span.is_good() && span.ended.since(span.started) > objective).count();
    let of = |outcome: RequestOutcome| finished.ledger.clients[0].outcomes.iter().filter(|byte| **byte == outcome as u8).count();
    assert_eq!((good, slow), (of(RequestOutcome::Good), of(RequestOutcome::Slow)));
    assert_eq!(requests.len(), finished.ledger.clients[0].outcomes.len() - of(RequestOutcome::Open), "all that are over are told");
    // Attempts at a service: those that are over for their callers.
    let told = spans.iter().filter(|span| span.parent.is_some()).count() as u64;
    let sent: u64 = finished.ledger.services.iter().map(|service| service.totals.sent).sum();
    let open: u64 = finished.ledger.services.iter().map(|service| service.totals.in_service + service.totals.queued).sum();
    assert!((sent - open..=sent).contains(&told), "{told} of {sent} attempts, of which {open} are open");
}

#[test]
fn what_is_told_of_an_alert_carries_its_correlation_and_absolute_times_and_no_example_twice() {
    let (_, logs) = &*TOLD;
    let of = |record: &Value| record["attributes"]["correlation_id"].as_str().map(str::to_owned);
    let firing: BTreeSet<_> = named(logs, "alert_firing").into_iter().map(of).collect();
    let told = named(logs, "notified");
    assert!(!told.is_empty(), "a storm is told");
    for record in told {
        assert!(of(record).is_some() && firing.contains(&of(record)), "{record}");
        let began: u64 = text(&record["attributes"]["event"]["notification"], "starts_at").parse().unwrap();
        assert!(began <= nanos(record, "timeUnixNano") && began > 1_500_000_000_000_000_000, "since 1970, as all times: {record}");
    }
    for record in named(logs, "alert_firing") {
        let examples = record["attributes"]["exemplar_trace_ids"].as_array().unwrap();
        assert_eq!(examples.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(), examples.len(), "{record}");
    }
}

/// The traces and logs of a small scenario, of all of its requests.
fn told_of(text: &str) -> (Vec<Value>, Vec<Value>) {
    evidence(text, &["--sample", "1"])
}

#[test]
fn an_attempt_that_a_limit_drops_after_a_wait_is_told_too() {
    let (traces, logs) = told_of(
        "schema: scenario/1\nscenario: small\nhorizon: 20s\nclients: { c: { calls: f, trace: { every: 1s, requests: [1] }, timeout: 60s } }\n\
         services:\n  f: { work: [parallel: { calls: [{ service: s, times: 8, optional: true }] }] }\n\
         \x20 s: { concurrency: { limit: 3, wait: 500ms }, work: [sleep: 400ms] }\n",
    );
    let of_s = traces.iter().filter(|span| span["attributes"]["server.address"] == "s");
    let codes: Vec<u64> = of_s.map(|span| span["attributes"]["http.response.status_code"].as_u64().unwrap()).collect();
    assert_eq!((codes.len(), codes.iter().filter(|code| **code == 503).count()), (8, 2), "{codes:?}");
    assert_eq!(named(&logs, "request.failed").len(), 2, "and logged");
}

#[test]
fn an_attempt_that_another_one_made_needless_is_no_failure() {
    let (traces, logs) = told_of(
        "schema: scenario/1\nscenario: small\nhorizon: 2m\nclients: { c: { calls: f, rate: 5/s, timeout: none } }\n\
         services:\n  f: { work: [call: { service: a, hedge: { after: 50ms } }] }\n\
         \x20 a: { work: [sleep: { uniform: [0ms, 100ms] }] }\n",
    );
    let of = |code: &str| traces.iter().filter(|span| span["status"]["code"] == code).collect::<Vec<_>>();
    let outrun = of("STATUS_CODE_UNSET");
    assert!(outrun.len() > 100, "about half of the calls are made twice: {}", outrun.len());
    for span in outrun {
        let attributes = &span["attributes"];
        assert!(attributes["http.response.status_code"].is_null() && attributes["error.type"].is_null(), "nobody answered it: {span}");
    }
    assert!(of("STATUS_CODE_ERROR").is_empty() && named(&logs, "request.failed").is_empty(), "nothing failed");
}

#[test]
fn what_follows_of_an_incident_has_its_number_to_the_end() {
    let (_, logs) = &*TOLD;
    for kind in ["verified", "incident_closed"] {
        let told = named(logs, kind);
        assert!(!told.is_empty(), "{kind}");
        assert!(told.iter().all(|record| !record["attributes"]["correlation_id"].is_null()), "{kind}");
    }
}

#[test]
fn no_output_takes_the_place_of_what_the_run_is_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let own = "schema: scenario/1\nscenario: own\nimport: base.yaml\nrules: [rules.yaml]\nhorizon: 1m\n";
    let base = "schema: scenario/1\nscenario: base\nclients: { c: { calls: s, rate: 1/s } }\nservices: { s: { work: [cpu: 1ms] } }\n";
    let rules = "groups:\n  - name: g\n    rules: [{ alert: A, expr: up == 0 }]\n";
    let texts = [("own.yaml", own), ("base.yaml", base), ("rules.yaml", rules), ("run.html", rules)];
    texts.iter().for_each(|(name, text)| drop(write(folder.path(), name, text)));
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    firedrill(folder.path(), &["run", "own.yaml", "--logs", "logs"]).exits(0);
    std::fs::remove_file(folder.path().join("logs")).unwrap();
    // Another name of the same file, which no path leads to.
    std::fs::hard_link(folder.path().join("base.yaml"), folder.path().join("inner/base.json")).unwrap();
    for asked in
        ["--traces inner/base.json", "--traces own.yaml", "--logs base.yaml", "--traces inner/../rules.yaml", "--rules run.html --out ."]
    {
        let mut arguments = vec!["run", "own.yaml"];
        arguments.extend(asked.split(' '));
        firedrill(folder.path(), &arguments).exits(2).says("would write over").says("which this command reads");
        for (name, text) in texts {
            assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text, "{asked}: {name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), texts.len() + 1, "{asked}: nothing was written");
    }
}
