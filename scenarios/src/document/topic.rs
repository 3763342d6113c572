//! Topics, and what a service takes out of one.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};
use firedrill_sim::spec::FaultKind;

use crate::document::ScenarioDocument;
use crate::notation::{interval, optional, positive_span, required, unless};

/// An entry of `topics`: `orders: { partitions: 12 }`, or `mails: { preset: sqs }`.
#[derive(Clone, Debug)]
pub struct TopicDocument {
    /// Its name.
    pub name: Located<Name>,
    /// What it is like where it says nothing itself.
    pub preset: Option<Located<TopicPreset>>,
    /// Partitions of a log.
    pub partitions: Option<Located<u32>>,
    /// How long a member may be silent.
    pub session: Option<Located<Span>>,
    /// From one heartbeat to the next.
    pub heartbeat: Option<Located<Span>>,
    /// How long a member may work on what it has taken.
    pub poll: Option<Located<Span>>,
    /// How long a group that was empty waits for more members.
    pub first_wait: Option<Located<Span>>,
    /// How long a message of a queue is hidden; the inner `None`: until whoever has it ends.
    pub visibility: Option<Located<Option<Span>>>,
    /// The pause after a failure.
    pub retry: Option<Located<Span>>,
    /// Deliveries until a message is a dead letter; the inner `None`: any number.
    pub dead_letters_after: Option<Located<Option<u32>>>,
}

/// Brokers whose defaults a topic can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicPreset {
    /// Kafka, since its clients 3.0.
    Kafka,
    /// Kafka with clients before 3.0.
    KafkaBefore3,
    /// Amazon SQS, a standard queue.
    Sqs,
    /// RabbitMQ, a quorum queue.
    RabbitMq,
}

impl TopicPreset {
    /// Whether it is a log in partitions.
    #[must_use]
    pub const fn is_log(self) -> bool {
        matches!(self, Self::Kafka | Self::KafkaBefore3)
    }

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::KafkaBefore3 => "kafka-2",
            Self::Sqs => "sqs",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

/// `consumes: orders`, or `consumes: { topic: orders, batch: 100, at_once: 4 }`.
#[derive(Clone, Debug)]
pub struct ConsumesDocument {
    /// The topic.
    pub topic: Located<Name>,
    /// The endpoint whose work a message is.
    pub endpoint: Option<Located<Name>>,
    /// Messages that a replica takes at a time.
    pub batch: Option<Located<u32>>,
    /// Messages that a replica works on at a time.
    pub at_once: Option<Located<u32>>,
}

/// Reads an entry of `topics`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> TopicDocument {
    let mut topic = TopicDocument {
        name,
        preset: None,
        partitions: None,
        session: None,
        heartbeat: None,
        poll: None,
        first_wait: None,
        visibility: None,
        retry: None,
        dead_letters_after: None,
    };
    if matches!(node.value, Value::Null) {
        return topic;
    }
    let Some(mut fields) = reader.fields(node, "a topic") else { return topic };
    let presets =
        [TopicPreset::Kafka, TopicPreset::KafkaBefore3, TopicPreset::Sqs, TopicPreset::RabbitMq].map(|preset| (preset.word(), preset));
    topic.preset = optional(reader, &mut fields, "preset", |r, n| r.one_of(n, "a kind of topic", &presets));
    topic.partitions =
        optional(reader, &mut fields, "partitions", |r, n| r.integer(n, "the number of partitions", 1..=10_000).map(|count| count as u32));
    topic.session = optional(reader, &mut fields, "session_timeout", |r, n| positive_span(r, n, "the timeout of a session"));
    topic.heartbeat = optional(reader, &mut fields, "heartbeat", |r, n| interval(r, n, "the time between heartbeats"));
    topic.poll = optional(reader, &mut fields, "poll_interval", |r, n| positive_span(r, n, "the longest time between polls"));
    topic.first_wait = optional(reader, &mut fields, "first_wait", |r, n| positive_span(r, n, "the wait of an empty group"));
    topic.visibility = optional(reader, &mut fields, "visibility", |r, n| {
        unless(r, n, "none", |r, n| positive_span(r, n, "the time that a message is hidden"))
    });
    topic.retry = optional(reader, &mut fields, "retry", |r, n| positive_span(r, n, "the pause after a failure"));
    topic.dead_letters_after = optional(reader, &mut fields, "dead_letters_after", |r, n| {
        unless(r, n, "never", |r, n| r.integer(n, "the number of deliveries", 1..=1_000_000).map(|count| count as u32))
    });
    fields.finish(reader);
    topic
}

/// Reads the `consumes` of a service.
pub fn read_consumes(reader: &mut Reader, node: &Node) -> Option<ConsumesDocument> {
    let name = |r: &mut Reader, n: &Node| r.name(n, "the name of a topic");
    if !matches!(node.value, Value::Map(_)) {
        let topic = Located { place: node.place.clone(), value: name(reader, node)? };
        return Some(ConsumesDocument { topic, endpoint: None, batch: None, at_once: None });
    }
    let mut fields = reader.fields(node, "what a service consumes")?;
    let topic = required(reader, &mut fields, "topic", name);
    let endpoint = optional(reader, &mut fields, "endpoint", |r, n| r.name(n, "the name of an endpoint"));
    let batch = optional(reader, &mut fields, "batch", |r, n| r.integer(n, "the size of a batch", 1..=10_000).map(|count| count as u32));
    let at_once = optional(reader, &mut fields, "at_once", |r, n| {
        r.integer(n, "the number of messages at once", 1..=10_000).map(|count| count as u32)
    });
    fields.finish(reader);
    Some(ConsumesDocument { topic: topic?, endpoint, batch, at_once })
}

/// Says of poisoned messages who will take them; the first if there are several, and nobody if there is none.
pub fn resolve(document: &mut ScenarioDocument) {
    let takers: Vec<(Name, Name)> = document
        .services
        .iter()
        .filter_map(|service| Some((service.consumes.as_ref()?.topic.value.clone(), service.name.value.clone())))
        .collect();
    for fault in document.faults.iter_mut().chain(&mut document.changes) {
        if let FaultKind::Poison { topic, service, .. } = &mut fault.kind
            && let Some((_, taker)) = takers.iter().find(|(known, _)| known == topic)
        {
            service.clone_from(taker);
        }
    }
}
