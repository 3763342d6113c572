//! Topics, and the services that take messages out of them.

use firedrill_core::name::Name;
use firedrill_core::time::Span;

/// Where messages wait until a service takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: Name,
    /// How it hands them out.
    pub kind: TopicKind,
    /// The pause before a message is handed out again that was answered with an error, where nothing else says when that is.
    pub retry: Span,
    /// After so many deliveries that failed a message is a dead letter; `None`: it is delivered until it succeeds.
    pub dead_letters_after: Option<u32>,
}

/// How a topic hands out its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKind {
    /// As Kafka does: partitions, each read in its order by one member of a consumer group.
    Log(LogSpec),
    /// As SQS and RabbitMQ do: each message to anybody, in about their order.
    Queue {
        /// How long a message that was received is hidden from others; `None`: until whoever has it answers or ends.
        visibility: Option<Span>,
    },
}

/// A log in partitions, and the times that its consumer groups keep (docs/MODEL.md 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSpec {
    /// Partitions, at least 1.
    pub partitions: u32,
    /// A member that has not been heard of for so long is out of its group.
    pub session: Span,
    /// From one heartbeat of a member to the next; by its answer it learns that the group is formed anew.
    pub heartbeat: Span,
    /// A member that does not ask for more for so long leaves its group; also how long a group waits for its members.
    pub poll: Span,
    /// How long a group without members waits for others after the first has come.
    pub first_wait: Span,
}

/// What a service takes out of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeSpec {
    /// The topic.
    pub topic: Name,
    /// The endpoint whose work each message is.
    pub endpoint: Name,
    /// Messages that a replica takes at a time, at least 1.
    pub batch: u32,
    /// Messages that a replica works on at a time, at least 1; of a log at most one of each partition.
    pub at_once: u32,
}
