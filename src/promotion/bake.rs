//! The trial after a promotion: for the first actions or the first days a policy runs with halved caps and doubled verification.

use std::sync::Arc;

use firedrill_core::quantity::Ratio;
use firedrill_core::time::Span;
use firedrill_policies::guard::caps::{Cap, Most};
use firedrill_policies::policy::Policy;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::standing::Standing;
use crate::ledger::{Chain, Hashes, What};

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

/// The same for one version of the policy, by a chain.
#[must_use]
pub fn of_version(chain: &Chain, hashes: &Hashes, now: Timestamp) -> Option<Bake> {
    of_standing(chain, &Standing::of_version(chain, hashes), now)
}

/// The same for a version that stands so.
pub(super) fn of_standing(chain: &Chain, standing: &Standing, now: Timestamp) -> Option<Bake> {
    // What another version does is none of its own, nor is to wait.
    let is_own = |hashes: &Hashes| standing.promoted.as_ref().is_none_or(|own| own.hashes == *hashes);
    let is_action = |event: &Value| event.get("decided").is_some_and(|own| own.pointer("/what/wait").is_none());
    let is_counted = |what: &What| match what {
        What::Decision { event, is_backtest: false, hashes, .. } => is_own(hashes) && is_action(event),
        _ => false,
    };
    let actions = chain.since(standing.tried().1).filter(|own| is_counted(&own.entry.what)).count();
    of(standing, actions as u64, now)
}

/// The version of a policy that has this hash: as it is written, or as it runs on trial; `None`: neither.
#[must_use]
pub fn with_hash(policy: &Arc<Policy>, hash: &str) -> Option<Arc<Policy>> {
    if policy.hash() == hash {
        return Some(Arc::clone(policy));
    }
    Some(on_trial(policy)).filter(|own| own.hash() == hash).map(Arc::new)
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

#[cfg(test)]
mod tests {
    use firedrill_core::action::Action;
    use firedrill_policies::document::read_policy;
    use firedrill_policies::guard::stage::Stage;
    use jiff::SignedDuration;

    use super::*;

    const POLICY: &str = "
schema: policy/1
policy: p
owner: team
on: { alert: Down }
target: { service: $service }
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{service=$service} == 1', hold: 30s, within: 3m }
    on_failure: escalate
  - escalate: { to: oncall }
guard:
  caps:
    - { scope: service, of: replicas, max: 25%, at_least: 2, rounding: floor }
    - { scope: zone, of: targets, max: 1 }
    - { scope: all, of: targets, max: 5 }
";

    #[test]
    fn on_trial_caps_are_halved_and_verifications_last_twice_as_long() {
        let policy = on_trial(&read_policy("p.yaml", POLICY).unwrap());
        let caps: Vec<(String, u64)> = policy.guards.caps.iter().map(|cap| (cap.max.describe(), cap.at_least)).collect();
        let caps: Vec<(&str, u64)> = caps.iter().map(|(max, least)| (max.as_str(), *least)).collect();
        assert_eq!((caps[0], caps[1].0, caps[2].0), (("12.5%, rounded down", 1), "1", "2"));
        let verify = policy.steps[0].verify.as_ref().unwrap();
        assert_eq!((verify.hold, verify.within), (Span::from_seconds(60), Span::from_seconds(210)));
    }

    #[test]
    fn what_was_watched_on_trial_is_known_by_its_hash() {
        let policy = read_policy("p.yaml", POLICY).unwrap();
        let trial = on_trial(&policy);
        for hash in [policy.hash(), trial.hash()] {
            assert_eq!(with_hash(&policy, &hash).map(|own| own.hash()), Some(hash));
        }
        assert!(with_hash(&policy, "another").is_none());
    }

    #[test]
    fn a_chain_tells_how_many_actions_a_trial_has_left() {
        use crate::ledger::{Entry, Hashes, Ledger};
        let (folder, name) = (tempfile::tempdir().unwrap(), firedrill_core::name::Name::new("p"));
        let at: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let entry = |what| Entry { at, by: "watch".to_owned(), what };
        let decision = |kind: &str, is_backtest| {
            let (incident, hashes, event) = ("i".to_owned(), Hashes::default(), serde_json::json!({ kind: {} }));
            entry(What::Decision { incident, stage: Stage::Limited, hashes, event, is_backtest })
        };
        let (profile, hashes, evidence) = ("small".to_owned(), Hashes::default(), serde_json::Value::Null);
        let promotion = What::Promotion { from: Stage::Approval, to: Stage::Limited, profile, hashes, evidence, weakened: Vec::new() };
        let of_another = || {
            let mut own = decision("decided", false);
            if let What::Decision { hashes, .. } = &mut own.what {
                hashes.policy = "another".to_owned();
            }
            own
        };
        let waits = || {
            let mut own = decision("decided", false);
            if let What::Decision { event, .. } = &mut own.what {
                *event = serde_json::json!({ "decided": { "what": Action::Wait { span: Span::from_seconds(5) } } });
            }
            own
        };
        // What it did before its promotion, what it would have done, and what was decided on history or by another version are no actions of the trial.
        let all = vec![
            decision("decided", false),
            entry(promotion),
            decision("decided", false),
            decision("would_act", false),
            decision("decided", true),
            of_another(),
            waits(),
        ];
        Ledger::open(folder.path(), &name).unwrap().0.append(all).unwrap();
        let chain = Ledger::read(folder.path(), &name).unwrap();
        assert_eq!(of_version(&chain, &Hashes::default(), at).map(|bake| bake.actions_left), Some(ACTIONS - 1));
        assert_eq!(of_version(&chain, &Hashes::default(), at + SignedDuration::from_hours(24 * 7)), None);
    }

    #[test]
    fn a_trial_ends_with_its_fifth_action_or_its_seventh_day() {
        let now: Timestamp = "2026-01-15T00:00:00Z".parse().unwrap();
        let since = |days: i64| Some(now - SignedDuration::from_hours(24 * days));
        let standing = |days| Standing {
            stage: Stage::Limited,
            since: since(days),
            by: None,
            entry: None,
            begun: None,
            is_promoted: true,
            promoted: None,
            branches: Vec::new(),
        };
        let left = of(&standing(2), 3, now).unwrap();
        assert_eq!((left.actions_left, left.time_left), (2, Span::from_seconds(5 * 86_400)));
        assert_eq!(of(&standing(7), 0, now), None);
        assert_eq!(of(&standing(1), 5, now), None);
        assert_eq!(of(&Standing { is_promoted: false, ..standing(1) }, 0, now), None, "whoever was taken back is on none");
        assert_eq!(of(&Standing { stage: Stage::Shadow, ..standing(1) }, 0, now), None, "nothing acts there");
    }
}
