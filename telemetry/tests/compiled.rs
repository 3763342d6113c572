//! The compiled evaluator yields bit for bit what the plain one yields, whatever the expression and whatever the series do.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;

use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{EvalError, Evaluator, Machine, Plan, Program, QueryId, Value};
use firedrill_telemetry::store::{STALE, Store};
use proptest::prelude::*;

/// From one tick to the next.
const STEP_MS: i64 = 15_000;

/// What a series does at a tick.
#[derive(Debug, Clone, Copy)]
enum Beat {
    Value(f64),
    Missed,
    Stale,
}

/// The series of a world: name, labels by their values, and from which tick on they are there.
#[derive(Debug, Clone)]
struct Line {
    name: &'static str,
    job: &'static str,
    pod: &'static str,
    bound: &'static str,
    born: usize,
    derived: bool,
    beats: Vec<Beat>,
}

impl Line {
    fn labels(&self) -> Labels {
        // An empty value is no label.
        Labels::named(self.name, &[("job", self.job), ("pod", self.pod), ("le", self.bound)])
    }
}

fn beat() -> impl Strategy<Value = Beat> {
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300, -1e300, 1e-300]);
    prop_oneof![
        12 => (0_i32..50).prop_map(|value| Beat::Value(f64::from(value))),
        4 => (-1e3..1e3_f64).prop_map(Beat::Value),
        1 => special.prop_map(Beat::Value),
        2 => Just(Beat::Missed),
        1 => Just(Beat::Stale),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    let of = |values: &'static [&'static str]| prop::sample::select(values);
    let labels = (of(&["a", "b", "c_total"]), of(&["x", "y", ""]), of(&["1", "2", "3", ""]), of(&["", "", "0.1", "1", "+Inf", "none"]));
    (labels, prop_oneof![3 => Just(0_usize), 1 => 1_usize..12], any::<bool>(), prop::collection::vec(beat(), 16))
        .prop_map(|((name, job, pod, bound), born, derived, beats)| Line { name, job, pod, bound, born, derived, beats })
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["0", "1", "2", "-1", "0.5", "0.9", "10", "NaN", "Inf", "1e100", "time()", "pi()"]).prop_map(str::to_owned),
        1 => selector().prop_map(|vector| format!("scalar({vector})")),
        1 => selector().prop_map(|vector| format!("scalar(sum({vector}))")),
    ]
}

fn selector() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "c_total",
        "none",
        "{__name__=~\"a|b\"}",
        "{job=\"x\"}",
        "a{job=\"x\"}",
        "b{pod!=\"1\"}",
        "c_total{job=~\"x|y\"}",
        "a{le!=\"\"}",
    ]);
    let modifier =
        prop::sample::select(vec!["", "", "", "", "", " offset 30s", " offset -15s", " @ 60", " @ start()", " @ end() offset 15s"]);
    (name, modifier).prop_map(|(name, modifier)| format!("{name}{modifier}"))
}

fn range() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c_total", "{__name__=~\"a|b\"}", "none", "c_total{job=\"x\"}"]);
    let span = prop::sample::select(vec!["[1m]", "[15s]", "[5m]", "[45s]", "[2m] offset 15s", "[1m] @ 90"]);
    (name, span).prop_map(|(name, span)| format!("{name}{span}"))
}

const MAPS: [&str; 14] =
    ["abs", "-", "sqrt", "exp", "sgn", "sort", "sort_desc", "absent", "timestamp", "ceil", "hour", "day_of_week", "ln", "floor"];

const WINDOWS: [&str; 18] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
    "changes",
    "resets",
    "deriv",
    "absent_over_time",
];

const MATCHINGS: [&str; 11] = [
    "",
    "",
    "on (job)",
    "on (pod)",
    "on ()",
    "ignoring (pod)",
    "ignoring (le)",
    "on (job) group_left",
    "on (job) group_right (pod)",
    "ignoring (pod, le) group_left (le)",
    "on (job, __name__)",
];

fn window(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let samples = prop_oneof![
        3 => range(),
        1 => (inner, prop::sample::select(vec!["[1m:15s]", "[2m:20s]", "[1m:15s] offset 15s", "[30s:7s]", "[1m:30s] @ 60"]))
            .prop_map(|(inner, span)| format!("({inner}){span}")),
    ];
    (samples, prop::sample::select(&WINDOWS), 0..6).prop_map(|(samples, function, kind)| match kind {
        0 => format!("quantile_over_time(0.4, {samples})"),
        1 => format!("predict_linear({samples}, 60)"),
        _ => format!("{function}({samples})"),
    })
}

fn aggregation(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let grouping =
        prop::sample::select(vec!["", "by (job)", "by (pod, le)", "without (pod)", "without (le)", "by (job, __name__)", "by ()"]);
    (inner, grouping, 0..13, scalar()).prop_map(|(inner, grouping, operator, scalar)| {
        let named = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "sum"];
        match operator {
            9 => format!("topk {grouping} ({scalar}, {inner})"),
            10 => format!("bottomk {grouping} (2, {inner})"),
            11 => format!("quantile {grouping} ({scalar}, {inner})"),
            12 => format!("count_values {grouping} (\"pod\", {inner})"),
            index => format!("{} {grouping} ({inner})", named[index as usize]),
        }
    })
}

fn binary(inner: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let operators = vec!["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="];
    let operator = prop::sample::select(operators);
    let set = prop::sample::select(vec!["and", "or", "unless"]);
    let sets = prop::sample::select(vec!["", "", "on (job)", "on ()", "ignoring (pod, le)"]);
    let yields_bool = |operator: &str, wanted: bool| if wanted && operator.contains(['=', '<', '>', '!']) { "bool" } else { "" };
    prop_oneof![
        3 => (inner.clone(), operator.clone(), any::<bool>(), prop::sample::select(&MATCHINGS), inner.clone()).prop_map(
            move |(left, operator, wanted, matching, right)| {
                format!("({left}) {operator} {} {matching} ({right})", yields_bool(operator, wanted))
            }
        ),
        2 => (inner.clone(), operator.clone(), any::<bool>(), scalar(), any::<bool>()).prop_map(move |(vector, operator, wanted, scalar, left)| {
            let word = yields_bool(operator, wanted);
            if left { format!("({vector}) {operator} {word} {scalar}") } else { format!("{scalar} {operator} {word} ({vector})") }
        }),
        2 => (inner.clone(), set, sets, inner).prop_map(|(left, set, matching, right)| format!("({left}) {set} {matching} ({right})")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => selector(), 3 => range().prop_map(|range| format!("rate({range})")), 1 => scalar().prop_map(|scalar| format!("vector({scalar})"))];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            2 => (inner.clone(), prop::sample::select(&MAPS)).prop_map(|(inner, map)| format!("{map}({inner})")),
            1 => (inner.clone(), scalar(), scalar(), 0..4).prop_map(|(inner, one, two, which)| match which {
                0 => format!("clamp({inner}, {one}, {two})"),
                1 => format!("clamp_min({inner}, {one})"),
                2 => format!("clamp_max({inner}, {one})"),
                _ => format!("round({inner}, {one})"),
            }),
            2 => window(inner.clone()),
            4 => aggregation(inner.clone()),
            5 => binary(inner.clone()),
            1 => (inner.clone(), scalar()).prop_map(|(inner, q)| format!("histogram_quantile({q}, {inner})")),
            1 => (inner.clone(), scalar()).prop_map(|(inner, upper)| format!("histogram_fraction(0, {upper}, {inner})")),
            1 => (inner.clone(), prop::sample::select(vec!["job", "pod", "__name__"])).prop_map(|(inner, label)| {
                format!("label_replace({inner}, \"{label}\", \"n$1\", \"pod\", \"(.*)\")")
            }),
            1 => inner.prop_map(|inner| format!("label_join({inner}, \"job\", \"-\", \"pod\", \"le\")")),
        ]
    })
}

/// A result in full: bits of values, all NaN alike.
fn shown(result: Result<Value, EvalError>) -> String {
    let bits = |value: f64| if value.is_nan() { "NaN".to_owned() } else { format!("{value:?} {:x}", value.to_bits()) };
    match result {
        Ok(Value::Scalar(value)) => bits(value),
        Ok(Value::Vector(samples)) => samples.iter().map(|sample| format!("{} {}\n", sample.labels, bits(sample.value))).collect(),
        other => format!("{other:?}"),
    }
}

/// Two stores, as a ruler has them, and what asks about them.
struct Bench {
    raw: Store,
    derived: Store,
    plans: Vec<Plan>,
    machine: Machine,
    queries: Vec<QueryId>,
}

impl Bench {
    fn new(expressions: &[String]) -> Bench {
        // Names are dropped at once, as most installations do, and late.
        let plans = expressions.iter().filter_map(|text| Plan::parse(text).ok());
        let plans: Vec<Plan> = plans.flat_map(|plan| [plan.clone(), plan.with_late_names()]).collect();
        let mut program = Program::new();
        let queries = plans.iter().map(|plan| program.add(plan)).collect();
        Bench { raw: Store::new(), derived: Store::new(), plans, machine: Machine::new(Arc::new(program)), queries }
    }

    fn scrape(&mut self, tick: usize, lines: &[Line]) {
        for line in lines.iter().filter(|line| line.born <= tick) {
            let store = if line.derived { &mut self.derived } else { &mut self.raw };
            let id = store.series(&line.labels());
            let value = match line.beats[tick] {
                Beat::Value(value) => value,
                Beat::Missed => continue,
                Beat::Stale => STALE,
            };
            // Of two lines with the same labels the first counts.
            store.append(id, tick as i64 * STEP_MS, value).ok();
        }
    }

    fn check(&mut self, at_ms: i64) -> Result<(), TestCaseError> {
        let sources = [&self.raw, &self.derived];
        for (plan, query) in self.plans.iter().zip(&self.queries) {
            let expected = shown(Evaluator::new().evaluate(plan, at_ms, &sources));
            let found = shown(self.machine.evaluate(*query, at_ms, &sources).map(Value::from));
            prop_assert_eq!(found, expected, "{} at {}", plan.text(), at_ms);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn compiled_equals_plain_tick_after_tick(
        lines in prop::collection::vec(line(), 1..12),
        expressions in prop::collection::vec(expression(), 1..5),
        late in prop::collection::vec(expression(), 0..2),
    ) {
        let mut bench = Bench::new(&expressions);
        for tick in 0..16 {
            bench.scrape(tick, &lines);
            bench.check(tick as i64 * STEP_MS)?;
            if tick == 7 {
                // Plans that come later, as conditions do whose parameters are bound when an alert fires.
                for plan in late.iter().filter_map(|text| Plan::parse(text).ok()) {
                    bench.queries.push(bench.machine.add(&plan));
                    bench.plans.push(plan);
                }
                // A branch learns other things than the trunk, and neither sees what the other learnt.
                let mut branch = Bench { raw: bench.raw.clone(), derived: bench.derived.clone(), plans: bench.plans.clone(), machine: bench.machine.clone(), queries: bench.queries.clone() };
                let id = branch.derived.series(&Labels::named("a", &[("job", "branch")]));
                branch.derived.append(id, 7 * STEP_MS, 1.0).unwrap();
                branch.check(7 * STEP_MS)?;
                branch.check(8 * STEP_MS)?;
            }
            if tick == 11 {
                bench.raw.forget_before(4 * STEP_MS);
                bench.check(tick as i64 * STEP_MS + 5_000)?;
            }
        }
        // And back in time.
        bench.check(9 * STEP_MS - 1)?;
    }
}
