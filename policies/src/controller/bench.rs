//! What the tests of a controller share: one with its guards, inputs in short, and effects in a few words.

use std::sync::Arc;

use firedrill_core::action::{ActionId, ActionOutcome, ActionResult, Actuator};
use firedrill_core::inventory::{Inventory, ServiceEntry};
use firedrill_core::journal::{AlertStatus, Event, Input, LabelSet, Notification, Truth, Weighed};
use firedrill_core::name::Name;
use firedrill_core::time::Time;

use super::{Controller, Effect, REPORT_TIMERS};
use crate::document::read_policy;
use crate::guard::Guards;
use crate::guard::stage::Stage;

pub(super) const RESTART: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 60s }
    on_failure: escalate
  - escalate: { to: oncall }
guard:
  cooldown: 2m
";

/// A controller with its guards, and what came out of it, in short.
pub(super) struct Bench {
    pub(super) controller: Controller,
    pub(super) guards: Guards,
}

impl Bench {
    pub(super) fn new(policy: &str, stage: Stage) -> Self {
        let entry = ServiceEntry { replicas: 4, zones: vec![Name::new("a"), Name::new("b")], critical: true, calls: vec![] };
        let inventory =
            Inventory { services: [(Name::new("api"), entry)].into(), clients: vec![Name::new("users")], ..Inventory::default() };
        let policy = read_policy("policy.yaml", policy).unwrap_or_else(|problems| panic!("{problems:?}"));
        let controller = Controller::new(policy, Arc::new(inventory), stage, Some(Actuator::simulated()));
        Self { controller, guards: Guards::new() }
    }

    pub(super) fn step(&mut self, second: u64, input: Input) -> Vec<Effect> {
        self.controller.step(Time::from_seconds(second), input, &mut self.guards)
    }

    #[track_caller]
    pub(super) fn check(&mut self, second: u64, input: Input, expected: &[&str]) {
        assert_eq!(self.told(second, input), expected);
    }

    pub(super) fn told(&mut self, second: u64, input: Input) -> Vec<String> {
        self.step(second, input).iter().filter_map(tell).collect()
    }
}

/// An effect in a few words; verdicts that pass, what came in, and timers that wait for reports are left out.
fn tell(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Evaluate { query, question, at } => format!("ask {query} {:?} at {}", question.condition, at.as_seconds()),
        Effect::Start(command) => format!("start {} {} {}", command.id(), command.action(), command.target()),
        Effect::Page { to, .. } => format!("page {to}"),
        Effect::Inform { to, .. } => format!("inform {to}"),
        Effect::Ask { proposal, action, target, .. } => format!("ask {proposal} {action} {target}"),
        Effect::Gather { query, wanted } => {
            format!("gather {query} {}", wanted.kinds.iter().map(Name::as_str).collect::<Vec<_>>().join(" "))
        }
        Effect::SetTimer { timer, .. } | Effect::CancelTimer { timer } if *timer >= REPORT_TIMERS => return None,
        Effect::SetTimer { timer, at } => format!("timer {timer} at {}", at.as_seconds()),
        Effect::CancelTimer { timer } => format!("cancel {timer}"),
        Effect::Record(
            Event::Received { .. }
            | Event::Decided { .. }
            | Event::Paged { .. }
            | Event::Informed { .. }
            | Event::Guarded { .. }
            | Event::Unguarded { .. },
        ) => return None,
        Effect::Record(Event::IncidentOpened { incident, .. }) => format!("open {incident}"),
        Effect::Record(Event::IncidentClosed { incident, reason, .. }) => format!("close {incident}: {reason}"),
        Effect::Record(Event::Refused { incident, guard, figures, .. }) => format!("refuse {incident} by {guard}: {figures}"),
        Effect::Record(Event::Verified { verdict, took, .. }) => format!("verified {verdict:?} after {took}"),
        Effect::Record(Event::WouldAct { what, target, .. }) => format!("would {what} {target}"),
        Effect::Record(Event::Collected { evidence, .. }) => format!("collected {}", evidence.len()),
        Effect::Record(Event::Proposed { approve, .. }) => format!("propose {}", approve.trim_start_matches("firedrill approve ")),
        Effect::Record(Event::Confident { what, value, .. }) => format!("sure {value} of {what}"),
        Effect::Record(Event::Answered { who, counts, figures, .. }) => {
            format!("{who} {}: {figures}", if *counts { "counts" } else { "does not count" })
        }
        Effect::Record(Event::ProposalChanged { proposal, change, figures, .. }) => format!("proposal {proposal} {change:?}: {figures}"),
        Effect::Record(Event::Unanswered { reason, .. }) => format!("unanswered: {reason}"),
        Effect::Record(Event::Chosen { candidates, .. }) => {
            let told = candidates.iter().map(|Weighed { what, target, why, .. }| format!("{what} {target} ({why})"));
            format!("choose {}", told.collect::<Vec<_>>().join(", "))
        }
        Effect::Record(other) => format!("{other:?}"),
    })
}

pub(super) fn notification(status: AlertStatus, labels: &[(&str, &str)]) -> Input {
    let named = |(name, value): &(&str, &str)| (Name::new(name), Name::new(value));
    let labels: LabelSet = labels.iter().map(named).chain([(Name::new("alertname"), Name::new("Down"))]).collect();
    Input::Notified(Notification { alert: Name::new("Down"), status, labels, starts_at: Time::ZERO, receiver: None })
}

pub(super) fn fires(pod: &str) -> Input {
    notification(AlertStatus::Firing, &[("pod", pod)])
}

pub(super) fn resolves(pod: &str) -> Input {
    notification(AlertStatus::Resolved, &[("pod", pod)])
}

pub(super) fn ended(ordinal: u64, outcome: ActionOutcome) -> Input {
    Input::Finished(ActionResult { action: ActionId { policy: Name::new("restart"), ordinal }, at: Time::ZERO, outcome })
}

pub(super) fn answer(query: u64, verdict: Truth) -> Input {
    Input::Evaluated { query, verdict, figures: format!("{verdict:?}") }
}

/// Somebody on call answers a proposal.
pub(super) fn says(proposal: u64, who: &str, yes: bool) -> Input {
    as_role(proposal, who, "oncall", yes)
}

/// Somebody answers a proposal.
pub(super) fn as_role(proposal: u64, who: &str, role: &str, yes: bool) -> Input {
    Input::Answered { proposal, who: Name::new(who), role: Name::new(role), yes }
}

pub(super) const OK: ActionOutcome = ActionOutcome::Succeeded;

/// A whole story: the inputs with their seconds.
pub(super) fn story() -> Vec<(u64, Input)> {
    vec![
        (0, fires("api-1")),
        (1, fires("api-2")),
        (5, ended(0, OK)),
        (5, answer(0, Truth::False)),
        (10, answer(1, Truth::True)),
        (15, answer(2, Truth::True)),
        (20, answer(3, Truth::True)),
        (25, ended(1, ActionOutcome::Failed("no quota".into()))),
        (30, resolves("api-2")),
        (320, Input::Timer { timer: 0 }),
        (330, ended(2, OK)),
        (330, answer(4, Truth::True)),
    ]
}
