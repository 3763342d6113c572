//! The trial after a promotion: for the first actions or the first days a policy runs with halved caps and doubled verification.

use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_policies::guard::caps::{Cap, Most};
use firedrill_policies::policy::Policy;
use jiff::Timestamp;
use serde::Serialize;

use super::standing::Standing;

/// How many actions a trial lasts.
pub const ACTIONS: u64 = 5;

/// How long it lasts, if fewer actions come.
pub const LASTS: Span = Span::from_seconds(7 * 86_400);

/// A trial that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bake {
    /// Actions until it is over.
    pub actions_left: u64,
    /// Or time.
    pub time_left: Span,
}

/// The trial that a policy is on after so many actions at its stage; `None`: it is on none.
#[must_use]
pub fn of(standing: &Standing, actions: u64, now: Timestamp) -> Option<Bake> {
    let lasted = standing.lasted(now);
    let is_on = standing.is_promoted && standing.stage.may_act() && actions < ACTIONS && lasted < LASTS;
    is_on.then(|| Bake { actions_left: ACTIONS - actions, time_left: Span::from_nanos(LASTS.as_nanos() - lasted.as_nanos()) })
}

/// The policy as it runs on trial: every cap halved, every verification held for twice as long, and given that much more time.
///
/// A cap of one stays one: a policy on trial that could do nothing would never end it.
#[must_use]
pub fn on_trial(policy: &Policy) -> Policy {
    let mut own = policy.clone();
    for cap in &mut own.guards.caps {
        *cap = halved(cap);
    }
    for verify in own.steps.iter_mut().filter_map(|step| step.verify.as_mut()) {
        verify.within = verify.within + verify.hold;
        verify.hold = verify.hold + verify.hold;
    }
    own
}

fn halved(cap: &Cap) -> Cap {
    let half = |count: u64| if count > 1 { count / 2 } else { count };
    let max = match cap.max {
        Most::Count(count) => Most::Count(half(count)),
        Most::Share(share, rounding) => Most::Share(Ratio::new(share.get() / 2.0).unwrap_or(share), rounding),
        Most::Majority => Most::Majority,
    };
    Cap { max, at_least: half(cap.at_least), ..*cap }
}
