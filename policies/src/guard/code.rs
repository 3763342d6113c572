//! Policy as code: the rules of the project's bundle deny a proposed action, ask for approval, or warn.

use super::Answer;
use crate::code::{Said, Verdict};

/// The name in journals.
pub const NAME: &str = "policy_as_code";

/// Asks the guard. `verdict` is what the bundle said; `None` if nobody has asked it.
#[must_use]
pub fn check(is_there: bool, verdict: Option<&Verdict>) -> Answer {
    if !is_there {
        return Answer::not_configured();
    }
    let Said { deny, require_approval, warn } = match verdict {
        Some(Ok(said)) => said,
        // Whoever cannot be understood may have meant no.
        Some(Err(why)) => return Answer::refused(format!("denied, because the rules cannot tell: {why}"), None),
        None => return Answer::refused("denied, because nobody has asked the rules", None),
    };
    let warned = if warn.is_empty() { String::new() } else { format!("; warned: {}", warn.join("; ")) };
    match (deny.is_empty(), require_approval.is_empty()) {
        (false, _) => Answer::refused(format!("denied: {}{warned}", deny.join("; ")), None),
        (true, false) => {
            let because = require_approval.join("; ");
            Answer::passed(format!("must be approved: {because}{warned}")).must_be_approved(because)
        }
        (true, true) => Answer::passed(format!("not denied{warned}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::journal::GuardVerdict;

    #[track_caller]
    fn check_said((deny, approve, warn): (&[&str], &[&str], &[&str]), expected: (GuardVerdict, &str, Option<&str>)) {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let said = Said { deny: texts(deny), require_approval: texts(approve), warn: texts(warn) };
        let answer = check(true, Some(&Ok(said)));
        assert_eq!((answer.verdict, answer.figures.as_str(), answer.approval.as_deref()), expected);
    }

    #[test]
    fn a_denial_comes_before_an_approval_and_a_warning_stands_with_either() {
        check_said((&[], &[], &[]), (GuardVerdict::Passed, "not denied", None));
        check_said((&[], &[], &["many"]), (GuardVerdict::Passed, "not denied; warned: many", None));
        check_said((&[], &["big"], &["many"]), (GuardVerdict::Passed, "must be approved: big; warned: many", Some("big")));
        check_said((&["no", "never"], &["big"], &[]), (GuardVerdict::Refused, "denied: no; never", None));
    }

    #[test]
    fn what_cannot_be_told_denies_and_without_a_bundle_it_is_not_configured() {
        let broken = check(true, Some(&Err("`deny`: divide by zero".to_owned())));
        assert_eq!(broken.figures, "denied, because the rules cannot tell: `deny`: divide by zero");
        assert!(broken.is_refusal() && check(true, None).is_refusal());
        assert_eq!(check(false, None), Answer::not_configured());
    }
}
