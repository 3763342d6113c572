//! The policies' pilot, as the simulator's loop knows it.
//!
//! The simulator may not know policies and policies may not know the simulator, so the two meet here.

use firedrill_core::action::ActionResult;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::pilot::Pilot;
use firedrill_sim::automation::{Automation, Script};
use firedrill_telemetry::store::Store;

/// What plays an arm: a pilot at the controls of a simulated world, or the oracle's script.
#[derive(Clone)]
pub enum Playing {
    /// Rules watch, and policies may act.
    Pilot(Box<Pilot>),
    /// The right cures at their times.
    Oracle(Script),
}

impl Automation for Playing {
    fn is_perfect(&self) -> bool {
        matches!(self, Self::Oracle(script) if script.is_perfect())
    }

    fn prometheus_runs(&mut self, runs: bool) {
        match self {
            Self::Pilot(pilot) => pilot.prometheus_runs(runs),
            Self::Oracle(script) => script.prometheus_runs(runs),
        }
    }

    fn due(&self) -> Option<(Time, Class)> {
        match self {
            Self::Pilot(pilot) => pilot.due(),
            Self::Oracle(script) => script.due(),
        }
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        match self {
            Self::Pilot(pilot) => pilot.advance(raw, desk),
            Self::Oracle(script) => script.advance(raw, desk),
        }
    }

    fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk<'_>) {
        match self {
            Self::Pilot(pilot) => pilot.finished(result, raw, desk),
            Self::Oracle(script) => script.finished(result, raw, desk),
        }
    }
}
