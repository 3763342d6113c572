//! Changes of a file as a unified diff, which `git apply` and `patch` take.

use std::fmt::Write as _;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// A change of a file: lines that go, and lines that come in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first line that goes, from 0; where none goes, the line before which new ones come.
    pub line: usize,
    /// How many go.
    pub removed: usize,
    /// What comes.
    pub added: Vec<String>,
}

/// One change of a file as a diff.
#[must_use]
pub fn unified(path: &str, text: &str, change: &Change) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let line = change.line.min(lines.len());
    let after = (line + change.removed).min(lines.len());
    let (from, to) = (line.saturating_sub(CONTEXT), (after + CONTEXT).min(lines.len()));
    let (old, new) = (to - from, to - from - (after - line) + change.added.len());
    // A hunk without lines begins at the line before it.
    let begins = |count: usize| if count == 0 { from } else { from + 1 };
    let mut diff = format!("--- a/{path}\n+++ b/{path}\n@@ -{},{old} +{},{new} @@\n", begins(old), begins(new));
    let mut shown = |sign: char, lines: &[&str]| {
        for own in lines {
            let end = if own.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            write!(diff, "{sign}{own}{end}").expect("a string takes all");
        }
    };
    let is_cut = !text.is_empty() && !text.ends_with('\n');
    // Lines can only follow one that ends; so the last one without its end is written anew.
    if is_cut && line == lines.len() && !change.added.is_empty() {
        let last = lines.len() - 1;
        return unified(path, text, &Change { line: last, removed: 1, added: [&[lines[last].to_owned()], &change.added[..]].concat() });
    }
    shown(' ', &lines[from..line]);
    shown('-', &lines[line..after]);
    let added: Vec<String> = change.added.iter().map(|line| format!("{line}\n")).collect();
    shown('+', &added.iter().map(String::as_str).collect::<Vec<_>>());
    shown(' ', &lines[after..to]);
    diff
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    /// Applies a diff as a person would.
    #[track_caller]
    fn check(text: &str, change: &Change, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f"), text).unwrap();
        fs::write(folder.path().join("d"), unified("f", text, change)).unwrap();
        let done = Command::new("git").args(["apply", "--unidiff-zero", "d"]).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{}\n{}", unified("f", text, change), String::from_utf8_lossy(&done.stderr));
        assert_eq!(fs::read_to_string(folder.path().join("f")).unwrap(), expected);
    }

    #[test]
    fn a_diff_can_be_applied() {
        let added = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let text = "a\nb\nc\nd\ne\nf\ng\nh\n";
        check(text, &Change { line: 8, removed: 0, added: added(&["i", "j"]) }, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
        check(text, &Change { line: 4, removed: 1, added: added(&["E"]) }, "a\nb\nc\nd\nE\nf\ng\nh\n");
        check(text, &Change { line: 0, removed: 0, added: added(&["z"]) }, "z\na\nb\nc\nd\ne\nf\ng\nh\n");
        check(text, &Change { line: 7, removed: 1, added: Vec::new() }, "a\nb\nc\nd\ne\nf\ng\n");
        check("a\nb", &Change { line: 2, removed: 0, added: added(&["c"]) }, "a\nb\nc\n");
    }
}
