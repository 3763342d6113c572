//! A policy: a runbook as code, lowered from its file, with every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firedrill_core::action::{Action, Modelled, Scale, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::problem::Place;
use firedrill_core::time::Span;
use firedrill_telemetry::labels::Matcher;
use firedrill_telemetry::promql::{Condition, Formula, Plan};
use serde::{Deserialize, Serialize};

use crate::correlation::{Correlation, INCIDENT};
use crate::guard::caps::Most;
use crate::guard::confidence::{Calibration, Confidence};
use crate::guard::freeze::Freeze;
use crate::guard::stage::Stage;
pub use crate::guard::stage::has_inverse;
use crate::guard::{Fact, Guard, GuardSettings};

/// What is done about an alert.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, unique in a run.
    pub name: Name,
    /// Whose it is; automation without an owner is refused. Pages go there when the policy names nobody else.
    pub owner: Name,
    /// Who wrote it, and so may not approve what it proposes; `None`: nobody says.
    pub author: Option<Name>,
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
    /// When it answers no alert at all; what still fires at the end of a window is taken up then.
    pub maintenance: Vec<Freeze>,
    /// What must be true before each action.
    pub prechecks: Vec<Precheck>,
    /// What people are shown besides, among the metrics.
    pub evidence: Vec<Shown>,
    /// What it does, in order, at least one step.
    pub steps: Vec<Step>,
    /// Unresolved for so long: page, whatever the steps are doing. `None`: never for this reason.
    pub escalate_after: Option<Span>,
    /// Its limits.
    pub guards: GuardSettings,
    /// What drills have shown of it, which stands in no policy file; `None`: nothing.
    pub calibration: Option<Arc<Calibration>>,
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
    /// The word `guard`; without guards the word `steps`.
    pub guard: Place,
    /// The words of its guards.
    pub guards: BTreeMap<Name, Place>,
}

impl Places {
    /// Where a guard stands; of one that is not asked for where it would.
    #[must_use]
    pub fn guard(&self, guard: Guard) -> &Place {
        self.guards.get(guard.word()).unwrap_or(&self.guard)
    }
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
#[derive(Clone)]
pub struct Precheck {
    /// The condition; unknown refuses.
    pub condition: Condition,
    /// Why, for people.
    pub because: String,
    /// How old the newest sample of a series that it reads may be; of an older one nobody can tell. `None`: as old as Prometheus lets it be.
    pub max_age: Option<Span>,
    /// Where the condition stands in the policy's file.
    pub place: Place,
}

impl std::fmt::Debug for Precheck {
    /// An age is told where there is one: hashes of policies are made of this text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = f.debug_struct("Precheck");
        told.field("condition", &self.condition).field("because", &self.because);
        if let Some(max_age) = &self.max_age {
            told.field("max_age", max_age);
        }
        told.field("place", &self.place).finish()
    }
}

/// Figures that people are shown when they are called.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is asked for.
    pub formula: Formula,
    /// What it says, for people.
    pub because: String,
    /// Where it stands in the policy's file.
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
    /// People are told, and the policy goes on.
    Notify(Notice),
    /// Evidence of these kinds is gathered and written down, and the policy goes on.
    Collect(Vec<Name>),
    /// The best of several, by score and risk.
    Choose(Vec<Candidate>),
    /// Several actions that start together; at least two.
    Parallel(Vec<Part>),
    /// One action on several targets, on a few first.
    Staged(Box<Staged>),
    /// An action that somebody defined: several in a row, which are one to the guards.
    Own(OwnAction),
    /// A person is called, and the policy is done.
    Escalate(Escalation),
}

/// Who is told, and what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who.
    pub to: Name,
    /// What evidence is attached.
    pub with: Vec<Name>,
}

/// Who is called, and what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Who is called first.
    pub to: Name,
    /// Who is called besides as long as the alert is on, each later than the one before.
    pub then: Vec<Rung>,
    /// What evidence is attached: metrics, logs, traces, changes, alerts.
    pub with: Vec<Name>,
}

/// Somebody who is called if those before have not ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Who.
    pub to: Name,
    /// How long after the first call.
    pub after: Span,
}

/// One of several actions of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What. Never [`Action::Wait`].
    pub action: Action,
    /// To what; `None`: the step's target.
    pub target: Option<TargetSource>,
    /// What somebody stated of it; `None`: it is like other actions.
    pub modelled: Option<Modelled>,
}

/// One action on several targets, wave after wave, each verified before the next.
#[derive(Clone, Debug)]
pub struct Staged {
    /// What. Never [`Action::Wait`].
    pub action: Action,
    /// What kind of thing each target is, and the label by which it is named.
    pub each: TargetSource,
    /// Where the targets are found.
    pub from: Each,
    /// How many are in the first wave; at least 1.
    pub first: u32,
    /// How many are in each wave after it, or which share of all; at least 1.
    pub then: Most,
    /// Which come first.
    pub order: Order,
}

impl PartialEq for Staged {
    /// As written.
    fn eq(&self, other: &Self) -> bool {
        let from = |own: &Self| own.from.formula().map(|formula| formula.plan().text().to_owned());
        let figures = |own: &Self| (own.first, own.then, own.order, matches!(own.from, Each::Alerts), matches!(own.from, Each::Declared));
        self.action == other.action && self.each == other.each && from(self) == from(other) && figures(self) == figures(other)
    }
}

/// Where the targets of a staged step are found.
#[derive(Clone, Debug)]
pub enum Each {
    /// In the labels of an expression's elements.
    Series(Formula),
    /// In the labels of the alerts that are on: those of the correlated incident, or those that the policy has been told of.
    Alerts,
    /// In what is declared: the replicas of the step's target.
    Declared,
}

impl Each {
    /// The expression, if there is one.
    #[must_use]
    pub const fn formula(&self) -> Option<&Formula> {
        if let Self::Series(formula) = self { Some(formula) } else { None }
    }
}

/// In which order a staged step comes to its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// What others call before those that call it, as declared; a wave never holds both.
    Dependencies,
}

/// An action that somebody defined.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnAction {
    /// What it is called.
    pub name: Name,
    /// What it does to the world, one after the other; at least one.
    pub models: Vec<Part>,
    /// The script or workflow that it stands for, which is never executed; `None`: for nothing but itself.
    pub runs: Option<Runs>,
}

/// What an own action stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Its path, as written.
    pub path: String,
    /// BLAKE3 of what stands there, hexadecimal.
    pub hash: String,
}

/// Something that a policy can choose to do.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What: [`Deed::Act`] or [`Deed::Wait`].
    pub deed: Deed,
    /// To what; `None`: the step's target.
    pub target: Option<TargetSource>,
    /// How good it is.
    pub score: Score,
    /// What is taken off its score, 0 to 1.
    pub risk: f64,
    /// What must be true for it to be weighed at all.
    pub when: Option<Precheck>,
    /// Where it stands in the policy's file.
    pub place: Place,
}

/// How good a candidate is.
#[derive(Clone, Debug)]
pub enum Score {
    /// It stands in the policy.
    Fixed(f64),
    /// It is asked for, and must be exactly one number.
    Asked(Formula),
}

impl PartialEq for Candidate {
    /// As written: where they stand makes no difference.
    fn eq(&self, other: &Self) -> bool {
        let score = |own: &Self| match &own.score {
            Score::Fixed(value) => value.to_string(),
            Score::Asked(formula) => formula.plan().text().to_owned(),
        };
        let when = |own: &Self| own.when.as_ref().map(|when| (when.condition.plan().text().to_owned(), when.max_age));
        self.deed == other.deed
            && self.target == other.target
            && score(self) == score(other)
            && self.risk.total_cmp(&other.risk).is_eq()
            && when(self) == when(other)
    }
}

impl Score {
    /// The formula that is asked, if one is.
    #[must_use]
    pub const fn formula(&self) -> Option<&Formula> {
        if let Self::Asked(formula) = self { Some(formula) } else { None }
    }
}

/// The risks that have words, each with what is taken off a score.
pub const RISKS: [(&str, f64); 3] = [("low", 0.1), ("medium", 0.3), ("high", 0.6)];

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionAt {
    /// The precheck with this index.
    Precheck(usize),
    /// The verification of the step with this index.
    Verify(usize),
    /// Whether a candidate is weighed: the step's index, and the candidate's.
    When(usize, usize),
    /// What a guard wants to know.
    Guard(Fact),
    /// The score of a candidate, a number: the step's index, and the candidate's.
    Score(usize, usize),
    /// What people are shown, numbers: its index among [`Policy::evidence`].
    Shown(usize),
    /// The targets of a staged step, names: the step's index.
    Each(usize),
    /// How sure the policy says that it is, a number.
    Confidence,
}

impl ConditionAt {
    /// Whether numbers stand there and no condition.
    #[must_use]
    pub const fn is_formula(self) -> bool {
        match self {
            Self::Score(..) | Self::Shown(_) | Self::Each(_) | Self::Confidence => true,
            Self::Guard(fact) => fact.is_measured(),
            Self::Precheck(_) | Self::Verify(_) | Self::When(..) => false,
        }
    }
}

/// A label that the policy needs and the alert does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the alert has no label `{0}`")]
pub struct AbsentLabel(pub Name);

impl AbsentLabel {
    /// The first of the labels that a policy needs ([`Policy::labels_needed`]) that an alert does not have.
    ///
    /// # Errors
    /// That label.
    pub fn among(needed: &[Name], labels: &LabelSet) -> Result<(), Self> {
        let absent = needed.iter().find(|label| labels.get(*label).is_none_or(|value| value.is_empty()));
        absent.map_or(Ok(()), |label| Err(Self(label.clone())))
    }
}

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

    /// BLAKE3 of what it does, hexadecimal: of the lowered policy without its places, its owner, its author, its description, and what was shown of it.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(self.text().as_bytes()).to_hex().to_string()
    }

    /// BLAKE3 of what it does beside its guards, hexadecimal. The stage that it may run at is no part of it: a promotion does not change what is promoted.
    #[must_use]
    pub fn hash_without_guards(&self) -> String {
        let bare = Self { guards: GuardSettings::default(), stage: Stage::default(), ..self.clone() };
        bare.hash()
    }

    /// BLAKE3 of its guards, hexadecimal.
    #[must_use]
    pub fn hash_of_guards(&self) -> String {
        blake3::hash(format!("{:?}", self.guards).as_bytes()).to_hex().to_string()
    }

    /// All of it that counts, as a text.
    fn text(&self) -> String {
        let mut bare = self.clone();
        let here = self.places.name.clone();
        bare.owner = self.name.clone();
        (bare.author, bare.description, bare.calibration) = (None, String::new(), None);
        for precheck in bare.prechecks.iter_mut() {
            precheck.place = here.clone();
        }
        for shown in &mut bare.evidence {
            shown.place = here.clone();
        }
        for step in &mut bare.steps {
            if let Some(verify) = &mut step.verify {
                verify.place = here.clone();
            }
            let Deed::Choose(candidates) = &mut step.deed else { continue };
            for candidate in candidates {
                candidate.place = here.clone();
                if let Some(when) = &mut candidate.when {
                    when.place = here.clone();
                }
            }
        }
        // Where its parts stand in its file is no part of what it does.
        let places = format!("{:?}", bare.places);
        format!("{bare:?}").replace(&places, "").replace(&format!("{here:?}"), "")
    }

    /// The condition at a place in the policy; `None` if nothing stands there.
    #[must_use]
    pub fn condition(&self, at: ConditionAt) -> Option<&Condition> {
        match at {
            ConditionAt::Precheck(index) => self.prechecks.get(index).map(|precheck| &precheck.condition),
            ConditionAt::Verify(step) => self.steps.get(step)?.verify.as_ref().map(|verify| &verify.condition),
            ConditionAt::When(step, candidate) => self.candidates(step).get(candidate)?.when.as_ref().map(|when| &when.condition),
            ConditionAt::Guard(fact) => self.guards.condition(fact),
            ConditionAt::Score(..) | ConditionAt::Shown(_) | ConditionAt::Each(_) | ConditionAt::Confidence => None,
        }
    }

    /// How old the samples may be that the condition at a place reads; `None` if nobody says.
    #[must_use]
    pub fn max_age(&self, at: ConditionAt) -> Option<Span> {
        match at {
            ConditionAt::Precheck(index) => self.prechecks.get(index)?.max_age,
            ConditionAt::When(step, candidate) => self.candidates(step).get(candidate)?.when.as_ref()?.max_age,
            _ => None,
        }
    }

    /// The formula at a place in the policy; `None` if none stands there.
    #[must_use]
    pub fn formula(&self, at: ConditionAt) -> Option<&Formula> {
        match at {
            ConditionAt::Score(step, candidate) => self.candidates(step).get(candidate)?.score.formula(),
            ConditionAt::Shown(index) => self.evidence.get(index).map(|shown| &shown.formula),
            ConditionAt::Each(step) => self.staged(step)?.from.formula(),
            ConditionAt::Confidence => self.guards.confidence.as_ref()?.formula(),
            ConditionAt::Guard(fact) => self.guards.formula(fact),
            ConditionAt::Precheck(_) | ConditionAt::Verify(_) | ConditionAt::When(..) => None,
        }
    }

    /// The names of the labels that what stands at a place needs.
    #[must_use]
    pub fn parameters(&self, at: ConditionAt) -> BTreeSet<String> {
        if let ConditionAt::Each(step) = at
            && self.staged(step).is_some_and(|staged| matches!(staged.from, Each::Alerts))
        {
            return BTreeSet::from([INCIDENT.to_owned()]);
        }
        let condition = self.condition(at).map(Condition::parameters);
        condition.or_else(|| self.formula(at).map(Formula::parameters)).unwrap_or_default()
    }

    /// What a step does target after target, if it does.
    #[must_use]
    pub fn staged(&self, step: usize) -> Option<&Staged> {
        if let Deed::Staged(staged) = &self.steps.get(step)?.deed { Some(staged) } else { None }
    }

    /// The actions of which a step consists, if it is of several.
    #[must_use]
    pub fn parts(&self, step: usize) -> &[Part] {
        match self.steps.get(step).map(|step| &step.deed) {
            Some(Deed::Parallel(parts)) => parts,
            Some(Deed::Own(own)) => &own.models,
            _ => &[],
        }
    }

    /// What its own actions stand for.
    pub fn scripts(&self) -> impl Iterator<Item = &Runs> {
        self.steps.iter().filter_map(|step| if let Deed::Own(own) = &step.deed { own.runs.as_ref() } else { None })
    }

    /// What a step chooses among; empty if it does not choose.
    #[must_use]
    pub fn candidates(&self, step: usize) -> &[Candidate] {
        match self.steps.get(step).map(|step| &step.deed) {
            Some(Deed::Choose(candidates)) => candidates,
            _ => &[],
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
        self.actions().next().is_none()
    }

    /// Who is called, and with what: the first escalation among the steps from `step` on, then any before, then the owner.
    #[must_use]
    pub fn escalation(&self, step: usize) -> Escalation {
        let of = |step: &Step| if let Deed::Escalate(escalation) = &step.deed { Some(escalation.clone()) } else { None };
        let later = self.steps.iter().skip(step).find_map(of);
        later.or_else(|| self.steps.iter().find_map(of)).unwrap_or_else(|| Escalation {
            to: self.owner.clone(),
            then: Vec::new(),
            with: Vec::new(),
        })
    }

    /// Every label of the alert that the policy needs, sorted.
    #[must_use]
    pub fn labels_needed(&self) -> BTreeSet<Name> {
        let targets = self.own_targets().chain([&self.target]);
        let of_targets = targets.filter_map(|target| if let NameSource::Label(label) = &target.name { Some(label.clone()) } else { None });
        let of_conditions = self.conditions().flat_map(|condition| condition.parameters().into_iter().map(Name::from));
        let of_formulas = self.formulas().flat_map(|formula| formula.parameters().into_iter().map(Name::from));
        of_targets.chain(of_conditions).chain(of_formulas).collect()
    }

    /// The targets of steps, and of what they consist of, where they are not the policy's.
    pub fn own_targets(&self) -> impl Iterator<Item = &TargetSource> {
        let of_candidates = |step: usize| self.candidates(step).iter().filter_map(|candidate| candidate.target.as_ref());
        let of_parts = |step: usize| self.parts(step).iter().filter_map(|part| part.target.as_ref());
        self.steps.iter().enumerate().flat_map(move |(index, step)| step.target.iter().chain(of_candidates(index)).chain(of_parts(index)))
    }

    /// Every expression that is ever asked: conditions, then formulas.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.conditions().map(Condition::plan).chain(self.formulas().map(Formula::plan))
    }

    /// All formulas, in the order of the policy.
    pub fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let scores = (0..self.steps.len()).flat_map(|step| self.candidates(step)).filter_map(|candidate| candidate.score.formula());
        let listed = (0..self.steps.len()).filter_map(|step| self.staged(step)?.from.formula());
        let claimed = self.guards.confidence.iter().filter_map(Confidence::formula);
        let of_guards = self.guards.facts().filter_map(|fact| self.guards.formula(fact));
        scores.chain(listed).chain(claimed).chain(self.evidence.iter().map(|shown| &shown.formula)).chain(of_guards)
    }

    /// All conditions, prechecks first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let prechecks = self.prechecks.iter().map(|precheck| &precheck.condition);
        let verifications = self.steps.iter().filter_map(|step| step.verify.as_ref()).map(|verify| &verify.condition);
        let whens = (0..self.steps.len()).flat_map(|step| self.candidates(step)).filter_map(|candidate| candidate.when.as_ref());
        let of_guards = self.guards.facts().filter_map(|fact| self.guards.condition(fact));
        prechecks.chain(verifications).chain(whens.map(|when| &when.condition)).chain(of_guards)
    }

    /// Every action of the steps with where its target comes from.
    pub fn actions(&self) -> impl Iterator<Item = (&Action, &TargetSource)> {
        let steps = self.steps.iter().enumerate();
        steps.flat_map(|(index, step)| {
            let target = self.target_of(index);
            let own = if let Deed::Act(action) = &step.deed { Some((action, target)) } else { None };
            let staged = self.staged(index).map(|staged| (&staged.action, &staged.each));
            let parts = self.parts(index).iter().map(move |part| (&part.action, part.target.as_ref().unwrap_or(target)));
            let candidates = self.candidates(index).iter().filter_map(move |candidate| match &candidate.deed {
                Deed::Act(action) => Some((action, candidate.target.as_ref().unwrap_or(target))),
                _ => None,
            });
            own.into_iter().chain(staged).chain(parts).chain(candidates)
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
            Action::Restart { .. } | Action::PurgeQueue | Action::Kill => &[Self::Service, Self::Replica],
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
            | Action::PauseRollout
            | Action::Resize { .. }
            | Action::WarmCache { .. }
            | Action::SkipMessage
            | Action::ReplayDeadLetters
            | Action::SetFlag { .. } => &[Self::Service],
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
        Action::SetFlag { flag, on } => Some(Action::SetFlag { flag: flag.clone(), on: !on }),
        _ => None,
    }
}
