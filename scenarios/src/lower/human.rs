//! The person on call, with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_sim::automation::{ApproverSpec, PersonSpec};

use crate::defaults;
use crate::document::human::{ApproverDocument, HumanDocument, OnCallDocument};
use crate::lower::or;

/// Whose role is asked where nothing is said, here and in policies.
const USUAL_ROLE: &str = "oncall";

/// Who may be asked to allow what policies propose; empty: nobody.
pub fn approvers(said: Option<&HumanDocument>) -> Vec<ApproverSpec> {
    let usual = || vec![ApproverDocument { role: Name::new(USUAL_ROLE), count: None, answer: None, no_answer: None, deny: None }];
    let groups = match said {
        Some(HumanDocument::Nobody) => Vec::new(),
        Some(HumanDocument::Somebody(said)) => said.approvers.as_ref().map_or_else(usual, |said| said.value.clone()),
        None => usual(),
    };
    let lowered = groups.into_iter().map(|group| ApproverSpec {
        count: or(group.count.as_ref(), || defaults::count("human.approvers.*.count")),
        answer: or(group.answer.as_ref(), || defaults::distribution("human.approvers.*.answer")),
        no_answer: or(group.no_answer.as_ref(), || defaults::ratio("human.approvers.*.no_answer")),
        deny: or(group.deny.as_ref(), || defaults::ratio("human.approvers.*.deny")),
        role: group.role,
    });
    lowered.collect()
}

/// Who is on call; `None`: nobody.
pub fn lower(said: Option<&HumanDocument>) -> Option<PersonSpec> {
    let nothing_said = OnCallDocument::default();
    let said = match said {
        Some(HumanDocument::Nobody) => return None,
        Some(HumanDocument::Somebody(said)) => said,
        None => &nothing_said,
    };
    let takes = |said: &Option<Located<Distribution>>, key| or(said.as_ref(), || defaults::distribution(key));
    Some(PersonSpec {
        detect: takes(&said.detect, "human.detect"),
        acknowledge: takes(&said.acknowledge, "human.acknowledge"),
        investigate: takes(&said.investigate, "human.investigate"),
        diagnose: takes(&said.diagnose, "human.diagnose"),
        act: takes(&said.act, "human.act"),
        verify: takes(&said.verify, "human.verify"),
        wrong_action: or(said.wrong_action.as_ref(), || defaults::ratio("human.wrong_action")),
        no_answer: or(said.no_answer.as_ref(), || defaults::ratio("human.no_answer")),
        escalate_after: or(said.escalate_after.as_ref(), || defaults::span("human.escalate_after")),
    })
}
