//! A rest for the target, counted from the end of an action on it: by the same policy, and by any policy.
//!
//! While an action on what overlaps with the target is under way, the target is being worked on: no replica of a service is restarted while the service
//! is. What stands on a node nobody knows beforehand, so nodes are by themselves. The rest afterwards is that of the very target, since one replica that
//! was restarted is no reason to keep help away from a service.

use std::collections::BTreeMap;

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Holder;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::dedup::Remediations;
use super::{Answer, Proposal};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "cooldown";

/// How long a target rests. The steps of one incident follow each other without rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// After an action of this policy.
    pub same_policy: Span,
    /// After an action of any policy.
    pub any_policy: Span,
}

/// When actions last ended, for each target and policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// The last end by each policy, in the order in which they ended.
    targets: BTreeMap<Target, Vec<End>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct End {
    policy: Name,
    incident: u64,
    at: Time,
}

impl Ends {
    /// An action has ended.
    pub(super) fn record(&mut self, policy: &Name, incident: u64, target: Target, now: Time) {
        let ends = self.targets.entry(target).or_default();
        ends.retain(|end| end.policy != *policy);
        ends.push(End { policy: policy.clone(), incident, at: now });
    }

    /// No rest of a target can last until now.
    pub(super) fn forget(&mut self, target: &Target) {
        self.targets.remove(target);
    }
}

/// Asks the guard. Passes from `end + cooldown` on, that instant included.
#[must_use]
pub fn check(
    cooldown: Option<Cooldown>,
    proposal: &Proposal,
    ends: &Ends,
    remediations: &Remediations,
    (inventory, now): (&Inventory, Time),
) -> Answer {
    let Some(cooldown) = cooldown else { return Answer::not_configured() };
    let Proposal { policy, incident, target, .. } = proposal;
    if let Some((other, on)) = remediations.other_running_on((policy, *incident), target, inventory) {
        let answer = Answer::refused(format!("{} is at work on {on} now", other.policy), None);
        return of_another(
            answer,
            policy,
            Holder { policy: other.policy.clone(), incident: other.incident, target: on.clone(), until: None },
        );
    }
    let own_chain = |end: &&End| end.policy == *policy && end.incident == *incident;
    let rest = |end: &End| if end.policy == *policy { cooldown.same_policy.max(cooldown.any_policy) } else { cooldown.any_policy };
    let of_target = ends.targets.get(target).map_or(&[][..], Vec::as_slice);
    let resting = of_target.iter().filter(|end| !own_chain(end)).map(|end| (end.at.saturating_add(rest(end)), end));
    match resting.max_by_key(|(until, end)| (*until, end.at)) {
        Some((until, end)) if now < until => {
            let figures = format!("{target} rests for {} after {}, {} ago, until {until}", rest(end), end.policy, now.since(end.at));
            let holder = Holder { policy: end.policy.clone(), incident: end.incident, target: target.clone(), until: Some(until) };
            of_another(Answer::refused(figures, Some(until)), policy, holder)
        }
        Some((_, end)) => Answer::passed(figures(&[&"last action on ", target, &" ended ", &now.since(end.at), &" ago, by ", &end.policy])),
        None => Answer::passed(figures(&[&"no action on ", target, &" before"])),
    }
}

/// A refusal with its holder, if that is another policy than the one that asks.
fn of_another(answer: Answer, policy: &Name, holder: Holder) -> Answer {
    if holder.policy == *policy { answer } else { answer.held_by(holder) }
}

#[cfg(test)]
mod tests {
    use super::super::Guards;
    use super::super::fixture::{inventory, proposal};
    use super::*;

    const MINUTE: Cooldown = Cooldown { same_policy: Span::from_seconds(60), any_policy: Span::from_seconds(20) };

    /// `p`, incident 0, acts on service/api from 10 s to 100 s.
    fn after_one_action() -> Guards {
        let mut guards = Guards::new();
        guards.started(&proposal("p", 0, "service/api"), Time::from_seconds(10));
        guards.ended(&Name::new("p"), 0, Time::from_seconds(100));
        guards
    }

    #[track_caller]
    fn check_at(second: u64, policy: &str, incident: u64, target: &str) -> Answer {
        let Guards { ends, remediations, .. } = after_one_action();
        check(Some(MINUTE), &proposal(policy, incident, target), &ends, &remediations, (&inventory(), Time::from_seconds(second)))
    }

    #[test]
    fn the_rest_counts_from_the_end_and_its_last_instant_is_free() {
        assert_eq!(check_at(159, "p", 1, "service/api").again, Some(Time::from_seconds(160)));
        assert_eq!(check_at(159, "p", 1, "service/api").held_by, None, "its own rest is disputed by nobody");
        assert!(!check_at(160, "p", 1, "service/api").is_refusal());
    }

    #[test]
    fn other_policies_wait_for_their_own_rest() {
        let resting = check_at(119, "q", 0, "service/api");
        assert_eq!((resting.is_refusal(), resting.held_by.map(|holder| holder.until)), (true, Some(Some(Time::from_seconds(120)))));
        assert!(!check_at(120, "q", 0, "service/api").is_refusal());
    }

    #[test]
    fn other_targets_do_not_rest_and_the_steps_of_one_incident_follow_each_other() {
        assert!(!check_at(101, "p", 1, "service/cart").is_refusal());
        assert!(!check_at(101, "p", 0, "service/api").is_refusal());
    }

    #[test]
    fn a_target_that_is_being_worked_on_does_not_rest_at_all() {
        let mut guards = Guards::new();
        guards.started(&proposal("p", 0, "service/api"), Time::from_seconds(10));
        let now = (&inventory(), Time::from_seconds(11));
        let answer = check(Some(MINUTE), &proposal("q", 0, "service/api"), &guards.ends, &guards.remediations, now);
        let holder = Holder { policy: Name::new("p"), incident: 0, target: "service/api".parse().unwrap(), until: None };
        assert_eq!(answer, Answer::refused("p is at work on service/api now", None).held_by(holder));
    }

    #[test]
    fn while_what_overlaps_with_a_target_is_worked_on_the_target_is_and_it_rests_by_itself() {
        assert!(check_at(119, "q", 0, "service/api").is_refusal() && !check_at(119, "q", 0, "replica/api-3").is_refusal());
        let mut guards = Guards::new();
        guards.started(&proposal("p", 0, "replica/api-1"), Time::from_seconds(10));
        let ask = |target: &str| {
            check(Some(MINUTE), &proposal("q", 0, target), &guards.ends, &guards.remediations, (&inventory(), Time::from_seconds(10)))
        };
        assert_eq!(ask("service/api").figures, "p is at work on replica/api-1 now");
        assert!(ask("zone/b").is_refusal() && !ask("zone/a").is_refusal() && !ask("replica/api-2").is_refusal());
        assert!(!ask("node/blue-1").is_refusal(), "who knows what stands there");
    }

    #[test]
    fn without_a_cooldown_nothing_is_asked() {
        let Guards { ends, remediations, .. } = after_one_action();
        let answer = check(None, &proposal("p", 1, "service/api"), &ends, &remediations, (&inventory(), Time::from_seconds(100)));
        assert_eq!(answer, Answer::not_configured());
    }
}
