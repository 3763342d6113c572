//! Rego, read, compiled and evaluated by regorus, twice.
//!
//! Its virtual machine counts instructions, and takes an error in the body of a rule for a body that does not hold: a `deny` that divides by zero would
//! allow. Its interpreter tells such errors and counts nothing. So the machine goes first and bounds the work, the interpreter follows, and both
//! must say the same. Nothing of an evaluation is left behind for the next but what was said: of a document of which the same is read, the same is said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use firedrill_core::problem::{Place, Problem, SourceFile, near_miss};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::unstable::{Module, Rule, RuleHead};
use regorus::{CompiledPolicy, Value};

use super::input::input;
use super::reads::Reads;
use super::{LONGEST_MESSAGE, MOST_INSTRUCTIONS, MOST_MESSAGES, Offered, PACKAGE, RULES, Said, Text, Verdict};
use crate::problem;

/// Functions that are compiled in and that a bundle may not call: what they give is luck, or one call of them can cost more than any limit of
/// instructions allows.
const FORBIDDEN: [(&str, &str); 4] = [
    ("rand.intn", "what it gives is luck, and the same input must give the same answer"),
    ("numbers.range", "one call of it can cost more than all the instructions that a rule has"),
    ("numbers.range_step", "one call of it can cost more than all the instructions that a rule has"),
    ("bits.lsh", "one call of it can cost more than all the instructions that a rule has"),
];

/// At most so many documents are remembered with what was said of them.
const MOST_REMEMBERED: usize = 4_096;

/// Compiled rules.
#[derive(Clone)]
pub(super) struct Engine {
    program: Arc<Program>,
    /// For the interpreter, a policy for each rule that is asked, in the order of the rules.
    policies: Vec<CompiledPolicy>,
    /// What was said of documents, by what is read of them.
    known: Arc<RwLock<BTreeMap<Value, Verdict>>>,
}

/// Reads and compiles files; gives which of [`RULES`] they have, and what is likely not meant.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn read(place: &Place, texts: &[Text]) -> Result<(Engine, Vec<&'static str>, Vec<Problem>), Vec<Problem>> {
    let mut engine = regorus::Engine::new();
    engine.set_strict_builtin_errors(true);
    let files: Vec<Arc<SourceFile>> = texts.iter().map(source).collect();
    let mut problems = Vec::new();
    for file in &files {
        if let Err(error) = engine.add_policy(file.path.clone(), file.text.clone()) {
            problems.push(misread(&files, file, &format!("{error:#}")));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let heads: Vec<Head> = engine.get_modules().iter().flat_map(|module| heads(module)).collect();
    let has = |rule: &&str| heads.iter().any(|head| head.package == PACKAGE && head.name == **rule);
    let rules: Vec<&'static str> = RULES.into_iter().filter(|rule| has(rule)).collect();
    if rules.is_empty() {
        return Err(vec![nothing_asked(place, &heads, &files)]);
    }
    let findings = findings(&heads, &files);
    let paths: Vec<String> = rules.iter().map(|rule| format!("data.{PACKAGE}.{rule}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let unsound = |error: &str| vec![misread(&files, &files[0], error)];
    let policies = paths.iter().map(|path| engine.compile_with_entrypoint(&(*path).into())).collect::<Result<Vec<_>, _>>();
    let policies = policies.map_err(|error| unsound(&format!("{error:#}")))?;
    let program = Compiler::compile_from_policy(&policies[0], &paths).map_err(|error| unsound(&error.to_string()))?;
    let forbidden = |name: &str| FORBIDDEN.into_iter().find(|(word, _)| *word == name);
    let called = program.builtin_info_table.iter().filter_map(|builtin| forbidden(&builtin.name));
    problems
        .extend(called.map(|(word, why)| problem::code_forbidden(&called_at(&files, word).unwrap_or_else(|| place.clone()), word, why)));
    if problems.is_empty() { Ok((Engine { program, policies, known: Arc::default() }, rules, findings)) } else { Err(problems) }
}

impl Engine {
    /// Asks the rules that there are, unless they were asked before about a document of which they read the same.
    pub(super) fn judge(&self, rules: &[&'static str], reads: &Reads, offered: &Offered) -> Verdict {
        let input = input(offered, reads);
        if let Some(verdict) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&input) {
            return verdict.clone();
        }
        let verdict = self.evaluate(rules, &input);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(input, verdict.clone());
        verdict
    }

    /// What the rules say of a document.
    fn evaluate(&self, rules: &[&'static str], input: &Value) -> Verdict {
        let mut machine = self.machine(input)?;
        let mut said = Said::default();
        for (rule, policy) in rules.iter().zip(&self.policies) {
            let messages = messages(rule, &mut machine, policy, input)?;
            match *rule {
                "deny" => said.deny = messages,
                "require_approval" => said.require_approval = messages,
                _ => said.warn = messages,
            }
        }
        Ok(said)
    }

    /// A machine for the rules about one input. Before each rule it clears whatever it has found out, and counts instructions from zero.
    fn machine(&self, input: &Value) -> Result<RegoVM, String> {
        let mut machine = RegoVM::new();
        machine.set_max_instructions(MOST_INSTRUCTIONS);
        machine.set_strict_builtin_errors(true);
        machine.load_program(Arc::clone(&self.program));
        machine.set_data(Value::new_object()).map_err(|error| one_line(&error.to_string()))?;
        machine.set_input(input.clone());
        Ok(machine)
    }
}

/// The messages of one rule, sorted and bounded.
fn messages(rule: &str, machine: &mut RegoVM, policy: &CompiledPolicy, input: &Value) -> Result<Vec<String>, String> {
    let path = format!("data.{PACKAGE}.{rule}");
    let found = machine.execute_entry_point_by_name(&path).map_err(|error| format!("`{rule}`: {}", one_line(&error.to_string())))?;
    let told = policy.eval_with_input(input.clone()).map_err(|error| format!("`{rule}`: {}", why(&format!("{error:#}"))))?;
    if told != found {
        return Err(format!("`{rule}`: {} and {} by two ways", one_line(&found.to_string()), one_line(&told.to_string())));
    }
    let messages = found.as_set().map_err(|_| format!("`{rule}` is no set of messages but {}", one_line(&found.to_string())))?;
    let text = |message: &Value| match message.as_string() {
        Ok(text) => Ok(one_line(text)),
        Err(_) => Err(format!("`{rule}` holds {}, which is no text", one_line(&message.to_string()))),
    };
    let mut told: Vec<String> = messages.iter().take(MOST_MESSAGES).map(text).collect::<Result<_, _>>()?;
    told.sort();
    if messages.len() > MOST_MESSAGES {
        told.push(format!("and {} more", messages.len() - MOST_MESSAGES));
    }
    Ok(told)
}

/// What is wrong, of a message of regorus': `FILE:LINE:COLUMN: WHAT`.
fn why(told: &str) -> String {
    let what = told.lines().filter_map(|line| line.split_once("error: ")).map(|(_, what)| what.trim()).next_back();
    let at = told.lines().find_map(|line| line.trim().strip_prefix("--> "));
    match (at, what) {
        (Some(at), Some(what)) => one_line(&format!("{at}: {what}")),
        _ => one_line(told),
    }
}

/// A text on one line and not too long.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = (0..=LONGEST_MESSAGE.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    if end < line.len() { format!("{}…", &line[..end]) } else { line }
}

/// The head of a rule.
struct Head {
    package: String,
    name: String,
    path: String,
    line: usize,
    column: usize,
}

/// The heads of all rules of a file.
fn heads(module: &Module) -> Vec<Head> {
    let package = module.package.refr.span().text().to_owned();
    let head = |rule: &Rule| {
        let span = match rule {
            Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }, .. }
            | Rule::Default { refr, .. } => refr.span(),
        };
        let name = span.text().split(['.', '[', ' ']).next().unwrap_or_default().to_owned();
        let (line, column) = (span.line as usize, span.col as usize);
        Head { package: package.clone(), name, path: span.source.get_path().clone(), line, column }
    };
    module.policy.iter().map(|rule| head(rule)).collect()
}

impl Head {
    fn place(&self, files: &[Arc<SourceFile>]) -> Option<Place> {
        let file = files.iter().find(|file| file.path == self.path)?;
        let whole = place_of(file, self.line, self.column);
        Some(whole.until(whole.range().start + self.name.len()))
    }

    /// Whether anything else in the files speaks of it.
    fn is_used(&self, files: &[Arc<SourceFile>]) -> bool {
        let word = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == self.name).count();
        files.iter().map(|file| word(&file.text)).sum::<usize>() > 1
    }
}

/// The rule that may be meant by a name: one that is written nearly so, or begins alike.
fn meant(name: &str) -> Option<&'static str> {
    near_miss(name, &RULES).or_else(|| RULES.into_iter().find(|rule| name.starts_with(&rule[..3])))
}

/// Rules that are never asked: those of another package that nobody imports, and those whose names are near one that is asked.
fn findings(heads: &[Head], files: &[Arc<SourceFile>]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    for head in heads {
        let Some(place) = head.place(files) else { continue };
        if head.package == PACKAGE {
            let near = meant(&head.name).filter(|near| **near != *head.name && !head.is_used(files));
            if let Some(near) = near.filter(|_| told.insert((PACKAGE, &head.name))) {
                found.push(problem::code_near_miss(&place, &head.name, near));
            }
        } else if !is_below(&head.package) && !is_read(&head.package, files) && told.insert((&head.package, "")) {
            found.push(problem::code_elsewhere(&place, &head.package));
        }
    }
    found
}

fn is_below(package: &str) -> bool {
    package.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with('.'))
}

fn is_read(package: &str, files: &[Arc<SourceFile>]) -> bool {
    files.iter().any(|file| file.text.contains(&format!("data.{package}")))
}

/// None of the rules is there that are asked.
fn nothing_asked(place: &Place, heads: &[Head], files: &[Arc<SourceFile>]) -> Problem {
    let near = heads.iter().filter(|head| head.package == PACKAGE).find_map(|head| Some((head, meant(&head.name)?)));
    let near = near.and_then(|(head, near)| Some((head.place(files)?, head.name.as_str(), near)));
    problem::code_without_rules(place, near)
}

/// The place of a line and column, both from 1, of a file; to the end of the line.
fn place_of(file: &Arc<SourceFile>, line: usize, column: usize) -> Place {
    let from: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = file.text[from..].lines().next().unwrap_or_default();
    let begin = rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at);
    Place::new(file, from + begin, from + rest.len())
}

fn source(text: &Text) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: text.path.clone(), text: text.text.clone() })
}

/// Where a function is called first.
fn called_at(files: &[Arc<SourceFile>], word: &str) -> Option<Place> {
    files.iter().find_map(|file| file.text.find(word).map(|at| Place::new(file, at, at + word.len())))
}

/// A problem of regorus' (`--> FILE:LINE:COLUMN`, the line, `error: WHAT`) as ours.
fn misread(files: &[Arc<SourceFile>], file: &Arc<SourceFile>, told: &str) -> Problem {
    let what = told.lines().filter_map(|line| line.split_once("error: ")).map(|(_, what)| what.trim()).next_back();
    let what = what.map_or_else(|| one_line(told), str::to_owned);
    let at = told.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let placed = at.and_then(|at| {
        let (rest, column) = at.rsplit_once(':')?;
        let (path, line) = rest.rsplit_once(':')?;
        let file = files.iter().find(|file| file.path == path)?;
        Some(place_of(file, line.parse().ok()?, column.parse().ok()?))
    });
    problem::code_misread(&placed.unwrap_or_else(|| Place::new(file, 0, 0)), &what)
}

#[cfg(test)]
pub(crate) mod tests;
