//! Whether a run tells anything about its policy: one that never acted has proved nothing, and the reason is named. Nor has one that a bound ended,
//! whether it acted or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firedrill_core::action::{Action, ActionId, ActionOutcome};
use firedrill_core::journal::{AlertStatus, Event, Journal, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Transcript;
use serde::{Deserialize, Serialize};

use super::Arms;

/// Whether the policy had an occasion to act and did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exercise {
    /// These policies acted.
    Acted {
        /// The policies that acted, sorted.
        policies: Vec<Name>,
    },
    /// There was no fault, so there was nothing to do.
    Calm,
    /// No policy was on duty.
    NoPolicy,
    /// The alerts that the policies answer never fired.
    NeverFired {
        /// The alerts that were waited for; empty if not known.
        alerts: Vec<Name>,
        /// Why rules could not be evaluated, the first few; often a series that does not exist.
        failures: Vec<String>,
    },
    /// An alert that the policies answer fired, and Alertmanager kept it from its receiver.
    Withheld {
        /// The alert.
        alert: Name,
        /// Who was not told.
        receiver: Name,
        /// Why.
        reason: String,
    },
    /// An alert that the policies answer fired, and nobody had been told of it when the run ended.
    Untold {
        /// The alert.
        alert: Name,
        /// Who would have been told next.
        receiver: Name,
    },
    /// An alert that the policies answer went to receivers at which none of them listens.
    Elsewhere {
        /// The alert.
        alert: Name,
        /// Who was told, sorted.
        receivers: Vec<Name>,
    },
    /// Alerts fired, and no policy answers them.
    NoPolicyAnswers {
        /// The alerts that fired.
        alerts: Vec<Name>,
    },
    /// The stage forbids acting.
    StageForbids {
        /// How often it would have acted.
        count: u64,
    },
    /// Guards refused every proposal.
    Refused {
        /// The guard that refused most often.
        guard: Name,
        /// How often.
        count: u64,
        /// The figures of its first refusal.
        figures: String,
    },
    /// It acted, and the platform turned away all of it, which changes nothing.
    TurnedAway {
        /// The policies that did, sorted.
        policies: Vec<Name>,
        /// How many actions.
        count: u64,
        /// Why the first was.
        reason: String,
    },
    /// It called people and did nothing itself: a page is a notification, no remediation.
    OnlyPaged {
        /// The policies that did, sorted.
        policies: Vec<Name>,
        /// How often.
        count: u64,
    },
    /// It waited on purpose, which changes nothing, and did nothing else.
    OnlyWaited {
        /// The policies that did, sorted.
        policies: Vec<Name>,
    },
    /// Alerts that the policies answer fired; their labels are not those that the policies ask for, or too few came together for an incident.
    Unmatched {
        /// The alerts.
        alerts: Vec<Name>,
    },
    /// It took up an alert and proposed nothing.
    ProposedNothing {
        /// The first alert that it took up.
        alert: Name,
        /// Why it was done with it, as far as it said.
        reason: String,
    },
}

impl Exercise {
    /// Whether the run tells anything about its policy. A calm run does: not acting is right there.
    #[must_use]
    pub const fn tells(&self) -> bool {
        matches!(self, Self::Acted { .. } | Self::Calm)
    }

    /// Whether it took something up and nothing came of it but words: what users lost meanwhile counts against it, and what went well is not its doing.
    #[must_use]
    pub const fn is_in_vain(&self) -> bool {
        matches!(self, Self::OnlyPaged { .. } | Self::TurnedAway { .. })
    }
}

/// A bound ended a run before its horizon, so that nothing is known of what would have come: nothing that went well until then proves anything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The arm whose run it was; the policy's if it was cut itself.
    pub arm: Name,
    /// The bound: `events`, `attempts` or `records`.
    pub bound: Name,
    /// When, whole seconds since the start of the run.
    pub at_seconds: u64,
    /// Whether no fault of the scenario had set in by then.
    pub before_any_fault: bool,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bound {} ended the run of {} at {}", self.bound, self.arm, Span::from_seconds(self.at_seconds))?;
        f.write_str(if self.before_any_fault { ", before any fault set in" } else { "" })
    }
}

impl fmt::Display for Exercise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Acted { policies } => write!(f, "{} acted", list(policies)),
            Self::Calm => f.write_str("no fault, and no action"),
            Self::NoPolicy => f.write_str("no policy was on duty"),
            Self::NeverFired { alerts, failures } => {
                match alerts.as_slice() {
                    [] => f.write_str("no alert fired")?,
                    [alert] => write!(f, "alert {alert} never fired")?,
                    alerts => write!(f, "none of the alerts {} fired", list(alerts))?,
                }
                failures.first().map_or(Ok(()), |first| write!(f, "; {first}"))
            }
            Self::Withheld { alert, receiver, reason } => write!(f, "alert {alert} fired and {receiver} was not told: {reason}"),
            Self::Untold { alert, receiver } => write!(f, "alert {alert} fired, and {receiver} had not been told when the run ended"),
            Self::Elsewhere { alert, receivers } => {
                write!(f, "alert {alert} was told to {}, and no policy that listens there matches it", list(receivers))
            }
            Self::NoPolicyAnswers { alerts } if alerts.len() == 1 => write!(f, "no policy answers alert {}", list(alerts)),
            Self::NoPolicyAnswers { alerts } => write!(f, "no policy answers any of the alerts {}", list(alerts)),
            Self::StageForbids { count } => write!(f, "its stage forbids acting: it would have acted {}", times(*count)),
            Self::Refused { guard, count, figures } => write!(f, "guard {guard} refused {}: {figures}", times(*count)),
            Self::TurnedAway { policies, count: 1, reason } => {
                write!(f, "the platform turned away the one action of {}: {reason}", list(policies))
            }
            Self::TurnedAway { policies, count, reason } => {
                write!(f, "the platform turned away all {count} actions of {}: {reason}", list(policies))
            }
            Self::OnlyPaged { policies, count } => write!(f, "{} called people {} and did nothing", list(policies), times(*count)),
            Self::OnlyWaited { policies } => write!(f, "{} waited and did nothing else", list(policies)),
            Self::Unmatched { alerts } => {
                write!(f, "alert {} fired, and does not come to what the policy asks for (`match`, `incident`)", list(alerts))
            }
            Self::ProposedNothing { alert, reason } if reason.is_empty() => write!(f, "took up alert {alert} and proposed nothing"),
            Self::ProposedNothing { alert, reason } => write!(f, "took up alert {alert} and proposed nothing: {reason}"),
        }
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The bounds whose reaching ends a run (`sim::run`); others only bound what a policy takes in.
const ENDING: [&str; 3] = ["attempts", "events", "records"];

/// The bound that ended a run before its horizon, and when; `None` if none did.
pub(super) fn cut_short(run: &Transcript) -> Option<(Name, Time)> {
    run.journal.records().iter().rev().find_map(|record| match &record.event {
        Event::BoundReached { bound, .. } if ENDING.contains(&&**bound) => Some((bound.clone(), record.at)),
        _ => None,
    })
}

/// How a bound ended the policy's run, or the one that it is held against.
pub(super) fn cut_among(arms: &Arms) -> Option<Cut> {
    let (run, (bound, at)) = [arms.policy, arms.nothing].into_iter().find_map(|run| Some((run, cut_short(run)?)))?;
    Some(Cut {
        arm: run.header.arm.clone(),
        bound,
        at_seconds: at.as_nanos() / 1_000_000_000,
        before_any_fault: run.ledger.faults.is_empty() && run.ledger.faults_to_come > 0,
    })
}

/// Finds out whether the policies of a run did anything, and if not, where it stopped.
pub(super) fn exercise(run: &Transcript, answers: &[Name]) -> Exercise {
    let seen = Seen::of(&run.journal);
    if !seen.acted.is_empty() {
        return Exercise::Acted { policies: seen.acted };
    }
    if run.ledger.faults.is_empty() {
        return Exercise::Calm;
    }
    if run.header.policies.is_empty() {
        return Exercise::NoPolicy;
    }
    if seen.would_act > 0 {
        return Exercise::StageForbids { count: seen.would_act };
    }
    if let Some((_, reason)) = seen.turned_away.first() {
        let mut policies = Vec::new();
        seen.turned_away.iter().for_each(|(action, _)| insert(&mut policies, &action.policy));
        return Exercise::TurnedAway { policies, count: seen.turned_away.len() as u64, reason: reason.clone() };
    }
    let most = seen.refused.iter().max_by_key(|(guard, (count, _))| (*count, std::cmp::Reverse((*guard).clone())));
    if let Some((guard, (count, figures))) = most {
        return Exercise::Refused { guard: guard.clone(), count: *count, figures: figures.clone() };
    }
    if !seen.paged.is_empty() {
        return Exercise::OnlyPaged { policies: seen.paged, count: seen.pages };
    }
    if !seen.waited.is_empty() {
        return Exercise::OnlyWaited { policies: seen.waited };
    }
    if let Some(alert) = seen.taken_up {
        return Exercise::ProposedNothing { alert, reason: seen.closing };
    }
    if seen.fired.is_empty() || (!answers.is_empty() && !answers.iter().any(|alert| seen.fired.contains(alert))) {
        // Only what can keep these alerts from firing: their own rules, and recording rules, which bear a colon by convention.
        let own = |failure: &&RuleFailure| answers.is_empty() || answers.contains(&failure.rule) || failure.rule.contains(':');
        let failures = seen.failures.iter().filter(own).take(3).map(ToString::to_string).collect();
        return Exercise::NeverFired { alerts: answers.to_vec(), failures };
    }
    let own: Vec<Name> = seen.fired.iter().filter(|alert| answers.contains(alert)).cloned().collect();
    let unanswered =
        if own.is_empty() { Exercise::NoPolicyAnswers { alerts: seen.fired.clone() } } else { Exercise::Unmatched { alerts: own } };
    unheard(&seen, answers).unwrap_or(unanswered)
}

/// What became of the alerts that the policies answer on their way through Alertmanager; `None` without one.
fn unheard(seen: &Seen, answers: &[Name]) -> Option<Exercise> {
    let is_answered = |alert: &Name| answers.is_empty() || answers.contains(alert);
    if let Some((alert, receivers)) = seen.told.iter().find(|(alert, _)| is_answered(alert)) {
        return Some(Exercise::Elsewhere { alert: alert.clone(), receivers: receivers.clone() });
    }
    if let Some((alert, (receiver, reason))) = seen.withheld.iter().find(|(alert, _)| is_answered(alert)) {
        return Some(Exercise::Withheld { alert: alert.clone(), receiver: receiver.clone(), reason: reason.clone() });
    }
    let (alert, receiver) = seen.routed.iter().find(|(alert, _)| is_answered(alert))?;
    Some(Exercise::Untold { alert: alert.clone(), receiver: receiver.clone() })
}

/// Refusals by guards.
pub(super) fn refusals(journal: &Journal) -> u64 {
    Seen::of(journal).refused.values().map(|(count, _)| count).sum()
}

/// Actions that the stage forbade.
pub(super) fn would_act(journal: &Journal) -> u64 {
    Seen::of(journal).would_act
}

/// The alerts that fired.
pub(super) fn fired(journals: [&Journal; 2]) -> BTreeSet<Name> {
    let alert = |event: &Event| if let Event::AlertFiring { alert, .. } = event { Some(alert.clone()) } else { None };
    journals.into_iter().flat_map(Journal::records).filter_map(|record| alert(&record.event)).collect()
}

/// Rules that could not be evaluated, each with its first reason.
pub(super) fn failed_rules(journal: &Journal) -> BTreeMap<Name, String> {
    let mut failed = BTreeMap::new();
    for record in journal.records() {
        if let Event::RuleFailed { rule, message } = &record.event {
            failed.entry(rule.clone()).or_insert_with(|| message.clone());
        }
    }
    failed
}

/// A rule that could not be evaluated.
#[derive(PartialEq, Eq)]
struct RuleFailure {
    rule: Name,
    message: String,
}

impl fmt::Display for RuleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} could not be evaluated: {}", self.rule, self.message)
    }
}

#[derive(Default)]
struct Seen {
    acted: Vec<Name>,
    /// The actions that began, or are to begin, and those of them that the platform turned away, in their order, each with the reason.
    begun: BTreeSet<ActionId>,
    turned_away: Vec<(ActionId, String)>,
    waited: Vec<Name>,
    paged: Vec<Name>,
    pages: u64,
    would_act: u64,
    refused: BTreeMap<Name, (u64, String)>,
    taken_up: Option<Name>,
    closing: String,
    fired: Vec<Name>,
    failures: Vec<RuleFailure>,
    /// By alert: who was told that it fires.
    told: BTreeMap<Name, Vec<Name>>,
    /// By alert: who was not told first, and why.
    withheld: BTreeMap<Name, (Name, String)>,
    /// By alert: into whose group it came first.
    routed: BTreeMap<Name, Name>,
}

impl Seen {
    fn of(journal: &Journal) -> Self {
        let mut seen = Self::default();
        for record in journal.records() {
            seen.take_in(&record.event);
        }
        let is_turned_away = |action: &&ActionId| seen.turned_away.iter().any(|(own, _)| own == *action);
        seen.begun.iter().filter(|action| !is_turned_away(action)).for_each(|action| insert(&mut seen.acted, &action.policy));
        seen
    }

    fn take_in(&mut self, event: &Event) {
        match event {
            Event::Decided { action, what, .. } | Event::ActionStarted { action, what, .. } => {
                if matches!(what, Action::Wait { .. }) {
                    insert(&mut self.waited, &action.policy);
                } else {
                    self.begun.insert(action.clone());
                }
            }
            Event::ActionFinished { action, outcome: ActionOutcome::Refused(why) } => self.turned_away.push((action.clone(), why.clone())),
            Event::Paged { policy, .. } => {
                insert(&mut self.paged, policy);
                self.pages += 1;
            }
            Event::WouldAct { .. } => self.would_act += 1,
            Event::Refused { guard, figures, .. } => {
                self.refused.entry(guard.clone()).or_insert_with(|| (0, figures.clone())).0 += 1;
            }
            Event::IncidentOpened { alert, .. } if self.taken_up.is_none() => self.taken_up = Some(alert.clone()),
            Event::IncidentClosed { reason, .. } if self.closing.is_empty() => self.closing.clone_from(reason),
            Event::AlertFiring { alert, .. } => insert(&mut self.fired, alert),
            Event::Notified { notification: Notification { alert, receiver: Some(receiver), status: AlertStatus::Firing, .. } } => {
                insert(self.told.entry(alert.clone()).or_default(), receiver);
            }
            Event::Withheld { alert, receiver, reason, .. } => {
                self.withheld.entry(alert.clone()).or_insert_with(|| (receiver.clone(), reason.clone()));
            }
            Event::Routed { alert, receiver, .. } => {
                self.routed.entry(alert.clone()).or_insert_with(|| receiver.clone());
            }
            Event::RuleFailed { rule, message } => {
                let failure = RuleFailure { rule: rule.clone(), message: message.clone() };
                if !self.failures.contains(&failure) {
                    self.failures.push(failure);
                }
            }
            _ => {}
        }
    }
}

fn insert(names: &mut Vec<Name>, name: &Name) {
    if let Err(index) = names.binary_search(name) {
        names.insert(index, name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use firedrill_core::journal::LabelSet;

    use crate::outcome::{OutcomeSettings, measure};

    #[track_caller]
    fn check(sample: Sample, answers: &[&str], expected: &str) {
        let answers: Vec<Name> = answers.iter().map(|alert| Name::new(alert)).collect();
        assert_eq!(exercise(&sample.build(), &answers).to_string(), expected);
    }

    fn faulty() -> Sample {
        Sample::new(300).fault("api", 60, 200)
    }

    #[test]
    fn each_reason_for_not_acting_is_named() {
        check(faulty().act(100, Action::PurgeQueue, "service/api"), &[], "sample acted");
        check(Sample::new(300), &["Slow"], "no fault, and no action");
        check(faulty(), &["Slow"], "alert Slow never fired");
        check(faulty(), &[], "no alert fired");
        check(faulty().fire(100, "Errors"), &["Slow"], "alert Slow never fired");
        check(faulty().fire(100, "Errors"), &[], "no policy answers alert Errors");
        let routed = |alert: &str| {
            let (receiver, group) = (Name::new("web"), Name::new("{}:{}"));
            Event::Routed { alert: Name::new(alert), labels: LabelSet::default(), receiver, group, look: None, is_first: true }
        };
        let waiting = || faulty().fire(100, "Slow").record(100, routed("Slow"));
        check(waiting(), &["Slow"], "alert Slow fired, and web had not been told when the run ended");
        let (receiver, group, reason) = (Name::new("web"), Name::new("{}:{}"), "inhibited by {alertname=\"Down\"}".to_owned());
        let withheld = Event::Withheld { alert: Name::new("Slow"), labels: LabelSet::default(), receiver, group, reason };
        check(waiting().record(130, withheld), &["Slow"], "alert Slow fired and web was not told: inhibited by {alertname=\"Down\"}");
        let (alert, receiver) = (Name::new("Slow"), Some(Name::new("web")));
        let notification =
            Notification { alert, status: AlertStatus::Firing, labels: LabelSet::default(), starts_at: Time::ZERO, receiver };
        let told = waiting().record(130, Event::Notified { notification });
        check(told, &["Slow"], "alert Slow was told to web, and no policy that listens there matches it");
        let failure = Event::RuleFailed { rule: Name::new("Slow"), message: "no such function".into() };
        check(faulty().record(90, failure), &["Slow"], "alert Slow never fired; rule Slow could not be evaluated: no such function");
        let failure = Event::RuleFailed { rule: Name::new("Other"), message: "no such function".into() };
        check(faulty().record(90, failure), &["Slow"], "alert Slow never fired");
        check(faulty().refuse(100).refuse(110), &[], "guard cooldown refused 2 times: 1m left of 10m");
        check(faulty().would_act(100), &[], "its stage forbids acting: it would have acted once");
        let wait = Action::Wait { span: firedrill_core::time::Span::from_seconds(30) };
        check(faulty().fire(90, "Slow").act(100, wait, "service/api"), &["Slow"], "sample waited and did nothing else");
        check(
            faulty().fire(90, "Slow"),
            &["Slow"],
            "alert Slow fired, and does not come to what the policy asks for (`match`, `incident`)",
        );
        let refused = |sample: Sample| sample.act_in_vain(100, Action::PauseRollout, "service/api", "nothing is rolled out");
        check(refused(faulty()).page(120), &[], "the platform turned away the one action of sample: nothing is rolled out");
        check(refused(refused(faulty())), &[], "the platform turned away all 2 actions of sample: nothing is rolled out");
        check(refused(faulty()).act(110, Action::PurgeQueue, "service/api"), &[], "sample acted");
        check(refused(Sample::new(300)), &[], "no fault, and no action");
        check(faulty().page(100), &[], "sample called people once and did nothing");
        check(faulty().refuse(100).page(120), &[], "guard cooldown refused once: 1m left of 10m");
    }

    #[test]
    fn that_a_bound_ended_a_run_is_known_beside_what_the_policy_did() {
        let reached = |at: u64| {
            let bound = Event::BoundReached { bound: Name::new("events"), figures: "20000 events of 20000".to_owned() };
            move |sample: Sample| sample.record(at, bound).build()
        };
        let measured = |policy: &Transcript, nothing: &Transcript| {
            measure(&Arms { nothing, policy, oracle: None, human: None }, &OutcomeSettings::default())
        };
        let whole = faulty().act(100, Action::PurgeQueue, "service/api").build();
        let told = |outcome: &crate::outcome::Outcome| outcome.cut.as_ref().map_or_else(String::new, ToString::to_string);
        assert_eq!(told(&measured(&whole, &whole)), "");
        let cut = reached(299)(faulty().act(100, Action::PurgeQueue, "service/api"));
        let outcome = measured(&cut, &whole);
        assert_eq!((told(&outcome).as_str(), outcome.exercise.tells()), ("bound events ended the run of policy at 4m59s", true));
        assert!(measured(&whole, &cut).cut.is_some(), "what it is held against was cut");
        // It ended before any fault, which is not the same as there being none.
        let mut before = reached(50)(Sample::new(51));
        before.ledger.faults_to_come = 2;
        let outcome = measured(&before, &before);
        assert_eq!(told(&outcome), "bound events ended the run of policy at 50s, before any fault set in");
        assert_eq!((outcome.faults, outcome.noop_false_positives), (2, None), "it is no calm scenario");
        assert!(outcome.notes.iter().any(|note| note.contains("bound events")), "{:?}", outcome.notes);
        let taken_in = Event::BoundReached { bound: Name::new("inputs_at_once"), figures: String::new() };
        let more = faulty().act(100, Action::PurgeQueue, "service/api").record(90, taken_in).build();
        assert_eq!(told(&measured(&more, &more)), "", "this one ends no run");
    }

    #[test]
    fn only_acting_or_a_calm_run_tells_anything() {
        assert!(Exercise::Calm.tells());
        assert!(!exercise(&faulty().refuse(100).build(), &[]).tells());
        assert!(!exercise(&faulty().page(100).build(), &[]).tells(), "a page is no remediation");
    }
}
