//! What runs came to that need not be played again, by all that they depend on: in memory, in a file of a partition, in a folder that lasts.

#![allow(clippy::disallowed_types, reason = "files have an age, and nothing that is simulated reads it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use firedrill_core::name::Name;
use firedrill_reports::outcome::{ArmOutcome, Outcome};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::drill::ENGINE;

/// The version of a cache's files.
const SCHEMA: &str = "firedrill.cache/1";

/// A cache grows to this many bytes; then the files that were used least recently go.
pub const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Policies on one seed, against doing nothing and the oracle.
    Case {
        /// Every measure.
        outcome: Box<Outcome>,
        /// The alerts that fired, which an outcome's own JSON leaves out.
        fired: BTreeSet<Name>,
    },
    /// The oracle on one seed.
    Oracle(Box<ArmOutcome>),
    /// Policies in one variant of a scenario.
    Variant(Box<KeptVariant>),
}

/// What policies came to in a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptVariant {
    /// Every measure.
    pub outcome: Outcome,
    /// The first guard that refused each policy anything.
    pub refused: BTreeMap<Name, Name>,
}

/// By key, then by seed; of variants, by what tells one from another.
pub type Entries = BTreeMap<String, BTreeMap<u64, Kept>>;

/// What runs came to. One that does not keep forgets everything at once.
#[derive(Debug, Default)]
pub struct Known {
    keeps: bool,
    entries: Mutex<Entries>,
    /// What was learnt here, by key and seed.
    fresh: Mutex<BTreeSet<(String, u64)>>,
}

impl Known {
    /// One that keeps what it is told, and knows this already.
    #[must_use]
    pub fn keeping(entries: Entries) -> Self {
        Self { keeps: true, entries: Mutex::new(entries), fresh: Mutex::default() }
    }

    /// Whether something is known.
    #[must_use]
    pub fn has(&self, key: &str, seed: u64) -> bool {
        locked(&self.entries).get(key).is_some_and(|seeds| seeds.contains_key(&seed))
    }

    /// What policies came to.
    #[must_use]
    pub fn outcome(&self, key: &str, seed: u64) -> Option<Outcome> {
        match locked(&self.entries).get(key)?.get(&seed)? {
            Kept::Case { outcome, fired } => Some(Outcome { fired: fired.clone(), ..Outcome::clone(outcome) }),
            Kept::Oracle(_) | Kept::Variant(_) => None,
        }
    }

    /// What the oracle came to.
    #[must_use]
    pub fn oracle(&self, key: &str, seed: u64) -> Option<ArmOutcome> {
        match locked(&self.entries).get(key)?.get(&seed)? {
            Kept::Oracle(outcome) => Some(ArmOutcome::clone(outcome)),
            Kept::Case { .. } | Kept::Variant(_) => None,
        }
    }

    /// What policies came to in a variant.
    #[must_use]
    pub fn variant(&self, key: &str, which: u64) -> Option<KeptVariant> {
        match locked(&self.entries).get(key)?.get(&which)? {
            Kept::Variant(kept) => Some(KeptVariant::clone(kept)),
            Kept::Case { .. } | Kept::Oracle(_) => None,
        }
    }

    /// Takes in what was known elsewhere.
    pub fn learn(&self, entries: Entries) {
        if self.keeps {
            locked(&self.entries).extend(entries);
        }
    }

    /// Keeps what policies came to.
    pub fn keep(&self, key: &str, seed: u64, outcome: &Outcome) {
        self.insert(key, seed, || Kept::Case { outcome: Box::new(outcome.clone()), fired: outcome.fired.clone() });
    }

    /// Keeps what the oracle came to.
    pub fn keep_oracle(&self, key: &str, seed: u64, outcome: &ArmOutcome) {
        self.insert(key, seed, || Kept::Oracle(Box::new(outcome.clone())));
    }

    /// Keeps what policies came to in a variant.
    pub fn keep_variant(&self, key: &str, which: u64, kept: &KeptVariant) {
        self.insert(key, which, || Kept::Variant(Box::new(kept.clone())));
    }

    fn insert(&self, key: &str, seed: u64, kept: impl FnOnce() -> Kept) {
        if self.keeps {
            locked(&self.entries).entry(key.to_owned()).or_default().insert(seed, kept());
            locked(&self.fresh).insert((key.to_owned(), seed));
        }
    }

    /// All that is known.
    #[must_use]
    pub fn entries(self) -> Entries {
        self.entries.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that failed while it held the lock has ended the program already, or was one of a test.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder in which outcomes last from one call to the next: a file for each key, a line for each seed.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// This very program: another one may play otherwise.
    build: String,
    most_bytes: u64,
}

/// The first line of a file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Heading {
    schema: String,
    engine: String,
    build: String,
    key: String,
}

/// Every other line, behind the hash of what follows.
#[derive(Serialize, Deserialize)]
struct Line {
    seed: u64,
    kept: Kept,
}

impl Cache {
    /// A cache in a folder, which is made when there is something to keep; `None` if this program cannot tell itself from another one.
    #[must_use]
    pub fn at(folder: PathBuf) -> Option<Self> {
        Some(Self { folder, build: build()?.to_owned(), most_bytes: MOST_BYTES })
    }

    /// Where this user's programs keep what they can make again; `None` if nobody says. It is not beside the project: what is there comes with
    /// the change that is judged.
    #[must_use]
    pub fn usual_folder() -> Option<PathBuf> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || named("HOME");
        let base = if cfg!(windows) {
            named("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Caches"))
        } else {
            named("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| home().map(|home| home.join(".cache")))
        };
        base.map(|base| base.join("firedrill"))
    }

    /// What is known under these keys, and what is wrong with the files, a sentence each. What is damaged is not known.
    #[must_use]
    pub fn load(&self, keys: &BTreeSet<String>) -> (Entries, Vec<String>) {
        let (mut entries, mut damage) = (Entries::new(), Vec::new());
        for key in keys {
            let path = self.path(key);
            let Ok(bytes) = fs::read(&path) else { continue };
            let (seeds, lost) = self.read(key, &String::from_utf8_lossy(&bytes));
            if lost > 0 {
                damage.push(format!("{} is damaged in {lost} of its lines, which are played again", path.display()));
            }
            // It was used now, so it is not the first to go. Where the file cannot be touched its age is that of its last change.
            let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            entries.insert(key.clone(), seeds);
        }
        (entries, damage)
    }

    /// Writes down what was learnt, whole files at a time, and makes room.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn save(&self, known: &Known) -> anyhow::Result<()> {
        let keys: BTreeSet<String> = locked(&known.fresh).iter().map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let entries = locked(&known.entries);
        for key in keys {
            let seeds = entries.get(&key).into_iter().flatten();
            let mut text = json(&self.heading(&key));
            for (seed, kept) in seeds {
                let line = json(&Line { seed: *seed, kept: kept.clone() });
                text.push_str(&format!("\n{} {line}", checksum(&line)));
            }
            text.push('\n');
            let path = self.path(&key);
            let mut file = NamedTempFile::with_prefix_in(".part-", &self.folder).context("cannot write into the cache")?;
            file.write_all(text.as_bytes()).context("cannot write into the cache")?;
            file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        drop(entries);
        self.make_room()
    }

    /// Removes what was used least recently until the rest is small enough.
    fn make_room(&self) -> anyhow::Result<()> {
        let files = fs::read_dir(&self.folder).with_context(|| format!("cannot read the folder {}", self.folder.display()))?;
        let about = |entry: fs::DirEntry| {
            let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((about.modified().ok()?, entry.path(), about.len()))
        };
        let is_ours = |path: &Path| path.extension().is_some_and(|extension| extension == "jsonl");
        let mut files: Vec<(SystemTime, PathBuf, u64)> =
            files.filter_map(Result::ok).filter_map(about).filter(|(_, path, _)| is_ours(path)).collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (_, path, size) in files {
            if bytes <= self.most_bytes {
                break;
            }
            // Another process may have been faster.
            let _ = fs::remove_file(&path);
            bytes -= size;
        }
        Ok(())
    }

    /// The seeds of a file, and how many of its lines are damaged. A file of another program or key is as good as none.
    fn read(&self, key: &str, text: &str) -> (BTreeMap<u64, Kept>, usize) {
        let mut lines = text.lines();
        let heading = lines.next().and_then(|line| serde_json::from_str::<Heading>(line).ok());
        if heading.is_none_or(|heading| heading != self.heading(key)) {
            return (BTreeMap::new(), text.lines().count().max(1));
        }
        let parsed = |line: &str| {
            let (hash, json) = line.split_once(' ')?;
            let line: Line = serde_json::from_str(json).ok().filter(|_| checksum(json) == hash)?;
            Some((line.seed, line.kept))
        };
        let (mut seeds, mut lost) = (BTreeMap::new(), 0);
        for line in lines {
            match parsed(line) {
                Some((seed, kept)) => drop(seeds.insert(seed, kept)),
                None => lost += 1,
            }
        }
        (seeds, lost)
    }

    fn heading(&self, key: &str) -> Heading {
        Heading { schema: SCHEMA.to_owned(), engine: ENGINE.to_owned(), build: self.build.clone(), key: key.to_owned() }
    }

    fn path(&self, key: &str) -> PathBuf {
        let name = blake3::hash(format!("{ENGINE}\n{}\n{key}", self.build).as_bytes()).to_hex();
        self.folder.join(format!("{}.jsonl", &name[..32]))
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("outcomes are plain data")
}

/// Enough to notice what a disk or a half-done copy does.
fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// BLAKE3 of the program that runs, hexadecimal; `None` if it cannot be read.
pub fn build() -> Option<&'static str> {
    static BUILD: OnceLock<Option<String>> = OnceLock::new();
    let hashed = || Some(blake3::hash(&fs::read(std::env::current_exe().ok()?).ok()?).to_hex().to_string());
    BUILD.get_or_init(hashed).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(fingerprint: &str) -> ArmOutcome {
        ArmOutcome {
            arm: Name::new("oracle"),
            fingerprint: fingerprint.to_owned(),
            ended_seconds: 0.1 + 0.2,
            cut_by: None,
            requests: firedrill_reports::outcome::RequestCounts::default(),
            user_minutes_lost: 1.0 / 3.0,
            data_lost: 0,
            time_to_detect: None,
            time_to_mitigate: None,
            time_to_recover: None,
            incidents: Vec::new(),
        }
    }

    fn cache(folder: &Path) -> Cache {
        Cache { folder: folder.to_owned(), build: "this".to_owned(), most_bytes: MOST_BYTES }
    }

    fn keys(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn saved(cache: &Cache, key: &str, seeds: &[u64]) {
        let (entries, _) = cache.load(&keys(&[key]));
        let known = Known::keeping(entries);
        seeds.iter().for_each(|seed| known.keep_oracle(key, *seed, &arm(&format!("{key} {seed}"))));
        cache.save(&known).unwrap();
    }

    #[test]
    fn what_was_kept_is_known_to_the_bit_and_more_is_added_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        saved(&cache, "one", &[1, 2]);
        saved(&cache, "one", &[3]);
        let (entries, damage) = cache.load(&keys(&["one", "none"]));
        assert_eq!((entries["one"].keys().copied().collect::<Vec<_>>(), damage.len(), entries.len()), (vec![1, 2, 3], 0, 1));
        assert_eq!(Known::keeping(entries).oracle("one", 2), Some(arm("one 2")));
    }

    #[test]
    fn what_is_damaged_or_of_another_program_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        saved(&cache, "one", &[1, 2, 3]);
        let path = cache.path("one");
        let sound = fs::read_to_string(&path).unwrap();
        let check = |text: &str, seeds: &[u64], is_told: bool| {
            fs::write(&path, text).unwrap();
            let (entries, damage) = cache.load(&keys(&["one"]));
            assert_eq!((entries["one"].keys().copied().collect::<Vec<_>>(), !damage.is_empty()), (seeds.to_vec(), is_told), "{text}");
        };
        check(&sound, &[1, 2, 3], false);
        check(&sound.replacen("one 2", "one 7", 1), &[1, 3], true);
        check(&sound[..sound.len() - 9], &[1, 2], true);
        check(&sound.replacen("\"this\"", "\"that\"", 1), &[], true);
        check("", &[], true);
        let other = Cache { build: "other".to_owned(), ..super::tests::cache(folder.path()) };
        assert!(other.load(&keys(&["one"])).0.is_empty(), "another program has files of its own");
    }

    #[test]
    fn the_files_used_least_recently_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let large = cache(folder.path());
        let age = |key: &str, days: u64| {
            let then = SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
            File::options().append(true).open(large.path(key)).unwrap().set_modified(then).unwrap();
        };
        ["a", "b", "c"].into_iter().for_each(|key| saved(&large, key, &[1]));
        age("a", 3);
        age("b", 2);
        let size = fs::metadata(large.path("a")).unwrap().len();
        let small = Cache { most_bytes: size * 3, ..cache(folder.path()) };
        saved(&small, "d", &[1]);
        let is_there = |key: &str| large.path(key).exists();
        assert_eq!(["a", "b", "c", "d"].map(is_there), [false, true, true, true]);
        // Being used counts, not only being written.
        age("b", 2);
        age("c", 1);
        let _ = small.load(&keys(&["b"]));
        saved(&small, "e", &[1]);
        assert_eq!(["b", "c", "d", "e"].map(is_there), [true, false, true, true]);
    }

    #[test]
    fn one_that_does_not_keep_forgets() {
        let known = Known::default();
        known.keep_oracle("one", 1, &arm("x"));
        assert!(!known.has("one", 1) && known.entries().is_empty());
    }
}
