//! What is learned of incidents is what happened in them, and what is drafted can be applied as it is; nothing is written by itself.

use std::fs;

use std::process::Command;

use crate::common::{firedrill, words};
use serde_json::Value;

fn of<'a>(found: &'a Value, source: &str) -> Vec<&'a Value> {
    let is_own = |lesson: &&Value| lesson["source"].as_str().is_some_and(|own| own.contains(source));
    found["incidents"].as_array().unwrap().iter().filter(is_own).collect()
}

#[test]
fn what_a_policy_came_to_in_a_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = |scenario: &str, policy: &str, out: &str| {
        firedrill(folder.path(), &words(&format!("run {scenario} --policy {policy} --out runs/{out} --quiet"))).exits(0);
    };
    run("hang-one-replica", "restart-crashed-or-hung", "cured");
    run("bad-deploy-errors", "scale-on-saturation", "idle");
    let done = firedrill(folder.path(), &words("learn runs --policy restart-crashed-or-hung --format json")).exits(0);
    let found = done.json();
    let cured = of(&found, "cured");
    assert!(
        cured.iter().any(|lesson| lesson["resolution"] == "full" && lesson["did"].as_str().unwrap().starts_with("restart")),
        "{found:#}"
    );
    assert_eq!(found["together"]["uncovered_incidents"].as_array().unwrap().len(), 1, "{found:#}");
    let open = found["together"]["uncovered_alerts"].as_array().unwrap();
    assert!(open.iter().any(|alert| alert["name"] == "RegressionAfterDeploy"), "the bad deploy's alerts are answered by nobody: {open:?}");
    let best = &found["together"]["automate"][0];
    let product =
        ["frequency", "minutes", "reversibility", "verifiability"].iter().map(|key| best[*key].as_f64().unwrap()).product::<f64>();
    assert!((best["worth"].as_f64().unwrap() - product).abs() < 1e-9 && product > 0.0, "{best}");
    firedrill(folder.path(), &words("learn runs --policy restart-crashed-or-hung")).exits(0).says("What to automate first").says("full");
}

#[test]
fn a_draft_can_be_applied_and_nothing_is_applied_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    firedrill(folder.path(), &words("run hang-one-replica --record incidents/hang --quiet")).exits(0);
    let page = folder.path().join("incidents/hang/incident.yaml");
    let before = fs::read_to_string(&page).unwrap();
    let learn = "learn incidents/hang --policy restart-crashed-or-hung";
    let diff = firedrill(folder.path(), &words(&format!("{learn} --diff"))).exits(0).stdout;
    assert_eq!(fs::read_to_string(&page).unwrap(), before);
    fs::write(folder.path().join("lessons.diff"), &diff).unwrap();
    let applied = Command::new("git").args(["apply", "lessons.diff"]).current_dir(folder.path()).output().unwrap();
    assert!(applied.status.success(), "{diff}\n{}", String::from_utf8_lossy(&applied.stderr));
    firedrill(folder.path(), &words("replay incidents/hang --policy restart-crashed-or-hung")).exits(0).says("passed: decisions right");
    let found = firedrill(folder.path(), &words(&format!("{learn} --format json"))).exits(0).json();
    assert_eq!(found["drafts"], serde_json::json!([]), "what is written down needs no draft");
    let own = of(&found, "hang");
    assert!(
        own.iter().any(|lesson| lesson["resolution"] == "unproven" && lesson["timely"] == true && lesson["right"] == true),
        "{found:#}"
    );
}

#[test]
fn without_anything_to_learn_from_it_says_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |line: &str| firedrill(folder.path(), &words(line)).exits(2).stderr;
    assert!(refused("learn").contains("there is nothing to learn from: there is no firedrill.yaml here"));
    assert!(refused("learn --ledger nowhere").contains("there is no ledger in nowhere"));
    fs::write(folder.path().join("journal.jsonl"), "{}\n").unwrap();
    assert!(refused("learn journal.jsonl").contains("FD0890"));
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(refused("learn empty").contains("neither a journal nor an incident"));
}
