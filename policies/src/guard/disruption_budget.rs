//! A disruption budget: what is healthy now less what must stay healthy is what may be taken now.

use firedrill_core::action::Target;
use firedrill_core::inventory::Inventory;
use firedrill_core::quantity::Ratio;
use firedrill_telemetry::promql::Formula;

use super::caps::{Most, replicas_taken};
use super::dedup::Remediations;
use super::population::{Counted, Population, Watch};
use super::{Answer, Known, Proposal};
use crate::figures::{Figure, figures};

/// The name in journals.
pub const NAME: &str = "disruption_budget";

/// How many must stay healthy.
#[derive(Clone, Debug)]
pub struct DisruptionBudget {
    /// How health is told.
    pub watch: Watch,
    /// The least that must stay; a share is of what is declared.
    pub desired: Most,
    /// Whether a replica that the policy acts on counts as one of the unhealthy. Then taking it costs nothing as long as the desired are there.
    pub target_is_unhealthy: bool,
    /// How busy those that stay may be. `None`: not asked.
    pub headroom: Option<Headroom>,
}

/// How busy what stays healthy may be, when it takes over the load of what is taken.
#[derive(Clone, Debug)]
pub struct Headroom {
    /// How busy the healthy are now, one number: 1 is all that they can do.
    pub busy: Formula,
    /// Not busier than this afterwards; it may be reached.
    pub at_most: Ratio,
}

impl Headroom {
    /// Whether `healthy` that are as busy as `known` says can give up `taken` of them.
    fn check(&self, known: Option<&Known>, healthy: u64, taken: u64) -> Answer {
        let busy = match known {
            Some(Known::Measured(Some(busy), _)) => *busy,
            Some(Known::Measured(None, why)) => return Answer::refused(format!("cannot tell how busy they are: {why}"), None),
            _ => return Answer::refused("cannot tell how busy they are: nobody has looked", None),
        };
        let Some(left) = healthy.checked_sub(taken).filter(|left| *left > 0) else {
            return Answer::refused(format!("nobody of {healthy} healthy would be left to carry the load"), None);
        };
        let after = busy * healthy as f64 / left as f64;
        let figures = |sign: &str| figures(&[&busy, &" busy * ", &healthy, &" / ", &left, &" ", &sign, &" ", &self.at_most]);
        // Not a number is not within any bound.
        if after <= self.at_most.get() { Answer::passed(figures("<=")) } else { Answer::refused(figures(">"), None) }
    }
}

/// Asks the guard. Replicas under a running action count as taken, whether telemetry shows it yet or not.
#[must_use]
pub fn check(
    budget: Option<&DisruptionBudget>,
    proposal: &Proposal,
    remediations: &Remediations,
    inventory: &Inventory,
    (counted, busy): (Option<Counted<'_>>, Option<&Known>),
) -> Answer {
    let Some(budget) = budget else { return Answer::not_configured() };
    let population = match Population::of(&budget.watch, &proposal.target, inventory, counted) {
        Ok(population) => population,
        Err(refusal) => return refusal,
    };
    let taken =
        |action, target: &Target| -> u64 { population.parts.iter().map(|part| replicas_taken(action, target, part, inventory)).sum() };
    let running = remediations.others(&proposal.policy, proposal.incident).flat_map(|other| other.deeds.iter().filter(|deed| deed.running));
    let running = running.chain(remediations.own_running(&proposal.policy, proposal.incident));
    let running: u64 = running.map(|deed| taken(&deed.action, &deed.target)).sum();
    let costs_nothing = budget.target_is_unhealthy && matches!(proposal.target, Target::Replica(_));
    let this = if costs_nothing { 0 } else { taken(&proposal.action, &proposal.target) };
    let Population { declared, healthy, .. } = population;
    let desired = budget.desired.of(declared);
    let figures = |sign: &str| {
        let now: [&dyn Figure; 5] = [&healthy, &" healthy - ", &running, &" being worked on - ", &this];
        figures(&[&now[..], &[&" ", &sign, &" ", &desired, &" desired (", &budget.desired, &")"]].concat())
    };
    // What takes nothing needs the desired to be there too; of none there are always enough.
    if healthy.saturating_sub(running).saturating_sub(this) < desired {
        return Answer::refused(figures("<"), None);
    }
    let enough = Answer::passed(figures(">="));
    match &budget.headroom {
        Some(headroom) => Answer::all([enough, headroom.check(busy, healthy, running.saturating_add(this))]),
        None => enough,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{inventory, proposal};
    use super::super::population::tests::{counted, watch};
    use super::super::{Guards, Scope};
    use super::*;
    use firedrill_core::name::Name;
    use firedrill_core::quantity::Rounding;
    use firedrill_core::time::Time;

    fn budget(desired: Most, target_is_unhealthy: bool) -> DisruptionBudget {
        DisruptionBudget { watch: watch(Scope::Service), desired, target_is_unhealthy, headroom: None }
    }

    #[track_caller]
    fn check_budget(budget: &DisruptionBudget, target: &str, healthy: u64, others: &[&str]) -> Answer {
        let mut guards = Guards::new();
        for (incident, target) in (10..).zip(others) {
            guards.started(&proposal("other", incident, target), Time::ZERO);
        }
        check(Some(budget), &proposal("p", 0, target), &guards.remediations, &inventory(), (counted(healthy, 6), None))
    }

    #[test]
    fn healthy_less_desired_may_be_taken() {
        let four = budget(Most::Count(4), false);
        assert_eq!(check_budget(&four, "replica/api-0", 5, &[]), Answer::passed("5 healthy - 0 being worked on - 1 >= 4 desired (4)"));
        assert!(check_budget(&four, "replica/api-0", 4, &[]).is_refusal());
        assert!(check_budget(&four, "service/api", 6, &[]).is_refusal(), "all six at once");
        assert!(!check_budget(&budget(Most::Count(0), false), "service/api", 6, &[]).is_refusal());
        assert!(!check_budget(&budget(Most::Count(0), false), "replica/api-0", 0, &[]).is_refusal(), "of none there are always enough");
    }

    #[test]
    fn what_others_are_working_on_counts_as_taken_until_their_action_ends() {
        let four = budget(Most::Count(4), false);
        assert!(!check_budget(&four, "replica/api-0", 6, &["replica/api-1"]).is_refusal());
        assert!(check_budget(&four, "replica/api-0", 5, &["replica/api-1"]).is_refusal());
        assert!(!check_budget(&four, "replica/api-0", 5, &["replica/cart-1"]).is_refusal(), "another service");
        let mut guards = Guards::new();
        guards.started(&proposal("other", 9, "replica/api-1"), Time::ZERO);
        guards.ended(&Name::new("other"), 9, Time::ZERO);
        assert!(
            !check(Some(&four), &proposal("p", 0, "replica/api-0"), &guards.remediations, &inventory(), (counted(5, 6), None)).is_refusal()
        );
    }

    #[test]
    fn a_replica_that_is_unhealthy_already_costs_nothing_while_the_desired_are_there() {
        let four = budget(Most::Count(4), true);
        assert!(!check_budget(&four, "replica/api-0", 4, &[]).is_refusal());
        assert!(check_budget(&four, "replica/api-0", 3, &[]).is_refusal());
        assert!(check_budget(&four, "service/api", 4, &[]).is_refusal(), "a service is not one replica");
    }

    #[test]
    fn those_that_stay_must_be_able_to_carry_the_load_of_what_is_taken() {
        let headroom = Headroom { busy: Formula::parse("avg(busy)").unwrap(), at_most: Ratio::parse("75%").unwrap() };
        let budget = DisruptionBudget { headroom: Some(headroom), ..budget(Most::Count(0), false) };
        let ask = |target: &str, busy: Option<Known>| {
            let seen = (counted(6, 6), busy.as_ref());
            check(Some(&budget), &proposal("p", 0, target), &Remediations::default(), &inventory(), seen)
        };
        let busy = |value| Some(Known::Measured(Some(value), String::new()));
        let told = ask("replica/api-0", busy(0.625));
        assert_eq!(told, Answer::passed("6 healthy - 0 being worked on - 1 >= 0 desired (0); 0.625 busy * 6 / 5 <= 75%"));
        assert_eq!(ask("replica/api-0", busy(0.6875)).figures, "0.6875 busy * 6 / 5 > 75%");
        assert!(ask("replica/api-0", busy(f64::NAN)).is_refusal());
        assert_eq!(ask("service/api", busy(0.0)).figures, "nobody of 6 healthy would be left to carry the load");
        let untold = ask("replica/api-0", Some(Known::Measured(None, "no element".to_owned())));
        assert_eq!(untold.figures, "cannot tell how busy they are: no element");
        assert!(ask("replica/api-0", None).is_refusal());
    }

    #[test]
    fn a_quorum_is_more_than_half_of_what_is_declared() {
        let quorum = budget(Most::Majority, false);
        assert_eq!(check_budget(&quorum, "replica/api-0", 5, &[]).figures, "5 healthy - 0 being worked on - 1 >= 4 desired (quorum)");
        assert!(check_budget(&quorum, "replica/api-0", 4, &[]).is_refusal(), "3 of 6 are no quorum");
        assert_eq!([1, 2, 3, 4, 5, 6].map(|declared| Most::Majority.of(declared)), [1, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn a_share_is_of_what_is_declared_and_rounds_as_it_says() {
        let share = |rounding| budget(Most::Share(Ratio::parse("60%").unwrap(), rounding), false);
        // 60 % of 6 is 3.6.
        assert!(!check_budget(&share(Rounding::Floor), "replica/api-0", 4, &[]).is_refusal());
        assert!(check_budget(&share(Rounding::Ceil), "replica/api-0", 4, &[]).is_refusal());
    }

    #[test]
    fn without_a_count_it_refuses_and_without_a_budget_it_is_not_configured() {
        let (proposal, remediations) = (proposal("p", 0, "service/api"), Remediations::default());
        assert!(check(Some(&budget(Most::Count(0), false)), &proposal, &remediations, &inventory(), (None, None)).is_refusal());
        assert_eq!(check(None, &proposal, &remediations, &inventory(), (counted(6, 6), None)), Answer::not_configured());
    }
}
