//! People say yes before an action starts: k of those who may, none of them the policy's own, and only for what they were asked.
//!
//! Why people are asked is said by the policy itself (`approval:`), by its stage, and by every guard that lets an action pass
//! [if people say yes](super::Answer::must_be_approved).

use firedrill_core::inventory::Inventory;
use firedrill_core::name::Name;
use firedrill_core::time::Span;

use super::stage::{is_critical, is_reversible};
use super::{Answer, Instead, Proposal};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "approval";

/// Who is asked where the policy does not say it.
pub const USUAL_ROLE: &str = "oncall";

/// How long people have where the policy does not say it.
pub const USUAL_EXPIRY: Span = Span::from_minutes(15);

/// Of which actions people are asked, whom, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The roles that may answer, each as good as another; at least one.
    pub from: Vec<Name>,
    /// Of which actions.
    pub of: Covered,
    /// How many different people must say yes; at least 1.
    pub quorum: u32,
    /// How long after the question a yes is of use.
    pub expires: Span,
}

impl Default for Approval {
    /// Whom a stage or another guard has asked where the policy names nobody: one person on call, for a quarter of an hour.
    fn default() -> Self {
        Self { from: vec![Name::new(USUAL_ROLE)], of: Covered::All, quorum: 1, expires: USUAL_EXPIRY }
    }
}

/// Of which actions people are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covered {
    /// Of every one.
    #[default]
    All,
    /// Of those that nothing undoes.
    Irreversible,
    /// Of those on something critical.
    Critical,
}

impl Covered {
    /// Each with its word in files.
    pub const WORDS: [(&'static str, Self); 3] = [("all", Self::All), ("irreversible", Self::Irreversible), ("critical", Self::Critical)];
}

/// Why people must be asked, and what they have said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Why, beside what the policy itself asks for; empty: for no other reason.
    pub needs: Vec<String>,
    /// What people have said so far.
    pub said: Said,
    /// Whether nobody is there to be asked, since nothing can be started: in dry-run.
    pub is_dry: bool,
}

/// What people have said of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// Not enough, or nobody has been asked.
    #[default]
    Nothing,
    /// Enough of them said yes: who, for people.
    Yes(String),
    /// Enough of them said yes to something else: what has changed since.
    ToSomethingElse(String),
}

impl Approval {
    /// Why the policy itself wants people to be asked of an action; `None` if it does not.
    #[must_use]
    pub fn because(&self, proposal: &Proposal, inventory: &Inventory) -> Option<String> {
        let Proposal { action, target, .. } = proposal;
        match self.of {
            Covered::All => Some("the policy asks before every action".to_owned()),
            Covered::Irreversible => (!is_reversible(action)).then(|| format!("{} cannot be undone", action.word())),
            Covered::Critical => is_critical(proposal, inventory).then(|| format!("{target} is critical")),
        }
    }

    /// Who must say yes: `2 of oncall or lead`.
    #[must_use]
    pub fn whom(&self) -> String {
        format!("{} of {}", self.quorum, self.from.iter().map(Name::as_str).collect::<Vec<_>>().join(" or "))
    }
}

/// Asks the guard.
#[must_use]
pub fn check(settings: Option<&Approval>, (proposal, inventory): (&Proposal, &Inventory), asking: &Asking) -> Answer {
    let own = settings.and_then(|settings| settings.because(proposal, inventory));
    let reasons: Vec<&str> = own.iter().chain(&asking.needs).map(String::as_str).collect();
    if reasons.is_empty() {
        let word = proposal.action.word();
        return settings.map_or_else(Answer::not_configured, |_| Answer::passed(figures(&[&"nobody need be asked of ", &word, &" here"])));
    }
    let usual = Approval::default();
    let settings = settings.unwrap_or(&usual);
    let why = reasons.join("; ");
    if asking.is_dry {
        return Answer::passed(format!("{} would be asked: {why}", settings.whom()));
    }
    match &asking.said {
        Said::Yes(who) => Answer::passed(format!("{who} said yes")),
        Said::Nothing => Answer::refused(format!("{} must say yes: {why}", settings.whom()), None).instead(Instead::Approve),
        Said::ToSomethingElse(change) => {
            let again = format!("the yes is void: {change}; {} must say yes: {why}", settings.whom());
            Answer::refused(again, None).instead(Instead::Approve)
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::Action;
    use firedrill_core::journal::GuardVerdict;

    use super::super::fixture::{inventory, proposal};
    use super::*;

    #[track_caller]
    fn check_of(of: Option<Covered>, (target, action): (&str, Action), asking: &Asking, expected: (GuardVerdict, &str)) {
        let settings = of.map(|of| Approval { of, quorum: 2, ..Approval::default() });
        let proposal = Proposal { action, ..proposal("p", 0, target) };
        let answer = check(settings.as_ref(), (&proposal, &inventory()), asking);
        assert_eq!((answer.verdict, answer.figures.as_str()), expected);
        assert_eq!(answer.instead == Instead::Approve, answer.is_refusal());
    }

    fn needs(why: &str) -> Asking {
        Asking { needs: vec![why.to_owned()], ..Asking::default() }
    }

    #[test]
    fn of_what_it_does_not_cover_nobody_is_asked() {
        let nobody = Asking::default();
        check_of(None, ("service/api", Action::PurgeQueue), &nobody, (GuardVerdict::NotConfigured, ""));
        let passed = (GuardVerdict::Passed, "nobody need be asked of rollback here");
        check_of(Some(Covered::Irreversible), ("service/api", Action::Rollback), &nobody, passed);
        check_of(Some(Covered::Critical), ("service/cart", Action::Rollback), &nobody, passed);
    }

    #[test]
    fn what_it_covers_waits_for_people() {
        let nobody = Asking::default();
        let refused = |why| (GuardVerdict::Refused, why);
        let all = refused("2 of oncall must say yes: the policy asks before every action");
        check_of(Some(Covered::All), ("service/cart", Action::Rollback), &nobody, all);
        let lost = refused("2 of oncall must say yes: purge_queue cannot be undone");
        check_of(Some(Covered::Irreversible), ("service/cart", Action::PurgeQueue), &nobody, lost);
        let critical = refused("2 of oncall must say yes: service/api is critical");
        check_of(Some(Covered::Critical), ("service/api", Action::Rollback), &nobody, critical);
        let unknown = refused("2 of oncall must say yes: service/unknown is critical");
        check_of(Some(Covered::Critical), ("service/unknown", Action::Rollback), &nobody, unknown);
    }

    #[test]
    fn another_guard_can_have_people_asked_where_the_policy_does_not() {
        let refused = (GuardVerdict::Refused, "1 of oncall must say yes: the stage is approval");
        check_of(None, ("service/cart", Action::Rollback), &needs("the stage is approval"), refused);
        let both = (GuardVerdict::Refused, "2 of oncall must say yes: the policy asks before every action; it is late");
        check_of(Some(Covered::All), ("service/cart", Action::Rollback), &needs("it is late"), both);
    }

    #[test]
    fn a_yes_is_for_what_was_asked_and_in_dry_run_nobody_is() {
        let said = |said| Asking { said, ..needs("it is late") };
        let (rollback, dry) = (("service/cart", Action::Rollback), Asking { is_dry: true, ..needs("it is late") });
        check_of(None, rollback.clone(), &said(Said::Yes("ada (oncall)".into())), (GuardVerdict::Passed, "ada (oncall) said yes"));
        let void = (GuardVerdict::Refused, "the yes is void: precheck 1 was true and is false; 1 of oncall must say yes: it is late");
        check_of(None, rollback.clone(), &said(Said::ToSomethingElse("precheck 1 was true and is false".into())), void);
        check_of(None, rollback, &dry, (GuardVerdict::Passed, "1 of oncall would be asked: it is late"));
    }
}
