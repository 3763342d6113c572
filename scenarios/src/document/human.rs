//! The person on call, as written.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::notation::{distribution, optional, positive_span};
use crate::problem;

/// `human: none`, `human: somebody`, or how long the person on call takes.
#[derive(Clone, Debug)]
pub enum HumanDocument {
    /// Nobody is on call.
    Nobody,
    /// Somebody is, with what is said of them.
    Somebody(Box<OnCallDocument>),
}

/// How long a person takes, as far as it is said.
#[derive(Clone, Debug, Default)]
pub struct OnCallDocument {
    /// From an alert until the pager rings.
    pub detect: Option<Located<Distribution>>,
    /// From the pager until it is acknowledged.
    pub acknowledge: Option<Located<Distribution>>,
    /// Until it is clear what is wrong.
    pub investigate: Option<Located<Distribution>>,
    /// Until it is clear what to do.
    pub diagnose: Option<Located<Distribution>>,
    /// Until it is done.
    pub act: Option<Located<Distribution>>,
    /// Until it is clear whether it has helped.
    pub verify: Option<Located<Distribution>>,
    /// The share of calls in which something else is done first.
    pub wrong_action: Option<Located<Ratio>>,
    /// The share of calls that are not answered.
    pub no_answer: Option<Located<Ratio>>,
    /// From a call that is not answered to the next.
    pub escalate_after: Option<Located<Span>>,
    /// Who is asked to allow what policies propose.
    pub approvers: Option<Located<Vec<ApproverDocument>>>,
}

/// People of one role who may be asked, as far as it is said.
#[derive(Clone, Debug)]
pub struct ApproverDocument {
    /// The role.
    pub role: Name,
    /// How many there are.
    pub count: Option<Located<u32>>,
    /// From the question to the answer.
    pub answer: Option<Located<Distribution>>,
    /// The share of questions that one of them never answers.
    pub no_answer: Option<Located<Ratio>>,
    /// The share of answers that are a no.
    pub deny: Option<Located<Ratio>>,
}

/// Reads who is on call.
pub fn read(reader: &mut Reader, node: &Node) -> Option<HumanDocument> {
    if matches!(&node.value, Value::Text(text) if &**text == "none") {
        return Some(HumanDocument::Nobody);
    }
    if matches!(&node.value, Value::Text(text) if &**text == "somebody") {
        return Some(HumanDocument::Somebody(Box::default()));
    }
    let mut fields = reader.fields(node, "the person on call, or `none`")?;
    let mut span =
        |key: &'static str, what: &'static str, reader: &mut Reader| optional(reader, &mut fields, key, |r, n| distribution(r, n, what));
    let mut document = OnCallDocument {
        detect: span("detect", "the time from an alert to the pager", reader),
        acknowledge: span("acknowledge", "the time to acknowledge", reader),
        investigate: span("investigate", "the time to find what is wrong", reader),
        diagnose: span("diagnose", "the time to find what to do", reader),
        act: span("act", "the time to do it", reader),
        verify: span("verify", "the time to see whether it has helped", reader),
        ..OnCallDocument::default()
    };
    document.wrong_action =
        optional(reader, &mut fields, "wrong_action", |r, n| r.ratio(n, "the share of calls with a wrong action first"));
    document.no_answer = optional(reader, &mut fields, "no_answer", |r, n| r.ratio(n, "the share of calls that are not answered"));
    document.escalate_after = optional(reader, &mut fields, "escalate_after", |r, n| positive_span(r, n, "the time to the next call"));
    document.approvers = optional(reader, &mut fields, "approvers", approvers);
    fields.finish(reader);
    Some(HumanDocument::Somebody(Box::new(document)))
}

/// Reads who may be asked; an empty list is nobody.
fn approvers(reader: &mut Reader, node: &Node) -> Option<Vec<ApproverDocument>> {
    let mut groups: Vec<ApproverDocument> = Vec::new();
    for item in reader.list(node, "who may be asked")? {
        let Some(group) = approver(reader, item) else { continue };
        if groups.iter().any(|other| other.role == group.role) {
            reader.problem(problem::role_twice(&item.place, &group.role));
        }
        groups.push(group);
    }
    Some(groups)
}

/// `{ role: oncall, count: 2, answer: 3m, no_answer: 10%, deny: 5% }`.
fn approver(reader: &mut Reader, node: &Node) -> Option<ApproverDocument> {
    let mut fields = reader.fields(node, "people who may be asked")?;
    let role = fields.required(reader, "role").and_then(|node| reader.name(node, "a role"));
    let count = optional(reader, &mut fields, "count", |r, n| u32::try_from(r.integer(n, "the number of people", 1..=20)?).ok());
    let answer = optional(reader, &mut fields, "answer", |r, n| distribution(r, n, "the time to answer"));
    let no_answer = optional(reader, &mut fields, "no_answer", |r, n| r.ratio(n, "the share of questions without an answer"));
    let deny = optional(reader, &mut fields, "deny", |r, n| r.ratio(n, "the share of answers that are a no"));
    fields.finish(reader);
    Some(ApproverDocument { role: role?, count, answer, no_answer, deny })
}
