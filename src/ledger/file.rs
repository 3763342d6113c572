//! A chain as a file: one writer at a time, whole lines or none, and nothing acknowledged that a crash can take back.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use firedrill_core::name::Name;
use firedrill_core::problem::Problem;
use firedrill_core::words::counted;

use super::chain::{Chain, Finding, Fork, Head, Verifier, lines};
use super::entry::{Entry, Recorded, What};
use super::key::Key;
use super::line::{self, MOST_BYTES, first_previous};
use crate::failure::Failure;
use crate::inputs::{GIT_ATTRIBUTES, GIT_IGNORE};

/// How long the lock of a chain is waited for: 10 s, in steps.
const LOCK_TRIES: u32 = 1000;
const LOCK_STEP: Duration = Duration::from_millis(10);

/// So many threads wait for the disk at a time where several chains are written.
const SYNC_THREADS: usize = 8;

/// Most lines are shorter than this, bytes: so much is read to find the last one.
const USUAL_BYTES: u64 = 16 << 10;

/// How a hash begins, and how many digits follow.
const HASH: &str = "blake3:";
const HASH_DIGITS: usize = 64;

/// A chain that is open for writing. While it is, nobody else writes to it.
#[derive(Debug)]
pub struct Ledger {
    name: Name,
    path: PathBuf,
    file: File,
    /// How long the file is, in bytes.
    end: u64,
    /// How many lines it has.
    lines: usize,
    heads: Vec<Head>,
    entries: Vec<Recorded>,
    keeps: bool,
    key: Option<Key>,
    is_broken: bool,
    /// Whether something was written that the disk was not waited for.
    is_unsynced: bool,
}

/// What was done when a chain was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many bytes of a line that nobody finished were taken off the end. They are kept in `NAME.torn` beside the chain.
    pub torn_bytes: usize,
    /// Whether the last line lacked nothing but its newline, which was added.
    pub is_completed: bool,
    /// Forks whose branches the next entry joins.
    pub forks: Vec<Fork>,
}

impl Recovery {
    /// A sentence for each; none if there was nothing to do.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.torn_bytes > 0 {
            let bytes = counted(self.torn_bytes as u64, "byte");
            told.push(format!(
                "a write was cut off: {bytes} of an entry that nobody had been promised were moved to the file .torn beside it"
            ));
        }
        if self.is_completed {
            told.push("a write was cut off after the last entry and before its newline: the entry is kept".to_owned());
        }
        told.extend(self.forks.iter().map(|fork| format!("{fork}; the next entry joins them")));
        told
    }
}

/// Where a chain was left, so that it need not be read again from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    folder: PathBuf,
    name: Name,
    end: u64,
    lines: usize,
    heads: Vec<Head>,
}

/// The chain that a policy or the watcher has, if its name can be that of a file.
///
/// # Errors
/// It cannot.
pub fn name_of(chain: &str) -> Result<Name, Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if chain.is_empty() || chain.len() > 200 || chain.starts_with('.') || !chain.chars().all(is_plain) {
        let message = format!("`{chain}` cannot be the name of a chain of the ledger");
        let problem = Problem::in_file("FD0810", "the ledger", message);
        return Err(vec![problem.remedy("use letters, digits, `-`, `_` and `.`, at most 200 of them")].into());
    }
    Ok(Name::new(chain))
}

impl Ledger {
    /// Takes the lock of a chain, which is given up when this is dropped, makes the file if there is none, verifies it, and takes off a last
    /// line that nobody finished.
    ///
    /// # Errors
    /// Something is wrong with the chain; somebody else has it for longer than ten seconds; or the file cannot be read or written.
    pub fn open(folder: &Path, chain: &Name) -> Result<(Self, Recovery), Failure> {
        let name = name_of(chain)?;
        make_folder(folder)?;
        let path = file_path(folder, &name);
        let mut file = locked(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
        let (is_completed, torn) = complete(&mut bytes, &name);
        // Nobody else writes either of them as long as the lock is held.
        let chain = with_head(Chain::of_bytes(&name, &path.display().to_string(), &bytes), Seen::of(folder, &name)).sound()?;
        let recovery =
            Recovery { torn_bytes: torn.len(), is_completed, forks: if chain.heads.len() > 1 { chain.forks.clone() } else { Vec::new() } };
        let lines = lines(&bytes).count();
        let Chain { entries, heads, .. } = chain;
        let mut own = Self {
            name,
            path,
            file,
            end: bytes.len() as u64,
            lines,
            heads,
            entries,
            keeps: true,
            key: None,
            is_broken: false,
            is_unsynced: false,
        };
        if is_completed || !torn.is_empty() {
            own.repair(is_completed, &torn).with_context(|| format!("cannot repair {}", own.path.display()))?;
        }
        Ok((own, recovery))
    }

    /// Reads a chain without its lock and repairs nothing; one that is not there has no entries. What is wrong stands in the chain.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(folder: &Path, chain: &Name) -> Result<Chain, Failure> {
        Self::read_while(folder, chain, &mut || {})
    }

    /// The same; `meanwhile` happens between the readings of the two files.
    fn read_while(folder: &Path, chain: &Name, meanwhile: &mut dyn FnMut()) -> Result<Chain, Failure> {
        let name = name_of(chain)?;
        let path = file_path(folder, &name);
        // What was last seen at the end is read before the file: a writer adds to the file first, so that whatever it has noted by now is there then.
        let seen = Seen::of(folder, &name);
        meanwhile();
        is_file(&path)?;
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot read {}", path.display())).into()),
        };
        // An entry that lacks nothing but its newline is whole; the next writer gives it that.
        let (_, torn) = complete(&mut bytes, &name);
        bytes.extend(torn);
        Ok(with_head(Chain::of_bytes(&name, &path.display().to_string(), &bytes), seen))
    }

    /// How long the file of a chain is, bytes; zero: it is not there. What is as long as it was has nothing new.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn length(folder: &Path, chain: &Name) -> Result<u64, Failure> {
        let path = file_path(folder, &name_of(chain)?);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(anyhow::Error::new(error).context(format!("cannot read {}", path.display())).into()),
        }
    }

    /// The chains that a folder holds, sorted by name; none if there is no such folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn chains(folder: &Path) -> Result<Vec<Name>, Failure> {
        Self::files(folder, "jsonl")
    }

    /// The names of the files of a folder that end so, sorted.
    fn files(folder: &Path, ending: &str) -> Result<Vec<Name>, Failure> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot read {}", folder.display())).into()),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.extension().is_some_and(|extension| extension == ending) {
                names.extend(path.file_stem().map(|stem| Name::from(stem.to_string_lossy().into_owned())));
            }
        }
        names.sort();
        Ok(names)
    }

    /// The chains of which this machine has seen an end, sorted by name, whether or not their files are still there; none if there is no such folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn noted(folder: &Path) -> Result<Vec<Name>, Failure> {
        Self::files(folder, "head")
    }

    /// The same, whose entries are signed from here on.
    #[must_use]
    pub fn signed_by(mut self, key: Option<Key>) -> Self {
        self.key = key;
        self
    }

    /// Adds entries: one write and one fsync for all of them. After `Ok` they survive a crash; after an error none of them is there, or, if
    /// the machine cannot even say that, nothing more is written until the chain is opened again. Branches of a fork are joined first.
    ///
    /// # Errors
    /// An entry is too long; somebody else changed the file; or it cannot be written.
    pub fn append(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.write(entries)?;
        self.sync()
    }

    /// As [`Self::append`] without waiting for the disk: until [`Self::sync`] or [`sync_all`] has said so nothing of it is promised to anybody, and a
    /// crash may leave out its end.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn write(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        self.is_as_it_was()?;
        let (text, recorded) = self.lines_of(entries)?;
        let written = self.write_bytes(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.end += text.len() as u64;
        self.lines += recorded.len();
        let last = recorded.last().expect("there is an entry");
        self.heads = vec![Head { number: last.number, hash: last.hash.clone() }];
        self.is_unsynced = true;
        if self.keeps {
            self.entries.extend(recorded);
        }
        Ok(())
    }

    /// Whether something was written that the disk was not waited for.
    pub(crate) const fn is_unsynced(&self) -> bool {
        self.is_unsynced
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// The disk does not say so: nobody knows what it holds, and nothing more is written until the chain is opened again.
    pub fn sync(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.is_unsynced) {
            return Ok(());
        }
        let synced = self.file.sync_data().inspect_err(|_| self.is_broken = true);
        synced.with_context(|| format!("cannot write {}", self.path.display()))?;
        // What the machine has seen is a help to notice that an end is gone. It is not waited for: after a crash it may be older than the chain.
        if let Some(head) = self.heads.first() {
            let _ = fs::write(self.path.with_extension("head"), format!("{} {}\n", head.number, head.hash));
        }
        Ok(())
    }

    /// All entries in the order of the file, or none after [`Self::forget`].
    #[must_use]
    pub fn entries(&self) -> &[Recorded] {
        &self.entries
    }

    /// The chain as it stands, of which nobody else can make another one as long as this is open; without entries after [`Self::forget`].
    #[must_use]
    pub fn chain(&self) -> Chain {
        let (name, path) = (self.name.clone(), self.path.display().to_string());
        let (entries, heads) = (self.entries.clone(), self.heads.clone());
        Chain { name, path, entries, heads, findings: Vec::new(), forks: Vec::new(), torn_bytes: 0 }
    }

    /// Gives up the entries that are kept in memory, and keeps none from here on: for a watcher that runs for months.
    pub fn forget(&mut self) -> Vec<Recorded> {
        self.keeps = false;
        std::mem::take(&mut self.entries)
    }

    /// The hash of the last entry; `None` if there is none, or if a fork has two.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        if let [head] = self.heads.as_slice() { Some(&head.hash) } else { None }
    }

    /// Whether it ends with these: what was looked at then is all that stands there now. How long it is tells nothing, because another branch may be as long.
    #[must_use]
    pub fn is_at(&self, heads: &[Head]) -> bool {
        self.heads == heads
    }

    /// The chain's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Gives up the lock, and remembers the place.
    #[must_use]
    pub fn release(self) -> Released {
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        Released { folder, name: self.name, end: self.end, lines: self.lines, heads: self.heads }
    }

    /// Takes the lock of a chain again. Only what others have added since is read and verified; [`Self::entries`] holds that alone.
    /// Whatever else became of the file, such as another branch that was checked out, is read anew from its start, as by [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn resume(place: &Released) -> Result<(Self, Recovery), Failure> {
        let path = file_path(&place.folder, &place.name);
        let mut file = locked(&path)?;
        let mut verifier = Verifier::after(&place.heads);
        let length = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
        let is_longer = length >= place.end && ends_with_head(&mut file, place).unwrap_or(false);
        let mut bytes = Vec::new();
        if is_longer {
            file.seek(SeekFrom::Start(place.end))
                .and_then(|_| file.read_to_end(&mut bytes))
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        let is_whole = bytes.is_empty() || bytes.ends_with(b"\n");
        let numbered = lines(if is_whole { &bytes } else { &[] }).enumerate();
        let entries: Vec<Recorded> = numbered.filter_map(|(index, text)| verifier.take(text, place.lines + index + 1)).collect();
        let (findings, _, heads) = verifier.finish();
        if !is_longer || !is_whole || !findings.is_empty() || heads.len() > 1 {
            drop(file);
            return Self::open(&place.folder, &place.name);
        }
        let lines = place.lines + entries.len();
        let name = place.name.clone();
        let own =
            Self { name, path, file, end: length, lines, heads, entries, keeps: true, key: None, is_broken: false, is_unsynced: false };
        Ok((own, Recovery::default()))
    }

    /// The lines of entries, and what they will be once they are written.
    fn lines_of(&self, mut entries: Vec<Entry>) -> Result<(String, Vec<Recorded>), Failure> {
        if self.heads.len() > 1 {
            let heads = self.heads.iter().map(|head| head.hash.clone()).collect();
            let first = &entries[0];
            entries.insert(0, Entry { at: first.at, by: first.by.clone(), what: What::Merge { heads } });
        }
        let first = || Head { number: 0, hash: first_previous(&self.name) };
        let mut head = self.heads.first().cloned().unwrap_or_else(first);
        let (mut text, mut recorded) = (String::new(), Vec::new());
        for entry in entries {
            let (line, hash) = line::write(&entry, head.number + 1, &head.hash, self.key.as_ref());
            if line.len() > MOST_BYTES {
                let message = format!("an entry of {} bytes is too long for the ledger: the most is {MOST_BYTES}", line.len());
                return Err(vec![Problem::in_file("FD0811", &self.path.display().to_string(), message).remedy("write less into it")].into());
            }
            let signed = self.key.as_ref().map_or(super::entry::Signed::No, |key| super::entry::Signed::By(key.public()));
            let (number, line_number) = (head.number + 1, self.lines + recorded.len() + 1);
            recorded.push(Recorded { number, line: line_number, previous: head.hash, hash: hash.clone(), signed, entry });
            head = Head { number, hash };
            text.push_str(&line);
        }
        Ok((text, recorded))
    }

    /// Refuses to write where the file is not the one that was opened, or not as long as it was left.
    ///
    /// # Errors
    /// It is so, or what the disk holds is not known.
    pub(crate) fn is_as_it_was(&self) -> Result<(), Failure> {
        let at_path = fs::metadata(&self.path).ok();
        let own = self.file.metadata().ok();
        let is_same = matches!((&at_path, &own), (Some(there), Some(own)) if is_one_file(there, own) && own.len() == self.end);
        if is_same && !self.is_broken {
            return Ok(());
        }
        let path = self.path.display().to_string();
        let message = format!("{path} was changed by something else while it was open, such as a checkout of another branch");
        Err(vec![Problem::in_file("FD0812", &path, message).remedy("open it again: it is verified anew, and nothing was written")].into())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(bytes));
        if let Err(error) = written {
            // A full disk: what got there is taken off again, so that the next one finds whole lines.
            self.is_broken = self.file.set_len(self.end).is_err();
            return Err(error);
        }
        Ok(())
    }

    fn repair(&mut self, is_completed: bool, torn: &[u8]) -> io::Result<()> {
        if !torn.is_empty() {
            let mut kept = OpenOptions::new().create(true).append(true).open(self.path.with_extension("torn"))?;
            kept.write_all(torn)?;
            kept.write_all(b"\n")?;
            kept.sync_data()?;
        }
        let end = if is_completed { self.end - 1 } else { self.end };
        self.file.set_len(end)?;
        if is_completed {
            self.file.seek(SeekFrom::Start(end))?;
            self.file.write_all(b"\n")?;
        }
        self.file.sync_data()
    }
}

/// Waits until all that was written to several chains is on the disk. They are waited for together: a disk writes what several wait for at once.
///
/// # Errors
/// As [`Ledger::sync`], of the first of them.
pub fn sync_all(mut ledgers: Vec<&mut Ledger>) -> Result<(), Failure> {
    let share = ledgers.len().div_ceil(SYNC_THREADS).max(1);
    let sync = |own: &mut [&mut Ledger]| own.iter_mut().try_for_each(|ledger| ledger.sync());
    if ledgers.len() <= 1 {
        return sync(&mut ledgers);
    }
    std::thread::scope(|scope| {
        let waiting: Vec<_> = ledgers.chunks_mut(share).map(|own| scope.spawn(move || sync(own))).collect();
        let synced: Vec<_> = waiting.into_iter().map(|own| own.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
        synced.into_iter().collect()
    })
}

fn file_path(folder: &Path, name: &Name) -> PathBuf {
    folder.join(format!("{name}.jsonl"))
}

/// Makes the folder with what git is told of it, if it is not there.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    let make = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, text) in [(".gitattributes", GIT_ATTRIBUTES), (".gitignore", GIT_IGNORE)] {
            match OpenOptions::new().write(true).create_new(true).open(folder.join(name)) {
                Ok(mut file) => file.write_all(text.as_bytes())?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        sync_folder(folder)?;
        folder.parent().map_or(Ok(()), sync_folder)
    };
    if folder.join(".gitignore").is_file() {
        return Ok(());
    }
    make().with_context(|| format!("cannot make the folder {}", folder.display())).map_err(Failure::from)
}

/// Waits until what a folder holds is on the disk. Where folders cannot be opened the system sees to that by itself.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// That a path leads to a file, or to nothing yet: whoever opens a pipe waits for ever.
fn is_file(path: &Path) -> Result<(), Failure> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(anyhow::anyhow!("cannot read {}: it is no file, and a chain of the ledger is one", path.display()).into());
    }
    Ok(())
}

/// Opens a file and takes its lock, and makes sure that it is the one that the path leads to once the lock is there.
fn locked(path: &Path) -> Result<File, Failure> {
    let context = || format!("cannot open {}", path.display());
    is_file(path)?;
    for _ in 0..LOCK_TRIES {
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {
                let here = fs::metadata(path).ok();
                let own = file.metadata().with_context(context)?;
                if here.is_some_and(|here| is_one_file(&here, &own)) {
                    if is_new {
                        file.sync_all().and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("")))).with_context(context)?;
                    }
                    return Ok(file);
                }
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_STEP),
            Err(TryLockError::Error(error)) => {
                return Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())).into());
            }
        }
    }
    let shown = path.display().to_string();
    let message = format!("{shown} is being written by another firedrill, and has been for {} s", (LOCK_STEP * LOCK_TRIES).as_secs());
    Err(vec![Problem::in_file("FD0813", &shown, message).remedy("try again when it is done")].into())
}

#[cfg(unix)]
fn is_one_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Where files have no number that can be asked for, an open file cannot be replaced either.
#[cfg(not(unix))]
fn is_one_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    a.len() == b.len()
}

/// Takes a line that nobody finished off the end, or gives a whole entry the newline that it lacks. Says whether it did that, and what was taken.
fn complete(bytes: &mut Vec<u8>, name: &Name) -> (bool, Vec<u8>) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == bytes.len() {
        return (false, Vec::new());
    }
    let mut completed = bytes.clone();
    completed.push(b'\n');
    let before = Chain::of_bytes(name, "", &bytes[..whole]).findings.len();
    if Chain::of_bytes(name, "", &completed).findings.len() == before {
        *bytes = completed;
        return (true, Vec::new());
    }
    (false, bytes.split_off(whole))
}

/// Whether the last line before a place is the one that was last there.
fn ends_with_head(file: &mut File, place: &Released) -> io::Result<bool> {
    let [head] = place.heads.as_slice() else { return Ok(place.heads.is_empty() && place.end == 0) };
    for most in [USUAL_BYTES, MOST_BYTES as u64 + 1] {
        let from = place.end.saturating_sub(most);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        Read::by_ref(file).take(place.end - from).read_to_end(&mut bytes)?;
        let Some(last) = bytes.strip_suffix(b"\n") else { return Ok(false) };
        let begins = last.iter().rposition(|byte| *byte == b'\n');
        if begins.is_none() && from > 0 {
            // The line is longer than what was read.
            continue;
        }
        let last = &last[begins.map_or(0, |at| at + 1)..];
        return Ok(std::str::from_utf8(last).is_ok_and(|text| line::read(text, 0).is_ok_and(|(own, _)| own.hash == head.hash)));
    }
    Ok(false)
}

/// What this machine has noted of the end of a chain.
enum Seen {
    /// The entry that it has last seen there.
    Entry { number: u64, hash: String },
    /// Something that no firedrill notes.
    Damaged { path: String },
}

impl Seen {
    /// `None`: nothing was noted; or the note is being written, or a crash has left its beginning or nothing but zeros of it.
    fn of(folder: &Path, name: &Name) -> Option<Self> {
        let path = folder.join(format!("{name}.head"));
        is_file(&path).ok()?;
        let bytes = fs::read(&path).ok()?;
        let noted = String::from_utf8(bytes).unwrap_or_else(|_| "damaged\n".to_owned());
        let digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let whole = |noted: &str| -> Option<Self> {
            let (number, hash) = noted.strip_suffix('\n')?.split_once(' ')?;
            let is_hash = hash.strip_prefix(HASH).is_some_and(|own| own.len() == HASH_DIGITS && digits(own, HASH_DIGITS));
            Some(Self::Entry { number: number.parse().ok().filter(|_| is_hash)?, hash: hash.to_owned() })
        };
        let is_beginning = || {
            let (number, hash) = noted.split_once(' ').unwrap_or((&noted, ""));
            let is_hash = HASH.starts_with(hash) || hash.strip_prefix(HASH).is_some_and(|own| digits(own, HASH_DIGITS));
            number.bytes().all(|byte| byte.is_ascii_digit()) && is_hash
        };
        let damaged =
            || (!is_beginning() && noted.bytes().any(|byte| byte != 0)).then(|| Self::Damaged { path: path.display().to_string() });
        whole(&noted).or_else(damaged)
    }
}

/// The chain, and the finding that an entry is gone which this machine has seen at its end.
fn with_head(mut chain: Chain, seen: Option<Seen>) -> Chain {
    let (number, hash) = match seen {
        None => return chain,
        Some(Seen::Damaged { path }) => {
            chain.findings.push(Finding::Unnoted { path });
            return chain;
        }
        Some(Seen::Entry { number, hash }) => (number, hash),
    };
    let is_told = chain.findings.iter().any(|finding| matches!(finding, Finding::Altered { .. } | Finding::Missing { .. }));
    if !is_told && !chain.entries.iter().any(|own| own.hash == hash) {
        chain.findings.push(Finding::Dropped { number, hash });
    }
    chain
}

#[cfg(test)]
mod tests;
