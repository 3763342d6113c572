//! The person on call, with every default filled in.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_sim::automation::PersonSpec;

use crate::defaults;
use crate::document::human::{HumanDocument, OnCallDocument};
use crate::lower::or;

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
