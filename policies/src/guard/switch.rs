//! What must be off for a policy to act: its kill switch, and a change under way on its target. Both are conditions that forbid while they
//! are true; a condition that cannot be told forbids too.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::Truth;
use firedrill_core::name::Name;
use firedrill_telemetry::promql::Condition;

use super::{Answer, Instead, services_touched};

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

impl Switch {
    /// A switch of a condition, of which one element that holds is enough.
    #[must_use]
    pub fn new(condition: Condition, instead: Instead) -> Self {
        Self { condition: condition.forbidding(), instead }
    }
}

/// A kill switch of the project.
#[derive(Clone, Debug)]
pub struct Halt {
    /// When it is thrown, and what happens then.
    pub switch: Switch,
    /// Why, for people; may be empty.
    pub because: String,
    /// Actions that touch any of these services are stopped; empty: all are.
    pub services: Vec<Name>,
}

/// Asks a kill switch of the project about an action on a target. What touches no service that is declared may touch any.
#[must_use]
pub fn check_halt(halt: &Halt, target: &Target, inventory: &Inventory, answer: Option<(Truth, &str)>) -> Answer {
    let Halt { switch, because, services } = halt;
    let touched = services_touched(target, inventory);
    if !services.is_empty() && !touched.is_empty() && !services.iter().any(|service| touched.contains(service)) {
        return Answer::passed(format!("{target} touches none of {}", services.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")));
    }
    let told = check(Some(switch), answer);
    let why = if because.is_empty() { String::new() } else { format!(" ({because})") };
    if told.is_refusal() { Answer { figures: format!("the project's: {}{why}", told.figures), ..told } } else { told }
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
        let switch = Switch::new(condition, instead);
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
    fn the_projects_switch_stops_the_services_that_it_names_and_what_may_touch_any() {
        let inventory = super::super::fixture::inventory();
        let condition = Condition::parse("frozen == 1").unwrap();
        let halt = |services: &[&str]| Halt {
            switch: Switch::new(condition.clone(), Instead::Wait),
            because: "the year ends".to_owned(),
            services: services.iter().copied().map(Name::new).collect(),
        };
        let ask = |services: &[&str], target: &str, answer| check_halt(&halt(services), &target.parse().unwrap(), &inventory, answer);
        let thrown = Some((Truth::True, "1 == 1"));
        assert_eq!(ask(&[], "service/api", thrown).figures, "the project's: 1 == 1 (the year ends)");
        assert!(ask(&["api"], "replica/api-1", thrown).is_refusal());
        assert!(ask(&["cart"], "zone/a", thrown).is_refusal(), "a zone touches every service that stands there");
        assert_eq!(ask(&["cart"], "replica/api-1", thrown), Answer::passed("replica/api-1 touches none of cart"));
        assert!(ask(&["cart"], "client/users", thrown).is_refusal(), "whom a client asks nobody said");
        assert!(ask(&["cart"], "service/cart", None).is_refusal());
        assert!(!ask(&["cart"], "service/cart", Some((Truth::False, "0 == 1"))).is_refusal());
    }

    #[test]
    fn a_refusal_says_what_happens_instead_and_no_switch_is_not_configured() {
        assert_eq!(check_with(Instead::Alert, Some((Truth::True, ""))).2, Instead::Alert);
        assert_eq!(check(None, Some((Truth::True, "1 == 1"))), Answer::not_configured());
    }
}
