//! `firedrill import kubernetes`: a scenario drafted from manifests.

use std::collections::BTreeSet;
use std::path::Path;

use firedrill_reports::words::counted;
use firedrill_scenarios::kubernetes::{self, Draft, ManifestFile};
use serde_json::json;

use super::{SCHEMA, taken, write_new};
use crate::cli::{Format, ImportKubernetesArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::load;
use crate::output::Output;

/// Drafts a scenario.
pub fn execute(arguments: &ImportKubernetesArgs, output: Output) -> Result<Exit, Failure> {
    if let Some(path) = arguments.out.as_deref().filter(|path| path.exists()) {
        return Err(taken(path));
    }
    let name = match &arguments.name {
        Some(name) => sound(name)?,
        None => called(&arguments.files[0]),
    };
    let draft = kubernetes::draft(&name, &files(&arguments.files)?)?;
    if let Some(path) = &arguments.out {
        write_new(path, &draft.yaml)?;
        let guesses = counted(draft.assumed, "assumption");
        output.talk(&format!("wrote {} with {guesses} to {}", counted(draft.services, "service"), path.display()));
    } else {
        match output.format {
            Format::Text => output.data(&draft.yaml)?,
            Format::Json => output.data(&json(&draft))?,
        }
    }
    draft.left_out.iter().for_each(|sentence| output.talk(&format!("left out: {sentence}")));
    Ok(Exit::Held)
}

/// The files behind paths and patterns, each once, in the order in which they were named.
pub(super) fn files(named: &[String]) -> Result<Vec<ManifestFile>, Failure> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for name in named {
        let path = Path::new(name);
        let paths = if path.is_dir() {
            load::yaml_files(path)?.into_iter().map(|path| (path, false)).collect()
        } else if path.exists() || !name.contains(['*', '?', '[']) {
            vec![(path.to_owned(), true)]
        } else {
            matching(name)?
        };
        if paths.is_empty() {
            return Err(Failure::argument(format!("`{name}` holds no *.yaml file"), "name a folder or a pattern that does, or a file"));
        }
        for (path, named) in paths {
            if known.insert(load::real(&path)) {
                let source = load::read_file(&path)?;
                // Of a folder an empty file is a file without a manifest, and no more.
                if named || !source.text.trim().is_empty() {
                    found.push(ManifestFile { path: source.path, text: source.text, named });
                }
            }
        }
    }
    Ok(found)
}

/// What a pattern finds; not each file of it need hold a manifest.
fn matching(pattern: &str) -> Result<Vec<(std::path::PathBuf, bool)>, Failure> {
    let found = glob::glob(pattern).map_err(|error| {
        Failure::argument(
            format!("`{pattern}` is no pattern of files: {}", error.msg),
            "write it as `'deploy/*.yaml'` or `'deploy/**/*.yaml'`",
        )
    })?;
    let mut paths: Vec<_> = found.filter_map(Result::ok).filter(|path| path.is_file()).map(|path| (path, false)).collect();
    paths.sort();
    Ok(paths)
}

/// A scenario's name as given.
fn sound(name: &str) -> Result<String, Failure> {
    if !name.is_empty() && name.chars().all(is_of_names) {
        return Ok(name.to_owned());
    }
    Err(Failure::argument(format!("`{name}` cannot be the name of a scenario"), "use letters, digits and _ . : / -"))
}

/// A scenario's name by a path: that of the file or folder, as far as it can be one.
fn called(path: &str) -> String {
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if is_of_names(c) { c } else { '-' }).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "drafted".to_owned() } else { name.to_owned() }
}

/// Whether a character may stand in a name.
pub(super) fn is_of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:/-".contains(c)
}

fn json(draft: &Draft) -> String {
    let document = json!({
        "schema": SCHEMA, "yaml": draft.yaml, "services": draft.services, "assumed": draft.assumed, "left_out": draft.left_out,
    });
    format!("{document:#}\n")
}
