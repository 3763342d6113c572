//! The guides do what they show: their files are written, their commands run, in order, and what is printed is what stands there.
//!
//! `UPDATE_GOLDEN=1 cargo test --test promises guides` writes what is printed anew; read the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::root;

/// A part of a page: text, or a block of code with its language.
enum Part {
    Text(String),
    Block { language: String, content: String },
}

/// A page in parts, which together are the page to the byte.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(String::new())];
    let mut lines = page.split_inclusive('\n');
    while let Some(line) = lines.next() {
        match line.strip_prefix("```") {
            Some(language) => {
                let content = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
                parts.extend([Part::Block { language: language.trim_end().to_owned(), content }, Part::Text(String::new())]);
            }
            None => {
                let Some(Part::Text(text)) = parts.last_mut() else { unreachable!("a text follows every block") };
                text.push_str(line);
            }
        }
    }
    parts
}

fn page(parts: &[Part]) -> String {
    let written = parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::Block { language, content } => format!("```{language}\n{content}```\n"),
    });
    written.collect()
}

/// The file that the last line before a block names: `policies/mine.yaml`: or a line that ends with it.
fn named(text: &str) -> Option<&str> {
    let line = text.trim_end().lines().last()?;
    line.strip_suffix("`:")?.rsplit('`').next()
}

/// Runs a line as a shell does, with the command in its path and nothing of this machine's configuration. `# exit code N` behind it says how it ends.
#[track_caller]
fn run(folder: &Path, line: &str) -> String {
    let (command, code) = line.split_once("# exit code ").map_or((line, 0), |(command, code)| (command, code.trim().parse().unwrap()));
    let binary = Path::new(env!("CARGO_BIN_EXE_firedrill")).parent().unwrap().to_owned();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binary).chain(std::env::split_paths(&paths))).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env("HOME", folder).env("COLUMNS", "110");
    shell.env("XDG_CACHE_HOME", folder.join(".cache"));
    shell.env("GIT_CONFIG_NOSYSTEM", "1").envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Somebody")));
    shell.envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "somebody@example.org")));
    let output = shell.env_remove("RUST_LOG").env_remove("NO_COLOR").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "`{line}`\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    // What stands in a page has no blanks at the ends of its lines.
    stdout.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Does what a page says, in an empty folder. Blocks of `sh` are run, named blocks are written, and a block of `text` after commands is what they print.
#[track_caller]
fn follow(name: &str) {
    let path = root().join("docs").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let mut parts = parts(&text);
    assert_eq!(page(&parts), text, "{name} is read as it stands");
    let folder = tempfile::tempdir().unwrap();
    let mut place = folder.path().to_owned();
    let (mut printed, mut commands, mut shown) = (None, 0, 0);
    let mut before = String::new();
    for part in &mut parts {
        match part {
            Part::Text(text) => before.clone_from(text),
            Part::Block { language, content } if language == "sh" => {
                let mut all = String::new();
                for line in content.lines() {
                    match line.strip_prefix("cd ") {
                        Some(to) => place = place.join(to),
                        None => all += &run(&place, line),
                    }
                    commands += 1;
                }
                printed = Some(all);
            }
            Part::Block { language, content } if language == "text" && named(&before).is_none() => {
                let printed = printed.take().unwrap_or_else(|| panic!("{name} shows what no command printed:\n{content}"));
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    content.clone_from(&printed);
                }
                assert_eq!(*content, printed, "{name}: UPDATE_GOLDEN=1 cargo test --test promises guides");
                shown += 1;
            }
            Part::Block { content, .. } => {
                let file = place.join(named(&before).unwrap_or_else(|| panic!("{name} does not name the file\n{content}")));
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
        }
    }
    assert!(commands >= 2 && shown >= 1, "{name} runs {commands} commands and shows what {shown} of them print");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, page(&parts)).unwrap();
    }
}

#[test]
fn from_zero_to_a_gated_pull_request() {
    follow("getting-started.md");
}

#[test]
fn a_scenario_is_written() {
    follow("how-to/write-a-scenario.md");
}

#[test]
fn a_policy_is_written() {
    follow("how-to/write-a-policy.md");
}

#[test]
fn a_test_is_written() {
    follow("how-to/write-a-test.md");
}

#[test]
fn an_incident_is_replayed() {
    follow("how-to/replay-an-incident.md");
}

#[test]
fn a_verdict_is_read() {
    follow("how-to/read-a-verdict.md");
}

/// All pages below `docs/`, as paths from the root.
fn pages() -> BTreeSet<PathBuf> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![root().join("docs")]);
    while let Some(folder) = waiting.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.insert(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found
}

/// The pages that a page links to.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let targets = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap().to_owned());
    let local = targets.filter(|target| !target.contains("://") && !target.is_empty());
    let paths = local.map(|target| root().join(page).parent().unwrap().join(target)).filter_map(|path| path.canonicalize().ok());
    let top = root().canonicalize().unwrap();
    let inside: Vec<PathBuf> = paths.filter_map(|path| path.strip_prefix(&top).ok().map(Path::to_owned)).collect();
    // A link to a folder shows all that is in it.
    let (folders, files): (Vec<_>, Vec<_>) = inside.into_iter().partition(|path| root().join(path).is_dir());
    let within = pages().into_iter().filter(|page| folders.iter().any(|folder| page.parent() == Some(folder.as_path())));
    files.into_iter().chain(within.collect::<Vec<_>>()).collect()
}

#[test]
fn no_page_is_out_of_reach() {
    let index = PathBuf::from("docs/README.md");
    let mut reached: BTreeMap<PathBuf, u32> = BTreeMap::from([(index.clone(), 0)]);
    let mut waiting = vec![index];
    while let Some(page) = waiting.pop() {
        let steps = reached[&page] + 1;
        for next in links(&page).into_iter().filter(|next| next.starts_with("docs")) {
            if reached.get(&next).is_none_or(|known| steps < *known) {
                reached.insert(next.clone(), steps);
                if next.extension().is_some_and(|extension| extension == "md") {
                    waiting.push(next);
                }
            }
        }
    }
    let lost: Vec<_> = pages().into_iter().filter(|page| !reached.contains_key(page)).collect();
    assert!(lost.is_empty(), "docs/README.md leads to none of {lost:?}");
    // Every page but a decision stands in the index itself.
    let far: Vec<_> = reached.iter().filter(|(page, steps)| **steps > 1 && !page.starts_with("docs/decisions")).collect();
    let far: Vec<_> = far.into_iter().filter(|(page, _)| page.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(far.is_empty(), "docs/README.md does not name {far:?}");
    assert!(links(Path::new("README.md")).contains(&PathBuf::from("docs/README.md")), "the README leads to the index");
}
