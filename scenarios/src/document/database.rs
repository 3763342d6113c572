//! Databases as written: connections, replication, and who takes the place of a primary.

use firedrill_core::distribution::Distribution;
use firedrill_core::problem::Located;
use firedrill_core::time::Span;
use firedrill_core::yaml::{Fields, Node, Reader, Value};
use firedrill_sim::spec::{Access, Commit, Engine};

use crate::notation::{bounded_span, distribution, optional, unless};

/// `database: { engine: postgres, failover: patroni }`, or `database: postgres`.
#[derive(Clone, Debug, Default)]
pub struct DatabaseDocument {
    /// Whose metrics and defaults it has.
    pub engine: Option<Located<Engine>>,
    /// Connections of one replica.
    pub max_connections: Option<Located<u32>>,
    /// CPU that opening a connection of a pool takes.
    pub connect: Option<Located<Span>>,
    /// From a commit until a standby can apply it.
    pub lag: Option<Located<Span>>,
    /// What a standby needs to apply one write.
    pub apply: Option<Located<Span>>,
    /// When a write counts as made.
    pub commit: Option<Located<Commit>>,
    /// Whether standbys answer reads.
    pub reads: Option<Located<bool>>,
    /// What is further behind is out of date.
    pub stale_after: Option<Located<Span>>,
    /// Who takes the place of a primary; the inner `None` is nobody.
    pub failover: Option<Located<Option<FailoverDocument>>>,
}

/// `failover: patroni`, or `failover: { preset: patroni, detect: 10s }`.
#[derive(Clone, Debug, Default)]
pub struct FailoverDocument {
    /// Whose times it has.
    pub preset: Option<Located<FailoverPreset>>,
    /// Until the primary is given up.
    pub detect: Option<Located<Distribution>>,
    /// Until another is promoted.
    pub promote: Option<Located<Distribution>>,
    /// Until callers reach it.
    pub reconnect: Option<Located<Distribution>>,
}

/// The systems whose failover has a name here; what they are stands in the list of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverPreset {
    /// Patroni with HAProxy before it.
    Patroni,
    /// Amazon RDS, a Multi-AZ instance.
    Rds,
    /// Amazon RDS, a Multi-AZ cluster with two readable standbys.
    RdsCluster,
    /// Amazon Aurora.
    Aurora,
}

impl FailoverPreset {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 4] =
        [("patroni", Self::Patroni), ("rds", Self::Rds), ("rds_cluster", Self::RdsCluster), ("aurora", Self::Aurora)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, preset)| *preset == self).map_or("", |(word, _)| word)
    }
}

/// The most connections of a replica.
const MOST_CONNECTIONS: i64 = 1_000_000;

const ENGINES: [(&str, Engine); 2] = [("postgres", Engine::Postgres), ("mysql", Engine::Mysql)];

/// Reads `database:` of a service.
pub fn read(reader: &mut Reader, node: &Node) -> Option<DatabaseDocument> {
    if matches!(node.value, Value::Text(_)) {
        let engine = reader.one_of(node, "a database", &ENGINES)?;
        let engine = Some(Located { place: node.place.clone(), value: engine });
        return Some(DatabaseDocument { engine, ..DatabaseDocument::default() });
    }
    let mut fields = reader.fields(node, "a database")?;
    let commits = [("local", Commit::Local), ("replicated", Commit::Replicated)];
    let reads = [("standbys", true), ("primary", false)];
    let database = DatabaseDocument {
        engine: optional(reader, &mut fields, "engine", |r, n| r.one_of(n, "the engine of a database", &ENGINES)),
        max_connections: optional(reader, &mut fields, "max_connections", |r, n| {
            r.integer(n, "the number of connections of a database", 1..=MOST_CONNECTIONS).map(|count| count as u32)
        }),
        connect: optional(reader, &mut fields, "connect", |r, n| bounded_span(r, n, "the CPU of opening a connection")),
        lag: optional(reader, &mut fields, "lag", |r, n| bounded_span(r, n, "the lag of standbys")),
        apply: optional(reader, &mut fields, "apply", |r, n| bounded_span(r, n, "the time to apply a write")),
        commit: optional(reader, &mut fields, "commit", |r, n| r.one_of(n, "when a write counts as made", &commits)),
        reads: optional(reader, &mut fields, "reads", |r, n| r.one_of(n, "who answers reads", &reads)),
        stale_after: optional(reader, &mut fields, "stale_after", |r, n| bounded_span(r, n, "the lag from which answers are out of date")),
        failover: optional(reader, &mut fields, "failover", |r, n| unless(r, n, "none", read_failover)),
    };
    fields.finish(reader);
    Some(database)
}

fn read_failover(reader: &mut Reader, node: &Node) -> Option<FailoverDocument> {
    let preset = |r: &mut Reader, n: &Node| r.one_of(n, "a failover", &FailoverPreset::WORDS);
    if matches!(node.value, Value::Text(_)) {
        let preset = Some(Located { place: node.place.clone(), value: preset(reader, node)? });
        return Some(FailoverDocument { preset, ..FailoverDocument::default() });
    }
    let mut fields = reader.fields(node, "a failover")?;
    let failover = FailoverDocument {
        preset: optional(reader, &mut fields, "preset", preset),
        detect: optional(reader, &mut fields, "detect", |r, n| distribution(r, n, "the time until a primary is given up")),
        promote: optional(reader, &mut fields, "promote", |r, n| distribution(r, n, "the time until a standby is promoted")),
        reconnect: optional(reader, &mut fields, "reconnect", |r, n| distribution(r, n, "the time until callers reach the new primary")),
    };
    fields.finish(reader);
    Some(failover)
}

/// `access: read` of a call or a client.
pub fn read_access(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Located<Access>> {
    let words = [("read", Access::Read), ("write", Access::Write)];
    optional(reader, fields, "access", |r, n| r.one_of(n, "what a call does with data", &words))
}
