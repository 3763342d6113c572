//! Conditions that must be true, on fresh data, before a step acts; and the target must exist.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Truth;

use super::{Answer, is_declared};

/// The name in journals.
pub const NAME: &str = "precheck";

/// One precheck's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// Yes, no, or no telling. No telling refuses.
    pub verdict: Truth,
    /// The figures that were compared.
    pub figures: &'a str,
    /// Why the policy asks.
    pub because: &'a str,
}

/// Asks the guard.
#[must_use]
pub fn check(target: &Target, inventory: &Inventory, answers: &[Checked<'_>]) -> Answer {
    if is_declared(target, inventory) == Some(false) {
        return Answer::refused(format!("{target} is not declared"), None);
    }
    Answer::all(answers.iter().map(of_one))
}

fn of_one(checked: &Checked<'_>) -> Answer {
    let Checked { verdict, figures, because } = checked;
    match verdict {
        Truth::True => Answer::passed(*figures),
        Truth::False => Answer::refused(format!("{figures}: {because}"), None),
        Truth::Unknown => Answer::refused(format!("cannot tell: {figures}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::inventory;
    use super::*;
    use firedrill_core::journal::GuardVerdict;

    #[track_caller]
    fn check_answers(target: &str, verdicts: &[Truth], expected: GuardVerdict) {
        let answers: Vec<Checked<'_>> =
            verdicts.iter().map(|verdict| Checked { verdict: *verdict, figures: "1 < 2", because: "of it" }).collect();
        assert_eq!(check(&target.parse().unwrap(), &inventory(), &answers).verdict, expected);
    }

    #[test]
    fn every_condition_must_be_true_and_unknown_is_not_true() {
        check_answers("service/api", &[], GuardVerdict::NotConfigured);
        check_answers("service/api", &[Truth::True, Truth::True], GuardVerdict::Passed);
        check_answers("service/api", &[Truth::True, Truth::False], GuardVerdict::Refused);
        check_answers("service/api", &[Truth::Unknown, Truth::True], GuardVerdict::Refused);
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused_whatever_the_conditions_say() {
        check_answers("service/gone", &[Truth::True], GuardVerdict::Refused);
        check_answers("service/gone", &[], GuardVerdict::Refused);
    }
}
