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
    /// Since when, and no sooner than what stands before it in the chain, whatever the clock said; `None`: nothing was ever promoted.
    pub since: Option<Timestamp>,
    /// Who saw to that; `None` likewise.
    pub by: Option<String>,
    /// The hash of the entry since which entries are evidence for the next stage; `None`: all are.
    pub entry: Option<String>,
    /// Whether it came here by a promotion, and is on trial.
    pub is_promoted: bool,
}

impl Standing {
    /// A policy of which nothing is known.
    const DRAFT: Self = Self { stage: Stage::Draft, since: None, by: None, entry: None, is_promoted: false };

    /// By the entries of a chain. Where branches are open, or were joined, the lower stage counts.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        let written_at = chain.written_at();
        let entered = |own: &Recorded, stage, is_promoted| {
            let since = written_at.get(own.hash.as_str()).copied().or(Some(own.entry.at));
            Self { stage, since, by: Some(own.entry.by.clone()), entry: Some(own.hash.clone()), is_promoted }
        };
        let mut after: BTreeMap<&str, Self> = BTreeMap::new();
        for own in &chain.entries {
            let standing = |hash: &str| after.get(hash).cloned().unwrap_or(Self::DRAFT);
            let standing = match &own.entry.what {
                What::Promotion { to, .. } => entered(own, *to, true),
                // Two of them at once, or of two branches: what is no step back changes nothing.
                What::Demotion { to, .. } if *to < standing(&own.previous).stage => entered(own, *to, false),
                What::Merge { heads } => lowest(heads.iter().map(|head| standing(head))),
                _ => standing(&own.previous),
            };
            after.insert(&own.hash, standing);
        }
        lowest(chain.heads.iter().filter_map(|head| after.get(head.hash.as_str()).cloned()))
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
    all.min_by(|a, b| a.stage.cmp(&b.stage).then_with(|| (b.since, &b.entry).cmp(&(a.since, &a.entry)))).unwrap_or(Standing::DRAFT)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firedrill_core::name::Name;

    use super::*;
    use crate::ledger::{Entry, Hashes, Ledger};

    fn promotion(to: Stage) -> Vec<Entry> {
        let (from, profile, hashes) = (Stage::Draft, "small".to_owned(), Hashes::default());
        let what = What::Promotion { from, to, profile, hashes, evidence: serde_json::Value::Null, weakened: Vec::new() };
        vec![Entry { at: "2026-01-05T00:00:00Z".parse().unwrap(), by: "ada".to_owned(), what }]
    }

    fn append(folder: &Path, entries: Vec<Entry>) {
        std::fs::remove_file(folder.join("p.head")).ok();
        Ledger::open(folder, &Name::new("p")).unwrap().0.append(entries).unwrap();
    }

    fn standing(folder: &Path) -> Standing {
        Standing::of(&Ledger::read(folder, &Name::new("p")).unwrap())
    }

    /// The stage, and the line of the entry since which it is that.
    fn place(folder: &Path) -> (Stage, usize) {
        let chain = Ledger::read(folder, &Name::new("p")).unwrap();
        let standing = Standing::of(&chain);
        let line = chain.entries.iter().find(|own| Some(&own.hash) == standing.entry.as_ref()).map_or(0, |own| own.line);
        (standing.stage, line)
    }

    #[test]
    fn a_policy_stands_where_it_was_last_put() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(standing(folder.path()), Standing::DRAFT);
        append(folder.path(), promotion(Stage::DryRun));
        append(folder.path(), promotion(Stage::Shadow));
        let now = standing(folder.path());
        assert_eq!((place(folder.path()), now.is_promoted), ((Stage::Shadow, 2), true));
        let what = What::Demotion { from: Stage::Shadow, to: Stage::DryRun, because: "x".to_owned(), automatic: true };
        append(folder.path(), vec![Entry { what, ..promotion(Stage::Shadow)[0].clone() }]);
        assert_eq!((standing(folder.path()).stage, standing(folder.path()).is_promoted), (Stage::DryRun, false));
    }

    #[test]
    fn a_demotion_that_somebody_else_was_ahead_of_lets_a_policy_do_no_more() {
        let folder = tempfile::tempdir().unwrap();
        append(folder.path(), promotion(Stage::Guarded));
        for to in [Stage::DryRun, Stage::Limited] {
            let what = What::Demotion { from: Stage::Guarded, to, because: "x".to_owned(), automatic: true };
            append(folder.path(), vec![Entry { what, ..promotion(Stage::Guarded)[0].clone() }]);
        }
        assert_eq!(place(folder.path()), (Stage::DryRun, 2));
    }

    #[test]
    fn of_two_branches_the_lower_stage_counts_before_and_after_they_are_joined() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        append(folder.path(), promotion(Stage::DryRun));
        let common = std::fs::read_to_string(&path).unwrap();
        append(folder.path(), promotion(Stage::Approval));
        let one = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &common).unwrap();
        append(folder.path(), promotion(Stage::Shadow));
        let other = std::fs::read_to_string(&path).unwrap()[common.len()..].to_owned();
        std::fs::write(&path, format!("{one}{other}")).unwrap();
        assert_eq!(standing(folder.path()).stage, Stage::Shadow);
        let what = What::Violation { what: "anything".to_owned() };
        append(folder.path(), vec![Entry { what, ..promotion(Stage::Shadow)[0].clone() }]);
        assert_eq!(place(folder.path()), (Stage::Shadow, 3));
    }

    #[test]
    fn a_promotion_is_no_older_than_what_stands_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |day: u32, own: Vec<Entry>| -> Vec<Entry> {
            let at = format!("2026-01-{day:02}T00:00:00Z").parse().unwrap();
            own.into_iter().map(|own| Entry { at, ..own }).collect()
        };
        append(folder.path(), at(20, promotion(Stage::DryRun)));
        // The clock was set back.
        append(folder.path(), at(3, promotion(Stage::Shadow)));
        let now = standing(folder.path());
        assert_eq!((now.stage, now.since.map(|since| since.to_string()).as_deref()), (Stage::Shadow, Some("2026-01-20T00:00:00Z")));
    }
}
