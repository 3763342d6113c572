//! What services run out of beside CPU and memory, and the policies of the library that answer: each helps where its fault is, and leaves the rest alone.
use crate::common::{each, edited, firedrill, holds, root, unmanned, write};
use serde_json::Value;

/// Each fault that has a policy of its own, and the horizon that shows whether it helps.
const REMEDIES: [(&str, &str, &str); 11] = [
    ("certificate-expires", "30m", "renew-expired-certificate"),
    ("config-drift", "30m", "revert-config-drift"),
    ("connection-leak", "35m", "reset-starving-pool"),
    ("disk-fills", "35m", "clear-filling-volume"),
    ("node-fails-slowly", "35m", "replace-starved-node"),
    ("slow-database", "35m", "isolate-slow-dependency"),
    ("slow-network", "30m", "scale-out-waiting-workers"),
    ("slow-recommendations", "35m", "break-hanging-dependency"),
    ("slow-zone", "35m", "shift-from-slow-zone"),
    ("spoilt-entries", "30m", "flush-unreadable-entries"),
    ("thread-limit", "30m", "scale-back-thread-limit"),
];

/// Plays a scenario of the library until its fault has been on for a while, with policies: what is told in one line, and the outcome.
fn cut_short(scenario: &str, horizon: &str, policies: &[&str]) -> (String, Value) {
    outcome(scenario, &[(&format!("horizon: {horizon}"), "horizon: 22m")], policies)
}

fn outcome(scenario: &str, edits: &[(&str, &str)], policies: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "scenario.yaml", &unmanned(&edited(scenario, edits)));
    let out = folder.path().join("out");
    let rules = root().join("policies/library/rules/resources.yaml");
    let mut arguments = vec!["run", path.to_str().unwrap(), "--out", out.to_str().unwrap(), "--rules", rules.to_str().unwrap()];
    arguments.extend(policies.iter().flat_map(|policy| ["--policy", policy]));
    let done = firedrill(root(), &arguments).exits(0);
    let outcome = std::fs::read_to_string(out.join("outcome.json")).unwrap();
    // Lines are broken where they are too long.
    let told = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    (told, serde_json::from_str(&outcome).unwrap())
}

fn lost(outcome: &Value, arm: &str) -> f64 {
    outcome[arm]["user_minutes_lost"].as_f64().unwrap()
}

#[test]
fn each_policy_helps_where_its_fault_is() {
    each(&REMEDIES, |(scenario, horizon, policy)| {
        let (told, outcome) = cut_short(scenario, horizon, &[policy]);
        holds(told.contains("the remediation is verified"), || format!("{policy} in {scenario}: {told}"))?;
        let (with, without) = (lost(&outcome, "policy"), lost(&outcome, "nothing"));
        holds(without > 1.0, || format!("{scenario} hurts: {without}"))?;
        holds(with < 0.5 * without, || format!("{policy} helps against {scenario}: {with} of {without} minutes are left"))?;
        let wrong = ["harm", "false_positives", "missed"].map(|measure| outcome[measure].as_f64());
        holds(wrong == [Some(0.0); 3], || format!("{policy} in {scenario}: harm, false positives, missed: {wrong:?}"))?;
        let violations = &outcome["safety_violations"];
        holds(*violations == Value::Array(Vec::new()), || format!("{policy} in {scenario}: {violations}"))
    });
}

/// The other good policies, each with a scenario that it is for.
const ALONE: [(&str, &str); 9] = [
    ("break-retry-storm", "retry-storm"),
    ("drain-lost-zone", "zone-loss"),
    ("drain-sick-replica", "crash-loop-one-replica"),
    ("fail-over-lost-primary", "primary-lost"),
    ("park-poisoned-messages", "poisoned-order"),
    ("restart-before-oom", "memory-leak-to-oom"),
    ("restart-crashed-or-hung", "hang-one-replica"),
    ("rollback-on-regression", "bad-deploy-errors"),
    ("scale-on-saturation", "traffic-surge"),
];

/// That the gate holds of a policy alone on a scenario; otherwise what it says.
fn against(&(policy, scenario): &(&str, &str)) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let project = format!(
        "schema: project/1\npairs: 1\nrules: [slo, kubernetes, resources, stateful, users]\npolicies: [{policy}]\nscenarios: [{scenario}]\nthresholds:\n  \
         harm: max < 1 user-minutes\n  missed: max == 0\n  false_positive_rate: max < 2%\n  safety_violations: max == 0\n"
    );
    write(folder.path(), "firedrill.yaml", &project);
    let done = firedrill(folder.path(), &["gate", "--quiet", "--out", "out"]);
    let is_held = done.code == 0 && done.stdout.contains("held: every threshold holds in every class");
    holds(is_held, || format!("{policy}: {}{}", done.stdout, done.stderr))
}

#[test]
fn the_gate_holds_of_every_other_good_policy_by_itself_on_what_it_is_for() {
    // One only calls, and one reads metrics that no simulated system shows: the gate takes neither for a remedy that it could judge here.
    let elsewhere = ["online-boutique-restart", "page-on-user-impact"];
    let good =
        firedrill_policies::library::POLICIES.iter().filter(|entry| !entry.is_hazard()).map(firedrill_policies::library::Entry::name);
    let good: Vec<&str> = good.filter(|name| !elsewhere.contains(name)).collect();
    let mut shown: Vec<&str> = ALONE.map(|(policy, _)| policy).into_iter().chain(REMEDIES.map(|(_, _, policy)| policy)).collect();
    shown.sort_unstable();
    assert_eq!(good, shown);
    each(&ALONE, against);
}

#[test]
fn all_of_them_together_leave_calm_alone() {
    let policies: Vec<&str> = REMEDIES.iter().map(|(_, _, policy)| *policy).collect();
    for scenario in ["blip", "healthy-deploy", "lunch-peak"] {
        let (_, outcome) = outcome(scenario, &[], &policies);
        assert_eq!(outcome["actions"], Value::from(0), "{scenario}");
    }
}

#[test]
fn to_flush_the_whole_cache_is_worse_than_to_do_nothing() {
    let (_, text) = firedrill_policies::library::policy("flush-unreadable-entries").unwrap();
    let text =
        text.replace("- flush_cache: { prefix: 'eu:' }", "- flush_cache: {}").replace("flush-unreadable-entries", "flush-everything");
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "flush-everything.yaml", &text);
    let (told, outcome) = cut_short("spoilt-entries", "30m", &[path.to_str().unwrap()]);
    // It is verified, because nothing unreadable is left; but the database cannot carry what the cache had.
    assert!(told.contains("the remediation is verified") && told.contains("users are still unwell when the run ends"), "{told}");
    assert!(lost(&outcome, "policy") > 2.0 * lost(&outcome, "nothing"), "{outcome}");
}
