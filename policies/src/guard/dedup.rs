//! One remediation in flight for each policy and owner of the target.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use serde::{Deserialize, Serialize, Serializer};

use super::{Answer, Proposal, near, overlapping};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "dedup";

/// Everything that is being worked on, by all policies, in the order of claiming.
///
/// A live watcher may have tens of thousands under way, and every guard asks here. So they are found by whose they are and by what they are at work
/// on, and nobody looks through all of them but to count all. Saved as the plain list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<Remediation>")]
pub struct Remediations {
    /// By the number of their claim.
    list: BTreeMap<u64, Remediation>,
    next: u64,
    /// Of each policy that ever had one.
    policies: BTreeMap<Name, Own>,
    /// Which have a deed on a target.
    targets: BTreeMap<Target, BTreeSet<u64>>,
}

/// Where the remediations of one policy stand in the list.
#[derive(Clone, Debug, Default)]
struct Own {
    incidents: BTreeMap<u64, u64>,
    owners: BTreeMap<Target, BTreeSet<u64>>,
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
    /// The actions started so far, in order, and in their place those that were let in with them and have not begun.
    pub deeds: Vec<Deed>,
}

impl Remediation {
    /// Its actions, each with the later parts of what is one action with it.
    pub(super) fn wholes(&self) -> impl Iterator<Item = &[Deed]> {
        self.deeds.chunk_by(|_, next| next.follows)
    }
}

/// One action of a remediation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// Whether it has begun and not ended yet.
    pub running: bool,
    /// Whether it was let in and has not begun: a later part of an action that somebody defined.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead: bool,
    /// Whether it is one action with the one before it, which it follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
}

impl Deed {
    /// Whether its target is being worked on: it runs, or is let in to do so.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.running || self.ahead
    }

    /// What, and to what.
    #[must_use]
    pub const fn what(&self) -> (&Action, &Target) {
        (&self.action, &self.target)
    }

    fn is_of(&self, proposal: &Proposal) -> bool {
        self.action == proposal.action && self.target == proposal.target
    }
}

impl PartialEq for Remediations {
    fn eq(&self, other: &Self) -> bool {
        self.list.values().eq(other.list.values())
    }
}

impl Serialize for Remediations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.values())
    }
}

impl From<Vec<Remediation>> for Remediations {
    fn from(list: Vec<Remediation>) -> Self {
        let mut own = Self::default();
        for remediation in list {
            own.add(remediation);
        }
        own
    }
}

impl Remediations {
    /// Takes the owner for the proposal's incident; claiming again changes nothing.
    pub fn claim(&mut self, proposal: &Proposal) {
        self.claimed(proposal);
    }

    /// As [`Self::claim`]; gives the number of the claim.
    fn claimed(&mut self, proposal: &Proposal) -> u64 {
        let Proposal { policy, incident, owner, .. } = proposal;
        self.number(policy, *incident).unwrap_or_else(|| {
            self.add(Remediation { policy: policy.clone(), incident: *incident, owner: owner.clone(), deeds: Vec::new() })
        })
    }

    /// An action starts, which may have been let in before. Invariant: a remediation does no one thing twice at a time.
    pub fn started(&mut self, proposal: &Proposal) {
        let number = self.claimed(proposal);
        let remediation = self.list.get_mut(&number).expect("it is found by what is in the list");
        assert!(!remediation.deeds.iter().any(|deed| deed.running && deed.is_of(proposal)), "nothing is done twice at a time");
        if let Some(deed) = remediation.deeds.iter_mut().find(|deed| deed.ahead && deed.is_of(proposal)) {
            (deed.ahead, deed.running) = (false, true);
            return;
        }
        let (action, target) = (proposal.action.clone(), proposal.target.clone());
        remediation.deeds.push(Deed { action, target, running: true, ahead: false, follows: false });
        self.targets.entry(proposal.target.clone()).or_default().insert(number);
    }

    /// The parts of an action that somebody defined are let in: they are held from now on, and the first starts.
    pub(super) fn started_whole(&mut self, whole: &[Proposal]) {
        let Some((first, later)) = whole.split_first() else { return };
        self.started(first);
        let number = self.claimed(first);
        for Proposal { action, target, .. } in later {
            if let Some(remediation) = self.list.get_mut(&number) {
                let (action, target) = (action.clone(), target.clone());
                remediation.deeds.push(Deed { action, target, running: false, ahead: true, follows: true });
            }
            self.targets.entry(target.clone()).or_default().insert(number);
        }
    }

    /// What was let in for an incident and has not begun never will.
    pub fn given_up(&mut self, policy: &Name, incident: u64) {
        self.keep_only(policy, incident, |deed| !deed.ahead);
    }

    /// A running action has ended, this one or else the first; tells on what.
    pub(super) fn ended(&mut self, policy: &Name, incident: u64, which: Option<(&Action, &Target)>) -> Option<Target> {
        let is_it = |deed: &&mut Deed| deed.running && which.is_none_or(|which| which == (&deed.action, &deed.target));
        let number = self.number(policy, incident)?;
        let deed = self.list.get_mut(&number)?.deeds.iter_mut().find(is_it)?;
        deed.running = false;
        Some(deed.target.clone())
    }

    /// What an incident has done so far is verified, and it goes on with something else: what has ended is in flight no more.
    pub fn settled(&mut self, policy: &Name, incident: u64) {
        self.keep_only(policy, incident, Deed::is_held);
    }

    fn keep_only(&mut self, policy: &Name, incident: u64, stays: impl Fn(&Deed) -> bool) {
        let Some(number) = self.number(policy, incident) else { return };
        let Some(remediation) = self.list.get_mut(&number) else { return };
        let (kept, over): (Vec<Deed>, Vec<Deed>) = std::mem::take(&mut remediation.deeds).into_iter().partition(stays);
        for deed in over.iter().filter(|deed| kept.iter().all(|own| own.target != deed.target)) {
            take_off(&mut self.targets, &deed.target, number);
        }
        remediation.deeds = kept;
    }

    /// The incident is closed.
    pub(super) fn released(&mut self, policy: &Name, incident: u64) {
        let Some(own) = self.policies.get_mut(policy) else { return };
        let Some(number) = own.incidents.remove(&incident) else { return };
        let Some(remediation) = self.list.remove(&number) else { return };
        take_off(&mut own.owners, &remediation.owner, number);
        remediation.deeds.iter().for_each(|deed| take_off(&mut self.targets, &deed.target, number));
    }

    /// All remediations but that of one incident.
    pub fn others<'a>(&'a self, policy: &Name, incident: u64) -> impl Iterator<Item = &'a Remediation> + use<'a> {
        let own = self.number(policy, incident);
        self.list.iter().filter(move |(number, _)| Some(**number) != own).map(|(_, other)| other)
    }

    /// The first remediation of a policy that is at work on an owner, but for that of one incident.
    #[must_use]
    pub fn other_on(&self, (policy, incident): (&Name, u64), owner: &Target) -> Option<&Remediation> {
        let numbers = self.policies.get(policy)?.owners.get(owner)?;
        numbers.iter().filter_map(|number| self.list.get(number)).find(|other| other.incident != incident)
    }

    /// The first remediation that has an action running on what overlaps with a target, or one let in there, and on what, but for that of one incident.
    #[must_use]
    pub fn other_running_on(
        &self,
        (policy, incident): (&Name, u64),
        target: &Target,
        inventory: &Inventory,
    ) -> Option<(&Remediation, &Target)> {
        let own = self.number(policy, incident);
        let mut first: Option<(u64, &Target)> = None;
        overlapping(&self.targets, target, inventory, |on, numbers| {
            // Nobody knows beforehand what stands on a node.
            if on != target && [on, target].into_iter().any(|one| matches!(one, Target::Node(_))) {
                return;
            }
            let is_running = |other: &Remediation| other.deeds.iter().any(|deed| deed.is_held() && deed.target == *on);
            let mut running = numbers.iter().copied().filter(|number| Some(*number) != own);
            let found = running.find(|number| self.list.get(number).is_some_and(is_running));
            if let Some(number) = found.filter(|number| first.is_none_or(|(known, _)| *number < known)) {
                first = Some((number, on));
            }
        });
        first.and_then(|(number, on)| Some((self.list.get(&number)?, on)))
    }

    /// The first remediation of a policy that has acted, but for that of one incident.
    #[must_use]
    pub fn other_acting(&self, policy: &Name, incident: u64) -> Option<&Remediation> {
        let own = self.policies.get(policy)?;
        let others =
            own.incidents.iter().filter(|(other, _)| **other != incident).filter_map(|(_, number)| Some((number, self.list.get(number)?)));
        others.filter(|(_, other)| !other.deeds.is_empty()).min_by_key(|(number, _)| **number).map(|(_, other)| other)
    }

    /// All remediations, in the order of claiming.
    pub fn all(&self) -> impl Iterator<Item = &Remediation> {
        self.list.values()
    }

    /// What one incident has running itself: the actions of a step that is of several.
    pub fn own_running<'a>(&'a self, policy: &Name, incident: u64) -> impl Iterator<Item = &'a Deed> + use<'a> {
        let own = self.number(policy, incident).and_then(|number| self.list.get(&number));
        own.into_iter().flat_map(|own| own.deeds.iter().filter(|deed| deed.running))
    }

    /// What others have done, have running or let in, and what this incident has running, of whatever has to do with a service: with the service, with
    /// what is named as its replicas are, and with whatever zones and nodes. What is one action stands together.
    #[must_use]
    pub fn in_flight_near<'a>(&'a self, (policy, incident): (&Name, u64), service: &Name) -> Vec<&'a [Deed]> {
        let mut numbers = Vec::new();
        near(&self.targets, service, |_, own| numbers.extend(own));
        numbers.sort_unstable();
        numbers.dedup();
        let own = self.number(policy, incident);
        let others = numbers.into_iter().filter(|number| Some(*number) != own).filter_map(|number| self.list.get(&number));
        others.flat_map(Remediation::wholes).chain(self.own_running(policy, incident).map(std::slice::from_ref)).collect()
    }

    /// Whether a policy has a remediation besides that of one incident, or that one has an action running.
    #[must_use]
    pub fn is_busy(&self, policy: &Name, incident: u64) -> bool {
        let has_another = self.policies.get(policy).is_some_and(|own| own.incidents.keys().any(|other| *other != incident));
        has_another || self.own_running(policy, incident).next().is_some()
    }

    fn number(&self, policy: &Name, incident: u64) -> Option<u64> {
        self.policies.get(policy)?.incidents.get(&incident).copied()
    }

    fn add(&mut self, remediation: Remediation) -> u64 {
        let number = self.next;
        self.next += 1;
        let own = self.policies.entry(remediation.policy.clone()).or_default();
        own.incidents.insert(remediation.incident, number);
        own.owners.entry(remediation.owner.clone()).or_default().insert(number);
        for deed in &remediation.deeds {
            self.targets.entry(deed.target.clone()).or_default().insert(number);
        }
        self.list.insert(number, remediation);
        number
    }
}

/// Takes a number off those of a target, and the target with the last of them.
fn take_off(numbers: &mut BTreeMap<Target, BTreeSet<u64>>, target: &Target, number: u64) {
    if let Some(own) = numbers.get_mut(target) {
        own.remove(&number);
        if own.is_empty() {
            numbers.remove(target);
        }
    }
}

/// Asks the guard.
#[must_use]
pub fn check(proposal: &Proposal, remediations: &Remediations) -> Answer {
    let Proposal { policy, incident, owner, .. } = proposal;
    match remediations.other_on((policy, *incident), owner) {
        Some(other) => Answer::refused(format!("incident {} of {policy} is at work on {owner}", other.incident), None),
        None => Answer::passed(figures(&[&"0 other remediations of ", policy, &" on ", owner])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::proposal;
    use super::super::overlap;
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
    fn what_is_let_in_is_held_until_it_has_begun_and_ended_or_is_given_up() {
        let inventory = super::super::fixture::inventory();
        let [first, second] = ["replica/api-0", "replica/cart-0"].map(|target| proposal("p", 0, target));
        let mut remediations = Remediations::default();
        let is_held = |own: &Remediations| own.other_running_on((&Name::new("q"), 1), &second.target, &inventory).is_some();
        remediations.started_whole(&[first.clone(), second.clone()]);
        assert!(is_held(&remediations) && remediations.own_running(&first.policy, 0).count() == 1);
        let mut given_up = remediations.clone();
        given_up.given_up(&first.policy, 0);
        assert!(!is_held(&given_up));
        remediations.ended(&first.policy, 0, None);
        assert!(is_held(&remediations), "between the two");
        remediations.started(&second);
        assert!(is_held(&remediations));
        remediations.ended(&first.policy, 0, None);
        assert!(!is_held(&remediations));
        assert_eq!(remediations.all().next().unwrap().wholes().count(), 1);
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

    proptest::proptest! {
        /// Whatever is claimed, started, ended, settled and closed in whatever order: what is found is what looking through the list would find, and it
        /// reads back.
        #[test]
        fn what_is_found_is_what_stands_in_the_list(steps in proptest::collection::vec((0_u8..7, 0_u8..2, 0_u64..4, 0_usize..6), 1..60)) {
            const TARGETS: [&str; 6] = ["service/api", "replica/api-0", "replica/api-1", "replica/apix-0", "zone/a", "node/blue-0"];
            let mut remediations = Remediations::default();
            for (kind, policy, incident, target_index) in steps {
                let proposal = proposal(["p", "q"][usize::from(policy)], incident, TARGETS[target_index]);
                let (policy, target) = (&proposal.policy, &proposal.target);
                match kind {
                    0 => remediations.claim(&proposal),
                    1 if !remediations.own_running(policy, incident).any(|deed| deed.target == *target) => remediations.started(&proposal),
                    2 => _ = remediations.ended(policy, incident, None),
                    3 => remediations.settled(policy, incident),
                    4 if remediations.own_running(policy, incident).next().is_none() => {
                        let second = super::super::fixture::proposal(policy, incident, TARGETS[(target_index + 1) % 6]);
                        remediations.started_whole(&[proposal.clone(), second]);
                    }
                    4 | 5 => remediations.given_up(policy, incident),
                    _ => remediations.released(policy, incident),
                }
                let list: Vec<&Remediation> = remediations.all().collect();
                let others = || list.iter().copied().filter(|other| other.policy != *policy || other.incident != incident);
                proptest::prop_assert!(remediations.others(policy, incident).eq(others()));
                let on = others().find(|other| other.policy == *policy && other.owner == proposal.owner);
                proptest::prop_assert_eq!(remediations.other_on((policy, incident), &proposal.owner), on);
                let inventory = super::super::fixture::inventory();
                let is_node = |one: &Target| matches!(one, Target::Node(_));
                let is_known = |on: &Target| on == target || !(is_node(on) || is_node(target));
                let is_on = |deed: &Deed| deed.is_held() && is_known(&deed.target) && overlap(&deed.target, target, &inventory);
                let running = others().find(|other| other.deeds.iter().any(is_on));
                let found = remediations.other_running_on((policy, incident), target, &inventory);
                proptest::prop_assert_eq!(found.map(|(other, _)| other), running);
                proptest::prop_assert!(found.is_none_or(|(other, on)| other.deeds.iter().any(|deed| is_on(deed) && deed.target == *on)));
                let acting = others().find(|other| other.policy == *policy && !other.deeds.is_empty());
                proptest::prop_assert_eq!(remediations.other_acting(policy, incident), acting);
                let api = Name::new("api");
                let near = |deed: &Deed| !matches!(&deed.target, Target::Replica(name) if !name.starts_with("api-"));
                let own = list.iter().filter(|own| own.policy == *policy && own.incident == incident);
                let own = own.flat_map(|own| own.deeds.iter().filter(|deed| deed.running));
                let near_others = others().filter(|other| other.deeds.iter().any(near)).flat_map(Remediation::wholes);
                let mut expected: Vec<String> = near_others.chain(own.map(std::slice::from_ref)).map(|deeds| format!("{deeds:?}")).collect();
                let mut found: Vec<String> = remediations.in_flight_near((policy, incident), &api).iter().map(|deeds| format!("{deeds:?}")).collect();
                expected.sort();
                found.sort();
                proptest::prop_assert_eq!(found, expected);
                let text = serde_json::to_string(&remediations).unwrap();
                proptest::prop_assert_eq!(&serde_json::from_str::<Remediations>(&text).unwrap(), &remediations);
            }
        }
    }
}
