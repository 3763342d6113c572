//! Guards: each a small pure unit that says yes or no to a proposed action, with the figures that it compared (docs/policies.md, "Guards").
//!
//! They are asked in the order of [`Guard::ALL`]. What they remember is shared by all policies of a run, is plain data, and survives a restart
//! of the engine: see [`Guards`]. A guard that a policy asks for and whose input is missing refuses; one that it does not ask for passes.

pub mod stage;
pub mod switch;
pub mod freeze;
pub mod dedup;
pub mod estate;
pub mod fading;
pub mod caps;
pub mod population;
pub mod placing;
pub mod detector_sanity;
pub mod standing;
pub mod correlated_failure;
pub mod confidence;
pub mod precheck;
pub mod max_unhealthy;
pub mod disruption_budget;
pub mod rate_limit;
pub mod cooldown;
pub mod backoff;
pub mod ineffective_chain;
pub mod mutual_exclusion;
pub mod breaker;
pub mod code;
pub mod approval;
pub mod canary;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use firedrill_core::action::{Action, Fence, Target};
use firedrill_core::inventory::Inventory;
use firedrill_core::journal::{CountedPart, GuardVerdict, Holder, Truth};
use firedrill_core::name::Name;
use firedrill_core::random::Seed;
use firedrill_core::time::{Span, Start, Time};
use firedrill_telemetry::promql::{Condition, Formula, JudgedElement};
use serde::{Deserialize, Serialize};

use approval::{Approval, Asking};
use backoff::{Attempts, Backoff};
use breaker::{Breaker, Breakers, Harm};
use caps::Cap;
use confidence::Confidence;
use cooldown::{Cooldown, Ends};
use correlated_failure::{Correlated, Failures};
use dedup::Remediations;
use detector_sanity::Sanity;
use disruption_budget::DisruptionBudget;
use estate::Estate;
use fading::Fading;
use freeze::Freeze;
use ineffective_chain::{Chain, Helped, Outcomes};
use max_unhealthy::MaxUnhealthy;
use mutual_exclusion::Locks;
use placing::Count;
use population::{Counted, Watch};
use precheck::Checked;
use rate_limit::{RateLimit, Starts};
use stage::Stage;
use switch::{Halt, Switch};

use crate::code::{Bundle, Verdict};
use crate::figures::figures;

/// One of the guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// What the policy's stage allows.
    Stage,
    /// Nobody has turned the automation off.
    KillSwitch,
    /// It is no time at which nothing is started.
    Freeze,
    /// No deploy and no maintenance is under way on the target.
    Change,
    /// One remediation at a time for each policy and owner of the target.
    Dedup,
    /// What is seen can be believed.
    DetectorSanity,
    /// The failure is not one of many that are one.
    CorrelatedFailure,
    /// It is sure enough that the action is right.
    Confidence,
    /// The policy's own conditions hold.
    Precheck,
    /// Not too much is unhealthy.
    MaxUnhealthy,
    /// Enough stays healthy.
    DisruptionBudget,
    /// Not too much is touched at a time.
    Caps,
    /// Not too much is started within a time.
    RateLimit,
    /// The target has rested.
    Cooldown,
    /// The target has rested for longer each time.
    Backoff,
    /// What was done to the target lately has helped.
    IneffectiveChain,
    /// Nobody else holds the target.
    MutualExclusion,
    /// The policy itself works as it should.
    Breaker,
    /// The rules of the project's bundle let it pass.
    Code,
    /// People have said yes, where they must be asked.
    Approval,
    /// The remediation has helped one target before it is done to others.
    Canary,
}

impl Guard {
    /// Every guard, in the order in which they are asked.
    pub const ALL: [Self; 21] = [
        Self::Stage,
        Self::KillSwitch,
        Self::Freeze,
        Self::Change,
        Self::Dedup,
        Self::DetectorSanity,
        Self::CorrelatedFailure,
        Self::Confidence,
        Self::Precheck,
        Self::MaxUnhealthy,
        Self::DisruptionBudget,
        Self::Caps,
        Self::RateLimit,
        Self::Cooldown,
        Self::Backoff,
        Self::IneffectiveChain,
        Self::MutualExclusion,
        Self::Breaker,
        Self::Code,
        Self::Approval,
        Self::Canary,
    ];

    /// The word in files and journals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        ORDER[self as usize]
    }

    /// Those between the stage and all that must be looked up: to [`Self::Dedup`].
    #[must_use]
    pub fn early() -> &'static [Self] {
        &IN_ORDER[Self::Stage as usize + 1..=Self::Dedup as usize]
    }

    /// Those after [`Self::Dedup`].
    #[must_use]
    pub fn late() -> &'static [Self] {
        &IN_ORDER[Self::Dedup as usize + 1..]
    }

    /// Whether its verdict is journaled also where a policy does not ask for it, with every proposal.
    #[must_use]
    pub const fn is_always_journaled(self) -> bool {
        matches!(self, Self::Stage | Self::Dedup | Self::Precheck | Self::Caps | Self::RateLimit | Self::Cooldown)
    }

    /// Whether a policy asks for it by itself. What is the project's is not told of as missing in a policy.
    #[must_use]
    pub const fn is_of_the_policy(self) -> bool {
        !matches!(self, Self::Code)
    }

    /// Whether it is asked before something is undone. What is half done must not be left so; but nobody may be disturbed who holds the target.
    #[must_use]
    pub const fn is_asked_before_undoing(self) -> bool {
        matches!(self, Self::Caps | Self::Cooldown | Self::MutualExclusion)
    }
}

static IN_ORDER: [Guard; 21] = Guard::ALL;

/// The words of the guards in the order in which they are asked.
pub const ORDER: [&str; 21] = [
    stage::NAME,
    switch::KILL_SWITCH,
    freeze::NAME,
    switch::CHANGE,
    dedup::NAME,
    detector_sanity::NAME,
    correlated_failure::NAME,
    confidence::NAME,
    precheck::NAME,
    max_unhealthy::NAME,
    disruption_budget::NAME,
    caps::NAME,
    rate_limit::NAME,
    cooldown::NAME,
    backoff::NAME,
    ineffective_chain::NAME,
    mutual_exclusion::NAME,
    breaker::NAME,
    code::NAME,
    approval::NAME,
    canary::NAME,
];

/// The limits that a policy sets itself. What is absent is not configured: it passes, and the journal says so.
#[derive(Clone, Debug, Default)]
pub struct GuardSettings {
    /// What turns the policy off.
    pub kill_switch: Option<Switch>,
    /// What turns it off by the project.
    pub halts: Vec<Halt>,
    /// When nothing is started.
    pub freezes: Vec<Freeze>,
    /// What the project says of its services and zones.
    pub estate: Arc<Estate>,
    /// What tells of a change under way.
    pub change: Option<Switch>,
    /// When telemetry is believed.
    pub detector_sanity: Option<Sanity>,
    /// When failures are one.
    pub correlated_failure: Option<Correlated>,
    /// How sure it must be.
    pub confidence: Option<Confidence>,
    /// How much may be unhealthy.
    pub max_unhealthy: Option<MaxUnhealthy>,
    /// How much must stay healthy.
    pub disruption_budget: Option<DisruptionBudget>,
    /// How much may be touched at a time.
    pub caps: Vec<Cap>,
    /// Starts within a window of time.
    pub rate_limits: Vec<RateLimit>,
    /// A rest for the target after an action.
    pub cooldown: Option<Cooldown>,
    /// A rest that grows.
    pub backoff: Option<Backoff>,
    /// When a target is left to people.
    pub ineffective_chain: Option<Chain>,
    /// For how long the policy holds the locks of what it acts on.
    pub mutual_exclusion: Option<Span>,
    /// When the policy itself is stopped.
    pub breaker: Option<Breaker>,
    /// What tells that its actions do harm, which stops it too; only with a breaker.
    pub harm: Option<Harm>,
    /// The rules of the project, which every policy's actions are offered to.
    pub code: Option<Arc<Bundle>>,
    /// Of which actions people are asked.
    pub approval: Option<Approval>,
    /// For how long a remediation that helped one target speaks for others.
    pub canary: Option<Span>,
}

impl GuardSettings {
    /// Whether a policy asks for a guard. Its stage and dedup are there for all; prechecks stand outside these settings.
    #[must_use]
    pub fn has(&self, guard: Guard) -> bool {
        match guard {
            Guard::Stage | Guard::Dedup | Guard::Precheck => true,
            Guard::KillSwitch => self.kill_switch.is_some() || !self.halts.is_empty(),
            Guard::Freeze => !self.freezes.is_empty(),
            Guard::Change => self.change.is_some(),
            Guard::DetectorSanity => self.detector_sanity.is_some(),
            Guard::CorrelatedFailure => self.correlated_failure.is_some(),
            Guard::Confidence => self.confidence.is_some(),
            Guard::MaxUnhealthy => self.max_unhealthy.is_some(),
            Guard::DisruptionBudget => self.disruption_budget.is_some(),
            Guard::Caps => !self.caps.is_empty(),
            Guard::RateLimit => !self.rate_limits.is_empty(),
            Guard::Cooldown => self.cooldown.is_some(),
            Guard::Backoff => self.backoff.is_some(),
            Guard::IneffectiveChain => self.ineffective_chain.is_some(),
            Guard::MutualExclusion => self.mutual_exclusion.is_some(),
            Guard::Breaker => self.breaker.is_some(),
            Guard::Code => self.code.is_some(),
            Guard::Approval => self.approval.is_some(),
            Guard::Canary => self.canary.is_some(),
        }
    }

    /// The condition behind a fact; `None` if no guard asks for it.
    #[must_use]
    pub fn condition(&self, fact: Fact) -> Option<&Condition> {
        match fact {
            Fact::Halted(index) => self.halts.get(index).map(|halt| &halt.switch.condition),
            Fact::Off => self.kill_switch.as_ref().map(|switch| &switch.condition),
            Fact::Changing => self.change.as_ref().map(|switch| &switch.condition),
            Fact::Fresh => self.detector_sanity.as_ref()?.fresh.as_ref(),
            Fact::Sane => self.detector_sanity.as_ref()?.watch.as_ref().map(|watch| &watch.healthy),
            Fact::Healthy => self.max_unhealthy.as_ref().map(|gate| &gate.watch.healthy),
            Fact::Objective | Fact::Busy => None,
            Fact::Budget => self.disruption_budget.as_ref().map(|budget| &budget.watch.healthy),
        }
    }

    /// What is counted for a fact; `None` if no guard asks for it.
    #[must_use]
    pub fn watch(&self, fact: Fact) -> Option<&Watch> {
        match fact {
            Fact::Sane => self.detector_sanity.as_ref()?.watch.as_ref(),
            Fact::Healthy => self.max_unhealthy.as_ref().map(|gate| &gate.watch),
            Fact::Budget => self.disruption_budget.as_ref().map(|budget| &budget.watch),
            _ => None,
        }
    }

    /// Counts what is asked for a fact, by what its condition says of each element. A budget that goes by whether its target is healthy is told of every
    /// replica that is not by itself, as a part of its own.
    ///
    /// # Errors
    /// As [`placing::count`], or no guard asks for such a count; in words for people.
    pub fn count(&self, fact: Fact, elements: &[JudgedElement], inventory: &Inventory) -> Result<Count, String> {
        let watch = self.watch(fact).ok_or("the policy has no such guard")?;
        let mut count = placing::count(watch, elements, inventory)?;
        if fact == Fact::Budget && self.disruption_budget.as_ref().is_some_and(|budget| budget.target_is_unhealthy) {
            let parts = count.parts.get_or_insert_default();
            parts.extend(placing::unhealthy(watch, elements, inventory));
            parts.sort_by(|one, other| one.part.cmp(&other.part));
        }
        Ok(count)
    }

    /// The number behind a fact; `None` if no guard asks for it.
    #[must_use]
    pub fn formula(&self, fact: Fact) -> Option<&Formula> {
        match fact {
            Fact::Objective => self.harm.as_ref().map(|harm| &harm.formula),
            Fact::Busy => self.disruption_budget.as_ref()?.headroom.as_ref().map(|headroom| &headroom.busy),
            _ => None,
        }
    }

    /// The facts that the guards ask for, in their order.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        let halts = (0..self.halts.len()).map(Fact::Halted);
        halts.chain(Fact::ALL.into_iter().filter(|fact| self.condition(*fact).is_some() || self.formula(*fact).is_some()))
    }
}

/// Something that a guard wants to know of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Whether the project's kill switch with this index is thrown.
    Halted(usize),
    /// Whether the kill switch is thrown.
    Off,
    /// Whether a change is under way.
    Changing,
    /// Whether what is seen is of now.
    Fresh,
    /// How many are healthy, to tell whether the detector is sane.
    Sane,
    /// How many are healthy, for the gate.
    Healthy,
    /// How many are healthy, for the disruption budget.
    Budget,
    /// How busy the healthy are, for the disruption budget.
    Busy,
    /// What must not grow, to tell whether an action does harm.
    Objective,
}

impl Fact {
    /// Every fact that a policy may ask for by itself, in the order of the guards that ask for them.
    pub const ALL: [Self; 8] =
        [Self::Off, Self::Changing, Self::Fresh, Self::Sane, Self::Healthy, Self::Budget, Self::Busy, Self::Objective];

    /// What it is about, for people.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Halted(_) => "a kill switch of the project",
            Self::Off => "the kill switch",
            Self::Changing => "a change in progress",
            Self::Fresh => "fresh telemetry",
            Self::Sane => "the healthy for `detector_sanity`",
            Self::Healthy => "the healthy for `max_unhealthy`",
            Self::Budget => "the healthy for `disruption_budget`",
            Self::Busy => "how busy the healthy are",
            Self::Objective => "what the actions must not harm",
        }
    }

    /// Whether it is a count, and not a yes or a no.
    #[must_use]
    pub const fn is_count(self) -> bool {
        matches!(self, Self::Sane | Self::Healthy | Self::Budget)
    }

    /// Whether it is a number.
    #[must_use]
    pub const fn is_measured(self) -> bool {
        matches!(self, Self::Busy | Self::Objective)
    }

    /// Whether a guard before dedup asks for it.
    #[must_use]
    pub const fn is_early(self) -> bool {
        matches!(self, Self::Halted(_) | Self::Off | Self::Changing)
    }
}

/// An answer to what a guard or a step wanted to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Yes, no or no telling, with the figures that were compared.
    Judged(Truth, String),
    /// So many of so many elements, or why they could not be counted; and the same by parts, if these are told apart.
    Counted(u64, u64, String, #[serde(default)] Option<Vec<CountedPart>>),
    /// A number with its figures, or why there is none.
    Measured(Option<f64>, String),
}

impl Known {
    fn judged(&self) -> Option<(Truth, &str)> {
        if let Self::Judged(verdict, figures) = self { Some((*verdict, figures)) } else { None }
    }

    fn counted(&self) -> Option<Counted<'_>> {
        if let Self::Counted(holding, elements, error, parts) = self {
            Some(Counted { holding: *holding, elements: *elements, error, parts: parts.as_deref() })
        } else {
            None
        }
    }
}

/// Everything that guards are asked with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the policy asks for.
    pub settings: &'a GuardSettings,
    /// The stage at which it runs.
    pub stage: Stage,
    /// What is declared.
    pub inventory: &'a Inventory,
    /// The calendar instant of the run's start.
    pub start: Start,
    /// The time.
    pub now: Time,
    /// What guards remember.
    pub memory: &'a Guards,
    /// The action.
    pub proposal: &'a Proposal,
    /// All that is one action with it, itself among them: what they take counts together.
    pub whole: &'a [Proposal],
    /// The answers to the policy's prechecks.
    pub prechecks: &'a [Checked<'a>],
    /// What was found out of telemetry.
    pub facts: &'a [(Fact, Known)],
    /// Why people must be asked, and what they have said.
    pub asking: &'a Asking,
    /// How sure the policy is, with its figures, or why that cannot be told; and whether somebody looks if the action has helped.
    pub confidence: (&'a Result<(f64, String), String>, bool),
    /// When the alert began to fire, by the clock of whoever tells it; `None` if it is over already.
    pub since: Option<Time>,
    /// The seed of the run, for what is left to luck.
    pub seed: Seed,
    /// What the project's rules say; `None` if they were not asked.
    pub said: Option<&'a Verdict>,
}

impl Asked<'_> {
    /// Asks one guard.
    #[must_use]
    pub fn ask(&self, guard: Guard) -> Answer {
        let Self { settings, inventory, now, proposal, .. } = *self;
        let (target, policy) = (&proposal.target, &proposal.policy);
        let Guards { remediations, starts, ends, attempts, outcomes, failures, locks, breakers, .. } = self.memory;
        match guard {
            Guard::Stage => stage::check(self.stage, proposal, inventory, remediations.is_busy(policy, proposal.incident)),
            Guard::KillSwitch => self.kill_switches(),
            Guard::Freeze => freeze::check(&settings.freezes, self.start, now),
            Guard::Change => switch::check(settings.change.as_ref(), self.judged(Fact::Changing)),
            Guard::Dedup => dedup::check(proposal, remediations),
            Guard::DetectorSanity => {
                let (fresh, counted) = (self.judged(Fact::Fresh), self.counted(Fact::Sane));
                let seen = detector_sanity::check(settings.detector_sanity.as_ref(), target, inventory, fresh, counted);
                detector_sanity::in_time(settings.detector_sanity.as_ref(), seen, (self.since, self.memory.last()), now)
            }
            Guard::CorrelatedFailure => {
                correlated_failure::check(settings.correlated_failure.as_ref(), target, failures, inventory, (now, self.since))
            }
            Guard::Confidence => confidence::check(settings.confidence.as_ref(), proposal, self.confidence.0, self.confidence.1),
            Guard::Precheck => precheck::check(target, inventory, self.prechecks),
            Guard::MaxUnhealthy => max_unhealthy::check(settings.max_unhealthy.as_ref(), target, inventory, self.counted(Fact::Healthy)),
            Guard::DisruptionBudget => {
                let counted = (self.counted(Fact::Budget), self.known(Fact::Busy));
                disruption_budget::check(settings.disruption_budget.as_ref(), (proposal, self.whole), remediations, inventory, counted)
            }
            Guard::Caps => caps::check(&settings.caps, proposal, self.whole, remediations, (inventory, &settings.estate)),
            Guard::RateLimit => rate_limit::check(&settings.rate_limits, proposal, starts, inventory, now),
            Guard::Cooldown => cooldown::check(settings.cooldown, proposal, ends, remediations, (inventory, now)),
            Guard::Backoff => backoff::check(settings.backoff.as_ref(), proposal, attempts, (now, self.seed)),
            Guard::IneffectiveChain => ineffective_chain::check(settings.ineffective_chain.as_ref(), target, outcomes, now),
            Guard::MutualExclusion => mutual_exclusion::check(settings.mutual_exclusion, proposal, locks, inventory, now),
            Guard::Breaker => {
                let own = breaker::check(settings.breaker.as_ref(), policy, proposal.incident, breakers, now);
                let harm = breaker::check_harm(settings.harm.as_ref(), self.known(Fact::Objective));
                if own.is_refusal() || settings.harm.is_none() { own } else { Answer::all([own, harm]) }
            }
            Guard::Code => code::check(settings.code.is_some(), self.said),
            Guard::Approval => approval::check(settings.approval.as_ref(), (proposal, inventory), self.asking),
            Guard::Canary => canary::check(settings.canary, proposal, (outcomes, remediations), now),
        }
    }

    /// Those of the project, then the policy's own.
    fn kill_switches(&self) -> Answer {
        let Self { settings, inventory, proposal, .. } = *self;
        let halts = settings.halts.iter().enumerate();
        let shared = halts.map(|(index, halt)| switch::check_halt(halt, &proposal.target, inventory, self.judged(Fact::Halted(index))));
        let own = settings.kill_switch.as_ref().map(|own| switch::check(Some(own), self.judged(Fact::Off)));
        Answer::all(shared.chain(own))
    }

    fn known(&self, fact: Fact) -> Option<&Known> {
        self.facts.iter().find(|(own, _)| *own == fact).map(|(_, known)| known)
    }

    fn judged(&self, fact: Fact) -> Option<(Truth, &str)> {
        self.known(fact).and_then(Known::judged)
    }

    fn counted(&self, fact: Fact) -> Option<Counted<'_>> {
        self.known(fact).and_then(Known::counted)
    }
}

/// An action that a policy wants to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Which policy.
    pub policy: Name,
    /// Which of its incidents.
    pub incident: u64,
    /// What to do.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// What the incident's target belongs to: the service of a replica, otherwise the target itself.
    pub owner: Target,
}

impl Proposal {
    /// What is proposed, and to what.
    #[must_use]
    pub const fn what(&self) -> (&Action, &Target) {
        (&self.action, &self.target)
    }
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Passed, not configured, or refused.
    pub verdict: GuardVerdict,
    /// The figures that it compared, for people; empty if it is not configured.
    pub figures: String,
    /// The earliest time at which a refusal could turn into a pass; `None` if the guard cannot know.
    pub again: Option<Time>,
    /// What happens instead of a refused action.
    pub instead: Instead,
    /// For how long at most a refused action is proposed again; zero: not at all. `None`: for as long as the alert is on.
    pub patience: Option<Span>,
    /// Who has the target, if it is refused because another policy has it.
    pub held_by: Option<Box<Holder>>,
    /// Why a person must say yes before the action starts, though this guard lets it pass; the guard `approval` sees to that. `None`: nobody need be
    /// asked for this guard's sake.
    pub approval: Option<String>,
}

/// What happens instead of a refused action, from the mildest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// It is proposed again later.
    #[default]
    Wait,
    /// A person is called, once, and it is proposed again later.
    Ask,
    /// People are asked to allow it, and it waits for them.
    Approve,
    /// A person is called, and the alert is left to people.
    Alert,
}

impl Instead {
    /// Each with its word in files.
    pub const WORDS: [(&'static str, Self); 3] = [("refuse", Self::Wait), ("ask", Self::Ask), ("alert_only", Self::Alert)];
}

impl Answer {
    /// Within its limits.
    #[must_use]
    pub fn passed(figures: impl Into<String>) -> Self {
        Self {
            verdict: GuardVerdict::Passed,
            figures: figures.into(),
            again: None,
            instead: Instead::Wait,
            patience: None,
            held_by: None,
            approval: None,
        }
    }

    /// The policy does not ask for this guard.
    #[must_use]
    pub const fn not_configured() -> Self {
        Self {
            verdict: GuardVerdict::NotConfigured,
            figures: String::new(),
            again: None,
            instead: Instead::Wait,
            patience: None,
            held_by: None,
            approval: None,
        }
    }

    /// Forbidden; `again` is when asking anew could help.
    #[must_use]
    pub fn refused(figures: impl Into<String>, again: Option<Time>) -> Self {
        Self {
            verdict: GuardVerdict::Refused,
            figures: figures.into(),
            again,
            instead: Instead::Wait,
            patience: None,
            held_by: None,
            approval: None,
        }
    }

    /// The same with what happens instead.
    #[must_use]
    pub fn instead(self, instead: Instead) -> Self {
        Self { instead, ..self }
    }

    /// The same with who has the target.
    #[must_use]
    pub fn held_by(self, holder: Holder) -> Self {
        Self { held_by: Some(Box::new(holder)), ..self }
    }

    /// The same with how long it is proposed again.
    #[must_use]
    pub fn patient(self, patience: Option<Span>) -> Self {
        Self { patience, ..self }
    }

    /// The same, if people say yes: a guard that lets an action pass can ask for that, with the reason as it is told to them.
    #[must_use]
    pub fn must_be_approved(self, because: impl Into<String>) -> Self {
        Self { approval: Some(because.into()), ..self }
    }

    /// Whether it forbids the action.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.verdict == GuardVerdict::Refused
    }

    /// The answers for several actions that are one: the first refusal, otherwise all different figures together.
    #[must_use]
    pub fn of_several(mut answers: impl Iterator<Item = Self>) -> Self {
        let first = answers.next().unwrap_or_else(Self::not_configured);
        let Some(second) = answers.next() else { return first };
        let mut answers: Vec<Self> = [first, second].into_iter().chain(answers).collect();
        if let Some(refusal) = answers.iter().position(Self::is_refusal) {
            return answers.swap_remove(refusal);
        }
        let mut figures: Vec<String> = Vec::new();
        for answer in &answers {
            if !figures.contains(&answer.figures) {
                figures.push(answer.figures.clone());
            }
        }
        let approval = answers.iter().find_map(|answer| answer.approval.clone());
        Self { figures: figures.join("; "), approval, ..answers.into_iter().next().unwrap_or_else(Self::not_configured) }
    }

    /// Several answers of one guard as one: the first refusal, otherwise all figures together.
    #[must_use]
    fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut answers = answers.into_iter();
        let Some(first) = answers.next() else { return Self::not_configured() };
        if first.is_refusal() {
            return first;
        }
        let mut figures = first.figures;
        for answer in answers {
            if answer.is_refusal() {
                return answer;
            }
            figures.push_str("; ");
            figures.push_str(&answer.figures);
        }
        Self::passed(figures)
    }
}

/// The version of what guards remember.
pub const STATE_VERSION: u32 = 5;

/// What guards remember of all policies together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    version: u32,
    /// What is being worked on.
    pub remediations: Remediations,
    /// When actions started.
    pub starts: Starts,
    /// When actions ended.
    pub ends: Ends,
    /// Remediations in a row.
    pub attempts: Attempts,
    /// What became of actions.
    pub outcomes: Outcomes,
    /// What failed when.
    pub failures: Failures,
    /// Who holds what.
    pub locks: Locks,
    /// Which policies are stopped.
    pub breakers: Breakers,
    /// When actions on each target last started or ended: what is longest ago is forgotten.
    touched: Fading,
}

impl Default for Guards {
    fn default() -> Self {
        let (remediations, starts, ends, attempts) = Default::default();
        let (outcomes, failures, locks, breakers, touched) = Default::default();
        Self { version: STATE_VERSION, remediations, starts, ends, attempts, outcomes, failures, locks, breakers, touched }
    }
}

impl Guards {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it was saved by this version of the engine, so that it can be gone on with.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.version == STATE_VERSION
    }

    /// The last instant at which anything happened that they remember; `None` if nothing has.
    #[must_use]
    pub fn last(&self) -> Option<Time> {
        self.starts.last().max(self.outcomes.last())
    }

    /// An action starts.
    pub fn started(&mut self, proposal: &Proposal, now: Time) {
        self.remediations.started(proposal);
        self.noted(proposal, now);
    }

    /// One start.
    fn noted(&mut self, proposal: &Proposal, now: Time) {
        self.starts.record(proposal, now);
        self.touch(&proposal.target, now);
        self.attempts.started(proposal, now);
        self.breakers.started(&proposal.policy, proposal.incident);
    }

    /// An action that somebody defined starts with its first part; the later ones are held until they begin, or are given up.
    pub fn started_whole(&mut self, whole: &[Proposal], now: Time) {
        let Some(first) = whole.first() else { return };
        self.remediations.started_whole(whole);
        self.noted(first, now);
    }

    /// A policy that asks for locks takes those of what it acts on, until its incident is closed or the lease is over. Gives
    /// what is shown where the action lands.
    pub fn locked(&mut self, proposal: &Proposal, lease: Option<Span>, inventory: &Inventory, now: Time) -> Option<Fence> {
        self.locked_together(std::slice::from_ref(proposal), lease, inventory, now)
    }

    /// As [`Self::locked`], the locks of several actions together, so that none of them takes one from another.
    pub fn locked_together(&mut self, proposals: &[Proposal], lease: Option<Span>, inventory: &Inventory, now: Time) -> Option<Fence> {
        let lease = lease?;
        let token = self.locks.token();
        let mut locks = BTreeSet::new();
        for proposal in proposals {
            locks.extend(self.locks.take(proposal, token, (lease, now), inventory).locks);
        }
        Some(Fence { token, locks: locks.into_iter().collect() })
    }

    /// A running action of an incident has ended, the first if there are several; says whether there was one.
    pub fn ended(&mut self, policy: &Name, incident: u64, now: Time) -> bool {
        self.ended_one((policy, incident), None, now)
    }

    /// One of several running actions of an incident has ended.
    pub fn ended_one(&mut self, (policy, incident): (&Name, u64), which: Option<(&Action, &Target)>, now: Time) -> bool {
        let Some(target) = self.remediations.ended(policy, incident, which) else { return false };
        self.touch(&target, now);
        self.attempts.ended(policy, &target, incident, now);
        self.ends.record(policy, incident, target, now);
        true
    }

    fn touch(&mut self, target: &Target, now: Time) {
        self.touched.touch(target, now);
        for forgotten in self.touched.forget(now) {
            self.attempts.forget(&forgotten);
            self.ends.forget(&forgotten);
        }
    }

    /// The last word on an action.
    pub fn judged(&mut self, proposal: &Proposal, effect: Helped, now: Time) {
        let Proposal { policy, incident, target, .. } = proposal;
        self.outcomes.record((policy, *incident), target, effect, now);
        self.breakers.judged(policy, *incident, effect, now);
    }

    /// Something of a policy has started or was judged: its breaker opens if its limits are reached.
    pub fn observe(&mut self, policy: &Name, breaker: Option<&Breaker>, now: Time) {
        if let Some(breaker) = breaker {
            self.breakers.observe(policy, breaker, (&self.outcomes, &self.starts), now);
        }
    }

    /// An action of a policy has done harm: its breaker opens.
    pub fn harmed(&mut self, policy: &Name, why: String, now: Time) {
        self.breakers.harmed(policy, why, now);
    }

    /// An incident is closed: what it touched is free again.
    pub fn released(&mut self, policy: &Name, incident: u64) {
        self.remediations.released(policy, incident);
        self.locks.release(policy, incident);
        self.breakers.released(policy, incident);
    }
}

/// Looks at all that can be about a service, of what is kept by target: what is kept for itself, for whatever is named as its replicas are, and for
/// zones and nodes. In no particular order.
fn near<'a, V>(targets: &'a BTreeMap<Target, V>, service: &Name, mut look: impl FnMut(&'a Target, &'a V)) {
    // Services come first, and mostly there is nothing else.
    let Some((last, _)) = targets.last_key_value() else { return };
    if let Some((target, kept)) = targets.get_key_value(&Target::Service(service.clone())) {
        look(target, kept);
    }
    if matches!(last, Target::Service(_)) {
        return;
    }
    let (none, replicas) = (Name::new(""), Name::from(figures(&[service, &"-"])));
    let first_replica = Bound::Included(Target::Replica(replicas.clone()));
    let replica = targets.range((first_replica, Bound::Excluded(Target::Zone(none.clone()))));
    let replica = replica.take_while(|(target, _)| target.name().starts_with(&*replicas));
    let zone = targets.range((Bound::Included(Target::Zone(none.clone())), Bound::Excluded(Target::Client(none.clone()))));
    let node = targets.range((Bound::Included(Target::Node(none)), Bound::Unbounded));
    replica.chain(zone).chain(node).for_each(|(target, kept)| look(target, kept));
}

/// As [`near`], all that overlaps with a target. In no particular order.
fn overlapping<'a, V>(targets: &'a BTreeMap<Target, V>, target: &Target, inventory: &Inventory, mut look: impl FnMut(&'a Target, &'a V)) {
    let mut look_at = |own: &'a Target, kept: &'a V| {
        if overlap(own, target, inventory) {
            look(own, kept);
        }
    };
    match (target, service_of(target, inventory)) {
        (Target::Service(_) | Target::Replica(_), Some(service)) => near(targets, &service, look_at),
        (Target::Client(_), _) => targets.get_key_value(target).into_iter().for_each(|(own, kept)| look_at(own, kept)),
        _ => targets.iter().for_each(|(own, kept)| look_at(own, kept)),
    }
}

/// Whether what is done to one target is done to something of another: a service and its replicas, a zone or a node and what stands there, as declared.
/// Which replicas stand on a node cannot be told beforehand, so it may be any of its zone. Two replicas of one service have nothing in common.
#[must_use]
pub fn overlap(one: &Target, other: &Target, inventory: &Inventory) -> bool {
    let zone_of = |place: &Target| match place {
        Target::Zone(zone) => Some(zone.clone()),
        Target::Node(node) => inventory.nodes.get(node).cloned(),
        _ => None,
    };
    match (one, other) {
        _ if one == other => true,
        (Target::Service(service), inner @ Target::Replica(_)) | (inner @ Target::Replica(_), Target::Service(service)) => {
            service_of(inner, inventory).as_ref() == Some(service)
        }
        (Target::Service(service), place @ (Target::Zone(_) | Target::Node(_)))
        | (place @ (Target::Zone(_) | Target::Node(_)), Target::Service(service)) => {
            let stands = |zone: Name| inventory.services.get(service).is_some_and(|entry| entry.zones.contains(&zone));
            zone_of(place).is_some_and(stands)
        }
        (inner @ Target::Replica(_), place @ (Target::Zone(_) | Target::Node(_)))
        | (place @ (Target::Zone(_) | Target::Node(_)), inner @ Target::Replica(_)) => {
            zone_of(place).is_some_and(|zone| zones_touched(inner, inventory).contains(&zone))
        }
        (Target::Zone(_), Target::Node(_)) | (Target::Node(_), Target::Zone(_)) => zone_of(one) == zone_of(other),
        _ => false,
    }
}

/// What a limit is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each target by itself.
    Target,
    /// Each service by itself; what lies in no service counts by itself.
    Service,
    /// Each zone by itself.
    Zone,
    /// Each region by itself, as the project declares them; of caps alone.
    Region,
    /// Each cluster by itself, as the project declares them; of caps alone.
    Cluster,
    /// All services of one owner, as the project declares them; of caps alone.
    Owner,
    /// Everything together.
    All,
}

impl Scope {
    /// The word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Service => "service",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Cluster => "cluster",
            Self::Owner => "owner",
            Self::All => "all",
        }
    }
}

/// The service that a target belongs to, as declared; `None` for zones and clients.
///
/// Pods of a Deployment are named `SERVICE-HASH-HASH`, so the longest declared name that the replica's name continues with a dash is taken;
/// where nothing is declared, what stands before the last dash.
#[must_use]
pub fn service_of(target: &Target, inventory: &Inventory) -> Option<Name> {
    let Target::Replica(replica) = target else { return target.service() };
    let declared = |(end, _): (usize, &str)| inventory.services.get_key_value(&replica[..end]).map(|(service, _)| service.clone());
    replica.rmatch_indices('-').find_map(declared).or_else(|| target.service())
}

/// Whether the label `service` of what is seen says that a pod, which is named as a replica of a declared service is, is of another one: of another that
/// is declared, or of one whose name the pod's continues further, as `redis-exporter-0` that of `redis-exporter`, which is none of `redis`. Any other name
/// is that of whoever tells of the pods of others, as kube-state-metrics does.
pub(crate) fn is_of_another(pod: &str, service: &Name, label: Option<&str>, inventory: &Inventory) -> bool {
    let Some(label) = label.filter(|label| !label.is_empty() && **label != **service) else { return false };
    let continues = label.len() > service.len() && pod.strip_prefix(label).is_some_and(|rest| rest.starts_with('-'));
    continues || inventory.services.contains_key(label)
}

/// Whether a pod is named as Kubernetes names those of a workload that is called like the service: by a number, by five characters, or by a hash and five
/// characters. Words in between may be the rest of the name of another workload, of which nobody tells here.
fn is_named_of(pod: &str, service: &Name) -> bool {
    // Names that Kubernetes makes have no vowels, and no digits that look like some.
    let is_made = |part: &str| !part.is_empty() && part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let rest = pod.strip_prefix(service.as_str()).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| match rest.split_once('-') {
        None => is_number(rest) || rest.len() == 5 && is_made(rest),
        Some((hash, end)) => hash.len() <= 10 && is_made(hash) && end.len() == 5 && is_made(end),
    })
}

/// What a target belongs to: the service of a replica, otherwise the target itself.
#[must_use]
pub fn owner_of(target: &Target, inventory: &Inventory) -> Target {
    match target {
        Target::Replica(_) => service_of(target, inventory).map_or_else(|| target.clone(), Target::Service),
        other => other.clone(),
    }
}

/// Whether the inventory knows a target. A replica is known by its service, because their number changes. Nothing is known to an empty
/// inventory, which is what a recording without declarations has; then the answer is `None`.
#[must_use]
pub fn is_declared(target: &Target, inventory: &Inventory) -> Option<bool> {
    if inventory.services.is_empty() {
        return None;
    }
    Some(match target {
        Target::Service(service) => inventory.services.contains_key(service),
        Target::Replica(replica) => {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            replica.bytes().all(is_name) && service_of(target, inventory).is_some_and(|service| inventory.services.contains_key(&service))
        }
        Target::Zone(zone) => inventory.services.values().any(|entry| entry.zones.contains(zone)),
        Target::Node(node) => inventory.nodes.contains_key(node),
        // A calling service retries too.
        Target::Client(client) => inventory.clients.contains(client) || inventory.services.contains_key(client),
    })
}

/// The services that an action on a target touches, as declared; empty for clients.
pub(crate) fn services_touched(target: &Target, inventory: &Inventory) -> Vec<Name> {
    match target {
        Target::Zone(zone) => {
            inventory.services.iter().filter(|(_, entry)| entry.zones.contains(zone)).map(|(service, _)| service.clone()).collect()
        }
        Target::Node(node) => match inventory.nodes.get(node) {
            Some(zone) => services_touched(&Target::Zone(zone.clone()), inventory),
            None => Vec::new(),
        },
        other => service_of(other, inventory).into_iter().collect(),
    }
}

/// The zones that an action on a target touches, as declared. A replica whose zone cannot be told touches all zones of its service.
pub(crate) fn zones_touched(target: &Target, inventory: &Inventory) -> Vec<Name> {
    let zones_of = |service: &Name| inventory.services.get(service).map(|entry| entry.zones.clone()).unwrap_or_default();
    match target {
        Target::Zone(zone) => vec![zone.clone()],
        Target::Node(node) => inventory.nodes.get(node).cloned().into_iter().collect(),
        Target::Client(_) => Vec::new(),
        Target::Service(service) => sorted(zones_of(service)),
        Target::Replica(_) => match (replica_zone(target, inventory), service_of(target, inventory)) {
            (Some(zone), _) => vec![zone],
            (None, Some(service)) => sorted(zones_of(&service)),
            (None, None) => Vec::new(),
        },
    }
}

/// The zone of a replica: replica `i` stands in zone `i % zones`. `None` if its name carries no index or its zones are not declared.
fn replica_zone(target: &Target, inventory: &Inventory) -> Option<Name> {
    let service = service_of(target, inventory)?;
    let index: usize = target.name().strip_prefix(service.as_str())?.strip_prefix('-')?.parse().ok()?;
    let zones = &inventory.services.get(&service)?.zones;
    zones.get(index.checked_rem(zones.len())?).cloned()
}

fn sorted(mut names: Vec<Name>) -> Vec<Name> {
    names.sort();
    names.dedup();
    names
}

/// The parts of the system that a target counts towards under a scope. Under `service` a target without a service counts as itself.
fn scope_keys(scope: Scope, target: &Target, inventory: &Inventory) -> Vec<Target> {
    match scope {
        Scope::Target | Scope::All => vec![target.clone()],
        Scope::Service => {
            let services = services_touched(target, inventory);
            if services.is_empty() { vec![target.clone()] } else { services.into_iter().map(Target::Service).collect() }
        }
        Scope::Zone => zones_touched(target, inventory).into_iter().map(Target::Zone).collect(),
        // Nothing but caps is counted by them.
        Scope::Region | Scope::Cluster | Scope::Owner => Vec::new(),
    }
}

/// Whether a target counts towards one part of the system under a scope: whether [`scope_keys`] has it.
fn counts_towards(scope: Scope, target: &Target, key: &Target, inventory: &Inventory) -> bool {
    match (scope, target) {
        (Scope::Target, _) | (Scope::Service, Target::Service(_) | Target::Client(_)) => target == key,
        _ => scope_keys(scope, target, inventory).contains(key),
    }
}

/// What the tests of the guards share.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;
    use firedrill_core::action::RestartMode;
    use firedrill_core::inventory::ServiceEntry;

    /// api: 6 replicas in zones a, b, c; cart: 3 replicas in zones a, b; the client users.
    pub(crate) fn inventory() -> Inventory {
        let entry = |replicas, zones: &[&str], critical| ServiceEntry {
            replicas,
            zones: zones.iter().map(|zone| Name::new(zone)).collect(),
            critical,
            calls: Vec::new(),
        };
        Inventory {
            services: [(Name::new("api"), entry(6, &["a", "b", "c"], true)), (Name::new("cart"), entry(3, &["a", "b"], false))].into(),
            clients: vec![Name::new("users")],
            // Two machines in zone a, of which each has one of the two replicas of api and of cart that stand there.
            nodes: [(Name::new("blue-0"), Name::new("a")), (Name::new("blue-1"), Name::new("a"))].into(),
        }
    }

    /// Restart `target` at once, by `policy` in its incident `incident`.
    pub(crate) fn proposal(policy: &str, incident: u64, target: &str) -> Proposal {
        let target: Target = target.parse().unwrap();
        let owner = owner_of(&target, &inventory());
        Proposal { policy: Name::new(policy), incident, action: Action::Restart { mode: RestartMode::AtOnce }, target, owner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_belongs_to_the_longest_declared_service_that_its_name_continues() {
        let mut inventory = fixture::inventory();
        let entry = inventory.services[&Name::new("cart")].clone();
        inventory.services.insert(Name::new("cart-redis"), entry);
        let check = |replica: &str, service: &str| {
            assert_eq!(service_of(&Target::Replica(Name::new(replica)), &inventory), Some(Name::new(service)), "{replica}");
        };
        check("cart-0", "cart");
        check("cart-redis-0", "cart-redis");
        check("cart-5f6c9d-abcde", "cart");
        check("unknown-7", "unknown");
    }

    #[test]
    fn a_service_overlaps_with_its_replicas_and_a_place_with_what_stands_there() {
        let inventory = fixture::inventory();
        let check = |one: &str, other: &str, want| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((overlap(&one, &other, &inventory), overlap(&other, &one, &inventory)), (want, want), "{one} {other}");
        };
        check("replica/api-0", "replica/api-0", true);
        check("service/api", "replica/api-0", true);
        check("service/cart", "replica/api-0", false);
        check("replica/api-0", "replica/api-1", false);
        check("service/api", "service/cart", false);
        check("zone/c", "service/api", true);
        check("zone/c", "service/cart", false);
        check("zone/a", "replica/api-0", true);
        check("zone/a", "replica/api-3", true);
        check("zone/a", "replica/api-1", false);
        check("zone/a", "replica/api-5f6c9d-abcde", true);
        check("node/blue-0", "replica/api-0", true);
        check("node/blue-0", "replica/api-1", false);
        check("node/blue-0", "service/cart", true);
        check("node/blue-0", "zone/a", true);
        check("node/blue-0", "zone/b", false);
        check("node/blue-0", "node/blue-1", false);
        check("node/green-0", "zone/a", false);
        check("client/users", "client/users", true);
        check("client/api", "service/api", false);
        // What is found by its place among many is what overlaps.
        let all = [
            "service/api",
            "service/cart",
            "replica/api-0",
            "replica/api-1",
            "replica/cart-1",
            "zone/a",
            "zone/c",
            "node/blue-1",
            "client/users",
        ];
        let all: BTreeMap<Target, ()> = all.iter().map(|target| (target.parse().unwrap(), ())).collect();
        for target in all.keys() {
            let mut found = BTreeSet::new();
            overlapping(&all, target, &inventory, |own, ()| assert!(found.insert(own)));
            assert_eq!(found, all.keys().filter(|own| overlap(own, target, &inventory)).collect(), "{target}");
        }
    }

    #[test]
    fn an_unknown_target_is_not_declared_and_an_empty_inventory_cannot_tell() {
        let check = |target: &str, want| assert_eq!(is_declared(&target.parse().unwrap(), &fixture::inventory()), Some(want), "{target}");
        check("service/api", true);
        check("service/apl", false);
        check("replica/api-17", true);
        check("replica/apl-0", false);
        check("replica/api-../x", false);
        check("replica/api-1 -- rm", false);
        check("zone/b", true);
        check("zone/z", false);
        check("client/users", true);
        check("client/api", true);
        assert_eq!(is_declared(&"service/api".parse().unwrap(), &Inventory::default()), None);
    }

    #[test]
    fn every_guard_is_called_by_its_own_word() {
        for (guard, word) in Guard::ALL.into_iter().zip(ORDER) {
            assert_eq!(guard.word(), word);
        }
    }

    #[test]
    fn guards_are_plain_data_that_reads_back() {
        let mut guards = Guards::new();
        guards.remediations.claim(&fixture::proposal("p", 0, "replica/api-1"));
        guards.started(&fixture::proposal("p", 0, "replica/api-1"), Time::from_seconds(1));
        guards.ended(&Name::new("p"), 0, Time::from_seconds(2));
        let text = serde_json::to_string(&guards).unwrap();
        assert_eq!(serde_json::from_str::<Guards>(&text).unwrap(), guards);
        let other = text.replacen("\"version\":5", "\"version\":9", 1);
        assert!(guards.is_current() && !serde_json::from_str::<Guards>(&other).unwrap().is_current());
    }
}
