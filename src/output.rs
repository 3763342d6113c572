//! Where words go: data to stdout, talk to stderr, files whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use firedrill_core::problem::{Problem, Severity};

use crate::cli::{Color, Common, Format, Written};
use crate::failure::Failure;
use crate::inputs;
use crate::outputs::{annotations, sarif};

/// A folder that others take away meanwhile is made anew at most so often.
const MOST_TRIES: usize = 64;

/// Of one file at most so many problems are written out.
const MOST_SHOWN: usize = 20;

/// How this invocation talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Text or JSON.
    pub format: Format,
    written: Written,
    color: bool,
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// From the common options and the terminal.
    #[must_use]
    pub fn new(common: &Common) -> Self {
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let format = if common.format == Written::Json { Format::Json } else { Format::Text };
        Self { format, written: common.format, color, quiet: common.quiet, verbose: common.verbose > 0 }
    }

    /// Whether stdout is for SARIF alone.
    #[must_use]
    pub fn is_sarif(self) -> bool {
        self.written == Written::Sarif
    }

    /// Whether GitHub's annotations are wanted beside the text.
    #[must_use]
    pub fn is_annotated(self) -> bool {
        self.written == Written::Github
    }

    /// Refuses what only code hosts read, of a command that has nothing for them.
    ///
    /// # Errors
    /// The format is one of those.
    pub fn only_text_and_json(self, command: &str) -> Result<(), Failure> {
        let word = match self.written {
            Written::Text | Written::Json => return Ok(()),
            Written::Sarif => "sarif",
            Written::Github => "github",
        };
        let message = format!("`--format {word}` is for `check` and `gate`, and `{command}` has nothing that it could hold");
        Err(Failure::argument(message, "use `--format text` or `--format json`"))
    }

    /// What is wrong with the input, where a code host reads it: as SARIF or as annotations on stdout; otherwise nothing.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn findings(self, problems: &[Problem]) -> anyhow::Result<()> {
        match self.written {
            Written::Sarif => self.data(&sarif::document(problems)),
            Written::Github if !problems.is_empty() => self.data(&annotations::of_problems(problems)),
            Written::Github | Written::Text | Written::Json => Ok(()),
        }
    }

    /// Whether text is coloured.
    #[must_use]
    pub const fn color(self) -> bool {
        self.color
    }

    /// Whether talk is unwanted.
    #[must_use]
    pub const fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Whether hints are wanted too.
    #[must_use]
    pub const fn is_verbose(self) -> bool {
        self.verbose
    }

    /// Data, to stdout. A closed pipe is the reader's choice and no error.
    ///
    /// # Errors
    /// Stdout takes it not or not whole, such as a full disk: whoever reads the file must not take it for the answer.
    pub fn data(self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
        match written.and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
            _ => Ok(()),
        }
    }

    /// Talk, to stderr, unless told to be quiet.
    pub fn talk(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Problems, to stderr, with a closing count. Of one file the twenty gravest are shown, in their order: the rest likely follow from them.
    pub fn problems(self, problems: &[Problem]) {
        let color = self.color && io::stderr().is_terminal();
        let mut stderr = io::stderr().lock();
        let mut gravest: Vec<usize> = (0..problems.len()).collect();
        gravest.sort_by_key(|&index| problems[index].severity);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        gravest.retain(|&index| {
            let count = counts.entry(&problems[index].path).or_default();
            *count += 1;
            *count <= MOST_SHOWN
        });
        gravest.sort_unstable();
        for index in gravest {
            let _ = writeln!(stderr, "{}\n", problems[index].render(color));
        }
        for (path, count) in counts.into_iter().filter(|(_, count)| *count > MOST_SHOWN) {
            let _ = writeln!(stderr, "and {} more in {path}\n", count - MOST_SHOWN);
        }
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        if errors > 0 {
            let _ = writeln!(stderr, "{errors} problem{}; nothing was written", if errors == 1 { "" } else { "s" });
        }
    }
}

/// A folder that files will be written into. What had to be made for it is removed again if it stays empty.
#[derive(Debug)]
pub struct Room {
    /// The folders that were made, outermost first.
    made: Vec<PathBuf>,
}

impl Room {
    /// Makes the folder and tries whether it takes a file, before any work is done for it. `option` is what the command line calls it.
    ///
    /// # Errors
    /// It lies in a ledger; it, or what it should lie in, is there and no folder; or it cannot be made or written into.
    pub fn make(option: &str, folder: &Path) -> Result<Self, Failure> {
        inputs::outside_of_ledgers(&format!("{option} {}", folder.display()), folder)?;
        // Asked once for each: whoever else made a folder may take it away between two questions.
        let there = |path: &&Path| fs::metadata(path).is_ok_and(|there| !there.is_dir());
        if let Some(taken) = folder.ancestors().filter(|path| !path.as_os_str().is_empty()).find(there) {
            return Err(Failure::argument(
                format!("`{option} {}` needs a folder, and {} is a file", folder.display(), taken.display()),
                "name another folder, or move the file away",
            ));
        }
        let mut room = Self { made: Vec::new() };
        let tried = unless_gone(|| room.try_in(folder));
        tried.map(|()| room).map_err(|error| {
            let message = format!("`{option} {}`: files cannot be written there: {error}", folder.display());
            Failure::argument(message, "name a folder that this user may write into")
        })
    }

    /// Makes what is missing of a folder, and tries whether it takes a file: one with a name of its own, for others may try the same at this time.
    fn try_in(&mut self, folder: &Path) -> io::Result<()> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<PathBuf> = folder.ancestors().take_while(is_missing).map(Path::to_owned).collect();
        for path in missing.into_iter().rev() {
            if !self.made.contains(&path) {
                self.made.push(path);
            }
        }
        // Somebody else may have taken away what was there at a try before.
        self.made.sort();
        fs::create_dir_all(folder)?;
        drop(tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A folder that holds something stays: only empty ones can be removed so.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Writes files into a folder, each to a temporary name and then renamed, so that none is ever half-written.
///
/// # Errors
/// The folder or a file cannot be written, or one of them has been read; then none is written.
pub fn write_files<N: AsRef<str>>(folder: &Path, files: &[(N, String)]) -> anyhow::Result<()> {
    files.iter().try_for_each(|(name, _)| not_read(&folder.join(name.as_ref())))?;
    replace_files(folder, files)
}

/// Removes files from a folder, as far as they are there; none that has been read, or that lies in a ledger.
pub fn remove_files(folder: &Path, names: &[&str]) {
    let own = names.iter().map(|name| folder.join(name)).filter(|path| !inputs::holds(path) && !inputs::is_of_ledger(path));
    own.for_each(|path| drop(fs::remove_file(path)));
}

/// A file beside its place, which takes it when it is put there; dropped before that, it is removed again, and what stood there stands there still.
#[derive(Debug)]
pub struct Staged {
    file: tempfile::NamedTempFile<File>,
    path: PathBuf,
}

impl Staged {
    /// Puts it in its place.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn put(self) -> anyhow::Result<()> {
        self.file.persist(&self.path).map_err(|error| error.error).with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }
}

/// Writes a file beside its place, so that it is known that it can be put there.
///
/// # Errors
/// It cannot be written, its place is a folder, or it has been read.
pub fn stage_file(path: &Path, text: &str) -> anyhow::Result<Staged> {
    not_read(path)?;
    anyhow::ensure!(!inputs::is_of_ledger(path), "{} lies in the ledger, into which nothing else is written", path.display());
    is_for_a_file(path)?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let file = unless_gone(|| fs::create_dir_all(parent).and_then(|()| beside(path, text)));
    Ok(Staged { file: file.with_context(|| format!("cannot write {}", path.display()))?, path: path.to_owned() })
}

/// Refuses a place in which something stands that is no file, and that a file would replace: a device, which all of the machine uses, or a pipe.
fn is_for_a_file(path: &Path) -> anyhow::Result<()> {
    let Ok(there) = fs::metadata(path) else { return Ok(()) };
    anyhow::ensure!(!there.is_dir(), "{} is a folder", path.display());
    anyhow::ensure!(there.is_file(), "{} is a device or a pipe, and what is written would take its place: name a file", path.display());
    Ok(())
}

fn not_read(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!inputs::holds(path), "{} has been read for this, and would be written over: name another folder", path.display());
    Ok(())
}

/// As [`write_files`], also where a file has been read: for what is made anew out of itself.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn replace_files<N: AsRef<str>>(folder: &Path, files: &[(N, String)]) -> anyhow::Result<()> {
    if let Some(kept) = files.iter().map(|(name, _)| folder.join(name.as_ref())).find(|path| inputs::is_of_ledger(path)) {
        anyhow::bail!("{} lies in the ledger, into which nothing else is written: name another place", kept.display());
    }
    unless_gone(|| fs::create_dir_all(folder)).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name.as_ref());
        is_for_a_file(&path)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let written = unless_gone(|| fs::create_dir_all(parent).and_then(|()| replace(&path, text)));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Does something in a folder that it makes; again where somebody else who had made it too has taken it away meanwhile, for it was empty.
fn unless_gone<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut done = act();
    for _ in 0..MOST_TRIES {
        // It was there when it was to be made, and was not when that was looked at; or it was made, and is not there any more.
        let is_gone = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists);
        if !done.as_ref().is_err_and(is_gone) {
            break;
        }
        done = act();
    }
    done
}

fn made(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// Writes a file under a name of its own, and puts it in the place of the one before: whoever writes the same at this time does neither harm.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    beside(path, text)?.persist(path)?;
    Ok(())
}

/// A file beside a place, under a name of its own.
fn beside(path: &Path, text: &str) -> io::Result<tempfile::NamedTempFile<File>> {
    // Made as any other file is, so that whoever may read the folder may read it: a temporary file would be its owner's alone.
    let mut file = tempfile::Builder::new().prefix(".part-").make_in(path.parent().unwrap_or(Path::new("")), made)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nothing_takes_the_place_of_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        for (name, told) in [("socket", "is a device or a pipe"), ("folder", "is a folder")] {
            let path = folder.path().join(name);
            let files = [(name, "x".to_owned())];
            for refused in
                [stage_file(&path, "x").err(), write_files(folder.path(), &files).err(), replace_files(folder.path(), &files).err()]
            {
                assert!(refused.is_some_and(|why| why.to_string().contains(told)), "{name}");
            }
            assert!(!fs::metadata(path).unwrap().is_file());
        }
    }

    #[test]
    fn a_folder_that_was_made_and_stays_empty_is_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().join("a"), folder.path().join("a/b"));
        let room = Room::make("--out", &inner).unwrap();
        assert!(inner.is_dir());
        drop(room);
        assert!(!outer.exists());
        let room = Room::make("--out", &inner).unwrap();
        fs::write(inner.join("kept"), "").unwrap();
        drop(room);
        assert!(inner.join("kept").is_file());
        drop(Room::make("--out", folder.path()).unwrap());
        assert!(folder.path().is_dir());
    }

    #[test]
    fn what_was_made_at_a_second_try_is_removed_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().join("a"), folder.path().join("a/b"));
        let mut room = Room { made: Vec::new() };
        fs::create_dir(&outer).unwrap();
        room.try_in(&inner).unwrap();
        fs::remove_dir_all(&outer).unwrap();
        room.try_in(&inner).unwrap();
        drop(room);
        assert!(!outer.exists());
    }

    #[test]
    fn whoever_begins_at_once_with_the_same_folder_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let page = [("page.txt", "x".repeat(10_000))];
        std::thread::scope(|scope| {
            let at_once = || {
                let trials = (0..200).map(|trial| {
                    let room = Room::make("--out", &inner).map_err(|failure| failure.told())?;
                    if trial % 3 == 0 {
                        write_files(&inner, &page).map_err(|error| format!("{error:#}"))?;
                        fs::remove_file(inner.join("page.txt")).ok();
                    }
                    drop(room);
                    Ok(())
                });
                trials.collect::<Result<(), String>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(at_once)).collect();
            let done: Vec<Result<(), String>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(done, vec![Ok(()); 8]);
        });
        write_files(&inner, &page).unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "nothing else is left there");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let (own, plain) = (inner.join("page.txt"), inner.join("plain"));
            fs::write(&plain, "").unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&own), mode(&plain), "others may read it as any other file");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let refused = |path: &Path| match Room::make("--out", path) {
            Err(Failure::Input(problems)) => problems[0].message.clone(),
            other => panic!("{other:?}"),
        };
        assert!(refused(&folder.path().join("file/below")).contains("is a file"));
        #[cfg(target_os = "linux")]
        assert!(refused(Path::new("/proc/firedrill")).contains("files cannot be written there"));
    }
}
