//! What must be off for a policy to act: its kill switch, and a change under way on its target. Both are conditions that forbid while they
//! are true; a condition that cannot be told forbids too.

use firedrill_core::journal::Truth;
use firedrill_telemetry::promql::Condition;

use super::{Answer, Instead};

/// The name in journals of what somebody turns off by hand.
pub const KILL_SWITCH: &str = "kill_switch";

/// The name in journals of a deploy or maintenance on the target.
pub const CHANGE: &str = "change_in_progress";

/// A condition that forbids while it is true.
#[derive(Clone, Debug)]
pub struct Switch {
    /// True: forbidden.
    pub condition: Condition,
    /// What happens instead of the action.
    pub instead: Instead,
}

/// Asks the guard. `answer` is the condition's verdict with its figures; `None` if nobody has answered.
#[must_use]
pub fn check(switch: Option<&Switch>, answer: Option<(Truth, &str)>) -> Answer {
    let Some(Switch { instead, .. }) = switch else { return Answer::not_configured() };
    match answer {
        Some((Truth::False, figures)) => Answer::passed(figures),
        Some((Truth::True, figures)) => Answer::refused(figures, None).instead(*instead),
        // Who cannot see the switch must take it for thrown.
        Some((Truth::Unknown, figures)) => Answer::refused(format!("cannot tell: {figures}"), None).instead(*instead),
        None => Answer::refused("cannot tell: nobody has looked", None).instead(*instead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::journal::GuardVerdict;

    #[track_caller]
    fn check_with(instead: Instead, answer: Option<(Truth, &str)>) -> (GuardVerdict, String, Instead) {
        let condition = Condition::parse("automation_off == 1").unwrap();
        let switch = Switch { condition, instead };
        let Answer { verdict, figures, instead, .. } = check(Some(&switch), answer);
        (verdict, figures, instead)
    }

    #[test]
    fn it_passes_only_if_it_is_seen_to_be_off() {
        let refused = |figures: &str| (GuardVerdict::Refused, figures.to_owned(), Instead::Wait);
        assert_eq!(check_with(Instead::Wait, Some((Truth::False, "0 == 1"))), (GuardVerdict::Passed, "0 == 1".to_owned(), Instead::Wait));
        assert_eq!(check_with(Instead::Wait, Some((Truth::True, "1 == 1"))), refused("1 == 1"));
        assert_eq!(check_with(Instead::Wait, Some((Truth::Unknown, "no element"))), refused("cannot tell: no element"));
        assert_eq!(check_with(Instead::Wait, None), refused("cannot tell: nobody has looked"));
    }

    #[test]
    fn a_refusal_says_what_happens_instead_and_no_switch_is_not_configured() {
        assert_eq!(check_with(Instead::Alert, Some((Truth::True, ""))).2, Instead::Alert);
        assert_eq!(check(None, Some((Truth::True, "1 == 1"))), Answer::not_configured());
    }
}
