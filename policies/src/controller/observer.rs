//! A controller that can only look on: nothing that it wants done can be a command, and nothing that makes one is ever handed to it.

use std::sync::Arc;

use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Event, Input};
use firedrill_core::time::{Start, Time};

use super::{Controller, Effect, Question, RestoreError, State, Wanted};
use crate::guard::Guards;
use crate::guard::stage::Stage;
use crate::policy::Policy;

/// The engine of one policy, at most at the stage shadow.
#[derive(Clone, Debug)]
pub struct Observer(Controller);

/// What an observer wants done, in order. None of it reaches the system that is observed: calls, messages and proposals are events to be written down.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// As [`Effect::Evaluate`].
    Evaluate {
        /// The number to answer with.
        query: u64,
        /// What to judge.
        question: Question,
        /// When: now, or a later time.
        at: Time,
    },
    /// As [`Effect::Gather`].
    Gather {
        /// The number to answer with.
        query: u64,
        /// What is wanted.
        wanted: Wanted,
    },
    /// As [`Effect::Record`].
    Record(Event),
    /// As [`Effect::SetTimer`].
    SetTimer {
        /// The number to feed back.
        timer: u64,
        /// When; never before now.
        at: Time,
    },
    /// As [`Effect::CancelTimer`].
    CancelTimer {
        /// Its number.
        timer: u64,
    },
}

impl Observer {
    /// An observer of a policy; at the lowest of the stage given, the policy's own and shadow.
    #[must_use]
    pub fn new(policy: Arc<Policy>, inventory: Arc<Inventory>, stage: Stage, start: Start) -> Self {
        Self(Controller::new(policy, inventory, stage.min(Stage::Shadow), None).starting(start))
    }

    /// The same whose incidents are numbered from `incident` on, after those of an observer before it.
    #[must_use]
    pub fn counting_from(mut self, incident: u64) -> Self {
        self.0.state.next_incident = incident;
        self
    }

    /// Takes an input in, as [`Controller::step`].
    pub fn step(&mut self, now: Time, input: Input, guards: &mut Guards) -> Vec<Wish> {
        self.0.step(now, input, guards).into_iter().filter_map(wish).collect()
    }

    /// As [`Controller::restore`].
    ///
    /// # Errors
    /// As there.
    pub fn restore(&mut self, state: State) -> Result<(), RestoreError> {
        self.0.restore(state)
    }

    /// Everything that it remembers.
    #[must_use]
    pub const fn state(&self) -> &State {
        self.0.state()
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        self.0.policy()
    }

    /// The stage that it is at.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.0.setup.stage
    }

    /// Gives up whatever it has under way, so that no guard counts it for ever.
    pub fn let_go(&self, guards: &mut Guards, now: Time) {
        for incident in self.0.state.incidents.numbers() {
            while guards.ended(&self.policy().name, incident, now) {}
            guards.released(&self.policy().name, incident);
        }
    }
}

/// What is called, told or asked stands in the event beside it; whoever observes does no more than write that down.
fn wish(effect: Effect) -> Option<Wish> {
    match effect {
        Effect::Evaluate { query, question, at } => Some(Wish::Evaluate { query, question, at }),
        Effect::Gather { query, wanted } => Some(Wish::Gather { query, wanted }),
        Effect::Record(event) => Some(Wish::Record(event)),
        Effect::SetTimer { timer, at } => Some(Wish::SetTimer { timer, at }),
        Effect::CancelTimer { timer } => Some(Wish::CancelTimer { timer }),
        Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } => None,
        // Only an `Actuator` makes a command, and `new` hands none out.
        Effect::Start(command) => unreachable!("a controller without an actuator gave the command {}", command.id()),
    }
}
