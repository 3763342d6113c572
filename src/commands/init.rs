//! `firedrill init`: a working project, so that the first gate passes before anything is edited.

use std::path::Path;

use crate::cli::InitArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, write_files};

/// Every file of a new project.
const FILES: [(&str, &str); 6] = [
    ("firedrill.yaml", include_str!("../init/firedrill.yaml")),
    ("rules/checkout.yaml", include_str!("../init/rules.yaml")),
    ("policies/rollback-on-regression.yaml", include_str!("../init/policy.yaml")),
    ("scenarios/bad-deploy.yaml", include_str!("../init/scenario.yaml")),
    ("scenarios/calm-deploy.yaml", include_str!("../init/calm.yaml")),
    (".github/workflows/firedrill.yml", include_str!("../init/workflow.yml")),
];

/// Writes a project; refuses to touch a file that exists.
pub fn execute(arguments: &InitArgs, output: Output) -> Result<Exit, Failure> {
    let folder: &Path = &arguments.folder;
    let taken: Vec<&str> = FILES.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect();
    if !taken.is_empty() {
        let message = format!("{} exists already: {}", folder.display(), taken.join(", "));
        return Err(Failure::argument(message, "name an empty folder, or move these away; nothing was written"));
    }
    let files: Vec<(&str, String)> = FILES.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    write_files(folder, &files)?;
    let names: Vec<String> = FILES.iter().map(|(name, _)| format!("  {name}")).collect();
    output.data(&format!("wrote a working project:\n{}\n\nnext: firedrill gate", names.join("\n")))?;
    Ok(Exit::Held)
}
