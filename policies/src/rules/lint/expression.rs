//! What is found in a rule's expression.

use firedrill_core::time::Span;
use firedrill_telemetry::promql::{Habit, MadeFor, Plan, Source, Windowed};
use firedrill_telemetry::universe::Kind;

use super::catalogue::{
    ABSENT_OF_NOBODY, COUNTER_COMPARED, DEFAULT_WITHOUT_LABELS, DELTA_OF_COUNTER, EXACT_FRACTION, FEW_SAMPLES, NOTHING_FILTERS,
    RATE_OF_GAUGE, RATE_OF_RATE, RATE_OF_SUM, TOO_FEW_SAMPLES,
};
use super::{Finding, Known, Rule};

/// Below so many intervals in a window, one lost scrape is felt.
const ROOMY: u64 = 4;

/// Everything that is found in the expression of a rule that can be evaluated.
pub(super) fn lint(rule: &Rule, known: &Known<'_>) -> Vec<Finding> {
    let Ok(plan) = &rule.plan else { return Vec::new() };
    let mut found = Vec::new();
    for window in plan.windows() {
        found.extend(samples(rule, &window, known));
        found.extend(kind(rule, &window, known));
        found.extend(of_sums(rule, &window, known));
    }
    found.extend(habits(rule, plan, known));
    found.dedup_by(|left, right| left.problem == right.problem);
    found
}

/// Whether the window has as many samples as the function needs.
fn samples(rule: &Rule, window: &Windowed, known: &Known<'_>) -> Option<Finding> {
    let range = Span::from_millis(window.range_ms.unsigned_abs());
    let (interval, whose) = match &window.source {
        Source::Series(metric) => {
            let interval = known.interval_of(metric.as_deref())?;
            let is_recorded = metric.as_ref().is_some_and(|metric| known.recorded.contains_key(metric.as_str()));
            (interval, if is_recorded { "is recorded" } else { "is scraped" })
        }
        Source::Subquery { step_ms, .. } => (Span::from_millis(step_ms.unsigned_abs()), "is evaluated by the subquery"),
    };
    let interval_ms = interval.as_millis().max(1);
    let (least, most) = (range.as_millis() / interval_ms, range.as_millis().div_ceil(interval_ms));
    let place = rule.place_of(Some(window.function));
    let subject = format!("`{}` over {range}", window.function);
    let every = format!("of what {whose} every {interval}");
    let needs = u64::from(window.needs);
    if least < needs {
        let sees = if least == most { samples_told(most) } else { format!("{least} or {}", samples_told(most)) };
        let then = if most < needs { "it never yields anything" } else { "it yields nothing at times" };
        let message = format!("{subject} sees {sees} {every} and needs {needs}: {then}");
        let remedy = format!("look over {} or more", Span::from_millis(interval_ms * ROOMY));
        return Some(Finding::new(&TOO_FEW_SAMPLES, rule, &place, message).remedy(remedy));
    }
    if needs > 1 && least < ROOMY {
        let message = format!("{subject} sees as few as {} {every}: a lost one or two leave it without", samples_told(least));
        let remedy = format!("look over {} or more", Span::from_millis(interval_ms * ROOMY));
        return Some(Finding::new(&FEW_SAMPLES, rule, &place, message).remedy(remedy));
    }
    None
}

fn samples_told(count: u64) -> String {
    if count == 1 { "1 sample".to_owned() } else { format!("{count} samples") }
}

/// Whether the function is made for what the metric is.
fn kind(rule: &Rule, window: &Windowed, known: &Known<'_>) -> Option<Finding> {
    let Source::Series(Some(metric)) = &window.source else { return None };
    let place = rule.place_of(Some(window.function));
    let told = known.kind(metric)?;
    let is = told.words();
    match (window.made_for, told.kind) {
        (MadeFor::Counters, Kind::Gauge) => {
            let message = format!("`{}` is for counters, and `{metric}` {is}: every fall is taken for a restart", window.function);
            Some(Finding::new(&RATE_OF_GAUGE, rule, &place, message))
        }
        (MadeFor::Gauges, Kind::Counter) => {
            let message = format!("`{}` is for gauges, and `{metric}` {is}: a restart is taken for a fall", window.function);
            Some(Finding::new(&DELTA_OF_COUNTER, rule, &place, message))
        }
        _ => None,
    }
}

/// A rate of sums, or of rates: what is counted must be taken apart first and added up after.
fn of_sums(rule: &Rule, window: &Windowed, known: &Known<'_>) -> Option<Finding> {
    if window.made_for != MadeFor::Counters {
        return None;
    }
    let place = rule.place_of(Some(window.function));
    let metric = match &window.source {
        Source::Subquery { is_aggregated: true, .. } => {
            let message = format!("`{}` of a sum: one target's restart makes all of them count again", window.function);
            return Some(Finding::new(&RATE_OF_SUM, rule, &place, message));
        }
        Source::Series(Some(metric)) => metric,
        _ => return None,
    };
    let recorded = known.recorded.get(metric.as_str())?;
    let plans: Vec<(&Rule, &Plan)> = recorded.iter().filter_map(|(_, rule)| Some((*rule, rule.plan.as_ref().ok()?))).collect();
    let at = |rule: &Rule| format!("{}:{}", rule.place.file().path, rule.place.line());
    let counts = |metric: &str| known.kind(metric).is_some_and(|told| told.kind == Kind::Counter);
    if let Some((other, _)) = plans.iter().find(|(_, plan)| plan.aggregated_metric().is_some_and(counts)) {
        let message = format!(
            "`{}` of `{metric}`, a sum of counters recorded at {}: one target's restart makes all of them count again",
            window.function,
            at(other)
        );
        return Some(Finding::new(&RATE_OF_SUM, rule, &place, message));
    }
    let is_rate = |plan: &Plan| plan.windows().iter().any(|window| matches!(window.function, "rate" | "irate" | "increase"));
    let (other, _) = plans.iter().find(|(_, plan)| is_rate(plan))?;
    let message = format!(
        "`{}` of `{metric}`, which is a rate already, recorded at {}: it falls, and each fall is taken for a restart",
        window.function,
        at(other)
    );
    Some(Finding::new(&RATE_OF_RATE, rule, &place, message))
}

fn habits(rule: &Rule, plan: &Plan, known: &Known<'_>) -> Vec<Finding> {
    let labels_of = |metric: &str| known.labels_of(metric);
    plan.habits(&labels_of).into_iter().filter_map(|habit| told(rule, &habit, known)).collect()
}

fn told(rule: &Rule, habit: &Habit, known: &Known<'_>) -> Option<Finding> {
    let found = |lint, word: &str, message: String| Some(Finding::new(lint, rule, &rule.place_of(Some(word)), message));
    match habit {
        Habit::ExactFraction { operator, number } => found(
            &EXACT_FRACTION,
            operator,
            format!("a fraction is asked by `{operator}` for exactly {number}, which it misses by the last digits"),
        ),
        Habit::DefaultWithoutLabels { operator } => {
            let message = format!(
                "`or vector(…)` adds one element without labels, so `{operator}` finds no partner for it where the others have labels"
            );
            found(&DEFAULT_WITHOUT_LABELS, "vector", message)
        }
        Habit::ValueAbove { metric } if rule.is_alerting() => {
            let told = known.kind(metric).filter(|told| told.kind == Kind::Counter)?;
            let message = format!("`{metric}` {}: once it is above the number it stays so until its target restarts", told.words());
            found(&COUNTER_COMPARED, metric, message)
        }
        Habit::AbsentOfNobody if rule.is_alerting() => {
            found(&ABSENT_OF_NOBODY, "absent", "what is absent here has no label: the alert cannot say whose it is".to_owned())
        }
        Habit::NothingFilters { is_bool } if rule.is_alerting() => {
            let message = match is_bool {
                true => "`bool` keeps what does not hold, as 0: the alert is on whenever its series exist".to_owned(),
                false => "nothing here is compared: the alert is on whenever its series exist".to_owned(),
            };
            found(&NOTHING_FILTERS, "bool", message)
        }
        Habit::ValueAbove { .. } | Habit::AbsentOfNobody | Habit::NothingFilters { .. } => None,
    }
}
