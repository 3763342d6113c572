//! Budgets of retries, copied from the systems that have them.

use firedrill_core::time::{Span, Time};

use crate::caller::window::Windowed;
use crate::spec::BudgetSpec;

/// The budget of one caller.
#[derive(Clone, Debug)]
pub(crate) enum Budget {
    /// gRFC A6; tokens in thousandths.
    Grpc { most: u64, tokens: u64, gain: u64 },
    /// Finagle's `RetryBudget` over a leaky `TokenBucket`.
    Share { balance: Windowed, deposit: i64, withdrawal: i64, reserve: i64 },
    /// The retry quota of AWS SDKs.
    Aws { most: u32, tokens: u32, cost: u32, timeout_cost: u32 },
    /// Envoy's `retry_budget`.
    Concurrent { share: f64, least: u32 },
}

/// Finagle counts in thousandths of a request (`RetryBudget.ScaleFactor`).
const SCALE: f64 = 1000.0;

/// Slices of the window of Finagle's bucket (`TokenBucket.newLeakyBucket`).
const SLICES: usize = 10;

impl Budget {
    pub(crate) fn new(spec: &BudgetSpec) -> Self {
        match *spec {
            BudgetSpec::Grpc { tokens, millis } => {
                let most = u64::from(tokens) * 1000;
                Self::Grpc { most, tokens: most, gain: u64::from(millis) }
            }
            BudgetSpec::Share { share, least_per_second, ttl } => {
                let withdrawal = (SCALE / share.get()) as i64;
                let seconds = (ttl.as_nanos() / Span::from_seconds(1).as_nanos()) as i64;
                let reserve = i64::from(least_per_second) * seconds * withdrawal;
                Self::Share { balance: Windowed::new(ttl, SLICES), deposit: SCALE as i64, withdrawal, reserve }
            }
            BudgetSpec::Aws { tokens, cost, timeout_cost } => Self::Aws { most: tokens, tokens, cost, timeout_cost },
            BudgetSpec::Concurrent { share, least } => Self::Concurrent { share: share.get(), least },
        }
    }

    /// A request is made, its retries not counted.
    pub(crate) fn requested(&mut self, now: Time) {
        if let Self::Share { balance, deposit, .. } = self {
            balance.add(now, *deposit);
        }
    }

    /// An attempt has succeeded; `paid` is what its retry had cost, zero for a first attempt.
    pub(crate) fn succeeded(&mut self, paid: u32) {
        match self {
            Self::Grpc { most, tokens, gain } => *tokens = (*tokens + *gain).min(*most),
            Self::Aws { most, tokens, .. } => *tokens = (*tokens + paid.max(1)).min(*most),
            Self::Share { .. } | Self::Concurrent { .. } => {}
        }
    }

    /// An attempt has failed, and is to be tried again or not.
    pub(crate) fn failed(&mut self) {
        if let Self::Grpc { tokens, .. } = self {
            *tokens = tokens.saturating_sub(1000);
        }
    }

    /// Whether a retry may be made, which it then is: what it costs, or `None`. `active` attempts are under way or about to be, `retries` of them retries.
    pub(crate) fn withdraw(&mut self, now: Time, timed_out: bool, active: u32, retries: u32) -> Option<u32> {
        match self {
            Self::Grpc { most, tokens, .. } => (*tokens > *most / 2).then_some(0),
            Self::Share { balance, withdrawal, reserve, .. } => {
                let enough = balance.sum(now) + *reserve >= *withdrawal;
                if enough {
                    balance.add(now, -*withdrawal);
                }
                enough.then_some(0)
            }
            Self::Aws { tokens, cost, timeout_cost, .. } => {
                let cost = if timed_out { *timeout_cost } else { *cost };
                *tokens = tokens.checked_sub(cost)?;
                Some(cost)
            }
            Self::Concurrent { .. } => (!self.is_full(active, retries)).then_some(0),
        }
    }

    /// Whether as many retries are under way as may be at a time; budgets that do not bound that are never full.
    pub(crate) fn is_full(&self, active: u32, retries: u32) -> bool {
        match self {
            Self::Concurrent { share, least } => retries >= ((*share * f64::from(active)) as u32).max(*least),
            Self::Grpc { .. } | Self::Share { .. } | Self::Aws { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::quantity::Ratio;

    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn grpc_stops_at_half_its_tokens_and_needs_51_successes_from_none() {
        let mut budget = Budget::new(&BudgetSpec::Grpc { tokens: 10, millis: 100 });
        let mut allowed = Vec::new();
        for _ in 0..10 {
            budget.failed();
            allowed.push(budget.withdraw(at(0), false, 1, 0).is_some());
        }
        assert_eq!(allowed, [true, true, true, true, false, false, false, false, false, false]);
        for _ in 0..50 {
            budget.succeeded(0);
        }
        assert_eq!(budget.withdraw(at(0), false, 1, 0), None);
        budget.succeeded(0);
        assert_eq!(budget.withdraw(at(0), false, 1, 0), Some(0));
    }

    #[test]
    fn a_share_allows_its_reserve_and_then_a_fifth_and_ten_a_second() {
        let share = Ratio::new(0.2).unwrap();
        let mut budget = Budget::new(&BudgetSpec::Share { share, least_per_second: 10, ttl: Span::from_seconds(10) });
        // 100 requests a second, all of which want a retry.
        let mut retries = Vec::new();
        for second in 0..60 {
            let mut count = 0;
            for request in 0..100 {
                let now = at(second * 1000 + request * 10);
                budget.requested(now);
                count += u32::from(budget.withdraw(now, false, 1, 0).is_some());
            }
            retries.push(count);
        }
        assert_eq!(retries[0], 100, "the reserve of ten seconds is spent at once");
        let later: u32 = retries[20..60].iter().sum();
        assert!((1140..=1260).contains(&later), "30 a second in the long run, not {} in 40 s", later);
    }

    #[test]
    fn aws_pays_more_after_timeouts_and_gets_back_what_a_retry_cost() {
        let mut budget = Budget::new(&BudgetSpec::Aws { tokens: 20, cost: 5, timeout_cost: 10 });
        assert_eq!(budget.withdraw(at(0), true, 1, 0), Some(10));
        assert_eq!(budget.withdraw(at(0), false, 1, 0), Some(5));
        assert_eq!(budget.withdraw(at(0), true, 1, 0), None, "5 are left, and a timeout costs 10");
        assert_eq!(budget.withdraw(at(0), false, 1, 0), Some(5));
        assert_eq!(budget.withdraw(at(0), false, 1, 0), None);
        budget.succeeded(5);
        assert_eq!(budget.withdraw(at(0), false, 1, 0), Some(5));
        budget.succeeded(0);
        assert_eq!(budget.withdraw(at(0), false, 1, 0), None, "a first attempt gives back one");
    }

    #[test]
    fn concurrent_retries_are_a_share_of_what_is_under_way_and_at_least_a_few() {
        let mut budget = Budget::new(&BudgetSpec::Concurrent { share: Ratio::new(0.2).unwrap(), least: 3 });
        assert_eq!(budget.withdraw(at(0), false, 5, 2), Some(0));
        assert_eq!(budget.withdraw(at(0), false, 5, 3), None);
        assert_eq!(budget.withdraw(at(0), false, 100, 19), Some(0));
        assert_eq!(budget.withdraw(at(0), false, 100, 20), None);
    }
}
