//! A judgement as JUnit XML, which every CI system shows as tests: one for each class and threshold, incident, and idle policy.

use firedrill_reports::verdict::{ClassVerdict, CostVerdict, IncidentResult, Judgement, RunName, ThresholdVerdict, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The whole judgement.
///
/// # Panics
/// Never: XML is written into memory.
#[must_use]
pub fn document(judgement: &Judgement) -> String {
    let mut report = Report::new("firedrill gate");
    let suites = [judge(judgement), incidents(judgement), idle(judgement)];
    report.add_test_suites(judgement.classes.iter().map(class));
    report.add_test_suite(together(judgement));
    report.add_test_suites(suites.into_iter().filter(|suite| !suite.test_cases.is_empty()));
    report.to_string().expect("XML is written into memory")
}

/// What broke or could not be told, and what to do to see it.
struct Finding {
    verdict: Verdict,
    reason: String,
    command: Option<String>,
}

impl Finding {
    /// A test that passed, or one that did not with its reason and the command that repeats it.
    fn case(self, suite: &str, name: &str) -> TestCase {
        let status = match self.verdict {
            Verdict::Held => TestCaseStatus::success(),
            verdict => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let repeat = self.command.map_or_else(String::new, |command| format!("\nrepeat: {command}"));
                status.set_type(verdict.word().replace(' ', "_")).set_message(self.reason.clone());
                status.set_description(format!("{verdict}: {}{repeat}", self.reason));
                status
            }
        };
        named(suite, name, status)
    }
}

fn named(suite: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("firedrill.{suite}"));
    case
}

fn class(class: &ClassVerdict) -> TestSuite {
    let name = &*class.class;
    let mut suite = TestSuite::new(name);
    let exercise = Finding {
        verdict: class.exercise.verdict,
        reason: class.exercise.reason.clone().unwrap_or_else(|| "no policy acted".to_owned()),
        command: None,
    };
    suite.add_test_case(exercise.case(name, "is exercised"));
    suite.add_test_cases(class.thresholds.iter().map(|found| threshold(found).case(name, &found.threshold)));
    for scenario in &class.scenarios {
        // A scenario is a test of its own only where it says more than its class.
        let graver = |found: &&ThresholdVerdict| {
            let of_class = class.thresholds.iter().find(|own| own.threshold == found.threshold).map(|own| own.verdict);
            found.verdict > of_class.unwrap_or(Verdict::Held)
        };
        let told = scenario.thresholds.iter().filter(graver);
        suite.add_test_cases(told.map(|found| threshold(found).case(name, &format!("{}: {}", scenario.scenario, found.threshold))));
    }
    suite.add_test_cases(class.costs.iter().map(|found| cost(found).case(name, &format!("{} against the baseline", found.measure))));
    suite.add_test_cases(class.tail.iter().map(|found| {
        let reason = format!("catastrophic in {} of {} runs where the baseline was not", found.result.catastrophes, found.result.pairs);
        let finding = Finding { verdict: found.verdict, reason, command: command(found.worst.as_ref()) };
        finding.case(name, "catastrophes against the baseline")
    }));
    suite
}

/// What is judged of all classes together, and whether enough was played for that.
fn together(judgement: &Judgement) -> TestSuite {
    let name = "all classes";
    let mut suite = TestSuite::new(name);
    suite.add_test_cases(judgement.thresholds.iter().map(|found| threshold(found).case(name, &found.threshold)));
    suite.add_test_cases(judgement.costs.iter().map(|found| cost(found).case(name, &format!("{} against the baseline", found.measure))));
    let short = judgement.shortfalls();
    let verdict = if short.is_empty() { Verdict::Held } else { Verdict::Inconclusive };
    let reason = short.iter().map(|doubt| doubt.what.clone()).collect::<Vec<_>>().join("; ");
    suite.add_test_case(Finding { verdict, reason, command: None }.case(name, "enough was played"));
    suite
}

fn threshold(found: &ThresholdVerdict) -> Finding {
    let doubt = found.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let seen = found.worst.as_ref().map_or_else(String::new, |run| format!(", worst in {}, seed {}", run.scenario, run.seed));
    let reason = format!("{}: found {}{seen}{doubt}", found.threshold, found.figures());
    Finding { verdict: found.verdict, reason, command: command(found.worst.as_ref()) }
}

fn cost(found: &CostVerdict) -> Finding {
    let [mean, allowed] = found.means();
    let reason = format!("{}: mean {mean} where {allowed} is allowed, {} pairs", found.measure, found.comparison.n);
    Finding { verdict: found.verdict, reason, command: command(found.worst.as_ref()) }
}

fn command(run: Option<&RunName>) -> Option<String> {
    run.map(|run| run.command.clone())
}

/// Whether the change leaves what judges it as it is: a test only where it does not.
fn judge(judgement: &Judgement) -> TestSuite {
    let mut suite = TestSuite::new("the judge");
    let verdict = if judgement.is_judge_changed() { Verdict::Broken } else { Verdict::Held };
    suite.add_test_cases(judgement.judge_changes.iter().map(|change| {
        let finding = Finding { verdict, reason: change.what.clone(), command: None };
        let mut case = finding.case("the judge", &change.what);
        if let Some(name) = &judgement.approval {
            case.set_system_out(format!("approved by {name}"));
        }
        case
    }));
    suite
}

fn incidents(judgement: &Judgement) -> TestSuite {
    let mut suite = TestSuite::new("recorded incidents");
    suite.add_test_cases(judgement.incidents.iter().map(incident));
    suite
}

fn incident(incident: &IncidentResult) -> TestCase {
    let (suite, reason) = ("recorded incidents", incident.findings.join("; "));
    match incident.verdict() {
        Some(verdict) => {
            let finding = Finding { verdict, reason, command: Some(incident.command.clone()) };
            finding.case(suite, &incident.incident)
        }
        None => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("it has no `expect`, so there is no right and wrong");
            named(suite, &incident.incident, status)
        }
    }
}

fn idle(judgement: &Judgement) -> TestSuite {
    let mut suite = TestSuite::new("policies");
    suite.add_test_cases(judgement.idle.iter().map(|idle| {
        let finding = Finding { verdict: Verdict::NotExercised, reason: idle.words(), command: None };
        finding.case("policies", &format!("{} acts", idle.policy))
    }));
    suite
}
