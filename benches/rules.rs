//! How fast rules are evaluated: 200 rules of the shapes that people write, over 1,000 series, for an hour of virtual time at 15 s.
//!
//! The series arrive as scrapes do, between the evaluations, so that what the evaluator remembers is tested too.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Evaluator, Plan, Value};
use firedrill_telemetry::store::{SeriesId, Store};

const SERVICES: usize = 10;
const PODS: usize = 5;
const STEP_MS: i64 = 15_000;
const TICKS: i64 = 240;

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

/// A world whose counters all grow steadily and whose gauges swing.
struct World {
    store: Store,
    series: Vec<(SeriesId, f64)>,
}

impl World {
    fn new() -> World {
        let mut world = World { store: Store::new(), series: Vec::new() };
        for service in 0..SERVICES {
            let service = format!("service-{service}");
            world.add("deploy_timestamp_seconds", &[("service", &service)], 0.0);
            for pod in 0..PODS {
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

    fn add(&mut self, name: &str, labels: &[(&str, &str)], growth: f64) {
        self.series.push((self.store.series(&Labels::named(name, labels)), growth));
    }

    fn scrape(&mut self, at_ms: i64) {
        for (index, (id, growth)) in self.series.iter().enumerate() {
            let tick = at_ms / STEP_MS;
            let value = if *growth > 0.0 { *growth * tick as f64 } else { ((tick + index as i64) % 7) as f64 };
            self.store.append(*id, at_ms, value).expect("ticks increase");
        }
    }
}

fn plans() -> Vec<Plan> {
    let texts = (0..SERVICES).flat_map(|service| SHAPES.map(|shape| shape.replace("\"S\"", &format!("\"service-{service}\""))));
    texts.map(|text| Plan::parse(&text).expect("a rule")).collect()
}

/// The number of elements that all rules yield over the hour, so that nothing can be optimised away.
fn hour(mut world: World, plans: &[Plan]) -> usize {
    let mut evaluator = Evaluator::new();
    let mut elements = 0;
    for tick in 1..=TICKS {
        let at_ms = tick * STEP_MS;
        world.scrape(at_ms);
        for plan in plans {
            if let Value::Vector(samples) = evaluator.evaluate(plan, at_ms, &[&world.store]).expect("the rules evaluate") {
                elements += samples.len();
            }
        }
    }
    elements
}

fn rules(criterion: &mut Criterion) {
    let plans = plans();
    let world = World::new();
    eprintln!("{} rules over {} series, {TICKS} evaluations each", plans.len(), world.store.len());
    assert!(hour(World::new(), &plans[..SHAPES.len()]) > 0, "the rules see their series");
    let mut group = criterion.benchmark_group("rules");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("200 rules x 1 h at 15 s over 1,000 series", |bencher| {
        bencher.iter_with_setup(World::new, |world| black_box(hour(world, &plans)));
    });
    group.bench_function("parsing and lowering 200 rules", |bencher| bencher.iter(|| black_box(self::plans())));
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
