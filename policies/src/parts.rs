//! The parts of a policy that runs can reach: what a rehearsal that tries all of it would have tried.

use firedrill_core::action::Action;
use firedrill_core::journal::Verification;
use firedrill_core::name::Name;
use firedrill_core::part::Part;

use crate::guard::Guard;
use crate::policy::{Deed, Policy};

/// Every part, in the order of the policy: steps with what can become of them, calls, and guards that it asks for.
///
/// Guards that are there for every policy (its stage, one remediation at a time) and those of the project are no part of it.
#[must_use]
pub fn parts(policy: &Policy) -> Vec<Part> {
    let mut parts = Vec::new();
    for (index, step) in policy.steps.iter().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        if let Deed::Escalate(escalation) = &step.deed {
            let called = std::iter::once(&escalation.to).chain(escalation.then.iter().map(|rung| &rung.to));
            called.for_each(|to| add(&mut parts, Part::Call(to.clone())));
            continue;
        }
        parts.push(Part::Step(number));
        let candidates = (0..).zip(policy.candidates(index));
        parts.extend(candidates.filter_map(|(place, own)| Some(Part::Candidate(number, place, what(&own.deed)?))));
        if step.verify.is_some() {
            let ends = [Verification::Held, Verification::Failed, Verification::Inconclusive];
            parts.extend(ends.map(|end| Part::Verify(number, end)));
        }
        let cannot_fail = matches!(step.deed, Deed::Notify(_) | Deed::Collect(_) | Deed::Wait(_));
        if step.verify.is_some() || !cannot_fail {
            parts.push(Part::OnFailure(number));
        }
    }
    if !policy.steps.iter().any(|step| matches!(step.deed, Deed::Escalate(_))) {
        add(&mut parts, Part::Call(policy.escalation(0).to));
    }
    if policy.escalate_after.is_some() {
        parts.push(Part::EscalateAfter);
    }
    let is_own = |guard: &Guard| match guard {
        Guard::Stage | Guard::Dedup | Guard::Code => false,
        Guard::Precheck => !policy.prechecks.is_empty(),
        guard => policy.guards.has(*guard),
    };
    parts.extend(Guard::ALL.into_iter().filter(is_own).map(|guard| Part::Guard(Name::new(guard.word()))));
    parts
}

/// What a candidate does.
fn what(deed: &Deed) -> Option<Name> {
    match deed {
        Deed::Act(action) => Some(Name::from(action.to_string())),
        Deed::Wait(span) => Some(Name::from(Action::Wait { span: *span }.to_string())),
        _ => None,
    }
}

fn add(parts: &mut Vec<Part>, part: Part) {
    if !parts.contains(&part) {
        parts.push(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;

    #[test]
    fn the_parts_of_a_policy_are_its_steps_their_ends_its_calls_and_its_guards() {
        let text = "
schema: policy/1
policy: scale
owner: team
on: { alert: Busy }
target: { service: $service }
precheck: [{ expr: 'busy{service=$service} > 1', because: who idles needs nobody }]
steps:
  - notify: { to: team }
  - scale: { by: 2 }
    verify: { expr: 'busy{service=$service} < 1', within: 2m }
    on_failure: revert
  - escalate: { ladder: [{ to: oncall }, { to: lead, after: 15m }] }
escalate_after: 10m
guard: { cooldown: 5m }
";
        let policy = read_policy("scale.yaml", text).unwrap();
        let told: Vec<String> = parts(&policy).iter().map(ToString::to_string).collect();
        let expected = [
            "step 1",
            "step 2",
            "verify of step 2 held",
            "verify of step 2 failed",
            "verify of step 2 unknown",
            "on_failure of step 2",
            "call to oncall",
            "call to lead",
            "escalate_after",
            "guard precheck refused",
            "guard cooldown refused",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn each_candidate_is_a_part() {
        let choice = "  - choose:\n      - { rollback: {}, score: 2, risk: low }\n      - { wait: 30s, score: 1 }\n";
        let text = "schema: policy/1\npolicy: choose\nowner: team\non: { alert: Bad }\ntarget: { service: api }\nsteps:\n";
        let policy = read_policy("choose.yaml", &format!("{text}{choice}")).unwrap();
        let told: Vec<String> = parts(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(told[..3], ["step 1", "candidate 1 of step 1 (rollback)", "candidate 2 of step 1 (wait (30s))"]);
    }

    #[test]
    fn who_calls_nobody_by_name_calls_the_owner() {
        let text =
            "schema: policy/1\npolicy: purge\nowner: team\non: { alert: Full }\ntarget: { service: api }\nsteps:\n  - purge_queue: {}\n";
        let policy = read_policy("purge.yaml", text).unwrap();
        let told: Vec<String> = parts(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["step 1", "on_failure of step 1", "call to team"]);
    }
}
