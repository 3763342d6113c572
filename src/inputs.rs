//! The files that this process has read, so that it writes over none of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::failure::Failure;

/// Where they lie in the end, whatever links led there. One for the process: what is read and what is written meet nowhere else.
static READ: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Remembers a file that is read.
pub fn note(path: &Path) {
    if let Ok(real) = path.canonicalize()
        && let Ok(mut read) = READ.lock()
    {
        read.insert(real);
    }
}

/// Whether a file has been read that would be written over by this path.
#[must_use]
pub fn holds(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| READ.lock().is_ok_and(|read| read.contains(&real)))
}

/// That a path which something is to be written to is none of the files that were read for it. `option` is what the command line calls it.
///
/// # Errors
/// It is one of them.
pub fn spared(option: &str, path: &Path) -> Result<(), Failure> {
    if holds(path) {
        let message = format!("`{option}` would write over {}, which this command reads", path.display());
        return Err(Failure::argument(message, "name another place: nothing was written"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_read_is_known_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        fs::write(at("read"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        note(&at("read"));
        assert!(holds(&at("read")) && holds(&at("inner/../read")));
        assert!(!holds(&at("other")) && !holds(&at("missing")));
        assert!(spared("--out x", &at("read")).is_err() && spared("--out x", &at("other")).is_ok());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("read"), at("link")).unwrap();
            assert!(holds(&at("link")), "written through the link, the file would be gone");
        }
    }
}
