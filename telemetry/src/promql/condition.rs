//! Conditions: expressions that are true, false or unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::binary::Pair;
use super::compiled::{Machine, QueryId};
use super::evaluator::{Evaluator, Span};
use super::plan::{Binary, Call, Function, MissingParameter, Node, Plan, PlanError, Selector};
use super::truth::{JudgedElement, Verdict3, hides, judged, leaves, lets_through, verdict, written_pairs};
use super::value::{EvalError, Outcome};
use crate::labels::Labels;
use crate::store::{Store, is_stale};

/// An expression that can be judged.
///
/// - Its root is a comparison: true if it holds for every element, false if it fails for one, unknown if there is no element, or if a NaN stands
///   on either side of one and none fails. Of two vectors an element of the left one (under `group_right` of the right one) to which nothing belongs is
///   unknown. `bool` makes no difference. One that [forbids](Condition::forbidding) is true if it holds for one element,
///   and false only if it fails for every one.
/// - Its root is `and`, `or` or `unless`: the comparisons on its sides are judged so, element by element, and put together with three values: `and` holds
///   for an element of its left side if the right one holds where it belongs, `unless` if that is known not to hold; `or` is true if one side is, or
///   one of the two for every element. What is missing is unknown, on either side.
/// - Its root is `absent()` or `absent_over_time()`: true if there is an element, false if there is none; never unknown. A series under a set operator
///   that is compared with nothing is asked for likewise, but in what forbids it is unknown while it is not there.
/// - A comparison of what another one lets through, as `(x == 1) == 1`: what the inner one does not let through does not hold.
///
/// Anything else is refused: firedrill would have to guess what a number means. So is a comparison of what another one lets through and something else is
/// made of, as `(x == 1) * 2 == 2`: the elements for which the inner one fails are gone, and with them that it fails.
#[derive(Debug, Clone)]
pub struct Condition {
    plan: Plan,
    /// Whether one element is enough.
    by_one: bool,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The expression itself is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The expression is a value, not a question.
    #[error("`{0}` is a value, not a condition: compare it, as in `{0} > 0`, or use and, or, unless or absent()")]
    NotACondition(String),
    /// A comparison within the expression leaves out elements before they are judged.
    #[error(
        "a comparison within `{0}` leaves out what it fails for, so that nobody sees that: write it with `bool`, or put comparisons together by `and`"
    )]
    LeavesOut(String),
}

/// A condition's verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the condition holds.
    pub verdict: Verdict3,
    /// The figures that were compared, as `{service="a"} 0.2 < 0.1`; the first few elements if there are many, `no element` if there is none.
    pub figures: String,
}

impl Condition {
    /// Reads a condition; `$name` stands for a label's value as in [`Plan::parse_with_parameters`].
    ///
    /// # Errors
    /// The expression is wrong, or is no condition.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let plan = Plan::parse_with_parameters(text)?;
        if comparison(&plan).is_none() && !asks_for_presence(&plan.root) {
            return Err(ConditionError::NotACondition(plan.text().to_owned()));
        }
        if hides(&plan.root) {
            return Err(ConditionError::LeavesOut(plan.text().to_owned()));
        }
        Ok(Condition { plan, by_one: false })
    }

    /// The same as something that forbids while it is true: one element is enough, as one switch of several that is thrown.
    #[must_use]
    pub fn forbidding(self) -> Condition {
        Condition { by_one: true, ..self }
    }

    /// The expression behind the condition.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it is a comparison, so that its elements are true or false one by one and can be counted.
    pub fn is_comparison(&self) -> bool {
        comparison(&self.plan).is_some()
    }

    /// The names of the parameters that are not bound yet, without the `$`.
    pub fn parameters(&self) -> BTreeSet<String> {
        self.plan.parameters()
    }

    /// The condition with all parameters given their values.
    ///
    /// # Errors
    /// A parameter has no value.
    pub fn bind(&self, values: &BTreeMap<String, String>) -> Result<Condition, MissingParameter> {
        Ok(Condition { plan: self.plan.bind(values)?, by_one: self.by_one })
    }

    /// Judges at a moment, milliseconds since 1970, over the union of the sources.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is judged then.
    pub fn judge(&self, evaluator: &mut Evaluator, at_ms: i64, sources: &[&Store]) -> Result<Judgement, EvalError> {
        let scope = evaluator.scope(&self.plan, Span { start_ms: at_ms, end_ms: at_ms }, sources)?;
        self.told(leaves(&self.plan.root).into_iter().map(|leaf| scope.node(leaf, at_ms)).collect::<Result<_, _>>()?)
    }

    /// Adds the condition to a machine's program, to be judged there: faster, with the same result.
    pub fn prepare(&self, machine: &mut Machine) -> PreparedCondition {
        let queries = leaves(&self.plan.root).into_iter().map(|leaf| machine.add_part(&self.plan, leaf)).collect();
        PreparedCondition { condition: self.clone(), queries }
    }
}

/// A condition in a machine's program.
#[derive(Debug, Clone)]
pub struct PreparedCondition {
    condition: Condition,
    /// What the condition is told by: of each comparison both sides, because its figures tell both.
    queries: Vec<QueryId>,
}

/// A series that is read, and how old the newest of its samples is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    /// The series, with its metric's name.
    pub labels: Labels,
    /// From its newest sample to the moment of the evaluation, milliseconds.
    pub age_ms: i64,
}

impl PreparedCondition {
    /// Of the series that the condition reads at a moment, the one whose newest sample is the oldest; `None` if it reads none. Series that have ended
    /// are not read, and of what is read with `offset` or `@` the age is what somebody wants.
    pub fn oldest(&self, at_ms: i64, sources: &[&Store]) -> Option<Aged> {
        let now = self.condition.plan.selectors().iter().filter(|selector| selector.offset_ms() == 0 && selector.at().is_none());
        let read = now.flat_map(|selector| sources.iter().flat_map(move |store| ages(store, selector, at_ms)));
        read.max_by_key(|aged| aged.age_ms)
    }

    /// Judges as [`Condition::judge`] does, in the machine that it was prepared for.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is judged then.
    pub fn judge(&self, machine: &mut Machine, at_ms: i64, sources: &[&Store]) -> Result<Judgement, EvalError> {
        self.condition.told(self.outcomes(machine, at_ms, sources)?)
    }

    /// The elements of the condition, each with whether it holds.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is told then.
    pub fn elements(&self, machine: &mut Machine, at_ms: i64, sources: &[&Store]) -> Result<Vec<JudgedElement>, EvalError> {
        self.condition.elements(self.outcomes(machine, at_ms, sources)?)
    }

    fn outcomes(&self, machine: &mut Machine, at_ms: i64, sources: &[&Store]) -> Result<Vec<Outcome>, EvalError> {
        self.queries.iter().map(|query| machine.outcome(*query, at_ms, sources)).collect()
    }
}

/// The series of a store that a selector reads at a moment, but those that have ended.
fn ages<'store>(store: &'store Store, selector: &Selector, at_ms: i64) -> impl Iterator<Item = Aged> + use<'store> {
    let since_ms = at_ms.saturating_sub(selector.lookback_ms());
    store.select(selector.matchers()).into_iter().filter_map(move |id| {
        let times = store.times(id);
        let newest = times.partition_point(|time| *time <= at_ms).checked_sub(1)?;
        let is_read = times[newest] > since_ms && !is_stale(store.values(id)[newest]);
        is_read.then(|| Aged { labels: store.labels(id).clone(), age_ms: at_ms - times[newest] })
    })
}

impl Condition {
    /// What the values of its leaves say.
    pub(crate) fn told(&self, outcomes: Vec<Outcome>) -> Result<Judgement, EvalError> {
        if let (Some(comparison), [_, _]) = (comparison(&self.plan), &outcomes[..])
            && !lets_through(&comparison.left)
        {
            let mut sides = outcomes.into_iter();
            let (Some(left), Some(right)) = (sides.next(), sides.next()) else { unreachable!("there are two") };
            return self.compared(comparison, left, right);
        }
        let (told, figures) = judged(&self.plan.root, &mut outcomes.into_iter(), self.by_one)?;
        Ok(Judgement { verdict: if self.by_one { told.any() } else { told.all() }, figures })
    }

    /// The elements that the values of its leaves tell of.
    pub(crate) fn elements(&self, outcomes: Vec<Outcome>) -> Result<Vec<JudgedElement>, EvalError> {
        Ok(judged(&self.plan.root, &mut outcomes.into_iter(), self.by_one)?.0.into_elements())
    }

    /// What the two sides of its root, the comparison, say.
    fn compared(&self, comparison: &Binary, left: Outcome, right: Outcome) -> Result<Judgement, EvalError> {
        let mut pairs = comparison.pairs_and_alone(left, right)?;
        // One element of this kind decides.
        let (decided, otherwise) = if self.by_one { (Verdict3::True, Verdict3::False) } else { (Verdict3::False, Verdict3::True) };
        let decides = |pair: &Pair| verdict(comparison, pair) == decided;
        let is_unknown = |pair: &Pair| verdict(comparison, pair) == Verdict3::Unknown;
        let verdict = if pairs.iter().any(decides) {
            decided
        } else if pairs.is_empty() || pairs.iter().any(is_unknown) {
            Verdict3::Unknown
        } else {
            otherwise
        };
        if self.by_one {
            // What forbids is told first, since only the first few are told.
            pairs.sort_by_key(|pair| !decides(pair));
        }
        Ok(Judgement { verdict, figures: written_pairs(comparison, &pairs) })
    }
}

/// The comparison at the root, if there is one.
pub(crate) fn comparison(plan: &Plan) -> Option<&Binary> {
    match &*plan.root {
        Node::Binary(binary) if binary.operator.is_comparison() => Some(binary),
        _ => None,
    }
}

fn asks_for_presence(root: &Node) -> bool {
    match root {
        Node::Binary(binary) => binary.operator.is_set(),
        Node::Call(call) => matches!(**call, Call { function: Function::Absent | Function::AbsentOverTime, .. }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::notation::parse_series;
    use crate::promql::group;

    fn store(samples: &[(&str, f64)]) -> Store {
        let mut store = Store::new();
        for (series, value) in samples {
            let id = store.series(&parse_series(series).expect("a series"));
            store.append(id, 0, *value).expect("the first sample");
        }
        store
    }

    #[track_caller]
    fn check(condition: &str, samples: &[(&str, f64)], verdict: Verdict3, figures: &str) {
        let condition = Condition::parse(condition).expect("a condition");
        let store = store(samples);
        let expected = Judgement { verdict, figures: figures.to_owned() };
        assert_eq!(condition.judge(&mut Evaluator::new(), 0, &[&store]), Ok(expected.clone()));
        let mut machine = Machine::new(Arc::default());
        assert_eq!(condition.prepare(&mut machine).judge(&mut machine, 0, &[&store]), Ok(expected));
    }

    #[test]
    fn a_comparison_must_hold_for_every_element() {
        let two = [(r#"x{p="1"}"#, 1.0), (r#"x{p="2"}"#, 5.0)];
        check("x < 6", &two, Verdict3::True, r#"x{p="1"} 1 < 6; x{p="2"} 5 < 6"#);
        check("x < 5", &two, Verdict3::False, r#"x{p="1"} 1 < 5; x{p="2"} 5 < 5"#);
        check("sum(x) == 6", &two, Verdict3::True, "6 == 6");
        check("(x <= bool 5)", &two[..1], Verdict3::True, r#"x{p="1"} 1 <= 5"#);
        check("2 > bool 1", &[], Verdict3::True, "2 > 1");
        check("x > on (p) x", &two, Verdict3::False, r#"{p="1"} 1 > 1; {p="2"} 5 > 5"#);
    }

    #[test]
    fn what_forbids_does_so_by_one_element() {
        let judge = |samples: &[(&str, f64)]| {
            let condition = Condition::parse("off == 1").expect("a condition").forbidding();
            let store = store(samples);
            let told = condition.judge(&mut Evaluator::new(), 0, &[&store]).expect("a judgement");
            let mut machine = Machine::new(Arc::default());
            assert_eq!(condition.prepare(&mut machine).judge(&mut machine, 0, &[&store]), Ok(told.clone()));
            (told.verdict, told.figures)
        };
        let (thrown, not) = ((r#"off{dc="b"}"#, 1.0), (r#"off{dc="a"}"#, 0.0));
        assert_eq!(judge(&[not, thrown]), (Verdict3::True, r#"off{dc="b"} 1 == 1; off{dc="a"} 0 == 1"#.to_owned()));
        assert_eq!(judge(&[not]).0, Verdict3::False);
        assert_eq!(judge(&[not, (r#"off{dc="c"}"#, f64::NAN)]).0, Verdict3::Unknown, "who cannot see one of them cannot tell");
        assert_eq!(judge(&[thrown, (r#"off{dc="c"}"#, f64::NAN)]).0, Verdict3::True);
        assert_eq!(judge(&[]).0, Verdict3::Unknown);
        let bound = Condition::parse("off{dc=$dc} == 1").expect("a condition").forbidding();
        let values = BTreeMap::from([("dc".to_owned(), "b".to_owned())]);
        assert!(bound.bind(&values).expect("a value").by_one);
    }

    #[test]
    fn without_data_or_with_nan_a_comparison_is_unknown() {
        check("x < 6", &[], Verdict3::Unknown, "no element");
        check("x < 6", &[("x", f64::NAN)], Verdict3::Unknown, "x NaN < 6");
        check("x != x / 0", &[("x", 0.0)], Verdict3::Unknown, "x 0 != NaN");
        check("x < 6", &[(r#"x{p="1"}"#, f64::NAN), (r#"x{p="2"}"#, 7.0)], Verdict3::False, r#"x{p="1"} NaN < 6; x{p="2"} 7 < 6"#);
        check("x < 6", &[(r#"x{p="1"}"#, f64::NAN), (r#"x{p="2"}"#, 5.0)], Verdict3::Unknown, r#"x{p="1"} NaN < 6; x{p="2"} 5 < 6"#);
    }

    #[test]
    fn elements_are_told_one_by_one_and_what_another_comparison_does_not_let_through_does_not_hold() {
        let told = |condition: &str, samples: &[(&str, f64)]| {
            let mut machine = Machine::new(Arc::default());
            let condition = Condition::parse(condition).expect("a condition").prepare(&mut machine);
            let elements = condition.elements(&mut machine, 0, &[&store(samples)]).expect("elements");
            elements.into_iter().map(|own| (own.labels.get("p").unwrap_or_default().to_owned(), own.verdict)).collect::<Vec<_>>()
        };
        let three = [(r#"up{p="1"}"#, 1.0), (r#"up{p="2"}"#, 0.0), (r#"up{p="3"}"#, f64::NAN)];
        let expected = [("1", Verdict3::True), ("2", Verdict3::False), ("3", Verdict3::Unknown)].map(|(p, own)| (p.to_owned(), own));
        assert_eq!(told("up == 1", &three), expected);
        assert_eq!(told("(up == 1) == 1", &three), expected);
        assert_eq!(told("up == 1", &[]), []);
    }

    #[test]
    fn the_age_of_what_is_read_is_that_of_the_series_that_was_silent_for_longest() {
        let mut store = Store::new();
        let write = |store: &mut Store, series: &str, samples: &[(i64, f64)]| {
            let id = store.series(&parse_series(series).expect("a series"));
            for (second, value) in samples {
                store.append(id, second * 1000, *value).expect("newer than the last");
            }
        };
        write(&mut store, r#"up{p="1"}"#, &[(0, 1.0), (90, 1.0)]);
        write(&mut store, r#"up{p="2"}"#, &[(0, 1.0), (40, 1.0), (120, 1.0)]);
        write(&mut store, r#"up{p="3"}"#, &[(0, 1.0), (10, crate::store::STALE)]);
        let oldest = |condition: &str, second: i64| {
            let mut machine = Machine::new(Arc::default());
            let condition = Condition::parse(condition).expect("a condition").prepare(&mut machine);
            condition.oldest(second * 1000, &[&store]).map(|aged| (aged.labels.to_string(), aged.age_ms / 1000))
        };
        let of = |series: &str, age: i64| Some((series.to_owned(), age));
        assert_eq!(oldest("up == 1", 100), of(r#"up{p="2"}"#, 60), "what comes later is not there yet");
        assert_eq!(oldest("up == 1", 130), of(r#"up{p="1"}"#, 40), "what has ended is not read");
        assert_eq!(oldest("up == 1", 391), of(r#"up{p="2"}"#, 271), "beyond the lookback nothing is read");
        assert_eq!(oldest("sum(max_over_time(up[1m])) > 1", 130), of(r#"up{p="1"}"#, 40));
        assert_eq!(oldest("sum(up offset 1m) > 1", 130), None, "the past is what is wanted");
        assert_eq!(oldest("absent(down)", 130), None);
    }

    #[test]
    fn absence_is_never_unknown() {
        check("absent(x)", &[], Verdict3::True, "1");
        check("absent(x)", &[("x", 1.0)], Verdict3::False, "no element");
    }

    #[test]
    fn each_element_must_hold_under_set_operators_too() {
        let pods = [(r#"up{p="1"}"#, 1.0), (r#"up{p="2"}"#, 0.0)];
        let all = [(r#"up{p="1"}"#, 1.0), (r#"up{p="2"}"#, 1.0)];
        let (some, every) = (r#"up{p="1"} 1 == 1; up{p="2"} 0 == 1"#, r#"up{p="1"} 1 == 1; up{p="2"} 1 == 1"#);
        check("up == 1 and on () absent(x)", &pods, Verdict3::False, &format!("({some}) and 1"));
        check("up == 1 and on () absent(x)", &all, Verdict3::True, &format!("({every}) and 1"));
        check("up == 1 unless on () absent(x)", &all, Verdict3::False, &format!("({every}) unless 1"));
        check("up == 1 or absent(x)", &pods, Verdict3::True, &format!("({some}) or 1"));
        check("up == 1 or absent(up)", &pods, Verdict3::False, &format!("({some}) or no element"));
        check("(up == 1) == 1", &pods, Verdict3::False, &format!("({some}) and ({some})"));
        check("(up == 1) == 1", &all, Verdict3::True, &format!("({every}) and ({every})"));
        check("(up > 0) < 9", &pods, Verdict3::False, r#"(up{p="1"} 1 > 0; up{p="2"} 0 > 0) and (up{p="1"} 1 < 9; up{p="2"} 0 < 9)"#);
        check("(up == bool 1) == 1", &pods, Verdict3::False, r#"up{p="1"} 1 == 1; up{p="2"} 0 == 1"#);
        check("(up and on (p) up) == 1", &pods, Verdict3::False, some);
        check("(up unless on (p) up == 0) == 1", &pods, Verdict3::True, r#"up{p="1"} 1 == 1"#);
    }

    #[test]
    fn of_or_one_side_is_enough_or_one_of_those_that_belong_together() {
        let pods = [(r#"up{p="1"}"#, 1.0), (r#"up{p="2"}"#, 0.0), (r#"out{p="1"}"#, 0.0), (r#"out{p="2"}"#, 1.0)];
        let told = |condition: &str| judge_all(condition, &pods, false);
        assert_eq!(told("up == 1 or out == 1"), Verdict3::True);
        assert_eq!(told("up == 1 or out == 2"), Verdict3::False);
        assert_eq!(told(r#"up{p="1"} == 1 or out{p="1"} == 1"#), Verdict3::True, "each side by itself");
        assert_eq!(told(r#"up{p="2"} == 1 or out{p="1"} == 1"#), Verdict3::Unknown, "neither is there where the other is not 1");
        assert_eq!(told(r#"up{p="2"} == 1 or sum(out) == 0"#), Verdict3::False, "both are known, and none belongs to the other");
        assert_eq!(told("up == 1 or out == 2 or up == 0"), Verdict3::True, "each by the first or the third");
        assert_eq!(told("up == 1 or (out == 2 or up == 0)"), Verdict3::True);
        assert_eq!(told("up == 1 or none == 1"), Verdict3::Unknown);
        assert_eq!(told("(up == 1 or out == 1) and on () absent(none)"), Verdict3::True);
        assert_eq!(told("(up == 1 or out == 1) and on () none == 1"), Verdict3::Unknown);
    }

    #[test]
    fn what_is_missing_is_unknown_through_set_operators_as_it_is_alone() {
        use Verdict3::{False, True, Unknown};
        let stores: [&[(&str, f64)]; 4] = [&[], &[("off", 0.0)], &[("off", 1.0)], &[("off", f64::NAN)]];
        let check = |condition: &str, forbids: [Verdict3; 4]| {
            assert_eq!(stores.map(|store| judge_all(condition, store, true)), forbids, "{condition}");
        };
        let alone = [Unknown, False, True, Unknown];
        check("off == 1", alone);
        check("off == 1 or gone == 1", [Unknown, Unknown, True, Unknown]);
        check("gone == 1 or off == 1", [Unknown, Unknown, True, Unknown]);
        check("off == 1 or vector(0) > 0", alone);
        check("max(off) == 1 or vector(0) > 0", alone);
        check("off == 1 or on () vector(1) > 0", [True; 4]);
        check("off == 1 and gone == 1", [Unknown, False, Unknown, Unknown]);
        check("off == 1 and on () gone == 1", [Unknown, False, Unknown, Unknown]);
        check("gone == 1 and on () off == 1", [Unknown, False, Unknown, Unknown]);
        check("off == 1 and on () vector(1) > 0", alone);
        check("off == 1 and on () vector(0) > 0", [False; 4]);
        check("off == 1 unless on () gone == 1", [Unknown, False, Unknown, Unknown]);
        check("off == 1 unless on () vector(0) == 1", alone);
        check("off == 1 unless on () vector(1) == 1", [False; 4]);
        check("off == 1 unless on () absent(gone)", [False; 4]);
        check("(off == 1) == 1", alone);
        check("count(off == 1) > 0 or vector(0) > 0", [Unknown, Unknown, True, Unknown]);
        check("off == on () gone", [Unknown; 4]);
        check("(count(off == 1) or vector(0)) > 0", [False, False, True, False]);
        check("off or gone", [Unknown, True, True, True]);
        check("absent(off) or gone == 1", [True, Unknown, Unknown, Unknown]);
        assert_eq!(judge_all("up == 0 unless on (p) gone", &[(r#"up{p="1"}"#, 0.0)], false), True, "whether it is there is asked");
        let zones = [(r#"off{dc="a"}"#, 0.0), (r#"off2{dc="b"}"#, 0.0)];
        assert_eq!(judge_all("off == 1 or off2 == 1", &zones, true), False, "both are known");
    }

    #[test]
    fn of_or_what_one_side_lacks_is_unknown_where_the_other_fails() {
        let (down, is_up) = ((r#"up{p="1"}"#, 0.0), (r#"up{p="2"}"#, 1.0));
        let told = |condition: &str, samples: &[(&str, f64)]| judge_all(condition, samples, false);
        let elsewhere = [down, is_up, (r#"y{p="2"}"#, 0.0)];
        assert_eq!(told("up == 1 or y == 1", &elsewhere), Verdict3::Unknown);
        assert_eq!(told("y == 1 or up == 1", &elsewhere), Verdict3::Unknown);
        assert_eq!(told(r#"up{p="1"} == 1 or y{p="1"} == 1"#, &elsewhere), Verdict3::Unknown, "as of the one alone");
        assert_eq!(told("up == 1 or y == 1", &[down, is_up, (r#"y{p="1"}"#, 0.0)]), Verdict3::False);
        assert_eq!(told("up == 1 or y == 1", &[down, is_up, (r#"y{p="1"}"#, 1.0)]), Verdict3::True, "the second is up");
        assert_eq!(told("up == 1 or absent(y)", &elsewhere), Verdict3::False, "whether it is absent is known");
    }

    #[test]
    fn an_element_to_which_nothing_belongs_is_unknown() {
        let pods = [(r#"up{p="1"}"#, 0.0), (r#"up{p="2"}"#, 1.0), (r#"x{p="2"}"#, 1.0)];
        check("up == on (p) x", &pods, Verdict3::Unknown, r#"{p="1"} 0 == nothing; {p="2"} 1 == 1"#);
        check("up == ignoring (q) x", &pods, Verdict3::Unknown, r#"up{p="1"} 0 == nothing; up{p="2"} 1 == 1"#);
        check("x == on (p) group_right () up", &pods, Verdict3::Unknown, r#"up{p="1"} nothing == 0; up{p="2"} 1 == 1"#);
        check("x == on (p) up", &pods, Verdict3::True, r#"{p="2"} 1 == 1"#);
        check("up != on (p) x", &pods[..2], Verdict3::Unknown, "no element");
        check(
            "up != on (p) x and up >= 0",
            &pods,
            Verdict3::False,
            r#"({p="1"} 0 != nothing; {p="2"} 1 != 1) and (up{p="1"} 0 >= 0; up{p="2"} 1 >= 0)"#,
        );
        assert_eq!(judge_all("up == on (p) (x > 1)", &[pods[1], pods[2], (r#"x{p="1"}"#, 2.0), pods[0]], false), Verdict3::False);
        assert_eq!(judge_all("up != on (p) (x > 1)", &[pods[1], pods[2], (r#"x{p="1"}"#, 2.0), pods[0]], false), Verdict3::Unknown);
        assert_eq!(judge_all("(up == 1) == on (p) x", &pods, false), Verdict3::False, "it is not 1, whatever the other would be");
        assert_eq!(judge_all("(up == 0) == on (p) x", &pods[..1], false), Verdict3::Unknown);
        assert_eq!(judge_all("(x == 0) == on (p) group_right () up", &pods, false), Verdict3::False);
        let zones = [(r#"off{dc="a"}"#, 0.0), (r#"off{dc="b"}"#, 1.0), (r#"armed{dc="a"}"#, 1.0)];
        assert_eq!(judge_all("off == on (dc) armed", &zones, true), Verdict3::Unknown, "the switch of b may be thrown");
        assert_eq!(judge_all("off == on (dc) armed", &[zones[0], zones[2]], true), Verdict3::False);
        let thrown = [zones[0], zones[1], zones[2], (r#"armed{dc="b"}"#, 1.0)];
        assert_eq!(judge_all("off == on (dc) armed", &thrown, true), Verdict3::True);
        // Two that are alone have one and the same labels.
        let two = [(r#"off{dc="a",id="1"}"#, 1.0), (r#"off{dc="a",id="2"}"#, 0.0), (r#"armed{dc="b"}"#, 1.0)];
        assert_eq!(judge_all("(off == 1) == on (dc) armed", &two, true), Verdict3::Unknown, "the first is thrown");
        assert_eq!(judge_all("(off == 1) == on (dc) armed", &[two[1], two[0], two[2]], true), Verdict3::Unknown);
        assert_eq!(judge_all("(off == 1) == on (dc) armed", &two[1..], true), Verdict3::False);
    }

    #[test]
    fn a_comparison_that_would_hide_what_it_fails_for_is_refused() {
        for hides in [
            "(up == 1) * 1 == 1",
            "-(up == 1) == -1",
            "clamp_max(up == 1, 2) == 1",
            r#"label_replace(up == 1, "a", "b", "", "") == 1"#,
            "(up == 1 or x == 1) == 1",
            "(up or x == 1) == 1",
            "sort(up == 1) == 1",
            "topk(5, up == 1) == 1",
            "min_over_time((up == 1)[1m:15s]) == 1",
            "vector(scalar(up == 1)) == 1",
            "1 == (up == 1)",
            "-2 * time() < (up == 1)",
            "x == on (p) group_right () (up == 1)",
            "up / on (p) (x > 0) < 0.5",
            "((up == 1) + 0 and x) == 1",
            "x == 1 and (up == 1) * 1",
            "min(up == 1) == 1",
            "avg(up == 1) == 1",
            "max by (p) (up > 5) > 5",
            "group(up == 1) == 1",
            "quantile(0.5, up == 1) == 1",
            "vector(1) == on () (up == 1)",
        ] {
            let refused = Condition::parse(hides).expect_err(hides);
            assert_eq!(refused, ConditionError::LeavesOut(hides.to_owned()));
        }
        for sees in [
            "(up == 1) == 1",
            "(up == bool 1) * 1 == 1",
            "min_over_time((up == bool 1)[1m:15s]) == 1",
            "count(up == 1) >= 2",
            "sum by (p) (up == 1) == 1",
            "vector(1) == on () sum(up == 1)",
            "up == on (p) (x > 0)",
            "(count(up == 0) or vector(0)) == 0",
            "scalar(count(up == 1)) > bool 1",
            "topk(1, sum by (p) (up == 1)) > 1",
            "(up unless on (p) draining == 1) == 1",
            "((up == 1) and on (p) x * 2) == 1",
            "absent(up == 0)",
            "absent(-(up == 0)) and up == 1",
            "absent_over_time((up == 0)[1m:15s])",
        ] {
            assert!(Condition::parse(sees).is_ok(), "{sees}");
        }
    }

    #[test]
    fn elements_are_put_together_without_comparing_each_with_each() {
        const MANY: usize = 1000;
        let many: Vec<(String, String)> = (0..MANY).map(|index| (format!("up{{p=\"{index}\"}}"), format!("y{{p=\"{index}\"}}"))).collect();
        let samples: Vec<(&str, f64)> = many.iter().flat_map(|(up, y)| [(up.as_str(), 0.0), (y.as_str(), 1.0)]).collect();
        let store = store(&samples);
        for text in ["up == 1 or y == 1 or up == 2", "up == 0 and y == 1 unless up == 2", "up == on (p) y or y == 1"] {
            let condition = Condition::parse(text).expect("a condition");
            let before = group::comparisons();
            assert_eq!(condition.judge(&mut Evaluator::new(), 0, &[&store]).expect("a judgement").verdict, Verdict3::True);
            let comparisons = group::comparisons() - before;
            assert!((1..20 * MANY).contains(&comparisons), "{text}: {comparisons}");
        }
    }

    /// The verdict of both evaluators.
    #[track_caller]
    fn judge_all(condition: &str, samples: &[(&str, f64)], forbids: bool) -> Verdict3 {
        let condition = Condition::parse(condition).expect("a condition");
        let condition = if forbids { condition.forbidding() } else { condition };
        let store = store(samples);
        let told = condition.judge(&mut Evaluator::new(), 0, &[&store]).expect("a judgement");
        let mut machine = Machine::new(Arc::default());
        assert_eq!(condition.prepare(&mut machine).judge(&mut machine, 0, &[&store]), Ok(told.clone()));
        told.verdict
    }

    #[test]
    fn figures_name_the_first_elements_and_count_the_rest() {
        let many: Vec<(String, f64)> = (0..6).map(|index| (format!("x{{p=\"{index}\"}}"), f64::from(index))).collect();
        let many: Vec<(&str, f64)> = many.iter().map(|(series, value)| (series.as_str(), *value)).collect();
        let figures = r#"x{p="0"} 0 >= 0; x{p="1"} 1 >= 0; x{p="2"} 2 >= 0; x{p="3"} 3 >= 0; and 2 more"#;
        check("x >= 0", &many, Verdict3::True, figures);
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(Condition::parse(text).expect_err("no condition").to_string(), message);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        check_refused("up", "`up` is a value, not a condition: compare it, as in `up > 0`, or use and, or, unless or absent()");
        check_refused(
            "1 + (x > 2)",
            "`1 + (x > 2)` is a value, not a condition: compare it, as in `1 + (x > 2) > 0`, or use and, or, unless or absent()",
        );
        check_refused("x{a=~$b} > 1", "$b stands for the value of a label, so it needs `=` or `!=`, not `=~`");
    }

    #[test]
    fn parameters_are_values_and_never_text() {
        let condition = Condition::parse("up{service=$service} < 1").expect("a condition");
        assert_eq!(condition.parameters().into_iter().collect::<Vec<_>>(), ["service"]);
        let evil = r#""} or vector(0) < 1 or up{x=""#;
        let mut labels = Labels::named("up", &[("service", evil)]).to_builder();
        let mut store = Store::new();
        let harmless = store.series(&labels.clone().set("pod", "1").build());
        store.append(harmless, 0, 1.0).expect("the first sample");
        labels.put("service".into(), "other".into());
        let other = store.series(&labels.build());
        store.append(other, 0, 0.0).expect("the first sample");

        let bound = condition.bind(&BTreeMap::from([("service".to_owned(), evil.to_owned())])).expect("bound");
        let judgement = bound.judge(&mut Evaluator::new(), 0, &[&store]).expect("it evaluates");
        assert_eq!(judgement.verdict, Verdict3::False, "{}", judgement.figures);
        assert_eq!(condition.bind(&BTreeMap::new()).expect_err("nothing given"), MissingParameter("service".to_owned()));
        let unbound = condition.judge(&mut Evaluator::new(), 0, &[&store]).expect_err("not bound");
        assert_eq!(unbound, EvalError::Unbound("service".to_owned()));
    }
}
