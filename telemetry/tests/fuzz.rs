//! Whatever the text: reading it, evaluating it and running it as a script ends soon, with a result or an error, and never in a panic.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "common/expressions.rs"]
mod expressions;

use std::sync::Arc;

use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{Condition, EvalError, Evaluator, Machine, Plan, Program, Steps, Value};
use firedrill_telemetry::promqltest;
use firedrill_telemetry::store::Store;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What expressions and scripts are made of, and what is most likely to hurt.
const PIECES: [&str; 64] = [
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "'",
    "`",
    "\\",
    "=",
    "=~",
    "!=",
    "!~",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "<",
    ">",
    "@",
    "#",
    "\n",
    "\t",
    " ",
    "\0",
    "é",
    "\u{feff}",
    "0",
    "1",
    "-1",
    "1e309",
    "0x",
    "NaN",
    "Inf",
    "9223372036854775807",
    "99999999999y",
    "5m",
    "1ms",
    "-5m",
    "offset",
    "bool",
    "on",
    "by",
    "without",
    "group_left",
    "ignoring",
    "and",
    "or",
    "unless",
    "sum",
    "rate",
    "start()",
    "$x",
    "\\p{",
    "(?",
    "[a-",
    "x{2,",
    "topk",
];

/// A change to a text: at some place some characters go and a piece comes.
#[derive(Debug, Clone)]
struct Change {
    at: Index,
    goes: usize,
    comes: &'static str,
    again: bool,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<Index>(), 0_usize..6, select(PIECES.to_vec()), prop::bool::weighted(0.1));
    prop::collection::vec(change.prop_map(|(at, goes, comes, again)| Change { at, goes, comes, again }), 0..5)
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for Change { at, goes, comes, again } in changes {
        let at = at.index(text.len() + 1);
        let end = (at + goes).min(text.len());
        text.splice(at..end, comes.chars());
        if *again {
            let copy: Vec<char> = text[at.min(text.len())..].to_vec();
            text.extend(copy);
        }
    }
    text.into_iter().collect()
}

fn store() -> Store {
    let mut store = Store::new();
    let start_ms = 1_767_571_200_000;
    for (name, job) in [("gauge", "a"), ("gauge", "b"), ("requests_total", "a"), ("latency_bucket", "a"), ("other", "b")] {
        let id = store.series(&Labels::named(name, &[("job", job), ("pod", "1"), ("le", if name == "latency_bucket" { "1" } else { "" })]));
        for tick in 0..100 {
            store.append(id, start_ms + tick * 15_000, (tick % 17) as f64).unwrap();
        }
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn changed_expressions_end_well(tape in prop::collection::vec(any::<u32>(), 0..40), changes in changes()) {
        let text = changed(&expressions::expression(&mut expressions::Dice::new(&tape)), &changes);
        let _ = Condition::parse(&text);
        if let Ok(plan) = Plan::parse(&text) {
            let (store, at_ms) = (store(), 1_767_571_200_000 + 1_000_000);
            let wanted = Evaluator::new().evaluate(&plan, at_ms, &[&store]);
            let mut program = Program::new();
            let query = program.add(&plan);
            let mut machine = Machine::new(Arc::new(program));
            let got = machine.evaluate(query, at_ms, &[&store]).map(Value::from);
            // Only the plain evaluator counts what it looks at.
            if !matches!(wanted, Err(EvalError::TooMuch(_))) {
                prop_assert_eq!(format!("{got:?}"), format!("{wanted:?}"), "{}", text);
            }
            let steps = Steps { from_ms: at_ms, to_ms: at_ms + 120_000, step_ms: 60_000 };
            let _ = Evaluator::new().evaluate_range(&plan, steps, &[&store]);
        }
    }

    #[test]
    fn any_text_at_all_is_read_to_an_end(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for text in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            let _ = Plan::parse(&text);
            let _ = Plan::parse_with_parameters(&text);
            let _ = promqltest::values(&text);
            let _ = promqltest::run("script", &text);
        }
    }

    #[test]
    fn changed_scripts_end_well(changes in changes()) {
        let script = "load 1m\n  up{job=\"a\"} 1 _x2 0+1x5 stale\n  up{job=\"b\"} 0x4\n\neval instant at 5m sum by (job) (rate(up[5m]))\n  \
            expect no_warn\n  {job=\"a\"} 0.5\n\neval range from 0 to 5m step 1m up\n  up{job=\"a\"} 1 _ _ 0 1 2\nclear\n";
        let _ = promqltest::run("script", &changed(script, &changes));
    }
}

#[test]
fn what_would_take_for_ever_is_refused_soon() {
    let store = store();
    let all = [
        "count_over_time(up[100y:1ms])",
        "max_over_time(max_over_time(max_over_time(gauge[1y:1s])[1y:1s])[1y:1s])",
        "absent_over_time((vector(1))[100y:1ms])",
    ];
    for text in all {
        let plan = Plan::parse(text).unwrap();
        let mut program = Program::new();
        let query = program.add(&plan);
        let mut machine = Machine::new(Arc::new(program));
        let at_ms = 1_767_572_200_000;
        for refused in [Evaluator::new().evaluate(&plan, at_ms, &[&store]), machine.evaluate(query, at_ms, &[&store]).map(Value::from)] {
            assert!(matches!(refused, Err(EvalError::TooMuch(_) | EvalError::Steps(_))), "{text}: {refused:?}");
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_does_not_break_the_stack() {
    for (open, close) in [("(", ")"), ("-(", ")"), ("sum(", ")"), ("abs(-", ")"), ("1+(", ")")] {
        for depth in [100, 5_000, 100_000] {
            let text = format!("{}up{}", open.repeat(depth), close.repeat(depth));
            if let Ok(plan) = Plan::parse(&text) {
                let _ = plan.evaluate(0, &[]);
            }
        }
    }
    let chain = vec!["up"; 20_000].join(" + ");
    let _ = Plan::parse(&chain).map(|plan| plan.evaluate(0, &[]));
}
