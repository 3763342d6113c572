//! A chain as it was read, and all that is wrong with it: what is altered, missing, out of order, there twice, forked or unsigned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::words::{counted, in_one_line};
use firedrill_policies::guard::stage::Stage;
use jiff::{SignedDuration, Timestamp};

use super::entry::{Labelled, Recorded, Signed, What};
use super::line::{self, LineError, first_previous};
use crate::failure::Failure;

/// What an entry is read as that does not count.
const UNCOUNTED: &str = "uncounted/1";

/// Who writes what no person does.
const MACHINES: [&str; 2] = ["watch", "firedrill"];

/// Clocks of two machines may be apart by so much: 5 minutes.
pub const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// A chain as it was read.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Whose it is.
    pub name: Name,
    /// Its file, for messages.
    pub path: String,
    /// Its entries in the order of the file, but for those that cannot be read. Of a chain with branches in an order that does not depend on which of them
    /// stands first in the file: each after what it follows, and of two branches the one that began sooner first.
    pub entries: Vec<Recorded>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Where two branches begin, whether or not they become one again.
    pub forks: Vec<Fork>,
    /// The last entry of each branch, the longest first; one, if there is an entry and nothing is forked.
    pub heads: Vec<Head>,
    /// How long the line at the end is that nobody finished, in bytes; zero: there is none.
    pub torn_bytes: usize,
}

/// The last entry of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

/// Several entries follow the same one: two branches of a repository went on by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The number of the entry that they follow; zero: each is the first.
    pub after: u64,
    /// Where those stand that follow it, from line 1.
    pub lines: Vec<usize>,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(ToString::to_string).collect();
        let after = if self.after == 0 { "are each the first entry".to_owned() } else { format!("both follow entry {}", self.after) };
        write!(f, "forked: lines {} {after}", lines.join(" and "))
    }
}

/// Something that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An entry is not what was written.
    Altered {
        /// Where, from 1.
        line: usize,
        /// Its number, as far as that can be read.
        number: Option<u64>,
    },
    /// What an entry follows is not here, or was written anew.
    Missing {
        /// Where the entry stands that follows it.
        line: usize,
        /// The number of the one that is missing.
        number: u64,
        /// Its hash.
        hash: String,
    },
    /// What an entry follows stands behind it.
    Reordered {
        /// Where the entry stands that comes too early.
        line: usize,
        /// Its number.
        number: u64,
    },
    /// An entry stands there again.
    Twice {
        /// Where the second time.
        line: usize,
        /// Its number.
        number: u64,
    },
    /// A conflict that nobody has settled.
    Marker {
        /// Where.
        line: usize,
    },
    /// A line is no entry.
    NoEntry {
        /// Where.
        line: usize,
        /// Why.
        why: String,
    },
    /// An entry has a number that does not follow that of the one before it, or it joins what are no heads.
    Impossible {
        /// Where.
        line: usize,
        /// What.
        why: String,
    },
    /// A signature is not that of the key that the entry names.
    Signature {
        /// Where.
        line: usize,
        /// The entry's number.
        number: u64,
    },
    /// The end is gone: an entry that was written here before is not there any more.
    Dropped {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: String,
    },
    /// What this machine has noted of the end cannot be read, so that nobody can tell whether the end is gone.
    Unnoted {
        /// The file.
        path: String,
    },
}

impl Finding {
    /// The code that messages have.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "FD0800",
            Self::Missing { .. } => "FD0801",
            Self::Reordered { .. } => "FD0802",
            Self::Twice { .. } => "FD0803",
            Self::Marker { .. } => "FD0804",
            Self::NoEntry { .. } => "FD0805",
            Self::Impossible { .. } => "FD0806",
            Self::Signature { .. } => "FD0807",
            Self::Dropped { .. } => "FD0808",
            Self::Unnoted { .. } => "FD0894",
        }
    }

    /// One word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "altered",
            Self::Missing { .. } => "missing",
            Self::Reordered { .. } => "reordered",
            Self::Twice { .. } => "twice",
            Self::Marker { .. } => "conflict",
            Self::NoEntry { .. } => "unreadable",
            Self::Impossible { .. } => "impossible",
            Self::Signature { .. } => "signature",
            Self::Dropped { .. } => "dropped",
            Self::Unnoted { .. } => "unnoted",
        }
    }

    /// What is to be done about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Marker { .. } => "keep the lines of both sides and delete the markers; the next entry joins the two branches",
            Self::Twice { .. } => "delete the second one",
            Self::Reordered { .. } => "bring back the file as it was, such as with `git checkout`: lines are only ever added",
            Self::Dropped { .. } => {
                "bring back the file as it was, such as with `git checkout`; if you have switched to a branch that lacks it, merge the one that has it or switch back; only if an older state is what you want delete NAME.head beside it"
            }
            Self::Unnoted { .. } => {
                "see with git that no entry is missing at the end of the chain, and delete that file: it is written anew with the next entry"
            }
            _ => "bring back the file as it was, such as with `git checkout`; what was written since is added again by those who wrote it",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { line, number: Some(number) } => write!(f, "entry {number} (line {line}) was altered after it was written"),
            Self::Altered { line, number: None } => write!(f, "the entry in line {line} was altered after it was written"),
            Self::Missing { line, number, hash } => {
                write!(f, "entry {number} ({}) is missing or was written anew: line {line} follows it", short(hash))
            }
            Self::Reordered { line, number } => write!(f, "entry {number} (line {line}) stands before the one that it follows"),
            Self::Twice { line, number } => write!(f, "entry {number} stands in line {line} again"),
            Self::Marker { line } => write!(f, "line {line} is a conflict marker of git"),
            Self::NoEntry { line, why } => write!(f, "line {line} cannot be read: {}", in_one_line(why)),
            Self::Impossible { line, why } => write!(f, "line {line} is impossible: {}", in_one_line(why)),
            Self::Signature { line, number } => write!(f, "the signature of entry {number} (line {line}) is not that of its key"),
            Self::Unnoted { path } => {
                write!(f, "{path}, where this machine notes which entry was the last, holds something else: it was damaged or changed")
            }
            Self::Dropped { number, hash } => {
                write!(f, "entry {number} ({}) was written here before and is not there any more: the end of the file is gone", short(hash))
            }
        }
    }
}

/// Fewer digits of a hash name no entry: what only one begins with today, two may begin with tomorrow.
pub const LEAST_DIGITS: usize = 8;

/// So many digits of a hash are shown to people.
pub const SHOWN_DIGITS: usize = 12;

/// A hash as people see it.
#[must_use]
pub fn short(hash: &str) -> &str {
    hash.get(.."blake3:".len() + SHOWN_DIGITS).unwrap_or(hash)
}

/// An incident as people see it: its name, or where that is a hash as people see one.
#[must_use]
pub fn shown_incident(incident: &str) -> &str {
    if incident.starts_with("blake3:") { short(incident) } else { incident }
}

/// The digits of a hash, or of the beginning of one, with or without the name of its kind.
#[must_use]
pub fn digits(hash: &str) -> &str {
    hash.strip_prefix("blake3:").unwrap_or(hash)
}

impl Chain {
    /// Reads and verifies a chain's bytes.
    #[must_use]
    pub fn of_bytes(name: &Name, path: &str, bytes: &[u8]) -> Self {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut verifier = Verifier::new(name);
        let mut entries = Vec::new();
        for (index, text) in lines(&bytes[..whole]).enumerate() {
            entries.extend(verifier.take(text, index + 1));
        }
        let (findings, forks, heads) = verifier.finish();
        if findings.is_empty() && !forks.is_empty() {
            entries = in_order(entries);
        }
        Self { name: name.clone(), path: path.to_owned(), entries, findings, forks, heads, torn_bytes: bytes.len() - whole }
    }

    /// The same if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is.
    pub fn sound(self) -> Result<Self, Failure> {
        if self.findings.is_empty() { Ok(self) } else { Err(self.problems().into()) }
    }

    /// Everything that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let problem =
            |finding: &Finding| Problem::in_file(finding.code(), &self.path, format!("{}: {finding}", self.path)).remedy(finding.remedy());
        self.findings.iter().map(problem).collect()
    }

    /// What stands in it and cannot be, though nothing was altered: promotions that no stage before them allows, and what speaks of an entry that is
    /// not there.
    #[must_use]
    pub fn impossible(&self) -> Vec<Finding> {
        let known: BTreeMap<&str, Timestamp> = self.entries.iter().map(|own| (own.hash.as_str(), own.entry.at)).collect();
        let mut stages: BTreeMap<&str, Stage> = BTreeMap::new();
        let mut changes: BTreeMap<&str, Rc<BTreeSet<&str>>> = BTreeMap::new();
        let mut findings = Vec::new();
        for own in &self.entries {
            let stage = |hash: &str| stages.get(hash).copied().unwrap_or(Stage::Draft);
            let before = stage(&own.previous);
            let changed = changes_at((own, before), &changes);
            let (after, why) = match &own.entry.what {
                // Whoever does not trust a promotion before it counts from a lower stage.
                What::Promotion { from, to, .. } => {
                    let why = is_machine(&own.entry.by).then(|| format!("`{}` is nobody who could promote", own.entry.by));
                    // Where another version comes to a stage that one has left already, that one is where it was.
                    (before.max(*to), why.or_else(|| impossible_promotion(before, *from, *to)))
                }
                What::Demotion { to, .. } => (before.min(*to), None),
                What::Merge { heads } => {
                    let none = BTreeSet::new();
                    let all: Vec<&BTreeSet<&str>> = heads.iter().map(|head| changes.get(head.as_str()).map_or(&none, |own| own)).collect();
                    (decisive(&all).into_iter().map(|place| stage(&heads[place])).min().unwrap_or(before), None)
                }
                What::Label { event, .. } | What::Drill { event, .. } | What::Hint { event, .. } => {
                    (before, impossible_word(own, known.get(event.as_str()).copied(), event))
                }
                What::Approval { .. } if is_machine(&own.entry.by) => {
                    (before, Some(format!("`{}` is nobody who could say that", own.entry.by)))
                }
                _ => (before, None),
            };
            stages.insert(&own.hash, after);
            changes.insert(&own.hash, changed);
            let why = why.or_else(|| impossible_name(&own.entry.by));
            findings.extend(why.map(|why| Finding::Impossible { line: own.line, why: format!("entry {}: {why}", own.number) }));
        }
        findings
    }

    /// The same if there is nothing in it that cannot be.
    ///
    /// # Errors
    /// Everything that is.
    pub fn possible(self) -> Result<Self, Failure> {
        let findings = self.impossible();
        if findings.is_empty() { Ok(self) } else { Err(Self { findings, ..self }.problems().into()) }
    }

    /// By the hash of each decision, and of what people did or were compared in, the hash of the entry that opened its incident, or the incident's name where
    /// none did. Where two branches of a repository were watched, each has numbered its incidents from where they parted: what is said of one after they were
    /// joined names it by that hash.
    #[must_use]
    pub fn incidents(&self) -> BTreeMap<&str, &str> {
        let branches = Branches::of(self);
        let mut opened: BTreeMap<(usize, &str), &str> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for own in &self.entries {
            let (incident, is_opened) = match &own.entry.what {
                What::Decision { incident, event, .. } => (incident, event.get("incident_opened").is_some()),
                What::Person { incident, .. } | What::Compared { incident, .. } => (incident, false),
                _ => continue,
            };
            let branch = branches.on[own.hash.as_str()];
            if is_opened {
                opened.insert((branch, incident.as_str()), &own.hash);
            }
            let found = branches.up_from(branch).find_map(|branch| opened.get(&(branch, incident.as_str())).copied());
            all.insert(own.hash.as_str(), found.unwrap_or(incident));
        }
        all
    }

    /// What people say last of each decision, by the hash of its entry. Of what is said of one on several branches the worst counts, whichever stands first in
    /// the file, until something is said after they have become one.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<&str, Labelled> {
        let said = self.said_last(|what| if let What::Label { event, says, .. } = what { Some((event.as_str(), *says)) } else { None });
        said.into_iter().filter_map(|(event, said)| Some((event, said.into_iter().max_by_key(|says| says.gravity())?))).collect()
    }

    /// What is said of each decision after which nothing more is said of it: one thing, or one of each branch.
    pub fn said_last<'c, T>(&'c self, of: impl Fn(&'c What) -> Option<(&'c str, T)>) -> BTreeMap<&'c str, Vec<T>> {
        self.last_of(|own| of(&own.entry.what))
    }

    /// What entries say of something after which no other one says more of the same: one thing, or one of each branch.
    pub fn last_of<'c, K: Ord, T>(&'c self, of: impl Fn(&'c Recorded) -> Option<(K, T)>) -> BTreeMap<K, Vec<T>> {
        let mut all: BTreeMap<K, Vec<(&Recorded, T)>> = BTreeMap::new();
        for own in &self.entries {
            if let Some((about, said)) = of(own) {
                all.entry(about).or_default().push((own, said));
            }
        }
        let lineage = self.is_forked().then(|| Lineage::of(self));
        let last = |mut said: Vec<(&Recorded, T)>| -> Vec<T> {
            let Some(lineage) = lineage.as_ref().filter(|_| said.len() > 1) else {
                return said.pop().map(|(_, said)| said).into_iter().collect();
            };
            let is_followed = lineage.followed(said.iter().map(|(own, _)| own.hash.as_str()));
            said.into_iter().zip(is_followed).filter(|(_, is_followed)| !is_followed).map(|((_, said), _)| said).collect()
        };
        all.into_iter().map(|(about, said)| (about, last(said))).collect()
    }

    /// What stands in it since an entry, in order: neither that entry nor anything that it follows. `None`: all.
    pub fn since<'c>(&'c self, hash: Option<&str>) -> impl Iterator<Item = &'c Recorded> {
        let is_forked = self.is_forked();
        let place = hash.and_then(|hash| self.entries.iter().position(|own| own.hash == hash));
        let before = place.filter(|_| is_forked).map(|place| Lineage::of(self).up_from([place], 0));
        let from = if is_forked { 0 } else { place.map_or(0, |place| place + 1) };
        let is_before = move |place: usize| before.as_ref().is_some_and(|before| before.get(place) == Some(&true));
        self.entries.iter().enumerate().skip(from).filter(move |(place, _)| !is_before(*place)).map(|(_, own)| own)
    }

    /// The entries of a watcher's chain by session: a session is what follows its beginning, in whichever order the branches of two clones stand. What joins
    /// branches stands before the session of whoever joined them.
    #[must_use]
    pub fn sessions(&self) -> Vec<Vec<&Recorded>> {
        let is_forked = self.is_forked();
        let mut all: Vec<Vec<&Recorded>> = Vec::new();
        let mut of: BTreeMap<&str, usize> = BTreeMap::new();
        for own in &self.entries {
            let begins = matches!(&own.entry.what, What::Merge { .. }) || own.entry.what.begins_session();
            let before = if is_forked { of.get(own.previous.as_str()).copied() } else { all.len().checked_sub(1) };
            let place = before.filter(|_| !begins).unwrap_or(all.len());
            if place == all.len() {
                all.push(Vec::new());
            }
            all[place].push(own);
            if is_forked {
                of.insert(&own.hash, place);
            }
        }
        all
    }

    /// Whether two entries ever followed the same one.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        !self.forks.is_empty() || self.heads.len() > 1 || self.entries.iter().any(|own| matches!(own.entry.what, What::Merge { .. }))
    }

    /// When each entry was written at the soonest, in the order of the entries: no sooner than anything that it follows, whatever its writer's clock said.
    #[must_use]
    pub fn written_at(&self) -> BTreeMap<&str, Timestamp> {
        self.soonest(|_| true)
    }

    /// The same by the clocks of watchers alone: no decision is sooner than one that it follows, and no clock of a person counts, nor of one who replays history.
    /// What follows no decision is left out.
    #[must_use]
    pub fn decided_at(&self) -> BTreeMap<&str, Timestamp> {
        self.soonest(|own| matches!(own.entry.what, What::Decision { is_backtest: false, .. }))
    }

    fn soonest(&self, counts: impl Fn(&Recorded) -> bool) -> BTreeMap<&str, Timestamp> {
        let mut all: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for own in &self.entries {
            let before = parents(own).filter_map(|hash| all.get(hash)).max().copied();
            let at = if counts(own) { Some(before.map_or(own.entry.at, |before| before.max(own.entry.at))) } else { before };
            all.extend(at.map(|at| (own.hash.as_str(), at)));
        }
        all
    }

    /// The latest time that stands in it; `None`: it has no entry.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.entries.iter().map(|own| own.entry.at).max()
    }

    /// What people call an entry: by its number, or by its hash where a number is that of two entries.
    #[must_use]
    pub fn called(&self, own: &Recorded) -> String {
        // Numbers come twice only where branches are.
        let is_unique = self.forks.is_empty() || self.entries.iter().filter(|other| other.number == own.number).count() < 2;
        if is_unique { format!("{}#{}", self.name, own.number) } else { short(&own.hash).to_owned() }
    }

    /// The same with entries that do not count as something that nobody reads: they keep their places, so that what follows them still does.
    #[must_use]
    pub fn without(mut self, is_out: impl Fn(&Recorded) -> bool) -> Self {
        for own in self.entries.iter_mut().filter(|own| is_out(own)) {
            own.entry.what = What::State { of: UNCOUNTED.to_owned(), value: serde_json::Value::Null };
        }
        self
    }

    /// How many entries are not signed.
    #[must_use]
    pub fn unsigned(&self) -> usize {
        self.entries.iter().filter(|own| own.signed == Signed::No).count()
    }

    /// What is odd and nothing wrong: forks, and a line at the end that nobody finished.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.forks.iter().map(ToString::to_string).collect();
        if self.heads.len() > 1 {
            notes.push(format!("{} branches are open; the next entry joins them", self.heads.len()));
        }
        if self.torn_bytes > 0 {
            let bytes = counted(self.torn_bytes as u64, "byte");
            notes.push(format!("the last line ends after {bytes}: a write was cut off, or is under way"));
        }
        notes
    }

    /// The entry with a hash, or with a hash that begins so, with [`LEAST_DIGITS`] or more; `None`: there is none, or there are several.
    #[must_use]
    pub fn by_hash(&self, hash: &str) -> Option<&Recorded> {
        if digits(hash).len() < LEAST_DIGITS {
            return None;
        }
        let mut found = self.entries.iter().filter(|own| digits(&own.hash).starts_with(digits(hash)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// The changes of the stage up to an entry, before which it was this one; `known` are those up to the entries before it.
fn changes_at<'c>((own, stage): (&'c Recorded, Stage), known: &BTreeMap<&str, Rc<BTreeSet<&'c str>>>) -> Rc<BTreeSet<&'c str>> {
    let before = || known.get(own.previous.as_str()).cloned().unwrap_or_default();
    let is_change = match &own.entry.what {
        What::Promotion { .. } => true,
        What::Demotion { to, .. } => *to < stage,
        _ => false,
    };
    match &own.entry.what {
        _ if is_change => {
            let mut all = BTreeSet::clone(&before());
            all.insert(&own.hash);
            Rc::new(all)
        }
        What::Merge { heads } => {
            Rc::new(heads.iter().filter_map(|head| known.get(head.as_str())).flat_map(|own| own.iter().copied()).collect())
        }
        _ => before(),
    }
}

/// Of branches that become one those that say at which stage a policy is, as places: `changes` are the entries that changed the stage up to the end of each. A
/// branch all of whose changes another one has as well has changed nothing by itself, and takes no part.
#[must_use]
pub fn decisive(changes: &[&BTreeSet<&str>]) -> Vec<usize> {
    let is_behind = |(place, own): (usize, &&BTreeSet<&str>)| {
        changes.iter().enumerate().any(|(other, more)| other != place && own.is_subset(more) && (own.len() < more.len() || other < place))
    };
    (0..changes.len()).filter(|place| !is_behind((*place, &changes[*place]))).collect()
}

/// Whether it is no person who writes so.
#[must_use]
pub fn is_machine(by: &str) -> bool {
    MACHINES.contains(&by.trim().to_lowercase().as_str())
}

/// Why nobody is called so: in the place where a name is shown it would be more than one line, or steer a terminal.
fn impossible_name(by: &str) -> Option<String> {
    let shown = in_one_line(by);
    (shown != by).then(|| format!("`{shown}` is no name of anybody: it has characters that nobody sees"))
}

/// Why what is said of a decision cannot be. `about`: when that was written down; `None`: it is not there.
fn impossible_word(own: &Recorded, about: Option<Timestamp>, event: &str) -> Option<String> {
    let Some(about) = about else { return Some(format!("it speaks of {}, which is not there", short(event))) };
    let is_said = matches!(own.entry.what, What::Label { .. } | What::Drill { .. });
    if is_said && is_machine(&own.entry.by) {
        return Some(format!("`{}` is nobody who could say what a decision was", own.entry.by));
    }
    let is_before = is_said && own.entry.at.saturating_add(CLOCKS_APART).is_ok_and(|at| at < about);
    is_before.then(|| format!("it is of {}, and what it speaks of happened at {about}", own.entry.at))
}

/// The hashes of what an entry follows: the one before it, and of a merge the other heads.
pub(super) fn parents(own: &Recorded) -> impl Iterator<Item = &str> {
    let heads: &[String] = if let What::Merge { heads } = &own.entry.what { heads } else { &[] };
    std::iter::once(own.previous.as_str()).chain(heads.iter().map(String::as_str).filter(|head| *head != own.previous))
}

/// Entries such that each stands after what it follows, and of several branches the one that began sooner first: in whichever order git has put the lines of
/// two branches, the chain says the same.
fn in_order(entries: Vec<Recorded>) -> Vec<Recorded> {
    let index: BTreeMap<&str, usize> = entries.iter().enumerate().map(|(index, own)| (own.hash.as_str(), index)).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    let mut waits_for = vec![0_usize; entries.len()];
    for (place, own) in entries.iter().enumerate() {
        for before in parents(own).filter_map(|hash| index.get(hash)) {
            followers[*before].push(place);
            waits_for[place] += 1;
        }
    }
    let latest_first = |mut ready: Vec<usize>| {
        ready.sort_by(|a, b| (entries[*b].entry.at, &entries[*b].hash).cmp(&(entries[*a].entry.at, &entries[*a].hash)));
        ready
    };
    let mut next = latest_first((0..entries.len()).filter(|place| waits_for[*place] == 0).collect());
    let mut order = Vec::with_capacity(entries.len());
    while let Some(place) = next.pop() {
        order.push(place);
        followers[place].iter().for_each(|own| waits_for[*own] -= 1);
        // A branch is gone along to its end before the next one begins.
        next.extend(latest_first(followers[place].iter().copied().filter(|own| waits_for[*own] == 0).collect()));
    }
    let mut places: Vec<Option<Recorded>> = entries.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| places[place].take()).collect()
}

/// Why a promotion cannot be that stands where a policy was at a stage.
fn impossible_promotion(before: Stage, from: Stage, to: Stage) -> Option<String> {
    let next = Stage::WORDS.iter().map(|(_, own)| *own).find(|own| *own > from);
    if from > before {
        return Some(format!("it promotes from {} to {}, and the policy was at the stage {}", from.word(), to.word(), before.word()));
    }
    (next != Some(to)).then(|| format!("it promotes from {} to {}, and stages are entered one at a time", from.word(), to.word()))
}

/// What each entry follows, by places.
pub(super) struct Lineage<'c> {
    /// By hash.
    pub places: BTreeMap<&'c str, usize>,
    /// Invariant: each is less than the place of what follows it.
    pub before: Vec<Vec<usize>>,
}

impl<'c> Lineage<'c> {
    pub fn of(chain: &'c Chain) -> Self {
        let places: BTreeMap<&str, usize> = chain.entries.iter().enumerate().map(|(place, own)| (own.hash.as_str(), place)).collect();
        let before = |(place, own): (usize, &'c Recorded)| -> Vec<usize> {
            parents(own).filter_map(|hash| places.get(hash).copied()).filter(|before| *before < place).collect()
        };
        Self { before: chain.entries.iter().enumerate().map(before).collect(), places }
    }

    /// By place from `least` on, up to the last of some, whether it is one of those or is followed by one, however far up.
    fn up_from(&self, some: impl IntoIterator<Item = usize>, least: usize) -> Vec<bool> {
        let mut found: Vec<bool> = Vec::new();
        for place in some {
            found.resize(found.len().max(place + 1 - least), false);
            found[place - least] = true;
        }
        for place in (0..found.len()).rev() {
            if found[place] {
                self.before[place + least].iter().filter(|before| **before >= least).for_each(|before| found[before - least] = true);
            }
        }
        found
    }

    /// Whether each of some entries is followed by another one of them, however far up.
    fn followed<'h>(&self, hashes: impl Iterator<Item = &'h str>) -> Vec<bool> {
        let places: Vec<usize> = hashes.filter_map(|hash| self.places.get(hash).copied()).collect();
        let Some(least) = places.iter().copied().min() else { return Vec::new() };
        let above = places.iter().flat_map(|place| &self.before[*place]).copied().filter(|before| *before >= least);
        let found = self.up_from(above, least);
        places.iter().map(|place| found.get(place - least) == Some(&true)).collect()
    }
}

/// On which branch each entry stands.
struct Branches<'c> {
    on: BTreeMap<&'c str, usize>,
    /// By branch, those that it came from.
    above: Vec<Vec<usize>>,
}

impl<'c> Branches<'c> {
    fn of(chain: &'c Chain) -> Self {
        let mut own = Self { on: BTreeMap::new(), above: Vec::new() };
        let mut followed: BTreeSet<&str> = BTreeSet::new();
        for entry in &chain.entries {
            let before = own.on.get(entry.previous.as_str()).copied();
            let is_first = followed.insert(&entry.previous);
            let branch = match before {
                Some(branch) if is_first => branch,
                _ => {
                    own.above.push(before.into_iter().collect());
                    own.above.len() - 1
                }
            };
            if let What::Merge { heads } = &entry.entry.what {
                let joined: Vec<usize> = heads.iter().filter_map(|head| own.on.get(head.as_str()).copied()).collect();
                let above = &mut own.above[branch];
                above.extend(joined.into_iter().filter(|other| *other != branch));
            }
            own.on.insert(&entry.hash, branch);
        }
        own
    }

    /// A branch, and those that it came from, the nearest first.
    fn up_from(&self, branch: usize) -> impl Iterator<Item = usize> {
        let (mut found, mut seen) = (VecDeque::from([branch]), BTreeSet::from([branch]));
        std::iter::from_fn(move || {
            let branch = found.pop_front()?;
            found.extend(self.above[branch].iter().filter(|above| seen.insert(**above)));
            Some(branch)
        })
    }
}

/// The lines of bytes that end with a newline, without it.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1])
}

/// Follows a chain line by line.
pub(super) struct Verifier {
    /// The numbers of entries by what others may say they follow.
    known: BTreeMap<String, u64>,
    /// The hashes of altered entries by the other one that others may follow them by.
    aliases: BTreeMap<String, String>,
    /// Entries that nobody follows yet, by hash.
    heads: BTreeMap<String, u64>,
    /// Lines that follow something, by what they follow: its number, and where they stand.
    followed: BTreeMap<String, Vec<usize>>,
    /// Entries that follow what has not been seen: (line, number, previous).
    loose: Vec<(usize, u64, String)>,
    findings: Vec<Finding>,
}

impl Verifier {
    pub(super) fn new(chain: &Name) -> Self {
        Self::after(&[Head { number: 0, hash: first_previous(chain) }])
    }

    /// From a place on at which these were the heads.
    pub(super) fn after(heads: &[Head]) -> Self {
        let heads: BTreeMap<String, u64> = heads.iter().map(|head| (head.hash.clone(), head.number)).collect();
        Self { known: heads.clone(), heads, aliases: BTreeMap::new(), followed: BTreeMap::new(), loose: Vec::new(), findings: Vec::new() }
    }

    /// Takes a line without its newline.
    pub(super) fn take(&mut self, bytes: &[u8], line: usize) -> Option<Recorded> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.findings.push(Finding::NoEntry { line, why: "it is not UTF-8 text".to_owned() });
            return None;
        };
        match line::read(text, line) {
            Ok((recorded, is_sound)) => {
                if !is_sound {
                    self.findings.push(Finding::Signature { line, number: recorded.number });
                }
                self.follow(&recorded);
                Some(recorded)
            }
            Err(LineError::Marker) => {
                self.findings.push(Finding::Marker { line });
                None
            }
            Err(LineError::NoEntry(why)) => {
                self.findings.push(Finding::NoEntry { line, why });
                None
            }
            Err(LineError::Altered { hashes, previous, number }) => {
                self.findings.push(Finding::Altered { line, number });
                self.bridge(hashes, previous, number);
                None
            }
        }
    }

    /// Lets others follow an altered entry, so that one fault is told once.
    fn bridge(&mut self, hashes: [String; 2], previous: Option<String>, number: Option<u64>) {
        let before = previous.filter(|previous| self.known.contains_key(previous));
        let before = before.or_else(|| self.heads.keys().next().cloned());
        let Some(before) = before else { return };
        self.heads.remove(&before);
        let number = number.unwrap_or(self.known[&before] + 1);
        let [own, other] = hashes;
        self.known.insert(own.clone(), number);
        self.heads.insert(own.clone(), number);
        self.aliases.insert(other, own);
    }

    fn follow(&mut self, own: &Recorded) {
        let (line, number) = (own.line, own.number);
        if self.known.contains_key(&own.hash) {
            self.findings.push(Finding::Twice { line, number });
            return;
        }
        let previous = self.aliases.get(&own.previous).unwrap_or(&own.previous).clone();
        match self.known.get(&previous) {
            None => self.loose.push((line, number, previous.clone())),
            Some(before) if number != before + 1 => {
                let why = format!("its number is {number}, and it follows entry {before}");
                self.findings.push(Finding::Impossible { line, why });
            }
            Some(_) => {}
        }
        self.heads.remove(&previous);
        if let What::Merge { heads } = &own.entry.what {
            self.join(own, heads);
        }
        self.followed.entry(previous).or_default().push(line);
        self.known.insert(own.hash.clone(), number);
        self.heads.insert(own.hash.clone(), number);
    }

    fn join(&mut self, own: &Recorded, heads: &[String]) {
        for head in heads.iter().filter(|head| **head != own.previous) {
            if self.heads.remove(head).is_none() {
                let why = format!("it joins {}, which is no end of a branch", short(head));
                self.findings.push(Finding::Impossible { line: own.line, why });
            }
        }
    }

    /// What was found, and the heads, the one with the greatest number first.
    pub(super) fn finish(mut self) -> (Vec<Finding>, Vec<Fork>, Vec<Head>) {
        for (line, number, previous) in std::mem::take(&mut self.loose) {
            let hash = previous.clone();
            self.heads.remove(&previous);
            let number_before = number.saturating_sub(1);
            self.findings.push(if self.known.contains_key(&previous) {
                Finding::Reordered { line, number }
            } else {
                Finding::Missing { line, number: number_before, hash }
            });
        }
        let several = self.followed.iter().filter(|(_, lines)| lines.len() > 1);
        let forks = several.map(|(hash, lines)| Fork { after: self.known.get(hash).copied().unwrap_or(0), lines: lines.clone() });
        let mut forks: Vec<Fork> = forks.collect();
        forks.sort_by_key(|fork| (fork.after, fork.lines.clone()));
        let heads = self.heads.into_iter().filter(|(_, number)| *number > 0);
        let mut heads: Vec<Head> = heads.map(|(hash, number)| Head { number, hash }).collect();
        heads.sort_by(|a, b| b.number.cmp(&a.number).then_with(|| a.hash.cmp(&b.hash)));
        (self.findings, forks, heads)
    }
}
