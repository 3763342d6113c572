//! What monitoring remembers from before the start: `history:`.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::{Factor, Rate, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::document::client::read_rate;
use crate::document::{items, named};
use crate::notation::{optional, positive_span, required};
use crate::problem;

/// `history: { span: 14d, every: 5m, noise: 5%, load: { eaters: { hours: […], weekdays: { sunday: x0.3 } } }, metrics: [up] }`.
#[derive(Clone, Debug)]
pub struct HistoryDocument {
    /// How long before the start it begins.
    pub span: Option<Located<Span>>,
    /// From one sample to the next.
    pub every: Option<Located<Span>>,
    /// The standard deviation of an interval's load, divided by its mean.
    pub noise: Option<Located<Ratio>>,
    /// The load of clients over the week; one that is not named goes on as it begins.
    pub loads: Vec<LoadDocument>,
    /// The metrics that it covers; empty: all that it can tell.
    pub metrics: Vec<Located<Name>>,
}

/// A client's load over the week.
#[derive(Clone, Debug)]
pub struct LoadDocument {
    /// The client.
    pub client: Located<Name>,
    /// The rate at the beginning of each hour of the day; `None` if it could not be read.
    pub hours: Option<[Rate; 24]>,
    /// What the day's rates are multiplied by, Monday first.
    pub weekdays: [Factor; 7],
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads `history`.
pub fn read(reader: &mut Reader, node: &Node) -> Option<HistoryDocument> {
    let mut fields = reader.fields(node, "a history")?;
    let history = HistoryDocument {
        span: required(reader, &mut fields, "span", |r, n| positive_span(r, n, "the span of the history")),
        every: optional(reader, &mut fields, "every", read_every),
        noise: optional(reader, &mut fields, "noise", |r, n| r.ratio(n, "the noise of the history")),
        loads: match fields.optional("load") {
            Some(node) => named(reader, node, "the load of the history", "the name of a client", read_load),
            None => Vec::new(),
        },
        metrics: match fields.optional("metrics") {
            Some(node) => items(reader, node, "the metrics of the history", |r, n| {
                r.name(n, "the name of a metric").map(|value| Located { place: n.place.clone(), value })
            }),
            None => Vec::new(),
        },
    };
    fields.finish(reader);
    Some(history)
}

/// Samples farther apart than an hour tell no hours, and closer than scrapes are nobody's.
fn read_every(reader: &mut Reader, node: &Node) -> Option<Span> {
    let every = reader.span(node, "the time between samples of the history")?;
    let is_whole = every.as_nanos() % 1_000_000 == 0;
    if !is_whole || every < Span::from_seconds(1) || every > Span::from_minutes(60) {
        let what = format!("a history has a sample every {every}");
        reader.problem(problem::impossible(&node.place, &what, "write whole milliseconds from `1s` to `1h`; `5m` is enough for hours"));
        return None;
    }
    Some(every)
}

fn read_load(reader: &mut Reader, client: Located<Name>, node: &Node) -> LoadDocument {
    let mut load = LoadDocument { client, hours: None, weekdays: [Factor::ONE; 7] };
    let Some(mut fields) = reader.fields(node, "a client's load") else { return load };
    load.hours = fields.optional("hours").and_then(|node| read_hours(reader, node));
    if let Some(mut fields) = fields.optional("weekdays").and_then(|node| reader.fields(node, "a week")) {
        for (day, factor) in WEEKDAYS.into_iter().zip(&mut load.weekdays) {
            if let Some(node) = fields.optional(day) {
                *factor = reader.factor(node, "what a day's load is multiplied by").unwrap_or(*factor);
            }
        }
        fields.finish(reader);
    }
    fields.finish(reader);
    load
}

fn read_hours(reader: &mut Reader, node: &Node) -> Option<[Rate; 24]> {
    let nodes = reader.list(node, "the rates by hour")?;
    let rates: Vec<Rate> = nodes.iter().filter_map(|node| read_rate(reader, node)).collect();
    if nodes.len() != 24 {
        let what = format!("a day has 24 hours, and {} rates are given", nodes.len());
        reader.problem(problem::impossible(
            &node.place,
            &what,
            "give the rate at each hour from 0 to 23 o'clock UTC; between two it changes evenly",
        ));
        return None;
    }
    rates.try_into().ok()
}
