//! The tree of keys of a kind of file, as src/schema/*.txt have it. What keys mean stands in the documentation and is not said again.
//!
//! A block describes a map. After `type NAME in SECTION` come its keys, one a line: `KEY FORM`, `KEY* FORM` for one that must be there.
//! `KEY#2` is told of by the second row about that word in the section, `KEY#0` by none; `< SECTION` behind the form is another section.
//! `one A, B` asks for exactly one of these keys, `any A+B, C` for A and B, or for C, or for more, `needs A, B` for B where A is; `with NAME` takes the keys of another
//! block; `* FORM` is what any other key holds; `nullable` lets the map and its values be empty. `alias NAME FORM` gives a form a name.

use std::collections::BTreeMap;

/// All blocks of a kind of file.
pub(super) struct Skeleton<'s> {
    /// What the file is.
    pub(super) root: &'s str,
    /// Maps by name.
    pub(super) types: BTreeMap<&'s str, Type<'s>>,
    /// Forms by name.
    pub(super) aliases: BTreeMap<&'s str, &'s str>,
}

/// A map.
#[derive(Default)]
pub(super) struct Type<'s> {
    /// Where the documentation tells of its keys; empty if it does so only beside what the map belongs to.
    pub(super) section: &'s str,
    /// Whether it, and what stands in it, may be empty.
    pub(super) is_nullable: bool,
    /// Exactly one of these is there; empty: nothing of the kind.
    pub(super) one: Vec<&'s str>,
    /// All of at least one of these are there; likewise.
    pub(super) any: Vec<Vec<&'s str>>,
    /// Keys that are there only with another one.
    pub(super) needs: Vec<(&'s str, &'s str)>,
    /// Another map whose keys it has, too.
    with: Option<&'s str>,
    /// Its keys.
    pub(super) keys: Vec<Key<'s>>,
    /// What stands under keys of people's own.
    pub(super) rest: Option<&'s str>,
}

/// A key.
pub(super) struct Key<'s> {
    pub(super) name: &'s str,
    /// Which row of its section is about it, from 1; 0: none. `None`: there is but one.
    pub(super) row: Option<usize>,
    /// Another section than that of the map.
    pub(super) section: Option<&'s str>,
    pub(super) is_required: bool,
    /// What stands under it.
    pub(super) form: &'s str,
}

impl<'s> Skeleton<'s> {
    /// Reads texts; of blocks with one name the first counts, and the first of all is the file.
    pub(super) fn read(texts: &[&'s str]) -> Self {
        let mut skeleton = Self { root: "", types: BTreeMap::new(), aliases: BTreeMap::new() };
        for text in texts {
            for block in text.split("\n\n") {
                skeleton.read_block(block);
            }
        }
        skeleton
    }

    fn read_block(&mut self, block: &'s str) {
        let mut lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
        while let Some(alias) = lines.next_if(|line| line.starts_with("alias ")) {
            let (name, form) = halves(&alias["alias ".len()..]);
            self.aliases.entry(name).or_insert(form);
        }
        let Some(title) = lines.next() else { return };
        let title = title.strip_prefix("type ").unwrap_or_else(|| panic!("no block begins with `{title}`"));
        let (name, section) = title.split_once(" in ").unwrap_or((title, ""));
        let mut known = Type { section, ..Type::default() };
        lines.for_each(|line| known.read_line(line));
        if self.root.is_empty() {
            self.root = name;
        }
        self.types.entry(name).or_insert(known);
    }

    /// The keys of a map, each with the section that tells of it.
    pub(super) fn keys_of<'a>(&'a self, known: &'a Type<'s>) -> impl Iterator<Item = (&'a Key<'s>, &'s str)> {
        let with = known.with.map(|name| &self.types[name]);
        // What the map says of a key stands before what it takes over.
        let own = |key: &Key<'_>| known.keys.iter().any(|own| own.name == key.name);
        let taken = with.into_iter().flat_map(|with| with.keys.iter().map(|key| (key, with.section)));
        taken.filter(move |(key, _)| !own(key)).chain(known.keys.iter().map(|key| (key, known.section)))
    }
}

impl<'s> Type<'s> {
    fn read_line(&mut self, line: &'s str) {
        if line == "nullable" {
            self.is_nullable = true;
            return;
        }
        let (word, rest) = halves(line);
        match word {
            // A key of this name would stand with its form in one word: none of the files has one.
            "one" => self.one = rest.split(", ").collect(),
            "any" => self.any = rest.split(", ").map(|keys| keys.split('+').collect()).collect(),
            "needs" => self.needs.extend(rest.split_once(", ")),
            "with" if !rest.contains(' ') => self.with = Some(rest),
            "*" => self.rest = Some(rest),
            _ => self.keys.push(Key::read(word, rest)),
        }
    }
}

impl<'s> Key<'s> {
    fn read(word: &'s str, rest: &'s str) -> Self {
        let (word, is_required) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
        let (name, row) = word.split_once('#').map_or((word, None), |(name, row)| (name, row.parse().ok()));
        let (form, section) = rest.split_once(" < ").map_or((rest, None), |(form, section)| (form, Some(section)));
        Self { name, row, section, is_required, form }
    }
}

fn halves(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or_else(|| panic!("`{line}` has no form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keys_and_forms_are_read() {
        let text = "# What this is.\n\ntype file in A file\nnullable\none a, b\nany a+c, b\na* name\nb#2 list of name < Elsewhere\n* text\n\nalias c =x | =y\n\ntype other\nwith file\na number 0..1";
        let skeleton = Skeleton::read(&[text, "type file\nz text"]);
        let file = &skeleton.types["file"];
        assert_eq!((skeleton.root, file.section, file.is_nullable, file.rest), ("file", "A file", true, Some("text")));
        assert_eq!((&file.one[..], &file.any[..]), (&["a", "b"][..], &[vec!["a", "c"], vec!["b"]][..]));
        let keys: Vec<_> = file.keys.iter().map(|key| (key.name, key.row, key.section, key.is_required, key.form)).collect();
        assert_eq!(keys, [("a", None, None, true, "name"), ("b", Some(2), Some("Elsewhere"), false, "list of name")]);
        assert_eq!(skeleton.aliases["c"], "=x | =y");
        let taken: Vec<_> = skeleton.keys_of(&skeleton.types["other"]).map(|(key, section)| (key.name, key.form, section)).collect();
        assert_eq!(taken, [("b", "list of name", "A file"), ("a", "number 0..1", "")]);
    }
}
