//! What stands between a request and a worker, as written: the queue and its order, deadlines, limits of concurrency and of rate.

use firedrill_core::problem::Located;
use firedrill_core::quantity::{Rate, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::Priority;

use crate::document::client::read_rate;
use crate::document::span_or_none;
use crate::notation::{bounded_span, interval, optional, positive_span, required, unless};
use crate::problem;

/// `queue:`, `deadline:`, `concurrency:`, `rate_limit:` and `admission_control:` of a service, without the length of the queue.
#[derive(Clone, Debug, Default)]
pub struct AdmissionDocument {
    /// The long form of `queue`.
    pub queue: Option<Located<QueueDocument>>,
    /// The margin that calls keep from the deadline of their request; the inner `None` says that they know nothing of it.
    pub deadline: Option<Located<Option<DeadlineDocument>>>,
    /// How many may be in flight; the inner `None` says that there is no limit.
    pub concurrency: Option<Located<Option<ConcurrencyDocument>>>,
    /// How many may come in a period; the inner `None` says that there is no limit.
    pub rate_limit: Option<Located<Option<RateLimitDocument>>>,
    /// How many may come to all replicas; the inner `None` says that there is no limit.
    pub quota: Option<Located<Option<QuotaDocument>>>,
    /// Turning away at random; the inner `None` says that there is none.
    pub control: Option<Located<Option<ControlDocument>>>,
}

/// `queue: { length: 100, discipline: codel, drop: late }`.
#[derive(Clone, Debug, Default)]
pub struct QueueDocument {
    /// Who is next.
    pub discipline: Option<Located<DisciplineWord>>,
    /// How long those may wait who come while the queue stands.
    pub target: Option<Located<Span>>,
    /// How long a queue must not have been empty to stand.
    pub interval: Option<Located<Span>>,
    /// Who is dropped.
    pub drop: Option<Located<DropWord>>,
    /// What must be left to a deadline.
    pub need: Option<Located<Span>>,
    /// Who waits longer is turned away; the inner `None` is for ever.
    pub longest_wait: Option<Located<Option<Span>>>,
}

/// The disciplines by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisciplineWord {
    /// `fifo`
    Fifo,
    /// `lifo`
    Lifo,
    /// `adaptive_lifo`
    AdaptiveLifo,
    /// `codel`
    Codel,
    /// `priority`
    Priority,
    /// `earliest_deadline`
    EarliestDeadline,
}

impl DisciplineWord {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("fifo", Self::Fifo),
        ("lifo", Self::Lifo),
        ("adaptive_lifo", Self::AdaptiveLifo),
        ("codel", Self::Codel),
        ("priority", Self::Priority),
        ("earliest_deadline", Self::EarliestDeadline),
    ];
}

/// The rules of dropping by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropWord {
    /// `none`
    None,
    /// `expired`
    Expired,
    /// `late`
    Late,
}

/// `deadline: propagate`, or `deadline: { margin: 5ms }`.
#[derive(Clone, Debug, Default)]
pub struct DeadlineDocument {
    /// What calls keep from the deadline of their request.
    pub margin: Option<Located<Span>>,
}

/// `concurrency: 50`, `concurrency: { limit: 50, wait: 1s }`, `concurrency: { algorithm: vegas }`.
#[derive(Clone, Debug, Default)]
pub struct ConcurrencyDocument {
    /// A stated limit.
    pub limit: Option<Located<u32>>,
    /// How long those beyond it may wait.
    pub wait: Option<Located<Span>>,
    /// How a limit is found.
    pub algorithm: Option<Located<AlgorithmWord>>,
    /// Where it begins.
    pub initial: Option<Located<u32>>,
    /// Never below.
    pub least: Option<Located<u32>>,
    /// Never above.
    pub most: Option<Located<u32>>,
    /// What is slower counts as overload.
    pub timeout: Option<Located<Span>>,
    /// From one change of the limit to the next.
    pub update: Option<Located<Span>>,
    /// From one measurement to the next.
    pub measure_every: Option<Located<Span>>,
    /// The share of the limit up to which each class is let in.
    pub shares: [Option<Located<Ratio>>; Priority::COUNT],
}

/// The algorithms by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmWord {
    /// `gradient2`
    Gradient2,
    /// `vegas`
    Vegas,
    /// `aimd`
    Aimd,
    /// `envoy`
    Envoy,
}

impl AlgorithmWord {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 4] =
        [("gradient2", Self::Gradient2), ("vegas", Self::Vegas), ("aimd", Self::Aimd), ("envoy", Self::Envoy)];
}

/// `rate_limit: { limit: 50, period: 1s, wait: 0s }`.
#[derive(Clone, Debug)]
pub struct RateLimitDocument {
    /// Requests in a period.
    pub limit: Located<u32>,
    /// The period.
    pub period: Option<Located<Span>>,
    /// How long a request may be held back.
    pub wait: Option<Located<Span>>,
}

/// `quota: 100/s`, or `quota: { rate: 100/s, burst: 200 }`.
#[derive(Clone, Debug)]
pub struct QuotaDocument {
    /// Requests a second.
    pub rate: Located<Rate>,
    /// What is saved up.
    pub burst: Option<Located<u32>>,
    /// Whether a 429 says when to ask again.
    pub retry_after: Option<Located<bool>>,
}

/// `admission_control: { success: 95% }`.
#[derive(Clone, Debug, Default)]
pub struct ControlDocument {
    /// How far back it looks.
    pub window: Option<Located<Span>>,
    /// The share of successes from which on nothing is turned away.
    pub success: Option<Located<Ratio>>,
    /// The root that is taken of the probability.
    pub aggression: Option<Located<f64>>,
    /// The largest share that is turned away.
    pub most: Option<Located<Ratio>>,
    /// Nothing is turned away below this rate.
    pub from: Option<Located<Rate>>,
}

/// The most workers or waiting requests of a replica.
const MOST_PLACES: i64 = 1_000_000_000;

/// The longest stretch that an admission control looks back on, of which it keeps each second.
const LONGEST_WINDOW: Span = Span::from_minutes(60);

/// A number of workers or places, or `unbounded`.
pub fn places(reader: &mut Reader, node: &Node, what: &str, least: i64) -> Option<Option<u32>> {
    unless(reader, node, "unbounded", |r, n| count(r, n, what, least))
}

fn count(reader: &mut Reader, node: &Node, what: &str, least: i64) -> Option<u32> {
    reader.integer(node, what, least..=MOST_PLACES).map(|count| count as u32)
}

/// Reads the keys of a service that say who is let in; the first of the two is the length of the queue.
pub fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> (Option<Located<Option<u32>>>, AdmissionDocument) {
    let mut admission = AdmissionDocument::default();
    let length = |r: &mut Reader, n: &Node| places(r, n, "the length of the queue", 0);
    let length = match fields.optional("queue") {
        Some(node) if matches!(node.value, Value::Map(_)) => {
            let mut length_of = None;
            if let Some(mut fields) = reader.fields(node, "a queue") {
                length_of = optional(reader, &mut fields, "length", length);
                admission.queue = Some(Located { place: node.place.clone(), value: read_queue(reader, &mut fields) });
                fields.finish(reader);
            }
            length_of
        }
        Some(node) => length(reader, node).map(|value| Located { place: node.place.clone(), value }),
        None => None,
    };
    admission.deadline = optional(reader, fields, "deadline", read_deadline);
    admission.concurrency = optional(reader, fields, "concurrency", |r, n| unless(r, n, "none", read_concurrency));
    admission.rate_limit = optional(reader, fields, "rate_limit", |r, n| unless(r, n, "none", read_rate_limit));
    admission.quota = optional(reader, fields, "quota", |r, n| unless(r, n, "none", read_quota));
    admission.control = optional(reader, fields, "admission_control", |r, n| unless(r, n, "none", read_control));
    (length, admission)
}

fn read_queue(reader: &mut Reader, fields: &mut Fields<'_>) -> QueueDocument {
    let drops = [("none", DropWord::None), ("expired", DropWord::Expired), ("late", DropWord::Late)];
    QueueDocument {
        discipline: optional(reader, fields, "discipline", |r, n| r.one_of(n, "the discipline of a queue", &DisciplineWord::WORDS)),
        target: optional(reader, fields, "target", |r, n| positive_span(r, n, "the target of a queue")),
        interval: optional(reader, fields, "interval", |r, n| positive_span(r, n, "the interval of a queue")),
        drop: optional(reader, fields, "drop", |r, n| r.one_of(n, "who is dropped", &drops)),
        need: optional(reader, fields, "need", |r, n| bounded_span(r, n, "what must be left to a deadline")),
        longest_wait: optional(reader, fields, "longest_wait", read_longest_wait),
    }
}

fn read_longest_wait(reader: &mut Reader, node: &Node) -> Option<Option<Span>> {
    match span_or_none(reader, node, "the longest wait")? {
        Some(Span::ZERO) => {
            reader.problem(problem::must_be_positive(&node.place, "the longest wait"));
            None
        }
        other => Some(other),
    }
}

fn read_deadline(reader: &mut Reader, node: &Node) -> Option<Option<DeadlineDocument>> {
    if matches!(node.value, Value::Map(_)) {
        let mut fields = reader.fields(node, "a deadline")?;
        let margin = optional(reader, &mut fields, "margin", |r, n| bounded_span(r, n, "the margin of a deadline"));
        fields.finish(reader);
        return Some(Some(DeadlineDocument { margin }));
    }
    let propagates = reader.one_of(node, "what becomes of a deadline", &[("ignore", false), ("propagate", true)])?;
    Some(propagates.then(DeadlineDocument::default))
}

fn read_concurrency(reader: &mut Reader, node: &Node) -> Option<ConcurrencyDocument> {
    if !matches!(node.value, Value::Map(_)) {
        let limit = count(reader, node, "the limit of concurrency", 1)?;
        let limit = Some(Located { place: node.place.clone(), value: limit });
        return Some(ConcurrencyDocument { limit, ..ConcurrencyDocument::default() });
    }
    let mut fields = reader.fields(node, "a limit of concurrency")?;
    let mut document = ConcurrencyDocument {
        limit: optional(reader, &mut fields, "limit", |r, n| count(r, n, "the limit of concurrency", 1)),
        wait: optional(reader, &mut fields, "wait", |r, n| bounded_span(r, n, "the wait for a place")),
        algorithm: optional(reader, &mut fields, "algorithm", |r, n| r.one_of(n, "an algorithm of concurrency", &AlgorithmWord::WORDS)),
        initial: optional(reader, &mut fields, "initial", |r, n| count(r, n, "the first limit", 1)),
        least: optional(reader, &mut fields, "least", |r, n| count(r, n, "the least limit", 1)),
        most: optional(reader, &mut fields, "most", |r, n| count(r, n, "the largest limit", 1)),
        timeout: optional(reader, &mut fields, "timeout", |r, n| positive_span(r, n, "the response time that counts as overload")),
        update: optional(reader, &mut fields, "update", |r, n| interval(r, n, "the time from one limit to the next")),
        measure_every: optional(reader, &mut fields, "measure_every", |r, n| interval(r, n, "the time between measurements")),
        shares: Default::default(),
    };
    if let Some(mut shares) = fields.optional("shares").and_then(|node| reader.fields(node, "the shares of a limit")) {
        document.shares = Priority::ALL.map(|class| {
            optional(reader, &mut shares, class.word(), |r, n| r.ratio(n, &format!("the share of {} priority", class.word())))
        });
        shares.finish(reader);
    }
    fields.finish(reader);
    if document.limit.is_some() == document.algorithm.is_some() && !fields_failed(&document, node) {
        let fault = if document.limit.is_some() {
            "a limit of concurrency is stated and found by an algorithm"
        } else {
            "nothing says what the limit of concurrency is"
        };
        reader.problem(problem::impossible(&node.place, fault, "write one of `limit: 50` and `algorithm: gradient2`"));
        return None;
    }
    Some(document)
}

/// Whether one of the two was there and could not be read, which has been told.
fn fields_failed(document: &ConcurrencyDocument, node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let has = |word: &str| entries.iter().any(|(key, _)| &*key.text == word);
    (document.limit.is_none() && has("limit")) || (document.algorithm.is_none() && has("algorithm"))
}

fn read_rate_limit(reader: &mut Reader, node: &Node) -> Option<RateLimitDocument> {
    let mut fields = reader.fields(node, "a limit of rate")?;
    let limit = required(reader, &mut fields, "limit", |r, n| count(r, n, "the requests of a period", 1));
    let period = optional(reader, &mut fields, "period", |r, n| positive_span(r, n, "the period of a limit"));
    let wait = optional(reader, &mut fields, "wait", |r, n| bounded_span(r, n, "the wait for a period"));
    fields.finish(reader);
    Some(RateLimitDocument { limit: limit?, period, wait })
}

fn read_quota(reader: &mut Reader, node: &Node) -> Option<QuotaDocument> {
    if !matches!(node.value, Value::Map(_)) {
        let rate = Located { place: node.place.clone(), value: read_allowed(reader, node)? };
        return Some(QuotaDocument { rate, burst: None, retry_after: None });
    }
    let mut fields = reader.fields(node, "a quota")?;
    let rate = required(reader, &mut fields, "rate", read_allowed);
    let burst = optional(reader, &mut fields, "burst", |r, n| count(r, n, "what a quota saves up", 1));
    let retry_after = optional(reader, &mut fields, "retry_after", |r, n| r.boolean(n, "`retry_after`"));
    fields.finish(reader);
    Some(QuotaDocument { rate: rate?, burst, retry_after })
}

/// What all callers together may ask.
fn read_allowed(reader: &mut Reader, node: &Node) -> Option<Rate> {
    let rate = read_rate(reader, node)?;
    if rate.get() == 0.0 {
        let remedy = "write a rate above zero; a `quota` among the faults takes it away for a while";
        reader.problem(problem::impossible(&node.place, "a quota that lets nobody in from the start", remedy));
    }
    Some(rate)
}

fn read_control(reader: &mut Reader, node: &Node) -> Option<ControlDocument> {
    if matches!(node.value, Value::Text(_)) {
        return reader.one_of(node, "an admission control", &[("envoy", ())]).map(|()| ControlDocument::default());
    }
    let mut fields = reader.fields(node, "an admission control")?;
    let document = ControlDocument {
        window: optional(reader, &mut fields, "window", read_window),
        success: optional(reader, &mut fields, "success", |reader, node| {
            let success = reader.ratio(node, "the share of successes")?;
            if success == Ratio::ZERO {
                reader.problem(problem::impossible(
                    &node.place,
                    "no share of successes is below 0%",
                    "write a share above 0%, such as `95%`",
                ));
                return None;
            }
            Some(success)
        }),
        aggression: optional(reader, &mut fields, "aggression", |reader, node| {
            let aggression = reader.number(node, "the aggression")?;
            if !(1.0..=1000.0).contains(&aggression) {
                reader.problem(problem::impossible(&node.place, &format!("an aggression of {aggression}"), "write 1 to 1000"));
                return None;
            }
            Some(aggression)
        }),
        most: optional(reader, &mut fields, "most", |r, n| r.ratio(n, "the largest share that is turned away")),
        from: optional(reader, &mut fields, "from", read_rate),
    };
    fields.finish(reader);
    Some(document)
}

fn read_window(reader: &mut Reader, node: &Node) -> Option<Span> {
    let window = positive_span(reader, node, "the window of an admission control")?;
    if window > LONGEST_WINDOW {
        let (given, most) = (window.to_string(), LONGEST_WINDOW.to_string());
        reader.problem(problem::too_much(&node.place, "the window of an admission control", &given, &most));
        return None;
    }
    Some(window)
}

/// `priority: high` of a client.
pub fn read_priority(reader: &mut Reader, node: &Node) -> Option<Priority> {
    reader.one_of(node, "a priority", &Priority::ALL.map(|class| (class.word(), class)))
}
