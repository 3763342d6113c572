//! What watches the world and acts on it: nothing, a script of cures, or policies.

mod approvers;
mod person;

use std::sync::Arc;

use firedrill_core::action::{ActionId, ActionResult, Actuator, Command};
use firedrill_core::name::Name;
use firedrill_core::time::{Class, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::store::Store;

use crate::spec::WorldSpec;

pub use approvers::{ApproverSpec, Approvers, Reply};
pub use person::{AFTERMATH, Person, PersonSpec};

/// Whoever watches a run and may act on it. It sees telemetry and the results of its own actions, and nothing else.
pub trait Automation: Clone {
    /// Whether its actions take effect at once and never fail of themselves; only an oracle's do.
    fn is_perfect(&self) -> bool {
        false
    }

    /// Until when a run that has come to its horizon goes on for this automation's sake; `None`: no longer than that.
    fn until(&self) -> Option<Time> {
        None
    }

    /// Whether a command that it has just given is not carried out, and reported as done. Only an arm that shows what an action was worth leaves any out.
    fn leaves_out(&self, _command: &Command) -> bool {
        false
    }

    /// Prometheus runs again, or does not run any more: as long as it does not, no rule is evaluated and no question answered. Told before
    /// anything else that the automation does from then on.
    fn prometheus_runs(&mut self, _runs: bool) {}

    /// The next thing that it must do, and its class: rules, routing or controller. `None` if nothing is due before something happens.
    ///
    /// Asked again only after [`Automation::advance`] and [`Automation::finished`].
    fn due(&self) -> Option<(Time, Class)>;

    /// Does exactly the one thing that is due, at its due time.
    fn advance(&mut self, raw: &Store, desk: &mut Desk);

    /// An action that it had commanded has ended.
    fn finished(&mut self, result: &ActionResult, raw: &Store, desk: &mut Desk);
}

/// No automation: nothing is ever due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle;

impl Automation for Idle {
    fn due(&self) -> Option<(Time, Class)> {
        None
    }

    fn advance(&mut self, _raw: &Store, _desk: &mut Desk) {
        unreachable!("nothing is ever due")
    }

    fn finished(&mut self, _result: &ActionResult, _raw: &Store, _desk: &mut Desk) {}
}

/// The oracle: applies the scenario's cures at their times, with actions that take effect at once.
#[derive(Clone, Debug)]
pub struct Script {
    spec: Arc<WorldSpec>,
    /// The cures in order of time; those of one time keep their order.
    order: Vec<usize>,
    next: usize,
}

impl Script {
    /// The policy name of its actions.
    pub const POLICY: &'static str = "oracle";

    /// The cures of a scenario.
    #[must_use]
    pub fn new(spec: Arc<WorldSpec>) -> Self {
        let mut order: Vec<usize> = (0..spec.cures.len()).collect();
        order.sort_by_key(|index| spec.cures[*index].at);
        Self { spec, order, next: 0 }
    }
}

impl Automation for Script {
    fn is_perfect(&self) -> bool {
        true
    }

    fn due(&self) -> Option<(Time, Class)> {
        self.order.get(self.next).map(|index| (self.spec.cures[*index].at, Class::Controller))
    }

    fn advance(&mut self, _raw: &Store, desk: &mut Desk) {
        let cure = &self.spec.cures[self.order[self.next]];
        let id = ActionId { policy: Name::new(Self::POLICY), ordinal: self.next as u64 };
        desk.commands.push(Actuator::simulated().command(id, cure.action.clone(), cure.target.clone()));
        self.next += 1;
    }

    fn finished(&mut self, _result: &ActionResult, _raw: &Store, _desk: &mut Desk) {}
}
