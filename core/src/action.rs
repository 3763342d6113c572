//! What a policy may do to a system, and the capability without which nothing can be done.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::quantity::{Bytes, Factor, Rate, Ratio};
use crate::time::{Span, Time};

/// What a fault is attached to, or an action is aimed at.
///
/// Written and serialized as `service/api`, `replica/api-1`, `zone/a`, `client/users` or `node/blue-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A service, all its replicas.
    Service(Name),
    /// One replica. Replicas are named `SERVICE-INDEX`, as the pods of a StatefulSet are.
    Replica(Name),
    /// A zone, all that runs in it.
    Zone(Name),
    /// A client: whoever sends requests, a person's browser or a calling service.
    Client(Name),
    /// A node, all that runs on it.
    Node(Name),
}

impl Target {
    /// The name without its kind.
    #[must_use]
    pub const fn name(&self) -> &Name {
        match self {
            Self::Service(name) | Self::Replica(name) | Self::Zone(name) | Self::Client(name) | Self::Node(name) => name,
        }
    }

    /// The kind of thing, as written before the slash.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Replica(_) => "replica",
            Self::Zone(_) => "zone",
            Self::Client(_) => "client",
            Self::Node(_) => "node",
        }
    }

    /// The service meant: itself, or the one that the replica belongs to; `None` for zones, clients and nodes.
    #[must_use]
    pub fn service(&self) -> Option<Name> {
        match self {
            Self::Service(name) => Some(name.clone()),
            Self::Replica(name) => name.rsplit_once('-').map(|(service, _)| Name::new(service)),
            Self::Zone(_) | Self::Client(_) | Self::Node(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.name())
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a target such as `service/api`, `replica/api-1`, `zone/a`, `client/users` or `node/blue-0`");
        let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
        let name = Name::new(name);
        match kind {
            _ if name.is_empty() => Err(wrong()),
            "service" => Ok(Self::Service(name)),
            "replica" => Ok(Self::Replica(name)),
            "zone" => Ok(Self::Zone(name)),
            "client" => Ok(Self::Client(name)),
            "node" => Ok(Self::Node(name)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a restart goes through the replicas of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartMode {
    /// All together: no capacity until they are back.
    AtOnce,
    /// One after the other, each ready before the next goes.
    Rolling,
}

/// How many replicas a service shall have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Exactly this many.
    To(u32),
    /// So many more, or fewer if negative.
    By(i32),
    /// A multiple of the declared number, rounded up.
    Times(Factor),
}

/// How important the requests of a client are; calls inherit it from the request that they belong to. The most important come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Priority {
    /// Served first and turned away last.
    High = 0,
    /// In between.
    #[default]
    Normal = 1,
    /// Served last and turned away first.
    Low = 2,
}

impl Priority {
    /// How many classes there are.
    pub const COUNT: usize = 3;

    /// All classes, the most important first.
    pub const ALL: [Self; Self::COUNT] = [Self::High, Self::Normal, Self::Low];

    /// The word for it in files and journals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// What an action lays on the system until it is lifted, or until its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restraint {
    /// That of [`Action::LimitRetries`].
    LimitRetries,
    /// That of [`Action::CircuitBreak`].
    CircuitBreak,
    /// That of [`Action::Isolate`].
    Isolate,
    /// That of [`Action::ShedLoad`].
    ShedLoad,
    /// That of [`Action::RateLimit`].
    RateLimit,
    /// That of [`Action::Degrade`].
    Degrade,
    /// That of [`Action::SetLimit`].
    SetLimit,
    /// That of [`Action::ShiftTraffic`].
    ShiftTraffic,
    /// That of [`Action::PauseRollout`].
    PauseRollout,
    /// That of [`Action::Resize`].
    Resize,
}

impl Restraint {
    /// All of them with the words of the actions that lay them on.
    pub const WORDS: [(&'static str, Self); 10] = [
        ("limit_retries", Self::LimitRetries),
        ("circuit_break", Self::CircuitBreak),
        ("isolate", Self::Isolate),
        ("shed_load", Self::ShedLoad),
        ("rate_limit", Self::RateLimit),
        ("degrade", Self::Degrade),
        ("set_limit", Self::SetLimit),
        ("shift_traffic", Self::ShiftTraffic),
        ("pause_rollout", Self::PauseRollout),
        ("resize", Self::Resize),
    ];

    /// The word of the action that lays it on.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// What a service can have more or less of without being deployed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests that a replica serves at a time.
    Workers,
    /// Connections in each pool of the service.
    Pool,
    /// Threads that the operating system gives a process of the service; known to processes that start from then on.
    Threads,
}

impl Limit {
    /// All of them with their words.
    pub const WORDS: [(&'static str, Self); 3] = [("workers", Self::Workers), ("pool", Self::Pool), ("threads", Self::Threads)];

    /// The word in files and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// Which keys of a cache are thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// This share of all, whichever.
    Share(Ratio),
    /// Those whose names begin with this.
    Prefix(Name),
}

/// Something done to the world. docs/MODEL.md 2b says what each costs and spoils.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Kill and start again: a replica, or all replicas of a service. Loses what is in flight and queued there.
    Restart {
        /// One by one or together; a single replica is the same either way.
        mode: RestartMode,
    },
    /// Change the number of replicas of a service.
    Scale {
        /// The new number.
        replicas: Scale,
    },
    /// Go back to the version before the last deploy, by a rolling update.
    Rollback,
    /// Take a replica, a zone or all of a node out of load balancing, as far as disruption budgets allow; what is in flight there finishes.
    Drain,
    /// Drop all requests that wait in the queues of a service or replica; of a service also all messages that nobody has taken.
    PurgeQueue,
    /// Move the messages that a service has failed on to the dead letters.
    ParkMessages,
    /// Let a client (or every caller of a service) retry at most this often, for a while.
    LimitRetries {
        /// Retries allowed for one request; zero allows none.
        retries: u32,
        /// How long the limit holds.
        lasting: Span,
    },
    /// Let a standby of a database take the place of its primary.
    FailOver,
    /// Turn the flag of a service off that was turned on last.
    RevertFlag,
    /// Do nothing for a while, on purpose.
    Wait {
        /// How long.
        span: Span,
    },
    /// Let no call of a service through, for a while: callers that can do without its answer go on, the others fail at once.
    CircuitBreak {
        /// The caller, a service or a client; `None`: every caller.
        from: Option<Name>,
        /// How long.
        lasting: Span,
    },
    /// Let each process that calls a service have so few calls of it under way that it keeps its workers for other things.
    Isolate {
        /// Calls of one process that may be under way; the others fail at once.
        calls: u32,
        /// The caller, a service; `None`: every service.
        from: Option<Name>,
        /// How long.
        lasting: Span,
    },
    /// Turn requests away in front of a service, for a while.
    ShedLoad {
        /// The share of those that are not spared.
        share: Ratio,
        /// Requests that are at least so important are let in; `None`: nobody is spared.
        spare: Option<Priority>,
        /// How long.
        lasting: Span,
    },
    /// Let a client, or a service that calls others, ask no more than so often, for a while.
    RateLimit {
        /// Requests a second.
        rate: Rate,
        /// How long.
        lasting: Span,
    },
    /// Let a service leave out the calls that it can do without, for a while.
    Degrade {
        /// How long.
        lasting: Span,
    },
    /// End what an earlier action has laid on the target, before its time is over.
    Lift {
        /// Of which kind.
        what: Restraint,
    },
    /// Close the connections that the processes of a service have to others, and open new ones; what is under way ends first.
    ResetPool {
        /// The service that they lead to; `None`: all.
        to: Option<Name>,
    },
    /// Give a service more or less of something, until that is lifted.
    SetLimit {
        /// Of what.
        limit: Limit,
        /// How much.
        to: u32,
    },
    /// End the queries that a database works on.
    KillQueries {
        /// Only those that have run for so long.
        older: Span,
    },
    /// Let a cache of a service forget keys.
    FlushCache {
        /// Which cache; `None`: all of the service.
        cache: Option<Name>,
        /// Which keys.
        keys: Keys,
    },
    /// Send a zone another share of the requests than its replicas would get, until that is lifted.
    ShiftTraffic {
        /// What is left of its share; zero sends it nothing.
        share: Ratio,
    },
    /// Let a zone or a node that was drained take new replicas again.
    Undrain,
    /// Let nothing new come to a node; what is there stays.
    Cordon,
    /// Switch a node off and on again.
    RebootNode,
    /// Move all replicas off a node, and put another machine in its place.
    ReplaceNode,
    /// Delete what has filled the disks of a service or a replica, and stop what fills them.
    ClearDisk,
    /// Make the disks of a service or a replica larger.
    ExpandVolume {
        /// By how much.
        by: Bytes,
    },
    /// Give a service a new certificate.
    RenewCertificate,
    /// Set the configuration of all replicas of a service to what is declared.
    RevertDrift,
    /// Hold a rollout where it is, until that is lifted.
    PauseRollout,
    /// End the processes of a service or a replica without a word; they are started again after their back-off, as after a crash.
    Kill,
    /// Give each replica of a service another limit of memory, without a restart, until that is lifted.
    Resize {
        /// The limit.
        memory: Bytes,
    },
    /// Load a cache of a service with what is asked for most, from a copy that lies elsewhere.
    WarmCache {
        /// Which cache; `None`: all of the service.
        cache: Option<Name>,
        /// The share of all keys that it has afterwards, the most popular.
        share: Ratio,
    },
    /// Throw away the messages that a service has failed on.
    SkipMessage,
    /// Publish the dead letters of a service again.
    ReplayDeadLetters,
    /// Turn a flag of a service on or off.
    SetFlag {
        /// Which flag.
        flag: Name,
        /// Whether it is on afterwards.
        on: bool,
    },
}

impl Action {
    /// The word for it in files and reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "restart",
            Self::Scale { .. } => "scale",
            Self::Rollback => "rollback",
            Self::Drain => "drain",
            Self::PurgeQueue => "purge_queue",
            Self::ParkMessages => "park_messages",
            Self::LimitRetries { .. } => "limit_retries",
            Self::FailOver => "fail_over",
            Self::RevertFlag => "revert_flag",
            Self::Wait { .. } => "wait",
            Self::CircuitBreak { .. } => "circuit_break",
            Self::Isolate { .. } => "isolate",
            Self::ShedLoad { .. } => "shed_load",
            Self::RateLimit { .. } => "rate_limit",
            Self::Degrade { .. } => "degrade",
            Self::Lift { .. } => "lift",
            Self::ResetPool { .. } => "reset_pool",
            Self::SetLimit { .. } => "set_limit",
            Self::KillQueries { .. } => "kill_queries",
            Self::FlushCache { .. } => "flush_cache",
            Self::ShiftTraffic { .. } => "shift_traffic",
            Self::Undrain => "undrain",
            Self::Cordon => "cordon",
            Self::RebootNode => "reboot_node",
            Self::ReplaceNode => "replace_node",
            Self::ClearDisk => "clear_disk",
            Self::ExpandVolume { .. } => "expand_volume",
            Self::RenewCertificate => "renew_certificate",
            Self::RevertDrift => "revert_drift",
            Self::PauseRollout => "pause_rollout",
            Self::Kill => "kill",
            Self::Resize { .. } => "resize",
            Self::WarmCache { .. } => "warm_cache",
            Self::SkipMessage => "skip_message",
            Self::ReplayDeadLetters => "replay_dead_letters",
            Self::SetFlag { .. } => "set_flag",
        }
    }

    /// All words, in the order of the documentation.
    pub const WORDS: [&'static str; 36] = [
        "restart",
        "scale",
        "rollback",
        "drain",
        "purge_queue",
        "park_messages",
        "limit_retries",
        "fail_over",
        "revert_flag",
        "wait",
        "circuit_break",
        "isolate",
        "shed_load",
        "rate_limit",
        "degrade",
        "lift",
        "reset_pool",
        "set_limit",
        "kill_queries",
        "flush_cache",
        "shift_traffic",
        "undrain",
        "cordon",
        "reboot_node",
        "replace_node",
        "clear_disk",
        "expand_volume",
        "renew_certificate",
        "revert_drift",
        "pause_rollout",
        "kill",
        "resize",
        "warm_cache",
        "skip_message",
        "replay_dead_letters",
        "set_flag",
    ];

    /// The words of the actions that change something: all but that of waiting, in the order of [`Action::WORDS`].
    pub fn changing() -> impl Iterator<Item = &'static str> {
        Self::WORDS.into_iter().filter(|word| *word != "wait")
    }

    /// What it lays on its target until that is lifted; `None`: nothing of the kind.
    #[must_use]
    pub const fn restraint(&self) -> Option<Restraint> {
        match self {
            Self::LimitRetries { .. } => Some(Restraint::LimitRetries),
            Self::CircuitBreak { .. } => Some(Restraint::CircuitBreak),
            Self::Isolate { .. } => Some(Restraint::Isolate),
            Self::ShedLoad { .. } => Some(Restraint::ShedLoad),
            Self::RateLimit { .. } => Some(Restraint::RateLimit),
            Self::Degrade { .. } => Some(Restraint::Degrade),
            Self::SetLimit { .. } => Some(Restraint::SetLimit),
            Self::ShiftTraffic { .. } => Some(Restraint::ShiftTraffic),
            Self::PauseRollout => Some(Restraint::PauseRollout),
            Self::Resize { .. } => Some(Restraint::Resize),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    /// The word with what matters: `restart (rolling)`, `scale (to 4)`, `limit_retries (0 for 20s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart { mode: RestartMode::AtOnce } => f.write_str("restart (at once)"),
            Self::Restart { mode: RestartMode::Rolling } => f.write_str("restart (rolling)"),
            Self::Scale { replicas: Scale::To(count) } => write!(f, "scale (to {count})"),
            Self::Scale { replicas: Scale::By(count) } => write!(f, "scale (by {count:+})"),
            Self::Scale { replicas: Scale::Times(factor) } => write!(f, "scale ({factor})"),
            Self::LimitRetries { retries, lasting } => write!(f, "limit_retries ({retries} for {lasting})"),
            Self::Wait { span } => write!(f, "wait ({span})"),
            Self::CircuitBreak { from: None, lasting } => write!(f, "circuit_break (for {lasting})"),
            Self::CircuitBreak { from: Some(from), lasting } => write!(f, "circuit_break (from {from} for {lasting})"),
            Self::Isolate { calls, from: None, lasting } => write!(f, "isolate ({calls} for {lasting})"),
            Self::Isolate { calls, from: Some(from), lasting } => write!(f, "isolate ({calls} of {from} for {lasting})"),
            Self::ShedLoad { share, spare: None, lasting } => write!(f, "shed_load ({share} for {lasting})"),
            Self::ShedLoad { share, spare: Some(spare), lasting } => {
                write!(f, "shed_load ({share} below {} for {lasting})", spare.word())
            }
            Self::RateLimit { rate, lasting } => write!(f, "rate_limit ({rate} for {lasting})"),
            Self::Degrade { lasting } => write!(f, "degrade (for {lasting})"),
            Self::Lift { what } => write!(f, "lift ({})", what.word()),
            Self::ResetPool { to: Some(to) } => write!(f, "reset_pool (to {to})"),
            Self::SetLimit { limit, to } => write!(f, "set_limit ({} to {to})", limit.word()),
            Self::KillQueries { older } if *older > Span::ZERO => write!(f, "kill_queries (older than {older})"),
            Self::FlushCache { cache, keys } => {
                let cache = cache.as_ref().map_or_else(String::new, |cache| format!(" of {cache}"));
                match keys {
                    Keys::Share(share) => write!(f, "flush_cache ({share}{cache})"),
                    Keys::Prefix(prefix) => write!(f, "flush_cache ({prefix}{cache})"),
                }
            }
            Self::ShiftTraffic { share } => write!(f, "shift_traffic (to {share})"),
            Self::ExpandVolume { by } => write!(f, "expand_volume (by {by})"),
            Self::Resize { memory } => write!(f, "resize (memory to {memory})"),
            Self::WarmCache { cache: None, share } => write!(f, "warm_cache ({share})"),
            Self::WarmCache { cache: Some(cache), share } => write!(f, "warm_cache ({share} of {cache})"),
            Self::SetFlag { flag, on } => write!(f, "set_flag ({flag} {})", if *on { "on" } else { "off" }),
            _ => f.write_str(self.word()),
        }
    }
}

/// Which action of a run: the policy that asked, and how many it had asked for before.
///
/// Written and serialized as `policy#0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionId {
    /// Who asked.
    pub policy: Name,
    /// Counts from 0 within the policy.
    pub ordinal: u64,
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.policy, self.ordinal)
    }
}

impl Serialize for ActionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.rsplit_once('#').and_then(|(policy, ordinal)| Some((policy, ordinal.parse().ok()?)));
        let (policy, ordinal) = parts.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an action such as `policy#0`")))?;
        Ok(Self { policy: Name::new(policy), ordinal })
    }
}

/// An order to act. Only an [`Actuator`] can make one, so what has none cannot act (docs/ARCHITECTURE.md, invariant 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    id: ActionId,
    action: Action,
    target: Target,
    fence: Option<Fence>,
    modelled: Option<Modelled>,
}

/// What somebody stated of an action that stands for a part of a script or a workflow, instead of what actions usually are like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modelled {
    /// How long it takes until its effect begins.
    pub takes: Span,
    /// How often it is not carried out.
    pub fails: Ratio,
}

/// What tells, where an action lands, whether whoever gave it still holds its locks (Kleppmann, "How to do distributed locking", 2016).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Greater for who took the locks later.
    pub token: u64,
    /// What is locked, sorted.
    pub locks: Vec<Target>,
}

impl Command {
    /// Which action of the run this is.
    #[must_use]
    pub const fn id(&self) -> &ActionId {
        &self.id
    }

    /// What to do.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// To what.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The locks under which it was given; `None` if whoever gave it asks for none.
    #[must_use]
    pub const fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// What was stated of it; `None`: it is like other actions.
    #[must_use]
    pub const fn modelled(&self) -> Option<Modelled> {
        self.modelled
    }

    /// The same with what is stated of it.
    #[must_use]
    pub fn as_modelled(self, modelled: Option<Modelled>) -> Self {
        Self { modelled, ..self }
    }

    /// The same under locks.
    #[must_use]
    pub fn under(self, fence: Option<Fence>) -> Self {
        Self { fence, ..self }
    }
}

/// The capability to act. A controller in dry-run is not handed one, and has no other way to make a [`Command`].
#[derive(Clone, Copy, Debug)]
pub struct Actuator {
    _made_on_purpose: (),
}

impl Actuator {
    /// An actuator whose commands reach a simulated world, and nothing else exists today.
    #[must_use]
    pub const fn simulated() -> Self {
        Self { _made_on_purpose: () }
    }

    /// An order to do `action` to `target`.
    #[must_use]
    pub const fn command(self, id: ActionId, action: Action, target: Target) -> Command {
        Command { id, action, target, fence: None, modelled: None }
    }
}

/// What became of an action, as reported to who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// It was carried out.
    Succeeded,
    /// It was not, or only in part; the text says why.
    Failed(String),
    /// The platform turned it away, and nothing was done; the text says why.
    Refused(String),
}

impl ActionOutcome {
    /// Why it was not carried out, or only in part; `None` if it was.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Succeeded => None,
            Self::Failed(why) | Self::Refused(why) => Some(why),
        }
    }
}

/// The report that an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResult {
    /// Which action.
    pub action: ActionId,
    /// When it ended.
    pub at: Time,
    /// How.
    pub outcome: ActionOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written() {
        for text in ["service/api", "replica/api-gateway-1", "zone/a", "client/users", "node/blue-0"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["api", "service/", "pod/api-1"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_replica_belongs_to_the_service_before_its_last_dash() {
        assert_eq!("replica/api-gateway-1".parse::<Target>().unwrap().service(), Some(Name::new("api-gateway")));
    }
}
