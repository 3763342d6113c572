//! What a controller remembers: open incidents, and who cares for each alert that fires.

use std::collections::BTreeMap;

use firedrill_core::action::{Action, ActionId, Fence, Modelled, Target};
use firedrill_core::journal::{Consent, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::time::Time;
use serde::{Deserialize, Serialize};

use super::open::{Alerts, Incidents};
use crate::guard::{Guard, Known};

/// The version of the saved state.
pub const STATE_VERSION: u32 = 4;

/// Everything that a controller remembers, with a version; save it, and restore the controller from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(super) version: u32,
    pub(super) policy: Name,
    pub(super) next_incident: u64,
    pub(super) next_action: u64,
    pub(super) next_query: u64,
    pub(super) next_timer: u64,
    /// Whether the journal has been told which guards the policy does not ask for.
    pub(super) has_told_guards: bool,
    pub(super) incidents: Incidents,
    pub(super) alerts: Alerts,
    /// Evidence that is asked for and not there yet, by the number of the question.
    pub(super) gatherings: BTreeMap<u64, Gathering>,
    /// Ladders that are being climbed.
    pub(super) climbs: Vec<Climb>,
    pub(super) next_proposal: u64,
    /// What is proposed to people, until its incident is closed.
    pub(super) proposals: Vec<Proposed>,
    /// What is asked for to tell whether an action has done harm, by the number of the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) objectives: BTreeMap<u64, Before>,
    /// What the project's rules warned of, by incident, until it is closed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) warnings: BTreeMap<u64, Vec<String>>,
}

/// An action that is proposed to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposed {
    pub(super) number: u64,
    pub(super) incident: u64,
    pub(super) action: Action,
    pub(super) target: Target,
    /// Who is asked; `None`: nobody is named who could answer.
    pub(super) asked: Option<Awaited>,
}

/// People who are asked to allow an action, and what they have said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Awaited {
    pub(super) consent: Consent,
    pub(super) since: Time,
    /// What tells that its time is over.
    pub(super) timer: Option<u64>,
    /// All that a yes allows: the parts of an action that somebody defined are one.
    pub(super) covers: Vec<(Action, Target)>,
    /// What the proposal rests on, by what it is about.
    pub(super) evidence: BTreeMap<String, String>,
    /// Who has said yes, with their role.
    pub(super) yes: Vec<(Name, Name)>,
    pub(super) is_granted: bool,
}

/// What an action is compared with when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The step in words, such as `step 1 for api`.
    pub(super) what: String,
    /// What must not grow, as it was when the action was decided.
    pub(super) value: f64,
}

/// Evidence that is asked for, and for what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Gathering {
    pub(super) incident: u64,
    pub(super) with: Vec<Name>,
    pub(super) purpose: Purpose,
    /// People are not kept waiting for longer.
    pub(super) timer: u64,
}

/// What evidence is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// To call a person, after which the incident may be closed.
    Page { to: Name, reason: String, closes: bool },
    /// To tell people, and go on.
    Notify { to: Name, step: u32 },
    /// To be written down, and go on.
    Collect { step: u32 },
}

/// A ladder that is climbed until its alert is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Climb {
    pub(super) about: About,
    pub(super) alert_key: Name,
    pub(super) step: usize,
    pub(super) reason: String,
    /// When the first was called.
    pub(super) began: Time,
    /// Which rung above the first is next.
    pub(super) next: usize,
    pub(super) timer: u64,
}

/// What evidence is about: an incident, which may be closed already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) incident: u64,
    pub(super) alert: Name,
    pub(super) labels: LabelSet,
    pub(super) target: Option<Target>,
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
pub(super) struct Firing {
    pub(super) notification: Notification,
    pub(super) care: Care,
}

/// Who cares for an alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Care {
    /// This incident.
    Open(u64),
    /// It was dealt with and still fires: at this timer it is taken up again.
    Resting { timer: u64 },
    /// People, until it is over.
    Left,
}

/// One alert that the policy took up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    pub(super) id: u64,
    pub(super) alert_key: Name,
    pub(super) alert: Name,
    pub(super) labels: LabelSet,
    /// `None` if the alert lacks a label that the policy needs.
    pub(super) target: Option<Target>,
    pub(super) step: usize,
    /// Which candidate of the step was chosen.
    pub(super) choice: Option<usize>,
    /// How far a step of several actions has come.
    pub(super) group: Option<Group>,
    pub(super) phase: Phase,
    /// Whether any action was started.
    pub(super) has_acted: bool,
    /// When its last action ended.
    pub(super) last_end: Option<Time>,
    pub(super) escalation_timer: Option<u64>,
    /// Whether a person was called about a guard that refused its first action.
    pub(super) has_asked: bool,
    /// Since when it waits for a guard that does not let it wait for ever.
    pub(super) queued_since: Option<Time>,
    /// How often people were asked to allow what its step does.
    pub(super) askings: u32,
    /// Whether its step is done with care: what does not help is undone, whatever the step says of failures.
    pub(super) is_careful: bool,
    /// What must not grow, as it was when its last action was decided; `None` if nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) objective: Option<f64>,
}

/// How far a step of several actions has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    /// What has not begun, wave after wave.
    pub(super) waves: Vec<Vec<Piece>>,
    pub(super) running: Vec<(ActionId, Piece)>,
    /// What of the last wave was carried out.
    pub(super) done: Vec<Piece>,
    /// What was carried out before.
    pub(super) earlier: Vec<Piece>,
    /// What of the last wave was not carried out, and why.
    pub(super) failures: Vec<String>,
    pub(super) reverting: bool,
    /// Why it is undone, if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// Whether something of it was never reported on: then a person is called, whatever the step says of failures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_lost: bool,
    /// The locks under which it began.
    pub(super) fence: Option<Fence>,
}

/// One of several actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) action: Action,
    pub(super) target: Target,
    pub(super) modelled: Option<Modelled>,
}

impl Group {
    /// Nothing of it has begun.
    pub(super) const fn new(waves: Vec<Vec<Piece>>) -> Self {
        Self {
            waves,
            running: Vec::new(),
            done: Vec::new(),
            earlier: Vec::new(),
            failures: Vec::new(),
            reverting: false,
            why: String::new(),
            is_lost: false,
            fence: None,
        }
    }

    /// Whether something of it was carried out.
    pub(super) const fn has_begun(&self) -> bool {
        !self.done.is_empty() || !self.earlier.is_empty()
    }
}

/// What an incident waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// For its first action to become possible; without a timer, for another incident to close or for the alert to be over.
    Held { timer: Option<u64>, by: String },
    /// For the answers to its prechecks and then to what its guards want to know, which are numbered from `first` on. `is_claimed` says whether
    /// the guards before them have passed and the owner is taken.
    Checking { first: u64, answers: Vec<Option<Known>>, is_claimed: bool },
    /// For its action to end.
    Acting { action: ActionId, reverting: bool },
    /// For a pause to end.
    Waiting { timer: u64 },
    /// For its condition to hold.
    Verifying { query: u64, since: Time, held_since: Option<Time>, was_false: bool },
    /// For the names of the targets of its step.
    Listing { query: u64 },
    /// For several actions to end.
    Together,
    /// For evidence, without which it does not go on.
    Gathering,
    /// For people to allow what it would do.
    Asking,
    /// In dry-run, for the time that its action would have taken.
    Assumed { timer: u64 },
}

/// How an incident ended, as far as its alert is concerned.
pub(super) enum Ending {
    /// The policy did what it could; if the alert still fires it is taken up again later.
    Done,
    /// It is left to people until the alert is over.
    Left,
}

impl State {
    /// Nothing has happened yet.
    pub(super) fn new(policy: Name) -> Self {
        Self {
            version: STATE_VERSION,
            policy,
            next_incident: 0,
            next_action: 0,
            next_query: 0,
            next_timer: 0,
            has_told_guards: false,
            incidents: Incidents::default(),
            alerts: Alerts::default(),
            gatherings: BTreeMap::new(),
            climbs: Vec::new(),
            next_proposal: 0,
            proposals: Vec::new(),
            objectives: BTreeMap::new(),
            warnings: BTreeMap::new(),
        }
    }

    /// Which incident waits for the answer to a question, or for evidence; `None`: none does any more.
    #[must_use]
    pub fn asker(&self, query: u64) -> Option<u64> {
        let of_evidence = || self.gatherings.get(&query).map(|gathering| gathering.incident);
        self.incidents.asking(query).map(|incident| incident.id).or_else(of_evidence)
    }

    /// Whether a controller of this policy can take it up.
    pub(super) fn fits(&self, policy: &Name) -> Result<(), RestoreError> {
        if self.version != STATE_VERSION {
            return Err(RestoreError::Version(self.version));
        }
        if self.policy != *policy {
            return Err(RestoreError::Policy(self.policy.clone()));
        }
        Ok(())
    }
}

impl Incident {
    /// What evidence of it is about.
    pub(super) fn about(&self) -> About {
        About { incident: self.id, alert: self.alert.clone(), labels: self.labels.clone(), target: self.target.clone() }
    }

    /// Its next step.
    pub(super) fn advance(&mut self) {
        self.step += 1;
        self.choice = None;
        self.group = None;
        self.askings = 0;
        self.is_careful = false;
    }

    /// Whether it waits for another incident to close, and for nothing else.
    pub(super) fn is_held_by_dedup(&self) -> bool {
        matches!(&self.phase, Phase::Held { timer: None, by } if by == Guard::Dedup.word())
    }
}

#[cfg(test)]
mod tests {
    use firedrill_core::journal::{Input, Truth};

    use super::*;
    use crate::controller::bench::{Bench, OK, RESTART, answer, ended, fires, story};
    use crate::guard::Guards;
    use crate::guard::stage::Stage;

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
}
