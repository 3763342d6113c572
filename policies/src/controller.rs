//! The policy engine, sans-IO: inputs in, effects out (DESIGN.md, mechanism 4).
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
//! In dry-run there is no [`Actuator`], so that no effect can hold a command. The guards book the action as if it had been started and as
//! if it had lasted until its verification's deadline; its effect and later steps are not simulated, and the alert counts as handled until it
//! is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_core::action::{Action, ActionId, ActionOutcome, ActionResult, Actuator, Command, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{AlertStatus, Event, GuardVerdict, Input, LabelSet, Notification, Truth, Verification};
use firedrill_core::name::Name;
use firedrill_core::time::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::guard::stage::Stage;
use crate::guard::{Answer, Guards, Proposal, caps, cooldown, dedup, owner_of, precheck, rate_limit, stage};
use crate::policy::{ConditionAt, Deed, Escalation, OnFailure, Policy, Verify, inverse};

/// From one look at a verification's condition to the next.
pub const VERIFY_PERIOD: Span = Span::from_seconds(5);

/// A refused first action is proposed again after this time, unless its guard names another.
pub const RETRY_AFTER: Span = Span::from_minutes(1);

/// The least rest before an incident is opened anew for an alert that still fires; a longer cooldown makes it longer.
pub const REOPEN_AFTER: Span = Span::from_minutes(5);

/// In dry-run an action without a verification is taken to last so long.
pub const ASSUMED_ACTION: Span = Span::from_minutes(1);

/// The version of the saved state.
pub const STATE_VERSION: u32 = 1;

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
    inventory: Arc<Inventory>,
    stage: Stage,
    actuator: Option<Actuator>,
}

/// What a controller wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Judge a condition and feed the answer back as [`Input::Evaluated`].
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
        /// What evidence to attach.
        with: Vec<Name>,
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

/// A condition of the policy with the values of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Which condition.
    pub condition: ConditionAt,
    /// What its parameters stand for: the labels of the alert that the policy needs.
    pub parameters: LabelSet,
}

/// Everything that a controller remembers, with a version; save it, and restore the controller from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    policy: Name,
    next_incident: u64,
    next_action: u64,
    next_query: u64,
    next_timer: u64,
    incidents: BTreeMap<u64, Incident>,
    /// By the labels of the alert, written out.
    alerts: BTreeMap<String, Firing>,
}

/// A saved state that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It was written by another version of the engine.
    #[error("the state has version {0}, and this engine reads version {STATE_VERSION}")]
    Version(u32),
    /// It is another policy's.
    #[error("the state belongs to the policy `{0}`")]
    Policy(Name),
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Firing {
    notification: Notification,
    care: Care,
}

/// Who cares for an alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Care {
    /// This incident.
    Open(u64),
    /// It was dealt with and still fires: at this timer it is taken up again.
    Resting { timer: u64 },
    /// People, until it is over.
    Left,
}

/// One alert that the policy took up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Incident {
    id: u64,
    alert_key: String,
    alert: Name,
    labels: LabelSet,
    /// `None` if the alert lacks a label that the policy needs.
    target: Option<Target>,
    step: usize,
    phase: Phase,
    /// Whether any action was started.
    has_acted: bool,
    /// When its last action ended.
    last_end: Option<Time>,
    escalation_timer: Option<u64>,
}

/// What an incident waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    /// For its first action to become possible; without a timer, for another incident to close or for the alert to be over.
    Held { timer: Option<u64>, by: String },
    /// For the answers to its prechecks, which are numbered from `first` on.
    Checking { first: u64, answers: Vec<Option<(Truth, String)>> },
    /// For its action to end.
    Acting { action: ActionId, reverting: bool },
    /// For a pause to end.
    Waiting { timer: u64 },
    /// For its condition to hold.
    Verifying { query: u64, since: Time, held_since: Option<Time>, was_false: bool },
    /// In dry-run, for the time that its action would have taken.
    Assumed { timer: u64 },
}

/// How an incident ended, as far as its alert is concerned.
enum Ending {
    /// The policy did what it could; if the alert still fires it is taken up again later.
    Done,
    /// It is left to people until the alert is over.
    Left,
}

impl Controller {
    /// A controller of a policy at a stage. Without an actuator, or at a stage that may not act, it decides and records only; it runs at the
    /// lower of this stage and the policy's own.
    #[must_use]
    pub fn new(policy: Arc<Policy>, inventory: Arc<Inventory>, stage: Stage, actuator: Option<Actuator>) -> Self {
        let state = State {
            version: STATE_VERSION,
            policy: policy.name.clone(),
            next_incident: 0,
            next_action: 0,
            next_query: 0,
            next_timer: 0,
            incidents: BTreeMap::new(),
            alerts: BTreeMap::new(),
        };
        let stage = stage.min(policy.stage);
        Self { setup: Setup { policy, inventory, stage, actuator: actuator.filter(|_| stage.may_act()) }, state }
    }

    /// Takes up a saved state where it was left; the timers and evaluations that it waits for must be kept by whoever drives it.
    ///
    /// # Errors
    /// The state is another version's or another policy's; the controller is unchanged.
    pub fn restore(&mut self, state: State) -> Result<(), RestoreError> {
        if state.version != STATE_VERSION {
            return Err(RestoreError::Version(state.version));
        }
        if state.policy != self.setup.policy.name {
            return Err(RestoreError::Policy(state.policy));
        }
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
        let mut turn = Turn { setup: &self.setup, state: &mut self.state, guards, now, effects: Vec::new() };
        turn.record(Event::Received { policy: turn.name(), input: input.clone() });
        match input {
            Input::Notified(notification) => turn.notified(notification),
            Input::Evaluated { query, verdict, figures } => turn.evaluated(query, verdict, figures),
            Input::Finished(result) => turn.finished(&result),
            Input::Timer { timer } => turn.timer(timer),
        }
        turn.effects
    }
}

/// One step: the state that it changes and the effects that it gathers.
struct Turn<'a> {
    setup: &'a Setup,
    state: &'a mut State,
    guards: &'a mut Guards,
    now: Time,
    effects: Vec<Effect>,
}

/// Inputs.
impl Turn<'_> {
    fn notified(&mut self, notification: Notification) {
        let key = written(&notification.labels);
        match (notification.status, self.state.alerts.get(&key).map(|firing| firing.care.clone())) {
            (AlertStatus::Resolved, Some(care)) => self.resolved(&key, care),
            (AlertStatus::Resolved, None) => {}
            (AlertStatus::Firing, Some(Care::Open(incident))) => self.repeated(incident),
            (AlertStatus::Firing, Some(Care::Left)) => {}
            (AlertStatus::Firing, Some(Care::Resting { timer })) => {
                self.cancel(timer);
                self.open(key, notification);
            }
            (AlertStatus::Firing, None) => self.open(key, notification),
        }
    }

    /// The alert is over. What has begun is carried to its end; what has not begun is dropped.
    fn resolved(&mut self, key: &str, care: Care) {
        self.state.alerts.remove(key);
        match care {
            Care::Left => {}
            Care::Resting { timer } => self.cancel(timer),
            Care::Open(id) => {
                let idle = |incident: &Incident| !incident.has_acted && !matches!(incident.phase, Phase::Assumed { .. });
                if self.state.incidents.get(&id).is_some_and(idle) {
                    let incident = self.take(id);
                    self.close(incident, "the alert is over before anything was done", &Ending::Done);
                }
            }
        }
    }

    /// A firing alert is told again while its incident is open.
    fn repeated(&mut self, id: u64) {
        let policy = self.setup.policy.clone();
        let incident = self.take(id);
        let answer = Answer::refused(format!("incident {id} has this alert already"), None);
        self.journal_verdict(&incident, dedup::NAME, &answer);
        self.record(Event::Refused {
            policy: self.name(),
            incident: id,
            step: incident.step as u32,
            what: proposed(&policy, incident.step),
            target: incident.target.clone(),
            guard: Name::new(dedup::NAME),
            figures: answer.figures,
        });
        self.keep(incident);
    }

    fn evaluated(&mut self, query: u64, verdict: Truth, figures: String) {
        let asked = |incident: &&Incident| match &incident.phase {
            Phase::Checking { first, answers } => (*first..first + answers.len() as u64).contains(&query),
            Phase::Verifying { query: own, .. } => *own == query,
            _ => false,
        };
        // An answer that nobody waits for any more changes nothing.
        let Some(id) = self.state.incidents.values().find(asked).map(|incident| incident.id) else { return };
        let mut incident = self.take(id);
        if let Phase::Checking { first, answers } = &mut incident.phase {
            answers[(query - *first) as usize] = Some((verdict, figures));
            if answers.iter().any(Option::is_none) {
                return self.keep(incident);
            }
            return self.decide(incident);
        }
        self.verified(incident, verdict, figures);
    }

    fn finished(&mut self, result: &ActionResult) {
        let running = |incident: &&Incident| matches!(&incident.phase, Phase::Acting { action, .. } if *action == result.action);
        let Some(id) = self.state.incidents.values().find(running).map(|incident| incident.id) else { return };
        let mut incident = self.take(id);
        incident.last_end = Some(self.now);
        self.guards.ended(&self.setup.policy.name, id, self.now);
        let reverting = matches!(incident.phase, Phase::Acting { reverting: true, .. });
        match &result.outcome {
            ActionOutcome::Failed(why) if reverting => self.hand_over(incident, &format!("the revert failed: {why}")),
            ActionOutcome::Succeeded if reverting => self.hand_over(incident, "the action did not help and was reverted"),
            ActionOutcome::Failed(why) => self.failed(incident, false, &format!("the action failed: {why}")),
            ActionOutcome::Succeeded => self.done(incident),
        }
    }

    fn timer(&mut self, timer: u64) {
        let resting = |(_, firing): &(&String, &Firing)| matches!(firing.care, Care::Resting { timer: own } if own == timer);
        if let Some((key, firing)) = self.state.alerts.iter().find(resting) {
            let (key, notification) = (key.clone(), firing.notification.clone());
            return self.open(key, notification);
        }
        if let Some(id) = self.incident_with(|incident| incident.escalation_timer == Some(timer)) {
            return self.overdue(id);
        }
        let waits = |incident: &Incident| match incident.phase {
            Phase::Held { timer: own, .. } => own == Some(timer),
            Phase::Waiting { timer: own } | Phase::Assumed { timer: own } => own == timer,
            _ => false,
        };
        let Some(id) = self.incident_with(waits) else { return };
        let incident = self.take(id);
        match incident.phase {
            Phase::Waiting { .. } => self.done(incident),
            Phase::Assumed { .. } => {
                self.guards.ended(&self.setup.policy.name, id, self.now);
                self.close(incident, "it would have acted; what follows is not simulated", &Ending::Left);
            }
            _ => self.propose(incident),
        }
    }
}

/// The life of an incident.
impl Turn<'_> {
    fn open(&mut self, key: String, notification: Notification) {
        let id = self.state.next_incident;
        self.state.next_incident += 1;
        let policy = self.setup.policy.clone();
        let needed = policy.requires(&notification.labels);
        let target = needed.clone().and_then(|()| policy.target.resolve(&notification.labels)).ok();
        let mut incident = Incident {
            id,
            alert_key: key.clone(),
            alert: notification.alert.clone(),
            labels: notification.labels.clone(),
            target: target.clone(),
            step: 0,
            phase: Phase::Held { timer: None, by: "target".to_owned() },
            has_acted: false,
            last_end: None,
            escalation_timer: None,
        };
        let (alert, labels) = (notification.alert.clone(), notification.labels.clone());
        self.state.alerts.insert(key, Firing { notification, care: Care::Open(id) });
        self.record(Event::IncidentOpened { policy: self.name(), incident: id, alert, target, labels });
        incident.escalation_timer = policy.escalate_after.map(|span| self.set_timer(self.now.saturating_add(span)));
        match needed {
            Ok(()) => self.propose(incident),
            Err(absent) => {
                let (what, figures) = (proposed(&policy, 0), absent.to_string());
                let (policy, guard) = (self.name(), Name::new("target"));
                self.record(Event::Refused { policy, incident: id, step: 0, what, target: None, guard, figures });
                self.keep(incident);
            }
        }
    }

    /// Begins the incident's current step.
    fn propose(&mut self, mut incident: Incident) {
        let policy = self.setup.policy.clone();
        let Some(step) = policy.steps.get(incident.step) else {
            return self.close(incident, "all steps are done", &Ending::Done);
        };
        match &step.deed {
            Deed::Escalate(_) => self.hand_over(incident, "the policy escalates"),
            Deed::Wait(span) => {
                let (policy, action, target) = (self.name(), self.next_action(), self.target(&incident));
                let (step, what, reason) = (incident.step as u32, Action::Wait { span: *span }, reason(&incident, &[]));
                self.record(Event::Decided { policy, incident: incident.id, step, action, what, target, reason });
                incident.phase = Phase::Waiting { timer: self.set_timer(self.now.saturating_add(*span)) };
                self.keep(incident);
            }
            Deed::Act(action) => self.propose_action(incident, action),
        }
    }

    /// The guards that need no data, then the prechecks.
    fn propose_action(&mut self, mut incident: Incident, action: &Action) {
        let proposal = self.proposal(&incident, action);
        let busy = self.guards.remediations.is_busy(&proposal.policy, incident.id);
        let answer = stage::check(self.setup.stage, &proposal, &self.setup.inventory, busy);
        if !self.passes(&incident, stage::NAME, &answer) {
            return self.refused(incident, stage::NAME, answer);
        }
        let answer = dedup::check(&proposal, &self.guards.remediations);
        if !self.passes(&incident, dedup::NAME, &answer) {
            return self.refused(incident, dedup::NAME, answer);
        }
        // From here on the owner is taken, so that nothing can come in between while the prechecks are answered.
        self.guards.remediations.claim(&proposal);
        let count = self.setup.policy.prechecks.len();
        let first = self.state.next_query;
        self.state.next_query += count as u64;
        incident.phase = Phase::Checking { first, answers: vec![None; count] };
        if count == 0 {
            return self.decide(incident);
        }
        for index in 0..count {
            let question = self.question(&incident, ConditionAt::Precheck(index));
            self.effects.push(Effect::Evaluate { query: first + index as u64, question, at: self.now });
        }
        self.keep(incident);
    }

    /// The prechecks are answered: the rest of the guards, then the action.
    fn decide(&mut self, mut incident: Incident) {
        let policy = self.setup.policy.clone();
        let Phase::Checking { answers, .. } = std::mem::replace(&mut incident.phase, Phase::Held { timer: None, by: String::new() }) else {
            unreachable!("only a checked incident is decided")
        };
        let Some(Deed::Act(action)) = policy.steps.get(incident.step).map(|step| &step.deed) else {
            unreachable!("only actions are checked")
        };
        let proposal = self.proposal(&incident, action);
        let answers: Vec<(Truth, String)> = answers.into_iter().flatten().collect();
        let checked = answers.iter().zip(&policy.prechecks).map(|((verdict, figures), precheck)| precheck::Checked {
            verdict: *verdict,
            figures,
            because: &precheck.because,
        });
        let answer = precheck::check(&proposal.target, &self.setup.inventory, &checked.collect::<Vec<_>>());
        if !self.passes(&incident, precheck::NAME, &answer) {
            return self.refused(incident, precheck::NAME, answer);
        }
        if let Some((guard, answer)) = self.limits(&incident, &proposal, true) {
            return self.refused(incident, guard, answer);
        }
        let reason = reason(&incident, &answers);
        self.start(incident, proposal, reason, false);
    }

    /// Caps, rate limit and cooldown, in this order; the first that refuses.
    fn limits(&mut self, incident: &Incident, proposal: &Proposal, rate_limited: bool) -> Option<(&'static str, Answer)> {
        let (settings, inventory) = (&self.setup.policy.guards, &self.setup.inventory);
        let Guards { remediations, starts, ends, .. } = &*self.guards;
        let mut answers = vec![(caps::NAME, caps::check(&settings.caps, proposal, remediations, inventory))];
        if rate_limited {
            answers.push((rate_limit::NAME, rate_limit::check(&settings.rate_limits, proposal, starts, inventory, self.now)));
        }
        answers.push((cooldown::NAME, cooldown::check(settings.cooldown, proposal, ends, remediations, self.now)));
        answers.into_iter().find(|(guard, answer)| !self.passes(incident, guard, answer))
    }

    /// Starts an action, or in dry-run books it as if it had started.
    fn start(&mut self, mut incident: Incident, proposal: Proposal, reason: String, reverting: bool) {
        self.guards.started(&proposal, self.now);
        let Proposal { action, target, .. } = proposal;
        let Some(actuator) = self.setup.actuator else {
            let lasting = self.verify_of(&incident).map_or(ASSUMED_ACTION, |verify| verify.within);
            let (policy, step) = (self.name(), incident.step as u32);
            self.record(Event::WouldAct { policy, incident: incident.id, step, what: action, target, reason });
            incident.phase = Phase::Assumed { timer: self.set_timer(self.now.saturating_add(lasting)) };
            return self.keep(incident);
        };
        let id = self.next_action();
        let (policy, step) = (self.name(), incident.step as u32);
        let (action_id, what, to) = (id.clone(), action.clone(), target.clone());
        self.record(Event::Decided { policy, incident: incident.id, step, action: action_id, what, target: to, reason });
        self.effects.push(Effect::Start(actuator.command(id.clone(), action, target)));
        incident.has_acted = true;
        incident.phase = Phase::Acting { action: id, reverting };
        self.keep(incident);
    }

    /// A guard has refused. Before the first action the incident waits for a better time; after it a person is called.
    fn refused(&mut self, mut incident: Incident, guard: &'static str, answer: Answer) {
        let what = proposed(&self.setup.policy, incident.step);
        let (policy, target) = (self.name(), Some(self.target(&incident)));
        let (step, figures) = (incident.step as u32, answer.figures);
        let name = Name::new(guard);
        self.record(Event::Refused { policy, incident: incident.id, step, what, target, guard: name, figures: figures.clone() });
        if incident.has_acted {
            let reason = format!("step {} was refused by {guard}: {figures}", incident.step + 1);
            return self.hand_over(incident, &reason);
        }
        self.guards.released(&self.setup.policy.name, incident.id);
        // Whoever has the owner wakes this incident on closing; and a stage does not change, but for its `one at a time`.
        let waits_for_time = guard != dedup::NAME && (guard != stage::NAME || self.setup.stage == Stage::Limited);
        let again = answer.again.unwrap_or_else(|| self.now.saturating_add(RETRY_AFTER));
        let timer = waits_for_time.then(|| self.set_timer(again));
        incident.phase = Phase::Held { timer, by: guard.to_owned() };
        self.keep(incident);
        self.wake_all();
    }

    /// The step's action or pause has ended well: verify it, or go on.
    fn done(&mut self, mut incident: Incident) {
        if self.verify_of(&incident).is_some() {
            let query = self.ask_verification(&incident, self.now);
            incident.phase = Phase::Verifying { query, since: self.now, held_since: None, was_false: false };
            return self.keep(incident);
        }
        incident.step += 1;
        self.propose(incident);
    }

    /// One look at the verification's condition.
    fn verified(&mut self, mut incident: Incident, verdict: Truth, figures: String) {
        let (Some(verify), Phase::Verifying { since, held_since, was_false, .. }) = (self.verify_of(&incident), &incident.phase) else {
            unreachable!("only a verifying incident is verified")
        };
        let (hold, within, since) = (verify.hold, verify.within, *since);
        let held_since = if verdict == Truth::True { Some(held_since.unwrap_or(self.now)) } else { None };
        let was_false = *was_false || verdict == Truth::False;
        let deadline = since.saturating_add(within);
        if held_since.is_some_and(|held_since| self.now.since(held_since) >= hold) {
            self.journal_verification(&incident, Verification::Held, figures, since);
            return self.close(incident, "the remediation is verified", &Ending::Done);
        }
        if self.now >= deadline {
            let verification = if was_false { Verification::Failed } else { Verification::Inconclusive };
            self.journal_verification(&incident, verification, figures.clone(), since);
            let why = if was_false { "its verification failed" } else { "its verification was inconclusive" };
            return self.failed(incident, true, &format!("{why}: {figures}"));
        }
        // The last look is at the deadline itself, and one is due at the moment at which the condition has held for long enough.
        let next = self.now.saturating_add(VERIFY_PERIOD).min(deadline);
        let next = held_since.map_or(next, |held_since| next.min(held_since.saturating_add(hold)));
        let query = self.ask_verification(&incident, next);
        incident.phase = Phase::Verifying { query, since, held_since, was_false };
        self.keep(incident);
    }

    /// The step has failed: what its policy says follows. `carried_out` says whether there is something to revert.
    fn failed(&mut self, mut incident: Incident, carried_out: bool, why: &str) {
        let step = self.setup.policy.steps.get(incident.step);
        match step.map_or(OnFailure::Escalate, |step| step.on_failure) {
            OnFailure::Next => {
                incident.step += 1;
                self.propose(incident);
            }
            OnFailure::Revert if carried_out => self.revert(incident, why),
            OnFailure::Revert | OnFailure::Escalate => {
                let reason = format!("step {}: {why}", incident.step + 1);
                self.hand_over(incident, &reason);
            }
        }
    }

    /// Undoes the step's action. The rate limit is skipped, because what is half done must not be left so; the other guards are not.
    fn revert(&mut self, incident: Incident, why: &str) {
        let policy = self.setup.policy.clone();
        let Some(Deed::Act(action)) = policy.steps.get(incident.step).map(|step| &step.deed) else {
            return self.hand_over(incident, why);
        };
        let target = self.target(&incident);
        let Some(undo) = inverse(action, &target, &self.setup.inventory) else {
            return self.hand_over(incident, &format!("{why}; {} cannot be reverted: {target} is not declared", action.word()));
        };
        let proposal = self.proposal(&incident, &undo);
        if let Some((guard, answer)) = self.limits(&incident, &proposal, false) {
            return self.refused(incident, guard, answer);
        }
        self.start(incident, proposal, format!("undo: {why}"), true);
    }

    /// `escalate_after` is over: a person is called, whatever the steps are doing. What waits for a guard stops waiting.
    fn overdue(&mut self, id: u64) {
        let mut incident = self.take(id);
        incident.escalation_timer = None;
        let after = self.setup.policy.escalate_after.unwrap_or(Span::ZERO);
        let reason = format!("{} is unresolved after {after}", incident.alert);
        if matches!(incident.phase, Phase::Held { .. }) {
            return self.hand_over(incident, &reason);
        }
        self.page(&incident, &reason);
        self.keep(incident);
    }

    /// Calls a person and leaves the alert to people.
    fn hand_over(&mut self, incident: Incident, reason: &str) {
        self.page(&incident, reason);
        self.close(incident, reason, &Ending::Left);
    }

    fn close(&mut self, incident: Incident, reason: &str, ending: &Ending) {
        self.guards.released(&self.setup.policy.name, incident.id);
        if let Some(timer) = incident.escalation_timer {
            self.cancel(timer);
        }
        if let Phase::Held { timer: Some(timer), .. } | Phase::Waiting { timer } = incident.phase {
            self.cancel(timer);
        }
        self.record(Event::IncidentClosed { policy: self.name(), incident: incident.id, reason: reason.to_owned() });
        // The alert may have come back meanwhile, and another incident have taken it up.
        let is_own = |firing: &Firing| matches!(firing.care, Care::Open(id) if id == incident.id);
        if self.state.alerts.get(&incident.alert_key).is_some_and(is_own) {
            let care = match ending {
                Ending::Left => Care::Left,
                Ending::Done => Care::Resting { timer: self.set_timer(self.reopening(&incident)) },
            };
            if let Some(firing) = self.state.alerts.get_mut(&incident.alert_key) {
                firing.care = care;
            }
        }
        self.wake(&incident, ending);
    }

    /// When an incident is opened anew for an alert that still fires.
    fn reopening(&self, incident: &Incident) -> Time {
        let rest = self.setup.policy.guards.cooldown.map_or(Span::ZERO, |cooldown| cooldown.same_policy.max(cooldown.any_policy));
        let rested = incident.last_end.map_or(self.now, |end| end.saturating_add(rest));
        rested.max(self.now.saturating_add(REOPEN_AFTER))
    }

    /// An incident has closed: those that it kept waiting go on. One on the same target does not act on top of what was done a moment ago:
    /// it rests as the closed one does, or is left to people with it.
    fn wake(&mut self, closed: &Incident, ending: &Ending) {
        let same_target = |incident: &Incident| is_held_by_dedup(incident) && incident.target == closed.target;
        if closed.has_acted || matches!(ending, Ending::Left) {
            for id in self.state.incidents.values().filter(|own| same_target(own)).map(|own| own.id).collect::<Vec<_>>() {
                let mut incident = self.take(id);
                match ending {
                    Ending::Left => {
                        let reason = format!("left to people with incident {}", closed.id);
                        self.close(incident, &reason, &Ending::Left);
                    }
                    Ending::Done => {
                        incident.phase = Phase::Held { timer: Some(self.set_timer(self.reopening(closed))), by: cooldown::NAME.to_owned() };
                        self.keep(incident);
                    }
                }
            }
        }
        self.wake_all();
    }

    /// Proposes again, oldest first, what was held only by another incident of this policy.
    fn wake_all(&mut self) {
        let held: Vec<u64> = self.state.incidents.values().filter(|own| is_held_by_dedup(own)).map(|own| own.id).collect();
        for id in held {
            let free = self.state.incidents.get(&id).filter(|own| is_held_by_dedup(own)).is_some_and(|own| {
                let Some(target) = &own.target else { return false };
                let owner = owner_of(target, &self.setup.inventory);
                let others = self.guards.remediations.others(&self.setup.policy.name, id);
                !others.into_iter().any(|other| other.policy == self.setup.policy.name && other.owner == owner)
            });
            if free {
                let incident = self.take(id);
                self.propose(incident);
            }
        }
    }
}

/// Small things.
impl Turn<'_> {
    fn name(&self) -> Name {
        self.setup.policy.name.clone()
    }

    fn record(&mut self, event: Event) {
        self.effects.push(Effect::Record(event));
    }

    fn set_timer(&mut self, at: Time) -> u64 {
        let timer = self.state.next_timer;
        self.state.next_timer += 1;
        self.effects.push(Effect::SetTimer { timer, at: at.max(self.now) });
        timer
    }

    fn cancel(&mut self, timer: u64) {
        self.effects.push(Effect::CancelTimer { timer });
    }

    fn next_action(&mut self) -> ActionId {
        let ordinal = self.state.next_action;
        self.state.next_action += 1;
        ActionId { policy: self.name(), ordinal }
    }

    /// Takes an incident out of the state; it goes back by [`Self::keep`], or is closed.
    fn take(&mut self, id: u64) -> Incident {
        self.state.incidents.remove(&id).expect("an open incident")
    }

    fn keep(&mut self, incident: Incident) {
        self.state.incidents.insert(incident.id, incident);
    }

    fn incident_with(&self, is_it: impl Fn(&Incident) -> bool) -> Option<u64> {
        self.state.incidents.values().find(|incident| is_it(incident)).map(|incident| incident.id)
    }

    fn verify_of(&self, incident: &Incident) -> Option<&Verify> {
        self.setup.policy.steps.get(incident.step)?.verify.as_ref()
    }

    /// The target of the incident's current step. An incident without the labels for it never comes so far.
    fn target(&self, incident: &Incident) -> Target {
        self.setup.policy.target_of(incident.step).resolve(&incident.labels).expect("the alert has every label that the policy needs")
    }

    fn proposal(&self, incident: &Incident, action: &Action) -> Proposal {
        let target = self.target(incident);
        let owner = owner_of(incident.target.as_ref().unwrap_or(&target), &self.setup.inventory);
        Proposal { policy: self.name(), incident: incident.id, action: action.clone(), target, owner }
    }

    fn question(&self, incident: &Incident, condition: ConditionAt) -> Question {
        let needed = self.setup.policy.condition(condition).map(|condition| condition.parameters()).unwrap_or_default();
        let value = |label: String| incident.labels.get(&*label).map(|value| (Name::from(label), value.clone()));
        Question { condition, parameters: needed.into_iter().filter_map(value).collect() }
    }

    fn ask_verification(&mut self, incident: &Incident, at: Time) -> u64 {
        let query = self.state.next_query;
        self.state.next_query += 1;
        let question = self.question(incident, ConditionAt::Verify(incident.step));
        self.effects.push(Effect::Evaluate { query, question, at });
        query
    }

    /// Journals a guard's verdict and tells whether the action may go on.
    fn passes(&mut self, incident: &Incident, guard: &str, answer: &Answer) -> bool {
        self.journal_verdict(incident, guard, answer);
        answer.verdict != GuardVerdict::Refused
    }

    fn journal_verdict(&mut self, incident: &Incident, guard: &str, answer: &Answer) {
        self.record(Event::Guarded {
            policy: self.name(),
            incident: incident.id,
            guard: Name::new(guard),
            verdict: answer.verdict,
            figures: answer.figures.clone(),
        });
    }

    fn journal_verification(&mut self, incident: &Incident, verdict: Verification, figures: String, since: Time) {
        let took = self.now.since(since);
        let (policy, step) = (self.name(), incident.step as u32);
        self.record(Event::Verified { policy, incident: incident.id, step, verdict, figures, took });
    }

    fn page(&mut self, incident: &Incident, reason: &str) {
        let Escalation { to, with } = self.setup.policy.escalation(incident.step);
        let (policy, reason) = (self.name(), reason.to_owned());
        self.record(Event::Paged { policy, incident: incident.id, to: to.clone(), reason: reason.clone(), with: with.clone() });
        self.effects.push(Effect::Page { to, reason, with });
    }
}

/// What a step would do, for the journal.
fn proposed(policy: &Policy, step: usize) -> Option<Action> {
    match &policy.steps.get(step)?.deed {
        Deed::Act(action) => Some(action.clone()),
        Deed::Wait(span) => Some(Action::Wait { span: *span }),
        Deed::Escalate(_) => None,
    }
}

fn is_held_by_dedup(incident: &Incident) -> bool {
    matches!(&incident.phase, Phase::Held { timer: None, by } if by == dedup::NAME)
}

/// Why the policy acts: the alert, and the figures of its prechecks.
fn reason(incident: &Incident, answers: &[(Truth, String)]) -> String {
    let figures: Vec<&str> = answers.iter().map(|(_, figures)| figures.as_str()).collect();
    if figures.is_empty() {
        format!("{} fires", incident.alert)
    } else {
        format!("{} fires, and {}", incident.alert, figures.join(", and "))
    }
}

/// Labels written out, one text for one label set.
fn written(labels: &LabelSet) -> String {
    let mut text = String::from("{");
    for (name, value) in labels {
        text.push_str(&format!("{name}={value:?},"));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read_policy;
    use firedrill_core::inventory::ServiceEntry;

    const RESTART: &str = "
schema: policy/1
policy: restart
owner: team
on: { alert: Down }
target: { replica: $pod }
steps:
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 60s }
    on_failure: escalate
  - escalate: { to: oncall, with: [logs] }
guard:
  cooldown: 2m
";

    /// A controller with its guards, and what came out of it, in short.
    struct Bench {
        controller: Controller,
        guards: Guards,
    }

    impl Bench {
        fn new(policy: &str, stage: Stage) -> Self {
            let entry = ServiceEntry { replicas: 4, zones: vec![Name::new("a"), Name::new("b")], critical: true };
            let inventory = Inventory { services: [(Name::new("api"), entry)].into(), clients: vec![Name::new("users")] };
            let policy = read_policy("policy.yaml", policy).unwrap_or_else(|problems| panic!("{problems:?}"));
            let controller = Controller::new(policy, Arc::new(inventory), stage, Some(Actuator::simulated()));
            Self { controller, guards: Guards::new() }
        }

        fn step(&mut self, second: u64, input: Input) -> Vec<Effect> {
            self.controller.step(Time::from_seconds(second), input, &mut self.guards)
        }

        #[track_caller]
        fn check(&mut self, second: u64, input: Input, expected: &[&str]) {
            let told: Vec<String> = self.step(second, input).iter().filter_map(tell).collect();
            assert_eq!(told, expected);
        }
    }

    /// An effect in a few words; verdicts that pass and what came in are left out.
    fn tell(effect: &Effect) -> Option<String> {
        Some(match effect {
            Effect::Evaluate { query, question, at } => format!("ask {query} {:?} at {}", question.condition, at.as_seconds()),
            Effect::Start(command) => format!("start {} {} {}", command.id(), command.action(), command.target()),
            Effect::Page { to, .. } => format!("page {to}"),
            Effect::SetTimer { timer, at } => format!("timer {timer} at {}", at.as_seconds()),
            Effect::CancelTimer { timer } => format!("cancel {timer}"),
            Effect::Record(Event::Received { .. } | Event::Decided { .. } | Event::Paged { .. } | Event::Guarded { .. }) => return None,
            Effect::Record(Event::IncidentOpened { incident, .. }) => format!("open {incident}"),
            Effect::Record(Event::IncidentClosed { incident, reason, .. }) => format!("close {incident}: {reason}"),
            Effect::Record(Event::Refused { incident, guard, figures, .. }) => format!("refuse {incident} by {guard}: {figures}"),
            Effect::Record(Event::Verified { verdict, took, .. }) => format!("verified {verdict:?} after {took}"),
            Effect::Record(Event::WouldAct { what, target, .. }) => format!("would {what} {target}"),
            Effect::Record(other) => format!("{other:?}"),
        })
    }

    fn notification(status: AlertStatus, labels: &[(&str, &str)]) -> Input {
        let named = |(name, value): &(&str, &str)| (Name::new(name), Name::new(value));
        let labels: LabelSet = labels.iter().map(named).chain([(Name::new("alertname"), Name::new("Down"))]).collect();
        Input::Notified(Notification { alert: Name::new("Down"), status, labels, starts_at: Time::ZERO })
    }

    fn fires(pod: &str) -> Input {
        notification(AlertStatus::Firing, &[("pod", pod)])
    }

    fn resolves(pod: &str) -> Input {
        notification(AlertStatus::Resolved, &[("pod", pod)])
    }

    fn ended(ordinal: u64, outcome: ActionOutcome) -> Input {
        Input::Finished(ActionResult { action: ActionId { policy: Name::new("restart"), ordinal }, at: Time::ZERO, outcome })
    }

    fn answer(query: u64, verdict: Truth) -> Input {
        Input::Evaluated { query, verdict, figures: format!("{verdict:?}") }
    }

    const OK: ActionOutcome = ActionOutcome::Succeeded;

    #[test]
    fn an_incident_goes_from_alert_to_verified_end_and_is_taken_up_again_if_the_alert_still_fires() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.check(10, fires("api-1"), &["open 0", "start restart#0 restart (rolling) replica/api-1"]);
        bench.check(12, ended(0, OK), &["ask 0 Verify(0) at 12"]);
        bench.check(12, answer(0, Truth::False), &["ask 1 Verify(0) at 17"]);
        bench.check(17, answer(1, Truth::True), &["ask 2 Verify(0) at 22"]);
        bench.check(22, answer(2, Truth::True), &["ask 3 Verify(0) at 27"]);
        let end = ["verified Held after 15s", "close 0: the remediation is verified", "timer 0 at 327"];
        bench.check(27, answer(3, Truth::True), &end);
        bench.check(327, Input::Timer { timer: 0 }, &["open 1", "start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_break_in_the_condition_starts_its_hold_anew_and_the_deadline_ends_it() {
        let mut bench = Bench::new(&RESTART.replace("within: 60s", "within: 17s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.check(0, answer(0, Truth::True), &["ask 1 Verify(0) at 5"]);
        bench.check(5, answer(1, Truth::Unknown), &["ask 2 Verify(0) at 10"]);
        bench.check(10, answer(2, Truth::True), &["ask 3 Verify(0) at 15"]);
        bench.check(15, answer(3, Truth::True), &["ask 4 Verify(0) at 17"]);
        let end = "close 0: step 1: its verification was inconclusive: True";
        bench.check(17, answer(4, Truth::True), &["verified Inconclusive after 17s", "page oncall", end]);
    }

    #[test]
    fn no_data_is_never_a_pass() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, within: 60s", "within: 5s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.step(0, answer(0, Truth::Unknown));
        let end = "close 0: step 1: its verification was inconclusive: Unknown";
        bench.check(5, answer(1, Truth::Unknown), &["verified Inconclusive after 5s", "page oncall", end]);
    }

    #[test]
    fn a_false_condition_at_the_deadline_is_a_failure_and_leaves_the_alert_to_people() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, within: 60s", "within: 5s"), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(0, ended(0, OK));
        bench.step(0, answer(0, Truth::False));
        let end = "close 0: step 1: its verification failed: False";
        bench.check(5, answer(1, Truth::False), &["verified Failed after 5s", "page oncall", end]);
        bench.check(600, fires("api-1"), &[]);
        bench.check(700, resolves("api-1"), &[]);
        bench.check(800, fires("api-1"), &["open 1", "start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_failed_action_goes_where_its_step_says() {
        let next = RESTART.replace("on_failure: escalate", "on_failure: next").replace(
            "  - escalate",
            "  - wait: 30s
  - escalate",
        );
        let mut bench = Bench::new(&next, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(3, ended(0, ActionOutcome::Failed("no quota".into())), &["timer 0 at 33"]);
        bench.check(33, Input::Timer { timer: 0 }, &["page oncall", "cancel 0", "close 0: the policy escalates"]);
    }

    #[test]
    fn one_replica_at_a_time_and_the_next_goes_on_when_the_first_is_verified() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.check(1, fires("api-2"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        bench.check(2, fires("api-1"), &["refuse 0 by dedup: incident 0 has this alert already"]);
        bench.step(3, ended(0, OK));
        let end = [
            "verified Held after 0s",
            "close 0: the remediation is verified",
            "timer 0 at 303",
            "start restart#1 restart (rolling) replica/api-2",
        ];
        bench.check(3, answer(0, Truth::True), &end);
    }

    #[test]
    fn a_second_alert_on_the_same_target_rests_as_the_first_does() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        let other = || notification(AlertStatus::Firing, &[("pod", "api-1"), ("why", "other")]);
        bench.step(0, fires("api-1"));
        bench.step(0, other());
        bench.step(3, ended(0, OK));
        let end = ["verified Held after 0s", "close 0: the remediation is verified", "timer 0 at 303", "timer 1 at 303"];
        bench.check(3, answer(0, Truth::True), &end);
        bench.check(303, Input::Timer { timer: 1 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn an_alert_that_is_over_before_anything_was_done_closes_without_acting() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(1, fires("api-2"));
        bench.check(2, resolves("api-2"), &["close 1: the alert is over before anything was done"]);
        bench.check(3, resolves("api-1"), &[]);
        bench.check(4, ended(0, OK), &["ask 0 Verify(0) at 4"]);
    }

    #[test]
    fn an_absent_label_refuses_the_action_and_is_recorded() {
        let mut bench = Bench::new(&RESTART.replace("guard:", "escalate_after: 5m\nguard:"), Stage::Full);
        let labels = notification(AlertStatus::Firing, &[("service", "api")]);
        bench.check(0, labels, &["open 0", "timer 0 at 300", "refuse 0 by target: the alert has no label `pod`"]);
        let reason = "close 0: Down is unresolved after 5m";
        bench.check(300, Input::Timer { timer: 0 }, &["page oncall", reason]);
    }

    #[test]
    fn a_cooldown_is_waited_out_and_the_action_proposed_again() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(10, ended(0, OK));
        bench.step(10, answer(0, Truth::True));
        bench.step(20, resolves("api-1"));
        let refusal = "refuse 1 by cooldown: replica/api-1 rests for 2m after restart, 20s ago, until 02m10.000s";
        bench.check(30, fires("api-1"), &["open 1", refusal, "timer 1 at 130"]);
        bench.check(130, Input::Timer { timer: 1 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn prechecks_must_all_be_true_and_are_asked_again_before_the_action_is_proposed_again() {
        let checked = RESTART.replace(
            "steps:",
            "precheck:
  - { expr: 'up == 1', because: one }
  - { expr: 'down{pod=$pod} < 1', because: two }
steps:",
        );
        let mut bench = Bench::new(&checked, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "ask 0 Precheck(0) at 0", "ask 1 Precheck(1) at 0"]);
        bench.check(0, answer(1, Truth::Unknown), &[]);
        bench.check(0, answer(0, Truth::True), &["refuse 0 by precheck: cannot tell: Unknown", "timer 0 at 60"]);
        bench.check(60, Input::Timer { timer: 0 }, &["ask 2 Precheck(0) at 60", "ask 3 Precheck(1) at 60"]);
        bench.check(60, answer(2, Truth::True), &[]);
        bench.check(60, answer(3, Truth::True), &["start restart#0 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn a_step_without_verification_leads_on_and_the_next_step_has_its_own_target() {
        let storm = RESTART
            .replace(
                "restart: { mode: rolling }
",
                "limit_retries: { retries: 0, lasting: 20s }
    target: { client: users }
  - purge_queue: {}
",
            )
            .replace("hold: 10s, ", "");
        let mut bench = Bench::new(&storm, Stage::Full);
        bench.check(0, fires("api-1"), &["open 0", "start restart#0 limit_retries (0 for 20s) client/users"]);
        bench.check(1, ended(0, OK), &["start restart#1 purge_queue replica/api-1"]);
        bench.check(2, ended(1, OK), &["ask 0 Verify(1) at 2"]);
    }

    #[test]
    fn a_later_step_that_is_refused_calls_a_person() {
        let two = RESTART.replace("on_failure: escalate", "on_failure: next").replace(
            "  - escalate",
            "  - purge_queue: {}
  - escalate",
        );
        let limited = two.replace("cooldown: 2m", "rate_limit: [{ max: 1, window: 1h, scope: all }]");
        let mut bench = Bench::new(&limited, Stage::Full);
        bench.step(0, fires("api-1"));
        let figures = "rate_limit: 1 of 1 starts within 1h on all";
        let expected = [format!("refuse 0 by {figures}"), "page oncall".to_owned(), format!("close 0: step 2 was refused by {figures}")];
        bench.check(5, ended(0, ActionOutcome::Failed("no".into())), &expected.each_ref().map(String::as_str));
    }

    #[test]
    fn a_scale_out_that_does_not_help_is_undone_and_a_person_called() {
        let scale = RESTART
            .replace("restart: { mode: rolling }", "scale: { by: 2 }")
            .replace("{ replica: $pod }", "{ service: $pod }")
            .replace("on_failure: escalate", "on_failure: revert")
            .replace("hold: 10s, within: 60s", "within: 1s")
            .replace("cooldown: 2m", "rate_limit: [{ max: 1, window: 1h, scope: all }]");
        let mut bench = Bench::new(&scale, Stage::Full);
        bench.check(0, fires("api"), &["open 0", "start restart#0 scale (by +2) service/api"]);
        bench.step(1, ended(0, OK));
        bench.step(1, answer(0, Truth::False));
        bench.check(2, answer(1, Truth::False), &["verified Failed after 1s", "start restart#1 scale (by -2) service/api"]);
        bench.check(3, ended(1, OK), &["page oncall", "close 0: the action did not help and was reverted"]);
    }

    #[test]
    fn a_dry_run_decides_and_books_and_starts_nothing() {
        let mut bench = Bench::new(RESTART, Stage::DryRun);
        bench.check(0, fires("api-1"), &["open 0", "would restart (rolling) replica/api-1", "timer 0 at 60"]);
        bench.check(1, fires("api-2"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        let end = "close 0: it would have acted; what follows is not simulated";
        bench.check(60, Input::Timer { timer: 0 }, &[end, "would restart (rolling) replica/api-2", "timer 1 at 120"]);
        bench.check(70, fires("api-1"), &[]);
        bench.step(80, resolves("api-1"));
        let refusal = "refuse 2 by dedup: incident 1 of restart is at work on service/api";
        bench.check(90, fires("api-1"), &["open 2", refusal]);
        let rests = "refuse 2 by cooldown: replica/api-1 rests for 2m after restart, 1m ago, until 03m00.000s";
        let end = "close 1: it would have acted; what follows is not simulated";
        bench.check(120, Input::Timer { timer: 1 }, &[end, rests, "timer 2 at 180"]);
    }

    #[test]
    fn without_an_actuator_nothing_can_start_even_at_the_full_stage() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.controller.setup.actuator = None;
        let effects = bench.step(0, fires("api-1"));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start(_))));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Record(Event::WouldAct { .. }))));
    }

    #[test]
    fn a_policy_runs_at_the_lower_of_its_own_stage_and_the_run_s() {
        let mut bench = Bench::new(
            &RESTART.replace(
                "owner: team",
                "owner: team
stage: draft",
            ),
            Stage::Full,
        );
        bench.check(0, fires("api-1"), &["open 0", "refuse 0 by stage: draft: may do nothing"]);
    }

    #[test]
    fn unresolved_for_too_long_pages_while_the_steps_go_on() {
        let mut bench = Bench::new(
            &RESTART
                .replace(
                    "guard:",
                    "escalate_after: 20s
guard:",
                )
                .replace("hold: 10s, ", ""),
            Stage::Full,
        );
        bench.check(0, fires("api-1"), &["open 0", "timer 0 at 20", "start restart#0 restart (rolling) replica/api-1"]);
        bench.check(20, Input::Timer { timer: 0 }, &["page oncall"]);
        bench.check(30, ended(0, OK), &["ask 0 Verify(0) at 30"]);
        bench.check(30, answer(0, Truth::True), &["verified Held after 0s", "close 0: the remediation is verified", "timer 1 at 330"]);
    }

    #[test]
    fn an_alert_that_comes_back_during_the_verification_is_another_incident() {
        let mut bench = Bench::new(&RESTART.replace("hold: 10s, ", ""), Stage::Full);
        bench.step(0, fires("api-1"));
        bench.step(1, resolves("api-1"));
        bench.check(2, fires("api-1"), &["open 1", "refuse 1 by dedup: incident 0 of restart is at work on service/api"]);
        bench.step(3, ended(0, OK));
        let end = ["verified Held after 0s", "close 0: the remediation is verified", "timer 0 at 303"];
        bench.check(3, answer(0, Truth::True), &end);
        bench.check(303, Input::Timer { timer: 0 }, &["start restart#1 restart (rolling) replica/api-1"]);
    }

    #[test]
    fn answers_and_timers_that_nobody_waits_for_change_nothing() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        bench.step(0, fires("api-1"));
        let before = bench.controller.state().clone();
        bench.check(1, answer(99, Truth::True), &[]);
        bench.check(1, Input::Timer { timer: 99 }, &[]);
        bench.check(1, ended(99, OK), &[]);
        assert_eq!(*bench.controller.state(), before);
    }

    /// A whole story: the inputs with their seconds.
    fn story() -> Vec<(u64, Input)> {
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

    #[test]
    fn a_controller_restored_in_the_middle_of_anything_goes_on_with_identical_effects() {
        let story = story();
        for cut in 0..=story.len() {
            let mut whole = Bench::new(RESTART, Stage::Full);
            for (second, input) in &story[..cut] {
                whole.step(*second, input.clone());
            }
            let saved = serde_json::to_string(&(whole.controller.state(), &whole.guards)).unwrap();
            let mut restored = Bench::new(RESTART, Stage::Full);
            let (state, guards): (State, Guards) = serde_json::from_str(&saved).unwrap();
            restored.controller.restore(state).unwrap();
            restored.guards = guards;
            for (second, input) in &story[cut..] {
                assert_eq!(whole.step(*second, input.clone()), restored.step(*second, input.clone()), "cut at {cut}, {second} s");
            }
        }
    }

    #[test]
    fn a_state_of_another_version_or_policy_is_refused() {
        let mut bench = Bench::new(RESTART, Stage::Full);
        let state = bench.controller.state().clone();
        let version = bench.controller.restore(State { version: 7, ..state.clone() });
        assert_eq!(version, Err(RestoreError::Version(7)));
        let policy = bench.controller.restore(State { policy: Name::new("other"), ..state });
        assert_eq!(policy, Err(RestoreError::Policy(Name::new("other"))));
    }

    /// Whoever drives the controller in any order that can happen: what it waits for, and what it has started.
    struct Driver {
        bench: Bench,
        now: Time,
        queries: Vec<(Time, u64)>,
        timers: Vec<(Time, u64)>,
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
                    Effect::Page { .. } | Effect::Record(_) => {}
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
  - restart: { mode: rolling }
    verify: { expr: 'up{pod=$pod} == 1', hold: 10s, within: 40s }
    on_failure: next
  - wait: 20s
  - drain: {}
    verify: { expr: 'up{pod=$pod} == 1', within: 40s }
  - escalate: { to: oncall }
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
            let (queries, timers, running, starts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut driver = Driver { bench, now: Time::ZERO, queries, timers, running, starts };
            for (kind, pod, gap, choice) in events {
                let verdict = [Truth::True, Truth::False, Truth::Unknown][usize::from(choice)];
                let until = driver.now + Span::from_seconds(gap);
                driver.pass(until, verdict);
                let pod = format!("api-{pod}");
                match kind {
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
