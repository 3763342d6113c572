//! Connections that wait to be accepted, as written.

use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader, Value};

use crate::notation::{interval, optional, required};

/// `backlog: 511`, or `backlog: { length: 2048, somaxconn: 128 }`.
#[derive(Clone, Debug)]
pub struct BacklogDocument {
    /// What the process asks for.
    pub length: u32,
    /// The most that its kernel grants.
    pub somaxconn: Option<Located<u32>>,
    /// From the first SYN to the second.
    pub retry_after: Option<Located<Span>>,
    /// How many follow the first.
    pub retries: Option<Located<u32>>,
}

/// Reads a backlog.
pub fn read(reader: &mut Reader, node: &Node) -> Option<BacklogDocument> {
    let length = |r: &mut Reader, n: &Node| r.integer(n, "the length of the backlog", 0..=1_000_000_000).map(|count| count as u32);
    if !matches!(node.value, Value::Map(_)) {
        return Some(BacklogDocument { length: length(reader, node)?, somaxconn: None, retry_after: None, retries: None });
    }
    let mut fields = reader.fields(node, "a backlog")?;
    let length = required(reader, &mut fields, "length", length);
    let somaxconn =
        optional(reader, &mut fields, "somaxconn", |r, n| r.integer(n, "somaxconn", 1..=1_000_000_000).map(|count| count as u32));
    let retry_after = optional(reader, &mut fields, "retry_after", |r, n| interval(r, n, "the time from the first SYN to the second"));
    let retries =
        optional(reader, &mut fields, "retries", |r, n| r.integer(n, "the number of further SYNs", 0..=30).map(|count| count as u32));
    fields.finish(reader);
    Some(BacklogDocument { length: length?.value, somaxconn, retry_after, retries })
}
