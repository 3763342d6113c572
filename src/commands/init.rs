//! `firedrill init`: a working project, so that the first gate passes before anything is edited.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::schema;
use crate::cli::{Format, InitArgs};
use crate::command_line::CommandLine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load;
use crate::output::{Output, write_files};
use crate::revision;

/// The version of the JSON.
const SCHEMA: &str = "firedrill.init/1";

/// A file of a new project.
struct File {
    path: &'static str,
    text: &'static str,
    /// The schema that describes it.
    schema: Option<&'static str>,
}

/// The project. Whoever has one of these has a project already.
const FILES: [File; 5] = [
    File { path: "firedrill.yaml", text: include_str!("../init/firedrill.yaml"), schema: Some("project") },
    File { path: "rules/checkout.yaml", text: include_str!("../init/rules.yaml"), schema: None },
    File { path: "policies/rollback-on-regression.yaml", text: include_str!("../init/policy.yaml"), schema: Some("policy") },
    File { path: "scenarios/bad-deploy.yaml", text: include_str!("../init/scenario.yaml"), schema: Some("scenario") },
    File { path: "scenarios/calm-deploy.yaml", text: include_str!("../init/calm.yaml"), schema: Some("scenario") },
];

/// The workflow, where GitHub reads it: at the top of a repository, and nowhere else.
const WORKFLOW: File = File { path: ".github/workflows/firedrill.yml", text: include_str!("../init/workflow.yml"), schema: None };

/// What most folders have already, and then it is left as it is.
const BESIDE: [File; 2] = [
    File { path: "README.md", text: include_str!("../init/readme.md"), schema: None },
    File { path: ".gitignore", text: include_str!("../init/gitignore"), schema: None },
];

/// Where schemas are written for editors.
const SCHEMAS: &str = ".firedrill/schema";

/// Writes a project; refuses to touch a file that exists.
pub fn execute(arguments: &InitArgs, output: Output) -> Result<Exit, Failure> {
    let folder: &Path = &arguments.folder;
    let mut files: Vec<(String, String)> = FILES.iter().map(|file| (file.path.to_owned(), file.shown(arguments.editor))).collect();
    let (top, inner) = repository_of(folder).unzip();
    let workflow = workflow(inner.as_deref());
    // That of a repository is not this folder's to replace.
    let has_workflow = top.as_ref().is_some_and(|top| top.join(WORKFLOW.path).exists());
    files.extend((!has_workflow).then(|| workflow.clone()));
    if arguments.editor {
        files.extend(schema::files().into_iter().map(|(name, text)| (format!("{SCHEMAS}/{name}"), text)));
    }
    let is_file = |path: &str| {
        Path::new(path).ancestors().skip(1).find(|above| folder.join(above).is_file()).map(|above| above.display().to_string())
    };
    let mut taken: Vec<String> = files.iter().filter(|(path, _)| folder.join(path).exists()).map(|(path, _)| path.clone()).collect();
    // A file where a folder of the project would be.
    taken.extend(files.iter().filter_map(|(path, _)| is_file(path)));
    // The folder need not be there yet, and then nothing is found above it.
    taken.extend(
        top.iter()
            .flat_map(|top| Path::new(WORKFLOW.path).ancestors().skip(1).map(|above| top.join(above)))
            .filter(|above| above.is_file())
            .map(|above| above.display().to_string()),
    );
    taken.dedup();
    if !taken.is_empty() {
        let message = format!("{} exists already: {}", folder.display(), taken.join(", "));
        return Err(Failure::argument(message, "name an empty folder, or move these away; nothing was written"));
    }
    let (kept, written): (Vec<&File>, Vec<&File>) = BESIDE.iter().partition(|file| folder.join(file.path).exists());
    files.extend(written.iter().map(|file| (file.path.to_owned(), file.text.replace(WORKFLOW.path, &workflow.0))));
    let named: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    write_files(folder, &named)?;
    if output.format == Format::Json {
        let written: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        let left: Vec<&str> = kept.iter().map(|file| file.path).chain(has_workflow.then_some(workflow.0.as_str())).collect();
        let document = json!({ "schema": SCHEMA, "folder": folder.display().to_string(), "written": written, "left": left });
        output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        return Ok(Exit::Held);
    }
    let names: Vec<String> = files.iter().map(|(path, _)| format!("  {path}")).collect();
    let told = inner.map_or_else(String::new, |inner| of_workflow(&workflow.0, &inner, has_workflow));
    output.data(&format!("wrote a working project:\n{}\n{}{told}\n{}", names.join("\n"), left(&kept), next(folder)))?;
    Ok(Exit::Held)
}

/// The top of the repository that a folder lies in, and where it lies there, `/` between the parts; `None` if it is the top of one, or in none.
fn repository_of(folder: &Path) -> Option<(PathBuf, String)> {
    let whole = std::path::absolute(folder).ok()?;
    let there = whole.ancestors().find(|above| above.exists())?;
    let rest = whole.strip_prefix(there).ok()?;
    // Where a folder that is not there leads up, nobody knows where that is.
    if rest.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let real: PathBuf = load::real(there).join(rest);
    let top = revision::top_above(&real)?;
    let parts: Vec<String> = real.strip_prefix(&top).ok()?.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    (!parts.is_empty()).then(|| (top, parts.join("/")))
}

/// Path and text of the workflow for a folder of a repository, or for its top. The project is named from the top on, and not by where the command works:
/// whoever works in a folder that a change made a link does not see that.
fn workflow(inner: Option<&str>) -> (String, String) {
    let Some(inner) = inner else { return (WORKFLOW.path.to_owned(), WORKFLOW.text.to_owned()) };
    let path = format!("{}{}", "../".repeat(inner.split('/').count()), WORKFLOW.path);
    let named = WORKFLOW.text.replace("run: firedrill gate ", "run: firedrill gate --project \"$PROJECT\" ");
    let base = "          BASE: ${{ github.base_ref }}\n";
    // JSON is YAML.
    (path, named.replace(base, &format!("{base}          PROJECT: {}\n", json!(inner))))
}

/// What to do now. In its own folder, where what it writes is ignored by git.
fn next(folder: &Path) -> String {
    let is_here = folder.components().all(|part| part == Component::CurDir);
    let named = folder.display().to_string();
    let quoted = shlex::try_quote(&named).map_or_else(|_| named.clone(), Cow::into_owned);
    if is_here { "next: firedrill gate".to_owned() } else { format!("next: cd {quoted} && firedrill gate") }
}

/// What is said of the workflow of a folder that is not the top of its repository.
fn of_workflow(path: &str, inner: &str, is_left: bool) -> String {
    let gate = CommandLine::new("gate").option("--project", inner);
    match is_left {
        true => {
            // With a place of its own, since the other project's reports are where they go without one.
            let (_, own) = workflow(Some(inner));
            let step = own.split_once("      - run: firedrill gate").map_or("", |(_, rest)| rest);
            let step = step.split_once("      - if:").map_or(step, |(step, _)| step);
            let step = step.replacen('\n', " --out \"firedrill-out/$PROJECT\"\n", 1);
            format!("left as it was: {path}; for this project, add a step to it:\n      - run: firedrill gate{step}")
        }
        false => format!("the workflow is at the top of the repository, where GitHub reads it: {gate}\n"),
    }
}

/// What was there already, and what is missing in it.
fn left(kept: &[&File]) -> String {
    let told = |file: &&File| match file.path {
        ".gitignore" => "left as it was: .gitignore; add the line `/firedrill-out/`, which is where reports go\n".to_owned(),
        path => format!("left as it was: {path}\n"),
    };
    kept.iter().map(told).collect()
}

impl File {
    /// Its text; for editors with the line by which they find its schema, relative to the file.
    fn shown(&self, for_editors: bool) -> String {
        match self.schema.filter(|_| for_editors) {
            Some(schema) => {
                let up = "../".repeat(self.path.matches('/').count());
                format!("# yaml-language-server: $schema={up}{SCHEMAS}/{schema}.json\n{}", self.text)
            }
            None => self.text.to_owned(),
        }
    }
}
