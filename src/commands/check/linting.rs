//! The lints of rules, put together from what is read, what can be, and what runs show.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::problem::{Problem, Severity};
use firedrill_core::time::Span;
use firedrill_policies::rules::lint::{self, Allowances, Bench, Conventions, Finding};
use firedrill_policies::rules::{Coverage, Group, Outlook, Rule, RuleSet, RulerSettings};
use firedrill_scenarios::Scenario;
use firedrill_telemetry::recording::Recording;

use super::fire;
use crate::cli::{CheckArgs, LintLevel};
use crate::load::Source;

/// Codes of what a rule's coverage says, which the report tells at length.
const OF_COVERAGE: [&str; 3] = ["FD0460", "FD0461", "FD0462"];

/// Codes of what only runs show.
const OF_RUNS: [&str; 3] = ["FD0463", "FD0464", "FD0487"];

/// What rules are held against.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The rules' files.
    pub files: &'a [Source],
    /// The rules.
    pub rules: &'a Arc<RuleSet>,
    /// What they can say, scenario by scenario, recordings after.
    pub outlooks: &'a [Outlook<'a>],
    /// Every rule with whether it can say anything.
    pub coverage: &'a [(&'a Group, &'a Rule, Coverage)],
    /// The metrics that scrapes of what is rehearsed bring; recordings hold recorded ones too, and say nothing here.
    pub scraped: &'a BTreeSet<String>,
    /// What is rehearsed.
    pub scenarios: &'a [Arc<Scenario>],
    /// What was recorded.
    pub recordings: &'a [Arc<Recording>],
    /// The labels that alerts should have.
    pub conventions: &'a Conventions,
}

/// All lints of the rules, less those that comments allow. Nothing if they are switched off.
pub(super) fn lint(ground: Ground<'_>, arguments: &CheckArgs) -> Vec<Problem> {
    if arguments.lint == LintLevel::Off {
        return Vec::new();
    }
    let mut findings = lint::lint(ground.rules, &bench(&ground));
    findings.extend(ground.coverage.iter().flat_map(|(_, rule, coverage)| lint::of_coverage(rule, coverage)));
    let unlooked: &[&str] = if arguments.fire {
        findings.extend(of_runs(&ground));
        &[]
    } else {
        &OF_RUNS
    };
    let mut allowances = Allowances::read(ground.files.iter().map(|source| (source.path.as_str(), source.text.as_str())));
    let mut problems = lint::allow(findings, &mut allowances, unlooked);
    if arguments.lint == LintLevel::Error {
        problems.iter_mut().filter(|problem| problem.severity == Severity::Warning).for_each(|problem| problem.severity = Severity::Error);
    }
    problems
}

/// Whether the report tells of it in its own part, so that it need not be told twice.
pub(super) fn is_of_coverage(problem: &Problem) -> bool {
    OF_COVERAGE.contains(&problem.code)
}

fn bench<'a>(ground: &Ground<'a>) -> Bench<'a> {
    Bench {
        outlooks: ground.outlooks,
        scraped: ground.scraped,
        scrape_interval: ground.scenarios.iter().map(|scenario| scenario.spec.scrape.interval).max(),
        evaluation_interval: RulerSettings::default().evaluation_interval,
        longest: longest(ground),
        conventions: ground.conventions,
    }
}

/// How long the longest run or recording lasts.
fn longest(ground: &Ground<'_>) -> Option<Span> {
    let recorded = |recording: &Arc<Recording>| {
        Span::from_millis(u64::try_from(recording.end_ms.saturating_sub(recording.start.unix_millis())).unwrap_or(0))
    };
    ground.scenarios.iter().map(|scenario| scenario.spec.horizon).chain(ground.recordings.iter().map(recorded)).max()
}

fn of_runs(ground: &Ground<'_>) -> Vec<Finding> {
    let watched = fire::watch(ground.rules, ground.scenarios, ground.recordings);
    let rules = ground.coverage.iter().zip(&watched.rules);
    let able = rules.filter(|((_, _, coverage), _)| coverage.is_able());
    able.flat_map(|((_, rule, _), seen)| told(rule, seen, ground.outlooks, &watched.looked_at)).collect()
}

/// What is found of one rule that can fire.
fn told(rule: &Rule, seen: &fire::Seen, outlooks: &[Outlook<'_>], looked_at: &str) -> Vec<Finding> {
    let Ok(plan) = &rule.plan else { return Vec::new() };
    let can_be = |index: usize| outlooks.iter().any(|outlook| outlook.universe().find(plan.selectors()[index].matchers(), &[]).is_ok());
    let empty: Vec<usize> = (0..plan.selectors().len()).filter(|index| !seen.selected[*index] && can_be(*index)).collect();
    let written = |index: usize| fire::written(plan.selectors()[index].matchers());
    if let Some(why) = &seen.failed {
        return vec![lint::fails(rule, looked_at, why)];
    }
    if !seen.fired {
        let why = match empty.first() {
            _ if seen.pending => Some("it was pending, and never for the whole of its `for`".to_owned()),
            Some(index) => Some(format!("`{}` selects nothing there", written(*index))),
            None => None,
        };
        return vec![lint::never_fired(rule, looked_at, why.as_deref())];
    }
    let mut found: Vec<Finding> = Vec::new();
    for index in empty {
        let metric = plan.selectors()[index].metric().unwrap_or_default();
        let finding = lint::selects_nothing(rule, &written(index), metric, looked_at);
        if !found.iter().any(|known| known.problem.message == finding.problem.message) {
            found.push(finding);
        }
    }
    found
}
