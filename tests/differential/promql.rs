//! Random expressions over random series, put to a real Prometheus and to our evaluators: all come to the same, or the difference between the
//! versions is known. `cargo test --test differential promql`; `DIFFERENTIAL_SEED` repeats a run.
//!
//! Prometheus is the one that the system packages, 2.42 in Debian 12; `prometheus` and `promtool` must be there. Its windows are closed on their
//! older end and those of version 3 are open, so no sample and no step of a subquery stands on an end of a window here.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs, thread};

use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{EvalError, Evaluator, Machine, Plan, Program, Steps, Value};
use firedrill_telemetry::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use regex::Regex;
use serde_json::Value as Json;

use crate::expressions;

/// How many expressions, each evaluated at two moments and over one range.
const EXPRESSIONS: usize = 8_000;

/// 2026-01-05T00:00:00Z, milliseconds since 1970: where the samples begin.
const START_MS: i64 = 1_767_571_200_000;

/// From one sample to the next, milliseconds, and how far they stand from full seconds.
const INTERVAL_MS: i64 = 10_000;
const SHIFT_MS: i64 = 137;

/// How many samples a series has.
const SAMPLES: i64 = 240;

/// Results may differ by so much, as a share of their size: neither the order of sums nor the last bits of logarithms are promised.
const TOLERANCE: f64 = 1e-9;

/// What differs between the versions: expressions that the query, what Prometheus answers and what we answer contain, and a [`Trait`] of the
/// question, each `-` if it does not matter; and the reason. Each occurs with the seed that is used by default, but those that are rare.
const DIFFERENCES: &str = "tests/differential/promql.tsv";

type Rows = BTreeMap<Labels, Vec<(i64, f64)>>;

#[test]
fn our_evaluators_agree_with_prometheus() {
    let seed = std::env::var("DIFFERENTIAL_SEED").map_or(1, |seed| seed.parse().expect("DIFFERENTIAL_SEED is a number"));
    let again = format!("DIFFERENTIAL_SEED={seed} cargo test --test differential promql");
    println!("repeat with {again}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let series = series(&mut rng);
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), &series);
    let store = store(&series);
    let known = known_differences();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut exact, mut failures) = (0, String::new());
    for _ in 0..EXPRESSIONS {
        let tape: Vec<u32> = (0..60).map(|_| rng.next_u32()).collect();
        let query = expressions::expression(&mut expressions::Dice::new(&tape));
        let moments = [Moment::At(START_MS + 1_500_500), Moment::At(START_MS + 2_222_500), Moment::over(START_MS + 1_234_500, 4, 61_000)];
        for moment in moments {
            let (wanted, got) = (prometheus.ask(&query, moment), ours(&query, moment, &store));
            let question = Question { query: &query, moment, store: &store, prometheus: &prometheus };
            match difference(&wanted, &got) {
                None => {
                    *counts.entry("agree").or_default() += 1;
                    exact += usize::from(format!("{wanted:?}") == format!("{got:?}"));
                }
                Some(_) if let Some(difference) = known.iter().find(|known| known.is_this(question, &wanted, &got)) => {
                    *counts.entry(&difference.reason).or_default() += 1;
                }
                Some(difference) => {
                    *counts.entry("differ").or_default() += 1;
                    writeln!(failures, "{query}\n    {moment:?}: {difference}").unwrap();
                }
            }
        }
    }
    println!("{counts:#?}\nbit for bit the same, errors among them: {exact}");
    assert!(failures.is_empty(), "{failures}\n{again}");
    for KnownDifference { reason, .. } in &known {
        assert!(
            std::env::var("DIFFERENTIAL_SEED").is_ok() || reason.starts_with("rarely: ") || counts.contains_key(&**reason),
            "`{reason}` no longer occurs: it must leave {DIFFERENCES}"
        );
    }
}

/// When a query is evaluated, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
enum Moment {
    At(i64),
    Over(Steps),
}

impl Moment {
    fn over(from_ms: i64, steps: i64, step_ms: i64) -> Moment {
        Moment::Over(Steps { from_ms, to_ms: from_ms + steps * step_ms, step_ms })
    }
}

/// What Prometheus or the plain evaluator answers; an error's words do not count.
enum Answer {
    Rows(Rows),
    Refused(String),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Rows(rows) => write!(f, "{rows:?}"),
            Answer::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// Numbers that became labels, with nine digits: their last ones are not promised either.
fn rounded(rows: &Rows) -> Rows {
    let digits = |value: &str| value.parse::<f64>().map_or_else(|_| value.to_owned(), |value| format!("{value:.8e}"));
    let labels =
        |labels: &Labels| labels.iter().fold(Labels::builder(), |builder, (name, value)| builder.set(&**name, digits(value))).build();
    rows.iter().map(|(own, row)| (labels(own), row.clone())).collect()
}

/// The labels of a row, and its values with their times.
type Row<'a> = (&'a Labels, &'a Vec<(i64, f64)>);

fn difference(wanted: &Answer, got: &Answer) -> Option<String> {
    match (wanted, got) {
        (Answer::Refused(_), Answer::Refused(_)) => None,
        (Answer::Rows(wanted), Answer::Rows(got)) => {
            let (wanted, got) = (&rounded(wanted), &rounded(got));
            let same_row = |((labels, row), (own_labels, own_row)): (Row<'_>, Row<'_>)| {
                let same = |(left, right): (&(i64, f64), &(i64, f64))| left.0 == right.0 && close(left.1, right.1);
                labels == own_labels && row.len() == own_row.len() && row.iter().zip(own_row).all(same)
            };
            let same = wanted.len() == got.len() && wanted.iter().zip(got).all(same_row);
            (!same).then(|| format!("Prometheus: {wanted:?}\n    ours:       {got:?}"))
        }
        (wanted, got) => Some(format!("Prometheus: {wanted:?}\n    ours:       {got:?}")),
    }
}

fn close(left: f64, right: f64) -> bool {
    left == right || left.is_nan() && right.is_nan() || (left - right).abs() <= TOLERANCE * (left.abs() + right.abs())
}

fn ours(query: &str, moment: Moment, store: &Store) -> Answer {
    let plan = match Plan::parse(query) {
        Ok(plan) => plan,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    let value: Result<Value, EvalError> = match moment {
        Moment::At(at_ms) => {
            let mut program = Program::new();
            let query = program.add(&plan);
            let mut machine = Machine::new(Arc::new(program));
            let (plain, compiled) = (Evaluator::new().evaluate(&plan, at_ms, &[store]), machine.evaluate(query, at_ms, &[store]));
            assert_eq!(format!("{plain:?}"), format!("{:?}", compiled.map(Value::from)), "{}", plan.text());
            plain
        }
        Moment::Over(steps) => Evaluator::new().evaluate_range(&plan, steps, &[store]),
    };
    let at_ms = if let Moment::At(at_ms) = moment { at_ms } else { 0 };
    Answer::Rows(match value {
        Err(error) => return Answer::Refused(error.to_string()),
        Ok(Value::Scalar(value)) => BTreeMap::from([(Labels::empty(), vec![(at_ms, value)])]),
        Ok(Value::Vector(samples)) => samples.into_iter().map(|sample| (sample.labels, vec![(at_ms, sample.value)])).collect(),
        Ok(Value::Matrix(rows)) => rows.into_iter().map(|row| (row.labels, row.samples)).collect(),
        Ok(Value::Text(text)) => return Answer::Refused(text),
    })
}

/// A difference between the versions.
struct KnownDifference {
    query: Option<Regex>,
    wanted: Option<Regex>,
    got: Option<Regex>,
    peculiar: Option<Trait>,
    reason: String,
}

/// What is asked, and of whom.
#[derive(Clone, Copy)]
struct Question<'q> {
    query: &'q str,
    moment: Moment,
    store: &'q Store,
    prometheus: &'q Prometheus,
}

impl Question<'_> {
    /// Whether the answers to another expression at the same moment are the same.
    fn agrees_on(self, query: &str) -> bool {
        let (wanted, got) = (self.prometheus.ask(query, self.moment), ours(query, self.moment, self.store));
        difference(&wanted, &got).is_none()
    }

    /// Whether the answers at each step of a range alone are the same.
    fn agrees_step_by_step(self) -> bool {
        let Moment::Over(steps) = self.moment else { return false };
        let alone = |at_ms| Question { moment: Moment::At(at_ms), ..self }.agrees_on(self.query);
        (steps.from_ms..=steps.to_ms).step_by(steps.step_ms as usize).all(alone)
    }

    /// All values of a part of the query, by our own evaluator.
    fn values_of(self, part: &str, rest: &str) -> Vec<f64> {
        let rows = seen(part, rest, self.moment, self.store);
        rows.iter().flat_map(BTreeMap::values).flatten().map(|(_, value)| *value).collect()
    }

    /// The windows that a range selector or a subquery within the query looks at.
    fn windows_of(self, part: &str, rest: &str) -> Vec<Vec<(i64, f64)>> {
        let (from_ms, to_ms, step_ms) = match self.moment {
            Moment::At(at_ms) => (at_ms, at_ms, 1),
            Moment::Over(steps) => (steps.from_ms, steps.to_ms, steps.step_ms),
        };
        let seconds = |at_ms: i64| format!("@ {}.{:03}", at_ms / 1_000, at_ms % 1_000);
        let plan = Plan::parse(&part.replace("@ start()", &seconds(from_ms)).replace("@ end()", &seconds(to_ms))).unwrap();
        let mut moments: Vec<i64> = (from_ms..=to_ms).step_by(step_ms as usize).collect();
        if is_in_subquery(rest) {
            moments.extend((0..=SAMPLES * INTERVAL_MS / 1_000).map(|second| START_MS + second * 1_000));
        }
        let windows = moments.into_iter().filter_map(|at_ms| match Evaluator::new().evaluate(&plan, at_ms, &[self.store]) {
            Ok(Value::Matrix(rows)) => Some(rows.into_iter().map(|row| row.samples)),
            _ => None,
        });
        windows.flatten().collect()
    }
}

/// What must be true besides.
#[derive(Clone, Copy)]
enum Trait {
    /// `single`: some deviation is that of a single NaN or infinity.
    Single,
    /// `step by step`: at each step of the range alone the answers are the same.
    StepByStep,
    /// `off the edges`: with the range of each subquery a millisecond shorter, so that no step is on its older end, the answers are the same.
    OffTheEdges,
    /// `a step in each`: with no subquery's range shorter than its step, the answers are the same.
    StepInEach,
    /// `rounded`: with what is counted by value, or by how often it changes, rounded, the answers are the same.
    Rounded,
    /// `great angles`: some angle is so great that its last digits matter; rounded, if that can be done, the answers are the same.
    GreatAngles,
    /// `quotients`: with a quotient for a remainder the answers are the same, and one of them is so great or so near to a whole number that its
    /// last digits matter.
    Quotients,
    /// `zero point`: some counter, had it always grown so, was zero between half and 1.1 intervals before the first sample of a window.
    ZeroPoint,
    /// `equal elements`: among those of which some topk or bottomk takes a part, two are equal.
    EqualElements,
    /// `but for names`: without the names of metrics both answers are the same; or ours is refused because without them two series are one.
    ButForNames,
}

impl Trait {
    fn parse(text: &str) -> Option<Trait> {
        match text {
            "-" => None,
            "single" => Some(Trait::Single),
            "step by step" => Some(Trait::StepByStep),
            "off the edges" => Some(Trait::OffTheEdges),
            "a step in each" => Some(Trait::StepInEach),
            "rounded" => Some(Trait::Rounded),
            "great angles" => Some(Trait::GreatAngles),
            "quotients" => Some(Trait::Quotients),
            "zero point" => Some(Trait::ZeroPoint),
            "equal elements" => Some(Trait::EqualElements),
            "but for names" => Some(Trait::ButForNames),
            other => panic!("{other} is no trait of a question"),
        }
    }

    fn holds(self, question: Question<'_>, wanted: &Answer, got: &Answer) -> bool {
        let Question { query, moment, store, .. } = question;
        match self {
            Trait::Single => has_single(question),
            Trait::StepByStep => question.agrees_step_by_step(),
            Trait::OffTheEdges => question.agrees_on(&off_the_edges(query)),
            Trait::StepInEach => question.agrees_on(&query.replace("[30s:1m]", "[1m:1m]").replace("[30s:]", "[1m:]")),
            Trait::Rounded => {
                rounded_counts(query).into_iter().any(|query| question.agrees_on(&query) || question.agrees_on(&off_the_edges(&query)))
            }
            Trait::GreatAngles => calls(query, "(?:sin|cos|tan)").into_iter().any(|call| {
                let angles = question.values_of(call.arguments, call.rest).into_iter().filter(|angle| angle.is_finite());
                let greatest = angles.fold(0.0, |greatest: f64, angle| greatest.max(angle.abs()));
                let rounded = || question.agrees_on(&call.with_arguments(query, &format!("round({}, {FINE})", call.arguments)));
                greatest >= 1e12 || greatest >= 1e5 && rounded()
            }),
            Trait::Quotients => quotients(query).into_iter().any(|(whole, quotient, rest)| {
                let matters = |value: f64| value.abs() >= 1e5 || (value - value.round()).abs() <= TOLERANCE * value.abs().max(1.0);
                question.values_of(&quotient, rest).into_iter().any(matters) && question.agrees_on(&whole)
            }),
            Trait::ZeroPoint => {
                let windows = calls(query, "(?:rate|increase)").into_iter().flat_map(|call| question.windows_of(call.arguments, call.rest));
                windows.into_iter().any(|window| has_zero_point_before(&window))
            }
            Trait::EqualElements => {
                // NaN is no number that is equal to itself, and yet one text.
                let counted = calls(query, "(?:top|bottom)k").into_iter().map(|call| {
                    let (_, elements) = call.arguments.split_once(", ").unwrap();
                    (format!("count_values {}(\"value\", {elements}) > 1", call.grouping), call.rest)
                });
                counted.into_iter().any(|(counted, rest)| seen(&counted, rest, moment, store).iter().any(|rows| !rows.is_empty()))
            }
            Trait::ButForNames => match (wanted, got) {
                (Answer::Rows(wanted), Answer::Rows(got)) => nameless(wanted) == nameless(got),
                (Answer::Rows(_), Answer::Refused(why)) => why.contains("same labels"),
                _ => false,
            },
        }
    }
}

/// A power of two to which numbers are rounded that may differ in their last digits.
const FINE: f64 = 1.0 / 8_192.0;

/// Whether some deviation in the query is that of a single NaN or infinity.
fn has_single(question: Question<'_>) -> bool {
    let is_some = |call: &Call<'_>, suffix: &str| {
        let Call { grouping, arguments, rest } = call;
        // Nothing but what is finite is zero less itself.
        let [sum, count] = ["sum", "count"].map(|name| format!("{name}{suffix} {grouping}({arguments})"));
        seen(&format!("{sum} - {sum} != 0 and {count} == 1"), rest, question.moment, question.store).iter().any(|rows| !rows.is_empty())
    };
    calls(question.query, "std(?:dev|var)").iter().any(|call| is_some(call, ""))
        || calls(question.query, "std(?:dev|var)_over_time").iter().any(|call| is_some(call, "_over_time"))
}

/// The query with each subquery's range a millisecond shorter.
fn off_the_edges(query: &str) -> String {
    let ranges = Regex::new(r"\[(\d+)([sm]):").unwrap();
    let shorter = |range: &regex::Captures<'_>| {
        let seconds: u64 = range[1].parse().unwrap();
        format!("[{}ms:", seconds * if &range[2] == "m" { 60_000 } else { 1_000 } - 1)
    };
    ranges.replace_all(query, shorter).into_owned()
}

/// The query, once for each part that is counted by value or by how often it changes, with that part rounded.
fn rounded_counts(query: &str) -> Vec<String> {
    let by_value = calls(query, "count_values").into_iter().map(|call| {
        let (label, elements) = call.arguments.split_once(", ").unwrap();
        // Zero is added so that what was rounded to -0 is 0.
        call.with_arguments(query, &format!("{label}, round({elements}, {FINE}) + 0"))
    });
    let by_change = calls(query, "(?:changes|resets)").into_iter().filter_map(|call| {
        let inner = call.arguments.strip_prefix('(')?;
        let (inner, range) = inner.split_at(first_unmatched(inner.char_indices(), ')'));
        Some(call.with_arguments(query, &format!("(round({inner}, {FINE}){range}")))
    });
    by_value.chain(by_change).collect()
}

/// For each remainder in a query: the query with a quotient for it, that quotient, and what stands after it.
fn quotients(query: &str) -> Vec<(String, String, &str)> {
    let quotient = |(at, _)| {
        let (before, after) = (&query[..at], &query[at + 3..]);
        let from = first_unmatched(before.char_indices().rev(), '(') + 1;
        let to = first_unmatched(after.char_indices(), ')');
        (format!("{before} / {after}"), format!("{} / {}", &before[from..], &after[..to]), &after[to..])
    };
    query.match_indices(" % ").map(quotient).collect()
}

/// Where the parenthesis stands that belongs to none of those passed; an operation always stands in parentheses.
fn first_unmatched(mut characters: impl Iterator<Item = (usize, char)>, parenthesis: char) -> usize {
    let mut depth = 0;
    let found = characters.find(|(_, c)| {
        depth += if "()".contains(*c) { if *c == parenthesis { -1 } else { 1 } } else { 0 };
        depth < 0
    });
    found.unwrap().0
}

/// Whether the line through a window's first and last sample, as a counter, is zero where the versions differ: of what is further away than 1.1
/// intervals version 2 takes half an interval, and version 3 of what is further away than half.
fn has_zero_point_before(window: &[(i64, f64)]) -> bool {
    let [(_, first), .., (_, last)] = window else { return false };
    let resets: f64 = window.windows(2).map(|pair| if pair[1].1 < pair[0].1 { pair[0].1 } else { 0.0 }).sum();
    let grown = last - first + resets;
    let intervals = (window.len() - 1) as f64 * first / grown;
    *first >= 0.0 && grown > 0.0 && (0.499_999..=1.100_001).contains(&intervals)
}

/// A call within a query.
struct Call<'q> {
    /// `by (…)` or `without (…)`; empty if there is none.
    grouping: &'q str,
    arguments: &'q str,
    /// What stands after it.
    rest: &'q str,
}

impl Call<'_> {
    /// The query in which it stands, with other arguments for it.
    fn with_arguments(&self, query: &str, arguments: &str) -> String {
        let before = &query[..query.len() - self.rest.len() - self.arguments.len()];
        format!("{before}{arguments}{}", self.rest)
    }
}

/// The calls of functions whose names match.
fn calls<'q>(query: &'q str, names: &str) -> Vec<Call<'q>> {
    let opening = Regex::new(&format!(r"\b{names}( (?:by|without) \([^)]*\) )?\(")).unwrap();
    let found = opening.captures_iter(query).map(|captures| {
        let from = captures.get(0).unwrap().end();
        let (mut depth, mut is_text) = (1, false);
        let end = query[from..].char_indices().find(|(_, c)| {
            is_text ^= *c == '"';
            depth += if is_text { 0 } else { i32::from(*c == '(') - i32::from(*c == ')') };
            depth == 0
        });
        let to = from + end.expect("parentheses are balanced").0;
        Call { grouping: captures.get(1).map_or("", |found| found.as_str().trim_start()), arguments: &query[from..to], rest: &query[to..] }
    });
    found.collect()
}

/// What a part of a query yields, by our own evaluator, wherever the query looks at it: within a subquery at every full second of the samples.
fn seen(part: &str, rest: &str, moment: Moment, store: &Store) -> Vec<Rows> {
    let everywhere = is_in_subquery(rest).then(|| Moment::over(START_MS, SAMPLES * INTERVAL_MS / 1_000, 1_000));
    let answers = [Some(moment), everywhere].into_iter().flatten().map(|moment| ours(part, moment, store));
    answers.filter_map(|answer| if let Answer::Rows(rows) = answer { Some(rows) } else { None }).collect()
}

/// Whether what stands before the rest of a query stands in a subquery, or one stands after it.
fn is_in_subquery(rest: &str) -> bool {
    Regex::new(r"\[[0-9a-z]+:").unwrap().is_match(rest)
}

/// Labels without names, and values with nine digits, sorted.
fn nameless(rows: &Rows) -> Vec<String> {
    let row = |(labels, row): (&Labels, &Vec<(i64, f64)>)| {
        let values: Vec<String> = row.iter().map(|(at_ms, value)| format!("{at_ms} {value:.8e}")).collect();
        format!("{} {}", labels.without("__name__"), values.join(" "))
    };
    let mut all: Vec<String> = rounded(rows).iter().map(row).collect();
    all.sort();
    all
}

impl KnownDifference {
    fn is_this(&self, question: Question<'_>, wanted: &Answer, got: &Answer) -> bool {
        let has = |regex: &Option<Regex>, text: &str| regex.as_ref().is_none_or(|regex| regex.is_match(text));
        has(&self.query, question.query)
            && has(&self.wanted, &format!("{wanted:?}"))
            && has(&self.got, &format!("{got:?}"))
            && self.peculiar.is_none_or(|peculiar| peculiar.holds(question, wanted, got))
    }
}

fn known_differences() -> Vec<KnownDifference> {
    let table = fs::read_to_string(DIFFERENCES).unwrap();
    let row = |line: &str| {
        let regex = |text: &str| (text != "-").then(|| Regex::new(text).unwrap());
        let [query, wanted, got, peculiar, reason] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("five columns: {line}") };
        let peculiar = Trait::parse(peculiar);
        KnownDifference { query: regex(query), wanted: regex(wanted), got: regex(got), peculiar, reason: reason.to_owned() }
    };
    table.lines().skip(1).map(row).collect()
}

/// Gauges with holes, NaN and infinities; counters with resets, far from zero at their start; buckets; few labels, so that much matches.
fn series(rng: &mut ChaCha8Rng) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let mut all = Vec::new();
    let mut add = |name: &str, labels: &[(&str, &str)], mut value: Box<dyn FnMut(i64) -> Option<f64> + '_>| {
        let at_ms = |index: i64| START_MS + index * INTERVAL_MS + SHIFT_MS;
        let samples = (0..SAMPLES).filter_map(|index| Some((at_ms(index), value(index)?))).collect();
        all.push((Labels::named(name, labels), samples));
    };
    let mut unit = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    for (job, pod, zone) in [("a", "1", "z1"), ("a", "2", ""), ("b", "1", "z1"), ("b", "3", "z2")] {
        let labels = [("job", job), ("pod", pod), ("zone", zone)];
        let mut level = 50.0 * unit();
        let gauge = |_| {
            level += 10.0 * unit() - 5.0;
            let luck = unit();
            match luck {
                _ if luck < 0.1 => None,
                _ if luck < 0.11 => Some(f64::NAN),
                _ if luck < 0.115 => Some(f64::INFINITY),
                _ => Some(level),
            }
        };
        add("gauge", &labels, Box::new(gauge));
        let mut total = 1e6;
        let counter = |index| {
            total = if index == 150 && pod == "1" { 1e5 } else { total + 20.0 * unit() };
            Some(total)
        };
        add("requests_total", &labels, Box::new(counter));
        add("other", &labels[..2], Box::new(|index| (index % 60 > 20).then(|| (unit() * 8.0).floor() - 2.0)));
    }
    for (job, scale) in [("a", 1.0), ("b", 3.0)] {
        let mut counts = [1e5; 4];
        let grown: Vec<[f64; 4]> = (0..SAMPLES)
            .map(|_| {
                let mut more = 0.0;
                for count in &mut counts {
                    more += (scale * 9.0 * unit()).floor();
                    *count += more;
                }
                counts
            })
            .collect();
        for (index, bound) in ["0.1", "0.5", "2", "+Inf"].into_iter().enumerate() {
            add("latency_bucket", &[("job", job), ("le", bound)], Box::new(|at| Some(grown[at as usize][index])));
        }
    }
    all
}

fn store(series: &[(Labels, Vec<(i64, f64)>)]) -> Store {
    let mut store = Store::new();
    for (labels, samples) in series {
        let id = store.series(labels);
        for (at_ms, value) in samples {
            store.append(id, *at_ms, *value).unwrap();
        }
    }
    store
}

/// A Prometheus on loopback that ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    fn start(folder: &Path, series: &[(Labels, Vec<(i64, f64)>)]) -> Prometheus {
        let mut text = String::new();
        for (labels, samples) in series {
            let name = labels.metric_name().unwrap();
            let labels = labels.to_string()[name.len()..].replace(", ", ",");
            for (at_ms, value) in samples {
                let value = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
                writeln!(text, "{name}{labels} {value} {}.{:03}", at_ms / 1_000, at_ms % 1_000).unwrap();
            }
        }
        text.push_str("# EOF\n");
        let (samples, blocks, configuration) = (folder.join("samples"), folder.join("blocks"), folder.join("prometheus.yml"));
        fs::write(&samples, text).unwrap();
        fs::write(&configuration, "global:\n  evaluation_interval: 1m\n").unwrap();
        let missing = "promtool and prometheus must be installed: apt-get install -y prometheus";
        let made = Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics", "-q"]).arg(&samples).arg(&blocks).output();
        let made = made.expect(missing);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", blocks.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(missing);
        let prometheus = Prometheus { child, port };
        let is_ready = || prometheus.request("GET", "/-/ready", "").is_ok_and(|(status, _)| status == 200);
        let ready = (0..300).any(|_| {
            thread::sleep(Duration::from_millis(100));
            is_ready()
        });
        assert!(ready, "Prometheus did not get ready within 30 s");
        prometheus
    }

    /// The status and the body. With version 1.0 of HTTP the body is not cut into chunks.
    fn request(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let head = "Content-Type: application/x-www-form-urlencoded";
        write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }

    fn ask(&self, query: &str, moment: Moment) -> Answer {
        let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let seconds = |at_ms: i64| format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
        let (path, times) = match moment {
            Moment::At(at_ms) => ("/api/v1/query", format!("time={}", seconds(at_ms))),
            Moment::Over(Steps { from_ms, to_ms, step_ms }) => {
                let times = format!("start={}&end={}&step={}", seconds(from_ms), seconds(to_ms), seconds(step_ms));
                ("/api/v1/query_range", times)
            }
        };
        let (_, body) = self.request("POST", path, &format!("query={query}&{times}")).unwrap();
        let answer: Json = serde_json::from_str(&body).unwrap();
        if answer["status"] != "success" {
            return Answer::Refused(answer["error"].to_string());
        }
        let result = &answer["data"]["result"];
        if answer["data"]["resultType"] == "scalar" {
            return Answer::Rows(BTreeMap::from([(Labels::empty(), vec![sample(result)])]));
        }
        let rows = result.as_array().unwrap().iter().map(|row| {
            let labels = row["metric"].as_object().unwrap().iter();
            let labels = labels.fold(Labels::builder(), |builder, (name, value)| builder.set(name.as_str(), value.as_str().unwrap()));
            let samples = match row["values"].as_array() {
                Some(values) => values.iter().map(sample).collect(),
                None => vec![sample(&row["value"])],
            };
            (labels.build(), samples)
        });
        Answer::Rows(rows.collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("a child can be ended");
    }
}

/// `[seconds, "value"]`.
fn sample(pair: &Json) -> (i64, f64) {
    ((pair[0].as_f64().unwrap() * 1_000.0).round() as i64, pair[1].as_str().unwrap().parse().unwrap())
}
