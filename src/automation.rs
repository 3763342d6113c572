//! The policies' pilot, as the simulator's loop knows it.
//!
//! The simulator may not know policies and policies may not know the simulator, so the two meet here.

use firedrill_core::action::ActionResult;
use firedrill_core::journal::Event;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::pilot::Pilot;
use firedrill_sim::automation::{Automation, Person, Script};
use firedrill_telemetry::store::Store;

/// What plays an arm: a pilot at the controls of a simulated world, or the oracle's script.
#[derive(Clone)]
pub enum Playing {
    /// Rules watch, and policies may act.
    Pilot(Box<Pilot>),
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
            Self::Pilot(_) | Self::Oracle(_) => None,
        }
    }

    fn prometheus_runs(&mut self, runs: bool) {
        match self {
            Self::Pilot(pilot) | Self::Human(pilot, _) => pilot.prometheus_runs(runs),
            Self::Oracle(script) => script.prometheus_runs(runs),
        }
    }

    fn due(&self) -> Option<(Time, Class)> {
        match self {
            Self::Pilot(pilot) => pilot.due(),
            Self::Human(pilot, person) => pilot.due().into_iter().chain(person.due().map(|at| (at, Class::Controller))).min(),
            Self::Oracle(script) => script.due(),
        }
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        match self {
            Self::Pilot(pilot) => pilot.advance(raw, desk),
            Self::Human(pilot, person) => {
                let is_pilots = pilot.due().is_some_and(|due| person.due().is_none_or(|at| due <= (at, Class::Controller)));
                if !is_pilots {
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
            Self::Pilot(pilot) => pilot.finished(result, raw, desk),
            // What has come of an action a person sees when they look, by the alerts.
            Self::Human(..) => {}
            Self::Oracle(script) => script.finished(result, raw, desk),
        }
    }
}
