//! The journal: everything that happened in a run, in order, with the reason for each decision.
//!
//! JSON Lines: a [`Header`], then one [`Record`] a line; integers in nanoseconds, floats in shortest round-trip form, keys in a fixed order.

use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionId, ActionOutcome, ActionResult, Target};
pub use crate::labels::LabelSet;
use crate::name::Name;
use crate::time::{Span, Time};

/// The version of the journal's format.
pub const SCHEMA: &str = "firedrill.journal/1";

/// A condition's answer: three values, because absence of data is not a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Every element compared true.
    True,
    /// At least one element compared false.
    False,
    /// No element, NaN, or the expression could not be evaluated.
    Unknown,
}

/// Whether an alert is on or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It fires.
    Firing,
    /// It fired before, and is over.
    Resolved,
}

/// What a policy is told: one alert, on or over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The alert's name.
    pub alert: Name,
    /// On or over.
    pub status: AlertStatus,
    /// All labels, `alertname` included.
    pub labels: LabelSet,
    /// When the alert began to fire.
    pub starts_at: Time,
    /// Which of Alertmanager's receivers is told; `None` where there is no Alertmanager configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Name>,
}

/// What was gathered of one kind for people who are called or told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `metrics`, `alerts`, `changes`, `logs` or `traces`.
    pub kind: Name,
    /// What was found, bounded in number and length, without what looks like a credential.
    pub lines: Vec<String>,
    /// What is missing and why, such as `not available here`; empty if nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// An action that a policy could have chosen, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// Which of the policy's candidates it is, counting from 0; `None`: to wait, which it does not list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// What it would do.
    pub what: Action,
    /// To what.
    pub target: Target,
    /// Its score; `None` if there is none, and why stands in `why`.
    pub score: Option<f64>,
    /// Its risk, 0 to 1.
    pub risk: f64,
    /// Why it was chosen or not.
    pub why: String,
    /// Whether it is what is done now, or once people allow it.
    #[serde(default)]
    pub is_best: bool,
}

/// How many elements of one part of the system a condition holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedPart {
    /// The part: a service, a zone, or a replica that is told of by itself.
    pub part: Target,
    /// Elements for which it is true.
    pub holding: u64,
    /// Elements for which it is true or false.
    pub elements: u64,
}

/// What a controller takes in. All of it is journaled, so that feeding the inputs again reproduces every effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// An alert is on or over.
    Notified(Notification),
    /// The answer to a question that the controller asked.
    Evaluated {
        /// Which question; the controller numbers its own.
        query: u64,
        /// Yes, no, or no telling.
        verdict: Truth,
        /// The figures that were compared, or the error, for people.
        figures: String,
    },
    /// The count that the controller asked for: of the elements that a condition speaks of, those for which it is true.
    Counted {
        /// Which question; questions of both kinds are numbered together.
        query: u64,
        /// Elements for which it is true.
        holding: u64,
        /// Elements for which it is true or false. Zero: there is nothing to tell by.
        elements: u64,
        /// The error if it could not be evaluated, for people; otherwise empty.
        error: String,
        /// The same for each service or zone that is counted by itself, and for each replica that is not healthy where a guard goes by that; sorted, each
        /// once. Of a service or zone that is not here nothing is seen. `None` if nothing is told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<Vec<CountedPart>>,
    },
    /// The number that the controller asked for.
    Measured {
        /// Which question; questions of all kinds are numbered together.
        query: u64,
        /// The value of the one element; `None` if there is none or more than one, or if it is no finite number.
        value: Option<f64>,
        /// The value with its labels, or why there is none, for people.
        figures: String,
    },
    /// The names that the controller asked for.
    Listed {
        /// Which question.
        query: u64,
        /// The names, sorted, each once.
        names: Vec<Name>,
        /// Why they could not be listed, for people; otherwise empty.
        error: String,
    },
    /// The evidence that the controller asked for.
    Gathered {
        /// Which question.
        query: u64,
        /// What was found, in the order in which it was asked for.
        evidence: Vec<Evidence>,
    },
    /// An action that the controller started has ended.
    Finished(ActionResult),
    /// A time that the controller had set has come.
    Timer {
        /// Which timer; the controller numbers its own.
        timer: u64,
    },
    /// A person answered what the controller had proposed.
    Answered {
        /// Which proposal; the controller numbers its own.
        proposal: u64,
        /// Who answers.
        who: Name,
        /// As what, such as `oncall`.
        role: Name,
        /// Whether the action may start.
        yes: bool,
    },
}

/// Whose yes a proposal waits for, and what it is given for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The roles that may answer, each as good as another.
    pub from: Vec<Name>,
    /// How many different people must say yes; at least 1.
    pub quorum: u32,
    /// Until when; `None`: as long as the incident is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// BLAKE3 of the lowered policy, hexadecimal: a yes is for this policy and no other.
    pub policy_hash: String,
    /// BLAKE3 of what the proposal rests on, hexadecimal: a yes is for this and nothing else.
    pub evidence_hash: String,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalChange {
    /// Enough people said yes.
    Granted,
    /// Somebody who may said no.
    Denied,
    /// Its time is over: too few had said yes, or the action had not started by then.
    Expired,
    /// What it rested on is not so any more, so that nobody's yes counts.
    Void,
    /// It is of no use any more, such as because the alert is over.
    Withdrawn,
}

/// What a guard said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardVerdict {
    /// Within its limits.
    Passed,
    /// The policy does not ask for this guard.
    NotConfigured,
    /// It forbids the action.
    Refused,
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// The condition held for as long as it had to.
    Held,
    /// It did not hold in time.
    Failed,
    /// There was no data to tell by: that is not a pass.
    Inconclusive,
}

/// What became of an incident of correlated alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrelationChange {
    /// Enough alerts came together.
    Opened,
    /// At least one more alert belongs to it.
    Grew,
    /// Some of its alerts are over, and others still fire.
    Shrank,
    /// The last of its alerts is over.
    Closed,
}

/// A policy that has something which another one would act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which policy.
    pub policy: Name,
    /// Which of its incidents.
    pub incident: u64,
    /// What it has: the lock, or the target that it is at work on or that rests after it.
    pub target: Target,
    /// Until when at most; `None`: until its action has ended.
    pub until: Option<Time>,
}

/// Where a replica is in its life (docs/MODEL.md 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// Its process starts; it takes no requests yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It ended and waits to be started again.
    Waiting,
    /// Taken out of load balancing; what is in flight finishes.
    Draining,
    /// Gone for good: scaled in, replaced, or its zone is lost.
    Gone,
    /// It waits for a place on a node.
    Pending,
    /// Its image is on the way.
    Pulling,
    /// Its process runs and is not ready: it takes no new requests, and goes on with those that it has.
    Unready,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A fault set in.
    FaultStarted {
        /// The fault's name, unique in the scenario.
        fault: Name,
        /// The kind of fault, such as `crash`.
        kind: Name,
        /// What it is attached to.
        target: Target,
        /// Its magnitude, for people.
        detail: String,
    },
    /// A fault is over by itself, or was cured.
    FaultEnded {
        /// The fault's name.
        fault: Name,
        /// Why it ended: its time was up, or what cured it.
        reason: String,
    },
    /// What a person on call does beside acting.
    Person {
        /// What.
        what: String,
    },
    /// Something that is no fault of the world began or ended, and is no reason to act: a benign change, something wrong with monitoring or with
    /// whoever carries actions out; also what truly became of an action.
    Noted {
        /// What happened, for people.
        what: String,
    },
    /// A replica changed its state.
    ReplicaChanged {
        /// Which replica.
        replica: Name,
        /// Its new state.
        state: ReplicaState,
        /// Why.
        reason: String,
    },
    /// A new version begins to replace the old one.
    RolloutStarted {
        /// Which service.
        service: Name,
        /// The new version.
        version: Name,
        /// Who wanted it.
        reason: String,
    },
    /// Every replica runs the new version.
    RolloutFinished {
        /// Which service.
        service: Name,
        /// The version that all run.
        version: Name,
    },
    /// A rollout has made no progress for as long as its service allows; it goes on trying, and nobody rolls it back.
    RolloutStalled {
        /// Which service.
        service: Name,
        /// The version that does not arrive.
        version: Name,
        /// How long there was no progress, and how many replicas are new and available.
        figures: String,
    },
    /// An autoscaler changed the wanted number of replicas.
    Autoscaled {
        /// Which service.
        service: Name,
        /// Wanted before.
        from: u32,
        /// Wanted now.
        to: u32,
        /// The figures that it compared, and what limited it.
        figures: String,
    },
    /// A node was lost, or the cluster did something about it.
    NodeChanged {
        /// Which node.
        node: Name,
        /// `lost`, `unknown` once that is known, `evicted` once its replicas are given up, `not_evicted` if they are not, `ready` again; `cordoned` from
        /// when nothing new is put there, `uncordoned` again; `short_of_memory`.
        state: Name,
        /// Why.
        reason: String,
    },
    /// A replica was to be evicted, and the disruption budget of its service did not allow it; it is tried again.
    NotEvicted {
        /// Which replica.
        replica: Name,
        /// How many replicas are healthy, and how many must be.
        figures: String,
    },
    /// The wanted number of replicas changed.
    Scaled {
        /// Which service.
        service: Name,
        /// Wanted before.
        from: u32,
        /// Wanted now.
        to: u32,
    },
    /// Waiting requests were thrown away.
    QueuePurged {
        /// Which service.
        service: Name,
        /// How many requests.
        dropped: u64,
    },
    /// Those who share a topic's messages changed, or what they fail on was put aside.
    ConsumersChanged {
        /// The service that takes the messages.
        service: Name,
        /// The topic.
        topic: Name,
        /// `rebalancing` while the group is formed anew, `assigned` once it is, `dead_letter` and `parked` of messages that are put aside.
        state: Name,
        /// Why, and how many.
        reason: String,
    },
    /// A replica begins to turn requests away by rules for its door or its queue, or has turned nobody away for a while.
    SheddingChanged {
        /// Which replica.
        replica: Name,
        /// Whether it turns requests away.
        sheds: bool,
        /// What was compared at the first, or how many it has turned away.
        figures: String,
    },
    /// Retries are limited, or free again.
    RetriesLimited {
        /// Whose retries: a client or a calling service.
        caller: Name,
        /// Retries allowed; `None` when the limit is lifted.
        retries: Option<u32>,
    },
    /// Who is the primary of a database changed, or is about to.
    PrimaryChanged {
        /// Which database.
        service: Name,
        /// Which replica this is about; `None`: none.
        replica: Option<Name>,
        /// `lost`, `back` if it was not given up, `waiting` for somebody who can take its place, `promoting`, `promoted`, `reached` by callers.
        state: Name,
        /// What was compared, and how long it takes.
        figures: String,
        /// Writes that had been made and are lost with the old primary.
        lost_writes: u64,
    },
    /// A flag of a service was turned on or off, where it is kept: its processes learn of it later.
    FlagChanged {
        /// Which service.
        service: Name,
        /// Which flag.
        flag: Name,
        /// `on` or `off`.
        state: Name,
        /// Who changed it.
        reason: String,
    },
    /// A circuit breaker changed its state.
    BreakerChanged {
        /// Whose breaker: a replica or a client.
        caller: Name,
        /// The service that it calls.
        service: Name,
        /// Its new state: closed, open, or half_open.
        state: Name,
        /// Why, with the figures that it compared.
        reason: String,
    },
    /// A caller leaves a replica out of its choice for a while.
    Ejected {
        /// Whose choice: a client or a replica.
        caller: Name,
        /// Who is left out.
        replica: Name,
        /// For how long at least.
        lasting: Span,
        /// Why, with the figures that were compared.
        reason: String,
    },
    /// A caller chooses a replica again that it had left out.
    Returned {
        /// Whose choice: a client or a replica.
        caller: Name,
        /// Who is back.
        replica: Name,
        /// Why.
        reason: String,
    },
    /// A caller ignores whom it leaves out because too few are left, or heeds it again.
    Panicked {
        /// Whose choice: a client or a replica.
        caller: Name,
        /// Whose replicas.
        service: Name,
        /// Whether it ignores it from now on.
        is_on: bool,
        /// The figures that were compared.
        figures: String,
    },
    /// A stated bound was reached: an outcome with a name, not a hang.
    BoundReached {
        /// Which bound.
        bound: Name,
        /// The figures.
        figures: String,
    },
    /// An action began to be carried out.
    ActionStarted {
        /// Which action.
        action: ActionId,
        /// What is done.
        what: Action,
        /// To what.
        target: Target,
    },
    /// An action ended.
    ActionFinished {
        /// Which action.
        action: ActionId,
        /// How.
        outcome: ActionOutcome,
    },
    /// The run is over.
    RunEnded {
        /// Why: the horizon, or a bound.
        reason: String,
    },
    /// An alert's condition became true; it waits out its `for`.
    AlertPending {
        /// The alert's name.
        alert: Name,
        /// Its labels.
        labels: LabelSet,
        /// The value of its expression.
        value: f64,
    },
    /// An alert fires.
    AlertFiring {
        /// The alert's name.
        alert: Name,
        /// Its labels.
        labels: LabelSet,
        /// The value of its expression.
        value: f64,
    },
    /// An alert is over.
    AlertResolved {
        /// The alert's name.
        alert: Name,
        /// Its labels.
        labels: LabelSet,
    },
    /// A rule could not be evaluated; what it had said before stands.
    RuleFailed {
        /// The rule's name.
        rule: Name,
        /// Why.
        message: String,
    },
    /// An alert came into a group of those that a receiver is told of together. Only with an Alertmanager configuration.
    Routed {
        /// The alert's name.
        alert: Name,
        /// Its labels.
        labels: LabelSet,
        /// Who will be told.
        receiver: Name,
        /// The group: its route's matchers, and the labels in which its alerts agree.
        group: Name,
        /// When the group is looked at next; `None`: as soon as a delivery under way has ended.
        look: Option<Time>,
        /// Whether that is the first look, at the end of the group's wait.
        is_first: bool,
    },
    /// A receiver was sent a message. Only with an Alertmanager configuration.
    Messaged {
        /// Who was told.
        receiver: Name,
        /// By which integrations, such as `slack`; empty if firedrill alone listens there.
        by: Vec<Name>,
        /// The group that the message is about.
        group: Name,
        /// Why it was sent, in Alertmanager's words.
        reason: Name,
        /// The labels of its alerts that fire.
        firing: Vec<LabelSet>,
        /// The labels of its alerts that are over.
        resolved: Vec<LabelSet>,
    },
    /// An alert was left out of what a receiver is told. Only with an Alertmanager configuration.
    Withheld {
        /// The alert's name.
        alert: Name,
        /// Its labels.
        labels: LabelSet,
        /// Who was not told.
        receiver: Name,
        /// The alert's group.
        group: Name,
        /// Why, with the alert, silence or time interval that is behind it.
        reason: String,
    },
    /// A notification left the alert router.
    Notified {
        /// What was told.
        notification: Notification,
    },
    /// Alerts that came together are one incident, or what belongs to it changed.
    Correlated {
        /// Counts from 0 over the run.
        incident: u64,
        /// What its alerts share, such as `service: api`; empty: nothing but the time.
        scope: LabelSet,
        /// What became of it.
        change: CorrelationChange,
        /// How many of its alerts fire now.
        firing: u32,
        /// The service that is probably its cause; `None` if its alerts name none.
        subject: Option<Name>,
        /// Which alerts came or went.
        reason: String,
    },
    /// A controller took an input in.
    Received {
        /// Which policy.
        policy: Name,
        /// What it was told.
        input: Input,
    },
    /// A policy took up an alert.
    IncidentOpened {
        /// Which policy.
        policy: Name,
        /// Counts from 0 within the policy.
        incident: u64,
        /// The alert that it answers.
        alert: Name,
        /// What it would act on; `None` if the alert names no target.
        target: Option<Target>,
        /// The labels of the alert.
        labels: LabelSet,
    },
    /// A guard gave its verdict on a proposed action.
    Guarded {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which guard.
        guard: Name,
        /// What it said.
        verdict: GuardVerdict,
        /// The figures that it compared.
        figures: String,
    },
    /// The guards that a policy does not ask for; told once a run, before its first proposal. Guards that are always journaled are not among them.
    Unguarded {
        /// Which policy.
        policy: Name,
        /// The guards, in the order in which they would be asked.
        guards: Vec<Name>,
    },
    /// A policy starts an action.
    Decided {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// Which action of the run.
        action: ActionId,
        /// What to do.
        what: Action,
        /// To what.
        target: Target,
        /// Why.
        reason: String,
    },
    /// A policy would have started an action, and its stage forbids it.
    WouldAct {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// What it would do.
        what: Action,
        /// To what.
        target: Target,
        /// Why.
        reason: String,
    },
    /// A proposed action was refused.
    Refused {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// What was proposed; `None` if there was no target to propose it for.
        what: Option<Action>,
        /// To what, if it is known.
        target: Option<Target>,
        /// The guard that refused.
        guard: Name,
        /// The figures that it compared.
        figures: String,
        /// Who has the target, if it is refused because another policy has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_by: Option<Holder>,
    },
    /// A step's verification ended.
    Verified {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// How.
        verdict: Verification,
        /// The figures that it compared.
        figures: String,
        /// How long it took from the end of the action.
        took: Span,
    },
    /// A person is called.
    Paged {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Who.
        to: Name,
        /// Why.
        reason: String,
        /// What evidence is attached.
        with: Vec<Name>,
        /// The evidence itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// People are told, and nobody is called: the remediation goes on.
    Informed {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// Who.
        to: Name,
        /// What evidence was asked for.
        with: Vec<Name>,
        /// The evidence itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// Evidence was gathered as a step of its own, for whoever looks later.
    Collected {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// What was found.
        evidence: Vec<Evidence>,
    },
    /// A policy does not answer an alert: it is not taken up.
    Unanswered {
        /// Which policy.
        policy: Name,
        /// The alert's name.
        alert: Name,
        /// The labels of the alert.
        labels: LabelSet,
        /// Why.
        reason: String,
    },
    /// A policy chose among actions.
    Chosen {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// All that it weighed, the best first.
        candidates: Vec<Weighed>,
    },
    /// What a staged step acts on, and in which order.
    Planned {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// What is acted on together, wave after wave.
        waves: Vec<Vec<Target>>,
    },
    /// An action that a policy may not start by itself is proposed to a person.
    Proposed {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which step, counting from 0.
        step: u32,
        /// Counts from 0 within the policy.
        proposal: u64,
        /// What it would do.
        what: Action,
        /// To what.
        target: Target,
        /// Why it may not by itself.
        reason: String,
        /// The command by which a person would approve it.
        approve: String,
        /// Who is asked; `None`: nobody is named who could answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent: Option<Consent>,
    },
    /// How sure a policy is of an action that it starts next.
    Confident {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// What it starts.
        what: Action,
        /// On what.
        target: Target,
        /// How sure, 0 to 1 if it is a share.
        value: f64,
        /// Whether drills have shown it; else the policy claims it.
        is_measured: bool,
    },
    /// A person answered a proposal.
    Answered {
        /// Which policy.
        policy: Name,
        /// Which proposal of the policy.
        proposal: u64,
        /// Who.
        who: Name,
        /// As what.
        role: Name,
        /// Whether the action may start.
        yes: bool,
        /// Whether the answer counts.
        counts: bool,
        /// How many have said yes of how many, or why it does not count.
        figures: String,
    },
    /// Something became of a proposal for which people are asked.
    ProposalChanged {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Which proposal of the policy.
        proposal: u64,
        /// What.
        change: ProposalChange,
        /// Who said what, or what is not so any more.
        figures: String,
        /// How long it has been open.
        waited: Span,
    },
    /// A policy is done with an alert.
    IncidentClosed {
        /// Which policy.
        policy: Name,
        /// Which of its incidents.
        incident: u64,
        /// Why.
        reason: String,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 0 in the order of writing.
    pub number: u64,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub event: Event,
}

/// The journal's first line: what must be the same for the same bytes to come out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the engine.
    pub engine: String,
    /// The scenario's name.
    pub scenario: Name,
    /// BLAKE3 of the lowered scenario, hexadecimal.
    pub scenario_hash: String,
    /// BLAKE3 of the rule files, hexadecimal.
    pub rules_hash: String,
    /// The policies' names, empty for an arm without.
    pub policies: Vec<Name>,
    /// BLAKE3 of the policy files, hexadecimal.
    pub policies_hash: String,
    /// The arm: `nothing`, `policy`, `oracle`, …
    pub arm: Name,
    /// The seed.
    pub seed: u64,
    /// The calendar start, RFC 3339.
    pub start: String,
}

/// The records of one run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    records: Vec<Record>,
}

impl Journal {
    /// An empty journal.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: Vec::new() }
    }

    /// Writes down what happened at `at`.
    ///
    /// # Panics
    /// If `at` is before the last record: journal time never decreases.
    pub fn write(&mut self, at: Time, event: Event) {
        assert!(self.records.last().is_none_or(|last| last.at <= at), "journal time never decreases");
        self.records.push(Record { number: self.records.len() as u64, at, event });
    }

    /// All records in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// All records in order, the journal given up.
    #[must_use]
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// The body as JSON Lines, without a header.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            text.push_str(&serde_json::to_string(record).expect("a record is plain data"));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_reads_back() {
        let mut journal = Journal::new();
        journal.write(Time::from_seconds(60), Event::Scaled { service: Name::new("api"), from: 2, to: 4 });
        let text = journal.to_json_lines();
        assert_eq!(text, "{\"number\":0,\"at\":60000000000,\"event\":{\"scaled\":{\"service\":\"api\",\"from\":2,\"to\":4}}}\n");
        let record: Record = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(record, journal.records()[0]);
    }

    #[test]
    #[should_panic(expected = "journal time never decreases")]
    fn time_cannot_run_backwards() {
        let mut journal = Journal::new();
        journal.write(Time::from_seconds(2), Event::Noted { what: "later".into() });
        journal.write(Time::from_seconds(1), Event::Noted { what: "earlier".into() });
    }
}
