//! A gate: while more of what is declared is unhealthy than it allows, this is no case for a single remediation. It is not a cap: a cap
//! counts what is being worked on.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;

use super::Answer;
use super::caps::Most;
use super::population::{Counted, Population, Watch};
use crate::figures::figures;

/// The name in journals.
pub const NAME: &str = "max_unhealthy";

/// How many may be unhealthy for an action to start.
#[derive(Clone, Debug)]
pub struct MaxUnhealthy {
    /// How health is told.
    pub watch: Watch,
    /// The most; a share is of what is declared.
    pub max: Most,
}

/// Asks the guard. As many as the most pass, one more does not.
#[must_use]
pub fn check(gate: Option<&MaxUnhealthy>, target: &Target, inventory: &Inventory, counted: Option<Counted<'_>>) -> Answer {
    let Some(gate) = gate else { return Answer::not_configured() };
    match Population::of(&gate.watch, target, inventory, counted) {
        Err(refusal) => refusal,
        Ok(populations) => Answer::all(populations.iter().map(|own| own.named(of_one(gate, own)))),
    }
}

fn of_one(gate: &MaxUnhealthy, population: &Population) -> Answer {
    let Population { declared, unhealthy, .. } = population;
    let limit = gate.max.of(*declared);
    let figures = |sign: &str| figures(&[unhealthy, &" of ", declared, &" unhealthy ", &sign, &" ", &limit, &" (", &gate.max, &")"]);
    if *unhealthy > limit { Answer::refused(figures(">"), None) } else { Answer::passed(figures("<=")) }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::super::fixture::inventory;
    use super::super::population::tests::{counted, watch};
    use super::*;
    use firedrill_core::journal::CountedPart;
    use firedrill_core::quantity::{Ratio, Rounding};

    #[track_caller]
    fn check_gate(max: Most, healthy: u64) -> Answer {
        let gate = MaxUnhealthy { watch: watch(Scope::Service), max };
        check(Some(&gate), &"replica/api-0".parse().unwrap(), &inventory(), counted(healthy, 6))
    }

    #[test]
    fn forty_percent_of_six_is_two_or_three_as_its_rounding_says() {
        let share = |rounding| Most::Share(Ratio::parse("40%").unwrap(), rounding);
        let floor = check_gate(share(Rounding::Floor), 4);
        assert_eq!(floor, Answer::passed("2 of 6 unhealthy <= 2 (40%, rounded down)"));
        assert_eq!(check_gate(share(Rounding::Floor), 3), Answer::refused("3 of 6 unhealthy > 2 (40%, rounded down)", None));
        assert!(!check_gate(share(Rounding::Ceil), 3).is_refusal());
        assert!(check_gate(share(Rounding::Ceil), 2).is_refusal());
    }

    #[test]
    fn each_service_in_a_zone_passes_by_itself() {
        let gate = MaxUnhealthy { watch: watch(Scope::Service), max: Most::Share(Ratio::parse("30%").unwrap(), Rounding::Floor) };
        let ask = |cart: u64| {
            let part = |part: &str, holding, elements| CountedPart { part: part.parse().unwrap(), holding, elements };
            let parts = [part("service/api", 6, 6), part("service/cart", cart, 3)];
            let counted = Counted { holding: 6 + cart, elements: 9, error: "", parts: Some(&parts) };
            check(Some(&gate), &"zone/a".parse().unwrap(), &inventory(), Some(counted))
        };
        // Of both together 2 may be unhealthy, of cart's 3 none.
        assert_eq!(ask(2), Answer::refused("1 of 3 unhealthy > 0 (30%, rounded down) in service/cart", None));
        let both = "0 of 6 unhealthy <= 1 (30%, rounded down) in service/api; 0 of 3 unhealthy <= 0 (30%, rounded down) in service/cart";
        assert_eq!(ask(3), Answer::passed(both));
    }

    #[test]
    fn a_number_is_the_number() {
        assert!(!check_gate(Most::Count(0), 6).is_refusal());
        assert!(check_gate(Most::Count(0), 5).is_refusal());
        assert!(!check_gate(Most::Count(6), 0).is_refusal());
    }

    #[test]
    fn without_a_count_it_refuses_and_without_a_gate_it_is_not_configured() {
        let gate = MaxUnhealthy { watch: watch(Scope::Service), max: Most::Count(6) };
        assert!(check(Some(&gate), &"service/api".parse().unwrap(), &inventory(), None).is_refusal());
        assert_eq!(check(None, &"service/api".parse().unwrap(), &inventory(), counted(0, 6)), Answer::not_configured());
    }
}
