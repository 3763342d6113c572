//! A person on call: called by alerts, and after a while does what the scenario knows to help.
//!
//! The arm `human` of docs/MEASURES.md. The person knows no ground truth but the cures, which stand for what people find out while they
//! investigate; whether there is anything to do, and whether it has helped, they see by the alerts alone. All luck is that of the seed and of the
//! number of the call, so that a change of the system shifts nobody's answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::action::{Action, ActionId, Actuator, RestartMode, Scale, Target};
use firedrill_core::distribution::Distribution;
use firedrill_core::journal::{AlertStatus, Event, Notification};
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::random::{Block, Purpose, Seed, Stream, Threshold, hash64};
use firedrill_core::time::{Span, Time};
use firedrill_core::transcript::Desk;

use crate::spec::{CureSpec, WorldSpec};

/// How long a person on call takes, and how often one errs. Durations in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonSpec {
    /// From an alert's notification until the pager rings.
    pub detect: Distribution,
    /// From the pager until somebody says that they are on it.
    pub acknowledge: Distribution,
    /// From there until it is clear what is wrong.
    pub investigate: Distribution,
    /// From there until it is clear what to do.
    pub diagnose: Distribution,
    /// From there until it is done.
    pub act: Distribution,
    /// From there until it is clear whether it has helped.
    pub verify: Distribution,
    /// The share of calls in which something else is done first.
    pub wrong_action: Ratio,
    /// The share of calls that are not answered; then the next person is called.
    pub no_answer: Ratio,
    /// From a call that is not answered to the next.
    pub escalate_after: Span,
}

/// How often a person tries before leaving it.
const MOST_ROUNDS: u64 = 5;

/// How many people are called, one after the other; the last one answers.
const MOST_CALLS: u64 = 5;

/// How long a run goes on after the last that a person did, as it does after the last fault; of a shorter run, for as long as that is.
pub const AFTERMATH: Span = Span::from_minutes(30);

/// A person on call in one run.
#[derive(Clone, Debug)]
pub struct Person {
    spec: Arc<PersonSpec>,
    world: Arc<WorldSpec>,
    luck: Stream,
    /// What is told and not yet over, by its labels in canonical form.
    firing: BTreeSet<String>,
    /// How often somebody has been called for something new.
    calls: u64,
    /// Actions so far.
    actions: u64,
    /// What is done next, and when; `None`: nobody is at work.
    next: Option<(Time, Step)>,
    /// When something was done last.
    acted: Option<Time>,
    /// When something was done last before the person handed it on beyond the horizon, from where on nobody waits for what comes later.
    left: Option<Time>,
}

/// What a person does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Says that they are on it, or does not answer; the number of the call.
    Answer(u64),
    /// Acts for this time; whether it is the wrong thing.
    Act { round: u64, is_wrong: bool },
    /// Applies the cure with this index.
    Cure { round: u64, index: usize },
    /// Looks whether it has helped.
    Look { round: u64 },
}

/// Which word of a block decides what; a block is a call, or a round of it.
mod word {
    pub(super) const DETECT: usize = 0;
    pub(super) const ACKNOWLEDGE: usize = 1;
    pub(super) const NO_ANSWER: usize = 2;
    pub(super) const INVESTIGATE: usize = 3;
    pub(super) const DIAGNOSE: usize = 4;
    pub(super) const ACT: usize = 5;
    pub(super) const VERIFY: usize = 6;
    pub(super) const WRONG: usize = 7;
}

impl Person {
    /// The name of the policy in journals that a person's actions are booked under.
    pub const POLICY: &'static str = "human";

    /// Somebody on call from the start of a run on.
    #[must_use]
    pub fn new(spec: Arc<PersonSpec>, world: Arc<WorldSpec>, seed: Seed) -> Self {
        let luck = Stream::new(seed, Purpose::Human, hash64(Self::POLICY));
        Self { spec, world, luck, firing: BTreeSet::new(), calls: 0, actions: 0, next: None, acted: None, left: None }
    }

    /// An alert is told at an instant: who is not at work is called.
    pub fn hear(&mut self, now: Time, notification: &Notification) {
        let key = format!("{:?}", notification.labels);
        match notification.status {
            AlertStatus::Resolved => _ = self.firing.remove(&key),
            AlertStatus::Firing => {
                let is_news = self.firing.insert(key);
                if is_news && self.next.is_none() {
                    self.calls += 1;
                    let rings = now + self.takes(&self.spec.detect, 0, word::DETECT);
                    self.next = Some((self.answer(rings, 0), Step::Answer(0)));
                }
            }
        }
    }

    /// When the person does something next; `None` while nobody is at work.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        match self.next {
            Some((at, _)) => Some(at),
            None => None,
        }
    }

    /// Until when a run must go on to show what the person does and what comes of it; `None` if nothing was ever done.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        self.left.or_else(|| self.due()).or(self.acted).map(|last| last.saturating_add(AFTERMATH.min(self.world.horizon)))
    }

    /// Does the one thing that is due.
    pub fn advance(&mut self, desk: &mut Desk<'_>) {
        let Some((now, step)) = self.next.take() else { return };
        match step {
            Step::Answer(call) => self.answered(now, call, desk),
            Step::Act { round, is_wrong } => self.act(now, round, is_wrong, desk),
            Step::Cure { round, index } => self.cure(now, round, index, desk),
            Step::Look { round } => self.look(now, round, desk),
        }
    }

    /// When a call that rings now is answered, or given up.
    fn answer(&self, rings: Time, call: u64) -> Time {
        let takes =
            if self.is_missed(call) { self.spec.escalate_after } else { self.takes(&self.spec.acknowledge, call, word::ACKNOWLEDGE) };
        rings.saturating_add(takes)
    }

    /// Whether nobody answers a call; the last one is answered.
    fn is_missed(&self, call: u64) -> bool {
        call + 1 < MOST_CALLS && Threshold::from_ratio(self.spec.no_answer).hit(self.block(call).word64(word::NO_ANSWER))
    }

    fn answered(&mut self, now: Time, call: u64, desk: &mut Desk<'_>) {
        if self.is_missed(call) {
            note(desk, now, format!("call {} is not answered, and the next person is called", call + 1));
            self.next = Some((self.answer(now, call + 1), Step::Answer(call + 1)));
            return;
        }
        note(desk, now, "somebody on call acknowledges".to_owned());
        let is_wrong = Threshold::from_ratio(self.spec.wrong_action).hit(self.block(0).word64(word::WRONG));
        let looked = now.saturating_add(self.takes(&self.spec.investigate, 0, word::INVESTIGATE));
        self.next = Some((self.decided(looked, 0), Step::Act { round: 0, is_wrong }));
    }

    /// When something is done in a round, if what is wrong is clear now.
    fn decided(&self, now: Time, round: u64) -> Time {
        let diagnosed = now.saturating_add(self.takes(&self.spec.diagnose, round, word::DIAGNOSE));
        diagnosed.saturating_add(self.takes(&self.spec.act, round, word::ACT))
    }

    fn act(&mut self, now: Time, round: u64, is_wrong: bool, desk: &mut Desk<'_>) {
        if self.firing.is_empty() {
            return note(desk, now, "the alert is over, and the person stands down".to_owned());
        }
        if is_wrong && let Some((action, target)) = self.mistake() {
            note(desk, now, format!("the person tries what does not help: {action} of {target}"));
            self.order(now, action, target, desk);
            self.next = Some((self.verified(now, round), Step::Look { round }));
            return;
        }
        if self.world.cures.is_empty() {
            note(desk, now, "the person finds nothing to do".to_owned());
            self.next = Some((self.verified(now, round), Step::Look { round }));
            return;
        }
        self.cure(now, round, 0, desk);
    }

    /// Applies a cure, and plans the next as long after it as the oracle lets pass.
    fn cure(&mut self, now: Time, round: u64, index: usize, desk: &mut Desk<'_>) {
        let world = Arc::clone(&self.world);
        let CureSpec { at, action, target } = &world.cures[index];
        self.order(now, action.clone(), target.clone(), desk);
        self.next = Some(match world.cures.get(index + 1) {
            Some(following) => (now.saturating_add(following.at.since(*at)), Step::Cure { round, index: index + 1 }),
            None => (self.verified(now, round), Step::Look { round }),
        });
    }

    /// When it is clear whether what was done now has helped.
    fn verified(&self, now: Time, round: u64) -> Time {
        now.saturating_add(self.takes(&self.spec.verify, round, word::VERIFY))
    }

    fn look(&mut self, now: Time, round: u64, desk: &mut Desk<'_>) {
        if self.firing.is_empty() {
            return note(desk, now, "the alert is over, and the person is done".to_owned());
        }
        if round + 1 == MOST_ROUNDS {
            if now > Time::ZERO + self.world.horizon {
                self.left = self.left.or(self.acted);
            }
            return note(desk, now, format!("the alert is still on after {MOST_ROUNDS} attempts, and the person hands it on"));
        }
        note(desk, now, "the alert is still on, and the person looks again".to_owned());
        self.next = Some((self.decided(now, round + 1), Step::Act { round: round + 1, is_wrong: false }));
    }

    fn order(&mut self, now: Time, action: Action, target: Target, desk: &mut Desk<'_>) {
        let id = ActionId { policy: Name::new(Self::POLICY), ordinal: self.actions };
        self.actions += 1;
        self.acted = Some(now);
        desk.commands.push(Actuator::simulated().command(id, action, target));
    }

    /// What people try who have not understood: they restart what users see fail, or add a replica where that would be the cure.
    fn mistake(&self) -> Option<(Action, Target)> {
        let service = self.world.clients.first()?.service.clone();
        let restart = |cure: &CureSpec| matches!(cure.action, Action::Restart { .. }) && cure.target.service().as_ref() == Some(&service);
        let action = if self.world.cures.iter().any(restart) {
            Action::Scale { replicas: Scale::By(1) }
        } else {
            Action::Restart { mode: RestartMode::Rolling }
        };
        Some((action, Target::Service(service)))
    }

    /// How long something takes: one draw for each call and round of the present calling.
    fn takes(&self, distribution: &Distribution, round: u64, word: usize) -> Span {
        distribution.sample_span(self.block(round).draw(word))
    }

    fn block(&self, round: u64) -> Block {
        self.luck.block(self.calls * (MOST_ROUNDS + MOST_CALLS) + round)
    }
}

fn note(desk: &mut Desk<'_>, now: Time, what: String) {
    desk.write(now, Event::Person { what });
}
