//! Flags as written: what a service does where one is on, and how it comes there.

use firedrill_core::distribution::Distribution;
use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::{Factor, Ratio};
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::document::{named, positive_or_none};
use crate::notation::{distribution, interval, optional};

/// An entry of `flags`: `new-search: { demand: x1.5, error: 2%, poll: 30s }`.
#[derive(Clone, Debug)]
pub struct FlagDocument {
    /// Its name.
    pub name: Located<Name>,
    /// Whether the service is sound with it; as its figures say if it says nothing.
    pub healthy: Option<Located<bool>>,
    /// Multiplies CPU demand.
    pub demand: Option<Located<Factor>>,
    /// The share of requests that fail with it.
    pub error: Option<Located<Ratio>>,
    /// Calls that are other ones with it.
    pub calls: Vec<FlagCallDocument>,
    /// How long a change is on its way to a process that is told.
    pub push: Option<Located<Distribution>>,
    /// At which interval a process asks.
    pub poll: Option<Located<Span>>,
    /// Whether all that it says could be read.
    pub is_read: bool,
}

/// An entry of its `calls`: `prices: { probability: 100%, timeout: 200ms }`.
#[derive(Clone, Debug)]
pub struct FlagCallDocument {
    /// The service called.
    pub service: Located<Name>,
    /// The share of requests that make the call.
    pub probability: Option<Located<Ratio>>,
    /// How long an attempt is waited for; the inner `None` is for ever.
    pub timeout: Option<Located<Option<Span>>>,
}

/// Reads an entry of `flags`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> FlagDocument {
    let mut flag =
        FlagDocument { name, healthy: None, demand: None, error: None, calls: Vec::new(), push: None, poll: None, is_read: true };
    if matches!(node.value, Value::Null) {
        return flag;
    }
    let before = reader.problem_count();
    flag.is_read = false;
    let Some(mut fields) = reader.fields(node, "a flag") else { return flag };
    flag.healthy = optional(reader, &mut fields, "healthy", |r, n| r.boolean(n, "`healthy`"));
    flag.demand = optional(reader, &mut fields, "demand", |r, n| r.factor(n, "the factor of CPU demand"));
    flag.error = optional(reader, &mut fields, "error", |r, n| r.ratio(n, "the share of errors"));
    if let Some(node) = fields.optional("calls") {
        flag.calls = named(reader, node, "the calls that a flag changes", "the name of a service", read_call);
    }
    flag.push = optional(reader, &mut fields, "push", |r, n| distribution(r, n, "the way of a flag"));
    flag.poll = optional(reader, &mut fields, "poll", |r, n| interval(r, n, "the time between two looks at a flag"));
    fields.finish(reader);
    flag.is_read = reader.problem_count() == before;
    flag
}

fn read_call(reader: &mut Reader, service: Located<Name>, node: &Node) -> FlagCallDocument {
    let mut call = FlagCallDocument { service, probability: None, timeout: None };
    let Some(mut fields) = reader.fields(node, "what a flag changes of a call") else { return call };
    call.probability = optional(reader, &mut fields, "probability", |r, n| r.ratio(n, "the share of requests that make the call"));
    call.timeout = optional(reader, &mut fields, "timeout", |r, n| positive_or_none(r, n, "the timeout of a call"));
    fields.finish(reader);
    call
}
