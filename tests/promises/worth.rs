//! What an action was worth: the same run without it.

use serde_json::Value;

use crate::common::{firedrill, root, words};

fn run(line: &str) -> Value {
    firedrill(root(), &words(&format!("run {line} --format json"))).exits(0).json()
}

fn lost(figures: &Value) -> f64 {
    figures["user_minutes_lost"].as_f64().unwrap()
}

#[test]
fn without_its_only_action_a_run_loses_users_what_doing_nothing_does() {
    let told = run("bad-deploy-errors --policy rollback-on-regression --worth");
    let deeds = told["worth"].as_array().unwrap();
    let outcome = &told["outcome"];
    assert_eq!(deeds.len(), outcome["deeds"].as_array().unwrap().len());
    let first = &deeds[0]["worth"];
    assert_eq!(lost(&first["with"]), outcome["user_minutes_lost"].as_f64().unwrap());
    // The world never heard of it: to the last digit.
    assert_eq!(lost(&first["without"]), outcome["nothing"]["user_minutes_lost"].as_f64().unwrap());
    assert!(lost(&first["without"]) > lost(&first["with"]) + 100.0, "{first}");
    assert!(told["command"].as_str().unwrap().contains("--worth"));
    let plain = run("bad-deploy-errors --policy rollback-on-regression");
    assert_eq!((&plain["worth"], &plain["fingerprint"]), (&Value::Null, &told["fingerprint"]));
}

#[test]
fn the_action_that_did_the_harm_is_named_by_a_gate() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let few = ["--scenarios", "retry-storm-that-wanes", "--pairs", "1"];
    let all = ["gate", "--candidate", "policies/library/hazards/restart-all.yaml", "--out", out, "--no-cache"];
    firedrill(root(), &[&all[..], &few].concat()).exits(1);
    let gate: Value = serde_json::from_str(&std::fs::read_to_string(folder.path().join("out/gate.json")).unwrap()).unwrap();
    let deeds = gate["scrutiny"]["deeds"].as_array().unwrap();
    let harmful: Vec<&Value> = deeds.iter().filter(|deed| lost(&deed["worth"]["with"]) > lost(&deed["worth"]["without"]) + 1.0).collect();
    assert!(!harmful.is_empty(), "{deeds:#?}");
    let page = std::fs::read_to_string(folder.path().join("out/gate.html")).unwrap();
    assert!(page.contains("What did it, in ") && page.contains("What each action was worth"));
}

#[test]
fn of_two_steps_that_only_help_together_each_is_worth_all_of_it() {
    let told = run("retry-storm --policy break-retry-storm --worth");
    let deeds = told["worth"].as_array().unwrap();
    assert_eq!(deeds.len(), 2);
    for deed in deeds {
        let without = &deed["worth"]["without"];
        assert_eq!(lost(without), told["outcome"]["nothing"]["user_minutes_lost"].as_f64().unwrap(), "{deed}");
        // The step that was left out is verified in vain, and people are called.
        assert_eq!((without["time_to_recover"]["censored"].as_bool(), without["pages"].as_u64()), (Some(true), Some(1)), "{deed}");
    }
}
