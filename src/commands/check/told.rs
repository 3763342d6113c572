//! What `check` says, for people and for programs.

use std::collections::BTreeMap;

use firedrill_core::problem::{Problem, Severity};
use firedrill_policies::rules::{Coverage, Group, Reason, Rule};
use firedrill_reports::words::counted;
use firedrill_sim::spec::Profile;
use serde_json::{Value, json};

use super::declare::Declaration;
use super::{Report, linting};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.check/1";

/// At most so many files that were passed over are named.
const SHOWN: usize = 10;

/// The report for people.
pub(super) fn text(report: &Report<'_>, is_verbose: bool) -> String {
    let found = report.found;
    let count = |count: usize, noun: &str| counted(count as u64, noun);
    let is_wrong = |problem: &Problem| problem.severity == Severity::Error;
    let sound = if found.problems.iter().chain(&report.lints).any(is_wrong) { "not all sound" } else { "all sound" };
    let routed = match found.alertmanagers {
        0 => String::new(),
        many => format!(", {}", count(many, "Alertmanager configuration")),
    };
    let mut lines = vec![format!(
        "read {} in {}, {}, {}, {}{routed}: {sound}",
        count(report.rules.len(), "rule"),
        count(found.rules.len(), "file"),
        count(found.policies.len(), "policy"),
        count(found.scenarios.len(), "scenario"),
        count(found.recordings.len(), "incident")
    )];
    if !found.passed_over.is_empty() {
        let mut named = found.passed_over.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if found.passed_over.len() > SHOWN {
            named.push_str(&format!(" and {} more", found.passed_over.len() - SHOWN));
        }
        lines.push(format!("passed over {}, neither rules nor firedrill's own: {named}", count(found.passed_over.len(), "file")));
    }
    if !report.rules.is_empty() {
        let able = report.rules.iter().filter(|(_, _, coverage)| coverage.is_able()).count();
        let recordings = count(found.recordings.len(), "recording");
        let whose = if report.is_library { " of the library, as the project names none" } else { "" };
        let scenarios = format!("every series that can be in {}{whose}", count(report.scenarios, "scenario"));
        let judged = match (report.scenarios, found.recordings.len()) {
            (_, 0) => format!("judged by {scenarios}"),
            (0, _) => format!("judged by the series of {recordings} alone"),
            _ => format!("judged by {scenarios} and {recordings}"),
        };
        lines.push(format!("{able} of {} of your rules can fire here ({judged})", report.rules.len()));
    }
    type Wanted = fn(&Coverage) -> bool;
    let parts: [(&str, Wanted); 4] = [
        ("fire all the time here (FD0461):", |coverage| matches!(coverage, Coverage::Always(reasons) if !reasons.is_empty())),
        (
            "can fire, though not by every part of what they ask (FD0462):",
            |coverage| matches!(coverage, Coverage::Able(reasons) if !reasons.is_empty()),
        ),
        ("cannot fire here (FD0460):", |coverage| matches!(coverage, Coverage::Never(_))),
        ("cannot be evaluated yet:", |coverage| matches!(coverage, Coverage::Unsupported(_))),
    ];
    for (title, wanted) in parts {
        let rules: Vec<_> = report.rules.iter().filter(|(_, rule, coverage)| wanted(coverage) && !is_allowed(report, rule)).collect();
        if !rules.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(rules.into_iter().flat_map(|(group, rule, coverage)| of_rule((group, rule, coverage), &report.in_profiles)));
        }
    }
    lines.extend(declaration(report));
    lines.extend(lints(report, is_verbose));
    lines.join("\n")
}

/// The metrics that would make more rules able to fire, to be pasted.
fn declaration(report: &Report<'_>) -> Vec<String> {
    let Some(declaration) = &report.declaration else { return Vec::new() };
    let profiles: Vec<&str> = declaration.profiles.iter().map(|profile| profile.word()).collect();
    let (profiles, has_entries) = (profiles.join(", "), !declaration.entries.is_empty());
    let metrics = match (profiles.is_empty(), has_entries) {
        (true, _) => counted(declaration.entries.len() as u64, "metric"),
        (false, false) => format!("`metrics: [{profiles}]`"),
        (false, true) => format!("`metrics: [{profiles}]` and {} of your own", counted(declaration.entries.len() as u64, "metric")),
    };
    let rules = counted(declaration.more as u64, "rule");
    let below = if declaration.has_metrics { "below `metrics:` of" } else { "below" };
    let place = format!("{below} the service `{}` of the scenario {}", declaration.service, declaration.scenario);
    let left = match declaration.left {
        0 => String::new(),
        left => format!("; {} would need more than that", counted(left as u64, "rule")),
    };
    let listed = format!("say `metrics: [{profiles}]` beside `services:` of the scenario {}, with what stands there", declaration.scenario);
    let to_do = match (profiles.is_empty(), has_entries) {
        (true, _) => format!("paste {place}, and put right what is guessed:"),
        (false, false) => return vec![String::new(), format!("{metrics} would make {rules} more able to fire{left}; {listed}")],
        (false, true) => format!("{listed}, and paste {place}, and put right what is guessed:"),
    };
    let told = format!("{metrics} would make {rules} more able to fire{left}; {to_do}");
    vec![String::new(), told, String::new(), declaration.yaml().trim_end().to_owned()]
}

/// How many lints there are besides what is told above.
fn lints(report: &Report<'_>, is_verbose: bool) -> Vec<String> {
    let count =
        |severity| report.lints.iter().filter(|problem| problem.severity == severity && !linting::is_of_coverage(problem)).count() as u64;
    let (errors, warnings, hints) = (count(Severity::Error), count(Severity::Warning), count(Severity::Info));
    if errors + warnings + hints == 0 {
        return Vec::new();
    }
    let told = [(errors, "error"), (warnings, "warning"), (hints, "hint")];
    let told: Vec<String> = told.into_iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(count, noun)).collect();
    let more = if hints > 0 && !is_verbose { " (`--verbose` shows hints)" } else { "" };
    vec![String::new(), format!("lints: {}{more}", told.join(", "))]
}

/// Whether a comment allows what the rule's coverage says; then nobody needs to be told.
fn is_allowed(report: &Report<'_>, rule: &Rule) -> bool {
    let whole = rule.places.whole.range();
    let is_told = |problem: &&Problem| {
        let place = problem.place.as_ref();
        linting::is_of_coverage(problem)
            && place.is_some_and(|place| place.file().path == rule.place.file().path && whole.contains(&place.range().start))
    };
    report.is_linted && !report.lints.iter().any(|problem| is_told(&problem))
}

/// A rule with its place, and what there is to say of it.
fn of_rule((group, rule, coverage): (&Group, &Rule, &Coverage), in_profiles: &BTreeMap<String, Profile>) -> Vec<String> {
    let reasons = coverage.reasons();
    let place = rule.place_of(reasons.first().and_then(|reason| reason.word.as_deref()));
    let kind = if rule.is_alerting() { "alert" } else { "record" };
    let mut lines = vec![format!("  {}:{}:{} {kind} {} (group {})", group.file, place.line(), place.column(), rule.name, group.name)];
    if let Coverage::Unsupported(why) = coverage {
        lines.push(format!("    {why}"));
    }
    for Reason { what, remedy, word, .. } in reasons {
        lines.push(format!("    {what}"));
        match word.as_ref().and_then(|word| in_profiles.get(word)) {
            Some(profile) => {
                let profile = profile.word();
                lines.push(format!("    help: the profile {profile} has it; say `metrics: [{profile}]` beside `services:` of a scenario"));
            }
            None => lines.push(format!("    help: {remedy}")),
        }
    }
    lines
}

/// The report for programs.
pub(super) fn json(report: &Report<'_>) -> String {
    let found = report.found;
    let document = json!({
        "schema": SCHEMA,
        "policies": found.policies.len(),
        "scenarios": found.scenarios.len(),
        "incidents": found.recordings.len(),
        "projects": found.projects,
        "mappings": found.mappings,
        "passed_over": found.passed_over,
        "rules": report.rules.iter().map(|(group, rule, coverage)| rule_json(group, rule, coverage)).collect::<Vec<_>>(),
        "declaration": report.declaration.as_ref().map(declaration_json),
        "problems": found.problems.iter().map(problem_json).collect::<Vec<_>>(),
        "lints": report.lints.iter().map(problem_json).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).expect("results are plain data")
}

fn declaration_json(declaration: &Declaration) -> Value {
    let metrics: Vec<&str> = declaration.entries.iter().map(|entry| entry.metric.name.as_str()).collect();
    json!({
        "scenario": declaration.scenario, "service": declaration.service, "profiles": declaration.profiles.iter().map(|profile| profile.word()).collect::<Vec<_>>(), "metrics": metrics, "yaml": declaration.yaml(),
        "more_rules": declaration.more, "rules_left": declaration.left,
    })
}

fn rule_json(group: &Group, rule: &Rule, coverage: &Coverage) -> Value {
    let verdict = match coverage {
        Coverage::Able(reasons) if reasons.is_empty() => "can_fire",
        Coverage::Able(_) => "may_fire",
        Coverage::Always(_) => "always_fires",
        Coverage::Never(_) => "cannot_fire",
        Coverage::Unsupported(_) => "unsupported",
    };
    let mut why: Vec<&str> = coverage.reasons().iter().map(|reason| reason.what.as_str()).collect();
    if let Coverage::Unsupported(reason) = coverage {
        why.push(reason);
    }
    let remedies: Vec<&str> = coverage.reasons().iter().map(|reason| reason.remedy.as_str()).collect();
    let place = rule.place_of(coverage.reasons().first().and_then(|reason| reason.word.as_deref()));
    json!({
        "file": group.file, "line": place.line(), "column": place.column(), "group": group.name, "rule": rule.name,
        "alerting": rule.is_alerting(), "verdict": verdict, "why": why, "remedy": remedies,
    })
}

fn problem_json(problem: &Problem) -> Value {
    let place = problem.place.as_ref();
    json!({
        "code": problem.code, "severity": problem.severity, "path": problem.path, "line": place.map(|place| place.line()),
        "column": place.map(|place| place.column()), "message": problem.message, "remedy": problem.remedy,
    })
}
