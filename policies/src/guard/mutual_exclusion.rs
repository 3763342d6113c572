//! Mutual exclusion: who acts on a service holds its lock, and nobody else who asks for locks acts there until it is given back or its lease
//! is over.
//!
//! The locks of an action are taken all together or not at all, and always in one order, so that two can never wait for each other.

use std::collections::BTreeMap;

use firedrill_core::action::{Fence, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Holder;
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::{Answer, Proposal, services_touched};
use crate::figures::{Figure, figures};

/// The name in journals.
pub const NAME: &str = "mutual_exclusion";

/// The locks that are held, and the number that the next holder gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Locks {
    held: BTreeMap<Target, Held>,
    next_token: u64,
    /// How often a lock was taken.
    taken: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    policy: Name,
    incident: u64,
    until: Time,
    token: u64,
    /// Locks that were taken later have a greater one.
    number: u64,
}

impl Locks {
    /// The token for what is taken next: who took a lock later has the greater one.
    pub(super) fn token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }

    /// Takes the locks of a proposal that the guard has let pass, or holds them for longer. Whose lease was over loses them. Gives what
    /// to show where the action lands.
    pub(super) fn take(&mut self, proposal: &Proposal, token: u64, (lease, now): (Span, Time), inventory: &Inventory) -> Fence {
        let Proposal { policy, incident, target, .. } = proposal;
        let locks = lock_set(target, inventory);
        for lock in locks.iter().cloned() {
            let (number, until) = (self.taken, now.saturating_add(lease));
            self.taken += 1;
            self.held.insert(lock, Held { policy: policy.clone(), incident: *incident, until, token, number });
        }
        Fence { token, locks }
    }

    /// An incident is closed: it gives back what it holds.
    pub(super) fn release(&mut self, policy: &Name, incident: u64) {
        self.held.retain(|_, held| held.policy != *policy || held.incident != incident);
    }
}

/// What an action on a target locks: every service that it touches, and the target itself unless it is a replica. Each once, in one order for all.
#[must_use]
pub fn lock_set(target: &Target, inventory: &Inventory) -> Vec<Target> {
    let mut locks: Vec<Target> = services_touched(target, inventory).into_iter().map(Target::Service).collect();
    if !matches!(target, Target::Replica(_)) {
        locks.push(target.clone());
    }
    locks.sort();
    locks.dedup();
    locks
}

/// Asks the guard. `lease` is how long the locks are held at most. A lease is over at its last instant.
#[must_use]
pub fn check(lease: Option<Span>, proposal: &Proposal, locks: &Locks, inventory: &Inventory, now: Time) -> Answer {
    let Some(lease) = lease else { return Answer::not_configured() };
    let set = lock_set(&proposal.target, inventory);
    if set.is_empty() {
        return Answer::refused(format!("what {} belongs to is not declared", proposal.target), None);
    }
    let is_foreign = |held: &Held| held.policy != proposal.policy || held.incident != proposal.incident;
    let taken = set.iter().filter_map(|lock| Some((lock, locks.held.get(lock).filter(|held| is_foreign(held) && now < held.until)?)));
    match taken.max_by_key(|(_, held)| (held.until, held.number)) {
        Some((lock, Held { policy, incident, until, .. })) => {
            let answer = Answer::refused(format!("incident {incident} of {policy} holds {lock} until {until}"), Some(*until));
            let holder = Holder { policy: policy.clone(), incident: *incident, target: lock.clone(), until: Some(*until) };
            // A policy that stands in its own way disputes nothing with another one.
            if *policy == proposal.policy { answer } else { answer.held_by(holder) }
        }
        None => {
            let names = set.iter().enumerate().flat_map(|(index, lock)| [if index == 0 { &"" } else { &", " } as &dyn Figure, lock]);
            Answer::passed(figures(&names.chain([&" free, for " as &dyn Figure, &lease]).collect::<Vec<_>>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{inventory, proposal};
    use super::*;

    const LEASE: Span = Span::from_seconds(60);

    fn take(locks: &mut Locks, proposal: &Proposal, second: u64) -> Fence {
        let token = locks.token();
        locks.take(proposal, token, (LEASE, Time::from_seconds(second)), &inventory())
    }

    #[track_caller]
    fn check_at(locks: &Locks, policy: &str, incident: u64, target: &str, second: u64) -> Answer {
        check(Some(LEASE), &proposal(policy, incident, target), locks, &inventory(), Time::from_seconds(second))
    }

    /// `p`, incident 0, takes the locks of a target at 10 s.
    fn taken(target: &str) -> Locks {
        let mut locks = Locks::default();
        take(&mut locks, &proposal("p", 0, target), 10);
        locks
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_given_back_or_its_lease_is_over() {
        let mut locks = taken("replica/api-0");
        let holder =
            Holder { policy: Name::new("p"), incident: 0, target: "service/api".parse().unwrap(), until: Some(Time::from_seconds(70)) };
        let refused = Answer::refused("incident 0 of p holds service/api until 01m10.000s", Some(Time::from_seconds(70))).held_by(holder);
        assert_eq!(check_at(&locks, "q", 0, "replica/api-1", 69), refused);
        assert!(!check_at(&locks, "q", 0, "replica/api-1", 70).is_refusal(), "the lease is over at its last instant");
        assert!(!check_at(&locks, "p", 0, "service/api", 20).is_refusal(), "its own");
        let own = check_at(&locks, "p", 1, "service/api", 20);
        assert!(own.is_refusal() && own.held_by.is_none(), "another incident's, and no other policy's");
        locks.release(&Name::new("p"), 0);
        assert!(!check_at(&locks, "q", 0, "replica/api-1", 11).is_refusal());
    }

    #[test]
    fn overlapping_targets_exclude_each_other_and_others_do_not() {
        assert!(check_at(&taken("zone/a"), "q", 0, "replica/cart-1", 11).is_refusal(), "the zone holds replicas of cart");
        assert!(check_at(&taken("service/cart"), "q", 0, "zone/a", 11).is_refusal());
        assert!(check_at(&taken("node/blue-0"), "q", 0, "service/api", 11).is_refusal());
        assert!(!check_at(&taken("service/api"), "q", 0, "service/cart", 11).is_refusal());
        assert!(!check_at(&taken("client/users"), "q", 0, "service/cart", 11).is_refusal());
        assert!(check_at(&taken("client/users"), "q", 0, "client/users", 11).is_refusal());
    }

    #[test]
    fn who_takes_a_lock_later_has_the_greater_token() {
        let mut locks = taken("service/api");
        let first = locks.held[&"service/api".parse().unwrap()].token;
        let second = take(&mut locks, &proposal("q", 4, "service/api"), 70);
        assert!(second.token > first);
        assert_eq!(locks.held.len(), 1, "the lease of the first was over");
        locks.release(&Name::new("p"), 0);
        assert_eq!(locks.held.len(), 1, "who has lost a lock cannot give it back");
    }

    #[test]
    fn unless_asked_for_it_is_not_configured() {
        let answer = check(None, &proposal("q", 0, "service/api"), &taken("service/api"), &inventory(), Time::from_seconds(11));
        assert_eq!(answer, Answer::not_configured());
    }
}
