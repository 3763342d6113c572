//! Where a policy stands: its stage, and since when, as its chain says.
//!
//! A stage belongs to the version that was promoted to it. Another version stands where a policy may look on and nothing more, at dry-run, until it is promoted
//! itself; what was seen at each stage is there still, for whoever decides it again.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use firedrill_core::time::Span;
use firedrill_policies::guard::stage::Stage;
use jiff::Timestamp;

use crate::ledger::{Chain, Hashes, Recorded, What, decisive};

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it may do.
    pub stage: Stage,
    /// Since when what is seen is evidence for the next stage, and no sooner than what stands before it in the chain, whatever the clock said; `None`: nothing
    /// was ever promoted.
    pub since: Option<Timestamp>,
    /// Who saw to that; `None` likewise.
    pub by: Option<String>,
    /// The hash of the entry since which entries are evidence for the next stage; `None`: all are.
    pub entry: Option<String>,
    /// The hash of the entry by which it last became a draft again; `None`: it never did.
    pub begun: Option<String>,
    /// Whether it came here by a promotion and not by a demotion, and is on trial.
    pub is_promoted: bool,
    /// The promotion by which this version came here; `None`: it did not come here by one.
    pub promoted: Option<Promoted>,
    /// Where two branches of a repository changed the stage, each for itself: what each did last, a sentence each. The lower stage counts.
    pub branches: Vec<String>,
}

/// A promotion of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Promoted {
    /// When, and no sooner than what stands before it in the chain.
    pub at: Timestamp,
    /// Who promoted it.
    pub by: String,
    /// The hash of the entry.
    pub entry: String,
    /// What was promoted.
    pub hashes: Hashes,
}

/// A stage that a policy has come to and was not taken back from.
#[derive(Clone)]
struct Level<'c> {
    stage: Stage,
    /// The entry since which what is seen there is evidence.
    entry: Option<&'c Recorded>,
    /// So many of its versions came by a demotion, before all others.
    taken_back: usize,
    /// The promotions of versions to it, or from where they were taken back to it, in order.
    versions: Vec<&'c Recorded>,
}

/// All stages that a policy has come to at an entry, the lowest first; the first is `draft`.
#[derive(Clone)]
struct Stages<'c> {
    levels: Vec<Level<'c>>,
    /// The entries that changed the stage.
    changes: BTreeSet<&'c str>,
    /// The last of them.
    last: Option<&'c Recorded>,
    /// Where branches changed it, each for itself, the last of each.
    branches: Vec<&'c Recorded>,
}

impl<'c> Stages<'c> {
    fn none() -> Self {
        let draft = Level { stage: Stage::Draft, entry: None, taken_back: 0, versions: Vec::new() };
        Self { levels: vec![draft], changes: BTreeSet::new(), last: None, branches: Vec::new() }
    }

    fn top(&self) -> &Level<'c> {
        self.levels.last().expect("a draft is always there")
    }

    fn changed(mut self, own: &'c Recorded) -> Self {
        self.changes.insert(&own.hash);
        (self.last, self.branches) = (Some(own), Vec::new());
        self
    }

    fn promoted(mut self, own: &'c Recorded, to: Stage) -> Self {
        // Where another version came to that stage already, what is seen there is evidence since it did: it is decided again.
        match self.levels.binary_search_by_key(&to, |level| level.stage) {
            Ok(place) => self.levels[place].versions.push(own),
            Err(place) => self.levels.insert(place, Level { stage: to, entry: Some(own), taken_back: 0, versions: vec![own] }),
        }
        self.changed(own)
    }

    fn demoted(mut self, own: &'c Recorded, to: Stage) -> Self {
        let mut versions = Vec::new();
        while self.levels.last().is_some_and(|level| level.stage >= to) {
            versions.splice(0..0, self.levels.pop().map(|level| level.versions).unwrap_or_default());
        }
        if to == Stage::Draft {
            versions.clear();
        }
        self.levels.push(Level { stage: to, entry: Some(own), taken_back: versions.len(), versions });
        self.changed(own)
    }

    /// Of several branches the one with the lowest stage, of those that changed it; of equal ones the one that is there for the shortest time.
    fn joined(all: Vec<Rc<Self>>, written_at: &BTreeMap<&str, Timestamp>) -> Rc<Self> {
        let changes: Vec<&BTreeSet<&str>> = all.iter().map(|own| &own.changes).collect();
        let decisive: Vec<&Rc<Self>> = decisive(&changes).into_iter().map(|place| &all[place]).collect();
        let since = |own: &Self| own.top().entry.map(|own| (written_at.get(own.hash.as_str()).copied(), own.hash.as_str()));
        let lowest = decisive.iter().min_by(|a, b| a.top().stage.cmp(&b.top().stage).then_with(|| since(b).cmp(&since(a))));
        let Some(lowest) = lowest else { return Rc::new(Self::none()) };
        if let [_] = decisive[..] {
            return Rc::clone(lowest);
        }
        let mut own = Self::clone(lowest);
        own.changes = all.iter().flat_map(|own| own.changes.iter().copied()).collect();
        own.branches = decisive.iter().filter_map(|own| own.last).collect();
        Rc::new(own)
    }

    /// Those of a chain, after its last entry.
    fn of(chain: &'c Chain, written_at: &BTreeMap<&str, Timestamp>) -> Rc<Self> {
        let mut after: BTreeMap<&str, Rc<Self>> = BTreeMap::new();
        let none = Rc::new(Self::none());
        for own in &chain.entries {
            let stages = |hash: &str| after.get(hash).cloned().unwrap_or_else(|| Rc::clone(&none));
            let before = stages(&own.previous);
            let now = match &own.entry.what {
                What::Promotion { to, .. } => Rc::new(Self::clone(&before).promoted(own, *to)),
                // Two of them at once, or of two branches: what is no step back changes nothing.
                What::Demotion { to, .. } if *to < before.top().stage => Rc::new(Self::clone(&before).demoted(own, *to)),
                What::Merge { heads } => Self::joined(heads.iter().map(|head| stages(head)).collect(), written_at),
                _ => before,
            };
            after.insert(&own.hash, now);
        }
        Self::joined(chain.heads.iter().filter_map(|head| after.get(head.hash.as_str()).cloned()).collect(), written_at)
    }

    /// The highest level at which a version is, with its promotion to it. Looking on needs none.
    fn of_version(&self, hashes: &Hashes) -> (&Level<'c>, Option<&'c Recorded>) {
        let is_own = |own: &&&Recorded| matches!(&own.entry.what, What::Promotion { hashes: own, .. } if own == hashes);
        let promotion = |level: &Level<'c>| level.versions.iter().rev().find(is_own).copied();
        let mut found = (&self.levels[0], None);
        for level in &self.levels[1..] {
            let own = promotion(level);
            if level.stage > Stage::DryRun && own.is_none() {
                break;
            }
            found = (level, own);
        }
        found
    }
}

impl Standing {
    /// By the entries of a chain, whichever version was promoted. Where branches are open, or were joined, the lower stage counts, of those that changed it.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        let written_at = chain.written_at();
        let stages = Stages::of(chain, &written_at);
        let level = stages.top();
        Self::at(chain, (&stages, level, level.versions.last().copied()), &written_at)
    }

    /// The same for one version of the policy: beyond dry-run it is at a stage only if it was promoted to that, and to those before it.
    #[must_use]
    pub fn of_version(chain: &Chain, hashes: &Hashes) -> Self {
        let written_at = chain.written_at();
        let stages = Stages::of(chain, &written_at);
        let (level, own) = stages.of_version(hashes);
        Self::at(chain, (&stages, level, own), &written_at)
    }

    /// Every version that stands above dry-run, with where it stands.
    #[must_use]
    pub fn of_versions(chain: &Chain) -> Vec<(Hashes, Self)> {
        let written_at = chain.written_at();
        let stages = Stages::of(chain, &written_at);
        let hashes = |own: &&Recorded| if let What::Promotion { hashes, .. } = &own.entry.what { Some(hashes.clone()) } else { None };
        let known: BTreeSet<Hashes> = stages.levels.iter().flat_map(|level| level.versions.iter().filter_map(hashes)).collect();
        let one = |hashes: Hashes| {
            let (level, own) = stages.of_version(&hashes);
            (level.stage > Stage::DryRun).then(|| (hashes, Self::at(chain, (&stages, level, own), &written_at)))
        };
        known.into_iter().filter_map(one).collect()
    }

    fn at(
        chain: &Chain,
        (stages, level, own): (&Stages<'_>, &Level<'_>, Option<&Recorded>),
        written_at: &BTreeMap<&str, Timestamp>,
    ) -> Self {
        let at = |own: &Recorded| written_at.get(own.hash.as_str()).copied().unwrap_or(own.entry.at);
        let promoted = own.and_then(|own| match &own.entry.what {
            What::Promotion { hashes, .. } => {
                Some(Promoted { at: at(own), by: own.entry.by.clone(), entry: own.hash.clone(), hashes: hashes.clone() })
            }
            _ => None,
        });
        let place = own.and_then(|own| level.versions.iter().rposition(|version| version.hash == own.hash));
        let is_promoted = place.is_some_and(|place| place >= level.taken_back);
        let told = |own: &&Recorded| {
            let (what, to) = match &own.entry.what {
                What::Promotion { to, .. } => ("promotion", *to),
                What::Demotion { to, .. } => ("demotion", *to),
                _ => ("change", Stage::Draft),
            };
            format!("{} ({what} to {}, by {})", chain.called(own), to.word(), own.entry.by)
        };
        Self {
            stage: level.stage,
            since: level.entry.map(at),
            by: level.entry.map(|own| own.entry.by.clone()),
            entry: level.entry.map(|own| own.hash.clone()),
            begun: stages.levels[0].entry.map(|own| own.hash.clone()),
            is_promoted,
            promoted,
            branches: stages.branches.iter().map(told).collect(),
        }
    }

    /// Since when it is on trial, and by which entry: where a version came to a stage later than another did, since its own promotion.
    #[must_use]
    pub fn tried(&self) -> (Option<Timestamp>, Option<&str>) {
        let own = self.promoted.as_ref().filter(|_| self.is_promoted);
        own.map_or((self.since, self.entry.as_deref()), |own| (Some(own.at), Some(&own.entry)))
    }

    /// How long it has stood there.
    #[must_use]
    pub fn lasted(&self, now: Timestamp) -> Span {
        self.tried().0.map_or(Span::ZERO, |since| between(since, now))
    }
}

/// From one instant to another; zero if the clock was set back.
#[must_use]
pub fn between(from: Timestamp, until: Timestamp) -> Span {
    let nanos = until.as_nanosecond() - from.as_nanosecond();
    Span::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firedrill_core::name::Name;

    use super::*;
    use crate::ledger::{Entry, Hashes, Ledger};

    fn version(policy: &str) -> Hashes {
        Hashes { policy: policy.to_owned(), ..Hashes::default() }
    }

    fn promotion(to: Stage) -> Vec<Entry> {
        promotion_of(to, "")
    }

    fn promotion_of(to: Stage, policy: &str) -> Vec<Entry> {
        let (from, profile, hashes) = (Stage::Draft, "small".to_owned(), version(policy));
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
        let draft = standing(folder.path());
        assert_eq!((draft.stage, draft.since, draft.entry, draft.is_promoted), (Stage::Draft, None, None, false));
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

    fn demotion(to: Stage) -> Vec<Entry> {
        let what = What::Demotion { from: Stage::Full, to, because: "x".to_owned(), automatic: false };
        vec![Entry { what, ..promotion(Stage::Shadow)[0].clone() }]
    }

    /// At which stage a version is, and the line of the entry since which what is seen is its evidence.
    fn place_of(folder: &Path, policy: &str) -> (Stage, usize) {
        let chain = Ledger::read(folder, &Name::new("p")).unwrap();
        let standing = Standing::of_version(&chain, &version(policy));
        (standing.stage, chain.entries.iter().find(|own| Some(&own.hash) == standing.entry.as_ref()).map_or(0, |own| own.line))
    }

    #[test]
    fn a_stage_belongs_to_the_version_that_was_promoted_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (|| place_of(folder.path(), "one"), || place_of(folder.path(), "other"));
        assert_eq!((one(), other()), ((Stage::Draft, 0), (Stage::Draft, 0)));
        for stage in [Stage::DryRun, Stage::Shadow, Stage::Approval] {
            append(folder.path(), promotion_of(stage, "one"));
        }
        assert_eq!((one(), other()), ((Stage::Approval, 3), (Stage::DryRun, 1)), "whoever looks on needs nobody's word");
        // The other is promoted anew, on what was seen since the first came there; the first is what it was.
        append(folder.path(), promotion_of(Stage::Shadow, "other"));
        assert_eq!((one(), other()), ((Stage::Approval, 3), (Stage::Shadow, 2)));
        append(folder.path(), promotion_of(Stage::Approval, "other"));
        assert_eq!((one(), other()), ((Stage::Approval, 3), (Stage::Approval, 3)));
        append(folder.path(), promotion_of(Stage::Limited, "other"));
        assert_eq!((one(), other()), ((Stage::Approval, 3), (Stage::Limited, 6)));
        assert_eq!(place(folder.path()), (Stage::Limited, 6));
        // What is taken back is taken back of both, and both stay where they were below.
        append(folder.path(), demotion(Stage::Shadow));
        assert_eq!((one(), other()), ((Stage::Shadow, 7), (Stage::Shadow, 7)));
        append(folder.path(), demotion(Stage::Draft));
        append(folder.path(), promotion_of(Stage::DryRun, "one"));
        append(folder.path(), promotion_of(Stage::Shadow, "one"));
        assert_eq!((one(), other()), ((Stage::Shadow, 10), (Stage::DryRun, 9)));
    }

    #[test]
    fn a_version_that_comes_to_a_stage_after_another_is_on_trial_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        for (day, stage, policy) in [(1, Stage::DryRun, "one"), (2, Stage::Shadow, "one"), (20, Stage::Shadow, "other")] {
            let at = format!("2026-01-{day:02}T00:00:00Z").parse().unwrap();
            append(folder.path(), promotion_of(stage, policy).into_iter().map(|own| Entry { at, ..own }).collect());
        }
        let chain = Ledger::read(folder.path(), &Name::new("p")).unwrap();
        let now = "2026-01-21T00:00:00Z".parse().unwrap();
        let days = |policy: &str| Standing::of_version(&chain, &version(policy)).lasted(now).as_millis() / 86_400_000;
        assert_eq!((days("one"), days("other")), (19, 1));
    }

    #[test]
    fn a_version_that_comes_to_a_stage_to_which_another_was_taken_back_is_on_trial() {
        use crate::promotion::bake;
        let folder = tempfile::tempdir().unwrap();
        let stages = [Stage::DryRun, Stage::Shadow, Stage::Approval, Stage::Limited];
        for stage in stages.into_iter().chain([Stage::Guarded]) {
            append(folder.path(), promotion_of(stage, "one"));
        }
        append(folder.path(), demotion(Stage::Limited));
        let now = "2026-01-06T00:00:00Z".parse().unwrap();
        let of = |policy: &str| bake::of_version(&Ledger::read(folder.path(), &Name::new("p")).unwrap(), &version(policy), now);
        assert_eq!(of("one"), None, "whoever was taken back is on none");
        for stage in &stages[1..] {
            append(folder.path(), promotion_of(*stage, "two"));
        }
        assert_eq!((of("two").is_some(), of("one").is_some()), (true, false));
        // Where it was promoted at one instant with what stands before it, what counts is since its own promotion all the same.
        let chain = Ledger::read(folder.path(), &Name::new("p")).unwrap();
        let own = Standing::of_version(&chain, &version("two"));
        assert_eq!(own.tried().1, own.promoted.as_ref().map(|own| own.entry.as_str()));
    }

    /// The chain after two branches of the same beginning.
    fn fork(folder: &Path, common: Vec<Vec<Entry>>, branches: [Vec<Vec<Entry>>; 2]) {
        let path = folder.join("p.jsonl");
        common.into_iter().for_each(|own| append(folder, own));
        let common = std::fs::read_to_string(&path).unwrap();
        let mut all = common.clone();
        for branch in branches {
            std::fs::write(&path, &common).unwrap();
            branch.into_iter().for_each(|own| append(folder, own));
            all += &std::fs::read_to_string(&path).unwrap()[common.len()..];
        }
        std::fs::write(&path, all).unwrap();
        std::fs::remove_file(folder.join("p.head")).ok();
    }

    fn anything() -> Vec<Entry> {
        let what = What::Violation { what: "anything".to_owned() };
        vec![Entry { what, ..promotion(Stage::Shadow)[0].clone() }]
    }

    #[test]
    fn a_branch_that_changed_no_stage_takes_no_part_in_which_one_holds() {
        let common = || vec![promotion(Stage::DryRun)];
        for branches in [[vec![promotion(Stage::Shadow)], vec![anything()]], [vec![anything()], vec![promotion(Stage::Shadow)]]] {
            let folder = tempfile::tempdir().unwrap();
            fork(folder.path(), common(), branches);
            let now = standing(folder.path());
            assert_eq!((now.stage, now.branches.len()), (Stage::Shadow, 0));
            append(folder.path(), anything());
            assert_eq!(standing(folder.path()).stage, Stage::Shadow, "joined");
        }
        // Both did: the lower counts, and both are named until somebody changes the stage again.
        let folder = tempfile::tempdir().unwrap();
        fork(folder.path(), common(), [vec![promotion(Stage::Shadow)], vec![demotion(Stage::Draft)]]);
        let told = |folder: &Path| (standing(folder).stage, standing(folder).branches.len());
        assert_eq!(told(folder.path()), (Stage::Draft, 2));
        append(folder.path(), anything());
        assert_eq!(told(folder.path()), (Stage::Draft, 2));
        append(folder.path(), promotion(Stage::DryRun));
        assert_eq!(told(folder.path()), (Stage::DryRun, 0));
    }
}
