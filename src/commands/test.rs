//! `firedrill test`: rule tests in promtool's format, PromQL scripts, and alerts to be routed.

mod routing;
mod scripts;
mod told;

use std::path::Path;

use firedrill_core::problem::near_miss;
use regex::Regex;
use serde_json::json;

use crate::cli::{Format, TestArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::rule_tests::{Ran, Suite};

/// The version of the JSON.
const SCHEMA: &str = "firedrill.test/1";

/// Runs the tests of all files.
pub fn execute(arguments: &TestArgs, output: Output) -> Result<Exit, Failure> {
    match &arguments.alertmanager {
        Some(alertmanager) => routing::execute(alertmanager, &arguments.files, output),
        None if arguments.promql => scripts::execute(arguments, output),
        None => rule_tests(arguments, output),
    }
}

fn rule_tests(arguments: &TestArgs, output: Output) -> Result<Exit, Failure> {
    let wanted = wanted(&arguments.run)?;
    let suites = read(&arguments.files)?;
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.is_match(name));
    let ran: Vec<(&Suite, Vec<Ran<'_>>)> = suites.iter().map(|suite| (suite, suite.run(is_wanted))).collect();
    if ran.iter().all(|(_, ran)| ran.is_empty()) {
        return Err(nothing_to_run(&suites, &arguments.run));
    }
    for suite in &suites {
        output.problems(&suite.warnings);
    }
    let failed = ran.iter().flat_map(|(_, ran)| ran).filter(|ran| !ran.passed()).count();
    let passed = ran.iter().map(|(_, ran)| ran.len()).sum::<usize>() - failed;
    match output.format {
        Format::Json => {
            let files: Vec<_> = ran.iter().map(|(suite, ran)| told::file_as_json(suite, ran)).collect();
            let document = json!({ "schema": SCHEMA, "passed": passed, "failed": failed, "files": files });
            output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        }
        Format::Text => {
            let files: String = ran.iter().map(|(suite, ran)| told::file(suite, ran, output)).collect();
            output.data(&format!("{files}{passed} passed, {failed} failed\n"))?;
        }
    }
    Ok(if failed == 0 { Exit::Held } else { Exit::Broken })
}

/// All files, or the problems of all of them.
fn read(paths: &[String]) -> Result<Vec<Suite>, Failure> {
    let (mut suites, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match Suite::read(Path::new(path)) {
            Ok(suite) => suites.push(suite),
            Err(Failure::Input(found)) => problems.extend(found),
            Err(machine @ Failure::Machine(_)) => return Err(machine),
        }
    }
    // A rule file that several files name is told of once.
    let mut told = Vec::new();
    problems.retain(|problem| {
        let is_new = !told.contains(problem);
        told.push(problem.clone());
        is_new
    });
    if problems.is_empty() { Ok(suites) } else { Err(Failure::Input(problems)) }
}

/// One expression that matches what any of the given ones does; not anchored, as promtool's.
fn wanted(given: &[String]) -> Result<Option<Regex>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let whole = given.iter().map(|one| format!("(?:{one})")).collect::<Vec<_>>().join("|");
    let wrong = |_| Failure::argument(format!("`--run {}` is no regular expression", given.join(" ")), "write a part of the test's name");
    Regex::new(&whole).map(Some).map_err(wrong)
}

fn nothing_to_run(suites: &[Suite], given: &[String]) -> Failure {
    let names: Vec<&str> = suites.iter().flat_map(|suite| &suite.file.tests).map(|test| test.name.as_str()).collect();
    if names.is_empty() {
        return Failure::argument("the files hold no test", "add one under `tests:`; a run of nothing proves nothing");
    }
    let near = given.iter().find_map(|given| near_miss(given, &names));
    let remedy = near.map_or_else(|| format!("the first is called `{}`", names[0]), |near| format!("did you mean `{near}`?"));
    Failure::argument(format!("no test's name matches `--run {}`", given.join(" ")), remedy)
}
