//! Rule tests from files: the tests, the rules that they name, and what becomes of each test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::problem::{Place, Problem};
use firedrill_policies::rules::RuleSet;
use firedrill_policies::rules::unit_test::{Outcome, Test, TestFile, read_test_file, run_test};
use rayon::prelude::*;

use crate::failure::Failure;
use crate::load::{self, Source};

/// A file of rule tests with the rules that it names.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The tests.
    pub file: TestFile,
    /// The rules of all files that it names.
    pub rules: Arc<RuleSet>,
    /// What is likely not meant, such as a pattern that no file matches.
    pub warnings: Vec<Problem>,
}

/// What became of one test.
#[derive(Clone, Debug)]
pub struct Ran<'a> {
    /// The test.
    pub test: &'a Test,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Suite {
    /// Reads a file of rule tests and the rules that it names.
    ///
    /// # Errors
    /// A file cannot be read, or is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let source = load::read_file(path)?;
        let file = read_test_file(&source.path, &source.text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut sources, mut problems, mut warnings): (Vec<Source>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, place) in &file.rule_files {
            let paths = match matching(folder, pattern, place) {
                Ok(paths) => paths,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            if paths.is_empty() {
                warnings.push(no_match(place, pattern).as_warning());
            }
            for path in paths {
                let source = load::read_file(&path)?;
                // A file that two patterns name is read once, as promtool does.
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        }
        let rules = match RuleSet::read(sources.iter().map(|source| (source.path.as_str(), source.text.as_str()))) {
            Ok(rules) => rules.with_subquery_step(file.evaluation_interval),
            Err(found) => {
                problems.extend(found);
                RuleSet::default()
            }
        };
        if problems.is_empty() { Ok(Self { file, rules: Arc::new(rules), warnings }) } else { Err(Failure::Input(problems)) }
    }

    /// Runs the tests whose names are wanted, several at a time; the results stand in the order of the file.
    #[must_use]
    pub fn run(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Ran<'_>> {
        let wanted: Vec<&Test> = self.file.tests.iter().filter(|test| is_wanted(&test.name)).collect();
        wanted.into_par_iter().map(|test| Ran { test, outcome: run_test(&self.file, test, &self.rules) }).collect()
    }
}

/// The files that a pattern names, sorted; a plain path must be there.
#[expect(clippy::result_large_err, reason = "a problem is made once and then told")]
fn matching(folder: &Path, pattern: &str, place: &Place) -> Result<Vec<PathBuf>, Problem> {
    let path = folder.join(pattern);
    if path.is_file() {
        return Ok(vec![path]);
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(no_match(place, pattern));
    }
    // Of the folder's own name nothing is a pattern.
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        Path::new(&glob::Pattern::escape(&folder.display().to_string())).join(pattern).display().to_string()
    };
    let found = glob::glob(&whole).map_err(|error| {
        Problem::at("FD0910", place, format!("`{pattern}` is no pattern: {}", error.msg)).remedy("write `rules/*.yaml`")
    })?;
    Ok(found.filter_map(Result::ok).filter(|path| path.is_file()).collect())
}

fn no_match(place: &Place, pattern: &str) -> Problem {
    Problem::at("FD0911", place, format!("no file is at `{pattern}`"))
        .remedy("paths and patterns are relative to the folder of the test file")
}
