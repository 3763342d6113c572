//! The rules of the house that no compiler checks: crate edges, module order, licences, paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const CRATES: [&str; 6] = ["core", "telemetry", "sim", "scenarios", "policies", "reports"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metadata(arguments: &[&str]) -> Value {
    downloaded(arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// The same; an error where it needs sources that nobody has downloaded.
fn downloaded(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || error.contains("failed to download"), "{error}");
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(error) }
}

/// Normal (not dev, not build) dependencies within the workspace.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let mut edges = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        let ours = dependencies.map(|dependency| dependency["name"].as_str().unwrap()).filter(|name| name.starts_with("firedrill-"));
        edges.insert(package["name"].as_str().unwrap().to_owned(), ours.map(str::to_owned).collect());
    }
    edges
}

#[test]
fn crates_depend_only_where_the_design_draws_an_arrow() {
    let allowed = [
        ("firedrill-core", vec![]),
        ("firedrill-telemetry", vec!["core"]),
        ("firedrill-sim", vec!["core", "telemetry"]),
        ("firedrill-scenarios", vec!["core", "telemetry", "sim"]),
        ("firedrill-policies", vec!["core", "telemetry"]),
        ("firedrill-reports", vec!["core"]),
        ("firedrill", vec!["core", "telemetry", "sim", "scenarios", "policies", "reports"]),
    ];
    let edges = edges();
    assert_eq!(edges.len(), allowed.len(), "a crate came or went: {:?}", edges.keys());
    for (name, allowed) in allowed {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| format!("firedrill-{name}")).collect();
        let surplus: Vec<&String> = edges[name].difference(&allowed).collect();
        assert!(surplus.is_empty(), "{name} may not depend on {surplus:?}: see Crates in docs/ARCHITECTURE.md");
    }
}

#[test]
fn there_is_no_path_from_policies_to_the_simulator() {
    let edges = edges();
    let mut reached = BTreeSet::from(["firedrill-policies".to_owned()]);
    loop {
        let next: BTreeSet<String> = reached.iter().flat_map(|name| edges[name].iter().cloned()).chain(reached.iter().cloned()).collect();
        if next == reached {
            break;
        }
        reached = next;
    }
    assert!(!reached.contains("firedrill-sim"), "policies could see the truth through {reached:?}");
}

/// The modules of a crate in the order of its `lib.rs`.
fn modules(lib: &str) -> Vec<String> {
    let declared = lib.lines().filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod "));
    declared.filter_map(|rest| rest.strip_suffix(';')).map(str::to_owned).collect()
}

/// All Rust files of a module, itself and those below it.
fn files_of(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let file = source.join(format!("{module}.rs"));
    if file.exists() {
        files.push(file);
    }
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn a_module_uses_only_what_stands_before_it() {
    let mut faults = Vec::new();
    for source in CRATES.iter().map(|name| root().join(name).join("src")).chain([root().join("src")]) {
        let order = modules(&fs::read_to_string(source.join("lib.rs")).unwrap());
        for (position, module) in order.iter().enumerate() {
            for file in files_of(&source, module) {
                let text = fs::read_to_string(&file).unwrap();
                // Tests may look anywhere.
                let code = text.split("#[cfg(test)]").next().unwrap();
                for later in &order[position + 1..] {
                    if code.contains(&format!("crate::{later}::")) || code.contains(&format!("crate::{later};")) {
                        faults.push(format!(
                            "{} uses crate::{later}, which lib.rs lists after {module}",
                            file.strip_prefix(root()).unwrap().display()
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_opens_with_its_room_in_one_sentence() {
    for source in CRATES.iter().map(|name| root().join(name).join("src")).chain([root().join("src")]) {
        for module in modules(&fs::read_to_string(source.join("lib.rs")).unwrap()) {
            for file in files_of(&source, &module) {
                let text = fs::read_to_string(&file).unwrap();
                assert!(text.starts_with("//! "), "{} does not open with a `//!` sentence", file.display());
            }
        }
    }
}

/// A row, `| name | version | licence |`, of every crate that the binary is made of with these features; an error where a source is not downloaded.
fn third_party(features: &[&str]) -> Result<Vec<String>, String> {
    let metadata = downloaded(&[&["--filter-platform", "x86_64-unknown-linux-gnu"], features].concat())?;
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array().unwrap().iter().map(|package| (package["id"].as_str().unwrap(), package)).collect();
    let nodes: BTreeMap<&str, &Value> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|node| (node["id"].as_str().unwrap(), node)).collect();
    let mut waiting: Vec<&str> = packages.iter().filter(|(_, package)| package["name"] == "firedrill").map(|(id, _)| *id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let normal = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            if normal {
                waiting.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    let mut rows: Vec<String> = Vec::new();
    for id in seen {
        let package = packages[id];
        let name = package["name"].as_str().unwrap();
        if !name.starts_with("firedrill") {
            let licence = package["license"].as_str().unwrap_or("see its repository");
            rows.push(format!("| {name} | {} | {licence} |", package["version"].as_str().unwrap()));
        }
    }
    rows.sort();
    Ok(rows)
}

const THIRD_PARTY: &str = "# Third-party software\n\nThe crates in the binary, from `cargo metadata` for Linux on x86-64, with the feature `rego`. Made anew by `cargo fetch && UPDATE_GOLDEN=1 cargo test --test promises tidy`.\n\n| crate | version | licence |\n|---|---|---|\n";

fn rows(page: &str) -> Vec<String> {
    page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| crate")).map(str::to_owned).collect()
}

#[test]
fn third_party_software_is_listed_with_licences_that_allow_it() {
    let path = root().join("THIRD_PARTY.md");
    // Whoever builds without the feature has not downloaded what it needs, and tests use no network.
    let every = third_party(&["--features", "rego"]);
    if let (Ok(every), true) = (&every, std::env::var_os("UPDATE_GOLDEN").is_some()) {
        fs::write(&path, format!("{THIRD_PARTY}{}\n", every.join("\n"))).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap();
    let listed = rows(&page);
    let again = "repeat with: cargo fetch && UPDATE_GOLDEN=1 cargo test --test promises tidy";
    match every {
        Ok(every) => assert_eq!(page, format!("{THIRD_PARTY}{}\n", every.join("\n")), "{again}"),
        Err(_) => {
            let built = third_party(&[]).unwrap_or_default();
            let missing: Vec<&String> = built.iter().filter(|row| !listed.contains(row)).collect();
            assert!(missing.is_empty(), "not listed: {missing:?}; {again}");
        }
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(listed.len() > 100);
    for row in listed {
        let permissive =
            ["MIT", "Apache-2.0", "BSD", "Zlib", "Unicode-3.0", "Unlicense", "CC0", "ISC"].iter().any(|licence| row.contains(licence));
        assert!(permissive, "not a licence that we ship: {row}");
        let [_, name, version, ..] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{row}") };
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "nothing of this kind is built: {row}; {again}");
    }
}

/// Codes that two files give out for one and the same thing.
const SHARED_CODES: [&str; 2] = ["FD0104", "FD0603"];

/// Files that speak of codes which others give out.
const SPEAKS_OF_CODES: [&str; 4] =
    ["src/commands/check/linting.rs", "policies/src/lints/catalogue.rs", "policies/src/code/engine/tests.rs", "src/ledger/file/tests.rs"];

#[test]
fn a_code_is_given_out_by_one_file() {
    let mut givers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let code = regex::Regex::new("\"(FD[0-9]{4})\"").unwrap();
    for source in CRATES.iter().map(|name| root().join(name).join("src")).chain([root().join("src")]) {
        for module in modules(&fs::read_to_string(source.join("lib.rs")).unwrap()) {
            for file in files_of(&source, &module) {
                let text = fs::read_to_string(&file).unwrap();
                let shown = file.strip_prefix(root()).unwrap().display().to_string();
                let given = code.captures_iter(text.split("#[cfg(test)]").next().unwrap()).map(|found| found[1].to_owned());
                for code in given.filter(|_| !SPEAKS_OF_CODES.contains(&shown.as_str())) {
                    givers.entry(code).or_default().insert(shown.clone());
                }
            }
        }
    }
    assert!(givers.len() > 100, "{} codes were found", givers.len());
    let shared: Vec<_> = givers.iter().filter(|(code, files)| files.len() > 1 && !SHARED_CODES.contains(&code.as_str())).collect();
    assert!(shared.is_empty(), "a code means one thing: {shared:#?}");
}

#[test]
fn the_readme_is_short_and_the_glossary_is_sorted() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() < 100, "the README has {} lines", readme.lines().count());
    let glossary = fs::read_to_string(root().join("docs/GLOSSARY.md")).unwrap();
    let words: Vec<&str> = glossary.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).skip(1).collect();
    let mut sorted = words.clone();
    sorted.sort_unstable();
    assert!(words.len() > 20);
    assert_eq!(words, sorted, "docs/GLOSSARY.md is not in alphabetical order");
}

/// Every Rust and scenario file of ours, with its text.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root().join(name)).collect();
    folders.extend(["src", "tests", "benches"].map(|name| root().join(name)));
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "yaml") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What is wrong with a citation such as `docs/MODEL.md 1.4` or `docs/policies.md, "Guards"`, given by the text from `docs/` on.
fn fault_of_citation(cited: &str) -> Option<String> {
    let end = cited.find(".md")? + 3;
    let name = &cited[..end];
    if name.contains(|letter: char| letter.is_whitespace() || letter == '*' || letter == '`') {
        return None;
    }
    let Ok(page) = fs::read_to_string(root().join(name)) else { return Some(format!("there is no {name}")) };
    let rest = &cited[end..];
    let (place, is_there) = if let Some(quoted) = rest.strip_prefix(", \"") {
        let heading = quoted.split('"').next()?;
        (heading.to_owned(), page.lines().any(|line| line.trim_start_matches('#') == format!(" {heading}")))
    } else if let Some(number) = rest.strip_prefix(", invariant ") {
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        let invariants = page.split("## Invariants").nth(1)?.split("\n## ").next()?;
        (format!("invariant {number}"), invariants.lines().any(|line| line.starts_with(&format!("{number}. "))))
    } else {
        let section = rest.strip_prefix(' ')?.split(|letter: char| !letter.is_ascii_alphanumeric() && !".-".contains(letter)).next()?;
        let section = section.trim_end_matches('.');
        if !section.contains(|letter: char| letter.is_ascii_digit()) {
            return None;
        }
        let is_there = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim_start().starts_with(section);
        (section.to_owned(), page.lines().any(|line| is_there(line) || line.starts_with(&format!("| {section} |"))))
    };
    (!is_there).then(|| format!("{name} has no {place}"))
}

#[test]
fn a_citation_leads_to_a_page_of_ours() {
    assert_eq!(fault_of_citation("docs/MODEL.md 1.4)"), None);
    assert_eq!(fault_of_citation("docs/MODEL.md R-MS1)"), None);
    assert_eq!(fault_of_citation("docs/MODEL.md 9.4)").as_deref(), Some("docs/MODEL.md has no 9.4"));
    assert_eq!(fault_of_citation("docs/policies.md, \"Gards\")").as_deref(), Some("docs/policies.md has no Gards"));
    assert_eq!(fault_of_citation("docs/nowhere.md").as_deref(), Some("there is no docs/nowhere.md"));
    let mut faults = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| name != "tests/promises/tidy.rs") {
        for (number, line) in text.lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                faults.extend(fault_of_citation(&line[at..]).map(|fault| format!("{name}:{}: {fault}", number + 1)));
            }
            for page in ["DESIGN", "MEASURES", "MODEL", "POLICIES", "PROMQL", "STYLE"] {
                let ours = line.matches(&format!("docs/{page}.md")).count();
                if line.matches(&format!("{page}.md")).count() > ours {
                    faults.push(format!("{name}:{}: {page}.md is cited without its folder", number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What a test asserts on another thread than its own is told to nobody, or to whichever test has started that thread.
#[test]
fn cases_are_tried_on_other_threads_by_one_helper_alone() {
    let helper = "tests/promises/common/mod.rs";
    let by_itself = sources().into_iter().filter(|(name, _)| name.starts_with("tests/promises/") && name != "tests/promises/tidy.rs");
    let found: Vec<String> = by_itself.filter(|(_, text)| text.contains("rayon")).map(|(name, _)| name).collect();
    assert_eq!(found, [helper], "`common::each` tries cases in parallel");
}

#[test]
fn what_is_wrong_with_cases_is_told_together_by_the_test_itself() {
    let here = std::thread::current().id();
    let told = std::panic::catch_unwind(|| {
        crate::common::each(&[1, 2, 3, 4], |number| match number {
            1 => Ok(()),
            2 => Err("two is even".to_owned()),
            3 => panic!("three is {}", "a surprise"),
            _ => crate::common::holds(std::thread::current().id() == here, || "four is elsewhere".to_owned()),
        })
    });
    let told = told.unwrap_err();
    assert_eq!(told.downcast_ref::<String>().unwrap(), "3 of 4 cases:\ntwo is even\nthree is a surprise\nfour is elsewhere");
    assert_eq!(crate::common::each(&[1, 2, 3], |number| Ok(number * 2)), [2, 4, 6], "in order");
}

/// What stands between two marks of the model's page.
const DEFAULTS: [&str; 2] = ["<!-- defaults -->\n", "<!-- /defaults -->\n"];

#[test]
fn the_models_page_has_the_defaults_of_the_code() {
    let path = root().join("docs/MODEL.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(DEFAULTS[0]).unwrap();
    let (_, after) = rest.split_once(DEFAULTS[1]).unwrap();
    let mut table = "| key | default | source |\n|---|---|---|\n".to_owned();
    for entry in firedrill_scenarios::defaults::ALL {
        table.push_str(&format!("| `{}` | `{}` | {} |\n", entry.key, entry.value, entry.source));
    }
    let expected = format!("{before}{}{table}{}{after}", DEFAULTS[0], DEFAULTS[1]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(page == expected, "docs/MODEL.md is behind the code: UPDATE_GOLDEN=1 cargo test --test promises tidy");
}
