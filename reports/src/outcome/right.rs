//! Whether an action was right, and how sure the policy was of it (docs/MEASURES.md, "Was it right").

use std::collections::BTreeMap;

use firedrill_core::journal::{Event, Journal, Verification};
use firedrill_core::name::Name;

use super::DeedOutcome;

/// User-minutes that a run may lose beyond doing nothing before its actions count as harmful.
pub const HARMFUL: f64 = 1.0;

/// An action of a policy, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Which policy.
    pub policy: Name,
    /// The alert that it answered.
    pub alert: Name,
    /// The word of the action.
    pub action: String,
    /// How sure the policy was, if it says so.
    pub sure: Option<f64>,
    /// Why it was not right; `None`: it was.
    pub wrong: Option<&'static str>,
}

/// What was right of what the policies did. What undoes an action is none: it answers no alert. `harm` is of the whole run, user-minutes: which of its
/// actions did it cannot be told, so it is held against all of them.
pub(super) fn judged(journal: &Journal, deeds: &[DeedOutcome], harm: f64) -> Vec<Judged> {
    let mut alerts: BTreeMap<(&Name, u64), &Name> = BTreeMap::new();
    let mut sure = BTreeMap::new();
    let mut found: Vec<(Judged, (&Name, u64, u32))> = Vec::new();
    for record in journal.records() {
        match &record.event {
            Event::IncidentOpened { policy, incident, alert, .. } => {
                alerts.insert((policy, *incident), alert);
            }
            Event::Confident { policy, incident, what, target, value, .. } => {
                sure.insert((policy, *incident, what.to_string(), target), *value);
            }
            Event::Decided { policy, incident, step, action, what, target, reason } if !reason.starts_with("undo: ") => {
                let Some(deed) = deeds.iter().find(|deed| deed.action == *action) else { continue };
                let Some(alert) = alerts.get(&(policy, *incident)) else { continue };
                let wrong = match deed {
                    DeedOutcome { false_positive: true, .. } => Some("out of scope"),
                    _ if deed.succeeded != Some(true) => Some("not carried out"),
                    _ if harm > HARMFUL => Some("users lost more than by doing nothing"),
                    _ => None,
                };
                let sure = sure.get(&(policy, *incident, what.to_string(), target)).copied();
                let judged = Judged { policy: policy.clone(), alert: (*alert).clone(), action: what.word().to_owned(), sure, wrong };
                found.push((judged, (policy, *incident, *step)));
            }
            Event::Verified { policy, incident, step, verdict: Verification::Failed, .. } => {
                for (judged, _) in found.iter_mut().filter(|(_, of)| *of == (policy, *incident, *step)) {
                    judged.wrong = judged.wrong.or(Some("verified not to have helped"));
                }
            }
            _ => {}
        }
    }
    found.into_iter().map(|(judged, _)| judged).collect()
}

#[cfg(test)]
mod tests {
    use firedrill_core::action::{Action, ActionId};
    use firedrill_core::time::{Span, Time};

    use super::*;

    const POLICY: &str = "p";

    /// One action of an incident, after what the policy says of it, and before what comes of it.
    fn told(before: Vec<Event>, deed: DeedOutcome, after: Vec<Event>, harm: f64) -> Vec<(Option<f64>, Option<&'static str>)> {
        let mut journal = Journal::new();
        let opened = Event::IncidentOpened {
            policy: Name::new(POLICY),
            incident: 3,
            alert: Name::new("Down"),
            target: None,
            labels: Default::default(),
        };
        let decided = Event::Decided {
            policy: Name::new(POLICY),
            incident: 3,
            step: 1,
            action: deed.action.clone(),
            what: Action::Rollback,
            target: deed.target.clone(),
            reason: "Down fires".to_owned(),
        };
        for event in std::iter::once(opened).chain(before).chain([decided]).chain(after) {
            journal.write(Time::ZERO, event);
        }
        let judged = judged(&journal, &[deed], harm);
        assert!(judged.iter().all(|one| one.alert.as_str() == "Down" && one.action == "rollback"));
        judged.into_iter().map(|one| (one.sure, one.wrong)).collect()
    }

    fn deed(succeeded: Option<bool>, false_positive: bool) -> DeedOutcome {
        DeedOutcome {
            action: ActionId { policy: Name::new(POLICY), ordinal: 0 },
            what: "rollback".to_owned(),
            target: "service/api".parse().unwrap(),
            started_seconds: 1.0,
            finished_seconds: Some(2.0),
            succeeded,
            while_open: true,
            false_positive,
        }
    }

    fn verified(step: u32, verdict: Verification) -> Event {
        Event::Verified { policy: Name::new(POLICY), incident: 3, step, verdict, figures: String::new(), took: Span::ZERO }
    }

    #[test]
    fn it_is_right_unless_something_speaks_against_it() {
        let good = || deed(Some(true), false);
        assert_eq!(told(vec![], good(), vec![verified(1, Verification::Held)], 0.0), [(None, None)]);
        assert_eq!(told(vec![], good(), vec![verified(1, Verification::Inconclusive)], HARMFUL), [(None, None)]);
        assert_eq!(told(vec![], good(), vec![verified(0, Verification::Failed)], 0.0), [(None, None)], "another step's");
        let wrong = |deed, after, harm| told(vec![], deed, after, harm)[0].1;
        assert_eq!(wrong(good(), vec![verified(1, Verification::Failed)], 0.0), Some("verified not to have helped"));
        assert_eq!(wrong(deed(Some(true), true), vec![], 0.0), Some("out of scope"));
        assert_eq!(wrong(deed(Some(false), false), vec![], 0.0), Some("not carried out"));
        assert_eq!(wrong(deed(None, false), vec![], 0.0), Some("not carried out"));
        assert_eq!(wrong(good(), vec![], 1.5), Some("users lost more than by doing nothing"));
    }

    #[test]
    fn how_sure_it_was_is_of_the_same_action_on_the_same_target() {
        let sure = |target: &str| Event::Confident {
            policy: Name::new(POLICY),
            incident: 3,
            what: Action::Rollback,
            target: target.parse().unwrap(),
            value: 0.8,
            is_measured: false,
        };
        assert_eq!(told(vec![sure("service/api")], deed(Some(true), false), vec![], 0.0), [(Some(0.8), None)]);
        assert_eq!(told(vec![sure("service/db")], deed(Some(true), false), vec![], 0.0), [(None, None)]);
    }
}
