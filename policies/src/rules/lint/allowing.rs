//! Findings that are allowed where they stand: `# firedrill: allow FD0469 the router adds it`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use firedrill_core::problem::{Place, Problem, SourceFile, near_miss};
use regex::Regex;

use super::Finding;
use super::catalogue::{ALLOWS_NOTHING, LINTS};

/// Codes and a reason; more than one code may stand before the reason.
static COMMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"#\s*firedrill:\s*allow\b[ \t]*((?:FD\w*[ \t,]*)*)([^\n]*)").expect("a pattern of ours"));

/// One comment that allows one code.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// The code; empty if the comment names none.
    pub code: String,
    /// Where the code stands.
    pub place: Place,
    /// Whether it says why; without a reason it is not followed.
    pub has_reason: bool,
    /// Whether it has allowed something.
    pub is_used: bool,
}

impl Allowance {
    /// What is wrong with the comment, `None` if nothing is. `codes` are those that it can allow, `kind` what they are lints of; an unused one
    /// may wait for something that was not looked for.
    #[must_use]
    pub fn problem(&self, codes: &[&str], kind: &str, may_wait: bool) -> Option<Problem> {
        let code = &self.code;
        let (message, remedy) = if !codes.contains(&code.as_str()) {
            let near = near_miss(code, codes);
            let remedy = near.map_or_else(|| "docs/check.md lists them".to_owned(), |near| format!("did you mean `{near}`?"));
            (format!("`{code}` is the code of no lint of {kind}"), remedy)
        } else if !self.has_reason {
            let remedy = format!("write why, as in `# firedrill: allow {code} the router adds it`");
            ("this allows a finding and does not say why, so it is not followed".to_owned(), remedy)
        } else if !self.is_used && !may_wait {
            (format!("this allows {code}, and there is none to allow"), "remove the comment".to_owned())
        } else {
            return None;
        };
        Some(ALLOWS_NOTHING.problem(&self.place, message).remedy(remedy))
    }
}

/// The comments of a file that allow findings.
#[must_use]
pub fn comments(path: &str, text: &str) -> Vec<Allowance> {
    let file = Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() });
    COMMENT.captures_iter(text).flat_map(|comment| read(&file, &comment)).collect()
}

/// The comments of files of rules that allow findings.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    by_file: BTreeMap<String, Vec<Allowance>>,
}

impl Allowances {
    /// Those of files, given as path and text.
    #[must_use]
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut by_file = BTreeMap::new();
        for (path, text) in files {
            by_file.insert(path.to_owned(), comments(path, text));
        }
        Self { by_file }
    }

    /// Whether a finding is allowed, by a comment on one of its rule's lines or in the comment lines right above it.
    fn allows(&mut self, finding: &Finding) -> bool {
        let (first, last) = lines(&finding.whole);
        let all = self.by_file.get_mut(&finding.problem.path);
        let mut allows = false;
        for allowance in all.into_iter().flatten().filter(|allowance| allowance.code == finding.problem.code && allowance.has_reason) {
            if (first..=last).contains(&allowance.place.line()) {
                allowance.is_used = true;
                allows = true;
            }
        }
        allows
    }

    /// What is wrong with the comments themselves. `unlooked` are codes that were not looked for, so that a comment may well wait for them.
    fn problems(&self, unlooked: &[&str]) -> Vec<Problem> {
        let codes: Vec<&str> = LINTS.iter().map(|lint| lint.code).collect();
        let told = |allowance: &Allowance| allowance.problem(&codes, "rules", unlooked.contains(&allowance.code.as_str()));
        self.by_file.values().flatten().filter_map(told).collect()
    }
}

/// The findings that nobody has allowed, and what is wrong with the comments that allow some. `unlooked` are codes that were not looked for.
#[must_use]
pub fn allow(findings: Vec<Finding>, allowances: &mut Allowances, unlooked: &[&str]) -> Vec<Problem> {
    let left = findings.into_iter().filter(|finding| !allowances.allows(finding)).map(|finding| finding.problem);
    let mut all: Vec<Problem> = left.collect();
    all.extend(allowances.problems(unlooked));
    all
}

fn read(file: &Arc<SourceFile>, comment: &regex::Captures<'_>) -> Vec<Allowance> {
    let (Some(codes), Some(reason)) = (comment.get(1), comment.get(2)) else { return Vec::new() };
    let has_reason = !reason.as_str().trim().is_empty();
    let whole = comment.get(0).map(|whole| whole.range()).unwrap_or_default();
    let words: Vec<&str> = codes.as_str().split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
    let one = |code: &str| {
        let from = codes.as_str().find(code).map_or(whole.start, |at| codes.start() + at);
        Allowance { code: code.to_owned(), place: Place::new(file, from, from + code.len().max(1)), has_reason, is_used: false }
    };
    if words.is_empty() {
        return vec![Allowance { code: String::new(), place: Place::new(file, whole.start, whole.end), has_reason, is_used: false }];
    }
    words.into_iter().map(one).collect()
}

/// The lines of a rule, with the comment lines right above it.
fn lines(whole: &Place) -> (usize, usize) {
    let text = &whole.file().text;
    let range = whole.range();
    let first = whole.line();
    let above = text.lines().take(first - 1).collect::<Vec<_>>();
    let comments = above.iter().rev().take_while(|line| line.trim_start().starts_with('#')).count();
    (first - comments, first + text[range].matches('\n').count())
}
