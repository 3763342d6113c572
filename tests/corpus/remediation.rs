//! People's remediations, unchanged: every file of a kind that is known is imported, or refused with a reason.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use firedrill_policies::document::read_policy;
use firedrill_policies::remediation::{Draft, Import, Kind, RemediationFile, Wanted, import};
use firedrill_policies::rules::RuleSet;

fn folder() -> PathBuf {
    let corpus = std::env::var_os("FIREDRILL_CORPUS").expect("set FIREDRILL_CORPUS to the corpus folder");
    let folder = Path::new(&corpus).join("remediation");
    assert!(folder.is_dir(), "{} is no folder", folder.display());
    folder
}

/// Every YAML file below a folder of the corpus.
fn files(below: &str) -> Vec<RemediationFile> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder().join(below)]);
    while let Some(folder) = waiting.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                found.push(RemediationFile { path: path.display().to_string(), text: fs::read_to_string(&path).unwrap(), named: false });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn imported(below: &str) -> Import {
    import(&files(below), &Wanted::default()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// How many were drafted without a loss, drafted with some, drafted to call people alone, and refused.
fn row(import: &Import, kind: Option<Kind>) -> [usize; 4] {
    let of = |wanted: &dyn Fn(&Draft) -> bool| import.drafts.iter().filter(|draft| Some(draft.kind) == kind && wanted(draft)).count();
    [
        of(&|draft| draft.acts && draft.lost.is_empty()),
        of(&|draft| draft.acts && !draft.lost.is_empty()),
        of(&|draft| !draft.acts),
        import.refused.iter().filter(|refusal| refusal.kind == kind).count(),
    ]
}

/// Reads what was drafted once more, and counts what was looked at by hand: see docs/remediation.md, which has the same table.
#[track_caller]
fn check(below: &str, kind: Kind, expected: ([usize; 4], usize, usize)) {
    let import = imported(below);
    for draft in &import.drafts {
        read_policy("p.yaml", &draft.policy).unwrap_or_else(|problems| panic!("{}: {problems:?}", draft.name));
        draft.rules.iter().for_each(|rules| drop(RuleSet::read([("r.yaml", &**rules)]).unwrap()));
        assert!(!draft.acts || draft.policy.contains("steps:"), "{}", draft.name);
    }
    let reasons: BTreeMap<&str, usize> = import.refused.iter().fold(BTreeMap::new(), |mut reasons, refusal| {
        *reasons.entry(&*refusal.why).or_default() += 1;
        reasons
    });
    assert!(import.refused.iter().all(|refusal| !refusal.why.is_empty()));
    let unread = import.refused.iter().filter(|refusal| refusal.kind.is_none()).count();
    let found = (row(&import, Some(kind)), unread, import.passed_over.len());
    assert_eq!(found, expected, "{below}: drafts, files that are no YAML, and files without one\n{reasons:#?}\n{:?}", import.passed_over);
    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/remediation.md")).unwrap();
    let [exact, lossy, calling, refused] = expected.0;
    let line = format!("| {exact} | {lossy} | {calling} | {refused} |");
    assert!(
        told.lines().any(|row| row.to_lowercase().contains(&kind.noun().to_lowercase()) && row.ends_with(&line)),
        "docs/remediation.md has no row of {} with {line}",
        kind.noun()
    );
}

#[test]
fn health_checks_of_the_cluster_api() {
    check("cluster-api-mhc", Kind::MachineHealthCheck, ([0, 2, 0, 0], 0, 1));
}

#[test]
fn health_checks_of_medik8s() {
    check("medik8s-nhc", Kind::NodeHealthCheck, ([0, 1, 0, 0], 0, 2));
}

#[test]
fn rulebooks_of_event_driven_ansible() {
    check("eda", Kind::Rulebook, ([0, 0, 2, 366], 1, 0));
}

#[test]
fn rules_of_stackstorm() {
    check("stackstorm", Kind::StackStormRule, ([0, 0, 10, 34], 1, 3));
}

#[test]
fn playbooks_of_robusta() {
    check("robusta", Kind::RobustaPlaybook, ([0, 0, 28, 1], 0, 0));
}
