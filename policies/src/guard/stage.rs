//! What the policy's stage allows (docs/policies.md, "The policy").

use firedrill_core::action::Action;
use firedrill_core::inventory::Inventory;
use serde::{Deserialize, Serialize};

use super::{Answer, Instead, Proposal, services_touched};

/// The name in journals.
pub const NAME: &str = "stage";

/// Why people are asked at the stage `approval`.
pub const ASKS: &str = "the stage is approval";

/// How far a policy is trusted. A later stage may do what an earlier one may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing.
    Draft,
    /// Decide and record.
    DryRun,
    /// As dry-run, and compared with what people did.
    Shadow,
    /// Act on what is not critical, after a person says yes.
    Approval,
    /// Act on what is not critical, reversible actions only, one at a time.
    Limited,
    /// Act on critical targets too.
    Guarded,
    /// Everything that the other guards allow.
    #[default]
    Full,
}

impl Stage {
    /// Every stage with its word, from the least trusted on.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("draft", Self::Draft),
        ("dry-run", Self::DryRun),
        ("shadow", Self::Shadow),
        ("approval", Self::Approval),
        ("limited", Self::Limited),
        ("guarded", Self::Guarded),
        ("full", Self::Full),
    ];

    /// The word in files and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// Whether a policy at this stage may start actions at all.
    #[must_use]
    pub const fn may_act(self) -> bool {
        !matches!(self, Self::Draft | Self::DryRun | Self::Shadow)
    }
}

/// Whether what an action does ends with it, or can be undone by its opposite. What a restart or a purge loses is gone.
#[must_use]
pub const fn is_reversible(action: &Action) -> bool {
    let is_undone = matches!(action, Action::Scale { .. } | Action::Rollback | Action::Drain | Action::Wait { .. });
    is_undone
        || matches!(action, Action::Cordon | Action::Undrain | Action::Lift { .. } | Action::SetFlag { .. })
        || action.restraint().is_some()
}

/// Whether an action has an opposite.
#[must_use]
pub const fn has_inverse(action: &Action) -> bool {
    matches!(action, Action::Scale { .. } | Action::Cordon | Action::SetFlag { .. }) || action.restraint().is_some()
}

/// Whether any service that the proposal touches is critical. What is not declared counts as critical; a client is not.
#[must_use]
pub fn is_critical(proposal: &Proposal, inventory: &Inventory) -> bool {
    let services = services_touched(&proposal.target, inventory);
    services.iter().any(|service| inventory.services.get(service).is_none_or(|entry| entry.critical))
}

/// Asks the guard. `busy` says whether the policy has another remediation under way.
#[must_use]
pub fn check(stage: Stage, proposal: &Proposal, inventory: &Inventory, busy: bool) -> Answer {
    let word = stage.word();
    let target = &proposal.target;
    match stage {
        Stage::Draft => Answer::refused("draft: may do nothing", None),
        Stage::DryRun | Stage::Shadow => Answer::passed(format!("{word}: decides and records")),
        Stage::Approval if is_critical(proposal, inventory) => {
            Answer::refused(format!("approval: {target} is critical, and nobody can allow that at this stage"), None)
                .instead(Instead::Alert)
        }
        Stage::Approval => Answer::passed(word).must_be_approved(ASKS),
        Stage::Limited if is_critical(proposal, inventory) => {
            Answer::refused(format!("limited: {target} is critical"), None).instead(Instead::Ask)
        }
        Stage::Limited if !is_reversible(&proposal.action) => {
            // A stage does not change by waiting: somebody has to hear of it.
            Answer::refused(format!("limited: {} cannot be undone", proposal.action.word()), None).instead(Instead::Ask)
        }
        Stage::Limited if busy => Answer::refused("limited: one at a time, and another remediation is under way", None),
        Stage::Limited | Stage::Guarded | Stage::Full => Answer::passed(word),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{inventory, proposal};
    use super::*;
    use firedrill_core::journal::GuardVerdict;

    #[track_caller]
    fn check_stage(stage: Stage, target: &str, action: Action, busy: bool) -> Option<String> {
        let proposal = Proposal { action, ..proposal("p", 0, target) };
        let answer = check(stage, &proposal, &inventory(), busy);
        (answer.verdict == GuardVerdict::Refused).then_some(answer.figures)
    }

    #[test]
    fn a_draft_may_nothing_and_a_dry_run_may_decide() {
        assert!(check_stage(Stage::Draft, "service/cart", Action::Rollback, false).is_some());
        assert_eq!(check_stage(Stage::DryRun, "service/cart", Action::Rollback, false), None);
        assert_eq!(check_stage(Stage::Shadow, "service/api", Action::PurgeQueue, true), None);
    }

    #[test]
    fn at_the_stage_approval_people_are_asked_of_what_is_not_critical() {
        let check_of =
            |target| check(Stage::Approval, &Proposal { action: Action::PurgeQueue, ..proposal("p", 0, target) }, &inventory(), true);
        let answer = check_of("service/cart");
        assert_eq!((answer.verdict, answer.approval.as_deref()), (GuardVerdict::Passed, Some(ASKS)));
        let critical = check_of("service/api");
        assert_eq!((critical.verdict, critical.instead), (GuardVerdict::Refused, Instead::Alert));
    }

    #[test]
    fn limited_means_not_critical_and_reversible_and_one_at_a_time() {
        let refused = |target, action, busy| check_stage(Stage::Limited, target, action, busy);
        assert_eq!(refused("service/cart", Action::Rollback, false), None);
        assert_eq!(refused("service/api", Action::Rollback, false).as_deref(), Some("limited: service/api is critical"));
        assert_eq!(refused("service/unknown", Action::Rollback, false).as_deref(), Some("limited: service/unknown is critical"));
        assert_eq!(refused("zone/a", Action::Drain, false).as_deref(), Some("limited: zone/a is critical"));
        assert_eq!(refused("service/cart", Action::PurgeQueue, false).as_deref(), Some("limited: purge_queue cannot be undone"));
        assert!(refused("service/cart", Action::Rollback, true).is_some());
    }

    #[test]
    fn what_limited_refuses_for_good_is_proposed_to_a_person() {
        let instead = |target, action: Action, busy| {
            check(Stage::Limited, &Proposal { action, ..proposal("p", 0, target) }, &inventory(), busy).instead
        };
        assert_eq!(instead("service/api", Action::Rollback, false), Instead::Ask);
        assert_eq!(instead("service/cart", Action::PurgeQueue, false), Instead::Ask);
        assert_eq!(instead("service/cart", Action::Rollback, true), Instead::Wait, "the other one will be over");
    }

    #[test]
    fn guarded_and_full_act_on_critical_targets() {
        for stage in [Stage::Guarded, Stage::Full] {
            assert_eq!(check_stage(stage, "service/api", Action::PurgeQueue, true), None);
        }
    }

    #[test]
    fn every_stage_is_called_by_its_own_word() {
        for (word, stage) in Stage::WORDS {
            assert_eq!(stage.word(), word);
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{word}\""));
        }
    }
}
