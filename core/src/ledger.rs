//! The ledgers of a run: what became of every request, and the true state of every service over time.
//!
//! Measures are computed from these and the journal, never from telemetry (docs/MEASURES.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::Target;
use crate::name::Name;
use crate::time::{Span, Time};

/// Requests and service states are binned by this span, requests by arrival.
pub const BIN: Span = Span::from_seconds(10);

/// What became of a user's request. The number is its byte in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RequestOutcome {
    /// Not answered when the run ended.
    Open = 0,
    /// Answered in time.
    Good = 1,
    /// Answered, slower than the objective.
    Slow = 2,
    /// Answered with an error, or given up.
    Failed = 3,
    /// Turned away by admission (queue full, limit).
    Shed = 4,
}

impl RequestOutcome {
    /// The outcome with this byte.
    ///
    /// # Panics
    /// If no outcome has it.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Open,
            1 => Self::Good,
            2 => Self::Slow,
            3 => Self::Failed,
            4 => Self::Shed,
            _ => panic!("no request outcome has this byte"),
        }
    }

    /// Whether the user was let down.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Slow | Self::Failed | Self::Shed)
    }
}

/// All requests of one client, in order of arrival.
///
/// Arrivals are exogenous: in every arm of one seed request `i` arrives at the same instant, so arms pair by index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLedger {
    /// The client's name.
    pub client: Name,
    /// Slower than this is bad.
    pub objective: Span,
    /// How many users stand behind the requests that arrive in a minute; `None`: arrivals a minute.
    pub users: Option<u64>,
    /// One byte a request, a [`RequestOutcome`]; the index is the request's ordinal.
    pub outcomes: Vec<u8>,
    /// `bin_starts[b]` is the ordinal of the first request that arrives in bin `b` or later.
    pub bin_starts: Vec<u64>,
    /// How many people came in each bin, where one may make several requests; none in those that are not there. `None`: each request is somebody's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<Vec<u64>>,
}

/// The true state of a service at the end of a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBin {
    /// Attempts that arrived during the bin.
    pub attempts: u64,
    /// Attempts that waited in queues at its end.
    pub queued: u64,
    /// Attempts in service at its end.
    pub in_service: u64,
    /// Requests to this service that wait for a back-off or are in a second or later attempt, at its end.
    pub retrying: u64,
    /// Replicas wanted.
    pub wanted: u32,
    /// Replicas that exist, whatever their state.
    pub replicas: u32,
    /// Replicas that take requests.
    pub ready: u32,
    /// The largest number of replicas that were out of service because of actions during the bin.
    pub removed_by_actions: u32,
    /// Whether a rollout was under way at its end.
    pub rolling_out: bool,
    /// Whether every replica ran a version marked healthy at its end.
    pub healthy_version: bool,
}

/// What a service did over the whole run. Attempts: `sent = completed + rejected + lost + in_service + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceTotals {
    /// Attempts that were sent to the service.
    pub sent: u64,
    /// Attempts that were worked off, whatever the answer, abandoned ones included.
    pub completed: u64,
    /// Attempts turned away (queue full, no replica ready).
    pub rejected: u64,
    /// Attempts lost with a replica, purged, or cancelled.
    pub lost: u64,
    /// Attempts in service at the end.
    pub in_service: u64,
    /// Attempts queued at the end.
    pub queued: u64,
    /// Completed attempts whose caller had given up.
    pub abandoned: u64,
    /// Answers that were out of date: of standbys that were too far behind, and of caches that held what had been changed.
    #[serde(default)]
    pub stale: u64,
    /// Writes that had been made and were lost when another replica became the primary.
    #[serde(default)]
    pub lost_writes: u64,
    /// Mean wait in queue of attempts that began service, seconds.
    pub mean_wait_seconds: f64,
    /// Mean time from arrival to completion, seconds.
    pub mean_response_seconds: f64,
    /// Median response of completed attempts, seconds.
    pub p50_response_seconds: f64,
    /// 95th percentile, seconds.
    pub p95_response_seconds: f64,
    /// 99th percentile, seconds.
    pub p99_response_seconds: f64,
    /// Share of worker time in use, 0 to 1.
    pub utilisation: f64,
    /// CPU seconds delivered.
    pub cpu_seconds: f64,
    /// Replica-hours that existed, whatever their state.
    pub replica_hours: f64,
}

/// What became of the messages of a topic, for one service that takes them: `published = processed + dead + dropped + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicTotals {
    /// Messages that were put in.
    pub published: u64,
    /// Messages that were worked off, each once.
    pub processed: u64,
    /// Times that a message was worked off again.
    pub repeated: u64,
    /// Dead letters, parked ones included.
    pub dead: u64,
    /// Messages that an action threw away.
    pub dropped: u64,
    /// Messages that are not worked off at the end.
    pub waiting: u64,
    /// Mean time from being published until being worked off, seconds.
    pub mean_wait_seconds: f64,
}

/// The messages of a topic, for one service that takes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicLedger {
    /// The topic.
    pub topic: Name,
    /// The service.
    pub service: Name,
    /// The services that put messages in.
    #[serde(default)]
    pub publishers: Vec<Name>,
    /// What became of them.
    pub totals: TopicTotals,
}

/// One service: where it stands in the call graph, its state over time, its totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceLedger {
    /// The service's name.
    pub service: Name,
    /// The services that it calls.
    pub calls: Vec<Name>,
    /// The clients that call it directly.
    pub clients: Vec<Name>,
    /// The zones that replicas of it stood in, sorted: one that is declared and never held any is not among them.
    pub zones: Vec<Name>,
    /// Replicas that the scenario declares.
    pub declared: u32,
    /// Whether an autoscaler changes how many are wanted.
    #[serde(default)]
    pub autoscaled: bool,
    /// Its caches, in the order in which they are declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Name>,
    /// Of a database, the replica that was its primary when the run ended; `None` if it had none then, and of every other service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<Name>,
    /// State at the end of each bin.
    pub bins: Vec<ServiceBin>,
    /// The whole run.
    pub totals: ServiceTotals,
}

impl ServiceLedger {
    /// How many replicas must be ready for nothing to be amiss: the declared ones, or as many as its autoscaler wants at the time.
    #[must_use]
    pub const fn needed(&self, state: &ServiceBin) -> u32 {
        if self.autoscaled { state.wanted } else { self.declared }
    }
}

/// When a fault was active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// The fault's name.
    pub fault: Name,
    /// The kind of fault.
    pub kind: Name,
    /// What it is attached to.
    pub target: Target,
    /// When it set in.
    pub started: Time,
    /// When it ended or was cured; `None` if it was active at the end of the run.
    pub ended: Option<Time>,
}

/// Everything true about a run that the journal does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// When the run ended.
    pub ended: Time,
    /// Events that the world processed.
    pub events: u64,
    /// One a client, sorted by name.
    pub clients: Vec<ClientLedger>,
    /// One a service, sorted by name.
    pub services: Vec<ServiceLedger>,
    /// One a topic and service that takes its messages, sorted by both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicLedger>,
    /// In order of onset.
    pub faults: Vec<FaultSpan>,
    /// Faults that had not set in when a bound ended the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults_to_come: u64,
    /// Machines by name, each with its zone; empty where machines are not modelled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<Name, Name>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Ledger {
    /// What had been taken on and is gone: writes that a failover lost, and messages that an action threw away.
    #[must_use]
    pub fn data_lost(&self) -> u64 {
        let writes = self.services.iter().map(|service| service.totals.lost_writes);
        writes.chain(self.topics.iter().map(|topic| topic.totals.dropped)).sum()
    }

    /// BLAKE3 of the requests' outcomes and arrivals; part of the fingerprint.
    #[must_use]
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for client in &self.clients {
            hasher.update(client.client.as_bytes());
            hasher.update(&(client.outcomes.len() as u64).to_le_bytes());
            hasher.update(&client.outcomes);
            for start in &client.bin_starts {
                hasher.update(&start.to_le_bytes());
            }
        }
        hasher.finalize()
    }
}
