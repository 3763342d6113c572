//! What `check` finds in rules beyond whether they can fire, what it proposes, and what `import metrics` drafts; and that docs/check.md says all of it.

use crate::common;
use std::fs;
use std::path::Path;

use crate::common::{Done, firedrill, root, write};
use firedrill_policies::lints::POLICY_LINTS;
use firedrill_policies::rules::lint::LINTS;
use serde_json::Value;
use tempfile::TempDir;

/// A shop whose targets are scraped every 15 s.
const SCENARIO: &str = "schema: scenario/1
scenario: shop
horizon: 20m
clients:
  users: { calls: api, rate: 20/s, timeout: 2s }
services:
  api:
    replicas: 2
    work:
      - cpu: 10ms
faults:
  - slow: { service: api, factor: x1.1 }
    at: 5m
";

/// An alert that nothing is wrong with.
const SOUND: &str = "groups:
  - name: shop
    rules:
      - alert: Down
        expr: up{job=\"api\"} == 0
        for: 1m
        labels: { severity: critical, team: shop }
        annotations: { summary: '{{ $labels.pod }} is down' }
";

fn project(rules: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "scenario.yaml", SCENARIO);
    write(folder.path(), "rules.yaml", rules);
    write(folder.path(), "firedrill.yaml", "schema: project/1\nrules: [rules.yaml]\nscenarios: [scenario.yaml]\n");
    folder
}

fn lints(done: &Done) -> Vec<String> {
    let json = done.json();
    let lints = json["lints"].as_array().unwrap();
    let told = |lint: &Value| {
        assert!(lint["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{lint} has no remedy");
        let word = |key: &str| lint[key].as_str().unwrap();
        format!("{}:{}:{} {} {}: {}", word("path"), lint["line"], lint["column"], word("severity"), word("code"), word("message"))
    };
    lints.iter().map(told).collect()
}

fn check(folder: &Path, more: &[&str]) -> Done {
    firedrill(folder, &[&["check", "--format", "json"], more].concat())
}

#[test]
fn a_sound_project_has_no_lints_and_a_careless_one_has_them_with_place_and_remedy() {
    assert_eq!(lints(&check(project(SOUND).path(), &["--fire"]).exits(0)), ["rules.yaml:4:16 warning FD0463: `Down` never fires in 1 run"]);
    let careless =
        SOUND.replace("for: 1m", "for: 10s").replace("severity: critical, ", "").replace("up{job=\"api\"} == 0", "sum by (job) (up) == 0");
    let folder = project(&careless);
    assert_eq!(
        lints(&check(folder.path(), &[]).exits(0)),
        [
            "rules.yaml:4:16 warning FD0469: `Down` has no label `severity`, so nothing can tell how bad it is",
            "rules.yaml:6:14 warning FD0467: `for: 10s` is shorter than the 30s from one evaluation to the next, and so means 30s",
            "rules.yaml:8:37 warning FD0476: `$labels.pod` is always empty: what the expression yields has only job",
        ]
    );
    // The same for people, with a caret.
    firedrill(folder.path(), &["check"]).exits(0).says("lints: 3 warnings").says("warning[FD0467]").says("help: write `for: 30s`");
}

#[test]
fn lints_can_be_silenced_made_to_fail_and_allowed_one_by_one() {
    let careless = SOUND.replace("severity: critical, ", "");
    let folder = project(&careless);
    assert_eq!(lints(&check(folder.path(), &["--lint", "off"]).exits(0)), [] as [&str; 0]);
    let failed = check(folder.path(), &["--lint", "error"]).exits(2);
    assert_eq!(lints(&failed), ["rules.yaml:4:16 error FD0469: `Down` has no label `severity`, so nothing can tell how bad it is"]);
    let allowed = careless.replace("- alert: Down", "- alert: Down # firedrill: allow FD0469 the router adds it");
    check(project(&allowed).path(), &["--lint", "error"]).exits(0);
    // A rule that cannot fire fails too where warnings fail, and is allowed as any other.
    let dead = SOUND.replace("up{job=\"api\"}", "nobody_exposes_this");
    check(project(&dead).path(), &["--lint", "error"]).exits(2).says("FD0460");
    let allowed = dead.replace("- alert", "# firedrill: allow FD0460 it is of the old cluster\n      - alert");
    let told = firedrill(project(&allowed).path(), &["check", "--lint", "error"]).exits(0);
    assert!(!told.stdout.contains("cannot fire here"), "{}", told.stdout);
}

#[test]
fn a_project_says_which_labels_alerts_should_have() {
    let folder = project(SOUND);
    let project = fs::read_to_string(folder.path().join("firedrill.yaml")).unwrap();
    write(folder.path(), "firedrill.yaml", &format!("{project}lint: {{ severity: [priority, severity], owner: squad }}\n"));
    assert_eq!(
        lints(&check(folder.path(), &[]).exits(0)),
        ["rules.yaml:4:16 warning FD0470: `Down` has no label `squad`, so nothing can tell whose it is"]
    );
    write(folder.path(), "firedrill.yaml", &format!("{project}lint: {{ severity: [], owner: [] }}\n"));
    assert_eq!(lints(&check(folder.path(), &[]).exits(0)), [] as [&str; 0]);
    write(folder.path(), "firedrill.yaml", &format!("{project}lint: {{ severty: x }}\n"));
    check(folder.path(), &[]).exits(2).says("did you mean `severity`?");
}

#[test]
fn runs_tell_what_fires_and_what_selects_nothing_where_it_could() {
    let rules = "groups:
  - name: shop
    rules:
      - { record: 'job:up:sum', expr: sum by (job) (up) }
      - { record: 'codes', expr: 'http_requests_total{code=\"200\"} or http_requests_total{code=\"503\"}' }
      - alert: Lives
        expr: job:up:sum > 0
        labels: { severity: info, team: a }
      - alert: Waits
        expr: up == 1
        for: 10h
        labels: { severity: info, team: a }
      - alert: Fails
        expr: rate(http_requests_total{code=\"503\"}[5m]) > 0
        labels: { severity: info, team: a }
      - alert: Many
        expr: up * on (job) group_left () up > 0
        labels: { severity: info, team: a }
";
    // What no run can show needs none to be told.
    assert_eq!(lints(&check(project(rules).path(), &[]).exits(0)).iter().filter(|told| told.contains("FD0488")).count(), 1);
    assert_eq!(
        lints(&check(project(rules).path(), &["--fire"]).exits(0)),
        [
            "rules.yaml:11:14 warning FD0488: `Waits` waits for 10h, and nothing that is rehearsed here lasts longer than 20m: it fires in none of \
                it",
            "rules.yaml:5:70 warning FD0464: `http_requests_total{code=\"503\"}` selects nothing in 1 run",
            "rules.yaml:9:16 warning FD0463: `Waits` never fires in 1 run: it was pending, and never for the whole of its `for`",
            "rules.yaml:13:16 warning FD0463: `Fails` never fires in 1 run: `http_requests_total{code=\"503\"}` selects nothing there",
            "rules.yaml:16:16 warning FD0487: `Many` cannot be evaluated in 1 run: up{instance=\"api-0:8080\", job=\"api\", \
                namespace=\"default\", pod=\"api-0\", service=\"api\", version=\"v1\", zone=\"a\"} and up{instance=\"api-1:8080\", job=\"api\", \
                namespace=\"default\", pod=\"api-1\", service=\"api\", version=\"v1\", zone=\"a\"} on the right side match the same elements; \
                their matching labels must differ on that side",
        ]
    );
}

/// Rules of a shop with metrics of its own.
const OWN_METRICS: &str = "groups:
  - name: shop
    rules:
      - record: job:orders:rate5m
        expr: sum by (job) (rate(shop_orders_total[5m]))
      - alert: OrdersFail
        expr: sum by (job) (rate(shop_orders_total{status=~\"5..\"}[5m])) / job:orders:rate5m > 0.05
        labels: { severity: critical, team: shop }
      - alert: Slow
        expr: histogram_quantile(0.99, sum by (le) (rate(shop_request_duration_seconds_bucket{job=\"shop\"}[5m]))) > 1
        labels: { severity: warning, team: shop }
      - alert: MailWaits
        expr: shop_queue_depth{queue=\"mail\"} > 100
        labels: { severity: warning, team: shop }
";

fn able(folder: &Path) -> (usize, Value) {
    let json = check(folder, &[]).exits(0).json();
    let rules = json["rules"].as_array().unwrap();
    (rules.iter().filter(|rule| rule["verdict"] == "can_fire").count(), json["declaration"].clone())
}

/// A scenario with something pasted below its service.
fn pasted(folder: &Path, yaml: &str) {
    let anchor = "      - cpu: 10ms\n";
    assert_eq!(SCENARIO.matches(anchor).count(), 1);
    write(folder, "scenario.yaml", &SCENARIO.replace(anchor, &format!("{anchor}{}\n", yaml.trim_end())));
}

#[test]
fn the_metrics_that_check_proposes_can_be_pasted_and_make_more_rules_able_to_fire() {
    let folder = project(OWN_METRICS);
    let (before, declaration) = able(folder.path());
    assert_eq!((before, declaration["service"].as_str(), declaration["more_rules"].as_u64()), (0, Some("api"), Some(4)));
    let yaml = declaration["yaml"].as_str().unwrap();
    let told = firedrill(folder.path(), &["check"]).exits(0).says("3 metrics would make 4 rules more able to fire").stdout;
    assert!(told.contains(yaml.trim_end()), "people get the same to paste\n{told}");
    pasted(folder.path(), yaml);
    assert_eq!(able(folder.path()), (4, Value::Null), "{yaml}");
    // The proposal is the shortest: without any one line of it fewer rules can fire.
    for line in yaml.lines().filter(|line| line.contains("shop_")) {
        pasted(folder.path(), &yaml.replace(&format!("{line}\n"), ""));
        assert!(able(folder.path()).0 < 4, "{line} was needless");
    }
}

#[test]
fn what_a_profile_has_is_not_made_up() {
    let folder = project(OWN_METRICS);
    let rules = "groups:\n  - name: g\n    rules:\n      - { alert: A, expr: 'kube_pod_owner{owner_kind=\"ReplicaSet\"} > 0', labels: { severity: critical, team: t } }\n      - { alert: B, expr: 'sum(rate(http_server_requests_seconds_count{status=\"500\"}[5m])) > 1', labels: { severity: critical, team: t } }\n";
    write(folder.path(), "own.yaml", rules);
    let told = firedrill(folder.path(), &["check", "scenario.yaml", "own.yaml"]).exits(0).stdout;
    for wanted in [
        "help: the profile kube-state-metrics has it; say `metrics: [kube-state-metrics]` beside `services:`",
        "help: the profile micrometer has it",
        "`metrics: [micrometer, kube-state-metrics]` would make 2 rules more able to fire; say `metrics: [micrometer, kube-state-metrics]` beside",
    ] {
        assert!(told.contains(wanted), "{wanted}\n{told}");
    }
    assert!(!told.contains("gauge"), "nothing is to be pasted\n{told}");
    write(folder.path(), "scenario.yaml", &SCENARIO.replace("services:\n", "metrics: [micrometer, kube-state-metrics]\nservices:\n"));
    firedrill(folder.path(), &["check", "scenario.yaml", "own.yaml"]).exits(0).says("2 of 2 of your rules can fire here");
}

#[test]
fn a_fault_of_a_replica_that_a_deploy_has_replaced_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let of = |at: &str| {
        let text = SCENARIO.replace("    work:\n", "    versions: { v2: {} }\n    work:\n");
        let text = text.replace(
            "  - slow: { service: api, factor: x1.1 }\n    at: 5m\n",
            &format!("  - slow: {{ replica: api-0, factor: x2 }}\n    at: {at}\n"),
        );
        let change = "changes:\n  - deploy: { service: api, version: v2 }\n    at: 2m\n";
        write(folder.path(), "scenario.yaml", &format!("{text}{change}"));
        firedrill(folder.path(), &["check", "scenario.yaml"]).exits(0)
    };
    of("5m").says("warning[FD0943]: `slow-api-0` strikes api-0 at 5m, and a deploy of api at 2m replaces its replicas before");
    assert!(!of("1m").stderr.contains("FD0943"));
}

const PAGE: &str = "# HELP shop_orders_total Orders by result.
# TYPE shop_orders_total counter
shop_orders_total{result=\"ok\",status=\"200\"} 1027
shop_orders_total{result=\"failed\",status=\"500\"} 3
# TYPE shop_request_duration_seconds histogram
shop_request_duration_seconds_bucket{job=\"shop\",route=\"/cart\",le=\"0.1\"} 24054
shop_request_duration_seconds_bucket{job=\"shop\",route=\"/cart\",le=\"0.5\"} 33444
shop_request_duration_seconds_bucket{job=\"shop\",route=\"/cart\",le=\"+Inf\"} 144320
shop_request_duration_seconds_sum{job=\"shop\",route=\"/cart\"} 53423
shop_request_duration_seconds_count{job=\"shop\",route=\"/cart\"} 144320
# TYPE shop_queue_depth gauge
shop_queue_depth{queue=\"print\"} 2
shop_queue_depth{queue=\"mail\"} 4
# TYPE shop_build_info gauge
shop_build_info{revision=\"1.2\"} 1
process_cpu_seconds_total 12
";

#[test]
fn a_draft_from_a_metrics_page_can_be_pasted_and_is_never_written_over() {
    let folder = project(OWN_METRICS);
    write(folder.path(), "page.txt", PAGE);
    let draft = firedrill(folder.path(), &["import", "metrics", "page.txt", "--rules", "rules.yaml"]).exits(0).stdout;
    insta::assert_snapshot!("import_metrics", draft);
    pasted(folder.path(), &draft);
    assert_eq!(able(folder.path()).0, 4, "{draft}");
    // OpenMetrics names a counter's family without its end, and ends with a mark.
    let open = PAGE.replace("TYPE shop_orders_total", "TYPE shop_orders").replace("HELP shop_orders_total", "HELP shop_orders") + "# EOF\n";
    write(folder.path(), "open.txt", &open);
    let told = firedrill(folder.path(), &["import", "metrics", "open.txt", "--rules", "rules.yaml"]).exits(0).stdout;
    assert_eq!(told.replace("open.txt", "page.txt"), draft);
    // All of the page, into a file, once.
    let all = ["import", "metrics", "page.txt", "--all", "--out", "draft.yaml"];
    firedrill(folder.path(), &all).exits(0).says("wrote 4 metrics to draft.yaml");
    let written = fs::read_to_string(folder.path().join("draft.yaml")).unwrap();
    assert!(written.contains("shop_build_info: { gauge: info, labels: { revision: \"1.2\" } }"), "{written}");
    pasted(folder.path(), &written);
    assert_eq!(able(folder.path()).0, 4, "{written}");
    firedrill(folder.path(), &all).exits(2).says("draft.yaml is there already");
    assert_eq!(fs::read_to_string(folder.path().join("draft.yaml")).unwrap(), written);
}

#[test]
fn what_is_no_metrics_page_or_has_nothing_for_the_rules_is_refused() {
    let folder = project(SOUND);
    write(folder.path(), "page.txt", PAGE);
    firedrill(folder.path(), &["import", "metrics", "rules.yaml"]).exits(2).says("FD0920").says("rules.yaml:1:1");
    firedrill(folder.path(), &["import", "metrics", "page.txt"]).exits(2).says("the rules ask for none").says("--all");
    firedrill(folder.path(), &["import", "metrics", "none.txt"]).exits(2).says("none.txt");
}

#[test]
fn a_page_that_no_target_shows_is_refused_with_every_place_and_nothing_is_written() {
    let folder = project(SOUND);
    write(folder.path(), "page.txt", "# TYPE a foo\na 1\nb 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n");
    let done = firedrill(folder.path(), &["import", "metrics", "page.txt", "--all", "--out", "draft.yaml"]).exits(2);
    for told in [
        "page.txt:1:1",
        "`foo` is no type of metric, so `a` has none",
        "page.txt:4:1",
        "b stands in line 3 already",
        "page.txt:6:1",
        "no bucket with le=\"+Inf\"",
    ] {
        assert!(done.stderr.contains(told), "{told}\n{}", done.stderr);
    }
    assert!(!folder.path().join("draft.yaml").exists() && done.stdout.is_empty());
}

#[test]
fn a_rule_that_cannot_fire_is_named_beside_the_verdict() {
    let folder = common::release_project();
    let gate = ["gate", "--out", "out", "--quiet"];
    let sound = firedrill(folder.path(), &gate).exits(0);
    assert!(!sound.stdout.contains("cannot fire"), "{}", sound.stdout);
    let rules = fs::read_to_string(folder.path().join("rules/errors.yaml")).unwrap();
    let dead = "      - alert: DiskFull\n        expr: node_filesystem_avail_bytes < 1\n";
    write(folder.path(), "rules/errors.yaml", &format!("{rules}{dead}"));
    let told = "1 of 3 rules cannot fire in what is rehearsed here, so nothing was learnt of them: DiskFull; `firedrill check` says why";
    firedrill(folder.path(), &gate).exits(0).says(told);
    let written = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let report: Value = serde_json::from_str(&written("gate.json")).unwrap();
    assert_eq!(report["cannot_fire"], serde_json::json!(["DiskFull"]));
    assert!(written("gate.md").contains(told));
}

#[test]
fn docs_check_md_tells_every_lint_with_why_and_remedy() {
    let text = fs::read_to_string(root().join("docs/check.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| FD"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let told: Vec<(&str, &str, &str)> = rows.iter().map(|row| (row[0], row[1], row[2])).collect();
    let of_rules = LINTS.iter().map(|lint| (lint.code, lint.severity_word(), lint.what));
    let of_policies = POLICY_LINTS.iter().map(|lint| (lint.code, lint.severity_word(), lint.what));
    let wanted: Vec<(&str, &str, &str)> = of_rules.chain(of_policies).collect();
    assert_eq!(told, wanted, "docs/check.md lists the lints as the code does");
    for row in rows {
        assert!(row.len() == 5 && row[3].len() > 20 && row[4].len() > 8, "{} has no why or no remedy", row[0]);
    }
}

#[test]
fn a_draft_keeps_what_the_page_has_where_rules_ask_for_something_else() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "page.txt", "# TYPE depth gauge\ndepth{q=\"a\"} 3\n");
    let asks = |text: &str| write(folder.path(), "r.yml", &format!("groups: [{{ name: g, rules: [{{ alert: Q, expr: '{text}' }}] }}]\n"));
    let draft = || firedrill(folder.path(), &["import", "metrics", "page.txt", "--rules", "r.yml"]).exits(0);
    asks(r#"depth{q="b"} > 5"#);
    draft().says("labels: { q: a }").says("rules ask for `q=\"b\"`, and the page has only `a`");
    asks(r#"depth{q="a"} > 5"#);
    draft().says("labels: { q: a }");
}

#[test]
fn hints_do_not_crowd_out_warnings() {
    let folder = tempfile::tempdir().unwrap();
    // Thirty alerts without an owner, which is a hint; the last one also lacks a severity, which is a warning.
    let rule = |index: usize| format!("      - {{ alert: A{index}, expr: up == 0, for: 1m, labels: {{ severity: page }} }}\n");
    let rules: String = (0..30).map(rule).collect();
    let text = format!("groups:\n  - name: g\n    rules:\n{rules}      - {{ alert: Last, expr: up == 0, for: 1m }}\n");
    write(folder.path(), "r.yml", &text);
    firedrill(folder.path(), &["check", "r.yml", "--verbose"]).exits(0).says("`Last` has no label `severity`").says("more in r.yml");
}

#[test]
fn a_rate_over_one_scrape_cannot_fire() {
    let rule = "up) > 0 }, { alert: Short, expr: 'rate(http_requests_total[15s]) > 0', labels: { severity: info, team: a } }";
    let rules = format!("groups: [{{ name: g, rules: [{{ record: 'job:up:sum', expr: sum by (job) ({rule}] }}]\n");
    let folder = project(&rules);
    let told = "`rate` needs two samples, and 15s of what is scraped every 15s hold one";
    firedrill(folder.path(), &["check"]).says("1 of 2 of your rules can fire here").says("cannot fire here (FD0460)").says(told);
}

#[test]
fn runs_begin_with_the_past_that_a_scenario_tells() {
    let rule = "{ alert: Grown, expr: 'increase(http_requests_total[1d]) > 0 and on (pod) count_over_time(http_requests_total[1d]) > 250', \
                labels: { severity: info, team: a } }";
    let folder = project(&format!("groups: [{{ name: g, rules: [{rule}] }}]\n"));
    let fired = |folder: &Path| !check(folder, &["--fire"]).exits(0).stdout.contains("FD0463");
    assert!(!fired(folder.path()), "a run of twenty minutes has 80 scrapes");
    write(folder.path(), "scenario.yaml", &format!("{SCENARIO}history: {{ span: 2d }}\n"));
    assert!(fired(folder.path()), "a day has 288 samples, five minutes apart");
}
