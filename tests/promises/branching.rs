//! Arms that are played together leave behind, to the byte, what each would have left behind alone (docs/decisions/branching.md).
//!
//! Of telemetry they have only what somebody reads, and alone all of it, so this holds too that nobody misses the rest.

#[path = "../../sim/tests/promises/common/random.rs"]
mod random;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::common::{each, holds, root, write};
use firedrill::drill::{Arm, Drill, Played, Remembered, Rules};
use firedrill::sources;
use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use firedrill_scenarios::{Scenario, library, read_scenario};
use firedrill_sim::automation::{ApproverSpec, PersonSpec};
use firedrill_sim::spec::WorldSpec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const POLICIES: [&str; 10] = [
    "break-retry-storm",
    "drain-lost-zone",
    "drain-sick-replica",
    "fail-over-lost-primary",
    "park-poisoned-messages",
    "restart-all",
    "restart-before-oom",
    "restart-crashed-or-hung",
    "rollback-on-regression",
    "scale-on-saturation",
];

/// The library's scenarios, read once for all cases.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    library::ENTRIES.iter().map(|entry| read_scenario(entry.path, entry.text).unwrap()).filter(|scenario| !scenario.reference).collect()
});

/// The scenario with everything in it earlier or later, busier or calmer, and an end.
fn changed(mut scenario: Scenario, load: f64, minutes: u64) -> Arc<Scenario> {
    let spec = &*scenario.spec;
    // Of a large system less says as much: what breaks does so within the first six minutes.
    let minutes = if spec.services.len() > 5 { minutes.min(7) } else { minutes };
    let mut spec = WorldSpec { horizon: spec.horizon.min(Span::from_minutes(minutes)), ..spec.clone() };
    for client in &mut spec.clients {
        for (_, rate) in &mut client.rates {
            *rate = firedrill_core::quantity::Rate::per_second(rate.get() * load).unwrap();
        }
    }
    scenario.spec = Arc::new(spec);
    scenario.human = Some(Arc::new(quick()));
    Arc::new(scenario)
}

/// A person on call who acts within seconds to a minute, before or after the end of short runs.
fn quick() -> PersonSpec {
    let takes = |least, most| Distribution::log_uniform(least, most).unwrap();
    PersonSpec {
        detect: takes(1.0, 5.0),
        acknowledge: takes(1.0, 10.0),
        investigate: takes(1.0, 20.0),
        diagnose: takes(1.0, 5.0),
        act: takes(1.0, 5.0),
        verify: takes(2.0, 10.0),
        wrong_action: Ratio::new(0.3).unwrap(),
        no_answer: Ratio::new(0.3).unwrap(),
        escalate_after: Span::from_seconds(5),
    }
}

fn drill(scenario: &Arc<Scenario>, rules: &Arc<Rules>, policies: &[&str], stage: Stage) -> Drill {
    let answer = sources::answer(policies, root()).unwrap();
    Drill { scenario: Arc::clone(scenario), rules: Arc::clone(rules), answer, stage, past: Remembered::default() }
}

/// That what was played together is what was played alone, and whether anybody acted.
fn check(together: &Played, alone: &Played, what: &str) -> Result<bool, String> {
    let (left, right) = (together.transcript.to_json_lines(), alone.transcript.to_json_lines());
    if left != right {
        let (line, (left, right)) =
            left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right).unwrap_or_default();
        return Err(format!("{what}: line {line} of the journals differs\n  together: {left}\n  alone:    {right}"));
    }
    holds(together.transcript.ledger == alone.transcript.ledger, || format!("{what}: the ledgers differ"))?;
    holds(together.transcript.fingerprint() == alone.transcript.fingerprint(), || format!("{what}: the fingerprints differ"))?;
    Ok(left.contains("\"action_started\""))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn any_policies_on_any_scenario_are_the_same_together_and_alone(
        scenario in 0..SCENARIOS.len(),
        load in 0.3..1.4_f64,
        minutes in 7..16_u64,
        chosen in proptest::sample::subsequence(POLICIES.to_vec(), 2..=3),
        seed in 0..1000_u64,
        dry in proptest::bool::weighted(0.2),
    ) {
        let scenario = changed(SCENARIOS[scenario].clone(), load, minutes);
        let rules = sources::rules(&["slo", "kubernetes", "stateful"], root()).unwrap();
        let stage = if dry { Stage::DryRun } else { Stage::Full };
        let drills: Vec<Drill> = chosen.iter().map(|policy| drill(&scenario, &rules, &[policy], stage)).collect();
        let mut arms = vec![(&drills[0], Arm::Nothing), (&drills[0], Arm::Oracle)];
        // Whose run goes on after the others' is the dearest of all, so not in every case.
        if seed % 4 == 0 {
            arms.push((&drills[0], Arm::Human));
        }
        arms.extend(drills.iter().map(|drill| (drill, Arm::Policy)));
        let together = Drill::play_together(&arms, seed);
        let pairs: Vec<_> = arms.iter().zip(&together).collect();
        each(&pairs, |((drill, arm), together)| {
            let what = format!("{} with {} in the arm {}, load x{load}, {minutes} min, seed {seed}", scenario.name, drill.answer.label, arm.word());
            check(together, &drill.play(*arm, seed), &what)
        });
    }
}

/// Alerts on what happens all the time in a random world, so that there is much to answer.
const QUICK_RULES: &str = r#"
groups:
  - name: quick
    interval: 5s
    rules:
      - alert: Busy
        expr: http_requests_in_flight{service!=""} > 1
      - alert: Failing
        expr: sum by (service) (increase(http_requests_total{code=~"5..", service!=""}[20s])) > 3
        for: 5s
      - alert: Silent
        expr: up{pod!=""} == 0
      - alert: Waiting
        expr: sum by (service) (http_requests_queued{service!=""}) > 2
"#;

/// A deed, and whether it is aimed at a replica.
fn some_step() -> impl Strategy<Value = (String, bool)> {
    let deed = prop_oneof![
        Just(("restart: { mode: rolling }", true)),
        Just(("restart: { mode: at_once }", true)),
        Just(("drain: {}", true)),
        Just(("scale: { by: 1 }", false)),
        Just(("scale: { times: x2 }", false)),
        Just(("rollback: {}", false)),
        Just(("purge_queue: {}", false)),
        Just(("park_messages: {}", false)),
        Just(("fail_over: {}", false)),
        Just(("limit_retries: { retries: 0, lasting: 10s }", false)),
        Just(("wait: 3s", true)),
    ];
    let verify = prop::option::of(prop::sample::select(vec!["next", "escalate"]));
    (deed, verify).prop_map(|((deed, of_replica), verify)| {
        let verify = verify.map(|then| format!("\n    verify: {{ expr: vector(1) == 0, within: 7s }}\n    on_failure: {then}"));
        (format!("  - {deed}{}\n", verify.unwrap_or_default()), of_replica)
    })
}

prop_compose! {
    /// A policy file.
    fn some_policy()(
        of_replica in any::<bool>(), alert in any::<prop::sample::Index>(), steps in prop::collection::vec(some_step(), 1..4), cooldown in 1_u32..40,
        rolls in prop::option::of(1_u32..3), precheck in any::<bool>(), asks in prop::bool::weighted(0.3),
        sure in prop::option::weighted(0.3, prop::sample::select(vec!["0.6", "0.8", "0.95"])),
    ) -> String {
        let alerts: &[&str] = if of_replica { &["Busy", "Silent"] } else { &["Busy", "Failing", "Silent", "Waiting"] };
        let target = if of_replica { "replica: $pod" } else { "service: $service" };
        let mut steps: String = steps.into_iter().filter(|(text, is_of_replica)| *is_of_replica == of_replica || text.contains("wait")).map(|(text, _)| text).collect();
        if steps.is_empty() {
            steps.push_str("  - restart: { mode: rolling }\n");
        }
        let limit = rolls.map_or_else(String::new, |max| format!(", rate_limit: [{{ max: {max}, window: 30s, scope: target }}]"));
        let precheck = if precheck { "precheck:\n  - expr: count(up) > 0\n    because: somebody is there\n" } else { "" };
        // Of waiting nobody is asked.
        let acts = steps.lines().any(|line| line.starts_with("  - ") && !line.contains("wait"));
        let asks = if asks && acts { ", approval: { from: oncall, expires: 15s }" } else { "" };
        let sure = sure.map_or_else(String::new, |sure| format!(", confidence: {{ expr: vector({sure}) }}"));
        format!(
            "owner: o\non: {{ alert: {} }}\ntarget: {{ {target} }}\n{precheck}steps:\n{steps}  - escalate: {{ to: o }}\nguard: {{ cooldown: {cooldown}s{limit}{asks}{sure} }}\n",
            alerts[alert.index(alerts.len())],
        )
    }
}

/// People who answer within seconds, or never.
fn quick_approvers() -> Arc<[ApproverSpec]> {
    let share = |share| Ratio::new(share).unwrap();
    let answer = Distribution::log_uniform(1.0, 20.0).unwrap();
    Arc::new([ApproverSpec { role: Name::new("oncall"), count: 2, answer, no_answer: share(0.3), deny: share(0.1) }])
}

fn scenario_of(spec: WorldSpec) -> Arc<Scenario> {
    let mut scenario = SCENARIOS[0].clone();
    scenario.spec = Arc::new(spec);
    scenario.human = Some(Arc::new(quick()));
    scenario.approvers = quick_approvers();
    Arc::new(scenario)
}

/// The policies as drills of one scenario, each an answer of its own.
fn drills(folder: &Path, scenario: &Arc<Scenario>, rules: &Arc<Rules>, policies: &[String]) -> Vec<Drill> {
    let write = |(number, text): (usize, &String)| {
        let path = write(folder, &format!("p{number}.yaml"), &format!("schema: policy/1\npolicy: p{number}\n{text}"));
        drill(scenario, rules, &[path.to_str().unwrap()], Stage::Full)
    };
    policies.iter().enumerate().map(write).collect()
}

/// Databases, topics, locks, caches, calls in parallel and elsewhere, breakers, budgets, autoscalers, nodes, probes, faults; and whatever policies.
#[test]
fn any_policies_on_any_world_are_the_same_together_and_alone() {
    const CASES: usize = 40;
    const MOST_EVENTS: u64 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let rules = sources::rules(&[write(folder.path(), "rules.yaml", QUICK_RULES).to_str().unwrap()], root()).unwrap();
    let config = ProptestConfig { cases: CASES as u32, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let acted = Cell::new(0);
    let worlds = (random::worlds::some_world(), prop::collection::vec(some_policy(), 3..5), 0..1000_u64);
    let played = runner.run(&worlds, |(mut spec, policies, seed)| {
        spec.scrape.interval = Span::from_seconds(3);
        // Where alerts never end a person is called for a day; so all end at a bound, which arms must come to alike.
        spec.bounds.events = MOST_EVENTS;
        let scenario = scenario_of(spec);
        let drills = drills(folder.path(), &scenario, &rules, &policies);
        let mut arms = vec![(&drills[0], Arm::Nothing), (&drills[0], Arm::Oracle)];
        // Whose run goes on after the others' is the dearest of all, so not in every case.
        if seed % 4 == 0 {
            arms.push((&drills[0], Arm::Human));
        }
        arms.extend(drills.iter().map(|drill| (drill, Arm::Policy)));
        let together = Drill::play_together(&arms, seed);
        let pairs: Vec<_> = arms.iter().zip(&together).collect();
        let acts = each(&pairs, |((drill, arm), together)| {
            let what = format!("{} in the arm {}, seed {seed}", drill.answer.label, arm.word());
            Ok(check(together, &drill.play(*arm, seed), &what)? && *arm == Arm::Policy)
        });
        acted.set(acted.get() + acts.into_iter().filter(|acts| *acts).count());
        Ok(())
    });
    played.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(acted.get() > CASES, "{} arms of policies acted in {CASES} worlds", acted.get());
}

#[test]
fn policies_that_act_at_different_times_each_have_their_own_world_from_there_on() {
    let scenario = changed(SCENARIOS.iter().find(|scenario| &*scenario.name == "hang-one-replica").unwrap().clone(), 1.0, 20);
    let rules = sources::rules(&["slo", "kubernetes"], root()).unwrap();
    let drills =
        ["restart-crashed-or-hung", "restart-all", "break-retry-storm"].map(|policy| drill(&scenario, &rules, &[policy], Stage::Full));
    let mut arms = vec![(&drills[0], Arm::Nothing)];
    arms.extend(drills.iter().map(|drill| (drill, Arm::Policy)));
    let together = Drill::play_together(&arms, 1);
    let pairs: Vec<_> = arms.iter().zip(&together).collect();
    let acted = each(&pairs, |((drill, arm), played)| check(played, &drill.play(*arm, 1), drill.answer.label.as_str()));
    assert_eq!(acted, [false, true, true, false], "two of them act, and one has nothing to do");
    assert!(together[1].transcript.ledger != together[2].transcript.ledger, "two policies are two worlds");
}
