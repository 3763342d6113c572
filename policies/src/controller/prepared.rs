//! What a policy says of itself that every notification needs, found out once: which labels it needs, what it asks before each step and with
//! which parameters, and the names of its guards.

use std::sync::OnceLock;

use firedrill_core::name::Name;

use crate::guard::Guard;
use crate::guard::confidence::Confidence;
use crate::policy::{Candidate, ConditionAt, Policy};

/// What is found out of a policy when its controller is made.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// The labels that it needs, sorted.
    pub(super) labels: Vec<Name>,
    /// For each step what is asked before it acts.
    inquiries: Vec<Inquiry>,
    /// The words of the guards, in their order.
    words: Vec<Name>,
    /// The policy's hash, once somebody has asked for it: it is found out of the whole policy, and most policies are never asked.
    hash: OnceLock<String>,
}

/// What is asked before a step acts.
#[derive(Clone, Debug, Default)]
pub(super) struct Inquiry {
    /// The conditions in the order in which they are asked, each with which of the parameters it has.
    pub(super) conditions: Vec<(ConditionAt, usize)>,
    /// The labels that stand in conditions, sorted; most conditions of a policy have the same.
    pub(super) parameters: Vec<Vec<Name>>,
}

impl Inquiry {
    fn of(policy: &Policy, step: usize) -> Self {
        let mut own = Self::default();
        for at in inquiry(policy, step) {
            let labels: Vec<Name> = policy.parameters(at).into_iter().map(Name::from).collect();
            let known = own.parameters.iter().position(|known| *known == labels);
            let index = known.unwrap_or_else(|| {
                own.parameters.push(labels);
                own.parameters.len() - 1
            });
            own.conditions.push((at, index));
        }
        own
    }
}

impl Prepared {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            labels: policy.labels_needed().into_iter().collect(),
            inquiries: (0..policy.steps.len()).map(|step| Inquiry::of(policy, step)).collect(),
            words: Guard::ALL.into_iter().map(|guard| Name::new(guard.word())).collect(),
            hash: OnceLock::new(),
        }
    }

    /// The hash of the policy that this was found out of.
    pub(super) fn hash(&self, policy: &Policy) -> &str {
        self.hash.get_or_init(|| policy.hash())
    }

    /// What is asked before a step acts.
    pub(super) fn inquiry(&self, step: usize) -> &Inquiry {
        static NOTHING: Inquiry = Inquiry { conditions: Vec::new(), parameters: Vec::new() };
        self.inquiries.get(step).unwrap_or(&NOTHING)
    }

    /// The name of a guard in journals.
    pub(super) fn word(&self, guard: Guard) -> Name {
        self.words[guard as usize].clone()
    }
}

fn inquiry(policy: &Policy, step: usize) -> Vec<ConditionAt> {
    let prechecks = (0..policy.prechecks.len()).map(ConditionAt::Precheck);
    let facts = policy.guards.facts().map(ConditionAt::Guard);
    let candidates = policy.candidates(step).iter().enumerate();
    let of_one = |(index, candidate): (usize, &Candidate)| {
        let when = candidate.when.as_ref().map(|_| ConditionAt::When(step, index));
        when.into_iter().chain(candidate.score.formula().map(|_| ConditionAt::Score(step, index)))
    };
    let claimed = policy.guards.confidence.as_ref().and_then(Confidence::formula).map(|_| ConditionAt::Confidence);
    prechecks.chain(facts).chain(claimed).chain(candidates.flat_map(of_one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_has_its_own_word() {
        let policy = crate::document::read_policy("policy.yaml", crate::controller::bench::RESTART).unwrap();
        let prepared = Prepared::of(&policy);
        for guard in Guard::ALL {
            assert_eq!(&*prepared.word(guard), guard.word());
        }
        assert_eq!(prepared.labels, [Name::new("pod")]);
        assert!(prepared.inquiry(0).conditions.is_empty() && prepared.inquiry(99).conditions.is_empty());
    }
}
