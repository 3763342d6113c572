//! `firedrill import remediation`: policies drafted from remediations that people run elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use firedrill_core::problem::Problem;
use firedrill_policies::remediation::{self, Draft, Import, Kind, Refusal, RemediationFile, Wanted};
use firedrill_reports::words::counted;
use serde_json::json;

use super::kubernetes::{files, is_of_names};
use super::{SCHEMA, taken, write_new};
use crate::cli::{Format, ImportRemediationArgs, RemediationKind};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Drafts policies.
pub fn execute(arguments: &ImportRemediationArgs, output: Output) -> Result<Exit, Failure> {
    if let Some(owner) = arguments.owner.as_deref().filter(|owner| owner.is_empty() || !owner.chars().all(is_of_names)) {
        return Err(Failure::argument(format!("`{owner}` cannot be an owner"), "use letters, digits and _ . : / -"));
    }
    let wanted = Wanted { kind: arguments.kind.map(RemediationKind::kind), owner: arguments.owner.clone() };
    let files: Vec<RemediationFile> =
        files(&arguments.files)?.into_iter().map(|file| RemediationFile { path: file.path, text: file.text, named: file.named }).collect();
    let import = remediation::import(&files, &wanted)?;
    if import.drafts.is_empty() {
        return Err(nothing(&import, &arguments.files));
    }
    match &arguments.out {
        Some(folder) => {
            let written = write_all(folder, &import.drafts)?;
            output.talk(&format!("wrote {} to {}", counted(written, "file"), folder.display()));
        }
        None => match output.format {
            Format::Text => output.data(&page(&import.drafts))?,
            Format::Json => output.data(&json(&import))?,
        },
    }
    report(&import, output);
    Ok(Exit::Held)
}

/// Why there is not one policy.
fn nothing(import: &Import, named: &[String]) -> Failure {
    if import.refused.is_empty() {
        return Failure::argument(
            format!("{} holds no remediation that is known here", named.join(", ")),
            "`firedrill import remediation --help` lists the kinds",
        );
    }
    let problem = |refusal: &Refusal| {
        Problem::in_file("FD0940", &refusal.place.0, refused(refusal))
            .remedy("write a policy by hand: `firedrill explain policies` shows how")
    };
    Failure::Input(import.refused.iter().map(problem).collect())
}

fn refused(Refusal { kind, name, place, why }: &Refusal) -> String {
    let what = kind.map_or("", Kind::noun);
    let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
    format!("{}:{}: {} cannot be a policy: {why}", place.0, place.1, format!("{what}{name}").trim())
}

/// The files of a draft: their names and texts.
fn files_of(draft: &Draft) -> Vec<(String, &str)> {
    let policy = (format!("{}.yaml", draft.name), &*draft.policy);
    let rules = draft.rules.as_deref().map(|rules| (format!("{}.rules.yaml", draft.name), rules));
    [policy].into_iter().chain(rules).collect()
}

/// All files for the terminal; one alone is a file as it stands.
fn page(drafts: &[Draft]) -> String {
    let files: Vec<(String, &str)> = drafts.iter().flat_map(files_of).collect();
    match &files[..] {
        [(_, text)] => (*text).to_owned(),
        several => several.iter().map(|(name, text)| format!("--- # {name}\n{text}")).collect(),
    }
}

/// Writes every file, or none if one of them is there already.
fn write_all(folder: &Path, drafts: &[Draft]) -> Result<u64, Failure> {
    let files: Vec<(PathBuf, &str)> = drafts.iter().flat_map(files_of).map(|(name, text)| (folder.join(name), text)).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(taken(path));
    }
    if let Some(file) = folder.ancestors().find(|part| part.is_file()) {
        let problem = Problem::in_file(
            "FD0940",
            &file.display().to_string(),
            format!("{} is a file, and drafts are written into a folder", file.display()),
        );
        return Err(Failure::Input(vec![problem.remedy("name a folder, which need not be there yet: `--out policies/drafted`")]));
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    files.iter().try_for_each(|(path, text)| write_new(path, text))?;
    Ok(files.len() as u64)
}

/// What was lost, refused and passed over, on stderr.
fn report(import: &Import, output: Output) {
    for draft in &import.drafts {
        let place = format!("{}:{}", draft.place.file().path, draft.place.line());
        let how = match (draft.lost.len() as u64, draft.acts) {
            (0, _) => "nothing lost".to_owned(),
            (lost, true) => format!("{lost} lost"),
            (lost, false) => format!("{lost} lost, and all that is left is to call people"),
        };
        let assumed = counted(draft.assumed.len() as u64, "assumption");
        output.talk(&format!("{}: from the {} at {place}: {how}, {assumed}", draft.name, draft.kind.noun()));
        draft.lost.iter().for_each(|what| output.talk(&format!("  lost: {what}")));
    }
    import.refused.iter().for_each(|refusal| output.talk(&format!("refused: {}", refused(refusal))));
    if !import.passed_over.is_empty() {
        let count = counted(import.passed_over.len() as u64, "file");
        output.talk(&format!("left out: {count} without a remediation that is known here"));
    }
}

fn json(import: &Import) -> String {
    let draft = |draft: &Draft| {
        json!({
            "name": draft.name, "kind": draft.kind.word(), "path": draft.place.file().path, "line": draft.place.line(),
            "policy": draft.policy, "rules": draft.rules, "lost": draft.lost, "assumed": draft.assumed, "acts": draft.acts,
        })
    };
    let refused = |refusal: &Refusal| json!({ "name": refusal.name, "kind": refusal.kind.map(Kind::word), "path": refusal.place.0, "line": refusal.place.1, "why": refusal.why });
    let document = json!({
        "schema": SCHEMA,
        "policies": import.drafts.iter().map(draft).collect::<Vec<_>>(),
        "refused": import.refused.iter().map(refused).collect::<Vec<_>>(),
        "passed_over": import.passed_over,
    });
    format!("{document:#}\n")
}
