//! Topics with every default filled in, and whether somebody takes what is published.

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::time::Span;
use firedrill_core::words::counted;
use firedrill_core::yaml::Reader;
use firedrill_sim::spec::{ConsumeSpec, LogSpec, TopicKind, TopicSpec};

use crate::defaults;
use crate::document::ScenarioDocument;
use crate::document::service::{PhaseDocument, ServiceDocument};
use crate::document::topic::{ConsumesDocument, TopicDocument, TopicPreset};
use crate::lower::names::Names;
use crate::lower::or;
use crate::problem;

/// Lowers the topics of a document, sorted by name, and checks who publishes and who consumes.
pub fn lower(reader: &mut Reader, document: &ScenarioDocument) -> Vec<TopicSpec> {
    let mut topics: Vec<TopicSpec> = document.topics.iter().map(|topic| lower_topic(reader, topic)).collect();
    topics.sort_by(|left, right| left.name.cmp(&right.name));
    let known: Vec<&str> = document.topics.iter().map(|topic| topic.name.value.as_str()).collect();
    for (name, place) in named(document) {
        if !known.contains(&name.as_str()) {
            reader.problem(problem::unknown(place, "topic", name, &known));
        }
    }
    for topic in &document.topics {
        let is_read = consumers(document).any(|(_, consumes)| consumes.topic.value == topic.name.value);
        if !is_read {
            let what = format!("nobody takes the messages of `{}`", topic.name.value);
            let remedy = format!("let a service say `consumes: {}`", topic.name.value);
            reader.problem(problem::impossible(&topic.name.place, &what, &remedy));
        }
    }
    let published: Vec<&Name> = publishing(document).map(|(name, _)| name).collect();
    for topic in document.topics.iter().filter(|topic| !published.contains(&&topic.name.value)) {
        let what = format!("nobody puts messages into `{}`", topic.name.value);
        let remedy = format!("let a step of work say `publish: {}`, or leave the topic out", topic.name.value);
        reader.problem(problem::impossible(&topic.name.place, &what, &remedy));
    }
    for (service, consumes) in consumers(document) {
        check_batch(reader, document, service, consumes);
    }
    topics
}

/// All topics that are named, by those who publish and those who consume.
fn named(document: &ScenarioDocument) -> impl Iterator<Item = (&Name, &Place)> {
    publishing(document).chain(consumers(document).map(|(_, consumes)| (&consumes.topic.value, &consumes.topic.place)))
}

/// The topics that messages are put into.
fn publishing(document: &ScenarioDocument) -> impl Iterator<Item = (&Name, &Place)> {
    let published = document.services.iter().flat_map(|service| &service.endpoints).flat_map(|endpoint| &endpoint.work);
    published.filter_map(|phase| match phase {
        PhaseDocument::Publish(topic) => Some((&topic.value, &topic.place)),
        _ => None,
    })
}

fn consumers(document: &ScenarioDocument) -> impl Iterator<Item = (&ServiceDocument, &ConsumesDocument)> {
    document.services.iter().filter_map(|service| Some((service, service.consumes.as_ref()?)))
}

fn preset(topic: &TopicDocument) -> TopicPreset {
    topic.preset.as_ref().map_or(TopicPreset::Kafka, |preset| preset.value)
}

/// The key of a default of a preset; that of the broker if the preset has none of its own.
fn default_of(preset: TopicPreset, key: &str) -> String {
    let own = format!("topics.{}.{key}", preset.word());
    if defaults::ALL.iter().any(|entry| entry.key == own) { own } else { format!("topics.kafka.{key}") }
}

fn lower_topic(reader: &mut Reader, said: &TopicDocument) -> TopicSpec {
    let preset = preset(said);
    check_words(reader, said, preset);
    let span = |said: &Option<Located<Span>>, key: &str| or(said.as_ref(), || defaults::span(&default_of(preset, key)));
    let kind = if preset.is_log() {
        let log = LogSpec {
            partitions: or(said.partitions.as_ref(), || defaults::count("topics.kafka.partitions")),
            session: span(&said.session, "session_timeout"),
            heartbeat: span(&said.heartbeat, "heartbeat"),
            poll: span(&said.poll, "poll_interval"),
            first_wait: span(&said.first_wait, "first_wait"),
        };
        check_heartbeat(reader, said, &log);
        TopicKind::Log(log)
    } else {
        TopicKind::Queue { visibility: or(said.visibility.as_ref(), || defaults::span_or_none(&default_of(preset, "visibility"))) }
    };
    let deliveries = || match defaults::text(&default_of(preset, "dead_letters_after")) {
        "never" => None,
        count => Some(count.parse().expect("defaults are counts where they should be")),
    };
    TopicSpec {
        name: said.name.value.clone(),
        kind,
        retry: or(said.retry.as_ref(), || defaults::span("topics.*.retry")),
        dead_letters_after: or(said.dead_letters_after.as_ref(), deliveries),
    }
}

/// A member that is silent for as long as its session lasts is out, so no client takes a heartbeat that comes later (`Heartbeat` of Kafka's).
fn check_heartbeat(reader: &mut Reader, said: &TopicDocument, log: &LogSpec) {
    let Some(place) = said.heartbeat.as_ref().or(said.session.as_ref()).map(|said| &said.place) else { return };
    if log.heartbeat >= log.session {
        let what = format!("a heartbeat every {}, and a session that is over after {} without one", log.heartbeat, log.session);
        reader.problem(problem::impossible(place, &what, "let `heartbeat` be less than `session_timeout`; a third of it is usual"));
    }
}

/// A log has partitions and groups, and a queue hides what is taken: neither has what the other has.
fn check_words(reader: &mut Reader, said: &TopicDocument, preset: TopicPreset) {
    let spans = [&said.session, &said.heartbeat, &said.poll, &said.first_wait].map(|span| span.as_ref().map(|span| &span.place));
    let of_log = spans.into_iter().chain([said.partitions.as_ref().map(|said| &said.place)]).flatten();
    let of_queue = said.visibility.iter().map(|said| &said.place);
    let wrong: Vec<&Place> = if preset.is_log() { of_queue.collect() } else { of_log.collect() };
    for place in wrong {
        let (is, has) = if preset.is_log() { ("log", "partitions and a group that shares them") } else { ("queue", "`visibility`") };
        let what = format!("`{}` is a {is} as {} has it: it has {has}", said.name.value, preset.word());
        reader.problem(problem::impossible(place, &what, "remove this, or write another `preset`"));
    }
}

/// A queue hides what is taken for a time in which a whole batch may not be done: that is for people to know, and no mistake. But a log gives
/// a member only whole partitions.
fn check_batch(reader: &mut Reader, document: &ScenarioDocument, service: &ServiceDocument, consumes: &ConsumesDocument) {
    let Some(topic) = document.topics.iter().find(|topic| topic.name.value == consumes.topic.value) else { return };
    let Some(at_once) = &consumes.at_once else { return };
    let partitions = or(topic.partitions.as_ref(), || defaults::count("topics.kafka.partitions"));
    if preset(topic).is_log() && at_once.value > partitions {
        let what = format!(
            "`{}` works on {} messages at once, one of each partition, and `{}` has {}",
            service.name.value,
            at_once.value,
            topic.name.value,
            counted(u64::from(partitions), "partition")
        );
        reader.problem(problem::impossible(&at_once.place, &what, "write at most the number of partitions, or add partitions"));
    }
}

/// Lowers what a service consumes.
pub fn lower_consumes(reader: &mut Reader, names: &Names, service: &ServiceDocument) -> Option<ConsumeSpec> {
    let said = service.consumes.as_ref()?;
    if service.database.is_some() {
        let remedy = "let a service consume it that calls the database";
        reader.problem(problem::impossible(&said.topic.place, "a database takes no messages", remedy));
    }
    let place = said.endpoint.as_ref().map_or(&said.topic.place, |endpoint| &endpoint.place);
    let preset = names.topics.get(&said.topic.value).copied().unwrap_or(TopicPreset::Kafka);
    let count = |key: &str| defaults::count(&default_of(preset, key));
    Some(ConsumeSpec {
        topic: said.topic.value.clone(),
        endpoint: names.endpoint(reader, &service.name.value, said.endpoint.as_ref().map(|endpoint| &endpoint.value), place),
        batch: or(said.batch.as_ref(), || count("batch")),
        at_once: or(said.at_once.as_ref(), || defaults::count("consumes.at_once")),
    })
}
