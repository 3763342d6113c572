//! The policies' pilot, as the simulator's loop knows it.
//!
//! The simulator may not know policies and policies may not know the simulator, so the two meet here.

use firedrill_core::action::ActionResult;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_policies::pilot::Pilot;
use firedrill_sim::automation::Automation;
use firedrill_telemetry::store::Store;

/// A pilot at the controls of a simulated world.
#[derive(Clone)]
pub struct Piloted(pub Pilot);

impl Automation for Piloted {
    fn due(&self) -> Option<(Time, Class)> {
        self.0.due()
    }

    fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) {
        self.0.advance(raw, desk);
    }

    fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk<'_>) {
        self.0.finished(result, raw, desk);
    }
}
