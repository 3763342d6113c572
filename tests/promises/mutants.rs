//! Which mistakes in the library's own policies would be noticed, by its scenarios and by its decision tests; and what guards that refused were worth.
//! The whole score stands in docs/mutants.md: `firedrill gate --project projects/library --mutants`.

use std::fs;

use crate::common::{copied_project, firedrill, root, words};
use serde_json::Value;

/// The gate's JSON on one policy of the library's project, in some of its scenarios, with one pair each.
fn gate(policy: &str, scenarios: &str, options: &str) -> Value {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("out").display().to_string();
    let line = format!(
        "gate --project projects/library --candidate {policy} --scenarios {scenarios} --pairs 1 --quiet --no-cache {options} --out {folder}"
    );
    firedrill(root(), &words(&line)).exits(0);
    serde_json::from_str(&fs::read_to_string(out.path().join("out/gate.json")).unwrap()).unwrap()
}

/// A policy, where it is rehearsed, what scenarios notice at least, and mistakes that one or the other notices.
struct Case {
    policy: &'static str,
    scenarios: &'static str,
    killed: usize,
    /// Parts of what is told of mutants that scenarios notice.
    by_scenarios: &'static [&'static str],
    /// The same of those that only decision tests notice.
    by_tests: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case {
        policy: "flush-unreadable-entries",
        scenarios: "stale-cache",
        killed: 3,
        by_scenarios: &["whatever the alert names", "step 1 is not verified", "looks 10 times as far back"],
        by_tests: &["waits 40m and not 4m", "need not hold", "the guard cooldown"],
    },
    Case {
        policy: "rollback-on-regression",
        scenarios: "bad-deploy-errors",
        killed: 3,
        by_scenarios: &["whatever the alert names", "precheck 1 asks for <= where", "step 1 is not verified"],
        by_tests: &["precheck 1 is not asked", "cap 1 allows everything", "there is no limit of 3 starts", "the guard cooldown"],
    },
    Case {
        policy: "drain-sick-replica",
        scenarios: "crash-loop-one-replica,crash-goes-on",
        killed: 5,
        // An action that does nothing, and looks for moments as if it had helped.
        by_scenarios: &[
            "precheck 1 asks for <= where",
            "step 1 is not verified",
            "step 1 asks for != where it asked for ==",
            "need not hold for any time",
            "waits 50m and not 5m",
        ],
        by_tests: &["cap 1 allows everything", "there is no limit of 4 starts", "the guard cooldown", "precheck 1 is not asked"],
    },
    Case {
        policy: "park-poisoned-messages",
        scenarios: "parked-three-times,an-order-that-takes-its-time",
        killed: 6,
        // As many cures as the limit allows, and alarms that are false: soon after one, long after, and after the last.
        by_scenarios: &["there is no limit of 3 starts", "the guard cooldown", "precheck 1 asks for <= where", "precheck 1 looks 10 times"],
        by_tests: &["need not hold"],
    },
];

#[test]
fn every_way_in_which_these_policies_could_be_wrong_is_noticed_and_it_is_told_by_what() {
    for Case { policy, scenarios, killed, by_scenarios, by_tests } in CASES {
        let gate = gate(policy, scenarios, "--mutants");
        let mutants = gate["scrutiny"]["mutation"]["mutants"].as_array().unwrap();
        assert!(mutants.iter().all(|own| own["policy"] == policy), "{policy}");
        let survivors: Vec<_> = mutants.iter().filter(|own| !own["fate"]["survived"].is_null()).collect();
        assert!(survivors.is_empty(), "{policy}: {survivors:#?}");
        let by =
            |fate: &str| mutants.iter().filter(|own| !own["fate"][fate].is_null()).map(|own| own["what"].to_string()).collect::<Vec<_>>();
        let (runs, tests) = (by("killed"), by("fails_test"));
        assert!(runs.len() >= killed, "{policy}: {runs:#?}");
        assert_eq!(runs.len() + tests.len(), mutants.len());
        for (found, expected) in [(&runs, by_scenarios), (&tests, by_tests)] {
            let missing: Vec<_> = expected.iter().filter(|part| !found.iter().any(|what| what.contains(**part))).collect();
            assert!(missing.is_empty(), "{policy}: {missing:?} of {found:#?}");
        }
        let named = mutants.iter().find_map(|own| own["fate"]["fails_test"]["file"].as_str()).unwrap();
        assert!(root().join(named).is_file() || root().join("projects/library").join(named).is_file(), "{named}");
    }
}

#[test]
fn the_decision_tests_of_the_librarys_project_pass() {
    let files = fs::read_dir(root().join("projects/library/tests")).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let files: Vec<String> = files.collect();
    let arguments: Vec<&str> = ["test"].into_iter().chain(files.iter().map(String::as_str)).collect();
    firedrill(root(), &arguments).exits(0).says("17 passed, 0 failed");
}

#[test]
fn a_test_that_the_policy_itself_fails_notices_no_mutant() {
    let folder = copied_project("release");
    let project = folder.path().join("firedrill.yaml");
    let with_tests = fs::read_to_string(&project).unwrap().replacen("scenarios:", "tests: [decisions.yaml]\nscenarios:", 1);
    fs::write(&project, with_tests).unwrap();
    let told = |expected: &str| {
        let text = format!(
            "policies: [policies/undo-release.yaml]\nevaluation_interval: 15s\ntests:\n  - name: nothing fires\n    interval: 15s\n    \
             input_series: [{{ series: 'up{{pod=\"a-0\"}}', values: '1x4' }}]\n    decision_test:\n      \
             - {{ policy: undo-release, eval_time: 1m, exp_decisions: [{expected}] }}\n"
        );
        fs::write(folder.path().join("decisions.yaml"), text).unwrap();
        firedrill(folder.path(), &words("gate --mutants --no-cache")).exits(0).stdout
    };
    // Nothing is decided either way, so no mutant differs; and what is expected in vain says nothing of any of them.
    for expected in ["", "{ at: 1m, page: oncall }"] {
        let told = told(expected);
        assert!(told.contains("your scenarios notice ") && !told.contains("your decision tests"), "{told}");
    }
}

#[test]
fn what_a_guard_was_worth_is_told_by_the_same_run_without_it() {
    let gate = gate("drain-lost-zone", "aws-2025-10-20-health-checks", "");
    let worth = part(&gate, "guard precheck").expect("the precheck refused");
    assert_eq!((worth["policy"].as_str(), worth["met"].as_u64()), (Some("drain-lost-zone"), Some(1)));
    let run = &worth["runs"][0]["worth"];
    let figure = |arm: &str, what: &str| run[arm][what].as_f64().unwrap();
    // The checks see a zone go that answers its users; whoever drains it takes a third of what is needed.
    assert!(figure("with", "user_minutes_lost") < 10.0 && figure("without", "user_minutes_lost") > 10_000.0, "{run}");
    assert_eq!((figure("with", "actions"), figure("without", "false_positives")), (0.0, 1.0), "{run}");
    // Where no guard refused there is nothing to tell.
    let plain = self::gate("flush-unreadable-entries", "stale-cache", "");
    assert!(part(&plain, "guard").is_none(), "{}", plain["scrutiny"]["worth"]);
}

/// The first part whose words begin so, of those that were left out.
fn part<'a>(gate: &'a Value, begins: &str) -> Option<&'a Value> {
    gate["scrutiny"]["worth"].as_array().unwrap().iter().find(|part| part["words"].as_str().unwrap().starts_with(begins))
}
