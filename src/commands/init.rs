//! `firedrill init`: a working project, so that the first gate passes before anything is edited.

use std::path::Path;

use serde_json::json;

use super::schema;
use crate::cli::{Format, InitArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, write_files};

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
const FILES: [File; 6] = [
    File { path: "firedrill.yaml", text: include_str!("../init/firedrill.yaml"), schema: Some("project") },
    File { path: "rules/checkout.yaml", text: include_str!("../init/rules.yaml"), schema: None },
    File { path: "policies/rollback-on-regression.yaml", text: include_str!("../init/policy.yaml"), schema: Some("policy") },
    File { path: "scenarios/bad-deploy.yaml", text: include_str!("../init/scenario.yaml"), schema: Some("scenario") },
    File { path: "scenarios/calm-deploy.yaml", text: include_str!("../init/calm.yaml"), schema: Some("scenario") },
    File { path: ".github/workflows/firedrill.yml", text: include_str!("../init/workflow.yml"), schema: None },
];

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
    if arguments.editor {
        files.extend(schema::files().into_iter().map(|(name, text)| (format!("{SCHEMAS}/{name}"), text)));
    }
    let is_file = |path: &str| {
        Path::new(path).ancestors().skip(1).find(|above| folder.join(above).is_file()).map(|above| above.display().to_string())
    };
    let mut taken: Vec<String> = files.iter().filter(|(path, _)| folder.join(path).exists()).map(|(path, _)| path.clone()).collect();
    // A file where a folder of the project would be.
    taken.extend(files.iter().filter_map(|(path, _)| is_file(path)));
    taken.dedup();
    if !taken.is_empty() {
        let message = format!("{} exists already: {}", folder.display(), taken.join(", "));
        return Err(Failure::argument(message, "name an empty folder, or move these away; nothing was written"));
    }
    let (kept, written): (Vec<&File>, Vec<&File>) = BESIDE.iter().partition(|file| folder.join(file.path).exists());
    files.extend(written.iter().map(|file| (file.path.to_owned(), file.text.to_owned())));
    let named: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    write_files(folder, &named)?;
    if output.format == Format::Json {
        let written: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        let left: Vec<&str> = kept.iter().map(|file| file.path).collect();
        let document = json!({ "schema": SCHEMA, "folder": folder.display().to_string(), "written": written, "left": left });
        output.data(&serde_json::to_string_pretty(&document).expect("results are plain data"))?;
        return Ok(Exit::Held);
    }
    let names: Vec<String> = files.iter().map(|(path, _)| format!("  {path}")).collect();
    output.data(&format!("wrote a working project:\n{}\n{}\nnext: firedrill gate", names.join("\n"), left(&kept)))?;
    Ok(Exit::Held)
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
