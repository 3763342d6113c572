//! The systems that come with firedrill: nothing happens in them, and scenarios import them by name.

use crate::composition::Imported;

/// A scenario of the library, as its file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name by which it is called; the same as the scenario's.
    pub name: &'static str,
    /// Where the file lies in the project.
    pub path: &'static str,
    /// The file's text.
    pub text: &'static str,
}

macro_rules! systems {
    ($($name:literal),+) => {
        &[$(Entry {
            name: $name,
            path: concat!("scenarios/library/systems/", $name, ".yaml"),
            text: include_str!(concat!("../library/systems/", $name, ".yaml")),
        }),+]
    };
}

/// Every system. A test holds this list equal to the folder.
pub const ENTRIES: &[Entry] = systems!["feed", "online-shop", "payments"];

/// A system, as it is imported.
#[must_use]
pub fn get(name: &str) -> Option<Imported> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name)?;
    Some(Imported { path: entry.path.to_owned(), text: entry.text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_list_equals_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("library/systems");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        files.sort();
        assert_eq!(files, ENTRIES.iter().map(|entry| entry.name).collect::<Vec<_>>());
    }
}
