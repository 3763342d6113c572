//! How many replicas of a service may be evicted: a Kubernetes PodDisruptionBudget (`pkg/controller/disruption/disruption.go`, `eviction.go`).

use firedrill_core::quantity::Rounding;

use crate::spec::{Amount, DisruptionSpec};

/// What the disruption controller knows of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Replicas that are ready and not on their way out.
    pub(crate) healthy: u32,
    /// Replicas that must stay healthy.
    pub(crate) needed: u32,
    /// Replicas that shall be there.
    pub(crate) expected: u32,
}

impl Standing {
    /// Of a service that shall have `wanted` replicas, has `existing`, and of these `healthy` well.
    pub(crate) fn of(budget: DisruptionSpec, wanted: u32, existing: u32, healthy: u32) -> Self {
        // Shares are rounded up in both, as `GetScaledValueFromIntOrPercent` is told to.
        let amount = |amount: Amount| match amount {
            Amount::Count(count) => count,
            Amount::Share(share) => share.of(u64::from(wanted), Rounding::Ceil) as u32,
        };
        let (expected, needed) = match budget {
            DisruptionSpec::MaxUnavailable(most) => (wanted, wanted.saturating_sub(amount(most))),
            // A number needs no scale, so the controller counts what is there.
            DisruptionSpec::MinAvailable(Amount::Count(least)) => (existing, least),
            DisruptionSpec::MinAvailable(least) => (wanted, amount(least)),
        };
        Self { healthy, needed, expected }
    }

    /// How many more may be evicted now.
    pub(crate) const fn allowed(self) -> u32 {
        if self.expected == 0 { 0 } else { self.healthy.saturating_sub(self.needed) }
    }

    /// Whether one more may be evicted that has a process and is ready, or is not (`IfHealthyBudget`, the default since there is a choice).
    pub(crate) const fn permits(self, is_ready: bool) -> bool {
        (!is_ready && self.needed > 0 && self.healthy >= self.needed) || self.allowed() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::quantity::Ratio;

    fn share(share: f64) -> Amount {
        Amount::Share(Ratio::new(share).unwrap())
    }

    #[track_caller]
    fn check(budget: DisruptionSpec, (wanted, existing, healthy): (u32, u32, u32), allowed: u32) {
        assert_eq!(Standing::of(budget, wanted, existing, healthy).allowed(), allowed, "{budget:?}");
    }

    #[test]
    fn both_shares_are_rounded_up() {
        // Half of 7 is 4: so many must stay, or so many may go.
        check(DisruptionSpec::MinAvailable(share(0.5)), (7, 7, 7), 3);
        check(DisruptionSpec::MaxUnavailable(share(0.5)), (7, 7, 7), 4);
        check(DisruptionSpec::MaxUnavailable(share(0.0)), (7, 7, 7), 0);
        check(DisruptionSpec::MinAvailable(share(1.0)), (7, 7, 7), 0);
    }

    #[test]
    fn who_is_missing_anyway_counts_against_the_budget() {
        check(DisruptionSpec::MaxUnavailable(Amount::Count(1)), (3, 3, 3), 1);
        check(DisruptionSpec::MaxUnavailable(Amount::Count(1)), (3, 3, 2), 0);
        check(DisruptionSpec::MaxUnavailable(Amount::Count(1)), (3, 4, 1), 0);
        check(DisruptionSpec::MinAvailable(Amount::Count(2)), (3, 4, 4), 2);
        check(DisruptionSpec::MinAvailable(Amount::Count(2)), (3, 3, 1), 0);
        check(DisruptionSpec::MaxUnavailable(Amount::Count(9)), (3, 3, 3), 3);
        check(DisruptionSpec::MaxUnavailable(Amount::Count(9)), (0, 1, 1), 0);
    }

    #[test]
    fn who_is_not_ready_may_go_if_enough_others_are_well() {
        let standing = |healthy| Standing::of(DisruptionSpec::MinAvailable(Amount::Count(2)), 3, 3, healthy);
        assert!(standing(2).permits(false) && !standing(2).permits(true));
        assert!(!standing(1).permits(false));
        let none_needed = Standing::of(DisruptionSpec::MinAvailable(Amount::Count(0)), 3, 3, 0);
        assert!(!none_needed.permits(false), "the rule for the unready asks for a budget above zero");
    }
}
