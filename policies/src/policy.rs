//! A policy: a runbook as code, lowered from its file, with every default filled in.

use std::collections::BTreeSet;

use firedrill_core::action::{Action, Scale, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::promql::Condition;

use crate::correlation::Correlation;
use crate::guard::stage::Stage;
use crate::guard::{Fact, GuardSettings};

/// What is done about an alert.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, unique in a run.
    pub name: Name,
    /// Whose it is; automation without an owner is refused. Pages go there when the policy names nobody else.
    pub owner: Name,
    /// What it is for, for people.
    pub description: String,
    /// The receiver of Alertmanager's that it is behind; `None`: every receiver.
    pub receiver: Option<Name>,
    /// The alerts that it answers, at least one unless it is behind a receiver, when none means all that reach it; with a correlation those that count for its incidents.
    pub alerts: Vec<Name>,
    /// Conditions on the alert's labels; all must match.
    pub matchers: Vec<Matcher>,
    /// How these alerts become incidents; then it answers the incidents, and no alert by itself.
    pub correlation: Option<Correlation>,
    /// What it acts on, unless a step says otherwise.
    pub target: TargetSource,
    /// What must be true before each action.
    pub prechecks: Vec<Precheck>,
    /// What it does, in order, at least one step.
    pub steps: Vec<Step>,
    /// Unresolved for so long: page, whatever the steps are doing. `None`: never for this reason.
    pub escalate_after: Option<Span>,
    /// Its limits.
    pub guards: GuardSettings,
    /// The highest stage that it may run at; a run may ask for a lower one.
    pub stage: Stage,
    /// Where its parts stand in its file.
    pub places: Places,
}

/// Where the parts of a policy stand in its file, for messages about them.
#[derive(Clone, Debug)]
pub struct Places {
    /// Its name.
    pub name: Place,
    /// Its receiver.
    pub receiver: Option<Place>,
    /// Its alerts, in the order of [`Policy::alerts`].
    pub alerts: Vec<Place>,
    /// Its matchers, in the order of [`Policy::matchers`].
    pub matchers: Vec<Place>,
    /// The name of its target, or the label that holds it.
    pub target: Place,
    /// The word `steps`.
    pub steps: Place,
    /// The word `caps`; without caps the word `guard`; without guards the word `steps`.
    pub caps: Place,
}

/// Where a target comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSource {
    /// The kind of target.
    pub kind: TargetKind,
    /// Its name.
    pub name: NameSource,
}

/// A kind of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A service.
    Service,
    /// A replica.
    Replica,
    /// A zone.
    Zone,
    /// A client, or a service that calls others.
    Client,
    /// A node.
    Node,
}

/// Where a target's name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// It stands in the policy.
    Literal(Name),
    /// It is the value of this label of the alert.
    Label(Name),
}

/// A condition that must be true before a step acts.
#[derive(Clone, Debug)]
pub struct Precheck {
    /// The condition; unknown refuses.
    pub condition: Condition,
    /// Why, for people.
    pub because: String,
    /// Where the condition stands in the policy's file.
    pub place: Place,
}

/// One step. A step without `verify` leads on to the next; a verification that holds ends the remediation, and the steps after it are what
/// to do if it fails.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub deed: Deed,
    /// To what; `None`: the policy's target.
    pub target: Option<TargetSource>,
    /// How success is told; `None`: the action's own report is believed.
    pub verify: Option<Verify>,
    /// What follows a failure of the action or of its verification.
    pub on_failure: OnFailure,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Something to the world. Never [`Action::Wait`].
    Act(Action),
    /// Nothing, for a while.
    Wait(Span),
    /// A person is called, and the policy is done.
    Escalate(Escalation),
}

/// Who is called, and what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Who.
    pub to: Name,
    /// What evidence is attached: metrics, logs, traces, changes, alerts.
    pub with: Vec<Name>,
}

/// How a step's success is told.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The condition; unknown is not a pass.
    pub condition: Condition,
    /// For how long it must hold without a break; zero: once.
    pub hold: Span,
    /// By when it must have held, from the end of the action; at least `hold`.
    pub within: Span,
    /// Where the condition stands in the policy's file.
    pub place: Place,
}

/// What follows a failed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The next step.
    Next,
    /// Undo the action, then page.
    Revert,
    /// Page.
    Escalate,
}

/// A condition of a policy, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionAt {
    /// The precheck with this index.
    Precheck(usize),
    /// The verification of the step with this index.
    Verify(usize),
    /// What a guard wants to know.
    Guard(Fact),
}

/// A label that the policy needs and the alert does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the alert has no label `{0}`")]
pub struct AbsentLabel(pub Name);

impl Policy {
    /// Whether it answers alerts of a name, if it hears of them.
    #[must_use]
    pub fn answers(&self, alert: &Name) -> bool {
        self.alerts.is_empty() || self.alerts.contains(alert)
    }

    /// Whether the policy is told of a notification. One that answers incidents is told of these alone.
    #[must_use]
    pub fn listens_to(&self, notification: &Notification) -> bool {
        if self.correlation.is_some() {
            return false;
        }
        let value = |matcher: &Matcher| notification.labels.get(&*matcher.name).map(Name::as_str).unwrap_or_default();
        let elsewhere = self.receiver.as_ref().is_some_and(|own| notification.receiver.as_ref() != Some(own));
        !elsewhere && self.answers(&notification.alert) && self.matchers.iter().all(|matcher| matcher.matches(value(matcher)))
    }

    /// The condition at a place in the policy; `None` if nothing stands there.
    #[must_use]
    pub fn condition(&self, at: ConditionAt) -> Option<&Condition> {
        match at {
            ConditionAt::Precheck(index) => self.prechecks.get(index).map(|precheck| &precheck.condition),
            ConditionAt::Verify(step) => self.steps.get(step)?.verify.as_ref().map(|verify| &verify.condition),
            ConditionAt::Guard(fact) => self.guards.condition(fact),
        }
    }

    /// Where the target of a step comes from.
    #[must_use]
    pub fn target_of(&self, step: usize) -> &TargetSource {
        self.steps.get(step).and_then(|step| step.target.as_ref()).unwrap_or(&self.target)
    }

    /// Whether it can do nothing but call people.
    #[must_use]
    pub fn only_notifies(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.deed, Deed::Act(_)))
    }

    /// Who is called, and with what: the first escalation among the steps from `step` on, then any before, then the owner.
    #[must_use]
    pub fn escalation(&self, step: usize) -> Escalation {
        let of = |step: &Step| if let Deed::Escalate(escalation) = &step.deed { Some(escalation.clone()) } else { None };
        let later = self.steps.iter().skip(step).find_map(of);
        later.or_else(|| self.steps.iter().find_map(of)).unwrap_or_else(|| Escalation { to: self.owner.clone(), with: Vec::new() })
    }

    /// The first label that the policy needs and the alert does not have: for a target of any step, or in any condition.
    ///
    /// # Errors
    /// That label.
    pub fn requires(&self, labels: &LabelSet) -> Result<(), AbsentLabel> {
        let absent = self.labels_needed().into_iter().find(|label| labels.get(label).is_none_or(|value| value.is_empty()));
        absent.map_or(Ok(()), |label| Err(AbsentLabel(label)))
    }

    /// Every label of the alert that the policy needs, sorted.
    #[must_use]
    pub fn labels_needed(&self) -> BTreeSet<Name> {
        let targets = self.steps.iter().filter_map(|step| step.target.as_ref()).chain([&self.target]);
        let of_targets = targets.filter_map(|target| if let NameSource::Label(label) = &target.name { Some(label.clone()) } else { None });
        let of_conditions = self.conditions().flat_map(|condition| condition.parameters().into_iter().map(Name::from));
        of_targets.chain(of_conditions).collect()
    }

    /// All conditions, prechecks first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let prechecks = self.prechecks.iter().map(|precheck| &precheck.condition);
        let verifications = self.steps.iter().filter_map(|step| step.verify.as_ref()).map(|verify| &verify.condition);
        let of_guards = self.guards.facts().filter_map(|fact| self.guards.condition(fact));
        prechecks.chain(verifications).chain(of_guards)
    }

    /// Every action of the steps with where its target comes from.
    pub fn actions(&self) -> impl Iterator<Item = (&Action, &TargetSource)> {
        self.steps.iter().enumerate().filter_map(|(index, step)| match &step.deed {
            Deed::Act(action) => Some((action, self.target_of(index))),
            Deed::Wait(_) | Deed::Escalate(_) => None,
        })
    }
}

impl TargetKind {
    /// Every kind with its word.
    pub const WORDS: [(&'static str, Self); 5] =
        [("service", Self::Service), ("replica", Self::Replica), ("zone", Self::Zone), ("client", Self::Client), ("node", Self::Node)];

    /// The word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// The target of this kind with a name.
    #[must_use]
    pub const fn named(self, name: Name) -> Target {
        match self {
            Self::Service => Target::Service(name),
            Self::Replica => Target::Replica(name),
            Self::Zone => Target::Zone(name),
            Self::Client => Target::Client(name),
            Self::Node => Target::Node(name),
        }
    }

    /// The kinds that an action can be aimed at.
    #[must_use]
    pub const fn fit_for(action: &Action) -> &'static [Self] {
        match action {
            Action::Restart { .. } | Action::PurgeQueue => &[Self::Service, Self::Replica],
            Action::Scale { .. } | Action::Rollback | Action::ParkMessages | Action::FailOver | Action::RevertFlag => &[Self::Service],
            Action::Drain => &[Self::Replica, Self::Zone, Self::Node],
            Action::LimitRetries { .. } => &[Self::Service, Self::Client],
            Action::CircuitBreak { .. }
            | Action::Isolate { .. }
            | Action::ShedLoad { .. }
            | Action::Degrade { .. }
            | Action::SetLimit { .. }
            | Action::KillQueries { .. }
            | Action::FlushCache { .. }
            | Action::RenewCertificate
            | Action::RevertDrift
            | Action::PauseRollout => &[Self::Service],
            Action::ResetPool { .. } | Action::ClearDisk | Action::ExpandVolume { .. } => &[Self::Service, Self::Replica],
            Action::RateLimit { .. } => &[Self::Client],
            Action::Lift { .. } => &[Self::Service, Self::Client, Self::Zone],
            Action::ShiftTraffic { .. } => &[Self::Zone],
            Action::Undrain => &[Self::Zone, Self::Node],
            Action::Cordon | Action::RebootNode | Action::ReplaceNode => &[Self::Node],
            Action::Wait { .. } => &[Self::Service, Self::Replica, Self::Zone, Self::Client, Self::Node],
        }
    }
}

impl TargetSource {
    /// The target for an alert with these labels.
    ///
    /// # Errors
    /// The alert lacks the label, or its value is empty.
    pub fn resolve(&self, labels: &LabelSet) -> Result<Target, AbsentLabel> {
        match &self.name {
            NameSource::Literal(name) => Ok(self.kind.named(name.clone())),
            NameSource::Label(label) => match labels.get(label) {
                Some(value) if !value.is_empty() => Ok(self.kind.named(value.clone())),
                _ => Err(AbsentLabel(label.clone())),
            },
        }
    }
}

impl std::fmt::Display for TargetSource {
    /// `service/$service` or `zone/a`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            NameSource::Literal(name) => write!(f, "{}/{name}", self.kind.word()),
            NameSource::Label(label) => write!(f, "{}/${label}", self.kind.word()),
        }
    }
}

/// Whether an action has an opposite.
#[must_use]
pub const fn has_inverse(action: &Action) -> bool {
    matches!(action, Action::Scale { .. } | Action::Cordon) || action.restraint().is_some()
}

/// The action that undoes another on a target; `None` if there is none, or if it depends on a number that is not declared.
/// A change by a number is undone by its negative, a change to a number by the declared number, and what holds until it is lifted by lifting it.
#[must_use]
pub fn inverse(action: &Action, target: &Target, inventory: &Inventory) -> Option<Action> {
    if let Some(what) = action.restraint() {
        return Some(Action::Lift { what });
    }
    match action {
        Action::Scale { replicas: Scale::By(count) } => Some(Action::Scale { replicas: Scale::By(count.checked_neg()?) }),
        Action::Scale { replicas: Scale::To(_) | Scale::Times(_) } => {
            let declared = inventory.services.get(target.name())?.replicas;
            Some(Action::Scale { replicas: Scale::To(declared) })
        }
        Action::Cordon => Some(Action::Undrain),
        _ => None,
    }
}
