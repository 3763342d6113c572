//! Nodes: machines that replicas stand on.

use firedrill_core::name::Name;
use firedrill_core::problem::Located;
use firedrill_core::quantity::Bytes;
use firedrill_core::yaml::{Node, Reader};

use crate::document::service::read_some_cores;
use crate::notation::{optional, required};

/// An entry of `nodes`: `blue: { count: 3, zone: a, cores: 4, memory: 8GiB }`.
#[derive(Clone, Debug)]
pub struct NodePoolDocument {
    /// What its machines are called, before their number.
    pub name: Located<Name>,
    /// How many there are.
    pub count: Option<Located<u32>>,
    /// Where they stand.
    pub zone: Option<Located<Name>>,
    /// Cores of each.
    pub cores: Option<Located<f64>>,
    /// Memory of each.
    pub memory: Option<Located<Bytes>>,
}

/// The most machines of one kind.
const MOST_NODES: i64 = 10_000;

/// Reads an entry of `nodes`.
pub fn read(reader: &mut Reader, name: Located<Name>, node: &Node) -> NodePoolDocument {
    let mut pool = NodePoolDocument { name, count: None, zone: None, cores: None, memory: None };
    let Some(mut fields) = reader.fields(node, "a kind of node") else { return pool };
    pool.count =
        optional(reader, &mut fields, "count", |r, n| r.integer(n, "the number of nodes", 1..=MOST_NODES).map(|count| count as u32));
    pool.zone = optional(reader, &mut fields, "zone", |r, n| r.name(n, "the name of a zone"));
    pool.cores = required(reader, &mut fields, "cores", read_some_cores);
    pool.memory = required(reader, &mut fields, "memory", |r, n| r.bytes(n, "the memory of a node"));
    fields.finish(reader);
    pool
}

impl NodePoolDocument {
    /// Its machines by name, each with its zone.
    pub fn nodes(&self) -> impl Iterator<Item = (Name, Name)> {
        let zone = self.zone.as_ref().map_or_else(|| Name::new("a"), |zone| zone.value.clone());
        let count = self.count.as_ref().map_or(1, |count| count.value);
        (0..count).map(move |index| (Name::from(format!("{}-{index}", self.name.value)), zone.clone()))
    }
}
