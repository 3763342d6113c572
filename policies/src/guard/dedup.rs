//! One remediation in flight for each policy and owner of the target.

use firedrill_core::action::{Action, Target};
use firedrill_core::name::Name;
use serde::{Deserialize, Serialize};

use super::{Answer, Proposal};

/// The name in journals.
pub const NAME: &str = "dedup";

/// Everything that is being worked on, by all policies, in the order of claiming.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remediations {
    list: Vec<Remediation>,
}

/// What one incident of one policy has its hands on, from its first proposal until the incident is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// Which policy.
    pub policy: Name,
    /// Which of its incidents.
    pub incident: u64,
    /// The owner of the incident's target.
    pub owner: Target,
    /// The actions started so far, in order.
    pub deeds: Vec<Deed>,
}

/// One action of a remediation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// Whether it has not ended yet.
    pub running: bool,
}

impl Remediations {
    /// Takes the owner for the proposal's incident; claiming again changes nothing.
    pub fn claim(&mut self, proposal: &Proposal) {
        if self.find(&proposal.policy, proposal.incident).is_none() {
            let Proposal { policy, incident, owner, .. } = proposal.clone();
            self.list.push(Remediation { policy, incident, owner, deeds: Vec::new() });
        }
    }

    /// An action starts. Invariant: a remediation does no one thing twice at a time.
    pub fn started(&mut self, proposal: &Proposal) {
        self.claim(proposal);
        let remediation = self.find(&proposal.policy, proposal.incident).expect("claimed above");
        let is_same = |deed: &Deed| deed.running && deed.action == proposal.action && deed.target == proposal.target;
        assert!(!remediation.deeds.iter().any(is_same), "nothing is done twice at a time");
        remediation.deeds.push(Deed { action: proposal.action.clone(), target: proposal.target.clone(), running: true });
    }

    /// A running action has ended, this one or else the first; tells on what.
    pub(super) fn ended(&mut self, policy: &Name, incident: u64, which: Option<(&Action, &Target)>) -> Option<Target> {
        let is_it = |deed: &&mut Deed| deed.running && which.is_none_or(|which| which == (&deed.action, &deed.target));
        let deed = self.find(policy, incident)?.deeds.iter_mut().find(is_it)?;
        deed.running = false;
        Some(deed.target.clone())
    }

    /// What an incident has done so far is verified, and it goes on with something else: what has ended is in flight no more.
    pub fn settled(&mut self, policy: &Name, incident: u64) {
        if let Some(remediation) = self.find(policy, incident) {
            remediation.deeds.retain(|deed| deed.running);
        }
    }

    /// The incident is closed.
    pub(super) fn released(&mut self, policy: &Name, incident: u64) {
        self.list.retain(|other| other.policy != *policy || other.incident != incident);
    }

    /// All remediations but that of one incident.
    pub fn others<'a>(&'a self, policy: &'a Name, incident: u64) -> impl Iterator<Item = &'a Remediation> {
        self.list.iter().filter(move |other| other.policy != *policy || other.incident != incident)
    }

    /// All remediations, in the order of claiming.
    pub fn all(&self) -> impl Iterator<Item = &Remediation> {
        self.list.iter()
    }

    /// What one incident has running itself: the actions of a step that is of several.
    pub fn own_running<'a>(&'a self, policy: &'a Name, incident: u64) -> impl Iterator<Item = &'a Deed> {
        let own = self.list.iter().filter(move |own| own.policy == *policy && own.incident == incident);
        own.flat_map(|own| own.deeds.iter().filter(|deed| deed.running))
    }

    /// Whether a policy has a remediation besides that of one incident, or that one has an action running.
    #[must_use]
    pub fn is_busy(&self, policy: &Name, incident: u64) -> bool {
        self.others(policy, incident).any(|other| other.policy == *policy) || self.own_running(policy, incident).next().is_some()
    }

    fn find(&mut self, policy: &Name, incident: u64) -> Option<&mut Remediation> {
        self.list.iter_mut().find(|own| own.policy == *policy && own.incident == incident)
    }
}

/// Asks the guard.
#[must_use]
pub fn check(proposal: &Proposal, remediations: &Remediations) -> Answer {
    let Proposal { policy, incident, owner, .. } = proposal;
    let same = |other: &&Remediation| other.policy == *policy && other.owner == *owner;
    match remediations.others(policy, *incident).find(same) {
        Some(other) => Answer::refused(format!("incident {} of {policy} is at work on {owner}", other.incident), None),
        None => Answer::passed(format!("0 other remediations of {policy} on {owner}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::proposal;
    use super::*;

    #[track_caller]
    fn check_after(claimed: &[Proposal], proposed: &Proposal, refused: bool) {
        let mut remediations = Remediations::default();
        for claim in claimed {
            remediations.claim(claim);
        }
        assert_eq!(check(proposed, &remediations).is_refusal(), refused, "{proposed:?}");
    }

    #[test]
    fn two_replicas_of_one_service_are_one_owner() {
        check_after(&[proposal("p", 0, "replica/api-0")], &proposal("p", 1, "replica/api-1"), true);
        check_after(&[proposal("p", 0, "replica/api-0")], &proposal("p", 1, "service/api"), true);
        check_after(&[proposal("p", 0, "replica/api-0")], &proposal("p", 1, "replica/cart-0"), false);
    }

    #[test]
    fn an_incident_does_not_stand_in_its_own_way_nor_in_another_policy_s() {
        check_after(&[proposal("p", 0, "service/api")], &proposal("p", 0, "service/api"), false);
        check_after(&[proposal("p", 0, "service/api")], &proposal("q", 0, "service/api"), false);
    }

    #[test]
    fn what_is_verified_of_a_remediation_that_goes_on_is_in_flight_no_more() {
        let mut remediations = Remediations::default();
        let [one, two] = ["replica/api-0", "replica/api-1"].map(|target| proposal("p", 0, target));
        remediations.started(&one);
        assert_eq!(remediations.own_running(&one.policy, 0).count(), 1);
        remediations.ended(&one.policy, 0, Some((&one.action, &one.target)));
        remediations.settled(&one.policy, 0);
        remediations.started(&two);
        let other = Name::new("q");
        let in_flight: Vec<&Target> = remediations.others(&other, 0).flat_map(|own| &own.deeds).map(|deed| &deed.target).collect();
        assert_eq!(in_flight, [&two.target]);
        assert!(check(&proposal("p", 1, "replica/api-2"), &remediations).is_refusal(), "it still has its owner");
    }

    #[test]
    fn a_closed_incident_frees_its_owner() {
        let mut remediations = Remediations::default();
        remediations.started(&proposal("p", 0, "service/api"));
        assert!(check(&proposal("p", 1, "service/api"), &remediations).is_refusal());
        assert_eq!(remediations.ended(&Name::new("p"), 0, None), Some(Target::Service(Name::new("api"))));
        assert!(check(&proposal("p", 1, "service/api"), &remediations).is_refusal(), "until it is closed");
        remediations.released(&Name::new("p"), 0);
        assert!(!check(&proposal("p", 1, "service/api"), &remediations).is_refusal());
    }
}
