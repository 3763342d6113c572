//! The policies' pilot, as the simulator's loop knows it.
//!
//! The simulator may not know policies and policies may not know the simulator, so the two meet here.

use std::collections::BTreeSet;
use std::fmt;

use firedrill_core::action::{ActionId, ActionResult, Command};
use firedrill_core::journal::{Event, Input, Record};
use firedrill_core::name::Name;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::pilot::Pilot;
use firedrill_sim::automation::{Approvers, Automation, Person, Reply, Script};
use firedrill_telemetry::store::Store;

/// What is not carried out of what policies order, though they are told that it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// All actions of this step of a policy, counting from 0.
    step: Option<(Name, u32)>,
    /// These actions.
    actions: BTreeSet<ActionId>,
}

impl LeftOut {
    /// One action of a run.
    #[must_use]
    pub fn action(action: ActionId) -> Self {
        Self { step: None, actions: [action].into() }
    }

    /// All actions of a step.
    #[must_use]
    pub fn step(policy: Name, step: u32) -> Self {
        Self { step: Some((policy, step)), actions: BTreeSet::new() }
    }

    /// Takes note of which actions are the step's, from what its policy has just written down.
    fn hear(&mut self, records: &[Record]) {
        let Some((own, number)) = &self.step else { return };
        for record in records {
            if let Event::Decided { policy, step, action, .. } = &record.event
                && policy == own
                && step == number
            {
                self.actions.insert(action.clone());
            }
        }
    }
}

impl fmt::Display for LeftOut {
    /// What tells it from others: `restart step 2`, `restart#0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((policy, step)) = &self.step {
            return write!(f, "{policy} step {}", step + 1);
        }
        let actions: Vec<String> = self.actions.iter().map(ToString::to_string).collect();
        f.write_str(&actions.join(", "))
    }
}

/// What plays an arm: a pilot at the controls of a simulated world, or the oracle's script.
#[derive(Clone)]
pub enum Playing {
    /// Rules watch, and policies may act; people may be asked to allow it.
    Pilot(Box<Pilot>, Approvers),
    /// The same, and some of what they order is not carried out: the arm `P−i` of docs/MEASURES.md.
    Without(Box<Pilot>, Approvers, Box<LeftOut>),
    /// Rules watch, and a person acts whom they call.
    Human(Box<Pilot>, Person),
    /// The right cures at their times.
    Oracle(Script),
}

impl Automation for Playing {
    fn is_perfect(&self) -> bool {
        matches!(self, Self::Oracle(script) if script.is_perfect())
    }

    fn until(&self) -> Option<Time> {
        match self {
            Self::Human(_, person) => person.until(),
            Self::Pilot(..) | Self::Without(..) | Self::Oracle(_) => None,
        }
    }

    fn leaves_out(&self, command: &Command) -> bool {
        matches!(self, Self::Without(_, _, left_out) if left_out.actions.contains(command.id()))
    }

    fn prometheus_runs(&mut self, runs: bool) {
        match self {
            Self::Pilot(pilot, _) | Self::Without(pilot, ..) | Self::Human(pilot, _) => pilot.prometheus_runs(runs),
            Self::Oracle(script) => script.prometheus_runs(runs),
        }
    }

    fn due(&self) -> Option<(Time, Class)> {
        match self {
            Self::Pilot(pilot, approvers) | Self::Without(pilot, approvers, _) => earlier(pilot.due(), approvers.due()),
            Self::Human(pilot, person) => earlier(pilot.due(), person.due()),
            Self::Oracle(script) => script.due(),
        }
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        let before = desk.journal.records().len();
        match self {
            Self::Pilot(pilot, approvers) | Self::Without(pilot, approvers, _) => {
                if is_pilots(pilot.due(), approvers.due()) {
                    pilot.advance(raw, desk);
                } else if let Some((at, reply)) = approvers.answer() {
                    let Reply { policy, proposal, who, role, yes } = reply;
                    pilot.answered((at, &policy), Input::Answered { proposal, who, role, yes }, raw, desk);
                }
                approvers.hear(&desk.journal.records()[before..]);
            }
            Self::Human(pilot, person) => {
                if !is_pilots(pilot.due(), person.due()) {
                    return person.advance(desk);
                }
                pilot.advance(raw, desk);
                for record in &desk.journal.records()[before..] {
                    if let Event::Notified { notification } = &record.event {
                        person.hear(record.at, notification);
                    }
                }
            }
            Self::Oracle(script) => script.advance(raw, desk),
        }
        self.note(&desk.journal.records()[before..]);
    }

    fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk<'_>) {
        let before = desk.journal.records().len();
        match self {
            Self::Pilot(pilot, approvers) | Self::Without(pilot, approvers, _) => {
                pilot.finished(result, raw, desk);
                approvers.hear(&desk.journal.records()[before..]);
            }
            // What has come of an action a person sees when they look, by the alerts.
            Self::Human(..) => {}
            Self::Oracle(script) => script.finished(result, raw, desk),
        }
        self.note(&desk.journal.records()[before..]);
    }
}

impl Playing {
    /// Which of what has just been decided is not carried out.
    fn note(&mut self, records: &[Record]) {
        if let Self::Without(_, _, left_out) = self {
            left_out.hear(records);
        }
    }
}

/// When the next thing is due, of a pilot or of people.
fn earlier(pilot: Option<(Time, Class)>, people: Option<Time>) -> Option<(Time, Class)> {
    pilot.into_iter().chain(people.map(|at| (at, Class::Controller))).min()
}

/// Whether the next thing is the pilot's; of two that are due together it is.
fn is_pilots(pilot: Option<(Time, Class)>, people: Option<Time>) -> bool {
    pilot.is_some_and(|due| people.is_none_or(|at| due <= (at, Class::Controller)))
}
