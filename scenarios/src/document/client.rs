//! Clients and what callers do when they get no answer.

use firedrill_core::name::Name;
use firedrill_core::problem::{Located, Place};
use firedrill_core::quantity::{Rate, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};
use firedrill_sim::spec::{Access, Cause, Causes, Growth, Jitter, Priority};

use crate::document::database::read_access;
use crate::document::load::{self, LoadDocument};
use crate::document::protection::{self, BudgetDocument, ProtectionDocument, read_budget};
use crate::document::queue::read_priority;
use crate::document::{items, positive_or_none};
use crate::notation::{bounded_span, optional, positive_span, required, unless};
use crate::problem;

/// An entry of `clients`.
#[derive(Clone, Debug)]
pub struct ClientDocument {
    /// Its name.
    pub name: Located<Name>,
    /// Whom it asks, and for what.
    pub calls: Option<CalledDocument>,
    /// Its rate: one for the whole run, or several with their times.
    pub rates: Vec<RateDocument>,
    /// Who asks instead of arrivals at a rate, or several times each; how the rate varies; who tries again by hand.
    pub load: LoadDocument,
    /// How long one attempt is waited for; the inner `None` is for ever.
    pub timeout: Option<Located<Option<Span>>>,
    /// What it does when an attempt fails.
    pub retries: Option<RetriesDocument>,
    /// What stands between it and the service.
    pub protection: ProtectionDocument,
    /// A request that takes longer is bad.
    pub objective: Option<Located<Span>>,
    /// Users behind the arrivals of a minute.
    pub users: Option<Located<u64>>,
    /// How important its requests are.
    pub priority: Option<Located<Priority>>,
}

/// `calls: api`, or `calls: { service: api, endpoint: /checkout }`.
#[derive(Clone, Debug)]
pub struct CalledDocument {
    /// The service.
    pub service: Located<Name>,
    /// The endpoint; the default one if it says nothing.
    pub endpoint: Option<Located<Name>>,
    /// What it does there, if that is a database.
    pub access: Option<Located<Access>>,
}

/// A rate, and from when on it holds.
#[derive(Clone, Debug)]
pub struct RateDocument {
    /// From when on.
    pub at: Located<Span>,
    /// How many requests a second.
    pub rate: Located<Rate>,
}

/// `retries: { max: 3, backoff: 100ms, factor: x2, cap: 1s, jitter: true }`.
#[derive(Clone, Debug, Default)]
pub struct RetriesDocument {
    /// Whose retries these are, where they say nothing else.
    pub preset: Option<Located<RetryPreset>>,
    /// Retries after the first attempt.
    pub max: Option<Located<u32>>,
    /// The pause before the first retry.
    pub backoff: Option<Located<Span>>,
    /// The growth from one pause to the next.
    pub factor: Option<Located<Growth>>,
    /// The longest pause.
    pub cap: Option<Located<Span>>,
    /// What luck makes of pauses.
    pub jitter: Option<Located<Jitter>>,
    /// What keeps retries a small part of all attempts.
    pub budget: Option<BudgetDocument>,
    /// The failures after which it tries again.
    pub on: Option<Located<Causes>>,
    /// How often it chooses anew rather than ask whom it has asked.
    pub elsewhere: Option<Located<u32>>,
    /// How long all attempts may take together; the inner `None` is for ever.
    pub within: Option<Located<Option<Span>>>,
    /// The pause before the first retry after a 429.
    pub throttled_backoff: Option<Located<Span>>,
    /// What it makes of `Retry-After`; the inner `None` is nothing.
    pub retry_after: Option<Located<Option<HeedDocument>>>,
}

/// `retry_after: aws`, or `retry_after: { instead: true, most: 5m, jitter: 50% }`.
#[derive(Clone, Debug, Default)]
pub struct HeedDocument {
    /// Whose way it is; then nothing else is said.
    pub of: Option<&'static str>,
    /// Whether it replaces the caller's own pause.
    pub instead: Option<Located<bool>>,
    /// The longest time that is heeded; the inner `None` is any.
    pub most: Option<Located<Option<Span>>>,
    /// What is added at random.
    pub jitter: Option<Located<Ratio>>,
}

/// The systems that heed `Retry-After` each in its way; what they do stands in the list of defaults.
pub const HEEDED: [&str; 4] = ["aws", "envoy", "google", "grpc"];

/// The systems whose retries have a name here; what they are stands in the list of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPreset {
    /// AWS SDKs, standard mode.
    Aws,
    /// Envoy's retry policy.
    Envoy,
    /// Finagle's requeues.
    Finagle,
    /// gRPC's retry policy with its throttling.
    Grpc,
    /// Istio's default.
    Istio,
    /// resilience4j's Retry.
    Resilience4j,
}

impl RetryPreset {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("aws", Self::Aws),
        ("envoy", Self::Envoy),
        ("finagle", Self::Finagle),
        ("grpc", Self::Grpc),
        ("istio", Self::Istio),
        ("resilience4j", Self::Resilience4j),
    ];
}

/// The most retries after one attempt.
const MOST_RETRIES: i64 = 100;

/// Reads an entry of `clients`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> ClientDocument {
    let mut client = ClientDocument {
        name,
        calls: None,
        rates: Vec::new(),
        load: LoadDocument::default(),
        timeout: None,
        retries: None,
        protection: ProtectionDocument::default(),
        objective: None,
        users: None,
        priority: None,
    };
    let Some(mut fields) = reader.fields(node, "a client") else { return client };
    client.calls = fields.required(reader, "calls").and_then(|node| read_called(reader, node));
    client.load = load::read(reader, &mut fields);
    let rate = if client.load.replaces_rate() { fields.optional("rate") } else { fields.required(reader, "rate") };
    if let Some(node) = rate {
        client.rates = read_rates(reader, node);
        if client.load.replaces_rate() {
            let remedy = "keep one of `rate`, `trace` and `closed`";
            reader.problem(problem::impossible(&node.place, "a rate beside what says who asks and when", remedy));
        }
    }
    client.timeout = optional(reader, &mut fields, "timeout", |r, n| positive_or_none(r, n, "the timeout"));
    client.retries = fields.optional("retries").map(|node| read_retries(reader, node));
    client.protection = protection::read(reader, &mut fields);
    client.objective = optional(reader, &mut fields, "objective", |r, n| positive_span(r, n, "the objective"));
    client.users = optional(reader, &mut fields, "users", |r, n| r.integer(n, "users", 1..=10_000_000_000).map(|users| users as u64));
    client.priority = optional(reader, &mut fields, "priority", read_priority);
    fields.finish(reader);
    client
}

fn read_called(reader: &mut Reader, node: &Node) -> Option<CalledDocument> {
    if let Value::Map(_) = &node.value {
        let mut fields = reader.fields(node, "what a client calls")?;
        let service = required(reader, &mut fields, "service", |r, n| r.name(n, "the name of a service"));
        let endpoint = optional(reader, &mut fields, "endpoint", |r, n| r.name(n, "the name of an endpoint"));
        let access = read_access(reader, &mut fields);
        fields.finish(reader);
        return Some(CalledDocument { service: service?, endpoint, access });
    }
    let service = reader.name(node, "the name of a service")?;
    Some(CalledDocument { service: Located { place: node.place.clone(), value: service }, endpoint: None, access: None })
}

fn read_rates(reader: &mut Reader, node: &Node) -> Vec<RateDocument> {
    if let Value::List(nodes) = &node.value {
        if nodes.is_empty() {
            let remedy = "write one, such as `rate: 10/s`, or a series, such as `rate: [{ at: 0s, rate: 10/s }]`";
            reader.problem(problem::nothing_there(&node.place, "the series of rates is empty", remedy));
        }
        return items(reader, node, "the rates", |r, n| {
            let mut fields = r.fields(n, "a rate in a series")?;
            let at = required(r, &mut fields, "at", |r, n| bounded_span(r, n, "the time of a rate"));
            let rate = required(r, &mut fields, "rate", read_rate);
            fields.finish(r);
            Some(RateDocument { at: at?, rate: rate? })
        });
    }
    let rate = read_rate(reader, node).map(|value| Located { place: node.place.clone(), value });
    let at = Located { place: node.place.clone(), value: Span::ZERO };
    rate.map(|rate| RateDocument { at, rate }).into_iter().collect()
}

/// Reads a rate that can be simulated.
pub fn read_rate(reader: &mut Reader, node: &Node) -> Option<Rate> {
    let rate = reader.rate(node, "the rate")?;
    if rate.get() > problem::HIGHEST_RATE {
        reader.problem(problem::too_much(&node.place, "the rate", &rate.to_string(), "10000000/s"));
        return None;
    }
    Some(rate)
}

/// Reads `retries: { … }` of a client or a call.
pub fn read_retries(reader: &mut Reader, node: &Node) -> RetriesDocument {
    let mut retries = RetriesDocument::default();
    if matches!(node.value, Value::Text(_)) {
        retries.preset = read_preset(reader, node).map(|value| Located { place: node.place.clone(), value });
        return retries;
    }
    let Some(mut fields) = reader.fields(node, "retries") else { return retries };
    retries.preset = optional(reader, &mut fields, "preset", read_preset);
    let max = |r: &mut Reader, n: &Node| r.integer(n, "the number of retries", 0..=MOST_RETRIES).map(|max| max as u32);
    retries.max = match fields.has("preset") {
        true => optional(reader, &mut fields, "max", max),
        false => required(reader, &mut fields, "max", max),
    };
    retries.backoff = optional(reader, &mut fields, "backoff", |r, n| bounded_span(r, n, "the pause before a retry"));
    retries.factor = optional(reader, &mut fields, "factor", read_growth);
    retries.cap = optional(reader, &mut fields, "cap", |r, n| bounded_span(r, n, "the longest pause"));
    retries.jitter = optional(reader, &mut fields, "jitter", read_jitter);
    retries.budget = fields.optional("budget").and_then(|node| read_budget(reader, node));
    retries.on = optional(reader, &mut fields, "retry_on", |r, n| {
        if matches!(&n.value, Value::List(causes) if causes.is_empty()) {
            let remedy = "name a failure, such as `[timeout]`, or write `max: 0` where nothing is tried again";
            r.problem(problem::nothing_there(&n.place, "nothing is retried after any failure", remedy));
        }
        let causes = items(r, n, "what is retried", |r, n| r.one_of(n, "a failure", &Cause::WORDS));
        Some(Causes::of(causes))
    });
    retries.elsewhere = optional(reader, &mut fields, "elsewhere", |r, n| r.integer(n, "`elsewhere`", 0..=100).map(|times| times as u32));
    retries.within =
        optional(reader, &mut fields, "within", |r, n| unless(r, n, "none", |r, n| positive_span(r, n, "the time of all attempts")));
    retries.throttled_backoff =
        optional(reader, &mut fields, "throttled_backoff", |r, n| bounded_span(r, n, "the pause before a retry after a 429"));
    retries.retry_after = optional(reader, &mut fields, "retry_after", |r, n| unless(r, n, "none", read_heed));
    fields.finish(reader);
    check_retries(reader, &retries, &node.place);
    retries
}

/// Reads `retry_after:` of retries: the word of a system, or what it says of each part.
pub fn read_heed(reader: &mut Reader, node: &Node) -> Option<HeedDocument> {
    if matches!(node.value, Value::Text(_)) {
        let words = HEEDED.map(|word| (word, word));
        return reader
            .one_of(node, "a way to heed `Retry-After`", &words)
            .map(|of| HeedDocument { of: Some(of), ..HeedDocument::default() });
    }
    let mut fields = reader.fields(node, "what is made of `Retry-After`")?;
    let document = HeedDocument {
        of: None,
        instead: optional(reader, &mut fields, "instead", |r, n| r.boolean(n, "`instead`")),
        most: optional(reader, &mut fields, "most", |r, n| unless(r, n, "none", |r, n| positive_span(r, n, "the longest time heeded"))),
        jitter: optional(reader, &mut fields, "jitter", |r, n| r.ratio(n, "what is added at random")),
    };
    fields.finish(reader);
    Some(document)
}

fn read_preset(reader: &mut Reader, node: &Node) -> Option<RetryPreset> {
    reader.one_of(node, "a preset of retries", &RetryPreset::WORDS)
}

/// `true`, `false`, or a share to both sides.
fn read_jitter(reader: &mut Reader, node: &Node) -> Option<Jitter> {
    if matches!(node.value, Value::Text(_)) {
        return reader.ratio(node, "the jitter").map(Jitter::Around);
    }
    Some(if reader.boolean(node, "jitter")? { Jitter::Full } else { Jitter::None })
}

/// A factor, or the word for Envoy's pauses.
fn read_growth(reader: &mut Reader, node: &Node) -> Option<Growth> {
    if matches!(&node.value, Value::Text(text) if &**text == "envoy") {
        return Some(Growth::Doubled);
    }
    let factor = reader.factor(node, "the growth of pauses")?;
    if factor.get() < 1.0 || factor.get() > 1000.0 {
        reader.problem(problem::impossible(
            &node.place,
            &format!("pauses that grow by {factor}"),
            "write a factor from x1 (they stay as they are) to x1000",
        ));
        return None;
    }
    Some(Growth::Exponential(factor))
}

fn check_retries(reader: &mut Reader, retries: &RetriesDocument, place: &Place) {
    if retries.backoff.is_none()
        && retries.preset.is_none()
        && (retries.factor.is_some() || retries.cap.is_some() || retries.jitter.is_some())
    {
        reader.problem(problem::impossible(
            place,
            "pauses between retries are shaped, and none is asked for",
            "add `backoff:`, the first pause",
        ));
    }
    if let (Some(first), Some(longest)) = (&retries.backoff, &retries.cap)
        && first.value > longest.value
    {
        let why = format!("the first pause is {}, and the longest {}", first.value, longest.value);
        reader.problem(problem::impossible(&longest.place, &why, "let `cap` be no shorter than `backoff`"));
    }
    let is_retried = retries.on.as_ref().is_none_or(|on| on.value.contains(Cause::OverQuota));
    let heeds = retries.retry_after.as_ref().filter(|heed| heed.value.is_some()).map(|heed| &heed.place);
    if let Some(place) = heeds.or_else(|| retries.throttled_backoff.as_ref().map(|pause| &pause.place))
        && !is_retried
    {
        let why = "a pause after a 429, which is not tried again";
        reader.problem(problem::impossible(place, why, "add `over_quota` to `retry_on:`, or remove this"));
    }
}
