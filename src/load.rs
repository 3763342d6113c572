//! Finding things by path or by name: a path that exists is read, a name is looked up in the embedded library.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use firedrill_core::problem::{Problem, near_miss};
use firedrill_policies::document::read_policy_in;
use firedrill_policies::policy::Policy;
use firedrill_policies::shared::Shared;
use firedrill_scenarios::composition::Imported;
use firedrill_scenarios::{Scenario, library, read_scenario_with, systems};

use crate::failure::Failure;
use crate::inputs;

/// A text with the name that messages call it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as given, or `library/…`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A part of the embedded library: names, and the text behind each.
pub struct Shelf<'a> {
    /// What it holds, for messages: "scenario".
    pub what: &'a str,
    /// All names.
    pub names: Vec<&'a str>,
    /// The path and text behind a name.
    pub get: fn(&str) -> Option<(String, String)>,
}

/// The texts behind a path or name: one file, every YAML file of a folder in order of name, or a text of the library.
///
/// # Errors
/// It is neither; or it cannot be read.
pub fn find(name: &str, base: &Path, shelf: &Shelf<'_>) -> Result<Vec<Source>, Failure> {
    let path = base.join(name);
    if path.is_dir() {
        return read_folder(&path, shelf.what);
    }
    if path.is_file() {
        return Ok(vec![read_file(&path)?]);
    }
    match (shelf.get)(name) {
        Some((path, text)) => Ok(vec![Source { path, text }]),
        None => Err(unknown(name, shelf)),
    }
}

/// Reads one file as UTF-8.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read_file(path: &Path) -> Result<Source, Failure> {
    let bare = path.strip_prefix(".").ok().filter(|bare| !bare.as_os_str().is_empty());
    let shown = bare.unwrap_or(path).display().to_string();
    let bytes = bytes(path).map_err(|error| vec![unreadable(&shown, &error)])?;
    match text(bytes) {
        Ok(text) => Ok(Source { path: shown, text: text.trim_start_matches('\u{feff}').to_owned() }),
        Err((line, at)) => {
            let message = format!("{shown} is not UTF-8 text: in line {line}, byte {at} of the file starts no character");
            Err(vec![Problem::in_file("FD0906", &shown, message).remedy("save the file as UTF-8")].into())
        }
    }
}

/// Reads a scenario with what it imports: a file by its path from the importing one, or else a system that comes with firedrill. What the library imports
/// is of the library, whatever files are here.
///
/// # Errors
/// Every problem of these files at once.
pub fn read_scenario(source: &Source) -> Result<Scenario, Vec<Problem>> {
    let is_of_library = library::holds(&source.path, &source.text);
    read_scenario_with(&source.path, &source.text, &|name, from| {
        if Path::new(name).is_absolute() {
            return Err("a path in a scenario is relative to its file, so that both are found together elsewhere".to_owned());
        }
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(name);
        if is_of_library || !path.is_file() {
            let missing = format!("there is no file {}, and no system of this name comes with firedrill", path.display());
            return systems::get(name).ok_or(missing);
        }
        let bytes = bytes(&path).map_err(|error| reason(&error))?;
        let text = text(bytes).map_err(|(line, _)| format!("line {line} of it is not UTF-8 text"))?;
        Ok(Imported { path: path.display().to_string(), text: text.trim_start_matches('\u{feff}').to_owned() })
    })
}

/// Reads a policy of a project; scripts that it names are found from its folder, and never executed.
///
/// # Errors
/// Every problem of the file.
pub fn read_policy(source: &Source, shared: &Shared) -> Result<Arc<Policy>, Vec<Problem>> {
    let policy = read_policy_in(&source.path, &source.text, &scripts_beside(&source.path), shared)?;
    Ok(shared.around(policy))
}

/// The hashes of scripts by their paths from the folder of a file.
pub fn scripts_beside(path: &str) -> impl Fn(&str) -> Result<String, String> + use<> {
    let folder = Path::new(path).parent().unwrap_or(Path::new("")).to_owned();
    move |script| {
        let bytes = bytes(&folder.join(script)).map_err(|error| reason(&error))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }
}

/// Bytes as text.
///
/// # Errors
/// The line, from 1, and the byte, from 0, at which they are no UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String, (usize, usize)> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1, at)
    })
}

/// The problem of a file that cannot be read.
fn unreadable(shown: &str, error: &io::Error) -> Problem {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "name a file that exists",
        io::ErrorKind::PermissionDenied => "give this user the right to read it, or leave it out",
        io::ErrorKind::IsADirectory => "name a file in this folder",
        _ => "name a file that can be read",
    };
    Problem::in_file("FD0905", shown, format!("cannot read {shown}: {}", reason(error))).remedy(remedy)
}

/// Why a file cannot be read, as its owner would say it.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
        _ => error.to_string(),
    }
}

/// How the file begins that Git LFS leaves in the place of a large one.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The bytes of a file. Devices and pipes are refused: they may have no end, or never begin.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    regular(path)?;
    inputs::note(path);
    let bytes = fs::read(path)?;
    match bytes.starts_with(LFS_POINTER) {
        true => Err(io::Error::other("it is a pointer of Git LFS, and what it points to is not here (`git lfs pull` brings it)")),
        false => Ok(bytes),
    }
}

/// That reading a path comes to an end: it is a file, or a folder.
///
/// # Errors
/// It is neither, or not there.
pub fn regular(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    Err(io::Error::other("it is no regular file, but a device, a pipe or a socket"))
}

fn read_folder(folder: &Path, what: &str) -> Result<Vec<Source>, Failure> {
    let files = yaml_files(folder)?;
    if files.is_empty() {
        return Err(Failure::argument(
            format!("the folder {} holds no {what} (*.yaml)", folder.display()),
            "name a folder that does, or a file",
        ));
    }
    files.iter().map(|path| read_file(path)).collect()
}

/// Every `*.yaml` and `*.yml` below a folder, sorted by path; each file and folder once, however many links lead to it.
///
/// # Errors
/// A folder cannot be read.
pub fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_yaml = |path: &Path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let all = files_below(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut found: Vec<(bool, PathBuf)> = all.into_iter().filter(|path| is_yaml(path)).map(|path| (path.is_symlink(), path)).collect();
    // Links come last, so that what stands here is called by its own name.
    found.sort();
    let mut known = BTreeSet::new();
    let mut files: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).filter(|path| known.insert(real(path))).collect();
    files.sort();
    Ok(files)
}

/// Every path below a folder that is no folder, sorted; each folder is entered once, however many links lead to it.
///
/// # Errors
/// A folder cannot be read.
pub fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let (mut folders, mut links) = (VecDeque::from([folder.to_owned()]), VecDeque::new());
    let mut known = BTreeSet::new();
    // Links come last, so that what stands here is called by its own name.
    while let Some(folder) = folders.pop_front().or_else(|| links.pop_front()) {
        if !known.insert(real(&folder)) {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if !path.is_dir() {
                found.push(path);
            } else if path.is_symlink() {
                links.push_back(path);
            } else {
                folders.push_back(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where a path leads in the end; the path itself if it leads nowhere.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The failure that says a name is neither a path nor in the library.
#[must_use]
pub fn unknown(name: &str, shelf: &Shelf<'_>) -> Failure {
    let what = shelf.what;
    let remedy = match near_miss(name, &shelf.names).or_else(|| begun(name, &shelf.names)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`firedrill list` shows what there is; a path works too".to_owned(),
    };
    Failure::argument(format!("no {what} is called `{name}`, and no file is there"), remedy)
}

/// The shortest name that begins with what was given, if that is enough to mean something.
fn begun<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let longer = names.iter().filter(|name| given.len() >= 3 && name.starts_with(given));
    longer.min_by_key(|name| (name.len(), **name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let shelf = Shelf { what: "scenario", names: vec!["retry-storm", "hang"], get: |_| None };
        let Err(Failure::Input(problems)) = find("retry-strom", Path::new("."), &shelf) else { panic!("a problem") };
        assert_eq!(problems[0].message, "no scenario is called `retry-strom`, and no file is there");
        assert_eq!(problems[0].remedy.as_deref(), Some("did you mean `retry-storm`?"));
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_no_file() {
        assert!(bytes(Path::new("/dev/zero")).unwrap_err().to_string().starts_with("it is no regular file"));
    }

    #[cfg(unix)]
    #[test]
    fn each_file_is_found_once_whatever_links_lead_to_it() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("rules/deep")).unwrap();
        fs::write(at("rules/deep/b.yml"), "").unwrap();
        fs::write(at("rules/a.yaml"), "").unwrap();
        symlink(at("rules"), at("rules/deep/round")).unwrap();
        symlink(at("rules/deep"), at("rules/also")).unwrap();
        symlink(at("rules/a.yaml"), at("rules/0.yaml")).unwrap();
        let found: Vec<_> =
            yaml_files(&at("rules")).unwrap().iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_owned()).collect();
        assert_eq!(found, [Path::new("rules/a.yaml"), Path::new("rules/deep/b.yml")]);
    }
}
