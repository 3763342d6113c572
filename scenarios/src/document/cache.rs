//! Caches of a service, and steps of work that look into them.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Node, Reader};

use crate::notation::{optional, positive_span, required, unless};
use crate::problem;

/// An entry of `caches`: `sessions: { keys: 20000, zipf: 1, ttl: 10m }`.
#[derive(Clone, Debug)]
pub struct CacheDocument {
    /// Its name.
    pub name: Located<Name>,
    /// Different keys.
    pub keys: Option<Located<u32>>,
    /// The exponent of their popularity.
    pub zipf: Option<Located<f64>>,
    /// The life of an entry; the inner `None` is without end.
    pub ttl: Option<Located<Option<Span>>>,
    /// Entries; the inner `None` is all.
    pub capacity: Option<Located<Option<u32>>>,
    /// Whether answers for callers who have gone are kept.
    pub late_fill: Option<Located<bool>>,
    /// Whether requests for one key wait for the first of them.
    pub coalesce: Option<Located<bool>>,
    /// Whether it begins with what its load would have left in it.
    pub warm: Option<Located<bool>>,
}

/// The most keys of a cache.
const MOST_KEYS: i64 = 10_000_000;

/// Reads an entry of `caches`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> CacheDocument {
    let mut cache = CacheDocument { name, keys: None, zipf: None, ttl: None, capacity: None, late_fill: None, coalesce: None, warm: None };
    let Some(mut fields) = reader.fields(node, "a cache") else { return cache };
    let count = |r: &mut Reader, n: &Node, what: &str| r.integer(n, what, 1..=MOST_KEYS).map(|count| count as u32);
    cache.keys = required(reader, &mut fields, "keys", |r, n| count(r, n, "the keys of a cache"));
    cache.zipf = optional(reader, &mut fields, "zipf", read_zipf);
    cache.ttl = optional(reader, &mut fields, "ttl", |r, n| unless(r, n, "none", |r, n| positive_span(r, n, "the life of an entry")));
    cache.capacity =
        optional(reader, &mut fields, "capacity", |r, n| unless(r, n, "unbounded", |r, n| count(r, n, "the entries of a cache")));
    cache.late_fill = optional(reader, &mut fields, "late_fill", |r, n| r.boolean(n, "`late_fill`"));
    cache.coalesce = optional(reader, &mut fields, "coalesce", |r, n| r.boolean(n, "`coalesce`"));
    cache.warm = optional(reader, &mut fields, "warm", |r, n| r.boolean(n, "`warm`"));
    fields.finish(reader);
    cache
}

fn read_zipf(reader: &mut Reader, node: &Node) -> Option<f64> {
    let zipf = reader.number(node, "the exponent of popularity")?;
    if !(0.0..=10.0).contains(&zipf) {
        let what = format!("keys of which the second is asked for 2^{zipf} times as rarely as the first");
        reader.problem(problem::impossible(&node.place, &what, "write 0 (all alike) to 10; 1 is usual"));
        return None;
    }
    Some(zipf)
}
