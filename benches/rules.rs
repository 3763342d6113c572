//! How fast rules are evaluated, in one process and against others: the compiled evaluator against the plain one, a ruler over an hour, and rule
//! tests against promtool.
//!
//! Samples arrive as scrapes do, between the evaluations, and are not counted. Times are CPU time of this thread, or of whole processes.

#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use firedrill_core::journal::Journal;
use firedrill_core::time::{Span, Start};
use firedrill_core::transcript::Desk;
use firedrill_policies::rules::{Phase, RuleSet, Ruler, RulerSettings};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Answer, Evaluator, Machine, Plan, Program, Value};
use firedrill_telemetry::store::{SeriesId, Store};
use rustix::time::{ClockId, clock_gettime};

const STEP_MS: i64 = 15_000;

/// `cargo bench` runs the size that counts; `cargo test --benches` the smallest that goes everywhere.
fn is_full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    one_rule();
    shapes();
    an_hour();
    rule_tests();
}

/// Counters that grow steadily and gauges that swing.
#[derive(Clone, Default)]
struct World {
    store: Store,
    series: Vec<(SeriesId, f64)>,
}

impl World {
    fn add(&mut self, name: &str, labels: &[(&str, &str)], growth: f64) {
        self.series.push((self.store.series(&Labels::named(name, labels)), growth));
    }

    /// Ten instances of each of ten jobs.
    fn add_hundred(&mut self, name: &str, growth: f64) {
        for job in 0..10 {
            for instance in 0..10 {
                self.add(name, &[("job", &format!("job-{job}")), ("instance", &format!("instance-{job}-{instance}"))], growth);
            }
        }
    }

    fn scrape(&mut self, at_ms: i64) {
        let tick = at_ms / STEP_MS;
        for (index, (id, growth)) in self.series.iter().enumerate() {
            let value = match growth {
                growth if *growth > 0.0 => growth * tick as f64,
                // A few are where alerts want them, for good.
                _ if index % 33 == 0 => 100.0,
                _ => ((tick + index as i64) % 7) as f64,
            };
            self.store.append(*id, at_ms, value).expect("ticks increase");
        }
    }
}

/// The CPU time of this thread since it began, seconds. The thread's own clock and not what the scheduler writes down at its ticks, 4 ms apart: a cycle takes 1 ms.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// `sum by (job) (rate(x[5m]))` in the steady state: what a matched series costs and what a rule costs without any, by evaluations of two sizes.
fn one_rule() {
    let (few, many) = (10, 1_000);
    let (few_ns, _) = sum_of_rates(few);
    let (many_ns, plain_ns) = sum_of_rates(many);
    let a_series = (many_ns - few_ns) / (many - few) as f64;
    let fixed = few_ns - a_series * few as f64;
    println!("sum by (job) (rate(x[5m])), {many} series: {:.1} µs; plain evaluator {:.1} µs", many_ns / 1e3, plain_ns / 1e3);
    println!("    {a_series:.1} ns a matched series (aim: at most 50), {fixed:.0} ns a rule beside them (aim: at most 500)");
    println!("    ratio to the plain evaluator: {:.2}", plain_ns / many_ns);
}

/// The median times of an evaluation, compiled and plain, nanoseconds. The median, because whoever else uses the machine interrupts.
fn sum_of_rates(count: usize) -> (f64, f64) {
    let plan = Plan::parse("sum by (job) (rate(x[5m]))").expect("an expression");
    let mut program = Program::new();
    let query = program.add(&plan);
    let (mut machine, mut evaluator) = (Machine::new(Arc::new(program)), Evaluator::new());
    let mut world = World::default();
    for index in 0..count {
        let (job, instance) = (format!("job-{}", index * 10 / count), format!("instance-{index}"));
        world.add("x", &[("job", &job), ("instance", &instance)], 1.5 + index as f64);
    }
    let (mut compiled, mut plain) = (Vec::new(), Vec::new());
    for tick in 1..=if is_full() { 400 } else { 30 } {
        let at_ms = tick * STEP_MS;
        world.scrape(at_ms);
        let sources = [&world.store];
        let start = Instant::now();
        let answer = machine.evaluate(query, at_ms, &sources).expect("it evaluates");
        compiled.push(start.elapsed().as_nanos() as f64);
        let Answer::Vector(elements) = answer else { unreachable!("it is a vector") };
        let elements: Vec<f64> = elements.iter().map(|(_, _, value)| value).collect();
        let start = Instant::now();
        let value = evaluator.evaluate(&plan, at_ms, &sources).expect("it evaluates");
        plain.push(start.elapsed().as_nanos() as f64);
        let Value::Vector(samples) = value else { unreachable!("it is a vector") };
        let samples: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        assert!(elements == samples && elements.len() == if tick == 1 { 0 } else { 10 });
    }
    // Windows are full from the twentieth tick on.
    (median(&mut compiled[20..]), median(&mut plain[20..]))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Upper bounds of the latency histogram.
const BOUNDS: [&str; 11] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];

/// Twenty shapes, each for every service: the functions, operators and nesting that are commonest in published rules.
const SHAPES: [&str; 20] = [
    r#"sum(rate(http_requests_total{service="S",code=~"5.."}[5m])) / sum(rate(http_requests_total{service="S"}[5m])) > 0.01"#,
    r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{service="S"}[5m]))) > 0.5"#,
    r#"histogram_quantile(0.9, sum by (le, pod) (rate(http_request_duration_seconds_bucket{service="S"}[1m])))"#,
    r#"sum by (service) (rate(http_requests_total{service="S"}[1m]))"#,
    r#"sum without (pod, instance) (rate(http_requests_total{service="S"}[5m]))"#,
    r#"up{service="S"} == 0"#,
    r#"avg by (service) (up{service="S"}) < 0.5"#,
    r#"absent(up{service="S"} == 1)"#,
    r#"rate(process_cpu_seconds_total{service="S"}[5m]) > 0.9"#,
    r#"process_resident_memory_bytes{service="S"} / on (pod) container_memory_limit_bytes{service="S"} > 0.9"#,
    r#"predict_linear(process_resident_memory_bytes{service="S"}[1h], 3600) > 1e9"#,
    r#"increase(restarts_total{service="S"}[15m]) > 3"#,
    r#"max_over_time(queue_length{service="S"}[10m]) > 100 and queue_length{service="S"} > 50"#,
    r#"topk(3, sum by (pod) (rate(http_requests_total{service="S"}[5m])))"#,
    r#"count(up{service="S"} == 1) < 3"#,
    r#"sum(rate(http_requests_total{service="S",code!~"5.."}[30m])) unless sum(up{service="S"}) == 0"#,
    r#"changes(up{service="S"}[15m]) > 2"#,
    r#"time() - deploy_timestamp_seconds{service="S"} < 1800"#,
    r#"(avg_over_time(queue_length{service="S"}[5m]) - avg_over_time(queue_length{service="S"}[5m] offset 10m)) > 20"#,
    r#"sum by (pod) (rate(http_request_duration_seconds_bucket{service="S",le="+Inf"}[5m])) > bool 10"#,
];

/// What the shapes ask about.
fn services(count: usize) -> World {
    let mut world = World::default();
    for service in 0..count {
        let service = format!("service-{service}");
        world.add("deploy_timestamp_seconds", &[("service", &service)], 0.0);
        for pod in 0..5 {
            let pod = format!("{service}-{pod}");
            let pod_labels = [("service", service.as_str()), ("pod", pod.as_str()), ("instance", pod.as_str())];
            for name in ["up", "container_memory_limit_bytes", "queue_length", "process_resident_memory_bytes"] {
                world.add(name, &pod_labels, 0.0);
            }
            for name in ["process_cpu_seconds_total", "restarts_total"] {
                world.add(name, &pod_labels, 0.7);
            }
            for code in ["200", "404", "500"] {
                world.add("http_requests_total", &[&pod_labels[..], &[("code", code)]].concat(), 40.0);
            }
            for bound in BOUNDS {
                world.add("http_request_duration_seconds_bucket", &[&pod_labels[..], &[("le", bound)]].concat(), 40.0);
            }
        }
    }
    world
}

/// Rules of all shapes over 1,000 series for an hour, compiled and plain.
fn shapes() {
    let (services_count, ticks) = if is_full() { (10, 240) } else { (1, 10) };
    let texts = (0..services_count).flat_map(|service| SHAPES.map(|shape| shape.replace("\"S\"", &format!("\"service-{service}\""))));
    let plans: Vec<Plan> = texts.map(|text| Plan::parse(&text).expect("a rule")).collect();
    let mut program = Program::new();
    let queries: Vec<_> = plans.iter().map(|plan| program.add(plan)).collect();
    let (mut machine, mut evaluator) = (Machine::new(Arc::new(program)), Evaluator::new());
    let mut world = services(services_count);
    let (mut compiled, mut plain, mut elements) = (0.0, 0.0, [0, 0]);
    for tick in 1..=ticks {
        let at_ms = tick * STEP_MS;
        world.scrape(at_ms);
        let before = cpu_seconds();
        for query in &queries {
            if let Answer::Vector(found) = machine.evaluate(*query, at_ms, &[&world.store]).expect("the rules evaluate") {
                elements[0] += black_box(found).len();
            }
        }
        let between = cpu_seconds();
        for plan in &plans {
            if let Value::Vector(samples) = evaluator.evaluate(plan, at_ms, &[&world.store]).expect("the rules evaluate") {
                elements[1] += black_box(samples).len();
            }
        }
        compiled += between - before;
        plain += cpu_seconds() - between;
    }
    assert!(elements[0] > 0 && elements[0] == elements[1], "{elements:?}");
    println!("{} rules of 20 shapes over {} series, {ticks} evaluations each", queries.len(), world.store.len());
    println!("    compiled {compiled:.3} CPU-s, plain {plain:.3} CPU-s, ratio {:.1}", plain / compiled);
}

/// Ten rules about a counter `C` and a gauge `G` of a hundred series each: rates over the ranges that are commonest in published rules, most of them
/// within aggregations, comparisons that hold for little, one join. No two rules of the set have more than a selector in common.
const RULES: [&str; 10] = [
    "{ record: 'job:C:rate5m', expr: 'sum by (job) (rate(C[5m]))' }",
    "{ record: 'instance:C:rate1m', expr: 'rate(C[1m])' }",
    "{ alert: CFalls, expr: 'sum(rate(C[2m])) < 0', for: 5m }",
    "{ alert: CStands, expr: 'increase(C[10m]) <= 0', for: 15m }",
    "{ alert: CSlow, expr: 'max without (instance) (irate(C[4m])) < 0.01', for: 5m }",
    "{ alert: GHigh, expr: 'G > 1e9', for: 5m }",
    "{ alert: GHighSomewhere, expr: 'avg by (job) (G) > 1e9', for: 5m }",
    "{ alert: GHighForLong, expr: 'max_over_time(G[5m]) > 1e9' }",
    "{ alert: GHighForC, expr: 'G / on (job, instance) C > 1e9', for: 1m }",
    "{ alert: GStuck, expr: 'G == 100', for: 5m, labels: { severity: warning }, annotations: { summary: '{{ $labels.instance }}: {{ $value }}' } }",
];

/// What an hour of rules cost and left behind.
struct Hour {
    rules: usize,
    evaluations: usize,
    /// CPU time within the ruler, seconds.
    took: f64,
    derived: usize,
    records: usize,
}

/// The best of three hours, because whoever else uses the machine takes the caches away.
fn an_hour() {
    let hours = std::iter::repeat_with(rules_for_an_hour).take(if is_full() { 3 } else { 1 });
    let Hour { rules, evaluations, took, derived, records } = hours.min_by(|a, b| a.took.total_cmp(&b.took)).expect("an hour");
    println!("{rules} rules x 100 series, {evaluations} evaluations in the ruler: {took:.3} CPU-s (aim: at most 0.4)");
    println!("    {:.2} µs an evaluation; {derived} series derived, {records} records written", took / evaluations as f64 * 1e6);
}

/// 250 rules, a hundred series a rule, every 15 s for an hour, through the whole ruler: alerts, what it records, what it would send.
fn rules_for_an_hour() -> Hour {
    let (metrics, hour) = if is_full() { (25, Span::from_minutes(60)) } else { (2, Span::from_minutes(4)) };
    let mut world = World::default();
    let mut groups = String::from("groups:\n");
    for metric in 0..metrics {
        let (counter, gauge) = (format!("requests_{metric}_total"), format!("level_{metric}"));
        world.add_hundred(&counter, 1.5);
        world.add_hundred(&gauge, 0.0);
        groups.push_str(&format!("- name: group-{metric}\n  rules:\n"));
        for rule in RULES {
            let rule =
                rule.replace("C[", &format!("{counter}[")).replace(" C ", &format!(" {counter} ")).replace(":C:", &format!(":{metric}:"));
            let rule = rule.replace("(G", &format!("({gauge}")).replace("'G ", &format!("'{gauge} "));
            groups.push_str(&format!("  - {rule}\n"));
        }
    }
    let rules = RuleSet::read([("rules.yml", groups.as_str())]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let origin = Start::default();
    let settings = RulerSettings { evaluation_interval: Span::from_seconds(15), phase: Phase::Fixed(0), ..RulerSettings::default() };
    let mut ruler = Ruler::new(rules, origin, settings);
    let (mut journal, mut commands, mut evaluations) = (Journal::new(), Vec::new(), 0);
    let mut took = 0.0;
    while let Some(tick) = ruler.due().filter(|due| due.as_seconds() <= hour.as_seconds()) {
        world.scrape(origin.prometheus_millis(tick));
        let before = cpu_seconds();
        while ruler.due() == Some(tick) {
            black_box(ruler.advance(&world.store, &mut Desk { journal: &mut journal, commands: &mut commands }));
            evaluations += RULES.len();
        }
        took += cpu_seconds() - before;
    }
    let counters = (ruler.derived().len(), journal.records().len());
    assert!(counters.0 >= metrics * 110, "the rules record what they should: {counters:?}");
    Hour { rules: metrics * RULES.len(), evaluations, took, derived: counters.0, records: counters.1 }
}

/// kubernetes-mixin's rule tests in whole processes, firedrill's against promtool's, on the files that promtool passes.
fn rule_tests() {
    let Some(corpus) = std::env::var_os("FIREDRILL_CORPUS") else {
        println!("rule tests against promtool: not run; FIREDRILL_CORPUS must name the folder of the corpus");
        return;
    };
    let is_there = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        println!("rule tests against promtool: not run; there is no promtool (apt-get install prometheus)");
        return;
    }
    let folder = Path::new(&corpus).join("promql/promtool-kubernetes-mixin/tests");
    let mut files: Vec<String> =
        fs::read_dir(folder).expect("the tests are there").map(|entry| entry.expect("a file").path().display().to_string()).collect();
    files.sort();
    let (mut ours, mut theirs, mut count) = (0.0, 0.0, 0);
    for file in files {
        // The file that takes promtool longest is one that version 2 does not pass; it is not worth the wait.
        if !is_full() && count > 0 || fs::metadata(&file).is_ok_and(|file| file.len() > 60_000) {
            continue;
        }
        let Some(promtool) = process_seconds(&["promtool", "test", "rules", &file]) else { continue };
        let best = (0..3).filter_map(|_| process_seconds(&[env!("CARGO_BIN_EXE_firedrill"), "test", &file])).fold(f64::INFINITY, f64::min);
        println!(
            "    {}: promtool {promtool:.3} CPU-s, firedrill {best:.3}, ratio {:.0}",
            file.rsplit('/').next().expect("a name"),
            promtool / best
        );
        (ours, theirs, count) = (ours + best, theirs + promtool, count + 1);
    }
    println!(
        "rule tests, {count} files that promtool passes: promtool {theirs:.2} CPU-s, firedrill {ours:.3}, ratio {:.0} (aim: at least 20)",
        theirs / ours
    );
}

/// The CPU time of a process and its children, seconds; `None` if it failed.
fn process_seconds(command: &[&str]) -> Option<f64> {
    // The shell's own account of its children.
    let script = "\"$@\" >/dev/null 2>&1 || exit 1; times";
    let output = Command::new("bash").args(["-c", script, "bash"]).args(command).output().ok()?;
    let told = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let children = told.lines().nth(1)?;
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    children.split(' ').map(seconds).sum()
}
