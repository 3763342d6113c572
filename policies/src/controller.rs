//! The policy engine, sans-IO: inputs in, effects out.
//!
//! It never sleeps, reads no clock and touches no world. One controller serves one policy; what several policies share stands in [`Guards`],
//! which is handed in with every step. Feeding the inputs of a journal again reproduces every effect.
//!
//! The life of an incident: a notification opens it, prechecks are evaluated, guards are asked, the action starts, its end is reported, its
//! verification is polled every [`VERIFY_PERIOD`], and it closes when a verification holds, when the last step is done, when a person is
//! called, or when the alert is over before anything was done. A refused first action is proposed again when the guard that refused could
//! have changed its mind, at the latest every [`RETRY_AFTER`]; a refused later action calls a person, because the remediation is half done.
//! An incident that closed while its alert still fires is opened anew after a rest of at least [`REOPEN_AFTER`], unless a person was called:
//! then the alert is left to people until it is over.
//!
//! Where people must say yes an incident waits for them, and keeps what it has taken. A yes is for one action on one target, by one lowered policy,
//! resting on one piece of evidence, and for a time; every guard is asked again before it is used.
//!
//! An action that nobody reports on is given up after [`REPORT_TIMEOUT`].
//!
//! In dry-run there is no [`Actuator`], so that no effect can hold a command. The guards book the action as if it had been started and as
//! if it had lasted until its verification's deadline; its effect and later steps are not simulated, and the alert counts as handled until it
//! is over.

mod state;
mod open;
mod prepared;
mod turn;
mod telling;
mod approving;
mod lifecycle;
mod offering;
mod proposing;
mod choosing;
mod together;
mod following;
mod inputs;
mod observer;

use std::sync::Arc;

use firedrill_core::action::{Action, Actuator, Command, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{Consent, Event, Evidence, Input, LabelSet};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start, Time};
use serde::{Deserialize, Serialize};

use crate::evidence;
use crate::guard::stage::Stage;
use crate::guard::{Guards, Known};
use crate::policy::{ConditionAt, Policy};
use approving::Answered;
use prepared::Prepared;
use turn::Turn;

pub use observer::{Observer, Wish};
pub use state::{RestoreError, STATE_VERSION, State};

/// From one look at a verification's condition to the next.
pub const VERIFY_PERIOD: Span = Span::from_seconds(5);

/// A refused first action is proposed again after this time, unless its guard names another.
pub const RETRY_AFTER: Span = Span::from_minutes(1);

/// The least rest before an incident is opened anew for an alert that still fires; a longer cooldown makes it longer.
pub const REOPEN_AFTER: Span = Span::from_minutes(5);

/// People are not kept waiting for evidence for longer: they are called with what there is.
pub const GATHER_WITHIN: Span = Span::from_seconds(10);

/// People are asked to allow a step at most so often, when what they said yes to has changed each time; then they are called.
pub const MOST_ASKINGS: u32 = 3;

/// A staged step acts on at most so many targets.
pub const MOST_TARGETS: usize = 100;

/// In dry-run an action without a verification is taken to last so long.
pub const ASSUMED_ACTION: Span = Span::from_minutes(1);

/// An action whose end is not reported within this time has failed: nobody knows what it did, so a person is called, and a report that comes later
/// changes nothing. A platform that works reports within 15 minutes and a few seconds.
pub const REPORT_TIMEOUT: Span = Span::from_minutes(20);

/// Effects for which there is room at once; most inputs have fewer.
const EFFECTS: usize = 8;

/// The same of an answer: it is written down, and nothing follows from any but the last.
const EFFECTS_OF_AN_ANSWER: usize = 1;

/// Timers from this number on wait for the report of an action: the rest is the action's ordinal.
pub(crate) const REPORT_TIMERS: u64 = 1 << 63;

/// The engine of one policy.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: Setup,
    state: State,
}

/// What a controller is made of; it does not change while it runs.
#[derive(Clone, Debug)]
struct Setup {
    policy: Arc<Policy>,
    prepared: Arc<Prepared>,
    inventory: Arc<Inventory>,
    stage: Stage,
    actuator: Option<Actuator>,
    start: Start,
    seed: Seed,
}

/// What a controller wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Judge a condition and feed the answer back as [`Input::Evaluated`]; if a guard asks for a count, count and feed it back as
    /// [`Input::Counted`]; if a number is asked for, as [`Input::Measured`]; if the targets of a step are, as [`Input::Listed`].
    Evaluate {
        /// The number to answer with.
        query: u64,
        /// What to judge.
        question: Question,
        /// When: now, or a later time.
        at: Time,
    },
    /// Start an action.
    Start(Command),
    /// Call a person.
    Page {
        /// Whom.
        to: Name,
        /// Why.
        reason: String,
        /// What evidence was asked for.
        with: Vec<Name>,
        /// The evidence to attach.
        evidence: Vec<Evidence>,
    },
    /// Tell people, without calling anybody.
    Inform {
        /// Whom.
        to: Name,
        /// The evidence to attach.
        evidence: Vec<Evidence>,
    },
    /// Ask people to allow an action that the policy may not start by itself, and feed each answer back as [`Input::Answered`].
    Ask {
        /// The number of the proposal within the policy.
        proposal: u64,
        /// What would be done.
        action: Action,
        /// To what.
        target: Target,
        /// Who is asked; `None`: nobody is named who could answer, and the page says by which command one would.
        consent: Option<Consent>,
    },
    /// Gather evidence and feed it back as [`Input::Gathered`].
    Gather {
        /// The number to answer with.
        query: u64,
        /// What is wanted.
        wanted: Wanted,
    },
    /// Write this down.
    Record(Event),
    /// Feed back [`Input::Timer`] at a time.
    SetTimer {
        /// The number to feed back.
        timer: u64,
        /// When; never before now.
        at: Time,
    },
    /// Forget a timer.
    CancelTimer {
        /// Its number.
        timer: u64,
    },
}

/// Evidence that is wanted of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Of which kinds, in the order in which it is wanted.
    pub kinds: Vec<Name>,
    /// The alert.
    pub alert: Name,
    /// Its labels.
    pub labels: LabelSet,
    /// What the policy acts on, if the alert names it.
    pub target: Option<Target>,
    /// What the policy asks of telemetry itself: its prechecks, its verifications, and what it wants shown. All belong to the metrics.
    pub questions: Vec<Question>,
}

/// A condition of the policy with the values of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// Which condition.
    pub condition: ConditionAt,
    /// What its parameters stand for: the labels of the alert that the policy needs.
    pub parameters: LabelSet,
}

impl Controller {
    /// A controller of a policy at a stage. Without an actuator, or at a stage that may not act, it decides and records only; it runs at the
    /// lower of this stage and the policy's own.
    #[must_use]
    pub fn new(policy: Arc<Policy>, inventory: Arc<Inventory>, stage: Stage, actuator: Option<Actuator>) -> Self {
        let state = State::new(policy.name.clone());
        let stage = stage.min(policy.stage);
        Self {
            setup: Setup {
                prepared: Arc::new(Prepared::of(&policy)),
                policy,
                inventory,
                stage,
                actuator: actuator.filter(|_| stage.may_act()),
                start: Start::default(),
                seed: Seed::default(),
            },
            state,
        }
    }

    /// The same in a run that starts at a calendar instant, which freeze windows are held against.
    #[must_use]
    pub const fn starting(mut self, start: Start) -> Self {
        self.setup.start = start;
        self
    }

    /// The same in a run of a seed, on which what is left to luck depends.
    #[must_use]
    pub const fn seeded(mut self, seed: Seed) -> Self {
        self.setup.seed = seed;
        self
    }

    /// Takes up a saved state where it was left; the timers and evaluations that it waits for must be kept by whoever drives it.
    ///
    /// # Errors
    /// The state is another version's or another policy's; the controller is unchanged.
    pub fn restore(&mut self, state: State) -> Result<(), RestoreError> {
        state.fits(&self.setup.policy.name)?;
        self.state = state;
        Ok(())
    }

    /// Everything that it remembers.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.setup.policy
    }

    /// Takes an input in and says what is to be done about it. Time never decreases from step to step.
    pub fn step(&mut self, now: Time, input: Input, guards: &mut Guards) -> Vec<Effect> {
        // Before anything is written down, whoever gathered it.
        let input = match input {
            Input::Gathered { query, evidence } => Input::Gathered { query, evidence: evidence::bounded(evidence) },
            other => other,
        };
        let room = match input {
            Input::Evaluated { .. } | Input::Counted { .. } | Input::Measured { .. } => EFFECTS_OF_AN_ANSWER,
            _ => EFFECTS,
        };
        let mut turn = Turn { setup: &self.setup, state: &mut self.state, guards, now, effects: Vec::with_capacity(room) };
        turn.record(Event::Received { policy: turn.name(), input: input.clone() });
        match input {
            Input::Notified(notification) => turn.notified(notification),
            Input::Evaluated { query, verdict, figures } => turn.evaluated(query, verdict, figures),
            Input::Counted { query, holding, elements, error, parts } => {
                turn.answered(query, Known::Counted(holding, elements, error, parts));
            }
            Input::Measured { query, value, figures } => turn.answered(query, Known::Measured(value, figures)),
            Input::Listed { query, names, error } => turn.names_came(query, names, error),
            Input::Gathered { query, evidence } => turn.gathered(query, evidence),
            Input::Finished(result) => turn.finished(&result),
            Input::Timer { timer } => turn.timer(timer),
            Input::Answered { proposal, who, role, yes } => turn.told(proposal, &Answered { who, role, yes }),
        }
        turn.effects
    }
}

#[cfg(test)]
mod bench;

#[cfg(test)]
mod tests {
    use firedrill_core::action::{ActionOutcome, ActionResult};
    use firedrill_core::journal::Truth;

    use super::bench::{Bench, OK, RESTART, answer, fires, resolves, story};
    use super::*;

    /// Whoever drives the controller in any order that can happen: what it waits for, and what it has started.
    struct Driver {
        bench: Bench,
        now: Time,
        queries: Vec<(Time, u64)>,
        timers: Vec<(Time, u64)>,
        gatherings: Vec<(u64, Vec<Name>)>,
        running: Vec<Command>,
        starts: Vec<Time>,
    }

    impl Driver {
        fn feed(&mut self, input: Input) {
            let mut decided = 0;
            for effect in self.bench.controller.step(self.now, input, &mut self.bench.guards) {
                match effect {
                    Effect::Evaluate { query, at, .. } => self.queries.push((at, query)),
                    Effect::SetTimer { timer, at } => self.timers.push((at, timer)),
                    Effect::CancelTimer { timer } => self.timers.retain(|(_, own)| *own != timer),
                    Effect::Record(Event::Decided { what, .. }) => decided += usize::from(!matches!(what, Action::Wait { .. })),
                    Effect::Start(command) => {
                        decided -= 1;
                        self.starts.push(self.now);
                        self.running.push(command);
                    }
                    Effect::Gather { query, wanted } => self.gatherings.push((query, wanted.kinds)),
                    Effect::Page { .. } | Effect::Inform { .. } | Effect::Ask { .. } | Effect::Record(_) => {}
                }
            }
            assert_eq!(decided, 0, "every decision is carried out in its step");
            let owner = |command: &Command| command.target().service();
            let owners: Vec<_> = self.running.iter().map(owner).collect();
            assert!(owners.iter().enumerate().all(|(index, own)| !owners[..index].contains(own)), "one action at a time for a service");
        }

        /// Feeds what is due until `until`, and an answer, a report or nothing more.
        fn pass(&mut self, until: Time, verdict: Truth) {
            while let Some(at) = self.queries.iter().chain(&self.timers).map(|(at, _)| *at).min().filter(|at| *at <= until) {
                self.now = at.max(self.now);
                if let Some(index) = self.timers.iter().position(|(own, _)| *own == at) {
                    let (_, timer) = self.timers.remove(index);
                    // Whoever is given up is no longer counted as at work.
                    self.running.retain(|command| REPORT_TIMERS + command.id().ordinal != timer);
                    self.feed(Input::Timer { timer });
                } else if let Some(index) = self.queries.iter().position(|(own, _)| *own == at) {
                    let (_, query) = self.queries.remove(index);
                    self.feed(answer(query, verdict));
                }
            }
            self.now = until;
        }
    }

    const ALL_WAYS: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
precheck: [{ expr: up == 0, because: it is down }]
steps:
  - notify: { to: team, with: [metrics] }
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 40s }
    on_failure: next
  - wait: 20s
  - collect: { with: [metrics, alerts] }
  - drain: {}
    verify: { expr: 'up{pod=$pod} == 1', within: 40s }
  - escalate: { ladder: [{ to: oncall }, { to: lead, after: 2m }, { to: head, after: 9m }], with: [alerts] }
escalate_after: 4m
guard:
  cooldown: 1m
  rate_limit: [{ max: 3, window: 10m, scope: all }]
  caps: [{ scope: all, of: targets, max: 2 }]
";

    proptest::proptest! {
        /// Whatever happens in whatever order: no panic, one action at a time for a service, no more starts in a window than allowed, every
        /// decision carried out at once, and a state that reads back.
        #[test]
        fn no_order_of_events_breaks_a_promise(events in proptest::collection::vec((0_u8..6, 0_u8..3, 0_u64..90, 0_u8..3), 1..60)) {
            let bench = Bench::new(ALL_WAYS, Stage::Full);
            let (queries, timers, gatherings, running, starts) = Default::default();
            let mut driver = Driver { bench, now: Time::ZERO, queries, timers, gatherings, running, starts };
            for (kind, pod, gap, choice) in events {
                let verdict = [Truth::True, Truth::False, Truth::Unknown][usize::from(choice)];
                let until = driver.now + Span::from_seconds(gap);
                driver.pass(until, verdict);
                let pod = format!("api-{pod}");
                match kind {
                    // Evidence comes in time, late, or never.
                    _ if choice == 2 && !driver.gatherings.is_empty() => {
                        let (query, kinds) = driver.gatherings.remove(0);
                        let found = |kind: &Name| Evidence { kind: kind.clone(), lines: vec!["up 0".to_owned()], note: String::new() };
                        driver.feed(Input::Gathered { query, evidence: kinds.iter().map(found).collect() });
                    }
                    0 | 1 => driver.feed(fires(&pod)),
                    2 => driver.feed(resolves(&pod)),
                    3 | 4 if !driver.running.is_empty() => {
                        let command = driver.running.remove(0);
                        let outcome = if choice == 0 { OK } else { ActionOutcome::Failed("no".into()) };
                        let (action, at) = (command.id().clone(), driver.now);
                        driver.feed(Input::Finished(ActionResult { action, at, outcome }));
                    }
                    _ => driver.feed(answer(u64::MAX, verdict)),
                }
            }
            let window = Span::from_minutes(10);
            for end in &driver.starts {
                let within = driver.starts.iter().filter(|at| *at <= end && at.saturating_add(window) > *end).count();
                proptest::prop_assert!(within <= 3, "{within} starts within {window}");
            }
            let state = driver.bench.controller.state();
            let text = serde_json::to_string(state).unwrap();
            proptest::prop_assert_eq!(&serde_json::from_str::<State>(&text).unwrap(), state);
        }
    }

    #[test]
    fn feeding_the_journaled_inputs_again_reproduces_every_effect() {
        let mut first = Bench::new(RESTART, Stage::Full);
        let effects: Vec<(u64, Vec<Effect>)> = story().into_iter().map(|(second, input)| (second, first.step(second, input))).collect();
        let mut again = Bench::new(RESTART, Stage::Full);
        for (second, expected) in &effects {
            let Some(Effect::Record(Event::Received { input, .. })) = expected.first() else { panic!("inputs are journaled first") };
            assert_eq!(again.step(*second, input.clone()), *expected);
        }
    }
}
