//! What a commit holds, byte by byte as it was committed: no attribute, filter or line end of today has a part in it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::git::{Entry, Kind, Repository};

/// All paths of a commit.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
    /// Where its links lead, as they say it.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A name by which a file can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Called {
    /// The name, on whose way links may lie.
    pub name: Vec<u8>,
    /// The file itself.
    pub file: Vec<u8>,
}

impl Tree {
    /// Reads which paths a commit has.
    pub fn of(repository: &Repository, commit: &str) -> io::Result<Self> {
        let entries = repository.held(commit, None).map_err(io::Error::other)?;
        let links: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::Link).collect();
        let mut targets = BTreeMap::new();
        texts(repository, &links, |position, text| drop(targets.insert(links[position].name.clone(), text)))?;
        Ok(Self { links: targets, entries })
    }

    /// Where other repositories lie (submodules).
    pub fn modules(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(|entry| entry.kind == Kind::Module).map(|entry| entry.name.as_slice())
    }

    /// Writes what lies in a folder of the commit, whose name ends in `/` or is empty, but what lies in `done`. Links come last, so that nothing is written
    /// through one; where a link is no file of this system, its text stands in its place, as git does it.
    pub fn write(&self, repository: &Repository, root: &Path, folder: &[u8], done: Option<&[u8]>) -> io::Result<()> {
        let is_asked = |name: &[u8]| name.starts_with(folder) && !done.is_some_and(|done| name.starts_with(done));
        let files: Vec<&Entry> = self.entries.iter().filter(|entry| entry.kind == Kind::File && is_asked(&entry.name)).collect();
        let ids: Vec<&str> = files.iter().map(|entry| entry.id.as_str()).collect();
        repository.contents(&ids, |position, content| {
            io::copy(content, &mut File::create_new(made(root, &files[position].name)?)?)?;
            Ok(())
        })?;
        let links = self.links.iter().filter(|(name, _)| is_asked(name));
        links.into_iter().try_for_each(|(name, target)| link(target, &made(root, name)?))
    }

    /// Whether a link in a folder may lead out of that.
    pub fn leads_out_of(&self, folder: &[u8]) -> bool {
        self.links.iter().any(|(name, target)| name.starts_with(folder) && target.windows(2).any(|pair| pair == b".."))
    }

    /// What a path leads to over the commit's links; `None` if that is out of the repository, or nowhere.
    pub fn followed(&self, name: &[u8]) -> Option<Vec<u8>> {
        let parts = |name: &[u8]| name.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (mut rest, mut done): (VecDeque<Vec<u8>>, Vec<Vec<u8>>) = (parts(name).into(), Vec::new());
        let mut left = 40_u32;
        while let Some(part) = rest.pop_front() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    done.pop()?;
                    continue;
                }
                _ => done.push(part),
            }
            let Some(target) = self.links.get(&done.join(&b'/')) else { continue };
            // Links may lead in a circle.
            left = left.checked_sub(1)?;
            if target.starts_with(b"/") {
                return None;
            }
            done.pop();
            parts(target).into_iter().rev().for_each(|part| rest.push_front(part));
        }
        Some(done.join(&b'/'))
    }

    /// Every name whose last part is one of these and that finds a file, sorted: the file's own, and those that come over links.
    pub fn called(&self, wanted: &[&[u8]]) -> Vec<Called> {
        let is_wanted = |name: &[u8]| wanted.contains(&last(name));
        let files: Vec<&Entry> = self.entries.iter().filter(|entry| entry.kind == Kind::File).collect();
        let usual: Vec<&[u8]> = files.iter().map(|entry| entry.name.as_slice()).filter(|name| is_wanted(name)).collect();
        let mut found: Vec<Called> = usual.iter().map(|name| Called { name: name.to_vec(), file: name.to_vec() }).collect();
        for (link, to) in self.links.keys().filter_map(|link| Some((link, self.followed(link)?))) {
            let is_file = is_wanted(link) && files.binary_search_by(|entry| entry.name.as_slice().cmp(&to)).is_ok();
            found.extend(is_file.then(|| Called { name: link.clone(), file: to.clone() }));
            let below = usual.iter().filter_map(|name| Some((name, inside(name, &to)?)));
            found.extend(below.map(|(name, rest)| Called { name: [link.as_slice(), b"/", rest].concat(), file: name.to_vec() }));
        }
        found.sort();
        found
    }

    /// The files of which something is true, by name, and whether what they hold is wanted, up to a million bytes of it.
    pub fn holding(
        &self,
        repository: &Repository,
        is_looked_at: impl Fn(&[u8]) -> bool,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Vec<&[u8]>> {
        let files: Vec<&Entry> = self.entries.iter().filter(|entry| entry.kind == Kind::File && is_looked_at(&entry.name)).collect();
        let mut found = Vec::new();
        texts(repository, &files, |position, text| found.extend(is_wanted(&text).then(|| files[position].name.as_slice())))?;
        Ok(found)
    }
}

/// The last part of a name.
pub(super) fn last(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

/// The rest of a name that lies in a folder; the empty one is the top.
pub(super) fn inside<'n>(name: &'n [u8], folder: &[u8]) -> Option<&'n [u8]> {
    if folder.is_empty() { Some(name) } else { name.strip_prefix(folder)?.strip_prefix(b"/") }
}

/// Hands out the first million bytes of each, one after the other.
fn texts(repository: &Repository, entries: &[&Entry], mut take: impl FnMut(usize, Vec<u8>)) -> io::Result<()> {
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    repository.contents(&ids, |position, content| {
        let mut text = Vec::new();
        content.take(1_000_000).read_to_end(&mut text)?;
        take(position, text);
        Ok(())
    })
}

/// Where a path of a commit is written, the folder made that it lies in. A commit that git did not make may hold any name.
fn made(root: &Path, name: &[u8]) -> io::Result<PathBuf> {
    let is_bad = |part: &[u8]| {
        part.is_empty()
            || part == b"."
            || part == b".."
            || part.eq_ignore_ascii_case(b".git")
            || cfg!(windows) && part.iter().any(|byte| b"\\:".contains(byte))
    };
    if name.split(|byte| *byte == b'/').any(is_bad) {
        return Err(io::Error::other(format!("`{}` is no name of a file", String::from_utf8_lossy(name))));
    }
    let path = root.join(path_of(name));
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    Ok(path)
}

#[cfg(unix)]
fn link(target: &[u8], at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(path_of(target), at)
}

#[cfg(not(unix))]
fn link(target: &[u8], at: &Path) -> io::Result<()> {
    fs::write(at, target)
}

/// A path of this system by the bytes that git has for it.
#[cfg(unix)]
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

/// A path of this system by the bytes that git has for it.
#[cfg(not(unix))]
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// The bytes that git has for a path from the top on.
pub(super) fn name_of(path: &Path) -> Vec<u8> {
    let parts = path.components().filter(|part| *part != std::path::Component::CurDir);
    parts.map(|part| part.as_os_str().as_encoded_bytes().to_vec()).collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str], links: &[(&str, &str)]) -> Tree {
        let entry = |name: &&str| Entry { kind: Kind::File, id: String::new(), name: name.as_bytes().to_vec() };
        let links = links.iter().map(|(name, target)| (name.as_bytes().to_vec(), target.as_bytes().to_vec()));
        Tree { entries: files.iter().map(entry).collect(), links: links.collect() }
    }

    #[test]
    fn a_path_is_followed_over_links_and_never_out_of_the_repository() {
        let tree = tree(&["a/b/c"], &[("l", "a"), ("a/m", "./b/../b"), ("out", "../x"), ("abs", "/etc"), ("r", "s"), ("s", "r")]);
        let followed = |name: &str| tree.followed(name.as_bytes()).map(|found| String::from_utf8(found).unwrap());
        assert_eq!(followed("l/m/c").as_deref(), Some("a/b/c"));
        assert_eq!(followed("plain/file").as_deref(), Some("plain/file"));
        for nowhere in ["out/y", "abs/passwd", "r", "a/../../x"] {
            assert_eq!(followed(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_file_is_called_by_its_own_name_and_over_links() {
        let files = ["ops/firedrill.yaml", "shared/gate.yaml", "zoo/other.yaml"];
        let links = [("current", "ops"), ("team", "current"), ("deep/firedrill.yaml", "../shared/gate.yaml"), ("unused", "zoo")];
        let found = tree(&files, &links).called(&[b"firedrill.yaml"]);
        let told = |one: &Called| format!("{} {}", String::from_utf8_lossy(&one.name), String::from_utf8_lossy(&one.file));
        let told: Vec<String> = found.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "current/firedrill.yaml ops/firedrill.yaml",
                "deep/firedrill.yaml shared/gate.yaml",
                "ops/firedrill.yaml ops/firedrill.yaml",
                "team/firedrill.yaml ops/firedrill.yaml"
            ]
        );
    }

    #[test]
    fn names_that_would_lead_out_of_the_folder_are_not_written() {
        let root = tempfile::tempdir().unwrap();
        for bad in ["../x", "a/../../x", "/etc/x", "a//x", ".git/config", "a/.GIT/hooks/x", "."] {
            assert!(made(root.path(), bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(made(root.path(), b"a/..b/.gitignore").unwrap(), root.path().join("a/..b/.gitignore"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no folder was made for what is refused");
    }

    #[test]
    fn what_lies_in_a_folder_begins_with_its_name_and_a_slash() {
        assert_eq!(inside(b"ops/a", b"ops"), Some(&b"a"[..]));
        assert_eq!(inside(b"ops2/a", b"ops"), None);
        assert_eq!(inside(b"a", b""), Some(&b"a"[..]));
        assert_eq!((last(b"a/b"), last(b"b")), (&b"b"[..], &b"b"[..]));
        assert_eq!(name_of(Path::new("./a/b")), b"a/b");
    }
}
