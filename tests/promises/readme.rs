//! The README tells the truth: its commands are run by CI, its links lead somewhere, its flags exist.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The commands of the README's `sh` blocks.
fn commands() -> Vec<String> {
    let readme = read("README.md");
    let blocks = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_first_two_commands_and_the_tests_are_what_ci_runs() {
    let ci = read(".ci/run");
    let commands = commands();
    for command in [&commands[0], &commands[1], commands.last().unwrap()] {
        assert!(ci.contains(command.as_str()), ".ci/run does not run `{command}`");
    }
}

#[test]
fn the_third_command_shows_the_storm_that_never_ends() {
    let command = &commands()[2];
    let arguments = command.strip_prefix("cargo run --release -- ").unwrap().split_whitespace();
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(root()).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.contains("users are still unwell when the run ends"), "{command}\n{told}");
}

#[test]
fn every_command_and_flag_of_the_readme_exists() {
    let readme = read("README.md");
    let mentions = readme.split('`').filter_map(|code| code.strip_prefix("firedrill ")).filter(|code| !code.is_empty());
    for mention in mentions {
        let mut words = mention.split_whitespace();
        let command = words.next().unwrap();
        let help = Command::new(env!("CARGO_BIN_EXE_firedrill")).args([command, "--help"]).output().unwrap();
        assert!(help.status.success(), "`firedrill {mention}`: there is no such command");
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in words.filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "`firedrill {mention}`: `{command}` has no {flag}");
        }
    }
}

/// The README and every page below `docs/`, as paths from the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut waiting = vec!["docs".to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                waiting.push(path);
            } else if path.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// What leads to a heading, as GitHub makes it: its letters, digits, hyphens and underscores in lower case, and hyphens for spaces.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let headings = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    let anchor = |line: &str| {
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let pages = pages();
    assert!(pages.len() > 10, "{pages:?}");
    for page in pages {
        let folder: PathBuf = root().join(&page).parent().unwrap().to_owned();
        for link in read(&page).split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let there = if file.is_empty() { root().join(&page) } else { folder.join(file) };
            assert!(link.starts_with("https://") || there.exists(), "{page} links to {link}, which is not there");
            if !anchor.is_empty() && there.extension().is_some_and(|own| own == "md") {
                let anchors = anchors(&fs::read_to_string(&there).unwrap());
                assert!(anchors.iter().any(|own| own == anchor), "{page} links to {link}, which has no such heading: {anchors:?}");
            }
        }
    }
}

/// The files that a page of the documentation shows, each a block of code behind its name in backquotes.
fn shown_files(page: &str) -> Vec<(String, String)> {
    let text = read(page);
    let mut files = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\n```") {
        let (block, tail) = after.split_once("\n```").unwrap();
        let (_, content) = block.split_once('\n').unwrap();
        rest = tail;
        // What is indented, or begins with another key than a file begins with, is a part of a file.
        if ["  ", "nodes:", "topics:", "metrics:", "faults:", "changes:", "chaos:", "steps:", "actions:", "kill_switch:"]
            .iter()
            .any(|part| content.starts_with(part))
        {
            continue;
        }
        let named = before.trim_end().lines().last().unwrap().split('`').rfind(|word| word.contains('.') && !word.contains(' '));
        files
            .push((named.unwrap_or_else(|| panic!("{page} does not name the file before `{content}`")).to_owned(), format!("{content}\n")));
    }
    files
}

#[test]
fn the_recordings_that_the_documentation_shows_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let files = shown_files("docs/recordings.md");
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["incident.yaml", "metrics.txt", "mapping.yaml", "checkout-1.csv"]);
    for (name, text) in &files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let replay = || {
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(folder.path()).args(["replay", "."]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        told
    };
    assert!(replay().contains("2 series from 2026-01-05T09:00:00Z"));
    let incident = files[0].1.replace("{ openmetrics: metrics.txt }", "{ csv: { folder: ., mapping: mapping.yaml } }");
    fs::write(folder.path().join("incident.yaml"), incident).unwrap();
    assert!(replay().contains("3 series from 2026-01-05T09:00:00Z"));
}

/// The one file that a page shows, written into a folder of its own.
fn shown_file(page: &str) -> (tempfile::TempDir, String) {
    let [(name, text)] = shown_files(page).try_into().unwrap_or_else(|files| panic!("{page} shows {files:?}"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(&name), text).unwrap();
    (folder, name)
}

#[track_caller]
fn firedrill(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill")).current_dir(folder).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "firedrill {}\n{told}", arguments.join(" "));
    told
}

#[test]
fn the_scenarios_that_the_documentation_shows_are_sound_and_the_first_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let files = shown_files("docs/scenarios.md");
    assert!(files.len() >= 2, "{files:?}");
    for (name, text) in &files {
        fs::write(folder.path().join(name), text).unwrap();
        assert!(firedrill(folder.path(), &["check", name]).contains("all sound"));
    }
    let told = firedrill(folder.path(), &["run", &files[0].0]);
    assert!(told.contains("users feel it"), "{told}");
}

/// The system that parts of files are written into: everything that the page names, with some work.
const SYSTEM: &str = "\
schema: scenario/1
scenario: base
clients: { users: { calls: shop, rate: 1/s } }
services:
  shop: { zones: [a, b], endpoints: { /: { work: [cpu: 1ms] }, /healthz: { work: [cpu: 1ms] } } }
  front: { work: [cpu: 1ms] }
  payments: { work: [cpu: 1ms] }
  db: { work: [cpu: 1ms] }
  reviews: { work: [cpu: 1ms] }
  prices: { work: [cpu: 1ms] }
  store: { work: [cpu: 1ms] }
";

/// A part of a file as a file.
fn completed(part: &str) -> String {
    let services = if part.starts_with("  ") { "services:\n" } else { "" };
    format!("schema: scenario/1\nscenario: part\nimport: base\n{services}{part}\n")
}

#[test]
fn the_parts_of_scenarios_that_the_documentation_shows_can_be_read() {
    use firedrill_scenarios::composition::Imported;

    let page = read("docs/scenarios.md");
    let blocks = page.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let parts: Vec<&str> = blocks.filter(|block| !block.starts_with("schema:")).collect();
    assert!(parts.len() >= 11, "{parts:?}");
    for part in parts {
        let base = if part.contains("cache: { name: items") {
            SYSTEM.replace("  shop: {", "  shop: { caches: { items: { keys: 100 } },")
        } else {
            SYSTEM.to_owned()
        };
        let imports = |_: &str, _: &str| Ok(Imported { path: "base.yaml".to_owned(), text: base.clone() });
        if let Err(problems) = firedrill_scenarios::read_scenario_with("docs/scenarios.md", &completed(part), &imports) {
            let told: Vec<String> = problems.iter().map(|problem| problem.render(false)).collect();
            panic!("{part}\n{}", told.join("\n"));
        }
    }
}

#[test]
fn the_policy_that_the_documentation_shows_is_sound_and_acts() {
    let (folder, name) = shown_file("docs/policies.md");
    let told = firedrill(folder.path(), &["check", &name]);
    assert!(told.contains("all sound") && !told.contains("warning"), "{told}");
    let told = firedrill(folder.path(), &["run", "hang-one-replica", "--policy", &name]);
    assert!(told.contains("restart (rolling)"), "{told}");
}
