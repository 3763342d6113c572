//! Who asks and how often, beyond a plain rate: closed clients, sessions, traces, the course of the day, peaks, people who try again.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader};

use crate::notation::{distribution, optional, positive_span, required};
use crate::problem;

/// What a client says of its load beside `rate`.
#[derive(Clone, Debug, Default)]
pub struct LoadDocument {
    /// Whether `closed` or `trace` is written, be it right or wrong: what is wrong with it is told, and no rate is missed.
    pub has_own_times: bool,
    /// `closed: { users: 50, think: { exponential: 1s } }`.
    pub closed: Option<Located<ClosedDocument>>,
    /// `sessions: { requests: 8, think: { exponential: 5s } }`.
    pub sessions: Option<Located<SessionsDocument>>,
    /// `trace: { every: 1m, requests: [120, 130, 90] }`.
    pub trace: Option<Located<TraceDocument>>,
    /// `daily: { peak: 20h, ratio: x3 }`.
    pub daily: Option<(Located<Span>, Located<Factor>)>,
    /// `spikes: { every: 1h, lasting: 10s, factor: x5 }`.
    pub spikes: Option<(Located<Span>, Located<Span>, Located<Factor>)>,
    /// `bursts: { every: { exponential: 10m }, lasting: { exponential: 30s }, factor: x4 }`.
    pub bursts: Option<(Distribution, Distribution, Factor)>,
    /// `dispersion: 5`.
    pub dispersion: Option<Located<f64>>,
    /// `asks_again: { probability: 50%, after: { uniform: [2s, 10s] } }`.
    pub asks_again: Option<AsksAgainDocument>,
}

/// A fixed number of users.
#[derive(Clone, Debug)]
pub struct ClosedDocument {
    /// How many.
    pub users: u32,
    /// How long one thinks.
    pub think: Distribution,
}

/// People who make several requests each.
#[derive(Clone, Debug)]
pub struct SessionsDocument {
    /// The mean number of requests of one.
    pub requests: f64,
    /// How long one thinks between two.
    pub think: Distribution,
}

/// Requests as they were counted.
#[derive(Clone, Debug)]
pub struct TraceDocument {
    /// The interval of the counts.
    pub every: Span,
    /// Requests of each interval.
    pub requests: Vec<f64>,
}

/// People who try again by hand.
#[derive(Clone, Debug, Default)]
pub struct AsksAgainDocument {
    /// The share of failed requests that are made again.
    pub probability: Option<Located<Ratio>>,
    /// How long after.
    pub after: Option<Located<Distribution>>,
}

impl LoadDocument {
    /// Whether it says when requests come, so that there is no rate.
    #[must_use]
    pub const fn replaces_rate(&self) -> bool {
        self.has_own_times
    }
}

/// The most users of a closed client.
const MOST_USERS: i64 = 1_000_000;
/// The most intervals of a trace.
const MOST_INTERVALS: usize = 100_000;
/// The largest factor of a peak.
const LARGEST_FACTOR: f64 = 1_000_000.0;

/// Reads the keys of a client that say who asks.
pub fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> LoadDocument {
    let load = LoadDocument {
        has_own_times: fields.has("closed") || fields.has("trace"),
        closed: optional(reader, fields, "closed", read_closed),
        sessions: optional(reader, fields, "sessions", read_sessions),
        trace: optional(reader, fields, "trace", read_trace),
        daily: fields.optional("daily").and_then(|node| read_daily(reader, node)),
        spikes: fields.optional("spikes").and_then(|node| read_spikes(reader, node)),
        bursts: fields.optional("bursts").and_then(|node| read_bursts(reader, node)),
        dispersion: optional(reader, fields, "dispersion", read_dispersion),
        asks_again: fields.optional("asks_again").and_then(|node| read_asks_again(reader, node)),
    };
    check(reader, &load);
    load
}

/// What cannot be said together.
fn check(reader: &mut Reader, load: &LoadDocument) {
    let Some(closed) = &load.closed else { return };
    let place = &closed.place;
    if load.trace.is_some() || load.sessions.is_some() {
        let what = "a fixed number of users beside arrivals";
        reader.problem(problem::impossible(place, what, "keep one of `closed`, `sessions` and `trace`"));
    }
    if load.daily.is_some() || load.spikes.is_some() || load.bursts.is_some() || load.dispersion.is_some() {
        let what = "a rate that varies, of users whose answers decide when they ask";
        reader.problem(problem::impossible(
            place,
            what,
            "remove `daily`, `spikes`, `bursts` and `dispersion`, or write `rate` instead of `closed`",
        ));
    }
}

/// A time that is thought, a millisecond or more on average: without it a user asks without end in no time.
fn thinking(reader: &mut Reader, node: &Node) -> Option<Distribution> {
    let think = distribution(reader, node, "the time to think")?;
    if think.mean() < 0.001 {
        let what = "users who do not think between two requests";
        reader.problem(problem::impossible(&node.place, what, "let them think for 1ms or more on average"));
        return None;
    }
    Some(think)
}

fn read_closed(reader: &mut Reader, node: &Node) -> Option<ClosedDocument> {
    let mut fields = reader.fields(node, "a closed client")?;
    let users = required(reader, &mut fields, "users", |r, n| r.integer(n, "users", 1..=MOST_USERS));
    let think = required(reader, &mut fields, "think", thinking);
    fields.finish(reader);
    Some(ClosedDocument { users: users?.value as u32, think: think?.value })
}

fn read_sessions(reader: &mut Reader, node: &Node) -> Option<SessionsDocument> {
    let mut fields = reader.fields(node, "sessions")?;
    let requests = required(reader, &mut fields, "requests", |reader, node| {
        let requests = reader.number(node, "the requests of a session")?;
        if !(1.0..=1e6).contains(&requests) {
            let what = format!("sessions of {requests} requests on average");
            reader.problem(problem::impossible(&node.place, &what, "write 1 to 1000000"));
            return None;
        }
        Some(requests)
    });
    let think = required(reader, &mut fields, "think", thinking);
    fields.finish(reader);
    Some(SessionsDocument { requests: requests?.value, think: think?.value })
}

fn read_trace(reader: &mut Reader, node: &Node) -> Option<TraceDocument> {
    let mut fields = reader.fields(node, "a trace")?;
    let every = required(reader, &mut fields, "every", |r, n| positive_span(r, n, "the interval of a trace"));
    let requests = fields.required(reader, "requests").and_then(|node| read_counts(reader, node));
    fields.finish(reader);
    Some(TraceDocument { every: every?.value, requests: requests? })
}

fn read_counts(reader: &mut Reader, node: &Node) -> Option<Vec<f64>> {
    let nodes = reader.list(node, "the requests of a trace")?;
    if nodes.is_empty() || nodes.len() > MOST_INTERVALS {
        let what = format!("a trace of {} intervals", nodes.len());
        reader.problem(problem::impossible(&node.place, &what, &format!("write 1 to {MOST_INTERVALS} counts")));
        return None;
    }
    let count = |node: &Node| {
        let count = reader.number(node, "the requests of an interval")?;
        if count < 0.0 {
            reader.problem(problem::impossible(&node.place, &format!("{count} requests"), "write 0 or more"));
            return None;
        }
        Some(count)
    };
    let counts: Vec<Option<f64>> = nodes.iter().map(count).collect();
    counts.into_iter().collect()
}

fn read_daily(reader: &mut Reader, node: &Node) -> Option<(Located<Span>, Located<Factor>)> {
    let mut fields = reader.fields(node, "the course of the day")?;
    let peak = required(reader, &mut fields, "peak", |reader, node| {
        let peak = reader.span(node, "the busiest moment of the day")?;
        if peak >= Span::from_seconds(86_400) {
            reader.problem(problem::impossible(
                &node.place,
                &format!("a peak {peak} after midnight"),
                "write 0s to just below 24h, such as `20h`",
            ));
            return None;
        }
        Some(peak)
    });
    let ratio = required(reader, &mut fields, "ratio", |r, n| factor_from_one(r, n, "the busiest moment over the quietest"));
    fields.finish(reader);
    Some((peak?, ratio?))
}

fn factor_from_one(reader: &mut Reader, node: &Node, what: &str) -> Option<Factor> {
    let factor = reader.factor(node, what)?;
    if !(1.0..=LARGEST_FACTOR).contains(&factor.get()) {
        reader.problem(problem::impossible(&node.place, &format!("{what} is {factor}"), "write x1 to x1000000"));
        return None;
    }
    Some(factor)
}

fn read_spikes(reader: &mut Reader, node: &Node) -> Option<(Located<Span>, Located<Span>, Located<Factor>)> {
    let mut fields = reader.fields(node, "peaks by the clock")?;
    let every = required(reader, &mut fields, "every", |r, n| {
        let every = positive_span(r, n, "the interval of peaks")?;
        if every < Span::from_seconds(1) {
            r.problem(problem::impossible(&n.place, &format!("a peak every {every}"), "write 1s or more"));
            return None;
        }
        Some(every)
    });
    let lasting = required(reader, &mut fields, "lasting", |r, n| positive_span(r, n, "how long a peak lasts"));
    let factor = required(reader, &mut fields, "factor", |r, n| factor_from_one(r, n, "the rate in a peak"));
    fields.finish(reader);
    let (every, lasting, factor) = (every?, lasting?, factor?);
    if lasting.value >= every.value {
        let what = format!("peaks of {} every {}", lasting.value, every.value);
        reader.problem(problem::impossible(&lasting.place, &what, "let each be over before the next one begins"));
        return None;
    }
    Some((every, lasting, factor))
}

fn read_bursts(reader: &mut Reader, node: &Node) -> Option<(Distribution, Distribution, Factor)> {
    let mut fields = reader.fields(node, "peaks at random")?;
    let stretch = |r: &mut Reader, n: &Node, what: &str| {
        let stretch = distribution(r, n, what)?;
        if stretch.mean() < 0.1 {
            r.problem(problem::impossible(&n.place, &format!("{what} is below 100ms on average"), "write 100ms or more"));
            return None;
        }
        Some(stretch)
    };
    let every = required(reader, &mut fields, "every", |r, n| stretch(r, n, "the time between peaks"));
    let lasting = required(reader, &mut fields, "lasting", |r, n| stretch(r, n, "how long a peak lasts"));
    let factor = required(reader, &mut fields, "factor", |r, n| factor_from_one(r, n, "the rate in a peak"));
    fields.finish(reader);
    Some((every?.value, lasting?.value, factor?.value))
}

fn read_dispersion(reader: &mut Reader, node: &Node) -> Option<f64> {
    let index = reader.number(node, "the dispersion of arrivals")?;
    if !(1.0..=1e6).contains(&index) {
        let what = format!("a variance of {index} times the mean");
        reader.problem(problem::impossible(&node.place, &what, "write 1 (Poisson) to 1000000"));
        return None;
    }
    Some(index)
}

fn read_asks_again(reader: &mut Reader, node: &Node) -> Option<AsksAgainDocument> {
    let mut fields = reader.fields(node, "who asks again")?;
    let again = AsksAgainDocument {
        probability: optional(reader, &mut fields, "probability", |r, n| {
            let share = r.ratio(n, "the share that asks again")?;
            if share == Ratio::ZERO {
                r.problem(problem::impossible(&n.place, "nobody asks again", "write a share above zero, or remove `asks_again`"));
            }
            Some(share)
        }),
        after: optional(reader, &mut fields, "after", |r, n| distribution(r, n, "the pause until somebody asks again")),
    };
    fields.finish(reader);
    Some(again)
}
