//! The input document of policy as code: what is known of an action when it is proposed. docs/policy-as-code.schema.json describes it.
//!
//! Invariant: every field that a rule reads is always there; what is not known is `null`, an empty list or an empty map, so that no rule is silently
//! undefined for want of a field.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is offered to the rules: one action that a policy wants to start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offered {
    /// Always 1; it changes when a field changes its meaning or goes away.
    pub version: u32,
    /// Whose action it is.
    pub policy: Owned,
    /// What the policy answers.
    pub alert: Alert,
    /// What it wants to do.
    pub action: Deed,
    /// To what.
    pub target: Target,
    /// What the guards before said, by their names.
    pub guards: BTreeMap<&'static str, Asked>,
    /// Every action under way or not yet verified, of all policies, this incident's earlier ones among them.
    pub in_flight: Vec<InFlight>,
    /// When.
    pub time: Time,
    /// How sure the policy is, 0 to 1; `null` if it does not say.
    pub confidence: Option<f64>,
}

/// The policy that proposes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Owned {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// The stage at which it runs.
    pub stage: &'static str,
    /// The number of the incident, from 0.
    pub incident: u64,
    /// The number of its step, from 1.
    pub step: u64,
}

/// The alert that is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// When it began to fire, seconds since the Unix epoch; `null` if it is over already.
    pub since: Option<f64>,
}

/// The action.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deed {
    /// Its word in policies, such as `restart`.
    pub word: &'static str,
    /// Its parameters as the journal has them; empty if it has none.
    pub parameters: serde_json::Value,
    /// It in words, such as `restart (rolling)`.
    pub text: String,
    /// Whether what it does ends with it or can be undone.
    pub is_reversible: bool,
    /// How many replicas it takes from their users at one time.
    pub replicas: u64,
}

/// What the action is aimed at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// `service`, `replica`, `zone`, `client` or `node`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The services that the action touches, sorted; empty for a client.
    pub services: Vec<String>,
    /// The zones that it touches, sorted; empty for a client, or where none are declared.
    pub zones: Vec<String>,
    /// `critical` if any service that it touches is or is not declared, else `standard`.
    pub tier: &'static str,
    /// Who owns the services that it touches, sorted; empty if nobody said.
    pub owners: Vec<String>,
    /// Declared replicas of the services that it touches.
    pub replicas: u64,
}

/// What one guard said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// `passed` or `not_configured`.
    pub verdict: &'static str,
    /// The figures that it compared.
    pub figures: String,
}

/// An action that is in flight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InFlight {
    /// Whose it is.
    pub policy: String,
    /// The number of the policy's incident.
    pub incident: u64,
    /// The action's word.
    pub action: &'static str,
    /// What it is aimed at, such as `replica/api-1`.
    pub target: String,
    /// Whether it has not ended; else it has, and is not yet verified.
    pub is_running: bool,
}

/// The time of the proposal: that of the run or of the recording, never that of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// RFC 3339 in UTC.
    pub rfc3339: String,
    /// Seconds since the Unix epoch.
    pub epoch: f64,
    /// Seconds since the start of the run.
    pub elapsed: f64,
}
