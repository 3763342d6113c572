//! What the project's rules are told of an action: the input document of policy as code.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::journal::GuardVerdict;
use firedrill_core::time::{Start, Time};

use super::state::Incident;
use crate::code::{self, Offered, Reads};
use crate::guard::caps::{Part, replicas_taken};
use crate::guard::stage::{is_critical, is_reversible};
use crate::guard::{Answer, Asked, Guard, services_touched, zones_touched};
use crate::policy::Policy;

/// The version of the input document.
const VERSION: u32 = 1;

/// The input document for an action. `answers` are those of the guards that were asked just now; the ones before them say again what they said.
/// Lists that take work and that no rule of the bundle reads are left empty.
pub(super) fn offered(incident: &Incident, (policy, asked): (&Policy, &Asked<'_>), answers: &[(Guard, Answer)], reads: &Reads) -> Offered {
    let since = asked.since.map(|since| epoch(asked.start, since));
    let text = |name: &firedrill_core::name::Name| name.to_string();
    let labels = incident.labels.iter().map(|(name, value)| (text(name), text(value))).collect();
    let Asked { stage, start, now, proposal, .. } = *asked;
    Offered {
        version: VERSION,
        policy: code::Owned {
            name: text(&policy.name),
            owner: text(&policy.owner),
            stage: stage.word(),
            incident: incident.id,
            step: incident.step as u64 + 1,
        },
        alert: code::Alert { name: text(&incident.alert), labels, since },
        action: code::Deed {
            word: proposal.action.word(),
            parameters: if reads.inner("action", "parameters") { parameters(&proposal.action) } else { serde_json::Value::Null },
            text: proposal.action.to_string(),
            is_reversible: is_reversible(&proposal.action),
            replicas: replicas_taken(&proposal.action, &proposal.target, &Part::All, asked.inventory),
        },
        target: target(asked),
        guards: if reads.field("guards") { guards(asked, answers) } else { BTreeMap::new() },
        in_flight: if reads.field("in_flight") { in_flight(asked) } else { Vec::new() },
        time: code::Time {
            rfc3339: Start::from_unix_millis(start.prometheus_millis(now)).to_string(),
            epoch: epoch(start, now),
            elapsed: now.as_seconds(),
        },
        confidence: asked.confidence.0.as_ref().ok().map(|(value, _)| *value),
    }
}

fn epoch(start: Start, at: Time) -> f64 {
    start.prometheus_millis(at) as f64 / 1000.0
}

/// The parameters of an action as the journal has them; an empty map if it has none.
fn parameters(action: &firedrill_core::action::Action) -> serde_json::Value {
    let none = || serde_json::Value::Object(serde_json::Map::new());
    match serde_json::to_value(action) {
        Ok(serde_json::Value::Object(whole)) => whole.into_iter().next().map_or_else(none, |(_, parameters)| parameters),
        _ => none(),
    }
}

fn target(asked: &Asked<'_>) -> code::Target {
    let (target, inventory) = (&asked.proposal.target, asked.inventory);
    let mut services: Vec<String> = services_touched(target, inventory).iter().map(ToString::to_string).collect();
    services.sort();
    let replicas = services.iter().filter_map(|service| inventory.services.get(service.as_str())).map(|entry| u64::from(entry.replicas));
    code::Target {
        kind: target.kind(),
        name: target.name().to_string(),
        replicas: replicas.sum(),
        zones: zones_touched(target, inventory).iter().map(ToString::to_string).collect(),
        tier: if is_critical(asked.proposal, inventory) { "critical" } else { "standard" },
        owners: owners(&services, asked),
        services,
    }
}

/// Who owns services, each once.
fn owners(services: &[String], asked: &Asked<'_>) -> Vec<String> {
    let owners = services.iter().filter_map(|service| asked.settings.estate.owners.get(service.as_str()));
    owners.map(ToString::to_string).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What the guards before the rules say.
fn guards(asked: &Asked<'_>, answers: &[(Guard, Answer)]) -> BTreeMap<&'static str, code::Asked> {
    let before = Guard::ALL.into_iter().filter(|guard| *guard < Guard::Code);
    let told = |guard: Guard| {
        let known = answers.iter().find(|(own, _)| *own == guard).map(|(_, answer)| answer.clone());
        let answer = known.unwrap_or_else(|| asked.ask(guard));
        let verdict = match answer.verdict {
            GuardVerdict::Passed => "passed",
            GuardVerdict::NotConfigured => "not_configured",
            GuardVerdict::Refused => "refused",
        };
        (guard.word(), code::Asked { verdict, figures: answer.figures })
    };
    before.map(told).collect()
}

fn in_flight(asked: &Asked<'_>) -> Vec<code::InFlight> {
    let all = asked.memory.remediations.all();
    let deeds = all.flat_map(|remediation| remediation.deeds.iter().map(move |deed| (remediation, deed)));
    let told = deeds.map(|(remediation, deed)| code::InFlight {
        policy: remediation.policy.to_string(),
        incident: remediation.incident,
        action: deed.action.word(),
        target: deed.target.to_string(),
        is_running: deed.running,
    });
    told.collect()
}

#[cfg(all(test, feature = "rego"))]
mod tests {
    use std::sync::Arc;

    use firedrill_core::action::ActionOutcome;
    use firedrill_core::inventory::Inventory;
    use firedrill_core::journal::{Event, Input, Truth};
    use firedrill_core::name::Name;
    use firedrill_core::problem::{Place, SourceFile};

    use super::*;
    use crate::code::{Text, read};
    use crate::controller::Effect;
    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, says};
    use crate::guard::approval::Asking;
    use crate::guard::stage::Stage;
    use crate::guard::{Proposal, owner_of};
    use crate::shared::Shared;

    /// A controller whose actions are offered to a rule.
    fn under(rule: &str, policy: &str) -> Bench {
        let file = Arc::new(SourceFile { path: "firedrill.yaml".to_owned(), text: "rego".to_owned() });
        let text = Text { path: "a.rego".to_owned(), text: format!("package firedrill\n{rule}\n") };
        let code = read(&Place::new(&file, 0, 4), &[text], "hash".to_owned()).unwrap().bundle;
        let mut bench = Bench::new(policy, Stage::Full);
        let shared = Shared { code: Some(code), ..Shared::default() };
        bench.controller.setup.policy = shared.around(bench.controller.setup.policy.clone());
        bench
    }

    #[test]
    fn a_denied_action_is_proposed_again_until_it_is_denied_no_more() {
        let mut bench = under("deny contains \"too early\" if input.time.elapsed < 61", RESTART);
        bench.check(0, fires("api-1"), &["open 0", "refuse 0 by policy_as_code: denied: too early", "timer 0 at 60"]);
        bench.check(60, Input::Timer { timer: 0 }, &["refuse 0 by policy_as_code: denied: too early", "timer 1 at 120"]);
        bench.check(120, Input::Timer { timer: 1 }, &["start restart#0 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn what_must_be_approved_starts_once_somebody_says_yes() {
        let mut bench = under("require_approval contains \"it cannot be undone\" if not input.action.is_reversible", RESTART);
        let refusal = "refuse 0 by approval: 1 of oncall must say yes: it cannot be undone";
        let asked = ["open 0", refusal, "timer 0 at 900", "propose restart#0", "ask 0 restart (rolling) replica/api-1"];
        bench.check(0, fires("api-1"), &asked);
        let granted = ["ada counts: 1 of 1 said yes", "proposal 0 Granted: ada (oncall) said yes", "cancel 0"];
        let started = "start restart#0 restart (rolling) replica/api-1";
        bench.check(60, says(0, "ada", true), &[granted[0], granted[1], granted[2], started]);
    }

    #[test]
    fn a_warning_lets_it_start_and_stands_in_the_journal_and_in_every_call_about_the_incident() {
        let mut bench = under("warn contains sprintf(\"%v of %v\", [input.action.replicas, input.target.replicas]) if true", RESTART);
        let started = bench.step(0, fires("api-1"));
        let said = |effect: &Effect| match effect {
            Effect::Record(Event::Guarded { guard, figures, .. }) if *guard == Name::new("policy_as_code") => Some(figures.clone()),
            _ => None,
        };
        assert_eq!(started.iter().filter_map(said).collect::<Vec<_>>(), ["not denied; warned: 1 of 4"]);
        assert!(started.iter().any(|effect| matches!(effect, Effect::Start(_))));
        let failed = bench.step(5, ended(0, ActionOutcome::Failed("no quota".into())));
        let page = failed.iter().find_map(|effect| if let Effect::Page { reason, .. } = effect { Some(reason.clone()) } else { None });
        assert_eq!(page.as_deref(), Some("step 1: the action failed: no quota; the project's rules warn: 1 of 4"));
        assert!(bench.controller.state().warnings.is_empty(), "the incident is closed");
    }

    #[test]
    fn what_cannot_be_told_denies_and_what_is_undone_is_not_offered() {
        let mut broken = under("deny contains \"x\" if 1 / (input.action.replicas - 1) > 0", RESTART);
        let told = broken.told(0, fires("api-1"));
        assert!(told[1].starts_with("refuse 0 by policy_as_code: denied, because the rules cannot tell: `deny`: "), "{told:?}");
        let scale = RESTART.replace("restart: { mode: rolling }", "scale: { by: 2 }").replace("{ replica: $pod }", "{ service: $pod }");
        let scale = scale.replace("on_failure: escalate", "on_failure: revert").replace("hold: 10s, within: 60s", "within: 1s");
        let limit = "rate_limit: [{ max: 9, window: 1h, scope: all }]";
        let mut undone = under("deny contains \"fewer\" if input.action.parameters.replicas.by < 0", &scale.replace("cooldown: 2m", limit));
        undone.check(0, fires("api"), &["open 0", "start restart#0 scale (by +2) service/api"]);
        undone.step(1, ended(0, OK));
        undone.step(1, answer(0, Truth::False));
        undone.check(2, answer(1, Truth::False), &["verified Failed after 1s", "start restart#1 scale (by -2) service/api"]);
    }

    #[test]
    fn the_schema_describes_what_is_offered_of_every_kind_of_target() {
        let mut bench =
            under("deny contains \"no\" if true", &RESTART.replace("cooldown: 2m", "caps: [{ scope: service, of: targets, max: 1 }]"));
        bench.step(0, fires("api-1"));
        let inventory: Inventory = (*bench.controller.setup.inventory).clone();
        let policy = bench.controller.setup.policy.clone();
        let state = bench.controller.state();
        let incident = state.incidents.get(0).unwrap();
        for target in ["service/api", "replica/api-1", "zone/a", "client/users", "node/unknown", "service/unknown"] {
            let target: firedrill_core::action::Target = target.parse().unwrap();
            let owner = owner_of(&target, &inventory);
            let action = firedrill_core::action::Action::Rollback;
            let proposal = Proposal { policy: policy.name.clone(), incident: 0, action, target, owner };
            let asked = Asked {
                settings: &policy.guards,
                stage: Stage::Full,
                inventory: &inventory,
                start: Start::default(),
                now: firedrill_core::time::Time::from_seconds(90),
                memory: &bench.guards,
                proposal: &proposal,
                whole: std::slice::from_ref(&proposal),
                prechecks: &[],
                facts: &[],
                since: Some(firedrill_core::time::Time::ZERO),
                seed: firedrill_core::random::Seed::default(),
                said: None,
                asking: &Asking::default(),
                confidence: (&Ok((0.9, String::new())), true),
            };
            let document = offered(incident, (&policy, &asked), &[], &Reads::Everything);
            assert_eq!(crate::code::described(&document), Ok(()), "{document:?}");
            assert_eq!(document.confidence, Some(0.9));
            assert_eq!(document.time.rfc3339, "2026-01-05T00:01:30Z");
            assert_eq!(document.alert.since, Some(1_767_571_200.0));
            assert_eq!(document.guards.len(), Guard::ALL.iter().filter(|guard| **guard < Guard::Code).count());
        }
    }
}
