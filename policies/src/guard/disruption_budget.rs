//! A disruption budget: what is healthy now less what must stay healthy is what may be taken now.

use std::collections::BTreeSet;

use firedrill_core::action::{Action, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::CountedPart;
use firedrill_core::quantity::Ratio;
use firedrill_telemetry::promql::Formula;

use super::caps::{Most, replicas_taken, taken_together};
use super::dedup::{Deed, Remediation, Remediations};
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
    /// Whether a replica that is seen not to be healthy costs nothing when it is taken, as long as the desired are there. It is seen by its own element of
    /// telemetry: one that is healthy, or of which nobody has told, is taken from the healthy.
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
        if busy < 0.0 {
            return Answer::refused(format!("they cannot be {busy} busy"), None);
        }
        // Not a number is not within any bound.
        if after <= self.at_most.get() { Answer::passed(figures("<=")) } else { Answer::refused(figures(">"), None) }
    }
}

/// The replicas that are seen not to be healthy, each by itself. Any other may be healthy.
#[derive(Default)]
struct Unhealthy(BTreeSet<Target>);

impl Unhealthy {
    /// Those that a count tells by themselves.
    fn of(counted: Counted<'_>) -> Self {
        let is_one = |own: &&CountedPart| matches!(own.part, Target::Replica(_)) && own.holding == 0 && own.elements > 0;
        Self(counted.parts.into_iter().flatten().filter(is_one).map(|own| own.part.clone()).collect())
    }

    /// Whether nothing is lost of the healthy when a target is taken.
    fn has(&self, target: &Target) -> bool {
        self.0.contains(target)
    }
}

/// Asks the guard for a proposal that is one action with others: `whole` has all of them. Replicas under a running action count as taken, whether telemetry
/// shows it yet or not, but for those of which a budget whose target is unhealthy is told that they are not healthy.
#[must_use]
pub fn check(
    budget: Option<&DisruptionBudget>,
    (proposal, whole): (&Proposal, &[Proposal]),
    remediations: &Remediations,
    inventory: &Inventory,
    (counted, busy): (Option<Counted<'_>>, Option<&Known>),
) -> Answer {
    let Some(budget) = budget else { return Answer::not_configured() };
    let told = counted.filter(|_| budget.target_is_unhealthy).map_or_else(Unhealthy::default, Unhealthy::of);
    match Population::of(&budget.watch, &proposal.target, inventory, counted) {
        Ok(populations) => {
            Answer::all(populations.iter().map(|own| of_one((budget, own, &told), (proposal, whole), remediations, inventory, busy)))
        }
        Err(refusal) => refusal,
    }
}

/// Asks it of one of the populations that the proposal touches.
fn of_one(
    (budget, population, told): (&DisruptionBudget, &Population, &Unhealthy),
    (proposal, whole): (&Proposal, &[Proposal]),
    remediations: &Remediations,
    inventory: &Inventory,
    busy: Option<&Known>,
) -> Answer {
    let Population { part, declared, healthy, .. } = population;
    let (declared, healthy) = (*declared, *healthy);
    let taken = |action: &Action, target: &Target| if told.has(target) { 0 } else { replicas_taken(action, target, part, inventory) };
    let others = remediations.others(&proposal.policy, proposal.incident).flat_map(Remediation::wholes);
    let own = remediations.own_running(&proposal.policy, proposal.incident).map(std::slice::from_ref);
    let sum = |whole: &[Deed]| {
        let held = whole.iter().filter(|deed| deed.is_held()).map(Deed::what);
        taken_together(held, inventory, |action, target| Some(taken(action, target))).unwrap_or_default()
    };
    let running: u64 = others.chain(own).map(sum).sum();
    let this =
        taken_together(whole.iter().map(Proposal::what), inventory, |action, target| Some(taken(action, target))).unwrap_or_default();
    let desired = budget.desired.of(declared);
    let figures = |sign: &str| {
        let now: [&dyn Figure; 5] = [&healthy, &" healthy - ", &running, &" being worked on - ", &this];
        figures(&[&now[..], &[&" ", &sign, &" ", &desired, &" desired (", &budget.desired, &")"]].concat())
    };
    // What takes nothing needs the desired to be there too; of none there are always enough.
    if healthy.saturating_sub(running).saturating_sub(this) < desired {
        return population.named(Answer::refused(figures("<"), None));
    }
    let enough = population.named(Answer::passed(figures(">=")));
    match &budget.headroom {
        Some(headroom) => Answer::all([enough, population.named(headroom.check(busy, healthy, running.saturating_add(this)))]),
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
        check(Some(budget), &proposal("p", 0, target), &guards.remediations, (counted(healthy, 6), None))
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
        assert!(!check(Some(&four), &proposal("p", 0, "replica/api-0"), &guards.remediations, (counted(5, 6), None)).is_refusal());
    }

    #[test]
    fn a_replica_that_is_unhealthy_already_costs_nothing_while_the_desired_are_there() {
        let four = budget(Most::Count(4), true);
        let (of_four, of_three) = (["api-1", "api-2", "api-3", "api-4"], ["api-1", "api-2", "api-3"]);
        assert_eq!(seen(&four, "replica/api-0", &of_four, &[]).figures, "4 healthy - 0 being worked on - 0 >= 4 desired (4)");
        assert!(seen(&four, "replica/api-0", &of_three, &[]).is_refusal());
        assert!(seen(&four, "service/api", &of_four, &[]).is_refusal(), "a service is not one replica");
    }

    #[test]
    fn a_healthy_target_is_taken_from_the_healthy_whatever_the_policy_takes_it_for() {
        let two = budget(Most::Count(2), true);
        let refused = seen(&two, "replica/api-0", &["api-0", "api-1"], &[]);
        assert_eq!(refused, Answer::refused("2 healthy - 0 being worked on - 1 < 2 desired (2)", None));
        assert!(!seen(&two, "replica/api-0", &["api-0", "api-1", "api-2"], &[]).is_refusal());
        assert!(seen(&two, "replica/api-0", &["api-0", "api-1", "api-2"], &["replica/api-1"]).is_refusal());
        // Nobody has told of each: it may be one of the healthy.
        assert!(check_budget(&two, "replica/api-0", 2, &[]).is_refusal() && !check_budget(&two, "replica/api-0", 3, &[]).is_refusal());
        assert!(!check_budget(&budget(Most::Count(0), true), "replica/api-0", 0, &[]).is_refusal(), "of none there are always enough");
    }

    #[test]
    fn a_target_of_which_nobody_has_told_is_taken_from_the_healthy() {
        let two = budget(Most::Count(2), true);
        let healthy = ["api-0", "api-1"];
        assert!(!seen(&two, "replica/api-2", &healthy, &[]).is_refusal(), "it is seen not to be healthy");
        let refused = "2 healthy - 0 being worked on - 1 < 2 desired (2)";
        for unseen in ["replica/api-0:8080", "replica/api-6", "replica/api-5f6c9d-abcde"] {
            assert_eq!(seen(&two, unseen, &healthy, &[]).figures, refused, "{unseen}");
        }
    }

    #[test]
    fn what_is_let_in_and_has_not_begun_is_taken_already() {
        let (three, mut guards) = (budget(Most::Count(3), false), Guards::new());
        guards.started_whole(&["replica/api-1", "replica/api-3"].map(|target| proposal("other", 9, target)), Time::ZERO);
        let ask = |guards: &Guards, healthy| {
            check(Some(&three), &proposal("p", 0, "replica/api-0"), &guards.remediations, (counted(healthy, 6), None))
        };
        assert_eq!(ask(&guards, 5).figures, "5 healthy - 2 being worked on - 1 < 3 desired (3)");
        assert!(!ask(&guards, 6).is_refusal());
        guards.ended(&Name::new("other"), 9, Time::ZERO);
        guards.remediations.started(&proposal("other", 9, "replica/api-3"));
        assert_eq!(ask(&guards, 4).figures, "4 healthy - 1 being worked on - 1 < 3 desired (3)", "the first is seen in what is healthy");
    }

    #[test]
    fn what_is_worked_on_and_not_among_the_healthy_is_not_taken_from_them() {
        let (three, healthy) = (budget(Most::Count(3), true), ["api-3", "api-4", "api-5"]);
        let answer = seen(&three, "replica/api-1", &healthy, &["replica/api-0"]);
        assert_eq!(answer, Answer::passed("3 healthy - 0 being worked on - 0 >= 3 desired (3)"));
        assert!(seen(&three, "replica/api-1", &healthy, &["replica/api-3"]).is_refusal(), "this one shows as healthy still");
    }

    #[test]
    fn what_is_one_action_takes_the_sum_of_its_parts() {
        let five = budget(Most::Count(5), false);
        let whole = ["replica/api-0", "replica/api-1", "replica/api-1"].map(|target| proposal("p", 0, target));
        let ask = |whole: &[Proposal]| {
            super::check(Some(&five), (&whole[0], whole), &Remediations::default(), &inventory(), (counted(6, 6), None))
        };
        assert_eq!(ask(&whole).figures, "6 healthy - 0 being worked on - 2 < 5 desired (5)");
        assert!(!ask(&whole[1..]).is_refusal(), "one replica, twice");
    }

    /// Asks for one action alone.
    fn check(
        budget: Option<&DisruptionBudget>,
        proposal: &Proposal,
        remediations: &Remediations,
        seen: (Option<Counted<'_>>, Option<&Known>),
    ) -> Answer {
        super::check(budget, (proposal, std::slice::from_ref(proposal)), remediations, &inventory(), seen)
    }

    /// Asks for the restart of a target, with these replicas of six seen to be healthy, and the others seen not to be.
    fn seen(budget: &DisruptionBudget, target: &str, healthy: &[&str], others: &[&str]) -> Answer {
        let mut guards = Guards::new();
        for (incident, other) in (10..).zip(others) {
            guards.started(&proposal("other", incident, other), Time::ZERO);
        }
        let part = |part: Target, holding, elements| CountedPart { part, holding, elements };
        let service = part("service/api".parse().unwrap(), healthy.len() as u64, 6);
        let all = (0..6).map(|index| format!("api-{index}"));
        let each = all.filter(|own| !healthy.contains(&&**own)).map(|own| part(Target::Replica(Name::new(&own)), 0, 1));
        let parts: Vec<CountedPart> = [service].into_iter().chain(each).collect();
        let counted = Counted { holding: healthy.len() as u64, elements: 6, error: "", parts: Some(&parts) };
        check(Some(budget), &proposal("p", 0, target), &guards.remediations, (Some(counted), None))
    }

    #[test]
    fn each_service_in_a_zone_keeps_what_it_must() {
        // Zone a holds api-0, api-3, cart-0 and cart-2; cart's third stands in b.
        let half =
            DisruptionBudget { watch: watch(Scope::Service), ..budget(Most::Share(Ratio::parse("50%").unwrap(), Rounding::Ceil), false) };
        let drain = Proposal { action: Action::Drain, ..proposal("p", 0, "zone/a") };
        let part = |part: &str, holding| CountedPart { part: part.parse().unwrap(), holding, elements: holding };
        let parts = [part("service/api", 6), part("service/cart", 3)];
        let seen = Counted { holding: 9, elements: 9, error: "", parts: Some(&parts) };
        let ask = |budget: &DisruptionBudget| {
            check(Some(budget), &drain, &Remediations::default(), (Some(seen), Some(&Known::Measured(Some(0.5), String::new()))))
        };
        let told = "3 healthy - 0 being worked on - 2 < 2 desired (50%, rounded up) in service/cart";
        assert_eq!(ask(&half), Answer::refused(told, None), "of both together 5 of 9 stay");
        let one = DisruptionBudget { desired: Most::Count(1), ..half.clone() };
        assert!(!ask(&one).is_refusal());
        let headroom = Headroom { busy: Formula::parse("avg(busy)").unwrap(), at_most: Ratio::parse("95%").unwrap() };
        let busy = ask(&DisruptionBudget { headroom: Some(headroom), ..one });
        assert_eq!(busy.figures, "0.5 busy * 3 / 1 > 95% in service/cart", "who stays of cart carries all of its load");
    }

    #[test]
    fn what_stands_in_each_zone_is_counted_by_itself() {
        let three = DisruptionBudget { watch: watch(Scope::Zone), ..budget(Most::Count(3), false) };
        let ask = |zones: &[(&str, u64)]| {
            let part = |(part, holding): &(&str, u64)| CountedPart { part: part.parse().unwrap(), holding: *holding, elements: *holding };
            let parts: Vec<CountedPart> = zones.iter().map(part).collect();
            let seen = Counted { holding: 9, elements: 9, error: "", parts: Some(&parts) };
            check(Some(&three), &proposal("p", 0, "replica/api-0"), &Remediations::default(), (Some(seen), None))
        };
        assert!(!ask(&[("zone/a", 4), ("zone/b", 3)]).is_refusal());
        assert!(ask(&[("zone/a", 3), ("zone/b", 9)]).is_refusal());
        assert_eq!(ask(&[("zone/b", 9)]).figures, "cannot tell: no element");
        assert_eq!(ask(&[]).figures, "cannot tell: no element", "what stands in no zone is not what stands in this one");
    }

    #[test]
    fn those_that_stay_must_be_able_to_carry_the_load_of_what_is_taken() {
        let headroom = Headroom { busy: Formula::parse("avg(busy)").unwrap(), at_most: Ratio::parse("75%").unwrap() };
        let budget = DisruptionBudget { headroom: Some(headroom), ..budget(Most::Count(0), false) };
        let ask = |target: &str, busy: Option<Known>| {
            let seen = (counted(6, 6), busy.as_ref());
            check(Some(&budget), &proposal("p", 0, target), &Remediations::default(), seen)
        };
        let busy = |value| Some(Known::Measured(Some(value), String::new()));
        let told = ask("replica/api-0", busy(0.625));
        assert_eq!(told, Answer::passed("6 healthy - 0 being worked on - 1 >= 0 desired (0); 0.625 busy * 6 / 5 <= 75%"));
        assert_eq!(ask("replica/api-0", busy(0.6875)).figures, "0.6875 busy * 6 / 5 > 75%");
        assert!(ask("replica/api-0", busy(f64::NAN)).is_refusal());
        assert_eq!(ask("replica/api-0", busy(-0.5)), Answer::refused("they cannot be -0.5 busy", None));
        assert!(!ask("replica/api-0", busy(0.0)).is_refusal());
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
        assert!(check(Some(&budget(Most::Count(0), false)), &proposal, &remediations, (None, None)).is_refusal());
        assert_eq!(check(None, &proposal, &remediations, (counted(6, 6), None)), Answer::not_configured());
    }
}
