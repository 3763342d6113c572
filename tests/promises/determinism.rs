//! Same input, same bytes; and what one thing does shifts nobody else's luck.

use std::fs;
use std::path::Path;

use crate::common::{DECISIONS, Done, edited, firedrill, kind, records, unmanned, words, write};
use firedrill::drill::{Arm, Drill, Remembered};
use firedrill::{library, sources};
use firedrill_core::transcript::Transcript;
use firedrill_policies::guard::stage::Stage;

/// A hang that is found and answered within twelve minutes.
const SHORT_HANG: [(&str, &str); 1] = [("horizon: 35m", "horizon: 12m")];

#[test]
fn a_comparison_is_the_same_to_the_byte_on_any_number_of_threads_in_any_order_of_seeds_and_in_any_process() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "hang.yaml", &edited("hang-one-replica", &SHORT_HANG));
    let reverse = (1..=3).rev().map(|seed| seed.to_string()).collect::<Vec<_>>().join(",");
    let compare = |how: &str| -> Done {
        let line = format!("compare restart-crashed-or-hung restart-all --scenarios hang.yaml --format json --quiet {how}");
        firedrill(folder.path(), &words(&line)).exits(0)
    };
    let one = compare("--pairs 3 --jobs 1");
    let two = compare("--pairs 3 --jobs 2");
    let reversed = compare(&format!("--seeds {reverse} --jobs 2"));
    for other in [&two, &reversed] {
        assert!(one.stdout == other.stdout, "these differ, and must not:\n  {} > one.json\n  {} > other.json", one.told, other.told);
    }
    // It would be easy to be equal about nothing.
    let json = one.json();
    for policy in [0, 1] {
        let runs = json["policies"][policy]["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run["outcome"]["actions"].as_u64().unwrap() > 0), "both policies act in every run");
    }
    let lost = |policy: usize, run: usize| json["policies"][policy]["runs"][run]["outcome"]["user_minutes_lost"].as_f64().unwrap();
    assert!(lost(0, 0) != lost(0, 1), "two seeds are two runs");
    assert!(lost(0, 0) < lost(1, 0), "two policies are two runs");
}

/// One system with all that keeps state of its own: a database with standbys, a topic and a queue, locks, caches, calls elsewhere, an autoscaler, probes,
/// breakers and pools, and every metric profile; much of it breaks.
const EVERYTHING: &str = "
schema: scenario/1
scenario: everything
human: none
horizon: 4m30s
metrics: [istio, envoy, opentelemetry, micrometer, kube-state-metrics, cadvisor]
clients:
  shoppers: { calls: { service: shop, endpoint: /buy }, rate: 12/s, timeout: 2s, retries: grpc, dispersion: 3 }
  lookers: { calls: { service: shop, endpoint: /look }, closed: { users: 20, think: { exponential: 1s } }, timeout: 2s, asks_again: {} }
topics:
  orders: { partitions: 4, dead_letters_after: 3 }
  mails: { preset: sqs }
services:
  shop:
    template: go
    replicas: 3
    zones: [a, b]
    autoscaler: { min: 2, max: 6, cpu: 50% }
    caches: { items: { keys: 500, ttl: 1m } }
    endpoints:
      /buy:
        work:
          - cpu: { exponential: 5ms }
          - lock: { name: stock, hold: { exponential: 2ms } }
          - call: { service: db, timeout: 1s, pool: { size: 8, timeout: 500ms }, async: true }
          - update: { name: items, write: db }
          - publish: orders
      /look:
        work:
          - cpu: { exponential: 3ms }
          - cache: { name: items, miss: { service: db, access: read, timeout: 500ms, retries: aws } }
          - parallel: { calls: [{ service: prices, hedge: { after: 30ms } }, { service: prices, optional: true, breaker: { window: 20, minimum_calls: 10 } }], wait: 1 }
  prices: { replicas: 3, readiness: { period: 5s }, balance: peak_ewma, outlier_detection: { consecutive_5xx: 2 }, error: 2%, work: [cpu: { lognormal: { mean: 8ms, cv: 1 } }] }
  packer: { replicas: 3, consumes: { topic: orders, batch: 5 }, work: [cpu: { exponential: 20ms }, publish: mails] }
  mailer: { consumes: mails, work: [sleep: { exponential: 60ms }] }
  db: { replicas: 3, database: { failover: patroni, lag: 50ms }, work: [cpu: { exponential: 3ms }] }
faults:
  - primary_crash: { service: db }
    at: 60s
    lasting: 30s
  - hang: { replica: shop-1 }
    at: 100s
  - cache_flush: { service: shop, cache: items, share: 100% }
    at: 150s
  - poison: { topic: orders }
    at: 160s
  - surge: { client: shoppers, factor: x4 }
    at: 200s
    lasting: 40s
oracle:
  - restart: { replica: shop-1 }
";

#[test]
fn a_system_with_everything_is_the_same_to_the_byte_on_any_number_of_threads_and_in_any_order_of_seeds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "everything.yaml", EVERYTHING);
    let compare = |how: &str| -> Done {
        let line = format!("compare restart-crashed-or-hung --scenarios everything.yaml --format json --quiet {how}");
        firedrill(folder.path(), &words(&line)).exits(0)
    };
    let one = compare("--seeds 1,2 --jobs 1");
    let other = compare("--seeds 2,1 --jobs 2");
    assert!(one.stdout == other.stdout, "these differ, and must not:\n  {} > one.json\n  {} > other.json", one.told, other.told);
    let json = one.json();
    let runs = json["policies"][0]["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["outcome"]["actions"].as_u64().unwrap() > 0), "somebody has something to do");
}

/// The policies' arm of a scenario on seed 1, as `firedrill run SCENARIO --policy …` plays it.
fn play(folder: &Path, scenario: &str, policies: &[&str]) -> Transcript {
    let name = write(folder, "scenario.yaml", scenario).display().to_string();
    let drill = Drill {
        scenario: sources::scenarios(&[name], folder).unwrap().remove(0),
        rules: sources::rules(&["slo", "kubernetes"], folder).unwrap(),
        answer: sources::answer(policies, folder).unwrap(),
        stage: Stage::Full,
        past: Remembered::default(),
    };
    drill.play(Arm::Policy, 1).transcript
}

fn lines(transcript: &Transcript) -> Vec<String> {
    records(&transcript.to_json_lines())
}

/// The first record that one journal has and the other has not at its place.
fn first_difference(left: &[String], right: &[String]) -> String {
    let index = left.iter().zip(right).position(|(left, right)| left != right).unwrap_or(left.len().min(right.len()));
    let show = |lines: &[String]| lines.get(index).cloned().unwrap_or_else(|| "nothing".to_owned());
    format!("record {index}:\n  {}\n  {}", show(left), show(right))
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn check_bystander(scenario: &str, edits: &[(&str, &str)], bystander: &str, policies: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let text = if scenario == "everything" { EVERYTHING.to_owned() } else { edited(scenario, edits) };
    let alone = play(folder.path(), &text, policies);
    let service = format!("services:\n  {bystander}:\n    replicas: 2\n    work:\n      - cpu: {{ exponential: 30ms }}\n");
    // What imports a system need not have services of its own.
    let text = if text.contains("\nservices:\n") { text.replacen("services:\n", &service, 1) } else { format!("{text}{service}") };
    let with = play(folder.path(), &text, policies);
    let said = |lines: Vec<String>| lines.into_iter().filter(|line| !line.contains(bystander)).collect::<Vec<_>>();
    let (before, after) = (lines(&alone), said(lines(&with)));
    let repeat = format!(
        "add the service `{bystander}` to {scenario}, then `firedrill run {scenario} --policy {} --out DIR`",
        policies.join(" --policy ")
    );
    assert!(before == after, "an idle service changes what happens to others: {repeat}\n{}", first_difference(&before, &after));
    assert!(before.iter().any(|line| kind(line) == "decided"), "the policies have something to do: {repeat}");
    assert_eq!(alone.ledger.clients, with.ledger.clients, "an idle service changes what users get: {repeat}");
    for service in &alone.ledger.services {
        assert!(with.ledger.services.contains(service), "an idle service changes {}: {repeat}", service.service);
    }
    assert_eq!(with.ledger.services.len(), alone.ledger.services.len() + 1);
}

#[test]
fn an_idle_service_leaves_every_record_of_the_others_unchanged() {
    // First and last in order of name, so that a dense index anywhere would show.
    for bystander in ["aaa-bystander", "zzz-bystander"] {
        check_bystander("hang-one-replica", &SHORT_HANG, bystander, &["restart-crashed-or-hung"]);
        check_bystander("bad-deploy-errors", &[("horizon: 35m", "horizon: 15m")], bystander, &["rollback-on-regression"]);
        check_bystander("retry-storm", &[("horizon: 30m", "horizon: 5m")], bystander, &["break-retry-storm"]);
    }
}

#[test]
fn an_idle_service_leaves_every_record_of_a_large_system_unchanged() {
    let short = [("horizon: 20m", "horizon: 5m30s")];
    check_bystander("shop-cart-hangs", &short, "aaa-bystander", &["restart-crashed-or-hung"]);
    check_bystander("payments-bad-ledger", &short, "zzz-bystander", &["rollback-on-regression"]);
    check_bystander("everything", &[], "mmm-bystander", &["restart-crashed-or-hung"]);
}

/// Takes up the alert, waits, calls somebody, and watches a condition meanwhile; never acts.
const WAITS: &str = r"
schema: policy/1
policy: waits
owner: team-test
on: { alert: [ReplicaHung, HighFailures] }
target: { service: $service }
steps:
  - wait: 37s
    verify: { expr: 'up{service=$service} == 1', hold: 10s, within: 50s }
    on_failure: next
  - wait: 1m13s
  - escalate: { to: oncall }
escalate_after: 9m
";

/// Would restart everything, if ever its precheck held.
const NEVER: &str = r"
schema: policy/1
policy: never
owner: team-test
on: { alert: [ReplicaHung, HighFailures] }
target: { service: $service }
precheck:
  - expr: vector(0) == 1
    because: this is never so
steps:
  - restart: { mode: at_once }
";

#[test]
fn a_policy_that_only_sets_timers_leaves_every_record_of_the_world_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let text = edited("hang-one-replica", &SHORT_HANG);
    let (waits, never) = (write(folder.path(), "waits.yaml", WAITS), write(folder.path(), "never.yaml", NEVER));
    let [waits, never] = [&waits, &never].map(|path| path.to_str().unwrap());
    for others in [&[][..], &["restart-crashed-or-hung"][..]] {
        let without = play(folder.path(), &text, others);
        for idle in [waits, never] {
            let name = Path::new(idle).file_stem().unwrap().to_str().unwrap();
            let with = play(folder.path(), &text, &[others, &[idle]].concat());
            let all = lines(&with);
            assert!(all.iter().any(|line| kind(line) == "incident_opened" && line.contains(name)), "`{name}` is told of the alert");
            let is_world = |line: &&String| kind(line) != "run_ended" && !DECISIONS.contains(&kind(line));
            let world = |lines: &[String]| lines.iter().filter(is_world).cloned().collect::<Vec<_>>();
            let (before, after) = (world(&lines(&without)), world(&all));
            let repeat = format!(
                "firedrill run hang-one-replica{} --policy {name}.yaml (a policy of this test) --out DIR",
                if others.is_empty() { "" } else { " --policy restart-crashed-or-hung" }
            );
            assert!(before == after, "`{name}` changes the world: {repeat}\n{}", first_difference(&before, &after));
            assert!(!before.is_empty());
            assert_eq!(without.ledger, with.ledger, "`{name}` changes the truth: {repeat}");
        }
    }
}

#[track_caller]
fn check_two_processes(scenario: &str, text: &str, policy: &str) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "scenario.yaml", text);
    let line = format!("run scenario.yaml --policy {policy} --seed 7 --quiet --out");
    let journal = |out: &str| {
        firedrill(folder.path(), &words(&format!("{line} {out}"))).exits(0);
        fs::read_to_string(folder.path().join(out).join("journal.jsonl")).unwrap()
    };
    let (one, two) = (journal("one"), journal("two"));
    assert!(one == two, "{scenario}: firedrill {line} DIR, twice");
    assert!(records(&one).iter().any(|line| kind(line) == "decided"), "{scenario}: {policy} has something to do");
    // And the library, in this process, agrees with the command in its own.
    let watching: Vec<&str> = library::rule_shelf().names.into_iter().filter(|name| library::watches_by_default(name)).collect();
    let drill = Drill {
        scenario: sources::scenarios(&["scenario.yaml"], folder.path()).unwrap().remove(0),
        rules: sources::rules(&watching, folder.path()).unwrap(),
        answer: sources::answer(&[policy], folder.path()).unwrap(),
        stage: Stage::Full,
        past: Remembered::default(),
    };
    let here = drill.play(Arm::Policy, 7).transcript.to_json_lines();
    assert!(here == one, "{scenario}: the library and the command differ\n{}", first_difference(&lines_of(&here), &lines_of(&one)));
}

#[test]
fn one_command_gives_one_journal_to_the_byte_whoever_runs_it() {
    check_two_processes("memory-leak-to-oom", &unmanned(&edited("memory-leak-to-oom", &[])), "restart-before-oom");
    check_two_processes("everything", EVERYTHING, "restart-crashed-or-hung");
}
