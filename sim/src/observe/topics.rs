//! Topics as exporters of their brokers show them: lag and offsets of a log, visible and hidden messages of a queue (docs/MODEL.md 4.3).

use std::collections::BTreeMap;

use firedrill_telemetry::labels::LabelsBuilder;
use firedrill_telemetry::store::Store;

use super::named;
use super::page::{Page, Sheet};
use crate::spec::TopicKind;
use crate::world::{Inbox, World};

/// The exporters that there are, by the kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broker {
    /// `kafka_exporter`, and the lag in seconds of `kafka-lag-exporter`.
    Kafka,
    /// Prometheus' `cloudwatch_exporter`.
    Sqs,
    /// RabbitMQ's own plugin.
    RabbitMq,
}

impl Broker {
    const ALL: [Self; 3] = [Self::Kafka, Self::Sqs, Self::RabbitMq];

    const fn of(kind: TopicKind) -> Self {
        match kind {
            TopicKind::Log(_) => Self::Kafka,
            TopicKind::Queue { visibility: Some(_) } => Self::Sqs,
            TopicKind::Queue { visibility: None } => Self::RabbitMq,
        }
    }

    const fn job(self) -> &'static str {
        match self {
            Self::Kafka => "kafka-exporter",
            Self::Sqs => "aws_sqs",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

/// What one exporter shows.
#[derive(Clone, Debug)]
pub(super) struct TopicPage {
    broker: Broker,
    pub(super) page: Page,
}

impl TopicPage {
    /// The exporters of a world, each with the name of its job.
    pub(super) fn all(world: &World) -> Vec<(&'static str, Self)> {
        let has = |broker: &Broker| world.spec.topics.iter().any(|topic| Broker::of(topic.kind) == *broker);
        Broker::ALL.into_iter().filter(has).map(|broker| (broker.job(), Self { broker, page: Page::default() })).collect()
    }

    pub(super) fn expose(&mut self, world: &World, store: &mut Store, at_ms: i64, labels: &LabelsBuilder) {
        let mut sheet = Sheet::new(store, &mut self.page, at_ms);
        if self.broker == Broker::Kafka {
            put_groups(&mut sheet, world, labels);
        }
        for (index, topic) in world.spec.topics.iter().enumerate().filter(|(_, topic)| Broker::of(topic.kind) == self.broker) {
            let mut inboxes = world.inboxes.iter().filter(|inbox| inbox.topic as usize == index).peekable();
            if self.broker == Broker::Kafka
                && let Some(any) = inboxes.peek()
            {
                put_log(&mut sheet, any, &labels.clone().set("topic", topic.name.as_str()));
            }
            for inbox in inboxes {
                let service = &world.spec.services[inbox.service as usize].name;
                match self.broker {
                    Broker::Kafka => {
                        let labels = labels.clone().set("consumergroup", service.as_str());
                        put_group(&mut sheet, inbox, &labels.set("topic", topic.name.as_str()));
                    }
                    _ => put_queue(&mut sheet, (world, inbox), labels, &queue_name(world, inbox), self.broker == Broker::Sqs),
                }
            }
        }
    }
}

/// A queue is called as its topic, and where several services take a topic, each has a queue of its own.
fn queue_name(world: &World, inbox: &Inbox) -> String {
    let topic = &world.spec.topics[inbox.topic as usize].name;
    let is_shared = world.inboxes.iter().filter(|other| other.topic == inbox.topic).count() > 1;
    if is_shared { format!("{topic}-{}", world.spec.services[inbox.service as usize].name) } else { topic.to_string() }
}

/// What a log says of itself; every group has a copy, and all end alike.
fn put_log(sheet: &mut Sheet<'_>, inbox: &Inbox, labels: &LabelsBuilder) {
    sheet.put(Some(inbox.partitions.len() as f64), || named("kafka_topic_partitions", labels));
    for (number, partition) in inbox.partitions.iter().enumerate() {
        let labels = labels.clone().set("partition", number.to_string());
        sheet.put(Some(partition.end() as f64), || named("kafka_topic_partition_current_offset", &labels));
    }
}

/// What is told of whole groups, whatever topics they take: their members by `kafka_exporter`, and the longest lag by `kafka-lag-exporter`, which
/// has labels of its own.
fn put_groups(sheet: &mut Sheet<'_>, world: &World, labels: &LabelsBuilder) {
    let is_log = |inbox: &&Inbox| Broker::of(world.spec.topics[inbox.topic as usize].kind) == Broker::Kafka;
    let mut groups: BTreeMap<u32, (usize, f64)> = BTreeMap::new();
    for inbox in world.inboxes.iter().filter(is_log) {
        let (members, lag) = groups.entry(inbox.service).or_default();
        *members = (*members).max(inbox.group.len());
        *lag = lag.max(world.oldest_age(inbox).as_seconds());
    }
    for (service, (members, lag)) in groups {
        let name = world.spec.services[service as usize].name.as_str();
        sheet.put(Some(members as f64), || named("kafka_consumergroup_members", &labels.clone().set("consumergroup", name)));
        sheet.put(Some(lag), || {
            let labels = labels.clone().set("cluster_name", "kafka").set("group", name).set("is_simple_consumer", "false");
            named("kafka_consumergroup_group_max_lag_seconds", &labels)
        });
    }
}

fn put_group(sheet: &mut Sheet<'_>, inbox: &Inbox, labels: &LabelsBuilder) {
    let mut sum = 0;
    for (number, partition) in inbox.partitions.iter().enumerate() {
        let labels = labels.clone().set("partition", number.to_string());
        let lag = partition.end() - partition.committed;
        sum += lag;
        sheet.put(Some(partition.committed as f64), || named("kafka_consumergroup_current_offset", &labels));
        sheet.put(Some(lag as f64), || named("kafka_consumergroup_lag", &labels));
    }
    sheet.put(Some(sum as f64), || named("kafka_consumergroup_lag_sum", labels));
}

fn put_queue(sheet: &mut Sheet<'_>, (world, inbox): (&World, &Inbox), labels: &LabelsBuilder, name: &str, is_sqs: bool) {
    let (visible, hidden) = inbox.visible_and_hidden();
    let (visible, hidden) = (visible as f64, hidden as f64);
    let age = world.oldest_age(inbox).as_seconds();
    if is_sqs {
        let labels = labels.clone().set("queue_name", name);
        let dead = labels.clone().set("queue_name", format!("{name}-dlq"));
        sheet.put(Some(visible), || named("aws_sqs_approximate_number_of_messages_visible_average", &labels));
        sheet.put(Some(hidden), || named("aws_sqs_approximate_number_of_messages_not_visible_average", &labels));
        sheet.put(Some(age), || named("aws_sqs_approximate_age_of_oldest_message_maximum", &labels));
        sheet.put(Some(inbox.totals.dead as f64), || named("aws_sqs_approximate_number_of_messages_visible_average", &dead));
        return;
    }
    let labels = labels.clone().set("queue", name).set("vhost", "/");
    let dead = labels.clone().set("queue", format!("{name}-dlq"));
    sheet.put(Some(visible + hidden), || named("rabbitmq_queue_messages", &labels));
    sheet.put(Some(visible), || named("rabbitmq_queue_messages_ready", &labels));
    sheet.put(Some(hidden), || named("rabbitmq_queue_messages_unacked", &labels));
    sheet.put(Some(inbox.consumers() as f64), || named("rabbitmq_queue_consumers", &labels));
    for metric in ["rabbitmq_queue_messages", "rabbitmq_queue_messages_ready"] {
        sheet.put(Some(inbox.totals.dead as f64), || named(metric, &dead));
    }
}
