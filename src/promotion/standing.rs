//! Where a policy stands: its stage, and since when, as its chain says.

use std::collections::BTreeMap;

use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;

use crate::ledger::{Chain, Recorded, What};

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it may do.
    pub stage: Stage,
    /// Since when; `None`: nothing was ever promoted.
    pub since: Option<Timestamp>,
    /// Who saw to that; `None` likewise.
    pub by: Option<String>,
    /// The line of the file from which on entries are evidence for the next stage; zero: from the first on.
    pub line: usize,
    /// Whether it came here by a promotion, and is on trial.
    pub is_promoted: bool,
}

impl Standing {
    /// A policy of which nothing is known.
    const DRAFT: Self = Self { stage: Stage::Draft, since: None, by: None, line: 0, is_promoted: false };

    /// By the entries of a chain. Where branches are open, or were joined, the lower stage counts.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        let mut after: BTreeMap<&str, Self> = BTreeMap::new();
        for own in &chain.entries {
            let standing = |hash: &str| after.get(hash).cloned().unwrap_or(Self::DRAFT);
            let standing = match &own.entry.what {
                What::Promotion { to, .. } => Self::entered(own, *to, true),
                What::Demotion { to, .. } => Self::entered(own, *to, false),
                What::Merge { heads } => lowest(heads.iter().map(|head| standing(head))),
                _ => standing(&own.previous),
            };
            after.insert(&own.hash, standing);
        }
        lowest(chain.heads.iter().filter_map(|head| after.get(head.hash.as_str()).cloned()))
    }

    fn entered(own: &Recorded, stage: Stage, is_promoted: bool) -> Self {
        Self { stage, since: Some(own.entry.at), by: Some(own.entry.by.clone()), line: own.line, is_promoted }
    }

    /// How long it has stood there.
    #[must_use]
    pub fn lasted(&self, now: Timestamp) -> Span {
        self.since.map_or(Span::ZERO, |since| between(since, now))
    }
}

/// From one instant to another; zero if the clock was set back.
#[must_use]
pub fn between(from: Timestamp, until: Timestamp) -> Span {
    let nanos = until.as_nanosecond() - from.as_nanosecond();
    Span::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

/// Of several the one with the lowest stage; of equal ones the one that is there for the shortest time.
fn lowest(all: impl Iterator<Item = Standing>) -> Standing {
    all.min_by(|a, b| a.stage.cmp(&b.stage).then_with(|| b.line.cmp(&a.line))).unwrap_or(Standing::DRAFT)
}
