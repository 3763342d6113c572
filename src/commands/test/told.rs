//! What became of rule tests, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use firedrill_core::journal::{Event, Journal, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_policies::rules::unit_test::{
    Change, DecisionGot, ExpectedAlert, ExpectedNotification, ExpectedSample, Failure, NotificationGot, TimelineEntry,
};
use firedrill_reports::timeline::Kind;
use firedrill_reports::words::counted;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::written;
use serde_json::{Value, json};

use crate::command_line::CommandLine;
use crate::commands::terminal::paint;
use crate::output::Output;
use crate::rule_tests::{Misheard, Misjudged, Ran, Suite};

/// Texts up to this width stand side by side, longer ones one below the other.
const SIDE_BY_SIDE: usize = 36;

/// At most so many entries of a time line are shown; those nearest to the moment that was asked about.
const MOST_ENTRIES: usize = 12;

/// A file's failed tests in full, and one line about the file.
pub fn file(suite: &Suite, ran: &[Ran<'_>], output: Output) -> String {
    let failed = ran.iter().filter(|ran| !ran.passed());
    let mut text: String = failed.clone().map(|ran| test(suite, ran, output)).collect();
    let (count, checks) = (failed.count(), ran.iter().map(Ran::checks).sum::<usize>());
    let word = if count == 0 { paint(output, Kind::Recovery, "ok") } else { paint(output, Kind::Fault, "FAILED") };
    let (tests, expectations) = (counted(ran.len() as u64, "test"), counted(checks as u64, "expectation"));
    let failed = if count == 0 { "none failed".to_owned() } else { format!("{} failed", counted(count as u64, "test")) };
    let _ = writeln!(text, "{word} {}: {tests}, {expectations}, {failed}", suite.file.path);
    text
}

fn test(suite: &Suite, ran: &Ran<'_>, output: Output) -> String {
    let mut text = format!("{} {}\n", paint(output, Kind::Fault, "FAILED"), ran.test.name);
    for failure in &ran.outcome.failures {
        text.push_str(&told(failure));
    }
    for misheard in &ran.notifications {
        text.push_str(&notifications(misheard));
    }
    for misjudged in &ran.decisions {
        text.push_str(&decisions(misjudged));
    }
    let pattern = format!("^{}$", regex::escape(&ran.test.name));
    let _ = writeln!(text, "  repeat: {}\n", CommandLine::new("test").word(&suite.file.path).option("--run", &pattern));
    text
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Alerts { place, name, eval_time, is_pending, expected, got, timeline } => {
            let what = if *is_pending { "pending alerts" } else { "alerts" };
            let mut text = format!("  {}: {what} {name} at {eval_time} are not as expected\n", at(place));
            text.push_str(&alerts(expected, got, if *is_pending { "is pending" } else { "fires" }));
            text.push_str(&story(timeline, *eval_time, name));
            text
        }
        Failure::Samples { place, expression, eval_time, expected, got } => {
            let mut text = format!("  {}: {} at {eval_time} yields something else\n", at(place), one_line(expression));
            text.push_str(&samples(expected, got));
            text
        }
        Failure::Expression { place, expression, eval_time, message } => {
            format!("  {}: {} at {eval_time} cannot be evaluated: {message}\n", at(place), one_line(expression))
        }
        Failure::Rule { place, group, rule, at: moment, message } => {
            format!("  {}: the rule {rule} of group {group} fails at {moment}, and the test ends there: {message}\n", at(place))
        }
        Failure::Input { place, message } => format!("  {}: {message}\n", at(place)),
    }
}

/// A receiver that was told something else than expected.
pub fn notifications(misheard: &Misheard) -> String {
    let Misheard { receiver, place, until, missing, surplus, journal } = misheard;
    let until = Span::from_nanos(until.as_nanos());
    let mut text = format!("  {}: what {receiver} is told until {until} is not as expected\n", at(place));
    for expected in missing {
        let _ = writeln!(text, "    expected, and not told:  {}", wanted(expected));
    }
    for got in surplus {
        let _ = writeln!(text, "    told, and not expected:  {}", heard(got));
    }
    let _ = writeln!(text, "    on the way:");
    let lines = way(journal, receiver);
    if lines.is_empty() {
        let _ = writeln!(text, "      no alert went to {receiver}");
    }
    for (moment, line) in lines {
        let _ = writeln!(text, "      {:>8}  {line}", moment.to_string());
    }
    text
}

/// A policy that decided something else than expected.
fn decisions(misjudged: &Misjudged) -> String {
    let Misjudged { policy, place, until, missing, surplus, decided } = misjudged;
    let decided = match decided {
        Ok(decided) => decided,
        Err(why) => return format!("  {}: what {policy} decides cannot be told: {why}\n", at(place)),
    };
    let mut text = format!("  {}: what {policy} decides until {until} is not as expected\n", at(place));
    for expected in missing {
        let _ = writeln!(text, "    expected, and not decided:  {{ {expected} }}");
    }
    for got in surplus {
        let _ = writeln!(text, "    decided, and not expected:  {{ {got} }}");
    }
    let all: Vec<&DecisionGot> = decided.iter().filter(|got| got.at <= *until).collect();
    let _ = writeln!(text, "    all that it decides:");
    if all.is_empty() {
        let _ = writeln!(text, "      nothing");
    }
    for got in all {
        let _ = writeln!(text, "      {got}");
    }
    text
}

fn misjudged_as_json(misjudged: &Misjudged) -> Value {
    let told = |got: &[DecisionGot]| got.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "kind": "decisions", "place": at(&misjudged.place), "policy": misjudged.policy, "until": misjudged.until.to_string(),
        "missing": misjudged.missing.iter().map(ToString::to_string).collect::<Vec<_>>(), "surplus": told(&misjudged.surplus),
        "decided": misjudged.decided.as_ref().ok().map(|decided| told(decided)), "error": misjudged.decided.as_ref().err(),
    })
}

fn wanted(expected: &ExpectedNotification) -> String {
    let told = |alerts: &[BTreeMap<String, String>], word: &str| {
        alerts.iter().map(|labels| format!("{word} {}", shown(labels))).collect::<Vec<_>>()
    };
    format!("at {}: {}", expected.at, [told(&expected.firing, "firing"), told(&expected.resolved, "resolved")].concat().join(", "))
}

fn heard(got: &NotificationGot) -> String {
    let told = |alerts: &[LabelSet], word: &str| alerts.iter().map(|labels| format!("{word} {}", labelled(labels))).collect::<Vec<_>>();
    format!("at {}: {} ({})", got.at, [told(&got.firing, "firing"), told(&got.resolved, "resolved")].concat().join(", "), got.reason)
}

fn labelled(labels: &LabelSet) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={:?}", value.as_str())).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// What became of the alerts that went to a receiver, in words.
pub fn way(journal: &Journal, who: &str) -> Vec<(Span, String)> {
    let line = |event: &Event| match event {
        Event::Routed { labels, receiver, look, is_first, .. } if **receiver == *who => {
            let wait = if *is_first { "group wait" } else { "group interval" };
            let when = look.map_or_else(String::new, |look| format!(", looked at {} after the {wait}", Span::from_nanos(look.as_nanos())));
            Some(format!("{} comes into its group{when}", labelled(labels)))
        }
        Event::Withheld { labels, receiver, reason, .. } if **receiver == *who => {
            Some(format!("{} is withheld: {reason}", labelled(labels)))
        }
        Event::Messaged { receiver, by, reason, firing, resolved, .. } if **receiver == *who => {
            let by =
                if by.is_empty() { String::new() } else { format!(" by {}", by.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")) };
            Some(format!("a message{by}: {} firing, {} resolved; {reason}", firing.len(), resolved.len()))
        }
        _ => None,
    };
    let records = journal.records().iter().map(|record| (Span::from_nanos(record.at.as_nanos()), &record.event));
    records.filter_map(|(at, event)| Some((at, line(event)?))).collect()
}

/// The same for programs.
pub fn misheard_as_json(misheard: &Misheard) -> Value {
    let expected = |expected: &ExpectedNotification| json!({ "at": expected.at.to_string(), "firing": expected.firing, "resolved": expected.resolved });
    let got =
        |got: &NotificationGot| json!({ "at": got.at.to_string(), "reason": got.reason, "firing": got.firing, "resolved": got.resolved });
    json!({
        "kind": "notifications", "place": at(&misheard.place), "receiver": misheard.receiver,
        "missing": misheard.missing.iter().map(expected).collect::<Vec<_>>(),
        "surplus": misheard.surplus.iter().map(got).collect::<Vec<_>>(),
    })
}

fn at(place: &Place) -> String {
    format!("{}:{}:{}", place.file().path, place.line(), place.column())
}

fn one_line(expression: &str) -> String {
    let line = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("`{line}`")
}

/// Alerts that stand more often on one side than on the other; expected alerts beside those that are most like them; then what is left over on
/// either side. `stands` is what an alert does that is there.
fn alerts(expected: &[ExpectedAlert], got: &[ExpectedAlert], stands: &str) -> String {
    let mut text = String::new();
    let mut rest: Vec<&ExpectedAlert> = got.iter().collect();
    let mut lonely: Vec<&ExpectedAlert> = Vec::new();
    for (index, alert) in expected.iter().enumerate().filter(|(index, alert)| !expected[..*index].contains(alert)) {
        let (wanted, there) =
            (expected[index..].iter().filter(|other| *other == alert).count(), got.iter().filter(|other| *other == alert).count());
        if there == 0 {
            lonely.extend(std::iter::repeat_n(alert, wanted));
        } else if wanted != there {
            text.push_str(&counts(alert, (wanted, there), stands));
        }
        rest.retain(|other| *other != alert);
    }
    for alert in lonely {
        let likeness = |other: &&ExpectedAlert| alert.labels.iter().filter(|(name, value)| other.labels.get(*name) == Some(*value)).count();
        // The alert's name alone makes no likeness.
        let nearest = rest.iter().enumerate().max_by_key(|(index, other)| (likeness(other), usize::MAX - index)).map(|(index, _)| index);
        match nearest.filter(|index| likeness(&rest[*index]) > 1 || rest.len() == 1) {
            Some(index) => text.push_str(&differences(alert, rest.remove(index))),
            None => {
                let _ = writeln!(text, "    expected, and not there: {}", shown(&alert.labels));
            }
        }
    }
    for alert in rest {
        let _ = writeln!(text, "    there, and not expected: {}", shown(&alert.labels));
        for (name, value) in &alert.annotations {
            let _ = writeln!(text, "      {name}: {value}");
        }
    }
    text
}

/// An alert that is expected more often than it is there, or less often.
fn counts(alert: &ExpectedAlert, (expected, got): (usize, usize), stands: &str) -> String {
    let mut text = format!("    {}\n    {:24}   {:SIDE_BY_SIDE$}   got\n", shown(&alert.labels), "", "expected");
    text.push_str(&pair("how often", &times(expected), &times(got)));
    let remedy = if expected > got {
        format!(
            "the same alert is expected {} and {stands} {}: an alert with these labels is one alert, so list it {}",
            times(expected),
            times(got),
            times(got)
        )
    } else {
        format!("the alert is expected {} and {stands} {}: several rules of this name have it", times(expected), times(got))
    };
    let _ = writeln!(text, "    {remedy}");
    text
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn shown(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Two alerts side by side: what differs in full, what does not by name.
fn differences(expected: &ExpectedAlert, got: &ExpectedAlert) -> String {
    let mut text = format!("    {:24}   {:SIDE_BY_SIDE$}   got\n", "", "expected");
    for (kind, expected, got) in [("label", &expected.labels, &got.labels), ("annotation", &expected.annotations, &got.annotations)] {
        let mut names: Vec<&String> = expected.keys().chain(got.keys()).collect();
        names.sort();
        names.dedup();
        let (same, different): (Vec<&String>, Vec<&String>) = names.into_iter().partition(|name| expected.get(*name) == got.get(*name));
        for name in different {
            text.push_str(&pair(&format!("{kind} {name}"), value(expected.get(name)), value(got.get(name))));
        }
        if !same.is_empty() {
            let same: Vec<&str> = same.into_iter().map(String::as_str).collect();
            let _ = writeln!(text, "    same {kind}s: {}", same.join(", "));
        }
    }
    text
}

fn value(value: Option<&String>) -> &str {
    match value.map(String::as_str) {
        None => "(none)",
        Some("") => "\"\"",
        Some(text) => text,
    }
}

fn pair(name: &str, expected: &str, got: &str) -> String {
    if expected.chars().count() <= SIDE_BY_SIDE && !expected.contains('\n') && !got.contains('\n') {
        return format!("    {name:24} ≠ {expected:SIDE_BY_SIDE$}   {got}\n");
    }
    format!("    {name} ≠\n      expected {expected}\n      got      {got}\n")
}

fn samples(expected: &[ExpectedSample], got: &[(Labels, f64)]) -> String {
    let mut rows: BTreeMap<String, (Vec<String>, Option<String>)> = BTreeMap::new();
    for sample in expected {
        let shown = sample.value.map_or_else(|| "a native histogram".to_owned(), written);
        rows.entry(sample.labels.to_string()).or_default().0.push(shown);
    }
    for (labels, value) in got {
        rows.entry(labels.to_string()).or_default().1 = Some(written(*value));
    }
    let mut text = format!("    {:24}   {:SIDE_BY_SIDE$}   got\n", "", "expected");
    for (labels, (expected, got)) in rows {
        let got = value(got.as_ref());
        match &expected[..] {
            [only] if only == got => {
                let _ = writeln!(text, "    {labels} = {got}");
                continue;
            }
            [] => text.push_str(&format!("    {labels}\n{}", pair("", "(none)", got))),
            some => text.push_str(&format!("    {labels}\n{}", pair("", &some.join(" and "), got))),
        }
        if expected.len() > 1 {
            let _ = writeln!(text, "    these labels are expected {}: a series has one sample, so list it once", times(expected.len()));
        }
    }
    text
}

/// What became of the alerts of one name, around the moment that was asked about.
fn story(timeline: &[TimelineEntry], eval_time: Span, name: &str) -> String {
    if timeline.is_empty() {
        return format!("    {name} was never pending\n");
    }
    let before = timeline.iter().filter(|entry| entry.at <= eval_time).count();
    let from = before.saturating_sub(MOST_ENTRIES - 2);
    let to = timeline.len().min(from + MOST_ENTRIES);
    let mut text = format!("    time line of {name}:\n");
    if from > 0 {
        let _ = writeln!(text, "      {from} earlier");
    }
    for (index, entry) in timeline.iter().enumerate().take(to).skip(from) {
        if index == before {
            let _ = writeln!(text, "      {:>10} <- asked", eval_time.to_string());
        }
        let _ = writeln!(text, "      {:>10} {} {}", entry.at.to_string(), word(entry.change), entry.labels);
    }
    if before >= to {
        let _ = writeln!(text, "      {:>10} <- asked", eval_time.to_string());
    }
    if to < timeline.len() {
        let _ = writeln!(text, "      {} later", timeline.len() - to);
    }
    text
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Pending => "pending",
        Change::Dropped => "gone",
        Change::Firing => "firing",
        Change::Over => "over",
    }
}

/// One file's results.
pub fn file_as_json(suite: &Suite, ran: &[Ran<'_>]) -> Value {
    let test = |ran: &Ran<'_>| {
        json!({
            "name": ran.test.name,
            "line": ran.test.place.line(),
            "passed": ran.outcome.failures.is_empty(),
            "checks": ran.outcome.checks,
            "failures": ran.outcome.failures.iter().map(failure_as_json).chain(ran.notifications.iter().map(misheard_as_json)).chain(ran.decisions.iter().map(misjudged_as_json)).collect::<Vec<_>>(),
        })
    };
    json!({ "path": suite.file.path, "tests": ran.iter().map(test).collect::<Vec<_>>() })
}

fn failure_as_json(failure: &Failure) -> Value {
    let alert = |alert: &ExpectedAlert| json!({ "labels": alert.labels, "annotations": alert.annotations });
    let list = |alerts: &[ExpectedAlert]| alerts.iter().map(alert).collect::<Vec<_>>();
    match failure {
        Failure::Alerts { place, name, eval_time, is_pending, expected, got, timeline } => {
            let entry = |entry: &TimelineEntry| json!({ "at": entry.at.to_string(), "change": word(entry.change), "labels": entry.labels.to_string() });
            json!({
                "kind": if *is_pending { "pending" } else { "alerts" }, "place": at(place), "alert": name, "eval_time": eval_time.to_string(),
                "expected": list(expected), "got": list(got), "timeline": timeline.iter().map(entry).collect::<Vec<_>>(),
            })
        }
        Failure::Samples { place, expression, eval_time, expected, got } => {
            let expected: Vec<Value> =
                expected.iter().map(|sample| json!({ "labels": sample.labels.to_string(), "value": sample.value.map(written) })).collect();
            let got: Vec<Value> =
                got.iter().map(|(labels, value)| json!({ "labels": labels.to_string(), "value": written(*value) })).collect();
            json!({ "kind": "samples", "place": at(place), "expression": expression, "eval_time": eval_time.to_string(), "expected": expected, "got": got })
        }
        Failure::Expression { place, expression, eval_time, message } => {
            json!({ "kind": "expression", "place": at(place), "expression": expression, "eval_time": eval_time.to_string(), "message": message })
        }
        Failure::Rule { place, group, rule, at: moment, message } => {
            json!({ "kind": "rule", "place": at(place), "group": group, "rule": rule, "at": moment.to_string(), "message": message })
        }
        Failure::Input { place, message } => json!({ "kind": "input", "place": at(place), "message": message }),
    }
}
