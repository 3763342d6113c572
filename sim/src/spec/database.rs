//! Databases: one replica takes writes, the others follow it, and somebody decides who that one is (docs/MODEL.md 1.7).

use firedrill_core::distribution::Distribution;
use firedrill_core::time::Span;

/// What a call does with what a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// It looks; a standby may answer.
    Read,
    /// It changes something; the primary must answer.
    #[default]
    Write,
}

/// Whose metrics a database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
}

/// When a write counts as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// As soon as the primary has it: what its successor does not have is lost with it.
    Local,
    /// Once it is safe elsewhere too, in a synchronous standby or in storage that all share: nothing is lost.
    Replicated,
}

/// What makes a service a database: its replica 0 is the primary at the start, the others are standbys.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseSpec {
    /// Whose metrics it has.
    pub engine: Engine,
    /// Connections of one replica: idle ones of callers' pools, and one for each attempt that waits or is worked on; at least 1.
    pub max_connections: u32,
    /// CPU that it takes to open a connection of a pool, seconds at full health.
    pub connect_seconds: f64,
    /// From a write's commit until a standby can apply it.
    pub lag: Span,
    /// What a standby needs to apply one write; one after the other.
    pub apply: Span,
    /// When a write counts as made.
    pub commit: Commit,
    /// Whether standbys answer reads.
    pub reads_from_standbys: bool,
    /// An answer of a standby that is further behind is out of date.
    pub stale_after: Span,
    /// How one of its standbys takes the place of its primary.
    pub failover: FailoverSpec,
}

/// How long it takes until a standby is the primary, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct FailoverSpec {
    /// Whether somebody watches the primary and acts by itself; else only an action does.
    pub is_automatic: bool,
    /// From the loss of the primary until it is given up.
    pub detect: Distribution,
    /// From there until another is the primary.
    pub promote: Distribution,
    /// From there until callers reach that one.
    pub reconnect: Distribution,
}
