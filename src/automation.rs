//! The policies' pilot, as the simulator's loop knows it.
//!
//! The simulator may not know policies and policies may not know the simulator, so the two meet here.

use firedrill_core::action::ActionResult;
use firedrill_core::journal::{Event, Input};
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::pilot::Pilot;
use firedrill_sim::automation::{Approvers, Automation, Person, Reply, Script};
use firedrill_telemetry::store::Store;

/// What plays an arm: a pilot at the controls of a simulated world, or the oracle's script.
#[derive(Clone)]
pub enum Playing {
    /// Rules watch, and policies may act; people may be asked to allow it.
    Pilot(Box<Pilot>, Approvers),
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
            Self::Pilot(..) | Self::Oracle(_) => None,
        }
    }

    fn prometheus_runs(&mut self, runs: bool) {
        match self {
            Self::Pilot(pilot, _) | Self::Human(pilot, _) => pilot.prometheus_runs(runs),
            Self::Oracle(script) => script.prometheus_runs(runs),
        }
    }

    fn due(&self) -> Option<(Time, Class)> {
        match self {
            Self::Pilot(pilot, approvers) => earlier(pilot.due(), approvers.due()),
            Self::Human(pilot, person) => earlier(pilot.due(), person.due()),
            Self::Oracle(script) => script.due(),
        }
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        match self {
            Self::Pilot(pilot, approvers) => {
                let before = desk.journal.records().len();
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
                let before = desk.journal.records().len();
                pilot.advance(raw, desk);
                for record in &desk.journal.records()[before..] {
                    if let Event::Notified { notification } = &record.event {
                        person.hear(record.at, notification);
                    }
                }
            }
            Self::Oracle(script) => script.advance(raw, desk),
        }
    }

    fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk<'_>) {
        match self {
            Self::Pilot(pilot, approvers) => {
                let before = desk.journal.records().len();
                pilot.finished(result, raw, desk);
                approvers.hear(&desk.journal.records()[before..]);
            }
            // What has come of an action a person sees when they look, by the alerts.
            Self::Human(..) => {}
            Self::Oracle(script) => script.finished(result, raw, desk),
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
