//! `import remediation`: what is written passes `check` as it stands, nothing is written over, and what is lost or refused is told.

use std::fs;
use std::path::Path;

use crate::common::{firedrill, root};
use firedrill_policies::remediation::Kind;

const SOURCES: &str = "tests/remediation";

#[test]
fn what_is_imported_from_each_kind_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("policies");
    let told = firedrill(root(), &["import", "remediation", SOURCES, "--owner", "team-shop", "--out", out.to_str().unwrap()]).exits(0);
    for said in [
        "nodes-unhealthy-5m: from the MachineHealthCheck at tests/remediation/health-checks.yaml:1: 2 lost",
        "  lost: nodeStartupTimeout 10m, the default",
        "refused: tests/remediation/rulebook.yaml:",
        "left out: 1 file without a remediation",
    ] {
        assert!(told.stderr.contains(said), "{said}\n{}", told.stderr);
    }
    let written = fs::read_dir(&out).unwrap().count();
    assert!(written >= 12, "{written} files");
    let kinds = firedrill(root(), &["import", "remediation", SOURCES, "--format", "json"]).exits(0).json();
    let of = |kind: &str| kinds["policies"].as_array().unwrap().iter().filter(|draft| draft["kind"] == kind).count();
    for kind in [
        "liveness-probe",
        "autoscaler",
        "machine-health-check",
        "node-health-check",
        "ansible-rulebook",
        "stackstorm-rule",
        "robusta-playbook",
        "composite-alert",
    ] {
        assert!(of(kind) > 0, "no {kind} among the drafts");
    }
    firedrill(folder.path(), &["check", "policies"]).exits(0);
    // Once more: nothing that is there is touched.
    let before = contents(&out);
    firedrill(root(), &["import", "remediation", SOURCES, "--out", out.to_str().unwrap()]).exits(2).says("is there already");
    assert_eq!(contents(&out), before);
}

fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// Alerts of its own triggers beside those of other rules, and a target that only one of both names.
#[test]
fn a_playbook_with_triggers_of_two_kinds_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let playbook = "customPlaybooks:
  - triggers:
      - on_prometheus_alert: { alert_name: Hung }
      - on_pod_crash_loop: { restart_count: 3, rate_limit: 3600 }
    actions: [{ rollout_restart: {} }]
  - triggers: [{ on_prometheus_alert: { alert_name: NodeBad, scope: { exclude: [{ namespace: [kube-system] }] } } }]
    actions: [{ drain: {} }]
";
    fs::write(folder.path().join("robusta.yaml"), playbook).unwrap();
    firedrill(folder.path(), &["import", "remediation", "robusta.yaml", "--owner", "team-a", "--out", "policies"]).exits(0);
    let checked = firedrill(folder.path(), &["check", "policies"]).exits(0);
    assert!(!checked.stderr.contains("FD0330") && !checked.stderr.contains("FD0337"), "{}", checked.stderr);
}

/// Nothing is found in the library that is neither mended nor allowed with a reason.
#[test]
fn the_project_of_the_library_has_no_warnings() {
    let checked = firedrill(&root().join("projects/library"), &["check", "--format", "json"]).exits(0).json();
    let warnings: Vec<_> = checked["lints"].as_array().unwrap().iter().filter(|lint| lint["severity"] != "info").collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

#[test]
fn the_page_shows_what_comes_out() {
    let arguments =
        ["import", "remediation", "tests/remediation/health-checks.yaml", "--owner", "team-shop", "--kind", "machine-health-check"];
    let drafted = firedrill(root(), &arguments).exits(0).stdout;
    let policy = drafted.strip_prefix("--- # nodes-unhealthy-5m.yaml\n").unwrap().split("--- # ").next().unwrap();
    let page = fs::read_to_string(root().join("docs/remediation.md")).unwrap();
    assert!(page.contains(policy), "docs/remediation.md does not show this:\n{policy}");
    for (word, _) in Kind::WORDS {
        assert!(page.contains(&format!("| `{word}` |")), "docs/remediation.md does not tell of {word}");
        firedrill(root(), &["import", "remediation", SOURCES, "--kind", word]).exits(0);
    }
}

#[test]
fn one_policy_without_rules_is_a_file_on_its_own_and_several_are_told_apart() {
    let one = firedrill(root(), &["import", "remediation", "tests/remediation/stackstorm.yaml"]).exits(0);
    assert!(one.stdout.starts_with("# Drafted from tests/remediation/stackstorm.yaml:1, a rule of StackStorm."), "{}", one.stdout);
    let several = firedrill(root(), &["import", "remediation", "tests/remediation/composite.yaml"]).exits(0);
    assert!(several.stdout.starts_with("--- # checkout-degraded.yaml\n"), "{}", several.stdout);
    assert!(several.stdout.contains("--- # checkout-degraded.rules.yaml\n"), "{}", several.stdout);
}

#[test]
fn what_cannot_be_imported_is_said_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clock.yaml"), "name: nightly\ntrigger: { type: core.st2.CronTimer }\naction: { ref: core.local }\n")
        .unwrap();
    fs::write(folder.path().join("none.yaml"), "a: 1\n").unwrap();
    firedrill(folder.path(), &["import", "remediation", "clock.yaml", "--out", "out"])
        .exits(2)
        .says("clock.yaml:1: StackStorm rule `nightly` cannot be a policy: its trigger `core.st2.CronTimer` tells no alert");
    let alert = "alert: a\ncondition: error_rate > 5%\nactions: [{ auto_remediate: restart }]\n";
    fs::write(folder.path().join("alert.yaml"), alert).unwrap();
    firedrill(folder.path(), &["import", "remediation", "alert.yaml", "--out", "none.yaml"])
        .exits(2)
        .says("error[FD0940]: none.yaml is a file, and drafts are written into a folder")
        .says("name a folder");
    firedrill(folder.path(), &["import", "remediation", "none.yaml"]).exits(2).says("the file holds no remediation that is known here");
    firedrill(folder.path(), &["import", "remediation", "clock.yaml", "--kind", "autoscaler"]).exits(2).says("no HorizontalPodAutoscaler");
    firedrill(folder.path(), &["import", "remediation", "clock.yaml", "--owner", "a b"]).exits(2).says("cannot be an owner");
    assert!(!folder.path().join("out").exists());
}
