//! What the expressions of alerts came to before an incident and in it, and so whether another threshold would have told it sooner.

use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_policies::rules::{Rule, RuleSet};
use firedrill_telemetry::promql::{Evaluator, Plan, Steps, Value};
use firedrill_telemetry::recording::Recording;
use firedrill_telemetry::store::Store;

use super::diff::{Change, unified};
use super::draft::Draft;
use crate::load::Source;

/// Expressions are looked at so often: 15 s.
const STEP_MS: i64 = 15_000;

/// A threshold that would tell an incident sooner by less than this is not worth a change.
const WORTHWHILE: Span = Span::from_seconds(60);

/// The highest level of quiet times lies at most at this share of a threshold that could be lower: nearer to it nobody can tell them apart.
const APART: f64 = 0.8;

/// What became of an alert's expression in one incident. It compares something with a number, and fires while that is greater.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The alert.
    pub alert: Name,
    /// The rule's file.
    pub source: Source,
    /// The line in which the number stands, from 0, and the number as it is written.
    pub line: usize,
    /// See `line`.
    pub written: String,
    /// The number.
    pub limit: f64,
    /// The highest value of any series before the onset; `None`: there was none.
    pub quiet: Option<f64>,
    /// The highest value of any series at each time from the onset on.
    pub course: Vec<(Time, f64)>,
}

/// The levels of all alerts of a rule set in an incident. `derived` is what the rules record of it.
#[must_use]
pub fn levels(recording: &Recording, derived: &Store, rules: &RuleSet, (onset, end): (Time, Option<Time>)) -> Vec<Level> {
    let start = recording.start;
    let steps = Steps { from_ms: start.unix_millis(), to_ms: recording.end_ms, step_ms: STEP_MS };
    let mut evaluator = Evaluator::new();
    let mut level = |rule: &Rule| {
        let (left, written) = compared(&rule.expression)?;
        let file = rule.place.file();
        let line = file.text.lines().enumerate().skip(rule.place.line().saturating_sub(1)).find(|(_, text)| text.contains(written))?.0;
        let Ok(Value::Matrix(series)) = evaluator.evaluate_range(&Plan::parse(left).ok()?, steps, &[&recording.store, derived]) else {
            return None;
        };
        let (mut quiet, mut course) = (None::<f64>, std::collections::BTreeMap::<Time, f64>::new());
        for (at_ms, value) in series.iter().flat_map(|own| &own.samples).filter(|(_, value)| value.is_finite()) {
            let Some(at) = start.time_of(*at_ms) else { continue };
            if at < onset {
                quiet = Some(quiet.map_or(*value, |quiet| quiet.max(*value)));
            } else if end.is_none_or(|end| at <= end) {
                let own = course.entry(at).or_insert(*value);
                *own = own.max(*value);
            }
        }
        let source = Source { path: file.path.clone(), text: file.text.clone() };
        let (alert, limit) = (rule.name.clone(), written.parse().ok()?);
        Some(Level { alert, source, line, written: written.to_owned(), limit, quiet, course: course.into_iter().collect() })
    };
    rules.rules().filter(|(_, rule)| rule.is_alerting()).filter_map(|(_, rule)| level(rule)).collect()
}

/// The two sides of `LEFT > NUMBER`; `None` if an expression is anything else.
fn compared(expression: &str) -> Option<(&str, &str)> {
    let (left, right) = expression.trim().rsplit_once('>')?;
    let written = right.trim_start_matches('=').trim();
    let is_number = !written.is_empty() && written.chars().all(|c| c.is_ascii_digit() || c == '.');
    // What binds looser than a comparison would be torn apart.
    let words = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| ["and", "or", "unless", "bool"].contains(&word))
    };
    let mut depth = 0_i32;
    let outside: String = left
        .chars()
        .filter(|c| {
            depth += i32::from(matches!(c, '(' | '{' | '[')) - i32::from(matches!(c, ')' | '}' | ']'));
            depth == 0
        })
        .collect();
    let is_plain = depth == 0 && !words(&outside) && !outside.contains(['<', '>', '=', '!']);
    (is_number && is_plain).then(|| (left.trim(), written))
}

/// Lower thresholds by which alerts would have told incidents sooner, and would not have been exceeded before any of them. `file` says whether a file can be
/// edited.
pub(super) fn thresholds(all: &[&[Level]], is_own: impl Fn(&Source) -> bool) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut known: Vec<(&str, usize)> = Vec::new();
    for level in all.iter().flat_map(|levels| levels.iter()).filter(|level| is_own(&level.source)) {
        let place = (level.source.path.as_str(), level.line);
        if known.contains(&place) {
            continue;
        }
        known.push(place);
        let same = all.iter().flat_map(|levels| levels.iter().find(|own| (own.source.path.as_str(), own.line) == place));
        drafts.extend(threshold(&same.collect::<Vec<_>>()));
    }
    drafts
}

fn threshold(same: &[&Level]) -> Option<Draft> {
    let level = same.first()?;
    // Where it was never quiet nobody knows what is usual.
    let quiet = same.iter().map(|own| own.quiet).collect::<Option<Vec<f64>>>()?.into_iter().fold(0.0, f64::max);
    if level.limit <= 0.0 || quiet > APART * level.limit {
        return None;
    }
    let lower = rounded((quiet + level.limit) / 2.0);
    let crossed = |own: &Level, limit: f64| own.course.iter().find(|(_, value)| *value > limit).map(|(at, _)| *at);
    let gained = |own: &&&Level| match (crossed(own, lower), crossed(own, level.limit)) {
        (Some(sooner), Some(now)) => Some(now - sooner).filter(|lead| *lead >= WORTHWHILE),
        (Some(_), None) => Some(Span::ZERO),
        (None, _) => None,
    };
    let gains: Vec<Span> = same.iter().filter_map(|own| gained(&own)).collect();
    if gains.is_empty() || !(lower > quiet && lower < level.limit) {
        return None;
    }
    let missed = gains.iter().filter(|lead| **lead == Span::ZERO).count();
    let lead = gains.iter().copied().max().unwrap_or(Span::ZERO);
    let how = match (missed, lead) {
        (0, lead) => format!("would have been exceeded {lead} sooner"),
        (missed, Span::ZERO) => format!("would have been exceeded in {missed} where it never was"),
        (missed, lead) => format!("would have been exceeded {lead} sooner, and in {missed} where it never was"),
    };
    let (limit, alert) = (&level.written, &level.alert);
    let why = format!(
        "{alert}: a threshold of {lower} instead of {limit} {how}; before {} it was at most {}",
        if same.len() == 1 { "the incident".to_owned() } else { format!("{} incidents", same.len()) },
        rounded(quiet)
    );
    let text = level.source.text.lines().nth(level.line)?;
    let at = text.rfind(limit.as_str())?;
    let added = vec![format!("{}{lower}{}", &text[..at], &text[at + limit.len()..])];
    Some(Draft { why, diff: unified(&level.source.path, &level.source.text, &Change { line: level.line, removed: 1, added }) })
}

/// To two digits that count.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "groups:\n  - name: g\n    rules:\n      - alert: High\n        expr: errors:ratio > 0.5\n        for: 1m\n";

    fn level(quiet: Option<f64>, course: &[(u64, f64)]) -> Level {
        Level {
            alert: Name::new("High"),
            source: Source { path: "rules/r.yml".to_owned(), text: RULES.to_owned() },
            line: 4,
            written: "0.5".to_owned(),
            limit: 0.5,
            quiet,
            course: course.iter().map(|(second, value)| (Time::from_seconds(*second), *value)).collect(),
        }
    }

    #[track_caller]
    fn check(all: &[Level], expected: &[&str]) {
        let lists: Vec<&[Level]> = all.iter().map(std::slice::from_ref).collect();
        let drafts = thresholds(&lists, |_| true);
        assert_eq!(drafts.iter().map(|draft| draft.why.as_str()).collect::<Vec<_>>(), expected);
        for draft in drafts {
            assert!(draft.diff.contains("-        expr: errors:ratio > 0.5\n+        expr: errors:ratio > 0.3\n"), "{}", draft.diff);
        }
    }

    #[test]
    fn a_lower_threshold_is_drafted_where_it_would_have_told_sooner_and_never_before() {
        let slow = [(0, 0.1), (60, 0.35), (240, 0.6)];
        let sooner = "High: a threshold of 0.3 instead of 0.5 would have been exceeded 3m sooner; before the incident it was at most 0.1";
        check(&[level(Some(0.1), &slow)], &[sooner]);
        let missed = "High: a threshold of 0.3 instead of 0.5 would have been exceeded 3m sooner, and in 1 where it never was; before 2 incidents it was at most 0.1";
        check(&[level(Some(0.1), &slow), level(Some(0.02), &[(0, 0.4)])], &[missed]);
        // It rises at once, it was as high before, or nobody knows what was before.
        check(&[level(Some(0.1), &[(0, 0.1), (60, 0.6)])], &[]);
        check(&[level(Some(0.1), &slow), level(Some(0.45), &slow)], &[]);
        check(&[level(None, &slow)], &[]);
    }

    #[test]
    fn only_a_comparison_with_a_number_has_a_threshold() {
        assert_eq!(compared("sum by (a) (rate(b{c=\"d\"}[1m])) / e >= 0.05"), Some(("sum by (a) (rate(b{c=\"d\"}[1m])) / e", "0.05")));
        for other in ["a > b", "a and b > 1", "(a > 1) and b", "a < 1", "up == 0", "a > bool 1", "b > 1 > 2", "a > -1"] {
            assert_eq!(compared(other), None, "{other}");
        }
    }

    #[test]
    fn levels_are_read_from_a_recording() {
        use firedrill_core::time::Start;
        use firedrill_telemetry::labels::Labels;
        let mut store = Store::new();
        for (pod, peak) in [("a", 0.2), ("b", 0.9)] {
            let id = store.series(&Labels::named("errors:ratio", &[("pod", pod)]));
            for second in (0..600).step_by(15) {
                store.append(id, second * 1_000, if second < 300 { 0.1 } else { peak }).unwrap();
            }
        }
        let recording = Recording { start: Start::from_unix_millis(0), end_ms: 600_000, source: "a test".to_owned(), store };
        let rules = RuleSet::read([("rules/r.yml", RULES)]).unwrap();
        let found = levels(&recording, &Store::new(), &rules, (Time::from_seconds(300), None));
        assert_eq!(found.len(), 1);
        let own = &found[0];
        assert_eq!((own.line, own.limit, own.quiet, own.course[0]), (4, 0.5, Some(0.1), (Time::from_seconds(300), 0.9)));
    }
}
